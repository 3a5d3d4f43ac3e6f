//! Python modules: which name in which directory is a package, a module or neither, in one lookup.
//!
//! What `importlib`'s FileFinder learns by listing a directory and asking for up to ten names, the table has as one
//! record for each name that can be imported from a directory. Which files count depends on the interpreter only
//! where extension modules do: the record says that there are some, and their names are looked up.
//!
//! Never a wrong answer: a record is believed only after its entry's name and parent were compared, and whatever
//! takes a look outside of the manifest (symlinks) is [`Finding::Unsure`].

use super::Manifest;
use super::layout::{MODULE_BYTES, MODULES_HEAD_BYTES, NAME_BYTES_MAX, NO_SOURCE, words};
use crate::vnode::VnodeEntry;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

/// What a record says.
pub(super) mod flag {
    /// `place` is a directory of that name, else the first file of the module.
    pub const DIRECTORY: u32 = 1;
    /// The directory has `__init__.py`, which is `source`.
    pub const INIT_SOURCE: u32 = 2;
    /// The directory has `__init__.pyc`.
    pub const INIT_BYTECODE: u32 = 4;
    /// The directory has `__init__.*so`.
    pub const INIT_EXTENSION: u32 = 8;
    /// There is `NAME.py`, which is `source` without `INIT_SOURCE`.
    pub const SOURCE: u32 = 16;
    /// There is `NAME.pyc`.
    pub const BYTECODE: u32 = 32;
    /// There is `NAME.*so`.
    pub const EXTENSION: u32 = 64;
    /// A symlink has one of these names: the file system has to be asked.
    pub const SYMLINK: u32 = 128;
}

/// What makes a directory a package, without its suffix.
pub(super) const INIT: &[u8] = b"__init__";
const SOURCE_SUFFIX: &[u8] = b".py";
const BYTECODE_SUFFIX: &[u8] = b".pyc";
const EXTENSION_SUFFIX: &[u8] = b".so";
/// Where bytecode stands, beside its source.
const CACHE_DIRECTORY: &[u8] = b"__pycache__";

/// What a file is to the import system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Source.
    Source,
    /// Bytecode without source.
    Bytecode,
    /// An extension module, with the position of its suffix among those that were asked for.
    Extension(u32),
}

/// What `NAME` is in a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finding {
    /// The manifest has no table, or the answer depends on what a symlink leads to.
    Unsure,
    /// Nothing that can be imported.
    Absent,
    /// A directory that is no package: a portion of a namespace package.
    Namespace {
        /// The directory.
        directory: u32,
    },
    /// A module, or a package.
    Module {
        /// The package's directory; `None` of a plain module.
        package: Option<u32>,
        /// What the file is.
        form: Form,
        /// The file.
        file: u32,
    },
}

/// A record of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Module {
    pub hash: u32,
    pub flags: u32,
    pub place: u32,
    pub source: u32,
}

impl Module {
    #[inline]
    pub(super) fn from_bytes(bytes: &[u8; MODULE_BYTES]) -> Self {
        let [hash, flags, place, source] = words(bytes);
        Self {
            hash,
            flags,
            place,
            source,
        }
    }

    #[inline]
    const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// The name that a module in a file of this name has, and the flag of such a file.
#[inline]
pub(super) fn module_of(name: &[u8]) -> Option<(&[u8], u32)> {
    let dot = name.iter().position(|byte| *byte == b'.')?;
    let (tail, suffix) = name.split_at_checked(dot)?;
    let flag = match suffix {
        SOURCE_SUFFIX => flag::SOURCE,
        BYTECODE_SUFFIX => flag::BYTECODE,
        _ if suffix.ends_with(EXTENSION_SUFFIX) => flag::EXTENSION,
        _ => return None,
    };
    (!tail.is_empty()).then_some((tail, flag))
}

/// The flag of the same file if it is called `__init__`.
pub(super) const fn in_package(flag: u32) -> u32 {
    match flag {
        flag::SOURCE => flag::INIT_SOURCE,
        flag::BYTECODE => flag::INIT_BYTECODE,
        _ => flag::INIT_EXTENSION,
    }
}

/// What records are found by: of the name, with the directory's number as the seed.
#[inline]
pub(super) fn hash_of(directory: u32, tail: &[u8]) -> u32 {
    (rapidhash_v3_seeded(tail, &RapidSecrets::seed_cpp(directory.into())) >> 32) as u32
}

/// Bits of a bucket's number in a table of so many records: up to four of them in a bucket, on average.
pub(super) const fn bucket_bits(records: usize) -> u32 {
    let buckets = records.div_ceil(4);
    if buckets <= 1 {
        0
    } else {
        (buckets - 1).ilog2() + 1
    }
}

/// The table, cut up.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    /// Where each bucket starts among the records; it ends where the next one does.
    pub starts: &'a [[u8; 4]],
    pub records: &'a [[u8; MODULE_BYTES]],
    pub bucket_bits: u32,
}

