//! `build-manifest --python`: what it says, and that the other commands take its entries for
//! what they are, files. What is made and when is tested with the indexer, what CPython does
//! with it in `abi-tests`.

use serde_json::json;

use crate::sandbox::{Sandbox, ended};

const PYTHON: &str = "/usr/bin/python3";

/// A tree with three sources, of which two compile; `None`, with a printed reason, without an interpreter.
fn sandbox(test: &str) -> Option<Sandbox> {
    if !std::path::Path::new(PYTHON).exists() {
        eprintln!("SKIP velo-ctl {test}: no {PYTHON}");
        return None;
    }
    let sandbox = Sandbox::new();
    sandbox.write("tree/a.py", "A = 1\n");
    sandbox.write("tree/pkg/copy.py", "A = 1\n");
    sandbox.write("tree/pkg/bad.py", "{{ template }} = \n");
    Some(sandbox)
}

#[test]
fn bytecode_is_counted_and_listed_and_verified() {
    let Some(sandbox) = sandbox("bytecode_is_counted_and_listed_and_verified") else {
        return;
    };
    let line = [
        "build-manifest",
        "tree",
        "-o",
        "app.velo",
        "--python",
        PYTHON,
    ];
    let text = sandbox.ctl(line).ok();
    let said = "bytecode: 1 sources compiled, 1 reused, 0 of the tree's own kept, 1 skipped";
    assert_eq!(text.lines().nth(2), Some(said), "{text}");
    let report = sandbox.ctl([line.as_slice(), &["--json"]].concat()).json();
    assert_eq!(
        report["bytecode"],
        json!({ "compiled": 0, "reused": 2, "kept": 0, "skipped": 1 })
    );
    assert_eq!(
        (
            &report["unchanged"],
            &report["files"],
            &report["directories"]
        ),
        (&json!(true), &json!(5), &json!(4))
    );
    let listed = sandbox.ctl(["ls", "-R", "app.velo:."]).ok();
    assert_eq!(listed.matches(".pyc").count(), 2, "{listed}");
    sandbox.ctl(["verify", "--deep", "app.velo"]).ok();
    let inspected = sandbox.ctl(["inspect", "app.velo"]).ok();
    assert!(
        inspected.contains("added=2 kept=0 skipped=1"),
        "{inspected}"
    );

    let plain = sandbox
        .ctl(["build-manifest", "tree", "-o", "plain.velo", "--json"])
        .json();
    assert_eq!(plain.get("bytecode"), None);
    let compared = sandbox.ctl(["diff", "plain.velo", "app.velo"]);
    assert_eq!(compared.status, Some(1));
    let added = compared
        .out
        .lines()
        .filter(|line| line.starts_with('+'))
        .count();
    assert_eq!(added, 4, "{}", compared.out);
    assert!(!compared.out.contains("-  "), "{}", compared.out);
    // The tree is as it was.
    let names: Vec<_> = std::fs::read_dir(sandbox.path("tree")).unwrap().collect();
    assert_eq!(names.len(), 2);
}

#[test]
fn interpreters_and_levels_are_checked_before_anything_is_written() {
    let Some(sandbox) = sandbox("interpreters_and_levels_are_checked_before_anything_is_written")
    else {
        return;
    };
    let build = |more: &[&str]| {
        let line = ["build-manifest", "tree", "-o", "app.velo"];
        sandbox.ctl([line.as_slice(), more].concat())
    };
    build(&["--python", "python-of-nobody"])
        .failed(1, &["python-of-nobody", "in PATH", "install it"]);
    build(&["--python", "tree"]).failed(1, &["tree", "in PATH"]);
    build(&["--python", "./tree"]).failed(1, &["./tree", "a directory", "name the interpreter"]);
    build(&["--python", "/bin/true"]).failed(1, &["/bin/true", "another program"]);
    for wrong in [
        ["--python", PYTHON, "--exact"].as_slice(),
        &["--python", PYTHON, "--python-optimize", "3"],
        &["--python", PYTHON, "--python-timeout", "0"],
        &["--python-optimize", "1"],
        &["--python-timeout", "1"],
    ] {
        assert_eq!(build(wrong).status, Some(2), "{wrong:?}");
    }
    assert!(!sandbox.path("app.velo").exists());
    build(&[
        "--python",
        "python3",
        "--python",
        PYTHON,
        "--python-optimize=0,2",
    ])
    .ok();
    let listed = sandbox.ctl(["ls", "-R", "app.velo:."]).ok();
    assert_eq!(listed.matches(".pyc").count(), 4, "{listed}");
    assert_eq!(listed.matches(".opt-2.pyc").count(), 2, "{listed}");
}

/// As under a supervisor that does not want to hear of its children.
#[test]
fn a_caller_that_ignores_its_children_gets_bytecode_too() {
    let Some(sandbox) = sandbox("a_caller_that_ignores_its_children_gets_bytecode_too") else {
        return;
    };
    let line = format!(
        "trap '' CHLD; exec {} build-manifest tree -o app.velo --python {PYTHON} --json",
        env!("CARGO_BIN_EXE_velo-ctl")
    );
    let report = ended(sandbox.command("bash").args(["-c", &line])).json();
    assert_eq!(report["bytecode"]["compiled"], json!(1));
}
