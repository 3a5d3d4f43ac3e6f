//! Taking the content of the scanned files into the store, each read once.
//!
//! Large files come first, the largest before all, and small ones follow in batches of
//! one directory: so the threads finish together, and none is left alone with a large
//! file at the end. Each file is compared with what the scan saw of it; a difference is
//! a trouble of kind "changed", for the whole build to be tried again.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use rustix::fs::{OFlags, SeekFrom, seek};
use rustix::io::Errno;
use velo_store::{Put, Store, StoreError};

use crate::crew;
use crate::error::Troubles;
use crate::options::Xattrs;
use crate::progress::{Amount, Progress};
use crate::scan::{open_below, open_reading};
use crate::stat::{Stat, look};
use crate::tree::{Content, Directory, Entry, Facts, Tree, full_path};
use crate::xattr;

/// Files from this size on are jobs of their own.
const LARGE_BYTES: u64 = 1 << 20;
/// A batch of small files ends at this many files or bytes.
const BATCH_FILES: usize = 128;
const BATCH_BYTES: u64 = 2 << 20;

/// Where the content comes from and goes to.
pub(crate) struct Ingest<'a> {
    pub(crate) source: &'a Path,
    pub(crate) root: &'a OwnedFd,
    pub(crate) store: &'a Store,
    pub(crate) xattrs: Xattrs,
    pub(crate) threads: usize,
    pub(crate) progress: &'a dyn Progress,
}

/// What was read and what was new.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Further names of files that were read.
    pub(crate) twins: u64,
    pub(crate) read: Amount,
    pub(crate) new: Amount,
}

/// Some unread files of one directory.
struct Job {
    directory: u32,
    entries: Vec<u32>,
    bytes: u64,
}

/// A file that is in the store now.
struct Done {
    directory: u32,
    entry: u32,
    hash: [u8; 32],
    facts: Facts,
}

/// The work of one attempt.
struct Plan {
    jobs: Vec<Job>,
    total: Amount,
    /// Other names of files that are read under their first name.
    twins: Vec<(Place, Place)>,
}

/// A directory id and an index of an entry.
type Place = (u32, u32);

impl Ingest<'_> {
    /// Reads every unread file of `tree` into the store and fills in its content.
    pub(crate) fn run(&self, tree: &mut Tree, troubles: &mut Troubles) -> Counts {
        let plan = Plan::of(tree);
        self.progress.ingested(Amount::default(), plan.total);
        let mut counts = Counts::default();
        if !plan.jobs.is_empty() {
            let shared = Shared {
                ingest: self,
                tree,
                plan: &plan,
                next: AtomicUsize::new(0),
                files: AtomicU64::new(0),
                bytes: AtomicU64::new(0),
                stop: AtomicBool::new(false),
            };
            let threads = self.threads.clamp(1, plan.jobs.len());
            let results = crew::run(threads, || Worker::new(&shared).run());
            for (done, more, trouble) in results {
                counts.add(more);
                troubles.merge(trouble);
                for Done {
                    directory,
                    entry,
                    hash,
                    facts,
                } in done
                {
                    set_content(tree, (directory, entry), Content::File { hash, facts });
                }
            }
        }
        counts.twins = plan.twins.len() as u64;
        for (twin, first) in plan.twins {
            if let Some(content) = content_at(tree, first) {
                set_content(tree, twin, content);
            }
        }
        counts
    }
}

impl Counts {
    fn add(&mut self, more: Self) {
        self.read.files += more.read.files;
        self.read.bytes += more.read.bytes;
        self.new.files += more.new.files;
        self.new.bytes += more.new.bytes;
    }
}

fn entry_mut(tree: &mut Tree, (directory, entry): Place) -> Option<&mut Entry> {
    tree.directories
        .get_mut(directory as usize)?
        .entries
        .get_mut(entry as usize)
}

fn set_content(tree: &mut Tree, place: Place, content: Content) {
    if let Some(entry) = entry_mut(tree, place) {
        entry.content = content;
    }
}

fn content_at(tree: &Tree, (directory, entry): Place) -> Option<Content> {
    Some(
        tree.directory(directory)?
            .entries
            .get(entry as usize)?
            .content,
    )
}

