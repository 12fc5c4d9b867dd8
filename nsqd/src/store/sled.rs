//! The spill of the memory level, and what a clean stop leaves behind: a log on sled.
//!
//! sled is fast when values are some KiB long and small when it is left behind often enough, and it is not
//! to be relied on: it is guarded on all sides here. What it cannot open is set aside and the daemon starts;
//! what it cannot write is refused and tried anew on a fresh opening; what it reads is checked.
//!
//! - [`record`] and [`image`]: keys and values.
//! - [`database`]: one open database; which errors condemn data and which do not.
//! - [`epoch`]: the directories that follow one another, because sled's files do not shrink.
//! - [`reserve`]: room to forget in when the disk is full.
//!
//! A crash of the process loses nothing that was synced. A loss of power can: sled does not wait for the
//! disk itself. That is the promise of the memory level; the journal makes the others.

mod database;
mod epoch;
mod image;
mod record;
mod reserve;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nsqd_broker::storage::{BatchSummary, Position, StoredBatch, TopicImage};

use self::database::{Database, Fault, Found};
use self::epoch::Epochs;
use self::reserve::Reserve;
use super::{Damage, Log, LogError, SavedTopic, TopicNumber};

/// A database below this size is not left, however little of it lives, unless the disk is full.
pub const EPOCH_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// A database is left when its size is this many times what lives in it.
const EPOCH_DEAD_FACTOR: u64 = 10;

/// The most that is carried over to a new database, in bytes: everything waits for it.
const CARRY_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What must be free on the disk before a database that failed is opened again, in bytes: sled writes
/// when it opens, and would leave us without what can still be read.
const ROOM_BYTES: usize = 4 * 1024 * 1024;

/// A log on sled. One process at a time may have it open.
pub struct SledLog {
    home: PathBuf,
    epochs: Epochs,
    epoch: u64,
    reserve: Reserve,
    /// `None` exactly when it failed and could not be opened again yet.
    database: Option<Database>,
    /// Set exactly when a write failed: sled refuses all writes from then on, until it is opened again.
    refuses_writes: bool,
    /// Whether something was written since the last sync.
    unsynced: bool,
    /// Whether something written since the last sync was lost by opening the database again.
    lost: bool,
    /// The bytes of the batches that are here.
    live_bytes: u64,
    /// Whether something was removed since the size was looked at.
    shrunk: bool,
    /// The most that is carried over now: less after it failed, so that it is not tried all the time.
    carry_bytes_max: u64,
    damage: Damage,
}

impl SledLog {
    /// Opens the log in the directory `home`, which is created where it is missing.
    ///
    /// A database that will not open is set aside, and a new one begun.
    ///
    /// # Errors
    ///
    /// The disk refused: that never condemns what is on it, and the log is not opened.
    pub fn open(home: &Path) -> Result<Self, LogError> {
        let epochs = Epochs::open(home)?;
        let epoch = match epochs.current()? {
            Some(epoch) => epoch,
            None => epochs.next()?,
        };
        let mut log = Self {
            home: home.to_owned(),
            epochs,
            epoch,
            reserve: Reserve::open(home),
            database: None,
            refuses_writes: false,
            unsynced: false,
            lost: false,
            live_bytes: 0,
            shrunk: false,
            carry_bytes_max: CARRY_BYTES_MAX,
            damage: Damage::default(),
        };
        log.database()?;
        Ok(log)
    }

    /// How many databases would not open and were set aside.
    pub fn set_aside(&self) -> u64 {
        self.damage.databases
    }

    /// The open database, opened again if need be.
    fn database(&mut self) -> Result<&Database, LogError> {
        if self.database.is_none() {
            let path = self.epochs.path(self.epoch);
            let begun = self.epochs.is_complete(self.epoch);
            let opened = if begun { Database::open(&path) } else { Database::create(&path) };
            let database = match opened {
                Err(Fault::Corrupt(reason)) => self.begin_anew(&reason)?,
                outcome => outcome.map_err(into_io)?,
            };
            self.epochs.complete(self.epoch)?;
            self.database = Some(database);
            self.refuses_writes = false;
        }
        Ok(self.database.as_ref().expect("it was just opened if it was not open"))
    }

    /// The open database, ready to be written to.
    fn writable(&mut self) -> Result<&Database, LogError> {
        if self.refuses_writes {
            self.reserve.release();
            self.check_room()?;
            self.close();
        }
        self.unsynced = true;
        self.database()
    }

    fn close(&mut self) {
        self.lost |= self.unsynced;
        self.unsynced = false;
        if let Some(database) = self.database.take() {
            database.close();
        }
    }

    fn check_room(&self) -> io::Result<()> {
        let probe = self.home.join("room.tmp");
        let outcome = fs::write(&probe, vec![1; ROOM_BYTES]);
        let removed = fs::remove_file(&probe);
        outcome.and(removed)
    }

