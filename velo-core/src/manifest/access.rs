//! Plain access by entry index: vnodes, names, parents, children, roots, paths.
//!
//! Every index and length comes from the caller or from the file, so each is checked
//! where it is used. Loops follow parents only while their indexes fall.

use super::Manifest;
use super::layout::{Node, PARENT_NONE, PATH_BYTES_MAX, ROOT_BYTES, word_at, words};
use crate::vnode::VnodeEntry;
use core::ops::Range;

/// One root of a manifest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Root<'a> {
    /// Where the tree was made to be seen: absolute, lexically normal.
    pub mount: &'a [u8],
    /// Entry of the root directory.
    pub index: u32,
}

impl<'a> Manifest<'a> {
    /// Number of entries, roots included.
    #[must_use]
    #[inline]
    pub const fn entry_count(&self) -> u32 {
        // `open` has seen to it that it fits.
        self.nodes.len() as u32
    }

    /// Number of roots.
    #[must_use]
    #[inline]
    pub const fn root_count(&self) -> u32 {
        self.root_count
    }

    /// Root number `number`; they are sorted by mount.
    #[must_use]
    pub fn root(&self, number: u32) -> Option<Root<'a>> {
        if number >= self.root_count {
            return None;
        }
        let start = (number as usize).checked_mul(ROOT_BYTES)?;
        let [offset, bytes] = words(self.roots.get(start..)?);
        Some(Root {
            mount: part(self.roots, offset, bytes)?,
            index: number,
        })
    }

    /// The vnode of an entry.
    #[must_use]
    #[inline]
    pub fn vnode(&self, index: u32) -> Option<VnodeEntry> {
        self.vnodes.get(index as usize).map(VnodeEntry::from_bytes)
    }

    #[inline]
    pub(super) fn node(&self, index: u32) -> Option<Node> {
        self.nodes.get(index as usize).map(Node::from_bytes)
    }

    #[inline]
    pub(super) fn name_of(&self, node: &Node) -> Option<&'a [u8]> {
        part(self.names, node.name_offset, node.name_bytes.into())
    }

    /// The name of an entry in its directory; empty for a root.
    #[must_use]
    #[inline]
    pub fn name(&self, index: u32) -> Option<&'a [u8]> {
        self.name_of(&self.node(index)?)
    }

    /// The directory that holds an entry; `None` for a root.
    #[must_use]
    #[inline]
    pub fn parent(&self, index: u32) -> Option<u32> {
        let parent = self.node(index)?.parent;
        // Parents come first; anything else could be a loop.
        (parent < index).then_some(parent)
    }

    /// The children of a directory, sorted by name; nothing if it is no directory.
    ///
    /// In a manifest that never passed `verify`, ranges of several directories may
    /// overlap; [`Manifest::parent`] says whose child an entry is.
    #[must_use]
    #[inline]
    pub fn children(&self, index: u32) -> Range<u32> {
        const NONE: Range<u32> = 0..0;
        let (Some(vnode), Some(node)) = (self.vnode(index), self.node(index)) else {
            return NONE;
        };
        let end = node.first.saturating_add(node.count);
        if vnode.is_dir() && node.first > index && end <= self.entry_count() {
            node.first..end
        } else {
            NONE
        }
    }

    /// Where a symlink points; `None` if the entry is none.
    #[must_use]
    #[inline]
    pub fn symlink_target(&self, index: u32) -> Option<&'a [u8]> {
        if !self.vnode(index)?.is_symlink() {
            return None;
        }
        let node = self.node(index)?;
        part(self.targets, node.first, node.count)
    }

    /// The number of the root that an entry belongs to; also the root's own entry.
    #[must_use]
    pub fn root_of(&self, index: u32) -> Option<u32> {
        let mut at = index;
        // No valid path has more names, so a forged chain of parents ends here.
        for _ in 0..=PATH_BYTES_MAX / 2 + 1 {
            let parent = self.node(at)?.parent;
            if parent == PARENT_NONE {
                return (at < self.root_count).then_some(at);
            }
            if parent >= at {
                return None;
            }
            at = parent;
        }
        None
    }

    /// Writes the path of an entry relative to its root, without leading slash, to the
    /// start of `out` and returns its length in bytes: 0 for a root.
    ///
    /// `None` if there is no such entry or `out` is too short;
    /// [`PATH_BYTES_MAX`](super::PATH_BYTES_MAX) is enough for any.
    pub fn rel_path(&self, index: u32, out: &mut [u8]) -> Option<usize> {
        // Written from the end of `out`, because the last name comes first, then moved.
        let mut start = out.len();
        let mut at = index;
        loop {
            let node = self.node(at)?;
            if node.parent == PARENT_NONE {
                break;
            }
            if node.parent >= at {
                return None;
            }
            if at != index {
                start = start.checked_sub(1)?;
                *out.get_mut(start)? = b'/';
            }
            let name = self.name_of(&node)?;
            let end = start;
            start = end.checked_sub(name.len())?;
            out.get_mut(start..end)?.copy_from_slice(name);
            at = node.parent;
        }
        let length = out.len() - start;
        out.copy_within(start.., 0);
        Some(length)
    }

    /// The record of `entry` in a table sorted by the entry that each starts with.
    pub(super) fn record<const N: usize>(table: &[[u8; N]], entry: u32) -> Option<&[u8; N]> {
        let key = |record: &[u8; N]| word_at(record, 0);
        let position = table.partition_point(|record| key(record) < entry);
        table.get(position).filter(|record| key(record) == entry)
    }
}

/// `length` bytes of `bytes` from `offset`, if that many are there.
#[inline]
pub(super) fn part(bytes: &[u8], offset: u32, length: u32) -> Option<&[u8]> {
    let start = offset as usize;
    bytes.get(start..start.checked_add(length as usize)?)
}
