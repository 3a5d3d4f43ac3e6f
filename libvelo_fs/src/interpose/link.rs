//! readlink(2), realpath(3) and their twins; physical paths in `/proc` are shown
//! as the virtual paths that they stand for.

use super::{access, cwd, look_again, reading};
use crate::fd_table;
use crate::heap::malloc;
use crate::locate::{Quick, Where, is_bad, locate, locate_bytes, quick};
use crate::served::vnode;
use crate::started::{entry_of_program, program_of_loader};
use crate::stats::{Family, Outcome, count};
use crate::symbol::is_glibc;
use crate::world::{Entry, World};
use crate::{canonical, errno, magic_link, next, shown_text, sys, world};
use core::ffi::{c_char, c_int};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Options, PathBuffer};

const PATH_BYTES: usize = nr::PATH_MAX as usize;

/// Copies what fits, without a NUL, as readlink(2) does.
unsafe fn copy_out(text: &[u8], buffer: *mut c_char, size: usize) -> Result<c_int, Errno> {
    if is_bad(buffer) {
        return Err(Errno::EFAULT);
    }
    let bytes = text.len().min(size);
    // SAFETY: the caller's buffer of `size` bytes.
    unsafe { core::ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), bytes) };
    Ok(bytes as c_int)
}

/// readlinkat(2); `pass` reads what is the kernel's.
pub(super) unsafe fn readlink_at(
    dirfd: c_int,
    path: *const c_char,
    buffer: *mut c_char,
    size: usize,
    pass: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    let options = Options {
        allow_empty: true,
        ..Options::NO_FOLLOW
    };
    if size as c_int <= 0 {
        // Refused before the path is looked at.
        return raw(dirfd, path, buffer, size);
    }
    // SAFETY: the caller's C string.
    let empty = unsafe { crate::locate::bytes(path) }.is_some_and(<[u8]>::is_empty);
    let serve = |world: &'static World, entry: Entry| {
        if !vnode(world, entry)?.is_symlink() {
            return Err(if empty { Errno::ENOENT } else { Errno::EINVAL });
        }
        let target = world
            .manifest(entry.mount)
            .and_then(|manifest| manifest.symlink_target(entry.index));
        // SAFETY: the caller's buffer.
        unsafe { copy_out(target.ok_or(Errno::EIO)?, buffer, size) }
    };
    // SAFETY: see the module above.
    unsafe {
        reading(
            Family::Readlink,
            dirfd,
            path,
            options,
            serve,
            |dirfd, path| match world::get() {
                Some(world) => shown_target(world, dirfd, path, buffer, size, &pass),
                None => pass(dirfd, path),
            },
        )
    }
}

/// readlinkat(2) of a link of the kernel's: those of `/proc` that lead into the store are
/// shown by their virtual paths.
unsafe fn shown_target(
    world: &'static World,
    dirfd: c_int,
    path: *const c_char,
    buffer: *mut c_char,
    size: usize,
    pass: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    // SAFETY: the caller's C string and buffer.
    unsafe {
        let text = crate::locate::bytes(path).unwrap_or(b"");
        let absolute = text.starts_with(b"/");
        if absolute && (text.starts_with(b"/proc/") || text.starts_with(b"/dev/"))
            || !absolute && magic_link::is_in_proc(world, dirfd)
        {
            // First into a buffer of our own: the caller's must not see the physical path.
            return virtual_target(world, dirfd, path, buffer, size)
                .unwrap_or_else(|| pass(dirfd, path));
        }
        pass(dirfd, path)
    }
}

/// The virtual path that a link of `/proc` stands for, written to the caller's buffer;
/// `None` if it is not such a link, or does not lead into the store.
unsafe fn virtual_target(
    world: &'static World,
    dirfd: c_int,
    path: *const c_char,
    buffer: *mut c_char,
    size: usize,
) -> Option<c_int> {
    // SAFETY: the caller's C string.
    let text = unsafe { crate::locate::bytes(path) }?;
    let mut physical = [0; PATH_BYTES];
    let length = sys::readlinkat(dirfd, path, &mut physical).ok()?;
    let physical = physical.get(..length)?;
    let mut entry = entry_of_physical(world, dirfd, text, physical)?;
    let (mut path, mut line) = ([0; PATH_BYTES], [0; 2 * PATH_BYTES]);
    if magic_link::absolute(dirfd, text, &mut path).is_some_and(magic_link::is_own_exe)
        && let Some(program) = program_of_loader(physical, &mut line)
    {
        entry = match entry_of_program(world, program) {
            Some(entry) => entry,
            // SAFETY: the caller's buffer.
            None => return unsafe { copy_out(program, buffer, size) }.ok(),
        };
    }
    let mut shown = [0; PATH_BYTES];
    let length = world.virtual_path(entry, &mut shown)?;
    // SAFETY: the caller's buffer.
    unsafe { copy_out(shown.get(..length)?, buffer, size) }.ok()
}

