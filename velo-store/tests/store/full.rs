//! File systems that refuse: full, over quota, limited, read-only. The store says so,
//! stays valid, and goes on when there is room again.

use std::path::Path;

use rustix::mount::{MountFlags, mount_remount};
use velo_core::id::ContentHash;
use velo_store::{Store, StoreError};

use crate::world::{
    Fault, everywhere, file, files_below, in_memory, in_mount_namespace, mount_tmpfs, noise, open,
    with_faults,
};

fn temporary_or_not(store: &Store) -> usize {
    files_below(&store.root().join("cas_store")).len()
}

#[test]
fn a_full_file_system_is_an_error_and_a_retry_with_room_succeeds() {
    in_mount_namespace(|place| {
        let small = place.join("small");
        mount_tmpfs(&small, MountFlags::empty(), "size=8m");
        let store = Store::open_or_create(&small.join("root")).unwrap();
        let first = store.put_bytes(&noise(1 << 20, 0), false).unwrap().hash;
        // A large one: refused before anything is written, with both numbers.
        let source = file(place.join("large"), &noise(9 << 20, 1));
        let refused = store
            .put(&open(&source), 0, false, &mut Vec::new())
            .unwrap_err();
        let StoreError::NoSpace {
            needed_bytes,
            free_bytes,
            ..
        } = &refused
        else {
            panic!("{refused}")
        };
        assert_eq!(
            (*needed_bytes, *free_bytes <= 7 << 20),
            (9 << 20, true),
            "{refused}"
        );
        // Really before: a write would have met this error instead.
        with_faults(&[Fault::always(libc::SYS_pwrite64, libc::EIO)], || {
            let refused = store.put(&open(&source), 0, false, &mut Vec::new());
            assert!(matches!(refused.unwrap_err(), StoreError::NoSpace { .. }));
        });
        // Small ones until it is really full.
        let refused = (1..)
            .find_map(|seed| store.put_bytes(&noise(1 << 20, seed), false).err())
            .unwrap();
        assert!(matches!(refused, StoreError::NoSpace { .. }), "{refused}");
        assert!(
            refused
                .to_string()
                .contains("no space left: 1048576 bytes needed"),
            "{refused}"
        );
        assert!(store.contains(&first));
        // What is there already needs no room.
        assert!(!store.put_bytes(&noise(1 << 20, 0), true).unwrap().new);
        let whole = temporary_or_not(&store);
        for path in files_below(&store.root().join("cas_store")) {
            let hash: ContentHash = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            store.verify_blob(&hash).unwrap();
        }
        mount_remount(&small, MountFlags::empty(), c"size=32m").unwrap();
        assert!(
            store
                .put(&open(&source), 0, false, &mut Vec::new())
                .unwrap()
                .new
        );
        assert_eq!(temporary_or_not(&store), whole + 1);
    });
}

/// A file that is larger than the room left, but in the store already: no error.
#[test]
fn a_large_file_that_is_there_already_needs_no_room() {
    in_mount_namespace(|place| {
        let small = place.join("small");
        mount_tmpfs(&small, MountFlags::empty(), "size=16m");
        let store = Store::open_or_create(&small.join("root")).unwrap();
        let source = file(place.join("large"), &noise(10 << 20, 1));
        assert!(
            store
                .put(&open(&source), 0, false, &mut Vec::new())
                .unwrap()
                .new
        );
        assert!(
            !store
                .put(&open(&source), 0, true, &mut Vec::new())
                .unwrap()
                .new
        );
    });
}

#[test]
fn no_room_for_another_file_name_is_an_error() {
    in_mount_namespace(|place| {
        let small = place.join("small");
        mount_tmpfs(&small, MountFlags::empty(), "size=8m,nr_inodes=20");
        let store = Store::open_or_create(&small.join("root")).unwrap();
        let refused = (0..100)
            .find_map(|seed| store.put_bytes(&noise(10, seed), false).err())
            .unwrap();
        assert!(matches!(refused, StoreError::NoSpace { .. }), "{refused}");
        // What was being written is gone again, so a few names may be free.
        assert!(store.space().unwrap().free_files <= 2);
    });
}

/// No file system here has quotas, so the kernel is made to answer as if it had.
#[test]
fn a_quota_that_is_used_up_is_an_error() {
    with_faults(&[Fault::always(libc::SYS_pwrite64, libc::EDQUOT)], || {
        everywhere(|store, beside| {
            for length in [10, 5 << 20] {
                let path = beside.join("source");
                std::fs::write(&path, noise(length, 1)).unwrap();
                let refused = store
                    .put(&open(&path), 0, false, &mut Vec::new())
                    .unwrap_err();
                let StoreError::QuotaExceeded { needed_bytes, .. } = &refused else {
                    panic!("{refused}")
                };
                assert_eq!(*needed_bytes, length as u64);
                assert!(refused.to_string().contains("quota"), "{refused}");
                assert_eq!(temporary_or_not(store), 0);
            }
        });
    });
}

