//! Publishing a manifest: checked, complete, on the disk before it has its name.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::Write;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{
    Access, AtFlags, CWD, FileType, Mode, OFlags, accessat, fchmod, fstat, futimens, openat,
};
use rustix::io::Errno;
use velo_core::id::ContentHash;
use velo_core::manifest::Manifest;
use velo_core::stamp::stamp_ns;
use velo_core::store_layout::{MANIFESTS_DIRECTORY, manifest_suffix};

use crate::stamp::Stamp;
use crate::store::LEFTOVER_AGE;
use crate::temporary::{self, Naming, Temporary};
use crate::{Space, Store, StoreError};

impl Store {
    /// Publishes a manifest as the file `destination`, replacing what is there in one
    /// step, and keeps a copy of it in the store. Returns its tree id.
    ///
    /// Before that it checks everything about the manifest, and that every blob of it is
    /// in the store with its size, mode and stamp. A destination that has these bytes
    /// already is left as it is. A destination on a file system with coarse timestamps
    /// works, but costs every start a pass over the file.
    ///
    /// # Errors
    /// [`StoreError::ManifestInvalid`], [`StoreError::ManifestIncomplete`], and what
    /// writing can meet. The destination is then as it was.
    pub fn publish_manifest(
        &self,
        bytes: &[u8],
        destination: &Path,
    ) -> Result<ContentHash, StoreError> {
        let invalid = |reason: String| StoreError::ManifestInvalid {
            path: destination.to_path_buf(),
            reason,
        };
        let manifest = Manifest::open(bytes).map_err(|error| invalid(error.to_string()))?;
        manifest
            .verify()
            .map_err(|error| invalid(error.to_string()))?;
        let report = self.check_blobs(&manifest, false)?;
        let count = report.problems.len();
        if let Some(first) = report.problems.into_iter().next() {
            return Err(StoreError::ManifestIncomplete {
                path: destination.to_path_buf(),
                count,
                entry: first.entry_path,
                first: Box::new(first.error),
            });
        }
        let tree = ContentHash::of(bytes);
        let stamp_ns = stamp_ns(manifest.body_digest());
        let kept = self.prepare_kept(&tree, bytes, stamp_ns)?;
        let target = Destination::open(destination)?;
        let published = target.prepare(bytes, stamp_ns)?;
        // All blobs and both files are on the disk before the first of them has a name.
        self.barrier()?;
        if let Some(published) = &published
            && !self.memory
        {
            target.sync(published)?;
        }
        if let Some(kept) = kept {
            kept.link()?;
        }
        match published {
            Some(published) => target.replace(published)?,
            None => {
                restamp_manifest(&target.path)?;
            }
        }
        Ok(tree)
    }

    /// Where the store keeps its copy of the manifest `tree`.
    #[must_use]
    pub fn manifest_path(&self, tree: &ContentHash) -> PathBuf {
        let suffix = manifest_suffix(tree.as_bytes());
        self.root()
            .join(OsStr::from_bytes(suffix.get(1..).unwrap_or_default()))
    }

    /// The store's copy, not yet named; `None` if it is there already.
    fn prepare_kept(
        &self,
        tree: &ContentHash,
        bytes: &[u8],
        stamp_ns: u32,
    ) -> Result<Option<Kept<'_>>, StoreError> {
        let path = self.manifest_path(tree);
        if is_stamped(&path, bytes.len() as u64, stamp_ns) {
            return Ok(None);
        }
        let failed = |errno| {
            StoreError::while_writing("keep the manifest", &path, bytes.len() as u64, errno)
        };
        let file = Temporary::create(self.root_fd(), self.way()?).map_err(failed)?;
        fill(&file, bytes).map_err(failed)?;
        let stamp = stamp_now(stamp_ns);
        futimens(file.file(), &stamp.times()).map_err(failed)?;
        fchmod(file.file(), Mode::from_bits_retain(0o444)).map_err(failed)?;
        stamp.check_stuck(file.file(), &path)?;
        Ok(Some(Kept {
            store: self,
            file,
            path,
        }))
    }
}

/// The store's copy of a manifest, complete but without a name.
struct Kept<'s> {
    store: &'s Store,
    file: Temporary<'s>,
    path: PathBuf,
}

impl Kept<'_> {
    /// Replaces whatever has the name: it is not what it should be, or it is the same.
    fn link(self) -> Result<(), StoreError> {
        let failed = |errno| StoreError::from_errno("keep the manifest", &self.path, errno);
        let relative =
            Path::new(MANIFESTS_DIRECTORY).join(self.path.file_name().unwrap_or_default());
        let name =
            CString::new(relative.as_os_str().as_bytes()).map_err(|_| failed(Errno::INVAL))?;
        let directory = self.store.root_fd();
        match self.file.link(directory, &name).map_err(failed)? {
            Naming::Given => Ok(()),
            Naming::Taken => self.file.replace(directory, &name).map_err(failed),
        }
    }
}

/// Where a manifest is to be published.
struct Destination {
    path: PathBuf,
    directory: std::os::fd::OwnedFd,
    name: CString,
}

/// Whether a manifest can be published as `destination`, as far as that can be told
/// before there is one: so that a build which cannot succeed need not begin.
///
/// # Errors
/// [`StoreError::Destination`], [`StoreError::Denied`], [`StoreError::ReadOnly`].
pub fn check_destination(destination: &Path) -> Result<(), StoreError> {
    let Destination {
        path, directory, ..
    } = Destination::open(destination)?;
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    match accessat(&directory, ".", wanted, AtFlags::EACCESS) {
        Err(Errno::ACCESS) => Err(StoreError::Destination {
            path,
            found: "one that this user may not write to",
            example: Path::new("app.velo").to_path_buf(),
        }),
        Err(errno @ Errno::ROFS) => {
            Err(StoreError::from_errno("publish the manifest", &path, errno))
        }
        // Whatever else the kernel says, publishing will tell.
        _ => Ok(()),
    }
}

