//! Where things stand below the store root, formatted into a caller's buffer.
//!
//! The store writes these paths and the interposer opens them; both call this
//! file, so they cannot disagree. Nothing here touches the file system.

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
/// File that holds the manifests set by `velo-ctl use`, joined by `:`.
pub const CURRENT_FILE: &str = "current";

/// Bytes of a hash in hexadecimal.
pub const HEX_BYTES: usize = 64;
/// Bytes of `/cas_store/ab/<hex>`: what a blob's path adds to the root.
pub const BLOB_SUFFIX_BYTES: usize = 1 + CAS_DIRECTORY.len() + 1 + 2 + 1 + HEX_BYTES;

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
    let mut out = *b"/cas_store/ab/0000000000000000000000000000000000000000000000000000000000000000";
    let digits = hex(hash);
    let (directory, name) = out.split_at_mut(BLOB_SUFFIX_BYTES - HEX_BYTES);
    name.copy_from_slice(&digits);
    if let (Some(slot), Some(first)) = (directory.get_mut(11..13), digits.get(..2)) {
        slot.copy_from_slice(first);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{blob_suffix, hex};

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
}
