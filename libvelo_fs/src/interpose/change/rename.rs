//! rename(2) and its twins: two names, of which either may be served.

use super::links::{look_up, naming, passed};
use super::parent::{Last, Parent, last_of, parent_of};
use super::{EBUSY, at, is_root, raw};
use crate::locate::{Where, bytes};
use crate::stats::{Family, Outcome, count};
use crate::{errno, next};
use core::ffi::{c_char, c_int, c_uint};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::Options;

/// One of the two names of rename(2).
struct Side {
    last: Last,
    parent: Parent,
    /// The mount whose root has this name, which stands outside.
    root: Option<u16>,
    slash: bool,
    dirfd: c_int,
    path: *const c_char,
}

impl Side {
    /// # Safety
    /// `path` is a C string that was resolved to `place`.
    unsafe fn new(dirfd: c_int, path: *const c_char, place: &Where<'_>) -> Result<Self, Errno> {
        let (kernel_dirfd, kernel_path) = passed(dirfd, path, place);
        // SAFETY: passed on to the caller.
        let (text, parent) = unsafe { (bytes(path).unwrap_or(b""), parent_of(dirfd, path)?) };
        let root = match place {
            Where::Served(world, entry) if is_root(world, *entry) => Some(entry.mount),
            _ => None,
        };
        Ok(Self {
            last: last_of(text),
            slash: text.ends_with(b"/"),
            root: root.filter(|_| matches!(parent, Parent::Outside(_))),
            parent,
            dirfd: kernel_dirfd,
            path: kernel_path,
        })
    }

    /// Whether it is a directory, or why it is not there.
    fn look_up(&self) -> Result<bool, Errno> {
        match self.root {
            Some(_) => Ok(true),
            None => look_up(self.dirfd, self.path, Options::NO_FOLLOW),
        }
    }
}

/// What rename(2) answers where one of the names has to do with a mount, or `None` if
/// both are the kernel's. It is done where both are names of one thing. The order is that of do_renameat2() and vfs_rename().
fn rename_refused(old: &Side, new: &Side, flags: u32) -> Option<Result<(), Errno>> {
    let keeps = flags & RENAME_NOREPLACE != 0;
    let same = match (&old.parent, &new.parent) {
        (Parent::Mount(old), Parent::Mount(new)) => old == new,
        (Parent::Outside(_), Parent::Outside(_)) if old.root.or(new.root).is_none() => return None,
        (Parent::Outside(old), Parent::Outside(new)) => old.is_on_mount_of(new),
        _ => false,
    };
    if !same {
        return Some(Err(Errno::EXDEV));
    }
    if old.last != Last::Name {
        return Some(Err(EBUSY));
    }
    if new.last != Last::Name {
        return Some(Err(if keeps { Errno::EEXIST } else { EBUSY }));
    }
    let (Parent::Outside(old_parent), Parent::Outside(new_parent)) = (&old.parent, &new.parent)
    else {
        return Some(Err(Errno::EROFS));
    };
    let check = || {
        old_parent.is_read_only()?;
        let is_directory = old.look_up()?;
        let target = new.look_up();
        let exchanges = flags & RENAME_EXCHANGE != 0;
        match target {
            Ok(_) if keeps => return Err(Errno::EEXIST),
            Err(error) if exchanges => return Err(error),
            _ => {}
        }
        let slashes = old.slash || (new.slash && !exchanges);
        if (!is_directory && slashes) || (exchanges && new.slash && target == Ok(false)) {
            return Err(Errno::ENOTDIR);
        }
        if old.root == new.root {
            return Ok(());
        }
        old_parent.may_change()?;
        new_parent.may_change()?;
        Err(match target {
            Ok(false) if is_directory && !exchanges => Errno::ENOTDIR,
            Ok(true) if !is_directory && !exchanges => Errno::EISDIR,
            _ => EBUSY,
        })
    };
    Some(check())
}

/// The flags of renameat2(2).
const RENAME_NOREPLACE: u32 = 1;
const RENAME_EXCHANGE: u32 = 2;
const RENAME_WHITEOUT: u32 = 4;

