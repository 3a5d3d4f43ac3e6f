//! What the workers of the scan hand each other and what they come back with.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::listing::Slot;
use crate::error::{Paths, Troubles};
use crate::stat::{Extra, Stat};
use crate::tree::{Content, Directory, Entry, Facts, ROOT};

/// Something to do.
pub(super) enum Task<'a> {
    /// List directory `id` and look at its entries.
    List(List<'a>),
    /// Look at some of the entries of a large directory.
    Look {
        open: Arc<Open<'a>>,
        range: Range<usize>,
    },
}

/// A directory to list.
pub(super) struct List<'a> {
    pub(super) id: u32,
    /// Bytes of its path below the source.
    pub(super) path_bytes: usize,
    pub(super) above: Option<Above<'a>>,
    pub(super) parent_dev: u64,
    /// Entry in the stat cache.
    pub(super) cached: Option<u32>,
}

/// Where to find a directory: in `parent`, under the name in its slot.
pub(super) struct Above<'a> {
    pub(super) parent: Arc<Open<'a>>,
    pub(super) slot: usize,
}

/// A listed directory that is held open for its subdirectories.
pub(super) struct Open<'a> {
    pub(super) id: u32,
    pub(super) path_bytes: usize,
    pub(super) dev: u64,
    pub(super) fd: OwnedFd,
    pub(super) names: Arc<Vec<u8>>,
    pub(super) slots: Vec<Slot>,
    pub(super) cached: Option<u32>,
    pub(super) held: &'a AtomicUsize,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A directory's own record.
pub(super) struct Head {
    pub(super) id: u32,
    pub(super) stat: Stat,
    pub(super) extra: Extra,
    pub(super) facts: Facts,
    pub(super) names: Arc<Vec<u8>>,
}

/// Some of the entries of a directory.
pub(super) struct Piece {
    pub(super) id: u32,
    pub(super) start: usize,
    pub(super) entries: Vec<Entry>,
    pub(super) extras: Vec<Extra>,
    pub(super) targets: Vec<u8>,
}

impl Piece {
    /// Adds the entries at the end of what `directory` has. Pieces come in order.
    pub(super) fn append_to(mut self, directory: &mut Directory) {
        if directory.entries.is_empty() {
            directory.entries = self.entries;
            directory.extras = self.extras;
            directory.targets = self.targets;
            return;
        }
        let moved = directory.targets.len() as u32;
        for entry in &mut self.entries {
            if let Content::Symlink { offset, .. } = &mut entry.content {
                *offset += moved;
            }
        }
        directory.entries.append(&mut self.entries);
        directory.extras.append(&mut self.extras);
        directory.targets.append(&mut self.targets);
    }
}

/// What a worker comes back with.
#[derive(Default)]
pub(super) struct Found {
    pub(super) heads: Vec<Head>,
    pub(super) pieces: Vec<Piece>,
    /// Something is not as the cache says.
    pub(super) changed: bool,
    pub(super) mounts: Vec<PathBuf>,
    pub(super) skipped: Paths,
    pub(super) troubles: Troubles,
}

impl Task<'_> {
    pub(super) fn root() -> Self {
        Self::List(List {
            id: ROOT,
            path_bytes: 0,
            above: None,
            parent_dev: 0,
            cached: Some(0),
        })
    }
}
