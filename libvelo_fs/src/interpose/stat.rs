//! stat(2), statx(2), fstat(2) and their twins.

use super::{finish, options_of, reading};
use crate::fd_table::{self, Known};
use crate::locate::is_bad;
use crate::served::{fill_stat, fill_statx, metadata};
use crate::stats::{Family, Outcome, count};
use crate::sys::{self, Stat, Statx};
use crate::{cwd, errno, next, world};
use core::ffi::{c_char, c_int, c_uint};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::Options;

/// Writes what stat(2) says of a served entry to the caller's buffer.
#[inline(always)]
unsafe fn give_stat(
    world: &'static world::World,
    entry: world::Entry,
    out: *mut Stat,
) -> Result<c_int, Errno> {
    let meta = metadata(world, entry)?;
    if is_bad(out) {
        return Err(Errno::EFAULT);
    }
    // SAFETY: passed on to the caller, checked as far as it can be.
    unsafe { fill_stat(&meta, out) };
    Ok(0)
}

#[inline(always)]
unsafe fn stat_at(
    dirfd: c_int,
    path: *const c_char,
    out: *mut Stat,
    options: Options,
    pass: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    // SAFETY: the caller's C string; `out` is checked as far as it can be.
    unsafe {
        reading(
            Family::Stat,
            dirfd,
            path,
            options,
            |world, entry| give_stat(world, entry, out),
            pass,
        )
    }
}

