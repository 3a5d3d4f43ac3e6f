//! `libvelo_fs.so`: serves Velo manifests to unmodified programs by `LD_PRELOAD`.
//!
//! The C functions that a program calls are answered from the mapped manifest
//! where the path is served, and passed on untouched where it is not. Layers,
//! never upward: `interpose/*` (one file per family of C functions) -> `locate`
//! (path to vnode), `served`, `program` -> `world`, `fd_table`, `cwd` -> velo-core.
//!
//! Never: a panic, an allocation or a lock on a served call, thread-local storage,
//! a descriptor of our own left open, an `errno` changed by a call that succeeds.
//! Nothing is linked: one file loads under every C library (brief §8).
#![no_std]

mod arena;
mod canonical;
mod credentials;
mod cwd;
mod dir_stream;
mod environment;
mod errno;
mod fd_table;
mod heap;
mod inherited_fds;
mod interpose;
mod library;
mod link_map;
mod listing;
mod load;
mod locate;
mod magic_link;
mod maps_text;
mod message;
mod mount_points;
mod next;
mod object_names;
mod program;
mod served;
mod shown_text;
mod spawn_actions;
mod start;
mod started;
mod stats;
mod sticky;
mod store_place;
mod strings;
mod symbol;
mod sys;
mod unserved;
mod vfork;
mod world;

/// Nothing here panics; if it did, ending at once beats running on.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    message::say(&message::Line::new().text(b"internal error in libvelo_fs; please report it"));
    sys::abort()
}
