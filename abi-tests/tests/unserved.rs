//! Programs that the preload cannot reach: static ones, Go programs, other machines'. They are never silently
//! unserved: refused when they are about the tree, started as the kernel does when they are not.

use std::path::Path;

use abi_tests::call::{Ended, Outcome};
use abi_tests::trees::Tree;
use abi_tests::{Call, Fidelity, World, artifacts, compile};

/// What bash answers when a program may not be executed.
const REFUSED: i32 = 126;

fn world(name: &str) -> World {
    World::new(name, Fidelity::Usual, |base, at| {
        let tree = Tree::in_directory(base);
        let seen = |rel: &str| at.join(rel).display().to_string();
        tree.dir("bin")
            .dir("dir")
            .file("plain.txt", "one\n")
            .file("bin/near", "near\n");
        programs(&tree);
        tree.file("bin/script", format!("#!{} -x\n", seen("bin/static")))
            .mode("bin/script", 0o755);
        tree.file("bin/outer-script", format!("#!{}\n", outside(at, "static")))
            .mode("bin/outer-script", 0o755);
        tree.file("bin/forbidden", "").mode("bin/forbidden", 0o644);
        tree.link("bin/out", outside(at, "static"))
            .link("bin/fine", "/bin/echo");
        let beside = Tree::in_directory(&at.with_file_name("outside"));
        programs(beside.dir("bin").dir("work"));
        beside
            .file("bin/to-served", format!("#!{}\n", seen("bin/static")))
            .mode("bin/to-served", 0o755);
        beside
            .file("bin/own", format!("#!{} -x\n", outside(at, "static")))
            .mode("bin/own", 0o755);
        beside.copy(
            "bin/not-executable",
            &compile::with("cc", "show", &["-static"]),
            0o644,
        );
    })
}

/// Of each kind of program one.
fn programs(tree: &Tree) {
    for (name, compiler, flag) in [
        ("static", "cc", "-static"),
        ("static-pie", "cc", "-static-pie"),
        ("static-musl", "musl-gcc", "-static"),
    ] {
        tree.copy(
            format!("bin/{name}").as_str(),
            &compile::with(compiler, "show", &[flag]),
            0o755,
        );
    }
    tree.file("bin/foreign", foreign())
        .mode("bin/foreign", 0o755);
}

