//! What is left where a database does not open: batches whose checksums are right, and what can be read in the database's
//! file about which of them were finished.
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
//! no message is passed over byte by byte; no tree is followed, so that no damage can hide what is whole elsewhere. A batch of
//! which nothing is said there is given out: it may have been finished.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use nsq::wire::name::TopicName;
use nsqd_broker::storage::StoredBatch;

use super::bodies::{self, Bodies};
use super::database::SEGMENT_BYTES;
use super::record::{self, BatchEntry, TopicEntry};
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
    bodies: Bodies,
    /// `None` where the batch was taken out last.
    entries: HashMap<[u8; 12], (Order, Option<BatchEntry>)>,
    names: HashMap<TopicNumber, TopicName>,
    /// How the keys begin that links of a page leave out, since when.
    prefixes: HashMap<u64, Vec<(Order, Vec<u8>)>>,
    /// Where there is no message, and behind it are messages of the same segment, with its number.
    holes: Vec<(u64, Range<u64>)>,
    /// The number of the segment that was written last.
    newest: u64,
}

impl Wreck {
    /// Reads the file of the database in `directory` from one end to the other. Its batches are there too if it was set aside
    /// with them, or else in `home`, the directory of the log.
    ///
    /// # Errors
    ///
    /// The disk refused.
    pub fn open(directory: &Path, home: &Path) -> io::Result<Self> {
        let file = File::open(directory.join("db"))?;
        let bodies = Bodies::open_read_only(&bodies::of_database(directory, home))?;
        let mut wreck = Self {
            file,
            bodies,
            entries: HashMap::new(),
            names: HashMap::new(),
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
        let Self { bodies, entries, names, .. } = self;
        for segment in bodies.list()? {
            bodies.each_of(segment, &mut |topic, entry, batch| {
                let is_finished = match entries.get(&record::batch_key(topic, batch.first)) {
                    Some((_, known)) => known.is_none_or(|known| known.location != entry.location),
                    None => false,
                };
                if is_finished {
                    return Ok(());
                }
                let name = TopicName::parse(batch.name).or_else(|| names.get(&topic).copied());
                let records = Bytes::copy_from_slice(batch.records);
                let (first, count, aside) = (batch.first, entry.count, entry.aside);
                each(topic, name, StoredBatch { first, count, aside, records })
            })?;
        }
        Ok(())
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
            // What is no link or leaf of ours has nothing for us.
            let _ = match message.kind {
                kind if kind != wanted => None,
                LINK => self.read_link(&message, order),
                NODE => self.read_leaf(&message, order),
                _ => None,
            };
            at += message.header_bytes + message.payload.len();
        }
    }

    fn read_link(&mut self, message: &Message<'_>, order: Order) -> Option<()> {
        let mut rest = Reader { bytes: message.payload, at: 0 };
        let kind = rest.byte()?;
        let key = rest.value()?;
        let before = self.prefixes.get(&message.page).into_iter().flatten();
        let newest = before.filter(|(leaf, _)| *leaf < order).max_by_key(|(leaf, _)| *leaf);
        let key = [newest.map_or(&[][..], |(_, prefix)| prefix), key].concat();
        match kind {
            0 => self.note(&key, rest.value()?, order),
            1 => self.note_entry(key.try_into().ok()?, None, order),
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
            self.note(&key, rest.value()?, order);
        }
        Some(())
    }

    /// Takes what was put in. The trees are told from one another by the lengths of their keys.
    fn note(&mut self, key: &[u8], value: &[u8], order: Order) {
        if let Ok(key) = <[u8; 12]>::try_from(key) {
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
        assert_eq!(wreck.holes(), []);
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
