//! The perfect hash of the manifest: 64-bit path hashes to slots, no two keys to one slot.
//!
//! How it works. A key's hash is multiplied by an odd number that the builder chose,
//! which gives its *position*. Positions are cut evenly into buckets of about 2.5 keys
//! and buckets into parts of 2^`bucket_bits`. Each bucket has one *pilot* byte, chosen
//! by the builder such that mixing it into the positions of the bucket's keys sends
//! all keys of the part to different slots of that part. So a lookup is four
//! multiplications, one byte read and no division. The slots (one or two percent more
//! than keys) are the caller's; what was never a key gets some slot too, so the caller
//! verifies what it finds there.
//!
//! ```text
//!    +0                  +4
//!  0 | key_count      u32 | slots_per_part u32 |
//!  8 | part_count     u32 | bucket_bits    u32 |   bucket_bits < 32
//! 16 | multiplier                          u64 |   odd
//! 24 | pilots: (part_count << bucket_bits) bytes, one for each bucket ...
//! ```
//!
//! Little-endian, no padding, any alignment. Invariants: parsing is O(1); with any
//! bytes that parse, [`Phf::slot`] returns less than [`Phf::slot_count`] for any hash,
//! reads within the bytes and cannot panic. Why this one: `docs/decisions/001`.

#[cfg(feature = "std")]
mod build;
#[cfg(feature = "std")]
mod place;
#[cfg(all(test, feature = "std"))]
mod tests;

#[cfg(feature = "std")]
pub use build::{BuildError, KEYS_MAX, PhfBuild, build, build_on};

/// Bytes before the pilots.
const HEADER_BYTES: usize = 24;

/// Constants of the slot mix: odd, half of their bits set.
const PILOT_FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
const SLOT_FACTOR: u64 = 0xD6E8_FEB8_6659_FD93;

/// A perfect hash read in place.
#[derive(Clone, Copy, Debug)]
pub struct Phf<'a> {
    shape: Shape,
    key_count: u32,
    slot_count: u32,
    pilots: &'a [u8],
}

impl<'a> Phf<'a> {
    /// Reads the header of `bytes`, which hold the perfect hash and nothing else.
    ///
    /// `None` if they are too short or long, or the header contradicts itself.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, pilots) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let [counts @ .., _, _, _, _, _, _, _, _] = header;
        let [key_count, slots_per_part, part_count, bucket_bits] = le_words(counts);
        let multiplier = u64::from_le_bytes(*bytes.get(16..)?.first_chunk()?);
        let slot_count = slots_per_part.checked_mul(part_count)?;
        let shape = Shape::new(multiplier, part_count, bucket_bits, slots_per_part)?;
        let sound =
            shape.buckets == pilots.len() as u64 && slot_count != 0 && key_count <= slot_count;
        sound.then_some(Self {
            shape,
            key_count,
            slot_count,
            pilots,
        })
    }

    /// The slot of the key with this hash; some slot if there is no such key.
    #[must_use]
    #[inline]
    pub fn slot(&self, hash: u64) -> u32 {
        let position = self.shape.position(hash);
        let bucket = self.shape.bucket(position);
        // Always in bounds: `bucket` is below `buckets`, which is the length.
        let pilot = self.pilots.get(bucket as usize).copied().unwrap_or(0);
        self.shape.part(bucket) * self.shape.slots_per_part + self.shape.slot(position, pilot)
    }

    /// Number of slots, at least 1.
    #[must_use]
    #[inline]
    pub const fn slot_count(&self) -> u32 {
        self.slot_count
    }

    /// Number of keys it was built from.
    #[must_use]
    #[inline]
    pub const fn key_count(&self) -> u32 {
        self.key_count
    }
}

/// The arithmetic that reader and builder share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shape {
    multiplier: u64,
    /// `part_count << bucket_bits`, at least 1.
    buckets: u64,
    bucket_bits: u32,
    slots_per_part: u32,
}

impl Shape {
    fn new(
        multiplier: u64,
        part_count: u32,
        bucket_bits: u32,
        slots_per_part: u32,
    ) -> Option<Self> {
        let in_range = part_count != 0 && slots_per_part != 0 && bucket_bits < 32;
        let buckets = u64::from(part_count) << (bucket_bits & 31);
        in_range.then_some(Self {
            multiplier,
            buckets,
            bucket_bits,
            slots_per_part,
        })
    }

    /// Where the key stands among all; a bijection, because the multiplier is odd.
    #[inline]
    const fn position(&self, hash: u64) -> u64 {
        hash.wrapping_mul(self.multiplier)
    }

    /// Its bucket, below `buckets`, in the order of positions.
    #[inline]
    const fn bucket(&self, position: u64) -> u64 {
        multiply_high(position, self.buckets)
    }

    /// The bucket's part, below the number of parts.
    #[inline]
    const fn part(&self, bucket: u64) -> u32 {
        (bucket >> self.bucket_bits) as u32
    }

    /// The key's slot within its part, below `slots_per_part`.
    #[inline]
    const fn slot(&self, position: u64, pilot: u8) -> u32 {
        let mixed =
            (position ^ (pilot as u64).wrapping_mul(PILOT_FACTOR)).wrapping_mul(SLOT_FACTOR);
        multiply_high(mixed, self.slots_per_part as u64) as u32
    }
}

/// The upper half of the product: maps `x` evenly into `0..range`.
#[inline]
const fn multiply_high(x: u64, range: u64) -> u64 {
    ((x as u128 * range as u128) >> 64) as u64
}

/// Four little-endian words.
fn le_words(bytes: &[u8; 16]) -> [u32; 4] {
    let all = u128::from_le_bytes(*bytes);
    [0, 32, 64, 96].map(|shift| (all >> shift) as u32)
}
