//! Programs that people run: coreutils, findutils, tar, rsync, grep, perl, file.

use std::path::Path;
use std::sync::OnceLock;

use abi_tests::scratch::{self, Place};
use abi_tests::{Call, Fidelity, World, trees};

fn exact() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::of_everything("programs-exact", Fidelity::Exact))
}

fn usual() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::of_everything("programs", Fidelity::Usual))
}

/// A real tree, at nothing but its manifest: the source was moved away.
fn real() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        World::moved_away("real", |at| {
            for part in [
                "encodings",
                "email",
                "json",
                "unittest",
                "asyncio",
                "lib2to3",
            ] {
                let source = Path::new("/usr/lib/python3.11").join(part);
                std::fs::create_dir(at.join(part)).unwrap();
                trees::copy_of(&source, &at.join(part));
            }
        })
    })
}

fn all() -> [&'static World; 3] {
    [exact(), usual(), real()]
}

/// A script that starts in P.
fn script(world: &World, text: &str) -> Call {
    Call::bash(&format!("set -o pipefail; {text}")).cwd(&world.at)
}

/// Runs `text` in P of each of `worlds`.
fn same_in(worlds: &[&World], text: &str) {
    for world in worlds {
        let seen = world.same(&script(world, text));
        assert!(
            !seen.stdout.is_empty(),
            "prints nothing: {text}\n{}",
            seen.errors()
        );
    }
}

/// Whether blocks of files are counted as ext4 counts them, as a usual manifest assumes.
fn blocks_are_usual() -> bool {
    let outcome = Call::new("stat")
        .args(["-f", "-c", "%t"])
        .arg(&usual().plain)
        .run(None)
        .success();
    ["ef53", "794c7630"].contains(&outcome.text().trim())
}

fn with_blocks() -> Vec<&'static World> {
    if blocks_are_usual() {
        all().to_vec()
    } else {
        vec![exact()]
    }
}

/// Those of [`with_blocks`] where `..` of P is the same on both sides.
fn with_surroundings() -> Vec<&'static World> {
    with_blocks()
        .into_iter()
        .filter(|world| !std::ptr::eq(*world, real()))
        .collect()
}

#[test]
fn ls() {
    same_in(&with_blocks(), "ls -lR --time-style=full-iso");
    same_in(&with_surroundings(), "ls -la; ls -lanR \"$PWD\"");
    same_in(
        &all(),
        "ls -lRA --time-style=full-iso -g -o | grep -v ^total",
    );
    same_in(
        &all(),
        "ls -1pFR; ls -Q; ls -lSd *; ls -ltd * | awk '{print $NF}'; ls -LdH *",
    );
    same_in(
        &[exact()],
        "ls -laisR --time-style=full-iso; ls -lcR --time-style=full-iso; ls -luR --time-style=full-iso",
    );
    same_in(
        &[exact(), usual()],
        "ls -lLd links/* --time-style=full-iso | grep -v out; ls links/to-dir/ links/to-root/dir; ls missing plain.txt/ names",
    );
}

#[test]
fn find_printf_of_every_field() {
    let fields = r"%d %f %g %G %h %H %l %m %M %n %p %P %s %t %T@ %u %U %y %Y\0";
    same_in(&all(), &format!("find . -printf '{fields}' | sort -z"));
    same_in(
        &all(),
        &format!("find \"$PWD\" -printf '{fields}' | sort -z"),
    );
    same_in(
        &[exact()],
        r"find . -printf '%a %A@ %b %c %C@ %i %k %p %S\0' | sort -z",
    );
}

#[test]
fn find_tests() {
    let both = [exact(), usual()];
    let tests = [
        "-samefile hard/first",
        "-xtype l",
        "-lname '*plain*'",
        "-empty",
        "-perm -4000",
        "-perm 0",
        "-readable -type f",
        "-executable -type f",
        "-writable",
        "-newermt 2020-01-01",
        "-size +16k",
        "-links +1 -type f",
        "-user nobody",
        "-path '*sub*'",
        "-maxdepth 1",
        "-mindepth 3 -type d",
        "-name '*[a-b]*'",
        "-type l -xtype d",
        "-newer times/ns",
        "-regex '.*/same.*'",
    ];
    for test in tests {
        for world in both {
            let seen = world.same(&script(
                world,
                &format!("find . {test} -print0 2>&1 | tr '\\0' '\\n' | sort"),
            ));
            assert!(!seen.stdout.is_empty() || test == "-writable", "{test}");
        }
    }
    same_in(
        &both,
        "find -L dir hard links/to-dir links/loop-a -printf '%p %y %s\\n' 2>&1 | sort; find . -depth -print0 | sort -z",
    );
    same_in(&[exact()], "find . -inum $(stat -c %i hard/first) | sort");
}

