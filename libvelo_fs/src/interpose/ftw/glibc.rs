//! nftw(3) as glibc has it.
//!
//! One frame a directory, in memory of the C library: depth costs no stack. At most
//! `descriptors` listings stay open; the outermost one is read to its end and closed
//! when one more is needed ([`frames`]). Symlinks are followed once to each directory.

mod frames;

use super::{FTW_DEPTH, FTW_MOUNT, FTW_PHYS, Position, Visit};
use crate::errno;
use crate::heap::{self, Text, free};
use crate::interpose::{cwd, directory, fd, open, walk};
use crate::locate;
use crate::sys::Stat;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr::null_mut;
use frames::Frame;
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;

const FTW_CHDIR: c_int = 4;
const FTW_ACTIONRETVAL: c_int = 16;
const FLAGS: c_int = FTW_PHYS | FTW_MOUNT | FTW_CHDIR | FTW_DEPTH | FTW_ACTIONRETVAL;

/// What the callback may answer if `FTW_ACTIONRETVAL` is given.
const FTW_STOP: c_int = 1;
const FTW_SKIP_SUBTREE: c_int = 2;
const FTW_SKIP_SIBLINGS: c_int = 3;
/// An error, with `errno` set.
const FAILED: c_int = -1;

/// Kinds of entries, in glibc's numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
enum Kind {
    File = 0,
    Directory = 1,
    Unreadable = 2,
    NoStatus = 3,
    Symlink = 4,
    AfterDirectory = 5,
    Dangling = 6,
}

impl Kind {
    /// The number that nftw(3) tells, or the older ftw(3), which knows no symlinks.
    fn number(self, extended: bool) -> c_int {
        let told = match self {
            kind if extended => kind,
            Self::Symlink => Self::File,
            Self::AfterDirectory => Self::Directory,
            Self::Dangling => Self::NoStatus,
            kind => kind,
        };
        told as c_int
    }
}

struct Walk {
    path: Text,
    position: Position,
    flags: c_int,
    visit: Visit,
    extended: bool,
    device: u64,
    innermost: *mut Frame,
    /// The outermost frame whose listing is open.
    listed: *mut Frame,
    open_count: c_int,
    open_max: c_int,
    /// Directories that were reached, for walks that follow symlinks.
    known: *mut c_void,
}

unsafe extern "C" {
    fn tsearch(key: *const c_void, root: *mut *mut c_void, compare: heap::Compare) -> *mut c_void;
    fn tfind(key: *const c_void, root: *const *mut c_void, compare: heap::Compare) -> *mut c_void;
    fn tdestroy(root: *mut c_void, release: unsafe extern "C" fn(*mut c_void));
}

/// Device and inode number.
type Identity = (u64, u64);

unsafe extern "C" fn compare_identities(left: *const c_void, right: *const c_void) -> c_int {
    // SAFETY: only identities are in the set.
    let (left, right) = unsafe { (*left.cast::<Identity>(), *right.cast::<Identity>()) };
    left.cmp(&right) as c_int
}

/// nftw(3).
///
/// # Safety
/// `path` is a C string, `visit` the caller's function.
pub unsafe fn nftw(path: *const c_char, visit: Visit, descriptors: c_int, flags: c_int) -> c_int {
    if flags & !FLAGS != 0 {
        return errno::fail(Errno::EINVAL);
    }
    // SAFETY: passed on to the caller.
    unsafe { start(path, visit, descriptors, flags, true) }
}

/// ftw(3).
///
/// # Safety
/// As [`nftw`].
pub unsafe fn ftw(path: *const c_char, visit: Visit, descriptors: c_int) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { start(path, visit, descriptors, 0, false) }
}

unsafe fn start(
    path: *const c_char,
    visit: Visit,
    descriptors: c_int,
    flags: c_int,
    extended: bool,
) -> c_int {
    // SAFETY: passed on to the caller.
    let path = unsafe { locate::bytes(path) }.unwrap_or_default();
    if path.is_empty() {
        return errno::fail(Errno::ENOENT);
    }
    let end = path.iter().rposition(|byte| *byte != b'/');
    let path = path.get(..end.map_or(1, |end| end + 1)).unwrap_or(path);
    let Ok(text) = Text::of(path) else {
        return errno::fail(Errno::ENOMEM);
    };
    let base = path.iter().rposition(|byte| *byte == b'/');
    let mut walk = Walk {
        path: text,
        position: Position {
            base: base.map_or(0, |slash| slash as c_int + 1),
            level: 0,
        },
        flags,
        visit,
        extended,
        device: 0,
        innermost: null_mut(),
        listed: null_mut(),
        open_count: 0,
        open_max: descriptors.max(1),
        known: null_mut(),
    };
    // SAFETY: the walk's own structures and the caller's function.
    unsafe {
        let answer = walk.run();
        let before = errno::last();
        tdestroy(walk.known, free);
        errno::restore(before);
        answer
    }
}

