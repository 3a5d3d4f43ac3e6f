//! The manifest says of every entry what the source says.

mod common;

use std::ffi::OsStr;
use std::fs::{File, hard_link};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use common::{Place, entries};
use velo_core::manifest::Manifest;
use velo_core::vnode::flag;
use velo_indexer::BuildOptions;

#[test]
fn every_entry_is_as_in_the_source() {
    let place = Place::with_tree();
    let built = place.build();
    let expected = place.expected();
    assert_eq!(entries(&built.bytes), expected);
    for seen in expected.values() {
        if let Some(hash) = &seen.content {
            assert!(place.store.contains(hash), "{hash}");
        }
    }
    let summary = built.summary;
    assert_eq!(summary.entries, expected.len() as u64);
    assert_eq!((summary.files, summary.symlinks), (6, 2));
    assert_eq!(summary.dirs, 7);
    assert_eq!(
        summary.entries,
        summary.files + summary.symlinks + summary.dirs
    );
    assert_eq!(summary.new_blobs, 5, "one file is a copy of another");
    assert_eq!(summary.dedup_bytes, 5000);
    assert_eq!(summary.hashed_files, 6);
    assert_eq!(summary.warnings, [""; 0]);
}

#[test]
fn default_mount_is_the_canonical_path() {
    let place = Place::with_tree();
    let link = place.directory.path().join("link");
    symlink(&place.source, &link).unwrap();
    let built = velo_indexer::build(&link, &BuildOptions::default(), &place.store, &()).unwrap();
    let manifest = Manifest::open(&built.bytes).unwrap();
    assert_eq!(
        manifest.root(0).unwrap().mount,
        place.source.as_os_str().as_bytes()
    );
    let options = BuildOptions {
        mount: Some("//opt/venv//".into()),
        ..BuildOptions::default()
    };
    let built = place.build_with(&options).unwrap();
    let manifest = Manifest::open(&built.bytes).unwrap();
    assert_eq!(manifest.root(0).unwrap().mount, b"/opt/venv");
}

#[test]
fn an_empty_directory_is_a_tree() {
    let place = Place::new();
    let built = place.build();
    assert_eq!(entries(&built.bytes), place.expected());
    assert_eq!(
        (
            built.summary.entries,
            built.summary.dirs,
            built.summary.files
        ),
        (1, 1, 0)
    );
}

#[test]
fn any_name_that_linux_allows() {
    let place = Place::new();
    let long = [b'\xfe'; 255];
    for name in [&long[..], b"new\nline", b"\xff\xfe", b" ", b"-rf", b"..."] {
        place.write(Path::new(OsStr::from_bytes(name)).join("same"), name);
    }
    let built = place.build();
    assert_eq!(entries(&built.bytes), place.expected());
}

#[test]
fn modes_and_times_are_kept_to_the_last_bit() {
    let place = Place::new();
    for mode in [0o4755, 0o2755, 0o6711, 0o1644, 0o400, 0o777] {
        place.write(format!("{mode:o}"), b"x");
        place.mode(&format!("{mode:o}"), mode);
    }
    std::fs::create_dir(place.path("sticky")).unwrap();
    place.mode("sticky", 0o3777);
    place.write("old", b"");
    let old = File::options().write(true).open(place.path("old")).unwrap();
    old.set_modified(UNIX_EPOCH - Duration::from_nanos(1_500_000_001))
        .unwrap();
    place.write("far", b"");
    let far = File::options().write(true).open(place.path("far")).unwrap();
    far.set_modified(UNIX_EPOCH + Duration::new(5_000_000_000, 123_456_789))
        .unwrap();
    let built = place.build();
    let found = entries(&built.bytes);
    assert_eq!(found, place.expected());
    assert_eq!(found[Path::new("old")].mtime, (-2, 499_999_999));
    assert_eq!(found[Path::new("far")].mtime, (5_000_000_000, 123_456_789));
}

#[test]
fn hard_links_are_one_inode() {
    let place = Place::new();
    place.write("a/first", b"linked content");
    std::fs::create_dir(place.path("b")).unwrap();
    hard_link(place.path("a/first"), place.path("b/second")).unwrap();
    hard_link(place.path("a/first"), place.path("third")).unwrap();
    place.write("same", b"linked content");
    place.write("outside", b"linked elsewhere");
    hard_link(
        place.path("outside"),
        place.directory.path().join("elsewhere"),
    )
    .unwrap();
    let built = place.build();
    assert_eq!(built.summary.hashed_files, 3, "each inode is read once");
    assert_eq!(built.summary.cached_files, 0);
    let manifest = Manifest::open(&built.bytes).unwrap();
    let stat = |path: &str| {
        manifest
            .stat(manifest.lookup(0, path.as_bytes()).unwrap())
            .unwrap()
    };
    let first = stat("a/first");
    assert_eq!(first.nlink, 3);
    assert_eq!(
        (stat("b/second").ino, stat("third").ino),
        (first.ino, first.ino)
    );
    assert_ne!(stat("same").ino, first.ino);
    assert_eq!(
        (stat("same").nlink, stat("outside").nlink),
        (1, 1),
        "links inside the tree count"
    );
    let hash = |path: &str| {
        manifest
            .vnode(manifest.lookup(0, path.as_bytes()).unwrap())
            .unwrap()
            .content_hash
    };
    assert_eq!(
        (hash("b/second"), hash("third")),
        (hash("a/first"), hash("same"))
    );
}