/// Errors at every step of taking in a file: each is reported, none leaves a trace.
#[test]
fn whatever_step_fails_nothing_half_written_is_visible() {
    let steps = [
        (libc::SYS_pwrite64, libc::EIO),
        (libc::SYS_utimensat, libc::EROFS),
        (libc::SYS_fchmod, libc::EPERM),
        (libc::SYS_linkat, libc::EDQUOT),
        (libc::SYS_pread64, libc::EIO),
    ];
    for (call, errno) in steps {
        let place = in_memory();
        let store = Store::open_or_create(&place.path().join("root")).unwrap();
        store
            .put_bytes(b"probes how files get their names", false)
            .unwrap();
        for length in [10, 5 << 20] {
            let path = file(place.path().join("source"), &noise(length, 1));
            let source = open(&path);
            let failed = with_faults(&[Fault::always(call, errno)], || {
                store.put(&source, 0, false, &mut Vec::new()).unwrap_err()
            });
            let Some(failed) = failed else { return };
            let expected = match errno {
                libc::EROFS => matches!(failed, StoreError::ReadOnly { .. }),
                libc::EPERM => matches!(failed, StoreError::Denied { .. }),
                libc::EDQUOT => matches!(failed, StoreError::QuotaExceeded { .. }),
                _ if call == libc::SYS_pread64 => {
                    matches!(failed, StoreError::SourceUnreadable { .. })
                }
                _ => matches!(failed, StoreError::Io { .. }),
            };
            assert!(expected, "call {call}: {failed}");
            assert_eq!(temporary_or_not(&store), 1, "call {call}");
            let put = store.put(&source, 0, false, &mut Vec::new()).unwrap();
            assert!(put.new, "call {call}");
            std::fs::remove_file(store.blob_path(&put.hash)).unwrap();
        }
    }
}

/// A limit on file sizes (ulimit -f). It concerns the whole process, so a child has it.
#[test]
fn a_file_size_limit_is_an_error() {
    const VARIABLE: &str = "VELO_TEST_LIMITED_ROOT";
    if let Some(root) = std::env::var_os(VARIABLE) {
        let limit = libc::rlimit {
            rlim_cur: 1 << 20,
            rlim_max: 1 << 20,
        };
        // SAFETY: plain system calls; the limit and the ignored signal are this child's.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
        }
        let store = Store::open_or_create(Path::new(&root)).unwrap();
        store.put_bytes(&noise(1 << 20, 1), false).unwrap();
        let refused = store
            .put_bytes(&noise((1 << 20) + 1, 1), false)
            .unwrap_err();
        assert!(
            matches!(
                refused,
                StoreError::TooLarge {
                    needed_bytes: 1_048_577,
                    ..
                }
            ),
            "{refused}"
        );
        assert_eq!(temporary_or_not(&store), 1);
        return;
    }
    let place = in_memory();
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "full::a_file_size_limit_is_an_error"])
        .env(VARIABLE, place.path().join("root"))
        .output()
        .unwrap();
    assert!(
        child.status.success(),
        "{}",
        String::from_utf8_lossy(&child.stdout)
    );
    let blobs = files_below(&place.path().join("root/cas_store"));
    assert_eq!(blobs.len(), 1, "the child did its work");
}

#[test]
fn a_read_only_store_can_be_read_and_says_why_it_cannot_be_written() {
    in_mount_namespace(|place| {
        let disk = place.join("disk");
        mount_tmpfs(&disk, MountFlags::empty(), "size=8m");
        let hash = {
            let store = Store::open_or_create(&disk.join("root")).unwrap();
            store.put_bytes(b"here", false).unwrap().hash
        };
        mount_remount(&disk, MountFlags::RDONLY, c"").unwrap();
        let store = Store::open_or_create(&disk.join("root")).unwrap();
        assert!(store.space().unwrap().read_only);
        assert_eq!(store.read_verified(&hash).unwrap(), b"here");
        assert!(!store.put_bytes(b"here", false).unwrap().new);
        for refused in [
            store.put_bytes(b"not here", false).unwrap_err(),
            store.put_bytes(b"here", true).unwrap_err(),
            Store::open_or_create(&disk.join("other")).unwrap_err(),
        ] {
            assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused}");
            assert!(
                refused
                    .to_string()
                    .contains("read-only; mount it read-write"),
                "{refused}"
            );
        }
    });
}
