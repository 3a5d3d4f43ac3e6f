//! Where the store is, and the view trees in it: found once, at start-up.
//!
//! A root that nobody named could be anybody's: `/dev/shm` is open to all, and who makes
//! `velo-<uid>` there first would decide what its user sees. So such a root is believed
//! only if it and what is read in it belong to this user or to root, as velo-store has it.

use crate::message::Line;
use crate::served::STORE_BYTES_MAX;
use crate::start::{Refused, keep, refuse};
use crate::{arena, sys};
use core::ffi::{CStr, c_int};
use core::mem::MaybeUninit;
use linux_raw_sys::general as nr;
use velo_core::store_layout::{
    CAS_DIRECTORY, CURRENT_FILE, DECIMAL_BYTES_MAX, RootRule, VIEWS_DIRECTORY, choose_root, decimal,
};

const PATH_BYTES: usize = nr::PATH_MAX as usize;

/// The store's root, `named` by VELO_ROOT or the default one.
#[inline(never)]
pub fn root(named: Option<&[u8]>) -> Result<&'static [u8], Refused> {
    let device = |path: &CStr| Some(status(path, 0)?.st_dev);
    let ram_disk_mounted = || {
        device(c"/mnt/velo_ram_disk")
            .is_some_and(|disk| device(c"/mnt").is_some_and(|parent| parent != disk))
    };
    let user = if named.is_some() {
        0
    } else {
        sys::effective_user()
    };
    let mut buffer = [0; PATH_BYTES];
    let (rule, bytes) = choose_root(named, ram_disk_mounted, user, &mut buffer).map_err(|_| {
        let expected = Line::new().text(b"expected an absolute path in VELO_ROOT, found ");
        refuse(
            expected
                .text(named.unwrap_or(b""))
                .text(b"; set it to the store's root or unset it"),
        )
    })?;
    if bytes > STORE_BYTES_MAX {
        let expected = Line::new()
            .text(b"expected a store root of at most ")
            .number(STORE_BYTES_MAX as u64);
        return Err(refuse(expected.text(
            b" bytes, found a longer one; set VELO_ROOT to a shorter path",
        )));
    }
    let root = keep(&[buffer.get(..bytes).unwrap_or(b"")])?;
    if rule != RootRule::Variable {
        check_owners(root, user)?;
    }
    Ok(root)
}

/// Refuses a default root that somebody else than `user` and root could have made.
fn check_owners(root: &'static [u8], user: u32) -> Result<(), Refused> {
    let below = [
        b"",
        CAS_DIRECTORY.as_bytes(),
        VIEWS_DIRECTORY.as_bytes(),
        CURRENT_FILE.as_bytes(),
    ];
    for name in below {
        let slash: &[u8] = if name.is_empty() { b"" } else { b"/" };
        let path = keep(&[root, slash, name])?;
        // SAFETY: `keep` ends what it returns with a NUL.
        let path_z = unsafe { CStr::from_ptr(path.as_ptr().cast()) };
        let Some(found) = status(path_z, nr::AT_SYMLINK_NOFOLLOW) else {
            continue;
        };
        let owned = found.st_uid == user || found.st_uid == 0;
        let directory = found.st_mode & nr::S_IFMT == nr::S_IFDIR;
        let open_to_all = found.st_mode & 0o022 != 0 && found.st_mode & nr::S_ISVTX == 0;
        if !owned || directory && open_to_all || name.is_empty() && !directory {
            let expected = Line::new()
                .text(b"expected ")
                .text(path)
                .text(b" to belong to user ")
                .number(user.into())
                .text(b" or root and to nobody else, found owner ")
                .number(found.st_uid.into());
            return Err(refuse(expected.text(
                b" or others who may write; remove it, or set VELO_ROOT to a directory of your own",
            )));
        }
    }
    Ok(())
}

fn status(path: &CStr, flags: u32) -> Option<sys::Stat> {
    let mut out = MaybeUninit::<sys::Stat>::uninit();
    // SAFETY: a C string, and the buffer is ours.
    let found = unsafe {
        sys::fstatat(
            nr::AT_FDCWD,
            path.as_ptr(),
            out.as_mut_ptr(),
            flags as c_int,
        )
    };
    sys::result(found).ok()?;
    // SAFETY: the kernel has filled it.
    Some(unsafe { out.assume_init() })
}

/// The manifests that `velo-ctl use` has set, as they stand in the store.
#[inline(never)]
pub fn read_current(store: &[u8]) -> &'static [u8] {
    let mut buffer = [0; PATH_BYTES];
    let Some(path) = arena::keep(&[store, b"/", CURRENT_FILE.as_bytes()]) else {
        return b"";
    };
    let flags = nr::O_RDONLY | nr::O_CLOEXEC | nr::O_NOFOLLOW;
    let Some(descriptor) = open(path, flags) else {
        return b"";
    };
    let bytes = sys::read(descriptor, &mut buffer).unwrap_or(0);
    sys::close(descriptor);
    arena::keep(&[buffer.get(..bytes).unwrap_or(b"").trim_ascii()]).unwrap_or(b"")
}

/// Where the view trees are, `named` by VELO_VIEW_ROOT or in the store, with all symbolic
/// links followed: the kernel's own paths of what is in them are compared with it.
#[inline(never)]
pub fn views(store: &[u8], named: Option<&'static [u8]>) -> Result<&'static [u8], Refused> {
    let path = match named {
        Some(named) => named,
        None => keep(&[store, b"/", VIEWS_DIRECTORY.as_bytes()])?,
    };
    let mut buffer = [0; PATH_BYTES];
    match real_path(path, &mut buffer) {
        Some(real) if real != path => keep(&[real]),
        _ => Ok(path),
    }
}

/// The kernel's own name of the directory at `path`, which a NUL follows; `None` if there
/// is none, or no /proc.
fn real_path<'a>(path: &[u8], buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let descriptor = open(path, nr::O_PATH | nr::O_DIRECTORY | nr::O_CLOEXEC)?;
    let mut link = *b"/proc/self/fd/\0\0\0\0\0\0\0\0\0\0\0";
    let mut digits = [0; DECIMAL_BYTES_MAX];
    let number = decimal(descriptor.cast_unsigned(), &mut digits);
    let room = link.iter_mut().skip_while(|byte| **byte != 0);
    for (place, digit) in room.zip(number) {
        *place = *digit;
    }
    let found = sys::readlinkat(nr::AT_FDCWD, link.as_ptr().cast(), buffer);
    sys::close(descriptor);
    let real = buffer.get(..found.ok()?)?;
    real.starts_with(b"/").then_some(real)
}

fn open(path_z: &[u8], flags: u32) -> Option<c_int> {
    // SAFETY: a NUL follows the path, by the arena that it is in.
    let opened = unsafe { sys::openat(nr::AT_FDCWD, path_z.as_ptr().cast(), flags as c_int, 0) };
    sys::result(opened)
        .ok()
        .map(|descriptor| descriptor as c_int)
}
