//! posix_spawn(3), its kin, and the file actions that name a path or a descriptor.
//!
//! The C library executes inside, past our hooks, so it is given physical paths. The
//! directory that the actions lead to is noted ([`crate::spawn_actions`]), because
//! relative paths start there, that of the program too.

use super::exec::search_path;
use crate::cwd::{self, Cwd};
use crate::environment::{self, ForLoader, for_loader, keep_velo};
use crate::fd_table::Known;
use crate::locate::{From, User, Where, bytes, is_missing, locate_from, look_closer};
use crate::next;
use crate::next::Strings;
use crate::program::{self, Program, Request, find, has_slash};
use crate::spawn_actions::Actions;
use crate::stats::{Family, Outcome, count};
use crate::world::{self, Entry, World};
use crate::{served, sys};
use core::ffi::{c_char, c_int, c_uint, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{EXECUTE, Options, PathBuffer, may_access};

type Spawn = unsafe extern "C" fn(
    *mut c_int,
    *const c_char,
    *const c_void,
    *const c_void,
    Strings,
    Strings,
) -> c_int;

/// What all of the family are given.
#[derive(Clone, Copy)]
struct Call {
    real: Spawn,
    /// A process id or a descriptor, as `real` fills it.
    process: *mut c_int,
    actions: *const c_void,
    attributes: *const c_void,
    argv: Strings,
    envp: Strings,
}

impl Call {
    /// Starts the program at `path`. While `PATH` is `searched`, what the kernel would
    /// not execute is not tried, because the actions would have been done by then.
    unsafe fn start(&self, path: *const c_char, searched: bool) -> c_int {
        let Self {
            real,
            process,
            actions,
            attributes,
            argv,
            envp,
        } = *self;
        let mut environment = environment::Storage::new();
        let mut storage = program::Storage::new();
        // SAFETY: the caller's arguments; the storage outlives the call.
        unsafe {
            let envp = match keep_velo(envp, &mut environment) {
                Ok(envp) => envp,
                Err(error) => return error.0,
            };
            let from = from(actions);
            let request = Request {
                cwd: from,
                ..Request::new(from, path, argv, envp)
            };
            let found = find(&request, &mut storage);
            let mut memory = ForLoader::new();
            let envp = match for_loader(envp, storage.libraries(), &mut memory) {
                Ok(envp) => envp,
                Err(error) => return error.0,
            };
            match found {
                Ok(Program::AsGiven) => {
                    if let (true, From::Directory(directory)) = (searched, from) {
                        const X_OK: c_int = 1;
                        let flags = nr::AT_EACCESS as c_int;
                        if let Err(error) =
                            sys::result(sys::faccessat(directory, path, X_OK, flags))
                            && error != Errno::ENOSYS
                        {
                            return error.0;
                        }
                    }
                    count(Family::Exec, Outcome::PassedOutside);
                    real(process, path, actions, attributes, argv, envp)
                }
                Ok(Program::At(path, argv)) => {
                    count(Family::Exec, Outcome::Served);
                    real(process, path, actions, attributes, argv, envp)
                }
                Err(error) => {
                    count(Family::Exec, Outcome::Failed);
                    error.0
                }
            }
        }
    }

    /// As [`Self::start`], in the directories of `PATH` unless the name has a slash.
    unsafe fn start_by_name(&self, name: *const c_char) -> c_int {
        // SAFETY: the caller's arguments.
        unsafe {
            if has_slash(name) {
                return self.start(name, false);
            }
            let attempt = |path| match self.start(path, true) {
                0 => Ok(0),
                error => Err(Errno(error)),
            };
            search_path(bytes(name).unwrap_or(b""), attempt).unwrap_or_else(|error| error.0)
        }
    }
}

/// Where the child stands before it executes.
unsafe fn from(actions: *const c_void) -> From {
    // SAFETY: passed on to the caller.
    match unsafe { Actions::of(actions) }.and_then(Actions::cwd) {
        Some(known) => From::Known(known),
        None => From::Directory(nr::AT_FDCWD),
    }
}

/// One of the family by the arguments of its caller; `searched`: with a name to look
/// for in `PATH`.
unsafe fn spawn(call: &Call, path: *const c_char, searched: bool) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe {
        if let Some(error) = Actions::of(call.actions).and_then(Actions::error) {
            return error.0;
        }
        if searched {
            call.start_by_name(path)
        } else {
            call.start(path, false)
        }
    }
}

