//! Any tree, added in any order: what the builder takes, the reader gives back.
#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use velo_core::manifest::write::{Content, EntryId, ManifestBuilder, Meta};
use velo_core::manifest::{Manifest, Metadata, Time};
use velo_core::vnode::VnodeEntry;

/// One thing to add. Directories and link targets are named by number, modulo what
/// there is.
#[derive(Arbitrary, Debug)]
struct Step<'a> {
    directory: u8,
    name: &'a [u8],
    kind: Kind<'a>,
    mode: u16,
    size: u64,
    mtime: (i64, u32),
    owner: (u32, u8),
}

#[derive(Arbitrary, Debug)]
enum Kind<'a> {
    Root,
    Directory,
    File { hash: u64, in_view: bool, blocks: Option<u64> },
    Symlink(&'a [u8]),
    HardLink(u8),
    Xattr(&'a [u8], &'a [u8]),
}

/// What was added: its id, and the path of each name by root.
struct Added {
    id: EntryId,
    root: usize,
    path: Vec<u8>,
    meta: Meta,
    kind: u32,
    content: Option<Content>,
}

fuzz_target!(|steps: Vec<Step<'_>>| {
    let mut builder = ManifestBuilder::new();
    let mut mounts: Vec<Vec<u8>> = Vec::new();
    let mut all: Vec<Added> = Vec::new();
    for step in &steps {
        add(&mut builder, &mut mounts, &mut all, step);
    }
    let mut sorted = mounts.clone();
    sorted.sort_unstable();
    let mut places = BTreeMap::new();
    for added in &all {
        let number = sorted.binary_search(&mounts[added.root]).expect("a mount");
        places.insert((number as u32, added.path.clone()), added);
    }
    let distinct = places.len() == all.len() && sorted.windows(2).all(|pair| pair[0] != pair[1]);
    let too_long = all.iter().any(|added| added.path.len() > 4095);
    let Ok(bytes) = builder.build() else {
        assert!(!distinct || too_long || mounts.is_empty(), "refused a good tree");
        return;
    };
    assert!(distinct && !too_long, "took a tree with a path twice");
    let manifest = Manifest::open(&bytes).expect("opens");
    manifest.verify().expect("is sound");
    assert_eq!(manifest.entry_count() as usize, places.len());
    for ((root, path), added) in &places {
        let index = manifest.lookup(*root, path).expect("is found");
        let vnode = manifest.vnode(index).expect("has a vnode");
        let data = manifest.stat(index).expect("has metadata");
        check(added, &vnode, &data);
        let more = [path, &b"/x"[..]].concat();
        assert_eq!(manifest.lookup(*root, &more).is_some(), places.contains_key(&(*root, more)));
    }
});

fn check(added: &Added, vnode: &VnodeEntry, data: &Metadata) {
    assert_eq!(data.mode, added.meta.mode & 0o7777 | added.kind);
    assert_eq!((data.uid, data.gid, data.mtime), (added.meta.uid, added.meta.gid, added.meta.mtime));
    if let Some(content) = added.content {
        assert_eq!((data.size, { vnode.content_hash }), (added.meta.size, content.hash));
        assert!(content.blocks.is_none_or(|blocks| blocks == data.blocks));
    }
}

fn add(
    builder: &mut ManifestBuilder,
    mounts: &mut Vec<Vec<u8>>,
    all: &mut Vec<Added>,
    step: &Step<'_>,
) {
    let mut meta = Meta {
        mode: step.mode.into(),
        uid: step.owner.0,
        gid: step.owner.1.into(),
        mtime: Time { sec: step.mtime.0, nsec: step.mtime.1 % 1_000_000_000 },
        size: step.size,
    };
    let (mut kind, mut content) = (0o040_000, None);
    let parent = match all.len() {
        0 => None,
        count => all.get(usize::from(step.directory) % count),
    };
    let place = parent.map(|parent| {
        let path = match &parent.path[..] {
            [] => step.name.to_vec(),
            above => [above, b"/", step.name].concat(),
        };
        (parent.id, parent.root, path)
    });
    let added = match (&step.kind, place) {
        (Kind::Root, _) => {
            let mount = [b"/", step.name].concat();
            let added = builder.add_root(&mount, meta);
            added.map(|id| {
                mounts.push(mount);
                (id, mounts.len() - 1, Vec::new())
            })
        }
        (Kind::Xattr(name, value), Some((id, ..))) => {
            let _ = builder.set_xattrs(id, vec![(name.to_vec(), value.to_vec())]);
            return;
        }
        (_, None) => return,
        (Kind::Directory, Some((parent, root, path))) => {
            builder.add_dir(parent, step.name, meta).map(|id| (id, root, path))
        }
        (Kind::File { hash, in_view, blocks }, Some((parent, root, path))) => {
            let mut all = [0; 32];
            all[..8].copy_from_slice(&hash.to_le_bytes());
            let found = Content { hash: all, in_view: *in_view, blocks: *blocks };
            (kind, content) = (0o100_000, Some(found));
            builder.add_file(parent, step.name, meta, found).map(|id| (id, root, path))
        }
        (Kind::Symlink(target), Some((parent, root, path))) => {
            kind = 0o120_000;
            builder.add_symlink(parent, step.name, meta, target).map(|id| (id, root, path))
        }
        (Kind::HardLink(to), Some((parent, root, path))) => {
            let to = &all[usize::from(*to) % all.len()];
            (meta, kind, content) = (to.meta, to.kind, to.content);
            builder.add_hard_link(parent, step.name, to.id).map(|id| (id, root, path))
        }
    };
    if let Ok((id, root, path)) = added {
        all.push(Added { id, root, path, meta, kind, content });
    }
}
