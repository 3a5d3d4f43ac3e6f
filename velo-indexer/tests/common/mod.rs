//! A place to index in, and manifests read back into something that compares.
#![allow(dead_code, reason = "each test crate uses its part of this")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use velo_core::id::ContentHash;
use velo_core::manifest::Manifest;
use velo_indexer::{BuildOptions, Built, IndexError, build};
use velo_store::Store;

/// A source tree and a store, removed at the end.
pub struct Place {
    pub directory: TempDir,
    pub source: PathBuf,
    pub store: Store,
}

impl Place {
    /// With an empty source.
    pub fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let source = directory.path().canonicalize().unwrap().join("source");
        std::fs::create_dir(&source).unwrap();
        let store = Store::open_or_create(&directory.path().join("store")).unwrap();
        Self {
            directory,
            source,
            store,
        }
    }

    /// With a small tree of every kind of entry, old enough to be trusted by a cache.
    pub fn with_tree() -> Self {
        let place = Self::new();
        place.write("app.py", b"print('hello')\n");
        place.write("pkg/__init__.py", b"");
        place.write("pkg/deep/er/data.bin", &[7; 5000]);
        place.write("pkg/copy.bin", &[7; 5000]);
        place.write("bin/tool", b"#!/bin/sh\necho tool\n");
        place.mode("bin/tool", 0o755);
        place.write("lib/native.so", b"\x7fELF and so on");
        symlink("../app.py", place.path("bin/app")).unwrap();
        symlink("/nowhere/at all", place.path("dangling")).unwrap();
        std::fs::create_dir(place.path("empty")).unwrap();
        settle();
        place
    }

    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.source.join(below)
    }

    pub fn write(&self, below: impl AsRef<Path>, content: &[u8]) {
        let path = self.path(below);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn mode(&self, below: &str, mode: u32) {
        std::fs::set_permissions(self.path(below), PermissionsExt::from_mode(mode)).unwrap();
    }

    /// Indexes with the default options.
    pub fn build(&self) -> Built {
        self.build_with(&BuildOptions::default()).unwrap()
    }

    pub fn build_with(&self, options: &BuildOptions) -> Result<Built, IndexError> {
        build(&self.source, options, &self.store, &())
    }

    /// What the manifest must say, asked of the source itself.
    pub fn expected(&self) -> BTreeMap<PathBuf, Seen> {
        let mut all = BTreeMap::new();
        let mut waiting = vec![PathBuf::new()];
        while let Some(below) = waiting.pop() {
            let path = self.path(&below);
            let metadata = path.symlink_metadata().unwrap();
            let mut nlink = metadata.nlink() as u32;
            if metadata.is_dir() {
                // Some file systems do not count a directory's links.
                nlink = 2;
                for entry in path.read_dir().unwrap() {
                    let entry = entry.unwrap();
                    nlink += u32::from(entry.file_type().unwrap().is_dir());
                    waiting.push(below.join(entry.file_name()));
                }
            }
            let content = if metadata.is_file() {
                std::fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            let target = metadata
                .is_symlink()
                .then(|| std::fs::read_link(&path).unwrap());
            let seen = Seen {
                mode: metadata.mode(),
                size: metadata.size(),
                owner: (metadata.uid(), metadata.gid()),
                mtime: (metadata.mtime(), metadata.mtime_nsec() as u32),
                nlink,
                content: metadata.is_file().then(|| ContentHash::of(&content)),
                target,
            };
            all.insert(below, seen);
        }
        all
    }
}

/// What is compared of an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    pub mode: u32,
    pub size: u64,
    pub owner: (u32, u32),
    pub mtime: (i64, u32),
    pub nlink: u32,
    pub content: Option<ContentHash>,
    pub target: Option<PathBuf>,
}

/// Everything in a manifest of one root; verifies it first.
pub fn entries(bytes: &[u8]) -> BTreeMap<PathBuf, Seen> {
    let manifest = Manifest::open(bytes).unwrap();
    manifest.verify().unwrap();
    let mut all = BTreeMap::new();
    let mut waiting = vec![(manifest.root(0).unwrap().index, PathBuf::new())];
    while let Some((index, path)) = waiting.pop() {
        let vnode = manifest.vnode(index).unwrap();
        let stat = manifest.stat(index).unwrap();
        assert_eq!(
            manifest.lookup(0, path.as_os_str().as_bytes()),
            Some(index),
            "{path:?}"
        );
        for child in manifest.children(index) {
            let name = OsStr::from_bytes(manifest.name(child).unwrap());
            waiting.push((child, path.join(name)));
        }
        let target = manifest
            .symlink_target(index)
            .filter(|_| vnode.is_symlink());
        let seen = Seen {
            mode: stat.mode,
            size: stat.size,
            owner: (stat.uid, stat.gid),
            mtime: (stat.mtime.sec, stat.mtime.nsec),
            nlink: stat.nlink,
            content: vnode
                .is_file()
                .then(|| ContentHash::from_bytes(vnode.content_hash)),
            target: target.map(|target| OsStr::from_bytes(target).into()),
        };
        all.insert(path, seen);
    }
    all
}

/// Says, past the capture of test output, that the running test was left out and why.
pub fn skip(why: &str) {
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    let line = format!("SKIP velo-indexer {name}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Waits until what was written just now is no longer racy for a stat cache.
pub fn settle() {
    std::thread::sleep(Duration::from_millis(40));
}

/// Options with so many threads.
pub fn threads(threads: usize) -> BuildOptions {
    BuildOptions {
        threads,
        ..BuildOptions::default()
    }
}

/// Sets back a file's mtime to what `metadata` says.
pub fn restore_mtime(path: &Path, metadata: &std::fs::Metadata) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(metadata.modified().unwrap()).unwrap();
}
