//! The index as a file, so that a start need not read the whole log.
//!
//! It is written whole to a name of its own, and then takes the place of the one before. It speaks of the log up to
//! a place; what comes behind is worked in from the records. Numbers are in LEB128, places as differences.

use std::io;
use std::sync::Arc;

use nsq::wire::name::TopicName;
use nsqd_broker::storage::Position;

use super::index::{Index, Place, Topic};
use crate::store::TopicNumber;
use crate::store::files::{Files, is_missing};
use crate::store::segments::record::Location;

const NAME: &str = "index";
const NEW_NAME: &str = "index.tmp";
const BAD_NAME: &str = "index.bad";

const MAGIC: &[u8; 8] = b"nsq-ind\x01";

/// About how long a checkpoint with so many entries is, in bytes.
pub(super) fn estimate(entries: usize) -> u64 {
    64 + 12 * entries as u64
}

/// What was found where the checkpoint is.
#[derive(Debug)]
pub(super) enum Checkpoint {
    Missing,
    /// It was set aside.
    Damaged,
    /// The index as it was when the log ended at the location.
    Whole(Index, Location),
}

/// Reads the checkpoint. One that is damaged is set aside.
pub(super) fn read(files: &Arc<dyn Files>) -> io::Result<Checkpoint> {
    match files.remove(NEW_NAME) {
        Err(error) if !is_missing(&error) => return Err(error),
        _ => {}
    }
    let file = match files.open(NAME) {
        Err(error) if is_missing(&error) => return Ok(Checkpoint::Missing),
        file => file?,
    };
    let mut bytes = vec![0; file.length()? as usize];
    let read = file.read_at(&mut bytes, 0)?;
    match decode(&bytes[..read]) {
        Some((index, location)) => Ok(Checkpoint::Whole(index, location)),
        None => {
            files.rename(NAME, BAD_NAME)?;
            files.sync_directory()?;
            Ok(Checkpoint::Damaged)
        }
    }
}

/// Writes the checkpoint: after this a restart finds it, or the one before if there was an error. How long it is.
///
/// Everything before `location` is on the disk.
pub(super) fn write(files: &Arc<dyn Files>, index: &Index, location: Location) -> io::Result<u64> {
    let bytes = encode(index, location);
    let file = files.create(NEW_NAME)?;
    let written = file.write_at(&bytes, 0).and_then(|()| file.sync_data());
    if let Err(error) = written {
        let _ = files.remove(NEW_NAME);
        return Err(error);
    }
    files.rename(NEW_NAME, NAME)?;
    files.sync_directory()?;
    Ok(bytes.len() as u64)
}

fn encode(index: &Index, location: Location) -> Vec<u8> {
    let mut out = Writer { bytes: Vec::with_capacity(estimate(index.entries) as usize), last: NOWHERE };
    out.bytes.extend_from_slice(MAGIC);
    out.number(u64::from(location.segment));
    out.number(location.offset);
    out.number(index.topics.len() as u64);
    for (number, topic) in &index.topics {
        out.number(u64::from(number.0));
        out.topic(topic);
    }
    let checksum = crc32c::crc32c(&out.bytes);
    out.bytes.extend_from_slice(&checksum.to_le_bytes());
    out.bytes
}

fn decode(bytes: &[u8]) -> Option<(Index, Location)> {
    let (bytes, checksum) = bytes.split_last_chunk()?;
    if crc32c::crc32c(bytes) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let mut rest = Reader { bytes: bytes.strip_prefix(MAGIC)?, last: NOWHERE };
    let location = Location { segment: rest.small()?, offset: rest.number()? };
    let mut index = Index::default();
    for _ in 0..rest.number()? {
        let number = TopicNumber(rest.small()?);
        let topic = rest.topic()?;
        let places = topic.image.iter().chain(&topic.progress).chain(topic.batches.values());
        places.for_each(|place| index.gain(*place));
        index.topics.insert(number, topic);
    }
    rest.bytes.is_empty().then_some((index, location))
}

const NOWHERE: Place = Place { segment: 0, at: 0, bytes: 0, count: 0 };

struct Writer {
    bytes: Vec<u8>,
    /// The place that was written last.
    last: Place,
}

