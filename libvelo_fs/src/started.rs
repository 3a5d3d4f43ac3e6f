//! How this process was started: by a served loader as a command ([`crate::program`]),
//! then the kernel takes the loader for the program, and `/proc/self/exe` leads there.
//!
//! We call a loader by its physical path, which no program knows; its arguments say
//! which program it loads.

use crate::symbol::weak_address;
use crate::sys;
use crate::world::{Entry, World};
use core::ffi::{c_int, c_ulong};
use linux_raw_sys::general as nr;
use velo_core::resolve::Quick;

/// Auxiliary vector: where the kernel has mapped the program's loader.
const AT_BASE: c_ulong = 7;

/// The path of the program, if the loader at the physical path `exe` was started for
/// it. Written to `out`, which holds the beginning of the command line.
pub fn program_of_loader<'o>(exe: &[u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
    let address = weak_address!("getauxval");
    if address.is_null() {
        return None;
    }
    // SAFETY: the C library's function of this name has this type.
    let getauxval: extern "C" fn(c_ulong) -> c_ulong = unsafe { core::mem::transmute(address) };
    // The kernel has loaded a loader for every other dynamic program.
    if getauxval(AT_BASE) != 0 {
        return None;
    }
    let flags = (nr::O_RDONLY | nr::O_CLOEXEC) as c_int;
    let path = c"/proc/self/cmdline".as_ptr();
    // SAFETY: our own C string.
    let opened = sys::result(unsafe { sys::openat(nr::AT_FDCWD, path, flags, 0) }).ok()? as c_int;
    let length = sys::read(opened, out);
    sys::close(opened);
    let mut words = out.get(..length.ok()?)?.split(|byte| *byte == 0);
    if words.next()? != exe {
        return None;
    }
    match words.next()? {
        b"--argv0" => words.nth(1),
        program => Some(program),
    }
}

/// The served entry that [`program_of_loader`] names: by its physical path, or by its
/// own if the names in the loader's list, which stand in the arguments, were changed.
pub fn entry_of_program(world: &World, program: &[u8]) -> Option<Entry> {
    world
        .entry_at_physical(program)
        .or_else(|| match world.view.quick(program, true) {
            Quick::Found { mount, index } => Some(Entry {
                mount: mount as u16,
                index,
            }),
            _ => None,
        })
}
