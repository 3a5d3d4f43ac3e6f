//! The part of a path that is still to be walked: the path itself and, above it,
//! the targets of the symlinks met on the way, each waiting with its own rest.
//!
//! Invariant: every text on the stack is not empty and does not begin with a
//! slash. A text leaves the stack as its last component is taken, so the stack is
//! as deep as symlinks are nested, never deeper than the symlink limit.

use super::LINKS_MAX;
use crate::errno::Errno;

/// The next component of a path.
#[derive(Clone, Copy)]
pub(super) struct Part<'r> {
    /// Its bytes: not empty, no slash.
    pub(super) name: &'r [u8],
    /// Whether nothing but slashes follows, anywhere.
    pub(super) last: bool,
    /// Whether it is followed by a slash.
    pub(super) slash: bool,
}

/// A stack of texts, the innermost symlink's on top.
pub(super) struct Pending<'r> {
    texts: [&'r [u8]; LINKS_MAX + 1],
    depth: usize,
}

impl<'r> Pending<'r> {
    #[inline]
    pub(super) const fn new() -> Self {
        Self {
            texts: [&[]; LINKS_MAX + 1],
            depth: 0,
        }
    }

    /// Puts `text` before everything else; leading slashes mean nothing here.
    #[inline]
    pub(super) fn push(&mut self, text: &'r [u8]) -> Result<(), Errno> {
        let text = without_leading_slashes(text);
        if !text.is_empty() {
            *self.texts.get_mut(self.depth).ok_or(Errno::ELOOP)? = text;
            self.depth += 1;
        }
        Ok(())
    }

    /// Whether nothing is left.
    pub(super) const fn is_empty(&self) -> bool {
        self.depth == 0
    }

    /// Takes the next component.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Part<'r>> {
        let top = self.texts.get_mut(self.depth.checked_sub(1)?)?;
        let text = *top;
        let end = text
            .iter()
            .position(|&byte| byte == b'/')
            .unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end)?;
        let after = without_leading_slashes(rest);
        if after.is_empty() {
            self.depth -= 1;
        } else {
            *top = after;
        }
        Some(Part {
            name,
            last: self.depth == 0,
            slash: !rest.is_empty(),
        })
    }

    /// What is left, innermost first.
    pub(super) fn texts(&self) -> impl Iterator<Item = &'r [u8]> + Clone + '_ {
        self.texts
            .get(..self.depth)
            .unwrap_or_default()
            .iter()
            .rev()
            .copied()
    }
}

/// `text` from its first byte that is not a slash.
#[inline]
fn without_leading_slashes(mut text: &[u8]) -> &[u8] {
    while let [b'/', rest @ ..] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Pending;

    /// Takes everything and writes it as `name`, `name/` or, for the last one, `name!`.
    fn spell(pending: &mut Pending<'_>) -> String {
        let mut out = String::new();
        while let Some(part) = pending.next() {
            out.push_str(core::str::from_utf8(part.name).unwrap());
            out.push_str(match (part.last, part.slash) {
                (true, true) => "/!",
                (true, false) => "!",
                (false, true) => "/ ",
                (false, false) => " ",
            });
        }
        out
    }

    #[test]
    fn takes_a_target_before_the_rest() {
        let mut pending = Pending::new();
        pending.push(b"//a/link///rest//").unwrap();
        pending.next().unwrap();
        pending.next().unwrap();
        pending.push(b"/x//y/").unwrap();
        assert_eq!(spell(&mut pending), "x/ y/ rest/!");
    }

    #[test]
    fn is_empty_when_only_slashes_are_left() {
        let mut pending = Pending::new();
        pending.push(b"///").unwrap();
        assert!(pending.next().is_none());
        pending.push(b"a//").unwrap();
        assert_eq!(spell(&mut pending), "a/!");
        assert!(pending.next().is_none());
    }
}
