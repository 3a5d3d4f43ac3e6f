//! mkstemp(3), mkdtemp(3) and their twins: the C library creates inside, past our hooks.

use super::{Change, changing};
use crate::{errno, fd_table, next};
use core::ffi::{c_char, c_int};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;

/// The C library opens the file inside. Whether the place is served shows by the
/// template itself, whose name does not exist yet.
unsafe fn making_temporary(template: *mut c_char, pass: impl FnOnce() -> c_int) -> c_int {
    // SAFETY: the caller's C string.
    unsafe { changing(Change::Unlink, nr::AT_FDCWD, template, |_, _| pass()) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkstemp(template: *mut c_char) -> c_int {
    // SAFETY: see the module above.
    unsafe { mkostemps(template, 0, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkstemp64(template: *mut c_char) -> c_int {
    // SAFETY: the same on 64-bit machines.
    unsafe { mkostemps(template, 0, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkostemp(template: *mut c_char, flags: c_int) -> c_int {
    // SAFETY: see the module above.
    unsafe { mkostemps(template, 0, flags) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkostemp64(template: *mut c_char, flags: c_int) -> c_int {
    // SAFETY: the same on 64-bit machines.
    unsafe { mkostemps(template, 0, flags) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkstemps(template: *mut c_char, suffix: c_int) -> c_int {
    // SAFETY: see the module above.
    unsafe { mkostemps(template, suffix, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkstemps64(template: *mut c_char, suffix: c_int) -> c_int {
    // SAFETY: the same on 64-bit machines.
    unsafe { mkostemps(template, suffix, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkostemps(template: *mut c_char, suffix: c_int, flags: c_int) -> c_int {
    // SAFETY: see the module above.
    let opened = unsafe {
        making_temporary(template, || {
            next::mkostemps().map_or_else(
                || errno::fail(Errno::ENOSYS),
                |real| real(template, suffix, flags),
            )
        })
    };
    if opened >= 0 {
        fd_table::set(opened, fd_table::Known::Foreign);
    }
    opened
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkostemps64(template: *mut c_char, suffix: c_int, flags: c_int) -> c_int {
    // SAFETY: the same on 64-bit machines.
    unsafe { mkostemps(template, suffix, flags) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdtemp(template: *mut c_char) -> *mut c_char {
    let mut made = core::ptr::null_mut();
    // SAFETY: see the module above.
    unsafe {
        making_temporary(template, || {
            made = next::mkdtemp().map_or(core::ptr::null_mut(), |real| real(template));
            0
        });
    }
    made
}
