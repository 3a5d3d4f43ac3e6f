//! nftw(3) as musl has it: by full paths, no `FTW_CHDIR`, a cycle is a directory that is
//! among its own ancestors, and below `descriptors` levels nothing is listed.

use super::{FTW_DEPTH, FTW_MOUNT, FTW_PHYS, Position, Visit};
use crate::errno;
use crate::heap::{self, Text, free};
use crate::interpose::{directory, walk};
use crate::locate;
use crate::sys::Stat;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr::null_mut;
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;

const FTW_F: c_int = 1;
const FTW_D: c_int = 2;
const FTW_DNR: c_int = 3;
const FTW_NS: c_int = 4;
const FTW_SL: c_int = 5;
const FTW_DP: c_int = 6;
const FTW_SLN: c_int = 7;

const PATH_BYTES: usize = nr::PATH_MAX as usize;

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}
const PTHREAD_CANCEL_DISABLE: c_int = 1;

/// A directory that is being walked.
struct Frame {
    outer: *mut Frame,
    dir: *mut c_void,
    kind: c_int,
    /// Bytes of its path, and without a slash at the end.
    end: usize,
    trimmed: usize,
    position: Position,
    status: Stat,
}

struct Walk {
    path: Text,
    visit: Visit,
    flags: c_int,
    descriptors: c_int,
    innermost: *mut Frame,
}

/// nftw(3).
///
/// # Safety
/// `path` is a C string, `visit` the caller's function.
pub unsafe fn nftw(path: *const c_char, visit: Visit, descriptors: c_int, flags: c_int) -> c_int {
    if descriptors <= 0 {
        return 0;
    }
    // SAFETY: passed on to the caller.
    let path = unsafe { locate::bytes(path) }.unwrap_or_default();
    if path.len() > PATH_BYTES {
        return errno::fail(Errno::ENAMETOOLONG);
    }
    let path = match Text::of(path) {
        Ok(path) => path,
        Err(error) => return errno::fail(error),
    };
    let mut walk = Walk {
        path,
        visit,
        flags,
        descriptors,
        innermost: null_mut(),
    };
    let mut state = 0;
    // SAFETY: the walk's own structures and the caller's function.
    unsafe {
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &raw mut state);
        let answer = walk.run();
        pthread_setcancelstate(state, null_mut());
        answer
    }
}

impl Walk {
    fn has(&self, flag: c_int) -> bool {
        self.flags & flag != 0
    }

    /// Walks all of it; what the first call that did not answer 0 has answered.
    unsafe fn run(&mut self) -> c_int {
        // SAFETY: frames of our own.
        unsafe {
            let mut result = self.enter().unwrap_or(0);
            while !self.innermost.is_null() {
                if result == 0
                    && let Some(name) = self.next_name()
                {
                    result = match self.append(name) {
                        Ok(()) => self.enter().unwrap_or(0),
                        Err(error) => errno::fail(error),
                    };
                    continue;
                }
                let frame = self.innermost;
                directory::closedir((*frame).dir);
                if result == 0 {
                    self.path.truncate((*frame).end);
                    result = self.after(frame);
                }
                self.innermost = (*frame).outer;
                free(frame.cast());
            }
            result
        }
    }

    unsafe fn next_name(&mut self) -> Option<*const c_char> {
        // SAFETY: the innermost frame's own listing.
        unsafe {
            loop {
                let record = directory::readdir((*self.innermost).dir);
                if record.is_null() {
                    return None;
                }
                let name: *const c_char = (&raw const (*record).d_name).cast();
                if !matches!(CStr::from_ptr(name).to_bytes(), b"." | b"..") {
                    return Some(name);
                }
            }
        }
    }

    /// Makes the path that of a name in the innermost directory.
    unsafe fn append(&mut self, name: *const c_char) -> Result<(), Errno> {
        // SAFETY: the frame is ours, the name a C string.
        unsafe {
            let (name, frame) = (CStr::from_ptr(name).to_bytes(), &*self.innermost);
            if name.len() >= PATH_BYTES - frame.end {
                return Err(Errno::ENAMETOOLONG);
            }
            self.path.truncate(frame.trimmed);
            self.path.push(b"/")?;
            self.path.push(name)
        }
    }

