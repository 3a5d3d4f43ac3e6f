//! Black-box tests of the store on real file systems: tmpfs, ext4, full ones, read-only
//! ones, ones without something. Run as root they use mount namespaces of their own;
//! an ordinary user sees what was skipped on stderr, as lines that start with `SKIP`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test binary has no public items, and a test that cannot go on should panic"
)]

mod basics;
mod damage;
mod full;
mod publish;
mod root;
mod sources;
mod tree;
mod view;
mod world;
