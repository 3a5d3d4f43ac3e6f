//! Formats and rules of Velo, shared by every mode that serves a tree.
//!
//! Invariants: `no_std` without feature `std`; the readers never allocate, never
//! panic and never trust a length or an index that came from a file. This crate
//! imports nothing else of ours.
#![cfg_attr(not(any(feature = "std", test)), no_std)]

pub mod errno;
pub mod executable;
pub mod id;
pub mod manifest;
#[cfg(feature = "std")]
pub mod registry;
pub mod resolve;
pub mod stamp;
pub mod store_layout;
pub mod velo_id;
pub mod vnode;
