//! `ls`: what a served directory holds, in the form of `ls -1` and `ls -l`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use clap::{Args, ValueHint};
use velo_core::errno::Errno;
use velo_core::resolve::{READ, may_access};

use crate::commands::ls_long;
use crate::entry::Entry;
use crate::failure::{Failure, status};
use crate::operand::{Lookup, Target, root_name};
use crate::output::{FormatArguments, Output};
use crate::selection::ManifestArguments;
use crate::served::{Place, Served, errno};

/// List served directories
#[derive(Args, Debug)]
#[command(after_help = "\
PATH is looked up in the default manifests; MANIFEST:PATH in that one (a PATH without a
leading slash starts at its root). Without PATH, and for `MANIFEST:`, the roots are listed.
Exit status: 0 all listed, 1 something was not found.

Examples:
  velo-ctl ls                                      the roots of the default manifests
  velo-ctl ls -l /app/lib/python3.11/site-packages
  velo-ctl ls -R app.velo:numpy
  velo-ctl ls --json app.velo:/app/bin")]
pub struct Arguments {
    /// A served path, or MANIFEST:PATH
    #[arg(value_hint = ValueHint::AnyPath)]
    path: Vec<OsString>,
    /// Mode, links, owner, size and time
    #[arg(short = 'l', long)]
    long: bool,
    /// Subdirectories too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Names that start with a dot too
    #[arg(short = 'a', long)]
    all: bool,
    #[command(flatten)]
    manifests: ManifestArguments,
    #[command(flatten)]
    format: FormatArguments,
}

/// One heading and what stands below it.
pub struct Listing {
    /// Path of the directory; `None` for the operands that are no directories.
    pub heading: Option<Vec<u8>>,
    /// Its entries, sorted.
    pub entries: Vec<Entry>,
}

/// Lists each operand; goes on after those that fail.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let mut lookup = Lookup::new(&arguments.manifests);
    let mut work = Work {
        arguments,
        out: Output::new(),
        json: Vec::new(),
        shown: 0,
        headings: false,
        exit: status::DONE,
    };
    if arguments.path.is_empty() {
        let served = lookup.default_view()?;
        work.show(Listing {
            heading: None,
            entries: roots(&served)?,
        })?;
    }
    let mut files = Vec::new();
    let mut directories = Vec::new();
    for operand in &arguments.path {
        match work.operand(&mut lookup, operand) {
            Ok(Operand::Entries(entries)) => files.extend(entries),
            Ok(Operand::Directory(target, place)) => directories.push((target, place)),
            Err(failure) => work.complain(&failure),
        }
    }
    work.headings = arguments.recursive || arguments.path.len() > 1;
    if !files.is_empty() {
        work.show(Listing {
            heading: None,
            entries: files,
        })?;
    }
    for (target, place) in directories {
        let name = target.shown.as_bytes().to_vec();
        work.directory(&target.served, name, &place)?;
    }
    if arguments.format.json {
        let Work { out, json, .. } = &mut work;
        out.json(&json.iter().map(Entry::json).collect::<Vec<_>>())?;
    }
    work.out.finish()?;
    Ok(work.exit)
}

enum Operand {
    Entries(Vec<Entry>),
    Directory(Target, Place),
}

struct Work<'a> {
    arguments: &'a Arguments,
    out: Output,
    /// Everything found, when JSON is wanted.
    json: Vec<Entry>,
    shown: usize,
    headings: bool,
    exit: u8,
}

