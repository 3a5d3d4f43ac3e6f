//! One directory's names, sorted, read as one consistent state.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::{FileType, RawDir, SeekFrom, seek};
use rustix::io::{Errno, Result};
use velo_core::manifest::NAME_BYTES_MAX;

use crate::stat::{Extra, Stat, look};

/// Bytes asked of the kernel at once.
const BUFFER_BYTES: usize = 64 << 10;
/// How often a directory that changes while it is listed is tried, with pauses of
/// 1 and 4 ms.
const ATTEMPTS: u32 = 3;

/// One name.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    /// Offset in [`Listing::names`].
    pub(super) name: u32,
    pub(super) name_bytes: u8,
    /// Unknown on file systems that do not say.
    pub(super) kind: FileType,
}

/// A directory's metadata and names.
pub(super) struct Listing {
    pub(super) stat: Stat,
    pub(super) extra: Extra,
    /// Each name closed by a NUL.
    pub(super) names: Vec<u8>,
    /// Sorted by name.
    pub(super) slots: Vec<Slot>,
    /// Names that are too long for a manifest.
    pub(super) too_long: Vec<Vec<u8>>,
}

impl Slot {
    pub(super) fn c_name<'a>(&self, names: &'a [u8]) -> &'a CStr {
        let start = self.name as usize;
        let bytes = names
            .get(start..=start + usize::from(self.name_bytes))
            .unwrap_or_default();
        CStr::from_bytes_with_nul(bytes).unwrap_or_default()
    }

    pub(super) fn name<'a>(&self, names: &'a [u8]) -> &'a [u8] {
        let start = self.name as usize;
        names
            .get(start..start + usize::from(self.name_bytes))
            .unwrap_or_default()
    }
}

/// Lists an open directory. `None` if it kept changing.
pub(super) fn list(
    directory: &OwnedFd,
    exact: bool,
    buffer: &mut Vec<u8>,
) -> Result<Option<Listing>> {
    buffer.reserve(BUFFER_BYTES);
    let mut before = look(directory, c"", exact)?;
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            std::thread::sleep(Duration::from_millis(1 << (2 * (attempt - 1))));
            seek(directory, SeekFrom::Start(0))?;
            before = look(directory, c"", exact)?;
        }
        let listing = read(directory, before, buffer)?;
        if look(directory, c"", false)?.0.is_same_state(&before.0) {
            return Ok(Some(listing));
        }
    }
    Ok(None)
}

fn read(
    directory: &OwnedFd,
    (stat, extra): (Stat, Extra),
    buffer: &mut Vec<u8>,
) -> Result<Listing> {
    let mut listing = Listing {
        stat,
        extra,
        names: Vec::new(),
        slots: Vec::new(),
        too_long: Vec::new(),
    };
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let bytes = name.to_bytes();
        if bytes.len() > NAME_BYTES_MAX {
            listing.too_long.push(bytes.to_vec());
            continue;
        }
        listing.slots.push(Slot {
            name: u32::try_from(listing.names.len()).map_err(|_| Errno::OVERFLOW)?,
            name_bytes: u8::try_from(bytes.len()).map_err(|_| Errno::NAMETOOLONG)?,
            kind: entry.file_type(),
        });
        listing.names.extend_from_slice(name.to_bytes_with_nul());
    }
    let names = &listing.names;
    listing
        .slots
        .sort_unstable_by(|a, b| a.name(names).cmp(b.name(names)));
    Ok(listing)
}
