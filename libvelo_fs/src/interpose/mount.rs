//! mount(2), umount2(2), pivot_root(2), swapon(2), acct(2), quotactl(2). They are the administrator's; what matters is that none of them ever reaches the store by a served path.
//!
//! Nothing can be mounted on what is served, nor can it be mounted elsewhere: EPERM. What only asks about a mount
//! point is asked about what stands for the path in the store, which is none.

use super::{asking, earlier_answer, standing_in};
use crate::locate::{User, Where, is_bad, locate};
use crate::served::{self, KernelPath};
use crate::world::{Entry, World};
use crate::{errno, next, sys, world};
use core::ffi::{CStr, c_char, c_int, c_uint, c_ulong, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Options, PathBuffer};

pub(super) fn raw(number: u32, arguments: [usize; 5]) -> c_int {
    let [a, b, c, d, e] = arguments;
    // SAFETY: the kernel checks its pointers.
    errno::from_kernel(unsafe { sys::syscall6(number as usize, [a, b, c, d, e, 0]) })
}

pub(super) fn at(dirfd: c_int) -> usize {
    dirfd as isize as usize
}

/// A file that the kernel would write to: the error of opening it so.
unsafe fn writing(path: *const c_char, flags: u32, real: impl Fn(*const c_char) -> c_int) -> c_int {
    let serve = |world: &'static World, entry: Entry| match served::open(
        world,
        entry,
        flags as c_int,
        &User::effective(),
        None,
    ) {
        Ok(descriptor) => {
            sys::close(descriptor);
            Err(Errno::EROFS)
        }
        Err(error) => Err(error),
    };
    // SAFETY: the caller's C string.
    unsafe {
        asking(nr::AT_FDCWD, path, Options::FOLLOW, serve, |_, path| {
            real(path)
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn acct(path: *const c_char) -> c_int {
    let real = |path: *const c_char| match next::acct() {
        // SAFETY: the caller's path, or none.
        Some(real) => unsafe { real(path) },
        None => raw(nr::__NR_acct, [path as usize, 0, 0, 0, 0]),
    };
    if path.is_null() {
        return real(path);
    }
    // SAFETY: see the module above.
    unsafe { writing(path, nr::O_WRONLY | nr::O_APPEND, real) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn swapon(path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        writing(path, nr::O_RDWR, |path| match next::swapon() {
            Some(real) => real(path, flags),
            None => raw(nr::__NR_swapon, [path as usize, flags as usize, 0, 0, 0]),
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn swapoff(path: *const c_char) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        writing(path, nr::O_RDWR, |path| match next::swapoff() {
            Some(real) => real(path),
            None => raw(nr::__NR_swapoff, [path as usize, 0, 0, 0, 0]),
        })
    }
}

/// Asks `real` about what stands for a path.
pub(super) unsafe fn about(
    dirfd: c_int,
    path: *const c_char,
    options: Options,
    real: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    // SAFETY: the caller's C string.
    unsafe {
        asking(
            dirfd,
            path,
            options,
            |world, entry| standing_in(world, entry, |path| real(nr::AT_FDCWD, path)),
            &real,
        )
    }
}

/// quotactl(2): the path is that of a block device, which nothing served is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quotactl(
    command: c_int,
    device: *const c_char,
    id: c_int,
    address: *mut c_void,
) -> c_int {
    let real = |device: *const c_char| match next::quotactl() {
        // SAFETY: the caller's arguments.
        Some(real) => unsafe { real(command, device, id, address) },
        None => {
            let (id, address) = (id as usize, address as usize);
            raw(
                nr::__NR_quotactl,
                [command as usize, device as usize, id, address, 0],
            )
        }
    };
    if device.is_null() {
        return real(device);
    }
    // SAFETY: see the module above.
    unsafe {
        about(nr::AT_FDCWD, device, Options::FOLLOW, |_, device| {
            real(device)
        })
    }
}

/// Refuses what would mount on, or from, a served path.
pub(super) unsafe fn mounting(
    dirfd: c_int,
    path: *const c_char,
    options: Options,
    real: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    // SAFETY: the caller's C string.
    unsafe { asking(dirfd, path, options, |_, _| Err(Errno::EPERM), real) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mount(
    source: *const c_char,
    target: *const c_char,
    kind: *const c_char,
    flags: c_ulong,
    data: *const c_void,
) -> c_int {
    let real = |source: *const c_char, target: *const c_char| match next::mount() {
        // SAFETY: the caller's arguments.
        Some(real) => unsafe { real(source, target, kind, flags, data) },
        None => raw(
            nr::__NR_mount,
            [
                source as usize,
                target as usize,
                kind as usize,
                flags as usize,
                data as usize,
            ],
        ),
    };
    // Only these two look for the source as a path.
    let from_path =
        flags as c_uint & (nr::MS_BIND | nr::MS_MOVE) != 0 && flags as c_uint & nr::MS_REMOUNT == 0;
    // SAFETY: see the module above.
    unsafe {
        mounting(nr::AT_FDCWD, target, Options::FOLLOW, |_, target| {
            if !from_path || is_bad(target) {
                return real(source, target);
            }
            mounting(nr::AT_FDCWD, source, Options::FOLLOW, |_, source| {
                real(source, target)
            })
        })
    }
}

const UMOUNT_NOFOLLOW: c_int = 8;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn umount2(path: *const c_char, flags: c_int) -> c_int {
    let options = if flags & UMOUNT_NOFOLLOW == 0 {
        Options::FOLLOW
    } else {
        Options::NO_FOLLOW
    };
    // SAFETY: see the module above.
    unsafe {
        about(nr::AT_FDCWD, path, options, |_, path| {
            match next::umount2() {
                Some(real) => real(path, flags),
                None => raw(nr::__NR_umount2, [path as usize, flags as usize, 0, 0, 0]),
            }
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn umount(path: *const c_char) -> c_int {
    // SAFETY: the same without flags.
    unsafe { umount2(path, 0) }
}

/// The path of a directory that the kernel shall see in place of the caller's, if it is another.
unsafe fn seen_by_kernel(path: *const c_char) -> Result<Option<KernelPath>, Errno> {
    let mut scratch = PathBuffer::new();
    // SAFETY: the caller's C string.
    match unsafe { locate(nr::AT_FDCWD, path, Options::FOLLOW, &mut scratch) } {
        Where::Kernel => Ok(None),
        Where::KernelAt(path) => KernelPath::new(path.to_bytes()).map(Some),
        Where::Absent { .. } => Err(Errno::ENOENT),
        Where::Failed(error) => Err(error),
        Where::Served(world, entry) => {
            let vnode = served::vnode(world, entry)?;
            if !vnode.is_dir() {
                return Err(Errno::ENOTDIR);
            }
            served::with_kernel_path(world, entry, &vnode, |path| {
                // SAFETY: a C string of ours.
                KernelPath::new(unsafe { CStr::from_ptr(path) }.to_bytes())
            })?
            .map(Some)
        }
    }
}

/// A new root makes every absolute path mean something else, so nothing is served any more, as after chroot(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pivot_root(new: *const c_char, old: *const c_char) -> c_int {
    let real = |new: *const c_char, old: *const c_char| match next::pivot_root() {
        // SAFETY: the caller's paths, or others.
        Some(real) => unsafe { real(new, old) },
        None => raw(nr::__NR_pivot_root, [new as usize, old as usize, 0, 0, 0]),
    };
    // SAFETY: the caller's C strings.
    let paths = unsafe { seen_by_kernel(new).and_then(|new| Ok((new, seen_by_kernel(old)?))) };
    let answer = match &paths {
        Ok((other_new, other_old)) => real(
            other_new.as_ref().map_or(new, KernelPath::as_ptr),
            other_old.as_ref().map_or(old, KernelPath::as_ptr),
        ),
        Err(error) => earlier_answer(|path| real(path, old)).unwrap_or_else(|| errno::fail(*error)),
    };
    if answer == 0 {
        world::retire();
    }
    answer
}
