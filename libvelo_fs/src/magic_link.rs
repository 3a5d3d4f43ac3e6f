//! The links of `/proc` that lead to what a process has open: the kernel follows them
//! into the store, the program means the served entry.
//!
//! `/proc/PID/{fd/N,cwd,exe,root,map_files/RANGE}`, the same below `task/TID`, and their
//! other names: `/proc/self`, `/proc/thread-self`, `/dev/fd/N`, `/dev/stdin` and its kin.
//! Of this process our own tables know more than the kernel's text; of others, a file
//! whose content several paths have is the first of them.

use crate::cwd::{self, Cwd};
use crate::fd_table::{self, Known};
use crate::started::{entry_of_program, program_of_loader};
use crate::world::{Entry, World};
use crate::{locate, sys};
use core::ffi::c_int;
use core::mem::MaybeUninit;
use linux_raw_sys::general as nr;

/// Where a link leads.
pub enum Led<'b> {
    /// To a served entry.
    Entry(Entry),
    /// To a plain directory from which a path may lead into a mount.
    Directory(&'b [u8]),
}

/// A path that begins with such a link.
struct Link<'p> {
    /// Of this process.
    own: bool,
    name: Name,
    /// The link itself, and the path below it.
    path: &'p [u8],
    rest: &'p [u8],
}

enum Name {
    Descriptor(c_int),
    Cwd,
    Exe,
    Root,
    MappedFile,
}

/// Where a path's magic link leads, and the path below it. `path` is absolute.
pub fn follow<'p, 'b>(
    world: &'static World,
    path: &'p [u8],
    directory: &'b mut cwd::Buffer,
) -> Option<(Led<'b>, &'p [u8])> {
    let link = parse(path)?;
    let led = match link.name {
        Name::Descriptor(number) if link.own => match fd_table::get(number) {
            Known::Ancestor { bytes: 0, .. } => Led::Directory(b"/"),
            Known::Ancestor { mount, bytes } => {
                Led::Directory(world.mount(mount)?.path().get(..bytes as usize)?)
            }
            _ => Led::Entry(fd_table::served(number)?),
        },
        Name::Cwd if link.own => match cwd::get(world, directory)? {
            Cwd::Served(entry) => Led::Entry(entry),
            Cwd::Ancestor(directory) | Cwd::Elsewhere(directory) => Led::Directory(directory),
        },
        // A new root ends all serving, so it is the machine's.
        Name::Root if link.own => Led::Directory(b"/"),
        Name::Root => return None,
        Name::Exe if link.own => Led::Entry(ask(world, link.path, true)?),
        _ => Led::Entry(ask(world, link.path, false)?),
    };
    Some((led, link.rest))
}

/// How many symlinks the kernel follows as far as [`follow`] goes.
pub fn links(path: &[u8]) -> u8 {
    if path.starts_with(b"/dev/") {
        3 // `/dev/fd` or the like, `/proc/self` and the magic link
    } else if path.starts_with(b"/proc/self/") || path.starts_with(b"/proc/thread-self/") {
        2
    } else {
        1
    }
}

/// The descriptor of this process that an absolute path is a link to.
pub fn own_descriptor(path: &[u8]) -> Option<c_int> {
    match parse(path)? {
        Link {
            own: true,
            name: Name::Descriptor(number),
            rest: b"",
            ..
        } => Some(number),
        _ => None,
    }
}

/// Whether an absolute path is the link to this process's program.
pub fn is_own_exe(path: &[u8]) -> bool {
    parse(path).is_some_and(|link| link.own && matches!(link.name, Name::Exe) && link.rest == b"")
}

/// As [`follow`], for a relative path from a directory of `/proc`.
#[inline]
pub fn follow_from<'p, 'b>(
    world: &'static World,
    dirfd: c_int,
    path: &'p [u8],
    directory: &'b mut cwd::Buffer,
) -> Option<(Led<'b>, &'p [u8])> {
    if !is_in_proc(world, dirfd) {
        return None;
    }
    let mut buffer = [0; nr::PATH_MAX as usize];
    let (led, rest) = follow(world, absolute(dirfd, path, &mut buffer)?, directory)?;
    Some((led, path.get(path.len().checked_sub(rest.len())?..)?))
}

