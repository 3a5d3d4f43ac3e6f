//! Writing a manifest: collect a tree in any order, then build the file in one go.
//!
//! Deterministic: the bytes depend on the tree alone, neither on the order in which it
//! was added nor on the number of threads. Roots are numbered in the order of their
//! mounts. What the format cannot hold is refused with [`WriteError`], as early as it
//! is known; nothing is dropped in silence.
//!
//! `arrange` numbers the entries, `index` hashes their paths, `encode` and `modules`
//! make the sections and `file` puts them together.

mod arrange;
mod encode;
mod error;
mod file;
mod index;
mod modules;
mod pool;
mod side;

pub use error::{Text, WriteError};

use super::layout::{ENTRIES_MAX, SourceStat};
use super::rules::{mount_is_normal, name_is_valid, target_is_valid};
use super::{Package, Time};

/// An entry of one [`ManifestBuilder`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryId(u32);

/// Metadata that every entry has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Meta {
    /// Permission bits (`0o7777`); file type bits are ignored.
    pub mode: u32,
    /// User id of the owner.
    pub uid: u32,
    /// Group id of the owner.
    pub gid: u32,
    /// Time of the last modification.
    pub mtime: Time,
    /// Size in bytes; of a directory what its source reported, of a symlink ignored.
    pub size: u64,
}

/// Content of a regular file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    /// BLAKE3 of the bytes.
    pub hash: [u8; 32],
    /// The kernel has to open it by path: an ELF object. What has any execute bit is
    /// taken for one anyway.
    pub in_view: bool,
    /// Blocks of 512 bytes that the source takes, if they are to be reported instead
    /// of those that the size needs (sparse files).
    pub blocks: Option<u64>,
}

/// A tree on its way into a manifest.
#[derive(Default)]
pub struct ManifestBuilder {
    items: Vec<Item>,
    /// Bytes of all names, in the order of `items`.
    names: Vec<u8>,
    targets: Vec<u8>,
    roots: Vec<(Vec<u8>, u32)>,
    /// By item, in the order of the calls: the last one counts.
    xattrs: Vec<(u32, Attributes)>,
    /// By item; empty unless any was set.
    source_stats: Vec<Option<SourceStat>>,
    packages: Vec<OwnedPackage>,
    provenance: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Names and values of extended attributes, sorted.
type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// One entry as it was added.
#[derive(Clone, Copy)]
struct Item {
    meta: Meta,
    kind: Kind,
    /// Of a root: [`PARENT_NONE`](super::layout::PARENT_NONE).
    parent: u32,
    name: usize,
    name_bytes: u8,
}

#[derive(Clone, Copy)]
enum Kind {
    Directory,
    File(Content),
    Symlink {
        offset: usize,
        bytes: u32,
    },
    /// Another name of the file or symlink that item `to` is.
    Link {
        to: u32,
    },
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct OwnedPackage {
    name: Vec<u8>,
    version: Vec<u8>,
    tree: [u8; 32],
}

impl ManifestBuilder {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes room for so many more entries.
    pub fn reserve(&mut self, entries: usize) {
        self.items.reserve(entries);
    }

    /// Number of entries so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no entry yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds a root directory that is to be seen at `mount`.
    ///
    /// # Errors
    /// The mount is not absolute and lexically normal.
    pub fn add_root(&mut self, mount: &[u8], meta: Meta) -> Result<EntryId, WriteError> {
        if !mount_is_normal(mount) {
            return Err(WriteError::Mount {
                found: mount.into(),
            });
        }
        let id = self.push(super::layout::PARENT_NONE, b"", meta, Kind::Directory)?;
        self.roots.push((mount.to_vec(), id.0));
        Ok(id)
    }

    /// Adds a directory to directory `parent`.
    ///
    /// # Errors
    /// The name is not valid, or `parent` is no directory.
    pub fn add_dir(
        &mut self,
        parent: EntryId,
        name: &[u8],
        meta: Meta,
    ) -> Result<EntryId, WriteError> {
        self.add(parent, name, meta, Kind::Directory)
    }

    /// Adds a regular file to directory `parent`.
    ///
    /// # Errors
    /// As [`ManifestBuilder::add_dir`].
    pub fn add_file(
        &mut self,
        parent: EntryId,
        name: &[u8],
        meta: Meta,
        content: Content,
    ) -> Result<EntryId, WriteError> {
        self.add(parent, name, meta, Kind::File(content))
    }

    /// Adds a symbolic link to directory `parent`.
    ///
    /// # Errors
    /// As [`ManifestBuilder::add_dir`], or nothing can point to such a target.
    pub fn add_symlink(
        &mut self,
        parent: EntryId,
        name: &[u8],
        meta: Meta,
        target: &[u8],
    ) -> Result<EntryId, WriteError> {
        if !target_is_valid(target) {
            return Err(WriteError::Target {
                name: name.into(),
                found: target.into(),
            });
        }
        let kind = Kind::Symlink {
            offset: self.targets.len(),
            bytes: target.len() as u32,
        };
        let id = self.add(parent, name, meta, kind)?;
        self.targets.extend_from_slice(target);
        Ok(id)
    }

