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
    let path = find_one(NAME, VARIABLE, "libvelo_fs")?;
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

/// Absolute path of a library that this program is built with: what `variable` names, or the file in one of the usual
/// places around this program. `package` is what it is built from.
pub fn find_one(name: &str, variable: &str, package: &str) -> Result<PathBuf, Failure> {
    match env::var_os(variable).filter(|value| !value.is_empty()) {
        Some(named) => named_by_variable(&named, name, variable),
        None => beside_this_program(name, variable, package),
    }
}

fn named_by_variable(named: &OsStr, name: &str, variable: &str) -> Result<PathBuf, Failure> {
    let path = std::path::absolute(named).unwrap_or_else(|_| PathBuf::from(named));
    if path.is_file() {
        return Ok(path);
    }
    Err(Failure::expected(
        format_args!("{name} at {variable}"),
        format_args!("nothing at {}", shown(path.as_os_str())),
        format_args!("correct or unset {variable}"),
    ))
}

fn beside_this_program(name: &str, variable: &str, package: &str) -> Result<PathBuf, Failure> {
    let program =
        env::current_exe().map_err(|error| Failure::io(Path::new("/proc/self/exe"), &error))?;
    let directory = program.parent().unwrap_or(Path::new("/"));
    candidates(directory)
        .into_iter()
        .map(|place| place.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            Failure::expected(
                format_args!(
                    "{name} beside {}, in ../lib or in ../lib/velo",
                    shown(program.as_os_str())
                ),
                "none",
                format_args!(
                    "build it with `cargo build --release -p {package}`, or set {variable}"
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
    places
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn finds_the_places_of_an_installation_and_of_cargo() {
        let installed = super::candidates(Path::new("/usr/local/bin"));
        assert!(installed.contains(&Path::new("/usr/local/lib/velo").into()));
        let built = super::candidates(Path::new("/src/target/debug/deps"));
        assert!(built.contains(&Path::new("/src/target/release").into()));
    }
}
