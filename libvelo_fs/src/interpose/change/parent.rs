//! The directory that holds the last name of a path: rename(2), link(2) and rmdir(2)
//! look at its mount before they look at the name (fs/namei.c).
//!
//! A mount's root has two sides: its content is read-only, its name stands in a
//! directory outside, which the kernel is asked about, but where it is busy.

use super::{EBUSY, last_component};
use crate::locate::{Where, bytes, locate, second_look};
use crate::served::KernelPath;
use crate::sys;
use core::ffi::{c_char, c_int};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Options, PathBuffer};

/// The last component of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Name,
    Dot,
    DotDot,
    Root,
}

/// A directory outside: a descriptor and a path from there.
pub(super) struct Outside {
    dirfd: c_int,
    path: KernelPath,
}

/// Where the last name of a path stands.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the stack for one call; there is nowhere else"
)]
pub(super) enum Parent {
    /// In a mount, by its number.
    Mount(u16),
    /// In a plain directory.
    Outside(Outside),
}

/// What the path ends in.
pub(super) fn last_of(path: &[u8]) -> Last {
    match last_component(path) {
        b"" => Last::Root,
        b"." => Last::Dot,
        b".." => Last::DotDot,
        _ => Last::Name,
    }
}

/// Finds the directory of a path's last name, or why there is none.
///
/// # Safety
/// `path` is a C string.
pub(super) unsafe fn parent_of(dirfd: c_int, path: *const c_char) -> Result<Parent, Errno> {
    // SAFETY: passed on to the caller.
    let text = unsafe { bytes(path) }.ok_or(Errno::EFAULT)?;
    if text.is_empty() {
        return Err(Errno::ENOENT);
    }
    if text.len() >= nr::PATH_MAX as usize {
        return Err(Errno::ENAMETOOLONG);
    }
    let end = text.iter().rposition(|byte| *byte != b'/');
    let name = text.get(..end.map_or(0, |end| end + 1)).unwrap_or(b"");
    let slash = name.iter().rposition(|byte| *byte == b'/');
    let directory = match slash {
        Some(slash) => text.get(..=slash).unwrap_or(b""),
        None if name.is_empty() => b"/",
        None => b"",
    };
    // The directory is searched, whatever the name: that is what the dot asks for.
    let path = KernelPath::joined(directory, b".")?;
    let mut scratch = PathBuffer::new();
    // SAFETY: C strings of ours.
    unsafe {
        let (dirfd, path) = match locate(dirfd, path.as_ptr(), Options::FOLLOW, &mut scratch) {
            Where::Served(_, entry) => return Ok(Parent::Mount(entry.mount)),
            Where::Absent { .. } => return Err(Errno::ENOENT),
            Where::Failed(error) => return Err(error),
            Where::KernelAt(path) => (nr::AT_FDCWD, KernelPath::new(path.to_bytes())?),
            Where::Kernel => (dirfd, path),
        };
        let outside = Outside { dirfd, path };
        let again = |place: Where<'_>| match place {
            Where::Served(_, entry) => Ok(Parent::Mount(entry.mount)),
            Where::KernelAt(path) => {
                let path = KernelPath::new(path.to_bytes())?;
                let dirfd = nr::AT_FDCWD;
                Ok(Parent::Outside(Outside { dirfd, path }))
            }
            Where::Absent { .. } | Where::Kernel => Err(Errno::ENOENT),
            Where::Failed(error) => Err(error),
        };
        // First: a mount point may be on the disk too.
        match second_look(dirfd, outside.path.as_ptr(), Options::FOLLOW, again) {
            Some(parent) => parent,
            None => outside.access(F_OK).map(|()| Parent::Outside(outside)),
        }
    }
}

const F_OK: c_int = 0;
const W_AND_X_OK: c_int = 3;

impl Outside {
    fn access(&self, mode: c_int) -> Result<(), Errno> {
        let flags = if mode == F_OK {
            0
        } else {
            nr::AT_EACCESS as c_int
        };
        // SAFETY: a C string of ours.
        sys::result(unsafe { sys::faccessat(self.dirfd, self.path.as_ptr(), mode, flags) })
            .map(|_| ())
    }

    /// EROFS, if its mount is read-only; that comes before all names.
    pub(super) fn is_read_only(&self) -> Result<(), Errno> {
        match self.opened(sys::is_on_read_only_mount) {
            Some(true) => Err(Errno::EROFS),
            _ => Ok(()),
        }
    }

    /// Whether both are on one mount of the kernel's, as far as it can be known.
    pub(super) fn is_on_mount_of(&self, other: &Self) -> bool {
        let [own, others] = [self, other].map(|side| side.opened(sys::mount_of).flatten());
        own.is_none() || others.is_none() || own == others
    }

    fn opened<T>(&self, ask: impl FnOnce(c_int) -> T) -> Option<T> {
        let flags = (nr::O_PATH | nr::O_CLOEXEC | nr::O_DIRECTORY) as c_int;
        // SAFETY: a C string of ours.
        let opened = sys::result(unsafe { sys::openat(self.dirfd, self.path.as_ptr(), flags, 0) });
        let descriptor = opened.ok()? as c_int;
        let answer = ask(descriptor);
        sys::close(descriptor);
        Some(answer)
    }

    /// EACCES, if the caller may not change its names.
    pub(super) fn may_change(&self) -> Result<(), Errno> {
        match self.access(W_AND_X_OK) {
            Err(Errno::EACCES) => Err(Errno::EACCES),
            _ => Ok(()),
        }
    }
}

/// What the removal of a mount's root answers.
///
/// # Safety
/// As [`parent_of`].
pub(super) unsafe fn removal_refused(dirfd: c_int, path: *const c_char, directory: bool) -> Errno {
    // SAFETY: passed on to the caller.
    let (text, parent) = unsafe { (bytes(path).unwrap_or(b""), parent_of(dirfd, path)) };
    let busy = if directory { EBUSY } else { Errno::EISDIR };
    let check = |outside: Outside| {
        outside.is_read_only()?;
        if !directory && text.ends_with(b"/") {
            return Err(Errno::EISDIR);
        }
        outside.may_change()
    };
    match parent {
        Ok(Parent::Mount(_)) => Errno::EROFS,
        Ok(Parent::Outside(outside)) => check(outside).err().unwrap_or(busy),
        // It need not be on the disk at all.
        Err(_) => busy,
    }
}
