//! The interposed functions, found by their C names, one file per family.
//!
//! `python` is different: its functions are Velo's own, for language hooks.
//!
//! Invariants: no logic beyond converting arguments, asking [`crate::locate`] and
//! answering; what cannot be decided is passed to the next definition, or to the
//! kernel where there is none. Every function has the C signature of its
//! namesake, and the caller keeps that function's contract; that is the safety
//! argument of every `extern "C"` function here, so they are not repeated.
#![allow(
    clippy::missing_safety_doc,
    reason = "the contract is the C function's own, see above"
)]

mod access;
mod catalogue;
mod change;
mod cwd;
mod directory;
mod exec;
mod fd;
mod filesystem;
mod fts;
mod ftw;
mod glob;
mod handle;
mod identity;
mod link;
mod loader;
mod mount;
mod mount_tree;
mod open;
mod openat2;
mod python;
mod scandir;
mod shell;
mod socket;
mod spawn;
mod stat;
mod stdio;
mod syscall;
mod walk;
mod watch;
mod wordexp;
mod xattr;
mod xattr_at;

use crate::fd_table::{self, Known};
use crate::locate::{Quick, Where, second_look};
use crate::stats::{self, Family, Outcome};
use crate::world::{Entry, World};
use crate::{errno, locate, served};
use core::cell::Cell;
use core::ffi::{c_char, c_int};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Options, PathBuffer};

/// Options of the `*at` calls, from their flags.
#[inline(always)]
fn options_of(flags: c_int) -> Options {
    Options {
        follow_final: flags as u32 & nr::AT_SYMLINK_NOFOLLOW == 0,
        names_entry: false,
        allow_empty: flags as u32 & nr::AT_EMPTY_PATH != 0,
        ..Options::FOLLOW
    }
}

