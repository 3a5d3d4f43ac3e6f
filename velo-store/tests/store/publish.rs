//! Publishing manifests, the current ones, and the check of all that they promise.

use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::mount::{MountFlags, mount_remount};
use velo_core::id::ContentHash;
use velo_core::manifest::Manifest;
use velo_core::stamp::stamp_ns;
use velo_store::{Store, StoreError, restamp_manifest};

use crate::tree::index;
use crate::world::{everywhere, file, in_mount_namespace, mount_tmpfs, noise};

/// A small tree and its manifest; `seed` makes them differ.
fn sample(store: &Store, beside: &Path, seed: u64) -> Vec<u8> {
    let top = beside.join(format!("tree-{seed}"));
    std::fs::create_dir_all(top.join("pkg")).unwrap();
    for number in 0..20 {
        file(
            top.join(format!("pkg/{number}.py")),
            &noise(1000, seed * 100 + number),
        );
    }
    let tool = file(top.join("tool"), b"#!/bin/sh\n");
    std::fs::set_permissions(tool, Permissions::from_mode(0o755)).unwrap();
    index(store, &top, "/app")
}

fn stamp_is_right(path: &Path, bytes: &[u8]) -> bool {
    let digest = *Manifest::open(bytes).unwrap().body_digest();
    std::fs::metadata(path).unwrap().mtime_nsec() as u32 == stamp_ns(&digest)
}

#[test]
fn a_published_manifest_is_whole_stamped_and_kept() {
    everywhere(|store, beside| {
        let bytes = sample(store, beside, 1);
        let destination = beside.join("app.velo");
        let before = std::time::SystemTime::now() - std::time::Duration::from_secs(2);
        let tree = store.publish_manifest(&bytes, &destination).unwrap();
        assert_eq!(tree, ContentHash::of(&bytes));
        let kept = store.manifest_path(&tree);
        assert_eq!(kept.parent().unwrap(), store.root().join("manifests"));
        assert!(kept.to_str().unwrap().ends_with(&format!("/{tree}.velo")));
        for path in [&destination, &kept] {
            assert_eq!(std::fs::read(path).unwrap(), bytes);
            assert!(stamp_is_right(path, &bytes));
            assert!(std::fs::metadata(path).unwrap().modified().unwrap() > before);
        }
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(&kept), 0o444);
        assert_eq!(
            mode(&destination),
            mode(&file(beside.join("ordinary"), b""))
        );

        // The same again changes nothing, another one replaces it.
        let inode = |path: &Path| std::fs::metadata(path).unwrap().ino();
        let inodes = (inode(&destination), inode(&kept));
        assert_eq!(store.publish_manifest(&bytes, &destination).unwrap(), tree);
        assert_eq!((inode(&destination), inode(&kept)), inodes);
        let other = sample(store, beside, 2);
        let other_tree = store.publish_manifest(&other, &destination).unwrap();
        assert_eq!(std::fs::read(&destination).unwrap(), other);
        assert!(kept.exists() && store.manifest_path(&other_tree).exists());
    });
}

#[test]
fn destinations_of_all_kinds() {
    everywhere(|store, beside| {
        let bytes = sample(store, beside, 1);
        let publish = |destination: &Path| store.publish_manifest(&bytes, destination);
        // As long a name as there can be.
        let long = beside.join("n".repeat(255));
        publish(&long).unwrap();
        assert_eq!(std::fs::read(&long).unwrap(), bytes);
        // A link stays a link; the file behind it is replaced.
        let real = file(beside.join("real"), b"old");
        symlink("real", beside.join("link")).unwrap();
        publish(&beside.join("link")).unwrap();
        assert_eq!(std::fs::read(&real).unwrap(), bytes);
        assert!(
            std::fs::symlink_metadata(beside.join("link"))
                .unwrap()
                .is_symlink()
        );
        for (destination, expected) in [
            (beside.join("missing/app.velo"), "no such directory"),
            (beside.to_path_buf(), "found a directory"),
            (PathBuf::from("/dev/null"), "found a device"),
            (real.join("app.velo"), "found a file where the directory"),
            (beside.join("n".repeat(256)), "too long"),
            (PathBuf::from("/"), "found a directory"),
        ] {
            let refused = publish(&destination).unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
            // All but the name's length is known beforehand.
            let early = velo_store::check_destination(&destination);
            let early = early.map_or_else(|error| error.to_string(), |()| "too long".into());
            assert!(early.contains(expected), "{early}");
        }
        velo_store::check_destination(&beside.join("link")).unwrap();
        velo_store::check_destination(Path::new("new-in-the-working-directory.velo")).unwrap();
        let left = std::fs::read_dir(beside).unwrap().filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .as_bytes()
                .starts_with(b".velo-tmp")
        });
        assert_eq!(left.count(), 0);
    });
}

