//! Start-up: reads the environment, maps the manifests, publishes the world.
//!
//! Few system calls (per manifest: open, fstat, pread, close; of the store's copy, which is
//! mapped: open, fstat, mmap, close; once: getcwd, and where the views are: open, readlink,
//! close) and no allocation. A manifest that cannot be used ends the process with one line and
//! status 127, so that nobody runs with silently the wrong view;
//! `VELO_ON_ERROR=passthrough` runs without a view instead.

use crate::message::{Line, say};
use crate::symbol::{is_glibc, weak_address};
use crate::world::{self, Place, Variables, World};
use crate::{
    arena, cwd, environment, inherited_fds, link_map, load, shown_text, stats, store_place, sys,
    unserved,
};
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int};
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use linux_raw_sys::general as nr;
use velo_core::manifest::Manifest;
use velo_core::resolve::{Mount, View};
use velo_core::stamp::stamp_ns;
use velo_core::store_layout::{view_path, without_trailing_slashes};

const PATH_BYTES: usize = nr::PATH_MAX as usize;

type Strings = *const *const c_char;

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn(c_int, Strings, Strings) = constructor;

#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = stats::print_at_exit;

extern "C" fn constructor(_argument_count: c_int, _arguments: Strings, environment: Strings) {
    // glibc passes the environment to constructors, musl does not.
    let glibc = is_glibc();
    let environment = if glibc {
        environment
    } else {
        libc_environment()
    };
    if !environment.is_null() && world::claim() {
        // SAFETY: the environment at start-up is a NULL-terminated array of strings.
        unsafe { start(environment) };
    }
}

/// A hook was reached before the constructor; start now if the C library is far enough.
pub fn before_constructor() {
    let environment = libc_environment();
    if !environment.is_null() && world::claim() {
        // SAFETY: as in `constructor`.
        unsafe { start(environment) };
    }
}

fn libc_environment() -> Strings {
    let variable = weak_address!("environ").cast::<Strings>();
    // SAFETY: the C library's variable, null before it is set.
    unsafe { variable.as_ref().copied().unwrap_or(core::ptr::null()) }
}

/// The start-up cannot go on; why has been said.
pub struct Refused;

/// `VELO_ON_ERROR=passthrough`: errors are not said, the program runs without Velo.
static PASSTHROUGH: AtomicBool = AtomicBool::new(false);

/// Says why the start-up cannot go on.
#[cold]
pub fn refuse(line: Line) -> Refused {
    if !PASSTHROUGH.load(Relaxed) {
        say(&line);
    }
    Refused
}

