//! Becomes the program: execve(2) with the environment that serves it.
//!
//! Never forks and changes nothing else of the process, so the exit status, the
//! signals, the terminal and the open descriptors are the program's.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr;

use super::library::NAME;
use super::plan::Plan;

/// The dynamic loader's variable.
pub const PRELOAD_VARIABLE: &str = "LD_PRELOAD";

/// Environment of the program: the caller's, with some variables replaced.
pub struct Environment {
    variables: Vec<(OsString, OsString)>,
    /// Names without a value and a `=`.
    bare: Vec<OsString>,
}

impl Environment {
    /// What this process was given.
    pub fn inherited() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            bare: Vec::new(),
        }
    }

    /// Value of a variable.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_os_str())
    }

    /// Sets a variable, in its old place if it had one.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        match self.variables.iter_mut().find(|(found, _)| found == name) {
            Some((_, old)) => *old = value.into(),
            None => self.variables.push((name.into(), value.into())),
        }
    }

    /// Sets a variable to nothing at all.
    pub fn set_bare(&mut self, name: &str) {
        self.variables.retain(|(found, _)| found != name);
        self.bare.push(name.into());
    }

    /// Puts `library` first in LD_PRELOAD; keeps other libraries, drops other
    /// copies of this one.
    pub fn preload(&mut self, library: &Path) {
        let others = self
            .get(PRELOAD_VARIABLE)
            .unwrap_or_default()
            .as_bytes()
            .to_vec();
        let mut value = library.as_os_str().as_bytes().to_vec();
        let entries = others
            .split(|byte| byte.is_ascii_whitespace() || *byte == b':')
            .filter(|entry| !entry.is_empty());
        for other in entries.filter(|entry| {
            Path::new(OsStr::from_bytes(entry)).file_name() != Some(OsStr::new(NAME))
        }) {
            value.push(b':');
            value.extend_from_slice(other);
        }
        self.set(PRELOAD_VARIABLE, OsString::from_vec(value));
    }

    /// All of it, as the program gets it.
    pub fn pairs(&self) -> Vec<OsString> {
        let joined = self.variables.iter().map(|(name, value)| {
            OsString::from_vec([name.as_bytes(), b"=", value.as_bytes()].concat())
        });
        joined.chain(self.bare.iter().cloned()).collect()
    }

    /// The same for execve(2).
    pub fn strings(&self) -> io::Result<Vec<CString>> {
        let pairs = self.pairs().into_iter();
        pairs
            .map(|pair| CString::new(pair.into_vec()).map_err(io::Error::from))
            .collect()
    }
}

/// Becomes the program of `plan`. Returns only if that failed.
pub fn start(plan: &Plan, environment: &Environment) -> io::Error {
    let error = execute(plan, environment);
    match (&plan.shell, error.raw_os_error()) {
        (Some(shell), Some(libc::ENOEXEC)) => execute(shell, environment),
        _ => error,
    }
}

fn execute(plan: &Plan, environment: &Environment) -> io::Error {
    let prepared = || -> io::Result<(CString, Vec<CString>, Vec<CString>)> {
        let program = CString::new(plan.program.as_os_str().as_bytes())?;
        let arguments = plan
            .arguments
            .iter()
            .map(|text| CString::new(text.as_bytes()));
        Ok((
            program,
            arguments.collect::<Result<_, _>>()?,
            environment.strings()?,
        ))
    };
    let (program, arguments, variables) = match prepared() {
        Ok(prepared) => prepared,
        Err(error) => return error,
    };
    let (arguments, variables) = (pointers(&arguments), pointers(&variables));
    // SAFETY: NUL-terminated strings in NULL-terminated arrays that outlive the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), variables.as_ptr()) };
    io::Error::last_os_error()
}

/// A NULL-terminated array, as execve(2) takes it; valid as long as `strings`.
pub fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|text| text.as_ptr())
        .chain([ptr::null()])
        .collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;

    use super::{Environment, PRELOAD_VARIABLE};

    #[test]
    fn preload_comes_first_and_once_and_keeps_the_others() {
        let mut environment = Environment {
            variables: Vec::new(),
            bare: Vec::new(),
        };
        environment.preload(Path::new("/v/libvelo_fs.so"));
        assert_eq!(
            environment.get(PRELOAD_VARIABLE),
            Some(OsStr::new("/v/libvelo_fs.so"))
        );
        environment.set(
            PRELOAD_VARIABLE,
            "/old/libvelo_fs.so:/a/libasan.so /b/libfakeroot.so",
        );
        environment.preload(Path::new("/v/libvelo_fs.so"));
        assert_eq!(
            environment.get(PRELOAD_VARIABLE),
            Some(OsStr::new(
                "/v/libvelo_fs.so:/a/libasan.so:/b/libfakeroot.so"
            ))
        );
    }
}