#[test]
fn what_does_not_verify_is_not_published() {
    everywhere(|store, beside| {
        let bytes = sample(store, beside, 1);
        let destination = file(beside.join("app.velo"), b"what was there before");
        let mut cases: Vec<Vec<u8>> = vec![Vec::new(), b"nonsense".to_vec()];
        cases.push(bytes[..bytes.len() - 64].to_vec());
        for at in [9, 100, bytes.len() / 2, bytes.len() - 1] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            cases.push(flipped);
        }
        for case in cases {
            let refused = store.publish_manifest(&case, &destination).unwrap_err();
            assert!(
                matches!(refused, StoreError::ManifestInvalid { .. }),
                "{refused}"
            );
            let said = refused.to_string();
            assert!(said.starts_with(destination.to_str().unwrap()), "{said}");
            assert!(!said.contains('\n'), "{said}");
        }
        assert_eq!(
            std::fs::read(&destination).unwrap(),
            b"what was there before"
        );
        assert_eq!(
            std::fs::read_dir(store.root().join("manifests"))
                .unwrap()
                .count(),
            0
        );
    });
}

#[test]
fn a_manifest_whose_blobs_are_not_there_is_not_published() {
    everywhere(|store, beside| {
        let bytes = sample(store, beside, 1);
        let destination = beside.join("app.velo");
        let script = store.blob_path(&ContentHash::of(b"#!/bin/sh\n"));
        std::fs::set_permissions(&script, Permissions::from_mode(0o444)).unwrap();
        let refused = store
            .publish_manifest(&bytes, &destination)
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("1 blobs are missing or damaged"),
            "{refused}"
        );
        assert!(refused.contains("that of /app/tool: "), "{refused}");
        assert!(
            refused.contains("expected mode 0555, found mode 0444"),
            "{refused}"
        );
        std::fs::remove_file(&script).unwrap();
        let refused = store.publish_manifest(&bytes, &destination).unwrap_err();
        let StoreError::ManifestIncomplete { count, first, .. } = refused else {
            panic!()
        };
        assert!(count == 1 && matches!(*first, StoreError::BlobMissing { .. }));
        assert!(!destination.exists());
        assert_eq!(
            std::fs::read_dir(store.root().join("manifests"))
                .unwrap()
                .count(),
            0
        );
        store.put_bytes(b"#!/bin/sh\n", true).unwrap();
        store.publish_manifest(&bytes, &destination).unwrap();
    });
}

#[test]
fn readers_see_the_old_manifest_or_the_new_one_and_nothing_else() {
    everywhere(|store, beside| {
        let manifests = [sample(store, beside, 1), sample(store, beside, 2)];
        let destination = beside.join("app.velo");
        store.publish_manifest(&manifests[0], &destination).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut seen = [0_u32; 2];
                while !done.load(Ordering::Relaxed) {
                    let found = std::fs::read(&destination).unwrap();
                    let which = manifests.iter().position(|bytes| *bytes == found);
                    seen[which.expect("one of the two, whole")] += 1;
                }
                seen
            });
            for round in 0..200 {
                store
                    .publish_manifest(&manifests[round % 2], &destination)
                    .unwrap();
            }
            done.store(true, Ordering::Relaxed);
            let seen = reader.join().unwrap();
            assert!(seen.iter().sum::<u32>() > 0);
        });
    });
}

