//! What a caller can choose about a build.

use std::path::PathBuf;
use std::time::Duration;

use crate::bytecode::Compiler;
use crate::cache::Fingerprint;

/// What to do with sockets, fifos and devices, which a manifest cannot hold.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Special {
    /// Refuse the tree, naming them.
    #[default]
    Refuse,
    /// Leave them out, with a warning.
    Skip,
}

/// Which extended attributes of files and directories a manifest records. Never those of
/// symbolic links, and never `trusted.*`, which only privileged programs may see.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Xattrs {
    /// None.
    None,
    /// `user.*` and `security.capability`: what means the same on every machine.
    #[default]
    User,
    /// Also the rest of `security.*` and POSIX ACLs (`system.*`), to be shown and not
    /// enforced.
    All,
}

impl Xattrs {
    /// Whether an attribute of this name is recorded.
    pub(crate) fn records(self, name: &[u8]) -> bool {
        match self {
            Self::None => false,
            Self::User => name.starts_with(b"user.") || name == b"security.capability",
            Self::All => !name.is_empty() && !name.starts_with(b"trusted."),
        }
    }
}

/// Bytecode to make for the Python sources of a tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Python {
    /// The interpreters to make it with: names in `PATH` or paths. None: no bytecode.
    pub interpreters: Vec<PathBuf>,
    /// Optimisation levels: 0, 1 (`-O`) and 2 (`-OO`).
    pub levels: Vec<u8>,
    /// How long an interpreter may take to say what it is; and how much processor time for
    /// one source, in whole seconds.
    pub patience: Duration,
}

impl Default for Python {
    fn default() -> Self {
        Self {
            interpreters: Vec::new(),
            levels: vec![0],
            patience: Duration::from_secs(60),
        }
    }
}

/// More threads than this only wait for each other.
const THREADS_MAX: usize = 256;

/// How to build a manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuildOptions {
    /// Where programs will see the tree; by default where it stands now (its canonical
    /// path).
    pub mount: Option<PathBuf>,
    /// Where the caller will write the manifest: refused if that is inside the source,
    /// for the tree would change with every build.
    pub output: Option<PathBuf>,
    /// Record inode numbers, link counts, blocks, atimes, ctimes and birth times too.
    pub exact: bool,
    /// Sockets, fifos and devices.
    pub special: Special,
    /// Extended attributes. An unchanged tree pays nothing for them.
    pub xattrs: Xattrs,
    /// Threads, at most 256 and fewer if the system gives no more; 0 for as many as there
    /// are cores.
    pub threads: usize,
    /// Bytecode.
    pub python: Python,
    /// Read every file and compile every source again, whatever earlier builds knew.
    pub no_cache: bool,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            mount: None,
            output: None,
            exact: false,
            special: Special::Refuse,
            xattrs: Xattrs::default(),
            threads: 0,
            python: Python::default(),
            no_cache: false,
        }
    }
}

impl BuildOptions {
    /// Number of threads to use.
    pub(crate) fn threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads.min(THREADS_MAX),
        }
    }

    /// Digest of what decides the manifest's bytes besides the tree: the options, and
    /// the very program, since another one may write something else.
    pub(crate) fn fingerprint(&self, mount: &[u8], compiler: Option<&Compiler>) -> Fingerprint {
        let mut hasher = blake3::Hasher::new();
        hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
        hasher.update(&[0, u8::from(self.exact), self.xattrs as u8]);
        hasher.update(mount);
        // No mount has a NUL.
        let bytecode = compiler.map(Compiler::key).unwrap_or_default();
        hasher.update(&[0]).update(bytecode.as_bytes()).update(&[0]);
        if let Ok(program) = rustix::fs::stat("/proc/self/exe") {
            let (mtime, nsec) = (program.st_mtime, program.st_mtime_nsec);
            hasher.update(
                format!("{}.{}.{mtime}.{nsec}", program.st_ino, program.st_size).as_bytes(),
            );
        }
        Fingerprint(*hasher.finalize().as_bytes())
    }
}
