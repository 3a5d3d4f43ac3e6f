//! `verify`: is a manifest sound, and does the store hold what it promises?

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use velo_store::{Root, Store};

use crate::failure::{Failure, shown, status};
use crate::format;
use crate::manifest_file::ManifestFile;
use crate::output::{FormatArguments, Output};
use crate::progress::Progress;
use crate::selection::ManifestArguments;

/// Check manifests, and with --deep their blobs and view trees
#[derive(Args, Debug)]
#[command(after_help = "\
Checks every structure and every byte of the manifest, and renews the stamp in its mtime that
spares programs this check at their start (a plain `cp` loses it). With --deep every blob is
read and hashed, and the view tree compared.

Exit status: 0 sound, 1 not, 2 wrong command line.

Examples:
  velo-ctl verify app.velo
  velo-ctl verify --deep app.velo
  velo-ctl verify --deep --json | jq '.manifests[].problems'")]
pub struct Arguments {
    /// Manifests to check [default: $VELO_MANIFEST, else what `velo-ctl use` set]
    file: Vec<PathBuf>,
    /// Read and hash every blob, and check the view tree
    #[arg(long)]
    deep: bool,
    #[command(flatten)]
    format: FormatArguments,
}

#[derive(Serialize)]
struct Report {
    sound: bool,
    manifests: Vec<Verdict>,
}

/// What came of one manifest.
#[derive(Serialize)]
struct Verdict {
    manifest: String,
    sound: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tree: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u32>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    store: Option<Stored>,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Stored {
    blobs: u64,
    blob_bytes: u64,
    view_entries: u64,
}

/// Checks each file; goes on after those that are not sound.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let files = ManifestArguments {
        manifest: arguments.file.clone(),
    }
    .chosen()?;
    let waiting = Progress::waiting("verifying");
    let manifests: Vec<_> = files
        .iter()
        .map(|file| examine(file, arguments.deep))
        .collect();
    drop(waiting);
    let sound = manifests.iter().all(|verdict| verdict.sound);
    let mut out = Output::new();
    if arguments.format.json {
        out.json(&Report { sound, manifests })?;
    } else {
        manifests
            .iter()
            .try_for_each(|verdict| show(&mut out, verdict))?;
    }
    out.finish()?;
    Ok(if sound { status::DONE } else { status::FAILED })
}

fn show(out: &mut Output, verdict: &Verdict) -> Result<(), Failure> {
    for problem in &verdict.problems {
        Failure::new(problem).report();
    }
    if !verdict.sound {
        return Ok(());
    }
    let entries = format::count(verdict.entries.unwrap_or(0).into());
    let stored = verdict.store.as_ref().map_or_else(String::new, |stored| {
        format!(
            "; {} blobs, {}, and {} entries of the view tree as they should be",
            format::count(stored.blobs),
            format::size(stored.blob_bytes),
            format::count(stored.view_entries)
        )
    });
    out.line(format_args!(
        "{}: sound, {entries} entries{stored}",
        verdict.manifest
    ))
}

fn examine(file: &Path, deep: bool) -> Verdict {
    let mut verdict = Verdict {
        manifest: shown(file.as_os_str()),
        sound: false,
        tree: None,
        entries: None,
        store: None,
        problems: Vec::new(),
    };
    match ManifestFile::open_verified(file).and_then(|opened| fill(&mut verdict, &opened, deep)) {
        Ok(()) => verdict.sound = verdict.problems.is_empty(),
        Err(failure) => verdict.problems.push(failure.to_string()),
    }
    verdict
}

fn fill(verdict: &mut Verdict, opened: &ManifestFile, deep: bool) -> Result<(), Failure> {
    verdict.tree = Some(format!("tree:{}", opened.tree_id()));
    verdict.entries = Some(opened.manifest.entry_count());
    if !deep {
        return Ok(());
    }
    let root = Root::discover().map_err(Failure::new)?;
    let store = Store::open(&root.path).map_err(Failure::new)?;
    let found = store.fsck(&opened.manifest, true).map_err(Failure::new)?;
    verdict.store = Some(Stored {
        blobs: found.blobs,
        blob_bytes: found.blob_bytes,
        view_entries: found.view_entries,
    });
    verdict.problems = found
        .problems
        .iter()
        .map(|problem| {
            format!(
                "{}: {}",
                shown(problem.entry_path.as_os_str()),
                problem.error
            )
        })
        .collect();
    Ok(())
}
