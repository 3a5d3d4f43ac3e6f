//! The store root and the view root: where they are, whose, and what they can do.
//!
//! Tried in a scratch directory on the same file system, removed at the end.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};
use rustix::mm::{MapFlags, ProtFlags};
use velo_core::store_layout::{CAS_DIRECTORY, VIEW_ROOT_VARIABLE, VIEWS_DIRECTORY};
use velo_store::Root;

use super::scratch::{Scratch, nearest_existing};
use super::{Check, Verdict};
use crate::failure::io_words;
use crate::format;

/// A nanosecond value that coarse timestamps cannot hold.
const ODD_NANOSECONDS: i64 = 123_456_789;
/// Less free space than this is too little for a heavy application.
const FREE_BYTES_COMFORTABLE: u64 = 1 << 30;
/// Where the store puts view trees when its own place is noexec, among others.
const FALLBACKS: [&str; 2] = ["/var/tmp", "/tmp"];
/// What to do when the root itself is the trouble.
const MOVE_ROOT: &str = "set VELO_ROOT to a directory of your own on a writable file system";

/// The checks of this file.
pub fn checks() -> Vec<Check> {
    let chosen = match Root::discover() {
        Ok(chosen) => chosen,
        Err(error) => return vec![Check::fail("root", error.to_string(), MOVE_ROOT)],
    };
    let root = chosen.path.as_path();
    let wanted = std::env::var_os(VIEW_ROOT_VARIABLE).filter(|value| !value.is_empty());
    let named = wanted.is_some();
    let views = wanted.map_or_else(|| root.join(VIEWS_DIRECTORY), PathBuf::from);
    let views = fs::canonicalize(&views).unwrap_or(views);
    let mut checks = vec![place(root, &chosen.to_string())];
    if checks.iter().any(|check| check.status == Verdict::Fail) {
        return checks;
    }
    checks.push(space(&nearest_existing(root)));
    let scratch = Scratch::below(&nearest_existing(root));
    let view_scratch = Scratch::below(&nearest_existing(&views));
    match (scratch, view_scratch) {
        (Ok(scratch), Ok(view_scratch)) => {
            checks.push(timestamps(&scratch.path));
            checks.push(unnamed_files(&scratch.path));
            checks.push(executable(&view_scratch.path, named));
            checks.push(links(&scratch.path, &view_scratch.path));
        }
        (Err(error), _) | (_, Err(error)) => checks.push(unwritable(root, error)),
    }
    checks
}

fn place(root: &Path, named: &str) -> Check {
    let id = "root";
    let metadata = match fs::metadata(root) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Check::ok(id, format!("{named}, made by the first build-manifest"));
        }
        Err(error) => return Check::fail(id, format!("{named}: {}", io_words(&error)), MOVE_ROOT),
    };
    let mode = metadata.mode() & 0o7777;
    let user = rustix::process::geteuid().as_raw();
    let found = format!("{named}, owner {} mode {mode:04o}", metadata.uid());
    if !metadata.is_dir() {
        Check::fail(id, format!("{named}: not a directory"), MOVE_ROOT)
    } else if metadata.uid() != user && metadata.uid() != 0 {
        Check::fail(
            id,
            found,
            "it belongs to somebody else, who could change what you run: set VELO_ROOT to a directory of your own",
        )
    } else if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        Check::fail(
            id,
            found,
            format!("others can write there: chmod 0711 {}", root.display()),
        )
    } else {
        Check::ok(id, found)
    }
}

/// A store of somebody else's serves; one that is not there cannot be made.
fn unwritable(root: &Path, error: String) -> Check {
    let id = "root-writable";
    if root.join(CAS_DIRECTORY).is_dir() {
        let advice = "programs run from this store, build-manifest does not work in it: set VELO_ROOT to a directory of your own for that";
        return Check::warn(id, error, advice);
    }
    Check::fail(id, error, MOVE_ROOT)
}

fn space(place: &Path) -> Check {
    let id = "root-space";
    let Ok(found) = rustix::fs::statvfs(place) else {
        return Check::warn(
            id,
            format!("{}: no answer from statvfs", place.display()),
            MOVE_ROOT,
        );
    };
    let (total, free) = (
        found.f_blocks * found.f_frsize,
        found.f_bavail * found.f_frsize,
    );
    let text = format!("{} free of {}", format::size(free), format::size(total));
    if free >= FREE_BYTES_COMFORTABLE {
        Check::ok(id, text)
    } else if place.starts_with("/dev/shm") {
        Check::warn(
            id,
            text,
            "small /dev/shm is usual in containers: --shm-size=4g, or set VELO_ROOT to a directory on disk",
        )
    } else {
        Check::warn(
            id,
            text,
            "make room, or set VELO_ROOT to a larger file system",
        )
    }
}

