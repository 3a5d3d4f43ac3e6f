//! What the resolver's tests share: a model tree with its naive resolver, random
//! worlds, and the way from a model tree to real manifests.
#![allow(dead_code, reason = "each test uses its part")]
#![allow(missing_docs, reason = "test support, documented per module")]

pub mod fuzzed;
pub mod kernel;
pub mod model;
pub mod plant;
pub mod world;

/// How many random worlds to try: `VELO_RESOLVE_CASES`, or `default`.
pub fn cases(default: u32) -> u32 {
    std::env::var("VELO_RESOLVE_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}
