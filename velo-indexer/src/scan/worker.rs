//! One worker of the scan: lists directories, looks at what is in them, and hands
//! subdirectories on.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{FileType, OFlags, readlinkat};
use rustix::io::Errno;
use velo_core::id::ContentHash;
use velo_core::manifest::PATH_BYTES_MAX;

use super::guide::Guide;
use super::listing::{Listing, Slot, list};
use super::pseudo::pseudo_file_system;
use super::task::{Above, Found, Head, List, Open, Piece, Task};
use super::{Shared, open_below, open_reading};
use crate::cache::Known;
use crate::error::IndexError;
use crate::options::Xattrs;
use crate::stat::{Extra, Stat, look};
use crate::tree::{Content, Entry, Facts, ROOT};
use crate::xattr;

/// Entries of a directory that are looked at in one go; larger directories are split
/// among the workers.
const PIECE_ENTRIES: usize = 2048;

/// One thread's part of the scan.
pub(super) struct Worker<'s, 'a> {
    shared: &'s Shared<'a>,
    own: Vec<Task<'a>>,
    buffer: Vec<u8>,
    found: Found,
}

impl<'s, 'a> Worker<'s, 'a> {
    pub(super) fn new(shared: &'s Shared<'a>) -> Self {
        shared.queue.join();
        Self {
            shared,
            own: Vec::new(),
            buffer: Vec::new(),
            found: Found::default(),
        }
    }

    /// Works until nobody has work.
    pub(super) fn run(mut self) -> Found {
        while let Some(task) = self.shared.queue.next(&mut self.own) {
            if self.shared.stop.load(Ordering::Relaxed) {
                continue;
            }
            match task {
                Task::List(task) => self.list(task),
                Task::Look { open, range } => self.look(&open, range),
            }
            if self.found.troubles.fatal.is_some() {
                self.shared.stop.store(true, Ordering::Relaxed);
            }
        }
        self.found
    }

    fn list(&mut self, task: List<'a>) {
        let shared = self.shared;
        let List {
            id,
            path_bytes,
            above,
            parent_dev,
            cached,
        } = task;
        let opened = match &above {
            Some(Above { parent, slot }) => match parent.slots.get(*slot) {
                Some(slot) => {
                    open_reading(&parent.fd, slot.c_name(&parent.names), OFlags::DIRECTORY)
                }
                None => Err(Errno::INVAL),
            },
            None => open_below(shared.scan.root, &shared.path_below(id)),
        };
        drop(above);
        let fd = match opened {
            Ok(fd) => fd,
            Err(errno) => return self.trouble("open the directory", id, b"", errno),
        };
        let listing = match list(&fd, shared.scan.exact, &mut self.buffer) {
            Ok(Some(listing)) => listing,
            Ok(None) => {
                let path = shared.full_path(id, b"");
                return self
                    .found
                    .troubles
                    .changed
                    .add(path, "changed while it was listed");
            }
            Err(errno) => return self.trouble("list the directory", id, b"", errno),
        };
        if id == ROOT && !listing.stat.is_same_inode(&shared.root_stat) {
            return self.trouble("open the directory", id, b"", Errno::NOENT);
        }
        if id == ROOT || listing.stat.dev != parent_dev {
            self.check_mount(id, &fd);
        }
        self.take_listing(id, path_bytes, fd, listing, cached);
    }

    /// Another file system begins here.
    fn check_mount(&mut self, id: u32, fd: &OwnedFd) {
        if let Some(found) = pseudo_file_system(fd) {
            let path = self.shared.full_path(id, b"");
            self.found.troubles.fatal = Some(IndexError::PseudoFileSystem { path, found });
        } else if id != ROOT {
            self.found.mounts.push(self.shared.full_path(id, b""));
        }
    }