fn timestamps(scratch: &Path) -> Check {
    let id = "root-timestamps";
    let path = scratch.join("timestamp");
    let tried = || -> io::Result<(i64, i64)> {
        let file = File::create(&path)?;
        let time = Timespec {
            tv_sec: 0,
            tv_nsec: ODD_NANOSECONDS,
        };
        rustix::fs::futimens(
            &file,
            &Timestamps {
                last_access: time,
                last_modification: time,
            },
        )?;
        let metadata = fs::metadata(&path)?;
        Ok((metadata.mtime(), metadata.mtime_nsec()))
    };
    match tried() {
        Ok((0, ODD_NANOSECONDS)) => Check::ok(id, "nanoseconds stick"),
        Ok((seconds, nanoseconds)) => Check::fail(
            id,
            format!("set mtime 0.{ODD_NANOSECONDS}, found {seconds}.{nanoseconds:09}"),
            "stamps need nanosecond timestamps: set VELO_ROOT to tmpfs, ext4, xfs or btrfs",
        ),
        Err(error) => Check::fail(id, io_words(&error), MOVE_ROOT),
    }
}

fn unnamed_files(scratch: &Path) -> Check {
    let id = "root-tmpfile";
    let tried = || -> io::Result<()> {
        let file = rustix::fs::open(
            scratch,
            OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::RUSR,
        )?;
        let name = format!("/proc/self/fd/{}", file.as_raw_fd());
        rustix::fs::linkat(
            rustix::fs::CWD,
            &name,
            rustix::fs::CWD,
            scratch.join("linked"),
            AtFlags::SYMLINK_FOLLOW,
        )?;
        Ok(())
    };
    match tried() {
        Ok(()) => Check::ok(id, "O_TMPFILE and linkat work"),
        Err(error) => Check::warn(
            id,
            format!("O_TMPFILE: {}", io_words(&error)),
            "named temporary files are used instead; after a crash `velo-ctl verify` finds what is left",
        ),
    }
}

/// Maps a page of a real file executable: what noexec mounts and some containers refuse.
fn executable(views: &Path, named: bool) -> Check {
    let id = "views-exec";
    let Err(error) = map_executable(views) else {
        return Check::ok(id, "files map executable");
    };
    let place = views.parent().unwrap_or(views).display();
    let found = format!("{place}: mapping a file executable: {}", io_words(&error));
    let elsewhere = || {
        FALLBACKS.into_iter().find(|place| {
            Scratch::below(Path::new(place))
                .is_ok_and(|scratch| map_executable(&scratch.path).is_ok())
        })
    };
    match if named { None } else { elsewhere() } {
        Some(better) => Check::ok(id, format!("{found}; view trees go to {better} instead")),
        None => Check::fail(
            id,
            found,
            "mounted noexec: set VELO_VIEW_ROOT (or VELO_ROOT) to a directory that is not, or remount it with exec",
        ),
    }
}

fn map_executable(directory: &Path) -> io::Result<()> {
    const PAGE_BYTES: usize = 4096;
    let path = directory.join("executable");
    fs::write(&path, [0_u8; PAGE_BYTES])?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o555))?;
    let file = File::open(&path)?;
    // SAFETY: a fresh private mapping at an address of the kernel's choice.
    let page = unsafe {
        rustix::mm::mmap(
            std::ptr::null_mut(),
            PAGE_BYTES,
            ProtFlags::READ | ProtFlags::EXEC,
            MapFlags::PRIVATE,
            &file,
            0,
        )
    }?;
    // SAFETY: exactly the mapping made above; nothing refers to it.
    unsafe { rustix::mm::munmap(page, PAGE_BYTES) }?;
    Ok(())
}

fn links(scratch: &Path, views: &Path) -> Check {
    let id = "views-links";
    let blob = scratch.join("blob");
    let tried = || -> io::Result<()> {
        File::create(&blob)?;
        fs::hard_link(&blob, views.join("link"))
    };
    match tried() {
        Ok(()) => Check::ok(id, "hard links between blobs and views work"),
        Err(error) => Check::warn(
            id,
            format!("blobs cannot be linked into views: {}", io_words(&error)),
            "programs and libraries are copied instead; put VELO_VIEW_ROOT on the root's file system to save the space",
        ),
    }
}
