//! How the resolver reads a served tree: five questions to the base manifest.
//!
//! This is the delta layer's place: it will answer here first, and neither `fast`
//! nor `walk` will know. Nothing in the resolver reads a manifest elsewhere, save
//! for the checks and the path arithmetic of `view`.

use super::credentials::{Credentials, EXECUTE, may_access};
use super::view::Mount;
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
    /// The entry at `path`, relative to the root and lexically normal, no symlink
    /// on the way: one hash, one look.
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
