//! View trees: what is in them, where they are, who may use them, what happens when
//! building one does not work.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, mount_remount};
use velo_core::id::ContentHash;
use velo_core::manifest::Manifest;
use velo_core::stamp::stamp_ns;
use velo_core::vnode::flag;
use velo_store::{Store, StoreError};

use crate::tree::{index, index_all};
use crate::world::{
    Fault, as_ordinary_user, everywhere, file, files_below, in_memory, in_mount_namespace,
    mount_ext4, mount_tmpfs, noise, on_disk, skip, with_faults,
};

const SCRIPT: &[u8] = b"#!/bin/sh\necho \"$0\"\n";

fn executable(path: PathBuf, content: &[u8]) -> PathBuf {
    let path = file(path, content);
    std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path
}

/// A tree with one of each kind below `place`.
fn sample(place: &Path) -> PathBuf {
    let top = place.join("tree");
    for directory in ["", "bin", "lib/deep/er", "empty"] {
        std::fs::create_dir_all(top.join(directory)).unwrap();
    }
    executable(top.join("bin/tool"), SCRIPT);
    std::fs::set_permissions(top.join("bin/tool"), Permissions::from_mode(0o4755)).unwrap();
    executable(top.join("bin/same"), SCRIPT);
    file(top.join("lib/library.so"), b"\x7fELF, more or less");
    file(top.join("lib/deep/er/module.py"), b"print()\n");
    symlink("../../bin/tool", top.join("lib/deep/relative")).unwrap();
    symlink("/nowhere/at all", top.join("lib/absolute")).unwrap();
    top
}

/// Checks a whole view against its manifest, entry by entry.
fn check_view(store: &Store, bytes: &[u8], view: &Path) {
    let manifest = Manifest::open(bytes).unwrap();
    let mut expected = 0;
    for entry in 0..manifest.entry_count() {
        let vnode = manifest.vnode(entry).unwrap();
        let mut relative = vec![0; 10_000];
        let length = manifest.rel_path(entry, &mut relative).unwrap();
        let root = view.join(manifest.root_of(entry).unwrap().to_string());
        let path = root.join(OsStr::from_bytes(&relative[..length]));
        let found = std::fs::symlink_metadata(&path);
        if vnode.is_dir() {
            let found = found.unwrap();
            assert_eq!(found.mode(), 0o040_555, "{}", path.display());
            let stamp = (found.mtime(), found.mtime_nsec() as u32);
            assert_eq!(stamp, (i64::from(entry), stamp_ns(manifest.body_digest())));
        } else if vnode.is_symlink() {
            let target = std::fs::read_link(&path).unwrap();
            assert_eq!(
                target.as_os_str().as_bytes(),
                manifest.symlink_target(entry).unwrap()
            );
        } else if vnode.has(flag::IN_VIEW) {
            let found = found.unwrap();
            let hash = ContentHash::from_bytes(vnode.content_hash);
            assert_eq!(found.mode() & 0o7000, 0, "setuid and its like stay behind");
            let runs = found.mode() & 0o111 != 0;
            assert!(runs || !vnode.has(flag::EXECUTABLE), "{}", path.display());
            let stamp = (found.mtime(), found.mtime_nsec() as u32);
            assert_eq!(stamp, (0, stamp_ns(hash.as_bytes())));
            assert_eq!(ContentHash::of(&std::fs::read(&path).unwrap()), hash);
        } else {
            assert!(
                found.is_err(),
                "{} is not to be in the view",
                path.display()
            );
            continue;
        }
        expected += usize::from(!vnode.is_dir());
    }
    let copy = view.join("manifest");
    assert_eq!(std::fs::read(&copy).unwrap(), bytes);
    assert_eq!(std::fs::metadata(&copy).unwrap().mode() & 0o7777, 0o444);
    assert_eq!(files_below(view).len(), expected + 1, "and the manifest");
    let report = store.fsck(&manifest, true).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

#[test]
fn a_view_has_directories_links_and_what_the_kernel_opens() {
    everywhere(|store, beside| {
        let bytes = index(store, &sample(beside), "/app");
        let manifest = Manifest::open(&bytes).unwrap();
        let view = store.ensure_view(&manifest).unwrap();
        assert_eq!((view.built, view.linked, view.copied), (true, 3, 0));
        assert_eq!(view.path, store.view_path(&manifest));
        let mut expected = [0; 4096];
        let root = store.root().join("views");
        let length = velo_core::store_layout::view_path(
            root.as_os_str().as_bytes(),
            manifest.body_digest(),
            0,
            &mut expected,
        );
        let expected = Path::new(OsStr::from_bytes(&expected[..length.unwrap()]));
        assert_eq!(view.path.join("0"), expected);
        check_view(store, &bytes, &view.path);

        // The very inode of the blob, so it is in the page cache once.
        let blob = store.blob_path(&ContentHash::of(SCRIPT));
        let inode = |path: &Path| std::fs::metadata(path).unwrap().ino();
        assert_eq!(inode(&blob), inode(&view.path.join("0/bin/tool")));
        let output = Command::new(view.path.join("0/lib/deep/relative"))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            said.trim_end(),
            view.path.join("0/lib/deep/relative").to_str().unwrap()
        );

        let again = store.ensure_view(&manifest).unwrap();
        assert_eq!(
            (again.path.clone(), again.built),
            (view.path.clone(), false)
        );
        store.remove_view(&manifest).unwrap();
        assert!(!view.path.exists());
        store.remove_view(&manifest).unwrap();
        assert!(store.ensure_view(&manifest).unwrap().built);
    });
}

