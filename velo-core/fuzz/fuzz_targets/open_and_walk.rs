//! Any bytes as a manifest: as they are, and with every checksum made right so that
//! the fuzzer gets behind the door. No reader function may panic, run away or
//! contradict itself; what passes `verify` has to be a tree.
#![no_main]

#[path = "../../tests/manifest_support/bytes.rs"]
mod bytes;

use bytes::{ask_everything, seal};
use libfuzzer_sys::fuzz_target;
use velo_core::manifest::{HEADER_BYTES, MAGIC, Manifest, PATH_BYTES_MAX};

fuzz_target!(|data: &[u8]| {
    ask_everything(data);
    let Some(forged) = forged(data) else {
        return;
    };
    ask_everything(&forged);
    if let Ok(manifest) = Manifest::open(&forged)
        && manifest.verify().is_ok()
    {
        walk(&manifest);
    }
});

/// The same bytes with a header that lets them in: magic number, version, byte order,
/// length, checksums, digest.
fn forged(data: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = data.to_vec();
    let length = bytes.len() as u64;
    let header = bytes.get_mut(..HEADER_BYTES)?;
    header[..8].copy_from_slice(&MAGIC);
    header[8..16].copy_from_slice(&[1, 0, 0, 0, 4, 3, 2, 1]);
    header[40..48].copy_from_slice(&length.to_le_bytes());
    seal(&mut bytes);
    Some(bytes)
}

/// A verified tree: each entry stands exactly where its path says.
fn walk(manifest: &Manifest<'_>) {
    let mut path = [0; PATH_BYTES_MAX];
    let mut seen = 0;
    let mut todo: Vec<u32> = (0..manifest.root_count()).collect();
    while let Some(index) = todo.pop() {
        seen += 1;
        let length = manifest.rel_path(index, &mut path).expect("a path");
        let root = manifest.root_of(index).expect("a root");
        assert_eq!(manifest.lookup(root, &path[..length]), Some(index));
        assert_eq!(manifest.stat(index).map(|data| data.ino), manifest.ino(index));
        for child in manifest.children(index) {
            let name = manifest.name(child).expect("a name");
            assert_eq!(manifest.child(index, name), Some(child));
            assert_eq!(manifest.parent(child), Some(index));
            todo.push(child);
        }
    }
    assert_eq!(seen, manifest.entry_count(), "every entry is below a root");
}
