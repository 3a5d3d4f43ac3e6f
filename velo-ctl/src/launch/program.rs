//! What a program file is: reads files for [`velo_core::executable`].

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use velo_core::executable::{Kind, Source, look};

/// Looks at an open file.
pub fn kind(file: &File) -> io::Result<Kind> {
    look(&mut Opened(file))
}

/// A file that is read for its headers.
pub struct Opened<'f>(pub &'f File);

impl Source for Opened<'_> {
    type Error = io::Error;

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self
                .0
                .read_at(&mut buffer[filled..], offset.saturating_add(filled as u64))
            {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Past what an offset can be there is nothing.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}
