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

/// Looks for `//`, `/./`, `/../` and a trailing slash in one pass, 16 bytes at a time.
#[inline]
pub(super) fn shape(path: &[u8]) -> Shape {
    // A relative path begins as if a slash stood before it.
    let mut after_slash = u32::from(path.first() != Some(&b'/'));
    let (blocks, tail) = path.as_chunks::<16>();
    for (number, block) in blocks.iter().enumerate() {
        let (slash, either) = marks(u128::from_le_bytes(*block));
        let suspect = either & (slash << 1 | after_slash);
        if suspect != 0 && !suspects_are_names(path, number * 16, suspect) {
            return Shape::Irregular;
        }
        after_slash = slash >> 15;
    }
    if !tail.is_empty() {
        let (slash, either) = marks(last_block(path, tail));
        let suspect = either & (slash << 1 | after_slash);
        if suspect != 0 && !suspects_are_names(path, blocks.len() * 16, suspect) {
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

/// Where the last slash of `text` is, looked for 16 bytes at a time.
#[inline]
pub(super) fn last_slash(text: &[u8]) -> Option<usize> {
    let mut rest = text;
    while let Some((front, block)) = rest.split_last_chunk::<16>() {
        let (slash, _) = marks(u128::from_le_bytes(*block));
        if slash != 0 {
            return Some(front.len() + 31 - slash.leading_zeros() as usize);
        }
        rest = front;
    }
    rest.iter().rposition(|&byte| byte == b'/')
}

/// `tail`, the last 1 to 15 bytes of `path`, with zeros after them. Reads whole
/// words and shifts out again what is not of the tail.
#[inline]
fn last_block(path: &[u8], tail: &[u8]) -> u128 {
    if let Some(last) = path.last_chunk::<16>() {
        return u128::from_le_bytes(*last) >> (128 - 8 * tail.len());
    }
    match (tail.first_chunk::<8>(), tail.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            let last = u128::from(u64::from_le_bytes(*last)) >> (128 - 8 * tail.len());
            u128::from(u64::from_le_bytes(*first)) | last << 64
        }
        _ => tail
            .iter()
            .rev()
            .fold(0, |block, byte| block << 8 | u128::from(*byte)),
    }
}

/// Of 16 bytes, one bit for each that is a slash, and one for each that is a slash
/// or a dot: the two differ in their lowest bit only.
#[cfg(target_arch = "x86_64")]
#[inline]
fn marks(block: u128) -> (u32, u32) {
    use core::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };
    // SAFETY: SSE2 is part of x86-64.
    unsafe {
        let slash = _mm_set1_epi8(b'/' as i8);
        let block = _mm_set_epi64x((block >> 64) as i64, block as i64);
        let either = _mm_or_si128(block, _mm_set1_epi8(1));
        (
            _mm_movemask_epi8(_mm_cmpeq_epi8(block, slash)) as u32,
            _mm_movemask_epi8(_mm_cmpeq_epi8(either, slash)) as u32,
        )
    }
}

/// As above, with the means of every machine.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline]
fn marks_portably(block: u128) -> (u32, u32) {
    const ONES: u128 = u128::MAX / 255;
    const LOW_BITS: u128 = ONES * 0x7f;
    const SLASHES: u128 = ONES * b'/' as u128;
    let equal = |bytes: u128| {
        let differing = bytes ^ SLASHES;
        // The top bit of each byte that is equal, and nothing else.
        let tops = !(((differing & LOW_BITS) + LOW_BITS) | differing | LOW_BITS) >> 7;
        // Gathers the lowest bits of eight bytes in one.
        let gather = |half: u64| half.wrapping_mul(0x0102_0408_1020_4080) >> 56;
        (gather(tops as u64) | gather((tops >> 64) as u64) << 8) as u32
    };
    (equal(block), equal(block | ONES))
}

#[cfg(not(target_arch = "x86_64"))]
use marks_portably as marks;

/// Whether every `.` and `/` found just after a slash begins an ordinary name
/// such as `.git` or `..data`.
#[cold]
fn suspects_are_names(path: &[u8], at: usize, mut suspect: u32) -> bool {
    while suspect != 0 {
        let position = at + suspect.trailing_zeros() as usize;
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
    use super::{Shape, last_block, last_slash, marks, marks_portably, shape};

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

    #[test]
    fn both_ways_of_marking_agree() {
        let mut block: u128 = 1;
        for round in 0..100_000_u32 {
            block = block.wrapping_mul(0xda94_2042_e4dd_58b5_9a5b_7c2f_1e93_4d31) + 0x2f;
            // Random bytes, and random choices of `.`, `/`, `/` or `a`.
            let few =
                u128::from_le_bytes(block.to_le_bytes().map(|byte| b"./a/"[byte as usize >> 6]));
            for block in [block, few, few >> (8 * (round % 16))] {
                assert_eq!(marks(block), marks_portably(block), "{block:x}");
            }
        }
    }

    #[test]
    fn the_last_block_is_the_tail_and_zeros() {
        let path: Vec<u8> = (1..=47).collect();
        for length in 0..=path.len() {
            let path = &path[..length];
            let (_, tail) = path.as_chunks::<16>();
            let mut expected = [0; 16];
            expected[..tail.len()].copy_from_slice(tail);
            if !tail.is_empty() {
                assert_eq!(last_block(path, tail).to_le_bytes(), expected, "{length}");
            }
        }
    }

    #[test]
    fn the_last_slash_is_found_wherever_it_is() {
        for length in 0..70 {
            let mut text = vec![b'a'; length];
            assert_eq!(last_slash(&text), None);
            for position in 0..length {
                text[position] = b'/';
                assert_eq!(last_slash(&text), Some(position), "of {length}");
            }
        }
    }
}
