//! The indexer: from a source tree to the bytes of its manifest, with its content in
//! the store.
//!
//! [`build`] scans the tree with all cores, takes from the stat cache what did not
//! change, reads the rest once into the store and writes the manifest. Invariants:
//! - The same tree gives the same bytes, whatever the number of threads, the order in
//!   which the file system lists names, and the state of the cache.
//! - No manifest names a blob that the store does not hold.
//! - A file's content, size and times in the manifest are of one moment: what changes
//!   while it is read is read again, or refused.
//! - The source is only read; its atimes stay, where the kernel allows that.
//!
//! Deliberately absent: following symbolic links, filters by name, watching for changes.
#![forbid(unsafe_code)]

mod adapters;
mod assemble;
mod attributes;
mod build;
mod bytecode;
mod cache;
mod crew;
mod error;
mod ingest;
mod options;
mod progress;
mod scan;
mod source;
mod stat;
mod tree;
mod xattr;

pub use adapters::Package;
pub use build::{Built, Summary, build};
pub use bytecode::Bytecode;
pub use error::{IndexError, Paths};
pub use options::{BuildOptions, Python, Special, Xattrs};
pub use progress::{Amount, Progress};
