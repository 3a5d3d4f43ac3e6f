//! Starting and living in odd processes: closed descriptors, AddressSanitizer, seccomp filters,
//! threads that fork, signal handlers, other roots, huge descriptor limits.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use abi_tests::scratch::{self, Place};
use abi_tests::{Call, Fidelity, NOBODY, World, artifacts, compare, compile};

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::of_everything("start", Fidelity::Usual))
}

#[test]
fn closed_descriptors() {
    let out = scratch::directory(Place::Disk, "closed");
    for closed in [
        "0<&-",
        "1>&-",
        "2>&-",
        "0<&- 1>&-",
        "0<&- 2>&-",
        "1>&- 2>&-",
        "0<&- 1>&- 2>&-",
    ] {
        let script = format!(
            "\"$PROGRAM\" \"$P\" \"$OUT\" {closed}; status=$?; cat \"$OUT\"; rm -f \"$OUT\"; exit $status"
        );
        let call = Call::bash(&script)
            .env("PROGRAM", compile::c("closed"))
            .env("P", &world().at)
            .env("OUT", out.join("report"));
        let seen = world().same(&call).success();
        assert!(
            seen.text().contains("read 3 one"),
            "{closed}: {}",
            seen.text()
        );
    }
    world().all_same(
        [
            "ls -l dir 0<&- 2>&-",
            "cat plain.txt 0<&-",
            "cat missing 1>&-; echo $?",
            "perl -e 'print -s \"plain.txt\"' 0<&- 2>&-",
        ]
        .map(|script| Call::bash(script).cwd(&world().at)),
    );
}

/// AddressSanitizer has hooks of its own, and looks at every library that is loaded.
#[test]
fn address_sanitizer() {
    let options = "verify_asan_link_order=0:detect_leaks=0";
    for name in ["links", "cwd", "fds"] {
        let program = compile::build_to_scratch(name, &["-fsanitize=address"]);
        let call = Call::new(program)
            .arg(&world().at)
            .env("ASAN_OPTIONS", options);
        let seen = world().same(&call).success();
        assert!(seen.stdout.len() > 1000, "{}", seen.text());
    }
}

/// A program under a filter may not be killed for a system call that it did not make.
#[test]
fn seccomp_filters() {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    for user in [None, abi_tests::is_root().then_some(NOBODY)] {
        let call = user.into_iter().fold(
            Call::new(compile::c("seccomp")).arg(&world().at),
            Call::user,
        );
        let plain = world().plain(&call).success();
        assert!(
            !plain.text().contains("killed"),
            "the filters are too narrow for libc itself:\n{}",
            plain.text()
        );
        let _ = world().same(&call);
    }
}

#[test]
fn threads_forks_and_signals() {
    let call = Call::new(compile::c("threads")).arg(&world().at).arg("3");
    let seen = world().same(&call).success();
    assert_eq!(seen.text(), "0 faults, 0 descriptors more\n");
}

/// As above, with 64 threads that fork.
#[test]
fn many_threads_that_fork() {
    let call = Call::new(compile::c("threads"))
        .arg(&world().at)
        .args(["2", "crowd"]);
    let seen = world().same(&call).success();
    assert_eq!(seen.text(), "0 faults, 0 descriptors more\n");
}

/// As above, with threads that have a working directory of their own.
#[test]
fn working_directories_of_threads() {
    let call = Call::new(compile::c("threads"))
        .arg(&world().at)
        .args(["1", "wander"]);
    let seen = world().same(&call).success();
    assert_eq!(seen.text(), "0 faults, 0 descriptors more\n");
}

#[test]
fn other_roots() {
    if !abi_tests::is_root() {
        eprintln!("chroot needs root");
        return;
    }
    let call = Call::new(compile::c("chrooted"))
        .arg(&world().at)
        .arg(&world().outside);
    let seen = world().same(&call).success();
    assert!(
        seen.text().contains("chroot outside outside = 0"),
        "{}",
        seen.text()
    );
}

