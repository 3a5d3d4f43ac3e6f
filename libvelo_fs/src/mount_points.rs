//! Mount points in the listings of plain directories.
//!
//! A kernel mount needs its mount point to exist, so a listing of the directory
//! above shows it. Ours need not exist on disk: what the kernel's listing lacks is
//! added at its end. A few streams at a time; more than that go without.

use crate::fd_table::{self, Known};
use crate::listing::{self, Record};
use crate::world::{Entry, World};
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_int, c_void};
use core::sync::atomic::{
    AtomicPtr, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// A listing of the C library's that mount points belong into.
pub struct Listing {
    dir: AtomicPtr<c_void>,
    /// One bit per mount that stands right below the directory.
    all: AtomicU64,
    /// Those that have not been seen since the listing began.
    pending: AtomicU64,
    record: UnsafeCell<Record>,
}

// SAFETY: a stream's record belongs to whoever reads the stream, as in readdir(3).
unsafe impl Sync for Listing {}

const LISTINGS: usize = 32;
static ACTIVE: AtomicUsize = AtomicUsize::new(0);
static TABLE: [Listing; LISTINGS] = [const {
    Listing {
        dir: AtomicPtr::new(core::ptr::null_mut()),
        all: AtomicU64::new(0),
        pending: AtomicU64::new(0),
        record: UnsafeCell::new(Record::EMPTY),
    }
}; LISTINGS];

/// Name of a mount's last component.
fn name_of(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(b"")
}

/// One bit per mount right below the plain directory behind `descriptor`.
fn mounts_below(world: &World, descriptor: c_int) -> u64 {
    let Known::Ancestor { mount, bytes } = fd_table::get(descriptor) else {
        return 0;
    };
    let Some(directory) = world
        .mount(mount)
        .and_then(|mount| mount.path().get(..bytes as usize))
    else {
        return 0;
    };
    let mut mask = 0;
    for (number, mount) in world.view.mounts().iter().enumerate() {
        let parent = mount
            .path()
            .len()
            .checked_sub(name_of(mount.path()).len() + 1);
        if parent.and_then(|parent| mount.path().get(..parent)) == Some(directory) {
            mask |= 1 << number;
        }
    }
    mask
}

/// Notes that the C library lists the directory behind `descriptor` as `dir`.
pub fn begin(world: &World, dir: *mut c_void, descriptor: c_int) {
    let all = mounts_below(world, descriptor);
    if all == 0 {
        return;
    }
    for listing in &TABLE {
        let free = listing.dir.load(Relaxed).is_null();
        if free
            && listing
                .dir
                .compare_exchange(core::ptr::null_mut(), dir, AcqRel, Relaxed)
                .is_ok()
        {
            listing.all.store(all, Relaxed);
            listing.pending.store(all, Release);
            ACTIVE.fetch_add(1, Release);
            return;
        }
    }
}

/// The listing that `dir` is, if mount points belong into it.
#[inline]
pub fn find(dir: *mut c_void) -> Option<&'static Listing> {
    if ACTIVE.load(Acquire) == 0 {
        return None;
    }
    TABLE
        .iter()
        .find(|listing| listing.dir.load(Relaxed) == dir)
}

impl Listing {
    /// Passes on a record of the kernel's; at the end, those that it lacked.
    ///
    /// # Safety
    /// `record` is null or what readdir(3) has just returned.
    pub unsafe fn complete(&self, world: &'static World, record: *mut Record) -> *mut Record {
        let pending = self.pending.load(Relaxed);
        let of = |number: u32| world.view.mounts().get(number as usize);
        let bits = |mask: u64| (0..u64::BITS).filter(move |bit| mask >> bit & 1 != 0);
        if !record.is_null() {
            // SAFETY: the C library ends names with a NUL.
            let name = unsafe { CStr::from_ptr((&raw const (*record).d_name).cast()) }.to_bytes();
            let seen = bits(pending)
                .find(|bit| of(*bit).is_some_and(|mount| name_of(mount.path()) == name));
            if let Some(bit) = seen {
                self.pending.store(pending & !(1 << bit), Relaxed);
            }
            return record;
        }
        let Some(bit) = bits(pending).next() else {
            return record;
        };
        self.pending.store(pending & !(1 << bit), Relaxed);
        let own = self.record.get();
        let filled = of(bit).is_some_and(|mount| {
            let root = Entry {
                mount: bit as u16,
                index: mount.top(),
            };
            // SAFETY: see `Sync`.
            listing::fill_named(world, root, name_of(mount.path()), unsafe { &mut *own })
        });
        if filled { own } else { record }
    }

    /// The listing starts again.
    pub fn rewind(&self) {
        self.pending.store(self.all.load(Relaxed), Relaxed);
    }

    /// The listing is closed.
    pub fn end(&self) {
        ACTIVE.fetch_sub(1, Relaxed);
        self.dir.store(core::ptr::null_mut(), Release);
    }
}
