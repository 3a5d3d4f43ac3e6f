//! Checks the sections beside the tree: roots, owners, attributes, packages, lists.

use super::super::Manifest;
use super::super::annex::Xattrs;
use super::super::error::VerifyError;
use super::super::layout::{
    NAME_BYTES_MAX, NO_TIME_NS, PACKAGE_STRING_BYTES_MAX, ROOT_BYTES, Section, word_at, words,
};
use super::super::rules::mount_is_normal;

/// First word that is no number of nanoseconds.
const SECOND_NS: u32 = 1_000_000_000;

impl Manifest<'_> {
    pub(super) fn verify_tables(&self) -> Result<(), VerifyError> {
        self.verify_mounts()?;
        ascending(self.sparse, Section::Sparse)?;
        self.verify_sparse_reserved()?;
        ascending(self.subdirs, Section::Subdirs)?;
        self.verify_hard_link_groups()?;
        self.verify_xattrs()?;
        self.verify_packages()?;
        self.verify_provenance()?;
        self.verify_source_stats()
    }

    /// Mounts are normal, ascend, and are no more than there are roots.
    fn verify_mounts(&self) -> Result<(), VerifyError> {
        let mut before: Option<&[u8]> = None;
        for number in 0..self.root_count {
            let mount = self.root(number).map(|root| root.mount);
            let mount = mount.filter(|mount| mount_is_normal(mount));
            if mount.is_none() || before.is_some() && mount <= before {
                return Err(wrong(Section::Roots, number));
            }
            // The pool begins where the records end.
            let offset = self.roots.get(number as usize * ROOT_BYTES..);
            let start = word_at(offset.unwrap_or_default(), 0) as usize;
            if start < self.root_count as usize * ROOT_BYTES {
                return Err(wrong(Section::Roots, number));
            }
            before = mount;
        }
        Ok(())
    }

    fn verify_sparse_reserved(&self) -> Result<(), VerifyError> {
        let reserved = self
            .sparse
            .iter()
            .position(|record| word_at(record, 4) != 0);
        reserved.map_or(Ok(()), |record| Err(wrong(Section::Sparse, record as u32)))
    }

    /// Groups cut the list of members into runs of at least two that ascend.
    /// Whether the members know their group, `tree` checks.
    fn verify_hard_link_groups(&self) -> Result<(), VerifyError> {
        if self.hard_links.is_empty() {
            return Ok(());
        }
        let parts = self.hard_link_parts().ok_or(wrong(Section::HardLinks, 0))?;
        ascending(parts.symlinks, Section::HardLinks)?;
        let mut end = 0;
        for (number, group) in (0..).zip(parts.groups) {
            let [first, count] = words(group);
            let members = self.group(number).unwrap_or_default();
            let member = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
            let ascend = members.is_sorted_by(|a, b| member(a) < member(b));
            if first != end || count < 2 || members.len() != count as usize || !ascend {
                return Err(wrong(Section::HardLinks, number));
            }
            end = first.saturating_add(count);
        }
        if parts.groups.is_empty() || end as usize != parts.members.len() {
            return Err(wrong(Section::HardLinks, parts.groups.len() as u32));
        }
        Ok(())
    }

    /// Lists follow each other and fill the section; entries name one of them.
    /// Each list is read once, however many entries have it.
    fn verify_xattrs(&self) -> Result<(), VerifyError> {
        if self.xattrs.is_empty() {
            return Ok(());
        }
        let parts = self.xattr_parts().ok_or(wrong(Section::Xattrs, 0))?;
        if parts.table.is_empty() || parts.starts.is_empty() {
            return Err(wrong(Section::Xattrs, 0));
        }
        ascending(parts.table, Section::Xattrs)?;
        let lists = parts.starts.len() as u32;
        for (record, fields) in (0..).zip(parts.table) {
            if word_at(fields, 4) >= lists {
                return Err(wrong(Section::Xattrs, record));
            }
        }
        let first = parts.starts.first().map(|start| u32::from_le_bytes(*start));
        for number in 0..lists {
            let list = parts.list(number);
            if first != Some(0) || !list.is_some_and(xattr_list_is_sound) {
                return Err(wrong(Section::Xattrs, number));
            }
        }
        Ok(())
    }

    fn verify_packages(&self) -> Result<(), VerifyError> {
        if self.packages.is_empty() {
            return Ok(());
        }
        let mut all = self.packages();
        let count = all.listed();
        if count == 0 || word_at(self.packages, 4) != 0 {
            return Err(wrong(Section::Packages, 0));
        }
        let mut before = None;
        for record in 0..count {
            let package = all.next().map(|found| (found.name, found.version));
            let package = package.filter(|(name, version)| {
                name.len().max(version.len()) <= PACKAGE_STRING_BYTES_MAX
            });
            if package.is_none() || before.is_some() && package <= before {
                return Err(wrong(Section::Packages, record));
            }
            before = package;
        }
        Ok(())
    }

    fn verify_provenance(&self) -> Result<(), VerifyError> {
        let mut lines = self.provenance();
        let (mut before, mut record) = (&[][..], 0);
        for (key, _) in lines.by_ref() {
            if key <= before {
                return Err(wrong(Section::Provenance, record));
            }
            before = key;
            record += 1;
        }
        match lines.rest_bytes() {
            0 => Ok(()),
            _ => Err(wrong(Section::Provenance, record)),
        }
    }

    fn verify_source_stats(&self) -> Result<(), VerifyError> {
        for (record, bytes) in (0..).zip(self.source_stats) {
            let [atime, ctime, btime, _, _, reserved]: [u32; 6] = match bytes.get(40..) {
                Some(tail) => words(tail),
                None => [SECOND_NS; 6],
            };
            let birth_sec_bytes = bytes.get(32..40);
            let no_birth = btime == NO_TIME_NS && birth_sec_bytes == Some(&[0; 8]);
            let in_range = atime < SECOND_NS && ctime < SECOND_NS;
            if !in_range || !(btime < SECOND_NS || no_birth) || reserved != 0 {
                return Err(wrong(Section::SourceStat, record));
            }
        }
        Ok(())
    }
}

const fn wrong(section: Section, record: u32) -> VerifyError {
    VerifyError::Record { section, record }
}

/// The entries that the records start with ascend, each once.
fn ascending<const N: usize>(table: &[[u8; N]], section: Section) -> Result<(), VerifyError> {
    let mut before = None;
    for (record, fields) in (0..).zip(table) {
        let entry = Some(word_at(fields, 0));
        if entry <= before {
            return Err(wrong(section, record));
        }
        before = entry;
    }
    Ok(())
}

/// At least one attribute, all there and nothing else, names valid and ascending.
fn xattr_list_is_sound(mut list: Xattrs<'_>) -> bool {
    let expected = list.left();
    let (mut before, mut found) = (&[][..], 0);
    for (name, _) in list.by_ref() {
        if name <= before || name.len() > NAME_BYTES_MAX || name.contains(&0) {
            return false;
        }
        before = name;
        found += 1;
    }
    found == expected && found != 0 && list.rest_bytes() == 0
}
