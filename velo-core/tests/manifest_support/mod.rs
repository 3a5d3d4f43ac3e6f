//! Trees as plain lists of paths, and what a manifest made of one has to say.
//!
//! The model knows nothing of indexes, hashes and sections: it answers from a sorted
//! map of full paths, so a fault that writer and reader share is seen all the same.
#![allow(
    dead_code,
    reason = "each test crate that includes this module uses a part of it"
)]

pub mod bytes;
pub mod strategy;

use std::collections::BTreeMap;

use velo_core::manifest::write::{Content, EntryId, ManifestBuilder, Meta};
use velo_core::manifest::{Metadata, Package, SourceStat, Time};

/// Number of a root, and a path below it.
pub type Place = (usize, Vec<u8>);

/// What stands at a place.
#[derive(Clone, Debug)]
pub struct Thing {
    pub meta: Meta,
    pub kind: Kind,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub source: SourceStat,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Directory,
    File(Content),
    Symlink(Vec<u8>),
    /// The place of a file or symlink that is no link itself.
    Link(Place),
}

/// A tree: mounts in ascending order, and everything below them, roots included.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub mounts: Vec<Vec<u8>>,
    pub things: BTreeMap<Place, Thing>,
    pub exact: bool,
    pub packages: Vec<(Vec<u8>, Vec<u8>)>,
    pub provenance: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The path of the directory that a path stands in, and its name.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match directory {
        [] => name.to_vec(),
        _ => [directory, b"/", name].concat(),
    }
}

impl Model {
    /// Builds the manifest; `order` is any order of adding: what has to exist before
    /// something else is added with it.
    pub fn build(&self, order: impl Iterator<Item = Place>) -> Vec<u8> {
        let mut builder = ManifestBuilder::new();
        let mut ids = BTreeMap::new();
        for place in order {
            self.add(&place, &mut builder, &mut ids);
        }
        for (name, version) in &self.packages {
            builder.add_package(Package {
                name,
                version,
                tree: [3; 32],
            });
        }
        for (key, value) in &self.provenance {
            builder.add_provenance(key, value).unwrap();
        }
        builder.build().unwrap()
    }

    /// [`Model::build`] in the order of the paths.
    pub fn built(&self) -> Vec<u8> {
        self.build(self.things.keys().cloned())
    }

    fn add(
        &self,
        place: &Place,
        builder: &mut ManifestBuilder,
        ids: &mut BTreeMap<Place, EntryId>,
    ) -> EntryId {
        if let Some(id) = ids.get(place) {
            return *id;
        }
        let (root, path) = place;
        let thing = &self.things[place];
        let id = if path.is_empty() {
            builder.add_root(&self.mounts[*root], thing.meta).unwrap()
        } else {
            let (directory, name) = split(path);
            let parent = self.add(&(*root, directory.to_vec()), builder, ids);
            match &thing.kind {
                Kind::Directory => builder.add_dir(parent, name, thing.meta),
                Kind::File(content) => builder.add_file(parent, name, thing.meta, *content),
                Kind::Symlink(target) => builder.add_symlink(parent, name, thing.meta, target),
                Kind::Link(to) => {
                    let to = self.add(to, builder, ids);
                    builder.add_hard_link(parent, name, to)
                }
            }
            .unwrap()
        };
        if !thing.xattrs.is_empty() {
            builder.set_xattrs(id, thing.xattrs.clone()).unwrap();
        }
        if self.exact {
            builder.set_source_stat(id, thing.source).unwrap();
        }
        ids.insert(place.clone(), id);
        id
    }

    /// What the place is a name of: itself, unless it is a hard link.
    pub fn original<'m>(&'m self, place: &'m Place) -> &'m Place {
        match &self.things[place].kind {
            Kind::Link(to) => to,
            _ => place,
        }
    }

    /// All names of what is at `place`.
    pub fn names(&self, place: &Place) -> Vec<&Place> {
        let original = self.original(place);
        let all = self.things.keys();
        all.filter(|other| self.original(other) == original)
            .collect()
    }

    /// Names in a directory, sorted.
    pub fn listing(&self, root: usize, directory: &[u8]) -> Vec<&[u8]> {
        let all = self.things.keys().filter(|place| place.0 == root);
        let below = all.filter(|place| !place.1.is_empty());
        let split = below.map(|place| split(&place.1));
        let mut names: Vec<_> = split
            .filter(|(parent, _)| *parent == directory)
            .map(|(_, name)| name)
            .collect();
        names.sort_unstable();
        names
    }

    /// What stat has to say, device and inode number aside.
    pub fn metadata(&self, place: &Place) -> Metadata {
        let thing = &self.things[self.original(place)];
        let own = &self.things[place];
        let Meta {
            mode,
            uid,
            gid,
            mtime,
            size,
        } = thing.meta;
        let full = size.div_ceil(4096) * 8;
        let links = self.names(place).len() as u32;
        let (kind, size, blocks, nlink) = match &thing.kind {
            Kind::Directory => {
                let is_dir = |name: &&[u8]| {
                    let below = (place.0, join(&place.1, name));
                    matches!(self.things[&below].kind, Kind::Directory)
                };
                let listing = self.listing(place.0, &place.1);
                let subdirs = listing.iter().filter(|name| is_dir(name)).count();
                (0o040_000, size, full, 2 + subdirs as u32)
            }
            Kind::File(content) => (0o100_000, size, content.blocks.unwrap_or(full), links),
            Kind::Symlink(target) => {
                let blocks = if target.len() < 60 { 0 } else { 8 };
                (0o120_000, target.len() as u64, blocks, links)
            }
            Kind::Link(_) => unreachable!("links name no links"),
        };
        let mut found = Metadata {
            ino: 0,
            mode: kind | mode & 0o7777,
            nlink,
            uid,
            gid,
            size,
            blocks,
            blksize: 4096,
            atime: mtime,
            mtime,
            ctime: mtime,
            btime: None,
            dev_major: 0,
            dev_minor: 0,
        };
        if self.exact {
            let source = own.source;
            found.ino = source.ino;
            found.nlink = source.nlink;
            found.blocks = source.blocks;
            found.blksize = source.blksize;
            found.atime = source.atime;
            found.ctime = source.ctime;
            found.btime = source.btime;
        }
        found
    }

    /// Whether everybody may search all directories on the way, and the last one.
    pub fn public(&self, place: &Place) -> bool {
        let mut path = &place.1[..];
        loop {
            let thing = &self.things[&(place.0, path.to_vec())];
            if matches!(thing.kind, Kind::Directory) && thing.meta.mode & 0o111 != 0o111 {
                return false;
            }
            if path.is_empty() {
                return true;
            }
            path = split(path).0;
        }
    }
}

/// A stat of some source that differs in every field from what would be made up.
pub fn source_stat(number: u64) -> SourceStat {
    SourceStat {
        ino: u64::MAX - number,
        blocks: number * 3 + 1,
        atime: Time {
            sec: -(number as i64),
            nsec: 999_999_999,
        },
        ctime: Time {
            sec: number as i64,
            nsec: 1,
        },
        btime: number.is_multiple_of(3).then_some(Time {
            sec: 1,
            nsec: number as u32,
        }),
        nlink: number as u32 + 1,
        blksize: 512,
    }
}
