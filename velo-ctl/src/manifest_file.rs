//! A manifest file, mapped and checked, until this process ends.
//!
//! Trusts what the preload library trusts: a file whose size and mtime stamp are
//! those of its header. Anything else is checked whole before it is believed.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
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
    /// Opens and checks the file at `path`.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let opened = Self::map(path)?;
        if !opened.is_stamped() && !opened.manifest.checksum_matches() {
            return Err(opened.unusable("the body's checksum to match the header's", "it does not"));
        }
        Ok(opened)
    }

    /// Opens the file and checks everything in it, whatever its stamp says; a file
    /// without its stamp (a copy) gets it, so that the next start need not look.
    pub fn open_verified(path: &Path) -> Result<Self, Failure> {
        let opened = Self::map(path)?;
        opened
            .manifest
            .verify()
            .map_err(|error| opened.unusable("a sound manifest", error))?;
        opened.stamp();
        Ok(opened)
    }

    fn map(path: &Path) -> Result<Self, Failure> {
        let path = std::path::absolute(path).map_err(|error| Failure::io(path, &error))?;
        let failed = |error: io::Error| Failure::io(&path, &error);
        let file = File::open(&path).map_err(failed)?;
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
        let manifest = Manifest::open(bytes).map_err(|error| {
            Failure::new(format_args!(
                "{}: {error}; {REBUILD}",
                shown(path.as_os_str())
            ))
        })?;
        let mtime = (metadata.mtime(), metadata.mtime_nsec() as u32);
        Ok(Self {
            path,
            bytes,
            manifest,
            file,
            mtime,
        })
    }

    fn unusable(&self, expected: &str, found: impl std::fmt::Display) -> Failure {
        Failure::new(format_args!(
            "{}: expected {expected}, found: {found}; {REBUILD}",
            shown(self.path.as_os_str())
        ))
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
