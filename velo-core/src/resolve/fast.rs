//! The quick way: a lexically normal path is hashed and looked up as a whole.
//!
//! A hit is the canonical path of its entry, so no symlink was on the way; if the
//! entry is public, no permission was either. Answers only what `walk` would
//! answer, and declines (`None`) whatever needs a closer look.

use super::credentials::Credentials;
use super::lexical::{Shape, shape};
use super::view::{Mount, View};
use super::{NAME_MAX_BYTES, Options, PathBuffer, Resolution};
use crate::errno::Errno;

/// An answer, or a decline.
type Quick<'r> = Option<Result<Resolution<'r>, Errno>>;

/// Resolves an absolute path.
#[inline]
pub(super) fn absolute<'r>(
    view: &View<'r>,
    path: &'r [u8],
    options: Options,
    credentials: &dyn Credentials,
) -> Quick<'r> {
    let Shape::Normal { end, slash } = shape(path) else {
        return None;
    };
    let text = path.get(..end)?;
    let Some((number, rest)) = view.mount_of_prefix(text) else {
        return if options.exact {
            None
        } else {
            Some(Ok(Resolution::Outside))
        };
    };
    in_mount(
        view,
        number,
        rest,
        Last { text, slash },
        options,
        credentials,
    )
}

/// Resolves a path relative to `directory`, an absolute canonical path.
#[inline]
pub(super) fn relative<'r>(
    view: &View<'r>,
    directory: &[u8],
    path: &'r [u8],
    options: Options,
    credentials: &dyn Credentials,
    scratch: &mut PathBuffer,
) -> Quick<'r> {
    let Shape::Normal { end, slash } = shape(path) else {
        return None;
    };
    let text = path.get(..end)?;
    let Some(b'/') = directory.first() else {
        return Some(Ok(Resolution::Outside));
    };
    let (mut joined, _) = scratch.parts();
    joined
        .push(directory.strip_suffix(b"/").unwrap_or(directory))
        .ok()?;
    joined.push_name(text).ok()?;
    let Some((number, rest)) = view.mount_of_prefix(joined.as_bytes()) else {
        return if options.exact {
            None
        } else {
            Some(Ok(Resolution::Outside))
        };
    };
    in_mount(
        view,
        number,
        rest,
        Last { text, slash },
        options,
        credentials,
    )
}

/// What the end of the caller's path says.
struct Last<'r> {
    /// The path without its trailing slash.
    text: &'r [u8],
    slash: bool,
}

/// Resolves `path`, relative to the root of a mount and normal.
#[inline]
fn in_mount<'r>(
    view: &View<'r>,
    number: usize,
    path: &[u8],
    last: Last<'r>,
    options: Options,
    credentials: &dyn Credentials,
) -> Quick<'r> {
    let mount = view.mount(number)?;
    let needs_dir = last.slash && !options.names_entry;
    let Some(index) = mount.find(path) else {
        return absent(mount, number, path, last, credentials);
    };
    let kind = mount.kind(index)?;
    if kind.is_symlink() && (needs_dir || (options.follow_final && !options.names_entry)) {
        return None;
    }
    if !kind.is_public() && !credentials.overrides() {
        return None;
    }
    if needs_dir && !kind.is_dir() {
        return Some(Err(Errno::ENOTDIR));
    }
    Some(Ok(Resolution::Found {
        mount: number,
        index,
    }))
}

/// A path that has no entry: if its directory has one, only the name is missing.
#[inline]
fn absent<'r>(
    mount: &Mount<'_>,
    number: usize,
    path: &[u8],
    last: Last<'r>,
    credentials: &dyn Credentials,
) -> Quick<'r> {
    let (directory, name_bytes) = match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (path.get(..slash)?, path.len() - slash - 1),
        None => (&[][..], path.len()),
    };
    let parent = mount.find(directory)?;
    let kind = mount.kind(parent)?;
    if !kind.is_dir() || !(kind.is_public() || credentials.overrides()) {
        return None;
    }
    if name_bytes > NAME_MAX_BYTES {
        return Some(Err(Errno::ENAMETOOLONG));
    }
    let name = last.text.get(last.text.len().checked_sub(name_bytes)?..)?;
    Some(Ok(Resolution::Absent {
        mount: number,
        parent,
        name,
        slash: last.slash,
    }))
}
