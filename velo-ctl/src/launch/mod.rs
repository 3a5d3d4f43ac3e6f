//! Starting a program under the preload library: `velo-ctl run`.

pub mod hooks;
pub mod libraries;
pub mod library;
pub mod plan;
pub mod program;
pub mod start;