impl Plan {
    fn of(tree: &Tree) -> Self {
        let mut large = Vec::new();
        let mut small = Vec::new();
        let mut total = Amount::default();
        let mut twins = Vec::new();
        let mut linked: HashMap<(u64, u64), Place> = HashMap::new();
        for (directory, id) in tree.directories.iter().zip(0..) {
            let mut batch = Job {
                directory: id,
                entries: Vec::new(),
                bytes: 0,
            };
            for (entry, position) in directory.entries.iter().zip(0..) {
                if !matches!(entry.content, Content::Unread) {
                    continue;
                }
                let stat = &entry.stat;
                if stat.nlink > 1 {
                    let first = *linked.entry((stat.dev, stat.ino)).or_insert((id, position));
                    if first != (id, position) {
                        twins.push(((id, position), first));
                        continue;
                    }
                }
                total.files += 1;
                total.bytes += stat.size;
                if stat.size >= LARGE_BYTES {
                    large.push(Job {
                        directory: id,
                        entries: vec![position],
                        bytes: stat.size,
                    });
                    continue;
                }
                batch.entries.push(position);
                batch.bytes += stat.size;
                if batch.entries.len() >= BATCH_FILES || batch.bytes >= BATCH_BYTES {
                    let next = Job {
                        directory: id,
                        entries: Vec::new(),
                        bytes: 0,
                    };
                    small.push(std::mem::replace(&mut batch, next));
                }
            }
            if !batch.entries.is_empty() {
                small.push(batch);
            }
        }
        large.sort_by_key(|job| std::cmp::Reverse(job.bytes));
        large.append(&mut small);
        Self {
            jobs: large,
            total,
            twins,
        }
    }
}

struct Shared<'a> {
    ingest: &'a Ingest<'a>,
    tree: &'a Tree,
    plan: &'a Plan,
    next: AtomicUsize,
    files: AtomicU64,
    bytes: AtomicU64,
    stop: AtomicBool,
}

impl Shared<'_> {
    /// A job of which `told` bytes were counted has come to `bytes`.
    fn reached(&self, told: &Cell<u64>, bytes: u64) {
        let more = bytes.wrapping_sub(told.replace(bytes));
        let bytes = self.bytes.fetch_add(more, Ordering::Relaxed);
        let done = Amount {
            files: self.files.load(Ordering::Relaxed),
            bytes: bytes.wrapping_add(more),
        };
        self.ingest.progress.ingested(done, self.plan.total);
    }
}

