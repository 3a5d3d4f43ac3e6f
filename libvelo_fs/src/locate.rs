//! The one place where a path of the program meets the resolver.
//!
//! Hooks give a directory descriptor and a C string; the answer says whether it
//! is served, the kernel's, or an error. No policy of single calls in here.

pub use crate::credentials::User;
mod closer;

use crate::cwd::{self, Cwd};
use crate::fd_table::{self, Known};
use crate::magic_link::{self, Led};
use crate::world::{Entry, World};
use crate::{credentials, world};
use closer::names_mount;
pub use closer::*;
use core::ffi::{CStr, c_char, c_int};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{self, Base, Options, PathBuffer, Resolution, Restrict};

/// What a path is.
pub enum Where<'s> {
    /// A served entry.
    Served(&'static World, Entry),
    /// Nothing, in a served directory: ENOENT, or EROFS for what would create it.
    Absent {
        /// The mount of that directory.
        mount: u16,
        /// Whether the missing name had a slash after it.
        slash: bool,
    },
    /// The kernel's, with the caller's own arguments.
    Kernel,
    /// The kernel's, but under this absolute path.
    KernelAt(&'s CStr),
    /// An error found on the way.
    Failed(Errno),
}

/// The lowest addresses are never mapped; the kernel calls them bad (EFAULT).
const LOWEST_ADDRESS: usize = 4096;
/// End of user space on x86_64: the last page is never mapped either.
const HIGHEST_ADDRESS: usize = (1 << 47) - 4096;

/// Whether the kernel would certainly answer EFAULT for this pointer.
#[inline(always)]
pub fn is_bad<T>(pointer: *const T) -> bool {
    !(LOWEST_ADDRESS..HIGHEST_ADDRESS).contains(&(pointer as usize))
}

unsafe extern "C" {
    // The C library's, vectorised; called on every path.
    fn strlen(text: *const c_char) -> usize;
}

/// The bytes of a C string of the program.
///
/// # Safety
/// `path` points to a NUL-terminated string, or [`is_bad`].
#[inline(always)]
pub unsafe fn bytes<'p>(path: *const c_char) -> Option<&'p [u8]> {
    // SAFETY: passed on to the caller.
    (!is_bad(path)).then(|| unsafe { core::slice::from_raw_parts(path.cast(), strlen(path)) })
}

/// A quick answer.
pub enum Quick {
    /// A served entry.
    Found(&'static World, Entry),
    /// Nothing, in a served directory.
    Absent,
    /// Ask [`locate`].
    Unknown,
}

/// The answer for a `path` that is absolute and spelled exactly as the manifest has
/// it: most calls end here. For everything else there is [`locate`].
///
/// # Safety
/// As [`locate`].
#[inline(always)]
pub unsafe fn quick(path: *const c_char, options: Options) -> Quick {
    let Some(world) = world::get() else {
        return Quick::Unknown;
    };
    // SAFETY: passed on to the caller.
    let Some(path) = (unsafe { bytes(path) }) else {
        return Quick::Unknown;
    };
    match world.view.quick(path, options.follow_final) {
        resolve::Quick::Found { mount, index } => {
            let mount = mount as u16;
            Quick::Found(world, Entry { mount, index })
        }
        resolve::Quick::Absent => Quick::Absent,
        resolve::Quick::Unknown => Quick::Unknown,
    }
}

/// Resolves `path` from `dirfd`. `NULL` and other bad pointers are the kernel's to refuse.
///
/// # Safety
/// `path` points to a NUL-terminated string, or is a bad pointer.
#[inline]
pub unsafe fn locate<'s>(
    dirfd: c_int,
    path: *const c_char,
    options: Options,
    scratch: &'s mut PathBuffer,
) -> Where<'s> {
    let Some(world) = world::get() else {
        return Where::Kernel;
    };
    // SAFETY: passed on to the caller.
    let Some(path) = (unsafe { bytes(path) }) else {
        return Where::Kernel;
    };
    locate_bytes(world, dirfd, path, options, scratch)
}

/// Where a relative path starts.
#[derive(Clone, Copy)]
pub enum From {
    /// In a directory of this process, or `AT_FDCWD`.
    Directory(c_int),
    /// In a directory that this process need not have open.
    Known(Known),
}

