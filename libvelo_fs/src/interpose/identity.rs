//! setuid(2) and its kin, unshare(2), prctl(2): nothing of them is served, but the
//! answers of others depend on who the process is and on what it shares.

use crate::{credentials, cwd, errno, next, sys};
use core::ffi::{c_char, c_int, c_long, c_uint, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;

/// What a function answers that the C library does not have.
fn missing() -> c_int {
    errno::fail(Errno::ENOSYS)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn setuid(user: c_uint) -> c_int {
    credentials::change();
    // SAFETY: see the module above.
    next::setuid().map_or_else(missing, |real| unsafe { real(user) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn setgid(group: c_uint) -> c_int {
    credentials::change();
    // SAFETY: see the module above.
    next::setgid().map_or_else(missing, |real| unsafe { real(group) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn seteuid(user: c_uint) -> c_int {
    credentials::change();
    // SAFETY: see the module above.
    next::seteuid().map_or_else(missing, |real| unsafe { real(user) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn setegid(group: c_uint) -> c_int {
    credentials::change();
    // SAFETY: see the module above.
    next::setegid().map_or_else(missing, |real| unsafe { real(group) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn setreuid(user: c_uint, effective: c_uint) -> c_int {
    credentials::change();
    // SAFETY: see the module above.
    next::setreuid().map_or_else(missing, |real| unsafe { real(user, effective) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn setregid(group: c_uint, effective: c_uint) -> c_int {
    credentials::change();
    // SAFETY: see the module above.
    next::setregid().map_or_else(missing, |real| unsafe { real(group, effective) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn setresuid(user: c_uint, effective: c_uint, saved: c_uint) -> c_int {
    credentials::change();
    // SAFETY: see the module above.
    next::setresuid().map_or_else(missing, |real| unsafe { real(user, effective, saved) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn setresgid(group: c_uint, effective: c_uint, saved: c_uint) -> c_int {
    credentials::change();
    // SAFETY: see the module above.
    next::setresgid().map_or_else(missing, |real| unsafe { real(group, effective, saved) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn setgroups(count: usize, groups: *const c_uint) -> c_int {
    credentials::change();
    // SAFETY: see the module above.
    next::setgroups().map_or_else(missing, |real| unsafe { real(count, groups) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn initgroups(name: *const c_char, group: c_uint) -> c_int {
    credentials::change();
    // SAFETY: see the module above.
    next::initgroups().map_or_else(missing, |real| unsafe { real(name, group) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn setfsuid(user: c_uint) -> c_int {
    credentials::change_of_file_system_ids();
    // SAFETY: see the module above.
    next::setfsuid().map_or_else(missing, |real| unsafe { real(user) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn setfsgid(group: c_uint) -> c_int {
    credentials::change_of_file_system_ids();
    // SAFETY: see the module above.
    next::setfsgid().map_or_else(missing, |real| unsafe { real(group) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn capset(header: *mut c_void, sets: *const c_void) -> c_int {
    credentials::change_of_thread();
    // SAFETY: see the module above.
    next::capset().map_or_else(missing, |real| unsafe { real(header, sets) })
}

/// Flags of unshare(2) that give the thread a working directory of its own.
const OWN_DIRECTORY: u32 = nr::CLONE_FS | nr::CLONE_NEWNS | nr::CLONE_NEWUSER;

/// Notes what unshare(2) is about to do.
fn note_unshare(flags: c_int) {
    if flags as u32 & OWN_DIRECTORY != 0 {
        cwd::separate();
    }
    if flags as u32 & nr::CLONE_NEWUSER != 0 {
        credentials::change_of_thread();
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn unshare(flags: c_int) -> c_int {
    note_unshare(flags);
    // SAFETY: see the module above.
    next::unshare().map_or_else(missing, |real| unsafe { real(flags) })
}

/// A mount namespace has a working directory of its own, a user namespace other rights.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn setns(descriptor: c_int, kind: c_int) -> c_int {
    credentials::change_of_thread();
    // SAFETY: see the module above.
    let answer = next::setns().map_or_else(missing, |real| unsafe { real(descriptor, kind) });
    cwd::set_unknown();
    answer
}

const PR_SET_SECCOMP: c_int = 22;
const PR_SET_SECUREBITS: c_int = 28;

/// Notes what prctl(2) is about to do.
fn note_prctl(option: c_int) {
    match option {
        PR_SET_SECCOMP => credentials::before_filter(),
        PR_SET_SECUREBITS => credentials::change_of_thread(),
        _ => {}
    }
}

/// The arguments are registers, whatever the option takes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn prctl(option: c_int, a: usize, b: usize, c: usize, d: usize) -> c_int {
    note_prctl(option);
    // SAFETY: see the module above.
    next::prctl().map_or_else(missing, |real| unsafe { real(option, a, b, c, d) })
}

/// The same calls by number, which change the calling thread alone.
pub(super) unsafe fn by_number(number: u32, arguments: [usize; 6]) -> c_long {
    let [first, ..] = arguments;
    match number {
        nr::__NR_setfsuid | nr::__NR_setfsgid => credentials::change_of_file_system_ids(),
        nr::__NR_unshare => note_unshare(first as c_int),
        nr::__NR_prctl => note_prctl(first as c_int),
        nr::__NR_seccomp => credentials::before_filter(),
        _ => credentials::change_of_thread(),
    }
    // SAFETY: passed on to the caller.
    let answer = unsafe { sys::syscall6(number as usize, arguments) };
    if number == nr::__NR_setns {
        cwd::set_unknown();
    }
    errno::from_kernel(answer).into()
}
