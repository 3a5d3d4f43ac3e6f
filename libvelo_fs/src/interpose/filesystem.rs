//! statfs(2), statvfs(3), pathconf(3) and their twins by descriptor: answered for what stands for a
//! served path in the store, marked as the read-only mount without setuid that it is.

use super::{asking, reading, standing_in};
use crate::locate::is_bad;
use crate::stats::Family;
use crate::symbol::weak_address;
use crate::{errno, fd_table, next, sys};
use core::ffi::{c_char, c_int, c_long, c_ulong, c_void};
use core::mem::offset_of;
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::Options;

/// `struct statvfs` of glibc and musl on 64-bit machines, as far as it is needed here.
#[repr(C)]
struct Statvfs {
    sizes: [c_ulong; 2],
    blocks: [u64; 3],
    files: [u64; 3],
    identity: c_ulong,
    flags: c_ulong,
}

/// `ST_RDONLY` and `ST_NOSUID`, which every served path has.
const ALWAYS: c_ulong = 1 | 2;
/// `ST_NOEXEC` of the store says nothing: what is executed stands elsewhere.
const NEVER: c_ulong = 8;

/// Marks what a call has written to `out` as the state of a served path.
unsafe fn mark(answer: c_int, out: *mut c_void, flags_offset: usize) -> c_int {
    if answer == 0 && !is_bad(out) {
        // SAFETY: the call has filled the caller's structure.
        unsafe {
            let flags = out.byte_add(flags_offset).cast::<c_ulong>();
            *flags = (*flags | ALWAYS) & !NEVER;
        }
    }
    answer
}

const STATFS_FLAGS: usize = offset_of!(nr::statfs, f_flags);
const STATVFS_FLAGS: usize = offset_of!(Statvfs, flags);

unsafe fn filling(
    path: *const c_char,
    out: *mut c_void,
    flags_offset: usize,
    real: impl Fn(*const c_char) -> c_int,
) -> c_int {
    // SAFETY: the caller's C string and structure.
    unsafe {
        asking(
            nr::AT_FDCWD,
            path,
            Options::FOLLOW,
            |world, entry| standing_in(world, entry, |path| mark(real(path), out, flags_offset)),
            |_, path| real(path),
        )
    }
}

unsafe fn filling_by_descriptor(
    descriptor: c_int,
    answer: c_int,
    out: *mut c_void,
    flags_offset: usize,
) -> c_int {
    if answer == 0 && fd_table::served(descriptor).is_some() {
        // SAFETY: the call has filled the caller's structure.
        return unsafe { mark(answer, out, flags_offset) };
    }
    answer
}

fn raw(number: u32, a: usize, out: *mut c_void) -> c_int {
    let arguments = [a, out as usize, 0, 0, 0, 0];
    // SAFETY: the kernel checks its pointers.
    errno::from_kernel(unsafe { sys::syscall6(number as usize, arguments) })
}

/// statfs(2) of the kernel: musl's own writes to its structure before that.
pub(super) unsafe fn statfs_raw(path: *const c_char, out: *mut c_void) -> c_int {
    let real = |path: *const c_char| raw(nr::__NR_statfs, path as usize, out);
    // SAFETY: the caller's arguments.
    unsafe { filling(path, out, STATFS_FLAGS, real) }
}

/// fstatfs(2) of the kernel.
pub(super) unsafe fn fstatfs_raw(descriptor: c_int, out: *mut c_void) -> c_int {
    let answer = raw(nr::__NR_fstatfs, descriptor as usize, out);
    // SAFETY: the caller's structure.
    unsafe { filling_by_descriptor(descriptor, answer, out, STATFS_FLAGS) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn statfs(path: *const c_char, out: *mut c_void) -> c_int {
    let real = |path: *const c_char| match next::statfs() {
        // SAFETY: the caller's structure.
        Some(real) => unsafe { real(path, out) },
        None => raw(nr::__NR_statfs, path as usize, out),
    };
    // SAFETY: see the module above.
    unsafe { filling(path, out, STATFS_FLAGS, real) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn statfs64(path: *const c_char, out: *mut c_void) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { statfs(path, out) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __statfs(path: *const c_char, out: *mut c_void) -> c_int {
    // SAFETY: another name of the same function.
    unsafe { statfs(path, out) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstatfs(descriptor: c_int, out: *mut c_void) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        let answer = match next::fstatfs() {
            Some(real) => real(descriptor, out),
            None => raw(nr::__NR_fstatfs, descriptor as usize, out),
        };
        filling_by_descriptor(descriptor, answer, out, STATFS_FLAGS)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstatfs64(descriptor: c_int, out: *mut c_void) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { fstatfs(descriptor, out) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn statvfs(path: *const c_char, out: *mut c_void) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        filling(path, out, STATVFS_FLAGS, |path| {
            next::statvfs().map_or_else(|| errno::fail(Errno::ENOSYS), |real| real(path, out))
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn statvfs64(path: *const c_char, out: *mut c_void) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { statvfs(path, out) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstatvfs(descriptor: c_int, out: *mut c_void) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        let answer = next::fstatvfs()
            .map_or_else(|| errno::fail(Errno::ENOSYS), |real| real(descriptor, out));
        filling_by_descriptor(descriptor, answer, out, STATVFS_FLAGS)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstatvfs64(descriptor: c_int, out: *mut c_void) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { fstatvfs(descriptor, out) }
}

/// The limits that glibc asks the file or its file system for: `_PC_LINK_MAX`, `_PC_NAME_MAX`, `_PC_CHOWN_RESTRICTED`,
/// `_PC_ASYNC_IO`, `_PC_FILESIZEBITS`, `_PC_REC_MIN_XFER_SIZE`, `_PC_REC_XFER_ALIGN`, `_PC_ALLOC_SIZE_MIN`, `_PC_2_SYMLINKS`.
const OF_THE_FILE: [c_int; 9] = [0, 3, 6, 10, 13, 16, 17, 18, 20];

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pathconf(path: *const c_char, name: c_int) -> c_long {
    let real = |path: *const c_char| {
        next::pathconf().map_or_else(
            || errno::fail(Errno::ENOSYS),
            // SAFETY: the caller's arguments. Limits fit an int.
            |real| unsafe { real(path, name) as c_int },
        )
    };
    // All other limits are the same everywhere, whether there is such a path or not; so are all of musl's.
    let glibc = !weak_address!("gnu_get_libc_version").is_null();
    if !glibc || !OF_THE_FILE.contains(&name) {
        return c_long::from(real(path));
    }
    // SAFETY: see the module above.
    let answer = unsafe {
        reading(
            Family::Stat,
            nr::AT_FDCWD,
            path,
            Options::FOLLOW,
            |world, entry| standing_in(world, entry, real),
            |_, path| real(path),
        )
    };
    c_long::from(answer)
}
