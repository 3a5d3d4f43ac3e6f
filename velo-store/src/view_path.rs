//! Paths below a view tree's directory: from an entry's number to something that one
//! system call takes, however deep the entry is.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use velo_core::manifest::Manifest;
use velo_core::store_layout::{DECIMAL_BYTES_MAX, decimal};

use crate::temporary::open_directory;

/// Longer relative paths are walked in pieces; the kernel takes 4095 bytes.
const PATH_BYTES_MAX: usize = 3800;

/// The path of an entry below the view's directory: `<root number>/<names>`. In words
/// what is wrong with the manifest, if that is why there is none.
pub(crate) fn path_of(manifest: &Manifest<'_>, index: u32) -> Result<Vec<u8>, &'static str> {
    let (root, chain) = chain_of(manifest, index)?;
    let number = manifest
        .root_of(root)
        .ok_or("an entry belongs to no root")?;
    let mut path = decimal(number, &mut [0; DECIMAL_BYTES_MAX]).to_vec();
    for entry in chain {
        path.push(b'/');
        path.extend_from_slice(name_of(manifest, entry)?);
    }
    Ok(path)
}

/// The root above an entry, and the entries from there down to it, without the root.
pub(crate) fn chain_of(
    manifest: &Manifest<'_>,
    index: u32,
) -> Result<(u32, Vec<u32>), &'static str> {
    let mut chain = Vec::new();
    let mut at = index;
    while let Some(parent) = manifest.parent(at) {
        if parent >= at {
            return Err("an entry comes before its parent");
        }
        chain.push(at);
        at = parent;
    }
    chain.reverse();
    Ok((at, chain))
}

/// The name of an entry, safe to use as one component: a manifest that nobody verified
/// must not be able to reach outside the view.
pub(crate) fn name_of<'a>(manifest: &Manifest<'a>, index: u32) -> Result<&'a [u8], &'static str> {
    match manifest.name(index) {
        Some(name)
            if !name.is_empty()
                && name != b"."
                && name != b".."
                && !name.iter().any(|byte| b"/\0".contains(byte)) =>
        {
            Ok(name)
        }
        _ => Err("an entry has an impossible name"),
    }
}

/// Where a relative path starts.
pub(crate) enum Place<'t> {
    /// At the view's directory.
    Top(BorrowedFd<'t>),
    /// Further down.
    Below(OwnedFd),
}

impl AsFd for Place<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Place::Top(fd) => *fd,
            Place::Below(fd) => fd.as_fd(),
        }
    }
}

/// A directory at or below `top`, and the rest of `path`, short enough for one call.
pub(crate) fn reach<'t>(
    top: BorrowedFd<'t>,
    path: &[u8],
) -> rustix::io::Result<(Place<'t>, CString)> {
    let c_string = |bytes: &[u8]| CString::new(bytes).map_err(|_| Errno::INVAL);
    let mut place = Place::Top(top);
    let mut rest = path;
    while rest.len() > PATH_BYTES_MAX {
        let head = rest.get(..PATH_BYTES_MAX).unwrap_or_default();
        let cut = head
            .iter()
            .rposition(|byte| *byte == b'/')
            .ok_or(Errno::NAMETOOLONG)?;
        let piece = c_string(rest.get(..cut).unwrap_or_default())?;
        place = Place::Below(open_directory(&place, &piece)?);
        rest = rest.get(cut + 1..).unwrap_or_default();
    }
    Ok((place, c_string(rest)?))
}
