//! Arrays of strings and texts for executed programs: on the stack unless they are
//! very long, then in memory of their own that is given back afterwards.
//!
//! A child of `vfork` that executes a program leaves such memory to its parent.
//!
//! What is on the stack is not cleared: most of it is not needed, and its pages are not touched.

use crate::locate::is_bad;
use crate::next::Strings;
use crate::sys;
use core::ffi::{CStr, c_char};
use core::mem::MaybeUninit;
use velo_core::errno::Errno;

/// Mapped memory, unmapped when it goes.
struct Memory {
    address: *mut u8,
    bytes: usize,
}

impl Memory {
    fn new(bytes: usize) -> Result<Self, Errno> {
        let address = sys::map_memory(bytes)?;
        Ok(Self { address, bytes })
    }

    fn as_bytes(&self) -> &[u8] {
        // SAFETY: ours alone, mapped and zeroed.
        unsafe { core::slice::from_raw_parts(self.address, self.bytes) }
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: ours alone, mapped and zeroed.
        unsafe { core::slice::from_raw_parts_mut(self.address, self.bytes) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: nobody else knows of the mapping.
        unsafe { sys::unmap(self.address, self.bytes) };
    }
}

/// A NULL-terminated array of C strings.
pub struct StringArray {
    fixed: [MaybeUninit<*const c_char>; Self::FIXED],
    mapped: Option<Memory>,
}

impl StringArray {
    const FIXED: usize = 512;

    /// Nothing in it.
    pub fn new() -> Self {
        Self {
            fixed: [MaybeUninit::uninit(); Self::FIXED],
            mapped: None,
        }
    }

    /// `first` and then the strings of `rest` from number `skip` on.
    ///
    /// # Safety
    /// `rest` is null or a NULL-terminated array.
    pub unsafe fn join(
        &mut self,
        first: &[*const c_char],
        rest: Strings,
        skip: usize,
    ) -> Result<Strings, Errno> {
        // SAFETY: passed on to the caller.
        let count = unsafe { length(rest) };
        let skip = skip.min(count);
        let total = first.len() + count - skip + 1;
        let out: &mut [MaybeUninit<*const c_char>] = if total <= Self::FIXED {
            &mut self.fixed
        } else {
            let memory = Memory::new(total * size_of::<*const c_char>())?;
            let memory = self.mapped.insert(memory);
            // SAFETY: zeroed, page-aligned memory of ours for `total` pointers.
            unsafe { core::slice::from_raw_parts_mut(memory.address.cast(), total) }
        };
        // SAFETY: `rest` has `count` strings.
        let rest = (skip..count).map(|number| unsafe { *rest.add(number) });
        for (slot, text) in out
            .iter_mut()
            .zip(first.iter().copied().chain(rest).chain([core::ptr::null()]))
        {
            slot.write(text);
        }
        // The slots before the NULL and that one were written just now.
        Ok(out.as_ptr().cast())
    }
}

/// Number of strings before the NULL. What the kernel would call a bad address has none.
///
/// # Safety
/// A NULL-terminated array, or a bad pointer.
unsafe fn length(strings: Strings) -> usize {
    if is_bad(strings) {
        return 0;
    }
    // SAFETY: a NULL-terminated array.
    unsafe {
        (0..)
            .take_while(|number| !(*strings.add(*number)).is_null())
            .count()
    }
}

/// The strings of an array; ends early at one that the kernel would call a bad address.
///
/// # Safety
/// A NULL-terminated array of C strings, or a bad pointer; it must outlive the iterator.
pub unsafe fn each<'s>(strings: Strings) -> impl Iterator<Item = &'s [u8]> {
    // SAFETY: passed on to the caller.
    let count = unsafe { length(strings) };
    (0..count)
        // SAFETY: within the array.
        .map(move |number| unsafe { *strings.add(number) })
        .take_while(|text| !is_bad(*text))
        // SAFETY: a C string of the caller.
        .map(|text| unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// EFAULT if the kernel would certainly say so of an array that is not null.
///
/// # Safety
/// A NULL-terminated array of C strings, or a bad pointer.
pub unsafe fn check(strings: Strings) -> Result<(), Errno> {
    if strings.is_null() {
        return Ok(());
    }
    // SAFETY: passed on to the caller.
    let count = unsafe { length(strings) };
    // SAFETY: within the array.
    let bad = |number: usize| is_bad(unsafe { *strings.add(number) });
    if is_bad(strings) || (0..count).any(bad) {
        return Err(Errno::EFAULT);
    }
    Ok(())
}

/// A string under construction.
pub struct Text {
    /// The first `length` bytes, and one more, are written.
    fixed: [MaybeUninit<u8>; Self::FIXED],
    mapped: Option<Memory>,
    length: usize,
}

impl Text {
    const FIXED: usize = 4096;

    /// Empty.
    pub fn new() -> Self {
        let mut fixed = [MaybeUninit::uninit(); Self::FIXED];
        if let Some(first) = fixed.first_mut() {
            first.write(0);
        }
        Self {
            fixed,
            mapped: None,
            length: 0,
        }
    }

    /// Makes it empty, with room for `bytes` and a NUL.
    pub fn reserve(&mut self, bytes: usize) -> Result<(), Errno> {
        self.length = 0;
        self.mapped = None;
        if bytes >= Self::FIXED {
            self.mapped = Some(Memory::new(bytes + 1)?);
        }
        Ok(())
    }

    /// Bytes without the NUL.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Takes away what follows the first `length` bytes.
    pub fn cut(&mut self, length: usize) {
        self.length = length.min(self.length);
        self.push(b"");
    }

    /// Appends and puts a NUL behind; `None` if it does not fit.
    pub fn push(&mut self, text: &[u8]) -> Option<()> {
        let end = self.length.checked_add(text.len())?;
        match &mut self.mapped {
            Some(memory) => {
                let bytes = memory.bytes();
                *bytes.get_mut(end)? = 0;
                bytes.get_mut(self.length..end)?.copy_from_slice(text);
            }
            None => {
                self.fixed.get_mut(end)?.write(0);
                let room = self.fixed.get_mut(self.length..end)?;
                for (slot, byte) in room.iter_mut().zip(text) {
                    slot.write(*byte);
                }
            }
        }
        self.length = end;
        Some(())
    }

    /// Without the NUL.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.mapped {
            Some(memory) => memory.as_bytes().get(..self.length).unwrap_or(b""),
            // SAFETY: so many bytes are written.
            None => unsafe { core::slice::from_raw_parts(self.fixed.as_ptr().cast(), self.length) },
        }
    }

    /// As a C string.
    pub fn as_ptr(&self) -> *const c_char {
        match &self.mapped {
            Some(memory) => memory.address.cast(),
            None => self.fixed.as_ptr().cast(),
        }
    }
}
