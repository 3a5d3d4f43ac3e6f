//! The bytes of a manifest: header, section table, fixed records.
//!
//! Offsets are derived from each other and their sum is checked at compile time.
//! `docs/FORMAT.md` draws what stands here; the two change together. Nothing here
//! reads a whole file: `open` does that once, and `write` the reverse.

use super::Time;

/// First bytes of every manifest. Not ASCII, and with both line ends, so that a text
/// editor or a text-mode transfer is noticed.
pub const MAGIC: [u8; 8] = *b"\x89VELO\r\n\x1a";
/// The one version so far.
pub const VERSION: u32 = 1;
/// Reads as this number where the byte order is the writer's, little-endian.
pub const ENDIAN: u32 = 0x0102_0304;
/// Bytes of the header; the first section starts there.
pub const HEADER_BYTES: usize = 512;
/// Every section starts at a multiple of this.
pub const ALIGN_BYTES: u64 = 64;
/// Places in the section table.
pub const SECTIONS_MAX: usize = 17;
/// Most entries of one manifest.
pub const ENTRIES_MAX: u32 = 1 << 31;
/// Longest name, as in the kernel.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest path relative to its root: what fits into `PATH_MAX` with its NUL.
pub const PATH_BYTES_MAX: usize = 4095;

/// Longest name and version of a package.
pub const PACKAGE_STRING_BYTES_MAX: usize = 4095;

/// Feature bits of version 1.
pub mod feature {
    /// Incompatible: the perfect hash does not know all entries, so a miss has to be
    /// confirmed by walking down from the root.
    pub const UNSLOTTED: u64 = 1;
    /// All incompatible features that this reader knows.
    pub const INCOMPAT_KNOWN: u64 = UNSLOTTED;
}

/// Bytes of one place in the section table: kind, reserved, offset, length.
pub const SECTION_ENTRY_BYTES: usize = 4 + 4 + 8 + 8;

/// Offsets of the header's fields, each behind the one before.
pub(super) mod at {
    use super::{HEADER_BYTES, MAGIC as MAGIC_BYTES, SECTION_ENTRY_BYTES, SECTIONS_MAX};

    pub const MAGIC: usize = 0;
    pub const VERSION: usize = MAGIC + MAGIC_BYTES.len();
    pub const ENDIAN: usize = VERSION + 4;
    pub const FEATURE_COMPAT: usize = ENDIAN + 4;
    pub const FEATURE_RO_COMPAT: usize = FEATURE_COMPAT + 8;
    pub const FEATURE_INCOMPAT: usize = FEATURE_RO_COMPAT + 8;
    pub const FILE_BYTES: usize = FEATURE_INCOMPAT + 8;
    pub const ENTRY_COUNT: usize = FILE_BYTES + 8;
    pub const ROOT_COUNT: usize = ENTRY_COUNT + 4;
    pub const BODY_CHECKSUM: usize = ROOT_COUNT + 4;
    pub const BODY_DIGEST: usize = BODY_CHECKSUM + 8;
    pub const SECTIONS: usize = BODY_DIGEST + 32;
    pub const HEADER_CHECKSUM: usize = SECTIONS + SECTIONS_MAX * SECTION_ENTRY_BYTES;

    const _: () = assert!(SECTIONS == 96);
    const _: () = assert!(HEADER_CHECKSUM == 504);
    const _: () = assert!(HEADER_CHECKSUM + 8 == HEADER_BYTES);
}

/// What a section holds. The discriminant is the kind on disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u32)]
pub enum Section {
    /// The perfect hash: path hash to slot.
    Phf = 1,
    /// Slot to entry.
    Slots = 2,
    /// The 56-byte vnodes, by entry.
    Vnodes = 3,
    /// Parent, name and links between entries, by entry.
    Nodes = 4,
    /// Bytes of all names, each distinct name once.
    Names = 5,
    /// Distinct pairs of user and group id.
    Owners = 6,
    /// Bytes of symlink targets, each distinct target once.
    Targets = 7,
    /// Hard-link groups and their members.
    HardLinks = 8,
    /// Extended attributes.
    Xattrs = 9,
    /// Mount points of the roots.
    Roots = 10,
    /// Packages that the tree was made of.
    Packages = 11,
    /// How the manifest came to be: `key=value` lines.
    Provenance = 12,
    /// What stat(2) said of each entry's source.
    SourceStat = 13,
    /// Blocks of sparse files.
    Sparse = 14,
    /// Subdirectory counts that do not fit into the node.
    Subdirs = 15,
    /// Python modules, by directory and name.
    Modules = 16,
}

