//! Beside other libraries that are preloaded: allocators that open files under their own lock, and
//! libraries with hooks of their own (fakeroot, faketime, stdbuf), before ours and after it.

use std::path::Path;
use std::sync::OnceLock;

use abi_tests::call::Ended;
use abi_tests::{Call, Fidelity, NOBODY, World, artifacts, compare, compile};

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::of_everything("preloads", Fidelity::Usual))
}

const DIRECTORY: &str = "/usr/lib/x86_64-linux-gnu";

/// The library `name` of Debian's `package`, which scripts/test installs.
fn library(name: &str, package: &str) -> String {
    let path = format!("{DIRECTORY}/{name}");
    assert!(
        Path::new(&path).exists(),
        "{path} is not installed (apt-get install {package}), and this test needs it"
    );
    path
}

fn calls() -> Vec<Call> {
    vec![
        Call::new("ls").arg("-lR").arg(world().path("dir")),
        Call::bash("cat dir/*a links/relative; cd links/to-dir; pwd; env pwd; (cat same-b)").cwd(&world().at),
        Call::bash("find . -printf '%p %s %m %l\\n' | sort; stat -c %n:%s dir/*; readlink -f links/*; true").cwd(&world().at),
        Call::new("python3").args(["-c", "import os, subprocess; print(sorted(os.listdir()), subprocess.check_output(['cat', 'one']))"]).cwd(&world().at),
        Call::new("node").args(["-p", "require('fs').readdirSync('.').sort().join() + require('fs').statSync('one').size"]).cwd(&world().at),
    ]
}

/// Each call with `other` preloaded before ours and after it, against the plain side without `other`.
fn both_orders(other: &str, calls: &[Call]) {
    if !abi_tests::namespace::or_skip() || abi_tests::world::oracle_only() {
        return;
    }
    let ours = artifacts::library().display().to_string();
    for call in calls {
        let plain = world().plain(call);
        assert_eq!(plain.ended, Ended::Status(0), "{}", plain.errors());
        for order in [format!("{other}:{ours}"), format!("{ours}:{other}")] {
            let served = world().preloaded(call).env("LD_PRELOAD", &order).run(None);
            if let Some(report) = compare::difference(&plain, &served) {
                panic!("LD_PRELOAD={order} {}\n{report}", call.line());
            }
        }
    }
}

/// Opens files and reads links while it holds its own lock.
#[test]
fn jemalloc() {
    let jemalloc = library("libjemalloc.so.2", "libjemalloc2");
    let threads = Call::new(compile::c("threads")).arg(&world().at).arg("1");
    let calls: Vec<Call> = calls().into_iter().chain([threads]).collect();
    both_orders(&jemalloc, &calls);
    // A program that is linked to it, too.
    let linked = compile::build_to_scratch("threads", &[&jemalloc]);
    let seen = world()
        .same(&Call::new(linked).arg(&world().at).arg("1"))
        .success();
    assert_eq!(seen.text(), "0 faults, 0 descriptors more\n");
}

#[test]
fn tcmalloc() {
    both_orders(
        &library("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
        &calls(),
    );
}

/// Runs `words`, the first of which preloads a library of its own and finds ours in the
/// environment; `expected` shows that the other library was at work.
fn wrapped(words: &[&str], user: Option<u32>, expected: &str) {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    let call = Call::new(words[0]).args(&words[1..]);
    let seen = world()
        .same(&user.into_iter().fold(call, Call::user))
        .success();
    assert!(
        seen.text().contains(expected),
        "{words:?}: {expected:?} is not in what it prints:\n{}",
        seen.text()
    );
}

const LOOK: &str = "ls -ln . dir; stat -c '%n %u %g %a %s' plain.txt dir/*; find dir -printf '%p %s %m %U\\n' | sort; cat plain.txt";

fn look() -> String {
    format!("cd {} && {{ {LOOK}; }} 2>&1", world().at.display())
}

/// Shows every file as root's, by hooks on the same functions.
#[test]
fn fakeroot() {
    let _ = library("libfakeroot/libfakeroot-sysv.so", "fakeroot");
    let user = abi_tests::is_root().then_some(NOBODY);
    let script = look();
    wrapped(&["fakeroot", "bash", "-c", &script], user, "plain.txt 0 0 ");
    wrapped(
        &["bash", "-c", &format!("fakeroot bash -c {script:?}")],
        user,
        "plain.txt 0 0 ",
    );
}

/// Shifts the times in every `stat`.
#[test]
fn faketime() {
    let _ = library("faketime/libfaketime.so.1", "faketime");
    let script = "date +%Y; ls -ln --time-style=full-iso . dir; stat -c '%n %Y' plain.txt dir/*";
    let text = format!("cd {} && {{ {script}; }} 2>&1", world().at.display());
    wrapped(
        &["faketime", "-m", "2001-02-03 04:05:06", "bash", "-c", &text],
        None,
        "2001",
    );
}

/// Hooks nothing, but is preloaded by name.
#[test]
fn stdbuf() {
    let script = look();
    wrapped(&["stdbuf", "-oL", "bash", "-c", &script], None, "plain.txt");
}