#[test]
fn each_root_has_a_directory_of_its_own() {
    everywhere(|store, beside| {
        let (one, two) = (sample(beside), beside.join("two"));
        std::fs::create_dir(&two).unwrap();
        executable(two.join("run"), SCRIPT);
        let bytes = index_all(store, &[(&one, "/a"), (&two, "/a/inside")]);
        let view = store.ensure_view(&Manifest::open(&bytes).unwrap()).unwrap();
        check_view(store, &bytes, &view.path);
        assert!(view.path.join("0/bin/tool").exists() && view.path.join("1/run").exists());
    });
}

#[test]
fn names_of_all_bytes_and_lengths_are_kept() {
    everywhere(|store, beside| {
        let top = beside.join("tree");
        std::fs::create_dir(&top).unwrap();
        let long = vec![0xe9; 255];
        let all: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
        for name in [
            long.as_slice(),
            &all,
            b"\xff\xfe",
            b"line\nend",
            b" ",
            b"...",
        ] {
            let name = OsStr::from_bytes(name);
            std::fs::create_dir(top.join(name)).unwrap();
            executable(top.join(name).join(name), SCRIPT);
            symlink(name, top.join(name).join("link")).unwrap();
        }
        let bytes = index(store, &top, "/app");
        let view = store.ensure_view(&Manifest::open(&bytes).unwrap()).unwrap();
        assert_eq!(view.linked, 6);
        check_view(store, &bytes, &view.path);
    });
}

/// As deep as programs can name; with the view's own path before it, deeper than that.
#[test]
fn a_tree_as_deep_as_a_path_can_be_long_is_built_and_checked() {
    use velo_core::manifest::write::{Content, ManifestBuilder, Meta};
    everywhere(|store, _| {
        let hash = store.put_bytes(SCRIPT, true).unwrap().hash;
        let mut builder = ManifestBuilder::new();
        let meta = Meta {
            mode: 0o755,
            size: SCRIPT.len() as u64,
            ..Meta::default()
        };
        let mut parent = builder.add_root(b"/app", meta).unwrap();
        for _ in 0..20 {
            parent = builder.add_dir(parent, &[b'd'; 200], meta).unwrap();
            let content = Content {
                hash: *hash.as_bytes(),
                in_view: true,
                blocks: None,
            };
            builder.add_file(parent, b"tool", meta, content).unwrap();
        }
        let bytes = builder.build().unwrap();
        let manifest = Manifest::open(&bytes).unwrap();
        assert_eq!(store.ensure_view(&manifest).unwrap().linked, 20);
        let report = store.fsck(&manifest, true).unwrap();
        assert_eq!((report.problems.len(), report.view_entries), (0, 41));
        store.remove_view(&manifest).unwrap();
        assert_eq!(
            std::fs::read_dir(store.root().join("views"))
                .unwrap()
                .count(),
            0
        );
    });
}

