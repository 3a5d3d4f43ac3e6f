//! Kernel, C library, seccomp and cgroup of this machine.

use std::fs;

use super::Check;

/// Oldest kernel that the preload mode was tried on: statx, O_TMPFILE, memfd.
const KERNEL_MINIMUM: (u32, u32) = (4, 11);
/// First kernel with openat2, close_range and overlay mounts in user namespaces.
const KERNEL_GOOD: (u32, u32) = (5, 11);
/// Oldest glibc that libvelo_fs loads into.
const GLIBC_MINIMUM: (u32, u32) = (2, 17);

/// The checks of this file.
pub fn checks() -> Vec<Check> {
    vec![kernel(), c_library(), seccomp(), cgroup()]
}

fn kernel() -> Check {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let found = format!("Linux {release} {}", name.machine().to_string_lossy());
    match version(&release) {
        Some(version) if version >= KERNEL_GOOD => Check::ok("kernel", found),
        Some(version) if version >= KERNEL_MINIMUM => Check::warn(
            "kernel",
            format!("{found}: older than 5.11, so no overlay mounts without root"),
            "use the preload mode (`velo-ctl run`), or a newer kernel",
        ),
        _ => Check::fail("kernel", found, "Velo needs Linux 4.11 or newer"),
    }
}

fn c_library() -> Check {
    let musl = musl_loader();
    let also = musl
        .as_deref()
        .map(|path| format!("; musl too ({path})"))
        .unwrap_or_default();
    match (glibc_version(), musl) {
        (Some(found), _) if version(&found).is_some_and(|version| version < GLIBC_MINIMUM) => {
            Check::fail(
                "libc",
                format!("glibc {found}"),
                "libvelo_fs needs glibc 2.17 or newer, or musl",
            )
        }
        (Some(found), _) => Check::ok("libc", format!("glibc {found}{also}")),
        (None, Some(path)) => Check::ok("libc", format!("musl ({path})")),
        (None, None) => Check::warn(
            "libc",
            "neither glibc nor musl recognised",
            "programs that use another C library may not honour LD_PRELOAD: try `velo-ctl run -- CMD`",
        ),
    }
}

/// Version of the glibc that this process runs with.
#[cfg(target_env = "gnu")]
fn glibc_version() -> Option<String> {
    // SAFETY: takes nothing; the answer is a static NUL-terminated string.
    let text = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    Some(text.to_string_lossy().into_owned())
}

/// A musl build of this program does not see glibc.
#[cfg(not(target_env = "gnu"))]
fn glibc_version() -> Option<String> {
    None
}

fn musl_loader() -> Option<String> {
    let names = fs::read_dir("/lib").ok()?.flatten();
    let name = names
        .map(|entry| entry.file_name())
        .find(|name| name.to_string_lossy().starts_with("ld-musl-"))?;
    Some(format!("/lib/{}", name.to_string_lossy()))
}

fn seccomp() -> Check {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
            .unwrap_or("")
    };
    let found = match field("Seccomp:") {
        "0" => "no filter on this process",
        "1" => "strict mode",
        "2" => "a filter is on this process (normal in containers)",
        _ => "not built into this kernel",
    };
    let locked = if field("NoNewPrivs:") == "1" {
        ", no_new_privs set"
    } else {
        ""
    };
    match field("Seccomp:") {
        "" => Check::warn(
            "seccomp",
            found,
            "sandboxed tenants need CONFIG_SECCOMP_FILTER; serving does not",
        ),
        _ => Check::ok("seccomp", format!("{found}{locked}")),
    }
}

fn cgroup() -> Check {
    match fs::read_to_string("/sys/fs/cgroup/cgroup.controllers") {
        Ok(controllers) if controllers.split_whitespace().any(|name| name == "memory") => {
            Check::ok("cgroup", format!("v2, controllers: {}", controllers.trim()))
        }
        Ok(controllers) => Check::warn(
            "cgroup",
            format!(
                "v2 without the memory controller (has: {})",
                controllers.trim()
            ),
            "memory limits of tenants will not apply: enable `memory` in the parent's cgroup.subtree_control",
        ),
        Err(_) => Check::warn(
            "cgroup",
            "no cgroup v2 at /sys/fs/cgroup",
            "memory limits of tenants will not apply: boot with systemd.unified_cgroup_hierarchy=1, or mount cgroup2 there",
        ),
    }
}

/// The first two numbers of `text`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text
        .split(|letter: char| !letter.is_ascii_digit())
        .map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(super::version("6.18.44-fc-v657"), Some((6, 18)));
        assert!(super::version("2.9") < super::version("2.17"));
        assert_eq!(super::version("mystery"), None);
    }
}
