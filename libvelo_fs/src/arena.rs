//! Memory for strings that live as long as the process: mount paths, view paths,
//! rewritten library names. Bump allocation, never freed, no lock.
//!
//! Not for anything that grows with the number of calls: callers keep what they
//! put here and use it again.

use core::ffi::{CStr, c_char};
use core::sync::atomic::{
    AtomicPtr, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed},
};

const FIRST_BYTES: usize = 16 * 1024;
const CHUNK_BYTES: usize = 256 * 1024;

/// Start-up strings fit here without a system call.
static FIRST: Chunk = Chunk(core::cell::UnsafeCell::new([0; FIRST_BYTES]));
static FIRST_USED: AtomicUsize = AtomicUsize::new(0);
static CHUNK: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
/// Bytes used of `CHUNK`.
static CHUNK_USED: AtomicUsize = AtomicUsize::new(CHUNK_BYTES);

struct Chunk(core::cell::UnsafeCell<[u8; FIRST_BYTES]>);

// SAFETY: every byte is handed out once, by an atomic addition.
unsafe impl Sync for Chunk {}

/// Copies the parts, one after the other, and a final NUL; the answer excludes the NUL.
/// `None` when the kernel gives no more memory.
pub fn keep(parts: &[&[u8]]) -> Option<&'static [u8]> {
    let bytes = parts.iter().map(|part| part.len()).sum::<usize>();
    let start = reserve(bytes + 1)?;
    let mut at = start;
    for part in parts {
        // SAFETY: `reserve` gave room for all parts and the NUL to this call alone.
        unsafe {
            core::ptr::copy_nonoverlapping(part.as_ptr(), at, part.len());
            at = at.add(part.len());
        }
    }
    // SAFETY: as above; fresh memory is zero, so the NUL already stands there.
    Some(unsafe { core::slice::from_raw_parts(start, bytes) })
}

const INTERNED: usize = 4096;
const PROBES: usize = 64;
static TABLE: [AtomicPtr<c_char>; INTERNED] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; INTERNED];

/// As [`keep`], but the same text is kept once: for what is asked again and again.
pub fn intern(parts: &[&[u8]]) -> Option<&'static CStr> {
    let bytes = || parts.iter().copied().flatten();
    let mut hash = 0xcbf2_9ce4_8422_2325_usize;
    for byte in bytes() {
        hash = (hash ^ usize::from(*byte)).wrapping_mul(0x100_0000_01b3);
    }
    let start = hash % INTERNED;
    let mut fresh: Option<&'static CStr> = None;
    for slot in TABLE.iter().cycle().skip(start).take(PROBES) {
        let mut found = slot.load(Acquire);
        if found.is_null() {
            let text = match fresh {
                Some(text) => text,
                None => as_c_string(keep(parts)?)?,
            };
            fresh = Some(text);
            let own = text.as_ptr().cast_mut();
            match slot.compare_exchange(core::ptr::null_mut(), own, AcqRel, Acquire) {
                Ok(_) => return fresh,
                Err(other) => found = other,
            }
        }
        // SAFETY: only C strings that stay are put into the table.
        let found = unsafe { CStr::from_ptr(found) };
        if found.to_bytes().iter().eq(bytes()) {
            return Some(found);
        }
    }
    // A full neighbourhood: kept once more.
    fresh.or_else(|| as_c_string(keep(parts)?))
}

fn as_c_string(kept: &'static [u8]) -> Option<&'static CStr> {
    // SAFETY: `keep` puts a NUL behind what it returns.
    let with_nul = unsafe { core::slice::from_raw_parts(kept.as_ptr(), kept.len() + 1) };
    CStr::from_bytes_until_nul(with_nul).ok()
}

fn reserve(bytes: usize) -> Option<*mut u8> {
    let first = FIRST_USED.fetch_add(bytes, Relaxed);
    if first.saturating_add(bytes) <= FIRST_BYTES {
        // SAFETY: within the array.
        return Some(unsafe { FIRST.0.get().cast::<u8>().add(first) });
    }
    FIRST_USED.store(FIRST_BYTES, Relaxed);
    if bytes > CHUNK_BYTES / 4 {
        return crate::sys::map_memory(bytes).ok();
    }
    loop {
        let chunk = CHUNK.load(Relaxed);
        let used = CHUNK_USED.fetch_add(bytes, Relaxed);
        if used.saturating_add(bytes) <= CHUNK_BYTES
            && chunk == CHUNK.load(Relaxed)
            && !chunk.is_null()
        {
            // SAFETY: within the chunk, and nobody else got these bytes.
            return Some(unsafe { chunk.add(used) });
        }
        let fresh = crate::sys::map_memory(CHUNK_BYTES).ok()?;
        // A thread that loses here only wastes an untouched mapping.
        if CHUNK
            .compare_exchange(chunk, fresh, Relaxed, Relaxed)
            .is_ok()
        {
            CHUNK_USED.store(0, Relaxed);
        }
    }
}
