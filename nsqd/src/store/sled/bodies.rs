//! The records of the batches, beside the database: files that are only appended to, and deleted when nothing in them
//! lives.
//!
//! sled writes what it keeps about twice, and reads all of it at a start; so it is given only where a batch stands.
//! Which batches live is the database's to know; this counts their bytes, file by file.
//!
//! Nothing here waits for the disk but [`Bodies::sync`] and the beginning of a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nsq::wire::name::TopicName;
use nsqd_broker::storage::{Position, StoredBatch};

use super::record::BatchEntry;
use crate::store::TopicNumber;
use crate::store::files::{Directory, File, Unchanged, is_missing};
use crate::store::segments::Segments;
use crate::store::segments::record::{
    self, BATCH_PREFIX_BYTES_MAX, BatchPayload, HEADER_BYTES, Header, Kind, Location, padded,
};
use crate::store::segments::scan::{Found, Scan};

/// A file is not written any more when it has this many bytes.
const FILE_BYTES: u64 = 32 * 1024 * 1024;

/// What lives in a file is moved to the end when it is less than this part of the file.
const SPARSE_FACTOR: u64 = 4;

/// A file in which nothing lives any more is given up at this length in bytes even while it is written.
const TAIL_BYTES_MIN: u64 = 1024 * 1024;

/// What of the memory for writing is kept from one batch to the next, in bytes.
const KEPT_BYTES: usize = 1024 * 1024;

/// Where they are in the log's directory, and in that of a database that was set aside with them.
pub const DIRECTORY: &str = "bodies";

/// Where the batches of the database in `directory` are: with it if it was set aside with them, or else in `home`, the
/// directory of the log.
pub(super) fn of_database(directory: &Path, home: &Path) -> PathBuf {
    let own = directory.join(DIRECTORY);
    if own.is_dir() { own } else { home.join(DIRECTORY) }
}

/// Of which batches the entries are damaged.
pub(super) fn damaged(
    entries: &[(TopicNumber, Position, Option<BatchEntry>)],
) -> BTreeSet<(TopicNumber, Position)> {
    entries.iter().filter(|(.., entry)| entry.is_none()).map(|&(topic, first, _)| (topic, first)).collect()
}

pub(super) struct Bodies {
    home: PathBuf,
    /// Whether nothing may be changed here: the files belong to a database of which this is a look at a copy.
    read_only: bool,
    segments: Segments,
    /// The file that is written, if one was begun since the log was opened.
    tail: Option<Tail>,
    /// The number of the next file.
    next: u32,
    held: BTreeMap<u32, Held>,
    scratch: Vec<u8>,
}

struct Tail {
    segment: u32,
    file: Arc<dyn File>,
}

/// How much there is in a file.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    length: u64,
    alive: u64,
    /// Whether something lives in it that cannot be moved.
    stuck: bool,
}

impl Bodies {
    /// What is in the directory `home`, which need not be there.
    pub(super) fn open(home: &Path) -> io::Result<Self> {
        Self::open_as(home, false)
    }

    /// The same, to be read: what would change a file is refused.
    pub(super) fn open_read_only(home: &Path) -> io::Result<Self> {
        Self::open_as(home, true)
    }

    fn open_as(home: &Path, read_only: bool) -> io::Result<Self> {
        let mut bodies = Self {
            home: home.to_owned(),
            read_only,
            segments: Segments::new(if read_only {
                Arc::new(Unchanged(Directory::at(home)))
            } else {
                Arc::new(Directory::at(home))
            }),
            tail: None,
            next: 0,
            held: BTreeMap::new(),
            scratch: Vec::new(),
        };
        for segment in bodies.list()? {
            let length = bodies.segments.file(segment)?.length()?;
            bodies.held.insert(segment, Held { length, ..Held::default() });
            bodies.next = segment.saturating_add(1);
        }
        Ok(bodies)
    }