#[test]
fn builders_of_the_same_view_at_the_same_time_agree() {
    everywhere(|store, beside| {
        let top = sample(beside);
        for number in 0..200 {
            std::fs::create_dir(top.join(number.to_string())).unwrap();
            executable(
                top.join(number.to_string()).join("run"),
                &noise(100, number),
            );
        }
        let bytes = index(store, &top, "/app");
        let manifest = Manifest::open(&bytes).unwrap();
        for _ in 0..5 {
            let built = std::thread::scope(|scope| {
                let build = |_| {
                    scope.spawn(|| {
                        let store = Store::open_or_create(store.root()).unwrap();
                        store.ensure_view(&manifest).unwrap().built
                    })
                };
                let running: Vec<_> = (0..8).map(build).collect();
                running
                    .into_iter()
                    .map(|thread| usize::from(thread.join().unwrap()))
                    .sum::<usize>()
            });
            assert_eq!(built, 1);
            check_view(store, &bytes, &store.view_path(&manifest));
            assert_eq!(
                std::fs::read_dir(store.root().join("views"))
                    .unwrap()
                    .count(),
                1
            );
            store.remove_view(&manifest).unwrap();
        }
    });
}

/// Somebody wrote into it, or took something away: seen at the root, built anew.
#[test]
fn a_view_whose_root_was_changed_is_replaced() {
    everywhere(|store, beside| {
        let bytes = index(store, &sample(beside), "/app");
        let manifest = Manifest::open(&bytes).unwrap();
        let view = store.ensure_view(&manifest).unwrap().path;
        for damage in ["stray", "gone"] {
            let root = view.join("0");
            std::fs::set_permissions(&root, Permissions::from_mode(0o755)).unwrap();
            match damage {
                "stray" => drop(file(root.join("stray"), b"")),
                _ => {
                    std::fs::set_permissions(&view, Permissions::from_mode(0o755)).unwrap();
                    std::fs::rename(&root, view.join("gone")).unwrap();
                }
            }
            assert!(store.ensure_view(&manifest).unwrap().built, "{damage}");
            check_view(store, &bytes, &view);
            assert_eq!(
                std::fs::read_dir(store.root().join("views"))
                    .unwrap()
                    .count(),
                1
            );
        }
        assert!(store.rebuild_view(&manifest).unwrap().built);
        check_view(store, &bytes, &view);
    });
}

#[test]
fn every_user_can_pass_list_and_execute() {
    everywhere(|store, beside| {
        let bytes = index(store, &sample(beside), "/app");
        let view = store
            .ensure_view(&Manifest::open(&bytes).unwrap())
            .unwrap()
            .path
            .join("0");
        as_ordinary_user(|| {
            assert_eq!(std::fs::read_dir(&view).unwrap().count(), 3);
            let mut tool = Command::new(view.join("bin/tool"));
            let output = tool.current_dir(view.join("lib/deep")).output().unwrap();
            assert!(output.status.success());
            if !rustix::process::geteuid().is_root() {
                let refused = std::fs::write(view.join("stray"), b"").unwrap_err();
                assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
            }
        });
    });
}

/// A shared object is a library by its inode: two of equal content are two, and hard
/// links of one are one. Programs share.
#[test]
fn equal_libraries_are_two() {
    let object = |kind: u8, header: u8| {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64 + 56, 0);
        (bytes[16], bytes[32], bytes[54], bytes[56]) = (kind, 64, 56, 1);
        bytes[64] = header;
        bytes
    };
    let (library, program) = (object(3, 1), object(3, 3));
    everywhere(|store, beside| {
        let top = beside.join("tree");
        std::fs::create_dir_all(top.join("deep")).unwrap();
        for name in ["a.so", "b.so", "deep/c.so"] {
            file(top.join(name), &library);
        }
        for name in ["b-link.so", "deep/b-link.so"] {
            std::fs::hard_link(top.join("b.so"), top.join(name)).unwrap();
        }
        executable(top.join("one"), &program);
        executable(top.join("two"), &program);
        let bytes = index(store, &top, "/app");
        let view = store.ensure_view(&Manifest::open(&bytes).unwrap()).unwrap();
        check_view(store, &bytes, &view.path);
        let inode = |name: &str| {
            let path = view.path.join("0").join(name);
            std::fs::metadata(path).unwrap().ino()
        };
        let blob = store.blob_path(&ContentHash::of(&library));
        let names = ["a.so", "b.so", "deep/c.so"].map(inode);
        assert!(names.contains(&std::fs::metadata(blob).unwrap().ino()));
        let distinct: std::collections::HashSet<_> = names.into();
        assert_eq!(distinct.len(), 3);
        assert_eq!(inode("b.so"), inode("b-link.so"));
        assert_eq!(inode("b.so"), inode("deep/b-link.so"));
        assert_eq!(inode("one"), inode("two"));
        assert_eq!(view.copied, 2);
    });
}

