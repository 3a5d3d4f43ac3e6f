//! Damaged and forged manifests: noticed or harmless, never a panic.
#![cfg(feature = "std")]

mod manifest_support;

use manifest_support::bytes::{
    ask_everything, place_in_table, seal, seal_header, section, set_word, word,
};
use manifest_support::strategy::model;
use manifest_support::{Kind, Model, Thing, source_stat};
use proptest::prelude::*;
use velo_core::manifest::phf::Phf;
use velo_core::manifest::write::{Content, Meta};
use velo_core::manifest::{EntryFault, Manifest, OpenError, Section, Time, VerifyError};

/// Two roots and one of everything; entries:
/// 0 `/a`, 1 `/b`, 2 `a/dir`, 3 `a/file`, 4 `a/link`, 5 `b/hard`, 6 `b/z`, 7 `a/dir/x`.
fn sample() -> Vec<u8> {
    let meta = Meta {
        mode: 0o755,
        mtime: Time { sec: 5, nsec: 6 },
        size: 5000,
        ..Meta::default()
    };
    let content = Content {
        hash: [9; 32],
        in_view: false,
        blocks: Some(3),
    };
    let mut model = Model {
        mounts: vec![b"/a".to_vec(), b"/b".to_vec()],
        packages: vec![
            (b"p".to_vec(), b"1".to_vec()),
            (b"q".to_vec(), b"1".to_vec()),
        ],
        ..Model::default()
    };
    let lines = [
        (b"k".to_vec(), b"v".to_vec()),
        (b"l".to_vec(), b"w".to_vec()),
    ];
    model.provenance.extend(lines);
    let mut put = |root: usize, path: &str, kind: Kind| {
        let xattrs = match path {
            "dir" => vec![
                (b"user.a".to_vec(), b"1".to_vec()),
                (b"user.b".to_vec(), b"2".to_vec()),
            ],
            _ => Vec::new(),
        };
        let thing = Thing {
            meta,
            kind,
            xattrs,
            source: source_stat(0),
        };
        model.things.insert((root, path.into()), thing);
    };
    put(0, "", Kind::Directory);
    put(1, "", Kind::Directory);
    put(0, "dir", Kind::Directory);
    put(0, "file", Kind::File(content));
    put(0, "link", Kind::Symlink(b"dir/x".to_vec()));
    put(1, "hard", Kind::Link((0, b"file".to_vec())));
    put(1, "z", Kind::Link((0, b"link".to_vec())));
    let plain = Content {
        blocks: None,
        ..content
    };
    put(0, "dir/x", Kind::File(plain));
    model.built()
}

/// The sample with the source's stat of every entry.
fn exact_sample() -> Vec<u8> {
    let meta = Meta {
        mode: 0o755,
        ..Meta::default()
    };
    let mut model = Model {
        mounts: vec![b"/".to_vec()],
        exact: true,
        ..Model::default()
    };
    for (number, path) in ["", "a", "b"].into_iter().enumerate() {
        let thing = Thing {
            meta,
            kind: Kind::Directory,
            xattrs: Vec::new(),
            source: source_stat(number as u64),
        };
        model.things.insert((0, path.into()), thing);
    }
    model.built()
}

#[test]
fn every_flipped_bit_is_noticed() {
    let good = sample();
    assert!(Manifest::open(&good).unwrap().checksum_matches());
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let noticed = match Manifest::open(&bytes) {
            Ok(manifest) => !manifest.checksum_matches() && manifest.verify().is_err(),
            Err(_) => true,
        };
        assert!(noticed, "bit {bit}");
    }
}

#[test]
fn every_wrong_length_is_noticed() {
    let good = sample();
    assert_eq!(Manifest::open(b"").unwrap_err(), OpenError::Empty);
    for length in 1..good.len() {
        let found = Manifest::open(&good[..length]).unwrap_err();
        let expected = match length {
            0..512 => OpenError::HeaderTruncated {
                found_bytes: length as u64,
            },
            _ => OpenError::Length {
                expected_bytes: good.len() as u64,
                found_bytes: length as u64,
            },
        };
        assert_eq!(found, expected);
        assert!(found.to_string().ends_with("it is truncated"));
    }
    let longer = [&good[..], &[0; 64]].concat();
    let found = Manifest::open(&longer).unwrap_err();
    assert!(found.to_string().ends_with("something was appended"));
    let mut longer = longer;
    let length = longer.len() as u32;
    set_word(&mut longer, 40, length);
    seal(&mut longer);
    let found = Manifest::open(&longer).unwrap_err();
    assert_eq!(found, OpenError::Table { place: 17 }, "no section is there");
}