/// Exports a function of the family. `$real` starts the program at a path; without
/// anything served, `$whole` (if there is one) does all of it.
macro_rules! spawn_function {
    ($name:ident, $searched:literal, $real:expr, $whole:expr) => {
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            process: *mut c_int,
            path: *const c_char,
            actions: *const c_void,
            attributes: *const c_void,
            argv: Strings,
            envp: Strings,
        ) -> c_int {
            let (real, whole): (Option<Spawn>, Option<Spawn>) = ($real, $whole);
            // SAFETY: see the module above.
            unsafe {
                match (whole.filter(|_| world::get().is_none()), real) {
                    (Some(whole), _) => whole(process, path, actions, attributes, argv, envp),
                    (None, None) => Errno::ENOSYS.0,
                    (None, Some(real)) => {
                        let call = Call {
                            real,
                            process,
                            actions,
                            attributes,
                            argv,
                            envp,
                        };
                        spawn(&call, path, $searched)
                    }
                }
            }
        }
    };
}

spawn_function!(posix_spawn, false, next::posix_spawn(), next::posix_spawn());
spawn_function!(
    posix_spawnp,
    true,
    next::posix_spawn(),
    next::posix_spawnp()
);
spawn_function!(
    pidfd_spawn,
    false,
    next::pidfd_spawn().or(Some(spawn_and_open)),
    next::pidfd_spawn()
);
spawn_function!(
    pidfd_spawnp,
    true,
    next::pidfd_spawn().or(Some(spawn_and_open)),
    next::pidfd_spawnp()
);

/// pidfd_spawn(3) for a C library that does not have it yet.
unsafe extern "C" fn spawn_and_open(
    descriptor: *mut c_int,
    path: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
    argv: Strings,
    envp: Strings,
) -> c_int {
    let Some(real) = next::posix_spawn() else {
        return Errno::ENOSYS.0;
    };
    let mut process = 0;
    // SAFETY: the caller's arguments; a descriptor is checked for before.
    unsafe {
        let error = real(&raw mut process, path, actions, attributes, argv, envp);
        if error != 0 {
            return error;
        }
        // The child is ours and not waited for, so the number is still its own.
        match sys::pidfd_open(process) {
            Ok(opened) => {
                *descriptor = opened;
                0
            }
            Err(error) => error.0,
        }
    }
}

/// A path for the child, which opens or enters it by itself: `use_path` with what it
/// can find. The entry, if it is served.
unsafe fn child_path(
    actions: *const c_void,
    path: *const c_char,
    use_path: impl FnOnce(*const c_char) -> c_int,
) -> (c_int, Option<Result<Served, Errno>>) {
    let mut scratch = PathBuffer::new();
    // SAFETY: passed on to the caller.
    let (from, place) = unsafe {
        let from = from(actions);
        (from, locate_from(from, path, Options::FOLLOW, &mut scratch))
    };
    let settle = |place: Where<'_>| match place {
        Where::Served(world, entry) => {
            let physical = served::vnode(world, entry)
                .and_then(|vnode| served::with_kernel_path(world, entry, &vnode, use_path));
            let answer = physical.unwrap_or_else(|error| error.0);
            (answer, Some(Ok(Served::Entry(world, entry))))
        }
        Where::Absent { slash, .. } => (use_path(path), Some(Ok(Served::Nothing { slash }))),
        Where::Failed(error) => (use_path(path), Some(Err(error))),
        Where::KernelAt(path) => (use_path(path.as_ptr()), None),
        Where::Kernel => (use_path(path), None),
    };
    // SAFETY: passed on to the caller.
    unsafe {
        match (&place, from) {
            (Where::Kernel, From::Directory(start)) if is_missing(start, path) => {
                look_closer(start, path, Options::FOLLOW, settle)
            }
            _ => settle(place),
        }
    }
}

