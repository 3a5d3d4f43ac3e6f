//! Reading one directory of a walk: its entries, their status, their order.

use super::layout::*;
use crate::errno;
use crate::heap::{self, free};
use crate::interpose::{cwd, directory, fd, stat, walk};
use crate::sys::Stat;
use core::ffi::{CStr, c_char, c_int};
use core::mem::MaybeUninit;
use core::ptr::null_mut;
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;

/// What a directory is read for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// fts_children(3).
    Children,
    /// fts_children(3) that wants names only.
    Names,
    /// fts_read(3).
    Walk,
}

/// How many more entries are to be asked for their status.
#[derive(Clone, Copy)]
struct StatusPlan {
    /// Directories that are expected; negative is all entries, 0 none any more.
    left: i64,
    /// Only those that are listed as directories, or as nothing known.
    directories_only: bool,
}

const DT_UNKNOWN: u8 = 0;
const DT_DIR: u8 = 4;

impl Fts {
    /// Bytes of `entry`'s path before the slash that goes behind it.
    pub unsafe fn parent_bytes(&self, entry: *const Entry) -> usize {
        // SAFETY: the path is as long as it says.
        unsafe {
            let length = usize::from((*entry).path_length);
            let ends_in_slash = length > 0 && *(*entry).path.add(length - 1) == b'/' as c_char;
            length - usize::from(ends_in_slash)
        }
    }

    /// Asks for the status of `entry`, and says what kind it is.
    pub unsafe fn ask(&mut self, entry: *mut Entry, follow: bool) -> u16 {
        let mut own = MaybeUninit::<Stat>::zeroed();
        // SAFETY: the entry is the walk's; the buffer is written or zeroed.
        unsafe {
            let out = if self.has(FTS_NOSTAT) {
                own.as_mut_ptr()
            } else {
                (*entry).status
            };
            let follow = follow || self.has(FTS_LOGICAL);
            let closer = follow || self.has(CLOSER);
            let (here, path) = (nr::AT_FDCWD, (*entry).access_path);
            if let Err(error) = walk::status(here, path, out, follow, closer) {
                if follow && walk::status(here, path, out, false, closer).is_ok() {
                    errno::restore(Errno(0));
                    return FTS_SLNONE;
                }
                (*entry).error = error.0;
                out.write_bytes(0, 1);
                return FTS_NS;
            }
            match (*out).st_mode & nr::S_IFMT {
                nr::S_IFDIR => self.directory_kind(entry, &*out),
                nr::S_IFLNK => FTS_SL,
                nr::S_IFREG => FTS_F,
                _ => FTS_DEFAULT,
            }
        }
    }

    unsafe fn directory_kind(&self, entry: *mut Entry, status: &Stat) -> u16 {
        // SAFETY: the entry is the walk's, and so are its ancestors.
        unsafe {
            (*entry).device = status.st_dev;
            (*entry).inode = status.st_ino;
            (*entry).link_count = status.st_nlink;
            if Entry::is_dot(entry) {
                return FTS_DOT;
            }
            let mut ancestor = (*entry).parent;
            while !ancestor.is_null() && (*ancestor).level >= ROOT_LEVEL {
                if ((*ancestor).inode, (*ancestor).device) == (status.st_ino, status.st_dev) {
                    (*entry).cycle = ancestor;
                    return FTS_DC;
                }
                ancestor = (*ancestor).parent;
            }
        }
        FTS_D
    }

    /// Goes to the directory of `entry`, by a descriptor or else by a path, if it is still the
    /// one that was reported.
    pub unsafe fn enter(
        &self,
        entry: *const Entry,
        descriptor: Option<c_int>,
        path: *const c_char,
    ) -> Result<(), Errno> {
        if self.has(FTS_NOCHDIR) {
            return Ok(());
        }
        let mut status = MaybeUninit::<Stat>::zeroed();
        // SAFETY: the entry is the walk's, the path a C string.
        unsafe {
            let there = match descriptor {
                Some(descriptor) => descriptor,
                None => walk::open_directory(nr::AT_FDCWD, path, nr::O_RDONLY, self.has(CLOSER))?,
            };
            let answer = if stat::fstat(there, status.as_mut_ptr()) != 0 {
                Err(errno::last())
            } else {
                let status = status.assume_init();
                if ((*entry).device, (*entry).inode) != (status.st_dev, status.st_ino) {
                    Err(Errno::ENOENT)
                } else if cwd::fchdir(there) != 0 {
                    Err(errno::last())
                } else {
                    Ok(())
                }
            };
            if descriptor.is_none() {
                fd::close(there);
            }
            answer
        }
    }

    /// Goes back to where the walk began.
    pub unsafe fn leave_to(&self, descriptor: c_int) -> bool {
        // SAFETY: no pointers.
        self.has(FTS_NOCHDIR) || unsafe { cwd::fchdir(descriptor) } == 0
    }

