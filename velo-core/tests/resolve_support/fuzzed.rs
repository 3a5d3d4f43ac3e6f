//! One run of the fuzz target `resolve_path`: any path, base, options and outside
//! world, over good manifests and over damaged ones.
//!
//! The input, so that a corpus can be written by hand:
//!
//! ```text
//! flags  1 byte: 1 follow_final, 2 names_entry, 4 allow_empty, 8 exact, 16 ordinary user
//! view   1 byte: 0 one mount, 1 two nested mounts, 2 the same and one at `/`
//! base   1 byte: 0 Cwd, 1 Dir, 2.. entry number - 2 of the first mount
//! seed   1 byte: what the outside world looks like
//! damage 1 byte, then so many times 2 bytes offset and 1 byte value
//! base   1 byte length, then the path of Cwd or Dir
//! path   the rest
//! ```

use std::sync::OnceLock;
use velo_core::errno::Errno;
use velo_core::manifest::write::{Content, ManifestBuilder, Meta};
use velo_core::manifest::{HEADER_BYTES, Manifest};
use velo_core::resolve::{
    Base, Identity, Mount, Options, Outside, PathBuffer, Resolution, Restrict, View, resolve,
};

/// Runs one input; panics if the resolver contradicts itself.
pub fn run(data: &[u8]) {
    let Some((&[flags, view, base, seed, damage], rest)) = data.split_first_chunk() else {
        return;
    };
    let Some((patches, rest)) = rest.split_at_checked(3 * usize::from(damage)) else {
        return;
    };
    let Some((&length, rest)) = rest.split_first() else {
        return;
    };
    let Some((base_path, path)) = rest.split_at_checked(length.into()) else {
        return;
    };
    let [mut outer, mut inner] = manifests().clone();
    for (number, patch) in patches.chunks_exact(3).enumerate() {
        let file = if number % 2 == 0 {
            &mut outer
        } else {
            &mut inner
        };
        let body = file.len() - HEADER_BYTES;
        let offset = usize::from(u16::from_le_bytes([patch[0], patch[1]])) % body;
        file[HEADER_BYTES + offset] = patch[2];
    }
    let (Ok(outer), Ok(inner)) = (Manifest::open(&outer), Manifest::open(&inner)) else {
        return;
    };
    let plan: &[(&[u8], Manifest<'_>)] = match view % 3 {
        0 => &[(b"/srv/v1/nm", outer)],
        1 => &[(b"/srv/v1/nm", outer), (b"/srv/v1/nm/a/in", inner)],
        _ => &[
            (b"/srv/v1/nm/a/in", inner),
            (b"/srv/v1/nm", outer),
            (b"/", outer),
        ],
    };
    let mounts: Vec<Mount<'_>> = plan
        .iter()
        .filter_map(|(path, manifest)| Mount::new(path, *manifest, 0).ok())
        .collect();
    let Ok(view) = View::new(&mounts) else {
        return;
    };
    let run = Run {
        view,
        flags,
        seed,
        sound: damage == 0,
    };
    let base = match base {
        0 => Base::Cwd(base_path),
        1 => Base::Dir(base_path),
        number => Base::Entry {
            mount: 0,
            index: u32::from(number) - 2,
        },
    };
    run.ask(base, path);
}

struct Run<'a> {
    view: View<'a>,
    flags: u8,
    seed: u8,
    /// Whether the manifests are as they were written.
    sound: bool,
}

