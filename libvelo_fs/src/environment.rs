//! The environment that executed programs get: whatever the caller passes, with
//! Velo's own variables put back where they were scrubbed (brief §8). Other
//! preloaded libraries stay, in their order.
//!
//! `LD_LIBRARY_PATH` is read by the loader, which opens past our hooks: it gets the
//! physical places of served directories, and the program finds its own text again.

use crate::locate::{Where, locate_bytes};
use crate::next::Strings;
use crate::program::StringArray;
use crate::symbol::weak_address;
use crate::world::{self, World};
use crate::{arena, inherited_fds, library};
use core::ffi::{CStr, c_char};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Options, PathBuffer};

const VALUE_BYTES: usize = 4096;
const LIBRARY_PATH: &[u8] = b"LD_LIBRARY_PATH=";

/// Memory for an environment: must stay until the program was executed.
pub struct Storage {
    strings: StringArray,
    preload: Text,
    library_path: Text,
    descriptors: Text,
}

impl Storage {
    /// Fresh memory.
    pub fn new() -> Self {
        Self {
            strings: StringArray::new(),
            preload: Text::new(),
            library_path: Text::new(),
            descriptors: Text::new(),
        }
    }
}

/// A string under construction, with a NUL behind it.
pub struct Text {
    bytes: [u8; VALUE_BYTES],
    length: usize,
}

impl Text {
    fn new() -> Self {
        Self {
            bytes: [0; VALUE_BYTES],
            length: 0,
        }
    }

    /// Bytes without the NUL.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Takes away what follows the first `length` bytes.
    pub fn cut(&mut self, length: usize) {
        if let Some(rest) = self.bytes.get_mut(length..self.length) {
            rest.fill(0);
            self.length = length;
        }
    }

    /// Appends, keeping room for a NUL; `None` if it does not fit.
    pub fn push(&mut self, text: &[u8]) -> Option<()> {
        let end = self.length + text.len();
        let slot = self.bytes.get_mut(self.length..end)?;
        if end == VALUE_BYTES {
            return None;
        }
        slot.copy_from_slice(text);
        self.length = end;
        Some(())
    }

    fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
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
    let variables = &world.variables;
    let (mut manifest, mut root, mut view_root) = (false, false, variables.view_root.is_none());
    let mut preload: Option<(usize, &[u8])> = None;
    let mut library_path: Option<(usize, &[u8])> = None;
    let mut descriptors: Option<usize> = None;
    let mut number = 0;
    // SAFETY: passed on to the caller.
    unsafe {
        while !given.is_null() && !(*given.add(number)).is_null() {
            let text = CStr::from_ptr(*given.add(number)).to_bytes();
            if let Some(value) = text.strip_prefix(b"LD_PRELOAD=") {
                preload = preload.or(Some((number, value)));
            } else if let Some(value) = text.strip_prefix(LIBRARY_PATH) {
                library_path = library_path.or(Some((number, value)));
            } else if text.starts_with(inherited_fds::VARIABLE) {
                descriptors = Some(number);
            }
            manifest |= text.starts_with(b"VELO_MANIFEST=");
            root |= text.starts_with(b"VELO_ROOT=");
            view_root |= text.starts_with(b"VELO_VIEW_ROOT=");
            number += 1;
        }
    }
    let preloaded = preload.is_some_and(|(_, value)| names_us(world, value));
    let library_path =
        library_path.filter(|(_, value)| with_places(world, value, &mut storage.library_path));
    let told = inherited_fds::write(world, &mut storage.descriptors);
    let complete = preloaded && manifest && root && view_root;
    if complete && library_path.is_none() && !told && descriptors.is_none() {
        return Ok(given);
    }
    let missing = [
        (!manifest).then_some(variables.manifest.as_ptr().cast()),
        (!root).then_some(variables.root.as_ptr().cast()),
        variables
            .view_root
            .filter(|_| !view_root)
            .map(|text| text.as_ptr().cast()),
        preload
            .is_none()
            .then_some(variables.preload.as_ptr().cast()),
        (told && descriptors.is_none()).then_some(storage.descriptors.as_ptr()),
    ];
    let mut first: [*const c_char; 5] = [core::ptr::null(); 5];
    let mut count = 0;
    for (text, slot) in missing.iter().flatten().zip(&mut first) {
        *slot = *text;
        count += 1;
    }
    let first = first.get(..count).unwrap_or(&[]);
    // SAFETY: passed on to the caller.
    let strings = unsafe { storage.strings.join(first, given, 0)? };
    let replace = |number: usize, text: &Text| {
        // SAFETY: `join` has written `count` and then the given strings, in memory of ours.
        unsafe { *strings.cast_mut().add(count + number) = text.as_ptr() };
    };
    if let Some((number, others)) = preload.filter(|_| !preloaded) {
        const E2BIG: Errno = Errno(7);
        let separator: &[u8] = if others.is_empty() { b"" } else { b":" };
        for part in [variables.preload, separator, others] {
            storage.preload.push(part).ok_or(E2BIG)?;
        }
        replace(number, &storage.preload);
    }
    if let Some((number, _)) = library_path {
        replace(number, &storage.library_path);
    }
    if let Some(number) = descriptors {
        // What the program has kept from its own start is out of date.
        if !told {
            storage.descriptors.push(inherited_fds::VARIABLE);
        }
        replace(number, &storage.descriptors);
    }
    Ok(strings)
}

