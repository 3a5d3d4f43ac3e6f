//! Numbers the entries: breadth first, roots by mount, children by name.

use super::{Kind, ManifestBuilder, Text, WriteError};
use crate::manifest::layout::PARENT_NONE;

/// The entries in their order in the file.
pub(super) struct Arranged {
    /// Item of each entry.
    pub order: Vec<u32>,
    /// Entry of each item.
    pub entry_of: Vec<u32>,
    /// First child and number of children of each entry; zeros if it has none.
    pub children: Vec<(u32, u32)>,
}

/// A name's first bytes, then its item: most comparisons need no more.
type SortKey = (u64, u32);

pub(super) fn arrange(builder: &ManifestBuilder) -> Result<Arranged, WriteError> {
    let items = &builder.items;
    let mut roots: Vec<_> = builder.roots.iter().collect();
    roots.sort_unstable();
    if roots.is_empty() {
        return Err(WriteError::NoRoot);
    }
    if let Some(pair) = roots.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(WriteError::MountTwice {
            mount: Text(pair[0].0.clone()),
        });
    }

    // Items by parent: counts, then starts, then places.
    let mut starts = vec![0_u32; items.len() + 1];
    for item in items.iter().filter(|item| item.parent != PARENT_NONE) {
        starts[item.parent as usize + 1] += 1;
    }
    for position in 1..starts.len() {
        starts[position] += starts[position - 1];
    }
    let mut by_parent: Vec<SortKey> = vec![(0, 0); items.len() - roots.len()];
    let mut next = starts.clone();
    for (id, item) in (0..).zip(items) {
        if item.parent != PARENT_NONE {
            let place = &mut next[item.parent as usize];
            by_parent[*place as usize] = (name_start(builder.name(item)), id);
            *place += 1;
        }
    }
    drop(next);

    let mut order = Vec::with_capacity(items.len());
    let mut children = Vec::with_capacity(items.len());
    order.extend(roots.iter().map(|(_, id)| *id));
    let mut done = 0;
    while let Some(&id) = order.get(done) {
        let range = starts[id as usize] as usize..starts[id as usize + 1] as usize;
        let below = &mut by_parent[range];
        sort(builder, below)?;
        let first = if below.is_empty() { 0 } else { order.len() };
        debug_assert!(below.is_empty() || matches!(items[id as usize].kind, Kind::Directory));
        children.push((first as u32, below.len() as u32));
        order.extend(below.iter().map(|(_, id)| *id));
        done += 1;
    }
    let mut entry_of = vec![0; items.len()];
    for (entry, id) in (0..).zip(&order) {
        entry_of[*id as usize] = entry;
    }
    Ok(Arranged {
        order,
        entry_of,
        children,
    })
}

/// Sorts the children of one directory by name and sees to it that names differ.
fn sort(builder: &ManifestBuilder, below: &mut [SortKey]) -> Result<(), WriteError> {
    let name = |key: &SortKey| builder.name(&builder.items[key.1 as usize]);
    below.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| name(a).cmp(name(b))));
    let same = |a: &SortKey, b: &SortKey| a.0 == b.0 && name(a) == name(b);
    match below.windows(2).find(|pair| same(&pair[0], &pair[1])) {
        Some(pair) => Err(WriteError::NameTwice {
            path: builder.path(pair[0].1),
        }),
        None => Ok(()),
    }
}

/// The first eight bytes, as a number that sorts as they do.
fn name_start(name: &[u8]) -> u64 {
    let mut start = [0; 8];
    let length = name.len().min(8);
    start[..length].copy_from_slice(&name[..length]);
    u64::from_be_bytes(start)
}
