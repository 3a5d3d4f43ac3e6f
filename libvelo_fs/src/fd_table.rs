//! What the process's descriptors are, as far as our own hooks know.
//!
//! A hint, never an authority for file contents: `fstat` asks the kernel and
//! checks the stamp before it believes an entry (brief §8). Directory entries are
//! believed for `*at` calls, because directories are opened and closed through
//! hooked functions only; what is not known is probed once.
//! Descriptors beyond the table are probed each time.

use crate::world::{Entry, World};
use crate::{sys, world};
use core::ffi::{CStr, c_int};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use linux_raw_sys::general as nr;
use velo_core::stamp::stamp_ns;

const SIZE: usize = 65_536;

static TABLE: [AtomicU64; SIZE] = [const { AtomicU64::new(0) }; SIZE];
/// One more than the highest descriptor ever noted: bounds the close loops.
static HIGH: AtomicUsize = AtomicUsize::new(0);

const KIND_SHIFT: u32 = 60;
const FOREIGN: u64 = 1;
const SERVED: u64 = 2;
const ANCESTOR: u64 = 3;
const IN_PROC: u64 = 4;

/// What is known of a descriptor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing: inherited, or made by a call that is not hooked.
    Unknown,
    /// The kernel's own business.
    Foreign,
    /// The same, and it may be a directory of `/proc` whose links lead into the store.
    InProc,
    /// A served file or directory.
    Served(Entry),
    /// A plain directory above a mount: the first `bytes` bytes of the mount's path.
    Ancestor {
        /// The mount.
        mount: u16,
        /// How much of its path leads to this directory.
        bytes: u32,
    },
}

impl Known {
    /// Whether it is surely not served.
    pub fn is_plain(self) -> bool {
        matches!(self, Self::Foreign | Self::InProc | Self::Ancestor { .. })
    }
}

/// One word for what is known; 0: nothing.
pub fn encode(known: Known) -> u64 {
    let (kind, mount, rest) = match known {
        Known::Unknown => return 0,
        Known::Foreign => (FOREIGN, 0, 0),
        Known::InProc => (IN_PROC, 0, 0),
        Known::Served(entry) => (SERVED, entry.mount, entry.index),
        Known::Ancestor { mount, bytes } => (ANCESTOR, mount, bytes),
    };
    kind << KIND_SHIFT | u64::from(mount) << 32 | u64::from(rest)
}

fn slot(descriptor: c_int) -> Option<&'static AtomicU64> {
    TABLE.get(usize::try_from(descriptor).ok()?)
}

/// What the table says.
#[inline]
pub fn get(descriptor: c_int) -> Known {
    decode(slot(descriptor).map_or(0, |slot| slot.load(Relaxed)))
}

/// The opposite of [`encode`].
#[inline]
pub fn decode(value: u64) -> Known {
    let (mount, rest) = ((value >> 32) as u16, value as u32);
    match value >> KIND_SHIFT {
        FOREIGN => Known::Foreign,
        SERVED => Known::Served(Entry { mount, index: rest }),
        ANCESTOR => Known::Ancestor { mount, bytes: rest },
        IN_PROC => Known::InProc,
        _ => Known::Unknown,
    }
}

/// Notes what a new descriptor is. Does nothing in a child that shares our memory.
#[inline]
pub fn set(descriptor: c_int, known: Known) {
    if let Some(slot) = slot(descriptor)
        && !crate::vfork::in_child()
    {
        slot.store(encode(known), Relaxed);
        HIGH.fetch_max(descriptor as usize + 1, Relaxed);
    }
}

/// Forgets a descriptor that is about to be closed.
#[inline]
pub fn clear(descriptor: c_int) {
    if let Some(slot) = slot(descriptor)
        && slot.load(Relaxed) != 0
        && !crate::vfork::in_child()
    {
        slot.store(0, Relaxed);
    }
}

/// Forgets all descriptors from `first` to `last`, which may be as large as it likes.
pub fn clear_range(first: u32, last: u32) {
    let end = (last as usize).saturating_add(1).min(HIGH.load(Relaxed));
    for descriptor in first as usize..end {
        clear(descriptor as c_int);
    }
}

/// One more than the highest descriptor that anything is known of.
pub fn bound() -> c_int {
    HIGH.load(Relaxed) as c_int
}

/// Makes `copy` what `original` is.
pub fn copy(original: c_int, copied: c_int) {
    set(copied, get(original));
}

/// What a directory descriptor is, probing the kernel where the table does not know.
#[inline]
pub fn directory(world: &'static World, descriptor: c_int) -> Known {
    match get(descriptor) {
        Known::Unknown => probe(world, descriptor),
        known => known,
    }
}

/// Asks the kernel what an unknown descriptor is and remembers the answer.
#[cold]
fn probe(world: &'static World, descriptor: c_int) -> Known {
    let Ok(status) = sys::fstat_of(descriptor) else {
        return Known::Unknown;
    };
    let known = recognise(world, descriptor, &status).map_or(Known::Foreign, Known::Served);
    set(descriptor, known);
    known
}

