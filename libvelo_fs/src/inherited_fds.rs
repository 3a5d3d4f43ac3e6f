//! What an executed program is told of the descriptors that it inherits.
//!
//! A descriptor shows which content it has, but several paths may have that. So the
//! program gets a list of those that were opened by us, `FD:MOUNT:INDEX,…` in an
//! environment variable of our own, and replaces that at its start by one it has anyway. It
//! believes an item only if the descriptor has the content; so a list that is out of
//! date, or of other manifests, does no harm.

use crate::fd_table::{self, Known};
use crate::message::decimal;
use crate::strings::Text;
use crate::world::{Entry, World};
use crate::{served, sys};
use core::ffi::c_int;

/// How the variable begins.
pub const VARIABLE: &[u8] = b"VELO_FDS=";

/// Writes the variable, as far as there is room; `false` if there is nothing to tell.
pub fn write(world: &World, out: &mut Text) -> bool {
    let mut any = false;
    for descriptor in 0..fd_table::bound() {
        let Known::Served(entry) = fd_table::get(descriptor) else {
            continue;
        };
        if !served::vnode(world, entry).is_ok_and(|vnode| vnode.is_file()) {
            continue;
        }
        let before = out.length();
        let start: &[u8] = if any { b"," } else { VARIABLE };
        let mut digits = [[0; 20]; 3];
        let [first, second, third] = &mut digits;
        let written = out
            .push(start)
            .and_then(|()| out.push(decimal(descriptor.unsigned_abs().into(), first)))
            .and_then(|()| out.push(b":"))
            .and_then(|()| out.push(decimal(entry.mount.into(), second)))
            .and_then(|()| out.push(b":"))
            .and_then(|()| out.push(decimal(entry.index.into(), third)));
        if written.is_none() {
            out.cut(before);
            break;
        }
        any = true;
    }
    any
}

/// Notes what such a list says, where it is true.
pub fn note(world: &World, list: &[u8]) {
    for item in list.split(|byte| *byte == b',') {
        let _ = note_item(world, item);
    }
}

fn note_item(world: &World, item: &[u8]) -> Option<()> {
    let mut parts = item.split(|byte| *byte == b':');
    let mut number = || {
        core::str::from_utf8(parts.next()?)
            .ok()?
            .parse::<u32>()
            .ok()
    };
    let descriptor = number()? as c_int;
    let entry = Entry {
        mount: u16::try_from(number()?).ok()?,
        index: number()?,
    };
    let status = sys::fstat_of(descriptor).ok()?;
    let is_file = served::vnode(world, entry).ok()?.is_file();
    if is_file && fd_table::is_served(world, entry, &status) {
        fd_table::set(descriptor, Known::Served(entry));
    }
    Some(())
}