#[test]
fn stat_of_every_entry() {
    let all_fields = "%a %A %f %F %g %G %h %n %N %o %s %t %T %u %U %y %Y\\n";
    same_in(
        &all(),
        &format!("find . -print0 | sort -z | xargs -0 stat --printf '{all_fields}'"),
    );
    same_in(
        &all(),
        &format!("find . -print0 | sort -z | xargs -0 stat -L --printf '{all_fields}'; true"),
    );
    same_in(
        &[exact()],
        "find . -print0 | sort -z | xargs -0 stat --printf '%n %i %b %B %w %W %x %X %z %Z\\n'",
    );
    same_in(
        &with_blocks(),
        "find . -print0 | sort -z | xargs -0 stat --printf '%n %b %B\\n'",
    );
}

#[test]
fn tar() {
    let skip = "--exclude=big-sparse";
    same_in(&all(), &format!("tar c --sort=name {skip} . | sha256sum"));
    same_in(
        &all(),
        &format!(
            "tar c --sort=name {skip} --format=posix --pax-option=delete=atime,delete=ctime . | tar tv"
        ),
    );
    same_in(
        &[exact()],
        &format!("tar c --sort=name {skip} --format=posix . | sha256sum"),
    );
    same_in(&[exact()], "tar cS --sort=name --format=gnu . | sha256sum");
    same_in(
        &all(),
        &format!(
            "tar c --sort=name {skip} -C .. tree | sha256sum; tar c --sort=name {skip} \"$PWD\" 2>&1 | sha256sum"
        ),
    );
}

#[test]
fn tar_keeps_attributes() {
    same_in(
        &[exact(), usual()],
        "tar c --xattrs --sort=name --pax-option=delete=atime,delete=ctime dir plain.txt | tar tvv --xattrs",
    );
}

#[test]
fn sums() {
    let files = "find . -type f -size -100000000c -print0 | sort -z | xargs -0";
    same_in(&all(), &format!("{files} sha256sum"));
    same_in(
        &all(),
        &format!("{files} wc; {files} md5sum | sort | uniq -c | sort -rn"),
    );
    same_in(
        &[exact(), usual()],
        "tail -c 100 big-sparse | md5sum; head -c 100000 big-sparse | md5sum; stat -c %s big-sparse",
    );
}

#[test]
fn du() {
    same_in(
        &with_blocks(),
        "du -al | sort; du -hal . | sort; du -s .; du -sl .; du -sc dir hard",
    );
    same_in(
        &all(),
        "du -al --apparent-size -b | sort; du -sb; du --inodes -al | sort; du --inodes -s",
    );
    same_in(
        &[exact()],
        "du -al --time=atime --time-style=full-iso | sort; du -alL hard dir | sort",
    );
}

/// Runs `copy` (with `$OUT` to fill) on both sides and compares what it made.
fn copies_are_the_same(world: &World, copy: &str, more: &str) {
    let out = scratch::directory(Place::Disk, "out");
    let list = format!(
        "find . -mindepth 1 -type d -printf '%p %m %n %U %G %T@\\n' | sort; find . ! -type d -printf '%p %y %m %s %n %U %G %T@ %l{more}\\n' | sort; find . -type f -size -100000000c | sort | xargs -d '\\n' sha256sum"
    );
    let text = format!("rm -rf \"$OUT\"/*; {copy}; echo \"status $?\"; cd \"$OUT\" && {list}");
    let seen = world.same(&script(world, &text).env("OUT", &out));
    assert!(
        seen.text().contains("status 0"),
        "{}{}",
        seen.text(),
        seen.errors()
    );
}

