//! Shells: globs, tests, `cd` and `pwd`, redirections, sourced files, completion of paths.

use abi_tests::{Call, Fidelity, World};

/// Each is run by itself; whatever it prints must be what it prints on the plain tree.
const SCRIPTS: [&str; 24] = [
    "cd dir && pwd && cd sub && pwd && cd .. && pwd && cd - && echo $PWD $OLDPWD",
    "cd links/to-dir && pwd && pwd -P && cd .. && pwd && ls | head -3",
    "set -P; cd links/to-dir && pwd && cd .. && pwd; cd -P links/dotdot 2>&1; pwd",
    "cd links/to-dir/.. && pwd; cd -P links/to-dir/.. && pwd; cd links/out && pwd -P; cd ../tree/dir; pwd",
    "cd missing; cd plain.txt; cd links/loop-a; cd links/dangling; cd modes/dir-0000; pwd; cd ''; pwd; cd names/'  two spaces '; echo $?",
    "echo *; echo */; echo .*; echo links/*; echo */sub/*; echo names/*; shopt -s dotglob nullglob; echo *; echo nothing*; echo dir/../*.txt",
    "shopt -s globstar; echo dir/** hard/**; shopt -s extglob; echo !(wide|links|names); echo bytes-+([0-9]); echo [[:upper:]]*",
    "shopt -s nocaseglob failglob; echo PLAIN*; echo zzz*; echo after",
    "for f in * links/* modes/* plain.txt/ links/*/; do for t in a b c d e f g h k p r s u w x L O G S; do [ -$t \"$f\" ] && printf %s $t; done; echo \" $f\"; done",
    "[ hard/first -ef hard/second ] && echo hard; [ dir/same-a -ef dir/same-b ] || echo distinct; [ links/relative -ef plain.txt ] && echo link; [ times/ns -nt times/zero ] && echo newer; [ times/before -ot times/zero ] && echo older; [ missing -ot plain.txt ] && echo missing",
    "while read -r line; do echo \"<$line>\"; done < plain.txt; mapfile -t a < dir/same-a; echo ${a[0]}; echo $(< one); read x < links/absolute; echo $x",
    "exec 7< plain.txt; read -u 7 a; read -u 7 b; echo $b; exec 8<&7; exec 7<&-; cat <&8; cat <&7; ls -l /proc/self/fd/8 > /dev/null && echo open",
    ". ./source-me; echo $SOURCED; source missing; source dir; . links/to-script; sh -c '. ./source-me; echo $SOURCED'",
    "test -x script && ./script a b; bash script c; PATH=$PWD:$PATH script d; command -v script; type ./script; hash -r; ./missing; ./plain.txt; ./dir; links/to-script e",
    "cat <(cat plain.txt) <<< here; diff <(ls dir) <(ls links/to-dir) && echo same; cat << EOF\n$(cat one)\nEOF",
    "pushd dir; pushd ../hard; dirs -p; popd; popd; pwd; (cd dir/sub; pwd); pwd; CDPATH=$PWD/dir cd sub; pwd",
    "for what in '-f p' '-d d' '-f links/to' '-G dir/*' '-f modes/dir-0000/'; do set -f; compgen $what | sort; set +f; done",
    "echo x > plain.txt; echo $?; echo x >> new; echo $?; : > links/dangling; echo $?; exec 9> dir/new; echo $?; set -C; : > plain.txt; echo $?; umask; mkdir new; echo $?",
    "env -C dir pwd; env -C dir ls ..; (cd dir && exec env pwd); sh -c 'cd links/to-dir; pwd; /bin/pwd'; dash -c 'echo *; cd dir && pwd'",
    "ulimit -n 32; for i in 1 2 3; do cat plain.txt dir/same-a > /dev/null || echo failed; done; ls wide | wc -l",
    "cat plain.txt | (read a; echo $a; cat); { cat one; cat one; } | wc -c",
    "trap 'cat one; echo trapped' EXIT; kill -USR1 $$ 2>/dev/null; exit 3",
    "printf '%s\\n' \"$PWD\" ~+ ~-; cd dir; printf '%s\\n' ~+ ~- ; echo $BASH_SUBSHELL; (exit 4); echo $?",
    "find . -maxdepth 1 -name 'b*' -exec sh -c 'echo \"$1\"; wc -c < \"$1\"' _ {} \\; | sort; ls | xargs -n 3 echo | head -4; find dir -execdir pwd \\; | sort",
];

