//! open_tree(2), move_mount(2), fspick(2), mount_setattr(2): the calls that mount by descriptor. As in `mount.rs`,
//! nothing is mounted on or from what is served.

use super::mount::{about, at, mounting, raw};
use super::stat::means_descriptor;
use super::{asking, note_passed, standing_in};
use crate::fd_table::{self, Known};
use crate::locate::is_bad;
use crate::next;
use core::ffi::{c_char, c_int, c_uint, c_void};
use linux_raw_sys::general as nr;
use velo_core::resolve::Options;

/// How the newer calls resolve their path, from flags that mean `AT_SYMLINK_NOFOLLOW` and `AT_EMPTY_PATH`.
fn options(no_follow: bool, allow_empty: bool) -> Options {
    Options {
        allow_empty,
        ..if no_follow {
            Options::NO_FOLLOW
        } else {
            Options::FOLLOW
        }
    }
}

fn options_of(flags: c_uint) -> Options {
    options(
        flags & nr::AT_SYMLINK_NOFOLLOW != 0,
        flags & nr::AT_EMPTY_PATH != 0,
    )
}

/// Without `OPEN_TREE_CLONE` it is as open(2) with `O_PATH`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open_tree(dirfd: c_int, path: *const c_char, flags: c_uint) -> c_int {
    let real = |dirfd: c_int, path: *const c_char| match next::open_tree() {
        // SAFETY: the caller's arguments.
        Some(real) => unsafe { real(dirfd, path, flags) },
        None => raw(
            nr::__NR_open_tree,
            [at(dirfd), path as usize, flags as usize, 0, 0],
        ),
    };
    // SAFETY: see the module above.
    unsafe {
        if flags & nr::OPEN_TREE_CLONE != 0 {
            return new_descriptor(mounting(dirfd, path, options_of(flags), real));
        }
        if dirfd != nr::AT_FDCWD && means_descriptor(path, flags as c_int) {
            return super::fd::note_duplicate(dirfd, real(dirfd, path));
        }
        let serve = |world, entry| {
            let opened = standing_in(world, entry, |path| real(nr::AT_FDCWD, path))?;
            fd_table::set(opened, Known::Served(entry));
            Ok(opened)
        };
        asking(dirfd, path, options_of(flags), serve, |dirfd, path| {
            let opened = real(dirfd, path);
            if !is_bad(path) {
                note_passed(dirfd, path, opened);
            }
            opened
        })
    }
}

/// A descriptor that no other hook has made has no past.
pub(super) fn new_descriptor(descriptor: c_int) -> c_int {
    if descriptor >= 0 {
        fd_table::clear(descriptor);
    }
    descriptor
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn move_mount(
    from_dirfd: c_int,
    from: *const c_char,
    to_dirfd: c_int,
    to: *const c_char,
    flags: c_uint,
) -> c_int {
    let real = |from_dirfd: c_int, from: *const c_char, to_dirfd: c_int, to: *const c_char| {
        match next::move_mount() {
            // SAFETY: the caller's arguments.
            Some(real) => unsafe { real(from_dirfd, from, to_dirfd, to, flags) },
            None => raw(
                nr::__NR_move_mount,
                [
                    at(from_dirfd),
                    from as usize,
                    at(to_dirfd),
                    to as usize,
                    flags as usize,
                ],
            ),
        }
    };
    let has = |flag: c_uint| flags & flag != 0;
    let from_options = options(
        !has(nr::MOVE_MOUNT_F_SYMLINKS),
        has(nr::MOVE_MOUNT_F_EMPTY_PATH),
    );
    let to_options = options(
        !has(nr::MOVE_MOUNT_T_SYMLINKS),
        has(nr::MOVE_MOUNT_T_EMPTY_PATH),
    );
    // SAFETY: the caller's C strings.
    unsafe {
        mounting(from_dirfd, from, from_options, |from_dirfd, from| {
            mounting(to_dirfd, to, to_options, |to_dirfd, to| {
                real(from_dirfd, from, to_dirfd, to)
            })
        })
    }
}

const FSPICK_SYMLINK_NOFOLLOW: c_uint = 2;
const FSPICK_EMPTY_PATH: c_uint = 8;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fspick(dirfd: c_int, path: *const c_char, flags: c_uint) -> c_int {
    let how = options(
        flags & FSPICK_SYMLINK_NOFOLLOW != 0,
        flags & FSPICK_EMPTY_PATH != 0,
    );
    // SAFETY: see the module above.
    let picked = unsafe {
        about(dirfd, path, how, |dirfd, path| match next::fspick() {
            Some(real) => real(dirfd, path, flags),
            None => raw(
                nr::__NR_fspick,
                [at(dirfd), path as usize, flags as usize, 0, 0],
            ),
        })
    };
    new_descriptor(picked)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mount_setattr(
    dirfd: c_int,
    path: *const c_char,
    flags: c_uint,
    attributes: *mut c_void,
    bytes: usize,
) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        about(
            dirfd,
            path,
            options_of(flags),
            |dirfd, path| match next::mount_setattr() {
                Some(real) => real(dirfd, path, flags, attributes, bytes),
                None => raw(
                    nr::__NR_mount_setattr,
                    [
                        at(dirfd),
                        path as usize,
                        flags as usize,
                        attributes as usize,
                        bytes,
                    ],
                ),
            },
        )
    }
}

/// open_tree_attr(2), which the C library has no name for.
pub(super) unsafe fn open_tree_attr(
    dirfd: c_int,
    path: *const c_char,
    flags: c_uint,
    attributes: *mut c_void,
    bytes: usize,
) -> c_int {
    // SAFETY: see the module above.
    let opened = unsafe {
        mounting(dirfd, path, options_of(flags), |dirfd, path| {
            raw(
                nr::__NR_open_tree_attr,
                [
                    at(dirfd),
                    path as usize,
                    flags as usize,
                    attributes as usize,
                    bytes,
                ],
            )
        })
    };
    new_descriptor(opened)
}
