//! Blobs by name: is it there, is it right, put it there, mend it, read it.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, chmodat, fchmod, futimens, openat, statat, utimensat,
};
use rustix::io::Errno;
use velo_core::id::ContentHash;
use velo_core::store_layout::{CAS_DIRECTORY, blob_suffix};

use crate::stamp::Stamp;
use crate::store::make_directory;
use crate::stream::{CHUNK_BYTES, hash_and_copy};
use crate::temporary::{Naming, Temporary};
use crate::{Store, StoreError, source::SourceStamp};

/// Mode of a blob that nothing executes.
const READABLE: Mode = Mode::from_bits_retain(0o444);
/// Mode of a blob that something executes.
const EXECUTABLE: Mode = Mode::from_bits_retain(0o555);

/// What stands under a blob's name.
pub(crate) enum Presence {
    /// Nothing.
    Absent,
    /// A file with the right size and stamp.
    Good(Stat),
    /// Something else.
    Damaged { expected: String, found: String },
}

/// How a blob came to be in the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Placed {
    New,
    AlreadyThere,
    Repaired,
}

impl Store {
    /// Where the blob of `hash` is, or would be.
    #[must_use]
    pub fn blob_path(&self, hash: &ContentHash) -> PathBuf {
        let suffix = blob_suffix(hash.as_bytes());
        // The suffix is ASCII and starts with a slash.
        self.root().join(std::ffi::OsStr::from_bytes(
            suffix.get(1..).unwrap_or_default(),
        ))
    }

    /// Whether the blob is there and carries its stamp. Its content is not read.
    #[must_use]
    pub fn contains(&self, hash: &ContentHash) -> bool {
        matches!(self.presence(hash, None), Ok(Presence::Good(_)))
    }

    /// Whether the blob is there as a file of `size_bytes` needs it: with its stamp, and
    /// executable if `want_exec`. What is not can be put right by putting it again.
    #[must_use]
    pub fn serves(&self, hash: &ContentHash, size_bytes: u64, want_exec: bool) -> bool {
        let Ok(Presence::Good(stat)) = self.presence(hash, Some(size_bytes)) else {
            return false;
        };
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        mode == EXECUTABLE || (!want_exec && mode == READABLE)
    }

    /// Opens a blob for reading, after checking its stamp.
    ///
    /// # Errors
    /// [`StoreError::BlobMissing`], [`StoreError::BlobDamaged`].
    pub fn open_blob(&self, hash: &ContentHash) -> Result<File, StoreError> {
        match self.presence(hash, None)? {
            Presence::Good(_) => self.open_unchecked(hash),
            Presence::Absent => Err(self.missing(hash)),
            Presence::Damaged { expected, found } => Err(self.damaged(hash, expected, found)),
        }
    }

    /// Reads a whole blob and checks that its content is what its name says.
    ///
    /// # Errors
    /// [`StoreError::BlobMissing`], [`StoreError::BlobDamaged`].
    pub fn read_verified(&self, hash: &ContentHash) -> Result<Vec<u8>, StoreError> {
        let mut content = Vec::new();
        self.open_unchecked(hash)?
            .read_to_end(&mut content)
            .map_err(|error| self.blob_io("read the blob", hash, &error))?;
        let found = ContentHash::of(&content);
        if found == *hash {
            return Ok(content);
        }
        let found = format!("{} bytes of content {found}", content.len());
        Err(self.damaged(hash, format!("content {hash}"), found))
    }

    /// Reads a blob through, in constant memory, and checks that its content is what its
    /// name says. Returns its size in bytes.
    ///
    /// # Errors
    /// [`StoreError::BlobMissing`], [`StoreError::BlobDamaged`].
    pub fn verify_blob(&self, hash: &ContentHash) -> Result<u64, StoreError> {
        let (found, size) = self.hash_of_blob(hash, &mut Vec::new())?;
        if found == *hash {
            return Ok(size);
        }
        let found = format!("{size} bytes of content {found}");
        Err(self.damaged(hash, format!("content {hash}"), found))
    }

    /// The hash that the file under a blob's name really has, and its size.
    pub(crate) fn hash_of_blob(
        &self,
        hash: &ContentHash,
        buffer: &mut Vec<u8>,
    ) -> Result<(ContentHash, u64), StoreError> {
        let blob = self.open_unchecked(hash)?;
        let stamp = SourceStamp::of(&blob)?;
        let read = hash_and_copy(&blob, &stamp, None, buffer, &|_| ())?;
        Ok((read.hash, read.length))
    }

