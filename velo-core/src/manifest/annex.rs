//! What a manifest holds besides the tree itself: extended attributes, packages,
//! provenance. Read as iterators; what is malformed ends them early.

use super::Manifest;
use super::access::part;
use super::layout::{PACKAGE_BYTES, XATTR_BYTES, word_at, words};
use crate::vnode::flag;

impl<'a> Manifest<'a> {
    /// The extended attributes of an entry, sorted by name.
    #[must_use]
    pub fn xattrs(&self, index: u32) -> Xattrs<'a> {
        let marked = self.vnode(index).filter(|vnode| vnode.has(flag::XATTR));
        let number = marked.and_then(|_| self.xattr_list_of(index));
        let list = number.and_then(|number| self.xattr_parts()?.list(number));
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

    /// Number of the list of attributes that an entry has.
    pub(super) fn xattr_list_of(&self, index: u32) -> Option<u32> {
        let record = Self::record(self.xattr_parts()?.table, index)?;
        Some(word_at(record, 4))
    }

    /// The arrays of section `XATTRS`.
    pub(super) fn xattr_parts(&self) -> Option<XattrParts<'a>> {
        let (counts, rest) = self.xattrs.split_first_chunk::<8>()?;
        let [entries, lists] = words(counts);
        let (table, rest) = rest.split_at_checked((entries as usize).checked_mul(XATTR_BYTES)?)?;
        let (starts, bytes) = rest.split_at_checked((lists as usize).checked_mul(4)?)?;
        Some(XattrParts {
            table: table.as_chunks().0,
            starts: starts.as_chunks().0,
            bytes,
        })
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

/// Section `XATTRS`, cut up.
pub(super) struct XattrParts<'a> {
    /// Each: entry, number of its list.
    pub table: &'a [[u8; XATTR_BYTES]],
    /// Where each list starts in `bytes`; it ends where the next one starts.
    pub starts: &'a [[u8; 4]],
    /// The lists.
    pub bytes: &'a [u8],
}

impl<'a> XattrParts<'a> {
    /// The list of this number.
    pub(super) fn list(&self, number: u32) -> Option<Xattrs<'a>> {
        let number = number as usize;
        let start = u32::from_le_bytes(*self.starts.get(number)?) as usize;
        let end = match self.starts.get(number.checked_add(1)?) {
            Some(next) => u32::from_le_bytes(*next) as usize,
            None => self.bytes.len(),
        };
        let list = self.bytes.get(start..end)?;
        let (count, bytes) = list.split_first_chunk::<4>()?;
        Some(Xattrs {
            left: u32::from_le_bytes(*count),
            bytes,
        })
    }
}

/// Name and value of extended attributes, see [`Manifest::xattrs`].
#[derive(Clone, Debug)]
pub struct Xattrs<'a> {
    left: u32,
    bytes: &'a [u8],
}

impl Xattrs<'_> {
    /// Attributes that the list says are still to come.
    pub(super) const fn left(&self) -> u32 {
        self.left
    }

    /// Bytes that have not been read.
    pub(super) const fn rest_bytes(&self) -> usize {
        self.bytes.len()
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
    pub(super) const fn rest_bytes(&self) -> usize {
        self.rest.len()
    }
}
