//! close(2), dup(2), fcntl(2) and their kin: they keep the descriptor table true.

use crate::{cwd, errno, fd_table, next, sys};
use core::ffi::{c_int, c_uint};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(descriptor: c_int) -> c_int {
    // Before the call: once it is closed, another thread may get the number.
    fd_table::clear(descriptor);
    match next::close() {
        // SAFETY: see the module above.
        Some(real) => unsafe { real(descriptor) },
        None => errno::from_kernel(sys::close(descriptor)),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __close(descriptor: c_int) -> c_int {
    // SAFETY: another name of the same function.
    unsafe { close(descriptor) }
}

/// musl's name of a close that does not fail with EINTR, which its close(2) does not either.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_close(descriptor: c_int, _flags: c_int) -> c_int {
    // SAFETY: the same function.
    unsafe { close(descriptor) }
}

/// `CLOSE_RANGE_CLOEXEC` only marks, `CLOSE_RANGE_UNSHARE` does not matter here.
const CLOSE_RANGE_CLOEXEC: c_int = 4;

/// Forgets what close_range(2) is about to close.
pub(super) fn note_close_range(first: c_uint, last: c_uint, flags: c_int) {
    if flags & CLOSE_RANGE_CLOEXEC == 0 {
        fd_table::clear_range(first, last);
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    note_close_range(first, last, flags);
    match next::close_range() {
        // SAFETY: see the module above.
        Some(real) => unsafe { real(first, last, flags) },
        None => {
            let arguments = [first as usize, last as usize, flags as usize, 0, 0, 0];
            // SAFETY: no pointers.
            errno::from_kernel(unsafe { sys::syscall6(nr::__NR_close_range as usize, arguments) })
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn closefrom(first: c_int) {
    fd_table::clear_range(first.max(0) as c_uint, c_uint::MAX);
    match next::closefrom() {
        // SAFETY: see the module above.
        Some(real) => unsafe { real(first) },
        None => {
            let arguments = [first.max(0) as usize, u32::MAX as usize, 0, 0, 0, 0];
            // SAFETY: no pointers.
            unsafe { sys::syscall6(nr::__NR_close_range as usize, arguments) };
        }
    }
}

/// Notes a duplicate that the kernel has made.
pub(super) fn note_duplicate(original: c_int, duplicate: c_int) -> c_int {
    if duplicate >= 0 && duplicate != original {
        fd_table::copy(original, duplicate);
    }
    duplicate
}

fn raw(number: u32, a: usize, b: usize, c: usize) -> c_int {
    // SAFETY: descriptors only.
    errno::from_kernel(unsafe { sys::syscall6(number as usize, [a, b, c, 0, 0, 0]) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup(original: c_int) -> c_int {
    let duplicate = match next::dup() {
        // SAFETY: see the module above.
        Some(real) => unsafe { real(original) },
        None => raw(nr::__NR_dup, original as usize, 0, 0),
    };
    note_duplicate(original, duplicate)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup2(original: c_int, wanted: c_int) -> c_int {
    let duplicate = match next::dup2() {
        // SAFETY: see the module above.
        Some(real) => unsafe { real(original, wanted) },
        None => raw(nr::__NR_dup2, original as usize, wanted as usize, 0),
    };
    note_duplicate(original, duplicate)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __dup2(original: c_int, wanted: c_int) -> c_int {
    // SAFETY: another name of the same function.
    unsafe { dup2(original, wanted) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup3(original: c_int, wanted: c_int, flags: c_int) -> c_int {
    let duplicate = match next::dup3() {
        // SAFETY: see the module above.
        Some(real) => unsafe { real(original, wanted, flags) },
        None => raw(
            nr::__NR_dup3,
            original as usize,
            wanted as usize,
            flags as usize,
        ),
    };
    note_duplicate(original, duplicate)
}

/// Notes what fcntl(2) has done.
pub(super) fn note_fcntl(original: c_int, command: c_int, answer: c_int) -> c_int {
    if matches!(command as u32, nr::F_DUPFD | nr::F_DUPFD_CLOEXEC) {
        return note_duplicate(original, answer);
    }
    answer
}

/// `argument` is a register wide, whatever the command takes: an int, a pointer or nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fcntl(descriptor: c_int, command: c_int, argument: usize) -> c_int {
    let answer = match next::fcntl() {
        // SAFETY: see the module above.
        Some(real) => unsafe { real(descriptor, command, argument) },
        None => raw(
            nr::__NR_fcntl,
            descriptor as usize,
            command as usize,
            argument,
        ),
    };
    note_fcntl(descriptor, command, answer)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fcntl64(descriptor: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: the same on 64-bit machines.
    unsafe { fcntl(descriptor, command, argument) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __fcntl(descriptor: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: another name of the same function.
    unsafe { fcntl(descriptor, command, argument) }
}

const STANDARD_LAST: c_uint = 2;

/// daemon(3) changes the directory and replaces the standard descriptors inside the C library. It returns in the
/// child only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemon(keep_directory: c_int, keep_descriptors: c_int) -> c_int {
    let Some(real) = next::daemon() else {
        return errno::fail(Errno::ENOSYS);
    };
    // SAFETY: see the module above.
    let answer = unsafe { real(keep_directory, keep_descriptors) };
    if keep_directory == 0 {
        cwd::set_unknown();
    }
    if keep_descriptors == 0 {
        fd_table::clear_range(0, STANDARD_LAST);
    }
    answer
}

/// login_tty(3) makes a terminal the standard descriptors and closes it, inside the C library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn login_tty(terminal: c_int) -> c_int {
    let Some(real) = next::login_tty() else {
        return errno::fail(Errno::ENOSYS);
    };
    // SAFETY: see the module above.
    let answer = unsafe { real(terminal) };
    if answer == 0 {
        fd_table::clear(terminal);
        fd_table::clear_range(0, STANDARD_LAST);
    }
    answer
}