/// A store on one file system and its views on another: copies, each content once.
#[test]
fn on_another_file_system_files_are_copied_once() {
    let (memory, disk) = (in_memory(), on_disk());
    if memory.path().metadata().unwrap().dev() == disk.path().metadata().unwrap().dev() {
        return skip("needs two file systems: /dev/shm and the temporary directory are one");
    }
    let views = disk.path().join("a/views");
    let store = Store::open_or_create(&memory.path().join("root")).unwrap();
    let store = store.with_view_root(views.clone());
    let bytes = index(&store, &sample(memory.path()), "/app");
    let view = store.ensure_view(&Manifest::open(&bytes).unwrap()).unwrap();
    assert!(view.path.starts_with(&views));
    assert_eq!(
        (view.linked, view.copied),
        (1, 2),
        "tool and same are one content"
    );
    check_view(&store, &bytes, &view.path);
    assert_eq!(std::fs::metadata(&views).unwrap().mode() & 0o7777, 0o711);
    assert!(!store.root().join("views").exists());
    let refused = store.with_view_root("relative".into());
    let refused = refused
        .ensure_view(&Manifest::open(&bytes).unwrap())
        .unwrap_err();
    assert!(matches!(
        refused,
        StoreError::Variable {
            variable: "VELO_VIEW_ROOT",
            ..
        }
    ));
}

/// /dev/shm in a container: noexec. The views go to a place that is not, by a link
/// that everybody follows.
#[test]
fn a_noexec_root_gets_its_views_elsewhere() {
    in_mount_namespace(|place| {
        let root = place.join("root");
        mount_tmpfs(&root, MountFlags::NOEXEC, "size=8m,mode=711");
        mount_tmpfs(
            Path::new("/var/tmp"),
            MountFlags::empty(),
            "size=8m,mode=1777",
        );
        let store = Store::open_or_create(&root).unwrap();
        assert!(store.space().unwrap().noexec);
        let bytes = index(&store, &sample(place), "/app");
        let manifest = Manifest::open(&bytes).unwrap();
        let view = store.ensure_view(&manifest).unwrap();
        assert_eq!(view.path, store.view_path(&manifest));
        assert_eq!((view.linked, view.copied), (1, 2));
        check_view(&store, &bytes, &view.path);
        assert!(
            Command::new(view.path.join("0/bin/tool"))
                .status()
                .unwrap()
                .success()
        );
        let uid = rustix::process::geteuid().as_raw();
        let better = PathBuf::from(format!("/var/tmp/velo-{uid}/views"));
        assert_eq!(std::fs::read_link(root.join("views")).unwrap(), better);

        // Temporary places get cleaned; the next one to need the view makes it anew.
        std::fs::remove_dir_all(better.parent().unwrap()).unwrap();
        let store = Store::open_or_create(&root).unwrap();
        assert!(store.ensure_view(&manifest).unwrap().built);
        check_view(&store, &bytes, &view.path);
        // And not if somebody else put a directory there meanwhile.
        std::os::unix::fs::chown(&better, Some(1234), None).unwrap();
        let refused = store.ensure_view(&manifest).unwrap_err();
        assert!(
            matches!(refused, StoreError::RootUnsafe { .. }),
            "{refused}"
        );
    });
}

#[test]
fn a_machine_without_any_place_to_execute_is_told_so() {
    in_mount_namespace(|place| {
        let root = place.join("root");
        let top = sample(place);
        mount_tmpfs(&root, MountFlags::NOEXEC, "size=8m,mode=711");
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let store = Store::open_or_create(&root).unwrap();
        let (with, without) = (index(&store, &top, "/app"), {
            std::fs::remove_dir_all(top.join("bin")).unwrap();
            std::fs::remove_file(top.join("lib/library.so")).unwrap();
            index(&store, &top, "/app")
        });
        let shared = ["/var/tmp", "/tmp"].map(PathBuf::from);
        for path in shared.into_iter().chain(home).chain(cache) {
            mount_tmpfs(&path, MountFlags::NOEXEC, "size=1m,mode=1777");
        }
        let refused = store
            .ensure_view(&Manifest::open(&with).unwrap())
            .unwrap_err();
        assert!(
            matches!(
                refused,
                StoreError::NoExec {
                    variable: false,
                    ..
                }
            ),
            "{refused}"
        );
        assert!(
            refused
                .to_string()
                .contains("set VELO_VIEW_ROOT to a place that is not")
        );
        // What has nothing to execute needs no such place.
        let view = store
            .ensure_view(&Manifest::open(&without).unwrap())
            .unwrap();
        check_view(&store, &without, &view.path);
        let named = store.with_view_root(root.join("here"));
        let refused = named
            .ensure_view(&Manifest::open(&with).unwrap())
            .unwrap_err();
        assert!(
            matches!(refused, StoreError::NoExec { variable: true, .. }),
            "{refused}"
        );
    });
}

