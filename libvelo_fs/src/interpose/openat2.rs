//! openat2(2), which the C library has no name for: it comes through `syscall()`.

use super::open::{absent, open_at, open_entry, options_of};
use super::{finish, look_again, note_passed};
use crate::locate::{self, Where, is_bad, locate};
use crate::served::KernelPath;
use crate::stats::{Family, Outcome, count};
use crate::{errno, sys, world};
use core::ffi::{c_char, c_int};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Options, PathBuffer, Restrict};

/// Every flag of open(2): openat2(2) refuses others.
const KNOWN_FLAGS: u32 = nr::O_ACCMODE
    | nr::O_CREAT
    | nr::O_EXCL
    | nr::O_NOCTTY
    | nr::O_TRUNC
    | nr::O_APPEND
    | nr::O_NONBLOCK
    | nr::O_SYNC
    | nr::FASYNC
    | nr::O_DIRECT
    | nr::O_LARGEFILE
    | nr::O_DIRECTORY
    | nr::O_NOFOLLOW
    | nr::O_NOATIME
    | nr::O_CLOEXEC
    | nr::O_PATH
    | nr::O_TMPFILE;

/// Every restriction but this one has to do with the way that a path takes.
const CACHED: u32 = nr::RESOLVE_CACHED;
const RESTRICTIONS: u32 = nr::RESOLVE_NO_XDEV
    | nr::RESOLVE_NO_MAGICLINKS
    | nr::RESOLVE_NO_SYMLINKS
    | nr::RESOLVE_BENEATH
    | nr::RESOLVE_IN_ROOT;

/// What the resolver has to heed. There are no magic links in a mount.
fn restrict_of(resolve: u32) -> Restrict {
    Restrict((resolve & !nr::RESOLVE_NO_MAGICLINKS) as u8)
}

const _: () = assert!(
    Restrict::NO_XDEV.0 as u32 == nr::RESOLVE_NO_XDEV
        && Restrict::NO_SYMLINKS.0 as u32 == nr::RESOLVE_NO_SYMLINKS
        && Restrict::BENEATH.0 as u32 == nr::RESOLVE_BENEATH
        && Restrict::IN_ROOT.0 as u32 == nr::RESOLVE_IN_ROOT
);

/// Whether the kernel refuses the request before it looks at the path.
fn is_refused(how: &nr::open_how) -> bool {
    let flags = how.flags as u32;
    let temporary = nr::O_TMPFILE & !nr::O_DIRECTORY;
    let creates = flags & (nr::O_CREAT | temporary) != 0;
    let changes = creates || flags & nr::O_TRUNC != 0;
    let resolve = how.resolve as u32;
    let both = nr::RESOLVE_BENEATH | nr::RESOLVE_IN_ROOT;
    how.flags & !u64::from(KNOWN_FLAGS) != 0
        || how.resolve & !u64::from(RESTRICTIONS | CACHED) != 0
        || (how.mode != 0 && !creates)
        || resolve & both == both
        || (resolve & CACHED != 0 && changes)
}

/// Whether flags do not go together, or do not with every kernel.
fn is_odd(flags: u32) -> bool {
    let with_path = nr::O_PATH | nr::O_DIRECTORY | nr::O_NOFOLLOW | nr::O_CLOEXEC;
    let temporary = nr::O_TMPFILE & !nr::O_DIRECTORY;
    let made_directory = nr::O_CREAT | nr::O_DIRECTORY;
    flags & temporary != 0
        || (flags & nr::O_PATH != 0 && flags & !with_path != 0)
        || flags & made_directory == made_directory
}

/// Whether a path leads through a magic link, which every restriction forbids.
fn is_magic(path: *const c_char, restrict: Restrict) -> bool {
    // SAFETY: the caller's C string.
    let path = unsafe { locate::bytes(path) }.unwrap_or(b"");
    !restrict.has(Restrict::IN_ROOT)
        && (path.starts_with(b"/proc/") || path.starts_with(b"/dev/fd/"))
}

pub(super) unsafe fn openat2(
    dirfd: c_int,
    path: *const c_char,
    how: *const nr::open_how,
    bytes: usize,
) -> c_int {
    let raw = |dirfd: c_int, path: *const c_char| {
        let arguments = [
            dirfd as isize as usize,
            path as usize,
            how as usize,
            bytes,
            0,
            0,
        ];
        // SAFETY: the kernel checks its pointers.
        errno::from_kernel(unsafe { sys::syscall6(nr::__NR_openat2 as usize, arguments) })
    };
    if is_bad(how) || bytes < size_of::<nr::open_how>() {
        return raw(dirfd, path);
    }
    // SAFETY: the caller's structure of at least that size.
    let request = unsafe { &*how };
    if is_refused(request) {
        return raw(dirfd, path);
    }
    let (flags, resolve) = (request.flags as c_int, request.resolve as u32);
    if is_odd(flags as u32) {
        // The kernel says so before it looks at the path, so an empty one will do.
        let before = errno::last();
        if raw(nr::AT_FDCWD, c"".as_ptr()) == -1 && errno::last() == Errno::EINVAL {
            return -1;
        }
        errno::restore(before);
    }
    if resolve & RESTRICTIONS == 0 {
        // SAFETY: see the module above.
        return unsafe { open_at(dirfd, path, flags, raw) };
    }
    let options = Options {
        restrict: restrict_of(resolve),
        ..options_of(flags)
    };
    if is_magic(path, options.restrict) {
        return raw(dirfd, path);
    }
    // SAFETY: see the module above.
    unsafe { restricted(dirfd, path, flags, options, raw) }
}

