//! `build-manifest`: what it makes, says and refuses.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;

use serde_json::json;

use crate::sandbox::{Sandbox, ended};

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let sandbox = Sandbox::with_tree();
    sandbox.ctl(["build-manifest", "tree", "-o", "b.velo"]).ok();
    sandbox
        .ctl([
            "build-manifest",
            "tree/",
            "-o",
            "c.velo",
            "--no-cache",
            "--threads",
            "1",
        ])
        .ok();
    sandbox
        .ctl([
            "build-manifest",
            "./tree/../tree",
            "-o",
            "d.velo",
            "--threads",
            "7",
        ])
        .ok();
    let bytes = |name: &str| fs::read(sandbox.path(name)).unwrap();
    for name in ["b.velo", "c.velo", "d.velo"] {
        assert_eq!(bytes(name), bytes("app.velo"), "{name}");
    }
}

#[test]
fn report_counts_what_was_done() {
    let sandbox = Sandbox::with_tree();
    sandbox.write("tree/more", "more\n");
    let report = sandbox
        .ctl(["build-manifest", "tree", "-o", "app.velo", "--json"])
        .json();
    assert_eq!(report["entries"], json!(19));
    assert_eq!(report["manifest"], json!(sandbox.text("app.velo")));
    assert_eq!(report["mount"], json!(sandbox.text("tree")));
    assert_eq!(
        (&report["new_blobs"], &report["new_bytes"]),
        (&json!(1), &json!(5))
    );
    let inspected = &sandbox.ctl(["inspect", "--json", "app.velo"]).json()[0];
    assert_eq!(report["tree"], inspected["tree"]);
    let text = sandbox
        .ctl(["build-manifest", "tree", "-o", "app.velo"])
        .ok();
    assert!(
        text.contains("19 entries") && text.contains("velo-ctl run -m app.velo"),
        "{text}"
    );
}

#[test]
fn the_mount_point_is_chosen() {
    let sandbox = Sandbox::with_tree();
    sandbox
        .ctl([
            "build-manifest",
            "tree",
            "--at",
            "/srv/app",
            "-o",
            "app.velo",
        ])
        .ok();
    assert_eq!(sandbox.ctl(["ls", "app.velo:"]).ok(), "/srv/app\n");
    assert_eq!(
        sandbox
            .ctl(["cat", "-m", "app.velo", "/srv/app/README"])
            .ok(),
        "read me\n"
    );
    sandbox
        .ctl(["build-manifest", "tree", "--at", "relative", "-o", "b.velo"])
        .failed(1, &["relative", "absolute"]);
}

#[test]
fn the_manifest_is_published_whole_and_stamped() {
    let sandbox = Sandbox::with_tree();
    let before = fs::metadata(sandbox.path("app.velo")).unwrap();
    assert_ne!(before.mtime_nsec(), 0);
    sandbox.write("tree/new", "new\n");
    sandbox
        .ctl(["build-manifest", "tree", "-o", "app.velo"])
        .ok();
    let after = fs::metadata(sandbox.path("app.velo")).unwrap();
    assert_ne!(
        before.ino(),
        after.ino(),
        "replaced by rename, readers of the old one keep it"
    );
    sandbox.ctl(["verify", "app.velo"]).ok();
    assert_eq!(
        fs::metadata(sandbox.path("app.velo")).unwrap().mtime_nsec(),
        after.mtime_nsec()
    );
}

#[test]
fn refuses_what_it_cannot_keep() {
    let sandbox = Sandbox::new();
    sandbox
        .ctl(["build-manifest", "none", "-o", "a.velo"])
        .failed(1, &["none"]);
    sandbox.write("file", "");
    sandbox
        .ctl(["build-manifest", "file", "-o", "a.velo"])
        .failed(1, &["file", "directory"]);
    sandbox.write("tree/file", "");
    let made = sandbox
        .command("mkfifo")
        .arg(sandbox.path("tree/fifo"))
        .status()
        .unwrap();
    assert!(made.success());
    sandbox
        .ctl(["build-manifest", "tree", "-o", "a.velo"])
        .failed(1, &["tree/fifo", "--skip-special"]);
    assert!(!sandbox.path("a.velo").exists());
    let warned = sandbox.ctl(["build-manifest", "tree", "-o", "a.velo", "--skip-special"]);
    warned.failed(0, &["velo: warning: ", "tree/fifo"]);
    let report = sandbox
        .ctl([
            "build-manifest",
            "tree",
            "-o",
            "a.velo",
            "--skip-special",
            "--json",
        ])
        .json();
    assert!(
        report["warnings"][0]
            .as_str()
            .unwrap()
            .contains("tree/fifo")
    );
    assert_eq!(sandbox.ctl(["ls", "a.velo:."]).ok(), "file\n");
    sandbox
        .ctl([
            "build-manifest",
            "tree",
            "-o",
            "none/a.velo",
            "--skip-special",
        ])
        .failed(1, &["none"]);
}

#[test]
fn threads_are_a_positive_number() {
    let sandbox = Sandbox::with_tree();
    assert_eq!(
        sandbox
            .ctl(["build-manifest", "tree", "-o", "a.velo", "--threads", "0"])
            .status,
        Some(2)
    );
    assert_eq!(
        sandbox
            .ctl([
                "build-manifest",
                "tree",
                "-o",
                "a.velo",
                "--threads",
                "many"
            ])
            .status,
        Some(2)
    );
}

