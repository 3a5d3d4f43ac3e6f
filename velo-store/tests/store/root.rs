//! Opening a store: what is created, what is refused, what is cleaned up.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mount::{MountFlags, mount, mount_bind};
use rustix::process::geteuid;
use velo_store::{Root, Store, StoreError};

use crate::world::{
    as_ordinary_user, everywhere, files_below, in_memory, in_mount_namespace, mount_ext4,
    mount_tmpfs, skip,
};

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn directories_can_be_passed_but_not_listed_by_others() {
    everywhere(|store, _| {
        for name in ["", "cas_store", "manifests", "index"] {
            assert_eq!(mode(&store.root().join(name)), 0o711, "{name}");
        }
        assert_eq!(store.index_directory(), store.root().join("index"));
        assert!(store.space().unwrap().free_bytes > 0);
    });
}

/// The umask belongs to the process, so a child has the strict one.
#[test]
fn a_strict_umask_changes_nothing() {
    const VARIABLE: &str = "VELO_TEST_UMASK_ROOT";
    if let Some(root) = std::env::var_os(VARIABLE) {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o777));
        let store = Store::open_or_create(Path::new(&root)).unwrap();
        store.put_bytes(b"content", false).unwrap();
        return;
    }
    let place = in_memory();
    let root = place.path().join("root");
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "root::a_strict_umask_changes_nothing"])
        .env(VARIABLE, &root)
        .output()
        .unwrap();
    assert!(
        child.status.success(),
        "{}",
        String::from_utf8_lossy(&child.stdout)
    );
    assert_eq!((mode(&root), mode(&root.join("cas_store"))), (0o711, 0o711));
    let blobs = files_below(&root);
    assert_eq!(blobs.len(), 1);
    assert_eq!(
        (mode(&blobs[0]), mode(blobs[0].parent().unwrap())),
        (0o444, 0o711)
    );
}

#[test]
fn a_named_root_is_created_with_its_parents_and_keeps_its_mode() {
    let place = in_memory();
    let root = place.path().join("a/b/c");
    Store::open_or_create(&root).unwrap();
    std::fs::set_permissions(&root, Permissions::from_mode(0o750)).unwrap();
    Store::open_or_create(&root).unwrap();
    assert_eq!(mode(&root), 0o750);
    // Through a symbolic link, too: naming it is enough of a wish.
    symlink(&root, place.path().join("link")).unwrap();
    Store::open_or_create(&place.path().join("link")).unwrap();
    let refused = Store::open(&place.path().join("nothing")).unwrap_err();
    assert!(refused.to_string().contains("No such file"), "{refused}");
    std::fs::write(place.path().join("file"), b"").unwrap();
    let refused = Store::open_or_create(&place.path().join("file")).unwrap_err();
    assert!(refused.to_string().contains("/file: cannot"), "{refused}");
}

#[test]
fn a_store_of_somebody_else_can_be_read_and_says_why_it_cannot_be_written() {
    if !geteuid().is_root() {
        return skip("needs root to own a store that an ordinary user cannot write to");
    }
    everywhere(|store, _| {
        let hash = store.put_bytes(b"shared", false).unwrap().hash;
        as_ordinary_user(|| {
            let theirs = Store::open_or_create(store.root()).unwrap();
            assert_eq!(theirs.read_verified(&hash).unwrap(), b"shared");
            assert!(!theirs.put_bytes(b"shared", false).unwrap().new);
            for refused in [
                theirs.put_bytes(b"mine", false).unwrap_err(),
                theirs.put_bytes(b"shared", true).unwrap_err(),
            ] {
                assert!(
                    matches!(refused, StoreError::Denied { uid: 65534, .. }),
                    "{refused}"
                );
            }
        });
    });
}

/// The default place is in a directory that everybody can write to, so somebody else may
/// have been there first.
#[test]
fn a_default_root_that_is_not_ours_alone_is_refused() {
    in_mount_namespace(|place| {
        // An empty /dev/shm of our own, so that the machine's stays as it is.
        let shm = place.join("shm");
        mount_tmpfs(&shm, MountFlags::empty(), "mode=1777,size=8m");
        mount_bind(&shm, "/dev/shm").unwrap();
        let root = Root::discover_with(None, false).unwrap().path;
        assert_eq!(root, PathBuf::from("/dev/shm/velo-0"));

        Store::open_or_create(&root).unwrap();
        Store::open_or_create(&root).unwrap();
        let refused = |what: &str| {
            let refused = Store::open_or_create(&root).unwrap_err();
            assert!(
                matches!(refused, StoreError::RootUnsafe { .. }),
                "{refused}"
            );
            assert!(refused.to_string().contains(what), "{refused}");
            assert!(matches!(
                Store::open(&root).unwrap_err(),
                StoreError::RootUnsafe { .. }
            ));
        };
        std::fs::set_permissions(&root, Permissions::from_mode(0o777)).unwrap();
        refused("found mode 0777");
        std::fs::set_permissions(&root, Permissions::from_mode(0o1777)).unwrap();
        Store::open_or_create(&root).unwrap();
        std::fs::set_permissions(&root, Permissions::from_mode(0o711)).unwrap();
        for name in ["", "cas_store", "manifests"] {
            chown(root.join(name), Some(1234), None).unwrap();
            refused("found one of user 1234");
            chown(root.join(name), Some(0), None).unwrap();
        }
        Store::open_or_create(&root).unwrap();
        // A link to a place of somebody's choice.
        std::fs::rename(&root, place.join("elsewhere")).unwrap_err();
        std::fs::rename(&root, "/dev/shm/elsewhere").unwrap();
        symlink("/dev/shm/elsewhere", &root).unwrap();
        assert!(Store::open_or_create(&root).is_err());
        // The same directory is fine for whoever names it.
        chown("/dev/shm/elsewhere", Some(1234), None).unwrap();
        Store::open_or_create(Path::new("/dev/shm/elsewhere")).unwrap();
    });
}

