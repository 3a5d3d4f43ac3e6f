//! The walk itself: open, the next entry, children, close.

use super::build::{List, Purpose};
use super::layout::*;
use crate::heap::{self, Compare, free};
use crate::interpose::{cwd, fd, open, walk};
use crate::{errno, locate};
use core::ffi::{CStr, c_char, c_int};
use core::ptr::null_mut;
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;

impl Fts {
    /// fts_open(3).
    pub unsafe fn open(
        roots: *const *const c_char,
        options: c_int,
        compare: Option<Compare>,
    ) -> Result<*mut Self, Errno> {
        if options & !FTS_OPTIONMASK != 0 {
            return Err(Errno::EINVAL);
        }
        let stream = heap::zeroed::<Self>(0)?;
        // SAFETY: fresh memory; the caller's strings.
        unsafe {
            let walk = &mut *stream;
            walk.compare = compare;
            walk.options = options;
            if walk.has(FTS_LOGICAL) {
                walk.options |= FTS_NOCHDIR | CLOSER;
            }
            if let Err(error) = walk.add_roots(roots) {
                if let Some(first) = walk.current.as_ref() {
                    free_list(first.link);
                    free(walk.current.cast());
                }
                free(walk.path.cast());
                free(stream.cast());
                return Err(error);
            }
            if !walk.has(FTS_NOCHDIR) {
                walk.root_descriptor = open::open(c".".as_ptr(), nr::O_RDONLY as c_int, 0);
                if walk.root_descriptor < 0 {
                    walk.options |= FTS_NOCHDIR;
                }
            }
        }
        Ok(stream)
    }

    /// Makes the current entry one before all roots.
    unsafe fn add_roots(&mut self, roots: *const *const c_char) -> Result<(), Errno> {
        // SAFETY: the caller's array, which ends with NULL.
        unsafe {
            let mut longest = nr::PATH_MAX as usize;
            let mut root = roots;
            while !(*root).is_null() {
                longest = longest.max(CStr::from_ptr(*root).count_bytes() + 1);
                root = root.add(1);
            }
            self.grow_path(longest)?;
            // In front of the roots from the start, so that an error finds them all.
            self.current = Entry::new(self, b"")?;
            (*self.current).info = FTS_INIT;
            (*self.current).level = ROOT_LEVEL;
            if (*roots).is_null() {
                return Ok(());
            }
            let parent = Entry::new(self, b"")?;
            (*parent).level = ROOT_PARENT_LEVEL;
            (*self.current).parent = parent;
            let mut list = List::new();
            root = roots;
            while !(*root).is_null() {
                match self.new_root(*root, parent) {
                    Ok(entry) => list.push(entry),
                    Err(error) => {
                        (*self.current).link = list.head;
                        free(parent.cast());
                        return Err(error);
                    }
                }
                root = root.add(1);
            }
            (*self.current).link = match self.compare {
                // As glibc does it: sorted from the last to the first.
                Some(_) => {
                    let reversed = reverse(list.head);
                    if list.count > 1 {
                        self.sort(reversed, list.count)
                    } else {
                        reversed
                    }
                }
                None => list.head,
            };
        }
        Ok(())
    }

    unsafe fn new_root(
        &mut self,
        path: *const c_char,
        parent: *mut Entry,
    ) -> Result<*mut Entry, Errno> {
        // SAFETY: the caller's string; an entry of the walk.
        unsafe {
            let name = locate::bytes(path).unwrap_or_default();
            if name.is_empty() {
                return Err(Errno::ENOENT);
            }
            let follow = self.has(FTS_COMFOLLOW);
            if !self.has(CLOSER) && !walk::is_apart(path, follow) {
                self.options |= CLOSER;
            }
            let entry = Entry::new(self, name)?;
            (*entry).level = ROOT_LEVEL;
            (*entry).parent = parent;
            (*entry).access_path = Entry::name(entry);
            (*entry).info = self.ask(entry, follow);
            if (*entry).info == FTS_DOT {
                (*entry).info = FTS_D;
            }
            Ok(entry)
        }
    }

