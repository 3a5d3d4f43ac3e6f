//! Runs a C probe (`c/<name>.c`) on both sides, as each kind of caller.

use std::path::Path;

use crate::call::Ended;
use crate::{Call, Fidelity, NOBODY, World, namespace};

/// Runs `program`, built from a probe, as root on an exact manifest and as root and as nobody on
/// a usual one; each must print what it prints on the plain tree.
///
/// # Panics
/// If it does not, or cannot run.
pub fn same_for_all_callers(program: &Path, name: &str) {
    same_with(program, name, |call| call);
}

/// As [`same_for_all_callers`], with what docs/LIMITS.md says is answered differently.
///
/// # Panics
/// As long as it is.
pub fn same_without_limits(program: &Path, name: &str) {
    same_with(program, &format!("{name}-limits"), |call| {
        call.env("PROBE_LIMITS", "1")
    });
}

fn same_with(program: &Path, name: &str, change: impl Fn(Call) -> Call) {
    let exact = World::of_everything(&format!("{name}-exact"), Fidelity::Exact);
    let usual = World::of_everything(&format!("{name}-usual"), Fidelity::Usual);
    let mut failures = Vec::new();
    for (world, user) in [(&exact, None), (&usual, None), (&usual, Some(NOBODY))] {
        if user.is_some() && !crate::is_root() {
            continue;
        }
        let call = change(call(world, program, user));
        match world.try_same(&call) {
            Ok(both) if both.ended == Ended::Status(0) => {}
            Ok(both) => failures.push(format!(
                "{}: {:?} on both sides\n{}",
                call.line(),
                both.ended,
                both.errors()
            )),
            Err(report) => failures.push(report),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The call of a probe.
#[must_use]
pub fn call(world: &World, program: &Path, user: Option<u32>) -> Call {
    let mut call = Call::new(program).arg(&world.at);
    if world.is_exact() {
        call = call.env("PROBE_EXACT", "1");
    }
    if namespace::available() {
        call = call.env("PROBE_CHANGES", "1");
    }
    match user {
        Some(user) => call.user(user),
        None => call,
    }
}
