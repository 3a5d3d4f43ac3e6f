//! What is wrong with a text that should have been an id: expected and found.
//!
//! Holds no reference to the text, so it may outlive it, and never allocates.

use core::fmt;

use super::{PREFIX_DIGITS_MIN, TENANT_BYTES_MAX};

/// Why a text is not an id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParseIdError {
    /// It begins with none of the five kinds.
    Kind {
        /// The text.
        found: Excerpt,
    },
    /// The number of hexadecimal digits is wrong.
    Digits {
        /// Digits that the hash has.
        expected: usize,
        /// Characters that stand there.
        found: usize,
    },
    /// A character is no hexadecimal digit.
    Digit {
        /// Its place among the digits, counted from 1.
        position: usize,
        /// The character.
        found: char,
    },
    /// Too few or too many digits for a short prefix.
    PrefixDigits {
        /// Characters that stand there.
        found: usize,
    },
    /// Not of the form `refs/tenants/<id>/HEAD`.
    Ref {
        /// The text.
        found: Excerpt,
    },
    /// The tenant's name breaks the rules of [`TenantId`](super::TenantId).
    Tenant {
        /// The name.
        found: Excerpt,
    },
}

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind { found } => {
                write!(
                    f,
                    "expected an id that begins with blob:, tree:, commit:, ref: or uvlock:, found {found}"
                )
            }
            Self::Digits { expected, found } => {
                write!(
                    f,
                    "expected {expected} hexadecimal digits, found {found} characters"
                )
            }
            Self::Digit { position, found } => {
                write!(
                    f,
                    "expected a hexadecimal digit at position {position}, found {found:?}"
                )
            }
            Self::PrefixDigits { found } => {
                write!(
                    f,
                    "expected {PREFIX_DIGITS_MIN} to 64 hexadecimal digits, found {found} characters"
                )
            }
            Self::Ref { found } => write!(f, "expected refs/tenants/<id>/HEAD, found {found}"),
            Self::Tenant { found } => write!(
                f,
                "expected a tenant id of 1 to {TENANT_BYTES_MAX} of A-Z a-z 0-9 _ - . that neither starts with \
                 '.' or '-', nor ends with '.' or '.lock', nor holds '..', found {found}"
            ),
        }
    }
}

impl core::error::Error for ParseIdError {}

/// The beginning of a text, kept by value for a message. Prints quoted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Excerpt {
    bytes: [u8; Self::BYTES_MAX],
    kept: u8,
    cut: bool,
}

impl Excerpt {
    const BYTES_MAX: usize = 30;

    /// The first characters of `text`, as many as fit.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut bytes = [0; Self::BYTES_MAX];
        let ends = text
            .char_indices()
            .map(|(start, found)| start + found.len_utf8());
        let kept = ends
            .take_while(|end| *end <= Self::BYTES_MAX)
            .last()
            .unwrap_or(0);
        for (byte, source) in bytes.iter_mut().zip(text.bytes().take(kept)) {
            *byte = source;
        }
        Self {
            bytes,
            kept: kept as u8,
            cut: kept < text.len(),
        }
    }

    /// What was kept.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let kept = self.bytes.get(..self.kept as usize);
        kept.and_then(|kept| core::str::from_utf8(kept).ok())
            .unwrap_or_default()
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?}{}",
            self.as_str(),
            if self.cut { "..." } else { "" }
        )
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
