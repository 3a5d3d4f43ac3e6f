//! chdir(2), fchdir(2), chroot(2), getcwd(3) and their twins. The kernel stands in
//! the view tree's directory, the program sees the virtual path.

use super::{finish, link, look_again};
use crate::cwd::{self, Cwd};
use crate::fd_table::{self, Known};
use crate::locate::{User, Where, is_bad, locate};
use crate::served::{self, report_missing};
use crate::stats::{Family, Outcome, count};
use crate::world::{Entry, World};
use crate::{credentials, errno, next, sys, world};
use core::ffi::{c_char, c_int};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{EXECUTE, Options, PathBuffer, may_access};
use velo_core::vnode::VnodeEntry;

fn raw_chdir(path: *const c_char) -> c_int {
    // SAFETY: the kernel checks its pointer.
    errno::from_kernel(unsafe {
        sys::syscall6(nr::__NR_chdir as usize, [path as usize, 0, 0, 0, 0, 0])
    })
}

/// Whether the caller may stand in `entry`.
fn may_enter(world: &'static World, entry: Entry) -> Result<VnodeEntry, Errno> {
    let vnode = served::vnode(world, entry)?;
    if !vnode.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    if vnode.mode & 0o111 != 0o111
        && !may_access(
            &served::metadata(world, entry)?,
            EXECUTE,
            &User::effective(),
        )
    {
        return Err(Errno::EACCES);
    }
    Ok(vnode)
}

fn enter(world: &'static World, entry: Entry) -> Result<c_int, Errno> {
    let vnode = may_enter(world, entry)?;
    let answer = served::with_kernel_path(world, entry, &vnode, |path| {
        // SAFETY: our own C string.
        sys::result(unsafe {
            sys::syscall6(nr::__NR_chdir as usize, [path as usize, 0, 0, 0, 0, 0])
        })
    })?;
    match answer {
        Ok(_) => {
            cwd::set_served(entry);
            Ok(0)
        }
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => {
            report_missing(world, entry, &vnode);
            Err(Errno::EIO)
        }
        Err(error) => Err(error),
    }
}

/// chdir(2); `pass` changes to what is the kernel's.
pub(super) unsafe fn chdir_with(
    path: *const c_char,
    pass: impl Fn(*const c_char) -> c_int,
) -> c_int {
    let pass = |path| {
        let answer = pass(path);
        if answer == 0 {
            cwd::set_unknown();
        }
        answer
    };
    let mut scratch = PathBuffer::new();
    // SAFETY: the caller's C string.
    let place = unsafe { locate(nr::AT_FDCWD, path, Options::FOLLOW, &mut scratch) };
    match place {
        Where::Served(world, entry) => finish(Family::Cwd, enter(world, entry)),
        Where::Absent { .. } => finish(Family::Cwd, Err(Errno::ENOENT)),
        Where::Failed(error) => finish(Family::Cwd, Err(error)),
        Where::KernelAt(path) => {
            count(Family::Cwd, Outcome::PassedRewritten);
            pass(path.as_ptr())
        }
        Where::Kernel => {
            count(Family::Cwd, Outcome::PassedOutside);
            let before = errno::last();
            let answer = pass(path);
            let failed = (answer == -1).then_some(before);
            let (family, here) = (Family::Cwd, nr::AT_FDCWD);
            let again = |place: Where<'_>| match place {
                Where::Served(world, entry) => enter(world, entry).unwrap_or_else(errno::fail),
                Where::KernelAt(path) => pass(path.as_ptr()),
                Where::Absent { .. } | Where::Kernel => errno::fail(Errno::ENOENT),
                Where::Failed(error) => errno::fail(error),
            };
            // SAFETY: the caller's C string.
            unsafe { look_again(failed, family, here, path, Options::FOLLOW, again) }
                .unwrap_or(answer)
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn chdir(path: *const c_char) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        chdir_with(path, |path| {
            next::chdir().map_or_else(|| raw_chdir(path), |real| real(path))
        })
    }
}

