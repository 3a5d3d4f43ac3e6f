//! What language hooks ask: functions of Velo's own, called by `velo_hooks._native` (`python-hooks/`).
//!
//! The structures and numbers here are an interface between two files that may be of different releases:
//! [`velo_abi_version`] says which one it is, and changes with each of them. Whatever the manifest alone cannot
//! decide is [`NOT_MINE`], and the caller asks the file system: what lies outside of every mount, what a symlink
//! leads to, what a nested mount may hide, what not everybody may read. So will be what a tenant may have changed.
//!
//! Never: a call into the C library, an allocation, a change of `errno`.

use crate::fd_table::is_served;
use crate::locate::{self, Where};
use crate::served::{self, with_kernel_path};
use crate::stats::{Family, Outcome, count};
use crate::sys;
use crate::world::{self, Entry, World};
use core::ffi::c_int;
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::manifest::{Finding, Form, Manifest};
use velo_core::resolve::{Options, PathBuffer, Quick};
use velo_core::vnode::{VnodeEntry, flag};

/// The release of this interface.
const VERSION: u32 = 1;

/// Ask the file system.
const NOT_MINE: u32 = 0;
/// The directory has nothing that can be imported by that name.
const ABSENT: u32 = 1;
/// A directory without `__init__`.
const NAMESPACE: u32 = 2;
/// A module.
const MODULE: u32 = 3;
/// A package: as a module, in the directory of that name, called `__init__`.
const PACKAGE: u32 = 4;

/// No entry.
const NONE: u32 = u32::MAX;

/// Bytes of the caller's.
#[repr(C)]
pub struct Text {
    at: *const u8,
    bytes: usize,
}

/// What differs from interpreter to interpreter.
#[repr(C)]
pub struct Dialect {
    /// What stands between a source's name and `.pyc`: `cpython-312`, and `.opt-1` for `python -O`.
    tag: Text,
    /// Suffixes of extension modules, in the order in which they are tried.
    suffixes: *const Text,
    count: usize,
}

/// What was found.
#[repr(C)]
pub struct Found {
    /// Position of an extension module's suffix.
    suffix: u32,
    /// 0 source, 1 bytecode, 2 extension module.
    form: u32,
    /// Number of the mount, for [`velo_content_map`].
    mount: u32,
    /// The file; `NONE` of what is no module.
    file: u32,
    /// The bytecode of a source; `NONE` if the manifest has none.
    bytecode: u32,
    zero: u32,
    size: u64,
    /// Seconds.
    mtime: i64,
    /// BLAKE3 of the file.
    hash: [u8; 32],
}

/// A content in memory.
#[repr(C)]
pub struct Mapping {
    at: *const u8,
    bytes: usize,
    /// BLAKE3 that the content should have. It is not checked here.
    hash: [u8; 32],
}

impl Text {
    /// # Safety
    /// The caller's bytes are there.
    unsafe fn get<'t>(&self) -> &'t [u8] {
        if self.at.is_null() {
            return b"";
        }
        // SAFETY: passed on to the caller.
        unsafe { core::slice::from_raw_parts(self.at, self.bytes) }
    }
}

/// The release of the functions here.
#[unsafe(no_mangle)]
pub extern "C" fn velo_abi_version() -> u32 {
    VERSION
}

/// What `name` is to Python in `directory`, a path. Only for [`MODULE`] and [`PACKAGE`] `found` is written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn velo_python_find(
    directory: *const Text,
    name: *const Text,
    dialect: *const Dialect,
    found: *mut Found,
) -> u32 {
    // SAFETY: the caller's structures.
    let (directory, name, dialect) = unsafe { ((*directory).get(), (*name).get(), &*dialect) };
    // SAFETY: as above.
    let suffixes = unsafe {
        match dialect.count {
            0 => &[],
            count => core::slice::from_raw_parts(dialect.suffixes, count),
        }
    };
    // SAFETY: as above.
    let suffixes = suffixes.iter().map(|suffix| unsafe { suffix.get() });
    let answer = || {
        let (world, entry) = directory_at(directory)?;
        let manifest = world.manifest(entry.mount)?;
        // SAFETY: as above.
        let tag = unsafe { dialect.tag.get() };
        // SAFETY: the caller's structure.
        find(manifest, entry, name, suffixes, tag, unsafe { &mut *found })
    };
    let kind = answer().unwrap_or(NOT_MINE);
    let outcome = match kind {
        NOT_MINE => Outcome::PassedOutside,
        _ => Outcome::Served,
    };
    count(Family::Python, outcome);
    kind
}

