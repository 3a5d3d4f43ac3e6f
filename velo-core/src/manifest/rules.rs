//! The rules that names, targets and mounts obey; the writer and `verify` share them.

use super::layout::{NAME_BYTES_MAX, PATH_BYTES_MAX};

/// Whether a directory can hold something of this name.
pub(super) fn name_is_valid(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..")
        && name.len() <= NAME_BYTES_MAX
        && !name.iter().any(|byte| matches!(byte, 0 | b'/'))
}

/// Whether a symlink can point there.
pub(super) fn target_is_valid(target: &[u8]) -> bool {
    !target.is_empty() && target.len() <= PATH_BYTES_MAX && !target.contains(&0)
}

/// Whether a path is absolute and lexically normal: `/`, or names with one slash
/// before each.
pub(super) fn mount_is_normal(mount: &[u8]) -> bool {
    match mount.split_first() {
        Some((b'/', [])) => true,
        Some((b'/', names)) => {
            mount.len() <= PATH_BYTES_MAX && names.split(|byte| *byte == b'/').all(name_is_valid)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{mount_is_normal, name_is_valid, target_is_valid};

    #[test]
    fn names() {
        for good in [&b"a"[..], b"...", b".a", b"\xff", &[b'x'; 255]] {
            assert!(name_is_valid(good), "{good:?}");
        }
        for bad in [&b""[..], b".", b"..", b"a/b", b"a\0", &[b'x'; 256]] {
            assert!(!name_is_valid(bad), "{bad:?}");
        }
    }

    #[test]
    fn targets() {
        assert!(target_is_valid(b"../a//b/."));
        assert!(!target_is_valid(b""));
        assert!(!target_is_valid(b"a\0"));
        assert!(!target_is_valid(&[b'x'; 4096]));
    }

    #[test]
    fn mounts() {
        for good in [&b"/"[..], b"/a", b"/a/b.c"] {
            assert!(mount_is_normal(good), "{good:?}");
        }
        for bad in [&b""[..], b"a", b"//", b"/a/", b"/a//b", b"/./a", b"/a/.."] {
            assert!(!mount_is_normal(bad), "{bad:?}");
        }
    }
}
