//! What is known of earlier compilations: for each source content the bytecode that came of
//! it, or that none did. One file in the store for each variant (docs/FORMAT.md).
//!
//! Advice, as the stat cache: a file that is missing, damaged, or that somebody else than
//! this user or root could have written is ignored, and the sources are compiled again. Who
//! could write it could name any bytecode for a source.

use std::collections::BTreeMap;
use std::path::Path;

use rapidhash::v3::rapidhash_v3;

use crate::cache;

const MAGIC: [u8; 8] = *b"\x89VELOpy\n";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 32;
const RECORD_BYTES: usize = 72;

/// What compiling a source came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// This blob.
    Compiled { hash: [u8; 32], size: u64 },
    /// Nothing: this interpreter does not take the source.
    Invalid,
    /// Nothing: it ended the compiler, or took too long.
    Crashed,
}

/// The outcomes of one variant, by the hash of the source.
#[derive(Default, Debug)]
pub(super) struct Known {
    outcomes: BTreeMap<[u8; 32], Outcome>,
    changed: bool,
}

impl Known {
    /// Reads the file called `name` in `directory`.
    pub(super) fn load(directory: &Path, name: &str) -> Self {
        let outcomes = cache::read_own(&directory.join(name))
            .and_then(|bytes| decode(&bytes, name))
            .unwrap_or_default();
        Self {
            outcomes,
            changed: false,
        }
    }

    pub(super) fn get(&self, source: &[u8; 32]) -> Option<Outcome> {
        self.outcomes.get(source).copied()
    }

    pub(super) fn insert(&mut self, source: [u8; 32], outcome: Outcome) {
        self.changed |= self.outcomes.insert(source, outcome) != Some(outcome);
    }

    /// Writes the file, if there is something new. What another build has written meanwhile
    /// stays in it.
    pub(super) fn save(&mut self, directory: &Path, name: &str) -> std::io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        for (source, outcome) in Self::load(directory, name).outcomes {
            self.outcomes.entry(source).or_insert(outcome);
        }
        cache::save(&directory.join(name), &encode(&self.outcomes, name))
    }
}

fn encode(outcomes: &BTreeMap<[u8; 32], Outcome>, name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + outcomes.len() * RECORD_BYTES);
    bytes.resize(HEADER_BYTES, 0);
    for (source, outcome) in outcomes {
        let (kind, hash, size) = match outcome {
            Outcome::Compiled { hash, size } => (1_u64, *hash, *size),
            Outcome::Invalid => (2, [0; 32], 0),
            Outcome::Crashed => (3, [0; 32], 0),
        };
        bytes.extend_from_slice(source);
        bytes.extend_from_slice(&hash);
        // A blob of 2^56 bytes is not to be feared.
        bytes.extend_from_slice(&(size << 8 | kind).to_le_bytes());
    }
    let count = (outcomes.len() as u64).to_le_bytes();
    let sum = checksum(bytes.get(HEADER_BYTES..).unwrap_or_default(), name).to_le_bytes();
    let version = VERSION.to_le_bytes();
    let header = [&MAGIC[..], &version, &[0; 4], &count, &sum].concat();
    if let Some(place) = bytes.get_mut(..HEADER_BYTES) {
        place.copy_from_slice(&header);
    }
    bytes
}

fn decode(bytes: &[u8], name: &str) -> Option<BTreeMap<[u8; 32], Outcome>> {
    let (header, records) = bytes.split_at_checked(HEADER_BYTES)?;
    let count = u64::from_le_bytes(header.get(16..24)?.try_into().ok()?);
    let sum = u64::from_le_bytes(header.get(24..)?.try_into().ok()?);
    let known = header.starts_with(&MAGIC) && header.get(8..16)? == [1, 0, 0, 0, 0, 0, 0, 0];
    let whole = count.checked_mul(RECORD_BYTES as u64) == Some(records.len() as u64);
    if !known || !whole || sum != checksum(records, name) {
        return None;
    }
    let mut outcomes = BTreeMap::new();
    for record in records.chunks_exact(RECORD_BYTES) {
        let source: [u8; 32] = record.get(..32)?.try_into().ok()?;
        let hash: [u8; 32] = record.get(32..64)?.try_into().ok()?;
        let word = u64::from_le_bytes(record.get(64..)?.try_into().ok()?);
        let outcome = match word & 0xff {
            1 => Outcome::Compiled {
                hash,
                size: word >> 8,
            },
            2 => Outcome::Invalid,
            3 => Outcome::Crashed,
            _ => return None,
        };
        outcomes.insert(source, outcome);
    }
    Some(outcomes)
}

/// The name is in it, so that a file which was renamed is not taken for another variant's.
fn checksum(records: &[u8], name: &str) -> u64 {
    rapidhash_v3(records).rotate_left(1) ^ rapidhash_v3(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{BTreeMap, Outcome, decode, encode};

    #[test]
    fn what_was_written_is_read_and_what_was_damaged_is_not() {
        let outcomes = BTreeMap::from([
            ([1; 32], Outcome::Invalid),
            (
                [2; 32],
                Outcome::Compiled {
                    hash: [7; 32],
                    size: 1 << 40,
                },
            ),
            ([3; 32], Outcome::Crashed),
        ]);
        let bytes = encode(&outcomes, "variant");
        assert_eq!(decode(&bytes, "variant"), Some(outcomes));
        assert_eq!(decode(&bytes, "other"), None);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged, "variant"), None, "{at}");
        }
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length], "variant"), None, "{length}");
        }
        assert_eq!(
            decode(&encode(&BTreeMap::new(), ""), ""),
            Some(BTreeMap::new())
        );
    }
}
