//! Link rules of the preload library: no C runtime, no start files, no needed
//! libraries, every relocation done at load. One file then loads under glibc
//! and musl alike (brief §8).

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for argument in [
        "-nostdlib",
        "-nostartfiles",
        "-Wl,-z,now",
        "-Wl,-z,relro",
        "-Wl,-z,noexecstack",
        "-Wl,-z,nodelete",
        // Our functions call each other directly, and the loader need not look them up.
        "-Wl,-Bsymbolic",
        "-Wl,--gc-sections",
        "-Wl,--hash-style=gnu",
        "-Wl,-soname,libvelo_fs.so",
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
