//! Why no manifest came of a source tree: what was expected, what was found, what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use velo_core::manifest::{NAME_BYTES_MAX, PATH_BYTES_MAX};

/// An error of the indexer. The message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The source does not exist, or a directory on the way to it cannot be searched.
    #[error(
        "{}: cannot open the source tree: {error}; name an existing directory that this user may read",
        Shown(path)
    )]
    Source {
        /// The source as it was given.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The source is something else than a directory.
    #[error(
        "{}: expected a directory to index, found a {found}; name the directory that holds it",
        Shown(path)
    )]
    NotDirectory {
        /// The source.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// Source and store overlap, so that indexing would index its own results.
    #[error(
        "{}: the source tree and the store ({}) must not contain each other; set VELO_ROOT (and VELO_VIEW_ROOT) to a place outside of it",
        Shown(source_path),
        Shown(store)
    )]
    OverlapsStore {
        /// The source.
        source_path: PathBuf,
        /// The store's root or its view root.
        store: PathBuf,
    },
    /// The manifest would be written into the tree that it describes.
    #[error(
        "{}: the manifest would become part of the tree that it describes ({}); write it to a place outside of it",
        Shown(output),
        Shown(source_path)
    )]
    OutputInside {
        /// The source.
        source_path: PathBuf,
        /// Where the manifest was to go.
        output: PathBuf,
    },
    /// The mount point is not a plain absolute path.
    #[error(
        "{}: expected an absolute mount point without `.` or `..`, of at most 4095 bytes with names of at most {NAME_BYTES_MAX}; give the path that programs will use",
        Shown(mount)
    )]
    Mount {
        /// What was given.
        mount: PathBuf,
    },
    /// The tree has files that a manifest cannot hold.
    #[error(
        "{paths}; a manifest holds directories, regular files and symbolic links only: remove them, or leave them out with --skip-special"
    )]
    Special {
        /// Which, and what they are.
        paths: Paths,
    },
    /// Parts of the tree cannot be read.
    #[error("{paths}; make the tree readable for this user, or index it as its owner")]
    Unreadable {
        /// Which, and why.
        paths: Paths,
    },
    /// The tree kept changing.
    #[error(
        "{paths}; the tree changed while it was indexed, {attempts} times in a row: stop what writes to it and index again"
    )]
    Changed {
        /// Which, and how.
        paths: Paths,
        /// How often it was tried.
        attempts: u32,
    },
    /// Names or paths that the format has no room for.
    #[error(
        "{paths}; a manifest holds names of at most {NAME_BYTES_MAX} bytes, and paths of at most {PATH_BYTES_MAX} below the source: shorten them"
    )]
    TooLong {
        /// Which, and how long.
        paths: Paths,
    },
    /// More entries than an entry number can tell apart.
    #[error(
        "{}: more than {max} entries in one tree; index its parts separately",
        Shown(path)
    )]
    TooManyEntries {
        /// The source.
        path: PathBuf,
        /// How many are possible.
        max: u32,
    },
    /// Part of the tree belongs to a file system that the kernel makes up as it goes.
    #[error(
        "{}: expected files, found a {found} file system of the kernel; unmount it or index a directory without it",
        Shown(path)
    )]
    PseudoFileSystem {
        /// Its mount point.
        path: PathBuf,
        /// Its kind.
        found: &'static str,
    },
    /// The process has no file descriptors left.
    #[error(
        "{}: too many open files; raise the limit (ulimit -n) or index with fewer threads",
        Shown(path)
    )]
    Descriptors {
        /// What could not be opened.
        path: PathBuf,
    },
    /// Anything else the operating system reports of the source.
    #[error("{}: cannot {action}: {error}", Shown(path))]
    Io {
        /// What was being done.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// An interpreter cannot make bytecode.
    #[error("{}: expected {expected}, found {found}; {remedy}", Shown(interpreter))]
    Python {
        /// As it was named.
        interpreter: PathBuf,
        /// What it should have been.
        expected: &'static str,
        /// What it is, or did.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// Bytecode is not in the source tree, so an exact manifest cannot have it.
    #[error(
        "expected either an exact manifest or bytecode, found both asked for; leave out one of --exact and --python"
    )]
    ExactBytecode,
    /// The store could not take the content.
    #[error(transparent)]
    Store(#[from] velo_store::StoreError),
    /// The manifest could not be written.
    #[error("{}: {error}", Shown(path))]
    Manifest {
        /// The source.
        path: PathBuf,
        /// Why not.
        error: velo_core::manifest::write::WriteError,
    },
}

