//! The calling thread's `errno`. Written only when a served call fails.

use core::ffi::c_int;
use velo_core::errno::Errno;

unsafe extern "C" {
    // glibc and musl both export it under this name.
    fn __errno_location() -> *mut c_int;
}

/// Sets `errno` and answers -1, as failing C calls do (errno(3)).
#[cold]
pub fn fail(error: Errno) -> c_int {
    // SAFETY: the C library answers a pointer to this thread's own errno.
    unsafe { *__errno_location() = error.0 };
    -1
}

/// Sets `errno` and answers a null pointer.
#[cold]
pub fn fail_null<T>(error: Errno) -> *mut T {
    fail(error);
    core::ptr::null_mut()
}

/// What the last failed call left behind.
pub fn last() -> Errno {
    // SAFETY: as in `fail`.
    Errno(unsafe { *__errno_location() })
}

/// Puts `error` back, after calls of our own that may have changed it.
pub fn restore(error: Errno) {
    // SAFETY: as in `fail`.
    unsafe { *__errno_location() = error.0 };
}

/// A raw system call's answer in the C convention.
#[inline(always)]
pub fn from_kernel(answer: isize) -> c_int {
    if (-4095..0).contains(&answer) {
        fail(Errno(-answer as i32))
    } else {
        answer as c_int
    }
}
