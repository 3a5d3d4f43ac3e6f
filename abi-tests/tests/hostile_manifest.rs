//! Manifests that cannot be used: one clear line, status 127, at once; and never a crash, whatever
//! the bytes say, even where the checksums were made right again.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use abi_tests::call::Ended;
use abi_tests::random::Random;
use abi_tests::scratch::{self, Place};
use abi_tests::{Call, Fidelity, NOBODY, Outcome, World};

/// Bytes of the header, whose last 8 are the checksum of the others (docs/FORMAT.md).
const HEADER: usize = 512;
/// How long a refusal may take beyond a bare start of the same program.
const LIMIT: Duration = Duration::from_millis(50);

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::of_everything("hostile", Fidelity::Usual))
}

fn good() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| fs::read(&world().manifest).expect("the manifest"))
}

fn stamp() -> SystemTime {
    world()
        .manifest
        .metadata()
        .and_then(|metadata| metadata.modified())
        .expect("the time of the manifest")
}

/// Where a test puts its altered manifests.
fn place(name: &str) -> PathBuf {
    scratch::directory(Place::Memory, name).join("hostile.velo")
}

fn with(manifest: &Path, call: &Call) -> Outcome {
    world()
        .preloaded(call)
        .env("VELO_MANIFEST", manifest)
        .run(None)
}

/// Median time that a command takes to start and end, of several.
fn median(run: impl Fn() -> Outcome) -> Duration {
    let mut times: Vec<Duration> = (0..7).map(|_| run().took).collect();
    times.sort();
    times[times.len() / 2]
}

/// Why `outcome` is not a refusal as it should be, if it is not.
fn fault(outcome: &Outcome, manifest: &Path) -> Option<String> {
    let said = outcome.errors();
    let named = said.contains(&*manifest.to_string_lossy());
    let one_line = said.ends_with('\n') && said.lines().count() == 1 && said.starts_with("velo: ");
    let good = outcome.ended == Ended::Status(127)
        && outcome.stdout.is_empty()
        && one_line
        && named
        && said.len() < 1000;
    (!good).then(|| {
        format!(
            "{:?}, stdout {:?}, stderr {said:?}",
            outcome.ended,
            outcome.text()
        )
    })
}

/// `manifest` must be refused, and by a line that has one of `words`.
fn refused(what: &str, manifest: &Path, words: &[&str]) {
    let call = Call::new("true");
    let outcome = with(manifest, &call);
    if let Some(fault) = fault(&outcome, manifest) {
        panic!("{what}: expected one line and status 127; {fault}");
    }
    let said = outcome.errors().to_lowercase();
    assert!(
        words.is_empty() || words.iter().any(|word| said.contains(word)),
        "{what}: no word of {words:?} in {said:?}"
    );
}

#[test]
fn the_good_one_is_served() {
    let outcome = with(
        &world().manifest,
        &Call::new("cat").arg(world().path("one")),
    )
    .success();
    assert_eq!(
        (outcome.text(), outcome.errors()),
        ("1".to_owned(), String::new())
    );
}

#[test]
fn truncated() {
    let path = place("truncated");
    let bytes = good().len();
    let mut lengths = vec![
        1,
        2,
        7,
        8,
        9,
        15,
        16,
        63,
        64,
        100,
        256,
        503,
        504,
        511,
        512,
        513,
        576,
        bytes - 1,
        bytes - 7,
        bytes - 8,
        bytes - 64,
    ];
    lengths.extend((1..32).map(|part| bytes * part / 32));
    for length in lengths {
        fs::write(&path, &good()[..length]).unwrap();
        refused(
            &format!("{length} of {bytes} bytes"),
            &path,
            &["truncated", "manifest"],
        );
    }
    let longer = [good(), b"more"].concat();
    fs::write(&path, longer).unwrap();
    refused("four bytes more", &path, &["appended", "bytes"]);
}

#[test]
fn bit_flipped() {
    let path = place("flipped");
    let random = &mut Random::new(11);
    let body = (0..150)
        .map(|_| HEADER + random.below(good().len() - HEADER))
        .collect::<Vec<_>>();
    let header = (0..HEADER).step_by(3).chain([8, 12, 504, 511]);
    for position in header.chain(body) {
        let mut bytes = good().to_vec();
        bytes[position] ^= 1 << random.below(8);
        fs::write(&path, &bytes).unwrap();
        refused(&format!("a bit of byte {position}"), &path, &[]);
    }
}