/// A call that reads something about a path: served entries go to `serve`, all
/// else to `pass`, which gets the descriptor and the path that the kernel shall see.
///
/// # Safety
/// `path` is a C string or a bad pointer.
#[inline(always)]
unsafe fn reading(
    family: Family,
    dirfd: c_int,
    path: *const c_char,
    options: Options,
    serve: impl Fn(&'static World, Entry) -> Result<c_int, Errno>,
    pass: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    // SAFETY: passed on to the caller.
    match unsafe { locate::quick(path, options) } {
        Quick::Found(world, entry) => finish(family, serve(world, entry)),
        Quick::Absent => finish(family, Err(Errno::ENOENT)),
        // SAFETY: passed on to the caller.
        Quick::Unknown => unsafe { reading_slowly(family, dirfd, path, options, serve, pass) },
    }
}

/// As [`reading`], for what is not that plain. Apart, because it needs much stack.
#[inline(never)]
unsafe fn reading_slowly(
    family: Family,
    dirfd: c_int,
    path: *const c_char,
    options: Options,
    serve: impl Fn(&'static World, Entry) -> Result<c_int, Errno>,
    pass: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    let mut scratch = PathBuffer::new();
    // SAFETY: passed on to the caller.
    let place = unsafe { locate::locate(dirfd, path, options, &mut scratch) };
    match place {
        Where::Served(world, entry) => finish(family, serve(world, entry)),
        Where::Kernel => {
            stats::count(family, Outcome::PassedOutside);
            let before = errno::last();
            let answer = pass(dirfd, path);
            let failed = (answer == -1).then_some(before);
            let again = |place: Where<'_>| match place {
                Where::Served(world, entry) => serve(world, entry).unwrap_or_else(errno::fail),
                Where::KernelAt(path) => pass(nr::AT_FDCWD, path.as_ptr()),
                Where::Absent { .. } | Where::Kernel => errno::fail(Errno::ENOENT),
                Where::Failed(error) => errno::fail(error),
            };
            // SAFETY: passed on to the caller.
            unsafe { look_again(failed, family, dirfd, path, options, again) }.unwrap_or(answer)
        }
        Where::KernelAt(path) => {
            stats::count(family, Outcome::PassedRewritten);
            pass(nr::AT_FDCWD, path.as_ptr())
        }
        Where::Absent { .. } => finish(family, Err(Errno::ENOENT)),
        Where::Failed(error) => finish(family, Err(error)),
    }
}

/// What stands in the store for a served entry: `ask` is called with its path, and its answer is the kernel's.
fn standing_in(
    world: &'static World,
    entry: Entry,
    ask: impl FnOnce(*const c_char) -> c_int,
) -> Result<c_int, Errno> {
    let vnode = served::vnode(world, entry)?;
    let answer = served::with_kernel_path(world, entry, &vnode, ask)?;
    if answer == -1 {
        Err(errno::last())
    } else {
        Ok(answer)
    }
}

/// As [`reading`], for calls whose other arguments the kernel checks before it looks at the path.
///
/// # Safety
/// `path` is a C string or a bad pointer.
unsafe fn asking(
    dirfd: c_int,
    path: *const c_char,
    options: Options,
    serve: impl Fn(&'static World, Entry) -> Result<c_int, Errno>,
    real: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    let (before, passed) = (errno::last(), Cell::new(false));
    let pass = |dirfd, path| {
        passed.set(true);
        real(dirfd, path)
    };
    // SAFETY: passed on to the caller.
    let answer = unsafe { reading(Family::Stat, dirfd, path, options, serve, pass) };
    if answer != -1 || passed.get() {
        return answer;
    }
    let error = errno::last();
    let earlier = earlier_answer(|path| real(dirfd, path));
    if earlier.is_some_and(|answer| answer != -1) {
        errno::restore(before);
    }
    earlier.unwrap_or_else(|| errno::fail(error))
}

/// What the kernel answers before it reads the path, if it does: it is asked with one that cannot be read.
fn earlier_answer(ask: impl FnOnce(*const c_char) -> c_int) -> Option<c_int> {
    const NEVER_MAPPED: *const c_char = core::ptr::without_provenance(1);
    let answer = ask(NEVER_MAPPED);
    (answer != -1 || errno::last() != Errno::EFAULT).then_some(answer)
}

/// What `answer` makes of a call that the kernel answered, if it failed for want of the path
/// and symlinks of the kernel's lead into a mount. `failed` is the `errno` of before such a
/// call, which is put back for `answer`.
///
/// # Safety
/// `path` is a C string or a bad pointer.
#[inline(always)]
unsafe fn look_again<T>(
    failed: Option<Errno>,
    family: Family,
    dirfd: c_int,
    path: *const c_char,
    options: Options,
    answer: impl FnOnce(Where<'_>) -> T,
) -> Option<T> {
    let before = failed?;
    let may_be_elsewhere = match errno::last() {
        Errno::ENOENT | Errno::ENOTDIR => true,
        // What would be changed at a mount point on the disk.
        Errno::EROFS | Errno::EACCES => options.creates || matches!(family, Family::Change),
        _ => false,
    };
    if !may_be_elsewhere {
        return None;
    }
    // SAFETY: passed on to the caller.
    unsafe {
        second_look(dirfd, path, options, |place| {
            errno::restore(before);
            if matches!(place, Where::Served(..)) {
                stats::count(family, Outcome::ServedSecondLook);
            }
            answer(place)
        })
    }
}

/// The C answer of a served call.
#[inline(always)]
fn finish(family: Family, answer: Result<c_int, Errno>) -> c_int {
    match answer {
        Ok(value) => {
            stats::count(family, Outcome::Served);
            value
        }
        Err(error) => {
            stats::count(family, Outcome::Failed);
            errno::fail(error)
        }
    }
}

/// Notes what a descriptor is that the kernel has just opened for `path`: a plain
/// file, or a plain directory above a mount, from which relative paths lead into it.
///
/// # Safety
/// `path` is a C string.
#[inline]
unsafe fn note_passed(dirfd: c_int, path: *const c_char, opened: c_int) {
    if opened < 0 {
        return;
    }
    // SAFETY: passed on to the caller; the kernel has accepted the string.
    let known = unsafe {
        match is_plainly_spelled(path) {
            true => ancestor(dirfd, path),
            false => ancestor_opened(opened),
        }
    };
    // SAFETY: as above.
    let in_proc = match unsafe { locate::bytes(path) } {
        Some(path @ [b'/', ..]) => path.starts_with(b"/proc/"),
        _ => fd_table::get(dirfd) == Known::InProc,
    };
    let otherwise = if in_proc {
        Known::InProc
    } else {
        Known::Foreign
    };
    fd_table::set(opened, known.unwrap_or(otherwise));
}

/// Whether a path says by itself where it leads, but for symlinks.
///
/// # Safety
/// `path` is a C string.
unsafe fn is_plainly_spelled(path: *const c_char) -> bool {
    // SAFETY: passed on to the caller.
    unsafe { locate::bytes(path) }.is_none_or(|path| {
        !path.starts_with(b"/proc/")
            && !path.starts_with(b"/dev/fd/")
            && path.split(|byte| *byte == b'/').all(|part| part != b"..")
    })
}

/// What a descriptor is whose path the kernel has to be asked for.
#[cold]
fn ancestor_opened(opened: c_int) -> Option<Known> {
    let world = crate::world::get()?;
    let mut buffer = [0; nr::PATH_MAX as usize];
    let path = fd_table::physical_path(opened, &mut buffer)?;
    let path = path.strip_suffix(b"/").unwrap_or(path);
    Some(Known::Ancestor {
        mount: world.mount_below(path)?,
        bytes: path.len() as u32,
    })
}

unsafe fn ancestor(dirfd: c_int, path: *const c_char) -> Option<Known> {
    let world = crate::world::get()?;
    // SAFETY: passed on to the caller.
    let path = unsafe { locate::bytes(path) }?;
    let mut directory = crate::cwd::Buffer::new();
    let base: &[u8] = match (path, dirfd) {
        ([b'/', ..], _) => b"",
        (_, nr::AT_FDCWD) => match crate::cwd::get(world, &mut directory)? {
            crate::cwd::Cwd::Ancestor(directory) => directory,
            _ => return None,
        },
        _ => match fd_table::get(dirfd) {
            Known::Ancestor { mount, bytes } => world.mount(mount)?.path().get(..bytes as usize)?,
            _ => return None,
        },
    };
    ancestor_below(base, path)
}

/// The plain directory that a `path` without `..` leads to from `base`, if it is above a mount.
fn ancestor_below(base: &[u8], path: &[u8]) -> Option<Known> {
    let world = crate::world::get()?;
    let mut buffer = [0; nr::PATH_MAX as usize];
    let base = base.strip_suffix(b"/").unwrap_or(base);
    let mut end = base.len();
    buffer.get_mut(..end)?.copy_from_slice(base);
    for component in path
        .split(|byte| *byte == b'/')
        .filter(|component| !matches!(*component, b"" | b"."))
    {
        if component == b".." {
            return None;
        }
        *buffer.get_mut(end)? = b'/';
        buffer
            .get_mut(end + 1..end + 1 + component.len())?
            .copy_from_slice(component);
        end += 1 + component.len();
    }
    let mount = world.mount_below(buffer.get(..end)?)?;
    Some(Known::Ancestor {
        mount,
        bytes: end as u32,
    })
}
