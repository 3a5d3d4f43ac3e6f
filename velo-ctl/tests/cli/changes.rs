//! `diff`: every kind of difference, and none.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// The tree changed in every way after `app.velo`; the new state is `new.velo`.
fn changed() -> Sandbox {
    let sandbox = Sandbox::with_tree();
    sandbox.write("tree/pkg/data.bin", vec![8; 10_000]);
    sandbox.write("tree/README", "read me, please\n");
    sandbox.mode("tree/bin/tool", 0o700);
    fs::remove_file(sandbox.path("tree/empty")).unwrap();
    fs::remove_file(sandbox.path("tree/link")).unwrap();
    symlink("pkg/copy.bin", sandbox.path("tree/link")).unwrap();
    sandbox.write("tree/new/deep/file", "new\n");
    fs::remove_file(sandbox.path("tree/.hidden")).unwrap();
    sandbox.write("tree/.hidden/now a directory", "");
    sandbox
        .ctl(["build-manifest", "tree", "-o", "new.velo"])
        .ok();
    sandbox
}

fn paths(report: &Value, list: &str, below: &str) -> Vec<String> {
    let entries = report[list].as_array().unwrap().iter();
    entries
        .map(|entry| {
            entry["path"]
                .as_str()
                .unwrap()
                .strip_prefix(below)
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[test]
fn same_trees_do_not_differ() {
    let sandbox = Sandbox::with_tree();
    sandbox
        .ctl(["build-manifest", "tree", "-o", "again.velo", "--no-cache"])
        .ok();
    assert_eq!(sandbox.ctl(["diff", "app.velo", "again.velo"]).ok(), "");
    assert_eq!(
        sandbox
            .ctl(["diff", "--json", "app.velo", "again.velo"])
            .json()["identical"],
        json!(true)
    );
}

#[test]
fn every_change_is_named() {
    let sandbox = changed();
    let found = sandbox.ctl(["diff", "--json", "app.velo", "new.velo"]);
    assert_eq!((found.status, found.err.as_str()), (Some(1), ""));
    let report: Value = serde_json::from_str(&found.out).unwrap();
    let root = sandbox.text("tree");
    assert_eq!(
        paths(&report, "added", &root),
        [
            "/.hidden/now a directory",
            "/new",
            "/new/deep",
            "/new/deep/file"
        ]
    );
    assert_eq!(paths(&report, "removed", &root), ["/empty"]);
    let fields = |path: &str| -> Vec<String> {
        let entry = report["changed"]
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["path"] == json!(format!("{root}{path}")));
        let changes = entry.unwrap_or_else(|| panic!("{path} not in {report}"))["changes"]
            .as_array()
            .unwrap();
        changes
            .iter()
            .map(|change| change["field"].as_str().unwrap().to_owned())
            .filter(|field| field != "mtime")
            .collect()
    };
    assert_eq!(fields("/pkg/data.bin"), ["content"]);
    assert_eq!(fields("/README"), ["content", "size"]);
    assert_eq!(fields("/bin/tool"), ["mode"]);
    assert_eq!(fields("/link"), ["target"]);
    assert_eq!(fields("/.hidden")[0], "type");
}

#[test]
fn text_has_one_line_for_each_and_a_sum() {
    let sandbox = changed();
    let found = sandbox.ctl(["diff", "app.velo", "new.velo", "--ignore", "mtime"]);
    assert_eq!(found.status, Some(1));
    let root = sandbox.text("tree");
    let has = |line: String| {
        assert!(
            found.out.lines().any(|found| found == line),
            "no `{line}` in\n{}",
            found.out
        )
    };
    has(format!("- {root}/empty"));
    has(format!("+ {root}/new/deep/file"));
    has(format!("~ {root}/bin/tool  mode 0755 -> 0700"));
    has(format!(
        "~ {root}/link  target pkg/data.bin -> pkg/copy.bin"
    ));
    let last = found.out.lines().last().unwrap();
    assert!(last.starts_with("4 added, 1 removed, "), "{last}");
}

#[test]
fn ignoring_is_by_field() {
    let sandbox = Sandbox::with_tree();
    sandbox.mode("tree/README", 0o600);
    sandbox
        .ctl(["build-manifest", "tree", "-o", "new.velo"])
        .ok();
    assert_eq!(
        sandbox.ctl(["diff", "app.velo", "new.velo"]).status,
        Some(1)
    );
    assert_eq!(
        sandbox
            .ctl(["diff", "--ignore", "mode", "app.velo", "new.velo"])
            .ok(),
        ""
    );
}

#[test]
fn one_root_compares_across_mount_points() {
    let sandbox = Sandbox::with_tree();
    sandbox
        .ctl([
            "build-manifest",
            "tree",
            "--at",
            "/elsewhere",
            "-o",
            "moved.velo",
        ])
        .ok();
    assert_eq!(sandbox.ctl(["diff", "app.velo", "moved.velo"]).ok(), "");
}

#[test]
fn trouble_is_status_two() {
    let sandbox = Sandbox::with_tree();
    sandbox
        .ctl(["diff", "app.velo", "gone.velo"])
        .failed(2, &["gone.velo", "No such file or directory"]);
}
