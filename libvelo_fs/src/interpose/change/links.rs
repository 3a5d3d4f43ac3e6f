//! rename(2), link(2), symlink(2) and their twins: two paths, of which either may be served.

use super::{Change, EBUSY, at, changing, last_component, raw, refusal};
use crate::locate::{Where, bytes, is_bad, locate};
use crate::stats::{Family, Outcome, count};
use crate::{errno, next, sys};
use core::ffi::{c_char, c_int, c_uint};
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
    let follows = flags as u32 & nr::AT_SYMLINK_FOLLOW != 0;
    let options = Options {
        allow_empty: flags as u32 & nr::AT_EMPTY_PATH != 0,
        ..if follows {
            Options::FOLLOW
        } else {
            Options::NO_FOLLOW
        }
    };
    let (mut old_scratch, mut new_scratch) = (PathBuffer::new(), PathBuffer::new());
    // SAFETY: the caller's C strings.
    let (old_place, new_place) = unsafe {
        (
            locate(old_dirfd, old, options, &mut old_scratch),
            locate(new_dirfd, new, Options::ENTRY, &mut new_scratch),
        )
    };
    let error = match &old_place {
        Where::Failed(error) => Some(*error),
        Where::Absent { .. } => Some(Errno::ENOENT),
        Where::Kernel | Where::KernelAt(_) if mount_of(&new_place).is_some() => {
            let (old_dirfd, old) = passed(old_dirfd, old, &old_place);
            kernel_refusal(old_dirfd, old, false)
                .or_else(|| refusal(Change::Create, new, &new_place))
        }
        _ => refusal(Change::Create, new, &new_place)
            .or(matches!(old_place, Where::Served(..)).then_some(Errno::EXDEV)),
    };
    if let Some(error) = error {
        count(Family::Change, Outcome::Failed);
        return errno::fail(error);
    }
    let (old_dirfd, old) = passed(old_dirfd, old, &old_place);
    let (new_dirfd, new) = passed(new_dirfd, new, &new_place);
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
}

/// What the kernel shall see of a path that is its own.
fn passed(dirfd: c_int, path: *const c_char, place: &Where<'_>) -> (c_int, *const c_char) {
    match place {
        Where::KernelAt(rewritten) => (nr::AT_FDCWD, rewritten.as_ptr()),
        _ => (dirfd, path),
    }
}

/// Stands for the directory above a mount, where its name is.
const MOUNT_POINT: u16 = u16::MAX;

/// The mount that the directory of a path's name lies in.
fn mount_of(place: &Where<'_>) -> Option<u16> {
    match place {
        // The name of a mount's root stands in the directory above, outside.
        Where::Served(world, entry) => {
            let root = world.mount(entry.mount)?.top() == entry.index;
            Some(if root { MOUNT_POINT } else { entry.mount })
        }
        Where::Absent { mount, .. } => Some(*mount),
        _ => None,
    }
}

/// What the kernel has against its own one of two paths: that comes before EXDEV. Of a
/// name to be made or moved only the directory has to be there (`parent`).
fn kernel_refusal(dirfd: c_int, path: *const c_char, parent: bool) -> Option<Errno> {
    // SAFETY: the caller's C string.
    let text = unsafe { bytes(path) }?;
    if text.is_empty() {
        return Some(Errno::ENOENT);
    }
    let mut directory = [0u8; nr::PATH_MAX as usize];
    let end = text
        .iter()
        .rposition(|byte| *byte != b'/')
        .map_or(0, |last| last + 1);
    let trimmed = text.get(..end)?;
    let slash = trimmed.iter().rposition(|byte| *byte == b'/');
    let kept = match slash {
        _ if !parent => text,
        Some(slash) => trimmed.get(..=slash)?,
        None if text.starts_with(b"/") => b"/",
        None => b".",
    };
    directory
        .get_mut(..kept.len())
        .filter(|slot| slot.len() < nr::PATH_MAX as usize)?
        .copy_from_slice(kept);
    const F_OK: c_int = 0;
    // SAFETY: a C string of ours.
    sys::result(unsafe { sys::faccessat(dirfd, directory.as_ptr().cast(), F_OK, 0) }).err()
}

