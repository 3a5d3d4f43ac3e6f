//! The closer look at a path outside: whether symlinks of the kernel's, or a descriptor
//! that we know nothing of, lead into a mount all the same. It costs system calls, so it
//! is taken after the kernel has failed, or for calls that are about many files.

use super::{From, Where, answer, bytes, locate_from};
use crate::credentials::{self, User};
use crate::fd_table::{self, Known};
use crate::served::KernelPath;
use crate::world::{self, World};
use crate::{errno, sys};
use core::ffi::{c_char, c_int};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{self, Base, Options, Outside, PathBuffer};

/// As [`look_closer`]; `None` if the path is the kernel's after all.
///
/// # Safety
/// As [`locate`].
pub unsafe fn second_look<T>(
    dirfd: c_int,
    path: *const c_char,
    options: Options,
    use_place: impl FnOnce(Where<'_>) -> T,
) -> Option<T> {
    // SAFETY: passed on to the caller.
    unsafe {
        look_closer(dirfd, path, options, |place| match place {
            Where::Kernel => None,
            place => Some(use_place(place)),
        })
    }
}

/// After the kernel did not find a path of its own: tells `use_place` what it means if symlinks
/// outside, or a descriptor whose path we do not know, lead into a mount all the same.
///
/// # Safety
/// As [`locate`].
#[cold]
#[inline(never)]
pub unsafe fn look_closer<T>(
    dirfd: c_int,
    path: *const c_char,
    options: Options,
    use_place: impl FnOnce(Where<'_>) -> T,
) -> T {
    // SAFETY: passed on to the caller.
    unsafe {
        if may_lead_elsewhere(dirfd, path, options) {
            look_through_links(dirfd, path, options, use_place)
        } else {
            use_place(Where::Kernel)
        }
    }
}

/// Whether a path that the kernel does not find could lead into a mount.
#[inline(never)]
unsafe fn may_lead_elsewhere(dirfd: c_int, path: *const c_char, options: Options) -> bool {
    // SAFETY: passed on to the caller.
    let Some((world, text)) = world::get().zip(unsafe { bytes(path) }) else {
        return false;
    };
    if credentials::under_filter() {
        // Which may kill for a question that the program never asks.
        return names_mount(world, text);
    }
    // What is not absolute is known to start from outside a mount and its ancestors, but
    // for descriptors: theirs may be anywhere.
    let from_descriptor = dirfd != nr::AT_FDCWD && !text.starts_with(b"/");
    let follow_final = options.follow_final && !options.names_entry;
    from_descriptor && names_mount(world, text)
        // SAFETY: passed on to the caller.
        || unsafe { may_meet_link(dirfd, path, follow_final) }
}

/// Whether the kernel does not find a path of its own, which is not tried otherwise.
///
/// # Safety
/// As [`locate`].
pub unsafe fn is_missing(dirfd: c_int, path: *const c_char) -> bool {
    const F_OK: c_int = 0;
    // SAFETY: passed on to the caller.
    let found = sys::result(unsafe { sys::faccessat(dirfd, path, F_OK, 0) });
    matches!(found, Err(Errno::ENOENT | Errno::ENOTDIR))
}

/// Tells `use_place` what `path`, absolute or seen from the process's own directory, is for the
/// loader, which opens past our hooks; by symlinks outside as well.
pub fn for_loader<T>(from: From, path: &KernelPath, use_place: impl FnOnce(Where<'_>) -> T) -> T {
    // SAFETY: a C string of ours.
    unsafe {
        // One after the other, because each needs much stack.
        let is_kernels = at_first_sight(from, path, |place| matches!(place, Where::Kernel));
        if is_kernels && is_missing(nr::AT_FDCWD, path.as_ptr()) {
            look_closer(nr::AT_FDCWD, path.as_ptr(), Options::FOLLOW, use_place)
        } else {
            at_first_sight(from, path, use_place)
        }
    }
}

/// Tells `use_place` what a path is, outside symlinks left to the kernel.
#[inline(never)]
fn at_first_sight<T>(from: From, path: &KernelPath, use_place: impl FnOnce(Where<'_>) -> T) -> T {
    let mut scratch = PathBuffer::new();
    // SAFETY: a C string of ours.
    use_place(unsafe { locate_from(from, path.as_ptr(), Options::FOLLOW, &mut scratch) })
}

/// Whether a relative path without symlinks could lead into a mount, wherever it starts.
pub(super) fn names_mount(world: &World, text: &[u8]) -> bool {
    world.view.mounts().iter().any(|mount| {
        let name = mount.path().rsplit(|byte| *byte == b'/').next();
        text.split(|byte| *byte == b'/')
            .any(|component| component == b".." || Some(component) == name)
    })
}

/// Whether the kernel meets a symlink on the way along a path, as far as it exists. If not,
/// the path leads where it says. One system call.
///
/// # Safety
/// As [`locate`].
unsafe fn may_meet_link(dirfd: c_int, path: *const c_char, follow_final: bool) -> bool {
    let stop = if follow_final { 0 } else { nr::O_NOFOLLOW };
    let how = nr::open_how {
        flags: u64::from(nr::O_PATH | nr::O_CLOEXEC | stop),
        mode: 0,
        resolve: u64::from(nr::RESOLVE_NO_SYMLINKS),
    };
    // SAFETY: passed on to the caller.
    match sys::result(unsafe { sys::openat2(dirfd, path, &how) }) {
        Ok(opened) => {
            sys::close(opened as c_int);
            false
        }
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES | Errno::ENAMETOOLONG) => false,
        // There is one; or the kernel cannot say (before Linux 5.6, or forbidden).
        Err(_) => true,
    }
}

/// Tells `use_place` what a path means when every component outside the mounts is read
/// as a symlink. One readlink(2) a component, so only for calls that are about many
/// files (walks), or that have failed.
///
/// # Safety
/// As [`locate`].
#[cold]
#[inline(never)]
pub unsafe fn look_through_links<T>(
    dirfd: c_int,
    path: *const c_char,
    options: Options,
    use_place: impl FnOnce(Where<'_>) -> T,
) -> T {
    let mut scratch = PathBuffer::new();
    // SAFETY: passed on to the caller.
    use_place(unsafe { locate_exactly(dirfd, path, options, &mut scratch) })
}

/// Apart from its callers, which are many.
///
/// # Safety
/// As [`locate`].
#[inline(never)]
unsafe fn locate_exactly<'s>(
    dirfd: c_int,
    path: *const c_char,
    options: Options,
    scratch: &'s mut PathBuffer,
) -> Where<'s> {
    // SAFETY: passed on to the caller.
    let (Some(world), Some(path)) = (world::get(), unsafe { bytes(path) }) else {
        return Where::Kernel;
    };
    let absolute = path.starts_with(b"/");
    if !absolute && matches!(fd_table::get(dirfd), Known::Served(_)) {
        return Where::Kernel;
    }
    let mut buffer = [0; nr::PATH_MAX as usize];
    let base = if absolute {
        Base::Cwd(b"/")
    } else {
        let path = if dirfd == nr::AT_FDCWD {
            let bytes = sys::getcwd(&mut buffer).ok();
            bytes.and_then(|bytes| buffer.get(..bytes))
        } else {
            fd_table::physical_path(dirfd, &mut buffer)
        };
        match path {
            // Links in the view tree are not to be read from where it stands.
            Some(path) if world.split_physical(path).is_none() => Base::Dir(path),
            _ => return Where::Kernel,
        }
    };
    let options = Options {
        exact: true,
        ..options
    };
    let before = errno::last();
    let resolution = resolve::resolve(
        &world.view,
        base,
        path,
        options,
        &User::effective(),
        &mut KernelTree,
        scratch,
    );
    errno::restore(before);
    answer(world, resolution)
}

/// Symlinks outside the mounts, read from the kernel.
pub struct KernelTree;

/// Whether a link of `/proc` is of a symlink that has been opened itself: the kernel ends
/// there, whatever the symlink's text.
fn is_link_of_symlink(path: &KernelPath) -> bool {
    let flags = (nr::O_PATH | nr::O_CLOEXEC) as c_int;
    // SAFETY: a C string of ours.
    let opened = sys::result(unsafe { sys::openat(nr::AT_FDCWD, path.as_ptr(), flags, 0) });
    let Ok(descriptor) = opened else {
        return false;
    };
    let status = sys::fstat_of(descriptor as c_int);
    sys::close(descriptor as c_int);
    status.is_ok_and(|status| status.st_mode & nr::S_IFMT == nr::S_IFLNK)
}

impl Outside for KernelTree {
    fn readlink(&mut self, path: &[u8], buffer: &mut [u8]) -> Result<usize, Errno> {
        let text = KernelPath::new(path)?;
        let bytes = sys::readlinkat(nr::AT_FDCWD, text.as_ptr(), buffer)?;
        if path.starts_with(b"/proc/") && is_link_of_symlink(&text) {
            return Err(Errno::EINVAL);
        }
        Ok(bytes)
    }

    fn may_meet_link(&mut self, path: &[u8], follow_final: bool) -> bool {
        let Ok(text) = KernelPath::new(path) else {
            return true;
        };
        // SAFETY: a C string of ours.
        credentials::under_filter()
            || unsafe { may_meet_link(nr::AT_FDCWD, text.as_ptr(), follow_final) }
    }
}
