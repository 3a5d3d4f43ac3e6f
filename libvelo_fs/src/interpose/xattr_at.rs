//! getxattrat(2), setxattrat(2) and their kin, file_getattr(2), file_setattr(2), fchmodat2(2): calls by directory
//! descriptor that no C library has names for yet. They come through `syscall()`.

use super::change::{Change, changing, changing_descriptor, changing_itself};
use super::stat::means_descriptor;
use super::xattr::{get_of, is_wrong_name, is_wrong_value, list_of};
use super::{asking, options_of, reading, standing_in};
use crate::locate::is_bad;
use crate::stats::Family;
use crate::world::{Entry, World};
use crate::{errno, fd_table, sys, world};
use core::ffi::{c_char, c_int, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;

/// `struct xattr_args` (linux/xattr.h).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Value {
    address: u64,
    bytes: u32,
    flags: u32,
}

const FLAGS: u32 = nr::AT_SYMLINK_NOFOLLOW | nr::AT_EMPTY_PATH;

type Arguments = [usize; 6];

/// The call as it came, for another path.
fn raw(number: u32, arguments: Arguments, dirfd: c_int, path: *const c_char) -> c_int {
    let [_, _, c, d, e, f] = arguments;
    let arguments = [dirfd as isize as usize, path as usize, c, d, e, f];
    // SAFETY: the kernel checks its pointers.
    errno::from_kernel(unsafe { sys::syscall6(number as usize, arguments) })
}

/// Whether the kernel refuses a call for its flags, before it looks at anything else.
fn refused(flags: c_int) -> bool {
    flags as u32 & !FLAGS != 0
}

/// Whether a descriptor is one that these calls take for none.
fn is_path_only(descriptor: c_int) -> bool {
    sys::status_flags(descriptor).is_ok_and(|flags| flags & nr::O_PATH != 0)
}

/// Whether the kernel takes `AT_FDCWD` for a bad descriptor if there is no path, as some do where
/// attributes are listed or removed, and nowhere else.
fn here_is_no_descriptor() -> bool {
    let before = errno::last();
    let flags = nr::AT_EMPTY_PATH as usize;
    let arguments = [0, 0, flags, 0, 0, 0];
    let here = c"".as_ptr();
    let answer = raw(nr::__NR_listxattrat, arguments, nr::AT_FDCWD, here);
    let is_bad = answer == -1 && errno::last() == Errno::EBADF;
    errno::restore(before);
    is_bad
}

