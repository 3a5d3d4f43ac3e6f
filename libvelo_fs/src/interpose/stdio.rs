//! fopen(3), freopen(3), fclose(3), setmntent(3): the C library opens and closes inside, past
//! our other hooks, so streams are hooked by name.

use super::look_again;
use super::open::{absent, options_of};
use crate::fd_table::{self, Known};
use crate::locate::{User, Where, locate};
use crate::served::{check_open, report_missing, vnode, with_kernel_path};
use crate::stats::{Family, Outcome, count};
use crate::symbol::weak_address;
use crate::world::{Entry, World};
use crate::{errno, maps_text, next};
use core::cell::Cell;
use core::ffi::{c_char, c_int, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::PathBuffer;

/// The flags of open(2) that a stream mode stands for, as far as they matter here.
unsafe fn flags_of(mode: *const c_char) -> Option<c_int> {
    // SAFETY: the caller's C string.
    let text = unsafe { crate::locate::bytes(mode) }?;
    let more = text.split(|byte| *byte == b',').next().unwrap_or(b"");
    let (one_way, creates) = match text.first()? {
        b'r' => (nr::O_RDONLY, 0),
        b'w' => (nr::O_WRONLY, nr::O_CREAT | nr::O_TRUNC),
        b'a' => (nr::O_WRONLY, nr::O_CREAT | nr::O_APPEND),
        _ => return None,
    };
    let access = if more.contains(&b'+') {
        nr::O_RDWR
    } else {
        one_way
    };
    let exclusive = if creates != 0 && more.contains(&b'x') {
        nr::O_EXCL
    } else {
        0
    };
    Some((access | creates | exclusive) as c_int)
}

/// What opening a served entry as a stream answers, given how to open a kernel path.
unsafe fn open_served(
    world: &'static World,
    entry: Entry,
    flags: c_int,
    open: impl FnOnce(*const c_char) -> *mut c_void,
) -> Result<*mut c_void, Errno> {
    let vnode = vnode(world, entry)?;
    check_open(world, entry, &vnode, flags, &User::effective())?;
    let stream = with_kernel_path(world, entry, &vnode, open)?;
    if stream.is_null() {
        let error = errno::last();
        if matches!(error, Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) {
            report_missing(world, entry, &vnode);
            return Err(Errno::EIO);
        }
        return Err(error);
    }
    note(stream, Known::Served(entry));
    Ok(stream)
}

/// Notes what the descriptor below a stream is.
fn note(stream: *mut c_void, known: Known) {
    if let Some(fileno) = next::fileno() {
        // SAFETY: a stream that the C library has just opened.
        fd_table::set(unsafe { fileno(stream) }, known);
    }
}

/// Opens a stream; `open` is the C library's, given a path.
unsafe fn open_stream(
    path: *const c_char,
    mode: *const c_char,
    open: impl Fn(*const c_char) -> *mut c_void,
) -> *mut c_void {
    // SAFETY: the caller's C strings.
    let Some(flags) = (unsafe { flags_of(mode) }) else {
        return open(path);
    };
    let options = options_of(flags);
    let mut scratch = PathBuffer::new();
    // SAFETY: the caller's C string.
    let place = unsafe { locate(nr::AT_FDCWD, path, options, &mut scratch) };
    let answer = match place {
        // SAFETY: `open` takes any path.
        Where::Served(world, entry) => unsafe { open_served(world, entry, flags, open) },
        Where::Absent { .. } => Err(absent(options)),
        Where::Failed(error) => Err(error),
        Where::KernelAt(path) => {
            count(Family::Open, Outcome::PassedRewritten);
            // SAFETY: the resolver's own C string.
            return unsafe { opened(path.as_ptr(), open(path.as_ptr())) };
        }
        Where::Kernel => {
            count(Family::Open, Outcome::PassedOutside);
            let before = errno::last();
            let stream = open(path);
            let failed = stream.is_null().then_some(before);
            let again = |place: Where<'_>| match place {
                // SAFETY: `open` takes any path.
                Where::Served(world, entry) => unsafe { open_served(world, entry, flags, &open) },
                // SAFETY: the resolver's own C string.
                Where::KernelAt(path) => unsafe { Ok(opened(path.as_ptr(), open(path.as_ptr()))) },
                Where::Absent { .. } | Where::Kernel => Err(absent(options)),
                Where::Failed(error) => Err(error),
            };
            let here = nr::AT_FDCWD;
            // SAFETY: the caller's C string, which the C library has accepted.
            unsafe {
                match look_again(failed, Family::Open, here, path, options, again) {
                    Some(answer) => return answer.unwrap_or_else(errno::fail_null),
                    None => return opened(path, stream),
                }
            }
        }
    };
    match answer {
        Ok(stream) => {
            count(Family::Open, Outcome::Served);
            stream
        }
        Err(error) => {
            count(Family::Open, Outcome::Failed);
            errno::fail_null(error)
        }
    }
}

