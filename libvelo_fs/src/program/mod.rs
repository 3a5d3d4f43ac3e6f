//! What execve(2) has to be given so that a program starts whose file, interpreter
//! or loader is served: physical paths in the view tree, and the arguments that the
//! kernel would make.
//!
//! The kernel would hand an interpreter the physical path of a served script, and
//! cannot see a served interpreter at all, so chains of `#!` lines that touch a mount
//! are followed here, as the kernel follows them (execve(2), "Interpreter scripts").
//! A program whose loader (`PT_INTERP`) is served is started by that loader as a
//! command. Where nothing is served, the kernel gets the caller's own arguments, and
//! says what is wrong with them.

mod file;
mod libraries;
mod way;

use crate::locate::{From, User, Where, bytes, is_missing, locate_from, look_closer};
use crate::next::Strings;
use crate::served::{self, KernelPath};
use crate::strings::StringArray;
use crate::world::{Entry, World};
use core::ffi::c_char;
pub use libraries::Libraries;
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::executable::Shebang;
use velo_core::resolve::{EXECUTE, Options, PathBuffer, may_access};
use way::{Stage, Way, stage_of};

/// Interpreters that are interpreted in turn: the kernel gives up after these.
const SCRIPTS_MAX: usize = 6;

/// What a caller wants executed.
#[derive(Clone, Copy)]
pub struct Request {
    /// Where `path` starts, if it is relative.
    pub from: From,
    /// The program.
    pub path: *const c_char,
    /// The directory that it will start in.
    pub cwd: From,
    /// What an interpreter is told that its script is.
    pub name: *const c_char,
    /// Whether no interpreter can open that name any more (execveat(2)).
    pub unreadable: bool,
    /// The caller's arguments.
    pub argv: Strings,
    /// The environment, with what Velo needs in it.
    pub envp: Strings,
}

impl Request {
    /// A program that starts in the current directory, and a script that can be opened
    /// by the path that it is called by.
    pub fn new(from: From, path: *const c_char, argv: Strings, envp: Strings) -> Self {
        Self {
            from,
            path,
            cwd: From::Directory(nr::AT_FDCWD),
            name: path,
            unreadable: false,
            argv,
            envp,
        }
    }
}

/// What to execute.
#[derive(Clone, Copy)]
pub enum Program {
    /// The caller's own path and arguments.
    AsGiven,
    /// Another path, and these arguments.
    At(*const c_char, Strings),
}

/// Memory for a program's resolution: must stay until the program was executed.
pub struct Storage {
    scripts: [Option<Shebang>; SCRIPTS_MAX],
    given: Option<KernelPath>,
    program: Option<KernelPath>,
    loader: Option<KernelPath>,
    loader_name: [u8; nr::PATH_MAX as usize],
    arguments: StringArray,
    libraries: Libraries,
}

impl Storage {
    /// Fresh memory.
    pub fn new() -> Self {
        Self {
            scripts: [const { None }; SCRIPTS_MAX],
            given: None,
            program: None,
            loader: None,
            loader_name: [0; nr::PATH_MAX as usize],
            arguments: StringArray::new(),
            libraries: Libraries::new(),
        }
    }

    /// Where the loader finds libraries that the program found last looks for.
    pub fn libraries(&self) -> &Libraries {
        &self.libraries
    }
}

/// Whether the entry may be executed: execve(2) answers EACCES for everything else.
fn check_executable(world: &World, entry: Entry) -> Result<(), Errno> {
    let vnode = served::vnode(world, entry)?;
    let meta = served::metadata(world, entry)?;
    if vnode.is_symlink() {
        // Only a descriptor is one (`O_PATH`).
        return Err(Errno::ELOOP);
    }
    if vnode.is_file() && may_access(&meta, EXECUTE, &User::effective()) {
        Ok(())
    } else {
        Err(Errno::EACCES)
    }
}

/// Finds out how to execute what is asked for.
///
/// # Safety
/// Paths are C strings or bad pointers, arrays NULL-terminated or bad pointers.
pub unsafe fn find(request: &Request, storage: &mut Storage) -> Result<Program, Errno> {
    let Some(world) = crate::world::get() else {
        return Ok(Program::AsGiven);
    };
    let mut way = Way::new(world, request, storage);
    // SAFETY: passed on to the caller.
    unsafe {
        let stage = first_stage(request, &mut way)?;
        way.follow(stage)
    }
}

/// Where the way begins. Apart, so that its stack is not held along the way.
#[inline(never)]
unsafe fn first_stage(request: &Request, way: &mut Way<'_>) -> Result<Stage, Errno> {
    let mut scratch = PathBuffer::new();
    // SAFETY: passed on to the caller.
    unsafe {
        match locate_from(request.from, request.path, Options::FOLLOW, &mut scratch) {
            Where::KernelAt(path) => {
                let path = way.storage.given.insert(KernelPath::new(path.to_bytes())?);
                way.ours = true;
                way.mount = mount_of(request);
                Ok(Stage::Outside(Some(nr::AT_FDCWD), path.as_ptr()))
            }
            place => stage_of(place, request.from, request.path),
        }
    }
}

/// What the kernel shall check, if it is not its own: the path of a served file, which
/// is not executed.
///
/// # Safety
/// As [`find`].
pub unsafe fn find_to_check(request: &Request, storage: &mut Storage) -> Result<Program, Errno> {
    let mut scratch = PathBuffer::new();
    let mut check = |place: Where<'_>| {
        let path = match place {
            Where::Served(world, entry) => {
                check_executable(world, entry)?;
                served::view_path(world, entry)?
            }
            Where::KernelAt(path) => KernelPath::new(path.to_bytes())?,
            Where::Kernel => return Ok(Program::AsGiven),
            Where::Absent { .. } => return Err(Errno::ENOENT),
            Where::Failed(error) => return Err(error),
        };
        let path = storage.program.insert(path).as_ptr();
        Ok(Program::At(path, request.argv))
    };
    // SAFETY: passed on to the caller.
    unsafe {
        let place = locate_from(request.from, request.path, Options::FOLLOW, &mut scratch);
        match (&place, request.from) {
            (Where::Kernel, From::Directory(start)) if is_missing(start, request.path) => {
                look_closer(start, request.path, Options::FOLLOW, check)
            }
            _ => check(place),
        }
    }
}

/// How to execute the file that is open as a descriptor and is a served entry.
///
/// # Safety
/// As [`find`].
pub unsafe fn of_entry(
    world: &'static World,
    entry: Entry,
    request: &Request,
    storage: &mut Storage,
) -> Result<Program, Errno> {
    // SAFETY: passed on to the caller.
    unsafe { Way::new(world, request, storage).follow(Stage::Served(entry)) }
}

/// The mount that an absolute path of the caller leads into before it leads out.
unsafe fn mount_of(request: &Request) -> Option<u16> {
    let world = crate::world::get()?;
    // SAFETY: passed on to the caller.
    let path = unsafe { bytes(request.path) }?;
    let below = |mount: &[u8]| {
        path.strip_prefix(mount)
            .is_some_and(|rest| rest.starts_with(b"/"))
    };
    let mounts = world.view.mounts();
    let number = mounts.iter().position(|mount| below(mount.path()))?;
    Some(number as u16)
}

/// Whether a path names a directory to look in, so that `PATH` is not searched.
///
/// # Safety
/// `name` is a C string or a bad pointer.
pub unsafe fn has_slash(name: *const c_char) -> bool {
    // SAFETY: passed on to the caller.
    unsafe { bytes(name) }.is_none_or(|name| name.contains(&b'/'))
}
