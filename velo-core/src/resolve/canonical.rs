//! The canonical path of what a path means, as realpath(3) gives it.

use super::{Base, Credentials, Options, Outside, PathBuffer, Resolution, View, resolve};
use crate::errno::Errno;
use core::ffi::CStr;

/// The answer of [`resolve_canonical`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Canonical<'r> {
    /// The canonical virtual path of a served entry.
    Served(&'r [u8]),
    /// No mount is involved: the caller's own arguments go to the kernel's world.
    Outside,
    /// Outside, reached through a mount: this path goes to the kernel's world.
    Rewritten(&'r CStr),
}

/// Resolves `path`, every symlink followed, and writes the canonical path of the
/// served entry it means into `out`.
///
/// # Errors
/// Those of [`resolve`]; ENOENT if the final component does not exist;
/// ENAMETOOLONG if `out` is too short (`PATH_MAX_BYTES` always suffice for what
/// an absolute path can name).
#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of `resolve`, and where to write"
)]
pub fn resolve_canonical<'r>(
    view: &View<'r>,
    base: Base<'_>,
    path: &'r [u8],
    exact: bool,
    credentials: &dyn Credentials,
    outside: &mut dyn Outside,
    scratch: &'r mut PathBuffer,
    out: &'r mut [u8],
) -> Result<Canonical<'r>, Errno> {
    let options = Options {
        exact,
        ..Options::FOLLOW
    };
    match resolve(view, base, path, options, credentials, outside, scratch)? {
        Resolution::Found { mount, index } => view
            .canonical_path(mount, index, out)
            .map(Canonical::Served)
            .ok_or(Errno::ENAMETOOLONG),
        Resolution::Absent { .. } => Err(Errno::ENOENT),
        Resolution::Outside => Ok(Canonical::Outside),
        Resolution::Rewritten(path) => Ok(Canonical::Rewritten(path)),
    }
}
