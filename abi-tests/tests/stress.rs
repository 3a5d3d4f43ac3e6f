//! Sixteen processes of eight threads reading at random: no divergence, no leak.
//!
//! For 5 seconds, or as many as `VELO_STRESS_SECONDS` says.

use std::fs;
use std::path::Path;
use std::time::Duration;

use abi_tests::call::Ended;
use abi_tests::{Call, World, fnv, number, trees};

const PROCESSES: u64 = 16;
const THREADS: u64 = 8;
/// What a process may grow by after its warm-up: noise of the allocator's arenas.
const GROWTH_KIB_MAX: i64 = 6 * 1024;

/// One line an entry of the plain tree: `kind size hash path`.
fn expected(base: &Path, rel: &Path, lines: &mut Vec<String>) {
    let names: Vec<_> = fs::read_dir(base.join(rel))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    if !rel.as_os_str().is_empty() {
        lines.push(format!("d {} 0 {}", names.len(), rel.display()));
    }
    for name in names {
        let path = rel.join(name);
        let full = base.join(&path);
        let kind = fs::symlink_metadata(&full).unwrap().file_type();
        if kind.is_dir() {
            expected(base, &path, lines);
        } else if kind.is_symlink() {
            let target = fs::read_link(&full).unwrap();
            let hash = fnv(target.as_os_str().as_encoded_bytes());
            lines.push(format!(
                "l {} {hash} {}",
                u8::from(full.exists()),
                path.display()
            ));
        } else {
            let content = fs::read(&full).unwrap();
            lines.push(format!(
                "f {} {} {}",
                content.len(),
                fnv(&content),
                path.display()
            ));
        }
    }
}

#[test]
fn readers_at_random() {
    let world = World::moved_away("stress", |at| {
        fs::create_dir_all(at).unwrap();
        for part in [
            "encodings",
            "email",
            "json",
            "unittest",
            "asyncio",
            "lib2to3",
            "distutils",
        ] {
            let source = Path::new("/usr/lib/python3.11").join(part);
            if source.is_dir() {
                fs::create_dir(at.join(part)).unwrap();
                trees::copy_of(&source, &at.join(part));
            }
        }
        trees::wide(at, 2000);
        for number in 0..40 {
            std::os::unix::fs::symlink("wide", at.join(format!("link-{number}"))).unwrap();
        }
    });
    let mut lines = Vec::new();
    expected(&world.plain, Path::new(""), &mut lines);
    assert!(lines.len() > 2000, "{} entries", lines.len());
    let list = world.outside.join("expected");
    fs::write(&list, lines.join("\n")).unwrap();
    let seconds = number("VELO_STRESS_SECONDS", 5);
    let outcomes = std::thread::scope(|scope| {
        let start = |seed: u64| {
            let call = Call::new(env!("CARGO_BIN_EXE_stress"))
                .arg(&world.at)
                .arg(&list);
            let call = call.args([seconds, seed, THREADS].map(|number| number.to_string()));
            let call = call.deadline(Duration::from_secs(seconds * 3 + 60));
            let world = &world;
            scope.spawn(move || world.served(&call))
        };
        let running: Vec<_> = (1..=PROCESSES).map(start).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect::<Vec<_>>()
    });
    let mut operations = 0;
    for outcome in &outcomes {
        let text = outcome.text();
        assert_eq!(
            outcome.ended,
            Ended::Status(0),
            "{text}{}",
            outcome.errors()
        );
        let field = |name: &str| -> i64 {
            let mut words = text.split_whitespace();
            words.find(|word| *word == name);
            words
                .next()
                .and_then(|word| word.parse().ok())
                .unwrap_or_else(|| panic!("no {name} in {text}"))
        };
        assert_eq!(field("wrong"), 0, "{text}");
        assert_eq!(field("descriptors"), 3, "{text}");
        assert!(field("maps_growth") < 64, "{text}");
        assert!(field("rss_growth_kib") < GROWTH_KIB_MAX, "{text}");
        assert_eq!(outcome.errors(), "");
        operations += field("operations");
    }
    println!(
        "{operations} operations in {seconds} s by {PROCESSES} processes of {THREADS} threads"
    );
    assert!(
        operations > i64::try_from(seconds).unwrap_or(0) * 1000,
        "{operations} operations"
    );
}
