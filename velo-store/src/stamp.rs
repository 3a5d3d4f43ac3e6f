//! Setting and reading the mtime that marks a blob, a manifest or a view directory.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Stat, Timespec, Timestamps, UTIME_OMIT};
use velo_core::stamp::stamp_ns;

use crate::StoreError;

/// An mtime that carries a stamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
}

impl Stamp {
    /// What a blob of this content carries.
    pub(crate) fn of_blob(hash: &[u8; 32]) -> Self {
        Self {
            seconds: 0,
            nanoseconds: stamp_ns(hash),
        }
    }

    /// What the view directory of an entry carries.
    pub(crate) fn of_view_directory(body_digest: &[u8; 32], entry: u32) -> Self {
        Self {
            seconds: i64::from(entry),
            nanoseconds: stamp_ns(body_digest),
        }
    }

    /// What a file carries.
    pub(crate) fn read(stat: &Stat) -> Self {
        Self {
            seconds: stat.st_mtime,
            nanoseconds: stat.st_mtime_nsec as u32,
        }
    }

    /// For utimensat(2): this mtime, the atime as it is.
    pub(crate) fn times(self) -> Timestamps {
        Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: self.seconds,
                tv_nsec: self.nanoseconds.into(),
            },
        }
    }

    /// Checks that the file system kept the stamp.
    pub(crate) fn check_stuck(self, file: impl AsFd, path: &Path) -> Result<(), StoreError> {
        let stat = rustix::fs::fstat(file)
            .map_err(|errno| StoreError::from_errno("read back the stamp", path, errno))?;
        let found = Self::read(&stat);
        if found == self {
            return Ok(());
        }
        Err(StoreError::StampLost {
            path: path.to_path_buf(),
            expected: self.to_string(),
            found: found.to_string(),
        })
    }
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{:09}", self.seconds, self.nanoseconds)
    }
}
