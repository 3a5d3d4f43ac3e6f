//! The parents of this user: how many there may be, what they are, how they end.

use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::Reason;
use super::directory::Directory;
use super::key::Key;

/// Bounds, from the environment.
#[derive(Debug)]
pub struct Limits {
    /// How many parents there may be.
    pub count: usize,
    /// Memory of all together.
    pub memory_bytes: u64,
    /// How long one waits for work.
    pub idle_seconds: u64,
}

impl Limits {
    /// `VELO_WARM_MAX`, `VELO_WARM_MEMORY` (MiB), `VELO_WARM_IDLE` (seconds).
    pub fn of_this_process() -> Result<Self, Reason> {
        let total = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("MemTotal:"))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        });
        let quarter = total.unwrap_or(4 << 20) / 4 / 1024;
        Ok(Self {
            count: number("VELO_WARM_MAX", 8)? as usize,
            memory_bytes: number("VELO_WARM_MEMORY", quarter)?.saturating_mul(1 << 20),
            idle_seconds: number("VELO_WARM_IDLE", 600)?,
        })
    }
}

fn number(name: &str, default: u64) -> Result<u64, Reason> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().map_err(|_| format!("{name} is no number")),
        _ => Ok(default),
    }
}

/// A parent that waits for work.
#[derive(Debug)]
pub struct Parent {
    /// Its name.
    pub name: String,
    /// Process number, by the lock that it holds.
    pub pid: i32,
    /// What it says of itself: `NAME=VALUE` lines.
    pub info: Vec<(String, String)>,
    /// Anonymous memory.
    pub memory_bytes: u64,
    /// Seconds since its last child ended or began.
    pub idle_seconds: u64,
}

impl Parent {
    /// A line of its information.
    pub fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// All lines of that name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.info
            .iter()
            .filter(move |(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// Tells it to end after its last child.
    pub fn stop(&self) -> bool {
        signal(self.pid)
    }
}

/// The parents that are there. Files that ended ones left are removed.
pub fn list(directory: &Directory) -> Vec<Parent> {
    let mut parents = Vec::new();
    for name in directory.names(".info") {
        let Some(pid) = directory.holder(&name) else {
            for end in ["info", "sock", "lock"] {
                directory.remove(&format!("{name}.{end}"));
            }
            continue;
        };
        let info = directory.text(&format!("{name}.info"));
        let info = info
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let age = fs::metadata(directory.path.join(format!("{name}.info")))
            .ok()
            .and_then(|found| found.modified().ok()?.elapsed().ok());
        parents.push(Parent {
            name,
            pid,
            info,
            memory_bytes: memory(pid),
            idle_seconds: age.unwrap_or_default().as_secs(),
        });
    }
    parents
}

/// Before one more is started: those of the same application whose manifests are others end,
/// then the longest idle ones until there is room.
pub fn make_room(directory: &Directory, key: &Key, limits: &Limits) {
    let mut parents = list(directory);
    parents.retain(|parent| {
        let replaced = parent.get("base") == key.base && parent.get("manifests") != key.manifests;
        !(replaced && parent.stop())
    });
    parents.sort_by_key(|parent| parent.idle_seconds);
    while parents.len() >= limits.count.max(1)
        || parents
            .iter()
            .map(|parent| parent.memory_bytes)
            .sum::<u64>()
            > limits.memory_bytes
    {
        let Some(last) = parents.pop() else {
            return;
        };
        last.stop();
    }
}

fn memory(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// SIGTERM, to the very process that holds the lock.
fn signal(pid: i32) -> bool {
    Pid::from_raw(pid)
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
        .is_some_and(|process| pidfd_send_signal(&process, Signal::TERM).is_ok())
}
