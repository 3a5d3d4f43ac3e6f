//! The table of Python's modules says of each name what importlib's FileFinder would find by looking.
#![cfg(feature = "std")]

mod manifest_support;

use manifest_support::bytes::{ask_everything, seal, section, set_word, word};
use manifest_support::strategy::{model, name};
use manifest_support::{Kind, Model, Thing, join, source_stat};
use proptest::prelude::*;
use velo_core::manifest::write::{Content, Meta};
use velo_core::manifest::{Finding, Form, Manifest, Section, VerifyError};

const SUFFIXES: [&[u8]; 2] = [b".x.so", b".so"];

/// FileFinder's steps over the model. `None` where a symlink has one of the names.
fn by_looking(model: &Model, root: usize, directory: &[u8], name: &[u8]) -> Option<Finding> {
    let thing = |path: &[u8]| model.things.get(&(root, path.to_vec()));
    let kind = |path: &[u8]| {
        let place = match &thing(path)?.kind {
            Kind::Link(to) => model.things.get(to)?,
            _ => thing(path)?,
        };
        Some(&place.kind)
    };
    let manifest = model.built();
    let manifest = Manifest::open(&manifest).unwrap();
    let entry = |path: &[u8]| manifest.lookup(root as u32, path).unwrap();
    let is_file = |path: &[u8]| matches!(kind(path), Some(Kind::File(_)));
    let base = join(directory, name);
    let named = |directory: &[u8], stem: &[u8]| {
        let all = model.listing(root, directory);
        let symlink = |found: &&[u8]| {
            let rest = found
                .strip_prefix(stem)
                .filter(|rest| rest.starts_with(b"."));
            let module =
                rest.is_some_and(|rest| matches!(rest, b".py" | b".pyc") || rest.ends_with(b".so"));
            module && matches!(kind(&join(directory, found)), Some(Kind::Symlink(_)))
        };
        all.iter().any(symlink)
    };
    let is_directory = matches!(kind(&base), Some(Kind::Directory));
    let unsure = matches!(kind(&base), Some(Kind::Symlink(_)))
        || named(directory, name)
        || is_directory && named(&base, b"__init__");
    if unsure {
        return None;
    }
    let forms = [
        (SUFFIXES[0], Form::Extension(0)),
        (SUFFIXES[1], Form::Extension(1)),
        (b".py", Form::Source),
        (b".pyc", Form::Bytecode),
    ];
    if is_directory {
        for (suffix, form) in forms {
            let path = [&join(&base, b"__init__"), suffix].concat();
            if is_file(&path) {
                let (package, file) = (Some(entry(&base)), entry(&path));
                return Some(Finding::Module {
                    package,
                    form,
                    file,
                });
            }
        }
    }
    for (suffix, form) in forms {
        let path = [&base, suffix].concat();
        if is_file(&path) {
            let (package, file) = (None, entry(&path));
            return Some(Finding::Module {
                package,
                form,
                file,
            });
        }
    }
    Some(match is_directory {
        true => Finding::Namespace {
            directory: entry(&base),
        },
        false => Finding::Absent,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn it_says_what_looking_would(model in model(40), other in name()) {
        let bytes = model.built();
        let manifest = Manifest::open(&bytes).unwrap();
        manifest.verify().unwrap();
        for ((root, path), thing) in &model.things {
            if !matches!(thing.kind, Kind::Directory) {
                continue;
            }
            let directory = manifest.lookup(*root as u32, path).unwrap();
            for name in [b"a".as_slice(), b"b", b"ab", b"__init__", b"__pycache__", &other] {
                let found = manifest.find_module(directory, name, SUFFIXES.into_iter());
                let expected = match name.contains(&b'.') || !manifest.has_modules() {
                    true => None,
                    false => by_looking(&model, *root, path, name),
                };
                prop_assert_eq!(found, expected.unwrap_or(Finding::Unsure), "{} in {}", name.escape_ascii(), path.escape_ascii());
            }
        }
    }
}

/// A package with a module, its bytecode, and an extension module beside it.
fn sample() -> Vec<u8> {
    let meta = Meta {
        mode: 0o755,
        ..Meta::default()
    };
    let content = Content {
        hash: [9; 32],
        in_view: false,
        blocks: None,
    };
    let mut model = Model {
        mounts: vec![b"/a".to_vec()],
        ..Model::default()
    };
    let mut put = |path: &str, kind: Kind| {
        let thing = Thing {
            meta,
            kind,
            xattrs: Vec::new(),
            source: source_stat(0),
        };
        model.things.insert((0, path.into()), thing);
    };
    for directory in ["", "pack", "pack/__pycache__", "data"] {
        put(directory, Kind::Directory);
    }
    for file in [
        "pack/__init__.py",
        "pack/work.py",
        "pack/__pycache__/work.t-1.pyc",
        "fast.x.so",
        "fast.py",
        "old.pyc",
    ] {
        put(file, Kind::File(content));
    }
    model.built()
}

#[test]
fn bytecode_stands_where_the_interpreter_would_look() {
    let bytes = sample();
    let manifest = Manifest::open(&bytes).unwrap();
    let source = manifest.lookup(0, b"pack/work.py").unwrap();
    let found = manifest.lookup(0, b"pack/__pycache__/work.t-1.pyc");
    assert_eq!(manifest.bytecode_of(source, b"t-1"), found);
    assert_eq!(manifest.bytecode_of(source, b"t-2"), None);
    let other = manifest.lookup(0, b"old.pyc").unwrap();
    assert_eq!(
        manifest.bytecode_of(other, b"t-1"),
        None,
        "only sources have any"
    );
}

#[test]
fn a_tree_without_modules_has_no_table() {
    let meta = Meta {
        mode: 0o755,
        ..Meta::default()
    };
    let mut tree = velo_core::manifest::write::ManifestBuilder::new();
    let root = tree.add_root(b"/r", meta).unwrap();
    tree.add_dir(root, b"dir", meta).unwrap();
    let bytes = tree.build().unwrap();
    let manifest = Manifest::open(&bytes).unwrap();
    assert!(!manifest.has_modules());
    let found = manifest.find_module(0, b"dir", SUFFIXES.into_iter());
    assert_eq!(found, Finding::Unsure);
}

/// Every word of the table, changed: noticed by `verify`, and harmless until then.
#[test]
fn a_forged_table_is_noticed_and_harmless() {
    let good = sample();
    Manifest::open(&good).unwrap().verify().unwrap();
    let (start, length) = section(&good, Section::Modules);
    for offset in (start..start + length).step_by(4) {
        for value in [
            0,
            1,
            7,
            255,
            word(&good, offset) ^ 1,
            word(&good, offset).wrapping_add(1),
            1 << 31,
            u32::MAX,
        ] {
            if word(&good, offset) == value {
                continue;
            }
            let mut bytes = good.clone();
            set_word(&mut bytes, offset, value);
            seal(&mut bytes);
            ask_everything(&bytes);
            if let Ok(manifest) = Manifest::open(&bytes) {
                let Err(VerifyError::Record { section, .. }) = manifest.verify() else {
                    panic!("word {} = {value} was not noticed", (offset - start) / 4);
                };
                assert_eq!(section, Section::Modules);
            }
        }
    }
}
