//! Makes the sections that do not depend on path hashes.

use std::collections::HashMap;

use super::arrange::Arranged;
use super::pool::Pool;
use super::{Item, Kind, ManifestBuilder, WriteError};
use crate::manifest::layout::{
    DIRECTORY_KEY, NODE_BYTES, Node, PARENT_NONE, SUBDIRS_IN_NODE, Section, directory_hash_head,
};
use crate::manifest::stat::usual_blocks;
use crate::vnode::{VnodeEntry, flag, mode};

/// The sections that describe entries.
#[derive(Default)]
pub(super) struct Encoded {
    pub vnodes: Vec<u8>,
    pub nodes: Vec<u8>,
    pub names: Vec<u8>,
    pub owners: Vec<u8>,
    pub targets: Vec<u8>,
    pub hard_links: Vec<u8>,
    pub sparse: Vec<u8>,
    pub subdirs: Vec<u8>,
}

/// Bits of `mode` that are not the type.
const PERMISSIONS: u32 = 0o7777;

pub(super) fn encode(
    builder: &ManifestBuilder,
    arranged: &Arranged,
) -> Result<Encoded, WriteError> {
    let mut groups = Groups::find(builder, arranged);
    let with_xattrs = builder.items_with_xattrs();
    let count = arranged.order.len();
    let mut vnodes: Vec<VnodeEntry> = Vec::with_capacity(count);
    let mut nodes: Vec<[u8; NODE_BYTES]> = Vec::with_capacity(count);
    let (mut names, mut targets) = (Pool::default(), Pool::default());
    let mut owners = Owners::default();
    let (mut sparse, mut subdirs) = (Vec::new(), Vec::new());
    let too_large = |section| WriteError::SectionTooLarge { section };

    for (entry, &id) in (0..).zip(&arranged.order) {
        let own = &builder.items[id as usize];
        // A hard link has the content and the metadata of its file.
        let file = match own.kind {
            Kind::Link { to } => to,
            _ => id,
        };
        let item = &builder.items[file as usize];
        let mut vnode = vnode_of(builder, item);
        let parent = match own.parent {
            PARENT_NONE => PARENT_NONE,
            parent => arranged.entry_of[parent as usize],
        };
        let above = vnodes.get(parent as usize);
        if above.is_none_or(|above| above.has(flag::PUBLIC))
            && (!vnode.is_dir() || vnode.mode & 0o111 == 0o111)
        {
            vnode.flags |= flag::PUBLIC;
        }
        if with_xattrs.get(file as usize).is_some_and(|with| *with) {
            vnode.flags |= flag::XATTR;
        }
        let name = builder.name(own);
        let mut node = Node {
            parent,
            name_offset: names.intern(name).ok_or(too_large(Section::Names))?,
            first: 0,
            count: 0,
            mtime_ns: item.meta.mtime.nsec,
            owner: owners.number(item)?,
            name_bytes: own.name_bytes,
            subdirs: 0,
        };
        let group = groups.number_of.get(&file).copied();
        if group.is_some() {
            vnode.flags |= flag::HARDLINK;
        }
        match item.kind {
            Kind::Directory => {
                (node.first, node.count) = arranged.children[entry as usize];
                let count = subdirectories(builder, arranged, node.first, node.count);
                node.subdirs = u8::try_from(count).unwrap_or(SUBDIRS_IN_NODE);
                if node.subdirs == SUBDIRS_IN_NODE {
                    subdirs.push([entry, count].map(u32::to_le_bytes));
                }
            }
            Kind::Symlink { .. } => {
                let target = builder.target(item);
                let offset = targets.intern(target);
                node.first = offset.ok_or(too_large(Section::Targets))?;
                node.count = target.len() as u32;
                groups.symlinks.extend(group.map(|group| [entry, group]));
            }
            Kind::File(content) => {
                node.count = group.map_or(0, |group| group + 1);
                let blocks = content
                    .blocks
                    .filter(|blocks| *blocks != usual_blocks(&vnode));
                if let Some(blocks) = blocks {
                    vnode.flags |= flag::SPARSE;
                    let [low, high] = [blocks as u32, (blocks >> 32) as u32];
                    sparse.push([entry, 0, low, high].map(u32::to_le_bytes));
                }
            }
            Kind::Link { .. } => {}
        }
        vnodes.push(vnode);
        nodes.push(node.to_bytes());
    }
    hash_directories(builder, arranged, &mut vnodes);

    Ok(Encoded {
        vnodes: vnodes.iter().flat_map(|vnode| vnode.to_bytes()).collect(),
        nodes: nodes.into_flattened(),
        names: names.into_bytes(),
        owners: owners.bytes,
        targets: targets.into_bytes(),
        hard_links: groups.into_bytes(),
        sparse: sparse.into_flattened().into_flattened(),
        subdirs: subdirs.into_flattened().into_flattened(),
    })
}

