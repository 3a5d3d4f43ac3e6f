//! The working directory as the program sees it.
//!
//! Known from start-up and from the hooked `chdir` family, so relative paths cost
//! no system call. A change that we cannot follow makes it unknown, and the next
//! relative path asks the kernel once. Threads that may have directories of their
//! own, and children of `vfork`, ask each time.

use crate::symbol::weak_address;
use crate::world::{Entry, World};
use crate::{sys, vfork};
use core::cell::UnsafeCell;
use core::ffi::c_char;
use core::mem::MaybeUninit;
use core::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use linux_raw_sys::general as nr;
use velo_core::resolve::Quick;

const PATH_BYTES: usize = nr::PATH_MAX as usize;

/// Where relative paths start.
#[derive(Clone, Copy)]
pub enum Cwd<'b> {
    /// A served directory.
    Served(Entry),
    /// A plain directory above some mount, by its path.
    Ancestor(&'b [u8]),
    /// A plain directory from which only `..` leads into a mount, by its path.
    Elsewhere(&'b [u8]),
}

/// Memory for a path that is not remembered: making one costs nothing.
pub struct Buffer(MaybeUninit<[u8; PATH_BYTES]>);

impl Buffer {
    /// Fresh memory.
    #[inline(always)]
    pub const fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    /// Cleared memory.
    pub fn bytes(&mut self) -> &mut [u8; PATH_BYTES] {
        self.0.write([0; PATH_BYTES])
    }
}

/// Two path buffers, written in turn, so that a reader of the last state never
/// sees half of a new one.
struct Buffers([UnsafeCell<[u8; PATH_BYTES]>; 2]);
// SAFETY: a buffer is written before the state that points to it is published;
// two changes during one lookup are a race of the program with itself, and the
// bytes stay within bounds even then.
unsafe impl Sync for Buffers {}

static BUFFERS: Buffers = Buffers([const { UnsafeCell::new([0; PATH_BYTES]) }; 2]);
/// kind (bits 60..), and either the entry or the buffer and its length.
static STATE: AtomicU64 = AtomicU64::new(0);
/// Whether threads may have working directories of their own.
static SEPARATE: AtomicBool = AtomicBool::new(false);

const SERVED: u64 = 1;
const ANCESTOR: u64 = 2;
const ELSEWHERE: u64 = 3;

/// Learns the working directory at start-up.
pub fn start(world: &'static World) {
    get(world, &mut Buffer::new());
}

/// The working directory now.
#[inline]
pub fn get<'b>(world: &'static World, buffer: &'b mut Buffer) -> Option<Cwd<'b>> {
    let state = STATE.load(Acquire);
    if state >> 60 == 0 || SEPARATE.load(Relaxed) || vfork::in_child() {
        return get_slowly(world, buffer);
    }
    decode(state)
}

#[cold]
#[inline(never)]
fn get_slowly<'b>(world: &'static World, buffer: &'b mut Buffer) -> Option<Cwd<'b>> {
    if SEPARATE.load(Relaxed) || vfork::in_child() {
        // The directory is its own and the memory is not.
        return ask(world, buffer.bytes());
    }
    let number = STATE.load(Acquire) >> 32 & 1 ^ 1;
    // SAFETY: see `Buffers`.
    let path = unsafe { &mut *BUFFERS.0.get(number as usize)?.get() };
    let plain = |kind: u64, path: &[u8]| kind << 60 | number << 32 | path.len() as u64;
    let state = match ask(world, path)? {
        Cwd::Served(entry) => encode_entry(entry),
        Cwd::Ancestor(path) => plain(ANCESTOR, path),
        Cwd::Elsewhere(path) => plain(ELSEWHERE, path),
    };
    STATE.store(state, Release);
    decode(state)
}

#[inline]
fn decode(value: u64) -> Option<Cwd<'static>> {
    let path = || {
        let buffer = BUFFERS.0.get((value >> 32 & 1) as usize)?;
        // SAFETY: see `Buffers`.
        unsafe { (*buffer.get()).get(..value as u32 as usize) }
    };
    Some(match value >> 60 {
        SERVED => Cwd::Served(Entry {
            mount: (value >> 32) as u16,
            index: value as u32,
        }),
        ANCESTOR => Cwd::Ancestor(path()?),
        ELSEWHERE => Cwd::Elsewhere(path()?),
        _ => return None,
    })
}

/// Asks the kernel, which writes the path into `path`.
fn ask<'p>(world: &'static World, path: &'p mut [u8; PATH_BYTES]) -> Option<Cwd<'p>> {
    let bytes = sys::getcwd(path).ok()?;
    let physical = path.get(..bytes)?;
    let entry = world.entry_at_physical(physical).or_else(|| {
        // The mount point exists on disk as well, and the process started in it.
        match world.view.quick(physical, true) {
            Quick::Found { mount, index } => Some(Entry {
                mount: mount as u16,
                index,
            }),
            _ => None,
        }
    });
    Some(match entry {
        Some(entry) => Cwd::Served(entry),
        None if world.mount_below(physical).is_some() => Cwd::Ancestor(physical),
        None => Cwd::Elsewhere(physical),
    })
}

fn encode_entry(entry: Entry) -> u64 {
    SERVED << 60 | u64::from(entry.mount) << 32 | u64::from(entry.index)
}

/// The calling thread is about to get a working directory of its own. With a single
/// thread that is nothing new: those that it starts will share it.
pub fn separate() {
    let single = weak_address!("__libc_single_threaded").cast::<c_char>();
    // SAFETY: the C library's variable (glibc 2.32 and later), or null.
    let alone = unsafe { single.as_ref() }.is_some_and(|single| *single != 0);
    if !alone && !vfork::in_child() {
        SEPARATE.store(true, Relaxed);
    }
}

/// Notes that the process now stands in a served directory.
pub fn set_served(entry: Entry) {
    if !vfork::in_child() {
        STATE.store(encode_entry(entry), Release);
    }
}

/// Notes that the process now stands somewhere else.
pub fn set_unknown() {
    if !vfork::in_child() {
        // The buffer that the last state used must not be the next one written.
        STATE.store(STATE.load(Relaxed) & 1 << 32, Relaxed);
    }
}
