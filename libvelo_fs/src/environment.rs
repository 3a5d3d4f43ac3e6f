//! The environment that executed programs get: whatever the caller passes, with
//! Velo's own variables put back where they were scrubbed (brief §8). Other
//! preloaded libraries stay, in their order.

use crate::next::Strings;
use crate::program::StringArray;
use crate::symbol::weak_address;
use crate::world::{self, World};
use core::ffi::{CStr, c_char};
use velo_core::errno::Errno;

const PRELOAD_BYTES: usize = 4096;

/// Memory for an environment: must stay until the program was executed.
pub struct Storage {
    strings: StringArray,
    preload: [u8; PRELOAD_BYTES],
}

impl Storage {
    /// Fresh memory.
    pub fn new() -> Self {
        Self {
            strings: StringArray::new(),
            preload: [0; PRELOAD_BYTES],
        }
    }
}

/// The program's own environment.
pub fn current() -> Strings {
    let variable = weak_address!("environ").cast::<Strings>();
    // SAFETY: the C library's variable.
    unsafe { variable.as_ref().copied().unwrap_or(core::ptr::null()) }
}

/// `given` if it has all that Velo needs, else a copy that has.
///
/// # Safety
/// `given` is null or a NULL-terminated array of C strings.
pub unsafe fn keep_velo(given: Strings, storage: &mut Storage) -> Result<Strings, Errno> {
    let Some(world) = world::get() else {
        return Ok(given);
    };
    let (mut manifest, mut root, mut view_root) =
        (false, false, world.variables.view_root.is_none());
    let mut preload: Option<(usize, &[u8])> = None;
    let mut number = 0;
    // SAFETY: passed on to the caller.
    unsafe {
        while !given.is_null() && !(*given.add(number)).is_null() {
            let text = CStr::from_ptr(*given.add(number)).to_bytes();
            if let Some(value) = text.strip_prefix(b"LD_PRELOAD=") {
                preload = preload.or(Some((number, value)));
            }
            manifest |= text.starts_with(b"VELO_MANIFEST=");
            root |= text.starts_with(b"VELO_ROOT=");
            view_root |= text.starts_with(b"VELO_VIEW_ROOT=");
            number += 1;
        }
    }
    let preloaded = preload.is_some_and(|(_, value)| names_us(world, value));
    if preloaded && manifest && root && view_root {
        return Ok(given);
    }
    let variables = &world.variables;
    let mut first: [*const c_char; 4] = [core::ptr::null(); 4];
    let mut count = 0;
    let mut push = |text: &[u8]| {
        if let Some(slot) = first.get_mut(count) {
            *slot = text.as_ptr().cast();
            count += 1;
        }
    };
    if !manifest {
        push(variables.manifest);
    }
    if !root {
        push(variables.root);
    }
    if let (false, Some(text)) = (view_root, variables.view_root) {
        push(text);
    }
    if !preloaded {
        match preload {
            None => push(variables.preload),
            Some((_, others)) => push(join(variables.preload, others, &mut storage.preload)?),
        }
    }
    let first = first.get(..count).unwrap_or(&[]);
    // SAFETY: passed on to the caller. An earlier LD_PRELOAD stands behind ours,
    // and the loader takes the first.
    unsafe { storage.strings.join(first, given, 0) }
}

/// Whether an `LD_PRELOAD` value loads this library.
fn names_us(world: &World, value: &[u8]) -> bool {
    value
        .split(|byte| matches!(byte, b':' | b' '))
        .any(|path| path == world.library)
}

fn join<'o>(
    ours: &[u8],
    others: &[u8],
    out: &'o mut [u8; PRELOAD_BYTES],
) -> Result<&'o [u8], Errno> {
    const E2BIG: Errno = Errno(7);
    let separator: &[u8] = if others.is_empty() { b"" } else { b":" };
    let mut end = 0;
    for part in [ours, separator, others, b"\0"] {
        out.get_mut(end..end + part.len())
            .ok_or(E2BIG)?
            .copy_from_slice(part);
        end += part.len();
    }
    Ok(out.get(..end).unwrap_or(b"\0"))
}
