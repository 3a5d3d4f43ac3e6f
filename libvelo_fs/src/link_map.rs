//! Finds what the program would have called without us: the next definition of
//! a symbol in the loader's search order, as `dlsym(RTLD_NEXT, …)` would.
//!
//! Reads the loaded objects' hash tables itself: `dlsym` may allocate or lock,
//! and before glibc 2.34 it stands in a library that need not be loaded.
//! Invariant: only objects that were there when the process started are read,
//! because only those are never unmapped; others only under the loader's lock.

use crate::next;
use crate::object_names::ObjectInfo;
use crate::symbol::{own_dynamic_section, weak_address};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

/// The public head of the loader's list node (link.h).
#[repr(C)]
pub struct LinkMap {
    base: usize,
    /// Path that the object was loaded from.
    pub name: *const c_char,
    dynamic: *const Dynamic,
    /// The object that was loaded next.
    pub next: *const LinkMap,
    /// The object that was loaded before.
    pub previous: *const LinkMap,
}

/// `struct r_debug`, the loader's entry for debuggers (link.h).
#[repr(C)]
struct LoaderDebug {
    version: i32,
    map: *const LinkMap,
}

/// An entry of an object's dynamic section (elf(5)).
#[repr(C)]
pub struct Dynamic {
    tag: isize,
    value: usize,
}

#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: usize,
    size: usize,
}

const DT_HASH: isize = 4;
const DT_STRTAB: isize = 5;
const DT_SYMTAB: isize = 6;
const DT_VERSYM: isize = 0x6fff_fff0;
const DT_GNU_HASH: isize = 0x6fff_fef5;
const STT_GNU_IFUNC: u8 = 10;
const VERSYM_HIDDEN: u16 = 0x8000;

static OWN: AtomicPtr<LinkMap> = AtomicPtr::new(core::ptr::null_mut());
static LAST: AtomicPtr<LinkMap> = AtomicPtr::new(core::ptr::null_mut());

/// Remembers where this library and the last start-up object stand in the list.
///
/// # Safety
/// To be called while the process still has its start-up objects only.
pub unsafe fn remember() {
    let own_section = own_dynamic_section();
    // SAFETY: the loader keeps the list valid; nobody changes it during start-up.
    unsafe {
        let mut node = first();
        while let Some(map) = node.as_ref() {
            if map.dynamic.cast::<()>() == own_section {
                OWN.store(node.cast_mut(), Relaxed);
            }
            LAST.store(node.cast_mut(), Relaxed);
            node = map.next;
        }
    }
}

/// The last object of the start-up: what follows it can be unloaded again.
pub fn last_of_start() -> *const LinkMap {
    LAST.load(Relaxed)
}

/// Path of this library as the loader opened it.
pub fn own_path() -> Option<&'static CStr> {
    // SAFETY: the loader never frees the node or the name of a preloaded object.
    unsafe {
        let map = OWN.load(Relaxed).as_ref()?;
        (!map.name.is_null()).then(|| CStr::from_ptr(map.name))
    }
}

/// The list's first node, the program itself; null where the loader does not tell.
pub fn first() -> *const LinkMap {
    let glibc = weak_address!("_r_debug").cast::<LoaderDebug>();
    // SAFETY: where the loader defines these symbols they have this type.
    unsafe {
        if let Some(debug) = glibc.as_ref() {
            return debug.map;
        }
        let musl = weak_address!("_dl_debug_addr").cast::<*const LoaderDebug>();
        musl.as_ref()
            .and_then(|debug| debug.as_ref())
            .map_or(core::ptr::null(), |debug| debug.map)
    }
}

/// Address of the first definition of `name` after this library, or null.
#[cold]
pub fn next_definition(name: &CStr) -> *mut () {
    // SAFETY: nodes from ours to the last start-up one are never unmapped.
    unsafe {
        if OWN.load(Relaxed).is_null() {
            // Another library's constructor calls before ours was run.
            remember();
        }
        let Some(own) = OWN.load(Relaxed).as_ref() else {
            return core::ptr::null_mut();
        };
        let last = LAST.load(Relaxed).cast_const();
        let mut node = own.next;
        while let Some(map) = node.as_ref() {
            if let Some(address) = Object::of(map).and_then(|object| object.definition(name)) {
                return address;
            }
            if node == last {
                break;
            }
            node = map.next;
        }
    }
    core::ptr::null_mut()
}

/// As [`next_definition`], among the objects that were loaded since the start-up. The
/// answer must be used at once, by who called a function that its own object needs.
#[cold]
pub fn later_definition(name: &CStr) -> *mut () {
    struct Search<'n> {
        name: &'n CStr,
        found: *mut (),
    }
    unsafe extern "C" fn look(_: *mut ObjectInfo, _: usize, search: *mut c_void) -> c_int {
        // SAFETY: the search is our caller's; the loader's lock keeps the list as it is.
        unsafe {
            let search = &mut *search.cast::<Search<'_>>();
            let mut node = last_of_start().as_ref().map_or(first(), |last| last.next);
            while let Some(map) = node.as_ref() {
                if let Some(found) =
                    Object::of(map).and_then(|object| object.definition(search.name))
                {
                    search.found = found;
                    break;
                }
                node = map.next;
            }
        }
        1
    }
    let mut search = Search {
        name,
        found: core::ptr::null_mut(),
    };
    if let Some(iterate) = next::dl_iterate_phdr() {
        // SAFETY: the callback ends at its first call.
        unsafe { iterate(look, (&raw mut search).cast()) };
    }
    search.found
}

