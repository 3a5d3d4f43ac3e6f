//! What a child is told, as `velo_hooks.warm.wire` reads it.

use std::ffi::OsString;
use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use super::Reason;
use super::directory::Directory;
use super::facts::Facts;
use super::key::Key;
use super::python::App;

const VERSION: &[u8] = b"1";
/// What the kernel passes in one message, less the working directory.
pub const TARGETS_MAX: usize = 252;

/// The descriptors that a program would inherit, in order.
pub fn inherited() -> Result<Vec<i32>, Reason> {
    let entries =
        fs::read_dir("/proc/self/fd").map_err(|error| format!("/proc/self/fd: {error}"))?;
    let numbers = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut open: Vec<i32> = numbers
        .filter(|number| {
            // SAFETY: only asks about a number, open or not.
            let flags = unsafe { libc::fcntl(*number, libc::F_GETFD) };
            flags >= 0 && flags & libc::FD_CLOEXEC == 0
        })
        .collect();
    open.sort_unstable();
    if open.len() > TARGETS_MAX {
        return Err(format!("it inherits {} descriptors", open.len()));
    }
    Ok(open)
}

/// A descriptor that this process inherited.
pub fn borrowed(number: i32) -> BorrowedFd<'static> {
    // SAFETY: found open above, and nothing here closes what it did not open.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// The bytes of a request.
pub fn encode(
    app: &App,
    facts: &Facts,
    variables: &[OsString],
    key: &Key,
    directory: &Directory,
    blocked: u64,
    targets: &[i32],
) -> Vec<u8> {
    let umask = {
        // SAFETY: sets and restores; this process has one thread.
        unsafe {
            let mask = libc::umask(0o077);
            libc::umask(mask);
            mask
        }
    };
    let text = |value: String| value.into_bytes();
    let words = |values: &[i32]| {
        values
            .iter()
            .map(i32::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let limits: Vec<String> = facts
        .soft_limits
        .iter()
        .map(|(number, soft)| format!("{number}={}", *soft as i64))
        .collect();
    let group = match (facts.terminal, facts.session == facts.pid) {
        (true, _) => facts.group.to_string(),
        (false, true) => "session".to_owned(),
        (false, false) => "group".to_owned(),
    };
    let fields: [Vec<u8>; 15] = [
        VERSION.to_vec(),
        key.slot.clone(),
        strings(&app.arguments),
        strings(variables),
        app.letter().to_vec(),
        text(app.begin.to_string()),
        text(umask.to_string()),
        text(format!("{:x}", facts.ignored)),
        text(format!("{blocked:x}")),
        text(words(targets)),
        text(limits.join(" ")),
        text(group),
        control_group(),
        app.name.clone(),
        directory.join(&format!("{}.modules", key.base)),
    ];
    let mut payload = Vec::new();
    for field in &fields {
        payload.extend_from_slice(&length(field.len()));
        payload.extend_from_slice(field);
    }
    [&length(payload.len())[..], &payload].concat()
}

fn length(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

fn strings(values: &[OsString]) -> Vec<u8> {
    let mut text = Vec::new();
    for value in values {
        text.extend_from_slice(value.as_bytes());
        text.push(0);
    }
    text
}

/// `/proc/self/cgroup`, then where each hierarchy is mounted: `CONTROLLERS=DIRECTORY`.
fn control_group() -> Vec<u8> {
    let mut text = fs::read("/proc/self/cgroup").unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let mut right = right.split(' ');
        let directory = left.split(' ').nth(4).unwrap_or_default();
        let names = match right.next() {
            Some("cgroup2") => String::new(),
            Some("cgroup") => {
                let options = right.nth(1).unwrap_or_default();
                let names: Vec<&str> = options
                    .split(',')
                    .filter(|name| !matches!(*name, "rw" | "ro" | "xattr"))
                    .collect();
                names.join(",")
            }
            _ => continue,
        };
        text.extend(format!("\0{names}={directory}").into_bytes());
    }
    text
}
