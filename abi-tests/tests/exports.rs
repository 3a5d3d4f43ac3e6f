//! What the library gives and takes: its exports are a reviewed list, and it needs nothing that
//! glibc 2.17 and musl do not both have.

use std::collections::BTreeSet;
use std::path::Path;

use abi_tests::{Call, artifacts};

/// A line of `nm -D`: the kind and the name without its version.
fn symbols(file: &Path, flags: &[&str]) -> Vec<(char, String)> {
    let seen = Call::new("nm")
        .arg("-D")
        .args(flags)
        .arg(file)
        .run(None)
        .success();
    let symbol = |line: &str| {
        let mut words = line.split_whitespace().rev();
        let name = words.next()?.to_owned();
        Some((words.next()?.chars().next()?, name))
    };
    seen.text().lines().filter_map(symbol).collect()
}

fn bare(name: &str) -> String {
    name.split('@').next().unwrap_or_default().to_owned()
}

/// The names in a committed list, comments apart.
fn listed(text: &str) -> BTreeSet<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

fn difference(of: &BTreeSet<String>, to: &BTreeSet<String>) -> String {
    of.difference(to)
        .map(|name| format!("  {name}\n"))
        .collect()
}

#[test]
fn exports_are_the_reviewed_list() {
    let found: BTreeSet<String> = symbols(artifacts::library(), &["--defined-only"])
        .into_iter()
        .map(|(_, name)| bare(&name))
        .collect();
    let expected = listed(include_str!("../exports.txt"));
    assert_eq!(
        found,
        expected,
        "exports differ from abi-tests/exports.txt\nnot in the list:\n{}not in the library:\n{}",
        difference(&found, &expected),
        difference(&expected, &found)
    );
}

#[test]
fn every_undefined_symbol_is_weak_or_everywhere() {
    let everywhere = listed(include_str!("../everywhere.txt"));
    for (kind, name) in symbols(artifacts::library(), &["--undefined-only"]) {
        let fine = matches!(kind, 'w' | 'v') || everywhere.contains(&bare(&name));
        assert!(
            fine,
            "{name} is needed ({kind}), and abi-tests/everywhere.txt does not have it"
        );
        assert!(
            !name.contains('@'),
            "{name} asks for one version of a symbol, which other C libraries lack"
        );
    }
}

/// The committed list says what it claims: in this machine's glibc since 2.17 or before, and in musl.
#[test]
fn the_list_of_everywhere_is_true() {
    let libc = [
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/lib/aarch64-linux-gnu/libc.so.6",
        "/lib64/libc.so.6",
    ];
    let libc = libc
        .map(Path::new)
        .into_iter()
        .find(|path| path.exists())
        .expect("no libc.so.6 in the usual places");
    let musl = ["/lib/ld-musl-x86_64.so.1", "/lib/ld-musl-aarch64.so.1"];
    let musl = musl
        .map(Path::new)
        .into_iter()
        .find(|path| path.exists())
        .expect("musl is not installed (apt-get install musl), and this test needs it");
    let old = |name: &str| {
        let version = name
            .split("@GLIBC_")
            .nth(1)
            .or_else(|| name.split("@@GLIBC_").nth(1))?;
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
        Some((numbers.next()??, numbers.next()??) <= (2, 17))
    };
    let glibc: BTreeSet<String> = symbols(libc, &["--defined-only"])
        .into_iter()
        .filter(|(_, name)| old(name) == Some(true))
        .map(|(_, name)| bare(&name))
        .collect();
    let musl: BTreeSet<String> = symbols(musl, &["--defined-only"])
        .into_iter()
        .map(|(_, name)| bare(&name))
        .collect();
    assert!(
        glibc.contains("open") && musl.contains("open"),
        "the symbol tables were not understood"
    );
    for name in listed(include_str!("../everywhere.txt")) {
        assert!(glibc.contains(&name), "glibc 2.17 has no {name}");
        assert!(musl.contains(&name), "musl has no {name}");
    }
}

#[test]
fn needs_no_library_and_no_privilege_of_the_loader() {
    let dynamic = Call::new("readelf")
        .arg("-dW")
        .arg(artifacts::library())
        .run(None)
        .success()
        .text();
    for tag in ["(NEEDED)", "(TEXTREL)", "(RUNPATH)", "(RPATH)", "(VERNEED)"] {
        assert!(!dynamic.contains(tag), "{tag} in\n{dynamic}");
    }
    let segments = Call::new("readelf")
        .arg("-lW")
        .arg(artifacts::library())
        .run(None)
        .success()
        .text();
    assert!(
        !segments
            .lines()
            .any(|line| line.trim_start().starts_with("TLS")),
        "thread-local storage:\n{segments}"
    );
    for line in segments
        .lines()
        .filter(|line| line.contains("LOAD") || line.contains("GNU_STACK"))
    {
        assert!(!line.contains("RWE"), "writable and executable: {line}");
    }
    assert!(
        segments
            .lines()
            .any(|line| line.contains("GNU_STACK") && !line.contains(" E ")),
        "{segments}"
    );
}
