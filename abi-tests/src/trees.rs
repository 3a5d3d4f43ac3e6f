//! Makes the trees that the tests are about.
//!
//! A tree is made in one place (`base`) to be seen in another (`at`): absolute symlinks name
//! the place where it will be seen. Everything is fixed: the same call makes the same tree.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A tree that is being made; every call panics with the path if it fails.
#[derive(Debug)]
pub struct Tree {
    base: PathBuf,
}

impl Tree {
    /// A tree in the existing directory `base`.
    #[must_use]
    pub fn in_directory(base: &Path) -> Self {
        Self {
            base: base.to_path_buf(),
        }
    }

    fn path(&self, rel: impl AsRef<OsStr>) -> PathBuf {
        self.base.join(rel.as_ref())
    }

    /// A directory, with its parents.
    pub fn dir(&self, rel: impl AsRef<OsStr>) -> &Self {
        let path = self.path(rel);
        done(std::fs::create_dir_all(&path), &path);
        self
    }

    /// A file of mode 0644.
    pub fn file(&self, rel: impl AsRef<OsStr>, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(rel);
        done(std::fs::write(&path, content), &path);
        self
    }

    /// A symlink to `target`.
    pub fn link(&self, rel: impl AsRef<OsStr>, target: impl AsRef<OsStr>) -> &Self {
        let path = self.path(rel);
        done(symlink(target.as_ref(), &path), &path);
        self
    }

    /// A second name of `existing`, which may be a symlink itself.
    pub fn hard_link(&self, rel: impl AsRef<OsStr>, existing: impl AsRef<OsStr>) -> &Self {
        let path = self.path(rel);
        done(std::fs::hard_link(self.path(existing), &path), &path);
        self
    }

    /// Sets the permissions, all 12 bits.
    pub fn mode(&self, rel: impl AsRef<OsStr>, mode: u32) -> &Self {
        let path = self.path(rel);
        done(
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)),
            &path,
        );
        self
    }

    /// Sets the owner, where the tests run as root.
    pub fn owner(&self, rel: impl AsRef<OsStr>, user: u32, group: u32) -> &Self {
        let path = self.path(rel);
        if crate::is_root() {
            done(
                std::os::unix::fs::lchown(&path, Some(user), Some(group)),
                &path,
            );
        }
        self
    }

    /// Sets the time of last change, and another of last access.
    pub fn time(&self, rel: impl AsRef<OsStr>, seconds: i64, nanoseconds: i64) -> &Self {
        let path = self.path(rel);
        let name = text(&path);
        let at = |tv_sec, tv_nsec| libc::timespec { tv_sec, tv_nsec };
        let times = [at(seconds ^ 1, 1), at(seconds, nanoseconds)];
        // SAFETY: a NUL-terminated path and two times.
        let result = unsafe {
            libc::utimensat(
                libc::AT_FDCWD,
                name.as_ptr(),
                times.as_ptr(),
                libc::AT_SYMLINK_NOFOLLOW,
            )
        };
        done(crate::call::check(result), &path);
        self
    }

    /// Sets an extended attribute, where the file system has them. Says whether it has.
    pub fn attribute(&self, rel: impl AsRef<OsStr>, name: &str, value: &[u8]) -> bool {
        let (path, name) = (
            text(&self.path(rel)),
            CString::new(name).unwrap_or_default(),
        );
        // SAFETY: NUL-terminated path and name, a value with its own length.
        unsafe {
            libc::lsetxattr(
                path.as_ptr(),
                name.as_ptr(),
                value.as_ptr().cast(),
                value.len(),
                0,
            ) == 0
        }
    }

    /// A file of `bytes` with data in one block in the middle only.
    pub fn sparse(&self, rel: impl AsRef<OsStr>, bytes: u64) -> &Self {
        use std::os::unix::fs::FileExt;
        let path = self.path(rel);
        let make = || {
            let file = std::fs::File::create(&path)?;
            file.set_len(bytes)?;
            file.write_all_at(&[7; 4096], (bytes / 2) & !4095)
        };
        done(make(), &path);
        self
    }

    /// A copy of the file `source` of the machine, with `mode`.
    pub fn copy(&self, rel: impl AsRef<OsStr>, source: &Path, mode: u32) -> &Self {
        let path = self.path(&rel);
        done(std::fs::copy(source, &path).map(|_| ()), &path);
        self.mode(rel, mode)
    }
}

fn done(result: std::io::Result<()>, path: &Path) {
    if let Err(error) = result {
        panic!("{}: {error}", path.display());
    }
}

