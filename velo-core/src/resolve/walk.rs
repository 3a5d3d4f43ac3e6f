//! The walk: one component at a time, as the kernel's link_path_walk() goes.
//!
//! The order of checks is the kernel's: a directory is checked for search
//! permission before anything in it is named, a name's length before its
//! existence, and what is not the last component has to be a directory.
//!
//! Bounded: a component that was taken is never put back, and symlinks are counted.

use super::buffer::{Line, LinkTexts};
use super::credentials::Credentials;
use super::end::End;
use super::pending::{Part, Pending};
use super::tree::Kind;
use super::view::View;
use super::{
    Base, LINKS_MAX, NAME_MAX_BYTES, Options, Outside, PathBuffer, Question, Resolution, Restrict,
};
use crate::errno::Errno;

/// Where the walk stands; always something that may be walked on from.
#[derive(Clone, Copy)]
pub(super) enum Here {
    /// A served directory.
    In { mount: usize, dir: u32, kind: Kind },
    /// At `Walk::at`, within mount number `mount`, where no manifest has anything,
    /// but another mount stands further below: a way in and nothing more.
    Implied { mount: usize },
    /// At `Walk::at`, outside every mount.
    Outside,
}

/// What one component leads to: the end, or onwards.
pub(super) type Step<'r> = Result<Option<End<'r>>, Errno>;

/// One resolution under way.
pub(super) struct Walk<'r, 'c> {
    pub(super) view: &'c View<'r>,
    pub(super) options: Options,
    credentials: &'c dyn Credentials,
    pub(super) outside: &'c mut dyn Outside,
    pub(super) pending: Pending<'r>,
    pub(super) here: Here,
    /// The canonical path of `here`, `/` being empty. Within a mount kept up only if
    /// `tracks`.
    pub(super) at: Line<'r>,
    pub(super) link_texts: LinkTexts<'r>,
    /// Whether mounts are nested, or the way is restricted.
    tracks: bool,
    /// Bytes of `at` in the directory that the way is confined to.
    pub(super) scope: Option<usize>,
    links: usize,
    /// Whether a symlink outside was followed.
    pub(super) links_outside: bool,
    /// What the kernel has against the component outside at which the walk ends.
    pub(super) refused_outside: Option<Errno>,
    /// A slash followed the last component, so the answer must be a directory.
    pub(super) must_be_dir: bool,
    /// Something served was stepped on: with the caller's own arguments the kernel
    /// would go astray.
    pub(super) touched: bool,
    /// Outside: `at` is known to be a directory that may be searched.
    pub(super) certain: bool,
    /// Outside: it is still to be asked whether the rest leads into a mount.
    pub(super) undecided: bool,
}

impl<'r, 'c> Walk<'r, 'c> {
    pub(super) fn new(
        question: &Question<'r, 'c>,
        outside: &'c mut dyn Outside,
        scratch: &'r mut PathBuffer,
    ) -> Self {
        let (at, link_texts) = scratch.parts();
        Self {
            view: question.view,
            options: question.options,
            credentials: question.credentials,
            outside,
            pending: Pending::new(),
            here: Here::Outside,
            at,
            link_texts,
            tracks: question.view.nested() || !question.options.restrict.is_nothing(),
            scope: None,
            links: question.options.links.into(),
            links_outside: false,
            refused_outside: None,
            must_be_dir: false,
            touched: false,
            certain: true,
            undecided: true,
        }
    }

