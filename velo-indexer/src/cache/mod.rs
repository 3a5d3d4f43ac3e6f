//! The stat cache: which content each path had when it was last seen, so that an
//! unchanged tree costs one stat a file.
//!
//! One file per source in `<root>/index/`, read in one go. A cache is advice, never
//! truth: what is missing, damaged, of another version, of another source or of another
//! user is ignored without a word, and the worst that follows is reading files again.
//!
//! An entry is believed when device, inode, size, mode, mtime and ctime are what they
//! were, and when it was not *racy*: as in git, a file touched so shortly before it was
//! read that a later change could carry the same timestamp is read again. What escapes
//! is a program that keeps writing through a shared mapping without the kernel moving
//! the timestamps, as it does for every tool that compares timestamps.

mod format;
mod write;

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, fstat, openat};

use crate::options::Xattrs;
use crate::stat::Stat;
use format::fact;
use format::{Header, Record};
pub(crate) use write::{About, Fingerprint, encode, save, set_result};

/// A loaded cache.
pub(crate) struct Cache {
    bytes: Vec<u8>,
    header: Header,
}

/// What the cache knows of one entry.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    pub(crate) stat: Stat,
    pub(crate) hash: [u8; 32],
    pub(crate) facts: u16,
    first: u32,
    count: u32,
}

impl Known {
    /// Whether the entry is still what it was, beyond doubt.
    pub(crate) fn holds_for(&self, now: &Stat) -> bool {
        self.facts & fact::TRUSTED != 0 && self.stat.is_same_state(now)
    }

    /// Whether these extended attributes were looked for.
    pub(crate) fn knows(&self, wanted: Xattrs) -> bool {
        wanted == Xattrs::None || self.facts & fact::xattrs_known(wanted) != 0
    }
}

/// The regular file at `path`, if nobody but this user and root could have written it.
pub(crate) fn read_own(path: &Path) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = openat(CWD, path, flags, Mode::empty()).ok()?;
    let found = fstat(&file).ok()?;
    let uid = rustix::process::geteuid().as_raw();
    let regular = rustix::fs::FileType::from_raw_mode(found.st_mode).is_file();
    if !regular || (found.st_uid != uid && found.st_uid != 0) || found.st_mode & 0o022 != 0 {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.st_size).ok()? + 1);
    std::fs::File::from(file).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

impl Cache {
    /// The cache at `path` if it is whole and of the source with `key`.
    pub(crate) fn load(path: &Path, key: &[u8; 32]) -> Option<Self> {
        let bytes = read_own(path)?;
        Self::from_bytes(bytes, key)
    }

    /// Same, from bytes in memory.
    pub(crate) fn from_bytes(bytes: Vec<u8>, key: &[u8; 32]) -> Option<Self> {
        let header = Header::read(&bytes)?;
        (header.key == *key).then_some(Self { bytes, header })
    }

    /// Where the cache of the source with `key` stands.
    pub(crate) fn path(index_directory: &Path, key: &[u8; 32]) -> PathBuf {
        let digits = velo_core::store_layout::hex(key);
        let name: String = digits
            .iter()
            .take(32)
            .map(|&digit| char::from(digit))
            .collect();
        index_directory.join(name + ".stat")
    }

    /// Of the build that wrote this cache: what it was asked to do, and the tree id of
    /// the manifest that came of it.
    pub(crate) fn result(&self) -> Option<(Fingerprint, [u8; 32])> {
        (self.header.tree != [0; 32]).then_some((self.header.fingerprint, self.header.tree))
    }

    pub(crate) fn known(&self, index: u32) -> Option<Known> {
        let record = self.record(index)?;
        Some(Known {
            stat: record.stat(),
            hash: record.hash,
            facts: record.facts,
            first: record.first,
            count: record.count,
        })
    }

    pub(crate) fn name(&self, index: u32) -> Option<&[u8]> {
        let record = self.record(index)?;
        self.pool(record.name, u32::from(record.name_bytes))
    }

    /// Entries of a directory, sorted by name; of anything else, none.
    pub(crate) fn children(&self, index: u32) -> Range<u32> {
        let none = 0..0;
        let Some(known) = self.known(index) else {
            return none;
        };
        if !known.stat.file_type().is_dir() {
            return none;
        }
        known.first
            ..known
                .first
                .saturating_add(known.count)
                .min(self.header.entries)
    }

    /// Target of a symbolic link.
    pub(crate) fn target(&self, known: &Known) -> Option<&[u8]> {
        self.pool(known.first, known.count)
    }

    fn record(&self, index: u32) -> Option<Record> {
        if index >= self.header.entries {
            return None;
        }
        let start = format::HEADER_BYTES + index as usize * format::RECORD_BYTES;
        let bytes = self.bytes.get(start..start + format::RECORD_BYTES)?;
        Record::read(bytes.try_into().ok()?)
    }

    fn pool(&self, offset: u32, length: u32) -> Option<&[u8]> {
        let pool = format::HEADER_BYTES + self.header.entries as usize * format::RECORD_BYTES;
        let start = pool + offset as usize;
        self.bytes.get(start..start + length as usize)
    }
}
