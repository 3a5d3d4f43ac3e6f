//! Extended attributes: recorded where there are any, asked for only when it matters.

mod common;

use std::path::Path;

use common::{Place, settle};
use rustix::fs::{XattrFlags, lremovexattr, lsetxattr};
use velo_core::manifest::Manifest;
use velo_core::vnode::flag;
use velo_indexer::{BuildOptions, Xattrs};

fn set(path: &Path, name: &str, value: &[u8]) {
    lsetxattr(path, name, value, XattrFlags::empty()).unwrap_or_else(|errno| {
        panic!(
            "{}: this test needs user.* attributes: {errno}",
            path.display()
        )
    });
}

/// Name and value of each attribute of an entry.
fn attributes(bytes: &[u8], path: &str) -> Vec<(String, Vec<u8>)> {
    let manifest = Manifest::open(bytes).unwrap();
    manifest.verify().unwrap();
    let index = manifest.lookup(0, path.as_bytes()).unwrap();
    let found: Vec<_> = manifest
        .xattrs(index)
        .map(|(name, value)| (String::from_utf8(name.to_vec()).unwrap(), value.to_vec()))
        .collect();
    let flagged = manifest.vnode(index).unwrap().flags & flag::XATTR != 0;
    assert_eq!(flagged, !found.is_empty(), "{path}");
    found
}

#[test]
fn files_and_directories_keep_theirs() {
    let place = Place::with_tree();
    set(&place.path("app.py"), "user.origin", b"somewhere");
    set(&place.path("app.py"), "user.empty", b"");
    set(&place.path("pkg"), "user.kind", &[0, 255, 10]);
    set(&place.source, "user.root", b"r");
    settle();
    let built = place.build();
    let expected = [
        ("user.empty".into(), vec![]),
        ("user.origin".into(), b"somewhere".to_vec()),
    ];
    assert_eq!(attributes(&built.bytes, "app.py"), expected);
    assert_eq!(
        attributes(&built.bytes, "pkg"),
        [("user.kind".into(), vec![0, 255, 10])]
    );
    assert_eq!(
        attributes(&built.bytes, ""),
        [("user.root".into(), b"r".to_vec())]
    );
    assert_eq!(attributes(&built.bytes, "pkg/copy.bin"), []);
    // The same from the cache.
    let again = place.build();
    assert_eq!((again.bytes, again.summary.hashed_files), (built.bytes, 0));
}

#[test]
fn capabilities_are_kept() {
    if !rustix::process::geteuid().is_root() {
        common::skip("only root can give a file capabilities");
        return;
    }
    let place = Place::with_tree();
    // Version 2 of the format (linux/capability.h): cap_net_bind_service.
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    set(&place.path("bin/tool"), "security.capability", &capability);
    let built = place.build();
    assert_eq!(
        attributes(&built.bytes, "bin/tool"),
        [("security.capability".into(), capability.to_vec())]
    );
}

#[test]
fn a_changed_attribute_is_a_changed_file() {
    let place = Place::with_tree();
    set(&place.path("app.py"), "user.a", b"1");
    settle();
    place.build();
    set(&place.path("app.py"), "user.a", b"2");
    set(&place.path("pkg"), "user.b", b"3");
    let built = place.build();
    assert_eq!(
        attributes(&built.bytes, "app.py"),
        [("user.a".into(), b"2".to_vec())]
    );
    assert_eq!(
        attributes(&built.bytes, "pkg"),
        [("user.b".into(), b"3".to_vec())]
    );
    lremovexattr(place.path("app.py"), "user.a").unwrap();
    assert_eq!(attributes(&place.build().bytes, "app.py"), []);
}

#[test]
fn without_them_nothing_is_recorded_and_the_cache_knows() {
    let place = Place::with_tree();
    set(&place.path("app.py"), "user.a", b"1");
    settle();
    let without = BuildOptions {
        xattrs: Xattrs::None,
        ..BuildOptions::default()
    };
    let built = place.build_with(&without).unwrap();
    assert_eq!(attributes(&built.bytes, "app.py"), []);
    // That cache says nothing of attributes, so it does not do for a build with them.
    let built = place.build();
    assert_eq!(attributes(&built.bytes, "app.py").len(), 1);
    assert_eq!(place.build().summary.hashed_files, 0);
    assert_eq!(
        attributes(&place.build_with(&without).unwrap().bytes, "app.py"),
        []
    );
}

/// An access control list (linux/posix_acl_xattr.h): user 1 may read.
fn acl() -> Vec<u8> {
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 6, u32::MAX),
        (0x02, 4, 1),
        (0x04, 4, u32::MAX),
        (0x10, 4, u32::MAX),
        (0x20, 4, u32::MAX),
    ];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&permissions.to_le_bytes());
        bytes.extend_from_slice(&id.to_le_bytes());
    }
    bytes
}

#[test]
fn access_control_lists_are_recorded_if_asked_for() {
    let place = Place::with_tree();
    let (name, value) = ("system.posix_acl_access", acl());
    if let Err(errno) = lsetxattr(place.path("app.py"), name, &value, XattrFlags::empty()) {
        common::skip(&format!("no access control lists here: {errno}"));
        return;
    }
    set(&place.path("app.py"), "user.a", b"1");
    settle();
    let all = BuildOptions {
        xattrs: Xattrs::All,
        ..BuildOptions::default()
    };
    let expected = [(name.into(), value), ("user.a".into(), b"1".to_vec())];
    // Each build finds the stat cache of one that looked for something else.
    for _ in 0..2 {
        let built = place.build();
        assert_eq!(attributes(&built.bytes, "app.py"), expected[1..]);
        let built = place.build_with(&all).unwrap();
        assert_eq!(attributes(&built.bytes, "app.py"), expected);
        let again = place.build_with(&all).unwrap();
        assert_eq!((again.bytes, again.summary.hashed_files), (built.bytes, 0));
    }
}
