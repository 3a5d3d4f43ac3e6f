//! Putting bytecode into a scanned tree: entries that the source does not have, with metadata
//! that follows from their sources' alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::CACHE_DIRECTORY;
use crate::attributes::Attributes;
use crate::stat::Stat;
use crate::tree::{Content, Directory, Entry, Facts, Tree};

const REGULAR: u32 = 0o100_000;
/// Size of a directory with a few entries, on most file systems.
const DIRECTORY_BYTES: u64 = 4096;

/// One file of bytecode.
#[derive(Debug)]
pub(super) struct Plant {
    pub(super) name: Vec<u8>,
    pub(super) hash: [u8; 32],
    pub(super) size: u64,
    /// Of the source.
    pub(super) stat: Stat,
}

/// Adds `plants`, by the id of the directory that their sources are in. An entry of the same
/// name is replaced. Returns how many entries the tree has more.
pub(super) fn plant(
    tree: &mut Tree,
    attributes: &mut Attributes,
    plants: BTreeMap<u32, Vec<Plant>>,
) -> Option<u64> {
    let mut added = 0;
    for (parent, files) in plants {
        let cache = match tree.directory(parent)?.find(CACHE_DIRECTORY) {
            Some(entry) => match entry.content {
                Content::Directory(id) => id,
                _ => return None,
            },
            None => {
                added += 1;
                add_directory(tree, parent)?
            }
        };
        let directory = tree.directories.get_mut(cache as usize)?;
        for file in files {
            // Few are replaced: a tree's bytecode is mostly all stale or not there.
            let position = directory
                .entries
                .iter()
                .position(|entry| directory.name_of(entry) == file.name);
            match position {
                Some(position) => {
                    directory.entries.remove(position);
                    attributes.remove(&(cache, file.name.clone()));
                }
                None => added += 1,
            }
            let content = Content::File {
                hash: file.hash,
                facts: Facts::default(),
            };
            push(directory, &file.name, stat_of(&file), content)?;
        }
        sort(directory);
    }
    Some(added)
}

/// The mode is what CPython gives the files that it writes.
fn stat_of(file: &Plant) -> Stat {
    let mut stat = Stat {
        ino: 0,
        dev: 0,
        size: file.size,
        mode: REGULAR | (file.stat.mode & 0o666) | 0o200,
        nlink: 1,
        ..file.stat
    };
    stat.blocks = stat.blocks_expected();
    stat
}

fn add_directory(tree: &mut Tree, parent: u32) -> Option<u32> {
    let id = u32::try_from(tree.directories.len()).ok()?;
    let above = tree.directories.get_mut(parent as usize)?;
    let stat = Stat {
        ino: 0,
        dev: 0,
        size: DIRECTORY_BYTES,
        nlink: 2,
        ..above.stat
    };
    push(
        above,
        CACHE_DIRECTORY,
        Stat::default(),
        Content::Directory(id),
    )?;
    sort(above);
    tree.directories.push(Directory {
        parent,
        name: CACHE_DIRECTORY.into(),
        stat,
        ..Directory::default()
    });
    Some(id)
}

/// Adds an entry at the end.
fn push(directory: &mut Directory, name: &[u8], stat: Stat, content: Content) -> Option<()> {
    let names = Arc::make_mut(&mut directory.names);
    let start = u32::try_from(names.len()).ok()?;
    names.extend_from_slice(name);
    names.push(0);
    let bytes = u8::try_from(name.len()).ok()?;
    directory
        .entries
        .push(Entry::new(start, bytes, stat, content));
    Some(())
}

fn sort(directory: &mut Directory) {
    let names = Arc::clone(&directory.names);
    directory
        .entries
        .sort_by(|a, b| a.name(&names).cmp(b.name(&names)));
}
