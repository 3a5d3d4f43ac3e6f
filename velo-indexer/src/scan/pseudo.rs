//! File systems that hold no files: what the kernel shows of itself.

use std::os::fd::AsFd;

/// Magic numbers of statfs(2) (linux/magic.h), and what people call them.
const PSEUDO: [(i64, &str); 17] = [
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x1cd1, "devpts"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0xf97c_ff8c, "selinuxfs"),
    (0xcafe_4a11, "bpf"),
    (0x6265_6570, "configfs"),
    (0x6573_5543, "fusectl"),
    (0x6165_676c, "pstore"),
    (0xde5e_81e4, "efivarfs"),
    (0x4249_4e4d, "binfmt_misc"),
    (0x1980_0202, "mqueue"),
    (0x0187, "autofs"),
];

/// The name of the kernel's own file system that `directory` is on, if it is.
pub(super) fn pseudo_file_system(directory: impl AsFd) -> Option<&'static str> {
    let kind = rustix::fs::fstatfs(directory).ok()?.f_type;
    let found = PSEUDO.iter().find(|(magic, _)| *magic == kind)?;
    Some(found.1)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::pseudo_file_system;

    #[test]
    fn proc_is_one_and_the_root_is_not() {
        assert_eq!(
            pseudo_file_system(File::open("/proc").unwrap()),
            Some("proc")
        );
        assert_eq!(pseudo_file_system(File::open("/").unwrap()), None);
    }
}
