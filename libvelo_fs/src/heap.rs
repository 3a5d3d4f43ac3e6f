//! Memory of the C library's `malloc`, for what callers free themselves and for what
//! grows with a call: lists of names, the path of a walk.
//!
//! Never on a call that only reads: stat, open and readdir do without it. What a
//! callback leaves by longjmp(3) is lost, as in the C library's own functions.

use core::ffi::{c_char, c_int, c_void};
use velo_core::errno::Errno;

/// A comparison of qsort(3).
pub type Compare = unsafe extern "C" fn(*const c_void, *const c_void) -> c_int;

unsafe extern "C" {
    /// malloc(3).
    pub fn malloc(bytes: usize) -> *mut c_void;
    /// realloc(3).
    pub fn realloc(memory: *mut c_void, bytes: usize) -> *mut c_void;
    /// free(3).
    pub fn free(memory: *mut c_void);
    /// qsort(3).
    pub fn qsort(base: *mut c_void, count: usize, size: usize, compare: Compare);
}

/// A zeroed `T` with `more` zeroed bytes behind it.
pub fn zeroed<T>(more: usize) -> Result<*mut T, Errno> {
    let bytes = size_of::<T>().checked_add(more).ok_or(Errno::ENOMEM)?;
    // SAFETY: no pointers; fresh memory of that size is written.
    unsafe {
        let memory = malloc(bytes);
        if memory.is_null() {
            return Err(Errno::ENOMEM);
        }
        memory.write_bytes(0, bytes);
        Ok(memory.cast())
    }
}

/// A growing string that always has a NUL behind it.
pub struct Text {
    start: *mut u8,
    length: usize,
    room: usize,
}

const FIRST_BYTES: usize = 64;

impl Text {
    /// Empty, without memory.
    pub const fn new() -> Self {
        Self {
            start: core::ptr::null_mut(),
            length: 0,
            room: 0,
        }
    }

    /// A copy of `bytes`.
    pub fn of(bytes: &[u8]) -> Result<Self, Errno> {
        let mut text = Self::new();
        text.push(bytes)?;
        Ok(text)
    }

    /// Appends `bytes`, which are not this text's own.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let needed = bytes.len().checked_add(self.length + 1);
        let needed = needed.ok_or(Errno::ENOMEM)?;
        // SAFETY: the old memory is ours, or null; the new one has room for all.
        unsafe {
            if needed > self.room {
                let room = needed.max(FIRST_BYTES).max(self.room.saturating_mul(2));
                let larger = realloc(self.start.cast(), room);
                if larger.is_null() {
                    return Err(Errno::ENOMEM);
                }
                (self.start, self.room) = (larger.cast(), room);
            }
            core::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.start.add(self.length),
                bytes.len(),
            );
            self.length += bytes.len();
            *self.start.add(self.length) = 0;
        }
        Ok(())
    }

    /// Cuts it to `length` bytes, if it has more.
    pub fn truncate(&mut self, length: usize) {
        if length < self.length {
            self.length = length;
            // SAFETY: within the memory.
            unsafe { *self.start.add(length) = 0 };
        }
    }

    /// Without the NUL.
    pub fn as_bytes(&self) -> &[u8] {
        if self.start.is_null() {
            return b"";
        }
        // SAFETY: that many bytes have been written.
        unsafe { core::slice::from_raw_parts(self.start, self.length) }
    }

    /// As a C string; null if nothing was ever pushed.
    pub fn as_ptr(&self) -> *mut c_char {
        self.start.cast()
    }

    /// Gives the memory away, to be freed with free(3).
    pub fn into_raw(self) -> *mut c_char {
        let start = self.start;
        core::mem::forget(self);
        start.cast()
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        // SAFETY: our own memory, or null.
        unsafe { free(self.start.cast()) };
    }
}

/// A growing list of strings.
pub struct Strings {
    start: *mut *mut c_char,
    count: usize,
    room: usize,
}

impl Strings {
    /// Empty, without memory.
    pub const fn new() -> Self {
        Self {
            start: core::ptr::null_mut(),
            count: 0,
            room: 0,
        }
    }

    /// Appends a string.
    pub fn push(&mut self, text: Text) -> Result<(), Errno> {
        if self.count == self.room {
            let room = (self.room * 2).max(8);
            // SAFETY: our own memory, or null.
            let larger = unsafe { realloc(self.start.cast(), room * size_of::<*mut c_char>()) };
            if larger.is_null() {
                return Err(Errno::ENOMEM);
            }
            (self.start, self.room) = (larger.cast(), room);
        }
        // SAFETY: there is room for one more.
        unsafe { *self.start.add(self.count) = text.into_raw() };
        self.count += 1;
        Ok(())
    }

    /// The strings, each of malloc(3); they are the list's until [`Self::forget`].
    pub fn as_slice(&self) -> &[*mut c_char] {
        if self.start.is_null() {
            return &[];
        }
        // SAFETY: that many have been written.
        unsafe { core::slice::from_raw_parts(self.start, self.count) }
    }

    /// The strings belong to somebody else now.
    pub fn forget(&mut self) {
        self.count = 0;
    }
}

impl Drop for Strings {
    fn drop(&mut self) {
        // SAFETY: our own list and strings.
        unsafe {
            for text in self.as_slice() {
                free(text.cast());
            }
            free(self.start.cast());
        }
    }
}
