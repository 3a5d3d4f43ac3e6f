//! Everything that would change a served path: EROFS, in the order of checks that
//! the kernel has for a read-only file system (fs/namei.c, fs/open.c, fs/utimes.c).

use crate::locate::{User, Where, bytes, is_bad, locate};
use crate::stats::{Family, Outcome, count};
use crate::world::{Entry, World};
use crate::{errno, fd_table, next, sys};
use core::ffi::{c_char, c_int, c_long, c_uint, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Options, PathBuffer, WRITE, may_access};

/// ENOTEMPTY, of rmdir(2) for `..`.
const ENOTEMPTY: Errno = Errno(39);
/// EBUSY, of rename(2) for `.` and `..`.
const EBUSY: Errno = Errno(16);

/// What kind of change a call makes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Attributes of what a path leads to; the final symlink is followed.
    Attribute,
    /// Attributes of the symlink itself.
    LinkAttribute,
    /// Data: only regular files have a length (truncate(2)).
    Length,
    /// Removal of a name that is no directory.
    Unlink,
    /// Removal of a directory.
    Rmdir,
    /// A new directory.
    Mkdir,
    /// A new name of any other kind.
    Create,
}

/// The final component of a path, without slashes.
fn last_component(path: &[u8]) -> &[u8] {
    path.split(|byte| *byte == b'/')
        .rfind(|component| !component.is_empty())
        .unwrap_or(b"")
}

/// What a served path answers to a change.
fn refusal(change: Change, path: *const c_char, place: &Where<'_>) -> Option<Errno> {
    // SAFETY: the caller's C string, which was resolved before.
    let last = last_component(unsafe { bytes(path) }.unwrap_or(b""));
    Some(match (change, place) {
        (_, Where::Kernel | Where::KernelAt(_)) => return None,
        // The read-only mount is seen before the name is looked up.
        (Change::Unlink | Change::Rmdir, Where::Failed(Errno::ENAMETOOLONG))
            if last.len() > 255 =>
        {
            Errno::EROFS
        }
        (_, Where::Failed(error)) => *error,
        (Change::Attribute | Change::LinkAttribute | Change::Length, Where::Absent { .. }) => {
            Errno::ENOENT
        }
        (Change::Length, Where::Served(world, entry)) => {
            match crate::served::vnode(world, *entry) {
                Ok(vnode) if vnode.is_dir() => Errno::EISDIR,
                Ok(_) if !may_write(world, *entry) => Errno::EACCES,
                Ok(_) => Errno::EROFS,
                Err(error) => error,
            }
        }
        (Change::Attribute | Change::LinkAttribute, Where::Served(..)) => Errno::EROFS,
        (Change::Rmdir, _) if last == b"." => Errno::EINVAL,
        (Change::Rmdir, _) if last == b".." => ENOTEMPTY,
        (Change::Unlink, _) if matches!(last, b"." | b"..") => Errno::EISDIR,
        (Change::Unlink | Change::Rmdir, _) => Errno::EROFS,
        (Change::Mkdir | Change::Create, Where::Served(..)) => Errno::EEXIST,
        (Change::Create, Where::Absent { slash: true, .. }) => Errno::ENOENT,
        (Change::Mkdir | Change::Create, Where::Absent { .. }) => Errno::EROFS,
    })
}

/// Whether the permission bits let the caller write.
fn may_write(world: &World, entry: Entry) -> bool {
    let meta = crate::served::metadata(world, entry);
    meta.is_ok_and(|meta| may_access(&meta, WRITE, &User::effective()))
}

fn options_of(change: Change) -> Options {
    match change {
        Change::Attribute | Change::Length => Options::FOLLOW,
        Change::LinkAttribute => Options::NO_FOLLOW,
        Change::Unlink | Change::Rmdir | Change::Mkdir | Change::Create => Options::ENTRY,
    }
}

/// Refuses the change of a served path, passes all else.
pub(super) unsafe fn changing(
    change: Change,
    dirfd: c_int,
    path: *const c_char,
    pass: impl FnOnce(c_int, *const c_char) -> c_int,
) -> c_int {
    let mut scratch = PathBuffer::new();
    // SAFETY: the caller's C string.
    let place = unsafe { locate(dirfd, path, options_of(change), &mut scratch) };
    if let Some(error) = refusal(change, path, &place) {
        count(Family::Change, Outcome::Failed);
        return errno::fail(error);
    }
    if let Where::KernelAt(rewritten) = place {
        count(Family::Change, Outcome::PassedRewritten);
        return pass(nr::AT_FDCWD, rewritten.as_ptr());
    }
    count(Family::Change, Outcome::PassedOutside);
    pass(dirfd, path)
}

