//! realpath(3) where a mount is on the way, as the C library does it.
//!
//! Neither C library asks the kernel for the answer: both read one link after the
//! other and take `..` off the text. They differ in what they ask about the way
//! (glibc: is it there; musl: may it be searched), in how many links they follow and
//! in two leading slashes, so each has its own walk over the same texts.

use crate::served::KernelPath;
use crate::symbol::is_glibc;
use core::ffi::c_char;
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;

const PATH_BYTES: usize = nr::PATH_MAX as usize;
/// Symlinks that both follow at most; musl's last one is an error already.
const LINKS_MAX: usize = 40;

/// What the walks ask about files.
pub trait Files {
    /// readlink(2): the bytes of the text that were written.
    fn read_link(&mut self, path: *const c_char, text: &mut [u8]) -> Result<usize, Errno>;
    /// Whether there is something at `path`.
    fn find(&mut self, path: *const c_char) -> Result<(), Errno>;
    /// getcwd(3), without the NUL.
    fn working_directory(&mut self, path: &mut [u8]) -> Result<usize, Errno>;
    /// The canonical path of `path` by the resolver, which keeps no text that is still to be
    /// walked; without the NUL.
    fn walk(&mut self, path: &[u8], out: &mut [u8]) -> Result<usize, Errno>;
}

/// The canonical path of `path`, of as much of it as was found on an error.
pub fn resolve(path: &[u8], files: &mut impl Files, out: &mut Text) -> Result<(), Errno> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    if is_glibc() {
        in_glibc(path, files, out)
    } else {
        in_musl(path, files, out)
    }
}

/// A path under construction, with room for a NUL.
pub struct Text {
    bytes: [u8; PATH_BYTES + 1],
    length: usize,
}

impl Text {
    /// Nothing.
    pub const fn new() -> Self {
        Self {
            bytes: [0; PATH_BYTES + 1],
            length: 0,
        }
    }

    /// What was written.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(b"")
    }

    fn as_ptr(&mut self) -> *const c_char {
        if let Some(end) = self.bytes.get_mut(self.length) {
            *end = 0;
        }
        self.bytes.as_ptr().cast()
    }

    fn push(&mut self, text: &[u8]) -> Result<(), Errno> {
        let end = self.length + text.len();
        self.bytes
            .get_mut(self.length..end)
            .filter(|_| end < PATH_BYTES)
            .ok_or(Errno::ENAMETOOLONG)?
            .copy_from_slice(text);
        self.length = end;
        Ok(())
    }

    fn separate(&mut self) -> Result<(), Errno> {
        if matches!(self.as_bytes().last(), None | Some(b'/')) {
            return Ok(());
        }
        self.push(b"/")
    }

    fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Cuts off the last component and the slash before it, but not the first byte.
    fn pop(&mut self) {
        let slash = self.as_bytes().iter().rposition(|byte| *byte == b'/');
        self.truncate(slash.map_or(0, |slash| slash.max(1)));
    }
}

/// What is still to be walked, at the end of its memory, so that a link's text goes
/// before it.
struct Pending<const N: usize> {
    bytes: [u8; N],
    start: usize,
}

impl<const N: usize> Pending<N> {
    fn new(path: &[u8]) -> Result<Self, Errno> {
        let mut pending = Self {
            bytes: [0; N],
            start: N,
        };
        pending.prepend(path)?;
        Ok(pending)
    }

    fn text(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or(b"")
    }

    fn prepend(&mut self, text: &[u8]) -> Result<(), Errno> {
        let start = self.start.checked_sub(text.len());
        let start = start.ok_or(Errno::ENAMETOOLONG)?;
        if let Some(slot) = self.bytes.get_mut(start..self.start) {
            slot.copy_from_slice(text);
        }
        self.start = start;
        Ok(())
    }

    fn skip(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(N);
    }

    fn skip_slashes(&mut self) {
        let slashes = self.text().iter().take_while(|byte| **byte == b'/').count();
        self.skip(slashes);
    }

    /// The next component, a copy, taken off.
    fn next_name(&mut self) -> Result<KernelPath, Errno> {
        let text = self.text();
        let end = text.iter().position(|byte| *byte == b'/');
        let name = KernelPath::new(text.get(..end.unwrap_or(text.len())).unwrap_or(b""))?;
        self.skip(name.as_bytes().len());
        Ok(name)
    }
}

