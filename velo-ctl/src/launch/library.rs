//! Finds `libvelo_fs.so`.

use std::env;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, shown};

/// Name of the preload library.
pub const NAME: &str = "libvelo_fs.so";
/// Environment variable that names the library's path.
pub const VARIABLE: &str = "VELO_LIB";

/// Absolute path of the library: `VELO_LIB`, or one of the usual places around
/// this program. It must be a path that LD_PRELOAD can carry.
pub fn find() -> Result<PathBuf, Failure> {
    let path = match env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        Some(named) => named_by_variable(&named)?,
        None => beside_this_program()?,
    };
    let separators = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b':' | b'$');
    match path.as_os_str().as_bytes().iter().any(separators) {
        false => Ok(path),
        true => Err(Failure::expected(
            format_args!(
                "a path of {NAME} without spaces, `:` and `$` (LD_PRELOAD cannot carry them)"
            ),
            shown(path.as_os_str()),
            format_args!("install it elsewhere, or set {VARIABLE} to a link to it"),
        )),
    }
}

fn named_by_variable(named: &OsStr) -> Result<PathBuf, Failure> {
    let path = std::path::absolute(named).unwrap_or_else(|_| PathBuf::from(named));
    if path.is_file() {
        return Ok(path);
    }
    Err(Failure::expected(
        format_args!("{NAME} at {VARIABLE}"),
        format_args!("nothing at {}", shown(path.as_os_str())),
        format_args!("correct or unset {VARIABLE}"),
    ))
}

fn beside_this_program() -> Result<PathBuf, Failure> {
    let program =
        env::current_exe().map_err(|error| Failure::io(Path::new("/proc/self/exe"), &error))?;
    let directory = program.parent().unwrap_or(Path::new("/"));
    candidates(directory)
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| {
            Failure::expected(
                format_args!(
                    "{NAME} beside {}, in ../lib or in ../lib/velo",
                    shown(program.as_os_str())
                ),
                "none",
                format_args!(
                    "build it with `cargo build --release -p libvelo_fs`, or set {VARIABLE}"
                ),
            )
        })
}

/// Installed: beside, `../lib`, `../lib/velo`. From cargo: `target/release`, seen
/// from `target/debug` and from `target/*/deps`.
fn candidates(directory: &Path) -> Vec<PathBuf> {
    let parent = directory.parent().unwrap_or(Path::new("/"));
    let mut places = vec![
        directory.to_path_buf(),
        parent.join("lib"),
        parent.join("lib/velo"),
        parent.join("release"),
    ];
    if directory.file_name() == Some(OsStr::new("deps")) {
        places.push(parent.parent().unwrap_or(Path::new("/")).join("release"));
    }
    places.into_iter().map(|place| place.join(NAME)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn finds_the_places_of_an_installation_and_of_cargo() {
        let installed = super::candidates(Path::new("/usr/local/bin"));
        assert!(installed.contains(&Path::new("/usr/local/lib/velo/libvelo_fs.so").into()));
        let built = super::candidates(Path::new("/src/target/debug/deps"));
        assert!(built.contains(&Path::new("/src/target/release/libvelo_fs.so").into()));
    }
}
