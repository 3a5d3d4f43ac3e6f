//! The resolver against a naive one, over random worlds: one or several mounts,
//! nested ones among them, with symlinks across every border.
//!
//! Each question is put to the model as a whole. The resolver's `Outside` and
//! `Rewritten` are put to the model without its mounts, which is what the kernel
//! sees; where that finds nothing, the second, exact look follows, as in the
//! preload library. `VELO_RESOLVE_CASES` sets the number of worlds (64 questions
//! each, asked twice).

mod resolve_support;

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use resolve_support::model::{ENOENT, Final, Id, Kind, Meaning, ModelKernel, Who};
use resolve_support::plant::with_view;
use resolve_support::world::{Query, Spec, World, people, query, spec};
use std::collections::HashMap;
use velo_core::resolve::{Base, Identity, Options, PathBuffer, Quick, Resolution, View, resolve};

/// A question, spelled out.
struct Asked<'w> {
    base: Base<'w>,
    base_id: Id,
    path: Vec<u8>,
    last: Final,
    who: &'w Who,
}

/// A world with its view, ready to be asked.
struct Court<'w> {
    world: &'w World,
    view: &'w View<'w>,
    served: HashMap<Vec<u8>, Id>,
}

impl Court<'_> {
    /// What the resolver and, after it, the kernel make of `path`.
    fn answer(&self, asked: &Asked<'_>, path: &[u8], exact: bool) -> (Meaning, usize) {
        let options = match asked.last {
            Final::Follow => Options::FOLLOW,
            Final::Stay => Options::NO_FOLLOW,
            Final::Entry => Options::ENTRY,
        };
        let identity = Identity {
            uid: asked.who.uid,
            gid: asked.who.gid,
            groups: &asked.who.groups,
        };
        let mut outside = ModelKernel {
            tree: &self.world.kernel,
            who: asked.who,
            calls: 0,
        };
        let mut scratch = PathBuffer::new();
        let options = Options { exact, ..options };
        let answer = resolve(
            self.view,
            asked.base,
            path,
            options,
            &identity,
            &mut outside,
            &mut scratch,
        );
        let calls = outside.calls;
        let kernel = &self.world.kernel;
        let meaning = match answer {
            Ok(Resolution::Found { mount, index }) => Meaning::Found(self.id(mount, index)),
            Ok(Resolution::Absent {
                mount,
                parent,
                name,
                slash,
            }) => Meaning::Absent {
                parent: self.id(mount, parent),
                name: name.to_vec(),
                slash,
            },
            Ok(Resolution::Outside) => kernel.resolve(asked.base_id, path, asked.last, asked.who),
            Ok(Resolution::Rewritten(path)) => {
                assert_eq!(
                    path.to_bytes().first(),
                    Some(&b'/'),
                    "a rewritten path is absolute"
                );
                kernel.resolve(0, path.to_bytes(), asked.last, asked.who)
            }
            Err(errno) => Meaning::Fails(errno.0),
        };
        let to_kernel = matches!(answer, Ok(Resolution::Outside | Resolution::Rewritten(_)));
        let missing = matches!(meaning, Meaning::Absent { .. } | Meaning::Fails(ENOENT));
        if to_kernel && missing && !exact {
            return (self.answer(asked, path, true).0, calls);
        }
        (meaning, calls)
    }

    fn id(&self, mount: usize, index: u32) -> Id {
        let mut out = [0; 8192];
        let path = self
            .view
            .canonical_path(mount, index, &mut out)
            .expect("an entry has a path");
        *self
            .served
            .get(path)
            .expect("the path of an entry is that of an inode")
    }

    /// The model's meaning, in the resolver's terms: a directory that is only
    /// implied is absent from its parent.
    fn expected(&self, asked: &Asked<'_>) -> Meaning {
        self.world
            .full
            .resolve(asked.base_id, &asked.path, asked.last, asked.who)
    }

    fn check(&self, asked: &Asked<'_>) -> Result<(), String> {
        let expected = self.expected(asked);
        let (got, calls) = self.answer(asked, &asked.path, false);
        if !self.same(&expected, &got) {
            return Err(format!("expected {expected:?}, got {got:?}"));
        }
        let plain = asked.path.starts_with(b"/")
            && !asked
                .path
                .split(|b| *b == b'/')
                .any(|name| matches!(name, b"." | b".."));
        if plain && calls > 0 && !self.touches_mount(&asked.path) {
            return Err("asked the kernel about a plain outside path".into());
        }
        if asked.path.starts_with(b"/") {
            let quick = self.view.quick(&asked.path, asked.last == Final::Follow);
            let agrees = match quick {
                Quick::Found { mount, index } => expected == Meaning::Found(self.id(mount, index)),
                Quick::Absent => {
                    matches!(expected, Meaning::Absent { .. } | Meaning::Fails(ENOENT))
                }
                Quick::Unknown => true,
            };
            if !agrees {
                return Err(format!("expected {expected:?}, got {quick:?} quickly"));
            }
        }
        // The same path, spelled so that the quick way declines.
        let mut odd = if asked.path.starts_with(b"/") {
            b"/.".to_vec()
        } else {
            b"./".to_vec()
        };
        odd.extend_from_slice(&asked.path);
        if !asked.path.is_empty() && asked.path.len() < 4000 {
            let expected = self
                .world
                .full
                .resolve(asked.base_id, &odd, asked.last, asked.who);
            let (got, _) = self.answer(asked, &odd, false);
            if !self.same(&expected, &got) {
                return Err(format!(
                    "with a dot in front: expected {expected:?}, got {got:?}"
                ));
            }
        }
        Ok(())
    }

    fn touches_mount(&self, path: &[u8]) -> bool {
        let names: Vec<&[u8]> = path
            .split(|b| *b == b'/')
            .filter(|name| !name.is_empty())
            .collect();
        let path = [&b"/"[..], &names.join(&b'/')].concat();
        self.world
            .mounts
            .iter()
            .any(|(mount, _)| path.starts_with(mount))
    }

    fn same(&self, expected: &Meaning, got: &Meaning) -> bool {
        match (expected, got) {
            (Meaning::Fails(ENOENT), Meaning::Absent { parent, name, .. }) => {
                let entries = self
                    .world
                    .full
                    .entries(*parent)
                    .expect("a parent is a directory");
                matches!(
                    entries
                        .get(name)
                        .map(|id| &self.world.full.inodes[*id].kind),
                    Some(Kind::Implied(_))
                )
            }
            // Within an implied directory there is no parent to name.
            (Meaning::Absent { parent, .. }, Meaning::Fails(ENOENT)) => {
                matches!(self.world.full.inodes[*parent].kind, Kind::Implied(_))
            }
            _ => expected == got,
        }
    }
}

