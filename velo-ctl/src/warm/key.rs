//! The names of parents. A slot is everything that is known before anything was imported; the
//! key adds the values of what the imports looked at (variables, the working directory).
//!
//! `velo_hooks.warm.inputs` computes the same names. They only find a parent: both texts are
//! compared before it is used.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::failure::shown;
use crate::served::Served;

use super::directory::Directory;
use super::facts::Facts;
use super::python::{App, Kind};
use super::{Reason, Wish};

/// Variables that are read before or beside Python's `os.environ`: by the loader, the
/// interpreter, its start-up files, and C libraries when they are loaded.
const READ_AT_START: [&str; 38] = [
    "PYTHON",
    "LD_",
    "VELO_",
    "LC_",
    "LANG",
    "COVERAGE_",
    "SETUPTOOLS_",
    "OMP_",
    "GOMP_",
    "KMP_",
    "MKL_",
    "OPENBLAS_",
    "GOTO_",
    "BLIS_",
    "BLAS_",
    "NUMEXPR_",
    "VECLIB_",
    "CUDA_",
    "NVIDIA_",
    "HIP_",
    "ROCR_",
    "ONEAPI_",
    "SYCL_",
    "OPENSSL_",
    "SSL_",
    "MALLOC_",
    "GLIBC_",
    "JEMALLOC_",
    "TZ",
    "HOME",
    "PATH",
    "TMPDIR",
    "TEMP",
    "TMP",
    "VIRTUAL_ENV",
    "XDG_",
    "GCONV_PATH",
    "LOCPATH",
];
/// As `inputs.VOLATILE`.
const VOLATILE: [&str; 9] = [
    "_",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "COLUMNS",
    "LINES",
    "WINDOWID",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
];

/// The names that belong to one way to start one application.
#[derive(Debug)]
pub struct Key {
    /// Of the application: its record and inputs.
    pub base: String,
    /// Of the slot.
    pub slot_name: String,
    /// The slot's text.
    pub slot: Vec<u8>,
    /// Of the parent.
    pub name: String,
    /// The identities of the manifests.
    pub manifests: String,
}

impl Key {
    /// Computes them.
    pub fn new(
        app: &App,
        facts: &Facts,
        variables: &[OsString],
        served: &Served,
        wish: &Wish,
        directory: &Directory,
    ) -> Result<Self, Reason> {
        let here =
            std::env::current_dir().map_err(|error| format!("working directory: {error}"))?;
        let mut slot = Vec::new();
        let line = |slot: &mut Vec<u8>, name: &str, value: &[u8]| {
            slot.extend_from_slice(name.as_bytes());
            slot.push(b'=');
            slot.extend(
                value
                    .iter()
                    .map(|byte| if *byte == b'\n' { b' ' } else { *byte }),
            );
            slot.push(b'\n');
        };
        let shown_target = match app.kind {
            Kind::Script => here.join(app.target()).into_os_string().into_vec(),
            Kind::Module => [b"-m ", app.target().as_bytes()].concat(),
            Kind::Command => [b"-c ", app.target().as_bytes()].concat(),
        };
        line(
            &mut slot,
            "app",
            if wish.preload.is_empty() {
                &shown_target
            } else {
                b"any"
            },
        );
        line(&mut slot, "preload", wish.preload.join(",").as_bytes());
        line(&mut slot, "python", app.program.as_os_str().as_bytes());
        let mut flags = Vec::new();
        for word in app.flags() {
            flags.extend_from_slice(word.as_bytes());
            flags.push(b' ');
        }
        flags.extend_from_slice(app.letters());
        line(&mut slot, "flags", &flags);
        if wish.preload.is_empty() && app.kind == Kind::Command {
            // Whatever the line above made of its ends of lines.
            line(
                &mut slot,
                "command",
                fnv(&[app.target().as_bytes()]).as_bytes(),
            );
        }
        let base = fnv(&[&slot]);
        let mut manifests = String::new();
        for file in &served.files {
            for byte in file.manifest.body_digest() {
                let _ = write!(manifests, "{byte:02x}");
            }
            manifests.push(' ');
        }
        line(&mut slot, "manifests", manifests.trim_end().as_bytes());
        slot.push(b'\n');
        for mount in served.mounts() {
            line(&mut slot, "mount", mount.path());
        }
        line(&mut slot, "interpreter", identity(&app.program)?.as_bytes());
        let argument = app.arguments[0].as_bytes();
        // How the interpreter finds itself.
        let invoked = match argument.contains(&b'/') {
            true => here.join(&app.arguments[0]),
            false => PathBuf::from(&app.arguments[0]),
        };
        line(&mut slot, "invoked", invoked.as_os_str().as_bytes());
        for configuration in ["pyvenv.cfg", "../pyvenv.cfg"] {
            let path = invoked
                .parent()
                .unwrap_or(Path::new("/"))
                .join(configuration);
            line(
                &mut slot,
                "venv",
                identity(&path).unwrap_or_default().as_bytes(),
            );
        }
        slot.extend_from_slice(&facts.text);
        let mut at_start: Vec<&OsString> = variables
            .iter()
            .filter(|pair| is_read_at_start(pair))
            .collect();
        at_start.sort();
        for pair in at_start {
            line(&mut slot, "variable", pair.as_bytes());
        }
        // The parent gets it as a string.
        slot.iter_mut()
            .filter(|byte| **byte == 0)
            .for_each(|byte| *byte = b' ');
        let values = values(
            &directory.inputs(&base),
            variables,
            here.as_os_str().as_bytes(),
        );
        let name = fnv(&[&slot, b"\0", &values]);
        Ok(Self {
            base,
            slot_name: fnv(&[&slot]),
            name,
            manifests: manifests.trim_end().into(),
            slot,
        })
    }
}