impl Walk {
    fn has(&self, flag: c_int) -> bool {
        self.flags & flag != 0
    }

    fn follows(&self) -> bool {
        !self.has(FTW_PHYS)
    }

    unsafe fn report(&mut self, status: *const Stat, kind: Kind) -> c_int {
        let (path, kind) = (self.path.as_ptr(), kind.number(self.extended));
        // SAFETY: the caller's function, given what it is promised.
        unsafe { (self.visit)(path, status, kind, &raw mut self.position) }
    }

    /// The path of the current entry from where the process stands.
    fn access_path(&self) -> *const c_char {
        if !self.has(FTW_CHDIR) {
            return self.path.as_ptr();
        }
        // SAFETY: the base lies within the text.
        let name = unsafe { self.path.as_ptr().add(self.position.base as usize) };
        // SAFETY: as above; the root directory has no name.
        if unsafe { *name } == 0 {
            c".".as_ptr()
        } else {
            name
        }
    }

    /// Walks all of it, and comes back to the working directory of before.
    unsafe fn run(&mut self) -> c_int {
        // SAFETY: strings and descriptors of our own.
        unsafe {
            if !self.has(FTW_CHDIR) {
                return self.walk();
            }
            let here = open::open(c".".as_ptr(), (nr::O_RDONLY | nr::O_DIRECTORY) as c_int, 0);
            let mut name = null_mut();
            if here == -1 {
                if errno::last() == Errno::EACCES {
                    name = cwd::getcwd(null_mut(), 0);
                }
                if name.is_null() {
                    return FAILED;
                }
            }
            let answer = if self.enter_parent() == 0 {
                self.walk()
            } else {
                FAILED
            };
            let before = errno::last();
            if here != -1 {
                cwd::fchdir(here);
                fd::close(here);
            } else {
                cwd::chdir(name);
                free(name.cast());
            }
            errno::restore(before);
            answer
        }
    }

    /// Goes to the directory in which the walk begins.
    unsafe fn enter_parent(&mut self) -> c_int {
        let base = self.position.base as usize;
        // SAFETY: C strings of our own.
        unsafe {
            match base {
                0 => 0,
                1 => cwd::chdir(c"/".as_ptr()),
                _ => {
                    let parent = self.path.as_bytes().get(..base - 1).unwrap_or_default();
                    match Text::of(parent) {
                        Ok(parent) => cwd::chdir(parent.as_ptr()),
                        Err(error) => errno::fail(error),
                    }
                }
            }
        }
    }

    unsafe fn walk(&mut self) -> c_int {
        let mut status = MaybeUninit::<Stat>::zeroed();
        let out = status.as_mut_ptr();
        // SAFETY: our own buffer, which is zeroed or filled.
        unsafe {
            let here = nr::AT_FDCWD;
            let path = self.access_path();
            let found = walk::status(here, path, out, self.follows(), true);
            let mut answer = if let Err(error) = found {
                let dangling = self.follows()
                    && error == Errno::ENOENT
                    && walk::status(here, path, out, false, true).is_ok()
                    && kind_of(&*out) == Kind::Symlink;
                if !dangling {
                    return FAILED;
                }
                self.report(out, Kind::Dangling)
            } else if kind_of(&*out) == Kind::Directory {
                self.device = (*out).st_dev;
                let noted = if self.follows() {
                    self.note(&*out)
                } else {
                    Ok(true)
                };
                match noted {
                    Ok(_) => {
                        let entered = self.enter(out);
                        self.finish_frames(entered)
                    }
                    Err(error) => errno::fail(error),
                }
            } else {
                self.report(out, kind_of(&*out))
            };
            if self.has(FTW_ACTIONRETVAL) && matches!(answer, FTW_SKIP_SUBTREE | FTW_SKIP_SIBLINGS)
            {
                answer = 0;
            }
            answer
        }
    }

