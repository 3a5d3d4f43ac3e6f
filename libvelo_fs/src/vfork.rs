//! Knows when the running code is a `vfork` child, which shares its parent's
//! memory but not its descriptors or working directory: what such a child closes,
//! duplicates or changes must not be noted in tables that the parent still reads.
//!
//! The child shares the parent thread's thread pointer, so the thread pointer of
//! a thread inside `vfork` tells both.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;

const SLOTS: usize = 64;
static ACTIVE: AtomicUsize = AtomicUsize::new(0);
static THREADS: [AtomicUsize; SLOTS] = [const { AtomicUsize::new(0) }; SLOTS];

/// Whether this is a child of `vfork` that has not executed a program yet.
#[inline(always)]
pub fn in_child() -> bool {
    ACTIVE.load(Relaxed) != 0 && is_marked()
}

#[cold]
fn is_marked() -> bool {
    let own = thread_pointer();
    THREADS.iter().any(|slot| slot.load(Relaxed) == own)
}

/// Marks the calling thread: called in the child, right after it was made.
pub extern "C" fn enter() {
    mark(thread_pointer());
}

fn mark(own: usize) {
    for slot in &THREADS {
        if slot.compare_exchange(0, own, Relaxed, Relaxed).is_ok() {
            ACTIVE.fetch_add(1, Relaxed);
            return;
        }
    }
}

/// Unmarks the calling thread: called in the parent, once the child is gone.
pub extern "C" fn leave() {
    unmark(thread_pointer());
}

fn unmark(own: usize) {
    for slot in &THREADS {
        if slot.compare_exchange(own, 0, Relaxed, Relaxed).is_ok() {
            ACTIVE.fetch_sub(1, Relaxed);
        }
    }
}

fn thread_pointer() -> usize {
    let pointer: usize;
    // SAFETY: the psABI keeps the thread pointer itself at offset 0 of its segment.
    unsafe {
        core::arch::asm!("mov {}, fs:0", out(reg) pointer, options(nostack, preserves_flags, readonly));
    }
    pointer
}

/// vfork(2). Returns twice on one stack frame, so it is written without one: the
/// return address waits in a register that the system call leaves alone.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn vfork() -> c_int {
    core::arch::naked_asm!(
        // The kernel keeps rdi, rsi, rdx; the child may overwrite the stack slot
        // of the return address, so it is taken off the stack meanwhile.
        "pop rdx",
        "mov eax, 58",
        "syscall",
        "push rdx",
        "cmp rax, -4095",
        "jae 3f",
        "test eax, eax",
        "jnz 2f",
        // Child.
        "sub rsp, 8",
        "call {enter}",
        "add rsp, 8",
        "xor eax, eax",
        "ret",
        // Parent, after the child's exec or exit.
        "2:",
        "push rax",
        "call {leave}",
        "pop rax",
        "ret",
        "3:",
        "neg eax",
        "mov edi, eax",
        "sub rsp, 8",
        "call {failed}",
        "add rsp, 8",
        "ret",
        enter = sym enter,
        leave = sym leave,
        failed = sym failed,
    )
}

/// The same function by its other name.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn __vfork() -> c_int {
    core::arch::naked_asm!("jmp {vfork}", vfork = sym vfork)
}

extern "C" fn failed(number: c_int) -> c_int {
    crate::errno::fail(Errno(number))
}

/// clone(2) as the C library has it. A child that shares the memory and is waited for
/// is one of `vfork` in all but name; every other has a copy of all that is known, or
/// shares what it is about as well.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clone(
    function: *const c_void,
    stack: *mut c_void,
    flags: c_int,
    argument: *mut c_void,
    parent: *mut c_void,
    thread_pointer: usize,
    child: *mut c_void,
) -> c_int {
    let Some(real) = crate::next::clone() else {
        return failed(Errno::ENOSYS.0);
    };
    let has = |bits: u32| flags as u32 & bits == bits;
    let marked = has(nr::CLONE_VM | nr::CLONE_VFORK) && !has(nr::CLONE_FILES | nr::CLONE_FS);
    let own = if has(nr::CLONE_SETTLS) {
        thread_pointer
    } else {
        self::thread_pointer()
    };
    if marked {
        mark(own);
    }
    // SAFETY: the caller's arguments. What it did not pass is not used (clone(2)).
    let answer = unsafe {
        real(
            function,
            stack,
            flags,
            argument,
            parent,
            thread_pointer,
            child,
        )
    };
    if marked {
        unmark(own);
    }
    answer
}

/// The same function by its other name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __clone(
    function: *const c_void,
    stack: *mut c_void,
    flags: c_int,
    argument: *mut c_void,
    parent: *mut c_void,
    thread_pointer: usize,
    child: *mut c_void,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        clone(
            function,
            stack,
            flags,
            argument,
            parent,
            thread_pointer,
            child,
        )
    }
}
