//! The log of the durable levels: one sequence of records for all topics, in segment files that are only appended to.
//!
//! What a group of requests writes is gathered and goes out as one write; where a topic of it is at the level
//! [`Disk`](Durability::Disk) one sync commits all of it, whoever waits. Beneath that level the sync follows after
//! so many messages or so much time.
//!
//! - `draft`: the records of the next write; what records and segments are is `store::segments`' business.
//! - `writer`: the end of the log, and what became of the segments before.
//! - `index`: where everything is that is alive; `checkpoint`: the index as a file.
//! - `recovery`: from the last checkpoint to where the log ends.
//! - `fetch`: reads what the index names; `aside`: copies what turned out damaged.
//! - `upkeep`: what is done between groups: checkpoints, and giving room back.
//! - [`inspection`]: a look at what is there that changes nothing.
//!
//! It knows nothing of what a batch holds and of a state only the name, the level, and how progress is worked in.

mod aside;
mod checkpoint;
mod draft;
mod fetch;
mod index;
pub mod inspection;
mod recovery;
mod upkeep;
mod writer;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nsq::wire::name::TopicName;
use nsqd_broker::storage::{BatchSummary, Durability, Position, Progress, StoredBatch, TopicImage};

use self::aside::Aside;
use self::checkpoint::Checkpoint;
use self::draft::{Draft, Drafted};
use self::index::{Index, Place};
use self::upkeep::Upkeep;
use self::writer::Writer;
use super::files::{Directory, Files};
use super::reserve::{RESERVE_BYTES, Reserve};
use super::segments::Segments;
use super::segments::record::{Location, batch_prefix_bytes};
use super::{Damage, Log, LogError, SavedTopic, TopicNumber, image};

/// How a [`Journal`] is run.
#[derive(Debug, Clone, Copy)]
pub struct JournalSettings {
    /// The level of the topics whose state names none.
    pub default_durability: Durability,
    /// After how many messages that are not on the disk a sync follows.
    pub sync_every: u64,
    /// After how long it follows in any case.
    pub sync_timeout: Duration,
    /// How long a segment gets, in bytes. What is written at once stays together, however long it is.
    pub segment_bytes: u64,
    /// How far ahead of what is written the file is prepared where a sync follows, in bytes.
    pub prepared_bytes: usize,
    /// What is kept free for the time when the disk is full, in bytes.
    pub reserve_bytes: usize,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            default_durability: Durability::Os,
            sync_every: 2_500,
            sync_timeout: Duration::from_secs(2),
            segment_bytes: 32 * 1024 * 1024,
            prepared_bytes: 256 * 1024,
            reserve_bytes: RESERVE_BYTES,
        }
    }
}

/// How many bytes may be written and not be on the disk: what a failed sync leaves to be written anew.
const UNSYNCED_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A log in segment files. One process at a time may have it open.
pub struct Journal {
    settings: JournalSettings,
    files: Arc<dyn Files>,
    segments: Segments,
    writer: Writer,
    index: Index,
    /// What the next sync writes.
    draft: Draft,
    /// Whether the draft has something that must be on the disk before it is acknowledged.
    demands_disk: bool,
    /// Whether somebody waits for the draft to be written.
    in_group: bool,
    known: HashMap<TopicNumber, Known>,
    reserve: Reserve,
    aside: Aside,
    damage: Damage,
    upkeep: Upkeep,
}

/// What is known of a topic from its newest state.
struct Known {
    name: TopicName,
    durability: Option<Durability>,
}

impl Journal {
    /// Opens the log in the directory `home`, which is created where it is missing.
    ///
    /// What is damaged is set aside, and the rest is read: see [`Log::damage`].
    ///
    /// # Errors
    ///
    /// The disk refused: that never condemns what is on it, and the log is not opened.
    pub fn open(home: &Path, settings: JournalSettings) -> Result<Self, LogError> {
        fs::create_dir_all(home)?;
        Self::open_on(Arc::new(Directory::at(home)), settings)
    }

