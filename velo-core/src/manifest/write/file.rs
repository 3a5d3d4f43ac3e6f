//! Puts the sections together into the file: table, padding, digests, header.

use super::arrange::arrange;
use super::encode::encode;
use super::index::{BuildPhf, index};
use super::modules::modules;
use super::{ManifestBuilder, WriteError, side};
use crate::manifest::layout::{
    ENDIAN, HEADER_BYTES, MAGIC, SECTION_ENTRY_BYTES, Section, VERSION, align_up, at, feature,
};
use rapidhash::v3::rapidhash_v3;

/// Does both, the first on a thread of its own if one can be had.
fn both<A: Send, B>(first: impl Fn() -> A + Sync, second: impl FnOnce() -> B) -> (A, B) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, &first);
        let second = second();
        let first = match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(first)) => first,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => first(),
        };
        (first, second)
    })
}

pub(super) fn build(builder: ManifestBuilder) -> Result<Vec<u8>, WriteError> {
    build_with(builder, crate::manifest::phf::build)
}

fn build_with(mut builder: ManifestBuilder, phf: BuildPhf) -> Result<Vec<u8>, WriteError> {
    let packages = side::packages(&mut builder)?;
    let provenance = side::provenance(&mut builder)?;
    let roots = side::roots(&builder)?;
    let arranged = arrange(&builder)?;
    let xattrs = side::xattrs(&builder, &arranged)?;
    let (index, (encoded, source_stats)) = both(
        || index(&builder, &arranged, phf),
        || {
            let encoded = encode(&builder, &arranged);
            (encoded, side::source_stats(&builder, &arranged))
        },
    );
    // Errors in a fixed order, whichever thread came first.
    let (encoded, source_stats, index) = (encoded?, source_stats?, index?);
    let header = Header {
        entries: arranged.order.len() as u32,
        roots: builder.roots.len() as u32,
        incompat: if index.unslotted {
            feature::UNSLOTTED
        } else {
            0
        },
    };
    let modules = modules(&builder, &arranged);
    drop((arranged, builder));
    Ok(assemble(
        &header,
        [
            (Section::Phf, index.phf),
            (Section::Slots, index.slots),
            (Section::Vnodes, encoded.vnodes),
            (Section::Nodes, encoded.nodes),
            (Section::Names, encoded.names),
            (Section::Owners, encoded.owners),
            (Section::Targets, encoded.targets),
            (Section::HardLinks, encoded.hard_links),
            (Section::Xattrs, xattrs),
            (Section::Roots, roots),
            (Section::Packages, packages),
            (Section::Provenance, provenance),
            (Section::SourceStat, source_stats),
            (Section::Sparse, encoded.sparse),
            (Section::Subdirs, encoded.subdirs),
            (Section::Modules, modules),
        ],
    ))
}

/// What the header says besides what follows from the sections.
struct Header {
    entries: u32,
    roots: u32,
    incompat: u64,
}

fn assemble(header: &Header, sections: [(Section, Vec<u8>); Section::ALL.len()]) -> Vec<u8> {
    let padded = |bytes: usize| align_up(bytes as u64).unwrap_or(u64::MAX) as usize;
    let all: usize = sections.iter().map(|(_, bytes)| padded(bytes.len())).sum();
    let mut file = Vec::with_capacity(HEADER_BYTES + all);
    file.resize(HEADER_BYTES, 0);
    let mut place = at::SECTIONS;
    for (section, bytes) in sections {
        if bytes.is_empty() {
            continue;
        }
        put(&mut file, place, &section.kind().to_le_bytes());
        let offset = file.len() as u64;
        put(&mut file, place + 8, &offset.to_le_bytes());
        put(&mut file, place + 16, &(bytes.len() as u64).to_le_bytes());
        place += SECTION_ENTRY_BYTES;
        file.extend_from_slice(&bytes);
        file.resize(padded(file.len()), 0);
    }

    let body = &file[HEADER_BYTES..];
    let (checksum, digest) = both(|| rapidhash_v3(body), || *blake3::hash(body).as_bytes());
    let file_bytes = file.len() as u64;
    put(&mut file, at::MAGIC, &MAGIC);
    put(&mut file, at::VERSION, &VERSION.to_le_bytes());
    put(&mut file, at::ENDIAN, &ENDIAN.to_le_bytes());
    put(
        &mut file,
        at::FEATURE_INCOMPAT,
        &header.incompat.to_le_bytes(),
    );
    put(&mut file, at::FILE_BYTES, &file_bytes.to_le_bytes());
    put(&mut file, at::ENTRY_COUNT, &header.entries.to_le_bytes());
    put(&mut file, at::ROOT_COUNT, &header.roots.to_le_bytes());
    put(&mut file, at::BODY_CHECKSUM, &checksum.to_le_bytes());
    put(&mut file, at::BODY_DIGEST, &digest);
    let checksum = rapidhash_v3(&file[..at::HEADER_CHECKSUM]);
    put(&mut file, at::HEADER_CHECKSUM, &checksum.to_le_bytes());
    file
}

/// Writes into the header, which has the room.
fn put(file: &mut [u8], offset: usize, bytes: &[u8]) {
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::{ManifestBuilder, build_with};
    use crate::manifest::phf::{BuildError, build};
    use crate::manifest::write::Meta;
    use crate::manifest::{Manifest, feature};

    #[test]
    fn a_tree_that_has_no_perfect_hash_is_served_without() {
        let mut tree = ManifestBuilder::new();
        let meta = Meta {
            mode: 0o755,
            ..Meta::default()
        };
        let root = tree.add_root(b"/r", meta).unwrap();
        let dir = tree.add_dir(root, b"dir", meta).unwrap();
        tree.add_dir(dir, b"below", meta).unwrap();
        let bytes = build_with(tree, |hashes| match hashes {
            [] => build(hashes),
            _ => Err(BuildError::Unplaceable),
        });
        let bytes = bytes.unwrap();
        let manifest = Manifest::open(&bytes).unwrap();
        manifest.verify().unwrap();
        assert_eq!(manifest.header().feature_incompat, feature::UNSLOTTED);
        assert_eq!(manifest.lookup(0, b"dir/below"), Some(2));
        assert_eq!(manifest.lookup(0, b""), Some(0));
        assert_eq!(manifest.lookup(0, b"below"), None);
        assert_eq!(manifest.lookup(0, b"dir/"), None);
    }
}
