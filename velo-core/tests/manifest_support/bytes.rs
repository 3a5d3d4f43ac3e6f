//! Manifests as bytes to be damaged: where sections are, and how to make the
//! checksums right again afterwards.
#![allow(
    dead_code,
    reason = "the fuzz target that includes this module uses a part of it"
)]

use velo_core::manifest::{Finding, HEADER_BYTES, Manifest, Section};

const BODY_CHECKSUM: usize = 56;
const BODY_DIGEST: usize = 64;
const SECTIONS: usize = 96;
const HEADER_CHECKSUM: usize = 504;

pub fn word(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap())
}

pub fn set_word(bytes: &mut [u8], offset: usize, value: u32) {
    bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}

/// Where a section starts, and its length.
pub fn section(bytes: &[u8], section: Section) -> (usize, usize) {
    let manifest = Manifest::open(bytes).unwrap();
    let found = manifest
        .sections()
        .find(|(kind, ..)| *kind == section.kind());
    let (_, offset, length) = found.unwrap();
    (offset as usize, length as usize)
}

/// Where a section's place in the table is.
pub fn place_in_table(bytes: &[u8], section: Section) -> usize {
    let places = (SECTIONS..HEADER_CHECKSUM).step_by(24);
    let mut found = places.filter(|place| word(bytes, *place) == section.kind());
    found.next().unwrap()
}

/// Makes both checksums and the digest those of what the file holds now.
pub fn seal(bytes: &mut [u8]) {
    if bytes.len() < HEADER_BYTES {
        return;
    }
    let body = &bytes[HEADER_BYTES..];
    let checksum = rapidhash::v3::rapidhash_v3(body).to_le_bytes();
    let digest = *blake3::hash(body).as_bytes();
    bytes[BODY_CHECKSUM..BODY_DIGEST].copy_from_slice(&checksum);
    bytes[BODY_DIGEST..SECTIONS].copy_from_slice(&digest);
    seal_header(bytes);
}

/// Makes the header's checksum right.
pub fn seal_header(bytes: &mut [u8]) {
    let checksum = rapidhash::v3::rapidhash_v3(&bytes[..HEADER_CHECKSUM]);
    bytes[HEADER_CHECKSUM..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
}

/// Asks everything that can be asked, and does not care for the answers.
pub fn ask_everything(bytes: &[u8]) {
    let Ok(manifest) = Manifest::open(bytes) else {
        return;
    };
    let mut path = [0; 4095];
    let count = manifest.entry_count();
    for index in (0..count).chain([count, u32::MAX]) {
        let _ = (manifest.vnode(index), manifest.name(index));
        assert!(manifest.parent(index).is_none_or(|parent| parent < index));
        let _ = (
            manifest.stat(index),
            manifest.ino(index),
            manifest.source_stat(index),
        );
        let _ = (
            manifest.symlink_target(index),
            manifest.xattrs(index).count(),
        );
        let _ = (
            manifest.hard_links(index).count(),
            manifest.xattr(index, b"user.a"),
        );
        let root = manifest.root_of(index);
        assert!(root.is_none_or(|root| root < manifest.root_count()));
        if let Some(length) = manifest.rel_path(index, &mut path) {
            let _ = manifest.lookup(root.unwrap_or(0), &path[..length]);
            let _ = manifest.lookup(u32::MAX, &path[..length]);
        }
        let children = manifest.children(index);
        assert!(children.is_empty() || children.start > index && children.end <= count);
        for child in children.clone().take(3) {
            let found = manifest
                .name(child)
                .and_then(|name| manifest.child(index, name));
            assert!(found.is_none_or(|found| children.contains(&found)));
            assert!(found.is_none_or(|found| manifest.parent(found) == Some(index)));
        }
        let _ = manifest.child(index, b"");
        for name in [b"a".as_slice(), b"__init__", b"", b"x.y", &[b'n'; 300]] {
            let suffixes = [b".x.so".as_slice(), b".so"];
            let found = manifest.find_module(index, name, suffixes.into_iter());
            if let Finding::Module { file, .. } = found {
                let _ = (
                    manifest.bytecode_of(file, b"t"),
                    manifest.bytecode_of(file, &[b't'; 300]),
                );
            }
        }
    }
    for number in 0..manifest.root_count().min(10) {
        let _ = manifest.root(number);
        let _ = (
            manifest.lookup(number, b""),
            manifest.lookup(number, b"a/b/c"),
        );
    }
    let _ = manifest.root(u32::MAX);
    let _ = (manifest.packages().count(), manifest.provenance().count());
    let _ = (
        manifest.header(),
        manifest.dev_minor(),
        manifest.checksum_matches(),
    );
    let _ = manifest.verify().map_err(|error| error.to_string());
}
