//! The perfect hash is perfect, deterministic, compact, and safe on any bytes.

use proptest::prelude::*;

use super::{BuildError, HEADER_BYTES, Phf, build, build_on};

/// A bijection, so that distinct numbers give distinct hashes that look random.
fn hash(number: u64) -> u64 {
    let x = (number ^ number >> 32).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (x ^ x >> 29).wrapping_mul(0x94D0_49BB_1331_11EB) ^ x >> 41
}

fn hashes(count: u64) -> Vec<u64> {
    (0..count).map(hash).collect()
}

/// Builds, and checks that every key has a slot of its own.
fn check(hashes: &[u64]) -> (Vec<u8>, u32) {
    let built = build(hashes).unwrap();
    let phf = Phf::parse(&built.bytes).unwrap();
    assert_eq!(phf.slot_count(), built.slot_count);
    assert_eq!(phf.key_count() as usize, hashes.len());
    let mut owner = vec![None; built.slot_count as usize];
    for hash in hashes {
        let before = owner[phf.slot(*hash) as usize].replace(*hash);
        assert_eq!(before, None, "the slot of {hash:#x} was taken");
    }
    (built.bytes, built.slot_count)
}

#[test]
fn every_small_count_works() {
    for count in 0..600 {
        let (_, slots) = check(&hashes(count));
        assert!(
            u64::from(slots) >= count.max(1) && u64::from(slots) <= count + count / 99 + 1,
            "{count}: {slots}"
        );
    }
}

#[test]
fn several_parts_stay_compact() {
    let keys = hashes(400_000);
    let (bytes, slots) = check(&keys);
    assert!(
        Phf::parse(&bytes).unwrap().shape.buckets > 1 << 15,
        "more than one part"
    );
    assert!(slots < 408_000 + 4_000, "{slots} slots for 400000 keys");
    assert!(
        bytes.len() < HEADER_BYTES + 400_000 / 2,
        "{} bytes",
        bytes.len()
    );
}

#[test]
fn order_and_threads_do_not_show() {
    let mut keys = hashes(300_000);
    let expected = build_on(1, &keys).unwrap();
    for threads in [0, 2, 3, 100] {
        assert!(
            build_on(threads, &keys).unwrap() == expected,
            "{threads} threads"
        );
    }
    keys.reverse();
    assert!(build(&keys).unwrap() == expected, "reversed");
    keys.sort_unstable();
    assert!(build(&keys).unwrap() == expected, "sorted");
}

/// Written down once: whatever changes these breaks every manifest that exists.
#[test]
fn the_bytes_and_slots_are_those_of_format_version_1() {
    let keys = hashes(7);
    let built = build(&keys).unwrap();
    let header = [
        7, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 101, 1, 175, 222, 213, 68, 102, 110,
    ];
    assert_eq!(built.bytes, [header.as_slice(), &[0, 1, 0, 0]].concat());
    let phf = Phf::parse(&built.bytes).unwrap();
    assert_eq!(
        keys.iter().map(|hash| phf.slot(*hash)).collect::<Vec<_>>(),
        [0, 5, 2, 6, 4, 1, 3]
    );

    let many = build(&hashes(120_000)).unwrap();
    assert_eq!(
        (many.slot_count, rapidhash::v3::rapidhash_v3(&many.bytes)),
        (121_768, 7157849283236358964)
    );
}

#[test]
fn keys_that_a_neighbour_chose_still_find_slots() {
    check(&(0..5_000).collect::<Vec<_>>());
    check(&(0..5_000).map(|number| number << 51).collect::<Vec<_>>());
    check(
        &(0..5_000)
            .map(|number| u64::MAX - number)
            .collect::<Vec<_>>(),
    );
    check(&(0..64).map(|bit| 1 << bit).collect::<Vec<_>>());
    // Neighbours under the first multiplier: all in one bucket, so the second has to do it.
    let (bytes, _) = check(&hashes(5_000));
    let first = Phf::parse(&bytes).unwrap().shape.multiplier;
    let inverse = (0..6).fold(first, |x, _| {
        x.wrapping_mul(2_u64.wrapping_sub(first.wrapping_mul(x)))
    });
    assert_eq!(first.wrapping_mul(inverse), 1);
    let (bytes, _) = check(
        &(0..5_000_u64)
            .map(|number| number.wrapping_mul(inverse))
            .collect::<Vec<_>>(),
    );
    assert_ne!(Phf::parse(&bytes).unwrap().shape.multiplier, first);
}

