//! The packages that the adapters find, and what their tree hashes depend on.

mod common;

use common::Place;
use velo_core::manifest::Manifest;
use velo_indexer::BuildOptions;

/// Name, version and tree hash of each package.
fn packages(place: &Place, mount: &str) -> Vec<(String, String, [u8; 32])> {
    let options = BuildOptions {
        mount: Some(mount.into()),
        ..BuildOptions::default()
    };
    let built = place.build_with(&options).unwrap();
    let manifest = Manifest::open(&built.bytes).unwrap();
    manifest.verify().unwrap();
    let found: Vec<_> = manifest
        .packages()
        .map(|package| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            (text(package.name), text(package.version), package.tree)
        })
        .collect();
    assert_eq!(built.summary.packages, found.len() as u64);
    found
}

fn names(packages: &[(String, String, [u8; 32])]) -> Vec<String> {
    packages
        .iter()
        .map(|(name, version, _)| format!("{name} {version}"))
        .collect()
}

const RECORD: &[u8] = b"six.py,sha256=x,3\n\"pkg/odd,name.py\",,\npkg/__init__.py,sha256=y,0\n\
pkg/__pycache__/__init__.cpython-311.pyc,,\n../../../bin/six,sha256=z,9\nsix-1.16.0.dist-info/METADATA,,\n\
six-1.16.0.dist-info/RECORD,,\nsix-1.16.0.dist-info/INSTALLER,,\nmissing.py,,\n";

fn site(prefix: &str) -> Place {
    let place = Place::new();
    let write = |name: &str, content: &[u8]| place.write(format!("{prefix}{name}"), content);
    write("six.py", b"six");
    write("pkg/__init__.py", b"");
    write("pkg/odd,name.py", b"odd");
    write("pkg/__pycache__/__init__.cpython-311.pyc", b"bytecode");
    write(
        "six-1.16.0.dist-info/METADATA",
        b"Metadata-Version: 2.1\nName: Six\nVersion: 1.16.0\n\nName: no\n",
    );
    write("six-1.16.0.dist-info/RECORD", RECORD);
    write("six-1.16.0.dist-info/INSTALLER", b"uv");
    place
}

#[test]
fn a_distribution_is_what_its_record_lists() {
    let place = site("lib/site-packages/");
    let first = packages(&place, "/venv");
    assert_eq!(names(&first), ["Six 1.16.0"]);
    // The documented listing, by hand.
    let mut listing = Vec::new();
    for (path, content) in [
        ("pkg/__init__.py", &b""[..]),
        ("pkg/odd,name.py", b"odd"),
        (
            "six-1.16.0.dist-info/METADATA",
            b"Metadata-Version: 2.1\nName: Six\nVersion: 1.16.0\n\nName: no\n",
        ),
        ("six.py", b"six"),
    ] {
        listing.extend_from_slice(path.as_bytes());
        listing.extend_from_slice(b"\0f");
        listing.extend_from_slice(blake3::hash(content).as_bytes());
    }
    assert_eq!(first[0].2, *blake3::hash(&listing).as_bytes());
}

#[test]
fn the_same_package_elsewhere_is_the_same() {
    let here = site("lib/site-packages/");
    let there = site("");
    there.write(
        "pkg/__pycache__/__init__.cpython-311.pyc",
        b"other bytecode",
    );
    there.write("six-1.16.0.dist-info/INSTALLER", b"pip");
    assert_eq!(
        packages(&here, "/venv"),
        packages(&there, "/opt/site-packages")
    );
    there.write("six.py", b"patched");
    assert_ne!(
        packages(&here, "/venv"),
        packages(&there, "/opt/site-packages")
    );
    there.write("six.py", b"six");
    there.mode("six.py", 0o755);
    assert_ne!(
        packages(&here, "/venv"),
        packages(&there, "/opt/site-packages")
    );
}

#[test]
fn eggs_and_what_has_no_record() {
    let place = Place::new();
    place.write(
        "attrs-22.2.0.egg-info/PKG-INFO",
        b"Name: attrs\nVersion: 22.2.0\n",
    );
    place.write("attrs-22.2.0.egg-info/top_level.txt", b"attr\nsingle\n");
    place.write("attr/__init__.py", b"attr");
    place.write("single.py", b"single");
    place.write("flat-1.0.egg-info", b"Name: flat\nVersion: 1.0\n");
    place.write("broken-3.0.dist-info/nothing", b"");
    let first = packages(&place, "/site");
    assert_eq!(names(&first), ["attrs 22.2.0", "broken 3.0", "flat 1.0"]);
    place.write("attr/__init__.py", b"changed");
    place.write("single.py", b"single");
    let second = packages(&place, "/site");
    assert_ne!(second[0], first[0]);
    assert_eq!(second[1..], first[1..]);
}

fn modules(prefix: &str) -> Place {
    let place = Place::new();
    let write = |name: &str, content: &[u8]| place.write(format!("{prefix}{name}"), content);
    write(
        "react/package.json",
        br#"{"name": "react", "version": "18.2.0", "private": {"x": [1]}}"#,
    );
    write("react/index.js", b"react");
    write("react/esm/package.json", br#"{"type": "module"}"#);
    write(
        "react/node_modules/loose/package.json",
        b"\xef\xbb\xbf{\"name\": \"loose\", \"version\": \"1.0.0\"}",
    );
    write(
        "@types/node/package.json",
        br#"{"name": "@types/node", "version": "20.1.0"}"#,
    );
    write("unnamed/package.json", br#"{"version": "2.0.0"}"#);
    write("broken/package.json", b"{ not json");
    write("no-package/index.js", b"");
    write(
        ".pnpm/dep@1.0.0/node_modules/dep/package.json",
        br#"{"name": "dep", "version": "1.0.0"}"#,
    );
    write(".bin/tool", b"");
    place
}

#[test]
fn npm_packages() {
    let all = [
        "@types/node 20.1.0",
        "dep 1.0.0",
        "loose 1.0.0",
        "react 18.2.0",
        "unnamed 2.0.0",
    ];
    let project = packages(&modules("node_modules/"), "/project");
    assert_eq!(names(&project), all);
    // The tree may be the node_modules itself.
    let bare = modules("");
    assert_eq!(packages(&bare, "/project/node_modules"), project);
    assert_eq!(
        names(&packages(&bare, "/project/modules")),
        ["dep 1.0.0", "loose 1.0.0"]
    );
}

#[test]
fn a_nested_package_is_its_own() {
    let place = modules("node_modules/");
    let find = |name: &str| {
        packages(&place, "/project")
            .into_iter()
            .find(|package| package.0 == name)
            .unwrap()
    };
    let (react, loose) = (find("react"), find("loose"));
    place.write(
        "node_modules/react/node_modules/loose/package.json",
        br#"{"name": "loose", "version": "1.0.1"}"#,
    );
    assert_eq!(find("react"), react);
    assert_ne!(find("loose"), loose);
    place.write("node_modules/react/esm/package.json", b"{}");
    assert_ne!(find("react"), react);
}
