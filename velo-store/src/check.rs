//! Checking that the store has all that a manifest promises.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};
use rustix::io::Errno;
use velo_core::id::ContentHash;
use velo_core::manifest::Manifest;
use velo_core::store_layout::without_trailing_slashes;
use velo_core::vnode::{VnodeEntry, flag};

use crate::blob::Presence;
use crate::source::SourceStamp;
use crate::stamp::Stamp;
use crate::stream::hash_and_copy;
use crate::view::is_in_view;
use crate::view_path::{chain_of, path_of, reach};
use crate::{Store, StoreError, parallel};

/// Outcome of [`Store::fsck`].
#[derive(Debug, Default)]
pub struct Report {
    /// Distinct blobs looked at.
    pub blobs: u64,
    /// Their sizes, added up.
    pub blob_bytes: u64,
    /// Bytes whose content was read and hashed; 0 unless deep.
    pub hashed_bytes: u64,
    /// Entries of the view tree looked at.
    pub view_entries: u64,
    /// What is wrong, in the order of the manifest's entries.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug)]
pub struct Problem {
    /// An entry of the manifest that suffers from it.
    pub entry: u32,
    /// The path of that entry, as programs see it.
    pub entry_path: PathBuf,
    /// What is wrong: [`StoreError::BlobMissing`], [`StoreError::BlobDamaged`],
    /// [`StoreError::ViewDamaged`], or that it cannot be looked at.
    pub error: StoreError,
}

/// What one blob must be.
struct Expected {
    hash: ContentHash,
    size: u64,
    executable: bool,
    entry: u32,
}

impl Store {
    /// Checks that every blob of `manifest` has the right size, mode and stamp, and that
    /// its view tree is complete; with `deep`, that every content is what its name says.
    /// The manifest itself is taken as it is: `Manifest::verify` checks that.
    ///
    /// # Errors
    /// Only if the check cannot be made at all; what is wrong is in the report.
    pub fn fsck(&self, manifest: &Manifest<'_>, deep: bool) -> Result<Report, StoreError> {
        let mut report = self.check_blobs(manifest, deep)?;
        self.check_view(manifest, deep, &mut report)?;
        report.problems.sort_by_key(|problem| problem.entry);
        Ok(report)
    }

    /// The part of [`Store::fsck`] that concerns blobs.
    ///
    /// # Errors
    /// As [`Store::fsck`].
    pub fn check_blobs(&self, manifest: &Manifest<'_>, deep: bool) -> Result<Report, StoreError> {
        let expected = distinct_blobs(manifest);
        let problems = Mutex::new(Vec::new());
        let hashed_bytes = AtomicU64::new(0);
        parallel::for_each(expected.len(), |at, buffer: &mut Vec<u8>| {
            let Some(blob) = expected.get(at) else {
                return Ok(());
            };
            match self.check_blob(blob, deep, buffer) {
                Ok(hashed) => {
                    hashed_bytes.fetch_add(hashed, Ordering::Relaxed);
                }
                Err(error) => note(&problems, manifest, blob.entry, error),
            }
            Ok::<(), StoreError>(())
        })?;
        let mut problems = problems.into_inner().unwrap_or_default();
        problems.sort_by_key(|problem| problem.entry);
        Ok(Report {
            blobs: expected.len() as u64,
            blob_bytes: expected.iter().map(|blob| blob.size).sum(),
            hashed_bytes: hashed_bytes.into_inner(),
            view_entries: 0,
            problems,
        })
    }

    fn check_blob(
        &self,
        blob: &Expected,
        deep: bool,
        buffer: &mut Vec<u8>,
    ) -> Result<u64, StoreError> {
        let hash = &blob.hash;
        match self.presence(hash, Some(blob.size))? {
            Presence::Absent => return Err(self.missing(hash)),
            Presence::Damaged { expected, found } => {
                return Err(self.damaged(hash, expected, found));
            }
            Presence::Good(stat) => {
                let mode = stat.st_mode & 0o7777;
                if mode != 0o555 && (blob.executable || mode != 0o444) {
                    let expected = if blob.executable {
                        "mode 0555"
                    } else {
                        "mode 0444 or 0555"
                    };
                    let found = format!("mode {mode:04o}");
                    return Err(self.damaged(hash, expected.into(), found));
                }
            }
        }
        if !deep {
            return Ok(0);
        }
        let (found, size) = self.hash_of_blob(hash, buffer)?;
        if found == *hash {
            return Ok(size);
        }
        let found = format!("content {found}");
        Err(self.damaged(hash, format!("content {hash}"), found))
    }