/// The tables of one loaded object.
struct Object {
    base: usize,
    symbols: *const Symbol,
    strings: *const c_char,
    gnu_hash: *const u32,
    hash: *const u32,
    versions: *const u16,
}

impl Object {
    unsafe fn of(map: &LinkMap) -> Option<Self> {
        let mut object = Self {
            base: map.base,
            symbols: core::ptr::null(),
            strings: core::ptr::null(),
            gnu_hash: core::ptr::null(),
            hash: core::ptr::null(),
            versions: core::ptr::null(),
        };
        let mut entry = map.dynamic;
        // SAFETY: a dynamic section ends with a null tag.
        unsafe {
            while let Some(item) = entry.as_ref() {
                // glibc relocates these addresses in place, musl and the vDSO do not.
                let address = if item.value < map.base {
                    item.value + map.base
                } else {
                    item.value
                };
                match item.tag {
                    0 => break,
                    DT_SYMTAB => object.symbols = address as *const Symbol,
                    DT_STRTAB => object.strings = address as *const c_char,
                    DT_GNU_HASH => object.gnu_hash = address as *const u32,
                    DT_HASH => object.hash = address as *const u32,
                    DT_VERSYM => object.versions = address as *const u16,
                    _ => {}
                }
                entry = entry.add(1);
            }
        }
        (!object.symbols.is_null() && !object.strings.is_null()).then_some(object)
    }

    unsafe fn definition(&self, name: &CStr) -> Option<*mut ()> {
        // SAFETY: the tables belong to a loaded object and are well-formed, or
        // the loader itself would have failed.
        unsafe {
            if self.gnu_hash.is_null() {
                self.by_sysv_hash(name)
            } else {
                self.by_gnu_hash(name)
            }
        }
    }

    unsafe fn by_gnu_hash(&self, name: &CStr) -> Option<*mut ()> {
        let mut hash = 5381u32;
        for byte in name.to_bytes() {
            hash = hash.wrapping_mul(33).wrapping_add(u32::from(*byte));
        }
        // SAFETY: layout of DT_GNU_HASH: counts, bloom words, buckets, chains.
        unsafe {
            let buckets = *self.gnu_hash;
            let first_symbol = *self.gnu_hash.add(1);
            let bloom_words = *self.gnu_hash.add(2);
            let bloom_shift = *self.gnu_hash.add(3);
            if buckets == 0 || bloom_words == 0 {
                return None;
            }
            let bloom = self.gnu_hash.add(4).cast::<usize>();
            let word = *bloom.add((hash / usize::BITS % bloom_words) as usize);
            let mask =
                1usize << (hash % usize::BITS) | 1usize << ((hash >> bloom_shift) % usize::BITS);
            if word & mask != mask {
                return None;
            }
            let bucket_table = bloom.add(bloom_words as usize).cast::<u32>();
            let chains = bucket_table.add(buckets as usize);
            let mut index = *bucket_table.add((hash % buckets) as usize);
            if index < first_symbol {
                return None;
            }
            loop {
                let chained = *chains.add((index - first_symbol) as usize);
                if chained | 1 == hash | 1
                    && let Some(address) = self.symbol(index, name)
                {
                    return Some(address);
                }
                if chained & 1 != 0 {
                    return None;
                }
                index += 1;
            }
        }
    }

    unsafe fn by_sysv_hash(&self, name: &CStr) -> Option<*mut ()> {
        let mut hash = 0u32;
        for byte in name.to_bytes() {
            hash = (hash << 4).wrapping_add(u32::from(*byte));
            let high = hash & 0xf000_0000;
            hash = (hash ^ (high >> 24)) & !high;
        }
        // SAFETY: layout of DT_HASH: counts, buckets, chains.
        unsafe {
            let table = self.hash.as_ref()?;
            let buckets = *table;
            if buckets == 0 {
                return None;
            }
            let chains = self.hash.add(2 + buckets as usize);
            let mut index = *self.hash.add(2 + (hash % buckets) as usize);
            while index != 0 {
                if let Some(address) = self.symbol(index, name) {
                    return Some(address);
                }
                index = *chains.add(index as usize);
            }
        }
        None
    }

    unsafe fn symbol(&self, index: u32, name: &CStr) -> Option<*mut ()> {
        // SAFETY: `index` comes from this object's own hash table.
        unsafe {
            let symbol = self.symbols.add(index as usize).as_ref()?;
            let hidden =
                !self.versions.is_null() && *self.versions.add(index as usize) & VERSYM_HIDDEN != 0;
            if symbol.section == 0
                || hidden
                || CStr::from_ptr(self.strings.add(symbol.name as usize)) != name
            {
                return None;
            }
            let address = self.base.wrapping_add(symbol.value);
            if symbol.info & 15 == STT_GNU_IFUNC {
                let choose: extern "C" fn() -> *mut () = core::mem::transmute(address);
                return Some(choose());
            }
            Some(address as *mut ())
        }
    }
}
