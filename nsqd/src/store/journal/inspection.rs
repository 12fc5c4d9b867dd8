//! A look into a journal that leaves it as it is: what a start would find, and where it is.
//!
//! The steps are those of [`Journal::open`](super::Journal::open), on [`Unchanged`] files: what they would remove, cut or
//! set aside stays there, and is only forgotten for the time of the look.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use nsq::wire::name::TopicName;
use nsqd_broker::storage::{BatchSummary, Position, StoredBatch};

use super::checkpoint::{self, Checkpoint};
use super::fetch;
use super::index::{Index, Place};
use super::recovery;
use crate::store::files::{Directory, File, Files, Unchanged, unchanged};
use crate::store::segments::record::{
    BatchPayload, HEADER_BYTES, Header, Kind, Location, batch_prefix_bytes,
};
use crate::store::segments::scan::{Found, Scan};
use crate::store::segments::{self, Segments};
use crate::store::{SavedTopic, TopicNumber, image};

/// A journal that is only looked at.
pub struct Inspection {
    files: Arc<dyn Files>,
    segments: Segments,
    index: Index,
    /// What is damaged: where, and what it is. It grows while batches are read.
    pub damage: Vec<Damaged>,
}

/// Bytes that are not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// The name of the file in the journal's directory.
    pub file: String,
    /// Where in the file.
    pub bytes: Range<u64>,
    /// What it is, or was.
    pub what: String,
    /// The topic whose messages were there, as far as that is known.
    pub topic: Option<TopicNumber>,
    /// How many messages are known to have been there.
    pub messages: u64,
}

/// What is in a piece that was set aside.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PieceContents {
    /// Whole batches of topics, whose names may be known.
    pub batches: Vec<(TopicNumber, Option<TopicName>, StoredBatch)>,
    /// Where in the piece there is nothing whole.
    pub gaps: Vec<Range<u64>>,
}

impl Inspection {
    /// Looks into the journal in the directory `home`. A journal that is not there is empty.
    ///
    /// # Errors
    ///
    /// The disk refused.
    pub fn open(home: &Path) -> io::Result<Self> {
        let files: Arc<dyn Files> = Arc::new(Unchanged(Directory::at(home)));
        let mut segments = Segments::new(files.clone());
        let mut damage = Vec::new();
        let beginning = Location { segment: 0, offset: 0 };
        let (mut index, from) = match checkpoint::read(&files)? {
            Checkpoint::Whole(index, location) => (index, location),
            Checkpoint::Missing => (Index::default(), beginning),
            Checkpoint::Damaged => {
                let file = "index".to_owned();
                let bytes = 0..files.open(&file)?.length()?;
                damage.push(Damaged {
                    file,
                    bytes,
                    what: "the index; a start reads everything instead".to_owned(),
                    topic: None,
                    messages: 0,
                });
                (Index::default(), beginning)
            }
        };
        let recovered = recovery::recover(&mut segments, &mut index, from)?;
        for (segment, bytes) in recovered.damaged {
            damage.extend(damaged_records(&mut segments, &index, segment, bytes)?);
        }
        Ok(Self { files, segments, index, damage })
    }

    /// What is here, as [`Log::load`](crate::store::Log::load) would say it. Topics whose name nobody knows are damage.
    ///
    /// # Errors
    ///
    /// The disk refused.
    pub fn topics(&mut self) -> io::Result<Vec<SavedTopic>> {
        let mut topics = Vec::new();
        for (&number, topic) in &self.index.topics {
            if topic.batches.is_empty() && topic.image.is_none() {
                continue;
            }
            let batches: Vec<_> = topic.batches.iter().map(|(first, place)| place.summary(*first)).collect();
            let state = fetch::state(&mut self.segments, number, topic)?;
            self.damage.extend(state.damaged.iter().map(|place| damaged_state(*place)));
            let image = state.image.or_else(|| Some(image::recall(topic.name?, 0, 0, &batches)));
            match image {
                Some(image) => topics.push(SavedTopic { number, image, batches }),
                None => {
                    let what = "a batch of a topic whose name is lost";
                    let batches = batches.iter().zip(topic.batches.values());
                    let lost = |(batch, place): (&BatchSummary, &Place)| {
                        damaged_batch(*place, None, batch.count, what.to_owned())
                    };
                    self.damage.extend(batches.map(lost));
                }
            }
        }
        Ok(topics)
    }

    /// Whether a batch is here.
    pub fn has(&self, topic: TopicNumber, first: Position) -> bool {
        self.index.batch(topic, first).is_some()
    }

