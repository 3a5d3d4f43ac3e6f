//! inotify_add_watch(2), fanotify_mark(2): what is served never changes, so a watch on it is accepted, on
//! what stands for it in the store. Paths of equal content share that, and so its watch.

use super::{asking, earlier_answer, standing_in};
use crate::locate::User;
use crate::served::{may_read, vnode};
use crate::world::{Entry, World};
use crate::{errno, fd_table, next, sys};
use core::ffi::{c_char, c_int, c_uint};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::Options;

/// What the kernel wants of what is watched: that it is a directory, if the call says so, and readable.
fn check(world: &'static World, entry: Entry, only_directories: bool) -> Result<(), Errno> {
    let vnode = vnode(world, entry)?;
    if only_directories && !vnode.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    if !vnode.is_symlink() && !may_read(world, entry, &vnode, &User::effective())? {
        return Err(Errno::EACCES);
    }
    Ok(())
}

fn following(follow: bool) -> Options {
    if follow {
        Options::FOLLOW
    } else {
        Options::NO_FOLLOW
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn inotify_add_watch(
    descriptor: c_int,
    path: *const c_char,
    mask: c_uint,
) -> c_int {
    let real = |path: *const c_char| match next::inotify_add_watch() {
        // SAFETY: the caller's arguments, or a path of ours.
        Some(real) => unsafe { real(descriptor, path, mask) },
        None => {
            let arguments = [descriptor as usize, path as usize, mask as usize, 0, 0, 0];
            // SAFETY: the kernel checks its pointers.
            errno::from_kernel(unsafe {
                sys::syscall6(nr::__NR_inotify_add_watch as usize, arguments)
            })
        }
    };
    // SAFETY: the caller's C string.
    unsafe {
        asking(
            nr::AT_FDCWD,
            path,
            following(mask & nr::IN_DONT_FOLLOW == 0),
            |world, entry| {
                check(world, entry, mask & nr::IN_ONLYDIR != 0)?;
                standing_in(world, entry, real)
            },
            |_, path| real(path),
        )
    }
}

// Of linux/fanotify.h.
const FAN_MARK_DONT_FOLLOW: c_uint = 0x4;
const FAN_MARK_ONLYDIR: c_uint = 0x8;
const FAN_MARK_MOUNT: c_uint = 0x10;
const FAN_MARK_FILESYSTEM: c_uint = 0x100;
const ENODEV: Errno = Errno(19);

/// A mark on the whole mount or file system would be one on the store, of all who use it: ENODEV, as of a
/// file system that cannot be marked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fanotify_mark(
    descriptor: c_int,
    flags: c_uint,
    mask: u64,
    dirfd: c_int,
    path: *const c_char,
) -> c_int {
    let real = |dirfd: c_int, path: *const c_char| match next::fanotify_mark() {
        // SAFETY: the caller's arguments, or a path of ours.
        Some(real) => unsafe { real(descriptor, flags, mask, dirfd, path) },
        None => {
            let arguments = [
                descriptor as usize,
                flags as usize,
                mask as usize,
                dirfd as isize as usize,
                path as usize,
                0,
            ];
            // SAFETY: the kernel checks its pointers.
            errno::from_kernel(unsafe { sys::syscall6(nr::__NR_fanotify_mark as usize, arguments) })
        }
    };
    let everything = flags & (FAN_MARK_MOUNT | FAN_MARK_FILESYSTEM) != 0;
    if path.is_null() {
        if everything && fd_table::served(dirfd).is_some() {
            return earlier_answer(|path| real(dirfd, path)).unwrap_or_else(|| errno::fail(ENODEV));
        }
        return real(dirfd, path);
    }
    // SAFETY: the caller's C string.
    unsafe {
        asking(
            dirfd,
            path,
            following(flags & FAN_MARK_DONT_FOLLOW == 0),
            |world, entry| {
                check(world, entry, flags & FAN_MARK_ONLYDIR != 0)?;
                if everything {
                    return Err(ENODEV);
                }
                standing_in(world, entry, |path| real(nr::AT_FDCWD, path))
            },
            real,
        )
    }
}
