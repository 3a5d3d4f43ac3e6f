//! Which directory is the store root, and by which rule.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, lstat, statx};
use velo_core::store_layout::{self, RAM_DISK, ROOT_VARIABLE, RootRule};

use crate::StoreError;

/// Longest root that leaves room for what stands below it in a path of 4096 bytes.
const ROOT_BYTES_MAX: usize = 4000;

/// Finds the store root.
#[derive(Debug)]
pub struct Root;

/// A store root and how it came to be chosen. Displays as one explaining line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreRoot {
    /// The directory; it need not exist yet.
    pub path: PathBuf,
    /// Why this one.
    pub rule: RootRule,
}

impl Root {
    /// The root that this process and every program it starts will use.
    ///
    /// # Errors
    /// [`StoreError::Variable`] if `VELO_ROOT` is relative or too long.
    pub fn discover() -> Result<StoreRoot, StoreError> {
        let variable = std::env::var_os(ROOT_VARIABLE);
        Self::discover_with(variable.as_deref(), is_mount_point(Path::new(RAM_DISK)))
    }

    /// The same rule over given facts: the value of `VELO_ROOT`, and whether the RAM
    /// disk is a mount point.
    ///
    /// # Errors
    /// As [`Root::discover`].
    pub fn discover_with(
        variable: Option<&OsStr>,
        ram_disk_mounted: bool,
    ) -> Result<StoreRoot, StoreError> {
        let mut path = vec![0; ROOT_BYTES_MAX];
        let uid = rustix::process::geteuid().as_raw();
        let value = variable.map(OsStrExt::as_bytes);
        let (rule, length) = store_layout::choose_root(value, || ram_disk_mounted, uid, &mut path)
            .map_err(|_| {
                let value = variable.unwrap_or_default().into();
                StoreError::Variable {
                    variable: ROOT_VARIABLE,
                    value,
                }
            })?;
        path.truncate(length);
        if path.is_empty() {
            path.push(b'/');
        }
        let path = std::ffi::OsString::from_vec(path).into();
        Ok(StoreRoot { path, rule })
    }

    /// Whether `path` is one of the roots that are chosen without being named, so
    /// that somebody else may have been there first.
    pub(crate) fn is_default(path: &Path) -> bool {
        let uid = rustix::process::geteuid().as_raw();
        path == Path::new(RAM_DISK)
            || path == Path::new(&format!("{}{uid}", store_layout::SHM_PREFIX))
    }
}

impl fmt::Display for StoreRoot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (", self.path.display())?;
        match self.rule {
            RootRule::Variable => write!(out, "{ROOT_VARIABLE} names it")?,
            RootRule::RamDisk => {
                write!(
                    out,
                    "{ROOT_VARIABLE} is not set and {RAM_DISK} is a mount point"
                )?;
            }
            RootRule::SharedMemory => write!(
                out,
                "{ROOT_VARIABLE} is not set and {RAM_DISK} is not a mount point, so the last resort"
            )?,
        }
        out.write_str(")")
    }
}

/// Whether something is mounted exactly at `path`; symbolic links do not count.
fn is_mount_point(path: &Path) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    if let Ok(found) = statx(CWD, path, flags, StatxFlags::TYPE)
        && found
            .stx_attributes_mask
            .contains(StatxAttributes::MOUNT_ROOT)
    {
        return found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    }
    // Kernels before 5.8: another device than the parent's. Misses bind mounts.
    let parent = path.parent().unwrap_or(path);
    match (lstat(path), lstat(parent)) {
        (Ok(here), Ok(above)) => here.st_dev != above.st_dev,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;

    use super::{Root, is_mount_point};
    use crate::{RootRule, StoreError};

    #[test]
    fn explains_which_rule_chose_the_root() {
        let named = Root::discover_with(Some(OsStr::new("/a//")), true).unwrap();
        assert_eq!(
            (named.path.as_path(), named.rule),
            (Path::new("/a"), RootRule::Variable)
        );
        assert_eq!(named.to_string(), "/a (VELO_ROOT names it)");
        let disk = Root::discover_with(None, true).unwrap();
        assert!(
            disk.to_string()
                .ends_with("and /mnt/velo_ram_disk is a mount point)"),
            "{disk}"
        );
        let last = Root::discover_with(Some(OsStr::new("")), false).unwrap();
        assert!(last.path.starts_with("/dev/shm"), "{last}");
        assert!(Root::is_default(&last.path) && !Root::is_default(&named.path));
        let bare = Root::discover_with(Some(OsStr::new("/")), false).unwrap();
        assert_eq!(bare.path, Path::new("/"));
    }

    #[test]
    fn relative_root_is_refused() {
        let refused = Root::discover_with(Some(OsStr::new("here")), false).unwrap_err();
        assert!(matches!(
            refused,
            StoreError::Variable {
                variable: "VELO_ROOT",
                ..
            }
        ));
        assert!(refused.to_string().contains("found \"here\""), "{refused}");
    }

    #[test]
    fn proc_is_a_mount_point_and_a_directory_in_it_is_not() {
        assert!(is_mount_point(Path::new("/proc")));
        assert!(!is_mount_point(Path::new("/proc/self/task")));
        assert!(!is_mount_point(Path::new("/nothing-here")));
    }
}
