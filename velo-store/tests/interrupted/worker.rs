//! What the killed processes do, and what must hold whenever they are killed.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use velo_core::id::ContentHash;
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
}

impl Work {
    pub const ALL: [Self; 3] = [Self::Blobs, Self::NamedBlobs, Self::Current];

    pub fn name(self) -> &'static str {
        match self {
            Self::Blobs => "blobs",
            Self::NamedBlobs => "named_blobs",
            Self::Current => "current",
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
        }
    }
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
    blobs + current.len()
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
