//! The source tree before it is scanned: it is a directory, it and the store do not
//! contain each other, and the manifest will not be written into it.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, openat, stat};
use velo_core::manifest::NAME_BYTES_MAX;
use velo_core::store_layout::{VIEW_ROOT_VARIABLE, VIEWS_DIRECTORY};
use velo_store::Store;

use crate::BuildOptions;
use crate::error::IndexError;
use crate::stat::{Stat, look};

/// Longest mount point: PATH_MAX with its NUL.
const MOUNT_BYTES_MAX: usize = 4095;

/// A source that may be scanned.
#[derive(Debug)]
pub(crate) struct Source {
    /// Canonical path.
    pub(crate) path: PathBuf,
    pub(crate) root: OwnedFd,
    pub(crate) stat: Stat,
    /// Mount point: absolute, without empty components, `.`, `..` or a trailing slash.
    pub(crate) mount: Vec<u8>,
}

impl Source {
    pub(crate) fn open(
        given: &Path,
        options: &BuildOptions,
        store: &Store,
    ) -> Result<Self, IndexError> {
        let failed = |error: std::io::Error| IndexError::Source {
            path: given.to_path_buf(),
            error,
        };
        let path = std::fs::canonicalize(given).map_err(failed)?;
        let found = stat(&path).map_err(|errno| failed(errno.into()))?;
        if let Some(found) = other_than_directory(FileType::from_raw_mode(found.st_mode)) {
            return Err(IndexError::NotDirectory { path, found });
        }
        let mount = mount_point(options.mount.as_deref().unwrap_or(&path))?;
        refuse_overlap(&path, store)?;
        if let Some(output) = &options.output {
            refuse_output(&path, output)?;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root =
            openat(CWD, &path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let (stat, _) = look(&root, c"", false).map_err(|errno| failed(errno.into()))?;
        Ok(Self {
            path,
            root,
            stat,
            mount,
        })
    }

    /// Key of the stat cache.
    pub(crate) fn key(&self) -> [u8; 32] {
        *blake3::hash(self.path.as_os_str().as_bytes()).as_bytes()
    }
}

fn other_than_directory(kind: FileType) -> Option<&'static str> {
    match kind {
        FileType::Directory => None,
        FileType::RegularFile => Some("regular file"),
        FileType::Fifo => Some("fifo"),
        FileType::Socket => Some("socket"),
        FileType::CharacterDevice => Some("character device"),
        FileType::BlockDevice => Some("block device"),
        FileType::Symlink | FileType::Unknown => Some("file of unknown type"),
    }
}

/// `path` with repeated and trailing slashes removed.
fn mount_point(path: &Path) -> Result<Vec<u8>, IndexError> {
    let refused = || IndexError::Mount {
        mount: path.to_path_buf(),
    };
    let bytes = path.as_os_str().as_bytes();
    if bytes.first() != Some(&b'/') || bytes.contains(&0) {
        return Err(refused());
    }
    let mut mount = Vec::with_capacity(bytes.len());
    for name in bytes
        .split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty())
    {
        if name == b"." || name == b".." || name.len() > NAME_BYTES_MAX {
            return Err(refused());
        }
        mount.push(b'/');
        mount.extend_from_slice(name);
    }
    if mount.is_empty() {
        mount.push(b'/');
    }
    if mount.len() > MOUNT_BYTES_MAX {
        Err(refused())
    } else {
        Ok(mount)
    }
}

fn refuse_overlap(source: &Path, store: &Store) -> Result<(), IndexError> {
    let root = store.root().to_path_buf();
    let named = std::env::var_os(VIEW_ROOT_VARIABLE).filter(|value| !value.is_empty());
    // The view trees of a root that is mounted noexec are behind a symbolic link.
    let views = named.map_or_else(|| root.join(VIEWS_DIRECTORY), PathBuf::from);
    for place in [root, views] {
        let place = std::fs::canonicalize(&place).unwrap_or(place);
        if place.starts_with(source) || source.starts_with(&place) {
            return Err(IndexError::OverlapsStore {
                source_path: source.to_path_buf(),
                store: place,
            });
        }
    }
    Ok(())
}

fn refuse_output(source: &Path, output: &Path) -> Result<(), IndexError> {
    let parent = match output.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // If the place does not exist, publishing will say so.
    let Ok(parent) = std::fs::canonicalize(parent) else {
        return Ok(());
    };
    if parent.starts_with(source) {
        return Err(IndexError::OutputInside {
            source_path: source.to_path_buf(),
            output: output.to_path_buf(),
        });
    }
    Ok(())
}

/// Last component of a mount point.
pub(crate) fn last_name(mount: &[u8]) -> &[u8] {
    mount
        .rsplit(|&byte| byte == b'/')
        .next()
        .unwrap_or_default()
}
