//! Bytecode that is made while indexing: what is added, for which sources, how often anything
//! is compiled, and what is said of interpreters that are of no use.
//!
//! With the interpreters that this machine has; a test that needs one and finds none says so.

mod common;

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::{Place, Seen, entries, settle, skip};
use velo_core::manifest::Manifest;
use velo_indexer::{BuildOptions, Built, Bytecode, Python};

/// An interpreter, and what its files are called.
struct Found {
    program: PathBuf,
    tag: String,
}

/// The working interpreters of CPython 3.7 and newer, one for each series.
fn interpreters() -> Vec<Found> {
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    let mut programs: Vec<PathBuf> = (7..=15)
        .map(|minor| format!("python3.{minor}").into())
        .collect();
    programs.push("python3".into());
    // Those of a version manager are in no PATH.
    let managed = std::env::home_dir()
        .unwrap_or_default()
        .join(".pyenv/versions");
    for version in std::fs::read_dir(managed).into_iter().flatten().flatten() {
        programs.push(version.path().join("bin/python3"));
    }
    for name in programs {
        let text = "import sys; print(sys.version_info >= (3, 7) and sys.implementation.name); print(sys.implementation.cache_tag); print(sys.executable)";
        let Ok(out) = Command::new(name).args(["-c", text]).output() else {
            continue;
        };
        let out = String::from_utf8_lossy(&out.stdout).into_owned();
        if let [kind, tag, program] = out.lines().collect::<Vec<_>>().as_slice()
            && *kind == "cpython"
        {
            found.entry((*tag).into()).or_insert(Found {
                program: program.into(),
                tag: (*tag).into(),
            });
        }
    }
    found.into_values().collect()
}

/// The first of them, or a printed reason.
fn interpreter() -> Option<Found> {
    let found = interpreters().pop();
    if found.is_none() {
        skip("no CPython 3.7 or newer in PATH");
    }
    found
}

fn with(interpreters: &[&Path]) -> BuildOptions {
    BuildOptions {
        python: Python {
            interpreters: interpreters.iter().map(|path| path.to_path_buf()).collect(),
            ..Python::default()
        },
        ..BuildOptions::default()
    }
}

fn counts(built: &Built) -> Bytecode {
    built.summary.bytecode.expect("bytecode was asked for")
}

/// Compiled, reused, kept, skipped.
fn four(built: &Built) -> [u64; 4] {
    let Bytecode {
        compiled,
        reused,
        kept,
        skipped,
    } = counts(built);
    [compiled, reused, kept, skipped]
}

fn blob(place: &Place, seen: &Seen) -> Vec<u8> {
    place.store.read_verified(&seen.content.unwrap()).unwrap()
}

/// Two packages with a module in common, a script, and what does not compile.
fn plant(place: &Place) {
    place.write("one/__init__.py", b"");
    place.write("one/same.py", b"def f():\n    return 1\n");
    place.write("two/__init__.py", b"");
    place.write("two/same.py", b"def f():\n    return 1\n");
    place.write("two/template.py", b"class {{ name }}:\n    pass\n");
    place.write("script.py", b"assert True, 'kept at level 0'\n");
    place.write("notes.txt", b"not python\n");
    place.mode("script.py", 0o750);
    settle();
}

