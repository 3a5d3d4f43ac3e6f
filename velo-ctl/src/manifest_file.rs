//! A manifest file, mapped and checked, until this process ends.
//!
//! Trusts what the preload library trusts: a file whose size and mtime stamp are
//! those of its header. Anything else is checked whole before it is believed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::ptr;

use rustix::fs::{Timespec, Timestamps, UTIME_OMIT};
use rustix::mm::{MapFlags, ProtFlags};
use velo_core::id::ContentHash;
use velo_core::manifest::Manifest;
use velo_core::stamp::stamp_ns;

use crate::failure::{Failure, shown};

/// What to do about a manifest that cannot be read.
const REBUILD: &str = "rebuild it with `velo-ctl build-manifest`, or copy it again";

/// An open manifest.
pub struct ManifestFile {
    /// Absolute path.
    pub path: PathBuf,
    /// The whole file.
    pub bytes: &'static [u8],
    /// The reader over `bytes`.
    pub manifest: Manifest<'static>,
    file: File,
    mtime: (i64, u32),
}

impl ManifestFile {
    /// Opens the file at `path`; believes what carries its stamp.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let opened = Self::map(path)?;
        if !opened.is_stamped() {
            opened.check_sum()?;
        }
        Ok(opened)
    }

    /// Opens the file for programs to use: a stamped one was verified when it was
    /// published, so its checksum says whether it is still that; any other is
    /// verified and stamped. A checksum takes a tenth of the time.
    pub fn open_to_serve(path: &Path) -> Result<Self, Failure> {
        let opened = Self::map(path)?;
        if opened.is_stamped() {
            opened.check_sum()?;
        } else {
            opened.check_all()?;
        }
        Ok(opened)
    }

    /// Opens the file and checks everything in it, whatever its stamp says; a file
    /// without its stamp (a copy) gets it, so that the next start need not look.
    pub fn open_verified(path: &Path) -> Result<Self, Failure> {
        let opened = Self::map(path)?;
        opened.check_all()?;
        Ok(opened)
    }

    fn check_sum(&self) -> Result<(), Failure> {
        if self.manifest.checksum_matches() {
            return Ok(());
        }
        Err(self.unusable("expected the body's checksum to be the header's, found another"))
    }

    fn check_all(&self) -> Result<(), Failure> {
        self.manifest
            .verify()
            .map_err(|error| self.unusable(error))?;
        self.stamp();
        Ok(())
    }

    fn map(path: &Path) -> Result<Self, Failure> {
        let path = std::path::absolute(path).map_err(|error| Failure::io(path, &error))?;
        let failed = |error: io::Error| Failure::io(&path, &error);
        // A fifo in its place must not make us wait for a writer.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path);
        let file = file.map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            let found = if metadata.is_dir() {
                "a directory"
            } else {
                "something that is no regular file"
            };
            return Err(Failure::expected(
                format_args!("a manifest at {}", shown(path.as_os_str())),
                found,
                "name a file made by `velo-ctl build-manifest`",
            ));
        }
        let bytes = mapped(&file, metadata.len()).map_err(failed)?;
        let manifest = Manifest::open(bytes).map_err(|error| unusable(&path, error))?;
        let mtime = (metadata.mtime(), metadata.mtime_nsec() as u32);
        Ok(Self {
            path,
            bytes,
            manifest,
            file,
            mtime,
        })
    }

    fn unusable(&self, why: impl std::fmt::Display) -> Failure {
        unusable(&self.path, why)
    }

    /// Whether the mtime carries the stamp, so that the body need not be checked.
    pub fn is_stamped(&self) -> bool {
        self.mtime.1 == stamp_ns(self.manifest.body_digest())
    }

    /// Sets the stamp if it is missing and this user may; nobody depends on it.
    fn stamp(&self) {
        if self.is_stamped() {
            return;
        }
        let stamp = Timespec {
            tv_sec: self.mtime.0,
            tv_nsec: stamp_ns(self.manifest.body_digest()).into(),
        };
        let unchanged = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        };
        let _ = rustix::fs::futimens(
            &self.file,
            &Timestamps {
                last_access: unchanged,
                last_modification: stamp,
            },
        );
    }

    /// The manifest's identity: BLAKE3 of the whole file.
    pub fn tree_id(&self) -> ContentHash {
        ContentHash::of(self.bytes)
    }
}

fn unusable(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(format_args!(
        "{}: {why}; {REBUILD}",
        shown(path.as_os_str())
    ))
}

/// Maps the file, never to be unmapped.
fn mapped(file: &File, bytes: u64) -> io::Result<&'static [u8]> {
    let length =
        usize::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    if length == 0 {
        return Ok(&[]);
    }
    // SAFETY: a new private read-only mapping, at an address of the kernel's choice.
    let start = unsafe {
        rustix::mm::mmap(
            ptr::null_mut(),
            length,
            ProtFlags::READ,
            MapFlags::PRIVATE,
            file,
            0,
        )
    }?;
    // SAFETY: `length` readable bytes that stay mapped. Manifests are replaced by
    // rename, never changed in place; if somebody does truncate one, the kernel ends
    // this process with SIGBUS instead of letting it read something else.
    Ok(unsafe { std::slice::from_raw_parts(start.cast(), length) })
}
