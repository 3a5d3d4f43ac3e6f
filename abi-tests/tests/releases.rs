//! The same library under the C libraries of other releases of Debian.
//!
//! `VELO_ABI_RELEASES` names their unpacked root directories, joined by `:`; scripts/test makes them
//! (scripts/lib/releases.sh). Their own programs run by chroot(8), with the tests' directories
//! bound inside at the same paths, so that both sides and the host agree on every path.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use abi_tests::call::Ended;
use abi_tests::namespace::{self, Namespace};
use abi_tests::scratch::{self, Place};
use abi_tests::{Call, Fidelity, NOBODY, Outcome, World, artifacts, compare, compile};

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::of_everything("releases", Fidelity::Usual))
}

/// The root directories, or none with a word about it.
fn roots() -> Vec<PathBuf> {
    let named = std::env::var_os("VELO_ABI_RELEASES").unwrap_or_default();
    let roots: Vec<PathBuf> = std::env::split_paths(&named)
        .filter(|root| !root.as_os_str().is_empty())
        .collect();
    if roots.is_empty() {
        eprintln!("skipped: VELO_ABI_RELEASES names no root directories");
    }
    if !abi_tests::is_root() {
        eprintln!("skipped: chroot needs root");
        return Vec::new();
    }
    if !namespace::or_skip() {
        return Vec::new();
    }
    roots
}

fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// The host's directories that the programs need, inside `root`; the plain tree over all if wanted.
fn inner(root: &Path, plain: bool) -> Namespace {
    let shown = [
        "/proc".into(),
        scratch::base(Place::Disk),
        scratch::base(Place::Memory),
        compile::probes(),
    ];
    let mut namespace = Namespace::guarded();
    for path in &shown {
        let at = inside(root, path);
        std::fs::create_dir_all(&at).unwrap_or_else(|error| panic!("{}: {error}", at.display()));
        namespace = namespace.show(path, &at);
    }
    if plain {
        namespace = namespace.bind(&world().plain, &inside(root, &world().at));
    }
    namespace
}

/// Runs `words` in `root` as user `user`, with the preload set inside if `served`.
fn run(root: &Path, words: &[&OsStr], user: Option<u32>, served: bool) -> Outcome {
    let mut call = Call::new("chroot");
    if let Some(user) = user {
        call = call
            .arg(format!("--userspec={user}:{user}"))
            .arg("--groups=");
    }
    call = call.arg(root).arg("/usr/bin/env");
    if served {
        let set = |name: &str, value: &Path| format!("{name}={}", value.display());
        call = call
            .arg(set("LD_PRELOAD", artifacts::library()))
            .arg(set("VELO_MANIFEST", &world().manifest))
            .arg(set("VELO_ROOT", &world().store));
    }
    call.args(words).run(Some(inner(root, !served)))
}

fn same(root: &Path, words: &[&OsStr], user: Option<u32>) -> Outcome {
    let plain = run(root, words, user, false);
    let served = run(root, words, user, !abi_tests::world::oracle_only());
    if let Some(report) = compare::difference(&plain, &served) {
        panic!("{}: {words:?}\n{report}", root.display());
    }
    plain
}

fn same_script(root: &Path, script: &str) -> Outcome {
    let text = format!("cd {} && {script}", world().at.display());
    same(root, &["bash", "-c", &text].map(OsStr::new), None)
}

