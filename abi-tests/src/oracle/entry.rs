//! One entry of a tree, as text and on the disk.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::text::{placed, unescaped};
use crate::compile;
use crate::trees::Tree;

/// What an entry is; texts are escaped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A file of so many bytes; the same number means the same bytes.
    Bytes(usize),
    /// A file of so many bytes with data in one block only.
    Sparse(u64),
    /// A file with this content.
    Text(String),
    /// The program `c/show.c`, without what depends on inherited descriptors.
    Program,
    /// A symlink with this target.
    Link(String),
    /// Another name of this path.
    Hard(String),
}

/// An entry: one line of a case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Path in the tree, escaped; empty for the root.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Permissions, unless it is a symlink or hard link.
    pub mode: u32,
    /// User and group.
    pub owner: (u32, u32),
    /// Time of last change, in seconds and nanoseconds.
    pub time: (i64, u32),
    /// Extended attributes, as `name=value`.
    pub attributes: Vec<String>,
}

impl Entry {
    /// An entry that everybody may read, of root.
    #[must_use]
    pub fn new(path: impl Into<String>, kind: Kind) -> Self {
        let mode = match kind {
            Kind::Dir | Kind::Program => 0o755,
            _ => 0o644,
        };
        Self {
            path: path.into(),
            kind,
            mode,
            owner: (0, 0),
            time: (1_700_000_000, 0),
            attributes: Vec::new(),
        }
    }

    /// With these permissions.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, detail) = match &self.kind {
            Kind::Dir => ("dir", String::new()),
            Kind::Bytes(bytes) => ("bytes", bytes.to_string()),
            Kind::Sparse(bytes) => ("sparse", bytes.to_string()),
            Kind::Text(text) => ("text", text.clone()),
            Kind::Program => ("program", String::new()),
            Kind::Link(target) => ("link", target.clone()),
            Kind::Hard(existing) => ("hard", existing.clone()),
        };
        let (user, group) = self.owner;
        let (seconds, nanoseconds) = self.time;
        let attributes = self.attributes.join(",");
        write!(
            out,
            "{kind}\t{}\t{detail}\t{:o}\t{user}:{group}\t{seconds}.{nanoseconds:09}\t{attributes}",
            self.path, self.mode
        )
    }
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let wrong = || {
            format!("expected `kind path detail mode user:group time attributes`, found `{line}`")
        };
        let fields: Vec<&str> = line.split('\t').collect();
        let [kind, path, detail, mode, owner, time, attributes] = fields[..] else {
            return Err(wrong());
        };
        let kind = match kind {
            "dir" => Kind::Dir,
            "bytes" => Kind::Bytes(detail.parse().map_err(|_| wrong())?),
            "sparse" => Kind::Sparse(detail.parse().map_err(|_| wrong())?),
            "text" => Kind::Text(detail.to_owned()),
            "program" => Kind::Program,
            "link" => Kind::Link(detail.to_owned()),
            "hard" => Kind::Hard(detail.to_owned()),
            _ => return Err(wrong()),
        };
        let pair = |text: &str, separator| -> Option<(String, String)> {
            text.split_once(separator)
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
        };
        let (user, group) = pair(owner, ':').ok_or_else(wrong)?;
        let (seconds, nanoseconds) = pair(time, '.').ok_or_else(wrong)?;
        let number = |text: &str| text.parse().map_err(|_| wrong());
        Ok(Self {
            path: path.to_owned(),
            kind,
            mode: u32::from_str_radix(mode, 8).map_err(|_| wrong())?,
            owner: (number(&user)?, number(&group)?),
            time: (seconds.parse().map_err(|_| wrong())?, number(&nanoseconds)?),
            attributes: attributes
                .split(',')
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
                .collect(),
        })
    }
}

fn os(text: &str) -> OsString {
    OsString::from_vec(unescaped(text))
}

/// Makes `entries` in `base` to be seen at `at`. What cannot be made, because what it needs is not there any more, is
/// left out, so that a tree of fewer lines is still a tree.
pub fn make(entries: &[Entry], base: &Path, at: &Path) {
    let tree = Tree::in_directory(base);
    let at = super::text::escaped(at.as_os_str().as_bytes());
    let there = |path: &Path| std::fs::symlink_metadata(path).is_ok();
    let mut made: Vec<(&Entry, PathBuf)> = Vec::new();
    for entry in entries {
        let (rel, full) = (os(&entry.path), base.join(os(&entry.path)));
        let parent = full.parent().unwrap_or(base);
        if there(&full) && entry.kind != Kind::Dir || std::fs::create_dir_all(parent).is_err() {
            continue;
        }
        match &entry.kind {
            Kind::Dir => drop(std::fs::create_dir_all(&full)),
            Kind::Bytes(bytes) => drop(tree.file(&rel, content(*bytes))),
            Kind::Sparse(bytes) => drop(tree.sparse(&rel, *bytes)),
            Kind::Text(text) => drop(tree.file(&rel, unescaped(&placed(text, &at)))),
            Kind::Program => drop(tree.copy(
                &rel,
                &compile::with("cc", "show", &["-DWITHOUT_DESCRIPTORS"]),
                entry.mode,
            )),
            Kind::Link(target) => drop(tree.link(&rel, os(&placed(target, &at)))),
            Kind::Hard(existing) if base.join(os(existing)).is_dir() => continue,
            Kind::Hard(existing) if !there(&base.join(os(existing))) => continue,
            Kind::Hard(existing) => drop(tree.hard_link(&rel, os(existing))),
        }
        made.push((entry, full));
    }
    // Children before their directories, which must be open to make them and keep their times after.
    for (entry, full) in made.iter().rev() {
        let rel = os(&entry.path);
        if matches!(entry.kind, Kind::Hard(_)) || !there(full) {
            continue;
        }
        for attribute in &entry.attributes {
            if let Some((name, value)) = attribute.split_once('=') {
                tree.attribute(&rel, name, value.as_bytes());
            }
        }
        tree.owner(&rel, entry.owner.0, entry.owner.1);
        if !matches!(entry.kind, Kind::Link(_)) {
            tree.mode(&rel, entry.mode);
        }
        tree.time(&rel, entry.time.0, i64::from(entry.time.1));
    }
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|at| (at * at / 7 + at + bytes) as u8)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Entry, Kind};

    #[test]
    fn lines_come_back() {
        let mut entry = Entry::new("a/\\xff b", Kind::Link("{P}/../x".to_owned()));
        entry.time = (-1, 5);
        entry.attributes = vec!["user.note=kept".to_owned()];
        assert_eq!(entry.to_string().parse(), Ok(entry));
        assert!("dir\ta".parse::<Entry>().is_err());
    }
}
