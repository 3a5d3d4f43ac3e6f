//! Where a walk ends, and the answer that this is.

use super::Resolution;
use super::pending::Part;
use super::walk::Walk;
use crate::errno::Errno;
use core::ffi::CStr;

/// How a walk ends.
pub(super) enum End<'r> {
    /// At this entry.
    Found { mount: usize, index: u32 },
    /// At `name`, which `parent` does not hold.
    Absent {
        mount: usize,
        parent: u32,
        name: &'r [u8],
        slash: bool,
    },
    /// At `Walk::at`, whose last component `parent` does not hold.
    AbsentHere {
        mount: usize,
        parent: u32,
        slash: bool,
    },
    /// At `Walk::at`, outside; this component and all that is pending are left to
    /// the kernel.
    Outside(Option<Part<'r>>),
}

impl<'r> Walk<'r, '_> {
    /// Puts the answer into words.
    pub(super) fn finish(mut self, end: End<'r>) -> Result<Resolution<'r>, Errno> {
        let part = match end {
            End::Found { mount, index } => return Ok(Resolution::Found { mount, index }),
            End::Absent {
                mount,
                parent,
                name,
                slash,
            } => {
                let slash = slash || self.must_be_dir;
                return Ok(Resolution::Absent {
                    mount,
                    parent,
                    name,
                    slash,
                });
            }
            End::AbsentHere {
                mount,
                parent,
                slash,
            } => {
                let slash = slash || self.must_be_dir;
                let name = self
                    .at
                    .into_bytes()
                    .rsplit(|&byte| byte == b'/')
                    .next()
                    .unwrap_or_default();
                return Ok(Resolution::Absent {
                    mount,
                    parent,
                    name,
                    slash,
                });
            }
            End::Outside(_) if !self.touched => return Ok(Resolution::Outside),
            End::Outside(part) => part,
        };
        let spelled = self.spell_rest(part);
        if let (Err(_), Some(refused)) = (spelled, self.refused_outside) {
            return Err(refused); // by a text of a symlink, the kernel need not see it in one piece
        }
        // What was read outside may be longer than the kernel would ever see it:
        // as with the memory for link texts, that much of it is a loop.
        spelled.map_err(|errno| {
            if self.links_outside {
                Errno::ELOOP
            } else {
                errno
            }
        })?;
        let path = self.at.into_bytes_with_nul().ok_or(Errno::ENAMETOOLONG)?;
        CStr::from_bytes_with_nul(path)
            .map(Resolution::Rewritten)
            .map_err(|_| Errno::ENOENT)
    }

    /// Appends to `at` all that is left to the kernel.
    pub(super) fn spell_rest(&mut self, part: Option<Part<'r>>) -> Result<(), Errno> {
        match part {
            Some(part) => {
                self.at.push_name(part.name)?;
                for text in self.pending.texts() {
                    self.at.push_name(text)?;
                }
                if self.must_be_dir || (part.last && part.slash) {
                    self.at.push(b"/")?;
                }
                Ok(())
            }
            // The last component was `..`: keep it from being taken for a name.
            None if self.options.names_entry => self.at.push(b"/."),
            None if self.at.len() == 0 => self.at.push(b"/"),
            None => Ok(()),
        }
    }
}
