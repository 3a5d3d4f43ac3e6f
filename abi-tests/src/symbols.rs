//! `symbols.txt`, the one list of what is interposed and what of the C library is not, with the
//! reasons; and docs/SYMBOLS.md, which is written from it and from the source of libvelo_fs.
//!
//! The file says itself how it is read. A mistake in it is a panic that names the line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::Call;

/// What an entry says of its functions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Interposed.
    Hook,
    /// Velo's own, for language hooks.
    Own,
    /// Not interposed, and right for served paths and descriptors all the same.
    Real,
    /// Not interposed, and does not see what is served.
    Unserved,
    /// Takes neither a path nor a descriptor.
    None,
}

impl Kind {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "hook" => Self::Hook,
            "own" => Self::Own,
            "real" => Self::Real,
            "unserved" => Self::Unserved,
            "none" => Self::None,
            _ => return None,
        })
    }

    fn words(self) -> &'static str {
        match self {
            Self::Hook => "interposed",
            Self::Own => "Velo's own",
            Self::Real => "right as it is",
            Self::Unserved => "**not served**",
            Self::None => "no path",
        }
    }
}

/// Some functions with the same to say of each.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Of which kind they are.
    pub kind: Kind,
    /// Their C names.
    pub names: Vec<String>,
    /// What they do, or why they are not interposed.
    pub sentence: String,
}

/// Entries under a heading.
#[derive(Clone, Debug)]
pub struct Family {
    /// The heading.
    pub heading: String,
    /// In the order of the file.
    pub entries: Vec<Entry>,
}

/// The committed list.
///
/// # Panics
/// If a line cannot be understood, or a name stands there twice.
#[must_use]
pub fn families() -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    let mut open: Option<String> = None;
    for line in include_str!("../symbols.txt").lines().chain(["= end"]) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with(' ') {
            let text = open
                .as_mut()
                .unwrap_or_else(|| panic!("symbols.txt: nothing goes on in `{line}`"));
            text.push(' ');
            text.push_str(line.trim());
            continue;
        }
        if let Some(text) = open.take() {
            let family = families
                .last_mut()
                .unwrap_or_else(|| panic!("symbols.txt: no heading above `{text}`"));
            family.entries.push(entry(&text));
        }
        match line.strip_prefix("= ") {
            Some(heading) => families.push(Family {
                heading: heading.to_owned(),
                entries: Vec::new(),
            }),
            None => open = Some(line.to_owned()),
        }
    }
    families.pop();
    let mut seen = BTreeSet::new();
    for name in families
        .iter()
        .flat_map(|family| &family.entries)
        .flat_map(|entry| &entry.names)
    {
        assert!(seen.insert(name), "symbols.txt has {name} twice");
    }
    families
}

fn entry(text: &str) -> Entry {
    let (head, sentence) = text
        .split_once(" -- ")
        .unwrap_or_else(|| panic!("symbols.txt: expected ` -- ` and a sentence in `{text}`"));
    let mut words = head.split_whitespace();
    let kind = words.next().and_then(Kind::of).unwrap_or_else(|| {
        panic!("symbols.txt: expected hook, own, real, unserved or none at the start of `{text}`")
    });
    let names: Vec<String> = words.map(str::to_owned).collect();
    assert!(
        !names.is_empty() && !sentence.is_empty(),
        "symbols.txt: no names or no sentence in `{text}`"
    );
    Entry {
        kind,
        names,
        sentence: sentence.to_owned(),
    }
}

/// All names of the list, with their kind.
#[must_use]
pub fn kinds() -> BTreeMap<String, Kind> {
    families()
        .into_iter()
        .flat_map(|family| family.entries)
        .flat_map(|entry| entry.names.into_iter().map(move |name| (name, entry.kind)))
        .collect()
}

/// The names of one kind.
#[must_use]
pub fn of_kind(kind: Kind) -> BTreeSet<String> {
    kinds()
        .into_iter()
        .filter(|(_, found)| *found == kind)
        .map(|(name, _)| name)
        .collect()
}

/// One line of `nm -D`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Symbol {
    /// The letter of `nm`.
    pub kind: char,
    /// The name without its version.
    pub name: String,
    /// The version behind `@` or `@@`, or nothing.
    pub version: String,
}

/// What `nm -D` with more `flags` says of a file.
///
/// # Panics
/// If `nm` fails.
#[must_use]
pub fn dynamic(file: &Path, flags: &[&str]) -> Vec<Symbol> {
    let seen = Call::new("nm")
        .arg("-D")
        .args(flags)
        .arg(file)
        .run(None)
        .success();
    let symbol = |line: &str| {
        let mut words = line.split_whitespace().rev();
        let name = words.next()?;
        let (name, version) = name.split_once('@').unwrap_or((name, ""));
        Some(Symbol {
            kind: words.next()?.chars().next()?,
            name: name.to_owned(),
            version: version.trim_start_matches('@').to_owned(),
        })
    };
    seen.text().lines().filter_map(symbol).collect()
}

