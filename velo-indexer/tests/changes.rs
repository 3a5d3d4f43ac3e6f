//! What changed since the last build is seen, whatever somebody does to hide it; what
//! did not is not read again.

mod common;

use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use common::{Place, entries, restore_mtime, settle};
use velo_indexer::Built;

/// Builds, lets `change` happen, builds again: the second manifest must be right.
/// Returns both.
fn built_around(place: &Place, change: impl FnOnce(&Place)) -> (Built, Built) {
    let first = place.build();
    change(place);
    let second = place.build();
    assert_eq!(entries(&second.bytes), place.expected());
    (first, second)
}

#[test]
fn nothing_changed_nothing_read() {
    let place = Place::with_tree();
    let (first, second) = built_around(&place, |_| {});
    assert_eq!(second.bytes, first.bytes);
    assert_eq!(
        (second.summary.hashed_files, second.summary.cached_files),
        (0, 6)
    );
    assert_eq!(second.summary.hashed_bytes, 0);
}

#[test]
fn same_size_and_restored_mtime() {
    let place = Place::with_tree();
    let (first, second) = built_around(&place, |place| {
        let path = place.path("app.py");
        let before = path.metadata().unwrap();
        std::fs::write(&path, b"print('HELLO')\n").unwrap();
        restore_mtime(&path, &before);
        let after = path.metadata().unwrap();
        assert_eq!(
            (after.len(), after.mtime_nsec(), after.ino()),
            (before.len(), before.mtime_nsec(), before.ino())
        );
    });
    assert_ne!(second.bytes, first.bytes);
    assert_eq!(second.summary.hashed_files, 1);
}

#[test]
fn replaced_by_another_inode_with_the_same_times() {
    let place = Place::with_tree();
    let (_, second) = built_around(&place, |place| {
        let (path, new) = (place.path("app.py"), place.path("new"));
        std::fs::write(&new, b"print('other')\n").unwrap();
        restore_mtime(&new, &path.metadata().unwrap());
        std::fs::rename(&new, &path).unwrap();
    });
    assert_eq!(second.summary.hashed_files, 1);
}

/// The file is written right before the build and right after it, with nothing in the
/// metadata to tell: a cache that trusted it would keep the old content for ever.
#[test]
fn racy_edits_are_seen() {
    for round in 0..20 {
        let place = Place::with_tree();
        let path = place.path("app.py");
        std::fs::write(&path, format!("first {round:04}")).unwrap();
        let (_, second) = built_around(&place, |_| {
            std::fs::write(&path, format!("other {round:04}")).unwrap();
        });
        let found = entries(&second.bytes);
        let wanted = velo_core::id::ContentHash::of(format!("other {round:04}").as_bytes());
        assert_eq!(found[Path::new("app.py")].content, Some(wanted));
    }
}

#[test]
fn what_was_racy_is_trusted_after_a_quiet_build() {
    let place = Place::new();
    place.write("fresh", b"just now");
    place.build();
    settle();
    assert_eq!(
        place.build().summary.hashed_files,
        1,
        "read again, for it was racy"
    );
    assert_eq!(place.build().summary.hashed_files, 0);
}

#[test]
fn files_come_and_go_and_change_their_kind() {
    let place = Place::with_tree();
    let (_, second) = built_around(&place, |place| {
        std::fs::remove_file(place.path("app.py")).unwrap();
        std::fs::create_dir(place.path("app.py")).unwrap();
        place.write("app.py/inner", b"inner");
        std::fs::remove_dir_all(place.path("pkg")).unwrap();
        symlink("lib", place.path("pkg")).unwrap();
        std::fs::remove_file(place.path("dangling")).unwrap();
        place.write("dangling", b"a file now");
        place.write("0-first", b"sorts before all others");
        place.write("zz-last", b"sorts after all others");
    });
    assert_eq!(second.summary.hashed_files, 4);
    assert_eq!(second.summary.cached_files, 2);
}

#[test]
fn mode_and_link_changes_are_seen() {
    let place = Place::with_tree();
    built_around(&place, |place| {
        place.mode("app.py", 0o755);
        place.mode("pkg", 0o700);
        std::fs::remove_file(place.path("bin/app")).unwrap();
        symlink("../nil.py", place.path("bin/app")).unwrap();
    });
}

#[test]
fn a_renamed_directory_is_read_again_and_right() {
    let place = Place::with_tree();
    let (_, second) = built_around(&place, |place| {
        std::fs::rename(place.path("pkg"), place.path("moved")).unwrap();
    });
    assert_eq!(second.summary.new_blobs, 0);
}

