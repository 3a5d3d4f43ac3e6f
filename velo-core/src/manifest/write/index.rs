//! The index: hashes of all paths, the perfect hash over them, the slots.

use super::arrange::Arranged;
use super::{Kind, ManifestBuilder, Text, WriteError};
use crate::manifest::layout::{PATH_BYTES_MAX, SLOT_BYTES, SLOT_EMPTY};
use crate::manifest::lookup::{hash_rel, tag};
use crate::manifest::phf::{BuildError, Phf, PhfBuild};

/// The two sections, and whether they lead to every entry.
pub(super) struct Index {
    pub phf: Vec<u8>,
    pub slots: Vec<u8>,
    /// Some entries have no slot, because their path's hash is that of another.
    pub unslotted: bool,
}

/// What makes the perfect hash; a parameter so that a test can make it fail.
pub(super) type BuildPhf = fn(&[u64]) -> Result<PhfBuild, BuildError>;

pub(super) fn index(
    builder: &ManifestBuilder,
    arranged: &Arranged,
    build: BuildPhf,
) -> Result<Index, WriteError> {
    let hashes = hash_paths(builder, arranged)?;
    let mut keys: Vec<(u64, u32)> = Vec::new();
    match build(&hashes) {
        Ok(built) => {
            let all = (0..).zip(&hashes).map(|(entry, hash)| (*hash, entry));
            return Ok(fill(built.bytes, all, false));
        }
        // Whoever chooses the names can make hashes collide, whatever the seed: so no
        // other seed is tried. The first entry of each hash gets the slot.
        Err(BuildError::Duplicate { .. }) => {
            keys.extend(hashes.iter().copied().zip(0..));
            keys.sort_unstable();
            keys.dedup_by_key(|(hash, _)| *hash);
        }
        Err(BuildError::TooManyKeys { .. }) => return Err(WriteError::TooManyEntries),
        Err(BuildError::Unplaceable) => {}
    }
    let mut hashes: Vec<u64> = keys.iter().map(|(hash, _)| *hash).collect();
    let built = match build(&hashes) {
        Ok(built) => built,
        // Distinct, and still they do not spread: do without.
        Err(_) => {
            keys.clear();
            hashes.clear();
            build(&hashes).map_err(|_| WriteError::TooManyEntries)?
        }
    };
    Ok(fill(built.bytes, keys.into_iter(), true))
}

/// Puts each entry into the slot of its hash.
fn fill(bytes: Vec<u8>, keys: impl Iterator<Item = (u64, u32)>, unslotted: bool) -> Index {
    let empty: [[u8; 4]; 2] = [0_u32.to_le_bytes(), SLOT_EMPTY.to_le_bytes()];
    let mut slots = Vec::new();
    if let Some(phf) = Phf::parse(&bytes) {
        slots = vec![empty; phf.slot_count() as usize];
        for (hash, entry) in keys {
            slots[phf.slot(hash) as usize] = [tag(hash).to_le_bytes(), entry.to_le_bytes()];
        }
    }
    const { assert!(size_of::<[[u8; 4]; 2]>() == SLOT_BYTES) }
    Index {
        phf: bytes,
        slots: slots.into_flattened().into_flattened(),
        unslotted,
    }
}

/// The hash of each entry's path.
fn hash_paths(builder: &ManifestBuilder, arranged: &Arranged) -> Result<Vec<u64>, WriteError> {
    let mut hashes = vec![0; arranged.order.len()];
    // One for each directory in the order of entries: its root, and its path in `paths`.
    let mut places: Vec<(u32, usize, usize)> = Vec::new();
    let mut paths: Vec<u8> = Vec::new();
    let mut path = Vec::with_capacity(PATH_BYTES_MAX);
    for root in 0..builder.roots.len() as u32 {
        hashes[root as usize] = hash_rel(root, b"");
        places.push((root, 0, 0));
    }
    let is_directory = |id: u32| matches!(builder.items[id as usize].kind, Kind::Directory);
    let entries = arranged.order.iter().zip(&arranged.children);
    let directories = entries.filter(|(id, _)| is_directory(**id));
    for (directory, (_, &(first, count))) in directories.enumerate() {
        let (root, start, end) = places[directory];
        path.clear();
        path.extend_from_slice(&paths[start..end]);
        if start != end {
            path.push(b'/');
        }
        let parent_bytes = path.len();
        for child in first..first + count {
            let id = arranged.order[child as usize];
            path.truncate(parent_bytes);
            path.extend_from_slice(builder.name(&builder.items[id as usize]));
            if path.len() > PATH_BYTES_MAX {
                return Err(WriteError::PathTooLong {
                    found_bytes: path.len(),
                    path: Text(path),
                });
            }
            hashes[child as usize] = hash_rel(root, &path);
            if is_directory(id) {
                let start = paths.len();
                paths.extend_from_slice(&path);
                places.push((root, start, paths.len()));
            }
        }
    }
    Ok(hashes)
}
