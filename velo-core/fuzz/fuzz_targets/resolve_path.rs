//! Any path against good and damaged manifests: the resolver returns, and does not
//! contradict itself. What an input looks like: `tests/resolve_support/fuzzed.rs`.
#![no_main]

#[path = "../../tests/resolve_support/fuzzed.rs"]
mod fuzzed;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzzed::run(data));
