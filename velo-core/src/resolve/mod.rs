//! Path resolution as the kernel does it (path_resolution(7)), over mounted manifests.
//!
//! One question, [`resolve`]: what does this path mean in this view? A mount is
//! authoritative: what its manifest does not hold does not exist. Everything else
//! belongs to the kernel, which gets the caller's own arguments where nothing
//! served was involved ([`Resolution::Outside`]) and a rewritten path where the
//! way led through a mount and out again ([`Resolution::Rewritten`]).
//!
//! Two ways to the same answer: `fast` hashes the path and asks the manifest once or
//! twice; `walk` goes component by component and is the truth. `fast`, and `hit`
//! before it, answer only what `walk` would answer and decline the rest. The delta
//! layer's place is `tree`, through which they read a manifest.
//!
//! Never: allocation, recursion, a panic, a loop without a bound, a system call
//! (but for what [`Outside`] does, on the rare ways that need it).
//!
//! Known limits, all at the border between a mount and the kernel's tree:
//! - an outside symlink into a mount is seen in [`Options::exact`] mode only;
//! - links followed here are not counted by the kernel when it goes on with a
//!   rewritten path, and 8 KiB of outside link text in one resolution are ELOOP;
//! - a mount's ancestors are public directories by definition, and so is a current
//!   directory outside; the sysctl `fs.protected_symlinks` is not consulted;
//! - a directory that exists only as the way to a nested mount can be walked
//!   through, and is absent to who asks for itself.

mod buffer;
mod canonical;
mod credentials;
mod end;
mod fast;
mod hit;
mod lexical;
mod outside;
mod pending;
mod restrict;
mod tree;
mod view;
mod walk;

pub use buffer::PathBuffer;
pub use canonical::{Canonical, resolve_canonical};
pub use credentials::{Capabilities, Credentials, EXECUTE, Identity, READ, WRITE, may_access};
pub use hit::Quick;
pub use restrict::Restrict;
pub use view::{Mount, View, ViewError};

use crate::errno::Errno;
use core::ffi::CStr;
use lexical::{Shape, shape};
use walk::Walk;

/// Bytes of the longest path with its NUL: a string of this many bytes fails.
pub const PATH_MAX_BYTES: usize = 4096;
/// Bytes of the longest component.
pub const NAME_MAX_BYTES: usize = 255;
/// Symlinks followed in one resolution before ELOOP (the kernel's `MAXSYMLINKS`).
pub const LINKS_MAX: usize = 40;

/// Where a relative path starts.
#[derive(Clone, Copy, Debug)]
pub enum Base<'p> {
    /// The current directory, by its canonical absolute path.
    Cwd(&'p [u8]),
    /// A directory descriptor, by its canonical absolute path.
    Dir(&'p [u8]),
    /// A descriptor of a served entry.
    Entry {
        /// Number of the mount.
        mount: usize,
        /// Index of the entry.
        index: u32,
    },
}

/// How a call wants its path resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Follow the final component if it is a symlink. Without it a trailing slash
    /// still follows, as everywhere in Linux.
    pub follow_final: bool,
    /// The call is about the directory entry itself (unlink, rmdir, rename, mkdir,
    /// mknod, symlink, the new name of link): the final component is never
    /// followed, not even before a trailing slash, and a trailing slash does not
    /// require a directory.
    pub names_entry: bool,
    /// An empty path means the base itself (`AT_EMPTY_PATH`).
    pub allow_empty: bool,
    /// Read every outside component as a symlink: the second look, for a path that
    /// the kernel did not find but that may lead into a mount through a symlink.
    pub exact: bool,
    /// As open(2) with `O_CREAT`: a last name with a slash after it is EISDIR, be it
    /// there or not, and also where a symlink spells it.
    pub creates: bool,
    /// What the way must not do.
    pub restrict: Restrict,
    /// Symlinks that led to the base; they count.
    pub links: u8,
}

impl Options {
    /// As stat(2), open(2), chdir(2): the final symlink is followed.
    pub const FOLLOW: Self = Self {
        follow_final: true,
        names_entry: false,
        allow_empty: false,
        exact: false,
        creates: false,
        restrict: Restrict::NOTHING,
        links: 0,
    };
    /// As lstat(2), readlink(2), `O_NOFOLLOW`: the final symlink is the answer.
    pub const NO_FOLLOW: Self = Self {
        follow_final: false,
        ..Self::FOLLOW
    };
    /// As unlink(2), mkdir(2), rename(2): the directory entry is the answer.
    pub const ENTRY: Self = Self {
        names_entry: true,
        ..Self::NO_FOLLOW
    };
}

