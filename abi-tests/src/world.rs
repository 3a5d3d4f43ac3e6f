//! A plain tree, a manifest of it, and the two ways to run a command on them.
//!
//! Layout on the disk: `at/tree` is the mount point P (an empty directory, or absent),
//! `at/outside` its neighbour that links lead to, `plain` the tree Q, `manifest.velo`. The store
//! stands in memory. `at` is the same directory for both sides, so `..` of P is too.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use crate::artifacts;
use crate::call::{Call, Ended, Outcome};
use crate::compare;
use crate::namespace::{self, Namespace};
use crate::scratch::{self, Place};
use crate::trees;

/// How much of `stat` the manifest keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fidelity {
    /// What every manifest keeps; inode numbers, blocks and three of the times are Velo's own.
    Usual,
    /// `--exact`: all fields but the device number are those of the source.
    Exact,
}

/// What is at the mount point while the manifest serves it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MountPoint {
    /// An empty directory, so that what is around P is the same on both sides.
    Empty,
    /// Nothing: the tree was moved away.
    Absent,
}

/// A plain tree and its manifest.
#[derive(Debug)]
pub struct World {
    /// P: where both sides see the tree.
    pub at: PathBuf,
    /// Q: where the plain tree is kept.
    pub plain: PathBuf,
    /// A directory beside P that both sides see as it is.
    pub outside: PathBuf,
    /// The store root.
    pub store: PathBuf,
    /// The manifest of Q at P.
    pub manifest: PathBuf,
    /// What the manifest keeps.
    pub fidelity: Fidelity,
    mount_point: MountPoint,
    sealed: bool,
    /// Held for writing while an absent mount point is there to mount on.
    mounting: RwLock<()>,
}

impl World {
    /// A world whose tree `fill(where to make it, P)` makes.
    ///
    /// # Panics
    /// If the tree or the manifest cannot be made.
    #[must_use]
    pub fn new(name: &str, fidelity: Fidelity, fill: impl FnOnce(&Path, &Path)) -> Self {
        let world = Self::unbuilt(name, fidelity);
        make(&world.plain);
        fill(&world.plain, &world.at);
        world.build();
        world
    }

    /// The world of [`trees::everything`] and what is beside it.
    ///
    /// # Panics
    /// If the tree or the manifest cannot be made.
    #[must_use]
    pub fn of_everything(name: &str, fidelity: Fidelity) -> Self {
        let world = Self::new(name, fidelity, |base, at| {
            trees::everything(base, at);
            trees::neighbours(&at.with_file_name("outside"), at);
        });
        world.settle_times();
        world
    }

    /// Reads what is around P once, so that no later read moves its time of last access.
    ///
    /// # Panics
    /// If a file beside P cannot be read.
    pub fn settle_times(&self) {
        for directory in self.outside.ancestors() {
            let _ = std::fs::read_dir(directory).map(Iterator::count);
        }
        let around = Call::new("find")
            .arg(&self.outside)
            .args(["-type", "f", "-exec", "cat", "{}", "+"]);
        let _ = around.run(None).success();
        let _ = std::fs::read("/etc/hostname");
    }

    /// A world whose tree is made at P, indexed there and then moved away.
    ///
    /// # Panics
    /// If the tree or the manifest cannot be made.
    #[must_use]
    pub fn moved_away(name: &str, fill: impl FnOnce(&Path)) -> Self {
        Self::moved_away_with(name, &[], fill)
    }

    /// The same, indexed with further `arguments`.
    ///
    /// # Panics
    /// If the tree or the manifest cannot be made.
    #[must_use]
    pub fn moved_away_with(name: &str, arguments: &[&OsStr], fill: impl FnOnce(&Path)) -> Self {
        let mut world = Self::unbuilt(name, Fidelity::Usual);
        world.mount_point = MountPoint::Absent;
        fill(&world.at);
        if !oracle_only() {
            let command = world.build_command(&world.at).args(arguments);
            let _ = command.run(None).success();
        }
        std::fs::rename(&world.at, &world.plain)
            .unwrap_or_else(|error| panic!("move the tree away: {error}"));
        world
    }

