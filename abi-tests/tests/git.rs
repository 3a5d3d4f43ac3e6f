//! git in a served checkout: reading commands agree, writing ones are refused as on a read-only disk.

use std::path::Path;
use std::sync::OnceLock;

use abi_tests::scratch::{self, Place};
use abi_tests::{Call, World};

const MAKE: &str = r#"
set -e
cd "$1"
git init -q -b main .
mkdir -p src/deep empty-later; echo one > src/a; echo two > src/deep/b; ln -s a src/link; ln -s nowhere dangling
printf '#!/bin/sh\necho hook\n' > run.sh; chmod +x run.sh; printf 'ignored\n*.o\n' > .gitignore; seq 500 > numbers
git add -A; git commit -q -m first
git tag -a v1 -m 'version one'
git mv src/a src/renamed; sed -i s/7/seven/ numbers; git commit -q -a -m second
git checkout -q -b side HEAD~1; echo side > side; git add side; git commit -q -m side
git checkout -q main; git merge -q --no-ff -m merge side
git gc -q
echo three > third; git add third; git commit -q -m third
echo changed >> numbers; echo new > untracked; echo x > thing.o; rm src/deep/b; echo staged > staged; git add staged; chmod -x run.sh
git stash list > /dev/null
"#;

fn git_environment(call: Call) -> Call {
    let fixed = [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_AUTHOR_NAME", "A"),
        ("GIT_AUTHOR_EMAIL", "a@b"),
        ("GIT_COMMITTER_NAME", "A"),
        ("GIT_COMMITTER_EMAIL", "a@b"),
        ("GIT_AUTHOR_DATE", "1700000000 +0000"),
        ("GIT_COMMITTER_DATE", "1700000000 +0000"),
        ("GIT_PAGER", "cat"),
    ];
    fixed
        .into_iter()
        .fold(call, |call, (name, value)| call.env(name, value))
}

fn make(at: &Path) {
    std::fs::create_dir_all(at).unwrap();
    let _ = git_environment(Call::bash(MAKE).arg("make").arg(at))
        .run(None)
        .success();
}

fn checkout() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::moved_away("git", make))
}

fn git(words: &str) -> Call {
    git_environment(Call::bash(&format!("git {words}")).cwd(&checkout().at))
}

#[test]
fn reading_commands_agree() {
    let commands = [
        "status",
        "status --porcelain=v2 --branch --ignored",
        "log -p --stat",
        "log --graph --oneline --all",
        "diff",
        "diff --stat HEAD~2",
        "diff --cached",
        "ls-files -s",
        "ls-files -o -m -d",
        "ls-tree -r HEAD",
        "grep -n seven",
        "blame numbers",
        "show v1",
        "describe",
        "rev-parse --show-toplevel --git-dir --is-inside-work-tree",
        "cat-file --batch-all-objects --batch-check",
        "fsck --full --strict",
        "archive HEAD | sha256sum",
        "branch -av",
        "for-each-ref",
        "rev-list --objects --all",
        "count-objects -v",
        "config -l --local",
        "worktree list",
        "stash list",
        "reflog",
        "check-ignore -v thing.o",
        "shortlog -sn HEAD",
        "name-rev HEAD~1",
        "verify-pack -v .git/objects/pack/*.idx",
        "-C src status -s",
        "-C src/deep log --oneline -1",
        "bisect log",
        "notes list",
        "merge-base main side",
        "whatchanged -1",
    ];
    checkout().all_same(commands.map(git));
    let seen = checkout().same(&git("status --porcelain"));
    for line in [
        " M numbers",
        " D src/deep/b",
        "A  staged",
        "?? untracked",
        " M run.sh",
    ] {
        assert!(
            seen.text().lines().any(|seen| seen == line),
            "no `{line}` in:\n{}",
            seen.text()
        );
    }
}

#[test]
fn writing_commands_are_refused() {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    let commands = [
        "add untracked",
        "commit -m no",
        "checkout side",
        "tag new",
        "stash",
        "reset --hard",
        "rm numbers",
        "branch new",
        "gc",
        "mv numbers new",
        "config user.name x",
        "fetch .",
        "clean -fd",
        "merge side",
    ];
    checkout().all_same(commands.map(|command| {
        git(&format!(
            "{command} 2>&1 | sed 's/tmp_obj_[A-Za-z0-9]*/tmp_obj/'; echo ${{PIPESTATUS[0]}}"
        ))
    }));
}

#[test]
fn a_clone_of_it_is_whole() {
    let out = scratch::directory(Place::Disk, "clone");
    for how in [
        "clone -q",
        "clone -q --no-hardlinks",
        "clone -q --bare",
        "clone -q --no-local",
    ] {
        let call = git(&format!(
            "{how} \"$PWD\" \"$OUT\"/c 2>&1; git -C \"$OUT\"/c fsck --full 2>&1; git -C \"$OUT\"/c log --oneline --all; rm -rf \"$OUT\"/c"
        ));
        let seen = checkout().same(&call.env("OUT", &out));
        assert!(seen.text().contains("third"), "{how}: {}", seen.text());
    }
}
