//! Filling a view tree: first all directories, then on all processors their links and
//! files, each directory getting its stamp when nothing in it changes any more.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{
    AtFlags, Mode, OFlags, chmodat, fchmod, futimens, linkat, mkdirat, openat, symlinkat, utimensat,
};
use rustix::io::Errno;
use velo_core::id::ContentHash;
use velo_core::manifest::Manifest;
use velo_core::vnode::{VnodeEntry, flag};

use crate::blob::{BlobName, Presence};
use crate::source::SourceStamp;
use crate::stamp::Stamp;
use crate::stream::hash_and_copy;
use crate::temporary::open_directory;
use crate::view_path::{self, Place};
use crate::view_twins::{self, Twins};
use crate::{Store, StoreError, parallel, view_manifest};

/// Everybody may pass and list, nobody writes: a file created in a view would be seen by
/// no served program, and would break the directory's stamp.
const FINISHED: Mode = Mode::from_bits_retain(0o555);

/// Builds one view tree in an empty directory.
pub(crate) struct Builder<'a> {
    store: &'a Store,
    manifest: &'a Manifest<'a>,
    top: &'a OwnedFd,
    shown: &'a Path,
    linked: AtomicU64,
    copied: AtomicU64,
    /// Copies made so far: the entry that has one.
    copies: Mutex<HashMap<Content, u32>>,
    /// Entries that must not share their blob's inode.
    twins: Twins,
    /// Held while a twin is copied: its hard links have to wait for it.
    copying_twin: Mutex<()>,
}

/// What a copy may be shared by: the content, whether it can be executed, and for a twin
/// the first entry of its hard links.
type Content = (ContentHash, bool, Option<u32>);

