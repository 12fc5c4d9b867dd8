//! What is left where sled does not open a database, or not to its end: what can be read in its file, and the batches whose
//! checksums are right.
//!
//! ```text
//!  message    CRC-32 │ kind │ length │ segment │ page │ payload of that length
//!  link       0 │ key │ value           something was put in; the key without what all keys of the page begin with
//!             1 │ key                   something was taken out
//!  leaf       next │ child │ merging │ prefix │ low key │ high key │ 0 │ count │ keys │ values
//! ```
//!
//! That is the form of sled 0.34: a file of segments that hold messages one behind
//! the other. The number of the segment says which of two messages is the later. Numbers are of variable length. What is
//! no message is passed over byte by byte; no tree is followed, so that no damage can hide what is whole elsewhere. The
//! later message of a key is the true one, and a leaf has all keys that its page had then. A [`Wreck`] gives out, too, the
//! batches of which nothing is said: they may have been finished.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use nsq::wire::name::TopicName;
use nsqd_broker::storage::{Position, StoredBatch, TopicImage};

use super::bodies::{self, Bodies};
use super::database::{Database, Fault, SEGMENT_BYTES};
use super::record::{self, BatchEntry, TopicEntry};
use crate::store::{TopicNumber, image};

/// Where the first message of a segment begins.
const SEGMENT_HEADER_BYTES: usize = 20;

/// How many bytes of one segment are tried for messages where none is: those who publish can make bytes look like some.
const TRIED_BYTES_MAX: usize = 256 * SEGMENT_BYTES;

const TOPIC_KEY_BYTES: usize = size_of::<TopicNumber>();
const CHUNK_KEY_BYTES: usize = TOPIC_KEY_BYTES + size_of::<u32>();
const BATCH_KEY_BYTES: usize = TOPIC_KEY_BYTES + size_of::<Position>();

const NODE: u8 = 8;
const LINK: u8 = 10;
const KIND_MAX: u8 = 11;

/// Which of two messages is the later: the number of the segment, and where in the file it ends.
type Order = (u64, u64);

/// A database that is only read, and not by sled.
pub struct Wreck {
    bodies: Bodies,
    legible: Legible,
}

/// What can be read in a database's file.
#[derive(Default)]
pub(super) struct Legible {
    /// What was said last of each key. The trees are told from one another by the lengths of their keys.
    values: HashMap<Vec<u8>, Value>,
    /// How the keys begin that links of a page leave out, since when.
    prefixes: HashMap<u64, Vec<(Order, Vec<u8>)>>,
}

struct Value {
    order: Order,
    page: u64,
    /// `None` where the key was taken out.
    value: Option<Vec<u8>>,
}

impl Wreck {
    /// Reads the file of the database in `directory` from one end to the other. Its batches are there too if it was set aside
    /// with them, or else in `home`, the directory of the log.
    ///
    /// # Errors
    ///
    /// The disk refused.
    pub fn open(directory: &Path, home: &Path) -> io::Result<Self> {
        let legible = Legible::read(directory)?;
        let bodies = Bodies::open_read_only(&bodies::of_database(directory, home))?;
        Ok(Self { bodies, legible })
    }

    /// Calls `each` with the batches that are whole, with the names of their topics where they are known, in the order in which
    /// they were written. Its error ends the reading.
    ///
    /// # Errors
    ///
    /// The disk refused, or `each` did.
    pub fn read(
        &mut self,
        each: &mut dyn FnMut(TopicNumber, Option<TopicName>, StoredBatch) -> io::Result<()>,
    ) -> io::Result<()> {
        let Self { bodies, legible } = self;
        for segment in bodies.list()? {
            bodies.each_of(segment, &mut |topic, entry, batch| {
                let key = record::batch_key(topic, batch.first);
                let is_finished = legible.values.get(&key[..]).is_some_and(|known| {
                    let known = known.value.as_ref().and_then(|value| BatchEntry::decode(&key, value));
                    known.is_none_or(|known| known.location != entry.location)
                });
                if is_finished {
                    return Ok(());
                }
                let known = || legible.topic(topic).map(|entry| entry.name);
                let name = TopicName::parse(batch.name).or_else(known);
                let records = Bytes::copy_from_slice(batch.records);
                let (first, count, aside) = (batch.first, entry.count, entry.aside);
                each(topic, name, StoredBatch { first, count, aside, records })
            })?;
        }
        Ok(())
    }
}

