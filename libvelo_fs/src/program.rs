//! What execve(2) has to be given so that a served program starts: the physical
//! path of its executable in the view tree, and for a script its interpreter.
//!
//! The kernel would hand an interpreter the physical path of a served script, and
//! cannot see a served interpreter at all, so `#!` lines are read here, as the
//! kernel reads them (execve(2), "Interpreter scripts").

use crate::locate::{User, Where, bytes, locate, second_look};
use crate::served::{self, KernelPath};
use crate::world::{Entry, World};
use crate::{next::Strings, sys};
use core::ffi::{CStr, c_char, c_int};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{EXECUTE, Options, PathBuffer, may_access};

/// Bytes of a program that the kernel looks at (`BINPRM_BUF_SIZE`).
const HEAD_BYTES: usize = 256;
/// Interpreters that are interpreted in turn: the kernel gives up after four more.
const DEPTH_MAX: usize = 5;

/// What to execute.
pub enum Program {
    /// The caller's own path and arguments.
    AsGiven,
    /// Another path with the caller's arguments.
    At(KernelPath),
    /// An interpreter: its path, and arguments in place of the caller's first one.
    Interpreter(KernelPath, Strings),
}

/// The text of one `#!` line, where the argument strings stand.
struct Shebang {
    line: [u8; HEAD_BYTES + 1],
    interpreter: usize,
    argument: Option<usize>,
}

/// Memory for a program's resolution: must stay until the program was executed.
pub struct Storage {
    shebangs: [Option<Shebang>; DEPTH_MAX],
    arguments: StringArray,
}

impl Storage {
    /// Fresh memory.
    pub fn new() -> Self {
        Self {
            shebangs: [const { None }; DEPTH_MAX],
            arguments: StringArray::new(),
        }
    }
}

/// A NULL-terminated array of C strings, on the stack unless it is very long.
pub struct StringArray {
    fixed: [*const c_char; Self::FIXED],
}

impl StringArray {
    const FIXED: usize = 512;

    /// Nothing in it.
    pub fn new() -> Self {
        Self {
            fixed: [core::ptr::null(); Self::FIXED],
        }
    }

    /// `first` and then the strings of `rest` from number `skip` on.
    ///
    /// # Safety
    /// `rest` is null or a NULL-terminated array.
    pub unsafe fn join(
        &mut self,
        first: &[*const c_char],
        rest: Strings,
        skip: usize,
    ) -> Result<Strings, Errno> {
        // SAFETY: passed on to the caller.
        let count = unsafe { length(rest) };
        let skip = skip.min(count);
        let total = first.len() + count - skip + 1;
        let out: &mut [*const c_char] = if total <= Self::FIXED {
            &mut self.fixed
        } else {
            let memory = sys::map_memory(total * size_of::<*const c_char>())?;
            // SAFETY: fresh, zeroed, aligned memory for `total` pointers.
            unsafe { core::slice::from_raw_parts_mut(memory.cast(), total) }
        };
        // SAFETY: `rest` has `count` strings.
        let rest = (skip..count).map(|number| unsafe { *rest.add(number) });
        for (slot, text) in out
            .iter_mut()
            .zip(first.iter().copied().chain(rest).chain([core::ptr::null()]))
        {
            *slot = text;
        }
        Ok(out.as_ptr())
    }
}

/// Number of strings before the NULL.
unsafe fn length(strings: Strings) -> usize {
    if strings.is_null() {
        return 0;
    }
    // SAFETY: a NULL-terminated array.
    unsafe {
        (0..)
            .take_while(|number| !(*strings.add(*number)).is_null())
            .count()
    }
}

