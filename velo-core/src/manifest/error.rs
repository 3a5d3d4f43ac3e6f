//! Why a manifest cannot be used: what was expected, what was found, what to do.
//!
//! No variant holds borrowed or allocated data, so the preload library can print
//! them before anything else works.

use super::layout::{ENDIAN, HEADER_BYTES, Section, VERSION};
use core::fmt;

/// Why the bytes cannot be opened as a manifest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenError {
    /// No bytes at all.
    Empty,
    /// Does not start with the magic number.
    NotManifest {
        /// The first bytes, zeros where the file ends.
        found: [u8; 8],
    },
    /// Ends within the header.
    HeaderTruncated {
        /// Bytes there are.
        found_bytes: u64,
    },
    /// Written with the other byte order, or by something else.
    Endian {
        /// The byte-order mark.
        found: u32,
    },
    /// Written by another version.
    Version {
        /// Its number.
        found: u32,
    },
    /// The header does not match its own checksum.
    HeaderChecksum {
        /// The checksum that the header holds.
        expected: u64,
        /// The checksum of what it says.
        found: u64,
    },
    /// Needs something that this reader does not know.
    Features {
        /// The unknown bits of `feature_incompat`.
        unknown: u64,
    },
    /// The file is shorter or longer than its header says.
    Length {
        /// Bytes by the header.
        expected_bytes: u64,
        /// Bytes there are.
        found_bytes: u64,
    },
    /// The numbers of roots and entries contradict each other or the limits.
    Counts {
        /// Roots by the header.
        roots: u32,
        /// Entries by the header.
        entries: u32,
    },
    /// A place of the section table is wrong.
    Table {
        /// Which place, counted from 0.
        place: u32,
    },
    /// A section that every manifest has is not there.
    SectionMissing {
        /// Which one.
        section: Section,
    },
    /// A section's size does not fit the number of its records.
    SectionSize {
        /// Which one.
        section: Section,
        /// Bytes it has.
        found_bytes: u64,
    },
    /// The perfect hash contradicts itself.
    Phf,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("expected a manifest, found an empty file"),
            Self::NotManifest { found } => write!(
                f,
                "expected a manifest, found a file that starts with {:016x}",
                u64::from_be_bytes(*found)
            ),
            Self::HeaderTruncated { found_bytes } => write!(
                f,
                "expected a manifest of at least {HEADER_BYTES} bytes, found {found_bytes}: it is truncated"
            ),
            Self::Endian { found } => write!(
                f,
                "expected a little-endian manifest (mark {ENDIAN:08x}), found mark {found:08x}"
            ),
            Self::Version { found } => write!(
                f,
                "expected a manifest of version {VERSION}, found version {found}: it is another release's"
            ),
            Self::HeaderChecksum { expected, found } => write!(
                f,
                "expected header checksum {expected:016x}, found {found:016x}: the manifest is damaged"
            ),
            Self::Features { unknown } => write!(
                f,
                "expected features that this version knows, found unknown ones ({unknown:#x}): a newer velo is needed"
            ),
            Self::Length {
                expected_bytes,
                found_bytes,
            } => {
                let why = if found_bytes < expected_bytes {
                    "it is truncated"
                } else {
                    "something was appended"
                };
                write!(
                    f,
                    "expected a manifest of {expected_bytes} bytes, found {found_bytes}: {why}"
                )
            }
            Self::Counts { roots, entries } => write!(
                f,
                "expected at least one root and an entry for each, found {roots} roots and {entries} entries"
            ),
            Self::Table { place } => write!(
                f,
                "expected sections in order and back to back, found otherwise at place {place} of the section table"
            ),
            Self::SectionMissing { section } => {
                write!(f, "expected section {}, found none", section.name())
            }
            Self::SectionSize {
                section,
                found_bytes,
            } => write!(
                f,
                "expected section {} to fit its records, found {found_bytes} bytes",
                section.name()
            ),
            Self::Phf => f.write_str("expected a perfect hash, found one that contradicts itself"),
        }
    }
}

impl core::error::Error for OpenError {}

