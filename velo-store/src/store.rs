//! The open store: its directories, created and checked once.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, chmodat, fstat, mkdirat, openat};
use rustix::io::Errno;
use velo_core::store_layout::{
    BYTECODE_DIRECTORY, CAS_DIRECTORY, CURRENT_FILE, HOOKS_DIRECTORY, INDEX_DIRECTORY,
    MANIFESTS_DIRECTORY, VIEW_ROOT_VARIABLE, VIEWS_DIRECTORY,
};

use crate::temporary::{self, Way};
use crate::{Root, Space, StoreError};

/// Leftovers of killed builders are removed by an open that comes this much later.
/// Work in progress is protected by its lock; the age is for file systems without locks
/// and for the moment between creating and locking.
pub(crate) const LEFTOVER_AGE: Duration = Duration::from_secs(600);

/// Mode of the directories: others may pass, and open what they know the name of.
pub(crate) const PASSABLE: Mode = Mode::from_bits_retain(0o711);

/// An open store. Cheap to share between threads; every method takes `&self`.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    root_fd: OwnedFd,
    cas: OwnedFd,
    pub(crate) memory: bool,
    pub(crate) view_root_wanted: Option<PathBuf>,
    pub(crate) stamp_sticks: AtomicBool,
    way: OnceLock<Way>,
}

impl Store {
    /// Opens the store at `root`, creating what is missing of it (directories 0711).
    /// Removes leftovers of builders that were killed some time ago.
    ///
    /// # Errors
    /// [`StoreError::RootUnsafe`] for a default root that somebody else could change;
    /// [`StoreError::ReadOnly`] or [`StoreError::Denied`] if something is missing and
    /// cannot be created.
    pub fn open_or_create(root: &Path) -> Result<Self, StoreError> {
        create_directories(root, "create the store root")?;
        let store = Self::open_with(root, true)?;
        // A store that this user cannot write to has nothing for this user to clean.
        let _cleaned = store.clean_leftovers(LEFTOVER_AGE);
        Ok(store)
    }

    /// Opens a store that exists, changing nothing.
    ///
    /// # Errors
    /// As [`Store::open_or_create`], and if there is no store.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Self::open_with(root, false)
    }

    fn open_with(root: &Path, create: bool) -> Result<Self, StoreError> {
        let guarded = Root::is_default(root);
        let follow = if guarded {
            OFlags::NOFOLLOW
        } else {
            OFlags::empty()
        };
        let root_fd = openat(CWD, root, DIRECTORY_FLAGS | follow, Mode::empty())
            .map_err(|errno| StoreError::from_errno("open the store root", root, errno))?;
        if guarded {
            check_safe(&root_fd, root)?;
        }
        for name in [CAS_DIRECTORY, MANIFESTS_DIRECTORY, INDEX_DIRECTORY] {
            let path = root.join(name);
            if create {
                ensure_directory(&root_fd, name, &path)?;
            }
            if guarded {
                check_safe(open_passable(&root_fd, name, &path)?, &path)?;
            }
        }
        for name in [VIEWS_DIRECTORY, CURRENT_FILE] {
            // Made only when they are needed; the views may be a link.
            let found = rustix::fs::statat(&root_fd, name, AtFlags::SYMLINK_NOFOLLOW);
            if let (true, Ok(stat)) = (guarded, found) {
                check_owner(&stat, &root.join(name))?;
            }
        }
        let cas = open_passable(&root_fd, CAS_DIRECTORY, &root.join(CAS_DIRECTORY))?;
        let memory = Space::of(&cas).is_ok_and(|space| space.memory);
        Ok(Self {
            root: root.to_path_buf(),
            root_fd,
            cas,
            memory,
            view_root_wanted: std::env::var_os(VIEW_ROOT_VARIABLE)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
            stamp_sticks: AtomicBool::new(false),
            way: OnceLock::new(),
        })
    }

    /// The same store with its view trees at `view_root`, whatever `VELO_VIEW_ROOT` says.
    #[must_use]
    pub fn with_view_root(mut self, view_root: PathBuf) -> Self {
        self.view_root_wanted = Some(view_root);
        self
    }

    /// The store root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Directory of the stat caches, for the indexer.
    #[must_use]
    pub fn index_directory(&self) -> PathBuf {
        self.root.join(INDEX_DIRECTORY)
    }

    /// Directory of what is known of bytecode, for the indexer; made now if it is missing.
    ///
    /// # Errors
    /// As [`Store::open_or_create`].
    pub fn bytecode_directory(&self) -> Result<PathBuf, StoreError> {
        self.own_directory(BYTECODE_DIRECTORY)
    }

    /// The directory of the packages that language hooks are made of, created if it is missing.
    ///
    /// # Errors
    /// As [`Store::open_or_create`].
    pub fn hooks_directory(&self) -> Result<PathBuf, StoreError> {
        self.own_directory(HOOKS_DIRECTORY)
    }

    fn own_directory(&self, name: &str) -> Result<PathBuf, StoreError> {
        let path = self.root.join(name);
        ensure_directory(&self.root_fd, name, &path)?;
        if Root::is_default(&self.root) {
            check_safe(open_passable(&self.root_fd, name, &path)?, &path)?;
        }
        Ok(path)
    }

    /// Removes what killed builders left behind at least `age_min` ago and nobody holds
    /// a lock on. Returns how many blobs, manifests and view trees under construction
    /// were removed.
    ///
    /// # Errors
    /// If one of the directories cannot be listed.
    pub fn clean_leftovers(&self, age_min: Duration) -> Result<u64, StoreError> {
        let mut removed = 0;
        for name in [
            "",
            CAS_DIRECTORY,
            MANIFESTS_DIRECTORY,
            INDEX_DIRECTORY,
            BYTECODE_DIRECTORY,
            VIEWS_DIRECTORY,
        ] {
            let path = self.root.join(name);
            let place = match openat(
                &self.root_fd,
                place_name(name),
                DIRECTORY_FLAGS,
                Mode::empty(),
            ) {
                Ok(place) => place,
                Err(Errno::NOENT) => continue,
                Err(errno) => {
                    return Err(StoreError::from_errno("open the directory", &path, errno));
                }
            };
            removed += temporary::clean(place, age_min)
                .map_err(|errno| StoreError::from_errno("list the directory", &path, errno))?;
        }
        Ok(removed)
    }

    pub(crate) fn root_fd(&self) -> BorrowedFd<'_> {
        self.root_fd.as_fd()
    }

    pub(crate) fn cas(&self) -> BorrowedFd<'_> {
        self.cas.as_fd()
    }

    /// How files get their names here; tried out at the first write.
    pub(crate) fn way(&self) -> Result<Way, StoreError> {
        if let Some(way) = self.way.get() {
            return Ok(*way);
        }
        let path = self.root.join(CAS_DIRECTORY);
        let way = Way::probe(self.cas())
            .map_err(|errno| StoreError::from_errno("create a file", &path, errno))?;
        Ok(*self.way.get_or_init(|| way))
    }

    /// The barrier before something is published: all written so far is on the disk.
    /// Nothing to do for a root in memory.
    pub(crate) fn barrier(&self) -> Result<(), StoreError> {
        if self.memory {
            return Ok(());
        }
        let readable = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(&self.cas, ".", readable, Mode::empty())
            .and_then(rustix::fs::syncfs)
            .map_err(|errno| StoreError::from_errno("sync the store", &self.root, errno))
    }
}

