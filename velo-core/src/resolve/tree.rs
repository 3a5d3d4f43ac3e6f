//! How the resolver reads a served tree: a few questions to the base manifest.
//!
//! This is the delta layer's place: it will answer here first, and neither `fast`
//! nor `walk` will know. Nothing in the resolver reads a manifest elsewhere, save
//! for the checks and the path arithmetic of `view`, and the quick answers of `hit`.

use super::buffer::Line;
use super::credentials::{Credentials, EXECUTE, may_access};
use super::view::Mount;
use crate::errno::Errno;
use crate::vnode::flag;

/// What one directory entry is.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    flags: u16,
}

impl Kind {
    #[inline]
    pub(super) const fn is_dir(self) -> bool {
        self.flags & flag::DIR != 0
    }

    #[inline]
    pub(super) const fn is_symlink(self) -> bool {
        self.flags & flag::SYMLINK != 0
    }

    /// Whether everybody may search every directory on the way here, and the
    /// entry itself if it is a directory.
    #[inline]
    pub(super) const fn is_public(self) -> bool {
        self.flags & flag::PUBLIC != 0
    }
}

impl<'a> Mount<'a> {
    /// The entry whose path below the root is exactly `path`, so that it is lexically
    /// normal and has no symlink on the way: one hash, one look.
    #[inline]
    pub(super) fn find(&self, path: &[u8]) -> Option<u32> {
        self.manifest().lookup(self.root(), path)
    }

    /// The entry `name` of directory `dir`.
    #[inline]
    pub(super) fn child(&self, dir: u32, name: &[u8]) -> Option<u32> {
        self.manifest().child(dir, name)
    }

    /// The directory that holds `index`; `None` for the root.
    #[inline]
    pub(super) fn parent(&self, index: u32) -> Option<u32> {
        if index == self.top() {
            None
        } else {
            self.manifest().parent(index)
        }
    }

    /// Appends the canonical path of `index` to `line`.
    pub(super) fn push_path(&self, index: u32, line: &mut Line<'_>) -> Result<(), Errno> {
        self.kind(index).ok_or(Errno::EIO)?;
        line.push(self.path())?;
        let bytes = self.names_up(index).map(|name| 1 + name.len()).sum();
        let pieces = self.names_up(index).flat_map(|name| [name, b"/"]);
        line.push_backwards(bytes, pieces)
    }

    /// The names from `index` up to the root, which has none. Ends, because parents
    /// have lower numbers than what they hold.
    fn names_up(&self, index: u32) -> impl Iterator<Item = &'a [u8]> + '_ {
        core::iter::successors(Some(index), |&index| self.parent(index))
            .take_while(|&index| index != self.top())
            .map(|index| self.manifest().name(index).unwrap_or_default())
    }

    /// What `index` is; `None` if there is no such entry.
    #[inline]
    pub(super) fn kind(&self, index: u32) -> Option<Kind> {
        self.manifest()
            .vnode(index)
            .map(|vnode| Kind { flags: vnode.flags })
    }

    /// Where symlink `index` points.
    #[inline]
    pub(super) fn target(&self, index: u32) -> Option<&'a [u8]> {
        self.manifest().symlink_target(index)
    }

    /// Whether `who` may search directory `dir`, which is of `kind`.
    #[inline]
    pub(super) fn may_search(&self, dir: u32, kind: Kind, who: &dyn Credentials) -> bool {
        kind.is_public()
            || self
                .manifest()
                .stat(dir)
                .is_some_and(|meta| may_access(&meta, EXECUTE, who))
    }
}