#[test]
fn swapped_files_are_seen() {
    let place = Place::new();
    place.write("a", b"content a");
    place.write("b", b"content b");
    settle();
    built_around(&place, |place| {
        std::fs::rename(place.path("a"), place.path("c")).unwrap();
        std::fs::rename(place.path("b"), place.path("a")).unwrap();
        std::fs::rename(place.path("c"), place.path("b")).unwrap();
    });
}

#[test]
fn a_blob_that_is_gone_is_put_back() {
    let place = Place::with_tree();
    let (first, second) = built_around(&place, |place| {
        let hash = velo_core::id::ContentHash::of(&[7; 5000]);
        std::fs::remove_file(place.store.blob_path(&hash)).unwrap();
        assert!(!place.store.contains(&hash));
    });
    assert_eq!(second.bytes, first.bytes);
    assert_eq!(
        (second.summary.hashed_files, second.summary.new_blobs),
        (2, 1)
    );
}

#[test]
fn a_damaged_blob_is_put_right() {
    let place = Place::with_tree();
    let hash = velo_core::id::ContentHash::of(b"print('hello')\n");
    built_around(&place, |place| {
        std::fs::remove_file(place.store.blob_path(&hash)).unwrap();
        std::fs::write(place.store.blob_path(&hash), b"something else\n").unwrap();
    });
    assert_eq!(
        place.store.read_verified(&hash).unwrap(),
        b"print('hello')\n"
    );
}

/// Two trees have the same bytes, one of them as a program. When the blob comes back as
/// the other's plain file, the program's tree makes it executable again.
#[test]
fn a_blob_that_is_no_longer_executable_is_put_right() {
    let place = Place::with_tree();
    let path = place
        .store
        .blob_path(&velo_core::id::ContentHash::of(b"#!/bin/sh\necho tool\n"));
    let mode = || path.metadata().unwrap().mode() & 0o7777;
    built_around(&place, |_| {
        assert_eq!(mode(), 0o555);
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o444))
            .unwrap();
    });
    assert_eq!(mode(), 0o555);
}

/// Every way to damage the cache file: it is ignored, and the manifest is right.
#[test]
fn a_damaged_cache_is_ignored() {
    let place = Place::with_tree();
    let first = place.build();
    let index = place.store.index_directory();
    let cache = index.read_dir().unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read(&cache).unwrap();
    let mut damaged: Vec<Vec<u8>> = vec![Vec::new(), b"garbage".to_vec(), vec![0; good.len()]];
    damaged.extend([1, 8, 100, 192, 300, good.len() - 1].map(|length| good[..length].to_vec()));
    damaged.push([&good[..], b"more"].concat());
    for position in (0..good.len()).step_by(7) {
        let mut flipped = good.clone();
        flipped[position] ^= 0x10;
        damaged.push(flipped);
    }
    for bytes in damaged {
        std::fs::write(&cache, &bytes).unwrap();
        let built = place.build();
        assert_eq!(built.bytes, first.bytes);
        assert_eq!(
            built.summary.hashed_files,
            6,
            "a cache of {} bytes was believed",
            bytes.len()
        );
    }
    std::fs::write(&cache, &good).unwrap();
    assert_eq!(
        place.build().summary.hashed_files,
        0,
        "the whole one is believed"
    );
}

#[test]
fn a_cache_that_is_no_plain_file_is_ignored() {
    let place = Place::with_tree();
    let first = place.build();
    let cache = place
        .store
        .index_directory()
        .read_dir()
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let aside = place.directory.path().join("aside");
    std::fs::rename(&cache, &aside).unwrap();
    symlink(&aside, &cache).unwrap();
    let built = place.build();
    assert_eq!(
        (built.bytes, built.summary.hashed_files),
        (first.bytes.clone(), 6)
    );
    std::fs::remove_file(&cache).unwrap();
    std::fs::create_dir(&cache).unwrap();
    let built = place.build();
    assert_eq!((built.bytes, built.summary.hashed_files), (first.bytes, 6));
    assert!(
        built.summary.warnings[0].contains("the stat cache cannot be written"),
        "{:?}",
        built.summary.warnings
    );
}

#[test]
fn trees_do_not_share_a_cache() {
    let place = Place::with_tree();
    place.build();
    let other = place.directory.path().join("other");
    std::fs::rename(&place.source, &other).unwrap();
    let built = velo_indexer::build(&other, &Default::default(), &place.store, &()).unwrap();
    assert_eq!(built.summary.cached_files, 0);
    assert_eq!(place.store.index_directory().read_dir().unwrap().count(), 2);
}