#[test]
fn every_source_gets_what_its_interpreter_would_write() {
    for Found { program, tag } in interpreters() {
        let place = Place::new();
        plant(&place);
        let plain = entries(&place.build().bytes);
        let built = place.build_with(&with(&[&program])).unwrap();
        // Three distinct contents compile, two more paths have them already.
        assert_eq!(four(&built), [3, 2, 0, 1], "{tag}");
        assert_eq!(built.summary.warnings, [""; 0]);
        let mut all = entries(&built.bytes);
        let made: Vec<_> = [
            "one/__init__",
            "one/same",
            "script",
            "two/__init__",
            "two/same",
        ]
        .map(|stem| {
            let (directory, name) = stem.rsplit_once('/').unwrap_or(("", stem));
            let source = Path::new(stem).with_extension("py");
            (
                source,
                Path::new(directory).join(format!("__pycache__/{name}.{tag}.pyc")),
            )
        })
        .into();
        for (source, bytecode) in made {
            let seen = all
                .remove(&bytecode)
                .unwrap_or_else(|| panic!("{bytecode:?}"));
            let source = &all[&source];
            assert_eq!(seen.mode, source.mode & 0o100_666 | 0o200, "{bytecode:?}");
            assert_eq!((seen.owner, seen.mtime), (source.owner, source.mtime));
            assert_eq!(seen.nlink, 1);
            let content = blob(&place, &seen);
            assert_eq!(content.len() as u64, seen.size);
            assert_eq!(content[4..8], [1, 0, 0, 0], "unchecked, by hash");
        }
        for parent in ["", "one", "two"] {
            let cache = Path::new(parent).join("__pycache__");
            let seen = all.remove(&cache).unwrap();
            let above = &all[Path::new(parent)];
            assert_eq!(
                (seen.mode, seen.owner, seen.mtime, seen.nlink),
                (above.mode, above.owner, above.mtime, 2)
            );
        }
        for (path, seen) in &mut all {
            // The directories have one subdirectory more.
            if ["", "one", "two"].contains(&path.to_str().unwrap()) {
                seen.nlink -= 1;
            }
        }
        assert_eq!(all, plain, "the rest is as without bytecode");
    }
}

#[test]
fn the_same_source_is_compiled_once_for_all_builds() {
    let Some(Found { program, tag }) = interpreter() else {
        return;
    };
    let place = Place::new();
    plant(&place);
    let options = with(&[&program]);
    let first = place.build_with(&options).unwrap();
    let output = place.directory.path().join("app.velo");
    place.store.publish_manifest(&first.bytes, &output).unwrap();
    let again = place.build_with(&options).unwrap();
    assert!(again.summary.unchanged);
    assert_eq!(again.bytes, first.bytes);
    assert_eq!(four(&again), [0, 5, 0, 1]);
    assert_eq!(
        (
            again.summary.entries,
            again.summary.files,
            again.summary.bytes
        ),
        (
            first.summary.entries,
            first.summary.files,
            first.summary.bytes
        )
    );

    // Another tree with a module more: only that is compiled.
    let other = place.directory.path().join("other");
    std::fs::create_dir_all(other.join("pkg")).unwrap();
    std::fs::write(other.join("pkg/same.py"), b"def f():\n    return 1\n").unwrap();
    std::fs::write(other.join("pkg/new.py"), b"NEW = 1\n").unwrap();
    std::fs::write(other.join("pkg/bad.py"), b"class {{ name }}:\n    pass\n").unwrap();
    let built = velo_indexer::build(&other, &options, &place.store, &()).unwrap();
    assert_eq!(four(&built), [1, 1, 0, 1]);

    // A changed source: it alone.
    place.write("one/same.py", b"def f():\n    return 2\n");
    settle();
    let changed = place.build_with(&options).unwrap();
    assert_eq!(four(&changed), [1, 4, 0, 1]);
    let name = format!("__pycache__/same.{tag}.pyc");
    let (before, after) = (entries(&first.bytes), entries(&changed.bytes));
    let (one, two) = (Path::new("one").join(&name), Path::new("two").join(&name));
    assert_ne!(before[&one].content, after[&one].content);
    assert_eq!(before[&two].content, after[&two].content);

    // No option, no bytecode; and the option again.
    assert_eq!(place.build().summary.bytecode, None);
    assert_eq!(four(&place.build_with(&options).unwrap()), [0, 5, 0, 1]);
    let anew = BuildOptions {
        no_cache: true,
        ..options
    };
    let anew = place.build_with(&anew).unwrap();
    assert_eq!(four(&anew), [4, 1, 0, 1]);
    assert_eq!(anew.bytes, changed.bytes);
}

