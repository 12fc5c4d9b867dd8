//! Where in the segments everything is that is alive, and how much of each segment that is.
//!
//! It is a plain value: [`Change`]s, applied in the order of their records, give the same index wherever they
//! come from. It knows numbers and places, and reads nothing.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use nsq::wire::name::TopicName;
use nsqd_broker::storage::{BatchSummary, Position};

use crate::store::TopicNumber;
use crate::store::segments::record::{HEADER_BYTES, Location, padded};

/// What a record does to the index. The lengths are in bytes, of what the payload keeps for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Append { topic: TopicNumber, first: Position, count: u32, aside: bool, bytes: u32 },
    Drop { topic: TopicNumber, first: Position },
    Save { topic: TopicNumber, bytes: u32 },
    Advance { topic: TopicNumber, bytes: u32 },
    Delete { topic: TopicNumber },
}

/// Where a record is, and what of it is asked for without reading it. Small, because there is one for each batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u32,
    /// In units of 8 bytes.
    pub(super) at: u32,
    pub(super) bytes: u32,
    /// How many messages; the highest bit is set where they are aside.
    pub(super) count: u32,
}

const ASIDE: u32 = 1 << 31;

/// The most messages that a batch can have here.
pub(super) const COUNT_MAX: u32 = ASIDE - 1;

/// The unit of [`Place::at`]. A segment has at most 32 GiB so.
const UNIT: u64 = 8;

impl Place {
    pub(super) fn new(location: Location, bytes: u32) -> Self {
        Self { segment: location.segment, at: (location.offset / UNIT) as u32, bytes, count: 0 }
    }

    pub(super) fn location(&self) -> Location {
        Location { segment: self.segment, offset: u64::from(self.at) * UNIT }
    }

    pub(super) fn summary(&self, first: Position) -> BatchSummary {
        let (count, aside) = (self.count & !ASIDE, self.count & ASIDE != 0);
        BatchSummary { first, count, aside, bytes: u64::from(self.bytes) }
    }

    /// Where the record is, if its payload has so many bytes before those that are counted.
    pub(super) fn record(&self, before: u64) -> Range<u64> {
        let offset = self.location().offset;
        offset..offset + HEADER_BYTES as u64 + before + u64::from(self.bytes)
    }

    /// About what the record takes in its segment, and never more.
    fn size(&self) -> u64 {
        padded(HEADER_BYTES as u64 + u64::from(self.bytes))
    }
}

/// What is alive of a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Topic {
    /// Known from its state, or else from its batches.
    pub(super) name: Option<TopicName>,
    pub(super) image: Option<Place>,
    /// What was kept since the image. Empty where there is none.
    pub(super) progress: Vec<Place>,
    pub(super) batches: BTreeMap<Position, Place>,
}

/// How much there is in a segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) length: u64,
    pub(super) live: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) topics: BTreeMap<TopicNumber, Topic>,
    /// The segments that there are.
    pub(super) segments: BTreeMap<u32, Usage>,
    /// The bytes that are alive, of all segments together.
    pub(super) live: u64,
    /// How many places are in it.
    pub(super) entries: usize,
    /// Topics of whose progress there is much more than of their state.
    pub(super) heavy: HashSet<TopicNumber>,
}

/// Progress is worked into its state when there are more records of it than this, and four times as many bytes as
/// the state has.
const PROGRESS_RECORDS_MAX: usize = 64;

impl Index {
    /// Applies what a record at `location` does.
    pub(super) fn apply(&mut self, change: Change, location: Location) {
        match change {
            Change::Append { topic, first, count, aside, bytes } => {
                let count = count.min(COUNT_MAX) | if aside { ASIDE } else { 0 };
                let place = Place { count, ..Place::new(location, bytes) };
                let before = self.topics.entry(topic).or_default().batches.insert(first, place);
                self.gain(place);
                self.lose(before);
            }
            Change::Drop { topic, first } => {
                let before = self.topics.get_mut(&topic).and_then(|topic| topic.batches.remove(&first));
                self.lose(before);
            }
            Change::Save { topic, bytes } => {
                let place = Place::new(location, bytes);
                let entry = self.topics.entry(topic).or_default();
                let before: Vec<_> =
                    entry.image.replace(place).into_iter().chain(entry.progress.drain(..)).collect();
                entry.progress.shrink_to_fit();
                self.heavy.remove(&topic);
                self.gain(place);
                before.into_iter().for_each(|place| self.lose(Some(place)));
            }
            Change::Advance { topic, bytes } => {
                let Some(entry) = self.topics.get_mut(&topic).filter(|topic| topic.image.is_some()) else {
                    return;
                };
                let place = Place::new(location, bytes);
                entry.progress.push(place);
                if entry.progress.len() > PROGRESS_RECORDS_MAX {
                    let progress: u64 = entry.progress.iter().map(Place::size).sum();
                    let image = entry.image.map_or(0, |image| image.size());
                    if progress > 4 * image {
                        self.heavy.insert(topic);
                    }
                }
                self.gain(place);
            }
            Change::Delete { topic } => {
                let Some(entry) = self.topics.remove(&topic) else { return };
                self.heavy.remove(&topic);
                let places = entry.image.into_iter().chain(entry.progress).chain(entry.batches.into_values());
                places.for_each(|place| self.lose(Some(place)));
            }
        }
    }

