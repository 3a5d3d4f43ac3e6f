//! Counts for `VELO_STATS=1`: per family of calls, how many were served, passed
//! through or failed. Without that variable a count costs one predictable branch.

use crate::message::{Line, say_on};
use crate::sys;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering::Relaxed};
use linux_raw_sys::general as nr;

/// Families of interposed calls, in the order in which they are printed.
#[derive(Clone, Copy)]
pub enum Family {
    /// open, fopen and their kin.
    Open,
    /// stat, statx and their kin.
    Stat,
    /// access and its kin.
    Access,
    /// readlink, realpath.
    Readlink,
    /// opendir, readdir, getdents64, scandir.
    Directory,
    /// chdir, getcwd.
    Cwd,
    /// exec, posix_spawn.
    Exec,
    /// dlopen.
    Loader,
    /// unlink, rename, chmod and all else that would change something.
    Change,
    /// What Python's import hook asks.
    Python,
}

/// How a call ended.
#[derive(Clone, Copy)]
pub enum Outcome {
    /// Answered from the manifest.
    Served,
    /// Answered from the manifest with an error.
    Failed,
    /// Passed: no mount is involved.
    PassedOutside,
    /// Passed under a path that led out of a mount.
    PassedRewritten,
    /// Served only at the second look: a symlink outside led into a mount.
    ServedSecondLook,
}

const FAMILIES: [&[u8]; 10] = [
    b"open",
    b"stat",
    b"access",
    b"readlink",
    b"directory",
    b"cwd",
    b"exec",
    b"loader",
    b"change",
    b"python",
];
const OUTCOMES: [&[u8]; 5] = [
    b"served",
    b"failed",
    b"passed(outside)",
    b"passed(led out)",
    b"served(second look)",
];

static ENABLED: AtomicBool = AtomicBool::new(false);
static COUNTS: [[AtomicU64; OUTCOMES.len()]; FAMILIES.len()] =
    [const { [const { AtomicU64::new(0) }; OUTCOMES.len()] }; FAMILIES.len()];

/// Where the table goes.
static OUTPUT: AtomicI32 = AtomicI32::new(2);
/// Out of the way of programs that expect small descriptors.
const OUTPUT_LOWEST: usize = 900;

/// Starts counting. Keeps a duplicate of standard error, because many programs
/// close theirs before they end; it is the only descriptor that Velo ever holds.
pub fn enable() {
    ENABLED.store(true, Relaxed);
    let arguments = [2, nr::F_DUPFD_CLOEXEC as usize, OUTPUT_LOWEST, 0, 0, 0];
    // SAFETY: no pointers.
    let duplicate = sys::result(unsafe { sys::syscall6(nr::__NR_fcntl as usize, arguments) });
    OUTPUT.store(duplicate.unwrap_or(2) as i32, Relaxed);
}

/// Counts one call.
#[inline(always)]
pub fn count(family: Family, outcome: Outcome) {
    if ENABLED.load(Relaxed) {
        add(family, outcome);
    }
}

#[cold]
fn add(family: Family, outcome: Outcome) {
    if let Some(count) = COUNTS
        .get(family as usize)
        .and_then(|row| row.get(outcome as usize))
    {
        count.fetch_add(1, Relaxed);
    }
}

/// Prints the table at exit, one line per family that was called.
pub extern "C" fn print_at_exit() {
    if !ENABLED.load(Relaxed) {
        return;
    }
    for (name, row) in FAMILIES.iter().zip(&COUNTS) {
        if row.iter().all(|count| count.load(Relaxed) == 0) {
            continue;
        }
        let mut line = Line::new().text(b"stats: ").text(name).text(b":");
        for (outcome, count) in OUTCOMES.iter().zip(row) {
            let count = count.load(Relaxed);
            if count != 0 {
                line = line.text(b" ").text(outcome).text(b"=").number(count);
            }
        }
        say_on(OUTPUT.load(Relaxed), &line);
    }
}