#[test]
fn coreutils_findutils_tar_and_bash() {
    for root in roots() {
        for script in [
            "ls -lR --time-style=full-iso | grep -v ^total; ls -la dir missing | grep -v ^total; ls -LdH links/*",
            "find . -printf '%d %f %g %h %l %m %M %n %P %s %t %T@ %u %y %Y\\n' | sort",
            "find . -print0 | sort -z | xargs -0 stat -c '%a %A %f %F %g %h %n %N %s %T %u %Y'",
            "tar c --sort=name --exclude=big-sparse . | sha256sum",
            "find . -type f -size -64k -print0 | sort -z | xargs -0 du -l --apparent-size; readlink -f links/*; realpath links/to-dir; cat plain.txt dir/*a; cksum plain.txt",
            "cp -a dir $TMPDIR/copy && ls -lR $TMPDIR/copy | grep -v ^total; rm -rf $TMPDIR/copy",
            "rm dir/same-a plain.txt; rmdir dir; mv plain.txt x; touch plain.txt; mkdir y; ln -s a b; chmod 0 plain.txt; echo x > plain.txt",
            "cd links/to-dir && pwd && pwd -P && ls && (cd .. && pwd) && env pwd; echo *; test -x ../plain.txt; echo $?",
        ] {
            let seen = same_script(&root, script);
            assert!(
                seen.stdout.len() + seen.stderr.len() > 50,
                "{script}: prints nothing\n{}",
                seen.errors()
            );
        }
    }
}

#[test]
fn python() {
    let probe = compile::probes().join("tree_os.py");
    for root in roots() {
        for user in [None, Some(NOBODY)] {
            let words = ["python3", "-X", "utf8", "-B"].map(OsStr::new);
            let words: Vec<&OsStr> = words
                .into_iter()
                .chain([probe.as_os_str(), world().at.as_os_str()])
                .collect();
            let seen = same(&root, &words, user);
            assert_eq!(seen.ended, Ended::Status(0), "{}", seen.errors());
            assert!(seen.text().lines().count() > 3000, "{}", seen.text());
        }
    }
}

/// Before glibc 2.34 `dlopen` and its kin stand in libdl, which a program need not have started with.
#[test]
fn libdl_comes_with_a_later_library() {
    for root in roots() {
        let directory = scratch::directory(Place::Disk, "late");
        let library = |name: &str| root.join("lib/x86_64-linux-gnu").join(name);
        // Since 2.34 libdl is empty: nothing is left to come later.
        let symbols = Call::new("nm").args(["-D", "--defined-only"]);
        let symbols = symbols.arg(library("libdl.so.2")).run(None).success();
        if !symbols.text().contains(" dlopen@@") {
            eprintln!("{}: libc itself has dlopen", root.display());
            continue;
        }
        let start = |name: &str| {
            let asked = Call::new("cc").arg(format!("-print-file-name={name}"));
            asked.run(None).success().text().trim().to_owned()
        };
        let build = |output: &str, parts: &[&str]| {
            let source = compile::sources().join("late.c");
            compile::build("cc", &source, &directory.join(output), parts);
        };
        let libc = library("libc.so.6").display().to_string();
        let libdl = library("libdl.so.2").display().to_string();
        let (first, second, last) = (start("crt1.o"), start("crti.o"), start("crtn.o"));
        build(
            "program",
            &["-nostdlib", "-no-pie", &first, &second, &libc, &last],
        );
        let module = ["-DMODULE", "-nostdlib", "-shared", "-fPIC"];
        let libraries = ["-Wl,--no-as-needed", &libdl, &libc];
        build("late.so", &[&module[..], &libraries].concat());
        let text = format!("module INTERNAL LATE// {}/late 1\n", directory.display());
        std::fs::write(directory.join("gconv-modules"), text).unwrap();
        let path = format!("GCONV_PATH={}", directory.display());
        let program = directory.join("program");
        let seen = same(&root, &[OsStr::new(&path), program.as_os_str()], None);
        let text = seen.success().text();
        assert!(text.contains("late.so, dlopen 1"), "{text}");
        assert!(text.contains("cannot open shared object file"), "{text}");
    }
}

/// Each root has a C library of its own, or these tests would say nothing new.
#[test]
fn c_libraries_differ() {
    let version = |call: Call| {
        let text = call.arg("--version").run(None).success().text();
        text.lines().next().unwrap_or_default().to_owned()
    };
    let host = version(Call::new("ldd"));
    for root in roots() {
        let other = version(Call::new("chroot").arg(&root).arg("ldd"));
        eprintln!("{}: {other}", root.display());
        assert_ne!(host, other);
    }
}
