//! `inspect`: what a manifest holds and what its bytes are spent on.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::census::{Census, count};
use crate::failure::{Failure, shown, status};
use crate::format;
use crate::manifest_file::ManifestFile;
use crate::operand::root_name;
use crate::output::{FormatArguments, JsonName, Output, hex, printable};
use crate::selection::ManifestArguments;

/// Show what manifests hold
#[derive(Args, Debug)]
#[command(after_help = "\
Entries, bytes and how many of them are stored once for several files, the largest files, the
sections of the manifest with their bytes, roots, packages and provenance.
Exit status: 0 shown, 1 a manifest is unusable, 2 wrong command line.

Examples:
  velo-ctl inspect app.velo
  velo-ctl inspect --top 30 app.velo
  velo-ctl inspect --json app.velo | jq '.[0].packages[].name'")]
pub struct Arguments {
    /// Manifests to show [default: $VELO_MANIFEST, else what `velo-ctl use` set]
    file: Vec<PathBuf>,
    /// How many of the largest files to name
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    #[command(flatten)]
    format: FormatArguments,
}

#[derive(Serialize)]
struct Report<'a> {
    manifest: String,
    tree: String,
    view: String,
    stamped: bool,
    manifest_bytes: usize,
    bytes_per_entry: f64,
    entries: u32,
    #[serde(flatten)]
    census: &'a Census,
    largest: Vec<Large<'a>>,
    sections: Vec<Section>,
    roots: Vec<Root>,
    packages: Vec<Package>,
    provenance: Vec<[String; 2]>,
}

#[derive(Serialize)]
struct Large<'a> {
    path: JsonName<'a>,
    size: u64,
}

#[derive(Serialize)]
struct Section {
    name: String,
    bytes: u64,
}

#[derive(Serialize)]
struct Root {
    mount: String,
    entry: u32,
}

#[derive(Serialize)]
struct Package {
    name: String,
    version: String,
    tree: String,
}

/// Shows each file.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let files = ManifestArguments {
        manifest: arguments.file.clone(),
    }
    .chosen()?;
    let files = files
        .iter()
        .map(|file| ManifestFile::open(file))
        .collect::<Result<Vec<_>, _>>()?;
    let counted: Vec<_> = files
        .iter()
        .map(|file| (file, count(&file.manifest, arguments.top)))
        .collect();
    let reports: Vec<_> = counted
        .iter()
        .map(|(file, census)| report(file, census))
        .collect();
    let mut out = Output::new();
    if arguments.format.json {
        out.json(&reports)?;
    } else {
        for (position, report) in reports.iter().enumerate() {
            if position > 0 {
                out.line("")?;
            }
            show(&mut out, report)?;
        }
    }
    out.finish()?;
    Ok(status::DONE)
}

fn report<'a>(file: &ManifestFile, census: &'a Census) -> Report<'a> {
    let manifest = &file.manifest;
    let entries = manifest.entry_count();
    let roots = (0..manifest.root_count()).filter_map(|number| manifest.root(number));
    Report {
        manifest: shown(file.path.as_os_str()),
        tree: format!("tree:{}", file.tree_id()),
        view: hex(manifest.body_digest()),
        stamped: file.is_stamped(),
        manifest_bytes: file.bytes.len(),
        bytes_per_entry: (file.bytes.len() as f64 / f64::from(entries.max(1)) * 10.0).round()
            / 10.0,
        entries,
        census,
        largest: census
            .largest
            .iter()
            .map(|(path, size)| Large {
                path: JsonName(path),
                size: *size,
            })
            .collect(),
        sections: manifest
            .sections()
            .map(|(kind, _, bytes)| Section {
                name: section_name(kind),
                bytes,
            })
            .collect(),
        roots: roots
            .map(|root| Root {
                mount: root_name(root.mount),
                entry: root.index,
            })
            .collect(),
        packages: manifest
            .packages()
            .map(|package| Package {
                name: printable(package.name),
                version: printable(package.version),
                tree: hex(&package.tree),
            })
            .collect(),
        provenance: manifest
            .provenance()
            .map(|(key, value)| [printable(key), printable(value)])
            .collect(),
    }
}

fn show(out: &mut Output, report: &Report<'_>) -> Result<(), Failure> {
    let census = report.census;
    let mut field = |name: &str, value: String| out.line(format_args!("{name:<12} {value}"));
    field("manifest", report.manifest.clone())?;
    field("tree", report.tree.clone())?;
    field("view", report.view.clone())?;
    for root in &report.roots {
        field("root", root.mount.clone())?;
    }
    field(
        "entries",
        format!(
            "{}: {} files, {} directories, {} symbolic links",
            format::count(report.entries.into()),
            format::count(census.files),
            format::count(census.directories),
            format::count(census.symlinks)
        ),
    )?;
    field(
        "content",
        match census.hard_links {
            0 => format::size(census.content_bytes),
            more => format!(
                "{}, {} more names by hard links",
                format::size(census.content_bytes),
                format::count(more)
            ),
        },
    )?;
    let saved = census.content_bytes.saturating_sub(census.distinct_bytes);
    field(
        "stored",
        format!(
            "{} in {} blobs; {} ({}) are stored once for several files",
            format::size(census.distinct_bytes),
            format::count(census.blobs),
            format::size(saved),
            percent(saved, census.content_bytes)
        ),
    )?;
    field(
        "in view",
        format!(
            "{} executables and libraries, {}",
            format::count(census.in_view),
            format::size(census.in_view_bytes)
        ),
    )?;
    field(
        "size",
        format!(
            "{}, {} bytes an entry",
            format::size(report.manifest_bytes as u64),
            report.bytes_per_entry
        ),
    )?;
    for section in &report.sections {
        out.line(format_args!(
            "  {:<12} {:>12}  {:>5}",
            section.name,
            format::count(section.bytes),
            percent(section.bytes, report.manifest_bytes as u64)
        ))?;
    }
    if !report.largest.is_empty() {
        out.line("largest")?;
    }
    for (path, size) in &census.largest {
        out.line(format_args!(
            "  {:>10}  {}",
            format::size(*size),
            printable(path)
        ))?;
    }
    if !report.packages.is_empty() {
        out.line(format_args!("packages ({})", report.packages.len()))?;
    }
    for package in &report.packages {
        out.line(format_args!("  {} {}", package.name, package.version))?;
    }
    if !report.provenance.is_empty() {
        out.line("provenance")?;
    }
    report
        .provenance
        .iter()
        .try_for_each(|[key, value]| out.line(format_args!("  {key}={value}")))
}

/// Name of a section; the number of one that this version does not know.
fn section_name(kind: u32) -> String {
    velo_core::manifest::Section::from_kind(kind).map_or_else(
        || format!("kind {kind}"),
        |section| section.name().to_owned(),
    )
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        String::from("0 %")
    } else {
        format!("{:.0} %", part as f64 * 100.0 / whole as f64)
    }
}
