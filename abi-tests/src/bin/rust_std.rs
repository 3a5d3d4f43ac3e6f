//! A caller of Rust's standard library: prints what `std::fs` says of the tree in the first argument.
//!
//! `std` reaches the kernel through `syscall(statx)`, `openat2`, `copy_file_range` and weak
//! symbols, so it is a world of its own.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirEntryExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(std::env::args_os().nth(1).expect("usage: rust_std P"));
    let exact = std::env::var_os("PROBE_EXACT").is_some();
    let mut paths = vec![root.clone()];
    list(&root, &mut paths);
    for rel in [
        "missing",
        "plain.txt/below",
        "links/to-dir/same-a",
        "dir/../plain.txt",
        "links/chain-40",
        "plain.txt/",
        "",
        ".",
        "..",
    ] {
        paths.push(root.join(rel));
    }
    for path in &paths {
        one(path, exact);
    }
    std::env::set_current_dir(root.join("links/to-dir")).expect("chdir");
    say("current_dir", Path::new("."), std::env::current_dir());
    one(Path::new("same-a"), exact);
    one(Path::new("../plain.txt"), exact);
    files(&root);
    changes(&root);
    processes(&root);
    threads(&paths);
}

fn say<T: std::fmt::Debug>(what: &str, path: &Path, answer: std::io::Result<T>) {
    match answer {
        Ok(value) => println!("{what} {path:?} = {value:?}"),
        Err(error) => println!("{what} {path:?} = {error}"),
    }
}

/// Everything below `root`, in the order of names.
fn list(root: &Path, paths: &mut Vec<PathBuf>) {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) => return println!("read_dir {root:?} = {error}"),
    };
    let mut entries: Vec<fs::DirEntry> = entries.map(|entry| entry.expect("entry")).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().expect("type");
        let metadata = entry
            .metadata()
            .map(|metadata| (metadata.len(), entry.ino() == metadata.ino()));
        say(
            "entry",
            &entry.path(),
            metadata.map(|answer| (kind, answer)),
        );
        paths.push(entry.path());
        if kind.is_dir() && !entry.file_name().as_encoded_bytes().starts_with(b"level") {
            list(&entry.path(), paths);
        }
    }
}

fn one(path: &Path, exact: bool) {
    let fields = |m: fs::Metadata| {
        let usual = (
            m.mode(),
            m.nlink(),
            m.uid(),
            m.gid(),
            m.len(),
            m.mtime(),
            m.mtime_nsec(),
            m.blksize(),
        );
        (
            usual,
            exact.then(|| {
                (
                    m.ino(),
                    m.blocks(),
                    m.atime(),
                    m.atime_nsec(),
                    m.ctime(),
                    m.ctime_nsec(),
                    m.created().ok(),
                )
            }),
        )
    };
    say("metadata", path, fs::metadata(path).map(fields));
    say(
        "symlink_metadata",
        path,
        fs::symlink_metadata(path).map(fields),
    );
    say("exists", path, path.try_exists());
    say("canonicalize", path, fs::canonicalize(path));
    say("read_link", path, fs::read_link(path));
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() < 1 << 20) {
        say(
            "read",
            path,
            fs::read(path).map(|bytes| {
                (
                    bytes.len(),
                    bytes
                        .iter()
                        .fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte)),
                )
            }),
        );
        say(
            "read_to_string",
            path,
            fs::read_to_string(path).map(|text| text.len()),
        );
    }
}