impl Run<'_> {
    fn options(&self) -> Options {
        Options {
            follow_final: self.flags & 1 != 0,
            names_entry: self.flags & 2 != 0,
            allow_empty: self.flags & 4 != 0,
            exact: self.flags & 8 != 0,
            creates: self.flags & 16 != 0,
            restrict: Restrict(self.flags >> 5 & 1 | self.flags >> 4 & 12 | self.seed & 16),
            links: 0,
        }
    }

    fn ask(&self, base: Base<'_>, path: &[u8]) {
        let answer = self.answer(base, path, self.options());
        if !self.sound {
            return;
        }
        match &answer {
            Answer::Found(mount, index) => {
                let mut out = [0; 8192];
                let canonical = self.view.canonical_path(*mount, *index, &mut out);
                let canonical = canonical.expect("what is found has a path");
                let again = self
                    .with_root()
                    .answer(Base::Cwd(b"/"), canonical, Options::NO_FOLLOW);
                assert_eq!(again, answer, "the canonical path means the same");
            }
            Answer::Absent(mount, parent, name) => {
                let manifest = self.view.mounts()[*mount].manifest();
                assert!(manifest.vnode(*parent).is_some_and(|vnode| vnode.is_dir()));
                assert!(manifest.child(*parent, name).is_none(), "it is absent");
                assert!(!name.is_empty() && name.len() <= 255 && !name.contains(&b'/'));
            }
            Answer::Rewritten(path) => {
                assert!(path.starts_with(b"/") && path.len() < 4096);
            }
            Answer::Outside | Answer::Fails(_) => {}
        }
        if !path.is_empty() && path.len() < 4000 {
            let dot: &[u8] = if path.starts_with(b"/") { b"/." } else { b"./" };
            let odd = [dot, path].concat();
            let odd = self.answer(base, &odd, self.options());
            // A base that is no directory has no `.`, and a dot asks for search
            // permission; all else is the same.
            if !matches!(odd, Answer::Fails(Errno::ENOTDIR | Errno::EACCES)) {
                assert_eq!(odd, answer, "a dot in front changes nothing");
            }
        }
    }

    fn with_root(&self) -> Self {
        Self {
            flags: self.flags & !16,
            ..*self
        }
    }

    fn answer(&self, base: Base<'_>, path: &[u8], options: Options) -> Answer {
        let uid = if self.flags & 16 == 0 { 0 } else { 1000 };
        let identity = Identity {
            uid,
            gid: uid,
            groups: &[],
        };
        let mut outside = Hashed {
            seed: self.seed,
            calls: 0,
        };
        let mut scratch = PathBuffer::new();
        let answer = resolve(
            &self.view,
            base,
            path,
            options,
            &identity,
            &mut outside,
            &mut scratch,
        );
        assert!(
            outside.calls <= 2 * 4096 * 41,
            "one call for each component at most"
        );
        match answer {
            Ok(Resolution::Found { mount, index }) => Answer::Found(mount, index),
            Ok(Resolution::Absent {
                mount,
                parent,
                name,
                ..
            }) => Answer::Absent(mount, parent, name.to_vec()),
            Ok(Resolution::Outside) => Answer::Outside,
            Ok(Resolution::Rewritten(path)) => Answer::Rewritten(path.to_bytes().to_vec()),
            Err(errno) => Answer::Fails(errno),
        }
    }
}

/// A [`Resolution`] that owns its bytes.
#[derive(PartialEq, Debug)]
enum Answer {
    Found(usize, u32),
    Absent(usize, u32, Vec<u8>),
    Outside,
    Rewritten(Vec<u8>),
    Fails(Errno),
}

/// An outside world that is made up from the path, and so is always the same.
struct Hashed {
    seed: u8,
    calls: usize,
}

impl Outside for Hashed {
    fn readlink(&mut self, path: &[u8], buffer: &mut [u8]) -> Result<usize, Errno> {
        self.calls += 1;
        assert!(path.starts_with(b"/") && path.len() < 4096);
        if path.ends_with(b"/.") || self.seed == 0 {
            return Err(Errno::EINVAL);
        }
        let hash = path.iter().fold(u32::from(self.seed), |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        });
        let target: &[u8] = match hash >> 28 {
            0 => return Err(Errno::ENOENT),
            1 => return Err(Errno::EACCES),
            2 => b"/srv/v1/nm",
            3 => b"../srv/v1/nm/a/",
            4 => b"/",
            5 => b"..",
            6 => b"/srv/v1/nm/../l/x",
            7 => &[b'y'; 3000],
            8 => b"",
            // More than there is room for: a caller who does not keep to the rules.
            9 => return Ok(buffer.len() + 1),
            _ => return Err(Errno::EINVAL),
        };
        let bytes = target.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&target[..bytes]);
        Ok(bytes)
    }
}

/// Two trees with every kind of entry, and links every way.
fn manifests() -> &'static [Vec<u8>; 2] {
    static MANIFESTS: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    MANIFESTS.get_or_init(|| {
        let meta = |mode| Meta {
            mode,
            ..Meta::default()
        };
        let content = Content {
            hash: [1; 32],
            in_view: false,
            blocks: None,
        };
        let mut builder = ManifestBuilder::new();
        let root = builder
            .add_root(b"/srv/v1/nm", meta(0o755))
            .expect("a root");
        let a = builder
            .add_dir(root, b"a", meta(0o755))
            .expect("a directory");
        let shut = builder
            .add_dir(a, b"shut", meta(0o700))
            .expect("a directory");
        builder
            .add_file(shut, b"f", meta(0o644), content)
            .expect("a file");
        builder
            .add_file(a, b"f", meta(0o644), content)
            .expect("a file");
        for (name, target) in [
            (&b"l"[..], &b"a/f"[..]),
            (b"up", b"../../x"),
            (b"abs", b"/srv/v1/nm/a"),
            (b"in", b"a/in/g"),
            (b"loop", b"loop"),
            (b"far", b"/usr//l/../x/"),
            (b"s", b"a/shut/"),
        ] {
            builder
                .add_symlink(root, name, meta(0o777), target)
                .expect("a symlink");
        }
        let outer = builder.build().expect("builds");
        let mut builder = ManifestBuilder::new();
        let root = builder
            .add_root(b"/srv/v1/nm/a/in", meta(0o755))
            .expect("a root");
        builder
            .add_file(root, b"g", meta(0o600), content)
            .expect("a file");
        builder
            .add_symlink(root, b"l", meta(0o777), b"../../l")
            .expect("a symlink");
        [outer, builder.build().expect("builds")]
    })
}
