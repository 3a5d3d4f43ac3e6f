//! What walks of directory trees (ftw, fts, glob) share: status and listings that
//! see through plain symlinks into a mount, and the walks that cannot meet one.
//!
//! A hook that passes a plain path leaves its symlinks to the kernel, which knows
//! of no mount. A walk comes upon such links by itself, so here the answers that a
//! mount could change (a directory, or nothing) are checked component by component.

use super::{directory, open, stat};
use crate::fd_table::{self, Known};
use crate::locate::{Where, locate, look_through_links};
use crate::served::{fill_stat, is_own_device, metadata};
use crate::sys::{self, Stat};
use crate::{errno, world};
use core::ffi::{c_char, c_int, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Options, PathBuffer};

/// How the C library opens what it lists.
const LISTED: u32 = nr::O_RDONLY | nr::O_NONBLOCK | nr::O_DIRECTORY | nr::O_CLOEXEC;

fn is_directory(status: &Stat) -> bool {
    status.st_mode & nr::S_IFMT == nr::S_IFDIR
}

/// fstatat(2) with or without following, checked for links into a mount if `closer`.
///
/// # Safety
/// `path` is a C string, `out` writable.
pub(super) unsafe fn status(
    dirfd: c_int,
    path: *const c_char,
    out: *mut Stat,
    follow: bool,
    closer: bool,
) -> Result<(), Errno> {
    let (flags, options) = if follow {
        (0, Options::FOLLOW)
    } else {
        (nr::AT_SYMLINK_NOFOLLOW, Options::NO_FOLLOW)
    };
    let before = errno::last();
    // SAFETY: passed on to the caller; a successful call has filled `out`.
    unsafe {
        let answer = match stat::fstatat(dirfd, path, out, flags as c_int) {
            0 => Ok(()),
            _ => Err(errno::last()),
        };
        let Some(world) = world::get().filter(|_| closer) else {
            return answer;
        };
        let doubtful = match answer {
            Ok(()) => is_directory(&*out) && !is_own_device(world, (*out).st_dev),
            Err(error) => matches!(error, Errno::ENOENT | Errno::ENOTDIR),
        };
        if !doubtful {
            return answer;
        }
        look_through_links(dirfd, path, options, |place| {
            let closer = match place {
                Where::Kernel => return answer,
                Where::Served(world, entry) => {
                    metadata(world, entry).map(|meta| fill_stat(&meta, out))
                }
                Where::KernelAt(path) => {
                    let here = nr::AT_FDCWD;
                    sys::result(sys::fstatat(here, path.as_ptr(), out, flags as c_int)).map(|_| ())
                }
                Where::Absent { .. } => Err(Errno::ENOENT),
                Where::Failed(error) => Err(error),
            };
            errno::restore(closer.err().unwrap_or(before));
            closer
        })
    }
}

/// Opens a directory to be listed, or to be gone back to, checked as in [`status`].
///
/// # Safety
/// `path` is a C string.
pub(super) unsafe fn open_directory(
    dirfd: c_int,
    path: *const c_char,
    flags: u32,
    closer: bool,
) -> Result<c_int, Errno> {
    // SAFETY: passed on to the caller.
    unsafe {
        let plainly = |dirfd: c_int, path: *const c_char| {
            let descriptor = open::openat(dirfd, path, flags as c_int, 0);
            if descriptor == -1 {
                return Err(errno::last());
            }
            if closer {
                note_place(descriptor);
            }
            Ok(descriptor)
        };
        if !closer {
            return plainly(dirfd, path);
        }
        look_through_links(dirfd, path, Options::FOLLOW, |place| match place {
            Where::Kernel => plainly(dirfd, path),
            Where::Served(world, entry) => open::open_entry(world, entry, flags as c_int),
            Where::KernelAt(path) => plainly(nr::AT_FDCWD, path.as_ptr()),
            Where::Absent { .. } => Err(Errno::ENOENT),
            Where::Failed(error) => Err(error),
        })
    }
}

/// As [`open_directory`], as opendir(3) gives it.
///
/// # Safety
/// `path` is a C string.
pub(super) unsafe fn open_listing(
    dirfd: c_int,
    path: *const c_char,
    closer: bool,
) -> Result<*mut c_void, Errno> {
    // SAFETY: passed on to the caller; the descriptor is new and ours.
    unsafe {
        let descriptor = open_directory(dirfd, path, LISTED, closer)?;
        let dir = directory::fdopendir(descriptor);
        if dir.is_null() {
            let error = errno::last();
            super::fd::close(descriptor);
            return Err(error);
        }
        Ok(dir)
    }
}

/// Notes a plain directory above a mount for what it is, if symlinks led there.
fn note_place(descriptor: c_int) {
    let mut buffer = [0; nr::PATH_MAX as usize];
    let (Some(world), Known::Foreign) = (world::get(), fd_table::get(descriptor)) else {
        return;
    };
    if let Some(path) = fd_table::physical_path(descriptor, &mut buffer)
        && let Some(mount) = world.mount_below(path)
    {
        let bytes = path.strip_suffix(b"/").unwrap_or(path).len() as u32;
        fd_table::set(descriptor, Known::Ancestor { mount, bytes });
    }
}

/// Whether a path leads from the working directory through nothing served.
///
/// # Safety
/// `path` is a C string.
#[inline(never)]
unsafe fn is_kernels(path: *const c_char, follow: bool) -> bool {
    let options = if follow {
        Options::FOLLOW
    } else {
        Options::NO_FOLLOW
    };
    let mut scratch = PathBuffer::new();
    // SAFETY: passed on to the caller.
    let place = unsafe { locate(nr::AT_FDCWD, path, options, &mut scratch) };
    matches!(place, Where::Kernel)
}

/// Whether a walk that follows no symlink below `path` can certainly meet no mount.
///
/// # Safety
/// `path` is a C string.
pub(super) unsafe fn is_apart(path: *const c_char, follow: bool) -> bool {
    let Some(world) = world::get() else {
        return true;
    };
    // From a served directory the kernel would go through the view tree.
    // SAFETY: passed on to the caller.
    if !unsafe { is_kernels(path, follow) } {
        return false;
    }
    let stop = if follow { 0 } else { nr::O_NOFOLLOW };
    let flags = nr::O_PATH | nr::O_CLOEXEC | stop;
    // SAFETY: passed on to the caller.
    let descriptor =
        match sys::result(unsafe { sys::openat(nr::AT_FDCWD, path, flags as c_int, 0) }) {
            Ok(descriptor) => descriptor as c_int,
            Err(_) => return false,
        };
    let mut buffer = [0; nr::PATH_MAX as usize];
    let physical = fd_table::physical_path(descriptor, &mut buffer);
    let apart = physical.is_some_and(|physical| {
        world.split_physical(physical).is_none() && !world.meets_mount(physical)
    });
    sys::close(descriptor);
    apart
}
