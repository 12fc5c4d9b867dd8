//! What is to be written next, as records that are not bound to a place yet.
//!
//! Nothing of a draft is in the index before it is written: where the writing fails, nothing has happened.

use std::collections::{HashMap, HashSet};
use std::io;

use nsq::wire::name::TopicName;
use nsqd_broker::storage::{Position, StoredBatch};

use super::index::{COUNT_MAX, Change, Index};
use crate::store::TopicNumber;
use crate::store::segments::record::{
    self, BATCH_PREFIX_BYTES_MAX, BatchPayload, HEADER_BYTES, Header, Kind, Location,
};

/// What of the memory for a draft is kept from one to the next, in bytes.
const KEPT_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Draft {
    bytes: Vec<u8>,
    /// What the records do, with where in `bytes` each begins.
    changes: Vec<(usize, Change)>,
    /// Batches to be forgotten, not in `bytes` yet: one record takes all of them.
    drops: Vec<(TopicNumber, Position)>,
    /// The batches that are named here: where they begin in `bytes`, or that they are gone.
    batches: HashMap<(TopicNumber, Position), Option<usize>>,
    /// The topics that are deleted here.
    deleted: HashSet<TopicNumber>,
    /// The topics that have their first state here.
    saved: HashMap<TopicNumber, TopicName>,
    /// How many messages are in it.
    messages: u64,
}

/// What a draft knows of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Drafted {
    Here(StoredBatch),
    Gone,
    /// Nothing: what the index says holds.
    Unknown,
}

