//! Random worlds: an outside tree, mounts grafted into it, and questions about it.
//!
//! Everything is generated as small numbers and turned into paths only when the
//! tree is known, so that most paths hit something and proptest shrinks well.

use super::model::{Final, Id, Inode, Kind, Meaning, Tree, Who};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Sets of mount points; ancestors outside are plain public directories.
pub const MOUNTS: [&[&str]; 8] = [
    &["/o/m"],
    &["/o/m", "/o/p/m"],
    &["/o/m", "/o/m/a/b"],
    &["/o/m", "/o/m/a"],
    &["/o/m/a/b/c", "/o/m/a", "/o/m"],
    &["/o"],
    &["/"],
    &["/", "/o/m"],
];

/// Names: few, so that paths meet entries.
const NAMES: [&str; 8] = ["a", "b", "c", "m", "o", "p", ".h", "..d"];

/// A path before its tree is known.
#[derive(Clone, Debug)]
pub struct PathSpec {
    start: u8,
    inode: u16,
    tokens: Vec<u8>,
    end: u8,
}

#[derive(Clone, Debug)]
enum What {
    Dir,
    File,
    Link(PathSpec),
}

#[derive(Clone, Debug)]
pub struct EntrySpec {
    parent: u16,
    name: u8,
    what: What,
    mode: u32,
    uid: u8,
    gid: u8,
}

#[derive(Clone, Debug)]
pub struct Spec {
    pub mounts: usize,
    pub implied: bool,
    pub entries: Vec<EntrySpec>,
}

#[derive(Clone, Debug)]
pub struct Query {
    pub base: u16,
    /// 0 and 1: the current directory, 2: a descriptor known by path, 3: by entry.
    pub base_kind: u8,
    pub path: PathSpec,
    pub last: Final,
    pub who: usize,
}

fn path_spec() -> impl Strategy<Value = PathSpec> {
    (0u8..10, any::<u16>(), vec(0u8..43, 0..6), 0u8..12).prop_map(|(start, inode, tokens, end)| {
        PathSpec {
            start,
            inode,
            tokens,
            end,
        }
    })
}

fn entry_spec() -> impl Strategy<Value = EntrySpec> {
    let what = prop_oneof![
        4 => Just(What::Dir),
        2 => Just(What::File),
        3 => path_spec().prop_map(What::Link),
    ];
    let mode = prop_oneof![6 => Just(0o755), 3 => 0u32..0o1000];
    (any::<u16>(), 0u8..12, what, mode, 0u8..3, 0u8..3).prop_map(
        |(parent, name, what, mode, uid, gid)| EntrySpec {
            parent,
            name,
            what,
            mode,
            uid,
            gid,
        },
    )
}

pub fn spec() -> impl Strategy<Value = Spec> {
    (0..MOUNTS.len(), any::<bool>(), vec(entry_spec(), 0..50)).prop_map(
        |(mounts, implied, entries)| Spec {
            mounts,
            implied,
            entries,
        },
    )
}

pub fn query() -> impl Strategy<Value = Query> {
    let last = prop_oneof![Just(Final::Follow), Just(Final::Stay), Just(Final::Entry)];
    (any::<u16>(), 0u8..4, path_spec(), last, 0usize..3).prop_map(
        |(base, base_kind, path, last, who)| Query {
            base,
            base_kind,
            path,
            last,
            who,
        },
    )
}

/// Who may ask: root, and two users with groups.
pub fn people() -> [Who; 3] {
    [
        Who {
            uid: 0,
            gid: 0,
            groups: vec![],
        },
        Who {
            uid: 65_534,
            gid: 65_534,
            groups: vec![],
        },
        Who {
            uid: 65_533,
            gid: 65_534,
            groups: vec![1_000],
        },
    ]
}

const UIDS: [u32; 3] = [0, 65_534, 65_533];
const GIDS: [u32; 3] = [0, 65_534, 1_000];

/// A world in which everything has its number.
pub struct World {
    /// All of it, mounts included: what a process should see.
    pub full: Tree,
    /// The same without what is mounted: what the kernel sees.
    pub kernel: Tree,
    /// Path and root of each mount.
    pub mounts: Vec<(Vec<u8>, Id)>,
    /// The mount that holds each inode.
    pub owner: Vec<Option<usize>>,
}

