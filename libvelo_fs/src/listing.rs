//! The names of a served directory, in the kernel's record format.
//!
//! Position 0 is `.`, 1 is `..`, then the children in the manifest's order; the
//! same positions serve as offsets of `getdents64`, `telldir` and `lseek`.

use crate::world::{Entry, World};
use core::mem::offset_of;
use linux_raw_sys::general as nr;
use velo_core::vnode::VnodeEntry;

/// `struct dirent` of 64-bit machines, which is `struct linux_dirent64`, at its largest.
#[repr(C, align(8))]
pub struct Record {
    /// Inode number.
    pub d_ino: u64,
    /// Position of the next record.
    pub d_off: i64,
    /// Bytes of this record.
    pub d_reclen: u16,
    /// Kind of file.
    pub d_type: u8,
    /// The name and its NUL.
    pub d_name: [u8; 256],
}

impl Record {
    /// Not a record yet.
    pub const EMPTY: Self = Self {
        d_ino: 0,
        d_off: 0,
        d_reclen: 0,
        d_type: 0,
        d_name: [0; 256],
    };
}

const NAME_OFFSET: usize = offset_of!(Record, d_name);

/// Bytes of a record whose name has `name_bytes`: a multiple of 8, with the NUL.
const fn record_bytes(name_bytes: usize) -> usize {
    (NAME_OFFSET + name_bytes + 1).next_multiple_of(8)
}

/// One name of a directory.
struct Named<'n> {
    name: &'n [u8],
    ino: u64,
    kind: u8,
}

fn kind_of(vnode: &VnodeEntry) -> u8 {
    const DT_DIR: u8 = 4;
    const DT_REG: u8 = 8;
    const DT_LNK: u8 = 10;
    if vnode.is_dir() {
        DT_DIR
    } else if vnode.is_symlink() {
        DT_LNK
    } else {
        DT_REG
    }
}

fn name_at(world: &'static World, directory: Entry, position: u64) -> Option<Named<'static>> {
    let manifest = world.manifest(directory.mount)?;
    let (name, index): (&'static [u8], u32) = match position {
        0 => (b".", directory.index),
        // The root's parent lies outside: as at the top of any file system, itself.
        1 => (
            b"..",
            manifest.parent(directory.index).unwrap_or(directory.index),
        ),
        _ => {
            let children = manifest.children(directory.index);
            let index = children
                .start
                .checked_add(u32::try_from(position - 2).ok()?)?;
            if index >= children.end {
                return None;
            }
            (manifest.name(index)?, index)
        }
    };
    Some(Named {
        name,
        ino: manifest.stat(index)?.ino,
        kind: kind_of(&manifest.vnode(index)?),
    })
}

/// Fills one record for `position`; `false` at the end.
pub fn fill_record(
    world: &'static World,
    directory: Entry,
    position: u64,
    out: &mut Record,
) -> bool {
    name_at(world, directory, position).is_some_and(|named| write_record(&named, position, out))
}

/// Fills one record for `entry` under a `name` of the caller's; `false` if that cannot be.
pub fn fill_named(
    world: &'static World,
    entry: Entry,
    name: &'static [u8],
    out: &mut Record,
) -> bool {
    let manifest = world.manifest(entry.mount);
    let found = manifest.and_then(|manifest| {
        Some((
            manifest.stat(entry.index)?.ino,
            kind_of(&manifest.vnode(entry.index)?),
        ))
    });
    found.is_some_and(|(ino, kind)| write_record(&Named { name, ino, kind }, 0, out))
}

fn write_record(named: &Named<'_>, position: u64, out: &mut Record) -> bool {
    let Some(slot) = out.d_name.get_mut(..=named.name.len()) else {
        return false;
    };
    if let Some((end, name)) = slot.split_last_mut() {
        name.copy_from_slice(named.name);
        *end = 0;
    }
    out.d_ino = named.ino;
    out.d_off = position as i64 + 1;
    out.d_reclen = record_bytes(named.name.len()) as u16;
    out.d_type = named.kind;
    true
}

/// Fills a getdents64(2) buffer from `position` on; the bytes written and the next
/// position, or `None` if not even one record fits.
pub fn fill_buffer(
    world: &'static World,
    directory: Entry,
    mut position: u64,
    out: &mut [u8],
) -> Option<(usize, u64)> {
    let mut used = 0;
    while let Some(named) = name_at(world, directory, position) {
        let bytes = record_bytes(named.name.len());
        let Some(record) = out.get_mut(used..used + bytes) else {
            return (used != 0).then_some((used, position));
        };
        record.fill(0);
        let header = [
            (0, named.ino),
            (8, position + 1),
            (16, bytes as u64 | u64::from(named.kind) << 16),
        ];
        for (offset, value) in header {
            // The last one spills into the name, which is written next.
            if let Some(slot) = record.get_mut(offset..offset + 8) {
                slot.copy_from_slice(&value.to_le_bytes());
            }
        }
        if let Some(slot) = record.get_mut(NAME_OFFSET..NAME_OFFSET + named.name.len()) {
            slot.copy_from_slice(named.name);
        }
        used += bytes;
        position += 1;
    }
    Some((used, position))
}

/// Turns a filled buffer into one of getdents(2), whose records have the type in their last byte instead.
pub fn move_types_behind_names(mut records: &mut [u8]) {
    const LENGTH_OFFSET: usize = offset_of!(Record, d_reclen);
    while let Some(length) = records
        .get(LENGTH_OFFSET..)
        .and_then(|rest| rest.first_chunk())
    {
        let length = usize::from(u16::from_ne_bytes(*length));
        let Some((record, rest)) = records.split_at_mut_checked(length).filter(|_| length != 0)
        else {
            return;
        };
        if let Some(tail) = record.get_mut(offset_of!(Record, d_type)..) {
            tail.rotate_left(1);
        }
        records = rest;
    }
}

const _: () = assert!(NAME_OFFSET == offset_of!(nr::linux_dirent64, d_name));
