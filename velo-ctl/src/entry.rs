//! One file, directory or symbolic link as `ls` and `stat` report it.

use serde::Serialize;
use velo_core::errno::Errno;
use velo_core::id::{ContentHash, ObjectId};
use velo_core::manifest::{Metadata, Time};
use velo_core::vnode::{VnodeEntry, flag, mode};

use crate::format;
use crate::output::{JsonName, printable};
use crate::served::{Place, Served};

/// A name, what it is, and for a symbolic link where it points.
pub struct Entry {
    /// Name or path, as it is to be shown.
    pub name: Vec<u8>,
    /// What stat(2) says.
    pub metadata: Metadata,
    /// Target of a symbolic link.
    pub target: Option<Vec<u8>>,
    /// What the manifest knows besides.
    pub vnode: Option<VnodeEntry>,
    /// Extended attributes that the manifest has of it, names and values.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// Looks at `place`; `follow` matters for the real file system only.
    pub fn at(served: &Served, name: Vec<u8>, place: &Place, follow: bool) -> Result<Self, Errno> {
        let metadata = served.metadata(place, follow)?;
        let mut attributes = Vec::new();
        let (target, vnode) = match place {
            Place::Entry { mount, index } => {
                let manifest = served.manifest(*mount);
                let found = manifest.xattrs(*index);
                attributes.extend(found.map(|(name, value)| (name.to_vec(), value.to_vec())));
                (
                    manifest.symlink_target(*index).map(<[u8]>::to_vec),
                    manifest.vnode(*index),
                )
            }
            Place::Real(path) | Place::Outside(path) => {
                use std::os::unix::ffi::OsStringExt;
                let target = (metadata.mode & mode::S_IFMT == mode::S_IFLNK)
                    .then(|| std::fs::read_link(path).ok())
                    .flatten();
                (target.map(|path| path.into_os_string().into_vec()), None)
            }
        };
        Ok(Self {
            name,
            metadata,
            target,
            vnode,
            attributes,
        })
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.metadata.mode & mode::S_IFMT == mode::S_IFDIR
    }

    /// The content's id, of a served regular file.
    pub fn blob(&self) -> Option<ObjectId<'static>> {
        let vnode = self.vnode.filter(VnodeEntry::is_file)?;
        Some(ObjectId::Blob(ContentHash::from_bytes(vnode.content_hash)))
    }

    /// Words for the manifest's flags.
    pub fn flags(&self) -> Vec<&'static str> {
        const WORDS: [(u16, &str); 6] = [
            (flag::EXECUTABLE, "executable"),
            (flag::IN_VIEW, "in-view"),
            (flag::PUBLIC, "public"),
            (flag::HARDLINK, "hard-link"),
            (flag::SPARSE, "sparse"),
            (flag::XATTR, "xattr"),
        ];
        let Some(vnode) = self.vnode else {
            return Vec::new();
        };
        WORDS
            .into_iter()
            .filter(|(bit, _)| vnode.has(*bit))
            .map(|(_, word)| word)
            .collect()
    }

    /// The same as JSON.
    pub fn json(&self) -> EntryJson<'_> {
        let Metadata {
            ino,
            mode,
            nlink,
            uid,
            gid,
            size,
            blocks,
            blksize,
            atime,
            mtime,
            ctime,
            btime,
            dev_major,
            dev_minor,
        } = self.metadata;
        EntryJson {
            path: JsonName(&self.name),
            kind: format::file_type(mode, 1),
            mode: format!("{:04o}", mode & 0o7777),
            permissions: format::permissions(mode),
            size,
            blocks,
            block_size: blksize,
            inode: ino,
            links: nlink,
            device: [dev_major, dev_minor],
            uid,
            gid,
            atime: atime.into(),
            mtime: mtime.into(),
            ctime: ctime.into(),
            btime: btime.map(TimeJson::from),
            target: self.target.as_deref().map(JsonName),
            content: self.blob().map(|id| id.to_string()),
            flags: self.flags(),
            xattrs: self
                .attributes
                .iter()
                .map(|(name, value)| AttributeJson {
                    name: JsonName(name),
                    value: JsonName(value),
                })
                .collect(),
        }
    }
}

/// JSON form of [`Entry`]; `mode` is octal text, sizes are bytes.
#[derive(Serialize)]
pub struct EntryJson<'a> {
    path: JsonName<'a>,
    #[serde(rename = "type")]
    kind: &'static str,
    mode: String,
    permissions: String,
    size: u64,
    blocks: u64,
    block_size: u32,
    inode: u64,
    links: u32,
    device: [u32; 2],
    uid: u32,
    gid: u32,
    atime: TimeJson,
    mtime: TimeJson,
    ctime: TimeJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    btime: Option<TimeJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<JsonName<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flags: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    xattrs: Vec<AttributeJson<'a>>,
}

#[derive(Serialize)]
struct AttributeJson<'a> {
    name: JsonName<'a>,
    value: JsonName<'a>,
}

/// Seconds since the epoch, and nanoseconds.
#[derive(Serialize)]
pub struct TimeJson {
    seconds: i64,
    nanoseconds: u32,
}

impl From<Time> for TimeJson {
    fn from(time: Time) -> Self {
        Self {
            seconds: time.sec,
            nanoseconds: time.nsec,
        }
    }
}

/// `name`, or `'name' -> 'target'` as `stat` quotes them when they need it.
pub fn quoted(name: &[u8]) -> String {
    let plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80 || b"/._-+,:@%^=".contains(byte);
    let text = printable(name);
    if !name.is_empty() && name.iter().all(plain) {
        text
    } else if name.contains(&b'\'') {
        format!("\"{text}\"")
    } else {
        format!("'{text}'")
    }
}
