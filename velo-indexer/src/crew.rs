//! Several threads doing the same thing, and what each came back with.

/// Runs `work` on up to `threads` threads, the caller's among them, so credentials and
/// limits are the caller's on all. Returns their results. A thread that cannot be had is
/// made up for by the others, at worst by the caller's.
pub(crate) fn run<T: Send>(threads: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let spawned = |_| std::thread::Builder::new().spawn_scoped(scope, &work).ok();
        // After the first failure there is no use in trying again.
        let others: Vec<_> = (1..threads).map_while(spawned).collect();
        let mut results = vec![work()];
        for other in others {
            match other.join() {
                Ok(result) => results.push(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    })
}
