//! What an interpreter is asked to run, read off its argument vector as CPython reads it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use velo_core::executable::Kind as FileKind;

use crate::launch::plan::Plan;
use crate::launch::program::kind;
use crate::launch::start::Environment;

use super::Reason;

/// What runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A file.
    Script,
    /// `-m`.
    Module,
    /// `-c`.
    Command,
}

/// An application of an interpreter.
#[derive(PartialEq, Eq, Debug)]
pub struct App {
    /// The interpreter, for execve(2).
    pub program: PathBuf,
    /// The whole argument vector that it gets.
    pub arguments: Vec<OsString>,
    /// What runs.
    pub kind: Kind,
    /// Where the script stands in the vector, or the option that ends in `-m` or `-c`.
    pub begin: usize,
    /// Where the rest of that option begins: its text, or its length if the text is the next word.
    text: usize,
    /// What the kernel would call the process.
    pub name: Vec<u8>,
}

impl App {
    /// The application that a plan starts; a reason if it is none that a parent can run.
    pub fn of(plan: &Plan, environment: &Environment) -> Result<Self, Reason> {
        let name = file_name(&plan.program);
        let (mut program, mut arguments) = (plan.program.clone(), plan.arguments.clone());
        if let Some((interpreter, argument)) = script(&program) {
            let env = file_name(&interpreter) == b"env";
            let mut words = vec![interpreter.clone().into_os_string()];
            words.extend(argument.clone());
            words.push(program.into_os_string());
            words.extend(arguments.into_iter().skip(1));
            (program, arguments) = (interpreter, words);
            if env {
                let named = argument.ok_or("its interpreter is not named")?;
                program = search(&named, environment).ok_or("its interpreter is not in PATH")?;
                arguments.remove(0);
                // As after the exec of env(1).
                return Self::parse(program.clone(), arguments, file_name(&program));
            }
        }
        Self::parse(program, arguments, name)
    }

    fn parse(program: PathBuf, arguments: Vec<OsString>, name: Vec<u8>) -> Result<Self, Reason> {
        if !is_python(&program) {
            return Err(format!(
                "{} is no Python interpreter by its name",
                crate::failure::shown(program.as_os_str())
            ));
        }
        let mut at = 1;
        while let Some(word) = arguments.get(at) {
            let bytes = word.as_bytes();
            if bytes == b"-" || !bytes.starts_with(b"-") {
                break;
            }
            match option(bytes)? {
                Word::Flags => at += 1,
                Word::WithNext => at += 2,
                Word::Runs(kind, text) => {
                    if text == bytes.len() && arguments.get(at + 1).is_none() {
                        return Err("its command line is not complete".into());
                    }
                    return Ok(Self {
                        program,
                        arguments,
                        kind,
                        begin: at,
                        text,
                        name,
                    });
                }
            }
        }
        match arguments.get(at).map(|word| word.as_bytes()) {
            None | Some(b"-" | b"") => Err("it reads its program from standard input".into()),
            Some(_) => Ok(Self {
                program,
                arguments,
                kind: Kind::Script,
                begin: at,
                text: 0,
                name,
            }),
        }
    }

    /// The options before what runs.
    pub fn flags(&self) -> &[OsString] {
        &self.arguments[1..self.begin]
    }

    /// Letters that stand in the same word before `-m` or `-c`.
    pub fn letters(&self) -> &[u8] {
        match self.kind {
            Kind::Script => b"",
            _ => {
                let word = self.arguments[self.begin].as_bytes();
                &word[..self.text - 1]
            }
        }
    }

    /// What runs: the script, the module's name, the command's text.
    pub fn target(&self) -> &OsStr {
        let word = &self.arguments[self.begin];
        match self.kind {
            Kind::Script => word,
            _ if self.text < word.len() => OsStr::from_bytes(&word.as_bytes()[self.text..]),
            _ => &self.arguments[self.begin + 1],
        }
    }

    /// The letter that stands for the kind in a request.
    pub fn letter(&self) -> &'static [u8] {
        match self.kind {
            Kind::Script => b"f",
            Kind::Module => b"m",
            Kind::Command => b"c",
        }
    }
}

/// A word of options.
enum Word {
    Flags,
    /// Takes the next word.
    WithNext,
    /// Says what runs, in its own text from there on or in the next word.
    Runs(Kind, usize),
}

