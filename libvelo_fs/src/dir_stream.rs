//! Our own `DIR` objects, for served directories only.
//!
//! The C library's functions never see them: whatever takes a `DIR` is hooked and
//! asks [`find`] first, which goes by the address alone. Slots are static, then
//! come in mapped chunks; there is no lock and nothing is ever given back.

use crate::listing::{self, Record};
use crate::sys;
use crate::world::{Entry, World};
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{
    AtomicPtr, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// An open directory stream.
pub struct Stream {
    used: AtomicU32,
    descriptor: AtomicU32,
    entry: AtomicU64,
    position: AtomicU64,
    record: UnsafeCell<Record>,
}

// SAFETY: a stream's record belongs to whoever reads the stream; POSIX leaves
// concurrent readdir(3) on one stream to the caller.
unsafe impl Sync for Stream {}

/// Position of a stream that cannot be listed, because its descriptor cannot.
pub const UNREADABLE: u64 = u64::MAX;

const FIRST_STREAMS: usize = 32;
const CHUNK_STREAMS: usize = 256;
const CHUNKS_MAX: usize = 256;

static FIRST: [Stream; FIRST_STREAMS] = [const {
    Stream {
        used: AtomicU32::new(0),
        descriptor: AtomicU32::new(0),
        entry: AtomicU64::new(0),
        position: AtomicU64::new(0),
        record: UnsafeCell::new(Record::EMPTY),
    }
}; FIRST_STREAMS];
static CHUNKS: [AtomicPtr<[Stream; CHUNK_STREAMS]>; CHUNKS_MAX] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; CHUNKS_MAX];

fn chunks() -> impl Iterator<Item = &'static [Stream]> {
    let mapped = CHUNKS.iter().map_while(|chunk| {
        // SAFETY: set once to a mapping that stays; all-zero is a valid stream.
        unsafe { chunk.load(Acquire).as_ref() }.map(<[Stream; CHUNK_STREAMS]>::as_slice)
    });
    core::iter::once(FIRST.as_slice()).chain(mapped)
}

/// The stream at this address, if it is one of ours.
#[inline]
pub fn find(pointer: *mut c_void) -> Option<&'static Stream> {
    let address = pointer as usize;
    chunks().find_map(|chunk| {
        let start = chunk.as_ptr() as usize;
        let offset = address.checked_sub(start)?;
        (offset < size_of_val(chunk)).then(|| chunk.get(offset / size_of::<Stream>()))?
    })
}

/// Makes a stream of an open, served directory; `None` without memory.
pub fn open(descriptor: c_int, entry: Entry, position: u64) -> Option<&'static Stream> {
    loop {
        for stream in chunks().flatten() {
            if stream.used.load(Relaxed) == 0
                && stream.used.compare_exchange(0, 1, AcqRel, Relaxed).is_ok()
            {
                stream.descriptor.store(descriptor as u32, Relaxed);
                stream.entry.store(
                    u64::from(entry.mount) << 32 | u64::from(entry.index),
                    Relaxed,
                );
                stream.position.store(position, Release);
                return Some(stream);
            }
        }
        let free = CHUNKS.iter().find(|chunk| chunk.load(Relaxed).is_null())?;
        let fresh = sys::map_memory(size_of::<[Stream; CHUNK_STREAMS]>()).ok()?;
        // A thread that loses here only wastes an untouched mapping.
        let _ = free.compare_exchange(core::ptr::null_mut(), fresh.cast(), Release, Relaxed);
    }
}

impl Stream {
    /// As the C type.
    pub fn as_ptr(&'static self) -> *mut c_void {
        core::ptr::from_ref(self).cast_mut().cast()
    }

    /// The kernel's descriptor of the directory.
    pub fn descriptor(&self) -> c_int {
        self.descriptor.load(Relaxed) as c_int
    }

    fn entry(&self) -> Entry {
        let value = self.entry.load(Relaxed);
        Entry {
            mount: (value >> 32) as u16,
            index: value as u32,
        }
    }

    /// The next record, valid until the next call; `None` at the end.
    pub fn next(&self, world: &'static World) -> Option<*mut Record> {
        let record = self.record.get();
        // SAFETY: see `Sync`.
        let filled =
            listing::fill_record(world, self.entry(), self.position.load(Relaxed), unsafe {
                &mut *record
            });
        filled.then(|| {
            self.position.fetch_add(1, Relaxed);
            record
        })
    }

    /// Where the next record comes from.
    pub fn position(&self) -> u64 {
        self.position.load(Relaxed)
    }

    /// Goes to a position that [`Self::position`] told earlier.
    pub fn seek(&self, position: u64) {
        self.position.store(position, Relaxed);
    }

    /// Ends the stream; the caller closes the descriptor.
    pub fn free(&self) {
        self.used.store(0, Release);
    }
}