impl Section {
    /// All sections of version 1, in the order in which they stand in the file.
    pub const ALL: [Self; 16] = [
        Self::Phf,
        Self::Slots,
        Self::Vnodes,
        Self::Nodes,
        Self::Names,
        Self::Owners,
        Self::Targets,
        Self::HardLinks,
        Self::Xattrs,
        Self::Roots,
        Self::Packages,
        Self::Provenance,
        Self::SourceStat,
        Self::Sparse,
        Self::Subdirs,
        Self::Modules,
    ];

    /// The kind on disk.
    #[must_use]
    pub const fn kind(self) -> u32 {
        self as u32
    }

    /// The section of this kind; `None` if this version does not know it.
    #[must_use]
    pub fn from_kind(kind: u32) -> Option<Self> {
        let position = usize::try_from(kind).ok()?.checked_sub(1)?;
        Self::ALL.get(position).copied()
    }

    /// Its name in `docs/FORMAT.md` and in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Phf => "PHF",
            Self::Slots => "SLOTS",
            Self::Vnodes => "VNODES",
            Self::Nodes => "NODES",
            Self::Names => "NAMES",
            Self::Owners => "OWNERS",
            Self::Targets => "TARGETS",
            Self::HardLinks => "HARDLINKS",
            Self::Xattrs => "XATTRS",
            Self::Roots => "ROOTS",
            Self::Packages => "PACKAGES",
            Self::Provenance => "PROVENANCE",
            Self::SourceStat => "SOURCE_STAT",
            Self::Sparse => "SPARSE",
            Self::Subdirs => "SUBDIRS",
            Self::Modules => "MODULES",
        }
    }
}

#[allow(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which says so if it fails"
)]
const _: () = {
    let mut position = 0;
    while position < Section::ALL.len() {
        assert!(Section::ALL[position] as usize == position + 1);
        position += 1;
    }
    assert!(Section::ALL.len() <= SECTIONS_MAX);
};

/// Bytes of a slot: tag (upper half of the path hash), entry.
pub const SLOT_BYTES: usize = 8;
/// Bytes of an owner: uid, gid.
pub const OWNER_BYTES: usize = 8;
/// Bytes of a root: offset and length of its mount.
pub const ROOT_BYTES: usize = 8;
/// Bytes of the counts that `HARDLINKS` starts with: groups, members, symlinks, zero.
pub const HARD_LINK_COUNTS_BYTES: usize = 16;
/// Bytes of a hard-link group: first place in the member list, number of members.
pub const GROUP_BYTES: usize = 8;
/// Bytes of a symlink in `HARDLINKS`: entry, group.
pub const GROUP_OF_BYTES: usize = 8;
/// Bytes of a sparse file's record: entry, reserved, blocks.
pub const SPARSE_BYTES: usize = 16;
/// Bytes of a record of `SUBDIRS`: entry, count.
pub const SUBDIRS_BYTES: usize = 8;
/// Bytes of a package: offset and length of name and version, then the tree's hash.
pub const PACKAGE_BYTES: usize = 2 * 8 + 32;
/// Bytes of a record of the `XATTRS` table: entry, number of its list.
pub const XATTR_BYTES: usize = 8;

/// Bytes that `MODULES` starts with: number of records, bits of a bucket's number.
pub const MODULES_HEAD_BYTES: usize = 8;
/// Bytes of a module's record: hash, flags, place, source.
pub const MODULE_BYTES: usize = 16;
/// The source of a module that has none.
pub const NO_SOURCE: u32 = u32::MAX;