/// What a path means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resolution<'r> {
    /// A served entry.
    Found {
        /// Number of the mount.
        mount: usize,
        /// Index of the entry.
        index: u32,
    },
    /// The final component does not exist in a served directory: ENOENT for what
    /// reads, EROFS for what would create.
    Absent {
        /// Number of the mount.
        mount: usize,
        /// Index of the directory.
        parent: u32,
        /// The component, as the path or the last symlink on the way spells it.
        name: &'r [u8],
        /// Whether a slash followed it, there or in the caller's path.
        slash: bool,
    },
    /// No mount is involved: the kernel gets the caller's arguments untouched.
    Outside,
    /// Not served, but reached through a mount: the kernel gets this absolute path
    /// in place of the caller's (and follows a final symlink, or does not, as the
    /// caller's own flags say).
    Rewritten(&'r CStr),
}

/// The kernel's tree, asked where exactness outside the mounts matters.
pub trait Outside {
    /// Reads the symlink at `path` (absolute, outside every mount) into `buffer`
    /// and returns its length, as readlink(2) does; EINVAL means that `path`
    /// exists and is no symlink. `path` may end in `/.`, which asks whether it is
    /// a directory that may be searched.
    ///
    /// # Errors
    /// Those of readlink(2).
    fn readlink(&mut self, path: &[u8], buffer: &mut [u8]) -> Result<usize, Errno>;

    /// Whether there may be a symlink on the way along `path` (absolute) as far as it
    /// exists, at its end only if that is followed. `false` spares the walk of the rest.
    fn may_meet_link(&mut self, _path: &[u8], _follow_final: bool) -> bool {
        true
    }
}

/// Resolves `path` against `base` in `view`.
///
/// # Errors
/// What the kernel would answer for a tree that stands at its mount points:
/// ENOENT, ENOTDIR, EACCES, ELOOP, ENAMETOOLONG, for creation EISDIR, and EXDEV where
/// [`Options::restrict`] forbids the way. Errors of outside components are
/// left to the kernel, except ENAMETOOLONG for a rewritten path that got too long.
#[inline]
pub fn resolve<'r>(
    view: &View<'r>,
    base: Base<'_>,
    path: &'r [u8],
    options: Options,
    credentials: &dyn Credentials,
    outside: &mut dyn Outside,
    scratch: &'r mut PathBuffer,
) -> Result<Resolution<'r>, Errno> {
    if path.len() >= PATH_MAX_BYTES {
        return Err(Errno::ENAMETOOLONG);
    }
    let question = Question {
        view,
        base,
        path,
        options,
        credentials,
    };
    if !options.restrict.is_nothing() {
        return question.walk(outside, scratch);
    }
    match (path.first(), base) {
        (Some(b'/'), _) => {
            if let Some((mount, rest)) = view.mount_of_prefix(path) {
                return question.look_absolute(mount, rest, outside, scratch);
            }
            if !options.exact && shape(path) != Shape::Irregular {
                return Ok(Resolution::Outside);
            }
        }
        (Some(_), Base::Cwd(directory) | Base::Dir(directory)) => {
            return question.look_from_path(directory, outside, scratch);
        }
        (Some(_), Base::Entry { mount, index }) => {
            let name = path.strip_suffix(b"/").unwrap_or(path);
            return if view.nested() || name.contains(&b'/') {
                question.look_from_entry(mount, index, outside, scratch)
            } else {
                question.look_for_name(mount, index, outside, scratch)
            };
        }
        (None, _) => {}
    }
    question.walk(outside, scratch)
}

/// What is asked, and by whom.
struct Question<'r, 'c> {
    view: &'c View<'r>,
    base: Base<'c>,
    path: &'r [u8],
    options: Options,
    credentials: &'c dyn Credentials,
}

impl<'r> Question<'r, '_> {
    /// Answers component by component. Kept out of the way of what is quick.
    #[inline(never)]
    fn walk(
        &self,
        outside: &mut dyn Outside,
        scratch: &'r mut PathBuffer,
    ) -> Result<Resolution<'r>, Errno> {
        Walk::new(self, outside, scratch).run(self.base, self.path)
    }
}
