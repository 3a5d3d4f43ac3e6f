//! Where the loader of the first program finds libraries that are served.
//!
//! The loader opens past the preload library, which tells it the physical places of served
//! directories when it executes a program (`libvelo_fs::environment`). Nobody has done that
//! for the first one: its `LD_LIBRARY_PATH` gets those that stand in it, and those that the
//! program itself names (`DT_RUNPATH`, `DT_RPATH`). The preload library puts it back.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use velo_core::executable::Kind;

use super::program::{Opened, kind};
use super::start::Environment;

/// The loader's variable.
const VARIABLE: &str = "LD_LIBRARY_PATH";
/// The same, as it was given; without a value if it was not.
const GIVEN: &str = "VELO_LD_LIBRARY_PATH";

/// The served tree, as far as the loader is concerned.
pub trait Places {
    /// Physical place of a served directory, and of one that a served symlink leads to.
    fn place(&self, directory: &[u8]) -> Option<PathBuf>;
    /// The directory that the program, by its physical path, believes to be in.
    fn origin(&self, program: &Path) -> Option<Vec<u8>>;
}

/// Prepares the environment for `program`, by its physical path.
pub fn prepare(environment: &mut Environment, program: &Path, places: &dyn Places) {
    let given = environment.get(VARIABLE).map(OsStr::to_owned);
    let value = given.as_deref().unwrap_or_default().as_bytes();
    let mut changed = false;
    let mut directories: Vec<Vec<u8>> = value
        .split(|byte| matches!(byte, b':' | b';'))
        .filter(|_| !value.is_empty())
        .map(|directory| {
            let place = places.place(directory);
            changed |= place.is_some();
            place.map_or_else(
                || directory.to_vec(),
                |place| place.into_os_string().into_vec(),
            )
        })
        .collect();
    let (named, first) = named_by(program, places);
    changed |= !named.is_empty();
    if !changed {
        return;
    }
    let at = if first { 0 } else { directories.len() };
    directories.splice(at..at, named);
    environment.set(VARIABLE, OsString::from_vec(directories.join(&b':')));
    match given {
        Some(given) => environment.set(GIVEN, given),
        None => environment.set_bare(GIVEN),
    }
}

/// Places of the served directories that a program names, and whether they come first.
fn named_by(program: &Path, places: &dyn Places) -> (Vec<Vec<u8>>, bool) {
    let read = || -> Option<(Vec<u8>, bool)> {
        let file = File::open(program).ok()?;
        let Kind::Elf(elf) = kind(&file).ok()? else {
            return None;
        };
        let mut buffer = [0; 4096];
        let path = elf.search_path(&mut Opened(&file)).ok()??;
        let text = path.text(&mut Opened(&file), &mut buffer).ok()?;
        Some((text.to_vec(), path.first))
    };
    let Some((text, first)) = read() else {
        return (Vec::new(), false);
    };
    let named = text
        .split(|byte| *byte == b':')
        .filter_map(|directory| places.place(&expand(directory, program, places)?))
        .map(|place| place.into_os_string().into_vec());
    (named.collect(), first)
}

/// An absolute path, `$ORIGIN` replaced; `None` for all others.
fn expand(text: &[u8], program: &Path, places: &dyn Places) -> Option<Vec<u8>> {
    let rest = text
        .strip_prefix(b"$ORIGIN")
        .or_else(|| text.strip_prefix(b"${ORIGIN}"))
        .filter(|rest| matches!(rest, [] | [b'/', ..]));
    let expanded = match rest {
        Some(rest) => [places.origin(program)?.as_slice(), rest].concat(),
        None => text.to_vec(),
    };
    (expanded.starts_with(b"/") && !expanded.contains(&b'$')).then_some(expanded)
}
