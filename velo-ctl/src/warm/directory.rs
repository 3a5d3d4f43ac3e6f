//! Where parents, their sockets and the records of applications are: a directory of this user
//! alone, in the store if that is theirs, else in the runtime or temporary directory.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Mode, OFlags, fstat, openat, unlinkat};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt,
};

use super::Reason;

/// A record is believed for a week; then the application is watched once more.
const RECORD_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// A parent that could not be made is tried again after an hour.
const UNFIT_AGE_MAX: Duration = Duration::from_secs(3600);
const TEXT_MAX: u64 = 1 << 20;

/// The open directory.
#[derive(Debug)]
pub struct Directory {
    /// Its path.
    pub path: PathBuf,
    /// It, close-on-exec.
    pub descriptor: OwnedFd,
}

impl Directory {
    /// The first place that belongs to this user and nobody else can reach; made if missing.
    pub fn open(root: &Path) -> Result<Self, Reason> {
        Self::places(root)
            .into_iter()
            .find_map(|path| {
                let _ = DirBuilder::new().mode(0o700).create(&path);
                Self::checked(path)
            })
            .ok_or_else(|| "no directory is this user's alone".into())
    }

    /// The directory, if it was made before.
    pub fn existing(root: &Path) -> Option<Self> {
        Self::places(root).into_iter().find_map(Self::checked)
    }

    fn places(root: &Path) -> Vec<PathBuf> {
        let user = rustix::process::geteuid().as_raw();
        let mut places = Vec::new();
        if rustix::fs::stat(root).is_ok_and(|found| found.st_uid == user) {
            places.push(root.join("warm"));
        }
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        places.extend(
            runtime
                .filter(|path| path.is_absolute())
                .map(|path| path.join("velo-warm")),
        );
        places.push(std::env::temp_dir().join(format!("velo-warm-{user}")));
        places
    }

    fn checked(path: PathBuf) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(&path, flags, Mode::empty()).ok()?;
        let found = fstat(&descriptor).ok()?;
        let own = found.st_uid == rustix::process::geteuid().as_raw() && found.st_mode & 0o077 == 0;
        own.then_some(Self { path, descriptor })
    }

    /// A connection to the parent of that name, which must be of this user.
    pub fn connect(&self, name: &str) -> Option<OwnedFd> {
        // By the descriptor, because a socket's path is short.
        let path = format!("/proc/self/fd/{}/{name}.sock", self.descriptor.as_raw_fd());
        let address = SocketAddrUnix::new(path).ok()?;
        let connection = socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .ok()?;
        connect(&connection, &address).ok()?;
        let peer = sockopt::socket_peercred(&connection).ok()?;
        (peer.uid == rustix::process::geteuid()).then_some(connection)
    }

    /// Whether a process holds the lock of that name, and which.
    pub fn holder(&self, name: &str) -> Option<i32> {
        let file = self.open_file(&format!("{name}.lock"))?;
        let mut lock = libc::flock {
            l_type: libc::F_WRLCK as _,
            l_whence: libc::SEEK_SET as _,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        // SAFETY: an open file and a whole `flock` to read and write.
        let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &raw mut lock) };
        (asked == 0 && lock.l_type != libc::F_UNLCK as libc::c_short).then_some(lock.l_pid)
    }

    /// Whether a process holds the lock of that name.
    pub fn is_locked(&self, name: &str) -> bool {
        self.holder(name).is_some()
    }

    /// Why no parent can be made for a slot, if that was tried lately.
    pub fn unfit(&self, slot_name: &str) -> Option<String> {
        let name = format!("{slot_name}.unfit");
        self.is_younger(&name, UNFIT_AGE_MAX)
            .then(|| self.text(&name).trim_end().to_owned())
    }

    /// Whether it is known what an application imports.
    pub fn has_record(&self, base: &str) -> bool {
        let name = format!("{base}.modules");
        let young = self.is_younger(&name, RECORD_AGE_MAX);
        if !young {
            let _ = unlinkat(&self.descriptor, &name, AtFlags::empty());
        }
        young
    }

    fn is_younger(&self, name: &str, age: Duration) -> bool {
        let modified = self
            .open_file(name)
            .and_then(|file| file.metadata().ok()?.modified().ok());
        modified
            .is_some_and(|time| SystemTime::now().duration_since(time).unwrap_or_default() < age)
    }

    /// What the imports of an application looked at.
    pub fn inputs(&self, base: &str) -> Vec<u8> {
        self.bytes(&format!("{base}.inputs"))
    }

    /// A small text file; empty if there is none.
    pub fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&self.bytes(name)).into_owned()
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(file) = self.open_file(name) {
            let _ = file.take(TEXT_MAX).read_to_end(&mut bytes);
        }
        bytes
    }

    fn open_file(&self, name: &str) -> Option<File> {
        // For writing, because a lock that excludes all is asked about.
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.descriptor, name, flags, Mode::empty())
            .ok()
            .map(File::from)
    }

    /// Names of its files that end so, without the end.
    pub fn names(&self, end: &str) -> Vec<String> {
        let entries = std::fs::read_dir(&self.path)
            .into_iter()
            .flatten()
            .flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| {
                entry
                    .file_name()
                    .to_str()?
                    .strip_suffix(end)
                    .map(str::to_owned)
            })
            .collect();
        names.sort();
        names
    }

    /// Removes one of its files.
    pub fn remove(&self, name: &str) {
        let _ = unlinkat(&self.descriptor, name, AtFlags::empty());
    }

    /// Path of one of its files.
    pub fn join(&self, name: &str) -> Vec<u8> {
        self.path
            .join(OsStr::new(name))
            .as_os_str()
            .as_bytes()
            .to_vec()
    }
}