/// What `verify` found to be wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VerifyError {
    /// The body does not have the checksum that the header says.
    BodyChecksum {
        /// By the header.
        expected: u64,
        /// Of the body.
        found: u64,
    },
    /// The body does not have the BLAKE3 digest that the header says.
    BodyDigest,
    /// Bytes between sections are not zero.
    Padding {
        /// Where, from the start of the file.
        offset: u64,
    },
    /// An entry breaks a rule.
    Entry {
        /// Its index.
        index: u32,
        /// The rule.
        fault: EntryFault,
    },
    /// A record of a section breaks a rule.
    Record {
        /// The section.
        section: Section,
        /// Number of the record.
        record: u32,
    },
    /// The slots do not name every entry exactly once.
    Slots {
        /// Slots in use.
        used: u32,
        /// Entries that are found through a slot.
        found: u32,
    },
}

/// The rule that an entry breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryFault {
    /// A root hangs below something, or has a name, or is no directory.
    Root,
    /// The children of directories must follow each other, parents before children.
    Children,
    /// The parent is not the directory among whose children it stands.
    Parent,
    /// A name is empty, `.` or `..`, or has a slash or NUL, or is out of range.
    Name,
    /// Names of a directory must ascend, each once.
    Order,
    /// The path does not fit into `PATH_MAX`.
    PathTooLong,
    /// No directory, regular file or symlink; or bits above the type.
    Mode,
    /// A flag contradicts the mode or what the sections say.
    Flags,
    /// `PUBLIC` contradicts the permissions of the directories above.
    Public,
    /// Reserved or unused fields are not zero.
    Reserved,
    /// A billion nanoseconds or more.
    Nanoseconds,
    /// The owner is out of range.
    Owner,
    /// The target of a symlink is empty, too long or out of range, or has a NUL.
    Target,
    /// The hash or size of a symlink is not that of its target.
    TargetHash,
    /// The hash of a directory is not that of its children.
    DirectoryHash,
    /// The number of subdirectories is wrong.
    Subdirs,
    /// The hard-link group does not list it, or its members differ.
    HardLink,
    /// A lookup of its path does not find it.
    Lookup,
}

impl EntryFault {
    /// The rule, as a message says it after "expected".
    const fn rule(self) -> &'static str {
        match self {
            Self::Root => "a directory without parent and name as root",
            Self::Children => "children that follow those of the directory before",
            Self::Parent => "the directory that lists it as its parent",
            Self::Name => "a valid name",
            Self::Order => "names that ascend within their directory",
            Self::PathTooLong => "a path of at most 4095 bytes",
            Self::Mode => "the mode of a directory, regular file or symlink",
            Self::Flags => "flags that agree with mode and sections",
            Self::Public => "a public flag that agrees with the directories above",
            Self::Reserved => "zeros in reserved and unused fields",
            Self::Nanoseconds => "less than a billion nanoseconds",
            Self::Owner => "an owner of section OWNERS",
            Self::Target => "a valid symlink target",
            Self::TargetHash => "hash and size of the symlink's target",
            Self::DirectoryHash => "the hash of the directory's children",
            Self::Subdirs => "the number of its subdirectories",
            Self::HardLink => "a hard-link group whose members agree",
            Self::Lookup => "a lookup of its path to find it",
        }
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BodyChecksum { expected, found } => write!(
                f,
                "expected body checksum {expected:016x}, found {found:016x}: the manifest is damaged"
            ),
            Self::BodyDigest => {
                f.write_str("expected the body's BLAKE3 digest to be the header's, found another")
            }
            Self::Padding { offset } => write!(
                f,
                "expected zeros between sections, found others at byte {offset}"
            ),
            Self::Entry { index, fault } => write!(
                f,
                "expected {}, found otherwise at entry {index}",
                fault.rule()
            ),
            Self::Record { section, record } => write!(
                f,
                "expected a valid record, found otherwise at number {record} of section {}",
                section.name()
            ),
            Self::Slots { used, found } => write!(
                f,
                "expected one slot for each entry, found {used} in use and {found} entries behind them"
            ),
        }
    }
}

impl core::error::Error for VerifyError {}
