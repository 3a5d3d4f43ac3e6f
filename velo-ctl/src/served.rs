//! The tree as programs see it: manifests over the real file system.
//!
//! Every path goes through velo-core's resolver, so `.`, `..`, symbolic links,
//! permissions and errors are those of the kernel on a plain copy.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use velo_core::errno::Errno;
use velo_core::manifest::{Manifest, Metadata, Time};
use velo_core::resolve::{
    Base, Identity, Mount, Options, Outside, PathBuffer, Resolution, View, resolve,
};

use crate::failure::{Failure, shown};
use crate::manifest_file::ManifestFile;

/// Manifests, their mounts, and who looks.
pub struct Served {
    /// The manifests, in the order in which they were named.
    pub files: Vec<ManifestFile>,
    view: View<'static>,
    /// For each mount the index of its file.
    owners: Vec<usize>,
    cwd: Vec<u8>,
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An entry of a manifest.
    Entry {
        /// Number of the mount.
        mount: usize,
        /// Index in its manifest.
        index: u32,
    },
    /// The real file system, reached through a symbolic link in a manifest.
    Real(PathBuf),
    /// The real file system, as the path itself says.
    Outside(PathBuf),
}

impl Served {
    /// Opens the manifests at `paths` and checks them as `open` does.
    pub fn open(
        paths: &[PathBuf],
        open: fn(&Path) -> Result<ManifestFile, Failure>,
    ) -> Result<Self, Failure> {
        let files = paths
            .iter()
            .map(|path| open(path))
            .collect::<Result<Vec<_>, _>>()?;
        let mut mounts = Vec::new();
        let mut owners = Vec::new();
        for (number, file) in files.iter().enumerate() {
            for root in (0..file.manifest.root_count())
                .filter_map(|number| file.manifest.root(number).map(|root| (number, root.mount)))
            {
                let mount = Mount::new(root.1, file.manifest, root.0).map_err(|error| {
                    Failure::new(format_args!(
                        "{}: {error}; rebuild it with `velo-ctl build-manifest`",
                        shown(file.path.as_os_str())
                    ))
                })?;
                mounts.push(mount);
                owners.push(number);
            }
        }
        // Lives as long as the mapped files: until this process ends.
        let view = View::new(mounts.leak()).map_err(|error| {
            let names: Vec<_> = files
                .iter()
                .map(|file| shown(file.path.as_os_str()))
                .collect();
            Failure::new(format_args!(
                "{}: {error}; leave one of them out, or build it with another --at",
                names.join(", ")
            ))
        })?;
        let groups = rustix::process::getgroups().unwrap_or_default();
        Ok(Self {
            files,
            view,
            owners,
            cwd: std::env::current_dir()
                .map_or_else(|_| b"/".to_vec(), |path| path.into_os_string().into_vec()),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            groups: groups.into_iter().map(|group| group.as_raw()).collect(),
        })
    }

