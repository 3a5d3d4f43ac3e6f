//! A small tree, written out by hand: what each reader function says of it.
#![cfg(feature = "std")]

use velo_core::manifest::write::{Content, ManifestBuilder, Meta, WriteError};
use velo_core::manifest::{Manifest, Metadata, Package, SourceStat, Time};
use velo_core::vnode::flag;

fn meta(mode: u32, size: u64) -> Meta {
    Meta {
        mode,
        uid: 1000,
        gid: 100,
        mtime: Time {
            sec: 1_700_000_000,
            nsec: 123,
        },
        size,
    }
}

fn content(byte: u8) -> Content {
    Content {
        hash: [byte; 32],
        in_view: false,
        blocks: None,
    }
}

/// Two roots; the first holds `bin/run`, `lib/{a.py,b.py}`, a hard link and symlinks.
fn small() -> Vec<u8> {
    let mut tree = ManifestBuilder::new();
    let second = tree.add_root(b"/srv/z", meta(0o700, 40)).unwrap();
    let first = tree.add_root(b"/app", meta(0o755, 4096)).unwrap();
    let bin = tree.add_dir(first, b"bin", meta(0o755, 4096)).unwrap();
    let lib = tree.add_dir(first, b"lib", meta(0o750, 4097)).unwrap();
    let run = tree
        .add_file(bin, b"run", meta(0o4755, 5000), content(1))
        .unwrap();
    let b = tree
        .add_file(lib, b"b.py", meta(0o644, 0), content(2))
        .unwrap();
    tree.add_file(lib, b"a.py", meta(0o644, 4096), content(3))
        .unwrap();
    tree.add_hard_link(first, b"run2", run).unwrap();
    let link = tree
        .add_symlink(first, b"link", meta(0o777, 9), b"lib/b.py")
        .unwrap();
    tree.add_hard_link(second, b"link", link).unwrap();
    let holes = Content {
        blocks: Some(8),
        ..content(4)
    };
    tree.add_file(second, b"holes", meta(0o600, 1 << 33), holes)
        .unwrap();
    tree.set_xattrs(
        b,
        vec![
            (b"user.b".into(), b"2".into()),
            (b"user.a".into(), b"".into()),
        ],
    )
    .unwrap();
    tree.add_package(Package {
        name: b"velo",
        version: b"1.0",
        tree: [7; 32],
    });
    tree.add_provenance(b"tool", b"velo = 1").unwrap();
    tree.build().unwrap()
}

fn at(manifest: &Manifest, root: u32, path: &str) -> Metadata {
    let index = manifest.lookup(root, path.as_bytes());
    let index = index.unwrap_or_else(|| panic!("{path} not found"));
    manifest.stat(index).unwrap()
}