#[test]
fn duplicates_are_named() {
    let mut keys = hashes(250_000);
    keys[200_001] = keys[17];
    let error = build(&keys).unwrap_err();
    assert_eq!(
        error,
        BuildError::Duplicate {
            first: 17,
            second: 200_001
        }
    );
    assert_eq!(
        error.to_string(),
        "expected distinct hashes, found the same one at positions 17 and 200001"
    );
    assert_eq!(
        build(&[5, 5, 5]),
        Err(BuildError::Duplicate {
            first: 0,
            second: 1
        })
    );
}

#[test]
fn contradictions_do_not_parse() {
    let good = build(&hashes(100)).unwrap().bytes;
    assert!(Phf::parse(&good).is_some());
    for length in 0..good.len() {
        assert!(Phf::parse(&good[..length]).is_none(), "cut to {length}");
    }
    let with = |offset: usize, value: u32| {
        let mut bytes = good.clone();
        bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    let longer = [good.as_slice(), &[0]].concat();
    let cases = [
        ("a byte too many", longer),
        ("more keys than slots", with(0, 103)),
        ("no slots", with(4, 0)),
        ("no parts", with(8, 0)),
        ("too many parts", with(8, u32::MAX)),
        ("too few buckets", with(12, 5)),
        ("a shift out of range", with(12, 32 + 6)),
    ];
    for (what, bytes) in cases {
        assert!(Phf::parse(&bytes).is_none(), "{what}");
    }
    let mut overflow = with(4, 1 << 31);
    overflow[8] = 2;
    assert!(Phf::parse(&overflow).is_none(), "slot count past 32 bits");
}

/// A header that parses, with any content, and pilots to match.
fn parsable() -> impl Strategy<Value = Vec<u8>> {
    let shape = (any::<u32>(), 1..=u32::MAX, 1_u32..6, 0_u32..6, any::<u64>());
    shape.prop_flat_map(|(keys, slots, parts, bits, multiplier)| {
        let words = [
            keys % (slots / parts * parts + 1),
            slots / parts,
            parts,
            bits,
        ]
        .map(u32::to_le_bytes);
        let header = [words.as_flattened(), &multiplier.to_le_bytes()].concat();
        prop::collection::vec(any::<u8>(), (parts << bits) as usize)
            .prop_map(move |pilots| [header.as_slice(), &pilots].concat())
    })
}

proptest! {
    #[test]
    fn any_set_of_hashes_works(set in prop::collection::hash_set(any::<u64>(), 0..400), shift in 0_u32..60) {
        let clustered: std::collections::HashSet<u64> = set.iter().map(|hash| hash >> shift).collect();
        check(&clustered.into_iter().collect::<Vec<_>>());
        check(&set.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_are_refused_or_safe(bytes in prop_oneof![parsable(), prop::collection::vec(any::<u8>(), 0..80)], hash: u64) {
        if let Some(phf) = Phf::parse(&bytes) {
            for hash in [hash, 0, 1, u64::MAX, hash.wrapping_neg()] {
                prop_assert!(phf.slot(hash) < phf.slot_count());
            }
            prop_assert!(phf.key_count() <= phf.slot_count());
        }
    }

    #[test]
    fn what_is_made_to_parse_does(bytes in parsable()) {
        // Guards the generator above: its bytes must reach `slot`.
        let slots = u32::from_le_bytes(bytes[4..8].try_into().unwrap());
        prop_assert_eq!(Phf::parse(&bytes).is_some(), slots != 0);
    }
}
