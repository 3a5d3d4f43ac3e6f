//! The candidates, each behind the same question.

use std::hash::Hasher;

use dyn_size_of::GetSize as _;
use ph::fmph::{GOBuildConf, GOConf, GOFunction};
use ph::phast::{Params, Perfect, SeedOnly, bits_per_seed_to_100_bucket_size};
use ph::seeds::{Bits8, TwoToPowerBitsStatic};
use ptr_hash::bucket_fn::Linear;
use ptr_hash::hash::NoHash;
use ptr_hash::{PtrHash, PtrHashParams};
use seedable_hash::BuildSeededHasher;

#[allow(
    dead_code,
    unused_imports,
    reason = "the manifest's file, compiled in place; only its lookup is measured"
)]
#[path = "../../src/manifest/phf/mod.rs"]
mod velo_phf;

/// What a `find` answers for a key that is not there.
pub const ABSENT: u32 = u32::MAX;

/// A way from a 64-bit hash to a slot.
pub trait Candidate: Sized {
    /// Name in the table.
    const NAME: &'static str;
    /// Symbol of the lookup, for its size.
    const SYMBOL: &'static str;
    /// Whether it builds with several threads.
    const THREADS: bool = true;
    /// Whether it may be asked for a key it was not built with.
    const MISSES: bool = true;
    /// Builds for distinct keys.
    fn build(keys: &[u64], threads: usize) -> Self;
    /// The slot of a key.
    fn slot(&self, key: u64) -> usize;
    /// One more than the largest slot.
    fn range(&self) -> usize;
    /// Bytes of the function without the slots.
    fn bytes(&self) -> usize;
    /// The entry's index, or [`ABSENT`]; inlined, as the manifest has it.
    #[inline(always)]
    fn find(&self, slots: &[u64], key: u64) -> u32 {
        let slot = slots
            .get(self.slot(key))
            .copied()
            .unwrap_or(u64::from(ABSENT));
        if slot >> 32 == key >> 32 {
            slot as u32
        } else {
            ABSENT
        }
    }
}

/// Exports the lookup of a candidate under a name that `nm` shows.
macro_rules! export {
    ($name:ident, $candidate:ty) => {
        /// The lookup of one candidate as a function of its own.
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $name(candidate: &$candidate, slots: &&[u64], key: u64) -> u32 {
            candidate.find(slots, key)
        }
        const _: () = {
            #[used]
            static KEEP: extern "C" fn(&$candidate, &&[u64], u64) -> u32 = $name;
        };
    };
}

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("a thread pool")
        .install(work)
}

/// Velo's own: `manifest::phf`, read from its bytes.
pub struct Velo {
    phf: velo_phf::Phf<'static>,
    bytes: &'static [u8],
}
export!(find_velo, Velo);

impl Velo {
    fn of(bytes: Vec<u8>) -> Self {
        let bytes = Box::leak(bytes.into_boxed_slice());
        Self {
            phf: velo_phf::Phf::parse(bytes).expect("own bytes"),
            bytes,
        }
    }
}

