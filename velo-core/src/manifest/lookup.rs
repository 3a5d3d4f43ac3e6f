//! From a path to its entry: one hash, one slot, then the names have the last word.
//!
//! Paths are relative to a root, without leading, trailing or doubled slashes; the
//! root itself is the empty path. Other spellings are simply not found.

use super::Manifest;
use super::layout::{Node, SLOT_BYTES, words};
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

/// The hash that paths are found by: rapidhash v3, whose output is fixed, seeded with
/// the number of the root.
#[must_use]
#[inline]
pub(super) fn hash_rel(root: u32, rel: &[u8]) -> u64 {
    rapidhash_v3_seeded(rel, &RapidSecrets::seed_cpp(root as u64))
}

/// The part of the hash that a slot keeps.
#[inline]
pub(super) const fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// A slot as it stands in the file.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub tag: u32,
    pub index: u32,
}

impl Slot {
    #[inline]
    pub(super) fn from_bytes(bytes: &[u8; SLOT_BYTES]) -> Self {
        let [tag, index] = words(bytes);
        Self { tag, index }
    }
}

impl Manifest<'_> {
    /// The entry at `rel`, a path relative to root number `root`.
    #[must_use]
    #[inline]
    pub fn lookup(&self, root: u32, rel: &[u8]) -> Option<u32> {
        self.lookup_hashed(root, rel, Self::hash_rel(root, rel))
    }

    /// The hash of a path, for [`Manifest::lookup_hashed`]; the same in every manifest.
    #[must_use]
    #[inline]
    pub fn hash_rel(root: u32, rel: &[u8]) -> u64 {
        hash_rel(root, rel)
    }

    /// As [`Manifest::lookup`], with the hash already known.
    #[must_use]
    #[inline]
    pub fn lookup_hashed(&self, root: u32, rel: &[u8], hash: u64) -> Option<u32> {
        let slot = Slot::from_bytes(self.slots.get(self.phf.slot(hash) as usize)?);
        if slot.tag == tag(hash) && self.is_at(slot.index, root, rel) {
            return Some(slot.index);
        }
        if self.unslotted {
            return self.walk(root, rel);
        }
        None
    }

    /// Whether the path of entry `index` is exactly `rel` below root `root`.
    ///
    /// Each round takes a name and a slash off the end of `rel`, so it returns.
    #[inline]
    fn is_at(&self, index: u32, root: u32, rel: &[u8]) -> bool {
        let mut rest = rel;
        let mut at = index;
        while !rest.is_empty() {
            let Some(node) = self.node(at) else {
                return false;
            };
            let Some(before) = self.without_name(rest, &node) else {
                return false;
            };
            at = node.parent;
            match before {
                [] => break,
                [above @ .., b'/'] if !above.is_empty() => rest = above,
                _ => return false,
            }
        }
        at == root && root < self.root_count
    }

    /// `path` without the node's name at its end.
    #[inline(always)]
    fn without_name<'p>(&self, path: &'p [u8], node: &Node) -> Option<&'p [u8]> {
        let name = self.name_of(node)?;
        let (before, end) = path.split_at_checked(path.len().checked_sub(name.len())?)?;
        same(end, name).then_some(before)
    }

    /// The child of directory `dir` that is called `name`.
    #[must_use]
    pub fn child(&self, dir: u32, name: &[u8]) -> Option<u32> {
        let mut range = self.children(dir);
        while !range.is_empty() {
            let middle = range.start + (range.end - range.start) / 2;
            match self.name(middle)?.cmp(name) {
                core::cmp::Ordering::Less => range.start = middle + 1,
                core::cmp::Ordering::Greater => range.end = middle,
                core::cmp::Ordering::Equal => {
                    return (self.parent(middle) == Some(dir)).then_some(middle);
                }
            }
        }
        None
    }

    /// The slow way, name by name from the root: for manifests some of whose paths
    /// have the same hash.
    #[cold]
    fn walk(&self, root: u32, rel: &[u8]) -> Option<u32> {
        let mut at = self.root(root)?.index;
        if !rel.is_empty() {
            for name in rel.split(|byte| *byte == b'/') {
                at = self.child(at, name)?;
            }
        }
        Some(at)
    }
}

/// Whether two strings of one length are equal. Names are short, and a call of the C
/// library's `memcmp` for each costs more than the comparison.
#[inline(always)]
fn same(a: &[u8], b: &[u8]) -> bool {
    if let (Some((a_first, a_last)), Some((b_first, b_last))) = (ends::<8>(a), ends::<8>(b)) {
        let first = u64::from_le_bytes(*a_first) ^ u64::from_le_bytes(*b_first);
        let last = u64::from_le_bytes(*a_last) ^ u64::from_le_bytes(*b_last);
        return first | last == 0 && (a.len() <= 16 || a == b);
    }
    if let (Some((a_first, a_last)), Some((b_first, b_last))) = (ends::<4>(a), ends::<4>(b)) {
        let first = u32::from_le_bytes(*a_first) ^ u32::from_le_bytes(*b_first);
        let last = u32::from_le_bytes(*a_last) ^ u32::from_le_bytes(*b_last);
        return first | last == 0;
    }
    a.iter().zip(b).all(|(a, b)| a == b)
}

/// The first and the last `N` bytes, which may overlap.
#[inline(always)]
fn ends<const N: usize>(bytes: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
    Some((bytes.first_chunk()?, bytes.last_chunk()?))
}
