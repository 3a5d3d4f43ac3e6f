//! The lookup itself, step by step: the path's hash, its slot, the entry, its metadata.
//!
//! `cargo bench -p velo-core --features std`. *hot* asks for one path again and again;
//! *random* walks a million paths in an order that no cache likes. A lookup waits for
//! the one before it, as a program's calls do.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

use velo_core::manifest::phf::{Phf, build};
use velo_core::manifest::write::{Content, ManifestBuilder, Meta};
use velo_core::manifest::{Manifest, Time};

/// Files of one package, in directories of 32.
const PACKAGE_FILES: usize = 213;
const DIRECTORY_FILES: usize = 32;
/// Paths that *random* goes through.
const WALK: usize = 1_000_000;

/// Where file number `number` stands, as in a site-packages directory.
fn components(number: usize) -> [String; 3] {
    let module = number % PACKAGE_FILES;
    [
        format!("package_{}", number / PACKAGE_FILES),
        format!("subpackage_{}", module / DIRECTORY_FILES),
        format!("module_{module}_of_the_package.py"),
    ]
}

fn path(number: usize) -> Vec<u8> {
    components(number).join("/").into_bytes()
}

/// A manifest of `files` files and the directories that they need.
fn manifest(files: usize) -> Vec<u8> {
    let meta = |mode, size| Meta {
        mode,
        size,
        mtime: Time {
            sec: 1_700_000_000,
            nsec: 0,
        },
        ..Meta::default()
    };
    let mut builder = ManifestBuilder::new();
    let root = builder
        .add_root(b"/opt/site-packages", meta(0o755, 4096))
        .unwrap();
    let (mut package, mut directory) = (root, root);
    for number in 0..files {
        let [package_name, directory_name, file_name] = components(number);
        let module = number % PACKAGE_FILES;
        if module == 0 {
            package = builder
                .add_dir(root, package_name.as_bytes(), meta(0o755, 4096))
                .unwrap();
        }
        if module.is_multiple_of(DIRECTORY_FILES) {
            directory = builder
                .add_dir(package, directory_name.as_bytes(), meta(0o755, 4096))
                .unwrap();
        }
        let mut hash = [7; 32];
        hash[..8].copy_from_slice(&(number as u64).to_le_bytes());
        let content = Content {
            hash,
            in_view: false,
            blocks: None,
        };
        builder
            .add_file(
                directory,
                file_name.as_bytes(),
                meta(0o644, number as u64),
                content,
            )
            .unwrap();
    }
    builder.build().unwrap()
}

/// `count` numbers below `below`, at random; the same ones in every run.
fn walk(below: usize, count: usize) -> Vec<usize> {
    let mut random = 1_u64;
    let mut next = || {
        random = random
            .wrapping_mul(0x5851_F42D_4C95_7F2D)
            .wrapping_add(0x1405_7B7E_F767_814F);
        ((u128::from(random) * below as u128) >> 64) as usize
    };
    (0..count).map(|_| next()).collect()
}

/// Benches `ask` over `keys` in turn, each call given a zero that the last one made.
fn in_turn<K>(criterion: &mut Criterion, name: String, keys: &[K], ask: impl Fn(&K, u64) -> u64) {
    let (mut at, mut zero) = (0, 0);
    let mask = black_box(0);
    criterion.bench_function(&name, |bencher| {
        bencher.iter(|| {
            zero = ask(&keys[at], zero) & mask;
            at = if at + 1 < keys.len() { at + 1 } else { 0 };
            zero
        });
    });
}

fn hash(criterion: &mut Criterion) {
    let keys: Vec<Vec<u8>> = walk(20_000, 1024).into_iter().map(path).collect();
    in_turn(criterion, "path_hash".into(), &keys, |path, zero| {
        Manifest::hash_rel(zero as u32, path)
    });
}

fn slot(criterion: &mut Criterion) {
    for files in [20_000, 1_000_000] {
        let hashes: Vec<u64> = (0..files)
            .map(|number| Manifest::hash_rel(0, &path(number)))
            .collect();
        let built = build(&hashes).unwrap();
        let phf = Phf::parse(&built.bytes).unwrap();
        let ask = |hash: &u64, zero| u64::from(phf.slot(hash ^ zero));
        let random: Vec<u64> = walk(files, WALK)
            .into_iter()
            .map(|number| hashes[number])
            .collect();
        in_turn(
            criterion,
            format!("phf_slot/hot/{files}"),
            &hashes[..1],
            ask,
        );
        in_turn(criterion, format!("phf_slot/random/{files}"), &random, ask);
    }
}

fn lookup(criterion: &mut Criterion) {
    for files in [20_000, 1_000_000] {
        let bytes = manifest(files);
        let manifest = Manifest::open(&bytes).unwrap();
        let find =
            |path: &Vec<u8>, zero: u64| manifest.lookup(zero as u32, path).map_or(0, u64::from);
        let stat = |path: &Vec<u8>, zero: u64| {
            let entry = manifest.lookup(zero as u32, path);
            entry
                .and_then(|entry| manifest.stat(entry))
                .map_or(0, |metadata| metadata.size)
        };
        let hits: Vec<Vec<u8>> = walk(files, WALK).into_iter().map(path).collect();
        assert!(
            hits.iter()
                .step_by(997)
                .all(|path| manifest.lookup(0, path).is_some())
        );
        // What an import probes for: a name that its directory does not have.
        let misses: Vec<Vec<u8>> = hits
            .iter()
            .map(|path| [path.as_slice(), b"c"].concat())
            .collect();
        assert!(
            misses
                .iter()
                .step_by(997)
                .all(|path| manifest.lookup(0, path).is_none())
        );

        in_turn(
            criterion,
            format!("lookup/hit/hot/{files}"),
            &hits[..1],
            find,
        );
        in_turn(criterion, format!("lookup/hit/random/{files}"), &hits, find);
        in_turn(
            criterion,
            format!("lookup/miss/hot/{files}"),
            &misses[..1],
            find,
        );
        in_turn(
            criterion,
            format!("lookup/miss/random/{files}"),
            &misses,
            find,
        );
        in_turn(
            criterion,
            format!("lookup_and_stat/hot/{files}"),
            &hits[..1],
            stat,
        );
        in_turn(
            criterion,
            format!("lookup_and_stat/random/{files}"),
            &hits,
            stat,
        );
        in_turn(criterion, format!("open/{files}"), &[()], |(), _| {
            Manifest::open(black_box(&bytes))
                .map_or(0, |manifest| u64::from(manifest.entry_count()))
        });
    }
}

fn builders(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("build");
    group.sample_size(10);
    for files in [20_000, 1_000_000] {
        let hashes: Vec<u64> = (0..files)
            .map(|number| Manifest::hash_rel(0, &path(number)))
            .collect();
        group.throughput(Throughput::Elements(files as u64));
        group.bench_function(format!("phf/{files}"), |bencher| {
            bencher.iter_batched(|| (), |()| build(&hashes), BatchSize::PerIteration);
        });
    }
}

criterion_group!(benches, hash, slot, lookup, builders);
criterion_main!(benches);
