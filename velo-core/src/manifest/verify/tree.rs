//! Checks the entries one after the other, and that each is found by its path.

use super::super::Manifest;
use super::super::error::{EntryFault, VerifyError};
use super::super::layout::{
    DIRECTORY_KEY, Node, PARENT_NONE, PATH_BYTES_MAX, SLOT_EMPTY, SUBDIRS_IN_NODE, Section,
    directory_hash_head,
};
use super::super::lookup::{Slot, hash_rel, tag};
use super::super::rules::{name_is_valid, target_is_valid};
use crate::vnode::{VnodeEntry, flag, mode};

/// Bits of `mode` that mean something.
const MODE_MASK: u32 = mode::S_IFMT | 0o7777;

/// What is counted on the way, to be compared with the sections' sizes.
#[derive(Default)]
struct Seen {
    /// First entry that no directory so far has as a child.
    next_child: u32,
    hard_links: usize,
    hard_linked_symlinks: usize,
    sparse: usize,
    xattrs: usize,
    large_directories: usize,
    slotted: u32,
}

/// One entry under examination.
struct Entry {
    index: u32,
    vnode: VnodeEntry,
    node: Node,
}

type Check = Result<(), EntryFault>;

/// Fails with `fault` unless `holds`.
fn expect(holds: bool, fault: EntryFault) -> Check {
    if holds { Ok(()) } else { Err(fault) }
}

