//! link(2), symlink(2) and their twins; what calls with two names share with rename(2).

use super::{Change, at, changing, raw, refusal};
use crate::locate::{Where, bytes, is_bad, locate, look_closer};
use crate::stats::{Family, Outcome, count};
use crate::{errno, next, sys};
use core::ffi::{c_char, c_int};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Options, PathBuffer};

/// Whether the kernel refuses the text of a symlink before it looks at the path.
unsafe fn is_no_target(target: *const c_char) -> bool {
    // SAFETY: passed on to the caller.
    unsafe { bytes(target) }
        .is_none_or(|text| text.is_empty() || text.len() >= nr::PATH_MAX as usize)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn symlink(target: *const c_char, path: *const c_char) -> c_int {
    // SAFETY: the caller's C string.
    if unsafe { is_no_target(target) } {
        return raw(nr::__NR_symlink, [target as usize, path as usize, 0, 0, 0]);
    }
    // SAFETY: see the module above.
    unsafe {
        changing(
            Change::Create,
            nr::AT_FDCWD,
            path,
            |_, path| match next::symlink() {
                Some(real) => real(target, path),
                None => raw(nr::__NR_symlink, [target as usize, path as usize, 0, 0, 0]),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn symlinkat(
    target: *const c_char,
    dirfd: c_int,
    path: *const c_char,
) -> c_int {
    // SAFETY: the caller's C string.
    if unsafe { is_no_target(target) } {
        return raw(
            nr::__NR_symlinkat,
            [target as usize, at(dirfd), path as usize, 0, 0],
        );
    }
    // SAFETY: see the module above.
    unsafe {
        changing(
            Change::Create,
            dirfd,
            path,
            |dirfd, path| match next::symlinkat() {
                Some(real) => real(target, dirfd, path),
                None => raw(
                    nr::__NR_symlinkat,
                    [target as usize, at(dirfd), path as usize, 0, 0],
                ),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn link(old: *const c_char, new: *const c_char) -> c_int {
    // SAFETY: see the module above.
    unsafe { linkat(nr::AT_FDCWD, old, nr::AT_FDCWD, new, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn linkat(
    old_dirfd: c_int,
    old: *const c_char,
    new_dirfd: c_int,
    new: *const c_char,
    flags: c_int,
) -> c_int {
    let pass = |old_dirfd: c_int, old: *const c_char, new_dirfd: c_int, new: *const c_char| {
        match next::linkat() {
            // SAFETY: the caller's arguments.
            Some(real) => unsafe { real(old_dirfd, old, new_dirfd, new, flags) },
            None => raw(
                nr::__NR_linkat,
                [
                    at(old_dirfd),
                    old as usize,
                    at(new_dirfd),
                    new as usize,
                    flags as usize,
                ],
            ),
        }
    };
    if flags as u32 & !LINK_FLAGS != 0 {
        return pass(old_dirfd, old, new_dirfd, new);
    }
    let options = Options {
        allow_empty: flags as u32 & nr::AT_EMPTY_PATH != 0,
        follow_final: flags as u32 & nr::AT_SYMLINK_FOLLOW != 0,
        ..Options::NO_FOLLOW
    };
    let name = |old_place: Where<'_>, new_place: Where<'_>| {
        linking(
            (old_dirfd, old, options),
            old_place,
            (new_dirfd, new),
            new_place,
            pass,
        )
    };
    // SAFETY: the caller's C strings.
    unsafe { naming((old_dirfd, old, options), (new_dirfd, new), name) }
}

/// Lets `name` make a new name of an old one, given what both are; again if the kernel has
/// not found one that symlinks of its own lead into a mount.
///
/// # Safety
/// The paths are C strings.
pub(super) unsafe fn naming(
    (old_dirfd, old, options): (c_int, *const c_char, Options),
    (new_dirfd, new): (c_int, *const c_char),
    name: impl Fn(Where<'_>, Where<'_>) -> c_int,
) -> c_int {
    let (mut old_scratch, mut new_scratch) = (PathBuffer::new(), PathBuffer::new());
    // SAFETY: passed on to the caller.
    let (old_place, new_place) = unsafe {
        (
            locate(old_dirfd, old, options, &mut old_scratch),
            locate(new_dirfd, new, Options::ENTRY, &mut new_scratch),
        )
    };
    let is_passed = matches!((&old_place, &new_place), (Where::Kernel, Where::Kernel));
    let before = errno::last();
    let answer = name(old_place, new_place);
    let error = errno::last();
    let may_be_elsewhere = matches!(
        error,
        Errno::ENOENT | Errno::ENOTDIR | Errno::EROFS | Errno::EACCES | Errno::EXDEV
    );
    if answer != -1 || !is_passed || !may_be_elsewhere {
        return answer;
    }
    let again = |old_place: Where<'_>, new_place: Where<'_>| {
        if matches!((&old_place, &new_place), (Where::Kernel, Where::Kernel)) {
            return errno::fail(error);
        }
        errno::restore(before);
        name(old_place, new_place)
    };
    // SAFETY: passed on to the caller.
    unsafe {
        look_closer(old_dirfd, old, options, |old_place| {
            look_closer(new_dirfd, new, Options::ENTRY, |new_place| {
                again(old_place, new_place)
            })
        })
    }
}

/// linkat(2) of what was resolved.
fn linking(
    (old_dirfd, old, options): (c_int, *const c_char, Options),
    old_place: Where<'_>,
    (new_dirfd, new): (c_int, *const c_char),
    new_place: Where<'_>,
    pass: impl Fn(c_int, *const c_char, c_int, *const c_char) -> c_int,
) -> c_int {
    let (kernel_old_dirfd, kernel_old) = passed(old_dirfd, old, &old_place);
    let (kernel_new_dirfd, kernel_new) = passed(new_dirfd, new, &new_place);
    let is_new_outside = matches!(new_place, Where::Kernel | Where::KernelAt(_));
    // The old name is looked up first, then the new one; then come their mounts.
    let error = match &old_place {
        Where::Kernel | Where::KernelAt(_) if is_new_outside => None,
        _ if options.allow_empty && !may_link_by(old_dirfd, old) => Some(Errno::ENOENT),
        Where::Failed(error) => Some(*error),
        Where::Absent { .. } => Some(Errno::ENOENT),
        Where::Kernel | Where::KernelAt(_) => look_up(kernel_old_dirfd, kernel_old, options)
            .err()
            .or_else(|| refusal(Change::Create, new_dirfd, new, &new_place)),
        Where::Served(..) if is_new_outside => Some(other_mount(kernel_new_dirfd, kernel_new)),
        Where::Served(..) => refusal(Change::Create, new_dirfd, new, &new_place),
    };
    if let Some(error) = error {
        count(Family::Change, Outcome::Failed);
        return errno::fail(error);
    }
    pass(kernel_old_dirfd, kernel_old, kernel_new_dirfd, kernel_new)
}

/// Whether `AT_EMPTY_PATH` lets the caller link what is at `dirfd`: with a capability, or
/// if nobody else has opened it, of which a fork makes somebody else. The kernel is asked
/// for a link to nowhere.
fn may_link_by(dirfd: c_int, path: *const c_char) -> bool {
    // SAFETY: the caller's C string, or a bad pointer.
    let text = unsafe { bytes(path) }.unwrap_or(b"/");
    if dirfd == nr::AT_FDCWD || text.starts_with(b"/") {
        return true;
    }
    let nowhere = at(-1);
    let arguments = [
        at(dirfd),
        c"".as_ptr() as usize,
        nowhere,
        c"nothing".as_ptr() as usize,
        nr::AT_EMPTY_PATH as usize,
        0,
    ];
    // SAFETY: C strings; a descriptor that is none makes it fail.
    let answer = unsafe { sys::syscall6(nr::__NR_linkat as usize, arguments) };
    sys::result(answer) != Err(Errno::ENOENT)
}

/// The flags that linkat(2) knows.
const LINK_FLAGS: u32 = nr::AT_SYMLINK_FOLLOW | nr::AT_EMPTY_PATH;

/// Whether one of the kernel's own paths is a directory, or why it is not found.
pub(super) fn look_up(dirfd: c_int, path: *const c_char, options: Options) -> Result<bool, Errno> {
    let empty = if options.allow_empty {
        nr::AT_EMPTY_PATH
    } else {
        0
    };
    let stays = if options.follow_final {
        0
    } else {
        nr::AT_SYMLINK_NOFOLLOW
    };
    if is_bad(path) {
        return Err(Errno::EFAULT); // by stat, a bad descriptor comes first
    }
    let mut out = core::mem::MaybeUninit::<sys::Stat>::uninit();
    // SAFETY: the caller's C string, a buffer of ours.
    let answer = unsafe { sys::fstatat(dirfd, path, out.as_mut_ptr(), (empty | stays) as c_int) };
    sys::result(answer)?;
    // SAFETY: the kernel has filled it.
    Ok(unsafe { out.assume_init() }.st_mode & nr::S_IFMT == nr::S_IFDIR)
}

/// What a link from a mount to `new`, outside, answers: the kernel's word on the new
/// name, which comes before EXDEV. It is asked for a link to a file of `/proc`, which
/// is on a mount of its own and never has any.
fn other_mount(dirfd: c_int, new: *const c_char) -> Errno {
    let stand_in = c"/proc/self/maps".as_ptr();
    if look_up(nr::AT_FDCWD, stand_in, Options::FOLLOW).is_err() {
        return Errno::EXDEV;
    }
    let arguments = [
        at(nr::AT_FDCWD),
        stand_in as usize,
        at(dirfd),
        new as usize,
        0,
        0,
    ];
    // SAFETY: C strings; the kernel makes nothing of them.
    let answer = unsafe { sys::syscall6(nr::__NR_linkat as usize, arguments) };
    sys::result(answer).err().unwrap_or(Errno::EXDEV)
}

/// What the kernel shall see of a path that is its own.
pub(super) fn passed(
    dirfd: c_int,
    path: *const c_char,
    place: &Where<'_>,
) -> (c_int, *const c_char) {
    match place {
        Where::KernelAt(rewritten) => (nr::AT_FDCWD, rewritten.as_ptr()),
        _ => (dirfd, path),
    }
}
