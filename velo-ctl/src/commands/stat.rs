//! `stat`: what stat(2) answers for a served path, in coreutils' form.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::{Args, ValueHint};
use velo_core::manifest::Time;

use crate::entry::Entry;
use crate::failure::{Failure, status};
use crate::format::{self, Accounts};
use crate::operand::Lookup;
use crate::output::{FormatArguments, Output, printable};
use crate::selection::ManifestArguments;
use crate::served::Place;

/// Show the metadata of served paths
#[derive(Args, Debug)]
#[command(after_help = "\
PATH is looked up in the default manifests; MANIFEST:PATH in that one (a PATH without a
leading slash starts at its root). Exit status: 0 all shown, 1 something was not found.

Examples:
  velo-ctl stat /app/lib/python3.11/site-packages/numpy
  velo-ctl stat app.velo:numpy/__init__.py
  velo-ctl stat -m app.velo --json /app/bin/python")]
pub struct Arguments {
    /// A served path, or MANIFEST:PATH
    #[arg(required = true, value_hint = ValueHint::AnyPath)]
    path: Vec<OsString>,
    /// Follow symbolic links
    #[arg(short = 'L', long)]
    dereference: bool,
    #[command(flatten)]
    manifests: ManifestArguments,
    #[command(flatten)]
    format: FormatArguments,
}

/// Shows each operand; goes on after those that fail.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let mut lookup = Lookup::new(&arguments.manifests);
    let mut accounts = Accounts::default();
    let mut out = Output::new();
    let mut found = Vec::new();
    let mut exit = status::DONE;
    for operand in &arguments.path {
        match look(&mut lookup, operand, arguments.dereference) {
            Ok(shown) if arguments.format.json => found.push(shown.0),
            Ok((entry, origin)) => show(&mut out, &entry, &origin, &mut accounts)?,
            Err(failure) => {
                failure.report();
                exit = status::FAILED;
            }
        }
    }
    if arguments.format.json {
        out.json(&found.iter().map(Entry::json).collect::<Vec<_>>())?;
    }
    out.finish()?;
    Ok(exit)
}

/// The entry, and where it comes from.
fn look(
    lookup: &mut Lookup<'_>,
    operand: &OsString,
    follow: bool,
) -> Result<(Entry, String), Failure> {
    let target = lookup.target(operand)?;
    let place = target.place(follow)?;
    let origin = match &place {
        Place::Entry { mount, index } => format!(
            "{} entry {index}",
            crate::failure::shown(target.served.file(*mount).path.as_os_str())
        ),
        Place::Real(path) | Place::Outside(path) => format!(
            "outside the manifest: {}",
            crate::failure::shown(path.as_os_str())
        ),
    };
    let entry = Entry::at(&target.served, operand.as_bytes().to_vec(), &place, follow)
        .map_err(|errno| target.failure(errno))?;
    Ok((entry, origin))
}

/// The lines of coreutils' `stat`, then two of our own.
fn show(
    out: &mut Output,
    entry: &Entry,
    origin: &str,
    accounts: &mut Accounts,
) -> Result<(), Failure> {
    let data = &entry.metadata;
    let name = match &entry.target {
        Some(target) => format!("{} -> {}", printable(&entry.name), printable(target)),
        None => printable(&entry.name),
    };
    out.line(format_args!("  File: {name}"))?;
    out.line(format_args!(
        "  Size: {:<10}\tBlocks: {:<10} IO Block: {:<6} {}",
        data.size,
        data.blocks,
        data.blksize,
        format::file_type(data.mode, data.size)
    ))?;
    out.line(format_args!(
        "Device: {},{}\tInode: {:<11} Links: {}",
        data.dev_major, data.dev_minor, data.ino, data.nlink
    ))?;
    let user = accounts.user(data.uid).unwrap_or("UNKNOWN").to_owned();
    let group = accounts.group(data.gid).unwrap_or("UNKNOWN");
    out.line(format_args!(
        "Access: ({:04o}/{})  Uid: ({:5}/{user:>8})   Gid: ({:5}/{group:>8})",
        data.mode & 0o7777,
        format::permissions(data.mode),
        data.uid,
        data.gid
    ))?;
    for (label, time) in [
        ("Access", Some(data.atime)),
        ("Modify", Some(data.mtime)),
        ("Change", Some(data.ctime)),
        (" Birth", data.btime),
    ] {
        out.line(format_args!(
            "{label}: {}",
            time.map_or_else(|| String::from("-"), full_time)
        ))?;
    }
    for (name, value) in &entry.attributes {
        let (name, value) = (printable(name), printable(value));
        out.line(format_args!(" Xattr: {name}={value}"))?;
    }
    if let Some(blob) = entry.blob() {
        out.line(format_args!("  Blob: {blob}"))?;
    }
    out.line(format_args!("  From: {origin}{}", flags(entry)))
}

fn flags(entry: &Entry) -> String {
    match entry.flags().as_slice() {
        [] => String::new(),
        words => format!(" ({})", words.join(", ")),
    }
}

/// `2026-01-31 12:00:00.000000001 +0000`
fn full_time(time: Time) -> String {
    let day = format::local_time(time.sec, c"%Y-%m-%d %H:%M:%S");
    format!(
        "{day}.{:09} {}",
        time.nsec,
        format::local_time(time.sec, c"%z")
    )
}
