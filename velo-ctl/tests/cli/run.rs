//! `run`: which program is started, how, and with what status it all ends.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;

use crate::sandbox::{Sandbox, ended};

/// A tree with programs in it, served at a place that does not exist.
const MOUNT: &str = "/velo-ctl-test/app";

fn programs() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.empty_library();
    sandbox.write("tree/bin/script", "#!/bin/sh\necho \"$0\" \"$@\"\n");
    sandbox.write("tree/bin/own", format!("#!{MOUNT}/bin/sh -e\n"));
    sandbox.write("tree/bin/lost", "#!/no/such/interpreter\n");
    sandbox.write("tree/bin/bare", "echo bare\n");
    sandbox.write("tree/bin/plain", "not executable\n");
    for name in ["script", "own", "lost", "bare"] {
        sandbox.mode(&format!("tree/bin/{name}"), 0o755);
    }
    fs::copy(
        fs::canonicalize("/bin/sh").unwrap(),
        sandbox.path("tree/bin/sh"),
    )
    .unwrap();
    symlink("/bin/sh", sandbox.path("tree/bin/outer")).unwrap();
    symlink("sh", sandbox.path("tree/bin/inner")).unwrap();
    sandbox
        .ctl(["build-manifest", "tree", "--at", MOUNT, "-o", "app.velo"])
        .ok();
    fs::remove_dir_all(sandbox.path("tree")).unwrap();
    sandbox
}

fn run(sandbox: &Sandbox, line: &[&str]) -> crate::sandbox::Ended {
    sandbox.ctl([["run", "-m", "app.velo", "--"].as_slice(), line].concat())
}

#[test]
fn sets_the_environment_and_keeps_the_rest() {
    let sandbox = programs();
    let other = sandbox.text("libother.so");
    fs::copy(sandbox.path("libvelo_fs.so"), &other).unwrap();
    let mut command = sandbox.ctl_command(["run", "--stats", "-m", "app.velo", "--", "env"]);
    command.env("LD_PRELOAD", &other).env("KEPT", "as it was");
    let out = ended(&mut command).ok();
    let value = |name: &str| {
        out.lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")))
            .map(str::to_owned)
    };
    assert_eq!(
        value("LD_PRELOAD").unwrap(),
        format!("{}:{other}", sandbox.text("libvelo_fs.so"))
    );
    assert_eq!(value("VELO_MANIFEST").unwrap(), sandbox.text("app.velo"));
    assert_eq!(value("VELO_ROOT").unwrap(), sandbox.text("store"));
    assert_eq!(value("VELO_STATS").unwrap(), "1");
    assert_eq!(value("KEPT").unwrap(), "as it was");
    assert_eq!(value("VELO_VIEW_ROOT"), None);
    let out = ended(
        sandbox
            .ctl_command(["run", "-m", "app.velo", "--", "env"])
            .env("VELO_VIEW_ROOT", sandbox.path("views")),
    )
    .ok();
    assert!(
        out.contains(&format!("VELO_VIEW_ROOT={}", sandbox.text("views"))),
        "{out}"
    );
}