/// Whether relative paths from `dirfd` may name such links.
#[inline]
pub fn is_in_proc(world: &'static World, dirfd: c_int) -> bool {
    if dirfd != nr::AT_FDCWD {
        return fd_table::get(dirfd) == Known::InProc;
    }
    let mut buffer = cwd::Buffer::new();
    matches!(cwd::get(world, &mut buffer), Some(Cwd::Elsewhere(directory)) if directory.starts_with(b"/proc/"))
}

/// The absolute path that a path from `dirfd` means to the kernel, as a text.
pub fn absolute<'b>(
    dirfd: c_int,
    path: &'b [u8],
    buffer: &'b mut [u8; nr::PATH_MAX as usize],
) -> Option<&'b [u8]> {
    if path.starts_with(b"/") {
        return Some(path);
    }
    let end = if dirfd == nr::AT_FDCWD {
        sys::getcwd(buffer).ok()?
    } else {
        fd_table::physical_path(dirfd, buffer)?.len()
    };
    let slot = buffer.get_mut(end..=end + path.len())?;
    let (slash, slot) = slot.split_first_mut()?;
    *slash = b'/';
    slot.copy_from_slice(path);
    buffer.get(..=end + path.len())
}

fn parse(path: &[u8]) -> Option<Link<'_>> {
    let (own, name, rest) = match path.strip_prefix(b"/proc/") {
        Some(below) => {
            let (process, below) = split(locate::trim_slashes(below));
            let (mut name, mut rest) = split(below);
            if name == b"task" {
                let (_thread, below) = split(rest);
                (name, rest) = split(below);
            }
            let name = match name {
                b"cwd" => Name::Cwd,
                b"exe" => Name::Exe,
                b"root" => Name::Root,
                b"fd" => {
                    let number;
                    (number, rest) = split(rest);
                    Name::Descriptor(decimal(number)?)
                }
                b"map_files" => {
                    (_, rest) = split(rest);
                    Name::MappedFile
                }
                _ => return None,
            };
            let own = match process {
                b"self" | b"thread-self" => true,
                number => decimal(number)? == sys::process_id() as c_int,
            };
            (own, name, rest)
        }
        None => {
            let (name, mut rest) = split(path.strip_prefix(b"/dev/")?);
            let number = match name {
                b"stdin" => 0,
                b"stdout" => 1,
                b"stderr" => 2,
                b"fd" => {
                    let number;
                    (number, rest) = split(rest);
                    decimal(number)?
                }
                _ => return None,
            };
            (true, Name::Descriptor(number), rest)
        }
    };
    let mut link = path.get(..path.len() - rest.len())?;
    while let [shorter @ .., b'/'] = link {
        link = shorter;
    }
    Some(Link {
        own,
        name,
        path: link,
        rest,
    })
}

/// The entry that the kernel's text of a link stands for; `own_exe`: which leads to the
/// program of this process, or to its loader.
fn ask(world: &'static World, link: &[u8], own_exe: bool) -> Option<Entry> {
    let mut path = [0; 128];
    path.get_mut(..link.len())
        .filter(|slot| slot.len() < 128)?
        .copy_from_slice(link);
    let mut buffer = [0; nr::PATH_MAX as usize];
    let path = path.as_ptr().cast();
    let bytes = sys::readlinkat(nr::AT_FDCWD, path, &mut buffer).ok()?;
    let text = buffer.get(..bytes)?;
    let entry = fd_table::by_content(world, text)?;
    let mut line = [0; 2 * nr::PATH_MAX as usize];
    if let Some(program) = own_exe
        .then(|| program_of_loader(text, &mut line))
        .flatten()
    {
        return entry_of_program(world, program);
    }
    let mut status = MaybeUninit::<sys::Stat>::uninit();
    // Who may read the link need not be allowed to follow it.
    // SAFETY: the kernel checks the path; the buffer is ours.
    sys::result(unsafe { sys::fstatat(nr::AT_FDCWD, path, status.as_mut_ptr(), 0) }).ok()?;
    Some(entry)
}

fn decimal(digits: &[u8]) -> Option<c_int> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// The first component, and what follows its slashes.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let end = path
        .iter()
        .position(|byte| *byte == b'/')
        .unwrap_or(path.len());
    let (name, rest) = path.split_at_checked(end).unwrap_or((path, b""));
    (name, locate::trim_slashes(rest))
}
