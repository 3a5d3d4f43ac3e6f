//! Large files: read, hashed and written chunk by chunk, holes kept.
//!
//! What is hashed is exactly what is written, so a source that changes meanwhile can
//! spoil the attempt but never the store.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use velo_core::id::ContentHash;

use crate::StoreError;
use crate::source::{SourceStamp, read_at};

/// Read at a time: large enough to amortise the call, small enough that hashing and
/// writing find it in the second-level cache.
pub(crate) const CHUNK_BYTES: usize = 256 << 10;

/// Zeros for hashing holes, and the granularity at which a sparse copy skips them.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
const PAGE_BYTES: usize = 4096;

/// What came out of a pass over a source.
pub(crate) struct Streamed {
    pub(crate) hash: ContentHash,
    /// First bytes, to tell what kind of file it is.
    pub(crate) start: [u8; 4],
    /// Bytes read; fewer than expected if the source shrank.
    pub(crate) length: u64,
    /// Why the copy is not complete, if it is not. Hashing went on, because the store
    /// may have the content already.
    pub(crate) write_error: Option<Errno>,
}

/// Hashes `source` and, if there is one, fills `copy` with the same content. Tells `watch`
/// how many bytes it has come to.
pub(crate) fn hash_and_copy(
    source: &File,
    before: &SourceStamp,
    copy: Option<&File>,
    buffer: &mut Vec<u8>,
    watch: &dyn Fn(u64),
) -> Result<Streamed, StoreError> {
    if buffer.len() < CHUNK_BYTES {
        buffer.resize(CHUNK_BYTES, 0);
    }
    let mut pass = Pass {
        hasher: blake3::Hasher::new(),
        copy,
        watch,
        sparse: before.is_sparse(),
        start: [0; 4],
        length: 0,
        write_error: None,
    };
    while pass.length < before.size {
        let (data, end) = pass.next_data(source, before.size);
        pass.hole(data - pass.length);
        while pass.length < end {
            let want = (end - pass.length).min(CHUNK_BYTES as u64) as usize;
            let Some(chunk) = buffer.get_mut(..want) else {
                break;
            };
            let filled = read_at(source, chunk, pass.length)?;
            pass.data(chunk.get(..filled).unwrap_or_default());
            if filled < want {
                return Ok(pass.finish());
            }
        }
    }
    Ok(pass.finish())
}

struct Pass<'a> {
    hasher: blake3::Hasher,
    copy: Option<&'a File>,
    watch: &'a dyn Fn(u64),
    sparse: bool,
    start: [u8; 4],
    length: u64,
    write_error: Option<Errno>,
}

impl Pass<'_> {
    /// Where the next data starts and ends. Without holes, or where the file system
    /// does not tell, all the rest is data.
    fn next_data(&self, source: &File, size: u64) -> (u64, u64) {
        if !self.sparse {
            return (self.length, size);
        }
        match seek(source, SeekFrom::Data(self.length)) {
            Ok(data) => {
                let end = seek(source, SeekFrom::Hole(data)).unwrap_or(size);
                (data.clamp(self.length, size), end.min(size))
            }
            Err(Errno::NXIO) => (size, size),
            Err(_) => (self.length, size),
        }
    }

    fn hole(&mut self, length: u64) {
        let mut rest = length;
        while rest > 0 {
            let part = rest.min(ZEROS.len() as u64);
            self.hasher
                .update(ZEROS.get(..part as usize).unwrap_or_default());
            rest -= part;
            (self.watch)(self.length + length - rest);
        }
        self.length += length;
    }

    fn data(&mut self, chunk: &[u8]) {
        self.hasher.update(chunk);
        if self.length == 0 {
            self.start = start_of(chunk);
        }
        if let Some(copy) = self.copy
            && self.write_error.is_none()
        {
            let written = if self.sparse {
                write_without_zeros(copy, chunk, self.length)
            } else {
                copy.write_all_at(chunk, self.length)
            };
            if let Err(error) = written {
                self.give_up(copy, &error);
            }
        }
        self.length += chunk.len() as u64;
        (self.watch)(self.length);
    }

    fn give_up(&mut self, copy: &File, error: &std::io::Error) {
        self.write_error = Some(Errno::from_io_error(error).unwrap_or(Errno::IO));
        // Gives the room back at once. If that fails too, closing the file will.
        let _room = copy.set_len(0);
    }

    fn finish(mut self) -> Streamed {
        // A hole at the end is made by the length alone.
        if let (Some(copy), None, true) = (self.copy, self.write_error, self.sparse)
            && let Err(error) = copy.set_len(self.length)
        {
            self.give_up(copy, &error);
        }
        Streamed {
            hash: ContentHash::from_bytes(*self.hasher.finalize().as_bytes()),
            start: self.start,
            length: self.length,
            write_error: self.write_error,
        }
    }
}

/// The first four bytes, zeros where there are fewer.
pub(crate) fn start_of(content: &[u8]) -> [u8; 4] {
    let mut start = [0; 4];
    for (slot, byte) in start.iter_mut().zip(content) {
        *slot = *byte;
    }
    start
}

/// Writes the runs of pages that are not all zero.
fn write_without_zeros(copy: &File, chunk: &[u8], offset: u64) -> std::io::Result<()> {
    let is_zero = |page: &[u8]| ZEROS.starts_with(page);
    let mut at = offset;
    for run in chunk
        .chunks(PAGE_BYTES)
        .collect::<Vec<_>>()
        .chunk_by(|a, b| is_zero(a) == is_zero(b))
    {
        let length: usize = run.iter().map(|page| page.len()).sum();
        let from = (at - offset) as usize;
        if run.first().is_some_and(|page| !is_zero(page)) {
            copy.write_all_at(chunk.get(from..from + length).unwrap_or_default(), at)?;
        }
        at += length as u64;
    }
    Ok(())
}
