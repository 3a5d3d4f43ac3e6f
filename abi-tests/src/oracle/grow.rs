//! Random trees.

use super::entry::{Entry, Kind};
use super::text::escaped;
use crate::random::Random;

const USUAL: [&str; 14] = [
    "a", "b", "c", "aa", "a.b", "d", "lib", "f.py", "x y", "-", "Z", ".h", "...", "ab",
];

const ODD: [&[u8]; 14] = [
    b"\xc3\xa9",
    b"\xff\xfe\x80",
    b"new\nline",
    b"tab\tname",
    b" ",
    b"*",
    b"[a-z]?",
    b"back\\slash",
    b"..data",
    b"{a,b}",
    b"!x",
    b"~",
    b"$HOME",
    b"\x01\x7f",
];

/// The name of a new entry, escaped.
pub(super) fn name(random: &mut Random) -> String {
    match random.below(40) {
        0..=33 => (*random.one(&USUAL)).to_owned(),
        34..=37 => escaped(random.one::<&[u8]>(&ODD)),
        38 => "y".repeat(255),
        _ => "y".repeat(200 + random.below(56)),
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}/{name}")
    }
}

/// A tree of about `count` entries.
#[must_use]
pub fn tree(random: &mut Random, count: usize) -> Vec<Entry> {
    let mut entries = vec![Entry::new("", Kind::Dir)];
    let mut directories = vec![String::new()];
    grow(random, &mut entries, &mut directories, count);
    let parent = random.one(&directories).clone();
    match random.below(7) {
        0 => deep(random, &mut entries, &parent),
        1 => wide(random, &mut entries, &parent),
        2 => knot(random, &mut entries, &parent),
        3 => long(random, &mut entries),
        _ => programs(random, &mut entries, &parent),
    }
    for entry in &mut entries {
        decorate(random, entry);
    }
    entries
}

fn grow(
    random: &mut Random,
    entries: &mut Vec<Entry>,
    directories: &mut Vec<String>,
    count: usize,
) {
    let mut files: Vec<String> = Vec::new();
    let mut tries = 0;
    while entries.len() < count && tries < 20 * count {
        tries += 1;
        let path = join(&random.one(directories).clone(), &name(random));
        if path.len() > 2000 || entries.iter().any(|entry| entry.path == path) {
            continue;
        }
        let kind = match random.below(12) {
            0..=3 => {
                directories.push(path.clone());
                Kind::Dir
            }
            4..=6 => {
                files.push(path.clone());
                file(random)
            }
            7 if !files.is_empty() => {
                let existing = random.one(&files).clone();
                files.push(path.clone());
                Kind::Hard(existing)
            }
            _ => Kind::Link(target(random, entries)),
        };
        entries.push(Entry::new(path, kind));
    }
}

fn file(random: &mut Random) -> Kind {
    match random.below(12) {
        0 | 1 => Kind::Bytes(0),
        2..=6 => Kind::Bytes(*random.one(&[1, 17, 300, 4095, 4096, 4097, 20_000])),
        7 => Kind::Sparse(*random.one(&[100_000, 1 << 20, 5 << 30])),
        _ => Kind::Text(format!("text {}\\x0a", random.below(5))),
    }
}

/// Where a symlink leads: never the empty string, which no symlink can hold.
fn target(random: &mut Random, entries: &[Entry]) -> String {
    let path = random.one(entries).path.clone();
    let some = if path.is_empty() {
        ".".to_owned()
    } else {
        path
    };
    let up = "../".repeat(random.below(4));
    match random.below(14) {
        0..=4 => format!("{up}{some}"),
        5 | 6 => format!("{{P}}/{some}"),
        7 => format!(
            "{up}outside/{}",
            random.one(&["inner", "file", "return", "gone", "return/a", ""])
        ),
        8 => (*random.one(&[
            ".", "..", "/", "nowhere", "a/../b", "./", "../..", "/nowhere", "{P}", "{P}/",
        ]))
        .to_owned(),
        9 => format!("{some}/"),
        10 => format!("{{P}}/../tree/{some}"),
        11 => format!("{}{some}", "./".repeat(random.below(1000))),
        12 => format!("{some}/../{}", name(random)),
        _ => format!("{up}{}", name(random)),
    }
}

/// Directories in directories.
fn deep(random: &mut Random, entries: &mut Vec<Entry>, parent: &str) {
    let mut path = join(parent, "deep");
    for level in 0..20 + random.below(60) {
        entries.push(Entry::new(path.clone(), Kind::Dir));
        if level % 9 == 0 {
            entries.push(Entry::new(
                join(&path, "up"),
                Kind::Link("../".repeat(level / 2 + 1) + "a"),
            ));
        }
        path = join(&path, random.one::<&str>(&["d", "e", "lib"]));
    }
    entries.push(Entry::new(path, Kind::Bytes(300)));
}

