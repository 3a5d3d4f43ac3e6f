//! A temporary place with a store, and velo-ctl started in it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// One test's directory: `store`, and whatever the test puts beside it.
pub struct Sandbox {
    directory: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Sandbox {
    pub fn new() -> Self {
        let sandbox = Self {
            directory: TempDir::with_prefix("velo-ctl-").unwrap(),
        };
        // Other users of the machine may pass, as tests of permissions need.
        fs::set_permissions(sandbox.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        sandbox
    }

    /// A sandbox with a small tree of every kind of entry, and its manifest.
    pub fn with_tree() -> Self {
        let sandbox = Self::new();
        sandbox.plant();
        sandbox
            .ctl(["build-manifest", "tree", "-o", "app.velo"])
            .ok();
        sandbox
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Removes a directory, view trees with their read-only directories too.
    pub fn remove(&self, name: &str) {
        make_writable(&self.path(name));
        fs::remove_dir_all(self.path(name)).unwrap();
    }

    fn plant(&self) {
        self.write("tree/README", "read me\n");
        self.write("tree/empty", "");
        self.write("tree/.hidden", "dot\n");
        self.write("tree/pkg/__init__.py", "import sys\n");
        self.write("tree/pkg/data.bin", vec![7; 10_000]);
        self.write("tree/pkg/copy.bin", vec![7; 10_000]);
        self.write("tree/with space/it's", "quoted\n");
        self.write("tree/bin/tool", "#!/bin/sh\necho tool \"$0\" \"$@\"\n");
        self.mode("tree/bin/tool", 0o755);
        fs::hard_link(self.path("tree/README"), self.path("tree/linked")).unwrap();
        symlink("pkg/data.bin", self.path("tree/link")).unwrap();
        symlink("pkg", self.path("tree/dirlink")).unwrap();
        symlink("nowhere", self.path("tree/broken")).unwrap();
        symlink("loop", self.path("tree/loop")).unwrap();
        symlink("/etc/passwd", self.path("tree/out")).unwrap();
    }

    /// A command in this sandbox, with nothing of the caller's Velo environment.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for name in [
            "VELO_MANIFEST",
            "VELO_VIEW_ROOT",
            "VELO_STATS",
            "VELO_STATIC",
            "VELO_ON_ERROR",
            "LD_PRELOAD",
            "NO_COLOR",
        ] {
            command.env_remove(name);
        }
        command
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
            .env("VELO_ROOT", self.path("store"))
            .env("TZ", "UTC")
            .env("LC_ALL", "C");
        // Directories that this user may not search would change what is found.
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.env("VELO_LIB", self.path("libvelo_fs.so"));
        command
    }

    pub fn ctl_command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_velo-ctl"));
        command.args(arguments);
        command
    }

    pub fn ctl<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ended {
        ended(&mut self.ctl_command(arguments))
    }

    /// The real command, for comparison.
    pub fn real<S: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Ended {
        ended(self.command(program).args(arguments))
    }

    /// A library that serves nothing and loads anywhere.
    pub fn empty_library(&self) {
        let source = self.write("empty.c", "");
        let made = self
            .command("cc")
            .args(["-shared", "-nostdlib", "-o"])
            .arg(self.path("libvelo_fs.so"))
            .arg(source)
            .status();
        assert!(made.unwrap().success(), "cc made no library");
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        make_writable(self.directory.path());
    }
}

fn make_writable(directory: &Path) {
    let _ = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

/// Runs to the end.
pub fn ended(command: &mut Command) -> Ended {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    Ended {
        status: status.code(),
        out: String::from_utf8_lossy(&stdout).into_owned(),
        err: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

impl Ended {
    /// Ended well and said nothing on stderr; what it printed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(
            (self.status, self.err.as_str()),
            (Some(0), ""),
            "{}",
            self.out
        );
        self.out
    }

    /// As [`Self::ok`], and what it printed is JSON.
    #[track_caller]
    pub fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// Ended with `status` and one line on stderr that starts `velo: ` and has all
    /// of `parts`.
    #[track_caller]
    pub fn failed(self, status: i32, parts: &[&str]) -> String {
        assert_eq!(self.status, Some(status), "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "one line: {}", self.err);
        assert!(self.err.starts_with("velo: "), "{}", self.err);
        for part in parts {
            assert!(self.err.contains(part), "no `{part}` in: {}", self.err);
        }
        self.out
    }
}