    /// A batch that is here, checked; `None` where it is damaged.
    ///
    /// # Errors
    ///
    /// The disk refused.
    pub fn read(&mut self, topic: TopicNumber, summary: &BatchSummary) -> io::Result<Option<StoredBatch>> {
        let Some(place) = self.index.batch(topic, summary.first) else { return Ok(None) };
        let batch = fetch::batch(&mut self.segments, topic, summary.first, place)?;
        if batch.is_none() {
            let (name, count) = (self.index.name(topic), summary.count);
            self.damage.push(damaged_batch(place, name, count, format!("a batch of {count} messages")));
        }
        Ok(batch)
    }

    /// What is in a piece that was set aside, which has this name. A piece is as it was in its segment, so that its records can
    /// be checked as they were there.
    ///
    /// # Errors
    ///
    /// The disk refused.
    pub fn set_aside(&self, name: &str) -> io::Result<PieceContents> {
        let mut contents = PieceContents::default();
        let Some((segment, offset)) = parse_piece(name) else { return Ok(contents) };
        let file = self.files.open(name)?;
        let end = offset.saturating_add(file.length()?);
        let mut scan = Scan::new(Arc::new(Piece { file, offset }), segment, offset..end)?;
        let mut names: HashMap<TopicNumber, TopicName> = HashMap::new();
        while let Some(found) = scan.next()? {
            let (header, payload) = match found {
                Found::Record { header, payload, .. } => (header, payload),
                Found::Nothing(bytes) => {
                    contents.gaps.push(bytes.start - offset..bytes.end - offset);
                    continue;
                }
            };
            let Some(batch) = BatchPayload::parse(payload).filter(|_| header.kind == Kind::Append) else {
                continue;
            };
            names.extend(TopicName::parse(batch.name).map(|name| (header.topic, name)));
            let name = names.get(&header.topic).copied();
            let name = name.or_else(|| self.index.name(header.topic).copied());
            let records = bytes::Bytes::copy_from_slice(batch.records);
            let batch = StoredBatch { first: batch.first, count: header.count, aside: header.aside, records };
            contents.batches.push((header.topic, name, batch));
        }
        Ok(contents)
    }
}

/// What damaged bytes were, as far as the headers in them are whole.
fn damaged_records(
    segments: &mut Segments,
    index: &Index,
    segment: u32,
    mut bytes: Range<u64>,
) -> io::Result<Vec<Damaged>> {
    let file = segments.file(segment)?;
    let mut found = Vec::new();
    let mut put = |bytes, what, topic, messages| {
        found.push(Damaged { file: segments::name(segment), bytes, what, topic, messages });
    };
    while bytes.start < bytes.end {
        let mut start = [0; HEADER_BYTES + size_of::<Position>()];
        let read = file.read_at(&mut start, bytes.start)?;
        let Some(header) = Header::parse(&start[..read], Location { segment, offset: bytes.start }) else {
            put(bytes, "records that cannot be read".to_owned(), None, 0);
            break;
        };
        let end = (bytes.start + header.record_bytes()).min(bytes.end);
        let place = bytes.start..end;
        match header.kind {
            Kind::Append => {
                let first = start.last_chunk().map_or(0, |first| Position::from_le_bytes(*first));
                let what = format!("a batch of {} messages", header.count);
                // One that was moved is not lost with its old copy.
                let (what, messages) = match index.batch(header.topic, first) {
                    Some(_) => (what + ", which is elsewhere too", 0),
                    None => (what, u64::from(header.count)),
                };
                put(place, what, Some(header.topic), messages);
            }
            Kind::Save | Kind::Advance => put(place, "the state of a topic".to_owned(), None, 0),
            Kind::Begin | Kind::Drops | Kind::Delete => {
                put(place, "what was forgotten, or how segments ended".to_owned(), None, 0);
            }
        }
        bytes.start = end;
    }
    Ok(found)
}

fn damaged_state(place: Place) -> Damaged {
    Damaged {
        file: segments::name(place.segment),
        bytes: place.record(0),
        what: "the state of a topic".to_owned(),
        topic: None,
        messages: 0,
    }
}

/// A batch in the index. Whoever asks for it counts what its topic has lost.
fn damaged_batch(place: Place, name: Option<&TopicName>, count: u32, what: String) -> Damaged {
    let bytes = place.record(batch_prefix_bytes(name));
    Damaged { file: segments::name(place.segment), bytes, what, topic: None, messages: u64::from(count) }
}

/// Which segment a piece was in, and where; see [`Aside`](super::aside::Aside).
fn parse_piece(name: &str) -> Option<(u32, u64)> {
    let (segment, offset) = name.strip_suffix(".bad")?.split_once('-')?;
    let segment = u64::from_str_radix(segment, 16).ok()?.try_into().ok()?;
    // No file is longer than the first half of the numbers; beyond it a place behind another could have none.
    Some((segment, offset.parse().ok().filter(|offset| *offset <= u64::MAX / 2)?))
}