/// As [`locate`], from any start.
///
/// # Safety
/// As [`locate`].
pub unsafe fn locate_from<'s>(
    from: From,
    path: *const c_char,
    options: Options,
    scratch: &'s mut PathBuffer,
) -> Where<'s> {
    // SAFETY: passed on to the caller.
    let Some((world, path)) = world::get().zip(unsafe { bytes(path) }) else {
        return Where::Kernel;
    };
    locate_as(world, from, path, options, &User::effective(), scratch)
}

/// As [`locate`], for the rights of `user`.
///
/// # Safety
/// As [`locate`].
pub unsafe fn locate_for<'s>(
    user: &User,
    dirfd: c_int,
    path: *const c_char,
    options: Options,
    scratch: &'s mut PathBuffer,
) -> Where<'s> {
    let Some(world) = world::get() else {
        return Where::Kernel;
    };
    // SAFETY: passed on to the caller.
    let Some(path) = (unsafe { bytes(path) }) else {
        return Where::Kernel;
    };
    let from = From::Directory(dirfd);
    locate_as(world, from, path, options, user, scratch)
}

/// As [`locate`], for bytes.
#[inline]
pub fn locate_bytes<'s>(
    world: &'static World,
    dirfd: c_int,
    path: &'s [u8],
    options: Options,
    scratch: &'s mut PathBuffer,
) -> Where<'s> {
    let from = From::Directory(dirfd);
    locate_as(world, from, path, options, &User::effective(), scratch)
}

#[inline]
fn locate_as<'s>(
    world: &'static World,
    from: From,
    path: &'s [u8],
    options: Options,
    user: &User,
    scratch: &'s mut PathBuffer,
) -> Where<'s> {
    let is_plain = path.starts_with(b"/")
        && options.restrict.is_nothing()
        && !path.starts_with(b"/proc/")
        && !path.starts_with(b"/dev/")
        && world.split_physical(path).is_none();
    if is_plain {
        return locate_below(world, Base::Cwd(b"/"), path, options, user, scratch);
    }
    locate_by_start(world, from, path, options, user, scratch)
}

/// As [`locate_as`], for paths that do not simply start at the root. Apart, because it needs much
/// stack: threads with the least of it, that ask for plain paths, are to do with that.
#[inline(never)]
fn locate_by_start<'s>(
    world: &'static World,
    from: From,
    path: &'s [u8],
    options: Options,
    user: &User,
    scratch: &'s mut PathBuffer,
) -> Where<'s> {
    let (mut directory, mut linked) = (cwd::Buffer::new(), cwd::Buffer::new());
    // Physical paths come from the loader and from `/proc`. Restrictions forbid those of
    // `/proc`, and the kernel says so itself.
    let led = match path {
        _ if !options.restrict.is_nothing() => None,
        [b'/', ..] => match world.split_physical(path) {
            Some((entry, rest)) => Some((Led::Entry(entry), rest)),
            None if path.starts_with(b"/proc/") || path.starts_with(b"/dev/") => {
                magic_link::follow(world, path, &mut linked)
            }
            None => None,
        },
        [] => None,
        _ => match from {
            From::Directory(dirfd) => magic_link::follow_from(world, dirfd, path, &mut linked),
            From::Known(_) => None,
        },
    };
    let led = led.map(|(led, rest)| (led, trim_slashes(rest)));
    let options = Options {
        links: led.as_ref().map_or(0, |_| magic_link::links(path)),
        ..options
    };
    let slash = path.last() == Some(&b'/');
    let in_root = options.restrict.has(Restrict::IN_ROOT);
    let (base, path) = match led {
        Some((Led::Entry(entry), b"")) if slash && !is_directory(world, entry) => {
            return Where::Failed(Errno::ENOTDIR);
        }
        Some((Led::Entry(entry), b"")) if slash || options.follow_final => {
            return Where::Served(world, entry);
        }
        Some((Led::Entry(entry), rest)) if !rest.is_empty() => (entry_base(entry), rest),
        Some((Led::Directory(directory), rest)) if !rest.is_empty() => (Base::Dir(directory), rest),
        _ if path.starts_with(b"/") && !in_root => (Base::Cwd(b"/"), path),
        _ if path.is_empty() && !options.allow_empty => return Where::Kernel,
        _ => match base_of(world, from, path, &mut directory) {
            Some(base) => (base, path),
            None => return Where::Kernel,
        },
    };
    locate_below(world, base, path, options, user, scratch)
}