#[test]
fn building_again_mends_what_was_lost() {
    let sandbox = Sandbox::with_tree();
    let found = sandbox.ctl(["stat", "--json", "app.velo:README"]).json();
    let hex = found[0]["content"]
        .as_str()
        .unwrap()
        .strip_prefix("blob:")
        .unwrap()
        .to_owned();
    fs::remove_file(sandbox.path(format!("store/cas_store/{}/{hex}", &hex[..2]))).unwrap();
    sandbox.remove("store/views");
    sandbox
        .ctl(["build-manifest", "tree", "-o", "app.velo"])
        .ok();
    sandbox.ctl(["verify", "--deep", "app.velo"]).ok();
    fs::remove_file(sandbox.path("app.velo")).unwrap();
    sandbox
        .ctl(["build-manifest", "tree", "-o", "app.velo"])
        .ok();
    sandbox.ctl(["verify", "--deep", "app.velo"]).ok();
    sandbox.write("app.velo", "overwritten");
    sandbox
        .ctl(["build-manifest", "tree", "-o", "app.velo"])
        .ok();
    sandbox.ctl(["verify", "--deep", "app.velo"]).ok();
}

#[test]
fn a_place_that_cannot_take_the_manifest_is_known_before_the_build() {
    let sandbox = Sandbox::with_tree();
    sandbox.write("other/new", "never stored\n");
    let text = |name: &str| sandbox.text(name);
    for (output, found) in [
        (text("tree"), "found a directory"),
        (text("none/a.velo"), "found no such directory"),
        (
            text("app.velo/a.velo"),
            "found a file where the directory should be",
        ),
        (String::from("/dev/null"), "found a device"),
    ] {
        let refused = sandbox.ctl(["build-manifest", "other", "-o", &output]);
        refused.failed(1, &[&output, found, "name a file, as in "]);
    }
    let refused = sandbox.ctl(["build-manifest", "other", "-o", "other/a.velo"]);
    refused.failed(1, &["would become part of the tree"]);
    let report = sandbox
        .ctl(["build-manifest", "other", "-o", "other.velo", "--json"])
        .json();
    assert_eq!(
        report["new_blobs"],
        json!(1),
        "nothing was stored until now"
    );
}

#[test]
fn a_mount_point_is_one_that_programs_can_name() {
    let sandbox = Sandbox::with_tree();
    let long = format!("/{}", "n".repeat(256));
    for mount in ["relative", "/a/../b", "/./a", &long] {
        sandbox
            .ctl(["build-manifest", "tree", "--at", mount, "-o", "b.velo"])
            .failed(1, &[mount, "absolute", "give the path"]);
    }
    assert!(!sandbox.path("b.velo").exists());
    for (given, mount) in [("/a//b/", "/a/b"), ("//", "/")] {
        let built = sandbox.ctl(["build-manifest", "tree", "--at", given, "-o", "b.velo"]);
        built.ok();
        assert_eq!(
            sandbox.ctl(["ls", "b.velo:"]).ok(),
            format!("{mount}\n"),
            "{given}"
        );
    }
}

#[test]
fn the_attributes_that_are_kept_are_chosen() {
    let sandbox = Sandbox::with_tree();
    let file = sandbox.path("tree/README");
    if let Err(errno) =
        rustix::fs::setxattr(&file, "user.note", b"kept", rustix::fs::XattrFlags::empty())
    {
        eprintln!("SKIP velo-ctl the_attributes_that_are_kept_are_chosen: no user.* here: {errno}");
        return;
    }
    let shown = |options: &[&str]| {
        let line = [
            ["build-manifest", "tree", "-o", "app.velo"].as_slice(),
            options,
        ]
        .concat();
        sandbox.ctl(line).ok();
        let json = sandbox.ctl(["stat", "--json", "app.velo:README"]).json();
        let text = sandbox.ctl(["stat", "app.velo:README"]).ok();
        assert_eq!(
            text.contains(" Xattr: user.note=kept\n"),
            json[0].get("xattrs").is_some(),
            "{text}"
        );
        json[0]["xattrs"].clone()
    };
    let note = json!([{ "name": "user.note", "value": "kept" }]);
    assert_eq!(shown(&[]), note);
    assert_eq!(shown(&["--xattrs=none"]), json!(null));
    assert_eq!(shown(&["--xattrs=user"]), note);
    assert_eq!(shown(&["--xattrs"]), note);
    let wrong = sandbox.ctl(["build-manifest", "tree", "-o", "a.velo", "--xattrs=some"]);
    assert_eq!(wrong.status, Some(2), "{wrong:?}");
}

/// A user who may have no second thread, and one who asks for far too many.
#[test]
fn threads_that_cannot_be_had_are_done_without() {
    let sandbox = Sandbox::with_tree();
    let expected = fs::read(sandbox.path("app.velo")).unwrap();
    let built = ["build-manifest", "tree", "--no-cache", "-o", "b.velo"];
    sandbox
        .ctl([built.as_slice(), &["--threads", "1000000"]].concat())
        .ok();
    assert_eq!(fs::read(sandbox.path("b.velo")).unwrap(), expected);
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // A user id that nobody has, so that only this process counts.
    let nobody_else = 3_000_000_000 + std::process::id();
    fs::create_dir(sandbox.path("own")).unwrap();
    std::os::unix::fs::chown(sandbox.path("own"), Some(nobody_else), None).unwrap();
    let line = format!(
        "ulimit -u 1; exec {} build-manifest tree --no-cache --threads 4 -o own/b.velo",
        env!("CARGO_BIN_EXE_velo-ctl")
    );
    let mut command = sandbox.command("bash");
    command.args(["-c", &line]).uid(nobody_else);
    command.env("VELO_ROOT", sandbox.path("own/store"));
    ended(&mut command).ok();
    assert_eq!(fs::read(sandbox.path("own/b.velo")).unwrap(), expected);
}