#[test]
fn a_full_or_read_only_destination_stays_as_it_was() {
    in_mount_namespace(|place| {
        let store = Store::open_or_create(&place.join("root")).unwrap();
        let bytes = sample(&store, place, 1);
        let disk = place.join("disk");
        mount_tmpfs(&disk, MountFlags::empty(), "size=64k");
        let destination = file(disk.join("app.velo"), b"before");
        let mut filler = noise(4096, 1);
        while std::fs::write(disk.join("filler"), &filler).is_ok() {
            filler.extend_from_within(..4096);
        }
        let refused = store.publish_manifest(&bytes, &destination).unwrap_err();
        assert!(matches!(refused, StoreError::NoSpace { .. }), "{refused}");
        mount_remount(&disk, MountFlags::RDONLY, c"").unwrap();
        let refused = store.publish_manifest(&bytes, &destination).unwrap_err();
        assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused}");
        assert_eq!(std::fs::read(&destination).unwrap(), b"before");
        assert_eq!(std::fs::read_dir(&disk).unwrap().count(), 2);
    });
}

#[test]
fn a_copied_manifest_gets_its_stamp_back_if_it_is_whole() {
    everywhere(|store, beside| {
        let bytes = sample(store, beside, 1);
        let copy = file(beside.join("copy.velo"), &bytes);
        let seconds = std::fs::metadata(&copy).unwrap().mtime();
        assert!(!stamp_is_right(&copy, &bytes));
        assert!(restamp_manifest(&copy).unwrap());
        assert!(stamp_is_right(&copy, &bytes));
        assert_eq!(std::fs::metadata(&copy).unwrap().mtime(), seconds);
        assert!(restamp_manifest(&copy).unwrap());
        let writer = std::fs::File::options().write(true).open(&copy).unwrap();
        writer
            .write_all_at(&[bytes[bytes.len() / 2] ^ 1], bytes.len() as u64 / 2)
            .unwrap();
        let refused = restamp_manifest(&copy).unwrap_err();
        assert!(
            matches!(refused, StoreError::ManifestInvalid { .. }),
            "{refused}"
        );
        assert!(!stamp_is_right(&copy, &bytes));
        assert!(restamp_manifest(&beside.join("none")).is_err());
    });
}

#[test]
fn current_manifests_are_what_was_set_last() {
    everywhere(|store, _| {
        assert_eq!(store.current().unwrap(), Vec::<PathBuf>::new());
        let odd = PathBuf::from(std::ffi::OsStr::from_bytes(b"/odd \xff name"));
        let list = vec![PathBuf::from("/a/b.velo"), odd];
        store.set_current(&list).unwrap();
        assert_eq!(store.current().unwrap(), list);
        assert_eq!(
            std::fs::read(store.root().join("current")).unwrap(),
            b"/a/b.velo:/odd \xff name"
        );
        let mode = std::fs::metadata(store.root().join("current"))
            .unwrap()
            .mode();
        assert_eq!(mode & 0o7777, 0o644);
        for wrong in ["relative", "/with:colon", "/with\nline end"] {
            let refused = store.set_current(&[PathBuf::from(wrong)]).unwrap_err();
            assert!(
                matches!(refused, StoreError::ManifestPath { .. }),
                "{refused}"
            );
        }
        assert_eq!(store.current().unwrap(), list);
        // As an editor leaves it.
        std::fs::write(store.root().join("current"), "/x:/y\n").unwrap();
        assert_eq!(store.current().unwrap(), ["/x", "/y"].map(PathBuf::from));
        store.set_current(&[]).unwrap();
        assert!(store.current().unwrap().is_empty());
        store.set_current(&[]).unwrap();
    });
}

