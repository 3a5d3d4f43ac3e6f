//! Where the view trees are: a place where programs may be executed.
//!
//! Everybody finds them the same way: `VELO_VIEW_ROOT`, else `<root>/views`. Where the
//! root is mounted noexec, as /dev/shm is in most containers, `<root>/views` is made a
//! symbolic link to a directory of the user's in a better place.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, fstat, openat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use velo_core::store_layout::{VIEW_ROOT_VARIABLE, VIEWS_DIRECTORY};

use crate::store::{check_safe, ensure_directory};
use crate::{Space, Store, StoreError};

/// An open view root.
pub(crate) struct ViewRoot {
    pub(crate) fd: OwnedFd,
    pub(crate) path: PathBuf,
    pub(crate) space: Space,
}

impl ViewRoot {
    fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |errno| StoreError::from_errno("open the view root", path, errno);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = match openat(CWD, path, flags, Mode::empty()) {
            // Somebody else's: passing through it is enough for reading.
            Err(Errno::ACCESS) => openat(CWD, path, flags | OFlags::PATH, Mode::empty()),
            other => other,
        }
        .map_err(failed)?;
        let space = Space::of(&fd).map_err(failed)?;
        Ok(Self {
            fd,
            path: path.to_path_buf(),
            space,
        })
    }
}

impl Store {
    /// The place of the view trees, created if it does not exist. With `needs_exec`, one
    /// where programs may be executed.
    pub(crate) fn view_root(&self, needs_exec: bool) -> Result<ViewRoot, StoreError> {
        let chosen = match &self.view_root_wanted {
            Some(wanted) => self.named_view_root(wanted)?,
            None => self.default_view_root()?,
        };
        if needs_exec && chosen.space.noexec {
            let variable = self.view_root_wanted.is_some();
            return Err(StoreError::NoExec {
                path: chosen.path,
                variable,
            });
        }
        Ok(chosen)
    }

    /// The same place, not created and not even looked at.
    pub(crate) fn view_root_path(&self) -> PathBuf {
        match &self.view_root_wanted {
            Some(wanted) => wanted.clone(),
            None => self.root().join(VIEWS_DIRECTORY),
        }
    }

    fn named_view_root(&self, wanted: &Path) -> Result<ViewRoot, StoreError> {
        if !wanted.is_absolute() {
            let value = wanted.to_path_buf();
            return Err(StoreError::Variable {
                variable: VIEW_ROOT_VARIABLE,
                value,
            });
        }
        if !wanted.is_dir() {
            crate::store::create_directories(wanted, "create the view root")?;
        }
        ViewRoot::open(wanted)
    }

    fn default_view_root(&self) -> Result<ViewRoot, StoreError> {
        let path = self.root().join(VIEWS_DIRECTORY);
        let found = statat(self.root_fd(), VIEWS_DIRECTORY, AtFlags::SYMLINK_NOFOLLOW);
        let kind = found.map(|stat| FileType::from_raw_mode(stat.st_mode));
        match kind {
            Ok(FileType::Symlink) => match ViewRoot::open(&path) {
                Ok(linked) => {
                    self.check_owner(&linked)?;
                    return Ok(linked);
                }
                // What it points to was cleaned away, as happens in temporary places.
                Err(_) if !path.exists() => {
                    unlinkat(self.root_fd(), VIEWS_DIRECTORY, AtFlags::empty()).map_err(
                        |errno| StoreError::from_errno("replace the broken link", &path, errno),
                    )?;
                }
                Err(error) => return Err(error),
            },
            Ok(_) => {
                let here = ViewRoot::open(&path)?;
                // With views in it, it stays: programs may be running from them.
                let emptied = here.space.noexec
                    && unlinkat(self.root_fd(), VIEWS_DIRECTORY, AtFlags::REMOVEDIR).is_ok();
                if !emptied {
                    return Ok(here);
                }
            }
            Err(_) => {}
        }
        let root_space = Space::of(self.root_fd()).map_err(|errno| {
            StoreError::from_errno("look at the store root", self.root(), errno)
        })?;
        if root_space.noexec
            && let Some(better) = fallback()
        {
            match symlinkat(&better, self.root_fd(), VIEWS_DIRECTORY) {
                Ok(()) | Err(Errno::EXIST) => return ViewRoot::open(&path),
                Err(errno) => {
                    return Err(StoreError::from_errno("link the view root", &path, errno));
                }
            }
        }
        ensure_directory(self.root_fd(), VIEWS_DIRECTORY, &path)?;
        ViewRoot::open(&path)
    }

    /// A linked view root must be as trustworthy as the store that links to it.
    fn check_owner(&self, linked: &ViewRoot) -> Result<(), StoreError> {
        let theirs = fstat(&linked.fd).map(|stat| stat.st_uid);
        let ours = fstat(self.cas()).map(|stat| stat.st_uid);
        if theirs.is_ok() && theirs == ours {
            return Ok(());
        }
        check_safe(&linked.fd, &linked.path)
    }
}

/// A directory of this user's, outside the store, where programs may be executed.
fn fallback() -> Option<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    let shared = ["/var/tmp", "/tmp"].map(|place| Path::new(place).join(format!("velo-{uid}")));
    let places = shared
        .into_iter()
        .chain(cache.map(|cache| cache.join("velo")));
    places
        .filter(|place| place.is_absolute())
        .find_map(|place| safe_views_in(&place).ok().flatten())
}

/// `place/views`, if it is or can be made this user's own and is good for executing.
fn safe_views_in(place: &Path) -> Result<Option<PathBuf>, StoreError> {
    crate::store::create_directories(place, "create the view root")?;
    let open = |parent: &dyn AsFd, name: &Path, shown: &Path| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(parent.as_fd(), name, flags, Mode::empty())
            .map_err(|errno| StoreError::from_errno("open the view root", shown, errno))?;
        check_safe(&fd, shown).map(|()| fd)
    };
    let outer = open(&CWD, place, place)?;
    let views = place.join(VIEWS_DIRECTORY);
    ensure_directory(&outer, VIEWS_DIRECTORY, &views)?;
    let inner = open(&outer, Path::new(VIEWS_DIRECTORY), &views)?;
    let usable = Space::of(&inner).is_ok_and(|space| !space.noexec && !space.read_only);
    Ok(usable.then_some(views))
}
