//! mkstemp(3), mkdtemp(3), tmpfile(3) and their twins: the C library creates inside, past our hooks.

use super::{Change, changing};
use crate::locate::{Where, bytes, locate};
use crate::{errno, fd_table, next};
use core::ffi::{c_char, c_int, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Options, PathBuffer};

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

/// The C library's file stands in `/tmp`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tmpfile() -> *mut c_void {
    let mut made = core::ptr::null_mut();
    // SAFETY: a C string of ours.
    unsafe {
        changing(
            Change::Create,
            nr::AT_FDCWD,
            c"/tmp/tmpfXXXXXX".as_ptr(),
            |_, _| {
                made = next::tmpfile().map_or(core::ptr::null_mut(), |real| real());
                0
            },
        );
    }
    made
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn tmpfile64() -> *mut c_void {
    // SAFETY: the same on 64-bit machines.
    unsafe { tmpfile() }
}

/// mktemp(3) only finds a name that is free: any is in a served directory, but the way there may be none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mktemp(template: *mut c_char) -> *mut c_char {
    let mut scratch = PathBuffer::new();
    // SAFETY: see the module above; a template is the caller's own memory.
    unsafe {
        let is_template = bytes(template).is_some_and(|text| text.ends_with(b"XXXXXX"));
        match locate(nr::AT_FDCWD, template, Options::NO_FOLLOW, &mut scratch) {
            Where::Failed(error) if is_template && error != Errno::ENOENT => {
                errno::fail(error);
                *template = 0;
                template
            }
            _ => next::mktemp()
                .map_or_else(|| errno::fail_null(Errno::ENOSYS), |real| real(template)),
        }
    }
}