/// ext4 with 128-byte inodes keeps whole seconds only.
#[test]
fn a_file_system_with_coarse_timestamps_is_refused() {
    in_mount_namespace(|place| {
        let Some(disk) = mount_ext4(place, &["-I", "128"]) else {
            return;
        };
        let store = Store::open_or_create(&disk.join("root")).unwrap();
        let refused = store.put_bytes(b"content", false).unwrap_err();
        let StoreError::StampLost { found, .. } = &refused else {
            panic!("{refused}")
        };
        assert_eq!(found, "0.000000000");
        assert!(
            refused.to_string().contains("coarse timestamps"),
            "{refused}"
        );
        assert_eq!(files_below(&disk.join("root/cas_store")).len(), 0);
    });
}

/// What a killed builder leaves is removed, but only when it is old, and never what
/// somebody still holds or what is none of the store's business.
#[test]
fn leftovers_are_removed_when_they_are_old_and_nobody_holds_them() {
    everywhere(|store, _| {
        let root = store.root();
        let hash = store.put_bytes(b"content", false).unwrap().hash;
        let leftovers = [
            root.join("cas_store/.velo-tmp-1-1-1"),
            root.join("manifests/.velo-tmp-1-1-2"),
            root.join(".velo-tmp-1-1-3"),
        ];
        for path in &leftovers {
            std::fs::write(path, b"half").unwrap();
        }
        let held = root.join("cas_store/.velo-tmp-1-1-4");
        let holder = std::fs::File::create(&held).unwrap();
        rustix::fs::flock(&holder, rustix::fs::FlockOperation::LockExclusive).unwrap();
        std::fs::write(root.join("cas_store/README"), b"").unwrap();

        Store::open_or_create(root).unwrap();
        assert!(leftovers.iter().all(|path| path.exists()), "too young");
        assert_eq!(store.clean_leftovers(Duration::ZERO).unwrap(), 3);
        assert!(leftovers.iter().all(|path| !path.exists()));
        assert!(held.exists() && root.join("cas_store/README").exists());
        assert!(store.contains(&hash));
        drop(holder);
        assert_eq!(store.clean_leftovers(Duration::ZERO).unwrap(), 1);
    });
}

/// A half-built view tree: read-only directories, deeper than a path can be long.
#[test]
fn a_deep_read_only_leftover_is_removed_by_an_ordinary_user() {
    let place = in_memory();
    std::fs::set_permissions(place.path(), Permissions::from_mode(0o777)).unwrap();
    as_ordinary_user(|| {
        let store = Store::open_or_create(&place.path().join("root")).unwrap();
        let top = store.root().join("views/.velo-tmp-1-1-1");
        std::fs::create_dir_all(&top).unwrap();
        let name = "d".repeat(200);
        let mut at = std::fs::File::open(&top).unwrap();
        for _ in 0..100 {
            use rustix::fs::{Mode, OFlags, fchmod, mkdirat, openat, symlinkat};
            mkdirat(&at, &*name, Mode::RWXU).unwrap();
            mkdirat(&at, "empty", Mode::RUSR | Mode::XUSR).unwrap();
            symlinkat("nowhere", &at, "link").unwrap();
            let below = openat(&at, &*name, OFlags::RDONLY, Mode::empty()).unwrap();
            fchmod(&at, Mode::from_raw_mode(0o555)).unwrap();
            at = below.into();
        }
        assert_eq!(store.clean_leftovers(Duration::ZERO).unwrap(), 1);
        assert_eq!(
            std::fs::read_dir(store.root().join("views"))
                .unwrap()
                .count(),
            0
        );
    });
}

#[test]
fn mounted_ext4_is_a_fine_root() {
    in_mount_namespace(|place| {
        let Some(disk) = mount_ext4(place, &["-I", "256"]) else {
            return;
        };
        let store = Store::open_or_create(&disk.join("root")).unwrap();
        let hash = store.put_bytes(b"content", false).unwrap().hash;
        assert_eq!(store.read_verified(&hash).unwrap(), b"content");
        // The kernel's own word that it is another file system than /dev/shm.
        assert!(mount("none", &disk, "no-such-type", MountFlags::empty(), None).is_err());
        assert!(!store.space().unwrap().memory);
    });
}
