//! One build from beginning to end: scan, ingest, write, remember.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use velo_core::manifest::Manifest;
use velo_core::store_layout::manifest_suffix;
use velo_store::Store;

use crate::adapters;
use crate::assemble::{self, Parts};
use crate::attributes::{self, Attributes};
use crate::bytecode::{Bytecode, Compiler};
use crate::cache::{About, Cache, Fingerprint, encode, save, set_result};
use crate::error::{IndexError, Shown, Troubles};
use crate::ingest::{Counts, Ingest};
use crate::options::{BuildOptions, Special};
use crate::progress::{Amount, Progress};
use crate::scan::{Scan, Scanned};
use crate::source::{Source, last_name};
use crate::tree::{Content, Tree};

/// How often a tree that changes under the build is tried, with pauses of 10, 40 and
/// 160 ms. What was read before is not read again.
const ATTEMPTS: u32 = 4;

/// A finished manifest.
#[derive(Debug)]
pub struct Built {
    /// The manifest, to be published as it is.
    pub bytes: Vec<u8>,
    /// What was done for it.
    pub summary: Summary,
}

/// What a build did and found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Summary {
    /// Entries in the manifest, the root included.
    pub entries: u64,
    /// Directories, the root included.
    pub dirs: u64,
    /// Regular files, by name (a file with two names counts twice).
    pub files: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Bytes of the regular files, by name.
    pub bytes: u64,
    /// Blobs that were not in the store before.
    pub new_blobs: u64,
    /// Bytes of them.
    pub new_bytes: u64,
    /// Bytes that cost nothing, because the store had them or because several files are
    /// the same: `bytes - new_bytes`.
    pub dedup_bytes: u64,
    /// Files whose content the stat cache knew.
    pub cached_files: u64,
    /// Files that were read.
    pub hashed_files: u64,
    /// Bytes that were read.
    pub hashed_bytes: u64,
    /// Packages that the adapters found.
    pub packages: u64,
    /// Nothing at all had changed since the manifest was last built: the bytes are that
    /// one's.
    pub unchanged: bool,
    /// What was done about bytecode, if any was asked for.
    pub bytecode: Option<Bytecode>,
    /// What a user may want to know, one line each.
    pub warnings: Vec<String>,
    /// Time for names and metadata, milliseconds.
    pub scan_ms: u64,
    /// Time for content, milliseconds.
    pub ingest_ms: u64,
    /// Time for bytecode and the manifest's bytes, milliseconds.
    pub write_ms: u64,
}

/// Indexes the tree at `source`: its content goes into `store`, its manifest is
/// returned.
///
/// # Errors
/// See [`IndexError`]: each says which paths, and what to do.
pub fn build(
    source: &Path,
    options: &BuildOptions,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Built, IndexError> {
    let source = Source::open(source, options, store)?;
    let compiler = Compiler::open(options, store)?;
    let job = Job {
        key: source.key(),
        fingerprint: options.fingerprint(&source.mount, compiler.as_ref()),
        compiler,
        source,
        options,
        store,
        progress,
    };
    let path = Cache::path(&store.index_directory(), &job.key);
    let mut cache = if options.no_cache {
        None
    } else {
        Cache::load(&path, &job.key)
    };
    let mut attempt = 1;
    loop {
        let mut done = job.attempt(cache.as_ref())?;
        if done.troubles.changed.is_empty() {
            return job.finish(done, &path);
        }
        if attempt == ATTEMPTS {
            let paths = std::mem::take(&mut done.troubles.changed).into_first();
            return Err(IndexError::Changed {
                paths,
                attempts: ATTEMPTS,
            });
        }
        std::thread::sleep(Duration::from_millis(10 << (2 * (attempt - 1))));
        attempt += 1;
        if done.ingested
            && let Some(bytes) = job.encode(&done)
        {
            cache = Cache::from_bytes(bytes, &job.key).or(cache);
        }
    }
}

/// What stays the same from attempt to attempt.
struct Job<'a> {
    source: Source,
    key: [u8; 32],
    fingerprint: Fingerprint,
    compiler: Option<Compiler<'a>>,
    options: &'a BuildOptions,
    store: &'a Store,
    progress: &'a dyn Progress,
}

