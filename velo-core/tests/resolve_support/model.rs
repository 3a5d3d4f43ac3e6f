//! A file tree of std types, and a resolver over it that is written to be
//! obviously right and for nothing else: one queue of names, one map per directory.

use std::collections::{BTreeMap, VecDeque};
use velo_core::errno::Errno;
use velo_core::resolve::Outside;

/// Number of an inode in its [`Tree`].
pub type Id = usize;

/// What an inode is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A directory: the numbers of its entries.
    Dir(BTreeMap<Vec<u8>, Id>),
    /// A regular file.
    File,
    /// A symlink with its target.
    Link(Vec<u8>),
    /// A directory that is only there because a mount stands further below.
    Implied(BTreeMap<Vec<u8>, Id>),
}

impl Kind {
    pub fn is_dir(&self) -> bool {
        matches!(self, Self::Dir(_) | Self::Implied(_))
    }
}

/// One inode.
#[derive(Clone, Debug)]
pub struct Inode {
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Its directory; the root's is itself.
    pub parent: Id,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Who {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
}

/// What a path means; errors are errno values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Meaning {
    Found(Id),
    Absent {
        parent: Id,
        name: Vec<u8>,
        slash: bool,
    },
    Fails(i32),
}

/// How the final component is treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Final {
    Follow,
    Stay,
    Entry,
}

pub const ENOENT: i32 = 2;
pub const EACCES: i32 = 13;
pub const ENOTDIR: i32 = 20;
pub const ENAMETOOLONG: i32 = 36;
pub const ELOOP: i32 = 40;

/// A whole file tree; inode 0 is `/`.
#[derive(Clone, Debug)]
pub struct Tree {
    pub inodes: Vec<Inode>,
}

impl Tree {
    pub fn new() -> Self {
        let kind = Kind::Dir(BTreeMap::new());
        Self {
            inodes: vec![Inode {
                kind,
                mode: 0o755,
                uid: 0,
                gid: 0,
                parent: 0,
            }],
        }
    }

    pub fn entries(&self, id: Id) -> Option<&BTreeMap<Vec<u8>, Id>> {
        match &self.inodes[id].kind {
            Kind::Dir(entries) | Kind::Implied(entries) => Some(entries),
            _ => None,
        }
    }

    /// Puts `inode` into its parent under `name`, in place of what was there.
    pub fn put(&mut self, name: &[u8], inode: Inode) -> Id {
        let id = self.inodes.len();
        let parent = inode.parent;
        self.inodes.push(inode);
        let (Kind::Dir(entries) | Kind::Implied(entries)) = &mut self.inodes[parent].kind else {
            panic!("the parent is no directory");
        };
        entries.insert(name.to_vec(), id);
        id
    }

    /// The canonical path of `id`, and `/` for the root.
    pub fn path(&self, id: Id) -> Vec<u8> {
        if id == 0 {
            return b"/".to_vec();
        }
        let parent = self.inodes[id].parent;
        let entries = self.entries(parent).expect("a parent is a directory");
        let (name, _) = entries
            .iter()
            .find(|(_, entry)| **entry == id)
            .expect("it is listed");
        let mut path = self.path(parent);
        if parent != 0 {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path
    }

    fn may_search(&self, id: Id, who: &Who) -> bool {
        let inode = &self.inodes[id];
        let bits = if matches!(inode.kind, Kind::Implied(_)) {
            7
        } else if who.uid == inode.uid {
            inode.mode >> 6
        } else if who.gid == inode.gid || who.groups.contains(&inode.gid) {
            inode.mode >> 3
        } else {
            inode.mode
        };
        bits & 1 == 1 || who.uid == 0
    }

    /// What `path` means, seen from `base`.
    pub fn resolve(&self, base: Id, path: &[u8], last: Final, who: &Who) -> Meaning {
        if path.len() >= 4096 {
            return Meaning::Fails(ENAMETOOLONG);
        }
        if path.is_empty() {
            return Meaning::Fails(ENOENT);
        }
        let mut here = if path[0] == b'/' { 0 } else { base };
        let mut queue: VecDeque<Vec<u8>> = names(path);
        let mut slash = path.ends_with(b"/");
        let mut links = 0;
        if path[0] != b'/' && self.entries(base).is_none() {
            return Meaning::Fails(ENOTDIR);
        }
        while let Some(name) = queue.pop_front() {
            let is_last = queue.is_empty();
            let Some(entries) = self.entries(here) else {
                return Meaning::Fails(ENOTDIR);
            };
            if !self.may_search(here, who) {
                return Meaning::Fails(EACCES);
            }
            if name == b"." {
                continue;
            }
            if name == b".." {
                here = self.inodes[here].parent;
                continue;
            }
            if name.len() > 255 {
                return Meaning::Fails(ENAMETOOLONG);
            }
            let Some(&next) = entries.get(&name) else {
                if is_last {
                    return Meaning::Absent {
                        parent: here,
                        name,
                        slash,
                    };
                }
                return Meaning::Fails(ENOENT);
            };
            let follows = !is_last
                || match last {
                    Final::Follow => true,
                    Final::Stay => slash,
                    Final::Entry => false,
                };
            match &self.inodes[next].kind {
                Kind::Link(target) if follows => {
                    links += 1;
                    if links > 40 {
                        return Meaning::Fails(ELOOP);
                    }
                    if target[0] == b'/' {
                        here = 0;
                    }
                    if is_last && target.ends_with(b"/") {
                        slash = true;
                    }
                    for name in names(target).into_iter().rev() {
                        queue.push_front(name);
                    }
                }
                Kind::Dir(_) | Kind::Implied(_) => here = next,
                Kind::File | Kind::Link(_) if is_last => {
                    return if slash && last != Final::Entry {
                        Meaning::Fails(ENOTDIR)
                    } else {
                        Meaning::Found(next)
                    };
                }
                Kind::File | Kind::Link(_) => return Meaning::Fails(ENOTDIR),
            }
        }
        match &self.inodes[here].kind {
            Kind::Implied(_) => Meaning::Fails(ENOENT),
            _ => Meaning::Found(here),
        }
    }
}

fn names(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

/// The kernel's tree, as the model has it.
pub struct ModelKernel<'w> {
    pub tree: &'w Tree,
    pub who: &'w Who,
    /// Questions so far.
    pub calls: usize,
}

impl Outside for ModelKernel<'_> {
    fn readlink(&mut self, path: &[u8], buffer: &mut [u8]) -> Result<usize, Errno> {
        self.calls += 1;
        match self.tree.resolve(0, path, Final::Stay, self.who) {
            Meaning::Found(id) => match &self.tree.inodes[id].kind {
                Kind::Link(target) => {
                    let length = target.len().min(buffer.len());
                    buffer[..length].copy_from_slice(&target[..length]);
                    Ok(length)
                }
                _ => Err(Errno::EINVAL),
            },
            Meaning::Absent { .. } => Err(Errno::ENOENT),
            Meaning::Fails(errno) => Err(Errno(errno)),
        }
    }
}
