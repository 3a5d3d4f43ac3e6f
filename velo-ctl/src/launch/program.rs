//! What a program file is: an ELF object that loads libraries, one that does not,
//! a script with its interpreter, or something else.
//!
//! Only the first bytes and the program headers are read; whatever they say, the
//! answer is a [`Kind`] or an I/O error, never a panic.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of a script's first line that the kernel looks at (BINPRM_BUF_SIZE).
const SHEBANG_BYTES: usize = 256;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_SONAME: u64 = 14;
/// More program headers or dynamic entries than any real object has.
const COUNT_MAX: u64 = 4096;

/// The machine an ELF object is for: class (32 or 64 bit), byte order, `e_machine`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Machine {
    class: u8,
    order: u8,
    machine: u16,
}

/// What a file is to execve(2).
#[derive(PartialEq, Eq, Debug)]
pub enum Kind {
    /// An ELF object that a dynamic loader starts (or that is the loader).
    Dynamic(Machine),
    /// An ELF program without a loader: LD_PRELOAD means nothing to it.
    Static(Machine),
    /// `#!interpreter [argument]`.
    Script {
        /// Path as written.
        interpreter: Vec<u8>,
        /// The rest of the line, as one argument.
        argument: Option<Vec<u8>>,
    },
    /// Neither: the kernel (binfmt_misc) or `/bin/sh` may know.
    Other,
}

/// Looks at an open file.
pub fn kind(file: &File) -> io::Result<Kind> {
    let mut head = [0; SHEBANG_BYTES];
    let length = read_up_to(file, &mut head, 0)?;
    let head = &head[..length];
    if head.starts_with(b"#!") {
        return Ok(shebang(head));
    }
    if head.starts_with(b"\x7fELF") {
        return Ok(elf(file, head)?.unwrap_or(Kind::Other));
    }
    Ok(Kind::Other)
}

/// Parses the first line as the kernel's binfmt_script does.
fn shebang(head: &[u8]) -> Kind {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let whole = head.iter().position(|&byte| byte == b'\n');
    let line = &head[2..whole.unwrap_or(head.len())];
    let line = line.split(|&byte| byte == 0).next().unwrap_or(line);
    let start = line
        .iter()
        .position(|byte| !blank(byte))
        .unwrap_or(line.len());
    let end = line
        .iter()
        .rposition(|byte| !blank(byte))
        .map_or(start, |last| last + 1);
    let line = &line[start..end];
    let name_end = line.iter().position(blank);
    // A name that fills the buffer was cut off: the kernel says ENOEXEC.
    let cut = whole.is_none() && head.len() == SHEBANG_BYTES && name_end.is_none();
    if line.is_empty() || cut {
        return Kind::Other;
    }
    let (name, rest) = line.split_at(name_end.unwrap_or(line.len()));
    let argument = rest
        .iter()
        .position(|byte| !blank(byte))
        .map(|begin| rest[begin..].to_vec());
    Kind::Script {
        interpreter: name.to_vec(),
        argument,
    }
}

/// Reads little-endian or big-endian fields of either class.
struct Layout {
    wide: bool,
    big_endian: bool,
}

impl Layout {
    fn number(&self, bytes: &[u8], offset: usize, width: usize) -> Option<u64> {
        let field = bytes.get(offset..offset.checked_add(width)?)?;
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if self.big_endian {
            field.iter().fold(0, fold)
        } else {
            field.iter().rev().fold(0, fold)
        })
    }

    /// A field that is as wide as an address, at its offset in either class.
    fn word(&self, bytes: &[u8], offset_32: usize, offset_64: usize) -> Option<u64> {
        if self.wide {
            self.number(bytes, offset_64, 8)
        } else {
            self.number(bytes, offset_32, 4)
        }
    }
}