#[test]
fn status_signals_and_process_belong_to_the_program() {
    let sandbox = programs();
    assert_eq!(run(&sandbox, &["sh", "-c", "exit 7"]).status, Some(7));
    assert_eq!(run(&sandbox, &["sh", "-c", "exit 125"]).status, Some(125));
    let end = sandbox
        .ctl_command(["run", "-m", "app.velo", "--", "sh", "-c", "kill -TERM $$"])
        .output()
        .unwrap();
    assert_eq!(end.status.signal(), Some(15));
    let child = sandbox
        .ctl_command(["run", "-m", "app.velo", "--", "sh", "-c", "echo $$"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let id = child.id();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(said.trim(), id.to_string(), "the same process");
    // What the caller ignores or closed stays so.
    let shell = format!(
        "trap '' PIPE; exec 3</dev/null; {} run -m app.velo -- sh -c 'grep SigIgn /proc/self/status; ls /proc/self/fd' <&-",
        env!("CARGO_BIN_EXE_velo-ctl")
    );
    let plain = "trap '' PIPE; exec 3</dev/null; sh -c 'grep SigIgn /proc/self/status; ls /proc/self/fd' <&-";
    assert_eq!(
        sandbox.real("bash", ["-c", &shell]).ok(),
        sandbox.real("bash", ["-c", plain]).ok()
    );
}

#[test]
fn served_programs_start_from_the_view() {
    let sandbox = programs();
    let at = |name: &str| format!("{MOUNT}/bin/{name}");
    assert_eq!(
        run(&sandbox, &[&at("sh"), "-c", "echo $0"]).ok(),
        format!("{}\n", at("sh"))
    );
    let exe = run(&sandbox, &[&at("inner"), "-c", "readlink /proc/$$/exe"]).ok();
    assert!(
        exe.starts_with(&sandbox.text("store/views/")) && exe.trim().ends_with("/bin/sh"),
        "{exe}"
    );
    assert_eq!(
        run(&sandbox, &[&at("outer"), "-c", "echo out"]).ok(),
        "out\n",
        "a link out of the mount"
    );
    assert_eq!(
        run(&sandbox, &[&format!("{MOUNT}/lib/../bin/sh"), "-c", "echo"]).status,
        Some(127),
        "lib does not exist"
    );
    let mut command =
        sandbox.ctl_command(["run", "-m", "app.velo", "--", "inner", "-c", "echo $0"]);
    command.env("PATH", format!("/nowhere:{MOUNT}/bin:/usr/bin"));
    assert_eq!(
        ended(&mut command).ok(),
        "inner\n",
        "found in PATH, called as given"
    );
}

#[test]
fn scripts_get_the_path_that_is_known_to_their_interpreter() {
    let sandbox = programs();
    // The interpreters run under an empty library, so they cannot open what is
    // served; that they are asked to is what is checked.
    let script = format!("{MOUNT}/bin/script");
    let found = run(&sandbox, &[&script, "a", "b"]);
    assert!(found.err.contains(&script), "{found:?}");
    let own = format!("{MOUNT}/bin/own");
    let found = run(&sandbox, &[&own]);
    assert!(found.err.contains(&own), "{found:?}");
    let real = sandbox.write("real", format!("#!{MOUNT}/bin/sh\necho \"$0\" \"$@\"\n"));
    sandbox.mode("real", 0o755);
    let name = real.display().to_string();
    assert_eq!(
        run(&sandbox, &[&name, "x", "y z"]).ok(),
        format!("{name} x y z\n")
    );
    assert_eq!(run(&sandbox, &["./real"]).ok(), "./real\n");
    sandbox.write("bare", "echo bare \"$@\"\n");
    sandbox.mode("bare", 0o755);
    assert_eq!(
        run(&sandbox, &["./bare", "x"]).ok(),
        "bare x\n",
        "as execvp does it"
    );
}

#[test]
fn failures_have_their_own_status() {
    let sandbox = programs();
    let at = |name: &str| format!("{MOUNT}/bin/{name}");
    run(&sandbox, &["no-such-command"]).failed(
        127,
        &["no-such-command", "No such file or directory", "PATH"],
    );
    run(&sandbox, &[&at("none")]).failed(127, &[&at("none"), "No such file or directory"]);
    run(&sandbox, &[&at("plain")]).failed(126, &["Permission denied"]);
    run(&sandbox, &[&format!("{MOUNT}/bin")]).failed(126, &["Permission denied"]);
    run(&sandbox, &[&at("lost")])
        .failed(126, &["/no/such/interpreter", "No such file or directory"]);
    sandbox
        .ctl(["run", "--", "true"])
        .failed(127, &["expected a manifest", "velo-ctl build-manifest"]);
    sandbox
        .ctl(["run", "-m", "gone.velo", "true"])
        .failed(127, &["gone.velo", "No such file or directory"]);
    sandbox.write("noise", "noise");
    sandbox
        .ctl(["run", "-m", "noise", "true"])
        .failed(127, &["noise"]);
    ended(
        sandbox
            .ctl_command(["run", "-m", "app.velo", "true"])
            .env("VELO_LIB", "/none.so"),
    )
    .failed(125, &["VELO_LIB", "/none.so"]);
    ended(
        sandbox
            .ctl_command(["run", "-m", "app.velo", "true"])
            .env("VELO_ROOT", "/proc/velo"),
    )
    .failed(125, &["/proc/velo"]);
}

#[test]
fn damaged_manifests_are_refused() {
    let sandbox = programs();
    let good = fs::read(sandbox.path("app.velo")).unwrap();
    for (what, position) in [
        ("header", 20),
        ("body", good.len() / 2),
        ("end", good.len() - 1),
    ] {
        let mut bad = good.clone();
        bad[position] ^= 0x10;
        sandbox.write("bad.velo", &bad);
        let failed = sandbox.ctl(["run", "-m", "bad.velo", "true"]);
        assert_eq!(failed.status, Some(127), "{what}: {failed:?}");
        failed.failed(127, &["bad.velo"]);
    }
    for length in [0, 7, 511, good.len() - 1] {
        sandbox.write("bad.velo", &good[..length]);
        sandbox
            .ctl(["run", "-m", "bad.velo", "true"])
            .failed(127, &["bad.velo"]);
    }
}

#[test]
fn a_copied_manifest_is_stamped_by_its_first_run() {
    use std::os::unix::fs::MetadataExt;
    let sandbox = programs();
    fs::write(
        sandbox.path("copy.velo"),
        fs::read(sandbox.path("app.velo")).unwrap(),
    )
    .unwrap();
    let stamp = |name: &str| fs::metadata(sandbox.path(name)).unwrap().mtime_nsec();
    assert_ne!(stamp("copy.velo"), stamp("app.velo"));
    sandbox.ctl(["run", "-m", "copy.velo", "true"]).ok();
    assert_eq!(stamp("copy.velo"), stamp("app.velo"));
}

#[test]
fn a_missing_view_is_made_again() {
    let sandbox = programs();
    sandbox.remove("store/views");
    assert_eq!(
        run(&sandbox, &[&format!("{MOUNT}/bin/sh"), "-c", "echo again"]).ok(),
        "again\n"
    );
}

#[test]
fn programs_that_cannot_be_served_are_refused() {
    let sandbox = programs();
    sandbox.write("main.c", "int main(void) { return 5; }\n");
    let made = sandbox
        .command("cc")
        .args(["-static", "-o", "static", "main.c"])
        .status()
        .unwrap();
    assert!(made.success(), "cc makes static programs");
    run(&sandbox, &["./static"])
        .failed(126, &["./static", "statically linked", "VELO_STATIC=allow"]);
    let allowed = ended(
        sandbox
            .ctl_command(["run", "-m", "app.velo", "./static"])
            .env("VELO_STATIC", "allow"),
    );
    assert_eq!((allowed.status, allowed.err.as_str()), (Some(5), ""));
    let bad = ended(
        sandbox
            .ctl_command(["run", "-m", "app.velo", "true"])
            .env("VELO_STATIC", "yes"),
    );
    bad.failed(125, &["`allow` or `refuse` in VELO_STATIC", "yes"]);
    sandbox.write("wrapped", format!("#!{}\n", sandbox.text("static")));
    sandbox.mode("wrapped", 0o755);
    run(&sandbox, &["./wrapped"]).failed(126, &["statically linked"]);
}

#[test]
fn several_manifests_make_one_view() {
    let sandbox = programs();
    sandbox.write("more/file", "more\n");
    sandbox
        .ctl(["build-manifest", "more", "-o", "more.velo"])
        .ok();
    let out = sandbox
        .ctl(["run", "-m", "app.velo", "-m", "more.velo", "--", "env"])
        .ok();
    assert!(
        out.contains(&format!(
            "VELO_MANIFEST={}:{}",
            sandbox.text("app.velo"),
            sandbox.text("more.velo")
        )),
        "{out}"
    );
    sandbox
        .ctl(["run", "-m", "more.velo", "-m", "more.velo", "true"])
        .failed(127, &["same mount path", "--at"]);
}
