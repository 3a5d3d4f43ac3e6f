//! The path of a library as the loader can open it.
//!
//! As near to the caller's spelling as the view tree allows, because the loader
//! keeps the name: for its answers, and as the place that `$ORIGIN` stands for.

use crate::locate::{User, Where, bytes, locate, second_look};
use crate::stats::{Family, Outcome, count};
use crate::world::{Entry, World};
use crate::{arena, served, sys, world};
use core::ffi::c_char;
use core::mem::MaybeUninit;
use linux_raw_sys::general as nr;
use velo_core::resolve::{Options, PathBuffer};
use velo_core::vnode::flag;

const PATH_BYTES: usize = nr::PATH_MAX as usize;

/// What to give to `dlopen` in place of `path`; stays valid.
///
/// # Safety
/// `path` is a C string or a bad pointer.
pub unsafe fn path_for_loader(path: *const c_char) -> *const c_char {
    let Some(world) = world::get() else {
        return path;
    };
    // SAFETY: the caller's C string.
    let Some(text) = (unsafe { bytes(path) }) else {
        return path;
    };
    // SAFETY: the caller's C string.
    if !unsafe { is_plain_path(path) } {
        return path;
    }
    let mut scratch = PathBuffer::new();
    let mut out = [0; PATH_BYTES];
    // SAFETY: as above.
    let place = unsafe { locate(nr::AT_FDCWD, path, Options::FOLLOW, &mut scratch) };
    let found = match place {
        Where::Served(_, entry) => Some(entry),
        // SAFETY: as above.
        Where::Kernel => match unsafe {
            second_look(nr::AT_FDCWD, path, Options::FOLLOW, |place| match place {
                Where::Served(_, entry) => Ok(Some(entry)),
                Where::KernelAt(rewritten) => Err(keep(path, rewritten.to_bytes())),
                _ => Ok(None),
            })
        } {
            Some(Ok(found)) => found,
            Some(Err(rewritten)) => {
                count(Family::Loader, Outcome::PassedRewritten);
                return rewritten;
            }
            None => {
                count(Family::Loader, Outcome::PassedOutside);
                return path;
            }
        },
        Where::KernelAt(rewritten) => {
            count(Family::Loader, Outcome::PassedRewritten);
            return keep(path, rewritten.to_bytes());
        }
        Where::Absent { .. } | Where::Failed(_) => None,
    };
    let readable = |entry: &Entry| {
        served::vnode(world, *entry)
            .and_then(|vnode| served::may_read(world, *entry, &vnode, &User::effective()))
            .unwrap_or(false)
    };
    let chosen = match found.filter(readable) {
        Some(entry) => {
            count(Family::Loader, Outcome::Served);
            of_entry(world, entry, path, text, &mut out)
        }
        None => {
            count(Family::Loader, Outcome::Failed);
            of_nothing(world, path, text, &mut out)
        }
    };
    match chosen {
        Choice::AsGiven => path,
        Choice::Other(other) => keep(path, other),
    }
}

/// Whether a name is a path for everybody: without a slash the loader searches for its
/// caller, and `$ORIGIN` is its caller's.
///
/// # Safety
/// `path` is a C string or a bad pointer.
pub unsafe fn is_plain_path(path: *const c_char) -> bool {
    // SAFETY: passed on to the caller.
    unsafe { bytes(path) }.is_some_and(|text| text.contains(&b'/') && !text.contains(&b'$'))
}

enum Choice<'o> {
    AsGiven,
    Other(&'o [u8]),
}

fn keep(path: *const c_char, other: &[u8]) -> *const c_char {
    arena::intern(&[other]).map_or(path, core::ffi::CStr::as_ptr)
}

/// The caller's spelling below a mount, as a physical path.
fn spelled<'o>(world: &World, text: &[u8], out: &'o mut [u8; PATH_BYTES]) -> Option<&'o [u8]> {
    if text.first() != Some(&b'/') {
        return None;
    }
    let (mount, rest) = world.view.mount_of_prefix(text)?;
    world.physical_below(mount as u16, rest, out)
}

