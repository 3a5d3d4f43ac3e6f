//! `ls`, `cat`, `stat`: compared with the commands that they are named after.

use std::fs;
use std::os::unix::process::CommandExt;

use serde_json::json;

use crate::sandbox::{Sandbox, ended};

/// Builds with everything recorded, so that the kernel's answers are the oracle.
fn exact() -> Sandbox {
    let sandbox = Sandbox::with_tree();
    sandbox
        .ctl(["build-manifest", "tree", "-o", "app.velo", "--exact"])
        .ok();
    sandbox
}

#[test]
fn ls_prints_what_ls_prints() {
    let sandbox = exact();
    let tree = sandbox.text("tree");
    for options in ["-R", "-aR", "-lR", "-laR", "-l", "-a"] {
        let real = sandbox.real("ls", ["-1", options, &tree]).ok();
        let ours = sandbox.ctl(["ls", "-m", "app.velo", options, &tree]).ok();
        assert_eq!(ours, real, "{options}");
    }
    let names = ["tree/README", "tree/dirlink", "tree/pkg", "tree/link"];
    let real = sandbox
        .real("ls", [["-1"].as_slice(), &names].concat())
        .ok();
    let ours = sandbox
        .ctl([["ls", "-m", "app.velo"].as_slice(), &names].concat())
        .ok();
    assert_eq!(ours, real);
    // Without a directory among them: ls counts its size for the columns of the others.
    let names = ["tree/README", "tree/dirlink", "tree/link"];
    let real = sandbox
        .real("ls", [["-1l"].as_slice(), &names].concat())
        .ok();
    let ours = sandbox
        .ctl([["ls", "-lm", "app.velo"].as_slice(), &names].concat())
        .ok();
    assert_eq!(ours, real);
}

#[test]
fn stat_prints_what_stat_prints() {
    let sandbox = exact();
    // Reading a file may move its access time, the device is Velo's own.
    let comparable = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| {
            !line.starts_with("Access: 2")
                && !line.starts_with("  Blob:")
                && !line.starts_with("  From:")
        });
        lines
            .map(|line| {
                line.strip_prefix("Device: ")
                    .map_or(line, |rest| rest.split_once('\t').unwrap().1)
                    .to_owned()
            })
            .collect()
    };
    let names = [
        "tree",
        "tree/README",
        "tree/empty",
        "tree/linked",
        "tree/bin/tool",
        "tree/link",
        "tree/with space/it's",
    ];
    for name in names {
        let real = sandbox.real("stat", [name]).ok();
        let ours = sandbox.ctl(["stat", "-m", "app.velo", name]).ok();
        assert_eq!(comparable(&ours), comparable(&real), "{name}");
    }
    let real = sandbox.real("stat", ["-L", "tree/link"]).ok();
    let ours = sandbox
        .ctl(["stat", "-L", "-m", "app.velo", "tree/link"])
        .ok();
    assert_eq!(comparable(&ours), comparable(&real));
}

#[test]
fn cat_prints_the_content_when_the_tree_is_gone() {
    let sandbox = Sandbox::with_tree();
    let data = fs::read(sandbox.path("tree/pkg/data.bin")).unwrap();
    fs::rename(sandbox.path("tree"), sandbox.path("elsewhere")).unwrap();
    let tree = sandbox.text("tree");
    let out = sandbox
        .ctl([
            "cat",
            "-m",
            "app.velo",
            &format!("{tree}/link"),
            &format!("{tree}/README"),
        ])
        .ok();
    assert_eq!(out.into_bytes(), [data.as_slice(), b"read me\n"].concat());
    assert_eq!(sandbox.ctl(["cat", "app.velo:README"]).ok(), "read me\n");
    assert_eq!(
        sandbox
            .ctl(["cat", &format!("app.velo:{tree}/pkg/../README")])
            .ok(),
        "read me\n"
    );
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    assert_eq!(
        sandbox.ctl(["cat", "app.velo:out"]).ok(),
        passwd,
        "a link out of the tree"
    );
}

#[test]
fn errors_have_the_words_and_the_order_of_the_kernel() {
    let sandbox = Sandbox::with_tree();
    for (path, words) in [
        ("tree/none", "No such file or directory"),
        ("tree/README/x", "Not a directory"),
        ("tree/README/", "Not a directory"),
        ("tree/loop", "Too many levels of symbolic links"),
        ("tree/broken", "No such file or directory"),
        ("tree/pkg", "Is a directory"),
    ] {
        let expected = format!("velo: {path}: {words}\n");
        let found = sandbox.ctl(["cat", "-m", "app.velo", path]);
        assert_eq!((found.status, found.err), (Some(1), expected), "{path}");
        let real = sandbox.real("cat", [path]);
        assert!(real.err.contains(words), "{}", real.err);
    }
    let long = format!("tree/{}", "n".repeat(256));
    sandbox
        .ctl(["stat", "-m", "app.velo", &long])
        .failed(1, &["File name too long"]);
    let both = sandbox
        .ctl(["cat", "-m", "app.velo", "tree/none", "tree/README"])
        .failed(1, &["tree/none"]);
    assert_eq!(both, "read me\n", "goes on with the next operand");
}

