//! Starting served programs and scripts, loading served libraries, and what survives an exec.

use std::path::Path;

use abi_tests::trees::Tree;
use abi_tests::{Call, Fidelity, World, artifacts, compile, probe};

/// A tree of programs (built by `compiler`) and libraries beside them.
fn programs(base: &Path, at: &Path, compiler: &str) {
    let tree = Tree::in_directory(base);
    let seen = |rel: &str| at.join(rel).display().to_string();
    tree.dir("bin")
        .dir("dir")
        .dir("lib/plugins")
        .file("plain.txt", "one\ntwo\n")
        .file("bin/near", "near\n")
        .file("dir/same-a", "same\n");
    tree.copy("bin/tool", &compile::with(compiler, "show", &[]), 0o755)
        .link("bin/tool-link", "tool");
    let script = |name: &str, content: &str| {
        tree.file(format!("bin/{name}"), content)
            .mode(format!("bin/{name}"), 0o755);
    };
    script(
        "script",
        "#!/bin/sh\necho \"script $0 $# $1 $MARK\"; pwd; cat near; exit 5\n",
    );
    script(
        "by-env",
        "#!/usr/bin/env bash\necho \"by env $0 ${BASH_SOURCE[0]} $1\"\n",
    );
    script("by-served", &format!("#!{}\nignored\n", seen("bin/tool")));
    script(
        "by-served-argument",
        &format!("#! {} -x 'two words' \nignored\n", seen("bin/tool")),
    );
    script("nested", &format!("#!{}\nignored\n", seen("bin/by-served")));
    script("count", "#!/bin/sh\necho $# ${#1}\n");
    script("no-shebang", "echo no shebang \"$0\" \"$1\"\n");
    script("empty", "");
    script("garbage", "\x7fELF and then nothing of the kind\0\0\0");
    script("shebang-missing", &format!("#!{}\n", seen("bin/missing")));
    script("shebang-directory", &format!("#!{}\n", seen("bin")));
    script("shebang-relative", "#!./tool\n");
    script("shebang-space", "#!   /bin/sh   -e   \necho space \"$0\"\n");
    script(
        "shebang-long",
        &format!("#!/{}bin/sh\necho long\n", "./".repeat(200)),
    );
    script("shebang-end", "#!/bin/echo -n  ");
    script("shebang-nul", "#!/bin/echo a\0b\nc");
    script("deep-1", &format!("#!{} -1\n", seen("bin/tool")));
    script("lost-1", &format!("#!{}\n", seen("bin/missing")));
    for depth in 2..=7 {
        for kind in ["deep", "lost"] {
            let below = seen(&format!("bin/{kind}-{}", depth - 1));
            script(&format!("{kind}-{depth}"), &format!("#!{below}\n"));
        }
    }
    script("shebang-bare", "#!\n");
    script("shebang-only", "#!/bin/sh");
    tree.file("bin/not-executable", "#!/bin/sh\necho never\n")
        .link("bin/script-link", "script")
        .link("bin/loop", "loop")
        .link("bin/outside", "/bin/echo");
    let build = |source: &str, output: &str, flags: &[&str]| {
        compile::build(
            compiler,
            &compile::sources().join(source),
            &base.join(output),
            flags,
        );
    };
    let lib = base.join("lib").display().to_string();
    let shared = ["-shared", "-fPIC"];
    build("dependency.c", "lib/libdependency.so", &shared);
    for version in ["second", "third", "fourth"] {
        let define = format!("-DVERSION=\"{version}\"");
        build(
            "dependency.c",
            &format!("lib/lib{version}.so"),
            &[&shared[..], &[&define]].concat(),
        );
    }
    let runpath = |value: &str| format!("-Wl,--enable-new-dtags,-rpath,{value}");
    let needs = ["-L", &lib, "-ldependency"];
    // `other.so` has the bytes of `plugin.so`, the others do not.
    for (name, flags) in [
        ("plugin", ""),
        ("other", ""),
        ("relative", "-DMARK=\"relative\""),
        ("far", "-DMARK=\"far\""),
    ] {
        let flags: &[&str] = if flags.is_empty() { &[] } else { &[flags] };
        build(
            "plugin.c",
            &format!("lib/plugins/{name}.so"),
            &[&shared[..], flags, &needs, &[&runpath("$ORIGIN/..")]].concat(),
        );
    }
    tree.link("lib/plugins/link.so", "plugin.so")
        .link("lib/by-link", "plugins")
        .hard_link("lib/plugins/hard.so", "lib/plugins/plugin.so");
    build("dependency.c", "lib/secret.so", &shared);
    tree.mode("lib/secret.so", 0o700);
    build("dependency.c", "lib/libgone.so", &shared);
    let gone = ["-L", &lib, "-lgone"];
    build(
        "plugin.c",
        "lib/needs-missing.so",
        &[&shared[..], &["-Wl,--no-as-needed"], &gone].concat(),
    );
    std::fs::remove_file(base.join("lib/libgone.so")).unwrap();
    build(
        "plugin.c",
        "lib/needs-symbol.so",
        &[&shared[..], &["-DLONELY"]].concat(),
    );
    let loader = std::fs::canonicalize(match compiler {
        "musl-gcc" => "/lib/ld-musl-x86_64.so.1",
        _ => "/lib64/ld-linux-x86-64.so.2",
    });
    tree.copy(
        "lib/loader.so",
        &loader.expect("the compiler's loader"),
        0o755,
    );
    for (name, loader) in [
        ("bin/own-loader", "lib/loader.so"),
        ("bin/no-loader", "lib/none.so"),
    ] {
        build(
            "show.c",
            name,
            &[&format!("-Wl,--dynamic-linker={}", seen(loader))],
        );
    }
    script(
        "by-own-loader",
        &format!("#!{} -x\n", seen("bin/own-loader")),
    );
    build(
        "show.c",
        "bin/with-library",
        &[
            &["-DWITH_LIBRARY"][..],
            &needs,
            &[&runpath("$ORIGIN/../lib")],
        ]
        .concat(),
    );
}

