//! `velo-ctl`, the command line of Velo.
//!
//! Entered through C's `main` instead of Rust's runtime, because the runtime sets
//! SIGPIPE to ignored and fills closed descriptors 0 to 2, and both belong to the
//! program that `run` becomes. So SIGPIPE is whatever the caller set, as with any
//! other command: `velo-ctl ls | head` ends quietly.
#![cfg_attr(not(test), no_main)]

mod census;
mod cli;
mod commands;
mod compare;
mod doctor;
mod entry;
mod failure;
mod format;
mod launch;
mod manifest_file;
mod operand;
mod output;
mod progress;
mod selection;
mod served;
mod warm;

use std::ffi::OsString;
use std::os::fd::IntoRawFd;

use rustix::fs::{Mode, OFlags};

/// Entry point called by the C start code.
#[cfg(not(test))]
#[unsafe(no_mangle)]
extern "C" fn main(count: libc::c_int, values: *const *const libc::c_char) -> libc::c_int {
    use std::io::Write;
    use std::os::unix::ffi::OsStringExt;
    let arguments = (0..usize::try_from(count).unwrap_or(0))
        .map(|position| {
            // SAFETY: the C start code passes `count` valid, NUL-terminated strings.
            let text = unsafe { std::ffi::CStr::from_ptr(*values.add(position)) };
            OsString::from_vec(text.to_bytes().to_vec())
        })
        .collect();
    fill_descriptors();
    let status = start(arguments);
    // Nobody else does it: what a failed command left in the buffer.
    let _ = std::io::stdout().flush();
    i32::from(status)
}

/// Descriptors 0 to 2 that the caller closed must not become files of ours, which a
/// message could then overwrite. Closed again by execve, so `run` hands them on closed.
#[cfg_attr(test, expect(dead_code, reason = "the test harness has its own main"))]
fn fill_descriptors() {
    while let Ok(null) =
        rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    {
        let descriptor = null.into_raw_fd();
        if descriptor > 2 {
            // SAFETY: opened above, and nobody else knows it.
            unsafe { rustix::io::close(descriptor) };
            return;
        }
    }
}

/// Parses, runs the command, reports its failure; the exit status.
#[cfg_attr(test, expect(dead_code, reason = "the test harness has its own main"))]
fn start(arguments: Vec<OsString>) -> u8 {
    if let [_, command, rest @ ..] = arguments.as_slice()
        && command == doctor::probe::COMMAND
    {
        return doctor::probe::run(rest);
    }
    let parsed = match cli::parse(arguments) {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    match commands::dispatch(parsed.command) {
        Ok(status) => status,
        Err(failure) => {
            failure.report();
            failure.status()
        }
    }
}
