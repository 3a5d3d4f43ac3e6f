//! Places the keys of one part: chooses the pilot of each of its buckets.
//!
//! Full buckets go first. A bucket that fits nowhere takes the place that throws out
//! the fewest keys, and the buckets thrown out look for another one, as in cuckoo
//! hashing. Random choices come from a fixed sequence: the result depends on the keys.

use super::Shape;

/// Fuller buckets are not worth trying: ordinary ones have at most about 15 keys.
const BUCKET_KEYS_MAX: usize = 32;
/// Buckets placed last, which are not thrown out, so that two do not fight forever.
const SETTLING: usize = 16;

const FREE: u32 = u32::MAX;

/// Chooses `pilots` for the buckets from `first_bucket` on, which hold `positions` (sorted).
///
/// Returns whether it succeeded; if not, the pilots mean nothing.
pub(super) fn place(
    positions: &[u64],
    first_bucket: u64,
    shape: &Shape,
    pilots: &mut [u8],
) -> bool {
    let Some(mut part) = Part::new(positions, first_bucket, shape, pilots) else {
        return false;
    };
    part.fullest_first()
        .into_iter()
        .all(|bucket| part.settle(bucket))
}

struct Part<'a> {
    shape: &'a Shape,
    positions: &'a [u64],
    /// The keys of bucket `b` are `positions[starts[b]..starts[b + 1]]`.
    starts: Vec<u32>,
    pilots: &'a mut [u8],
    /// The bucket that has each slot, or `FREE`.
    owners: Vec<u32>,
    /// The same as one bit a slot, which stays in the fastest cache.
    taken: Vec<u64>,
    settling: [u32; SETTLING],
    random: u64,
    /// Evictions left before giving up.
    patience: usize,
}

impl<'a> Part<'a> {
    fn new(
        positions: &'a [u64],
        first_bucket: u64,
        shape: &'a Shape,
        pilots: &'a mut [u8],
    ) -> Option<Self> {
        let mut starts = vec![0_u32; pilots.len() + 1];
        for position in positions {
            starts[(shape.bucket(*position) - first_bucket) as usize + 1] += 1;
        }
        for bucket in 0..pilots.len() {
            if starts[bucket + 1] as usize > BUCKET_KEYS_MAX {
                return None;
            }
            starts[bucket + 1] += starts[bucket];
        }
        let slots = shape.slots_per_part as usize;
        Some(Self {
            shape,
            positions,
            starts,
            patience: pilots.len() / 4 + 128,
            pilots,
            owners: vec![FREE; slots],
            taken: vec![0; slots.div_ceil(64)],
            settling: [FREE; SETTLING],
            random: 1,
        })
    }

    fn keys(&self, bucket: u32) -> &'a [u64] {
        let bucket = bucket as usize;
        &self.positions[self.starts[bucket] as usize..self.starts[bucket + 1] as usize]
    }

    /// The buckets that hold a key, by falling number of keys.
    fn fullest_first(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.pilots.len() as u32)
            .filter(|bucket| !self.keys(*bucket).is_empty())
            .collect();
        order.sort_by_key(|bucket| std::cmp::Reverse(self.keys(*bucket).len()));
        order
    }

    /// Places `bucket` and whatever it throws out.
    fn settle(&mut self, bucket: u32) -> bool {
        let mut homeless = vec![bucket];
        while let Some(bucket) = homeless.pop() {
            let pilot = match self.free_pilot(bucket) {
                Some(pilot) => pilot,
                None => {
                    let (true, Some(pilot)) = (self.patience > 0, self.cheapest_pilot(bucket))
                    else {
                        return false;
                    };
                    self.patience -= 1;
                    self.evict(bucket, pilot, &mut homeless);
                    pilot
                }
            };
            self.settling.rotate_right(1);
            self.settling[0] = bucket;
            self.pilots[bucket as usize] = pilot;
            self.mark(bucket, bucket);
        }
        true
    }

    /// The first pilot with which all keys of `bucket` get free slots of their own.
    fn free_pilot(&self, bucket: u32) -> Option<u8> {
        let keys = self.keys(bucket);
        let mut slots = [0; BUCKET_KEYS_MAX];
        (0..=u8::MAX).find(|pilot| {
            keys.iter().zip(&mut slots).all(|(key, slot)| {
                *slot = self.shape.slot(*key, *pilot);
                self.taken[*slot as usize / 64] >> (*slot % 64) & 1 == 0
            }) && distinct(&slots[..keys.len()])
        })
    }

    /// The pilot that throws out the least, counted as squares of bucket sizes.
    fn cheapest_pilot(&mut self, bucket: u32) -> Option<u8> {
        self.random = self
            .random
            .wrapping_mul(0x5851_F42D_4C95_7F2D)
            .wrapping_add(0x1405_7B7E_F767_814F);
        let start = (self.random >> 56) as u8;
        let keys = self.keys(bucket);
        let mut best = None;
        let mut least = usize::MAX;
        let mut slots = [0; BUCKET_KEYS_MAX];
        for pilot in (0..=u8::MAX).map(|offset| start.wrapping_add(offset)) {
            let mut cost = 0;
            let usable = keys.iter().zip(&mut slots).all(|(key, slot)| {
                *slot = self.shape.slot(*key, pilot);
                let owner = self.owners[*slot as usize];
                if owner != FREE {
                    cost += self.keys(owner).len().pow(2);
                }
                cost < least && (owner == FREE || !self.settling.contains(&owner))
            });
            if usable && distinct(&slots[..keys.len()]) {
                (best, least) = (Some(pilot), cost);
            }
        }
        best
    }

    /// Frees the slots that `bucket` needs with `pilot`.
    fn evict(&mut self, bucket: u32, pilot: u8, homeless: &mut Vec<u32>) {
        for key in self.keys(bucket) {
            let owner = self.owners[self.shape.slot(*key, pilot) as usize];
            if owner != FREE {
                self.mark(owner, FREE);
                homeless.push(owner);
            }
        }
    }

    /// Gives the slots of `bucket` to `owner`: itself or nobody.
    fn mark(&mut self, bucket: u32, owner: u32) {
        let pilot = self.pilots[bucket as usize];
        for key in self.keys(bucket) {
            let slot = self.shape.slot(*key, pilot) as usize;
            self.owners[slot] = owner;
            self.taken[slot / 64] ^= 1 << (slot % 64);
        }
    }
}

/// Whether no two of these few slots are the same.
fn distinct(slots: &[u32]) -> bool {
    slots
        .iter()
        .enumerate()
        .all(|(index, slot)| !slots[..index].contains(slot))
}
