//! scandir(3) and its twins: the whole listing at once, in memory of the C library.

use super::directory::{closedir, opendir, readdir};
use crate::heap::{self, free, malloc, qsort, realloc};
use crate::listing::{self, Record};
use crate::locate::User;
use crate::stats::Family;
use crate::world::{Entry, World};
use crate::{errno, next, served};
use core::ffi::{c_char, c_int, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::Options;

type Filter = Option<unsafe extern "C" fn(*const Record) -> c_int>;
type Compare = Option<heap::Compare>;

/// scandir(3) of a served directory.
unsafe fn scan_served(
    world: &'static World,
    directory: Entry,
    names: *mut *mut *mut Record,
    filter: Filter,
    compare: Compare,
) -> Result<c_int, Errno> {
    let vnode = served::vnode(world, directory)?;
    if !vnode.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    if !served::may_read(world, directory, &vnode, &User::effective())? {
        return Err(Errno::EACCES);
    }
    let mut position = 0;
    let mut record = Record::EMPTY;
    let next_record = || {
        let filled = listing::fill_record(world, directory, position, &mut record);
        position += 1;
        filled.then_some(&raw const record)
    };
    // SAFETY: the caller's functions and buffer.
    unsafe { scan(next_record, names, filter, compare) }
}

/// scandir(3) of a plain directory with mount points in it; `None` if it is none.
unsafe fn scan_above_mount(
    path: *const c_char,
    names: *mut *mut *mut Record,
    filter: Filter,
    compare: Compare,
) -> Option<c_int> {
    // SAFETY: see the module above.
    unsafe {
        let base = nr::AT_FDCWD;
        super::ancestor(base, path)?;
        let dir = opendir(path);
        if dir.is_null() {
            return Some(-1);
        }
        let scanned = scan(
            || Some(readdir(dir).cast_const()).filter(|record| !record.is_null()),
            names,
            filter,
            compare,
        );
        closedir(dir);
        Some(scanned.unwrap_or_else(errno::fail))
    }
}

/// Records in memory of the C library, as scandir(3) wants them.
unsafe fn scan(
    mut next_record: impl FnMut() -> Option<*const Record>,
    names: *mut *mut *mut Record,
    filter: Filter,
    compare: Compare,
) -> Result<c_int, Errno> {
    let mut list: *mut *mut Record = core::ptr::null_mut();
    let (mut used, mut room) = (0usize, 0usize);
    // SAFETY: memory of the C library, sized before it is written; records are as
    // long as they say.
    unsafe {
        let out_of_memory = |list: *mut *mut Record, used: usize| {
            for number in 0..used {
                free((*list.add(number)).cast());
            }
            free(list.cast());
            Err(Errno::ENOMEM)
        };
        while let Some(record) = next_record() {
            if filter.is_some_and(|filter| filter(record) == 0) {
                continue;
            }
            if used == room {
                room = (room * 2).max(16);
                let larger = realloc(list.cast(), room * size_of::<*mut Record>());
                if larger.is_null() {
                    return out_of_memory(list, used);
                }
                list = larger.cast();
            }
            let bytes = usize::from((*record).d_reclen);
            let copy = malloc(bytes).cast::<Record>();
            if copy.is_null() {
                return out_of_memory(list, used);
            }
            core::ptr::copy_nonoverlapping(record.cast::<u8>(), copy.cast::<u8>(), bytes);
            list.add(used).write(copy);
            used += 1;
        }
        if list.is_null() {
            // Callers free what they get even if it is empty.
            list = malloc(size_of::<*mut Record>()).cast();
        }
        if let Some(compare) = compare
            && used > 1
        {
            qsort(list.cast(), used, size_of::<*mut Record>(), compare);
        }
        *names = list;
    }
    Ok(used as c_int)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn scandirat(
    dirfd: c_int,
    path: *const c_char,
    names: *mut *mut *mut Record,
    filter: Filter,
    compare: Compare,
) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        super::reading(
            Family::Directory,
            dirfd,
            path,
            Options::FOLLOW,
            |world, entry| scan_served(world, entry, names, filter, compare),
            |dirfd, path| {
                if dirfd == nr::AT_FDCWD
                    && let Some(count) = scan_above_mount(path, names, filter, compare)
                {
                    return count;
                }
                let filter = filter.map_or(core::ptr::null(), |filter| filter as *const c_void);
                let compare = compare.map_or(core::ptr::null(), |compare| compare as *const c_void);
                match (next::scandirat(), next::scandir()) {
                    (Some(real), _) => real(dirfd, path, names.cast(), filter, compare),
                    (None, Some(real)) if dirfd == nr::AT_FDCWD => {
                        real(path, names.cast(), filter, compare)
                    }
                    _ => errno::fail(Errno::ENOSYS),
                }
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn scandirat64(
    dirfd: c_int,
    path: *const c_char,
    names: *mut *mut *mut Record,
    filter: Filter,
    compare: Compare,
) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { scandirat(dirfd, path, names, filter, compare) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn scandir(
    path: *const c_char,
    names: *mut *mut *mut Record,
    filter: Filter,
    compare: Compare,
) -> c_int {
    // SAFETY: see the module above.
    unsafe { scandirat(nr::AT_FDCWD, path, names, filter, compare) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn scandir64(
    path: *const c_char,
    names: *mut *mut *mut Record,
    filter: Filter,
    compare: Compare,
) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { scandir(path, names, filter, compare) }
}