    /// Resolves `path`, shorter than `PATH_MAX`, against `base`.
    pub(super) fn run(mut self, base: Base<'_>, path: &'r [u8]) -> Result<Resolution<'r>, Errno> {
        if let Some(end) = self.start(base, path)? {
            return self.finish(end);
        }
        while let Some(part) = self.pending.next() {
            let step = match self.here {
                _ if part.name == b".." && self.is_at_scope() => self.stay_in_scope(part)?,
                Here::In { mount, dir, kind } => self.step_in(mount, dir, kind, part)?,
                Here::Implied { mount } => self.step_implied(mount, part)?,
                Here::Outside => self.step_outside(part)?,
            };
            if let Some(end) = step {
                return self.finish(end);
            }
        }
        let end = match self.here {
            Here::In { mount, dir, .. } => End::Found { mount, index: dir },
            Here::Implied { mount } => self.absent_here(mount, false)?,
            Here::Outside => End::Outside(None),
        };
        self.finish(end)
    }

    /// Puts the walk where `path` begins.
    fn start(&mut self, base: Base<'_>, path: &'r [u8]) -> Step<'r> {
        if path.is_empty() && !self.options.allow_empty {
            return Err(Errno::ENOENT);
        }
        match base {
            _ if path.first() == Some(&b'/') && !self.options.restrict.has(Restrict::IN_ROOT) => {
                if self.options.restrict.has(Restrict::BENEATH) {
                    return Err(Errno::EXDEV);
                }
                return self.start_absolute(path).map(|()| None);
            }
            Base::Entry { mount, index } => {
                let stood = self.stand_on(mount, index);
                if path.is_empty() && stood != Err(Errno::EIO) {
                    return Ok(Some(End::Found { mount, index }));
                }
                stood?;
                if self.tracks {
                    let mount = self.view.mount(mount).ok_or(Errno::EIO)?;
                    mount.push_path(index, &mut self.at)?;
                }
            }
            Base::Cwd(directory) | Base::Dir(directory) => {
                // getcwd(2) answers `(unreachable)/…` for what has no path here.
                let Some(b'/') = directory.first() else {
                    return Ok(Some(End::Outside(None)));
                };
                self.at
                    .push(directory.strip_suffix(b"/").unwrap_or(directory))?;
                if path.is_empty()
                    && let Some((mount, rest)) = self.view.mount_of_prefix(self.at.as_bytes())
                    && let Some(index) = self.view.mount(mount).and_then(|mount| mount.find(rest))
                {
                    return Ok(Some(End::Found { mount, index }));
                }
                self.stand_at()?;
                self.certain =
                    matches!(base, Base::Cwd(_)) || self.view.is_above_mount(self.at.as_bytes());
            }
        }
        if self.options.restrict.has(Restrict::SCOPED) {
            self.scope = Some(self.at.len());
        }
        self.pending.push(path)?;
        Ok(None)
    }

    /// Goes back to `/`, and at once to the mount that an absolute `text` names.
    fn start_absolute(&mut self, text: &'r [u8]) -> Result<(), Errno> {
        if let Some((mount, rest)) = self.view.mount_of_prefix(text) {
            let named = text.len() - rest.len();
            let names_mount = rest.iter().all(|byte| *byte == b'/') && self.pending.is_empty();
            if self.options.creates && named > 1 && text.ends_with(b"/") && names_mount {
                // The last component is not stepped on.
                return Err(Errno::EISDIR);
            }
            self.enter(mount)?;
            return self.pending.push(rest);
        }
        self.at.truncate(0);
        self.here = Here::Outside;
        self.certain = true;
        self.undecided = true;
        self.pending.push(text)
    }

    /// Stands on served directory `index`; `at` is the caller's business.
    fn stand_on(&mut self, mount: usize, index: u32) -> Result<(), Errno> {
        let kind = self
            .view
            .mount(mount)
            .and_then(|mount| mount.kind(index))
            .ok_or(Errno::EIO)?;
        if !kind.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        self.here = Here::In {
            mount,
            dir: index,
            kind,
        };
        self.touched = true;
        Ok(())
    }

    /// Stands on the root of a mount.
    fn enter(&mut self, mount: usize) -> Result<(), Errno> {
        let entered = self.view.mount(mount).ok_or(Errno::EIO)?;
        self.cross(entered.path())?;
        if self.tracks {
            self.at.truncate(0);
            self.at.push(entered.path())?;
        }
        self.stand_on(mount, entered.top())
    }

    /// Stands at the directory whose canonical path is `at`.
    pub(super) fn stand_at(&mut self) -> Result<(), Errno> {
        let Some((mount, rest)) = self.view.mount_of_prefix(self.at.as_bytes()) else {
            self.here = Here::Outside;
            self.certain = true;
            self.undecided = true;
            return Ok(());
        };
        let served = self.view.mount(mount).ok_or(Errno::EIO)?;
        match served.find(rest) {
            Some(index) => self.stand_on(mount, index),
            None if self.view.is_above_mount(self.at.as_bytes()) => {
                self.here = Here::Implied { mount };
                self.touched = true;
                Ok(())
            }
            None => Err(Errno::ENOENT),
        }
    }

    /// The mount that stands exactly at `at`.
    fn mount_at(&self) -> Option<usize> {
        match self.view.mount_of_prefix(self.at.as_bytes()) {
            Some((mount, [])) => Some(mount),
            _ => None,
        }
    }

    /// Takes the root of `mount` as the answer to `part`, or goes on from there.
    pub(super) fn arrive(&mut self, mount: usize, part: Part<'r>) -> Step<'r> {
        if self.options.creates && part.last && part.slash {
            return Err(Errno::EISDIR);
        }
        self.enter(mount)?;
        Ok(match self.here {
            Here::In { mount, dir, .. } if part.last => Some(End::Found { mount, index: dir }),
            _ => None,
        })
    }

    /// One component, in a served directory.
    fn step_in(&mut self, number: usize, dir: u32, kind: Kind, part: Part<'r>) -> Step<'r> {
        let mount = self.view.mount(number).ok_or(Errno::EIO)?;
        self.search(number, dir, kind)?;
        match part.name {
            b"." => return Ok(None),
            b".." => {
                match mount.parent(dir) {
                    Some(parent) => {
                        self.stand_on(number, parent)?;
                        if self.tracks {
                            self.at.pop_name();
                        }
                    }
                    None => {
                        self.cross(mount.path())?;
                        self.at.truncate(0);
                        self.at.push(mount.path())?;
                        self.at.pop_name();
                        self.stand_at()?;
                    }
                }
                return Ok(None);
            }
            _ if self.options.creates && part.last && part.slash => return Err(Errno::EISDIR),
            name if name.len() > NAME_MAX_BYTES => return Err(Errno::ENAMETOOLONG),
            _ => {}
        }
        let entry = mount.child(dir, part.name);
        if self.view.nested() {
            let before = self.at.len();
            self.at.push_name(part.name)?;
            if let Some(inner) = self.mount_at() {
                return self.arrive(inner, part);
            }
            if entry.is_none() && self.view.is_above_mount(self.at.as_bytes()) {
                self.here = Here::Implied { mount: number };
                return if part.last {
                    self.absent_here(number, part.slash).map(Some)
                } else {
                    Ok(None)
                };
            }
            self.at.truncate(before);
        }
        let Some(index) = entry else {
            let absent = End::Absent {
                mount: number,
                parent: dir,
                name: part.name,
                slash: part.slash,
            };
            return if part.last {
                Ok(Some(absent))
            } else {
                Err(Errno::ENOENT)
            };
        };
        let kind = mount.kind(index).ok_or(Errno::EIO)?;
        if kind.is_symlink() && self.follows(part) {
            let target = mount.target(index).ok_or(Errno::EIO)?;
            return self.follow(target, part).map(|()| None);
        }
        let needs_dir =
            !part.last || (!self.options.names_entry && (part.slash || self.must_be_dir));
        if needs_dir && !kind.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if part.last {
            return Ok(Some(End::Found {
                mount: number,
                index,
            }));
        }
        if self.tracks {
            self.at.push_name(part.name)?;
        }
        self.here = Here::In {
            mount: number,
            dir: index,
            kind,
        };
        Ok(None)
    }

    /// One component, in a directory that only exists as the way to another mount.
    fn step_implied(&mut self, mount: usize, part: Part<'r>) -> Step<'r> {
        match part.name {
            b"." => return Ok(None),
            b".." => {
                self.at.pop_name();
                return self.stand_at().map(|()| None);
            }
            _ if self.options.creates && part.last && part.slash => return Err(Errno::EISDIR),
            name if name.len() > NAME_MAX_BYTES => return Err(Errno::ENAMETOOLONG),
            _ => {}
        }
        self.at.push_name(part.name)?;
        if let Some(inner) = self.mount_at() {
            return self.arrive(inner, part);
        }
        if !self.view.is_above_mount(self.at.as_bytes()) {
            return Err(Errno::ENOENT);
        }
        if part.last {
            self.absent_here(mount, part.slash).map(Some)
        } else {
            Ok(None)
        }
    }

    /// The answer for `at`, which is no more than the way to another mount.
    fn absent_here(&self, mount: usize, slash: bool) -> Result<End<'r>, Errno> {
        let at = self.at.as_bytes();
        let parent = at
            .get(..at.iter().rposition(|&byte| byte == b'/').unwrap_or(0))
            .unwrap_or_default();
        let (_, rest) = self.view.mount_of_prefix(parent).ok_or(Errno::EIO)?;
        let served = self.view.mount(mount).ok_or(Errno::EIO)?;
        let parent = served.find(rest).ok_or(Errno::ENOENT)?;
        Ok(End::AbsentHere {
            mount,
            parent,
            slash,
        })
    }

    /// Searches served directory `dir`.
    pub(super) fn search(&self, mount: usize, dir: u32, kind: Kind) -> Result<(), Errno> {
        let mount = self.view.mount(mount).ok_or(Errno::EIO)?;
        if mount.may_search(dir, kind, self.credentials) {
            Ok(())
        } else {
            Err(Errno::EACCES)
        }
    }

    /// Whether a symlink named by `part` is followed.
    pub(super) fn follows(&self, part: Part<'r>) -> bool {
        let Options {
            follow_final,
            names_entry,
            ..
        } = self.options;
        !part.last || (!names_entry && (follow_final || part.slash || self.must_be_dir))
    }

    /// Goes on with the target of the symlink that `part` names.
    pub(super) fn follow(&mut self, target: &'r [u8], part: Part<'r>) -> Result<(), Errno> {
        if self.links >= LINKS_MAX || self.options.restrict.has(Restrict::NO_SYMLINKS) {
            return Err(Errno::ELOOP);
        }
        self.links += 1;
        self.must_be_dir |= part.last && part.slash;
        match target.first() {
            None => Err(Errno::ENOENT),
            Some(b'/') if self.jump_to_root(target)? => Ok(()),
            Some(b'/') => self.start_absolute(target),
            Some(_) => {
                self.undecided = true;
                self.pending.push(target)
            }
        }
    }
}
