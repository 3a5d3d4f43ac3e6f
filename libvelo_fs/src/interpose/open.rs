//! open(2), openat(2), creat(2) and their twins.

use super::{look_again, note_passed};
use crate::fd_table::{self, Known};
use crate::locate::{self, Quick, User, Where, locate};
use crate::served;
use crate::stats::{Family, Outcome, count};
use crate::world::{Entry, World};
use crate::{errno, maps_text, next, sys};
use core::ffi::{CStr, c_char, c_int, c_uint};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Options, PathBuffer};

/// The flags that count: `O_PATH` opens nothing, so the kernel forgets most of the others.
fn effective(flags: c_int) -> c_int {
    if flags as u32 & nr::O_PATH == 0 {
        return flags;
    }
    let kept = nr::O_PATH | nr::O_DIRECTORY | nr::O_NOFOLLOW | nr::O_CLOEXEC;
    (flags as u32 & kept) as c_int
}

/// How open(2) resolves its path: `O_NOFOLLOW` and exclusive creation stop at a final symlink.
#[inline(always)]
pub(super) fn options_of(flags: c_int) -> Options {
    let creates = flags as u32 & (nr::O_CREAT | nr::O_PATH) == nr::O_CREAT;
    let exclusive = creates && flags as u32 & nr::O_EXCL != 0;
    Options {
        follow_final: flags as u32 & nr::O_NOFOLLOW == 0 && !exclusive,
        creates,
        ..Options::FOLLOW
    }
}

/// Flags that the kernel refuses before it looks at the path: `O_TMPFILE` that does
/// not ask for writing, or not for a directory.
fn is_invalid(flags: c_int) -> bool {
    let temporary = nr::O_TMPFILE & !nr::O_DIRECTORY;
    let writes = matches!(flags as u32 & nr::O_ACCMODE, nr::O_WRONLY | nr::O_RDWR);
    flags as u32 & temporary != 0 && (flags as u32 & nr::O_DIRECTORY == 0 || !writes)
}

/// Whether the kernel refuses to create and to want a directory at once, which it does
/// since Linux 6.4; it says so before it looks at the path, so an empty one will do.
#[cold]
fn refuses_created_directory(flags: c_int) -> bool {
    // SAFETY: a C string of ours.
    let answer = unsafe { sys::openat(nr::AT_FDCWD, c"".as_ptr(), flags, 0) };
    sys::result(answer) == Err(Errno::EINVAL)
}

/// Opens a served entry and notes what the descriptor is.
pub(super) fn open_entry(
    world: &'static World,
    entry: Entry,
    flags: c_int,
) -> Result<c_int, Errno> {
    open_entry_beside(world, entry, flags, None)
}

fn open_entry_beside(
    world: &'static World,
    entry: Entry,
    flags: c_int,
    beside: Option<(c_int, *const c_char)>,
) -> Result<c_int, Errno> {
    let descriptor = served::open(world, entry, flags, &User::effective(), beside)?;
    fd_table::set(descriptor, Known::Served(entry));
    Ok(descriptor)
}

/// The caller's own arguments, if the kernel comes to `entry` by them in the view tree
/// as well: a name in a served directory, as all walks of trees use it, or the
/// descriptor of a symlink, which only `/proc` opens without `O_NOFOLLOW`.
///
/// # Safety
/// `path` is a C string.
unsafe fn beside(
    world: &World,
    entry: Entry,
    dirfd: c_int,
    path: *const c_char,
    flags: c_int,
) -> Option<(c_int, *const c_char)> {
    let manifest = world.manifest(entry.mount)?;
    let is_descriptor = || {
        flags as u32 & nr::O_NOFOLLOW == 0
            && manifest
                .vnode(entry.index)
                .is_some_and(|vnode| vnode.is_symlink())
    };
    let is_name = |above: Entry| {
        above.mount == entry.mount
            && manifest.parent(entry.index) == Some(above.index)
            // SAFETY: passed on to the caller.
            && manifest.name(entry.index) == unsafe { locate::bytes(path) }
    };
    let same = match fd_table::get(dirfd) {
        Known::Served(above) if is_name(above) => true,
        _ => is_descriptor(),
    };
    same.then_some((dirfd, path))
}

/// Opens `path`; `pass` opens what is the kernel's.
///
/// # Safety
/// `path` is a C string or a bad pointer.
pub(super) unsafe fn open_at(
    dirfd: c_int,
    path: *const c_char,
    flags: c_int,
    pass: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    let flags = effective(flags);
    let created_directory = (nr::O_CREAT | nr::O_DIRECTORY) as c_int;
    if is_invalid(flags)
        || flags & created_directory == created_directory && refuses_created_directory(flags)
    {
        return pass(dirfd, path);
    }
    let options = options_of(flags);
    // SAFETY: passed on to the caller.
    match unsafe { locate::quick(path, options) } {
        Quick::Found(world, entry) if flags as u32 & nr::O_CREAT == 0 => {
            super::finish(Family::Open, open_entry(world, entry, flags))
        }
        Quick::Absent if flags as u32 & nr::O_CREAT == 0 => {
            super::finish(Family::Open, Err(Errno::ENOENT))
        }
        // SAFETY: passed on to the caller.
        _ => unsafe { open_slowly(dirfd, path, flags, options, pass) },
    }
}

