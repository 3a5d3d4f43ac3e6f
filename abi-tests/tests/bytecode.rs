//! Bytecode that `build-manifest --python` made: plain CPython, without any hook, imports from
//! it, and nobody can tell from the outside that nothing was compiled.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use abi_tests::artifacts;
use abi_tests::call::Ended;
use abi_tests::trees::Tree;
use abi_tests::{Call, World, compile};

/// An interpreter, what its files are called, and its minor version.
struct Found {
    program: PathBuf,
    tag: String,
    minor: u32,
}

/// The system's interpreters and those of a version manager, CPython 3.7 or newer: one for each series.
fn interpreters() -> &'static [Found] {
    static FOUND: OnceLock<Vec<Found>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut programs: Vec<PathBuf> = (7..=15)
            .map(|minor| format!("/usr/bin/python3.{minor}").into())
            .collect();
        let home = std::env::home_dir().unwrap_or_default();
        let managed = std::fs::read_dir(home.join(".pyenv/versions"));
        for version in managed.into_iter().flatten().flatten() {
            programs.push(version.path().join("bin/python3"));
        }
        let mut found: Vec<Found> = Vec::new();
        for program in programs.into_iter().filter(|program| program.exists()) {
            let text = "import sys; print(sys.implementation.name, sys.implementation.cache_tag, sys.version_info[1])";
            let shown = Call::new(&program).args(["-c", text]).run(None).text();
            if let ["cpython", tag, minor] = shown.split_whitespace().collect::<Vec<_>>().as_slice()
                && let Ok(minor) = minor.parse()
                && minor >= 7
                && found.iter().all(|other| other.tag != *tag)
            {
                found.push(Found { program, tag: (*tag).into(), minor });
            }
        }
        assert!(!found.is_empty(), "no CPython, and this test needs one");
        found
    })
}

const WORK: &str = "'''what it does'''\n\n\ndef outer(divisor):\n    'documented'\n    def inner(value):\n        return [value / element for element in (divisor - 1,)]\n    return inner\n\n\nclass Thing:\n    def method(self, divisor):\n        return (lambda: 1 / divisor)()\n\n\ndef lazy():\n    yield 1 / 0\n\n\ntry:\n    assert False\n    CHECKED = False\nexcept AssertionError:\n    CHECKED = True\n";

fn packages(at: &Path) {
    std::fs::create_dir_all(at).unwrap();
    let tree = Tree::in_directory(at);
    for package in ["one", "two"] {
        tree.dir(package)
            .file(format!("{package}/__init__.py"), "")
            .file(format!("{package}/work.py"), WORK);
    }
    tree.file("one/broken.py", "x = (\ny = 1\n");
}

/// A world whose tree has bytecode of this interpreter, at all levels.
fn world(name: &str, found: &Found) -> World {
    let arguments = [
        "--python".as_ref(),
        found.program.as_os_str(),
        OsStr::new("--python-optimize=0,1,2"),
    ];
    World::moved_away_with(name, &arguments, packages)
}

fn probe(found: &Found, world: &World, flags: &[&str]) -> Call {
    let program = compile::probes().join("bytecode.py");
    Call::new(&found.program)
        .args(flags)
        .arg(program)
        .arg(&world.at)
}

#[test]
fn where_code_is_from_is_as_without_bytecode_and_nothing_is_compiled() {
    for found in interpreters() {
        let world = world(&format!("made-{}", found.tag), found);
        for flag in ["-B", "-O", "-OO"] {
            let call = probe(found, &world, &[flag]);
            let seen = world.same(&call).success().text();
            for package in ["one", "two"] {
                let file = format!(
                    "File \"{}\", line",
                    world.path(&format!("{package}/work.py")).display()
                );
                assert!(seen.contains(&file), "{seen}");
            }
            // Audit hooks came with 3.8.
            if found.minor >= 8 {
                let served = world.served(&call.arg("say")).success().text();
                let level = flag.matches('O').count();
                let broken = world.path("one/broken.py");
                let expected = format!("['{}'] {level}", broken.display());
                assert_eq!(served.lines().last(), Some(&*expected), "{}", found.tag);
            }
        }
        let verbose = Call::new(&found.program).arg("-v").args([
            "-c",
            "import sys; sys.path.insert(0, sys.argv[1]); import two.work",
        ]);
        let said = world.served(&verbose.arg(&world.at)).success().errors();
        for module in ["__init__", "work"] {
            let file = world.path(&format!("two/__pycache__/{module}.{}.pyc", found.tag));
            assert!(
                said.contains(&format!("code object from '{}'", file.display())),
                "{said}"
            );
        }
        assert!(!said.contains("# wrote"), "{said}");
    }
}

