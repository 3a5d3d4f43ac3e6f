//! Walks two manifests side by side and names every difference.
//!
//! Children are sorted by name in both, so one merge per directory suffices. Both
//! manifests are verified before, and a child's index is above its parent's, so
//! the walk ends.

use std::cmp::Ordering;

use clap::ValueEnum;
use serde::Serialize;
use velo_core::manifest::{Manifest, Metadata, Time};
use velo_core::vnode::mode::{S_IFDIR, S_IFMT, S_IFREG};

use crate::entry::quoted;
use crate::format;
use crate::operand::root_name;
use crate::output::printable;

/// What can differ in an entry that both have.
#[derive(ValueEnum, Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Field {
    /// File, directory or symbolic link
    Type,
    /// The bytes of a file
    Content,
    /// The size of a file
    Size,
    /// The target of a symbolic link
    Target,
    /// The permission bits
    Mode,
    /// User and group
    Owner,
    /// The modification time
    Mtime,
    /// The number of hard links of a file
    Links,
    /// The extended attributes
    Xattr,
}

/// One field's two values, as text.
#[derive(Serialize, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub field: Field,
    /// In A.
    pub from: String,
    /// In B.
    pub to: String,
}

impl Change {
    /// `mode 0644 -> 0755`
    pub fn words(&self) -> String {
        let name = self
            .field
            .to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default();
        match self.field {
            // Two hashes tell a reader less than that they differ.
            Field::Content => String::from("content"),
            _ => format!("{name} {} -> {}", self.from, self.to),
        }
    }
}

/// A path that is not the same in both.
#[derive(Debug, PartialEq, Eq)]
pub enum Difference {
    /// Only in B.
    Added {
        /// Absolute, as served.
        path: Vec<u8>,
        /// Its `st_mode`.
        mode: u32,
        /// Its size in bytes.
        size: u64,
    },
    /// Only in A.
    Removed {
        /// Absolute, as served.
        path: Vec<u8>,
        /// Its `st_mode`.
        mode: u32,
        /// Its size in bytes.
        size: u64,
    },
    /// In both, and different.
    Changed {
        /// Absolute, as served in A.
        path: Vec<u8>,
        /// At least one.
        changes: Vec<Change>,
    },
}

impl Difference {
    /// The path it is about.
    pub fn path(&self) -> &[u8] {
        match self {
            Self::Added { path, .. } | Self::Removed { path, .. } | Self::Changed { path, .. } => {
                path
            }
        }
    }
}

/// All differences from `a` to `b`, in path order within each root.
pub fn compare(a: &Manifest<'_>, b: &Manifest<'_>, ignore: &[Field]) -> Vec<Difference> {
    let mut walk = Walk {
        a,
        b,
        ignore,
        found: Vec::new(),
    };
    let (in_a, in_b) = (roots(a), roots(b));
    if let ([(_, top_a)], [(mount, top_b)]) = (in_a.as_slice(), in_b.as_slice()) {
        walk.both(mount.clone(), *top_a, *top_b);
        return walk.found;
    }
    merge(&in_a, &in_b, |mount, top_a, top_b| {
        walk.either(mount.to_vec(), top_a, top_b)
    });
    walk.found
}

/// Mount paths and entries, sorted.
fn roots(manifest: &Manifest<'_>) -> Vec<(Vec<u8>, u32)> {
    let roots = (0..manifest.root_count()).filter_map(|number| manifest.root(number));
    let mut roots: Vec<_> = roots
        .map(|root| (root_name(root.mount).into_bytes(), root.index))
        .collect();
    roots.sort();
    roots
}

/// Calls `each` with every name of two sorted lists, and where it is in either.
fn merge(
    a: &[(Vec<u8>, u32)],
    b: &[(Vec<u8>, u32)],
    mut each: impl FnMut(&[u8], Option<u32>, Option<u32>),
) {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((name_a, _)), Some((name_b, _))) => name_a.cmp(name_b),
        };
        let from_a = if order.is_le() { a.next() } else { None };
        let from_b = if order.is_ge() { b.next() } else { None };
        if let Some((name, _)) = from_a.or(from_b) {
            each(
                name,
                from_a.map(|(_, index)| *index),
                from_b.map(|(_, index)| *index),
            );
        }
    }
}

struct Walk<'w> {
    a: &'w Manifest<'w>,
    b: &'w Manifest<'w>,
    ignore: &'w [Field],
    found: Vec<Difference>,
}

