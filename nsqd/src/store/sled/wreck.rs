//! What is left in the file of a database that does not open: batches whose checksums, sled's and ours, are right.
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
//! no message is passed over byte by byte; no tree is followed, so that no damage can hide what is whole elsewhere.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use nsq::wire::name::TopicName;
use nsqd_broker::storage::StoredBatch;

use super::database::SEGMENT_BYTES;
use super::record::{self, BatchEntry, PART_BYTES_MAX, TopicEntry};
use crate::store::TopicNumber;

/// Where the first message of a segment begins.
const SEGMENT_HEADER_BYTES: usize = 20;

/// How many bytes of one segment are tried for messages where none is: those who publish can make bytes look like some.
const TRIED_BYTES_MAX: usize = 256 * SEGMENT_BYTES;

const NODE: u8 = 8;
const LINK: u8 = 10;
const KIND_MAX: u8 = 11;

/// Which of two messages is the later.
type Order = (u64, usize);

/// A database that is only read, and not by sled.
pub struct Wreck {
    file: File,
    /// `None` where the batch was taken out last.
    entries: HashMap<[u8; 12], (Order, Option<BatchEntry>)>,
    names: HashMap<TopicNumber, TopicName>,
    /// Where in the file the newest bytes of a part are.
    parts: HashMap<[u8; 16], (Order, Range<u64>)>,
    /// How the keys begin that links of a page leave out, since when.
    prefixes: HashMap<u64, Vec<(Order, Vec<u8>)>>,
    /// Where there is no message, and behind it are messages of the same segment, with its number.
    holes: Vec<(u64, Range<u64>)>,
    /// The number of the segment that was written last.
    newest: u64,
}

