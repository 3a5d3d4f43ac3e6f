//! Where the built library and `velo-ctl` are.
//!
//! `VELO_LIB` and `VELO_CTL` if set, else the target directory that this test was built in. The
//! library is copied to a scratch directory, so that other users can load it too.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::scratch::{self, Place};

/// The library, in a directory that everybody can search.
///
/// # Panics
/// If it was not built.
#[must_use]
pub fn library() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let built = find(
            "VELO_LIB",
            "libvelo_fs.so",
            "cargo build --release -p libvelo_fs",
        );
        let copy = scratch::directory(Place::Disk, "lib").join("libvelo_fs.so");
        std::fs::copy(&built, &copy)
            .unwrap_or_else(|error| panic!("copy {}: {error}", built.display()));
        let _ = std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755));
        copy
    })
}

/// The command line.
///
/// # Panics
/// If it was not built.
#[must_use]
pub fn velo_ctl() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| find("VELO_CTL", "velo-ctl", "cargo build --release -p velo-ctl"))
}

fn find(variable: &str, name: &str, how: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return PathBuf::from(path);
    }
    let target = target_directory();
    ["release", "debug"]
        .iter()
        .map(|profile| target.join(profile).join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| {
            panic!(
                "no {name} below {}: run `{how}` first, or set {variable}",
                target.display()
            )
        })
}

/// The target directory: the test is `<target>/<profile>/deps/<name>`.
fn target_directory() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    test.ancestors()
        .nth(3)
        .map(Path::to_path_buf)
        .unwrap_or_default()
}

/// Path of the program `name` in PATH.
///
/// # Panics
/// If it is not installed: a test that needs it must not pass without it.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    std::env::split_paths(PATH)
        .map(|directory| directory.join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{name} is not installed, and this test needs it (PATH={PATH})"))
}

/// The PATH of all tests: the system's programs, no version managers' wrappers.
pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";
