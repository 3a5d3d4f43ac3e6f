//! The manifest: one file that says what a tree holds, read in place.
//!
//! A manifest maps paths to metadata and content hashes. Entries are numbered breadth
//! first, roots before all: the children of a directory are neighbours, sorted by
//! name, and every parent comes before its children. Paths are not stored: a path is
//! hashed once, a perfect hash gives the only entry that it can be, and the names up
//! to the root are compared with it. `docs/FORMAT.md` draws the bytes.
//!
//! One file per verb: `open` checks what makes the accesses safe; `access`, `lookup`,
//! `stat`, `annex` and `modules` read; `verify` checks all the rest; `write` (feature `std`)
//! makes the file.
//!
//! Invariants: a [`Manifest`] borrows the file and is cheap to copy; no reader function
//! allocates, panics, reads out of bounds or fails to return, whatever the bytes are.
//! A path is found only if the names say so: a hash collision costs time.
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

mod access;
mod annex;
mod error;
mod layout;
mod lookup;
mod modules;
mod open;
#[allow(
    clippy::indexing_slicing,
    reason = "its builder indexes arrays of its own; its reader does not index"
)]
pub mod phf;
mod rules;
mod stat;
mod verify;
#[cfg(feature = "std")]
#[allow(
    clippy::indexing_slicing,
    reason = "the writer indexes arrays that it filled itself"
)]
pub mod write;

pub use access::Root;
pub use annex::{Package, Packages, Provenance, Xattrs};
pub use error::{EntryFault, OpenError, VerifyError};
pub use layout::{
    ENTRIES_MAX, HEADER_BYTES, MAGIC, NAME_BYTES_MAX, PATH_BYTES_MAX, Section, SourceStat, VERSION,
    feature,
};
pub use modules::{Finding, Form};
pub use open::Header;
pub use stat::{BLOCK_SIZE_BYTES, DEV_MAJOR, Metadata, Time};

/// An open manifest: the file's bytes, cut into sections.
#[derive(Clone, Copy)]
pub struct Manifest<'a> {
    phf: phf::Phf<'a>,
    slots: &'a [[u8; layout::SLOT_BYTES]],
    nodes: &'a [[u8; layout::NODE_BYTES]],
    names: &'a [u8],
    vnodes: &'a [[u8; crate::vnode::VnodeEntry::BYTES]],
    owners: &'a [[u8; layout::OWNER_BYTES]],
    /// Empty unless the manifest is exact.
    source_stats: &'a [[u8; layout::SOURCE_STAT_BYTES]],
    targets: &'a [u8],
    root_count: u32,
    /// Whether a path that no slot knows may exist all the same.
    unslotted: bool,
    subdirs: &'a [[u8; layout::SUBDIRS_BYTES]],
    /// Empty if the tree has no Python modules, or the manifest is of an older writer.
    modules: &'a [u8],
    sparse: &'a [[u8; layout::SPARSE_BYTES]],
    hard_links: &'a [u8],
    xattrs: &'a [u8],
    roots: &'a [u8],
    packages: &'a [u8],
    provenance: &'a [u8],
    header: &'a [u8; HEADER_BYTES],
    bytes: &'a [u8],
}

impl core::fmt::Debug for Manifest<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Manifest").field(&self.header()).finish()
    }
}