/// The entry that a physical path of `/proc` stands for. A blob may stand for
/// several; for a descriptor of our own the table knows which one was opened.
fn entry_of_physical(
    world: &'static World,
    dirfd: c_int,
    link: &[u8],
    physical: &[u8],
) -> Option<Entry> {
    let first = fd_table::by_content(world, physical)?;
    let mut path = [0; PATH_BYTES];
    let own = magic_link::absolute(dirfd, link, &mut path)
        .and_then(magic_link::own_descriptor)
        .and_then(fd_table::served);
    Some(own.unwrap_or(first))
}

fn raw(dirfd: c_int, path: *const c_char, buffer: *mut c_char, size: usize) -> c_int {
    let arguments = [
        dirfd as isize as usize,
        path as usize,
        buffer as usize,
        size,
        0,
        0,
    ];
    // SAFETY: the kernel checks its pointers.
    errno::from_kernel(unsafe { sys::syscall6(nr::__NR_readlinkat as usize, arguments) })
}

/// What musl answers where there is no room: it reads all the same, so that only the path counts.
unsafe fn without_room(dirfd: c_int, path: *const c_char) -> isize {
    let mut room: c_char = 0;
    // SAFETY: the caller's C string, and a buffer of ours.
    unsafe { readlinkat(dirfd, path, &raw mut room, 1) }.min(0)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn readlink(path: *const c_char, buffer: *mut c_char, size: usize) -> isize {
    if size == 0 && !is_glibc() {
        // SAFETY: the caller's C string; an empty one has no base.
        return unsafe { without_room(nr::AT_FDCWD, path) };
    }
    if !is_bad(path) {
        // SAFETY: the caller's C string. An empty path is an error here, not the base itself.
        if unsafe { *path } == 0 {
            return raw(nr::AT_FDCWD, path, buffer, size) as isize;
        }
    }
    // SAFETY: see the module above.
    let bytes = unsafe {
        readlink_at(
            nr::AT_FDCWD,
            path,
            buffer,
            size,
            |_, path| match next::readlink() {
                Some(real) => real(path, buffer, size) as c_int,
                None => raw(nr::AT_FDCWD, path, buffer, size),
            },
        )
    };
    bytes as isize
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn readlinkat(
    dirfd: c_int,
    path: *const c_char,
    buffer: *mut c_char,
    size: usize,
) -> isize {
    if size == 0 && !is_glibc() {
        // SAFETY: the caller's C string.
        return unsafe { without_room(dirfd, path) };
    }
    // SAFETY: see the module above.
    let bytes = unsafe {
        readlink_at(
            dirfd,
            path,
            buffer,
            size,
            |dirfd, path| match next::readlinkat() {
                Some(real) => real(dirfd, path, buffer, size) as c_int,
                None => raw(dirfd, path, buffer, size),
            },
        )
    };
    bytes as isize
}

/// The fortified twins end the process where the buffer is smaller than said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __readlink_chk(
    path: *const c_char,
    buffer: *mut c_char,
    size: usize,
    room: usize,
) -> isize {
    if size > room {
        fortify_failure();
    }
    // SAFETY: see the module above.
    unsafe { readlink(path, buffer, size) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __readlinkat_chk(
    dirfd: c_int,
    path: *const c_char,
    buffer: *mut c_char,
    size: usize,
    room: usize,
) -> isize {
    if size > room {
        fortify_failure();
    }
    // SAFETY: see the module above.
    unsafe { readlinkat(dirfd, path, buffer, size) }
}

/// As the C library: a message and an abort (feature_test_macros(7), `_FORTIFY_SOURCE`).
#[cold]
pub(super) fn fortify_failure() -> ! {
    crate::message::say(
        &crate::message::Line::new().text(b"*** buffer overflow detected ***: terminated"),
    );
    sys::abort()
}

/// Writes `text` and a NUL to the caller's buffer, or to fresh memory of the C library.
pub(super) unsafe fn give_string(text: &[u8], out: *mut c_char) -> *mut c_char {
    // SAFETY: the caller's buffer holds PATH_MAX bytes (realpath(3)).
    unsafe {
        let out = if out.is_null() {
            malloc(text.len() + 1).cast()
        } else {
            out
        };
        if out.is_null() {
            return errno::fail_null(Errno::ENOMEM);
        }
        core::ptr::copy_nonoverlapping(text.as_ptr(), out.cast(), text.len());
        *out.add(text.len()) = 0;
        out
    }
}

/// Files as the other hooks show them.
struct Shown;

impl canonical::Files for Shown {
    fn read_link(&mut self, path: *const c_char, text: &mut [u8]) -> Result<usize, Errno> {
        let (out, room) = (text.as_mut_ptr().cast(), text.len());
        // SAFETY: a C string and a buffer of ours.
        let answer = unsafe {
            readlink_at(nr::AT_FDCWD, path, out, room, |dirfd, path| {
                raw(dirfd, path, out, room)
            })
        };
        usize::try_from(answer).map_err(|_| errno::last())
    }

    fn find(&mut self, path: *const c_char) -> Result<(), Errno> {
        const F_OK: c_int = 0;
        let flags = nr::AT_EACCESS as c_int;
        // SAFETY: a C string of ours.
        match unsafe { access::faccessat(nr::AT_FDCWD, path, F_OK, flags) } {
            0 => Ok(()),
            _ => Err(errno::last()),
        }
    }

    fn working_directory(&mut self, path: &mut [u8]) -> Result<usize, Errno> {
        // SAFETY: a buffer of ours.
        let found = unsafe { cwd::getcwd(path.as_mut_ptr().cast(), path.len().min(PATH_BYTES)) };
        if found.is_null() {
            return Err(errno::last());
        }
        let end = path.iter().position(|byte| *byte == 0);
        end.ok_or(Errno::ENAMETOOLONG)
    }

    #[cold]
    #[inline(never)]
    fn walk(&mut self, path: &[u8], out: &mut [u8]) -> Result<usize, Errno> {
        let world = world::get().ok_or(Errno::ENAMETOOLONG)?;
        let mut scratch = PathBuffer::new();
        match locate_bytes(world, nr::AT_FDCWD, path, Options::FOLLOW, &mut scratch) {
            Where::Served(world, entry) => {
                let length = world.virtual_path(entry, out);
                length
                    .filter(|length| *length < PATH_BYTES)
                    .ok_or(Errno::ENAMETOOLONG)
            }
            Where::Absent { .. } => Err(Errno::ENOENT),
            Where::Kernel | Where::KernelAt(_) => Err(Errno::ENAMETOOLONG),
            Where::Failed(error) => Err(error),
        }
    }
}

/// realpath(3) of a path that has to do with a mount.
unsafe fn realpath_here(path: &[u8], out: *mut c_char) -> *mut c_char {
    let before = errno::last();
    let mut text = canonical::Text::new();
    let answer = canonical::resolve(path, &mut Shown, &mut text);
    // SAFETY: the caller's buffer of PATH_MAX bytes.
    unsafe {
        match answer {
            Ok(()) => {
                count(Family::Readlink, Outcome::Served);
                errno::restore(before);
                give_string(text.as_bytes(), out)
            }
            Err(error) => {
                count(Family::Readlink, Outcome::Failed);
                if !out.is_null() {
                    // How far it got, as glibc has it.
                    give_string(text.as_bytes(), out);
                }
                errno::fail_null(error)
            }
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn realpath(path: *const c_char, out: *mut c_char) -> *mut c_char {
    // SAFETY: see the module above.
    let pass =
        |path| unsafe { next::realpath().map_or(core::ptr::null_mut(), |real| real(path, out)) };
    // SAFETY: the caller's C string.
    let Some(text) = (unsafe { crate::locate::bytes(path) }) else {
        return pass(path);
    };
    // SAFETY: the caller's C string, and its buffer of PATH_MAX bytes.
    unsafe {
        if let Quick::Found(..) = quick(path, Options::FOLLOW) {
            // Spelled as the manifest has it, so there is nothing to resolve; but a mount's
            // root may have a slash after it.
            count(Family::Readlink, Outcome::Served);
            let end = if text.len() > 1 {
                text.strip_suffix(b"/")
            } else {
                None
            };
            return give_string(end.unwrap_or(text), out);
        }
        let mut scratch = PathBuffer::new();
        match locate(nr::AT_FDCWD, path, Options::FOLLOW, &mut scratch) {
            Where::Kernel => {
                count(Family::Readlink, Outcome::PassedOutside);
                let before = errno::last();
                let answer = pass(path);
                if let Some(world) = world::get().filter(|_| text.starts_with(b"/proc/")) {
                    // By way of a link that may be read and not followed.
                    shown_text::rewrite_string(world, answer);
                }
                let failed = answer.is_null().then_some(before);
                let (family, base) = (Family::Readlink, nr::AT_FDCWD);
                let again = |_: Where<'_>| realpath_here(text, out);
                look_again(failed, family, base, path, Options::FOLLOW, again).unwrap_or(answer)
            }
            _ => realpath_here(text, out),
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __realpath_chk(
    path: *const c_char,
    out: *mut c_char,
    room: usize,
) -> *mut c_char {
    if room < PATH_BYTES {
        fortify_failure();
    }
    // SAFETY: see the module above.
    unsafe { realpath(path, out) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn canonicalize_file_name(path: *const c_char) -> *mut c_char {
    // SAFETY: the same as realpath(3) with a fresh buffer.
    unsafe { realpath(path, core::ptr::null_mut()) }
}
