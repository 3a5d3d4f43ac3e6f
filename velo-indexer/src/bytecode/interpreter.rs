//! The interpreters that bytecode is made with: where they are, and what they say they are.
//!
//! Starting one takes longer than indexing a tree that did not change. So what an ELF program
//! said is kept in the store beside its inode and times; a script (a version manager's shim)
//! may start another interpreter tomorrow and is asked each time.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access, stat};
use serde::{Deserialize, Serialize};

use super::process::{self, Ended};
use crate::cache;
use crate::error::IndexError;

const PROBE: &str = include_str!("probe.py");
/// File of the store's bytecode directory that keeps what interpreters said.
const KEPT: &str = "interpreters";
/// How many are kept.
const KEPT_MAX: usize = 64;
/// The first release with bytecode that names its source by hash (PEP 552).
const RELEASE_MIN: u32 = 0x0307_0000;

/// What decides an interpreter's bytecode.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(super) struct Identity {
    /// As in `cpython-311`, part of the names of its files.
    pub(super) tag: String,
    /// As in `3.11.7`.
    pub(super) version: String,
    /// `sys.hexversion`.
    pub(super) release: u32,
    /// First bytes of its files.
    pub(super) magic: [u8; 4],
}

/// An interpreter that can make bytecode.
#[derive(Clone, Debug)]
pub(super) struct Interpreter {
    /// As the user named it.
    pub(super) given: PathBuf,
    /// What is started.
    pub(super) program: PathBuf,
    pub(super) identity: Identity,
}

/// What a program said when it was in a certain state.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    path: Vec<u8>,
    state: [i128; 5],
    identity: Identity,
}

/// Finds all that are named and asks those that are not known. `directory` is the store's for
/// bytecode; `anew` asks all.
pub(super) fn find_all(
    named: &[PathBuf],
    directory: &Path,
    anew: bool,
    patience: Duration,
) -> Result<Vec<Interpreter>, IndexError> {
    let file = directory.join(KEPT);
    let mut kept: Vec<Kept> = cache::read_own(&file)
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let before = kept.clone();
    let mut found: Vec<Interpreter> = Vec::new();
    for given in named {
        let program = locate(given)?;
        let state = state(&program).filter(|_| is_elf(&program));
        let known = kept
            .iter()
            .find(|kept| Some(kept.state) == state && kept.path == program.as_os_str().as_bytes());
        let interpreter = match known {
            Some(known) if !anew => Interpreter {
                given: given.clone(),
                program,
                identity: known.identity.clone(),
            },
            _ => ask(given, &program, patience)?,
        };
        if let Some(state) = state {
            let path = interpreter.program.as_os_str().as_bytes().to_vec();
            kept.retain(|kept| kept.path != path);
            let identity = interpreter.identity.clone();
            kept.push(Kept {
                path,
                state,
                identity,
            });
        }
        add(&mut found, interpreter)?;
    }
    if kept != before {
        kept.drain(..kept.len().saturating_sub(KEPT_MAX));
        if let Ok(bytes) = serde_json::to_vec(&kept) {
            // Without it they are asked again, which is slow and nothing else.
            let _saved = cache::save(&file, &bytes);
        }
    }
    found.sort_by(|a, b| a.identity.cmp(&b.identity));
    Ok(found)
}

/// Adds one that is not among them yet. Two that differ and use the same file names exclude
/// each other.
fn add(found: &mut Vec<Interpreter>, next: Interpreter) -> Result<(), IndexError> {
    match found
        .iter()
        .find(|other| other.identity.tag == next.identity.tag)
    {
        None => found.push(next),
        Some(other) if other.identity == next.identity => {}
        Some(other) => {
            let (tag, version) = (&other.identity.tag, &other.identity.version);
            return Err(refused(
                &next.given,
                "one interpreter for each series",
                format!(
                    "{} and {version} ({}), whose files are both called *.{tag}.pyc",
                    next.identity.version,
                    other.given.display()
                ),
                "name one of them",
            ));
        }
    }
    Ok(())
}