    fn check_view(
        &self,
        manifest: &Manifest<'_>,
        deep: bool,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let top = self.view_path(manifest);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = match openat(CWD, &top, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => {
                let error = StoreError::ViewDamaged {
                    path: top.clone(),
                    view: top,
                    expected: "the view to exist".into(),
                    found: "nothing".into(),
                };
                let entry_path = entry_path(manifest, 0);
                report.problems.push(Problem {
                    entry: 0,
                    entry_path,
                    error,
                });
                return Ok(());
            }
            Err(errno) => return Err(StoreError::from_errno("check the view", &top, errno)),
        };
        let view = View {
            store: self,
            manifest,
            top,
            fd,
            deep,
        };
        let entries: Vec<(u32, VnodeEntry)> = (0..manifest.entry_count())
            .filter_map(|index| Some((index, manifest.vnode(index)?)))
            .filter(|(_, vnode)| is_in_view(vnode))
            .collect();
        let problems = Mutex::new(Vec::new());
        let hashed_bytes = AtomicU64::new(0);
        parallel::for_each(entries.len(), |at, buffer: &mut Vec<u8>| {
            let Some((index, vnode)) = entries.get(at) else {
                return Ok(());
            };
            match view.check(*index, vnode, buffer) {
                Ok(hashed) => {
                    hashed_bytes.fetch_add(hashed, Ordering::Relaxed);
                }
                Err(error) => note(&problems, manifest, *index, error),
            }
            Ok::<(), StoreError>(())
        })?;
        report.view_entries = entries.len() as u64;
        report.hashed_bytes += hashed_bytes.into_inner();
        report
            .problems
            .append(&mut problems.into_inner().unwrap_or_default());
        Ok(())
    }
}

struct View<'a> {
    store: &'a Store,
    manifest: &'a Manifest<'a>,
    top: PathBuf,
    fd: OwnedFd,
    deep: bool,
}

impl View<'_> {
    /// Checks one entry; returns how many bytes were hashed for it.
    fn check(
        &self,
        index: u32,
        vnode: &VnodeEntry,
        buffer: &mut Vec<u8>,
    ) -> Result<u64, StoreError> {
        let relative = path_of(self.manifest, index).map_err(|reason| {
            let path = self.top.clone();
            StoreError::ManifestInvalid {
                path,
                reason: reason.into(),
            }
        })?;
        let path = self.top.join(OsStr::from_bytes(&relative));
        let failed = |errno| match errno {
            Errno::NOENT | Errno::NOTDIR => {
                view_damaged(&self.top, &path, "it to exist", "nothing")
            }
            other => StoreError::from_errno("check the view", &path, other),
        };
        let (place, name) = reach(self.fd.as_fd(), &relative).map_err(failed)?;
        let stat = statat(&place, &name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if vnode.is_dir() {
            let expected = Stamp::of_view_directory(self.manifest.body_digest(), index);
            let found = Stamp::read(&stat);
            if kind.is_dir() && expected == found {
                return Ok(0);
            }
            let expected = format!("a directory with mtime {expected}");
            let found = format!("mode {:o} with mtime {found}", stat.st_mode);
            return Err(view_damaged(&self.top, &path, &expected, &found));
        }
        if vnode.is_symlink() {
            let expected = self.manifest.symlink_target(index).unwrap_or_default();
            let found = match readlinkat(&place, &name, Vec::new()) {
                Ok(target) => target.into_bytes(),
                Err(Errno::INVAL) => {
                    return Err(view_damaged(
                        &self.top,
                        &path,
                        "a symbolic link",
                        "something else",
                    ));
                }
                Err(errno) => return Err(failed(errno)),
            };
            if found == expected {
                return Ok(0);
            }
            let text = |bytes: &[u8]| format!("a link to {:?}", String::from_utf8_lossy(bytes));
            return Err(view_damaged(
                &self.top,
                &path,
                &text(expected),
                &text(&found),
            ));
        }
        check_attributes(&self.top, &path, &stat, vnode)?;
        let hash = ContentHash::from_bytes(vnode.content_hash);
        // The blob's own inode is hashed as a blob; only a copy needs it again.
        let is_blob = matches!(
            self.store.presence(&hash, None)?,
            Presence::Good(blob) if (blob.st_dev, blob.st_ino) == (stat.st_dev, stat.st_ino)
        );
        if !self.deep || is_blob {
            return Ok(0);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&place, &name, flags, Mode::empty()).map_err(failed)?);
        let read = hash_and_copy(&file, &SourceStamp::of(&file)?, None, buffer, &|_| ())?;
        if read.hash == hash {
            return Ok(read.length);
        }
        let (expected, found) = (format!("content {hash}"), format!("content {}", read.hash));
        Err(view_damaged(&self.top, &path, &expected, &found))
    }
}

