//! Where the topics' logs go when they leave memory.
//!
//! A [`Log`] is a place that keeps batches and states. It knows numbers, positions and bytes; what they mean
//! is the broker's business. [`worker`] is the thread that owns one and carries out what the topics ask.
//! [`sled`] keeps the spill of the memory level on a disk, [`journal`] what the durable levels promise; [`memory`]
//! and [`faulty`] are for tests.

use std::time::Instant;

use nsqd_broker::storage::{BatchSummary, Position, Progress, StoredBatch, TopicImage};

pub mod faulty;
mod files;
mod image;
pub mod journal;
pub mod lazy;
pub mod memory;
pub mod places;
pub mod remains;
mod reserve;
mod segments;
#[cfg(test)]
mod simulated_disk;
pub mod sled;
#[cfg(test)]
mod suite;
pub mod watermark;
pub mod worker;

use self::watermark::Mark;

/// Where in the data directory the spill is.
pub const SPILL_DIRECTORY: &str = "spill";

/// Where in the data directory the journal is.
pub const JOURNAL_DIRECTORY: &str = "journal";

/// Tells one life of a topic from another of the same name: a topic that is deleted and created again
/// has another number, so that what is left of the first can never be taken for the second's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicNumber(pub u32);

/// A topic as it was found at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedTopic {
    /// The topic's number; new topics get larger ones.
    pub number: TopicNumber,
    /// The state saved last.
    pub image: TopicImage,
    /// The batches that are here, in the order of their positions. After a crash some may be missing, and
    /// some may lie behind the saved state's end.
    pub batches: Vec<BatchSummary>,
}

/// What a log could not keep whole, since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Damage {
    /// Batches whose bytes were not what was written. They were set aside.
    pub batches: u64,
    /// Saved states that could not be read.
    pub images: u64,
    /// Whole databases of which nothing could be read. They were set aside.
    pub databases: u64,
    /// Indexes, and databases, that had to be made anew from what could be read. They were set aside.
    pub indexes: u64,
}

/// Why the disk did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk refused; it may work later. Never a reason to condemn data.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// What was read is not what was written. It has been set aside.
    #[error("batch at position {first} of topic number {} is damaged", .topic.0)]
    Damaged {
        /// The topic's number.
        topic: TopicNumber,
        /// The position of the batch's first message.
        first: Position,
    },
}

/// A place for batches and states. One thread owns it; every call may block on the disk.
///
/// A topic is saved before its first batch is appended: the saved state holds its name.
pub trait Log: Send {
    /// What is here, sorted by number. Called once, before anything else.
    fn load(&mut self) -> Result<Vec<SavedTopic>, LogError>;

    /// Keeps a batch. It is safe from a crash only after the next [`sync`](Log::sync).
    ///
    /// A batch that is here already is replaced.
    fn append(&mut self, topic: TopicNumber, batch: &StoredBatch) -> Result<(), LogError>;

    /// Reads a batch back, checked against its checksum. One that is not there is
    /// [`Damaged`](LogError::Damaged): its messages are lost.
    fn read(&mut self, topic: TopicNumber, first: Position) -> Result<StoredBatch, LogError>;

    /// Forgets a batch. One that is not there is no error.
    fn drop_batch(&mut self, topic: TopicNumber, first: Position) -> Result<(), LogError>;

    /// Replaces the topic's state, and the progress kept beside it.
    fn save(&mut self, topic: TopicNumber, image: &TopicImage) -> Result<(), LogError>;

    /// [`save`](Log::save)s the states of several topics, one of each. After an error each may be the old one or the new.
    fn save_all(&mut self, states: &[(TopicNumber, TopicImage)]) -> Result<(), LogError> {
        states.iter().try_for_each(|(topic, image)| self.save(*topic, image))
    }

    /// Keeps what changed since the topic's state was saved; [`load`](Log::load) gives the two as one. Without a state
    /// there is nothing to keep it beside, and it is forgotten.
    fn advance(&mut self, topic: TopicNumber, progress: &Progress) -> Result<(), LogError>;

    /// Forgets a topic with all its batches and its state.
    fn delete(&mut self, topic: TopicNumber) -> Result<(), LogError>;

    /// Makes everything done before safe from a crash.
    ///
    /// An error means that any write since the last successful sync may be lost, also one that was
    /// answered with `Ok`.
    fn sync(&mut self) -> Result<(), LogError>;

    /// When [`handle_due`](Log::handle_due) is to be called if nothing else is; `None` as long as nothing needs it.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Does part of what is to be done between groups, never within one: whoever owns the log calls this when it is
    /// [`due`](Log::due), also where groups follow one another without a pause.
    fn handle_due(&mut self) -> Result<(), LogError> {
        Ok(())
    }

    /// Whether a batch would be taken now, as far as that shows without one. Tries what an append that failed before is
    /// to succeed in; never called within a group.
    fn probe(&mut self) -> Result<(), LogError> {
        Ok(())
    }

    /// The mark beneath which room must not fall for batches to be taken, where there is one.
    fn mark(&self) -> Option<Mark> {
        None
    }

    /// What was found damaged since the log was opened.
    fn damage(&self) -> Damage {
        Damage::default()
    }
}

/// A log of whatever kind.
impl Log for Box<dyn Log> {
    fn load(&mut self) -> Result<Vec<SavedTopic>, LogError> {
        (**self).load()
    }

    fn append(&mut self, topic: TopicNumber, batch: &StoredBatch) -> Result<(), LogError> {
        (**self).append(topic, batch)
    }

    fn read(&mut self, topic: TopicNumber, first: Position) -> Result<StoredBatch, LogError> {
        (**self).read(topic, first)
    }

    fn drop_batch(&mut self, topic: TopicNumber, first: Position) -> Result<(), LogError> {
        (**self).drop_batch(topic, first)
    }

    fn save(&mut self, topic: TopicNumber, image: &TopicImage) -> Result<(), LogError> {
        (**self).save(topic, image)
    }

    fn save_all(&mut self, states: &[(TopicNumber, TopicImage)]) -> Result<(), LogError> {
        (**self).save_all(states)
    }

    fn advance(&mut self, topic: TopicNumber, progress: &Progress) -> Result<(), LogError> {
        (**self).advance(topic, progress)
    }

    fn delete(&mut self, topic: TopicNumber) -> Result<(), LogError> {
        (**self).delete(topic)
    }

    fn sync(&mut self) -> Result<(), LogError> {
        (**self).sync()
    }

    fn due(&self) -> Option<Instant> {
        (**self).due()
    }

    fn handle_due(&mut self) -> Result<(), LogError> {
        (**self).handle_due()
    }

    fn probe(&mut self) -> Result<(), LogError> {
        (**self).probe()
    }

    fn mark(&self) -> Option<Mark> {
        (**self).mark()
    }

    fn damage(&self) -> Damage {
        (**self).damage()
    }
}