    /// A world of which only the directories are there: no tree in Q, no manifest.
    ///
    /// # Panics
    /// If the directories cannot be made.
    #[must_use]
    pub fn unbuilt(name: &str, fidelity: Fidelity) -> Self {
        let base = scratch::directory(Place::Disk, name);
        let store = scratch::directory(Place::Memory, name);
        let neighbourhood = base.join("at");
        let at = neighbourhood.join("tree");
        let outside = neighbourhood.join("outside");
        for directory in [&neighbourhood, &at, &outside] {
            make(directory);
        }
        let (plain, manifest) = (base.join("plain"), base.join("manifest.velo"));
        let (mount_point, mounting) = (MountPoint::Empty, RwLock::new(()));
        Self {
            at,
            plain,
            outside,
            store,
            manifest,
            fidelity,
            mount_point,
            sealed: false,
            mounting,
        }
    }

    /// The same world, with nothing around it that a command could change.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.sealed = true;
        self
    }

    fn namespace(&self) -> Namespace {
        if self.sealed {
            Namespace::sealed()
        } else {
            Namespace::guarded()
        }
    }

    /// Indexes Q as the tree at P.
    ///
    /// With a namespace, Q is bound at P read-only meanwhile, so reading it changes no time.
    ///
    /// # Panics
    /// If `velo-ctl` fails.
    pub fn build(&self) {
        if oracle_only() {
            return;
        }
        let outcome = match namespace::available() {
            true => self
                .build_command(&self.at)
                .run(Some(Namespace::guarded().bind(&self.plain, &self.at))),
            false => self.build_command(&self.plain).run(None),
        };
        assert_eq!(
            outcome.ended,
            Ended::Status(0),
            "build-manifest: {}{}",
            outcome.text(),
            outcome.errors()
        );
    }

    fn build_command(&self, source: &Path) -> Call {
        let call = Call::new(artifacts::velo_ctl())
            .env("VELO_ROOT", &self.store)
            .deadline(Duration::from_secs(300));
        let call = call
            .arg("build-manifest")
            .arg(source)
            .arg("--at")
            .arg(&self.at)
            .arg("-o")
            .arg(&self.manifest);
        if self.fidelity == Fidelity::Exact {
            call.arg("--exact")
        } else {
            call
        }
    }

    /// `rel` below P.
    #[must_use]
    pub fn path(&self, rel: &str) -> PathBuf {
        self.at.join(rel)
    }

    /// Whether the manifest keeps all fields.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.fidelity == Fidelity::Exact
    }

    /// Runs `call` on the plain tree at P.
    #[must_use]
    pub fn plain(&self, call: &Call) -> Outcome {
        self.on_tree(&self.plain, call)
    }

    /// Runs `call` on another plain `tree` at P.
    ///
    /// # Panics
    /// If the machine has no mount namespaces ([`namespace::available`]).
    #[must_use]
    pub fn on_tree(&self, tree: &Path, call: &Call) -> Outcome {
        assert!(
            namespace::available(),
            "no mount namespaces on this machine"
        );
        let bind = self.namespace().bind(tree, &self.at);
        if self.mount_point == MountPoint::Empty {
            return call.run(Some(bind));
        }
        let _guard = self
            .mounting
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        make(&self.at);
        let outcome = call.run(Some(bind));
        let _ = std::fs::remove_dir(&self.at);
        outcome
    }

    /// `call` with the preload in its environment.
    #[must_use]
    pub fn preloaded(&self, call: &Call) -> Call {
        self.with_store(call)
            .env("VELO_MANIFEST", &self.manifest)
            .env("LD_PRELOAD", artifacts::library())
    }

    /// `call` with the store named in its environment, but no preload.
    #[must_use]
    pub fn with_store(&self, call: &Call) -> Call {
        call.clone().env("VELO_ROOT", &self.store)
    }

    /// Runs `call` on the manifest.
    ///
    /// # Panics
    /// If something stands at a mount point that should be absent.
    #[must_use]
    pub fn served(&self, call: &Call) -> Outcome {
        if oracle_only() {
            return self.plain(call);
        }
        let _guard = self.mounting.read().unwrap_or_else(PoisonError::into_inner);
        assert!(
            self.mount_point == MountPoint::Empty || !self.at.exists(),
            "the tree must be gone"
        );
        self.preloaded(call)
            .run(namespace::available().then(|| self.namespace()))
    }

    /// Runs `call` on both sides; they must not differ. Gives what both did.
    ///
    /// # Panics
    /// If they differ.
    pub fn same(&self, call: &Call) -> Outcome {
        self.same_after(call, |_| ())
    }

    /// As [`Self::same`], after `set_aside` took out of each outcome what may differ.
    ///
    /// # Panics
    /// If they differ.
    pub fn same_after(&self, call: &Call, set_aside: impl Fn(&mut Outcome)) -> Outcome {
        match self.compared(call, &set_aside) {
            Ok(both) => both,
            Err(report) => panic!("{report}"),
        }
    }

    /// As [`Self::same`], with the difference as the error.
    ///
    /// # Errors
    /// What differs, for people.
    pub fn try_same(&self, call: &Call) -> Result<Outcome, String> {
        self.compared(call, &|_| ())
    }

    /// Runs all `calls` on both sides and reports every difference together.
    ///
    /// # Panics
    /// If any differ.
    pub fn all_same(&self, calls: impl IntoIterator<Item = Call>) {
        let mut reports = Vec::new();
        for call in calls {
            if let Err(report) = self.try_same(&call) {
                reports.push(report);
            }
        }
        assert!(
            reports.is_empty(),
            "{} calls differ\n{}",
            reports.len(),
            reports.join("\n")
        );
    }

    fn compared(&self, call: &Call, set_aside: &dyn Fn(&mut Outcome)) -> Result<Outcome, String> {
        if !namespace::or_skip() {
            return Ok(self.served(call));
        }
        let run = |of: &dyn Fn(&Call) -> Outcome| {
            let mut outcome = of(call);
            set_aside(&mut outcome);
            outcome
        };
        let (plain, served) = compare::settled(
            || run(&|call| self.plain(call)),
            || run(&|call| self.served(call)),
        );
        match compare::difference(&plain, &served) {
            None => Ok(plain),
            Some(report) => Err({
                dump(call, &plain, &served);
                format!(
                    "plain and served differ ({:?}): {}\n{report}  served with VELO_ROOT={} VELO_MANIFEST={}",
                    self.fidelity,
                    call.line(),
                    self.store.display(),
                    self.manifest.display()
                )
            }),
        }
    }
}

/// With `VELO_ABI_DUMP=<directory>`: keeps both outcomes whole, for `diff`.
fn dump(call: &Call, plain: &Outcome, served: &Outcome) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let Some(directory) = std::env::var_os("VELO_ABI_DUMP").map(PathBuf::from) else {
        return;
    };
    let number = format!(
        "{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    for (side, outcome) in [("plain", plain), ("served", served)] {
        let text = format!("{}\n{:?}\n", call.line(), outcome.ended);
        let whole = [
            text.as_bytes(),
            &outcome.stdout,
            b"-- stderr\n",
            &outcome.stderr,
        ]
        .concat();
        let _ = std::fs::write(directory.join(format!("{number}.{side}")), whole);
    }
}

/// `VELO_ABI_ORACLE_ONLY=1` compares the plain side with itself, without any part of Velo:
/// whatever differs then is a fault of the test.
#[must_use]
pub fn oracle_only() -> bool {
    std::env::var_os("VELO_ABI_ORACLE_ONLY").is_some()
}

fn make(directory: &Path) {
    if let Err(error) = std::fs::create_dir(directory) {
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::AlreadyExists,
            "mkdir {}: {error}",
            directory.display()
        );
    }
}