impl Draft {
    pub(super) fn append(
        &mut self,
        topic: TopicNumber,
        name: Option<&TopicName>,
        batch: &StoredBatch,
    ) -> io::Result<()> {
        let longest = u32::MAX as usize - HEADER_BYTES - BATCH_PREFIX_BYTES_MAX;
        if batch.records.len() > longest || batch.count > COUNT_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the batch is too large for a record"));
        }
        if self.batches.get(&(topic, batch.first)) == Some(&None) {
            // The batch of that place is forgotten before this one comes.
            self.write_drops();
        }
        let bytes = batch.records.len() as u32;
        let (first, count, aside) = (batch.first, batch.count, batch.aside);
        self.batches.insert((topic, first), Some(self.bytes.len()));
        self.note(Change::Append { topic, first, count, aside, bytes });
        self.messages += u64::from(count);
        record::push_batch(&mut self.bytes, topic, name, batch);
        Ok(())
    }

    pub(super) fn drop_batch(&mut self, topic: TopicNumber, first: Position) {
        self.batches.insert((topic, first), None);
        self.drops.push((topic, first));
    }

    pub(super) fn save(&mut self, topic: TopicNumber, name: TopicName, image: &[u8]) -> io::Result<()> {
        let bytes = length(image)?;
        self.saved.insert(topic, name);
        self.note(Change::Save { topic, bytes });
        record::push(&mut self.bytes, Header::new(Kind::Save, topic), |out| out.extend_from_slice(image));
        Ok(())
    }

    pub(super) fn advance(&mut self, topic: TopicNumber, progress: &[u8]) -> io::Result<()> {
        let bytes = length(progress)?;
        self.note(Change::Advance { topic, bytes });
        record::push(&mut self.bytes, Header::new(Kind::Advance, topic), |out| {
            out.extend_from_slice(progress)
        });
        Ok(())
    }

    pub(super) fn delete(&mut self, topic: TopicNumber) {
        self.batches.retain(|(of, _), _| *of != topic);
        self.saved.remove(&topic);
        self.deleted.insert(topic);
        self.note(Change::Delete { topic });
        record::push(&mut self.bytes, Header::new(Kind::Delete, topic), |_| {});
    }

    /// Notes what the record that comes next does.
    pub(super) fn note(&mut self, change: Change) {
        self.changes.push((self.bytes.len(), change));
    }

    /// Takes a record as it stands elsewhere.
    pub(super) fn copy(&mut self, header: Header, payload: &[u8]) {
        record::push(&mut self.bytes, header, |out| out.extend_from_slice(payload));
    }

    pub(super) fn find(&self, topic: TopicNumber, first: Position) -> Drafted {
        match self.batches.get(&(topic, first)) {
            Some(Some(start)) => self.batch_at(*start).map_or(Drafted::Gone, Drafted::Here),
            Some(None) => Drafted::Gone,
            None if self.deleted.contains(&topic) => Drafted::Gone,
            None => Drafted::Unknown,
        }
    }

    fn batch_at(&self, start: usize) -> Option<StoredBatch> {
        let index = self.changes.partition_point(|(at, _)| *at < start);
        let (_, Change::Append { first, count, aside, bytes, .. }) = self.changes.get(index)? else {
            return None;
        };
        let payload = BatchPayload::parse(self.bytes.get(start + HEADER_BYTES..)?)?;
        let records = payload.records.get(..*bytes as usize)?;
        Some(StoredBatch { first: *first, count: *count, aside: *aside, records: records.to_vec().into() })
    }

    /// Puts the record of what is to be forgotten behind the others.
    pub(super) fn write_drops(&mut self) {
        if !self.drops.is_empty() {
            let drops = std::mem::take(&mut self.drops);
            for (topic, first) in &drops {
                self.note(Change::Drop { topic: *topic, first: *first });
            }
            record::push_drops(&mut self.bytes, &drops);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.drops.is_empty()
    }

    /// The length of its records, in bytes. [`write_drops`](Self::write_drops) was called.
    pub(super) fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// The records, bound to where they will stand.
    pub(super) fn bound_to(&mut self, location: Location, synced: u64) -> &mut Vec<u8> {
        record::bind(&mut self.bytes, location, synced);
        &mut self.bytes
    }

    /// Tells the index what was written at `location`.
    pub(super) fn apply_to(&self, index: &mut Index, location: Location) {
        for (start, change) in &self.changes {
            let offset = location.offset + *start as u64;
            index.apply(*change, Location { offset, ..location });
        }
        for (topic, name) in &self.saved {
            index.note_name(*topic, *name);
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.changes.clear();
        self.drops.clear();
        self.batches.clear();
        self.deleted.clear();
        self.saved.clear();
        self.messages = 0;
    }
}

fn length(state: &[u8]) -> io::Result<u32> {
    u32::try_from(state.len() + HEADER_BYTES)
        .map(|length| length - HEADER_BYTES as u32)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the state is too large for a record"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite::{ONE, TWO, batch};

    const HERE: Location = Location { segment: 1, offset: 40 };

    #[test]
    fn what_is_drafted_is_found_before_it_is_written() {
        let mut draft = Draft::default();
        draft.append(ONE, None, &batch(5, 1, 10)).unwrap();
        draft.append(ONE, None, &batch(5, 2, 20)).unwrap();
        draft.append(TWO, None, &batch(5, 2, 20)).unwrap();
        assert_eq!(draft.find(ONE, 5), Drafted::Here(batch(5, 2, 20)));
        assert_eq!(draft.find(ONE, 6), Drafted::Unknown);
        draft.drop_batch(ONE, 5);
        assert_eq!(draft.find(ONE, 5), Drafted::Gone);
        draft.delete(TWO);
        assert_eq!(draft.find(TWO, 5), Drafted::Gone);
    }

    #[test]
    fn a_batch_that_comes_after_its_predecessor_was_forgotten_stays() {
        let mut draft = Draft::default();
        draft.append(ONE, None, &batch(5, 1, 10)).unwrap();
        draft.drop_batch(ONE, 5);
        draft.append(ONE, None, &batch(5, 1, 30)).unwrap();
        draft.drop_batch(ONE, 6);
        draft.write_drops();
        let mut index = Index::default();
        draft.apply_to(&mut index, HERE);
        assert_eq!(index.batch(ONE, 5).unwrap().bytes, 30);
    }

    #[test]
    fn a_draft_that_was_cleared_does_nothing() {
        let mut draft = Draft::default();
        draft.append(ONE, None, &batch(5, 1, 10)).unwrap();
        draft.drop_batch(ONE, 6);
        draft.clear();
        draft.write_drops();
        assert!(draft.is_empty() && draft.length() == 0 && draft.messages() == 0);
        assert_eq!(draft.find(ONE, 5), Drafted::Unknown);
    }
}
