//! Raw system calls. Nothing here touches `errno`, locks or the C library, so it
//! works before the C library is ready, in signal handlers and after `vfork`.
//!
//! Every function returns what the kernel returns: a value, or a negative errno
//! (syscall(2)). [`result`] turns that into a `Result`.

mod identity;

use core::ffi::{c_char, c_int, c_uint};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;

pub use identity::*;
pub use linux_raw_sys::general::{stat as Stat, statx as Statx};

#[cfg(not(target_arch = "x86_64"))]
compile_error!("libvelo_fs knows the system call convention of x86_64 only, so far");

/// Invokes system call `number` with six arguments.
///
/// # Safety
/// The arguments must be what that system call may be given.
#[inline(always)]
pub unsafe fn syscall6(number: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let answer: isize;
    // SAFETY: the kernel clobbers rcx and r11 only; the caller vouches for the rest.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => answer,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    answer
}

/// Up to four arguments, the rest zero.
///
/// # Safety
/// As [`syscall6`].
#[inline(always)]
unsafe fn call(number: u32, a: usize, b: usize, c: usize, d: usize) -> isize {
    // SAFETY: passed on to the caller.
    unsafe { syscall6(number as usize, [a, b, c, d, 0, 0]) }
}

/// The kernel's answer as a `Result`.
#[inline(always)]
pub fn result(answer: isize) -> Result<usize, Errno> {
    if (-4095..0).contains(&answer) {
        Err(Errno(-answer as i32))
    } else {
        Ok(answer as usize)
    }
}

/// A directory descriptor as a register holds it (sign-extended).
#[inline(always)]
fn fd(value: c_int) -> usize {
    value as isize as usize
}