/// ext4 allows 65,000 links to a file.
#[test]
fn more_links_than_the_file_system_allows_become_a_copy() {
    in_mount_namespace(|place| {
        let Some(disk) = mount_ext4(place, &["-I", "256", "-N", "4096"]) else {
            return;
        };
        let store = Store::open_or_create(&disk.join("root")).unwrap();
        let bytes = many_links(&store, 65_100);
        let view = store.ensure_view(&Manifest::open(&bytes).unwrap()).unwrap();
        assert!(view.copied >= 1 && view.copied <= 2, "{view:?}");
        assert_eq!(view.linked + view.copied, 65_100);
        check_view(&store, &bytes, &view.path);
    });
}

/// The same for everybody, with a kernel that is made to say so.
#[test]
fn links_that_are_refused_become_copies() {
    everywhere(|store, _| {
        let bytes = many_links(store, 3);
        let manifest = Manifest::open(&bytes).unwrap();
        for errno in [libc::EMLINK, libc::EPERM, libc::EXDEV, libc::EOPNOTSUPP] {
            let view = with_faults(&[Fault::always(libc::SYS_linkat, errno)], || {
                store.ensure_view(&manifest).unwrap()
            });
            let Some(view) = view else { return };
            assert_eq!((view.linked, view.copied), (0, 3));
            check_view(store, &bytes, &view.path);
            store.remove_view(&manifest).unwrap();
        }
    });
}

/// A manifest with the same executable `count` times.
fn many_links(store: &Store, count: u32) -> Vec<u8> {
    use velo_core::manifest::write::{Content, ManifestBuilder, Meta};
    let hash = store.put_bytes(SCRIPT, true).unwrap().hash;
    let mut builder = ManifestBuilder::new();
    let meta = Meta {
        mode: 0o755,
        size: SCRIPT.len() as u64,
        ..Meta::default()
    };
    let root = builder.add_root(b"/app", meta).unwrap();
    let content = Content {
        hash: *hash.as_bytes(),
        in_view: true,
        blocks: None,
    };
    for number in 0..count {
        builder
            .add_file(root, number.to_string().as_bytes(), meta, content)
            .unwrap();
    }
    builder.build().unwrap()
}

#[test]
fn without_its_blobs_there_is_no_view() {
    everywhere(|store, beside| {
        let bytes = index(store, &sample(beside), "/app");
        let manifest = Manifest::open(&bytes).unwrap();
        let blob = store.blob_path(&ContentHash::of(SCRIPT));
        std::fs::set_permissions(&blob, Permissions::from_mode(0o644)).unwrap();
        std::fs::write(&blob, b"damage").unwrap();
        let refused = store.ensure_view(&manifest).unwrap_err();
        assert!(
            matches!(refused, StoreError::BlobDamaged { .. }),
            "{refused}"
        );
        std::fs::remove_file(&blob).unwrap();
        let refused = store.ensure_view(&manifest).unwrap_err();
        assert!(
            matches!(refused, StoreError::BlobMissing { .. }),
            "{refused}"
        );
        assert_eq!(
            std::fs::read_dir(store.root().join("views"))
                .unwrap()
                .count(),
            0
        );
        store.put_bytes(SCRIPT, true).unwrap();
        assert!(store.ensure_view(&manifest).unwrap().built);
    });
}