impl Walk<'_> {
    fn either(&mut self, path: Vec<u8>, in_a: Option<u32>, in_b: Option<u32>) {
        match (in_a, in_b) {
            (Some(in_a), Some(in_b)) => self.both(path, in_a, in_b),
            (Some(only), None) => self.one(path, self.a, only, |path, mode, size| {
                Difference::Removed { path, mode, size }
            }),
            (None, Some(only)) => self.one(path, self.b, only, |path, mode, size| {
                Difference::Added { path, mode, size }
            }),
            (None, None) => {}
        }
    }

    fn both(&mut self, path: Vec<u8>, in_a: u32, in_b: u32) {
        let changes = self.changes(in_a, in_b);
        let (below_a, below_b) = (children(self.a, in_a), children(self.b, in_b));
        if !changes.is_empty() {
            self.found.push(Difference::Changed {
                path: path.clone(),
                changes,
            });
        }
        merge(&below_a, &below_b, |name, in_a, in_b| {
            self.either(joined(&path, name), in_a, in_b)
        });
    }

    /// An entry that only one side has, and what is below it.
    fn one(
        &mut self,
        path: Vec<u8>,
        manifest: &Manifest<'_>,
        index: u32,
        make: fn(Vec<u8>, u32, u64) -> Difference,
    ) {
        let (mode, size) = manifest
            .stat(index)
            .map_or((0, 0), |data| (data.mode, data.size));
        let below = children(manifest, index);
        self.found.push(make(path.clone(), mode, size));
        for (name, child) in below {
            self.one(joined(&path, &name), manifest, child, make);
        }
    }

    fn changes(&self, in_a: u32, in_b: u32) -> Vec<Change> {
        let (Some(a), Some(b)) = (self.a.stat(in_a), self.b.stat(in_b)) else {
            return Vec::new();
        };
        let mut changes = Vec::new();
        let mut check = |field: Field, from: String, to: String| {
            if from != to && !self.ignore.contains(&field) {
                changes.push(Change { field, from, to });
            }
        };
        check(Field::Type, kind(&a), kind(&b));
        if a.mode & S_IFMT == b.mode & S_IFMT {
            if a.mode & S_IFMT == S_IFREG {
                check(Field::Content, content(self.a, in_a), content(self.b, in_b));
                check(Field::Size, a.size.to_string(), b.size.to_string());
                check(Field::Links, a.nlink.to_string(), b.nlink.to_string());
            }
            check(Field::Target, target(self.a, in_a), target(self.b, in_b));
        }
        check(Field::Mode, permissions(&a), permissions(&b));
        check(
            Field::Owner,
            format!("{}:{}", a.uid, a.gid),
            format!("{}:{}", b.uid, b.gid),
        );
        check(Field::Mtime, time(a.mtime), time(b.mtime));
        check(
            Field::Xattr,
            attributes(self.a, in_a),
            attributes(self.b, in_b),
        );
        changes
    }
}

fn children(manifest: &Manifest<'_>, directory: u32) -> Vec<(Vec<u8>, u32)> {
    if manifest
        .stat(directory)
        .is_none_or(|data| data.mode & S_IFMT != S_IFDIR)
    {
        return Vec::new();
    }
    let below = manifest
        .children(directory)
        .filter(|index| *index > directory);
    below
        .filter_map(|index| Some((manifest.name(index)?.to_vec(), index)))
        .collect()
}

fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let separator: &[u8] = if directory.ends_with(b"/") { b"" } else { b"/" };
    [directory, separator, name].concat()
}

fn kind(data: &Metadata) -> String {
    format::file_type(data.mode, 1).to_owned()
}

fn permissions(data: &Metadata) -> String {
    format!("{:04o}", data.mode & 0o7777)
}

fn content(manifest: &Manifest<'_>, index: u32) -> String {
    manifest
        .vnode(index)
        .map(|vnode| crate::output::hex(&vnode.content_hash))
        .unwrap_or_default()
}

fn target(manifest: &Manifest<'_>, index: u32) -> String {
    manifest
        .symlink_target(index)
        .map(quoted)
        .unwrap_or_default()
}

fn time(time: Time) -> String {
    format!("{}.{:09}", time.sec, time.nsec)
}

fn attributes(manifest: &Manifest<'_>, index: u32) -> String {
    let pairs = manifest
        .xattrs(index)
        .map(|(name, value)| format!("{}={}", printable(name), printable(value)));
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort();
    if pairs.is_empty() {
        String::from("none")
    } else {
        pairs.join(" ")
    }
}