    /// Writes a batch behind the others. It is safe from a crash, and nobody finds it before there is an entry of it.
    pub(super) fn append(
        &mut self,
        topic: TopicNumber,
        name: Option<&TopicName>,
        batch: &StoredBatch,
    ) -> io::Result<BatchEntry> {
        if batch.records.len() > u32::MAX as usize - HEADER_BYTES - BATCH_PREFIX_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the batch is too large for a record"));
        }
        let segment = self.tail()?;
        let held = self.held.entry(segment).or_default();
        let location = Location { segment, offset: held.length };
        self.scratch.clear();
        record::push_batch(&mut self.scratch, topic, name, batch);
        record::bind(&mut self.scratch, location, 0);
        let tail = self.tail.as_ref().expect("its number was just given");
        tail.file.write_at(&self.scratch, location.offset)?;
        held.length += self.scratch.len() as u64;
        self.scratch.shrink_to(KEPT_BYTES);
        Ok(entry(location, batch.count, batch.aside, batch.records.len()))
    }

    /// The batch that an entry stands for; `None` where it is not what was written.
    pub(super) fn read(
        &mut self,
        topic: TopicNumber,
        first: Position,
        entry: &BatchEntry,
    ) -> io::Result<Option<StoredBatch>> {
        let length = self.held.get(&entry.location.segment).map_or(0, |held| held.length);
        let Some(bytes) = usize::try_from(entry.bytes).ok().filter(|_| entry.bytes <= length) else {
            return Ok(None);
        };
        let Some((header, payload)) = self.segments.read(entry.location, BATCH_PREFIX_BYTES_MAX + bytes)?
        else {
            return Ok(None);
        };
        let parsed = parse(&header, &payload).filter(|(of, batch)| (*of, batch.first) == (topic, first));
        let records = parsed.map(|(_, batch)| payload.slice_ref(batch.records));
        Ok(records.map(|records| StoredBatch { first, count: header.count, aside: header.aside, records }))
    }

    /// Writes what is left of a batch, or all of it, to a file of its own in `home`. Without an entry nothing is left.
    pub(super) fn set_aside(
        &mut self,
        home: &Path,
        topic: TopicNumber,
        first: Position,
        entry: Option<&BatchEntry>,
    ) -> io::Result<()> {
        let rest = match entry {
            None => Vec::new(),
            Some(entry) => match self.read(topic, first, entry)? {
                Some(batch) => batch.records.into(),
                None => self.rest_of(entry),
            },
        };
        let file = home.join(format!("batch-{}-{first}.bad", topic.0));
        // It may have been set aside before, when more of it was there.
        if fs::metadata(&file).map_or(0, |there| there.len()) <= rest.len() as u64 {
            fs::write(&file, &rest)?;
        }
        tracing::warn!(
            topic_number = topic.0, first, bytes = rest.len(), file = %file.display(),
            "a batch of messages is damaged, or nobody knows of which topic it is, and was set aside: it is not delivered"
        );
        Ok(())
    }

    /// What is left of a batch that is not what was written, with what stands before the messages.
    fn rest_of(&mut self, entry: &BatchEntry) -> Vec<u8> {
        let length = self.held.get(&entry.location.segment).map_or(0, |held| held.length);
        let bytes = entry.bytes.min(length) as usize;
        let mut rest = vec![0; BATCH_PREFIX_BYTES_MAX + bytes];
        let offset = entry.location.offset + HEADER_BYTES as u64;
        let read =
            self.segments.file(entry.location.segment).and_then(|file| file.read_at(&mut rest, offset));
        rest.truncate(read.unwrap_or(0));
        rest.truncate(record::prefix_bytes_of(&rest) + bytes);
        rest
    }

    /// Looks for the batches that were written last at these positions, all in one reading of the files. What is not
    /// there is not in the answer. Fails where some are missing that may be in a file that cannot be read.
    pub(super) fn find(
        &mut self,
        wanted: &BTreeSet<(TopicNumber, Position)>,
    ) -> io::Result<BTreeMap<(TopicNumber, Position), BatchEntry>> {
        let mut found = BTreeMap::new();
        let mut refused = None;
        for segment in self.held.keys().rev().copied().collect::<Vec<_>>() {
            if found.len() == wanted.len() {
                break;
            }
            let mut here = BTreeMap::new();
            let listed = self.each_of(segment, &mut |topic, entry, batch| {
                if wanted.contains(&(topic, batch.first)) {
                    here.insert((topic, batch.first), entry);
                }
                Ok(())
            });
            refused = listed.err().or(refused);
            for (place, entry) in here {
                found.entry(place).or_insert(entry);
            }
        }
        match refused {
            Some(error) if found.len() < wanted.len() => Err(error),
            _ => Ok(found),
        }
    }

    /// Calls `each` with what is whole in a file, dead or alive.
    pub(super) fn each_of(
        &mut self,
        segment: u32,
        each: &mut dyn FnMut(TopicNumber, BatchEntry, BatchPayload<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut scan = Scan::new(self.segments.file(segment)?, segment, 0..u64::MAX)?;
        while let Some(found) = scan.next()? {
            let Found::Record { location, header, payload } = found else { continue };
            if let Some((topic, batch)) = parse(&header, payload) {
                each(topic, entry(location, header.count, header.aside, batch.records.len()), batch)?;
            }
        }
        Ok(())
    }

    /// The numbers of the files, in order.
    pub(super) fn list(&self) -> io::Result<Vec<u32>> {
        match self.segments.list() {
            Err(error) if is_missing(&error) => Ok(Vec::new()),
            numbers => numbers,
        }
    }

    /// Notes that there is an entry of a batch.
    pub(super) fn keep(&mut self, entry: &BatchEntry) {
        // Where the file is gone the batch is too; that is found when it is read.
        if let Some(held) = self.held.get_mut(&entry.location.segment) {
            held.alive += size(entry);
        }
    }

    /// Notes that there is an entry less.
    pub(super) fn release(&mut self, entry: &BatchEntry) {
        if let Some(held) = self.held.get_mut(&entry.location.segment) {
            held.alive = held.alive.saturating_sub(size(entry));
        }
    }

    /// Notes that nothing is known of any batch.
    pub(super) fn release_all(&mut self) {
        self.held.values_mut().for_each(|held| (held.alive, held.stuck) = (0, false));
    }

    /// The files in which nothing lives.
    pub(super) fn dead(&self) -> BTreeSet<u32> {
        let is_given_up = |segment: u32, held: &Held| {
            held.alive == 0 && (!self.is_tail(segment) || held.length >= TAIL_BYTES_MIN)
        };
        self.held
            .iter()
            .filter(|(segment, held)| is_given_up(**segment, held))
            .map(|(segment, _)| *segment)
            .collect()
    }

    /// The first file in which so little lives that it is to be moved.
    pub(super) fn sparse(&self) -> Option<u32> {
        let is_sparse = |held: &Held| {
            held.alive > 0 && !held.stuck && held.alive.saturating_mul(SPARSE_FACTOR) < held.length
        };
        let mut files =
            self.held.iter().filter(|(segment, held)| !self.is_tail(**segment) && is_sparse(held));
        files.next().map(|(segment, _)| *segment)
    }

    /// Notes that what still lives in a file cannot be moved.
    pub(super) fn note_stuck(&mut self, segment: u32) {
        if let Some(held) = self.held.get_mut(&segment) {
            held.stuck = held.alive > 0;
        }
    }

    /// Deletes a file if still nothing lives in it.
    pub(super) fn remove(&mut self, segment: u32) -> io::Result<()> {
        if self.held.get(&segment).is_none_or(|held| held.alive > 0) {
            return Ok(());
        }
        self.tail.take_if(|tail| tail.segment == segment);
        self.segments.remove(segment)?;
        self.held.remove(&segment);
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn forget_open_files(&mut self) {
        self.segments = Segments::new(Arc::new(Directory::at(&self.home)));
    }

    /// Tries whether a batch could be written: where one would stand zeros are, which the batch then replaces.
    pub(super) fn probe(&mut self) -> io::Result<()> {
        let segment = self.tail()?;
        let offset = self.held.get(&segment).map_or(0, |held| held.length);
        let tail = self.tail.as_ref().expect("its number was just given");
        tail.file.write_at(&[0; HEADER_BYTES], offset)
    }

    /// Waits until what was written to these files is on the disk.
    pub(super) fn sync(&mut self, segments: &BTreeSet<u32>) -> io::Result<()> {
        segments.iter().try_for_each(|segment| self.segments.file(*segment)?.sync_data())
    }

    /// Takes the files back from the directory of a database that is in use: it was to be set aside with them, and a crash came
    /// before that.
    pub(super) fn take_back(&mut self, database: &Path) -> io::Result<()> {
        let there = database.join(DIRECTORY);
        if self.read_only || !there.is_dir() || self.home.exists() {
            return Ok(());
        }
        fs::rename(&there, &self.home)?;
        *self = Self::open(&self.home)?;
        Ok(())
    }

    /// Moves all files to the directory of a database that is to be set aside, which was all that knew of them.
    pub(super) fn move_to(&mut self, database: &Path) -> io::Result<()> {
        if self.read_only {
            *self = Self::open_read_only(&database.join(DIRECTORY))?;
            return Ok(());
        }
        match fs::rename(&self.home, database.join(DIRECTORY)) {
            Err(error) if !is_missing(&error) => return Err(error),
            _ => {}
        }
        let next = self.next;
        *self = Self { next, ..Self::open(&self.home)? };
        Ok(())
    }

    fn is_tail(&self, segment: u32) -> bool {
        self.tail.as_ref().is_some_and(|tail| tail.segment == segment)
    }

    /// The file that is written, begun if need be.
    fn tail(&mut self) -> io::Result<u32> {
        let is_full = |tail: &Tail| self.held.get(&tail.segment).is_none_or(|held| held.length >= FILE_BYTES);
        if let Some(tail) = self.tail.as_ref().filter(|tail| !is_full(tail)) {
            return Ok(tail.segment);
        }
        let segment = self.next;
        let next =
            segment.checked_add(1).ok_or_else(|| io::Error::other("there are no numbers for files left"))?;
        if !self.read_only {
            match fs::create_dir(&self.home) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        let file = self.segments.create(segment, &[])?;
        self.next = next;
        self.held.insert(segment, Held::default());
        self.tail = Some(Tail { segment, file });
        Ok(segment)
    }
}

/// A batch and its topic; `None` where the record is none of a batch.
fn parse<'a>(header: &Header, payload: &'a [u8]) -> Option<(TopicNumber, BatchPayload<'a>)> {
    let batch = BatchPayload::parse(payload).filter(|_| header.kind == Kind::Append)?;
    Some((header.topic, batch))
}

fn entry(location: Location, count: u32, aside: bool, bytes: usize) -> BatchEntry {
    BatchEntry { count, bytes: bytes as u64, aside, location }
}

/// About what a batch takes in its file, and never more: a file in which all of them are dead is dead.
fn size(entry: &BatchEntry) -> u64 {
    padded(HEADER_BYTES as u64 + entry.bytes)
}