    pub(super) fn batch(&self, topic: TopicNumber, first: Position) -> Option<Place> {
        self.topics.get(&topic)?.batches.get(&first).copied()
    }

    /// Whether a batch, if it is there, is the one at `location`.
    pub(super) fn is_batch_at(&self, topic: TopicNumber, first: Position, location: Location) -> bool {
        self.batch(topic, first).is_some_and(|place| place.location() == location)
    }

    /// Whether a topic's state, or part of it, is at `location`.
    pub(super) fn is_state_at(&self, topic: TopicNumber, location: Location) -> bool {
        let Some(topic) = self.topics.get(&topic) else { return false };
        topic.image.iter().chain(&topic.progress).any(|place| place.location() == location)
    }

    /// The name of a topic that has one, or `None`.
    pub(super) fn name(&self, topic: TopicNumber) -> Option<&TopicName> {
        self.topics.get(&topic)?.name.as_ref()
    }

    /// Notes the name of a topic that there is.
    pub(super) fn note_name(&mut self, topic: TopicNumber, name: TopicName) {
        if let Some(topic) = self.topics.get_mut(&topic) {
            topic.name = Some(name);
        }
    }

    /// Notes how long a segment is now.
    pub(super) fn note_length(&mut self, segment: u32, length: u64) {
        self.segments.entry(segment).or_default().length = length;
    }

    /// Puts in a place as it was kept elsewhere.
    pub(super) fn gain(&mut self, place: Place) {
        self.live += place.size();
        self.entries += 1;
        let usage = self.segments.entry(place.segment).or_default();
        usage.live += place.size();
    }

    fn lose(&mut self, place: Option<Place>) {
        if let Some(place) = place {
            self.live -= place.size();
            self.entries -= 1;
            if let Some(usage) = self.segments.get_mut(&place.segment) {
                usage.live -= place.size();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite::{ONE, TWO};

    fn at(segment: u32, offset: u64) -> Location {
        Location { segment, offset }
    }

    fn append(topic: TopicNumber, first: Position) -> Change {
        Change::Append { topic, first, count: 2, aside: first % 2 == 1, bytes: 100 }
    }

    /// An index after `changes`, each with its segment; every record is at an offset of its own.
    fn index(changes: &[(u32, Change)]) -> Index {
        let mut index = Index::default();
        for (offset, (segment, change)) in changes.iter().enumerate() {
            index.apply(*change, at(*segment, offset as u64 * 8));
        }
        index
    }

    fn live(index: &Index) -> Vec<u64> {
        assert_eq!(index.live, index.segments.values().map(|usage| usage.live).sum::<u64>());
        index.segments.values().map(|usage| usage.live).collect()
    }

    #[test]
    fn a_batch_is_where_it_was_appended_last() {
        let index = index(&[(1, append(ONE, 7)), (2, append(TWO, 7)), (3, append(ONE, 7))]);
        assert_eq!(live(&index), [0, 136, 136]);
        assert!(index.is_batch_at(ONE, 7, at(3, 16)) && !index.is_batch_at(ONE, 7, at(1, 0)));
        let summary = index.batch(ONE, 7).unwrap().summary(7);
        assert_eq!(summary, BatchSummary { first: 7, count: 2, aside: true, bytes: 100 });
        assert_eq!(index.entries, 2);
    }

    #[test]
    fn nothing_of_what_was_forgotten_is_alive() {
        let save = Change::Save { topic: ONE, bytes: 8 };
        let advance = Change::Advance { topic: ONE, bytes: 8 };
        let mut index = index(&[(1, save), (1, advance), (1, append(ONE, 1)), (1, append(ONE, 2))]);
        index.apply(Change::Drop { topic: ONE, first: 1 }, at(2, 0));
        index.apply(Change::Drop { topic: ONE, first: 1 }, at(2, 0));
        assert_eq!(index.topics[&ONE].batches.len(), 1);
        index.apply(Change::Delete { topic: ONE }, at(2, 0));
        assert_eq!((live(&index), index.entries), (vec![0], 0));
    }

    #[test]
    fn a_state_replaces_the_progress_before_it_and_there_is_none_without_a_state() {
        let save = Change::Save { topic: ONE, bytes: 8 };
        let advance = Change::Advance { topic: ONE, bytes: 8 };
        let index = index(&[(1, advance), (1, save), (2, advance), (3, save), (4, advance)]);
        assert_eq!(live(&index), [0, 0, 40, 40]);
        assert!(index.is_state_at(ONE, at(4, 32)) && !index.is_state_at(ONE, at(2, 16)));
    }

    #[test]
    fn a_topic_with_much_progress_is_heavy_until_its_state_is_saved() {
        let mut index = index(&[(1, Change::Save { topic: ONE, bytes: 1000 })]);
        for step in 1..200 {
            index.apply(Change::Advance { topic: ONE, bytes: 8 }, at(1, step * 8));
            assert_eq!(index.heavy.contains(&ONE), step > 103, "{step}");
        }
        index.apply(Change::Save { topic: ONE, bytes: 1000 }, at(2, 0));
        assert!(index.heavy.is_empty());
    }
}