    /// What stands under the name of `hash`; a size that does not fit is damage.
    pub(crate) fn presence(
        &self,
        hash: &ContentHash,
        size: Option<u64>,
    ) -> Result<Presence, StoreError> {
        let name = BlobName::of(hash);
        let stat = match statat(self.cas(), name.path(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(Presence::Absent),
            Err(errno) => return Err(self.blob_errno("look at the blob", hash, errno)),
        };
        let damaged = |expected, found| Ok(Presence::Damaged { expected, found });
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return damaged("a regular file".into(), format!("mode {:o}", stat.st_mode));
        }
        if let Some(size) = size
            && stat.st_size as u64 != size
        {
            return damaged(format!("{size} bytes"), format!("{} bytes", stat.st_size));
        }
        let (expected, found) = (Stamp::of_blob(hash.as_bytes()), Stamp::read(&stat));
        if expected != found {
            return damaged(format!("mtime {expected}"), format!("mtime {found}"));
        }
        Ok(Presence::Good(stat))
    }

    /// The blob of `hash`, if it is there with this size, made executable if `want_exec`.
    /// A damaged one whose content is right after all gets its stamp back.
    pub(crate) fn settle(
        &self,
        hash: &ContentHash,
        size: u64,
        want_exec: bool,
    ) -> Result<Settled, StoreError> {
        match self.presence(hash, Some(size))? {
            Presence::Absent => Ok(Settled::Absent),
            Presence::Good(stat) => {
                self.allow(hash, &stat, want_exec)?;
                Ok(Settled::There(Placed::AlreadyThere))
            }
            Presence::Damaged { .. } => {
                if self.restamp_blob(hash, want_exec)? {
                    Ok(Settled::There(Placed::Repaired))
                } else {
                    Ok(Settled::Damaged)
                }
            }
        }
    }

    /// Gives a blob its stamp and mode back if its content is right; says whether it was.
    ///
    /// # Errors
    /// If it cannot be read or its mtime cannot be set.
    pub fn restamp_blob(&self, hash: &ContentHash, want_exec: bool) -> Result<bool, StoreError> {
        match self.hash_of_blob(hash, &mut Vec::new()) {
            Ok((found, _)) if found == *hash => {}
            Ok(_)
            | Err(
                StoreError::NotRegular { .. }
                | StoreError::BlobMissing { .. }
                | StoreError::BlobDamaged { .. },
            ) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        let name = BlobName::of(hash);
        let times = Stamp::of_blob(hash.as_bytes()).times();
        utimensat(self.cas(), name.path(), &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| self.blob_errno("restore the stamp", hash, errno))?;
        if let Presence::Good(stat) = self.presence(hash, None)? {
            self.allow(hash, &stat, want_exec)?;
        }
        Ok(true)
    }

    /// Raises the mode to what is wanted now; never lowers it.
    pub(crate) fn allow(
        &self,
        hash: &ContentHash,
        stat: &Stat,
        want_exec: bool,
    ) -> Result<(), StoreError> {
        let mode = stat.st_mode & 0o7777;
        let wanted = if want_exec || mode & 0o111 != 0 {
            EXECUTABLE
        } else {
            READABLE
        };
        if mode == wanted.as_raw_mode() {
            return Ok(());
        }
        let name = BlobName::of(hash);
        match chmodat(self.cas(), name.path(), wanted, AtFlags::empty()) {
            Ok(()) => Ok(()),
            // Somebody else's blob that serves as it is.
            Err(Errno::PERM | Errno::ROFS) if !want_exec && mode & 0o444 == 0o444 => Ok(()),
            Err(errno) => Err(self.blob_errno("make the blob executable", hash, errno)),
        }
    }

    /// Stamps a complete file and gives it its name in the store, or finds out that
    /// somebody else did meanwhile.
    pub(crate) fn place(
        &self,
        complete: Temporary<'_>,
        hash: &ContentHash,
        size: u64,
        want_exec: bool,
    ) -> Result<Placed, StoreError> {
        let failed =
            |action, errno| StoreError::while_writing(action, &self.blob_path(hash), size, errno);
        let stamp = Stamp::of_blob(hash.as_bytes());
        futimens(complete.file(), &stamp.times()).map_err(|e| failed("stamp the blob", e))?;
        let mode = if want_exec { EXECUTABLE } else { READABLE };
        fchmod(complete.file(), mode).map_err(|e| failed("protect the blob", e))?;
        // A property of the file system, so one look is enough.
        if !self.stamp_sticks.load(Ordering::Relaxed) {
            stamp.check_stuck(complete.file(), &self.root().join(CAS_DIRECTORY))?;
            self.stamp_sticks.store(true, Ordering::Relaxed);
        }
        let name = BlobName::of(hash);
        let linked = match complete.link(self.cas(), name.path()) {
            Err(Errno::NOENT) => {
                match make_directory(self.cas(), &name.shard()) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(failed("create the blob's directory", errno)),
                }
                complete.link(self.cas(), name.path())
            }
            other => other,
        };
        match linked.map_err(|errno| failed("name the blob", errno))? {
            Naming::Given => Ok(Placed::New),
            Naming::Taken => match self.settle(hash, size, want_exec)? {
                Settled::There(placed) => Ok(placed),
                Settled::Absent | Settled::Damaged => {
                    complete
                        .replace(self.cas(), name.path())
                        .map_err(|errno| failed("replace the damaged blob", errno))?;
                    Ok(Placed::Repaired)
                }
            },
        }
    }