/// The entry of a slot that no path belongs to.
pub const SLOT_EMPTY: u32 = u32::MAX;
/// The parent of a root.
pub const PARENT_NONE: u32 = u32::MAX;
/// The greatest number of subdirectories in a node; at this number `SUBDIRS` has the
/// count.
pub const SUBDIRS_IN_NODE: u8 = u8::MAX;

const _: () = assert!(ENTRIES_MAX < PARENT_NONE && ENTRIES_MAX < SLOT_EMPTY);

/// Key of the BLAKE3 hash that names a directory's content, so that it is no file's.
pub(super) const DIRECTORY_KEY: [u8; 32] = *b"velo manifest v1: directory hash";

/// What stands before name and content hash of each child in the text that the hash of
/// a directory is made of.
#[inline]
pub(super) fn directory_hash_head(mode: u32, name_bytes: u8) -> [u8; 5] {
    let [a, b, c, d] = mode.to_le_bytes();
    [a, b, c, d, name_bytes]
}

/// Little-endian words at the start of `bytes`; zeros where they end early.
#[inline]
pub(super) fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let (chunks, _) = bytes.as_chunks::<4>();
    match chunks.first_chunk::<N>() {
        Some(chunks) => chunks.map(u32::from_le_bytes),
        None => [0; N],
    }
}

/// The little-endian word at `offset`; zero where there is none.
#[inline]
pub(super) fn word_at(bytes: &[u8], offset: usize) -> u32 {
    let found = bytes.get(offset..).and_then(|rest| rest.first_chunk());
    found.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// As [`word_at`], eight bytes.
#[inline]
pub(super) fn long_at(bytes: &[u8], offset: usize) -> u64 {
    let found = bytes.get(offset..).and_then(|rest| rest.first_chunk());
    found.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The offset where a section may start, at or after `offset`.
#[inline]
pub(super) const fn align_up(offset: u64) -> Option<u64> {
    match offset.checked_add(ALIGN_BYTES - 1) {
        Some(end) => Some(end & !(ALIGN_BYTES - 1)),
        None => None,
    }
}

/// Where an entry hangs in the tree. 24 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Node {
    /// Entry of the directory that holds it, [`PARENT_NONE`] for a root.
    pub parent: u32,
    /// Offset in `NAMES`.
    pub name_offset: u32,
    /// Directory: first child. Symlink: offset in `TARGETS`. Else 0.
    pub first: u32,
    /// Directory: number of children. Symlink: bytes of the target. File: number of
    /// its hard-link group plus one, or 0.
    pub count: u32,
    /// Nanoseconds of the modification time.
    pub mtime_ns: u32,
    /// Position in `OWNERS`.
    pub owner: u16,
    /// Length of the name.
    pub name_bytes: u8,
    /// Directory: number of subdirectories, at most [`SUBDIRS_IN_NODE`]. Else 0.
    pub subdirs: u8,
}

/// Bytes of a `Node` on disk.
pub const NODE_BYTES: usize = 24;

impl Node {
    #[inline]
    pub(super) fn from_bytes(bytes: &[u8; NODE_BYTES]) -> Self {
        let [parent, name_offset, first, count, mtime_ns, tail] = words(bytes);
        let [owner_low, owner_high, name_bytes, subdirs] = tail.to_le_bytes();
        Self {
            parent,
            name_offset,
            first,
            count,
            mtime_ns,
            owner: u16::from_le_bytes([owner_low, owner_high]),
            name_bytes,
            subdirs,
        }
    }

    #[cfg(feature = "std")]
    pub(super) fn to_bytes(self) -> [u8; NODE_BYTES] {
        let [owner_low, owner_high] = self.owner.to_le_bytes();
        let tail = [owner_low, owner_high, self.name_bytes, self.subdirs];
        let words = [
            self.parent.to_le_bytes(),
            self.name_offset.to_le_bytes(),
            self.first.to_le_bytes(),
            self.count.to_le_bytes(),
            self.mtime_ns.to_le_bytes(),
            tail,
        ];
        const { assert!(size_of::<[[u8; 4]; 6]>() == NODE_BYTES) }
        let mut out = [0; NODE_BYTES];
        out.copy_from_slice(words.as_flattened());
        out
    }
}

/// What stat(2) said of an entry's source, as `--exact` records it. 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SourceStat {
    /// Inode number.
    pub ino: u64,
    /// Blocks of 512 bytes.
    pub blocks: u64,
    /// Time of the last access.
    pub atime: Time,
    /// Time of the last status change.
    pub ctime: Time,
    /// Time of birth, where the file system knows it.
    pub btime: Option<Time>,
    /// Number of hard links.
    pub nlink: u32,
    /// Preferred block size for input and output, in bytes.
    pub blksize: u32,
}