fn world() -> &'static World {
    static WORLD: std::sync::OnceLock<World> = std::sync::OnceLock::new();
    WORLD.get_or_init(|| {
        let world = World::new("shell", Fidelity::Usual, |base, at| {
            abi_tests::trees::everything(base, at);
            abi_tests::trees::neighbours(&at.with_file_name("outside"), at);
            let tree = abi_tests::trees::Tree::in_directory(base);
            tree.file(
                "source-me",
                "SOURCED=\"from ${BASH_SOURCE:-somewhere} in $PWD\"\n",
            );
            tree.file(
                "script",
                "#!/bin/sh\necho script \"$0\" \"$@\"\npwd\ncat plain.txt\n",
            )
            .mode("script", 0o755);
            tree.link("links/to-script", "../script");
        });
        world.settle_times();
        world
    })
}

#[test]
fn bash() {
    world().all_same(SCRIPTS.map(|script| Call::bash(script).cwd(&world().at)));
}

#[test]
fn bash_by_absolute_path() {
    world().all_same(SCRIPTS.map(|script| {
        Call::bash(&format!("cd \"$1\"; {script}"))
            .arg("bash")
            .arg(&world().at)
    }));
}

#[test]
fn bash_as_nobody() {
    if abi_tests::is_root() {
        world().all_same(
            SCRIPTS.map(|script| Call::bash(script).cwd(&world().at).user(abi_tests::NOBODY)),
        );
    }
}

#[test]
fn dash() {
    let portable = SCRIPTS
        .iter()
        .filter(|script| !script.contains("shopt") && !script.contains("<("));
    world()
        .all_same(portable.map(|script| Call::new("dash").args(["-c", script]).cwd(&world().at)));
}

/// A process that was started in the empty mount point by somebody who knows nothing of Velo.
#[test]
fn started_in_the_mount_point() {
    let _ = world().same(
        &Call::bash("pwd; cat plain.txt; ls dir; cd dir; pwd; cd ..; ls | head -5")
            .started_in(&world().at),
    );
}

/// As most programs are: started in a real directory, above the one that is served.
#[test]
fn started_above_the_mount_point() {
    let above = world().at.parent().expect("a parent");
    world().all_same([
        Call::bash("ls tree/dir; cat tree/plain.txt ./tree/links/relative; cd tree/dir; pwd; cd ../..; pwd; echo tree/dir/*").started_in(above),
        Call::new("ls").args(["-l", "tree/dir"]).started_in(above),
        Call::bash("cat ../tree/plain.txt; cd ../tree; pwd; ls ../outside").started_in(&world().outside),
        Call::bash("find . -name 'same*' | sort").started_in(above),
    ]);
}

/// Descriptions of terminals are read by a library of their own, through functions that are hooked.
#[test]
fn terminal_descriptions() {
    let source = ["/lib/terminfo", "/usr/share/terminfo"]
        .map(|directory| std::path::Path::new(directory).join("x/xterm"))
        .into_iter()
        .find(|path| path.exists())
        .expect(
            "ncurses-base is not installed (apt-get install ncurses-base), and this test needs it",
        );
    let world = World::new("terminfo", Fidelity::Usual, |base, _| {
        let tree = abi_tests::trees::Tree::in_directory(base);
        tree.dir("terminfo/v")
            .copy("terminfo/v/velo-terminal", &source, 0o644);
    });
    let call = Call::bash("tput -T velo-terminal cols; tput -T velo-terminal setaf 1 | od -c; infocmp velo-terminal | tail -n +2; tput -T missing cols")
        .env("TERMINFO", world.path("terminfo"));
    let seen = world.same(&call);
    assert!(seen.text().starts_with("80\n"), "{}", seen.text());
}
