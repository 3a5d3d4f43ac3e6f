//! What `/proc` tells a program of itself and of other served programs.

use abi_tests::trees::Tree;
use abi_tests::{Call, Fidelity, World, compile, probe};

fn world(name: &str) -> World {
    World::new(name, Fidelity::Usual, |base, _| {
        let tree = Tree::in_directory(base);
        tree.dir("dir").dir("lib").dir("bin");
        tree.file("plain.txt", "plain\n")
            .file("one", "1")
            .file("new\nline", "in its name")
            .file("dir/same-a", "same\n")
            .file("dir/same-b", "same\n")
            .mode("dir/same-b", 0o744);
        compile::build(
            "cc",
            &compile::sources().join("dependency.c"),
            &base.join("lib/library.so"),
            &["-shared", "-fPIC"],
        );
        tree.copy("bin/proc", &compile::c("proc"), 0o755);
        tree.copy(
            "bin/proc-musl",
            &compile::with("musl-gcc", "proc", &[]),
            0o755,
        );
        tree.copy("bin/sleep", &abi_tests::artifacts::program("sleep"), 0o755);
    })
}

#[test]
fn links_and_texts() {
    let world = world("proc");
    let seen = world.same(&probe::call(&world, &compile::c("proc"), None));
    assert!(seen.success().text().contains("map_files"));
}

#[test]
fn links_and_texts_of_musl() {
    let world = world("proc-musl");
    let program = compile::with("musl-gcc", "proc", &[]);
    let _ = world.same(&probe::call(&world, &program, None)).success();
}

/// The program itself is served: its own mappings and `/proc/self/exe`.
#[test]
fn of_served_programs() {
    let world = world("proc-served");
    for program in ["bin/proc", "bin/proc-musl"] {
        let call = Call::bash("exec \"$1\" \"$2\"").arg("bash");
        let _ = world
            .same(&call.arg(world.path(program)).arg(&world.at))
            .success();
    }
}

/// An ordinary user sees of his own processes what root sees.
#[test]
fn of_an_ordinary_user() {
    if !abi_tests::is_root() {
        return;
    }
    let world = world("proc-nobody");
    let call = probe::call(&world, &compile::c("proc"), Some(abi_tests::NOBODY));
    let _ = world.same(&call).success();
}

/// What programs print of each other.
#[test]
fn programs() {
    let world = world("proc-programs");
    let script = r#"
        cd "$1/dir" && exec 7< same-b 8< ../plain.txt
        ls -l /proc/self/fd/7 /proc/$$/fd/8 /proc/$$/cwd | sed 's/.* -> //'
        readlink /proc/self/fd/7 /proc/$$/fd/8 /dev/fd/8 /proc/$$/cwd /proc/self/cwd
        cat /proc/self/fd/8 /dev/fd/7 /proc/$$/cwd/same-a
        find /proc/self/fd/ -lname '*same*' -printf '%l\n'
        stat -Lc '%a %s' /proc/self/fd/7 /dev/fd/7 - <&7; stat -Lc '%a %n' /dev/stdin < same-b; cat < same-b
        env -i /usr/bin/readlink /proc/self/fd/7; env | grep VELO_FDS; printenv VELO_FDS
        bash -c 'exec 9<&7 7< same-a; readlink /proc/self/fd/9 /proc/self/fd/7; bash -c "readlink /proc/self/fd/9; exec 7<&-; readlink /proc/self/fd/7"'
        "$1/bin/sleep" 100 7<&- 8<&- & child=$!
        until [ "$(readlink /proc/$child/exe)" = "$1/bin/sleep" ]; do kill -0 $child || break; done
        readlink /proc/$child/exe /proc/$child/cwd; cmp /proc/$child/exe /bin/sleep && echo the same program
        grep -c "$1/bin/sleep" /proc/$child/maps; awk -v p="$1" 'index($0, p) { print $2, $6 }' /proc/$child/maps
        tr '\0' '|' < /proc/$child/cmdline; echo
        kill $child; wait $child; true
    "#;
    let call = Call::bash(script).arg("bash").arg(&world.at);
    let seen = world.same(&call).success();
    assert!(seen.text().contains("the same program"), "{}", seen.text());
}
