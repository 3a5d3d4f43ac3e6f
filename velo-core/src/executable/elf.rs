//! The headers of an ELF program (elf(5)), of either class and byte order: which
//! loader starts it, and the marks of runtimes that make system calls themselves.
//!
//! Go: a note of owner `Go`, or a section that its linker names `.go…`; stripped
//! builds keep `.gopclntab`, which the runtime itself needs. Bun: the section `.bun`, or
//! symbols that it exports under a version `BUN_…`.

use super::{Obstacle, Source};

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const PT_NOTE: u64 = 4;
const DT_SONAME: u64 = 14;
const SHT_GNU_VERDEF: u64 = 0x6fff_fffd;
/// Program headers that the kernel accepts: 64 KiB of them at most.
const PROGRAM_HEADERS_MAX: u64 = 65_536 / 32;
/// More dynamic entries or section headers than any real program has.
const COUNT_MAX: u64 = 4096;
/// Bytes of one look at a table; section names of real programs fit.
const CHUNK_BYTES: usize = 2048;

/// The machine an ELF object is for: class (32 or 64 bit), byte order, `e_machine`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Machine {
    class: u8,
    order: u8,
    machine: u16,
}

impl Machine {
    /// The machine that this code was built for.
    pub const OWN: Self = Self {
        class: if cfg!(target_pointer_width = "64") {
            2
        } else {
            1
        },
        order: if cfg!(target_endian = "little") { 1 } else { 2 },
        machine: if cfg!(target_arch = "x86_64") {
            62
        } else if cfg!(target_arch = "aarch64") {
            183
        } else {
            0
        },
    };
}

/// Where a program names its loader (`PT_INTERP`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interpreter {
    /// Offset in the file.
    pub offset: u64,
    /// Bytes, with the NUL at their end.
    pub bytes: u64,
}

/// An ELF program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Elf {
    /// What it runs on.
    pub machine: Machine,
    /// Its loader, if one starts it.
    pub interpreter: Option<Interpreter>,
    runtime: Option<Obstacle>,
    pub(super) layout: Layout,
    /// Offset and bytes of what the loader reads (`PT_DYNAMIC`).
    pub(super) dynamic: Option<(u64, u64)>,
    pub(super) loaded: [Loaded; LOADED_MAX],
}

/// Segments that are looked at to turn an address into an offset; the strings of the
/// loader are in one of the first, or in one that a tool has added.
const LOADED_MAX: usize = 8;

/// What of the file is mapped where (`PT_LOAD`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Loaded {
    pub(super) address: u64,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

impl Elf {
    /// Why a library for `machine` (unknown: any) would not serve it.
    #[must_use]
    pub fn obstacle(&self, machine: Option<Machine>) -> Option<Obstacle> {
        self.runtime.or_else(|| {
            machine
                .filter(|wanted| *wanted != self.machine)
                .map(|_| Obstacle::Machine)
        })
    }
}

/// Reads fields of either class and byte order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Layout {
    pub(super) wide: bool,
    big_endian: bool,
}

impl Layout {
    fn number(self, bytes: &[u8], offset: usize, width: usize) -> Option<u64> {
        let field = bytes.get(offset..offset.checked_add(width)?)?;
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if self.big_endian {
            field.iter().fold(0, fold)
        } else {
            field.iter().rev().fold(0, fold)
        })
    }

    /// A field that is as wide as an address, at its offset in either class.
    pub(super) fn word(self, bytes: &[u8], offset_32: usize, offset_64: usize) -> Option<u64> {
        if self.wide {
            self.number(bytes, offset_64, 8)
        } else {
            self.number(bytes, offset_32, 4)
        }
    }

    /// A 2-byte field of the file's header.
    fn half(self, head: &[u8], offset_32: usize, offset_64: usize) -> Option<u64> {
        self.number(head, if self.wide { offset_64 } else { offset_32 }, 2)
    }
}

/// A file whose first bytes are at hand already.
struct Reader<'r, S> {
    source: &'r mut S,
    head: &'r [u8],
}

impl<S: Source> Reader<'_, S> {
    /// Fills `buffer`; the number of bytes that the file has there.
    fn read(&mut self, buffer: &mut [u8], offset: u64) -> Result<usize, S::Error> {
        let at_hand = usize::try_from(offset)
            .ok()
            .and_then(|start| self.head.get(start..start.checked_add(buffer.len())?));
        match at_hand {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                Ok(bytes.len())
            }
            None => self.source.read_at(buffer, offset),
        }
    }
}

