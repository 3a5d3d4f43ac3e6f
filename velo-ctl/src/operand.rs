//! What `ls`, `cat` and `stat` are told to look at: `PATH`, or `MANIFEST:PATH`.
//!
//! The one rule: without `-m`, an operand whose text before a colon names a file
//! is `MANIFEST:PATH`; everything else is a path in the default view. In
//! `MANIFEST:PATH` a path without a leading slash starts at the first root.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use velo_core::errno::Errno;

use crate::failure::Failure;
use crate::manifest_file::ManifestFile;
use crate::output::printable;
use crate::selection::ManifestArguments;
use crate::served::{Place, Served};

/// Opens views as operands need them, each once.
pub struct Lookup<'a> {
    manifests: &'a ManifestArguments,
    opened: HashMap<Vec<PathBuf>, Rc<Served>>,
}

/// One operand, resolved as far as its view.
pub struct Target {
    /// The view to look in.
    pub served: Rc<Served>,
    /// Path in it; empty if only a manifest was named.
    pub path: Vec<u8>,
    /// The operand as it was written.
    pub shown: OsString,
}

impl<'a> Lookup<'a> {
    /// Nothing is opened yet.
    pub fn new(manifests: &'a ManifestArguments) -> Self {
        Self {
            manifests,
            opened: HashMap::new(),
        }
    }

    /// Takes an operand apart and opens its view.
    pub fn target(&mut self, operand: &OsStr) -> Result<Target, Failure> {
        let named = if self.manifests.manifest.is_empty() {
            split(operand.as_bytes())
        } else {
            None
        };
        let (served, path) = match named {
            Some((manifest, path)) => {
                let served = self.view(vec![manifest.into()])?;
                let path = if path.is_empty() || path.starts_with(b"/") {
                    path.to_vec()
                } else {
                    below_first_root(&served, path)
                };
                (served, path)
            }
            None => {
                let view = self.default_view();
                let view = view.map_err(|failure| meant_manifest(operand).unwrap_or(failure))?;
                (view, operand.as_bytes().to_vec())
            }
        };
        Ok(Target {
            served,
            path,
            shown: operand.to_owned(),
        })
    }

    /// The view of `-m`, VELO_MANIFEST or `velo-ctl use`.
    pub fn default_view(&mut self) -> Result<Rc<Served>, Failure> {
        let files = self.manifests.chosen()?;
        self.view(files)
    }

    fn view(&mut self, files: Vec<PathBuf>) -> Result<Rc<Served>, Failure> {
        if let Some(served) = self.opened.get(&files) {
            return Ok(Rc::clone(served));
        }
        let served = Rc::new(Served::open(&files, ManifestFile::open)?);
        self.opened.insert(files, Rc::clone(&served));
        Ok(served)
    }
}

impl Target {
    /// The place that the operand names. What lies outside every mount is refused:
    /// the usual commands show it.
    pub fn place(&self, follow: bool) -> Result<Place, Failure> {
        let missing = |errno| self.failure(errno);
        // `MANIFEST:` alone; an empty operand is a path that does not exist.
        let alone = self.path.is_empty() && !self.shown.is_empty();
        if let Some(first) = self.served.mounts().first().filter(|_| alone) {
            let (mount, index) = (0, first.top());
            return Ok(Place::Entry { mount, index });
        }
        match self.served.find(&self.path, follow).map_err(missing)? {
            Place::Outside(path) => {
                if let Some(failure) = meant_manifest(&self.shown) {
                    return Err(failure);
                }
                let roots: Vec<_> = self
                    .served
                    .mounts()
                    .iter()
                    .map(|mount| root_name(mount.path()))
                    .collect();
                Err(Failure::expected(
                    format_args!("a path at or below {}", roots.join(", ")),
                    printable(path.as_os_str().as_bytes()),
                    "nothing is served there: look with the usual commands, or name another manifest with -m",
                ))
            }
            place => Ok(place),
        }
    }

    /// `OPERAND: No such file or directory` and the like.
    pub fn failure(&self, errno: Errno) -> Failure {
        Failure::path(self.shown.as_bytes(), errno)
    }
}

/// A mount path as people write it: `/` for the file system's root.
pub fn root_name(path: &[u8]) -> String {
    if path.is_empty() {
        String::from("/")
    } else {
        printable(path)
    }
}

/// What to say to somebody who named a manifest and no path in it.
fn meant_manifest(operand: &OsStr) -> Option<Failure> {
    let opened = ManifestFile::open(Path::new(operand)).is_ok();
    opened.then(|| {
        let name = printable(operand.as_bytes());
        Failure::expected(
            "a path",
            format_args!("the manifest {name}"),
            format_args!("write {name}: for its roots, {name}:PATH for what is in it"),
        )
    })
}

/// The manifest's and the path's half, if the text before a colon names a file
/// (or plainly means one, so that the message can be about it).
fn split(operand: &[u8]) -> Option<(&OsStr, &[u8])> {
    let colons = operand
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b':')
        .map(|(position, _)| position);
    let halves: Vec<_> = colons
        .map(|position| {
            (
                OsStr::from_bytes(&operand[..position]),
                &operand[position + 1..],
            )
        })
        .collect();
    let existing = halves
        .iter()
        .find(|(manifest, _)| Path::new(manifest).is_file());
    let meant = || {
        halves
            .iter()
            .find(|(manifest, _)| manifest.as_bytes().ends_with(b".velo"))
    };
    existing.or_else(meant).copied()
}

fn below_first_root(served: &Served, path: &[u8]) -> Vec<u8> {
    let root = served
        .mounts()
        .first()
        .map_or(&b""[..], |mount| mount.path());
    [root, b"/", path].concat()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::split;

    #[test]
    fn a_file_before_a_colon_is_the_manifest() {
        let file = std::env::temp_dir().join(format!("velo-ctl-a:b-{}", std::process::id()));
        std::fs::write(&file, "").unwrap();
        let operand = format!("{}:/app/x:y", file.display());
        let found = split(operand.as_bytes());
        std::fs::remove_file(&file).unwrap();
        assert_eq!(found, Some((file.as_os_str(), &b"/app/x:y"[..])));
        assert_eq!(split(b"/app/x:y"), None);
        assert_eq!(
            split(b"gone.velo:/app"),
            Some((OsStr::new("gone.velo"), &b"/app"[..]))
        );
    }
}