/// The variables that Velo reads.
#[derive(Default)]
struct Settings {
    manifests: Option<&'static [u8]>,
    root: Option<&'static [u8]>,
    view_root: Option<&'static [u8]>,
    /// [`environment::GIVEN_LIBRARY_PATH`]; within, the variable that it keeps.
    library_path: Option<Option<&'static [u8]>>,
    /// What the process inherits, see [`inherited_fds`].
    descriptors: &'static [u8],
    statics: Option<&'static [u8]>,
    passthrough: bool,
    stats: bool,
    /// `VELO_STATIC`, `VELO_STATS` and `VELO_ON_ERROR` as they were given.
    given: [Option<&'static [u8]>; 3],
}

unsafe fn start(environment: Strings) {
    // SAFETY: passed on to the caller; start-up objects only.
    let settings = unsafe {
        link_map::remember();
        read_settings(environment)
    };
    if settings.stats {
        stats::enable();
    }
    PASSTHROUGH.store(settings.passthrough, Relaxed);
    let world = match build(&settings) {
        Ok(world) => world,
        Err(Refused) if settings.passthrough => None,
        Err(Refused) => sys::exit(127),
    };
    // SAFETY: this thread has claimed the start-up.
    unsafe { world::publish(world) };
    if let Some(world) = world::get() {
        cwd::start(world);
        inherited_fds::note(world, settings.descriptors);
        // SAFETY: the start-up environment, which nobody else changes yet.
        unsafe {
            set_variables(environment, world, settings.library_path);
            show_executed_path(world);
        }
    }
}

unsafe fn read_settings(environment: Strings) -> Settings {
    let mut settings = Settings::default();
    let mut at = environment;
    // SAFETY: NULL-terminated array of C strings that outlive the start-up.
    unsafe {
        while let Some(text) = at.as_ref().filter(|text| !text.is_null()) {
            let text: &'static [u8] = CStr::from_ptr(*text).to_bytes();
            if let Some(variable) = text.strip_prefix(b"VELO_") {
                let prefixes: [&[u8]; 3] = [b"STATIC=", b"STATS=", b"ON_ERROR="];
                for (slot, prefix) in settings.given.iter_mut().zip(prefixes) {
                    if variable.starts_with(prefix) {
                        *slot = Some(text);
                    }
                }
                if let Some(value) = variable.strip_prefix(b"MANIFEST=") {
                    settings.manifests = Some(value).filter(|value| !value.is_empty());
                } else if let Some(value) = variable.strip_prefix(b"ROOT=") {
                    settings.root = Some(value).filter(|value| !value.is_empty());
                } else if let Some(value) = variable.strip_prefix(b"VIEW_ROOT=") {
                    settings.view_root = Some(value).filter(|value| !value.is_empty());
                } else if let Some(value) = text.strip_prefix(environment::GIVEN_LIBRARY_PATH) {
                    // `VELO_` before it makes the name of ours from the loader's.
                    settings.library_path = Some((!value.is_empty()).then_some(variable));
                } else if let Some(value) = text.strip_prefix(inherited_fds::VARIABLE) {
                    settings.descriptors = value;
                } else if let Some(value) = variable.strip_prefix(b"STATIC=") {
                    settings.statics = Some(value).filter(|value| !value.is_empty());
                } else if variable == b"ON_ERROR=passthrough" {
                    settings.passthrough = true;
                } else if let Some(value) = variable.strip_prefix(b"STATS=") {
                    settings.stats = !value.is_empty() && value != b"0";
                }
            }
            at = at.add(1);
        }
    }
    settings
}

/// The path that the kernel executed, which the program finds in its auxiliary vector.
unsafe fn show_executed_path(world: &'static World) {
    const AT_EXECFN: core::ffi::c_ulong = 31;
    let getauxval = weak_address!("getauxval");
    if getauxval.is_null() {
        return;
    }
    // SAFETY: getauxval(3) of the C library; the kernel put the string on the stack.
    unsafe {
        let getauxval: extern "C" fn(core::ffi::c_ulong) -> *mut c_char =
            core::mem::transmute(getauxval);
        shown_text::rewrite_string(world, getauxval(AT_EXECFN));
    }
}

/// Puts the manifests' absolute paths into the process's own environment, for its
/// children, and takes out of it what only the loader had to see.
unsafe fn set_variables(
    environment: Strings,
    world: &World,
    library_path: Option<Option<&'static [u8]>>,
) {
    let spare = world.variables.root;
    let mut at = environment.cast_mut();
    let mut last_library_path = None;
    // SAFETY: the loader passes the environment in writable memory.
    unsafe {
        while !at.is_null() && !(*at).is_null() {
            let text = CStr::from_ptr(*at).to_bytes();
            if text.starts_with(b"VELO_MANIFEST=") {
                *at = world.variables.manifest.as_ptr().cast();
            } else if text.starts_with(inherited_fds::VARIABLE)
                || text.starts_with(environment::GIVEN_LIBRARY_PATH)
            {
                // Not taken out: who looks for the auxiliary vector counts on the length.
                *at = spare.as_ptr().cast();
            } else if text.starts_with(environment::LIBRARY_PATH) {
                last_library_path = Some(at);
            } else if let Some(shown) = environment::preload_shown(world, text) {
                *at = shown.as_ptr().cast();
            }
            at = at.add(1);
        }
        // As `environment::for_loader` has it.
        if let Some((at, given)) = last_library_path.zip(library_path) {
            *at = given.unwrap_or(spare).as_ptr().cast();
        }
    }
}

fn build(settings: &Settings) -> Result<Option<World>, Refused> {
    if let Some(value) = settings.statics
        && unserved::Policy::parse(value).is_none()
    {
        let line = Line::new().text(b"expected `allow` or `refuse` in VELO_STATIC, found `");
        return Err(refuse(line.text(value).text(b"`; correct or unset it")));
    }
    let store = store_place::root(settings.root)?;
    let manifests = match settings.manifests {
        Some(manifests) => manifests,
        None => store_place::read_current(store),
    };
    if manifests.is_empty() {
        return Ok(None);
    }
    let manifests = absolute(manifests)?;
    let view_root = settings
        .view_root
        .map(|root| keep(&[without_trailing_slashes(root)]))
        .transpose()?;
    let view_base = store_place::views(store, view_root)?;
    let mut mounts = Mounts::new();
    for path in manifests
        .split(|byte| *byte == b':')
        .filter(|path| !path.is_empty())
    {
        let manifest = load::manifest(path, view_base)?;
        for number in 0..manifest.root_count() {
            let damaged = |reason: &dyn core::fmt::Display| {
                refuse(
                    unusable(path)
                        .text(b"root ")
                        .number(number.into())
                        .text(b": ")
                        .display(reason)
                        .text(b"; ")
                        .text(REBUILD),
                )
            };
            let root = manifest
                .root(number)
                .ok_or_else(|| damaged(&"it cannot be read"))?;
            let mount =
                Mount::new(root.mount, manifest, number).map_err(|error| damaged(&error))?;
            let place = Place {
                view: view_of(view_base, &manifest, number)?,
                view_stamp_ns: stamp_ns(manifest.body_digest()),
            };
            if !mounts.add(mount, place) {
                let expected = unusable(path)
                    .text(b"expected at most ")
                    .number(world::MOUNTS_MAX as u64);
                return Err(refuse(
                    expected.text(b" mount points in all, found more; merge some manifests"),
                ));
            }
        }
    }
    let (mounts, places) = mounts.publish();
    let view = View::new(mounts).map_err(|error| {
        refuse(
            Line::new()
                .text(b"the manifests do not fit together: ")
                .display(&error)
                .text(b"; check VELO_MANIFEST"),
        )
    })?;
    let library = keep(&[link_map::own_path().map_or(b"".as_slice(), CStr::to_bytes)])?;
    // Copies, because programs write over the strings that they were started with.
    let copy = |text: Option<&[u8]>| text.map(|text| keep(&[text])).transpose();
    let [statics, stats, on_error] = settings.given;
    let view_root = view_root
        .map(|root| keep(&[b"VELO_VIEW_ROOT=", root]))
        .transpose()?;
    let variables = Variables {
        manifest: keep(&[b"VELO_MANIFEST=", manifests])?,
        root: keep(&[b"VELO_ROOT=", store])?,
        given: [view_root, copy(statics)?, copy(stats)?, copy(on_error)?],
        preload: keep(&[b"LD_PRELOAD=", library])?,
    };
    Ok(Some(World {
        view,
        places,
        store,
        library,
        variables,
    }))
}

/// Where a root of a manifest stands in the view trees.
#[inline(never)]
fn view_of(
    view_base: &[u8],
    manifest: &Manifest<'_>,
    number: u32,
) -> Result<&'static [u8], Refused> {
    let mut buffer = [0; PATH_BYTES];
    let bytes = view_path(view_base, manifest.body_digest(), number, &mut buffer);
    let bytes = bytes.ok_or_else(|| {
        let reason = b"the view root's path is too long; set VELO_VIEW_ROOT to a shorter one";
        refuse(Line::new().text(reason))
    })?;
    keep(&[buffer.get(..bytes).unwrap_or(b"")])
}