/// Which file a path is, and whether it is still that.
fn identity(path: &Path) -> Result<String, Reason> {
    let found =
        fs::metadata(path).map_err(|error| format!("{}: {error}", shown(path.as_os_str())))?;
    Ok(format!(
        "{}:{}:{}:{}.{:09}",
        found.dev(),
        found.ino(),
        found.size(),
        found.mtime(),
        found.mtime_nsec()
    ))
}

fn is_read_at_start(pair: &OsString) -> bool {
    // Bounds of parents are nothing to programs.
    !pair.as_bytes().starts_with(b"VELO_WARM_")
        && READ_AT_START
            .iter()
            .any(|prefix| pair.as_bytes().starts_with(prefix.as_bytes()))
}

/// The values of recorded inputs: lines of `*` (all variables), `.` (the working directory),
/// `=NAME`.
fn values(inputs: &[u8], variables: &[OsString], here: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = inputs.split(|byte| *byte == b'\n').collect();
    let mut names: Vec<&[u8]> = lines
        .iter()
        .filter_map(|line| line.strip_prefix(b"="))
        .collect();
    let of = |pair: &'_ OsString| -> Option<usize> {
        // A name has at least one byte, as Python sees it.
        pair.as_bytes()
            .iter()
            .skip(1)
            .position(|byte| *byte == b'=')
            .map(|at| at + 1)
    };
    if lines.contains(&&b"*"[..]) {
        let all = variables
            .iter()
            .filter_map(|pair| Some(&pair.as_bytes()[..of(pair)?]));
        names.extend(
            all.filter(|name| !VOLATILE.iter().any(|volatile| volatile.as_bytes() == *name)),
        );
    }
    names.sort_unstable();
    names.dedup();
    let mut text = Vec::new();
    for name in names {
        let pair = variables
            .iter()
            .find(|pair| of(pair).is_some_and(|at| &pair.as_bytes()[..at] == name));
        text.extend_from_slice(pair.map_or(name, |pair| pair.as_bytes()));
        text.push(0);
    }
    if lines.contains(&&b"."[..]) {
        text.push(b'/');
        text.extend_from_slice(here);
        text.push(0);
    }
    text
}

/// FNV-1a: short names, no secrets.
pub fn fnv(parts: &[&[u8]]) -> String {
    let hash = parts
        .iter()
        .copied()
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    #[test]
    fn values_are_those_of_recorded_names_and_absent_ones_count() {
        let variables: Vec<OsString> = ["A=1", "B=2", "PWD=/x"].map(OsString::from).to_vec();
        let values = |inputs: &[u8]| super::values(inputs, &variables, b"/here");
        assert_eq!(values(b""), b"");
        assert_eq!(values(b"=B\n=C\n"), b"B=2\0C\0");
        assert_eq!(values(b"*\n.\n"), b"A=1\0B=2\0//here\0");
    }
}
