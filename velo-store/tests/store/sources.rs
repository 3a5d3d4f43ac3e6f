//! Sources that cannot be taken in, or not at once.

use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use velo_core::id::ContentHash;
use velo_store::{Store, StoreError, open_source};

use crate::world::{as_ordinary_user, everywhere, file, files_below, noise, open};

/// On a busy machine the writer may not get to run at all while a file is read, which is
/// then rightly taken in. So this tries until the two meet.
fn put_until_refused(store: &Store, path: &Path) -> StoreError {
    for _ in 0..50 {
        match store.put(&open(path), 0, false, &mut Vec::new()) {
            Ok(put) => {
                store.verify_blob(&put.hash).unwrap();
                std::fs::remove_file(store.blob_path(&put.hash)).unwrap();
            }
            Err(refused) => return refused,
        }
    }
    panic!("a file that is always written to was read in peace 50 times");
}

/// A writer that never pauses: refused, and nothing of it in the store.
#[test]
fn a_source_that_keeps_changing_is_refused() {
    everywhere(|store, beside| {
        for length in [24 << 20, 48 << 20] {
            let path = file(beside.join("source"), &noise(length, 1));
            let writer = std::fs::File::options().write(true).open(&path).unwrap();
            let done = AtomicBool::new(false);
            let refused = std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut byte = 0_u8;
                    while !done.load(Ordering::Relaxed) {
                        byte = byte.wrapping_add(1);
                        writer
                            .write_all_at(&[byte], u64::from(byte) * 4099)
                            .unwrap();
                    }
                });
                let refused = put_until_refused(store, &path);
                done.store(true, Ordering::Relaxed);
                refused
            });
            assert!(
                matches!(refused, StoreError::SourceChanged { attempts: 5, .. }),
                "{refused}"
            );
            let said = refused.to_string();
            assert!(said.starts_with(path.to_str().unwrap()), "{said}");
            assert!(said.contains("mtime moved on"), "{said}");
            assert_eq!(files_below(&store.root().join("cas_store")).len(), 0);
        }
    });
}

#[test]
fn a_source_that_grows_or_shrinks_meanwhile_is_noticed() {
    everywhere(|store, beside| {
        let path = file(beside.join("source"), &noise(32 << 20, 1));
        for step in [-1_i64, 1] {
            let done = AtomicBool::new(false);
            let refused = std::thread::scope(|scope| {
                scope.spawn(|| {
                    let writer = std::fs::File::options().write(true).open(&path).unwrap();
                    while !done.load(Ordering::Relaxed) {
                        let length = writer.metadata().unwrap().len();
                        writer.set_len(length.saturating_add_signed(step)).unwrap();
                    }
                });
                let refused = put_until_refused(store, &path);
                done.store(true, Ordering::Relaxed);
                refused
            });
            assert!(refused.to_string().contains("became"), "{refused}");
            assert_eq!(files_below(&store.root().join("cas_store")).len(), 0);
        }
    });
}

/// A writer that stops after a while: what is stored is what the file holds at the end.
#[test]
fn a_source_that_comes_to_rest_is_taken_in() {
    everywhere(|store, beside| {
        let path = file(beside.join("source"), &noise(3 << 20, 2));
        let writer = std::fs::File::options().write(true).open(&path).unwrap();
        let started = AtomicBool::new(false);
        let put = std::thread::scope(|scope| {
            scope.spawn(|| {
                let begin = Instant::now();
                while begin.elapsed() < Duration::from_millis(12) {
                    writer
                        .write_all_at(&begin.elapsed().as_nanos().to_le_bytes(), 4096)
                        .unwrap();
                    started.store(true, Ordering::Relaxed);
                }
            });
            while !started.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            store
                .put(&open(&path), 3 << 20, false, &mut Vec::new())
                .unwrap()
        });
        assert_eq!(put.hash, ContentHash::of(&std::fs::read(&path).unwrap()));
        assert_eq!(files_below(&store.root().join("cas_store")).len(), 1);
    });
}

#[test]
fn an_unreadable_source_is_named() {
    everywhere(|_, beside| {
        let path = file(beside.join("secret"), b"secret");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o0)).unwrap();
        let refused = as_ordinary_user(|| open_source(&path).unwrap_err());
        assert!(
            matches!(refused, StoreError::SourceUnreadable { .. }),
            "{refused}"
        );
        assert!(
            refused.to_string().contains("Permission denied"),
            "{refused}"
        );
        assert!(
            refused.to_string().starts_with(path.to_str().unwrap()),
            "{refused}"
        );
        let gone = open_source(&beside.join("gone")).unwrap_err();
        assert!(gone.to_string().contains("No such file"), "{gone}");
    });
}

#[test]
fn what_is_not_a_regular_file_is_refused_without_waiting() {
    everywhere(|store, beside| {
        let kinds = [
            "directory",
            "symbolic link",
            "fifo",
            "socket",
            "character device",
        ];
        std::fs::create_dir(beside.join("directory")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", beside.join("symbolic link")).unwrap();
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, beside.join("fifo"), mode).unwrap();
        let _listener = UnixListener::bind(beside.join("socket")).unwrap();
        for kind in kinds {
            let path = if kind == "character device" {
                "/dev/zero".into()
            } else {
                beside.join(kind)
            };
            let refused = open_source(&path).unwrap_err();
            assert!(
                matches!(&refused, StoreError::NotRegular { found, .. } if *found == kind),
                "{refused}"
            );
        }
        // Also for whoever opened it another way.
        for path in [beside.join("directory"), "/dev/zero".into()] {
            let refused = store
                .put(&open(&path), 0, false, &mut Vec::new())
                .unwrap_err();
            assert!(matches!(&refused, StoreError::NotRegular { path: p, .. } if *p == path));
        }
    });
}
