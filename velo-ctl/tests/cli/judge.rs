//! `inspect`, `verify`, `use`, `doctor`: what is there, and whether it is sound.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::sandbox::{Sandbox, ended};

#[test]
fn inspect_counts_what_is_there() {
    let sandbox = Sandbox::with_tree();
    let report = &sandbox.ctl(["inspect", "--json", "app.velo"]).json()[0];
    assert_eq!(report["entries"], json!(18));
    assert_eq!(report["directories"], json!(4));
    assert_eq!(report["files"], json!(9));
    assert_eq!(report["symlinks"], json!(5));
    let bytes = fs::metadata(sandbox.path("app.velo")).unwrap().len();
    assert_eq!(report["manifest_bytes"], json!(bytes));
    let sections: u64 = report["sections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|section| section["bytes"].as_u64().unwrap())
        .sum();
    assert!(sections > 0 && sections < bytes, "{report}");
    assert_eq!(report["roots"][0]["mount"], json!(sandbox.text("tree")));
    // Two files of 10,000 equal bytes; README has two names.
    let (content, distinct) = (
        report["content_bytes"].as_u64().unwrap(),
        report["distinct_bytes"].as_u64().unwrap(),
    );
    assert_eq!(content - distinct, 10_000, "{report}");
    assert_eq!(report["largest"][0]["size"], json!(10_000));
    let text = sandbox.ctl(["inspect", "app.velo"]).ok();
    for part in ["18", "tree:", &sandbox.text("tree"), "data.bin"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
}

#[test]
fn verify_finds_what_is_wrong() {
    let sandbox = Sandbox::with_tree();
    sandbox.ctl(["verify", "app.velo"]).ok();
    sandbox.ctl(["verify", "--deep", "app.velo"]).ok();
    let report = sandbox
        .ctl(["verify", "--json", "--deep", "app.velo"])
        .json();
    assert_eq!(report["sound"], json!(true));

    let mut bytes = fs::read(sandbox.path("app.velo")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    sandbox.write("bad.velo", bytes);
    sandbox
        .ctl(["verify", "bad.velo"])
        .failed(1, &["bad.velo", "velo-ctl build-manifest"]);
    let both = sandbox.ctl(["verify", "bad.velo", "app.velo"]);
    assert_eq!(both.status, Some(1));
    assert!(
        both.out.contains("app.velo"),
        "goes on with the next: {both:?}"
    );
}

#[test]
fn deep_verify_reads_the_blobs() {
    let sandbox = Sandbox::with_tree();
    let found = sandbox
        .ctl(["stat", "--json", "app.velo:README", "app.velo:pkg/data.bin"])
        .json();
    let path = |number: usize| {
        let hex = found[number]["content"]
            .as_str()
            .unwrap()
            .strip_prefix("blob:")
            .unwrap()
            .to_owned();
        sandbox.path(format!("store/cas_store/{}/{hex}", &hex[..2]))
    };
    fs::remove_file(path(0)).unwrap();
    sandbox.ctl(["verify", "app.velo"]).ok();
    let missing = sandbox.ctl(["verify", "--deep", "app.velo"]);
    assert_eq!(missing.status, Some(1), "{missing:?}");
    let hex = path(0).file_name().unwrap().to_str().unwrap().to_owned();
    assert!(missing.err.contains(&hex), "{missing:?}");
    sandbox
        .ctl(["build-manifest", "tree", "-o", "app.velo"])
        .ok();
    sandbox.ctl(["verify", "--deep", "app.velo"]).ok();

    let times = fs::metadata(path(1)).unwrap();
    let content = vec![9; times.len() as usize];
    fs::remove_file(path(1)).unwrap();
    fs::write(path(1), content).unwrap();
    let damaged = sandbox.ctl(["verify", "--deep", "--json", "app.velo"]);
    assert_eq!(damaged.status, Some(1), "{damaged:?}");
    let report: serde_json::Value = serde_json::from_str(&damaged.out).unwrap();
    assert_eq!(report["sound"], json!(false));
}

#[test]
fn verify_renews_the_stamp() {
    let sandbox = Sandbox::with_tree();
    let stamp = |name: &str| fs::metadata(sandbox.path(name)).unwrap().mtime_nsec();
    fs::write(
        sandbox.path("copy.velo"),
        fs::read(sandbox.path("app.velo")).unwrap(),
    )
    .unwrap();
    sandbox.ctl(["verify", "copy.velo"]).ok();
    assert_eq!(stamp("copy.velo"), stamp("app.velo"));
}

#[test]
fn use_sets_shows_and_clears_the_default() {
    let sandbox = Sandbox::with_tree();
    assert_eq!(sandbox.ctl(["use"]).ok(), "none\n");
    assert_eq!(
        sandbox.ctl(["use", "app.velo"]).ok(),
        format!("{}\n", sandbox.text("app.velo"))
    );
    assert_eq!(
        sandbox.ctl(["use", "--json"]).json(),
        json!({ "current": [sandbox.text("app.velo")] })
    );
    assert_eq!(sandbox.ctl(["cat", "tree/README"]).ok(), "read me\n");
    assert_eq!(
        sandbox.ctl(["ls"]).ok(),
        format!("{}\n", sandbox.text("tree"))
    );
    sandbox.ctl(["use", "gone.velo"]).failed(1, &["gone.velo"]);
    assert_eq!(
        sandbox.ctl(["use"]).ok(),
        format!("{}\n", sandbox.text("app.velo")),
        "a failure changes nothing"
    );
    sandbox
        .ctl(["use", "app.velo", "app.velo"])
        .failed(1, &["same mount path"]);
    assert_eq!(sandbox.ctl(["use", "--none"]).ok(), "none\n");
    sandbox.ctl(["ls"]).failed(1, &["expected a manifest"]);
    let named = ended(
        sandbox
            .ctl_command(["cat", "tree/README"])
            .env("VELO_MANIFEST", sandbox.path("app.velo")),
    );
    assert_eq!(named.ok(), "read me\n");
}

#[test]
fn doctor_examines_and_leaves_nothing_behind() {
    let sandbox = Sandbox::with_tree();
    sandbox.empty_library();
    let before: Vec<_> = fs::read_dir(sandbox.path("store"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    let found = sandbox.ctl(["doctor", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&found.out).unwrap();
    let status = |id: &str| {
        let check = report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|check| check["id"] == json!(id));
        check.unwrap_or_else(|| panic!("no {id} in {report}"))["status"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for id in ["kernel", "root", "root-timestamps", "views-exec", "library"] {
        assert_eq!(status(id), "ok", "{report}");
    }
    for id in [
        "libc",
        "seccomp",
        "cgroup",
        "root-space",
        "root-tmpfile",
        "views-links",
        "user-namespaces",
        "overlay",
        "erofs",
        "fuse",
    ] {
        assert!(["ok", "warn", "fail"].contains(&status(id).as_str()));
    }
    let after: Vec<_> = fs::read_dir(sandbox.path("store"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(before, after);
    let bad = ended(sandbox.ctl_command(["doctor"]).env("VELO_ROOT", "relative"));
    assert_eq!(bad.status, Some(1));
    let line = bad
        .out
        .lines()
        .find(|line| line.contains("VELO_ROOT"))
        .unwrap();
    assert!(line.starts_with("fail root"), "{line}");
    let bad = ended(
        sandbox
            .ctl_command(["doctor"])
            .env("VELO_ROOT", "/proc/nowhere"),
    );
    assert_eq!(bad.status, Some(1), "{bad:?}");
}

#[test]
fn doctor_works_for_a_user_who_can_only_read_the_store() {
    use std::os::unix::process::CommandExt;
    let sandbox = Sandbox::with_tree();
    sandbox.empty_library();
    if !rustix::process::geteuid().is_root() {
        // Nobody else to be: the store cannot be somebody else's.
        assert_eq!(
            fs::metadata(sandbox.path("store")).unwrap().uid(),
            rustix::process::geteuid().as_raw()
        );
        return;
    }
    let trials = sandbox.path("trials");
    fs::create_dir(&trials).unwrap();
    std::os::unix::fs::chown(&trials, Some(65534), Some(65534)).unwrap();
    let found = ended(
        sandbox
            .ctl_command(["doctor"])
            .uid(65534)
            .gid(65534)
            .env("TMPDIR", &trials),
    );
    let line = found
        .out
        .lines()
        .find(|line| line.contains("root-writable"))
        .unwrap();
    assert!(line.starts_with("warn"), "{}", found.out);
    assert_eq!(
        fs::read_dir(&trials).unwrap().count(),
        0,
        "nothing is left behind"
    );
}

#[test]
fn doctor_sees_an_unusable_default_manifest() {
    let sandbox = Sandbox::with_tree();
    sandbox.empty_library();
    sandbox.ctl(["use", "app.velo"]).ok();
    let line = |out: &str| {
        out.lines()
            .find(|line| line.contains(" manifest "))
            .unwrap()
            .to_owned()
    };
    assert!(line(&sandbox.ctl(["doctor"]).out).starts_with("ok"));
    sandbox.write("app.velo", "overwritten");
    let found = sandbox.ctl(["doctor"]);
    assert_eq!(found.status, Some(1));
    assert!(line(&found.out).starts_with("fail"), "{}", found.out);
}

/// Anybody can make the directory that is the default root of a user who has none yet.
#[test]
fn a_default_root_of_somebody_else_is_not_believed() {
    use std::os::unix::process::CommandExt;
    let sandbox = Sandbox::with_tree();
    if !rustix::process::geteuid().is_root() || Path::new("/mnt/velo_ram_disk").exists() {
        eprintln!("SKIP velo-ctl a_default_root_of_somebody_else_is_not_believed: needs root");
        return;
    }
    let user = 3_000_000_000 + std::process::id();
    let root = PathBuf::from(format!("/dev/shm/velo-{user}"));
    fs::create_dir(&root).unwrap();
    let removed = Removed(root.clone());
    std::os::unix::fs::chown(&root, Some(65534), None).unwrap();
    fs::write(root.join("current"), sandbox.text("app.velo")).unwrap();
    for line in [["use"].as_slice(), &["ls"], &["run", "true"]] {
        let mut command = sandbox.ctl_command(line);
        command.env_remove("VELO_ROOT").uid(user);
        sandbox.empty_library();
        let end = ended(&mut command);
        assert!(
            end.err.contains("found one of user 65534") && end.status != Some(0),
            "{line:?}: {end:?}"
        );
        assert_eq!(end.out, "", "{line:?}");
    }
    drop(removed);
}

/// A directory that is gone at the end, also of a test that failed.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_place_for_a_mount_may_have_any_name() {
    let sandbox = Sandbox::with_tree();
    sandbox.empty_library();
    let overlay = |directory: &Path| {
        let found = ended(sandbox.ctl_command(["doctor"]).env("TMPDIR", directory));
        let line = found.out.lines().find(|line| line.contains(" overlay "));
        line.unwrap().to_owned()
    };
    let odd = sandbox.path("a,b:c d\\e");
    fs::create_dir(&odd).unwrap();
    // What a killed examination left, and something young that is in use.
    for (name, age_seconds) in [(".velo-doctor-1-0", 700), (".velo-doctor-1-1", 0)] {
        fs::create_dir_all(odd.join(name).join("tree")).unwrap();
        let then = std::time::SystemTime::now() - std::time::Duration::from_secs(age_seconds);
        let directory = fs::File::open(odd.join(name)).unwrap();
        directory.set_modified(then).unwrap();
    }
    assert_eq!(overlay(&odd), overlay(&sandbox.path("")));
    let left: Vec<_> = fs::read_dir(&odd).unwrap().collect();
    assert!(
        left.len() == 1 && odd.join(".velo-doctor-1-1").exists(),
        "{left:?}"
    );
    let missing = overlay(&sandbox.path("missing"));
    assert!(
        missing.starts_with("warn") && missing.ends_with("No such file or directory"),
        "{missing}"
    );
}