impl<'a> Table<'a> {
    /// `None` if the numbers do not fit the section.
    #[inline]
    pub(super) fn parse(section: &'a [u8]) -> Option<Self> {
        let (head, rest) = section.split_first_chunk::<MODULES_HEAD_BYTES>()?;
        let [records, bucket_bits] = words(head);
        let buckets = 1_usize
            .checked_shl(bucket_bits)
            .filter(|_| bucket_bits < 32)?;
        let (starts, rest) = rest.split_at_checked(buckets.checked_mul(4)?)?;
        let whole = rest.len() == (records as usize).checked_mul(MODULE_BYTES)?;
        whole.then_some(Self {
            starts: starts.as_chunks().0,
            records: rest.as_chunks().0,
            bucket_bits,
        })
    }

    /// The bucket that a hash belongs to.
    #[inline]
    pub(super) const fn bucket(&self, hash: u32) -> usize {
        (hash as u64 >> (32 - self.bucket_bits)) as usize
    }

    /// The records of a bucket; none if the table contradicts itself.
    #[inline]
    pub(super) fn in_bucket(&self, bucket: usize) -> &'a [[u8; MODULE_BYTES]] {
        let start = |bucket: usize| {
            self.starts
                .get(bucket)
                .map(|start| u32::from_le_bytes(*start))
        };
        let Some(first) = start(bucket) else {
            return &[];
        };
        let end = start(bucket + 1).map_or(self.records.len(), |end| end as usize);
        self.records.get(first as usize..end).unwrap_or_default()
    }
}

impl<'a> Manifest<'a> {
    /// Whether the manifest says which Python modules there are.
    #[must_use]
    pub const fn has_modules(&self) -> bool {
        !self.modules.is_empty()
    }

