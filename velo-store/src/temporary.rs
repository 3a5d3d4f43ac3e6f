//! Things under construction: files without a name (O_TMPFILE) that get one when they
//! are complete, or temporary names where the file system cannot do that.
//!
//! Every temporary name starts with `TEMPORARY_PREFIX` and is locked (flock) by its
//! builder, so a later open can tell a leftover from work in progress.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, chmodat, flock, linkat,
    mkdirat, openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::{Errno, Result};
use velo_core::store_layout::TEMPORARY_PREFIX;

/// How a complete file gets its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// O_TMPFILE, then linkat(AT_EMPTY_PATH).
    EmptyPath,
    /// O_TMPFILE, then linkat of its name in /proc (before Linux 6.10 without privileges).
    Proc,
    /// A temporary name, then linkat or rename.
    Named,
}

impl Way {
    /// Finds out what works in `directory`, by doing it once.
    pub(crate) fn probe(directory: BorrowedFd<'_>) -> Result<Self> {
        for way in [Self::EmptyPath, Self::Proc] {
            let Some(temporary) = Temporary::unnamed(directory, way)? else {
                break;
            };
            let name = fresh_name();
            match temporary.link(directory, &name) {
                Ok(_) => {
                    unlinkat(directory, &name, AtFlags::empty())?;
                    return Ok(way);
                }
                // Not full, not read-only: this way is barred here, so try the next one.
                Err(Errno::NOENT | Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::XDEV) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::LOOP) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(Self::Named)
    }
}

/// What became of a name that was to be given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Naming {
    /// The file has the name now.
    Given,
    /// Another file had it already; nothing was changed.
    Taken,
}

/// A file under construction. Dropped without a name, it is gone.
pub(crate) struct Temporary<'d> {
    file: File,
    way: Way,
    name: Option<(BorrowedFd<'d>, CString)>,
}

impl<'d> Temporary<'d> {
    /// A new empty file on the file system of `directory`.
    pub(crate) fn create(directory: BorrowedFd<'d>, way: Way) -> Result<Self> {
        if way != Way::Named
            && let Some(temporary) = Self::unnamed(directory, way)?
        {
            return Ok(temporary);
        }
        Self::create_named(directory, Mode::RUSR | Mode::WUSR)
    }

    /// With a temporary name in `directory`, and `mode` less the umask.
    pub(crate) fn create_named(directory: BorrowedFd<'d>, mode: Mode) -> Result<Self> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        loop {
            let name = fresh_name();
            match openat(directory, &name, flags, mode) {
                Ok(fd) => {
                    // Not every file system has locks; then only the age protects it.
                    let _unlocked = flock(&fd, FlockOperation::NonBlockingLockExclusive);
                    let name = Some((directory, name));
                    return Ok(Self {
                        file: fd.into(),
                        way: Way::Named,
                        name,
                    });
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// With O_TMPFILE; `None` where that is not supported.
    fn unnamed(directory: BorrowedFd<'d>, way: Way) -> Result<Option<Self>> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match openat(directory, ".", flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => Ok(Some(Self {
                file: fd.into(),
                way,
                name: None,
            })),
            // EISDIR: a kernel or file system that does not know the flag.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// The file, to write to.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the complete file its name, unless the name is taken.
    pub(crate) fn link(&self, directory: BorrowedFd<'_>, name: &CStr) -> Result<Naming> {
        let linked = match &self.name {
            Some((own, temporary)) => {
                match linkat(own, temporary, directory, name, AtFlags::empty()) {
                    Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
                        rename_unless_taken(*own, temporary, directory, name)
                    }
                    other => other,
                }
            }
            None if self.way == Way::Proc => {
                let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                linkat(CWD, own, directory, name, AtFlags::SYMLINK_FOLLOW)
            }
            None => linkat(&self.file, "", directory, name, AtFlags::EMPTY_PATH),
        };
        match linked {
            Ok(()) => Ok(Naming::Given),
            Err(Errno::EXIST) => Ok(Naming::Taken),
            Err(errno) => Err(errno),
        }
    }

    /// Gives the complete file its name, in place of whatever has it.
    pub(crate) fn replace(self, directory: BorrowedFd<'_>, name: &CStr) -> Result<()> {
        if let Some((own, temporary)) = &self.name {
            return renameat(own, temporary, directory, name);
        }
        loop {
            let temporary = fresh_name();
            if self.link(directory, &temporary)? == Naming::Given {
                return renameat(directory, &temporary, directory, name);
            }
        }
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if let Some((directory, name)) = &self.name {
            // Renamed away already, or gone: both are what is wanted.
            let _gone = unlinkat(directory, name, AtFlags::empty());
        }
    }
}

/// A directory under construction, locked against the cleaner. Not removed when
/// dropped: its builder publishes or removes it.
pub(crate) struct TemporaryDirectory {
    pub(crate) fd: OwnedFd,
    pub(crate) name: CString,
}

