//! catopen(3): a catalogue that is named by its path is opened inside the C library, which is given its content in
//! the store. One that is searched for (NLSPATH) is not found in served directories.

use crate::locate::{User, Where, bytes, locate};
use crate::served::{may_read, vnode, with_kernel_path};
use crate::stats::{Family, Outcome, count};
use crate::symbol::weak_address;
use crate::world::{Entry, World};
use crate::{errno, next};
use core::ffi::{c_char, c_int, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Options, PathBuffer};

/// What catopen(3) answers on failure: `(nl_catd) -1`.
const FAILED: *mut c_void = core::ptr::without_provenance_mut(usize::MAX);

#[unsafe(no_mangle)]
pub unsafe extern "C" fn catopen(name: *const c_char, flag: c_int) -> *mut c_void {
    let Some(real) = next::catopen() else {
        errno::fail(Errno::ENOSYS);
        return FAILED;
    };
    // SAFETY: the caller's C string, or a path of ours.
    let open = |name: *const c_char| unsafe { real(name, flag) };
    // SAFETY: the caller's C string.
    if !unsafe { bytes(name) }.is_some_and(|name| name.contains(&b'/')) {
        return open(name);
    }
    let serve = |world: &'static World, entry: Entry| {
        let vnode = vnode(world, entry)?;
        if !may_read(world, entry, &vnode, &User::effective())? {
            return Err(Errno::EACCES);
        }
        with_kernel_path(world, entry, &vnode, open)
    };
    let mut scratch = PathBuffer::new();
    // SAFETY: the caller's C string.
    let answer = match unsafe { locate(nr::AT_FDCWD, name, Options::FOLLOW, &mut scratch) } {
        Where::Kernel => return open(name),
        Where::KernelAt(path) => return open(path.as_ptr()),
        Where::Served(world, entry) => serve(world, entry),
        Where::Absent { .. } => Err(Errno::ENOENT),
        Where::Failed(error) => Err(error),
    };
    match answer {
        Ok(catalogue) => {
            count(Family::Open, Outcome::Served);
            catalogue
        }
        Err(error) => {
            count(Family::Open, Outcome::Failed);
            // musl does not say what was wrong with the file.
            let glibc = !weak_address!("gnu_get_libc_version").is_null();
            errno::fail(if glibc { error } else { Errno::ENOENT });
            FAILED
        }
    }
}