/// The vnode of an item, without the flags that depend on others.
fn vnode_of(builder: &ManifestBuilder, item: &Item) -> VnodeEntry {
    let permissions = item.meta.mode & PERMISSIONS;
    let mut vnode = VnodeEntry {
        content_hash: [0; 32],
        size: item.meta.size,
        mtime: item.meta.mtime.sec.cast_unsigned(),
        mode: permissions,
        flags: 0,
        _pad: 0,
    };
    match item.kind {
        Kind::Directory => {
            vnode.mode |= mode::S_IFDIR;
            vnode.flags = flag::DIR;
        }
        Kind::Symlink { bytes, .. } => {
            vnode.mode |= mode::S_IFLNK;
            vnode.flags = flag::SYMLINK;
            vnode.size = bytes.into();
            vnode.content_hash = *blake3::hash(builder.target(item)).as_bytes();
        }
        Kind::File(content) => {
            vnode.mode |= mode::S_IFREG;
            vnode.content_hash = content.hash;
            if permissions & 0o111 != 0 {
                vnode.flags = flag::EXECUTABLE | flag::IN_VIEW;
            } else if content.in_view {
                vnode.flags = flag::IN_VIEW;
            }
        }
        Kind::Link { .. } => {}
    }
    vnode
}

fn subdirectories(builder: &ManifestBuilder, arranged: &Arranged, first: u32, count: u32) -> u32 {
    let ids = &arranged.order[first as usize..][..count as usize];
    let kinds = ids.iter().map(|id| builder.items[*id as usize].kind);
    kinds.filter(|kind| matches!(kind, Kind::Directory)).count() as u32
}

/// Fills in the hashes of directories, the last ones first: what is below comes later.
fn hash_directories(builder: &ManifestBuilder, arranged: &Arranged, vnodes: &mut [VnodeEntry]) {
    let mut text = Vec::new();
    for (entry, (first, count)) in arranged.children.iter().enumerate().rev() {
        if !vnodes[entry].is_dir() {
            continue;
        }
        text.clear();
        let range = *first as usize..(*first + *count) as usize;
        for (id, vnode) in arranged.order[range.clone()].iter().zip(&vnodes[range]) {
            let item = &builder.items[*id as usize];
            text.extend_from_slice(&directory_hash_head(vnode.mode, item.name_bytes));
            text.extend_from_slice(builder.name(item));
            text.extend_from_slice(&vnode.content_hash);
        }
        vnodes[entry].content_hash = *blake3::keyed_hash(&DIRECTORY_KEY, &text).as_bytes();
    }
}

/// Pairs of user and group id, numbered in the order of their first appearances.
#[derive(Default)]
struct Owners {
    bytes: Vec<u8>,
    numbers: HashMap<(u32, u32), u16>,
    last: Option<((u32, u32), u16)>,
}

impl Owners {
    fn number(&mut self, item: &Item) -> Result<u16, WriteError> {
        let owner = (item.meta.uid, item.meta.gid);
        match self.last {
            Some((last, number)) if last == owner => return Ok(number),
            _ => {}
        }
        let next = self.numbers.len();
        let number = match self.numbers.get(&owner) {
            Some(number) => *number,
            None => {
                let number = u16::try_from(next).map_err(|_| WriteError::TooManyOwners)?;
                self.numbers.insert(owner, number);
                self.bytes.extend(owner.0.to_le_bytes());
                self.bytes.extend(owner.1.to_le_bytes());
                number
            }
        };
        self.last = Some((owner, number));
        Ok(number)
    }
}

/// Hard-link groups, numbered in the order of their first members.
struct Groups {
    number_of: HashMap<u32, u32>,
    /// Entries of each group, ascending.
    members: Vec<Vec<u32>>,
    /// Entry and group of each symlink that is in one, ascending.
    symlinks: Vec<[u32; 2]>,
}

impl Groups {
    fn find(builder: &ManifestBuilder, arranged: &Arranged) -> Self {
        let mut links: HashMap<u32, Vec<u32>> = HashMap::new();
        for (entry, &id) in (0..).zip(&arranged.order) {
            if let Kind::Link { to } = builder.items[id as usize].kind {
                let first = || vec![arranged.entry_of[to as usize]];
                links.entry(to).or_insert_with(first).push(entry);
            }
        }
        let mut members: Vec<(Vec<u32>, u32)> = Vec::with_capacity(links.len());
        for (file, mut entries) in links {
            entries.sort_unstable();
            members.push((entries, file));
        }
        members.sort_unstable();
        let number_of = (0..)
            .zip(&members)
            .map(|(number, (_, file))| (*file, number));
        Self {
            number_of: number_of.collect(),
            members: members.into_iter().map(|(entries, _)| entries).collect(),
            symlinks: Vec::new(),
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        if self.members.is_empty() {
            return Vec::new();
        }
        let all = self.members.iter().map(Vec::len).sum::<usize>();
        let counts = [self.members.len(), all, self.symlinks.len(), 0];
        let mut words = Vec::from(counts.map(|count| count as u32));
        let mut start = 0;
        for entries in &self.members {
            words.extend([start, entries.len() as u32]);
            start += entries.len() as u32;
        }
        words.extend(self.members.iter().flatten());
        words.extend(self.symlinks.as_flattened());
        words.into_iter().flat_map(u32::to_le_bytes).collect()
    }
}

impl ManifestBuilder {
    fn target(&self, item: &Item) -> &[u8] {
        match item.kind {
            Kind::Symlink { offset, bytes } => &self.targets[offset..offset + bytes as usize],
            _ => &[],
        }
    }

    /// Which items have extended attributes; empty if none has.
    fn items_with_xattrs(&self) -> Vec<bool> {
        if self.xattrs.is_empty() {
            return Vec::new();
        }
        let mut with = vec![false; self.items.len()];
        for (id, attributes) in &self.xattrs {
            with[*id as usize] = !attributes.is_empty();
        }
        with
    }
}