/// The error of an interpreter that is of no use.
pub(super) fn refused(
    interpreter: &Path,
    expected: &'static str,
    found: impl Into<String>,
    remedy: impl Into<String>,
) -> IndexError {
    IndexError::Python {
        interpreter: interpreter.to_path_buf(),
        expected,
        found: found.into(),
        remedy: remedy.into(),
    }
}

/// The program that a name or a path means.
fn locate(given: &Path) -> Result<PathBuf, IndexError> {
    let usable = |path: &Path| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    if given.as_os_str().as_bytes().contains(&b'/') {
        let path = std::path::absolute(given).unwrap_or_else(|_| given.to_path_buf());
        if usable(&path) {
            return Ok(path);
        }
        let found = match std::fs::metadata(&path) {
            Err(error) => error.to_string(),
            Ok(found) if found.is_dir() => String::from("a directory"),
            Ok(_) => String::from("a file that cannot be executed"),
        };
        let remedy = "name the interpreter itself, as in .venv/bin/python";
        return Err(refused(given, "an interpreter", found, remedy));
    }
    let places = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&places)
        .map(|place| place.join(given))
        .find(|path| path.is_absolute() && usable(path))
        .ok_or_else(|| {
            let remedy = "install it, or name the path of an interpreter";
            refused(given, "a program in PATH", "none of that name", remedy)
        })
}

fn is_elf(program: &Path) -> bool {
    let mut start = [0; 4];
    std::fs::File::open(program)
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut start))
        .is_ok()
        && start == *b"\x7fELF"
}

/// What changes when a program is replaced.
fn state(program: &Path) -> Option<[i128; 5]> {
    const BILLION: i128 = 1_000_000_000;
    let found = stat(program).ok()?;
    Some([
        i128::from(found.st_dev),
        i128::from(found.st_ino),
        i128::from(found.st_size),
        i128::from(found.st_mtime) * BILLION + i128::from(found.st_mtime_nsec),
        i128::from(found.st_ctime) * BILLION + i128::from(found.st_ctime_nsec),
    ])
}

/// Starts `program` and hears what it is.
fn ask(given: &Path, program: &Path, patience: Duration) -> Result<Interpreter, IndexError> {
    const EXPECTED: &str = "a working CPython";
    let check = format!("see what `{} -c pass` says", given.display());
    let out = match process::output(program, PROBE, patience) {
        Ended::Well(out) => out,
        Ended::Badly(how) => return Err(refused(given, EXPECTED, how, check)),
        Ended::Never => {
            let seconds = patience.as_secs();
            let found = format!("no answer within {seconds} s");
            return Err(refused(
                given,
                EXPECTED,
                found,
                format!("{check}, or wait longer with --python-timeout"),
            ));
        }
    };
    let mut lines = out.split(|&byte| byte == b'\n');
    let mut line = || String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let (name, version, release, tag, magic) = (line(), line(), line(), line(), line());
    let own = PathBuf::from(OsString::from_vec(
        lines.next().unwrap_or_default().to_vec(),
    ));
    let Ok(release) = u32::from_str_radix(&release, 16) else {
        return Err(refused(given, EXPECTED, "another program", check));
    };
    const WANTED: &str = "CPython 3.7 or newer";
    const OTHER: &str = "name another interpreter";
    if name != "cpython" || release < RELEASE_MIN {
        let found = format!("{name} {version}");
        return Err(refused(given, WANTED, found, OTHER));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let fits = !tag.is_empty() && tag.len() <= 64 && tag.bytes().all(plain);
    let magic = u32::from_str_radix(&magic, 16).map(u32::to_be_bytes);
    let (true, Ok(magic)) = (fits, magic) else {
        let found = format!("{name} {version} without bytecode files");
        return Err(refused(given, WANTED, found, OTHER));
    };
    // What a script starts is started without it from now on.
    let program = if is_elf(program) || !own.is_absolute() {
        program.to_path_buf()
    } else {
        own
    };
    Ok(Interpreter {
        given: given.to_path_buf(),
        program,
        identity: Identity {
            tag,
            version,
            release,
            magic,
        },
    })
}