/// Checked by hash after all, as `--check-hash-based-pycs always` asks for, it is still right.
#[test]
fn the_hash_in_it_is_that_of_the_source() {
    for found in interpreters() {
        let world = world(&format!("hash-{}", found.tag), found);
        let flags = ["--check-hash-based-pycs", "always"];
        let call = probe(found, &world, &flags).arg("say");
        let said = world.served(&call).success().text();
        if found.minor >= 8 {
            let broken = world.path("one/broken.py");
            assert_eq!(
                said.lines().last(),
                Some(&*format!("['{}'] 0", broken.display()))
            );
        }
    }
}

/// The blob of the bytecode of `two/work.py` and `one/work.py`.
fn blob(world: &World, found: &Found) -> PathBuf {
    let path = world.path(&format!("one/__pycache__/work.{}.pyc", found.tag));
    let call = Call::new(artifacts::velo_ctl())
        .args(["stat", "--json", "-m"])
        .arg(&world.manifest)
        .arg(path);
    let text = world.with_store(&call).run(None).success().text();
    let hex = text
        .split("\"blob:")
        .nth(1)
        .and_then(|rest| rest.get(..64))
        .expect("a blob's id")
        .to_owned();
    world.store.join("cas_store").join(&hex[..2]).join(hex)
}

/// What a check of everything says of a manifest that is not sound.
fn found_by_verify(world: &World) -> String {
    let said = verify(world);
    assert_eq!(said.ended, Ended::Status(1), "{}", said.text());
    said.text() + &said.errors()
}

fn verify(world: &World) -> abi_tests::Outcome {
    let call = Call::new(artifacts::velo_ctl()).args(["verify", "--deep"]);
    world.with_store(&call.arg(&world.manifest)).run(None)
}

#[test]
fn damaged_bytecode_is_noticed() {
    let Some(found) = interpreters().last() else {
        return;
    };
    let world = world("damaged", found);
    assert_eq!(verify(&world).ended, Ended::Status(0));
    let blob = blob(&world, found);
    let whole = std::fs::read(&blob).unwrap();
    let stamp = std::fs::metadata(&blob).unwrap();
    let write = |content: &[u8], stamped: bool| {
        std::fs::set_permissions(&blob, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::write(&blob, content).unwrap();
        if stamped {
            let file = std::fs::File::options().write(true).open(&blob).unwrap();
            file.set_modified(stamp.modified().unwrap()).unwrap();
        }
        std::fs::set_permissions(&blob, std::fs::Permissions::from_mode(stamp.mode())).unwrap();
    };
    let call = probe(found, &world, &[]).arg("say");
    let expected = world.served(&probe(found, &world, &[])).success().text();
    let name = format!("work.{}.pyc", found.tag);
    // CPython notices what it can, as of any .pyc; a check that reads the content, all.
    for stamped in [false, true] {
        write(&whole[..whole.len() / 2], stamped);
        let said = world.served(&call);
        assert_eq!(said.ended, Ended::Status(1), "{}", said.text());
        assert!(said.errors().contains("EOFError"), "{}", said.errors());
        let checked = found_by_verify(&world);
        assert!(checked.contains(&name), "{checked}");
    }
    // Not bytecode of this interpreter at all: the source is compiled, and so if there is none.
    let mut foreign = whole.clone();
    foreign[0] ^= 1;
    write(&foreign, true);
    for _ in 0..2 {
        let said = world.served(&call).success().text();
        assert!(said.starts_with(&expected), "{said}");
        let last = said.lines().last().unwrap_or_default();
        // Each module once to run it, and once more for its code.
        assert_eq!(last.matches("work.py").count(), 4, "{last}");
        let checked = found_by_verify(&world);
        assert!(checked.contains(&name), "{checked}");
        let _ = std::fs::remove_file(&blob);
    }
}

/// What runs modules without importing them, and what starts other interpreters.
#[test]
fn other_ways_to_run_modules() {
    for found in interpreters() {
        let world = world(&format!("ways-{}", found.tag), found);
        let python = || Call::new(&found.program).env("PYTHONPATH", &world.at);
        let fails = "import one.work; one.work.Thing().method(0)";
        let spawned = "import concurrent.futures as f, multiprocessing as m, one.work as w\npool = f.ProcessPoolExecutor(1, m.get_context('spawn'))\nprint(pool.submit(w.Thing().method, 2).result())\npool.shutdown()";
        world.all_same([
            python().args(["-B", "-m", "one.work"]),
            python().args(["-B", "-c", fails]),
            python().args(["-B", "-c", spawned]),
            python().args(["-B", "-m", "trace", "--listfuncs", "-m", "one.work"]),
            python().args(["-B", "-m", "pkgutil"]),
            python().args(["-B", "-c", "import one.work, importlib; m = importlib.reload(one.work); print(m, m.__cached__)"]),
        ]);
    }
}
