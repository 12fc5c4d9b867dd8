//! How much a run has moved so far, for whoever watches it: nothing is measured by it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Messages, or whatever else is moved: connections, topics. Added to by all threads of a run, for many at once.
#[derive(Debug, Default)]
pub(super) struct Moved {
    count: AtomicU64,
}

impl Moved {
    pub(super) fn add(&self, count: u64) {
        // Nothing is passed on with it.
        self.count.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// A run begins.
    pub(super) fn reset(&self) {
        self.count.store(0, Ordering::Relaxed);
    }
}
