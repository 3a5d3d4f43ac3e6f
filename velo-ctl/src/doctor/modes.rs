//! The kernel modes: user namespaces, OverlayFS, EROFS, FUSE.
//!
//! The preload mode needs none of them, so what is missing is a warning.

use std::fs;
use std::path::{Path, PathBuf};

use super::scratch::Scratch;
use super::{Check, probe};

/// The checks of this file.
pub fn checks() -> Vec<Check> {
    vec![user_namespaces(), overlay(), erofs(), fuse()]
}

fn user_namespaces() -> Check {
    match probe::answer(&mut probe::command(probe::Trial::UserNamespace)) {
        Ok(_) => Check::ok("user-namespaces", "created one and became root in it"),
        Err(error) => Check::warn("user-namespaces", error, namespace_advice()),
    }
}

/// Which of the usual switches is off.
fn namespace_advice() -> &'static str {
    let setting = |path: &str| {
        fs::read_to_string(path)
            .map(|text| text.trim().to_owned())
            .unwrap_or_default()
    };
    if setting("/proc/sys/user/max_user_namespaces") == "0" {
        "sysctl user.max_user_namespaces=15000"
    } else if setting("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
        "sysctl kernel.unprivileged_userns_clone=1"
    } else if setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile that allows `userns` for velo-ctl"
    } else {
        "in a container: allow unshare(CLONE_NEWUSER) in its seccomp profile; the preload mode works without"
    }
}

fn overlay() -> Check {
    let id = "overlay";
    let base = match Scratch::below(&std::env::temp_dir()) {
        Ok(base) => base,
        Err(error) => {
            return Check::warn(
                id,
                format!("no directory to mount on: {error}"),
                "set TMPDIR to a writable directory",
            );
        }
    };
    match probe::answer(probe::command(probe::Trial::Overlay).arg(&base.path)) {
        Ok(how) => Check::ok(id, format!("mounted one, {how}")),
        Err(error) if !supports("overlay") => Check::warn(
            id,
            format!("{error}; this kernel has no OverlayFS"),
            "modprobe overlay, or use the preload mode",
        ),
        Err(error) => Check::warn(
            id,
            error,
            "needs Linux 5.11 with user namespaces, or root; the preload mode works without",
        ),
    }
}

fn erofs() -> Check {
    match supports("erofs") {
        true => Check::ok("erofs", "built into this kernel or available as a module"),
        false => Check::warn(
            "erofs",
            "not in this kernel",
            "modprobe erofs, or a kernel with CONFIG_EROFS_FS; the preload mode works without",
        ),
    }
}

fn fuse() -> Check {
    let id = "fuse";
    let helper = ["fusermount3", "fusermount"].into_iter().find_map(in_path);
    match fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse")
    {
        Err(error) => Check::warn(
            id,
            format!("/dev/fuse: {}", crate::failure::io_words(&error)),
            "modprobe fuse; in a container: --device /dev/fuse. The preload mode works without",
        ),
        Ok(_) => match helper {
            Some(path) => Check::ok(id, format!("/dev/fuse opens, {}", path.display())),
            None if rustix::process::geteuid().is_root() => {
                Check::ok(id, "/dev/fuse opens (no fusermount3, not needed as root)")
            }
            None => Check::warn(
                id,
                "/dev/fuse opens, no fusermount3",
                "install the package fuse3 to mount without root",
            ),
        },
    }
}

/// Whether the kernel has the file system, or a module of it.
fn supports(name: &str) -> bool {
    let listed = fs::read_to_string("/proc/filesystems").is_ok_and(|text| {
        text.lines()
            .any(|line| line.split_whitespace().next_back() == Some(name))
    });
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let modules = PathBuf::from(format!("/lib/modules/{release}"));
    let module = format!("/{name}.ko");
    listed
        || ["modules.dep", "modules.builtin"].into_iter().any(|index| {
            fs::read_to_string(modules.join(index)).is_ok_and(|text| text.contains(&module))
        })
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|candidate| Path::is_file(candidate))
}
