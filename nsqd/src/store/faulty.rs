//! A log that fails when it is told to: for tests.

use std::io;
use std::time::Instant;

use nsqd_broker::storage::{Position, Progress, StoredBatch, TopicImage};

use super::{Damage, Log, LogError, SavedTopic, TopicNumber};

/// Which operation of a [`Log`] is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// [`Log::load`]
    Load,
    /// [`Log::append`]
    Append,
    /// [`Log::read`]
    Read,
    /// [`Log::drop_batch`]
    DropBatch,
    /// [`Log::save`]
    Save,
    /// [`Log::advance`]
    Advance,
    /// [`Log::delete`]
    Delete,
    /// [`Log::sync`]
    Sync,
    /// [`Log::handle_due`]
    HandleDue,
    /// [`Log::probe`]
    Probe,
}

/// Passes every call on to the log inside, except those that are to fail: they do nothing and are
/// answered with an I/O error.
pub struct FaultyLog<L> {
    inner: L,
    fails: Box<dyn FnMut(u64, Call) -> bool + Send>,
    calls: u64,
}

impl<L: Log> FaultyLog<L> {
    /// Asks `fails` before each call, with how many went before it.
    pub fn new(inner: L, fails: impl FnMut(u64, Call) -> bool + Send + 'static) -> Self {
        Self { inner, fails: Box::new(fails), calls: 0 }
    }

    /// Fails the call that `call` others went before, and no other.
    pub fn failing_at(inner: L, call: u64) -> Self {
        Self::new(inner, move |calls_before, _| calls_before == call)
    }

    fn pass(&mut self, call: Call) -> Result<&mut L, LogError> {
        let calls_before = self.calls;
        self.calls += 1;
        if (self.fails)(calls_before, call) {
            return Err(io::Error::other(format!("{call:?} was told to fail")).into());
        }
        Ok(&mut self.inner)
    }
}

impl<L: Log> Log for FaultyLog<L> {
    fn load(&mut self) -> Result<Vec<SavedTopic>, LogError> {
        self.pass(Call::Load)?.load()
    }

    fn append(&mut self, topic: TopicNumber, batch: &StoredBatch) -> Result<(), LogError> {
        self.pass(Call::Append)?.append(topic, batch)
    }

    fn read(&mut self, topic: TopicNumber, first: Position) -> Result<StoredBatch, LogError> {
        self.pass(Call::Read)?.read(topic, first)
    }

    fn drop_batch(&mut self, topic: TopicNumber, first: Position) -> Result<(), LogError> {
        self.pass(Call::DropBatch)?.drop_batch(topic, first)
    }

    fn save(&mut self, topic: TopicNumber, image: &TopicImage) -> Result<(), LogError> {
        self.pass(Call::Save)?.save(topic, image)
    }

    fn advance(&mut self, topic: TopicNumber, progress: &Progress) -> Result<(), LogError> {
        self.pass(Call::Advance)?.advance(topic, progress)
    }

    fn delete(&mut self, topic: TopicNumber) -> Result<(), LogError> {
        self.pass(Call::Delete)?.delete(topic)
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.pass(Call::Sync)?.sync()
    }

    fn due(&self) -> Option<Instant> {
        self.inner.due()
    }

    fn handle_due(&mut self) -> Result<(), LogError> {
        self.pass(Call::HandleDue)?.handle_due()
    }

    fn probe(&mut self) -> Result<(), LogError> {
        self.pass(Call::Probe)?.probe()
    }

    fn damage(&self) -> Damage {
        self.inner.damage()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryLog;
    use crate::store::suite::log_suite;

    log_suite!({
        let disk = MemoryLog::default();
        move || Box::new(FaultyLog::new(disk.clone(), |_, _| false)) as Box<dyn Log>
    });

    #[test]
    fn only_the_call_that_was_named_fails() {
        let mut log = FaultyLog::failing_at(MemoryLog::default(), 1);
        assert!(log.load().is_ok());
        assert!(log.sync().is_err());
        assert!(log.sync().is_ok());
    }
}