    fn take_listing(
        &mut self,
        id: u32,
        path_bytes: usize,
        fd: OwnedFd,
        listing: Listing,
        cached: Option<u32>,
    ) {
        let shared = self.shared;
        let Listing {
            stat,
            extra,
            names,
            slots,
            too_long,
        } = listing;
        for name in too_long {
            let why = format!("a name of {} bytes", name.len());
            self.found
                .troubles
                .too_long
                .add(shared.full_path(id, &name), why);
        }
        if let Err(error) = shared.count(slots.len() as u64) {
            self.found.troubles.fatal = Some(error);
            return;
        }
        let cached = cached.filter(|_| shared.scan.cache.is_some());
        let facts = self.look_at_head(id, &fd, &stat, slots.len(), cached);
        let names = Arc::new(names);
        self.found.heads.push(Head {
            id,
            stat,
            extra,
            facts,
            names: Arc::clone(&names),
        });
        if slots.is_empty() {
            return;
        }
        shared.open.fetch_add(1, Ordering::Relaxed);
        let dev = stat.dev;
        let open = Arc::new(Open {
            id,
            path_bytes,
            dev,
            fd,
            names,
            slots,
            cached,
            held: shared.open,
        });
        let count = open.slots.len();
        for start in (PIECE_ENTRIES..count).step_by(PIECE_ENTRIES) {
            let range = start..count.min(start + PIECE_ENTRIES);
            self.own.push(Task::Look {
                open: Arc::clone(&open),
                range,
            });
        }
        self.look(&open, 0..count.min(PIECE_ENTRIES));
    }

    /// What is recorded of the directory itself: whether it is as cached, and whether it
    /// has extended attributes.
    fn look_at_head(
        &mut self,
        id: u32,
        fd: &OwnedFd,
        stat: &Stat,
        count: usize,
        cached: Option<u32>,
    ) -> Facts {
        let cache = self.shared.scan.cache;
        let known = cache
            .zip(cached)
            .and_then(|(cache, index)| cache.known(index));
        let known = known.filter(|known| known.holds_for(stat));
        let same_count = cache
            .zip(cached)
            .is_some_and(|(c, index)| c.children(index).len() == count);
        self.found.changed |= known.is_none() || !same_count;
        let wanted = self.shared.scan.xattrs;
        match known {
            _ if wanted == Xattrs::None => Facts::default(),
            Some(known) if known.knows(wanted) => self.facts_of(&known),
            _ => {
                let mut facts = Facts::default();
                match xattr::any(fd, wanted) {
                    Ok(any) => facts.set(Facts::XATTRS, any),
                    Err(errno) => self.trouble("list the attributes", id, b"", errno),
                }
                facts
            }
        }
    }

    fn look(&mut self, open: &Arc<Open<'a>>, range: Range<usize>) {
        let shared = self.shared;
        let mut piece = Piece {
            id: open.id,
            start: range.start,
            entries: Vec::with_capacity(range.len()),
            extras: Vec::new(),
            targets: Vec::new(),
        };
        let slots = open.slots.get(range.clone()).unwrap_or_default();
        let mut guide = slots.first().and_then(|first| {
            Guide::new(shared.scan.cache?, open.cached?, first.name(&open.names))
        });
        let mut subdirectories = Vec::new();
        for (position, slot) in range.zip(slots) {
            let name = slot.name(&open.names);
            let path_bytes = open.path_bytes + usize::from(open.path_bytes > 0) + name.len();
            if path_bytes > PATH_BYTES_MAX {
                let path = shared.full_path(open.id, name);
                self.found
                    .troubles
                    .too_long
                    .add(path, format!("a path of {path_bytes} bytes"));
                continue;
            }
            let cached = guide.as_mut().and_then(|guide| guide.find(name));
            let mut kind = slot.kind;
            let mut found = (Stat::default(), Extra::default());
            if !kind.is_dir() {
                found = match look(&open.fd, slot.c_name(&open.names), shared.scan.exact) {
                    Ok(found) => found,
                    Err(errno) => {
                        self.trouble("look at", open.id, name, errno);
                        continue;
                    }
                };
                kind = found.0.file_type();
            }
            let known = cached.and_then(|index| shared.scan.cache?.known(index));
            let known = known.filter(|known| known.holds_for(&found.0));
            let content = match kind {
                FileType::Directory => {
                    subdirectories.push((piece.entries.len(), position, cached));
                    found = Default::default();
                    Content::Directory(0)
                }
                FileType::RegularFile => self.content(&found.0, known),
                FileType::Symlink => match self.target(open, slot, known, &mut piece.targets) {
                    Some(content) => content,
                    None => continue,
                },
                other => {
                    self.special(open.id, name, other);
                    continue;
                }
            };
            self.found.changed |= !kind.is_dir() && known.is_none();
            piece
                .entries
                .push(Entry::new(slot.name, slot.name_bytes, found.0, content));
            if shared.scan.exact {
                piece.extras.push(found.1);
            }
        }
        self.hand_on(open, &mut piece, &subdirectories);
        self.found.pieces.push(piece);
    }

