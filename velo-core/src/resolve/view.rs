//! What is served where: the mounts of a view, and path arithmetic over them.
//!
//! Invariants, checked once when a [`Mount`] and a [`View`] are made and relied
//! upon afterwards: a mount's path is absolute and lexically normal and kept
//! without its trailing slash (so `/` is the empty string); its root is a
//! directory; no two mounts have one path; where a mount stands below another
//! one's root, whatever the outer tree holds on the way there is a directory.
//!
//! A mount's path has to be *canonical* in the kernel's eyes as well: its
//! ancestors outside every mount are taken for real directories, never symlinks.

use super::lexical::{Shape, shape};
use crate::manifest::Manifest;
use core::fmt;

/// One root of a manifest, seen at an absolute path.
#[derive(Clone, Copy)]
pub struct Mount<'a> {
    path: &'a [u8],
    manifest: Manifest<'a>,
    root: u32,
    top: u32,
}

impl<'a> Mount<'a> {
    /// Serves root number `root` of `manifest` at `path` (a trailing `/` is allowed).
    ///
    /// # Errors
    /// The path is not absolute and lexically normal, or the manifest has no such
    /// root, or that root is no directory.
    pub fn new(path: &'a [u8], manifest: Manifest<'a>, root: u32) -> Result<Self, ViewError> {
        let Some(b'/') = path.first() else {
            return Err(ViewError::PathNotNormal);
        };
        let Shape::Normal { end, .. } = shape(path) else {
            return Err(ViewError::PathNotNormal);
        };
        if end >= super::PATH_MAX_BYTES {
            return Err(ViewError::PathNotNormal);
        }
        let top = manifest.root(root).ok_or(ViewError::NoSuchRoot)?.index;
        if !manifest.vnode(top).is_some_and(|vnode| vnode.is_dir()) {
            return Err(ViewError::RootNotDirectory);
        }
        Ok(Self {
            path: path.get(..end).unwrap_or_default(),
            manifest,
            root,
            top,
        })
    }

    /// Where the root is seen, without a trailing slash: empty for `/`.
    #[must_use]
    pub const fn path(&self) -> &'a [u8] {
        self.path
    }

    /// The manifest that holds the tree.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest<'a> {
        &self.manifest
    }

    /// Number of the root in its manifest.
    #[must_use]
    pub const fn root(&self) -> u32 {
        self.root
    }

    /// Entry index of the root directory.
    #[must_use]
    pub const fn top(&self) -> u32 {
        self.top
    }

    /// The part of `path` below the root: empty for the root itself, `None` if
    /// `path` (absolute, without a trailing slash) is elsewhere.
    #[inline]
    pub(super) fn below(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        below(self.path, path)
    }
}

/// The part of `path` below `root`, both without trailing slashes; empty if they
/// are the same, `None` if `path` is not at or below `root`.
#[inline]
pub(super) fn below<'p>(root: &[u8], path: &'p [u8]) -> Option<&'p [u8]> {
    match path.get(root.len()) {
        None if path.len() == root.len() && path == root => Some(&[]),
        Some(b'/') if path.starts_with(root) => path.get(root.len() + 1..),
        _ => None,
    }
}

/// Every mount that a process sees.
#[derive(Clone, Copy)]
pub struct View<'a> {
    mounts: &'a [Mount<'a>],
    /// Bytes that the paths of all mounts begin with.
    common: &'a [u8],
    /// Whether some mount stands below another one's root.
    nested: bool,
}

