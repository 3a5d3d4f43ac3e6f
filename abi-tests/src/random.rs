//! Random trees and random scripts for `c/random_ops.c`, from a seed: the same seed, the same run.

use std::path::Path;

use crate::trees::Tree;

/// A small generator (splitmix64), so that a seed means the same for ever.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or(0)
    }

    /// True once in `of` times.
    pub fn once_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    /// One of `choices`, which are not empty.
    pub fn one<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

const NAMES: [&str; 14] = [
    "a", "b", "c", "aa", "a.b", "...", "x y", "d", "lib", "f.py", "\u{e9}", "-", "Z", ".h",
];

/// Makes a random tree in `base` to be seen at `at`; gives the paths in it.
#[must_use]
pub fn tree(random: &mut Random, base: &Path, at: &Path, entries: usize) -> Vec<String> {
    let tree = Tree::in_directory(base);
    let mut directories = vec![String::new()];
    let mut paths: Vec<String> = vec![String::new()];
    let mut files: Vec<String> = Vec::new();
    while paths.len() < entries {
        let parent = random.one(&directories).clone();
        let name = random.one(&NAMES);
        let path = if parent.is_empty() {
            (*name).to_owned()
        } else {
            format!("{parent}/{name}")
        };
        if paths.contains(&path) {
            continue;
        }
        match random.below(10) {
            0..=3 => {
                tree.dir(&path);
                directories.push(path.clone());
            }
            4..=6 => {
                tree.file(&path, format!("{path}\n").repeat(random.below(400)));
                files.push(path.clone());
            }
            7 if !files.is_empty() => {
                tree.hard_link(&path, random.one::<String>(&files));
            }
            _ => {
                let target = target(random, &paths, at);
                tree.link(&path, target);
            }
        }
        paths.push(path);
    }
    for path in &paths {
        decorate(random, &tree, &base.join(path), path);
    }
    paths
}

/// Owner, permissions and time of one entry; after all children were made.
fn decorate(random: &mut Random, tree: &Tree, full: &Path, path: &str) {
    let Ok(metadata) = std::fs::symlink_metadata(full) else {
        return;
    };
    if random.once_in(3) {
        tree.owner(path, crate::NOBODY, crate::NOBODY);
    }
    let seconds = i64::try_from(random.below(1 << 31)).unwrap_or(0);
    if metadata.is_dir() {
        if random.once_in(4) && !path.is_empty() {
            tree.mode(
                path,
                *random.one(&[
                    0o000, 0o111, 0o444, 0o700, 0o711, 0o750, 0o1777, 0o070, 0o007,
                ]),
            );
        }
    } else if metadata.is_file() && random.once_in(2) {
        tree.mode(
            path,
            *random.one(&[
                0o000, 0o111, 0o400, 0o600, 0o640, 0o755, 0o4755, 0o040, 0o004, 0o222,
            ]),
        );
    }
    tree.time(
        path,
        seconds,
        i64::try_from(random.below(1_000_000_000)).unwrap_or(0),
    );
}

/// Where a symlink leads: never the empty string, which no symlink can hold.
fn target(random: &mut Random, paths: &[String], at: &Path) -> String {
    let some = Some(random.one(paths))
        .filter(|path| !path.is_empty())
        .map_or(".", |path| path);
    let up = "../".repeat(random.below(4));
    match random.below(10) {
        0..=3 => format!("{up}{some}"),
        4 => format!("{}/{some}", at.display()),
        5 => format!("{up}outside/inner"),
        6 => (*random.one(&[".", "..", "/", "nowhere", "a/../b", "./", "../.."])).to_owned(),
        7 => format!("{some}/"),
        8 => format!("{}/../tree/{some}", at.display()),
        _ => format!("{up}{}", random.one(&NAMES)),
    }
}

/// A path to try: something in the tree, bent a little.
fn path(random: &mut Random, paths: &[String], at: &Path) -> String {
    let mut path = random.one(paths).clone();
    for _ in 0..random.below(4) {
        path = match random.below(14) {
            0 => format!("{path}/"),
            1 => format!("{path}/."),
            2 => format!("{path}/.."),
            3 => format!("{path}/{}", random.one(&NAMES)),
            4 => format!("./{path}"),
            5 => path.replacen('/', "//", 1),
            6 => path.replacen('/', "/./", 1),
            7 => format!("{path}/../{}", random.one(&NAMES)),
            8 => format!("../tree/{path}"),
            9 => format!("{path}/missing"),
            10 => format!("{path}/../../{}", random.one(paths)),
            11 => format!("{}/{path}", random.one(paths)),
            12 => path.rsplit('/').next().unwrap_or_default().to_owned(),
            _ => format!("../{path}"),
        };
    }
    match random.below(20) {
        0..=9 => format!("{}/{path}", at.display()),
        10 => format!("/{}//{path}", at.display()),
        11 if random.once_in(8) => (*random.one(&[
            "",
            "/",
            "..",
            "../outside",
            "../outside/file",
            "../outside/return",
            "../outside/inner/file",
        ]))
        .to_owned(),
        _ => path,
    }
}

