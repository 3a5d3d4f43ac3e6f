//! Things that only a separate process can try: namespaces, mounts, a preload.
//!
//! `doctor` starts this same program with the hidden command [`COMMAND`]; the
//! child answers on stdout, one line, and its namespaces vanish with it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::mount::{MountFlags, mount};
use rustix::thread::UnshareFlags;

use crate::failure::{io_words, status};
use crate::output::Output;

/// Name of the hidden command. Not clap's: completions would offer it.
pub const COMMAND: &str = "__probe";

/// What a child can try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// Create a user namespace and become root in it.
    UserNamespace,
    /// Mount an overlay in a new mount namespace, over the directory that is named.
    Overlay,
    /// Say whether libvelo_fs is mapped into this process, or print a file with it.
    Preload,
}

impl Trial {
    const ALL: [Self; 3] = [Self::UserNamespace, Self::Overlay, Self::Preload];

    fn name(self) -> &'static str {
        match self {
            Self::UserNamespace => "user-namespace",
            Self::Overlay => "overlay",
            Self::Preload => "preload",
        }
    }
}

/// The child's side: the name of a trial, for some a path. The exit status.
pub fn run(arguments: &[OsString]) -> u8 {
    let (Some(name), path) = (arguments.first(), arguments.get(1).map(Path::new)) else {
        return status::USAGE;
    };
    let tried = match Trial::ALL.into_iter().find(|trial| name == trial.name()) {
        Some(Trial::UserNamespace) => enter_user_namespace().map(|()| String::from("works")),
        Some(Trial::Overlay) => overlay(path.unwrap_or(Path::new("/tmp"))),
        Some(Trial::Preload) => preload(path),
        None => return status::USAGE,
    };
    let answer = tried.as_ref().map_or_else(io_words, String::clone);
    let mut out = Output::new();
    match out.line(answer).and_then(|()| out.finish()) {
        Ok(()) if tried.is_ok() => status::DONE,
        _ => status::FAILED,
    }
}

/// The parent's side: a command that will try `trial`.
pub fn command(trial: Trial) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(COMMAND).arg(trial.name()).stdin(Stdio::null());
    command
}

/// Runs `command`; its one line, as success or failure.
pub fn answer(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| io_words(&error))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(said);
    }
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(match (said.is_empty(), complaint.is_empty()) {
        (false, _) => said,
        (true, false) => complaint,
        (true, true) => output.status.to_string(),
    })
}

fn enter_user_namespace() -> io::Result<()> {
    let (user, group) = (
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    unshare(UnshareFlags::NEWUSER)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

/// Mounts an overlay over two tmpfs layers, writes through it, reads it back.
fn overlay(base: &Path) -> io::Result<String> {
    let how = match enter_user_namespace() {
        Ok(()) => "without privileges",
        Err(_) if rustix::process::geteuid().is_root() => "as root only",
        Err(error) => return Err(error),
    };
    unshare(UnshareFlags::NEWNS)?;
    rustix::mount::mount_change(
        "/",
        rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC,
    )?;
    mount("tmpfs", base, "tmpfs", MountFlags::empty(), None)?;
    // Relative names, because the options have no room for a comma or colon in a path.
    std::env::set_current_dir(base)?;
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(name)?;
    }
    fs::write("lower/file", "lower")?;
    let attempt = |options: &std::ffi::CStr| {
        mount("overlay", "merged", "overlay", MountFlags::empty(), options)
    };
    attempt(c"lowerdir=lower,upperdir=upper,workdir=work,userxattr")
        .or_else(|_| attempt(c"lowerdir=lower,upperdir=upper,workdir=work"))?;
    fs::write("merged/file", "upper")?;
    match fs::read_to_string("upper/file")?.as_str() {
        "upper" => Ok(how.to_owned()),
        other => Err(io::Error::other(format!(
            "wrote through the overlay, found `{other}` in the upper layer"
        ))),
    }
}

fn preload(path: Option<&Path>) -> io::Result<String> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    if !maps.contains("libvelo_fs") {
        return Err(io::Error::other("the loader did not map libvelo_fs.so"));
    }
    match path {
        Some(path) => fs::read_to_string(path),
        None => Ok(String::from("mapped")),
    }
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: this process has one thread, and file descriptors are not unshared.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}
