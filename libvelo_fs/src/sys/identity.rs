//! Who the calling thread is: ids, groups and capabilities, as the kernel has them.

use super::{call, result};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;

/// getuid(2).
pub fn real_user() -> u32 {
    // SAFETY: no arguments.
    unsafe { call(nr::__NR_getuid, 0, 0, 0, 0) as u32 }
}

/// getgid(2).
pub fn real_group() -> u32 {
    // SAFETY: no arguments.
    unsafe { call(nr::__NR_getgid, 0, 0, 0, 0) as u32 }
}

/// geteuid(2).
pub fn effective_user() -> u32 {
    // SAFETY: no arguments.
    unsafe { call(nr::__NR_geteuid, 0, 0, 0, 0) as u32 }
}

/// getegid(2).
pub fn effective_group() -> u32 {
    // SAFETY: no arguments.
    unsafe { call(nr::__NR_getegid, 0, 0, 0, 0) as u32 }
}

/// The user id that permission checks go by: setfsuid(2) of an id that there is not
/// changes nothing and answers the present one.
pub fn file_system_user() -> u32 {
    // SAFETY: no pointers.
    unsafe { call(nr::__NR_setfsuid, u32::MAX as usize, 0, 0, 0) as u32 }
}

/// The group id that permission checks go by, as [`file_system_user`].
pub fn file_system_group() -> u32 {
    // SAFETY: no pointers.
    unsafe { call(nr::__NR_setfsgid, u32::MAX as usize, 0, 0, 0) as u32 }
}

/// Two of the capability sets of the calling thread, bit N being capability N.
pub struct CapabilitySets {
    /// Those in force.
    pub effective: u64,
    /// Those that could be.
    pub permitted: u64,
}

/// capget(2) of the calling thread.
pub fn capabilities() -> Result<CapabilitySets, Errno> {
    /// `_LINUX_CAPABILITY_VERSION_3`, and this thread.
    const HEADER: [u32; 2] = [0x2008_0522, 0];
    let mut header = HEADER;
    // Effective, permitted and inheritable, the low halves first.
    let mut sets = [0u32; 6];
    // SAFETY: both buffers are ours, of the sizes that this version asks for.
    result(unsafe {
        call(
            nr::__NR_capget,
            header.as_mut_ptr() as usize,
            sets.as_mut_ptr() as usize,
            0,
            0,
        )
    })?;
    let [effective, permitted, _, effective_high, permitted_high, _] = sets;
    let joined = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
    Ok(CapabilitySets {
        effective: joined(effective, effective_high),
        permitted: joined(permitted, permitted_high),
    })
}

/// Whether access(2) takes the effective capabilities as they are
/// (`SECBIT_NO_SETUID_FIXUP`, capabilities(7)).
pub fn keeps_capabilities_for_access() -> bool {
    const PR_GET_SECUREBITS: usize = 27;
    const NO_SETUID_FIXUP: usize = 1 << 2;
    // SAFETY: no pointers.
    let bits = result(unsafe { call(nr::__NR_prctl, PR_GET_SECUREBITS, 0, 0, 0) });
    bits.is_ok_and(|bits| bits & NO_SETUID_FIXUP != 0)
}

/// getgroups(2): how many ids were written.
pub fn groups(buffer: &mut [u32]) -> usize {
    // SAFETY: the buffer is ours.
    result(unsafe {
        call(
            nr::__NR_getgroups,
            buffer.len(),
            buffer.as_mut_ptr() as usize,
            0,
            0,
        )
    })
    .unwrap_or(0)
}
