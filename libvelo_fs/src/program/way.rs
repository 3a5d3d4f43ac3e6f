//! The walk from the file that was asked for to the program that runs it, over scripts
//! and their interpreters, and what the kernel is given in the end.

use super::file::{Descriptor, check_outside, mentions};
use super::{Program, Request, SCRIPTS_MAX, Storage, check_executable, has_slash};
use crate::locate::{From, Where, bytes, is_bad, locate_from, second_look};
use crate::next::Strings;
use crate::served::{self, KernelPath};
use crate::world::{Entry, World};
use crate::{strings, sys, unserved};
use core::ffi::{c_char, c_int};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::executable::{Elf, Kind, Machine, Source as _, look};
use velo_core::resolve::{Options, PathBuffer};

/// A file on the way from a script to the program that runs it.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    /// Served.
    Served(Entry),
    /// The kernel's, from this directory; unknown: from one that is not this process's.
    Outside(Option<c_int>, *const c_char),
}

pub(super) fn stage_of(place: Where<'_>, from: From, path: *const c_char) -> Result<Stage, Errno> {
    match place {
        Where::Served(_, entry) => Ok(Stage::Served(entry)),
        Where::Absent { .. } => Err(Errno::ENOENT),
        Where::Failed(error) => Err(error),
        Where::Kernel | Where::KernelAt(_) => {
            // SAFETY: read only if it is a C string.
            let absolute = unsafe { bytes(path) }.is_some_and(|path| path.starts_with(b"/"));
            let directory = match from {
                From::Directory(directory) => Some(directory),
                From::Known(_) => absolute.then_some(nr::AT_FDCWD),
            };
            Ok(Stage::Outside(directory, path))
        }
    }
}

/// One walk from the file that was asked for to the one that runs it.
pub(super) struct Way<'r> {
    world: &'static World,
    request: &'r Request,
    pub(super) storage: &'r mut Storage,
    /// Scripts so far.
    depth: usize,
    /// Those of them that are the kernel's, as long as it may be left to the kernel to
    /// find out whether they may be executed.
    outside: [Option<(c_int, *const c_char)>; SCRIPTS_MAX],
    /// Whether a mount is touched, so that the kernel cannot go this way by itself.
    pub(super) ours: bool,
    /// The mount that the path of the program led through.
    pub(super) mount: Option<u16>,
}

impl<'r> Way<'r> {
    pub(super) fn new(
        world: &'static World,
        request: &'r Request,
        storage: &'r mut Storage,
    ) -> Self {
        Self {
            world,
            request,
            storage,
            depth: 0,
            outside: [None; SCRIPTS_MAX],
            ours: false,
            mount: None,
        }
    }

    /// # Safety
    /// As [`super::find`].
    pub(super) unsafe fn follow(mut self, first: Stage) -> Result<Program, Errno> {
        let mut stage = first;
        loop {
            // SAFETY: passed on to the caller.
            let file = match unsafe { self.open(&mut stage) } {
                Ok(file) => file,
                // Only the kernel can say what this is.
                Err(_) if self.depth != 0 && !self.ours => return Ok(Program::AsGiven),
                Err(error @ (Errno::ENOENT | Errno::ENOTDIR)) => return Err(error),
                Err(error) if matches!(stage, Stage::Served(_)) => return Err(error),
                // SAFETY: passed on to the caller.
                Err(_) => return unsafe { self.finish(stage, None) },
            };
            if self.depth == SCRIPTS_MAX {
                return self.or_as_given(Err(Errno::ELOOP));
            }
            let kind = match look(&mut &file) {
                Ok(kind) => kind,
                Err(_) => Kind::Other,
            };
            let line = match kind {
                Kind::Script(line) => line,
                // SAFETY: passed on to the caller.
                Kind::Elf(elf) => return unsafe { self.finish(stage, Some((&elf, file))) },
                // SAFETY: passed on to the caller.
                Kind::Other => return unsafe { self.finish(stage, None) },
            };
            if self.depth == 0 {
                // The kernel has read the arguments by now.
                // SAFETY: passed on to the caller.
                unsafe {
                    strings::check(self.request.envp)?;
                    strings::check(self.request.argv)?;
                }
                if self.request.unreadable {
                    return Err(Errno::ENOENT);
                }
            }
            match (stage, self.outside.get_mut(self.depth)) {
                // SAFETY: a C string of the caller or of the storage.
                (Stage::Outside(Some(directory), path), _) if self.ours => unsafe {
                    check_outside(directory, path)?;
                },
                (Stage::Outside(Some(directory), path), Some(slot)) => {
                    *slot = Some((directory, path));
                }
                _ => {}
            }
            let Some(slot) = self.storage.scripts.get_mut(self.depth) else {
                return self.or_as_given(Err(Errno::ELOOP));
            };
            let interpreter = slot.insert(line).interpreter().as_ptr();
            self.depth += 1;
            // SAFETY: a C string that stays in the storage.
            stage = unsafe { self.interpreter_stage(interpreter)? };
        }
    }

