//! The bytes of a stat cache: `[header 192 B][records 104 B each][pool]`, little-endian.
//!
//! Records are numbered breadth-first, the children of a directory contiguous and
//! sorted by name, as in a manifest; the pool holds names and symlink targets. The
//! header ends in a checksum of everything else, checked before anything is believed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rapidhash::v3::rapidhash_v3;

use super::Fingerprint;
use crate::stat::{Stat, Time};

pub(super) const HEADER_BYTES: usize = 192;
pub(super) const RECORD_BYTES: usize = 104;
const MAGIC: [u8; 8] = *b"\x89VELOix\n";
const VERSION: u32 = 1;
const CHECKSUM_AT: usize = HEADER_BYTES - 8;

/// Bits of a record's facts; the low byte is [`crate::tree::Facts`].
pub(crate) mod fact {
    use crate::options::Xattrs;

    /// Not racy when it was recorded.
    pub(crate) const TRUSTED: u16 = 0x100;
    /// The extended attributes of `Xattrs::User` were looked for.
    pub(crate) const XATTRS_KNOWN: u16 = 0x200;
    /// Those of `Xattrs::All` were.
    pub(crate) const ALL_XATTRS_KNOWN: u16 = 0x400;

    /// What is set when these attributes were looked for.
    pub(crate) const fn xattrs_known(looked_for: Xattrs) -> u16 {
        match looked_for {
            Xattrs::None => 0,
            Xattrs::User => XATTRS_KNOWN,
            Xattrs::All => ALL_XATTRS_KNOWN,
        }
    }
}

/// Timestamps move in ticks of up to 10 ms.
const TICK: Duration = Duration::from_millis(20);
/// File systems that keep whole seconds (FAT: two).
const COARSE_TICK: Duration = Duration::from_secs(2);

/// A file with these times, read in a scan that began at `began`, is beyond doubt only
/// if it was last touched well before.
pub(crate) fn trust_before(stat: &Stat, began: SystemTime) -> bool {
    let coarse = stat.ctime.nsec == 0;
    let margin = if coarse { COARSE_TICK } else { TICK };
    let Some(limit) = began
        .checked_sub(margin)
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
    else {
        return false;
    };
    let limit = Time {
        sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        nsec: limit.subsec_nanos(),
    };
    stat.ctime < limit && stat.mtime < limit
}

/// The decoded header.
pub(super) struct Header {
    pub(super) entries: u32,
    pub(super) key: [u8; 32],
    pub(super) fingerprint: Fingerprint,
    pub(super) tree: [u8; 32],
}

impl Header {
    /// Writes the header over the first bytes of `file`, whose rest is complete.
    pub(super) fn write(&self, file: &mut [u8]) {
        let bytes = file.len() as u64;
        put(file, 0, &MAGIC);
        put(file, 8, &VERSION.to_le_bytes());
        put(file, 12, &self.entries.to_le_bytes());
        put(file, 16, &bytes.to_le_bytes());
        put(file, 24, &self.key);
        put(file, 56, &self.fingerprint.0);
        put(file, 88, &self.tree);
        let sum = checksum(file);
        put(file, CHECKSUM_AT, &sum.to_le_bytes());
    }

    /// The header of `file` if the whole file is what was written.
    pub(super) fn read(file: &[u8]) -> Option<Self> {
        let fields = Fields(file.get(..HEADER_BYTES)?);
        let known = fields.array::<8>(0)? == MAGIC && fields.u32(8)? == VERSION;
        let whole = fields.u64(16)? == file.len() as u64;
        if !known || !whole || fields.u64(CHECKSUM_AT)? != checksum(file) {
            return None;
        }
        let entries = fields.u32(12)?;
        let records = (entries as usize).checked_mul(RECORD_BYTES)?;
        if entries == 0 || file.len() < HEADER_BYTES.checked_add(records)? {
            return None;
        }
        Some(Self {
            entries,
            key: fields.array(24)?,
            fingerprint: Fingerprint(fields.array(56)?),
            tree: fields.array(88)?,
        })
    }
}

