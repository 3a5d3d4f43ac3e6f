//! Every function of the C library is interposed or listed with its reason, and docs/SYMBOLS.md says so.
//!
//! `VELO_SYMBOLS=write` writes that page. What the library exports and what the C libraries have is read from the
//! files themselves.

use std::collections::BTreeSet;
use std::path::Path;

use abi_tests::artifacts;
use abi_tests::symbols::{self, Kind};

const HOW: &str = "abi-tests/symbols.txt (it says how), then run: VELO_SYMBOLS=write cargo test -p abi-tests --test symbols";

fn lines(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    names
        .into_iter()
        .map(|name| format!("  {}\n", name.as_ref()))
        .collect()
}

#[test]
fn the_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/SYMBOLS.md");
    let page = symbols::page();
    if std::env::var_os("VELO_SYMBOLS").is_some_and(|value| value == "write") {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differ: Vec<&str> = page
        .lines()
        .filter(|line| !found.lines().any(|other| other == *line))
        .collect();
    assert!(
        found == page,
        "docs/SYMBOLS.md is not what abi-tests/symbols.txt and the source make of it; write it again with: \
         VELO_SYMBOLS=write cargo test -p abi-tests --test symbols\nnew lines:\n{}",
        lines(differ)
    );
}

#[test]
fn exports_are_the_listed_hooks() {
    let built: BTreeSet<String> = symbols::dynamic(artifacts::library(), &["--defined-only"])
        .into_iter()
        .map(|symbol| symbol.name)
        .collect();
    let source: BTreeSet<String> = symbols::in_source().into_keys().collect();
    let mut listed = symbols::of_kind(Kind::Hook);
    listed.extend(symbols::of_kind(Kind::Own));
    assert!(
        built == listed && source == listed,
        "what is exported differs from the hooks of abi-tests/symbols.txt\n\
         exported, but not listed as a hook (add it to {HOW}):\n{}\
         listed as a hook, but not exported (take it out there, or build the library again):\n{}\
         exported, but not found in the source behind #[unsafe(no_mangle)] (abi-tests/src/symbols.rs reads it):\n{}",
        lines(built.union(&source).filter(|name| !listed.contains(*name))),
        lines(listed.difference(&built)),
        lines(built.difference(&source)),
    );
}

fn all_listed(libc: &Path) {
    let listed = symbols::kinds();
    let functions = symbols::functions(libc);
    assert!(
        functions.contains("open") && functions.contains("strlen"),
        "the symbols of {} were not understood",
        libc.display()
    );
    let unknown: Vec<&String> = functions
        .iter()
        .filter(|name| !listed.contains_key(*name))
        .collect();
    assert!(
        unknown.is_empty(),
        "{} has functions that nobody has classified. For each, look up whether it takes a path or a descriptor that may \
         be served: then interpose it, or say why not; else list it as `none`. All that in {HOW}\n{}",
        libc.display(),
        lines(unknown)
    );
}

#[test]
fn glibc_is_listed_in_full() {
    let libc = symbols::glibc().expect("no libc.so.6 in the usual places");
    all_listed(&libc);
}

#[test]
fn musl_is_listed_in_full() {
    let musl = symbols::musl()
        .expect("musl is not installed (apt-get install musl), and this test needs it");
    all_listed(&musl);
}
