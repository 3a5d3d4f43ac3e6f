//! `HashRegistry`: full hashes to small sequential ids and back (spec §13.2).
//!
//! Ids count from 0 in the order of first sight and never change. Each hash is
//! held once: the table holds ids only and compares through the array.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::id::ContentHash;

/// The registry holds `u32::MAX` hashes already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegistryFull;

impl core::fmt::Display for RegistryFull {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "expected at most {} distinct hashes in one registry, found one more",
            u32::MAX
        )
    }
}

impl core::error::Error for RegistryFull {}

/// Interns hashes: about 37 bytes a hash instead of 68 for a map and an array.
#[derive(Clone, Debug)]
pub struct HashRegistry {
    ids: HashTable<u32>,
    hashes: Vec<ContentHash>,
    seed: [u64; 2],
}

impl Default for HashRegistry {
    fn default() -> Self {
        Self::new()
    }
}

impl HashRegistry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// An empty registry with room for `hashes`.
    #[must_use]
    pub fn with_capacity(hashes: usize) -> Self {
        // Seeded, so that contents chosen for their hashes cannot slow the table down.
        let random = std::hash::RandomState::new();
        Self {
            ids: HashTable::with_capacity(hashes),
            hashes: Vec::with_capacity(hashes),
            seed: [random.hash_one(0), random.hash_one(1)],
        }
    }

    /// The id of `hash`, a new one if it was never seen.
    ///
    /// # Errors
    /// [`RegistryFull`] when all `u32` ids but the last are taken.
    pub fn intern(&mut self, hash: ContentHash) -> Result<u32, RegistryFull> {
        let Self { ids, hashes, seed } = self;
        let same = |id: &u32| hashes.get(*id as usize) == Some(&hash);
        let table_hash_of = |id: &u32| {
            hashes
                .get(*id as usize)
                .map_or(0, |hash| table_hash(*seed, hash))
        };
        match ids.entry(table_hash(*seed, &hash), same, table_hash_of) {
            Entry::Occupied(entry) => Ok(*entry.get()),
            Entry::Vacant(entry) => {
                let id = u32::try_from(hashes.len())
                    .ok()
                    .filter(|id| *id < u32::MAX)
                    .ok_or(RegistryFull)?;
                entry.insert(id);
                hashes.push(hash);
                Ok(id)
            }
        }
    }

    /// The id of `hash`, if it was interned.
    #[must_use]
    pub fn id(&self, hash: &ContentHash) -> Option<u32> {
        let same = |id: &u32| self.hashes.get(*id as usize) == Some(hash);
        self.ids.find(table_hash(self.seed, hash), same).copied()
    }

    /// The hash with this id.
    #[must_use]
    pub fn hash(&self, id: u32) -> Option<ContentHash> {
        self.hashes.get(id as usize).copied()
    }

    /// All hashes; the place of each is its id.
    #[must_use]
    pub fn hashes(&self) -> &[ContentHash] {
        &self.hashes
    }

    /// Number of distinct hashes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether nothing was interned yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

/// Folds 128 bits of an already uniform hash with the seed.
fn table_hash(seed: [u64; 2], hash: &ContentHash) -> u64 {
    let [a, b, ..] = hash.as_bytes().as_chunks::<8>().0 else {
        return 0;
    };
    let product =
        u128::from(u64::from_le_bytes(*a) ^ seed[0]) * u128::from(u64::from_le_bytes(*b) ^ seed[1]);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::{HashRegistry, RegistryFull};
    use crate::id::ContentHash;

    #[test]
    fn ids_count_up_and_stay() {
        let mut registry = HashRegistry::new();
        assert!(registry.is_empty());
        for round in 0..2 {
            for number in 0..10_000_u32 {
                let hash = ContentHash::of(&number.to_le_bytes());
                assert_eq!(registry.intern(hash), Ok(number), "round {round}");
                assert_eq!(registry.hash(number), Some(hash));
            }
        }
        assert_eq!(registry.len(), 10_000);
        assert_eq!(registry.hash(10_000), None);
        assert_eq!(registry.id(&ContentHash::of(b"never seen")), None);
        assert!(
            RegistryFull
                .to_string()
                .starts_with("expected at most 4294967295")
        );
    }

    proptest! {
        /// Bytes from a tiny alphabet, so that repetitions and equal halves occur.
        #[test]
        fn agrees_with_a_map(sequence in prop::collection::vec(0_u8..20, 0..200)) {
            let mut registry = HashRegistry::with_capacity(4);
            let mut naive: HashMap<ContentHash, u32> = HashMap::new();
            for byte in sequence {
                let mut bytes = [7; 32];
                bytes[(byte % 32) as usize] = byte;
                let hash = ContentHash::from_bytes(bytes);
                prop_assert_eq!(registry.id(&hash), naive.get(&hash).copied());
                let next = naive.len() as u32;
                let expected = *naive.entry(hash).or_insert(next);
                prop_assert_eq!(registry.intern(hash), Ok(expected));
            }
            prop_assert_eq!(registry.len(), naive.len());
            for (hash, id) in naive {
                prop_assert_eq!(registry.hashes().get(id as usize), Some(&hash));
            }
        }
    }
}
