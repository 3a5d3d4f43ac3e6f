//! execve(2), execveat(2), fexecve(3) and the exec(3) family.
//!
//! `execl`, `execlp` and `execle` are true variadics: a small stub puts the
//! register arguments beside the stack ones, and Rust reads them as arrays.

use crate::environment::{self, ForLoader, for_loader, keep_velo};
use crate::fd_table;
use crate::locate::{From, Where, bytes, locate};
use crate::next::Strings;
use crate::program::{self, Program, Request, find, find_to_check, has_slash};
use crate::stats::{Family, Outcome, count};
use crate::strings::StringArray;
use crate::{errno, next, served, sys, world};
use core::ffi::{c_char, c_int};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Options, PathBuffer};

const ENOEXEC: Errno = Errno(8);
/// Whether it could be executed, without doing so (Linux 6.14).
const AT_EXECVE_CHECK: u32 = 0x10000;

/// What there is to execute, or with `AT_EXECVE_CHECK` to check.
unsafe fn found(
    request: &Request,
    check: c_int,
    storage: &mut program::Storage,
) -> Result<Program, Errno> {
    // SAFETY: the caller's arguments.
    unsafe {
        if check == 0 {
            find(request, storage)
        } else {
            find_to_check(request, storage)
        }
    }
}

/// Executes what was found; `pass` with the environment where it is the caller's own
/// path and arguments. Returns only with an error, or with what only `flags` ask for.
unsafe fn start(
    found: Result<Program, Errno>,
    storage: &program::Storage,
    flags: c_int,
    envp: Strings,
    pass: impl FnOnce(Strings) -> c_int,
) -> c_int {
    let mut memory = ForLoader::new();
    // SAFETY: the caller's environment, or ours of the same form.
    let envp = match unsafe { for_loader(envp, storage.libraries(), &mut memory) } {
        Ok(envp) => envp,
        Err(error) => return errno::fail(error),
    };
    match found {
        Ok(Program::AsGiven) => {
            count(Family::Exec, Outcome::PassedOutside);
            pass(envp)
        }
        Ok(Program::At(path, argv)) => {
            count(Family::Exec, Outcome::Served);
            // SAFETY: the caller's arrays, or ours of the same form.
            unsafe {
                match next::execve() {
                    Some(real) if flags == 0 => real(path, argv, envp),
                    _ => raw(nr::AT_FDCWD, path, argv, envp, flags),
                }
            }
        }
        Err(error) => {
            count(Family::Exec, Outcome::Failed);
            errno::fail(error)
        }
    }
}

