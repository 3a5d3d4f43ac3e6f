//! Counts what a manifest holds: one pass over its entries.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use velo_core::manifest::Manifest;
use velo_core::vnode::flag;

use crate::operand::root_name;

/// Numbers about one manifest; bytes are those of the contents, not of the manifest.
#[derive(Serialize, Default, Debug)]
pub struct Census {
    /// Regular files, by name.
    pub files: u64,
    /// Directories, roots included.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Names beyond the first of files with several names.
    pub hard_links: u64,
    /// Bytes of the files, each counted once however many names it has.
    pub content_bytes: u64,
    /// Distinct contents.
    pub blobs: u64,
    /// Bytes of the distinct contents: what the store holds.
    pub distinct_bytes: u64,
    /// Files that the view tree holds.
    pub in_view: u64,
    /// Bytes of them.
    pub in_view_bytes: u64,
    /// Path and size of the largest files, largest first, then by path.
    #[serde(skip)]
    pub largest: Vec<(Vec<u8>, u64)>,
}

/// Counts; names the `top` largest files.
pub fn count(manifest: &Manifest<'_>, top: usize) -> Census {
    let mut census = Census::default();
    let mut linked = HashSet::new();
    let mut blobs = HashMap::new();
    let mut sizes = Vec::new();
    for index in 0..manifest.entry_count() {
        let Some(vnode) = manifest.vnode(index) else {
            continue;
        };
        if vnode.is_dir() {
            census.directories += 1;
            continue;
        }
        if vnode.is_symlink() {
            census.symlinks += 1;
            continue;
        }
        let size = vnode.size;
        census.files += 1;
        blobs.insert(vnode.content_hash, size);
        if vnode.has(flag::IN_VIEW) {
            census.in_view += 1;
            census.in_view_bytes = census.in_view_bytes.saturating_add(size);
        }
        if vnode.has(flag::HARDLINK)
            && !manifest
                .stat(index)
                .is_some_and(|data| linked.insert(data.ino))
        {
            census.hard_links += 1;
            continue;
        }
        // A manifest that nobody verified may say anything.
        census.content_bytes = census.content_bytes.saturating_add(size);
        sizes.push((size, index));
    }
    census.blobs = blobs.len() as u64;
    census.distinct_bytes = blobs
        .values()
        .fold(0, |sum: u64, size| sum.saturating_add(*size));
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    // Ties at the edge are settled by entry, then the named ones sorted by path.
    census.largest = sizes
        .iter()
        .take(top)
        .map(|(size, index)| (path(manifest, *index), *size))
        .collect();
    census
        .largest
        .sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    census
}

/// Absolute path of an entry, at its root's mount point.
fn path(manifest: &Manifest<'_>, index: u32) -> Vec<u8> {
    let mount = manifest
        .root_of(index)
        .and_then(|root| manifest.root(root))
        .map(|root| root_name(root.mount))
        .unwrap_or_default();
    let mut relative = vec![0; 2 * velo_core::resolve::PATH_MAX_BYTES];
    let length = manifest.rel_path(index, &mut relative).unwrap_or(0);
    [
        mount.trim_end_matches('/').as_bytes(),
        b"/",
        &relative[..length],
    ]
    .concat()
}