#[test]
fn copies_by_cp() {
    for world in [usual(), real()] {
        copies_are_the_same(world, "cp -a . \"$OUT\"/copy", "");
    }
    copies_are_the_same(exact(), "cp -a \"$PWD\" \"$OUT\"", " %b");
    copies_are_the_same(usual(), "cp -rL --preserve=all hard dir \"$OUT\"", "");
    copies_are_the_same(
        usual(),
        "cp -r --preserve=all --no-dereference links dir hard \"$OUT\"",
        "",
    );
    copies_are_the_same(usual(), "cp -dp links/* plain.txt \"$OUT\"", "");
    copies_are_the_same(
        usual(),
        "install -m 751 -p dir/same-a plain.txt \"$OUT\"",
        "",
    );
    copies_are_the_same(
        usual(),
        "dd if=bytes-70000 of=\"$OUT\"/dd bs=999 status=none; touch -d @1 \"$OUT\"/dd",
        "",
    );
    copies_are_the_same(
        usual(),
        "tar c --exclude=big-sparse . | tar xp --warning=no-timestamp -C \"$OUT\"",
        "",
    );
}

#[test]
fn copies_by_rsync() {
    for world in [usual(), real()] {
        copies_are_the_same(
            world,
            "rsync -aH --sparse --exclude=big-sparse ./ \"$OUT\"/; rsync -aHn --exclude=big-sparse -i --delete ./ \"$OUT\"/",
            "",
        );
    }
}

#[test]
fn a_copy_is_the_tree() {
    let out = scratch::directory(Place::Disk, "out");
    let copy = script(usual(), "cp -a . \"$OUT\"/copy").env("OUT", &out);
    let _ = usual().served(&copy).success();
    assert_eq!(
        std::fs::metadata(out.join("copy/big-sparse"))
            .unwrap()
            .len(),
        5 << 30
    );
    let compare = Call::new("diff")
        .args(["-r", "--no-dereference", "--exclude=big-sparse"])
        .arg(out.join("copy"))
        .arg(&usual().plain);
    let seen = compare.run(None).success();
    assert_eq!(seen.text(), "");
}

#[test]
fn paths() {
    let worlds = [exact(), usual()];
    same_in(
        &worlds,
        "find . -print0 | sort -z | xargs -0 readlink -f; find . -print0 | sort -z | xargs -0 readlink -e; true",
    );
    same_in(
        &worlds,
        "find . -print0 | sort -z | xargs -0 realpath; find . -print0 | sort -z | xargs -0 realpath -m; true",
    );
    same_in(
        &worlds,
        "realpath --relative-to=dir links/* hard/*; readlink links/*; realpath -s links/to-dir/..; realpath -L links/to-dir/..",
    );
    same_in(
        &worlds,
        "namei -l \"$PWD\"/links/to-dir-absolute/sub/same-c links/out-and-back; basename \"$PWD\"; pwd -P; env pwd; env pwd -L",
    );
}

#[test]
fn reading() {
    let worlds = [exact(), usual()];
    same_in(
        &worlds,
        "cat plain.txt links/relative dir/* 2>&1; cat < links/to-dir/same-a; cat missing links/self plain.txt/ dir; cat -- names/-*",
    );
    same_in(
        &worlds,
        "head -n 1 plain.txt dir/same-a; tail -n 1 plain.txt; tac plain.txt; nl plain.txt; od -c bytes-511 | md5sum; cut -c1 plain.txt",
    );
    same_in(
        &worlds,
        "sort -r plain.txt dir/same-*; wc plain.txt wide/*; uniq plain.txt; paste plain.txt dir/same-a; comm plain.txt plain.txt; join plain.txt plain.txt",
    );
    same_in(
        &worlds,
        "cmp bytes-4095 bytes-4096; cmp dir/same-a dir/same-b && echo same; diff plain.txt dir/same-a; diff -r dir hard; diff -rq --no-dereference links hard; true",
    );
    same_in(
        &worlds,
        "grep -r --exclude=big-sparse needle . 2>&1 | sort; grep -rl --include='same-*' content dir | sort; grep -c o plain.txt; grep -R linked hard links/to-dir 2>&1 | sort",
    );
    same_in(
        &worlds,
        "awk '{print FILENAME, $0}' plain.txt dir/same-a; sed -n 2p plain.txt; split -l 1 plain.txt; base64 one; xxd one 2>/dev/null; sum plain.txt; cksum plain.txt; true",
    );
    same_in(
        &worlds,
        "gzip -c plain.txt | sha256sum; xz -c plain.txt | xz -d; zcat missing; true",
    );
}