fn world(name: &str, compiler: &'static str) -> World {
    World::new(name, Fidelity::Usual, |base, at| {
        programs(base, at, compiler)
    })
}

fn same_for(world: &World, program: &str, compiler: &str) {
    same_with(world, program, compiler, |call| call);
}

fn same_with(world: &World, program: &str, compiler: &str, change: impl Fn(Call) -> Call) {
    let program = compile::with(compiler, program, &[]);
    let mut failures = Vec::new();
    for user in [None, abi_tests::is_root().then_some(abi_tests::NOBODY)] {
        let call = change(probe::call(world, &program, user));
        if let Err(report) = world.try_same(&call) {
            failures.push(report);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn exec_and_spawn() {
    same_for(&world("exec", "cc"), "exec", "cc");
}

#[test]
fn exec_and_spawn_of_musl() {
    same_for(&world("exec-musl", "musl-gcc"), "exec", "musl-gcc");
}

/// What the C library executes inside, and what its callers give it.
#[test]
fn actions_shells_and_sizes() {
    same_for(&world("spawn", "cc"), "spawn", "cc");
}

#[test]
fn actions_shells_and_sizes_of_musl() {
    same_for(&world("spawn-musl", "musl-gcc"), "spawn", "musl-gcc");
}

/// What `dlopen` finds and all that the loader tells of it.
fn libraries_with(world: &World, compiler: &str) {
    let seen = world
        .same(&probe::call(
            world,
            &compile::with(compiler, "loader", &[]),
            None,
        ))
        .success();
    let library = world.path("lib/libdependency.so");
    for part in [
        format!("first from {}", library.display()),
        "by the plug-in, libthird.so: third".to_owned(),
    ] {
        assert!(
            compiler != "cc" || seen.text().contains(&part),
            "no {part}\n{}",
            seen.text()
        );
    }
}

#[test]
fn libraries() {
    libraries_with(&world("libraries", "cc"), "cc");
}

#[test]
fn libraries_of_musl() {
    libraries_with(&world("libraries-musl", "musl-gcc"), "musl-gcc");
}

/// A mount whose path is longer than that of its view tree.
#[test]
fn libraries_at_a_long_path() {
    let mut world = World::unbuilt("long", Fidelity::Usual);
    for name in ["a", "b"] {
        world.at.push(name.repeat(120));
    }
    for directory in [&world.at, &world.plain] {
        std::fs::create_dir_all(directory).unwrap();
    }
    programs(&world.plain, &world.at, "cc");
    world.build();
    libraries_with(&world, "cc");
}

#[test]
fn library_path() {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    let world = world("library-path", "cc");
    let unlinked = compile::build_to_scratch(
        "show",
        &[
            "-DWITH_LIBRARY",
            "-L",
            &world.plain.join("lib").display().to_string(),
            "-ldependency",
        ],
    );
    let program = Call::bash("LD_LIBRARY_PATH=$1 $2")
        .arg("bash")
        .arg(world.path("lib"))
        .arg(&unlinked);
    let seen = world.plain(&program);
    assert!(
        seen.text().contains("library first"),
        "{}{}",
        seen.text(),
        seen.errors()
    );
    let _ = world.same(&program);
}

/// What the loader preloads of a served tree, and how that reads in the program's own environment.
#[test]
fn preload() {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    let world = world("preload", "cc");
    let program = compile::c("show");
    let call = |script: &str| {
        let arguments = [&world.path("lib"), &program];
        Call::bash(script).arg("bash").args(arguments)
    };
    let seen = world.plain(&call("LD_PRELOAD=$1/libdependency.so $2"));
    let text = seen.text();
    assert!(text.contains("constructor"), "{text}{}", seen.errors());
    world.all_same([
        call("LD_PRELOAD=$1/libdependency.so $2"),
        call("LD_PRELOAD=\"$LD_PRELOAD:$1/libdependency.so\" $2"),
        call("LD_PRELOAD=\"$1/libdependency.so $LD_PRELOAD\" $2"),
        call("LD_PRELOAD=\"$1/none.so:$1/libdependency.so\" $2"),
        call("cd $1 && LD_PRELOAD=./libdependency.so $2 | sed 's,of .*/libdep,of libdep,'"),
        call("LD_PRELOAD=libdependency.so LD_LIBRARY_PATH=$1 $2"),
        call("export LD_PRELOAD=$1/libdependency.so; bash -c 'echo ${LD_PRELOAD##*libvelo_fs.so?}; $0' $2"),
    ]);
}

/// The environment that a program passes on is not the one it was given.
#[test]
fn environment() {
    let world = world("environment", "cc");
    let tool = world.path("bin/tool").display().to_string();
    world.all_same([
        Call::bash(&format!("env -i {tool} a; env -u LD_PRELOAD -u VELO_MANIFEST -u VELO_ROOT {tool} b; true")),
        Call::bash(&format!("unset LD_PRELOAD VELO_MANIFEST VELO_ROOT; {tool} c; ls {}; true", world.at.display())),
        Call::bash("cd \"$1\"/bin && env -i ./script d; env -i pwd; env -i ls | wc -l; env - sh -c 'cat near'; cat near").arg("sh").arg(&world.at),
        Call::bash("PATH=$1/bin:$PATH; tool e < /dev/null; script f; by-env g; command -v tool; type -P script; true").arg("sh").arg(&world.at),
        Call::new("env").arg("-i").arg(&tool).arg("h").cwd(world.path("bin")),
        Call::new("xargs").args(["-n1", &tool]).input("1\n2\n"),
        Call::new("find").args(["bin", "-name", "tool", "-exec", "{}", "x", ";"]).cwd(&world.at),
        Call::new("timeout").args(["5", "nice", "nohup", "setsid", "-w", &tool, "i"]),
        Call::bash(&format!("exec -a other {tool} j")),
        Call::bash(&format!("exec -c {tool} k")),
        Call::new("perl").args(["-e", "print `cat near`; system './script', 'l'; exec {'./tool'} 'renamed', 'm'"]).cwd(world.path("bin")),
    ]);
}

/// Scripts beside the tree whose interpreter is served; at its path there is also an older file of the
/// kernel's, which a mount hides.
#[test]
fn scripts_outside_with_a_served_interpreter() {
    let world = world("outside", "cc");
    let (beside, at) = (
        Tree::in_directory(&world.outside),
        world.at.display().to_string(),
    );
    Tree::in_directory(&world.at)
        .dir("bin")
        .file("bin/tool", "#!/bin/echo the older file\n")
        .mode("bin/tool", 0o755);
    for (name, content) in [
        ("by-served", format!("#!{at}/bin/tool -x\n")),
        ("by-script", format!("#!{at}/bin/by-served-argument -y\n")),
        (
            "by-outer",
            format!("#!{}/by-served -z\n", world.outside.display()),
        ),
        ("by-own-loader", format!("#!{at}/bin/own-loader\n")),
        ("by-missing", format!("#!{at}/bin/missing\n")),
        ("by-forbidden", format!("#!{at}/bin/not-executable\n")),
        (
            "by-itself",
            format!("#!{}/by-itself\n", world.outside.display()),
        ),
        ("by-env", "#!/usr/bin/env tool\n".to_owned()),
        ("not-executable", format!("#!{at}/bin/tool\n")),
    ] {
        beside.file(name, content).mode(
            name,
            if name == "not-executable" {
                0o644
            } else {
                0o755
            },
        );
    }
    let names = [
        "by-served",
        "by-script",
        "by-outer",
        "by-own-loader",
        "by-missing",
        "by-forbidden",
        "by-itself",
        "by-env",
        "not-executable",
    ];
    let (outside, bin) = (world.outside.display(), world.path("bin"));
    world.all_same(names.iter().flat_map(|name| {
        let call = |script: String| Call::bash(&script).env("PATH", format!("{}:{outside}:/usr/bin:/bin", bin.display()));
        [
            call(format!("{outside}/{name} a; echo $?")),
            call(format!("cd {outside} && ./{name} a; echo $?")),
            call(format!("env -i {outside}/{name} a; echo $?")),
            call(format!("cd {outside} && perl -e 'exec {{\"{name}\"}} \"renamed\", \"b\"; print $!+0'")),
            call(format!("python3 -c 'import os, sys; os.execvp(\"{name}\", [\"renamed\", \"c\"])' 2>&1 | tail -n 12 | sed 's/.*Error/Error/'")),
        ]
    }));
}

/// Another preload of the user stays in force beside ours, in both orders.
#[test]
fn other_preloads_are_kept() {
    let world = world("preloads", "cc");
    let other = compile::build_to_scratch("marker", &["-shared", "-fPIC"]);
    let ours = artifacts::library();
    for list in [[&*other, ours], [ours, &*other]] {
        let list = list.map(|path| path.display().to_string()).join(":");
        let script = format!(
            "env -i {} 2>&1 < /dev/null; {} 2>&1 < /dev/null",
            world.path("bin/tool").display(),
            world.path("bin/script").display()
        );
        let call = world
            .preloaded(&Call::bash(&script))
            .env("LD_PRELOAD", &list);
        let text = call.run(None).text();
        // `env`, the shell of the script and its `cat`; not what `env -i` starts, as without us.
        assert_eq!(text.matches("marker is here").count(), 3, "{list}\n{text}");
        assert!(
            text.contains("argument ") && text.contains("script "),
            "{text}"
        );
    }
}

/// Programs that serve themselves: `velo-ctl run` gives the same as the bare preload.
#[test]
fn run_by_velo_ctl() {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    let world = world("run", "cc");
    let tool = world.path("bin/tool");
    let call = Call::new(artifacts::velo_ctl())
        .args(["run", "-m"])
        .arg(&world.manifest)
        .arg("--")
        .arg(&tool)
        .args(["a", "b"]);
    let call = world
        .with_store(&call)
        .env("VELO_LIB", artifacts::library());
    let (plain, run) = (
        world.plain(&Call::new(&tool).args(["a", "b"])),
        call.run(None),
    );
    assert_eq!(abi_tests::compare::difference(&plain, &run), None);
}

/// What docs/LIMITS.md says of libraries.
#[test]
fn limit_libraries() {
    if abi_tests::namespace::or_skip() {
        let call = |call: Call| call.env("PROBE_LIMITS", "1");
        same_with(&world("libraries-limits", "cc"), "loader", "cc", call);
    }
}

/// What docs/LIMITS.md says of the environment.
#[test]
fn limit_environment() {
    let world = world("environment-limits", "cc");
    world.all_same([Call::new("env").args(["-i", "A=B", "env"]).cwd(&world.at)]);
}
