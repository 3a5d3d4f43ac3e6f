//! Opening what the scan has met, without following links and without moving atimes.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, Result, retry_on_intr};

/// Opens `name` for reading: not through a symbolic link, not waiting for a fifo, and
/// leaving its atime alone where that is allowed.
pub(crate) fn open_reading(directory: impl AsFd, name: &CStr, flags: OFlags) -> Result<OwnedFd> {
    let flags = flags
        | OFlags::RDONLY
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    let open = |flags| retry_on_intr(|| openat(&directory, name, flags, Mode::empty()));
    match open(flags | OFlags::NOATIME) {
        // It takes the owner or a capability; or the file is not ours to read at all.
        Err(Errno::PERM) => open(flags),
        other => other,
    }
}

/// Opens the directory at `path` below `root`. The caller checks that it is the inode
/// that was expected: a component may have been replaced by a symbolic link meanwhile.
pub(crate) fn open_below(root: impl AsFd, path: &[u8]) -> Result<OwnedFd> {
    if path.is_empty() {
        return open_reading(root, c".", OFlags::DIRECTORY);
    }
    let path = CString::new(path).map_err(|_| Errno::INVAL)?;
    open_reading(root, &path, OFlags::DIRECTORY)
}
