//! `cat`: the content of served files, read from the store.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;

use clap::{Args, ValueHint};
use velo_core::errno::Errno;
use velo_core::id::ContentHash;
use velo_core::resolve::{READ, may_access};
use velo_core::store_layout::blob_suffix;
use velo_store::Root;

use crate::failure::{Failure, status};
use crate::operand::{Lookup, Target};
use crate::output::Output;
use crate::selection::ManifestArguments;
use crate::served::{Place, errno};

/// Print the content of served files
#[derive(Args, Debug)]
#[command(after_help = "\
PATH is looked up in the default manifests; MANIFEST:PATH in that one (a PATH without a
leading slash starts at its root). Exit status: 0 all printed, 1 something was not.

Examples:
  velo-ctl cat /app/lib/python3.11/site-packages/numpy/version.py
  velo-ctl cat app.velo:numpy/version.py | head -3")]
pub struct Arguments {
    /// A served path, or MANIFEST:PATH
    #[arg(required = true, value_hint = ValueHint::AnyPath)]
    path: Vec<OsString>,
    #[command(flatten)]
    manifests: ManifestArguments,
}

/// Prints each operand; goes on after those that cannot be read.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let mut lookup = Lookup::new(&arguments.manifests);
    let mut exit = status::DONE;
    let mut out = Output::new();
    for operand in &arguments.path {
        let opened = lookup
            .target(operand)
            .and_then(|target| open(&target).map(|file| (target, file)));
        match opened {
            Ok((target, file)) => copy(&mut out, file, &target)?,
            Err(failure) => {
                failure.report();
                exit = status::FAILED;
            }
        }
    }
    out.finish()?;
    Ok(exit)
}

fn open(target: &Target) -> Result<File, Failure> {
    let place = target.place(true)?;
    let metadata = target
        .served
        .metadata(&place, true)
        .map_err(|errno| target.failure(errno))?;
    let Place::Entry { mount, index } = place else {
        let (Place::Real(path) | Place::Outside(path)) = place else {
            return Err(target.failure(Errno::EIO));
        };
        return File::open(path).map_err(|error| target.failure(errno(&error)));
    };
    let vnode = target
        .served
        .manifest(mount)
        .vnode(index)
        .ok_or_else(|| target.failure(Errno::EIO))?;
    if vnode.is_dir() {
        return Err(target.failure(Errno::EISDIR));
    }
    if !may_access(&metadata, READ, &target.served.identity()) {
        return Err(target.failure(Errno::EACCES));
    }
    blob(&vnode.content_hash, vnode.size, target)
}

/// Opens the blob and checks that it has the size that the manifest says.
fn blob(hash: &[u8; 32], size: u64, target: &Target) -> Result<File, Failure> {
    let root = Root::discover().map_err(Failure::new)?;
    let suffix = blob_suffix(hash);
    let mut path = root.path.into_os_string();
    path.push(std::ffi::OsStr::from_bytes(&suffix));
    let blob = ContentHash::from_bytes(*hash);
    let lost = |found: String| {
        Failure::new(format_args!(
            "{}: expected blob:{blob} of {size} bytes in the store, found {found}; index its source again (velo-ctl build-manifest) or check VELO_ROOT",
            crate::failure::shown(&target.shown)
        ))
    };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(lost(format!("nothing at {}", crate::failure::shown(&path))));
        }
        Err(error) => return Err(target.failure(errno(&error))),
    };
    match file.metadata().map(|found| found.len()) {
        Ok(found) if found == size => Ok(file),
        Ok(found) => Err(lost(format!("{found} bytes"))),
        Err(error) => Err(target.failure(errno(&error))),
    }
}

fn copy(out: &mut Output, mut file: File, target: &Target) -> Result<(), Failure> {
    use std::io::Read;
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => out.bytes(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(target.failure(errno(&error))),
        }
    }
}