/// openat(2).
///
/// # Safety
/// `path` is passed to the kernel, which checks it.
pub unsafe fn openat(dirfd: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> isize {
    // SAFETY: the kernel checks its pointers.
    unsafe {
        call(
            nr::__NR_openat,
            fd(dirfd),
            path as usize,
            flags as c_uint as usize,
            mode as usize,
        )
    }
}

/// openat2(2).
///
/// # Safety
/// `path` is a C string or a bad pointer.
pub unsafe fn openat2(dirfd: c_int, path: *const c_char, how: &nr::open_how) -> isize {
    let arguments = [
        dirfd as isize as usize,
        path as usize,
        core::ptr::from_ref(how) as usize,
        size_of::<nr::open_how>(),
        0,
        0,
    ];
    // SAFETY: passed on to the caller; the structure is ours and only read.
    unsafe { syscall6(nr::__NR_openat2 as usize, arguments) }
}

/// newfstatat(2).
///
/// # Safety
/// `out` must be writable or invalid as the kernel sees it.
pub unsafe fn fstatat(dirfd: c_int, path: *const c_char, out: *mut Stat, flags: c_int) -> isize {
    // SAFETY: the kernel checks its pointers.
    unsafe {
        call(
            nr::__NR_newfstatat,
            fd(dirfd),
            path as usize,
            out as usize,
            flags as usize,
        )
    }
}

/// fstat(2).
///
/// # Safety
/// As [`fstatat`].
pub unsafe fn fstat(descriptor: c_int, out: *mut Stat) -> isize {
    // SAFETY: the kernel checks its pointers.
    unsafe { call(nr::__NR_fstat, fd(descriptor), out as usize, 0, 0) }
}

/// What the root directory is: device, inode number, and the mount where the kernel
/// tells it (Linux 5.8).
pub fn root_identity() -> Result<[u64; 4], Errno> {
    const STATX_MNT_ID: usize = 0x1000;
    let mut out = core::mem::MaybeUninit::<Statx>::zeroed();
    let arguments = [
        fd(nr::AT_FDCWD),
        c"/".as_ptr() as usize,
        0,
        nr::STATX_INO as usize | STATX_MNT_ID,
        out.as_mut_ptr() as usize,
        0,
    ];
    // SAFETY: a C string and a buffer of ours.
    result(unsafe { syscall6(nr::__NR_statx as usize, arguments) })?;
    // SAFETY: all-zero is a valid structure, and the kernel has filled it.
    let status = unsafe { out.assume_init() };
    Ok([
        status.stx_dev_major.into(),
        status.stx_dev_minor.into(),
        status.stx_ino,
        status.stx_mnt_id,
    ])
}

/// fstat(2) into a fresh buffer.
#[inline]
pub fn fstat_of(descriptor: c_int) -> Result<Stat, Errno> {
    let mut out = core::mem::MaybeUninit::<Stat>::uninit();
    // SAFETY: the buffer is ours and large enough.
    result(unsafe { fstat(descriptor, out.as_mut_ptr()) })?;
    // SAFETY: the kernel has filled the whole structure.
    Ok(unsafe { out.assume_init() })
}

/// close(2).
#[inline]
pub fn close(descriptor: c_int) -> isize {
    // SAFETY: no pointers.
    unsafe { call(nr::__NR_close, fd(descriptor), 0, 0, 0) }
}

/// lseek(2).
#[inline]
pub fn lseek(descriptor: c_int, offset: i64, whence: c_int) -> isize {
    // SAFETY: no pointers.
    unsafe {
        call(
            nr::__NR_lseek,
            fd(descriptor),
            offset as usize,
            whence as usize,
            0,
        )
    }
}

/// readlinkat(2) into `buffer`; the length, or an error.
pub fn readlinkat(dirfd: c_int, path: *const c_char, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the buffer is ours; the kernel checks `path`.
    result(unsafe {
        call(
            nr::__NR_readlinkat,
            fd(dirfd),
            path as usize,
            buffer.as_mut_ptr() as usize,
            buffer.len(),
        )
    })
}

/// pread64(2) into `buffer`.
pub fn pread(descriptor: c_int, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    // SAFETY: the buffer is ours.
    result(unsafe {
        call(
            nr::__NR_pread64,
            fd(descriptor),
            buffer.as_mut_ptr() as usize,
            buffer.len(),
            offset as usize,
        )
    })
}

/// read(2) into `buffer`.
pub fn read(descriptor: c_int, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the buffer is ours.
    result(unsafe {
        call(
            nr::__NR_read,
            fd(descriptor),
            buffer.as_mut_ptr() as usize,
            buffer.len(),
            0,
        )
    })
}

/// write(2) of all of `bytes`, as far as the kernel takes them.
pub fn write(descriptor: c_int, bytes: &[u8]) {
    // SAFETY: the buffer is ours.
    unsafe {
        call(
            nr::__NR_write,
            fd(descriptor),
            bytes.as_ptr() as usize,
            bytes.len(),
            0,
        )
    };
}

/// getcwd(2): the physical working directory, without its NUL.
pub fn getcwd(buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the buffer is ours.
    let bytes = result(unsafe {
        call(
            nr::__NR_getcwd,
            buffer.as_mut_ptr() as usize,
            buffer.len(),
            0,
            0,
        )
    })?;
    Ok(bytes.saturating_sub(1))
}

/// faccessat2(2), or faccessat(2) where the flags are zero.
///
/// # Safety
/// The kernel checks `path`.
pub unsafe fn faccessat(dirfd: c_int, path: *const c_char, mode: c_int, flags: c_int) -> isize {
    let number = if flags == 0 {
        nr::__NR_faccessat
    } else {
        nr::__NR_faccessat2
    };
    // SAFETY: the kernel checks its pointers.
    unsafe {
        call(
            number,
            fd(dirfd),
            path as usize,
            mode as usize,
            flags as usize,
        )
    }
}

/// The number of the mount that a descriptor is on; `None` before Linux 5.8.
pub fn mount_of(descriptor: c_int) -> Option<u64> {
    let mut out = core::mem::MaybeUninit::<Statx>::zeroed();
    let mask = nr::STATX_MNT_ID as usize;
    let (path, empty) = (c"".as_ptr() as usize, nr::AT_EMPTY_PATH as usize);
    let arguments = [
        fd(descriptor),
        path,
        empty,
        mask,
        out.as_mut_ptr() as usize,
        0,
    ];
    // SAFETY: a C string and a buffer of ours.
    result(unsafe { syscall6(nr::__NR_statx as usize, arguments) }).ok()?;
    // SAFETY: all-zero is a valid `statx`, and the kernel may have filled it.
    let out = unsafe { out.assume_init() };
    (out.stx_mask & nr::STATX_MNT_ID != 0).then_some(out.stx_mnt_id)
}

/// Whether what is open lies on a read-only mount, by fstatfs(2).
pub fn is_on_read_only_mount(descriptor: c_int) -> bool {
    /// Where `f_flags` is in `struct statfs`, and its bit for a read-only mount.
    const FLAGS: usize = 10;
    const ST_RDONLY: u64 = 1;
    let mut status = [0u64; 16];
    // SAFETY: the buffer is ours and larger than the kernel's structure.
    let answer = result(unsafe {
        call(
            nr::__NR_fstatfs,
            fd(descriptor),
            status.as_mut_ptr() as usize,
            0,
            0,
        )
    });
    answer.is_ok()
        && status
            .get(FLAGS)
            .is_some_and(|flags| flags & ST_RDONLY != 0)
}

/// mmap(2) of a whole file for reading, shared with the page cache.
pub fn map_file(descriptor: c_int, bytes: usize) -> Result<&'static [u8], Errno> {
    let protection = nr::PROT_READ as usize;
    let flags = nr::MAP_SHARED as usize;
    // SAFETY: a new mapping that nobody else knows of.
    let address = result(unsafe {
        syscall6(
            nr::__NR_mmap as usize,
            [0, bytes, protection, flags, fd(descriptor), 0],
        )
    })?;
    // SAFETY: the kernel mapped `bytes` readable bytes there.
    Ok(unsafe { core::slice::from_raw_parts(address as *const u8, bytes) })
}