/// rename(2) in all its forms.
unsafe fn renaming(
    old_dirfd: c_int,
    old: *const c_char,
    new_dirfd: c_int,
    new: *const c_char,
    pass: impl FnOnce(c_int, *const c_char, c_int, *const c_char) -> c_int,
) -> c_int {
    if is_bad(old) || is_bad(new) {
        return pass(old_dirfd, old, new_dirfd, new);
    }
    let (mut old_scratch, mut new_scratch) = (PathBuffer::new(), PathBuffer::new());
    // SAFETY: the caller's C strings.
    let (old_place, new_place) = unsafe {
        (
            locate(old_dirfd, old, Options::ENTRY, &mut old_scratch),
            locate(new_dirfd, new, Options::ENTRY, &mut new_scratch),
        )
    };
    let error = match (&old_place, &new_place) {
        (Where::Failed(error), _) | (_, Where::Failed(error)) => Some(*error),
        (old_place, new_place) => match (mount_of(old_place), mount_of(new_place)) {
            (None, None) => None,
            (Some(MOUNT_POINT), None | Some(MOUNT_POINT)) | (None, Some(MOUNT_POINT)) => {
                Some(EBUSY)
            }
            (Some(old_mount), Some(new_mount)) if old_mount == new_mount => {
                // SAFETY: C strings that were resolved before.
                let ends = unsafe { [bytes(old), bytes(new)] };
                let dots = |path: &Option<&[u8]>| {
                    path.is_some_and(|path| matches!(last_component(path), b"." | b".."))
                };
                Some(if ends.iter().any(dots) {
                    EBUSY
                } else {
                    Errno::EROFS
                })
            }
            (Some(_), None) => Some(
                {
                    let (new_dirfd, new) = passed(new_dirfd, new, new_place);
                    kernel_refusal(new_dirfd, new, true)
                }
                .unwrap_or(Errno::EXDEV),
            ),
            (None, Some(_)) => Some(
                {
                    let (old_dirfd, old) = passed(old_dirfd, old, old_place);
                    kernel_refusal(old_dirfd, old, true)
                }
                .unwrap_or(Errno::EXDEV),
            ),
            _ => Some(Errno::EXDEV),
        },
    };
    if let Some(error) = error {
        count(Family::Change, Outcome::Failed);
        return errno::fail(error);
    }
    count(Family::Change, Outcome::PassedOutside);
    let (old_dirfd, old) = passed(old_dirfd, old, &old_place);
    let (new_dirfd, new) = passed(new_dirfd, new, &new_place);
    pass(old_dirfd, old, new_dirfd, new)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(old: *const c_char, new: *const c_char) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        renaming(
            nr::AT_FDCWD,
            old,
            nr::AT_FDCWD,
            new,
            |_, old, _, new| match next::rename() {
                Some(real) => real(old, new),
                None => raw(nr::__NR_rename, [old as usize, new as usize, 0, 0, 0]),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn renameat(
    old_dirfd: c_int,
    old: *const c_char,
    new_dirfd: c_int,
    new: *const c_char,
) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        renaming(
            old_dirfd,
            old,
            new_dirfd,
            new,
            |old_dirfd, old, new_dirfd, new| match next::renameat() {
                Some(real) => real(old_dirfd, old, new_dirfd, new),
                None => raw(
                    nr::__NR_renameat,
                    [at(old_dirfd), old as usize, at(new_dirfd), new as usize, 0],
                ),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn renameat2(
    old_dirfd: c_int,
    old: *const c_char,
    new_dirfd: c_int,
    new: *const c_char,
    flags: c_uint,
) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        renaming(
            old_dirfd,
            old,
            new_dirfd,
            new,
            |old_dirfd, old, new_dirfd, new| match next::renameat2() {
                Some(real) => real(old_dirfd, old, new_dirfd, new, flags),
                None => raw(
                    nr::__NR_renameat2,
                    [
                        at(old_dirfd),
                        old as usize,
                        at(new_dirfd),
                        new as usize,
                        flags as usize,
                    ],
                ),
            },
        )
    }
}
