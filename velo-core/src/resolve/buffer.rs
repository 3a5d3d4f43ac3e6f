//! The caller's scratch memory: one path under construction, and the text of
//! symlinks that were read outside every mount.
//!
//! The memory is never cleared as a whole, because clearing it would cost more
//! than most resolutions; only what was written is ever read. All `unsafe` of
//! the resolver is here.

use super::PATH_MAX_BYTES;
use crate::errno::Errno;
use core::mem::{MaybeUninit, take};

/// Bytes kept for the text of outside symlinks in one resolution.
const LINK_BYTES: usize = 2 * PATH_MAX_BYTES;

/// Scratch memory of one resolution at a time, about 12 KiB, best on the stack:
/// making one costs nothing, and pages that are not needed are not touched.
pub struct PathBuffer {
    path: [MaybeUninit<u8>; PATH_MAX_BYTES],
    links: [MaybeUninit<u8>; LINK_BYTES],
}

impl PathBuffer {
    /// Fresh memory, not cleared.
    #[must_use]
    #[inline]
    pub const fn new() -> Self {
        Self {
            path: [const { MaybeUninit::uninit() }; PATH_MAX_BYTES],
            links: [const { MaybeUninit::uninit() }; LINK_BYTES],
        }
    }

    /// Both halves, empty.
    #[inline]
    pub(super) fn parts(&mut self) -> (Line<'_>, LinkTexts<'_>) {
        (
            Line {
                bytes: &mut self.path,
                len: 0,
            },
            LinkTexts {
                free: &mut self.links,
            },
        )
    }
}

impl Default for PathBuffer {
    fn default() -> Self {
        Self::new()
    }
}

/// A path under construction: shorter than `PATH_MAX`, so that a NUL fits.
pub(super) struct Line<'r> {
    bytes: &'r mut [MaybeUninit<u8>],
    /// Bytes written so far, from the front; never more than `bytes` has.
    len: usize,
}

impl<'r> Line<'r> {
    /// Appends `text`; ENAMETOOLONG, and nothing written, if it does not fit.
    #[inline]
    pub(super) fn push(&mut self, text: &[u8]) -> Result<(), Errno> {
        let end = self.len + text.len();
        if end >= PATH_MAX_BYTES {
            return Err(Errno::ENAMETOOLONG);
        }
        let slot = self
            .bytes
            .get_mut(self.len..end)
            .ok_or(Errno::ENAMETOOLONG)?;
        copy(slot, text);
        self.len = end;
        Ok(())
    }

    /// Appends `pieces`, the last one first, which are `bytes` together;
    /// ENAMETOOLONG, and nothing appended, if they are not or do not fit.
    pub(super) fn push_backwards<'p>(
        &mut self,
        bytes: usize,
        pieces: impl Iterator<Item = &'p [u8]>,
    ) -> Result<(), Errno> {
        let end = self.len.saturating_add(bytes);
        if end >= PATH_MAX_BYTES {
            return Err(Errno::ENAMETOOLONG);
        }
        let mut at = end;
        for piece in pieces {
            let start = at.checked_sub(piece.len()).ok_or(Errno::ENAMETOOLONG)?;
            let slot = self.bytes.get_mut(start..at).ok_or(Errno::ENAMETOOLONG)?;
            copy(slot, piece);
            at = start;
        }
        if at != self.len {
            return Err(Errno::ENAMETOOLONG);
        }
        // From the old length to `end`, every byte was written just now.
        self.len = end;
        Ok(())
    }

    /// Appends a slash and `name`.
    #[inline]
    pub(super) fn push_name(&mut self, name: &[u8]) -> Result<(), Errno> {
        self.push(b"/")?;
        self.push(name)
    }

    /// Puts `text` in place of the bytes from `start` to `end`; ENAMETOOLONG, and
    /// nothing changed, if that does not fit.
    pub(super) fn replace(&mut self, start: usize, end: usize, text: &[u8]) -> Result<(), Errno> {
        let rest = self.len.checked_sub(end).ok_or(Errno::ENAMETOOLONG)?;
        let middle = start + text.len();
        if start > end || middle + rest >= PATH_MAX_BYTES {
            return Err(Errno::ENAMETOOLONG);
        }
        self.bytes.copy_within(end..self.len, middle);
        self.len = start;
        self.push(text)?;
        self.len = middle + rest;
        Ok(())
    }

    /// Cuts off the last component and its slash.
    pub(super) fn pop_name(&mut self) {
        self.len = self
            .as_bytes()
            .iter()
            .rposition(|&byte| byte == b'/')
            .unwrap_or(0);
    }

    /// Cuts off all but the first `len` bytes.
    #[inline]
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Bytes so far.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// What was written.
    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        written(self.bytes, self.len)
    }

    /// What was written, for as long as the scratch memory is lent.
    #[inline]
    pub(super) fn into_bytes(self) -> &'r [u8] {
        written(self.bytes, self.len)
    }

    /// What was written with a NUL after it.
    pub(super) fn into_bytes_with_nul(mut self) -> Option<&'r [u8]> {
        self.bytes.get_mut(self.len)?.write(0);
        self.len += 1;
        Some(self.into_bytes())
    }
}

/// The first `len` of `bytes`, which have all been written.
#[inline]
fn written(bytes: &[MaybeUninit<u8>], len: usize) -> &[u8] {
    let bytes = bytes.get(..len).unwrap_or_default();
    // SAFETY: `MaybeUninit<u8>` has the layout of `u8`; every caller passes a
    // length up to which it has written.
    unsafe { &*(core::ptr::from_ref(bytes) as *const [u8]) }
}

/// Memory for the texts of outside symlinks, handed out piece by piece.
pub(super) struct LinkTexts<'r> {
    free: &'r mut [MaybeUninit<u8>],
}

impl<'r> LinkTexts<'r> {
    /// Lets `read` fill the free memory and keeps the bytes that it says it wrote.
    ///
    /// # Errors
    /// What `read` answers; ELOOP if the memory is used up, because that many links
    /// of that length are a loop, or as good as one.
    pub(super) fn keep(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> Result<usize, Errno>,
    ) -> Result<&'r [u8], Errno> {
        let free = take(&mut self.free);
        let room = free.len().min(PATH_MAX_BYTES);
        let Some((room, _)) = free.split_at_mut_checked(room) else {
            return Err(Errno::ELOOP);
        };
        let room_bytes = room.len();
        match read(filled(room)) {
            Ok(length) if length < room_bytes => {
                let Some((text, rest)) = free.split_at_mut_checked(length) else {
                    return Err(Errno::ELOOP);
                };
                self.free = rest;
                Ok(written(text, length))
            }
            Ok(_) => Err(Errno::ELOOP),
            Err(errno) => {
                self.free = free;
                Err(errno)
            }
        }
    }
}

/// Writes `text` to `slot`, which is as long.
#[inline(always)]
fn copy(slot: &mut [MaybeUninit<u8>], text: &[u8]) {
    // SAFETY: `MaybeUninit<u8>` has the layout of `u8`, and the only write through
    // this slice makes all of it initialised.
    unsafe { &mut *(core::ptr::from_mut(slot) as *mut [u8]) }.copy_from_slice(text);
}

/// `room`, cleared, as plain bytes.
fn filled(room: &mut [MaybeUninit<u8>]) -> &mut [u8] {
    for byte in &mut *room {
        byte.write(0);
    }
    // SAFETY: every byte was written just now.
    unsafe { &mut *(core::ptr::from_mut(room) as *mut [u8]) }
}
