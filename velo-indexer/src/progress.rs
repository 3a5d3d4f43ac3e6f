//! How a caller watches a build. Called from the worker threads, once per directory
//! or per batch of files, so an implementation must be cheap and must not block.

/// A number of files and the bytes in them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Amount {
    /// Regular files.
    pub files: u64,
    /// Bytes of content.
    pub bytes: u64,
}

/// Receives the progress of a build. All calls have cumulative numbers; after a tree
/// changed under the build, they start again.
pub trait Progress: Sync {
    /// The scan has met `entries` so far.
    fn scanned(&self, entries: u64) {
        let _ = entries;
    }

    /// Of `total`, which must be read, `done` is in the store. The first call has
    /// `done` 0 and comes before any content is read.
    fn ingested(&self, done: Amount, total: Amount) {
        let _ = (done, total);
    }

    /// Of `total` sources, which must be compiled, `done` are. Not called if there are none.
    fn compiled(&self, done: u64, total: u64) {
        let _ = (done, total);
    }
}

/// Nobody watches.
impl Progress for () {}
