//! What stat(2) answers for an entry.
//!
//! Computed from the vnode and the node; a manifest made with `--exact` holds what the
//! source's own stat said and then that is the answer. The device is made up, and the
//! same in every process: major 0, minor derived from the body's digest.

use super::Manifest;
use super::layout::{
    self, GROUP_BYTES, Node, SPARSE_BYTES, SUBDIRS_BYTES, SUBDIRS_IN_NODE, SourceStat, long_at,
    word_at, words,
};
use crate::vnode::{VnodeEntry, flag};

/// Preferred block size for input and output, unless the source's is recorded.
pub const BLOCK_SIZE_BYTES: u32 = 4096;
/// Major number of the device: that of devices without hardware.
pub const DEV_MAJOR: u32 = 0;
/// Set in every minor number, so that it is not one of the kernel's own: those count up.
const DEV_MINOR_HIGH: u32 = 1 << 19;

/// Longest symlink target that a file system keeps in the inode (ext4: 59 bytes).
const TARGET_BYTES_INLINE_MAX: u64 = 59;
/// `st_blocks` counts 512 bytes each: 8 for every 4,096.
const BLOCKS_PER_PAGE: u64 = 8;

/// A point in time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time {
    /// Seconds since the epoch.
    pub sec: i64,
    /// Nanoseconds, less than 1,000,000,000.
    pub nsec: u32,
}

/// What stat(2) and statx(2) report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Metadata {
    /// Inode number.
    pub ino: u64,
    /// File type and permissions.
    pub mode: u32,
    /// Number of hard links.
    pub nlink: u32,
    /// User id of the owner.
    pub uid: u32,
    /// Group id of the owner.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Blocks of 512 bytes.
    pub blocks: u64,
    /// Preferred block size for input and output, in bytes.
    pub blksize: u32,
    /// Time of the last access.
    pub atime: Time,
    /// Time of the last modification.
    pub mtime: Time,
    /// Time of the last status change.
    pub ctime: Time,
    /// Time of birth, if it is known.
    pub btime: Option<Time>,
    /// Device, major number.
    pub dev_major: u32,
    /// Device, minor number; 20 bits.
    pub dev_minor: u32,
}

impl<'a> Manifest<'a> {
    /// What stat(2) says of an entry; of a symlink itself, as lstat(2).
    #[must_use]
    #[inline]
    pub fn stat(&self, index: u32) -> Option<Metadata> {
        let vnode = self.vnode(index)?;
        let node = self.node(index)?;
        let [uid, gid] = words(self.owners.get(usize::from(node.owner))?);
        let mtime = Time {
            sec: vnode.mtime.cast_signed(),
            nsec: node.mtime_ns,
        };
        let mut found = Metadata {
            ino: u64::from(index) + 1,
            mode: vnode.mode,
            nlink: 1,
            uid,
            gid,
            size: vnode.size,
            blocks: usual_blocks(&vnode),
            blksize: BLOCK_SIZE_BYTES,
            atime: mtime,
            mtime,
            ctime: mtime,
            btime: None,
            dev_major: DEV_MAJOR,
            dev_minor: self.dev_minor(),
        };
        if let Some(source) = self.source_stat(index) {
            found.ino = source.ino;
            found.nlink = source.nlink;
            found.blocks = source.blocks;
            found.blksize = source.blksize;
            found.atime = source.atime;
            found.ctime = source.ctime;
            found.btime = source.btime;
            return Some(found);
        }
        if vnode.is_dir() {
            found.nlink = self.subdirs(index, &node).saturating_add(2);
        } else if vnode.has(flag::HARDLINK) {
            let members = self.group(self.group_of(index, &vnode)?)?;
            found.ino = u64::from(u32::from_le_bytes(*members.first()?)) + 1;
            found.nlink = members.len() as u32;
        }
        if vnode.has(flag::SPARSE) {
            found.blocks = self.sparse_blocks(index)?;
        }
        Some(found)
    }

    /// The minor number of the made-up device of this manifest.
    #[must_use]
    #[inline]
    pub fn dev_minor(&self) -> u32 {
        word_at(self.body_digest(), 8) & (DEV_MINOR_HIGH - 1) | DEV_MINOR_HIGH
    }

    /// What the source's stat said, in a manifest made with `--exact`.
    #[must_use]
    #[inline]
    pub fn source_stat(&self, index: u32) -> Option<SourceStat> {
        let record = self.source_stats.get(index as usize)?;
        Some(SourceStat::from_bytes(record))
    }

