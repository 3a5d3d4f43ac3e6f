//! Random trees, built and read back, against a model that knows paths only.
#![cfg(feature = "std")]

mod manifest_support;

use manifest_support::strategy::{model, name};
use manifest_support::{Kind, Model, Place, join};
use proptest::prelude::*;
use velo_core::manifest::Manifest;
use velo_core::vnode::flag;

/// Everything that the reader says is what the model says.
fn check(model: &Model, bytes: &[u8]) {
    let manifest = Manifest::open(bytes).unwrap();
    manifest.verify().unwrap();
    assert_eq!(manifest.entry_count() as usize, model.things.len());
    assert_eq!(manifest.root_count() as usize, model.mounts.len());
    for (number, mount) in (0..).zip(&model.mounts) {
        let root = manifest.root(number).unwrap();
        assert_eq!((root.mount, root.index), (&mount[..], number));
    }
    let find = |place: &Place| manifest.lookup(place.0 as u32, &place.1).unwrap();
    let mut buffer = [0; 4095];
    for (place, thing) in &model.things {
        let (root, path) = place;
        let index = find(place);
        let length = manifest.rel_path(index, &mut buffer).unwrap();
        assert_eq!(&buffer[..length], path);
        assert_eq!(manifest.root_of(index), Some(*root as u32));
        let (directory, name) = manifest_support::split(path);
        assert_eq!(manifest.name(index).unwrap(), name);
        if !path.is_empty() {
            let parent = find(&(*root, directory.to_vec()));
            assert_eq!(manifest.parent(index), Some(parent));
            assert_eq!(manifest.child(parent, name), Some(index));
        }
        let children = manifest.children(index);
        let names: Vec<_> = children
            .map(|child| manifest.name(child).unwrap())
            .collect();
        assert_eq!(names, model.listing(*root, path));
        for absent in [&b""[..], b".", b"..", b"a/b", b"no such name"] {
            assert_eq!(manifest.child(index, absent), None);
        }

        let mut expected = model.metadata(place);
        let found = manifest.stat(index).unwrap();
        expected.dev_minor = manifest.dev_minor();
        let names = model.names(place);
        if !model.exact {
            let inodes = names.iter().map(|name| u64::from(find(name)) + 1);
            expected.ino = inodes.min().unwrap();
        }
        assert_eq!(found, expected, "{place:?}");
        assert_eq!(manifest.ino(index), Some(expected.ino));

        let original = &model.things[model.original(place)];
        let vnode = manifest.vnode(index).unwrap();
        assert_eq!(vnode.has(flag::PUBLIC), model.public(place));
        assert_eq!(vnode.has(flag::HARDLINK), names.len() > 1);
        assert_eq!(vnode.has(flag::XATTR), !original.xattrs.is_empty());
        let linked: Vec<_> = manifest.hard_links(index).collect();
        let mut indexes: Vec<_> = names.iter().map(|name| find(name)).collect();
        indexes.sort_unstable();
        assert_eq!(linked, if names.len() > 1 { indexes } else { Vec::new() });
        let xattrs: Vec<_> = manifest
            .xattrs(index)
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .collect();
        assert_eq!(xattrs, original.xattrs);
        match &original.kind {
            Kind::File(content) => {
                let executable = thing_is_executable(original.meta.mode);
                assert_eq!({ vnode.content_hash }, content.hash);
                assert_eq!(vnode.has(flag::EXECUTABLE), executable);
                assert_eq!(vnode.has(flag::IN_VIEW), executable || content.in_view);
                assert_eq!(manifest.symlink_target(index), None);
            }
            Kind::Symlink(target) => {
                assert_eq!(manifest.symlink_target(index), Some(&target[..]));
                assert_eq!({ vnode.content_hash }, *blake3::hash(target).as_bytes());
            }
            _ => assert!(matches!(thing.kind, Kind::Directory) && vnode.is_dir()),
        }
    }
    let packages: Vec<_> = manifest
        .packages()
        .map(|package| (package.name.to_vec(), package.version.to_vec()))
        .collect();
    assert_eq!(packages, model.packages);
    let provenance = manifest.provenance();
    let provenance: Vec<_> = provenance
        .map(|(key, value)| (key.to_vec(), value.to_vec()))
        .collect();
    assert_eq!(
        provenance,
        model.provenance.clone().into_iter().collect::<Vec<_>>()
    );
}

fn thing_is_executable(mode: u32) -> bool {
    mode & 0o111 != 0
}

/// Paths that look like those of the tree.
fn near_misses(path: &[u8], name: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![
        join(path, name),
        [path, b"/"].concat(),
        [b"/", path].concat(),
        [path, name].concat(),
        [path, b"\0"].concat(),
        join(path, b"."),
        join(path, b".."),
        path.to_ascii_uppercase(),
    ];
    if let Some((_, short)) = path.split_last() {
        all.push(short.to_vec());
    }
    if let Some((_, short)) = path.split_first() {
        all.push(short.to_vec());
    }
    if let Some(slash) = path.iter().position(|byte| *byte == b'/') {
        all.push([&path[..slash], b"/", &path[slash..]].concat());
        all.push(path[slash + 1..].to_vec());
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn trees_read_back(model in model(60)) {
        check(&model, &model.built());
    }

    #[test]
    fn only_paths_of_the_tree_are_found(model in model(40), name in name()) {
        let bytes = model.built();
        let manifest = Manifest::open(&bytes).unwrap();
        for (_, path) in model.things.keys() {
            for near in near_misses(path, &name) {
                for root in 0..4 {
                    let found = manifest.lookup(root, &near).is_some();
                    let exists = model.things.contains_key(&(root as usize, near.clone()));
                    prop_assert_eq!(found, exists, "{}", near.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn the_order_of_adding_does_not_show(
        (model, order) in model(40).prop_flat_map(|model| {
            let places: Vec<_> = model.things.keys().cloned().collect();
            (Just(model), Just(places).prop_shuffle())
        })
    ) {
        let other = model.build(order.into_iter());
        prop_assert!(model.built() == other);
    }

    #[test]
    fn any_change_of_the_tree_changes_the_digest(model in model(20), other in model(20)) {
        let (a, b) = (model.built(), other.built());
        let digest = |bytes: &[u8]| *Manifest::open(bytes).unwrap().body_digest();
        prop_assert_eq!(a == b, digest(&a) == digest(&b));
    }
}
