//! Which log a topic belongs in, and what brings it there.
//!
//! The flags may have changed since the daemon ran last, so a topic can be found in the log of another level. It is
//! copied, and deleted only when the copy is on the disk: a crash in between leaves it in both, and the next start
//! copies again what is left where it does not belong. Nothing changes the two meanwhile, so that does no harm.

use std::collections::BTreeMap;

use nsqd_broker::storage::Durability;

use super::{Log, LogError, SavedTopic, TopicNumber};

/// How many bytes of batches are copied between two syncs.
const SYNC_BYTES: u64 = 16 * 1024 * 1024;

/// One thing for each level: a log, or the store that owns it.
#[derive(Debug, Clone)]
pub struct Places<T> {
    /// For what an acknowledgement keeps in memory: the rest is spilled there.
    pub spill: T,
    /// For what an acknowledgement keeps on the disk.
    pub journal: T,
}

impl<T> Places<T> {
    /// The one that serves topics of this level.
    pub fn of(&self, durability: Durability) -> &T {
        if durability.is_durable() { &self.journal } else { &self.spill }
    }

    /// The one that serves topics of this level, to be changed.
    pub fn of_mut(&mut self, durability: Durability) -> &mut T {
        if durability.is_durable() { &mut self.journal } else { &mut self.spill }
    }

    /// Both.
    pub fn all(&self) -> [&T; 2] {
        [&self.spill, &self.journal]
    }
}

impl Places<Box<dyn Log>> {
    /// All topics, each in its place from now on. `default` is the level of those for which none was chosen.
    ///
    /// # Errors
    ///
    /// A log cannot be read or written: nothing is lost, and the next call goes on.
    pub fn load(&mut self, default: Durability) -> Result<Vec<SavedTopic>, LogError> {
        let is_durable = |topic: &SavedTopic| topic.image.durability.unwrap_or(default).is_durable();
        let spilled = self.spill.load()?;
        let kept = self.journal.load()?;
        let (out_of_spill, stay_in_spill): (Vec<_>, Vec<_>) = spilled.into_iter().partition(&is_durable);
        let (stay_in_journal, out_of_journal): (Vec<_>, Vec<_>) = kept.into_iter().partition(&is_durable);
        let spilled = take_over(&mut *self.journal, &mut *self.spill, out_of_journal, stay_in_spill)?;
        let kept = take_over(&mut *self.spill, &mut *self.journal, out_of_spill, stay_in_journal)?;
        let mut topics = spilled;
        topics.extend(kept);
        topics.sort_by_key(|topic| topic.number);
        Ok(topics)
    }
}

/// Moves topics `from` one log `to` another, which has `there` already. Returns what the other has then.
fn take_over(
    from: &mut dyn Log,
    to: &mut dyn Log,
    topics: Vec<SavedTopic>,
    there: Vec<SavedTopic>,
) -> Result<Vec<SavedTopic>, LogError> {
    let mut all: BTreeMap<TopicNumber, SavedTopic> =
        there.into_iter().map(|topic| (topic.number, topic)).collect();
    for topic in topics {
        let name = topic.image.name;
        tracing::info!(topic = %name, batches = topic.batches.len(), "moving a topic to the log of its level");
        let moved = copy(from, to, &topic)?;
        to.sync()?;
        from.delete(topic.number)?;
        from.sync()?;
        match all.get_mut(&topic.number) {
            Some(before) => add_batches(before, moved),
            None => drop(all.insert(topic.number, moved)),
        }
    }
    Ok(all.into_values().collect())
}

/// Copies a topic. Returns it as it is there then: what is damaged stays behind.
fn copy(from: &mut dyn Log, to: &mut dyn Log, topic: &SavedTopic) -> Result<SavedTopic, LogError> {
    to.save(topic.number, &topic.image)?;
    let mut copied = SavedTopic { batches: Vec::new(), ..topic.clone() };
    let mut unsynced = 0;
    for summary in &topic.batches {
        match from.read(topic.number, summary.first) {
            Ok(batch) => to.append(topic.number, &batch)?,
            Err(reason @ LogError::Damaged { .. }) => {
                tracing::error!(%reason, "a batch of messages is lost");
                continue;
            }
            Err(error) => return Err(error),
        }
        copied.batches.push(*summary);
        unsynced += summary.bytes;
        if unsynced >= SYNC_BYTES {
            to.sync()?;
            unsynced = 0;
        }
    }
    Ok(copied)
}

