//! What openat2(2) may forbid the way to do (`RESOLVE_*`, in its numbers), and where
//! the walk asks.

use super::end::End;
use super::pending::Part;
use super::walk::{Here, Step, Walk};
use crate::errno::Errno;

/// A set of restrictions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Restrict(pub u8);

impl Restrict {
    /// Every way is allowed.
    pub const NOTHING: Self = Self(0);
    /// Not from one mount to another: EXDEV.
    pub const NO_XDEV: Self = Self(1);
    /// Through no symlink: ELOOP.
    pub const NO_SYMLINKS: Self = Self(4);
    /// Not out of the directory where it starts: EXDEV.
    pub const BENEATH: Self = Self(8);
    /// That directory is the root.
    pub const IN_ROOT: Self = Self(0x10);
    /// Both of these are about the directory where it starts.
    pub const SCOPED: Self = Self(Self::BENEATH.0 | Self::IN_ROOT.0);

    /// Whether one of `others` is asked for.
    #[must_use]
    pub const fn has(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub const fn is_nothing(self) -> bool {
        self.0 == 0
    }
}

impl<'r> Walk<'r, '_> {
    /// Goes from one mount to another, of which the one that is at `/` needs no step.
    pub(super) fn cross(&self, path_of_mount: &[u8]) -> Result<(), Errno> {
        if self.options.restrict.has(Restrict::NO_XDEV) && !path_of_mount.is_empty() {
            Err(Errno::EXDEV)
        } else {
            Ok(())
        }
    }

    /// Whether `..` would lead out of the directory that the way is confined to.
    pub(super) fn is_at_scope(&self) -> bool {
        self.scope == Some(self.at.len())
    }

    /// `..`, which `part` is, where the way is confined to: it stays there, or is
    /// forbidden; outside, where nothing served was met, by the kernel itself.
    pub(super) fn stay_in_scope(&self, part: Part<'r>) -> Step<'r> {
        if let Here::In { mount, dir, kind } = self.here {
            self.search(mount, dir, kind)?;
        }
        match self.here {
            _ if !self.options.restrict.has(Restrict::BENEATH) => Ok(None),
            Here::Outside if !self.touched => Ok(Some(End::Outside(Some(part)))),
            _ => Err(Errno::EXDEV),
        }
    }

    /// Follows a symlink to an absolute `target` as the restrictions have it; `false`
    /// if they have nothing to say.
    pub(super) fn jump_to_root(&mut self, target: &'r [u8]) -> Result<bool, Errno> {
        let restrict = self.options.restrict;
        if restrict.has(Restrict::BENEATH) {
            return Err(Errno::EXDEV);
        }
        if let (true, Some(root_bytes)) = (restrict.has(Restrict::IN_ROOT), self.scope) {
            self.at.truncate(root_bytes);
            self.stand_at()?;
            self.pending.push(target)?;
            return Ok(true);
        }
        if let Here::In { mount, .. } = self.here {
            let mount = self.view.mount(mount).ok_or(Errno::EIO)?;
            self.cross(mount.path())?;
        }
        Ok(false)
    }
}
