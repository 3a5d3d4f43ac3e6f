//! What a file system has room for and allows: asked before a large write, for
//! error messages, and by `velo-ctl doctor`.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{StatVfsMountFlags, fstatfs, fstatvfs, statvfs};

use crate::{Store, StoreError};

/// `f_type` of a tmpfs (statfs(2)).
const TMPFS_MAGIC: u64 = 0x0102_1994;
/// `f_type` of a ramfs (statfs(2)).
const RAMFS_MAGIC: u64 = 0x8584_58f6;

/// The file system that a directory is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// Bytes free for this user.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
    /// File names (inodes) free for this user; `u64::MAX` if it does not count them.
    pub free_files: u64,
    /// Programs in it cannot be run, nor libraries loaded.
    pub noexec: bool,
    /// Nothing in it can be changed.
    pub read_only: bool,
    /// It is in memory (tmpfs, ramfs): nothing survives a restart, nothing needs a sync.
    pub memory: bool,
}

impl Space {
    /// Of the file system that `directory` is on.
    ///
    /// # Errors
    /// What fstatfs(2) reports.
    pub fn of(directory: impl AsFd) -> rustix::io::Result<Self> {
        let kind = fstatfs(&directory)?.f_type as u64 & 0xffff_ffff;
        let v = fstatvfs(&directory)?;
        Ok(Self {
            free_bytes: v.f_bavail.saturating_mul(v.f_frsize),
            total_bytes: v.f_blocks.saturating_mul(v.f_frsize),
            free_files: if v.f_files == 0 { u64::MAX } else { v.f_favail },
            noexec: v.f_flag.contains(StatVfsMountFlags::NOEXEC),
            read_only: v.f_flag.contains(StatVfsMountFlags::RDONLY),
            memory: kind == TMPFS_MAGIC || kind == RAMFS_MAGIC,
        })
    }
}

impl Store {
    /// The file system that the root is on.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the kernel does not tell.
    pub fn space(&self) -> Result<Space, StoreError> {
        Space::of(self.root_fd())
            .map_err(|errno| StoreError::from_errno("ask the free space", self.root(), errno))
    }
}

/// Bytes free at `path` or at the nearest directory above it that exists; 0 if nobody knows.
pub(crate) fn free_bytes_near(path: &Path) -> u64 {
    path.ancestors()
        .find_map(|place| statvfs(place).ok())
        .map_or(0, |v| v.f_bavail.saturating_mul(v.f_frsize))
}
