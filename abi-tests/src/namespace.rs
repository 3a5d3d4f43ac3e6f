//! A private mount namespace with one tree bound read-only at one path.
//!
//! As root, everything outside the scratch directories is read-only in it, so that a program
//! which is led out of the tree by a bug changes nothing of the machine.
//!
//! As root by `unshare`; as another user by a user namespace that maps the user to itself.
//! Where neither is allowed (a container without rights), [`available`] says so, and nothing is
//! compared: what is left of the tests is what they say of the served side alone.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

use crate::call::check;
use crate::scratch::{self, Place};

/// The mounts of one command, prepared before the fork.
#[derive(Clone, Debug)]
pub struct Namespace {
    guarded: Option<CString>,
    binds: Vec<Bind>,
    maps: Option<[(CString, Vec<u8>); 3]>,
}

#[derive(Clone, Debug)]
struct Bind {
    source: CString,
    at: CString,
    writable: bool,
}

impl Namespace {
    /// The machine as it is, read-only but for the scratch directories.
    #[must_use]
    pub fn guarded() -> Self {
        let scratch = crate::is_root().then(|| text(&scratch::base(Place::Disk)));
        Self {
            guarded: scratch,
            binds: Vec::new(),
            maps: maps(),
        }
    }

    /// The machine as it is, with the temporary directory read-only too, where the scratch directories are.
    #[must_use]
    pub fn sealed() -> Self {
        let temporary = std::env::temp_dir();
        Self::guarded().bind(&temporary, &temporary)
    }

    /// And `source` at `at`, read-only.
    #[must_use]
    pub fn bind(mut self, source: &Path, at: &Path) -> Self {
        self.push(source, at, false);
        self
    }

    /// And `source` at `at` as well, as it is.
    #[must_use]
    pub fn show(mut self, source: &Path, at: &Path) -> Self {
        self.push(source, at, true);
        self
    }

    fn push(&mut self, source: &Path, at: &Path, writable: bool) {
        let (source, at) = (text(source), text(at));
        self.binds.push(Bind {
            source,
            at,
            writable,
        });
    }

    /// Enters it; called between fork and exec, so it makes system calls only.
    pub(crate) fn enter(&self) -> std::io::Result<()> {
        let users = if self.maps.is_some() {
            libc::CLONE_NEWUSER
        } else {
            0
        };
        // SAFETY: unshare takes flags only.
        check(unsafe { libc::unshare(libc::CLONE_NEWNS | users) })?;
        for (path, content) in self.maps.iter().flatten() {
            write(path, content)?;
        }
        mount(c"none", c"/", libc::MS_REC | libc::MS_PRIVATE)?;
        if let Some(scratch) = &self.guarded {
            mount(scratch, scratch, libc::MS_BIND)?;
            mount(
                c"none",
                c"/",
                libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY,
            )?;
        }
        for bind in &self.binds {
            mount(&bind.source, &bind.at, libc::MS_BIND)?;
            if !bind.writable {
                mount(
                    c"none",
                    &bind.at,
                    libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY,
                )?;
            }
        }
        Ok(())
    }
}

fn text(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

/// What maps an unprivileged user to itself in a new user namespace.
fn maps() -> Option<[(CString, Vec<u8>); 3]> {
    // SAFETY: no preconditions.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    (user != 0).then(|| {
        [
            (c"/proc/self/setgroups".to_owned(), b"deny".to_vec()),
            (
                c"/proc/self/uid_map".to_owned(),
                format!("{user} {user} 1").into_bytes(),
            ),
            (
                c"/proc/self/gid_map".to_owned(),
                format!("{group} {group} 1").into_bytes(),
            ),
        ]
    })
}

fn write(path: &CString, content: &[u8]) -> std::io::Result<()> {
    // SAFETY: a NUL-terminated path, and a buffer with its own length.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY);
        check(file)?;
        let written = libc::write(file, content.as_ptr().cast(), content.len());
        libc::close(file);
        check(i32::try_from(written).unwrap_or(-1))
    }
}

fn mount(
    source: &std::ffi::CStr,
    at: &std::ffi::CStr,
    flags: libc::c_ulong,
) -> std::io::Result<()> {
    // SAFETY: NUL-terminated paths; bind and remount take neither type nor data.
    check(unsafe {
        libc::mount(
            source.as_ptr(),
            at.as_ptr(),
            std::ptr::null(),
            flags,
            std::ptr::null(),
        )
    })
}

/// [`available`], with a word about it if not: for tests that are nothing without.
#[must_use]
pub fn or_skip() -> bool {
    if !available() {
        eprintln!("skipped: no mount namespaces on this machine, so no plain side to compare with");
    }
    available()
}

/// Whether this machine lets the tests make mount namespaces.
#[must_use]
pub fn available() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let here = scratch::directory(Place::Disk, "namespace");
        let namespace = Namespace::guarded().bind(&here, &here);
        let mut command = std::process::Command::new("/bin/true");
        // SAFETY: the closure makes system calls only.
        unsafe {
            std::os::unix::process::CommandExt::pre_exec(&mut command, move || namespace.enter())
        };
        command.status().is_ok_and(|status| status.success())
    })
}
