//! What the file actions of posix_spawn(3) will have done in the child by the time of
//! the next one: where it stands, and which descriptors are served directories.
//!
//! Noted in the object itself, whose second half the C libraries keep for later
//! (`__pad[16]` in glibc and musl), so that it goes where the object goes and needs no
//! table. The first word is made of the object's address: what does not fit it was
//! never noted, and then nothing is known.

use crate::fd_table::{self, Known};
use crate::locate::is_bad;
use crate::world::World;
use core::ffi::{c_int, c_void};
use velo_core::errno::Errno;

/// Where the spare ints begin, and how many bytes they are.
const SPARE_OFFSET: usize = 16;
const DESCRIPTORS: usize = 3;
const MARK: u32 = 0x5645_4c4f;

/// The notes; all zero is a fresh object's.
#[repr(C)]
#[derive(Clone, Copy)]
struct Notes {
    mark: u32,
    error: i32,
    /// As [`fd_table::encode`]; 0: the directory of the parent.
    cwd: u64,
    /// Descriptor and one, and what it is.
    descriptors: [(u64, u64); DESCRIPTORS],
}

const _: () = assert!(size_of::<Notes>() == 64);

/// The file actions of a caller.
#[derive(Clone, Copy)]
pub struct Actions(*mut Notes);

impl Actions {
    /// The object of a caller.
    ///
    /// # Safety
    /// `object` is null, a bad pointer or an initialised object.
    pub unsafe fn of(object: *const c_void) -> Option<Self> {
        // SAFETY: the spare ints are within the object.
        (!is_bad(object)).then(|| Self(unsafe { object.byte_add(SPARE_OFFSET) }.cast_mut().cast()))
    }

    fn mark(self) -> u32 {
        MARK ^ (self.0 as usize as u32) ^ ((self.0 as usize >> 32) as u32)
    }

    /// The notes, if there are any.
    fn read(self) -> Option<Notes> {
        // SAFETY: within the caller's object, which has the alignment of a pointer.
        let notes = unsafe { self.0.read() };
        (notes.mark == self.mark()).then_some(notes)
    }

    fn change(self, change: impl FnOnce(&mut Notes)) {
        let mut notes = self.read().unwrap_or(Notes {
            mark: self.mark(),
            error: 0,
            cwd: 0,
            descriptors: [(0, 0); DESCRIPTORS],
        });
        change(&mut notes);
        // SAFETY: as in `read`; the C library does not use these bytes.
        unsafe { self.0.write(notes) };
    }

    /// Forgets everything: for an object that has just been initialised.
    pub fn clear(self) {
        // SAFETY: as in `change`.
        unsafe { (*self.0).mark = 0 };
    }

    /// The directory that the child will stand in; `None`: that of the parent.
    pub fn cwd(self) -> Option<Known> {
        let cwd = self.read()?.cwd;
        (cwd != 0).then(|| fd_table::decode(cwd))
    }

    /// Notes that the child will go there.
    pub fn set_cwd(self, known: Known) {
        self.change(|notes| notes.cwd = fd_table::encode(known));
    }

    /// The error that the first action will fail with which is known to.
    pub fn error(self) -> Option<Errno> {
        let error = self.read()?.error;
        (error != 0).then_some(Errno(error))
    }

    /// Notes that an action will fail.
    pub fn set_error(self, error: Errno) {
        self.change(|notes| {
            if notes.error == 0 {
                notes.error = error.0;
            }
        });
    }

    /// What a descriptor will be in the child.
    pub fn descriptor(self, world: &'static World, descriptor: c_int) -> Known {
        let number = descriptor as u32 as u64 + 1;
        let noted = self.read().and_then(|notes| {
            let mut slots = notes.descriptors.into_iter();
            slots
                .find(|(slot, _)| *slot == number)
                .map(|(_, known)| fd_table::decode(known))
        });
        noted.unwrap_or_else(|| fd_table::directory(world, descriptor))
    }

    /// Notes what a descriptor will be. What finds no room stays what it is here.
    pub fn set_descriptor(self, descriptor: c_int, known: Known) {
        let number = descriptor as u32 as u64 + 1;
        self.change(|notes| {
            let slots = &mut notes.descriptors;
            let place = slots.iter().position(|(slot, _)| *slot == number);
            let place = place.or_else(|| slots.iter().position(|(slot, _)| *slot == 0));
            if let Some(slot) = place.and_then(|place| slots.get_mut(place)) {
                *slot = (number, fd_table::encode(known));
            }
        });
    }
}
