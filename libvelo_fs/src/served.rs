//! Answers about served entries: what `stat` says of them and how they are opened.

use crate::credentials::User;
use crate::message::{Line, say};
use crate::sticky;
use crate::sys::{self, Stat, Statx};
use crate::world::{Entry, World};
use core::ffi::{c_char, c_int, c_uint};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::manifest::{DEV_MAJOR, Metadata, Time};
use velo_core::resolve::{READ, WRITE, may_access};
use velo_core::store_layout::{BLOB_SUFFIX_BYTES, blob_suffix};
use velo_core::vnode::VnodeEntry;

const PATH_BYTES: usize = nr::PATH_MAX as usize;

/// Longest store root, so that a blob's path fits a small buffer. Checked at start-up.
pub const STORE_BYTES_MAX: usize = 400;
const BLOB_PATH_BYTES: usize = 512;

const _: () = assert!(STORE_BYTES_MAX + BLOB_SUFFIX_BYTES < BLOB_PATH_BYTES);

/// A path for the kernel, with its NUL.
pub struct KernelPath {
    bytes: [u8; PATH_BYTES],
    length: usize,
}

impl KernelPath {
    /// A copy of `path`.
    pub fn new(path: &[u8]) -> Result<Self, Errno> {
        let mut bytes = [0; PATH_BYTES];
        let slot = bytes
            .get_mut(..path.len())
            .filter(|slot| slot.len() < PATH_BYTES)
            .ok_or(Errno::ENAMETOOLONG)?;
        slot.copy_from_slice(path);
        Ok(Self {
            bytes,
            length: path.len(),
        })
    }

    /// `name` right after `directory`, which ends in a slash or is empty.
    pub fn joined(directory: &[u8], name: &[u8]) -> Result<Self, Errno> {
        let mut path = Self::new(directory)?;
        let end = directory.len() + name.len();
        path.bytes
            .get_mut(directory.len()..end)
            .filter(|_| end < PATH_BYTES)
            .ok_or(Errno::ENAMETOOLONG)?
            .copy_from_slice(name);
        path.length = end;
        Ok(path)
    }

    /// For system calls and C functions.
    pub fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }

    /// Without the NUL.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(b"")
    }
}

/// The vnode of an entry. EIO means that the manifest is damaged.
#[inline]
pub fn vnode(world: &World, entry: Entry) -> Result<VnodeEntry, Errno> {
    world
        .manifest(entry.mount)
        .and_then(|manifest| manifest.vnode(entry.index))
        .ok_or(Errno::EIO)
}

/// The metadata of an entry. EIO means that the manifest is damaged.
#[inline]
pub fn metadata(world: &World, entry: Entry) -> Result<Metadata, Errno> {
    world
        .manifest(entry.mount)
        .and_then(|manifest| manifest.stat(entry.index))
        .ok_or(Errno::EIO)
}

/// makedev(3).
const fn device(major: u32, minor: u32) -> u64 {
    (major as u64 & 0xffff_f000) << 32
        | (major as u64 & 0xfff) << 8
        | (minor as u64 & 0xffff_ff00) << 12
        | (minor as u64 & 0xff)
}

/// Whether a device number is one of the made-up ones of the mounts.
pub fn is_own_device(world: &World, number: u64) -> bool {
    let own = |minor| device(DEV_MAJOR, minor) == number;
    let mut mounts = world.view.mounts().iter();
    mounts.any(|mount| own(mount.manifest().dev_minor()))
}

/// Writes the metadata as stat(2) does.
///
/// # Safety
/// `out` is valid for writing.
#[inline]
pub unsafe fn fill_stat(meta: &Metadata, out: *mut Stat) {
    let filled = Stat {
        st_dev: device(meta.dev_major, meta.dev_minor),
        st_ino: meta.ino,
        st_nlink: u64::from(meta.nlink),
        st_mode: meta.mode,
        st_uid: meta.uid,
        st_gid: meta.gid,
        __pad0: 0,
        st_rdev: 0,
        st_size: meta.size as i64,
        st_blksize: i64::from(meta.blksize),
        st_blocks: meta.blocks as i64,
        st_atime: meta.atime.sec as u64,
        st_atime_nsec: u64::from(meta.atime.nsec),
        st_mtime: meta.mtime.sec as u64,
        st_mtime_nsec: u64::from(meta.mtime.nsec),
        st_ctime: meta.ctime.sec as u64,
        st_ctime_nsec: u64::from(meta.ctime.nsec),
        __unused: [0; 3],
    };
    // SAFETY: passed on to the caller.
    unsafe { out.write(filled) };
}

