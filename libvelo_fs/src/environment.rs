//! The environment that executed programs get: whatever the caller passes, with
//! Velo's own variables put back where they were scrubbed (brief §8). Other
//! preloaded libraries stay, in their order.
//!
//! `LD_LIBRARY_PATH` is read by the loader, which opens past our hooks: it gets the
//! physical places of served directories, and of those that the program itself names
//! ([`Libraries`]). The program finds its own text again, which it gets in a variable of ours.
//! `LD_PRELOAD` gets the physical places of served objects, which read as before in the program.

use crate::locate::{From, Where, is_bad};
use crate::next::Strings;
use crate::program::Libraries;
use crate::served::KernelPath;
use crate::strings::{StringArray, Text, each};
use crate::symbol::weak_address;
use crate::world::{self, KEPT, World};
use crate::{arena, inherited_fds, library};
use core::ffi::c_char;
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;

const PRELOAD: &[u8] = b"LD_PRELOAD=";
/// How the loader's variable begins.
pub const LIBRARY_PATH: &[u8] = b"LD_LIBRARY_PATH=";
const STATIC: &[u8] = b"VELO_STATIC=";

/// Memory for an environment: must stay until the program was executed.
pub struct Storage {
    strings: StringArray,
    preload: Text,
    descriptors: Text,
}

impl Storage {
    /// Fresh memory.
    pub fn new() -> Self {
        Self {
            strings: StringArray::new(),
            preload: Text::new(),
            descriptors: Text::new(),
        }
    }
}

/// The variable of the C library that holds the program's own environment.
pub fn variable() -> *mut Strings {
    weak_address!("environ").cast()
}

/// The program's own environment.
pub fn current() -> Strings {
    // SAFETY: the C library's variable.
    unsafe { variable().as_ref().copied().unwrap_or(core::ptr::null()) }
}

/// `given` if it has all that Velo needs, else a copy that has. An address that the
/// kernel would call bad stays as it is, for the kernel to refuse.
///
/// # Safety
/// `given` is a NULL-terminated array of C strings, null, or a bad pointer.
pub unsafe fn keep_velo(given: Strings, storage: &mut Storage) -> Result<Strings, Errno> {
    let Some(world) = world::get() else {
        return Ok(given);
    };
    let kept = world.variables.kept();
    let mut has = kept.map(|variable| variable.is_none());
    let (mut preloads, mut preloaded, mut preload) = (0, true, None);
    let mut descriptors = None;
    let mut count = 0;
    // SAFETY: passed on to the caller.
    for (number, text) in unsafe { each(given) }.enumerate() {
        count += 1;
        if let Some(value) = text.strip_prefix(PRELOAD) {
            // glibc takes the last one, musl the first.
            (preloads, preload) = (preloads + 1, Some(value));
            preloaded &= names_us(world, value);
        } else if text.starts_with(inherited_fds::VARIABLE) {
            descriptors = Some(number);
        } else if text.starts_with(b"VELO_") {
            for (has, variable) in has.iter_mut().zip(&kept) {
                *has |= variable.is_some_and(|variable| name_of(text) == name_of(variable));
            }
        }
    }
    // SAFETY: `each` has counted the strings; one more is the NULL or a bad address.
    if !given.is_null() && (is_bad(given) || unsafe { !(*given.add(count)).is_null() }) {
        return Ok(given);
    }
    preloaded &= preloads != 0;
    let mut places = Text::new();
    let moved = objects_with_places(world, preload.unwrap_or(b""), &mut places)?;
    let told = inherited_fds::write(world, &mut storage.descriptors);
    if told && descriptors.is_none() {
        // SAFETY: passed on to the caller.
        descriptors = unsafe { repeats(world, given) }.next();
    }
    let complete = preloaded && has.iter().all(|has| *has);
    if complete && !moved && !told && descriptors.is_none() {
        return Ok(given);
    }
    let mut first: [*const c_char; KEPT + 2] = [core::ptr::null(); KEPT + 2];
    let mut added = 0;
    let missing = has.iter().zip(kept).filter(|(has, _)| !**has);
    let missing = missing.filter_map(|(_, variable)| variable);
    let ours = (preloads == 0).then_some(world.variables.preload);
    let fresh = (told && descriptors.is_none()).then_some(storage.descriptors.as_ptr());
    let strings = missing.chain(ours).map(|text| text.as_ptr().cast());
    for (text, slot) in strings.chain(fresh).zip(&mut first) {
        *slot = text;
        added += 1;
    }
    let first = first.get(..added).unwrap_or(&[]);
    // SAFETY: passed on to the caller.
    let strings = unsafe { storage.strings.join(first, given, 0)? };
    let replace = |number: usize, text: &Text| {
        // SAFETY: `join` has written `added` and then the given strings, in memory of ours.
        unsafe { *strings.cast_mut().add(added + number) = text.as_ptr() };
    };
    if let Some(others) = preload.filter(|_| moved || !preloaded) {
        let objects = if moved { places.as_bytes() } else { others };
        let (ours, separator): (&[u8], &[u8]) = match (preloaded, objects) {
            (true, _) => (PRELOAD, b""),
            (false, b"") => (world.variables.preload, b""),
            (false, _) => (world.variables.preload, b":"),
        };
        let parts = [ours, separator, objects];
        let text = &mut storage.preload;
        text.reserve(parts.iter().map(|part| part.len()).sum())?;
        for part in parts {
            text.push(part).ok_or(Errno::ENOMEM)?;
        }
        // SAFETY: passed on to the caller.
        for (number, variable) in unsafe { each(given) }.enumerate() {
            if variable.starts_with(PRELOAD) {
                replace(number, text);
            }
        }
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

/// Where `given` says again what it has said: what only the start-up reads was there, in this
/// program ([`crate::start`]), and has room there again, so that an environment does not grow
/// with each program that executes another.
///
/// # Safety
/// As [`keep_velo`].
unsafe fn repeats(world: &World, given: Strings) -> impl Iterator<Item = usize> {
    // SAFETY: passed on to the caller.
    unsafe { each(given) }
        .enumerate()
        .filter(|(_, text)| *text == world.variables.root)
        .skip(1)
        .map(|(number, _)| number)
}

/// What `VELO_STATIC` says to a program that gets this environment.
///
/// # Safety
/// As [`keep_velo`].
pub unsafe fn static_policy<'e>(given: Strings) -> Option<&'e [u8]> {
    // SAFETY: passed on to the caller.
    unsafe { each(given) }.find_map(|text| text.strip_prefix(STATIC))
}

/// `NAME=` of a variable.
fn name_of(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == b'=');
    end.and_then(|end| text.get(..=end)).unwrap_or(text)
}

/// Whether an `LD_PRELOAD` value loads this library.
fn names_us(world: &World, value: &[u8]) -> bool {
    value
        .split(|byte| matches!(byte, b':' | b' '))
        .any(|path| path == world.library)
}

/// The objects of an `LD_PRELOAD` value, each with the separator behind it.
fn objects(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    value
        .split_inclusive(is_blank)
        .map(|part| match part.split_last() {
            Some((last, object)) if is_blank(last) => {
                (object, part.get(object.len()..).unwrap_or(b""))
            }
            _ => (part, &b""[..]),
        })
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b':' | b' ')
}

