//! The scan: the whole tree's names and metadata, by all threads, reading no content.
//!
//! Every system call is relative to an open directory, so absolute paths may be longer
//! than PATH_MAX; symbolic links are never followed; nothing recurses. A directory stays
//! open while it has subdirectories that wait to be opened; past a budget of descriptors
//! the subdirectories are found again by their path. Nothing is descended into that is
//! too deep for a manifest. Entries that the stat cache vouches for get their content
//! from it.
//!
//! What is mounted inside the tree is descended into, as `cp -r` does, with a warning;
//! the kernel's own file systems (proc and the like) are refused.

mod guide;
mod listing;
mod open;
mod pseudo;
mod queue;
mod task;
mod worker;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Resource, getrlimit};
use velo_core::manifest::ENTRIES_MAX;
use velo_store::Store;

use crate::Progress;
use crate::cache::Cache;
use crate::crew;
use crate::error::{IndexError, Paths, Troubles};
use crate::options::Xattrs;
use crate::stat::Stat;
use crate::tree::{Directory, ROOT, Tree, full_path, join};
pub(crate) use open::{open_below, open_reading};
use queue::Queue;
use task::{Found, Head, Piece, Task};
use worker::Worker;

/// Most directories that wait open for their subdirectories.
const OPEN_MAX: u64 = 512;

/// What to scan, and how.
pub(crate) struct Scan<'a> {
    pub(crate) source: &'a Path,
    pub(crate) root: &'a OwnedFd,
    /// A cached content is believed only if its blob is here.
    pub(crate) store: &'a Store,
    pub(crate) cache: Option<&'a Cache>,
    pub(crate) exact: bool,
    pub(crate) xattrs: Xattrs,
    pub(crate) skip_special: bool,
    pub(crate) threads: usize,
    pub(crate) progress: &'a dyn Progress,
}

/// What the scan found.
#[derive(Default)]
pub(crate) struct Scanned {
    pub(crate) tree: Tree,
    /// Directories, files and links, the root included.
    pub(crate) entries: u64,
    /// Every entry is what the cache says and there are no others.
    pub(crate) unchanged: bool,
    /// Mount points inside the tree.
    pub(crate) mounts: Vec<PathBuf>,
    /// Special files left out.
    pub(crate) skipped: Paths,
    pub(crate) troubles: Troubles,
}

/// What all workers share.
pub(crate) struct Shared<'a> {
    scan: &'a Scan<'a>,
    queue: Queue<Task<'a>>,
    /// Parent and name of each directory met, by id.
    steps: Mutex<Vec<Step>>,
    root_stat: Stat,
    entries: AtomicU64,
    /// Directories held open.
    open: &'a AtomicUsize,
    open_max: usize,
    stop: AtomicBool,
}

struct Step {
    parent: u32,
    name: Box<[u8]>,
}

impl Scan<'_> {
    /// Scans the tree. Troubles are gathered, not returned early, except fatal ones.
    pub(crate) fn run(&self, root_stat: Stat) -> Scanned {
        let threads = self.threads.max(1);
        let open = AtomicUsize::new(0);
        let shared = Shared {
            scan: self,
            queue: Queue::new(Task::root()),
            steps: Mutex::new(vec![Step {
                parent: ROOT,
                name: Box::default(),
            }]),
            root_stat,
            entries: AtomicU64::new(1),
            open: &open,
            open_max: open_budget(),
            stop: AtomicBool::new(false),
        };
        let found = crew::run(threads, || Worker::new(&shared).run());
        let steps = shared
            .steps
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        assemble(steps, found)
    }
}

impl Shared<'_> {
    /// New ids for the subdirectories `names` of directory `parent`: the first of them.
    fn register<'n>(&self, parent: u32, names: impl Iterator<Item = &'n [u8]>) -> Option<u32> {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let first = u32::try_from(steps.len()).ok()?;
        steps.extend(names.map(|name| Step {
            parent,
            name: name.into(),
        }));
        u32::try_from(steps.len()).ok().map(|_| first)
    }

    /// Path of a directory below the source.
    fn path_below(&self, id: u32) -> Vec<u8> {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        join(id, |id| {
            steps
                .get(id as usize)
                .map_or((ROOT, [].as_slice()), |step| (step.parent, &step.name))
        })
    }

    fn full_path(&self, id: u32, name: &[u8]) -> PathBuf {
        full_path(self.scan.source, &self.path_below(id), name)
    }

    /// Counts entries and tells whether there is still room for them.
    fn count(&self, more: u64) -> Result<(), IndexError> {
        let now = self.entries.fetch_add(more, Ordering::Relaxed) + more;
        self.scan.progress.scanned(now);
        if now > u64::from(ENTRIES_MAX) {
            return Err(IndexError::TooManyEntries {
                path: self.scan.source.to_path_buf(),
                max: ENTRIES_MAX,
            });
        }
        Ok(())
    }
}

/// A quarter of what the process may open.
fn open_budget() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from((limit / 4).min(OPEN_MAX)).unwrap_or_default()
}

/// Puts together what the workers found.
fn assemble(steps: Vec<Step>, found: Vec<Found>) -> Scanned {
    let mut directories: Vec<Directory> = steps
        .into_iter()
        .map(|step| Directory {
            parent: step.parent,
            name: step.name,
            ..Directory::default()
        })
        .collect();
    let mut scanned = Scanned {
        unchanged: true,
        ..Scanned::default()
    };
    let mut pieces: Vec<Piece> = Vec::new();
    for found in found {
        for Head {
            id,
            stat,
            extra,
            facts,
            names,
        } in found.heads
        {
            if let Some(directory) = directories.get_mut(id as usize) {
                (directory.stat, directory.extra) = (stat, extra);
                (directory.facts, directory.names) = (facts, names);
            }
        }
        pieces.extend(found.pieces);
        scanned.unchanged &= !found.changed;
        scanned.mounts.extend(found.mounts);
        scanned.skipped.merge(found.skipped);
        scanned.troubles.merge(found.troubles);
    }
    pieces.sort_unstable_by_key(|piece| (piece.id, piece.start));
    for piece in pieces {
        if let Some(directory) = directories.get_mut(piece.id as usize) {
            piece.append_to(directory);
        }
    }
    let below = directories
        .iter()
        .map(|directory| directory.entries.len() as u64);
    scanned.entries = 1 + below.sum::<u64>();
    scanned.mounts.sort();
    scanned.tree = Tree { directories };
    scanned
}
