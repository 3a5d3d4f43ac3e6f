//! The functions of `libvelo_fs.so`, found in the process by name. Their other half, with the meaning of each number,
//! is `libvelo_fs/src/interpose/python.rs`; the two change together with [`VERSION`].

use std::ffi::{CStr, c_int};

/// The release of the interface that this file knows.
const VERSION: u32 = 1;

pub const NOT_MINE: u32 = 0;
pub const ABSENT: u32 = 1;
pub const NAMESPACE: u32 = 2;
pub const PACKAGE: u32 = 4;

/// No entry.
pub const NONE: u32 = u32::MAX;

/// Bytes of ours.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Text {
    at: *const u8,
    bytes: usize,
}

// SAFETY: only an address, which is read as long as what it was made of lives.
unsafe impl Send for Text {}
// SAFETY: as above; nothing is changed through it.
unsafe impl Sync for Text {}

impl Text {
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            at: bytes.as_ptr(),
            bytes: bytes.len(),
        }
    }
}

#[repr(C)]
pub struct Dialect {
    pub tag: Text,
    pub suffixes: *const Text,
    pub count: usize,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Found {
    pub suffix: u32,
    pub form: u32,
    pub mount: u32,
    pub file: u32,
    pub bytecode: u32,
    pub zero: u32,
    pub size: u64,
    pub mtime: i64,
    pub hash: [u8; 32],
}

#[repr(C)]
pub struct Mapping {
    pub at: *const u8,
    pub bytes: usize,
    pub hash: [u8; 32],
}

type Version = unsafe extern "C" fn() -> u32;
type Find = unsafe extern "C" fn(*const Text, *const Text, *const Dialect, *mut Found) -> u32;
type Map = unsafe extern "C" fn(u32, u32, *mut Mapping) -> c_int;

/// The functions.
#[derive(Clone, Copy)]
pub struct Functions {
    pub find: Find,
    pub map: Map,
}

impl Functions {
    /// Those of the library that is loaded, or why there are none.
    pub fn connect() -> Result<Self, String> {
        let version = symbol(c"velo_abi_version").ok_or("libvelo_fs.so is not loaded")?;
        // SAFETY: it has this type in all releases.
        let version = unsafe { std::mem::transmute::<*mut libc::c_void, Version>(version)() };
        if version != VERSION {
            return Err(format!(
                "expected a libvelo_fs.so of interface {VERSION}, found {version}: install both from one release"
            ));
        }
        let find = symbol(c"velo_python_find").ok_or("libvelo_fs.so has no velo_python_find")?;
        let map = symbol(c"velo_content_map").ok_or("libvelo_fs.so has no velo_content_map")?;
        // SAFETY: the types of this release, see above.
        unsafe {
            Ok(Self {
                find: std::mem::transmute::<*mut libc::c_void, Find>(find),
                map: std::mem::transmute::<*mut libc::c_void, Map>(map),
            })
        }
    }
}

fn symbol(name: &CStr) -> Option<*mut libc::c_void> {
    // SAFETY: a C string.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address)
}
