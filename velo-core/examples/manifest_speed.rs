//! Builds a manifest of many entries and says how long each step takes.
//!
//! `cargo run --release -p velo-core --features std --example manifest_speed -- [ENTRIES | DIRECTORY]`
//! With a number: a made-up tree whose names are as varied as those of a large
//! site-packages (about 40 % distinct). With a directory: its names, types and sizes;
//! contents are not read. Times are medians of a few runs; those of lookups the best.

use std::hint::black_box;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use velo_core::manifest::write::{Content, EntryId, ManifestBuilder, Meta};
use velo_core::manifest::{Manifest, PATH_BYTES_MAX, Section, Time};

const RUNS: usize = 5;

fn main() {
    let argument = std::env::args().nth(1).unwrap_or("1000000".into());
    let entries = argument.parse().ok();
    let fill = || match entries {
        Some(entries) => made_up(entries),
        None => scanned(Path::new(&argument)),
    };
    let mut added = Vec::new();
    let mut built = Vec::new();
    let mut bytes = Vec::new();
    for _ in 0..RUNS {
        drop(std::mem::take(&mut bytes));
        let start = Instant::now();
        let tree = fill();
        added.push(start.elapsed());
        let start = Instant::now();
        bytes = tree.build().expect("a tree that fits");
        built.push(start.elapsed());
    }
    let manifest = Manifest::open(&bytes).expect("a manifest");
    let count = manifest.entry_count();
    println!("entries            {count}");
    println!("file               {} bytes", bytes.len());
    println!(
        "bytes an entry     {:.1}",
        bytes.len() as f64 / f64::from(count)
    );
    for (kind, _, length) in manifest.sections() {
        let name = Section::from_kind(kind).map_or("?", Section::name);
        println!("  {name:<12} {:>10.2}", length as f64 / f64::from(count));
    }
    println!("add all            {:?}", median(added));
    println!("build              {:?}", median(built));
    println!(
        "open               {:?}",
        timed(|| assert!(black_box(Manifest::open(black_box(&bytes))).is_ok()))
    );
    println!(
        "checksum           {:?}",
        timed(|| assert!(manifest.checksum_matches()))
    );
    println!(
        "verify             {:?}",
        timed(|| manifest.verify().expect("sound"))
    );
    lookups(&manifest);
}

fn best(mut work: impl FnMut()) -> Duration {
    let run = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..4 * RUNS).map(run).min().unwrap_or_default()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn timed(mut work: impl FnMut()) -> Duration {
    let run = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    median((0..RUNS).map(run).collect())
}

/// Lookups, each waiting for the one before: one path again and again, then others.
fn lookups(manifest: &Manifest<'_>) {
    const ROUNDS: u32 = 400_000;
    let mut buffer = [0; PATH_BYTES_MAX];
    let mut path = |index| {
        let length = manifest.rel_path(index, &mut buffer).expect("a path");
        buffer[..length].to_vec()
    };
    let count = manifest.entry_count();
    let like = |path: &Vec<u8>| {
        let depth = path.iter().filter(|byte| **byte == b'/').count() + 1;
        (depth.abs_diff(8), path.len().abs_diff(75))
    };
    let sample: Vec<_> = (1..count)
        .step_by(7.min(count as usize))
        .map(&mut path)
        .collect();
    let typical = sample
        .iter()
        .min_by_key(|path| like(path))
        .expect("entries");
    let mut random = 1_u64;
    let mut next = || {
        random = random
            .wrapping_mul(0x5851_F42D_4C95_7F2D)
            .wrapping_add(0x1405_7B7E_F767_814F);
        ((u128::from(random) * sample.len() as u128) >> 64) as usize
    };
    let walk: Vec<_> = (0..ROUNDS / 4).map(|_| next()).collect();
    let zero = black_box(0_u32);
    let per_call = |time: Duration, calls: usize| time.as_secs_f64() * 1e9 / calls as f64;
    let report = |what: &str, ask: &dyn Fn(&[u8], u32) -> u32| {
        let hot = best(|| {
            let mut last = 0;
            for _ in 0..ROUNDS {
                last = ask(black_box(typical), last) & zero;
            }
            black_box(last);
        });
        let cold = best(|| {
            let mut last = 0;
            for at in &walk {
                last = ask(&sample[at + last as usize], last) & zero;
            }
            black_box(last);
        });
        println!(
            "{what:<18} hot {:.1} ns, random {:.1} ns",
            per_call(hot, ROUNDS as usize),
            per_call(cold, walk.len())
        );
    };
    println!(
        "typical path       {} bytes: {}",
        typical.len(),
        typical.escape_ascii()
    );
    report("lookup", &|path, root| {
        manifest.lookup(root, path).unwrap_or(1)
    });
    report("lookup, hashed", &|path, root| {
        let hash = Manifest::hash_rel(root, path);
        manifest.lookup_hashed(root, path, hash).unwrap_or(1)
    });
    report("miss", &|path, root| {
        manifest
            .lookup(root, &path[..path.len() - 1])
            .map_or(1, |index| index)
    });
    report("lookup + stat", &|path, root| {
        let index = manifest.lookup(root, path).unwrap_or(0);
        manifest.stat(index).map_or(1, |data| data.mode)
    });
    report("hash alone", &|path, root| {
        Manifest::hash_rel(root, path) as u32
    });
}

