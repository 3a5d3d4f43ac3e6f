//! opendir(3) and all that takes a `DIR`, scandir(3), getdents64(2).

use super::{finish, look_again};
use crate::dir_stream::{self, Stream};
use crate::fd_table::{self, Known};
use crate::listing::{self, Record};
use crate::locate::{User, Where, is_bad, locate};
use crate::stats::{Family, Outcome, count};
use crate::world::{Entry, World};
use crate::{errno, mount_points, next, served, sys, world};
use core::ffi::{c_char, c_int, c_long, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Options, PathBuffer};

type Dir = *mut c_void;
type Filter = Option<unsafe extern "C" fn(*const Record) -> c_int>;
type Compare = Option<unsafe extern "C" fn(*const c_void, *const c_void) -> c_int>;

unsafe extern "C" {
    fn malloc(bytes: usize) -> *mut c_void;
    fn realloc(memory: *mut c_void, bytes: usize) -> *mut c_void;
    fn free(memory: *mut c_void);
    fn qsort(
        base: *mut c_void,
        count: usize,
        size: usize,
        compare: unsafe extern "C" fn(*const c_void, *const c_void) -> c_int,
    );
}

const OPEN_DIRECTORY: u32 = nr::O_RDONLY | nr::O_DIRECTORY | nr::O_CLOEXEC | nr::O_NONBLOCK;