/// Writes an `LD_PRELOAD` value with the physical places of served objects; `false` if there
/// are none.
fn objects_with_places(world: &'static World, value: &[u8], out: &mut Text) -> Result<bool, Errno> {
    let mut physical = [0; nr::PATH_MAX as usize];
    let longer = objects(value)
        .filter_map(|(object, _)| Some(place_of_object(world, object, &mut physical)?.len()))
        .reduce(|sum, bytes| sum + bytes);
    let Some(longer) = longer else {
        return Ok(false);
    };
    out.reserve(value.len() + longer)?;
    for (object, separator) in objects(value) {
        let place = place_of_object(world, object, &mut physical).unwrap_or(object);
        for part in [place, separator] {
            out.push(part).ok_or(Errno::ENOMEM)?;
        }
    }
    Ok(true)
}

/// [`place_of`], but for a name without a slash, which the loader looks for in directories.
fn place_of_object<'o>(
    world: &'static World,
    object: &[u8],
    out: &'o mut [u8; nr::PATH_MAX as usize],
) -> Option<&'o [u8]> {
    object
        .contains(&b'/')
        .then(|| place_of(world, object, out))?
}

/// An `LD_PRELOAD` as the program had it before [`keep_velo`]: the loader has read it by now.
/// `None` if it is another variable, or names no place.
pub fn preload_shown(world: &World, variable: &'static [u8]) -> Option<&'static [u8]> {
    let value = variable.strip_prefix(PRELOAD)?;
    let longer = objects(value)
        .filter_map(|(object, _)| Some(world.shown(object)?.0.len()))
        .reduce(|sum, bytes| sum + bytes)?;
    let mut text = Text::new();
    text.reserve(variable.len() + longer).ok()?;
    text.push(PRELOAD)?;
    for (object, separator) in objects(value) {
        let (mount, rest) = world.shown(object).unwrap_or((b"", object));
        for part in [mount, rest, separator] {
            text.push(part)?;
        }
    }
    arena::keep(&[text.as_bytes()])
}

/// Memory for what a loader reads: must stay until the program was executed.
pub struct ForLoader {
    strings: StringArray,
    library_path: Text,
    given: Text,
}

impl ForLoader {
    /// Fresh memory.
    pub fn new() -> Self {
        Self {
            strings: StringArray::new(),
            library_path: Text::new(),
            given: Text::new(),
        }
    }
}

/// The name of the variable that holds `LD_LIBRARY_PATH` as it was given; without a value
/// if it was not.
pub const GIVEN_LIBRARY_PATH: &[u8] = b"VELO_LD_LIBRARY_PATH";

/// `given` with the physical places of served directories in its `LD_LIBRARY_PATH`, and
/// `libraries` in it as well.
///
/// # Safety
/// As [`keep_velo`].
pub unsafe fn for_loader(
    given: Strings,
    libraries: &Libraries,
    storage: &mut ForLoader,
) -> Result<Strings, Errno> {
    let Some(world) = world::get() else {
        return Ok(given);
    };
    let find = |name: &[u8]| {
        // SAFETY: passed on to the caller.
        unsafe { each(given) }
            .enumerate()
            .filter_map(|(number, text)| Some((number, text.strip_prefix(name)?)))
            .last() // glibc's loader takes that one
    };
    let found = find(LIBRARY_PATH);
    let value = found.map_or(b"".as_slice(), |(_, value)| value);
    if !with_places(world, value, libraries, &mut storage.library_path)? {
        return Ok(given);
    }
    let text = &mut storage.given;
    text.reserve(GIVEN_LIBRARY_PATH.len() + 1 + value.len())?;
    let equals: &[u8] = if found.is_some() { b"=" } else { b"" };
    for part in [GIVEN_LIBRARY_PATH, equals, value] {
        text.push(part).ok_or(Errno::ENOMEM)?;
    }
    // SAFETY: passed on to the caller.
    let mut room = unsafe { repeats(world, given) };
    // One that is there is of a program that did not put it back.
    let mut slot_of =
        |found: Option<(usize, &[u8])>| found.map(|(number, _)| number).or_else(|| room.next());
    let texts = [
        (slot_of(find(GIVEN_LIBRARY_PATH)), text.as_ptr()),
        (slot_of(found), storage.library_path.as_ptr()),
    ];
    let mut first = [core::ptr::null(); 2];
    let mut added = 0;
    let without_slot = texts.iter().filter(|(slot, _)| slot.is_none());
    for ((_, text), place) in without_slot.zip(&mut first) {
        *place = *text;
        added += 1;
    }
    let first = first.get(..added).unwrap_or(&[]);
    // SAFETY: passed on to the caller.
    let strings = unsafe { storage.strings.join(first, given, 0)? };
    for (slot, text) in texts {
        if let Some(number) = slot {
            // SAFETY: `join` has written `added` and then the given strings, in memory of ours.
            unsafe { *strings.cast_mut().add(added + number) = text };
        }
    }
    Ok(strings)
}

const PATH_BYTES: usize = nr::PATH_MAX as usize;

/// Writes an `LD_LIBRARY_PATH` with the physical places of served directories; `false` if
/// there are none.
#[inline(never)]
fn with_places(
    world: &'static World,
    value: &[u8],
    libraries: &Libraries,
    out: &mut Text,
) -> Result<bool, Errno> {
    if value.is_empty() && libraries.as_bytes().is_empty() {
        return Ok(false);
    }
    let mut physical = [0; PATH_BYTES];
    let directories = || value.split(is_separator).filter(|_| !value.is_empty());
    // No more than is needed: a child of `vfork` leaves memory of its own to its parent.
    let longer = directories()
        .filter_map(|directory| Some(place_of(world, directory, &mut physical)?.len()))
        .reduce(|sum, bytes| sum + bytes);
    let more = libraries.as_bytes();
    if longer.is_none() && more.is_empty() {
        return Ok(false);
    }
    let longer = longer.unwrap_or(0) + 2 + more.len();
    out.reserve(LIBRARY_PATH.len() + value.len() + longer)?;
    let mut write = || {
        out.push(LIBRARY_PATH)?;
        let mut separator: &[u8] = b"";
        let mut push = |directory: &[u8]| {
            out.push(separator)?;
            separator = b":";
            out.push(directory)
        };
        if libraries.are_first() && !more.is_empty() {
            push(more)?;
        }
        for directory in directories() {
            push(place_of(world, directory, &mut physical).unwrap_or(directory))?;
        }
        if !libraries.are_first() && !more.is_empty() {
            push(more)?;
        }
        Some(())
    };
    write().ok_or(Errno::ENOMEM)?;
    Ok(true)
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
    if directory.is_empty() || directory == world.library || world.shown(directory).is_some() {
        return None;
    }
    let path = KernelPath::new(directory).ok()?;
    let bytes =
        crate::locate::for_loader(From::Directory(nr::AT_FDCWD), &path, |place| match place {
            Where::Served(_, entry) => {
                let place = library::place_for_loader(world, entry, directory, out)?;
                Some(place.len())
            }
            // By a symlink in a mount.
            Where::KernelAt(path) => {
                let path = path.to_bytes();
                out.get_mut(..path.len())?.copy_from_slice(path);
                Some(path.len())
            }
            _ => None,
        });
    out.get(..bytes?)
}
