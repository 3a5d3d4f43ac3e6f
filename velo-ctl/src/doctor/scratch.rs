//! A scratch directory for trials, gone at the end.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::io_words;

/// Start of the names; the process and a number follow.
const PREFIX: &str = ".velo-doctor-";
/// No examination takes as long.
const LEFTOVER_AGE: Duration = Duration::from_secs(600);

/// A directory that disappears at the end.
pub struct Scratch {
    /// Where it is.
    pub path: PathBuf,
}

impl Scratch {
    /// A new one in `place`; what examinations that were killed left there goes.
    pub fn below(place: &Path) -> Result<Self, String> {
        remove_leftovers(place);
        (0..64)
            .map(|attempt| place.join(format!("{PREFIX}{}-{attempt}", std::process::id())))
            .find_map(|path| match fs::create_dir(&path) {
                Ok(()) => Some(Ok(Self { path })),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                Err(error) => Some(Err(format!("{}: {}", place.display(), io_words(&error)))),
            })
            .unwrap_or_else(|| Err(format!("{}: no free name", place.display())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        make_writable(&self.path);
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes this user's own old scratch directories in `place`; others are nobody's business.
fn remove_leftovers(place: &Path) {
    let user = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let is_left = entry.metadata().is_ok_and(|found| {
            let age = found
                .modified()
                .map(|time| time.elapsed().unwrap_or_default());
            found.is_dir() && found.uid() == user && age.is_ok_and(|age| age > LEFTOVER_AGE)
        });
        if is_left {
            drop(Scratch { path: entry.path() });
        }
    }
}

/// View trees and stores have directories that even their owner cannot list or empty.
fn make_writable(directory: &Path) {
    let _ = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

/// The path itself, or the closest directory above it that exists.
pub fn nearest_existing(path: &Path) -> PathBuf {
    path.ancestors()
        .find(|place| place.is_dir())
        .unwrap_or(Path::new("/"))
        .to_path_buf()
}
