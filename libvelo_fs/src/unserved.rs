//! Programs that a preloaded library cannot reach: static ones, runtimes that make
//! system calls themselves, other machines' (velo_core::executable). They are refused
//! when they are about something served, and never start silently without it.
//!
//! What they are about is judged by what they are given: where they stand, where they
//! start, and their arguments. What else they may look for (by variables, by their
//! configuration) nobody can know; docs/CLI.md says so.

use crate::cwd::{self, Cwd};
use crate::environment::static_policy;
use crate::fd_table::Known;
use crate::locate::{From, Where, bytes, locate_from};
use crate::message::{Line, say};
use crate::next::Strings;
use crate::strings::each;
use crate::world::World;
use core::ffi::c_char;
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::executable::Obstacle;
use velo_core::resolve::{Options, PathBuffer};

/// What `VELO_STATIC` says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Such programs start, unserved and without a word.
    Allow,
    /// None of them starts.
    Refuse,
}

impl Policy {
    /// The policy of this name.
    pub fn parse(value: &[u8]) -> Option<Self> {
        match value {
            b"allow" => Some(Self::Allow),
            b"refuse" => Some(Self::Refuse),
            _ => None,
        }
    }
}

/// How a program and what is served have to do with each other.
enum Concern {
    /// It stands in a served tree, starts in one, or is given a path in one.
    Within(Place),
    /// It starts above a served tree, or is given a directory above one.
    Above(Place),
    /// As far as can be seen, nothing.
    None,
}

/// Number of a mount.
type Place = u16;

/// A program that cannot be served, as it is about to be executed.
pub struct Program {
    /// As the caller calls it.
    pub name: *const c_char,
    /// Why not.
    pub obstacle: Obstacle,
    /// The mount that it stands in, or that its path led through.
    pub mount: Option<Place>,
    /// The directory that it starts in.
    pub cwd: From,
    /// Its arguments.
    pub argv: Strings,
    /// Its environment.
    pub envp: Strings,
}

/// Refuses the program, or lets it go. EPERM, which neither a shell nor `execvp`
/// takes for a reason to try something else.
///
/// # Safety
/// The program's strings and arrays are the caller's, NULL-terminated or bad pointers.
#[cold]
pub unsafe fn refuse(world: &'static World, program: &Program) -> Result<(), Errno> {
    // SAFETY: passed on to the caller.
    let (policy, name) = unsafe { (static_policy(program.envp), bytes(program.name)) };
    let policy = policy.and_then(Policy::parse);
    if policy == Some(Policy::Allow) {
        return Ok(());
    }
    // SAFETY: passed on to the caller.
    let concern = unsafe { concern(world, program) };
    let is = |line: Line| {
        line.text(name.unwrap_or(b""))
            .text(b": it is ")
            .text(program.obstacle.words().as_bytes())
    };
    let tree = |line: Line, place: Place| {
        let path = world.mount(place).map_or(&b""[..], |mount| mount.path());
        line.text(b"the tree that Velo serves at ").text(path)
    };
    const WAY_OUT: &[u8] = b"; use a dynamically linked build, or start it without Velo by VELO_STATIC=allow (`velo-ctl run --mode mount` will serve such programs; this version does not have it yet)";
    match (concern, policy) {
        (Concern::Within(place), _) => {
            let line = is(Line::new().text(b"cannot start "));
            say(&tree(line.text(b", so it would not see "), place).text(WAY_OUT));
            Err(Errno::EPERM)
        }
        (_, Some(Policy::Refuse)) => {
            let line = is(Line::new().text(b"cannot start "));
            say(&line
                .text(b", so Velo cannot serve it, and VELO_STATIC is `refuse`")
                .text(WAY_OUT));
            Err(Errno::EPERM)
        }
        (Concern::Above(place), _) => {
            let line = is(Line::new().text(b"starting "));
            let line = tree(line.text(b", so it does not see "), place);
            say(&line.text(b" (no word of this with VELO_STATIC=allow)"));
            Ok(())
        }
        (Concern::None, _) => Ok(()),
    }
}

/// # Safety
/// As [`refuse`].
unsafe fn concern(world: &'static World, program: &Program) -> Concern {
    if let Some(mount) = program.mount {
        return Concern::Within(mount);
    }
    let start = match program.cwd {
        From::Known(known) => known,
        From::Directory(_) => match cwd::get(world, &mut cwd::Buffer::new()) {
            Some(Cwd::Served(entry)) => Known::Served(entry),
            Some(Cwd::Ancestor(directory)) => above(world, directory),
            _ => Known::Foreign,
        },
    };
    let mut concern = match start {
        Known::Served(entry) => return Concern::Within(entry.mount),
        // Everything is below the root, and much starts there.
        Known::Ancestor { mount, bytes } if bytes > 1 => Concern::Above(mount),
        _ => Concern::None,
    };
    // SAFETY: passed on to the caller.
    for argument in unsafe { each(program.argv) } {
        let value = argument.iter().position(|byte| *byte == b'=');
        let value = value.and_then(|at| argument.get(at + 1..));
        for path in [Some(argument), value].into_iter().flatten() {
            match named(world, program.cwd, path) {
                Concern::None => {}
                Concern::Above(mount) => concern = Concern::Above(mount),
                within => return within,
            }
        }
    }
    concern
}

/// What an argument means as a path, or has of a mount's path in its text.
fn named(world: &'static World, cwd: From, text: &[u8]) -> Concern {
    let mut path = [0; nr::PATH_MAX as usize];
    if let Some(slot) = path
        .get_mut(..text.len())
        .filter(|slot| slot.len() + 1 < nr::PATH_MAX as usize)
    {
        slot.copy_from_slice(text);
        let mut scratch = PathBuffer::new();
        // SAFETY: a C string of ours: the buffer is longer than the text.
        match unsafe { locate_from(cwd, path.as_ptr().cast(), Options::FOLLOW, &mut scratch) } {
            Where::Served(_, entry) => return Concern::Within(entry.mount),
            Where::Absent { mount, .. } => return Concern::Within(mount),
            _ => {}
        }
    }
    for (number, mount) in world.view.mounts().iter().enumerate() {
        if mentions(text, mount.path()) {
            return Concern::Within(number as Place);
        }
    }
    let directory = text.strip_suffix(b"/").unwrap_or(text);
    match directory.starts_with(b"/").then(|| above(world, directory)) {
        Some(Known::Ancestor { mount, .. }) => Concern::Above(mount),
        _ => Concern::None,
    }
}

/// Whether `path`, or something below it, stands somewhere in `text`: by itself, in a
/// list, in a command, or behind an option of one letter.
fn mentions(text: &[u8], path: &[u8]) -> bool {
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let begins = |at: usize| match at.checked_sub(1).and_then(|before| text.get(before)) {
        Some(before) => {
            at == 2 && text.first() == Some(&b'-') || !in_name(before) && *before != b'/'
        }
        None => true,
    };
    let ends = |at: usize| !text.get(at + path.len()).is_some_and(in_name);
    let mut windows = text.windows(path.len().max(1)).enumerate();
    windows.any(|(at, window)| window == path && begins(at) && ends(at))
}

/// A directory as something above a mount, if it is.
fn above(world: &'static World, directory: &[u8]) -> Known {
    match world.mount_below(directory) {
        Some(mount) => Known::Ancestor {
            mount,
            bytes: directory.len() as u32,
        },
        None => Known::Foreign,
    }
}
