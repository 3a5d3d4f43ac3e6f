//! `/proc/PID/maps`, `smaps` and `numa_maps`: opened, their text has virtual paths.
//!
//! The kernel writes such a text anew whenever it is read from its start; in place of one
//! with paths into the store, the program gets a copy in memory, made when it opens the
//! file. A text without any stays the kernel's own.

use crate::shown_text::Finder;
use crate::world::{self, World};
use crate::{fd_table, locate, sys};
use core::ffi::{c_char, c_int};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;

/// After `descriptor` was opened as `path`: puts the shown text in its place, if that is
/// such a file and has paths into the store.
///
/// # Safety
/// `path` is a C string that the kernel has accepted; nobody else knows of the descriptor yet.
#[inline]
pub unsafe fn show(path: *const c_char, descriptor: c_int) {
    // SAFETY: passed on to the caller.
    if let Some(path) = unsafe { locate::bytes(path) }
        && path.ends_with(b"maps")
        && descriptor >= 0
    {
        show_named(path, descriptor);
    }
}

#[cold]
fn show_named(path: &[u8], descriptor: c_int) {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    // What the kernel writes as an octal number in a path there.
    let escaped: &[u8] = match name {
        b"maps" | b"smaps" => b"\n",
        b"numa_maps" => b"\n\t= ",
        _ => return,
    };
    let mut buffer = [0; nr::PATH_MAX as usize];
    let Some(world) = world::get() else {
        return;
    };
    let is_in_proc = fd_table::physical_path(descriptor, &mut buffer)
        .is_some_and(|path| path.starts_with(b"/proc/"));
    if !is_in_proc {
        return;
    }
    let Ok(text) = Memory::read(descriptor) else {
        sys::lseek(descriptor, 0, nr::SEEK_SET as c_int);
        return;
    };
    if replace(world, text.bytes(), escaped, descriptor).is_err() {
        sys::lseek(descriptor, 0, nr::SEEK_SET as c_int);
    }
}

/// Makes `descriptor` one of the shown text. An error, and nothing done, if that is the
/// text itself or there is no memory.
fn replace(
    world: &'static World,
    text: &[u8],
    escaped: &[u8],
    descriptor: c_int,
) -> Result<(), Errno> {
    let mut finder = Finder::new();
    finder.next(world, text, 0).ok_or(Errno::ENOENT)?;
    // A program with a limit on the size of its files would get a signal.
    if sys::file_size_limit()? < 2 * text.len() as u64 {
        return Err(Errno::ENOMEM);
    }
    let copy = sys::memory_file(c"maps")?;
    let mut writer = Writer::new(copy);
    let mut at = 0;
    while let Some((range, path)) = finder.next(world, text, at) {
        writer.push(text.get(at..range.start).unwrap_or(b""));
        for byte in path {
            if escaped.contains(byte) {
                let digit = |shift: u8| b'0' + (*byte >> shift & 7);
                writer.push(&[b'\\', digit(6), digit(3), digit(0)]);
            } else {
                writer.push(core::slice::from_ref(byte));
            }
        }
        at = range.end;
    }
    writer.push(text.get(at..).unwrap_or(b""));
    let done = writer.finish().and_then(|()| {
        // Read-only, at its start, and closed on exec as the program wanted it.
        let mut name = [0; fd_table::LINK_BYTES];
        let name = fd_table::link_of(copy, &mut name).ok_or(Errno::ENOMEM)?;
        let flags = (nr::O_RDONLY | nr::O_CLOEXEC) as c_int;
        // SAFETY: a C string of ours.
        let fresh = sys::result(unsafe { sys::openat(nr::AT_FDCWD, name.as_ptr(), flags, 0) })?;
        let replaced = sys::replace(fresh as c_int, descriptor);
        sys::close(fresh as c_int);
        replaced
    });
    sys::close(copy);
    done
}

/// Collects bytes for a file.
struct Writer {
    descriptor: c_int,
    bytes: [u8; 4096],
    used: usize,
    answer: Result<(), Errno>,
}

impl Writer {
    fn new(descriptor: c_int) -> Self {
        Self {
            descriptor,
            bytes: [0; 4096],
            used: 0,
            answer: Ok(()),
        }
    }

    fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.answer.is_ok() {
            if self.used == self.bytes.len() {
                self.flush();
            }
            let room = self.bytes.len() - self.used;
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, b""));
            if let Some(slot) = self.bytes.get_mut(self.used..self.used + now.len()) {
                slot.copy_from_slice(now);
            }
            self.used += now.len();
            bytes = later;
        }
    }

    fn flush(&mut self) {
        let bytes = self.bytes.get(..self.used).unwrap_or(b"");
        self.answer = sys::write_all(self.descriptor, bytes);
        self.used = 0;
    }

    fn finish(mut self) -> Result<(), Errno> {
        if self.answer.is_ok() {
            self.flush();
        }
        self.answer
    }
}

/// Memory that is given back.
struct Memory {
    start: *mut u8,
    size: usize,
    used: usize,
}

impl Memory {
    /// All that can be read from `descriptor`.
    fn read(descriptor: c_int) -> Result<Self, Errno> {
        const FIRST_BYTES: usize = 256 * 1024;
        let mut memory = Self {
            start: sys::map_memory(FIRST_BYTES)?,
            size: FIRST_BYTES,
            used: 0,
        };
        loop {
            // SAFETY: the free part of memory that is ours alone.
            let free = unsafe {
                let start = memory.start.add(memory.used);
                core::slice::from_raw_parts_mut(start, memory.size - memory.used)
            };
            match sys::read(descriptor, free)? {
                0 => return Ok(memory),
                bytes => memory.used += bytes,
            }
            if memory.used == memory.size {
                let larger = Self {
                    start: sys::map_memory(2 * memory.size)?,
                    size: 2 * memory.size,
                    used: memory.used,
                };
                // SAFETY: two mappings, the second with room for the first.
                unsafe {
                    larger
                        .start
                        .copy_from_nonoverlapping(memory.start, memory.used)
                };
                memory = larger;
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: so many bytes have been written.
        unsafe { core::slice::from_raw_parts(self.start, self.used) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: nobody else has the mapping, and no slice of it outlives this.
        unsafe { sys::unmap(self.start, self.size) };
    }
}