impl TemporaryDirectory {
    /// A new empty directory in `parent`.
    pub(crate) fn create(parent: impl AsFd) -> Result<Self> {
        loop {
            let name = fresh_name();
            match mkdirat(&parent, &name, Mode::RWXU) {
                Ok(()) => {
                    let fd = open_directory(&parent, &name)?;
                    let _unlocked = flock(&fd, FlockOperation::NonBlockingLockExclusive);
                    return Ok(Self { fd, name });
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// Opens a directory for reading, never through a symbolic link.
pub(crate) fn open_directory(parent: impl AsFd, name: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

/// Renames, unless `to` exists (EEXIST), also where the kernel cannot do both in one step.
pub(crate) fn rename_unless_taken(
    from_directory: impl AsFd,
    from: &CStr,
    to_directory: impl AsFd,
    to: &CStr,
) -> Result<()> {
    match renameat_with(
        &from_directory,
        from,
        &to_directory,
        to,
        RenameFlags::NOREPLACE,
    ) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        other => return other,
    }
    // Whoever comes in between wrote the same content, so replacing it does no harm;
    // a directory that is not empty is never replaced.
    match statat(&to_directory, to, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => renameat(&from_directory, from, &to_directory, to),
        Err(errno) => Err(errno),
    }
}

/// A temporary name that nobody else uses now.
pub(crate) fn fresh_name() -> CString {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let text = format!("{TEMPORARY_PREFIX}{process}-{count}-{:x}", since.as_nanos());
    // Digits and dashes only, so there is no NUL to fail on.
    CString::new(text).unwrap_or_default()
}

/// Removes leftovers in `directory` that are older than `age_min` and that no
/// builder holds. Returns how many.
pub(crate) fn clean(directory: impl AsFd, age_min: Duration) -> Result<u64> {
    let mut removed = 0;
    for (name, _) in entries(&directory)? {
        if !name.to_bytes().starts_with(TEMPORARY_PREFIX.as_bytes()) {
            continue;
        }
        let Ok(stat) = statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        // ctime: nobody can set it, whatever stamp the mtime carries.
        let changed = Duration::new(stat.st_ctime.max(0) as u64, stat.st_ctime_nsec as u32);
        let age = SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default()
            .saturating_sub(changed);
        if age < age_min {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let held = match openat(&directory, &name, flags, Mode::empty()) {
            Ok(fd) => flock(&fd, FlockOperation::NonBlockingLockExclusive).map(|()| Some(fd)),
            Err(_) => Ok(None),
        };
        // The lock is kept until the name is gone.
        let Ok(_held) = held else { continue };
        if remove_tree(&directory, &name).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}

/// Names and types in a directory, without `.` and `..`.
pub(crate) fn entries(directory: impl AsFd) -> Result<Vec<(CString, FileType)>> {
    let own = openat(
        &directory,
        ".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut found = Vec::new();
    for entry in Dir::read_from(own)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            found.push((name.to_owned(), entry.file_type()));
        }
    }
    Ok(found)
}

/// Takes the directory `name` out of sight in one step, then removes it.
pub(crate) fn remove_visible_tree(parent: impl AsFd, name: &CStr) -> Result<()> {
    loop {
        let hidden = fresh_name();
        match rename_unless_taken(&parent, name, &parent, &hidden) {
            Ok(()) => return remove_tree(&parent, &hidden),
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Removes `name` and all below it, also read-only directories, with three open
/// descriptors however deep it is: subdirectories are moved up before they are emptied.
pub(crate) fn remove_tree(parent: impl AsFd, name: &CStr) -> Result<()> {
    match unlinkat(&parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(Errno::NOENT) => return Ok(()),
        other => return other,
    }
    chmodat(&parent, name, Mode::RWXU, AtFlags::empty())?;
    let top = open_directory(&parent, name)?;
    let mut waiting = empty_directory(&top)?;
    let mut moved = 0_u64;
    while let Some(name) = waiting.pop() {
        chmodat(&top, &name, Mode::RWXU, AtFlags::empty())?;
        let directory = open_directory(&top, &name)?;
        for child in empty_directory(&directory)? {
            // Moving a directory writes its "..", so it must be writable itself.
            chmodat(&directory, &child, Mode::RWXU, AtFlags::empty())?;
            waiting.push(loop {
                moved += 1;
                let up =
                    CString::new(format!("{TEMPORARY_PREFIX}gone-{moved}")).unwrap_or_default();
                match renameat(&directory, &child, &top, &up) {
                    Ok(()) => break up,
                    Err(Errno::EXIST | Errno::NOTEMPTY) => {}
                    Err(errno) => return Err(errno),
                }
            });
        }
        unlinkat(&top, &name, AtFlags::REMOVEDIR)?;
    }
    unlinkat(&parent, name, AtFlags::REMOVEDIR)
}

/// Unlinks all but the subdirectories, and returns those.
fn empty_directory(directory: &OwnedFd) -> Result<Vec<CString>> {
    let mut directories = Vec::new();
    for (name, kind) in entries(directory)? {
        if kind != FileType::Directory {
            match unlinkat(directory, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => continue,
                Err(Errno::ISDIR) => {}
                Err(errno) => return Err(errno),
            }
        }
        directories.push(name);
    }
    Ok(directories)
}
