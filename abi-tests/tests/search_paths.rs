//! Libraries that stand in the tree, needed by programs that the kernel starts: the loader looks
//! for them itself, where the program or `LD_LIBRARY_PATH` says.

use std::path::Path;

use abi_tests::trees::Tree;
use abi_tests::{Call, World, artifacts, compare, compile, namespace};

/// A tree of libraries, moved away, and programs beside it and in it.
fn world(name: &str) -> World {
    let world = World::moved_away(name, |at| {
        Tree::in_directory(at).dir("lib").dir("second").dir("bin");
        let outside = at.with_file_name("outside");
        Tree::in_directory(at).link("away", "../outside/away");
        Tree::in_directory(&outside).dir("away");
        let build = |output: &Path, flags: &[&str]| {
            compile::build(
                "cc",
                &compile::sources().join("search_path.c"),
                output,
                flags,
            );
        };
        let library = |output: &str, version: &str| {
            let version = format!("-DVERSION=\"{version}\"");
            let name = "-Wl,-soname,libversion.so";
            build(&at.join(output), &["-shared", "-fPIC", &version, name]);
        };
        library("lib/libversion.so", "first");
        library("lib/libother.so", "other");
        library("second/libversion.so", "second");
        library("../outside/away/libversion.so", "away");
        let (lib, second) = (at.join("lib"), at.join("second"));
        let text = |path: &Path| path.display().to_string();
        let links = ["-L", &text(&lib), "-lversion", "-ldl"];
        for (name, tags, path) in [
            ("runpath", "enable", text(&lib)),
            ("rpath", "disable", text(&lib)),
            ("origin", "enable", "$ORIGIN/../tree/lib".into()),
            ("braces", "enable", "/nothing:${ORIGIN}/../tree/lib".into()),
            ("by-link", "enable", text(&outside.join("current/lib"))),
            ("away/runpath", "enable", text(&at.join("away"))),
            (
                "both",
                "enable",
                format!("{}:{}", text(&second), text(&lib)),
            ),
            ("without", "enable", "/nothing".into()),
        ] {
            let flag = format!("-Wl,--{tags}-new-dtags,-rpath,{path}");
            build(&outside.join(name), &[&links[..], &[&flag]].concat());
        }
        let absolute = format!("-Wl,--enable-new-dtags,-rpath,{}", text(&lib));
        build(&at.join("bin/served"), &[&links[..], &[&absolute]].concat());
        let origin = "-Wl,--enable-new-dtags,-rpath,$ORIGIN/../lib";
        build(&at.join("bin/own"), &[&links[..], &[origin]].concat());
    });
    Tree::in_directory(&world.outside).link("current", "../tree");
    world
}

/// In the directory beside the tree.
const SCRIPTS: &[&str] = &[
    "for p in runpath rpath origin braces by-link both without; do ./$p; done; echo $?",
    "for p in served own; do ../tree/bin/$p; done",
    "export LD_LIBRARY_PATH=$PWD/../tree/second; for p in runpath rpath origin both without ../tree/bin/own; do ./$p; done",
    "LD_LIBRARY_PATH=/nothing ./runpath; LD_LIBRARY_PATH= ./runpath; LD_LIBRARY_PATH='/nothing;/no' ./rpath",
    "./runpath './rpath; echo ${LD_LIBRARY_PATH-unset}'; LD_LIBRARY_PATH=$PWD/../tree/lib ./runpath 'unset LD_LIBRARY_PATH; ./without; ./runpath'",
    "env -i ./runpath; exec ./both",
    "for l in $PWD/current/lib current/second/ ../tree/away $PWD/../tree/away; do LD_LIBRARY_PATH=/nothing:$l ./without; done; away/runpath; echo $?",
    "LD_PRELOAD=${LD_PRELOAD+$LD_PRELOAD:}$PWD/current/second/libversion.so ./runpath; LD_PRELOAD=${LD_PRELOAD+$LD_PRELOAD:}$PWD/../tree/away/libversion.so ./runpath",
    // Said twice, the last one counts.
    "python3 -c 'import ctypes, os; d = os.getcwd().encode() + b\"/../tree/\"; a = ctypes.c_char_p * 5; ctypes.CDLL(None).execve(b\"./without\", a(b\"x\", b\"env | grep -c ^LD_LIB\"), a(b\"PATH=/bin:/usr/bin\", b\"LD_LIBRARY_PATH=\" + d + b\"lib\", b\"LD_LIBRARY_PATH=\" + d + b\"second\"))'",
    // Neither the environment nor the memory of a parent grows with what is executed.
    "export LD_LIBRARY_PATH=$PWD/../tree/lib; echo $(($(env env env env env | wc -l) - $(env env | wc -l)))",
    "LD_LIBRARY_PATH=$PWD/../tree/lib python3 -c 'import subprocess\ndef size(): return int(open(\"/proc/self/statm\").read().split()[0])\ndef run(count): any(subprocess.call([\"./runpath\"], stdout=-3) for _ in range(count))\nrun(3); before = size(); run(150); print(size() - before < 150)'",
    "python3 -c 'import os, subprocess; subprocess.run([\"./runpath\"]); os.waitpid(os.posix_spawn(\"./rpath\", [\"rpath\"], {}), 0); os.execve(os.open(\"origin\", os.O_RDONLY), [\"x\"], {})'",
];

fn call(world: &World, script: &str) -> Call {
    Call::bash(script).started_in(&world.outside)
}

#[test]
fn libraries_of_programs_from_outside() {
    if !namespace::or_skip() {
        return;
    }
    let world = world("search-paths");
    world.all_same(SCRIPTS.iter().map(|script| call(&world, script)));
}

/// The first program is started by `velo-ctl`, and not by one that the library is in.
#[test]
fn libraries_of_the_first_program() {
    if !namespace::or_skip() || abi_tests::world::oracle_only() {
        return;
    }
    let world = world("search-paths-run");
    for (program, path) in [
        ("./runpath", None),
        ("./rpath", Some("../tree/second")),
        ("./both", Some("")),
        ("./origin", None),
        ("./by-link", Some("/nothing")),
        ("../tree/bin/served", None),
        ("../tree/bin/own", None),
        ("./without", Some("../tree/lib")),
        ("./without", Some("../tree/away")),
        ("./without", Some("current/second")),
        ("away/runpath", None),
    ] {
        let with = |call: Call| match path {
            Some("") => call.env("LD_LIBRARY_PATH", ""),
            Some(path) => call.env("LD_LIBRARY_PATH", world.outside.join(path)),
            None => call,
        };
        let natively = with(Call::new(program).started_in(&world.outside));
        let plain = world.plain(&natively);
        assert!(
            !plain.stdout.is_empty(),
            "{program} prints nothing: {}",
            plain.errors()
        );
        let run = Call::new(artifacts::velo_ctl())
            .args(["run", "-m"])
            .arg(&world.manifest)
            .args(["--", program])
            .env("VELO_LIB", artifacts::library());
        let run = world.with_store(&with(run.started_in(&world.outside)));
        let served = run.run(None);
        if let Some(report) = compare::difference(&plain, &served) {
            panic!("{program} {path:?}\n{report}");
        }
    }
}
