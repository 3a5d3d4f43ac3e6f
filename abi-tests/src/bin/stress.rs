//! One process of the stress test: threads that read at random and compare with what must be.
//!
//! Usage: `stress P EXPECTED SECONDS SEED THREADS`; EXPECTED has lines `kind size hash path`. Says at
//! the end how many operations it did, and how descriptors and memory grew after the first part.

use std::collections::HashSet;
use std::ffi::CString;
use std::fs;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use abi_tests::random::Random;

struct Expected {
    kind: char,
    size: u64,
    hash: u64,
    path: PathBuf,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, root, expected, seconds, seed, threads] = &arguments[..] else {
        panic!("usage: stress P EXPECTED SECONDS SEED THREADS")
    };
    let entries = read_expected(Path::new(root), expected);
    let number = |text: &String| text.parse::<u64>().expect("a number");
    let (seconds, seed, threads) = (number(seconds), number(seed), number(threads));
    let (stop, operations, wrong) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let (before, after) = std::thread::scope(|scope| {
        for thread in 0..threads {
            let (entries, stop, operations, wrong) = (&entries, &stop, &operations, &wrong);
            scope.spawn(move || {
                let random = &mut Random::new(seed * 1000 + thread);
                while !stop.load(Ordering::Relaxed) {
                    let entry = &entries[random.below(entries.len())];
                    if let Err(fault) = one(random, entry)
                        && wrong.fetch_add(1, Ordering::Relaxed) < 5
                    {
                        println!("wrong: {} {fault}", entry.path.display());
                    }
                    operations.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // The first part fills what allocators and caches keep.
        std::thread::sleep(Duration::from_millis(seconds * 300));
        let before = usage();
        std::thread::sleep(Duration::from_millis(seconds * 700));
        let after = usage();
        stop.store(true, Ordering::Relaxed);
        (before, after)
    });
    let (rss_growth, descriptors) = (after.0 - before.0, open_descriptors());
    println!(
        "operations {} wrong {} rss_growth_kib {rss_growth} maps_growth {} descriptors {descriptors}",
        operations.load(Ordering::Relaxed),
        wrong.load(Ordering::Relaxed),
        after.1 - before.1
    );
}

fn read_expected(root: &Path, file: &str) -> Vec<Expected> {
    let text = fs::read_to_string(file).expect("EXPECTED");
    let parse = |line: &str| {
        let mut words = line.splitn(4, ' ');
        Some(Expected {
            kind: words.next()?.chars().next()?,
            size: words.next()?.parse().ok()?,
            hash: words.next()?.parse().ok()?,
            path: root.join(words.next()?),
        })
    };
    text.lines()
        .map(|line| parse(line).expect("a line of EXPECTED"))
        .collect()
}

/// Resident memory in KiB and the number of mappings of this process.
fn usage() -> (i64, i64) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0);
    let maps = fs::read_to_string("/proc/self/maps")
        .unwrap_or_default()
        .lines()
        .count();
    (kib, i64::try_from(maps).unwrap_or(0))
}

/// How many descriptors are open; says what those above the first three are.
fn open_descriptors() -> usize {
    // SAFETY: fcntl with F_GETFD looks at a number, whatever it is.
    let open: Vec<_> = (0..4096)
        .filter(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } != -1)
        .collect();
    for fd in open.iter().skip(3) {
        println!(
            "left open: {fd} {:?}",
            fs::read_link(format!("/proc/self/fd/{fd}"))
        );
    }
    open.len()
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: {found:?}, expected {expected:?}"))
    }
}

/// One operation on one entry, of the ways to look at it.
fn one(random: &mut Random, entry: &Expected) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{:?}: {error}", entry.kind);
    let path = &entry.path;
    match (entry.kind, random.below(5)) {
        ('f', 0) => {
            let metadata = fs::metadata(path).map_err(failed)?;
            expect("size", metadata.len(), entry.size)
        }
        ('f', 1) => {
            let mut file = fs::File::open(path).map_err(failed)?;
            let metadata = file.metadata().map_err(failed)?;
            expect(
                "type and size",
                (metadata.is_file(), metadata.len()),
                (true, entry.size),
            )?;
            expect(
                "inode",
                metadata.ino(),
                fs::metadata(path).map_err(failed)?.ino(),
            )?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(failed)?;
            expect("content", hash(&bytes), entry.hash)
        }
        ('f', 2) => mapped(path, entry),
        ('f', _) => expect(
            "content",
            hash(&fs::read(path).map_err(failed)?),
            entry.hash,
        ),
        ('d', 0 | 1) => {
            let names: HashSet<_> = fs::read_dir(path)
                .map_err(failed)?
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect::<Result<_, _>>()
                .map_err(failed)?;
            expect("names", names.len() as u64, entry.size)
        }
        ('d', 2) => {
            let missing = fs::metadata(path.join("no such name"))
                .err()
                .and_then(|error| error.raw_os_error());
            expect("a missing name", missing, Some(libc::ENOENT))
        }
        ('d', _) => expect(
            "is a directory",
            fs::metadata(path).map_err(failed)?.is_dir(),
            true,
        ),
        (_, 0) => expect("canonical", fs::canonicalize(path).is_ok(), entry.size == 1),
        _ => expect(
            "target",
            hash(
                fs::read_link(path)
                    .map_err(failed)?
                    .as_os_str()
                    .as_encoded_bytes(),
            ),
            entry.hash,
        ),
    }
}

/// Reads through a shared mapping.
fn mapped(path: &Path, entry: &Expected) -> Result<(), String> {
    let text =
        CString::new(path.as_os_str().as_encoded_bytes()).map_err(|error| error.to_string())?;
    let bytes = usize::try_from(entry.size).unwrap_or(0);
    // SAFETY: a NUL-terminated path; the descriptor is closed by the File made of it.
    let file = unsafe {
        let fd = libc::open(text.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return Err(std::io::Error::last_os_error().to_string());
        }
        <fs::File as std::os::fd::FromRawFd>::from_raw_fd(fd)
    };
    if bytes == 0 {
        return Ok(());
    }
    // SAFETY: a new mapping of `bytes` bytes that the file has, unmapped below.
    let map = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if map == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error().to_string());
    }
    // SAFETY: the mapping is `bytes` long and nobody writes to it.
    let found = hash(unsafe { std::slice::from_raw_parts(map.cast(), bytes) });
    // SAFETY: the mapping from above, used no more.
    unsafe { libc::munmap(map, bytes) };
    expect("mapped content", found, entry.hash)
}

/// FNV-1a, as the test computes it of the plain tree.
fn hash(bytes: &[u8]) -> u64 {
    abi_tests::fnv(bytes)
}
