//! The spill of the memory level, and what a clean stop leaves behind: a log on sled.
//!
//! sled is fast when values are some KiB long and small when it is left behind often enough, and it is not
//! to be relied on: it is guarded on all sides here. What it cannot open is set aside and the daemon starts;
//! what it cannot write is refused and tried anew on a fresh opening; what it reads is checked.
//!
//! - `record`: keys and values; the states are those of `store::image`.
//! - `database`: one open database; which errors condemn data and which do not.
//! - `keeper`: opens, opens again, and leaves databases; `carry`: what goes from one to the next.
//! - `epoch`: the directories that follow one another, because sled's files do not shrink.
//! - [`wreck`]: what is left in a database that does not open.
//!
//! A crash of the process loses nothing that was synced. A loss of power can: sled does not wait for the
//! disk itself. That is the promise of the memory level; what the others promise is kept by `store::journal`.

mod carry;
mod database;
mod epoch;
mod keeper;
mod record;
pub mod wreck;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use nsqd_broker::storage::{BatchSummary, Position, Progress, StoredBatch, TopicImage};

use self::database::{Database, Found};
use self::keeper::Keeper;
use self::record::BatchEntry;
use super::{Damage, Log, LogError, SavedTopic, TopicNumber};

/// A log on sled. One process at a time may have it open.
pub struct SledLog {
    home: PathBuf,
    keeper: Keeper,
    /// Whether something was removed since it was asked whether the database is mostly dead.
    shrunk: bool,
}

impl SledLog {
    /// Opens the log in the directory `home`, which is created where it is missing.
    ///
    /// A database that will not open is set aside, and a new one begun: see [`Log::damage`].
    ///
    /// # Errors
    ///
    /// The disk refused: that never condemns what is on it, and the log is not opened.
    pub fn open(home: &Path) -> Result<Self, LogError> {
        Ok(Self { home: home.to_owned(), keeper: Keeper::open(home)?, shrunk: false })
    }

    fn try_load(&mut self) -> Result<Vec<SavedTopic>, LogError> {
        let mut summaries = self.summaries()?;
        let mut topics = Vec::new();
        for number in self.keeper.read(Database::topics)? {
            let batches = summaries.remove(&number).unwrap_or_default();
            match self.image(number, &batches)? {
                Some(image) => topics.push(SavedTopic { number, image, batches }),
                None => self.abandon(number, &batches)?,
            }
        }
        for (number, batches) in summaries {
            self.abandon(number, &batches)?;
        }
        Ok(topics)
    }

    /// The batches of each topic. Those that nothing is known of are set aside.
    fn summaries(&mut self) -> Result<BTreeMap<TopicNumber, Vec<BatchSummary>>, LogError> {
        let mut summaries = BTreeMap::<_, Vec<_>>::new();
        self.keeper.live_bytes = 0;
        for (topic, first, entry) in self.keeper.read(|database| database.entries(None))? {
            match entry {
                Some(entry) => {
                    self.keeper.live_bytes += entry.bytes;
                    summaries.entry(topic).or_default().push(entry.summary(first));
                }
                None => self.set_aside(topic, first)?,
            }
        }
        Ok(summaries)
    }

    /// The state of a topic, or as much as is known of it; `None` where not even the name is.
    fn image(
        &mut self,
        topic: TopicNumber,
        batches: &[BatchSummary],
    ) -> Result<Option<TopicImage>, LogError> {
        let (entry, image) = self.keeper.read(|database| database.topic(topic))?;
        if image.is_some() {
            return Ok(image);
        }
        self.keeper.damage.images += 1;
        tracing::error!(
            topic_number = topic.0,
            name = entry.map(|entry| entry.name.to_string()),
            batches = batches.len(),
            "the state of a topic is damaged: its messages are kept if its name is, its channels are not"
        );
        Ok(entry.map(|entry| entry.recall(batches)))
    }

    /// Sets aside the batches of a topic whose name nobody knows.
    fn abandon(&mut self, topic: TopicNumber, batches: &[BatchSummary]) -> Result<(), LogError> {
        for batch in batches {
            self.set_aside(topic, batch.first)?;
        }
        self.delete(topic)
    }

