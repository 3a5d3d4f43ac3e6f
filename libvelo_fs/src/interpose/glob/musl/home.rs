//! The home directories that `~` and `~user` stand for (`GLOB_TILDE`).

use super::{PATH_BYTES, Stop};
use crate::heap::Text;
use core::ffi::{CStr, c_char, c_int};
use core::mem::MaybeUninit;
use core::ptr::null_mut;
use velo_core::errno::Errno;

unsafe extern "C" {
    fn getenv(name: *const c_char) -> *const c_char;
    fn getuid() -> u32;
    fn getpwnam_r(
        name: *const c_char,
        out: *mut Account,
        buffer: *mut c_char,
        bytes: usize,
        found: *mut *mut Account,
    ) -> c_int;
    fn getpwuid_r(
        user: u32,
        out: *mut Account,
        buffer: *mut c_char,
        bytes: usize,
        found: *mut *mut Account,
    ) -> c_int;
}

/// `struct passwd`.
#[repr(C)]
struct Account {
    name: *const c_char,
    password: *const c_char,
    user: u32,
    group: u32,
    comment: *const c_char,
    home: *const c_char,
    shell: *const c_char,
}

/// Calls `copy` with the home directory of `user`, or of the caller if that is empty.
///
/// # Safety
/// `copy` must not change the environment, which may hold the path.
pub(super) unsafe fn with<T>(
    user: &[u8],
    copy: impl FnOnce(&[u8]) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let mut account = MaybeUninit::<Account>::zeroed();
    let mut found = null_mut();
    let mut buffer = [0; PATH_BYTES];
    // SAFETY: buffers of our own; the C library fills what it finds.
    unsafe {
        let mut home = core::ptr::null();
        if user.is_empty() {
            home = getenv(c"HOME".as_ptr());
        }
        if home.is_null() {
            let (out, text) = (account.as_mut_ptr(), buffer.as_mut_ptr());
            let error = if user.is_empty() {
                getpwuid_r(getuid(), out, text, PATH_BYTES, &raw mut found)
            } else {
                let name = Text::of(user).map_err(|_| Stop::NoSpace)?;
                getpwnam_r(name.as_ptr(), out, text, PATH_BYTES, &raw mut found)
            };
            match (Errno(error), found.as_ref()) {
                (Errno(0), Some(account)) => home = account.home,
                (Errno::ENOMEM, _) => return Err(Stop::NoSpace),
                _ => return Err(Stop::NoMatch),
            }
        }
        copy(CStr::from_ptr(home).to_bytes())
    }
}
