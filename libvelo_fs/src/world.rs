//! What this process serves: the mounted manifests and where their files stand.
//!
//! Written once at start-up, read-only ever after, so hooks read it without a
//! lock. `get()` is `None` before that, and when there is nothing to serve.

use core::cell::UnsafeCell;
use core::sync::atomic::{
    AtomicU8,
    Ordering::{Acquire, Relaxed, Release},
};
use velo_core::manifest::Manifest;
use velo_core::resolve::{Mount, View};

/// Most manifests' roots that one process serves.
pub const MOUNTS_MAX: usize = 64;

/// One vnode: which mount, and its index in that mount's manifest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Number of the mount.
    pub mount: u16,
    /// Index of the entry in the mount's manifest.
    pub index: u32,
}

/// What a mount needs besides what the resolver knows of it.
#[derive(Clone, Copy)]
pub struct Place {
    /// The physical directory that stands for the mount's root, in the view tree.
    pub view: &'static [u8],
    /// Nanoseconds in the mtime of the view tree's directories.
    pub view_stamp_ns: u32,
}

/// Everything that is served.
pub struct World {
    /// The mounts, as the resolver wants them.
    pub view: View<'static>,
    /// One place per mount.
    pub places: &'static [Place],
    /// The store's root, without a slash at its end.
    pub store: &'static [u8],
    /// Path of this library.
    pub library: &'static [u8],
    /// What executed programs need in their environment.
    pub variables: Variables,
}

/// How many variables of its own Velo keeps.
pub const KEPT: usize = 6;

/// `NAME=value` strings, each with a NUL behind it.
pub struct Variables {
    /// `VELO_MANIFEST`.
    pub manifest: &'static [u8],
    /// `VELO_ROOT`.
    pub root: &'static [u8],
    /// `VELO_VIEW_ROOT`, `VELO_STATIC`, `VELO_STATS` and `VELO_ON_ERROR`, those that were given.
    pub given: [Option<&'static [u8]>; KEPT - 2],
    /// `LD_PRELOAD` with this library alone.
    pub preload: &'static [u8],
}

impl Variables {
    /// Velo's own, as far as there are any.
    pub fn kept(&self) -> [Option<&'static [u8]>; KEPT] {
        let [a, b, c, d] = self.given;
        [Some(self.manifest), Some(self.root), a, b, c, d]
    }
}

struct Slot(UnsafeCell<Option<World>>);
// SAFETY: written before `STATE` says READY (release), read only after (acquire).
unsafe impl Sync for Slot {}

static WORLD: Slot = Slot(UnsafeCell::new(None));
static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);

const UNKNOWN: u8 = 0;
const STARTING: u8 = 1;
const INERT: u8 = 2;
const READY: u8 = 3;

/// The served world, or `None` when calls are to be passed through.
#[inline(always)]
pub fn get() -> Option<&'static World> {
    match STATE.load(Acquire) {
        // SAFETY: READY is stored after the last write.
        READY => unsafe { (*WORLD.0.get()).as_ref() },
        UNKNOWN => early(),
        _ => None,
    }
}

/// A hook was called before our constructor, by another library's.
#[cold]
fn early() -> Option<&'static World> {
    crate::start::before_constructor();
    if STATE.load(Relaxed) == READY {
        get()
    } else {
        None
    }
}

/// Claims the start-up; `false` if it has been done or is under way.
pub fn claim() -> bool {
    STATE
        .compare_exchange(UNKNOWN, STARTING, Acquire, Relaxed)
        .is_ok()
}

/// Ends the start-up: `None` leaves the library inert.
///
/// # Safety
/// Only the thread that [`claim`]ed calls this, once.
pub unsafe fn publish(world: Option<World>) {
    let state = if world.is_some() { READY } else { INERT };
    // SAFETY: nobody reads the slot before READY.
    unsafe { *WORLD.0.get() = world };
    STATE.store(state, Release);
}

/// Ends serving: from now on every path is the kernel's.
pub fn retire() {
    STATE.store(INERT, Release);
}

impl World {
    /// Where the mount's physical files stand.
    #[inline]
    pub fn place(&self, mount: u16) -> Option<&Place> {
        self.places.get(usize::from(mount))
    }

    /// The mount with this number.
    #[inline(always)]
    pub fn mount(&self, mount: u16) -> Option<&'static Mount<'static>> {
        self.view.mounts().get(usize::from(mount))
    }

    /// The manifest of `mount`.
    #[inline(always)]
    pub fn manifest(&self, mount: u16) -> Option<&'static Manifest<'static>> {
        self.mount(mount).map(Mount::manifest)
    }