    /// Where an interpreter is. Apart, so that its stack is not held along the way.
    ///
    /// # Safety
    /// A C string that stays.
    #[inline(never)]
    unsafe fn interpreter_stage(&mut self, interpreter: *const c_char) -> Result<Stage, Errno> {
        let mut scratch = PathBuffer::new();
        // SAFETY: passed on to the caller.
        let place =
            unsafe { locate_from(self.request.cwd, interpreter, Options::FOLLOW, &mut scratch) };
        match place {
            Where::KernelAt(path) => {
                self.ours = true;
                let path = self.storage.given.insert(KernelPath::new(path.to_bytes())?);
                Ok(Stage::Outside(Some(nr::AT_FDCWD), path.as_ptr()))
            }
            place => {
                self.ours |= matches!(place, Where::Absent { .. } | Where::Failed(_));
                stage_of(place, self.request.cwd, interpreter)
            }
        }
    }

    /// An answer that only counts if something is served.
    fn or_as_given(&self, answer: Result<Program, Errno>) -> Result<Program, Errno> {
        if self.ours {
            answer
        } else {
            Ok(Program::AsGiven)
        }
    }

    /// Opens a file to look at it. Finds out if the kernel's path leads into a mount.
    ///
    /// # Safety
    /// As [`super::find`].
    unsafe fn open(&mut self, stage: &mut Stage) -> Result<Descriptor, Errno> {
        if let Stage::Outside(directory, path) = *stage {
            let directory = directory.ok_or(Errno::EACCES)?;
            // SAFETY: passed on to the caller.
            let error = match unsafe { Descriptor::open(directory, path) } {
                Err(error @ (Errno::ENOENT | Errno::ENOTDIR)) => error,
                answer => return answer,
            };
            let again = |place: Where<'_>| match place {
                Where::Served(_, entry) => Ok(Stage::Served(entry)),
                Where::KernelAt(path) => {
                    let path = self.storage.given.insert(KernelPath::new(path.to_bytes())?);
                    Ok(Stage::Outside(Some(nr::AT_FDCWD), path.as_ptr()))
                }
                Where::Absent { .. } | Where::Kernel => Err(Errno::ENOENT),
                Where::Failed(error) => Err(error),
            };
            // SAFETY: passed on to the caller.
            *stage =
                unsafe { second_look(directory, path, Options::FOLLOW, again) }.ok_or(error)??;
            self.ours = true;
            if let Stage::Outside(Some(directory), path) = *stage {
                // SAFETY: a C string of ours.
                return unsafe { Descriptor::open(directory, path) };
            }
        }
        let Stage::Served(entry) = *stage else {
            return Err(Errno::EACCES);
        };
        self.ours = true;
        check_executable(self.world, entry)?;
        let vnode = served::vnode(self.world, entry)?;
        let opened = served::with_kernel_path(self.world, entry, &vnode, |path| {
            // SAFETY: our own C string.
            unsafe { Descriptor::open(nr::AT_FDCWD, path) }
        })?;
        match opened {
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES | Errno::ELOOP) => {
                served::report_missing(self.world, entry, &vnode);
                Err(Errno::EIO)
            }
            opened => opened,
        }
    }

    /// The program that ends the chain. `elf`: its headers and its file.
    ///
    /// # Safety
    /// As [`super::find`].
    unsafe fn finish(
        &mut self,
        stage: Stage,
        elf: Option<(&Elf, Descriptor)>,
    ) -> Result<Program, Errno> {
        let obstacle = elf
            .as_ref()
            .and_then(|(elf, _)| elf.obstacle(Some(Machine::OWN)));
        let mut loader = match elf {
            Some((elf, file)) if obstacle.is_none() => {
                let program = match stage {
                    Stage::Served(entry) => Some(entry),
                    Stage::Outside(..) => None,
                };
                let libraries = &mut self.storage.libraries;
                libraries.collect(self.world, elf, &file, program, self.request.cwd);
                // SAFETY: passed on to the caller.
                unsafe { self.served_loader(elf, &file)? }
            }
            _ => None,
        };
        if loader.is_some() {
            self.ours = true;
            // SAFETY: passed on to the caller.
            unsafe { strings::check(self.request.argv)? };
        }
        if self.ours {
            for (directory, path) in self.outside.iter().take(self.depth).flatten() {
                // SAFETY: a C string of the caller or of the storage.
                unsafe { check_outside(*directory, *path)? };
            }
        }
        let runs = match stage {
            Stage::Outside(Some(directory), path) if obstacle.is_some() || loader.is_some() => {
                // SAFETY: as above.
                unsafe { check_outside(directory, path) }.is_ok()
            }
            _ => true,
        };
        if !runs {
            // The kernel says so itself.
            loader = None;
        }
        let program = match stage {
            Stage::Served(entry) => {
                let path = served::view_path(self.world, entry)?;
                self.storage.program.insert(path).as_ptr()
            }
            Stage::Outside(Some(directory), path) if loader.is_some() => {
                // SAFETY: a C string of the caller or of the storage.
                let path = unsafe { self.for_loader(directory, path)? };
                self.storage.program.insert(path).as_ptr()
            }
            Stage::Outside(_, path) => path,
        };
        let is_given = !self.ours;
        let argv = if is_given {
            self.request.argv
        } else {
            // SAFETY: passed on to the caller.
            unsafe { self.arguments(program, loader)? }
        };
        if let Some(obstacle) = obstacle.filter(|_| runs) {
            let last = self.depth.checked_sub(1);
            let script = last.and_then(|last| self.storage.scripts.get(last)?.as_ref());
            let program = unserved::Program {
                name: script.map_or(self.request.path, |script| script.interpreter().as_ptr()),
                obstacle,
                mount: match stage {
                    Stage::Served(entry) => Some(entry.mount),
                    Stage::Outside(..) => self.mount,
                },
                cwd: self.request.cwd,
                argv,
                envp: self.request.envp,
            };
            // SAFETY: passed on to the caller.
            unsafe { unserved::refuse(self.world, &program)? };
        }
        Ok(match (is_given, loader) {
            (true, _) => Program::AsGiven,
            (false, Some(loader)) => Program::At(loader.path, argv),
            (false, None) => Program::At(program, argv),
        })
    }

    /// The arguments that the kernel would make: the innermost interpreter first, each
    /// followed by its argument, the script last. In front of them, what makes a
    /// loader start the program.
    ///
    /// # Safety
    /// As [`super::find`].
    unsafe fn arguments(
        &mut self,
        program: *const c_char,
        loader: Option<Loader>,
    ) -> Result<Strings, Errno> {
        let mut first = [core::ptr::null(); 4 + 2 * SCRIPTS_MAX + 1];
        let mut count = 0;
        let mut push = |text: *const c_char| {
            if let Some(slot) = first.get_mut(count) {
                *slot = text;
                count += 1;
            }
        };
        let Storage {
            scripts, arguments, ..
        } = &mut *self.storage;
        let scripts = scripts.get(..self.depth).unwrap_or(&[]);
        let argv = self.request.argv;
        let mut skip = usize::from(self.depth != 0);
        if let Some(loader) = loader {
            let own = match scripts.last().and_then(Option::as_ref) {
                Some(script) => script.interpreter().as_ptr(),
                // SAFETY: passed on to the caller.
                None => unsafe { first_of(argv) }.unwrap_or(c"".as_ptr()),
            };
            // Its physical path tells it from one that a program calls ([`crate::started`]).
            push(loader.path);
            if loader.takes_name {
                push(c"--argv0".as_ptr());
                push(own);
            }
            push(program);
            skip = 1;
        }
        for (number, script) in scripts.iter().rev().flatten().enumerate() {
            if number != 0 || loader.is_none() {
                push(script.interpreter().as_ptr());
            }
            if let Some(argument) = script.argument() {
                push(argument.as_ptr());
            }
        }
        if self.depth != 0 {
            push(self.request.name);
        }
        let first = first.get(..count).unwrap_or(&[]);
        if first.is_empty() {
            return Ok(argv);
        }
        // SAFETY: passed on to the caller.
        unsafe { arguments.join(first, argv, skip) }
    }

    /// The path of a program of the kernel's for a loader, which would look for a bare
    /// name among its libraries.
    ///
    /// # Safety
    /// As [`super::find`].
    #[inline(never)]
    unsafe fn for_loader(
        &self,
        directory: c_int,
        path: *const c_char,
    ) -> Result<KernelPath, Errno> {
        let in_cwd = directory == nr::AT_FDCWD;
        let path = if in_cwd { path } else { self.request.name };
        // SAFETY: passed on to the caller.
        let (bare, path) = unsafe { (!has_slash(path), bytes(path).unwrap_or(b"")) };
        let mut out = [0; nr::PATH_MAX as usize];
        let prefix: &[u8] = if bare { b"./" } else { b"" };
        let end = prefix.len() + path.len();
        let parts = out.get_mut(..end).ok_or(Errno::ENAMETOOLONG)?;
        let (front, rest) = parts
            .split_at_mut_checked(prefix.len())
            .ok_or(Errno::ENAMETOOLONG)?;
        front.copy_from_slice(prefix);
        rest.copy_from_slice(path);
        KernelPath::new(parts)
    }

    /// The loader of a program, if it is served and the kernel could not find it.
    ///
    /// # Safety
    /// As [`super::find`].
    #[inline(never)]
    unsafe fn served_loader(
        &mut self,
        elf: &Elf,
        file: &Descriptor,
    ) -> Result<Option<Loader>, Errno> {
        let Some(place) = elf.interpreter else {
            return Ok(None);
        };
        let bytes = usize::try_from(place.bytes).unwrap_or(usize::MAX);
        let Some(name) = self.storage.loader_name.get_mut(..bytes) else {
            return Ok(None);
        };
        if (&mut &*file).read_at(name, place.offset)? < bytes || name.last() != Some(&0) {
            return Ok(None);
        }
        let name: *const c_char = name.as_ptr().cast();
        let mut scratch = PathBuffer::new();
        // SAFETY: a C string, by its NUL at the end.
        let place = unsafe { locate_from(self.request.cwd, name, Options::FOLLOW, &mut scratch) };
        let Where::Served(_, entry) = place else {
            return Ok(None);
        };
        // SAFETY: the same string.
        if unsafe { sys::faccessat(nr::AT_FDCWD, name, 0, 0) } == 0 {
            return Ok(None);
        }
        check_executable(self.world, entry)?;
        let path = served::view_path(self.world, entry)?;
        let path = self.storage.loader.insert(path).as_ptr();
        // SAFETY: a C string of ours.
        let takes_name = unsafe { Descriptor::open(nr::AT_FDCWD, path) }
            .is_ok_and(|file| mentions(&file, b"argv0"));
        Ok(Some(Loader { path, takes_name }))
    }
}

/// A served loader.
#[derive(Clone, Copy)]
struct Loader {
    /// In the view tree; in the storage.
    path: *const c_char,
    /// Whether it can be told the program's first argument (glibc 2.33, musl).
    takes_name: bool,
}

/// # Safety
/// A NULL-terminated array, or a bad pointer.
unsafe fn first_of(argv: Strings) -> Option<*const c_char> {
    // SAFETY: passed on to the caller.
    (!is_bad(argv))
        .then(|| unsafe { *argv })
        .filter(|first| !first.is_null())
}
