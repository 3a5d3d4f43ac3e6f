//! statfs(2), statvfs(3), pathconf(3): answered for the store's file system, where the
//! content of a served path stands.

use super::reading;
use crate::served::{vnode, with_kernel_path};
use crate::stats::Family;
use crate::world::{Entry, World};
use crate::{errno, next, sys};
use core::ffi::{c_char, c_int, c_long, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::Options;

/// Asks `real` about `path`, or about what stands for it in the store.
unsafe fn asking(path: *const c_char, real: impl Fn(*const c_char) -> c_int) -> c_int {
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
            Options::FOLLOW,
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