/// rename(2) in all its forms.
unsafe fn renaming(
    old_dirfd: c_int,
    old: *const c_char,
    new_dirfd: c_int,
    new: *const c_char,
    flags: u32,
    pass: impl Fn(c_int, *const c_char, c_int, *const c_char) -> c_int,
) -> c_int {
    let known = RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT;
    let exchanges = flags & RENAME_EXCHANGE != 0;
    let is_invalid = flags & !known != 0 || (exchanges && flags != RENAME_EXCHANGE);
    if is_invalid {
        return pass(old_dirfd, old, new_dirfd, new);
    }
    let name = |old_place: Where<'_>, new_place: Where<'_>| {
        // SAFETY: the caller's C strings, as they were resolved.
        unsafe {
            renaming_resolved(
                (old_dirfd, old),
                old_place,
                (new_dirfd, new),
                new_place,
                flags,
                &pass,
            )
        }
    };
    // SAFETY: the caller's C strings.
    unsafe { naming((old_dirfd, old, Options::ENTRY), (new_dirfd, new), name) }
}

/// # Safety
/// The paths are C strings that were resolved to the places.
unsafe fn renaming_resolved(
    (old_dirfd, old): (c_int, *const c_char),
    old_place: Where<'_>,
    (new_dirfd, new): (c_int, *const c_char),
    new_place: Where<'_>,
    flags: u32,
    pass: impl Fn(c_int, *const c_char, c_int, *const c_char) -> c_int,
) -> c_int {
    if !matches!((&old_place, &new_place), (Where::Kernel, Where::Kernel)) {
        // SAFETY: the caller's C strings, as they were resolved.
        let sides = unsafe {
            Side::new(old_dirfd, old, &old_place)
                .and_then(|old| Ok((old, Side::new(new_dirfd, new, &new_place)?)))
        };
        let refused = match &sides {
            Ok((old, new)) => rename_refused(old, new, flags),
            Err(error) => Some(Err(*error)),
        };
        if let Some(Ok(())) = refused {
            return 0;
        }
        if let Some(Err(error)) = refused {
            count(Family::Change, Outcome::Failed);
            return errno::fail(error);
        }
    }
    count(Family::Change, Outcome::PassedOutside);
    let (old_dirfd, old) = passed(old_dirfd, old, &old_place);
    let (new_dirfd, new) = passed(new_dirfd, new, &new_place);
    pass(old_dirfd, old, new_dirfd, new)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(old: *const c_char, new: *const c_char) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        renaming(
            nr::AT_FDCWD,
            old,
            nr::AT_FDCWD,
            new,
            0,
            |_, old, _, new| match next::rename() {
                Some(real) => real(old, new),
                None => raw(nr::__NR_rename, [old as usize, new as usize, 0, 0, 0]),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn renameat(
    old_dirfd: c_int,
    old: *const c_char,
    new_dirfd: c_int,
    new: *const c_char,
) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        renaming(
            old_dirfd,
            old,
            new_dirfd,
            new,
            0,
            |old_dirfd, old, new_dirfd, new| match next::renameat() {
                Some(real) => real(old_dirfd, old, new_dirfd, new),
                None => raw(
                    nr::__NR_renameat,
                    [at(old_dirfd), old as usize, at(new_dirfd), new as usize, 0],
                ),
            },
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn renameat2(
    old_dirfd: c_int,
    old: *const c_char,
    new_dirfd: c_int,
    new: *const c_char,
    flags: c_uint,
) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        renaming(
            old_dirfd,
            old,
            new_dirfd,
            new,
            flags,
            |old_dirfd, old, new_dirfd, new| match next::renameat2() {
                Some(real) => real(old_dirfd, old, new_dirfd, new, flags),
                None => raw(
                    nr::__NR_renameat2,
                    [
                        at(old_dirfd),
                        old as usize,
                        at(new_dirfd),
                        new as usize,
                        flags as usize,
                    ],
                ),
            },
        )
    }
}
