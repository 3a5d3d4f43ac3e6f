//! dlopen(3), dlmopen(3): the loader opens past our hooks, so a served library is
//! given to it by its physical path in the view tree, where `$ORIGIN` and the
//! neighbours are as in the source. dladdr(3) and its kin then show virtual paths.
//!
//! `dlopen` is jumped to, not called, because it looks at its return address: the
//! caller's own RUNPATH has to apply.

use crate::link_map::{self, LinkMap};
use crate::object_names::{self, Visit, Visitor};
use crate::{library, next, shown_text, world};
use core::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};

/// The real function. Before glibc 2.34 the family stands in `libdl.so.2`, which a program
/// need not have started with: then it came with the library that calls us.
macro_rules! real {
    ($name:ident) => {
        next::$name().or_else(|| later(concat!(stringify!($name), "\0")))
    };
}

/// A function of type `F`, which is that of the C name.
#[cold]
fn later<F>(name: &str) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut ()>()) };
    let name = CStr::from_bytes_with_nul(name.as_bytes()).ok()?;
    let address = link_map::later_definition(name);
    // SAFETY: the definition of a C name has the C library's type for it.
    (!address.is_null()).then(|| unsafe { core::mem::transmute_copy(&address) })
}

/// What to jump to, and the path to give it: two registers.
#[repr(C)]
struct Call {
    path: *const c_char,
    function: *const c_void,
}

#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void {
    core::arch::naked_asm!(
        "push rsi",
        "call {prepare}",
        "pop rsi",
        "mov rdi, rax",
        "jmp rdx",
        prepare = sym prepare_dlopen,
    )
}

/// A path in another namespace is opened the same whoever asks, so that is called.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn dlmopen(space: c_long, path: *const c_char, flags: c_int) -> *mut c_void {
    core::arch::naked_asm!(
        "push rdi",
        "push rdx",
        "sub rsp, 8",
        "call {prepare}",
        "add rsp, 8",
        "mov r11, rdx",
        "pop rdx",
        "pop rdi",
        "test r11, r11",
        "jz 2f",
        "mov rsi, rax",
        "jmp r11",
        "2:",
        "ret",
        prepare = sym prepare_dlmopen,
    )
}

unsafe extern "C" fn prepare_dlopen(path: *const c_char) -> Call {
    let function = real!(dlopen).map_or(nothing as *const c_void, |real| real as *const c_void);
    Call {
        // SAFETY: the caller's C string.
        path: unsafe { library::path_for_loader(path) },
        function,
    }
}

/// No function: the path is the answer.
unsafe extern "C" fn prepare_dlmopen(space: c_long, path: *const c_char, flags: c_int) -> Call {
    // SAFETY: the caller's arguments; what glibc answers is a link map.
    unsafe {
        let Some(real) = real!(dlmopen) else {
            let (path, function) = (path, nothing as *const c_void);
            return Call { path, function };
        };
        let path = library::path_for_loader(path);
        let function = real as *const c_void;
        let Some(world) = world::get().filter(|_| library::is_plain_path(path)) else {
            return Call { path, function };
        };
        let handle = real(space, path, flags);
        if !handle.is_null() {
            object_names::rename_around(world, handle.cast_const().cast());
        }
        Call {
            path: handle.cast_const().cast(),
            function: core::ptr::null(),
        }
    }
}

/// Stands in where no loader function exists.
extern "C" fn nothing() -> *mut c_void {
    core::ptr::null_mut()
}

/// `Dl_info` (dladdr(3)).
#[repr(C)]
pub struct AddressInfo {
    file: *const c_char,
    base: *mut c_void,
    symbol: *const c_char,
    address: *mut c_void,
}

/// Shows the file's name of a filled [`AddressInfo`].
unsafe fn show_file(answer: c_int, info: *mut AddressInfo) -> c_int {
    if let Some(world) = world::get().filter(|_| answer != 0) {
        // SAFETY: the C library has just filled the caller's structure.
        unsafe { (*info).file = object_names::shown(world, (*info).file) };
    }
    answer
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn dladdr(address: *const c_void, info: *mut AddressInfo) -> c_int {
    // SAFETY: see the module above.
    unsafe { real!(dladdr).map_or(0, |real| show_file(real(address, info.cast()), info)) }
}

/// `flags` of dladdr1(3): what `extra` gets is the object's link map.
const RTLD_DL_LINKMAP: c_int = 2;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn dladdr1(
    address: *const c_void,
    info: *mut AddressInfo,
    extra: *mut *const LinkMap,
    flags: c_int,
) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        let Some(real) = real!(dladdr1) else {
            return 0;
        };
        let answer = real(address, info.cast(), extra, flags);
        if let Some(world) = world::get().filter(|_| answer != 0 && flags == RTLD_DL_LINKMAP) {
            object_names::rename_around(world, *extra);
        }
        show_file(answer, info)
    }
}

/// Requests of dlinfo(3).
const RTLD_DI_LINKMAP: c_int = 2;
const RTLD_DI_SERINFO: c_int = 4;
const RTLD_DI_ORIGIN: c_int = 6;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlinfo(handle: *mut c_void, request: c_int, out: *mut c_void) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        let Some(real) = real!(dlinfo) else {
            return -1;
        };
        let answer = real(handle, request, out);
        if let Some(world) = world::get().filter(|_| answer == 0) {
            match request {
                RTLD_DI_LINKMAP => object_names::rename_around(world, *out.cast()),
                RTLD_DI_SERINFO => show_search_path(world, out.cast()),
                RTLD_DI_ORIGIN => show_origin(world, out.cast()),
                _ => {}
            }
        }
        answer
    }
}

/// The origin is copied to the caller, who has to have room for any path.
unsafe fn show_origin(world: &'static world::World, out: *mut c_char) {
    // SAFETY: the C library has just written a string there.
    unsafe {
        let shown = object_names::shown(world, out);
        if shown != out.cast_const() {
            let text = CStr::from_ptr(shown).to_bytes_with_nul();
            core::ptr::copy_nonoverlapping(text.as_ptr(), out.cast(), text.len());
        }
    }
}

/// `Dl_serpath` and `Dl_serinfo` (dlinfo(3)).
#[repr(C)]
struct SearchPath {
    name: *const c_char,
    flags: c_uint,
}

#[repr(C)]
struct SearchInfo {
    bytes: usize,
    count: c_uint,
    paths: [SearchPath; 1],
}

unsafe fn show_search_path(world: &'static world::World, info: *mut SearchInfo) {
    // SAFETY: the C library has just written `count` paths there.
    unsafe {
        let paths: *mut SearchPath = (&raw mut (*info).paths).cast();
        for path in core::slice::from_raw_parts_mut(paths, (*info).count as usize) {
            path.name = object_names::shown(world, path.name);
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn dl_iterate_phdr(visit: Visit, data: *mut c_void) -> c_int {
    let Some(real) = next::dl_iterate_phdr() else {
        return 0;
    };
    // SAFETY: see the module above; the visitor outlives the call.
    unsafe {
        match world::get() {
            Some(world) => {
                let mut visitor = Visitor { visit, data, world };
                real(object_names::visit_shown, (&raw mut visitor).cast())
            }
            None => real(visit, data),
        }
    }
}

/// The text is this thread's own, until its next call of the family.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlerror() -> *mut c_char {
    // SAFETY: see the module above.
    unsafe {
        let text = real!(dlerror).map_or(core::ptr::null_mut(), |real| real());
        if let Some(world) = world::get() {
            shown_text::rewrite_string(world, text);
        }
        text
    }
}
