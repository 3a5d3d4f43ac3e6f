//! The quick way: a lexically normal path is hashed and looked up as a whole.
//!
//! A hit is the canonical path of its entry, so no symlink was on the way; if the
//! entry is public, no permission was either. A miss is decided by the nearest
//! ancestor that exists, and a symlink by putting its target into the path and
//! looking again. Answers only what `walk` would answer, and declines whatever
//! needs a closer look.
//!
//! Bounded: each look takes a fixed number of hashes at most, and links are counted.

use super::buffer::Line;
use super::lexical::{Shape, last_slash, shape};
use super::tree::Kind;
use super::view::Mount;
use super::{
    Capabilities, LINKS_MAX, NAME_MAX_BYTES, Options, Outside, PathBuffer, Question, Resolution,
};
use crate::errno::Errno;

/// Ancestors that are tried for a path that has no entry. Enough for what programs
/// ask for; beyond, the walk is sure to be short.
const ANCESTORS_MAX: usize = 16;

/// What one look at a whole path finds. Fits two registers, because a look is so
/// short that a detour through memory would be felt.
#[derive(Clone, Copy)]
enum Look {
    Found(u32),
    /// The last component, of so many bytes, is all that is missing.
    Absent {
        parent: u32,
        name_bytes: u32,
    },
    Fails(Errno),
    /// In no mount, and no doubt about it.
    Outside,
    /// The path up to `end` is symlink `index`, to be followed; nothing on the way
    /// to it asks for permission.
    Link {
        index: u32,
        end: u32,
    },
    /// Ask the walk.
    Decline,
}

/// A path of which a look is taken: absolute and normal.
#[derive(Clone, Copy)]
struct Place<'p> {
    /// Without a trailing slash.
    path: &'p [u8],
    /// Number of the mount that it lies in.
    mount: usize,
    /// The part below the mount's root.
    rest: &'p [u8],
    /// Whether a slash follows.
    slash: bool,
    /// Bytes of the directory that it is seen from, which has to exist itself.
    base_bytes: usize,
}

