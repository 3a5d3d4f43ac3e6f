//! Where things stand below the store root, formatted into a caller's buffer.
//!
//! The store writes these paths and the interposer opens them; both call this
//! file, so they cannot disagree. Nothing here touches the file system.
//!
//! The *view root* holds one directory per view tree. It is `VELO_VIEW_ROOT`, else
//! `<root>/views`, which the store makes a symbolic link to an exec-capable place
//! when the root is mounted noexec. So a reader that compares physical paths (of
//! `getcwd`, `/proc/self/exe`) must canonicalise the view root once.

/// Environment variable that names the store root.
pub const ROOT_VARIABLE: &str = "VELO_ROOT";
/// Environment variable that names the place of the view trees.
pub const VIEW_ROOT_VARIABLE: &str = "VELO_VIEW_ROOT";
/// The RAM disk of spec §1.1, used when it is a mount point.
pub const RAM_DISK: &str = "/mnt/velo_ram_disk";
/// Prefix of the last resort; the user id follows.
pub const SHM_PREFIX: &str = "/dev/shm/velo-";
/// Directory of the blobs.
pub const CAS_DIRECTORY: &str = "cas_store";
/// Directory of the view trees.
pub const VIEWS_DIRECTORY: &str = "views";
/// Directory of the manifests that the store itself keeps.
pub const MANIFESTS_DIRECTORY: &str = "manifests";
/// Directory of the stat caches.
pub const INDEX_DIRECTORY: &str = "index";
/// Directory of what is known of the bytecode that sources were compiled to.
pub const BYTECODE_DIRECTORY: &str = "bytecode";
/// Directory of the packages that language hooks are made of, below the root.
pub const HOOKS_DIRECTORY: &str = "hooks";
/// File that holds the manifests set by `velo-ctl use`, joined by `:`.
pub const CURRENT_FILE: &str = "current";

/// Start of the name of everything that is being built and not yet visible.
pub const TEMPORARY_PREFIX: &str = ".velo-tmp-";
/// What a stored manifest's name adds to its hash.
pub const MANIFEST_EXTENSION: &str = ".velo";

/// Name of the copy of its manifest that a view tree has, beside the roots' directories.
pub const VIEW_MANIFEST_FILE: &str = "manifest";

/// Bytes of a hash in hexadecimal.
pub const HEX_BYTES: usize = 64;
/// Bytes of `/cas_store/ab/<hex>`: what a blob's path adds to the root.
pub const BLOB_SUFFIX_BYTES: usize = 1 + CAS_DIRECTORY.len() + 1 + 2 + 1 + HEX_BYTES;
/// Bytes of `/manifests/<hex>.velo`: what a stored manifest's path adds to the root.
pub const MANIFEST_SUFFIX_BYTES: usize =
    1 + MANIFESTS_DIRECTORY.len() + 1 + HEX_BYTES + MANIFEST_EXTENSION.len();
/// Most bytes of `/<hex>/<root index>`: what a view's path adds to the view root.
pub const VIEW_SUFFIX_BYTES_MAX: usize = 1 + HEX_BYTES + 1 + DECIMAL_BYTES_MAX;
/// Bytes of `u32::MAX` in decimal.
pub const DECIMAL_BYTES_MAX: usize = 10;

/// Lower-case hexadecimal of `hash`.
#[must_use]
pub fn hex(hash: &[u8; 32]) -> [u8; HEX_BYTES] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = [0; HEX_BYTES];
    for (pair, byte) in out.chunks_exact_mut(2).zip(hash) {
        if let [high, low] = pair {
            *high = DIGITS[(byte >> 4) as usize];
            *low = DIGITS[(byte & 15) as usize];
        }
    }
    out
}

/// Writes `/cas_store/ab/<hex>` of `hash`, to follow the root's path.
#[must_use]
pub fn blob_suffix(hash: &[u8; 32]) -> [u8; BLOB_SUFFIX_BYTES] {
    let mut out =
        *b"/cas_store/ab/0000000000000000000000000000000000000000000000000000000000000000";
    let digits = hex(hash);
    let (directory, name) = out.split_at_mut(BLOB_SUFFIX_BYTES - HEX_BYTES);
    name.copy_from_slice(&digits);
    if let (Some(slot), Some(first)) = (directory.get_mut(11..13), digits.get(..2)) {
        slot.copy_from_slice(first);
    }
    out
}

