//! Bytecode made while indexing: for each Python source of the tree a `.pyc` that plain
//! CPython finds and accepts, as an entry of the manifest that the source tree does not have.
//!
//! Invariants:
//! - A `.pyc` is a function of the source's content, the interpreter's release and the
//!   optimisation level alone: not of its path, of the build, or of what was compiled before.
//!   So each content is compiled once for all paths, and once for all builds.
//! - It is *unchecked* (PEP 552): the manifest, which never changes, says that this bytecode
//!   belongs to that source.
//! - No source that cannot be compiled fails a build, and nothing of it is ever executed.
//! - Only regular files get bytecode. What a symbolic link leads to may change.

mod add;
mod interpreter;
mod known;
mod plan;
mod plant;
mod process;
mod worker;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use velo_core::id::ContentHash;
use velo_core::manifest::Manifest;
use velo_store::Store;

use crate::crew;
use crate::error::IndexError;
use crate::options::BuildOptions;
use interpreter::{Identity, Interpreter};

/// Where CPython looks for bytecode, beside the sources.
const CACHE_DIRECTORY: &[u8] = b"__pycache__";
/// Magic, flags, and the hash of the source or its time and size.
const HEADER_BYTES: usize = 16;
/// Start of the provenance keys that say what was added.
const PROVENANCE: &str = "bytecode ";

/// What was done about bytecode.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Bytecode {
    /// Sources that were compiled for this build.
    pub compiled: u64,
    /// Files of bytecode that were added without compiling: their source's content was
    /// compiled before, by an earlier build or for another path.
    pub reused: u64,
    /// Files of the source tree that are valid and stayed as they are.
    pub kept: u64,
    /// Files that there are not, because the source does not compile.
    pub skipped: u64,
}

/// One kind of bytecode: an interpreter and an optimisation level.
#[derive(Debug)]
struct Variant {
    interpreter: usize,
    identity: Identity,
    level: u8,
}

impl Variant {
    /// What stands between a source's name and `.pyc`.
    fn tag(&self) -> String {
        match self.level {
            0 => self.identity.tag.clone(),
            level => format!("{}.opt-{level}", self.identity.tag),
        }
    }

    /// Name of the bytecode of the source called `source`, which ends in `.py`.
    fn file_name(&self, source: &[u8]) -> Vec<u8> {
        let stem = source.strip_suffix(b".py").unwrap_or(source);
        [stem, b".", self.tag().as_bytes(), b".pyc"].concat()
    }

    /// Everything that decides its bytes besides the source; a file name in the store.
    fn key(&self) -> String {
        let magic = u32::from_be_bytes(self.identity.magic);
        format!("{}-{:08x}-{magic:08x}", self.tag(), self.identity.release)
    }
}

/// The bytecode that a build was asked for.
pub(crate) struct Compiler<'a> {
    options: &'a BuildOptions,
    store: &'a Store,
    directory: PathBuf,
    interpreters: Vec<Interpreter>,
    variants: Vec<Variant>,
}

impl<'a> Compiler<'a> {
    /// Finds the interpreters that `options` name; `None` if there are none.
    pub(crate) fn open(
        options: &'a BuildOptions,
        store: &'a Store,
    ) -> Result<Option<Self>, IndexError> {
        let wanted = &options.python;
        if wanted.interpreters.is_empty() {
            return Ok(None);
        }
        if options.exact {
            return Err(IndexError::ExactBytecode);
        }
        let directory = store.bytecode_directory()?;
        let interpreters = interpreter::find_all(
            &wanted.interpreters,
            &directory,
            options.no_cache,
            wanted.patience,
        )?;
        let mut levels = wanted.levels.clone();
        levels.sort_unstable();
        levels.dedup();
        let mut variants = Vec::new();
        for (interpreter, number) in interpreters.iter().zip(0..) {
            variants.extend(levels.iter().map(|&level| Variant {
                interpreter: number,
                identity: interpreter.identity.clone(),
                level,
            }));
        }
        Ok(Some(Self {
            options,
            store,
            directory,
            interpreters,
            variants,
        }))
    }

    /// What tells two kinds of builds apart.
    pub(crate) fn key(&self) -> String {
        let keys: Vec<_> = self.variants.iter().map(Variant::key).collect();
        keys.join(" ")
    }

    /// What an earlier build put into `manifest`, if all of it is still in the store.
    pub(crate) fn look_again(&self, manifest: &Manifest) -> Option<Bytecode> {
        if !self.is_complete(manifest) {
            return None;
        }
        let mut counts = Bytecode::default();
        for (key, value) in manifest.provenance() {
            if !key.starts_with(PROVENANCE.as_bytes()) {
                continue;
            }
            for word in std::str::from_utf8(value).ok()?.split(' ') {
                match word.split_once('=') {
                    Some(("added", count)) => counts.reused += count.parse::<u64>().ok()?,
                    Some(("kept", count)) => counts.kept += count.parse::<u64>().ok()?,
                    Some(("skipped", count)) => counts.skipped += count.parse::<u64>().ok()?,
                    _ => {}
                }
            }
        }
        Some(counts)
    }

    /// Whether the store has every file of a cache directory. Those of the source tree have
    /// been looked at by the scan; telling them apart is not worth it.
    fn is_complete(&self, manifest: &Manifest) -> bool {
        const BATCH: u32 = 1024;
        let count = manifest.header().entry_count;
        let (next, complete) = (AtomicUsize::new(0), AtomicBool::new(true));
        let is_there = |index: u32| {
            let is_directory = manifest.vnode(index).is_some_and(|vnode| vnode.is_dir());
            !is_directory
                || manifest.name(index) != Some(CACHE_DIRECTORY)
                || manifest.children(index).all(|child| {
                    manifest.vnode(child).is_some_and(|vnode| {
                        let hash = ContentHash::from_bytes(vnode.content_hash);
                        !vnode.is_file() || self.store.serves(&hash, vnode.size, false)
                    })
                })
        };
        crew::run(self.options.threads(), || {
            while complete.load(Ordering::Relaxed) {
                let begin = next.fetch_add(BATCH as usize, Ordering::Relaxed);
                let Some(begin) = u32::try_from(begin).ok().filter(|begin| *begin < count) else {
                    break;
                };
                if !(begin..count.min(begin.saturating_add(BATCH))).all(is_there) {
                    complete.store(false, Ordering::Relaxed);
                }
            }
        });
        complete.into_inner()
    }
}