/// A stream of the kernel's own, from which nothing has been read.
unsafe fn opened(path: *const c_char, stream: *mut c_void) -> *mut c_void {
    if !stream.is_null()
        && let Some(fileno) = next::fileno()
    {
        // SAFETY: a stream that the C library has just opened at this path.
        unsafe {
            let descriptor = fileno(stream);
            fd_table::set(descriptor, Known::Foreign);
            maps_text::show(path, descriptor);
        }
    }
    stream
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fopen(path: *const c_char, mode: *const c_char) -> *mut c_void {
    let Some(real) = next::fopen() else {
        return errno::fail_null(Errno::ENOSYS);
    };
    // SAFETY: see the module above.
    unsafe { open_stream(path, mode, |path| real(path, mode)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fopen64(path: *const c_char, mode: *const c_char) -> *mut c_void {
    // SAFETY: the same on 64-bit machines.
    unsafe { fopen(path, mode) }
}

/// What a served file under a stream has against another mode; musl changes nothing but flags.
unsafe fn refused_mode(stream: *mut c_void, mode: *const c_char) -> Option<Errno> {
    let world = crate::world::get()?;
    if weak_address!("gnu_get_libc_version").is_null() {
        return None;
    }
    // SAFETY: the caller's open stream and C string.
    let (descriptor, flags) = unsafe { (next::fileno()?(stream), flags_of(mode)?) };
    let entry = fd_table::served(descriptor)?;
    if flags as u32 & nr::O_ACCMODE == nr::O_RDONLY {
        return None;
    }
    let vnode = vnode(world, entry).ok()?;
    check_open(world, entry, &vnode, flags, &User::effective()).err()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn freopen(
    path: *const c_char,
    mode: *const c_char,
    stream: *mut c_void,
) -> *mut c_void {
    let Some(real) = next::freopen() else {
        return errno::fail_null(Errno::ENOSYS);
    };
    // SAFETY: see the module above.
    unsafe {
        let called = Cell::new(false);
        let reopen = |path| {
            called.set(true);
            real(path, mode, stream)
        };
        let reopened = if path.is_null() {
            // Only the mode changes: glibc opens the file again, by its number.
            match refused_mode(stream, mode) {
                Some(error) => errno::fail_null(error),
                None => reopen(path),
            }
        } else {
            open_stream(path, mode, reopen)
        };
        if reopened.is_null() && !called.get() {
            // Whatever the reason for the failure, the old file is closed.
            let reason = errno::last();
            real(c"".as_ptr(), mode, stream);
            errno::restore(reason);
        }
        reopened
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn freopen64(
    path: *const c_char,
    mode: *const c_char,
    stream: *mut c_void,
) -> *mut c_void {
    // SAFETY: the same on 64-bit machines.
    unsafe { freopen(path, mode, stream) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fclose(stream: *mut c_void) -> c_int {
    let Some(real) = next::fclose() else {
        return errno::fail(Errno::ENOSYS);
    };
    // SAFETY: see the module above; the stream is open until `real`.
    unsafe {
        forget(stream);
        real(stream)
    }
}

/// Forgets the descriptor of a stream that is about to be closed.
unsafe fn forget(stream: *mut c_void) {
    if let Some(fileno) = next::fileno() {
        let before = errno::last();
        // SAFETY: the caller's open stream.
        let descriptor = unsafe { fileno(stream) };
        errno::restore(before);
        fd_table::clear(descriptor);
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn _IO_fopen(path: *const c_char, mode: *const c_char) -> *mut c_void {
    // SAFETY: another name of the same function.
    unsafe { fopen(path, mode) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn _IO_fclose(stream: *mut c_void) -> c_int {
    // SAFETY: another name of the same function.
    unsafe { fclose(stream) }
}

/// setmntent(3): fopen(3) of any file, inside the C library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn setmntent(path: *const c_char, mode: *const c_char) -> *mut c_void {
    let Some(real) = next::setmntent() else {
        return errno::fail_null(Errno::ENOSYS);
    };
    // SAFETY: see the module above.
    unsafe { open_stream(path, mode, |path| real(path, mode)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __setmntent(path: *const c_char, mode: *const c_char) -> *mut c_void {
    // SAFETY: another name of the same function.
    unsafe { setmntent(path, mode) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn endmntent(stream: *mut c_void) -> c_int {
    let Some(real) = next::endmntent() else {
        return errno::fail(Errno::ENOSYS);
    };
    // SAFETY: see the module above; the stream is open until `real`.
    unsafe {
        if !stream.is_null() {
            forget(stream);
        }
        real(stream)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __endmntent(stream: *mut c_void) -> c_int {
    // SAFETY: another name of the same function.
    unsafe { endmntent(stream) }
}