    /// Moves what is left of a batch out of the database.
    fn set_aside(&mut self, topic: TopicNumber, first: Position) -> Result<(), LogError> {
        let rest = match self.keeper.read(|database| database.read(topic, first))? {
            Found::Nothing => return Ok(()),
            Found::Damaged(rest) => rest,
            Found::Whole(batch) => batch.records.into(),
        };
        let file = self.home.join(format!("batch-{}-{first}.bad", topic.0));
        fs::write(&file, &rest)?;
        // Where this fails the batch is found again, and set aside under the same name.
        self.drop_batch(topic, first)?;
        self.keeper.damage.batches += 1;
        tracing::warn!(
            topic_number = topic.0, first, bytes = rest.len(), file = %file.display(),
            "a batch of messages is damaged and was set aside; its messages are lost"
        );
        Ok(())
    }
}

impl Log for SledLog {
    fn load(&mut self) -> Result<Vec<SavedTopic>, LogError> {
        let epoch = self.keeper.epoch;
        match self.try_load() {
            // Part of the database could not be read, and it was left for one without that part.
            Err(_) if self.keeper.epoch != epoch => self.try_load(),
            outcome => outcome,
        }
    }

    fn append(&mut self, topic: TopicNumber, batch: &StoredBatch) -> Result<(), LogError> {
        self.keeper.reserve.hold()?;
        let replaced = self.keeper.write(|database| database.append(topic, batch))?;
        self.keeper.live_bytes += batch.records.len() as u64;
        self.forget_bytes(replaced);
        Ok(())
    }

    fn read(&mut self, topic: TopicNumber, first: Position) -> Result<StoredBatch, LogError> {
        match self.keeper.read(|database| database.read(topic, first))? {
            Found::Whole(batch) => return Ok(batch),
            Found::Damaged(_) => self.set_aside(topic, first)?,
            Found::Nothing => {}
        }
        Err(LogError::Damaged { topic, first })
    }

    fn drop_batch(&mut self, topic: TopicNumber, first: Position) -> Result<(), LogError> {
        let removed = self.keeper.write(|database| database.remove(topic, first))?;
        self.forget_bytes(removed);
        self.shrunk = true;
        Ok(())
    }

    fn save(&mut self, topic: TopicNumber, image: &TopicImage) -> Result<(), LogError> {
        self.keeper.write(|database| database.save(topic, image))
    }

    /// The topics of this log are saved whole; progress of one is rare enough to be worked into its state.
    fn advance(&mut self, topic: TopicNumber, progress: &Progress) -> Result<(), LogError> {
        match self.keeper.read(|database| database.topic(topic))? {
            (_, Some(mut image)) => {
                image.advance([progress.clone()]);
                self.save(topic, &image)
            }
            _ => Ok(()),
        }
    }

    fn delete(&mut self, topic: TopicNumber) -> Result<(), LogError> {
        // The name goes last: what a crash leaves is still a topic.
        for (_, first, _) in self.keeper.read(|database| database.entries(Some(topic)))? {
            self.drop_batch(topic, first)?;
        }
        self.keeper.write(|database| database.remove_topic(topic))
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.keeper.sync()?;
        if std::mem::take(&mut self.shrunk) {
            self.keeper.leave_if_dead();
        }
        Ok(())
    }

    fn probe(&mut self) -> Result<(), LogError> {
        self.keeper.reserve.hold()?;
        self.keeper.sync()
    }

    fn damage(&self) -> Damage {
        self.keeper.damage
    }
}

impl SledLog {
    fn forget_bytes(&mut self, entry: Option<BatchEntry>) {
        let bytes = entry.map_or(0, |entry| entry.bytes);
        self.keeper.live_bytes = self.keeper.live_bytes.saturating_sub(bytes);
    }
}

impl Drop for SledLog {
    fn drop(&mut self) {
        self.keeper.close();
    }
}

#[cfg(test)]
mod tests;