/// `None` when the headers make no sense.
pub(super) fn read<S: Source>(source: &mut S, head: &[u8]) -> Result<Option<Elf>, S::Error> {
    let (Some(&class), Some(&order)) = (head.get(4), head.get(5)) else {
        return Ok(None);
    };
    let layout = Layout {
        wide: class == 2,
        big_endian: order == 2,
    };
    let fields = (
        layout.number(head, 18, 2),
        layout.word(head, 28, 32),
        layout.half(head, 42, 54),
        layout.half(head, 44, 56),
    );
    let (Some(machine), Some(table), Some(entry_bytes), Some(count)) = fields else {
        return Ok(None);
    };
    let machine = Machine {
        class,
        order,
        machine: machine as u16,
    };
    let mut header = [0; 56];
    let Some(header) = header.get_mut(..if layout.wide { 56 } else { 32 }) else {
        return Ok(None);
    };
    if entry_bytes != header.len() as u64 || count == 0 || count > PROGRAM_HEADERS_MAX {
        return Ok(None);
    }
    let mut reader = Reader { source, head };
    let (mut interpreter, mut dynamic, mut runtime) = (None, None, None);
    let mut loaded = [Loaded::default(); LOADED_MAX];
    let mut rooms = loaded.iter_mut();
    for position in 0..count {
        let Some(offset) = table.checked_add(position * entry_bytes) else {
            return Ok(None);
        };
        if reader.read(header, offset)? < header.len() {
            return Ok(None);
        }
        let segment = layout.word(header, 4, 8).zip(layout.word(header, 16, 32));
        match (layout.number(header, 0, 4), segment) {
            (Some(PT_INTERP), Some((offset, bytes))) if interpreter.is_none() => {
                interpreter = Some(Interpreter { offset, bytes });
            }
            (Some(PT_DYNAMIC), segment) => dynamic = segment,
            (Some(PT_LOAD), Some((offset, bytes))) => {
                let address = layout.word(header, 8, 16).unwrap_or(0);
                if let Some(room) = rooms.next() {
                    *room = Loaded {
                        address,
                        offset,
                        bytes,
                    };
                }
            }
            (Some(PT_NOTE), Some((offset, bytes))) if runtime.is_none() => {
                runtime = has_go_note(&mut reader, layout, offset, bytes)?.then_some(Obstacle::Go);
            }
            _ => {}
        }
    }
    if runtime.is_none() {
        runtime = runtime_by_sections(&mut reader, layout)?;
    }
    if runtime.is_none() && interpreter.is_none() {
        // The loader itself, run as a command, has no PT_INTERP and honours LD_PRELOAD.
        let is_loader = match dynamic {
            Some((offset, bytes)) => has_soname(&mut reader, layout, offset, bytes)?,
            None => false,
        };
        runtime = (!is_loader).then_some(Obstacle::Static);
    }
    Ok(Some(Elf {
        machine,
        interpreter,
        runtime,
        layout,
        dynamic,
        loaded,
    }))
}

/// Whether one of the notes in a segment is the Go linker's build id.
fn has_go_note<S: Source>(
    reader: &mut Reader<'_, S>,
    layout: Layout,
    offset: u64,
    bytes: u64,
) -> Result<bool, S::Error> {
    let mut buffer = [0; 512];
    let wanted = (bytes as usize).min(buffer.len());
    let Some(buffer) = buffer.get_mut(..wanted) else {
        return Ok(false);
    };
    let length = reader.read(buffer, offset)?;
    let mut rest = buffer.get(..length).unwrap_or(&[]);
    // Sizes of name and content, a type, then both, each padded to 4 bytes.
    while let (Some(name), Some(content)) = (layout.number(rest, 0, 4), layout.number(rest, 4, 4)) {
        let body = rest.get(12..).unwrap_or(&[]);
        if name == 4 && body.starts_with(b"Go\0\0") {
            return Ok(true);
        }
        let skip = (name as usize).next_multiple_of(4) + (content as usize).next_multiple_of(4);
        rest = body.get(skip..).unwrap_or(&[]);
    }
    Ok(false)
}

/// The runtime that the names of the sections give away.
fn runtime_by_sections<S: Source>(
    reader: &mut Reader<'_, S>,
    layout: Layout,
) -> Result<Option<Obstacle>, S::Error> {
    let head = reader.head;
    let fields = (
        layout.word(head, 32, 40),
        layout.half(head, 46, 58),
        layout.half(head, 48, 60),
        layout.half(head, 50, 62),
    );
    let (Some(table), Some(entry_bytes), Some(count), Some(names)) = fields else {
        return Ok(None);
    };
    let sections = Sections {
        table,
        entry_bytes,
        count: count.min(COUNT_MAX),
    };
    let Some(names) = sections.get(reader, layout, names)? else {
        return Ok(None);
    };
    let mut buffer = [0; CHUNK_BYTES];
    let wanted = names.bytes.min(CHUNK_BYTES as u64) as usize;
    let Some(buffer) = buffer.get_mut(..wanted) else {
        return Ok(None);
    };
    let length = reader.read(buffer, names.offset)?;
    let mut has_versions = false;
    for name in buffer.get(..length).unwrap_or(&[]).split(|byte| *byte == 0) {
        match name {
            b".go.buildinfo" | b".gopclntab" | b".note.go.buildid" => {
                return Ok(Some(Obstacle::Go));
            }
            b".bun" => return Ok(Some(Obstacle::Bun)),
            b".gnu.version_d" => has_versions = true,
            _ => {}
        }
    }
    if has_versions && exports_as_bun(reader, layout, sections)? {
        return Ok(Some(Obstacle::Bun));
    }
    Ok(None)
}

