//! A log that keeps everything in memory: for tests.
//!
//! Clones share one "disk", so that a test can stop one owner and start the next on what it left.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use nsqd_broker::storage::{BatchSummary, Position, Progress, StoredBatch, TopicImage};

use super::{Log, LogError, SavedTopic, TopicNumber};

/// A log without a disk. A topic that was never saved is not found by `load`.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog {
    // Locked for one operation at a time; the lock only serves to let a test look in from outside.
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    images: BTreeMap<TopicNumber, TopicImage>,
    batches: BTreeMap<(TopicNumber, Position), StoredBatch>,
}

impl MemoryLog {
    /// How many batches are here, of all topics together.
    pub fn batch_count(&self) -> usize {
        self.kept().batches.len()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no operation on the maps panics")
    }
}

impl Log for MemoryLog {
    fn load(&mut self) -> Result<Vec<SavedTopic>, LogError> {
        let kept = self.kept();
        let topics = kept.images.iter().map(|(&number, image)| SavedTopic {
            number,
            image: image.clone(),
            batches: kept.batches.range(of_topic(number)).map(|(_, batch)| summary(batch)).collect(),
        });
        Ok(topics.collect())
    }

    fn append(&mut self, topic: TopicNumber, batch: &StoredBatch) -> Result<(), LogError> {
        self.kept().batches.insert((topic, batch.first), batch.clone());
        Ok(())
    }

    fn read(&mut self, topic: TopicNumber, first: Position) -> Result<StoredBatch, LogError> {
        self.kept().batches.get(&(topic, first)).cloned().ok_or(LogError::Damaged { topic, first })
    }

    fn drop_batch(&mut self, topic: TopicNumber, first: Position) -> Result<(), LogError> {
        self.kept().batches.remove(&(topic, first));
        Ok(())
    }

    fn save(&mut self, topic: TopicNumber, image: &TopicImage) -> Result<(), LogError> {
        self.kept().images.insert(topic, image.clone());
        Ok(())
    }

    fn advance(&mut self, topic: TopicNumber, progress: &Progress) -> Result<(), LogError> {
        if let Some(image) = self.kept().images.get_mut(&topic) {
            image.advance([progress.clone()]);
        }
        Ok(())
    }

    fn delete(&mut self, topic: TopicNumber) -> Result<(), LogError> {
        let mut kept = self.kept();
        kept.images.remove(&topic);
        kept.batches.retain(|key, _| key.0 != topic);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), LogError> {
        Ok(())
    }
}

fn of_topic(number: TopicNumber) -> std::ops::RangeInclusive<(TopicNumber, Position)> {
    (number, Position::MIN)..=(number, Position::MAX)
}

fn summary(batch: &StoredBatch) -> BatchSummary {
    BatchSummary {
        first: batch.first,
        count: batch.count,
        aside: batch.aside,
        bytes: batch.records.len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite::log_suite;

    log_suite!({
        let disk = MemoryLog::default();
        move || Box::new(disk.clone()) as Box<dyn Log>
    });
}