#[test]
fn a_small_tree_reads_back() {
    let bytes = small();
    let manifest = Manifest::open(&bytes).unwrap();
    manifest.verify().unwrap();
    assert_eq!(manifest.entry_count(), 11);
    let mounts = [0, 1].map(|number| manifest.root(number).unwrap().mount);
    assert_eq!(mounts, [&b"/app"[..], b"/srv/z"], "sorted by mount");
    assert_eq!(manifest.root(2), None);
    let names: Vec<_> = manifest
        .children(0)
        .map(|child| manifest.name(child).unwrap())
        .collect();
    assert_eq!(names, [&b"bin"[..], b"lib", b"link", b"run2"]);

    let run = at(&manifest, 0, "bin/run");
    assert_eq!(
        (run.mode, run.size, run.blocks, run.nlink),
        (0o104_755, 5000, 16, 2)
    );
    assert_eq!((run.uid, run.gid, run.blksize), (1000, 100, 4096));
    assert_eq!(run.mtime, meta(0, 0).mtime);
    assert_eq!(
        (run.atime, run.ctime, run.btime),
        (run.mtime, run.mtime, None)
    );
    assert_eq!(
        run,
        at(&manifest, 0, "run2"),
        "a hard link is the same file"
    );
    let link = at(&manifest, 0, "link");
    assert_eq!(
        (link.mode, link.size, link.blocks, link.nlink),
        (0o120_777, 8, 0, 2)
    );
    assert_eq!(
        link,
        at(&manifest, 1, "link"),
        "across roots, and for symlinks too"
    );
    assert_eq!(at(&manifest, 1, "holes").blocks, 8);
    assert_eq!(at(&manifest, 0, "").nlink, 4);
    assert_eq!(at(&manifest, 0, "lib").nlink, 2);
    assert_eq!(at(&manifest, 0, "lib").blocks, 16);
    assert_eq!(at(&manifest, 0, "lib/b.py").blocks, 0);
    for index in 0..manifest.entry_count() {
        assert_eq!(
            manifest.ino(index),
            manifest.stat(index).map(|data| data.ino)
        );
    }

    for absent in [
        "/",
        "bin/",
        "/bin",
        "bin//run",
        "bin/ru",
        "in/run",
        "x/bin/run",
        "bin/run/x",
    ] {
        assert_eq!(manifest.lookup(0, absent.as_bytes()), None, "{absent}");
    }
    assert_eq!(manifest.lookup(1, b"bin/run"), None, "of the other root");
    assert_eq!(manifest.lookup(2, b""), None);

    let index = manifest.lookup(0, b"link").unwrap();
    assert_eq!(manifest.symlink_target(index), Some(&b"lib/b.py"[..]));
    assert_eq!(manifest.symlink_target(0), None);
    let both: Vec<_> = manifest.hard_links(index).collect();
    assert_eq!(both, [index, manifest.lookup(1, b"link").unwrap()]);

    let b = manifest.lookup(0, b"lib/b.py").unwrap();
    let attributes: Vec<_> = manifest.xattrs(b).collect();
    assert_eq!(attributes, [(&b"user.a"[..], &b""[..]), (b"user.b", b"2")]);
    assert_eq!(manifest.xattr(b, b"user.b"), Some(&b"2"[..]));
    assert_eq!(manifest.xattrs(0).count(), 0);
    let packages: Vec<_> = manifest.packages().collect();
    assert_eq!(
        (packages[0].name, packages[0].version),
        (&b"velo"[..], &b"1.0"[..])
    );
    assert_eq!(packages[0].tree, [7; 32]);
    let lines: Vec<_> = manifest.provenance().collect();
    assert_eq!(
        lines,
        [(&b"tool"[..], &b"velo = 1"[..])],
        "only the first `=` divides"
    );
}

#[test]
fn flags_say_what_the_interposer_needs() {
    let bytes = small();
    let manifest = Manifest::open(&bytes).unwrap();
    let flags = |root, path: &str| {
        let index = manifest.lookup(root, path.as_bytes()).unwrap();
        manifest.vnode(index).unwrap().flags
    };
    let run = flag::EXECUTABLE | flag::IN_VIEW | flag::HARDLINK | flag::PUBLIC;
    assert_eq!(flags(0, "bin/run"), run);
    assert_eq!(flags(0, "lib"), flag::DIR, "0750 is not public");
    assert_eq!(flags(0, "lib/b.py"), flag::XATTR, "nor is what it holds");
    assert_eq!(flags(1, ""), flag::DIR);
    assert_eq!(flags(1, "holes"), flag::SPARSE);
    assert_eq!(
        flags(0, "link"),
        flag::SYMLINK | flag::HARDLINK | flag::PUBLIC
    );
}

#[test]
fn paths_and_roots_of_entries() {
    let bytes = small();
    let manifest = Manifest::open(&bytes).unwrap();
    let mut buffer = [0; 8];
    for (root, path) in [
        (0, "bin/run"),
        (0, ""),
        (1, ""),
        (1, "holes"),
        (0, "lib/b.py"),
    ] {
        let index = manifest.lookup(root, path.as_bytes()).unwrap();
        let length = manifest.rel_path(index, &mut buffer).unwrap();
        assert_eq!(&buffer[..length], path.as_bytes());
        assert_eq!(manifest.root_of(index), Some(root));
        assert_eq!(
            manifest.rel_path(index, &mut buffer[..path.len()]),
            Some(path.len())
        );
        if let Some(short) = path.len().checked_sub(1) {
            assert_eq!(manifest.rel_path(index, &mut buffer[..short]), None);
        }
    }
    assert_eq!(manifest.rel_path(11, &mut buffer), None);
    assert_eq!(manifest.root_of(11), None);
}

