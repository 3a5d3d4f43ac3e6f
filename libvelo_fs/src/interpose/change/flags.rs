//! ioctl(2): the few requests that change a file's attributes by a descriptor that is open for reading only.

use super::{changing_descriptor, raw};
use crate::next;
use core::ffi::{c_int, c_ulong};
use linux_raw_sys::general as nr;

// Of linux/fs.h and linux/fsverity.h.
const FS_IOC_SETFLAGS: u32 = 0x4008_6602;
const FS_IOC32_SETFLAGS: u32 = 0x4004_6602;
const FS_IOC_SETVERSION: u32 = 0x4008_7602;
const FS_IOC32_SETVERSION: u32 = 0x4004_7602;
const FS_IOC_FSSETXATTR: u32 = 0x401c_5820;
const FS_IOC_ENABLE_VERITY: u32 = 0x4080_6685;

const CHANGES: [u32; 6] = [
    FS_IOC_SETFLAGS,
    FS_IOC32_SETFLAGS,
    FS_IOC_SETVERSION,
    FS_IOC32_SETVERSION,
    FS_IOC_FSSETXATTR,
    FS_IOC_ENABLE_VERITY,
];

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioctl(descriptor: c_int, request: c_ulong, argument: usize) -> c_int {
    let pass = || match next::ioctl() {
        // SAFETY: see the module above.
        Some(real) => unsafe { real(descriptor, request, argument) },
        None => raw(
            nr::__NR_ioctl,
            [descriptor as usize, request as usize, argument, 0, 0],
        ),
    };
    // The kernel looks at 32 bits.
    if CHANGES.contains(&(request as u32)) {
        return changing_descriptor(descriptor, pass);
    }
    pass()
}