fn checksum(file: &[u8]) -> u64 {
    let (header, body) = file.split_at(HEADER_BYTES.min(file.len()));
    let head = rapidhash_v3(header.get(..CHECKSUM_AT).unwrap_or_default());
    head.rotate_left(1) ^ rapidhash_v3(body)
}

/// One entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record {
    pub(super) hash: [u8; 32],
    pub(super) ino: u64,
    pub(super) dev: u64,
    pub(super) size: u64,
    pub(super) mtime: Time,
    pub(super) ctime: Time,
    pub(super) mode: u32,
    /// Offset in the pool.
    pub(super) name: u32,
    pub(super) name_bytes: u16,
    pub(super) facts: u16,
    /// Directory: first child. Symlink: offset of the target in the pool.
    pub(super) first: u32,
    /// Directory: children. Symlink: bytes of the target.
    pub(super) count: u32,
}

impl Record {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hash);
        for number in [self.ino, self.dev, self.size] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for time in [self.mtime, self.ctime] {
            out.extend_from_slice(&time.sec.to_le_bytes());
        }
        for number in [self.mtime.nsec, self.ctime.nsec, self.mode, self.name] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.name_bytes.to_le_bytes());
        out.extend_from_slice(&self.facts.to_le_bytes());
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
    }

    pub(super) fn read(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        let fields = Fields(bytes);
        let time = |sec: usize, nsec: usize| {
            Some(Time {
                sec: fields.u64(sec)?.cast_signed(),
                nsec: fields.u32(nsec)?,
            })
        };
        Some(Self {
            hash: fields.array(0)?,
            ino: fields.u64(32)?,
            dev: fields.u64(40)?,
            size: fields.u64(48)?,
            mtime: time(56, 72)?,
            ctime: time(64, 76)?,
            mode: fields.u32(80)?,
            name: fields.u32(84)?,
            name_bytes: u16::from_le_bytes(fields.array(88)?),
            facts: u16::from_le_bytes(fields.array(90)?),
            first: fields.u32(92)?,
            count: fields.u32(96)?,
        })
    }

    /// The part of the metadata that is compared.
    pub(super) fn stat(&self) -> Stat {
        Stat {
            ino: self.ino,
            dev: self.dev,
            size: self.size,
            mtime: self.mtime,
            ctime: self.ctime,
            mode: self.mode,
            ..Stat::default()
        }
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at + N)?.try_into().ok()
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }
}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(slot) = file.get_mut(at..at + bytes.len()) {
        slot.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{RECORD_BYTES, Record, trust_before};
    use crate::stat::{Stat, Time};

    #[test]
    fn record_round_trips() {
        let record = Record {
            hash: [7; 32],
            ino: 1 << 60,
            dev: 2,
            size: 3,
            mtime: Time { sec: -4, nsec: 5 },
            ctime: Time { sec: 6, nsec: 7 },
            mode: 8,
            name: 9,
            name_bytes: 255,
            facts: 0x301,
            first: 10,
            count: 11,
        };
        let mut bytes = Vec::new();
        record.write(&mut bytes);
        let bytes: [u8; RECORD_BYTES] = bytes.try_into().unwrap();
        assert_eq!(Record::read(&bytes), Some(record));
    }

    #[test]
    fn what_was_touched_just_now_is_in_doubt() {
        let began = UNIX_EPOCH + Duration::from_secs(1000);
        let at = |sec, nsec| {
            let time = Time { sec, nsec };
            trust_before(
                &Stat {
                    mtime: time,
                    ctime: time,
                    ..Stat::default()
                },
                began,
            )
        };
        assert!(at(999, 900_000_000));
        assert!(!at(999, 990_000_000), "within a tick");
        assert!(!at(1000, 1), "after the scan began");
        assert!(!at(999, 0), "whole seconds: within two of them");
        assert!(at(997, 0));
        let future = Time { sec: 5000, nsec: 1 };
        let past = Time { sec: 5, nsec: 1 };
        let stat = Stat {
            mtime: future,
            ctime: past,
            ..Stat::default()
        };
        assert!(!trust_before(&stat, began), "an mtime from the future");
    }
}
