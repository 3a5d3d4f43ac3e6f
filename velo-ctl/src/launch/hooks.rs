//! Python's part of Velo, for the programs that `run` starts: the package velo-hooks stands in the store, and
//! `PYTHONPATH` leads interpreters to its `sitecustomize`.
//!
//! The Python files are part of this program; `libvelo_hooks.so`, their compiled part, is found as libvelo_fs.so is.
//! Whatever is missing leaves Python as it is.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use velo_core::id::ContentHash;
use velo_store::Store;

use super::library;
use super::start::Environment;
use crate::failure::{Failure, shown};

/// Name of the compiled part.
pub const NATIVE: &str = "libvelo_hooks.so";
/// Names the compiled part, for `run` and for what it starts.
pub const NATIVE_VARIABLE: &str = "VELO_PYTHON_NATIVE";
/// `0` turns the hook off.
const VARIABLE: &str = "VELO_PYTHON";
/// Makes it an error if the hook cannot be turned on.
const STRICT_VARIABLE: &str = "VELO_PYTHON_STRICT";
const SEARCH_VARIABLE: &str = "PYTHONPATH";
/// Where `sitecustomize.py` is, below the package's parent.
const RUN: &str = "velo_hooks/run";

/// Each: path below the package's parent, content.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/python_hooks.rs"));

/// Turns the hook on for what is started with `environment`, unless its variables say otherwise.
pub fn prepare(environment: &mut Environment, store: &Store) -> Result<(), Failure> {
    if environment.get(VARIABLE) == Some(OsStr::new("0")) {
        return Ok(());
    }
    let strict = environment
        .get(STRICT_VARIABLE)
        .is_some_and(|value| !value.is_empty() && value != "0");
    let found = find_native().and_then(|native| Ok((native, package(store)?)));
    let (native, package) = match found {
        Ok(found) => found,
        Err(failure) if strict => return Err(failure),
        Err(_) => return Ok(()),
    };
    let run = package.join(RUN);
    if run.as_os_str().as_bytes().contains(&b':') {
        return Ok(());
    }
    let given = environment.get(SEARCH_VARIABLE).unwrap_or_default();
    let value = search_path(&run, given);
    environment.set(SEARCH_VARIABLE, value);
    environment.set(NATIVE_VARIABLE, native);
    Ok(())
}

/// The compiled part: what the variable names, or what is beside the preload library.
pub fn find_native() -> Result<PathBuf, Failure> {
    library::find_one(NATIVE, NATIVE_VARIABLE, "velo-hooks")
}

/// The directory that the package stands in, made if it is not there yet.
pub fn package(store: &Store) -> Result<PathBuf, Failure> {
    let directory = store.hooks_directory().map_err(Failure::new)?;
    let place = directory.join(digest());
    match is_ours(&place) {
        Some(true) => return Ok(place),
        Some(false) => {
            return Err(Failure::expected(
                format_args!(
                    "{} to be this user's, root's or the store owner's",
                    shown(place.as_os_str())
                ),
                "another owner, or others who can write to it",
                "remove it",
            ));
        }
        None => {}
    }
    let new = directory.join(format!(".new-{}-{}", digest(), std::process::id()));
    let made = write_all(&new).and_then(|()| std::fs::rename(&new, &place));
    if let Err(error) = made {
        let _ = std::fs::remove_dir_all(&new);
        // Another process has been faster.
        if is_ours(&place) != Some(true) {
            return Err(Failure::io(&place, &error));
        }
    }
    Ok(place)
}

/// What tells the files of two releases apart.
fn digest() -> String {
    let mut text = Vec::new();
    for (name, content) in FILES {
        text.extend_from_slice(name.as_bytes());
        text.push(0);
        text.extend_from_slice(ContentHash::of(content).as_bytes());
    }
    ContentHash::of(&text).to_string()[..16].to_owned()
}

/// Whether nobody else could have written what is there; `None` if nothing is.
fn is_ours(place: &Path) -> Option<bool> {
    let found = std::fs::symlink_metadata(place).ok()?;
    let above = place
        .parent()
        .and_then(|above| std::fs::symlink_metadata(above).ok())?;
    let owners = [0, rustix::process::geteuid().as_raw(), above.uid()];
    Some(found.is_dir() && found.mode() & 0o022 == 0 && owners.contains(&found.uid()))
}

fn write_all(directory: &Path) -> io::Result<()> {
    use std::fs::{DirBuilder, OpenOptions, Permissions, set_permissions};
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
    for (name, content) in FILES {
        let path = directory.join(name);
        let parent = path.parent().unwrap_or(directory);
        // An interpreter would make it as its umask is, and what stands there is run.
        let cache = parent.join("__pycache__");
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&cache)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&path)?;
        io::Write::write_all(&mut file, content)?;
        // Whatever the umask is: others may use the store.
        file.set_permissions(Permissions::from_mode(0o644))?;
        for place in cache
            .ancestors()
            .take_while(|place| place.starts_with(directory))
        {
            set_permissions(place, Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

/// `PYTHONPATH` with `run` first, and no other release's.
fn search_path(run: &Path, given: &OsStr) -> OsString {
    let is_run = |place: &[u8]| {
        let hooks = run.ancestors().nth(3).unwrap_or(run);
        Path::new(OsStr::from_bytes(place)).starts_with(hooks) && place.ends_with(RUN.as_bytes())
    };
    let mut value = run.as_os_str().as_bytes().to_vec();
    if !given.is_empty() {
        for place in given
            .as_bytes()
            .split(|byte| *byte == b':')
            .filter(|place| !is_run(place))
        {
            value.push(b':');
            value.extend_from_slice(place);
        }
    }
    OsString::from_vec(value)
}

#[cfg(test)]
mod tests {
    use super::{FILES, search_path};
    use std::ffi::OsStr;
    use std::path::Path;

    #[test]
    fn the_package_is_whole() {
        for name in [
            "velo_hooks/__init__.py",
            "velo_hooks/_hook.py",
            "velo_hooks/run/sitecustomize.py",
        ] {
            assert!(
                FILES
                    .iter()
                    .any(|(found, content)| *found == name && !content.is_empty()),
                "{name}"
            );
        }
    }

    #[test]
    fn what_the_user_has_in_the_search_path_stays() {
        let path = |given| search_path(Path::new("/s/hooks/new/velo_hooks/run"), OsStr::new(given));
        assert_eq!(path(""), "/s/hooks/new/velo_hooks/run");
        assert_eq!(path("/a:/b"), "/s/hooks/new/velo_hooks/run:/a:/b");
        // An empty entry is the working directory.
        assert_eq!(path("/a::/b"), "/s/hooks/new/velo_hooks/run:/a::/b");
        assert_eq!(
            path("/s/hooks/old/velo_hooks/run:/b"),
            "/s/hooks/new/velo_hooks/run:/b"
        );
    }
}
