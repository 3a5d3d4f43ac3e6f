//! What a caller can choose about a build.

use std::path::PathBuf;

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
    /// Record the extended attributes `user.*` and `security.capability` where there
    /// are any. An unchanged tree pays nothing for it.
    pub xattrs: bool,
    /// Threads; 0 for as many as there are cores.
    pub threads: usize,
    /// Read every file again, whatever the stat cache knows.
    pub no_cache: bool,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            mount: None,
            output: None,
            exact: false,
            special: Special::Refuse,
            xattrs: true,
            threads: 0,
            no_cache: false,
        }
    }
}

impl BuildOptions {
    /// Number of threads to use.
    pub(crate) fn threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// Digest of what decides the manifest's bytes besides the tree: the options, and
    /// the very program, since another one may write something else.
    pub(crate) fn fingerprint(&self, mount: &[u8]) -> Fingerprint {
        let mut hasher = blake3::Hasher::new();
        hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
        hasher.update(&[0, u8::from(self.exact), u8::from(self.xattrs)]);
        hasher.update(mount);
        if let Ok(program) = rustix::fs::stat("/proc/self/exe") {
            let (mtime, nsec) = (program.st_mtime, program.st_mtime_nsec);
            hasher.update(
                format!("{}.{}.{mtime}.{nsec}", program.st_ino, program.st_size).as_bytes(),
            );
        }
        Fingerprint(*hasher.finalize().as_bytes())
    }
}
