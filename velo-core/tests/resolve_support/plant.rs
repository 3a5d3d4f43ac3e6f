//! From a model world to real manifests, one for each mount, and the view of them.

use super::model::{Id, Inode, Kind};
use super::world::World;
use velo_core::manifest::Manifest;
use velo_core::manifest::write::{Content, EntryId, ManifestBuilder, Meta};
use velo_core::resolve::{Mount, View};

/// Builds the manifests of `world` and hands their view to `use_view`.
pub fn with_view<R>(world: &World, use_view: impl FnOnce(&View<'_>) -> R) -> R {
    let files: Vec<Vec<u8>> = (0..world.mounts.len())
        .map(|number| manifest(world, number))
        .collect();
    let mounts: Vec<Mount<'_>> = world
        .mounts
        .iter()
        .zip(&files)
        .map(|((path, _), file)| {
            let manifest = Manifest::open(file).expect("what was written can be opened");
            Mount::new(or_top(path), manifest, 0).expect("mount paths are normal")
        })
        .collect();
    let view = View::new(&mounts).expect("worlds have no file on the way to a mount");
    use_view(&view)
}

fn or_top(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"/" } else { path }
}

/// The manifest of one mount: all inodes that it owns, but for what is only implied.
pub fn manifest(world: &World, number: usize) -> Vec<u8> {
    let (path, root) = &world.mounts[number];
    let mut builder = ManifestBuilder::new();
    let entry = builder
        .add_root(or_top(path), meta(&world.full.inodes[*root]))
        .expect("a root");
    add_children(world, number, *root, entry, &mut builder);
    builder.build().expect("model trees fit the format")
}

fn meta(inode: &Inode) -> Meta {
    Meta {
        mode: inode.mode,
        uid: inode.uid,
        gid: inode.gid,
        ..Meta::default()
    }
}

fn add_children(world: &World, number: usize, dir: Id, entry: EntryId, to: &mut ManifestBuilder) {
    let Kind::Dir(entries) = &world.full.inodes[dir].kind else {
        return;
    };
    for (name, id) in entries {
        let inode = &world.full.inodes[*id];
        if world.owner[*id] != Some(number) {
            continue;
        }
        let meta = meta(inode);
        match &inode.kind {
            Kind::Dir(_) => {
                let made = to.add_dir(entry, name, meta).expect("a directory");
                add_children(world, number, *id, made, to);
            }
            Kind::File => {
                let content = Content {
                    hash: [7; 32],
                    in_view: false,
                    blocks: None,
                };
                to.add_file(entry, name, meta, content).expect("a file");
            }
            Kind::Link(target) => {
                to.add_symlink(entry, name, meta, target)
                    .expect("a symlink");
            }
            Kind::Implied(_) => {}
        }
    }
}
