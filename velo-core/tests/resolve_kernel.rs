//! The resolver against the real kernel: a random tree stands at its mount points
//! and the kernel says what each path means; then the tree is moved away, and the
//! resolver has to say the same from the manifests, asking the kernel only about
//! what is outside.
//!
//! As root also in children that became ordinary users, for EACCES.
//! `VELO_RESOLVE_CASES` sets the number of worlds (256 questions each, put by every
//! person). A test of Linux behaviour, not of a file system: any TMPDIR will do.

mod resolve_support;

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use resolve_support::kernel::{KernelOutside, Record};
use resolve_support::kernel::{Person, Scratch, as_person, record_of, seen_by_kernel};
use resolve_support::model::{Final, Id, Kind, Meaning, Who};
use resolve_support::plant::with_view;
use resolve_support::world::{Query, Spec, World, query, spec};
use std::ffi::CString;
use std::os::fd::AsRawFd;
use velo_core::resolve::{Base, Identity, Options, PathBuffer, Resolution, View, resolve};

/// A question in the form in which a child can ask it without allocating.
struct Asked {
    base_path: Vec<u8>,
    by_entry: Option<(usize, u32)>,
    is_cwd: bool,
    path: CString,
    last: Final,
}

fn try_world(spec: &Spec, queries: &[Query]) -> Result<(), String> {
    let scratch = Scratch::new();
    let spec = Spec {
        implied: false,
        ..spec.clone()
    };
    let mut world = World::new(&spec, scratch.path());
    let top = world.full.resolve(0, scratch.path(), Final::Stay, &root());
    let Meaning::Found(top) = top else {
        panic!("the model has its own top")
    };
    let planted = scratch.plant(&mut world, top);

    let people = Person::all();
    let mut asked = Vec::new();
    for query in queries {
        let path = world.path(top, scratch.path(), &query.path);
        asked.push(spell(&world, top, query, path, &people));
    }
    let fds: Vec<i32> = asked
        .iter()
        .map(|asked| {
            let base = planted[&asked.base_path].directory.as_ref();
            base.expect("bases are directories").as_raw_fd()
        })
        .collect();

    let mut truth = Vec::new();
    for person in &people {
        truth.push(as_person(person, asked.len(), |number| {
            seen_by_kernel(fds[number], &asked[number].path, asked[number].last)
        })?);
    }

    scratch.move_away(&world);
    with_view(&world, |view| {
        for asked in &mut asked {
            asked.by_entry = asked.by_entry.and_then(|_| entry(view, &asked.base_path));
        }
        for (person, truth) in people.iter().zip(&truth) {
            let answers = as_person(person, asked.len(), |number| {
                answer(view, &asked[number], fds[number], person, false)
            })?;
            for ((asked, truth), answer) in asked.iter().zip(truth).zip(&answers) {
                let answer = match answer.served() {
                    Some((mount, index)) => {
                        let mut out = [0; 8192];
                        let path = view.canonical_path(mount, index, &mut out);
                        let path = path.expect("a found entry has a path");
                        record_of(planted[path].identity)
                    }
                    None => *answer,
                };
                if answer != *truth {
                    return Err(format!(
                        "{:?} of {} at {} ({:?}) as {person:?}: the kernel says {truth:?}, the \
                         resolver {answer:?}\n{}",
                        asked.last,
                        asked.path.to_bytes().escape_ascii(),
                        asked.base_path.escape_ascii(),
                        asked.by_entry,
                        world.listing(),
                    ));
                }
            }
        }
        Ok(())
    })
}

fn root() -> Who {
    Who {
        uid: 0,
        gid: 0,
        groups: Vec::new(),
    }
}

/// Chooses a base that can be known by its path, for everybody who will ask.
fn spell(world: &World, top: Id, query: &Query, path: Vec<u8>, people: &[Person]) -> Asked {
    let bases: Vec<Id> = (top..world.full.inodes.len())
        .filter(|id| matches!(world.full.inodes[*id].kind, Kind::Dir(_)))
        .collect();
    let mut base_id = bases[usize::from(query.base) % bases.len()];
    let is_cwd = query.base_kind < 2;
    let reached = if is_cwd {
        base_id
    } else {
        world.full.inodes[base_id].parent
    };
    let known = people
        .iter()
        .all(|person| world.searchable(reached, &person.who));
    if world.owner[base_id].is_none() && !known {
        base_id = top;
    }
    Asked {
        base_path: world.full.path(base_id),
        by_entry: (query.base_kind == 3 && world.owner[base_id].is_some()).then_some((0, 0)),
        is_cwd,
        path: CString::new(path).expect("generated paths have no NUL"),
        last: query.last,
    }
}

fn entry(view: &View<'_>, path: &[u8]) -> Option<(usize, u32)> {
    let (mount, rest) = view.mount_of_prefix(path)?;
    let mut index = view.mounts()[mount].top();
    for name in rest
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
    {
        index = view.mounts()[mount].manifest().child(index, name)?;
    }
    Some((mount, index))
}

/// What the resolver and after it the kernel say. Runs in a child: no allocation.
fn answer(view: &View<'_>, asked: &Asked, fd: i32, person: &Person, exact: bool) -> Record {
    let base = match asked.by_entry {
        Some((mount, index)) => Base::Entry { mount, index },
        None if asked.is_cwd => Base::Cwd(&asked.base_path),
        None => Base::Dir(&asked.base_path),
    };
    let options = match asked.last {
        Final::Stay => Options::NO_FOLLOW,
        Final::Follow | Final::Entry => Options::FOLLOW,
    };
    let identity = Identity {
        uid: person.who.uid,
        gid: person.who.gid,
        groups: &person.who.groups,
    };
    let mut scratch = PathBuffer::new();
    let answer = resolve(
        view,
        base,
        asked.path.to_bytes(),
        Options { exact, ..options },
        &identity,
        &mut KernelOutside,
        &mut scratch,
    );
    let seen = match answer {
        Ok(Resolution::Found { mount, index }) => return Record::new_served(mount, index),
        Ok(Resolution::Absent { .. }) => return Record::failed(libc::ENOENT),
        Err(errno) => return Record::failed(errno.0),
        Ok(Resolution::Outside) => seen_by_kernel(fd, &asked.path, asked.last),
        Ok(Resolution::Rewritten(path)) => seen_by_kernel(libc::AT_FDCWD, path, asked.last),
    };
    if seen == Record::failed(libc::ENOENT) && !exact {
        return answer_exactly(view, asked, fd, person);
    }
    seen
}

fn answer_exactly(view: &View<'_>, asked: &Asked, fd: i32, person: &Person) -> Record {
    answer(view, asked, fd, person, true)
}

#[test]
fn agrees_with_the_kernel() {
    let config = Config {
        cases: resolve_support::cases(140),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let strategy = (spec(), proptest::collection::vec(query(), 256));
    let outcome = TestRunner::new(config).run(&strategy, |(spec, queries)| {
        try_world(&spec, &queries).map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, _)) => panic!("{reason}"),
        Err(error) => panic!("{error}"),
    }
}
