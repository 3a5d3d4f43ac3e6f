//! Velo's store: the content-addressed blobs (CAS), the view trees, the published
//! manifests and the choice of the store root.
//!
//! Invariants:
//! - Nothing is ever visible half-written: a blob, a manifest or a view tree gets
//!   its name in one step, when it is complete. A process killed at any moment
//!   leaves nothing but temporary names, which a later open removes.
//! - A blob's name is the BLAKE3 of its content; its mtime is the stamp of that
//!   hash, its mode 0444 or 0555, never with setuid, setgid or sticky bits.
//! - Whoever builds the same content at the same time gets the same result.
//! - No fsync per file; one barrier (`syncfs`) before something is published, and
//!   only where the root is on a real disk.
//!
//! Deliberately absent: deleting blobs (a garbage collector must know the leases of
//! what is in use), writing through a mapping, and any unsafe code.
#![forbid(unsafe_code)]

mod blob;
mod check;
mod current;
mod error;
mod parallel;
mod publish;
mod put;
mod root;
mod source;
mod space;
mod stamp;
mod store;
mod stream;
mod temporary;
mod view;
mod view_build;
mod view_manifest;
mod view_path;
mod view_root;
mod view_twins;

pub use check::{Problem, Report};
pub use error::StoreError;
pub use publish::{check_destination, restamp_manifest};
pub use put::Put;
pub use root::{Root, StoreRoot};
pub use source::{SourceStamp, open_source};
pub use space::Space;
pub use store::Store;
pub use velo_core::store_layout::RootRule;
pub use view::ViewTree;
