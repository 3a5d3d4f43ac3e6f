//! What the tree holds in terms of package managers: each package's name, version and
//! tree hash, for the manifest's PACKAGES section.
//!
//! The **tree hash** names what a package ships, wherever and by whomever it was
//! installed: BLAKE3 over its entries in the order of their paths, each as
//!
//! ```text
//! <path relative to the package's base> NUL <kind: f file, x executable, l symlink> <content hash, 32 bytes>
//! ```
//!
//! The base is the directory that holds the package's metadata directory (Python: site-packages)
//! or the package's own directory (Node). Left out is what differs from installation to
//! installation: directories, times, owners, bytecode caches, and the files an
//! installer adds for itself.
//!
//! Adapters read a few metadata files, by their hash from the store, and never fail a
//! build: what they cannot make sense of is not a package.

mod node;
mod python;

use std::sync::atomic::{AtomicUsize, Ordering};

use velo_core::id::ContentHash;
use velo_store::Store;

use crate::crew;
use crate::tree::{Content, Directory, Entry, ROOT, Tree};

/// A package that the tree holds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Package {
    /// Name, as its ecosystem spells it.
    pub name: String,
    /// Version, as its ecosystem spells it; empty if it has none.
    pub version: String,
    /// BLAKE3 of the canonical listing of its entries.
    pub tree: [u8; 32],
}

/// Largest metadata file that is read.
const METADATA_BYTES_MAX: u64 = 16 << 20;

/// Where a package seems to be.
enum Candidate<'a> {
    /// A directory in a `node_modules`, and its name there.
    Node { id: u32, name: Vec<u8> },
    /// A metadata entry in directory `site`.
    Python { site: u32, entry: &'a Entry },
}

/// All packages of `tree`, sorted, each once. `root_name` is the last component of the
/// mount point.
pub(crate) fn find(tree: &Tree, root_name: &[u8], store: &Store, threads: usize) -> Vec<Package> {
    let shop = Shop { tree, store };
    let mut candidates = Vec::new();
    for (directory, id) in tree.directories.iter().zip(0..) {
        let name = if id == ROOT {
            root_name
        } else {
            &directory.name
        };
        if name == b"node_modules" {
            node::find(&shop, directory, &mut candidates);
        }
        python::find(id, directory, &mut candidates);
    }
    let next = AtomicUsize::new(0);
    let found = crew::run(threads.min(candidates.len()), || {
        let mut packages = Vec::new();
        while let Some(candidate) = candidates.get(next.fetch_add(1, Ordering::Relaxed)) {
            packages.extend(match candidate {
                Candidate::Node { id, name } => node::package(&shop, *id, name),
                Candidate::Python { site, entry } => python::package(&shop, *site, entry),
            });
        }
        packages
    });
    let mut packages: Vec<Package> = found.into_iter().flatten().collect();
    packages.sort();
    // Copies that differ, say because one was patched: the list has room for one.
    packages.dedup_by(|next, kept| (&next.name, &next.version) == (&kept.name, &kept.version));
    packages
}

/// The tree and where its content is.
struct Shop<'a> {
    tree: &'a Tree,
    store: &'a Store,
}

impl Shop<'_> {
    /// Content of the file called `name`, if it is there and of a sensible size.
    fn read(&self, directory: &Directory, name: &[u8]) -> Option<Vec<u8>> {
        let entry = directory.find(name)?;
        let Content::File { hash, .. } = entry.content else {
            return None;
        };
        if entry.stat.size > METADATA_BYTES_MAX {
            return None;
        }
        self.store
            .read_verified(&ContentHash::from_bytes(hash))
            .ok()
    }

    /// The subdirectory called `name`.
    fn subdirectory(&self, directory: &Directory, name: &[u8]) -> Option<(u32, &Directory)> {
        match directory.find(name)?.content {
            Content::Directory(id) => Some((id, self.tree.directory(id)?)),
            _ => None,
        }
    }
}

/// The entries of one package, for its tree hash.
#[derive(Default)]
struct Shipment {
    paths: Vec<u8>,
    entries: Vec<Shipped>,
}

/// One entry: its path in the shipment's `paths`, its kind and its content.
#[derive(Clone, Copy)]
struct Shipped {
    path: usize,
    path_bytes: usize,
    kind: u8,
    hash: [u8; 32],
}

impl Shipped {
    fn path<'a>(&self, paths: &'a [u8]) -> &'a [u8] {
        paths
            .get(self.path..self.path + self.path_bytes)
            .unwrap_or_default()
    }
}

impl Shipment {
    /// Adds one file or symbolic link as `path`.
    fn add(&mut self, path: &[u8], directory: &Directory, entry: &Entry) {
        let (kind, hash) = match entry.content {
            Content::File { hash, .. } if entry.stat.mode & 0o111 != 0 => (b'x', hash),
            Content::File { hash, .. } => (b'f', hash),
            Content::Symlink { offset, bytes } => (
                b'l',
                *blake3::hash(directory.target(offset, bytes)).as_bytes(),
            ),
            Content::Directory(_) | Content::Unread => return,
        };
        let at = self.paths.len();
        self.paths.extend_from_slice(path);
        self.entries.push(Shipped {
            path: at,
            path_bytes: path.len(),
            kind,
            hash,
        });
    }

    /// Adds everything below directory `id`, paths starting with `prefix`, except the
    /// directories called `without`.
    fn add_below(&mut self, tree: &Tree, id: u32, prefix: &[u8], without: &[u8]) {
        let mut waiting = vec![(id, prefix.to_vec())];
        let mut path = Vec::new();
        while let Some((id, prefix)) = waiting.pop() {
            let Some(directory) = tree.directory(id) else {
                continue;
            };
            for entry in &directory.entries {
                let name = directory.name_of(entry);
                path.clear();
                path.extend_from_slice(&prefix);
                if !prefix.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(name);
                match entry.content {
                    Content::Directory(_) if name == without => {}
                    Content::Directory(id) => waiting.push((id, path.clone())),
                    _ => self.add(&path, directory, entry),
                }
            }
        }
    }

    /// Leaves out the entries whose path is not `wanted`.
    fn retain(&mut self, wanted: impl Fn(&[u8]) -> bool) {
        let paths = &self.paths;
        self.entries.retain(|entry| wanted(entry.path(paths)));
    }

    fn tree_hash(mut self) -> [u8; 32] {
        let paths = &self.paths;
        self.entries
            .sort_unstable_by(|a, b| a.path(paths).cmp(b.path(paths)));
        // A RECORD may list a file twice.
        self.entries.dedup_by(|a, b| a.path(paths) == b.path(paths));
        let mut listing = Vec::with_capacity(paths.len() + self.entries.len() * 34);
        for entry in &self.entries {
            listing.extend_from_slice(entry.path(paths));
            listing.extend_from_slice(&[0, entry.kind]);
            listing.extend_from_slice(&entry.hash);
        }
        *blake3::hash(&listing).as_bytes()
    }
}
