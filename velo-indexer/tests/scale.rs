//! Trees that are deep, wide or full of large files.

mod common;

use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::sync::Mutex;

use common::{Place, entries, settle, threads};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, unlinkat};
use velo_core::id::ContentHash;
use velo_core::manifest::Manifest;
use velo_indexer::{Amount, IndexError, Progress, build};

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// Makes directories inside each other, `depth` deep, with a file in each.
fn dig(place: &Place, name: &str, depth: usize) -> OwnedFd {
    let name = CString::new(name).unwrap();
    let mut here = openat(CWD, &place.source, DIRECTORY, Mode::empty()).unwrap();
    for level in 0..depth {
        mkdirat(&here, &name, Mode::RWXU).unwrap();
        here = openat(&here, &name, DIRECTORY, Mode::empty()).unwrap();
        let flags = OFlags::CREATE | OFlags::WRONLY;
        let file = openat(&here, c"file", flags, Mode::RUSR | Mode::WUSR).unwrap();
        rustix::io::write(&file, level.to_string().as_bytes()).unwrap();
    }
    here
}

/// Removes what `dig` made, level by level from below: most removers recurse.
fn fill(place: &Place, name: &str, mut here: OwnedFd, depth: usize) {
    let name = CString::new(name).unwrap();
    for _ in 0..depth {
        unlinkat(&here, c"file", AtFlags::empty()).unwrap();
        let above = openat(&here, c"..", DIRECTORY, Mode::empty()).unwrap();
        unlinkat(&above, &name, AtFlags::REMOVEDIR).unwrap();
        here = above;
    }
    assert_eq!(place.source.read_dir().unwrap().count(), 0);
}

/// The longest paths that a manifest holds: the source's own path comes on top, so no
/// absolute path leads to them.
#[test]
fn absolute_paths_longer_than_path_max() {
    let place = Place::new();
    let (name, depth) = ("n".repeat(254), 16);
    let bottom = dig(&place, &name, depth);
    assert!(place.source.as_os_str().len() + depth * 255 > 4096);
    settle();
    for count in [1, 2] {
        let built = place.build_with(&threads(count)).unwrap();
        assert_eq!(built.summary.entries, 1 + 2 * depth as u64);
        let manifest = Manifest::open(&built.bytes).unwrap();
        manifest.verify().unwrap();
        let mut index = manifest.root(0).unwrap().index;
        for level in 0..depth {
            index = manifest.child(index, name.as_bytes()).unwrap();
            let file = manifest.child(index, b"file").unwrap();
            let hash = blake3::hash(level.to_string().as_bytes());
            assert_eq!(
                manifest.vnode(file).unwrap().content_hash,
                *hash.as_bytes(),
                "{level}"
            );
        }
    }
    assert_eq!(place.build().summary.hashed_files, 0, "from the cache");
    fill(&place, &name, bottom, depth);
}

/// Deeper than a manifest can say: refused by name, without going all the way down, in
/// little stack.
#[test]
fn deeper_than_a_path_can_say() {
    for (name, depth) in [("n".repeat(255), 40), ("d".to_owned(), 2200)] {
        let place = Place::new();
        let bottom = dig(&place, &name, depth);
        for count in [1, 3] {
            let error = std::thread::scope(|scope| {
                let small = std::thread::Builder::new().stack_size(128 << 10);
                let build = || place.build_with(&threads(count)).unwrap_err();
                small.spawn_scoped(scope, build).unwrap().join().unwrap()
            });
            let IndexError::TooLong { paths } = &error else {
                panic!("{error}")
            };
            let longer: Vec<_> = paths.first.iter().map(|(_, why)| why.as_str()).collect();
            // Files, and the first directory that is too deep: no level below it.
            let expected = match name.len() {
                1 => vec![
                    "a path of 4096 bytes",
                    "a path of 4097 bytes",
                    "a path of 4098 bytes",
                    "a path of 4100 bytes",
                ],
                _ => vec!["a path of 4100 bytes", "a path of 4351 bytes"],
            };
            assert_eq!(BTreeSet::from_iter(longer), BTreeSet::from_iter(expected));
            assert_eq!(place.store.index_directory().read_dir().unwrap().count(), 0);
        }
        fill(&place, &name, bottom, depth);
    }
}

#[test]
fn a_thousand_levels() {
    let place = Place::new();
    let depth = 1000;
    let bottom = dig(&place, "d", depth);
    for count in [1, 2] {
        let built = place.build_with(&threads(count)).unwrap();
        assert_eq!(built.summary.entries, 1 + 2 * depth as u64);
        let manifest = Manifest::open(&built.bytes).unwrap();
        manifest.verify().unwrap();
        let deepest = [&b"d/".repeat(depth)[..], b"file"].concat();
        let index = manifest.lookup(0, &deepest).unwrap();
        let hash = ContentHash::of((depth - 1).to_string().as_bytes());
        assert_eq!(
            manifest.vnode(index).unwrap().content_hash,
            *hash.as_bytes()
        );
    }
    fill(&place, "d", bottom, depth);
}

#[test]
fn one_directory_of_many_files() {
    let place = Place::new();
    for number in 0..10_000 {
        std::fs::write(place.path(format!("{number:x}")), b"").unwrap();
    }
    settle();
    let built = place.build_with(&threads(4)).unwrap();
    assert_eq!(built.summary.files, 10_000);
    assert_eq!(built.summary.new_blobs, 1);
    assert_eq!(entries(&built.bytes), place.expected());
    std::fs::write(place.path("2000"), b"changed").unwrap();
    let again = place.build_with(&threads(4)).unwrap();
    assert_eq!(again.summary.hashed_files, 1);
    assert_eq!(entries(&again.bytes), place.expected());
}

#[test]
fn large_files_among_small_ones() {
    let place = Place::new();
    for number in 0..40 {
        place.write(format!("small/{number}"), format!("{number}").as_bytes());
    }
    for number in 0..6_u8 {
        let content: Vec<u8> = (0..7 << 20)
            .map(|at: u32| (at / 251) as u8 ^ number)
            .collect();
        place.write(format!("large-{number}"), &content);
    }
    let built = place.build_with(&threads(2)).unwrap();
    assert_eq!(entries(&built.bytes), place.expected());
    assert_eq!(built.summary.new_blobs, 46);
}

/// Everything that a build told.
#[derive(Default)]
struct Told(Mutex<Vec<(Amount, Amount)>>);

impl Progress for Told {
    fn ingested(&self, done: Amount, total: Amount) {
        self.0.lock().unwrap().push((done, total));
    }
}

#[test]
fn progress_moves_within_a_large_file() {
    let place = Place::new();
    place.write("large", &[7; 9 << 20]);
    place.write("small", b"small");
    let told = Told::default();
    build(&place.source, &threads(1), &place.store, &told).unwrap();
    let told = told.0.into_inner().unwrap();
    let whole = Amount {
        files: 2,
        bytes: (9 << 20) + 5,
    };
    assert!(told.iter().all(|(_, total)| *total == whole));
    assert!(told.is_sorted_by_key(|(done, _)| done.bytes), "{told:?}");
    let within = told
        .iter()
        .filter(|(done, _)| done.files == 0 && (1..9 << 20).contains(&done.bytes));
    assert!(within.count() >= 8, "{told:?}");
    assert_eq!(told.last().unwrap().0, whole);
}