fn in_glibc(path: &[u8], files: &mut impl Files, out: &mut Text) -> Result<(), Errno> {
    let mut pending = Pending::<{ 4 * PATH_BYTES }>::new(path)?;
    let mut links = 0;
    if path.starts_with(b"/") {
        out.push(b"/")?;
    } else {
        out.length = files.working_directory(&mut out.bytes)?;
    }
    loop {
        pending.skip_slashes();
        let name = pending.next_name()?;
        match name.as_bytes() {
            b"" => return Ok(()),
            b"." => continue,
            b".." => {
                out.pop();
                continue;
            }
            _ => {}
        }
        let before = out.length;
        out.separate()?;
        out.push(name.as_bytes())?;
        let mut link = [0; PATH_BYTES];
        match files.read_link(out.as_ptr(), &mut link) {
            Ok(_) if links == LINKS_MAX => return Err(Errno::ELOOP),
            Ok(bytes) => {
                links += 1;
                let link = link.get(..bytes).unwrap_or(b"");
                if pending.prepend(link).is_err() {
                    // To glibc, whose memory grows, 40 texts of 4,095 bytes are not too long.
                    out.length = files.walk(path, &mut out.bytes)?;
                    return Ok(());
                }
                out.truncate(if link.starts_with(b"/") { 1 } else { before });
            }
            Err(_) if wants_directory(pending.text()) => {
                let found = out.length;
                out.push(b"/")?;
                let answer = files.find(out.as_ptr());
                out.truncate(found);
                answer?;
            }
            Err(Errno::EINVAL) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether `rest`, what follows a component, makes glibc ask for a directory: nothing
/// but slashes and `.`, or `..` next.
fn wants_directory(rest: &[u8]) -> bool {
    if !rest.starts_with(b"/") {
        return false;
    }
    let mut names = rest
        .split(|byte| *byte == b'/')
        .filter(|name| !matches!(*name, b"" | b"."));
    matches!(names.next(), None | Some(b".."))
}

fn in_musl(path: &[u8], files: &mut impl Files, out: &mut Text) -> Result<(), Errno> {
    let mut pending = Pending::<PATH_BYTES>::new(path)?;
    if path.len() == PATH_BYTES {
        return Err(Errno::ENAMETOOLONG);
    }
    let (mut links, mut ups) = (0, 0);
    // Whether the last component has to be a directory, and it is not known to be.
    let mut unsure = false;
    loop {
        match pending.text() {
            [b'/', rest @ ..] => {
                // Two slashes are a root of their own (path_resolution(7) has one).
                let two = rest.first() == Some(&b'/') && rest.get(1) != Some(&b'/');
                out.truncate(0);
                out.push(if two { b"//" } else { b"/" })?;
                (ups, unsure) = (0, false);
                pending.skip_slashes();
                continue;
            }
            [] if !unsure => break,
            _ => {}
        }
        let name = pending.next_name()?;
        if name.as_bytes() == b"." {
            pending.skip_slashes();
            continue;
        }
        let before = out.length;
        if pending.start == name.as_bytes().len()
            && !matches!(out.as_bytes().last(), None | Some(b'/'))
        {
            return Err(Errno::ENAMETOOLONG);
        }
        out.separate()?;
        out.push(name.as_bytes())?;
        let up = name.as_bytes() == b"..";
        if up && before <= 3 * ups {
            ups += 1;
            pending.skip_slashes();
            continue;
        }
        if !up || unsure {
            let mut link = [0; PATH_BYTES];
            let room = link.get_mut(..pending.start).unwrap_or(&mut []);
            let room_bytes = room.len();
            match files.read_link(out.as_ptr(), room) {
                Ok(bytes) if bytes == room_bytes => return Err(Errno::ENAMETOOLONG),
                Ok(0) => return Err(Errno::ENOENT),
                Ok(bytes) => {
                    links += 1;
                    if links == LINKS_MAX {
                        return Err(Errno::ELOOP);
                    }
                    let link = link.get(..bytes).unwrap_or(b"");
                    if link.ends_with(b"/") {
                        pending.skip_slashes();
                    }
                    pending.prepend(link)?;
                    out.truncate(before);
                    continue;
                }
                Err(Errno::EINVAL) => {}
                Err(error) => return Err(error),
            }
        }
        unsure = false;
        if up {
            out.truncate(before);
            out.pop_in_musl();
        } else {
            if name.as_bytes().is_empty() {
                out.truncate(before);
            }
            unsure = !pending.text().is_empty();
        }
        pending.skip_slashes();
    }
    if out.as_bytes().starts_with(b"/") {
        return Ok(());
    }
    below_working_directory(ups, files, out)
}

impl Text {
    /// As [`Self::pop`], for a path that may be relative or begin with two slashes.
    fn pop_in_musl(&mut self) {
        let slash = self.as_bytes().iter().rposition(|byte| *byte == b'/');
        let end = slash.map_or(0, |slash| slash + 1);
        self.truncate(end);
        if end > 2 || (end == 2 && !self.as_bytes().starts_with(b"/")) {
            self.truncate(end - 1);
        }
    }
}

/// Puts the working directory before a relative path that begins with `ups` times `..`.
fn below_working_directory(
    ups: usize,
    files: &mut impl Files,
    out: &mut Text,
) -> Result<(), Errno> {
    let mut whole = Text::new();
    whole.length = files.working_directory(&mut whole.bytes)?;
    let mut rest = out.as_bytes();
    for _ in 0..ups {
        rest = rest.strip_prefix(b"..").unwrap_or(rest);
        rest = rest.strip_prefix(b"/").unwrap_or(rest);
        whole.pop();
    }
    if !rest.is_empty() {
        whole.separate()?;
        whole.push(rest)?;
    }
    *out = whole;
    Ok(())
}