/// The list with absolute paths only: a child may start in another directory.
#[inline(never)]
fn absolute(manifests: &[u8]) -> Result<&'static [u8], Refused> {
    let paths = || {
        manifests
            .split(|byte| *byte == b':')
            .filter(|path| !path.is_empty())
    };
    let mut directory = [0; PATH_BYTES];
    let mut directory_bytes = 0;
    if paths().any(|path| !path.starts_with(b"/")) {
        directory_bytes = sys::getcwd(&mut directory).map_err(|error| {
            refuse(
                Line::new()
                    .text(b"cannot tell where VELO_MANIFEST starts (")
                    .errno(error)
                    .text(b"); use absolute paths in it"),
            )
        })?;
    }
    let directory = directory.get(..directory_bytes).unwrap_or(b"");
    let mut list: &'static [u8] = b"";
    for path in paths() {
        let start: [&[u8]; 2] = if path.starts_with(b"/") {
            [b"", b""]
        } else {
            [directory, b"/"]
        };
        let [directory, slash] = start;
        let colon: &[u8] = if list.is_empty() { b"" } else { b":" };
        list = keep(&[list, colon, directory, slash, path])?;
    }
    Ok(list)
}

/// The parts joined, in memory that stays, with a NUL behind.
pub fn keep(parts: &[&[u8]]) -> Result<&'static [u8], Refused> {
    arena::keep(parts)
        .ok_or_else(|| refuse(Line::new().text(b"no memory at start-up; free some and try again")))
}

pub const REBUILD: &[u8] = b"rebuild it with: velo-ctl build-manifest SRC -o FILE";

pub fn unusable(path: &[u8]) -> Line {
    Line::new()
        .text(b"cannot use manifest ")
        .text(path)
        .text(b": ")
}

/// The mounts while they are being collected, in memory that stays.
struct Mounts {
    count: usize,
}

struct Storage {
    mounts: UnsafeCell<[MaybeUninit<Mount<'static>>; world::MOUNTS_MAX]>,
    places: UnsafeCell<[MaybeUninit<Place>; world::MOUNTS_MAX]>,
}
// SAFETY: only the thread that claimed the start-up writes; nobody reads before it is done.
unsafe impl Sync for Storage {}
static STORAGE: Storage = Storage {
    mounts: UnsafeCell::new([const { MaybeUninit::uninit() }; world::MOUNTS_MAX]),
    places: UnsafeCell::new([const { MaybeUninit::uninit() }; world::MOUNTS_MAX]),
};

impl Mounts {
    fn new() -> Self {
        Self { count: 0 }
    }

    /// `false` when there is no room.
    fn add(&mut self, mount: Mount<'static>, place: Place) -> bool {
        // SAFETY: the start-up thread is alone with the storage.
        let (mounts, places) = unsafe { (&mut *STORAGE.mounts.get(), &mut *STORAGE.places.get()) };
        let (Some(mount_slot), Some(place_slot)) =
            (mounts.get_mut(self.count), places.get_mut(self.count))
        else {
            return false;
        };
        mount_slot.write(mount);
        place_slot.write(place);
        self.count += 1;
        true
    }

    fn publish(self) -> (&'static [Mount<'static>], &'static [Place]) {
        // SAFETY: the first `count` slots are written and never change again.
        unsafe {
            (
                core::slice::from_raw_parts(STORAGE.mounts.get().cast(), self.count),
                core::slice::from_raw_parts(STORAGE.places.get().cast(), self.count),
            )
        }
    }
}
