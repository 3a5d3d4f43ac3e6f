//! `VeloId`: a local id of 48 bits and 16 flag bits in one machine word (spec §13.3).
//!
//! Local to one process or one table; never written into a file that travels.

/// A 48-bit index with 16 flag bits above it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct VeloId(u64);

const _: () = assert!(size_of::<VeloId>() == 8);

impl VeloId {
    /// The bits of the index.
    pub const ID_MASK: u64 = 0x0000_FFFF_FFFF_FFFF;
    /// The bits of the flags.
    pub const FLAG_MASK: u64 = 0xFFFF_0000_0000_0000;
    /// Flag of a directory: the topmost bit of the word.
    pub const DIR: u16 = 1 << 15;

    /// Packs both. Bits of `index` above the 48th are dropped, as the spec has it;
    /// [`VeloId::try_new`] refuses them.
    #[must_use]
    #[inline]
    pub const fn new(index: u64, flags: u16) -> Self {
        Self(index & Self::ID_MASK | (flags as u64) << 48)
    }

    /// Packs both, or `None` if `index` needs more than 48 bits.
    #[must_use]
    #[inline]
    pub const fn try_new(index: u64, flags: u16) -> Option<Self> {
        if index & Self::FLAG_MASK == 0 {
            Some(Self::new(index, flags))
        } else {
            None
        }
    }

    /// The index.
    #[must_use]
    #[inline]
    pub const fn index(self) -> u64 {
        self.0 & Self::ID_MASK
    }

    /// The flags.
    #[must_use]
    #[inline]
    pub const fn flags(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// Whether [`VeloId::DIR`] is set.
    #[must_use]
    #[inline]
    pub const fn is_dir(self) -> bool {
        self.0 >> 63 != 0
    }

    /// The word itself.
    #[must_use]
    #[inline]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// What [`VeloId::to_bits`] gave.
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

impl core::fmt::Debug for VeloId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "VeloId({}, flags {:#06x})", self.index(), self.flags())
    }
}

#[cfg(test)]
mod tests {
    use super::VeloId;
    use proptest::prelude::*;

    #[test]
    fn the_masks_share_no_bit_and_leave_none() {
        assert_eq!(VeloId::ID_MASK ^ VeloId::FLAG_MASK, u64::MAX);
        assert_eq!(VeloId::ID_MASK.count_ones(), 48);
        assert!(VeloId::new(0, VeloId::DIR).is_dir());
        assert!(!VeloId::new(u64::MAX, !VeloId::DIR).is_dir());
        assert_eq!(VeloId::try_new(1 << 48, 0), None);
    }

    proptest! {
        #[test]
        fn parts_and_bits_round_trip(index in 0..=VeloId::ID_MASK, flags: u16) {
            let id = VeloId::new(index, flags);
            prop_assert_eq!((id.index(), id.flags()), (index, flags));
            prop_assert_eq!(VeloId::try_new(index, flags), Some(id));
            prop_assert_eq!(VeloId::from_bits(id.to_bits()), id);
            prop_assert_eq!(id.is_dir(), flags & VeloId::DIR != 0);
        }
    }
}
