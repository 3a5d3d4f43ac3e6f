//! Carries out scripts of the oracle through Rust's standard library: prints what every operation answered.
//!
//! Usage and scripts are as of `c/oracle.c`; each operation means what `std` has that is nearest to it, and bad
//! pointers mean nothing. `std` reaches the kernel by ways of its own (`statx`, `openat2`, `copy_file_range`,
//! weak symbols), so it is another caller, not the same one twice.

use std::ffi::OsString;
use std::fmt::{Debug, Write as _};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{
    DirBuilderExt, DirEntryExt, FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt,
};
use std::path::{Path, PathBuf};
use std::process::Command;

use abi_tests::random::Random;

fn main() {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let [_, root, way] = &arguments[..] else {
        panic!("usage: oracle_std P alone|threads < scripts")
    };
    let threads = way == "threads";
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("scripts");
    let about = About {
        exact: std::env::var_os("PROBE_EXACT").is_some(),
        above: above(Path::new(root)),
        moves: !threads,
        root: Path::new(root),
    };
    std::env::set_current_dir(root).expect("chdir");
    let before = open_descriptors();
    let scripts: Vec<&str> = text.split("---\n").collect();
    if threads {
        let said: Vec<String> = std::thread::scope(|scope| {
            let running: Vec<_> = scripts
                .iter()
                .map(|script| scope.spawn(|| run(&about, script)))
                .collect();
            running
                .into_iter()
                .map(|thread| thread.join().expect("a thread"))
                .collect()
        });
        print!("{}", said.concat());
    } else {
        for script in scripts {
            std::env::set_current_dir(root).expect("chdir");
            print!("{}", run(&about, script));
        }
    }
    println!("{} descriptors more", open_descriptors() - before);
}

/// What is the same for all scripts.
struct About<'a> {
    root: &'a Path,
    exact: bool,
    /// Device and inode of the directories above the neighbourhood, that other tests change meanwhile.
    above: Vec<(u64, u64)>,
    moves: bool,
}

fn above(root: &Path) -> Vec<(u64, u64)> {
    let mut path = root.join("../..");
    (0..32)
        .map_while(|_| {
            let found = fs::metadata(&path)
                .ok()
                .map(|found| (found.dev(), found.ino()));
            path.push("..");
            found
        })
        .collect()
}

fn open_descriptors() -> i32 {
    // SAFETY: fcntl with F_GETFD looks at a number, whatever it is.
    (0..1024)
        .map(|fd| i32::from(unsafe { libc::fcntl(fd, libc::F_GETFD) } != -1))
        .sum()
}

struct Script<'a> {
    about: &'a About<'a>,
    said: String,
    line: usize,
    slots: [Option<File>; 6],
}

fn run(about: &About<'_>, text: &str) -> String {
    let mut script = Script {
        about,
        said: String::new(),
        line: 0,
        slots: Default::default(),
    };
    for line in text.lines() {
        script.line += 1;
        let fields: Vec<&str> = line.split('\t').collect();
        let [operation, slot, number, path, ..] = fields[..] else {
            panic!("not a line of a script: {line}")
        };
        if fields.iter().any(|field| field.starts_with('!')) {
            continue;
        }
        let path = PathBuf::from(unescaped(path));
        let other = PathBuf::from(unescaped(fields.get(4).copied().unwrap_or_default()));
        let mut random = Random::new(number.parse().expect("a number"));
        let slot = slot.parse::<usize>().expect("a slot") % 6;
        script.one(operation, slot, &mut random, &path, &other);
    }
    script.said.push_str("end\n");
    script.said
}

fn unescaped(text: &str) -> OsString {
    OsString::from_vec(abi_tests::oracle::unescaped(text))
}

