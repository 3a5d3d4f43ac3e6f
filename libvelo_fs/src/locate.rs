//! The one place where a path of the program meets the resolver.
//!
//! Hooks give a directory descriptor and a C string; the answer says whether it
//! is served, the kernel's, or an error. No policy of single calls in here.

use crate::cwd::{self, Cwd};
use crate::fd_table::{self, Known};
use crate::magic_link::{self, Led};
use crate::world::{Entry, World};
use crate::{errno, sys, world};
use core::cell::Cell;
use core::ffi::{CStr, c_char, c_int};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{self, Base, Credentials, Options, Outside, PathBuffer, Resolution};

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

/// As [`locate`], for the rights of the real user, as access(2) wants it.
///
/// # Safety
/// As [`locate`].
pub unsafe fn locate_for_real_user<'s>(
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
    locate_as(world, from, path, options, &User::real(), scratch)
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
    // Physical paths come from the loader and from `/proc`.
    let led = match path {
        [b'/', ..] => match world.split_physical(path) {
            Some((entry, rest)) => Some((Led::Entry(entry), rest)),
            None if path.starts_with(b"/proc/") || path.starts_with(b"/dev/") => {
                magic_link::follow(world, path)
            }
            None => None,
        },
        [] => None,
        _ => match from {
            From::Directory(dirfd) => magic_link::follow_from(world, dirfd, path),
            From::Known(_) => None,
        },
    };
    let led = led.map(|(led, rest)| (led, trim_slashes(rest)));
    let slash = path.last() == Some(&b'/');
    let (base, path) = match led {
        Some((Led::Entry(entry), b"")) if slash && !is_directory(world, entry) => {
            return Where::Failed(Errno::ENOTDIR);
        }
        Some((Led::Entry(entry), b"")) if slash || options.follow_final => {
            return Where::Served(world, entry);
        }
        Some((Led::Entry(entry), rest)) if !rest.is_empty() => (entry_base(entry), rest),
        Some((Led::Directory(directory), rest)) if !rest.is_empty() => (Base::Dir(directory), rest),
        _ if path.starts_with(b"/") => (Base::Cwd(b"/"), path),
        _ if path.is_empty() && !options.allow_empty => return Where::Kernel,
        _ => match base_of(world, from, path) {
            Some(base) => (base, path),
            None => return Where::Kernel,
        },
    };
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
        // The way led out of a mount; a symlink out there may lead back.
        Ok(Resolution::Rewritten(_)) if !options.exact => {
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
fn base_of(world: &'static World, from: From, path: &[u8]) -> Option<Base<'static>> {
    let known = match from {
        From::Directory(nr::AT_FDCWD) => {
            return match cwd::get(world)? {
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
        Known::Foreign | Known::InProc | Known::Unknown => None,
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

/// After the kernel did not find a path of its own: whether symlinks outside, or
/// a descriptor whose path we do not know, lead into a mount all the same, or to another
/// error there. Asked only for paths that name a mount's last component.
///
/// # Safety
/// As [`locate`].
#[cold]
#[inline(never)]
pub unsafe fn second_look(
    dirfd: c_int,
    path: *const c_char,
    options: Options,
) -> Option<Result<(&'static World, Entry), Errno>> {
    let world = world::get()?;
    // SAFETY: passed on to the caller.
    let text = unsafe { bytes(path) }?;
    let named = world.view.mounts().iter().any(|mount| {
        let name = mount
            .path()
            .rsplit(|byte| *byte == b'/')
            .next()
            .unwrap_or(b"");
        text.split(|byte| *byte == b'/')
            .any(|component| component == name || component == b"..")
    });
    if !named {
        return None;
    }
    // SAFETY: passed on to the caller.
    unsafe {
        look_through_links(dirfd, path, options, |place| match place {
            Where::Served(world, entry) => Some(Ok((world, entry))),
            Where::Failed(error) => Some(Err(error)),
            _ => None,
        })
    }
}

/// Tells `use_place` what a path means when every component outside the mounts is read
/// as a symlink. One readlink(2) a component, so only for calls that are about many
/// files (walks), or that have failed.
///
/// # Safety
/// As [`locate`].
#[cold]
#[inline(never)]
pub unsafe fn look_through_links<T>(
    dirfd: c_int,
    path: *const c_char,
    options: Options,
    use_place: impl FnOnce(Where<'_>) -> T,
) -> T {
    // SAFETY: passed on to the caller.
    let (Some(world), Some(path)) = (world::get(), unsafe { bytes(path) }) else {
        return use_place(Where::Kernel);
    };
    let absolute = path.starts_with(b"/");
    if !absolute && matches!(fd_table::get(dirfd), Known::Served(_)) {
        return use_place(Where::Kernel);
    }
    let mut scratch = PathBuffer::new();
    let mut buffer = [0; nr::PATH_MAX as usize];
    let base = if absolute {
        Base::Cwd(b"/")
    } else {
        let path = if dirfd == nr::AT_FDCWD {
            let bytes = sys::getcwd(&mut buffer).ok();
            bytes.and_then(|bytes| buffer.get(..bytes))
        } else {
            fd_table::physical_path(dirfd, &mut buffer)
        };
        match path {
            // Links in the view tree are not to be read from where it stands.
            Some(path) if world.split_physical(path).is_none() => Base::Dir(path),
            _ => return use_place(Where::Kernel),
        }
    };
    let options = Options {
        exact: true,
        ..options
    };
    let before = errno::last();
    let resolution = resolve::resolve(
        &world.view,
        base,
        path,
        options,
        &User::effective(),
        &mut KernelTree,
        &mut scratch,
    );
    errno::restore(before);
    use_place(answer(world, resolution))
}

/// Symlinks outside the mounts, read from the kernel.
pub struct KernelTree;

impl Outside for KernelTree {
    fn readlink(&mut self, path: &[u8], buffer: &mut [u8]) -> Result<usize, Errno> {
        let mut text = [0; nr::PATH_MAX as usize];
        text.get_mut(..path.len())
            .filter(|slot| slot.len() < nr::PATH_MAX as usize)
            .ok_or(Errno::ENAMETOOLONG)?
            .copy_from_slice(path);
        sys::readlinkat(nr::AT_FDCWD, text.as_ptr().cast(), buffer)
    }
}

/// The process's identity, fetched from the kernel when an entry asks for it.
pub struct User {
    real: bool,
    ids: Cell<Option<(u32, u32)>>,
}

impl User {
    /// For most calls.
    #[inline(always)]
    pub fn effective() -> Self {
        Self {
            real: false,
            ids: Cell::new(None),
        }
    }

    /// For access(2).
    pub fn real() -> Self {
        Self {
            real: true,
            ids: Cell::new(None),
        }
    }

    /// Whether it is the real identity.
    pub fn is_real(&self) -> bool {
        self.real
    }

    fn ids(&self) -> (u32, u32) {
        if let Some(ids) = self.ids.get() {
            return ids;
        }
        let ids = sys::ids(self.real);
        self.ids.set(Some(ids));
        ids
    }
}

impl Credentials for User {
    fn uid(&self) -> u32 {
        self.ids().0
    }

    fn in_group(&self, gid: u32) -> bool {
        if self.ids().1 == gid {
            return true;
        }
        let mut groups = [0; 256];
        let count = sys::groups(&mut groups);
        groups
            .get(..count)
            .is_some_and(|groups| groups.contains(&gid))
    }
}
