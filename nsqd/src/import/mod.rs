//! Coming from v1.3.0: its queue files become topics of our store, once, at a start.
//!
//! The order of the steps is what makes it safe. For one topic after the other:
//!
//! 1. `import-in-progress.json` says which topic begins, and where in the store ([`progress`]).
//! 2. The messages are written to the store and synced ([`topic`]). Nothing shows them yet.
//! 3. The topic's state is saved and synced: at this moment, and not before, they are imported.
//! 4. The files are moved beneath `imported/` ([`originals`]). They are never removed.
//! 5. `import-in-progress.json` is removed.
//!
//! After a crash before 3 the next start drops what 2 wrote and begins anew: the files are all there. After a crash
//! behind 3 it only goes on with 4. So nothing is lost, and nothing is imported twice. What the disk refuses stops the
//! start: the files stay where they are.
//!
//! - [`file_name`], [`plan`], [`diskqueue`]: which file is whose, and what is in it (pure).
//! - [`queue`]: the messages of one queue, one at a time.
//! - [`sharing`], [`layout`]: the messages of several channels in one log (pure).
//! - [`report`]: the line in the log that each file gets.
//! - [`preview`]: what a start would import, for who only looks.

mod diskqueue;
mod file_name;
mod layout;
mod originals;
mod plan;
pub mod preview;
mod progress;
mod queue;
mod report;
mod sharing;
#[cfg(test)]
mod tests;
mod topic;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nsq::api::metadata::{Metadata, TopicMetadata};
use nsq::wire::name::{ChannelName, TopicName};
use nsqd_broker::storage::Durability;

use self::file_name::{Owner, QueueFile, is_queue_file};
use self::layout::{Layout, new_topic};
use self::plan::QueuePlan;
use self::progress::Progress;
use self::report::Reports;
use self::topic::{Queues, Target, Written};
use crate::store::places::Places;
use crate::store::{Log, LogError, SavedTopic, TopicNumber};

