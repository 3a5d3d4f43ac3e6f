//! The manifests that `velo-ctl use` set: what a program is served if `VELO_MANIFEST`
//! says nothing.

use std::ffi::{CString, OsString};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, fchmod, unlinkat};
use rustix::io::Errno;
use velo_core::store_layout::CURRENT_FILE;

use crate::temporary::{Temporary, Way};
use crate::{Store, StoreError};

impl Store {
    /// Makes `manifests` the current ones, in this order; none at all unsets them.
    /// Changes from the old list to the new one in one step.
    ///
    /// # Errors
    /// [`StoreError::ManifestPath`] for a path that the list cannot hold, and what
    /// writing can meet.
    pub fn set_current(&self, manifests: &[PathBuf]) -> Result<(), StoreError> {
        let mut list = Vec::new();
        for path in manifests {
            let bytes = path.as_os_str().as_bytes();
            if !path.is_absolute() || bytes.iter().any(|byte| b":\n".contains(byte)) {
                return Err(StoreError::ManifestPath { path: path.clone() });
            }
            if !list.is_empty() {
                list.push(b':');
            }
            list.extend_from_slice(bytes);
        }
        let file = self.root().join(CURRENT_FILE);
        let failed = |errno| {
            StoreError::while_writing("set the current manifests", &file, list.len() as u64, errno)
        };
        let name = CString::new(CURRENT_FILE).map_err(|_| failed(Errno::INVAL))?;
        if list.is_empty() {
            return match unlinkat(self.root_fd(), &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Ok(()),
                Err(errno) => Err(failed(errno)),
            };
        }
        let temporary = Temporary::create(self.root_fd(), Way::Named).map_err(failed)?;
        temporary
            .file()
            .write_all(&list)
            .map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        fchmod(temporary.file(), Mode::from_bits_retain(0o644)).map_err(failed)?;
        temporary.replace(self.root_fd(), &name).map_err(failed)
    }

    /// The current manifests; none if none are set.
    ///
    /// # Errors
    /// If the file is there but cannot be read.
    pub fn current(&self) -> Result<Vec<PathBuf>, StoreError> {
        let file = self.root().join(CURRENT_FILE);
        match std::fs::read(&file) {
            Ok(list) => Ok(parse(&list)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(StoreError::from_errno(
                "read the current manifests",
                Path::new(&file),
                Errno::from_io_error(&error).unwrap_or(Errno::IO),
            )),
        }
    }
}

/// The paths in a list; a line end, as an editor leaves it, is not part of one.
fn parse(list: &[u8]) -> Vec<PathBuf> {
    list.trim_ascii_end()
        .split(|byte| *byte == b':')
        .filter(|path| !path.is_empty())
        .map(|path| OsString::from_vec(path.to_vec()).into())
        .collect()
}
