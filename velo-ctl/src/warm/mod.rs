//! `run --warm`: the program is forked out of an interpreter that has already imported what
//! it imports. This is the client; the parent is Python, in `python-hooks/python/velo_hooks/warm`.
//!
//! [`attempt`] returns only with a reason why the program must be started as without `--warm`,
//! and then nothing has happened: a child runs nothing before the client tells it to. The
//! caller keeps this process as the one it started; it ends exactly as the child does.

pub mod attend;
pub mod directory;
pub mod facts;
pub mod handshake;
pub mod key;
pub mod parents;
pub mod python;
pub mod request;
pub mod spawn;

use std::ffi::OsString;
use std::path::Path;

use crate::launch::plan::Plan;
use crate::launch::start::Environment;
use crate::served::Served;

use directory::Directory;
use facts::Facts;
use key::Key;
use python::App;

/// Why a program starts without a parent.
pub type Reason = String;

/// What the caller asked for.
#[derive(Debug, Default, Clone)]
pub struct Wish {
    /// Modules to import in place of the recorded ones.
    pub preload: Vec<String>,
}

/// Runs the program as a child of a parent, and ends as it ends; or says why not.
pub fn attempt(
    plan: &Plan,
    environment: &Environment,
    served: &Served,
    root: &Path,
    wish: &Wish,
) -> Reason {
    match run(plan, environment, served, root, wish) {
        Ok(never) => match never {},
        Err(reason) => reason,
    }
}

/// What there is none of.
pub enum Never {}

fn run(
    plan: &Plan,
    environment: &Environment,
    served: &Served,
    root: &Path,
    wish: &Wish,
) -> Result<Never, Reason> {
    let app = App::of(plan, environment)?;
    let facts = Facts::of_this_process()?;
    let variables: Vec<OsString> = environment.pairs();
    let directory = Directory::open(root)?;
    let key = Key::new(&app, &facts, &variables, served, wish, &directory)?;
    let limits = parents::Limits::of_this_process()?;
    if let Some(connection) = directory.connect(&key.name) {
        return handshake::hand_over(&connection, &app, &facts, &variables, &key, &directory);
    }
    if directory.is_locked(&key.name) || directory.is_locked(&key.slot_name) {
        return Err("its parent is busy, or still importing".into());
    }
    if let Some(reason) = directory.unfit(&key.slot_name) {
        return Err(format!("it has no parent, because {reason}"));
    }
    parents::make_room(&directory, &key, &limits);
    let known = !wish.preload.is_empty() || directory.has_record(&key.base);
    let (ours, theirs) = match known {
        true => (None, None),
        false => {
            let (ours, theirs) = handshake::pair()?;
            (Some(ours), Some(theirs))
        }
    };
    spawn::spawn(&spawn::Start {
        app: &app,
        facts: &facts,
        environment,
        served,
        directory: &directory,
        key: &key,
        limits: &limits,
        wish,
        first: theirs,
    })?;
    match ours {
        // What it imports is not known before it ran: a bare parent forks it, and learns.
        Some(connection) => {
            handshake::hand_over(&connection, &app, &facts, &variables, &key, &directory)
        }
        None => Err("its parent is being started".into()),
    }
}