/// Asks every question about one world.
fn try_world(spec: &Spec, queries: &[Query]) -> Result<(), String> {
    let world = World::new(spec, b"");
    with_view(&world, |view| {
        let mut served = HashMap::new();
        for id in 0..world.full.inodes.len() {
            if world.owner[id].is_some() {
                served.insert(world.full.path(id), id);
            }
        }
        let court = Court {
            world: &world,
            view,
            served,
        };
        let people = people();
        for query in queries {
            let who = &people[query.who];
            let path = world.path(0, b"", &query.path);
            let bases: Vec<Id> = (0..world.full.inodes.len())
                .filter(|id| match world.full.inodes[*id].kind {
                    Kind::Dir(_) => true,
                    Kind::File => query.base_kind == 3 && world.owner[*id].is_some(),
                    _ => false,
                })
                .collect();
            let mut base_id = bases[usize::from(query.base) % bases.len()];
            // Outside, a base has to be reachable by its path, because that is all
            // that is known of it; and a current directory is taken for searchable.
            let known = match query.base_kind {
                _ if world.owner[base_id].is_some() => true,
                0 | 1 => world.searchable(base_id, who),
                _ => world.searchable(world.full.inodes[base_id].parent, who),
            };
            if !known {
                base_id = 0;
            }
            let base_path = world.full.path(base_id);
            let base = match query.base_kind {
                3 if world.owner[base_id].is_some() => entry_base(view, &base_path),
                0 | 1 => Base::Cwd(&base_path),
                _ => Base::Dir(&base_path),
            };
            let asked = Asked {
                base,
                base_id,
                path,
                last: query.last,
                who,
            };
            court.check(&asked).map_err(|error| {
                format!(
                    "{:?} of {} at {} ({:?}) as {:?}: {error}\n{}",
                    asked.last,
                    asked.path.escape_ascii(),
                    base_path.escape_ascii(),
                    asked.base,
                    asked.who,
                    world.listing()
                )
            })?;
        }
        Ok(())
    })
}

/// The entry at canonical path `path`, found without the resolver.
fn entry_base<'v>(view: &View<'v>, path: &[u8]) -> Base<'v> {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let (mount, rest) = view.mount_of_prefix(path).expect("the base is served");
    let manifest = view.mounts()[mount].manifest();
    let mut index = view.mounts()[mount].top();
    for name in rest
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
    {
        index = manifest
            .child(index, name)
            .expect("the base is in the manifest");
    }
    Base::Entry { mount, index }
}

#[test]
fn agrees_with_the_naive_resolver() {
    let config = Config {
        cases: resolve_support::cases(600),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let strategy = (spec(), proptest::collection::vec(query(), 64));
    let outcome = TestRunner::new(config).run(&strategy, |(spec, queries)| {
        try_world(&spec, &queries).map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => {}
        // The reason has the world in readable form; the value has not.
        Err(TestError::Fail(reason, _)) => panic!("{reason}"),
        Err(error) => panic!("{error}"),
    }
}