/// Part of a segment, as if it were where it was.
struct Piece {
    file: Arc<dyn File>,
    offset: u64,
}

impl File for Piece {
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(unchanged())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(inside) = offset.checked_sub(self.offset) else { return Ok(0) };
        self.file.read_at(buffer, inside)
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(unchanged())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(unchanged())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.offset.saturating_add(self.file.length()?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;
    use crate::store::Log as _;
    use crate::store::journal::{Journal, JournalSettings};
    use crate::store::suite::{ONE, batch, image};

    /// The files in a directory, with what is in them.
    fn contents(home: &Path) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(home).unwrap().map(Result::unwrap);
        entries
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
            .collect()
    }

    fn filled(home: &Path) {
        let mut journal = Journal::open(home, JournalSettings::default()).unwrap();
        journal.save(ONE, &image("one")).unwrap();
        for first in 0..10 {
            journal.append(ONE, &batch(first * 10, 10, 500)).unwrap();
        }
        journal.drop_batch(ONE, 0).unwrap();
        journal.sync().unwrap();
    }

    fn read_all(inspection: &mut Inspection) -> Vec<Position> {
        let topics = inspection.topics().unwrap();
        let mut firsts = Vec::new();
        for topic in topics {
            for summary in &topic.batches {
                let found = inspection.read(topic.number, summary).unwrap();
                firsts.extend(found.map(|found| found.first));
            }
        }
        firsts
    }

    #[test]
    fn a_look_finds_what_a_start_would_and_changes_nothing() {
        let home = tempfile::tempdir().unwrap();
        filled(home.path());
        fs::write(home.path().join("index.tmp"), "half").unwrap();
        let before = contents(home.path());
        let mut inspection = Inspection::open(home.path()).unwrap();
        let found = inspection.topics().unwrap();
        assert_eq!(read_all(&mut inspection), [10, 20, 30, 40, 50, 60, 70, 80, 90]);
        assert_eq!(inspection.damage, []);
        drop(inspection);
        assert_eq!(contents(home.path()), before);
        let mut journal = Journal::open(home.path(), JournalSettings::default()).unwrap();
        assert_eq!(journal.load().unwrap(), found);
    }

    #[test]
    fn damage_is_named_and_stays_where_it_is() {
        let home = tempfile::tempdir().unwrap();
        filled(home.path());
        let path = home.path().join(segments::name(1));
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(4).rposition(|window| window == [0xd7, b'N', b'J', 1]).unwrap();
        let damaged =
            bytes[..at - 500].windows(4).rposition(|window| window == [0xd7, b'N', b'J', 1]).unwrap();
        bytes[damaged + 60] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let before = contents(home.path());
        let mut inspection = Inspection::open(home.path()).unwrap();
        let found = read_all(&mut inspection);
        let places: Vec<_> =
            inspection.damage.iter().map(|damage| (&damage.file, damage.bytes.start)).collect();
        assert_eq!(places, [(&segments::name(1), damaged as u64)], "{found:?}");
        assert_eq!(contents(home.path()), before);
        assert_eq!(found.len(), 8);
    }

    #[test]
    fn whole_records_in_a_piece_that_was_set_aside_are_read() {
        let home = tempfile::tempdir().unwrap();
        filled(home.path());
        let bytes = fs::read(home.path().join(segments::name(1))).unwrap();
        fs::write(home.path().join("0000000000000001-8.bad"), &bytes[8..]).unwrap();
        let inspection = Inspection::open(home.path()).unwrap();
        let found = inspection.set_aside("0000000000000001-8.bad").unwrap();
        // The piece begins in the middle of the record that begins the segment.
        let gaps: Vec<_> = found.gaps.iter().map(|gap| (gap.start, gap.end)).collect();
        assert_eq!((found.batches.len(), gaps), (10, vec![(0, 24)]));
        let is_one = |(number, name, _): &(_, _, _)| (*number, *name) == (ONE, TopicName::parse("one"));
        assert!(found.batches.iter().all(is_one));
        assert_eq!(found.batches[3].2, batch(30, 10, 500));
        fs::write(home.path().join(format!("0000000000000001-{}.bad", u64::MAX - 2)), &bytes).unwrap();
        for other in ["index.bad".to_owned(), format!("0000000000000001-{}.bad", u64::MAX - 2)] {
            assert_eq!(inspection.set_aside(&other).unwrap(), PieceContents::default());
        }
    }

    #[test]
    fn a_journal_that_is_not_there_is_empty() {
        let home = tempfile::tempdir().unwrap();
        let mut inspection = Inspection::open(&home.path().join("journal")).unwrap();
        assert_eq!(inspection.topics().unwrap(), []);
        assert!(contents(home.path()).is_empty());
    }
}