impl<'a> View<'a> {
    /// A view of `mounts`, in any order: the longest prefix of a path decides.
    ///
    /// # Errors
    /// Two mounts have the same path, or the way to a mount leads through
    /// something in another mount that is no directory.
    pub fn new(mounts: &'a [Mount<'a>]) -> Result<Self, ViewError> {
        let mut common = mounts.first().map_or(&[][..], |mount| mount.path);
        let mut nested = false;
        for (number, inner) in mounts.iter().enumerate() {
            let same = common
                .iter()
                .zip(inner.path)
                .take_while(|(a, b)| a == b)
                .count();
            common = common.get(..same).unwrap_or_default();
            for (other, outer) in mounts.iter().enumerate() {
                if other == number {
                    continue;
                }
                let Some(way) = outer.below(inner.path) else {
                    continue;
                };
                if way.is_empty() {
                    return Err(ViewError::SamePath {
                        mounts: (other, number),
                    });
                }
                nested = true;
                if leads_through_non_directory(outer, way) {
                    return Err(ViewError::NotThroughDirectories {
                        outer: other,
                        inner: number,
                    });
                }
            }
        }
        Ok(Self {
            mounts,
            common,
            nested,
        })
    }

    /// The mounts, as they were given.
    #[must_use]
    pub const fn mounts(&self) -> &'a [Mount<'a>] {
        self.mounts
    }

    /// One mount by its number.
    #[must_use]
    #[inline]
    pub fn mount(&self, number: usize) -> Option<&'a Mount<'a>> {
        self.mounts.get(number)
    }

    /// Whether some mount stands below another one's root.
    #[inline]
    pub(super) const fn nested(&self) -> bool {
        self.nested
    }

    /// The mount that `path` lies in, by its longest prefix, and what follows it:
    /// the part below the mount's root, empty for the root itself.
    ///
    /// `path` is absolute. Only the part that names the mount has to be lexically
    /// normal: what follows is returned as it stands.
    #[must_use]
    #[inline]
    pub fn mount_of_prefix<'p>(&self, path: &'p [u8]) -> Option<(usize, &'p [u8])> {
        if !path.starts_with(self.common) {
            return None;
        }
        let common_bytes = self.common.len();
        let mut found: Option<(usize, &'p [u8])> = None;
        for (number, mount) in self.mounts.iter().enumerate() {
            let root = mount.path;
            let rest = match path.get(root.len()) {
                None if path.len() == root.len() => &[],
                Some(b'/') => path.get(root.len() + 1..).unwrap_or_default(),
                _ => continue,
            };
            // The shorter the rest, the longer the prefix; and a root itself, which
            // has no slash after it, has the shortest.
            if path.get(common_bytes..root.len()) == root.get(common_bytes..)
                && found.is_none_or(|(_, shortest)| rest.len() < shortest.len())
            {
                found = Some((number, rest));
            }
        }
        found
    }

    /// Whether `path` (absolute, normal, no trailing slash) is a proper ancestor
    /// of some mount.
    #[must_use]
    pub(super) fn is_above_mount(&self, path: &[u8]) -> bool {
        self.mounts
            .iter()
            .any(|mount| below(path, mount.path).is_some_and(|way| !way.is_empty()))
    }

    /// Writes the virtual absolute path of an entry and returns it; `None` if
    /// there is no such entry or `out` is too short.
    pub fn canonical_path<'o>(
        &self,
        mount: usize,
        index: u32,
        out: &'o mut [u8],
    ) -> Option<&'o [u8]> {
        let mount = self.mount(mount)?;
        let head = mount.path.len();
        out.get_mut(..head)?.copy_from_slice(mount.path);
        let mut end = head;
        if index != mount.top || head == 0 {
            *out.get_mut(head)? = b'/';
            end = head + 1;
        }
        if index != mount.top {
            end += mount.manifest.rel_path(index, out.get_mut(end..)?)?;
        }
        out.get(..end)
    }
}

/// Whether `outer` has something on the way to `way`'s last component, itself
/// excluded, that is no directory.
fn leads_through_non_directory(outer: &Mount<'_>, way: &[u8]) -> bool {
    let mut dir = outer.top;
    let Some(last) = way.iter().rposition(|&byte| byte == b'/') else {
        return false;
    };
    for name in way
        .get(..last)
        .unwrap_or_default()
        .split(|&byte| byte == b'/')
    {
        match outer.manifest.child(dir, name) {
            Some(next)
                if outer
                    .manifest
                    .vnode(next)
                    .is_some_and(|vnode| vnode.is_dir()) =>
            {
                dir = next
            }
            Some(_) => return true,
            None => return false,
        }
    }
    false
}

/// Why mounts cannot make a view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ViewError {
    /// Expected an absolute, lexically normal path shorter than 4,096 bytes.
    PathNotNormal,
    /// The manifest has fewer roots.
    NoSuchRoot,
    /// A root has to be a directory.
    RootNotDirectory,
    /// Two mounts (by number) have one path.
    SamePath {
        /// Their numbers.
        mounts: (usize, usize),
    },
    /// The path of mount `inner` leads through a file or symlink of mount `outer`.
    NotThroughDirectories {
        /// Number of the mount that holds the file or symlink.
        outer: usize,
        /// Number of the mount that cannot be reached.
        inner: usize,
    },
}

impl fmt::Display for ViewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PathNotNormal => {
                f.write_str("a mount path must be absolute and without `//`, `.` and `..`")
            }
            Self::NoSuchRoot => f.write_str("the manifest has no root of that number"),
            Self::RootNotDirectory => f.write_str("the root of a manifest must be a directory"),
            Self::SamePath { .. } => f.write_str("two roots have the same mount path"),
            Self::NotThroughDirectories { .. } => {
                f.write_str("the path of a root leads through a file or symlink of another root")
            }
        }
    }
}

impl core::error::Error for ViewError {}