    /// Runs the frames until the first one has ended; `entered` is what became of it.
    unsafe fn finish_frames(&mut self, entered: Result<(), c_int>) -> c_int {
        if let Err(answer) = entered {
            return answer;
        }
        loop {
            // SAFETY: the innermost frame is there until `leave` takes it.
            unsafe {
                let mut result = 0;
                while result == 0
                    && let Some((name, kind)) = self.next_name()
                {
                    match self.entry(name, kind) {
                        // A directory: its frame is the innermost one now.
                        None => result = 0,
                        Some(answer) => result = answer,
                    }
                    result = self.without_skip(result);
                }
                loop {
                    let last = (*self.innermost).outer.is_null();
                    result = self.leave(result);
                    if last {
                        return result;
                    }
                    result = self.without_skip(result);
                    if result == 0 {
                        break;
                    }
                }
            }
        }
    }

    fn without_skip(&self, answer: c_int) -> c_int {
        if self.has(FTW_ACTIONRETVAL) && answer == FTW_SKIP_SUBTREE {
            0
        } else {
            answer
        }
    }

    /// One entry of the innermost directory: what became of it, or `None` if it was entered.
    unsafe fn entry(&mut self, name: *const c_char, listed_as: u8) -> Option<c_int> {
        // SAFETY: a C string; our own buffer and frame.
        unsafe {
            let bytes = CStr::from_ptr(name).to_bytes();
            if matches!(bytes, b"." | b"..") {
                return Some(0);
            }
            self.path.truncate(self.position.base as usize);
            if let Err(error) = self.path.push(bytes) {
                return Some(errno::fail(error));
            }
            let dir = (*self.innermost).dir;
            let (at, path) = if dir.is_null() {
                (nr::AT_FDCWD, self.access_path())
            } else {
                // The name that was listed may be gone; the path has it.
                let own = self.path.as_ptr().add(self.position.base as usize);
                (directory::dirfd(dir), own.cast_const())
            };
            let mut status = MaybeUninit::<Stat>::zeroed();
            let out = status.as_mut_ptr();
            // What is listed as a directory is no symlink; a closed listing leaves a path to check.
            let closer = dir.is_null() || self.follows() && listed_as != DT_DIR;
            let kind = match walk::status(at, path, out, self.follows(), closer) {
                Ok(()) => kind_of(&*out),
                Err(Errno::EACCES | Errno::ENOENT) => {
                    let dangling = self.follows()
                        && walk::status(at, path, out, false, closer).is_ok()
                        && kind_of(&*out) == Kind::Symlink;
                    if dangling {
                        Kind::Dangling
                    } else {
                        Kind::NoStatus
                    }
                }
                Err(_) => return Some(FAILED),
            };
            let elsewhere = self.has(FTW_MOUNT) && (*out).st_dev != self.device;
            if elsewhere && kind != Kind::NoStatus {
                return Some(0);
            }
            if kind != Kind::Directory {
                return Some(self.report(out, kind));
            }
            if self.follows() {
                match self.note(&*out) {
                    Ok(true) => {}
                    Ok(false) => return Some(0),
                    Err(error) => return Some(errno::fail(error)),
                }
            }
            self.enter(out).err()
        }
    }

    /// Remembers a directory; `false` if it was known.
    unsafe fn note(&mut self, status: &Stat) -> Result<bool, Errno> {
        let identity: Identity = (status.st_dev, status.st_ino);
        // SAFETY: the set holds identities in memory of its own.
        unsafe {
            let key: *const c_void = (&raw const identity).cast();
            if !tfind(key, &raw const self.known, compare_identities).is_null() {
                return Ok(false);
            }
            let kept = heap::zeroed::<Identity>(0)?;
            *kept = identity;
            if tsearch(kept.cast(), &raw mut self.known, compare_identities).is_null() {
                free(kept.cast());
                return Err(Errno::ENOMEM);
            }
            Ok(true)
        }
    }
}

const DT_DIR: u8 = 4;

fn kind_of(status: &Stat) -> Kind {
    match status.st_mode & nr::S_IFMT {
        nr::S_IFDIR => Kind::Directory,
        nr::S_IFLNK => Kind::Symlink,
        _ => Kind::File,
    }
}
