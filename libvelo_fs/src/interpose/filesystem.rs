//! statfs(2), statvfs(3), pathconf(3), inotify_add_watch(2): answered for what stands
//! for a served path in the store.

use super::reading;
use crate::served::{vnode, with_kernel_path};
use crate::stats::Family;
use crate::world::{Entry, World};
use crate::{errno, next, sys};
use core::ffi::{c_char, c_int, c_long, c_uint, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::Options;

/// Asks `real` about what `path` leads to, or about what stands for it in the store.
unsafe fn asking(path: *const c_char, real: impl Fn(*const c_char) -> c_int) -> c_int {
    // SAFETY: the caller's C string.
    unsafe { asking_with(path, Options::FOLLOW, real) }
}

unsafe fn asking_with(
    path: *const c_char,
    options: Options,
    real: impl Fn(*const c_char) -> c_int,
) -> c_int {
    let serve = |world: &'static World, entry: Entry| {
        let vnode = vnode(world, entry)?;
        let answer = with_kernel_path(world, entry, &vnode, &real)?;
        if answer == -1 {
            Err(errno::last())
        } else {
            Ok(answer)
        }
    };
    // SAFETY: the caller's C string.
    unsafe {
        reading(
            Family::Stat,
            nr::AT_FDCWD,
            path,
            options,
            serve,
            |_, path| real(path),
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn statfs(path: *const c_char, out: *mut c_void) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        asking(path, |path| match next::statfs() {
            Some(real) => real(path, out),
            None => {
                let arguments = [path as usize, out as usize, 0, 0, 0, 0];
                errno::from_kernel(sys::syscall6(nr::__NR_statfs as usize, arguments))
            }
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn statfs64(path: *const c_char, out: *mut c_void) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { statfs(path, out) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn statvfs(path: *const c_char, out: *mut c_void) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        asking(path, |path| {
            next::statvfs().map_or_else(|| errno::fail(Errno::ENOSYS), |real| real(path, out))
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn statvfs64(path: *const c_char, out: *mut c_void) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { statvfs(path, out) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pathconf(path: *const c_char, name: c_int) -> c_long {
    // SAFETY: see the module above. Limits fit an int.
    let answer = unsafe {
        asking(path, |path| {
            next::pathconf().map_or_else(
                || errno::fail(Errno::ENOSYS),
                |real| real(path, name) as c_int,
            )
        })
    };
    c_long::from(answer)
}

/// A watch on what never changes: accepted, and silent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inotify_add_watch(
    descriptor: c_int,
    path: *const c_char,
    mask: c_uint,
) -> c_int {
    let options = if mask & nr::IN_DONT_FOLLOW == 0 {
        Options::FOLLOW
    } else {
        Options::NO_FOLLOW
    };
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
    unsafe { asking_with(path, options, real) }
}
