//! One open sled database: what is kept where, in terms of keys and values.
//!
//! sled panics where it finds its own files in disorder, and does not say which of its errors condemn data
//! and which only tell that the disk refused. Both are settled here: every call goes through [`guarded`],
//! and what fails is a [`Fault`].

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nsqd_broker::storage::{Position, TopicImage};

use super::record::{self, BatchEntry, TopicEntry};
use crate::store::{LogError, TopicNumber, image};

/// The size of the pieces in which sled writes. Values above a quarter of it go to files of their own, which
/// sled never deletes. A leaf of its tree is one such value: up to 16 parts of a state, and 3 more while it takes
/// in a neighbour that has become too small (152 KiB).
pub(super) const SEGMENT_BYTES: usize = 1024 * 1024;

/// What sled is asked to keep in memory. It keeps more: at least one leaf in each of its 256 shards.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;

/// How much of the states of several topics is written in one step, in bytes, or one state if it is longer. sled begins a new
/// buffer with each step, and hands the one before to the system: what is saved at once costs that once.
const STATES_BYTES_MAX: usize = 64 * 1024;

/// Why a database did not do what was asked.
#[derive(Debug)]
pub(super) enum Fault {
    /// The disk refused. Says nothing about what is stored.
    Disk(io::Error),
    /// What is stored cannot be read.
    Corrupt(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Disk(error)
    }
}

impl From<Fault> for LogError {
    fn from(fault: Fault) -> Self {
        LogError::Io(match fault {
            Fault::Disk(error) => error,
            Fault::Corrupt(reason) => io::Error::new(io::ErrorKind::InvalidData, reason),
        })
    }
}

impl From<sled::Error> for Fault {
    fn from(error: sled::Error) -> Self {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match error {
            // These kinds are about what was found in the file; no working disk answers so.
            sled::Error::Io(error) if matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof) => {
                Fault::Corrupt(error.to_string())
            }
            sled::Error::Io(error) => Fault::Disk(error),
            other => Fault::Corrupt(other.to_string()),
        }
    }
}

/// The trees of a database; `record` says what is in them.
pub(super) struct Database {
    db: sled::Db,
    pub(super) batches: sled::Tree,
    pub(super) topics: sled::Tree,
    path: PathBuf,
}