impl Manifest<'_> {
    pub(super) fn verify_tree(&self) -> Result<(), VerifyError> {
        let mut seen = Seen {
            next_child: self.root_count,
            ..Seen::default()
        };
        let mut path = [0; PATH_BYTES_MAX];
        for index in 0..self.entry_count() {
            let check = self.verify_entry(index, &mut seen, &mut path);
            check.map_err(|fault| VerifyError::Entry { index, fault })?;
        }
        if seen.next_child != self.entry_count() {
            return Err(VerifyError::Entry {
                index: seen.next_child,
                fault: EntryFault::Children,
            });
        }
        self.verify_totals(&seen)?;
        self.verify_slots(&seen)
    }

    fn verify_entry(&self, index: u32, seen: &mut Seen, path: &mut [u8]) -> Check {
        let (Some(vnode), Some(node)) = (self.vnode(index), self.node(index)) else {
            return Err(EntryFault::Children);
        };
        let entry = Entry { index, vnode, node };
        self.verify_place(&entry, seen)?;
        verify_mode(&entry)?;
        self.verify_public(&entry)?;
        expect(node.mtime_ns < 1_000_000_000, EntryFault::Nanoseconds)?;
        let owner = self.owners.get(usize::from(node.owner));
        expect(owner.is_some(), EntryFault::Owner)?;
        if vnode.is_dir() {
            self.verify_directory(&entry, seen)?;
        } else if vnode.is_symlink() {
            self.verify_symlink(&entry)?;
        } else {
            let linked = vnode.has(flag::HARDLINK);
            expect(linked == (node.count != 0), EntryFault::HardLink)?;
            expect(node.first == 0, EntryFault::Reserved)?;
        }
        self.verify_marks(&entry, seen)?;
        self.verify_lookup(index, seen, path)
    }

    /// Roots stand alone; everything else is a child of the directory it names.
    fn verify_place(&self, entry: &Entry, seen: &Seen) -> Check {
        let node = &entry.node;
        if entry.index < self.root_count {
            let alone = node.parent == PARENT_NONE && node.name_bytes == 0;
            expect(alone && entry.vnode.is_dir(), EntryFault::Root)?;
            return expect(node.name_offset == 0, EntryFault::Reserved);
        }
        // Its directory came before, and has checked who it is the parent of.
        expect(entry.index < seen.next_child, EntryFault::Children)?;
        let name = self.name_of(node).unwrap_or_default();
        expect(name_is_valid(name), EntryFault::Name)
    }

    fn verify_public(&self, entry: &Entry) -> Check {
        let above = match entry.node.parent {
            PARENT_NONE => true,
            parent => {
                let above = self.vnode(parent);
                above.is_some_and(|above| above.has(flag::PUBLIC))
            }
        };
        let itself = !entry.vnode.is_dir() || entry.vnode.mode & 0o111 == 0o111;
        let public = entry.vnode.has(flag::PUBLIC);
        expect(public == (above && itself), EntryFault::Public)
    }

    /// Its children are the next ones, have it as their parent, are sorted, and have
    /// the hash and the number of directories that it says.
    fn verify_directory(&self, entry: &Entry, seen: &mut Seen) -> Check {
        let Entry { index, vnode, node } = entry;
        let mut subdirs = 0;
        let mut hasher = blake3::Hasher::new_keyed(&DIRECTORY_KEY);
        if node.count == 0 {
            expect(node.first == 0, EntryFault::Reserved)?;
        } else {
            let end = node.first.saturating_add(node.count);
            let next = node.first == seen.next_child && end <= self.entry_count();
            expect(next, EntryFault::Children)?;
            seen.next_child = end;
            let mut before = &[][..];
            for child in node.first..end {
                let (Some(vnode), Some(node)) = (self.vnode(child), self.node(child)) else {
                    return Err(EntryFault::Children);
                };
                expect(node.parent == *index, EntryFault::Parent)?;
                let name = self.name_of(&node).ok_or(EntryFault::Name)?;
                expect(name > before, EntryFault::Order)?;
                before = name;
                subdirs += u32::from(vnode.is_dir());
                hasher.update(&directory_hash_head(vnode.mode, node.name_bytes));
                hasher.update(name);
                hasher.update(&vnode.content_hash);
            }
        }
        let hash = *hasher.finalize().as_bytes();
        expect(hash == vnode.content_hash, EntryFault::DirectoryHash)?;
        if node.subdirs == SUBDIRS_IN_NODE {
            seen.large_directories += 1;
            let listed = Self::record(self.subdirs, *index).is_some();
            let large = subdirs >= u32::from(SUBDIRS_IN_NODE);
            expect(listed && large, EntryFault::Subdirs)?;
        }
        expect(subdirs == self.subdirs(*index, node), EntryFault::Subdirs)
    }

    fn verify_symlink(&self, entry: &Entry) -> Check {
        let target = self.symlink_target(entry.index).unwrap_or_default();
        expect(target_is_valid(target), EntryFault::Target)?;
        let same = entry.vnode.size == target.len() as u64
            && entry.vnode.content_hash == *blake3::hash(target).as_bytes();
        expect(same, EntryFault::TargetHash)
    }

    /// Hard link, sparse file, extended attributes: the sections know the entry.
    fn verify_marks(&self, entry: &Entry, seen: &mut Seen) -> Check {
        let Entry { index, vnode, node } = entry;
        expect(vnode.is_dir() || node.subdirs == 0, EntryFault::Reserved)?;
        if vnode.has(flag::HARDLINK) {
            seen.hard_links += 1;
            seen.hard_linked_symlinks += usize::from(vnode.is_symlink());
            self.verify_hard_link(entry)?;
        }
        if vnode.has(flag::SPARSE) {
            seen.sparse += 1;
            let blocks = self.sparse_blocks(*index);
            expect(blocks.is_some(), EntryFault::Flags)?;
        }
        if vnode.has(flag::XATTR) {
            seen.xattrs += 1;
            expect(self.xattr_list_of(*index).is_some(), EntryFault::Flags)?;
        }
        Ok(())
    }

    /// Its group lists it, and it is the same as the group's first member.
    fn verify_hard_link(&self, entry: &Entry) -> Check {
        let Entry { index, vnode, node } = entry;
        let number = self.group_of(*index, vnode);
        let members = number.and_then(|number| self.group(number));
        let members = members.ok_or(EntryFault::HardLink)?;
        let listed = members.binary_search_by_key(index, |member| u32::from_le_bytes(*member));
        expect(listed.is_ok(), EntryFault::HardLink)?;
        let first = members.first().map(|member| u32::from_le_bytes(*member));
        let first = first.ok_or(EntryFault::HardLink)?;
        let (Some(mut other), Some(other_node)) = (self.vnode(first), self.node(first)) else {
            return Err(EntryFault::HardLink);
        };
        other.flags = other.flags & !flag::PUBLIC | vnode.flags & flag::PUBLIC;
        let same_node = (node.mtime_ns, node.owner, node.first, node.count)
            == (
                other_node.mtime_ns,
                other_node.owner,
                other_node.first,
                other_node.count,
            );
        let same_blocks = self.sparse_blocks(*index) == self.sparse_blocks(first);
        let same_xattrs = self.xattr_list_of(*index) == self.xattr_list_of(first);
        let same = other == *vnode && same_node && same_blocks && same_xattrs;
        expect(same, EntryFault::HardLink)
    }

    /// A lookup of the entry's path finds it, through its slot if it has one.
    fn verify_lookup(&self, index: u32, seen: &mut Seen, path: &mut [u8]) -> Check {
        let length = self.rel_path(index, path).ok_or(EntryFault::PathTooLong)?;
        let path = path.get(..length).ok_or(EntryFault::PathTooLong)?;
        let root = self.root_of(index).ok_or(EntryFault::Parent)?;
        let hash = hash_rel(root, path);
        let slot = self.slots.get(self.phf.slot(hash) as usize);
        let slot = slot.map(Slot::from_bytes).ok_or(EntryFault::Lookup)?;
        seen.slotted += u32::from(slot.index == index && slot.tag == tag(hash));
        let found = self.lookup_hashed(root, path, hash);
        expect(found == Some(index), EntryFault::Lookup)
    }

    /// The sections list nothing that the entries do not have.
    fn verify_totals(&self, seen: &Seen) -> Result<(), VerifyError> {
        let links = self.hard_link_parts();
        let links = links.map_or((0, 0), |parts| (parts.members.len(), parts.symlinks.len()));
        let xattrs = self.xattr_parts().map_or(0, |parts| parts.table.len());
        let totals = [
            (Section::HardLinks, links.0, seen.hard_links),
            (Section::HardLinks, links.1, seen.hard_linked_symlinks),
            (Section::Xattrs, xattrs, seen.xattrs),
            (Section::Sparse, self.sparse.len(), seen.sparse),
            (Section::Subdirs, self.subdirs.len(), seen.large_directories),
        ];
        match totals.iter().find(|(_, listed, found)| listed != found) {
            Some((section, listed, _)) => Err(VerifyError::Record {
                section: *section,
                record: *listed as u32,
            }),
            None => Ok(()),
        }
    }

    /// Every slot in use is that of an entry. Each entry was found in its own one, so
    /// it is enough that there are no more.
    fn verify_slots(&self, seen: &Seen) -> Result<(), VerifyError> {
        let mut used = 0;
        for (record, slot) in (0..).zip(self.slots) {
            let slot = Slot::from_bytes(slot);
            if slot.index != SLOT_EMPTY {
                used += 1;
            } else if slot.tag != 0 {
                return Err(VerifyError::Record {
                    section: Section::Slots,
                    record,
                });
            }
        }
        let all = seen.slotted == self.entry_count();
        if used == seen.slotted && self.phf.key_count() == used && self.unslotted != all {
            Ok(())
        } else {
            Err(VerifyError::Slots {
                used,
                found: seen.slotted,
            })
        }
    }
}

