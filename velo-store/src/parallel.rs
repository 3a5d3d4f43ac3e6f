//! The same work on many items, on all processors, up to the first error.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Items handed out at a time; fewer are not worth a thread.
const BATCH: usize = 32;
/// More threads than this only wait for each other in the kernel's directory locks.
const THREADS_MAX: usize = 16;

/// Runs `work` for every index below `count`. Each thread has a state of its own, made
/// by `Default`. Threads stop soon after one of them failed.
///
/// # Errors
/// One of the errors of `work`.
pub(crate) fn for_each<S: Default, E: Send>(
    count: usize,
    work: impl Fn(usize, &mut S) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let run = || {
        let mut state = S::default();
        while !stop.load(Ordering::Relaxed) {
            let begin = next.fetch_add(BATCH, Ordering::Relaxed);
            if begin >= count {
                break;
            }
            for index in begin..count.min(begin + BATCH) {
                if let Err(error) = work(index, &mut state) {
                    stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(())
    };
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(THREADS_MAX).min(count.div_ceil(BATCH));
    std::thread::scope(|scope| {
        // A thread that cannot be had is made up for by the others, at worst by this one.
        let others: Vec<_> = (1..threads)
            .filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, run).ok())
            .collect();
        let mut outcome = run();
        for other in others {
            let theirs = other
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            outcome = outcome.and(theirs);
        }
        outcome
    })
}

#[cfg(test)]
mod tests {
    use super::for_each;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_index_is_worked_on_once() {
        for count in [0, 1, 31, 32, 33, 1000] {
            let seen: Vec<_> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            let done: Result<(), ()> = for_each(count, |index, _: &mut ()| {
                seen[index].fetch_add(1, Ordering::Relaxed);
                Ok(())
            });
            assert!(done.is_ok());
            assert!(
                seen.iter().all(|times| times.load(Ordering::Relaxed) == 1),
                "{count}"
            );
        }
    }

    #[test]
    fn an_error_ends_it() {
        let worked = AtomicUsize::new(0);
        let failed = for_each(1_000_000, |index, _: &mut ()| {
            worked.fetch_add(1, Ordering::Relaxed);
            if index == 70 { Err("no") } else { Ok(()) }
        });
        assert_eq!(failed, Err("no"));
        assert!(worked.load(Ordering::Relaxed) < 1_000_000);
    }
}
