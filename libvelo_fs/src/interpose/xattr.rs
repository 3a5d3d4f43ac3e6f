//! The extended attribute calls: xattr(7).

use super::change::{Change, changing, changing_descriptor};
use super::reading;
use crate::fd_table;
use crate::locate::{User, bytes, is_bad};
use crate::served::{may_read, vnode};
use crate::stats::Family;
use crate::world::{Entry, World};
use crate::{cwd, errno, next, sys, world};
use core::ffi::{CStr, c_char, c_int, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Capabilities, Credentials, Options};

const XATTR_NAME_MAX: usize = 255;

/// Copies `value` as the calls do: its size if `size` is 0, ERANGE if it does not fit.
unsafe fn give(value: &[u8], out: *mut u8, size: usize) -> Result<c_int, Errno> {
    if size != 0 {
        if size < value.len() {
            return Err(Errno::ERANGE);
        }
        if is_bad(out) && !value.is_empty() {
            return Err(Errno::EFAULT);
        }
        // SAFETY: the caller's buffer of `size` bytes.
        unsafe { core::ptr::copy_nonoverlapping(value.as_ptr(), out, value.len()) };
    }
    Ok(value.len() as c_int)
}

pub(super) unsafe fn get_of(
    world: &'static World,
    entry: Entry,
    name: *const c_char,
    out: *mut c_void,
    size: usize,
) -> Result<c_int, Errno> {
    // SAFETY: the caller's C string.
    let name = unsafe { bytes(name) }.ok_or(Errno::EFAULT)?;
    if name.is_empty() || name.len() > XATTR_NAME_MAX {
        return Err(Errno::ERANGE);
    }
    let user = User::effective();
    if name.starts_with(b"trusted.") && !user.capabilities().has(Capabilities::SYS_ADMIN) {
        return Err(Errno::ENODATA);
    }
    // The others have rules of their own (xattr(7)).
    let unruled: [&[u8]; 3] = [b"trusted.", b"security.", b"system."];
    if !unruled.iter().any(|space| name.starts_with(space)) {
        let vnode = vnode(world, entry)?;
        if vnode.is_symlink() && name.starts_with(b"user.") {
            return Err(Errno::ENODATA);
        }
        if !vnode.is_symlink() && !may_read(world, entry, &vnode, &user)? {
            return Err(Errno::EACCES);
        }
    }
    let manifest = world.manifest(entry.mount).ok_or(Errno::EIO)?;
    if let Some((_, value)) = manifest
        .xattrs(entry.index)
        .find(|(found, _)| *found == name)
    {
        // SAFETY: the caller's buffer.
        return unsafe { give(value, out.cast(), size) };
    }
    if matches!(name, b"user." | b"security." | b"trusted.") {
        // A prefix alone is no name.
        return Err(Errno::EINVAL);
    }
    // Symlinks have no access control lists.
    if name.starts_with(b"system.") && vnode(world, entry)?.is_symlink() {
        return Err(Errno::EOPNOTSUPP);
    }
    let spaces: [&[u8]; 4] = [b"user.", b"trusted.", b"security.", b"system.posix_acl_"];
    Err(if spaces.iter().any(|space| name.starts_with(space)) {
        Errno::ENODATA
    } else {
        Errno::EOPNOTSUPP
    })
}

pub(super) unsafe fn list_of(
    world: &'static World,
    entry: Entry,
    out: *mut c_char,
    size: usize,
) -> Result<c_int, Errno> {
    let manifest = world.manifest(entry.mount).ok_or(Errno::EIO)?;
    let total = manifest
        .xattrs(entry.index)
        .map(|(name, _)| name.len() + 1)
        .sum::<usize>();
    if size != 0 && size < total {
        return Err(Errno::ERANGE);
    }
    if size != 0 {
        let mut at = out.cast::<u8>();
        for (name, _) in manifest.xattrs(entry.index) {
            // SAFETY: the names were counted above and fit the caller's buffer.
            unsafe {
                core::ptr::copy_nonoverlapping(name.as_ptr(), at, name.len());
                at.add(name.len()).write(0);
                at = at.add(name.len() + 1);
            }
        }
    }
    Ok(total as c_int)
}

/// Whether the kernel refuses a name before it looks at the path.
pub(super) unsafe fn is_wrong_name(name: *const c_char) -> bool {
    // SAFETY: the caller's C string.
    unsafe { bytes(name) }.is_none_or(|name| name.is_empty() || name.len() > XATTR_NAME_MAX)
}