/// Type and flags agree; nothing reserved is set.
fn verify_mode(entry: &Entry) -> Check {
    const FILE_ONLY: u16 = flag::EXECUTABLE | flag::IN_VIEW | flag::SPARSE;
    let vnode = &entry.vnode;
    let flags = vnode.flags;
    expect(vnode.mode & !MODE_MASK == 0, EntryFault::Mode)?;
    expect(vnode._pad == 0, EntryFault::Reserved)?;
    let shared = flag::PUBLIC | flag::XATTR;
    let (kind, allowed) = match vnode.mode & mode::S_IFMT {
        mode::S_IFDIR => (flag::DIR, shared),
        mode::S_IFLNK => (flag::SYMLINK, shared | flag::HARDLINK),
        mode::S_IFREG => (0, shared | flag::HARDLINK | FILE_ONLY),
        _ => return Err(EntryFault::Mode),
    };
    let type_flags = flags & (flag::DIR | flag::SYMLINK) == kind;
    expect(
        type_flags && flags & !(kind | allowed) == 0,
        EntryFault::Flags,
    )?;
    if vnode.is_file() {
        let executable = vnode.has(flag::EXECUTABLE);
        let in_view = !executable || vnode.has(flag::IN_VIEW);
        let agrees = executable == (vnode.mode & 0o111 != 0);
        expect(agrees && in_view, EntryFault::Flags)?;
    }
    Ok(())
}