/// Refuses the change of what a served descriptor is. `O_PATH` descriptors are bad
/// ones for calls that do not say `AT_EMPTY_PATH`.
pub(super) fn changing_descriptor(descriptor: c_int, pass: impl FnOnce() -> c_int) -> c_int {
    if !fd_table::is_in_store(descriptor) {
        return pass();
    }
    count(Family::Change, Outcome::Failed);
    match sys::status_flags(descriptor) {
        Ok(flags) if flags & nr::O_PATH != 0 => errno::fail(Errno::EBADF),
        Ok(_) => errno::fail(Errno::EROFS),
        Err(error) => errno::fail(error),
    }
}

/// As [`changing_descriptor`], for calls that say `AT_EMPTY_PATH`.
fn changing_itself(descriptor: c_int, pass: impl FnOnce() -> c_int) -> c_int {
    if !fd_table::is_in_store(descriptor) {
        return pass();
    }
    count(Family::Change, Outcome::Failed);
    errno::fail(Errno::EROFS)
}

fn raw(number: u32, arguments: [usize; 5]) -> c_int {
    let [a, b, c, d, e] = arguments;
    // SAFETY: the kernel checks its pointers.
    errno::from_kernel(unsafe { sys::syscall6(number as usize, [a, b, c, d, e, 0]) })
}

