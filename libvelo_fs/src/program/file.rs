//! Program files, opened for a look at them and closed again.

use crate::sys;
use core::ffi::{c_char, c_int};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::executable::Source;

/// A descriptor of ours, closed when it goes.
pub struct Descriptor(c_int);

impl Descriptor {
    /// Opens a file for a look at it; waits for nobody.
    ///
    /// # Safety
    /// `path` is a C string or a bad pointer.
    pub unsafe fn open(directory: c_int, path: *const c_char) -> Result<Self, Errno> {
        let flags = nr::O_RDONLY | nr::O_CLOEXEC | nr::O_NONBLOCK | nr::O_NOCTTY;
        // SAFETY: the kernel checks its pointers.
        let opened = sys::result(unsafe { sys::openat(directory, path, flags as c_int, 0) })?;
        Ok(Self(opened as c_int))
    }
}

impl Descriptor {
    /// Its number.
    pub fn number(&self) -> c_int {
        self.0
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        sys::close(self.0);
    }
}

impl Source for &Descriptor {
    type Error = Errno;

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match sys::pread(self.0, rest, offset.saturating_add(filled as u64))? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(filled)
    }
}

/// Whether a file has these bytes in it.
pub fn mentions(mut file: &Descriptor, wanted: &[u8]) -> bool {
    let mut buffer = [0; 4096];
    let mut offset = 0;
    while let Ok(length) = file.read_at(&mut buffer, offset) {
        let part = buffer.get(..length).unwrap_or(&[]);
        if part.windows(wanted.len()).any(|window| window == wanted) {
            return true;
        }
        if length < buffer.len() {
            return false;
        }
        offset += (length - wanted.len()) as u64;
    }
    false
}

/// Whether the kernel would execute a file of its own.
///
/// # Safety
/// `path` is a C string.
pub unsafe fn check_outside(directory: c_int, path: *const c_char) -> Result<(), Errno> {
    const X_OK: c_int = 1;
    // SAFETY: passed on to the caller.
    let answer = unsafe { sys::faccessat(directory, path, X_OK, nr::AT_EACCESS as c_int) };
    match sys::result(answer) {
        // Not there before Linux 5.8: only the kernel can say.
        Ok(_) | Err(Errno::ENOSYS) => Ok(()),
        Err(error) => Err(error),
    }
}
