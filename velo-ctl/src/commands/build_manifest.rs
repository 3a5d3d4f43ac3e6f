//! `build-manifest`: indexes a directory into the store and writes its manifest.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde::Serialize;
use velo_core::id::ContentHash;
use velo_core::manifest::Manifest;
use velo_indexer::{
    Amount, BuildOptions, Built, Bytecode, Python, Special, Summary, Xattrs, build,
};
use velo_store::{Root, Store, check_destination};

use crate::failure::{Failure, shown, status};
use crate::format;
use crate::manifest_file::ManifestFile;
use crate::operand::root_name;
use crate::output::{FormatArguments, Output};
use crate::progress::{Progress, Unit};

/// Index a directory tree into a manifest
#[derive(Args, Debug)]
#[command(after_help = "\
Contents go into the store (VELO_ROOT), each distinct one once; FILE gets the manifest, when
everything is there, in one step. An unchanged file is not read again. The same tree gives
the same bytes.

With --python, each *.py gets the bytecode that the named interpreters would write beside it
(__pycache__/NAME.TAG.pyc), as an entry of the manifest; SRC is not touched. A content is
compiled once, whatever its path and whatever the tree; docs/PYTHON.md says more.

Exit status: 0 done, 1 failed (FILE is then as it was), 2 wrong command line.

Examples:
  velo-ctl build-manifest .venv/lib/python3.11/site-packages -o app.velo
  velo-ctl build-manifest .venv/lib/python3.12/site-packages -o app.velo --python python3.12
  velo-ctl build-manifest build/node_modules --at /app/node_modules -o app.velo
  velo-ctl build-manifest --exact --xattrs /opt/toolchain -o toolchain.velo")]
pub struct Arguments {
    /// The directory to index
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// Where programs will see it [default: where it stands now]
    #[arg(long, value_name = "MOUNT")]
    at: Option<PathBuf>,
    /// The manifest to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Keep inode numbers, link counts, blocks and all times too
    #[arg(long)]
    exact: bool,
    /// Which extended attributes of files and directories to keep; without a value: all
    #[arg(
        long,
        value_name = "WHICH",
        default_value = "user",
        default_missing_value = "all",
        num_args = 0..=1,
        require_equals = true
    )]
    xattrs: Attributes,
    /// Leave out sockets, fifos and devices instead of refusing them
    #[arg(long)]
    skip_special: bool,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Interpreters to make bytecode with: names in PATH or paths
    #[arg(
        long,
        value_name = "PYTHON",
        value_delimiter = ',',
        conflicts_with = "exact"
    )]
    python: Vec<PathBuf>,
    /// Optimisation levels of the bytecode: 0, 1 (for python -O), 2 (-OO)
    #[arg(
        long,
        value_name = "LEVEL",
        value_delimiter = ',',
        default_value = "0",
        requires = "python",
        value_parser = clap::value_parser!(u8).range(0..=2)
    )]
    python_optimize: Vec<u8>,
    /// How long an interpreter may take to start, and to compile one source
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "60",
        requires = "python",
        value_parser = clap::value_parser!(u32).range(1..=86_400)
    )]
    python_timeout: u32,
    /// Read every file and compile every source again, whatever earlier builds knew
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    format: FormatArguments,
}

/// The values of `--xattrs`.
#[derive(ValueEnum, Clone, Copy, Debug)]
enum Attributes {
    /// None
    None,
    /// `user.*` and `security.capability`
    User,
    /// Also other `security.*` and POSIX ACLs, shown and not enforced; never `trusted.*`
    All,
}

