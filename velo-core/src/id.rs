//! Content-addressed ids (spec §2): BLAKE3 hashes, typed object ids, short prefixes.
//!
//! Parsing borrows, printing formats: nothing here allocates, and no input can
//! make it panic. One object has one printed form; parsing also takes the long
//! form that names the algorithm (`blob:blake3:…`) and upper-case digits.

use core::fmt;
use core::str::FromStr;

mod error;

pub use error::{Excerpt, ParseIdError};

/// Fewest digits of a [`HexPrefix`] (spec §13.1).
pub const PREFIX_DIGITS_MIN: usize = 8;
/// Longest tenant id in bytes: it also names a directory.
pub const TENANT_BYTES_MAX: usize = 128;

const TENANT_REF_START: &str = "refs/tenants/";
const TENANT_REF_END: &str = "/HEAD";

/// BLAKE3 of some content, the one hash that Velo stores things under (spec §2.1).
///
/// Prints as 64 lower-case hexadecimal digits; a precision shortens: `{hash:.8}`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Bytes of a hash.
    pub const BYTES: usize = 32;

    /// The hash that these bytes are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Hashes `content`.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(*blake3::hash(content).as_bytes())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        pad_hex(&self.0, 64, f)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

impl FromStr for ContentHash {
    type Err = ParseIdError;

    fn from_str(digits: &str) -> Result<Self, ParseIdError> {
        hex_bytes(digits).map(Self)
    }
}

impl From<[u8; 32]> for ContentHash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// A typed id, as people write it and the CLI prints it (spec §2.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ObjectId<'a> {
    /// `blob:<64 hex>`, the content of a file.
    Blob(ContentHash),
    /// `tree:<64 hex>`, a manifest.
    Tree(ContentHash),
    /// `commit:<40 hex>`, SHA-1 of a Git commit.
    Commit([u8; 20]),
    /// `ref:refs/tenants/<id>/HEAD`; holds the tenant's id.
    TenantRef(TenantId<'a>),
    /// `uvlock:<64 hex>`, SHA-256 of a `uv.lock`.
    UvLock([u8; 32]),
}

impl<'a> ObjectId<'a> {
    /// Parses any of the five kinds; a bare `refs/tenants/<id>/HEAD` counts too.
    ///
    /// # Errors
    /// Says what was expected and what stands there instead.
    pub fn parse(text: &'a str) -> Result<Self, ParseIdError> {
        if text.starts_with(TENANT_REF_START) {
            return tenant_ref(text).map(Self::TenantRef);
        }
        let unknown = || ParseIdError::Kind {
            found: Excerpt::of(text),
        };
        let (kind, value) = text.split_once(':').ok_or_else(unknown)?;
        match kind {
            "blob" => {
                hex_bytes(without(value, "blake3:")).map(|hash| Self::Blob(ContentHash(hash)))
            }
            "tree" => {
                hex_bytes(without(value, "blake3:")).map(|hash| Self::Tree(ContentHash(hash)))
            }
            "commit" => hex_bytes(without(value, "sha1:")).map(Self::Commit),
            "uvlock" => hex_bytes(without(value, "sha256:")).map(Self::UvLock),
            "ref" => tenant_ref(value).map(Self::TenantRef),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for ObjectId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(hash) => write!(f, "blob:{hash}"),
            Self::Tree(hash) => write!(f, "tree:{hash}"),
            Self::Commit(hash) => {
                f.write_str("commit:")?;
                pad_hex(hash, 40, f)
            }
            Self::TenantRef(tenant) => write!(f, "ref:{TENANT_REF_START}{tenant}{TENANT_REF_END}"),
            Self::UvLock(hash) => {
                f.write_str("uvlock:")?;
                pad_hex(hash, 64, f)
            }
        }
    }
}

/// A tenant's name, safe both as one path component and inside a Git ref.
///
/// 1 to [`TENANT_BYTES_MAX`] of `A-Z a-z 0-9 _ - .`; neither starts with `.` or
/// `-`, nor ends with `.` or `.lock`, nor holds `..`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TenantId<'a>(&'a str);