impl<'a> Builder<'a> {
    pub(crate) fn new(
        store: &'a Store,
        manifest: &'a Manifest<'a>,
        top: &'a OwnedFd,
        shown: &'a Path,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            store,
            manifest,
            top,
            shown,
            linked: AtomicU64::new(0),
            copied: AtomicU64::new(0),
            copies: Mutex::default(),
            twins: view_twins::find(store, manifest)?,
            copying_twin: Mutex::default(),
        })
    }

    /// Returns how many files were linked and how many copied.
    pub(crate) fn build(&self) -> Result<(u64, u64), StoreError> {
        let directories = self.make_directories()?;
        self.fill_roots()?;
        parallel::for_each(directories.len(), |at, buffer: &mut Vec<u8>| {
            directories
                .get(at)
                .map_or(Ok(()), |index| self.fill_directory(*index, buffer))
        })?;
        view_manifest::add(self.store, self.manifest, self.top, self.shown)?;
        fchmod(self.top, FINISHED).map_err(|errno| self.failed("protect the view", errno))?;
        if let Some(first) = directories.first() {
            let (fd, path) = self.reach(&self.path_of(*first)?)?;
            let directory =
                open_directory(&fd, &path).map_err(|errno| self.failed("open the view", errno))?;
            self.stamp_of(*first).check_stuck(directory, self.shown)?;
        }
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Ok((count(&self.linked), count(&self.copied)))
    }

    /// Parents come before their children in a manifest, so one pass does it. Returns
    /// the entries that are directories.
    fn make_directories(&self) -> Result<Vec<u32>, StoreError> {
        let mut made = Vec::new();
        let roots = (0..self.manifest.root_count()).filter_map(|n| self.manifest.root(n));
        let mut waiting: Vec<u32> = roots
            .map(|root| root.index)
            .filter(|index| self.is_directory(*index))
            .collect();
        for index in &waiting {
            self.make_directory(&self.path_of(*index)?)?;
        }
        while !waiting.is_empty() {
            let mut below = Vec::new();
            for parent in waiting {
                let mut path = self.path_of(parent)?;
                let stem = path.len();
                made.push(parent);
                for child in self.children(parent)? {
                    if !self.is_directory(child) {
                        continue;
                    }
                    path.truncate(stem);
                    path.push(b'/');
                    path.extend_from_slice(self.name(child)?);
                    self.make_directory(&path)?;
                    below.push(child);
                }
            }
            waiting = below;
        }
        Ok(made)
    }

    fn make_directory(&self, path: &[u8]) -> Result<(), StoreError> {
        let (fd, path) = self.reach(path)?;
        mkdirat(&fd, &path, Mode::RWXU)
            .map_err(|errno| self.failed("create a directory of the view", errno))
    }

    /// Roots that are not directories stand in the view's own directory.
    fn fill_roots(&self) -> Result<(), StoreError> {
        for root in (0..self.manifest.root_count()).filter_map(|n| self.manifest.root(n)) {
            let Some(vnode) = self.manifest.vnode(root.index) else {
                continue;
            };
            if !vnode.is_dir() {
                let name = self.c_string(self.path_of(root.index)?)?;
                self.add(self.top.as_fd(), &name, root.index, &vnode, &mut Vec::new())?;
            }
        }
        Ok(())
    }

    fn fill_directory(&self, index: u32, buffer: &mut Vec<u8>) -> Result<(), StoreError> {
        let mut opened: Option<OwnedFd> = None;
        let (fd, path) = self.reach(&self.path_of(index)?)?;
        for child in self.children(index)? {
            let vnode = self.vnode(child)?;
            if !(vnode.is_symlink() || vnode.is_file() && vnode.has(flag::IN_VIEW)) {
                continue;
            }
            let directory = match &opened {
                Some(directory) => directory,
                None => opened.insert(
                    open_directory(&fd, &path)
                        .map_err(|errno| self.failed("open a directory of the view", errno))?,
                ),
            };
            let name = self.c_string(self.name(child)?.to_vec())?;
            self.add(directory.as_fd(), &name, child, &vnode, buffer)?;
        }
        let times = self.stamp_of(index).times();
        let finished = match &opened {
            Some(fd) => fchmod(fd, FINISHED).and_then(|()| futimens(fd, &times)),
            None => chmodat(&fd, &path, FINISHED, AtFlags::empty())
                .and_then(|()| utimensat(&fd, &path, &times, AtFlags::SYMLINK_NOFOLLOW)),
        };
        finished.map_err(|errno| self.failed("stamp a directory of the view", errno))
    }

    /// Adds a symbolic link or a file that belongs into the view.
    fn add(
        &self,
        directory: BorrowedFd<'_>,
        name: &CString,
        index: u32,
        vnode: &VnodeEntry,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        if vnode.is_symlink() {
            let target = self.manifest.symlink_target(index);
            let target = target.ok_or_else(|| self.invalid("a symbolic link has no target"))?;
            let target = self.c_string(target.to_vec())?;
            return symlinkat(&target, directory, name)
                .map_err(|errno| self.failed("create a symbolic link of the view", errno));
        }
        if !vnode.has(flag::IN_VIEW) {
            return Ok(());
        }
        let hash = ContentHash::from_bytes(vnode.content_hash);
        let executable = vnode.has(flag::EXECUTABLE);
        let stat = match self.store.presence(&hash, Some(vnode.size))? {
            Presence::Good(stat) => stat,
            Presence::Absent => return Err(self.store.missing(&hash)),
            Presence::Damaged { expected, found } => {
                return Err(self.store.damaged(&hash, expected, found));
            }
        };
        if let Some(group) = self.twins.get(&index) {
            let _alone = self.copying_twin.lock();
            let content = (hash, executable, Some(*group));
            return self.link_to_copy(directory, name, index, content, buffer);
        }
        // Somebody else's blob may not be ours to make executable; then a copy is.
        let linked = match self.store.allow(&hash, &stat, executable) {
            Ok(()) => {
                let blob = BlobName::of(&hash);
                linkat(
                    self.store.cas(),
                    blob.path(),
                    directory,
                    name,
                    AtFlags::empty(),
                )
            }
            Err(StoreError::Denied { .. } | StoreError::ReadOnly { .. }) => Err(Errno::PERM),
            Err(error) => return Err(error),
        };
        match linked {
            Ok(()) => {
                self.linked.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            // Another file system, too many links, links to other users' files not allowed.
            Err(Errno::XDEV | Errno::MLINK | Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {
                let content = (hash, executable, None);
                self.link_to_copy(directory, name, index, content, buffer)
            }
            Err(errno) => Err(self.failed("link a file of the view", errno)),
        }
    }

    /// Links to an earlier copy of the same content, or makes one.
    fn link_to_copy(
        &self,
        directory: BorrowedFd<'_>,
        name: &CString,
        index: u32,
        content: Content,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let earlier = self
            .copies
            .lock()
            .ok()
            .and_then(|copies| copies.get(&content).copied());
        if let Some(earlier) = earlier {
            let (fd, path) = self.reach(&self.path_of(earlier)?)?;
            if linkat(&fd, &path, directory, name, AtFlags::empty()).is_ok() {
                self.linked.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
        }
        self.copy(directory, name, content, buffer)?;
        self.copied.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut copies) = self.copies.lock() {
            copies.insert(content, index);
        }
        Ok(())
    }

    fn copy(
        &self,
        directory: BorrowedFd<'_>,
        name: &CString,
        (hash, executable, _): Content,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let blob = self.store.open_blob(&hash)?;
        let before = SourceStamp::of(&blob)?;
        let failed = |errno| {
            StoreError::while_writing("copy a file into the view", self.shown, before.size, errno)
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let copy: File = openat(directory, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(failed)?
            .into();
        let read = hash_and_copy(&blob, &before, Some(&copy), buffer, &|_| ())?;
        if read.hash != hash {
            let found = format!("{} bytes of content {}", read.length, read.hash);
            return Err(self.store.damaged(&hash, format!("content {hash}"), found));
        }
        if let Some(errno) = read.write_error {
            return Err(failed(errno));
        }
        let mode = if executable { 0o555 } else { 0o444 };
        futimens(&copy, &Stamp::of_blob(hash.as_bytes()).times())
            .and_then(|()| fchmod(&copy, Mode::from_bits_retain(mode)))
            .map_err(failed)
    }

    fn path_of(&self, index: u32) -> Result<Vec<u8>, StoreError> {
        view_path::path_of(self.manifest, index).map_err(|reason| self.invalid(reason))
    }

    fn reach(&self, path: &[u8]) -> Result<(Place<'_>, CString), StoreError> {
        view_path::reach(self.top.as_fd(), path)
            .map_err(|errno| self.failed("open a directory of the view", errno))
    }

    fn stamp_of(&self, index: u32) -> Stamp {
        Stamp::of_view_directory(self.manifest.body_digest(), index)
    }

    fn is_directory(&self, index: u32) -> bool {
        self.manifest
            .vnode(index)
            .is_some_and(|vnode| vnode.is_dir())
    }

    fn vnode(&self, index: u32) -> Result<VnodeEntry, StoreError> {
        self.manifest
            .vnode(index)
            .ok_or_else(|| self.invalid("an entry is missing"))
    }

    /// The children of a directory. They come after it, or there would be no end.
    fn children(&self, index: u32) -> Result<std::ops::Range<u32>, StoreError> {
        let children = self.manifest.children(index);
        if children.start <= index && !children.is_empty() {
            return Err(self.invalid("an entry comes before its parent"));
        }
        Ok(children)
    }

    fn name(&self, index: u32) -> Result<&'a [u8], StoreError> {
        view_path::name_of(self.manifest, index).map_err(|reason| self.invalid(reason))
    }

    fn c_string(&self, bytes: Vec<u8>) -> Result<CString, StoreError> {
        CString::new(bytes).map_err(|_| self.invalid("a path has a zero byte"))
    }

    fn invalid(&self, reason: &str) -> StoreError {
        StoreError::ManifestInvalid {
            path: self.shown.to_path_buf(),
            reason: reason.into(),
        }
    }

    fn failed(&self, action: &'static str, errno: Errno) -> StoreError {
        StoreError::from_errno(action, self.shown, errno)
    }
}
