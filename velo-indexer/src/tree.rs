//! The scanned tree in memory: directories by id, each with its entries sorted by name.
//!
//! Flat on purpose: no path is stored, nothing is linked by pointers, and nothing here
//! recurses, so depth costs nothing. Id 0 is the source itself.

use std::ffi::CStr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::stat::{Extra, Stat};

/// The source itself.
pub(crate) const ROOT: u32 = 0;

/// What is known of a file's content, besides its hash.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Facts(pub(crate) u8);

impl Facts {
    /// ELF magic.
    pub(crate) const ELF: u8 = 1;
    /// Has holes.
    pub(crate) const SPARSE: u8 = 2;
    /// Has extended attributes that a manifest records.
    pub(crate) const XATTRS: u8 = 4;

    pub(crate) fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    pub(crate) fn set(&mut self, bit: u8, on: bool) {
        self.0 = if on { self.0 | bit } else { self.0 & !bit };
    }
}

/// What an entry is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content {
    /// A directory, by id.
    Directory(u32),
    /// A symbolic link; its target stands in the directory's `names`.
    Symlink { offset: u32, bytes: u32 },
    /// A regular file that is not known yet.
    Unread,
    /// A regular file of this content.
    File { hash: [u8; 32], facts: Facts },
}

/// One name in a directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Of a directory: zeros; its own record has it.
    pub(crate) stat: Stat,
    pub(crate) content: Content,
    name: u32,
    name_bytes: u8,
}

impl Entry {
    pub(crate) fn new(name: u32, name_bytes: u8, stat: Stat, content: Content) -> Self {
        Self {
            stat,
            content,
            name,
            name_bytes,
        }
    }

    /// The entry's name in `names`, its directory's.
    pub(crate) fn name<'a>(&self, names: &'a [u8]) -> &'a [u8] {
        let start = self.name as usize;
        names
            .get(start..start + usize::from(self.name_bytes))
            .unwrap_or_default()
    }

    /// Same, for a system call.
    pub(crate) fn c_name<'a>(&self, names: &'a [u8]) -> &'a CStr {
        let start = self.name as usize;
        let bytes = names
            .get(start..=start + usize::from(self.name_bytes))
            .unwrap_or_default();
        CStr::from_bytes_with_nul(bytes).unwrap_or_default()
    }
}

/// One directory.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    /// Id of the directory that this one is in; of the root: itself.
    pub(crate) parent: u32,
    /// Name in the parent; of the root: empty.
    pub(crate) name: Box<[u8]>,
    pub(crate) stat: Stat,
    pub(crate) extra: Extra,
    pub(crate) facts: Facts,
    /// Names of the entries, each closed by a NUL.
    pub(crate) names: Arc<Vec<u8>>,
    /// Targets of the symbolic links.
    pub(crate) targets: Vec<u8>,
    /// Sorted by name.
    pub(crate) entries: Vec<Entry>,
    /// Of an exact scan: one for each entry. Else empty.
    pub(crate) extras: Vec<Extra>,
}

impl Directory {
    pub(crate) fn name_of(&self, entry: &Entry) -> &[u8] {
        entry.name(&self.names)
    }

    /// The target of a symbolic link in this directory.
    pub(crate) fn target(&self, offset: u32, bytes: u32) -> &[u8] {
        let start = offset as usize;
        self.targets
            .get(start..start + bytes as usize)
            .unwrap_or_default()
    }

    /// The entry called `name`.
    pub(crate) fn find(&self, name: &[u8]) -> Option<&Entry> {
        let position = self
            .entries
            .binary_search_by(|entry| self.name_of(entry).cmp(name))
            .ok()?;
        self.entries.get(position)
    }
}

/// The whole tree.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) directories: Vec<Directory>,
}

impl Tree {
    pub(crate) fn directory(&self, id: u32) -> Option<&Directory> {
        self.directories.get(id as usize)
    }

    /// Path of a directory below the source; of the source: empty.
    pub(crate) fn path(&self, id: u32) -> Vec<u8> {
        let step = |id: u32| {
            self.directory(id)
                .map_or((ROOT, [].as_slice()), |found| (found.parent, &found.name))
        };
        join(id, step)
    }
}

/// Joins the names from the source down to directory `id`, given each one's parent
/// and name.
pub(crate) fn join<'a>(mut id: u32, step: impl Fn(u32) -> (u32, &'a [u8])) -> Vec<u8> {
    let mut names = Vec::new();
    while id != ROOT {
        let (parent, name) = step(id);
        names.push(name);
        id = parent;
    }
    names.reverse();
    names.join(&b'/')
}

/// `below` the source at `source`, for messages.
pub(crate) fn full_path(source: &std::path::Path, below: &[u8], name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    let mut path = source.to_path_buf();
    for part in [below, name] {
        if !part.is_empty() {
            path.push(std::ffi::OsStr::from_bytes(part));
        }
    }
    path
}
