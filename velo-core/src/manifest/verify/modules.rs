//! Checks the table of Python's modules: it has what the names say, and nothing else.

use super::super::Manifest;
use super::super::error::VerifyError;
use super::super::layout::{Section, word_at};
use super::super::modules::{Module, Table, module_of};

impl Manifest<'_> {
    /// Records are sorted, each is what the writer would make of its name, and none is missing: as many names were
    /// found in the tree.
    pub(super) fn verify_modules(&self) -> Result<(), VerifyError> {
        if self.modules.is_empty() {
            return Ok(());
        }
        let wrong = |record: usize| VerifyError::Record {
            section: Section::Modules,
            record: record as u32,
        };
        let table = Table::parse(self.modules).ok_or(wrong(0))?;
        self.verify_buckets(&table).map_err(wrong)?;
        let mut before = None;
        for (number, bytes) in table.records.iter().enumerate() {
            let module = Module::from_bytes(bytes);
            let order = Some((module.hash, module.place));
            let name = self.name(module.place).unwrap_or_default();
            let tail = name.split(|byte| *byte == b'.').next().unwrap_or_default();
            let directory = self.parent(module.place).ok_or(wrong(number))?;
            if order <= before || self.module_by_names(directory, tail) != Some(module) {
                return Err(wrong(number));
            }
            before = order;
        }
        self.verify_all_listed(&table).map_err(wrong)
    }

    /// The starts cut the records where the buckets' numbers change. Fails with a record's number.
    fn verify_buckets(&self, table: &Table) -> Result<(), usize> {
        let mut next = 0;
        for bucket in 0..table.starts.len() {
            let start = word_at(table.starts.as_flattened(), bucket * 4) as usize;
            let records = table.in_bucket(bucket);
            let strays = records
                .iter()
                .any(|record| table.bucket(Module::from_bytes(record).hash) != bucket);
            if start != next || strays {
                return Err(next);
            }
            next += records.len();
        }
        let right = super::super::modules::bucket_bits(table.records.len()) == table.bucket_bits;
        if next == table.records.len() && right {
            Ok(())
        } else {
            Err(next)
        }
    }

    /// Whatever can be imported has a record, and something besides directories does.
    fn verify_all_listed(&self, table: &Table) -> Result<(), usize> {
        let mut has_module = false;
        for entry in self.root_count..self.entry_count() {
            let (Some(vnode), Some(name)) = (self.vnode(entry), self.name(entry)) else {
                continue;
            };
            let plain = !name.contains(&b'.') && !vnode.is_file();
            let tail = match module_of(name).filter(|_| !vnode.is_dir()) {
                Some((tail, _)) => {
                    has_module |= vnode.is_file();
                    tail
                }
                None if plain => name,
                None => continue,
            };
            let directory = self.parent(entry).unwrap_or_default();
            if self.module_in(table, directory, tail).is_none() {
                return Err(table.records.len());
            }
        }
        if has_module { Ok(()) } else { Err(0) }
    }
}