impl Script<'_> {
    fn say<T: Debug>(&mut self, what: &str, result: std::io::Result<T>) {
        let line = self.line;
        let _ = match result {
            Ok(value) => writeln!(self.said, "{line} {what}: {value:?}"),
            // Whether another script runs that program at the moment is a matter of luck.
            Err(error) => match error.raw_os_error() {
                Some(libc::ETXTBSY) => writeln!(self.said, "{line} {what}: error {}", libc::EROFS),
                Some(number) => writeln!(self.said, "{line} {what}: error {number}"),
                None => writeln!(self.said, "{line} {what}: {:?}", error.kind()),
            },
        };
    }

    fn fields(&self, found: &fs::Metadata) -> impl Debug + use<> {
        if self.about.above.contains(&(found.dev(), found.ino())) {
            return (format!("above {:o}", found.mode()), None);
        }
        let usual = format!(
            "{:o} {} {}:{} {} {} {} {}.{:09}",
            found.mode(),
            found.nlink(),
            found.uid(),
            found.gid(),
            found.len(),
            found.rdev(),
            found.blksize(),
            found.mtime(),
            found.mtime_nsec()
        );
        let exact = self.about.exact.then(|| {
            let times = (
                found.atime(),
                found.atime_nsec(),
                found.ctime(),
                found.ctime_nsec(),
            );
            (found.ino(), found.blocks(), times, found.created().ok())
        });
        (usual, exact)
    }

    fn one(
        &mut self,
        operation: &str,
        slot: usize,
        random: &mut Random,
        path: &Path,
        other: &Path,
    ) {
        match operation {
            "open" | "resolve" => self.open(slot, random, path),
            "read" | "lseek" | "send" | "dup" | "close" | "fstat" | "mmap" => {
                self.file(operation, slot, random)
            }
            "fopen" | "agree" => self.content(random, path),
            "stat" | "statx" | "fstatat" => {
                let found = fs::metadata(path).map(|found| self.fields(&found));
                self.say("metadata", found);
            }
            "lstat" => {
                let found = fs::symlink_metadata(path).map(|found| self.fields(&found));
                self.say("symlink_metadata", found);
            }
            "access" => match random.below(3) {
                0 => self.say("try_exists", path.try_exists()),
                1 => self.say(
                    "is_dir, is_file, is_symlink",
                    Ok((path.is_dir(), path.is_file(), path.is_symlink())),
                ),
                _ => self.say("exists", fs::exists(path)),
            },
            "readlink" => self.say("read_link", fs::read_link(path)),
            "realpath" => self.say("canonicalize", fs::canonicalize(path)),
            "list" | "scandir" | "getdents" | "seekdir" => self.list(path),
            "chdir" if self.about.moves => {
                self.say("set_current_dir", std::env::set_current_dir(path));
                // Beyond the neighbourhood is the test's own, of which both sides have their parts.
                let neighbourhood = self.about.root.parent().expect("P has one");
                if !std::env::current_dir().is_ok_and(|here| here.starts_with(neighbourhood)) {
                    std::env::set_current_dir(self.about.root).expect("chdir");
                }
            }
            "getcwd" => self.say("current_dir", std::env::current_dir()),
            "exec" => {
                let ended = Command::new(path).arg("one two").output();
                let ended = ended.map(|output| {
                    (
                        output.status.code(),
                        output.stdout.escape_ascii().to_string(),
                    )
                });
                self.say("output", ended);
            }
            "make" | "remove" | "rename" | "link" | "chmod" | "chown" | "times" | "truncate" => {
                self.change(operation, slot, random, path, other);
            }
            _ => {}
        }
    }

    fn open(&mut self, slot: usize, random: &mut Random, path: &Path) {
        let mut options = OpenOptions::new();
        match random.below(14) {
            0 => options.write(true),
            1 => options.read(true).write(true),
            2 => options.append(true),
            3 => options.write(true).create(true),
            4 => options.write(true).create_new(true),
            5 => options.write(true).truncate(true),
            6 => options.read(true).custom_flags(libc::O_NOFOLLOW),
            7 => options.read(true).custom_flags(libc::O_DIRECTORY),
            8 => options.read(true).custom_flags(libc::O_PATH),
            9 => options.create(true),
            _ => options.read(true),
        };
        match options.open(path) {
            Ok(file) => {
                let found = file.metadata().map(|found| self.fields(&found));
                self.say("open", found);
                self.slots[slot] = Some(file);
            }
            Err(error) => self.say::<()>("open", Err(error)),
        }
    }

    fn file(&mut self, operation: &str, slot: usize, random: &mut Random) {
        let Some(mut file) = self.slots[slot].take() else {
            return;
        };
        let mut bytes = vec![0; random.below(3000)];
        let sum = |bytes: &[u8], count: usize| (count, abi_tests::fnv(&bytes[..count]));
        match operation {
            "read" => {
                let read = match random.below(3) {
                    0 => file.read_at(&mut bytes, random.next() % 5000),
                    _ => file.read(&mut bytes),
                };
                self.say("read", read.map(|count| sum(&bytes, count)));
            }
            // Offsets in directories are the file system's own.
            "lseek" if !file.metadata().is_ok_and(|found| found.is_dir()) => {
                let offset = i64::try_from(random.below(9000)).unwrap_or(0) - 1000;
                let to = match random.below(3) {
                    0 => SeekFrom::Start(offset.unsigned_abs()),
                    1 => SeekFrom::Current(offset),
                    _ => SeekFrom::End(offset),
                };
                let at = file.seek(to);
                self.say("seek", at);
            }
            "send" if file.metadata().is_ok_and(|found| found.len() < 1 << 21) => {
                let copied = File::create("/dev/null")
                    .and_then(|mut null| std::io::copy(&mut file, &mut null));
                self.say("copy", copied);
            }
            "dup" => match file.try_clone() {
                Ok(copy) => {
                    let found = copy.metadata().map(|found| self.fields(&found));
                    self.say("try_clone", found);
                    self.slots[(slot + 1) % 6] = Some(copy);
                }
                Err(error) => self.say::<()>("try_clone", Err(error)),
            },
            "close" => return,
            "mmap" => {
                let shown = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
                self.say("link of proc", shown);
            }
            _ => {
                let found = file.metadata().map(|found| self.fields(&found));
                self.say("metadata of a file", found);
            }
        }
        self.slots[slot] = Some(file);
    }

    fn content(&mut self, random: &mut Random, path: &Path) {
        if fs::metadata(path).is_ok_and(|found| found.len() > 1 << 21) {
            return;
        }
        match random.below(4) {
            0 => self.say(
                "read_to_string",
                fs::read_to_string(path).map(|text| abi_tests::fnv(text.as_bytes())),
            ),
            1 => self.say("copy", fs::copy(path, "/dev/null")),
            2 => {
                let same =
                    File::open(path).and_then(|file| Ok((file.metadata()?, fs::metadata(path)?)));
                let same = same.map(|(one, two)| {
                    (
                        one.ino() == two.ino(),
                        one.dev() == two.dev(),
                        one.len() == two.len(),
                    )
                });
                self.say("agree", same);
            }
            _ => self.say(
                "read",
                fs::read(path).map(|bytes| (bytes.len(), abi_tests::fnv(&bytes))),
            ),
        }
    }

    fn list(&mut self, path: &Path) {
        let is_above = |found: fs::Metadata| self.about.above.contains(&(found.dev(), found.ino()));
        if fs::metadata(path).is_ok_and(is_above) {
            return;
        }
        let listed = fs::read_dir(path).map(|entries| {
            let mut names: Vec<_> = entries
                .map(|entry| {
                    let entry = entry.map_err(|error| error.raw_os_error())?;
                    let kind = entry
                        .file_type()
                        .map(|kind| (kind.is_dir(), kind.is_symlink(), kind.is_fifo()));
                    let found = entry.metadata();
                    let inode = found.as_ref().is_ok_and(|found| found.ino() == entry.ino());
                    let found = found.map(|found| (found.len(), found.mode()));
                    Ok::<_, Option<i32>>((
                        entry.file_name(),
                        kind.ok(),
                        inode,
                        found.map_err(|error| error.kind()).ok(),
                    ))
                })
                .collect();
            names.sort();
            (names.len(), abi_tests::fnv(format!("{names:?}").as_bytes()))
        });
        self.say("read_dir", listed);
    }

    fn change(
        &mut self,
        operation: &str,
        slot: usize,
        random: &mut Random,
        path: &Path,
        other: &Path,
    ) {
        match (operation, random.below(3)) {
            ("make", 0) => self.say("create_dir_all", fs::create_dir_all(path)),
            ("make", 1) => self.say("symlink", std::os::unix::fs::symlink("x", path)),
            ("make", _) => self.say("create_dir", fs::DirBuilder::new().mode(0o700).create(path)),
            ("remove", 0) => self.say("remove_dir", fs::remove_dir(path)),
            ("remove", 1)
                if !path.as_os_str().as_bytes().ends_with(b"..") && self.is_tree(path) =>
            {
                // Which entry it fails at depends on their order.
                self.say("remove_dir_all", Ok(fs::remove_dir_all(path).is_err()));
            }
            ("remove", _) => self.say("remove_file", fs::remove_file(path)),
            ("rename", _) => self.say("rename", fs::rename(path, other)),
            ("link", _) => self.say("hard_link", fs::hard_link(path, other)),
            ("chmod", _) => self.say(
                "set_permissions",
                fs::set_permissions(path, fs::Permissions::from_mode(0o600)),
            ),
            ("chown", 0) => self.say("lchown", std::os::unix::fs::lchown(path, Some(0), None)),
            ("chown", _) => self.say("chown", std::os::unix::fs::chown(path, Some(0), None)),
            ("truncate", 0) => self.say("write", fs::write(path, "x")),
            _ => {
                let Some(file) = self.slots[slot].take() else {
                    return;
                };
                match operation {
                    "times" => self.say("set_modified", file.set_modified(std::time::UNIX_EPOCH)),
                    _ => self.say(
                        "set_len, write",
                        file.set_len(3).or_else(|_| (&file).write(b"x").map(|_| ())),
                    ),
                }
                self.slots[slot] = Some(file);
            }
        }
    }

    /// Whether a directory is small and nobody else's: what is tried to remove is listed first.
    fn is_tree(&self, path: &Path) -> bool {
        fs::symlink_metadata(path)
            .is_ok_and(|found| !self.about.above.contains(&(found.dev(), found.ino())))
    }
}
