//! Who asks: the kernel's owner / group / other rule for search and access.
//!
//! Asked only about entries that are not public to everybody, so that the caller
//! may fetch ids lazily. ACLs do not exist in a manifest.

use crate::manifest::Metadata;
use crate::vnode::mode::{S_IFDIR, S_IFMT};

/// May read (a file's content, a directory's names).
pub const READ: u32 = 4;
/// May write.
pub const WRITE: u32 = 2;
/// May execute a file, or search a directory.
pub const EXECUTE: u32 = 1;

/// A set of capabilities (capabilities(7)): bit N is capability number N.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// Not one.
    pub const NONE: Self = Self(0);
    /// Every one.
    pub const ALL: Self = Self(u64::MAX);
    /// `CAP_DAC_OVERRIDE`: the permission bits do not bind.
    pub const DAC_OVERRIDE: Self = Self(1 << 1);
    /// `CAP_DAC_READ_SEARCH`: they do not bind who reads or searches.
    pub const DAC_READ_SEARCH: Self = Self(1 << 2);
    /// `CAP_FOWNER`: may do what only the owner may.
    pub const FOWNER: Self = Self(1 << 3);
    /// `CAP_SYS_ADMIN`: sees trusted extended attributes.
    pub const SYS_ADMIN: Self = Self(1 << 21);
    /// Each of these lets search any directory.
    pub const SEARCH: Self = Self(Self::DAC_OVERRIDE.0 | Self::DAC_READ_SEARCH.0);

    /// Whether one of `others` is in this set.
    #[must_use]
    pub const fn has(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

/// The identity that permissions are checked for: the file system ids and effective
/// capabilities for most calls, the real ids and what they would have for access(2).
pub trait Credentials {
    /// The user id.
    fn uid(&self) -> u32;
    /// Whether `gid` is the group id or one of the supplementary groups.
    fn in_group(&self, gid: u32) -> bool;
    /// The capabilities in force: without further knowledge, all for user id 0.
    fn capabilities(&self) -> Capabilities {
        if self.uid() == 0 {
            Capabilities::ALL
        } else {
            Capabilities::NONE
        }
    }
}

/// Credentials that are known beforehand.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
    /// The supplementary groups.
    pub groups: &'a [u32],
}

impl Credentials for Identity<'_> {
    fn uid(&self) -> u32 {
        self.uid
    }

    fn in_group(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}

/// Whether the permission bits of `meta` give all of `mask` ([`READ`], [`WRITE`],
/// [`EXECUTE`]) to `who`, as generic_permission() in the kernel decides.
///
/// Says nothing about a read-only file system: EROFS is the caller's answer.
pub fn may_access(meta: &Metadata, mask: u32, who: &dyn Credentials) -> bool {
    let mask = mask & (READ | WRITE | EXECUTE);
    // Of owner, group and others exactly one counts: an owner without the bit is
    // refused even where everybody else has it.
    let shift = if who.uid() == meta.uid {
        6
    } else if who.in_group(meta.gid) {
        3
    } else {
        0
    };
    if meta.mode >> shift & mask == mask {
        return true;
    }
    let directory = meta.mode & S_IFMT == S_IFDIR;
    // What CAP_DAC_READ_SEARCH suffices for, and what nothing does.
    let looks = if directory {
        mask & WRITE == 0
    } else {
        mask == READ
    };
    let executes_data = !directory && mask & EXECUTE != 0 && meta.mode & 0o111 == 0;
    let enough = if looks {
        Capabilities::SEARCH
    } else {
        Capabilities::DAC_OVERRIDE
    };
    !executes_data && who.capabilities().has(enough)
}

#[cfg(test)]
mod tests {
    use super::{Capabilities, Credentials, EXECUTE, Identity, READ, WRITE, may_access};
    use crate::manifest::{Metadata, Time};

    fn meta(mode: u32) -> Metadata {
        let time = Time { sec: 0, nsec: 0 };
        Metadata {
            ino: 1,
            mode,
            nlink: 1,
            uid: 10,
            gid: 20,
            size: 0,
            blocks: 0,
            blksize: 4096,
            atime: time,
            mtime: time,
            ctime: time,
            btime: None,
            dev_major: 0,
            dev_minor: 1,
        }
    }

    #[test]
    fn the_first_class_that_matches_decides_alone() {
        let owner = Identity {
            uid: 10,
            gid: 20,
            groups: &[],
        };
        let member = Identity {
            uid: 11,
            gid: 1,
            groups: &[7, 20],
        };
        let other = Identity {
            uid: 11,
            gid: 1,
            groups: &[],
        };
        assert!(!may_access(&meta(0o100_077), READ, &owner));
        assert!(may_access(&meta(0o100_400), READ, &owner));
        assert!(!may_access(&meta(0o100_707), READ, &member));
        assert!(may_access(&meta(0o100_060), READ | WRITE, &member));
        assert!(!may_access(&meta(0o100_770), READ, &other));
        assert!(may_access(&meta(0o100_005), READ | EXECUTE, &other));
        assert!(!may_access(&meta(0o100_005), WRITE, &other));
    }

    #[test]
    fn root_needs_one_execute_bit_of_a_file_and_none_of_a_directory() {
        let root = Identity {
            uid: 0,
            gid: 0,
            groups: &[],
        };
        assert!(may_access(&meta(0o100_000), READ | WRITE, &root));
        assert!(!may_access(&meta(0o100_666), EXECUTE, &root));
        assert!(may_access(&meta(0o100_010), EXECUTE, &root));
        assert!(may_access(&meta(0o040_000), READ | WRITE | EXECUTE, &root));
    }

    /// User id 1000 with these capabilities.
    struct Capable(Capabilities);

    impl Credentials for Capable {
        fn uid(&self) -> u32 {
            1000
        }
        fn in_group(&self, _: u32) -> bool {
            false
        }
        fn capabilities(&self) -> Capabilities {
            self.0
        }
    }

    #[test]
    fn capabilities_count_and_not_the_user_id() {
        let reads = Capable(Capabilities::DAC_READ_SEARCH);
        assert!(may_access(&meta(0o100_000), READ, &reads));
        assert!(!may_access(&meta(0o100_000), READ | WRITE, &reads));
        assert!(!may_access(&meta(0o100_010), READ | EXECUTE, &reads));
        assert!(may_access(&meta(0o040_000), READ | EXECUTE, &reads));
        assert!(!may_access(&meta(0o040_000), WRITE, &reads));
        let overrides = Capable(Capabilities::DAC_OVERRIDE);
        assert!(may_access(
            &meta(0o100_010),
            READ | WRITE | EXECUTE,
            &overrides
        ));
        assert!(!may_access(&meta(0o100_000), EXECUTE, &overrides));
        assert!(!may_access(
            &meta(0o100_000),
            READ,
            &Capable(Capabilities::FOWNER)
        ));
    }
}
