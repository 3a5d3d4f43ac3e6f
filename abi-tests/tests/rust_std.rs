//! A Rust program: `std::fs` and `std::process` (`src/bin/rust_std.rs`).

use std::path::Path;

#[test]
fn standard_library() {
    abi_tests::probe::same_for_all_callers(Path::new(env!("CARGO_BIN_EXE_rust_std")), "rust-std");
}
