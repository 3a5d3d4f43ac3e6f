//! Opening what the scan has met, without following links and without moving atimes.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, Result};

/// Longest path given to the kernel at once.
const PATH_BYTES_MAX: usize = 4000;

/// Opens `name` for reading: not through a symbolic link, not waiting for a fifo, and
/// leaving its atime alone where that is allowed.
pub(crate) fn open_reading(directory: impl AsFd, name: &CStr, flags: OFlags) -> Result<OwnedFd> {
    let flags = flags
        | OFlags::RDONLY
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    match openat(&directory, name, flags | OFlags::NOATIME, Mode::empty()) {
        // It takes the owner or a capability; or the file is not ours to read at all.
        Err(Errno::PERM) => openat(&directory, name, flags, Mode::empty()),
        other => other,
    }
}

/// Opens the directory at `path` below `root`, however long the path is. The caller
/// checks that it is the inode that was expected: a component may have been replaced by
/// a symbolic link meanwhile.
pub(crate) fn open_below(root: impl AsFd, path: &[u8]) -> Result<OwnedFd> {
    if path.is_empty() {
        return open_reading(root, c".", OFlags::DIRECTORY);
    }
    let mut rest = path;
    let mut on_the_way: Option<OwnedFd> = None;
    while rest.len() > PATH_BYTES_MAX {
        let head = rest.get(..PATH_BYTES_MAX).unwrap_or(rest);
        let cut = head.iter().rposition(|&byte| byte == b'/').ok_or(Errno::NAMETOOLONG)?;
        let (step, tail) = rest.split_at(cut);
        let step = CString::new(step).map_err(|_| Errno::INVAL)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let next = match &on_the_way {
            Some(from) => openat(from, &step, flags, Mode::empty())?,
            None => openat(&root, &step, flags, Mode::empty())?,
        };
        on_the_way = Some(next);
        rest = tail.get(1..).unwrap_or_default();
    }
    let last = CString::new(rest).map_err(|_| Errno::INVAL)?;
    match &on_the_way {
        Some(from) => open_reading(from, &last, OFlags::DIRECTORY),
        None => open_reading(root, &last, OFlags::DIRECTORY),
    }
}