#[test]
fn of_another_kind() {
    let path = place("kinds");
    let write = |bytes: &[u8]| fs::write(&path, bytes).unwrap();
    let changed = |position: usize, with: &[u8]| {
        let mut bytes = good().to_vec();
        bytes[position..position + with.len()].copy_from_slice(with);
        bytes
    };
    write(&changed(8, &2_u32.to_le_bytes()));
    refused("version 2", &path, &["version"]);
    write(&changed(8, &0_u32.to_le_bytes()));
    refused("version 0", &path, &["version"]);
    write(&changed(12, &0x0403_0201_u32.to_le_bytes()));
    refused("the other byte order", &path, &["endian", "byte order"]);
    write(&with_right_header(changed(16 + 16, &[0xff; 8])));
    refused("unknown features", &path, &["feature"]);
    write(b"");
    refused("empty", &path, &["empty"]);
    write(b"#!/bin/sh\necho not a manifest\n");
    refused("a script", &path, &["manifest"]);
    write(&vec![0; 100_000]);
    refused("zeros", &path, &["manifest"]);
    fs::File::create(&path)
        .and_then(|file| file.set_len(1 << 42))
        .unwrap_or_else(|_| write(&[0; 600]));
    refused("four tebibytes of nothing", &path, &["manifest"]);
}