#[test]
fn a_full_file_system_leaves_no_half_view() {
    in_mount_namespace(|place| {
        let disk = place.join("disk");
        mount_tmpfs(&disk, MountFlags::empty(), "size=8m,nr_inodes=300");
        let store = Store::open_or_create(&disk.join("root")).unwrap();
        let top = sample(place);
        for number in 0..400 {
            std::fs::create_dir(top.join(number.to_string())).unwrap();
        }
        let bytes = index(&store, &top, "/app");
        let manifest = Manifest::open(&bytes).unwrap();
        let refused = store.ensure_view(&manifest).unwrap_err();
        assert!(matches!(refused, StoreError::NoSpace { .. }), "{refused}");
        assert_eq!(
            std::fs::read_dir(store.root().join("views"))
                .unwrap()
                .count(),
            0
        );
        mount_remount(&disk, MountFlags::empty(), c"nr_inodes=900").unwrap();
        let view = store.ensure_view(&manifest).unwrap();
        check_view(&store, &bytes, &view.path);
        // Read-only from here on: the view that is there serves.
        mount_remount(&disk, MountFlags::RDONLY, c"").unwrap();
        let store = Store::open_or_create(&disk.join("root")).unwrap();
        assert!(!store.ensure_view(&manifest).unwrap().built);
        check_view(&store, &bytes, &view.path);
        let refused = store.rebuild_view(&manifest).unwrap_err();
        assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused}");
    });
}

/// Names in a manifest that nobody verified cannot reach outside the view.
#[test]
fn a_hostile_manifest_cannot_write_outside_the_view() {
    everywhere(|store, beside| {
        let top = beside.join("tree");
        std::fs::create_dir_all(top.join("QQ/ZZ")).unwrap();
        executable(top.join("QQ/ZZ/XXXXX"), SCRIPT);
        let good = index(store, &top, "/app");
        for (name, hostile) in [("QQ", ".."), ("ZZ", "./"), ("XXXXX", "../..")] {
            let mut bytes = good.clone();
            let places: Vec<usize> = (0..bytes.len() - name.len())
                .filter(|at| bytes[*at..].starts_with(name.as_bytes()))
                .collect();
            assert_eq!(places.len(), 1, "{name}");
            bytes[places[0]..][..name.len()].copy_from_slice(hostile.as_bytes());
            let refused = store
                .ensure_view(&Manifest::open(&bytes).unwrap())
                .unwrap_err();
            assert!(
                matches!(refused, StoreError::ManifestInvalid { .. }),
                "{refused}"
            );
            assert_eq!(
                std::fs::read_dir(store.root().join("views"))
                    .unwrap()
                    .count(),
                0
            );
        }
    });
}

#[test]
fn a_file_system_with_coarse_timestamps_is_no_place_for_views() {
    in_mount_namespace(|place| {
        let Some(disk) = mount_ext4(place, &["-I", "128"]) else {
            return;
        };
        let store = Store::open_or_create(&place.join("root")).unwrap();
        let store = store.with_view_root(disk.join("views"));
        let bytes = index(&store, &sample(place), "/app");
        let refused = store
            .ensure_view(&Manifest::open(&bytes).unwrap())
            .unwrap_err();
        assert!(matches!(refused, StoreError::StampLost { .. }), "{refused}");
        assert_eq!(std::fs::read_dir(disk.join("views")).unwrap().count(), 0);
    });
}

/// Containers have their root on an OverlayFS.
#[test]
fn an_overlay_is_a_fine_root() {
    in_mount_namespace(|place| {
        let layers = place.join("layers");
        mount_tmpfs(&layers, MountFlags::empty(), "size=64m");
        for name in ["lower", "upper", "work", "merged"] {
            std::fs::create_dir(layers.join(name)).unwrap();
        }
        let options = format!(
            "lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work",
            layers.display()
        );
        let options = std::ffi::CString::new(options).unwrap();
        let merged = layers.join("merged");
        let kind = c"overlay";
        let flags = MountFlags::empty();
        if rustix::mount::mount(kind, &merged, kind, flags, options.as_c_str()).is_err() {
            return skip("needs OverlayFS");
        }
        let store = Store::open_or_create(&merged.join("root")).unwrap();
        let bytes = index(&store, &sample(place), "/app");
        let view = store.ensure_view(&Manifest::open(&bytes).unwrap()).unwrap();
        assert_eq!((view.linked, view.copied), (3, 0));
        check_view(&store, &bytes, &view.path);
        let tree = store
            .publish_manifest(&bytes, &merged.join("app.velo"))
            .unwrap();
        assert!(store.manifest_path(&tree).exists());
    });
}