const XATTR_SIZE_MAX: usize = 65_536;
/// `XATTR_CREATE` and `XATTR_REPLACE`.
const XATTR_FLAGS: c_int = 1 | 2;

/// Whether the kernel refuses to set an attribute before it looks at the path.
pub(super) unsafe fn is_wrong_value(
    name: *const c_char,
    value: *const c_void,
    size: usize,
    flags: c_int,
) -> bool {
    // SAFETY: the caller's C string.
    flags & !XATTR_FLAGS != 0
        || size > XATTR_SIZE_MAX
        || (size != 0 && is_bad(value))
        || unsafe { is_wrong_name(name) }
}

/// The entry that a call for a descriptor is about. The kernel is asked first by a call of the
/// same kind, which refuses `O_PATH` descriptors and, before Linux 6.13, `AT_FDCWD`.
fn served(descriptor: c_int, number: u32) -> Result<Option<(&'static World, Entry)>, Errno> {
    let Some(world) = world::get() else {
        return Ok(None);
    };
    let entry = match cwd::get(world, &mut cwd::Buffer::new()) {
        _ if descriptor != nr::AT_FDCWD => fd_table::served(descriptor),
        Some(cwd::Cwd::Served(entry)) => Some(entry),
        _ => None,
    };
    let Some(entry) = entry else {
        return Ok(None);
    };
    let name: Option<&CStr> = (number == nr::__NR_fgetxattr).then_some(c"user.velo");
    let name = name.map_or(0, |name| name.as_ptr() as usize);
    let arguments = [descriptor as isize as usize, name, 0, 0, 0, 0];
    // SAFETY: a C string of ours, and no buffer.
    match sys::result(unsafe { sys::syscall6(number as usize, arguments) }) {
        Err(Errno::EBADF) => Err(Errno::EBADF),
        _ => Ok(Some((world, entry))),
    }
}

/// As [`changing_descriptor`], for fsetxattr(2), which takes `AT_FDCWD` since Linux 6.13.
fn changing_attributes(descriptor: c_int, pass: impl FnOnce() -> c_int) -> c_int {
    if descriptor == nr::AT_FDCWD && matches!(served(descriptor, nr::__NR_fgetxattr), Ok(Some(_))) {
        return super::finish(Family::Change, Err(Errno::EROFS));
    }
    changing_descriptor(descriptor, pass)
}