/// Maps the content of a file that was found, for reading; the caller unmaps it. 0, or an error as the kernel returns
/// it. Empty files are EINVAL, as for mmap(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn velo_content_map(mount: u32, file: u32, mapping: *mut Mapping) -> c_int {
    let map = || {
        let world = world::get().ok_or(Errno::ENOENT)?;
        let mount = u16::try_from(mount).map_err(|_| Errno::ENOENT)?;
        let entry = Entry { mount, index: file };
        let vnode = served::vnode(world, entry)?;
        if !is_for_everybody(&vnode) || !vnode.is_file() {
            return Err(Errno::EACCES);
        }
        let content = map_content(world, entry, &vnode)?;
        let filled = Mapping {
            at: content.as_ptr(),
            bytes: content.len(),
            hash: vnode.content_hash,
        };
        // SAFETY: the caller's structure.
        unsafe { mapping.write(filled) };
        Ok(())
    };
    map().map_or_else(|error: Errno| -error.0, |()| 0)
}

/// The served directory at a path, if everybody may list it and nothing is mounted below it.
fn directory_at(path: &[u8]) -> Option<(&'static World, Entry)> {
    let world = world::get()?;
    let entry = match world.view.quick(path, true) {
        Quick::Found { mount, index } => Entry {
            mount: mount as u16,
            index,
        },
        Quick::Absent => return None,
        Quick::Unknown => by_closer_look(world, path)?,
    };
    let vnode = served::vnode(world, entry).ok()?;
    let plain = vnode.is_dir() && is_for_everybody(&vnode);
    (plain && !has_mounts_below(world, entry)).then_some((world, entry))
}

/// A directory whose path is spelled otherwise, or leads through symlinks. Apart, because it needs much stack.
#[inline(never)]
fn by_closer_look(world: &'static World, path: &[u8]) -> Option<Entry> {
    let mut scratch = PathBuffer::new();
    match locate::locate_bytes(world, nr::AT_FDCWD, path, Options::FOLLOW, &mut scratch) {
        Where::Served(_, entry) => Some(entry),
        _ => None,
    }
}

fn has_mounts_below(world: &World, entry: Entry) -> bool {
    if world.view.mounts().len() < 2 {
        return false;
    }
    let mut path = [0; nr::PATH_MAX as usize];
    let path = world
        .view
        .canonical_path(usize::from(entry.mount), entry.index, &mut path);
    path.is_none_or(|path| world.mount_below(path).is_some())
}

/// Whether no user is refused: nobody has to be asked who they are.
fn is_for_everybody(vnode: &VnodeEntry) -> bool {
    vnode.has(flag::PUBLIC) && vnode.mode & 0o444 == 0o444
}

fn find<'s>(
    manifest: &Manifest<'_>,
    directory: Entry,
    name: &[u8],
    suffixes: impl Iterator<Item = &'s [u8]> + Clone,
    tag: &[u8],
    found: &mut Found,
) -> Option<u32> {
    let (package, form, file) = match manifest.find_module(directory.index, name, suffixes) {
        Finding::Unsure => return None,
        Finding::Absent => return Some(ABSENT),
        Finding::Namespace { directory } => {
            let below = manifest.vnode(directory)?;
            return below.has(flag::PUBLIC).then_some(NAMESPACE);
        }
        Finding::Module {
            package,
            form,
            file,
        } => (package, form, file),
    };
    let vnode = manifest.vnode(file)?;
    if !is_for_everybody(&vnode) {
        return None;
    }
    let (form, suffix) = match form {
        Form::Source => (0, 0),
        Form::Bytecode => (1, 0),
        Form::Extension(suffix) => (2, suffix),
    };
    let bytecode = match form {
        0 => manifest.bytecode_of(file, tag),
        _ => None,
    };
    *found = Found {
        suffix,
        form,
        mount: directory.mount.into(),
        file,
        bytecode: bytecode.unwrap_or(NONE),
        zero: 0,
        size: vnode.size,
        mtime: vnode.mtime.cast_signed(),
        hash: vnode.content_hash,
    };
    Some(if package.is_some() { PACKAGE } else { MODULE })
}

/// Opens, checks by its stamp, maps and closes.
fn map_content(world: &World, entry: Entry, vnode: &VnodeEntry) -> Result<&'static [u8], Errno> {
    const FLAGS: u32 = nr::O_RDONLY | nr::O_CLOEXEC;
    let open = |path| {
        // SAFETY: a NUL-terminated path of ours.
        sys::result(unsafe { sys::openat(nr::AT_FDCWD, path, FLAGS as c_int, 0) })
    };
    let descriptor = with_kernel_path(world, entry, vnode, open)?? as c_int;
    let mapped = sys::fstat_of(descriptor).and_then(|status| {
        let bytes = usize::try_from(vnode.size).map_err(|_| Errno::EIO)?;
        match is_served(world, entry, &status) {
            true => sys::map_file(descriptor, bytes),
            false => Err(Errno::EIO),
        }
    });
    sys::close(descriptor);
    mapped
}
