//! The directories that a walk is in, outermost first: at most so many listings are open.

use super::super::FTW_DEPTH;
use super::{FAILED, FTW_ACTIONRETVAL, FTW_CHDIR, FTW_SKIP_SIBLINGS, FTW_STOP, Kind, Walk};
use crate::errno;
use crate::heap::{self, Text, free};
use crate::interpose::{cwd, directory, walk};
use crate::listing::Record;
use crate::sys::Stat;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::null_mut;
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;

const DT_UNKNOWN: u8 = 0;

/// A directory that is being walked.
pub(super) struct Frame {
    pub(super) outer: *mut Frame,
    inner: *mut Frame,
    /// Null once the listing had to be closed; then `rest` has the names.
    pub(super) dir: *mut c_void,
    rest: *mut c_char,
    /// Bytes of `rest` that have been used.
    rest_at: usize,
    /// [`Position::base`] of the directory itself.
    base: c_int,
    status: Stat,
}

impl Walk {
    /// The next name of the innermost directory, as a string that lives until the next one.
    pub(super) unsafe fn next_name(&mut self) -> Option<(*const c_char, u8)> {
        // SAFETY: the frame's own listing or its names, which end with an empty one.
        unsafe {
            let frame = &mut *self.innermost;
            if frame.dir.is_null() {
                if frame.rest.is_null() {
                    return None;
                }
                let name = frame.rest.add(frame.rest_at);
                let bytes = CStr::from_ptr(name).count_bytes();
                frame.rest_at += bytes + 1;
                return (bytes != 0).then_some((name.cast_const(), DT_UNKNOWN));
            }
            let record = directory::readdir(frame.dir);
            (!record.is_null()).then(|| (name_of(record), (*record).d_type))
        }
    }

    /// Opens the current directory, reports it and makes it the innermost one; the walk's
    /// answer if it did not get so far.
    pub(super) unsafe fn enter(&mut self, status: *const Stat) -> Result<(), c_int> {
        // SAFETY: a filled status; frames of our own.
        unsafe {
            let dir = match self.open_listing() {
                Ok(dir) => dir,
                Err(Errno::EACCES) => return Err(self.report(status, Kind::Unreadable)),
                Err(error) => return Err(errno::fail(error)),
            };
            let frame = match heap::zeroed::<Frame>(0) {
                Ok(frame) => frame,
                Err(error) => {
                    directory::closedir(dir);
                    return Err(errno::fail(error));
                }
            };
            (*frame).dir = dir;
            (*frame).outer = self.innermost;
            (*frame).base = self.position.base;
            (*frame).status = *status;
            if let Some(outer) = self.innermost.as_mut() {
                outer.inner = frame;
            }
            self.innermost = frame;
            if self.listed.is_null() {
                self.listed = frame;
            }
            self.open_count += 1;
            let mut answer = 0;
            if !self.has(FTW_DEPTH) {
                answer = self.report(&raw const (*frame).status, Kind::Directory);
            }
            if answer == 0 && self.has(FTW_CHDIR) {
                answer = cwd::fchdir(directory::dirfd(dir));
            }
            if answer == 0 && !self.path.as_bytes().ends_with(b"/") {
                answer = self.path.push(b"/").map_or_else(errno::fail, |()| 0);
            }
            if answer != 0 {
                self.drop_frame();
                return Err(answer);
            }
            self.position.level += 1;
            self.position.base = self.path.as_bytes().len() as c_int;
            Ok(())
        }
    }

    /// Opens the listing of the current directory, after closing the outermost one if there
    /// would be too many.
    unsafe fn open_listing(&mut self) -> Result<*mut c_void, Errno> {
        // SAFETY: frames of our own and their listings.
        unsafe {
            if self.open_count == self.open_max
                && let Some(frame) = self.listed.as_mut()
            {
                let mut names = Text::new();
                loop {
                    let record = directory::readdir(frame.dir);
                    if record.is_null() {
                        break;
                    }
                    names.push(CStr::from_ptr(name_of(record)).to_bytes_with_nul())?;
                }
                // The empty name at the end.
                names.push(b"\0")?;
                directory::closedir(frame.dir);
                frame.dir = null_mut();
                frame.rest = names.into_raw();
                self.listed = frame.inner;
                self.open_count -= 1;
            }
            let outer = self.innermost.as_ref().map(|frame| frame.dir);
            let closer = self.follows() || outer.is_none_or(|dir| dir.is_null());
            match outer.filter(|dir| !dir.is_null()) {
                Some(dir) => {
                    let name = self.path.as_ptr().add(self.position.base as usize);
                    walk::open_listing(directory::dirfd(dir), name, closer)
                }
                None => walk::open_listing(nr::AT_FDCWD, self.access_path(), closer),
            }
        }
    }

    /// Ends the innermost directory with `result`, and gives what it means for the outer one.
    pub(super) unsafe fn leave(&mut self, mut result: c_int) -> c_int {
        // SAFETY: frames of our own and their listings.
        unsafe {
            let frame = self.innermost;
            self.close_listing();
            if self.has(FTW_ACTIONRETVAL) && result == FTW_SKIP_SIBLINGS {
                result = 0;
            }
            self.path.truncate(self.position.base as usize - 1);
            self.position.level -= 1;
            self.position.base = (*frame).base;
            if result == 0 && self.has(FTW_DEPTH) {
                result = self.report(&raw const (*frame).status, Kind::AfterDirectory);
            }
            let goes_on =
                result == 0 || self.has(FTW_ACTIONRETVAL) && !matches!(result, FAILED | FTW_STOP);
            let outer = (*frame).outer;
            self.drop_frame();
            if !outer.is_null() && self.has(FTW_CHDIR) && goes_on {
                let back = !(*outer).dir.is_null()
                    && cwd::fchdir(directory::dirfd((*outer).dir)) == 0
                    || match self.position.base {
                        1 => cwd::chdir(c"/".as_ptr()) == 0,
                        _ => cwd::chdir(c"..".as_ptr()) == 0,
                    };
                if !back {
                    result = FAILED;
                }
            }
            result
        }
    }

    unsafe fn close_listing(&mut self) {
        // SAFETY: the innermost frame's own listing and names.
        unsafe {
            let frame = &mut *self.innermost;
            free(frame.rest.cast());
            frame.rest = null_mut();
            if frame.dir.is_null() {
                return;
            }
            let before = errno::last();
            directory::closedir(frame.dir);
            errno::restore(before);
            frame.dir = null_mut();
            self.open_count -= 1;
            if self.listed == self.innermost {
                self.listed = null_mut();
            }
        }
    }

    unsafe fn drop_frame(&mut self) {
        // SAFETY: the innermost frame is ours, and nobody else points to it.
        unsafe {
            self.close_listing();
            let frame = self.innermost;
            self.innermost = (*frame).outer;
            if let Some(outer) = self.innermost.as_mut() {
                outer.inner = null_mut();
            }
            free(frame.cast());
        }
    }
}

/// The name in a record of readdir(3), which is as long as its name only.
unsafe fn name_of(record: *const Record) -> *const c_char {
    // SAFETY: no reference is made; the name begins within every record.
    unsafe { (&raw const (*record).d_name).cast() }
}
