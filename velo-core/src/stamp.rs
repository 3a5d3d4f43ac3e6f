//! The stamp: a few bits of a hash, kept in the nanoseconds of a file's mtime.
//!
//! A blob, a manifest and a view directory each carry the stamp of their hash,
//! so one bare `fstat` tells whether a descriptor still is what it was opened as,
//! and whether a manifest was touched since it was published. It guards against
//! accidents and stale tables; it is no defence against somebody who forges it.

/// Nanoseconds (1 to 999,999,999) that stand for `hash` in an mtime.
///
/// Never 0, because 0 is what file systems with coarse timestamps report.
#[must_use]
pub const fn stamp_ns(hash: &[u8; 32]) -> u32 {
    let [a, b, c, d, e, f, g, h, ..] = *hash;
    let stamp = (u64::from_le_bytes([a, b, c, d, e, f, g, h]) % 1_000_000_000) as u32;
    if stamp == 0 { 1 } else { stamp }
}

#[cfg(test)]
mod tests {
    use super::stamp_ns;

    #[test]
    fn is_never_zero_and_below_a_second() {
        assert_eq!(stamp_ns(&[0; 32]), 1);
        assert!(stamp_ns(&[0xff; 32]) < 1_000_000_000);
    }

    #[test]
    fn depends_on_the_first_eight_bytes_only() {
        let mut hash = [0; 32];
        hash[0] = 42;
        assert_eq!(stamp_ns(&hash), 42);
        hash[31] = 9;
        assert_eq!(stamp_ns(&hash), 42);
    }
}