impl Wreck {
    /// Reads the file of the database in `directory` from one end to the other.
    ///
    /// # Errors
    ///
    /// The disk refused.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let file = File::open(directory.join("db"))?;
        let mut wreck = Self {
            file,
            entries: HashMap::new(),
            names: HashMap::new(),
            parts: HashMap::new(),
            prefixes: HashMap::new(),
            holes: Vec::new(),
            newest: 0,
        };
        // What a link leaves out of its key stands in a leaf, which may be anywhere.
        for wanted in [NODE, LINK] {
            let mut segment = vec![0; SEGMENT_BYTES];
            for base in (0..wreck.file.metadata()?.len()).step_by(SEGMENT_BYTES) {
                let length = crate::store::files::File::read_at(&wreck.file, &mut segment, base)?;
                wreck.read_segment(&segment[..length], base, wanted);
            }
        }
        Ok(wreck)
    }

    /// Where in the segment that was written last there is no message, and behind it there are some: sled takes that for the
    /// end, but a write that was cut short leaves nothing behind it.
    pub fn holes(&self) -> Vec<Range<u64>> {
        let holes = self.holes.iter().filter(|(segment, _)| *segment == self.newest);
        holes.map(|(_, hole)| hole.clone()).collect()
    }

    /// The batches that are whole, with the names of their topics where they are known, in the order of their positions.
    pub fn batches(&self) -> impl Iterator<Item = (TopicNumber, Option<TopicName>, StoredBatch)> + '_ {
        let entries = self.entries.iter().filter_map(|(key, (_, entry))| Some((key, entry.as_ref()?)));
        let mut entries: Vec<_> = entries.collect();
        entries.sort_by_key(|(key, _)| **key);
        entries.into_iter().filter_map(|(key, entry)| {
            let (topic, first) = record::parse_batch_key(key)?;
            let records = self.records(*key, entry)?.into();
            let batch = StoredBatch { first, count: entry.count, aside: entry.aside, records };
            Some((topic, self.names.get(&topic).copied(), batch))
        })
    }

    /// The records of a batch; `None` where they are not what was written, or cannot be read.
    fn records(&self, key: [u8; 12], entry: &BatchEntry) -> Option<Vec<u8>> {
        if entry.bytes > u64::from(entry.parts) * PART_BYTES_MAX as u64 {
            return None;
        }
        let mut records = Vec::new();
        for number in 0..entry.parts {
            let (_, part) = self.parts.get(&record::part_key(key, number))?;
            let start = records.len();
            records.resize(start + (part.end - part.start) as usize, 0);
            self.file.read_exact_at(&mut records[start..], part.start).ok()?;
        }
        let whole = records.len() as u64 == entry.bytes && crc32fast::hash(&records) == entry.checksum;
        whole.then_some(records)
    }

    fn read_segment(&mut self, segment: &[u8], base: u64, wanted: u8) {
        let mut at = SEGMENT_HEADER_BYTES;
        let (mut tried, mut last) = (0, None);
        let mut hole: Option<usize> = None;
        while at < segment.len() && tried < TRIED_BYTES_MAX {
            let Some(message) = Message::parse(&segment[at..], &mut tried) else {
                hole = hole.or_else(|| (segment[at] != 0).then_some(at));
                at += 1;
                continue;
            };
            if let Some(hole) = hole.take().filter(|_| wanted == LINK && last == Some(message.segment)) {
                self.holes.push((message.segment, base + hole as u64..base + at as u64));
            }
            self.newest = self.newest.max(message.segment);
            last = Some(message.segment);
            let order = (message.segment, at);
            let payload_at = base + (at + message.header_bytes) as u64;
            // What is no link or leaf of ours has nothing for us.
            let _ = match message.kind {
                kind if kind != wanted => None,
                LINK => self.read_link(&message, payload_at, order),
                NODE => self.read_leaf(&message, payload_at, order),
                _ => None,
            };
            at += message.header_bytes + message.payload.len();
        }
    }

    fn read_link(&mut self, message: &Message<'_>, at: u64, order: Order) -> Option<()> {
        let mut rest = Reader { bytes: message.payload, at };
        let kind = rest.byte()?;
        let key = rest.value()?.0;
        let before = self.prefixes.get(&message.page).into_iter().flatten();
        let newest = before.filter(|(leaf, _)| *leaf < order).max_by_key(|(leaf, _)| *leaf);
        let key = [newest.map_or(&[][..], |(_, prefix)| prefix), key].concat();
        match kind {
            0 => {
                let (value, place) = rest.value()?;
                self.note(&key, value, place, order);
            }
            1 => self.note_entry(key.try_into().ok()?, None, order),
            _ => {}
        }
        Some(())
    }

    fn read_leaf(&mut self, message: &Message<'_>, at: u64, order: Order) -> Option<()> {
        let mut rest = Reader { bytes: message.payload, at };
        let (_next, _child, _merging) = (rest.number()?, rest.number()?, rest.byte()?);
        let prefix_bytes = usize::from(rest.byte()?);
        let prefix = rest.value()?.0.get(..prefix_bytes)?;
        let _high = rest.value()?;
        if rest.byte()? != 0 {
            return None;
        }
        self.prefixes.entry(message.page).or_default().push((order, prefix.to_vec()));
        let count = rest.number()?;
        let mut keys = Vec::new();
        for _ in 0..count {
            keys.push([prefix, rest.value()?.0].concat());
        }
        for key in keys {
            let (value, place) = rest.value()?;
            self.note(&key, value, place, order);
        }
        Some(())
    }

    /// Takes what was put in. The trees are told from one another by the lengths of their keys.
    fn note(&mut self, key: &[u8], value: &[u8], place: Range<u64>, order: Order) {
        if let Ok(key) = <[u8; 16]>::try_from(key) {
            if self.parts.get(&key).is_none_or(|(before, _)| *before < order) {
                self.parts.insert(key, (order, place));
            }
        } else if let Ok(key) = <[u8; 12]>::try_from(key) {
            if let Some(entry) = BatchEntry::decode(&key, value) {
                self.note_entry(key, Some(entry), order);
            }
        } else if key.len() == record::topic_key(TopicNumber(0)).len()
            && let (Some(number), Some(entry)) =
                (record::parse_topic_key(key), TopicEntry::decode(key, value))
        {
            self.names.insert(number, entry.name);
        }
    }

    fn note_entry(&mut self, key: [u8; 12], entry: Option<BatchEntry>, order: Order) {
        if self.entries.get(&key).is_none_or(|(before, _)| *before < order) {
            self.entries.insert(key, (order, entry));
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

    /// Bytes behind their length, and where they are.
    fn value(&mut self) -> Option<(&'a [u8], Range<u64>)> {
        let length = usize::try_from(self.number()?).ok()?;
        let start = self.at;
        Some((self.take(length)?, start..self.at))
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

    fn firsts(wreck: &Wreck, topic: TopicNumber) -> Vec<u64> {
        let batches = wreck.batches().filter(|(number, ..)| *number == topic);
        batches.map(|(_, _, batch)| batch.first).collect()
    }

    #[test]
    fn everything_is_found_without_sled() {
        let home = tempfile::tempdir().unwrap();
        let wreck = Wreck::open(&filled(home.path())).unwrap();
        assert_eq!(firsts(&wreck, ONE), (5..100).map(|first| first * 10).collect::<Vec<_>>());
        assert_eq!(firsts(&wreck, TWO).len(), 100);
        assert_eq!(wreck.holes(), []);
        for (number, name, found) in wreck.batches() {
            let (expected, bytes) = if number == ONE { ("one", 15_000) } else { ("two", 200) };
            assert_eq!(name, TopicName::parse(expected));
            assert_eq!(found, batch(found.first, 10, bytes));
        }
    }

    #[test]
    fn damage_costs_what_it_hits_and_is_found_where_sled_sees_an_end() {
        let home = tempfile::tempdir().unwrap();
        let path = filled(home.path()).join("db");
        let whole = fs::read(&path).unwrap();
        for at in (SEGMENT_HEADER_BYTES..whole.len()).step_by(whole.len() / 23) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            let wreck = Wreck::open(path.parent().unwrap()).unwrap();
            let found = firsts(&wreck, ONE).len() + firsts(&wreck, TWO).len();
            assert!((150..=205).contains(&found), "byte {at}: {found}");
            assert!(wreck.batches().all(|(number, _, found)| {
                found == batch(found.first, 10, if number == ONE { 15_000 } else { 200 })
            }));
        }
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
