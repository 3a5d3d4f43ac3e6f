//! Shared objects of equal content: to a dynamic loader a file is a library by its device
//! and inode, so two of them that are no hard links of each other must not share one.

use std::collections::HashMap;
use std::io::Read;

use velo_core::id::ContentHash;
use velo_core::manifest::Manifest;
use velo_core::vnode::flag;

use crate::{Store, StoreError};

/// The entries of a view that get an inode of their own, and for each the first entry of
/// its hard links, which share it.
pub(crate) type Twins = HashMap<u32, u32>;

/// Finds them: of equal shared objects all but the first and its hard links.
pub(crate) fn find(store: &Store, manifest: &Manifest<'_>) -> Result<Twins, StoreError> {
    let mut firsts: HashMap<[u8; 32], u32> = HashMap::new();
    let mut is_library: HashMap<[u8; 32], bool> = HashMap::new();
    let mut twins = Twins::new();
    for index in 0..manifest.entry_count() {
        let Some(vnode) = manifest
            .vnode(index)
            .filter(|vnode| vnode.is_file() && vnode.has(flag::IN_VIEW))
        else {
            continue;
        };
        let content = vnode.content_hash;
        let group = manifest.hard_links(index).next().unwrap_or(index);
        if *firsts.entry(content).or_insert(group) == group {
            continue;
        }
        let library = match is_library.get(&content) {
            Some(known) => *known,
            None => {
                let hash = ContentHash::from_bytes(content);
                let mut head = Vec::new();
                store
                    .open_blob(&hash)?
                    .take(HEAD_BYTES)
                    .read_to_end(&mut head)
                    .map_err(|error| store.blob_io("read the blob", &hash, &error))?;
                *is_library.entry(content).or_insert(is_shared_object(&head))
            }
        };
        if library {
            twins.insert(index, group);
        }
    }
    Ok(twins)
}

/// Where the program headers of real files are.
const HEAD_BYTES: u64 = 4096;

/// Whether a file with this beginning is a shared object and no program: of type `ET_DYN`
/// and without an interpreter (elf(5)). Programs of equal content may share an inode,
/// since nothing looks at it.
fn is_shared_object(head: &[u8]) -> bool {
    const ET_DYN: u64 = 3;
    const PT_INTERP: u64 = 3;
    let number = |at: usize, bytes: usize| {
        let field = head.get(at..at.checked_add(bytes)?)?;
        Some(
            field
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        )
    };
    // 64 bits, little-endian; anything else is no library of this machine.
    if !head.starts_with(b"\x7fELF\x02\x01") || number(16, 2) != Some(ET_DYN) {
        return false;
    }
    let (Some(start), Some(size), Some(count)) = (number(32, 8), number(54, 2), number(56, 2))
    else {
        return false;
    };
    let kinds = (0..count).map_while(|header| {
        let at = start.checked_add(header.checked_mul(size)?)?;
        number(usize::try_from(at).ok()?, 4)
    });
    !kinds.into_iter().any(|kind| kind == PT_INTERP)
}

#[cfg(test)]
mod tests {
    use super::is_shared_object;

    /// An ELF header with program headers of these kinds right behind it.
    fn elf(kind: u8, headers: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        bytes[16] = kind;
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = headers.len() as u8;
        for header in headers {
            bytes.push(*header);
            bytes.resize(bytes.len() + 55, 0);
        }
        bytes
    }

    #[test]
    fn libraries_are_told_from_programs_and_noise() {
        assert!(is_shared_object(&elf(3, &[1, 2])));
        assert!(!is_shared_object(&elf(3, &[1, 3, 2])), "has an interpreter");
        assert!(!is_shared_object(&elf(2, &[1])), "has a fixed address");
        assert!(!is_shared_object(b"#!/bin/sh\n"));
        assert!(!is_shared_object(b"\x7fELF\x02\x01"));
        let mut far = elf(3, &[1]);
        far[32..40].fill(0xff);
        assert!(is_shared_object(&far), "headers that cannot be read");
    }
}
