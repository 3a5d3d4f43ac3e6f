//! mkstemp(3), mkdtemp(3), tmpfile(3) and their twins: the C library creates inside, past our hooks.

use super::{Change, changing};
use crate::locate::{Where, bytes, locate};
use crate::{errno, fd_table, next};
use core::cell::Cell;
use core::ffi::{c_char, c_int, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Options, PathBuffer};

const PATH_BYTES: usize = nr::PATH_MAX as usize;
/// Bytes that the C library makes up.
const MADE_UP_BYTES: usize = 6;

/// The C library opens the file inside. Whether the place is served shows by the template
/// itself, whose name does not exist yet. Where the way leads out of a mount, the kernel stands
/// in the view tree and needs another spelling: what is made up for that is copied back.
unsafe fn making_temporary(
    template: *mut c_char,
    suffix: c_int,
    pass: impl Fn(*mut c_char) -> c_int,
) -> c_int {
    let end = usize::try_from(suffix)
        .unwrap_or(0)
        .saturating_add(MADE_UP_BYTES);
    // SAFETY: the caller's C string.
    let is_template = unsafe { bytes(template) }.is_none_or(|text| {
        text.len()
            .checked_sub(end)
            .and_then(|start| text.get(start..start + MADE_UP_BYTES))
            .is_some_and(|part| part == b"XXXXXX")
    });
    if !is_template {
        // Refused before anything is looked at.
        return pass(template);
    }
    // SAFETY: the caller's C string, which `pass` may write the made up part of.
    let answer = unsafe {
        changing(Change::Create, nr::AT_FDCWD, template, |_, path| {
            if path == template.cast_const() {
                return pass(template);
            }
            let (Some(rewritten), Some(text)) = (bytes(path), bytes(template)) else {
                return pass(template);
            };
            let mut buffer = [0_u8; PATH_BYTES];
            let (length, given) = (rewritten.len(), text.len());
            let Some(slot) = buffer.get_mut(..length).filter(|_| length < PATH_BYTES) else {
                return errno::fail(Errno::ENAMETOOLONG);
            };
            slot.copy_from_slice(rewritten);
            let answer = pass(buffer.as_mut_ptr().cast());
            if let Some(made_up) = length
                .checked_sub(end)
                .and_then(|start| buffer.get(start..start + MADE_UP_BYTES))
                && answer != -1
                && given >= end
            {
                let out = template.cast::<u8>().add(given - end);
                core::ptr::copy_nonoverlapping(made_up.as_ptr(), out, MADE_UP_BYTES);
            }
            answer
        })
    };
    if answer == -1 && errno::last() == Errno::EEXIST {
        // The template's own name is taken: another one would be tried.
        return errno::fail(Errno::EROFS);
    }
    answer
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
        making_temporary(template, suffix, |template| {
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
    let pass = |template| match next::mkdtemp() {
        // SAFETY: see the module above.
        Some(real) if unsafe { real(template) }.is_null() => -1,
        Some(_) => 0,
        None => errno::fail(Errno::ENOSYS),
    };
    // SAFETY: see the module above.
    match unsafe { making_temporary(template, 0, pass) } {
        0 => template,
        _ => core::ptr::null_mut(),
    }
}

/// The C library's file stands in `/tmp`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tmpfile() -> *mut c_void {
    let made = Cell::new(core::ptr::null_mut());
    // SAFETY: a C string of ours.
    unsafe {
        changing(
            Change::Create,
            nr::AT_FDCWD,
            c"/tmp/tmpfXXXXXX".as_ptr(),
            |_, _| {
                made.set(next::tmpfile().map_or(core::ptr::null_mut(), |real| real()));
                0
            },
        );
    }
    made.get()
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