/// Why the queue files could not be imported. They are where they were, or in `imported`.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read.
    #[error("failed to read {0} - {1}")]
    Read(PathBuf, #[source] io::Error),
    /// A file cannot be moved out of the way.
    #[error("failed to move {0} - {1}")]
    Move(PathBuf, #[source] io::Error),
    /// It cannot be written down how far the import came.
    #[error("failed to write {0} - {1}")]
    Write(PathBuf, #[source] io::Error),
    /// What was written down makes no sense.
    #[error("failed to parse {0} - {1}; if it is removed, messages may be imported twice")]
    Progress(PathBuf, #[source] serde_json::Error),
    /// The store does not take the messages.
    #[error("{0}")]
    Store(#[from] LogError),
}

/// Imports the queue files that are in `directory`, if there are any, into `logs`, in which `saved` is. Returns what is
/// in them then. `default` is the level of topics for which none was chosen.
///
/// `body_bytes_max` is how long a message may be now: one that is longer made v1.3.0 set its file aside.
///
/// # Errors
/// The disk refused. What was not imported is imported at the next start.
pub fn take_over(
    directory: &Path,
    body_bytes_max: usize,
    metadata: &Metadata,
    logs: &mut Places<Box<dyn Log>>,
    default: Durability,
    saved: Vec<SavedTopic>,
) -> Result<Vec<SavedTopic>, ImportError> {
    let mut import = Import { directory, body_bytes_max, logs, default, saved };
    import.resume()?;
    let plan = plan::plan(queue_files(directory)?);
    for (topic, queues) in &plan {
        let declared = declared(metadata, *topic);
        import.import(*topic, queues, declared)?;
    }
    Ok(import.saved)
}

/// The queue files in the directory. What only looks like one is left alone.
fn queue_files(directory: &Path) -> Result<Vec<(QueueFile, String)>, ImportError> {
    let failed = |error| ImportError::Read(directory.to_owned(), error);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !is_queue_file(&name) {
            continue;
        }
        match QueueFile::parse(&name).filter(|_| path.is_file()) {
            Some(file) => files.push((file, name)),
            None => {
                tracing::warn!(file = name, "IMPORT: {name}: left alone, v1.3.0 gives no file such a name")
            }
        }
    }
    Ok(files)
}

/// What `nsqd.dat` says of the topic.
fn declared(metadata: &Metadata, topic: TopicName) -> Option<&TopicMetadata> {
    metadata.topics.iter().flatten().find(|declared| declared.name == topic.as_str())
}

/// The topic's channels in `nsqd.dat` that may have anything on the disk, each paused or not.
fn declared_channels(declared: Option<&TopicMetadata>) -> BTreeMap<ChannelName, bool> {
    let channels = declared.and_then(|topic| topic.channels.as_ref()).into_iter().flatten();
    channels
        .filter_map(|channel| Some((ChannelName::parse(&channel.name)?, channel.paused)))
        .filter(|(name, _)| !name.is_ephemeral())
        .collect()
}

struct Import<'a> {
    directory: &'a Path,
    body_bytes_max: usize,
    logs: &'a mut Places<Box<dyn Log>>,
    default: Durability,
    saved: Vec<SavedTopic>,
}

impl Import<'_> {
    /// Brings to its end, or takes back, what a crash interrupted.
    fn resume(&mut self) -> Result<(), ImportError> {
        let Some(progress) = Progress::read(self.directory)? else { return Ok(()) };
        let number = TopicNumber(progress.number);
        let topic = self.saved.iter_mut().find(|saved| saved.number == number);
        if let Some(topic) = topic {
            if topic.image.end > progress.start {
                tracing::info!(
                    topic = progress.topic,
                    "IMPORT({}): imported before the last stop",
                    progress.topic
                );
                return self.move_away(&progress.files, &Reports::default());
            }
            tracing::info!(
                topic = progress.topic,
                "IMPORT({}): begins anew, it was interrupted",
                progress.topic
            );
            let log = self.logs.of_mut(topic.image.durability.unwrap_or(self.default));
            for batch in topic.batches.extract_if(.., |batch| batch.first >= progress.start) {
                log.drop_batch(number, batch.first)?;
            }
            log.sync()?;
        }
        Progress::remove(self.directory)
    }

    fn import(
        &mut self,
        topic: TopicName,
        plans: &BTreeMap<Owner, QueuePlan>,
        declared: Option<&TopicMetadata>,
    ) -> Result<(), ImportError> {
        let files: Vec<String> = plans.values().flat_map(QueuePlan::names).cloned().collect();
        let queues = Queues::open(self.directory, plans, self.body_bytes_max)?;
        let mut reports = Reports::default();
        if queues.are_empty() {
            reports.extend(queues.into_reports());
            return originals::move_all(self.directory, &files, |name, to| reports.log(name, to));
        }
        tracing::info!(%topic, files = files.len(), "IMPORT({topic}): taking over {} files of v1.3.0", files.len());
        let (place, is_new) = self.place(topic, declared);
        let SavedTopic { number, ref image, ref batches } = self.saved[place];
        let mut channels = declared_channels(declared);
        for channel in queues.channels() {
            channels.entry(channel).or_default();
        }
        let layout = Layout::new(image.clone(), batches, channels);
        let start = layout.start();
        Progress { topic: topic.to_string(), number: number.0, start, files: files.clone() }
            .write(self.directory)?;
        let log = self.logs.of_mut(image.durability.unwrap_or(self.default));
        if is_new {
            // The store must know its name before its first batch.
            log.save(number, image)?;
            log.sync()?;
        }
        let target = Target { log: &mut **log, number };
        let Written { image, batches, reports: of_files } = queues.write(layout, target)?;
        log.save(number, &image)?;
        log.sync()?;
        let messages = image.end - start;
        self.saved[place].image = image;
        self.saved[place].batches.extend(batches);
        reports.extend(of_files);
        self.move_away(&files, &reports)?;
        tracing::info!(%topic, messages, "IMPORT({topic}): {messages} messages taken over");
        Ok(())
    }

    /// Where in `saved` the topic is, and whether it was just put there.
    fn place(&mut self, topic: TopicName, declared: Option<&TopicMetadata>) -> (usize, bool) {
        let paused = declared.is_some_and(|declared| declared.paused);
        // Of two lives of one name the newer counts.
        if let Some(place) = self.saved.iter().rposition(|saved| saved.image.name == topic) {
            let SavedTopic { image, batches, .. } = &mut self.saved[place];
            if batches.is_empty() {
                image.paused = paused;
            }
            return (place, false);
        }
        let number = TopicNumber(self.saved.last().map_or(0, |newest| newest.number.0 + 1));
        self.saved.push(SavedTopic { number, image: new_topic(topic, paused), batches: Vec::new() });
        (self.saved.len() - 1, true)
    }

    /// Moves the files of a topic that is imported.
    fn move_away(&self, files: &[String], reports: &Reports) -> Result<(), ImportError> {
        originals::move_all(self.directory, files, |name, to| reports.log(name, to))?;
        Progress::remove(self.directory)
    }
}