/// What one attempt came to.
struct Try {
    began: SystemTime,
    tree: Tree,
    attributes: Attributes,
    troubles: Troubles,
    summary: Summary,
    /// The scan was complete, so the content was read too.
    ingested: bool,
    /// The manifest, if nothing changed since it was written.
    manifest: Option<Vec<u8>>,
}

impl Job<'_> {
    /// Scans and ingests once.
    fn attempt(&self, cache: Option<&Cache>) -> Result<Try, IndexError> {
        let threads = self.options.threads();
        let (began, clock) = (SystemTime::now(), Instant::now());
        let scan = Scan {
            source: &self.source.path,
            root: &self.source.root,
            store: self.store,
            cache,
            exact: self.options.exact,
            xattrs: self.options.xattrs,
            skip_special: self.options.special == Special::Skip,
            threads,
            progress: self.progress,
        };
        let Scanned {
            tree,
            entries,
            unchanged,
            mounts,
            skipped,
            mut troubles,
        } = scan.run(self.source.stat);
        let mut summary = Summary {
            entries,
            scan_ms: ms(clock),
            ..Summary::default()
        };
        for path in &mounts {
            let path = Shown(path);
            summary.warnings.push(format!(
                "{path}: another file system begins here; its files are included"
            ));
        }
        if !skipped.is_empty() {
            let skipped = skipped.into_first();
            summary.warnings.push(format!(
                "{skipped}: left out, a manifest cannot hold such files"
            ));
        }
        if troubles.is_hopeless() {
            troubles.into_result()?;
            troubles = Troubles::default();
        }
        let mut done = Try {
            began,
            tree,
            attributes: Attributes::new(),
            troubles,
            summary,
            ingested: false,
            manifest: None,
        };
        if done.troubles.changed.is_empty() {
            self.ingest(&mut done, unchanged);
            if unchanged {
                done.manifest = cache.and_then(|cache| self.last_manifest(cache));
            }
        }
        Ok(done)
    }

    /// Takes in the content and the attributes.
    fn ingest(&self, done: &mut Try, unchanged: bool) {
        let clock = Instant::now();
        let mut counts = Counts::default();
        if !unchanged {
            let ingest = Ingest {
                source: &self.source.path,
                root: &self.source.root,
                store: self.store,
                xattrs: self.options.xattrs,
                threads: self.options.threads(),
                progress: self.progress,
            };
            counts = ingest.run(&mut done.tree, &mut done.troubles);
        }
        let (path, root) = (&self.source.path, &self.source.root);
        let wanted = self.options.xattrs;
        done.attributes = attributes::collect(path, root, &done.tree, wanted, &mut done.troubles);
        done.summary.ingest_ms = ms(clock);
        done.summary.count(&done.tree, counts);
        done.ingested = true;
    }

    /// Writes the manifest and the stat cache, or says what the tree has that cannot be
    /// indexed; what was read of it is remembered all the same.
    fn finish(&self, mut done: Try, cache_path: &Path) -> Result<Built, IndexError> {
        if let Some(bytes) = done.manifest.take()
            && done.troubles.is_none()
            && self.take_over(&bytes, &mut done.summary)
        {
            let summary = done.summary;
            return Ok(Built { bytes, summary });
        }
        let stat_cache = self.encode(&done);
        let Try {
            mut tree,
            mut attributes,
            troubles,
            mut summary,
            ..
        } = done;
        let (source, mount) = (&self.source.path, &self.source.mount);
        let made = troubles.into_result().and_then(|()| {
            let clock = Instant::now();
            let threads = self.options.threads();
            let packages = adapters::find(&tree, last_name(mount), self.store, threads);
            summary.packages = packages.len() as u64;
            let mut provenance = Vec::new();
            if let Some(compiler) = &self.compiler {
                let added = compiler.add(source, &mut tree, &mut attributes, self.progress)?;
                summary.entries += added.entries;
                summary.new_blobs += added.new.files;
                summary.new_bytes += added.new.bytes;
                summary.bytecode = Some(added.counts);
                summary.warnings.extend(added.warnings);
                provenance = added.provenance;
            }
            let parts = Parts {
                mount,
                tree: &tree,
                entries: summary.entries,
                attributes,
                packages,
                provenance,
                exact: self.options.exact,
            };
            let bytes = assemble::manifest(parts).map_err(|error| IndexError::Manifest {
                path: source.clone(),
                error,
            })?;
            summary.write_ms = ms(clock);
            Ok(bytes)
        });
        let saved = stat_cache.is_none_or(|mut stat_cache| {
            if let Ok(bytes) = &made {
                set_result(&mut stat_cache, *blake3::hash(bytes).as_bytes());
            }
            save(cache_path, &stat_cache).is_ok()
        });
        // Without a manifest: the next attempt is faster for it, or not.
        let bytes = made?;
        if self.compiler.is_some() {
            summary.count_again(&bytes);
        }
        if !saved {
            let place = Shown(cache_path);
            summary.warnings.push(format!(
                "{place}: the stat cache cannot be written; the next build reads every file again"
            ));
        }
        Ok(Built { bytes, summary })
    }

    /// Completes `summary` for a manifest that is the one of the build before; says whether
    /// it can be, because all that it needs is still there.
    fn take_over(&self, bytes: &[u8], summary: &mut Summary) -> bool {
        let Ok(manifest) = Manifest::open(bytes) else {
            return false;
        };
        if let Some(compiler) = &self.compiler {
            let Some(found) = compiler.look_again(&manifest) else {
                return false;
            };
            summary.bytecode = Some(found);
            summary.count_again(bytes);
        }
        summary.unchanged = true;
        summary.packages = manifest.packages().count() as u64;
        true
    }

    /// The manifest that the build before wrote, if this one would write the same and it
    /// is still there.
    fn last_manifest(&self, cache: &Cache) -> Option<Vec<u8>> {
        let (fingerprint, tree) = cache.result()?;
        // Atimes move without the cache knowing.
        if fingerprint != self.fingerprint || self.options.exact {
            return None;
        }
        let stored = manifest_suffix(&tree);
        let stored = OsStr::from_bytes(stored.get(1..).unwrap_or_default());
        let places = [
            Some(self.store.root().join(stored)),
            self.options.output.clone(),
        ];
        places.into_iter().flatten().find_map(|path| {
            let bytes = std::fs::read(path).ok()?;
            (*blake3::hash(&bytes).as_bytes() == tree).then_some(bytes)
        })
    }

    /// The stat cache of what was scanned; `None` if the tree is too large for one.
    fn encode(&self, done: &Try) -> Option<Vec<u8>> {
        let about = About {
            key: self.key,
            fingerprint: self.fingerprint,
            began: done.began,
            xattrs: self.options.xattrs,
        };
        encode(&done.tree, done.summary.entries, &about)
    }
}

