//! posix_spawn(3), posix_spawnp(3) and the file actions that name a path.
//!
//! The C library executes inside, past our hooks, so it is given physical paths.

use super::exec::search_path;
use crate::environment::{self, keep_velo};
use crate::locate::{Where, bytes, locate};
use crate::next;
use crate::next::Strings;
use crate::program::{self, Program, find, find_again, has_slash};
use crate::served;
use crate::stats::{Family, Outcome, count};
use core::ffi::{c_char, c_int, c_uint, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{EXECUTE, Options, PathBuffer};

type Spawn = unsafe extern "C" fn(
    *mut c_int,
    *const c_char,
    *const c_void,
    *const c_void,
    Strings,
    Strings,
) -> c_int;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_spawn(
    process: *mut c_int,
    path: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
    argv: Strings,
    envp: Strings,
) -> c_int {
    let Some(real) = next::posix_spawn() else {
        return Errno::ENOSYS.0;
    };
    // SAFETY: see the module above.
    unsafe { spawn(real, process, path, actions, attributes, argv, envp) }
}

unsafe fn spawn(
    real: Spawn,
    process: *mut c_int,
    path: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
    argv: Strings,
    envp: Strings,
) -> c_int {
    let mut environment = environment::Storage::new();
    let mut storage = program::Storage::new();
    // SAFETY: the caller's arguments; the storage outlives the call.
    unsafe {
        let envp = match keep_velo(envp, &mut environment) {
            Ok(envp) => envp,
            Err(error) => return error.0,
        };
        let start = |program: &Program| match program {
            Program::AsGiven => real(process, path, actions, attributes, argv, envp),
            Program::At(physical) => {
                real(process, physical.as_ptr(), actions, attributes, argv, envp)
            }
            Program::Interpreter(physical, arguments) => real(
                process,
                physical.as_ptr(),
                actions,
                attributes,
                *arguments,
                envp,
            ),
        };
        match find(nr::AT_FDCWD, path, argv, &mut storage) {
            Ok(Program::AsGiven) => {
                count(Family::Exec, Outcome::PassedOutside);
                let answer = start(&Program::AsGiven);
                if answer != Errno::ENOENT.0 {
                    return answer;
                }
                match find_again(path, argv, &mut storage) {
                    Some(Ok(program)) => start(&program),
                    Some(Err(error)) => error.0,
                    None => answer,
                }
            }
            Ok(program) => {
                count(Family::Exec, Outcome::Served);
                start(&program)
            }
            Err(error) => {
                count(Family::Exec, Outcome::Failed);
                error.0
            }
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_spawnp(
    process: *mut c_int,
    name: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
    argv: Strings,
    envp: Strings,
) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        if crate::world::get().is_none() {
            let Some(real) = next::posix_spawnp() else {
                return Errno::ENOSYS.0;
            };
            return real(process, name, actions, attributes, argv, envp);
        }
        if has_slash(name) {
            return posix_spawn(process, name, actions, attributes, argv, envp);
        }
        // What cannot be executed is skipped beforehand: a failed spawn would
        // have run the file actions already.
        let found = search_path(bytes(name).unwrap_or(b""), |path| {
            let mode = EXECUTE as c_int;
            let flags = nr::AT_EACCESS as c_int;
            if super::access::faccessat(nr::AT_FDCWD, path, mode, flags) != 0 {
                return Err(crate::errno::last());
            }
            Ok(posix_spawn(process, path, actions, attributes, argv, envp))
        });
        found.unwrap_or_else(|error| error.0)
    }
}

/// A path for the child, which opens or enters it by itself.
unsafe fn child_path(path: *const c_char, use_path: impl FnOnce(*const c_char) -> c_int) -> c_int {
    let mut scratch = PathBuffer::new();
    // SAFETY: the caller's C string.
    match unsafe { locate(nr::AT_FDCWD, path, Options::FOLLOW, &mut scratch) } {
        Where::Served(world, entry) => {
            let physical = served::vnode(world, entry)
                .and_then(|vnode| served::with_kernel_path(world, entry, &vnode, use_path));
            physical.unwrap_or_else(|error| error.0)
        }
        Where::KernelAt(path) => use_path(path.as_ptr()),
        // Errors show when the child gets there, as without us.
        Where::Kernel | Where::Absent { .. } | Where::Failed(_) => use_path(path),
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
    unsafe { child_path(path, |path| real(actions, descriptor, path, flags, mode)) }
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
    unsafe { child_path(path, |path| real(actions, path)) }
}
