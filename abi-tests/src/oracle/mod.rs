//! The oracle: random trees and random scripts of file operations, compared with the kernel.
//!
//! A [`Case`] is a tree and the scripts to run on it, as text: what is generated, shrunk, committed and
//! replayed is all the same thing. Two callers carry scripts out and print what every operation
//! answered, `c/oracle.c` through the C library and `src/bin/oracle_std.rs` through Rust's standard library;
//! [`Check`] runs them on the plain tree and on the served one and compares the lines. Everything is
//! read-only where they run, so that a change that goes astray is an error and not a change.

mod case;
mod check;
mod entry;
mod grow;
mod script;
mod text;

pub use case::{Caller, Case, Way};
pub use check::{Check, Difference};
pub use entry::Entry;
pub use grow::tree;
pub use script::{OPERATIONS, excluded, script};
pub use text::unescaped;