    /// Number of directories in a directory.
    #[inline]
    pub(super) fn subdirs(&self, index: u32, node: &Node) -> u32 {
        if node.subdirs != SUBDIRS_IN_NODE {
            return u32::from(node.subdirs);
        }
        let record: Option<&[u8; SUBDIRS_BYTES]> = Self::record(self.subdirs, index);
        record.map_or(u32::from(SUBDIRS_IN_NODE), |record| word_at(record, 4))
    }

    /// The inode number that [`Manifest::stat`] reports.
    #[must_use]
    #[inline]
    pub fn ino(&self, index: u32) -> Option<u64> {
        if let Some(source) = self.source_stat(index) {
            return Some(source.ino);
        }
        let vnode = self.vnode(index)?;
        let first = match vnode.has(flag::HARDLINK) {
            true => u32::from_le_bytes(*self.group(self.group_of(index, &vnode)?)?.first()?),
            false => index,
        };
        Some(u64::from(first) + 1)
    }

    /// Number of the hard-link group of an entry that is in one.
    pub(super) fn group_of(&self, index: u32, vnode: &VnodeEntry) -> Option<u32> {
        if vnode.is_symlink() {
            let record = Self::record(self.hard_link_parts()?.symlinks, index)?;
            return Some(word_at(record, 4));
        }
        self.node(index)?.count.checked_sub(1)
    }

    /// Members of a hard-link group, ascending.
    pub(super) fn group(&self, number: u32) -> Option<&'a [[u8; 4]]> {
        let parts = self.hard_link_parts()?;
        let [first, count] = words(parts.groups.get(number as usize)?);
        let start = first as usize;
        parts.members.get(start..start.checked_add(count as usize)?)
    }

    /// The arrays of section `HARDLINKS`, which they fill.
    pub(super) fn hard_link_parts(&self) -> Option<HardLinkParts<'a>> {
        const COUNTS: usize = layout::HARD_LINK_COUNTS_BYTES;
        let (counts, rest) = self.hard_links.split_first_chunk::<COUNTS>()?;
        let [groups, members, symlinks, zero] = words(counts);
        let (groups, rest) = rest.split_at_checked((groups as usize).checked_mul(GROUP_BYTES)?)?;
        let (members, symlink_bytes) = rest.split_at_checked((members as usize).checked_mul(4)?)?;
        let (symlinks_found, []) = symlink_bytes.as_chunks() else {
            return None;
        };
        let sound = symlinks_found.len() == symlinks as usize && zero == 0;
        sound.then_some(HardLinkParts {
            groups: groups.as_chunks().0,
            members: members.as_chunks().0,
            symlinks: symlinks_found,
        })
    }

    /// The entry itself and all its hard links in the tree, ascending; nothing if it
    /// has no other.
    pub fn hard_links(&self, index: u32) -> impl Iterator<Item = u32> + use<'a> {
        let vnode = self.vnode(index).filter(|vnode| vnode.has(flag::HARDLINK));
        let number = vnode.and_then(|vnode| self.group_of(index, &vnode));
        let members = number.and_then(|number| self.group(number));
        let members = members.unwrap_or_default();
        members.iter().map(|member| u32::from_le_bytes(*member))
    }

    /// Blocks of a file that is marked as sparse.
    pub(super) fn sparse_blocks(&self, index: u32) -> Option<u64> {
        let record: &[u8; SPARSE_BYTES] = Self::record(self.sparse, index)?;
        Some(long_at(record, 8))
    }
}

/// Section `HARDLINKS`, cut up.
pub(super) struct HardLinkParts<'a> {
    /// Each: first place in `members`, number of members.
    pub groups: &'a [[u8; GROUP_BYTES]],
    /// Entries, group by group.
    pub members: &'a [[u8; 4]],
    /// Each: entry of a symlink, its group.
    pub symlinks: &'a [[u8; layout::GROUP_OF_BYTES]],
}

/// The blocks that an entry without holes takes.
#[inline]
pub(super) fn usual_blocks(vnode: &VnodeEntry) -> u64 {
    let size = vnode.size;
    if vnode.is_symlink() {
        return if size <= TARGET_BYTES_INLINE_MAX {
            0
        } else {
            BLOCKS_PER_PAGE
        };
    }
    size.div_ceil(u64::from(BLOCK_SIZE_BYTES))
        .saturating_mul(BLOCKS_PER_PAGE)
}
