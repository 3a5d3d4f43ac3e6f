//! system(3) and popen(3): they execute `/bin/sh` inside the C library, with whatever
//! the program's environment holds at that moment.

use crate::environment::{self, ForLoader, for_loader, keep_velo};
use crate::locate::From;
use crate::next::Strings;
use crate::program::{self, Program, Request, find};
use crate::{errno, next, world};
use core::ffi::{c_char, c_int, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;

/// Calls `start` while the environment has all that Velo needs, if a shell that is
/// not served can be started.
///
/// The C library reads the environment without a lock, so a program that changes it
/// in another thread meanwhile races with itself already.
unsafe fn with_environment<T>(
    command: *const c_char,
    start: impl FnOnce() -> T,
) -> Result<T, Errno> {
    let variable = environment::variable();
    if world::get().is_none() || variable.is_null() {
        return Ok(start());
    }
    let mut environment = environment::Storage::new();
    let mut storage = program::Storage::new();
    let mut memory = ForLoader::new();
    let argv = [c"sh".as_ptr(), c"-c".as_ptr(), command, core::ptr::null()];
    // SAFETY: the program's own environment; strings of ours and of the caller.
    unsafe {
        let before: Strings = *variable;
        let kept = keep_velo(before, &mut environment)?;
        let shell = c"/bin/sh".as_ptr();
        let request = Request::new(From::Directory(nr::AT_FDCWD), shell, argv.as_ptr(), kept);
        if let Err(error @ Errno::EPERM) = find(&request, &mut storage).map(|_: Program| ()) {
            return Err(error);
        }
        let kept = for_loader(kept, storage.libraries(), &mut memory)?;
        if kept != before {
            *variable = kept;
        }
        let answer = start();
        if *variable == kept {
            *variable = before;
        }
        Ok(answer)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn system(command: *const c_char) -> c_int {
    let Some(real) = next::system() else {
        return errno::fail(Errno::ENOSYS);
    };
    // SAFETY: see the module above.
    unsafe { with_environment(command, || real(command)).unwrap_or_else(errno::fail) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn popen(command: *const c_char, mode: *const c_char) -> *mut c_void {
    let Some(real) = next::popen() else {
        return errno::fail_null(Errno::ENOSYS);
    };
    // SAFETY: see the module above.
    unsafe { with_environment(command, || real(command, mode)).unwrap_or_else(errno::fail_null) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn _IO_popen(command: *const c_char, mode: *const c_char) -> *mut c_void {
    // SAFETY: the same function by its old name.
    unsafe { popen(command, mode) }
}