    /// Sets the database aside and opens an empty one.
    fn begin_anew(&mut self, reason: &str) -> Result<Database, LogError> {
        let aside = self.epochs.set_aside(self.epoch)?;
        tracing::error!(
            directory = %aside.display(), reason,
            "the store would not open and was set aside; its messages are not delivered"
        );
        self.damage.databases += 1;
        self.live_bytes = 0;
        self.epoch = self.epochs.next()?;
        Database::create(&self.epochs.path(self.epoch)).map_err(into_io)
    }

    /// Takes note of what a write came to.
    fn written<T>(&mut self, outcome: Result<T, Fault>) -> Result<T, LogError> {
        outcome.map_err(|fault| {
            self.refuses_writes = true;
            into_io(fault)
        })
    }

    /// Moves what is left of a damaged batch out of the database.
    fn set_batch_aside(&mut self, topic: TopicNumber, first: Position, rest: &[u8]) -> Result<(), LogError> {
        let file = self.home.join(format!("batch-{}-{first}.bad", topic.0));
        fs::write(&file, rest)?;
        self.damage.batches += 1;
        tracing::warn!(
            topic_number = topic.0, first, bytes = rest.len(), file = %file.display(),
            "a batch of messages is damaged and was set aside; its messages are lost"
        );
        // Where this fails the batch is found again, and set aside under the same name.
        self.drop_batch(topic, first)
    }

