//! The spill of the memory level, and what a clean stop leaves behind: a log on sled.
//!
//! sled holds the states of the topics and where each batch is; the batches are in files beside it. It is small when it is
//! left behind often enough, and it is not to be relied on: it is guarded on all sides here. What it cannot read is made anew from what is legible, and the daemon starts;
//! what it cannot write is refused and tried anew on a fresh opening; what it reads is checked.
//!
//! - `record`: keys and values; the states are those of `store::image`.
//! - `database`: one open database; which errors condemn data and which do not.
//! - `bodies`: the files with the batches, and those that are set aside.
//! - `keeper`: opens, opens again, and leaves databases; `carry`: what goes from one to the next.
//! - `epoch`: the directories that follow one another, because sled's files do not shrink.
//! - [`wreck`]: what is legible where sled does not open a database, or not to its end.
//!
//! A crash of the process loses nothing that was synced. A loss of power can: sled does not wait for the
//! disk itself. That is the promise of the memory level; what the others promise is kept by `store::journal`.

mod bodies;
mod carry;
mod database;
mod epoch;
mod keeper;
mod record;
pub mod wreck;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nsq::wire::name::TopicName;
use nsqd_broker::storage::{BatchSummary, Position, Progress, StoredBatch, TopicImage};

use self::bodies::Bodies;
pub use self::bodies::DIRECTORY as BODIES_DIRECTORY;
use self::database::Database;
use self::keeper::Keeper;
use self::record::BatchEntry;
use super::segments;
use super::{Damage, Log, LogError, SavedTopic, TopicNumber};

/// The most that is moved from files in which little lives, in bytes, before others get their turn.
const MOVED_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A log on sled. One process at a time may have it open.
pub struct SledLog {
    home: PathBuf,
    keeper: Keeper,
    /// What the records of a topic's batches say beside its number.
    names: HashMap<TopicNumber, TopicName>,
    /// Whether something was removed since it was asked whether the database is mostly dead.
    shrunk: bool,
    /// Files of batches in which nothing lives; that this is so is safe from a crash.
    dead: BTreeSet<u32>,
    /// Set exactly while room can be given back.
    due: Option<Instant>,
}

/// What was moved from files in which little lives.
#[derive(Debug, Default)]
struct Moved {
    bytes: u64,
    /// The files that it was written to.
    into: BTreeSet<u32>,
}

impl SledLog {
    /// Opens the log in the directory `home`, which is created where it is missing.
    ///
    /// A database that is not what sled wrote is set aside, and a new one made of what is legible of it: see [`Log::damage`].
    ///
    /// # Errors
    ///
    /// The disk refused: that never condemns what is on it, and the log is not opened.
    pub fn open(home: &Path) -> Result<Self, LogError> {
        Self::open_with(home, Bodies::open(&home.join(bodies::DIRECTORY))?)
    }

    /// Opens the copy in `copy` of the database in `directory`, to be read; its batches are read where they are. `home` is the
    /// directory of the log.
    ///
    /// # Errors
    ///
    /// As for [`open`](SledLog::open).
    pub fn open_copy(copy: &Path, directory: &Path, home: &Path) -> Result<Self, LogError> {
        let bodies = Bodies::open_read_only(&bodies::of_database(directory, home))?;
        Self::open_with(copy, bodies)
    }

    /// In which file of the directory [`BODIES_DIRECTORY`] a batch is, and where in it; `None` where that is not known.
    ///
    /// # Errors
    ///
    /// The disk refused.
    pub fn place(
        &mut self,
        topic: TopicNumber,
        first: Position,
    ) -> Result<Option<(String, Range<u64>)>, LogError> {
        let entry = self.keeper.read(|database| database.entry(topic, first))?.flatten();
        Ok(entry.map(|entry| (segments::name(entry.location.segment), entry.range(self.names.get(&topic)))))
    }

    fn open_with(home: &Path, bodies: Bodies) -> Result<Self, LogError> {
        Ok(Self {
            home: home.to_owned(),
            keeper: Keeper::open(home, bodies)?,
            names: HashMap::new(),
            shrunk: false,
            dead: BTreeSet::new(),
            due: None,
        })
    }

    fn try_load(&mut self) -> Result<Vec<SavedTopic>, LogError> {
        let mut summaries = self.summaries()?;
        let mut topics = Vec::new();
        for number in self.keeper.read(Database::topics)? {
            let batches = summaries.remove(&number).unwrap_or_default();
            match self.image(number, &batches)? {
                Some(image) => {
                    self.names.insert(number, image.name);
                    topics.push(SavedTopic { number, image, batches });
                }
                None => self.abandon(number, &batches)?,
            }
        }
        for (number, batches) in summaries {
            self.abandon(number, &batches)?;
        }
        Ok(topics)
    }

