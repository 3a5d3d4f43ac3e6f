//! The vnode entry: what a `stat` needs of one path, in the spec's 56 bytes (§9.3).
//!
//! The layout is part of the manifest format and checked at compile time. The
//! struct is read by value from a byte slice, so alignment never matters.

/// Bits of [`VnodeEntry::flags`].
pub mod flag {
    /// A directory.
    pub const DIR: u16 = 1;
    /// A symbolic link.
    pub const SYMLINK: u16 = 2;
    /// A regular file with any execute bit.
    pub const EXECUTABLE: u16 = 4;
    /// A regular file that the view tree holds as a hard link, because the
    /// kernel itself must open it by path: ELF objects and executables.
    pub const IN_VIEW: u16 = 8;
    /// Everybody may search every directory on the way here (and the directory
    /// itself, if it is one), so no permission walk is needed.
    pub const PUBLIC: u16 = 16;
    /// Member of a hard-link group with two or more members.
    pub const HARDLINK: u16 = 32;
    /// Fewer blocks than the size needs; section `SPARSE` has the number.
    pub const SPARSE: u16 = 64;
    /// Section `XATTRS` has extended attributes of this entry.
    pub const XATTR: u16 = 128;
}

/// File type bits of `mode` (inode(7)).
pub mod mode {
    /// Mask of the file type.
    pub const S_IFMT: u32 = 0o170_000;
    /// Directory.
    pub const S_IFDIR: u32 = 0o040_000;
    /// Regular file.
    pub const S_IFREG: u32 = 0o100_000;
    /// Symbolic link.
    pub const S_IFLNK: u32 = 0o120_000;
}

/// One path's content address and hot metadata. 56 bytes, little-endian on disk.
#[repr(C, packed)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VnodeEntry {
    /// BLAKE3 of a file's content or of a symlink's target.
    pub content_hash: [u8; 32],
    /// Size in bytes; of a directory what its source reported.
    pub size: u64,
    /// Modification time, seconds since the epoch, two's complement.
    pub mtime: u64,
    /// File type and permissions, as `st_mode`.
    pub mode: u32,
    /// Bits of [`flag`].
    pub flags: u16,
    /// Zero.
    pub _pad: u16,
}

const _: () = {
    assert!(size_of::<VnodeEntry>() == 56);
    assert!(core::mem::offset_of!(VnodeEntry, content_hash) == 0);
    assert!(core::mem::offset_of!(VnodeEntry, size) == 32);
    assert!(core::mem::offset_of!(VnodeEntry, mtime) == 40);
    assert!(core::mem::offset_of!(VnodeEntry, mode) == 48);
    assert!(core::mem::offset_of!(VnodeEntry, flags) == 52);
    assert!(core::mem::offset_of!(VnodeEntry, _pad) == 54);
};

impl VnodeEntry {
    /// Bytes of one entry on disk.
    pub const BYTES: usize = 56;

    /// Decodes one entry; `bytes` are exactly the entry's.
    #[must_use]
    #[inline]
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        // SAFETY: the struct is packed (alignment 1), has the array's size, and
        // every bit pattern is valid for its integer and byte fields.
        let raw: Self = unsafe { core::mem::transmute_copy(bytes) };
        Self {
            content_hash: raw.content_hash,
            size: u64::from_le(raw.size),
            mtime: u64::from_le(raw.mtime),
            mode: u32::from_le(raw.mode),
            flags: u16::from_le(raw.flags),
            _pad: u16::from_le(raw._pad),
        }
    }

    /// Encodes the entry as it stands on disk.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        let (hash, rest) = out.split_at_mut(32);
        hash.copy_from_slice(&self.content_hash);
        let fields = [
            (0, self.size.to_le_bytes()),
            (8, self.mtime.to_le_bytes()),
            (
                16,
                (u64::from(self.mode) | u64::from(self.flags) << 32).to_le_bytes(),
            ),
        ];
        for (offset, bytes) in fields {
            if let Some(slot) = rest.get_mut(offset..offset + 8) {
                slot.copy_from_slice(&bytes);
            }
        }
        out
    }

    /// Whether all bits of `flag` are set.
    #[must_use]
    #[inline]
    pub const fn has(&self, flag: u16) -> bool {
        self.flags & flag == flag
    }

    /// Whether this is a directory.
    #[must_use]
    #[inline]
    pub const fn is_dir(&self) -> bool {
        self.has(flag::DIR)
    }

    /// Whether this is a symbolic link.
    #[must_use]
    #[inline]
    pub const fn is_symlink(&self) -> bool {
        self.has(flag::SYMLINK)
    }

    /// Whether this is a regular file.
    #[must_use]
    #[inline]
    pub const fn is_file(&self) -> bool {
        self.flags & (flag::DIR | flag::SYMLINK) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::{VnodeEntry, flag};

    #[test]
    fn bytes_round_trip() {
        let mut content_hash = [0; 32];
        for (position, byte) in content_hash.iter_mut().enumerate() {
            *byte = position as u8;
        }
        let entry = VnodeEntry {
            content_hash,
            size: 0x0102_0304_0506_0708,
            mtime: u64::MAX - 5,
            mode: 0o100_755,
            flags: flag::EXECUTABLE | flag::IN_VIEW,
            _pad: 0,
        };
        let bytes = entry.to_bytes();
        assert_eq!(bytes[32], 8, "size is little-endian at offset 32");
        assert_eq!(VnodeEntry::from_bytes(&bytes), entry);
    }
}