/// Reads something about a path or, with `AT_EMPTY_PATH`, a descriptor.
unsafe fn reading_at(
    number: u32,
    arguments: Arguments,
    flags: c_int,
    serve: impl Fn(&'static World, Entry) -> Result<c_int, Errno>,
) -> c_int {
    let [dirfd, path, ..] = arguments;
    let (dirfd, path) = (dirfd as c_int, path as *const c_char);
    let pass = |dirfd, path| raw(number, arguments, dirfd, path);
    if refused(flags) {
        return pass(dirfd, path);
    }
    // SAFETY: the caller's C string.
    unsafe {
        if dirfd == nr::AT_FDCWD && means_descriptor(path, flags) {
            if number == nr::__NR_listxattrat && here_is_no_descriptor() {
                return errno::fail(Errno::EBADF);
            }
            let (family, here) = (Family::Stat, c"".as_ptr());
            return reading(family, dirfd, here, options_of(flags), serve, pass);
        }
        if means_descriptor(path, flags) {
            let served = world::get().zip(fd_table::served(dirfd));
            return match served {
                Some(_) if is_path_only(dirfd) => errno::fail(Errno::EBADF),
                Some((world, entry)) => super::finish(Family::Stat, serve(world, entry)),
                None => pass(dirfd, path),
            };
        }
        reading(Family::Stat, dirfd, path, options_of(flags), serve, pass)
    }
}

/// Refuses a change by path or, with `AT_EMPTY_PATH`, by descriptor.
unsafe fn changing_at(number: u32, arguments: Arguments, flags: c_int) -> c_int {
    let [dirfd, path, ..] = arguments;
    let (dirfd, path) = (dirfd as c_int, path as *const c_char);
    let pass = |dirfd, path| raw(number, arguments, dirfd, path);
    if refused(flags) {
        return pass(dirfd, path);
    }
    let change = if flags as u32 & nr::AT_SYMLINK_NOFOLLOW == 0 {
        Change::Attribute
    } else {
        Change::LinkAttribute
    };
    // SAFETY: the caller's C string.
    unsafe {
        if means_descriptor(path, flags) {
            let pass = || pass(dirfd, path);
            // fchmodat2 takes it for a place, the others for an open file.
            return match number {
                nr::__NR_fchmodat2 => changing_itself(dirfd, pass),
                nr::__NR_removexattrat if dirfd == nr::AT_FDCWD && here_is_no_descriptor() => {
                    errno::fail(Errno::EBADF)
                }
                _ if dirfd == nr::AT_FDCWD => changing_itself(dirfd, pass),
                _ => changing_descriptor(dirfd, pass),
            };
        }
        changing(change, dirfd, path, pass)
    }
}

/// A call that the kernel refuses before it looks at the path.
fn as_it_came(number: u32, arguments: Arguments) -> c_int {
    let [dirfd, path, ..] = arguments;
    raw(number, arguments, dirfd as c_int, path as *const c_char)
}

/// The caller's `struct xattr_args`, if it is one.
unsafe fn value_of(value: usize, bytes: usize) -> Option<Value> {
    let value = value as *const Value;
    // SAFETY: the caller's structure of at least that size.
    (!is_bad(value) && bytes == size_of::<Value>()).then(|| unsafe { *value })
}

/// getxattrat(2): path, flags, name, `struct xattr_args` and its size.
pub(super) unsafe fn getxattrat(arguments: Arguments) -> c_int {
    let [_, _, flags, name, value, bytes] = arguments;
    let name = name as *const c_char;
    // SAFETY: the caller's C string and structure.
    let (is_wrong, value) = unsafe { (is_wrong_name(name), value_of(value, bytes)) };
    let Some(value) = value.filter(|value| value.flags == 0 && !is_wrong) else {
        return as_it_came(nr::__NR_getxattrat, arguments);
    };
    let (out, size) = (value.address as *mut c_void, value.bytes as usize);
    // SAFETY: the caller's C string and buffer.
    let serve = |world, entry| unsafe { get_of(world, entry, name, out, size) };
    // SAFETY: see the module above.
    unsafe { reading_at(nr::__NR_getxattrat, arguments, flags as c_int, serve) }
}

/// listxattrat(2): path, flags, buffer and its size.
pub(super) unsafe fn listxattrat(arguments: Arguments) -> c_int {
    let [_, _, flags, list, size, _] = arguments;
    // SAFETY: the caller's buffer.
    let serve = |world, entry| unsafe { list_of(world, entry, list as *mut c_char, size) };
    // SAFETY: see the module above.
    unsafe { reading_at(nr::__NR_listxattrat, arguments, flags as c_int, serve) }
}

/// setxattrat(2): path, flags, name, `struct xattr_args` and its size.
pub(super) unsafe fn setxattrat(arguments: Arguments) -> c_int {
    let [_, _, flags, name, value, bytes] = arguments;
    // SAFETY: the caller's C string and structure.
    unsafe {
        let is_wrong = value_of(value, bytes).is_none_or(|value| {
            let (address, size) = (value.address as *const c_void, value.bytes as usize);
            is_wrong_value(name as *const c_char, address, size, value.flags as c_int)
        });
        if is_wrong {
            return as_it_came(nr::__NR_setxattrat, arguments);
        }
        changing_at(nr::__NR_setxattrat, arguments, flags as c_int)
    }
}

/// removexattrat(2): path, flags, name.
pub(super) unsafe fn removexattrat(arguments: Arguments) -> c_int {
    let [_, _, flags, name, ..] = arguments;
    // SAFETY: the caller's C string.
    unsafe {
        if is_wrong_name(name as *const c_char) {
            return as_it_came(nr::__NR_removexattrat, arguments);
        }
        changing_at(nr::__NR_removexattrat, arguments, flags as c_int)
    }
}

/// fchmodat2(2): path, mode, flags.
pub(super) unsafe fn fchmodat2(arguments: Arguments) -> c_int {
    if arguments[1] == 0 {
        // No path is not an empty one.
        return as_it_came(nr::__NR_fchmodat2, arguments);
    }
    // SAFETY: see the module above.
    unsafe { changing_at(nr::__NR_fchmodat2, arguments, arguments[3] as c_int) }
}

/// file_setattr(2): path, attributes, their size, flags.
pub(super) unsafe fn file_setattr(arguments: Arguments) -> c_int {
    // SAFETY: see the module above.
    unsafe { changing_at(nr::__NR_file_setattr, arguments, arguments[4] as c_int) }
}

/// file_getattr(2): what the file system says of the stored file.
pub(super) unsafe fn file_getattr(arguments: Arguments) -> c_int {
    let [dirfd, path, _, _, flags, _] = arguments;
    let real = |dirfd, path| raw(nr::__NR_file_getattr, arguments, dirfd, path);
    let serve = |world, entry| standing_in(world, entry, |path| real(nr::AT_FDCWD, path));
    let (dirfd, path) = (dirfd as c_int, path as *const c_char);
    // SAFETY: the caller's C string.
    let of_descriptor = dirfd != nr::AT_FDCWD && unsafe { means_descriptor(path, flags as c_int) };
    if refused(flags as c_int) || of_descriptor {
        return real(dirfd, path);
    }
    // SAFETY: see the module above.
    unsafe { asking(dirfd, path, options_of(flags as c_int), serve, real) }
}
