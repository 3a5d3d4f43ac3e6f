//! The preload library: found, and loaded by the dynamic loader of this machine.

use std::path::Path;

use super::{Check, probe};
use crate::launch::library;
use crate::launch::start::PRELOAD_VARIABLE;

/// The checks of this file.
pub fn checks() -> Vec<Check> {
    match library::find() {
        Err(failure) => vec![Check::fail("library", failure.to_string(), "without it programs can only be served by a kernel mount")],
        Ok(path) => vec![loads(&path)],
    }
}

/// Starts this same program under the library, with nothing to serve.
fn loads(path: &Path) -> Check {
    let id = "library";
    let mut child = probe::command(probe::Trial::Preload);
    child.env(PRELOAD_VARIABLE, path).env_remove("VELO_MANIFEST").env("VELO_ON_ERROR", "passthrough");
    match probe::answer(&mut child) {
        Ok(_) => Check::ok(id, format!("{} loads", path.display())),
        Err(error) => Check::fail(
            id,
            format!("{} does not load: {error}", path.display()),
            "rebuild it for this machine: cargo build --release -p libvelo_fs",
        ),
    }
}
