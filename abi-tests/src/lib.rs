//! Harness of the black-box tests: the same command on a plain copy and under the preload.
//!
//! The kernel is the oracle. A [`World`] holds a plain tree `Q` and a manifest of it that is
//! mounted at `P`. [`World::plain`] runs a command with `Q` bound read-only at `P` in a private
//! mount namespace; [`World::served`] runs it with `libvelo_fs.so` preloaded and nothing but an
//! empty directory (or nothing at all) at `P`. Both see the same paths, so their exit status,
//! output and errors compare byte for byte. Nothing here knows how Velo works inside.
//!
//! Everything lives in scratch directories that are removed when the test process ends, also
//! after a failure.
//!
//! Environment: `VELO_LIB`, `VELO_CTL` (what to test), `VELO_ABI_STORE` (where stores go, `/dev/shm`),
//! `VELO_ABI_KEEP=1` (keep the scratch directories), `VELO_ABI_DUMP=DIR` (keep both outcomes of every
//! difference), `VELO_ABI_ORACLE_ONLY=1` (plain against plain), `VELO_ABI_OPERATIONS`, `VELO_ABI_SEED`,
//! `VELO_ABI_MINUTES`, `VELO_ABI_WITHOUT` (the oracle), `VELO_ABI_FORGED` (forged manifests),
//! `VELO_STRESS_SECONDS`, `VELO_ABI_PYTHON`, `VELO_ABI_NODE`.
//!
//! Needs, beside the build tools: cc, musl-gcc, python3, node, git, perl, file, rsync, libjemalloc2.

pub mod artifacts;
pub mod call;
pub mod compare;
pub mod compile;
pub mod namespace;
pub mod oracle;
pub mod probe;
pub mod random;
pub mod scratch;
pub mod symbols;
pub mod trees;
pub mod world;

pub use call::{Call, Outcome};
pub use world::{Fidelity, World};

/// User id of nobody, for tests of permissions.
pub const NOBODY: u32 = 65534;

/// Number from the environment variable `name`, or `default`.
///
/// # Panics
/// If the variable is set and not a number.
#[must_use]
pub fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text}: expected a number")),
        Err(_) => default,
    }
}

/// Whether the tests run as root, which the tests of other users need.
#[must_use]
pub fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

/// FNV-1a of `bytes`: a cheap sum to compare contents by.
#[must_use]
pub fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}