impl Candidate for Velo {
    const NAME: &'static str = "Velo (byte pilots, parts)";
    const SYMBOL: &'static str = "find_velo";
    fn build(keys: &[u64], threads: usize) -> Self {
        Self::of(
            velo_phf::build_on(threads, keys)
                .expect("distinct keys")
                .bytes,
        )
    }
    #[inline(always)]
    fn slot(&self, key: u64) -> usize {
        self.phf.slot(key) as usize
    }
    fn range(&self) -> usize {
        self.phf.slot_count() as usize
    }
    fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

type FastPtrHash = PtrHash<u64, Linear, Vec<u32>, NoHash, Vec<u8>, true, false>;
type PartsPtrHash = PtrHash<u64, Linear, Vec<u32>, NoHash, Vec<u8>, false, false>;

/// `ptr_hash`, one part, no remapping.
pub struct PtrHashFast(FastPtrHash);
export!(find_ptr_hash, PtrHashFast);

impl Candidate for PtrHashFast {
    const NAME: &'static str = "ptr_hash 2.1, one part";
    const SYMBOL: &'static str = "find_ptr_hash";
    fn build(keys: &[u64], threads: usize) -> Self {
        Self(with_threads(threads, || {
            PtrHash::new(keys, PtrHashParams::default_fast())
        }))
    }
    #[inline(always)]
    fn slot(&self, key: u64) -> usize {
        self.0.index(&key)
    }
    fn range(&self) -> usize {
        self.0.max_index()
    }
    fn bytes(&self) -> usize {
        (self.0.bits_per_element().0 * self.0.n() as f64 / 8.0) as usize
    }
}

/// `ptr_hash`, several parts, no remapping.
pub struct PtrHashParts(PartsPtrHash);
export!(find_ptr_hash_parts, PtrHashParts);

impl Candidate for PtrHashParts {
    const NAME: &'static str = "ptr_hash 2.1, parts";
    const SYMBOL: &'static str = "find_ptr_hash_parts";
    fn build(keys: &[u64], threads: usize) -> Self {
        Self(with_threads(threads, || {
            PtrHash::new(keys, PtrHashParams::default_fast())
        }))
    }
    #[inline(always)]
    fn slot(&self, key: u64) -> usize {
        self.0.index(&key)
    }
    fn range(&self) -> usize {
        self.0.max_index()
    }
    fn bytes(&self) -> usize {
        (self.0.bits_per_element().0 * self.0.n() as f64 / 8.0) as usize
    }
}

/// A family of hash functions over what is a hash already: one wide multiplication.
#[derive(Clone, Copy)]
pub struct Fold;

/// See [`Fold`].
pub struct Folded {
    seed: u64,
    hash: u64,
}

impl Hasher for Folded {
    #[inline(always)]
    fn write_u64(&mut self, key: u64) {
        let factor = self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD6E8_FEB8_6659_FD93;
        let product = u128::from(key) * u128::from(factor | 1);
        self.hash = product as u64 ^ (product >> 64) as u64;
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u64")
    }
    #[inline(always)]
    fn finish(&self) -> u64 {
        self.hash
    }
}

impl BuildSeededHasher for Fold {
    type Hasher = Folded;
    #[inline(always)]
    fn build_hasher(&self, seed: u64) -> Folded {
        Folded { seed, hash: 0 }
    }
}

/// `ph`'s PHast, not minimal.
pub struct Phast(Perfect<Bits8, SeedOnly, Fold>);
export!(find_phast, Phast);

impl Candidate for Phast {
    const NAME: &'static str = "ph 0.11, PHast";
    const SYMBOL: &'static str = "find_phast";
    const MISSES: bool = false;
    fn build(keys: &[u64], threads: usize) -> Self {
        let params = Params::new(Bits8, bits_per_seed_to_100_bucket_size(8));
        Self(with_threads(threads, || {
            Perfect::with_slice_p_threads_hash_sc(keys, &params, threads, Fold, SeedOnly)
        }))
    }
    #[inline(always)]
    fn slot(&self, key: u64) -> usize {
        self.0.get(&key)
    }
    fn range(&self) -> usize {
        self.0.output_range()
    }
    fn bytes(&self) -> usize {
        self.0.size_bytes()
    }
}

type Go = GOFunction<TwoToPowerBitsStatic<4>, TwoToPowerBitsStatic<2>, Fold>;

/// `ph`'s FMPHGO, minimal.
pub struct Fmphgo(Go, usize);
export!(find_fmphgo, Fmphgo);

impl Candidate for Fmphgo {
    const NAME: &'static str = "ph 0.11, FMPHGO";
    const SYMBOL: &'static str = "find_fmphgo";
    fn build(keys: &[u64], threads: usize) -> Self {
        let family =
            GOConf::hash_bps_bpg(Fold, TwoToPowerBitsStatic::<2>, TwoToPowerBitsStatic::<4>);
        let conf = GOBuildConf::with_mt(family, threads > 1);
        Self(
            with_threads(threads, || GOFunction::from_slice_with_conf(keys, conf)),
            keys.len(),
        )
    }
    #[inline(always)]
    fn slot(&self, key: u64) -> usize {
        self.0.get(&key).unwrap_or(u64::MAX) as usize
    }
    fn range(&self) -> usize {
        self.1
    }
    fn bytes(&self) -> usize {
        self.0.size_bytes()
    }
}

/// `boomphf`, minimal.
pub struct Boomphf(boomphf::Mphf<u64>, usize);
export!(find_boomphf, Boomphf);

impl Candidate for Boomphf {
    const NAME: &'static str = "boomphf 0.6, gamma 1.7";
    const SYMBOL: &'static str = "find_boomphf";
    fn build(keys: &[u64], threads: usize) -> Self {
        let make = || {
            if threads > 1 {
                boomphf::Mphf::new_parallel(1.7, keys, None)
            } else {
                boomphf::Mphf::new(1.7, keys)
            }
        };
        Self(with_threads(threads, make), keys.len())
    }
    #[inline(always)]
    fn slot(&self, key: u64) -> usize {
        self.0.try_hash(&key).unwrap_or(u64::MAX) as usize
    }
    fn range(&self) -> usize {
        self.1
    }
    fn bytes(&self) -> usize {
        // Not told by the crate: bits of the levels (1.7 n, then of what collided), a rank every 512 bits.
        let (mut left, mut bits) = (self.1 as f64, 0.0);
        while left >= 1.0 {
            bits += (1.7 * left).max(255.0);
            left *= 1.0 - (-1.0_f64 / 1.7).exp();
        }
        (bits * (1.0 + 64.0 / 512.0) / 8.0) as usize
    }
}

/// `phf_generator`'s CHD over u64 keys, minimal.
pub struct PhGenerator {
    key: u64,
    displacements: Vec<(u32, u32)>,
    places: Vec<u32>,
}
export!(find_phf_generator, PhGenerator);

impl Candidate for PhGenerator {
    const NAME: &'static str = "phf_generator 0.14 (CHD, SipHash of the u64)";
    const SYMBOL: &'static str = "find_phf_generator";
    const THREADS: bool = false;
    fn build(keys: &[u64], _: usize) -> Self {
        let state = phf_generator::generate_hash(keys);
        Self {
            key: state.key,
            displacements: state.disps,
            places: vec![0; keys.len()],
        }
    }
    #[inline(always)]
    fn slot(&self, key: u64) -> usize {
        phf_shared::get_index(
            &phf_shared::hash(&key, &self.key),
            &self.displacements,
            self.places.len(),
        ) as usize
    }
    fn range(&self) -> usize {
        self.places.len()
    }
    fn bytes(&self) -> usize {
        self.displacements.len() * 8
    }
}

/// `phf_generator`'s port of PtrHash, fed the hash itself; minimal by a remap table.
pub struct PhGeneratorPtr {
    seed: u64,
    pilots: Vec<u8>,
    remap: Vec<u32>,
    keys: usize,
}
export!(find_phf_generator_ptr, PhGeneratorPtr);

impl PhGeneratorPtr {
    #[inline(always)]
    fn hash(key: u64, seed: u64) -> u64 {
        let product = u128::from(key) * u128::from(seed | 1);
        product as u64 ^ (product >> 64) as u64
    }
}

impl Candidate for PhGeneratorPtr {
    const NAME: &'static str = "phf_generator 0.14, feature ptrhash, own hash";
    const SYMBOL: &'static str = "find_phf_generator_ptr";
    const THREADS: bool = false;
    fn build(keys: &[u64], _: usize) -> Self {
        let state = phf_generator::ptrhash::generate_hash_with_hash_fn(keys, |key, seed| {
            Self::hash(*key, *seed)
        });
        Self {
            seed: state.seed,
            pilots: state.pilots,
            remap: state.remap,
            keys: keys.len(),
        }
    }
    #[inline(always)]
    fn slot(&self, key: u64) -> usize {
        let hash = Self::hash(key, self.seed);
        phf_shared::ptrhash::get_index(self.seed, hash, &self.pilots, &self.remap, self.keys)
            as usize
    }
    fn range(&self) -> usize {
        self.keys
    }
    fn bytes(&self) -> usize {
        self.pilots.len() + 4 * self.remap.len()
    }
}

/// No perfect hash: linear probing from the key's upper half on, the lower half as the tag,
/// in a table with `FREE` hundredths of its slots free.
pub struct Open<const FREE: usize> {
    slots: Vec<u64>,
}
/// A quarter free.
pub type OpenThreeQuarters = Open<25>;
/// Half free.
pub type OpenHalf = Open<50>;
export!(find_open_25, OpenThreeQuarters);
export!(find_open_50, OpenHalf);

impl<const FREE: usize> Open<FREE> {
    /// Slots from the key's home on, as many as it may take before a free one ends the search.
    #[inline(always)]
    fn probe(&self, key: u64, stop: impl Fn(u64) -> bool) -> Option<usize> {
        let home = ((u128::from(key) * self.slots.len() as u128) >> 64) as usize;
        let (before, after) = self.slots.split_at_checked(home)?;
        // Bounded by the table: hostile bytes may leave no slot free.
        let found = after.iter().chain(before).position(|slot| stop(*slot))?;
        let slot = home + found;
        Some(if slot < self.slots.len() {
            slot
        } else {
            slot - self.slots.len()
        })
    }
}

impl<const FREE: usize> Candidate for Open<FREE> {
    const NAME: &'static str = if FREE == 50 {
        "open addressing, half free"
    } else {
        "open addressing, a quarter free"
    };
    const SYMBOL: &'static str = if FREE == 50 {
        "find_open_50"
    } else {
        "find_open_25"
    };
    const THREADS: bool = false;
    fn build(keys: &[u64], _: usize) -> Self {
        let mut order: Vec<(u64, u32)> = keys.iter().copied().zip(0..).collect();
        order.sort_unstable();
        let mut table = Self {
            slots: vec![u64::from(ABSENT); (keys.len() * 100).div_ceil(100 - FREE)],
        };
        for (key, index) in order {
            let slot = table
                .probe(key, |slot| slot as u32 == ABSENT)
                .expect("a free slot");
            table.slots[slot] = key << 32 | u64::from(index);
        }
        table
    }
    fn slot(&self, key: u64) -> usize {
        self.probe(key, |slot| {
            slot as u32 == ABSENT || slot >> 32 == key & 0xFFFF_FFFF
        })
        .unwrap_or(0)
    }
    fn range(&self) -> usize {
        self.slots.len()
    }
    fn bytes(&self) -> usize {
        0
    }
    #[inline(always)]
    fn find(&self, _: &[u64], key: u64) -> u32 {
        let slot = self.probe(key, |slot| {
            slot as u32 == ABSENT || slot >> 32 == key & 0xFFFF_FFFF
        });
        let slot = slot
            .and_then(|slot| self.slots.get(slot))
            .copied()
            .unwrap_or(u64::from(ABSENT));
        if slot >> 32 == key & 0xFFFF_FFFF {
            slot as u32
        } else {
            ABSENT
        }
    }
}