/// mmap(2) of zeroed private memory.
pub fn map_memory(bytes: usize) -> Result<*mut u8, Errno> {
    let protection = (nr::PROT_READ | nr::PROT_WRITE) as usize;
    let flags = (nr::MAP_PRIVATE | nr::MAP_ANONYMOUS) as usize;
    // SAFETY: a new mapping that nobody else knows of.
    result(unsafe {
        syscall6(
            nr::__NR_mmap as usize,
            [0, bytes, protection, flags, usize::MAX, 0],
        )
    })
    .map(|address| address as *mut u8)
}

/// munmap(2) of a mapping that [`map_memory`] made.
///
/// # Safety
/// Nobody uses the memory any more.
pub unsafe fn unmap(start: *mut u8, bytes: usize) {
    // SAFETY: passed on to the caller.
    unsafe { call(nr::__NR_munmap, start as usize, bytes, 0, 0) };
}

/// memfd_create(2), closed on exec.
pub fn memory_file(name: &core::ffi::CStr) -> Result<c_int, Errno> {
    let flags = nr::MFD_CLOEXEC as usize;
    // SAFETY: a C string.
    let answer = unsafe { call(nr::__NR_memfd_create, name.as_ptr() as usize, flags, 0, 0) };
    result(answer).map(|descriptor| descriptor as c_int)
}

/// write(2) until all of `bytes` is written.
pub fn write_all(descriptor: c_int, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let (start, length) = (bytes.as_ptr() as usize, bytes.len());
        // SAFETY: the buffer is ours.
        let answer = unsafe { call(nr::__NR_write, fd(descriptor), start, length, 0) };
        match result(answer) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or(b""),
            Err(Errno(EINTR)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

const EINTR: i32 = 4;

/// dup3(2): makes `old` what `new` is, and keeps whether it is closed on exec.
pub fn replace(new: c_int, old: c_int) -> Result<(), Errno> {
    let flags = if is_close_on_exec(old) {
        nr::O_CLOEXEC
    } else {
        0
    };
    // SAFETY: no pointers.
    result(unsafe { call(nr::__NR_dup3, fd(new), fd(old), flags as usize, 0) }).map(|_| ())
}

/// prlimit64(2): the largest file that the process may write, in bytes.
pub fn file_size_limit() -> Result<u64, Errno> {
    let mut limit = [0u64; 2];
    let out = limit.as_mut_ptr() as usize;
    let resource = nr::RLIMIT_FSIZE as usize;
    // SAFETY: the buffer is a `struct rlimit64`, two numbers.
    result(unsafe { call(nr::__NR_prlimit64, 0, resource, 0, out) })?;
    let [soft, _] = limit;
    Ok(soft)
}

/// exit_group(2).
pub fn exit(status: c_int) -> ! {
    loop {
        // SAFETY: ends the process.
        unsafe { call(nr::__NR_exit_group, status as usize, 0, 0, 0) };
    }
}

/// execve(2): returns only an error.
///
/// # Safety
/// The kernel checks the pointers; `argv` and `envp` must be NULL-terminated.
pub unsafe fn execve(
    path: *const c_char,
    argv: *const *const c_char,
    envp: *const *const c_char,
) -> isize {
    // SAFETY: passed on to the caller.
    unsafe {
        call(
            nr::__NR_execve,
            path as usize,
            argv as usize,
            envp as usize,
            0,
        )
    }
}

/// getpid(2).
pub fn process_id() -> u32 {
    // SAFETY: no arguments.
    unsafe { call(nr::__NR_getpid, 0, 0, 0, 0) as u32 }
}

/// pidfd_open(2).
pub fn pidfd_open(process: c_int) -> Result<c_int, Errno> {
    // SAFETY: no pointers.
    let answer = unsafe { call(nr::__NR_pidfd_open, process as usize, 0, 0, 0) };
    result(answer).map(|descriptor| descriptor as c_int)
}

/// fcntl(2) `F_GETFL`.
pub fn status_flags(descriptor: c_int) -> Result<u32, Errno> {
    // SAFETY: no pointers.
    let answer = unsafe { call(nr::__NR_fcntl, fd(descriptor), nr::F_GETFL as usize, 0, 0) };
    result(answer).map(|flags| flags as u32)
}

/// Whether executing a program closes the descriptor.
pub fn is_close_on_exec(descriptor: c_int) -> bool {
    const FD_CLOEXEC: isize = 1;
    // SAFETY: no pointers.
    let flags = unsafe { call(nr::__NR_fcntl, fd(descriptor), nr::F_GETFD as usize, 0, 0) };
    flags >= 0 && flags & FD_CLOEXEC != 0
}

/// Ends the process with SIGABRT, as abort(3).
pub fn abort() -> ! {
    const SIGABRT: usize = 6;
    // SAFETY: no pointers; raises a signal in the calling thread.
    unsafe {
        let process = process_id() as usize;
        let thread = call(nr::__NR_gettid, 0, 0, 0, 0) as usize;
        call(nr::__NR_tgkill, process, thread, SIGABRT, 0);
    }
    exit(127)
}
