//! Random scripts: what to do, and to which paths.

use super::entry::Entry;
use super::grow::name;
use crate::random::Random;

/// The operations, and how often each is wanted among all. What a line's number chooses is the runner's.
pub const OPERATIONS: [(&str, usize); 48] = [
    ("open", 400),
    ("resolve", 60),
    ("read", 200),
    ("lseek", 60),
    ("mmap", 30),
    ("send", 30),
    ("dup", 80),
    ("close", 80),
    ("fcntl", 40),
    ("fopen", 80),
    ("proc", 80),
    ("stat", 220),
    ("lstat", 220),
    ("fstatat", 250),
    ("fstat", 150),
    ("statx", 120),
    ("agree", 60),
    ("same", 60),
    ("access", 250),
    ("readlink", 220),
    ("realpath", 100),
    ("getxattr", 80),
    ("statfs", 40),
    ("list", 150),
    ("listfd", 60),
    ("getdents", 80),
    ("scandir", 50),
    ("seekdir", 40),
    ("glob", 30),
    ("walk", 10),
    ("chdir", 120),
    ("fchdir", 60),
    ("home", 60),
    ("getcwd", 100),
    ("make", 60),
    ("temporary", 20),
    ("remove", 60),
    ("rename", 40),
    ("link", 40),
    ("chmod", 30),
    ("chown", 30),
    ("times", 40),
    ("truncate", 30),
    ("setxattr", 20),
    ("fork", 6),
    ("vfork", 6),
    ("exec", 6),
    ("fexec", 3),
];

/// The operations that are left out, by `VELO_ABI_WITHOUT`: to look past a difference.
#[must_use]
pub fn excluded() -> Vec<String> {
    let names = std::env::var("VELO_ABI_WITHOUT").unwrap_or_default();
    names.split(',').map(str::to_owned).collect()
}

/// A script of `count` lines, each `operation slot number path other`.
#[must_use]
pub fn script(random: &mut Random, entries: &[Entry], count: usize) -> Vec<String> {
    let without = excluded();
    let wanted: Vec<_> = OPERATIONS
        .iter()
        .filter(|(name, _)| !without.iter().any(|other| other == name))
        .collect();
    let total: usize = wanted.iter().map(|(_, weight)| weight).sum();
    (0..count)
        .map(|_| {
            let mut pick = random.below(total);
            let (operation, _) = wanted
                .iter()
                .find(|(_, weight)| {
                    let found = pick < *weight;
                    pick = pick.wrapping_sub(*weight);
                    found
                })
                .unwrap_or(&wanted[0]);
            let (slot, number) = (random.below(6), random.below(1 << 30));
            let path = path(random, entries);
            let line = format!("{operation}\t{slot}\t{number}\t{path}");
            match *operation {
                "same" | "rename" | "link" => format!("{line}\t{}", self::path(random, entries)),
                _ => line,
            }
        })
        .collect()
}

/// A path to try: something in the tree, bent a little.
fn path(random: &mut Random, entries: &[Entry]) -> String {
    if random.once_in(150) {
        return (*random.one(&["!null", "!low", "!high"])).to_owned();
    }
    let some = |random: &mut Random| random.one(entries).path.clone();
    let mut path = some(random);
    let bends = *random.one(&[0, 0, 0, 1, 1, 2, 3]);
    for _ in 0..bends {
        path = match random.below(16) {
            0 | 1 => format!("{path}/"),
            2 => format!("{path}/."),
            3 => format!("{path}/.."),
            4 => format!("{path}/{}", name(random)),
            5 => format!("./{path}"),
            6 => path.replacen('/', "//", 1),
            7 => path.replacen('/', "/./", 1),
            8 => format!("{path}/../{}", name(random)),
            9 => format!("../tree/{path}"),
            10 => format!("{path}/missing"),
            11 => format!("{path}/../../{}", some(random)),
            12 => format!("{}/{path}", some(random)),
            13 => path.rsplit('/').next().unwrap_or_default().to_owned(),
            14 => format!("{path}//"),
            _ => format!("../{path}"),
        };
    }
    match random.below(40) {
        0..=15 => format!("{{P}}/{path}"),
        16 => format!("/{{P}}//{path}"),
        17 => format!("{{P}}/../tree/{path}"),
        18 if random.once_in(4) => format!(
            "{{P}}/{{pad:{}}}{path}",
            random.one(&[4094, 4095, 4096, 4097, 5000])
        ),
        18 if random.once_in(3) => format!("{path}/{}", "z".repeat(254 + random.below(4))),
        19 if random.once_in(2) => (*random.one(&[
            "",
            "/",
            "..",
            ".",
            "//",
            "../outside",
            "../outside/file",
            "../outside/file/",
            "{P}/../outside/return",
            "{P}/../outside/return/",
            "../outside/return/a",
            "../outside/inner/file",
            "../outside/gone",
            "../outside/../tree/a",
            "{P}",
            "{P}/",
            "{P}/.",
            "{P}/..",
            "{P}x",
            "{P}/../outside/inner/..",
        ]))
        .to_owned(),
        _ => path,
    }
}
