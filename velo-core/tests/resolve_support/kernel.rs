//! The real kernel: planting a model tree on disk, moving its mounts away, and
//! asking what paths mean, as this user or, from root, as others.

use super::model::{Final, Id, Kind, Who};
use super::world::World;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use velo_core::errno::Errno;
use velo_core::resolve::Outside;

/// What a path turned out to be; plain numbers, to be sent through shared memory.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// 0: an inode of the kernel's; -1: a served entry; else an errno.
    tag: i64,
    /// Device, or mount number.
    one: u64,
    /// Inode number, or entry index.
    two: u64,
}

impl Record {
    pub fn failed(errno: i32) -> Self {
        Self {
            tag: i64::from(errno),
            one: 0,
            two: 0,
        }
    }

    pub fn new_served(mount: usize, index: u32) -> Self {
        Self {
            tag: -1,
            one: mount as u64,
            two: u64::from(index),
        }
    }

    pub fn served(&self) -> Option<(usize, u32)> {
        (self.tag == -1).then_some((self.one as usize, self.two as u32))
    }
}

/// The record of a file by its device and inode number.
pub fn record_of((device, inode): (u64, u64)) -> Record {
    Record {
        tag: 0,
        one: device,
        two: inode,
    }
}

/// What the kernel says of `path` seen from `fd`: by stat, lstat, or through an
/// `O_PATH` descriptor. Allocates nothing.
pub fn seen_by_kernel(fd: i32, path: &CStr, last: Final) -> Record {
    // SAFETY: `stat` is plain numbers, for which zero is a value.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the path is NUL-terminated, the buffer is a `stat`, and the
    // descriptor opened here is closed here.
    let code = unsafe {
        match last {
            Final::Follow => libc::fstatat(fd, path.as_ptr(), &mut stat, 0),
            Final::Stay => libc::fstatat(fd, path.as_ptr(), &mut stat, libc::AT_SYMLINK_NOFOLLOW),
            Final::Entry => {
                let opened = libc::openat(fd, path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
                if opened < 0 {
                    opened
                } else {
                    let code = libc::fstat(opened, &mut stat);
                    libc::close(opened);
                    code
                }
            }
        }
    };
    if code < 0 {
        return Record::failed(last_errno());
    }
    record_of((stat.st_dev, stat.st_ino))
}

fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// readlink(2), as the preload library will provide it.
pub struct KernelOutside;

impl Outside for KernelOutside {
    fn readlink(&mut self, path: &[u8], buffer: &mut [u8]) -> Result<usize, Errno> {
        let mut text = [0; 4097];
        let Some(slot) = text.get_mut(..path.len()) else {
            return Err(Errno::ENAMETOOLONG);
        };
        slot.copy_from_slice(path);
        // SAFETY: the path is followed by a zero byte, the buffer is as long as said.
        let length = unsafe {
            libc::readlink(
                text.as_ptr().cast(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
            )
        };
        usize::try_from(length).map_err(|_| Errno(last_errno()))
    }
}

/// Somebody who asks.
#[derive(Clone, Debug)]
pub struct Person {
    pub who: Who,
    /// Whether a child has to change its ids to become this person.
    becomes: bool,
}

impl Person {
    /// Everybody whom this process can be.
    pub fn all() -> Vec<Self> {
        // SAFETY: no arguments, no failure.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        if uid == 0 {
            let people = super::world::people();
            return people.map(|who| Self { who, becomes: true }).to_vec();
        }
        let mut groups = vec![0; 4096];
        // SAFETY: the buffer has as many elements as said.
        let count = unsafe { libc::getgroups(4096, groups.as_mut_ptr()) };
        groups.truncate(usize::try_from(count).unwrap_or(0));
        vec![Self {
            who: Who { uid, gid, groups },
            becomes: false,
        }]
    }

    /// Changes the ids of this process, a child with one thread.
    fn become_them(&self) -> bool {
        let Who { uid, gid, groups } = &self.who;
        // SAFETY: raw calls, so that libc does not look for other threads; the
        // groups are as many as said.
        unsafe {
            libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) == 0
                && libc::syscall(libc::SYS_setresgid, *gid, *gid, *gid) == 0
                && libc::syscall(libc::SYS_setresuid, *uid, *uid, *uid) == 0
        }
    }
}

