//! What is mounted inside the tree. Each test has a mount namespace of its own.

mod common;

use std::path::Path;

use common::{Place, entries, skip};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::UnshareFlags;
use velo_indexer::IndexError;

/// Runs `test` on a thread whose mounts nobody else sees and that go with it.
fn with_own_mounts(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let named =
            std::thread::Builder::new().name(std::thread::current().name().unwrap_or("?").into());
        let body = || {
            // SAFETY: unshares what this thread knows of the file system, no memory and
            // no descriptors.
            if unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.is_err() {
                skip("needs CAP_SYS_ADMIN for a mount namespace");
                return;
            }
            let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
            mount_change("/", private).unwrap();
            test();
        };
        named.spawn_scoped(scope, body).unwrap().join().unwrap();
    });
}

fn mount_at(kind: &str, target: &Path) {
    std::fs::create_dir(target).unwrap();
    mount("velo-test", target, kind, MountFlags::empty(), c"").unwrap();
}

#[test]
fn another_file_system_is_included_with_a_warning() {
    let place = Place::with_tree();
    with_own_mounts(|| {
        mount_at("tmpfs", &place.path("pkg/mounted"));
        place.write("pkg/mounted/below/file", b"on another file system");
        let built = place.build();
        assert_eq!(entries(&built.bytes), place.expected());
        let [warning] = built.summary.warnings.as_slice() else {
            panic!("{:?}", built.summary)
        };
        assert!(
            warning.contains("/pkg/mounted: another file system begins here"),
            "{warning}"
        );
    });
}

#[test]
fn the_kernels_own_file_system_inside_is_refused() {
    let place = Place::with_tree();
    with_own_mounts(|| {
        mount_at("proc", &place.path("proc"));
        let error = place.build_with(&Default::default()).unwrap_err();
        let IndexError::PseudoFileSystem { path, found } = &error else {
            panic!("{error}")
        };
        assert_eq!((path, *found), (&place.path("proc"), "proc"));
    });
}