fn meta(mode: u32, size: u64) -> Meta {
    let mtime = Time {
        sec: 1_700_000_000,
        nsec: 5,
    };
    Meta {
        mode,
        uid: 0,
        gid: 0,
        mtime,
        size,
    }
}

fn content(number: u64) -> Content {
    let mut hash = [7; 32];
    hash[..8].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    Content {
        hash,
        in_view: false,
        blocks: None,
    }
}

/// `usr/lib/python3.11/site-packages/<package>/<part>/<part>/<module>.py` and more.
fn made_up(entries: usize) -> ManifestBuilder {
    const WORDS: [&str; 16] = [
        "core", "test", "util", "array", "index", "parse", "model", "client", "async", "types",
        "config", "stream", "linalg", "plugin", "schema", "window",
    ];
    let mut tree = ManifestBuilder::new();
    tree.reserve(entries);
    let mut dir = tree.add_root(b"/opt/app", meta(0o755, 4096)).expect("root");
    for name in [&b"usr"[..], b"lib", b"python3.11", b"site-packages"] {
        dir = tree
            .add_dir(dir, name, meta(0o755, 4096))
            .expect("directory");
    }
    let packages = dir;
    let (mut package, mut part) = (dir, dir);
    let mut number = 0;
    while tree.len() < entries {
        let word = |shift: u32| WORDS[(number >> shift) % 16];
        if number % 200 == 0 {
            let name = format!("{}_{}{}", word(3), word(7), number / 200);
            package = tree
                .add_dir(packages, name.as_bytes(), meta(0o755, 4096))
                .expect("new");
        }
        if number % 10 == 0 {
            let name = format!("{}_{}", word(4), number / 10 % 20);
            let outer = tree
                .add_dir(package, name.as_bytes(), meta(0o755, 4096))
                .expect("new");
            part = tree
                .add_dir(outer, word(2).as_bytes(), meta(0o755, 4096))
                .expect("new");
        }
        // Two in five names are their own, as measured on real trees.
        let name = match number % 5 {
            0 => format!("_{}_{}{number:x}.py", word(5), word(1)),
            1 => format!("{}_{:x}.cpython-311.pyc", word(6), number / 3),
            2 if number % 10 == 2 => "__init__.py".into(),
            _ => format!("{}_{}_{}.py", word(0), word(4), number % 1000),
        };
        let file = tree.add_file(
            part,
            name.as_bytes(),
            meta(0o644, 1000),
            content(number as u64),
        );
        file.expect("new");
        number += 1;
    }
    tree
}

fn scanned(source: &Path) -> ManifestBuilder {
    let mut tree = ManifestBuilder::new();
    let root = tree.add_root(b"/scanned", meta(0o755, 4096)).expect("root");
    let mut todo: Vec<(EntryId, std::path::PathBuf)> = vec![(root, source.into())];
    while let Some((dir, path)) = todo.pop() {
        let Ok(found) = std::fs::read_dir(&path) else {
            continue;
        };
        for entry in found.flatten() {
            let (name, Ok(data)) = (entry.file_name(), entry.metadata()) else {
                continue;
            };
            let meta = Meta {
                mode: data.mode(),
                uid: data.uid(),
                gid: data.gid(),
                mtime: Time {
                    sec: data.mtime(),
                    nsec: data.mtime_nsec() as u32,
                },
                size: data.size(),
            };
            if data.is_dir() {
                if data.dev() == std::fs::metadata(source).map_or(0, |data| data.dev()) {
                    let below = tree.add_dir(dir, name.as_bytes(), meta).expect("directory");
                    todo.push((below, entry.path()));
                }
            } else if data.is_symlink() {
                let target = std::fs::read_link(entry.path()).unwrap_or("?".into());
                let target = target.into_os_string().into_vec();
                tree.add_symlink(dir, name.as_bytes(), meta, &target)
                    .expect("symlink");
            } else if data.is_file() {
                tree.add_file(dir, name.as_bytes(), meta, content(data.ino()))
                    .expect("file");
            }
        }
    }
    tree
}
