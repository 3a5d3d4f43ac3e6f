//! dlopen(3), dlmopen(3): the loader opens past our hooks, so a served library is
//! given to it by its physical path in the view tree, where `$ORIGIN` and the
//! neighbours are as in the source.
//!
//! The real function is jumped to, not called, because it looks at its return
//! address: the caller's own RUNPATH has to apply.

use crate::locate::{Where, bytes, locate, second_look};
use crate::served;
use crate::stats::{Family, Outcome, count};
use crate::world::{Entry, World};
use crate::{arena, next};
use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{
    AtomicPtr, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use linux_raw_sys::general as nr;
use velo_core::resolve::{Options, PathBuffer};

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

#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn dlmopen(space: isize, path: *const c_char, flags: c_int) -> *mut c_void {
    core::arch::naked_asm!(
        "push rdi",
        "push rdx",
        "sub rsp, 8",
        "mov rdi, rsi",
        "call {prepare}",
        "add rsp, 8",
        "mov r11, rdx",
        "mov rsi, rax",
        "pop rdx",
        "pop rdi",
        "jmp r11",
        prepare = sym prepare_dlmopen,
    )
}

unsafe extern "C" fn prepare_dlopen(path: *const c_char) -> Call {
    let function = next::dlopen().map_or(nothing as *const c_void, |real| real as *const c_void);
    Call {
        // SAFETY: the caller's C string.
        path: unsafe { physical(path) },
        function,
    }
}

unsafe extern "C" fn prepare_dlmopen(path: *const c_char) -> Call {
    let function = next::dlmopen().map_or(nothing as *const c_void, |real| real as *const c_void);
    Call {
        // SAFETY: the caller's C string.
        path: unsafe { physical(path) },
        function,
    }
}

/// Stands in where no loader function exists.
extern "C" fn nothing() -> *mut c_void {
    core::ptr::null_mut()
}

unsafe fn physical(path: *const c_char) -> *const c_char {
    // SAFETY: the caller's C string; without a slash the loader searches by itself.
    if !unsafe { bytes(path) }.is_some_and(|path| path.contains(&b'/')) {
        return path;
    }
    let mut scratch = PathBuffer::new();
    // SAFETY: as above.
    let found = unsafe {
        match locate(nr::AT_FDCWD, path, Options::FOLLOW, &mut scratch) {
            Where::Served(world, entry) => Some((world, entry)),
            Where::KernelAt(rewritten) => {
                count(Family::Loader, Outcome::PassedRewritten);
                return arena::keep(&[rewritten.to_bytes()])
                    .map_or(path, |kept| kept.as_ptr().cast());
            }
            Where::Kernel => second_look(nr::AT_FDCWD, path, Options::FOLLOW),
            // The loader finds nothing there either and says so in its own words.
            Where::Absent { .. } | Where::Failed(_) => None,
        }
    };
    let interned = found.and_then(|(world, entry)| intern(world, entry));
    count(
        Family::Loader,
        if interned.is_some() {
            Outcome::Served
        } else {
            Outcome::PassedOutside
        },
    );
    interned.unwrap_or(path)
}

const INTERNED: usize = 2048;

struct Slot {
    key: AtomicU64,
    path: AtomicPtr<c_char>,
}

static SLOTS: [Slot; INTERNED] = [const {
    Slot {
        key: AtomicU64::new(0),
        path: AtomicPtr::new(core::ptr::null_mut()),
    }
}; INTERNED];

/// The physical path of a library, kept: a process loads the same few again and again.
fn intern(world: &'static World, entry: Entry) -> Option<*const c_char> {
    let key = (u64::from(entry.mount) << 32 | u64::from(entry.index)) + 1;
    let start = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize % INTERNED;
    let make = || -> Option<*const c_char> {
        let path = served::view_path(world, entry).ok()?;
        Some(arena::keep(&[path.as_bytes()])?.as_ptr().cast())
    };
    for slot in SLOTS.iter().cycle().skip(start).take(INTERNED) {
        let owner = slot.key.load(Acquire);
        if owner == key {
            let path = slot.path.load(Acquire);
            // Another thread may be writing it just now.
            return if path.is_null() { make() } else { Some(path) };
        }
        if owner == 0 && slot.key.compare_exchange(0, key, Acquire, Relaxed).is_ok() {
            let path = make()?;
            slot.path.store(path.cast_mut(), Release);
            return Some(path);
        }
    }
    make()
}
