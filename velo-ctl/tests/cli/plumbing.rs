//! Pipes, help, completions, colours: what every command does alike.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use crate::sandbox::{Sandbox, ended};

#[test]
fn closed_pipe_ends_it_silently() {
    let sandbox = Sandbox::new();
    for number in 0..3000 {
        sandbox.write(&format!("tree/{number:060}"), "");
    }
    sandbox
        .ctl(["build-manifest", "tree", "-o", "app.velo"])
        .ok();
    let mut child = sandbox
        .ctl_command(["ls", "-l", "app.velo:."])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let end = child.wait_with_output().unwrap();
    assert_eq!(end.status.signal(), Some(13), "killed by SIGPIPE, as ls is");
    assert_eq!(end.stderr, b"");
    let line = format!(
        "trap '' PIPE; {} ls -l app.velo:. | true; exit ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_velo-ctl")
    );
    ended(sandbox.command("bash").args(["-c", &line])).failed(1, &["write error: Broken pipe"]);
    let line = format!(
        "{} ls -l app.velo:. > /dev/full",
        env!("CARGO_BIN_EXE_velo-ctl")
    );
    ended(sandbox.command("bash").args(["-c", &line]))
        .failed(1, &["write error: No space left on device"]);
}

#[test]
fn output_that_goes_nowhere_is_an_error() {
    let sandbox = Sandbox::with_tree();
    let program = env!("CARGO_BIN_EXE_velo-ctl");
    for command in ["ls app.velo:", "cat app.velo:README", "inspect app.velo"] {
        let line = format!("{program} {command} >&-");
        ended(sandbox.command("bash").args(["-c", &line]))
            .failed(1, &["write error: Bad file descriptor"]);
    }
    let line = format!("{program} --help > /dev/full");
    ended(sandbox.command("bash").args(["-c", &line]))
        .failed(1, &["write error: No space left on device"]);
}

#[test]
fn closed_descriptors_do_no_harm() {
    let sandbox = Sandbox::with_tree();
    let program = env!("CARGO_BIN_EXE_velo-ctl");
    let line = format!("{program} build-manifest tree -o again.velo --no-cache <&- >&- 2>&-");
    let end = ended(sandbox.command("bash").args(["-c", &line]));
    assert_eq!(end.status, Some(1), "its report could not be written");
    let bytes = |name: &str| std::fs::read(sandbox.path(name)).unwrap();
    assert_eq!(bytes("again.velo"), bytes("app.velo"));
    sandbox.ctl(["verify", "--deep", "again.velo"]).ok();
    let line = format!("{program} run -m app.velo -- ls -l /proc/self/fd <&- 2>&-");
    sandbox.empty_library();
    let found = ended(sandbox.command("bash").args(["-c", &line])).out;
    let closed = !found.contains(" 0 -> /dev/null") && !found.contains(" 2 -> ");
    assert!(closed, "closed ones stay closed: {found}");
}

#[test]
fn completions_are_valid_scripts() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = sandbox.ctl(["completions", shell]).ok();
        assert!(
            script.contains("build-manifest") && script.contains("velo-ctl"),
            "{shell}"
        );
        assert!(
            !script.contains("__probe"),
            "{shell} offers a hidden command"
        );
    }
    let script = sandbox.ctl(["completions", "bash"]).ok();
    sandbox.write("script", script);
    sandbox.real("bash", ["-n", "script"]).ok();
    sandbox
        .real("bash", ["-c", ". ./script && complete -p velo-ctl"])
        .ok();
}

#[test]
fn help_has_examples_and_exit_status() {
    let sandbox = Sandbox::new();
    let all = sandbox.ctl(["--help"]).ok();
    assert!(
        all.contains("Examples:") && all.contains("Exit status"),
        "{all}"
    );
    for command in [
        "build-manifest",
        "run",
        "use",
        "ls",
        "cat",
        "stat",
        "diff",
        "inspect",
        "verify",
        "doctor",
        "completions",
    ] {
        let help = sandbox.ctl([command, "--help"]).ok();
        assert!(
            help.contains("Examples:") && help.contains(&format!("velo-ctl {command}")),
            "{command}: {help}"
        );
        assert!(all.contains(command), "{command} is listed");
    }
}

#[test]
fn wrong_command_lines_are_usage_errors() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.ctl(["no-such"]).status, Some(2));
    assert_eq!(sandbox.ctl(["cat"]).status, Some(2));
    assert_eq!(sandbox.ctl(["build-manifest", "x"]).status, Some(2));
    assert_eq!(
        sandbox.ctl(["run"]).status,
        Some(125),
        "run's 2 belongs to the program"
    );
    assert_eq!(sandbox.ctl(["use", "--none", "x"]).status, Some(2));
    assert!(sandbox.ctl(["--version"]).ok().starts_with("velo-ctl "));
}
