//! Permissions are those of the tree, for whoever asks: users, groups, capabilities, changes of them.

use abi_tests::trees::Tree;
use abi_tests::{Call, Fidelity, NOBODY, World, compile};

/// Everything in it belongs to root or to group 77.
fn world(name: &str) -> World {
    World::new(name, Fidelity::Usual, |base, _| {
        let tree = Tree::in_directory(base);
        let file = |rel: &str, mode: u32, user: u32, group: u32| {
            tree.file(rel, format!("{rel}\n"))
                .owner(rel, user, group)
                .mode(rel, mode);
        };
        tree.dir("closed")
            .dir("group-dir")
            .dir("search-only")
            .dir("list-only");
        file("public", 0o644, 0, 0);
        file("private", 0o600, 0, 0);
        file("group", 0o640, 0, 77);
        file("other", 0o604, 0, 77);
        file("nothing", 0o000, 0, 0);
        file("mine", 0o400, 1234, 1234);
        for directory in ["closed", "group-dir", "search-only", "list-only"] {
            file(&format!("{directory}/file"), 0o644, 0, 0);
        }
        tree.file("script", "#!/bin/sh\necho ran\n")
            .owner("script", 0, 77)
            .mode("script", 0o754);
        tree.mode("closed", 0o700)
            .owner("group-dir", 0, 77)
            .mode("group-dir", 0o750)
            .mode("search-only", 0o711)
            .mode("list-only", 0o744);
    })
}

const LOOK: &str = "ls -la; cat public private group other nothing mine; cat closed/file group-dir/file search-only/file list-only/file; ls closed group-dir search-only list-only; ./script; for f in * closed/file; do for t in r w x e; do [ -$t $f ] && printf $t; done; echo \" $f\"; done; find . 2>&1 | sort; cd closed; cd group-dir && cat file; wc -c < ../private; head -c 3 ../group; python3 -c 'print(1)'";

fn root_only() -> bool {
    if !abi_tests::is_root() {
        eprintln!("only root can become others");
    }
    abi_tests::is_root()
}

#[test]
fn as_nobody() {
    if !root_only() {
        return;
    }
    let world = world("nobody");
    let call = Call::bash(LOOK).cwd(&world.at).user(NOBODY);
    let seen = world.same(&call);
    assert!(
        seen.errors().contains("cat: private: Permission denied"),
        "{}",
        seen.errors()
    );
    assert!(
        seen.errors().contains("closed: Permission denied"),
        "{}",
        seen.errors()
    );
    assert!(!seen.text().contains("private\n\n"), "{}", seen.text());
}

#[test]
fn as_others() {
    if !root_only() {
        return;
    }
    become_each(&[
        "--reuid 1234 --regid 1234 --clear-groups",
        "--reuid 1234 --regid 77 --clear-groups",
        "--reuid 1234 --regid 1234 --groups 5,77",
        "--reuid 0 --regid 77 --clear-groups",
        "--no-new-privs --reuid 1234 --clear-groups",
    ]);
}

/// Looks around as each of those that `setpriv` makes of root.
fn become_each(become_who: &[&str]) {
    let world = world("others");
    world.all_same(become_who.iter().map(|who| {
        let words = who.split(' ').chain(["bash", "-c", LOOK]);
        Call::new("setpriv").args(words).cwd(&world.at)
    }));
}

/// User id 0 without capabilities, capabilities without user id 0.
#[test]
fn as_others_with_capabilities() {
    if root_only() {
        become_each(&[
            "--bounding-set -dac_override,-dac_read_search",
            "--bounding-set -dac_override",
            "--reuid 1234 --regid 1234 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search",
            "--reuid 1234 --regid 1234 --clear-groups --inh-caps +dac_override --ambient-caps +dac_override",
        ]);
    }
}

/// A process that changes its own credentials, threads that have different ones.
#[test]
fn changes_of_credentials() {
    if !root_only() {
        return;
    }
    let world = world("credentials");
    let seen = world
        .same(&Call::new(compile::c("credentials")).arg(&world.at))
        .success();
    assert!(
        seen.text().contains("open private = -1 EACCES"),
        "{}",
        seen.text()
    );
}

/// The umask and the user of who builds a manifest are not those of who uses it.
#[test]
fn built_under_a_narrow_umask() {
    if !root_only() || abi_tests::world::oracle_only() {
        return;
    }
    let world = world("umask");
    let ctl = abi_tests::artifacts::velo_ctl().display().to_string();
    std::fs::remove_file(&world.manifest).unwrap();
    let script = format!(
        "umask 077; rm -rf \"$VELO_ROOT\"/*; {ctl} build-manifest {} --at {} -o {}",
        world.plain.display(),
        world.at.display(),
        world.manifest.display()
    );
    let _ = world.with_store(&Call::bash(&script)).run(None).success();
    std::fs::set_permissions(
        &world.manifest,
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    let _ = world.same(
        &Call::bash("cat public other; ls -l search-only/file; cd search-only && pwd")
            .cwd(&world.at)
            .user(NOBODY),
    );
}
