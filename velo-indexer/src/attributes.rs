//! The values of the extended attributes of those entries that have any.
//!
//! Few files have one, so this opens them once more, after the content is in: from a
//! path that the scan vouches for, checked to be still what the scan saw.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::error::Troubles;
use crate::options::Xattrs;
use crate::scan::{open_below, open_reading};
use crate::stat::{Stat, look};
use crate::tree::{Content, Directory, Facts, Tree, full_path};
use crate::xattr::{self, Attribute};

/// Attributes by directory id and name; the empty name is the directory itself.
pub(crate) type Attributes = BTreeMap<(u32, Vec<u8>), Vec<Attribute>>;

/// Reads the `wanted` attributes of all entries of `tree` that have some.
pub(crate) fn collect(
    source: &Path,
    root: &OwnedFd,
    tree: &Tree,
    wanted: Xattrs,
    troubles: &mut Troubles,
) -> Attributes {
    let mut found = Attributes::new();
    for (directory, id) in tree.directories.iter().zip(0..) {
        if !directory.facts.has(Facts::XATTRS)
            && !directory
                .entries
                .iter()
                .any(|entry| has_some(entry.content))
        {
            continue;
        }
        let below = tree.path(id);
        let mut keep = |name: &[u8], read: rustix::io::Result<Vec<Attribute>>| match read {
            Ok(attributes) => {
                found.insert((id, name.to_vec()), attributes);
            }
            Err(errno) => {
                let path = full_path(source, &below, name);
                troubles.file("read the attributes", path, errno);
            }
        };
        match open_below(root, &below) {
            Ok(fd) => of_directory(&fd, directory, wanted, &mut keep),
            Err(errno) => keep(b"", Err(errno)),
        }
    }
    found
}

fn has_some(content: Content) -> bool {
    matches!(content, Content::File { facts, .. } if facts.has(Facts::XATTRS))
}

fn of_directory(
    fd: &OwnedFd,
    directory: &Directory,
    wanted: Xattrs,
    keep: &mut impl FnMut(&[u8], rustix::io::Result<Vec<Attribute>>),
) {
    if directory.facts.has(Facts::XATTRS) {
        keep(b"", read_checked(fd, &directory.stat, wanted));
    }
    for entry in directory
        .entries
        .iter()
        .filter(|entry| has_some(entry.content))
    {
        let read = open_reading(fd, entry.c_name(&directory.names), OFlags::empty())
            .and_then(|file| read_checked(file, &entry.stat, wanted));
        keep(directory.name_of(entry), read);
    }
}

/// Attributes of what is still in the state that the scan saw.
fn read_checked(
    file: impl AsFd,
    scanned: &Stat,
    wanted: Xattrs,
) -> rustix::io::Result<Vec<Attribute>> {
    let attributes = xattr::read(&file, wanted)?;
    let (now, _) = look(&file, c"", false)?;
    // STALE is filed as a change, and the build tries again.
    if now.is_same_state(scanned) {
        Ok(attributes)
    } else {
        Err(Errno::STALE)
    }
}
