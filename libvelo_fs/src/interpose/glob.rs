//! glob(3): the C library lists inside, past our hooks, but takes other functions to
//! list with (`GLOB_ALTDIRFUNC`), so it is given ours. musl has no such thing, and
//! its own `glob` stays as it is.

use super::{directory, stat};
use crate::symbol::weak_address;
use crate::{next, world};
use core::ffi::{c_char, c_int, c_void};

/// `glob_t` of glibc on 64-bit machines.
#[repr(C)]
pub struct Glob {
    path_count: usize,
    paths: *mut *mut c_char,
    offset: usize,
    flags: c_int,
    closedir: *const c_void,
    readdir: *const c_void,
    opendir: *const c_void,
    lstat: *const c_void,
    stat: *const c_void,
}

const GLOB_ALTDIRFUNC: c_int = 1 << 9;
/// What glob(3) answers when it runs out of memory; it cannot say that it is missing.
const GLOB_NOSPACE: c_int = 1;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn glob(
    pattern: *const c_char,
    flags: c_int,
    on_error: *const c_void,
    found: *mut Glob,
) -> c_int {
    let Some(real) = next::glob() else {
        return GLOB_NOSPACE;
    };
    let glibc = !weak_address!("gnu_get_libc_version").is_null();
    // SAFETY: see the module above; under glibc `found` has that layout, and the
    // functions have the types that it wants.
    unsafe {
        if world::get().is_none() || !glibc || found.is_null() || flags & GLOB_ALTDIRFUNC != 0 {
            return real(pattern, flags, on_error, found.cast());
        }
        (*found).closedir = directory::closedir as *const c_void;
        (*found).readdir = directory::readdir as *const c_void;
        (*found).opendir = directory::opendir as *const c_void;
        (*found).lstat = stat::lstat as *const c_void;
        (*found).stat = stat::stat as *const c_void;
        let answer = real(pattern, flags | GLOB_ALTDIRFUNC, on_error, found.cast());
        (*found).flags &= !GLOB_ALTDIRFUNC;
        answer
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn glob64(
    pattern: *const c_char,
    flags: c_int,
    on_error: *const c_void,
    found: *mut Glob,
) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { glob(pattern, flags, on_error, found) }
}
