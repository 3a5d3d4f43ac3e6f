//! Makes the sections beside the tree: roots, extended attributes, packages,
//! provenance, the source's stat.

use std::collections::HashMap;

use super::arrange::Arranged;
use super::pool::Pool;
use super::{Attributes, Kind, ManifestBuilder, WriteError};
use crate::manifest::layout::{PACKAGE_BYTES, PACKAGE_STRING_BYTES_MAX, ROOT_BYTES, Section};

/// The text of a section whose records name parts of a pool behind them.
struct Pooled {
    section: Section,
    records: Vec<u8>,
    pool: Pool,
    pool_start: usize,
}

impl Pooled {
    fn new(section: Section, head: Vec<u8>, record_bytes: usize) -> Self {
        Self {
            section,
            pool_start: head.len() + record_bytes,
            records: head,
            pool: Pool::default(),
        }
    }

    /// Appends offset and length of `string`.
    fn push(&mut self, string: &[u8]) -> Result<(), WriteError> {
        let too_large = WriteError::SectionTooLarge {
            section: self.section,
        };
        let offset = self.pool.intern(string);
        let offset = offset.and_then(|offset| offset.checked_add(self.pool_start as u32));
        self.records.extend(offset.ok_or(too_large)?.to_le_bytes());
        self.records.extend((string.len() as u32).to_le_bytes());
        Ok(())
    }

    fn finish(mut self) -> Vec<u8> {
        self.records.extend(self.pool.into_bytes());
        self.records
    }
}

/// Mounts in ascending order.
pub(super) fn roots(builder: &ManifestBuilder) -> Result<Vec<u8>, WriteError> {
    let mut mounts: Vec<_> = builder.roots.iter().map(|(mount, _)| mount).collect();
    mounts.sort_unstable();
    let mut section = Pooled::new(Section::Roots, Vec::new(), mounts.len() * ROOT_BYTES);
    for mount in mounts {
        section.push(mount)?;
    }
    Ok(section.finish())
}

/// Packages in ascending order.
pub(super) fn packages(builder: &mut ManifestBuilder) -> Result<Vec<u8>, WriteError> {
    let packages = &mut builder.packages;
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    packages.sort_unstable();
    let same = |pair: &&[super::OwnedPackage]| {
        pair[0].name == pair[1].name && pair[0].version == pair[1].version
    };
    if let Some(pair) = packages.windows(2).find(same) {
        return Err(WriteError::PackageTwice {
            name: pair[0].name.as_slice().into(),
            version: pair[0].version.as_slice().into(),
        });
    }
    let mut strings = packages
        .iter()
        .flat_map(|found| [&found.name, &found.version]);
    if let Some(found) = strings.find(|string| string.len() > PACKAGE_STRING_BYTES_MAX) {
        return Err(WriteError::PackageTooLong {
            found_bytes: found.len(),
        });
    }
    let count = u64::from(packages.len() as u32);
    let bytes = packages.len() * PACKAGE_BYTES;
    let mut section = Pooled::new(Section::Packages, count.to_le_bytes().to_vec(), bytes);
    for package in packages.iter() {
        section.push(&package.name)?;
        section.push(&package.version)?;
        section.records.extend(package.tree);
    }
    Ok(section.finish())
}

/// Lines in ascending order.
pub(super) fn provenance(builder: &mut ManifestBuilder) -> Result<Vec<u8>, WriteError> {
    let lines = &mut builder.provenance;
    lines.sort_unstable();
    if let Some(pair) = lines.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(WriteError::Provenance {
            key: pair[0].0.as_slice().into(),
        });
    }
    let mut text = Vec::new();
    for (key, value) in lines {
        text.extend([key, &b"="[..], value, b"\n"].concat());
    }
    Ok(text)
}

/// Extended attributes: a table by entry, then lists, equal ones stored once.
pub(super) fn xattrs(
    builder: &ManifestBuilder,
    arranged: &Arranged,
) -> Result<Vec<u8>, WriteError> {
    let too_large = WriteError::SectionTooLarge {
        section: Section::Xattrs,
    };
    if builder.xattrs.is_empty() {
        return Ok(Vec::new());
    }
    let mut lists: Vec<Option<&Attributes>> = vec![None; builder.items.len()];
    for (id, attributes) in &builder.xattrs {
        lists[*id as usize] = (!attributes.is_empty()).then_some(attributes);
    }
    let mut numbers: HashMap<&Attributes, u32> = HashMap::new();
    let (mut table, mut starts, mut text) = (Vec::new(), Vec::new(), Vec::new());
    for (entry, &id) in (0_u32..).zip(&arranged.order) {
        let file = match builder.items[id as usize].kind {
            Kind::Link { to } => to,
            _ => id,
        };
        let Some(attributes) = lists[file as usize] else {
            continue;
        };
        let next = numbers.len() as u32;
        let number = *numbers.entry(attributes).or_insert(next);
        if number == next {
            let start = u32::try_from(text.len()).map_err(|_| too_large.clone())?;
            starts.push(start.to_le_bytes());
            put_list(&mut text, attributes).ok_or(too_large.clone())?;
        }
        table.push([entry, number].map(u32::to_le_bytes));
    }
    if table.is_empty() {
        return Ok(Vec::new());
    }
    let counts = [table.len() as u32, starts.len() as u32].map(u32::to_le_bytes);
    let table = table.as_flattened().as_flattened();
    Ok([counts.as_flattened(), table, starts.as_flattened(), &text].concat())
}

/// Appends a list of attributes; `None` if a value is 4 GiB or longer.
fn put_list(text: &mut Vec<u8>, attributes: &Attributes) -> Option<()> {
    text.extend((attributes.len() as u32).to_le_bytes());
    for (name, value) in attributes {
        text.extend((name.len() as u32).to_le_bytes());
        text.extend(u32::try_from(value.len()).ok()?.to_le_bytes());
        text.extend_from_slice(name);
        text.extend_from_slice(value);
    }
    Some(())
}

/// The source's stat of each entry; nothing unless the manifest is exact.
pub(super) fn source_stats(
    builder: &ManifestBuilder,
    arranged: &Arranged,
) -> Result<Vec<u8>, WriteError> {
    let given = &builder.source_stats;
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let mut section = Vec::with_capacity(arranged.order.len());
    let of = |id: u32| given.get(id as usize).copied().flatten();
    for &id in &arranged.order {
        let stat = of(id).or_else(|| match builder.items[id as usize].kind {
            Kind::Link { to } => of(to),
            _ => None,
        });
        let stat = stat.ok_or_else(|| WriteError::SourceStatMissing {
            path: builder.path(id),
        })?;
        section.push(stat.to_bytes());
    }
    Ok(section.into_flattened())
}

const _: () = assert!(PACKAGE_BYTES == 2 * 8 + 32 && ROOT_BYTES == 8);