    fn open_unchecked(&self, hash: &ContentHash) -> Result<File, StoreError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(self.cas(), BlobName::of(hash).path(), flags, Mode::empty()) {
            Ok(fd) => Ok(fd.into()),
            Err(Errno::NOENT) => Err(self.missing(hash)),
            Err(Errno::LOOP | Errno::NXIO) => {
                Err(self.damaged(hash, "a regular file".into(), "something else".into()))
            }
            Err(errno) => Err(self.blob_errno("open the blob", hash, errno)),
        }
    }

    pub(crate) fn missing(&self, hash: &ContentHash) -> StoreError {
        StoreError::BlobMissing {
            blob: *hash,
            path: self.blob_path(hash),
        }
    }

    pub(crate) fn damaged(
        &self,
        hash: &ContentHash,
        expected: String,
        found: String,
    ) -> StoreError {
        StoreError::BlobDamaged {
            blob: *hash,
            path: self.blob_path(hash),
            expected,
            found,
        }
    }

    fn blob_errno(&self, action: &'static str, hash: &ContentHash, errno: Errno) -> StoreError {
        StoreError::from_errno(action, &self.blob_path(hash), errno)
    }

    pub(crate) fn blob_io(
        &self,
        action: &'static str,
        hash: &ContentHash,
        error: &std::io::Error,
    ) -> StoreError {
        self.blob_errno(
            action,
            hash,
            Errno::from_io_error(error).unwrap_or(Errno::IO),
        )
    }
}

/// What [`Store::settle`] found.
pub(crate) enum Settled {
    /// It must be written.
    Absent,
    /// It is there now.
    There(Placed),
    /// Something else has its name; it must be written and put in its place.
    Damaged,
}

/// `ab/<hex>`: a blob's name relative to the CAS directory, NUL-terminated.
pub(crate) struct BlobName([u8; NAME_BYTES + 1]);

/// Bytes of `ab/<hex>`.
const NAME_BYTES: usize = 2 + 1 + 64;

impl BlobName {
    pub(crate) fn of(hash: &ContentHash) -> Self {
        let suffix = blob_suffix(hash.as_bytes());
        let mut name = [0; NAME_BYTES + 1];
        let relative = suffix.get(suffix.len() - NAME_BYTES..).unwrap_or_default();
        for (slot, byte) in name.iter_mut().zip(relative) {
            *slot = *byte;
        }
        Self(name)
    }

    pub(crate) fn path(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }

    fn shard(&self) -> CString {
        CString::new(self.0.get(..2).unwrap_or_default()).unwrap_or_default()
    }
}

const _: () = assert!(
    CHUNK_BYTES.is_multiple_of(4096),
    "pages do not straddle chunks"
);

#[cfg(test)]
mod tests {
    use super::BlobName;
    use velo_core::id::ContentHash;

    #[test]
    fn name_is_relative_to_the_cas_directory() {
        let name = BlobName::of(&ContentHash::from_bytes([0xa8; 32]));
        assert_eq!(
            name.path().to_str().unwrap(),
            format!("a8/{}", "a8".repeat(32))
        );
        assert_eq!(name.shard().as_c_str(), c"a8");
    }
}
