//! name_to_handle_at(2): what is served has no handle, as on a file system that gives none (EOPNOTSUPP); a handle of
//! the stored file would be that of all paths of equal content. open_by_handle_at(2), pidfd_getfd(2): a descriptor that
//! comes from elsewhere has no past here.

use super::asking;
use super::mount::{at, raw};
use super::mount_tree::new_descriptor;
use super::stat::means_descriptor;
use crate::{errno, fd_table, next};
use core::ffi::{c_char, c_int, c_uint, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::Options;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn name_to_handle_at(
    dirfd: c_int,
    path: *const c_char,
    handle: *mut c_void,
    mount: *mut c_int,
    flags: c_int,
) -> c_int {
    let real = |dirfd: c_int, path: *const c_char| match next::name_to_handle_at() {
        // SAFETY: the caller's arguments.
        Some(real) => unsafe { real(dirfd, path, handle, mount, flags) },
        None => raw(
            nr::__NR_name_to_handle_at,
            [
                at(dirfd),
                path as usize,
                handle as usize,
                mount as usize,
                flags as usize,
            ],
        ),
    };
    let options = Options {
        allow_empty: flags as c_uint & nr::AT_EMPTY_PATH != 0,
        ..if flags as c_uint & nr::AT_SYMLINK_FOLLOW == 0 {
            Options::NO_FOLLOW
        } else {
            Options::FOLLOW
        }
    };
    // SAFETY: see the module above.
    unsafe {
        if dirfd != nr::AT_FDCWD && means_descriptor(path, flags) {
            return match fd_table::served(dirfd) {
                Some(_) => errno::fail(Errno::EOPNOTSUPP),
                None => real(dirfd, path),
            };
        }
        asking(dirfd, path, options, |_, _| Err(Errno::EOPNOTSUPP), real)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn open_by_handle_at(
    mount: c_int,
    handle: *mut c_void,
    flags: c_int,
) -> c_int {
    new_descriptor(match next::open_by_handle_at() {
        // SAFETY: see the module above.
        Some(real) => unsafe { real(mount, handle, flags) },
        None => raw(
            nr::__NR_open_by_handle_at,
            [mount as usize, handle as usize, flags as usize, 0, 0],
        ),
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pidfd_getfd(process: c_int, descriptor: c_int, flags: c_uint) -> c_int {
    new_descriptor(match next::pidfd_getfd() {
        // SAFETY: see the module above.
        Some(real) => unsafe { real(process, descriptor, flags) },
        None => raw(
            nr::__NR_pidfd_getfd,
            [process as usize, descriptor as usize, flags as usize, 0, 0],
        ),
    })
}