    pub(super) fn open_on(files: Arc<dyn Files>, settings: JournalSettings) -> Result<Self, LogError> {
        let mut segments = Segments::new(files.clone());
        let mut damage = Damage::default();
        let (mut index, from) = match checkpoint::read(&files)? {
            Checkpoint::Whole(index, location) => (index, location),
            Checkpoint::Missing => (Index::default(), Location { segment: 0, offset: 0 }),
            Checkpoint::Damaged => {
                tracing::error!(
                    "the index of the journal is damaged and was set aside: everything is read, and nothing is lost by that"
                );
                damage.indexes += 1;
                (Index::default(), Location { segment: 0, offset: 0 })
            }
        };
        let recovered = recovery::recover(&mut segments, &mut index, from)?;
        let mut aside = Aside::open(files.clone())?;
        for (segment, range) in &recovered.damaged {
            damage.batches += 1;
            let file = aside.keep(&mut segments, *segment, range.clone());
            tracing::error!(
                segment,
                offset = range.start,
                bytes = range.end - range.start,
                file,
                "part of the journal is damaged: what of it is still needed is lost"
            );
        }
        for (segment, range) in &recovered.gaps {
            let file = aside.keep(&mut segments, *segment, range.clone());
            tracing::warn!(
                segment,
                offset = range.start,
                bytes = range.end - range.start,
                file,
                "a gap in what the journal had not yet put on the disk: what a loss of power leaves, and without one it is \
                 damage; what was there is not delivered"
            );
        }
        let upkeep = Upkeep::new(recovered.bytes);
        Ok(Self {
            settings,
            segments,
            writer: Writer::new(&settings, recovered),
            index,
            draft: Draft::default(),
            demands_disk: false,
            in_group: false,
            known: HashMap::new(),
            reserve: Reserve::open(files.clone(), settings.reserve_bytes),
            aside,
            damage,
            upkeep,
            files,
        })
    }

    /// The state of a topic, or as much as is known of it; `None` where not even the name is.
    fn image(
        &mut self,
        number: TopicNumber,
        batches: &[BatchSummary],
    ) -> Result<Option<TopicImage>, LogError> {
        let Some(topic) = self.index.topics.get(&number) else {
            return Ok(None);
        };
        let (name, had_state) = (topic.name, topic.image.is_some());
        let state = fetch::state(&mut self.segments, number, topic)?;
        for place in &state.damaged {
            self.keep_aside(*place, 0);
            self.damage.images += 1;
        }
        if !state.damaged.is_empty() || !had_state {
            tracing::error!(
                topic_number = number.0,
                name = name.map(|name| name.to_string()),
                batches = batches.len(),
                "the state of a topic is missing or damaged: its messages are kept if its name is, \
                 its channels perhaps not"
            );
        }
        Ok(state.image.or_else(|| Some(image::recall(name?, 0, 0, batches))))
    }

    /// Forgets a batch whose bytes are not what was written.
    fn condemn(&mut self, topic: TopicNumber, first: Position, place: Place) {
        self.keep_aside(place, batch_prefix_bytes(self.index.name(topic)));
        self.draft.drop_batch(topic, first);
        self.damage.batches += 1;
        tracing::warn!(
            topic_number = topic.0,
            first,
            "a batch of messages is damaged; its messages are lost"
        );
    }

    fn keep_aside(&mut self, place: Place, before: u64) {
        if let Some(file) = self.aside.keep(&mut self.segments, place.segment, place.record(before)) {
            tracing::warn!(file, "damaged bytes of the journal were copied");
        }
    }

    fn demand(&mut self, topic: TopicNumber) {
        self.in_group = true;
        self.demands_disk |= self.durability(topic) == Durability::Disk;
    }

    fn durability(&self, topic: TopicNumber) -> Durability {
        let chosen = self.known.get(&topic).and_then(|known| known.durability);
        chosen.unwrap_or(self.settings.default_durability)
    }

    /// Writes the draft. After an error it is as if it had never been.
    fn commit(&mut self) -> Result<(), LogError> {
        self.draft.write_drops();
        let mut draft = std::mem::take(&mut self.draft);
        let outcome = self.pay_debts().and_then(|()| self.write(&mut draft, self.demands_disk));
        draft.clear();
        self.draft = draft;
        self.demands_disk = false;
        Ok(outcome.inspect_err(|error| self.note_failure(error))?)
    }

    /// Writes a draft, and puts it on the disk where that is demanded or due. After an error nothing was written.
    fn write(&mut self, draft: &mut Draft, demands_disk: bool) -> io::Result<()> {
        if draft.length() == 0 {
            return Ok(());
        }
        let location = self.writer.write(&mut self.segments, draft, demands_disk)?;
        if demands_disk || self.is_sync_due() {
            self.writer.sync(&mut self.segments, Some(location))?;
        }
        draft.apply_to(&mut self.index, location);
        self.index.note_length(location.segment, location.offset + draft.length());
        self.upkeep.wrote(draft.length());
        Ok(())
    }