/// Bytes of a [`SourceStat`] on disk: five double words, five words, one reserved.
pub const SOURCE_STAT_BYTES: usize = 5 * 8 + 5 * 4 + 4;
/// Nanoseconds that stand for "no such time".
pub(super) const NO_TIME_NS: u32 = u32::MAX;

const _: () = assert!(SOURCE_STAT_BYTES == 64);

impl SourceStat {
    #[inline]
    pub(super) fn from_bytes(bytes: &[u8; SOURCE_STAT_BYTES]) -> Self {
        let time = |sec: usize, nsec: usize| Time {
            sec: long_at(bytes, sec).cast_signed(),
            nsec: word_at(bytes, nsec),
        };
        let btime = time(32, 48);
        Self {
            ino: long_at(bytes, 0),
            blocks: long_at(bytes, 8),
            atime: time(16, 40),
            ctime: time(24, 44),
            btime: (btime.nsec != NO_TIME_NS).then_some(btime),
            nlink: word_at(bytes, 52),
            blksize: word_at(bytes, 56),
        }
    }

    #[cfg(feature = "std")]
    pub(super) fn to_bytes(self) -> [u8; SOURCE_STAT_BYTES] {
        let none = Time {
            sec: 0,
            nsec: NO_TIME_NS,
        };
        let btime = self.btime.unwrap_or(none);
        let longs = [
            self.ino,
            self.blocks,
            self.atime.sec.cast_unsigned(),
            self.ctime.sec.cast_unsigned(),
            btime.sec.cast_unsigned(),
        ];
        let words = [
            self.atime.nsec,
            self.ctime.nsec,
            btime.nsec,
            self.nlink,
            self.blksize,
            0,
        ];
        let mut out = [0; SOURCE_STAT_BYTES];
        let (head, tail) = out.split_at_mut(size_of_val(&longs));
        head.copy_from_slice(longs.map(u64::to_le_bytes).as_flattened());
        tail.copy_from_slice(words.map(u32::to_le_bytes).as_flattened());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "std")]
    #[test]
    fn nodes_round_trip() {
        let node = Node {
            parent: 1,
            name_offset: 0x0203_0405,
            first: 6,
            count: 7,
            mtime_ns: 999_999_999,
            owner: 0x0809,
            name_bytes: 255,
            subdirs: 10,
        };
        assert_eq!(node.to_bytes()[4..8], [5, 4, 3, 2], "little-endian");
        assert_eq!(Node::from_bytes(&node.to_bytes()), node);
    }

    #[cfg(feature = "std")]
    #[test]
    fn source_stats_round_trip_with_and_without_birth() {
        let mut stat = SourceStat {
            ino: u64::MAX,
            blocks: 9,
            atime: Time { sec: -1, nsec: 2 },
            ctime: Time { sec: 3, nsec: 4 },
            btime: None,
            nlink: 5,
            blksize: 4096,
        };
        assert_eq!(SourceStat::from_bytes(&stat.to_bytes()), stat);
        stat.btime = Some(Time { sec: 6, nsec: 7 });
        assert_eq!(SourceStat::from_bytes(&stat.to_bytes()), stat);
    }

    #[test]
    fn kinds_and_sections_agree() {
        for section in Section::ALL {
            assert_eq!(Section::from_kind(section.kind()), Some(section));
        }
        assert_eq!(Section::from_kind(0), None);
        assert_eq!(Section::from_kind(17), None);
    }

    #[test]
    fn alignment_never_wraps() {
        assert_eq!(align_up(512), Some(512));
        assert_eq!(align_up(513), Some(576));
        assert_eq!(align_up(u64::MAX - 3), None);
    }
}