/// Some paths of one kind of trouble: the first few in order of their names, and how many there
/// are in all. Displays as `first (why), second (why) and 5 more`.
#[derive(Clone, Default, Debug)]
pub struct Paths {
    /// The first, each with what is the matter with it.
    pub first: Vec<(PathBuf, String)>,
    /// How many there are in all.
    pub total: u64,
}

/// How many paths a message names.
const NAMED_MAX: usize = 5;
/// How many are kept to choose the first from.
const KEPT_MAX: usize = 1000;

impl Paths {
    pub(crate) fn add(&mut self, path: PathBuf, why: impl Into<String>) {
        self.total += 1;
        if self.first.len() < KEPT_MAX {
            self.first.push((path, why.into()));
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.total += other.total;
        self.first.extend(other.first);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Sorted and cut to what a message names.
    pub(crate) fn into_first(mut self) -> Self {
        self.first.sort();
        self.first.truncate(NAMED_MAX);
        self
    }
}

impl fmt::Display for Paths {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (path, why)) in self.first.iter().enumerate() {
            let comma = if position > 0 { ", " } else { "" };
            write!(out, "{comma}{} ({why})", Shown(path))?;
        }
        match self.total.saturating_sub(self.first.len() as u64) {
            0 => Ok(()),
            more => write!(out, " and {more} more"),
        }
    }
}

/// A path in a message: as it is if it can be printed on one line, else quoted and escaped.
pub(crate) struct Shown<'a>(pub(crate) &'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.to_str() {
            Some(text) if !text.is_empty() && !text.contains(char::is_control) => {
                out.write_str(text)
            }
            _ => write!(out, "{:?}", self.0),
        }
    }
}

/// What went wrong in one attempt to index a tree, gathered by each thread for itself.
#[derive(Default)]
pub(crate) struct Troubles {
    pub(crate) special: Paths,
    pub(crate) unreadable: Paths,
    pub(crate) changed: Paths,
    pub(crate) too_long: Paths,
    /// Ends the attempt at once.
    pub(crate) fatal: Option<IndexError>,
}

impl Troubles {
    pub(crate) fn merge(&mut self, other: Self) {
        self.special.merge(other.special);
        self.unreadable.merge(other.unreadable);
        self.changed.merge(other.changed);
        self.too_long.merge(other.too_long);
        if self.fatal.is_none() {
            self.fatal = other.fatal;
        }
    }

    /// Files an error met while doing `action` on `path`, which was there a moment ago.
    pub(crate) fn file(&mut self, action: &'static str, path: PathBuf, errno: Errno) {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE | Errno::NXIO => {
                self.changed.add(path, "vanished or replaced");
            }
            Errno::ACCESS | Errno::PERM | Errno::IO => {
                self.unreadable
                    .add(path, format!("cannot {action}: {}", io::Error::from(errno)));
            }
            Errno::MFILE | Errno::NFILE => self.fatal = Some(IndexError::Descriptors { path }),
            _ => {
                self.fatal = Some(IndexError::Io {
                    action,
                    path,
                    error: errno.into(),
                })
            }
        }
    }

    /// Whether nothing went wrong.
    pub(crate) fn is_none(&self) -> bool {
        let kinds = [
            &self.special,
            &self.unreadable,
            &self.changed,
            &self.too_long,
        ];
        self.fatal.is_none() && kinds.into_iter().all(Paths::is_empty)
    }

    /// Whether reading the content can be spared: there will be no manifest, and what is
    /// in the way is known already.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.fatal.is_some() || !self.special.is_empty() || !self.too_long.is_empty()
    }

    /// The error of what cannot be mended by trying again, if any.
    pub(crate) fn into_result(self) -> Result<(), IndexError> {
        if let Some(fatal) = self.fatal {
            return Err(fatal);
        }
        if !self.special.is_empty() {
            return Err(IndexError::Special {
                paths: self.special.into_first(),
            });
        }
        if !self.too_long.is_empty() {
            return Err(IndexError::TooLong {
                paths: self.too_long.into_first(),
            });
        }
        if !self.unreadable.is_empty() {
            return Err(IndexError::Unreadable {
                paths: self.unreadable.into_first(),
            });
        }
        Ok(())
    }
}
