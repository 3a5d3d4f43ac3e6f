//! fts(3) and its `64` twins, which glibc lists inside, past our hooks. What programs see of
//! it (`FTS`, `FTSENT`) is laid out as glibc does, so a stream may change hands.
//!
//! musl has no fts; what brings one along there calls our other hooks.

mod build;
mod layout;
mod stream;

use crate::heap::Compare;
use crate::symbol::is_glibc;
use crate::{errno, next, world};
use core::ffi::{c_char, c_int};
use core::ptr::null_mut;
use layout::{Entry, Fts};
use velo_core::errno::Errno;

/// Whether streams are the next definition's.
fn is_passed() -> bool {
    world::get().is_none() || !is_glibc()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fts_open(
    roots: *const *const c_char,
    options: c_int,
    compare: Option<Compare>,
) -> *mut Fts {
    // SAFETY: see the module above.
    unsafe {
        if is_passed() {
            let compare = compare.map_or(core::ptr::null(), |compare| compare as *const _);
            return next::fts_open().map_or_else(
                || errno::fail_null(Errno::ENOSYS),
                |real| real(roots, options, compare).cast(),
            );
        }
        Fts::open(roots, options, compare).unwrap_or_else(errno::fail_null)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fts_read(stream: *mut Fts) -> *mut Entry {
    // SAFETY: see the module above.
    unsafe {
        if is_passed() {
            return next::fts_read().map_or(null_mut(), |real| real(stream.cast()).cast());
        }
        (*stream).read()
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fts_children(stream: *mut Fts, instruction: c_int) -> *mut Entry {
    // SAFETY: see the module above.
    unsafe {
        if is_passed() {
            return next::fts_children()
                .map_or(null_mut(), |real| real(stream.cast(), instruction).cast());
        }
        (*stream).children(instruction)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fts_set(stream: *mut Fts, entry: *mut Entry, instruction: c_int) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        if is_passed() {
            return next::fts_set()
                .map_or(1, |real| real(stream.cast(), entry.cast(), instruction));
        }
        match layout::instruction(instruction) {
            Some(instruction) => {
                (*entry).instruction = instruction;
                0
            }
            None => {
                errno::fail(Errno::EINVAL);
                1
            }
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fts_close(stream: *mut Fts) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        if is_passed() {
            return next::fts_close().map_or(-1, |real| real(stream.cast()));
        }
        Fts::close(stream)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fts64_open(
    roots: *const *const c_char,
    options: c_int,
    compare: Option<Compare>,
) -> *mut Fts {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { fts_open(roots, options, compare) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fts64_read(stream: *mut Fts) -> *mut Entry {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { fts_read(stream) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fts64_children(stream: *mut Fts, instruction: c_int) -> *mut Entry {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { fts_children(stream, instruction) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fts64_set(
    stream: *mut Fts,
    entry: *mut Entry,
    instruction: c_int,
) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { fts_set(stream, entry, instruction) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fts64_close(stream: *mut Fts) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { fts_close(stream) }
}
