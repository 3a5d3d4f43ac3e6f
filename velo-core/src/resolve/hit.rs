//! The quickest answers: for paths that are spelled exactly as the manifest has them.
//!
//! What a lookup finds was compared name by name, so its spelling needs no look: no
//! double slash, no dots, no symlink on the way. Whatever is not that plain is left
//! to [`resolve`](super::resolve), which says the same.

use super::lexical::last_slash;
use super::{NAME_MAX_BYTES, PATH_MAX_BYTES, View};
use crate::vnode::flag;

/// A quick answer about an absolute path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quick {
    /// A served entry, open to everybody and, where asked, no symlink to follow.
    Found {
        /// Number of the mount.
        mount: usize,
        /// Index of the entry.
        index: u32,
    },
    /// Nothing, in a served directory that is open to everybody.
    Absent,
    /// Ask [`resolve`](super::resolve).
    Unknown,
}

impl View<'_> {
    /// The quick answer for `path`; a final symlink is not one where `follow` is set.
    #[must_use]
    #[inline(always)]
    pub fn quick(&self, path: &[u8], follow: bool) -> Quick {
        let Some((number, relative)) = self.mount_of_prefix(path) else {
            return Quick::Unknown;
        };
        if path.len() >= PATH_MAX_BYTES {
            return Quick::Unknown;
        }
        let Some(mount) = self.mount(number) else {
            return Quick::Unknown;
        };
        let manifest = mount.manifest();
        if let Some(index) = manifest.lookup(mount.root(), relative) {
            let plain = manifest
                .vnode(index)
                .is_some_and(|vnode| vnode.has(flag::PUBLIC) && !(follow && vnode.is_symlink()));
            if plain {
                return Quick::Found {
                    mount: number,
                    index,
                };
            }
            return Quick::Unknown;
        }
        // Missing: certain if the directory is there and the name is one.
        let (directory, name) = match last_slash(relative) {
            Some(slash) => relative.split_at(slash + 1),
            None => (&[][..], relative),
        };
        let directory = directory.strip_suffix(b"/").unwrap_or_default();
        // A slash too many before the only name leaves no trace in the directory.
        let is_name = !matches!(name, b"" | b"." | b"..")
            && name.len() <= NAME_MAX_BYTES
            && !relative.starts_with(b"/");
        let parent = manifest.lookup(mount.root(), directory);
        let parent = parent.and_then(|index| manifest.vnode(index));
        if is_name && parent.is_some_and(|parent| parent.has(flag::DIR | flag::PUBLIC)) {
            return Quick::Absent;
        }
        Quick::Unknown
    }
}