/// What `path` is from where it starts.
fn locate_below<'s>(
    world: &'static World,
    base: Base<'_>,
    path: &'s [u8],
    options: Options,
    user: &User,
    scratch: &'s mut PathBuffer,
) -> Where<'s> {
    let again: *mut PathBuffer = scratch;
    let ask = |options, scratch| {
        resolve::resolve(
            &world.view,
            base,
            path,
            options,
            user,
            &mut KernelTree,
            scratch,
        )
    };
    match ask(options, scratch) {
        // The way led out of a mount; a symlink out there may lead back, or the way end
        // before it is too long to be spelled in one piece.
        Ok(Resolution::Rewritten(_)) | Err(Errno::ENAMETOOLONG) if !options.exact => {
            let options = Options {
                exact: true,
                ..options
            };
            // SAFETY: the first answer, which borrowed the buffer, is gone.
            answer(world, ask(options, unsafe { &mut *again }))
        }
        found => answer(world, found),
    }
}

fn is_directory(world: &World, entry: Entry) -> bool {
    crate::served::vnode(world, entry).is_ok_and(|vnode| vnode.is_dir())
}

/// What follows the slashes that `path` begins with.
pub fn trim_slashes(path: &[u8]) -> &[u8] {
    let start = path.iter().position(|byte| *byte != b'/');
    path.get(start.unwrap_or(path.len())..).unwrap_or(b"")
}

fn answer<'s>(world: &'static World, resolution: Result<Resolution<'s>, Errno>) -> Where<'s> {
    match resolution {
        Ok(Resolution::Found { mount, index }) => Where::Served(
            world,
            Entry {
                mount: mount as u16,
                index,
            },
        ),
        Ok(Resolution::Absent { mount, slash, .. }) => Where::Absent {
            mount: mount as u16,
            slash,
        },
        Ok(Resolution::Outside) => Where::Kernel,
        Ok(Resolution::Rewritten(path)) => Where::KernelAt(path),
        Err(error) => Where::Failed(error),
    }
}

/// Where a relative path starts, or `None` if nothing served can be reached from there.
#[inline]
fn base_of<'b>(
    world: &'static World,
    from: From,
    path: &[u8],
    buffer: &'b mut cwd::Buffer,
) -> Option<Base<'b>> {
    let known = match from {
        From::Directory(nr::AT_FDCWD) => {
            return match cwd::get(world, buffer)? {
                Cwd::Served(entry) => Some(entry_base(entry)),
                Cwd::Ancestor(directory) => Some(Base::Cwd(directory)),
                // Only `..` leads from here into a mount.
                Cwd::Elsewhere(directory) => path
                    .starts_with(b"..")
                    .then_some(Base::Cwd(directory))
                    .or_else(|| contains_parent(path).then_some(Base::Cwd(directory))),
            };
        }
        From::Directory(dirfd) => fd_table::directory(world, dirfd),
        From::Known(known) => known,
    };
    match known {
        Known::Served(entry) => Some(entry_base(entry)),
        Known::Ancestor { mount, bytes } => world
            .mount(mount)?
            .path()
            .get(..bytes as usize)
            .map(|directory| Base::Dir(if bytes == 0 { b"/" } else { directory })),
        Known::Foreign | Known::Unknown => match from {
            From::Directory(dirfd) if names_mount(world, path) && !credentials::under_filter() => {
                let directory = fd_table::physical_path(dirfd, buffer.bytes())?;
                world
                    .split_physical(directory)
                    .is_none()
                    .then_some(Base::Dir(directory))
            }
            _ => None,
        },
        Known::InProc => None,
    }
}

/// Bytes of the canonical path of the plain directory that a relative path starts
/// from, `/` having none.
pub fn base_bytes(world: &'static World, dirfd: c_int) -> usize {
    match base_of(
        world,
        From::Directory(dirfd),
        b"..",
        &mut cwd::Buffer::new(),
    ) {
        Some(Base::Cwd(directory) | Base::Dir(directory)) => {
            directory.strip_suffix(b"/").unwrap_or(directory).len()
        }
        _ => 0,
    }
}

fn entry_base(entry: Entry) -> Base<'static> {
    Base::Entry {
        mount: usize::from(entry.mount),
        index: entry.index,
    }
}

fn contains_parent(path: &[u8]) -> bool {
    path.windows(3).any(|window| window == b"/..")
}
