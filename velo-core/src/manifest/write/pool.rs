//! A pool of byte strings, each distinct one stored once.
//!
//! Offsets depend on the order of the first appearances only, so equal trees get equal
//! pools.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rapidhash::v3::rapidhash_v3;

/// The pool, and what is in it.
#[derive(Default)]
pub(super) struct Pool {
    bytes: Vec<u8>,
    known: HashTable<Span>,
}

#[derive(Clone, Copy)]
struct Span {
    /// Upper half of the string's hash: most comparisons end here.
    tag: u32,
    offset: u32,
    length: u32,
}

impl Pool {
    /// The offset of `string`, which is added if it is new; `None` if it would not fit
    /// into 32 bits.
    pub(super) fn intern(&mut self, string: &[u8]) -> Option<u32> {
        if string.is_empty() {
            return Some(0);
        }
        let hash = rapidhash_v3(string);
        let tag = (hash >> 32) as u32;
        let bytes = &mut self.bytes;
        let same = |span: &Span| {
            span.tag == tag && bytes.get(span.range()).is_some_and(|found| found == string)
        };
        // The table spreads by the lower half and the topmost bits; it grows rarely.
        let rehash = |span: &Span| spread(span.tag);
        match self.known.entry(spread(tag), same, rehash) {
            Entry::Occupied(found) => Some(found.get().offset),
            Entry::Vacant(vacant) => {
                let span = Span {
                    tag,
                    offset: u32::try_from(bytes.len()).ok()?,
                    length: u32::try_from(string.len()).ok()?,
                };
                span.offset.checked_add(span.length)?;
                vacant.insert(span);
                bytes.extend_from_slice(string);
                Some(span.offset)
            }
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl Span {
    fn range(self) -> std::ops::Range<usize> {
        let start = self.offset as usize;
        start..start + self.length as usize
    }
}

/// 32 bits of a hash as the 64 that the table wants.
fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use super::Pool;

    #[test]
    fn equal_strings_share_their_bytes() {
        let mut pool = Pool::default();
        let words: [&[u8]; 5] = [b"one", b"two", b"one", b"", b"on"];
        let offsets = words.map(|word| pool.intern(word));
        assert_eq!(offsets, [Some(0), Some(3), Some(0), Some(0), Some(6)]);
        assert_eq!(pool.into_bytes(), b"onetwoon");
    }
}