    fn is_sync_due(&self) -> bool {
        self.writer.unsynced().is_some_and(|unsynced| {
            unsynced.messages >= self.settings.sync_every || unsynced.bytes >= UNSYNCED_BYTES_MAX
        })
    }

    fn note_failure(&mut self, error: &io::Error) {
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            self.reserve.release();
        }
    }
}

impl Log for Journal {
    fn load(&mut self) -> Result<Vec<SavedTopic>, LogError> {
        let mut topics = Vec::new();
        for number in self.index.topics.keys().copied().collect::<Vec<_>>() {
            let topic = &self.index.topics[&number];
            if topic.batches.is_empty() && topic.image.is_none() {
                continue;
            }
            let batches: Vec<_> = topic.batches.iter().map(|(first, place)| place.summary(*first)).collect();
            if let Some(image) = self.image(number, &batches)? {
                self.known.insert(number, Known { name: image.name, durability: image.durability });
                topics.push(SavedTopic { number, image, batches });
                continue;
            }
            for batch in batches {
                if let Some(place) = self.index.batch(number, batch.first) {
                    self.condemn(number, batch.first, place);
                }
            }
            self.draft.delete(number);
        }
        Ok(topics)
    }

    fn append(&mut self, topic: TopicNumber, batch: &StoredBatch) -> Result<(), LogError> {
        self.reserve.hold()?;
        self.demand(topic);
        let name = self.known.get(&topic).map(|known| &known.name).or_else(|| self.index.name(topic));
        Ok(self.draft.append(topic, name, batch)?)
    }

    fn read(&mut self, topic: TopicNumber, first: Position) -> Result<StoredBatch, LogError> {
        match self.draft.find(topic, first) {
            Drafted::Here(batch) => return Ok(batch),
            Drafted::Gone => return Err(LogError::Damaged { topic, first }),
            Drafted::Unknown => {}
        }
        if let Some(place) = self.index.batch(topic, first) {
            match fetch::batch(&mut self.segments, topic, first, place)? {
                Some(batch) => return Ok(batch),
                None => self.condemn(topic, first, place),
            }
        }
        Err(LogError::Damaged { topic, first })
    }

    /// Does not demand the disk by itself: where the removal of a batch is lost, its messages are finished all the
    /// same.
    fn drop_batch(&mut self, topic: TopicNumber, first: Position) -> Result<(), LogError> {
        self.in_group = true;
        let is_here = match self.draft.find(topic, first) {
            Drafted::Here(_) => true,
            Drafted::Gone => false,
            // What failed to be written may still come back.
            Drafted::Unknown => self.index.batch(topic, first).is_some() || self.writer.has_doubts(),
        };
        if is_here {
            self.draft.drop_batch(topic, first);
        }
        Ok(())
    }

    fn save(&mut self, topic: TopicNumber, image: &TopicImage) -> Result<(), LogError> {
        self.known.insert(topic, Known { name: image.name, durability: image.durability });
        self.demand(topic);
        Ok(self.draft.save(topic, image.name, &image::encode(image))?)
    }

    fn advance(&mut self, topic: TopicNumber, progress: &Progress) -> Result<(), LogError> {
        self.demand(topic);
        Ok(self.draft.advance(topic, &image::encode_progress(progress))?)
    }

    fn delete(&mut self, topic: TopicNumber) -> Result<(), LogError> {
        self.demand(topic);
        self.known.remove(&topic);
        self.draft.delete(topic);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.in_group = false;
        self.commit()
    }

    fn due(&self) -> Option<Instant> {
        self.next_upkeep()
    }

    fn handle_due(&mut self) -> Result<(), LogError> {
        // A group that is not complete must not be written, and must not be forgotten if something fails.
        if self.in_group { Ok(()) } else { self.keep_up() }
    }

    fn probe(&mut self) -> Result<(), LogError> {
        // What gives room back comes first: it may need the room that the reserve takes.
        if self.has_work() {
            self.keep_up()?;
        }
        if self.has_work() {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "room is still being given back").into());
        }
        self.reserve.hold()?;
        self.commit()?;
        let outcome = self.writer.probe(&mut self.segments);
        Ok(outcome.inspect_err(|error| self.note_failure(error))?)
    }

    fn damage(&self) -> Damage {
        self.damage
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.in_group {
            self.draft.clear();
        }
        if let Err(reason) = self.commit().and_then(|()| Ok(self.writer.seal(&mut self.segments)?)) {
            tracing::warn!(%reason, "the end of the journal is perhaps not on the disk");
        }
    }
}

#[cfg(test)]
mod tests;
