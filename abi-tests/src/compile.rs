//! Compiles the C programs of `abi-tests/c`, once a test process.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::artifacts;
use crate::scratch::{self, Place};

static DONE: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);

/// Directory of the C sources.
#[must_use]
pub fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("c")
}

/// Directory of the Python and Node programs.
#[must_use]
pub fn probes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("probes")
}

/// The program of `c/<name>.c`, built with the system's compiler.
#[must_use]
pub fn c(name: &str) -> PathBuf {
    with("cc", name, &[])
}

/// The program of `c/<name>.c`, built by `compiler` with more `flags`.
///
/// # Panics
/// If the compiler is missing or fails.
#[must_use]
pub fn with(compiler: &str, name: &str, flags: &[&str]) -> PathBuf {
    let key = format!("{compiler} {name} {flags:?}");
    let mut done = DONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let done = done.get_or_insert_default();
    if let Some(path) = done.get(&key) {
        return path.clone();
    }
    let output = scratch::directory(Place::Disk, "cc").join(name);
    build(
        compiler,
        &sources().join(format!("{name}.c")),
        &output,
        flags,
    );
    done.insert(key, output.clone());
    output
}

/// `c/<name>.c` built with `flags` in a directory of its own.
///
/// # Panics
/// If the compiler is missing or fails.
#[must_use]
pub fn build_to_scratch(name: &str, flags: &[&str]) -> PathBuf {
    let output = scratch::directory(Place::Disk, "cc").join(name);
    build("cc", &sources().join(format!("{name}.c")), &output, flags);
    output
}

/// Compiles one `source` to `output`.
///
/// # Panics
/// If the compiler is missing or fails.
pub fn build(compiler: &str, source: &Path, output: &Path, flags: &[&str]) {
    let result = Command::new(artifacts::program(compiler))
        .args([
            "-std=gnu11",
            "-O1",
            "-Wall",
            "-Wno-nonnull",
            "-Wno-unused-result",
            "-I",
        ])
        .arg(sources())
        .arg(source)
        .arg("-o")
        .arg(output)
        .args(flags)
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    assert!(
        result.status.success(),
        "{compiler} {}:\n{}",
        source.display(),
        String::from_utf8_lossy(&result.stderr)
    );
}
