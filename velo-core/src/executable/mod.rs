//! What execve(2) will make of a file, read from its first bytes: a script and its
//! interpreter, an ELF program, or neither; and whether a preloaded library can
//! serve that program.
//!
//! Invariants: no allocation, no panic, a bounded number of short reads whatever
//! the bytes say. Headers that make no sense are [`Kind::Other`]: the kernel, which
//! reads them again, has the last word.

mod elf;
mod search_path;
mod shebang;
#[cfg(test)]
mod tests;

pub use elf::{Elf, Interpreter, Machine};
pub use search_path::SearchPath;
pub use shebang::{SHEBANG_BYTES, Shebang};

/// A program file that can be read.
pub trait Source {
    /// What a failed read says.
    type Error;

    /// Fills `buffer` from byte `offset` on; less than all of it only at the file's end.
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> Result<usize, Self::Error>;
}

/// What a file is to execve(2).
#[allow(
    clippy::large_enum_variant,
    reason = "lives on the stack for one call, and there is no allocation to shrink it"
)]
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `#!interpreter [argument]`.
    Script(Shebang),
    /// An ELF program.
    Elf(Elf),
    /// Neither: the kernel (binfmt_misc) or a shell may know.
    Other,
}

/// Why a preloaded library would not serve a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Obstacle {
    /// No loader starts it, so nothing is preloaded into it.
    Static,
    /// Built by Go, whose runtime makes its system calls itself.
    Go,
    /// Bun, or a program that it was compiled into, likewise.
    Bun,
    /// Built for another machine than the library.
    Machine,
}

impl Obstacle {
    /// For people, after "it is".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Static => "statically linked",
            Self::Go => "a Go program, which makes system calls past every library",
            Self::Bun => "a Bun program, which makes system calls past every library",
            Self::Machine => "built for another machine than the preload library",
        }
    }
}

/// Bytes of a file that are read first; the headers of most programs lie within.
const HEAD_BYTES: usize = 2048;

/// Looks at a file.
///
/// # Errors
/// Those of `source`.
pub fn look<S: Source>(source: &mut S) -> Result<Kind, S::Error> {
    let mut head = [0; HEAD_BYTES];
    let length = source.read_at(&mut head, 0)?;
    let head = head.get(..length).unwrap_or(&[]);
    if head.starts_with(b"#!") {
        return Ok(shebang::read(head).map_or(Kind::Other, Kind::Script));
    }
    if head.starts_with(b"\x7fELF") {
        return Ok(elf::read(source, head)?.map_or(Kind::Other, Kind::Elf));
    }
    Ok(Kind::Other)
}