/// What is served at a path of an action.
enum Served {
    Entry(&'static World, Entry),
    /// No entry, in a served directory.
    Nothing {
        /// Whether the missing name had a slash after it.
        slash: bool,
    },
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_spawn_file_actions_init(actions: *mut c_void) -> c_int {
    let Some(real) = next::posix_spawn_file_actions_init() else {
        return Errno::ENOSYS.0;
    };
    // SAFETY: see the module above.
    unsafe {
        let answer = real(actions);
        if let (0, Some(actions)) = (answer, Actions::of(actions)) {
            actions.clear();
        }
        answer
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_spawn_file_actions_addopen(
    actions: *mut c_void,
    descriptor: c_int,
    path: *const c_char,
    flags: c_int,
    mode: c_uint,
) -> c_int {
    let Some(real) = next::posix_spawn_file_actions_addopen() else {
        return Errno::ENOSYS.0;
    };
    // SAFETY: see the module above.
    unsafe {
        let (answer, found) = child_path(actions, path, |path| {
            real(actions, descriptor, path, flags, mode)
        });
        let Some(actions) = Actions::of(actions).filter(|_| answer == 0) else {
            return answer;
        };
        let Some(found) = found else {
            note_descriptor(actions, descriptor, Known::Foreign);
            return answer;
        };
        // The child would open the physical file, with other rights: what must fail is
        // known here, by opening it as the caller itself would.
        let opened = found.and_then(|found| match found {
            Served::Entry(world, entry) => {
                let opened = served::open(
                    world,
                    entry,
                    flags | nr::O_CLOEXEC as c_int,
                    &User::effective(),
                    None,
                );
                opened.map(|opened| (sys::close(opened), entry))
            }
            Served::Nothing { slash } => Err(match flags as u32 & nr::O_CREAT {
                0 => Errno::ENOENT,
                _ if slash => Errno::EISDIR,
                _ => Errno::EROFS,
            }),
        });
        match opened {
            Ok((_, entry)) => note_descriptor(actions, descriptor, Known::Served(entry)),
            Err(error) => actions.set_error(error),
        }
        answer
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_spawn_file_actions_adddup2(
    actions: *mut c_void,
    descriptor: c_int,
    copied: c_int,
) -> c_int {
    let Some(real) = next::posix_spawn_file_actions_adddup2() else {
        return Errno::ENOSYS.0;
    };
    // SAFETY: see the module above.
    unsafe {
        let answer = real(actions, descriptor, copied);
        if let (0, Some(actions), Some(world)) = (answer, Actions::of(actions), world::get()) {
            note_descriptor(actions, copied, actions.descriptor(world, descriptor));
        }
        answer
    }
}

/// Notes what a descriptor will be, where that differs from what it is here.
fn note_descriptor(actions: Actions, descriptor: c_int, known: Known) {
    if let Some(world) = world::get()
        && actions.descriptor(world, descriptor) != known
    {
        actions.set_descriptor(descriptor, known);
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_spawn_file_actions_addchdir_np(
    actions: *mut c_void,
    path: *const c_char,
) -> c_int {
    let Some(real) = next::posix_spawn_file_actions_addchdir_np() else {
        return Errno::ENOSYS.0;
    };
    // SAFETY: see the module above.
    unsafe {
        let mut above = Known::Foreign;
        let (answer, found) = child_path(actions, path, |path| {
            above = self::above(actions, path);
            real(actions, path)
        });
        let Some(actions) = Actions::of(actions).filter(|_| answer == 0) else {
            return answer;
        };
        match found {
            None => actions.set_cwd(above),
            Some(Ok(Served::Entry(world, entry))) => match check_directory(world, entry) {
                Ok(()) => actions.set_cwd(Known::Served(entry)),
                Err(error) => actions.set_error(error),
            },
            Some(Ok(Served::Nothing { .. })) => actions.set_error(Errno::ENOENT),
            Some(Err(error)) => actions.set_error(error),
        }
        answer
    }
}

/// What chdir(2) says of a served entry.
fn check_directory(world: &World, entry: Entry) -> Result<(), Errno> {
    if !served::vnode(world, entry)?.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    let meta = served::metadata(world, entry)?;
    may_access(&meta, EXECUTE, &User::effective())
        .then_some(())
        .ok_or(Errno::EACCES)
}

/// A directory of the kernel's, as something above a mount if it is called so.
unsafe fn above(actions: *const c_void, path: *const c_char) -> Known {
    // SAFETY: passed on to the caller.
    let (from, text) = unsafe { (from(actions), bytes(path).unwrap_or(b"")) };
    let mut buffer = cwd::Buffer::new();
    let start: &[u8] = match from {
        _ if text.starts_with(b"/") => b"",
        From::Known(Known::Ancestor { mount, bytes }) => world::get()
            .and_then(|world| world.mount(mount)?.path().get(..bytes as usize))
            .unwrap_or(b""),
        From::Directory(_) => match world::get().and_then(|world| cwd::get(world, &mut buffer)) {
            Some(Cwd::Ancestor(directory)) => directory,
            _ => return Known::Foreign,
        },
        From::Known(_) => return Known::Foreign,
    };
    super::ancestor_below(start, text).unwrap_or(Known::Foreign)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_spawn_file_actions_addfchdir_np(
    actions: *mut c_void,
    descriptor: c_int,
) -> c_int {
    let Some(real) = next::posix_spawn_file_actions_addfchdir_np() else {
        return Errno::ENOSYS.0;
    };
    // SAFETY: see the module above.
    unsafe {
        let answer = real(actions, descriptor);
        if let (0, Some(actions), Some(world)) = (answer, Actions::of(actions), world::get()) {
            actions.set_cwd(match actions.descriptor(world, descriptor) {
                Known::Unknown => Known::Foreign,
                known => known,
            });
        }
        answer
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_spawn_file_actions_addchdir(
    actions: *mut c_void,
    path: *const c_char,
) -> c_int {
    // SAFETY: the same function by its later name (POSIX.1-2024).
    unsafe { posix_spawn_file_actions_addchdir_np(actions, path) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_spawn_file_actions_addfchdir(
    actions: *mut c_void,
    descriptor: c_int,
) -> c_int {
    // SAFETY: the same function by its later name (POSIX.1-2024).
    unsafe { posix_spawn_file_actions_addfchdir_np(actions, descriptor) }
}