fn text(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

/// Of everything a tree can hold, at least one.
pub fn everything(base: &Path, at: &Path) {
    let tree = Tree::in_directory(base);
    contents(&tree);
    names(&tree);
    links(&tree, at);
    knots(&tree);
    modes(&tree);
    times(&tree);
}

fn contents(tree: &Tree) {
    tree.file("plain.txt", "one\ntwo\nthree\n")
        .file("empty", "")
        .file("one", "1");
    for bytes in [511_usize, 4095, 4096, 4097, 70_000] {
        let content: Vec<u8> = (0..bytes).map(|at| (at * at / 7 + at) as u8).collect();
        tree.file(format!("bytes-{bytes}"), content);
    }
    tree.sparse("sparse", 1 << 20).sparse("big-sparse", 5 << 30);
    tree.dir("dir/sub/empty")
        .file("dir/same-a", "the same content\n")
        .file("dir/same-b", "the same content\n");
    tree.file("dir/sub/same-c", "the same content\n")
        .file("dir/sub/grep-me", "needle in a haystack\n");
    tree.dir("hard")
        .file("hard/first", "linked\n")
        .hard_link("hard/second", "hard/first");
    tree.dir("hard/elsewhere")
        .hard_link("hard/elsewhere/third", "hard/first");
    tree.link("hard/symlink", "first")
        .hard_link("hard/symlink-too", "hard/symlink");
    let deep = (0..40)
        .map(|level| format!("level-{level:02}"))
        .collect::<Vec<_>>()
        .join("/");
    tree.dir(format!("deep/{deep}"))
        .file(format!("deep/{deep}/bottom"), "deep\n");
    tree.dir("wide");
    for number in 0..700 {
        tree.file(format!("wide/file-{number:04}"), format!("{number}\n"));
    }
    tree.attribute("plain.txt", "user.velo.note", b"kept");
    tree.attribute("dir", "user.velo.empty", b"");
}

fn names(tree: &Tree) {
    tree.dir("names");
    let odd: [&[u8]; 20] = [
        b" ",
        b"  two spaces ",
        b"new\nline",
        b"tab\tname",
        b"-rf",
        b"--help",
        b"*",
        b"?[a-z]",
        b"'single'",
        b"\"double\"",
        b"back\\slash",
        b"...",
        b".hidden",
        b"..data",
        b"\xc3\xa9\xe6\x97\xa5",
        b"\xff\xfe not utf-8 \x80",
        b"\x01\x7f",
        b"$HOME",
        b"a;b&c|d",
        b"~",
    ];
    for (number, name) in odd.iter().enumerate() {
        let path = Path::new("names").join(OsStr::from_bytes(name));
        tree.file(path, format!("odd {number}\n"));
    }
    tree.file(format!("names/{}", "x".repeat(255)), "longest\n");
    tree.dir(format!("names/{}", "d".repeat(255)))
        .file(format!("names/{}/inner", "d".repeat(255)), "inside\n");
    // Names that are prefixes of each other, around the order of '/' and '.'.
    tree.dir("names/a")
        .file("names/a/z", "")
        .file("names/a.b", "")
        .file("names/a-b", "")
        .file("names/aa", "");
}

fn links(tree: &Tree, at: &Path) {
    let at = at.display().to_string();
    let outside = "../outside";
    tree.dir("links")
        .link("links/relative", "../plain.txt")
        .link("links/absolute", format!("{at}/plain.txt"));
    tree.link("links/dangling", "nowhere")
        .link("links/dangling-deep", "../nowhere/at/all");
    tree.link("links/self", "self")
        .link("links/loop-a", "loop-b")
        .link("links/loop-b", "loop-a");
    tree.link("links/to-dir", "../dir")
        .link("links/to-dir-slash", "../dir/")
        .link("links/to-dir-absolute", format!("{at}/dir"));
    tree.link("links/dot", ".")
        .link("links/dotdot", "..")
        .link("links/to-root", &at)
        .link("links/slash", "/");
    tree.link("links/messy", "..//./dir/.././dir//sub/")
        .link("links/file-slash", "../plain.txt/");
    tree.link("links/through-file", "../plain.txt/below")
        .link("links/hosts", "/etc/hostname");
    tree.link("links/out", format!("../{outside}"))
        .link("links/out-file", format!("../{outside}/file"));
    tree.link("links/out-dangling", format!("../{outside}/nothing"))
        .link("links/back", "../../tree/plain.txt");
    tree.link(
        "links/out-and-back",
        format!("../{outside}/../tree/dir/same-a"),
    );
    tree.link(
        "links/through-outside",
        format!("../{outside}/return/dir/same-a"),
    );
    tree.link("links/a-link-to-a-link", "relative").link(
        "links/long-target",
        format!("../{}plain.txt", "./".repeat(1900)),
    );
    tree.file("links/chain-00", "end of the chain\n");
    for number in 1..=42 {
        tree.link(
            format!("links/chain-{number:02}"),
            format!("chain-{:02}", number - 1),
        );
    }
}

/// Symlinks that walks can follow in circles, without one that fails; `out` leads out of the tree.
fn knots(tree: &Tree) {
    tree.dir("knots/a/b/c")
        .file("knots/a/file", "knotted\n")
        .link("knots/a/b/up", "../../a")
        .link("knots/a/b/c/top", "../../..");
    tree.dir("knots/z")
        .link("knots/z/to-a", "../a")
        .link("knots/z/here", ".")
        .link("knots/z/to-file", "../a/file")
        .link("knots/z/dangling", "nowhere")
        .link("knots/out", "../../outside/walk");
}

/// What is beside P for the links of [`everything`] that lead out; `return` and `walk/tree` lead back.
pub fn neighbours(outside: &Path, at: &Path) {
    let tree = Tree::in_directory(outside);
    tree.file("file", "outside\n")
        .dir("inner")
        .file("inner/file", "outside too\n")
        .link("return", at)
        .link("gone", "nothing")
        .dir("walk/inner")
        .file("walk/inner/file", "outside as well\n")
        .link("walk/tree", at.join("knots"));
}

fn modes(tree: &Tree) {
    tree.dir("modes");
    for mode in [
        0o000, 0o111, 0o200, 0o400, 0o444, 0o600, 0o640, 0o755, 0o1644, 0o2755, 0o4755, 0o6711,
    ] {
        let name = format!("modes/file-{mode:04o}");
        tree.file(&name, format!("mode {mode:o}\n"))
            .mode(&name, mode);
    }
    for mode in [0o000, 0o111, 0o444, 0o700, 0o711, 0o755, 0o1777, 0o2775] {
        let name = format!("modes/dir-{mode:04o}");
        tree.dir(&name)
            .dir(format!("{name}/sub"))
            .file(format!("{name}/file"), "inside\n")
            .mode(&name, mode);
    }
    tree.dir("owners")
        .file("owners/user", "u\n")
        .file("owners/large", "l\n")
        .file("owners/secret", "s\n");
    tree.dir("owners/private")
        .file("owners/private/file", "mine\n")
        .link("owners/link", "user");
    tree.owner("owners/user", 1000, 1001)
        .owner("owners/large", 4_000_000_000, 3_999_999_999);
    tree.owner("owners/secret", crate::NOBODY, crate::NOBODY)
        .mode("owners/secret", 0o600);
    tree.owner("owners/private/file", crate::NOBODY, 0)
        .mode("owners/private/file", 0o400);
    tree.owner("owners/private", crate::NOBODY, 0)
        .mode("owners/private", 0o700)
        .owner("owners/link", 77, 88);
}

fn times(tree: &Tree) {
    tree.dir("times/dir");
    let moments = [
        ("zero", 0, 0),
        ("ns", 1_600_000_000, 123_456_789),
        ("almost", 1_600_000_000, 999_999_999),
        ("first", 0, 1),
        ("before", -1, 500_000_000),
        ("long-before", -2_147_483_648, 0),
        ("late", 4_294_967_296, 7),
        ("later", 15_032_385_535, 0),
    ];
    for (name, seconds, nanoseconds) in moments {
        tree.file(format!("times/{name}"), name).time(
            format!("times/{name}"),
            seconds,
            nanoseconds,
        );
    }
    tree.link("times/link", "zero")
        .time("times/link", 1_234_567_890, 42);
    tree.time("times/dir", -86_400, 3)
        .time("times", 1_700_000_000, 5);
}

/// A directory of `count` small files in two levels: one wide directory, some nested.
pub fn wide(base: &Path, count: usize) {
    let tree = Tree::in_directory(base);
    tree.dir("wide");
    for number in 0..count {
        tree.file(
            format!(
                "wide/{:x}-{number}",
                number.wrapping_mul(2_654_435_761) & 0xffff
            ),
            format!("{number}"),
        );
    }
}

/// Copies the machine's tree `source` into `base`.
///
/// # Panics
/// If `cp` fails.
pub fn copy_of(source: &Path, base: &Path) {
    let status = std::process::Command::new("cp")
        .arg("-a")
        .arg(source.join("."))
        .arg(base)
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "cp -a {}",
        source.display()
    );
}
