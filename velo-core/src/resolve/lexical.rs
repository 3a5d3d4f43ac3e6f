//! What the bytes of a path alone tell: whether it is lexically normal, and
//! whether it would lead into a mount if no component were a symlink.

use super::view::View;

/// How a path is spelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// No empty, `.` or `..` component, one trailing slash at most. `end` is the
    /// length without that slash; `/` alone has `end` 0 and no `slash`.
    Normal {
        /// Bytes without the trailing slash.
        end: usize,
        /// Whether a trailing slash follows.
        slash: bool,
    },
    /// Anything else.
    Irregular,
}

/// Looks for `//`, `/./`, `/../` and a trailing slash in one pass.
///
/// `/` and `.` differ in their lowest bit only, so one comparison finds both.
#[inline]
pub(super) fn shape(path: &[u8]) -> Shape {
    // A relative path begins as if a slash stood before it.
    let mut after_slash = u64::from(path.first() != Some(&b'/')) << 7;
    let mut at = 0;
    let (words, tail) = path.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let slash = equal_bytes(word, SLASHES);
        let suspect = equal_bytes(word | ONES, SLASHES) & (slash << 8 | after_slash);
        if suspect != 0 && !suspects_are_names(path, at, suspect) {
            return Shape::Irregular;
        }
        after_slash = slash >> 56;
        at += 8;
    }
    if !tail.is_empty() {
        let mut last = [0; 8];
        for (slot, byte) in last.iter_mut().zip(tail) {
            *slot = *byte;
        }
        let word = u64::from_le_bytes(last);
        let slash = equal_bytes(word, SLASHES);
        let suspect = equal_bytes(word | ONES, SLASHES) & (slash << 8 | after_slash);
        if suspect != 0 && !suspects_are_names(path, at, suspect) {
            return Shape::Irregular;
        }
    }
    match path {
        [.., b'/'] => Shape::Normal {
            end: path.len() - 1,
            slash: path.len() > 1,
        },
        _ => Shape::Normal {
            end: path.len(),
            slash: false,
        },
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const LOW_BITS: u64 = ONES * 0x7f;
const SLASHES: u64 = ONES * b'/' as u64;

/// The top bit of each byte in which the two words are equal.
#[inline]
const fn equal_bytes(a: u64, b: u64) -> u64 {
    let differing = a ^ b;
    !(((differing & LOW_BITS) + LOW_BITS) | differing | LOW_BITS)
}

/// Whether every `.` and `/` found just after a slash begins an ordinary name
/// such as `.git` or `..data`.
#[cold]
fn suspects_are_names(path: &[u8], at: usize, mut suspect: u64) -> bool {
    while suspect != 0 {
        let position = at + (suspect.trailing_zeros() / 8) as usize;
        match path.get(position..) {
            Some([b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..]) => {
                return false;
            }
            Some([b'.', ..]) => {}
            _ => return false,
        }
        suspect &= suspect - 1;
    }
    true
}

/// Whether the path `at` (outside every mount) followed by `texts` enters a mount
/// at some point, `..` taken lexically and no component taken for a symlink.
pub(super) fn leads_into_mount<'t>(
    view: &View<'_>,
    at: &[u8],
    texts: impl Iterator<Item = &'t [u8]> + Clone,
) -> bool {
    view.mounts().iter().any(|mount| {
        let mut matched = Matched {
            mount: mount.path(),
            bytes: 0,
            beyond: 0,
        };
        at.split(|&byte| byte == b'/')
            .any(|name| matched.step(name))
            || texts
                .clone()
                .flat_map(|text| text.split(|&byte| byte == b'/'))
                .any(|name| matched.step(name))
    })
}

/// How far a lexical walk agrees with the path of one mount.
struct Matched<'m> {
    mount: &'m [u8],
    /// Bytes of the mount's path that the walk has gone along.
    bytes: usize,
    /// Components that the walk stands off that path.
    beyond: usize,
}

impl Matched<'_> {
    /// Takes one component; true if that reaches the mount.
    fn step(&mut self, name: &[u8]) -> bool {
        match name {
            b"" | b"." => {}
            b".." if self.beyond > 0 => self.beyond -= 1,
            b".." => {
                let walked = self.mount.get(..self.bytes).unwrap_or_default();
                self.bytes = walked.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
            }
            _ => match self.mount.get(self.bytes..) {
                Some([b'/', rest @ ..])
                    if self.beyond == 0
                        && rest.starts_with(name)
                        && matches!(rest.get(name.len()), None | Some(b'/')) =>
                {
                    self.bytes += 1 + name.len();
                }
                _ => self.beyond += 1,
            },
        }
        self.beyond == 0 && self.bytes == self.mount.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Shape, shape};

    /// The same question, answered component by component.
    fn shape_slowly(path: &[u8]) -> Shape {
        if path == b"/" {
            return Shape::Normal {
                end: 0,
                slash: false,
            };
        }
        let text = path.strip_prefix(b"/").unwrap_or(path);
        let (text, slash) = text
            .strip_suffix(b"/")
            .map_or((text, false), |text| (text, true));
        if text
            .split(|&byte| byte == b'/')
            .any(|name| matches!(name, b"" | b"." | b".."))
            && !path.is_empty()
        {
            return Shape::Irregular;
        }
        Shape::Normal {
            end: path.len() - usize::from(slash),
            slash,
        }
    }

    #[test]
    fn agrees_with_splitting_on_every_short_path() {
        const ALPHABET: [u8; 4] = [b'/', b'.', b'a', 0xae];
        for bytes in 0..=9u32 {
            for number in 0..4usize.pow(bytes) {
                let path: Vec<u8> = (0..bytes)
                    .map(|position| ALPHABET[number >> (2 * position) & 3])
                    .collect();
                assert_eq!(shape(&path), shape_slowly(&path), "{}", path.escape_ascii());
            }
        }
    }

    #[test]
    fn agrees_with_splitting_across_word_boundaries() {
        for fill in 0..40 {
            for piece in [
                "/", "/.", "/..", "//", "/./", "/../", "/.a", "/..a/", "/...", "/a",
            ] {
                for tail in ["", "b", "bcdefghij/k"] {
                    let path = format!("/{}{piece}{tail}", "x".repeat(fill));
                    assert_eq!(
                        shape(path.as_bytes()),
                        shape_slowly(path.as_bytes()),
                        "{path}"
                    );
                }
            }
        }
    }
}