    /// The batches of each topic.
    fn summaries(&mut self) -> Result<BTreeMap<TopicNumber, Vec<BatchSummary>>, LogError> {
        let mut summaries = BTreeMap::<_, Vec<_>>::new();
        for (topic, first, entry) in self.count()? {
            summaries.entry(topic).or_default().push(entry.summary(first));
        }
        Ok(summaries)
    }

    /// Counts which batches there are, and how much lives in each file. What is damaged is mended before, so that its
    /// batch is among them.
    fn count(&mut self) -> Result<Vec<(TopicNumber, Position, BatchEntry)>, LogError> {
        let mut entries = self.keeper.read(|database| database.entries(None))?;
        let damaged = bodies::damaged(&entries);
        if !damaged.is_empty() {
            self.mend(damaged)?;
            entries = self.keeper.read(|database| database.entries(None))?;
        }
        let entries: Vec<_> =
            entries.into_iter().filter_map(|(topic, first, entry)| Some((topic, first, entry?))).collect();
        let bodies = &mut self.keeper.bodies;
        bodies.release_all();
        entries.iter().for_each(|(.., entry)| bodies.keep(entry));
        self.keeper.entries = entries.len() as u64;
        self.keeper.is_count_doubtful = false;
        Ok(entries)
    }

    /// The files in which nothing lives.
    fn dead(&mut self) -> Result<BTreeSet<u32>, LogError> {
        if self.keeper.is_count_doubtful {
            self.count()?;
        }
        Ok(self.keeper.bodies.dead())
    }

    /// Makes damaged entries anew from what is beside the records of their batches. Where that is not there the batch is
    /// given up.
    fn mend(&mut self, damaged: BTreeSet<(TopicNumber, Position)>) -> Result<(), LogError> {
        let found = self.keeper.bodies.find(&damaged)?;
        for (topic, first) in damaged {
            match found.get(&(topic, first)) {
                Some(entry) => drop(self.keeper.write(|database| database.insert(topic, first, entry))?),
                None => self.set_aside(topic, first)?,
            }
        }
        // What the damaged ones stood for is counted and cannot be taken off: nobody knows how much it was.
        self.keeper.is_count_doubtful = true;
        Ok(())
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

    /// Moves what is left of a batch out of the log.
    fn set_aside(&mut self, topic: TopicNumber, first: Position) -> Result<(), LogError> {
        let Some(entry) = self.keeper.read(|database| database.entry(topic, first))? else {
            return Ok(());
        };
        self.keeper.bodies.set_aside(&self.home, topic, first, entry.as_ref())?;
        // Where this fails the batch is found again, and set aside under the same name.
        self.drop_batch(topic, first)?;
        self.keeper.damage.batches += 1;
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
        self.write(topic, batch).map(drop)
    }

    fn read(&mut self, topic: TopicNumber, first: Position) -> Result<StoredBatch, LogError> {
        let mut entry = self.keeper.read(|database| database.entry(topic, first))?;
        if entry == Some(None) {
            // All that are damaged are looked for at once, and what is found is counted before a file is deleted.
            self.count()?;
            entry = self.keeper.read(|database| database.entry(topic, first))?;
        }
        if let Some(Some(entry)) = entry
            && let Some(batch) = self.keeper.bodies.read(topic, first, &entry)?
        {
            return Ok(batch);
        }
        self.set_aside(topic, first)?;
        Err(LogError::Damaged { topic, first })
    }

    fn drop_batch(&mut self, topic: TopicNumber, first: Position) -> Result<(), LogError> {
        let removed = self.keeper.write(|database| database.remove(topic, first))?;
        self.forget(removed);
        self.shrunk = true;
        Ok(())
    }

    fn save(&mut self, topic: TopicNumber, image: &TopicImage) -> Result<(), LogError> {
        self.names.insert(topic, image.name);
        self.keeper.write(|database| database.save([(topic, image)]))
    }

    fn save_all(&mut self, states: &[(TopicNumber, TopicImage)]) -> Result<(), LogError> {
        self.names.extend(states.iter().map(|(topic, image)| (*topic, image.name)));
        self.keeper.write(|database| database.save(states.iter().map(|(topic, image)| (*topic, image))))
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
        self.names.remove(&topic);
        self.keeper.write(|database| database.remove_topic(topic))
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.keeper.sync()?;
        if std::mem::take(&mut self.shrunk) {
            self.keeper.leave_if_dead();
            // Where that is not known nothing is given back before the next removal; what was written is safe.
            self.dead = self.dead().unwrap_or_else(|reason| {
                tracing::warn!(%reason, "could not see which files of the store are needed no more");
                BTreeSet::new()
            });
            let is_something_to_do = !self.keeper.is_count_doubtful
                && (!self.dead.is_empty() || self.keeper.bodies.sparse().is_some());
            self.due = is_something_to_do.then(Instant::now);
        }
        Ok(())
    }

    fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Gives room back: deletes files in which nothing lives, and moves what lives where it is little.
    fn handle_due(&mut self) -> Result<(), LogError> {
        // What fails is tried again after the next removal.
        self.due = None;
        for segment in std::mem::take(&mut self.dead) {
            self.keeper.bodies.remove(segment)?;
        }
        let mut moved = Moved::default();
        let mut outcome = Ok(());
        while outcome.is_ok()
            && moved.bytes < MOVED_BYTES_MAX
            && self.keeper.reserve.is_held()
            && let Some(segment) = self.keeper.bodies.sparse()
        {
            outcome = self.move_what_lives(segment, &mut moved);
        }
        if !moved.into.is_empty() {
            // The files are deleted next: with the power lost nothing may refer to them then.
            self.keeper.bodies.sync(&moved.into)?;
            self.keeper.read(Database::flush_to_disk)?;
            self.dead = self.dead()?;
            self.due = Some(Instant::now());
        }
        outcome
    }

    fn probe(&mut self) -> Result<(), LogError> {
        self.keeper.reserve.hold()?;
        self.keeper.bodies.probe()?;
        self.keeper.sync()
    }

    fn damage(&self) -> Damage {
        self.keeper.damage
    }
}

impl SledLog {
    /// Writes a batch and says where it is.
    fn write(&mut self, topic: TopicNumber, batch: &StoredBatch) -> Result<BatchEntry, LogError> {
        self.keeper.prepare_to_write()?;
        self.keeper.reserve.hold()?;
        let written = self.keeper.bodies.append(topic, self.names.get(&topic), batch);
        let entry = written.inspect_err(|_| self.keeper.reserve.release())?;
        self.insert(topic, batch.first, &entry)?;
        Ok(entry)
    }

