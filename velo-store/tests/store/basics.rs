//! What a blob is: its name, mode, stamp and content; dedupe; large and sparse files.

use std::fs::Permissions;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

use velo_core::id::ContentHash;
use velo_core::stamp::stamp_ns;
use velo_store::{Put, Store};

use crate::world::{Fault, everywhere, file, files_below, in_memory, noise, open, with_faults};

fn put(store: &Store, path: &Path, want_exec: bool) -> Put {
    let size = std::fs::metadata(path).unwrap().len();
    store
        .put(&open(path), size, want_exec, &mut Vec::new())
        .unwrap()
}

/// Everything that must hold of every blob.
fn check_blob(store: &Store, hash: &ContentHash, mode: u32) {
    let path = store.blob_path(hash);
    let found = std::fs::symlink_metadata(&path).unwrap();
    assert_eq!(found.mode(), 0o100_000 | mode, "{}", path.display());
    assert_eq!(
        (found.mtime(), found.mtime_nsec() as u32),
        (0, stamp_ns(hash.as_bytes()))
    );
    assert_eq!(found.nlink(), 1);
    assert!(store.contains(hash));
    assert_eq!(store.verify_blob(hash).unwrap(), found.len());
}

#[test]
fn a_blob_is_named_by_its_content_and_read_only() {
    everywhere(|store, beside| {
        for (count, length) in [
            0,
            1,
            4096,
            100_000,
            (4 << 20) - 1,
            4 << 20,
            (4 << 20) + 1,
            9 << 20,
        ]
        .into_iter()
        .enumerate()
        {
            let content = noise(length, count as u64);
            let source = file(beside.join("source"), &content);
            let first = put(store, &source, false);
            assert_eq!(first.hash, ContentHash::of(&content));
            assert_eq!(
                (first.size, first.new, first.repaired),
                (length as u64, true, false)
            );
            assert_eq!(first.source.unwrap().size, length as u64);
            check_blob(store, &first.hash, 0o444);
            assert_eq!(store.read_verified(&first.hash).unwrap(), content);

            let again = put(store, &source, false);
            assert_eq!(
                (again.hash, again.new, again.repaired),
                (first.hash, false, false)
            );
            let bytes = store.put_bytes(&content, false).unwrap();
            assert_eq!(
                (bytes.hash, bytes.new, bytes.source),
                (first.hash, false, None)
            );
            assert_eq!(
                files_below(&store.root().join("cas_store")).len(),
                count + 1
            );
        }
        let directory = store.blob_path(&ContentHash::of(b""));
        let mode = std::fs::metadata(directory.parent().unwrap())
            .unwrap()
            .mode();
        assert_eq!(mode & 0o7777, 0o711);
    });
}

#[test]
fn executable_if_any_use_wants_it_and_never_less_afterwards() {
    everywhere(|store, beside| {
        for length in [10, 5 << 20] {
            let source = file(beside.join("source"), &noise(length, 3));
            let hash = put(store, &source, false).hash;
            check_blob(store, &hash, 0o444);
            assert!(!put(store, &source, true).new);
            check_blob(store, &hash, 0o555);
            put(store, &source, false);
            check_blob(store, &hash, 0o555);
        }
    });
}

#[test]
fn setuid_setgid_and_sticky_bits_stay_behind() {
    everywhere(|store, beside| {
        for length in [10, 5 << 20] {
            let source = file(beside.join("source"), &noise(length, 4));
            std::fs::set_permissions(&source, Permissions::from_mode(0o7755)).unwrap();
            assert_eq!(std::fs::metadata(&source).unwrap().mode() & 0o6000, 0o6000);
            check_blob(store, &put(store, &source, true).hash, 0o555);
        }
    });
}

#[test]
fn kinds_are_told_from_the_first_bytes() {
    everywhere(|store, beside| {
        let kind = |content: &[u8]| {
            let put = put(store, &file(beside.join("source"), content), false);
            (put.elf, put.shebang)
        };
        assert_eq!(kind(b"\x7fELF..."), (true, false));
        assert_eq!(kind(b"\x7fEL"), (false, false));
        assert_eq!(kind(b"#!/bin/sh\n"), (false, true));
        assert_eq!(kind(b"#!"), (false, true));
        assert_eq!(kind(b""), (false, false));
        assert_eq!(
            kind(&[b"\x7fELF".as_slice(), &noise(5 << 20, 5)].concat()),
            (true, false)
        );
    });
}

#[test]
fn hard_links_and_equal_files_share_one_blob() {
    everywhere(|store, beside| {
        let source = file(beside.join("a"), b"the same");
        std::fs::hard_link(&source, beside.join("b")).unwrap();
        let other = file(beside.join("c"), b"the same");
        let hashes = [source, beside.join("b"), other].map(|path| put(store, &path, false).hash);
        assert!(hashes.iter().all(|hash| *hash == hashes[0]));
        assert_eq!(files_below(&store.root().join("cas_store")).len(), 1);
    });
}

#[test]
fn source_is_read_from_its_start_whatever_was_read_of_it() {
    everywhere(|store, beside| {
        use std::io::{Seek, SeekFrom};
        let path = file(beside.join("source"), b"0123456789");
        let mut source = open(&path);
        source.seek(SeekFrom::Start(5)).unwrap();
        // A wrong hint costs nothing but time.
        for hint in [0, 3, 10, u64::MAX] {
            let put = store.put(&source, hint, false, &mut Vec::new()).unwrap();
            assert_eq!(put.hash, ContentHash::of(b"0123456789"));
        }
    });
}

