//! The resolver's answers, spelled out: one table per rule, and the cases that
//! random worlds once got wrong. What a rule means is the kernel's business
//! (`resolve_kernel`); here stands what the caller is handed.

mod resolve_support;

use resolve_support::model::{ModelKernel, Who};
use resolve_support::plant::with_view;
use resolve_support::world::World;
use velo_core::resolve::{
    Base, Canonical, Identity, Options, PathBuffer, Quick, Resolution, Restrict, View, resolve,
    resolve_canonical,
};

const EXACT: Options = Options {
    exact: true,
    ..Options::FOLLOW
};
const ROOT: u32 = 0;
const SOMEBODY: u32 = 65_534;

/// One world, asked again and again.
struct Asker<'w> {
    world: &'w World,
    view: &'w View<'w>,
    uid: u32,
}

impl Asker<'_> {
    /// The answer in words: `found PATH`, `absent DIRECTORY NAME`, `outside`,
    /// `rewritten PATH` or `errno NUMBER`, then ` asked N` if the kernel was.
    fn ask(&self, base: Base<'_>, path: &str, options: Options) -> String {
        let who = Who {
            uid: self.uid,
            gid: self.uid,
            groups: Vec::new(),
        };
        let identity = Identity {
            uid: self.uid,
            gid: self.uid,
            groups: &[],
        };
        let mut kernel = ModelKernel {
            tree: &self.world.kernel,
            who: &who,
            calls: 0,
        };
        let mut scratch = PathBuffer::new();
        let path = path.as_bytes();
        let answer = resolve(
            self.view,
            base,
            path,
            options,
            &identity,
            &mut kernel,
            &mut scratch,
        );
        let mut words = match answer {
            Ok(Resolution::Found { mount, index }) => format!("found {}", self.path(mount, index)),
            Ok(Resolution::Absent {
                mount,
                parent,
                name,
                slash,
            }) => {
                let slash = if slash { "/" } else { "" };
                format!(
                    "absent {} {}{slash}",
                    self.path(mount, parent),
                    name.escape_ascii()
                )
            }
            Ok(Resolution::Outside) => "outside".into(),
            Ok(Resolution::Rewritten(path)) => format!("rewritten {}", path.to_str().unwrap()),
            Err(errno) => format!("errno {}", errno.0),
        };
        if kernel.calls > 0 {
            words += &format!(" asked {}", kernel.calls);
        }
        words
    }

    fn path(&self, mount: usize, index: u32) -> String {
        let mut out = [0; 8192];
        let path = self.view.canonical_path(mount, index, &mut out).unwrap();
        String::from_utf8(path.to_vec()).unwrap()
    }

    fn entry(&self, path: &str) -> Base<'static> {
        let mut scratch = PathBuffer::new();
        let who = Who {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
        };
        let identity = Identity {
            uid: 0,
            gid: 0,
            groups: &[],
        };
        let mut kernel = ModelKernel {
            tree: &self.world.kernel,
            who: &who,
            calls: 0,
        };
        let path = path.as_bytes();
        let (base, options) = (Base::Cwd(b"/"), Options::NO_FOLLOW);
        match resolve(
            self.view,
            base,
            path,
            options,
            &identity,
            &mut kernel,
            &mut scratch,
        ) {
            Ok(Resolution::Found { mount, index }) => Base::Entry { mount, index },
            other => panic!("{other:?} is no base"),
        }
    }

    /// Asks with absolute paths, or relative to `/`.
    fn expect(&self, options: Options, rows: &[(&str, &str)]) {
        self.expect_at(Base::Cwd(b"/"), options, rows);
    }

    fn expect_at(&self, base: Base<'_>, options: Options, rows: &[(&str, &str)]) {
        for (path, expected) in rows {
            let short = &path[..path.len().min(80)];
            assert_eq!(
                self.ask(base, path, options),
                *expected,
                "{short} from {base:?}"
            );
        }
    }
}

