//! Taking content in: small files in one read, large ones streamed.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::io::Errno;
use velo_core::id::ContentHash;
use velo_core::store_layout::CAS_DIRECTORY;

use crate::blob::{Placed, Settled};
use crate::source::{SourceStamp, name_of, read_at};
use crate::stream::{hash_and_copy, start_of};
use crate::temporary::Temporary;
use crate::{Space, Store, StoreError};

/// Files up to this are read whole, and hashed before anything is written.
const SMALL_BYTES_MAX: u64 = 4 << 20;

/// How often a source that changes while it is read is tried, with growing pauses:
/// 1, 4, 16, 64 ms.
const ATTEMPTS: u32 = 5;

/// What was taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Put {
    /// Its name in the store.
    pub hash: ContentHash,
    /// Size in bytes.
    pub size: u64,
    /// It starts as an ELF object does.
    pub elf: bool,
    /// It starts with `#!`.
    pub shebang: bool,
    /// This call added it to the store.
    pub new: bool,
    /// It was in the store, but damaged, and this call put it right.
    pub repaired: bool,
    /// The source as it was while it was read; `None` for bytes from memory.
    pub source: Option<SourceStamp>,
}

/// One attempt to read a source.
enum Attempt {
    Done(Put),
    Changed(String),
}

impl Store {
    /// Takes in the content of an open regular file, from its start to its end whatever
    /// its offset is (which may move). `size_hint` is what the caller believes its size
    /// to be; `want_exec` asks for an executable blob; `scratch` is a buffer to reuse
    /// from call to call.
    ///
    /// # Errors
    /// [`StoreError::NotRegular`], [`StoreError::SourceUnreadable`],
    /// [`StoreError::SourceChanged`], and what writing can meet:
    /// [`StoreError::NoSpace`], [`StoreError::QuotaExceeded`], [`StoreError::TooLarge`],
    /// [`StoreError::ReadOnly`], [`StoreError::Denied`], [`StoreError::StampLost`].
    pub fn put(
        &self,
        source: &File,
        size_hint: u64,
        want_exec: bool,
        scratch: &mut Vec<u8>,
    ) -> Result<Put, StoreError> {
        self.put_watched(source, size_hint, want_exec, scratch, &|_| ())
    }

    /// As [`Store::put`]; of a large file, tells `watch` from time to time how many bytes
    /// of it are read. They become fewer if it changed and is read again.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub fn put_watched(
        &self,
        source: &File,
        size_hint: u64,
        want_exec: bool,
        scratch: &mut Vec<u8>,
        watch: &dyn Fn(u64),
    ) -> Result<Put, StoreError> {
        if scratch.len() < size_hint.min(SMALL_BYTES_MAX) as usize {
            scratch.resize(size_hint.min(SMALL_BYTES_MAX) as usize, 0);
        }
        let mut found = String::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                std::thread::sleep(Duration::from_millis(1 << (2 * (attempt - 1))));
            }
            let mut before = SourceStamp::of(source)?;
            let settling = before.settling_time();
            if !settling.is_zero() {
                std::thread::sleep(settling);
                before = SourceStamp::of(source)?;
            }
            // Holes are kept by the way for large files only.
            let has_holes = before.size > 4096 && before.blocks.saturating_mul(512) < before.size;
            let outcome = if before.size <= SMALL_BYTES_MAX && !has_holes {
                self.put_small(source, before, want_exec, scratch)?
            } else {
                self.put_large(source, before, want_exec, scratch, watch)?
            };
            match outcome {
                Attempt::Done(put) => return Ok(put),
                Attempt::Changed(how) => found = how,
            }
        }
        Err(StoreError::SourceChanged {
            path: name_of(source),
            attempts: ATTEMPTS,
            found,
        })
    }

    /// Takes in `content`.
    ///
    /// # Errors
    /// As [`Store::put`], as far as writing is concerned.
    pub fn put_bytes(&self, content: &[u8], want_exec: bool) -> Result<Put, StoreError> {
        let hash = ContentHash::of(content);
        let size = content.len() as u64;
        let placed = match self.settle(&hash, size, want_exec)? {
            Settled::There(placed) => placed,
            Settled::Absent | Settled::Damaged => {
                let failed = |errno| {
                    StoreError::while_writing("write the blob", &self.blob_path(&hash), size, errno)
                };
                let temporary = Temporary::create(self.cas(), self.way()?).map_err(failed)?;
                temporary
                    .file()
                    .write_all_at(content, 0)
                    .map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
                self.place(temporary, &hash, size, want_exec)?
            }
        };
        Ok(Put::of(hash, size, start_of(content), placed))
    }

    fn put_small(
        &self,
        source: &File,
        before: SourceStamp,
        want_exec: bool,
        scratch: &mut Vec<u8>,
    ) -> Result<Attempt, StoreError> {
        let size = before.size as usize;
        if scratch.len() < size {
            scratch.resize(size, 0);
        }
        let room = scratch.get_mut(..size).unwrap_or_default();
        let filled = read_at(source, room, 0)?;
        if let Some(how) = changed(source, &before, filled as u64)? {
            return Ok(Attempt::Changed(how));
        }
        let mut put = self.put_bytes(room, want_exec)?;
        put.source = Some(before);
        Ok(Attempt::Done(put))
    }

    fn put_large(
        &self,
        source: &File,
        before: SourceStamp,
        want_exec: bool,
        scratch: &mut Vec<u8>,
        watch: &dyn Fn(u64),
    ) -> Result<Attempt, StoreError> {
        let place = self.root().join(CAS_DIRECTORY);
        let needed = before.size.min(before.blocks.saturating_mul(512));
        let failed = |errno| StoreError::while_writing("write a blob", &place, needed, errno);
        // Filling the file system to the brim would hurt others. So if there is no room,
        // nothing is written; the content may be in the store already.
        let free = Space::of(self.cas()).map_or(u64::MAX, |space| space.free_bytes);
        let copy = if free < needed {
            None
        } else {
            Some(Temporary::create(self.cas(), self.way()?).map_err(failed)?)
        };
        let file = copy.as_ref().map(Temporary::file);
        let read = hash_and_copy(source, &before, file, scratch, watch)?;
        if let Some(how) = changed(source, &before, read.length)? {
            return Ok(Attempt::Changed(how));
        }
        let placed = match (self.settle(&read.hash, before.size, want_exec)?, copy) {
            (Settled::There(placed), _) => placed,
            (_, None) => return Err(failed(Errno::NOSPC)),
            (_, Some(copy)) => match read.write_error {
                Some(errno) => return Err(failed(errno)),
                None => self.place(copy, &read.hash, before.size, want_exec)?,
            },
        };
        let mut put = Put::of(read.hash, before.size, read.start, placed);
        put.source = Some(before);
        Ok(Attempt::Done(put))
    }
}

impl Put {
    fn of(hash: ContentHash, size: u64, start: [u8; 4], placed: Placed) -> Self {
        Self {
            hash,
            size,
            elf: start == *b"\x7fELF",
            shebang: start.starts_with(b"#!"),
            new: placed == Placed::New,
            repaired: placed == Placed::Repaired,
            source: None,
        }
    }
}

/// Whether the source changed while `length` bytes of it were read, and how.
fn changed(source: &File, before: &SourceStamp, length: u64) -> Result<Option<String>, StoreError> {
    let after = SourceStamp::of(source)?;
    if let Some(how) = before.change(&after) {
        return Ok(Some(how));
    }
    let short = length != before.size;
    Ok(short.then(|| format!("{} bytes expected, {length} read", before.size)))
}