/// execveat(2) by the kernel.
unsafe fn raw(
    dirfd: c_int,
    path: *const c_char,
    argv: Strings,
    envp: Strings,
    flags: c_int,
) -> c_int {
    let arguments = [
        dirfd as isize as usize,
        path as usize,
        argv as usize,
        envp as usize,
        flags as usize,
        0,
    ];
    // SAFETY: the kernel checks its pointers.
    errno::from_kernel(unsafe { sys::syscall6(nr::__NR_execveat as usize, arguments) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn execve(path: *const c_char, argv: Strings, envp: Strings) -> c_int {
    let pass = |envp: Strings| {
        // SAFETY: the caller's arguments.
        unsafe {
            match next::execve() {
                Some(real) => real(path, argv, envp),
                None => errno::from_kernel(sys::execve(path, argv, envp)),
            }
        }
    };
    if world::get().is_none() {
        return pass(envp);
    }
    let mut storage = program::Storage::new();
    let mut environment = environment::Storage::new();
    // SAFETY: the caller's arguments.
    unsafe {
        let envp = match keep_velo(envp, &mut environment) {
            Ok(envp) => envp,
            Err(error) => return errno::fail(error),
        };
        let request = Request::new(From::Directory(nr::AT_FDCWD), path, argv, envp);
        let found = find(&request, &mut storage);
        start(found, &storage, 0, envp, pass)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn execv(path: *const c_char, argv: Strings) -> c_int {
    // SAFETY: see the module above.
    unsafe { execve(path, argv, environment::current()) }
}

/// Room for the longest path behind `/dev/fd/` and a descriptor: the kernel sets no other limit to what
/// an interpreter is told.
const NAME_BYTES: usize = nr::PATH_MAX as usize + 32;

/// `/dev/fd/N`, or a path below it: what an interpreter is told of a script that was
/// executed by descriptor (execveat(2)).
fn name_below(descriptor: c_int, path: &[u8]) -> Result<[u8; NAME_BYTES], Errno> {
    let mut text = [0; 20];
    let digits = crate::message::decimal(descriptor.unsigned_abs().into(), &mut text);
    let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
    let mut name = [0; NAME_BYTES];
    let mut end = 0;
    for part in [b"/dev/fd/", digits, slash, path, b"\0"] {
        let slot = name.get_mut(end..end + part.len());
        slot.ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(part);
        end += part.len();
    }
    Ok(name)
}

/// Executes an open file.
unsafe fn exec_descriptor(
    descriptor: c_int,
    argv: Strings,
    envp: Strings,
    flags: c_int,
    pass: impl FnOnce(Strings) -> c_int,
) -> c_int {
    let Some(world) = world::get() else {
        return pass(envp);
    };
    let mut storage = program::Storage::new();
    let mut environment = environment::Storage::new();
    // SAFETY: the caller's arrays; a C string of ours.
    unsafe {
        let (envp, name) = match (
            keep_velo(envp, &mut environment),
            name_below(descriptor, b""),
        ) {
            (Ok(envp), Ok(name)) => (envp, name),
            (Err(error), _) | (_, Err(error)) => return errno::fail(error),
        };
        let request = Request {
            unreadable: sys::is_close_on_exec(descriptor),
            ..Request::new(
                From::Directory(nr::AT_FDCWD),
                name.as_ptr().cast(),
                argv,
                envp,
            )
        };
        let found = match fd_table::served(descriptor) {
            Some(entry) if flags == 0 => program::of_entry(world, entry, &request, &mut storage),
            // `/dev/fd/N` leads to the entry as well.
            Some(_) => found(&request, flags, &mut storage),
            None => found(&request, flags, &mut storage),
        };
        // A descriptor that only has its number in `/dev/fd` is the kernel's to refuse.
        let found = match found {
            Err(Errno::ENOENT) if !request.unreadable => Ok(Program::AsGiven),
            found => found,
        };
        start(found, &storage, flags, envp, pass)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fexecve(descriptor: c_int, argv: Strings, envp: Strings) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        exec_descriptor(descriptor, argv, envp, 0, |envp| {
            next::fexecve().map_or_else(
                || errno::fail(Errno::ENOSYS),
                |real| real(descriptor, argv, envp),
            )
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn execveat(
    dirfd: c_int,
    path: *const c_char,
    argv: Strings,
    envp: Strings,
    flags: c_int,
) -> c_int {
    let has = |bit: u32| flags as u32 & bit != 0;
    let check = (flags as u32 & AT_EXECVE_CHECK) as c_int;
    // SAFETY: see the module above.
    unsafe {
        let pass = |envp: Strings| raw(dirfd, path, argv, envp, flags);
        let text = bytes(path);
        let is_itself = has(nr::AT_EMPTY_PATH) && text.is_some_and(<[u8]>::is_empty);
        let is_wrong = has(!(nr::AT_EMPTY_PATH | nr::AT_SYMLINK_NOFOLLOW | AT_EXECVE_CHECK));
        if is_wrong || (is_itself && dirfd == nr::AT_FDCWD) {
            // Refused, after a look at the path's text; a directory is no program.
            return pass(envp);
        }
        if is_itself {
            return exec_descriptor(dirfd, argv, envp, check, pass);
        }
        if has(nr::AT_SYMLINK_NOFOLLOW) && is_served_symlink(dirfd, path) {
            return errno::fail(Errno::ELOOP);
        }
        let mut storage = program::Storage::new();
        let mut environment = environment::Storage::new();
        let envp = match keep_velo(envp, &mut environment) {
            Ok(envp) => envp,
            Err(error) => return errno::fail(error),
        };
        let request = Request::new(From::Directory(dirfd), path, argv, envp);
        let relative = text.filter(|text| !text.starts_with(b"/") && dirfd != nr::AT_FDCWD);
        let name = match relative.map(|text| name_below(dirfd, text)).transpose() {
            Ok(name) => name,
            Err(error) => return errno::fail(error),
        };
        let request = match &name {
            Some(name) => Request {
                name: name.as_ptr().cast(),
                unreadable: sys::is_close_on_exec(dirfd),
                ..request
            },
            None => request,
        };
        let found = found(&request, check, &mut storage);
        start(found, &storage, check, envp, pass)
    }
}

/// Whether a path is a served symlink.
unsafe fn is_served_symlink(dirfd: c_int, path: *const c_char) -> bool {
    let mut scratch = PathBuffer::new();
    // SAFETY: the caller's C string.
    match unsafe { locate(dirfd, path, Options::NO_FOLLOW, &mut scratch) } {
        Where::Served(world, entry) => {
            served::vnode(world, entry).is_ok_and(|vnode| vnode.is_symlink())
        }
        _ => false,
    }
}

/// Where `execvp` looks if `PATH` is not set (exec(3)).
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

unsafe extern "C" {
    fn getenv(name: *const c_char) -> *const c_char;
}

/// Calls `attempt` with each place where `PATH` may have `name`, until it answers
/// something; the error to report otherwise.
pub(super) unsafe fn search_path<T>(
    name: &[u8],
    mut attempt: impl FnMut(*const c_char) -> Result<T, Errno>,
) -> Result<T, Errno> {
    const SKIPPED: [i32; 5] = [2, 20, 116, 19, 110]; // ENOENT ENOTDIR ESTALE ENODEV ETIMEDOUT
    if name.is_empty() {
        return Err(Errno::ENOENT);
    }
    if name.len() > 255 {
        return Err(Errno::ENAMETOOLONG);
    }
    // SAFETY: the environment of the program.
    let path = unsafe { bytes(getenv(c"PATH".as_ptr())) }.unwrap_or(DEFAULT_PATH);
    let mut refused = false;
    for directory in path.split(|byte| *byte == b':') {
        let mut candidate = [0u8; nr::PATH_MAX as usize];
        let slash: &[u8] = if directory.is_empty() { b"" } else { b"/" };
        let mut end = 0;
        let fits = [directory, slash, name].iter().all(|part| {
            let slot = candidate.get_mut(end..end + part.len());
            end += part.len();
            slot.map(|slot| slot.copy_from_slice(part)).is_some()
        });
        if !fits || end >= candidate.len() {
            continue;
        }
        match attempt(candidate.as_ptr().cast()) {
            Err(Errno::EACCES) => refused = true,
            Err(error) if SKIPPED.contains(&error.0) => {}
            answer => return answer,
        }
    }
    Err(if refused {
        Errno::EACCES
    } else {
        Errno::ENOENT
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn execvpe(name: *const c_char, argv: Strings, envp: Strings) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        let attempt = |path: *const c_char| -> Result<c_int, Errno> {
            execve(path, argv, envp);
            if errno::last() == ENOEXEC && is_glibc() {
                run_by_shell(path, argv, envp);
            }
            Err(errno::last())
        };
        let answer = if has_slash(name) {
            attempt(name)
        } else {
            search_path(bytes(name).unwrap_or(b""), attempt)
        };
        answer.unwrap_or_else(errno::fail)
    }
}

/// musl hands ENOEXEC to the caller.
fn is_glibc() -> bool {
    !crate::symbol::weak_address!("gnu_get_libc_version").is_null()
}

/// A file without `#!` that is no binary is a shell script to `execvp` (exec(3)).
unsafe fn run_by_shell(path: *const c_char, argv: Strings, envp: Strings) {
    let mut arguments = StringArray::new();
    let shell = c"/bin/sh".as_ptr();
    // SAFETY: the caller's array.
    unsafe {
        if let Ok(arguments) = arguments.join(&[shell, path], argv, 1) {
            execve(shell, arguments, envp);
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn execvp(name: *const c_char, argv: Strings) -> c_int {
    // SAFETY: see the module above.
    unsafe { execvpe(name, argv, environment::current()) }
}

/// Which of the variadic functions was called.
const EXECL: u32 = 0;
const EXECLP: u32 = 1;
const EXECLE: u32 = 2;

/// The stub of a variadic: `rdi` is the path, the strings are in five registers
/// and then on the caller's stack.
macro_rules! variadic_stub {
    ($name:ident, $kind:ident) => {
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name() -> c_int {
            core::arch::naked_asm!(
                "push r9",
                "push r8",
                "push rcx",
                "push rdx",
                "push rsi",
                "mov rsi, rsp",
                "lea rdx, [rsp + 48]",
                "mov ecx, {kind}",
                "call {collect}",
                "add rsp, 40",
                "ret",
                kind = const $kind,
                collect = sym exec_variadic,
            )
        }
    };
}

variadic_stub!(execl, EXECL);
variadic_stub!(execlp, EXECLP);
variadic_stub!(execle, EXECLE);

/// Reads the strings and executes. `registers` holds five, `stack` the rest.
unsafe extern "C" fn exec_variadic(
    path: *const c_char,
    registers: Strings,
    stack: Strings,
    kind: u32,
) -> c_int {
    const IN_REGISTERS: usize = 5;
    // SAFETY: the caller ends the strings with a NULL, so nothing past it is read
    // but, for execle, the environment right behind it.
    unsafe {
        let at = |number: usize| {
            if number < IN_REGISTERS {
                *registers.add(number)
            } else {
                *stack.add(number - IN_REGISTERS)
            }
        };
        let count = (0..).take_while(|number| !at(*number).is_null()).count();
        let mut collected = StringArray::new();
        let from_registers = core::slice::from_raw_parts(registers, count.min(IN_REGISTERS));
        let rest = if count > IN_REGISTERS {
            stack
        } else {
            core::ptr::null()
        };
        let argv = match collected.join(from_registers, rest, 0) {
            Ok(argv) => argv,
            Err(error) => return errno::fail(error),
        };
        match kind {
            EXECLP => execvp(path, argv),
            EXECLE => execve(path, argv, at(count + 1).cast()),
            _ => execv(path, argv),
        }
    }
}