/// What `c/random_ops.c` knows to do, and how often each is wanted.
const OPERATIONS: [(&str, usize); 42] = [
    ("open", 10),
    ("openat", 8),
    ("read", 8),
    ("pread", 3),
    ("lseek", 3),
    ("fstat", 6),
    ("close", 6),
    ("dup", 3),
    ("stat", 10),
    ("lstat", 10),
    ("fstatat", 8),
    ("statx", 4),
    ("rawstat", 2),
    ("access", 6),
    ("faccessat", 4),
    ("euidaccess", 2),
    ("readlink", 6),
    ("readlinkat", 4),
    ("list", 8),
    ("listfd", 4),
    ("getdents", 4),
    ("scandir", 2),
    ("glob", 1),
    ("chdir", 6),
    ("fchdir", 4),
    ("getcwd", 6),
    ("home", 4),
    ("realpath", 5),
    ("fopen", 3),
    ("mkdir", 1),
    ("unlink", 1),
    ("rename", 1),
    ("symlink", 1),
    ("chmod", 1),
    ("truncate", 1),
    ("utimens", 1),
    ("link", 1),
    ("rmdir", 1),
    ("proc", 2),
    ("mmap", 2),
    ("fork", 1),
    ("seekdir", 2),
];

/// Operations that differ in ways that `docs/LIMITS.md` names, so that they are left out
/// unless `VELO_ABI_WITHOUT` says otherwise.
const KNOWN_DIFFERENCES: &str = "realpath,rename,link";

/// A script of `count` lines, each `operation slot number path`. `VELO_ABI_WITHOUT` (names of
/// operations with commas) leaves some out, to look past a known difference.
#[must_use]
pub fn script(random: &mut Random, paths: &[String], at: &Path, count: usize) -> Vec<String> {
    let without = std::env::var("VELO_ABI_WITHOUT").unwrap_or(KNOWN_DIFFERENCES.to_owned());
    let known = OPERATIONS
        .iter()
        .filter(|(name, _)| !without.split(',').any(|other| other == *name))
        .collect::<Vec<_>>();
    let total: usize = known.iter().map(|(_, weight)| weight).sum();
    (0..count)
        .map(|_| {
            let mut pick = random.below(total);
            let (operation, _) = known
                .iter()
                .find(|(_, weight)| {
                    let found = pick < *weight;
                    pick = pick.wrapping_sub(*weight);
                    found
                })
                .unwrap_or(&known[0]);
            let (slot, number) = (random.below(6), random.below(1 << 20));
            format!("{operation}\t{slot}\t{number}\t{}", path(random, paths, at))
        })
        .collect()
}

/// Whether a line of a script could change what it leads to.
#[must_use]
pub fn may_change(line: &str) -> bool {
    const CHANGING: [&str; 9] = [
        "mkdir", "unlink", "rmdir", "rename", "symlink", "link", "chmod", "truncate", "utimens",
    ];
    let mut words = line.split('\t');
    let operation = words.next().unwrap_or_default();
    let number: usize = words.nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    match operation {
        // As `FLAGS` and the modes of fopen in c/random_ops.c are chosen.
        "open" | "openat" => matches!(number % 17, 9..=14 | 16),
        "fopen" => number.is_multiple_of(5) || number.is_multiple_of(7),
        _ => CHANGING.contains(&operation),
    }
}

/// The fewest lines of `script` for which `fails` still holds, within `runs` trials.
pub fn shrink(
    script: &[String],
    mut runs: usize,
    fails: impl Fn(&[String]) -> bool,
) -> Vec<String> {
    let mut best = script.to_vec();
    let mut chunk = best.len().div_ceil(2);
    while chunk > 0 && runs > 0 {
        let mut start = 0;
        while start < best.len() && runs > 0 {
            let end = (start + chunk).min(best.len());
            let fewer = [&best[..start], &best[end..]].concat();
            runs -= 1;
            if !fewer.is_empty() && fails(&fewer) {
                best = fewer;
            } else {
                start = end;
            }
        }
        chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
    }
    best
}

#[cfg(test)]
mod tests {
    use super::{Random, shrink};

    #[test]
    fn shrinks_to_the_two_lines_that_matter() {
        let script: Vec<String> = (0..100).map(|line| line.to_string()).collect();
        let fails =
            |lines: &[String]| lines.contains(&"17".to_owned()) && lines.contains(&"83".to_owned());
        assert_eq!(shrink(&script, 10_000, fails), ["17", "83"]);
    }

    #[test]
    fn a_seed_means_one_run() {
        let run = |seed| {
            (0..50)
                .map(|_| Random::new(seed).below(1000))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(Random::new(1).next(), Random::new(2).next());
    }
}