#[test]
fn long_symlink_targets_take_a_block() {
    let mut tree = ManifestBuilder::new();
    let root = tree.add_root(b"/", meta(0o755, 1)).unwrap();
    for length in [59, 60] {
        let name = format!("{length}");
        let target = vec![b't'; length];
        let link = tree.add_symlink(root, name.as_bytes(), meta(0o777, 0), &target);
        link.unwrap();
    }
    let bytes = tree.build().unwrap();
    let manifest = Manifest::open(&bytes).unwrap();
    let found = ["59", "60"].map(|path| at(&manifest, 0, path));
    assert_eq!(found.map(|data| data.blocks), [0, 8]);
    assert_eq!(found.map(|data| data.size), [59, 60]);
}

#[test]
fn an_exact_manifest_reports_the_source() {
    let stat = |ino| SourceStat {
        ino,
        blocks: 7,
        atime: Time { sec: 1, nsec: 2 },
        ctime: Time { sec: 3, nsec: 4 },
        btime: (ino % 2 == 0).then_some(Time { sec: -5, nsec: 6 }),
        nlink: 9,
        blksize: 512,
    };
    let mut tree = ManifestBuilder::new();
    let root = tree.add_root(b"/", meta(0o755, 1)).unwrap();
    tree.set_source_stat(root, stat(77)).unwrap();
    let file = tree
        .add_file(root, b"f", meta(0o644, 1), content(0))
        .unwrap();
    tree.add_hard_link(root, b"g", file).unwrap();
    tree.set_source_stat(file, stat(42)).unwrap();
    let bytes = tree.build().unwrap();
    let manifest = Manifest::open(&bytes).unwrap();
    manifest.verify().unwrap();
    let found = at(&manifest, 0, "g");
    assert_eq!(
        (found.ino, found.nlink, found.blocks, found.blksize),
        (42, 9, 7, 512)
    );
    assert_eq!(found.atime, Time { sec: 1, nsec: 2 });
    assert_eq!(found.btime, Some(Time { sec: -5, nsec: 6 }));
    assert_eq!(at(&manifest, 0, "").btime, None);
    assert_eq!(manifest.ino(0), Some(77));

    let mut tree = ManifestBuilder::new();
    let root = tree.add_root(b"/", meta(0o755, 1)).unwrap();
    tree.set_source_stat(root, stat(77)).unwrap();
    tree.add_file(root, b"f", meta(0o644, 1), content(0))
        .unwrap();
    let error = tree.build().unwrap_err();
    assert!(matches!(&error, WriteError::SourceStatMissing { path } if path.to_string() == "/f"));
}

#[test]
fn the_device_is_made_up_and_never_one_of_the_kernels() {
    let bytes = small();
    let manifest = Manifest::open(&bytes).unwrap();
    let data = manifest.stat(0).unwrap();
    assert_eq!(data.dev_major, 0);
    assert_eq!(data.dev_minor, manifest.dev_minor());
    assert!((1 << 19..1 << 20).contains(&data.dev_minor));
}

#[test]
fn a_large_directory_knows_its_subdirectories() {
    for count in [254, 255, 256, 1000] {
        let mut tree = ManifestBuilder::new();
        let root = tree.add_root(b"/r", meta(0o755, 1)).unwrap();
        tree.add_file(root, b"file", meta(0o644, 1), content(0))
            .unwrap();
        for number in 0..count {
            let name = format!("d{number}");
            tree.add_dir(root, name.as_bytes(), meta(0o755, 1)).unwrap();
        }
        let bytes = tree.build().unwrap();
        let manifest = Manifest::open(&bytes).unwrap();
        manifest.verify().unwrap();
        assert_eq!(manifest.stat(0).unwrap().nlink, count + 2);
    }
}