#[test]
fn the_same_tree_gives_the_same_bytes_whatever_was_compiled_before() {
    for Found { program, tag } in interpreters() {
        let place = Place::new();
        plant(&place);
        // Names and sets whose marshalled form depends on what is interned, and on the hash seed.
        for number in 0..20 {
            let text = format!(
                "def name_{number}(value_{number}, name_{}):\n    return value_{number} in {{'a{number}', 'b', 'name_{number}'}}, 'value_{}'\n",
                number + 1,
                number / 2
            );
            place.write(format!("many/m{number}.py"), text.as_bytes());
        }
        settle();
        let options = with(&[&program]);
        let first = place.build_with(&options).unwrap();
        let copy = Place::new();
        let mut one_thread = with(&[&program]);
        one_thread.threads = 1;
        // Half of it is known when the whole is built.
        let half = place.source.join("many");
        velo_indexer::build(&half, &one_thread, &copy.store, &()).unwrap();
        let second = velo_indexer::build(&place.source, &one_thread, &copy.store, &()).unwrap();
        assert_eq!(first.bytes, second.bytes, "{tag}");
        assert_ne!(counts(&first).compiled, counts(&second).compiled);
    }
}

#[test]
fn several_interpreters_and_levels_stand_beside_each_other() {
    let found = interpreters();
    let [.., older, newer] = found.as_slice() else {
        return skip("fewer than two series of CPython in PATH");
    };
    let place = Place::new();
    plant(&place);
    let mut options = with(&[&newer.program, &older.program]);
    options.python.levels = vec![2, 0, 1, 1];
    let built = place.build_with(&options).unwrap();
    assert_eq!(four(&built), [18, 12, 0, 6]);
    let all = entries(&built.bytes);
    for tag in [&older.tag, &newer.tag] {
        for level in ["", ".opt-1", ".opt-2"] {
            let name = format!("__pycache__/script.{tag}{level}.pyc");
            let content = blob(&place, &all[Path::new(&name)]);
            let has_text = content.windows(4).any(|four| four == b"kept");
            assert_eq!(has_text, level.is_empty(), "{name}");
        }
    }
    // The order in which they are named does not matter.
    let mut turned = with(&[&older.program, &newer.program, &older.program]);
    turned.python.levels = vec![0, 1, 2];
    assert_eq!(place.build_with(&turned).unwrap().bytes, built.bytes);
    let manifest = Manifest::open(&built.bytes).unwrap();
    let said = manifest
        .provenance()
        .filter(|(key, _)| key.starts_with(b"bytecode "))
        .count();
    assert_eq!(said, 6);
}

#[test]
fn bytecode_of_the_tree_stays_unless_it_is_stale() {
    let Some(Found { program, tag }) = interpreter() else {
        return;
    };
    for mode in ["timestamp", "checked-hash", "unchecked-hash"] {
        let place = Place::new();
        plant(&place);
        let done = Command::new(&program)
            .args(["-m", "compileall", "-q", "--invalidation-mode", mode])
            .arg(place.path("one"))
            .status()
            .unwrap();
        assert!(done.success());
        settle();
        let plain = entries(&place.build().bytes);
        let name = format!("one/__pycache__/same.{tag}.pyc");
        let name = Path::new(&name);
        let built = place.build_with(&with(&[&program])).unwrap();
        assert_eq!(counts(&built).kept, 2, "{mode}");
        assert_eq!(entries(&built.bytes)[name], plain[name], "{mode}");
        // The source moves on.
        place.write("one/same.py", b"def f():\n    return 'more'\n");
        settle();
        let built = place.build_with(&with(&[&program])).unwrap();
        assert_eq!(counts(&built).kept, 1, "{mode}");
        let seen = &entries(&built.bytes)[name];
        assert_ne!(seen.content, plain[name].content, "{mode}");
        assert_eq!(blob(&place, seen)[4..8], [1, 0, 0, 0]);
        // Not bytecode at all.
        place.write(name, b"rubbish");
        settle();
        let again = place.build_with(&with(&[&program])).unwrap();
        assert_eq!(&entries(&again.bytes)[name], seen, "{mode}");
    }
}

