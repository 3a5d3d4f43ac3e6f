//! What `O_CREAT` must not open in a directory with the sticky bit: files of others,
//! as may_create_in_sticky() of the kernel has it (proc_sys_fs(5), `protected_regular`).

use crate::served::metadata;
use crate::sys;
use crate::world::{Entry, World};
use core::ffi::CStr;
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::Credentials;
use velo_core::vnode::VnodeEntry;

/// Whether opening the existing `entry`, no directory, with `O_CREAT` is EACCES.
#[inline]
pub fn forbids(
    world: &World,
    entry: Entry,
    vnode: &VnodeEntry,
    user: &impl Credentials,
) -> Result<bool, Errno> {
    let manifest = world.manifest(entry.mount).ok_or(Errno::EIO)?;
    let Some(index) = manifest.parent(entry.index).filter(|_| !vnode.is_dir()) else {
        return Ok(false);
    };
    let parent = Entry { index, ..entry };
    let mode = crate::served::vnode(world, parent)?.mode;
    if mode & nr::S_ISVTX == 0 {
        return Ok(false);
    }
    forbids_in(world, entry, vnode, parent, mode, user)
}

#[cold]
fn forbids_in(
    world: &World,
    entry: Entry,
    vnode: &VnodeEntry,
    parent: Entry,
    mode: u32,
    user: &impl Credentials,
) -> Result<bool, Errno> {
    let protection = if vnode.is_file() {
        setting(c"/proc/sys/fs/protected_regular")
    } else {
        1
    };
    let owner = metadata(world, entry)?.uid;
    let is_own = owner == metadata(world, parent)?.uid || owner == user.uid();
    let by_group = mode & nr::S_IWGRP != 0 && protection >= 2 && vnode.is_file();
    Ok(protection > 0 && !is_own && (mode & nr::S_IWOTH != 0 || by_group))
}

/// A setting of the kernel's, one digit; 0 if it cannot be read.
fn setting(path: &CStr) -> u8 {
    let mut digit = [0];
    let flags = (nr::O_RDONLY | nr::O_CLOEXEC) as i32;
    // SAFETY: a C string; the kernel checks the rest.
    let opened = sys::result(unsafe { sys::openat(nr::AT_FDCWD, path.as_ptr(), flags, 0) });
    let Ok(descriptor) = opened else {
        return 0;
    };
    let read = sys::read(descriptor as i32, &mut digit);
    sys::close(descriptor as i32);
    match read {
        Ok(1..) => digit[0].wrapping_sub(b'0'),
        _ => 0,
    }
}
