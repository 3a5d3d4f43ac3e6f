//! The preload library and what it needs: found, loaded by the dynamic loader of this
//! machine, and really serving a file; the default manifest usable.

use std::fs;
use std::path::Path;
use std::process::Command;

use velo_core::store_layout::{ROOT_VARIABLE, VIEW_ROOT_VARIABLE};
use velo_indexer::{BuildOptions, build};
use velo_store::{Root, Store};

use super::scratch::{Scratch, nearest_existing};
use super::{Check, probe};
use crate::failure::Failure;
use crate::launch::library;
use crate::launch::start::PRELOAD_VARIABLE;
use crate::manifest_file::ManifestFile;
use crate::selection::{self, MANIFEST_VARIABLE, ManifestArguments};
use crate::served::Served;

/// Where the trial's tree is served: a place that exists nowhere.
const TRIAL_MOUNT: &str = "/velo-doctor-trial";
/// What its file says.
const TRIAL_TEXT: &str = "served";

/// The checks of this file.
pub fn checks() -> Vec<Check> {
    let mut checks = match library::find() {
        Err(failure) => vec![Check::fail(
            "library",
            failure.to_string(),
            "without it programs can only be served by a kernel mount",
        )],
        Ok(path) => vec![loads(&path), serves(&path)],
    };
    checks.push(manifest());
    checks
}

/// Starts this same program under the library, with nothing to serve.
fn loads(path: &Path) -> Check {
    let id = "library";
    match probe::answer(&mut preloaded(path)) {
        Ok(_) => Check::ok(id, format!("{} loads", path.display())),
        Err(error) => Check::fail(
            id,
            format!("{} does not load: {error}", path.display()),
            "rebuild it for this machine: cargo build --release -p libvelo_fs",
        ),
    }
}

/// Indexes a tree of one file into a store of its own and reads it back under the
/// library, from a path that does not exist.
fn serves(library: &Path) -> Check {
    let id = "serving";
    match trial(library) {
        Ok(text) if text == TRIAL_TEXT => {
            Check::ok(id, "a program read a file that only a manifest has")
        }
        Ok(text) => Check::fail(
            id,
            format!("expected the text `{TRIAL_TEXT}`, found `{text}`"),
            "rebuild libvelo_fs and velo-ctl from one source",
        ),
        Err(error) => Check::fail(
            id,
            error,
            "repair what fails above, then rebuild libvelo_fs and velo-ctl from one source",
        ),
    }
}

fn trial(library: &Path) -> Result<String, String> {
    let root = Root::discover().map_err(|error| error.to_string())?;
    let scratch = Scratch::below(&nearest_existing(&root.path))
        .or_else(|_| Scratch::below(&std::env::temp_dir()))?;
    let tree = scratch.path.join("tree");
    let file = scratch.path.join("trial.velo");
    fs::create_dir(&tree)
        .and_then(|()| fs::write(tree.join("file"), TRIAL_TEXT))
        .map_err(|error| error.to_string())?;
    let store =
        Store::open_or_create(&scratch.path.join("store")).map_err(|error| error.to_string())?;
    let store = store.with_view_root(scratch.path.join("views"));
    let options = BuildOptions {
        mount: Some(TRIAL_MOUNT.into()),
        threads: 1,
        ..BuildOptions::default()
    };
    let built = build(&tree, &options, &store, &()).map_err(|error| error.to_string())?;
    store
        .publish_manifest(&built.bytes, &file)
        .map_err(|error| error.to_string())?;
    let opened = ManifestFile::open(&file).map_err(|error| error.to_string())?;
    store
        .ensure_view(&opened.manifest)
        .map_err(|error| error.to_string())?;
    let mut child = preloaded(library);
    child
        .arg(format!("{TRIAL_MOUNT}/file"))
        .env(MANIFEST_VARIABLE, &file)
        .env_remove("VELO_ON_ERROR");
    child
        .env(ROOT_VARIABLE, store.root())
        .env(VIEW_ROOT_VARIABLE, scratch.path.join("views"));
    probe::answer(&mut child)
}

fn preloaded(library: &Path) -> Command {
    let mut child = probe::command(probe::Trial::Preload);
    child
        .env(PRELOAD_VARIABLE, library)
        .env_remove(MANIFEST_VARIABLE)
        .env("VELO_ON_ERROR", "passthrough");
    child
}

/// The manifests that a program gets when nothing else is said.
fn manifest() -> Check {
    let id = "manifest";
    let named = std::env::var_os(MANIFEST_VARIABLE).is_some_and(|value| !value.is_empty());
    let set = match selection::current() {
        Ok(set) => named || !set.is_empty(),
        Err(failure) => return Check::fail(id, failure.to_string(), "velo-ctl use FILE"),
    };
    if !set {
        return Check::ok(id, "no default is set (velo-ctl use FILE)");
    }
    let opened = ManifestArguments::default()
        .chosen()
        .and_then(|files| Served::open(&files, ManifestFile::open_verified));
    match opened.and_then(|served| view_trees(&served).map(|()| served)) {
        Ok(served) => {
            let names: Vec<_> = served
                .files
                .iter()
                .map(|file| crate::failure::shown(file.path.as_os_str()))
                .collect();
            Check::ok(id, format!("{} sound", names.join(", ")))
        }
        Err(failure) if named => {
            Check::fail(id, failure.to_string(), "correct or unset VELO_MANIFEST")
        }
        Err(failure) => Check::fail(
            id,
            failure.to_string(),
            "velo-ctl use FILE, or velo-ctl use --none",
        ),
    }
}

fn view_trees(served: &Served) -> Result<(), Failure> {
    let root = Root::discover().map_err(Failure::new)?;
    let store = Store::open(&root.path).map_err(Failure::new)?;
    match served
        .files
        .iter()
        .map(|file| store.view_path(&file.manifest))
        .find(|path| !path.is_dir())
    {
        None => Ok(()),
        Some(path) => Err(Failure::expected(
            format_args!("a view tree at {}", crate::failure::shown(path.as_os_str())),
            "none",
            "`velo-ctl run` or `velo-ctl use` makes it",
        )),
    }
}
