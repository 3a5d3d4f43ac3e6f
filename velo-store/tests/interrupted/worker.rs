//! What the killed processes do, and what must hold whenever they are killed.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use velo_core::id::ContentHash;
use velo_core::manifest::Manifest;
use velo_core::manifest::write::{Content, ManifestBuilder, Meta};
use velo_core::stamp::stamp_ns;
use velo_store::Store;

use crate::world::{Fault, noise, with_faults};

/// Kinds of work.
#[derive(Clone, Copy)]
pub enum Work {
    /// Small and large blobs, without names until they are whole.
    Blobs,
    /// The same under temporary names, as on file systems without O_TMPFILE.
    NamedBlobs,
    /// The list of current manifests.
    Current,
    /// View trees.
    Views,
    /// Manifests.
    Manifests,
}

impl Work {
    pub const ALL: [Self; 5] = [
        Self::Blobs,
        Self::NamedBlobs,
        Self::Current,
        Self::Views,
        Self::Manifests,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Blobs => "blobs",
            Self::NamedBlobs => "named_blobs",
            Self::Current => "current",
            Self::Views => "views",
            Self::Manifests => "manifests",
        }
    }

    /// Whether some system calls must be made to fail for it.
    pub fn needs_faults(self) -> bool {
        matches!(self, Self::NamedBlobs)
    }

    /// Never returns.
    pub fn run_until_killed(self, root: &Path, seed: u64) {
        let store = Store::open_or_create(root).unwrap();
        let forever = || {
            for round in seed * 1_000_000.. {
                self.do_once(&store, round);
            }
        };
        if self.needs_faults() {
            with_faults(&[Fault::no_tmpfile()], forever);
        } else {
            forever();
        }
        std::thread::park();
    }

    /// The last work of every killed process, done again.
    pub fn finish(self, store: &Store) {
        for round in 0..50 {
            self.do_once(store, round);
        }
    }

    fn do_once(self, store: &Store, round: u64) {
        match self {
            Self::Blobs | Self::NamedBlobs => {
                // Few enough contents that killed processes left some of them behind.
                let number = round % 97;
                let length = if number == 0 {
                    6 << 20
                } else {
                    number as usize * 1009
                };
                let content = noise(length, number);
                let executable = round.is_multiple_of(3);
                if length > 1 << 20 {
                    let path = store.root().join(format!("source-{}", std::process::id()));
                    std::fs::write(&path, &content).unwrap();
                    let source = std::fs::File::open(&path).unwrap();
                    std::fs::remove_file(&path).unwrap();
                    store.put(&source, 0, executable, &mut Vec::new()).unwrap();
                } else {
                    store.put_bytes(&content, executable).unwrap();
                }
                // Room for the next round to be new again.
                let blob = store.blob_path(&ContentHash::of(&noise(
                    (number as usize + 50) % 97 * 1009,
                    (number + 50) % 97,
                )));
                let _absent = std::fs::remove_file(blob);
            }
            Self::Current => store.set_current(&list(round)).unwrap(),
            Self::Views => {
                let bytes = tree(store, round % 3);
                let manifest = Manifest::open(&bytes).unwrap();
                match round % 4 {
                    0 => drop(store.rebuild_view(&manifest).unwrap()),
                    // Also while others build the same.
                    1 => std::thread::scope(|scope| {
                        for _ in 0..2 {
                            scope.spawn(|| store.ensure_view(&manifest).unwrap());
                        }
                    }),
                    2 => drop(store.ensure_view(&manifest).unwrap()),
                    _ => store.remove_view(&manifest).unwrap(),
                }
            }
            Self::Manifests => {
                let bytes = tree(store, round % 3);
                let destination = store.root().join("published.velo");
                let tree = store.publish_manifest(&bytes, &destination).unwrap();
                let _again = std::fs::remove_file(store.manifest_path(&tree));
            }
        }
    }
}

