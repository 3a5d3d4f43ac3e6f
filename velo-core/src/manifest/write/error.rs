//! Why a tree cannot be written as a manifest.

use std::fmt;

use crate::manifest::layout::{
    ENTRIES_MAX, NAME_BYTES_MAX, PACKAGE_STRING_BYTES_MAX, PATH_BYTES_MAX, Section,
};

/// Bytes that are mostly text, shown as such: paths, names, keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(pub Vec<u8>);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

/// What was expected of the tree, and what was found instead.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WriteError {
    /// A manifest without roots serves nothing.
    #[error("expected at least one root, found none")]
    NoRoot,
    /// A mount has to be absolute and lexically normal.
    #[error(
        "expected an absolute mount path without `//`, `.`, `..` and trailing `/`, found {found}"
    )]
    Mount {
        /// The mount given.
        found: Text,
    },
    /// Two roots cannot be seen at one place.
    #[error("expected different mount paths, found {mount} twice")]
    MountTwice {
        /// The mount of both.
        mount: Text,
    },
    /// No directory can hold something of this name.
    #[error(
        "expected a name of 1 to {NAME_BYTES_MAX} bytes without `/` and NUL that is not `.` or `..`, found {found} in {directory}"
    )]
    Name {
        /// Path of the directory.
        directory: Text,
        /// The name given.
        found: Text,
    },
    /// A directory holds each name once.
    #[error("expected each name once, found {path} twice")]
    NameTwice {
        /// The path of both.
        path: Text,
    },
    /// No path of a program can be this long.
    #[error(
        "expected paths of at most {PATH_BYTES_MAX} bytes below the root, found {found_bytes} at {path}"
    )]
    PathTooLong {
        /// The path.
        path: Text,
        /// Its length.
        found_bytes: usize,
    },
    /// Something was added to what is no directory of this builder.
    #[error("expected a directory of this builder as parent of {name}, found something else")]
    Parent {
        /// The name that was to be added.
        name: Text,
    },
    /// A hard link has to be to a regular file or symlink of this builder.
    #[error("expected a file or symlink of this builder to link {name} to, found something else")]
    LinkTarget {
        /// The name that was to be added.
        name: Text,
    },
    /// An entry that this builder does not have.
    #[error("expected an entry of this builder, found another's")]
    UnknownEntry,
    /// A symlink cannot point there.
    #[error(
        "expected a target of 1 to {PATH_BYTES_MAX} bytes without NUL, found {found} at symlink {name}"
    )]
    Target {
        /// Name of the symlink.
        name: Text,
        /// The target given.
        found: Text,
    },
    /// A second has fewer nanoseconds.
    #[error("expected less than 1,000,000,000 nanoseconds, found {found}")]
    Nanoseconds {
        /// The number given.
        found: u32,
    },
    /// The format counts entries with 31 bits.
    #[error(
        "expected at most {ENTRIES_MAX} entries, found more: split the tree into several manifests"
    )]
    TooManyEntries,
    /// The format counts owners with 16 bits.
    #[error("expected at most 65536 different owners, found more")]
    TooManyOwners,
    /// Offsets within a section have 32 bits.
    #[error(
        "expected section {} below 4 GiB, found more: split the tree into several manifests", section.name()
    )]
    SectionTooLarge {
        /// Which one.
        section: Section,
    },
    /// Extended attributes have names of 1 to 255 bytes, without NUL, each once.
    #[error(
        "expected different names of 1 to {NAME_BYTES_MAX} bytes as extended attributes, found {found}"
    )]
    Xattr {
        /// The name given.
        found: Text,
    },
    /// An exact manifest records the source's stat of every entry.
    #[error("expected the source's stat of every entry or of none, found none of {path}")]
    SourceStatMissing {
        /// An entry without.
        path: Text,
    },
    /// A package stands in the list once.
    #[error("expected each package once, found {name} {version} twice")]
    PackageTwice {
        /// Its name.
        name: Text,
        /// Its version.
        version: Text,
    },
    /// Names and versions of packages are short.
    #[error(
        "expected package names and versions of at most {PACKAGE_STRING_BYTES_MAX} bytes, found {found_bytes}"
    )]
    PackageTooLong {
        /// Length of the one given.
        found_bytes: usize,
    },
    /// Keys and values are one line; each key stands there once.
    #[error(
        "expected a key of its own without `=` and a value, neither with a line end, found {key}"
    )]
    Provenance {
        /// The key given.
        key: Text,
    },
}