    fn insert(&mut self, topic: TopicNumber, first: Position, entry: &BatchEntry) -> Result<(), LogError> {
        // Where this fails the entry may be there or not, until they are counted again.
        self.keeper.bodies.keep(entry);
        self.keeper.entries += 1;
        let replaced = self.keeper.write(|database| database.insert(topic, first, entry))?;
        self.forget(replaced);
        Ok(())
    }

    fn forget(&mut self, entry: Option<Option<BatchEntry>>) {
        match entry {
            Some(Some(entry)) => {
                self.keeper.bodies.release(&entry);
                self.keeper.entries = self.keeper.entries.saturating_sub(1);
            }
            // What a damaged one stood for nobody knows.
            Some(None) => self.keeper.is_count_doubtful = true,
            None => {}
        }
    }

    /// Writes what lives in a file to the end. What cannot be read stays where it is.
    fn move_what_lives(&mut self, segment: u32, moved: &mut Moved) -> Result<(), LogError> {
        let mut there = Vec::new();
        let listed = self.keeper.bodies.each_of(segment, &mut |topic, entry, batch| {
            there.push((topic, batch.first, entry));
            Ok(())
        });
        let mut refused = listed.err();
        for (topic, first, entry) in there {
            if self.keeper.read(|database| database.entry(topic, first))? != Some(Some(entry)) {
                continue;
            }
            match self.keeper.bodies.read(topic, first, &entry) {
                Ok(None) => {}
                Ok(Some(batch)) => {
                    moved.bytes += entry.bytes;
                    moved.into.insert(self.write(topic, &batch)?.location.segment);
                }
                Err(error) => refused = Some(error),
            }
        }
        if let Some(error) = refused {
            tracing::warn!(segment, %error, "could not read all of a file of the store; what is in it stays there");
        }
        self.keeper.bodies.note_stuck(segment);
        Ok(())
    }
}

impl Drop for SledLog {
    fn drop(&mut self) {
        self.keeper.close();
    }
}

#[cfg(test)]
mod tests;