    /// What `name` is in directory `directory`, for an interpreter whose extension modules have these suffixes, the
    /// first ones before the others. All end in `.so`.
    #[must_use]
    pub fn find_module<'s>(
        &self,
        directory: u32,
        name: &[u8],
        suffixes: impl Iterator<Item = &'s [u8]> + Clone,
    ) -> Finding {
        let Some(table) = Table::parse(self.modules) else {
            return Finding::Unsure;
        };
        if name.is_empty() || name.contains(&b'.') {
            return Finding::Unsure;
        }
        let Some(module) = self.module_in(&table, directory, name) else {
            return Finding::Absent;
        };
        if module.has(flag::SYMLINK) {
            return Finding::Unsure;
        }
        let found = |package: Option<u32>, form, file| Finding::Module {
            package,
            form,
            file,
        };
        let package = Some(module.place).filter(|_| module.has(flag::DIRECTORY));
        if let Some(place) = package {
            if module.has(flag::INIT_EXTENSION)
                && let Some((form, file)) = self.extension(place, INIT, suffixes.clone())
            {
                return found(package, form, file);
            }
            if module.has(flag::INIT_SOURCE) {
                return found(package, Form::Source, module.source);
            }
            if module.has(flag::INIT_BYTECODE)
                && let Some(file) = self.file_in(place, INIT, BYTECODE_SUFFIX)
            {
                return found(package, Form::Bytecode, file);
            }
        }
        if module.has(flag::EXTENSION)
            && let Some((form, file)) = self.extension(directory, name, suffixes)
        {
            return found(None, form, file);
        }
        if module.has(flag::SOURCE) {
            return found(None, Form::Source, module.source);
        }
        if module.has(flag::BYTECODE)
            && let Some(file) = self.file_in(directory, name, BYTECODE_SUFFIX)
        {
            return found(None, Form::Bytecode, file);
        }
        package.map_or(Finding::Absent, |directory| Finding::Namespace {
            directory,
        })
    }

    /// The bytecode of a source for an interpreter whose files are called `NAME.TAG.pyc`; none if it is a symlink.
    #[must_use]
    pub fn bytecode_of(&self, source: u32, tag: &[u8]) -> Option<u32> {
        let name = self.name(source)?.strip_suffix(SOURCE_SUFFIX)?;
        let cache = self.child(self.parent(source)?, CACHE_DIRECTORY)?;
        let mut buffer = [0; NAME_BYTES_MAX];
        let file = self.child(
            cache,
            joined(&[name, b".", tag, BYTECODE_SUFFIX], &mut buffer)?,
        )?;
        self.vnode(file).filter(VnodeEntry::is_file).map(|_| file)
    }

    /// The record of a name in a directory.
    #[inline]
    pub(super) fn module_in(&self, table: &Table, directory: u32, name: &[u8]) -> Option<Module> {
        let hash = hash_of(directory, name);
        let records = table.in_bucket(table.bucket(hash)).iter();
        records
            .map(Module::from_bytes)
            .find(|module| module.hash == hash && self.is_module(module, directory, name))
    }

    /// Whether a record is of this name in this directory.
    #[inline]
    fn is_module(&self, module: &Module, directory: u32, name: &[u8]) -> bool {
        let Some(node) = self.node(module.place) else {
            return false;
        };
        let rest = self
            .name_of(&node)
            .and_then(|found| found.strip_prefix(name));
        node.parent == directory && matches!(rest, Some([] | [b'.', ..]))
    }

    fn file_in(&self, directory: u32, stem: &[u8], suffix: &[u8]) -> Option<u32> {
        let mut buffer = [0; NAME_BYTES_MAX];
        let file = self.child(directory, joined(&[stem, suffix], &mut buffer)?)?;
        self.vnode(file).filter(VnodeEntry::is_file).map(|_| file)
    }

    fn extension<'s>(
        &self,
        directory: u32,
        stem: &[u8],
        suffixes: impl Iterator<Item = &'s [u8]>,
    ) -> Option<(Form, u32)> {
        (0..).zip(suffixes).find_map(|(number, suffix)| {
            let file = self.file_in(directory, stem, suffix)?;
            Some((Form::Extension(number), file))
        })
    }

    /// What the record of a name in a directory has to be, found without the table; `None` if nothing there can be
    /// imported by that name.
    pub(super) fn module_by_names(&self, directory: u32, tail: &[u8]) -> Option<Module> {
        let mut found = Module {
            hash: hash_of(directory, tail),
            flags: 0,
            place: NO_SOURCE,
            source: NO_SOURCE,
        };
        if tail.is_empty() || tail.contains(&b'.') {
            return None;
        }
        if let Some(entry) = self.child(directory, tail) {
            let vnode = self.vnode(entry)?;
            if vnode.is_dir() {
                (found.flags, found.place) = (flag::DIRECTORY, entry);
                self.add_files(entry, INIT, &mut found, true);
            } else if vnode.is_symlink() {
                (found.flags, found.place) = (flag::SYMLINK, entry);
            }
        }
        self.add_files(directory, tail, &mut found, false);
        (found.flags != 0).then_some(found)
    }

    /// Adds what the files `STEM.*` of a directory make of a module.
    fn add_files(&self, directory: u32, stem: &[u8], found: &mut Module, init: bool) {
        let mut range = self.children(directory);
        let mut buffer = [0; NAME_BYTES_MAX + 1];
        let Some(start) = joined(&[stem, b"."], &mut buffer) else {
            return;
        };
        // The first whose name is not before `STEM.`.
        let mut end = range.end;
        while range.start < end {
            let middle = range.start + (end - range.start) / 2;
            if self.name(middle).is_some_and(|name| name < start) {
                range.start = middle + 1;
            } else {
                end = middle;
            }
        }
        for entry in range {
            let (Some(name), Some(vnode)) = (self.name(entry), self.vnode(entry)) else {
                return;
            };
            if !name.starts_with(start) {
                return;
            }
            let Some((_, flag)) = module_of(name).filter(|_| !vnode.is_dir()) else {
                continue;
            };
            found.add(entry, flag, vnode.is_symlink(), init);
        }
    }
}

impl Module {
    /// Adds a file, in the order of names.
    pub(super) fn add(&mut self, entry: u32, flag: u32, is_symlink: bool, init: bool) {
        self.flags |= match (is_symlink, init) {
            (true, _) => flag::SYMLINK,
            (false, true) => in_package(flag),
            (false, false) => flag,
        };
        if self.place == NO_SOURCE {
            self.place = entry;
        }
        if flag == flag::SOURCE && !is_symlink && self.source == NO_SOURCE {
            self.source = entry;
        }
    }

    #[cfg(feature = "std")]
    pub(super) fn to_bytes(self) -> [u8; MODULE_BYTES] {
        let fields = [self.hash, self.flags, self.place, self.source].map(u32::to_le_bytes);
        let mut bytes = [0; MODULE_BYTES];
        bytes.copy_from_slice(fields.as_flattened());
        bytes
    }
}

/// The parts one after the other, in `buffer`; `None` if they are longer.
fn joined<'b>(parts: &[&[u8]], buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let mut end = 0;
    for part in parts {
        let next = end + part.len();
        buffer.get_mut(end..next)?.copy_from_slice(part);
        end = next;
    }
    buffer.get(..end)
}