struct Worker<'a> {
    shared: &'a Shared<'a>,
    scratch: Vec<u8>,
    /// Bytes of the present job that are among `Shared::bytes`.
    told: Cell<u64>,
    done: Vec<Done>,
    counts: Counts,
    troubles: Troubles,
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared<'a>) -> Self {
        Self {
            shared,
            scratch: Vec::new(),
            told: Cell::new(0),
            done: Vec::new(),
            counts: Counts::default(),
            troubles: Troubles::default(),
        }
    }

    fn run(mut self) -> (Vec<Done>, Counts, Troubles) {
        let shared = self.shared;
        while !shared.stop.load(Ordering::Relaxed) {
            let next = shared.next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = shared.plan.jobs.get(next) else {
                break;
            };
            self.job(job);
            if self.troubles.fatal.is_some() {
                shared.stop.store(true, Ordering::Relaxed);
            }
            let files = job.entries.len() as u64;
            shared.files.fetch_add(files, Ordering::Relaxed);
            shared.reached(&self.told, job.bytes);
            self.told.set(0);
        }
        (self.done, self.counts, self.troubles)
    }

    fn job(&mut self, job: &Job) {
        let Some(directory) = self.shared.tree.directory(job.directory) else {
            return;
        };
        let below = self.shared.tree.path(job.directory);
        let path = |name: &[u8]| full_path(self.shared.ingest.source, &below, name);
        let opened = open_below(self.shared.ingest.root, &below).and_then(|fd| {
            let (now, _) = look(&fd, c"", false)?;
            if now.is_same_inode(&directory.stat) {
                Ok(fd)
            } else {
                Err(Errno::NOENT)
            }
        });
        let fd = match opened {
            Ok(fd) => fd,
            Err(errno) => return self.troubles.file("open the directory", path(b""), errno),
        };
        for &position in &job.entries {
            let Some(entry) = directory.entries.get(position as usize) else {
                continue;
            };
            let path = || path(directory.name_of(entry));
            if let Some((hash, facts)) = self.file(&fd, directory, entry, &path) {
                self.done.push(Done {
                    directory: job.directory,
                    entry: position,
                    hash,
                    facts,
                });
            }
            if self.troubles.fatal.is_some() {
                return;
            }
        }
    }

    /// Takes one file in. What goes wrong is filed as a trouble.
    fn file(
        &mut self,
        fd: &OwnedFd,
        directory: &Directory,
        entry: &Entry,
        path: &dyn Fn() -> PathBuf,
    ) -> Option<([u8; 32], Facts)> {
        let name = entry.c_name(&directory.names);
        let file = match open_reading(fd, name, OFlags::empty()) {
            Ok(fd) => File::from(fd),
            Err(errno) => {
                self.troubles.file("open", path(), errno);
                return None;
            }
        };
        let want_exec = entry.stat.mode & 0o111 != 0;
        let store = self.shared.ingest.store;
        let (shared, told, size) = (self.shared, &self.told, entry.stat.size);
        let watch = |bytes: u64| {
            // Small ones share a job, which is told of when all are done.
            if size >= LARGE_BYTES {
                shared.reached(told, bytes.min(size));
            }
        };
        let put = store.put_watched(&file, size, want_exec, &mut self.scratch, &watch);
        let put = match put {
            Ok(put) => put,
            Err(error) => {
                self.file_store_error(error, path);
                return None;
            }
        };
        if !is_as_scanned(&put, &entry.stat) {
            self.troubles
                .changed
                .add(path(), "changed after it was scanned");
            return None;
        }
        let mut facts = Facts::default();
        facts.set(Facts::ELF, put.elf);
        facts.set(Facts::SPARSE, is_sparse(&file, &entry.stat));
        let wanted = self.shared.ingest.xattrs;
        if wanted != Xattrs::None {
            match xattr::any(file.as_fd(), wanted) {
                Ok(any) => facts.set(Facts::XATTRS, any),
                Err(errno) => {
                    self.troubles.file("list the attributes", path(), errno);
                    return None;
                }
            }
        }
        self.counts.add(Counts::of(&put));
        Some((*put.hash.as_bytes(), facts))
    }

    fn file_store_error(&mut self, error: StoreError, path: &dyn Fn() -> PathBuf) {
        match error {
            StoreError::SourceChanged { found, .. } => {
                self.troubles
                    .changed
                    .add(path(), format!("changed while it was read: {found}"));
            }
            StoreError::NotRegular { found, .. } => {
                self.troubles
                    .changed
                    .add(path(), format!("became a {found}"));
            }
            StoreError::SourceUnreadable { error, .. } => {
                self.troubles
                    .unreadable
                    .add(path(), format!("cannot read: {error}"));
            }
            other => self.troubles.fatal = Some(other.into()),
        }
    }
}

impl Counts {
    fn of(put: &Put) -> Self {
        let read = Amount {
            files: 1,
            bytes: put.size,
        };
        Self {
            twins: 0,
            read,
            new: if put.new { read } else { Amount::default() },
        }
    }
}

/// Whether what was read is the state that the scan saw. The inode number need not be
/// compared: a file that took another's place has a ctime of its own.
fn is_as_scanned(put: &Put, scanned: &Stat) -> bool {
    put.source.is_some_and(|source| {
        source.size == scanned.size
            && source.mtime == (scanned.mtime.sec, scanned.mtime.nsec)
            && source.ctime == (scanned.ctime.sec, scanned.ctime.nsec)
    })
}

/// Whether the file has holes. Fewer blocks than bytes can also mean compression, or
/// content inside the inode, so the file is asked.
fn is_sparse(file: &File, stat: &Stat) -> bool {
    stat.blocks < stat.blocks_expected()
        && seek(file, SeekFrom::Hole(0)).is_ok_and(|hole| hole < stat.size)
}
