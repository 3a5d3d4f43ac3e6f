//! From the scanned tree to the manifest's bytes.
//!
//! Entries are added in an order that depends on the tree alone, so the writer, which
//! promises the same, is never the only one to be right.

use std::collections::{HashMap, VecDeque};

use velo_core::manifest::Package as PackageRecord;
use velo_core::manifest::SourceStat;
use velo_core::manifest::write::{
    Content as FileContent, EntryId, ManifestBuilder, Meta, WriteError,
};

use crate::adapters::Package;
use crate::attributes::Attributes;
use crate::stat::{Extra, Stat};
use crate::tree::{Content, Directory, Entry, Facts, ROOT, Tree};

/// Permission bits of a mode.
const PERMISSIONS: u32 = 0o7777;

/// Everything that a manifest is made of. Consumed, so that the parts are gone when the
/// bytes are made.
pub(crate) struct Parts<'a> {
    pub(crate) mount: &'a [u8],
    pub(crate) tree: &'a Tree,
    pub(crate) entries: u64,
    pub(crate) attributes: Attributes,
    pub(crate) packages: Vec<Package>,
    pub(crate) provenance: Vec<(String, String)>,
    pub(crate) exact: bool,
}

/// The manifest's bytes.
pub(crate) fn manifest(parts: Parts) -> Result<Vec<u8>, WriteError> {
    let Parts {
        mount,
        tree,
        entries,
        attributes,
        packages,
        provenance,
        exact,
    } = parts;
    let mut assembly = Assembly {
        builder: ManifestBuilder::new(),
        links: HashMap::new(),
        attributes,
        exact,
    };
    assembly
        .builder
        .reserve(usize::try_from(entries).unwrap_or_default());
    assembly.add_all(mount, tree)?;
    let mut builder = assembly.builder;
    for package in &packages {
        builder.add_package(PackageRecord {
            name: package.name.as_bytes(),
            version: package.version.as_bytes(),
            tree: package.tree,
        });
    }
    let version = concat!("velo-indexer ", env!("CARGO_PKG_VERSION"));
    builder.add_provenance(b"builder", version.as_bytes())?;
    for (key, value) in &provenance {
        builder.add_provenance(key.as_bytes(), value.as_bytes())?;
    }
    builder.build()
}

struct Assembly {
    builder: ManifestBuilder,
    /// Files with several names, by inode.
    links: HashMap<(u64, u64), EntryId>,
    attributes: Attributes,
    exact: bool,
}

impl Assembly {
    fn add_all(&mut self, mount: &[u8], tree: &Tree) -> Result<(), WriteError> {
        let Some(root) = tree.directory(ROOT) else {
            return Err(WriteError::NoRoot);
        };
        let id = self.builder.add_root(mount, meta(&root.stat))?;
        self.annotate(id, &root.stat, Some(&root.extra), (ROOT, b""))?;
        let mut waiting = VecDeque::from([(ROOT, id)]);
        while let Some((number, parent)) = waiting.pop_front() {
            let Some(directory) = tree.directory(number) else {
                continue;
            };
            for (entry, position) in directory.entries.iter().zip(0..) {
                let name = directory.name_of(entry);
                if let Content::Directory(below) = entry.content {
                    let Some(child) = tree.directory(below) else {
                        continue;
                    };
                    let id = self.builder.add_dir(parent, name, meta(&child.stat))?;
                    self.annotate(id, &child.stat, Some(&child.extra), (below, b""))?;
                    waiting.push_back((below, id));
                } else {
                    let id = self.add_leaf(parent, directory, entry)?;
                    let extra = directory.extras.get(position);
                    self.annotate(id, &entry.stat, extra, (number, name))?;
                }
            }
        }
        Ok(())
    }

    fn add_leaf(
        &mut self,
        parent: EntryId,
        directory: &Directory,
        entry: &Entry,
    ) -> Result<EntryId, WriteError> {
        let (name, stat) = (directory.name_of(entry), &entry.stat);
        let inode = (stat.dev, stat.ino);
        if stat.nlink > 1
            && let Some(first) = self.links.get(&inode)
        {
            return self.builder.add_hard_link(parent, name, *first);
        }
        let id = match entry.content {
            Content::Symlink { offset, bytes } => {
                let target = directory.target(offset, bytes);
                self.builder.add_symlink(parent, name, meta(stat), target)?
            }
            Content::File { hash, facts } => {
                let content = FileContent {
                    hash,
                    in_view: facts.has(Facts::ELF),
                    blocks: facts.has(Facts::SPARSE).then_some(stat.blocks),
                };
                self.builder.add_file(parent, name, meta(stat), content)?
            }
            // An attempt that leaves something unread has troubles and writes nothing.
            Content::Directory(_) | Content::Unread => return Err(WriteError::UnknownEntry),
        };
        if stat.nlink > 1 {
            self.links.insert(inode, id);
        }
        Ok(id)
    }

    /// Adds what only some manifests or entries have.
    fn annotate(
        &mut self,
        id: EntryId,
        stat: &Stat,
        extra: Option<&Extra>,
        (directory, name): (u32, &[u8]),
    ) -> Result<(), WriteError> {
        if self.exact
            && let Some(extra) = extra
        {
            let source = SourceStat {
                ino: stat.ino,
                blocks: stat.blocks,
                atime: extra.atime,
                ctime: stat.ctime,
                btime: extra.btime,
                nlink: stat.nlink,
                blksize: extra.blksize,
            };
            self.builder.set_source_stat(id, source)?;
        }
        if !self.attributes.is_empty()
            && let Some(attributes) = self.attributes.remove(&(directory, name.to_vec()))
        {
            self.builder.set_xattrs(id, attributes)?;
        }
        Ok(())
    }
}

fn meta(stat: &Stat) -> Meta {
    Meta {
        mode: stat.mode & PERMISSIONS,
        uid: stat.uid,
        gid: stat.gid,
        mtime: stat.mtime,
        size: stat.size,
    }
}