impl Destination {
    fn open(wanted: &Path) -> Result<Self, StoreError> {
        // Through a symbolic link to a file, the file is replaced and not the link.
        let path = std::fs::canonicalize(wanted).unwrap_or_else(|_| wanted.to_path_buf());
        let failed = |errno| StoreError::from_errno("publish the manifest", &path, errno);
        let unfit = |found, example: &Path| StoreError::Destination {
            path: wanted.to_path_buf(),
            found,
            example: example.join("app.velo"),
        };
        if let Ok(found) = rustix::fs::stat(&path) {
            match FileType::from_raw_mode(found.st_mode) {
                FileType::RegularFile => {}
                FileType::Directory => return Err(unfit("a directory", wanted)),
                _ => return Err(unfit("a device, fifo or socket", Path::new(""))),
            }
        }
        let name = path
            .file_name()
            .ok_or_else(|| unfit("a directory", wanted))?;
        let name = CString::new(name.as_bytes()).map_err(|_| failed(Errno::INVAL))?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, parent, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT => unfit("no such directory", Path::new("")),
            Errno::NOTDIR => unfit("a file where the directory should be", Path::new("")),
            errno => failed(errno),
        })?;
        // What an earlier run left when it was killed; none of it is worth an error.
        let _cleaned = temporary::clean(&directory, LEFTOVER_AGE);
        Ok(Self {
            path,
            directory,
            name,
        })
    }

    /// Writes the file beside its destination; `None` if the destination has the bytes.
    fn prepare(&self, bytes: &[u8], stamp_ns: u32) -> Result<Option<Temporary<'_>>, StoreError> {
        if has_content(&self.path, bytes) {
            return Ok(None);
        }
        let needed = bytes.len() as u64;
        let failed =
            |errno| StoreError::while_writing("publish the manifest", &self.path, needed, errno);
        let directory = std::os::fd::AsFd::as_fd(&self.directory);
        let file =
            Temporary::create_named(directory, Mode::from_bits_retain(0o666)).map_err(failed)?;
        fill(&file, bytes).map_err(failed)?;
        futimens(file.file(), &stamp_now(stamp_ns).times()).map_err(failed)?;
        Ok(Some(file))
    }

    /// Onto the disk, unless the store's own barrier did that or there is no disk.
    fn sync(&self, file: &Temporary<'_>) -> Result<(), StoreError> {
        if Space::of(file.file()).is_ok_and(|space| space.memory) {
            return Ok(());
        }
        rustix::fs::fdatasync(file.file())
            .map_err(|errno| StoreError::from_errno("sync the manifest", &self.path, errno))
    }

    fn replace(&self, file: Temporary<'_>) -> Result<(), StoreError> {
        file.replace(borrow(&self.directory), &self.name)
            .map_err(|errno| StoreError::from_errno("publish the manifest", &self.path, errno))
    }
}

fn borrow(fd: &std::os::fd::OwnedFd) -> BorrowedFd<'_> {
    std::os::fd::AsFd::as_fd(fd)
}

/// Gives the manifest at `path` the stamp that spares readers a pass over it, if its
/// content is whole and the stamp is missing: after a plain `cp`, say. Returns whether it
/// carries the stamp now; it may not, if it is somebody else's or the file system keeps
/// coarse timestamps, and works all the same.
///
/// # Errors
/// [`StoreError::ManifestInvalid`] if the content is not whole, [`StoreError::Io`] if it
/// cannot be read.
pub fn restamp_manifest(path: &Path) -> Result<bool, StoreError> {
    let failed = |error: std::io::Error| {
        let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
        StoreError::from_errno("read the manifest", path, errno)
    };
    let invalid = |reason: String| StoreError::ManifestInvalid {
        path: path.to_path_buf(),
        reason,
    };
    let file = File::open(path).map_err(failed)?;
    let bytes = std::fs::read(path).map_err(failed)?;
    let manifest = Manifest::open(&bytes).map_err(|error| invalid(error.to_string()))?;
    let stat = fstat(&file).map_err(|errno| failed(errno.into()))?;
    let stamp = Stamp {
        seconds: stat.st_mtime,
        nanoseconds: stamp_ns(manifest.body_digest()),
    };
    if Stamp::read(&stat) == stamp {
        return Ok(true);
    }
    if !manifest.checksum_matches() {
        return Err(invalid("its checksum does not match its content".into()));
    }
    let set = futimens(&file, &stamp.times()).is_ok();
    Ok(set && stamp.check_stuck(&file, path).is_ok())
}

fn fill(file: &Temporary<'_>, bytes: &[u8]) -> rustix::io::Result<()> {
    let mut file = file.file();
    file.write_all(bytes)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// The time now, with the stamp for its nanoseconds.
pub(crate) fn stamp_now(stamp_ns: u32) -> Stamp {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Stamp {
        seconds: now.as_secs() as i64,
        nanoseconds: stamp_ns,
    }
}

/// Whether the manifest at `path` has that size and stamp.
pub(crate) fn is_stamped(path: &Path, size: u64, stamp_ns: u32) -> bool {
    rustix::fs::lstat(path).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode).is_file()
            && stat.st_size as u64 == size
            && Stamp::read(&stat).nanoseconds == stamp_ns
    })
}

fn has_content(path: &Path, bytes: &[u8]) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == bytes.len() as u64)
        && std::fs::read(path).is_ok_and(|content| content == bytes)
}