/// One section header.
struct Section {
    kind: u64,
    offset: u64,
    bytes: u64,
    /// Number of the section that this one refers to.
    link: u64,
}

/// The section headers of a file.
#[derive(Clone, Copy)]
struct Sections {
    table: u64,
    entry_bytes: u64,
    count: u64,
}

impl Sections {
    /// One of them; `None` past the last.
    fn get<S: Source>(
        self,
        reader: &mut Reader<'_, S>,
        layout: Layout,
        number: u64,
    ) -> Result<Option<Section>, S::Error> {
        let mut header = [0; 64];
        let Some(header) = header.get_mut(..if layout.wide { 64 } else { 40 }) else {
            return Ok(None);
        };
        let at = number
            .checked_mul(self.entry_bytes)
            .and_then(|skip| skip.checked_add(self.table))
            .filter(|_| number < self.count && self.entry_bytes == header.len() as u64);
        let Some(at) = at else {
            return Ok(None);
        };
        if reader.read(header, at)? < header.len() {
            return Ok(None);
        }
        let kind = layout.number(header, 4, 4);
        let place = layout.word(header, 16, 24).zip(layout.word(header, 20, 32));
        let link = layout.number(header, if layout.wide { 40 } else { 24 }, 4);
        Ok(match (kind, place, link) {
            (Some(kind), Some((offset, bytes)), Some(link)) => Some(Section {
                kind,
                offset,
                bytes,
                link,
            }),
            _ => None,
        })
    }
}

/// Whether a version that the program defines for its symbols is one of Bun's. The
/// first one is the program's own name, so a few are looked at.
fn exports_as_bun<S: Source>(
    reader: &mut Reader<'_, S>,
    layout: Layout,
    sections: Sections,
) -> Result<bool, S::Error> {
    const VERSIONS_MAX: usize = 8;
    let mut definitions = None;
    for number in 0..sections.count {
        match sections.get(reader, layout, number)? {
            Some(section) if section.kind == SHT_GNU_VERDEF => {
                definitions = sections
                    .get(reader, layout, section.link)?
                    .map(|strings| (section.offset, strings.offset));
                break;
            }
            Some(_) => {}
            None => break,
        }
    }
    let Some((mut at, strings)) = definitions else {
        return Ok(false);
    };
    for _ in 0..VERSIONS_MAX {
        // Verdef: its first name record at byte 12, the next definition at byte 16.
        let mut definition = [0; 20];
        let mut record = [0; 4];
        let mut name = [0; 4];
        if reader.read(&mut definition, at)? < definition.len() {
            break;
        }
        let offsets = layout
            .number(&definition, 12, 4)
            .zip(layout.number(&definition, 16, 4));
        let Some((names, next)) = offsets else {
            break;
        };
        if reader.read(&mut record, at.saturating_add(names))? < record.len() {
            break;
        }
        let text = layout.number(&record, 0, 4).unwrap_or(0);
        if reader.read(&mut name, strings.saturating_add(text))? == name.len() && &name == b"BUN_" {
            return Ok(true);
        }
        if next == 0 {
            break;
        }
        at = at.saturating_add(next);
    }
    Ok(false)
}

fn has_soname<S: Source>(
    reader: &mut Reader<'_, S>,
    layout: Layout,
    offset: u64,
    bytes: u64,
) -> Result<bool, S::Error> {
    let step = if layout.wide { 16 } else { 8 };
    let mut entry = [0; 16];
    let Some(entry) = entry.get_mut(..step) else {
        return Ok(false);
    };
    for position in 0..(bytes / step as u64).min(COUNT_MAX) {
        let at = offset.saturating_add(position * step as u64);
        if reader.read(entry, at)? < step {
            break;
        }
        match layout.word(entry, 0, 0) {
            Some(DT_SONAME) => return Ok(true),
            Some(0) | None => break,
            Some(_) => {}
        }
    }
    Ok(false)
}