/// Longer than 4 GiB, nearly all of it holes: right hash, right size, still holes.
#[test]
fn sparse_file_over_4_gib_keeps_its_holes() {
    const LENGTH: u64 = (4 << 30) + 12_345_678;
    let place = in_memory();
    let store = Store::open_or_create(&place.path().join("root")).unwrap();
    let path = place.path().join("source");
    let source = std::fs::File::create(&path).unwrap();
    source.set_len(LENGTH).unwrap();
    for offset in [1, 77_777_777, 4 << 30, LENGTH - 1] {
        source.write_all_at(b"x", offset).unwrap();
    }
    let put = put(&store, &path, false);
    assert_eq!((put.size, put.new), (LENGTH, true));
    let found = std::fs::metadata(store.blob_path(&put.hash)).unwrap();
    assert_eq!(found.len(), LENGTH);
    assert!(
        found.blocks() <= put.source.unwrap().blocks,
        "{} blocks",
        found.blocks()
    );
    // verify_blob hashes every byte of the copy, holes as zeros.
    assert_eq!(store.verify_blob(&put.hash).unwrap(), LENGTH);
}

/// Data and holes of every alignment, against the plain hash of the bytes.
#[test]
fn sparse_files_of_all_shapes_come_out_the_same() {
    everywhere(|store, beside| {
        let path = beside.join("source");
        for shape in 0..24_u64 {
            let length = (5 << 20) + shape * 1237;
            let source = std::fs::File::create(&path).unwrap();
            source.set_len(length).unwrap();
            let mut at = shape * 4096 * (shape % 3);
            while at < length {
                let run = noise(1 + (at as usize * 7 + shape as usize * 311) % 20_000, at);
                let run = &run[..run.len().min((length - at) as usize)];
                source.write_all_at(run, at).unwrap();
                at += 300_000 + shape * 1111;
            }
            let content = std::fs::read(&path).unwrap();
            let put = put(store, &path, false);
            assert_eq!(put.hash, ContentHash::of(&content), "shape {shape}");
            let blob = store.blob_path(&put.hash);
            assert_eq!(std::fs::read(&blob).unwrap(), content, "shape {shape}");
            let blocks = std::fs::metadata(&blob).unwrap().blocks();
            assert!(blocks < length / 512 / 2, "shape {shape}: {blocks} blocks");
        }
    });
}

#[test]
fn builders_of_the_same_content_at_the_same_time_agree() {
    everywhere(|store, beside| {
        let sources: Vec<_> = (0..40_usize)
            .map(|n| file(beside.join(n.to_string()), &noise(n * 500, n as u64)))
            .chain([file(beside.join("large"), &noise(6 << 20, 99))])
            .collect();
        // Each opens the store itself, as separate processes would.
        let news = std::thread::scope(|scope| {
            let build = |number: usize| {
                let sources = &sources;
                scope.spawn(move || {
                    let store = Store::open_or_create(store.root()).unwrap();
                    let puts = sources.iter().map(|path| put(&store, path, number == 3));
                    puts.filter(|put| put.new).count()
                })
            };
            let running: Vec<_> = (0..8).map(build).collect();
            running
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum::<usize>()
        });
        assert_eq!(
            news,
            sources.len(),
            "every blob is new for exactly one of them"
        );
        assert_eq!(
            files_below(&store.root().join("cas_store")).len(),
            sources.len()
        );
        for path in &sources {
            check_blob(
                store,
                &ContentHash::of(&std::fs::read(path).unwrap()),
                0o555,
            );
        }
    });
}

/// Every way a file can get its name gives the same store.
#[test]
fn works_without_tmpfile_and_without_linking_descriptors() {
    let no_empty_path = Fault {
        call: libc::SYS_linkat,
        when: Some((4, libc::AT_EMPTY_PATH as u32, libc::AT_EMPTY_PATH as u32)),
        errno: libc::ENOENT,
    };
    let no_follow = Fault {
        call: libc::SYS_linkat,
        when: Some((
            4,
            libc::AT_SYMLINK_FOLLOW as u32,
            libc::AT_SYMLINK_FOLLOW as u32,
        )),
        errno: libc::ENOENT,
    };
    let worlds = [
        vec![no_empty_path],
        vec![no_follow, Fault::no_tmpfile()],
        vec![Fault::no_tmpfile()],
        vec![
            Fault::no_tmpfile(),
            Fault::always(libc::SYS_linkat, libc::EPERM),
        ],
        vec![
            Fault::always(libc::SYS_linkat, libc::EPERM),
            Fault::always(libc::SYS_renameat2, libc::EINVAL),
        ],
    ];
    for faults in worlds {
        with_faults(&faults, || {
            everywhere(|store, beside| {
                for length in [0, 10, 5 << 20] {
                    let source = file(beside.join("source"), &noise(length, 8));
                    assert!(put(store, &source, false).new);
                    assert!(!put(store, &source, true).new);
                    let hash = ContentHash::of(&std::fs::read(&source).unwrap());
                    check_blob(store, &hash, 0o555);
                    // Damage is put right this way, too.
                    std::fs::remove_file(store.blob_path(&hash)).unwrap();
                    std::fs::write(store.blob_path(&hash), b"damage").unwrap();
                    assert!(put(store, &source, false).repaired);
                    check_blob(store, &hash, 0o444);
                }
                assert_eq!(files_below(&store.root().join("cas_store")).len(), 3);
            });
        });
    }
}