/// Writes `/manifests/<hex>.velo` of a tree id, to follow the root's path.
#[must_use]
pub fn manifest_suffix(tree: &[u8; 32]) -> [u8; MANIFEST_SUFFIX_BYTES] {
    let mut out = [b'/'; MANIFEST_SUFFIX_BYTES];
    let mut at = Cursor {
        out: &mut out,
        length: 1,
    };
    // The buffer has exactly the room, so none of these can be cut short.
    at.push(MANIFESTS_DIRECTORY.as_bytes());
    at.push(b"/");
    at.push(&hex(tree));
    at.push(MANIFEST_EXTENSION.as_bytes());
    out
}

/// Writes `<view root>/<hex of body_digest>/<root index>` and returns its length,
/// or `None` if `out` is too small. The paths of entries follow after a `/`.
#[must_use]
pub fn view_path(
    view_root: &[u8],
    body_digest: &[u8; 32],
    root_index: u32,
    out: &mut [u8],
) -> Option<usize> {
    let mut digits = [0; DECIMAL_BYTES_MAX];
    let mut at = Cursor { out, length: 0 };
    let fits = at.push(view_root)
        && at.push(b"/")
        && at.push(&hex(body_digest))
        && at.push(b"/")
        && at.push(decimal(root_index, &mut digits));
    fits.then_some(at.length)
}

/// Writes `<view root>/<hex of body_digest>/manifest` and returns its length, or `None` if
/// `out` is too small.
#[must_use]
pub fn view_manifest_path(
    view_root: &[u8],
    body_digest: &[u8; 32],
    out: &mut [u8],
) -> Option<usize> {
    let mut at = Cursor { out, length: 0 };
    let fits = at.push(view_root)
        && at.push(b"/")
        && at.push(&hex(body_digest))
        && at.push(b"/")
        && at.push(VIEW_MANIFEST_FILE.as_bytes());
    fits.then_some(at.length)
}

/// Decimal digits of `value`, written at the end of `digits`. A view tree's
/// directory of a root is named so.
#[must_use]
pub fn decimal(value: u32, digits: &mut [u8; DECIMAL_BYTES_MAX]) -> &[u8] {
    let mut rest = value;
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + (rest % 10) as u8;
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    digits.get(DECIMAL_BYTES_MAX - used..).unwrap_or_default()
}

/// Why the store root is where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RootRule {
    /// `VELO_ROOT` names it.
    Variable,
    /// [`RAM_DISK`] is a mount point.
    RamDisk,
    /// Nothing else was there: [`SHM_PREFIX`] and the effective user id.
    SharedMemory,
}

/// Why no store root could be chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RootChoiceError {
    /// `VELO_ROOT` is set, but does not start with `/`.
    NotAbsolute,
    /// The path does not fit the buffer.
    TooLong,
}

/// Decides where the store root is, writes its path without a trailing slash and
/// returns its length. `variable` is the value of `VELO_ROOT` (an empty one counts
/// as unset); `ram_disk_mounted` is asked only if it is unset.
///
/// # Errors
/// A relative `VELO_ROOT`, or a path longer than `out`.
pub fn choose_root(
    variable: Option<&[u8]>,
    ram_disk_mounted: impl FnOnce() -> bool,
    effective_uid: u32,
    out: &mut [u8],
) -> Result<(RootRule, usize), RootChoiceError> {
    let mut digits = [0; DECIMAL_BYTES_MAX];
    let mut at = Cursor { out, length: 0 };
    let (rule, fits) = match variable {
        Some([]) | None => {
            if ram_disk_mounted() {
                (RootRule::RamDisk, at.push(RAM_DISK.as_bytes()))
            } else {
                let fits =
                    at.push(SHM_PREFIX.as_bytes()) && at.push(decimal(effective_uid, &mut digits));
                (RootRule::SharedMemory, fits)
            }
        }
        Some(path @ [b'/', ..]) => (RootRule::Variable, at.push(without_trailing_slashes(path))),
        Some(_) => return Err(RootChoiceError::NotAbsolute),
    };
    if fits {
        Ok((rule, at.length))
    } else {
        Err(RootChoiceError::TooLong)
    }
}