fn files(root: &Path) {
    let path = root.join("bytes-70000");
    let mut file = fs::File::open(&path).expect("open");
    let mut part = [0; 16];
    say(
        "read_at",
        &path,
        file.read_at(&mut part, 60_000).map(|count| (count, part)),
    );
    say("seek", &path, file.seek(SeekFrom::End(-5)));
    say(
        "read",
        &path,
        file.read(&mut part).map(|count| (count, part)),
    );
    say(
        "try_clone",
        &path,
        file.try_clone()
            .and_then(|clone| clone.metadata())
            .map(|metadata| metadata.len()),
    );
    say("set_len", &path, file.set_len(0));
    say("write", &path, file.write(b"x"));
    say("sync_all", &path, file.sync_all());
    say(
        "set_times",
        &path,
        file.set_modified(std::time::SystemTime::UNIX_EPOCH),
    );
    say(
        "set_permissions",
        &path,
        file.metadata()
            .and_then(|metadata| file.set_permissions(metadata.permissions())),
    );
    say(
        "file of a directory",
        root,
        fs::File::open(root)
            .and_then(|file| file.metadata())
            .map(|metadata| metadata.is_dir()),
    );
    let out = std::env::temp_dir().join(format!("velo-rust-std-{}", std::process::id()));
    say("copy", &path, fs::copy(&path, &out));
    println!("the copy has {:?}", fs::read(&out).map(|bytes| bytes.len()));
    let _ = fs::remove_file(&out);
    say("hard_link out", &path, fs::hard_link(&path, &out));
}

fn changes(root: &Path) {
    if std::env::var_os("PROBE_CHANGES").is_none() {
        return;
    }
    for rel in [
        "plain.txt",
        "new",
        "dir",
        "missing/new",
        "links/dangling",
        "links/relative",
    ] {
        let path = root.join(rel);
        say("create", &path, fs::File::create(&path).map(|_| ()));
        say("create_new", &path, fs::File::create_new(&path).map(|_| ()));
        say(
            "append",
            &path,
            fs::OpenOptions::new().append(true).open(&path).map(|_| ()),
        );
        say("write", &path, fs::write(&path, "x"));
        say("create_dir", &path, fs::create_dir(&path));
        say("create_dir_all", &path, fs::create_dir_all(&path));
        say("remove_file", &path, fs::remove_file(&path));
        say("remove_dir", &path, fs::remove_dir(&path));
        say("rename", &path, fs::rename(&path, root.join("other")));
        say("hard_link", &path, fs::hard_link(&path, root.join("other")));
        say("symlink", &path, std::os::unix::fs::symlink("x", &path));
        say(
            "set_permissions",
            &path,
            fs::metadata(root)
                .and_then(|metadata| fs::set_permissions(&path, metadata.permissions())),
        );
        say(
            "chown",
            &path,
            std::os::unix::fs::chown(&path, Some(0), None),
        );
    }
    say(
        "remove_dir_all",
        &root.join("hard"),
        fs::remove_dir_all(root.join("hard")),
    );
}

fn processes(root: &Path) {
    let run = |command: &mut std::process::Command| {
        command.output().map(|output| {
            (
                output.status.code(),
                String::from_utf8_lossy(&output.stdout).into_owned(),
            )
        })
    };
    say(
        "command in the tree",
        root,
        run(std::process::Command::new("pwd").current_dir(root.join("dir"))),
    );
    say(
        "command without environment",
        root,
        run(std::process::Command::new("/bin/cat")
            .env_clear()
            .arg(root.join("plain.txt"))),
    );
    say(
        "command with input",
        root,
        fs::File::open(root.join("plain.txt"))
            .and_then(|file| run(std::process::Command::new("cat").stdin(file))),
    );
    say(
        "missing program",
        root,
        run(&mut std::process::Command::new(root.join("missing"))).map(|_| ()),
    );
    say(
        "program that may not run",
        root,
        run(&mut std::process::Command::new(root.join("plain.txt"))).map(|_| ()),
    );
}

/// Many threads read everything at once, and agree.
fn threads(paths: &[PathBuf]) {
    let sum = |from: usize| -> u64 {
        (0..paths.len())
            .map(|step| &paths[(from + step) % paths.len()])
            .filter_map(|path| fs::metadata(path).ok())
            .fold(0, |sum, metadata| {
                sum ^ metadata
                    .len()
                    .wrapping_mul(u64::from(metadata.mode()))
                    .wrapping_add(metadata.nlink())
            })
    };
    let sums = std::thread::scope(|scope| {
        let running: Vec<_> = (0..8)
            .map(|start| scope.spawn(move || sum(start * 37)))
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().expect("thread"))
            .collect::<Vec<_>>()
    });
    println!(
        "threads agree: {}",
        sums.iter().all(|other| *other == sums[0])
    );
}