/// A path of a served entry: spelled as the caller has it, if that leads the kernel
/// to the same file.
fn of_entry<'o>(
    world: &'static World,
    entry: Entry,
    path: *const c_char,
    text: &[u8],
    out: &'o mut [u8; PATH_BYTES],
) -> Choice<'o> {
    let Ok(vnode) = served::vnode(world, entry) else {
        return Choice::AsGiven;
    };
    if vnode.is_file() && !vnode.has(flag::IN_VIEW) {
        // No library, and so not in the view tree: the loader will say so.
        return blob(world, entry, out).map_or(Choice::AsGiven, Choice::Other);
    }
    if text.first() != Some(&b'/') && leads_to(world, entry, path) {
        return Choice::AsGiven;
    }
    place_for_loader(world, entry, text, out).map_or(Choice::AsGiven, Choice::Other)
}

/// The blob of an entry, with slashes before it that make room for the virtual path.
fn blob<'o>(world: &World, entry: Entry, out: &'o mut [u8; PATH_BYTES]) -> Option<&'o [u8]> {
    let shown_bytes = world.virtual_path(entry, out)?;
    let blob = served::view_path(world, entry).ok()?;
    let slashes = shown_bytes.saturating_sub(blob.as_bytes().len());
    let end = slashes + blob.as_bytes().len();
    out.get_mut(..slashes)?.fill(b'/');
    out.get_mut(slashes..end)?.copy_from_slice(blob.as_bytes());
    out.get(..end)
}

/// The physical path of a served entry that the program calls `text`, spelled like it
/// below the mount if that leads the kernel there.
pub fn place_for_loader<'o>(
    world: &'static World,
    entry: Entry,
    text: &[u8],
    out: &'o mut [u8; PATH_BYTES],
) -> Option<&'o [u8]> {
    let mut buffer = [0; PATH_BYTES];
    let bytes = world
        .manifest(entry.mount)?
        .rel_path(entry.index, &mut buffer)?;
    let canonical = buffer.get(..bytes)?;
    let below = text
        .starts_with(b"/")
        .then(|| world.view.mount_of_prefix(text))
        .flatten();
    if let Some((mount, relative)) = below
        && (mount != usize::from(entry.mount) || relative != canonical)
        && let Some(bytes) = world
            .physical_below(mount as u16, relative, out)
            .map(<[u8]>::len)
        && leads_to(world, entry, out.as_ptr().cast())
    {
        return out.get(..bytes);
    }
    world.physical_below(entry.mount, canonical, out)
}

/// Whether the kernel finds the place of an entry at `path`.
fn leads_to(world: &World, entry: Entry, path: *const c_char) -> bool {
    let mut place = [0; PATH_BYTES];
    if world.physical(entry, &mut place).is_none() {
        return false;
    }
    let found = identity(place.as_ptr().cast());
    found.is_some() && found == identity(path)
}

/// A path at which the kernel opens no library either, whatever stands there: with a
/// slash behind it, if need be.
fn of_nothing<'o>(
    world: &'static World,
    path: *const c_char,
    text: &[u8],
    out: &'o mut [u8; PATH_BYTES],
) -> Choice<'o> {
    let spelled = spelled(world, text, out).map(<[u8]>::len);
    if spelled.is_none() && identity(path).is_none() {
        return Choice::AsGiven;
    }
    let mut end = spelled.unwrap_or(text.len());
    if spelled.is_none()
        && let Some(slot) = out.get_mut(..end)
    {
        slot.copy_from_slice(text);
    }
    if (spelled.is_none() || identity(out.as_ptr().cast()).is_some())
        && let Some(slot) = out.get_mut(end)
    {
        *slot = b'/';
        end += 1;
    }
    out.get(..end).map_or(Choice::AsGiven, Choice::Other)
}

/// Device and inode of what the kernel finds at a path.
fn identity(path: *const c_char) -> Option<(u64, u64)> {
    let mut status = MaybeUninit::<sys::Stat>::uninit();
    // SAFETY: the kernel checks the path; the buffer is ours and filled on success.
    unsafe {
        sys::result(sys::fstatat(nr::AT_FDCWD, path, status.as_mut_ptr(), 0)).ok()?;
        let status = status.assume_init();
        Some((status.st_dev, status.st_ino))
    }
}
