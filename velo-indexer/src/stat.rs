//! What the kernel says of one path, in the fields that the manifest and the stat
//! cache need. Nothing here opens or reads anything.

use std::ffi::CStr;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp, statx};
pub(crate) use velo_core::manifest::Time;

fn time(time: StatxTimestamp) -> Time {
    Time {
        sec: time.tv_sec,
        nsec: time.tv_nsec,
    }
}

/// The metadata of one entry.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Stat {
    pub(crate) ino: u64,
    /// Device, major number in the high half.
    pub(crate) dev: u64,
    pub(crate) size: u64,
    /// 512-byte blocks.
    pub(crate) blocks: u64,
    pub(crate) mtime: Time,
    pub(crate) ctime: Time,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) nlink: u32,
}

/// What only an exact manifest records.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Extra {
    pub(crate) atime: Time,
    pub(crate) btime: Option<Time>,
    pub(crate) blksize: u32,
}

impl Stat {
    pub(crate) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    /// Whether `self` and `later` are the same state of the same inode. Any change of
    /// content or metadata moves ctime, which nobody can set back.
    pub(crate) fn is_same_state(&self, later: &Self) -> bool {
        (self.ino, self.dev, self.size, self.mode) == (later.ino, later.dev, later.size, later.mode)
            && self.mtime == later.mtime
            && self.ctime == later.ctime
    }

    /// Permission and type bits apart, whether both are the same inode.
    pub(crate) fn is_same_inode(&self, other: &Self) -> bool {
        (self.ino, self.dev) == (other.ino, other.dev)
    }

    /// Blocks that a file of this size needs without holes.
    pub(crate) fn blocks_expected(&self) -> u64 {
        self.size.div_ceil(4096) * 8
    }
}

/// Asks for the metadata of `name` in `directory` (of `directory` itself if `name` is
/// empty), not following a symbolic link and not triggering an automount.
pub(crate) fn look(
    directory: impl AsFd,
    name: &CStr,
    exact: bool,
) -> rustix::io::Result<(Stat, Extra)> {
    let wanted = StatxFlags::BASIC_STATS.difference(StatxFlags::ATIME);
    let wanted = if exact {
        wanted | StatxFlags::ATIME | StatxFlags::BTIME
    } else {
        wanted
    };
    let mut flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    if name.is_empty() {
        flags |= AtFlags::EMPTY_PATH;
    }
    statx(directory, name, flags, wanted).map(|found| convert(&found))
}

fn convert(found: &Statx) -> (Stat, Extra) {
    let stat = Stat {
        ino: found.stx_ino,
        dev: u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor),
        size: found.stx_size,
        blocks: found.stx_blocks,
        mtime: time(found.stx_mtime),
        ctime: time(found.stx_ctime),
        mode: u32::from(found.stx_mode),
        uid: found.stx_uid,
        gid: found.stx_gid,
        nlink: found.stx_nlink,
    };
    let born = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
    let extra = Extra {
        atime: time(found.stx_atime),
        btime: born.then(|| time(found.stx_btime)),
        blksize: found.stx_blksize,
    };
    (stat, extra)
}
