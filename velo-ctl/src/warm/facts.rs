//! What a process inherits and a parent cannot change for a child: part of the parent's key.
//!
//! The parent compares credentials and namespaces again, read from the kernel, because a key
//! is only what a caller says of itself.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;

use super::Reason;

/// Lines of `/proc/self/status` that a child inherits.
const STATUS: [&str; 13] = [
    "Uid",
    "Gid",
    "Groups",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
    "Cpus_allowed",
    "Mems_allowed",
];
const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
/// Files that say what else is inherited.
const INHERITED: [&str; 5] = [
    "oom_score_adj",
    "loginuid",
    "coredump_filter",
    "personality",
    "attr/current",
];
/// Fields of `/proc/self/stat`, numbered as in proc(5): nice value, real-time priority, policy.
const SCHEDULING: [usize; 3] = [19, 40, 41];
const LIMITS: u32 = 16;
const STACK: u32 = libc::RLIMIT_STACK;

/// What there is to know about this process.
#[derive(Debug)]
pub struct Facts {
    /// Everything that must be equal, as text.
    pub text: Vec<u8>,
    /// Number and value of each soft limit.
    pub soft_limits: Vec<(u32, u64)>,
    /// Signals that are ignored, as `/proc/self/status` shows them.
    pub ignored: u64,
    /// Whether there is a controlling terminal.
    pub terminal: bool,
    /// This process, its group and its session.
    pub pid: i32,
    /// Process group.
    pub group: i32,
    /// Session.
    pub session: i32,
}

impl Facts {
    /// Reads them.
    pub fn of_this_process() -> Result<Self, Reason> {
        let read = |name: &str| {
            fs::read(format!("/proc/self/{name}"))
                .map_err(|error| format!("/proc/self/{name}: {error}"))
        };
        let status = String::from_utf8_lossy(&read("status")?).into_owned();
        let mut text = Vec::new();
        let mut seccomp = (0, 0);
        let mut ignored = 0;
        for line in status.lines() {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            match name {
                "Seccomp" => seccomp.0 = value.parse().unwrap_or(0),
                "Seccomp_filters" => seccomp.1 = value.parse().unwrap_or(0),
                "SigIgn" => ignored = u64::from_str_radix(value, 16).unwrap_or(0),
                _ => {}
            }
            if STATUS.contains(&name) {
                text.extend_from_slice(line.as_bytes());
                text.push(b'\n');
            }
        }
        filters_of_everybody(seccomp)?;
        for name in NAMESPACES {
            let link = fs::read_link(format!("/proc/self/ns/{name}")).unwrap_or_default();
            text.extend(link.into_os_string().into_vec());
            text.push(b'\n');
        }
        for name in INHERITED {
            text.extend(read(name).unwrap_or_default());
            text.push(b'\n');
        }
        let root = fs::metadata("/").map_err(|error| format!("/: {error}"))?;
        text.extend(format!("root {}:{}\n", root.dev(), root.ino()).into_bytes());
        let stat = String::from_utf8_lossy(&read("stat")?).into_owned();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or("0");
        for number in SCHEDULING {
            text.extend(format!("{number} {}\n", field(number)).into_bytes());
        }
        let mut soft_limits = Vec::new();
        for number in 0..LIMITS {
            let (soft, hard) = limit(number);
            soft_limits.push((number, soft));
            text.extend(format!("limit {number} {hard}\n").into_bytes());
            if number == STACK {
                text.extend(format!("stack {soft}\n").into_bytes());
            }
        }
        let number = |position: usize| field(position).parse().unwrap_or(0);
        let facts = Self {
            ignored,
            soft_limits,
            terminal: number(7) != 0,
            pid: std::process::id() as i32,
            group: number(5),
            session: number(6),
            text,
        };
        facts.with_session()
    }

    /// A process group must be of the same session, so a terminal's session has parents of its
    /// own; without a terminal sessions make no difference.
    fn with_session(mut self) -> Result<Self, Reason> {
        if !self.terminal {
            self.text.extend_from_slice(b"session none\n");
            return Ok(self);
        }
        if self.session == self.pid {
            return Err("it leads the session of its terminal".into());
        }
        if self.session == 0 {
            return Err("its session has another process namespace".into());
        }
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.session))
            .map_err(|error| format!("the leader of its session: {error}"))?;
        let started = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .nth(19);
        let line = format!("session {} {}\n", self.session, started.unwrap_or_default());
        self.text.extend(line.into_bytes());
        Ok(self)
    }
}

/// System call filters are not comparable. Those that the first process of the namespace has
/// too are a container's and the same for all; with more there is no sharing.
fn filters_of_everybody((mode, count): (u32, u32)) -> Result<(), Reason> {
    if mode == 0 {
        return Ok(());
    }
    let of_first = fs::read_to_string("/proc/1/status").ok().and_then(|text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Seccomp_filters:"))?;
        line.trim().parse::<u32>().ok()
    });
    match of_first {
        Some(first) if first == count => Ok(()),
        _ => Err("it has system call filters of its own".into()),
    }
}

fn limit(number: u32) -> (u64, u64) {
    let mut found = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a place for the answer; an unknown number is an error, and the zeros stay.
    unsafe { libc::getrlimit(number as _, &raw mut found) };
    (found.rlim_cur, found.rlim_max)
}