#[test]
fn what_is_no_manifest_of_this_version_says_so() {
    let good = sample();
    let with = |offset: usize, value: u32| {
        let mut bytes = good.clone();
        set_word(&mut bytes, offset, value);
        seal_header(&mut bytes);
        Manifest::open(&bytes).map(drop).unwrap_err()
    };
    assert_eq!(
        Manifest::open(b"\x7fELF").unwrap_err(),
        OpenError::NotManifest {
            found: *b"\x7fELF\0\0\0\0"
        }
    );
    assert_eq!(
        with(0, 0),
        OpenError::NotManifest {
            found: *b"\0\0\0\0O\r\n\x1a"
        }
    );
    assert_eq!(with(8, 2), OpenError::Version { found: 2 });
    assert_eq!(
        with(12, 0x0403_0201),
        OpenError::Endian { found: 0x0403_0201 }
    );
    assert_eq!(with(32, 2), OpenError::Features { unknown: 2 });
    assert_eq!(with(36, 1 << 31), OpenError::Features { unknown: 1 << 63 });
    assert_eq!(
        with(52, 0),
        OpenError::Counts {
            roots: 0,
            entries: 8
        }
    );
    assert_eq!(
        with(52, 9),
        OpenError::Counts {
            roots: 9,
            entries: 8
        }
    );
    assert_eq!(
        with(48, u32::MAX),
        OpenError::Counts {
            roots: 2,
            entries: u32::MAX
        }
    );
    assert!(matches!(
        with(48, 7),
        OpenError::SectionSize {
            section: Section::Vnodes,
            ..
        }
    ));
    for feature in [16, 24] {
        let mut bytes = good.clone();
        set_word(&mut bytes, feature, u32::MAX);
        seal_header(&mut bytes);
        Manifest::open(&bytes).unwrap().verify().unwrap();
    }
}

#[test]
fn a_section_table_that_contradicts_itself_is_refused() {
    let good = sample();
    for section in Section::ALL {
        let Some(place) = (96..504)
            .step_by(24)
            .find(|at| word(&good, *at) == section.kind())
        else {
            continue;
        };
        assert_eq!(place, place_in_table(&good, section));
        let number = ((place - 96) / 24) as u32;
        for (field, value) in [(0, 1), (4, 1), (8, 0), (12, 1), (16, 0), (20, u32::MAX)] {
            if word(&good, place + field) == value {
                continue;
            }
            let mut bytes = good.clone();
            set_word(&mut bytes, place + field, value);
            seal_header(&mut bytes);
            let found = Manifest::open(&bytes).map(drop).unwrap_err();
            let OpenError::Table { place } = found else {
                panic!("{section:?} +{field} = {value}: {found:?}");
            };
            assert!((number..=number + 1).contains(&place) || place == 17);
        }
    }
}

#[test]
fn a_section_that_a_later_version_adds_is_skipped() {
    let mut bytes = sample();
    let offset = bytes.len();
    bytes.extend([7; 64]);
    let mut places = (96..504).step_by(24);
    let place = places.find(|at| word(&bytes, *at) == 0).unwrap();
    for (field, value) in [(0, 17), (8, offset as u32), (16, 50)] {
        set_word(&mut bytes, place + field, value);
    }
    let length = bytes.len() as u32;
    set_word(&mut bytes, 40, length);
    seal(&mut bytes);
    let manifest = Manifest::open(&bytes).unwrap();
    let padding = VerifyError::Padding {
        offset: offset as u64 + 50,
    };
    assert_eq!(manifest.verify(), Err(padding), "its padding is checked");
    bytes[offset + 50..].fill(0);
    seal(&mut bytes);
    let manifest = Manifest::open(&bytes).unwrap();
    manifest.verify().unwrap();
    let last = manifest.sections().last().unwrap();
    assert_eq!(last, (17, offset as u64, 50));
    assert_eq!(Section::from_kind(last.0), None);
}

/// A change to one word, and what `verify` has to say of it.
fn forged(good: &[u8], which: Section, offset: usize, value: u32) -> Result<(), VerifyError> {
    let mut bytes = good.to_vec();
    let (start, length) = section(good, which);
    assert!(offset + 4 <= length, "{which:?} has {length} bytes only");
    assert_ne!(word(&bytes, start + offset), value, "no change");
    set_word(&mut bytes, start + offset, value);
    seal(&mut bytes);
    ask_everything(&bytes);
    Manifest::open(&bytes).unwrap().verify()
}