/// Writes the metadata as statx(2) does: the basic fields and, where known, the birth time.
///
/// # Safety
/// `out` is valid for writing.
pub unsafe fn fill_statx(meta: &Metadata, out: *mut Statx) {
    let stamp = |time: Time| nr::statx_timestamp {
        tv_sec: time.sec,
        tv_nsec: time.nsec,
        __reserved: 0,
    };
    let birth = if meta.btime.is_some() {
        nr::STATX_BTIME
    } else {
        0
    };
    // SAFETY: all-zero is a valid `statx`; `out` is the caller's.
    unsafe {
        out.write(core::mem::zeroed());
        let out = &mut *out;
        out.stx_mask = nr::STATX_BASIC_STATS | birth;
        out.stx_blksize = meta.blksize;
        out.stx_nlink = meta.nlink;
        out.stx_uid = meta.uid;
        out.stx_gid = meta.gid;
        out.stx_mode = meta.mode as u16;
        out.stx_ino = meta.ino;
        out.stx_size = meta.size;
        out.stx_blocks = meta.blocks;
        out.stx_atime = stamp(meta.atime);
        out.stx_mtime = stamp(meta.mtime);
        out.stx_ctime = stamp(meta.ctime);
        out.stx_btime = stamp(meta.btime.unwrap_or(Time { sec: 0, nsec: 0 }));
        out.stx_dev_major = meta.dev_major;
        out.stx_dev_minor = meta.dev_minor;
    }
}

/// Calls `use_path` with the path that the kernel opens for a served entry: the
/// blob of a regular file, the place in the view tree of anything else.
#[inline]
pub fn with_kernel_path<T>(
    world: &World,
    entry: Entry,
    vnode: &VnodeEntry,
    use_path: impl FnOnce(*const c_char) -> T,
) -> Result<T, Errno> {
    if !vnode.is_file() {
        let path = place_in_view(world, entry)?;
        return Ok(use_path(path.as_ptr()));
    }
    let path = blob_path(world, vnode)?;
    Ok(use_path(path.as_ptr().cast()))
}

/// The blob's path and a NUL.
#[inline]
fn blob_path(world: &World, vnode: &VnodeEntry) -> Result<[u8; BLOB_PATH_BYTES], Errno> {
    let hash = vnode.content_hash;
    let mut path = [0; BLOB_PATH_BYTES];
    let (root, rest) = path
        .split_at_mut_checked(world.store.len())
        .ok_or(Errno::ENAMETOOLONG)?;
    root.copy_from_slice(world.store);
    rest.get_mut(..BLOB_SUFFIX_BYTES)
        .ok_or(Errno::ENAMETOOLONG)?
        .copy_from_slice(&blob_suffix(&hash));
    Ok(path)
}

fn place_in_view(world: &World, entry: Entry) -> Result<KernelPath, Errno> {
    let mut path = KernelPath {
        bytes: [0; PATH_BYTES],
        length: 0,
    };
    path.length = world
        .physical(entry, &mut path.bytes)
        .ok_or(Errno::ENAMETOOLONG)?;
    Ok(path)
}

/// The path of an executable or library in the view tree, where `$ORIGIN` and its
/// neighbours are as in the source; the blob for what the view does not hold.
pub fn view_path(world: &World, entry: Entry) -> Result<KernelPath, Errno> {
    let vnode = vnode(world, entry)?;
    if !vnode.is_file() || vnode.has(velo_core::vnode::flag::IN_VIEW) {
        return place_in_view(world, entry);
    }
    let blob = blob_path(world, &vnode)?;
    let mut path = KernelPath {
        bytes: [0; PATH_BYTES],
        length: world.store.len() + BLOB_SUFFIX_BYTES,
    };
    path.bytes
        .get_mut(..BLOB_PATH_BYTES)
        .ok_or(Errno::ENAMETOOLONG)?
        .copy_from_slice(&blob);
    Ok(path)
}

/// Whether the caller may read the entry; asks for ids only if not everybody may.
#[inline]
pub fn may_read(
    world: &World,
    entry: Entry,
    vnode: &VnodeEntry,
    user: &User,
) -> Result<bool, Errno> {
    may_open(world, entry, vnode, nr::O_RDONLY as c_int, user)
}

/// Whether the permission bits let the caller open the entry in the mode of `flags`.
#[inline]
fn may_open(
    world: &World,
    entry: Entry,
    vnode: &VnodeEntry,
    flags: c_int,
    user: &User,
) -> Result<bool, Errno> {
    let wanted = match flags as u32 & nr::O_ACCMODE {
        nr::O_RDONLY => READ,
        nr::O_WRONLY => WRITE,
        _ => READ | WRITE,
    };
    let bits = vnode.mode;
    if bits >> 6 & bits >> 3 & bits & wanted == wanted {
        return Ok(true);
    }
    Ok(may_access(&metadata(world, entry)?, wanted, user))
}

