//! A look into the data directory of a daemon that does not run: what is there, whether it is whole, and who still needs
//! which message. Nothing in the directory is changed, and its lock is held meanwhile.
//!
//! - [`DataDirectory::open`] reads what is known without the messages: states, indexes, `nsqd.dat`.
//! - [`DataDirectory::check`] reads every message that is kept, and finds what is damaged.
//! - [`DataDirectory::read`] hands out those of a topic that somebody needs, [`DataDirectory::read_set_aside`] what can be
//!   read of what was set aside or is damaged.
//!
//! The journal is read where it is (`store::journal::inspection`). sled writes when it is opened, so of the database in
//! `spill` there is a copy, for the time of the look (`temporary`). Of the queue files of v1.3.0 it is found out what a start would import
//! (`import::preview`). What remains to be delivered is the broker's decision (`topic`).

mod frames;
mod legible;
mod set_aside;
mod spill;
mod temporary;
mod topic;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use nsq::api::metadata::Metadata;
use nsq::wire::message::{MessageId, MessageRef};
use nsq::wire::name::TopicName;
use nsqd_broker::storage::{BatchSummary, Position, StoredBatch};

pub use self::set_aside::{SetAside, SetAsideMessage};
pub use self::topic::{Channel, Recipient, Topic};
pub use nsqd_broker::storage::Durability;

use self::frames::{Frames, are_messages};
use self::spill::Spill;
use crate::data_dir::{DataDirLock, LockError};
use crate::import::ImportError;
use crate::import::preview::{Preview, PreviewedFile};
use crate::node::{MetadataError, read_metadata};
use crate::store::journal::inspection::Inspection as Journal;
use crate::store::{JOURNAL_DIRECTORY, LogError, SPILL_DIRECTORY, SavedTopic};

/// How long a message may be where v1.3.0 had set its file aside, in bytes: the default of `--max-msg-size`.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The data directory cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It is not there, or a daemon runs.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// No daemon has kept anything there.
    #[error("no nsqd has kept anything in {0}: is that its --data-path?")]
    Nothing(PathBuf),
    /// The disk refused.
    #[error("cannot read {0}: {1}")]
    Disk(PathBuf, #[source] io::Error),
    /// The queue files of v1.3.0 cannot be read.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Whoever looked had enough, or could not take more.
    #[error(transparent)]
    Caller(io::Error),
}

/// Where a topic's messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// `journal`: the levels `os` and `disk`.
    Journal,
    /// `spill`: the level `memory`.
    Spill,
    /// Queue files of v1.3.0, which the next start imports.
    QueueFiles,
}

/// Something that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Where, relative to the data directory.
    pub file: String,
    /// Where in the file, if that can be said.
    pub bytes: Option<Range<u64>>,
    /// What it is, or was.
    pub what: String,
    /// How many messages are known to have been there.
    pub messages: u64,
}

/// A message that somebody still needs.
#[derive(Debug)]
pub struct Message<'a> {
    /// The topic.
    pub topic: TopicName,
    /// Its id.
    pub id: MessageId,
    /// When it was published, in nanoseconds of Unix time.
    pub timestamp_ns: i64,
    /// The channels that get it. May be empty: then it waits for a channel to come.
    pub recipients: Vec<Recipient>,
    /// The delay in nanoseconds that begins when channels see it.
    pub delay_ns: Option<u64>,
    /// What was published.
    pub body: &'a [u8],
}

/// The data directory of a daemon that does not run.
pub struct DataDirectory {
    path: PathBuf,
    metadata: Metadata,
    journal: Journal,
    spill: Option<Spill>,
    preview: Preview,
    /// What is in the logs, by number.
    saved: Vec<SavedTopic>,
    topics: Vec<Topic>,
    queue_files: Vec<PreviewedFile>,
    /// What was found besides what the logs themselves remember.
    damaged: Vec<Damaged>,
    _lock: DataDirLock,
}

/// Whether a daemon, ours or v1.3.0's, ever kept anything in the directory.
fn has_data(path: &Path) -> io::Result<bool> {
    let known = ["nsqd.dat", JOURNAL_DIRECTORY, SPILL_DIRECTORY];
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if known.contains(&name.as_str()) || name.contains(".diskqueue.") {
            return Ok(true);
        }
    }
    Ok(false)
}

