//! Paths with one and the same 64-bit hash: they cost time, never a wrong answer.
//!
//! Rapidhash multiplies the first eight bytes of a short string, combined with a
//! constant, by the rest: where that makes zero, the rest no longer matters, whatever
//! the seed. Anybody can put such names into a package, so this is no matter of luck.
#![cfg(feature = "std")]

use velo_core::manifest::phf::Phf;
use velo_core::manifest::write::{Content, ManifestBuilder, Meta};
use velo_core::manifest::{Manifest, feature};

/// The constant, as the bytes of a name.
const COLLIDING: [u8; 8] = 0x8bb8_4b93_962e_acc9_u64.to_le_bytes();

fn colliding(number: u64) -> Vec<u8> {
    let digits = format!("{number:08}");
    [&COLLIDING, digits.as_bytes()].concat()
}

fn meta() -> Meta {
    Meta {
        mode: 0o755,
        ..Meta::default()
    }
}

fn content(number: u64) -> Content {
    Content {
        hash: [number as u8; 32],
        in_view: false,
        blocks: None,
    }
}

#[test]
fn the_names_do_collide() {
    for root in [0, 1, 77] {
        let hashes = [1, 2, 12_345_678].map(|number| Manifest::hash_rel(root, &colliding(number)));
        assert_eq!(hashes, [hashes[0]; 3]);
    }
}

#[test]
fn colliding_names_are_told_apart() {
    let mut tree = ManifestBuilder::new();
    let root = tree.add_root(b"/r", meta()).unwrap();
    for number in (0..100).rev() {
        tree.add_file(root, &colliding(number), meta(), content(number))
            .unwrap();
        let plain = format!("plain{number}");
        let dir = tree.add_dir(root, plain.as_bytes(), meta()).unwrap();
        tree.add_file(dir, b"below", meta(), content(number))
            .unwrap();
    }
    let bytes = tree.build().unwrap();
    let manifest = Manifest::open(&bytes).unwrap();
    assert_eq!(manifest.header().feature_incompat, feature::UNSLOTTED);
    manifest.verify().unwrap();
    let (_, start, length) = manifest.sections().next().unwrap();
    let phf = Phf::parse(&bytes[start as usize..][..length as usize]).unwrap();
    assert_eq!(phf.key_count(), 202, "all but 99 of the colliding names");
    for number in 0..100 {
        let found = manifest.lookup(0, &colliding(number)).unwrap();
        assert_eq!(
            { manifest.vnode(found).unwrap().content_hash },
            [number as u8; 32]
        );
        let plain = format!("plain{number}/below");
        assert!(manifest.lookup(0, plain.as_bytes()).is_some());
    }
    assert_eq!(manifest.lookup(0, &colliding(100)), None);
    for absent in [
        "plain1/",
        "/plain1",
        "plain1//below",
        "plain1/below/x",
        "plain1/.",
        "nothing",
    ] {
        assert_eq!(manifest.lookup(0, absent.as_bytes()), None, "{absent}");
    }
    assert_eq!(manifest.lookup(0, b""), Some(0));
    assert_eq!(manifest.lookup(1, b""), None);
}

#[test]
fn colliding_directories_hold_their_own() {
    let mut tree = ManifestBuilder::new();
    let root = tree.add_root(b"/r", meta()).unwrap();
    for number in 0..3 {
        let dir = tree.add_dir(root, &colliding(number), meta()).unwrap();
        tree.add_file(dir, b"f", meta(), content(number)).unwrap();
    }
    let bytes = tree.build().unwrap();
    let manifest = Manifest::open(&bytes).unwrap();
    manifest.verify().unwrap();
    for number in 0..3 {
        let path = [&colliding(number)[..], b"/f"].concat();
        let found = manifest.lookup(0, &path).unwrap();
        assert_eq!(
            { manifest.vnode(found).unwrap().content_hash },
            [number as u8; 32]
        );
    }
}

/// Longer names, equal at both ends; the constant is the one for names of over 16 bytes.
fn colliding_in_the_middle(number: u64) -> Vec<u8> {
    let start = 0x4b33_a62e_d433_d4a3_u64.to_le_bytes();
    [
        &start,
        format!("{number:08}").as_bytes(),
        b"one and same end",
    ]
    .concat()
}

#[test]
fn names_that_differ_in_the_middle_only_are_told_apart() {
    let hash = |number| Manifest::hash_rel(0, &colliding_in_the_middle(number));
    assert_eq!(hash(1), hash(2));
    let mut tree = ManifestBuilder::new();
    let root = tree.add_root(b"/r", meta()).unwrap();
    let name = colliding_in_the_middle(1);
    tree.add_file(root, &name, meta(), content(1)).unwrap();
    let bytes = tree.build().unwrap();
    let manifest = Manifest::open(&bytes).unwrap();
    assert_eq!(manifest.lookup(0, &name), Some(1));
    assert_eq!(manifest.lookup(0, &colliding_in_the_middle(2)), None);
}

#[test]
fn a_miss_that_collides_is_a_miss() {
    let mut tree = ManifestBuilder::new();
    let root = tree.add_root(b"/r", meta()).unwrap();
    tree.add_file(root, &colliding(1), meta(), content(1))
        .unwrap();
    let bytes = tree.build().unwrap();
    let manifest = Manifest::open(&bytes).unwrap();
    assert_eq!(manifest.header().feature_incompat, 0);
    assert_eq!(manifest.lookup(0, &colliding(1)), Some(1));
    assert_eq!(manifest.lookup(0, &colliding(2)), None);
}