impl Summary {
    fn count(&mut self, tree: &Tree, counts: Counts) {
        self.dirs = tree.directories.len() as u64;
        for entry in tree
            .directories
            .iter()
            .flat_map(|directory| &directory.entries)
        {
            match entry.content {
                Content::Directory(_) => {}
                Content::Symlink { .. } => self.symlinks += 1,
                Content::File { .. } | Content::Unread => {
                    self.files += 1;
                    self.bytes += entry.stat.size;
                }
            }
        }
        let Amount { files, bytes } = counts.read;
        (self.hashed_files, self.hashed_bytes) = (files, bytes);
        (self.new_blobs, self.new_bytes) = (counts.new.files, counts.new.bytes);
        self.cached_files = self.files.saturating_sub(files + counts.twins);
        self.dedup_bytes = self.bytes.saturating_sub(self.new_bytes);
    }

    /// Counts what is in the manifest, which has more than the source tree.
    fn count_again(&mut self, manifest: &[u8]) {
        let Ok(manifest) = Manifest::open(manifest) else {
            return;
        };
        self.entries = u64::from(manifest.header().entry_count);
        (self.dirs, self.files, self.bytes) = (0, 0, 0);
        for vnode in (0..manifest.header().entry_count).filter_map(|index| manifest.vnode(index)) {
            if vnode.is_dir() {
                self.dirs += 1;
            } else if vnode.is_file() {
                self.files += 1;
                self.bytes += vnode.size;
            }
        }
        self.dedup_bytes = self.bytes.saturating_sub(self.new_bytes);
    }
}

fn ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