#[test]
fn verify_names_the_rule_that_an_entry_breaks() {
    use EntryFault::*;
    let mut wrong = Vec::new();
    const NONE: u32 = u32::MAX;
    let good = sample();
    Manifest::open(&good).unwrap().verify().unwrap();
    let node = |entry: usize, field: usize| entry * 24 + field;
    let vnode = |entry: usize, field: usize| entry * 56 + field;
    let (parent, name, first, count, nanoseconds, tail) = (0, 4, 8, 12, 16, 20);
    let (size, mode, flags) = (32, 48, 52);
    let of_node = |entry: usize, field: usize| {
        let (start, _) = section(&good, Section::Nodes);
        word(&good, start + node(entry, field))
    };
    let of_vnode = |entry: usize, field: usize| {
        let (start, _) = section(&good, Section::Vnodes);
        word(&good, start + vnode(entry, field))
    };
    let nodes = [
        (0, parent, 1, Root),
        (1, name, 1, Reserved),
        (0, first, 3, Children),
        (0, count, 2, DirectoryHash),
        (1, count, NONE, Children),
        (2, parent, 1, Parent),
        (7, parent, 7, Parent),
        (3, parent, NONE, Parent),
        (3, name, NONE, Name),
        (2, name, of_node(4, name) + 1, Order),
        (2, nanoseconds, 1_000_000_000, Nanoseconds),
        (3, tail, of_node(3, tail) | 1, Owner),
        (3, tail, of_node(3, tail) | 1 << 24, Reserved),
        (2, tail, of_node(2, tail) | 1 << 24, Subdirs),
        (0, tail, of_node(0, tail) | 255 << 24, Subdirs),
        (3, first, 1, Reserved),
        (3, count, 0, HardLink),
        (3, count, 2, HardLink),
        (3, count, NONE, HardLink),
        (7, count, 1, HardLink),
        (5, nanoseconds, 7, HardLink),
        (4, first, 1, Target),
        (4, count, NONE, Target),
        (4, count, 4, TargetHash),
        (6, nanoseconds, 7, HardLink),
    ];
    for (entry, field, value, fault) in nodes {
        let found = forged(&good, Section::Nodes, node(entry, field), value);
        let agrees =
            matches!(found, Err(VerifyError::Entry { fault: found, .. }) if found == fault);
        if !agrees {
            wrong.push(format!(
                "node {entry} +{field} = {value}: {found:?}, expected {fault:?}"
            ));
        }
    }
    let mode_of = |entry, bits| of_vnode(entry, mode) & !0o170_000 | bits;
    let flags_of = |entry: usize, toggled: u32| of_vnode(entry, flags) ^ toggled;
    let vnodes = [
        (0, mode, mode_of(0, 0o100_000), Flags),
        (0, 0, 1, DirectoryHash),
        (7, 0, 1, DirectoryHash),
        (7, mode, of_vnode(7, mode) ^ 0o4000, DirectoryHash),
        (4, size, 6, TargetHash),
        (4, 0, 1, DirectoryHash),
        (7, mode, mode_of(7, 0o010_000), DirectoryHash),
        (7, mode, of_vnode(7, mode) | 1 << 16, DirectoryHash),
        (0, mode, of_vnode(0, mode) | 1 << 16, Mode),
        (0, mode, mode_of(0, 0o010_000), Mode),
        (0, mode, of_vnode(0, mode) & !0o111, Public),
        (2, flags, flags_of(2, 16), Public),
        (3, flags, flags_of(3, 4), Flags),
        (7, flags, flags_of(7, 8), Flags),
        (7, flags, flags_of(7, 32), HardLink),
        (7, flags, flags_of(7, 64), Flags),
        (7, flags, flags_of(7, 128), Flags),
        (7, flags, flags_of(7, 1 << 8), Flags),
        (7, flags, flags_of(7, 1 << 16), Reserved),
        (2, flags, flags_of(2, 4), Flags),
        (5, size, 5001, HardLink),
    ];
    for (entry, field, value, fault) in vnodes {
        let found = forged(&good, Section::Vnodes, vnode(entry, field), value);
        let agrees =
            matches!(found, Err(VerifyError::Entry { fault: found, .. }) if found == fault);
        if !agrees {
            wrong.push(format!(
                "vnode {entry} +{field} = {value}: {found:?}, expected {fault:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn verify_names_the_section_whose_record_is_wrong() {
    let good = sample();
    let exact = exact_sample();
    let mut wrong = Vec::new();
    let (slots, slot_bytes) = section(&good, Section::Slots);
    let used = (0..slot_bytes)
        .step_by(8)
        .find(|at| word(&good, slots + at + 4) != u32::MAX)
        .unwrap();
    let cases = [
        (Section::Roots, 0, 1),
        (Section::Roots, 4, 0),
        (Section::Roots, 4, u32::MAX),
        (
            Section::Roots,
            8,
            word(&good, section(&good, Section::Roots).0),
        ),
        (Section::Sparse, 0, 9),
        (Section::Sparse, 4, 1),
        (Section::Sparse, 8, 4),
        (Section::Sparse, 16, 3),
        (Section::HardLinks, 0, 1),
        (Section::HardLinks, 4, 5),
        (Section::HardLinks, 8, 1),
        (Section::HardLinks, 12, 1),
        (Section::HardLinks, 16, 1),
        (Section::HardLinks, 20, 1),
        (Section::HardLinks, 28, 3),
        (Section::HardLinks, 32, 9),
        (Section::HardLinks, 48, 6),
        (Section::Xattrs, 0, 0),
        (Section::Xattrs, 0, 2),
        (Section::Xattrs, 4, 0),
        (Section::Xattrs, 4, 2),
        (Section::Xattrs, 8, 3),
        (Section::Xattrs, 12, 1),
        (Section::Xattrs, 16, 1),
        (Section::Xattrs, 20, 0),
        (Section::Xattrs, 20, 1),
        (Section::Xattrs, 20, 3),
        (Section::Xattrs, 24, 5),
        (Section::Xattrs, 28, 2),
        (Section::Packages, 0, 3),
        (Section::Packages, 0, 0),
        (Section::Packages, 4, 1),
        (Section::Packages, 8, u32::MAX),
        (Section::Packages, 12, u32::MAX),
        (
            Section::Packages,
            8 + 48,
            word(&good, section(&good, Section::Packages).0 + 8),
        ),
        (Section::Provenance, 0, u32::from_le_bytes(*b"m=v\n")),
        (Section::Provenance, 0, u32::from_le_bytes(*b"=kv\n")),
    ];
    for (which, offset, value) in cases {
        let found = forged(&good, which, offset, value);
        let blamed = match found {
            Err(VerifyError::Record { section, .. }) => section == which,
            Err(VerifyError::Entry { fault, .. }) => {
                let by_entry = [EntryFault::HardLink, EntryFault::Flags];
                matches!(
                    which,
                    Section::HardLinks | Section::Sparse | Section::Xattrs
                ) && by_entry.contains(&fault)
            }
            _ => false,
        };
        if !blamed {
            wrong.push(format!("{which:?} +{offset} = {value}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (offset, value) in [
        (40, 1_000_000_000),
        (44, u32::MAX),
        (48, u32::MAX - 1),
        (60, 1),
    ] {
        let found = forged(&exact, Section::SourceStat, offset, value);
        assert!(matches!(
            found,
            Err(VerifyError::Record {
                section: Section::SourceStat,
                record: 0
            })
        ));
    }
    let swapped = forged(
        &good,
        Section::Slots,
        used + 4,
        word(&good, slots + used + 4) ^ 1,
    );
    assert!(matches!(
        swapped,
        Err(VerifyError::Entry {
            fault: EntryFault::Lookup,
            ..
        })
    ));
    let lost = forged(&good, Section::Slots, used, word(&good, slots + used) ^ 1);
    assert!(matches!(
        lost,
        Err(VerifyError::Entry {
            fault: EntryFault::Lookup,
            ..
        })
    ));
}

#[test]
fn slots_beyond_the_entries_and_padding_are_noticed() {
    let model = Model {
        mounts: vec![b"/".to_vec()],
        ..Model::default()
    };
    // Enough entries that some slot stays empty.
    let mut model = model;
    for number in 0..300 {
        let path = if number == 0 {
            String::new()
        } else {
            format!("d{number}")
        };
        let thing = Thing {
            meta: Meta {
                mode: 0o755,
                ..Meta::default()
            },
            kind: Kind::Directory,
            xattrs: Vec::new(),
            source: source_stat(0),
        };
        model.things.insert((0, path.into_bytes()), thing);
    }
    let good = model.built();
    let (slots, slot_bytes) = section(&good, Section::Slots);
    let mut free = (0..slot_bytes)
        .step_by(8)
        .filter(|at| word(&good, slots + at + 4) == u32::MAX);
    let free = free.next().expect("an empty slot");
    let found = forged(&good, Section::Slots, free + 4, 7);
    assert_eq!(
        found,
        Err(VerifyError::Slots {
            used: 301,
            found: 300
        })
    );
    let found = forged(&good, Section::Slots, free, 7);
    assert!(matches!(
        found,
        Err(VerifyError::Record {
            section: Section::Slots,
            ..
        })
    ));

    let (roots, length) = section(&good, Section::Roots);
    let mut bytes = good.clone();
    assert_ne!((roots + length) % 64, 0, "there is padding here");
    bytes[roots + length] = 1;
    seal(&mut bytes);
    let offset = (roots + length) as u64;
    let found = Manifest::open(&bytes).unwrap().verify();
    assert_eq!(found, Err(VerifyError::Padding { offset }));

    let mut bytes = good;
    set_word(&mut bytes, 32, 1);
    seal(&mut bytes);
    let found = Manifest::open(&bytes).unwrap().verify();
    assert_eq!(
        found,
        Err(VerifyError::Slots {
            used: 300,
            found: 300
        }),
        "all have slots"
    );
}

#[test]
fn a_forged_slot_makes_no_directory_a_root() {
    let mut bytes = sample();
    let hash = Manifest::hash_rel(2, b"x");
    let (start, length) = section(&bytes, Section::Phf);
    let phf = Phf::parse(&bytes[start..start + length]).unwrap();
    let (slots, _) = section(&bytes, Section::Slots);
    let slot = slots + phf.slot(hash) as usize * 8;
    set_word(&mut bytes, slot, (hash >> 32) as u32);
    set_word(&mut bytes, slot + 4, 7);
    seal(&mut bytes);
    let manifest = Manifest::open(&bytes).unwrap();
    assert_eq!(
        (manifest.name(7), manifest.parent(7)),
        (Some(&b"x"[..]), Some(2))
    );
    assert_eq!(manifest.lookup(2, b"x"), None);
}

#[test]
fn digest_and_checksum_are_both_checked() {
    let mut bytes = sample();
    bytes[64] ^= 1;
    seal_header(&mut bytes);
    assert_eq!(
        Manifest::open(&bytes).unwrap().verify(),
        Err(VerifyError::BodyDigest)
    );
    bytes[56] ^= 1;
    seal_header(&mut bytes);
    let found = Manifest::open(&bytes).unwrap().verify();
    assert!(matches!(found, Err(VerifyError::BodyChecksum { .. })));
}

/// Changes to make: where (as a share of the file) and to what.
fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u32)>> {
    let value = prop_oneof![
        Just(0),
        Just(u32::MAX),
        0..20_u32,
        any::<u32>(),
        (0..32_u32).prop_map(|bit| 1 << bit),
    ];
    proptest::collection::vec((any::<prop::sample::Index>(), value), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// What passes `verify` after that is a tree like any other.
    #[test]
    fn forged_words_are_refused_or_harmless(model in model(12), changes in changes()) {
        let mut bytes = model.built();
        for (at, value) in changes {
            let place = at.index((bytes.len() - 512) / 4) * 4 + 512;
            set_word(&mut bytes, place, value);
        }
        seal(&mut bytes);
        ask_everything(&bytes);
        let Ok(manifest) = Manifest::open(&bytes) else {
            return Ok(());
        };
        if manifest.verify().is_ok() {
            let mut path = [0; 4095];
            for index in 0..manifest.entry_count() {
                let length = manifest.rel_path(index, &mut path).unwrap();
                let root = manifest.root_of(index).unwrap();
                prop_assert_eq!(manifest.lookup(root, &path[..length]), Some(index));
                prop_assert!(manifest.stat(index).is_some());
            }
        }
    }

    #[test]
    fn forged_headers_are_refused_or_harmless(
        at in 0..500_usize, value: u32, model in model(6),
    ) {
        let mut bytes = model.built();
        set_word(&mut bytes, at, value);
        seal_header(&mut bytes);
        ask_everything(&bytes);
    }

    #[test]
    fn noise_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(Manifest::open(&noise).is_err());
    }
}