impl DataDirectory {
    /// Locks the directory and reads what is known of its topics. `now_unix_ns` is the time of the start that is supposed.
    /// `tick` is called now and then while files are copied: its error ends it.
    ///
    /// # Errors
    /// The directory is in use or cannot be read; what is damaged is no error.
    pub fn open(
        path: &Path,
        now_unix_ns: i64,
        tick: &mut dyn FnMut() -> io::Result<()>,
    ) -> Result<Self, InspectError> {
        let lock = DataDirLock::acquire(path)?;
        if !has_data(path).map_err(|error| InspectError::Disk(path.to_owned(), error))? {
            return Err(InspectError::Nothing(path.to_owned()));
        }
        let mut damaged = Vec::new();
        let metadata = match read_metadata(path) {
            Ok(metadata) => metadata,
            Err(MetadataError::Parse(_, error)) => {
                let what =
                    format!("the list of topics and channels, without which nsqd does not start: {error}");
                damaged.push(Damaged { file: "nsqd.dat".to_owned(), bytes: None, what, messages: 0 });
                Metadata::default()
            }
            Err(MetadataError::Read(file, error) | MetadataError::Write(file, error)) => {
                return Err(InspectError::Disk(file, error));
            }
        };
        let home = path.join(JOURNAL_DIRECTORY);
        let unreadable = |error| InspectError::Disk(home.clone(), error);
        let mut journal = Journal::open(&home).map_err(unreadable)?;
        let kept = journal.topics().map_err(unreadable)?;
        let home = path.join(SPILL_DIRECTORY);
        let mut spill = within(&home, tick, |tick| Spill::open(&home, tick))?;
        for (file, bytes) in spill::holes(&home).map_err(|error| InspectError::Disk(home.clone(), error))? {
            let file = format!("{SPILL_DIRECTORY}/{file}");
            let what =
                "no record: what it said of batches and topics is lost, what follows it is found without it"
                    .to_owned();
            damaged.push(Damaged { file, bytes: Some(bytes), what, messages: 0 });
        }
        let spilled = spill.as_mut().map_or_else(|| Ok(Vec::new()), Spill::topics);
        let spilled = spilled.map_err(|error| InspectError::Disk(home, log_error(error)))?;
        let mut saved = merge(&kept, &spilled);
        let preview = Preview::open(path, &mut saved)?;
        let places = places(&kept, &spilled);
        let mut directory = Self {
            path: path.to_owned(),
            metadata,
            journal,
            spill,
            preview,
            saved,
            topics: Vec::new(),
            queue_files: Vec::new(),
            damaged,
            _lock: lock,
        };
        directory.topics = directory.topics_of(&places, now_unix_ns)?;
        Ok(directory)
    }

    /// The topics, by name. What they have to deliver is exact only after [`check`](Self::check).
    pub fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// The names of topics in `nsqd.dat` of which nothing is kept.
    pub fn empty_topics(&self) -> Vec<TopicName> {
        let declared = self.metadata.topics.iter().flatten();
        let names: BTreeMap<String, TopicName> = declared
            .filter_map(|topic| Some((topic.name.clone(), TopicName::parse(&topic.name)?)))
            .filter(|(_, name)| self.topics.iter().all(|topic| topic.name() != *name))
            .collect();
        names.into_values().collect()
    }

    /// The queue files of v1.3.0 with messages, and what the next start imports of them.
    pub fn queue_files(&self) -> &[PreviewedFile] {
        &self.queue_files
    }

    /// How many bytes of messages there are.
    pub fn bytes(&self) -> u64 {
        self.topics.iter().map(Topic::bytes).sum()
    }

    /// How many bytes the files of a place take, those included that were set aside.
    pub fn bytes_of(&self, place: Place) -> u64 {
        match place {
            Place::Journal => bytes_below(&self.path.join(JOURNAL_DIRECTORY), DEPTH_MAX),
            Place::Spill => bytes_below(&self.path.join(SPILL_DIRECTORY), DEPTH_MAX),
            Place::QueueFiles => {
                let files = self.queue_files.iter().map(|file| self.path.join(&file.name));
                files.filter_map(|file| Some(fs::metadata(file).ok()?.len())).sum()
            }
        }
    }

    /// Reads all messages, and takes away what is damaged. `tick` is told how many bytes were read since it was called
    /// last: its error ends the reading.
    ///
    /// # Errors
    /// The disk refused.
    pub fn check(
        &mut self,
        tick: &mut (dyn FnMut(u64) -> io::Result<()> + Send),
    ) -> Result<(), InspectError> {
        for index in 0..self.topics.len() {
            self.batches(index, &mut |_, batch| tick(batch.records.len() as u64))?;
        }
        Ok(())
    }