impl World {
    /// Builds the tree of `spec` below `prefix` (empty, or an absolute path whose
    /// directories are then outside): mounts and absolute links begin with it.
    pub fn new(spec: &Spec, prefix: &[u8]) -> Self {
        let mut world = Self {
            full: Tree::new(),
            kernel: Tree::new(),
            mounts: Vec::new(),
            owner: vec![None],
        };
        let top = world.ancestors(0, prefix, false);
        for path in ["/o/p", "/x"] {
            world.ancestors(top, path.as_bytes(), false);
        }
        let points = MOUNTS[spec.mounts];
        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by_key(|number| points[*number].len());
        world.mounts = vec![(Vec::new(), 0); points.len()];
        for number in order {
            world.graft(top, prefix, number, points[number], spec.implied);
        }
        for entry in &spec.entries {
            world.add(top, prefix, entry);
        }
        world.unmount();
        world
    }

    /// Makes the directories of `path` below `top` that are missing.
    fn ancestors(&mut self, top: Id, path: &[u8], implied: bool) -> Id {
        let mut here = top;
        for name in path
            .split(|&byte| byte == b'/')
            .filter(|name| !name.is_empty())
        {
            here = match self
                .full
                .entries(here)
                .expect("made as a directory")
                .get(name)
            {
                Some(next) => *next,
                None => {
                    let kind = match self.owner[here] {
                        Some(_) if implied => Kind::Implied(BTreeMap::new()),
                        _ => Kind::Dir(BTreeMap::new()),
                    };
                    self.owner.push(self.owner[here]);
                    self.full.put(
                        name,
                        Inode {
                            kind,
                            mode: 0o755,
                            uid: 0,
                            gid: 0,
                            parent: here,
                        },
                    )
                }
            };
        }
        here
    }

    fn graft(&mut self, top: Id, prefix: &[u8], number: usize, point: &str, implied: bool) {
        let path = if point == "/" {
            prefix.to_vec()
        } else {
            [prefix, point.as_bytes()].concat()
        };
        let (way, name) = point.rsplit_once('/').expect("mount points are absolute");
        let parent = self.ancestors(top, way.as_bytes(), implied);
        let here = self
            .full
            .entries(parent)
            .expect("made as a directory")
            .get(name.as_bytes());
        let root = match here {
            Some(root) => *root,
            None if name.is_empty() => top,
            None => {
                let kind = Kind::Dir(BTreeMap::new());
                let inode = Inode {
                    kind,
                    mode: 0o755,
                    uid: 0,
                    gid: 0,
                    parent,
                };
                self.owner.push(None);
                self.full.put(name.as_bytes(), inode)
            }
        };
        // All that stands there by now belongs to the mount.
        let below = [&path[..], b"/"].concat();
        for (id, owner) in self.owner.iter_mut().enumerate() {
            if id == root || self.full.path(id).starts_with(&below) {
                *owner = Some(number);
            }
        }
        self.mounts[number] = (path, root);
    }

    fn add(&mut self, top: Id, prefix: &[u8], entry: &EntrySpec) {
        let parents: Vec<Id> = (top..self.full.inodes.len())
            .filter(|id| matches!(self.full.inodes[*id].kind, Kind::Dir(_)))
            .collect();
        let parent = parents[usize::from(entry.parent) % parents.len()];
        let name = match entry.name {
            11 => vec![b'L'; 255],
            number => NAMES[usize::from(number) % NAMES.len()].as_bytes().to_vec(),
        };
        if self
            .full
            .entries(parent)
            .expect("a directory")
            .contains_key(&name)
        {
            return;
        }
        let kind = match &entry.what {
            What::Dir => Kind::Dir(BTreeMap::new()),
            What::File => Kind::File,
            What::Link(target) => {
                let mut target = self.path(top, prefix, target);
                if target.is_empty() || target.len() > 4095 {
                    target = b".".to_vec();
                }
                Kind::Link(target)
            }
        };
        let mode = if matches!(kind, Kind::Link(_)) {
            0o777
        } else {
            entry.mode
        };
        let (uid, gid) = (UIDS[usize::from(entry.uid)], GIDS[usize::from(entry.gid)]);
        self.owner.push(self.owner[parent]);
        self.full.put(
            &name,
            Inode {
                kind,
                mode,
                uid,
                gid,
                parent,
            },
        );
    }

