//! Everything that would change a served path: EROFS, in the order of checks that
//! the kernel has for a read-only file system (fs/namei.c, fs/open.c, fs/utimes.c).

mod attributes;
mod flags;
mod links;
mod names;
mod parent;
mod rename;
mod temporary;

pub(super) use attributes::*;
pub(super) use flags::*;
pub(super) use links::*;
pub(super) use names::*;
pub(super) use rename::*;

use super::look_again;
use crate::locate::{User, Where, bytes, locate};
use crate::stats::{Family, Outcome, count};
use crate::world::{Entry, World};
use crate::{errno, fd_table, sys};
use core::ffi::{c_char, c_int};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{NAME_MAX_BYTES, Options, PATH_MAX_BYTES, PathBuffer, WRITE, may_access};

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

/// Whether it is the final component that is too long, and nothing before it.
fn is_last_too_long(path: &[u8]) -> bool {
    let is_long = |component: &[u8]| component.len() > NAME_MAX_BYTES;
    let count = path
        .split(|byte| *byte == b'/')
        .filter(|name| is_long(name))
        .count();
    path.len() < PATH_MAX_BYTES && count == 1 && is_long(last_component(path))
}

/// What a served path answers to a change.
pub(super) fn refusal(
    change: Change,
    dirfd: c_int,
    path: *const c_char,
    place: &Where<'_>,
) -> Option<Errno> {
    // SAFETY: the caller's C string, which was resolved before.
    let path_bytes = unsafe { bytes(path) }.unwrap_or(b"");
    let last = last_component(path_bytes);
    Some(match (change, place) {
        // The way out of a mount ends in a rewritten path, which has no dots.
        (Change::Unlink | Change::Rmdir, Where::KernelAt(rewritten)) if last == b".." => {
            // SAFETY: the resolver's own C string.
            let there = unsafe { sys::faccessat(nr::AT_FDCWD, rewritten.as_ptr(), 0, 0) };
            sys::result(there)
                .err()
                .unwrap_or(if change == Change::Rmdir {
                    ENOTEMPTY
                } else {
                    Errno::EISDIR
                })
        }
        (_, Where::Kernel | Where::KernelAt(_)) => return None,
        // The read-only mount is seen before the name is looked up.
        (Change::Unlink | Change::Rmdir, Where::Failed(Errno::ENAMETOOLONG))
            if is_last_too_long(path_bytes) =>
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
                Ok(vnode) if !vnode.is_file() => Errno::EINVAL,
                Ok(_) if !may_write(world, *entry) => Errno::EACCES,
                Ok(_) => Errno::EROFS,
                Err(error) => error,
            }
        }
        (Change::Attribute | Change::LinkAttribute, Where::Served(..)) => Errno::EROFS,
        (Change::Rmdir, _) if last == b"." => Errno::EINVAL,
        (Change::Rmdir, _) if last == b".." => ENOTEMPTY,
        (Change::Unlink, _) if matches!(last, b"." | b"..") => Errno::EISDIR,
        // SAFETY: the caller's C string.
        (Change::Unlink | Change::Rmdir, Where::Served(world, entry)) if is_root(world, *entry) => unsafe {
            parent::removal_refused(dirfd, path, change == Change::Rmdir)
        },
        (Change::Unlink | Change::Rmdir, _) => Errno::EROFS,
        (Change::Mkdir | Change::Create, Where::Served(..)) => Errno::EEXIST,
        (Change::Create, Where::Absent { slash: true, .. }) => Errno::ENOENT,
        (Change::Mkdir | Change::Create, Where::Absent { .. }) => Errno::EROFS,
    })
}

/// Whether it is the root of a mount.
fn is_root(world: &World, entry: Entry) -> bool {
    let mount = world.mount(entry.mount);
    mount.is_some_and(|mount| mount.top() == entry.index)
}

/// Whether the permission bits let the caller write.
pub(super) fn may_write(world: &World, entry: Entry) -> bool {
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
    pass: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    let mut scratch = PathBuffer::new();
    // SAFETY: the caller's C string.
    let place = unsafe { locate(dirfd, path, options_of(change), &mut scratch) };
    if let Some(error) = refusal(change, dirfd, path, &place) {
        count(Family::Change, Outcome::Failed);
        return errno::fail(error);
    }
    if let Where::KernelAt(rewritten) = place {
        count(Family::Change, Outcome::PassedRewritten);
        return pass(nr::AT_FDCWD, rewritten.as_ptr());
    }
    count(Family::Change, Outcome::PassedOutside);
    let before = errno::last();
    let answer = pass(dirfd, path);
    let failed = (answer == -1).then_some(before);
    let again = |place: Where<'_>| match (refusal(change, dirfd, path, &place), &place) {
        (Some(error), _) => errno::fail(error),
        (None, Where::KernelAt(rewritten)) => pass(nr::AT_FDCWD, rewritten.as_ptr()),
        (None, _) => errno::fail(Errno::ENOENT),
    };
    let options = options_of(change);
    // SAFETY: the caller's C string.
    unsafe { look_again(failed, Family::Change, dirfd, path, options, again) }.unwrap_or(answer)
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

fn raw(number: u32, arguments: [usize; 5]) -> c_int {
    let [a, b, c, d, e] = arguments;
    // SAFETY: the kernel checks its pointers.
    errno::from_kernel(unsafe { sys::syscall6(number as usize, [a, b, c, d, e, 0]) })
}

fn at(dirfd: c_int) -> usize {
    dirfd as isize as usize
}