/// What is not that plain. Apart, because it needs much stack.
#[inline(never)]
unsafe fn open_slowly(
    dirfd: c_int,
    path: *const c_char,
    flags: c_int,
    options: Options,
    pass: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    let mut scratch = PathBuffer::new();
    // SAFETY: passed on to the caller.
    let place = unsafe { locate(dirfd, path, options, &mut scratch) };
    match place {
        Where::Served(world, entry) => {
            // SAFETY: passed on to the caller; what is served had a name.
            let beside = unsafe { beside(world, entry, dirfd, path, flags) };
            super::finish(Family::Open, open_entry_beside(world, entry, flags, beside))
        }
        Where::Kernel => {
            count(Family::Open, Outcome::PassedOutside);
            let before = errno::last();
            let opened = pass(dirfd, path);
            if opened >= 0 {
                // SAFETY: the kernel has accepted the string.
                unsafe {
                    note_passed(dirfd, path, opened);
                    maps_text::show(path, opened);
                }
                return opened;
            }
            let again = |place: Where<'_>| match place {
                Where::Served(world, entry) => {
                    open_entry(world, entry, flags).unwrap_or_else(errno::fail)
                }
                Where::KernelAt(path) => open_rewritten(path, &pass),
                Where::Absent { .. } | Where::Kernel => errno::fail(absent(options)),
                Where::Failed(error) => errno::fail(error),
            };
            // SAFETY: passed on to the caller.
            unsafe { look_again(Some(before), Family::Open, dirfd, path, options, again) }
                .unwrap_or(opened)
        }
        Where::KernelAt(path) => {
            count(Family::Open, Outcome::PassedRewritten);
            open_rewritten(path, &pass)
        }
        Where::Absent { .. } => super::finish(Family::Open, Err(absent(options))),
        Where::Failed(error) => super::finish(Family::Open, Err(error)),
    }
}

/// Opens what is outside, reached through a mount.
fn open_rewritten(path: &CStr, pass: &impl Fn(c_int, *const c_char) -> c_int) -> c_int {
    let opened = pass(nr::AT_FDCWD, path.as_ptr());
    // SAFETY: a C string.
    unsafe {
        note_passed(nr::AT_FDCWD, path.as_ptr(), opened);
        maps_text::show(path.as_ptr(), opened);
    }
    opened
}

/// What opening a name answers that a served directory does not have.
pub(super) fn absent(options: Options) -> Errno {
    if options.creates {
        Errno::EROFS
    } else {
        Errno::ENOENT
    }
}

fn raw(dirfd: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: the kernel checks its pointers.
    errno::from_kernel(unsafe { sys::openat(dirfd, path, flags, mode) })
}

/// `mode` is read like the C library reads its optional argument: the kernel
/// ignores it unless something is created.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        open_at(nr::AT_FDCWD, path, flags, |_, path| match next::open() {
            Some(real) => real(path, flags, mode),
            None => raw(nr::AT_FDCWD, path, flags, mode),
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: the same on 64-bit machines.
    unsafe { open(path, flags, mode) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: another name of the same function.
    unsafe { open(path, flags, mode) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: another name of the same function.
    unsafe { open(path, flags, mode) }
}

/// The fortified twin, which ends the process where a mode would be missing: that
/// check stays with the C library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __open_2(path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        open_at(nr::AT_FDCWD, path, flags, |_, path| {
            match next::__open_2() {
                Some(real) => real(path, flags),
                None => raw(nr::AT_FDCWD, path, flags, 0),
            }
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __open64_2(path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the same on 64-bit machines.
    unsafe { __open_2(path, flags) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat(
    dirfd: c_int,
    path: *const c_char,
    flags: c_int,
    mode: c_uint,
) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        open_at(dirfd, path, flags, |dirfd, path| match next::openat() {
            Some(real) => real(dirfd, path, flags, mode),
            None => raw(dirfd, path, flags, mode),
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat64(
    dirfd: c_int,
    path: *const c_char,
    flags: c_int,
    mode: c_uint,
) -> c_int {
    // SAFETY: the same on 64-bit machines.
    unsafe { openat(dirfd, path, flags, mode) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __openat_2(dirfd: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        open_at(dirfd, path, flags, |dirfd, path| match next::__openat_2() {
            Some(real) => real(dirfd, path, flags),
            None => raw(dirfd, path, flags, 0),
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __openat64_2(dirfd: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the same on 64-bit machines.
    unsafe { __openat_2(dirfd, path, flags) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn creat(path: *const c_char, mode: c_uint) -> c_int {
    let flags = (nr::O_CREAT | nr::O_WRONLY | nr::O_TRUNC) as c_int;
    // SAFETY: see the module above.
    unsafe {
        open_at(nr::AT_FDCWD, path, flags, |_, path| match next::creat() {
            Some(real) => real(path, mode),
            None => raw(nr::AT_FDCWD, path, flags, mode),
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn creat64(path: *const c_char, mode: c_uint) -> c_int {
    // SAFETY: the same on 64-bit machines.
    unsafe { creat(path, mode) }
}
