//! Extended attributes: those that [`Xattrs`] says.
//!
//! They are asked of files and directories that are open anyway (one call of about a
//! quarter of a microsecond), and not again while the stat cache vouches for an entry,
//! since setting one moves ctime. So an unchanged tree pays nothing for them.

use std::ffi::CString;
use std::os::fd::AsFd;

use rustix::fs::{fgetxattr, flistxattr};
use rustix::io::{Errno, Result};

use crate::options::Xattrs;

/// Name and value.
pub(crate) type Attribute = (Vec<u8>, Vec<u8>);

/// Room for the names of a file that has the usual few.
const NAMES_BYTES: usize = 512;
/// Most that the kernel gives (limits.h: XATTR_LIST_MAX, XATTR_SIZE_MAX).
const BYTES_MAX: usize = 64 << 10;

/// Whether an open file has attributes that a manifest records.
pub(crate) fn any(file: impl AsFd, wanted: Xattrs) -> Result<bool> {
    let mut few = [0; NAMES_BYTES];
    match flistxattr(&file, &mut few[..]) {
        Ok(length) => Ok(names(few.get(..length).unwrap_or_default(), wanted)
            .next()
            .is_some()),
        Err(Errno::RANGE) => Ok(names(&list(&file)?, wanted).next().is_some()),
        Err(Errno::NOTSUP) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// The attributes that a manifest records, sorted by name.
pub(crate) fn read(file: impl AsFd, wanted: Xattrs) -> Result<Vec<Attribute>> {
    let mut attributes = Vec::new();
    for name in names(&list(&file)?, wanted) {
        let mut value = vec![0; BYTES_MAX];
        let c_name = CString::new(name).map_err(|_| Errno::INVAL)?;
        match fgetxattr(&file, &c_name, &mut value[..]) {
            Ok(length) => value.truncate(length),
            // Removed meanwhile; the file's ctime tells.
            Err(Errno::NODATA) => continue,
            Err(errno) => return Err(errno),
        }
        attributes.push((name.to_vec(), value));
    }
    attributes.sort();
    Ok(attributes)
}

fn list(file: impl AsFd) -> Result<Vec<u8>> {
    let mut list = vec![0; BYTES_MAX];
    let length = flistxattr(file, &mut list[..])?;
    list.truncate(length);
    Ok(list)
}

/// Of a list of names, each closed by a NUL, those that are recorded.
fn names(list: &[u8], wanted: Xattrs) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == 0)
        .filter(move |name| wanted.records(name))
}

#[cfg(test)]
mod tests {
    use super::names;
    use crate::options::Xattrs;

    #[test]
    fn security_labels_and_acls_are_recorded_if_asked_for() {
        let list =
            b"security.selinux\0user.a\0system.posix_acl_access\0trusted.t\0security.capability\0";
        let found = |wanted| names(list, wanted).collect::<Vec<_>>();
        assert_eq!(found(Xattrs::None), [b""; 0]);
        assert_eq!(
            found(Xattrs::User),
            [&b"user.a"[..], b"security.capability"]
        );
        let all = [
            &b"security.selinux"[..],
            b"user.a",
            b"system.posix_acl_access",
            b"security.capability",
        ];
        assert_eq!(found(Xattrs::All), all);
    }
}
