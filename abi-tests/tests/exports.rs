//! What the library needs: nothing that glibc 2.17 and musl do not both have. What it gives is in `symbols.rs`.

use abi_tests::symbols::{self, Symbol};
use abi_tests::{Call, artifacts};
use std::collections::BTreeSet;

/// The names in a committed list, comments apart.
fn listed(text: &str) -> BTreeSet<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_undefined_symbol_is_weak_or_everywhere() {
    let everywhere = listed(include_str!("../everywhere.txt"));
    let needed = symbols::dynamic(artifacts::library(), &["--undefined-only"]);
    for Symbol {
        kind,
        name,
        version,
    } in needed
    {
        let fine = matches!(kind, 'w' | 'v') || everywhere.contains(&name);
        assert!(
            fine,
            "{name} is needed ({kind}), and abi-tests/everywhere.txt does not have it"
        );
        assert!(
            version.is_empty(),
            "{name} asks for one version of a symbol, which other C libraries lack"
        );
    }
}

/// The committed list says what it claims: in this machine's glibc since 2.17 or before, and in musl.
#[test]
fn the_list_of_everywhere_is_true() {
    let libc = symbols::glibc().expect("no libc.so.6 in the usual places");
    let musl = symbols::musl()
        .expect("musl is not installed (apt-get install musl), and this test needs it");
    let old = |version: &str| {
        let mut numbers = version
            .strip_prefix("GLIBC_")?
            .split('.')
            .map(|number| number.parse::<u32>().ok());
        Some((numbers.next()??, numbers.next()??) <= (2, 17))
    };
    let glibc: BTreeSet<String> = symbols::dynamic(&libc, &["--defined-only"])
        .into_iter()
        .filter(|symbol| old(&symbol.version) == Some(true))
        .map(|symbol| symbol.name)
        .collect();
    let musl: BTreeSet<String> = symbols::dynamic(&musl, &["--defined-only"])
        .into_iter()
        .map(|symbol| symbol.name)
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
