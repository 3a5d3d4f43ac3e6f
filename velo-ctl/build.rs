//! Puts the Python files of `python-hooks` into the command, so that `run` needs nothing but itself and the two
//! libraries beside it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../python-hooks/python");
    let mut files = Vec::new();
    collect(&base.join("velo_hooks"), &mut files);
    files.sort();
    let mut text = String::from("&[\n");
    for file in files {
        let name = file.strip_prefix(&base).unwrap_or(&file);
        println!("cargo::rerun-if-changed={}", file.display());
        let _ = writeln!(text, "({name:?}, include_bytes!({file:?})),");
    }
    text.push_str("]\n");
    let out = std::env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .unwrap_or_default();
    if let Err(error) = std::fs::write(out.join("python_hooks.rs"), text) {
        println!("cargo::error=python_hooks.rs: {error}");
    }
}

/// All Python files at and below a directory.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    println!("cargo::rerun-if-changed={}", directory.display());
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "__pycache__") {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "py") {
            files.push(path);
        }
    }
}
