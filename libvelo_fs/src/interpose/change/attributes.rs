//! chmod(2), chown(2), utimensat(2), truncate(2) and their twins, by path and by descriptor.

use super::{Change, at, changing, changing_descriptor, raw};
use crate::cwd::{self, Cwd};
use crate::locate::{Where, bytes, is_bad, locate};
use crate::served::vnode;
use crate::stats::{Family, Outcome, count};
use crate::{errno, fd_table, next, world};
use core::ffi::{c_char, c_int, c_long, c_uint, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Options, PathBuffer};

/// As [`changing_descriptor`], for calls that say `AT_EMPTY_PATH`; then `AT_FDCWD` is the
/// working directory.
pub(in crate::interpose) fn changing_itself(
    descriptor: c_int,
    pass: impl FnOnce() -> c_int,
) -> c_int {
    let served = if descriptor == nr::AT_FDCWD {
        world::get().is_some_and(|world| {
            matches!(
                cwd::get(world, &mut cwd::Buffer::new()),
                Some(Cwd::Served(_))
            )
        })
    } else {
        fd_table::is_in_store(descriptor)
    };
    if !served {
        return pass();
    }
    count(Family::Change, Outcome::Failed);
    errno::fail(Errno::EROFS)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn chmod(path: *const c_char, mode: c_uint) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        changing(
            Change::Attribute,
            nr::AT_FDCWD,
            path,
            |_, path| match next::chmod() {
                Some(real) => real(path, mode),
                None => raw(nr::__NR_chmod, [path as usize, mode as usize, 0, 0, 0]),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lchmod(path: *const c_char, mode: c_uint) -> c_int {
    // SAFETY: see the module above.
    unsafe { fchmodat(nr::AT_FDCWD, path, mode, nr::AT_SYMLINK_NOFOLLOW as c_int) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fchmod(descriptor: c_int, mode: c_uint) -> c_int {
    changing_descriptor(descriptor, || match next::fchmod() {
        // SAFETY: see the module above.
        Some(real) => unsafe { real(descriptor, mode) },
        None => raw(
            nr::__NR_fchmod,
            [descriptor as usize, mode as usize, 0, 0, 0],
        ),
    })
}

/// The flags of fchownat(2) and utimensat(2).
const ITSELF: u32 = nr::AT_SYMLINK_NOFOLLOW | nr::AT_EMPTY_PATH;

fn attribute_of(flags: c_int) -> Change {
    if flags as u32 & nr::AT_SYMLINK_NOFOLLOW == 0 {
        Change::Attribute
    } else {
        Change::LinkAttribute
    }
}

/// Whether a `*at` call with `AT_EMPTY_PATH` means its descriptor.
unsafe fn means_descriptor(path: *const c_char, flags: c_int) -> bool {
    // SAFETY: the caller's C string.
    flags as u32 & nr::AT_EMPTY_PATH != 0 && unsafe { bytes(path) }.is_some_and(<[u8]>::is_empty)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fchmodat(
    dirfd: c_int,
    path: *const c_char,
    mode: c_uint,
    flags: c_int,
) -> c_int {
    let pass = |dirfd: c_int, path: *const c_char| match next::fchmodat() {
        // SAFETY: the caller's arguments.
        Some(real) => unsafe { real(dirfd, path, mode, flags) },
        None => raw(
            nr::__NR_fchmodat,
            [at(dirfd), path as usize, mode as usize, 0, 0],
        ),
    };
    // SAFETY: see the module above.
    unsafe {
        if flags as u32 & !nr::AT_SYMLINK_NOFOLLOW != 0 {
            // Which flags there are depends on the C library and the kernel; asked without a path.
            let before = errno::last();
            let refused = pass(-1, c"x".as_ptr()) == -1 && errno::last() == Errno::EINVAL;
            errno::restore(before);
            if refused {
                return errno::fail(Errno::EINVAL);
            }
        }
        if means_descriptor(path, flags) {
            return changing_itself(dirfd, || pass(dirfd, path));
        }
        let answer = changing(attribute_of(flags), dirfd, path, pass);
        let of_link = attribute_of(flags) == Change::LinkAttribute;
        if answer == -1 && of_link && errno::last() == Errno::EROFS {
            return symlink_refused(dirfd, path, || {
                pass(nr::AT_FDCWD, c"/proc/self/exe".as_ptr())
            });
        }
        answer
    }
}

/// EROFS, or what the C library says of a symlink's permissions where it asks for the type
/// itself: known by `ask`, which is about a symlink that nobody can change.
unsafe fn symlink_refused(dirfd: c_int, path: *const c_char, ask: impl FnOnce() -> c_int) -> c_int {
    let mut scratch = PathBuffer::new();
    // SAFETY: the caller's C string.
    let place = unsafe { locate(dirfd, path, Options::NO_FOLLOW, &mut scratch) };
    if let Where::Served(world, entry) = place
        && vnode(world, entry).is_ok_and(|vnode| vnode.is_symlink())
        && ask() == -1
        && errno::last() == Errno::EOPNOTSUPP
    {
        return -1;
    }
    errno::fail(Errno::EROFS)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn chown(path: *const c_char, user: c_uint, group: c_uint) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        changing(
            Change::Attribute,
            nr::AT_FDCWD,
            path,
            |_, path| match next::chown() {
                Some(real) => real(path, user, group),
                None => raw(
                    nr::__NR_chown,
                    [path as usize, user as usize, group as usize, 0, 0],
                ),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lchown(path: *const c_char, user: c_uint, group: c_uint) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        changing(
            Change::LinkAttribute,
            nr::AT_FDCWD,
            path,
            |_, path| match next::lchown() {
                Some(real) => real(path, user, group),
                None => raw(
                    nr::__NR_lchown,
                    [path as usize, user as usize, group as usize, 0, 0],
                ),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fchown(descriptor: c_int, user: c_uint, group: c_uint) -> c_int {
    changing_descriptor(descriptor, || match next::fchown() {
        // SAFETY: see the module above.
        Some(real) => unsafe { real(descriptor, user, group) },
        None => raw(
            nr::__NR_fchown,
            [descriptor as usize, user as usize, group as usize, 0, 0],
        ),
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fchownat(
    dirfd: c_int,
    path: *const c_char,
    user: c_uint,
    group: c_uint,
    flags: c_int,
) -> c_int {
    let pass = |dirfd: c_int, path: *const c_char| match next::fchownat() {
        // SAFETY: the caller's arguments.
        Some(real) => unsafe { real(dirfd, path, user, group, flags) },
        None => raw(
            nr::__NR_fchownat,
            [
                at(dirfd),
                path as usize,
                user as usize,
                group as usize,
                flags as usize,
            ],
        ),
    };
    if flags as u32 & !ITSELF != 0 {
        // Refused before the path is looked at.
        return pass(dirfd, path);
    }
    // SAFETY: see the module above.
    unsafe {
        if means_descriptor(path, flags) {
            return changing_itself(dirfd, || pass(dirfd, path));
        }
        changing(attribute_of(flags), dirfd, path, pass)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn utime(path: *const c_char, times: *const c_void) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        changing(
            Change::Attribute,
            nr::AT_FDCWD,
            path,
            |_, path| match next::utime() {
                Some(real) => real(path, times),
                None => raw(nr::__NR_utime, [path as usize, times as usize, 0, 0, 0]),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn utimes(path: *const c_char, times: *const c_void) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        changing(
            Change::Attribute,
            nr::AT_FDCWD,
            path,
            |_, path| match next::utimes() {
                Some(real) => real(path, times),
                None => raw(nr::__NR_utimes, [path as usize, times as usize, 0, 0, 0]),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lutimes(path: *const c_char, times: *const c_void) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        changing(Change::LinkAttribute, nr::AT_FDCWD, path, |_, path| {
            next::lutimes().map_or_else(|| errno::fail(Errno::ENOSYS), |real| real(path, times))
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn futimes(descriptor: c_int, times: *const c_void) -> c_int {
    changing_descriptor(descriptor, || {
        // SAFETY: see the module above.
        next::futimes().map_or_else(
            || errno::fail(Errno::ENOSYS),
            |real| unsafe { real(descriptor, times) },
        )
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn futimesat(
    dirfd: c_int,
    path: *const c_char,
    times: *const c_void,
) -> c_int {
    let pass = |dirfd: c_int, path: *const c_char| match next::futimesat() {
        // SAFETY: the caller's arguments.
        Some(real) => unsafe { real(dirfd, path, times) },
        None => raw(
            nr::__NR_futimesat,
            [at(dirfd), path as usize, times as usize, 0, 0],
        ),
    };
    if path.is_null() {
        return changing_descriptor(dirfd, || pass(dirfd, path));
    }
    // SAFETY: see the module above.
    unsafe { changing(Change::Attribute, dirfd, path, pass) }
}

/// Whether times of utimensat(2) leave nothing to do, or cannot be: the kernel then says so
/// without a look at the file system, and in the first case without one at the path.
unsafe fn times_of(times: *const c_void) -> Times {
    const OMIT: i64 = (1 << 30) - 2;
    const NOW: i64 = (1 << 30) - 1;
    if is_bad(times) {
        return Times::Usual;
    }
    // SAFETY: the caller's two times of two words each.
    let nanoseconds = unsafe { [*times.cast::<i64>().add(1), *times.cast::<i64>().add(3)] };
    if nanoseconds == [OMIT, OMIT] {
        return Times::Omitted;
    }
    let valid = |part: &i64| (0..1_000_000_000).contains(part) || matches!(*part, OMIT | NOW);
    if nanoseconds.iter().all(valid) {
        Times::Usual
    } else {
        Times::Invalid
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    Usual,
    Omitted,
    Invalid,
}

/// EROFS, or what the kernel has against invalid `times` before that.
fn invalid_first(times: Times, answer: c_int) -> c_int {
    if answer == -1 && times == Times::Invalid && errno::last() == Errno::EROFS {
        return errno::fail(Errno::EINVAL);
    }
    answer
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn utimensat(
    dirfd: c_int,
    path: *const c_char,
    times: *const c_void,
    flags: c_int,
) -> c_int {
    let pass = |dirfd: c_int, path: *const c_char| match next::utimensat() {
        // SAFETY: the caller's arguments.
        Some(real) => unsafe { real(dirfd, path, times, flags) },
        None => raw(
            nr::__NR_utimensat,
            [at(dirfd), path as usize, times as usize, flags as usize, 0],
        ),
    };
    // SAFETY: see the module above.
    unsafe {
        let asked = times_of(times);
        if asked == Times::Omitted || flags as u32 & !ITSELF != 0 {
            // Nothing to do, or refused, before the path is looked at.
            return pass(dirfd, path);
        }
        let answer = if means_descriptor(path, flags) {
            changing_itself(dirfd, || pass(dirfd, path))
        } else {
            changing(attribute_of(flags), dirfd, path, pass)
        };
        invalid_first(asked, answer)
    }
}

/// utimensat(2) of the kernel, where a null path means the descriptor.
pub(in crate::interpose) unsafe fn utimensat_raw(
    dirfd: c_int,
    path: *const c_char,
    times: *const c_void,
    flags: c_int,
) -> c_int {
    if path.is_null() {
        // SAFETY: the caller's times.
        let asked = unsafe { times_of(times) };
        if asked == Times::Omitted {
            return 0;
        }
        let pass = || {
            raw(
                nr::__NR_utimensat,
                [at(dirfd), 0, times as usize, flags as usize, 0],
            )
        };
        if flags != 0 {
            return pass(); // refused, before the descriptor is looked at
        }
        return invalid_first(asked, changing_descriptor(dirfd, pass));
    }
    // SAFETY: the caller's arguments.
    unsafe { utimensat(dirfd, path, times, flags) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn futimens(descriptor: c_int, times: *const c_void) -> c_int {
    let pass = || match next::futimens() {
        // SAFETY: see the module above.
        Some(real) => unsafe { real(descriptor, times) },
        None => raw(
            nr::__NR_utimensat,
            [descriptor as usize, 0, times as usize, 0, 0],
        ),
    };
    // SAFETY: the caller's times.
    let asked = unsafe { times_of(times) };
    if asked == Times::Omitted {
        return pass();
    }
    invalid_first(asked, changing_descriptor(descriptor, pass))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn truncate(path: *const c_char, length: c_long) -> c_int {
    let pass = |path: *const c_char| match next::truncate() {
        // SAFETY: the caller's arguments.
        Some(real) => unsafe { real(path, length) },
        None => raw(nr::__NR_truncate, [path as usize, length as usize, 0, 0, 0]),
    };
    if length < 0 {
        return pass(path);
    }
    // SAFETY: see the module above.
    unsafe { changing(Change::Length, nr::AT_FDCWD, path, |_, path| pass(path)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn truncate64(path: *const c_char, length: c_long) -> c_int {
    // SAFETY: the same on 64-bit machines.
    unsafe { truncate(path, length) }
}
