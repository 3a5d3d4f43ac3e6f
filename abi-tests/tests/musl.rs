//! Programs of musl, with the same library preloaded.

use abi_tests::{Call, Fidelity, World, compile, probe};

fn family(name: &str) {
    probe::same_for_all_callers(
        &compile::with("musl-gcc", name, &[]),
        &format!("musl-{name}"),
    );
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
fn at_calls() {
    family("at_calls");
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

#[test]
fn attributes_and_numbers() {
    family("numbers");
}

#[test]
fn the_program_is_linked_to_musl() {
    let world = World::of_everything("musl", Fidelity::Usual);
    let program = compile::with("musl-gcc", "stat", &[]);
    let seen = world
        .served(&Call::new("readelf").arg("-l").arg(&program))
        .success()
        .text();
    assert!(seen.contains("ld-musl"), "{seen}");
}