fn raw_stat(dirfd: c_int, path: *const c_char, out: *mut Stat, flags: u32) -> c_int {
    // SAFETY: the kernel checks its pointers.
    errno::from_kernel(unsafe { sys::fstatat(dirfd, path, out, flags as c_int) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn stat(path: *const c_char, out: *mut Stat) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        stat_at(
            nr::AT_FDCWD,
            path,
            out,
            Options::FOLLOW,
            |_, path| match next::stat().filter(|_| !is_bad(out)) {
                Some(real) => real(path, out),
                None => raw_stat(nr::AT_FDCWD, path, out, 0),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn stat64(path: *const c_char, out: *mut Stat) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { stat(path, out) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lstat(path: *const c_char, out: *mut Stat) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        stat_at(
            nr::AT_FDCWD,
            path,
            out,
            Options::NO_FOLLOW,
            |_, path| match next::lstat().filter(|_| !is_bad(out)) {
                Some(real) => real(path, out),
                None => raw_stat(nr::AT_FDCWD, path, out, nr::AT_SYMLINK_NOFOLLOW),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lstat64(path: *const c_char, out: *mut Stat) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { lstat(path, out) }
}

/// What the kernel takes here, those of statx(2) included, which mean nothing to a local file system.
const FSTATAT_FLAGS: u32 = nr::AT_SYMLINK_NOFOLLOW
    | nr::AT_NO_AUTOMOUNT
    | nr::AT_EMPTY_PATH
    | nr::AT_STATX_FORCE_SYNC
    | nr::AT_STATX_DONT_SYNC;

/// Since Linux 6.11 a null path with `AT_EMPTY_PATH` is an empty one; the kernel says which.
/// What a descriptor or the working directory is, if it is served, once the kernel answered.
#[cold]
fn behind_null_path(answer: c_int, dirfd: c_int) -> Option<(&'static world::World, world::Entry)> {
    if answer != 0 {
        return None;
    }
    if dirfd != nr::AT_FDCWD {
        return served_descriptor(dirfd);
    }
    let world = world::get()?;
    match cwd::get(world, &mut cwd::Buffer::new())? {
        cwd::Cwd::Served(entry) => Some((world, entry)),
        _ => None,
    }
}

/// Whether a `*at` call has a null path that stands for an empty one.
fn is_null_path(path: *const c_char, flags: c_int) -> bool {
    path.is_null() && flags as u32 & nr::AT_EMPTY_PATH != 0
}

/// Whether a `*at` call means its descriptor itself.
pub(super) unsafe fn means_descriptor(path: *const c_char, flags: c_int) -> bool {
    // SAFETY: a C string, or a bad pointer, of which only NULL counts as empty.
    flags as u32 & nr::AT_EMPTY_PATH != 0
        && (path.is_null() || (!is_bad(path) && unsafe { *path } == 0))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstatat(
    dirfd: c_int,
    path: *const c_char,
    out: *mut Stat,
    flags: c_int,
) -> c_int {
    let pass = |dirfd, path| match next::fstatat().filter(|_| !is_bad(out)) {
        // SAFETY: the caller's arguments.
        Some(real) => unsafe { real(dirfd, path, out, flags) },
        None => raw_stat(dirfd, path, out, flags as u32),
    };
    if flags as u32 & !FSTATAT_FLAGS != 0 {
        return pass(dirfd, path);
    }
    // SAFETY: see the module above.
    unsafe {
        if is_null_path(path, flags) {
            let answer = pass(dirfd, path);
            return match behind_null_path(answer, dirfd) {
                Some((world, entry)) => finish(Family::Stat, give_stat(world, entry, out)),
                None => answer,
            };
        }
        if dirfd != nr::AT_FDCWD && means_descriptor(path, flags) {
            return fstat_with(dirfd, out, || pass(dirfd, path));
        }
        stat_at(dirfd, path, out, options_of(flags), pass)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstatat64(
    dirfd: c_int,
    path: *const c_char,
    out: *mut Stat,
    flags: c_int,
) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { fstatat(dirfd, path, out, flags) }
}

/// The entry behind a descriptor, and nothing if the kernel says it is something else.
fn served_descriptor(descriptor: c_int) -> Option<(&'static world::World, world::Entry)> {
    let world = world::get()?;
    if fd_table::get(descriptor).is_plain() {
        return None;
    }
    let status = sys::fstat_of(descriptor).ok()?;
    match fd_table::get(descriptor) {
        Known::Served(entry) if fd_table::is_served(world, entry, &status) => Some((world, entry)),
        _ => {
            let entry = fd_table::recognise(world, descriptor, &status);
            fd_table::set(descriptor, entry.map_or(Known::Foreign, Known::Served));
            entry.map(|entry| (world, entry))
        }
    }
}

#[inline]
unsafe fn fstat_with(descriptor: c_int, out: *mut Stat, pass: impl FnOnce() -> c_int) -> c_int {
    let Some((world, entry)) = served_descriptor(descriptor) else {
        count(Family::Stat, Outcome::PassedOutside);
        return pass();
    };
    // SAFETY: the caller's buffer.
    finish(Family::Stat, unsafe { give_stat(world, entry, out) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstat(descriptor: c_int, out: *mut Stat) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        fstat_with(descriptor, out, || {
            match next::fstat().filter(|_| !is_bad(out)) {
                Some(real) => real(descriptor, out),
                None => errno::from_kernel(sys::fstat(descriptor, out)),
            }
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstat64(descriptor: c_int, out: *mut Stat) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { fstat(descriptor, out) }
}

/// `_STAT_VER` of x86_64: the version that programs pass which were linked before glibc 2.33.
const STAT_VERSIONS: core::ops::RangeInclusive<c_int> = 0..=1;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __xstat(version: c_int, path: *const c_char, out: *mut Stat) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        let pass = |_: c_int, path: *const c_char| match next::__xstat() {
            Some(real) => real(version, path, out),
            None => raw_stat(nr::AT_FDCWD, path, out, 0),
        };
        if !STAT_VERSIONS.contains(&version) {
            return pass(nr::AT_FDCWD, path);
        }
        stat_at(nr::AT_FDCWD, path, out, Options::FOLLOW, pass)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __xstat64(version: c_int, path: *const c_char, out: *mut Stat) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { __xstat(version, path, out) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __lxstat(version: c_int, path: *const c_char, out: *mut Stat) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        let pass = |_: c_int, path: *const c_char| match next::__lxstat() {
            Some(real) => real(version, path, out),
            None => raw_stat(nr::AT_FDCWD, path, out, nr::AT_SYMLINK_NOFOLLOW),
        };
        if !STAT_VERSIONS.contains(&version) {
            return pass(nr::AT_FDCWD, path);
        }
        stat_at(nr::AT_FDCWD, path, out, Options::NO_FOLLOW, pass)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __lxstat64(version: c_int, path: *const c_char, out: *mut Stat) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { __lxstat(version, path, out) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __fxstat(version: c_int, descriptor: c_int, out: *mut Stat) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        let pass = || match next::__fxstat() {
            Some(real) => real(version, descriptor, out),
            None => errno::from_kernel(sys::fstat(descriptor, out)),
        };
        if STAT_VERSIONS.contains(&version) {
            fstat_with(descriptor, out, pass)
        } else {
            pass()
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __fxstat64(version: c_int, descriptor: c_int, out: *mut Stat) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { __fxstat(version, descriptor, out) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __fxstatat(
    version: c_int,
    dirfd: c_int,
    path: *const c_char,
    out: *mut Stat,
    flags: c_int,
) -> c_int {
    let pass = |dirfd, path| match next::__fxstatat() {
        // SAFETY: the caller's arguments.
        Some(real) => unsafe { real(version, dirfd, path, out, flags) },
        None => raw_stat(dirfd, path, out, flags as u32),
    };
    if !STAT_VERSIONS.contains(&version) || flags as u32 & !FSTATAT_FLAGS != 0 {
        return pass(dirfd, path);
    }
    // SAFETY: see the module above.
    unsafe {
        if is_null_path(path, flags) {
            let answer = pass(dirfd, path);
            return match behind_null_path(answer, dirfd) {
                Some((world, entry)) => finish(Family::Stat, give_stat(world, entry, out)),
                None => answer,
            };
        }
        if dirfd != nr::AT_FDCWD && means_descriptor(path, flags) {
            return fstat_with(dirfd, out, || pass(dirfd, path));
        }
        stat_at(dirfd, path, out, options_of(flags), pass)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __fxstatat64(
    version: c_int,
    dirfd: c_int,
    path: *const c_char,
    out: *mut Stat,
    flags: c_int,
) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { __fxstatat(version, dirfd, path, out, flags) }
}

/// `STATX__RESERVED`: the kernel refuses a mask with this bit.
const STATX_RESERVED: u32 = 1 << 31;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn statx(
    dirfd: c_int,
    path: *const c_char,
    flags: c_int,
    mask: c_uint,
    out: *mut Statx,
) -> c_int {
    let pass = |dirfd: c_int, path: *const c_char| match next::statx().filter(|_| !is_bad(out)) {
        // SAFETY: the caller's arguments.
        Some(real) => unsafe { real(dirfd, path, flags, mask, out) },
        // SAFETY: the kernel checks its pointers.
        None => errno::from_kernel(unsafe { raw_statx(dirfd, path, flags, mask, out) }),
    };
    // SAFETY: the caller's arguments.
    unsafe { statx_with(dirfd, path, flags, mask, out, pass) }
}

unsafe fn raw_statx(
    dirfd: c_int,
    path: *const c_char,
    flags: c_int,
    mask: c_uint,
    out: *mut Statx,
) -> isize {
    let arguments = [
        dirfd as isize as usize,
        path as usize,
        flags as usize,
        mask as usize,
        out as usize,
        0,
    ];
    // SAFETY: the kernel checks its pointers.
    unsafe { sys::syscall6(nr::__NR_statx as usize, arguments) }
}

/// statx(2) with another way to pass, for `syscall()`.
pub(super) unsafe fn statx_with(
    dirfd: c_int,
    path: *const c_char,
    flags: c_int,
    mask: c_uint,
    out: *mut Statx,
    pass: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    let sync = flags as u32 & (nr::AT_STATX_FORCE_SYNC | nr::AT_STATX_DONT_SYNC);
    let both = nr::AT_STATX_FORCE_SYNC | nr::AT_STATX_DONT_SYNC;
    if flags as u32 & !FSTATAT_FLAGS != 0 || mask & STATX_RESERVED != 0 || sync == both {
        return pass(dirfd, path);
    }
    let fill = |world, entry| {
        let meta = metadata(world, entry)?;
        if is_bad(out) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: the caller's buffer.
        unsafe { fill_statx(&meta, out) };
        Ok(0)
    };
    // SAFETY: see the module above.
    unsafe {
        if is_null_path(path, flags) {
            let answer = pass(dirfd, path);
            return match behind_null_path(answer, dirfd) {
                Some((world, entry)) => finish(Family::Stat, fill(world, entry)),
                None => answer,
            };
        }
        if dirfd != nr::AT_FDCWD && means_descriptor(path, flags) {
            return match served_descriptor(dirfd) {
                Some((world, entry)) => finish(Family::Stat, fill(world, entry)),
                None => pass(dirfd, path),
            };
        }
        reading(Family::Stat, dirfd, path, options_of(flags), fill, pass)
    }
}

/// ftok(3): made of the low bits of inode, device and `project`, inside the C library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftok(path: *const c_char, project: c_int) -> c_int {
    let mut status = core::mem::MaybeUninit::<Stat>::uninit();
    // SAFETY: the caller's C string and our own buffer, which is filled on success.
    let status = unsafe {
        if stat(path, status.as_mut_ptr()) == -1 {
            return -1;
        }
        status.assume_init()
    };
    let (inode, device) = (status.st_ino as u32 & 0xffff, status.st_dev as u32 & 0xff);
    (inode | device << 16 | (project as u32) << 24) as c_int
}