/// The functions that programs may call of a C library: those that are not its own business.
#[must_use]
pub fn functions(libc: &Path) -> BTreeSet<String> {
    dynamic(libc, &["--defined-only"])
        .into_iter()
        .filter(|symbol| matches!(symbol.kind, 'T' | 'W' | 'i'))
        .filter(|symbol| symbol.version != "GLIBC_PRIVATE")
        .map(|symbol| symbol.name)
        .collect()
}

/// The machine's `libc.so.6`.
#[must_use]
pub fn glibc() -> Option<PathBuf> {
    first(&[
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/lib/aarch64-linux-gnu/libc.so.6",
        "/lib64/libc.so.6",
    ])
}

/// The machine's musl.
#[must_use]
pub fn musl() -> Option<PathBuf> {
    first(&["/lib/ld-musl-x86_64.so.1", "/lib/ld-musl-aarch64.so.1"])
}

fn first(paths: &[&str]) -> Option<PathBuf> {
    paths.iter().map(PathBuf::from).find(|path| path.exists())
}

/// The functions that the source exports, with the file below `libvelo_fs/src`.
///
/// # Panics
/// If the source cannot be read.
#[must_use]
pub fn in_source() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../libvelo_fs/src");
    let mut found = BTreeMap::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        let entries = std::fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let file = path.strip_prefix(&root).unwrap_or(&path);
            for name in exported(&text) {
                found.insert(name, file.display().to_string());
            }
        }
    }
    found
}

/// The names behind `no_mangle` in a source text.
fn exported(text: &str) -> Vec<String> {
    const EXPORTED: &str = "#[unsafe(no_mangle)]";
    let mut names = Vec::new();
    for (at, _) in text.match_indices(EXPORTED) {
        let (before, after) = text.split_at(at);
        let name = after
            .split_once(" fn ")
            .and_then(|(_, signature)| signature.split('(').next());
        match name {
            // Inside of a macro: each of its uses exports what it names first.
            Some("$name") => {
                let definition = before.rsplit("macro_rules! ").next().unwrap_or_default();
                let usage = format!("{}!(", definition.split(' ').next().unwrap_or_default());
                names.extend(text.split(&usage).skip(1).filter_map(first_word));
            }
            Some(name) => names.push(name.to_owned()),
            None => {}
        }
    }
    names
}

fn first_word(text: &str) -> Option<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let word = text.trim_start().split(|letter| !is_part(letter)).next()?;
    (!word.is_empty()).then(|| word.to_owned())
}

/// docs/SYMBOLS.md as it should be.
///
/// # Panics
/// If the source exports what the list does not have.
#[must_use]
pub fn page() -> String {
    let source = in_source();
    let kinds = kinds();
    let count = |kind| kinds.values().filter(|found| **found == kind).count();
    let mut page = String::from(INTRODUCTION);
    let _ = writeln!(
        page,
        "{} functions are interposed, {} are right as they are, {} are not served; {} more of the C libraries take \
         neither a path nor a descriptor and are not shown.",
        count(Kind::Hook),
        count(Kind::Real),
        count(Kind::Unserved),
        count(Kind::None)
    );
    for family in families() {
        let shown: Vec<&Entry> = family
            .entries
            .iter()
            .filter(|entry| entry.kind != Kind::None)
            .collect();
        if shown.is_empty() {
            continue;
        }
        let _ = write!(
            page,
            "\n## {}\n\n| functions | | for a served path or descriptor | where |\n|---|---|---|---|\n",
            family.heading
        );
        for entry in shown {
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} |",
                entry
                    .names
                    .iter()
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(" "),
                entry.kind.words(),
                entry.sentence.replace('|', "\\|"),
                files(&source, &entry.names)
            );
        }
    }
    page
}

/// In which files some hooks stand.
fn files(source: &BTreeMap<String, String>, names: &[String]) -> String {
    let files: BTreeSet<&str> = names
        .iter()
        .filter_map(|name| source.get(name))
        .map(String::as_str)
        .collect();
    files.into_iter().collect::<Vec<_>>().join(" ")
}

const INTRODUCTION: &str = "\
# What is interposed, and what is not

Written by a test from `abi-tests/symbols.txt` and the source; do not edit it here. The tests named `symbols` fail when
it is out of date, when `libvelo_fs.so` exports what is not listed, and when the machine's `libc.so.6` or musl has a
function that is not listed. The last column names files below `libvelo_fs/src`.

- **interposed**: the function is ours, and this is what it does.
- **Velo's own**: no C library has it; language hooks ask it (libvelo_fs/src/interpose/python.rs has the structures).
- **right as it is**: it takes a path or a descriptor and needs no hook, because every descriptor is a real one of the
  kernel, or because nothing that is served can be meant.
- **not served**: it reads paths where no hook sees it, or cannot do to a served path what it does to others; the way
  around is to have a plain copy at that place. [LIMITS.md](LIMITS.md) says what else differs.

To add a hook: write it, add its name to `abi-tests/symbols.txt` (that file says how), and run

    VELO_SYMBOLS=write cargo test -p abi-tests --test symbols

";