impl Work<'_> {
    fn complain(&mut self, failure: &Failure) {
        failure.report();
        self.exit = status::FAILED;
    }

    /// With -l a symbolic link itself is shown, as `ls` does.
    fn operand(&self, lookup: &mut Lookup<'_>, operand: &OsStr) -> Result<Operand, Failure> {
        let target = lookup.target(operand)?;
        if target.path.is_empty() && !target.shown.is_empty() {
            return Ok(Operand::Entries(roots(&target.served)?));
        }
        let follow = !self.arguments.long;
        let place = match target.place(follow) {
            // A link to nowhere is still a name.
            Err(_) if follow && target.place(false).is_ok() => target.place(false)?,
            other => other?,
        };
        let entry = Entry::at(&target.served, operand.as_bytes().to_vec(), &place, follow)
            .map_err(|errno| target.failure(errno))?;
        Ok(if entry.is_dir() {
            Operand::Directory(target, place)
        } else {
            Operand::Entries(vec![entry])
        })
    }

    /// One directory, then those below it.
    fn directory(&mut self, served: &Served, name: Vec<u8>, place: &Place) -> Result<(), Failure> {
        let found = match children(served, place) {
            Ok(found) => found,
            Err(errno) => {
                let failure = Failure::path(&name, errno);
                self.complain(&failure);
                return Ok(());
            }
        };
        let mut entries = Vec::new();
        let mut below = Vec::new();
        for (child, place) in found {
            let hidden = child.starts_with(b".");
            let itself = child == b"." || child == b"..";
            if hidden && !self.arguments.all {
                continue;
            }
            let path = joined(&name, &child);
            let shown = if self.arguments.format.json {
                path.clone()
            } else {
                child
            };
            match Entry::at(served, shown, &place, false) {
                Ok(_) if itself && self.arguments.format.json => {}
                Ok(entry) => {
                    if self.arguments.recursive && entry.is_dir() && !itself {
                        below.push((path, place));
                    }
                    entries.push(entry);
                }
                Err(errno) => self.complain(&Failure::path(&path, errno)),
            }
        }
        self.show(Listing {
            heading: Some(name),
            entries,
        })?;
        below
            .into_iter()
            .try_for_each(|(path, place)| self.directory(served, path, &place))
    }

    fn show(&mut self, listing: Listing) -> Result<(), Failure> {
        if self.arguments.format.json {
            self.json.extend(listing.entries);
            return Ok(());
        }
        if self.shown > 0 {
            self.out.bytes(b"\n")?;
        }
        self.shown += 1;
        if let Some(heading) = listing.heading.as_deref().filter(|_| self.headings) {
            self.out.name(heading)?;
            self.out.bytes(b":\n")?;
        }
        if self.arguments.long {
            return ls_long::show(&mut self.out, &listing);
        }
        for entry in &listing.entries {
            self.out.name(&entry.name)?;
            self.out.bytes(b"\n")?;
        }
        Ok(())
    }
}

/// Names in a directory, `.` and `..` among them, in byte order.
fn children(served: &Served, place: &Place) -> Result<Vec<(Vec<u8>, Place)>, Errno> {
    let mut found = match place {
        Place::Entry { mount, index } => {
            if !may_access(&served.metadata(place, false)?, READ, &served.identity()) {
                return Err(Errno::EACCES);
            }
            let path = served.path_of(*mount, *index);
            // Above a mount point that exists nowhere there is nothing to show.
            let parent = served.find(&joined(&path, b".."), true);
            let parent = parent
                .ok()
                .filter(|parent| served.metadata(parent, true).is_ok());
            let mut found = served.children(*mount, *index);
            found.extend([
                (b".".to_vec(), place.clone()),
                (b"..".to_vec(), parent.unwrap_or_else(|| place.clone())),
            ]);
            found
        }
        Place::Real(path) | Place::Outside(path) => real_children(path)?,
    };
    found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

fn real_children(path: &Path) -> Result<Vec<(Vec<u8>, Place)>, Errno> {
    let mut found = vec![
        (b".".to_vec(), Place::Real(path.into())),
        (b"..".to_vec(), Place::Real(path.join(".."))),
    ];
    for entry in fs::read_dir(path).map_err(|error| errno(&error))? {
        let entry = entry.map_err(|error| errno(&error))?;
        found.push((entry.file_name().into_vec(), Place::Real(entry.path())));
    }
    Ok(found)
}

/// The mount points of a view.
fn roots(served: &Served) -> Result<Vec<Entry>, Failure> {
    let tops = served.mounts().iter().enumerate().map(|(mount, found)| {
        let name = root_name(found.path()).into_bytes();
        Entry::at(
            served,
            name,
            &Place::Entry {
                mount,
                index: found.top(),
            },
            false,
        )
        .map_err(|errno| Failure::path(found.path(), errno))
    });
    tops.collect()
}

fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let separator: &[u8] = if directory.ends_with(b"/") || directory.ends_with(b":") {
        b""
    } else {
        b"/"
    };
    [directory, separator, name].concat()
}