    /// What lstat(2) or stat(2) says, and the kind of it.
    unsafe fn kind(&self, out: *mut Stat) -> Result<c_int, Errno> {
        let physical = self.has(FTW_PHYS);
        let (here, path) = (nr::AT_FDCWD, self.path.as_ptr());
        // SAFETY: a C string and a buffer that is zeroed or filled.
        unsafe {
            match walk::status(here, path, out, !physical, true) {
                Ok(()) => Ok(match (*out).st_mode & nr::S_IFMT {
                    nr::S_IFDIR if self.has(FTW_DEPTH) => FTW_DP,
                    nr::S_IFDIR => FTW_D,
                    nr::S_IFLNK if physical => FTW_SL,
                    nr::S_IFLNK => FTW_SLN,
                    _ => FTW_F,
                }),
                Err(error) => {
                    let looks = !physical && error == Errno::ENOENT;
                    if looks && walk::status(here, path, out, false, true).is_ok() {
                        return Ok(FTW_SLN);
                    }
                    match errno::last() {
                        Errno::EACCES => Ok(FTW_NS),
                        error => Err(error),
                    }
                }
            }
        }
    }

    /// Reports the entry at the path; a directory becomes the innermost frame, all else
    /// is done and gives its answer.
    unsafe fn enter(&mut self) -> Option<c_int> {
        let mut status = MaybeUninit::<Stat>::zeroed();
        let out = status.as_mut_ptr();
        // SAFETY: our own buffer and frames, the caller's function.
        unsafe {
            let mut kind = match self.kind(out) {
                Ok(kind) => kind,
                Err(error) => return Some(errno::fail(error)),
            };
            let outer = self.innermost;
            if self.has(FTW_MOUNT)
                && outer
                    .as_ref()
                    .is_some_and(|outer| outer.status.st_dev != (*out).st_dev)
            {
                return Some(0);
            }
            let end = self.path.as_bytes().len();
            let trimmed = end - usize::from(self.path.as_bytes().ends_with(b"/"));
            let mut position = self.position(outer.as_ref(), trimmed);
            let mut dir = Ok(null_mut());
            if matches!(kind, FTW_D | FTW_DP) {
                dir = walk::open_listing(nr::AT_FDCWD, self.path.as_ptr(), true);
                if dir == Err(Errno::EACCES) {
                    kind = FTW_DNR;
                }
            }
            let mut answer = None;
            if !self.has(FTW_DEPTH) {
                let told = (self.visit)(self.path.as_ptr(), out, kind, &raw mut position);
                answer = (told != 0).then_some(told);
            }
            if answer.is_none() && self.is_among_ancestors(&*out) {
                answer = Some(0);
            }
            let lists = matches!(kind, FTW_D | FTW_DP) && position.level < self.descriptors;
            if answer.is_none() && lists {
                match dir {
                    Ok(_) => match heap::zeroed::<Frame>(0) {
                        Ok(frame) => {
                            frame.write(Frame {
                                outer,
                                dir: dir.unwrap_or(null_mut()),
                                kind,
                                end,
                                trimmed,
                                position,
                                status: *out,
                            });
                            self.innermost = frame;
                            return None;
                        }
                        Err(error) => answer = Some(errno::fail(error)),
                    },
                    Err(error) => answer = Some(errno::fail(error)),
                }
            }
            if let Ok(dir) = dir
                && !dir.is_null()
            {
                let before = errno::last();
                directory::closedir(dir);
                errno::restore(before);
            }
            if answer.is_none() && self.has(FTW_DEPTH) {
                answer = Some((self.visit)(
                    self.path.as_ptr(),
                    out,
                    kind,
                    &raw mut position,
                ));
            }
            answer.or(Some(0))
        }
    }

    /// After all that is in it: `FTW_DEPTH` reports a directory now.
    unsafe fn after(&mut self, frame: *mut Frame) -> c_int {
        if !self.has(FTW_DEPTH) {
            return 0;
        }
        // SAFETY: the frame is ours, the function the caller's.
        unsafe {
            let frame = &mut *frame;
            let (path, status) = (self.path.as_ptr(), &raw const frame.status);
            (self.visit)(path, status, frame.kind, &raw mut frame.position)
        }
    }

    fn position(&self, outer: Option<&Frame>, trimmed: usize) -> Position {
        if let Some(outer) = outer {
            return Position {
                base: outer.trimmed as c_int + 1,
                level: outer.position.level + 1,
            };
        }
        let path = self.path.as_bytes();
        let byte = |at: usize| path.get(at).copied();
        let mut base = trimmed;
        while base > 0 && byte(base) == Some(b'/') {
            base -= 1;
        }
        while base > 0 && byte(base - 1) != Some(b'/') {
            base -= 1;
        }
        Position {
            base: base as c_int,
            level: 0,
        }
    }

    unsafe fn is_among_ancestors(&self, status: &Stat) -> bool {
        let mut frame = self.innermost.cast_const();
        // SAFETY: frames of our own.
        unsafe {
            while let Some(ancestor) = frame.as_ref() {
                let same = ancestor.status.st_dev == status.st_dev
                    && ancestor.status.st_ino == status.st_ino;
                if same {
                    return true;
                }
                frame = ancestor.outer;
            }
        }
        false
    }
}
