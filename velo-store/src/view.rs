//! View trees: what the kernel itself must open by path, as real directories, links and
//! files. One per manifest, named by its body digest, published by one rename.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, openat, renameat_with, statat};
use rustix::io::Errno;
use velo_core::manifest::Manifest;
use velo_core::store_layout::{DECIMAL_BYTES_MAX, decimal, hex};
use velo_core::vnode::{VnodeEntry, flag};

use crate::stamp::Stamp;
use crate::store::LEFTOVER_AGE;
use crate::temporary::{
    self, TemporaryDirectory, remove_tree, remove_visible_tree, rename_unless_taken,
};
use crate::view_build::Builder;
use crate::view_root::ViewRoot;
use crate::{Store, StoreError};

/// A view tree that is there and complete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ViewTree {
    /// Its directory; below it one directory per root of the manifest, named by number.
    pub path: PathBuf,
    /// Files that share their blob's inode (or that of another file of the view).
    pub linked: u64,
    /// Files that had to be copied: another file system, too many links, or a second
    /// shared object of the same content.
    pub copied: u64,
    /// This call built it; otherwise the numbers are 0.
    pub built: bool,
}

impl Store {
    /// Makes sure that the view tree of `manifest` exists. Several may do so at the same
    /// time; one of them wins, and all get the same tree.
    ///
    /// # Errors
    /// [`StoreError::NoExec`], [`StoreError::BlobMissing`], [`StoreError::BlobDamaged`],
    /// [`StoreError::ManifestInvalid`], [`StoreError::StampLost`], and what writing can
    /// meet. Nothing is visible then.
    pub fn ensure_view(&self, manifest: &Manifest<'_>) -> Result<ViewTree, StoreError> {
        let view_root = self.view_root(needs_exec(manifest))?;
        let name = digest_name(manifest);
        if is_intact(&view_root, manifest, &name) {
            return Ok(there(&view_root, &name));
        }
        self.build_and_publish(&view_root, manifest, &name)
    }

    /// Builds the view tree of `manifest` anew and puts it in place of the old one, in
    /// one step. Programs that run from the old one keep their open files.
    ///
    /// # Errors
    /// As [`Store::ensure_view`].
    pub fn rebuild_view(&self, manifest: &Manifest<'_>) -> Result<ViewTree, StoreError> {
        let view_root = self.view_root(needs_exec(manifest))?;
        let name = digest_name(manifest);
        self.replace_view(&view_root, manifest, &name)
    }

    /// Where the view tree of `manifest` is, or would be.
    #[must_use]
    pub fn view_path(&self, manifest: &Manifest<'_>) -> PathBuf {
        self.view_root_path()
            .join(OsStr::from_bytes(digest_name(manifest).as_bytes()))
    }

