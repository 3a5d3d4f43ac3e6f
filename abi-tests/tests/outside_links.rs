//! Symlinks outside the tree that lead into it, while the tree is gone from the disk: by none
//! of the names on the way can be told that a mount is meant.

use abi_tests::trees::Tree;
use abi_tests::{Call, World, compile, namespace};

/// A tree that was moved away, with links to it from around.
fn world(name: &str) -> World {
    let world = World::moved_away(name, |at| {
        let tree = Tree::in_directory(at);
        tree.file("one", "1")
            .dir("dir/sub")
            .file("dir/sub/file", "deep\n");
        tree.dir("bin")
            .file("bin/tool", "#!/bin/sh\necho \"tool $0 $1\"\n")
            .mode("bin/tool", 0o755)
            .file("bin/by-tool", format!("#!{}/bin/tool\n", at.display()))
            .mode("bin/by-tool", 0o755)
            .link("bin/echo", "/bin/echo")
            .link("bin/again", "../../outside/tool")
            .link("here", ".")
            .link("out", "../outside/file");
        let library = at.join("lib.so");
        let source = compile::sources().join("marker.c");
        compile::build("gcc", &source, &library, &["-shared", "-fPIC"]);
        tree.mode("lib.so", 0o644);
    });
    let outside = Tree::in_directory(&world.outside);
    outside
        .file("file", "outside\n")
        .dir("plain/deep")
        .link("tool", "../tree/bin/tool")
        .link("by-tool", "../tree/bin/by-tool")
        .link("echo", "../tree/bin/echo")
        .link("again", "current/bin/again")
        .link("current", "../tree")
        .link("absolute", world.at.join("dir"))
        .link("chain", "plain/../absolute/sub")
        .link("plain/up", "..")
        .link("library", "plain/up/current/lib.so")
        .link("nowhere", "../tree/nothing")
        .link("no-parent", "../tree/nothing/x")
        .link("through-file", "../tree/one/x")
        .link("beside", "../trees/one")
        .link("loop", "loop")
        .link("gone", "nothing");
    world
}

/// Below `outside`.
const PATHS: &[&str] = &[
    "tool",
    "by-tool",
    "echo",
    "again",
    "current/one",
    "current/dir/sub/file",
    "current/bin/echo",
    "current/here/here/one",
    "current/out",
    "current/nothing",
    "current/one/x",
    "absolute",
    "absolute/sub",
    "absolute/../one",
    "chain",
    "chain/file",
    "chain/..",
    "plain/up/current/one",
    "plain/up/tool",
    "plain/deep/../up/chain/file",
    "library",
    "nowhere",
    "no-parent",
    "through-file",
    "beside",
    "loop",
    "gone",
    "plain/nothing",
    "nothing/../current/one",
    "file/../current/one",
    "current",
    "current/",
    "current/.",
];

#[test]
fn every_call_follows_them() {
    if !namespace::or_skip() {
        return;
    }
    let world = world("outside-links").sealed();
    let outside = world.outside.display().to_string();
    let paths: String = PATHS
        .iter()
        .map(|path| format!("{outside}/{path}\n"))
        .collect();
    let call = Call::new("python3")
        .arg(compile::probes().join("outside_links.py"))
        .arg(&outside)
        .input(paths);
    let outcome = world.same(&call);
    assert!(
        outcome.text().contains("tool "),
        "{}{}",
        outcome.text(),
        outcome.errors()
    );
}
