//! ftw(3), nftw(3) and their twins. The C library's own list inside, past our hooks, so
//! they are answered here, as glibc or as musl does it, whichever is loaded.
//!
//! A physical walk that can meet no mount is the C library's.

mod glibc;
mod musl;

use super::walk;
use crate::locate::is_bad;
use crate::symbol::is_glibc;
use crate::sys::Stat;
use crate::{errno, next, world};
use core::ffi::{c_char, c_int};
use velo_core::errno::Errno;

/// `struct FTW`.
#[repr(C)]
pub struct Position {
    /// Bytes of the path before the entry's own name.
    base: c_int,
    /// Depth below where the walk began.
    level: c_int,
}

/// The caller's function; that of ftw(3) does not look at its last argument.
pub type Visit = unsafe extern "C" fn(*const c_char, *const Stat, c_int, *mut Position) -> c_int;

/// Do not follow symlinks.
const FTW_PHYS: c_int = 1;
/// Stay within one file system.
const FTW_MOUNT: c_int = 2;
/// Report a directory after what is in it.
const FTW_DEPTH: c_int = 8;

/// Whether the walk is the C library's: nothing is served, nothing served can be met, or it
/// has no path and crashes.
unsafe fn is_passed(path: *const c_char, physical: bool) -> bool {
    // SAFETY: a C string, where it is not a bad pointer.
    is_bad(path) || world::get().is_none() || physical && unsafe { walk::is_apart(path, false) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nftw(
    path: *const c_char,
    visit: Visit,
    descriptors: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        if is_passed(path, flags & FTW_PHYS != 0) {
            return next::nftw().map_or_else(
                || errno::fail(Errno::ENOSYS),
                |real| real(path, visit as *const _, descriptors, flags),
            );
        }
        if is_glibc() {
            glibc::nftw(path, visit, descriptors, flags)
        } else {
            musl::nftw(path, visit, descriptors, flags)
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nftw64(
    path: *const c_char,
    visit: Visit,
    descriptors: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { nftw(path, visit, descriptors, flags) }
}

/// glibc follows symlinks here, musl does not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftw(path: *const c_char, visit: Visit, descriptors: c_int) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        if is_passed(path, !is_glibc()) {
            return next::ftw().map_or_else(
                || errno::fail(Errno::ENOSYS),
                |real| real(path, visit as *const _, descriptors),
            );
        }
        if is_glibc() {
            glibc::ftw(path, visit, descriptors)
        } else {
            musl::nftw(path, visit, descriptors, FTW_PHYS)
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftw64(path: *const c_char, visit: Visit, descriptors: c_int) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { ftw(path, visit, descriptors) }
}