/// Whether the entry may be executed: execve(2) answers EACCES for everything else.
pub fn check_executable(world: &World, entry: Entry) -> Result<(), Errno> {
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

/// Finds out how to execute `path`.
///
/// # Safety
/// `path` is a C string or a bad pointer, `argv` null or a NULL-terminated array.
pub unsafe fn find(
    dirfd: c_int,
    path: *const c_char,
    argv: Strings,
    storage: &mut Storage,
) -> Result<Program, Errno> {
    let mut scratch = PathBuffer::new();
    // SAFETY: passed on to the caller.
    unsafe {
        match locate(dirfd, path, Options::FOLLOW, &mut scratch) {
            Where::Served(world, entry) => of_entry(world, entry, path, argv, storage),
            Where::Absent { .. } => Err(Errno::ENOENT),
            Where::Failed(error) => Err(error),
            Where::Kernel => Ok(Program::AsGiven),
            Where::KernelAt(path) => Ok(Program::At(KernelPath::new(path.to_bytes())?)),
        }
    }
}

/// Finds out how to execute a path that the kernel did not find: it may lead into
/// a mount through a symlink, or be a plain script with a served interpreter.
///
/// # Safety
/// As [`find`].
#[cold]
pub unsafe fn find_again(
    path: *const c_char,
    argv: Strings,
    storage: &mut Storage,
) -> Option<Result<Program, Errno>> {
    // SAFETY: passed on to the caller.
    unsafe {
        match second_look(nr::AT_FDCWD, path, Options::FOLLOW) {
            Some(Ok((world, entry))) => return Some(of_entry(world, entry, path, argv, storage)),
            Some(Err(error)) => return Some(Err(error)),
            None => {}
        }
        crate::world::get()?;
        let flags = (nr::O_RDONLY | nr::O_CLOEXEC) as c_int;
        let descriptor = sys::result(sys::openat(nr::AT_FDCWD, path, flags, 0)).ok()? as c_int;
        let shebang = read_shebang(descriptor);
        sys::close(descriptor);
        let shebang = shebang.ok()??;
        Some(of_script(shebang, path, argv, storage))
    }
}

/// How to execute a served entry that the caller calls `path`.
///
/// # Safety
/// As [`find`].
pub unsafe fn of_entry(
    world: &'static World,
    entry: Entry,
    path: *const c_char,
    argv: Strings,
    storage: &mut Storage,
) -> Result<Program, Errno> {
    check_executable(world, entry)?;
    match shebang_of(world, entry)? {
        // SAFETY: passed on to the caller.
        Some(shebang) => unsafe { of_script(shebang, path, argv, storage) },
        None => Ok(Program::At(served::view_path(world, entry)?)),
    }
}

fn shebang_of(world: &'static World, entry: Entry) -> Result<Option<Shebang>, Errno> {
    let vnode = served::vnode(world, entry)?;
    let flags = (nr::O_RDONLY | nr::O_CLOEXEC) as c_int;
    let opened = served::with_kernel_path(world, entry, &vnode, |path| {
        // SAFETY: our own C string.
        sys::result(unsafe { sys::openat(nr::AT_FDCWD, path, flags, 0) })
    })?;
    let Ok(descriptor) = opened else {
        served::report_missing(world, entry, &vnode);
        return Err(Errno::EIO);
    };
    let shebang = read_shebang(descriptor as c_int);
    sys::close(descriptor as c_int);
    shebang
}

/// Reads and splits a `#!` line; `None` if there is none.
fn read_shebang(descriptor: c_int) -> Result<Option<Shebang>, Errno> {
    let mut line = [0; HEAD_BYTES + 1];
    let read = sys::pread(descriptor, line.get_mut(..HEAD_BYTES).unwrap_or(&mut []), 0)?;
    if !line.starts_with(b"#!") {
        return Ok(None);
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let head = line.get(..read).unwrap_or(b"");
    let end = match head.iter().position(|byte| *byte == b'\n') {
        Some(end) => end,
        // Cut off in the middle of the interpreter's name: the kernel refuses.
        None if read == HEAD_BYTES
            && !head
                .get(2..)
                .unwrap_or(b"")
                .trim_ascii_start()
                .iter()
                .any(is_blank) =>
        {
            return Err(ENOEXEC);
        }
        None => read,
    };
    let text = head.get(..end).unwrap_or(b"");
    let Some(interpreter) = (2..end).find(|at| !text.get(*at).is_none_or(is_blank)) else {
        return Err(ENOEXEC);
    };
    let trimmed = text
        .iter()
        .rposition(|byte| !is_blank(byte))
        .map_or(end, |last| last + 1);
    let blank = (interpreter..trimmed).find(|at| text.get(*at).is_some_and(is_blank));
    let argument =
        blank.and_then(|blank| (blank..trimmed).find(|at| !text.get(*at).is_none_or(is_blank)));
    for end in [Some(trimmed), blank].into_iter().flatten() {
        if let Some(slot) = line.get_mut(end) {
            *slot = 0;
        }
    }
    Ok(Some(Shebang {
        line,
        interpreter,
        argument,
    }))
}

const ENOEXEC: Errno = Errno(8);

unsafe fn of_script(
    shebang: Shebang,
    script: *const c_char,
    argv: Strings,
    storage: &mut Storage,
) -> Result<Program, Errno> {
    let Storage {
        shebangs,
        arguments,
    } = storage;
    let mut depth = 0;
    let mut shebang = shebang;
    let program = loop {
        let kept = shebangs.get_mut(depth).ok_or(Errno::ELOOP)?.insert(shebang);
        // SAFETY: within the line, which ends with a NUL.
        let interpreter: *const c_char = unsafe { kept.line.as_ptr().add(kept.interpreter).cast() };
        let mut scratch = PathBuffer::new();
        // SAFETY: a C string of ours.
        let place = unsafe { locate(nr::AT_FDCWD, interpreter, Options::FOLLOW, &mut scratch) };
        match place {
            Where::Kernel => {
                // SAFETY: a C string of ours.
                break KernelPath::new(unsafe { CStr::from_ptr(interpreter) }.to_bytes())?;
            }
            Where::KernelAt(path) => break KernelPath::new(path.to_bytes())?,
            Where::Absent { .. } => return Err(Errno::ENOENT),
            Where::Failed(error) => return Err(error),
            Where::Served(world, entry) => {
                check_executable(world, entry)?;
                match shebang_of(world, entry)? {
                    None => break served::view_path(world, entry)?,
                    Some(inner) => {
                        shebang = inner;
                        depth += 1;
                    }
                }
            }
        }
    };
    // Innermost interpreter first, each followed by its argument; the script last.
    let mut first = [core::ptr::null(); 2 * DEPTH_MAX + 1];
    let mut count = 0;
    let mut push = |text: *const c_char| {
        if let Some(slot) = first.get_mut(count) {
            *slot = text;
            count += 1;
        }
    };
    for shebang in shebangs.iter().take(depth + 1).rev().flatten() {
        // SAFETY: within the line.
        unsafe {
            push(shebang.line.as_ptr().add(shebang.interpreter).cast());
            if let Some(argument) = shebang.argument {
                push(shebang.line.as_ptr().add(argument).cast());
            }
        }
    }
    push(script);
    let first = first.get(..count).unwrap_or(&[]);
    // SAFETY: passed on to the caller.
    let arguments = unsafe { arguments.join(first, argv, 1)? };
    Ok(Program::Interpreter(program, arguments))
}

/// Whether a path names a directory to look in, so that `PATH` is not searched.
///
/// # Safety
/// `name` is a C string or a bad pointer.
pub unsafe fn has_slash(name: *const c_char) -> bool {
    // SAFETY: passed on to the caller.
    unsafe { bytes(name) }.is_none_or(|name| name.contains(&b'/'))
}
