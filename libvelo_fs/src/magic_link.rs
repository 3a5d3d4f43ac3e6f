//! The links of `/proc` that lead to what this process has open: the kernel follows
//! them into the store, the program means the served entry.
//!
//! `/proc/self/fd/N`, `/dev/fd/N`, `/proc/self/exe`, `/proc/self/cwd`, and `/proc/PID`
//! and `/proc/thread-self` likewise. Those of other processes are the kernel's.

use crate::cwd::{self, Cwd};
use crate::world::{Entry, World};
use crate::{fd_table, sys};
use core::ffi::c_int;
use linux_raw_sys::general as nr;

/// The served entry that a path's magic link leads to, and the path below it.
pub fn follow<'p>(world: &'static World, path: &'p [u8]) -> Option<(Entry, &'p [u8])> {
    let descriptors = path.strip_prefix(b"/dev/fd/");
    let own = path
        .strip_prefix(b"/proc/self/")
        .or_else(|| path.strip_prefix(b"/proc/thread-self/"))
        .or_else(|| by_own_number(path));
    if let Some(rest) = descriptors.or_else(|| own?.strip_prefix(b"fd/")) {
        let (number, rest) = split(rest);
        let number = core::str::from_utf8(number).ok()?.parse::<c_int>().ok()?;
        return Some((fd_table::served(number)?, rest));
    }
    let (name, rest) = split(own?);
    match name {
        b"cwd" => match cwd::get(world)? {
            Cwd::Served(entry) => Some((entry, rest)),
            _ => None,
        },
        b"exe" => {
            let mut buffer = [0; nr::PATH_MAX as usize];
            let link = c"/proc/self/exe".as_ptr();
            let bytes = sys::readlinkat(nr::AT_FDCWD, link, &mut buffer).ok()?;
            Some((world.entry_at_physical(buffer.get(..bytes)?)?, rest))
        }
        _ => None,
    }
}

/// What follows `/proc/PID/`, if that is this process.
fn by_own_number(path: &[u8]) -> Option<&[u8]> {
    let (number, rest) = split(path.strip_prefix(b"/proc/")?);
    let number = core::str::from_utf8(number).ok()?.parse::<u32>().ok()?;
    (number == sys::process_id()).then_some(rest)
}

/// The first component, and what follows its slashes.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let end = path
        .iter()
        .position(|byte| *byte == b'/')
        .unwrap_or(path.len());
    let (name, mut rest) = path.split_at_checked(end).unwrap_or((path, b""));
    while let [b'/', after @ ..] = rest {
        rest = after;
    }
    (name, rest)
}