    /// Reads the current directory. Null if it is empty or cannot be read; the entry says which.
    pub unsafe fn build(&mut self, purpose: Purpose) -> *mut Entry {
        // SAFETY: the walk's own entries.
        unsafe {
            let current = self.current;
            let closer = self.has(CLOSER);
            let dir = walk::open_listing(nr::AT_FDCWD, (*current).access_path, closer);
            let mut dir = match dir {
                Ok(dir) => dir,
                Err(error) => {
                    errno::fail(error);
                    if purpose == Purpose::Walk {
                        (*current).info = FTS_DNR;
                        (*current).error = error.0;
                    }
                    return null_mut();
                }
            };
            let plan = self.status_plan(purpose);
            // Descend if something is to be asked, or if the walk goes on in there.
            let mut descended = false;
            let mut refused = None;
            if plan.left != 0 || purpose == Purpose::Walk {
                let descriptor = Some(directory::dirfd(dir));
                match self.enter(current, descriptor, core::ptr::null()) {
                    Ok(()) => descended = true,
                    Err(error) => {
                        if plan.left != 0 && purpose == Purpose::Walk {
                            (*current).error = error.0;
                        }
                        (*current).flags |= FTS_DONTCHDIR;
                        refused = Some(error);
                        directory::closedir(dir);
                        dir = null_mut();
                    }
                }
            }
            let mut list = List::new();
            if !dir.is_null() {
                let read = self.read_entries(dir, plan, &mut list);
                directory::closedir(dir);
                if let Err(error) = read {
                    free_list(list.head);
                    (*current).info = FTS_ERR;
                    self.options |= FTS_STOP;
                    errno::fail(error);
                    return null_mut();
                }
            }
            if let Some(error) = refused {
                errno::fail(error);
            }
            if self.has(FTS_NOCHDIR) {
                // What glibc leaves behind: with children, the slash as well.
                let start = self.parent_bytes(current) + 1;
                let full = list.count == 0 || start == self.path_bytes as usize;
                *self.path.add(start - usize::from(full)) = 0;
            }
            let goes_back = descended && (purpose != Purpose::Walk || list.count == 0);
            if goes_back && !self.go_back(current) {
                (*current).info = FTS_ERR;
                self.options |= FTS_STOP;
                free_list(list.head);
                return null_mut();
            }
            if list.count == 0 {
                if purpose == Purpose::Walk {
                    (*current).info = FTS_DP;
                }
                return null_mut();
            }
            if self.compare.is_some() && list.count > 1 {
                return self.sort(list.head, list.count);
            }
            list.head
        }
    }

    unsafe fn status_plan(&self, purpose: Purpose) -> StatusPlan {
        let cheap = self.has(FTS_NOSTAT) && self.has(FTS_PHYSICAL);
        let dots = if self.has(FTS_SEEDOT) { 0 } else { 2 };
        StatusPlan {
            left: match purpose {
                Purpose::Names => 0,
                // SAFETY: the current entry is the walk's.
                _ if cheap => i64::from(unsafe { (*self.current).link_count } as i32 - dots),
                _ => -1,
            },
            directories_only: cheap && purpose != Purpose::Names,
        }
    }

    unsafe fn go_back(&self, current: *mut Entry) -> bool {
        // SAFETY: the walk's own entries.
        unsafe {
            if (*current).level == ROOT_LEVEL {
                return self.leave_to(self.root_descriptor);
            }
            match self.enter((*current).parent, None, c"..".as_ptr()) {
                Ok(()) => true,
                Err(error) => {
                    errno::fail(error);
                    false
                }
            }
        }
    }

    /// Makes an entry of every record. Under `FTS_NOCHDIR` the path is that of the last one then.
    unsafe fn read_entries(
        &mut self,
        dir: *mut core::ffi::c_void,
        mut plan: StatusPlan,
        list: &mut List,
    ) -> Result<(), Errno> {
        // SAFETY: the walk's own entries and path, a listing of ours.
        unsafe {
            let current = self.current;
            let start = self.parent_bytes(current) + 1;
            let old_path = self.path;
            if self.has(FTS_NOCHDIR) {
                *self.path.add(start - 1) = b'/' as c_char;
            }
            let mut failed = Ok(());
            loop {
                let record = directory::readdir(dir);
                if record.is_null() {
                    break;
                }
                let (name, listed_as) = ((&raw const (*record).d_name).cast(), (*record).d_type);
                let name = CStr::from_ptr(name).to_bytes();
                if !self.has(FTS_SEEDOT) && matches!(name, b"." | b"..") {
                    continue;
                }
                let entry = match self.entry_of(name, start) {
                    Ok(entry) => entry,
                    Err(error) => {
                        failed = Err(error);
                        break;
                    }
                };
                list.push(entry);
                self.describe(entry, listed_as, start, &mut plan);
            }
            if old_path != self.path {
                self.adjust_paths(list.head);
            }
            failed
        }
    }

