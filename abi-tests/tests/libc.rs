//! A C program calling glibc directly, one test a family of symbols (`abi-tests/c/<family>.c`).
//!
//! What a `limit_` test adds is in docs/LIMITS.md; known-differences.txt names those that fail.

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
fn fts() {
    family("fts");
}

#[test]
fn nftw() {
    family("nftw");
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

fn limit(name: &str) {
    if abi_tests::namespace::or_skip() {
        probe::same_without_limits(&compile::c(name), name);
    }
}

#[test]
fn limit_directories() {
    limit("dirs");
}

#[test]
fn limit_open() {
    limit("open");
}

#[test]
fn limit_readlink_and_realpath() {
    limit("links");
}

#[test]
fn limit_changes() {
    limit("changes");
}
