//! `use`: the manifests that programs get when nothing else is said.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use velo_store::{Root, Store};

use crate::failure::{Failure, shown, status};
use crate::manifest_file::ManifestFile;
use crate::output::{FormatArguments, Output};
use crate::selection;
use crate::served::Served;

/// Set the default manifests, or show them
#[derive(Args, Debug)]
#[command(after_help = "\
The default serves `velo-ctl run` without -m, and every program started with LD_PRELOAD
and without VELO_MANIFEST. Without FILE the present default is shown.

Examples:
  velo-ctl use app.velo
  velo-ctl use python.velo app.velo     several, at their own mount points
  velo-ctl use                          show
  velo-ctl use --none                   clear")]
pub struct Arguments {
    /// Manifests to use from now on
    file: Vec<PathBuf>,
    /// Use none
    #[arg(long, conflicts_with = "file")]
    none: bool,
    #[command(flatten)]
    format: FormatArguments,
}

#[derive(Serialize)]
struct Report {
    current: Vec<String>,
}

/// Checks the manifests together, then sets them.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    if arguments.none || !arguments.file.is_empty() {
        set(&arguments.file)?;
    }
    let current: Vec<_> = selection::current()?
        .iter()
        .map(|path| shown(path.as_os_str()))
        .collect();
    let mut out = Output::new();
    if arguments.format.json {
        out.json(&Report { current })?;
    } else if current.is_empty() {
        out.line("none")?;
    } else {
        current.iter().try_for_each(|path| out.line(path))?;
    }
    out.finish()?;
    Ok(status::DONE)
}

fn set(files: &[PathBuf]) -> Result<(), Failure> {
    // Together they must make a view; each is verified and stamped on the way.
    let served = Served::open(files, ManifestFile::open_verified)?;
    let paths: Vec<_> = served.files.iter().map(|file| file.path.clone()).collect();
    selection::join(&paths)?;
    let root = Root::discover().map_err(Failure::new)?;
    let store = Store::open_or_create(&root.path).map_err(Failure::new)?;
    for file in &served.files {
        store.ensure_view(&file.manifest).map_err(Failure::new)?;
    }
    store.set_current(&paths).map_err(Failure::new)
}
