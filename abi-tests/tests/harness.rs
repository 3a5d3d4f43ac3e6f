//! The harness itself: it must find no difference between two plain copies, and every kind of
//! difference between a tree and an altered copy of it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use abi_tests::call::Ended;
use abi_tests::trees::{self, Tree};
use abi_tests::{Call, Fidelity, World, compare};

fn listing() -> Call {
    Call::bash(
        "cd \"$P\" && find . -printf '%p %y %m %s %n %U %G %T@ %l\\n' | sort && find . -type f | sort | xargs -d '\\n' sha256sum",
    )
}

fn small_world(name: &str) -> World {
    let world = World::unbuilt(name, Fidelity::Usual);
    std::fs::create_dir(&world.plain).unwrap();
    let tree = Tree::in_directory(&world.plain);
    tree.file("file", "content\n")
        .dir("dir")
        .file("dir/inner", "inner\n")
        .link("link", "file");
    world
}

fn copy_of(world: &World, name: &str) -> PathBuf {
    let copy = world.plain.with_file_name(name);
    let status = std::process::Command::new("cp")
        .arg("-a")
        .arg(&world.plain)
        .arg(&copy)
        .status()
        .unwrap();
    assert!(status.success());
    copy
}

fn difference(world: &World, copy: &Path) -> Option<String> {
    let call = listing().env("P", &world.at);
    compare::difference(&world.plain(&call), &world.on_tree(copy, &call))
}

#[test]
fn two_plain_copies_are_the_same() {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    let world = small_world("same");
    let copy = copy_of(&world, "copy");
    assert_eq!(difference(&world, &copy), None);
    let seen = world.plain(&listing().env("P", &world.at)).success();
    assert!(
        seen.text().contains("./dir/inner f 644 6 1"),
        "{}",
        seen.text()
    );
}

#[test]
fn every_alteration_is_seen() {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    let world = small_world("altered");
    type Alteration = (&'static str, fn(&Path));
    let alterations: [Alteration; 8] = [
        ("one byte of content", |tree| {
            let file = tree.join("dir/inner");
            let before = std::fs::metadata(&file).unwrap().modified().unwrap();
            std::fs::write(&file, "Inner\n").unwrap();
            std::fs::File::options()
                .write(true)
                .open(&file)
                .unwrap()
                .set_modified(before)
                .unwrap();
        }),
        ("a mode", |tree| {
            std::fs::set_permissions(tree.join("file"), std::fs::Permissions::from_mode(0o640))
                .unwrap();
        }),
        ("a nanosecond", |tree| {
            let file = std::fs::File::options()
                .write(true)
                .open(tree.join("file"))
                .unwrap();
            let before = file.metadata().unwrap().modified().unwrap();
            file.set_modified(before + Duration::from_nanos(1)).unwrap();
        }),
        ("a missing file", |tree| {
            std::fs::remove_file(tree.join("file")).unwrap()
        }),
        ("one file more", |tree| {
            std::fs::write(tree.join("dir/more"), "").unwrap()
        }),
        ("a link's target", |tree| {
            std::fs::remove_file(tree.join("link")).unwrap();
            std::os::unix::fs::symlink("flie", tree.join("link")).unwrap();
        }),
        ("a second name", |tree| {
            std::fs::hard_link(tree.join("file"), tree.with_file_name("extra-name")).unwrap()
        }),
        ("another type", |tree| {
            std::fs::remove_file(tree.join("dir/inner")).unwrap();
            std::fs::create_dir(tree.join("dir/inner")).unwrap();
        }),
    ];
    for (number, (what, alter)) in alterations.into_iter().enumerate() {
        let copy = copy_of(&world, &format!("copy-{number}"));
        alter(&copy);
        assert!(difference(&world, &copy).is_some(), "not seen: {what}");
        let _ = std::fs::remove_file(copy.with_file_name("extra-name"));
    }
}

#[test]
fn exit_status_signal_and_stderr_are_compared() {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    let world = small_world("status");
    let run = |script: &str| world.plain(&Call::bash(script));
    let base = run("exit 3");
    assert_eq!(base.ended, Ended::Status(3));
    for script in [
        "exit 4",
        "kill -SEGV $$",
        "echo >&2; exit 3",
        "echo; exit 3",
    ] {
        assert!(
            compare::difference(&base, &run(script)).is_some(),
            "{script}"
        );
    }
    assert_eq!(run("kill -SEGV $$").ended, Ended::Signal(libc::SIGSEGV));
}

#[test]
fn a_hang_ends_with_its_children() {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    let world = small_world("hang");
    let call = Call::bash("sleep 1000 & echo $!; wait").deadline(Duration::from_millis(300));
    let outcome = world.plain(&call);
    assert_eq!(outcome.ended, Ended::Deadline);
    let child = outcome.text().trim().to_owned();
    let gone = || {
        !std::fs::read_to_string(format!("/proc/{child}/stat"))
            .is_ok_and(|stat| stat.contains(" S "))
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while !gone() && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(gone(), "process {child} is left behind");
}

#[test]
fn the_plain_side_is_read_only() {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    let world = small_world("read-only");
    let outcome = world.plain(&Call::new("touch").arg(world.path("new")));
    assert!(
        outcome.errors().contains("Read-only file system"),
        "{}",
        outcome.errors()
    );
    assert!(!world.plain.join("new").exists());
}

#[test]
fn the_generated_tree_is_made_and_read() {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    let world = World::unbuilt("generated", Fidelity::Usual);
    std::fs::create_dir(&world.plain).unwrap();
    trees::everything(&world.plain, &world.at);
    trees::neighbours(&world.outside, &world.at);
    let seen = world
        .plain(&Call::new("cat").arg(world.path("links/through-outside")))
        .success();
    assert_eq!(seen.text(), "the same content\n");
    let count = world
        .plain(&Call::new("find").arg(&world.at))
        .success()
        .text()
        .lines()
        .count();
    assert!(count > 800, "{count} entries");
}

/// The oracle must not contradict itself: each probe prints the same on two runs.
#[test]
fn probes_are_deterministic() {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    let world = World::unbuilt("deterministic", Fidelity::Exact);
    std::fs::create_dir(&world.plain).unwrap();
    trees::everything(&world.plain, &world.at);
    trees::neighbours(&world.outside, &world.at);
    world.settle_times();
    for name in [
        "stat", "open", "dirs", "glob", "nftw", "wordexp", "links", "cwd", "fds", "errors",
        "changes",
    ] {
        for compiler in ["cc", "musl-gcc"] {
            let call = abi_tests::probe::call(
                &world,
                &abi_tests::compile::with(compiler, name, &[]),
                None,
            );
            let first = world.plain(&call).success();
            assert!(
                first.stdout.len() > 1000,
                "{name} prints little:\n{}",
                first.text()
            );
            if let Some(report) = compare::difference(&first, &world.plain(&call)) {
                panic!("{compiler} {name}\n{report}");
            }
        }
    }
}
