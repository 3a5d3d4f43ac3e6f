//! The error numbers that path resolution and the served calls can answer with.
//!
//! Values are Linux's, the same on every architecture Velo supports (errno(3)).

/// A Linux error number, positive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

impl Errno {
    /// Operation not permitted.
    pub const EPERM: Self = Self(1);
    /// No such file or directory.
    pub const ENOENT: Self = Self(2);
    /// Input/output error: a blob or an index that should be there is not.
    pub const EIO: Self = Self(5);
    /// Bad file descriptor.
    pub const EBADF: Self = Self(9);
    /// Out of memory.
    pub const ENOMEM: Self = Self(12);
    /// Permission denied.
    pub const EACCES: Self = Self(13);
    /// Bad address.
    pub const EFAULT: Self = Self(14);
    /// File exists.
    pub const EEXIST: Self = Self(17);
    /// Cross-device link.
    pub const EXDEV: Self = Self(18);
    /// Not a directory.
    pub const ENOTDIR: Self = Self(20);
    /// Is a directory.
    pub const EISDIR: Self = Self(21);
    /// Invalid argument.
    pub const EINVAL: Self = Self(22);
    /// Read-only file system.
    pub const EROFS: Self = Self(30);
    /// Result too large for the caller's buffer.
    pub const ERANGE: Self = Self(34);
    /// File name too long.
    pub const ENAMETOOLONG: Self = Self(36);
    /// Function not implemented.
    pub const ENOSYS: Self = Self(38);
    /// Too many levels of symbolic links.
    pub const ELOOP: Self = Self(40);
    /// No data: the extended attribute does not exist.
    pub const ENODATA: Self = Self(61);
    /// Operation not supported.
    pub const EOPNOTSUPP: Self = Self(95);
}
