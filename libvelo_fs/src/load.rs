//! Maps a manifest and makes sure that it is whole; says in one line why not.
//!
//! What is mapped in the end is the store's own copy, so that nothing that happens to
//! the user's file afterwards reaches the program.

use crate::start::{REBUILD, Refused, refuse, unusable};
use crate::{arena, sys};
use core::ffi::c_int;
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::manifest::{HEADER_BYTES, Header, Manifest};
use velo_core::stamp::stamp_ns;
use velo_core::store_layout::view_manifest_path;

/// Maps the manifest at `path`, or the same one in its view tree below `view_base`.
#[inline(never)]
pub fn manifest(path: &'static [u8], view_base: &[u8]) -> Result<Manifest<'static>, Refused> {
    let path_z = arena::keep(&[path]).unwrap_or(b"\0");
    let flags = (nr::O_RDONLY | nr::O_CLOEXEC | nr::O_NOCTTY | nr::O_NONBLOCK) as c_int;
    // SAFETY: `keep` ends what it returns with a NUL.
    let opened =
        sys::result(unsafe { sys::openat(nr::AT_FDCWD, path_z.as_ptr().cast(), flags, 0) });
    let descriptor = opened.map_err(|error| {
        refuse(
            unusable(path)
                .text(b"it cannot be opened (")
                .errno(error)
                .text(b"); check VELO_MANIFEST or ")
                .text(REBUILD),
        )
    })? as c_int;
    let status = sys::fstat_of(descriptor);
    if let Some(published) = published(descriptor, &status, view_base) {
        sys::close(descriptor);
        return Ok(published);
    }
    let mapped = match &status {
        Ok(status) if status.st_mode & nr::S_IFMT != nr::S_IFREG => {
            sys::close(descriptor);
            return Err(refuse(
                unusable(path)
                    .text(b"expected a regular file; check VELO_MANIFEST or ")
                    .text(REBUILD),
            ));
        }
        Ok(status) if status.st_size == 0 => Ok(b"".as_slice()),
        Ok(status) => sys::map_file(descriptor, status.st_size as usize),
        Err(error) => Err(*error),
    };
    sys::close(descriptor);
    let bytes = mapped.map_err(|error| {
        refuse(
            unusable(path)
                .text(b"it cannot be mapped (")
                .errno(error)
                .text(b"); free memory and try again"),
        )
    })?;
    let manifest = Manifest::open(bytes)
        .map_err(|error| refuse(unusable(path).display(&error).text(b"; ").text(REBUILD)))?;
    // Whoever published the file left the digest's stamp in its time stamp; any
    // later change to the bytes has moved it, and then they are all read once.
    let untouched = status
        .is_ok_and(|status| status.st_mtime_nsec == u64::from(stamp_ns(manifest.body_digest())));
    if !untouched && !manifest.checksum_matches() {
        let damaged = unusable(path)
            .text(b"its bytes do not match its checksum, so it was damaged after it was built; ");
        return Err(refuse(damaged.text(REBUILD)));
    }
    let Some(settled) = in_view(bytes, manifest.body_digest(), view_base) else {
        return Ok(manifest);
    };
    // SAFETY: `manifest`, which looks at them, is not used any more.
    unsafe { sys::unmap(bytes.as_ptr().cast_mut(), bytes.len()) };
    Ok(settled)
}

/// The store's copy of a manifest that is as it was published: its header is all that has to
/// be read of it.
fn published(
    descriptor: c_int,
    status: &Result<sys::Stat, Errno>,
    view_base: &[u8],
) -> Option<Manifest<'static>> {
    let status = status.as_ref().ok()?;
    let mut head = [0; HEADER_BYTES];
    if status.st_mode & nr::S_IFMT != nr::S_IFREG
        || sys::pread(descriptor, &mut head, 0) != Ok(HEADER_BYTES)
    {
        return None;
    }
    let header = Header::of(&head).ok()?;
    let untouched = status.st_mtime_nsec == u64::from(stamp_ns(&header.body_digest));
    if !untouched || header.file_bytes != status.st_size as u64 {
        return None;
    }
    in_view(&head, &header.body_digest, view_base)
}

/// The copy of a manifest, which begins with `head`, that the store keeps in the view tree,
/// if it is there.
///
/// The user's file may be overwritten in place while it is mapped, with `cp` for
/// example, and reading a page that it then lacks would end the program (SIGBUS,
/// mmap(2)). The copy is the store's, read-only, and replaced by rename at most.
fn in_view(head: &[u8], digest: &[u8; 32], view_base: &[u8]) -> Option<Manifest<'static>> {
    let mut path = [0; nr::PATH_MAX as usize];
    let (text, _) = path.split_last_chunk_mut::<1>()?; // the last byte stays the NUL
    view_manifest_path(view_base, digest, text)?;
    let flags = (nr::O_RDONLY | nr::O_CLOEXEC | nr::O_NOFOLLOW | nr::O_NONBLOCK) as c_int;
    // SAFETY: ends with a NUL.
    let opened = sys::result(unsafe { sys::openat(nr::AT_FDCWD, path.as_ptr().cast(), flags, 0) });
    let descriptor = opened.ok()? as c_int;
    let bytes = sys::fstat_of(descriptor)
        .ok()
        .filter(|status| {
            status.st_mode & nr::S_IFMT == nr::S_IFREG
                && status.st_mode & 0o222 == 0
                && status.st_mtime_nsec == u64::from(stamp_ns(digest))
        })
        .and_then(|status| sys::map_file(descriptor, status.st_size as usize).ok());
    sys::close(descriptor);
    let bytes = bytes?;
    let start = |bytes: &[u8]| bytes.first_chunk::<HEADER_BYTES>().copied();
    // The header, which is the same, says how long the file is.
    let copy = Manifest::open(bytes).ok();
    if start(bytes) != start(head) || copy.is_none() {
        // SAFETY: nor is `copy`.
        unsafe { sys::unmap(bytes.as_ptr().cast_mut(), bytes.len()) };
        return None;
    }
    copy
}
