//! What can go wrong in the store, said so that a person can act on it: what was
//! expected, what was found, what to do.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use velo_core::id::ContentHash;

/// An error of the store. The message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// `VELO_ROOT` or `VELO_VIEW_ROOT` cannot be used as it stands.
    #[error(
        "{variable} must be an absolute path of at most 4000 bytes, found {value:?}; set it so, or unset it"
    )]
    Variable {
        /// Name of the environment variable.
        variable: &'static str,
        /// What it holds.
        value: PathBuf,
    },
    /// A directory of a default root could be changed by somebody else.
    #[error(
        "{path}: expected what belongs to user {uid} or root and nobody else can replace, found {found}; remove it, or set VELO_ROOT to a directory of your own"
    )]
    RootUnsafe {
        /// The directory.
        path: PathBuf,
        /// The user that runs this.
        uid: u32,
        /// What is wrong with it.
        found: String,
    },
    /// The file system is full (ENOSPC).
    #[error(
        "{path}: no space left: {needed_bytes} bytes needed, {free_bytes} free; make room or enlarge it, or set VELO_ROOT to a larger place"
    )]
    NoSpace {
        /// What was being written, or where.
        path: PathBuf,
        /// Bytes this one write needed; 0 if it was a name that did not fit.
        needed_bytes: u64,
        /// Bytes free for this user.
        free_bytes: u64,
    },
    /// The user's quota is used up (EDQUOT).
    #[error(
        "{path}: the disk quota of user {uid} is used up ({needed_bytes} bytes needed); free some or raise it, or set VELO_ROOT to another file system"
    )]
    QuotaExceeded {
        /// What was being written, or where.
        path: PathBuf,
        /// The user that runs this.
        uid: u32,
        /// Bytes this one write needed.
        needed_bytes: u64,
    },
    /// A file of this size is not allowed (EFBIG): file system or `RLIMIT_FSIZE`.
    #[error(
        "{path}: a file of {needed_bytes} bytes is larger than the file system or the limit of this process (ulimit -f) allows; raise the limit or set VELO_ROOT to another file system"
    )]
    TooLarge {
        /// What was being written.
        path: PathBuf,
        /// Size that was needed.
        needed_bytes: u64,
    },
    /// The file system is mounted read-only (EROFS).
    #[error(
        "{path}: cannot {action}: the file system is read-only; mount it read-write or set VELO_ROOT to a writable place"
    )]
    ReadOnly {
        /// What was being done.
        action: &'static str,
        /// On what.
        path: PathBuf,
    },
    /// The operating system refused (EACCES, EPERM).
    #[error(
        "{path}: user {uid} may not {action}; run as the owner of the store or set VELO_ROOT to a directory of your own"
    )]
    Denied {
        /// What was being done.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The user that runs this.
        uid: u32,
    },
    /// A source file cannot be opened or read.
    #[error(
        "{path}: cannot read the source file: {error}; make it readable for user {uid}, or leave it out"
    )]
    SourceUnreadable {
        /// The source.
        path: PathBuf,
        /// The user that runs this.
        uid: u32,
        /// Why.
        error: io::Error,
    },
    /// A source is not a regular file, so it has no content to store.
    #[error(
        "{path}: expected a regular file, found a {found}; only regular files have content to store"
    )]
    NotRegular {
        /// The source.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A source kept changing while it was read.
    #[error(
        "{path}: changed while it was read, {attempts} times in a row ({found}); stop what writes it and index again"
    )]
    SourceChanged {
        /// The source.
        path: PathBuf,
        /// How often it was tried.
        attempts: u32,
        /// What changed in the last attempt.
        found: String,
    },
    /// A blob is not in the store.
    #[error(
        "blob:{blob} is not in the store (expected {path}); index its source again (velo-ctl build-manifest) or copy it from another store"
    )]
    BlobMissing {
        /// Its hash.
        blob: ContentHash,
        /// Where it should be.
        path: PathBuf,
    },
    /// A blob is not what its name says.
    #[error(
        "blob:{blob} is damaged: {path}: expected {expected}, found {found}; index its source again (velo-ctl build-manifest) to repair it"
    )]
    BlobDamaged {
        /// Its hash.
        blob: ContentHash,
        /// Where it is.
        path: PathBuf,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Part of a view tree is not what the manifest says.
    #[error(
        "{path}: the view is damaged: expected {expected}, found {found}; remove {view} (chmod -R u+w it first) and run velo-ctl use"
    )]
    ViewDamaged {
        /// The part.
        path: PathBuf,
        /// The whole view tree.
        view: PathBuf,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Programs cannot be executed where the view trees would be.
    #[error("{path}: expected a place where programs may be executed, found a file system mounted noexec; {}", if *.variable { "set VELO_VIEW_ROOT to another place" } else { "set VELO_VIEW_ROOT to a place that is not (/var/tmp, /tmp and the cache directory were tried)" })]
    NoExec {
        /// The view root.
        path: PathBuf,
        /// `VELO_VIEW_ROOT` names it.
        variable: bool,
    },
    /// A manifest does not verify, so it is not published or used.
    #[error(
        "{path}: the manifest is not valid: {reason}; build it again (velo-ctl build-manifest)"
    )]
    ManifestInvalid {
        /// The manifest, or where it was to be published.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Blobs of a manifest are missing or damaged, so it is not published.
    #[error(
        "{path}: not published: {count} blobs are missing or damaged; the first is that of {entry}: {first}"
    )]
    ManifestIncomplete {
        /// Where it was to be published.
        path: PathBuf,
        /// How many blobs.
        count: usize,
        /// Path of the first entry that needs one of them.
        entry: PathBuf,
        /// What is wrong with its blob.
        first: Box<StoreError>,
    },
    /// A manifest cannot be published under this name.
    #[error(
        "{path}: expected a name for the manifest in an existing directory, found {found}; name a file, as in {example}"
    )]
    Destination {
        /// The name.
        path: PathBuf,
        /// What is there.
        found: &'static str,
        /// A name that would do.
        example: PathBuf,
    },
    /// A path that the list of current manifests cannot hold.
    #[error(
        "{path:?}: expected an absolute path without ':' and line ends; rename the manifest or give its full path"
    )]
    ManifestPath {
        /// The path.
        path: PathBuf,
    },
    /// The file system does not keep the nanoseconds of an mtime.
    #[error(
        "{path}: expected the mtime {expected} to stick, found {found}: the file system keeps coarse timestamps only; set VELO_ROOT to tmpfs, xfs, btrfs or ext4 with 256-byte inodes"
    )]
    StampLost {
        /// The file or directory.
        path: PathBuf,
        /// Seconds and nanoseconds that were set.
        expected: String,
        /// Seconds and nanoseconds that were read back.
        found: String,
    },
    /// Anything else the operating system reports.
    #[error("{path}: cannot {action}: {error}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

impl StoreError {
    /// The error for `errno`, met while doing `action` on `path`.
    pub(crate) fn from_errno(action: &'static str, path: &Path, errno: Errno) -> Self {
        Self::while_writing(action, path, 0, errno)
    }

    /// Same, for a write that needed `needed_bytes`.
    pub(crate) fn while_writing(
        action: &'static str,
        path: &Path,
        needed_bytes: u64,
        errno: Errno,
    ) -> Self {
        let path = path.to_path_buf();
        let uid = rustix::process::geteuid().as_raw();
        match errno {
            Errno::NOSPC => {
                let free_bytes = crate::space::free_bytes_near(&path);
                Self::NoSpace {
                    path,
                    needed_bytes,
                    free_bytes,
                }
            }
            Errno::DQUOT => Self::QuotaExceeded {
                path,
                uid,
                needed_bytes,
            },
            Errno::FBIG => Self::TooLarge { path, needed_bytes },
            Errno::ROFS => Self::ReadOnly { action, path },
            Errno::ACCESS | Errno::PERM => Self::Denied { action, path, uid },
            other => Self::Io {
                action,
                path,
                error: other.into(),
            },
        }
    }
}