/// Size, mode and stamp of a file of the view.
fn check_attributes(
    view: &Path,
    path: &Path,
    stat: &Stat,
    vnode: &VnodeEntry,
) -> Result<(), StoreError> {
    let expected = Stamp::of_blob(&vnode.content_hash);
    let found = Stamp::read(stat);
    let mode = stat.st_mode & 0o7777;
    let executable = vnode.has(flag::EXECUTABLE);
    let right = FileType::from_raw_mode(stat.st_mode).is_file()
        && stat.st_size as u64 == vnode.size
        && expected == found
        && (mode == 0o555 || !executable && mode == 0o444);
    if right {
        return Ok(());
    }
    let wanted = if executable { "0555" } else { "0444 or 0555" };
    let size = vnode.size;
    Err(view_damaged(
        view,
        path,
        &format!("{size} bytes, mode {wanted}, mtime {expected}"),
        &format!("{} bytes, mode {mode:04o}, mtime {found}", stat.st_size),
    ))
}

fn view_damaged(view: &Path, path: &Path, expected: &str, found: &str) -> StoreError {
    let (expected, found) = (expected.to_owned(), found.to_owned());
    StoreError::ViewDamaged {
        path: path.to_path_buf(),
        view: view.to_path_buf(),
        expected,
        found,
    }
}

/// The path of an entry as programs see it: its mount point and its names.
fn entry_path(manifest: &Manifest<'_>, index: u32) -> PathBuf {
    let (root, chain) = chain_of(manifest, index).unwrap_or_default();
    let root = manifest
        .root_of(root)
        .and_then(|number| manifest.root(number));
    let mount = root.map(|root| root.mount).unwrap_or_default();
    let mut path = without_trailing_slashes(mount).to_vec();
    for entry in chain {
        path.push(b'/');
        path.extend_from_slice(manifest.name(entry).unwrap_or_default());
    }
    if path.is_empty() {
        path.push(b'/');
    }
    OsString::from_vec(path).into()
}

fn note(problems: &Mutex<Vec<Problem>>, manifest: &Manifest<'_>, entry: u32, error: StoreError) {
    if let Ok(mut problems) = problems.lock() {
        problems.push(Problem {
            entry,
            entry_path: entry_path(manifest, entry),
            error,
        });
    }
}

/// Every content once, with the first entry that has it, executable if any use is. The
/// same hash with another size is another expectation, and one of them will fail.
fn distinct_blobs(manifest: &Manifest<'_>) -> Vec<Expected> {
    let mut places: HashMap<([u8; 32], u64), usize> = HashMap::new();
    let mut expected: Vec<Expected> = Vec::new();
    for entry in 0..manifest.entry_count() {
        let Some(vnode) = manifest.vnode(entry).filter(VnodeEntry::is_file) else {
            continue;
        };
        let executable = vnode.has(flag::IN_VIEW | flag::EXECUTABLE);
        let size = vnode.size;
        let place = *places
            .entry((vnode.content_hash, size))
            .or_insert(expected.len());
        match expected.get_mut(place) {
            Some(blob) => blob.executable |= executable,
            None => expected.push(Expected {
                hash: ContentHash::from_bytes(vnode.content_hash),
                size,
                executable,
                entry,
            }),
        }
    }
    expected
}
