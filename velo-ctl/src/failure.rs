//! What a command failed with, and how that is said.
//!
//! One line on stderr, `velo: <what was expected, what was found, what to do>`;
//! for a path the usual words of strerror(3), as `ls` and `cat` say them.
//! Nothing here panics when stderr is gone.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use velo_core::errno::Errno;

use crate::output::printable;

/// Exit statuses that `docs/CLI.md` documents.
pub mod status {
    /// Everything was done.
    pub const DONE: u8 = 0;
    /// Something failed, or a check found a fault; of `diff`: they differ.
    pub const FAILED: u8 = 1;
    /// The command line was wrong; of `diff`: no answer.
    pub const USAGE: u8 = 2;
    /// Of `run`: Velo itself failed before the command started.
    pub const VELO: u8 = 125;
    /// Of `run`: the command was found and cannot be executed.
    pub const CANNOT_EXECUTE: u8 = 126;
    /// Of `run`: no such command, or an unusable manifest.
    pub const NOT_FOUND: u8 = 127;
}

/// A failure: the line to say and the status to exit with.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    /// A failure in free words.
    pub fn new(message: impl fmt::Display) -> Self {
        Self {
            status: status::FAILED,
            message: without_numbers(&message.to_string()),
        }
    }

    /// The house sentence: what was expected, what was found, what to do.
    pub fn expected(
        expected: impl fmt::Display,
        found: impl fmt::Display,
        remedy: impl fmt::Display,
    ) -> Self {
        Self::new(format_args!("expected {expected}, found {found}; {remedy}"))
    }

    /// `path: No such file or directory` and the like.
    pub fn path(path: &[u8], errno: Errno) -> Self {
        Self::new(format_args!("{}: {}", printable(path), words(errno)))
    }

    /// The same for an error of the standard library.
    pub fn io(path: &Path, error: &io::Error) -> Self {
        use std::os::unix::ffi::OsStrExt;
        Self::new(format_args!(
            "{}: {}",
            printable(path.as_os_str().as_bytes()),
            io_words(error)
        ))
    }

    /// The same failure with another exit status.
    #[must_use]
    pub fn with_status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    /// The same failure with what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl fmt::Display) -> Self {
        self.message = format!("{}; {remedy}", self.message);
        self
    }

    /// The status to exit with.
    pub fn status(&self) -> u8 {
        self.status
    }

    /// Says it on stderr. A stderr that cannot be written is nobody's error.
    pub fn report(&self) {
        let _ = writeln!(io::stderr(), "velo: {}", self.message);
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

/// What strerror(3) says of `errno`.
pub fn words(errno: Errno) -> String {
    io_words(&io::Error::from_raw_os_error(errno.0))
}

/// What strerror(3) says, without Rust's `(os error N)`.
pub fn io_words(error: &io::Error) -> String {
    without_numbers(&error.to_string())
}

/// `text` without every ` (os error N)`.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                out.push_str(rest);
            }
            _ => {
                out.push_str(" (os error ");
                out.push_str(part);
            }
        }
    }
    out
}

/// Bytes of an argument or path, for messages.
pub fn shown(text: &OsStr) -> String {
    use std::os::unix::ffi::OsStrExt;
    printable(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::without_numbers;

    #[test]
    fn errors_of_the_system_lose_their_numbers_and_nothing_else() {
        let text = "/a: cannot read: No such file or directory (os error 2); /b (Is a directory (os error 21)) and 5 more";
        let expected = "/a: cannot read: No such file or directory; /b (Is a directory) and 5 more";
        assert_eq!(without_numbers(text), expected);
        assert_eq!(without_numbers("/x (os error a)"), "/x (os error a)");
    }
}