/// Many names in one directory.
fn wide(random: &mut Random, entries: &mut Vec<Entry>, parent: &str) {
    let path = join(parent, "wide");
    entries.push(Entry::new(path.clone(), Kind::Dir));
    for number in 0..60 + random.below(240) {
        let kind = if number % 10 == 0 {
            Kind::Dir
        } else {
            Kind::Bytes(number % 3)
        };
        entries.push(Entry::new(
            join(&path, &format!("{number:03}{}", "n".repeat(number % 60))),
            kind,
        ));
    }
}

/// Symlinks that lead to each other: a chain around the limit of 40, and circles.
fn knot(random: &mut Random, entries: &mut Vec<Entry>, parent: &str) {
    let path = join(parent, "knot");
    let end = random.one(entries).path.clone();
    let mut link = |name: &str, target: &str| {
        entries.push(Entry::new(join(&path, name), Kind::Link(target.to_owned())))
    };
    link("0", &format!("{{P}}/{end}"));
    let longest = 36 + random.below(8);
    for number in 1..=longest {
        link(&number.to_string(), &(number - 1).to_string());
    }
    link("self", "self");
    link("one", "two/x");
    link("two", "one/y");
    link("round", "../knot/round-2");
    link("round-2", "./round");
    link("here", ".");
    link("there", "here/here/here/here");
    link("last", &format!("here/{longest}"));
}

/// A path of nearly PATH_MAX bytes.
fn long(random: &mut Random, entries: &mut Vec<Entry>) {
    let mut path = "l".repeat(255);
    let longest = 3000 + random.below(900);
    while path.len() < longest {
        entries.push(Entry::new(path.clone(), Kind::Dir));
        path = join(&path, &"m".repeat((longest - path.len()).clamp(1, 255)));
    }
    entries.push(Entry::new(path, Kind::Bytes(17)));
}

/// Programs and scripts, with an interpreter of the tree, of the machine, and none.
fn programs(random: &mut Random, entries: &mut Vec<Entry>, parent: &str) {
    let place = |name: &str| join(parent, name);
    let script =
        |line: &str| Kind::Text(format!("{line}\\x0aecho ran \"$0\" \"$@\"\\x0aexit 3\\x0a"));
    entries.push(Entry::new(place("program"), Kind::Program));
    let lines = [
        ("sh", "#!/bin/sh".to_owned()),
        ("env", "#! /usr/bin/env sh".to_owned()),
        ("own", format!("#!{{P}}/{} with argument", place("program"))),
        ("nested", format!("#!{{P}}/{}", place("own"))),
        ("lost", "#!/nowhere/interpreter".to_owned()),
        ("relative", "#!sh".to_owned()),
    ];
    for (name, line) in lines {
        let mode = *random.one(&[0o755, 0o755, 0o755, 0o555, 0o700, 0o644]);
        entries.push(Entry::new(place(name), script(&line)).mode(mode));
    }
    entries.push(Entry::new(
        place("to-program"),
        Kind::Link("program".to_owned()),
    ));
    entries.push(Entry::new(place("plain"), Kind::Text("no script\\x0a".to_owned())).mode(0o755));
}

const DIRECTORY_MODES: [u32; 9] = [
    0o000, 0o111, 0o444, 0o700, 0o711, 0o750, 0o1777, 0o070, 0o007,
];
const FILE_MODES: [u32; 11] = [
    0o000, 0o111, 0o400, 0o600, 0o640, 0o755, 0o4755, 0o2711, 0o040, 0o004, 0o222,
];

/// Owner, permissions, time and attributes of one entry.
fn decorate(random: &mut Random, entry: &mut Entry) {
    if random.once_in(3) {
        entry.owner = *random.one(&[
            (crate::NOBODY, crate::NOBODY),
            (crate::NOBODY, 0),
            (0, crate::NOBODY),
            (1000, 1001),
            (4_000_000_000, 7),
        ]);
    }
    match entry.kind {
        Kind::Dir if random.once_in(6) && !entry.path.is_empty() => {
            entry.mode = *random.one(&DIRECTORY_MODES)
        }
        // Programs keep theirs: they are there to run.
        Kind::Bytes(_) | Kind::Sparse(_) | Kind::Text(_)
            if entry.mode == 0o644 && random.once_in(3) =>
        {
            entry.mode = *random.one(&FILE_MODES);
        }
        _ => {}
    }
    let seconds = i64::try_from(random.below(1 << 31)).unwrap_or(0);
    let nanoseconds = u32::try_from(random.below(1_000_000_000)).unwrap_or(0);
    entry.time = *random.one(&[
        (seconds, nanoseconds),
        (seconds, nanoseconds),
        (seconds, 0),
        (0, 0),
        (-1, 999_999_999),
        (-2_147_483_648, 0),
        (4_294_967_296, 7),
    ]);
    if random.once_in(10) && matches!(entry.kind, Kind::Dir | Kind::Bytes(_)) {
        entry.attributes = vec!["user.note=kept".to_owned(), "user.empty=".to_owned()];
    }
}
