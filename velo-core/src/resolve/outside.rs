//! The part of a walk that is outside every mount.
//!
//! Such a path belongs to the kernel. It is walked here only if, taken lexically,
//! it would enter a mount, or in exact mode; then each component is read as a
//! symlink, except the ancestors of a mount, which are directories by definition.
//! At the first doubt the rest is left to the kernel, which will find the same
//! error itself.

use super::end::End;
use super::lexical::leads_into_mount;
use super::pending::Part;
use super::walk::{Step, Walk};
use crate::errno::Errno;

impl<'r> Walk<'r, '_> {
    /// One component, outside.
    pub(super) fn step_outside(&mut self, part: Part<'r>) -> Step<'r> {
        if self.certain && self.touched && part.name == b".." {
            // Back from a mount: its ancestors need not be on the disk at all.
            self.at.pop_name();
            return Ok(None);
        }
        if part.name == b"." && !part.last {
            return Ok(None);
        }
        if self.undecided {
            let texts = core::iter::once(part.name).chain(self.pending.texts());
            let leads = leads_into_mount(self.view, self.at.as_bytes(), texts);
            if !leads && (!self.options.exact || !self.may_meet_link(part)) {
                return Ok(Some(End::Outside(Some(part))));
            }
            self.undecided = false;
        }
        match part.name {
            b".." if self.certain || self.is_searchable_directory() => {
                self.at.pop_name();
                self.certain = true;
                Ok(None)
            }
            // Left to the kernel at the end, because it asks for a directory.
            b"." | b".." => Ok(Some(End::Outside(Some(part)))),
            _ => self.step_outside_name(part),
        }
    }

    /// Whether a symlink may be on the rest of the way. Asked only after another one: who
    /// wants exactness has a reason to expect the first.
    fn may_meet_link(&mut self, part: Part<'r>) -> bool {
        if !self.links_outside {
            return true;
        }
        let before = self.at.len();
        let spelled = self.spell_rest(Some(part)).is_ok();
        let last = Part { last: true, ..part };
        let (at, follow_final) = (self.at.as_bytes(), self.follows(last));
        let may_meet = !spelled || self.outside.may_meet_link(at, follow_final);
        self.at.truncate(before);
        may_meet
    }

    /// One component, outside, that is a name.
    fn step_outside_name(&mut self, part: Part<'r>) -> Step<'r> {
        let before = self.at.len();
        self.at.push_name(part.name)?;
        if let Some((mount, [])) = self.view.mount_of_prefix(self.at.as_bytes()) {
            return self.arrive(mount, part);
        }
        if self.view.is_above_mount(self.at.as_bytes())
            && (!self.options.exact
                || leads_into_mount(self.view, self.at.as_bytes(), self.pending.texts()))
        {
            self.certain = true;
            return Ok(None);
        }
        let (at, outside) = (self.at.as_bytes(), &mut *self.outside);
        let target = self.link_texts.keep(|room| outside.readlink(at, room));
        if let (Err(Errno::EINVAL), false) = (target, part.last) {
            self.certain = false;
            return Ok(None);
        }
        self.at.truncate(before);
        match target {
            // Not the kernel's word but that of the memory for link texts.
            Err(Errno::ELOOP) => Err(Errno::ELOOP),
            // With a slash behind it, creation is refused before the link is followed.
            Ok(target)
                if self.follows(part) && !(self.options.creates && part.last && part.slash) =>
            {
                // Its directory was searched just now.
                self.certain = true;
                self.links_outside = true;
                self.follow(target, part).map(|()| None)
            }
            _ => {
                self.refused_outside = target.err().filter(|error| *error != Errno::EINVAL);
                Ok(Some(End::Outside(Some(part))))
            }
        }
    }

    /// Whether the kernel finds a directory at `at` that may be searched.
    fn is_searchable_directory(&mut self) -> bool {
        let before = self.at.len();
        if self.at.push(b"/.").is_err() {
            return false;
        }
        let (at, outside) = (self.at.as_bytes(), &mut *self.outside);
        let answer = self.link_texts.keep(|room| outside.readlink(at, room));
        self.at.truncate(before);
        answer == Err(Errno::EINVAL)
    }
}
