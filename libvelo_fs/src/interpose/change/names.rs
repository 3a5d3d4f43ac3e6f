//! unlink(2), rmdir(2), mkdir(2), mknod(2) and their twins.

use super::{Change, at, changing, raw};
use crate::{errno, next};
use core::ffi::{c_char, c_int, c_uint};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;

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

/// As the C library: unlink(2), and rmdir(2) of what turns out to be a directory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn remove(path: *const c_char) -> c_int {
    let before = errno::last();
    // SAFETY: see the module above.
    let answer = unsafe { unlink(path) };
    if answer == -1 && errno::last() == Errno::EISDIR {
        errno::restore(before);
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

/// A new file of the kind in `mode`, which the kernel looks at before the path.
unsafe fn making(
    mode: c_uint,
    dirfd: c_int,
    path: *const c_char,
    pass: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    let may_be_made = matches!(
        mode & nr::S_IFMT,
        0 | nr::S_IFREG | nr::S_IFCHR | nr::S_IFBLK | nr::S_IFIFO | nr::S_IFSOCK
    );
    if !may_be_made {
        return pass(dirfd, path);
    }
    // SAFETY: the caller's C string.
    unsafe { changing(Change::Create, dirfd, path, pass) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mknod(path: *const c_char, mode: c_uint, device: u64) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        making(mode, nr::AT_FDCWD, path, |_, path| match next::mknod() {
            Some(real) => real(path, mode, device),
            None => raw(
                nr::__NR_mknod,
                [path as usize, mode as usize, device as usize, 0, 0],
            ),
        })
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
        making(mode, dirfd, path, |dirfd, path| match next::mknodat() {
            Some(real) => real(dirfd, path, mode, device),
            None => raw(
                nr::__NR_mknodat,
                [at(dirfd), path as usize, mode as usize, device as usize, 0],
            ),
        })
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
        making(mode, nr::AT_FDCWD, path, |_, path| match next::__xmknod() {
            Some(real) => real(version, path, mode, device),
            None => mknod(path, mode, *device),
        })
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
        making(mode, dirfd, path, |dirfd, path| match next::__xmknodat() {
            Some(real) => real(version, dirfd, path, mode, device),
            None => mknodat(dirfd, path, mode, *device),
        })
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
