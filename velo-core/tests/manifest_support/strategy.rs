//! Random trees: odd names, deep paths, hard links across roots, several roots.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{Kind, Model, Place, Thing, join, source_stat};
use velo_core::manifest::Time;
use velo_core::manifest::write::{Content, Meta};

/// A valid name, often one that trips programs up.
pub fn name() -> impl Strategy<Value = Vec<u8>> {
    let odd: Vec<&[u8]> = vec![
        b"...",
        b" ",
        b"\n",
        b"-",
        b"a",
        b"A",
        b"a.",
        b".a",
        b"\xff\xfe",
        b"\xc3\xa9",
        b"e\xcc\x81",
        b"\x01",
        b"a\\b",
        b"__init__.py",
        b"__init__.so",
        b"a.py",
        b"a.pyc",
        b"a.x.so",
        b"a.so",
        b"b.py",
        b"ab",
        b"abc",
        b"b",
    ];
    let byte = any::<u8>().prop_filter("no slash, no NUL", |byte| !matches!(byte, 0 | b'/'));
    prop_oneof![
        4 => select(odd).prop_map(<[u8]>::to_vec),
        3 => vec(byte.clone(), 1..12),
        1 => vec(byte, 1..=255),
        1 => Just(vec![b'x'; 255]),
        1 => (0..40_u8).prop_map(|length| vec![b'l'; usize::from(length) + 1]),
    ]
    .prop_filter("not a dot", |name| !matches!(&name[..], b"." | b".."))
}

fn meta() -> impl Strategy<Value = Meta> {
    let mode = prop_oneof![3 => Just(0o755), 3 => Just(0o644), 2 => 0..0o10000_u32];
    let size = prop_oneof![0..20_000_u64, (0..50_u32).prop_map(|shift| 1 << shift)];
    let owner = (0..3_u32, prop_oneof![0..3_u32, Just(u32::MAX)]);
    let time = (any::<i64>(), 0..1_000_000_000_u32);
    let all = (mode, size, owner, time);
    all.prop_map(|(mode, size, (uid, gid), (sec, nsec))| Meta {
        mode,
        uid,
        gid,
        mtime: Time { sec, nsec },
        size,
    })
}

/// What to add: to which directory, under which name, what.
#[derive(Clone, Debug)]
struct Step {
    directory: Index,
    name: Vec<u8>,
    meta: Meta,
    what: What,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Clone, Debug)]
enum What {
    Directory,
    File(Content),
    Symlink(Vec<u8>),
    LinkTo(Index),
}

fn what() -> impl Strategy<Value = What> {
    let blocks = prop_oneof![4 => Just(None), 1 => (0..100_u64).prop_map(Some)];
    let content = (any::<[u8; 32]>(), any::<bool>(), blocks);
    let target = prop_oneof![
        vec(1..=255_u8, 1..80),
        Just(b"/etc/passwd".to_vec()),
        Just(vec![b't'; 4095]),
    ];
    prop_oneof![
        4 => Just(What::Directory),
        6 => content.prop_map(|(hash, in_view, blocks)| What::File(Content { hash, in_view, blocks })),
        2 => target.prop_map(What::Symlink),
        2 => any::<Index>().prop_map(What::LinkTo),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let xattr = (vec(1..=255_u8, 1..6), vec(any::<u8>(), 0..6));
    let xattrs = prop_oneof![6 => Just(Vec::new()), 1 => vec(xattr, 1..4)];
    let all = (any::<Index>(), name(), meta(), what(), xattrs);
    all.prop_map(|(directory, name, meta, what, mut xattrs)| {
        xattrs.sort_unstable();
        xattrs.dedup_by(|a, b| a.0 == b.0);
        Step {
            directory,
            name,
            meta,
            what,
            xattrs,
        }
    })
}

/// A tree of up to `steps` things below up to three roots.
pub fn model(steps: usize) -> impl Strategy<Value = Model> {
    let all = [&b"/"[..], b"/app", b"/app/lib", b"/srv/\xff"];
    let mounts = proptest::sample::subsequence(all.map(<[u8]>::to_vec).to_vec(), 1..=3);
    let deep = prop_oneof![5 => Just(0_usize), 1 => 1..15_usize];
    let pair = (vec(any::<u8>(), 0..5), vec(any::<u8>(), 0..5));
    let key = vec(
        any::<u8>().prop_filter("a key", |byte| !b"=\n".contains(byte)),
        1..5,
    );
    let value = vec(
        any::<u8>().prop_filter("a value", |byte| *byte != b'\n'),
        0..5,
    );
    let notes = (
        vec(pair, 0..3),
        proptest::collection::btree_map(key, value, 0..3),
    );
    (
        mounts,
        vec(meta(), 3),
        vec(step(), 0..steps),
        deep,
        any::<bool>(),
        notes,
    )
        .prop_map(
            |(mounts, metas, steps, deep, exact, (mut packages, provenance))| {
                packages.sort_unstable();
                packages.dedup();
                let mut model = Model {
                    mounts,
                    exact,
                    packages,
                    provenance,
                    ..Model::default()
                };
                let mut directories: Vec<Place> = Vec::new();
                for (root, meta) in (0..model.mounts.len()).zip(metas) {
                    put(
                        &mut model,
                        (root, Vec::new()),
                        meta,
                        Kind::Directory,
                        Vec::new(),
                    );
                    directories.push((root, Vec::new()));
                }
                // A chain of the longest names, so that paths get as long as they may.
                let mut below = Vec::new();
                for _ in 0..deep {
                    below = join(&below, &[b'd'; 255]);
                    let meta = Meta {
                        mode: 0o755,
                        ..Meta::default()
                    };
                    put(
                        &mut model,
                        (0, below.clone()),
                        meta,
                        Kind::Directory,
                        Vec::new(),
                    );
                    directories.push((0, below.clone()));
                }
                for step in steps {
                    take(&mut model, &mut directories, step);
                }
                model
            },
        )
}

fn put(model: &mut Model, place: Place, meta: Meta, kind: Kind, xattrs: Vec<(Vec<u8>, Vec<u8>)>) {
    let source = source_stat(model.things.len() as u64);
    let thing = Thing {
        meta,
        kind,
        xattrs,
        source,
    };
    model.things.insert(place, thing);
}

fn take(model: &mut Model, directories: &mut Vec<Place>, step: Step) {
    let (root, directory) = step.directory.get(directories).clone();
    let place = (root, join(&directory, &step.name));
    if place.1.len() > 4095 || model.things.contains_key(&place) {
        return;
    }
    let mut xattrs = step.xattrs;
    let kind = match step.what {
        What::Directory => {
            directories.push(place.clone());
            Kind::Directory
        }
        What::File(content) => Kind::File(content),
        What::Symlink(target) => Kind::Symlink(target),
        What::LinkTo(to) => {
            let files = model.things.iter();
            let files =
                files.filter(|(_, thing)| matches!(thing.kind, Kind::File(_) | Kind::Symlink(_)));
            let files: Vec<_> = files.map(|(place, _)| place.clone()).collect();
            if files.is_empty() {
                return;
            }
            // Attributes are those of the file.
            xattrs.clear();
            Kind::Link(to.get(&files).clone())
        }
    };
    put(model, place, step.meta, kind, xattrs);
}