impl<'r> Question<'r, '_> {
    /// Answers for the question's path, which is absolute and, taken by its bytes,
    /// has `rest` below the root of `mount`.
    #[inline(never)]
    pub(super) fn look_absolute(
        &self,
        mount: usize,
        rest: &'r [u8],
        outside: &mut dyn Outside,
        scratch: &'r mut PathBuffer,
    ) -> Result<Resolution<'r>, Errno> {
        let mut place = Place {
            path: self.path,
            mount,
            rest,
            slash: false,
            base_bytes: 0,
        };
        let look = self.look(&mut place);
        if let Some(answer) = self.answer(look, place.mount, place.path, place.slash) {
            return answer;
        }
        if let Look::Link { index, end } = look {
            let (mut line, _) = scratch.parts();
            if line.push(place.path).is_ok()
                && let Some(answer) = self.chase(line, mount, index, end, place.path, place.slash)
            {
                return answer;
            }
        }
        self.walk(outside, scratch)
    }

    /// Answers for the question's path, which is relative, seen from `directory`,
    /// which is absolute and canonical.
    #[inline(never)]
    pub(super) fn look_from_path(
        &self,
        directory: &[u8],
        outside: &mut dyn Outside,
        scratch: &'r mut PathBuffer,
    ) -> Result<Resolution<'r>, Errno> {
        let (mut line, _) = scratch.parts();
        if directory.first() == Some(&b'/')
            && line
                .push(directory.strip_suffix(b"/").unwrap_or(directory))
                .is_ok()
            && line.push_name(self.path).is_ok()
        {
            let (mount, slash, look) =
                self.look_at(line.as_bytes(), line.len() - self.path.len() - 1);
            let tail = self.tail(slash);
            if let Some(answer) = self.answer(look, mount, tail, slash) {
                return answer;
            }
            if let Look::Link { index, end } = look {
                line.truncate(line.len() - usize::from(slash));
                if let Some(answer) = self.chase(line, mount, index, end, tail, slash) {
                    return answer;
                }
            }
        }
        self.walk(outside, scratch)
    }

    /// As [`Self::look_from_path`], from served directory `dir`.
    #[inline(never)]
    pub(super) fn look_from_entry(
        &self,
        number: usize,
        dir: u32,
        outside: &mut dyn Outside,
        scratch: &'r mut PathBuffer,
    ) -> Result<Resolution<'r>, Errno> {
        let (mut line, _) = scratch.parts();
        // A descriptor may stand for a symlink (`O_PATH`), which nothing starts from.
        if let Some(mount) = self.view.mount(number)
            && mount.kind(dir).is_some_and(|kind| kind.is_dir())
            && mount.push_path(dir, &mut line).is_ok()
            && line.push_name(self.path).is_ok()
        {
            let (mount, slash, look) = self.look_at(line.as_bytes(), 0);
            let tail = self.tail(slash);
            if let Some(answer) = self.answer(look, mount, tail, slash) {
                return answer;
            }
            if let Look::Link { index, end } = look {
                line.truncate(line.len() - usize::from(slash));
                if let Some(answer) = self.chase(line, mount, index, end, tail, slash) {
                    return answer;
                }
            }
        }
        self.walk(outside, scratch)
    }

    /// The question's path without the slash at its end, if it has one.
    #[inline]
    fn tail(&self, slash: bool) -> &'r [u8] {
        let end = self.path.len() - usize::from(slash);
        self.path.get(..end).unwrap_or_default()
    }

    /// Looks at an absolute path, however it is spelled: the mount that it lies in,
    /// whether it ends in a slash, and what was found.
    #[inline(always)]
    fn look_at(&self, path: &[u8], base_bytes: usize) -> (usize, bool, Look) {
        if let Some((mount, rest)) = self.view.mount_of_prefix(path) {
            let mut place = Place {
                path,
                mount,
                rest,
                slash: false,
                base_bytes,
            };
            let look = self.look(&mut place);
            return (mount, place.slash, look);
        }
        match shape(path) {
            Shape::Normal { .. } if !self.options.exact => (0, false, Look::Outside),
            _ => (0, false, Look::Decline),
        }
    }

    /// Looks the path up. What a lookup finds was compared name by name, so only what
    /// is not found needs a look at its spelling; then a trailing slash is cut off.
    #[inline(always)]
    fn look(&self, place: &mut Place<'_>) -> Look {
        let Some(mount) = self.view.mount(place.mount) else {
            return Look::Decline;
        };
        match mount.find(place.rest) {
            Some(index) => self.judge_found(mount, index, place),
            None => self.look_above(mount, place),
        }
    }

    /// Answers for the question's path, which has no slash but one at its end, in
    /// served directory `dir`. One name is found faster among its siblings than by
    /// the hash of a path that would have to be put together first. Not for nested
    /// mounts: a sibling may be one.
    #[inline(never)]
    pub(super) fn look_for_name(
        &self,
        number: usize,
        dir: u32,
        outside: &mut dyn Outside,
        scratch: &'r mut PathBuffer,
    ) -> Result<Resolution<'r>, Errno> {
        let slash = self.path.ends_with(b"/");
        let name = self.tail(slash);
        let look = match self.view.mount(number) {
            Some(_) if matches!(name, b"" | b"." | b"..") => Look::Decline,
            Some(mount) => self.look_for_child(mount, dir, name, slash),
            None => Look::Decline,
        };
        match self.answer(look, number, name, slash) {
            Some(answer) => answer,
            None => self.walk(outside, scratch),
        }
    }

    #[inline]
    fn look_for_child(&self, mount: &Mount<'_>, dir: u32, name: &[u8], slash: bool) -> Look {
        let Some(kind) = mount.kind(dir) else {
            return Look::Decline;
        };
        if !kind.is_dir() {
            return Look::Fails(Errno::ENOTDIR);
        }
        if !mount.may_search(dir, kind, self.credentials) {
            return Look::Fails(Errno::EACCES);
        }
        if name.len() > NAME_MAX_BYTES {
            return Look::Fails(Errno::ENAMETOOLONG);
        }
        let Some(index) = mount.child(dir, name) else {
            return Look::Absent {
                parent: dir,
                name_bytes: name.len() as u32,
            };
        };
        match mount.kind(index) {
            Some(kind) => self.judge(kind, index, name.len(), slash),
            None => Look::Decline,
        }
    }

    /// What it means to have found `index` at a path of `path_bytes`.
    #[inline]
    fn judge(&self, kind: Kind, index: u32, path_bytes: usize, slash: bool) -> Look {
        let Options {
            follow_final,
            names_entry,
            ..
        } = self.options;
        let needs_dir = slash && !names_entry;
        if kind.is_symlink() && (needs_dir || (follow_final && !names_entry)) {
            return link(index, path_bytes);
        }
        if needs_dir && !kind.is_dir() {
            return Look::Fails(Errno::ENOTDIR);
        }
        Look::Found(index)
    }

    /// What a look means, if it means anything; `tail` ends in the last component.
    #[inline(always)]
    fn answer(
        &self,
        look: Look,
        mount: usize,
        tail: &'r [u8],
        slash: bool,
    ) -> Option<Result<Resolution<'r>, Errno>> {
        match look {
            Look::Outside => Some(Ok(Resolution::Outside)),
            _ if self.options.creates => None,
            Look::Found(index) => Some(Ok(Resolution::Found { mount, index })),
            Look::Absent { parent, name_bytes } => {
                let start = tail.len().checked_sub(name_bytes as usize)?;
                let name = tail.get(start..)?;
                Some(Ok(Resolution::Absent {
                    mount,
                    parent,
                    name,
                    slash,
                }))
            }
            Look::Fails(errno) => Some(Err(errno)),
            Look::Link { .. } | Look::Decline => None,
        }
    }

    /// What it means that `index` stands at `place`.
    #[inline]
    fn judge_found(&self, mount: &Mount<'_>, index: u32, place: &Place<'_>) -> Look {
        match mount.kind(index) {
            Some(kind) if self.is_open(kind) => {
                self.judge(kind, index, place.path.len(), place.slash)
            }
            _ => Look::Decline,
        }
    }

    /// Looks at the spelling of a path that has no entry; then, without a trailing
    /// slash, for the nearest ancestor that has one.
    #[inline(never)]
    fn look_above(&self, mount: &Mount<'_>, place: &mut Place<'_>) -> Look {
        let Shape::Normal { end, slash } = shape(place.rest) else {
            return Look::Decline;
        };
        // A slash too many after the mount's root looks like that of an absolute path.
        if place.rest.first() == Some(&b'/') {
            return Look::Decline;
        }
        let rest_at = place.path.len() - place.rest.len();
        if slash {
            place.slash = true;
            place.path = place.path.get(..rest_at + end).unwrap_or_default();
            place.rest = place.rest.get(..end).unwrap_or_default();
            if let Some(index) = mount.find(place.rest) {
                return self.judge_found(mount, index, place);
            }
        }
        let mut missing = place.rest;
        for _ in 0..ANCESTORS_MAX {
            let slash = last_slash(missing);
            let above = missing.get(..slash.unwrap_or(0)).unwrap_or_default();
            if let Some(index) = mount.find(above) {
                if rest_at + above.len() < place.base_bytes {
                    return Look::Decline;
                }
                let name_bytes = missing.len() - slash.map_or(0, |slash| slash + 1);
                let is_last = missing.len() == place.rest.len();
                return match mount.kind(index) {
                    Some(kind) if kind.is_symlink() && self.is_open(kind) => {
                        link(index, rest_at + above.len())
                    }
                    Some(kind) if self.is_open(kind) => {
                        self.judge_missing(kind, index, name_bytes, is_last)
                    }
                    _ => Look::Decline,
                };
            }
            if above.is_empty() {
                break;
            }
            missing = above;
        }
        Look::Decline
    }

    /// What it means that `parent`, of `kind`, does not have the name that follows it
    /// in a path.
    #[inline]
    fn judge_missing(&self, kind: Kind, parent: u32, name_bytes: usize, is_last: bool) -> Look {
        if !kind.is_dir() {
            Look::Fails(Errno::ENOTDIR)
        } else if name_bytes > NAME_MAX_BYTES {
            Look::Fails(Errno::ENAMETOOLONG)
        } else if is_last {
            Look::Absent {
                parent,
                name_bytes: name_bytes as u32,
            }
        } else if self.view.nested() {
            // Another mount may stand further down.
            Look::Decline
        } else {
            Look::Fails(Errno::ENOENT)
        }
    }

    /// Whether nothing on the way to an entry of `kind` asks for permission. Who has
    /// capabilities without user id 0 walks, so that nobody else is asked for them.
    #[inline]
    fn is_open(&self, kind: Kind) -> bool {
        kind.is_public()
            || (self.credentials.uid() == 0
                && self.credentials.capabilities().has(Capabilities::SEARCH))
    }

    /// Follows the symlink that `line` is up to `end`, and all that come after it.
    #[inline(never)]
    fn chase(
        &self,
        mut line: Line<'_>,
        mut mount: usize,
        mut index: u32,
        mut end: u32,
        mut tail: &'r [u8],
        mut slash: bool,
    ) -> Option<Result<Resolution<'r>, Errno>> {
        if self.options.creates {
            return None;
        }
        for _ in usize::from(self.options.links)..LINKS_MAX {
            let served = self.view.mount(mount)?;
            let is_last = end as usize == line.len();
            let link_path = line.as_bytes().get(..end as usize)?;
            let (start, text) = splice(link_path, served.path().len(), served.target(index)?)?;
            let Shape::Normal {
                end: text_bytes,
                slash: text_slash,
            } = shape(text)
            else {
                return None;
            };
            let text = text.get(..text_bytes)?;
            if text.is_empty() {
                return None;
            }
            line.replace(start, end as usize, text).ok()?;
            if is_last {
                tail = text;
                slash |= text_slash;
            }
            let path = line.as_bytes();
            let (number, rest) = self.view.mount_of_prefix(path)?;
            mount = number;
            let look = self.look(&mut Place {
                path,
                mount,
                rest,
                slash,
                base_bytes: 0,
            });
            let Look::Link {
                index: next,
                end: until,
            } = look
            else {
                return self.answer(look, mount, tail, slash);
            };
            (index, end) = (next, until);
        }
        None
    }
}

/// A symlink to follow, with the bytes of its path.
#[inline]
fn link(index: u32, end: usize) -> Look {
    // Paths are shorter than `PATH_MAX_BYTES`.
    u32::try_from(end).map_or(Look::Decline, |end| Look::Link { index, end })
}

/// Where in the path of a symlink its target goes, and what of the target goes
/// there: each leading `..` takes a directory from the path instead, which is
/// exact because the path is canonical up to the link's name. Not above `top`, the
/// bytes of the mount's root: who leaves a mount walks.
fn splice<'r>(path: &[u8], top: usize, target: &'r [u8]) -> Option<(usize, &'r [u8])> {
    if target.first() == Some(&b'/') {
        return Some((0, target));
    }
    // The slash before the last component.
    let slash_before = |end: usize| last_slash(path.get(..end)?);
    let mut slash = slash_before(path.len())?;
    let mut text = target;
    while let [b'.', b'.', b'/', rest @ ..] = text {
        if slash <= top {
            return None;
        }
        slash = slash_before(slash)?;
        text = rest;
    }
    if text.first() == Some(&b'/') {
        // `..//x`: the second slash would pass for the root.
        return None;
    }
    Some((slash + 1, text))
}
