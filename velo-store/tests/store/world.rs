//! What the tests stand on: directories on several file systems, mount namespaces that
//! vanish with their thread, other users, system calls that fail on demand.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::UnshareFlags;
use tempfile::TempDir;
use velo_store::Store;

/// Says on stderr, past the test harness, that something was not tested here.
pub fn skip(why: &str) {
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    let line = format!("SKIP velo-store {name}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// A temporary directory that is removed with all that is in it: views are read-only, so
/// an ordinary user must allow that first.
pub struct Place(TempDir);

impl Place {
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        make_removable(self.path());
    }
}

fn make_removable(directory: &Path) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // What cannot be changed is somebody else's or gone; removing it will tell.
            let _changed = std::fs::set_permissions(entry.path(), Permissions::from_mode(0o755));
            make_removable(&entry.path());
        }
    }
}

/// An empty directory in memory that every user may enter.
pub fn in_memory() -> Place {
    directory_in(Path::new("/dev/shm"))
}

/// An empty directory in the usual place for temporary files, often on a disk.
pub fn on_disk() -> Place {
    directory_in(&std::env::temp_dir())
}

pub fn directory_in(parent: &Path) -> Place {
    let directory = tempfile::Builder::new()
        .prefix("velo-store-test-")
        .tempdir_in(parent)
        .unwrap();
    std::fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    Place(directory)
}

/// Runs `test` on a store in memory and on one on disk; each gets an empty directory
/// beside the store, too.
pub fn everywhere(test: impl Fn(&Store, &Path)) {
    for place in [in_memory(), on_disk()] {
        let store = Store::open_or_create(&place.path().join("root")).unwrap();
        let beside = place.path().join("beside");
        std::fs::create_dir(&beside).unwrap();
        test(&store, &beside);
    }
}

/// A file with this content.
pub fn file(path: PathBuf, content: &[u8]) -> PathBuf {
    std::fs::write(&path, content).unwrap();
    path
}

pub fn open(path: &Path) -> File {
    File::open(path).unwrap()
}

/// Bytes that do not repeat soon.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(length);
    out
}

/// All files below `directory`, with their paths, in no order.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

/// Runs `test` on a thread with the same name that something is first done to.
fn on_own_thread<T: Send>(
    prepare: impl FnOnce() -> Option<()> + Send,
    test: impl FnOnce() -> T + Send,
) -> Option<T> {
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(name);
        let running = thread
            .spawn_scoped(scope, || prepare().map(|()| test()))
            .unwrap();
        running
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Runs `test` with an empty directory in a mount namespace of its own. Whatever it
/// mounts is gone with its thread, also if it panics; the directory goes after that.
pub fn in_mount_namespace(test: impl FnOnce(&Path) + Send) {
    let place = in_memory();
    on_own_thread(
        || {
            // SAFETY: only the file system attributes of this one thread are unshared;
            // no descriptor table or memory is.
            if unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.is_err() {
                skip("needs CAP_SYS_ADMIN for a mount namespace");
                return None;
            }
            let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
            mount_change("/", private).unwrap();
            Some(())
        },
        || test(place.path()),
    );
}

/// Mounts a tmpfs at `target`, with options as of mount(8).
pub fn mount_tmpfs(target: &Path, flags: MountFlags, options: &str) {
    std::fs::create_dir_all(target).unwrap();
    let options = std::ffi::CString::new(options).unwrap();
    mount("velo-test", target, "tmpfs", flags, options.as_c_str()).unwrap();
}

/// A fresh ext4 in a file, mounted below `place`; `None` where that cannot be had.
pub fn mount_ext4(place: &Path, options: &[&str]) -> Option<PathBuf> {
    let (image, disk) = (place.join("image"), place.join("disk"));
    std::fs::File::create(&image)
        .unwrap()
        .set_len(32 << 20)
        .unwrap();
    std::fs::create_dir(&disk).unwrap();
    let run = |program: &str, arguments: &[&str], path: &Path| {
        let output = std::process::Command::new(program)
            .args(arguments)
            .arg(path)
            .output();
        output.is_ok_and(|output| output.status.success())
    };
    let formatted = run("mkfs.ext4", &[&["-q"], options].concat(), &image);
    // mount(8) finds a loop device that vanishes with the mount.
    let mounted = formatted && run("mount", &["-o", "loop", image.to_str()?], &disk);
    if !mounted {
        skip("needs mkfs.ext4, mount and a loop device");
    }
    mounted.then_some(disk)
}

/// Runs `test` as an ordinary user: this one, or `nobody` if this is root.
pub fn as_ordinary_user<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    let prepare = || {
        if geteuid().is_root() {
            let (nobody, nogroup) = (Uid::from_raw(65534), Gid::from_raw(65534));
            rustix::thread::set_thread_groups(&[]).unwrap();
            rustix::thread::set_thread_res_gid(nogroup, nogroup, nogroup).unwrap();
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        }
        Some(())
    };
    on_own_thread(prepare, test).unwrap()
}

/// A system call that is to fail: its number, optionally (argument, mask, value) that
/// must match, and the errno.
pub struct Fault {
    pub call: libc::c_long,
    pub when: Option<(u32, u32, u32)>,
    pub errno: i32,
}

impl Fault {
    pub fn always(call: libc::c_long, errno: i32) -> Self {
        Self {
            call,
            when: None,
            errno,
        }
    }

    /// O_TMPFILE does not work, as on some network and FUSE file systems.
    pub fn no_tmpfile() -> Self {
        let flag = (libc::O_TMPFILE & !libc::O_DIRECTORY) as u32;
        Self {
            call: libc::SYS_openat,
            when: Some((2, flag, flag)),
            errno: libc::EOPNOTSUPP,
        }
    }
}

/// Runs `test` on a thread whose system calls fail as told (a seccomp filter, so the
/// code under test has no seam for it, and threads that it starts fail too).
pub fn with_faults<T: Send>(faults: &[Fault], test: impl FnOnce() -> T + Send) -> Option<T> {
    let prepare = || {
        if install(faults) {
            return Some(());
        }
        skip("needs seccomp filters");
        None
    };
    on_own_thread(prepare, test)
}

fn install(faults: &[Fault]) -> bool {
    let statement = |code: u32, k: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    };
    let unless_equal = |k: u32, jf: u8| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let answer = libc::BPF_RET | libc::BPF_K;
    let mut program = Vec::new();
    for fault in faults {
        let fail = statement(answer, libc::SECCOMP_RET_ERRNO | fault.errno as u32);
        program.push(statement(load, 0));
        match fault.when {
            None => program.push(unless_equal(fault.call as u32, 1)),
            Some((argument, mask, value)) => {
                program.push(unless_equal(fault.call as u32, 4));
                // Low half of the argument, little-endian.
                program.push(statement(load, 16 + 8 * argument));
                program.push(statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask));
                program.push(unless_equal(value, 1));
            }
        }
        program.push(fail);
    }
    program.push(statement(answer, libc::SECCOMP_RET_ALLOW));
    let filter = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the filter points to a program that lives across the call; both calls
    // concern this thread only, which ends with the test.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) == 0
    }
}
