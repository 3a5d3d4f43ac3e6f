//! Several manifests at once, one inside the other; the ways to name them.

use std::path::{Path, PathBuf};

use abi_tests::namespace::{self, Namespace};
use abi_tests::trees::Tree;
use abi_tests::{Call, Fidelity, World, artifacts, compare};

/// A tree, another mounted on its directory `dir/inner`, and a third beside it.
struct Mounts {
    outer: World,
    inner: (PathBuf, PathBuf),
    beside: (PathBuf, PathBuf),
}

fn mounts(name: &str) -> Mounts {
    let outer = World::new(name, Fidelity::Usual, |base, at| {
        let tree = Tree::in_directory(base);
        tree.dir("dir/inner")
            .file("dir/inner/hidden", "hidden by the mount\n");
        tree.file("dir/file", "outer\n")
            .file("dir/inner.txt", "not inside\n");
        tree.link("to-inner", "dir/inner")
            .link("deep", at.join("dir/inner/sub"));
        tree.link("aside", "../outside/beside/file");
    });
    let other = |place: PathBuf, fill: &dyn Fn(&Tree)| {
        let plain = outer
            .plain
            .with_file_name(place.file_name().unwrap())
            .with_extension("plain");
        std::fs::create_dir(&plain).unwrap();
        fill(&Tree::in_directory(&plain));
        let manifest = plain.with_extension("velo");
        if !abi_tests::world::oracle_only() {
            let build = Call::new(artifacts::velo_ctl())
                .arg("build-manifest")
                .arg(&plain);
            let build = build.arg("--at").arg(&place).arg("-o").arg(&manifest);
            let _ = outer.with_store(&build).run(None).success();
        }
        (plain, manifest)
    };
    let inner = other(outer.path("dir/inner"), &|tree| {
        tree.dir("sub")
            .file("sub/file", "inner\n")
            .file("top", "top\n")
            .file("file", "inner too\n");
        tree.link("up", "../file")
            .link("out", "../../plain")
            .link("root", "/")
            .link("far", "../../to-inner/sub/file");
    });
    let beside = other(outer.outside.join("beside"), &|tree| {
        tree.file("file", "beside\n")
            .link("back", "../../tree/dir/file")
            .dir("d")
            .file("d/f", "f\n");
    });
    std::fs::create_dir(outer.outside.join("beside")).unwrap();
    Mounts {
        outer,
        inner,
        beside,
    }
}

impl Mounts {
    fn same(&self, order: [&Path; 3], script: &str) {
        let call = Call::bash(script)
            .env("P", &self.outer.at)
            .env("B", self.outer.outside.join("beside"));
        let plain = Namespace::guarded().bind(&self.outer.plain, &self.outer.at);
        let plain = plain.bind(&self.inner.0, &self.outer.path("dir/inner"));
        let plain = call.run(Some(
            plain.bind(&self.beside.0, &self.outer.outside.join("beside")),
        ));
        assert!(!plain.stdout.is_empty(), "prints nothing: {script}");
        let list = order.map(|path| path.display().to_string()).join(":");
        let served = self
            .outer
            .preloaded(&call)
            .env("VELO_MANIFEST", &list)
            .run(Some(Namespace::guarded()));
        if let Some(report) = compare::difference(&plain, &served) {
            panic!("VELO_MANIFEST={list}\n{script}\n{report}");
        }
    }
}

const SCRIPTS: [&str; 6] = [
    "cd $P; find . -printf '%p %y %s %m %l %T@\\n' | sort; cat dir/file dir/inner/file dir/inner/sub/file to-inner/top aside deep/file; cat dir/inner/hidden",
    "cd $P/to-inner; pwd; pwd -P; cat up ../file ../../to-inner/top; cd ..; pwd -P; cd sub 2>&1; cd $P/dir/inner/sub; cd ../..; pwd; ls -l",
    "cat $B/file $B/back $B/d/f; cd $B/d; cat ../back ../../../tree/to-inner/far; pwd; cd $P/dir/inner; cat out 2>&1; realpath up far root out; ls ..",
    "ls -l $P/dir $P/dir/inner/ $B; for f in $P/dir/inner $P/dir/inner/.. $P/deep $P/aside; do stat -c '%s %A %n' $f; realpath $f; done; echo $P/*/* $P/dir/inner/*",
    "echo x > $P/dir/inner/new; mkdir $P/dir/inner/new; mv $P/dir/inner/top $P/dir/; ln $P/dir/file $P/dir/inner/f; mv $P/dir/file $B/; rmdir $P/dir/inner/sub; echo $?",
    "cd $P; exec 5< dir/inner; ls /proc/self/fd/5/; cd dir/inner; (cat file; cd ..; cat file); env -i /bin/cat file ../file; python3 -c 'import os; print(sorted(os.listdir(\"..\")), os.getcwd())'",
];

#[test]
fn one_inside_the_other_and_one_beside() {
    if !namespace::or_skip() {
        return;
    }
    let mounts = mounts("mounts");
    let (outer, inner, beside) = (&*mounts.outer.manifest, &*mounts.inner.1, &*mounts.beside.1);
    if abi_tests::world::oracle_only() {
        return;
    }
    for script in SCRIPTS {
        for order in [[outer, inner, beside], [beside, inner, outer]] {
            mounts.same(order, script);
        }
    }
}

/// A manifest named by a relative path is the same one after the directory was left.
#[test]
fn relative_names_of_manifests() {
    if abi_tests::world::oracle_only() {
        return;
    }
    let world = World::of_everything("relative", Fidelity::Usual);
    let script = "cat one; cd / && sh -c 'cat \"$0\"/one' \"$P\"; cd \"$P\"/dir && env cat same-a";
    let call = Call::bash(script)
        .env("P", &world.at)
        .started_in(world.manifest.parent().unwrap());
    let call = world.preloaded(&call).env("VELO_MANIFEST", "manifest.velo");
    let seen = call.run(None);
    // The first is in the directory of the manifest, where there is none.
    assert_eq!(seen.text(), "1the same content\n", "{}", seen.errors());
}

/// `velo-ctl use` makes a manifest the one that is served when none is named.
#[test]
fn the_current_manifest() {
    if abi_tests::world::oracle_only() {
        return;
    }
    let world = World::of_everything("current", Fidelity::Usual);
    let cat = world
        .preloaded(&Call::new("cat").arg(world.path("one")))
        .env("VELO_MANIFEST", "");
    assert_eq!(cat.run(None).text(), "", "no manifest is in use yet");
    let choose = Call::new(artifacts::velo_ctl())
        .arg("use")
        .arg(&world.manifest);
    let _ = world.with_store(&choose).run(None).success();
    assert_eq!(cat.run(None).success().text(), "1");
}
