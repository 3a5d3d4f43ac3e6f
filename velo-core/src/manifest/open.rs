//! Opening: everything that makes the later accesses safe, checked once.
//!
//! O(number of sections), no allocation. The body is not read: `checksum_matches`
//! reads it once, `verify` understands it.

use super::Manifest;
use super::error::OpenError;
use super::layout::{
    ENDIAN, ENTRIES_MAX, HEADER_BYTES, MAGIC, ROOT_BYTES, SECTION_ENTRY_BYTES, SECTIONS_MAX,
    Section, VERSION, align_up, at, feature, long_at, word_at,
};
use super::modules::Table;
use super::phf::Phf;
use rapidhash::v3::rapidhash_v3;

/// The fields of the header that a reader may want.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Version of the format.
    pub version: u32,
    /// Features that a reader may ignore.
    pub feature_compat: u64,
    /// Features that a reader may ignore as long as it derives no new manifest.
    pub feature_ro_compat: u64,
    /// Features without which nothing can be read right.
    pub feature_incompat: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Number of entries, roots included.
    pub entry_count: u32,
    /// Number of roots: entries 0 to `root_count - 1`.
    pub root_count: u32,
    /// rapidhash v3 of everything behind the header.
    pub body_checksum: u64,
    /// BLAKE3 of everything behind the header.
    pub body_digest: [u8; 32],
}

impl<'a> Manifest<'a> {
    /// Opens the manifest that `bytes` are, the whole file.
    ///
    /// Checks the header against its checksum and every section against the file's
    /// bounds, not the body. Whatever the body holds, no reader function panics,
    /// reads out of bounds or fails to return.
    ///
    /// # Errors
    /// Says what was expected and what was found instead.
    pub fn open(bytes: &'a [u8]) -> Result<Self, OpenError> {
        let header_bytes = header_of(bytes)?;
        let header = Header::from_bytes(header_bytes);
        let unknown = header.feature_incompat & !feature::INCOMPAT_KNOWN;
        if unknown != 0 {
            return Err(OpenError::Features { unknown });
        }
        let found_bytes = bytes.len() as u64;
        if header.file_bytes != found_bytes {
            return Err(OpenError::Length {
                expected_bytes: header.file_bytes,
                found_bytes,
            });
        }
        let (roots, entries) = (header.root_count, header.entry_count);
        if roots == 0 || entries < roots || entries > ENTRIES_MAX {
            return Err(OpenError::Counts { roots, entries });
        }

        let found = Sections::find(bytes, header_bytes)?;
        let phf = Phf::parse(found.required(Section::Phf)?).ok_or(OpenError::Phf)?;
        Ok(Self {
            bytes,
            header: header_bytes,
            root_count: roots,
            unslotted: header.feature_incompat & feature::UNSLOTTED != 0,
            phf,
            slots: found.exactly(Section::Slots, phf.slot_count())?,
            vnodes: found.exactly(Section::Vnodes, entries)?,
            nodes: found.exactly(Section::Nodes, entries)?,
            names: found.get(Section::Names),
            owners: found.records(Section::Owners)?,
            targets: found.get(Section::Targets),
            hard_links: found.get(Section::HardLinks),
            xattrs: found.get(Section::Xattrs),
            roots: found.at_least(Section::Roots, roots as usize * ROOT_BYTES)?,
            packages: found.get(Section::Packages),
            provenance: found.get(Section::Provenance),
            source_stats: match found.get(Section::SourceStat) {
                [] => &[],
                _ => found.exactly(Section::SourceStat, entries)?,
            },
            sparse: found.records(Section::Sparse)?,
            subdirs: found.records(Section::Subdirs)?,
            modules: match found.get(Section::Modules) {
                [] => &[],
                section => Table::parse(section)
                    .map(|_| section)
                    .ok_or(found.size_error(Section::Modules))?,
            },
        })
    }

    /// The header's fields.
    #[must_use]
    pub fn header(&self) -> Header {
        Header::from_bytes(self.header)
    }

    /// BLAKE3 of everything behind the header: what the view tree is named after.
    #[must_use]
    #[inline]
    pub fn body_digest(&self) -> &'a [u8; 32] {
        let found = self.header.get(at::BODY_DIGEST..);
        // The header is long enough by its type; the other arm is never taken.
        found
            .and_then(|rest| rest.first_chunk())
            .unwrap_or(&[0; 32])
    }

    /// Whether the body has the checksum that the header says: one pass over it.
    #[must_use]
    pub fn checksum_matches(&self) -> bool {
        rapidhash_v3(self.body()) == self.header().body_checksum
    }

    /// The file as it was given to [`Manifest::open`].
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Everything behind the header.
    pub(super) fn body(&self) -> &'a [u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }

    /// The sections of the file in their order: kind (see [`Section::from_kind`]),
    /// offset and length in bytes.
    pub fn sections(&self) -> impl Iterator<Item = (u32, u64, u64)> + use<'a> {
        let all = places(self.header).iter();
        let all = all.map(|place| (word_at(place, 0), long_at(place, 8), long_at(place, 16)));
        all.take_while(|(kind, ..)| *kind != 0)
    }
}

impl Header {
    /// The header that the file begins with whose first [`HEADER_BYTES`] these are.
    ///
    /// # Errors
    /// As [`Manifest::open`], as far as the header tells.
    pub fn of(bytes: &[u8]) -> Result<Self, OpenError> {
        header_of(bytes).map(Self::from_bytes)
    }

    fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Self {
        let digest = bytes.get(at::BODY_DIGEST..);
        let digest = digest.and_then(|rest| rest.first_chunk().copied());
        Self {
            version: word_at(bytes, at::VERSION),
            feature_compat: long_at(bytes, at::FEATURE_COMPAT),
            feature_ro_compat: long_at(bytes, at::FEATURE_RO_COMPAT),
            feature_incompat: long_at(bytes, at::FEATURE_INCOMPAT),
            file_bytes: long_at(bytes, at::FILE_BYTES),
            entry_count: word_at(bytes, at::ENTRY_COUNT),
            root_count: word_at(bytes, at::ROOT_COUNT),
            body_checksum: long_at(bytes, at::BODY_CHECKSUM),
            body_digest: digest.unwrap_or_default(),
        }
    }
}

/// The header, if the file starts with one of this version that is whole.
fn header_of(bytes: &[u8]) -> Result<&[u8; HEADER_BYTES], OpenError> {
    if bytes.is_empty() {
        return Err(OpenError::Empty);
    }
    let mut start = [0; 8];
    for (slot, byte) in start.iter_mut().zip(bytes) {
        *slot = *byte;
    }
    if !MAGIC.starts_with(bytes) && start != MAGIC {
        return Err(OpenError::NotManifest { found: start });
    }
    let truncated = OpenError::HeaderTruncated {
        found_bytes: bytes.len() as u64,
    };
    let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(truncated)?;
    let endian = word_at(header, at::ENDIAN);
    if endian != ENDIAN {
        return Err(OpenError::Endian { found: endian });
    }
    let version = word_at(header, at::VERSION);
    if version != VERSION {
        return Err(OpenError::Version { found: version });
    }
    let expected = long_at(header, at::HEADER_CHECKSUM);
    let found = rapidhash_v3(header.get(..at::HEADER_CHECKSUM).unwrap_or_default());
    if expected != found {
        return Err(OpenError::HeaderChecksum { expected, found });
    }
    Ok(header)
}

/// The places of the section table.
fn places(header: &[u8; HEADER_BYTES]) -> &[[u8; SECTION_ENTRY_BYTES]] {
    let table = header.get(at::SECTIONS..at::HEADER_CHECKSUM);
    table.unwrap_or_default().as_chunks().0
}

/// The bytes of each known section, by kind; empty where there is none.
struct Sections<'a>([&'a [u8]; Section::ALL.len() + 1]);

impl<'a> Sections<'a> {
    /// Kinds ascend; the sections stand back to back but for the padding, and so does
    /// the end of the file. So no two overlap and none leaves the file. Unknown kinds
    /// are compatible additions and skipped.
    fn find(bytes: &'a [u8], header: &[u8; HEADER_BYTES]) -> Result<Self, OpenError> {
        let mut found = [&[][..]; Section::ALL.len() + 1];
        let (mut kind_before, mut end) = (0, HEADER_BYTES as u64);
        let mut ended = false;
        for (place, fields) in (0..).zip(places(header)) {
            let error = OpenError::Table { place };
            if fields.iter().all(|byte| *byte == 0) {
                ended = true;
                continue;
            }
            let (kind, reserved) = (word_at(fields, 0), word_at(fields, 4));
            let (offset, length) = (long_at(fields, 8), long_at(fields, 16));
            let in_order = !ended && kind > kind_before && reserved == 0;
            if !in_order || offset != end || length == 0 {
                return Err(error);
            }
            let stop = offset.checked_add(length).ok_or(error)?;
            let range = usize::try_from(offset).ok().zip(usize::try_from(stop).ok());
            let section = range.and_then(|(start, stop)| bytes.get(start..stop));
            let section = section.ok_or(error)?;
            let known = Section::from_kind(kind);
            if let Some(slot) = known.and_then(|known| found.get_mut(known as usize)) {
                *slot = section;
            }
            kind_before = kind;
            end = align_up(stop).ok_or(error)?;
        }
        if end == bytes.len() as u64 {
            Ok(Self(found))
        } else {
            Err(OpenError::Table {
                place: SECTIONS_MAX as u32,
            })
        }
    }

    fn get(&self, section: Section) -> &'a [u8] {
        self.0.get(section as usize).copied().unwrap_or_default()
    }

    fn required(&self, section: Section) -> Result<&'a [u8], OpenError> {
        match self.get(section) {
            [] => Err(OpenError::SectionMissing { section }),
            found => Ok(found),
        }
    }

    fn at_least(&self, section: Section, bytes: usize) -> Result<&'a [u8], OpenError> {
        let found = self.required(section)?;
        if found.len() >= bytes {
            Ok(found)
        } else {
            Err(self.size_error(section))
        }
    }

    /// The section as records of `N` bytes each.
    fn records<const N: usize>(&self, section: Section) -> Result<&'a [[u8; N]], OpenError> {
        match self.get(section).as_chunks() {
            (records, []) => Ok(records),
            _ => Err(self.size_error(section)),
        }
    }

    fn exactly<const N: usize>(
        &self,
        section: Section,
        count: u32,
    ) -> Result<&'a [[u8; N]], OpenError> {
        self.required(section)?;
        let records = self.records(section)?;
        if records.len() == count as usize {
            Ok(records)
        } else {
            Err(self.size_error(section))
        }
    }

    fn size_error(&self, section: Section) -> OpenError {
        OpenError::SectionSize {
            section,
            found_bytes: self.get(section).len() as u64,
        }
    }
}
