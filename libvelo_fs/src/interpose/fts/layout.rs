//! `FTS` and `FTSENT` of glibc on 64-bit machines, and the numbers in them (fts.h).

use crate::heap::{self, Compare};
use crate::sys::Stat;
use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use velo_core::errno::Errno;

/// `FTS`: a walk.
#[repr(C)]
pub struct Fts {
    /// What was returned last.
    pub current: *mut Entry,
    /// What fts_children(3) has read of it.
    pub child: *mut Entry,
    /// Room to sort in, and for how many.
    pub array: *mut *mut Entry,
    /// Device of the root that is being walked.
    pub device: u64,
    /// The one buffer of all paths, and its size in bytes.
    pub path: *mut c_char,
    pub root_descriptor: c_int,
    pub path_bytes: c_int,
    pub array_room: c_int,
    pub compare: Option<Compare>,
    pub options: c_int,
}

/// `FTSENT`: a file in it. The name goes on behind, and the status after that.
#[repr(C)]
pub struct Entry {
    pub cycle: *mut Entry,
    pub parent: *mut Entry,
    pub link: *mut Entry,
    number: c_long,
    pointer: *mut c_void,
    pub access_path: *mut c_char,
    pub path: *mut c_char,
    pub error: c_int,
    pub link_descriptor: c_int,
    pub path_length: u16,
    pub name_length: u16,
    pub inode: u64,
    pub device: u64,
    pub link_count: u64,
    pub level: i16,
    pub info: u16,
    pub flags: u16,
    pub instruction: u16,
    pub status: *mut Stat,
    name: [c_char; 1],
}

const _: () = assert!(core::mem::offset_of!(Fts, options) == 64);
const _: () = assert!(core::mem::offset_of!(Entry, name) == 112 && size_of::<Entry>() == 120);

/// Options of fts_open(3).
pub const FTS_COMFOLLOW: c_int = 0x1;
pub const FTS_LOGICAL: c_int = 0x2;
pub const FTS_NOCHDIR: c_int = 0x4;
pub const FTS_NOSTAT: c_int = 0x8;
pub const FTS_PHYSICAL: c_int = 0x10;
pub const FTS_SEEDOT: c_int = 0x20;
pub const FTS_XDEV: c_int = 0x40;
pub const FTS_OPTIONMASK: c_int = 0xff;
/// Only names were read; also what fts_children(3) is asked for.
pub const FTS_NAMEONLY: c_int = 0x100;
/// After an error that cannot be recovered from.
pub const FTS_STOP: c_int = 0x200;
/// Ours: symlinks outside may lead into a mount, see [`crate::interpose::walk`].
pub const CLOSER: c_int = 0x400;

/// Level of the roots' parent, and of the roots.
pub const ROOT_PARENT_LEVEL: i16 = -1;
pub const ROOT_LEVEL: i16 = 0;

/// Kinds of entries.
pub const FTS_D: u16 = 1;
pub const FTS_DC: u16 = 2;
pub const FTS_DEFAULT: u16 = 3;
pub const FTS_DNR: u16 = 4;
pub const FTS_DOT: u16 = 5;
pub const FTS_DP: u16 = 6;
pub const FTS_ERR: u16 = 7;
pub const FTS_F: u16 = 8;
pub const FTS_INIT: u16 = 9;
pub const FTS_NS: u16 = 10;
pub const FTS_NSOK: u16 = 11;
pub const FTS_SL: u16 = 12;
pub const FTS_SLNONE: u16 = 13;

/// The directory was not entered, so it is not left either.
pub const FTS_DONTCHDIR: u16 = 1;
/// A followed symlink: `link_descriptor` is the way back.
pub const FTS_SYMFOLLOW: u16 = 2;

/// Instructions of fts_set(3).
pub const FTS_AGAIN: u16 = 1;
pub const FTS_FOLLOW: u16 = 2;
pub const FTS_NOINSTR: u16 = 3;
pub const FTS_SKIP: u16 = 4;

/// A valid instruction.
pub fn instruction(number: c_int) -> Option<u16> {
    let number = u16::try_from(number).ok()?;
    (number <= FTS_SKIP).then_some(number)
}

impl Entry {
    /// A new entry of this name.
    pub fn new(stream: &Fts, name: &[u8]) -> Result<*mut Self, Errno> {
        let with_status = !stream.has(FTS_NOSTAT);
        // The status stands behind the name, two bytes of which are in the structure.
        let name_end = core::mem::offset_of!(Self, name) + name.len() + 1;
        let status_at = name_end.next_multiple_of(align_of::<Stat>());
        let end = status_at + size_of::<Stat>();
        let more = if with_status { end } else { name_end };
        let entry = heap::zeroed::<Self>(more.saturating_sub(size_of::<Self>()))?;
        // SAFETY: fresh memory of that size.
        unsafe {
            core::ptr::copy_nonoverlapping(name.as_ptr(), Self::name(entry).cast(), name.len());
            (*entry).name_length = name.len() as u16;
            (*entry).path = stream.path;
            (*entry).instruction = FTS_NOINSTR;
            if with_status {
                (*entry).status = entry.byte_add(status_at).cast();
            }
        }
        Ok(entry)
    }

    /// The name, with its NUL.
    ///
    /// # Safety
    /// `entry` came from [`Entry::new`], or from the C library.
    pub unsafe fn name(entry: *mut Self) -> *mut c_char {
        // SAFETY: no reference is made: the name goes on behind the structure.
        unsafe { (&raw mut (*entry).name).cast() }
    }

    /// Whether it is `.` or `..`.
    ///
    /// # Safety
    /// As [`Entry::name`].
    pub unsafe fn is_dot(entry: *mut Self) -> bool {
        // SAFETY: passed on to the caller.
        let name = unsafe { CStr::from_ptr(Self::name(entry)) };
        matches!(name.to_bytes(), b"." | b"..")
    }
}

impl Fts {
    /// Whether an option is set.
    pub fn has(&self, option: c_int) -> bool {
        self.options & option != 0
    }

    /// Makes room for `more` bytes of path. The entries' pointers into it are the caller's to adjust.
    pub fn grow_path(&mut self, more: usize) -> Result<(), Errno> {
        const SPARE: usize = 256;
        let bytes = self.path_bytes as usize + more + SPARE;
        let Ok(path_bytes) = c_int::try_from(bytes) else {
            return Err(Errno::ENAMETOOLONG);
        };
        // SAFETY: memory of the C library, or null.
        let path = unsafe { heap::realloc(self.path.cast(), bytes) };
        if path.is_null() {
            return Err(Errno::ENOMEM);
        }
        (self.path, self.path_bytes) = (path.cast(), path_bytes);
        Ok(())
    }
}

/// Frees a list of entries.
///
/// # Safety
/// They are not used any more.
pub unsafe fn free_list(mut entry: *mut Entry) {
    // SAFETY: passed on to the caller.
    unsafe {
        while !entry.is_null() {
            let next = (*entry).link;
            heap::free(entry.cast());
            entry = next;
        }
    }
}