    /// fts_close(3).
    pub unsafe fn close(stream: *mut Self) -> c_int {
        // SAFETY: the caller's walk, which ends here.
        unsafe {
            let walk = &mut *stream;
            let mut entry = walk.current;
            while !entry.is_null() {
                let is_last = (*entry).level < ROOT_LEVEL;
                let next = match (*entry).link {
                    link if link.is_null() => (*entry).parent,
                    link => link,
                };
                free(entry.cast());
                entry = if is_last { null_mut() } else { next };
            }
            free_list(walk.child);
            free(walk.array.cast());
            free(walk.path.cast());
            let mut error = None;
            if !walk.has(FTS_NOCHDIR) {
                if cwd::fchdir(walk.root_descriptor) != 0 {
                    error = Some(errno::last());
                }
                fd::close(walk.root_descriptor);
            }
            free(stream.cast());
            error.map_or(0, errno::fail)
        }
    }

    /// fts_read(3).
    pub unsafe fn read(&mut self) -> *mut Entry {
        if self.current.is_null() || self.has(FTS_STOP) {
            return null_mut();
        }
        // SAFETY: the walk's own entries.
        unsafe {
            let entry = self.current;
            let instruction = (*entry).instruction;
            (*entry).instruction = FTS_NOINSTR;
            if instruction == FTS_AGAIN {
                (*entry).info = self.ask(entry, false);
                return entry;
            }
            if instruction == FTS_FOLLOW && matches!((*entry).info, FTS_SL | FTS_SLNONE) {
                self.follow(entry);
                return entry;
            }
            if (*entry).info == FTS_D {
                return self.descend(entry, instruction);
            }
            self.go_on(entry)
        }
    }

    /// Makes of a symlink what it points to; a directory is left by a descriptor then.
    unsafe fn follow(&mut self, entry: *mut Entry) {
        // SAFETY: the walk's own entry.
        unsafe {
            self.options |= CLOSER;
            (*entry).info = self.ask(entry, true);
            if (*entry).info != FTS_D || self.has(FTS_NOCHDIR) {
                return;
            }
            let here = open::open(c".".as_ptr(), nr::O_RDONLY as c_int, 0);
            if here < 0 {
                (*entry).error = errno::last().0;
                (*entry).info = FTS_ERR;
            } else {
                (*entry).link_descriptor = here;
                (*entry).flags |= FTS_SYMFOLLOW;
            }
        }
    }

    /// From a directory before what is in it to the first entry, or to the directory after it.
    unsafe fn descend(&mut self, entry: *mut Entry, instruction: u16) -> *mut Entry {
        // SAFETY: the walk's own entries.
        unsafe {
            let crosses = self.has(FTS_XDEV) && (*entry).device != self.device;
            if instruction == FTS_SKIP || crosses {
                if (*entry).flags & FTS_SYMFOLLOW != 0 {
                    fd::close((*entry).link_descriptor);
                }
                self.drop_child();
                (*entry).info = FTS_DP;
                return entry;
            }
            if !self.child.is_null() && self.has(FTS_NAMEONLY) {
                self.options &= !FTS_NAMEONLY;
                self.drop_child();
            }
            if self.child.is_null() {
                self.child = self.build(Purpose::Walk);
                if self.child.is_null() {
                    return if self.has(FTS_STOP) {
                        null_mut()
                    } else {
                        entry
                    };
                }
            } else if let Err(error) = self.enter(entry, None, (*entry).access_path) {
                errno::fail(error);
                (*entry).error = error.0;
                (*entry).flags |= FTS_DONTCHDIR;
                let mut child = self.child;
                while !child.is_null() {
                    (*child).access_path = (*entry).access_path;
                    child = (*child).link;
                }
            }
            let first = self.child;
            self.child = null_mut();
            self.current = first;
            self.name(first)
        }
    }

    unsafe fn drop_child(&mut self) {
        // SAFETY: the list is the walk's alone.
        unsafe { free_list(self.child) };
        self.child = null_mut();
    }

    /// Writes the path of a child of the directory whose path is there.
    unsafe fn name(&mut self, entry: *mut Entry) -> *mut Entry {
        // SAFETY: the path has had room for the name since it was read.
        unsafe {
            let end = self.path.add(self.parent_bytes((*entry).parent));
            *end = b'/' as c_char;
            let bytes = usize::from((*entry).name_length) + 1;
            core::ptr::copy(Entry::name(entry), end.add(1), bytes);
        }
        entry
    }

    /// To the next entry beside this one, or to the directory above.
    unsafe fn go_on(&mut self, mut entry: *mut Entry) -> *mut Entry {
        // SAFETY: the walk's own entries.
        unsafe {
            loop {
                let last = entry;
                entry = (*last).link;
                if entry.is_null() {
                    return self.ascend(last);
                }
                self.current = entry;
                free(last.cast());
                if (*entry).level == ROOT_LEVEL {
                    if !self.leave_to(self.root_descriptor) {
                        self.options |= FTS_STOP;
                        return null_mut();
                    }
                    self.load(entry);
                    return entry;
                }
                match (*entry).instruction {
                    FTS_SKIP => {}
                    FTS_FOLLOW => {
                        self.follow(entry);
                        (*entry).instruction = FTS_NOINSTR;
                        return self.name(entry);
                    }
                    _ => return self.name(entry),
                }
            }
        }
    }

