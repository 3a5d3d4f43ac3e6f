//! `run`: becomes a program that is served from manifests.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use velo_core::errno::Errno;
use velo_core::executable::{Kind, Machine};
use velo_core::resolve::{EXECUTE, Mount, PATH_MAX_BYTES, may_access};
use velo_core::store_layout::ROOT_VARIABLE;
use velo_core::vnode::mode::{S_IFDIR, S_IFMT, S_IFREG};
use velo_store::{Root, Store};

use crate::failure::{Failure, io_words, shown, status, words};
use crate::launch::libraries::Places;
use crate::launch::plan::{Demand, Found, Plan, Refusal, Tree, plan};
use crate::launch::program::kind;
use crate::launch::start::{Environment, start};
use crate::launch::{hooks, libraries, library};
use crate::manifest_file::ManifestFile;
use crate::output::printable;
use crate::selection::{MANIFEST_VARIABLE, ManifestArguments, join};
use crate::served::{Place, Served, errno};
use crate::warm::{self, Wish};

/// Environment variable that lets programs start which the library cannot serve.
const STATIC_VARIABLE: &str = "VELO_STATIC";

/// Run a program from manifests
#[derive(Args, Debug)]
#[command(after_help = "\
The program replaces velo-ctl: its exit status, signals and terminal are its own.
CMD may itself be served. It is looked for in PATH as a shell would.
Environment: VELO_LIB names libvelo_fs.so. Programs that the preload library cannot serve
(static, Go, Bun, foreign, privileged) are refused; VELO_STATIC=allow starts them, unserved. What
CMD starts in its turn is refused only if it is about a served path; VELO_STATIC=refuse: always.

Exit status: that of CMD, or
  125  Velo itself failed (no libvelo_fs.so, no store, a wrong command line)
  126  CMD was found and cannot be executed
  127  CMD was not found, or a manifest is unusable

Examples:
  velo-ctl run -m app.velo -- python app.py
  velo-ctl run -m python.velo -m app.velo -- /app/.venv/bin/python app.py
  velo-ctl use app.velo; velo-ctl run -- bash
  velo-ctl run --stats -m app.velo -- pytest -q    what was served, at exit")]
pub struct Arguments {
    #[command(flatten)]
    manifests: ManifestArguments,
    /// Say at exit what was served and what was passed on (VELO_STATS=1)
    #[arg(long)]
    stats: bool,
    /// Fork the program out of an interpreter that has already imported what it imports (CPython)
    #[arg(long)]
    warm: bool,
    /// Import these modules beforehand, in place of those that the last runs imported
    #[arg(long, value_name = "MODULES", value_delimiter = ',', requires = "warm")]
    preload: Vec<String>,
    /// Say on standard error when the program starts without such an interpreter, and why
    #[arg(short, long)]
    verbose: bool,
    /// The program and its arguments
    #[arg(
        required = true,
        value_hint = ValueHint::CommandWithArguments,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    command: Vec<OsString>,
}

/// Prepares everything, then becomes the program. Returns only failures.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let velo = |failure: Failure| failure.with_status(status::VELO);
    let unusable = |failure: Failure| failure.with_status(status::NOT_FOUND);
    let library = library::find().map_err(velo)?;
    let files = arguments.manifests.chosen().map_err(unusable)?;
    let served = Served::open(&files, ManifestFile::open_to_serve).map_err(unusable)?;
    let paths: Vec<_> = served.files.iter().map(|file| file.path.clone()).collect();
    let root = Root::discover().map_err(|error| velo(Failure::new(error)))?;
    let store = Store::open_or_create(&root.path).map_err(|error| velo(Failure::new(error)))?;
    let views = Views::ensure(&served, &store).map_err(velo)?;

    let mut environment = Environment::inherited();
    environment.preload(&library);
    environment.set(MANIFEST_VARIABLE, join(&paths).map_err(velo)?);
    environment.set(ROOT_VARIABLE, root.path.as_os_str());
    if arguments.stats {
        environment.set("VELO_STATS", "1");
    }

    hooks::prepare(&mut environment, &store).map_err(velo)?;

    let demand = Demand {
        machine: machine_of(&library),
        unserved_allowed: unserved_allowed().map_err(velo)?,
    };
    let tree = Executables {
        served: &served,
        views: &views,
    };
    let [command, rest @ ..] = arguments.command.as_slice() else {
        return Err(not_found(OsStr::new(""), Errno::ENOENT));
    };
    let plan = plan(&tree, environment.get("PATH"), command, rest, demand)
        .map_err(|refusal| refused(command, refusal))?;
    libraries::prepare(&mut environment, &plan.program, &tree);
    if arguments.warm {
        let wish = Wish {
            preload: arguments.preload.clone(),
        };
        let reason = warm::attempt(&plan, &environment, &served, &root.path, &wish);
        if arguments.verbose {
            Failure::new(format_args!("started cold: {reason}")).report();
        }
    }
    Err(not_started(&plan, &start(&plan, &environment)))
}

/// Whether `VELO_STATIC` lets programs start that the library cannot serve.
fn unserved_allowed() -> Result<bool, Failure> {
    let value = std::env::var_os(STATIC_VARIABLE).unwrap_or_default();
    match value.as_bytes() {
        b"allow" => Ok(true),
        b"refuse" | b"" => Ok(false),
        _ => Err(Failure::expected(
            format_args!("`allow` or `refuse` in {STATIC_VARIABLE}"),
            format_args!("`{}`", shown(&value)),
            "correct or unset it",
        )),
    }
}

