//! Knows when the running code is a `vfork` child, which shares its parent's
//! memory but not its descriptors or working directory: what such a child closes,
//! duplicates or changes must not be noted in tables that the parent still reads.
//!
//! The child shares the parent thread's thread pointer, so the thread pointer of
//! a thread inside `vfork` tells both.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

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
    let own = thread_pointer();
    for slot in &THREADS {
        if slot.compare_exchange(0, own, Relaxed, Relaxed).is_ok() {
            ACTIVE.fetch_add(1, Relaxed);
            return;
        }
    }
}

/// Unmarks the calling thread: called in the parent, once the child is gone.
pub extern "C" fn leave() {
    let own = thread_pointer();
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
pub unsafe extern "C" fn vfork() -> core::ffi::c_int {
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

extern "C" fn failed(number: core::ffi::c_int) -> core::ffi::c_int {
    crate::errno::fail(velo_core::errno::Errno(number))
}