    unsafe fn ascend(&mut self, last: *mut Entry) -> *mut Entry {
        // SAFETY: the walk's own entries.
        unsafe {
            let entry = (*last).parent;
            self.current = entry;
            free(last.cast());
            if entry.is_null() || (*entry).level == ROOT_PARENT_LEVEL {
                // The end is told from an error by it.
                free(entry.cast());
                self.current = null_mut();
                errno::restore(Errno(0));
                return null_mut();
            }
            *self.path.add(usize::from((*entry).path_length)) = 0;
            let back = if (*entry).level == ROOT_LEVEL {
                self.leave_to(self.root_descriptor)
            } else if (*entry).flags & FTS_SYMFOLLOW != 0 {
                let back = self.leave_to((*entry).link_descriptor);
                let before = errno::last();
                fd::close((*entry).link_descriptor);
                errno::restore(before);
                back
            } else if (*entry).flags & FTS_DONTCHDIR != 0 {
                true
            } else {
                match self.enter((*entry).parent, None, c"..".as_ptr()) {
                    Ok(()) => true,
                    Err(error) => {
                        errno::fail(error);
                        false
                    }
                }
            };
            if !back {
                self.options |= FTS_STOP;
                return null_mut();
            }
            (*entry).info = if (*entry).error != 0 { FTS_ERR } else { FTS_DP };
            entry
        }
    }

    /// Makes the walk's path that of a root, and the root's name its last component.
    unsafe fn load(&mut self, root: *mut Entry) {
        // SAFETY: the path had room for all roots from the start.
        unsafe {
            let name = Entry::name(root);
            let bytes = usize::from((*root).name_length);
            (*root).path_length = bytes as u16;
            core::ptr::copy(name, self.path, bytes + 1);
            let text = CStr::from_ptr(name).to_bytes();
            let slash = text.iter().rposition(|byte| *byte == b'/');
            if let Some(slash) = slash.filter(|slash| *slash != 0 || bytes > 1) {
                let rest = bytes - slash - 1;
                core::ptr::copy(name.add(slash + 1), name, rest + 1);
                (*root).name_length = rest as u16;
            }
            (*root).path = self.path;
            (*root).access_path = self.path;
            self.device = (*root).device;
        }
    }

    /// fts_children(3).
    pub unsafe fn children(&mut self, instruction: c_int) -> *mut Entry {
        if instruction != 0 && instruction != FTS_NAMEONLY {
            return errno::fail_null(Errno::EINVAL);
        }
        let entry = self.current;
        // An empty directory is told from an error by it.
        errno::restore(Errno(0));
        if entry.is_null() || self.has(FTS_STOP) {
            return null_mut();
        }
        // SAFETY: the walk's own entries.
        unsafe {
            if (*entry).info == FTS_INIT {
                return (*entry).link;
            }
            if (*entry).info != FTS_D {
                return null_mut();
            }
            self.drop_child();
            let purpose = if instruction == FTS_NAMEONLY {
                self.options |= FTS_NAMEONLY;
                Purpose::Names
            } else {
                Purpose::Children
            };
            let is_found_from_here = (*entry).level != ROOT_LEVEL
                || *(*entry).access_path == b'/' as c_char
                || self.has(FTS_NOCHDIR);
            if is_found_from_here {
                self.child = self.build(purpose);
                return self.child;
            }
            // A root that is relative to where the walk began: come back to there.
            let here = open::open(c".".as_ptr(), nr::O_RDONLY as c_int, 0);
            if here < 0 {
                return null_mut();
            }
            self.child = self.build(purpose);
            let before = errno::last();
            let back = cwd::fchdir(here) == 0;
            if back {
                errno::restore(before);
            }
            fd::close(here);
            if back { self.child } else { null_mut() }
        }
    }
}

unsafe fn reverse(mut entry: *mut Entry) -> *mut Entry {
    let mut reversed = null_mut();
    // SAFETY: a list of the walk's own.
    unsafe {
        while !entry.is_null() {
            let next = (*entry).link;
            (*entry).link = reversed;
            reversed = entry;
            entry = next;
        }
    }
    reversed
}