impl Writer {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    fn difference(&mut self, number: u32, last: u32) {
        let difference = i64::from(number) - i64::from(last);
        self.number((difference << 1 ^ difference >> 63) as u64);
    }

    fn place(&mut self, place: Place) {
        self.difference(place.segment, self.last.segment);
        self.difference(place.at, self.last.at);
        self.number(u64::from(place.bytes));
        self.number(u64::from(place.count.rotate_left(1)));
        self.last = place;
    }

    fn topic(&mut self, topic: &Topic) {
        let name = topic.name.as_ref().map_or(&b""[..], TopicName::as_bytes);
        self.number(name.len() as u64);
        self.bytes.extend_from_slice(name);
        self.number(u64::from(topic.image.is_some()));
        topic.image.iter().for_each(|place| self.place(*place));
        self.number(topic.progress.len() as u64);
        topic.progress.iter().for_each(|place| self.place(*place));
        self.number(topic.batches.len() as u64);
        let mut last: Position = 0;
        for (first, place) in &topic.batches {
            self.number(first - last);
            self.place(*place);
            last = *first;
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    last: Place,
}

impl Reader<'_> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn near(&mut self, last: u32) -> Option<u32> {
        let number = self.number()?;
        let difference = (number >> 1) as i64 ^ -((number & 1) as i64);
        i64::from(last).checked_add(difference)?.try_into().ok()
    }

    fn place(&mut self) -> Option<Place> {
        let segment = self.near(self.last.segment)?;
        let at = self.near(self.last.at)?;
        self.last = Place { segment, at, bytes: self.small()?, count: self.small()?.rotate_right(1) };
        Some(self.last)
    }

    fn topic(&mut self) -> Option<Topic> {
        let mut topic = Topic::default();
        let length = self.number()?.try_into().ok()?;
        let (name, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        topic.name = TopicName::parse(name);
        if self.number()? > 0 {
            topic.image = Some(self.place()?);
        }
        for _ in 0..self.number()? {
            topic.progress.push(self.place()?);
        }
        let batches = self.number()?;
        let mut last: Position = 0;
        let mut next = || {
            last = last.checked_add(self.number()?)?;
            Some((last, self.place()?))
        };
        // Collected from what is in order already, which is several times faster than one by one.
        topic.batches = (0..batches).map_while(|_| next()).collect();
        (topic.batches.len() as u64 == batches).then_some(topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::index::Change;
    use proptest::prelude::*;

    fn any_change() -> impl Strategy<Value = (Change, Location)> {
        let topic = (0..4u32).prop_map(TopicNumber);
        let first = prop_oneof![0..20u64, any::<u64>()];
        let location = (any::<u32>(), (0..=u32::MAX).prop_map(|at| u64::from(at) * 8))
            .prop_map(|(segment, offset)| Location { segment, offset });
        (topic, first, 0..6u8, any::<(u32, u32)>(), location).prop_map(
            |(topic, first, kind, (count, bytes), location)| {
                let change = match kind {
                    0 => Change::Save { topic, bytes },
                    1 => Change::Advance { topic, bytes },
                    _ => Change::Append { topic, first, count: count >> 1, aside: count & 1 == 1, bytes },
                };
                (change, location)
            },
        )
    }

    proptest! {
        #[test]
        fn any_index_comes_back_as_it_was(changes in prop::collection::vec(any_change(), 0..60), offset: u64) {
            let mut index = Index::default();
            for (change, location) in changes {
                index.apply(change, location);
            }
            index.segments.retain(|_, usage| usage.live > 0);
            index.heavy.clear();
            if let Some(number) = index.topics.keys().next().copied() {
                index.note_name(number, TopicName::parse("t").unwrap());
            }
            let location = Location { segment: 9, offset };
            let bytes = encode(&index, location);
            prop_assert_eq!(decode(&bytes), Some((index, location)));
            let mut damaged = bytes;
            let at = offset as usize % damaged.len();
            damaged[at] ^= 4;
            prop_assert_eq!(decode(&damaged), None);
            prop_assert_eq!(decode(&damaged[..at]), None);
        }
    }
}
