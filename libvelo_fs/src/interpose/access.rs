//! access(2), faccessat(2), euidaccess(3).

use super::{finish, look_again};
use crate::locate::{self, Quick, User, Where, locate_for};
use crate::served::{metadata, vnode};
use crate::stats::{Family, Outcome, count};
use crate::world::{Entry, World};
use crate::{errno, next, sys};
use core::ffi::{c_char, c_int};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Options, PathBuffer, WRITE, may_access};

const MODES: c_int = 7;

/// What a read-only mount that holds the entry answers: permission first, then EROFS.
fn check(world: &World, entry: Entry, mode: c_int, user: &User) -> Result<c_int, Errno> {
    let wanted = mode as u32;
    let vnode = vnode(world, entry)?;
    let bits = vnode.mode;
    let everybody = bits >> 6 & bits >> 3 & bits & 7;
    if everybody & wanted != wanted && !may_access(&metadata(world, entry)?, wanted, user) {
        return Err(Errno::EACCES);
    }
    if wanted & WRITE != 0 {
        Err(Errno::EROFS)
    } else {
        Ok(0)
    }
}

unsafe fn access_at(
    dirfd: c_int,
    path: *const c_char,
    mode: c_int,
    flags: c_int,
    user: &User,
    pass: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    let options = Options {
        follow_final: flags as u32 & nr::AT_SYMLINK_NOFOLLOW == 0,
        ..Options::FOLLOW
    };
    let options = Options {
        allow_empty: flags as u32 & nr::AT_EMPTY_PATH != 0,
        ..options
    };
    if mode & !MODES == 0 {
        // SAFETY: the caller's C string.
        match unsafe { locate::quick(path, options) } {
            Quick::Found(world, entry) => {
                return finish(Family::Access, check(world, entry, mode, user));
            }
            Quick::Absent => return finish(Family::Access, Err(Errno::ENOENT)),
            Quick::Unknown => {}
        }
    }
    // SAFETY: the caller's C string.
    unsafe { access_slowly(dirfd, path, mode, options, user, pass) }
}

/// What is not that plain. Apart, because it needs much stack.
#[inline(never)]
unsafe fn access_slowly(
    dirfd: c_int,
    path: *const c_char,
    mode: c_int,
    options: Options,
    user: &User,
    pass: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    let mut scratch = PathBuffer::new();
    // SAFETY: the caller's C string.
    let place = unsafe { locate_for(user, dirfd, path, options, &mut scratch) };
    match place {
        _ if mode & !MODES != 0 => pass(dirfd, path),
        Where::Served(world, entry) => finish(Family::Access, check(world, entry, mode, user)),
        Where::Absent { .. } => finish(Family::Access, Err(Errno::ENOENT)),
        Where::Failed(error) => finish(Family::Access, Err(error)),
        Where::KernelAt(path) => {
            count(Family::Access, Outcome::PassedRewritten);
            pass(nr::AT_FDCWD, path.as_ptr())
        }
        Where::Kernel => {
            count(Family::Access, Outcome::PassedOutside);
            let before = errno::last();
            let answer = pass(dirfd, path);
            let failed = (answer == -1).then_some(before);
            let again = |place: Where<'_>| match place {
                Where::Served(world, entry) => {
                    check(world, entry, mode, user).unwrap_or_else(errno::fail)
                }
                Where::KernelAt(path) => pass(nr::AT_FDCWD, path.as_ptr()),
                Where::Absent { .. } | Where::Kernel => errno::fail(Errno::ENOENT),
                Where::Failed(error) => errno::fail(error),
            };
            // SAFETY: the caller's C string.
            unsafe { look_again(failed, Family::Access, dirfd, path, options, again) }
                .unwrap_or(answer)
        }
    }
}

fn raw(dirfd: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int {
    // SAFETY: the kernel checks its pointers.
    errno::from_kernel(unsafe { sys::faccessat(dirfd, path, mode, flags) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn access(path: *const c_char, mode: c_int) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        access_at(
            nr::AT_FDCWD,
            path,
            mode,
            0,
            &User::real(),
            |_, path| match next::access() {
                Some(real) => real(path, mode),
                None => raw(nr::AT_FDCWD, path, mode, 0),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn faccessat(
    dirfd: c_int,
    path: *const c_char,
    mode: c_int,
    flags: c_int,
) -> c_int {
    let known = nr::AT_EACCESS | nr::AT_SYMLINK_NOFOLLOW | nr::AT_EMPTY_PATH;
    let pass = |dirfd, path| match next::faccessat() {
        // SAFETY: the caller's arguments.
        Some(real) => unsafe { real(dirfd, path, mode, flags) },
        None => raw(dirfd, path, mode, flags),
    };
    if flags as u32 & !known != 0 {
        return pass(dirfd, path);
    }
    let user = if flags as u32 & nr::AT_EACCESS == 0 {
        User::real()
    } else {
        User::effective()
    };
    // SAFETY: see the module above.
    unsafe { access_at(dirfd, path, mode, flags, &user, pass) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn euidaccess(path: *const c_char, mode: c_int) -> c_int {
    let flags = nr::AT_EACCESS as c_int;
    // glibc takes off bits that mean nothing, where the kernel and musl refuse them.
    let forgives = || {
        next::euidaccess()
            // SAFETY: a C string of ours.
            .is_some_and(|real| unsafe { real(c"/".as_ptr(), mode & !MODES) } == 0)
    };
    let mode = if mode & !MODES != 0 && forgives() {
        mode & MODES
    } else {
        mode
    };
    // SAFETY: see the module above.
    unsafe {
        access_at(
            nr::AT_FDCWD,
            path,
            mode,
            flags,
            &User::of_euidaccess(),
            |_, path| match next::euidaccess() {
                Some(real) => real(path, mode),
                None => raw(nr::AT_FDCWD, path, mode, flags),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn eaccess(path: *const c_char, mode: c_int) -> c_int {
    // SAFETY: another name of the same function.
    unsafe { euidaccess(path, mode) }
}