fn open_served(world: &'static World, entry: Entry) -> Result<Dir, Errno> {
    let descriptor = served::open(world, entry, OPEN_DIRECTORY as c_int, &User::effective())?;
    let Some(stream) = dir_stream::open(descriptor, entry, 0) else {
        sys::close(descriptor);
        return Err(Errno::ENOMEM);
    };
    fd_table::set(descriptor, Known::Served(entry));
    Ok(stream.as_ptr())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendir(path: *const c_char) -> Dir {
    let pass = |path: *const c_char| {
        // SAFETY: see the module above.
        let dir = next::opendir().map_or(core::ptr::null_mut(), |real| unsafe { real(path) });
        if !dir.is_null()
            && let Some(dirfd) = next::dirfd()
        {
            // SAFETY: a stream of the C library's own, and the path that it accepted.
            let descriptor = unsafe { dirfd(dir) };
            // SAFETY: as above.
            unsafe { super::note_passed(nr::AT_FDCWD, path, descriptor) };
            if let Some(world) = world::get() {
                mount_points::begin(world, dir, descriptor);
            }
        }
        dir
    };
    let mut scratch = PathBuffer::new();
    // SAFETY: the caller's C string.
    let place = unsafe { locate(nr::AT_FDCWD, path, Options::FOLLOW, &mut scratch) };
    let answer = match place {
        Where::Served(world, entry) => open_served(world, entry),
        Where::Absent { .. } => Err(Errno::ENOENT),
        Where::Failed(error) => Err(error),
        Where::KernelAt(path) => {
            count(Family::Directory, Outcome::PassedRewritten);
            return pass(path.as_ptr());
        }
        Where::Kernel => {
            count(Family::Directory, Outcome::PassedOutside);
            let dir = pass(path);
            // SAFETY: the caller's C string.
            match unsafe {
                look_again(
                    dir.is_null(),
                    Family::Directory,
                    nr::AT_FDCWD,
                    path,
                    Options::FOLLOW,
                )
            } {
                Some((world, entry)) => open_served(world, entry),
                None => return dir,
            }
        }
    };
    match answer {
        Ok(dir) => {
            count(Family::Directory, Outcome::Served);
            dir
        }
        Err(error) => {
            count(Family::Directory, Outcome::Failed);
            errno::fail_null(error)
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdopendir(descriptor: c_int) -> Dir {
    let served = world::get().and_then(|world| {
        let entry = fd_table::served(descriptor)?;
        served::vnode(world, entry)
            .is_ok_and(|vnode| vnode.is_dir())
            .then_some(entry)
    });
    let Some(entry) = served else {
        // SAFETY: see the module above.
        let dir =
            next::fdopendir().map_or(core::ptr::null_mut(), |real| unsafe { real(descriptor) });
        if !dir.is_null()
            && let Some(world) = world::get()
        {
            mount_points::begin(world, dir, descriptor);
        }
        return dir;
    };
    const SEEK_CUR: c_int = 1;
    // O_PATH: a stream, but it cannot be listed.
    let position = sys::result(sys::lseek(descriptor, 0, SEEK_CUR));
    let position = position.map_or(dir_stream::UNREADABLE, |position| position as u64);
    const FD_CLOEXEC: usize = 1;
    let arguments = [
        descriptor as usize,
        nr::F_SETFD as usize,
        FD_CLOEXEC,
        0,
        0,
        0,
    ];
    // SAFETY: no pointers. The C library marks it as well.
    unsafe { sys::syscall6(nr::__NR_fcntl as usize, arguments) };
    count(Family::Directory, Outcome::Served);
    dir_stream::open(descriptor, entry, position)
        .map_or_else(|| errno::fail_null(Errno::ENOMEM), Stream::as_ptr)
}

unsafe fn passed_readdir(dir: Dir) -> *mut Record {
    // SAFETY: see the module above.
    next::readdir().map_or(core::ptr::null_mut(), |real| unsafe { real(dir) }.cast())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn readdir(dir: Dir) -> *mut Record {
    match (dir_stream::find(dir), world::get()) {
        (Some(stream), _) if stream.position() == dir_stream::UNREADABLE => {
            errno::fail_null(Errno::EBADF)
        }
        (Some(stream), Some(world)) => stream.next(world).unwrap_or(core::ptr::null_mut()),
        (None, Some(world)) => {
            // SAFETY: see the module above.
            unsafe {
                let record = passed_readdir(dir);
                mount_points::find(dir).map_or(record, |listing| listing.complete(world, record))
            }
        }
        // SAFETY: see the module above.
        _ => unsafe { passed_readdir(dir) },
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn readdir64(dir: Dir) -> *mut Record {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { readdir(dir) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn readdir_r(
    dir: Dir,
    record: *mut Record,
    answer: *mut *mut Record,
) -> c_int {
    let (Some(stream), Some(world)) = (dir_stream::find(dir), world::get()) else {
        // SAFETY: see the module above.
        return next::readdir_r().map_or(Errno::ENOSYS.0, |real| unsafe {
            real(dir, record.cast(), answer.cast())
        });
    };
    // SAFETY: the caller's buffers; the record is as long as it says.
    unsafe {
        match stream.next(world) {
            Some(filled) => {
                let bytes = usize::from((*filled).d_reclen);
                core::ptr::copy_nonoverlapping(filled.cast::<u8>(), record.cast::<u8>(), bytes);
                *answer = record;
            }
            None => *answer = core::ptr::null_mut(),
        }
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn readdir64_r(
    dir: Dir,
    record: *mut Record,
    answer: *mut *mut Record,
) -> c_int {
    // SAFETY: the same structure on 64-bit machines.
    unsafe { readdir_r(dir, record, answer) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn closedir(dir: Dir) -> c_int {
    let Some(stream) = dir_stream::find(dir) else {
        let Some(real) = next::closedir() else {
            return errno::fail(Errno::ENOSYS);
        };
        // SAFETY: see the module above.
        return unsafe {
            if let Some(dirfd) = next::dirfd() {
                fd_table::clear(dirfd(dir));
            }
            if let Some(listing) = mount_points::find(dir) {
                listing.end();
            }
            real(dir)
        };
    };
    let descriptor = stream.descriptor();
    fd_table::clear(descriptor);
    stream.free();
    errno::from_kernel(sys::close(descriptor))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirfd(dir: Dir) -> c_int {
    match dir_stream::find(dir) {
        Some(stream) => stream.descriptor(),
        // SAFETY: see the module above.
        None => {
            next::dirfd().map_or_else(
                || errno::fail(Errno::ENOSYS),
                |real| {
                    // SAFETY: see the module above.
                    unsafe { real(dir) }
                },
            )
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rewinddir(dir: Dir) {
    match dir_stream::find(dir) {
        Some(stream) => stream.seek(0),
        None => {
            if let Some(listing) = mount_points::find(dir) {
                listing.rewind();
            }
            if let Some(real) = next::rewinddir() {
                // SAFETY: see the module above.
                unsafe { real(dir) };
            }
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn telldir(dir: Dir) -> c_long {
    match dir_stream::find(dir) {
        Some(stream) => stream.position() as c_long,
        // SAFETY: see the module above.
        None => next::telldir().map_or(-1, |real| unsafe { real(dir) }),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn seekdir(dir: Dir, position: c_long) {
    match dir_stream::find(dir) {
        Some(stream) => stream.seek(position.max(0) as u64),
        None => {
            if let Some(real) = next::seekdir() {
                // SAFETY: see the module above.
                unsafe { real(dir, position) };
            }
        }
    }
}

/// getdents64(2) of a served directory, or `None` if it is the kernel's. The
/// position is the kernel's own file offset, so duplicates and forks share it.
pub(super) unsafe fn getdents64_served(
    descriptor: c_int,
    buffer: *mut c_void,
    bytes: usize,
) -> Option<Result<usize, Errno>> {
    let world = world::get()?;
    let entry = fd_table::served(descriptor)?;
    let answer = (|| {
        const SEEK_SET: c_int = 0;
        const SEEK_CUR: c_int = 1;
        let position = sys::result(sys::lseek(descriptor, 0, SEEK_CUR))? as u64;
        if !served::vnode(world, entry)?.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if is_bad(buffer) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: the caller's buffer; the kernel counts in an unsigned int as well.
        let out = unsafe {
            core::slice::from_raw_parts_mut(buffer.cast::<u8>(), bytes.min(u32::MAX as usize))
        };
        let (used, next) =
            listing::fill_buffer(world, entry, position, out).ok_or(Errno::EINVAL)?;
        sys::result(sys::lseek(descriptor, next as i64, SEEK_SET))?;
        Ok(used)
    })();
    Some(answer)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn getdents64(descriptor: c_int, buffer: *mut c_void, bytes: usize) -> isize {
    // SAFETY: see the module above.
    match unsafe { getdents64_served(descriptor, buffer, bytes) } {
        Some(Ok(used)) => {
            count(Family::Directory, Outcome::Served);
            used as isize
        }
        Some(Err(error)) => finish(Family::Directory, Err(error)) as isize,
        None => match next::getdents64() {
            // SAFETY: see the module above.
            Some(real) => unsafe { real(descriptor, buffer, bytes) },
            None => {
                let arguments = [descriptor as usize, buffer as usize, bytes, 0, 0, 0];
                // SAFETY: the kernel checks its pointers.
                errno::from_kernel(unsafe {
                    sys::syscall6(nr::__NR_getdents64 as usize, arguments)
                }) as isize
            }
        },
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn getdirentries64(
    descriptor: c_int,
    buffer: *mut c_void,
    bytes: usize,
    base: *mut i64,
) -> isize {
    const SEEK_CUR: c_int = 1;
    let start = sys::lseek(descriptor, 0, SEEK_CUR);
    // SAFETY: see the module above.
    unsafe {
        let used = getdents64(descriptor, buffer, bytes);
        if used >= 0 && !is_bad(base) {
            *base = start as i64;
        }
        used
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn getdirentries(
    descriptor: c_int,
    buffer: *mut c_void,
    bytes: usize,
    base: *mut i64,
) -> isize {
    // SAFETY: the same on 64-bit machines.
    unsafe { getdirentries64(descriptor, buffer, bytes, base) }
}

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
