//! A C program calling glibc directly, one test a family of symbols (`abi-tests/c/<family>.c`).

use abi_tests::{compile, probe};

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
fn changes() {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    family("changes");
}