#[test]
fn flags_say_what_the_view_needs() {
    let place = Place::with_tree();
    place.write("plain.sh", b"#!/bin/sh\n");
    let built = place.build();
    let manifest = Manifest::open(&built.bytes).unwrap();
    let flags = |path: &str| {
        manifest
            .vnode(manifest.lookup(0, path.as_bytes()).unwrap())
            .unwrap()
            .flags
    };
    assert_eq!(
        flags("bin/tool") & (flag::EXECUTABLE | flag::IN_VIEW),
        flag::EXECUTABLE | flag::IN_VIEW
    );
    assert_eq!(
        flags("lib/native.so") & (flag::EXECUTABLE | flag::IN_VIEW),
        flag::IN_VIEW
    );
    assert_eq!(flags("app.py") & (flag::EXECUTABLE | flag::IN_VIEW), 0);
    assert_eq!(
        flags("plain.sh") & flag::IN_VIEW,
        0,
        "a script that nobody may execute"
    );
    // The same from the cache, where the content is not looked at.
    common::settle();
    place.build();
    assert_eq!(place.build().bytes, built.bytes);
}

#[test]
fn sparse_files_keep_their_blocks() {
    let place = Place::new();
    let file = File::create(place.path("holes")).unwrap();
    file.set_len(3 << 20).unwrap();
    file.write_all_at(b"in the middle", 1 << 20).unwrap();
    file.sync_all().unwrap();
    place.write("dense", &[1; 100_000]);
    let blocks = place.path("holes").metadata().unwrap().blocks();
    assert!(blocks < 3 << 11, "this file system makes no holes");
    let built = place.build();
    let manifest = Manifest::open(&built.bytes).unwrap();
    let index = |path: &str| manifest.lookup(0, path.as_bytes()).unwrap();
    assert_eq!(manifest.stat(index("holes")).unwrap().blocks, blocks);
    assert_eq!(
        manifest.vnode(index("holes")).unwrap().flags & flag::SPARSE,
        flag::SPARSE
    );
    assert_eq!(manifest.stat(index("dense")).unwrap().blocks, 200);
    assert_eq!(
        manifest.vnode(index("dense")).unwrap().flags & flag::SPARSE,
        0
    );
}

#[test]
fn exact_keeps_what_the_source_reports() {
    let place = Place::with_tree();
    std::fs::create_dir(place.path("a")).unwrap();
    hard_link(
        place.path("app.py"),
        place.directory.path().join("elsewhere"),
    )
    .unwrap();
    // Old atimes, which any reading would move on under relatime.
    for path in ["app.py", "pkg/copy.bin"] {
        let file = File::options().write(true).open(place.path(path)).unwrap();
        file.set_times(std::fs::FileTimes::new().set_accessed(UNIX_EPOCH + Duration::from_secs(7)))
            .unwrap();
    }
    let before = place.path("app.py").metadata().unwrap();
    let options = BuildOptions {
        exact: true,
        ..BuildOptions::default()
    };
    let built = place.build_with(&options).unwrap();
    assert_eq!(
        place.path("app.py").metadata().unwrap().atime(),
        7,
        "indexing reads with O_NOATIME"
    );
    let manifest = Manifest::open(&built.bytes).unwrap();
    let stat = |path: &str| {
        manifest
            .stat(manifest.lookup(0, path.as_bytes()).unwrap())
            .unwrap()
    };
    let app = stat("app.py");
    assert_eq!(
        (app.ino, app.nlink, app.blocks),
        (before.ino(), 2, before.blocks())
    );
    assert_eq!(app.atime.sec, 7);
    assert_eq!(
        (app.ctime.sec, app.ctime.nsec),
        (before.ctime(), before.ctime_nsec() as u32)
    );
    let born = before
        .created()
        .ok()
        .map(|at| at.duration_since(UNIX_EPOCH).unwrap());
    assert_eq!(
        app.btime.map(|at| Duration::new(at.sec as u64, at.nsec)),
        born
    );
    let link = place.path("dangling").symlink_metadata().unwrap();
    assert_eq!(stat("dangling").ino, link.ino());
    let directory = place.path("pkg").metadata().unwrap();
    assert_eq!(
        (stat("pkg").ino, u64::from(stat("pkg").nlink)),
        (directory.ino(), directory.nlink())
    );
}
