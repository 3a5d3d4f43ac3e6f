//! The names of loaded objects: virtual paths, whoever asks the loader for them.
//!
//! The loader itself needs the physical paths only while it opens a library; what it
//! looks up later (`$ORIGIN`, the names to compare with) it keeps elsewhere. So the
//! names in its list can be rewritten:
//! - start-up objects are never unloaded: they get new strings, once, at start-up;
//! - glibc frees the names of others with the objects, so those are rewritten where they
//!   stand, under the lock that guards the list ([`World::physical`] makes room);
//! - musl never unloads, but has pointers into the old string: a new one again.
//!
//! What is not rewritten yet (constructors ask while their library is being loaded) is
//! shown by a string of ours.

use crate::link_map::{self, LinkMap};
use crate::symbol::weak_address;
use crate::world::{self, World};
use crate::{arena, locate, next, shown_text};
use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// `struct dl_phdr_info` (dl_iterate_phdr(3)).
#[repr(C)]
pub struct ObjectInfo {
    address: usize,
    /// The object's name.
    pub name: *const c_char,
    headers: *const c_void,
    header_count: u16,
    /// Objects loaded so far; old C libraries end the structure before it.
    added: u64,
    removed: u64,
}

/// The type of dl_iterate_phdr(3)'s callbacks.
pub type Visit = unsafe extern "C" fn(*mut ObjectInfo, usize, *mut c_void) -> c_int;

/// The virtual path of an object's `name` in memory that stays, or `name` itself.
///
/// # Safety
/// `name` is a C string or a bad pointer.
#[inline]
pub unsafe fn shown(world: &World, name: *const c_char) -> *const c_char {
    // SAFETY: passed on to the caller.
    let physical = unsafe { locate::bytes(name) };
    physical
        .and_then(|physical| world.shown(physical))
        .and_then(|(mount, rest)| arena::intern(&[mount, rest]))
        .map_or(name, |shown| shown.as_ptr())
}

/// Renames the objects that the process has started with.
///
/// # Safety
/// To be called at start-up, when there are no other objects.
pub unsafe fn rename_start(world: &World) {
    // SAFETY: nobody changes the list now, and the loader keeps it valid.
    unsafe { rename_until(world, link_map::first(), link_map::last_of_start()) };
}

/// Gives new names to the objects from `node` to `last`, whose old ones are never freed.
unsafe fn rename_until(world: &World, mut node: *const LinkMap, last: *const LinkMap) {
    // SAFETY: passed on to the callers.
    unsafe {
        while let Some(map) = node.as_ref() {
            let name = shown(world, map.name);
            if name != map.name {
                (*node.cast_mut()).name = name;
            }
            if node == last {
                break;
            }
            node = map.next;
        }
    }
}

/// Renames what was loaded since the start-up, as far as it can be done safely.
pub fn rename_loaded() {
    if is_glibc() {
        under_lock(core::ptr::null());
    }
}

/// Renames `node` and the objects that can be reached from it: the program is about to
/// get it from the loader.
///
/// # Safety
/// `node` is one that the loader has just told, so it is loaded.
pub unsafe fn rename_around(world: &'static World, node: *const LinkMap) {
    if is_glibc() {
        under_lock(node);
    } else {
        // Those before it are complete, which those behind it need not be.
        // SAFETY: musl's list only grows.
        unsafe { rename_until(world, link_map::first(), node) };
    }
}

fn is_glibc() -> bool {
    !weak_address!("gnu_get_libc_version").is_null()
}

/// Calls [`rename_in_place`] where nobody can change the list: in a callback of the loader.
fn under_lock(node: *const LinkMap) {
    if let Some(iterate) = next::dl_iterate_phdr() {
        // SAFETY: the callback ends at its first call.
        unsafe { iterate(rename_in_place, node.cast_mut().cast()) };
    }
}

/// How many objects had been loaded when the list was last looked at, and one more.
static SEEN: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" fn rename_in_place(
    info: *mut ObjectInfo,
    bytes: usize,
    node: *mut c_void,
) -> c_int {
    let Some(world) = world::get() else {
        return 1;
    };
    let start_end = link_map::last_of_start();
    let mut node: *const LinkMap = node.cast_const().cast();
    // SAFETY: the structure of `bytes` bytes is the loader's; the lock that it holds keeps
    // the nodes, and a node's name belongs to it alone and is writable.
    unsafe {
        if node.is_null() {
            if bytes >= size_of::<ObjectInfo>() {
                let now = (*info).added.wrapping_add(1);
                if SEEN.swap(now, Relaxed) == now {
                    return 1;
                }
            }
            node = start_end
                .as_ref()
                .map_or(core::ptr::null(), |last| last.next);
        } else {
            while let Some(map) = node.as_ref().filter(|map| !map.previous.is_null()) {
                node = map.previous;
            }
            if node == link_map::first() {
                node = start_end
                    .as_ref()
                    .map_or(core::ptr::null(), |last| last.next);
            }
        }
        while let Some(map) = node.as_ref() {
            if locate::bytes(map.name).is_some_and(|name| world.shown(name).is_some()) {
                shown_text::rewrite_string(world, map.name.cast_mut());
            }
            node = map.next;
        }
    }
    1
}

/// A visit of the program's, to be shown virtual names.
pub struct Visitor {
    /// Its callback.
    pub visit: Visit,
    /// What it wants to get with it.
    pub data: *mut c_void,
    /// What is served.
    pub world: &'static World,
}

/// Calls a program's [`Visitor`] for an object.
///
/// # Safety
/// As dl_iterate_phdr(3) calls it, with a [`Visitor`] as its data.
pub unsafe extern "C" fn visit_shown(
    info: *mut ObjectInfo,
    bytes: usize,
    visitor: *mut c_void,
) -> c_int {
    // SAFETY: the C library made the structure for this call alone.
    unsafe {
        let visitor = &*visitor.cast_const().cast::<Visitor>();
        (*info).name = shown(visitor.world, (*info).name);
        (visitor.visit)(info, bytes, visitor.data)
    }
}
