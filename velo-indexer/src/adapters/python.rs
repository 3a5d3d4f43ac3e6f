//! Python distributions: the `*.dist-info` and `*.egg-info` in a site-packages directory.
//!
//! A distribution's entries are what its RECORD lists; without one (Debian's packages,
//! old eggs) its metadata directory and the modules of its `top_level.txt`. Entries
//! outside of the site-packages directory (console scripts) name the environment they
//! were installed into, so they are no part of the package.

use std::borrow::Cow;

use super::{Candidate, Package, Shipment, Shop};
use crate::tree::{Content, Directory, Entry};

/// What installers write for themselves.
const INSTALLERS_OWN: [&[u8]; 7] = [
    b"RECORD",
    b"RECORD.jws",
    b"INSTALLER",
    b"REQUESTED",
    b"direct_url.json",
    b"uv_cache.json",
    b"uv_build.json",
];
/// Bytecode of this or that interpreter.
const BYTECODE: &[u8] = b"__pycache__";

/// Adds the metadata entries in directory `site`.
pub(super) fn find<'a>(site: u32, directory: &'a Directory, candidates: &mut Vec<Candidate<'a>>) {
    for entry in &directory.entries {
        let name = directory.name_of(entry);
        if name.ends_with(b".dist-info") || name.ends_with(b".egg-info") {
            candidates.push(Candidate::Python { site, entry });
        }
    }
}

/// The distribution that a metadata entry in directory `id` is of.
pub(super) fn package(shop: &Shop, id: u32, entry: &Entry) -> Option<Package> {
    let site = shop.tree.directory(id)?;
    let name = site.name_of(entry);
    let mut shipment = Shipment::default();
    let metadata = if let Content::Directory(info_id) = entry.content {
        let info = shop.tree.directory(info_id)?;
        match shop.read(info, b"RECORD") {
            Some(record) => add_recorded(shop, id, &record, &mut shipment),
            None => {
                shipment.add_below(shop.tree, info_id, name, BYTECODE);
                add_top_level(shop, site, info, &mut shipment);
            }
        }
        shipment.retain(|path| !is_installers_own(path, name));
        shop.read(info, b"METADATA")
            .or_else(|| shop.read(info, b"PKG-INFO"))
    } else {
        shipment.add(name, site, entry);
        shop.read(site, name)
    };
    let (named, version) = identity(metadata.as_deref().unwrap_or_default());
    let (fallback_name, fallback_version) = from_file_name(name);
    Some(Package {
        name: named.unwrap_or(fallback_name),
        version: version.unwrap_or(fallback_version),
        tree: shipment.tree_hash(),
    })
}

fn is_installers_own(path: &[u8], info: &[u8]) -> bool {
    let below = path
        .strip_prefix(info)
        .and_then(|rest| rest.strip_prefix(b"/"));
    below.is_some_and(|name| INSTALLERS_OWN.contains(&name))
}

/// Adds what a RECORD lists: CSV of path, hash and size; a path with a comma or a quote
/// is quoted, quotes doubled.
fn add_recorded(shop: &Shop, site: u32, record: &[u8], shipment: &mut Shipment) {
    // Lines come directory by directory, so the last one is remembered.
    let mut last: Option<(Vec<u8>, u32)> = None;
    for line in record.split(|&byte| byte == b'\n') {
        let path = &*recorded_path(line);
        let (parent, name) = match path.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (path.get(..slash).unwrap_or_default(), path.get(slash + 1..)),
            None => ([].as_slice(), Some(path)),
        };
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            continue;
        };
        if last.as_ref().is_none_or(|(path, _)| path != parent) {
            last = walk(shop, site, parent).map(|id| (parent.to_vec(), id));
        }
        let Some(directory) = last.as_ref().and_then(|(_, id)| shop.tree.directory(*id)) else {
            continue;
        };
        if let Some(entry) = directory.find(name) {
            shipment.add(path, directory, entry);
        }
    }
}

