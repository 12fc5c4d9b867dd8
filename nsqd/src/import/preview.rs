//! What a start would import, without importing it: the same steps, into nowhere.

use std::collections::BTreeMap;
use std::path::Path;

use nsq::api::metadata::Metadata;
use nsq::wire::name::TopicName;
use nsqd_broker::storage::{Position, Progress as Advance, StoredBatch, TopicImage};

use super::file_name::Owner;
use super::layout::{Layout, new_topic};
use super::plan::{self, QueuePlan};
use super::progress::Progress;
use super::queue::Report;
use super::topic::{Queues, Target};
use super::{ImportError, declared, declared_channels, queue_files};
use crate::store::{Log, LogError, SavedTopic, TopicNumber};

/// A topic as it would be after the import.
#[derive(Debug)]
pub struct Previewed {
    /// What would be in the store.
    pub topic: SavedTopic,
    /// Where the first message stands that would be imported; those before are in the store.
    pub start: Position,
    /// What would become of the files.
    pub files: Vec<PreviewedFile>,
}

/// What would become of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewedFile {
    /// Its name in the data directory.
    pub name: String,
    /// Messages that would be imported.
    pub messages: u64,
    /// Bytes at its end that are no whole message.
    pub bytes_left: u64,
    /// Bytes that were written and are not there.
    pub bytes_missing: u64,
}

/// The queue files that are there, as a start finds them.
#[derive(Debug)]
pub struct Preview {
    plan: BTreeMap<TopicName, BTreeMap<Owner, QueuePlan>>,
}

impl Preview {
    /// Looks at the directory. Where an import was interrupted, `saved` becomes what the next start makes of it.
    ///
    /// # Errors
    /// The disk refused, or it makes no sense how far an import came.
    pub fn open(directory: &Path, saved: &mut [SavedTopic]) -> Result<Self, ImportError> {
        let mut files = queue_files(directory)?;
        if let Some(progress) = Progress::read(directory)?
            && let Some(topic) = saved.iter_mut().find(|saved| saved.number == TopicNumber(progress.number))
        {
            if topic.image.end > progress.start {
                files.retain(|(_, name)| !progress.files.contains(name));
            } else {
                topic.batches.retain(|batch| batch.first < progress.start);
            }
        }
        Ok(Self { plan: plan::plan(files) })
    }

    /// The topics that have queue files, by name.
    pub fn topics(&self) -> impl Iterator<Item = TopicName> + '_ {
        self.plan.keys().copied()
    }

    /// Imports a topic into nowhere: `each` sees what would be written. `None` where nothing would be.
    ///
    /// # Errors
    /// A file cannot be read, or `each` refused.
    pub fn read(
        &self,
        directory: &Path,
        body_bytes_max: usize,
        metadata: &Metadata,
        saved: &[SavedTopic],
        topic: TopicName,
        each: &mut (dyn FnMut(&StoredBatch) -> Result<(), LogError> + Send),
    ) -> Result<Option<Previewed>, ImportError> {
        let Some(queues) = self.plan.get(&topic) else { return Ok(None) };
        let queues = Queues::open(directory, queues, body_bytes_max)?;
        let declared = declared(metadata, topic);
        // Of two lives of one name the newer counts.
        let mut before = match saved.iter().rfind(|saved| saved.image.name == topic) {
            Some(saved) => saved.clone(),
            None => {
                let number = saved.last().map_or(1, |newest| newest.number.0.saturating_add(1));
                let image = new_topic(topic, false);
                SavedTopic { number: TopicNumber(number), image, batches: Vec::new() }
            }
        };
        if before.batches.is_empty() {
            before.image.paused = declared.is_some_and(|declared| declared.paused);
        }
        if queues.are_empty() {
            let files = queues.into_reports().into_iter().map(PreviewedFile::from).collect();
            return Ok(Some(Previewed { start: Position::MAX, topic: before, files }));
        }
        let mut channels = declared_channels(declared);
        for channel in queues.channels() {
            channels.entry(channel).or_default();
        }
        let SavedTopic { number, image, mut batches } = before;
        let layout = Layout::new(image, &batches, channels);
        let start = layout.start();
        let written = queues.write(layout, Target { log: &mut Nowhere(each), number })?;
        batches.extend(written.batches);
        let files = written.reports.into_iter().map(PreviewedFile::from).collect();
        let topic = SavedTopic { number, image: written.image, batches };
        Ok(Some(Previewed { topic, start, files }))
    }
}

impl From<Report> for PreviewedFile {
    fn from(report: Report) -> Self {
        let Report { name, taken, bytes_left, bytes_missing, .. } = report;
        Self { name, messages: taken, bytes_left, bytes_missing }
    }
}

/// A log that keeps nothing.
struct Nowhere<'a>(&'a mut (dyn FnMut(&StoredBatch) -> Result<(), LogError> + Send));

impl Log for Nowhere<'_> {
    fn load(&mut self) -> Result<Vec<SavedTopic>, LogError> {
        Ok(Vec::new())
    }

    fn append(&mut self, _: TopicNumber, batch: &StoredBatch) -> Result<(), LogError> {
        (self.0)(batch)
    }

    fn read(&mut self, topic: TopicNumber, first: Position) -> Result<StoredBatch, LogError> {
        Err(LogError::Damaged { topic, first })
    }

    fn drop_batch(&mut self, _: TopicNumber, _: Position) -> Result<(), LogError> {
        Ok(())
    }

    fn save(&mut self, _: TopicNumber, _: &TopicImage) -> Result<(), LogError> {
        Ok(())
    }

    fn advance(&mut self, _: TopicNumber, _: &Advance) -> Result<(), LogError> {
        Ok(())
    }

    fn delete(&mut self, _: TopicNumber) -> Result<(), LogError> {
        Ok(())
    }

    fn sync(&mut self) -> Result<(), LogError> {
        Ok(())
    }
}
