//! Starts a parent: the interpreter with the sources of `velo_hooks.warm`, which this program
//! carries, so that both sides are always of one version.
//!
//! It is nobody's child (of a process in between that ends at once), because the program that
//! this process may become must not find a child that it did not start.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create};
use rustix::io::{fcntl_dupfd_cloexec, write};

use crate::launch::start::{Environment, pointers};
use crate::served::Served;

use super::directory::Directory;
use super::facts::Facts;
use super::key::Key;
use super::parents::Limits;
use super::python::App;
use super::{Reason, Wish, request};

macro_rules! sources {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../../python-hooks/python/velo_hooks/warm/", $name, ".py")))),*]
    };
}

/// The first starts the others, in their order.
const SOURCES: [(&str, &str); 12] = sources!(
    "boot", "wire", "process", "inputs", "watch", "preload", "record", "stdio", "finish",
    "program", "child", "server"
);
const BOOT: &str = "(lambda s: exec(compile(s[0], '<velo-ctl>/boot.py', 'exec'), {'__name__': 'velo_hooks.warm.boot', \
                    'sources': s}))(__import__('os').pread(3, 1 << 24, 0).split(b'\\0'))";
/// Descriptors of a parent at its start.
const FIRST: i32 = 6;
/// How long the imports may take, in seconds.
const IMPORT_SECONDS_MAX: u32 = 120;

/// What a parent is started with.
pub struct Start<'a> {
    /// Of the application.
    pub app: &'a App,
    /// Of this process.
    pub facts: &'a Facts,
    /// The environment of the application.
    pub environment: &'a Environment,
    /// The manifests.
    pub served: &'a Served,
    /// Where parents are.
    pub directory: &'a Directory,
    /// Its names.
    pub key: &'a Key,
    /// Bounds.
    pub limits: &'a Limits,
    /// What to import.
    pub wish: &'a Wish,
    /// The first client's connection.
    pub first: Option<OwnedFd>,
}

/// Starts it; it is not waited for.
pub fn spawn(start: &Start<'_>) -> Result<(), Reason> {
    let failed = |error: rustix::io::Errno| format!("no parent: {error}");
    let mut sources = Vec::new();
    for (name, source) in &SOURCES {
        if *name != SOURCES[0].0 {
            sources.extend_from_slice(name.as_bytes());
            sources.push(0);
        }
        sources.extend_from_slice(source.as_bytes());
        sources.push(0);
    }
    sources.pop();
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(failed)?;
    // What the parent itself fails with; its children have the caller's.
    let named = std::env::var_os("VELO_WARM_LOG").filter(|name| !name.is_empty());
    let log = named.and_then(|name| {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
        rustix::fs::open(name, flags, Mode::RUSR | Mode::WUSR).ok()
    });
    let log = log.as_ref().unwrap_or(&null);
    let sources = content(&sources).map_err(failed)?;
    let configuration = content(&configuration(start)).map_err(failed)?;
    // Above everything that they will be put on.
    let high = |descriptor: &OwnedFd| fcntl_dupfd_cloexec(descriptor, 64).map_err(failed);
    let mut descriptors = vec![
        high(&null)?,
        high(&null)?,
        high(log)?,
        high(&sources)?,
        high(&configuration)?,
    ];
    descriptors.push(high(&start.directory.descriptor)?);
    if let Some(first) = &start.first {
        descriptors.push(high(first)?);
    }
    let placed: Vec<i32> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let inherited = request::inherited()?;
    let program = CString::new(start.app.program.as_os_str().as_bytes()).map_err(|_| "a NUL")?;
    let mut words: Vec<OsString> = vec![start.app.arguments[0].clone()];
    words.extend_from_slice(start.app.flags());
    if !start.app.letters().is_empty() && start.app.letters() != b"-" {
        words.push(OsStr::from_bytes(start.app.letters()).to_owned());
    }
    words.extend([
        "-c".into(),
        BOOT.into(),
        format!("velo-ctl-warm-{}", start.key.base).into(),
    ]);
    let words = words
        .iter()
        .map(|word| CString::new(word.as_bytes()))
        .collect::<Result<Vec<_>, _>>();
    let words = words.map_err(|_| "a NUL in an argument")?;
    let variables = start
        .environment
        .strings()
        .map_err(|error| error.to_string())?;
    let words = pointers(&words);
    let variables = pointers(&variables);
    // SAFETY: this process has one thread; the child calls nothing that needs locks or memory,
    // and everything that it reads was made before.
    unsafe {
        let between = libc::fork();
        if between < 0 {
            return Err("no process for a parent".into());
        }
        if between == 0 {
            if libc::fork() == 0 {
                become_parent(
                    start.facts.terminal,
                    &placed,
                    &inherited,
                    &program,
                    &words,
                    &variables,
                );
            }
            libc::_exit(0);
        }
        let mut status = 0;
        while libc::waitpid(between, &raw mut status, 0) < 0
            && *libc::__errno_location() == libc::EINTR
        {}
    }
    Ok(())
}

/// In the new process.
///
/// # Safety
/// In a forked child, with NULL-terminated arrays of C strings.
unsafe fn become_parent(
    terminal: bool,
    placed: &[i32],
    inherited: &[i32],
    program: &CString,
    words: &[*const libc::c_char],
    variables: &[*const libc::c_char],
) -> ! {
    // SAFETY: passed on to the caller; numbers and whole sets otherwise.
    unsafe {
        if terminal {
            libc::setpgid(0, 0);
        } else {
            libc::setsid();
        }
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
        for (target, descriptor) in placed.iter().enumerate() {
            libc::dup2(*descriptor, target as i32);
        }
        for number in inherited {
            if *number >= placed.len() as i32 {
                libc::close(*number);
            }
        }
        libc::execve(program.as_ptr(), words.as_ptr(), variables.as_ptr());
        libc::_exit(127)
    }
}

fn configuration(start: &Start<'_>) -> Vec<u8> {
    let mut mounts = Vec::new();
    for mount in start.served.mounts() {
        mounts.extend_from_slice(mount.path());
        mounts.push(b'\n');
    }
    let leader = if start.facts.terminal {
        start.facts.session.to_string()
    } else {
        String::new()
    };
    let record = start.directory.join(&format!("{}.modules", start.key.base));
    let first = if start.first.is_some() {
        FIRST.to_string()
    } else {
        String::new()
    };
    let entries: [(&str, Vec<u8>); 12] = [
        ("slot", start.key.slot.clone()),
        ("base", start.key.base.clone().into()),
        ("slot_name", start.key.slot_name.clone().into()),
        ("served", mounts),
        ("directory", b"5".to_vec()),
        ("idle", start.limits.idle_seconds.to_string().into()),
        ("deadline", IMPORT_SECONDS_MAX.to_string().into()),
        ("memory", start.limits.memory_bytes.to_string().into()),
        ("record", record),
        ("preload", start.wish.preload.join(",").into()),
        ("leader", leader.into()),
        ("first", first.into()),
    ];
    let parts: Vec<Vec<u8>> = entries
        .into_iter()
        .flat_map(|(name, value)| [name.into(), value])
        .collect();
    parts.join(&0)
}

/// A file in memory.
fn content(bytes: &[u8]) -> rustix::io::Result<OwnedFd> {
    let file = memfd_create("velo-warm", MemfdFlags::CLOEXEC)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        rest = &rest[write(&file, rest)?..];
    }
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
    Ok(file)
}
