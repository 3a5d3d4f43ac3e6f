//! Makes the table of Python's modules, for trees that have any.

use std::collections::BTreeMap;

use super::arrange::Arranged;
use super::{Item, Kind, ManifestBuilder};
use crate::manifest::layout::{MODULE_BYTES, NO_SOURCE};
use crate::manifest::modules::{INIT, Module, bucket_bits, flag, hash_of, module_of};

/// The section; empty if no file of the tree is a module.
pub(super) fn modules(builder: &ManifestBuilder, arranged: &Arranged) -> Vec<u8> {
    let mut records: Vec<Module> = Vec::new();
    let mut found = BTreeMap::new();
    let mut has_module = false;
    for (directory, &(first, count)) in (0..).zip(&arranged.children) {
        found.clear();
        for entry in first..first + count {
            let item = &builder.items[arranged.order[entry as usize] as usize];
            has_module |= add(builder, arranged, directory, (entry, item), &mut found);
        }
        records.extend(found.values());
    }
    if !has_module {
        return Vec::new();
    }
    records.sort_unstable_by_key(|module| (module.hash, module.place));
    encode(&records)
}

/// Adds a child of `directory` to what can be imported from there; whether it is a file that can be.
fn add<'b>(
    builder: &'b ManifestBuilder,
    arranged: &Arranged,
    directory: u32,
    (entry, item): (u32, &Item),
    found: &mut BTreeMap<&'b [u8], Module>,
) -> bool {
    let name = builder.name(item);
    let module = |tail| Module {
        hash: hash_of(directory, tail),
        flags: 0,
        place: NO_SOURCE,
        source: NO_SOURCE,
    };
    let kind = kind(builder, item);
    let file = module_of(name).filter(|_| !matches!(kind, Kind::Directory));
    if let Some((tail, flag)) = file {
        let is_symlink = matches!(kind, Kind::Symlink { .. });
        found
            .entry(tail)
            .or_insert_with(|| module(tail))
            .add(entry, flag, is_symlink, false);
        return !is_symlink;
    }
    if name.contains(&b'.') {
        return false;
    }
    let flag = match kind {
        Kind::Directory => flag::DIRECTORY,
        Kind::Symlink { .. } => flag::SYMLINK,
        _ => return false,
    };
    // Sorts before all names that go on with a dot.
    let mut record = module(name);
    (record.flags, record.place) = (flag, entry);
    let (first, count) = arranged.children[entry as usize];
    for child in first..first + count {
        let item = &builder.items[arranged.order[child as usize] as usize];
        let kind = self::kind(builder, item);
        if let Some((INIT, flag)) = module_of(builder.name(item))
            && !matches!(kind, Kind::Directory)
        {
            record.add(child, flag, matches!(kind, Kind::Symlink { .. }), true);
        }
    }
    found.insert(name, record);
    false
}

/// What an item is, or what it is another name of.
fn kind(builder: &ManifestBuilder, item: &Item) -> Kind {
    match item.kind {
        Kind::Link { to } => builder.items[to as usize].kind,
        kind => kind,
    }
}

fn encode(records: &[Module]) -> Vec<u8> {
    let bits = bucket_bits(records.len());
    let mut bytes = Vec::with_capacity(8 + (4 << bits) + records.len() * MODULE_BYTES);
    bytes.extend((records.len() as u32).to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    for bucket in 0..1_u64 << bits {
        let start =
            records.partition_point(|module| u64::from(module.hash) >> (32 - bits) < bucket);
        bytes.extend((start as u32).to_le_bytes());
    }
    bytes.extend(records.iter().flat_map(|module| module.to_bytes()));
    bytes
}
