//! Writing a stat cache: all of a tree, in one step.

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rustix::fs::{CWD, Mode, OFlags, openat, renameat};
use velo_core::store_layout::TEMPORARY_PREFIX;

use super::format::{HEADER_BYTES, Header, RECORD_BYTES, Record, fact, trust_before};
use crate::options::Xattrs;
use crate::stat::Stat;
use crate::tree::{Content, Directory, Facts, ROOT, Tree};

/// Digest of everything besides the tree that decides a manifest's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

/// What is written besides the tree.
pub(crate) struct About {
    pub(crate) key: [u8; 32],
    pub(crate) fingerprint: Fingerprint,
    /// When the scan began.
    pub(crate) began: SystemTime,
    /// The extended attributes that were looked for.
    pub(crate) xattrs: Xattrs,
}

/// The bytes of the cache of `tree`; `None` if it is too large for one.
pub(crate) fn encode(tree: &Tree, entries: u64, about: &About) -> Option<Vec<u8>> {
    let mut writer = Writer {
        about,
        records: Vec::with_capacity(HEADER_BYTES + entries as usize * RECORD_BYTES),
        pool: Vec::new(),
        count: 0,
    };
    writer.records.resize(HEADER_BYTES, 0);
    let root = tree.directory(ROOT)?;
    let mut next_child = 1;
    writer.directory(root, &[], &mut next_child)?;
    let mut waiting = VecDeque::from([ROOT]);
    while let Some(directory) = waiting.pop_front().and_then(|id| tree.directory(id)) {
        for entry in &directory.entries {
            let name = directory.name_of(entry);
            match entry.content {
                Content::Directory(id) => {
                    writer.directory(tree.directory(id)?, name, &mut next_child)?;
                    waiting.push_back(id);
                }
                Content::Symlink { offset, bytes } => {
                    writer.symlink(&entry.stat, name, directory.target(offset, bytes))?;
                }
                Content::File { hash, facts } => {
                    writer.record(&entry.stat, name, facts, hash, (0, 0))?;
                }
                Content::Unread => {
                    writer.record(&entry.stat, name, Facts::default(), [0; 32], (0, 0))?;
                }
            }
        }
    }
    let Writer {
        mut records,
        pool,
        count,
        ..
    } = writer;
    records.extend_from_slice(&pool);
    let header = Header {
        entries: count,
        key: about.key,
        fingerprint: about.fingerprint,
        // Until there is a manifest.
        tree: [0; 32],
    };
    header.write(&mut records);
    Some(records)
}

/// Says in an encoded cache which manifest came of it.
pub(crate) fn set_result(cache: &mut [u8], tree: [u8; 32]) {
    if let Some(mut header) = Header::read(cache) {
        header.tree = tree;
        header.write(cache);
    }
}

struct Writer<'a> {
    about: &'a About,
    records: Vec<u8>,
    pool: Vec<u8>,
    count: u32,
}

impl Writer<'_> {
    fn directory(&mut self, directory: &Directory, name: &[u8], next: &mut u32) -> Option<()> {
        let count = u32::try_from(directory.entries.len()).ok()?;
        let first = *next;
        *next = next.checked_add(count)?;
        self.record(
            &directory.stat,
            name,
            directory.facts,
            [0; 32],
            (first, count),
        )
    }

    fn symlink(&mut self, stat: &Stat, name: &[u8], target: &[u8]) -> Option<()> {
        let place = self.keep(target)?;
        self.record(stat, name, Facts::default(), [0; 32], place)
    }

    fn record(
        &mut self,
        stat: &Stat,
        name: &[u8],
        facts: Facts,
        hash: [u8; 32],
        (first, count): (u32, u32),
    ) -> Option<()> {
        let (name, name_bytes) = self.keep(name)?;
        let mut bits = u16::from(facts.0);
        if trust_before(stat, self.about.began) {
            bits |= fact::TRUSTED;
        }
        bits |= fact::xattrs_known(self.about.xattrs);
        let record = Record {
            hash,
            ino: stat.ino,
            dev: stat.dev,
            size: stat.size,
            mtime: stat.mtime,
            ctime: stat.ctime,
            mode: stat.mode,
            name,
            name_bytes: u16::try_from(name_bytes).ok()?,
            facts: bits,
            first,
            count,
        };
        record.write(&mut self.records);
        self.count = self.count.checked_add(1)?;
        Some(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Option<(u32, u32)> {
        let offset = u32::try_from(self.pool.len()).ok()?;
        self.pool.extend_from_slice(bytes);
        Some((offset, u32::try_from(bytes.len()).ok()?))
    }
}

/// Makes the temporary names of this process differ.
static SAVES: AtomicU64 = AtomicU64::new(0);

/// Writes `bytes` to `path` in one step. No sync: a cache that a crash damages is
/// ignored.
pub(crate) fn save(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = SAVES.fetch_add(1, Ordering::Relaxed);
    let own = format!("{TEMPORARY_PREFIX}{}-{number}-{name}", std::process::id());
    let temporary = directory.join(own);
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(CWD, &temporary, flags, Mode::RUSR | Mode::WUSR)?;
    let written = std::fs::File::from(file)
        .write_all(bytes)
        .and_then(|()| renameat(CWD, &temporary, CWD, path).map_err(Into::into));
    if written.is_err() {
        // Nobody else has this name; what stays behind is cleaned up by the store.
        let _removed = std::fs::remove_file(&temporary);
    }
    written
}