/// The error of a way that ended with `error`, or the one for a mount of the kernel's that stands before
/// that: what is above a mount of ours is the kernel's, and only the kernel knows its mounts.
unsafe fn error_on_the_way(
    dirfd: c_int,
    path: *const c_char,
    options: Options,
    error: Errno,
) -> Errno {
    // Any other error is found in a mount, which nobody comes to without EXDEV.
    let may_come_later = matches!(error, Errno::EISDIR | Errno::ELOOP);
    if !options.restrict.has(Restrict::NO_XDEV) || !may_come_later {
        return error;
    }
    // SAFETY: the caller's C string.
    let text = unsafe { locate::bytes(path) }.unwrap_or(b"");
    let is_created = options.creates && text.ends_with(b"/");
    let way = if is_created {
        // What is created is not stepped on.
        let name_end = text.iter().rposition(|byte| *byte != b'/').unwrap_or(0);
        let name = text.get(..name_end).unwrap_or(b"");
        let directory_end = name.iter().rposition(|byte| *byte == b'/');
        name.get(..directory_end.map_or(0, |slash| slash + 1))
    } else {
        Some(text)
    };
    let Ok(way) = KernelPath::new(way.unwrap_or(b"")) else {
        return error;
    };
    let how = nr::open_how {
        flags: u64::from(nr::O_PATH | nr::O_CLOEXEC),
        mode: 0,
        resolve: u64::from(options.restrict.0),
    };
    // SAFETY: a C string of ours.
    match sys::result(unsafe { sys::openat2(dirfd, way.as_ptr(), &how) }) {
        Err(Errno::EXDEV) => Errno::EXDEV,
        Err(_) => error,
        Ok(opened) => {
            sys::close(opened as c_int);
            error
        }
    }
}

/// Opens with restrictions; `pass` is the kernel's own way.
unsafe fn restricted(
    dirfd: c_int,
    path: *const c_char,
    flags: c_int,
    options: Options,
    pass: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    let mut scratch = PathBuffer::new();
    // SAFETY: the caller's C string.
    match unsafe { locate(dirfd, path, options, &mut scratch) } {
        Where::Served(world, entry) => finish(Family::Open, open_entry(world, entry, flags)),
        Where::Absent { .. } => finish(Family::Open, Err(absent(options))),
        Where::Failed(error) => {
            // SAFETY: the caller's C string.
            let error = unsafe { error_on_the_way(dirfd, path, options, error) };
            finish(Family::Open, Err(error))
        }
        Where::Kernel => {
            count(Family::Open, Outcome::PassedOutside);
            let before = errno::last();
            let opened = pass(dirfd, path);
            // With a root of its own, a path does not lead where it says.
            let is_rooted = options.restrict.has(Restrict::IN_ROOT);
            let failed = (opened == -1 && !is_rooted).then_some(before);
            let error = errno::last();
            let again = |place: Where<'_>| match place {
                Where::Served(world, entry) => {
                    open_entry(world, entry, flags).unwrap_or_else(errno::fail)
                }
                Where::Absent { .. } => errno::fail(absent(options)),
                Where::Failed(error) => errno::fail(error),
                Where::Kernel | Where::KernelAt(_) => errno::fail(error),
            };
            // SAFETY: the caller's C string.
            let again = unsafe { look_again(failed, Family::Open, dirfd, path, options, again) };
            if let Some(answer) = again {
                return answer;
            }
            if !is_rooted {
                // SAFETY: the kernel has accepted the string.
                unsafe { note_passed(dirfd, path, opened) };
            }
            opened
        }
        Where::KernelAt(path) => {
            count(Family::Open, Outcome::PassedRewritten);
            let (start, skipped) = if options.restrict.has(Restrict::SCOPED) {
                let base = world::get().map_or(0, |world| locate::base_bytes(world, dirfd));
                (dirfd, base)
            } else {
                (nr::AT_FDCWD, 0)
            };
            let rest = path.to_bytes_with_nul().get(skipped..).unwrap_or(b"\0");
            let rest = if skipped == 0 {
                rest
            } else {
                locate::trim_slashes(rest)
            };
            let rest = match rest {
                [] | [0] => c".".as_ptr(),
                _ => rest.as_ptr().cast(),
            };
            let opened = pass(start, rest);
            if !options.restrict.has(Restrict::IN_ROOT) {
                // SAFETY: the resolver's own C string.
                unsafe { note_passed(start, rest, opened) };
            }
            opened
        }
    }
}
