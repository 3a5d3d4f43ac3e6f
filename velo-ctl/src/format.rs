//! Numbers, modes, times and owners as people read them.

use std::collections::HashMap;
use std::ffi::CStr;

use velo_core::vnode::mode;

/// `1234567` as `1.2 MiB`; below 1024 as `12 B`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `21034` as `21,034`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `drwxr-xr-x`, as `ls -l` shows `st_mode`.
pub fn permissions(st_mode: u32) -> String {
    let kind = match st_mode & mode::S_IFMT {
        mode::S_IFDIR => 'd',
        mode::S_IFLNK => 'l',
        mode::S_IFREG => '-',
        0o010_000 => 'p',
        0o020_000 => 'c',
        0o060_000 => 'b',
        0o140_000 => 's',
        _ => '?',
    };
    let mut out = String::from(kind);
    for (shift, special, set, unset) in [
        (6, 0o4000, 's', 'S'),
        (3, 0o2000, 's', 'S'),
        (0, 0o1000, 't', 'T'),
    ] {
        let bits = st_mode >> shift;
        out.push(if bits & 4 != 0 { 'r' } else { '-' });
        out.push(if bits & 2 != 0 { 'w' } else { '-' });
        out.push(match (st_mode & special != 0, bits & 1 != 0) {
            (true, true) => set,
            (true, false) => unset,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    out
}

/// What `stat` calls the type of `st_mode`; `size` tells empty files apart.
pub fn file_type(st_mode: u32, size: u64) -> &'static str {
    match st_mode & mode::S_IFMT {
        mode::S_IFDIR => "directory",
        mode::S_IFLNK => "symbolic link",
        mode::S_IFREG if size == 0 => "regular empty file",
        mode::S_IFREG => "regular file",
        0o010_000 => "fifo",
        0o020_000 => "character special file",
        0o060_000 => "block special file",
        0o140_000 => "socket",
        _ => "weird file",
    }
}

/// Local time by strftime(3), in the C locale. Out-of-range times show as seconds.
pub fn local_time(seconds: i64, pattern: &CStr) -> String {
    // SAFETY: all-zero is a valid `tm`.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the call.
    if unsafe { libc::localtime_r(&seconds, &mut parts) }.is_null() {
        return seconds.to_string();
    }
    let mut text = [0_u8; 128];
    // SAFETY: the buffer has the length that is passed, the pattern ends in NUL.
    let length = unsafe {
        libc::strftime(
            text.as_mut_ptr().cast(),
            text.len(),
            pattern.as_ptr(),
            &parts,
        )
    };
    String::from_utf8_lossy(&text[..length]).into_owned()
}

/// Names of users and groups, each asked for once.
#[derive(Default)]
pub struct Accounts {
    users: HashMap<u32, Option<String>>,
    groups: HashMap<u32, Option<String>>,
}

impl Accounts {
    /// Name of a user.
    pub fn user(&mut self, id: u32) -> Option<&str> {
        self.users
            .entry(id)
            .or_insert_with(|| user_name(id))
            .as_deref()
    }

    /// Name of a group.
    pub fn group(&mut self, id: u32) -> Option<&str> {
        self.groups
            .entry(id)
            .or_insert_with(|| group_name(id))
            .as_deref()
    }
}

fn user_name(id: u32) -> Option<String> {
    // SAFETY: single-threaded use; the entry stays valid until the next call and
    // is copied before.
    unsafe {
        let entry = libc::getpwuid(id);
        (!entry.is_null()).then(|| {
            CStr::from_ptr((*entry).pw_name)
                .to_string_lossy()
                .into_owned()
        })
    }
}

fn group_name(id: u32) -> Option<String> {
    // SAFETY: as in `user_name`.
    unsafe {
        let entry = libc::getgrgid(id);
        (!entry.is_null()).then(|| {
            CStr::from_ptr((*entry).gr_name)
                .to_string_lossy()
                .into_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{count, permissions, size};

    #[test]
    fn numbers_read_well() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size((1 << 20) - 1), "1.0 MiB");
        assert_eq!(size(u64::MAX), "16.0 EiB");
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
    }

    #[test]
    fn modes_read_as_ls_shows_them() {
        assert_eq!(permissions(0o040_755), "drwxr-xr-x");
        assert_eq!(permissions(0o120_777), "lrwxrwxrwx");
        assert_eq!(permissions(0o104_755), "-rwsr-xr-x");
        assert_eq!(permissions(0o102_644), "-rw-r-Sr--");
        assert_eq!(permissions(0o041_776), "drwxrwxrwT");
    }
}