#[test]
fn perl() {
    let worlds = [exact(), usual()];
    same_in(
        &worlds,
        r#"perl -MFile::Find -MCwd=abs_path,getcwd -e 'find({wanted => sub { my @s = lstat $_; print join(" ", $File::Find::name, @s[2,3,4,5,7,9]), "\n" unless /big/ }, preprocess => sub { sort @_ }}, "."); print getcwd(), abs_path("links/to-dir"), "\n"; for (glob "links/* modes/*") { next if /out/; print "$_:", (map { eval "-$_ \$ARGV" if 0; () } ()), (-e $_ ? 1:0), (-r _ ? 1:0), (-d _ ? 1:0), (-l $_ ? readlink $_ : ""), "\n" } opendir my $d, "names" or die; print join("|", sort readdir $d), "\n"; rewinddir $d; print scalar(() = readdir $d), "\n"; open my $f, "<", "plain.txt"; print <$f>; print -s $f, "\n"; print "no: $!\n" unless open my $g, ">", "plain.txt"; do "./missing.pl" or print "do: $!\n"'"#,
    );
}

/// `file` installs a seccomp filter of its own before it opens anything.
#[test]
fn file_with_its_own_seccomp_filter() {
    same_in(
        &[exact(), usual()],
        "file * links/* dir/* | grep -v big-sparse; file -i plain.txt; file -L links/to-dir links/absolute; file missing; file -s empty",
    );
}

#[test]
fn changes_are_refused() {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    let attempts = [
        "touch new",
        "touch plain.txt",
        "touch -d @0 dir",
        "rm plain.txt",
        "rm -f plain.txt",
        "rm -rf dir 2>&1 | sort",
        "rmdir dir/sub/empty",
        "mkdir new",
        "mkdir -p dir/sub/new",
        "mkdir dir",
        "mv plain.txt new",
        "mv dir hard",
        "mv plain.txt ../outside/",
        "ln plain.txt new",
        "ln -s x new",
        "ln -sf x links/relative",
        "chmod 600 plain.txt",
        "chmod -R go-r dir 2>&1 | sort",
        "chown 5 plain.txt",
        "chown -h 5 links/relative",
        "echo x > plain.txt",
        "echo x >> plain.txt",
        "echo x > new",
        "echo x | tee dir/new",
        "cp /etc/passwd new",
        "cp -f /etc/passwd plain.txt",
        "sed -i s/one/two/ plain.txt 2>&1 | sed 's,/sed[A-Za-z0-9]*:,/sed:,'",
        "truncate -s 0 plain.txt",
        "dd if=/dev/zero of=plain.txt count=1 status=none",
        "mkfifo new",
        "mktemp -p .",
        "mktemp -d ./XXXXXX",
        "install plain.txt new",
        "tar xf /dev/null -C .",
        "split plain.txt",
        "sort -o plain.txt plain.txt",
        "shred -u one",
        "unlink plain.txt",
        "link plain.txt new",
        "patch plain.txt /dev/null",
        "rsync /etc/passwd new 2>&1 | sed 's/\\.[A-Za-z0-9]*\\\" failed/ failed/'",
        "perl -i -pe 1 plain.txt",
        "echo x > links/relative",
        "echo x > links/dangling",
        "cat > dir/new < plain.txt",
        "exec 5<> plain.txt",
        "set -C; echo x > plain.txt",
    ];
    for world in [exact(), usual()] {
        world.all_same(attempts.map(|attempt| {
            script(world, &format!("{attempt}; echo $?")).env("TMPDIR", "/dev/shm")
        }));
        let _ = world.same(&script(
            world,
            "find . -printf '%p %y %m %s %T@ %l\\n' | sort; cat plain.txt",
        ));
    }
}

/// A directory of ten thousand, all of them there whatever way it is read.
#[test]
fn wide_directory() {
    let world = World::new("wide", Fidelity::Exact, |base, _| trees::wide(base, 10_000));
    same_in(
        &[&world],
        "ls wide | wc -l; ls -l wide | sha256sum; find wide -printf '%f %s %i %T@\\n' | sort | sha256sum; ls wide/*99 | tail -3; echo wide/*1 | wc; ls -U wide | sort | sha256sum",
    );
}

/// What the time stamps and sizes of a plain copy would hide: that it is a manifest which answers.
#[test]
fn the_preload_is_what_serves() {
    let world = usual();
    let bare = Call::new("ls").arg(&world.at).run(None).success();
    assert_eq!(
        bare.text(),
        "",
        "the mount point must be empty without the preload"
    );
    let seen = world
        .served(&Call::new("cat").arg(world.path("plain.txt")))
        .success();
    assert_eq!(seen.text(), "one\ntwo\nthree\n");
}