fn add_batches(topic: &mut SavedTopic, other: SavedTopic) {
    topic.batches.extend(other.batches);
    topic.batches.sort_by_key(|batch| batch.first);
    topic.batches.dedup_by_key(|batch| batch.first);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::faulty::{Call, FaultyLog};
    use crate::store::memory::MemoryLog;
    use crate::store::suite::{ONE, TWO, batch, image};
    use nsqd_broker::storage::TopicImage;

    /// ONE, for which nothing was chosen, and TWO, which is to be on the disk: five batches each.
    fn fill(log: &MemoryLog) {
        let mut log = log.clone();
        log.save(ONE, &image("one")).unwrap();
        log.save(TWO, &TopicImage { durability: Some(Durability::Disk), ..image("two") }).unwrap();
        for topic in [ONE, TWO] {
            for first in 0..5 {
                log.append(topic, &batch(first, 1, 100)).unwrap();
            }
        }
    }

    fn places(spill: impl Log + 'static, journal: impl Log + 'static) -> Places<Box<dyn Log>> {
        Places { spill: Box::new(spill), journal: Box::new(journal) }
    }

    fn assert_whole(topics: &[SavedTopic]) {
        let found: Vec<_> = topics.iter().map(|topic| (topic.number, topic.batches.len())).collect();
        assert_eq!(found, [(ONE, 5), (TWO, 5)]);
    }

    #[test]
    fn each_topic_is_brought_to_the_log_of_its_level() {
        let (spill, journal) = (MemoryLog::default(), MemoryLog::default());
        fill(&spill);
        assert_whole(&places(spill.clone(), journal.clone()).load(Durability::Memory).unwrap());
        assert_eq!((spill.batch_count(), journal.batch_count()), (5, 5));
        assert_whole(&places(spill.clone(), journal.clone()).load(Durability::Os).unwrap());
        assert_eq!((spill.batch_count(), journal.batch_count()), (0, 10));
        assert_whole(&places(spill.clone(), journal.clone()).load(Durability::Memory).unwrap());
        assert_eq!((spill.batch_count(), journal.batch_count()), (5, 5));
    }

    #[test]
    fn a_topic_is_deleted_only_when_its_copy_is_on_the_disk() {
        let (spill, journal) = (MemoryLog::default(), MemoryLog::default());
        fill(&spill);
        let (sender, calls) = std::sync::mpsc::channel();
        let noted = |log: &MemoryLog, name: &'static str| {
            let sender = sender.clone();
            FaultyLog::new(log.clone(), move |_, call| sender.send((name, call)).is_err())
        };
        places(noted(&spill, "from"), noted(&journal, "to")).load(Durability::Os).unwrap();
        let (mut is_synced, mut deleted) = (true, 0);
        for call in calls.try_iter() {
            match call {
                ("to", Call::Save | Call::Append) => is_synced = false,
                ("to", Call::Sync) => is_synced = true,
                ("from", Call::Delete) => {
                    assert!(is_synced, "the copy may be lost");
                    deleted += 1;
                }
                _ => {}
            }
        }
        assert_eq!(deleted, 2);
    }

    #[test]
    fn a_move_that_is_cut_short_anywhere_loses_nothing() {
        for calls in 0.. {
            let (spill, journal) = (MemoryLog::default(), MemoryLog::default());
            fill(&spill);
            let stops = move |calls_before, _| calls_before >= calls;
            let faulty = |log: &MemoryLog| FaultyLog::new(log.clone(), stops);
            let finished = places(faulty(&spill), faulty(&journal)).load(Durability::Os).is_ok();
            // The flags may be others at the next start.
            let default = if calls % 2 == 0 { Durability::Os } else { Durability::Memory };
            let mut next = places(spill.clone(), journal.clone());
            let topics = next.load(default).unwrap();
            assert_whole(&topics);
            for topic in &topics {
                let level = topic.image.durability.unwrap_or(default);
                let log = if level.is_durable() { &mut next.journal } else { &mut next.spill };
                for summary in &topic.batches {
                    assert_eq!(log.read(topic.number, summary.first).unwrap(), batch(summary.first, 1, 100));
                }
            }
            if finished {
                return;
            }
        }
    }
}