    /// Adds another name of the regular file or symlink `to`, which gives it all its
    /// metadata.
    ///
    /// # Errors
    /// As [`ManifestBuilder::add_dir`], or `to` is a directory.
    pub fn add_hard_link(
        &mut self,
        parent: EntryId,
        name: &[u8],
        to: EntryId,
    ) -> Result<EntryId, WriteError> {
        let found = self.items.get(to.0 as usize);
        let (to, meta) = match found.map(|item| (item.kind, item.meta)) {
            Some((Kind::File(_) | Kind::Symlink { .. }, meta)) => (to.0, meta),
            Some((Kind::Link { to }, meta)) => (to, meta),
            _ => return Err(WriteError::LinkTarget { name: name.into() }),
        };
        self.add(parent, name, meta, Kind::Link { to })
    }

    /// Records the extended attributes of an entry, in place of those recorded before.
    /// Those of a file are those of all its hard links.
    ///
    /// # Errors
    /// A name is not valid or stands there twice.
    pub fn set_xattrs(
        &mut self,
        entry: EntryId,
        mut attributes: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Result<(), WriteError> {
        let owner = match self.items.get(entry.0 as usize).map(|item| item.kind) {
            None => return Err(WriteError::UnknownEntry),
            Some(Kind::Link { to }) => to,
            Some(_) => entry.0,
        };
        attributes.sort_unstable();
        let invalid = |name: &[u8]| name.is_empty() || name.len() > 255 || name.contains(&0);
        let twice = attributes.windows(2).find(|pair| pair[0].0 == pair[1].0);
        let wrong = twice.map(|pair| &pair[0]);
        let wrong = wrong.or_else(|| attributes.iter().find(|(name, _)| invalid(name)));
        if let Some((name, _)) = wrong {
            return Err(WriteError::Xattr {
                found: name.as_slice().into(),
            });
        }
        self.xattrs.push((owner, attributes));
        Ok(())
    }

    /// Records what stat(2) said of an entry's source. Once one entry has it, all need
    /// it (the manifest is *exact*); a hard link takes that of its file.
    ///
    /// # Errors
    /// A time has too many nanoseconds, or the entry is another builder's.
    pub fn set_source_stat(&mut self, entry: EntryId, stat: SourceStat) -> Result<(), WriteError> {
        for time in [Some(stat.atime), Some(stat.ctime), stat.btime] {
            check_time(time.unwrap_or_default())?;
        }
        let position = entry.0 as usize;
        if position >= self.items.len() {
            return Err(WriteError::UnknownEntry);
        }
        if position >= self.source_stats.len() {
            self.source_stats.resize(self.items.len(), None);
        }
        self.source_stats[position] = Some(stat);
        Ok(())
    }

    /// Adds a package that the tree was made of.
    pub fn add_package(&mut self, package: Package<'_>) {
        self.packages.push(OwnedPackage {
            name: package.name.to_vec(),
            version: package.version.to_vec(),
            tree: package.tree,
        });
    }

    /// Adds a line on how the manifest comes to be; nothing that varies from run to run.
    ///
    /// # Errors
    /// The key is empty or has a `=`, or key or value have a line end.
    pub fn add_provenance(&mut self, key: &[u8], value: &[u8]) -> Result<(), WriteError> {
        if key.is_empty() || key.contains(&b'=') || [key, value].concat().contains(&b'\n') {
            return Err(WriteError::Provenance { key: key.into() });
        }
        self.provenance.push((key.to_vec(), value.to_vec()));
        Ok(())
    }

    /// Builds the manifest: the bytes of the file.
    ///
    /// # Errors
    /// The tree has a name twice, or does not fit into the format.
    pub fn build(self) -> Result<Vec<u8>, WriteError> {
        file::build(self)
    }

    fn add(
        &mut self,
        parent: EntryId,
        name: &[u8],
        meta: Meta,
        kind: Kind,
    ) -> Result<EntryId, WriteError> {
        let directory = self.items.get(parent.0 as usize);
        if !directory.is_some_and(|item| matches!(item.kind, Kind::Directory)) {
            return Err(WriteError::Parent { name: name.into() });
        }
        if !name_is_valid(name) {
            return Err(WriteError::Name {
                directory: self.path(parent.0),
                found: name.into(),
            });
        }
        self.push(parent.0, name, meta, kind)
    }

    fn push(
        &mut self,
        parent: u32,
        name: &[u8],
        meta: Meta,
        kind: Kind,
    ) -> Result<EntryId, WriteError> {
        check_time(meta.mtime)?;
        let id = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        if id >= ENTRIES_MAX {
            return Err(WriteError::TooManyEntries);
        }
        self.items.push(Item {
            meta,
            kind,
            parent,
            name: self.names.len(),
            name_bytes: name.len() as u8,
        });
        self.names.extend_from_slice(name);
        Ok(EntryId(id))
    }

    fn name(&self, item: &Item) -> &[u8] {
        &self.names[item.name..item.name + usize::from(item.name_bytes)]
    }

    /// The path of an item, mount included, for messages.
    fn path(&self, mut id: u32) -> Text {
        let mut names = Vec::new();
        while let Some(item) = self.items.get(id as usize) {
            if let Some((mount, _)) = self.roots.iter().find(|(_, root)| *root == id) {
                names.push(mount.strip_suffix(b"/").unwrap_or(mount));
            } else {
                names.push(self.name(item));
            }
            id = item.parent;
        }
        names.reverse();
        Text(names.join(&b'/'))
    }
}

fn check_time(time: Time) -> Result<(), WriteError> {
    match time.nsec {
        0..1_000_000_000 => Ok(()),
        found => Err(WriteError::Nanoseconds { found }),
    }
}