/// Whether an `LD_PRELOAD` value loads this library.
fn names_us(world: &World, value: &[u8]) -> bool {
    value
        .split(|byte| matches!(byte, b':' | b' '))
        .any(|path| path == world.library)
}

/// Writes an `LD_LIBRARY_PATH` with the physical places of served directories;
/// `false` if there are none.
fn with_places(world: &'static World, value: &[u8], out: &mut Text) -> bool {
    let mut found = false;
    let mut write = || {
        out.push(LIBRARY_PATH)?;
        for (number, directory) in value.split(is_separator).enumerate() {
            if number != 0 {
                out.push(b":")?;
            }
            let mut physical = [0; nr::PATH_MAX as usize];
            let place = place_of(world, directory, &mut physical);
            found |= place.is_some();
            out.push(place.unwrap_or(directory))?;
        }
        Some(())
    };
    write().is_some() && found
}

/// The variable as the program had it before [`with_places`]: the loader has read it
/// by now. `None` if it is another one, or has no places.
pub fn without_places(world: &World, variable: &'static [u8]) -> Option<&'static [u8]> {
    let value = variable.strip_prefix(LIBRARY_PATH)?;
    let directories = || value.split(is_separator);
    if !directories().any(|directory| world.shown(directory).is_some()) {
        return None;
    }
    let mut text = Text::new();
    text.push(LIBRARY_PATH)?;
    for (number, directory) in directories().enumerate() {
        if number != 0 {
            text.push(b":")?;
        }
        let (mount, rest) = world.shown(directory).unwrap_or((b"", directory));
        text.push(mount)?;
        text.push(rest)?;
    }
    arena::keep(&[text.bytes.get(..text.length)?])
}

fn is_separator(byte: &u8) -> bool {
    matches!(byte, b':' | b';')
}

/// The physical place of a directory; `None` for what the kernel finds by itself.
fn place_of<'o>(
    world: &'static World,
    directory: &[u8],
    out: &'o mut [u8; nr::PATH_MAX as usize],
) -> Option<&'o [u8]> {
    if directory.is_empty() || world.shown(directory).is_some() {
        return None;
    }
    let mut scratch = PathBuffer::new();
    match locate_bytes(
        world,
        nr::AT_FDCWD,
        directory,
        Options::FOLLOW,
        &mut scratch,
    ) {
        Where::Served(_, entry) => library::place_for_loader(world, entry, directory, out),
        _ => None,
    }
}
