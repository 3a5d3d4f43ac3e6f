//! The directories that a program has its libraries looked for in, where they are served.
//!
//! The loader opens past our hooks, so it does not find them by the paths that the program
//! spells. It is told their physical places in `LD_LIBRARY_PATH` ([`crate::environment`]),
//! at the end of which a `DT_RUNPATH` comes, as a `DT_RPATH` comes at its beginning.

use super::file::Descriptor;
use crate::fd_table;
use crate::library::place_for_loader;
use crate::locate::{From, Where, for_loader};
use crate::served::{self, KernelPath};
use crate::strings::Text;
use crate::world::{Entry, World};
use linux_raw_sys::general as nr;
use velo_core::executable::{Elf, SearchPath};

const PATH_BYTES: usize = nr::PATH_MAX as usize;

/// Physical places of served directories.
pub struct Libraries {
    places: Text,
    first: bool,
}

impl Libraries {
    /// None.
    pub fn new() -> Self {
        Self {
            places: Text::new(),
            first: false,
        }
    }

    /// Joined by `:`.
    pub fn as_bytes(&self) -> &[u8] {
        self.places.as_bytes()
    }

    /// Whether they come before all others.
    pub fn are_first(&self) -> bool {
        self.first
    }

    /// Collects those that `elf` names, which is open as `file` and may itself be served.
    pub(super) fn collect(
        &mut self,
        world: &'static World,
        elf: &Elf,
        file: &Descriptor,
        program: Option<Entry>,
        cwd: From,
    ) {
        if let Ok(Some(path)) = elf.search_path(&mut &*file) {
            self.first = path.first;
            let origin = Origin {
                world,
                file,
                program,
                text: None,
            };
            self.add_all(origin, path, cwd);
        }
    }

    /// Apart, because it needs much stack and most programs name none.
    #[inline(never)]
    fn add_all(&mut self, mut origin: Origin<'_>, path: SearchPath, cwd: From) {
        let mut buffer = [0; PATH_BYTES];
        let mut file = origin.file;
        let text = path.text(&mut file, &mut buffer).unwrap_or_default();
        for text in text.split(|byte| *byte == b':') {
            // A place that does not fit is left out, as one that is not there.
            let _ = self.add(&mut origin, text, cwd);
        }
    }

    fn add(&mut self, origin: &mut Origin<'_>, text: &[u8], cwd: From) -> Option<()> {
        let (directory, by_origin) = origin.expand(text)?;
        let world = origin.world;
        // In the view tree it is where the loader looks for it.
        let own = origin.program.filter(|_| by_origin);
        let mut out = [0; PATH_BYTES];
        let place = for_loader(cwd, &directory, |place| match place {
            Where::Served(_, entry)
                if own.is_none_or(|program| program.mount != entry.mount)
                    && served::vnode(world, entry).is_ok_and(|vnode| vnode.is_dir()) =>
            {
                let place = place_for_loader(world, entry, directory.as_bytes(), &mut out)?;
                Some(place.len())
            }
            // By a symlink in a mount.
            Where::KernelAt(path) if own.is_none() => {
                let path = path.to_bytes();
                out.get_mut(..path.len())?.copy_from_slice(path);
                Some(path.len())
            }
            _ => None,
        });
        let place = out.get(..place?)?;
        let before = self.places.length();
        let separator: &[u8] = if before == 0 { b"" } else { b":" };
        let pushed = self
            .places
            .push(separator)
            .and_then(|()| self.places.push(place));
        if pushed.is_none() {
            self.places.cut(before);
        }
        pushed
    }
}

/// What `$ORIGIN` stands for, found out when it is asked for.
struct Origin<'f> {
    world: &'static World,
    file: &'f Descriptor,
    program: Option<Entry>,
    text: Option<KernelPath>,
}

impl Origin<'_> {
    /// The directory of the program as it sees itself.
    fn directory(&mut self) -> Option<&[u8]> {
        if self.text.is_none() {
            let mut buffer = [0; PATH_BYTES];
            let path = match self.program {
                Some(entry) => {
                    let bytes = self.world.virtual_path(entry, &mut buffer)?;
                    buffer.get(..bytes)?
                }
                None => fd_table::physical_path(self.file.number(), &mut buffer)?,
            };
            let slash = path.iter().rposition(|byte| *byte == b'/')?;
            self.text = KernelPath::new(path.get(..slash)?).ok();
        }
        self.text.as_ref().map(KernelPath::as_bytes)
    }

    /// An absolute path, and whether it begins with `$ORIGIN`; `None` for all others.
    fn expand(&mut self, text: &[u8]) -> Option<(KernelPath, bool)> {
        let rest = text
            .strip_prefix(b"$ORIGIN")
            .or_else(|| text.strip_prefix(b"${ORIGIN}"));
        let rest = rest.filter(|rest| matches!(rest, [] | [b'/', ..]));
        if text.contains(&b'$') && rest.is_none_or(|rest| rest.contains(&b'$')) {
            return None;
        }
        Some(match rest {
            Some(rest) => (KernelPath::joined(self.directory()?, rest).ok()?, true),
            None if text.starts_with(b"/") => (KernelPath::new(text).ok()?, false),
            None => return None,
        })
    }
}