/// Every kind of damage is found, named by the path that suffers, and nothing else is.
#[test]
fn the_check_finds_every_damage_and_nothing_else() {
    everywhere(|store, beside| {
        let bytes = sample(store, beside, 1);
        let manifest = Manifest::open(&bytes).unwrap();
        let report = store.fsck(&manifest, false).unwrap();
        assert_eq!(report.problems.len(), 1, "there is no view yet");
        let view = store.ensure_view(&manifest).unwrap().path.join("0");
        let report = store.fsck(&manifest, true).unwrap();
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        assert_eq!((report.blobs, report.blob_bytes), (21, 20_010));
        assert_eq!((report.hashed_bytes, report.view_entries), (20_010, 3));
        assert_eq!(store.fsck(&manifest, false).unwrap().hashed_bytes, 0);

        let blob = store.blob_path(&ContentHash::of(&noise(1000, 107)));
        let victim = Path::new("/app/pkg/7.py");
        let check = |deep: bool, what: &str, path: &Path, says: &str| {
            let found = store.fsck(&manifest, deep).unwrap().problems;
            let [problem] = found.as_slice() else {
                panic!("{what}: {found:?}")
            };
            assert_eq!(problem.entry_path, path, "{what}");
            assert!(
                problem.error.to_string().contains(says),
                "{what}: {}",
                problem.error
            );
        };
        let repair = || {
            store.put_bytes(&noise(1000, 107), false).unwrap();
            assert!(store.fsck(&manifest, true).unwrap().problems.is_empty());
        };
        let chmod = |path: &Path, mode| {
            std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        };
        chmod(&blob, 0o644);
        check(
            false,
            "mode",
            victim,
            "expected mode 0444 or 0555, found mode 0644",
        );
        repair();
        chmod(&blob, 0o644);
        std::fs::write(&blob, noise(999, 1)).unwrap();
        check(
            false,
            "size",
            victim,
            "expected 1000 bytes, found 999 bytes",
        );
        repair();
        chmod(&blob, 0o644);
        std::fs::write(&blob, noise(1000, 1)).unwrap();
        check(false, "stamp", victim, "expected mtime 0.");
        repair();
        // Content alone: only a deep check can see it.
        let times = std::fs::metadata(&blob).unwrap().modified().unwrap();
        chmod(&blob, 0o644);
        let writer = std::fs::File::options().write(true).open(&blob).unwrap();
        writer.write_all_at(&[noise(1, 107)[0] ^ 1], 0).unwrap();
        writer.set_modified(times).unwrap();
        chmod(&blob, 0o444);
        assert!(store.fsck(&manifest, false).unwrap().problems.is_empty());
        check(true, "content", victim, "expected content");
        std::fs::remove_file(&blob).unwrap();
        check(false, "missing", victim, "is not in the store");
        repair();

        // The view.
        chmod(&view, 0o755);
        file(view.join("stray"), b"");
        check(
            false,
            "stray file",
            Path::new("/app"),
            "a directory with mtime",
        );
        store.rebuild_view(&manifest).unwrap();
        chmod(&view.join("pkg"), 0o755);
        std::fs::rename(view.join("pkg"), view.join("gone")).unwrap_or_else(|_| {
            chmod(&view, 0o755);
            std::fs::rename(view.join("pkg"), view.join("gone")).unwrap();
        });
        let found = store.fsck(&manifest, false).unwrap().problems;
        let paths: Vec<_> = found
            .iter()
            .map(|problem| problem.entry_path.as_path())
            .collect();
        assert_eq!(paths, [Path::new("/app"), Path::new("/app/pkg")]);
        assert!(
            found[1].error.to_string().contains("expected it to exist"),
            "{}",
            found[1].error
        );
        let advice = format!("remove {} (chmod", store.view_path(&manifest).display());
        assert!(
            found[1].error.to_string().contains(&advice),
            "{}",
            found[1].error
        );
        store.rebuild_view(&manifest).unwrap();
        assert!(store.fsck(&manifest, true).unwrap().problems.is_empty());
    });
}