/// Asks `count` questions in a child that is `person`. `ask` must not allocate,
/// because the child is forked from a process with threads.
pub fn as_person(
    person: &Person,
    count: usize,
    ask: impl Fn(usize) -> Record,
) -> Result<Vec<Record>, String> {
    let bytes = count.max(1) * size_of::<Record>();
    // SAFETY: a fresh anonymous mapping of the size of `count` records, zeroed by
    // the kernel; written by the child only, read after it ended, unmapped once.
    unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let memory = libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0);
        assert_ne!(memory, libc::MAP_FAILED, "no shared memory");
        let records: *mut Record = memory.cast();
        let child = libc::fork();
        assert!(child >= 0, "cannot fork");
        if child == 0 {
            if person.becomes && !person.become_them() {
                libc::_exit(2);
            }
            for number in 0..count {
                *records.add(number) = ask(number);
            }
            libc::_exit(0);
        }
        let mut status = 0;
        assert_eq!(
            libc::waitpid(child, &mut status, 0),
            child,
            "the child is ours"
        );
        let answers = std::slice::from_raw_parts(records, count).to_vec();
        libc::munmap(memory, bytes);
        if status == 0 {
            Ok(answers)
        } else {
            Err(format!("the child ended with status {status}"))
        }
    }
}

/// What stands at a path.
pub struct Planted {
    /// Device and inode number.
    pub identity: (u64, u64),
    /// Open, if it is a directory.
    pub directory: Option<OwnedFd>,
}

/// A directory for one world, removed at the end.
pub struct Scratch {
    path: PathBuf,
    away: PathBuf,
}

impl Scratch {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let base = fs::canonicalize(std::env::temp_dir()).expect("there is a TMPDIR");
        let path = base.join(format!("velo-resolve-{}-{number}", std::process::id()));
        let away = path.with_extension("away");
        for directory in [&path, &away] {
            fs::create_dir(directory).expect("TMPDIR is writable");
            fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).expect("chmod");
        }
        Self { path, away }
    }

    /// Absolute, canonical.
    pub fn path(&self) -> &[u8] {
        self.path.as_os_str().as_bytes()
    }

    /// Makes all inodes of `world` from `top` on. Modes and owners are read back
    /// into the model, because not everybody may set them. Returns what stands at
    /// each path.
    pub fn plant(&self, world: &mut World, top: Id) -> HashMap<Vec<u8>, Planted> {
        let paths: Vec<PathBuf> = (top..world.full.inodes.len())
            .map(|id| to_path(&world.full.path(id)))
            .collect();
        for (inode, path) in world.full.inodes[top..].iter().zip(&paths) {
            match &inode.kind {
                Kind::Dir(_) if *path == self.path => {}
                Kind::Dir(_) | Kind::Implied(_) => fs::create_dir(path).expect("mkdir"),
                Kind::File => fs::write(path, b"").expect("create"),
                Kind::Link(target) => {
                    std::os::unix::fs::symlink(to_path(target), path).expect("symlink");
                }
            }
        }
        let mut planted = HashMap::new();
        // From the bottom up: an ordinary user sees only what modes still allow.
        for (inode, path) in world.full.inodes[top..].iter_mut().zip(&paths).rev() {
            let directory = inode.kind.is_dir().then(|| open(path));
            let _ = std::os::unix::fs::lchown(path, Some(inode.uid), Some(inode.gid));
            if !matches!(inode.kind, Kind::Link(_)) {
                fs::set_permissions(path, fs::Permissions::from_mode(inode.mode)).expect("chmod");
            }
            let meta = fs::symlink_metadata(path).expect("it was made just now");
            (inode.uid, inode.gid, inode.mode) = (meta.uid(), meta.gid(), meta.mode() & 0o7777);
            let identity = (meta.dev(), meta.ino());
            planted.insert(
                path.as_os_str().as_bytes().to_vec(),
                Planted {
                    identity,
                    directory,
                },
            );
        }
        planted
    }

    /// Moves all mounts to where no path of the world leads.
    pub fn move_away(&self, world: &World) {
        for (number, (path, _)) in world.mounts.iter().enumerate() {
            let path = to_path(path);
            // An inner mount goes with the outer one.
            if fs::symlink_metadata(&path).is_ok() {
                fs::rename(&path, self.away.join(number.to_string())).expect("rename");
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for directory in [&self.path, &self.away] {
            open_up(directory);
            let _ = fs::remove_dir_all(directory);
        }
    }
}

/// Makes everything below searchable and writable again, so that it can be removed.
fn open_up(directory: &Path) {
    let _ = fs::set_permissions(directory, fs::Permissions::from_mode(0o755));
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

/// A descriptor of a directory, whatever its mode.
fn open(path: &Path) -> OwnedFd {
    let path = CString::new(path.as_os_str().as_bytes()).expect("no NUL in a path");
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: a NUL-terminated path; the descriptor is new and owned from here.
    unsafe {
        let fd = libc::open(path.as_ptr(), flags);
        assert!(
            fd >= 0,
            "cannot open {path:?}: {}",
            std::io::Error::last_os_error()
        );
        OwnedFd::from_raw_fd(fd)
    }
}

fn to_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}