#[test]
fn not_a_file_that_can_be_read() {
    let path = place("unreadable");
    let directory = path.parent().unwrap().to_path_buf();
    refused(
        "vanished",
        &path,
        &["no such file", "not found", "missing", "enoent"],
    );
    refused("a directory", &directory, &["director", "regular file"]);
    refused("below a file", &world().manifest.join("x"), &[]);
    symlink("self.velo", directory.join("self.velo")).unwrap();
    refused("a link to itself", &directory.join("self.velo"), &[]);
    symlink("nowhere", directory.join("dangling.velo")).unwrap();
    refused("a dangling link", &directory.join("dangling.velo"), &[]);
    refused("a device", Path::new("/dev/null"), &[]);
    refused("an endless device", Path::new("/dev/zero"), &[]);
    let fifo = directory.join("fifo.velo");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    refused("a fifo, which must not hang", &fifo, &[]);
    if abi_tests::is_root() {
        fs::write(&path, good()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let outcome = with(&path, &Call::new("true").user(NOBODY));
        assert_eq!(fault(&outcome, &path), None, "unreadable");
        assert!(
            outcome.errors().to_lowercase().contains("permission"),
            "{}",
            outcome.errors()
        );
    }
}

#[test]
fn one_of_several() {
    let path = place("several");
    let good = world().manifest.display().to_string();
    fs::write(&path, b"nonsense").unwrap();
    for list in [
        format!("{good}:{}", path.display()),
        format!("{}:{good}", path.display()),
    ] {
        let outcome = world()
            .preloaded(&Call::new("true"))
            .env("VELO_MANIFEST", &list)
            .run(None);
        assert_eq!(fault(&outcome, &path), None, "{list}");
    }
}

/// Every kind of refusal takes less than 50 ms, start of the program included.
#[test]
fn refusals_are_quick() {
    let path = place("quick");
    let bare = median(|| Call::new("true").run(None));
    let flipped = |position: usize| {
        let mut bytes = good().to_vec();
        bytes[position] ^= 4;
        bytes
    };
    let kinds = [
        good()[..good().len() / 2].to_vec(),
        flipped(100),
        flipped(good().len() - 100),
        Vec::new(),
        b"#!/bin/sh".to_vec(),
    ];
    for (number, bytes) in kinds.iter().enumerate() {
        fs::write(&path, bytes).unwrap();
        let took = median(|| with(&path, &Call::new("true")));
        assert!(
            took < LIMIT + bare,
            "kind {number}: {took:?}, `true` alone {bare:?}"
        );
    }
}

#[test]
fn passthrough_runs_the_program_without_a_view() {
    let path = place("passthrough");
    fs::write(&path, &good()[..1000]).unwrap();
    let call = Call::bash("ls -A \"$P\"; cat \"$P\"/plain.txt; echo ran")
        .env("P", &world().at)
        .env("VELO_ON_ERROR", "passthrough");
    let outcome = with(&path, &call);
    assert_eq!(
        (outcome.ended, outcome.text()),
        (Ended::Status(0), "ran\n".to_owned()),
        "{}",
        outcome.errors()
    );
    let other = with(&path, &call.env("VELO_ON_ERROR", "nonsense"));
    assert_eq!(
        other.ended,
        Ended::Status(127),
        "only `passthrough` opts out"
    );
}

/// Makes the header's checksum right again.
fn with_right_header(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = rapidhash::v3::rapidhash_v3(&bytes[..HEADER - 8]);
    bytes[HEADER - 8..HEADER].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// What a forger can do: right checksum, right time stamp, wrong content. Answers may be wrong
/// then, but nothing crashes, hangs or is read out of bounds.
#[test]
fn forged() {
    let path = place("forged");
    let random = &mut Random::new(5);
    let rounds = abi_tests::number("VELO_ABI_FORGED", 120);
    let look = "ls -lR \"$P\"; cat \"$P\"/plain.txt \"$P\"/dir/* \"$P\"/links/*; cd \"$P\"/links/to-dir && pwd && ls; find \"$P\" | head -5000; realpath \"$P\"/links/*; stat \"$P\"/*/missing; true";
    let call = Call::bash(look)
        .env("P", &world().at)
        .deadline(Duration::from_secs(20))
        .user_if_root(NOBODY);
    for round in 0..rounds {
        let mut bytes = good().to_vec();
        for _ in 0..=random.below(6) {
            let (from, to) = if random.once_in(3) {
                (16, HEADER - 8)
            } else {
                (HEADER, bytes.len())
            };
            let position = from + random.below(to - from);
            match random.below(4) {
                0 => bytes[position] ^= 1 << random.below(8),
                1 => bytes[position] = 0xff,
                2 => bytes[position & !3..][..4].copy_from_slice(
                    &u32::try_from(random.below(1 << 20))
                        .unwrap_or(0)
                        .to_le_bytes(),
                ),
                _ => bytes[position & !7..][..8].fill(*random.one(&[0xff, 0x7f, 0x00, 0x80])),
            }
        }
        let bytes = with_right_header(bytes);
        fs::write(&path, &bytes).unwrap();
        fs::File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(stamp()))
            .unwrap();
        let outcome = with(&path, &call);
        // A shell whose child dies of a signal says so.
        let said = outcome.errors();
        let crashed = [
            "Segmentation",
            "Bus error",
            "Illegal",
            "Aborted",
            "core dumped",
            "trap",
        ]
        .iter()
        .any(|word| said.contains(word));
        if !matches!(outcome.ended, Ended::Status(0 | 127)) || crashed {
            let kept = std::env::temp_dir().join(format!("velo-forged-{round}.velo"));
            let _ = fs::copy(&path, &kept);
            panic!(
                "round {round} (kept as {}): {:?}\n{said}",
                kept.display(),
                outcome.ended
            );
        }
    }
}

#[test]
fn a_missing_blob() {
    if abi_tests::world::oracle_only() {
        return;
    }
    let world = World::of_everything("blob", Fidelity::Usual);
    let find = Call::new("grep")
        .args(["-rlx", "--", "needle in a haystack"])
        .arg(world.store.join("cas_store"))
        .run(None)
        .success();
    let blob = PathBuf::from(find.text().trim());
    let name = blob.file_name().unwrap().to_string_lossy().into_owned();
    fs::remove_file(&blob).unwrap();
    let file = world.path("dir/sub/grep-me");
    let outcome = world.served(&Call::new("cat").arg(&file));
    assert_eq!(outcome.ended, Ended::Status(1));
    let said = outcome.errors();
    assert!(said.contains("Input/output error"), "{said}");
    let line = said
        .lines()
        .find(|line| line.starts_with("velo: "))
        .unwrap_or_else(|| panic!("no line of velo in {said}"));
    assert!(
        line.contains(&name),
        "the line does not name the blob {name}: {line}"
    );
    assert!(
        line.contains("velo-ctl"),
        "the line does not say how to repair: {line}"
    );
    // What needs no content goes on.
    let rest = world
        .served(
            &Call::bash("stat -c %s \"$1\" && cat \"$2\"")
                .arg("sh")
                .arg(&file)
                .arg(world.path("one")),
        )
        .success();
    assert_eq!(rest.text(), "21\n1");
    let python = world
        .served(
            &Call::new("python3")
                .args([
                    "-c",
                    "import sys\ntry: open(sys.argv[1])\nexcept OSError as e: print(e.errno)",
                ])
                .arg(&file),
        )
        .success();
    assert_eq!(python.text(), "5\n");
    // And the repair that it names is one.
    world.build();
    assert_eq!(
        world.served(&Call::new("cat").arg(&file)).success().text(),
        "needle in a haystack\n"
    );
}

/// The store is gone: what is in the manifest is still known, what is not is an error.
#[test]
fn a_vanished_store() {
    if abi_tests::world::oracle_only() {
        return;
    }
    let empty = scratch::directory(Place::Memory, "no-store");
    let call = |script: &str| Call::bash(script).env("P", &world().at);
    let run = |script: &str| {
        world()
            .preloaded(&call(script))
            .env("VELO_ROOT", &empty)
            .run(None)
    };
    assert_eq!(run("stat -c %s \"$P\"/plain.txt").success().text(), "14\n");
    let outcome = run("cat \"$P\"/plain.txt");
    assert_eq!(outcome.ended, Ended::Status(1));
    assert!(
        outcome.errors().contains("Input/output error"),
        "{}",
        outcome.errors()
    );
    let entered = run("cd \"$P\"/dir && pwd");
    assert!(
        !matches!(entered.ended, Ended::Signal(_) | Ended::Deadline),
        "{:?}",
        entered.ended
    );
}
