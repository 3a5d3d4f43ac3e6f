//! `run --warm`: a program that is forked out of a parent is, for all that it and its caller can see, the one that
//! `run` starts. What is different is in docs/LIMITS.md.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use abi_tests::call::Ended;
use abi_tests::trees::Tree;
use abi_tests::{Call, NOBODY, Outcome, World, artifacts, compile, is_root, scratch};

/// CPython 3.9 and newer: one for each series.
fn interpreters() -> &'static [PathBuf] {
    static FOUND: OnceLock<Vec<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let home = std::env::home_dir().unwrap_or_default();
        let managed = std::fs::read_dir(home.join(".pyenv/versions"));
        let mut programs: Vec<PathBuf> = managed
            .into_iter()
            .flatten()
            .flatten()
            .map(|version| version.path().join("bin/python3"))
            .collect();
        programs.extend((9..=15).map(|minor| format!("/usr/bin/python3.{minor}").into()));
        let mut seen = Vec::new();
        programs.retain(|program| {
            let text = "import sys; print(sys.implementation.name, sys.version_info[1], hasattr(sys.flags, 'gil'))";
            let shown = match program.exists() {
                true => Call::new(program).args(["-c", text]).run(None).text(),
                false => String::new(),
            };
            let words: Vec<_> = shown.split_whitespace().collect();
            let minor = words.get(1).and_then(|word| word.parse::<u32>().ok()).unwrap_or(0);
            let take = words.first() == Some(&"cpython") && minor >= 9 && !seen.contains(&minor);
            seen.push(minor);
            take
        });
        assert!(!programs.is_empty(), "no CPython, and this test needs one");
        programs
    })
}

fn newest() -> &'static Path {
    interpreters().last().expect("an interpreter")
}

/// A store with a manifest, and an end to all parents of it.
struct Warm {
    world: World,
    user: Option<u32>,
}

impl Warm {
    fn new(name: &str) -> Self {
        let world = World::moved_away(name, |at| {
            std::fs::create_dir_all(at).unwrap();
            let tree = Tree::in_directory(at);
            for (name, text) in MODULES {
                tree.file(format!("{name}.py"), text);
            }
        });
        Self { world, user: None }
    }