fn in_world(world: World, uid: u32, check: impl FnOnce(&Asker<'_>)) {
    with_view(&world, |view| {
        check(&Asker {
            world: &world,
            view,
            uid,
        })
    });
}

/// One mount, a few entries, symlinks every way.
fn plain() -> World {
    World::by_hand(
        &["/srv/v1/nm"],
        false,
        &[
            ("/srv/v1/nm/pkg/lib/x.js", 0o644),
            ("/srv/v1/nm/link -> pkg/lib", 0o777),
            ("/srv/v1/nm/absolute -> /srv/v1/nm/pkg", 0o777),
            ("/srv/v1/nm/out -> ../../else/where", 0o777),
            ("/srv/v1/nm/far -> /usr/bin/node", 0o777),
            ("/srv/v1/nm/dangling -> nothing", 0o777),
            ("/srv/v1/nm/slashed -> pkg/lib/x.js/", 0o777),
            ("/srv/v1/nm/loop -> loop", 0o777),
            ("/srv/v1/file", 0o644),
            ("/srv/else/where/", 0o755),
            ("/srv/back -> v1/nm", 0o777),
            ("/app/current -> /srv/v1", 0o777),
            ("/usr/bin/node", 0o755),
            ("/deep -> /usr/bin", 0o777),
        ],
    )
}

#[test]
fn what_the_mount_holds_and_what_it_lacks() {
    in_world(plain(), ROOT, |asker| {
        asker.expect(
            Options::FOLLOW,
            &[
                ("/srv/v1/nm", "found /srv/v1/nm"),
                ("/srv/v1/nm/", "found /srv/v1/nm"),
                ("/srv/v1/nm/pkg/lib/x.js", "found /srv/v1/nm/pkg/lib/x.js"),
                ("/srv/v1/nm/link/x.js", "found /srv/v1/nm/pkg/lib/x.js"),
                ("/srv/v1/nm/absolute/lib/", "found /srv/v1/nm/pkg/lib"),
                (
                    "/srv/v1/nm/link/../lib/./x.js",
                    "found /srv/v1/nm/pkg/lib/x.js",
                ),
                ("/srv/v1/nm/pkg/new", "absent /srv/v1/nm/pkg new"),
                ("/srv/v1/nm/pkg/new/", "absent /srv/v1/nm/pkg new/"),
                ("/srv/v1/nm/dangling", "absent /srv/v1/nm nothing"),
                ("/srv/v1/nm/dangling/", "absent /srv/v1/nm nothing/"),
                ("/srv/v1/nm/no/thing", "errno 2"),
                ("/srv/v1/nm/no/..", "errno 2"),
                ("/srv/v1/nm/pkg/lib/x.js/", "errno 20"),
                ("/srv/v1/nm/pkg/lib/x.js/..", "errno 20"),
                ("/srv/v1/nm/pkg/lib/x.js/y/z", "errno 20"),
                ("/srv/v1/nm/slashed", "errno 20"),
                ("/srv/v1/nm/loop", "errno 40"),
                ("", "errno 2"),
            ],
        );
        asker.expect(
            Options::NO_FOLLOW,
            &[
                ("/srv/v1/nm/link", "found /srv/v1/nm/link"),
                ("/srv/v1/nm/link/", "found /srv/v1/nm/pkg/lib"),
                ("/srv/v1/nm/loop", "found /srv/v1/nm/loop"),
                ("/srv/v1/nm/loop/", "errno 40"),
                ("/srv/v1/nm/loop/x", "errno 40"),
            ],
        );
    });
}

#[test]
fn what_is_outside_goes_to_the_kernel_unasked() {
    in_world(plain(), ROOT, |asker| {
        asker.expect(
            Options::FOLLOW,
            &[
                ("/", "outside"),
                ("/srv/v1", "outside"),
                ("/srv/v1/nmx/y", "outside"),
                ("/srv/v1/file/../other", "outside"),
                ("//usr//bin/node", "outside"),
                ("usr/bin/node", "outside"),
                ("../..", "outside"),
                // No `..` and no doubt: the mount's own name is enough.
                ("//srv/./v1//nm/pkg", "found /srv/v1/nm/pkg"),
                ("srv/v1/nm/pkg", "found /srv/v1/nm/pkg"),
            ],
        );
        // Not a path of this namespace: nothing is known about it.
        asker.expect_at(
            Base::Cwd(b"(unreachable)/srv"),
            Options::FOLLOW,
            &[("v1/nm", "outside")],
        );
    });
}

#[test]
fn what_leaves_the_mount_is_rewritten() {
    in_world(plain(), ROOT, |asker| {
        asker.expect(
            Options::FOLLOW,
            &[
                ("/srv/v1/nm/..", "rewritten /srv/v1"),
                ("/srv/v1/nm/../file", "rewritten /srv/v1/file"),
                ("/srv/v1/nm/../file/", "rewritten /srv/v1/file/"),
                ("/srv/v1/nm/../../../..", "rewritten /"),
                ("/srv/v1/nm/../../../../etc/../x", "rewritten /etc/../x"),
                ("/srv/v1/nm/out", "rewritten /srv/else/where"),
                ("/srv/v1/nm/out/", "rewritten /srv/else/where/"),
                (
                    "/srv/v1/nm/out/a/../b//c",
                    "rewritten /srv/else/where/a/../b//c",
                ),
                ("/srv/v1/nm/far", "rewritten /usr/bin/node"),
                ("/srv/v1/nm/../nm/pkg", "found /srv/v1/nm/pkg"),
            ],
        );
        asker.expect(
            Options::NO_FOLLOW,
            &[("/srv/v1/nm/far", "found /srv/v1/nm/far")],
        );
        // Calls that change a directory must not mistake `..` for a name.
        asker.expect(
            Options::ENTRY,
            &[
                ("/srv/v1/nm/..", "rewritten /srv/v1/."),
                ("/srv/v1/nm/../../..", "rewritten /."),
                ("/srv/v1/nm/../new/", "rewritten /srv/v1/new/"),
                ("/srv/v1/nm/out/", "found /srv/v1/nm/out"),
                ("/srv/v1/nm/pkg/lib/x.js/", "found /srv/v1/nm/pkg/lib/x.js"),
            ],
        );
    });
}

#[test]
fn where_exactness_matters_the_kernel_is_asked() {
    in_world(plain(), ROOT, |asker| {
        asker.expect(
            Options::FOLLOW,
            &[
                // Ancestors of a mount are directories.
                ("/srv/../srv/v1/nm/pkg", "found /srv/v1/nm/pkg"),
                ("/srv/else/../v1/nm/pkg", "found /srv/v1/nm/pkg asked 2"),
                // A symlink: its `..` is elsewhere.
                ("/deep/../srv/v1/nm/pkg", "outside asked 1"),
                (
                    "/app/current/../../srv/v1/nm/pkg",
                    "found /srv/v1/nm/pkg asked 2",
                ),
                ("/app/current/../v1/nm/pkg", "outside"),
                ("/srv/v1/file/../nm/pkg", "outside asked 2"),
                ("/srv/v1/no/../nm/pkg", "outside asked 1"),
            ],
        );
        asker.expect(
            EXACT,
            &[
                ("/app/current/nm/pkg", "found /srv/v1/nm/pkg asked 2"),
                ("/app/current/../v1/nm/pkg", "found /srv/v1/nm/pkg asked 2"),
                ("/srv/back/pkg", "found /srv/v1/nm/pkg asked 2"),
                ("/srv/back", "found /srv/v1/nm asked 2"),
                ("/usr/bin/node", "outside asked 3"),
            ],
        );
        let stay = Options {
            follow_final: false,
            ..EXACT
        };
        asker.expect(stay, &[("/srv/back", "outside asked 2")]);
    });
}

#[test]
fn every_kind_of_base() {
    in_world(plain(), ROOT, |asker| {
        let rows = [
            ("x.js", "found /srv/v1/nm/pkg/lib/x.js"),
            ("./x.js", "found /srv/v1/nm/pkg/lib/x.js"),
            ("..", "found /srv/v1/nm/pkg"),
            ("../../link", "found /srv/v1/nm/pkg/lib"),
            ("../../../file", "rewritten /srv/v1/file"),
            ("new", "absent /srv/v1/nm/pkg/lib new"),
            ("/usr", "outside"),
        ];
        asker.expect_at(Base::Cwd(b"/srv/v1/nm/pkg/lib"), Options::FOLLOW, &rows);
        asker.expect_at(Base::Dir(b"/srv/v1/nm/pkg/lib/"), Options::FOLLOW, &rows);
        asker.expect_at(asker.entry("/srv/v1/nm/pkg/lib"), Options::FOLLOW, &rows);

        let empty = Options {
            allow_empty: true,
            ..Options::FOLLOW
        };
        let file = asker.entry("/srv/v1/nm/pkg/lib/x.js");
        asker.expect_at(file, Options::FOLLOW, &[("", "errno 2"), ("a", "errno 20")]);
        asker.expect_at(file, empty, &[("", "found /srv/v1/nm/pkg/lib/x.js")]);
        let link = asker.entry("/srv/v1/nm/link");
        asker.expect_at(link, Options::FOLLOW, &[("../pkg/lib", "errno 20")]);
        asker.expect_at(Base::Cwd(b"/srv/v1/nm"), empty, &[("", "found /srv/v1/nm")]);
        asker.expect_at(Base::Dir(b"/srv/v1"), empty, &[("", "outside")]);
        asker.expect_at(
            Base::Cwd(b"/srv/v1/nm/gone"),
            Options::FOLLOW,
            &[("a", "errno 2")],
        );
        // The fuzzer found: what is no directory's path is no base, file or link.
        asker.expect_at(
            Base::Cwd(b"/srv/v1/nm/slashed/x"),
            Options::FOLLOW,
            &[("a/b", "errno 2")],
        );
        asker.expect_at(
            Base::Cwd(b"/srv/else"),
            Options::FOLLOW,
            &[
                ("../v1/nm/pkg", "found /srv/v1/nm/pkg"),
                ("where", "outside"),
            ],
        );
        // A descriptor may be a file: that costs a question.
        asker.expect_at(
            Base::Dir(b"/srv/v1/file"),
            Options::FOLLOW,
            &[("../nm/pkg", "outside asked 1")],
        );
    });
}

#[test]
fn search_permission_comes_before_existence() {
    let world = || {
        World::by_hand(
            &["/m"],
            false,
            &[
                ("/m/shut/", 0o700),
                ("/m/shut/in/x", 0o644),
                ("/m/self/", 0o600),
                ("/m/l -> shut", 0o777),
            ],
        )
    };
    in_world(world(), SOMEBODY, |asker| {
        asker.expect(
            Options::FOLLOW,
            &[
                ("/m/shut", "found /m/shut"),
                ("/m/shut/", "found /m/shut"),
                ("/m/l/", "found /m/shut"),
                ("/m/shut/.", "errno 13"),
                ("/m/shut/..", "errno 13"),
                ("/m/shut/in", "errno 13"),
                ("/m/shut/no", "errno 13"),
                ("/m/shut/no/no", "errno 13"),
                ("/m/l/in/x", "errno 13"),
            ],
        );
        // What is below may be open again to who already stands there.
        let inside = asker.entry("/m/shut/in");
        asker.expect_at(
            inside,
            Options::FOLLOW,
            &[("x", "found /m/shut/in/x"), ("../in", "errno 13")],
        );
        let inside = Base::Cwd(b"/m/shut/in");
        asker.expect_at(
            inside,
            Options::FOLLOW,
            &[("x", "found /m/shut/in/x"), ("../in", "errno 13")],
        );
    });
    in_world(world(), ROOT, |asker| {
        asker.expect(
            Options::FOLLOW,
            &[
                ("/m/shut/in/x", "found /m/shut/in/x"),
                ("/m/self/x", "absent /m/self x"),
                ("/m/self/..", "found /m"),
            ],
        );
    });
}

#[test]
fn forty_links_are_followed_and_one_more_is_not() {
    let links: Vec<String> = (0..41)
        .map(|number| format!("/m/{number} -> {}", number + 1))
        .collect();
    let mut entries: Vec<(&str, u32)> = links.iter().map(|link| (&link[..], 0o777)).collect();
    entries.push(("/m/41", 0o644));
    in_world(World::by_hand(&["/m"], false, &entries), ROOT, |asker| {
        asker.expect(
            Options::FOLLOW,
            &[("/m/1", "found /m/41"), ("/m/0", "errno 40")],
        );
        asker.expect(
            Options::NO_FOLLOW,
            &[("/m/0", "found /m/0"), ("/m/1/", "errno 20")],
        );
    });
}

#[test]
fn lengths_are_the_kernels() {
    in_world(plain(), ROOT, |asker| {
        let path = |name: &str| format!("/srv/v1/nm/{name}");
        let (longest, too_long) = ("n".repeat(255), "n".repeat(256));
        for options in [Options::FOLLOW, Options::NO_FOLLOW, Options::ENTRY] {
            let absent = format!("absent /srv/v1/nm {longest}");
            assert_eq!(asker.ask(Base::Cwd(b"/"), &path(&longest), options), absent);
            for (path, expected) in [
                (path(&too_long), "errno 36"),
                (path(&format!("./{too_long}")), "errno 36"),
                (path(&format!("{too_long}/x")), "errno 36"),
                (path(&format!("no/{too_long}")), "errno 2"),
                (path(&format!("pkg/lib/x.js/{too_long}")), "errno 20"),
                (path(&format!("{}{}", "./".repeat(2042), "pkg")), "errno 36"),
                (
                    path(&format!("{}{}", "./".repeat(2040), "pkg")),
                    "found /srv/v1/nm/pkg",
                ),
                (path(&format!("out/{}xx", "y/".repeat(2039))), "errno 36"),
                ("/".repeat(4096), "errno 36"),
                ("/".repeat(4095), "outside"),
            ] {
                assert_eq!(
                    asker.ask(Base::Cwd(b"/"), &path, options),
                    expected,
                    "{}",
                    path.len()
                );
            }
        }
    });
}

#[test]
fn nested_mounts_are_entered_and_left() {
    let world = World::by_hand(
        &["/m", "/m/a/b/in"],
        true,
        &[
            ("/m/x", 0o644),
            ("/m/down -> a/b/in/y", 0o777),
            ("/m/a/b/in/y", 0o644),
            ("/m/a/b/in/up -> ../../../x", 0o777),
        ],
    );
    in_world(world, ROOT, |asker| {
        asker.expect(
            Options::FOLLOW,
            &[
                ("/m/a/b/in/y", "found /m/a/b/in/y"),
                ("/m/./a/b/in/y", "found /m/a/b/in/y"),
                ("/m/down", "found /m/a/b/in/y"),
                ("/m/a/b/in/up", "found /m/x"),
                ("/m/a/b/in/../in/y", "found /m/a/b/in/y"),
                ("/m/a/b/../../x", "found /m/x"),
                // Only a way in: it has no metadata, so it does not exist.
                ("/m/a", "absent /m a"),
                ("/m/./a/", "absent /m a/"),
                ("/m/a/.", "absent /m a"),
                ("/m/a/b", "errno 2"),
                ("/m/a/b/in/..", "errno 2"),
                ("/m/a/no", "errno 2"),
                ("/m/a/b/in/../../../..", "rewritten /"),
            ],
        );
        let top = asker.entry("/m");
        asker.expect_at(top, Options::FOLLOW, &[("a/b/in/y", "found /m/a/b/in/y")]);
        asker.expect_at(
            Base::Cwd(b"/m"),
            Options::FOLLOW,
            &[("a/b/in/y", "found /m/a/b/in/y")],
        );
    });
}

#[test]
fn the_way_up_from_a_nested_mount_is_searched() {
    let world = World::by_hand(
        &["/m", "/m/shut/in"],
        false,
        &[
            ("/m/shut/", 0o700),
            ("/m/x", 0o644),
            ("/m/shut/in/up -> ../../x", 0o777),
            ("/m/shut/in/y", 0o644),
        ],
    );
    in_world(world, SOMEBODY, |asker| {
        asker.expect(
            Options::FOLLOW,
            &[
                // A mount is seen where it stands, whatever it stands in.
                ("/m/shut/in/y", "found /m/shut/in/y"),
                ("/m/shut/in/up", "errno 13"),
            ],
        );
    });
}

#[test]
fn a_mount_at_the_very_top_has_no_outside() {
    let world = World::by_hand(&["/", "/o/m"], false, &[("/x", 0o644), ("/o/m/y", 0o644)]);
    in_world(world, ROOT, |asker| {
        asker.expect(
            Options::FOLLOW,
            &[
                ("/", "found /"),
                ("///", "found /"),
                ("/..", "found /"),
                ("x", "found /x"),
                ("/o/m/y", "found /o/m/y"),
                ("/o/m/../m/y", "found /o/m/y"),
                ("/no", "absent / no"),
            ],
        );
        // Random worlds found: the path of the top entry must not count twice.
        asker.expect_at(asker.entry("/"), Options::FOLLOW, &[("o/m/", "found /o/m")]);
    });
}

#[test]
fn a_last_dot_outside_still_asks_for_a_directory() {
    // Random worlds found: the dot got lost, and a file passed for a directory.
    let world = World::by_hand(
        &["/o"],
        false,
        &[("/link -> //o//..", 0o777), ("/file", 0o644)],
    );
    in_world(world, ROOT, |asker| {
        asker.expect(EXACT, &[("/link/file/.", "rewritten /file/. asked 2")]);
    });
}

#[test]
fn a_loop_with_long_names_is_a_loop() {
    // Random worlds found: its texts fill the memory for links before the 40th.
    let name = "L".repeat(255);
    let link = format!("/o/c -> /o/m/../c/{name}/");
    let world = World::by_hand(
        &["/o/m"],
        false,
        &[(&link, 0o777), ("/o/m/l -> ../c", 0o777)],
    );
    in_world(world, ROOT, |asker| {
        for path in ["/o/c/.", "/o/m/l"] {
            let words = asker.ask(Base::Cwd(b"/"), path, EXACT);
            assert!(words.starts_with("errno 40 "), "{path}: {words}");
        }
    });
}

#[test]
fn slashes_too_many_are_one() {
    // Random worlds found: `..//x` in a target passed for `/x`, and `//x` just below
    // a mount was absent to the quick answer.
    let world = World::by_hand(
        &["/o"],
        false,
        &[
            ("/o/a/m/up -> ../..//x", 0o777),
            ("/o/a/m/over -> ..//..//..//o//x", 0o777),
            ("/o/x", 0o644),
        ],
    );
    in_world(world, ROOT, |asker| {
        asker.expect(
            Options::FOLLOW,
            &[
                ("/o/a/m/up", "found /o/x"),
                ("/o/a/m/over", "found /o/x"),
                ("/o//x", "found /o/x"),
            ],
        );
        for path in ["/o//x", "/o/a//m", "/o/./y", "/o/.."] {
            assert_eq!(
                asker.view.quick(path.as_bytes(), true),
                Quick::Unknown,
                "{path}"
            );
        }
        assert_eq!(asker.view.quick(b"/o/y", true), Quick::Absent);
        assert_eq!(asker.view.quick(b"/o/a/y", true), Quick::Absent);
    });
}

#[test]
fn creation_refuses_a_slash_wherever_it_is_spelled() {
    in_world(plain(), ROOT, |asker| {
        let creates = Options {
            creates: true,
            ..Options::FOLLOW
        };
        let rows = [
            ("/srv/v1/nm/pkg/new", "absent /srv/v1/nm/pkg new"),
            ("/srv/v1/nm/pkg/new/", "errno 21"),
            ("/srv/v1/nm/pkg/", "errno 21"),
            ("/srv/v1/nm/pkg/.", "found /srv/v1/nm/pkg"),
            ("/srv/v1/nm/", "errno 21"),
            ("/srv/v1/nm", "found /srv/v1/nm"),
            ("/srv/v1/nm/slashed", "errno 21"),
            ("/srv/v1/nm/link/x.js", "found /srv/v1/nm/pkg/lib/x.js"),
            ("/srv/v1/new/", "outside"),
        ];
        asker.expect(creates, &rows);
        // The name of a mount is not stepped on, so nothing is crossed.
        let within = Options {
            restrict: Restrict::NO_XDEV,
            ..creates
        };
        let rows = [
            ("/srv/v1/nm/", "errno 21"),
            ("//srv/v1/nm//", "errno 21"),
            ("/srv/v1/nm", "errno 18"),
            ("/srv/v1/nm/new/", "errno 18"),
            ("/srv/v1/nm/.", "errno 18"),
        ];
        asker.expect(within, &rows);
    });
}

#[test]
fn restrictions_are_heeded_on_the_whole_way() {
    in_world(plain(), ROOT, |asker| {
        let only = |restrict| Options {
            restrict,
            ..Options::FOLLOW
        };
        let lib = asker.entry("/srv/v1/nm/pkg/lib");
        let top = asker.entry("/srv/v1/nm");
        let (exdev, eloop) = ("errno 18", "errno 40");
        let rows = [
            ("../lib/x.js", exdev),
            ("./x.js", "found /srv/v1/nm/pkg/lib/x.js"),
            ("/x.js", exdev),
        ];
        asker.expect_at(lib, only(Restrict::BENEATH), &rows);
        let rows = [
            ("link/../lib/x.js", "found /srv/v1/nm/pkg/lib/x.js"),
            ("absolute", exdev),
            ("out", exdev),
        ];
        asker.expect_at(top, only(Restrict::BENEATH), &rows);
        let rows = [
            ("/../../pkg/lib", "found /srv/v1/nm/pkg/lib"),
            ("far", "errno 2"),
            ("out", "errno 2"),
        ];
        asker.expect_at(top, only(Restrict::IN_ROOT), &rows);
        let rows = [
            ("pkg/lib/../lib", "found /srv/v1/nm/pkg/lib"),
            ("link", eloop),
            ("out", eloop),
            ("../file", "rewritten /srv/v1/file"),
        ];
        asker.expect_at(top, only(Restrict::NO_SYMLINKS), &rows);
        let rows = [
            ("link", "found /srv/v1/nm/pkg/lib"),
            ("absolute", exdev),
            ("../file", exdev),
            ("/srv/v1/nm/pkg", exdev),
        ];
        asker.expect_at(top, only(Restrict::NO_XDEV), &rows);
        let above = Base::Dir(b"/srv/v1");
        let rows = [
            ("nm/link", "found /srv/v1/nm/pkg/lib"),
            ("nm/pkg/../../file", "rewritten /srv/v1/file"),
            ("nm/../../else", exdev),
        ];
        asker.expect_at(above, only(Restrict::BENEATH), &rows);
    });
}

#[test]
fn a_base_without_a_path_is_not_the_root() {
    // The fuzzer found: joined with the path, an empty base looked like `/`.
    let world = World::by_hand(&["/"], false, &[("/x", 0o644)]);
    in_world(world, ROOT, |asker| {
        asker.expect_at(
            Base::Cwd(b""),
            Options::FOLLOW,
            &[("x", "outside"), ("y/", "outside")],
        );
    });
}

#[test]
fn canonical_paths_follow_everything() {
    in_world(plain(), ROOT, |asker| {
        for (path, expected) in [
            (
                "/srv/v1/nm/absolute/../link/.//x.js",
                Ok(Canonical::Served(b"/srv/v1/nm/pkg/lib/x.js")),
            ),
            ("/srv/v1/nm/", Ok(Canonical::Served(b"/srv/v1/nm"))),
            ("/srv/v1/nm/far", Ok(Canonical::Rewritten(c"/usr/bin/node"))),
            ("/usr", Ok(Canonical::Outside)),
            ("/srv/v1/nm/dangling", Err(2)),
        ] {
            let who = Who {
                uid: 0,
                gid: 0,
                groups: Vec::new(),
            };
            let identity = Identity {
                uid: 0,
                gid: 0,
                groups: &[],
            };
            let mut kernel = ModelKernel {
                tree: &asker.world.kernel,
                who: &who,
                calls: 0,
            };
            let (mut scratch, mut out) = (PathBuffer::new(), [0; 4096]);
            let base = Base::Cwd(b"/");
            let answer = resolve_canonical(
                asker.view,
                base,
                path.as_bytes(),
                false,
                &identity,
                &mut kernel,
                &mut scratch,
                &mut out,
            );
            assert_eq!(answer.map_err(|errno| errno.0), expected, "{path}");
        }
    });
}
