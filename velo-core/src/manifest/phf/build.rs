//! Builds the perfect hash: sorts the keys into parts, then places each part by itself.
//!
//! Deterministic: the bytes depend on the set of keys only, neither on their order nor
//! on the number of threads. Keys that collide on purpose cost a further attempt with
//! another multiplier, never a wrong result.

use std::sync::{Mutex, PoisonError};

use super::place::place;
use super::{HEADER_BYTES, Shape};

/// Most keys of one perfect hash.
pub const KEYS_MAX: usize = 1 << 31;

/// A bucket has 2.5 keys on average at most: 5 keys for two buckets.
const KEYS_PER_TWO_BUCKETS: usize = 5;
/// Buckets of a full part: its 82,000 keys and its tables stay in a core's own cache.
const BUCKET_BITS_MAX: u32 = 15;
/// Of 100 slots, 99 are filled in the fullest part.
const KEYS_PER_FREE_SLOT: usize = 99;
/// An attempt fails about never with keys that nobody chose to collide.
const ATTEMPTS: u64 = 64;
/// Below this many keys a thread costs more than it saves.
const KEYS_PER_THREAD_MIN: usize = 50_000;

/// The bytes of a perfect hash, and how many slots they speak of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PhfBuild {
    /// What [`Phf::parse`](super::Phf::parse) reads.
    pub bytes: Vec<u8>,
    /// Number of slots, at least 1, about 2 % more than keys.
    pub slot_count: u32,
}

/// Why no perfect hash was built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BuildError {
    /// Two keys are the same; with path hashes: the same path twice, or a collision of 64 bits.
    #[error("expected distinct hashes, found the same one at positions {first} and {second}")]
    Duplicate {
        /// Position of the hash in the slice given.
        first: usize,
        /// Position of the next equal one.
        second: usize,
    },
    /// More keys than [`KEYS_MAX`].
    #[error("expected at most {KEYS_MAX} hashes, found {found}")]
    TooManyKeys {
        /// Number of keys given.
        found: usize,
    },
    /// All attempts failed; the hashes must have been chosen to make them fail.
    #[error(
        "expected hashes that spread, found some that collide under each of {ATTEMPTS} multipliers"
    )]
    Unplaceable,
}

/// Builds with as many threads as the machine has and the number of keys deserves.
///
/// # Errors
/// See [`BuildError`]; a duplicate is the one that ordinary input can cause.
pub fn build(hashes: &[u64]) -> Result<PhfBuild, BuildError> {
    let available = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    build_on(available.min(hashes.len() / KEYS_PER_THREAD_MIN), hashes)
}

/// [`build`] with a given number of threads (0 counts as 1); gives the same bytes.
///
/// # Errors
/// As [`build`].
pub fn build_on(threads: usize, hashes: &[u64]) -> Result<PhfBuild, BuildError> {
    if hashes.len() > KEYS_MAX {
        return Err(BuildError::TooManyKeys {
            found: hashes.len(),
        });
    }
    let multipliers = (1..=ATTEMPTS).map(|attempt| mix(attempt) | 1);
    multipliers
        .map(|multiplier| attempt(threads, hashes, multiplier))
        .find_map(Result::transpose)
        .unwrap_or(Err(BuildError::Unplaceable))
}

/// The keys of some neighbouring parts, in the hands of one thread.
struct Share<'a> {
    parts: std::ops::Range<u64>,
    /// Sorted, so buckets and parts are runs.
    positions: Vec<u64>,
    pilots: &'a mut [u8],
    placed: bool,
}

impl Share<'_> {
    /// Takes this share's keys out of all and sorts them.
    fn collect(&mut self, hashes: &[u64], shape: &Shape) {
        let part = |position| u64::from(shape.part(shape.bucket(position)));
        let mine = hashes
            .iter()
            .map(|hash| shape.position(*hash))
            .filter(|position| self.parts.contains(&part(*position)));
        self.positions.extend(mine);
        self.positions.sort_unstable();
    }

    /// The keys of each part in turn.
    fn by_part<'s>(&'s self, shape: &'s Shape) -> impl Iterator<Item = &'s [u64]> {
        let mut rest = self.positions.as_slice();
        self.parts.clone().map(move |part| {
            let end = rest
                .partition_point(|position| u64::from(shape.part(shape.bucket(*position))) <= part);
            let (keys, after) = rest.split_at(end);
            rest = after;
            keys
        })
    }

    fn place(&mut self, shape: &Shape) {
        let pilots = std::mem::take(&mut self.pilots);
        let parts = self
            .parts
            .clone()
            .zip(pilots.chunks_exact_mut(1 << shape.bucket_bits));
        let placed = self
            .by_part(shape)
            .zip(parts)
            .all(|(keys, (part, pilots))| place(keys, part << shape.bucket_bits, shape, pilots));
        self.placed = placed;
    }
}

