//! The same tree gives the same bytes, whoever looks and in whatever order.

mod common;

use common::{Place, entries, settle, threads};
use velo_indexer::BuildOptions;

fn wide_tree() -> Place {
    let place = Place::with_tree();
    for number in 0..300 {
        place.write(
            format!("d{}/e{}/f{number}", number % 7, number % 13),
            format!("{}", number % 50).as_bytes(),
        );
    }
    for number in 0..5000 {
        place.write(format!("wide/{number}"), b"");
    }
    settle();
    place
}

#[test]
fn threads_and_cache_do_not_show() {
    let place = wide_tree();
    let first = place.build_with(&threads(1)).unwrap();
    assert_eq!(entries(&first.bytes), place.expected());
    for count in [1, 2, 8] {
        let cached = place.build_with(&threads(count)).unwrap();
        assert_eq!(cached.bytes, first.bytes, "{count} threads, with the cache");
        assert_eq!(cached.summary.hashed_files, 0);
        let options = BuildOptions {
            no_cache: true,
            ..threads(count)
        };
        let fresh = place.build_with(&options).unwrap();
        assert_eq!(
            fresh.bytes, first.bytes,
            "{count} threads, without the cache"
        );
        assert_eq!(fresh.summary.cached_files, 0);
        assert_eq!(fresh.summary.new_blobs, 0);
    }
}

/// Several builders of one tree into one store, at the same time: all get the same, and
/// the stat cache that is left is a whole one.
#[test]
fn builders_do_not_disturb_each_other() {
    let place = wide_tree();
    let all: Vec<_> = std::thread::scope(|scope| {
        let builders: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| place.build_with(&threads(2)).unwrap().bytes))
            .collect();
        builders
            .into_iter()
            .map(|builder| builder.join().unwrap())
            .collect()
    });
    assert!(all.iter().all(|bytes| *bytes == all[0]));
    assert_eq!(entries(&all[0]), place.expected());
    assert_eq!(place.build().summary.hashed_files, 0);
}

#[test]
fn stores_do_not_show() {
    let place = wide_tree();
    let other = velo_store::Store::open_or_create(&place.directory.path().join("other")).unwrap();
    let built = velo_indexer::build(&place.source, &threads(2), &other, &()).unwrap();
    assert_eq!(built.bytes, place.build().bytes);
}

/// A copy made in another order, with the same metadata, served at the same place.
#[test]
fn the_order_of_creation_does_not_show() {
    let place = Place::new();
    let other = Place::new();
    let names: Vec<String> = (0..200).map(|number| format!("file-{number}")).collect();
    for (this, order) in [
        (&place, names.iter().collect::<Vec<_>>()),
        (&other, names.iter().rev().collect()),
    ] {
        for name in order {
            this.write(name, name.as_bytes());
            let file = std::fs::File::options()
                .write(true)
                .open(this.path(name))
                .unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        // A directory's own size and times are part of the tree.
        let directory = std::fs::File::open(&this.source).unwrap();
        directory.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    let sizes = [&place, &other].map(|this| this.source.metadata().unwrap().len());
    assert_eq!(sizes[0], sizes[1]);
    let options = BuildOptions {
        mount: Some("/app".into()),
        ..BuildOptions::default()
    };
    assert_eq!(
        place.build_with(&options).unwrap().bytes,
        other.build_with(&options).unwrap().bytes
    );
}

#[test]
fn an_unchanged_tree_gives_back_the_published_manifest() {
    let place = wide_tree();
    let output = place.directory.path().join("app.velo");
    let options = BuildOptions {
        output: Some(output.clone()),
        ..BuildOptions::default()
    };
    let first = place.build_with(&options).unwrap();
    assert!(!first.summary.unchanged);
    std::fs::write(&output, &first.bytes).unwrap();
    let again = place.build_with(&options).unwrap();
    assert!(again.summary.unchanged);
    assert_eq!(again.bytes, first.bytes);
    assert_eq!(
        (again.summary.entries, again.summary.files),
        (first.summary.entries, first.summary.files)
    );
    assert_eq!(again.summary.packages, first.summary.packages);
    // Somebody else's bytes in its place are not taken for it.
    std::fs::write(&output, &first.bytes[1..]).unwrap();
    let repaired = place.build_with(&options).unwrap();
    assert!(!repaired.summary.unchanged);
    assert_eq!(repaired.bytes, first.bytes);
    // Nor is the manifest of another mount point.
    let moved = BuildOptions {
        mount: Some("/elsewhere".into()),
        ..options
    };
    std::fs::write(&output, &first.bytes).unwrap();
    assert_ne!(place.build_with(&moved).unwrap().bytes, first.bytes);
}