#[test]
fn what_is_lost_from_the_store_is_made_again() {
    let Some(Found { program, .. }) = interpreter() else {
        return;
    };
    let place = Place::new();
    plant(&place);
    let options = with(&[&program]);
    let first = place.build_with(&options).unwrap();
    let all = entries(&first.bytes);
    let (_, seen) = all
        .iter()
        .find(|(path, _)| {
            path.starts_with("two/__pycache__") && path.to_str().unwrap().contains("same")
        })
        .unwrap();
    let path = place.store.blob_path(&seen.content.unwrap());
    for damage in ["gone", "cut short"] {
        let content = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        if damage != "gone" {
            std::fs::write(&path, &content[..20]).unwrap();
        }
        let again = place.build_with(&options).unwrap();
        assert_eq!(again.bytes, first.bytes, "{damage}");
        assert_eq!(four(&again), [1, 4, 0, 1], "{damage}");
        assert_eq!(std::fs::read(&path).unwrap(), content, "{damage}");
    }
    // What was known is gone, or is not to be believed.
    let known: Vec<_> = std::fs::read_dir(place.store.root().join("bytecode"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(
        known.len(),
        2,
        "the variant and the interpreters: {known:?}"
    );
    for file in &known {
        std::fs::set_permissions(file, PermissionsExt::from_mode(0o666)).unwrap();
    }
    place.write("new.py", b"");
    settle();
    assert_eq!(four(&place.build_with(&options).unwrap()), [3, 3, 0, 1]);
}

#[test]
fn links_and_odd_cache_directories_are_left_alone() {
    let Some(Found { program, tag }) = interpreter() else {
        return;
    };
    let place = Place::new();
    place.write("a/mod.py", b"");
    symlink("mod.py", place.path("a/link.py")).unwrap();
    std::fs::hard_link(place.path("a/mod.py"), place.path("a/twin.py")).unwrap();
    place.write("b/mod.py", b"");
    place.write("b/__pycache__", b"a file");
    place.write("c/mod.py", b"");
    symlink("../a", place.path("c/__pycache__")).unwrap();
    place.write("d/__pycache__/odd.py", b"");
    place.write("e/.py", b"");
    place.write(format!("e/{}.py", "n".repeat(250)), b"");
    place.write("e/two.dots.py", b"");
    settle();
    let built = place.build_with(&with(&[&program])).unwrap();
    assert_eq!(four(&built), [1, 2, 0, 3]);
    let all = entries(&built.bytes);
    let made: Vec<_> = all
        .keys()
        .filter(|path| path.extension().is_some_and(|end| end == "pyc"))
        .map(|path| path.to_str().unwrap())
        .collect();
    let expected = [
        "a/__pycache__/mod",
        "a/__pycache__/twin",
        "e/__pycache__/two.dots",
    ];
    assert_eq!(made, expected.map(|stem| format!("{stem}.{tag}.pyc")));
}

#[test]
fn sources_that_end_the_compiler_are_named_and_the_rest_is_made() {
    let Some(Found { program, .. }) = interpreter() else {
        return;
    };
    let place = Place::new();
    place.write("good.py", b"GOOD = 1\n");
    place.write("slow.py", slow().as_bytes());
    settle();
    let mut options = with(&[&program]);
    options.python.patience = Duration::from_secs(1);
    let built = place.build_with(&options).unwrap();
    assert_eq!(four(&built), [1, 0, 0, 1]);
    let warning = &built.summary.warnings[0];
    assert!(
        warning.contains("slow") && warning.contains("within 1 s"),
        "{warning}"
    );
    place.write("more.py", b"MORE = 1\n");
    settle();
    let built = place.build_with(&options).unwrap();
    assert_eq!(four(&built), [1, 1, 0, 1]);
    assert!(built.summary.warnings[0].contains("ended the compiler before"));
}

/// More than can be compiled in a second.
fn slow() -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for number in 0..60_000 {
        writeln!(text, "x{number} = [y.a{number} for y in z if y({number})]").unwrap();
    }
    text
}

#[test]
fn interpreters_that_are_of_no_use_are_refused_in_one_line() {
    let place = Place::new();
    place.write("a.py", b"");
    let script = |name: &str, text: &str| {
        let path = place.directory.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    };
    let asks = |text: &str| {
        format!("case \"$*\" in *'Says what this'*) {text} ;; *) exec sleep 100 ;; esac")
    };
    let says = |name: &str, version: &str, release: &str| {
        asks(&format!(
            "printf '{name}\\n{version}\\n{release}\\ncpython-399\\na70d0d0a\\n\\n'"
        ))
    };
    let cases = [
        (
            PathBuf::from("no-such-python"),
            vec!["in PATH", "install it"],
        ),
        (
            "/no/such/python".into(),
            vec!["No such file", "name the interpreter"],
        ),
        (place.source.clone(), vec!["a directory"]),
        (place.path("a.py"), vec!["cannot be executed"]),
        (
            script("old", &says("python", "2.7.18", "020712f0")),
            vec!["CPython 3.7 or newer", "2.7.18"],
        ),
        (
            script("other", &says("pypy", "3.9.1", "030901f0")),
            vec!["CPython 3.7 or newer", "pypy 3.9.1"],
        ),
        (
            script("rubbish", "echo hello"),
            vec!["another program", "-c pass"],
        ),
        (
            script("fails", "echo 'not here' >&2; exit 127"),
            vec!["status 127", "`not here`"],
        ),
        (script("dies", "kill -11 $$"), vec!["signal 11"]),
        (
            script("hangs", "exec sleep 100"),
            vec!["no answer within 1 s", "--python-timeout"],
        ),
        (
            script("silent", &says("cpython", "3.99.0", "036300f0")),
            vec!["no answer within 10 s", "--python"],
        ),
        (
            script(
                "quits",
                &says("cpython", "3.99.0", "036300f0").replace("exec sleep 100", "exit 3"),
            ),
            vec!["exit status 3"],
        ),
    ];
    std::thread::scope(|scope| {
        for (interpreter, parts) in &cases {
            let place = &place;
            scope.spawn(move || {
                let mut options = with(&[interpreter]);
                options.python.patience = Duration::from_secs(1);
                let said = place.build_with(&options).unwrap_err().to_string();
                assert!(
                    !said.contains('\n') && said.starts_with(interpreter.to_str().unwrap()),
                    "{said}"
                );
                for part in parts {
                    assert!(said.contains(part), "no `{part}` in: {said}");
                }
            });
        }
    });
    let mut exact = with(&[Path::new("python3")]);
    exact.exact = true;
    let said = place.build_with(&exact).unwrap_err().to_string();
    assert!(said.contains("--exact and --python"), "{said}");
}

#[test]
fn two_releases_of_one_series_are_one_too_many() {
    let place = Place::new();
    let script = |name: &str, version: &str, release: &str| {
        let path = place.directory.path().join(name);
        let text = format!(
            "#!/bin/sh\nprintf 'cpython\\n{version}\\n{release}\\ncpython-399\\na70d0d0a\\n\\n'\n"
        );
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    };
    let one = script("one", "3.99.1", "036301f0");
    let two = script("two", "3.99.2", "036302f0");
    let said = place
        .build_with(&with(&[&one, &two]))
        .unwrap_err()
        .to_string();
    for part in ["3.99.2 and 3.99.1", "*.cpython-399.pyc", "name one of them"] {
        assert!(said.contains(part), "{said}");
    }
}
