//! Work shared among threads that make more of it as they go.
//!
//! Each worker keeps its own stack (depth first, so few descriptors are open) and
//! touches the shared one only when it is out of work or somebody else is: while all
//! are busy, nobody waits for a lock.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The shared side.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    hungry: AtomicUsize,
}

struct State<T> {
    tasks: Vec<T>,
    workers: usize,
    idle: usize,
}

impl<T> Queue<T> {
    /// A queue that starts with `first`.
    pub(crate) fn new(first: T) -> Self {
        let state = State {
            tasks: vec![first],
            workers: 0,
            idle: 0,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            hungry: AtomicUsize::new(0),
        }
    }

    /// One more worker: each calls this once, before [`Queue::next`].
    pub(crate) fn join(&self) {
        self.lock().workers += 1;
    }

    /// The next task of a worker, `None` once all work is done. Waits while others may
    /// still make some.
    pub(crate) fn next(&self, own: &mut Vec<T>) -> Option<T> {
        if self.hungry.load(Ordering::Relaxed) > 0 && own.len() > 1 {
            self.share(own);
        }
        own.pop().or_else(|| self.take())
    }

    /// Gives away the older half: the tasks nearest the root, so the larger ones.
    fn share(&self, own: &mut Vec<T>) {
        let mut state = self.lock();
        state.tasks.extend(own.drain(..own.len() / 2));
        drop(state);
        self.changed.notify_all();
    }

    fn take(&self) -> Option<T> {
        let mut state = self.lock();
        state.idle += 1;
        loop {
            if let Some(task) = state.tasks.pop() {
                state.idle -= 1;
                return Some(task);
            }
            if state.idle == state.workers {
                // Everybody is here, so nobody can make more work. Who joins later finds
                // the same.
                self.changed.notify_all();
                return None;
            }
            self.hungry.fetch_add(1, Ordering::Relaxed);
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            self.hungry.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Queue;

    /// Every task of a growing binary tree is done exactly once, whoever does it.
    #[test]
    fn all_work_is_done_once() {
        for workers in [1, 2, 8] {
            let queue = Queue::new(14_u32);
            let done = AtomicU64::new(0);
            std::thread::scope(|scope| {
                for _ in 0..workers {
                    scope.spawn(|| {
                        queue.join();
                        let mut own = Vec::new();
                        while let Some(height) = queue.next(&mut own) {
                            done.fetch_add(1, Ordering::Relaxed);
                            if height > 0 {
                                own.extend([height - 1, height - 1]);
                            }
                        }
                    });
                }
            });
            assert_eq!(done.into_inner(), (1 << 15) - 1);
        }
    }

    #[test]
    fn who_comes_when_all_is_done_goes_again() {
        let queue = Queue::new(());
        for tasks in [1, 0] {
            queue.join();
            let mut own = Vec::new();
            let done = std::iter::from_fn(|| queue.next(&mut own));
            assert_eq!(done.count(), tasks);
        }
    }
}
