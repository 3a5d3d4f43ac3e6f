//! Scratch directories that belong to this process and go away with it.
//!
//! One base directory a place and process, named by the process id, removed at exit. What an
//! earlier process left behind because it was killed is swept at the first use.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

const PREFIX: &str = "velo-abi-";

static BASES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A place for scratch directories.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// An ordinary file system: the temporary directory.
    Disk,
    /// Memory: `/dev/shm`, where the store of a test lives.
    Memory,
}

impl Place {
    fn directory(self) -> PathBuf {
        match self {
            Self::Disk => std::env::temp_dir(),
            Self::Memory => match std::env::var_os("VELO_ABI_STORE") {
                Some(path) => PathBuf::from(path),
                None if usable(Path::new("/dev/shm")) => PathBuf::from("/dev/shm"),
                None => std::env::temp_dir(),
            },
        }
    }
}

/// Whether half a gigabyte fits and programs may run there.
fn usable(path: &Path) -> bool {
    let Ok(text) = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()) else {
        return false;
    };
    // SAFETY: an all-zero statvfs is a valid value to be overwritten.
    let mut answer: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: a NUL-terminated path and a place for the answer.
    if unsafe { libc::statvfs(text.as_ptr(), &raw mut answer) } != 0 {
        return false;
    }
    answer.f_bavail * answer.f_frsize >= 512 << 20 && answer.f_flag & libc::ST_NOEXEC == 0
}

/// A fresh directory in `place`, mode 0755; `name` is there for people.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn directory(place: Place, name: &str) -> PathBuf {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = base(place).join(format!("{number}-{name}"));
    std::fs::create_dir(&path).unwrap_or_else(|error| panic!("mkdir {}: {error}", path.display()));
    open_to_all(&path);
    path
}

/// The directory in `place` that holds all scratch directories of this process.
#[must_use]
pub fn base(place: Place) -> PathBuf {
    let parent = place.directory();
    let path = parent.join(format!("{PREFIX}{}", std::process::id()));
    let mut bases = BASES
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if !bases.contains(&path) {
        sweep(&parent);
        if bases.is_empty() {
            // SAFETY: `at_exit` is an ordinary function that never unwinds into C.
            unsafe { libc::atexit(at_exit) };
        }
        let _ = std::fs::create_dir(&path);
        open_to_all(&path);
        bases.push(path.clone());
    }
    path
}

/// The `TMPDIR` of all commands: every user may write there.
#[must_use]
pub fn temporary() -> PathBuf {
    let path = base(Place::Disk).join("tmp");
    if std::fs::create_dir(&path).is_ok() {
        let _ = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o1777));
    }
    path
}

fn open_to_all(path: &Path) {
    let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755));
}

extern "C" fn at_exit() {
    if std::env::var_os("VELO_ABI_KEEP").is_some() {
        return;
    }
    if let Ok(bases) = BASES.lock() {
        for path in bases.iter() {
            remove(path);
        }
    }
}

/// Removes what dead processes left in `parent`.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .and_then(|id| id.parse::<u32>().ok());
        if owner.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            remove(&entry.path());
        }
    }
}

/// Removes a tree, whatever the modes of its directories.
pub fn remove(path: &Path) {
    if std::fs::remove_dir_all(path).is_err() {
        let _ = std::process::Command::new("chmod")
            .args(["-R", "u+rwX"])
            .arg(path)
            .status();
        let _ = std::fs::remove_dir_all(path);
    }
}
