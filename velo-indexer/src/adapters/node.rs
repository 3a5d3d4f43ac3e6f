//! npm packages: the directories in a `node_modules` that have a `package.json`.
//!
//! A package's entries are all below its directory, except nested `node_modules`: what
//! is in there are packages of their own.

use serde::Deserialize;

use super::{Candidate, Package, Shipment, Shop};
use crate::tree::{Content, Directory};

/// Of a package.json, what identifies the package.
#[derive(Deserialize)]
struct Identity {
    name: Option<String>,
    version: Option<String>,
}

/// Adds what may be packages in `modules`, a directory called `node_modules`.
pub(super) fn find(shop: &Shop, modules: &Directory, candidates: &mut Vec<Candidate>) {
    for entry in &modules.entries {
        let Content::Directory(id) = entry.content else {
            continue;
        };
        let Some(directory) = shop.tree.directory(id) else {
            continue;
        };
        let name = modules.name_of(entry);
        if name.starts_with(b"@") {
            for scoped in &directory.entries {
                if let Content::Directory(id) = scoped.content {
                    let name = [name, directory.name_of(scoped)].join(&b'/');
                    candidates.push(Candidate::Node { id, name });
                }
            }
        } else if !name.starts_with(b".") {
            candidates.push(Candidate::Node {
                id,
                name: name.to_vec(),
            });
        }
    }
}

/// The package in directory `id`.
pub(super) fn package(shop: &Shop, id: u32, directory_name: &[u8]) -> Option<Package> {
    let directory = shop.tree.directory(id)?;
    let text = shop.read(directory, b"package.json")?;
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let identity: Identity = serde_json::from_slice(text).ok()?;
    let name = identity.name.filter(|name| !name.is_empty());
    let mut shipment = Shipment::default();
    shipment.add_below(shop.tree, id, b"", b"node_modules");
    Some(Package {
        name: name.unwrap_or_else(|| String::from_utf8_lossy(directory_name).into_owned()),
        version: identity.version.unwrap_or_default(),
        tree: shipment.tree_hash(),
    })
}