    /// The batches of each topic. Those that cannot be told about are set aside.
    fn summaries(&mut self) -> Result<BTreeMap<TopicNumber, Vec<BatchSummary>>, LogError> {
        let mut summaries = BTreeMap::<_, Vec<_>>::new();
        self.live_bytes = 0;
        for (topic, first, entry) in self.database()?.entries(None).map_err(into_io)? {
            match entry {
                Some(entry) => {
                    self.live_bytes += entry.bytes;
                    summaries.entry(topic).or_default().push(entry.summary(first));
                }
                None => match self.database()?.read(topic, first).map_err(into_io)? {
                    Found::Damaged(rest) => self.set_batch_aside(topic, first, &rest)?,
                    Found::Whole(_) | Found::Nothing => {}
                },
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
        let (entry, image) = self.database()?.topic(topic).map_err(into_io)?;
        if image.is_some() {
            return Ok(image);
        }
        self.damage.images += 1;
        let Some(entry) = entry else {
            return Ok(None);
        };
        let behind = batches.last().map_or(0, |batch| batch.first.saturating_add(u64::from(batch.count)));
        let end = entry.end.max(behind);
        tracing::error!(
            topic = %entry.name, topic_number = topic.0, batches = batches.len(),
            "the state of a topic is damaged: its messages are kept, its channels are not"
        );
        Ok(Some(TopicImage {
            name: entry.name,
            paused: false,
            end,
            // Without channels nothing has been released: the next channel gets what is here.
            released: batches.first().map_or(end, |batch| batch.first),
            last_id: entry.last_id,
            waiting: Vec::new(),
            channels: Vec::new(),
        }))
    }

    /// Sets aside the batches of a topic whose name nobody knows.
    fn abandon(&mut self, topic: TopicNumber, batches: &[BatchSummary]) -> Result<(), LogError> {
        tracing::error!(topic_number = topic.0, batches = batches.len(), "the name of a topic is lost");
        for batch in batches {
            match self.database()?.read(topic, batch.first).map_err(into_io)? {
                Found::Whole(StoredBatch { records, .. }) => {
                    self.set_batch_aside(topic, batch.first, &records)?
                }
                Found::Damaged(rest) => self.set_batch_aside(topic, batch.first, &rest)?,
                Found::Nothing => {}
            }
        }
        self.delete(topic)
    }

    fn try_sync(&mut self) -> Result<(), LogError> {
        if self.refuses_writes {
            self.writable()?;
        }
        if self.lost {
            return Err(io::Error::other("what was written since the last sync is lost").into());
        }
        let outcome = self.database()?.flush();
        self.written(outcome)
    }

    /// Begins a new epoch where the one in use is mostly dead. Where that fails the old one stays in use.
    fn leave_if_dead(&mut self) {
        if !std::mem::take(&mut self.shrunk) || self.live_bytes > self.carry_bytes_max {
            return;
        }
        match self.try_leave_if_dead() {
            Ok(()) => self.carry_bytes_max = CARRY_BYTES_MAX,
            Err(reason) => {
                tracing::warn!(%reason, "could not begin a new epoch of the store; the old one stays in use");
                self.carry_bytes_max = self.live_bytes / 2;
            }
        }
    }

    fn try_leave_if_dead(&mut self) -> Result<(), LogError> {
        let size = self.database()?.bytes_on_disk().map_err(into_io)?;
        let small = size < EPOCH_BYTES_MIN && self.reserve.is_held();
        if small || self.live_bytes.saturating_mul(EPOCH_DEAD_FACTOR) > size {
            return Ok(());
        }
        let next = self.epochs.next()?;
        match self.carry_over(next) {
            Ok(fresh) => {
                self.change_to(next, fresh, size);
                Ok(())
            }
            Err(reason) => {
                self.epochs.remove(next)?;
                Err(reason)
            }
        }
    }

    /// Copies what lives to a new database, and makes that the one a restart would find.
    fn carry_over(&mut self, next: u64) -> Result<Database, LogError> {
        let old = self.database.as_ref().ok_or_else(|| io::Error::other("the store is closed"))?;
        let fresh = Database::create(&self.epochs.path(next)).map_err(into_io)?;
        match copy(old, &fresh).and_then(|()| fresh.flush_to_disk()) {
            Ok(()) => {
                self.epochs.complete(next)?;
                Ok(fresh)
            }
            Err(fault) => {
                fresh.close();
                Err(into_io(fault))
            }
        }
    }

    fn change_to(&mut self, next: u64, fresh: Database, size_before: u64) {
        let old_epoch = std::mem::replace(&mut self.epoch, next);
        if let Some(old) = self.database.replace(fresh) {
            old.close();
        }
        tracing::info!(
            epoch = next,
            bytes_freed = size_before,
            bytes_kept = self.live_bytes,
            "began a new epoch"
        );
        if let Err(reason) = self.epochs.remove(old_epoch) {
            tracing::warn!(epoch = old_epoch, %reason, "could not remove an epoch; the next start does");
        }
    }
}

impl Log for SledLog {
    fn load(&mut self) -> Result<Vec<SavedTopic>, LogError> {
        let mut summaries = self.summaries()?;
        let mut topics = Vec::new();
        for number in self.database()?.topics().map_err(into_io)? {
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

    fn append(&mut self, topic: TopicNumber, batch: &StoredBatch) -> Result<(), LogError> {
        self.reserve.hold()?;
        let outcome = self.writable()?.append(topic, batch);
        let replaced = self.written(outcome)?;
        let replaced_bytes = replaced.map_or(0, |entry| entry.bytes);
        self.live_bytes = (self.live_bytes + batch.records.len() as u64).saturating_sub(replaced_bytes);
        Ok(())
    }

    fn read(&mut self, topic: TopicNumber, first: Position) -> Result<StoredBatch, LogError> {
        match self.database()?.read(topic, first).map_err(into_io)? {
            Found::Whole(batch) => Ok(batch),
            Found::Nothing => Err(LogError::Damaged { topic, first }),
            Found::Damaged(rest) => {
                self.set_batch_aside(topic, first, &rest)?;
                Err(LogError::Damaged { topic, first })
            }
        }
    }

    fn drop_batch(&mut self, topic: TopicNumber, first: Position) -> Result<(), LogError> {
        let outcome = self.writable()?.remove(topic, first);
        let removed = self.written(outcome)?;
        self.live_bytes = self.live_bytes.saturating_sub(removed.map_or(0, |entry| entry.bytes));
        self.shrunk = true;
        Ok(())
    }

    fn save(&mut self, topic: TopicNumber, image: &TopicImage) -> Result<(), LogError> {
        let outcome = self.writable()?.save(topic, image);
        self.written(outcome)
    }

    fn delete(&mut self, topic: TopicNumber) -> Result<(), LogError> {
        // The name goes last: what a crash leaves is still a topic.
        let outcome = self.writable()?.entries(Some(topic));
        for (_, first, _) in self.written(outcome)? {
            self.drop_batch(topic, first)?;
        }
        let outcome = self.writable()?.remove_topic(topic);
        self.written(outcome)
    }

    fn sync(&mut self) -> Result<(), LogError> {
        let outcome = self.try_sync();
        // The caller is told now: the next sync speaks of what comes after this one.
        (self.unsynced, self.lost) = (false, false);
        outcome?;
        self.leave_if_dead();
        Ok(())
    }

    fn damage(&self) -> Damage {
        self.damage
    }
}

impl Drop for SledLog {
    fn drop(&mut self) {
        self.close();
    }
}

fn copy(from: &Database, to: &Database) -> Result<(), Fault> {
    for topic in from.topics()? {
        if let (_, Some(image)) = from.topic(topic)? {
            to.save(topic, &image)?;
        }
        for (_, first, _) in from.entries(Some(topic))? {
            match from.read(topic, first)? {
                Found::Whole(batch) => to.append(topic, &batch).map(drop)?,
                Found::Nothing => {}
                Found::Damaged(_) => {
                    return Err(Fault::Corrupt(format!("batch {first} of topic {}", topic.0)));
                }
            }
        }
    }
    Ok(())
}

fn into_io(fault: Fault) -> LogError {
    match fault {
        Fault::Disk(error) => LogError::Io(error),
        Fault::Corrupt(reason) => LogError::Io(io::Error::new(io::ErrorKind::InvalidData, reason)),
    }
}

#[cfg(test)]
mod tests;