impl<'a> TenantId<'a> {
    /// Checks `name` against the rules above.
    ///
    /// # Errors
    /// [`ParseIdError::Tenant`] with what was found.
    pub fn parse(name: &'a str) -> Result<Self, ParseIdError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let good = !name.is_empty()
            && name.len() <= TENANT_BYTES_MAX
            && name.bytes().all(allowed)
            && !name.starts_with(['.', '-'])
            && !name.ends_with('.')
            && !name.ends_with(".lock")
            && !name.contains("..");
        if good {
            Ok(Self(name))
        } else {
            Err(ParseIdError::Tenant {
                found: Excerpt::of(name),
            })
        }
    }

    /// The name itself.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

impl fmt::Display for TenantId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The first digits of a hash, as people type and read them: 8 to 64 of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HexPrefix {
    /// The digits, then zeros.
    bytes: [u8; 32],
    digits: u8,
}

impl HexPrefix {
    /// Number of hexadecimal digits.
    #[must_use]
    pub const fn digits(&self) -> usize {
        self.digits as usize
    }

    /// The smallest hash with this prefix: where a sorted list of hashes is entered.
    #[must_use]
    pub const fn lowest(&self) -> ContentHash {
        ContentHash(self.bytes)
    }

    /// Whether `hash`, of any algorithm, starts with these digits.
    #[must_use]
    pub fn matches(&self, hash: &[u8]) -> bool {
        let whole = self.digits() / 2;
        let odd_matches = || match (hash.get(whole), self.bytes.get(whole)) {
            (Some(byte), Some(prefix)) => byte >> 4 == prefix >> 4,
            _ => false,
        };
        matches!((hash.get(..whole), self.bytes.get(..whole)), (Some(a), Some(b)) if a == b)
            && (self.digits.is_multiple_of(2) || odd_matches())
    }
}

impl FromStr for HexPrefix {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let digits = text.chars().count();
        if !(PREFIX_DIGITS_MIN..=64).contains(&digits) {
            return Err(ParseIdError::PrefixDigits { found: digits });
        }
        let mut bytes = [0; 32];
        decode_hex(text, &mut bytes)?;
        Ok(Self {
            bytes,
            digits: digits as u8,
        })
    }
}

impl fmt::Display for HexPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        pad_hex(&self.bytes, self.digits(), f)
    }
}

impl fmt::Debug for HexPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HexPrefix({self})")
    }
}

/// `value` without the name of its algorithm, if that stands there.
fn without<'a>(value: &'a str, algorithm: &str) -> &'a str {
    value.strip_prefix(algorithm).unwrap_or(value)
}

fn tenant_ref(text: &str) -> Result<TenantId<'_>, ParseIdError> {
    let name = text
        .strip_prefix(TENANT_REF_START)
        .and_then(|rest| rest.strip_suffix(TENANT_REF_END));
    TenantId::parse(name.ok_or(ParseIdError::Ref {
        found: Excerpt::of(text),
    })?)
}

/// Exactly `2 * N` digits as bytes.
fn hex_bytes<const N: usize>(digits: &str) -> Result<[u8; N], ParseIdError> {
    let found = digits.chars().count();
    let mut bytes = [0; N];
    // A wrong digit is the better message, as long as it is among the first.
    decode_hex(digits, &mut bytes)?;
    if found == 2 * N {
        Ok(bytes)
    } else {
        Err(ParseIdError::Digits {
            expected: 2 * N,
            found,
        })
    }
}

/// Fills `bytes` from the front; digits that have no place are left unread.
fn decode_hex(digits: &str, bytes: &mut [u8]) -> Result<(), ParseIdError> {
    for (index, found) in digits.chars().enumerate() {
        let Some(byte) = bytes.get_mut(index / 2) else {
            break;
        };
        let value = found.to_digit(16).ok_or(ParseIdError::Digit {
            position: index + 1,
            found,
        })?;
        *byte |= (value as u8) << (if index % 2 == 0 { 4 } else { 0 });
    }
    Ok(())
}

/// Prints the first `digits` of `bytes` (at most 64), honouring width and precision.
fn pad_hex(bytes: &[u8], digits: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        for (digit, value) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
            *digit = if value < 10 {
                b'0' + value
            } else {
                b'a' + value - 10
            };
        }
    }
    let shown = text
        .get(..digits)
        .and_then(|shown| core::str::from_utf8(shown).ok());
    f.pad(shown.unwrap_or_default())
}

#[cfg(test)]
mod tests;