/// Directory `path` below `site`; none if it leads elsewhere or holds bytecode.
fn walk(shop: &Shop, site: u32, path: &[u8]) -> Option<u32> {
    let mut id = site;
    for name in path
        .split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty())
    {
        if name == BYTECODE {
            return None;
        }
        // `..` is no entry's name, so it leads nowhere.
        id = shop.subdirectory(shop.tree.directory(id)?, name)?.0;
    }
    Some(id)
}

fn recorded_path(line: &[u8]) -> Cow<'_, [u8]> {
    let Some(quoted) = line.strip_prefix(b"\"") else {
        let end = line.iter().position(|&byte| byte == b',' || byte == b'\r');
        return line
            .get(..end.unwrap_or(line.len()))
            .unwrap_or_default()
            .into();
    };
    let mut path = Vec::new();
    let mut rest = quoted.iter();
    while let Some(&byte) = rest.next() {
        if byte == b'"' && rest.next() != Some(&b'"') {
            break;
        }
        path.push(byte);
    }
    path.into()
}

/// Adds the modules and packages that `top_level.txt` names.
fn add_top_level(shop: &Shop, site: &Directory, info: &Directory, shipment: &mut Shipment) {
    let text = shop.read(info, b"top_level.txt").unwrap_or_default();
    for module in text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii) {
        if let Some((id, _)) = shop.subdirectory(site, module) {
            shipment.add_below(shop.tree, id, module, BYTECODE);
        }
        let file = [module, b".py"].concat();
        if let Some(entry) = site.find(&file) {
            shipment.add(&file, site, entry);
        }
    }
}

/// Name and version out of the header of a METADATA or PKG-INFO file.
fn identity(metadata: &[u8]) -> (Option<String>, Option<String>) {
    let field = |key: &[u8]| {
        let header = metadata
            .split(|&byte| byte == b'\n')
            .take_while(|line| !line.trim_ascii().is_empty());
        let mut values = header.filter_map(|line| line.strip_prefix(key));
        let value = String::from_utf8_lossy(values.next()?.trim_ascii()).into_owned();
        (!value.is_empty()).then_some(value)
    };
    (field(b"Name:"), field(b"Version:"))
}

/// Name and version out of `name-version.dist-info` or `name-version-py3.11.egg-info`.
fn from_file_name(name: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(name);
    let stem = text.rsplit_once('.').map_or(&*text, |(stem, _)| stem);
    let mut parts = stem.split('-');
    let mut part = || parts.next().unwrap_or_default().to_owned();
    (part(), part())
}

#[cfg(test)]
mod tests {
    use super::{from_file_name, identity, recorded_path};

    #[test]
    fn record_lines() {
        assert_eq!(*recorded_path(b"a/b.py,sha256=x,3\r"), *b"a/b.py");
        assert_eq!(
            *recorded_path(b"\"a,\"\"b\"\".py\",sha256=x,3"),
            *b"a,\"b\".py"
        );
        assert_eq!(*recorded_path(b""), *b"");
        assert_eq!(*recorded_path(b"\"open"), *b"open");
    }

    #[test]
    fn identity_is_in_the_header_only() {
        let text = b"Metadata-Version: 2.1\nName: a-b\nVersion: 1.0\n\nName: not this\n";
        assert_eq!(identity(text), (Some("a-b".into()), Some("1.0".into())));
        assert_eq!(identity(b"\nName: no"), (None, None));
        assert_eq!(
            from_file_name(b"six-1.16.0.dist-info"),
            ("six".into(), "1.16.0".into())
        );
        let egg = from_file_name(b"a_b-2.0-py3.11.egg-info");
        assert_eq!(egg, ("a_b".into(), "2.0".into()));
        assert_eq!(
            from_file_name(b"bare.egg-info"),
            ("bare".into(), String::new())
        );
    }
}