/// Many programs close every descriptor up to the limit before they start another.
#[test]
fn huge_descriptor_limit() {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    // As root, the hard limit goes up to a million (fs.nr_open).
    let script = "ulimit -Hn 1048576 2>/dev/null; ulimit -n $(ulimit -Hn) && python3 -c 'import os, subprocess; os.closerange(3, 1 << 20); print(subprocess.check_output([\"cat\", \"plain.txt\"], close_fds=True)); print(sorted(os.listdir(\"dir\")))'";
    let call = Call::bash(script).cwd(&world().at);
    let (plain, served) = (
        world().plain(&call).success(),
        world().served(&call).success(),
    );
    assert_eq!(compare::difference(&plain, &served), None);
}

/// io_uring would open and stat past every hook, so there is none while a root is served.
#[test]
fn io_uring_is_refused() {
    if abi_tests::world::oracle_only() {
        return;
    }
    let served = world()
        .served(&Call::new(compile::c("uring")).arg(&world().at))
        .success();
    assert_eq!(served.text(), "ENOSYS\n");
}

/// Preloaded without any manifest, the library stays out of the way and says nothing.
#[test]
fn nothing_to_serve() {
    let store = scratch::directory(Place::Memory, "nothing");
    let calls = [
        Call::new("true"),
        Call::bash("cd /etc && pwd && cat hostname && ls /usr/bin | wc -l"),
        Call::new("python3").args(["-c", "import json; print(json.__file__)"]),
    ];
    for call in &calls {
        let bare = call.run(None).success();
        let ours = call
            .clone()
            .env("LD_PRELOAD", artifacts::library())
            .env("VELO_ROOT", &store)
            .run(None);
        assert_eq!(compare::difference(&bare, &ours), None, "{}", call.line());
    }
}

/// `VELO_STATS=1` says at exit what was served; it never disturbs the program.
#[test]
fn statistics() {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    let call = Call::bash("cat plain.txt; ls dir > /dev/null; stat missing").cwd(&world().at);
    let (plain, served) = (
        world().plain(&call),
        world().served(&call.clone().env("VELO_STATS", "1")),
    );
    assert_eq!((plain.ended, &plain.stdout), (served.ended, &served.stdout));
    if abi_tests::world::oracle_only() {
        return;
    }
    let said = served.errors();
    assert!(
        said.contains("served") && said.lines().any(|line| line.starts_with("velo:")),
        "{said}"
    );
    let quiet = world()
        .served(
            &Call::bash("exec 2>&-; cat plain.txt")
                .cwd(&world().at)
                .env("VELO_STATS", "1"),
        )
        .success();
    assert_eq!(quiet.text(), "one\ntwo\nthree\n");
}

/// What the preload adds to the start of `true`; the budget is 0.3 ms, the rest is noise.
#[test]
fn start_up_is_short() {
    if abi_tests::world::oracle_only() {
        return;
    }
    let call = Call::new("true");
    let preloaded = world().preloaded(&call);
    let time = |call: &Call| {
        let started = Instant::now();
        let _ = call.run(None).success();
        started.elapsed()
    };
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..41 {
        bare.push(time(&call));
        ours.push(time(&preloaded));
    }
    bare.sort();
    ours.sort();
    let added = ours[20].saturating_sub(bare[20]);
    assert!(
        added < Duration::from_millis(3),
        "the preload adds {added:?} to the {:?} of `true`",
        bare[20]
    );
}

fn small_stacks(name: &str) -> Call {
    Call::new(compile::with("cc", "small_stack", &["-pthread"])).arg(world().at.join(name))
}

#[test]
fn threads_with_little_stack() {
    for name in ["", "none"] {
        let _ = world().same(&small_stacks(name));
    }
}

/// docs/LIMITS.md: the least stack that a thread may have.
#[test]
fn limit_threads_with_the_least_stack() {
    let _ = world().same(&small_stacks("").env("PROBE_LIMITS", "1"));
}

/// docs/LIMITS.md: a call that the interposer needs beside the program's own.
#[test]
fn limit_seccomp_filters() {
    let call = Call::new(compile::c("seccomp"))
        .arg(&world().at)
        .env("PROBE_LIMITS", "1");
    let _ = world().same(&call);
}
