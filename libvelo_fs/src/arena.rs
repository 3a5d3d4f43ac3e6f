//! Memory for strings that live as long as the process: mount paths, view paths,
//! rewritten library names. Bump allocation, never freed, no lock.
//!
//! Not for anything that grows with the number of calls: callers keep what they
//! put here and use it again.

use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

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