    /// The first mount below an absolute, normal path, if there is one.
    pub fn mount_below(&self, directory: &[u8]) -> Option<u16> {
        let directory = directory.strip_suffix(b"/").unwrap_or(directory);
        let below = |mount: &Mount<'_>| {
            let path = mount.path();
            path.starts_with(directory) && path.get(directory.len()) == Some(&b'/')
        };
        self.view
            .mounts()
            .iter()
            .position(below)
            .map(|number| number as u16)
    }

    /// Whether an absolute, normal path is a mount, in one, or above one.
    pub fn meets_mount(&self, path: &[u8]) -> bool {
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let within = |mount: &Mount<'_>| {
            let rest = path.strip_prefix(mount.path());
            rest.is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
        };
        self.view.mounts().iter().any(within) || self.mount_below(path).is_some()
    }

    /// The served entry that a physical path in a view tree stands for.
    pub fn entry_at_physical(&self, physical: &[u8]) -> Option<Entry> {
        for (number, (mount, place)) in self.view.mounts().iter().zip(self.places).enumerate() {
            let relative = match physical.strip_prefix(place.view) {
                Some([]) => b"".as_slice(),
                Some([b'/', relative @ ..]) => relative,
                _ => continue,
            };
            let index = mount.manifest().lookup(mount.root(), relative)?;
            return Some(Entry {
                mount: number as u16,
                index,
            });
        }
        None
    }

    /// The mount whose view tree a physical path lies in, and the path below its root:
    /// what a program has learnt from the loader or from `/proc`.
    #[inline]
    pub fn split_physical<'p>(&self, mut physical: &'p [u8]) -> Option<(Entry, &'p [u8])> {
        // Those of [`Self::physical`] may begin with more than one slash.
        while let [b'/', shorter @ ..] = physical
            && shorter.first() == Some(&b'/')
        {
            physical = shorter;
        }
        for (number, place) in self.places.iter().enumerate() {
            let rest = match physical.strip_prefix(place.view) {
                Some([]) => b"".as_slice(),
                Some([b'/', rest @ ..]) => rest,
                _ => continue,
            };
            let mount = number as u16;
            let index = self.mount(mount)?.top();
            return Some((Entry { mount, index }, rest));
        }
        None
    }

    /// How a physical path in a view tree reads to the program: the mount's path, and
    /// what follows it. Slashes that [`Self::physical`] has put before it are no part of it.
    #[inline]
    pub fn shown<'p>(&self, physical: &'p [u8]) -> Option<(&'static [u8], &'p [u8])> {
        let slashes = physical.iter().position(|byte| *byte != b'/')?;
        let physical = physical.get(slashes.checked_sub(1)?..)?;
        let (number, rest) = self.places.iter().enumerate().find_map(|(number, place)| {
            let rest = physical.strip_prefix(place.view)?;
            // A loader's message goes on with a colon or a blank.
            matches!(rest, [] | [b'/' | b':' | b' ', ..]).then_some((number, rest))
        })?;
        let mount = self.mount(number as u16)?.path();
        Some(if mount.is_empty() && rest.is_empty() {
            (b"/", rest)
        } else {
            (mount, rest)
        })
    }

    /// Writes the place of a mount's root in the view tree. It is not shorter than the
    /// mount's path, so that whoever keeps a physical path (the loader its names, the
    /// kernel what it executed) has room for the virtual one: slashes before it see to that.
    fn place_of(&self, mount: u16, out: &mut [u8]) -> Option<usize> {
        let view = self.place(mount)?.view;
        let slashes = self.mount(mount)?.path().len().saturating_sub(view.len());
        out.get_mut(..slashes)?.fill(b'/');
        let end = slashes + view.len();
        out.get_mut(slashes..end)?.copy_from_slice(view);
        Some(end)
    }

    /// Writes the physical path of `relative` below a mount and a NUL; without the NUL.
    pub fn physical_below<'o>(
        &self,
        mount: u16,
        relative: &[u8],
        out: &'o mut [u8],
    ) -> Option<&'o [u8]> {
        let mut end = self.place_of(mount, out)?;
        let slash: &[u8] = if relative.is_empty() { b"" } else { b"/" };
        for part in [slash, relative, b"\0"] {
            out.get_mut(end..end + part.len())?.copy_from_slice(part);
            end += part.len();
        }
        out.get(..end - 1)
    }

    /// Writes the physical path of `entry` in its view tree and a NUL; the length without it.
    pub fn physical(&self, entry: Entry, out: &mut [u8]) -> Option<usize> {
        let manifest = self.manifest(entry.mount)?;
        let end = self.place_of(entry.mount, out)?;
        let (slash, rest) = out.get_mut(end..)?.split_first_mut()?;
        let relative_bytes = manifest.rel_path(entry.index, rest)?;
        if relative_bytes == 0 {
            *slash = 0;
            return Some(end);
        }
        *slash = b'/';
        *rest.get_mut(relative_bytes)? = 0;
        Some(end + 1 + relative_bytes)
    }

    /// Writes the virtual absolute path of `entry` and a NUL; the length without it.
    pub fn virtual_path(&self, entry: Entry, out: &mut [u8]) -> Option<usize> {
        let bytes = self
            .view
            .canonical_path(usize::from(entry.mount), entry.index, out)?
            .len();
        *out.get_mut(bytes)? = 0;
        Some(bytes)
    }
}