    /// Removes the view tree of `manifest`, read-only directories and all; nothing to do
    /// if there is none. Programs that run from it lose the names of their files.
    ///
    /// # Errors
    /// What removing can meet.
    pub fn remove_view(&self, manifest: &Manifest<'_>) -> Result<(), StoreError> {
        let path = self.view_path(manifest);
        let failed = |errno| StoreError::from_errno("remove the view", &path, errno);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(CWD, self.view_root_path(), flags, Mode::empty()) {
            Ok(view_root) => remove_visible_tree(view_root, &digest_name(manifest)).map_err(failed),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed(errno)),
        }
    }

    fn build_and_publish(
        &self,
        view_root: &ViewRoot,
        manifest: &Manifest<'_>,
        name: &CString,
    ) -> Result<ViewTree, StoreError> {
        let (temporary, built) = self.build(view_root, manifest)?;
        let named = rename_unless_taken(&view_root.fd, &temporary.name, &view_root.fd, name);
        if matches!(named, Err(Errno::EXIST | Errno::NOTEMPTY)) {
            if is_intact(view_root, manifest, name) {
                // Another builder was faster.
                self.discard(view_root, &temporary);
                return Ok(there(view_root, name));
            }
            return self.exchange(view_root, &temporary, name, built);
        }
        let tree = ViewTree {
            path: there(view_root, name).path,
            ..built
        };
        match named {
            Ok(()) => Ok(tree),
            Err(errno) => {
                self.discard(view_root, &temporary);
                Err(StoreError::from_errno(
                    "publish the view",
                    &tree.path,
                    errno,
                ))
            }
        }
    }

    fn replace_view(
        &self,
        view_root: &ViewRoot,
        manifest: &Manifest<'_>,
        name: &CString,
    ) -> Result<ViewTree, StoreError> {
        let (temporary, built) = self.build(view_root, manifest)?;
        match rename_unless_taken(&view_root.fd, &temporary.name, &view_root.fd, name) {
            Ok(()) => Ok(ViewTree {
                path: there(view_root, name).path,
                ..built
            }),
            Err(_) => self.exchange(view_root, &temporary, name, built),
        }
    }

    /// Swaps the new tree with what has its name, then removes that.
    fn exchange(
        &self,
        view_root: &ViewRoot,
        temporary: &TemporaryDirectory,
        name: &CString,
        built: ViewTree,
    ) -> Result<ViewTree, StoreError> {
        let place = &view_root.fd;
        let swapped =
            match renameat_with(place, &temporary.name, place, name, RenameFlags::EXCHANGE) {
                // Where that is not supported, the name is missing for a moment.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    remove_visible_tree(place, name)
                        .and_then(|()| rustix::fs::renameat(place, &temporary.name, place, name))
                }
                other => other,
            };
        let path = there(view_root, name).path;
        self.discard(view_root, temporary);
        match swapped {
            Ok(()) => Ok(ViewTree { path, ..built }),
            Err(errno) => Err(StoreError::from_errno("publish the view", &path, errno)),
        }
    }

    fn build(
        &self,
        view_root: &ViewRoot,
        manifest: &Manifest<'_>,
    ) -> Result<(TemporaryDirectory, ViewTree), StoreError> {
        // Where VELO_VIEW_ROOT is elsewhere, opening the store did not clean it.
        let _cleaned = temporary::clean(&view_root.fd, LEFTOVER_AGE);
        let temporary = TemporaryDirectory::create(&view_root.fd)
            .map_err(|e| StoreError::from_errno("create the view", &view_root.path, e))?;
        let shown = there(view_root, &digest_name(manifest)).path;
        let built =
            Builder::new(self, manifest, &temporary.fd, &shown).and_then(|builder| builder.build());
        let built = built.and_then(|(linked, copied)| {
            if !view_root.space.memory {
                rustix::fs::syncfs(&temporary.fd)
                    .map_err(|errno| StoreError::from_errno("sync the view", &shown, errno))?;
            }
            Ok(ViewTree {
                path: shown.clone(),
                linked,
                copied,
                built: true,
            })
        });
        match built {
            Ok(built) => Ok((temporary, built)),
            Err(error) => {
                self.discard(view_root, &temporary);
                Err(error)
            }
        }
    }

    /// Removes a tree that is not wanted any more; what fails here is left to the cleaner.
    fn discard(&self, view_root: &ViewRoot, temporary: &TemporaryDirectory) {
        let _left = remove_tree(&view_root.fd, &temporary.name);
    }
}

fn there(view_root: &ViewRoot, name: &CString) -> ViewTree {
    let path = view_root.path.join(OsStr::from_bytes(name.as_bytes()));
    ViewTree {
        path,
        linked: 0,
        copied: 0,
        built: false,
    }
}

fn digest_name(manifest: &Manifest<'_>) -> CString {
    // Hexadecimal digits, so there is no NUL to fail on.
    CString::new(hex(manifest.body_digest())).unwrap_or_default()
}

/// Whether the kernel will be asked to execute or map anything in the view.
fn needs_exec(manifest: &Manifest<'_>) -> bool {
    (0..manifest.entry_count())
        .filter_map(|index| manifest.vnode(index))
        .any(|vnode| vnode.is_file() && vnode.has(flag::IN_VIEW))
}

/// Whether an entry stands in the view: all but the files that only the CAS has.
pub(crate) fn is_in_view(vnode: &VnodeEntry) -> bool {
    !vnode.is_file() || vnode.has(flag::IN_VIEW)
}

/// Whether the view has its name and all its roots their stamps. Complete views only have
/// names, so what is missing here was taken away or changed afterwards.
fn is_intact(view_root: &ViewRoot, manifest: &Manifest<'_>, name: &CString) -> bool {
    let found = |path: &[u8]| statat(&view_root.fd, path, AtFlags::SYMLINK_NOFOLLOW);
    if found(name.as_bytes()).is_err() {
        return false;
    }
    (0..manifest.root_count())
        .filter_map(|number| Some((number, manifest.root(number)?)))
        .all(|(number, root)| {
            let Some(vnode) = manifest.vnode(root.index) else {
                return false;
            };
            let mut path = name.as_bytes().to_vec();
            path.push(b'/');
            path.extend_from_slice(decimal(number, &mut [0; DECIMAL_BYTES_MAX]));
            if vnode.is_dir() {
                let stamp = Stamp::of_view_directory(manifest.body_digest(), root.index);
                found(&path).is_ok_and(|stat| Stamp::read(&stat) == stamp)
            } else {
                !is_in_view(&vnode) || found(&path).is_ok()
            }
        })
}