#[test]
fn what_the_format_cannot_hold_is_refused() {
    let mut tree = ManifestBuilder::new();
    let error = |result: Result<_, WriteError>| result.err().map(|error| error.to_string());
    for mount in ["", "app", "/app/", "/a/../b", "//"] {
        let found = error(tree.add_root(mount.as_bytes(), meta(0, 0)));
        assert!(
            found
                .unwrap()
                .starts_with("expected an absolute mount path")
        );
    }
    let root = tree.add_root(b"/app", meta(0o755, 0)).unwrap();
    let file = tree
        .add_file(root, b"f", meta(0o644, 0), content(0))
        .unwrap();
    for name in ["", ".", "..", "a/b", "nul\0"] {
        let found = error(tree.add_dir(root, name.as_bytes(), meta(0, 0))).unwrap();
        assert!(found.ends_with("in /app"), "{found}");
    }
    assert!(error(tree.add_dir(root, &[b'x'; 256], meta(0, 0))).is_some());
    assert!(
        error(tree.add_dir(file, b"below", meta(0, 0)))
            .unwrap()
            .contains("below")
    );
    assert!(error(tree.add_symlink(root, b"l", meta(0, 0), b"")).is_some());
    assert!(error(tree.add_hard_link(root, b"l", root)).is_some());
    let late = Meta {
        mtime: Time {
            sec: 0,
            nsec: 1_000_000_000,
        },
        ..meta(0, 0)
    };
    assert!(
        error(tree.add_dir(root, b"late", late))
            .unwrap()
            .contains("nanoseconds")
    );
    assert!(tree.add_provenance(b"a=b", b"").is_err());
    assert!(tree.add_provenance(b"a", b"b\nc").is_err());
    let twice = vec![(b"user.a".to_vec(), vec![1]), (b"user.a".to_vec(), vec![2])];
    assert!(tree.set_xattrs(file, twice).is_err());

    let mut long = ManifestBuilder::new();
    long.add_root(b"/", meta(0o755, 0)).unwrap();
    long.add_package(Package {
        name: b"p",
        version: &[b'1'; 4096],
        tree: [0; 32],
    });
    let found = long.build();
    assert_eq!(found, Err(WriteError::PackageTooLong { found_bytes: 4096 }));

    tree.add_symlink(root, b"f", meta(0, 0), b"x").unwrap();
    let found = tree.build().unwrap_err().to_string();
    assert_eq!(found, "expected each name once, found /app/f twice");
    assert_eq!(ManifestBuilder::new().build(), Err(WriteError::NoRoot));
}

#[test]
fn paths_as_long_as_the_kernel_takes_and_no_longer() {
    let build = |last: usize| {
        let mut tree = ManifestBuilder::new();
        let mut dir = tree.add_root(b"/r", meta(0o755, 0)).unwrap();
        for _ in 0..15 {
            dir = tree.add_dir(dir, &[b'd'; 255], meta(0o755, 0)).unwrap();
        }
        tree.add_file(dir, &vec![b'f'; last], meta(0o644, 0), content(0))
            .unwrap();
        tree.build()
    };
    let bytes = build(255).unwrap();
    Manifest::open(&bytes).unwrap().verify().unwrap();
    let path = [[b'd'; 255].as_slice(); 15].join(&b'/');
    let path = [&path[..], b"/", &[b'f'; 255]].concat();
    assert_eq!(path.len(), 4095);
    assert_eq!(Manifest::open(&bytes).unwrap().lookup(0, &path), Some(16));

    let mut tree = ManifestBuilder::new();
    let mut dir = tree.add_root(b"/r", meta(0o755, 0)).unwrap();
    for length in [[255; 15].as_slice(), &[254]].concat() {
        let name = vec![b'd'; length];
        dir = tree.add_dir(dir, &name, meta(0o755, 0)).unwrap();
    }
    tree.add_file(dir, b"f", meta(0o644, 0), content(0))
        .unwrap();
    let found = tree.build();
    assert!(matches!(
        found,
        Err(WriteError::PathTooLong {
            found_bytes: 4096,
            ..
        })
    ));
}
