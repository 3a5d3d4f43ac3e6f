//! Which bytecode a tree wants: each source and variant, less what the tree has already.
//!
//! A source is a regular file called `*.py`. Names are those that `importlib.util.cache_from_source`
//! computes, so that CPython looks where the files are.

use velo_core::id::ContentHash;
use velo_core::manifest::{NAME_BYTES_MAX, PATH_BYTES_MAX};
use velo_store::Store;

use super::{CACHE_DIRECTORY, HEADER_BYTES, Variant};
use crate::stat::Stat;
use crate::tree::{Content, Directory, Entry, Tree};

/// Larger sources are data; compiling one takes many times its size in memory.
const SOURCE_BYTES_MAX: u64 = 32 << 20;

/// A file of bytecode that is missing or stale.
#[derive(Debug)]
pub(super) struct Want {
    /// Id of the directory that the source is in.
    pub(super) directory: u32,
    /// Name of the file in that directory's cache directory.
    pub(super) name: Vec<u8>,
    /// Position of the variant.
    pub(super) variant: usize,
    pub(super) source: [u8; 32],
    pub(super) stat: Stat,
    /// What the tree's own file says is the hash of its source: it stays if that is true.
    pub(super) claimed: Option<[u8; 8]>,
}

/// All of a tree. `kept` and `skipped` count by variant.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) wants: Vec<Want>,
    pub(super) kept: Vec<u64>,
    pub(super) skipped: Vec<u64>,
}

/// What the file that is there already is worth.
enum Present {
    /// CPython would take it.
    Fresh,
    /// CPython would take it if this is the hash of its source, or takes it unseen.
    Claims([u8; 8]),
    /// CPython would write another one in its place.
    Stale,
}

impl Plan {
    pub(super) fn of(tree: &Tree, variants: &[Variant], store: &Store) -> Self {
        let mut plan = Self {
            wants: Vec::new(),
            kept: vec![0; variants.len()],
            skipped: vec![0; variants.len()],
        };
        for (directory, id) in tree.directories.iter().zip(0..) {
            if *directory.name == *CACHE_DIRECTORY {
                continue;
            }
            let sources: Vec<_> = directory
                .entries
                .iter()
                .filter_map(|entry| Some((entry, source(directory, entry)?)))
                .collect();
            if !sources.is_empty() {
                plan.add(tree, id, &sources, variants, store);
            }
        }
        plan
    }

    fn add(
        &mut self,
        tree: &Tree,
        id: u32,
        sources: &[(&Entry, [u8; 32])],
        variants: &[Variant],
        store: &Store,
    ) {
        let Some(directory) = tree.directory(id) else {
            return;
        };
        // A file or a symbolic link of that name is the tree's own business.
        let cache = match directory.find(CACHE_DIRECTORY).map(|entry| entry.content) {
            None => Some(None),
            Some(Content::Directory(below)) => Some(tree.directory(below)),
            Some(_) => None,
        };
        let above = tree.path(id).len() + 1 + CACHE_DIRECTORY.len() + 1;
        for (variant, number) in variants.iter().zip(0..) {
            let count = |counts: &mut [u64]| {
                if let Some(count) = counts.get_mut(number) {
                    *count += 1;
                }
            };
            for (entry, source) in sources {
                let name = variant.file_name(directory.name_of(entry));
                let fits = name.len() <= NAME_BYTES_MAX
                    && above + name.len() <= PATH_BYTES_MAX
                    && entry.stat.size <= SOURCE_BYTES_MAX;
                let (Some(cache), true) = (cache, fits) else {
                    count(&mut self.skipped);
                    continue;
                };
                let claimed = match cache.and_then(|cache| cache.find(&name)) {
                    None => None,
                    Some(present) => match judge(present, &entry.stat, variant, store) {
                        None => {
                            count(&mut self.skipped);
                            continue;
                        }
                        Some(Present::Fresh) => {
                            count(&mut self.kept);
                            continue;
                        }
                        Some(Present::Claims(hash)) => Some(hash),
                        Some(Present::Stale) => None,
                    },
                };
                self.wants.push(Want {
                    directory: id,
                    name,
                    variant: number,
                    source: *source,
                    stat: entry.stat,
                    claimed,
                });
            }
        }
    }
}

/// The content of `entry`, if it is a source.
fn source(directory: &Directory, entry: &Entry) -> Option<[u8; 32]> {
    let name = directory.name_of(entry);
    match entry.content {
        Content::File { hash, .. } if name.len() > 3 && name.ends_with(b".py") => Some(hash),
        _ => None,
    }
}

/// What `present`, beside a source with this `stat`, is worth; `None` if it is no file.
fn judge(present: &Entry, source: &Stat, variant: &Variant, store: &Store) -> Option<Present> {
    let Content::File { hash, .. } = present.content else {
        return None;
    };
    let mut header = [0; HEADER_BYTES];
    let read = store
        .open_blob(&ContentHash::from_bytes(hash))
        .is_ok_and(|mut file| std::io::Read::read_exact(&mut file, &mut header).is_ok());
    let [m0, m1, m2, m3, f0, f1, f2, f3, rest @ ..] = header;
    if !read || [m0, m1, m2, m3] != variant.identity.magic {
        return Some(Present::Stale);
    }
    Some(match u32::from_le_bytes([f0, f1, f2, f3]) {
        1 | 3 => Present::Claims(rest),
        0 | 2 => {
            // Both are cut to 32 bits, as CPython does.
            let expected = (source.mtime.sec as u64 & 0xffff_ffff) | source.size << 32;
            if u64::from_le_bytes(rest) == expected {
                Present::Fresh
            } else {
                Present::Stale
            }
        }
        _ => Present::Stale,
    })
}