    /// The mounts of the view.
    pub fn mounts(&self) -> &'static [Mount<'static>] {
        self.view.mounts()
    }

    /// The manifest of a mount.
    pub fn manifest(&self, mount: usize) -> &'static Manifest<'static> {
        self.mounts()[mount].manifest()
    }

    /// The file of a mount.
    pub fn file(&self, mount: usize) -> &ManifestFile {
        &self.files[self.owners[mount]]
    }

    /// Who looks: this process.
    pub fn identity(&self) -> Identity<'_> {
        Identity {
            uid: self.uid,
            gid: self.gid,
            groups: &self.groups,
        }
    }

    /// Resolves `path` against the working directory.
    pub fn find(&self, path: &[u8], follow: bool) -> Result<Place, Errno> {
        let options = Options {
            exact: true,
            ..if follow {
                Options::FOLLOW
            } else {
                Options::NO_FOLLOW
            }
        };
        let mut scratch = PathBuffer::new();
        let resolution = resolve(
            &self.view,
            Base::Cwd(&self.cwd),
            path,
            options,
            &self.identity(),
            &mut Kernel,
            &mut scratch,
        )?;
        match resolution {
            Resolution::Found { mount, index } => Ok(Place::Entry { mount, index }),
            Resolution::Absent { .. } => Err(Errno::ENOENT),
            Resolution::Outside => Ok(Place::Outside(OsStr::from_bytes(path).into())),
            Resolution::Rewritten(path) => {
                Ok(Place::Real(OsStr::from_bytes(path.to_bytes()).into()))
            }
        }
    }

    /// Virtual absolute path of an entry.
    pub fn path_of(&self, mount: usize, index: u32) -> Vec<u8> {
        let mut buffer = vec![0; velo_core::resolve::PATH_MAX_BYTES * 2];
        self.view
            .canonical_path(mount, index, &mut buffer)
            .unwrap_or_default()
            .to_vec()
    }

    /// Names and places of what a served directory holds, sorted by name.
    pub fn children(&self, mount: usize, directory: u32) -> Vec<(Vec<u8>, Place)> {
        let manifest = self.manifest(mount);
        let path = self.path_of(mount, directory);
        let children = manifest.children(directory).filter_map(|index| {
            let name = manifest.name(index)?.to_vec();
            Some((
                self.covered(&path, &name)
                    .unwrap_or(Place::Entry { mount, index }),
                name,
            ))
        });
        children.map(|(place, name)| (name, place)).collect()
    }

    /// The root of another mount that stands at `directory`/`name`.
    fn covered(&self, directory: &[u8], name: &[u8]) -> Option<Place> {
        let below = |path: &[u8]| {
            path.strip_prefix(directory)
                .and_then(|rest| rest.strip_prefix(b"/"))
                == Some(name)
        };
        let mount = self.mounts().iter().position(|mount| below(mount.path()))?;
        Some(Place::Entry {
            mount,
            index: self.mounts()[mount].top(),
        })
    }

    /// Metadata of what `place` is; of a symbolic link itself unless `follow`.
    pub fn metadata(&self, place: &Place, follow: bool) -> Result<Metadata, Errno> {
        match place {
            Place::Entry { mount, index } => self.manifest(*mount).stat(*index).ok_or(Errno::EIO),
            Place::Real(path) | Place::Outside(path) => real_metadata(path, follow),
        }
    }
}

/// The kernel's own tree, outside the mounts.
struct Kernel;

impl Outside for Kernel {
    fn readlink(&mut self, path: &[u8], buffer: &mut [u8]) -> Result<usize, Errno> {
        let target = fs::read_link(OsStr::from_bytes(path)).map_err(|error| errno(&error))?;
        let target = target.into_os_string().into_vec();
        let length = target.len().min(buffer.len());
        buffer[..length].copy_from_slice(&target[..length]);
        Ok(length)
    }
}

/// The kernel's answer about a real path, in the manifest's terms.
pub fn real_metadata(path: &Path, follow: bool) -> Result<Metadata, Errno> {
    let found = if follow {
        fs::metadata(path)
    } else {
        fs::symlink_metadata(path)
    }
    .map_err(|error| errno(&error))?;
    let time = |sec: i64, nsec: i64| Time {
        sec,
        nsec: nsec as u32,
    };
    Ok(Metadata {
        ino: found.ino(),
        mode: found.mode(),
        nlink: found.nlink() as u32,
        uid: found.uid(),
        gid: found.gid(),
        size: found.size(),
        blocks: found.blocks(),
        blksize: found.blksize() as u32,
        atime: time(found.atime(), found.atime_nsec()),
        mtime: time(found.mtime(), found.mtime_nsec()),
        ctime: time(found.ctime(), found.ctime_nsec()),
        btime: None,
        dev_major: rustix::fs::major(found.dev()),
        dev_minor: rustix::fs::minor(found.dev()),
    })
}

/// Number of an error of the standard library.
pub fn errno(error: &std::io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or(Errno::EIO.0))
}