/// Where in the file of the database in `directory` there is no message, and behind it are messages of the same segment: sled
/// takes that for the end, or reads nothing at all, but a write that was cut short leaves nothing behind it.
///
/// # Errors
///
/// The disk refused.
pub fn holes(directory: &Path) -> io::Result<Vec<Range<u64>>> {
    let mut holes = Vec::new();
    let mut last: Option<(u64, Range<u64>)> = None;
    each_message(directory, &mut |message, bytes| {
        let begin = bytes.start - bytes.start % SEGMENT_BYTES as u64;
        let expected = match last.replace((message.segment, bytes.clone())) {
            // What stands behind the messages of a segment is left of an earlier one.
            Some((segment, before)) if before.start >= begin => {
                Some(before.end).filter(|_| segment == message.segment)
            }
            _ => Some(begin + SEGMENT_HEADER_BYTES as u64),
        };
        holes.extend(
            expected.filter(|expected| *expected < bytes.start).map(|expected| expected..bytes.start),
        );
    })?;
    Ok(holes)
}

/// Calls `each` with the messages in the file of the database in `directory`, and where they are: but for zeros, which stand
/// for what was not written yet, one begins where the other ends.
fn each_message(directory: &Path, each: &mut dyn FnMut(&Message<'_>, Range<u64>)) -> io::Result<()> {
    let file = File::open(directory.join("db"))?;
    let mut segment = vec![0; SEGMENT_BYTES];
    for base in (0..file.metadata()?.len()).step_by(SEGMENT_BYTES) {
        let length = crate::store::files::File::read_at(&file, &mut segment, base)?;
        let segment = &segment[..length];
        let (mut at, mut tried, mut zeros) = (SEGMENT_HEADER_BYTES, 0, 0);
        while at < segment.len() && tried < TRIED_BYTES_MAX {
            let Some(message) = Message::parse(&segment[at..], &mut tried) else {
                zeros = if segment[at] == 0 { zeros + 1 } else { 0 };
                at += 1;
                continue;
            };
            let end = at + message.header_bytes + message.payload.len();
            each(&message, base + (at - zeros) as u64..base + end as u64);
            (at, zeros) = (end, 0);
        }
    }
    Ok(())
}

impl Legible {
    /// Reads the file of the database in `directory`.
    pub(super) fn read(directory: &Path) -> io::Result<Self> {
        let mut legible = Self::default();
        // What a link leaves out of its key stands in a leaf, which may be anywhere. What is no link or leaf of ours has
        // nothing for us.
        each_message(directory, &mut |message, bytes| {
            if message.kind == NODE {
                let _ = legible.read_leaf(message, (message.segment, bytes.end));
            }
        })?;
        each_message(directory, &mut |message, bytes| {
            if message.kind == LINK {
                let _ = legible.read_link(message, (message.segment, bytes.end));
            }
        })?;
        Ok(legible)
    }

    /// Puts what the database said last into another one. How many batches there are.
    pub(super) fn fill(&self, database: &Database) -> Result<u64, Fault> {
        let mut topics = BTreeMap::<TopicNumber, BTreeMap<Position, BatchEntry>>::new();
        for (key, value) in self.values.iter().filter(|(_, value)| self.is_current(value)) {
            let (Some(topic), Some(value)) = (record::parse_topic_key(key), &value.value) else { continue };
            let batches = topics.entry(topic).or_default();
            if let (Some((_, first)), Some(entry)) =
                (record::parse_batch_key(key), BatchEntry::decode(key, value))
            {
                batches.insert(first, entry);
            }
        }
        for (topic, batches) in &topics {
            let summaries: Vec<_> = batches.iter().map(|(first, entry)| entry.summary(*first)).collect();
            let recalled = || self.topic(*topic).map(|entry| entry.recall(&summaries));
            if let Some(state) = self.state(*topic).or_else(recalled) {
                database.save([(*topic, &state)])?;
            }
            for (first, entry) in batches {
                database.insert(*topic, *first, entry)?;
            }
        }
        database.flush_to_disk()?;
        Ok(topics.values().map(|batches| batches.len() as u64).sum())
    }

    /// Whether nothing of any batch can be read.
    pub(super) fn is_empty(&self) -> bool {
        !self
            .values
            .iter()
            .any(|(key, value)| record::parse_batch_key(key).is_some() && value.value.is_some())
    }

    /// Whether it holds still: a leaf has all that is in its page when it is written.
    fn is_current(&self, value: &Value) -> bool {
        let leaves = self.prefixes.get(&value.page).into_iter().flatten();
        leaves.map(|(order, _)| *order).all(|leaf| leaf <= value.order)
    }

    fn topic(&self, topic: TopicNumber) -> Option<TopicEntry> {
        let key = record::topic_key(topic);
        TopicEntry::decode(&key, self.values.get(&key[..])?.value.as_ref()?)
    }

    fn state(&self, topic: TopicNumber) -> Option<TopicImage> {
        let mut state = Vec::new();
        for chunk in 0.. {
            let part = self.values.get(&record::chunk_key(topic, chunk)[..])?;
            state.extend_from_slice(part.value.as_ref()?);
            if let Some(whole) = record::unseal(&record::topic_key(topic), &state) {
                return image::decode(whole);
            }
        }
        None
    }

    fn read_link(&mut self, message: &Message<'_>, order: Order) -> Option<()> {
        let mut rest = Reader { bytes: message.payload, at: 0 };
        let kind = rest.byte()?;
        let key = rest.value()?;
        let before = self.prefixes.get(&message.page).into_iter().flatten();
        let newest = before.filter(|(leaf, _)| *leaf < order).max_by_key(|(leaf, _)| *leaf);
        let key = [newest.map_or(&[][..], |(_, prefix)| prefix), key].concat();
        match kind {
            0 => self.note(key, Value { order, page: message.page, value: Some(rest.value()?.to_vec()) }),
            1 => self.note(key, Value { order, page: message.page, value: None }),
            _ => {}
        }
        Some(())
    }

    fn read_leaf(&mut self, message: &Message<'_>, order: Order) -> Option<()> {
        let mut rest = Reader { bytes: message.payload, at: 0 };
        let (_next, _child, _merging) = (rest.number()?, rest.number()?, rest.byte()?);
        let prefix_bytes = usize::from(rest.byte()?);
        let prefix = rest.value()?.get(..prefix_bytes)?;
        let _high = rest.value()?;
        if rest.byte()? != 0 {
            return None;
        }
        self.prefixes.entry(message.page).or_default().push((order, prefix.to_vec()));
        let count = rest.number()?;
        let mut keys = Vec::new();
        for _ in 0..count {
            keys.push([prefix, rest.value()?].concat());
        }
        for key in keys {
            self.note(key, Value { order, page: message.page, value: Some(rest.value()?.to_vec()) });
        }
        Some(())
    }

    /// Takes what is said of a key, unless something later is known.
    fn note(&mut self, key: Vec<u8>, value: Value) {
        // A key is misread where the leaf is missing that says how it begins: most values say for which they are.
        let is_ours = match (key.len(), &value.value) {
            (TOPIC_KEY_BYTES | CHUNK_KEY_BYTES | BATCH_KEY_BYTES, None) | (CHUNK_KEY_BYTES, Some(_)) => true,
            (TOPIC_KEY_BYTES, Some(value)) => TopicEntry::decode(&key, value).is_some(),
            (BATCH_KEY_BYTES, Some(value)) => BatchEntry::decode(&key, value).is_some(),
            _ => false,
        };
        if is_ours && self.values.get(&key).is_none_or(|before| before.order < value.order) {
            self.values.insert(key, value);
        }
    }
}

/// A message whose checksum is right.
struct Message<'a> {
    kind: u8,
    segment: u64,
    page: u64,
    header_bytes: usize,
    payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The message that begins here; `None` if none does. `tried` grows by what had to be read to know that.
    fn parse(bytes: &'a [u8], tried: &mut usize) -> Option<Self> {
        let (checksum, rest) = bytes.split_first_chunk()?;
        let mut header = Reader { bytes: rest, at: 4 };
        let kind = header.byte().filter(|kind| (1..=KIND_MAX).contains(kind))?;
        let length = usize::try_from(header.number()?).ok()?;
        let (segment, page) = (header.number()?, header.number()?);
        let payload = header.bytes.get(..length)?;
        let header_bytes = header.at as usize;
        *tried += length;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(payload);
        hasher.update(&bytes[4..header_bytes]);
        let is_right = hasher.finalize() ^ u32::MAX == u32::from_le_bytes(*checksum);
        is_right.then_some(Self { kind, segment, page, header_bytes, payload })
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    /// Where they begin.
    at: u64,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        self.at += length as u64;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    fn number(&mut self) -> Option<u64> {
        let first = u64::from(self.byte()?);
        Some(match first {
            0..=240 => first,
            241..=248 => 240 + 256 * (first - 241) + u64::from(self.byte()?),
            249 => 2288 + 256 * u64::from(self.byte()?) + u64::from(self.byte()?),
            _ => {
                let bytes = self.take(first as usize - 247)?;
                bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
            }
        })
    }

    /// Bytes behind their length.
    fn value(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::Log as _;
    use crate::store::sled::SledLog;
    use crate::store::suite::{ONE, TWO, batch, image};

    /// A database with batches of two topics, of which some were finished.
    fn filled(home: &Path) -> std::path::PathBuf {
        let mut log = SledLog::open(home).unwrap();
        log.load().unwrap();
        log.save(ONE, &image("one")).unwrap();
        log.save(TWO, &image("two")).unwrap();
        for first in 0..100 {
            log.append(ONE, &batch(first * 10, 10, 15_000)).unwrap();
            log.append(TWO, &batch(first * 10, 10, 200)).unwrap();
            if first % 10 == 9 {
                log.sync().unwrap();
            }
        }
        for first in 0..5 {
            log.drop_batch(ONE, first * 10).unwrap();
        }
        log.sync().unwrap();
        home.join("epoch-0")
    }

    /// The batches that are found, each as it was appended, sorted by topic.
    fn firsts(directory: &Path, home: &Path) -> [Vec<u64>; 2] {
        let mut found = [Vec::new(), Vec::new()];
        let mut wreck = Wreck::open(directory, home).unwrap();
        let mut note = |number, name, stored: StoredBatch| {
            let (index, expected, bytes) = if number == ONE { (0, "one", 15_000) } else { (1, "two", 200) };
            assert_eq!(name, TopicName::parse(expected));
            assert_eq!(stored, batch(stored.first, 10, bytes));
            found[index].push(stored.first);
            Ok(())
        };
        wreck.read(&mut note).unwrap();
        assert_eq!(holes(directory).unwrap(), []);
        found
    }

    #[test]
    fn everything_is_found_without_sled_but_what_was_finished() {
        let home = tempfile::tempdir().unwrap();
        let directory = filled(home.path());
        let expected: [Vec<u64>; 2] =
            [(5..100).map(|first| first * 10).collect(), (0..100).map(|first| first * 10).collect()];
        assert_eq!(firsts(&directory, home.path()), expected);
        // So it is where the database was set aside with its batches.
        fs::rename(home.path().join("bodies"), directory.join("bodies")).unwrap();
        assert_eq!(firsts(&directory, home.path()), expected);
    }

    #[test]
    fn batches_are_found_whatever_is_left_of_the_database() {
        let home = tempfile::tempdir().unwrap();
        let directory = filled(home.path());
        let path = directory.join("db");
        let whole = fs::read(&path).unwrap();
        for at in (SEGMENT_HEADER_BYTES..whole.len()).step_by(whole.len() / 23) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            let mut wreck = Wreck::open(&directory, home.path()).unwrap();
            let mut found = 0;
            let mut count = |_, _, _| {
                found += 1;
                Ok(())
            };
            wreck.read(&mut count).unwrap();
            assert!((195..=200).contains(&found), "byte {at}: {found}");
        }
        fs::write(&path, "").unwrap();
        let [ones, twos] = firsts(&directory, home.path());
        assert_eq!((ones.len(), twos.len()), (100, 100));
    }

    #[test]
    fn numbers_are_read_as_sled_writes_them() {
        let examples: [(&[u8], u64); 6] = [
            (&[240], 240),
            (&[241, 1], 241),
            (&[248, 255], 2_287),
            (&[249, 0, 0], 2_288),
            (&[250, 0, 0, 1], 65_536),
            (&[255, 1, 0, 0, 0, 0, 0, 0, 1], 1 << 56 | 1),
        ];
        for (bytes, number) in examples {
            assert_eq!(Reader { bytes, at: 0 }.number(), Some(number), "{bytes:?}");
            assert_eq!(Reader { bytes: &bytes[1..], at: 0 }.take(bytes.len()), None);
        }
    }
}
