//! Symbols of the loader and the C library that may or may not exist.
//!
//! Each is imported weakly through the GOT, so the library loads where it is
//! missing and the address is then null. (Stable Rust has no weak imports.)

/// Address of a weakly imported symbol, null where nothing defines it.
macro_rules! weak_address {
    ($name:literal) => {{
        fn load() -> *mut () {
            let address: *mut ();
            // SAFETY: reads this library's own GOT entry, which the loader filled.
            unsafe {
                core::arch::asm!(
                    concat!(".weak ", $name),
                    concat!("mov {address}, qword ptr [rip + ", $name, "@GOTPCREL]"),
                    address = out(reg) address,
                    options(nomem, nostack, preserves_flags),
                );
            }
            address
        }
        load()
    }};
}
pub(crate) use weak_address;

/// Whether the C library is glibc; else it is musl, or behaves like it.
#[inline]
pub fn is_glibc() -> bool {
    !weak_address!("gnu_get_libc_version").is_null()
}

/// Address of this library's own dynamic section.
pub fn own_dynamic_section() -> *const () {
    let address: *const ();
    // SAFETY: the linker defines `_DYNAMIC` in every shared object.
    unsafe {
        core::arch::asm!(
            ".hidden _DYNAMIC",
            "lea {address}, [rip + _DYNAMIC]",
            address = out(reg) address,
            options(nomem, nostack, preserves_flags),
        );
    }
    address
}
