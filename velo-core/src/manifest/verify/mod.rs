//! Everything that can be wrong with a manifest, looked for.
//!
//! What passes is what the writer could have written: every path is found, every index
//! is in range, every derived field (directory hashes, link counts, flags) is true.
//! Linear but for the depth of paths; needs no memory but one path on the stack.
//!
//! `tree` checks the entries, `tables` the sections beside them, `modules` that of Python's modules. Later checks rely on
//! earlier ones, entries on those with a lower index.

mod modules;
mod tables;
mod tree;

use super::Manifest;
use super::error::VerifyError;
use super::layout::HEADER_BYTES;
use rapidhash::v3::rapidhash_v3;

impl Manifest<'_> {
    /// Checks everything: checksum, digest, and that the body means a tree.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn verify(&self) -> Result<(), VerifyError> {
        let header = self.header();
        let found = rapidhash_v3(self.body());
        if found != header.body_checksum {
            return Err(VerifyError::BodyChecksum {
                expected: header.body_checksum,
                found,
            });
        }
        if *blake3::hash(self.body()).as_bytes() != header.body_digest {
            return Err(VerifyError::BodyDigest);
        }
        self.verify_padding()?;
        self.verify_tables()?;
        self.verify_tree()?;
        self.verify_modules()
    }

    /// Between sections there are zeros.
    fn verify_padding(&self) -> Result<(), VerifyError> {
        let mut end = HEADER_BYTES as u64;
        let last = (0, self.bytes.len() as u64, 0);
        for (_, offset, bytes) in self.sections().chain([last]) {
            let gap = self.bytes.get(end as usize..offset as usize);
            let wrong = gap.unwrap_or_default().iter().position(|byte| *byte != 0);
            if let Some(wrong) = wrong {
                return Err(VerifyError::Padding {
                    offset: end + wrong as u64,
                });
            }
            end = offset + bytes;
        }
        Ok(())
    }
}
