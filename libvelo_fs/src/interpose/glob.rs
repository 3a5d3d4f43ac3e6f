//! glob(3). glibc's lists inside, past our hooks, but takes other functions to list with
//! (`GLOB_ALTDIRFUNC`), so it is given ours; a caller's own come to our hooks anyway.
//! musl's takes none, so it is done over in [`musl`].

mod musl;

use super::{directory, walk};
use crate::listing::Record;
use crate::locate::{bytes, is_bad};
use crate::symbol::is_glibc;
use crate::sys::Stat;
use crate::{errno, next, world};
use core::ffi::{c_char, c_int, c_void};
use linux_raw_sys::general as nr;

/// The caller's function for errors.
pub type OnError = Option<unsafe extern "C" fn(*const c_char, c_int) -> c_int>;

/// `glob_t` on 64-bit machines. The functions are glibc's only.
#[repr(C)]
pub struct Glob {
    path_count: usize,
    paths: *mut *mut c_char,
    offset: usize,
    flags: c_int,
    functions: Functions,
}

/// What `GLOB_ALTDIRFUNC` lists with.
#[repr(C)]
#[derive(Clone, Copy)]
struct Functions {
    closedir: *const c_void,
    readdir: *const c_void,
    opendir: *const c_void,
    lstat: *const c_void,
    stat: *const c_void,
}

impl Glob {
    /// What was found, without an offset.
    ///
    /// # Safety
    /// glob(3) has filled it.
    pub unsafe fn paths(&self) -> &[*mut c_char] {
        // SAFETY: as many as it counts; none without an array.
        unsafe {
            match self.paths.is_null() {
                true => &[],
                false => core::slice::from_raw_parts(self.paths, self.path_count),
            }
        }
    }
}

const GLOB_ALTDIRFUNC: c_int = 1 << 9;
const GLOB_ONLYDIR: c_int = 1 << 13;
/// What glob(3) answers when it runs out of memory; it cannot say that it is missing.
const GLOB_NOSPACE: c_int = 1;

unsafe extern "C" fn opendir(path: *const c_char) -> *mut c_void {
    // SAFETY: the C library's own path.
    unsafe { walk::open_listing(nr::AT_FDCWD, path, true) }.unwrap_or_else(errno::fail_null)
}

unsafe extern "C" fn closedir(dir: *mut c_void) {
    // SAFETY: a listing of `opendir`.
    unsafe { directory::closedir(dir) };
}

unsafe extern "C" fn readdir(dir: *mut c_void) -> *mut Record {
    // SAFETY: a listing of `opendir`.
    unsafe { directory::readdir(dir) }
}

/// As [`readdir`], with the kind of what a symlink leads to. glibc by itself asks for that from
/// the directory that it lists; of functions that it is given, by the whole path, which has more
/// symlinks on it.
unsafe extern "C" fn readdir_followed(dir: *mut c_void) -> *mut Record {
    // SAFETY: a listing of `opendir`; the record stays until the next one is read.
    unsafe {
        let record = directory::readdir(dir);
        let Some(Record { d_type, d_name, .. }) = record.as_mut() else {
            return record;
        };
        if !matches!(*d_type, DT_UNKNOWN | DT_LNK) {
            return record;
        }
        let before = errno::last();
        let mut status = core::mem::zeroed::<Stat>();
        let (from, name) = (directory::dirfd(dir), d_name.as_ptr().cast());
        if walk::status(from, name, &mut status, true, true).is_ok() {
            *d_type = match status.st_mode & nr::S_IFMT {
                nr::S_IFDIR => DT_DIR,
                _ => DT_REG,
            };
        }
        errno::restore(before);
        record
    }
}

const DT_UNKNOWN: u8 = 0;
const DT_DIR: u8 = 4;
const DT_REG: u8 = 8;
const DT_LNK: u8 = 10;

/// Whether glibc lists only directories on the way, and so wants to know what symlinks lead to.
fn asks_for_directories(pattern: &[u8], flags: c_int) -> bool {
    let is_magic = |byte: &u8| b"*?[{".contains(byte);
    let magic = pattern.iter().position(is_magic);
    let slash = pattern.iter().rposition(|byte| *byte == b'/');
    flags & GLOB_ONLYDIR != 0 || magic.zip(slash).is_some_and(|(magic, slash)| magic < slash)
}

unsafe extern "C" fn stat(path: *const c_char, out: *mut Stat) -> c_int {
    // SAFETY: the C library's own path and buffer.
    unsafe { walk::status(nr::AT_FDCWD, path, out, true, true) }.map_or(-1, |()| 0)
}

unsafe extern "C" fn lstat(path: *const c_char, out: *mut Stat) -> c_int {
    // SAFETY: the C library's own path and buffer.
    unsafe { walk::status(nr::AT_FDCWD, path, out, false, true) }.map_or(-1, |()| 0)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn glob(
    pattern: *const c_char,
    flags: c_int,
    on_error: OnError,
    found: *mut Glob,
) -> c_int {
    let Some(real) = next::glob() else {
        return GLOB_NOSPACE;
    };
    let glibc = is_glibc();
    // SAFETY: see the module above; `found` has that layout, as far as the library has it, and
    // the functions have the types that it wants.
    unsafe {
        let own_functions = glibc && flags & GLOB_ALTDIRFUNC != 0;
        if world::get().is_none() || own_functions || is_bad(found) || is_bad(pattern) {
            let on_error = on_error.map_or(core::ptr::null(), |on_error| on_error as *const _);
            return real(pattern, flags, on_error, found.cast());
        }
        if !glibc {
            return musl::glob(pattern, flags, on_error, &mut *found);
        }
        let on_error = on_error.map_or(core::ptr::null(), |on_error| on_error as *const _);
        let functions = (*found).functions;
        let list = match asks_for_directories(bytes(pattern).unwrap_or(b""), flags) {
            true => readdir_followed,
            false => readdir,
        };
        (*found).functions = Functions {
            closedir: closedir as *const c_void,
            readdir: list as *const c_void,
            opendir: opendir as *const c_void,
            lstat: lstat as *const c_void,
            stat: stat as *const c_void,
        };
        let answer = real(pattern, flags | GLOB_ALTDIRFUNC, on_error, found.cast());
        (*found).functions = functions;
        (*found).flags &= !GLOB_ALTDIRFUNC;
        answer
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn glob64(
    pattern: *const c_char,
    flags: c_int,
    on_error: OnError,
    found: *mut Glob,
) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { glob(pattern, flags, on_error, found) }
}
