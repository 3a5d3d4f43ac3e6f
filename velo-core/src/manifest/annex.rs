//! What a manifest holds besides the tree itself: extended attributes, packages,
//! provenance. Read as iterators; what is malformed ends them early.

use super::Manifest;
use super::access::part;
use super::layout::{PACKAGE_BYTES, XATTR_BYTES, words};
use crate::vnode::flag;

impl<'a> Manifest<'a> {
    /// The extended attributes of an entry, sorted by name.
    #[must_use]
    pub fn xattrs(&self, index: u32) -> Xattrs<'a> {
        let marked = self.vnode(index).filter(|vnode| vnode.has(flag::XATTR));
        let list = marked.and_then(|_| self.xattr_list(index));
        list.unwrap_or(Xattrs {
            left: 0,
            bytes: &[],
        })
    }

    /// The value of one extended attribute.
    #[must_use]
    pub fn xattr(&self, index: u32, name: &[u8]) -> Option<&'a [u8]> {
        let mut all = self.xattrs(index);
        all.find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }

    fn xattr_list(&self, index: u32) -> Option<Xattrs<'a>> {
        let (table, lists) = self.xattr_parts()?;
        let [_, offset] = words(Self::record(table, index)?);
        Xattrs::at(lists, offset)
    }

    /// The table of entries and the lists that it points into.
    pub(super) fn xattr_parts(&self) -> Option<(&'a [[u8; XATTR_BYTES]], &'a [u8])> {
        let (count, rest) = self.xattrs.split_first_chunk::<8>()?;
        let [count, _] = words(count);
        let (table, lists) = rest.split_at_checked((count as usize).checked_mul(XATTR_BYTES)?)?;
        Some((table.as_chunks().0, lists))
    }

    /// The packages that the tree was made of, sorted by name and version.
    #[must_use]
    pub fn packages(&self) -> Packages<'a> {
        let count = self.packages.first_chunk::<8>();
        let [count, _] = count.map_or([0; 2], |bytes| words(bytes));
        Packages {
            section: self.packages,
            next: 0,
            count,
        }
    }

    /// How the manifest came to be: keys and values, sorted by key.
    #[must_use]
    pub const fn provenance(&self) -> Provenance<'a> {
        Provenance {
            rest: self.provenance,
        }
    }
}

/// Name and value of extended attributes, see [`Manifest::xattrs`].
#[derive(Clone, Debug)]
pub struct Xattrs<'a> {
    left: u32,
    bytes: &'a [u8],
}

impl<'a> Xattrs<'a> {
    /// The list at `offset` of `lists`.
    pub(super) fn at(lists: &'a [u8], offset: u32) -> Option<Self> {
        let list = lists.get(offset as usize..)?;
        let (count, bytes) = list.split_first_chunk::<4>()?;
        Some(Self {
            left: u32::from_le_bytes(*count),
            bytes,
        })
    }

    /// Attributes that the list says are still to come.
    pub(super) const fn left(&self) -> u32 {
        self.left
    }
}

impl<'a> Iterator for Xattrs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let left = self.left.checked_sub(1)?;
        let (lengths, rest) = self.bytes.split_first_chunk::<8>()?;
        let [name, value] = words(lengths);
        let (name, rest) = rest.split_at_checked(name as usize)?;
        let (value, rest) = rest.split_at_checked(value as usize)?;
        *self = Self { left, bytes: rest };
        Some((name, value))
    }
}

/// A package that the tree was made of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Package<'a> {
    /// Its name, as its ecosystem writes it.
    pub name: &'a [u8],
    /// Its version.
    pub version: &'a [u8],
    /// The hash of its tree; zeros if it was never a tree of its own.
    pub tree: [u8; 32],
}

/// See [`Manifest::packages`].
#[derive(Clone, Debug)]
pub struct Packages<'a> {
    section: &'a [u8],
    next: u32,
    count: u32,
}

impl Packages<'_> {
    /// Number of packages that the section says it has.
    pub(super) const fn listed(&self) -> u32 {
        self.count
    }
}

impl<'a> Iterator for Packages<'a> {
    type Item = Package<'a>;

    fn next(&mut self) -> Option<Package<'a>> {
        if self.next >= self.count {
            return None;
        }
        let start = (self.next as usize)
            .checked_mul(PACKAGE_BYTES)?
            .checked_add(8)?;
        let record: &[u8; PACKAGE_BYTES] = self.section.get(start..)?.first_chunk()?;
        let [name, name_bytes, version, version_bytes] = words(record);
        self.next += 1;
        Some(Package {
            name: part(self.section, name, name_bytes)?,
            version: part(self.section, version, version_bytes)?,
            tree: *record.last_chunk()?,
        })
    }
}

/// See [`Manifest::provenance`].
#[derive(Clone, Debug)]
pub struct Provenance<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Provenance<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(1..)?;
        let equals = line.iter().position(|byte| *byte == b'=')?;
        Some((line.get(..equals)?, line.get(equals + 1..)?))
    }
}

impl Provenance<'_> {
    /// Bytes that have not been read.
    pub(super) const fn rest(&self) -> usize {
        self.rest.len()
    }
}
