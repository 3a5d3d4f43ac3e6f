//! Blobs that are not what their names say: found, repaired if the content is at hand,
//! named if not.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use velo_core::id::ContentHash;
use velo_store::{Store, StoreError};

use crate::world::{everywhere, file, noise, open};

/// Ways to damage a blob, and what the error says was found.
type Damage = (&'static str, fn(&Path), &'static str);

fn damages() -> Vec<Damage> {
    vec![
        (
            "truncated",
            |path| writable(path).set_len(3).unwrap(),
            "3 bytes",
        ),
        (
            "grown",
            |path| writable(path).set_len(1 << 23).unwrap(),
            "8388608 bytes",
        ),
        ("one bit flipped", flip, "content"),
        (
            "one bit flipped and the stamp restored",
            flip_quietly,
            "content",
        ),
        (
            "replaced by a symbolic link",
            |path| {
                std::fs::remove_file(path).unwrap();
                std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
            },
            "something else",
        ),
    ]
}

fn writable(path: &Path) -> std::fs::File {
    std::fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    std::fs::File::options().write(true).open(path).unwrap()
}

fn flip(path: &Path) {
    use std::os::unix::fs::FileExt;
    let byte = std::fs::read(path).unwrap()[0] ^ 0x10;
    writable(path).write_all_at(&[byte], 0).unwrap();
}

fn flip_quietly(path: &Path) {
    let before = std::fs::metadata(path).unwrap().modified().unwrap();
    flip(path);
    writable(path).set_modified(before).unwrap();
}

fn is_whole(store: &Store, hash: &ContentHash) {
    assert!(store.contains(hash));
    store.verify_blob(hash).unwrap();
    let mode = std::fs::metadata(store.blob_path(hash)).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o444);
}

#[test]
fn reading_names_the_damaged_blob_and_the_way_out() {
    everywhere(|store, beside| {
        for (what, damage, found) in damages() {
            for length in [100, 5 << 20] {
                let source = file(beside.join("source"), &noise(length, 1));
                let hash = store
                    .put(&open(&source), 0, false, &mut Vec::new())
                    .unwrap()
                    .hash;
                let path = store.blob_path(&hash);
                damage(&path);
                for refused in [
                    store.read_verified(&hash).unwrap_err(),
                    store.verify_blob(&hash).unwrap_err(),
                ] {
                    let said = refused.to_string();
                    assert!(
                        matches!(refused, StoreError::BlobDamaged { .. }),
                        "{what}: {said}"
                    );
                    assert!(
                        said.starts_with(&format!("blob:{hash} is damaged")),
                        "{said}"
                    );
                    assert!(said.contains(found), "{what}: {said}");
                    assert!(said.contains("velo-ctl build-manifest"), "{said}");
                }
                std::fs::remove_file(path).unwrap();
                let refused = store.read_verified(&hash).unwrap_err();
                assert!(
                    matches!(refused, StoreError::BlobMissing { .. }),
                    "{refused}"
                );
                assert!(refused.to_string().contains(&hash.to_string()), "{refused}");
            }
        }
    });
}

/// A change that keeps size and stamp cannot be seen without reading; all others are
/// repaired by the next put of the same content.
#[test]
fn putting_the_content_again_repairs_the_blob() {
    everywhere(|store, beside| {
        for (what, damage, _) in damages() {
            if what.ends_with("stamp restored") {
                continue;
            }
            for length in [100, 5 << 20] {
                let source = file(beside.join("source"), &noise(length, 2));
                let hash = store
                    .put(&open(&source), 0, false, &mut Vec::new())
                    .unwrap()
                    .hash;
                damage(&store.blob_path(&hash));
                assert!(
                    !store.contains(&hash) || what == "truncated" && length == 3,
                    "{what}"
                );
                let put = store
                    .put(&open(&source), 0, false, &mut Vec::new())
                    .unwrap();
                assert_eq!(
                    (put.hash, put.new, put.repaired),
                    (hash, false, true),
                    "{what}"
                );
                is_whole(store, &hash);
                let again = store
                    .put(&open(&source), 0, false, &mut Vec::new())
                    .unwrap();
                assert!(!again.new && !again.repaired, "{what}");
            }
        }
    });
}

/// Touched, or copied without its times: the content is right, so the same file stays
/// (view trees link to it) and gets its stamp back.
#[test]
fn a_lost_stamp_is_put_back_on_the_same_inode() {
    everywhere(|store, _| {
        let hash = store.put_bytes(b"content", false).unwrap().hash;
        let path = store.blob_path(&hash);
        let inode = std::fs::metadata(&path).unwrap().ino();
        writable(&path)
            .set_modified(std::time::SystemTime::now())
            .unwrap();
        assert!(!store.contains(&hash));
        let refused = store.open_blob(&hash).unwrap_err();
        assert!(
            refused.to_string().contains("expected mtime 0."),
            "{refused}"
        );
        assert!(store.put_bytes(b"content", false).unwrap().repaired);
        is_whole(store, &hash);
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode);
    });
}

#[test]
fn restamping_needs_the_right_content() {
    everywhere(|store, _| {
        let hash = store.put_bytes(b"content", false).unwrap().hash;
        flip(&store.blob_path(&hash));
        assert!(!store.restamp_blob(&hash, false).unwrap());
        assert!(!store.contains(&hash));
        flip(&store.blob_path(&hash));
        assert!(store.restamp_blob(&hash, false).unwrap());
        is_whole(store, &hash);
        assert!(
            !store
                .restamp_blob(&ContentHash::of(b"never stored"), false)
                .unwrap()
        );
    });
}