/// The served entry behind a descriptor that was not opened by a hook here:
/// inherited over exec, received over a socket, opened by the C library itself.
pub fn recognise(world: &'static World, descriptor: c_int, status: &sys::Stat) -> Option<Entry> {
    match status.st_mode & nr::S_IFMT {
        nr::S_IFDIR => world
            .view
            .mounts()
            .iter()
            .enumerate()
            .find_map(|(number, mount)| {
                let entry = Entry {
                    mount: number as u16,
                    index: u32::try_from(status.st_mtime).ok()?,
                };
                let same_root = mount.manifest().root_of(entry.index)? == mount.root();
                (same_root && is_served(world, entry, status)).then_some(entry)
            }),
        nr::S_IFREG if status.st_mtime == 0 && status.st_mode & 0o222 == 0 => {
            let mut path = [0; nr::PATH_MAX as usize];
            by_content(world, physical_path(descriptor, &mut path)?)
        }
        _ => None,
    }
}

/// Whether the kernel's answer for a descriptor is that of the served `entry`.
pub fn is_served(world: &World, entry: Entry, status: &sys::Stat) -> bool {
    let Some(vnode) = world
        .manifest(entry.mount)
        .and_then(|manifest| manifest.vnode(entry.index))
    else {
        return false;
    };
    let kind = status.st_mode & nr::S_IFMT;
    if vnode.is_dir() {
        let stamp = world
            .place(entry.mount)
            .map_or(0, |place| place.view_stamp_ns);
        kind == nr::S_IFDIR
            && status.st_mtime == u64::from(entry.index)
            && status.st_mtime_nsec == u64::from(stamp)
    } else if vnode.is_symlink() {
        kind == nr::S_IFLNK
    } else {
        let (size, hash) = (vnode.size, vnode.content_hash);
        kind == nr::S_IFREG
            && status.st_mtime == 0
            && status.st_size as u64 == size
            && status.st_mtime_nsec == u64::from(stamp_ns(&hash))
    }
}

/// The path that the kernel shows for a descriptor.
pub fn physical_path(descriptor: c_int, buffer: &mut [u8]) -> Option<&[u8]> {
    let mut link = [0; LINK_BYTES];
    let link = link_of(descriptor, &mut link)?;
    let bytes = sys::readlinkat(nr::AT_FDCWD, link.as_ptr(), buffer).ok()?;
    buffer.get(..bytes)
}

/// Room for the longest of [`link_of`].
pub const LINK_BYTES: usize = 32;

/// The path of the link that `/proc` has for a descriptor of this process.
pub fn link_of(descriptor: c_int, link: &mut [u8; LINK_BYTES]) -> Option<&CStr> {
    const DIRECTORY: &[u8] = b"/proc/self/fd/";
    let mut text = [0; 20];
    let digits = crate::message::decimal(u64::try_from(descriptor).ok()?, &mut text);
    let (start, rest) = link.split_at_mut_checked(DIRECTORY.len())?;
    start.copy_from_slice(DIRECTORY);
    rest.get_mut(..digits.len())?.copy_from_slice(digits);
    *rest.get_mut(digits.len())? = 0;
    CStr::from_bytes_until_nul(link).ok()
}

/// The first entry whose content stands at this physical path: a view file by its
/// path, a blob by its name. Equal contents at several paths cannot be told apart.
#[cold]
pub fn by_content(world: &'static World, physical: &[u8]) -> Option<Entry> {
    if let Some(entry) = world.entry_at_physical(physical) {
        return Some(entry);
    }
    let name = physical
        .strip_prefix(world.store)?
        .strip_prefix(b"/cas_store/")?
        .get(3..)?;
    let mut hash = [0; 32];
    for (byte, digits) in hash.iter_mut().zip(name.chunks(2)) {
        *byte = u8::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    for (number, mount) in world.view.mounts().iter().enumerate() {
        let manifest = mount.manifest();
        let same = |index: &u32| {
            manifest
                .vnode(*index)
                .is_some_and(|vnode| vnode.is_file() && vnode.content_hash == hash)
                && manifest.root_of(*index) == Some(mount.root())
        };
        if let Some(index) = (0..manifest.entry_count()).find(same) {
            return Some(Entry {
                mount: number as u16,
                index,
            });
        }
    }
    None
}

/// Whether a descriptor leads into the store, whatever the table says of it: nothing
/// may be changed there.
pub fn is_in_store(descriptor: c_int) -> bool {
    let Some(world) = world::get() else {
        return false;
    };
    if get(descriptor).is_plain() {
        return false;
    }
    let mut buffer = [0; nr::PATH_MAX as usize];
    let below = |path: &[u8], root: &[u8]| {
        path.strip_prefix(root)
            .is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
    };
    physical_path(descriptor, &mut buffer).is_some_and(|path| {
        below(path, world.store) || world.places.iter().any(|place| below(path, place.view))
    })
}

/// The served entry behind `descriptor`, checked against the kernel.
pub fn served(descriptor: c_int) -> Option<Entry> {
    let world = world::get()?;
    match get(descriptor) {
        Known::Served(entry) => {
            let status = sys::fstat_of(descriptor).ok()?;
            is_served(world, entry, &status).then_some(entry)
        }
        Known::Unknown => match probe(world, descriptor) {
            Known::Served(entry) => Some(entry),
            _ => None,
        },
        _ => None,
    }
}