impl Database {
    /// Opens what [`create`](Database::create) made in `path`.
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let database = Self::open_files(path)?;
        // sled takes a file it cannot make sense of for an empty one, and says nothing.
        match guarded(|| database.db.get(FORMAT_KEY))? {
            Some(format) if *format == *FORMAT => Ok(database),
            Some(format) => Err(Fault::Corrupt(format!("format {}", format.escape_ascii()))),
            None => Err(Fault::Corrupt("nothing of it can be read".to_owned())),
        }
    }

    /// Makes a new database in `path`, or goes on with making it.
    pub(super) fn create(path: &Path) -> Result<Self, Fault> {
        let database = Self::open_files(path)?;
        guarded(|| database.db.insert(FORMAT_KEY, FORMAT))?;
        database.flush()?;
        Ok(database)
    }

    fn open_files(path: &Path) -> Result<Self, Fault> {
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES)
            .segment_size(SEGMENT_BYTES)
            .mode(sled::Mode::HighThroughput)
            .flush_every_ms(None);
        let open = || {
            let db = config.open()?;
            Ok(Self {
                batches: db.open_tree("batches")?,
                topics: db.open_tree("topics")?,
                path: path.to_owned(),
                db,
            })
        };
        for _ in 0..LOCK_ATTEMPTS_MAX {
            match guarded(open) {
                // Threads of sled's own hold the file for a moment after the database was dropped, and
                // nothing tells when they have let go. Other daemons are kept out before we come here.
                Err(Fault::Disk(error)) if is_locked(&error) => {
                    std::thread::park_timeout(LOCK_RETRY_INTERVAL)
                }
                // A panic while opening means that the files are in disorder.
                Err(Fault::Disk(error)) if is_panic(&error) => return Err(Fault::Corrupt(error.to_string())),
                outcome => return outcome,
            }
        }
        guarded(open)
    }

    /// Says where a batch is; the entry of the one that was at its place before, if any: `None` within where it was damaged.
    pub(super) fn insert(
        &self,
        topic: TopicNumber,
        first: Position,
        entry: &BatchEntry,
    ) -> Result<Option<Option<BatchEntry>>, Fault> {
        let key = record::batch_key(topic, first);
        let replaced = guarded(|| self.batches.insert(key, entry.encode(&key)))?;
        Ok(replaced.map(|value| BatchEntry::decode(&key, &value)))
    }

    /// The entry of a batch; `None` within where it is damaged.
    pub(super) fn entry(
        &self,
        topic: TopicNumber,
        first: Position,
    ) -> Result<Option<Option<BatchEntry>>, Fault> {
        let key = record::batch_key(topic, first);
        let value = guarded(|| self.batches.get(key))?;
        Ok(value.map(|value| BatchEntry::decode(&key, &value)))
    }

    /// Forgets a batch; its entry, if it was there: `None` within where it was damaged.
    pub(super) fn remove(
        &self,
        topic: TopicNumber,
        first: Position,
    ) -> Result<Option<Option<BatchEntry>>, Fault> {
        let key = record::batch_key(topic, first);
        let removed = guarded(|| self.batches.remove(key))?;
        Ok(removed.map(|value| BatchEntry::decode(&key, &value)))
    }

    /// The batches of `topic`, or of all topics, in order. `None` stands for a damaged entry.
    pub(super) fn entries(
        &self,
        topic: Option<TopicNumber>,
    ) -> Result<Vec<(TopicNumber, Position, Option<BatchEntry>)>, Fault> {
        let prefix = topic.map_or_else(Vec::new, |topic| record::topic_key(topic).to_vec());
        guarded(|| {
            let mut entries = Vec::new();
            for item in self.batches.scan_prefix(prefix) {
                let (key, value) = item?;
                if let Some((topic, first)) = record::parse_batch_key(&key) {
                    entries.push((topic, first, BatchEntry::decode(&key, &value)));
                }
            }
            Ok(entries)
        })
    }

    /// Replaces the states of topics, that of each in one step.
    pub(super) fn save<'a>(
        &self,
        states: impl IntoIterator<Item = (TopicNumber, &'a TopicImage)>,
    ) -> Result<(), Fault> {
        let (mut changes, mut bytes) = (sled::Batch::default(), 0);
        for (topic, image) in states {
            bytes += self.replace(topic, image, &mut changes)?;
            if bytes >= STATES_BYTES_MAX {
                guarded(|| self.topics.apply_batch(std::mem::take(&mut changes)))?;
                bytes = 0;
            }
        }
        if bytes > 0 { guarded(|| self.topics.apply_batch(changes)) } else { Ok(()) }
    }

    /// Adds to `changes` what replaces a topic's state. Returns about how long that is, in bytes.
    fn replace(
        &self,
        topic: TopicNumber,
        image: &TopicImage,
        changes: &mut sled::Batch,
    ) -> Result<usize, Fault> {
        let key = record::topic_key(topic);
        let entry = TopicEntry { name: image.name, end: image.end, last_id: image.last_id };
        let state = record::seal(&key, image::encode(image));
        changes.insert(&key, entry.encode(&key));
        let mut chunks = 0;
        for chunk in record::cut(&state) {
            changes.insert(&record::chunk_key(topic, chunks), chunk);
            chunks += 1;
        }
        guarded(|| {
            while self.topics.contains_key(record::chunk_key(topic, chunks))? {
                changes.remove(&record::chunk_key(topic, chunks));
                chunks += 1;
            }
            Ok(())
        })?;
        Ok(state.len())
    }

    /// The numbers of the topics that were saved, in order.
    pub(super) fn topics(&self) -> Result<Vec<TopicNumber>, Fault> {
        guarded(|| {
            let mut topics = Vec::new();
            for key in self.topics.iter().keys() {
                topics.extend(record::parse_topic_key(&key?));
            }
            topics.dedup();
            Ok(topics)
        })
    }

    /// The name and so on of a topic, and its state. Each is `None` where it is damaged.
    pub(super) fn topic(
        &self,
        topic: TopicNumber,
    ) -> Result<(Option<TopicEntry>, Option<TopicImage>), Fault> {
        let key = record::topic_key(topic);
        guarded(|| {
            let mut entry = None;
            let mut state = Vec::new();
            for item in self.topics.scan_prefix(key) {
                let (found, value) = item?;
                if *found == key {
                    entry = TopicEntry::decode(&key, &value);
                } else {
                    state.extend_from_slice(&value);
                }
            }
            Ok((entry, record::unseal(&key, &state).and_then(image::decode)))
        })
    }

    /// Forgets a topic's name and state, not its batches.
    pub(super) fn remove_topic(&self, topic: TopicNumber) -> Result<(), Fault> {
        guarded(|| {
            for key in self.topics.scan_prefix(record::topic_key(topic)).keys() {
                self.topics.remove(key?)?;
            }
            Ok(())
        })
    }

    /// Hands everything to the operating system and asks it to begin writing.
    pub(super) fn flush(&self) -> Result<(), Fault> {
        guarded(|| self.db.flush()).map(drop)
    }

    /// Waits until everything is on the disk itself.
    pub(super) fn flush_to_disk(&self) -> Result<(), Fault> {
        self.flush()?;
        Ok(std::fs::File::open(self.path.join("db"))?.sync_all()?)
    }

    pub(super) fn bytes_on_disk(&self) -> Result<u64, Fault> {
        guarded(|| self.db.size_on_disk())
    }

    /// Closes the database. sled writes when it is dropped, and panics where it cannot.
    pub(super) fn close(self) {
        let drop_it = || {
            drop(self);
            Ok(())
        };
        if guarded(drop_it).is_err() {
            tracing::warn!("the store did not close in order");
        }
    }
}

const FORMAT_KEY: &str = "format";
const FORMAT: &[u8] = b"2";

const LOCK_ATTEMPTS_MAX: u32 = 200;
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(10);

fn is_locked(error: &io::Error) -> bool {
    error.to_string().starts_with("could not acquire lock")
}

/// Calls sled. A panic inside it is an error of the disk: it does not tell that anything stored is bad.
fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, Fault> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(outcome) => outcome.map_err(Fault::from),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a text");
            Err(Fault::Disk(io::Error::other(Panic(text.to_owned()))))
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the database panicked: {0}")]
struct Panic(String);

fn is_panic(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Panic>())
}
