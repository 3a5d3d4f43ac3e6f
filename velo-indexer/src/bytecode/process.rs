//! Interpreters as processes: started with a program text, talked to over a socket, never
//! waited for longer than is reasonable.
//!
//! A socket and not a pipe, because it has timeouts, and a send that raises no SIGPIPE in a
//! caller that does not ignore it. Nothing of the user's is imported: no site-packages, no
//! `PYTHON*` variables, not the working directory; and nothing is written: no bytecode, no core.

use std::io::{ErrorKind, Read};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// Most of what a probe may say.
const OUTPUT_BYTES_MAX: u64 = 64 << 10;

/// How a probe ended.
pub(super) enum Ended {
    /// Status 0 and this output.
    Well(Vec<u8>),
    /// Otherwise, described.
    Badly(String),
    /// Not within the time.
    Never,
}

/// `program` with the options and the environment that make it do what `text` says and
/// nothing else.
fn command(program: &Path, text: &str) -> Command {
    let mut command = Command::new(program);
    // `-I` would also ignore PYTHONHASHSEED, on which the order of frozensets, and so the
    // bytes before 3.11, depend: the variables go instead, and the text cleans `sys.path`.
    command.args(["-s", "-S", "-B", "-W", "ignore", "-c", text]);
    for (name, _) in std::env::vars_os() {
        if name.as_bytes().starts_with(b"PYTHON") {
            command.env_remove(name);
        }
    }
    command.env("PYTHONHASHSEED", "0").current_dir("/");
    command
}

/// Runs `text` to its end.
pub(super) fn output(program: &Path, text: &str, patience: Duration) -> Ended {
    let deadline = Instant::now() + patience;
    let started = || -> std::io::Result<_> {
        let (out, their_out) = UnixStream::pair()?;
        let (err, their_err) = UnixStream::pair()?;
        let child = command(program, text)
            .stdin(Stdio::null())
            .stdout(OwnedFd::from(their_out))
            .stderr(OwnedFd::from(their_err))
            .spawn()?;
        Ok((Guard(child), out, err))
    };
    let (mut child, out, err) = match started() {
        Ok(started) => started,
        Err(error) => return Ended::Badly(format!("cannot be started: {error}")),
    };
    let (Some(out), Some(err)) = (read_until(&out, deadline), read_until(&err, deadline)) else {
        return Ended::Never;
    };
    loop {
        match child.0.try_wait() {
            Ok(Some(status)) if status.success() => return Ended::Well(out),
            Ok(Some(status)) => return Ended::Badly(described(status, &err)),
            Ok(None) if Instant::now() > deadline => return Ended::Never,
            Ok(None) => std::thread::sleep(Duration::from_millis(1)),
            // A caller that ignores SIGCHLD has ignored it for us: what was said must do.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::CHILD) => {
                return Ended::Well(out);
            }
            Err(error) => return Ended::Badly(error.to_string()),
        }
    }
}

/// All that comes until the other side closes; `None` after the deadline.
fn read_until(stream: &UnixStream, deadline: Instant) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.checked_duration_since(Instant::now())?;
        stream
            .set_read_timeout(Some(left.max(Duration::from_millis(1))))
            .ok()?;
        match (&*stream).read(&mut buffer) {
            Ok(0) => return Some(all),
            Ok(count) if (all.len() as u64) < OUTPUT_BYTES_MAX => {
                all.extend_from_slice(buffer.get(..count).unwrap_or_default());
            }
            // More than anybody reads is not kept.
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => return None,
            Err(_) => return Some(all),
        }
    }
}

pub(super) fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// How a process ended, and the line of what it said that says most.
fn described(status: ExitStatus, err: &[u8]) -> String {
    let end = end_of(status);
    let text = String::from_utf8_lossy(err);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let said = if text.contains("Traceback") {
        lines.next_back()
    } else {
        lines.next()
    };
    match said {
        Some(line) => format!("{end} and `{line}`"),
        None => end,
    }
}

/// How a process ended.
pub(super) fn end_of(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("death by signal {signal}"),
        (None, None) => String::from("a strange end"),
    }
}

/// Ends its process when dropped.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// An interpreter that answers one request after the other.
pub(super) struct Conversation {
    child: Guard,
    stream: UnixStream,
}

impl Conversation {
    /// Starts `text` with `argument`; each read and write may take as long as `patience`.
    pub(super) fn start(
        program: &Path,
        text: &str,
        argument: &str,
        patience: Duration,
    ) -> std::io::Result<Self> {
        let (stream, theirs) = UnixStream::pair()?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let child = command(program, text)
            .arg(argument)
            .stdin(OwnedFd::from(theirs.try_clone()?))
            .stdout(OwnedFd::from(theirs))
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let none = Rlimit {
                current: Some(0),
                maximum: Some(0),
            };
            // Where it is forbidden, a crash may leave a core as any crash does.
            let _limited = prlimit(Some(pid), Resource::Core, none);
        }
        Ok(Self {
            child: Guard(child),
            stream,
        })
    }

    /// Sends all of `bytes`.
    pub(super) fn send(&self, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            match send(&self.stream, bytes, SendFlags::NOSIGNAL) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Fills `buffer`.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> std::io::Result<()> {
        (&self.stream).read_exact(buffer)
    }

    /// How it ended, for a conversation that broke off; ends it if it did not.
    pub(super) fn end(mut self) -> String {
        let _closed = self.stream.shutdown(Shutdown::Both);
        for _ in 0..100 {
            if let Ok(Some(status)) = self.child.0.try_wait() {
                return end_of(status);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        String::from("an answer that makes no sense")
    }
}
