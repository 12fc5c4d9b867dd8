//! Whether the disk takes what it is given, as far as the attempts tell; and when to try again.
//!
//! Only a batch that was taken tells that the next will be: a state or a removal is small, and finds room where a batch
//! does not. Who knows when to try again is not who knows what: the worker has what failed.

use std::time::{Duration, Instant};

/// What became of the last attempts.
#[derive(Debug)]
pub(super) struct Health {
    retry_after: Duration,
    /// Why a write failed, until a batch is taken, or would be.
    writes: Option<String>,
    /// Why what is done between groups failed, until it is done.
    upkeep: Option<String>,
    /// When to try again: set exactly while one of them is.
    retry_at: Option<Instant>,
}

impl Health {
    pub(super) fn new(retry_after: Duration) -> Self {
        Self { retry_after, writes: None, upkeep: None, retry_at: None }
    }

    /// A write failed.
    pub(super) fn refused(&mut self, reason: String) {
        self.writes = Some(reason);
        self.note_retry();
    }

    /// A batch was taken, or would be.
    pub(super) fn taken(&mut self) {
        self.writes = None;
        self.note_retry();
    }

    /// What is done between groups was done, or was not.
    pub(super) fn kept_up(&mut self, outcome: Result<(), String>) {
        self.upkeep = outcome.err();
        self.note_retry();
    }

    /// There is something to be tried again at this moment.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// It was tried.
    pub(super) fn tried(&mut self) {
        self.retry_at = None;
        self.note_retry();
    }

    /// Why something failed.
    pub(super) fn outcome(&self) -> Result<(), String> {
        self.writes.as_ref().or(self.upkeep.as_ref()).map_or(Ok(()), |reason| Err(reason.clone()))
    }

    fn note_retry(&mut self) {
        if self.writes.is_none() && self.upkeep.is_none() {
            self.retry_at = None;
        } else if self.retry_at.is_none() {
            self.retry_at = Instant::now().checked_add(self.retry_after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(reason: &str) -> Result<(), String> {
        Err(reason.to_owned())
    }

    #[test]
    fn what_failed_in_one_way_is_not_well_again_in_the_other() {
        let mut health = Health::new(Duration::from_secs(1));
        health.refused("full".to_owned());
        health.kept_up(failed("broken"));
        assert_eq!(health.outcome(), failed("full"));
        health.taken();
        assert_eq!(health.outcome(), failed("broken"));
        health.kept_up(Ok(()));
        assert_eq!(health.outcome(), Ok(()));
    }

    #[test]
    fn there_is_something_to_try_again_exactly_while_something_failed() {
        let mut health = Health::new(Duration::ZERO);
        assert_eq!(health.retry_at(), None);
        health.refused("full".to_owned());
        let at = health.retry_at();
        assert!(at.is_some());
        health.refused("still full".to_owned());
        assert_eq!(health.retry_at(), at, "those who fail meanwhile do not put it off");
        health.tried();
        assert!(health.retry_at() > at);
        health.taken();
        assert_eq!(health.retry_at(), None);
    }
}