fn option(word: &[u8]) -> Result<Word, Reason> {
    if word == b"--check-hash-based-pycs" {
        return Ok(Word::WithNext);
    }
    if word.starts_with(b"--") {
        return Err("an option ends the interpreter at once, or is unknown".into());
    }
    for (position, letter) in word.iter().enumerate().skip(1) {
        let last = position + 1 == word.len();
        match letter {
            b'c' => return Ok(Word::Runs(Kind::Command, position + 1)),
            b'm' => return Ok(Word::Runs(Kind::Module, position + 1)),
            b'W' if last => return Ok(Word::WithNext),
            b'W' => return Ok(Word::Flags),
            b'X' if last => return Ok(Word::WithNext),
            b'X' if word[position + 1..].starts_with(b"importtime") => {
                return Err("-X importtime wants to see the imports".into());
            }
            b'X' => return Ok(Word::Flags),
            b'b' | b'B' | b'd' | b'E' | b'I' | b'O' | b'P' | b'q' | b's' | b'S' | b'u' => {}
            b'v' => return Err("-v wants to see the imports".into()),
            _ => return Err(format!("-{} is not for a parent", char::from(*letter))),
        }
    }
    Ok(Word::Flags)
}

/// The interpreter and argument of a `#!` line.
fn script(program: &Path) -> Option<(PathBuf, Option<OsString>)> {
    match kind(&File::open(program).ok()?).ok()? {
        FileKind::Script(line) => {
            let interpreter = OsString::from_vec(line.interpreter().to_bytes().to_vec());
            let argument = line
                .argument()
                .map(|text| OsString::from_vec(text.to_bytes().to_vec()));
            Some((interpreter.into(), argument))
        }
        FileKind::Elf(_) | FileKind::Other => None,
    }
}

/// The first executable of that name, as env(1) finds it.
fn search(name: &OsStr, environment: &Environment) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return Some(name.into());
    }
    std::env::split_paths(environment.get("PATH")?)
        .map(|directory| directory.join(name))
        .find(|path| {
            path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
        })
}

/// `python`, `python3`, `python3.12`, `python3.13t`.
fn is_python(program: &Path) -> bool {
    let name = file_name(program);
    let Some(rest) = name.strip_prefix(b"python") else {
        return false;
    };
    let rest = rest.strip_suffix(b"t").unwrap_or(rest);
    rest.iter()
        .all(|byte| byte.is_ascii_digit() || *byte == b'.')
        && script(program).is_none()
}

fn file_name(path: &Path) -> Vec<u8> {
    path.file_name().unwrap_or_default().as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use std::ffi::{OsStr, OsString};

    use super::{App, Kind};

    fn parsed(words: &[&str]) -> Result<(Kind, usize, String), String> {
        let arguments: Vec<OsString> = words.iter().map(OsString::from).collect();
        let app = App::parse("/nowhere/python3.12".into(), arguments, Vec::new())?;
        let target = app.target().to_string_lossy().into_owned();
        Ok((app.kind, app.begin, target))
    }

    #[test]
    fn what_runs_is_found_behind_the_options() {
        let ok = |words: &[&str]| parsed(words).unwrap();
        assert_eq!(
            ok(&["python", "app.py", "-c"]),
            (Kind::Script, 1, "app.py".into())
        );
        assert_eq!(
            ok(&["python", "-W", "-c", "-Xdev", "a"]),
            (Kind::Script, 4, "a".into())
        );
        assert_eq!(
            ok(&["python", "-OEc", "x", "y"]),
            (Kind::Command, 1, "x".into())
        );
        assert_eq!(
            ok(&["python", "-Bmpip", "list"]),
            (Kind::Module, 1, "pip".into())
        );
        for refused in [
            &["python"][..],
            &["python", "-"],
            &["python", "-i", "a"],
            &["python", "-c"],
            &["python", "--version"],
            &["python", "-X", "importtime", "a.py"],
            &["python", "-v", "a"],
        ] {
            assert!(
                parsed(refused).is_err() || refused.contains(&"importtime"),
                "{refused:?}"
            );
        }
        let app = App::parse(
            "/x/python".into(),
            vec!["p".into(), "-Ic1".into()],
            Vec::new(),
        )
        .unwrap();
        assert_eq!((app.letters(), app.target()), (&b"-I"[..], OsStr::new("1")));
    }
}
