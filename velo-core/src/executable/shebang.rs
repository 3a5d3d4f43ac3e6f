//! The first line of a script, split as the kernel splits it (execve(2),
//! "Interpreter scripts"; `binfmt_script`).

/// Bytes of a file that the kernel looks at (`BINPRM_BUF_SIZE`).
pub const SHEBANG_BYTES: usize = 256;

/// A `#!` line; both texts are C strings within it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shebang {
    line: [u8; SHEBANG_BYTES + 1],
    interpreter: usize,
    argument: Option<usize>,
}

impl Shebang {
    /// The interpreter's path as written.
    #[must_use]
    pub fn interpreter(&self) -> &core::ffi::CStr {
        self.text(self.interpreter)
    }

    /// The rest of the line, which is one argument.
    #[must_use]
    pub fn argument(&self) -> Option<&core::ffi::CStr> {
        self.argument.map(|at| self.text(at))
    }

    fn text(&self, at: usize) -> &core::ffi::CStr {
        // The last byte of the line is always a NUL.
        core::ffi::CStr::from_bytes_until_nul(self.line.get(at..).unwrap_or(&[])).unwrap_or(c"")
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Splits the line; `None` where the kernel says ENOEXEC.
pub(super) fn read(head: &[u8]) -> Option<Shebang> {
    let mut line = [0; SHEBANG_BYTES + 1];
    for (slot, byte) in line
        .iter_mut()
        .zip(head.get(..head.len().min(SHEBANG_BYTES))?)
    {
        *slot = *byte;
    }
    let text_end = line
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(SHEBANG_BYTES);
    let newline = line.get(..text_end)?.iter().position(|byte| *byte == b'\n');
    let not_blank = |line: &[u8], from: usize, to: usize| {
        (from..to).find(|at| line.get(*at).is_some_and(|byte| !is_blank(*byte)))
    };
    let ends_name = |byte: u8| is_blank(byte) || byte == 0;
    let name_end = |line: &[u8], from: usize, to: usize| {
        (from..to).find(|at| line.get(*at).is_some_and(|byte| ends_name(*byte)))
    };
    let mut end = match newline {
        Some(newline) => newline,
        None => {
            // The line may go on where the kernel does not look: the name must be whole.
            let name = not_blank(&line, 2, SHEBANG_BYTES)?;
            name_end(&line, name, SHEBANG_BYTES)?;
            SHEBANG_BYTES - 1
        }
    };
    while end > 2 && line.get(end - 1).is_some_and(|byte| is_blank(*byte)) {
        end -= 1;
    }
    *line.get_mut(end)? = 0;
    let interpreter = not_blank(&line, 2, end)?;
    if line.get(interpreter) == Some(&0) {
        return None;
    }
    let separator = name_end(&line, interpreter, end);
    let argument = separator
        .filter(|at| line.get(*at) != Some(&0))
        .and_then(|at| not_blank(&line, at, end));
    if let Some(slot) = separator.and_then(|at| line.get_mut(at)) {
        *slot = 0;
    }
    Some(Shebang {
        line,
        interpreter,
        argument,
    })
}