/// The machine that the library is for; unknown if it is no ELF object.
fn machine_of(library: &Path) -> Option<Machine> {
    match kind(&File::open(library).ok()?).ok()? {
        Kind::Elf(elf) => Some(elf.machine),
        Kind::Script(_) | Kind::Other => None,
    }
}

/// The view trees of the manifests, one directory per mount.
struct Views {
    /// Of each mount, by its number.
    directories: Vec<PathBuf>,
}

impl Views {
    fn ensure(served: &Served, store: &Store) -> Result<Self, Failure> {
        let ensured = |mount: &Mount<'_>| {
            let view = store.ensure_view(mount.manifest()).map_err(Failure::new)?;
            Ok(view.path.join(mount.root().to_string()))
        };
        Ok(Self {
            directories: served
                .mounts()
                .iter()
                .map(ensured)
                .collect::<Result<_, Failure>>()?,
        })
    }

    /// Path in the view tree of an entry.
    fn physical(&self, served: &Served, mount: usize, index: u32) -> PathBuf {
        let mut relative = vec![0; 2 * PATH_MAX_BYTES];
        let length = served
            .manifest(mount)
            .rel_path(index, &mut relative)
            .unwrap_or(0);
        self.directories[mount].join(OsStr::from_bytes(&relative[..length]))
    }
}

/// Executables as the program will find them.
struct Executables<'a> {
    served: &'a Served,
    views: &'a Views,
}

impl Tree for Executables<'_> {
    fn executable(&self, path: &[u8]) -> Result<Found, Errno> {
        match self.served.find(path, true)? {
            Place::Entry { mount, index } => {
                let metadata = self.served.manifest(mount).stat(index).ok_or(Errno::EIO)?;
                if metadata.mode & S_IFMT != S_IFREG
                    || !may_access(&metadata, EXECUTE, &self.served.identity())
                {
                    return Err(Errno::EACCES);
                }
                Ok(Found {
                    physical: self.views.physical(self.served, mount, index),
                    served: true,
                })
            }
            Place::Real(path) | Place::Outside(path) => {
                let metadata = std::fs::metadata(&path).map_err(|error| errno(&error))?;
                if !metadata.is_file() {
                    return Err(Errno::EACCES);
                }
                rustix::fs::accessat(
                    rustix::fs::CWD,
                    &path,
                    rustix::fs::Access::EXEC_OK,
                    rustix::fs::AtFlags::EACCESS,
                )
                .map_err(|error| Errno(error.raw_os_error()))?;
                Ok(Found {
                    physical: path,
                    served: false,
                })
            }
        }
    }
}

impl Places for Executables<'_> {
    fn place(&self, directory: &[u8]) -> Option<PathBuf> {
        let (mount, index) = match self.served.find(directory, true).ok()? {
            Place::Entry { mount, index } => (mount, index),
            Place::Real(path) => return Some(path),
            Place::Outside(_) => return None,
        };
        let metadata = self.served.manifest(mount).stat(index)?;
        let place = self.views.physical(self.served, mount, index);
        // As long as the mount's path, so that there is room for that where the loader
        // keeps it.
        let shown = self.served.mounts()[mount].path().len();
        let slashes = shown.saturating_sub(self.views.directories[mount].as_os_str().len());
        let mut text = vec![b'/'; slashes];
        text.extend_from_slice(place.as_os_str().as_bytes());
        (metadata.mode & S_IFMT == S_IFDIR).then(|| OsString::from_vec(text).into())
    }

    fn origin(&self, program: &Path) -> Option<Vec<u8>> {
        let served = self
            .views
            .directories
            .iter()
            .enumerate()
            .find_map(|(mount, view)| {
                let below = program.strip_prefix(view).ok()?;
                let mount = OsStr::from_bytes(self.served.mounts()[mount].path());
                Some(Path::new(mount).join(below))
            });
        let path = match served {
            Some(path) => path,
            None => std::fs::canonicalize(program).ok()?,
        };
        Some(path.parent()?.as_os_str().as_bytes().to_vec())
    }
}

fn refused(command: &OsStr, refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Command(Errno::ENOENT) => not_found(command, Errno::ENOENT),
        Refusal::Command(errno) => Failure::path(command.as_bytes(), errno).with_status(status::CANNOT_EXECUTE),
        Refusal::Interpreter { name, errno } => Failure::new(format_args!(
            "{}: its interpreter {}: {}; correct the script's first line",
            shown(command),
            printable(&name),
            words(errno)
        ))
        .with_status(status::CANNOT_EXECUTE),
        Refusal::Unserved { program, reason } => Failure::expected(
            format_args!("{} to load the preload library", printable(&program)),
            format_args!("it is {reason}"),
            format_args!(
                "use a dynamically linked build of it, or start it unserved with {STATIC_VARIABLE}=allow \
                 (`velo-ctl run --mode mount` will serve it; this version does not have it yet)"
            ),
        )
        .with_status(status::CANNOT_EXECUTE),
    }
}

fn not_found(command: &OsStr, errno: Errno) -> Failure {
    let found = Failure::path(command.as_bytes(), errno).with_status(status::NOT_FOUND);
    if command.as_bytes().contains(&b'/') {
        found
    } else {
        found.remedy("it is in no directory of PATH, served or not")
    }
}

fn not_started(plan: &Plan, error: &std::io::Error) -> Failure {
    let failure = Failure::new(format_args!(
        "{}: {}",
        shown(plan.program.as_os_str()),
        io_words(error)
    ));
    match error.raw_os_error() {
        // The file was there a moment ago: what is missing is what it names.
        Some(libc::ENOENT) => failure
            .remedy("its dynamic loader (see `readelf -l`) is missing")
            .with_status(status::CANNOT_EXECUTE),
        _ => failure.with_status(status::CANNOT_EXECUTE),
    }
}