    /// A directory for scripts, and where programs start.
    fn scripts(&self) -> &Path {
        &self.world.outside
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.scripts().join(name), text).unwrap();
    }

    /// `velo-ctl COMMAND…` on this store.
    fn ctl(&self, arguments: &[&str]) -> Call {
        let call = Call::new(artifacts::velo_ctl())
            .args(arguments)
            .env("VELO_LIB", artifacts::library())
            .env("VELO_WARM_IDLE", "60")
            .env("VELO_WARM_LOG", self.world.outside.join("log"))
            .env("PYTHONPATH", &self.world.at)
            .started_in(self.scripts());
        let call = self.world.with_store(&call);
        match self.user {
            Some(user) => call.user(user),
            None => call,
        }
    }

    /// `velo-ctl run OPTIONS -- python ARGUMENTS`.
    fn call(&self, options: &[&str], python: &Path, arguments: &[&str]) -> Call {
        self.ctl(&["run", "-m"])
            .arg(&self.world.manifest)
            .args(options)
            .arg("--")
            .arg(python)
            .args(arguments)
    }

    fn cold(&self, python: &Path, arguments: &[&str]) -> Outcome {
        self.call(&[], python, arguments).run(None)
    }

    /// Runs it until it is forked out of a parent that has imported; what that run did.
    fn heated(&self, call: &Call) -> Outcome {
        let _ = call.run(None);
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            let outcome = call.run(None);
            if !is_cold(&outcome) {
                return outcome;
            }
            assert!(
                Instant::now() < deadline,
                "{}: {}{}",
                call.line(),
                outcome.errors(),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What parents failed with.
    fn log(&self) -> String {
        std::fs::read_to_string(self.world.outside.join("log")).unwrap_or_default()
    }

    fn list(&self) -> String {
        self.ctl(&["warm", "list", "--json"])
            .run(None)
            .success()
            .text()
    }

    fn waits(&self, what: &str, done: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !done() {
            assert!(Instant::now() < deadline, "never: {what}\n{}", self.list());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Numbers of the processes that have this store in their environment.
    fn processes(&self) -> Vec<i32> {
        let wanted = format!("VELO_ROOT={}", self.world.store.display());
        let numbers = std::fs::read_dir("/proc").unwrap().flatten();
        numbers
            .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
            .filter(|number| {
                let environment =
                    std::fs::read(format!("/proc/{number}/environ")).unwrap_or_default();
                environment
                    .split(|byte| *byte == 0)
                    .any(|pair| pair == wanted.as_bytes())
            })
            .collect()
    }

    fn same(&self, python: &Path, arguments: &[&str]) {
        let call = self.call(&["--warm", "-v"], python, arguments);
        let warm = self.heated(&call);
        let cold = self.cold(python, arguments);
        compared(&call, &cold, &warm);
    }
}

impl Drop for Warm {
    fn drop(&mut self) {
        for number in self.processes() {
            // SAFETY: processes that this test started, by their ids.
            unsafe { libc::kill(number, libc::SIGKILL) };
        }
    }
}

fn is_cold(outcome: &Outcome) -> bool {
    outcome.errors().contains("velo: started cold: ")
}

fn compared(call: &Call, cold: &Outcome, warm: &Outcome) {
    let text =
        |outcome: &Outcome| format!("{}{}{:?}", outcome.text(), outcome.errors(), outcome.ended);
    let (cold, warm) = (text(cold), text(warm));
    let different: Vec<_> = cold
        .lines()
        .zip(warm.lines())
        .filter(|(cold, warm)| cold != warm)
        .take(8)
        .collect();
    assert!(
        cold == warm,
        "{}\n{different:#?}\n{} and {} lines",
        call.line(),
        cold.lines().count(),
        warm.lines().count()
    );
}

const MODULES: [(&str, &str); 8] = [
    ("plain_module", "import json\nVALUE = 'first'\n"),
    (
        "starts_a_thread",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n",
    ),
    ("opens_a_socket", "import socket\nS = socket.socketpair()\n"),
    ("prints", "print('from the module')\n"),
    ("imports_the_thread", "import decimal, starts_a_thread\n"),
    (
        "asks_a_variable",
        "import os\nVALUE = os.environ.get('ASKED', 'unset')\nos.environ.setdefault('ADDED', VALUE)\n",
    ),
    ("asks_the_directory", "import os\nVALUE = os.getcwd()\n"),
    (
        "ends",
        "import os\nos._exit(9) if os.environ.get('END') else None\n",
    ),
];

#[test]
fn a_forked_process_is_as_a_started_one() {
    let warm = Warm::new("same");
    for name in ["warm.py", "warm_module.py"] {
        std::fs::copy(compile::probes().join("warm.py"), warm.scripts().join(name)).unwrap();
    }
    for python in interpreters() {
        for arguments in [
            &["warm.py", "a", "b c", ""][..],
            &["-u", "-O", "./warm.py"],
            &["-m", "warm_module", "x"],
            &[
                "-Ic",
                "import sys; print(sys.path, sys.argv); exec(open('warm.py').read())",
                "-m",
            ],
            &["-X", "dev", "-Wignore", "-E", "warm.py"],
        ] {
            warm.same(python, arguments);
        }
    }
}

#[test]
fn what_a_process_inherits_is_the_callers() {
    let warm = Warm::new("inherited");
    std::fs::copy(
        compile::probes().join("warm.py"),
        warm.scripts().join("warm.py"),
    )
    .unwrap();
    let python = newest().display().to_string();
    for prepared in [
        "ulimit -Sn 99; ulimit -Sc 0; umask 027; exec 5</etc/passwd 7>>out 200</dev/null",
        "exec 0<&- 2>&-",
        "exec 1>&- </dev/zero",
        "trap '' TERM INT PIPE; cd /; export NEW=1 Z=$'a\\nb'",
        "exec </etc/hostname >out; cat",
        "exec env --block-signal=USR1 --ignore-signal=HUP",
        "exec nice -n 3",
        "exec taskset 1",
    ] {
        let run = |options: &[&str]| {
            let call = warm.call(
                options,
                newest(),
                &[&warm.scripts().join("warm.py").display().to_string()],
            );
            let script = format!(
                "{prepared}{} \"$@\"",
                if prepared.starts_with("exec env")
                    || prepared.starts_with("exec nice")
                    || prepared.starts_with("exec taskset")
                {
                    ""
                } else {
                    "; exec"
                }
            );
            let script = script.replace("; cat; exec", "; exec");
            Call::bash(&script)
                .arg("bash")
                .args(words(&call))
                .on_store_of(&warm)
        };
        let call = run(&["--warm", "-v"]);
        let heated = warm.heated(&call);
        let file = warm.scripts().join("out");
        let read = |outcome: Outcome| (outcome, std::fs::read_to_string(&file).unwrap_or_default());
        let _ = std::fs::remove_file(&file);
        let (cold, cold_file) = read(run(&[]).run(None));
        let _ = std::fs::remove_file(&file);
        let (again, warm_file) = read(call.run(None));
        compared(&call, &cold, &again);
        assert_eq!(cold_file, warm_file, "{python} {prepared}");
        assert!(!is_cold(&heated));
    }
}

/// The words of a call, to be run by something else.
fn words(call: &Call) -> Vec<String> {
    call.line().split(' ').map(str::to_owned).collect()
}

trait OnStore {
    fn on_store_of(self, warm: &Warm) -> Call;
}

impl OnStore for Call {
    fn on_store_of(self, warm: &Warm) -> Call {
        warm.ctl(&[]).on(self)
    }
}

#[test]
fn a_program_ends_as_it_does_otherwise() {
    let warm = Warm::new("ends");
    std::fs::copy(
        compile::probes().join("warm_ends.py"),
        warm.scripts().join("ends.py"),
    )
    .unwrap();
    let file = warm.scripts().join("file");
    for python in [interpreters().first().unwrap(), newest()] {
        let _ = warm.heated(&warm.call(&["--warm", "-v"], python, &["ends.py", "ok"]));
        for how in [
            "ok", "code 3", "code 256", "code -1", "text", "none", "obj", "exc", "chain", "kbd",
            "hook", "_exit", "kill 15", "kill 9", "kill 2", "kill 11", "kill 13", "abort",
            "thread", "daemon", "forked", "cycle", "exec", "big", "main", "warn", "syntax",
            "pickle", "mp", "del_main", "wrapped", "detached",
        ] {
            let (how, code) = how.split_once(' ').unwrap_or((how, ""));
            let arguments = ["ends.py", how, "file", code];
            let call = warm.call(&["--warm", "-v"], python, &arguments);
            let run = |call: &Call| {
                let _ = std::fs::remove_file(&file);
                let outcome = call.run(None);
                (outcome, std::fs::read_to_string(&file).unwrap_or_default())
            };
            let (cold, left_cold) = run(&warm.call(&[], python, &arguments));
            let (mut again, mut left_warm) = run(&call);
            while is_cold(&again) {
                // What it imported, its parent imported meanwhile.
                let _ = warm.heated(&call);
                (again, left_warm) = run(&call);
            }
            compared(&call, &cold, &again);
            assert_eq!(left_cold, left_warm, "{how}");
        }
    }
}

#[test]
fn processes_threads_and_loops_work() {
    let warm = Warm::new("work");
    std::fs::copy(
        compile::probes().join("warm_work.py"),
        warm.scripts().join("work.py"),
    )
    .unwrap();
    for python in [interpreters().first().unwrap(), newest()] {
        warm.same(python, &["work.py"]);
        let call = warm.call(&["--warm", "-v"], python, &["work.py", "new"]);
        let outputs: Vec<_> = (0..3).map(|_| call.run(None).success()).collect();
        assert!(outputs.iter().all(|outcome| !is_cold(outcome)));
        let numbers = |outcome: &Outcome| {
            outcome
                .text()
                .split(['[', ']', ',', ' ', '\''])
                .filter(|word| word.len() > 7)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        for number in numbers(&outputs[0]) {
            for other in &outputs[1..] {
                assert!(!other.text().contains(&number), "{number} twice");
            }
        }
    }
}

#[test]
fn a_terminal_is_as_without() {
    let warm = Warm::new("terminal");
    std::fs::copy(
        compile::probes().join("warm_on_terminal.py"),
        warm.scripts().join("tt.py"),
    )
    .unwrap();
    let python = newest().display().to_string();
    let seen = |options: &str| {
        let before = format!(
            "{} run -m {} {options} --",
            artifacts::velo_ctl().display(),
            warm.world.manifest.display()
        );
        Call::new("python3")
            .arg(compile::probes().join("warm_terminal.py"))
            .arg(before.replace("  ", " "))
            .arg(format!("{python} tt.py"))
            .deadline(Duration::from_secs(120))
            .on_store_of(&warm)
            .run(None)
            .success()
            .text()
    };
    assert_eq!(seen(""), seen("--warm -v"));
}

#[test]
fn what_a_fork_would_break_is_left_out_and_works() {
    let warm = Warm::new("left-out");
    warm.write("app.py", "import sys; at_start = set(sys.modules)\nimport imports_the_thread, opens_a_socket, prints, plain_module, ends, threading\nprint(sorted(at_start & {'imports_the_thread', 'starts_a_thread', 'opens_a_socket', 'prints', 'plain_module', 'decimal', 'ends'}), threading.active_count(), opens_a_socket.S[0].fileno() > 2)\n");
    for python in interpreters() {
        let call = warm.call(&["--warm", "-v"], python, &["app.py"]);
        let text = warm.heated(&call).success().text();
        assert_eq!(
            text,
            "from the module\n['decimal', 'ends', 'plain_module'] 2 True\n"
        );
    }
    let list = warm.list();
    for reason in [
        "it starts 1 thread",
        "it leaves socket:",
        "it prints when it is imported",
    ] {
        assert!(list.contains(reason), "{list}");
    }
    // One that ends the process, and one that is not there.
    let call = warm
        .call(
            &["--warm", "-v", "--preload", "ends,nowhere,plain_module"],
            newest(),
            &[
                "-c",
                "import sys; print('plain_module' in sys.modules, 'ends' in sys.modules)",
            ],
        )
        .env("END", "1");
    assert_eq!(warm.heated(&call).success().text(), "True False\n");
}

/// Each: a module, what it does when it is imported, why it is left out.
const ITS_OWN: [(&str, &str, &str); 10] = [
    (
        "arguments",
        "VALUE = sys.argv[1:]",
        "it reads the arguments",
    ),
    (
        "reads",
        "VALUE = sys.stdin.readline()",
        "it reads standard input",
    ),
    (
        "terminal",
        "VALUE = os.isatty(1), sys.stdout.isatty()",
        "it asks what the standard streams are",
    ),
    (
        "process",
        "VALUE = os.getpid() == int(os.readlink('/proc/self'))",
        "it asks for the number of its process",
    ),
    (
        "draws",
        "import uuid; VALUE = len(uuid.uuid4().hex)",
        "it draws a random number",
    ),
    (
        "handles",
        "VALUE = 0; signal.signal(signal.SIGTERM, lambda *_: print('TERM'))",
        "it sets how a signal is handled",
    ),
    (
        "mask",
        "VALUE = oct(os.umask(0o27))",
        "it changes the umask",
    ),
    (
        "limits",
        "r = resource; VALUE = r.setrlimit(r.RLIMIT_NOFILE, (99, r.getrlimit(r.RLIMIT_NOFILE)[1]))",
        "it changes limits",
    ),
    (
        "streams",
        "VALUE = sys.stdout.reconfigure(line_buffering=True)",
        "it changes the standard streams",
    ),
    (
        "timer",
        "VALUE = signal.setitimer(signal.ITIMER_REAL, 1000)",
        "it sets a timer",
    ),
];

#[test]
fn what_is_another_in_each_process_is_not_the_parents() {
    let warm = Warm::new("its-own");
    let library = warm.scripts().join("library");
    std::fs::create_dir(&library).unwrap();
    let mut app = "import plain_module, os, resource, signal, sys\n".to_owned();
    for (name, text, _) in ITS_OWN {
        let text = format!("import os, resource, signal, sys\n{text}\n");
        std::fs::write(library.join(format!("{name}.py")), text).unwrap();
        app += &format!("import {name}; print('{name}', {name}.VALUE)\n");
    }
    app += "signal.raise_signal(signal.SIGTERM)\n\
            print(oct(os.umask(0)), resource.getrlimit(resource.RLIMIT_NOFILE)[0], sys.stdout.line_buffering, signal.getitimer(signal.ITIMER_REAL)[0] > 0)\n";
    warm.write("app.py", &app);
    for python in interpreters() {
        let call = |options: &[&str]| {
            let path = std::env::join_paths([&warm.world.at, &library]).unwrap();
            warm.call(options, python, &["app.py", "a", "b"])
                .env("PYTHONPATH", path)
        };
        let cold = call(&[]).run(None);
        let warm_call = call(&["--warm", "-v"]);
        compared(&warm_call, &cold, &warm.heated(&warm_call));
        // Once more, by a parent that has learned.
        compared(&warm_call, &cold, &warm.heated(&warm_call));
    }
    let list = warm.list();
    for (name, _, reason) in ITS_OWN {
        assert!(list.contains(reason), "{name}: {list}");
    }
}

#[test]
fn a_parent_is_used_only_where_its_imports_would_have_seen_the_same() {
    let warm = Warm::new("inputs");
    warm.write("app.py", "import asks_a_variable as a, asks_the_directory as d, os; print(a.VALUE, os.environ['ADDED'], d.VALUE)\n");
    let script = warm.scripts().join("app.py").display().to_string();
    let call = warm.call(&["--warm", "-v"], newest(), &[&script]);
    let here = warm.scripts().display().to_string();
    assert_eq!(warm.heated(&call).text(), format!("unset unset {here}\n"));
    for (asked, directory) in [("1", here.as_str()), ("2", "/"), ("", "/tmp")] {
        let call = call.clone().env("ASKED", asked).started_in(directory);
        let expected = format!("{asked} {asked} {directory}\n");
        assert_eq!(call.run(None).text(), expected);
        let again = warm.heated(&call);
        assert_eq!(again.text(), expected);
    }
    // A script's directory that has a module of the name of a preloaded one.
    let own = warm.scripts().join("own");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(
        own.join("app.py"),
        "import plain_module; print(plain_module.VALUE)\n",
    )
    .unwrap();
    let call = warm.call(
        &["--warm", "-v", "--preload", "plain_module"],
        newest(),
        &[&own.join("app.py").display().to_string()],
    );
    assert_eq!(warm.heated(&call).text(), "first\n");
    std::fs::write(own.join("plain_module.py"), "VALUE = 'own'\n").unwrap();
    let shadowed = call.run(None);
    assert_eq!(
        (shadowed.text().as_str(), is_cold(&shadowed)),
        ("own\n", true)
    );
}

#[test]
fn a_module_outside_of_manifests_that_changes_is_never_stale() {
    let warm = Warm::new("stale");
    let library = warm.scripts().join("library");
    std::fs::create_dir(&library).unwrap();
    std::fs::write(library.join("edited.py"), "VALUE = 1\n").unwrap();
    warm.write("app.py", "import edited; print(edited.VALUE)\n");
    let call = warm
        .call(&["--warm", "-v"], newest(), &["app.py"])
        .env("PYTHONPATH", &library)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    assert_eq!(warm.heated(&call).text(), "1\n");
    std::fs::write(library.join("edited.py"), "VALUE = 20\n").unwrap();
    let changed = call.run(None);
    assert_eq!((changed.text().as_str(), is_cold(&changed)), ("20\n", true));
    assert_eq!(warm.heated(&call).text(), "20\n");
    // What was looked for and not found, or would be found first from now on.
    std::fs::create_dir(library.join("pack")).unwrap();
    for (name, text) in [
        ("pack/__init__.py", ""),
        ("pack/inner.py", "VALUE = 'file'\n"),
        ("pack/again.py", "from .inner import VALUE\n"),
        (
            "asks.py",
            "import importlib.util\nVALUE = importlib.util.find_spec('later') is not None\n",
        ),
        (
            "tries.py",
            "try:\n    from pack import fast as found\nexcept ImportError:\n    found = 0\nVALUE = found and 1\n",
        ),
    ] {
        std::fs::write(library.join(name), text).unwrap();
    }
    warm.write(
        "app.py",
        "import asks, tries, pack.again; print(asks.VALUE, tries.VALUE, pack.again.VALUE)\n",
    );
    let app = warm.scripts().join("app.py").display().to_string();
    let call = warm
        .call(
            &["--warm", "-v", "--preload", "asks,tries,pack.again"],
            newest(),
            &[&app],
        )
        .env("PYTHONPATH", &library)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    assert_eq!(warm.heated(&call).text(), "False 0 file\n");
    for (name, expected) in [
        ("later.py", "True 0 file\n"),
        ("pack/fast.py", "True 1 file\n"),
        ("pack/inner/__init__.py", "True 1 package\n"),
    ] {
        let path = library.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "VALUE = 'package'\n").unwrap();
        let changed = call.run(None);
        assert_eq!(
            (changed.text().as_str(), is_cold(&changed)),
            (expected, true)
        );
        assert_eq!(warm.heated(&call).text(), expected);
    }
}

#[test]
fn a_replaced_manifest_has_another_parent() {
    let warm = Warm::new("replaced");
    warm.write(
        "app.py",
        "import plain_module, os; print(plain_module.VALUE, os.getppid())\n",
    );
    let call = warm.call(&["--warm", "-v"], newest(), &["app.py"]);
    let first = warm.heated(&call).text();
    assert!(first.starts_with("first "), "{first}");
    let parent: i32 = first.trim().rsplit(' ').next().unwrap().parse().unwrap();
    std::fs::write(
        warm.world.plain.join("plain_module.py"),
        "VALUE = 'second'\n",
    )
    .unwrap();
    let build = warm
        .ctl(&["build-manifest"])
        .arg(&warm.world.plain)
        .arg("--at")
        .arg(&warm.world.at)
        .arg("-o")
        .arg(&warm.world.manifest);
    let _ = build.run(None).success();
    assert!(call.run(None).text().starts_with("second "));
    assert!(warm.heated(&call).text().starts_with("second "));
    warm.waits("the old parent ends", || {
        !Path::new(&format!("/proc/{parent}")).exists()
    });
}

#[test]
fn signals_and_ends_go_both_ways() {
    let warm = Warm::new("signals");
    warm.write("app.py", "import os, signal, sys, time\nif sys.argv[1:] == ['quick']: sys.exit()\nfor s in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP): signal.signal(s, lambda n, f: print('got', n, flush=True))\nprint(os.getpid(), os.getppid(), flush=True)\nopen('running', 'w').write(f'{os.getpid()} {os.getppid()}')\nwhile not os.path.exists('stop'): time.sleep(.02)\nprint('end')\nsys.exit(7)\n");
    let call = |arguments: &[&str]| warm.call(&["--warm", "-v"], newest(), arguments);
    let _ = warm.heated(&call(&["app.py", "quick"]));
    let line = words(&call(&["app.py"])).join(" ");
    let script = |text: &str| {
        for name in ["running", "stop"] {
            let _ = std::fs::remove_file(warm.scripts().join(name));
        }
        let text = format!(
            "{line} & client=$!; until [ -s running ]; do sleep .02; done; sleep .1; read child parent < running; {text}"
        );
        Call::bash(&text).on_store_of(&warm).run(None)
    };
    let seen = script(
        "for s in TERM USR1 HUP; do kill -$s $client; sleep .1; done; touch stop; wait $client; echo $?",
    );
    assert!(
        seen.text().contains("got 15\ngot 10\ngot 1\nend\n7\n"),
        "{}{}",
        seen.text(),
        seen.errors()
    );
    // Asynchronous commands of a shell ignore SIGINT.
    let seen = script("kill -INT $child; sleep .1; touch stop; wait $client; echo $?");
    assert!(seen.text().ends_with("end\n7\n"), "{}", seen.text());
    let seen = script("kill -QUIT $client; kill -SEGV $child; wait $client; echo $?");
    assert!(seen.text().ends_with("139\n"), "{}", seen.text());
    let seen = script(
        "kill -KILL $client; for i in $(seq 100); do [ -e /proc/$child ] || break; sleep .05; done; [ -e /proc/$child ] || echo gone",
    );
    assert!(seen.text().ends_with("gone\n"), "{}", seen.text());
    // Stopped and continued with the caller's process.
    let seen = script(
        "kill -STOP $child; sleep .2; cut -d' ' -f3 /proc/$client/stat; kill -CONT $client; touch stop; wait $client; echo $?",
    );
    assert!(seen.text().contains("T\nend\n7\n"), "{}", seen.text());
    // The parent is killed: the program goes on, and the next one starts cold.
    let seen = script("kill -KILL $parent; sleep .1; touch stop; wait $client; echo $?");
    assert!(
        seen.text().contains("end\n7\n") || seen.text().contains("end\n125\n"),
        "{}",
        seen.text()
    );
    let after = call(&["app.py", "quick"]).run(None);
    assert!(
        is_cold(&after) && after.ended == Ended::Status(0),
        "{}",
        after.errors()
    );
}

#[test]
fn parents_are_few_and_end_by_themselves() {
    let warm = Warm::new("bounds");
    warm.write("app.py", "import plain_module\n");
    let count = || warm.list().matches("\"pid\"").count();
    for number in 0..4 {
        let name = format!("app{number}.py");
        warm.write(&name, "import plain_module\n");
        let call = warm
            .call(&["--warm", "-v"], newest(), &[&name])
            .env("VELO_WARM_MAX", "2");
        let _ = warm.heated(&call);
        assert!(count() <= 2, "{}", warm.list());
    }
    let _ = warm.ctl(&["warm", "stop"]).run(None).success();
    warm.waits("all end", || count() == 0);
    let call = warm
        .call(&["--warm", "-v"], newest(), &["app.py"])
        .env("VELO_WARM_IDLE", "1");
    let _ = warm.heated(&call);
    warm.waits("it is idle for too long", || warm.processes().is_empty());
    let too_big = warm
        .call(&["--warm", "-v"], newest(), &["app.py"])
        .env("VELO_WARM_MEMORY", "1");
    let _ = too_big.run(None);
    warm.waits("it is too big", || warm.processes().is_empty());
    let unfit = too_big.run(None);
    assert!(
        unfit.errors().contains("VELO_WARM_MEMORY"),
        "{}",
        unfit.errors()
    );
}

#[test]
fn users_and_namespaces_never_share() {
    if !is_root() {
        eprintln!("SKIP warm: users_and_namespaces_never_share needs root");
        return;
    }
    let mut warm = Warm::new("users");
    let python = Path::new("/usr/bin/python3");
    warm.write(
        "app.py",
        "import plain_module, os; print(os.getuid(), os.getppid())\n",
    );
    let parents = |warm: &Warm, wrapped: &[&str]| {
        let call = warm.call(&["--warm", "-v"], python, &["app.py"]);
        let words = words(&call);
        let call = match wrapped {
            [] => call,
            [program, rest @ ..] => Call::new(program).args(rest).args(&words).on_store_of(warm),
        };
        warm.heated(&call).success().text()
    };
    let root = parents(&warm, &[]);
    let seen: Vec<String> = vec![
        parents(&warm, &["setpriv", "--no-new-privs"]),
        parents(&warm, &["setpriv", "--bounding-set=-chown"]),
        parents(&warm, &["setpriv", "--groups=1"]),
        parents(&warm, &["prlimit", "--nofile=500:900"]),
    ];
    warm.user = Some(NOBODY);
    let nobody = parents(&warm, &[]);
    assert!(nobody.starts_with(&format!("{NOBODY} ")), "{nobody}");
    let mut all = vec![root.clone(), nobody];
    all.extend(seen);
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count, "{all:?}");
    warm.user = None;
    assert_eq!(parents(&warm, &[]), root);
    // Nobody's directory is not in root's store, and was left by its owner's parents.
    let own = scratch::temporary().join(format!("velo-warm-{NOBODY}"));
    assert!(own.is_dir());
}
