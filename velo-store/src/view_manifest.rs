//! The copy of its manifest that a view tree has: what running programs map, so that
//! nothing that happens to the user's file reaches them.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fchmod, futimens, linkat, openat};
use rustix::io::Errno;
use velo_core::id::ContentHash;
use velo_core::manifest::Manifest;
use velo_core::stamp::stamp_ns;
use velo_core::store_layout::VIEW_MANIFEST_FILE;

use crate::publish::{is_stamped, stamp_now};
use crate::{Store, StoreError};

/// Puts the manifest into the view's directory `top`: a hard link to the copy that the
/// store keeps, or a copy where that is missing or on another file system.
pub(crate) fn add(
    store: &Store,
    manifest: &Manifest<'_>,
    top: &OwnedFd,
    shown: &Path,
) -> Result<(), StoreError> {
    let bytes = manifest.bytes();
    let stamp_ns = stamp_ns(manifest.body_digest());
    let kept = store.manifest_path(&ContentHash::of(bytes));
    if is_stamped(&kept, bytes.len() as u64, stamp_ns)
        && linkat(CWD, &kept, top, VIEW_MANIFEST_FILE, AtFlags::empty()).is_ok()
    {
        return Ok(());
    }
    let failed = |errno| {
        StoreError::while_writing(
            "copy the manifest into the view",
            shown,
            bytes.len() as u64,
            errno,
        )
    };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut copy: File = openat(top, VIEW_MANIFEST_FILE, flags, Mode::RUSR | Mode::WUSR)
        .map_err(failed)?
        .into();
    copy.write_all(bytes)
        .map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    futimens(&copy, &stamp_now(stamp_ns).times())
        .and_then(|()| fchmod(&copy, Mode::from_bits_retain(0o444)))
        .map_err(failed)
}
