//! `diff`: what two manifests hold differently.

use std::path::PathBuf;

use anstyle::AnsiColor;
use clap::Args;
use serde::Serialize;

use crate::compare::{Change, Difference, Field, compare};
use crate::entry::quoted;
use crate::failure::{Failure, status};
use crate::format;
use crate::manifest_file::ManifestFile;
use crate::output::{FormatArguments, JsonName, Output};

/// Compare two manifests
#[derive(Args, Debug)]
#[command(after_help = "\
Lines: `+` only in B, `-` only in A, `~` in both and different, with what differs.
Roots are compared by mount point; two manifests with one root each always compare.
Sizes of directories are not compared: file systems count them differently.
Exit status: 0 the same, 1 different, 2 trouble.

Examples:
  velo-ctl diff old.velo new.velo
  velo-ctl diff --ignore mtime,owner a.velo b.velo
  velo-ctl diff --json a.velo b.velo | jq '.changed[].path'")]
pub struct Arguments {
    /// First manifest
    a: PathBuf,
    /// Second manifest
    b: PathBuf,
    /// What not to compare
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    ignore: Vec<Field>,
    #[command(flatten)]
    format: FormatArguments,
}

#[derive(Serialize)]
struct Report<'a> {
    identical: bool,
    a: String,
    b: String,
    added: Vec<EntryReport<'a>>,
    removed: Vec<EntryReport<'a>>,
    changed: Vec<ChangeReport<'a>>,
}

#[derive(Serialize)]
struct EntryReport<'a> {
    path: JsonName<'a>,
    #[serde(rename = "type")]
    kind: &'static str,
    size: u64,
}

#[derive(Serialize)]
struct ChangeReport<'a> {
    path: JsonName<'a>,
    changes: &'a [Change],
}

/// Compares and reports.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let open = |path| {
        ManifestFile::open_verified(path).map_err(|failure| failure.with_status(status::USAGE))
    };
    let (a, b) = (open(&arguments.a)?, open(&arguments.b)?);
    // The bytes are a function of the tree.
    let differences = if a.bytes == b.bytes {
        Vec::new()
    } else {
        compare(&a.manifest, &b.manifest, &arguments.ignore)
    };
    let mut out = Output::new();
    if arguments.format.json {
        out.json(&report(&a, &b, &differences))?;
    } else {
        show(&mut out, &differences)?;
    }
    out.finish()?;
    Ok(if differences.is_empty() {
        status::DONE
    } else {
        status::FAILED
    })
}

fn show(out: &mut Output, differences: &[Difference]) -> Result<(), Failure> {
    let (mut added, mut removed, mut changed) = (0, 0, 0);
    for difference in differences {
        let (counter, sign, color) = match difference {
            Difference::Added { .. } => (&mut added, '+', AnsiColor::Green),
            Difference::Removed { .. } => (&mut removed, '-', AnsiColor::Red),
            Difference::Changed { .. } => (&mut changed, '~', AnsiColor::Yellow),
        };
        *counter += 1_u64;
        let words = match difference {
            Difference::Changed { changes, .. } => format!(
                "  {}",
                changes
                    .iter()
                    .map(Change::words)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            _ => String::new(),
        };
        let line = out.painted(&format!("{sign} {}", quoted(difference.path())), color);
        out.line(format_args!("{line}{words}"))?;
    }
    if differences.is_empty() {
        return Ok(());
    }
    let [added, removed, changed] = [added, removed, changed].map(format::count);
    out.line(format_args!(
        "{added} added, {removed} removed, {changed} changed"
    ))
}

fn report<'a>(a: &ManifestFile, b: &ManifestFile, differences: &'a [Difference]) -> Report<'a> {
    let mut report = Report {
        identical: differences.is_empty(),
        a: format!("tree:{}", a.tree_id()),
        b: format!("tree:{}", b.tree_id()),
        added: Vec::new(),
        removed: Vec::new(),
        changed: Vec::new(),
    };
    for difference in differences {
        match difference {
            Difference::Added { path, mode, size } => {
                report.added.push(EntryReport {
                    path: JsonName(path),
                    kind: format::file_type(*mode, 1),
                    size: *size,
                });
            }
            Difference::Removed { path, mode, size } => {
                report.removed.push(EntryReport {
                    path: JsonName(path),
                    kind: format::file_type(*mode, 1),
                    size: *size,
                });
            }
            Difference::Changed { path, changes } => report.changed.push(ChangeReport {
                path: JsonName(path),
                changes,
            }),
        }
    }
    report
}