/// `None` when the headers make no sense.
fn elf(file: &File, head: &[u8]) -> io::Result<Option<Kind>> {
    let (Some(&class), Some(&order)) = (head.get(4), head.get(5)) else {
        return Ok(None);
    };
    let layout = Layout {
        wide: class == 2,
        big_endian: order == 2,
    };
    let entry_offsets = if layout.wide { (54, 56) } else { (42, 44) };
    let fields = (
        layout.number(head, 18, 2),
        layout.word(head, 28, 32),
        layout.number(head, entry_offsets.0, 2),
        layout.number(head, entry_offsets.1, 2),
    );
    let (Some(machine), Some(table), Some(entry_bytes), Some(count)) = fields else {
        return Ok(None);
    };
    let machine = Machine {
        class,
        order,
        machine: machine as u16,
    };
    let mut dynamic = None;
    let mut header = vec![0; entry_bytes as usize];
    for position in 0..count.min(COUNT_MAX) {
        let Some(offset) = position
            .checked_mul(entry_bytes)
            .and_then(|skip| skip.checked_add(table))
        else {
            return Ok(None);
        };
        if read_up_to(file, &mut header, offset)? < header.len() {
            return Ok(None);
        }
        match layout.number(&header, 0, 4) {
            Some(kind) if kind == u64::from(PT_INTERP) => return Ok(Some(Kind::Dynamic(machine))),
            Some(kind) if kind == u64::from(PT_DYNAMIC) => {
                dynamic = layout.word(&header, 4, 8).zip(layout.word(&header, 16, 32));
            }
            Some(_) => {}
            None => return Ok(None),
        }
    }
    // The loader itself, run as a command, has no PT_INTERP and honours LD_PRELOAD.
    match dynamic {
        Some((offset, bytes)) if has_soname(file, &layout, offset, bytes)? => {
            Ok(Some(Kind::Dynamic(machine)))
        }
        _ => Ok(Some(Kind::Static(machine))),
    }
}

fn has_soname(file: &File, layout: &Layout, offset: u64, bytes: u64) -> io::Result<bool> {
    let step: u64 = if layout.wide { 16 } else { 8 };
    let mut entry = vec![0; step as usize];
    for position in 0..(bytes / step).min(COUNT_MAX) {
        let Some(at) = offset.checked_add(position * step) else {
            break;
        };
        if read_up_to(file, &mut entry, at)? < entry.len() {
            break;
        }
        match layout.word(&entry, 0, 0) {
            Some(DT_SONAME) => return Ok(true),
            Some(0) | None => break,
            Some(_) => {}
        }
    }
    Ok(false)
}

fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::{Kind, kind, shebang};

    fn script(interpreter: &str, argument: Option<&str>) -> Kind {
        let argument = argument.map(|text| text.as_bytes().to_vec());
        Kind::Script {
            interpreter: interpreter.as_bytes().to_vec(),
            argument,
        }
    }

    #[test]
    fn first_lines_are_read_as_the_kernel_reads_them() {
        assert_eq!(shebang(b"#!/bin/sh\necho"), script("/bin/sh", None));
        assert_eq!(
            shebang(b"#! \t/usr/bin/env  python3 -X dev \t\nx"),
            script("/usr/bin/env", Some("python3 -X dev"))
        );
        assert_eq!(shebang(b"#!/bin/true"), script("/bin/true", None));
        assert_eq!(shebang(b"#!\n/bin/sh"), Kind::Other);
        assert_eq!(shebang(b"#!   "), Kind::Other);
        let mut long = b"#!/".to_vec();
        long.resize(256, b'a');
        assert_eq!(shebang(&long), Kind::Other, "a name cut off at 256 bytes");
        long[250] = b' ';
        assert_eq!(
            shebang(&long),
            script(&format!("/{}", "a".repeat(247)), Some("aaaaa"))
        );
    }

    #[test]
    fn this_test_is_dynamic_and_the_loader_counts_as_dynamic() {
        let own = kind(&File::open("/proc/self/exe").unwrap()).unwrap();
        assert!(matches!(own, Kind::Dynamic(_)), "{own:?}");
        for loader in ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"] {
            if let Ok(file) = File::open(loader) {
                assert_eq!(kind(&file).unwrap(), own, "{loader}");
            }
        }
    }

    #[test]
    fn broken_headers_are_an_answer() {
        let path = std::env::temp_dir().join(format!("velo-ctl-elf-{}", std::process::id()));
        let mut start = vec![0; 1000];
        File::open("/proc/self/exe")
            .unwrap()
            .read_exact_at(&mut start, 0)
            .unwrap();
        for length in 4..1000 {
            std::fs::write(&path, &start[..length]).unwrap();
            let found = kind(&File::open(&path).unwrap()).unwrap();
            assert!(!matches!(found, Kind::Script { .. }), "{length}: {found:?}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