/// Whether open(2) with `flags` would open the plain entry on a read-only mount, and
/// if not, why. The final symlink has been followed already, unless `O_NOFOLLOW` was
/// given.
pub fn check_open(
    world: &World,
    entry: Entry,
    vnode: &VnodeEntry,
    flags: c_int,
    user: &User,
) -> Result<(), Errno> {
    let flag = |bit: u32| flags as u32 & bit != 0;
    let path_only = flag(nr::O_PATH);
    if flag(nr::O_CREAT) && flag(nr::O_EXCL) && !path_only {
        return Err(Errno::EEXIST);
    }
    if flag(nr::O_CREAT) && !path_only && sticky::forbids(world, entry, vnode, user)? {
        return Err(Errno::EACCES);
    }
    if vnode.is_symlink() && !path_only {
        return Err(if flag(nr::O_DIRECTORY) {
            Errno::ENOTDIR
        } else {
            Errno::ELOOP
        });
    }
    if !vnode.is_dir() && flag(nr::O_DIRECTORY) {
        return Err(Errno::ENOTDIR);
    }
    let temporary = flags as u32 & nr::O_TMPFILE == nr::O_TMPFILE;
    // Both bits together ask for the permissions, but not for a way to write (open(2)).
    let access = flags as u32 & nr::O_ACCMODE;
    let writes = matches!(access, nr::O_WRONLY | nr::O_RDWR) || flag(nr::O_TRUNC);
    if !path_only {
        if vnode.is_dir() && (writes || access != nr::O_RDONLY || flag(nr::O_CREAT)) && !temporary {
            return Err(Errno::EISDIR);
        }
        // A read-only mount looks at the permission first, but for truncation.
        if temporary || flag(nr::O_TRUNC) {
            return Err(Errno::EROFS);
        }
        if !may_open(world, entry, vnode, flags, user)? {
            return Err(Errno::EACCES);
        }
        if writes {
            return Err(Errno::EROFS);
        }
        if flag(nr::O_NOATIME) {
            let meta = metadata(world, entry)?;
            if !user.owns(meta.uid) {
                return Err(Errno::EPERM);
            }
        }
    }
    Ok(())
}

/// Opens a served entry as open(2) with `flags` would, see [`check_open`]. `beside` is the
/// kernel's own way to a directory or symlink of the view tree: a shorter one, or one
/// through a descriptor (`/proc/self/fd`).
pub fn open(
    world: &World,
    entry: Entry,
    flags: c_int,
    user: &User,
    beside: Option<(c_int, *const c_char)>,
) -> Result<c_int, Errno> {
    let vnode = vnode(world, entry)?;
    check_open(world, entry, &vnode, flags, user)?;
    let flag = |bit: u32| flags as u32 & bit != 0;
    let kept = flags as u32 & !(nr::O_CREAT | nr::O_EXCL);
    if let Some((above, name)) = beside.filter(|_| !vnode.is_file())
        // SAFETY: the caller's C string.
        && let Ok(descriptor) = sys::result(unsafe { sys::openat(above, name, kept as c_int, 0) })
    {
        return Ok(descriptor as c_int);
    }
    let open_with = |flags: u32| {
        with_kernel_path(world, entry, &vnode, |path| {
            // SAFETY: our own NUL-terminated path.
            sys::result(unsafe { sys::openat(nr::AT_FDCWD, path, flags as c_int, 0 as c_uint) })
        })
    };
    let opened = match open_with(kept)? {
        // Who owns the entry need not own its blob, whose times nobody sees.
        Err(Errno::EPERM) if flag(nr::O_NOATIME) => open_with(kept & !nr::O_NOATIME)?,
        opened => opened,
    };
    match opened {
        Ok(descriptor) => Ok(descriptor as c_int),
        // Permission to write, but not to the blob: as on a read-only file system.
        Err(Errno::EACCES) if flags as u32 & nr::O_ACCMODE == nr::O_ACCMODE => Err(Errno::EROFS),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES | Errno::ELOOP) => {
            report_missing(world, entry, &vnode);
            Err(Errno::EIO)
        }
        Err(error) => Err(error),
    }
}

/// Says which stored file is missing, a few times at most.
#[cold]
pub fn report_missing(world: &World, entry: Entry, vnode: &VnodeEntry) {
    static REPORTED: AtomicU32 = AtomicU32::new(0);
    const REPORTS_MAX: u32 = 10;
    if REPORTED.fetch_add(1, Relaxed) >= REPORTS_MAX {
        return;
    }
    let mut name = [0; PATH_BYTES];
    let bytes = world.virtual_path(entry, &mut name).unwrap_or(0);
    let line = Line::new()
        .text(b"cannot open ")
        .text(name.get(..bytes).unwrap_or(b""))
        .text(b": expected its content in ");
    let line = with_kernel_path(world, entry, vnode, |path| {
        // SAFETY: a NUL-terminated path of ours.
        line.text(unsafe { core::ffi::CStr::from_ptr(path) }.to_bytes())
    });
    let Ok(line) = line else { return };
    say(&line
        .text(b", found none; repair the store with: velo-ctl build-manifest SRC -o FILE (check with: velo-ctl verify --deep)"));
}
