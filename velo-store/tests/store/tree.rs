//! A small indexer for the tests: a real directory becomes blobs and a manifest.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use velo_core::manifest::Time;
use velo_core::manifest::write::{Content, EntryId, ManifestBuilder, Meta};
use velo_store::Store;

/// Puts all files below `directory` into the store and returns the bytes of a manifest
/// that has them at `mount`.
pub fn index(store: &Store, directory: &Path, mount: &str) -> Vec<u8> {
    index_all(store, &[(directory, mount)])
}

/// The same for several roots.
pub fn index_all(store: &Store, roots: &[(&Path, &str)]) -> Vec<u8> {
    let mut builder = ManifestBuilder::new();
    for (directory, mount) in roots {
        let root = builder.add_root(mount.as_bytes(), meta(directory)).unwrap();
        let mut links = HashMap::new();
        add_all(store, &mut builder, &mut links, root, directory);
    }
    builder.build().unwrap()
}

/// `links` has the files with several names, by device and inode.
fn add_all(
    store: &Store,
    builder: &mut ManifestBuilder,
    links: &mut HashMap<(u64, u64), EntryId>,
    parent: EntryId,
    directory: &Path,
) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().as_bytes();
        let meta = meta(&path);
        let found = std::fs::symlink_metadata(&path).unwrap();
        let (kind, inode) = (found.file_type(), (found.dev(), found.ino()));
        if kind.is_dir() {
            let child = builder.add_dir(parent, name, meta).unwrap();
            add_all(store, builder, links, child, &path);
        } else if kind.is_symlink() {
            let target = std::fs::read_link(&path).unwrap();
            builder
                .add_symlink(parent, name, meta, target.as_os_str().as_bytes())
                .unwrap();
        } else if let Some(first) = links.get(&inode) {
            builder.add_hard_link(parent, name, *first).unwrap();
        } else {
            let content = content(store, &path, &meta);
            let file = builder.add_file(parent, name, meta, content).unwrap();
            if found.nlink() > 1 {
                links.insert(inode, file);
            }
        }
    }
}

fn content(store: &Store, path: &Path, meta: &Meta) -> Content {
    let source = std::fs::File::open(path).unwrap();
    let executable = meta.mode & 0o111 != 0;
    let put = store
        .put(&source, meta.size, executable, &mut Vec::new())
        .unwrap();
    Content {
        hash: *put.hash.as_bytes(),
        in_view: put.elf || executable,
        blocks: None,
    }
}

fn meta(path: &Path) -> Meta {
    let found = std::fs::symlink_metadata(path).unwrap();
    Meta {
        mode: found.mode() & 0o7777,
        uid: found.uid(),
        gid: found.gid(),
        mtime: Time {
            sec: found.mtime(),
            nsec: found.mtime_nsec() as u32,
        },
        size: found.len(),
    }
}