#[test]
fn permissions_are_those_of_the_manifest() {
    let sandbox = Sandbox::with_tree();
    sandbox.write("tree/closed/secret", "secret\n");
    sandbox.mode("tree/closed", 0o700);
    sandbox.write("tree/mine", "mine\n");
    sandbox.mode("tree/mine", 0o600);
    sandbox
        .ctl(["build-manifest", "tree", "-o", "app.velo"])
        .ok();
    if !rustix::process::geteuid().is_root() {
        // Only root can become somebody else; the owner may read both.
        assert_eq!(sandbox.ctl(["cat", "app.velo:mine"]).ok(), "mine\n");
        return;
    }
    let stranger =
        |operand: &str| ended(sandbox.ctl_command(["cat", operand]).uid(65534).gid(65534));
    stranger("app.velo:closed/secret").failed(1, &["app.velo:closed/secret: Permission denied"]);
    stranger("app.velo:mine").failed(1, &["app.velo:mine: Permission denied"]);
    assert_eq!(stranger("app.velo:README").ok(), "read me\n");
    ended(
        sandbox
            .ctl_command(["ls", "app.velo:closed"])
            .uid(65534)
            .gid(65534),
    )
    .failed(1, &["Permission denied"]);
}

#[test]
fn json_says_the_same() {
    let sandbox = Sandbox::with_tree();
    let listed = sandbox.ctl(["ls", "--json", "-R", "app.velo:"]).json();
    assert_eq!(listed[0]["path"], json!(sandbox.text("tree")));
    let listed = sandbox.ctl(["ls", "--json", "-aR", "app.velo:pkg"]).json();
    let paths: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "app.velo:pkg/__init__.py",
            "app.velo:pkg/copy.bin",
            "app.velo:pkg/data.bin"
        ]
    );
    assert_eq!(
        listed[1]["content"], listed[2]["content"],
        "the same bytes are one blob"
    );
    let found = sandbox
        .ctl(["stat", "--json", "app.velo:bin/tool", "app.velo:link"])
        .json();
    assert_eq!(
        (&found[0]["type"], &found[0]["mode"]),
        (&json!("regular file"), &json!("0755"))
    );
    assert_eq!(
        found[0]["size"],
        json!(fs::metadata(sandbox.path("tree/bin/tool")).unwrap().len())
    );
    assert_eq!(
        (&found[1]["type"], &found[1]["target"]),
        (&json!("symbolic link"), &json!("pkg/data.bin"))
    );
}

#[test]
fn names_of_any_bytes_come_through() {
    use std::os::unix::ffi::OsStrExt;
    let sandbox = Sandbox::new();
    let name = std::ffi::OsStr::from_bytes(b"b\xffd\n");
    fs::create_dir(sandbox.path("tree")).unwrap();
    fs::write(sandbox.path("tree").join(name), "x").unwrap();
    sandbox
        .ctl(["build-manifest", "tree", "-o", "app.velo"])
        .ok();
    let out = sandbox
        .ctl_command(
            ["ls", "app.velo:/"]
                .map(String::from)
                .map(|operand| operand.replace(":/", &format!(":{}", sandbox.text("tree")))),
        )
        .output()
        .unwrap();
    assert_eq!(out.stdout, b"b\xffd\n\n");
    let listed = sandbox
        .ctl([
            "ls",
            "--json",
            &format!("app.velo:{}", sandbox.text("tree")),
        ])
        .json();
    assert!(
        listed[0]["path"]["hex"]
            .as_str()
            .unwrap()
            .ends_with("62ff640a"),
        "{listed}"
    );
}

#[test]
fn what_no_manifest_serves_is_refused_with_the_way_out() {
    let sandbox = Sandbox::with_tree();
    let tree = sandbox.text("tree");
    sandbox
        .ctl(["ls", "-m", "app.velo", "/etc"])
        .failed(1, &["expected a path at or below", &tree, "found /etc"]);
    sandbox.ctl(["ls"]).failed(
        1,
        &[
            "-m FILE",
            "VELO_MANIFEST",
            "velo-ctl use",
            "velo-ctl build-manifest",
        ],
    );
    sandbox
        .ctl(["ls", "gone.velo:x"])
        .failed(1, &["gone.velo", "No such file or directory"]);
    sandbox
        .ctl(["cat", "-m", ".", "x"])
        .failed(1, &["expected a manifest", "a directory"]);
    sandbox.write("noise", "not a manifest");
    sandbox
        .ctl(["cat", "noise:x"])
        .failed(1, &["noise", "velo-ctl build-manifest"]);
}

#[test]
fn a_blob_that_is_gone_is_named_with_the_repair() {
    let sandbox = Sandbox::with_tree();
    let found = sandbox.ctl(["stat", "--json", "app.velo:README"]).json();
    let blob = found[0]["content"].as_str().unwrap().to_owned();
    let hex = blob.strip_prefix("blob:").unwrap();
    fs::remove_file(sandbox.path(format!("store/cas_store/{}/{hex}", &hex[..2]))).unwrap();
    sandbox
        .ctl(["cat", "app.velo:README"])
        .failed(1, &["app.velo:README", &blob, "velo-ctl build-manifest"]);
}

#[test]
fn a_manifest_without_a_path_is_asked_back() {
    let sandbox = Sandbox::with_tree();
    let hint = &[
        "expected a path",
        "found the manifest app.velo",
        "app.velo:",
    ];
    for command in ["ls", "cat", "stat"] {
        sandbox.ctl([command, "app.velo"]).failed(1, hint);
    }
    sandbox.ctl(["use", "app.velo"]).ok();
    sandbox.ctl(["ls", "app.velo"]).failed(1, hint);
    sandbox.ctl(["stat", ""]).failed(1, &["No such file"]);
    let root = sandbox.ctl(["stat", "--json", "app.velo:"]).json();
    assert_eq!(root[0]["type"], json!("directory"));
    sandbox
        .ctl(["cat", "app.velo:"])
        .failed(1, &["Is a directory"]);
}
