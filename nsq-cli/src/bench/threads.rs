//! What came of several threads.

use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;

use crate::failure::Failure;

/// Waiting for a thread's end.
pub(super) trait Joined {
    type Value;

    /// What the thread gave. Its panic goes on here.
    fn joined(self) -> Self::Value;
}

impl<T> Joined for ScopedJoinHandle<'_, T> {
    type Value = T;

    fn joined(self) -> T {
        self.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// All that they gave, or the first failure.
pub(super) fn all<T>(outcomes: Vec<Result<T, Failure>>) -> Result<Vec<T>, Failure> {
    outcomes.into_iter().collect()
}