/// fchdir(2); the permission of a served directory is its vnode's.
pub(super) fn fchdir_with(descriptor: c_int, pass: impl FnOnce() -> c_int) -> c_int {
    let served = world::get().and_then(|world| {
        // What is known has to do under a filter, which may not allow to ask.
        let known = match fd_table::get(descriptor) {
            Known::Served(entry) if credentials::under_filter() => Some(entry),
            _ => fd_table::served(descriptor),
        };
        Some((world, known?))
    });
    match served {
        Some((world, entry)) => {
            let entered = may_enter(world, entry).and_then(|_| {
                let arguments = [descriptor as usize, 0, 0, 0, 0, 0];
                // SAFETY: no pointers.
                sys::result(unsafe { sys::syscall6(nr::__NR_fchdir as usize, arguments) })
            });
            if entered.is_ok() {
                cwd::set_served(entry);
            }
            finish(Family::Cwd, entered.map(|_| 0))
        }
        None => {
            count(Family::Cwd, Outcome::PassedOutside);
            let answer = pass();
            if answer == 0 {
                cwd::set_unknown();
            }
            answer
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fchdir(descriptor: c_int) -> c_int {
    fchdir_with(descriptor, || match next::fchdir() {
        // SAFETY: see the module above.
        Some(real) => unsafe { real(descriptor) },
        // SAFETY: no pointers.
        None => errno::from_kernel(unsafe {
            sys::syscall6(
                nr::__NR_fchdir as usize,
                [descriptor as usize, 0, 0, 0, 0, 0],
            )
        }),
    })
}

/// A new root makes every absolute path mean something else, the store's too, so nothing
/// is served any more. The root that the process has already changes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chroot(path: *const c_char) -> c_int {
    let Some(real) = next::chroot() else {
        return errno::fail(Errno::ENOSYS);
    };
    let before = sys::root_identity();
    let mut scratch = PathBuffer::new();
    // SAFETY: see the module above.
    let answer = unsafe {
        match locate(nr::AT_FDCWD, path, Options::FOLLOW, &mut scratch) {
            Where::Served(world, entry) => match served::view_path(world, entry) {
                Ok(physical) => real(physical.as_ptr()),
                Err(error) => errno::fail(error),
            },
            Where::KernelAt(path) => real(path.as_ptr()),
            Where::Failed(error) => errno::fail(error),
            Where::Absent { .. } => errno::fail(Errno::ENOENT),
            Where::Kernel => real(path),
        }
    };
    if answer == 0 && (before.is_err() || before != sys::root_identity()) {
        world::retire();
    }
    answer
}

/// The virtual path of the working directory, if it is served.
pub(super) fn served_cwd(out: &mut [u8]) -> Option<usize> {
    let world = world::get()?;
    match cwd::get(world, &mut cwd::Buffer::new())? {
        Cwd::Served(entry) => world.virtual_path(entry, out),
        _ => None,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn getcwd(buffer: *mut c_char, size: usize) -> *mut c_char {
    let mut path = [0; nr::PATH_MAX as usize];
    let Some(path) = served_cwd(&mut path).and_then(|bytes| path.get(..bytes)) else {
        count(Family::Cwd, Outcome::PassedOutside);
        // SAFETY: see the module above.
        return next::getcwd().map_or(core::ptr::null_mut(), |real| unsafe { real(buffer, size) });
    };
    count(Family::Cwd, Outcome::Served);
    // SAFETY: the caller's buffer of `size` bytes, or memory of the C library
    // (getcwd(3): a null buffer with size 0 is as large as it needs to be).
    unsafe {
        if buffer.is_null() {
            if size != 0 && size <= path.len() {
                return errno::fail_null(Errno::ERANGE);
            }
            return link::give_string(path, buffer);
        }
        if size == 0 {
            return errno::fail_null(Errno::EINVAL);
        }
        if size <= path.len() {
            return errno::fail_null(Errno::ERANGE);
        }
        if is_bad(buffer) {
            return errno::fail_null(Errno::EFAULT);
        }
        link::give_string(path, buffer)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __getcwd_chk(
    buffer: *mut c_char,
    size: usize,
    room: usize,
) -> *mut c_char {
    if size > room {
        link::fortify_failure();
    }
    // SAFETY: see the module above.
    unsafe { getcwd(buffer, size) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn getwd(buffer: *mut c_char) -> *mut c_char {
    if is_bad(buffer) {
        return errno::fail_null(Errno::EINVAL);
    }
    // SAFETY: the caller's buffer of PATH_MAX bytes (getcwd(3)).
    unsafe { getcwd(buffer, nr::PATH_MAX as usize) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __getwd_chk(buffer: *mut c_char, room: usize) -> *mut c_char {
    if room < nr::PATH_MAX as usize {
        link::fortify_failure();
    }
    // SAFETY: see the module above.
    unsafe { getwd(buffer) }
}

/// `$PWD` if it names the working directory, as the C library's own has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_current_dir_name() -> *mut c_char {
    let mut path = [0; nr::PATH_MAX as usize];
    let Some(path) = served_cwd(&mut path).and_then(|bytes| path.get(..bytes)) else {
        return next::get_current_dir_name().map_or(core::ptr::null_mut(), |real| {
            // SAFETY: see the module above.
            unsafe { real() }
        });
    };
    // SAFETY: the program's environment; fresh memory of the C library.
    unsafe {
        let variable = getenv(c"PWD".as_ptr());
        let spelled = crate::locate::bytes(variable).filter(|_| same_directory(variable));
        link::give_string(spelled.unwrap_or(path), core::ptr::null_mut())
    }
}

unsafe extern "C" {
    fn getenv(name: *const c_char) -> *const c_char;
}

/// Whether a path names the working directory.
unsafe fn same_directory(path: *const c_char) -> bool {
    let identity = |path: *const c_char| {
        let mut out = core::mem::MaybeUninit::<sys::Stat>::uninit();
        // SAFETY: a C string and our own buffer, which is filled on success.
        unsafe {
            (super::stat::stat(path, out.as_mut_ptr()) == 0).then(|| {
                let status = out.assume_init();
                (status.st_dev, status.st_ino)
            })
        }
    };
    let found = identity(path);
    found.is_some() && found == identity(c".".as_ptr())
}

/// getcwd(2) as the kernel has it: the length with its NUL.
pub(super) unsafe fn getcwd_raw(buffer: *mut c_char, size: usize) -> core::ffi::c_long {
    let mut path = [0; nr::PATH_MAX as usize];
    let Some(path) = served_cwd(&mut path).and_then(|bytes| path.get(..bytes)) else {
        let arguments = [buffer as usize, size, 0, 0, 0, 0];
        // SAFETY: the kernel checks its pointers.
        return errno::from_kernel(unsafe { sys::syscall6(nr::__NR_getcwd as usize, arguments) })
            .into();
    };
    if size <= path.len() {
        return errno::fail(Errno::ERANGE).into();
    }
    if is_bad(buffer) {
        return errno::fail(Errno::EFAULT).into();
    }
    // SAFETY: the caller's buffer of `size` bytes.
    unsafe { link::give_string(path, buffer) };
    path.len() as core::ffi::c_long + 1
}