/// Directories are opened as mere places: that needs no read permission.
const DIRECTORY_FLAGS: OFlags = OFlags::from_bits_retain(
    OFlags::PATH.bits() | OFlags::DIRECTORY.bits() | OFlags::CLOEXEC.bits(),
);

fn place_name(name: &str) -> &str {
    if name.is_empty() { "." } else { name }
}

/// Makes sure that `path` is a directory: its parents as usual, itself with mode 0711.
pub(crate) fn create_directories(path: &Path, action: &'static str) -> Result<(), StoreError> {
    // Asked first: a read-only file system says EROFS even of what exists.
    if path.is_dir() {
        return Ok(());
    }
    let failed = |errno| StoreError::from_errno(action, path, errno);
    if let Some(parent) = path.parent()
        && let Err(error) = std::fs::create_dir_all(parent)
    {
        return Err(failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)));
    }
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| failed(Errno::INVAL))?;
    match make_directory(CWD, &name) {
        // Somebody else was faster; whatever it is, opening it will tell.
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(failed(errno)),
    }
}

/// Makes sure that directory `name` exists; one that exists keeps its mode.
pub(crate) fn ensure_directory(
    parent: impl AsFd,
    name: &str,
    path: &Path,
) -> Result<(), StoreError> {
    if rustix::fs::statat(&parent, name, AtFlags::empty()).is_ok_and(|stat| is_directory(&stat)) {
        return Ok(());
    }
    let failed = |errno| StoreError::from_errno("create the directory", path, errno);
    let name = CString::new(name).map_err(|_| failed(Errno::INVAL))?;
    match make_directory(parent, &name) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(failed(errno)),
    }
}

/// mkdirat with mode 0711, whatever the umask.
pub(crate) fn make_directory(parent: impl AsFd, name: &CString) -> rustix::io::Result<()> {
    mkdirat(&parent, name, PASSABLE)?;
    chmodat(&parent, name, PASSABLE, AtFlags::empty())
}

fn open_passable(parent: &OwnedFd, name: &str, path: &Path) -> Result<OwnedFd, StoreError> {
    openat(parent, name, DIRECTORY_FLAGS, Mode::empty())
        .map_err(|errno| StoreError::from_errno("open the directory", path, errno))
}

fn is_directory(stat: &rustix::fs::Stat) -> bool {
    rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir()
}

/// Refuses a directory that somebody else than this user and root could have made or
/// could replace things in.
pub(crate) fn check_safe(directory: impl AsFd, path: &Path) -> Result<(), StoreError> {
    let stat = fstat(directory)
        .map_err(|errno| StoreError::from_errno("look at the directory", path, errno))?;
    check_owner(&stat, path)
}

/// The same of what was looked at.
fn check_owner(stat: &rustix::fs::Stat, path: &Path) -> Result<(), StoreError> {
    let uid = rustix::process::geteuid().as_raw();
    let unsafe_as = |found| StoreError::RootUnsafe {
        path: path.to_path_buf(),
        uid,
        found,
    };
    if stat.st_uid != uid && stat.st_uid != 0 {
        return Err(unsafe_as(format!("one of user {}", stat.st_uid)));
    }
    let open_to_others = stat.st_mode & 0o022 != 0 && stat.st_mode & 0o1000 == 0;
    if open_to_others && !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_symlink() {
        return Err(unsafe_as(format!("mode {:04o}", stat.st_mode & 0o7777)));
    }
    Ok(())
}
