//! One command with everything that its result may depend on, and what came of it.
//!
//! The environment is built from nothing, the process group is the command's own, and a
//! deadline ends the whole group: a hang is a result (`Ended::Deadline`), never a stuck test.

use std::ffi::{CString, OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::artifacts;
use crate::namespace::Namespace;
use crate::scratch;

/// A command to run, the same on every side of a comparison.
#[derive(Clone, Debug)]
pub struct Call {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: PathBuf,
    user: Option<u32>,
    input: Vec<u8>,
    deadline: Duration,
}

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// With this exit status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// Not within its deadline.
    Deadline,
}

/// What a command did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// Wall time.
    pub took: Duration,
}

impl Outcome {
    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    #[must_use]
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// This outcome, which must be exit status 0.
    ///
    /// # Panics
    /// If it is another.
    #[must_use]
    pub fn success(self) -> Self {
        assert_eq!(
            self.ended,
            Ended::Status(0),
            "stdout:\n{}stderr:\n{}",
            last(&self.text()),
            last(&self.errors())
        );
        self
    }
}

impl Call {
    /// Runs `program` (found in the tests' PATH unless it has a slash).
    #[must_use]
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let name = program.as_ref();
        let program = match name.as_bytes().contains(&b'/') {
            true => name.to_os_string(),
            false => artifacts::program(&name.to_string_lossy()).into_os_string(),
        };
        let temporary = scratch::temporary().display().to_string();
        let environment = [
            ("TMPDIR", &*temporary),
            ("PATH", artifacts::PATH),
            ("LC_ALL", "C"),
            ("TZ", "UTC"),
            ("HOME", "/nonexistent"),
        ];
        Self {
            program,
            arguments: Vec::new(),
            environment: environment
                .map(|(name, value)| (name.into(), value.into()))
                .to_vec(),
            directory: PathBuf::from("/"),
            user: None,
            input: Vec::new(),
            deadline: Duration::from_secs(120),
        }
    }

    /// Runs `script` in bash.
    #[must_use]
    pub fn bash(script: &str) -> Self {
        Self::new("bash").args(["-c", script])
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_os_string());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(
            arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_os_string()),
        );
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.retain(|(known, _)| known != name.as_ref());
        self.environment
            .push((name.as_ref().to_os_string(), value.as_ref().to_os_string()));
        self
    }

    /// Runs what `other` runs, with the environment and user of `self`.
    #[must_use]
    pub fn on(self, other: Self) -> Self {
        Self {
            program: other.program,
            arguments: other.arguments,
            ..self
        }
    }

    /// Sends what it says on standard error nowhere.
    #[must_use]
    pub fn stdout_only(mut self) -> Self {
        let script = "exec \"$@\" 2> /dev/null".into();
        let program = std::mem::replace(
            &mut self.program,
            artifacts::program("bash").into_os_string(),
        );
        self.arguments
            .splice(0..0, ["-c".into(), script, "bash".into(), program]);
        self
    }

    /// Starts in `directory`, entered by the kernel after the mounts are made.
    #[must_use]
    pub fn started_in(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = directory.as_ref().to_path_buf();
        self
    }

    /// Enters `directory` by `env -C`, that is under the preload.
    #[must_use]
    pub fn cwd(mut self, directory: impl AsRef<OsStr>) -> Self {
        let program = std::mem::replace(
            &mut self.program,
            artifacts::program("env").into_os_string(),
        );
        self.arguments.splice(
            0..0,
            ["-C".into(), directory.as_ref().to_os_string(), program],
        );
        self
    }

    /// Runs as this user, with no groups but its own and no capabilities.
    #[must_use]
    pub fn user(mut self, user: u32) -> Self {
        self.user = Some(user);
        self
    }

    /// Runs as this user if the tests run as root, else as who they run as.
    #[must_use]
    pub fn user_if_root(self, user: u32) -> Self {
        if crate::is_root() {
            self.user(user)
        } else {
            self
        }
    }

    /// Gives `bytes` on standard input.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// Ends it after `deadline`.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The command as a person would type it, without the environment.
    #[must_use]
    pub fn line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        let mut line = words
            .map(|word| word.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
            .join(" ");
        if let Some(user) = self.user {
            line.push_str(&format!("   (as user {user})"));
        }
        line
    }

    /// Runs the command in `namespace`, or as it stands.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn run(&self, namespace: Option<Namespace>) -> Outcome {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let directory = CString::new(self.directory.as_os_str().as_bytes()).unwrap_or_default();
        let user = self.user;
        // SAFETY: between fork and exec the closure makes system calls only, on memory that
        // was prepared before.
        unsafe {
            command.pre_exec(move || {
                if let Some(namespace) = &namespace {
                    namespace.enter()?;
                }
                // Whatever the tests themselves were started with stays out.
                libc::close_range(
                    3,
                    libc::c_uint::MAX,
                    libc::CLOSE_RANGE_CLOEXEC.cast_signed(),
                );
                check(libc::chdir(directory.as_ptr()))?;
                if let Some(user) = user {
                    check(libc::setgroups(0, std::ptr::null()))?;
                    check(libc::setresgid(user, user, user))?;
                    check(libc::setresuid(user, user, user))?;
                }
                // Last, because a change of user takes it back.
                check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))
            });
        }
        let started = Instant::now();
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.line()));
        let (mut input, bytes) = (child.stdin.take(), self.input.clone());
        let writer = std::thread::spawn(move || {
            if let Some(pipe) = &mut input {
                let _ = std::io::Write::write_all(pipe, &bytes);
            }
        });
        let stdout = reader(child.stdout.take());
        let stderr = reader(child.stderr.take());
        let group = -i32::try_from(child.id()).unwrap_or(0);
        let mut overdue = false;
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if started.elapsed() > self.deadline && !overdue => {
                    overdue = true;
                    // SAFETY: the group is that of our own child, which is not reaped yet.
                    unsafe { libc::kill(group, libc::SIGKILL) };
                }
                Ok(None) => std::thread::sleep(pause(started.elapsed())),
                Err(error) => panic!("wait: {error}"),
            }
        };
        let took = started.elapsed();
        // SAFETY: ends what the command left behind in its own group, which also closes the pipes.
        unsafe { libc::kill(group, libc::SIGKILL) };
        let _ = writer.join();
        let ended = match (overdue, status.signal()) {
            (true, _) => Ended::Deadline,
            (false, Some(signal)) => Ended::Signal(signal),
            (false, None) => Ended::Status(status.code().unwrap_or(-1)),
        };
        Outcome {
            ended,
            stdout: stdout.join().unwrap_or_default(),
            stderr: stderr.join().unwrap_or_default(),
            took,
        }
    }
}

/// The last of a long text.
fn last(text: &str) -> &str {
    let from = text.char_indices().rev().nth(2000).map_or(0, |(at, _)| at);
    &text[from..]
}

/// Short at first, so that short commands are timed well, then longer.
fn pause(elapsed: Duration) -> Duration {
    Duration::from_micros(if elapsed < Duration::from_millis(100) {
        200
    } else {
        2000
    })
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// The error of a C call that answered `result`.
pub(crate) fn check(result: libc::c_int) -> std::io::Result<()> {
    if result < 0 {
        Err(std::io::Error::last_os_error())
    } else {
        Ok(())
    }
}
