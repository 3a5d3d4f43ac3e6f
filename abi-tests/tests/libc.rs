//! A C program calling glibc directly, one test a family of symbols (`abi-tests/c/<family>.c`).
//!
//! What a `limit_` test adds is in docs/LIMITS.md; known-differences.txt names those that fail.

use abi_tests::trees::Tree;
use abi_tests::{Call, Fidelity, World, compile, probe};

fn family(name: &str) {
    probe::same_for_all_callers(&compile::c(name), name);
}

#[test]
fn stat_and_access() {
    family("stat");
}

#[test]
fn open() {
    family("open");
}

#[test]
fn directories() {
    family("dirs");
}

#[test]
fn fts() {
    family("fts");
}

#[test]
fn glob() {
    family("glob");
}

#[test]
fn nftw() {
    family("nftw");
}

#[test]
fn wordexp() {
    family("wordexp");
}

#[test]
fn readlink_and_realpath() {
    family("links");
}

#[test]
fn working_directory() {
    family("cwd");
}

#[test]
fn descriptors() {
    family("fds");
}

#[test]
fn errors() {
    family("errors");
}

#[test]
fn at_calls() {
    family("at_calls");
}

#[test]
fn changes() {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    family("changes");
}

#[test]
fn file_systems_watches_and_handles() {
    family("filesystem");
}

#[test]
fn data() {
    family("data");
}

#[test]
fn sockets() {
    family("sockets");
}

#[test]
fn mounts_and_swap() {
    family("mounts");
}

#[test]
fn streams_of_the_library() {
    family("streams");
}

/// catopen(3) of a catalogue that is named by its path.
#[test]
fn message_catalogues() {
    let world = World::new("catalogues", Fidelity::Usual, |base, _| {
        let tree = Tree::in_directory(base);
        tree.file("source", "$set 1\n1 first message\n3 third message\n");
        let _ = Call::new("gencat")
            .arg(base.join("catalogue"))
            .arg(base.join("source"))
            .run(None)
            .success();
        tree.dir("dir").file("plain.txt", "text\n");
    });
    let seen = world.same(&probe::call(&world, &compile::c("streams"), None));
    assert!(
        seen.text()
            .contains("catopen catalogue = first message, third message"),
        "{}",
        seen.text()
    );
}

#[test]
fn attributes_and_numbers() {
    family("numbers");
}

fn limit(name: &str) {
    if abi_tests::namespace::or_skip() {
        probe::same_without_limits(&compile::c(name), name);
    }
}

#[test]
fn limit_open() {
    limit("open");
}

#[test]
fn limit_data() {
    limit("data");
}

#[test]
fn limit_mounts_and_swap() {
    limit("mounts");
}

#[test]
fn limit_file_systems_watches_and_handles() {
    limit("filesystem");
}

/// docs/LIMITS.md: what the C library reads by itself. A time zone of five hours stands for all of it.
#[test]
fn limit_files_of_the_library() {
    const ZONE: &[u8] = b"TZif\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x04\0\0\x46\x50\0\0VEL\0";
    let world = World::new("zone", Fidelity::Usual, |base, _| {
        Tree::in_directory(base).file("zone", ZONE);
    });
    let call = Call::new("date")
        .arg("+%Z%z")
        .env("TZ", format!(":{}", world.path("zone").display()));
    let seen = world.same(&call);
    assert_eq!(seen.text(), "VEL+0500\n");
}
