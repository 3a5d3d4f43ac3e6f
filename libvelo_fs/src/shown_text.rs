//! Physical paths in texts that others wrote (the loader's messages, `/proc/PID/maps`),
//! and the virtual paths that the program is shown in their place.
//!
//! Invariant: what is not surely a path into the store stays as it is.

use crate::served::STORE_BYTES_MAX;
use crate::world::World;
use crate::{fd_table, locate};
use core::ffi::c_char;
use core::ops::Range;
use linux_raw_sys::general as nr;
use velo_core::store_layout::BLOB_SUFFIX_BYTES;

const BLOB_PATH_BYTES: usize = STORE_BYTES_MAX + BLOB_SUFFIX_BYTES;

/// Looks for physical paths in a text. Remembers the last blob, because its mappings
/// stand side by side and looking it up takes long.
pub struct Finder {
    /// The last blob's path, and the virtual one in its place.
    blob: [u8; BLOB_PATH_BYTES],
    blob_bytes: usize,
    shown: [u8; nr::PATH_MAX as usize],
    shown_bytes: usize,
}

impl Finder {
    /// Has found nothing yet.
    pub fn new() -> Self {
        Self {
            blob: [0; BLOB_PATH_BYTES],
            blob_bytes: 0,
            shown: [0; nr::PATH_MAX as usize],
            shown_bytes: 0,
        }
    }

    /// The next physical path in `text` from byte `from` on: the bytes to replace, and by
    /// what. Of a path in a view tree that is the way to the mount; what follows it stays.
    pub fn next(
        &mut self,
        world: &'static World,
        text: &[u8],
        from: usize,
    ) -> Option<(Range<usize>, &[u8])> {
        let mut at = from;
        loop {
            let start = at + text.get(at..)?.iter().position(|byte| *byte == b'/')?;
            let tail = text.get(start..)?;
            let slashes = tail.iter().position(|byte| *byte != b'/')?;
            if starts_path(text, start) {
                let end = tail.iter().position(|byte| *byte == b'\n');
                let path = tail.get(..end.unwrap_or(tail.len()))?;
                if let Some((mount, rest)) = world.shown(path) {
                    return Some((start..start + path.len() - rest.len(), mount));
                }
                let inner = path.get(slashes - 1..)?;
                if let Some(blob) = blob_name(world, inner)
                    && self.look_up(world, blob).is_some()
                {
                    let end = start + slashes - 1 + blob.len();
                    return Some((start..end, self.shown.get(..self.shown_bytes)?));
                }
            }
            at = start + slashes;
        }
    }

    /// Finds the first path that has the content of a blob.
    fn look_up(&mut self, world: &'static World, blob: &[u8]) -> Option<()> {
        if self.blob.get(..self.blob_bytes) == Some(blob) {
            return Some(());
        }
        let entry = fd_table::by_content(world, blob)?;
        self.shown_bytes = world.virtual_path(entry, &mut self.shown)?;
        self.blob.get_mut(..blob.len())?.copy_from_slice(blob);
        self.blob_bytes = blob.len();
        Some(())
    }
}

/// Whether a path can start here: not in the middle of another one.
fn starts_path(text: &[u8], start: usize) -> bool {
    let before = start.checked_sub(1).and_then(|before| text.get(before));
    !before.is_some_and(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'\\') || *byte >= 128
    })
}

/// The blob's path that `path` begins with.
fn blob_name<'t>(world: &World, path: &'t [u8]) -> Option<&'t [u8]> {
    let blob = path.get(..world.store.len() + BLOB_SUFFIX_BYTES)?;
    let rest = blob.strip_prefix(world.store)?;
    rest.starts_with(b"/cas_store/").then_some(blob)
}

/// Rewrites `text` where it stands; the new length, never a larger one. What would
/// need more room stays physical.
fn rewrite(world: &'static World, text: &mut [u8]) -> usize {
    let (mut length, mut from) = (text.len(), 0);
    let mut finder = Finder::new();
    while let Some((range, path)) = finder.next(world, text.get(..length).unwrap_or(b""), from) {
        let Range { start, end } = range;
        let Some(slot) = text.get_mut(start..start + path.len()) else {
            break;
        };
        if start + path.len() > end {
            from = end;
            continue;
        }
        slot.copy_from_slice(path);
        from = start + path.len();
        text.copy_within(end..length, from);
        length -= end - from;
    }
    length
}

/// As [`rewrite`], for a C string that this thread alone may use.
///
/// # Safety
/// `text` is a writable C string, or a bad pointer.
pub unsafe fn rewrite_string(world: &'static World, text: *mut c_char) {
    // SAFETY: passed on to the caller.
    let Some(length) = (unsafe { locate::bytes(text) }).map(<[u8]>::len) else {
        return;
    };
    // SAFETY: the string's own bytes, without its NUL.
    let bytes = unsafe { core::slice::from_raw_parts_mut(text.cast::<u8>(), length) };
    let new_length = rewrite(world, bytes);
    if let Some(end) = bytes.get_mut(new_length) {
        *end = 0;
    }
}