fn at(dirfd: c_int) -> usize {
    dirfd as isize as usize
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        changing(
            Change::Unlink,
            nr::AT_FDCWD,
            path,
            |_, path| match next::unlink() {
                Some(real) => real(path),
                None => raw(nr::__NR_unlink, [path as usize, 0, 0, 0, 0]),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlinkat(dirfd: c_int, path: *const c_char, flags: c_int) -> c_int {
    if flags as u32 & !nr::AT_REMOVEDIR != 0 {
        // Refused before the path is looked at.
        return raw(
            nr::__NR_unlinkat,
            [at(dirfd), path as usize, flags as usize, 0, 0],
        );
    }
    let change = if flags as u32 & nr::AT_REMOVEDIR == 0 {
        Change::Unlink
    } else {
        Change::Rmdir
    };
    // SAFETY: see the module above.
    unsafe {
        changing(change, dirfd, path, |dirfd, path| match next::unlinkat() {
            Some(real) => real(dirfd, path, flags),
            None => raw(
                nr::__NR_unlinkat,
                [at(dirfd), path as usize, flags as usize, 0, 0],
            ),
        })
    }
}

/// The C library tries unlink(2), then rmdir(2); the first says EROFS already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn remove(path: *const c_char) -> c_int {
    // SAFETY: see the module above.
    let answer = unsafe {
        changing(Change::Unlink, nr::AT_FDCWD, path, |_, path| {
            next::remove().map_or_else(|| errno::fail(Errno::ENOSYS), |real| real(path))
        })
    };
    if answer == -1 && errno::last() == Errno::EISDIR {
        // SAFETY: see the module above.
        return unsafe { rmdir(path) };
    }
    answer
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        changing(
            Change::Rmdir,
            nr::AT_FDCWD,
            path,
            |_, path| match next::rmdir() {
                Some(real) => real(path),
                None => raw(nr::__NR_rmdir, [path as usize, 0, 0, 0, 0]),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdir(path: *const c_char, mode: c_uint) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        changing(
            Change::Mkdir,
            nr::AT_FDCWD,
            path,
            |_, path| match next::mkdir() {
                Some(real) => real(path, mode),
                None => raw(nr::__NR_mkdir, [path as usize, mode as usize, 0, 0, 0]),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdirat(dirfd: c_int, path: *const c_char, mode: c_uint) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        changing(
            Change::Mkdir,
            dirfd,
            path,
            |dirfd, path| match next::mkdirat() {
                Some(real) => real(dirfd, path, mode),
                None => raw(
                    nr::__NR_mkdirat,
                    [at(dirfd), path as usize, mode as usize, 0, 0],
                ),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mknod(path: *const c_char, mode: c_uint, device: u64) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        changing(
            Change::Create,
            nr::AT_FDCWD,
            path,
            |_, path| match next::mknod() {
                Some(real) => real(path, mode, device),
                None => raw(
                    nr::__NR_mknod,
                    [path as usize, mode as usize, device as usize, 0, 0],
                ),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mknodat(
    dirfd: c_int,
    path: *const c_char,
    mode: c_uint,
    device: u64,
) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        changing(
            Change::Create,
            dirfd,
            path,
            |dirfd, path| match next::mknodat() {
                Some(real) => real(dirfd, path, mode, device),
                None => raw(
                    nr::__NR_mknodat,
                    [at(dirfd), path as usize, mode as usize, device as usize, 0],
                ),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __xmknod(
    version: c_int,
    path: *const c_char,
    mode: c_uint,
    device: *mut u64,
) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        changing(
            Change::Create,
            nr::AT_FDCWD,
            path,
            |_, path| match next::__xmknod() {
                Some(real) => real(version, path, mode, device),
                None => mknod(path, mode, *device),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __xmknodat(
    version: c_int,
    dirfd: c_int,
    path: *const c_char,
    mode: c_uint,
    device: *mut u64,
) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        changing(
            Change::Create,
            dirfd,
            path,
            |dirfd, path| match next::__xmknodat() {
                Some(real) => real(version, dirfd, path, mode, device),
                None => mknodat(dirfd, path, mode, *device),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkfifo(path: *const c_char, mode: c_uint) -> c_int {
    // SAFETY: see the module above.
    unsafe { mkfifoat(nr::AT_FDCWD, path, mode) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkfifoat(dirfd: c_int, path: *const c_char, mode: c_uint) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        changing(
            Change::Create,
            dirfd,
            path,
            |dirfd, path| match next::mkfifoat() {
                Some(real) => real(dirfd, path, mode),
                None => mknodat(dirfd, path, mode | nr::S_IFIFO, 0),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn symlink(target: *const c_char, path: *const c_char) -> c_int {
    if is_bad(target) {
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
    if is_bad(target) {
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

/// The mount that a path lies in.
fn mount_of(place: &Where<'_>) -> Option<u16> {
    match place {
        Where::Served(_, entry) => Some(entry.mount),
        Where::Absent { mount, .. } => Some(*mount),
        _ => None,
    }
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
    // SAFETY: see the module above.
    unsafe {
        changing(
            attribute_of(flags),
            dirfd,
            path,
            |dirfd, path| match next::fchmodat() {
                Some(real) => real(dirfd, path, mode, flags),
                None => raw(
                    nr::__NR_fchmodat,
                    [at(dirfd), path as usize, mode as usize, 0, 0],
                ),
            },
        )
    }
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
    // SAFETY: see the module above.
    unsafe {
        if means_descriptor(path, flags) && dirfd != nr::AT_FDCWD {
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
        if means_descriptor(path, flags) && dirfd != nr::AT_FDCWD {
            return changing_itself(dirfd, || pass(dirfd, path));
        }
        changing(attribute_of(flags), dirfd, path, pass)
    }
}

/// utimensat(2) of the kernel, where a null path means the descriptor.
pub(super) unsafe fn utimensat_raw(
    dirfd: c_int,
    path: *const c_char,
    times: *const c_void,
    flags: c_int,
) -> c_int {
    if path.is_null() {
        return changing_descriptor(dirfd, || {
            raw(
                nr::__NR_utimensat,
                [at(dirfd), 0, times as usize, flags as usize, 0],
            )
        });
    }
    // SAFETY: the caller's arguments.
    unsafe { utimensat(dirfd, path, times, flags) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn futimens(descriptor: c_int, times: *const c_void) -> c_int {
    changing_descriptor(descriptor, || match next::futimens() {
        // SAFETY: see the module above.
        Some(real) => unsafe { real(descriptor, times) },
        None => raw(
            nr::__NR_utimensat,
            [descriptor as usize, 0, times as usize, 0, 0],
        ),
    })
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

/// The C library opens the file inside. Whether the place is served shows by the
/// template itself, whose name does not exist yet.
unsafe fn making_temporary(template: *mut c_char, pass: impl FnOnce() -> c_int) -> c_int {
    // SAFETY: the caller's C string.
    unsafe { changing(Change::Unlink, nr::AT_FDCWD, template, |_, _| pass()) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkstemp(template: *mut c_char) -> c_int {
    // SAFETY: see the module above.
    unsafe { mkostemps(template, 0, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkstemp64(template: *mut c_char) -> c_int {
    // SAFETY: the same on 64-bit machines.
    unsafe { mkostemps(template, 0, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkostemp(template: *mut c_char, flags: c_int) -> c_int {
    // SAFETY: see the module above.
    unsafe { mkostemps(template, 0, flags) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkostemp64(template: *mut c_char, flags: c_int) -> c_int {
    // SAFETY: the same on 64-bit machines.
    unsafe { mkostemps(template, 0, flags) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkstemps(template: *mut c_char, suffix: c_int) -> c_int {
    // SAFETY: see the module above.
    unsafe { mkostemps(template, suffix, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkstemps64(template: *mut c_char, suffix: c_int) -> c_int {
    // SAFETY: the same on 64-bit machines.
    unsafe { mkostemps(template, suffix, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkostemps(template: *mut c_char, suffix: c_int, flags: c_int) -> c_int {
    // SAFETY: see the module above.
    let opened = unsafe {
        making_temporary(template, || {
            next::mkostemps().map_or_else(
                || errno::fail(Errno::ENOSYS),
                |real| real(template, suffix, flags),
            )
        })
    };
    if opened >= 0 {
        fd_table::set(opened, fd_table::Known::Foreign);
    }
    opened
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkostemps64(template: *mut c_char, suffix: c_int, flags: c_int) -> c_int {
    // SAFETY: the same on 64-bit machines.
    unsafe { mkostemps(template, suffix, flags) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdtemp(template: *mut c_char) -> *mut c_char {
    let mut made = core::ptr::null_mut();
    // SAFETY: see the module above.
    unsafe {
        making_temporary(template, || {
            made = next::mkdtemp().map_or(core::ptr::null_mut(), |real| real(template));
            0
        });
    }
    made
}