/// A manifest with some directories and executables, all blobs of it in the store.
fn tree(store: &Store, seed: u64) -> Vec<u8> {
    let mut builder = ManifestBuilder::new();
    let meta = |size| Meta {
        mode: 0o755,
        size,
        ..Meta::default()
    };
    let root = builder.add_root(b"/app", meta(0)).unwrap();
    for number in 0..100 + seed {
        let directory = builder
            .add_dir(root, number.to_string().as_bytes(), meta(0))
            .unwrap();
        let put = store.put_bytes(&noise(50, number % 7), true).unwrap();
        let content = Content {
            hash: *put.hash.as_bytes(),
            in_view: true,
            blocks: None,
        };
        builder
            .add_file(directory, b"run", meta(50), content)
            .unwrap();
        builder
            .add_symlink(directory, b"link", meta(0), b"../0/run")
            .unwrap();
    }
    builder.build().unwrap()
}

/// A list whose lengths differ, and that says itself how long it must be.
fn list(round: u64) -> Vec<PathBuf> {
    let count = 1 + round % 40;
    (0..count)
        .map(|n| format!("/{count}/of/{}/{n}", "x".repeat(100)).into())
        .collect()
}

/// Checks all that is visible in the store. Returns how much that is.
pub fn check_whole(root: &Path) -> usize {
    let store = Store::open(root).unwrap();
    let blobs = check_blobs(&store);
    let current = store.current().unwrap();
    if let Some(first) = current.first() {
        let count: usize = first
            .iter()
            .nth(1)
            .unwrap()
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(current.len(), count);
    }
    blobs + current.len() + check_views(&store) + check_manifests(&store)
}

/// A view that has its name is complete.
fn check_views(store: &Store) -> usize {
    let views = store.root().join("views");
    let names = std::fs::read_dir(views).map(|all| all.map(|entry| entry.unwrap().file_name()));
    let mut names: Vec<_> = names.into_iter().flatten().collect();
    names.retain(|name| !name.to_string_lossy().starts_with(".velo-tmp-"));
    let mut seen = 0;
    for seed in 0..3 {
        let bytes = tree(store, seed);
        let manifest = Manifest::open(&bytes).unwrap();
        let path = store.view_path(&manifest);
        if names.iter().any(|name| path.ends_with(name)) {
            let report = store.fsck(&manifest, true).unwrap();
            let count = report.problems.len();
            assert!(
                count == 0,
                "{count} problems, first: {:?}",
                report.problems.first()
            );
            seen += 1;
        }
    }
    assert_eq!(seen, names.len(), "a view of no manifest");
    seen
}

/// A manifest that has its name is whole and stamped, and so are all its blobs.
fn check_manifests(store: &Store) -> usize {
    let kept = std::fs::read_dir(store.root().join("manifests")).unwrap();
    let kept = kept.map(|entry| entry.unwrap().path());
    let published = store.root().join("published.velo");
    let mut seen = 0;
    for path in kept.chain([published]) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with(".velo-tmp-") || !path.exists() {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let manifest = Manifest::open(&bytes).unwrap();
        manifest.verify().unwrap();
        let stamp = stamp_ns(manifest.body_digest());
        assert_eq!(
            path.metadata().unwrap().mtime_nsec() as u32,
            stamp,
            "{name}"
        );
        assert!(name == "published.velo" || name == format!("{}.velo", ContentHash::of(&bytes)));
        assert!(
            store
                .check_blobs(&manifest, true)
                .unwrap()
                .problems
                .is_empty()
        );
        seen += 1;
    }
    seen
}

fn check_blobs(store: &Store) -> usize {
    let mut seen = 0;
    for shard in std::fs::read_dir(store.root().join("cas_store")).unwrap() {
        let shard = shard.unwrap();
        let shard_name = shard.file_name().into_string().unwrap();
        if shard_name.starts_with(".velo-tmp-") {
            continue;
        }
        assert_eq!(shard_name.len(), 2, "{shard_name}");
        for blob in std::fs::read_dir(shard.path()).unwrap() {
            let blob = blob.unwrap();
            let hash: ContentHash = blob.file_name().to_str().unwrap().parse().unwrap();
            assert!(
                store.contains(&hash),
                "{hash} has its name but not its stamp"
            );
            store.verify_blob(&hash).unwrap();
            let mode = blob.metadata().unwrap().mode() & 0o7777;
            assert!(mode == 0o444 || mode == 0o555, "{hash} has mode {mode:o}");
            seen += 1;
        }
    }
    seen
}