/// The headers of a 32-bit program.
fn foreign() -> Vec<u8> {
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(120, 0);
    let fields: [(usize, &[u8]); 7] = [
        (16, &[2, 0, 3, 0, 1]),
        (28, &[52]),
        (42, &[32, 0, 1]),
        (52, &[3]),
        (56, &[84]),
        (68, &[19]),
        (84, b"/lib/ld-linux.so.2"),
    ];
    for (offset, bytes) in fields {
        file[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
    file
}

fn outside(at: &Path, name: &str) -> String {
    at.with_file_name("outside/bin")
        .join(name)
        .display()
        .to_string()
}

/// The lines of Velo on standard error.
fn said(outcome: &Outcome) -> Vec<String> {
    let errors = outcome.errors();
    errors
        .lines()
        .filter(|line| line.starts_with("velo: "))
        .map(str::to_owned)
        .collect()
}

fn refused(outcome: &Outcome, name: &str, reason: &str) {
    let lines = said(outcome);
    assert_eq!(
        (outcome.ended, lines.len()),
        (Ended::Status(REFUSED), 1),
        "{name}: {}",
        outcome.errors()
    );
    for part in [
        &format!("cannot start {name}: it is "),
        reason,
        "VELO_STATIC=allow",
        "velo-ctl run --mode mount",
    ] {
        assert!(lines[0].contains(part), "{part:?} in {}", lines[0]);
    }
    assert!(
        outcome.errors().contains("Operation not permitted"),
        "{}",
        outcome.errors()
    );
}

/// Only where something is served can it be missed.
fn can_run() -> bool {
    !abi_tests::world::oracle_only()
}

#[test]
fn programs_of_the_tree_are_refused() {
    if !can_run() {
        return;
    }
    let world = world("unserved-tree");
    for (name, reason) in [
        ("static", "statically linked"),
        ("static-pie", "statically linked"),
        ("static-musl", "statically linked"),
        ("foreign", "built for another machine"),
        ("out", "statically linked"),
    ] {
        let path = world.path("bin").join(name).display().to_string();
        refused(
            &world.served(&Call::bash(&format!("{path} x"))),
            &path,
            reason,
        );
        let by_name = format!(
            "PATH={}:$PATH; {name} x; echo $?",
            world.path("bin").display()
        );
        let outcome = world.served(&Call::bash(&by_name));
        assert_eq!(
            (outcome.text(), said(&outcome).len()),
            (format!("{REFUSED}\n"), 1),
            "{}",
            outcome.errors()
        );
        let allowed = world.served(&Call::bash(&format!("VELO_STATIC=allow {path} x")));
        assert!(said(&allowed).is_empty(), "{}", allowed.errors());
        if name != "foreign" {
            assert_eq!(
                allowed.ended,
                Ended::Status(7),
                "{name}: {}",
                allowed.errors()
            );
        }
    }
    let interpreter = world.path("bin/static").display().to_string();
    for script in [
        world.path("bin/script"),
        world.outside.join("bin/to-served"),
    ] {
        let outcome = world.served(&Call::bash(&script.display().to_string()));
        refused(&outcome, &interpreter, "statically linked");
    }
    // Its interpreter could not open it.
    let script = world.path("bin/outer-script").display().to_string();
    refused(
        &world.served(&Call::bash(&script)),
        &outside(&world.at, "static"),
        "statically linked",
    );
}

/// Every way to execute has the same answer, and one line each.
#[test]
fn every_way_to_execute_refuses() {
    if !can_run() {
        return;
    }
    let world = world("unserved-ways");
    let script = "
import ctypes, os, sys
path, libc = sys.argv[1], ctypes.CDLL(None, use_errno=True)
os.environ['PATH'] = os.path.dirname(path) + ':/usr/bin:/bin'
def attempt(name, call):
    try:
        call()
        print(name, 'started')
    except OSError as error:
        print(name, error.errno)
    sys.stdout.flush()
attempt('execv', lambda: os.execv(path, ['x']))
attempt('execvp', lambda: os.execvp('static', ['x']))
attempt('execve', lambda: os.execve(path, ['x'], {}))
attempt('fexecve', lambda: os.execve(os.open(path, os.O_RDONLY), ['x'], {}))
attempt('posix_spawn', lambda: os.posix_spawn(path, ['x'], os.environ))
attempt('posix_spawnp', lambda: os.posix_spawnp('static', ['x'], os.environ))
";
    let call = Call::new("python3")
        .args(["-c", script])
        .arg(world.path("bin/static"));
    let outcome = world.served(&call).success();
    let names = [
        "execv",
        "execvp",
        "execve",
        "fexecve",
        "posix_spawn",
        "posix_spawnp",
    ];
    let expected: String = names.iter().map(|name| format!("{name} 1\n")).collect();
    assert_eq!(outcome.text(), expected, "{}", outcome.errors());
    assert_eq!(said(&outcome).len(), names.len(), "{}", outcome.errors());
}

/// What has nothing to do with the tree runs as without Velo.
#[test]
fn other_programs_run_without_a_word() {
    let world = world("unserved-others");
    let program = outside(&world.at, "static");
    let beside = world.at.display().to_string() + "-not";
    for arguments in [
        "",
        "x",
        "/etc/hostname",
        &beside,
        "--x=y",
        "-I/usr/include",
        "/",
    ] {
        let script = format!(
            "cd /; {program} {arguments}; cd {}/work && exec {program} {arguments}",
            world.outside.display()
        );
        let _ = world.same(&Call::bash(&script));
    }
    let _ = world.same(&Call::bash(&format!(
        "cd /; exec {}",
        outside(&world.at, "own")
    )));
    let _ = world.same(&Call::bash(&format!("cd /; env -i {program} x; echo $?")));
    // The kernel's own errors come first.
    let denied = format!(
        "cd {}; {}; echo $?; {}; echo $?",
        world.at.display(),
        outside(&world.at, "not-executable"),
        outside(&world.at, "none")
    );
    let _ = world.same(&Call::bash(&denied));
    let _ = world.same(&Call::bash(&format!(
        "{}; echo $?",
        world.path("bin/forbidden").display()
    )));
}

#[test]
fn programs_that_are_given_a_served_path_are_refused() {
    if !can_run() {
        return;
    }
    let world = world("unserved-given");
    let (program, at) = (outside(&world.at, "static"), world.at.display().to_string());
    for arguments in [
        at.clone(),
        format!("a {at}/plain.txt"),
        format!("{at}/missing"),
        format!("--root={at}/dir"),
        format!("-I{at}/dir"),
        format!("'cat {at}/plain.txt'"),
        format!("/usr/lib:{at}/dir"),
        "../tree/dir".to_owned(),
        "--root=../tree".to_owned(),
    ] {
        let script = format!("cd {} && {program} {arguments}", world.outside.display());
        refused(&world.served(&Call::bash(&script)), &program, &at);
    }
    for directory in [at.clone(), format!("{at}/dir")] {
        let script = format!("cd {directory} && {program} x");
        refused(&world.served(&Call::bash(&script)), &program, &at);
    }
    // An action of posix_spawn leads there.
    let spawn = "import os, sys; sys.exit(os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn(sys.argv[1], ['x'], os.environ), 0)[1]))";
    let call = Call::new("python3")
        .args(["-c", spawn, &program])
        .cwd(world.path("dir"));
    assert!(world.served(&call).errors().contains("PermissionError"));
}

/// Above a tree it may be wanted or not, so it starts, but not silently.
#[test]
fn programs_that_start_above_the_tree_are_told() {
    if !can_run() {
        return;
    }
    let world = world("unserved-above");
    let (program, above) = (
        outside(&world.at, "static"),
        world
            .at
            .parent()
            .expect("it is not /")
            .display()
            .to_string(),
    );
    for script in [
        format!("cd {above} && {program} x"),
        format!("cd / && {program} {above}"),
    ] {
        let outcome = world.served(&Call::bash(&script));
        let lines = said(&outcome);
        assert_eq!(
            (outcome.ended, lines.len()),
            (Ended::Status(7), 1),
            "{}",
            outcome.errors()
        );
        for part in [
            &format!("starting {program}: it is statically linked"),
            "does not see",
            &world.at.display().to_string(),
        ] {
            assert!(lines[0].contains(part), "{part:?} in {}", lines[0]);
        }
        let quiet = world.served(&Call::bash(&format!("export VELO_STATIC=allow; {script}")));
        assert_eq!((quiet.ended, said(&quiet)), (Ended::Status(7), vec![]));
    }
}

#[test]
fn velo_static_decides() {
    if !can_run() {
        return;
    }
    let world = world("unserved-policy");
    let program = outside(&world.at, "static");
    let with =
        |value: &str, script: &str| world.served(&Call::bash(script).env("VELO_STATIC", value));
    refused(
        &with("refuse", &program),
        &program,
        "VELO_STATIC is `refuse`",
    );
    // Scrubbed environments keep it; what a program says itself counts more.
    refused(
        &with("refuse", &format!("env -i /bin/bash -c {program}")),
        &program,
        "refuse",
    );
    assert_eq!(
        with("refuse", &format!("VELO_STATIC=allow {program}")).ended,
        Ended::Status(7)
    );
    let inner = world.path("bin/static").display().to_string();
    assert_eq!(
        with("allow", &format!("env -i {inner}")).ended,
        Ended::Status(7)
    );
    refused(
        &with("allow", &format!("VELO_STATIC= {inner}")),
        &inner,
        "statically linked",
    );
    refused(&with("", &inner), &inner, "statically linked");
    let bad = with("never", "echo no");
    assert_eq!((bad.ended, bad.text().as_str()), (Ended::Status(127), ""));
    assert!(
        said(&bad)[0].contains("expected `allow` or `refuse` in VELO_STATIC, found `never`"),
        "{}",
        bad.errors()
    );
}

/// Debian's Go programs are linked to the C library and make their system calls themselves.
#[test]
fn go_programs_are_known() {
    let programs = ["gron", "age"].map(artifacts::program);
    if let Some(missing) = programs.iter().find(|path| !path.exists()) {
        panic!(
            "{} is not installed (apt-get install gron age), and this test needs it",
            missing.display()
        );
    }
    if !can_run() {
        return;
    }
    let world = World::new("unserved-go", Fidelity::Usual, |base, _| {
        let tree = Tree::in_directory(base);
        tree.file("data.json", "{\"a\": 1}\n");
        tree.copy("gron", &artifacts::program("gron"), 0o755);
    });
    for (name, program) in ["gron", "age"].iter().zip(&programs) {
        let (name, file) = (*name, world.path("data.json").display().to_string());
        let outcome = world.served(&Call::bash(&format!("{name} {file}")));
        refused(
            &outcome,
            &program.display().to_string(),
            "it is a Go program",
        );
    }
    let copy = world.path("gron").display().to_string();
    refused(
        &world.served(&Call::bash(&format!("echo 1 | {copy}"))),
        &copy,
        "it is a Go program",
    );
    let _ = world.same(&Call::bash("cd /; echo '[1]' | gron")).success();
    // It would have said that there is no such file, and that only here.
    let allowed = world.served(&Call::bash(&format!(
        "VELO_STATIC=allow gron {}",
        world.path("data.json").display()
    )));
    assert_ne!(
        allowed.ended,
        Ended::Status(0),
        "a Go program is served after all: {}",
        allowed.text()
    );
}
