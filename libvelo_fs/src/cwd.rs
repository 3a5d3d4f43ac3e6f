//! The working directory as the program sees it.
//!
//! Known from start-up and from the hooked `chdir` family, so relative paths cost
//! no system call. A change that we cannot follow makes it unknown, and the next
//! relative path asks the kernel once.

use crate::world::{Entry, World};
use crate::{sys, vfork};
use core::cell::UnsafeCell;
use core::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use linux_raw_sys::general as nr;
use velo_core::resolve::Quick;

const PATH_BYTES: usize = nr::PATH_MAX as usize;

/// Where relative paths start.
#[derive(Clone, Copy)]
pub enum Cwd {
    /// A served directory.
    Served(Entry),
    /// A plain directory above some mount, by its path.
    Ancestor(&'static [u8]),
    /// A plain directory from which only `..` leads into a mount, by its path.
    Elsewhere(&'static [u8]),
}

/// Two path buffers, written in turn, so that a reader of the last state never
/// sees half of a new one, and one for children of `vfork`.
struct Buffers([UnsafeCell<[u8; PATH_BYTES]>; 3]);
// SAFETY: a buffer is written before the state that points to it is published;
// two changes during one lookup are a race of the program with itself, and the
// bytes stay within bounds even then.
unsafe impl Sync for Buffers {}

static BUFFERS: Buffers = Buffers([const { UnsafeCell::new([0; PATH_BYTES]) }; 3]);
const CHILD_BUFFER: u64 = 2;
/// kind (bits 60..), and either the entry or the buffer and its length.
static STATE: AtomicU64 = AtomicU64::new(0);

const SERVED: u64 = 1;
const ANCESTOR: u64 = 2;
const ELSEWHERE: u64 = 3;

/// Learns the working directory at start-up.
pub fn start(world: &'static World) {
    get(world);
}

/// The working directory now.
#[inline]
pub fn get(world: &'static World) -> Option<Cwd> {
    if vfork::in_child() {
        // Its directory is its own and its memory is not: ask each time.
        return decode(ask(world, CHILD_BUFFER)?);
    }
    decode(STATE.load(Acquire)).or_else(|| {
        let other = STATE.load(Acquire) >> 32 & 1 ^ 1;
        let value = ask(world, other)?;
        STATE.store(value, Release);
        decode(value)
    })
}

fn decode(value: u64) -> Option<Cwd> {
    let path = || {
        let buffer = BUFFERS.0.get((value >> 32 & 3) as usize)?;
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

#[cold]
fn ask(world: &'static World, number: u64) -> Option<u64> {
    let buffer = BUFFERS.0.get(number as usize)?;
    // SAFETY: see `Buffers`.
    let path = unsafe { &mut *buffer.get() };
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
    if let Some(entry) = entry {
        return Some(encode_entry(entry));
    }
    let kind = if world.mount_below(physical).is_some() {
        ANCESTOR
    } else {
        ELSEWHERE
    };
    Some(kind << 60 | number << 32 | bytes as u64)
}

fn encode_entry(entry: Entry) -> u64 {
    SERVED << 60 | u64::from(entry.mount) << 32 | u64::from(entry.index)
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
        STATE.store(STATE.load(Relaxed) & 3 << 32, Relaxed);
    }
}
