//! Which manifests a command is about: `-m`, else VELO_MANIFEST, else `velo-ctl use`.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use clap::Args;
use velo_core::store_layout::CURRENT_FILE;
use velo_store::{Root, Store};

use crate::failure::Failure;

/// Environment variable that names the manifests, joined by `:`.
pub const MANIFEST_VARIABLE: &str = "VELO_MANIFEST";

/// `-m FILE`, for every command that looks into manifests.
#[derive(Args, Debug, Clone, Default)]
pub struct ManifestArguments {
    /// Manifest to use; several may be given [default: $VELO_MANIFEST, else what `velo-ctl use` set]
    #[arg(short, long = "manifest", value_name = "FILE")]
    pub manifest: Vec<PathBuf>,
}

impl ManifestArguments {
    /// The chosen files; there is at least one.
    pub fn chosen(&self) -> Result<Vec<PathBuf>, Failure> {
        if !self.manifest.is_empty() {
            return Ok(self.manifest.clone());
        }
        let named = std::env::var_os(MANIFEST_VARIABLE).unwrap_or_default();
        let files = split(named.as_bytes());
        if !files.is_empty() {
            return Ok(files);
        }
        let files = current()?;
        if !files.is_empty() {
            return Ok(files);
        }
        Err(Failure::expected(
            "a manifest: -m FILE, VELO_MANIFEST, or one set by `velo-ctl use FILE`",
            "none",
            "build one with `velo-ctl build-manifest DIR -o FILE`",
        ))
    }
}

/// The manifests set by `velo-ctl use`; none if nothing is set. The list of a store that
/// somebody else could have put there is not believed.
pub fn current() -> Result<Vec<PathBuf>, Failure> {
    let root = Root::discover().map_err(Failure::new)?;
    match fs::symlink_metadata(root.path.join(CURRENT_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        _ => {}
    }
    let store = Store::open(&root.path).map_err(Failure::new)?;
    store.current().map_err(Failure::new)
}

fn split(list: &[u8]) -> Vec<PathBuf> {
    let names = list
        .split(|&byte| byte == b':')
        .filter(|name| !name.is_empty());
    names
        .map(|name| PathBuf::from(OsStr::from_bytes(name)))
        .collect()
}

/// Absolute paths joined by `:`, as VELO_MANIFEST wants them.
pub fn join(files: &[PathBuf]) -> Result<std::ffi::OsString, Failure> {
    let mut list = Vec::new();
    for file in files {
        let file = std::path::absolute(file).map_err(|error| Failure::io(file, &error))?;
        let name = file.as_os_str().as_bytes();
        if name.contains(&b':') {
            return Err(colon(&file));
        }
        if !list.is_empty() {
            list.push(b':');
        }
        list.extend_from_slice(name);
    }
    Ok(std::ffi::OsString::from_vec(list))
}

fn colon(file: &Path) -> Failure {
    Failure::expected(
        "a manifest path without `:` (it separates the paths in VELO_MANIFEST)",
        crate::failure::shown(file.as_os_str()),
        "rename or link it",
    )
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    #[test]
    fn lists_split_and_join() {
        assert_eq!(
            super::split(b"/a:/b c::"),
            [PathBuf::from("/a"), PathBuf::from("/b c")]
        );
        assert_eq!(
            super::join(&["/a".into(), "/b c".into()]).unwrap(),
            "/a:/b c"
        );
        assert!(
            super::join(&["/a:b".into()])
                .unwrap_err()
                .to_string()
                .contains("/a:b")
        );
    }
}