/// One attempt; `Ok(None)` if some part could not be placed with this multiplier.
fn attempt(
    threads: usize,
    hashes: &[u64],
    multiplier: u64,
) -> Result<Option<PhfBuild>, BuildError> {
    let keys = hashes.len();
    let bucket_bits = (0..BUCKET_BITS_MAX)
        .find(|bits| keys * 2 <= KEYS_PER_TWO_BUCKETS << bits)
        .unwrap_or(BUCKET_BITS_MAX);
    let parts = (keys * 2)
        .div_ceil(KEYS_PER_TWO_BUCKETS << bucket_bits)
        .max(1);
    let threads = threads.clamp(1, parts);
    let mut shape = Shape {
        multiplier,
        buckets: (parts as u64) << bucket_bits,
        bucket_bits,
        slots_per_part: 1,
    };

    let mut bytes = vec![0; HEADER_BYTES + (parts << bucket_bits)];
    let (header, mut pilots) = bytes.split_at_mut(HEADER_BYTES);
    let mut shares: Vec<Share> = Vec::with_capacity(threads);
    for thread in 0..threads {
        let range = parts * thread / threads..parts * (thread + 1) / threads;
        let (mine, rest) = pilots.split_at_mut(range.len() << bucket_bits);
        pilots = rest;
        let expected = keys / parts * range.len();
        shares.push(Share {
            parts: range.start as u64..range.end as u64,
            positions: Vec::with_capacity(expected + expected / 32),
            pilots: mine,
            placed: false,
        });
    }

    each_on_its_thread(&mut shares, |share| share.collect(hashes, &shape));
    let repeated = |share: &Share| {
        share
            .positions
            .windows(2)
            .find(|pair| pair[0] == pair[1])
            .map(|pair| pair[0])
    };
    if let Some(position) = shares.iter().find_map(repeated) {
        return Err(duplicate(hashes, &shape, position));
    }
    let fullest = shares
        .iter()
        .flat_map(|share| share.by_part(&shape))
        .map(<[u64]>::len)
        .max()
        .unwrap_or(0);
    let slots_per_part = fullest + fullest.div_ceil(KEYS_PER_FREE_SLOT);
    shape.slots_per_part = u32::try_from(slots_per_part).unwrap_or(u32::MAX).max(1);
    each_on_its_thread(&mut shares, |share| share.place(&shape));

    let placed = shares.iter().all(|share| share.placed);
    let slot_count = u32::try_from(parts)
        .ok()
        .and_then(|parts| shape.slots_per_part.checked_mul(parts));
    let (true, Some(slot_count)) = (placed, slot_count) else {
        return Ok(None);
    };
    let words =
        [keys as u32, shape.slots_per_part, parts as u32, bucket_bits].map(u32::to_le_bytes);
    header[..16].copy_from_slice(words.as_flattened());
    header[16..].copy_from_slice(&multiplier.to_le_bytes());
    Ok(Some(PhfBuild { bytes, slot_count }))
}

/// Runs `work` on every share, each on a thread of its own, this one among them. The work
/// of a thread that cannot be had is done by the others.
fn each_on_its_thread<'a>(shares: &mut [Share<'a>], work: impl Fn(&mut Share<'a>) + Sync) {
    let threads = shares.len();
    let waiting = Mutex::new(shares.iter_mut());
    let next = || {
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.next()
    };
    let run = || {
        while let Some(share) = next() {
            work(share);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // What comes of it is in the share; a panic ends the scope.
            let _thread = std::thread::Builder::new().spawn_scoped(scope, run);
        }
        run();
    });
}

/// Names the first two places of the hash at `position`.
fn duplicate(hashes: &[u64], shape: &Shape, position: u64) -> BuildError {
    let mut places = (0..)
        .zip(hashes)
        .filter(|(_, hash)| shape.position(**hash) == position)
        .map(|(place, _)| place);
    let first = places.next().unwrap_or(0);
    BuildError::Duplicate {
        first,
        second: places.next().unwrap_or(first),
    }
}

/// Spreads a small number over 64 bits.
const fn mix(number: u64) -> u64 {
    let x = number.wrapping_mul(super::PILOT_FACTOR);
    let x = (x ^ (x >> 30)).wrapping_mul(super::SLOT_FACTOR);
    x ^ (x >> 29)
}