    unsafe fn entry_of(&mut self, name: &[u8], start: usize) -> Result<*mut Entry, Errno> {
        // SAFETY: the walk's own entries.
        unsafe {
            let entry = Entry::new(self, name)?;
            let end = start + name.len();
            if end >= self.path_bytes as usize
                && let Err(error) = self.grow_path(end + 1)
            {
                free(entry.cast());
                return Err(error);
            }
            if end >= usize::from(u16::MAX) {
                free(entry.cast());
                return Err(Errno::ENAMETOOLONG);
            }
            (*entry).path = self.path;
            (*entry).level = (*self.current).level + 1;
            (*entry).parent = self.current;
            (*entry).path_length = end as u16;
            Ok(entry)
        }
    }

    /// How the entry is reached, and what it is, as far as that is asked for.
    unsafe fn describe(
        &mut self,
        entry: *mut Entry,
        listed_as: u8,
        start: usize,
        plan: &mut StatusPlan,
    ) {
        // SAFETY: the entry is new, the path has room for its name.
        unsafe {
            let by_path = self.has(FTS_NOCHDIR);
            (*entry).access_path = if by_path {
                (*entry).path
            } else {
                Entry::name(entry)
            };
            let unasked = plan.directories_only && !matches!(listed_as, DT_DIR | DT_UNKNOWN);
            if plan.left == 0 || unasked {
                (*entry).info = FTS_NSOK;
                return;
            }
            if by_path {
                let bytes = usize::from((*entry).name_length) + 1;
                core::ptr::copy_nonoverlapping(Entry::name(entry), self.path.add(start), bytes);
            }
            (*entry).info = self.ask(entry, false);
            if plan.left > 0 && matches!((*entry).info, FTS_D | FTS_DC | FTS_DOT) {
                plan.left -= 1;
            }
        }
    }

    /// Points all entries to the path's new place.
    unsafe fn adjust_paths(&self, head: *mut Entry) {
        let adjust = |entry: *mut Entry| {
            // SAFETY: the walk's own entry, whose old pointers are only compared.
            unsafe {
                if (*entry).access_path != Entry::name(entry) {
                    let offset =
                        ((*entry).access_path as usize).wrapping_sub((*entry).path as usize);
                    (*entry).access_path = self.path.wrapping_add(offset);
                }
                (*entry).path = self.path;
            }
        };
        // SAFETY: lists of the walk; each entry leads to its parent.
        unsafe {
            let mut entry = self.child;
            while !entry.is_null() {
                adjust(entry);
                entry = (*entry).link;
            }
            entry = if head.is_null() { self.current } else { head };
            while !entry.is_null() && (*entry).level >= ROOT_LEVEL {
                adjust(entry);
                let next = (*entry).link;
                entry = if next.is_null() {
                    (*entry).parent
                } else {
                    next
                };
            }
        }
    }

    /// Sorts a list by the caller's function; as it is if there is no memory to sort in.
    pub unsafe fn sort(&mut self, head: *mut Entry, count: usize) -> *mut Entry {
        const SPARE: usize = 40;
        let Some(compare) = self.compare else {
            return head;
        };
        // SAFETY: the walk's own list and array.
        unsafe {
            if count > self.array_room as usize {
                let bytes = (count + SPARE) * size_of::<*mut Entry>();
                let larger = heap::realloc(self.array.cast(), bytes);
                if larger.is_null() {
                    free(self.array.cast());
                    (self.array, self.array_room) = (null_mut(), 0);
                    return head;
                }
                (self.array, self.array_room) = (larger.cast(), (count + SPARE) as c_int);
            }
            let mut entry = head;
            for number in 0..count {
                *self.array.add(number) = entry;
                entry = (*entry).link;
            }
            heap::qsort(self.array.cast(), count, size_of::<*mut Entry>(), compare);
            for number in 0..count {
                let next = match number + 1 {
                    after if after < count => *self.array.add(after),
                    _ => null_mut(),
                };
                (**self.array.add(number)).link = next;
            }
            *self.array
        }
    }
}

/// Entries in the order of their directory.
pub struct List {
    pub head: *mut Entry,
    tail: *mut Entry,
    pub count: usize,
}

impl List {
    pub const fn new() -> Self {
        Self {
            head: null_mut(),
            tail: null_mut(),
            count: 0,
        }
    }

    /// # Safety
    /// `entry` is in no list.
    pub unsafe fn push(&mut self, entry: *mut Entry) {
        // SAFETY: passed on to the caller.
        unsafe {
            (*entry).link = null_mut();
            if self.tail.is_null() {
                self.head = entry;
            } else {
                (*self.tail).link = entry;
            }
        }
        self.tail = entry;
        self.count += 1;
    }
}
