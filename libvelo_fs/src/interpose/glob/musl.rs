//! glob(3) as musl has it. What it finds is laid out as musl's `globfree` wants it.

mod home;

use super::{Glob, OnError};
use crate::heap::{self, Text, free};
use crate::interpose::{directory, walk};
use crate::sys::Stat;
use crate::{errno, locate};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr::null_mut;
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;

const GLOB_ERR: c_int = 0x01;
const GLOB_MARK: c_int = 0x02;
const GLOB_NOSORT: c_int = 0x04;
const GLOB_DOOFFS: c_int = 0x08;
const GLOB_NOCHECK: c_int = 0x10;
const GLOB_APPEND: c_int = 0x20;
const GLOB_NOESCAPE: c_int = 0x40;
const GLOB_PERIOD: c_int = 0x80;
const GLOB_TILDE: c_int = 0x1000;
const GLOB_TILDE_CHECK: c_int = 0x4000;

/// Why a search ends; the values are musl's.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
enum Stop {
    NoSpace = 1,
    Aborted = 2,
    NoMatch = 3,
}

const FNM_NOESCAPE: c_int = 0x2;
const FNM_PERIOD: c_int = 0x4;

const DT_UNKNOWN: u8 = 0;
const DT_DIR: u8 = 4;
const DT_REG: u8 = 8;
const DT_LNK: u8 = 10;

const PATH_BYTES: usize = nr::PATH_MAX as usize;

unsafe extern "C" {
    fn fnmatch(pattern: *const c_char, name: *const c_char, flags: c_int) -> c_int;
}

/// One path; `globfree` frees what begins one pointer before a name.
#[repr(C)]
struct Match {
    next: *mut Match,
    name: [c_char; 0],
}

struct Search {
    flags: c_int,
    on_error: OnError,
    path: [u8; PATH_BYTES],
    first: *mut Match,
    last: *mut Match,
    count: usize,
}

/// glob(3).
///
/// # Safety
/// `pattern` is a C string, `found` what the flags say of it.
pub unsafe fn glob(
    pattern: *const c_char,
    flags: c_int,
    on_error: OnError,
    found: &mut Glob,
) -> c_int {
    let mut search = Search {
        flags,
        on_error,
        path: [0; PATH_BYTES],
        first: null_mut(),
        last: null_mut(),
        count: 0,
    };
    // SAFETY: the caller's string and structure.
    unsafe {
        let pattern = locate::bytes(pattern).unwrap_or_default();
        let offset = if search.has(GLOB_DOOFFS) {
            found.offset
        } else {
            0
        };
        if !search.has(GLOB_APPEND) {
            found.offset = offset;
            found.path_count = 0;
            found.paths = null_mut();
        }
        let mut stop = search.start(pattern).err();
        if stop != Some(Stop::NoSpace) && search.count == 0 {
            if search.has(GLOB_NOCHECK) {
                if let Err(error) = search.add(pattern, false) {
                    stop = Some(error);
                }
            } else {
                return Stop::NoMatch as c_int;
            }
        }
        if stop != Some(Stop::NoSpace)
            && let Err(error) = search.give(found, offset)
        {
            stop = Some(error);
        }
        if stop == Some(Stop::NoSpace) {
            search.free();
        }
        stop.map_or(0, |stop| stop as c_int)
    }
}

unsafe extern "C" fn compare(left: *const c_void, right: *const c_void) -> c_int {
    // SAFETY: elements of the array of names.
    unsafe {
        let (left, right) = (*left.cast::<*const c_char>(), *right.cast());
        CStr::from_ptr(left).cmp(CStr::from_ptr(right)) as c_int
    }
}

impl Search {
    fn has(&self, flag: c_int) -> bool {
        self.flags & flag != 0
    }

