//! Standard output: plain text, JSON, and names that may hold any byte.
//!
//! Written through one buffer and flushed by [`Output::finish`]; a failed write is
//! a [`Failure`], never a panic. Colour only on a terminal, without NO_COLOR and
//! with a TERM other than `dumb`.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::failure::{Failure, io_words};

/// `--json`, for every command that prints.
#[derive(Args, Debug, Clone, Copy)]
pub struct FormatArguments {
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// The buffered standard output of one command.
pub struct Output {
    buffer: BufWriter<Raw>,
    color: bool,
    terminal: bool,
}

impl Output {
    /// Standard output as it is: coloured or not.
    pub fn new() -> Self {
        let terminal = io::stdout().is_terminal();
        let silenced = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_none_or(|value| value == "dumb");
        Self {
            buffer: BufWriter::with_capacity(1 << 16, Raw),
            color: terminal && !silenced,
            terminal,
        }
    }

    /// One line of text.
    pub fn line(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        writeln!(self.buffer, "{text}").map_err(|error| write_failure(&error))
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.buffer
            .write_all(bytes)
            .map_err(|error| write_failure(&error))
    }

    /// A name: raw in a pipe, made harmless on a terminal.
    pub fn name(&mut self, name: &[u8]) -> Result<(), Failure> {
        if self.terminal {
            self.bytes(printable(name).as_bytes())
        } else {
            self.bytes(name)
        }
    }

    /// One JSON document, indented, with a newline.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer_pretty(&mut self.buffer, value)
            .map_err(|error| write_failure(&error.into()))?;
        self.bytes(b"\n")
    }

    /// `text` in `color`, where colour is wanted.
    pub fn painted(&self, text: &str, color: AnsiColor) -> String {
        if !self.color {
            return text.to_owned();
        }
        let style = Style::new().fg_color(Some(color.into())).bold();
        format!("{style}{text}{style:#}")
    }

    /// Hands everything to the kernel. Every command ends with this.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.buffer.flush().map_err(|error| write_failure(&error))
    }
}

/// Descriptor 1, written as it is: `io::Stdout` takes a closed one for success.
struct Raw;

impl Write for Raw {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(io::stdout().as_fd(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What coreutils say when standard output cannot be written.
pub fn write_failure(error: &io::Error) -> Failure {
    Failure::new(format_args!("write error: {}", io_words(error)))
}

/// `bytes` as text that cannot upset a terminal: control characters and bytes
/// that are not UTF-8 become `\n`, `\t` or `\xNN`, a backslash stays.
pub fn printable(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                _ if letter.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(letter))),
                _ => out.push(letter),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// A name in JSON: a string; `{"lossy": …, "hex": …}` when it is not UTF-8.
pub struct JsonName<'a>(pub &'a [u8]);

impl Serialize for JsonName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                let mut fields = serializer.serialize_struct("name", 2)?;
                fields.serialize_field("lossy", &String::from_utf8_lossy(self.0))?;
                fields.serialize_field("hex", &hex(self.0))?;
                fields.end()
            }
        }
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{JsonName, printable};

    #[test]
    fn control_characters_and_broken_utf8_are_spelled_out() {
        assert_eq!(printable("naïve.py".as_bytes()), "naïve.py");
        assert_eq!(printable(b"a\x1b[31m\n\xff"), "a\\x1b[31m\\n\\xff");
    }

    #[test]
    fn json_names_keep_every_byte() {
        assert_eq!(
            serde_json::to_string(&JsonName(b"a\"b")).unwrap(),
            r#""a\"b""#
        );
        assert_eq!(
            serde_json::to_string(&JsonName(b"\xffz")).unwrap(),
            "{\"lossy\":\"\u{fffd}z\",\"hex\":\"ff7a\"}"
        );
    }
}