    /// Spells out a path; absolute ones stay below `prefix` unless they climb.
    pub fn path(&self, top: Id, prefix: &[u8], spec: &PathSpec) -> Vec<u8> {
        let inodes = self.full.inodes.len() - top;
        let mut path = match spec.start {
            0..=2 => Vec::new(),
            3 => [prefix, b"/"].concat(),
            4 => [prefix, b"//o/"].concat(),
            number => {
                let mut id = top + usize::from(spec.inode) % inodes;
                if number > 7
                    && let Some((_, root)) = self.mounts.first()
                {
                    id = *root;
                }
                let mut path = self.full.path(id);
                if path != b"/" && !spec.tokens.is_empty() {
                    path.push(b'/');
                }
                path
            }
        };
        for (position, token) in spec.tokens.iter().enumerate() {
            if position > 0 {
                path.push(b'/');
            }
            match token {
                0..=19 => path.extend_from_slice(NAMES[usize::from(token % 8)].as_bytes()),
                20..=30 => path.extend_from_slice(b".."),
                31..=33 => path.push(b'.'),
                34 | 35 => {}
                36 => path.extend_from_slice(&[b'L'; 255]),
                37 => path.extend_from_slice(&[b'L'; 256]),
                38 => path.extend_from_slice(b"..."),
                // Up to the very top, and down into what is a mount as a rule.
                39..=41 => {
                    for _ in 0..12 {
                        path.extend_from_slice(b"../");
                    }
                    path.extend_from_slice(prefix.strip_prefix(b"/").unwrap_or(prefix));
                    path.extend_from_slice(if *token == 41 { b"/o/p/m" } else { b"/o/m" });
                }
                _ => path.extend_from_slice(b"a/b/c"),
            }
        }
        match spec.end {
            0 | 1 => path.push(b'/'),
            2 => path.extend_from_slice(b"//"),
            3 => path.extend_from_slice(b"/."),
            4 => path.extend_from_slice(b"/.."),
            _ => {}
        }
        path
    }

    /// Whether `who` may search `id` and everything on the way there.
    pub fn searchable(&self, id: Id, who: &Who) -> bool {
        let path = [&self.full.path(id)[..], b"/."].concat();
        !matches!(
            self.full.resolve(0, &path, Final::Stay, who),
            Meaning::Fails(_)
        )
    }

    /// All inodes, for people.
    pub fn listing(&self) -> String {
        let mut out = String::new();
        for (path, root) in &self.mounts {
            out += &format!("mount of {root} at {}\n", path.escape_ascii());
        }
        for (id, inode) in self.full.inodes.iter().enumerate() {
            let kind = match &inode.kind {
                Kind::Dir(_) => "dir".into(),
                Kind::File => "file".into(),
                Kind::Implied(_) => "implied".into(),
                Kind::Link(target) => format!("-> {}", target.escape_ascii()),
            };
            out += &format!(
                "{id:3} {:?} {:o} {}:{} {} {kind}\n",
                self.owner[id],
                inode.mode,
                inode.uid,
                inode.gid,
                self.full.path(id).escape_ascii()
            );
        }
        out
    }
}

impl World {
    /// A world of the caller's own: mounts (directories, made where missing), then
    /// entries, each with its mode. `/dir/`, `/file` and `/link -> target` are
    /// owned by root; what the ancestors of an entry lack is made.
    pub fn by_hand(mounts: &[&str], implied: bool, entries: &[(&str, u32)]) -> Self {
        let mut world = Self {
            full: Tree::new(),
            kernel: Tree::new(),
            mounts: vec![(Vec::new(), 0); mounts.len()],
            owner: vec![None],
        };
        for (number, mount) in mounts.iter().enumerate() {
            world.graft(0, b"", number, mount, implied);
        }
        for (entry, mode) in entries {
            let (path, target) = entry.split_once(" -> ").unwrap_or((entry, ""));
            let (way, name) = path
                .trim_end_matches('/')
                .rsplit_once('/')
                .expect("absolute");
            let parent = world.ancestors(0, way.as_bytes(), false);
            let here = world.full.entries(parent).expect("made as a directory");
            if let (Some(&id), true) = (here.get(name.as_bytes()), path.ends_with('/')) {
                world.full.inodes[id].mode = *mode;
                continue;
            }
            let kind = match target {
                "" if path.ends_with('/') => Kind::Dir(BTreeMap::new()),
                "" => Kind::File,
                target => Kind::Link(target.as_bytes().to_vec()),
            };
            world.owner.push(world.owner[parent]);
            let inode = Inode {
                kind,
                mode: *mode,
                uid: 0,
                gid: 0,
                parent,
            };
            world.full.put(name.as_bytes(), inode);
        }
        world.unmount();
        world
    }

    /// Makes the kernel's tree: everything but the mounts.
    fn unmount(&mut self) {
        self.kernel = self.full.clone();
        for (_, root) in &self.mounts {
            let parent = self.full.inodes[*root].parent;
            if let Kind::Dir(entries) = &mut self.kernel.inodes[parent].kind {
                entries.retain(|_, entry| entry != root);
            }
        }
    }
}