    /// Reads a topic, and calls `each` with the messages that somebody needs. Its error ends the reading.
    ///
    /// # Errors
    /// The disk refused.
    pub fn read(
        &mut self,
        topic: usize,
        each: &mut (dyn FnMut(Message<'_>) -> io::Result<()> + Send),
    ) -> Result<(), InspectError> {
        let Some(found) = self.topics.get(topic) else { return Ok(()) };
        let needs = found.needs();
        self.batches(topic, &mut |topic, batch| {
            for (position, message) in (batch.first..).zip(Frames::of(&batch.records)) {
                let Some(need) = needs.of(position, batch.aside) else { continue };
                let MessageRef { timestamp_ns, id, body, .. } = message;
                each(Message {
                    topic,
                    id,
                    timestamp_ns,
                    recipients: need.recipients,
                    delay_ns: need.delay_ns,
                    body,
                })?;
            }
            Ok(())
        })
    }

    /// What is damaged, as far as it was looked at.
    pub fn damaged(&self) -> Vec<Damaged> {
        let journal = self.journal.damage.iter().map(|damaged| Damaged {
            file: format!("{JOURNAL_DIRECTORY}/{}", damaged.file),
            bytes: Some(damaged.bytes.clone()),
            what: damaged.what.clone(),
            messages: damaged.messages,
        });
        let spill = self.spill.iter().flat_map(Spill::damage).map(|(file, what)| Damaged {
            file: format!("{SPILL_DIRECTORY}/{file}"),
            bytes: None,
            what,
            messages: 0,
        });
        let short = self.queue_files.iter().filter(|file| file.bytes_left + file.bytes_missing > 0);
        let short = short.map(|file| Damaged {
            file: file.name.clone(),
            bytes: None,
            what: format!(
                "{} bytes at its end are no whole message, {} bytes that were written are missing",
                file.bytes_left, file.bytes_missing
            ),
            messages: 0,
        });
        let mut damaged: Vec<Damaged> =
            self.damaged.iter().cloned().chain(journal).chain(spill).chain(short).collect();
        let mut seen = BTreeSet::new();
        // What was read twice is damaged once.
        damaged.retain(|found| {
            let bytes = found.bytes.clone().map(|bytes| (bytes.start, bytes.end));
            seen.insert((found.file.clone(), bytes, found.what.clone()))
        });
        damaged
    }

    fn topics_of(
        &mut self,
        places: &BTreeMap<u32, BTreeSet<Place>>,
        now_unix_ns: i64,
    ) -> Result<Vec<Topic>, InspectError> {
        let mut topics: BTreeMap<String, Topic> = BTreeMap::new();
        for SavedTopic { number, image, batches } in self.saved.iter().cloned() {
            let places = places.get(&number.0).cloned().unwrap_or_default();
            let imported_from = Position::MAX;
            let topic = Topic { number, image, batches, imported_from, places, lost: 0 };
            // Two lives of one name can only be left by a crash in the middle of a deletion: the newer one counts.
            topics.insert(topic.name().to_string(), topic);
        }
        for name in self.preview.topics() {
            let (path, metadata, saved) = (&self.path, &self.metadata, &self.saved);
            let previewed =
                self.preview.read(path, BODY_BYTES_MAX, metadata, saved, name, &mut |_| Ok(()))?;
            let Some(previewed) = previewed else { continue };
            self.queue_files.extend(previewed.files);
            let mut places = topics.remove(&name.to_string()).map(|topic| topic.places).unwrap_or_default();
            places.insert(Place::QueueFiles);
            let SavedTopic { number, image, batches } = previewed.topic;
            let imported_from = previewed.start;
            let topic = Topic { number, image, batches, imported_from, places, lost: 0 };
            topics.insert(name.to_string(), topic);
        }
        for declared in self.metadata.topics.iter().flatten() {
            if let Some(topic) = topics.get_mut(&declared.name) {
                topic.declare(declared, now_unix_ns);
            }
        }
        // What the journal lists as damaged already, it does not have any more.
        for damaged in &self.journal.damage {
            let of = topics.values_mut().find(|topic| damaged.topic == Some(topic.number));
            if let Some(topic) = of {
                topic.lost += damaged.messages;
            }
        }
        Ok(topics.into_values().collect())
    }

    /// Reads the batches of a topic, and takes those away from it that are damaged.
    fn batches(
        &mut self,
        topic: usize,
        each: &mut (dyn FnMut(TopicName, &StoredBatch) -> io::Result<()> + Send),
    ) -> Result<(), InspectError> {
        let Topic { number, ref batches, imported_from, .. } = self.topics[topic];
        let name = self.topics[topic].name();
        let mut damaged = BTreeSet::new();
        for summary in batches.iter().filter(|batch| batch.first < imported_from) {
            let mut place = None;
            let (directory, outcome) = match &mut self.spill {
                Some(spill) if !self.journal.has(number, summary.first) => {
                    let outcome = spill.place(number, summary).and_then(|found| {
                        place = found;
                        spill.read(number, summary)
                    });
                    (SPILL_DIRECTORY, outcome.map_err(log_error))
                }
                _ => (JOURNAL_DIRECTORY, self.journal.read(number, summary)),
            };
            let batch = outcome.map_err(|error| InspectError::Disk(self.path.join(directory), error))?;
            let is_read = batch.is_some();
            match batch.filter(|batch| are_messages(&batch.records, summary.count)) {
                Some(batch) => each(name, &batch).map_err(InspectError::Caller)?,
                None => {
                    damaged.insert(summary.first);
                    // The journal remembers by itself where bytes are not what was written.
                    if is_read || directory == SPILL_DIRECTORY {
                        self.damaged.push(damaged_batch(directory, place, name, summary));
                    }
                }
            }
        }
        if imported_from < Position::MAX {
            let mut has_stopped = false;
            let mut each = |batch: &StoredBatch| {
                each(name, batch).inspect_err(|_| has_stopped = true).map_err(LogError::Io)
            };
            let (path, metadata, saved) = (&self.path, &self.metadata, &self.saved);
            let outcome = self.preview.read(path, BODY_BYTES_MAX, metadata, saved, name, &mut each);
            outcome.map_err(|error| match error {
                ImportError::Store(error) if has_stopped => InspectError::Caller(log_error(error)),
                error => InspectError::Import(error),
            })?;
        }
        self.topics[topic].lose(&damaged);
        Ok(())
    }
}

/// What is said of a batch that is not what was written.
fn damaged_batch(
    directory: &str,
    place: Option<(String, Range<u64>)>,
    topic: TopicName,
    BatchSummary { count, first, .. }: &BatchSummary,
) -> Damaged {
    match place {
        Some((file, bytes)) => Damaged {
            file: format!("{directory}/{file}"),
            bytes: Some(bytes),
            what: format!("a batch of {count} messages"),
            messages: u64::from(*count),
        },
        None => Damaged {
            file: directory.to_owned(),
            bytes: None,
            what: format!("{count} messages of the topic {topic}, from position {first} on"),
            messages: u64::from(*count),
        },
    }
}

/// What `work` came to; the error of `tick` is the caller's.
fn within<T>(
    path: &Path,
    tick: &mut dyn FnMut() -> io::Result<()>,
    work: impl FnOnce(&mut dyn FnMut() -> io::Result<()>) -> Result<T, LogError>,
) -> Result<T, InspectError> {
    let mut has_stopped = false;
    let outcome = work(&mut || tick().inspect_err(|_| has_stopped = true));
    outcome.map_err(log_error).map_err(|error| match has_stopped {
        true => InspectError::Caller(error),
        false => InspectError::Disk(path.to_owned(), error),
    })
}

/// The topics of both logs, by number. A topic is in both where a move from one to the other was interrupted: then each
/// has part of its batches, and they have the same state.
fn merge(kept: &[SavedTopic], spilled: &[SavedTopic]) -> Vec<SavedTopic> {
    let mut all: BTreeMap<_, SavedTopic> = kept.iter().map(|topic| (topic.number, topic.clone())).collect();
    for topic in spilled {
        match all.get_mut(&topic.number) {
            Some(other) => {
                other.batches.extend(&topic.batches);
                other.batches.sort_by_key(|batch| batch.first);
                other.batches.dedup_by_key(|batch| batch.first);
            }
            None => drop(all.insert(topic.number, topic.clone())),
        }
    }
    all.into_values().collect()
}

/// In which logs topics are, by number.
fn places(kept: &[SavedTopic], spilled: &[SavedTopic]) -> BTreeMap<u32, BTreeSet<Place>> {
    let mut places: BTreeMap<u32, BTreeSet<Place>> = BTreeMap::new();
    let kept = kept.iter().map(|topic| (topic.number.0, Place::Journal));
    for (number, place) in kept.chain(spilled.iter().map(|topic| (topic.number.0, Place::Spill))) {
        places.entry(number).or_default().insert(place);
    }
    places
}

/// What went wrong with a log, as an error of the disk.
fn log_error(error: LogError) -> io::Error {
    match error {
        LogError::Io(error) => error,
        damaged => io::Error::other(damaged),
    }
}

/// How deep directories may lie within one another.
const DEPTH_MAX: usize = 8;

/// How long a file is, or all files in a directory; what cannot be looked at counts nothing.
fn bytes_below(path: &Path, depth: usize) -> u64 {
    let Some(depth) = depth.checked_sub(1) else { return 0 };
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| bytes_below(&entry.path(), depth)).sum()
        }
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    }
}