const MISSING: Errno = Errno::EOPNOTSUPP;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn getxattr(
    path: *const c_char,
    name: *const c_char,
    out: *mut c_void,
    size: usize,
) -> isize {
    // SAFETY: see the module above.
    unsafe {
        let serve = |world, entry| get_of(world, entry, name, out, size);
        let real = |_: c_int, path| {
            next::getxattr().map_or_else(
                || errno::fail(MISSING),
                |real| real(path, name, out, size) as c_int,
            )
        };
        let answer = if is_wrong_name(name) {
            real(nr::AT_FDCWD, path)
        } else {
            reading(
                Family::Stat,
                nr::AT_FDCWD,
                path,
                Options::FOLLOW,
                serve,
                real,
            )
        };
        answer as isize
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lgetxattr(
    path: *const c_char,
    name: *const c_char,
    out: *mut c_void,
    size: usize,
) -> isize {
    // SAFETY: see the module above.
    unsafe {
        let serve = |world, entry| get_of(world, entry, name, out, size);
        let real = |_: c_int, path| {
            next::lgetxattr().map_or_else(
                || errno::fail(MISSING),
                |real| real(path, name, out, size) as c_int,
            )
        };
        let answer = if is_wrong_name(name) {
            real(nr::AT_FDCWD, path)
        } else {
            reading(
                Family::Stat,
                nr::AT_FDCWD,
                path,
                Options::NO_FOLLOW,
                serve,
                real,
            )
        };
        answer as isize
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fgetxattr(
    descriptor: c_int,
    name: *const c_char,
    out: *mut c_void,
    size: usize,
) -> isize {
    // SAFETY: see the module above.
    unsafe {
        if is_wrong_name(name) {
            return next::fgetxattr().map_or(-1, |real| real(descriptor, name, out, size));
        }
        let answer = match served(descriptor, nr::__NR_fgetxattr) {
            Ok(Some((world, entry))) => get_of(world, entry, name, out, size),
            Ok(None) => {
                return next::fgetxattr().map_or(-1, |real| real(descriptor, name, out, size));
            }
            Err(error) => Err(error),
        };
        super::finish(Family::Stat, answer) as isize
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn listxattr(path: *const c_char, out: *mut c_char, size: usize) -> isize {
    // SAFETY: see the module above.
    unsafe {
        let serve = |world, entry| list_of(world, entry, out, size);
        reading(
            Family::Stat,
            nr::AT_FDCWD,
            path,
            Options::FOLLOW,
            serve,
            |_, path| {
                next::listxattr().map_or_else(
                    || errno::fail(MISSING),
                    |real| real(path, out, size) as c_int,
                )
            },
        ) as isize
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn llistxattr(path: *const c_char, out: *mut c_char, size: usize) -> isize {
    // SAFETY: see the module above.
    unsafe {
        let serve = |world, entry| list_of(world, entry, out, size);
        reading(
            Family::Stat,
            nr::AT_FDCWD,
            path,
            Options::NO_FOLLOW,
            serve,
            |_, path| {
                next::llistxattr().map_or_else(
                    || errno::fail(MISSING),
                    |real| real(path, out, size) as c_int,
                )
            },
        ) as isize
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn flistxattr(descriptor: c_int, out: *mut c_char, size: usize) -> isize {
    // SAFETY: see the module above.
    unsafe {
        let answer = match served(descriptor, nr::__NR_flistxattr) {
            Ok(Some((world, entry))) => list_of(world, entry, out, size),
            Ok(None) => return next::flistxattr().map_or(-1, |real| real(descriptor, out, size)),
            Err(error) => Err(error),
        };
        super::finish(Family::Stat, answer) as isize
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn setxattr(
    path: *const c_char,
    name: *const c_char,
    value: *const c_void,
    size: usize,
    flags: c_int,
) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        let real = |_: c_int, path| {
            next::setxattr().map_or_else(
                || errno::fail(MISSING),
                |real| real(path, name, value, size, flags),
            )
        };
        if is_wrong_value(name, value, size, flags) {
            return real(nr::AT_FDCWD, path);
        }
        changing(Change::Attribute, nr::AT_FDCWD, path, real)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lsetxattr(
    path: *const c_char,
    name: *const c_char,
    value: *const c_void,
    size: usize,
    flags: c_int,
) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        let real = |_: c_int, path| {
            next::lsetxattr().map_or_else(
                || errno::fail(MISSING),
                |real| real(path, name, value, size, flags),
            )
        };
        if is_wrong_value(name, value, size, flags) {
            return real(nr::AT_FDCWD, path);
        }
        changing(Change::LinkAttribute, nr::AT_FDCWD, path, real)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsetxattr(
    descriptor: c_int,
    name: *const c_char,
    value: *const c_void,
    size: usize,
    flags: c_int,
) -> c_int {
    let pass = || {
        next::fsetxattr().map_or_else(
            || errno::fail(MISSING),
            // SAFETY: see the module above.
            |real| unsafe { real(descriptor, name, value, size, flags) },
        )
    };
    // SAFETY: the caller's C string.
    if unsafe { is_wrong_value(name, value, size, flags) } {
        return pass();
    }
    changing_attributes(descriptor, pass)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn removexattr(path: *const c_char, name: *const c_char) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        let real = |_: c_int, path| {
            next::removexattr().map_or_else(|| errno::fail(MISSING), |real| real(path, name))
        };
        if is_wrong_name(name) {
            return real(nr::AT_FDCWD, path);
        }
        changing(Change::Attribute, nr::AT_FDCWD, path, real)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lremovexattr(path: *const c_char, name: *const c_char) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        let real = |_: c_int, path| {
            next::lremovexattr().map_or_else(|| errno::fail(MISSING), |real| real(path, name))
        };
        if is_wrong_name(name) {
            return real(nr::AT_FDCWD, path);
        }
        changing(Change::LinkAttribute, nr::AT_FDCWD, path, real)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fremovexattr(descriptor: c_int, name: *const c_char) -> c_int {
    let pass = || {
        next::fremovexattr().map_or_else(
            || errno::fail(MISSING),
            // SAFETY: see the module above.
            |real| unsafe { real(descriptor, name) },
        )
    };
    // SAFETY: the caller's C string.
    if unsafe { is_wrong_name(name) } {
        return pass();
    }
    changing_descriptor(descriptor, pass)
}
