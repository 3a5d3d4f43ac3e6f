//! The names of loaded objects: virtual paths, whoever asks the loader for them.
//!
//! The loader itself needs the physical paths only while it opens a library; what it
//! looks up later (`$ORIGIN`, the names to compare with) it keeps elsewhere. Answers with
//! a name get a string of ours in its place. Who asks for a node of the loader's own list
//! reads the names there, so those are rewritten then:
//! - start-up objects are never unloaded: they get new strings;
//! - glibc frees the names of others with the objects, so those are rewritten where they
//!   stand, under the lock that guards the list ([`World::physical`] makes room);
//! - musl never unloads, but has pointers into the old string: a new one again.
//!
//! Not before: a debugger that has read a list takes another name for another library, and
//! forgets the symbols of the first.

use crate::link_map::{self, LinkMap};
use crate::symbol::is_glibc;
use crate::world::{self, World};
use crate::{arena, locate, next, shown_text};
use core::ffi::{c_char, c_int, c_void};

/// The head of `struct dl_phdr_info` (dl_iterate_phdr(3)).
#[repr(C)]
pub struct ObjectInfo {
    address: usize,
    /// The object's name.
    pub name: *const c_char,
    headers: *const c_void,
    header_count: u16,
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

/// Renames the objects of a list: the program is about to get `node` from the loader, and
/// may go on from there.
///
/// # Safety
/// `node` is one that the loader has just told, so it is loaded.
pub unsafe fn rename_around(world: &'static World, node: *const LinkMap) {
    let (first, last_of_start) = (link_map::first(), link_map::last_of_start());
    if is_glibc() {
        if let Some(iterate) = next::dl_iterate_phdr() {
            // SAFETY: the callback ends at its first call.
            unsafe { iterate(rename_under_lock, node.cast_mut().cast()) };
        }
        return;
    }
    // Those before it are complete, which another thread's behind it need not be.
    let last = if node == first { last_of_start } else { node };
    // SAFETY: musl's list only grows.
    unsafe { rename_until(world, first, last) };
}

/// Gives new names to the objects from `node` to `last`, whose old ones are never freed;
/// the node behind.
unsafe fn rename_until(
    world: &World,
    mut node: *const LinkMap,
    last: *const LinkMap,
) -> *const LinkMap {
    // SAFETY: passed on to the callers.
    unsafe {
        while let Some(map) = node.as_ref() {
            let name = shown(world, map.name);
            if name != map.name {
                (*node.cast_mut()).name = name;
            }
            let at_last = node == last;
            node = map.next;
            if at_last {
                break;
            }
        }
    }
    node
}

/// A callback of the loader: nobody changes the list meanwhile.
unsafe extern "C" fn rename_under_lock(_: *mut ObjectInfo, _: usize, node: *mut c_void) -> c_int {
    let Some(world) = world::get() else {
        return 1;
    };
    let mut node: *const LinkMap = node.cast_const().cast();
    // SAFETY: the lock keeps the nodes, and the name of one that was loaded later belongs
    // to it alone and is writable.
    unsafe {
        while let Some(map) = node.as_ref().filter(|map| !map.previous.is_null()) {
            node = map.previous;
        }
        if node == link_map::first() {
            node = rename_until(world, node, link_map::last_of_start());
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