    /// What the cache knows of a file's content, if the store has it.
    fn content(&mut self, stat: &Stat, known: Option<Known>) -> Content {
        let scan = self.shared.scan;
        let complete = |known: &Known| known.knows(scan.xattrs);
        let present = |known: &Known| {
            let hash = ContentHash::from_bytes(known.hash);
            known.hash != [0; 32] && scan.store.serves(&hash, stat.size, stat.mode & 0o111 != 0)
        };
        match known.filter(complete).filter(present) {
            Some(known) => Content::File {
                hash: known.hash,
                facts: self.facts_of(&known),
            },
            None => {
                self.found.changed = true;
                Content::Unread
            }
        }
    }

    fn facts_of(&self, known: &Known) -> Facts {
        let mut facts = Facts((known.facts & 0xff) as u8);
        if self.shared.scan.xattrs == Xattrs::None {
            facts.set(Facts::XATTRS, false);
        }
        facts
    }

    fn target(
        &mut self,
        open: &Open<'a>,
        slot: &Slot,
        known: Option<Known>,
        targets: &mut Vec<u8>,
    ) -> Option<Content> {
        let offset = u32::try_from(targets.len()).ok();
        let cached = known.and_then(|known| self.shared.scan.cache?.target(&known));
        if let Some(target) = cached {
            targets.extend_from_slice(target);
        } else {
            match readlinkat(&open.fd, slot.c_name(&open.names), Vec::new()) {
                Ok(target) => targets.extend_from_slice(target.as_bytes()),
                // Not a link any more.
                Err(Errno::INVAL) => {
                    self.trouble(
                        "read the link",
                        open.id,
                        slot.name(&open.names),
                        Errno::NOENT,
                    );
                    return None;
                }
                Err(errno) => {
                    self.trouble("read the link", open.id, slot.name(&open.names), errno);
                    return None;
                }
            }
        }
        let end = u32::try_from(targets.len()).ok();
        let Some((offset, end)) = offset.zip(end) else {
            self.trouble(
                "keep the target of",
                open.id,
                slot.name(&open.names),
                Errno::OVERFLOW,
            );
            return None;
        };
        Some(Content::Symlink {
            offset,
            bytes: end - offset,
        })
    }

    fn special(&mut self, id: u32, name: &[u8], kind: FileType) {
        let what = match kind {
            FileType::Fifo => "a fifo",
            FileType::Socket => "a socket",
            FileType::CharacterDevice => "a character device",
            FileType::BlockDevice => "a block device",
            _ => "a file of unknown type",
        };
        self.found.changed = true;
        let path = self.shared.full_path(id, name);
        if self.shared.scan.skip_special {
            self.found.skipped.add(path, what);
        } else {
            self.found.troubles.special.add(path, what);
        }
    }

    /// Gives the subdirectories their ids and makes tasks of them: the last first, since
    /// the latest task is done next.
    fn hand_on(
        &mut self,
        open: &Arc<Open<'a>>,
        piece: &mut Piece,
        subdirectories: &[(usize, usize, Option<u32>)],
    ) {
        if subdirectories.is_empty() {
            return;
        }
        let names = subdirectories.iter().map(|(_, position, _)| {
            open.slots
                .get(*position)
                .map(|slot| slot.name(&open.names))
                .unwrap_or_default()
        });
        let Some(first) = self.shared.register(open.id, names) else {
            self.trouble("number", open.id, b"", Errno::OVERFLOW);
            return;
        };
        let within_budget = self.shared.open.load(Ordering::Relaxed) <= self.shared.open_max;
        for ((entry, slot, cached), id) in subdirectories.iter().zip(first..) {
            if let Some(entry) = piece.entries.get_mut(*entry) {
                entry.content = Content::Directory(id);
            }
            let above = Above {
                parent: Arc::clone(open),
                slot: *slot,
            };
            let name_bytes = open
                .slots
                .get(*slot)
                .map_or(0, |slot| usize::from(slot.name_bytes));
            self.own.push(Task::List(List {
                id,
                path_bytes: open.path_bytes + usize::from(open.path_bytes > 0) + name_bytes,
                above: within_budget.then_some(above),
                parent_dev: open.dev,
                cached: *cached,
            }));
        }
    }

    fn trouble(&mut self, action: &'static str, id: u32, name: &[u8], errno: Errno) {
        self.found.changed = true;
        self.found
            .troubles
            .file(action, self.shared.full_path(id, name), errno);
    }
}