    unsafe fn start(&mut self, pattern: &[u8]) -> Result<(), Stop> {
        if pattern.is_empty() {
            return Ok(());
        }
        // SAFETY: passed on to the caller.
        unsafe {
            if self.has(GLOB_TILDE | GLOB_TILDE_CHECK) && pattern.starts_with(b"~") {
                let (bytes, rest) = self.expand_tilde(pattern)?;
                return self.search(bytes, DT_UNKNOWN, rest);
            }
            self.search(0, DT_UNKNOWN, pattern)
        }
    }

    /// Writes the home directory that `~` or `~user` names; its length and the rest of the pattern.
    unsafe fn expand_tilde<'p>(&mut self, pattern: &'p [u8]) -> Result<(usize, &'p [u8]), Stop> {
        let end = pattern.iter().position(|byte| *byte == b'/');
        let user = pattern
            .get(1..end.unwrap_or(pattern.len()))
            .unwrap_or_default();
        let rest = end
            .and_then(|end| pattern.get(end + 1..))
            .unwrap_or_default();
        // SAFETY: `copy` writes nothing but the path.
        let bytes = unsafe {
            home::with(user, |home| {
                let slot = self.path.get_mut(..home.len());
                slot.filter(|slot| slot.len() <= PATH_BYTES - 2)
                    .ok_or(Stop::NoMatch)?
                    .copy_from_slice(home);
                Ok(home.len())
            })?
        };
        if end.is_none() {
            return Ok((bytes, rest));
        }
        self.put(bytes, b'/');
        Ok((bytes + 1, rest))
    }

    fn put(&mut self, at: usize, byte: u8) {
        if let Some(slot) = self.path.get_mut(at) {
            *slot = byte;
        }
    }

    /// Tells the caller of an error that is worth it; whether the search ends.
    unsafe fn complain(&self, error: Errno) -> Result<(), Stop> {
        // SAFETY: the caller's own function, given a C string.
        let ends = self
            .on_error
            .is_some_and(|on_error| unsafe { on_error(self.path.as_ptr().cast(), error.0) } != 0);
        if ends || self.has(GLOB_ERR) {
            Err(Stop::Aborted)
        } else {
            Ok(())
        }
    }

    /// Finds what matches `pattern` below the first `end` bytes of the path, which are of
    /// the kind `listed_as`.
    unsafe fn search(
        &mut self,
        mut end: usize,
        listed_as: u8,
        mut pattern: &[u8],
    ) -> Result<(), Stop> {
        // The kind matters to who marks directories only, and if nothing follows but slashes.
        let mut kind = listed_as;
        if kind == DT_UNKNOWN && !self.has(GLOB_MARK) {
            kind = DT_REG;
        }
        if !pattern.is_empty() && kind != DT_DIR {
            kind = DT_UNKNOWN;
        }
        while end + 1 < PATH_BYTES
            && let Some(rest) = pattern.strip_prefix(b"/")
        {
            self.put(end, b'/');
            end += 1;
            pattern = rest;
        }
        let Some(literal) = self.take_literal(&mut end, pattern) else {
            return Ok(());
        };
        if literal != 0 {
            kind = DT_UNKNOWN;
        }
        let whole = pattern.get(..literal).unwrap_or_default();
        let consumed = if literal == pattern.len() {
            literal
        } else {
            // Only whole components: the last one has something to match in it.
            whole
                .iter()
                .rposition(|byte| *byte == b'/')
                .map_or(0, |slash| slash + 1)
        };
        self.put(end, 0);
        let pattern = pattern.get(consumed..).unwrap_or_default();
        // SAFETY: passed on to the caller.
        unsafe {
            if pattern.is_empty() {
                self.found(end, kind)
            } else {
                self.list(end, pattern)
            }
        }
    }

    /// Copies the components of the pattern in which nothing is to be matched to the path,
    /// without their escapes, and moves `end` behind them. How many bytes of the pattern were
    /// looked at; `None` if it can match nothing.
    fn take_literal(&mut self, end: &mut usize, pattern: &[u8]) -> Option<usize> {
        let escapes = !self.has(GLOB_NOESCAPE);
        let (mut at, mut written) = (0, 0);
        // A bracket may be a literal one, if it is not closed; only then its length counts.
        let (mut in_bracket, mut too_long) = (false, false);
        loop {
            let mut byte = match pattern.get(at) {
                Some(b'*' | b'?') => return Some(at),
                Some(b']') if in_bracket => return Some(at),
                Some(byte) => *byte,
                None => {
                    *end += written;
                    return (!too_long).then_some(at);
                }
            };
            if byte == b'[' {
                in_bracket = true;
            } else if byte == b'\\' && escapes {
                match pattern.get(at + 1) {
                    Some(b']') if in_bracket => return Some(at),
                    Some(next) => byte = *next,
                    None => return None,
                }
                at += 1;
            }
            let fits = *end + written + 1 < PATH_BYTES;
            if byte == b'/' {
                if too_long || !fits {
                    return None;
                }
                in_bracket = false;
                self.put(*end + written, byte);
                *end += written + 1;
                written = 0;
            } else if fits {
                self.put(*end + written, byte);
                written += 1;
            } else if in_bracket {
                too_long = true;
            } else {
                return None;
            }
            at += 1;
        }
    }

    /// Adds the path, if it exists.
    unsafe fn found(&mut self, end: usize, mut kind: u8) -> Result<(), Stop> {
        let mut status = MaybeUninit::<Stat>::zeroed();
        let (out, path) = (status.as_mut_ptr(), self.path.as_ptr().cast());
        // SAFETY: our own path and buffer, which is zeroed or filled.
        unsafe {
            if self.has(GLOB_MARK)
                && matches!(kind, DT_UNKNOWN | DT_LNK)
                && walk::status(nr::AT_FDCWD, path, out, true, true).is_ok()
            {
                let directory = (*out).st_mode & nr::S_IFMT == nr::S_IFDIR;
                kind = if directory { DT_DIR } else { DT_REG };
            }
            if kind == DT_UNKNOWN
                && let Err(error) = walk::status(nr::AT_FDCWD, path, out, false, true)
            {
                return match error {
                    Errno::ENOENT => Ok(()),
                    error => self.complain(error),
                };
            }
        }
        let mark = self.has(GLOB_MARK) && kind == DT_DIR;
        let path = self.path;
        self.add(path.get(..end).unwrap_or_default(), mark)
    }

    /// Matches the pattern's first component with the names in the path's directory.
    unsafe fn list(&mut self, end: usize, pattern: &[u8]) -> Result<(), Stop> {
        let slash = pattern.iter().position(|byte| *byte == b'/');
        let mut cut = slash.unwrap_or(pattern.len());
        if slash.is_some() && !self.has(GLOB_NOESCAPE) {
            let before = pattern.get(..cut).unwrap_or_default();
            let escapes = before
                .iter()
                .rev()
                .take_while(|byte| **byte == b'\\')
                .count();
            // An escaped slash: its escape stays with it.
            cut -= escapes % 2;
        }
        let (component, rest) = pattern.split_at_checked(cut).unwrap_or_default();
        let component = Text::of(component).map_err(|_| Stop::NoSpace)?;
        // SAFETY: our own path and listing.
        unsafe {
            let directory = match end {
                0 => c".".as_ptr(),
                _ => self.path.as_ptr().cast(),
            };
            let dir = match walk::open_listing(nr::AT_FDCWD, directory, true) {
                Ok(dir) => dir,
                Err(error) => {
                    errno::fail(error);
                    return self.complain(error);
                }
            };
            let before = errno::last();
            let answer = self.match_names(dir, end, &component, slash.is_some(), rest);
            let error = errno::last();
            directory::closedir(dir);
            answer?;
            if error != Errno(0) {
                self.put(end, 0);
                return self.complain(error);
            }
            errno::restore(before);
        }
        Ok(())
    }

    /// All names of a listing; `errno` is 0 afterwards, unless it could not be read.
    unsafe fn match_names(
        &mut self,
        dir: *mut c_void,
        end: usize,
        component: &Text,
        more: bool,
        rest: &[u8],
    ) -> Result<(), Stop> {
        let escape = if self.has(GLOB_NOESCAPE) {
            FNM_NOESCAPE
        } else {
            0
        };
        let hidden = self.has(GLOB_PERIOD);
        let period = if hidden { 0 } else { FNM_PERIOD };
        // SAFETY: the listing is the caller's, the strings end with NUL.
        unsafe {
            loop {
                errno::restore(Errno(0));
                let record = directory::readdir(dir);
                if record.is_null() {
                    return Ok(());
                }
                let kind = (*record).d_type;
                if more && !matches!(kind, DT_UNKNOWN | DT_DIR | DT_LNK) {
                    continue;
                }
                let text: *const c_char = (&raw const (*record).d_name).cast();
                let name = CStr::from_ptr(text).to_bytes();
                let matches = |flags| fnmatch(component.as_ptr(), text, flags) == 0;
                if name.len() >= PATH_BYTES - end || !matches(escape | period) {
                    continue;
                }
                // `.` and `..` only where a pattern asks for the period.
                let dots = matches!(name, b"." | b"..");
                if more && hidden && dots && !matches(escape | FNM_PERIOD) {
                    continue;
                }
                if let Some(slot) = self.path.get_mut(end..end + name.len()) {
                    slot.copy_from_slice(name);
                }
                let name_end = end + name.len();
                self.put(name_end, 0);
                self.search(name_end, kind, rest)?;
            }
        }
    }

    fn add(&mut self, path: &[u8], mark: bool) -> Result<(), Stop> {
        let more = path.len() + 2;
        let entry = heap::zeroed::<Match>(more).map_err(|_| Stop::NoSpace)?;
        // SAFETY: fresh memory of that size; the last one of our list, if there is one.
        unsafe {
            let name: *mut u8 = (&raw mut (*entry).name).cast();
            core::ptr::copy_nonoverlapping(path.as_ptr(), name, path.len());
            if mark && !path.is_empty() && !path.ends_with(b"/") {
                *name.add(path.len()) = b'/';
            }
            if self.last.is_null() {
                self.first = entry;
            } else {
                (*self.last).next = entry;
            }
        }
        self.last = entry;
        self.count += 1;
        Ok(())
    }

    /// Hands the paths over.
    unsafe fn give(&mut self, found: &mut Glob, offset: usize) -> Result<(), Stop> {
        let appends = self.has(GLOB_APPEND);
        let before = if appends { found.path_count } else { 0 };
        let start = offset + before;
        let bytes = (start + self.count + 1) * size_of::<*mut c_char>();
        // SAFETY: the caller's array, or none; our own list.
        unsafe {
            let old = if appends { found.paths } else { null_mut() };
            let paths: *mut *mut c_char = heap::realloc(old.cast(), bytes).cast();
            if paths.is_null() {
                return Err(Stop::NoSpace);
            }
            if !appends {
                paths.write_bytes(0, offset);
            }
            found.paths = paths;
            let mut entry = self.first;
            for number in start..start + self.count {
                *paths.add(number) = (&raw mut (*entry).name).cast();
                entry = (*entry).next;
            }
            *paths.add(start + self.count) = null_mut();
            found.path_count += self.count;
            if !self.has(GLOB_NOSORT) {
                let size = size_of::<*mut c_char>();
                heap::qsort(paths.add(start).cast(), self.count, size, compare);
            }
        }
        Ok(())
    }

    unsafe fn free(&mut self) {
        // SAFETY: our own list, that nobody was given.
        unsafe {
            let mut entry = self.first;
            while !entry.is_null() {
                let next = (*entry).next;
                free(entry.cast());
                entry = next;
            }
        }
    }
}
