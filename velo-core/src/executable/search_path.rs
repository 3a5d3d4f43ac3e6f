//! Where an ELF object has its libraries looked for (`DT_RUNPATH`, `DT_RPATH`; ld.so(8)).

use super::{Elf, Source};

const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
/// More dynamic entries than any real object has.
const COUNT_MAX: u64 = 4096;

/// The directories that an object names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SearchPath {
    /// Where in the file their text is, joined by `:`, with a NUL behind.
    offset: u64,
    /// Whether they come before `LD_LIBRARY_PATH` (`DT_RPATH`) and not after it.
    pub first: bool,
}

impl SearchPath {
    /// The text, read into `out`; empty if it makes no sense or does not fit.
    ///
    /// # Errors
    /// Those of `source`.
    pub fn text<'o, S: Source>(
        &self,
        source: &mut S,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], S::Error> {
        let length = source.read_at(out, self.offset)?;
        let text = out.get(..length).unwrap_or_default();
        let end = text.iter().position(|byte| *byte == 0);
        Ok(end.and_then(|end| text.get(..end)).unwrap_or_default())
    }
}

impl Elf {
    /// The directories that the object names, if it names any.
    ///
    /// # Errors
    /// Those of `source`.
    pub fn search_path<S: Source>(&self, source: &mut S) -> Result<Option<SearchPath>, S::Error> {
        let Some((offset, bytes)) = self.dynamic else {
            return Ok(None);
        };
        let step = if self.layout.wide { 16 } else { 8 };
        let (mut strings, mut before, mut after) = (None, None, None);
        let mut chunk = [0; 1024];
        let mut position = 0;
        let end = bytes.min(COUNT_MAX * step as u64);
        'table: while position < end {
            let wanted = (end - position).min(chunk.len() as u64) as usize;
            let room = chunk.get_mut(..wanted).unwrap_or_default();
            let length = source.read_at(room, offset.saturating_add(position))?;
            for entry in chunk.get(..length).unwrap_or_default().chunks_exact(step) {
                let (tag, value) = (self.layout.word(entry, 0, 0), self.layout.word(entry, 4, 8));
                match tag {
                    Some(DT_STRTAB) => strings = value,
                    Some(DT_RPATH) => before = value,
                    Some(DT_RUNPATH) => after = value,
                    Some(0) | None => break 'table,
                    Some(_) => {}
                }
            }
            if length < wanted {
                break;
            }
            position += length as u64;
        }
        // An object that has both goes by the later one.
        let Some((place, strings)) = after.or(before).zip(strings) else {
            return Ok(None);
        };
        let Some(start) = self.offset_of(strings) else {
            return Ok(None);
        };
        Ok(Some(SearchPath {
            offset: start.saturating_add(place),
            first: after.is_none(),
        }))
    }

    /// Where in the file an address of the loaded object is.
    fn offset_of(&self, address: u64) -> Option<u64> {
        self.loaded.iter().find_map(|segment| {
            let within = address.checked_sub(segment.address)?;
            (within < segment.bytes).then(|| segment.offset.saturating_add(within))
        })
    }
}
