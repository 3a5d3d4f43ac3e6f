//! The lines that Velo writes to standard error: one clear line each, built in
//! a fixed buffer and written with one system call, so they never interleave.

use crate::sys;
use core::ffi::c_int;
use core::fmt::{self, Write as _};
use velo_core::errno::Errno;

const LINE_BYTES: usize = 1024;

/// One line under construction. What does not fit is cut.
pub struct Line {
    bytes: [u8; LINE_BYTES],
    used: usize,
}

impl Line {
    /// Starts with the program's name.
    pub fn new() -> Self {
        Self {
            bytes: [0; LINE_BYTES],
            used: 0,
        }
        .text(b"velo: ")
    }

    /// Appends raw text.
    pub fn text(mut self, text: &[u8]) -> Self {
        self.append(text);
        self
    }

    /// Appends a number.
    pub fn number(self, number: u64) -> Self {
        let mut buffer = [0; 20];
        let digits = decimal(number, &mut buffer);
        self.text(digits)
    }

    /// Appends an error number and, for the usual ones, its name.
    pub fn errno(self, error: Errno) -> Self {
        let name: &[u8] = match error {
            Errno::ENOENT => b"no such file",
            Errno::EACCES => b"permission denied",
            Errno::EIO => b"input/output error",
            Errno::ENOTDIR => b"not a directory",
            Errno::ENOMEM => b"out of memory",
            Errno::ELOOP => b"too many symbolic links",
            _ => return self.text(b"errno ").number(error.0 as u64),
        };
        self.text(name)
    }

    /// Appends what `value` displays as.
    pub fn display(mut self, value: &dyn fmt::Display) -> Self {
        let _ = write!(self, "{value}");
        self
    }

    fn append(&mut self, text: &[u8]) {
        // One byte stays free for the line's end.
        let room = (LINE_BYTES - 1).saturating_sub(self.used);
        let text = text.get(..room.min(text.len())).unwrap_or(text);
        if let Some(slot) = self.bytes.get_mut(self.used..self.used + text.len()) {
            slot.copy_from_slice(text);
            self.used += text.len();
        }
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.append(text.as_bytes());
        Ok(())
    }
}

/// Writes the line to standard error.
pub fn say(line: &Line) {
    say_on(2, line);
}

/// Writes the line to another descriptor.
pub fn say_on(descriptor: c_int, line: &Line) {
    let mut bytes = line.bytes;
    if let Some(end) = bytes.get_mut(line.used) {
        *end = b'\n';
    }
    sys::write(descriptor, bytes.get(..=line.used).unwrap_or(b""));
}

/// Decimal digits of `number` in `buffer`.
pub fn decimal(number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut rest = number;
    let mut start = buffer.len();
    for slot in buffer.iter_mut().rev() {
        *slot = b'0' + (rest % 10) as u8;
        rest /= 10;
        start -= 1;
        if rest == 0 {
            break;
        }
    }
    buffer.get(start..).unwrap_or(b"")
}
