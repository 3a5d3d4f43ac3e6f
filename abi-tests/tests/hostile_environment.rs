//! What changes under a running program, and nonsense in the environment: a clear error or the
//! same answers as before, never a crash.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use abi_tests::call::Ended;
use abi_tests::scratch::{self, Place};
use abi_tests::{Call, Fidelity, World, artifacts};

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::of_everything("hostile-environment", Fidelity::Usual))
}

/// A shell under the preload that is asked one line at a time; ended when it goes away.
struct Shell {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Shell {
    fn new(manifest: &Path, store: &Path) -> Self {
        let mut child = Command::new(artifacts::program("bash"))
            .env_clear()
            .env("PATH", artifacts::PATH)
            .env("LC_ALL", "C")
            .env("P", &world().at)
            .env("LD_PRELOAD", artifacts::library())
            .env("VELO_MANIFEST", manifest)
            .env("VELO_ROOT", store)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("bash: {error}"));
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, answers }
    }

    /// What `script` prints; what there is so far if the shell has died.
    fn ask(&mut self, script: &str) -> String {
        let input = self.child.stdin.as_mut().expect("it is piped");
        let _ = writeln!(input, "{script}\necho {END}");
        let lines = (&mut self.answers).lines().map_while(Result::ok);
        let answer: Vec<String> = lines.take_while(|line| line != END).collect();
        answer.join("\n")
    }
}

const END: &str = "-- that is all --";

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks at every page of the manifest, with no other program: each name, what it is, a content.
const LOOK: &str = "cd \"$P\"; shopt -s globstar dotglob; seen=; for f in **; do [ -e \"$f\" ] && [ ! -d \"$f\" ] && [ -r \"$f\" ]; seen+=\"$? $f \"; done; read -r line < plain.txt; echo \"${seen@Q} $line\"";

fn place(name: &str) -> PathBuf {
    let path = scratch::directory(Place::Disk, name).join("app.velo");
    std::fs::copy(&world().manifest, &path).unwrap();
    path
}

#[test]
fn a_manifest_that_changes_during_a_run() {
    if abi_tests::world::oracle_only() {
        return;
    }
    let size = std::fs::metadata(&world().manifest).unwrap().len();
    type Change<'c> = dyn Fn(&Path) + 'c;
    let changes: [(&str, &Change<'_>); 5] = [
        ("truncated in place", &|path| {
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(0).unwrap();
        }),
        ("half of it", &|path| {
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(size / 2).unwrap();
        }),
        ("overwritten in place", &|path| {
            let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.write_all(&vec![0xff; size as usize]).unwrap();
        }),
        ("replaced by rename", &|path| {
            let other = path.with_extension("other");
            std::fs::write(&other, "not a manifest").unwrap();
            std::fs::rename(&other, path).unwrap();
        }),
        ("removed", &|path| std::fs::remove_file(path).unwrap()),
    ];
    for (what, change) in changes {
        let manifest = place("changing");
        let mut shell = Shell::new(&manifest, &world().store);
        let before = shell.ask(LOOK);
        assert!(before.ends_with(" one"), "{what}: {before}");
        change(&manifest);
        assert_eq!(shell.ask(LOOK), before, "{what}: the running program");
        let child = shell.ask("cat \"$P\"/plain.txt > /dev/null 2>&1; echo $?");
        assert_eq!(child, "127", "{what}: a child that starts afterwards");
    }
}

#[test]
fn a_store_that_goes_away_during_a_run() {
    if abi_tests::world::oracle_only() {
        return;
    }
    let store = scratch::directory(Place::Memory, "leaving").join("store");
    let manifest = scratch::directory(Place::Disk, "leaving").join("app.velo");
    let _ = Call::new(artifacts::velo_ctl())
        .env("VELO_ROOT", &store)
        .arg("build-manifest")
        .arg(world().plain.join("dir"))
        .arg("--at")
        .arg(&world().at)
        .arg("-o")
        .arg(&manifest)
        .run(None)
        .success();
    let mut shell = Shell::new(&manifest, &store);
    let script = "cd /; read -r line < \"$P\"/same-a; echo \"$? $line\"";
    let before = shell.ask(script);
    assert!(before.starts_with("0 "), "{before}");
    let away = store.with_extension("away");
    std::fs::rename(&store, &away).unwrap();
    assert_eq!(shell.ask("[ -f \"$P\"/same-a ]; echo $?"), "0");
    for (script, expected) in [
        ("read -r line < \"$P\"/same-a", "Input/output error"),
        ("cat < \"$P\"/same-a", "Input/output error"),
        ("cd \"$P\"", "bash:"),
        ("\"$P\"/sub/missing", "No such file"),
    ] {
        let said = shell.ask(&format!("{{ {script}; }} 2>&1"));
        assert!(said.contains(expected), "{script}: {said}");
    }
    std::fs::rename(&away, &store).unwrap();
    assert_eq!(shell.ask(script), before, "it is back");
}

/// Nonsense that is refused in one line before the program starts, and nonsense that means nothing.
#[test]
fn values_of_variables() {
    if abi_tests::world::oracle_only() {
        return;
    }
    let call = Call::new("cat").arg(world().path("plain.txt"));
    let with = |name: &str, value: &str| world().preloaded(&call).env(name, value).run(None);
    let long = format!("/{}", "x".repeat(5000));
    let many = vec!["/x"; 3000].join(":");
    for (name, value) in [
        ("VELO_ROOT", "relative/path"),
        ("VELO_ROOT", "."),
        ("VELO_ROOT", &long),
        ("VELO_VIEW_ROOT", &long),
        ("VELO_MANIFEST", "/nonexistent.velo"),
        ("VELO_MANIFEST", "/dev/zero"),
        ("VELO_MANIFEST", "/etc"),
        ("VELO_MANIFEST", &long),
        ("VELO_MANIFEST", &many),
        ("VELO_STATIC", "nonsense"),
    ] {
        let seen = with(name, value);
        let (told, text) = (seen.errors(), &value[..value.len().min(40)]);
        assert_eq!(seen.ended, Ended::Status(127), "{name}={text}: {told}");
        assert_eq!(told.lines().count(), 1, "{name}={text}: {told}");
        assert!(told.starts_with("velo: "), "{name}={text}: {told}");
    }
    for (name, value) in [
        ("VELO_STATS", "0"),
        ("VELO_STATS", ""),
        ("VELO_ON_ERROR", "nonsense"),
        ("VELO_VIEW_ROOT", ""),
        ("VELO_UNKNOWN", "\u{1}\u{2}"),
        ("VELO_", "x"),
    ] {
        let seen = with(name, value).success();
        assert_eq!(seen.text(), "one\ntwo\nthree\n", "{name}={value}");
        assert_eq!(seen.errors(), "", "{name}={value}");
    }
}
