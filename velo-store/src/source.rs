//! Reading a source file as one consistent content, although somebody may be writing it.
//!
//! Sources are read, never mapped: a file that shrinks gives an error, not a SIGBUS.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FileType, Mode, OFlags, Stat, lstat, open};

use crate::StoreError;

/// Longest tick of the clock that file systems take their times from (100 Hz).
const CLOCK_TICK_MAX: Duration = Duration::from_millis(10);

/// What tells that a source was not written to: taken before and after reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SourceStamp {
    /// Size in bytes.
    pub size: u64,
    /// Last change of the content, seconds and nanoseconds since the epoch.
    pub mtime: (i64, u32),
    /// Last change of content or metadata, seconds and nanoseconds since the epoch.
    pub ctime: (i64, u32),
    /// Allocated 512-byte blocks.
    pub blocks: u64,
}

impl SourceStamp {
    /// Of an open regular file.
    pub(crate) fn of(source: &File) -> Result<Self, StoreError> {
        let stat = rustix::fs::fstat(source).map_err(|errno| unreadable(source, errno.into()))?;
        check_regular(&stat, || name_of(source))?;
        Ok(Self {
            size: stat.st_size as u64,
            mtime: (stat.st_mtime, stat.st_mtime_nsec as u32),
            ctime: (stat.st_ctime, stat.st_ctime_nsec as u32),
            blocks: stat.st_blocks as u64,
        })
    }

    /// Fewer blocks than the size needs: there may be holes.
    pub(crate) fn is_sparse(&self) -> bool {
        self.blocks.saturating_mul(512) < self.size
    }

    /// How long to wait before reading, so that any later write moves the mtime: kernels
    /// before 6.13 take it from a clock that ticks every 10 ms at the slowest.
    pub(crate) fn settling_time(&self) -> Duration {
        let ctime = Duration::new(self.ctime.0.max(0) as u64, self.ctime.1);
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        // A ctime in the future is another machine's; nothing is known about its clock.
        match now.checked_sub(ctime) {
            Some(age) => CLOCK_TICK_MAX.saturating_sub(age),
            None => Duration::ZERO,
        }
    }

    /// What differs in `after`, in words; `None` if nothing that content depends on does.
    pub(crate) fn change(&self, after: &Self) -> Option<String> {
        if self.size != after.size {
            return Some(format!("size {} became {}", self.size, after.size));
        }
        if self.mtime != after.mtime {
            return Some("its mtime moved on".into());
        }
        (self.ctime != after.ctime).then(|| "its ctime moved on".into())
    }
}

/// Opens a source for [`Store::put`](crate::Store::put): never through a symbolic link,
/// never waiting for the other end of a fifo, never starting a device.
///
/// # Errors
/// [`StoreError::NotRegular`], [`StoreError::SourceUnreadable`].
pub fn open_source(path: &Path) -> Result<File, StoreError> {
    let failed = |errno: rustix::io::Errno| StoreError::SourceUnreadable {
        path: path.to_path_buf(),
        uid: rustix::process::geteuid().as_raw(),
        error: errno.into(),
    };
    check_regular(&lstat(path).map_err(failed)?, || path.to_path_buf())?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    open(path, flags, Mode::empty())
        .map(File::from)
        .map_err(failed)
}

/// Reads up to `buffer.len()` bytes from `offset`; fewer only at the end of the file.
pub(crate) fn read_at(source: &File, buffer: &mut [u8], offset: u64) -> Result<usize, StoreError> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..)
        && !rest.is_empty()
    {
        match source.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(source, error)),
        }
    }
    Ok(filled)
}

/// The path that an open file was opened by, for error messages.
pub(crate) fn name_of(file: &File) -> PathBuf {
    let link = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    std::fs::read_link(&link).unwrap_or_else(|_| link.into())
}

pub(crate) fn unreadable(source: &File, error: std::io::Error) -> StoreError {
    let uid = rustix::process::geteuid().as_raw();
    StoreError::SourceUnreadable {
        path: name_of(source),
        uid,
        error,
    }
}

fn check_regular(stat: &Stat, path: impl FnOnce() -> PathBuf) -> Result<(), StoreError> {
    let found = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "directory",
        FileType::Symlink => "symbolic link",
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::CharacterDevice => "character device",
        FileType::BlockDevice => "block device",
        FileType::Unknown => "file of unknown type",
    };
    Err(StoreError::NotRegular {
        path: path(),
        found,
    })
}