impl From<Attributes> for Xattrs {
    fn from(chosen: Attributes) -> Self {
        match chosen {
            Attributes::None => Self::None,
            Attributes::User => Self::User,
            Attributes::All => Self::All,
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    manifest: String,
    tree: String,
    mount: String,
    manifest_bytes: usize,
    entries: u64,
    directories: u64,
    files: u64,
    symlinks: u64,
    bytes: u64,
    new_blobs: u64,
    new_bytes: u64,
    dedup_bytes: u64,
    read_files: u64,
    read_bytes: u64,
    cached_files: u64,
    packages: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytecode: Option<BytecodeReport>,
    unchanged: bool,
    warnings: &'a [String],
    milliseconds: u128,
}

#[derive(Serialize)]
struct BytecodeReport {
    compiled: u64,
    reused: u64,
    kept: u64,
    skipped: u64,
}

impl From<Bytecode> for BytecodeReport {
    fn from(counts: Bytecode) -> Self {
        let Bytecode {
            compiled,
            reused,
            kept,
            skipped,
        } = counts;
        Self {
            compiled,
            reused,
            kept,
            skipped,
        }
    }
}

/// Builds, makes the view tree, publishes.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let started = Instant::now();
    let options = BuildOptions {
        mount: arguments.at.clone(),
        output: Some(arguments.output.clone()),
        exact: arguments.exact,
        xattrs: arguments.xattrs.into(),
        special: if arguments.skip_special {
            Special::Skip
        } else {
            Special::Refuse
        },
        threads: arguments.threads.map_or(0, NonZeroUsize::get),
        python: Python {
            interpreters: arguments.python.clone(),
            levels: arguments.python_optimize.clone(),
            patience: Duration::from_secs(arguments.python_timeout.into()),
        },
        no_cache: arguments.no_cache,
    };
    check_destination(&arguments.output).map_err(Failure::new)?;
    let root = Root::discover().map_err(Failure::new)?;
    let store = Store::open_or_create(&root.path).map_err(Failure::new)?;
    let bars = Bars::new();
    let Built { bytes, summary } =
        build(&arguments.source, &options, &store, &bars).map_err(Failure::new)?;
    bars.finish();
    let waiting = Progress::waiting("publishing");
    let manifest = Manifest::open(&bytes).map_err(Failure::new)?;
    // Complete before it is visible: whoever opens FILE finds its view tree.
    store.ensure_view(&manifest).map_err(Failure::new)?;
    let tree = if summary.unchanged && is_published(&arguments.output, &bytes) {
        ContentHash::of(&bytes)
    } else {
        store
            .publish_manifest(&bytes, &arguments.output)
            .map_err(Failure::new)?
    };
    drop(waiting);

    let mut out = Output::new();
    if arguments.format.json {
        out.json(&Report {
            manifest: shown(absolute(&arguments.output)?.as_os_str()),
            tree: format!("tree:{tree}"),
            mount: manifest
                .root(0)
                .map(|root| root_name(root.mount))
                .unwrap_or_default(),
            manifest_bytes: bytes.len(),
            entries: summary.entries,
            directories: summary.dirs,
            files: summary.files,
            symlinks: summary.symlinks,
            bytes: summary.bytes,
            new_blobs: summary.new_blobs,
            new_bytes: summary.new_bytes,
            dedup_bytes: summary.dedup_bytes,
            read_files: summary.hashed_files,
            read_bytes: summary.hashed_bytes,
            cached_files: summary.cached_files,
            packages: summary.packages,
            bytecode: summary.bytecode.map(BytecodeReport::from),
            unchanged: summary.unchanged,
            warnings: &summary.warnings,
            milliseconds: started.elapsed().as_millis(),
        })?;
    } else {
        for warning in &summary.warnings {
            Failure::new(format_args!("warning: {warning}")).report();
        }
        show(&mut out, arguments, &summary, bytes.len(), started)?;
    }
    out.finish()?;
    Ok(status::DONE)
}

fn show(
    out: &mut Output,
    arguments: &Arguments,
    summary: &Summary,
    manifest_bytes: usize,
    started: Instant,
) -> Result<(), Failure> {
    let file = shown(arguments.output.as_os_str());
    out.line(format_args!(
        "{file}: {} entries ({} files, {}), manifest {}, in {:.2} s",
        format::count(summary.entries),
        format::count(summary.files),
        format::size(summary.bytes),
        format::size(manifest_bytes as u64),
        started.elapsed().as_secs_f64()
    ))?;
    out.line(format_args!(
        "read {} of {} files; new in the store: {} blobs, {}",
        format::count(summary.hashed_files),
        format::count(summary.files),
        format::count(summary.new_blobs),
        format::size(summary.new_bytes)
    ))?;
    if let Some(bytecode) = &summary.bytecode {
        out.line(format_args!(
            "bytecode: {} sources compiled, {} reused, {} of the tree's own kept, {} skipped",
            format::count(bytecode.compiled),
            format::count(bytecode.reused),
            format::count(bytecode.kept),
            format::count(bytecode.skipped)
        ))?;
    }
    out.line(format_args!("next: velo-ctl run -m {file} -- CMD"))
}

/// Whether FILE is this manifest already, stamp and all. The scan of an unchanged tree
/// has looked at every blob, so publishing would only look at them again.
fn is_published(output: &Path, bytes: &[u8]) -> bool {
    ManifestFile::open(output).is_ok_and(|found| found.is_stamped() && found.bytes == bytes)
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::io(path, &error))
}

/// One bar for names, one for contents, one for bytecode.
struct Bars {
    scan: Progress,
    ingest: Progress,
    compile: Progress,
}

impl Bars {
    fn new() -> Self {
        Self {
            scan: Progress::new("scanning", Unit::Items),
            ingest: Progress::new("reading", Unit::Bytes),
            compile: Progress::new("compiling", Unit::Items),
        }
    }

    fn finish(&self) {
        self.scan.finish();
        self.ingest.finish();
        self.compile.finish();
    }
}

impl velo_indexer::Progress for Bars {
    fn scanned(&self, entries: u64) {
        self.scan.set(entries, 0);
    }

    fn ingested(&self, done: Amount, total: Amount) {
        self.scan.finish();
        self.ingest.set(done.bytes, total.bytes);
    }

    fn compiled(&self, done: u64, total: u64) {
        self.ingest.finish();
        self.compile.set(done, total);
    }
}