/// `path` without the slashes at its end; `/` itself becomes empty, so that a
/// suffix that starts with a slash can follow.
#[must_use]
pub fn without_trailing_slashes(path: &[u8]) -> &[u8] {
    let mut rest = path;
    while let [front @ .., b'/'] = rest {
        rest = front;
    }
    rest
}

/// Appends to a buffer; says whether it fitted.
struct Cursor<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl Cursor<'_> {
    fn push(&mut self, bytes: &[u8]) -> bool {
        let Some(end) = self.length.checked_add(bytes.len()) else {
            return false;
        };
        let Some(slot) = self.out.get_mut(self.length..end) else {
            return false;
        };
        slot.copy_from_slice(bytes);
        self.length = end;
        true
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{format, string::String};

    use super::{
        RootChoiceError, RootRule, blob_suffix, choose_root, decimal, hex, manifest_suffix,
        view_path,
    };

    #[test]
    fn blob_stands_in_the_directory_of_its_first_byte() {
        let mut hash = [0x5a; 32];
        hash[0] = 0xa8;
        hash[31] = 0x0f;
        let suffix = blob_suffix(&hash);
        let text = core::str::from_utf8(&suffix).unwrap();
        assert!(text.starts_with("/cas_store/a8/a85a"), "{text}");
        assert!(text.ends_with("5a0f"), "{text}");
        assert_eq!(text.len(), super::BLOB_SUFFIX_BYTES);
        assert_eq!(&text.as_bytes()[14..], &hex(&hash));
    }

    fn chosen(variable: Option<&str>, mounted: bool) -> (RootRule, String) {
        let mut out = [0; 64];
        let (rule, length) =
            choose_root(variable.map(str::as_bytes), || mounted, 1000, &mut out).unwrap();
        (rule, String::from_utf8(out[..length].to_vec()).unwrap())
    }

    #[test]
    fn root_is_the_variable_else_the_ram_disk_else_shared_memory() {
        assert_eq!(
            chosen(Some("/a/b//"), true),
            (RootRule::Variable, "/a/b".into())
        );
        assert_eq!(
            chosen(Some(""), true),
            (RootRule::RamDisk, "/mnt/velo_ram_disk".into())
        );
        assert_eq!(
            chosen(None, false),
            (RootRule::SharedMemory, "/dev/shm/velo-1000".into())
        );
        let refused = choose_root(Some(b"a"), || true, 0, &mut [0; 64]);
        assert_eq!(refused, Err(RootChoiceError::NotAbsolute));
        let refused = choose_root(Some(b"/abc"), || true, 0, &mut [0; 3]);
        assert_eq!(refused, Err(RootChoiceError::TooLong));
    }

    #[test]
    fn view_of_a_root_is_named_by_digest_and_index() {
        let digest = [0xab; 32];
        let mut out = [0; 128];
        let length = view_path(b"/r/views", &digest, u32::MAX, &mut out).unwrap();
        let text = core::str::from_utf8(&out[..length]).unwrap();
        assert_eq!(text, format!("/r/views/{}/4294967295", "ab".repeat(32)));
        assert_eq!(view_path(b"/r/views", &digest, 0, &mut out[..74]), None);
        assert_eq!(view_path(b"/r/views", &digest, 0, &mut out[..75]), Some(75));
        assert_eq!(decimal(0, &mut [0; 10]), b"0");
    }

    #[test]
    fn stored_manifest_is_named_by_its_tree_id() {
        let suffix = manifest_suffix(&[0x0c; 32]);
        let expected = format!("/manifests/{}.velo", "0c".repeat(32));
        assert_eq!(core::str::from_utf8(&suffix).unwrap(), expected);
    }
}
