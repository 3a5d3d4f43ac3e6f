//! opendir(3) and all that takes a `DIR`, getdents64(2).

use super::{finish, look_again};
use crate::dir_stream::{self, Stream};
use crate::fd_table::{self, Known};
use crate::listing::{self, Record};
use crate::locate::{User, Where, is_bad, locate};
use crate::stats::{Family, Outcome, count};
use crate::world::{Entry, World};
use crate::{errno, mount_points, next, served, sys, world};
use core::ffi::{c_char, c_int, c_long, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Options, PathBuffer};

type Dir = *mut c_void;

const OPEN_DIRECTORY: u32 = nr::O_RDONLY | nr::O_DIRECTORY | nr::O_CLOEXEC | nr::O_NONBLOCK;

fn open_served(world: &'static World, entry: Entry) -> Result<Dir, Errno> {
    let descriptor = served::open(
        world,
        entry,
        OPEN_DIRECTORY as c_int,
        &User::effective(),
        None,
    )?;
    let Some(stream) = dir_stream::open(descriptor, entry, 0) else {
        sys::close(descriptor);
        return Err(Errno::ENOMEM);
    };
    fd_table::set(descriptor, Known::Served(entry));
    Ok(stream.as_ptr())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendir(path: *const c_char) -> Dir {
    let pass = |path: *const c_char| {
        // SAFETY: see the module above.
        let dir = next::opendir().map_or(core::ptr::null_mut(), |real| unsafe { real(path) });
        if !dir.is_null()
            && let Some(dirfd) = next::dirfd()
        {
            // SAFETY: a stream of the C library's own, and the path that it accepted.
            let descriptor = unsafe { dirfd(dir) };
            // SAFETY: as above.
            unsafe { super::note_passed(nr::AT_FDCWD, path, descriptor) };
            if let Some(world) = world::get() {
                mount_points::begin(world, dir, descriptor);
            }
        }
        dir
    };
    let mut scratch = PathBuffer::new();
    // SAFETY: the caller's C string.
    let place = unsafe { locate(nr::AT_FDCWD, path, Options::FOLLOW, &mut scratch) };
    let answer = match place {
        Where::Served(world, entry) => open_served(world, entry),
        Where::Absent { .. } => Err(Errno::ENOENT),
        Where::Failed(error) => Err(error),
        Where::KernelAt(path) => {
            count(Family::Directory, Outcome::PassedRewritten);
            return pass(path.as_ptr());
        }
        Where::Kernel => {
            count(Family::Directory, Outcome::PassedOutside);
            let before = errno::last();
            let dir = pass(path);
            let failed = dir.is_null().then_some(before);
            let (family, here) = (Family::Directory, nr::AT_FDCWD);
            let again = |place: Where<'_>| match place {
                Where::Served(world, entry) => open_served(world, entry),
                Where::KernelAt(path) => Ok(pass(path.as_ptr())),
                Where::Absent { .. } | Where::Kernel => Err(Errno::ENOENT),
                Where::Failed(error) => Err(error),
            };
            // SAFETY: the caller's C string.
            let answer = unsafe { look_again(failed, family, here, path, Options::FOLLOW, again) };
            return answer.unwrap_or(Ok(dir)).unwrap_or_else(errno::fail_null);
        }
    };
    match answer {
        Ok(dir) => {
            count(Family::Directory, Outcome::Served);
            dir
        }
        Err(error) => {
            count(Family::Directory, Outcome::Failed);
            errno::fail_null(error)
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdopendir(descriptor: c_int) -> Dir {
    let served = world::get().and_then(|world| {
        let entry = fd_table::served(descriptor)?;
        served::vnode(world, entry)
            .is_ok_and(|vnode| vnode.is_dir())
            .then_some(entry)
    });
    let Some(entry) = served else {
        // SAFETY: see the module above.
        let dir =
            next::fdopendir().map_or(core::ptr::null_mut(), |real| unsafe { real(descriptor) });
        if !dir.is_null()
            && let Some(world) = world::get()
        {
            mount_points::begin(world, dir, descriptor);
        }
        return dir;
    };
    const SEEK_CUR: c_int = 1;
    // O_PATH: a stream, but it cannot be listed.
    let position = sys::result(sys::lseek(descriptor, 0, SEEK_CUR));
    let position = position.map_or(dir_stream::UNREADABLE, |position| position as u64);
    const FD_CLOEXEC: usize = 1;
    let arguments = [
        descriptor as usize,
        nr::F_SETFD as usize,
        FD_CLOEXEC,
        0,
        0,
        0,
    ];
    // SAFETY: no pointers. The C library marks it as well.
    unsafe { sys::syscall6(nr::__NR_fcntl as usize, arguments) };
    count(Family::Directory, Outcome::Served);
    dir_stream::open(descriptor, entry, position)
        .map_or_else(|| errno::fail_null(Errno::ENOMEM), Stream::as_ptr)
}

unsafe fn passed_readdir(dir: Dir) -> *mut Record {
    // SAFETY: see the module above.
    next::readdir().map_or(core::ptr::null_mut(), |real| unsafe { real(dir) }.cast())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn readdir(dir: Dir) -> *mut Record {
    match (dir_stream::find(dir), world::get()) {
        (Some(stream), _) if stream.position() == dir_stream::UNREADABLE => {
            errno::fail_null(Errno::EBADF)
        }
        (Some(stream), Some(world)) => stream.next(world).unwrap_or(core::ptr::null_mut()),
        (None, Some(world)) => {
            let Some(listing) = mount_points::find(dir) else {
                // SAFETY: see the module above.
                return unsafe { passed_readdir(dir) };
            };
            // An end and an error are told apart by errno.
            let before = errno::last();
            errno::restore(Errno(0));
            // SAFETY: see the module above.
            let record = unsafe { passed_readdir(dir) };
            if record.is_null() && errno::last() != Errno(0) {
                return record;
            }
            errno::restore(before);
            // SAFETY: what readdir(3) has just returned.
            unsafe { listing.complete(world, record) }
        }
        // SAFETY: see the module above.
        _ => unsafe { passed_readdir(dir) },
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn readdir64(dir: Dir) -> *mut Record {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { readdir(dir) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn readdir_r(
    dir: Dir,
    record: *mut Record,
    answer: *mut *mut Record,
) -> c_int {
    let (Some(stream), Some(world)) = (dir_stream::find(dir), world::get()) else {
        // SAFETY: see the module above.
        return next::readdir_r().map_or(Errno::ENOSYS.0, |real| unsafe {
            real(dir, record.cast(), answer.cast())
        });
    };
    // SAFETY: the caller's buffers; the record is as long as it says.
    unsafe {
        if stream.position() == dir_stream::UNREADABLE {
            *answer = core::ptr::null_mut();
            errno::fail(Errno::EBADF);
            return Errno::EBADF.0;
        }
        match stream.next(world) {
            Some(filled) => {
                let bytes = usize::from((*filled).d_reclen);
                core::ptr::copy_nonoverlapping(filled.cast::<u8>(), record.cast::<u8>(), bytes);
                *answer = record;
            }
            None => *answer = core::ptr::null_mut(),
        }
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn readdir64_r(
    dir: Dir,
    record: *mut Record,
    answer: *mut *mut Record,
) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { readdir_r(dir, record, answer) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn closedir(dir: Dir) -> c_int {
    let Some(stream) = dir_stream::find(dir) else {
        let Some(real) = next::closedir() else {
            return errno::fail(Errno::ENOSYS);
        };
        // SAFETY: see the module above.
        return unsafe {
            if let Some(dirfd) = next::dirfd() {
                fd_table::clear(dirfd(dir));
            }
            if let Some(listing) = mount_points::find(dir) {
                listing.end();
            }
            real(dir)
        };
    };
    let descriptor = stream.descriptor();
    fd_table::clear(descriptor);
    stream.free();
    errno::from_kernel(sys::close(descriptor))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirfd(dir: Dir) -> c_int {
    match dir_stream::find(dir) {
        Some(stream) => stream.descriptor(),
        // SAFETY: see the module above.
        None => {
            next::dirfd().map_or_else(
                || errno::fail(Errno::ENOSYS),
                |real| {
                    // SAFETY: see the module above.
                    unsafe { real(dir) }
                },
            )
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rewinddir(dir: Dir) {
    match dir_stream::find(dir) {
        Some(stream) => stream.seek(0),
        None => {
            if let Some(listing) = mount_points::find(dir) {
                listing.rewind();
            }
            if let Some(real) = next::rewinddir() {
                // SAFETY: see the module above.
                unsafe { real(dir) };
            }
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn telldir(dir: Dir) -> c_long {
    match dir_stream::find(dir) {
        Some(stream) => stream.position() as c_long,
        // SAFETY: see the module above.
        None => next::telldir().map_or(-1, |real| unsafe { real(dir) }),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn seekdir(dir: Dir, position: c_long) {
    match dir_stream::find(dir) {
        Some(stream) => stream.seek(position.max(0) as u64),
        None => {
            if let Some(real) = next::seekdir() {
                // SAFETY: see the module above.
                unsafe { real(dir, position) };
            }
        }
    }
}

/// getdents64(2) of a served directory, or `None` if it is the kernel's. The
/// position is the kernel's own file offset, so duplicates and forks share it.
pub(super) unsafe fn getdents64_served(
    descriptor: c_int,
    buffer: *mut c_void,
    bytes: usize,
) -> Option<Result<usize, Errno>> {
    let world = world::get()?;
    let entry = fd_table::served(descriptor)?;
    let answer = (|| {
        const SEEK_SET: c_int = 0;
        const SEEK_CUR: c_int = 1;
        let position = sys::result(sys::lseek(descriptor, 0, SEEK_CUR))? as u64;
        if !served::vnode(world, entry)?.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if is_bad(buffer) {
            // What does not fit is refused before it is written.
            let mut record = [0; 280];
            let room = record.get_mut(..bytes.min(280)).unwrap_or(&mut []);
            return match listing::fill_buffer(world, entry, position, room) {
                None => Err(Errno::EINVAL),
                Some((0, _)) => Ok(0),
                Some(_) => Err(Errno::EFAULT),
            };
        }
        // SAFETY: the caller's buffer; the kernel counts in an unsigned int as well.
        let out = unsafe {
            core::slice::from_raw_parts_mut(buffer.cast::<u8>(), bytes.min(u32::MAX as usize))
        };
        let (used, next) =
            listing::fill_buffer(world, entry, position, out).ok_or(Errno::EINVAL)?;
        sys::result(sys::lseek(descriptor, next as i64, SEEK_SET))?;
        Ok(used)
    })();
    Some(answer)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn getdents64(descriptor: c_int, buffer: *mut c_void, bytes: usize) -> isize {
    // SAFETY: see the module above.
    match unsafe { getdents64_served(descriptor, buffer, bytes) } {
        Some(Ok(used)) => {
            count(Family::Directory, Outcome::Served);
            used as isize
        }
        Some(Err(error)) => finish(Family::Directory, Err(error)) as isize,
        None => match next::getdents64() {
            // SAFETY: see the module above.
            Some(real) => unsafe { real(descriptor, buffer, bytes) },
            None => {
                let arguments = [descriptor as usize, buffer as usize, bytes, 0, 0, 0];
                // SAFETY: the kernel checks its pointers.
                errno::from_kernel(unsafe {
                    sys::syscall6(nr::__NR_getdents64 as usize, arguments)
                }) as isize
            }
        },
    }
}

/// musl's name of getdents64(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getdents(descriptor: c_int, buffer: *mut c_void, bytes: usize) -> c_int {
    // SAFETY: the same function.
    unsafe { getdents64(descriptor, buffer, bytes) as c_int }
}

/// getdents(2) of the kernel: the type stands behind the name, not before it, in records of the same size.
pub(super) unsafe fn getdents_raw(descriptor: c_int, buffer: *mut c_void, bytes: usize) -> isize {
    // SAFETY: the caller's buffer.
    let used = match unsafe { getdents64_served(descriptor, buffer, bytes) } {
        None => {
            let arguments = [descriptor as usize, buffer as usize, bytes, 0, 0, 0];
            // SAFETY: the kernel checks its pointers.
            return errno::from_kernel(unsafe {
                sys::syscall6(nr::__NR_getdents as usize, arguments)
            }) as isize;
        }
        Some(Err(error)) => return finish(Family::Directory, Err(error)) as isize,
        Some(Ok(used)) => used,
    };
    count(Family::Directory, Outcome::Served);
    // SAFETY: the part of the caller's buffer that was filled.
    listing::move_types_behind_names(unsafe {
        core::slice::from_raw_parts_mut(buffer.cast(), used)
    });
    used as isize
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn getdirentries64(
    descriptor: c_int,
    buffer: *mut c_void,
    bytes: usize,
    base: *mut i64,
) -> isize {
    const SEEK_CUR: c_int = 1;
    let start = sys::lseek(descriptor, 0, SEEK_CUR);
    // SAFETY: see the module above.
    unsafe {
        let used = getdents64(descriptor, buffer, bytes);
        if used >= 0 && !is_bad(base) {
            *base = start as i64;
        }
        used
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn getdirentries(
    descriptor: c_int,
    buffer: *mut c_void,
    bytes: usize,
    base: *mut i64,
) -> isize {
    // SAFETY: the same on 64-bit machines.
    unsafe { getdirentries64(descriptor, buffer, bytes, base) }
}
