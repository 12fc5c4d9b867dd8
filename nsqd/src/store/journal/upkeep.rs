//! What is done between groups: what waited long enough is put on the disk, the index is written as a checkpoint, and
//! the room of what is finished is given back.
//!
//! A segment in which nothing is alive is removed after the next checkpoint, for what it says of others is in there.
//! Nothing is done at once that takes long: each step ends soon, and groups come in between.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::draft::Draft;
use super::index::Usage;
use super::{Journal, LogError, checkpoint, fetch, image, recovery};
use crate::store::TopicNumber;
use crate::store::segments::record::{BatchPayload, Header, Kind, Location};
use crate::store::segments::scan::{Found, Scan};

/// At least so many bytes are written before the index is, unless segments wait to be removed. A start reads them all.
const CHECKPOINT_BYTES_MIN: u64 = 256 * 1024 * 1024;

/// So many times its length is written before the index is.
const CHECKPOINT_FACTOR: u64 = 16;

/// The index is written to remove segments when they are so many times as long as it is.
const REMOVAL_FACTOR: u64 = 4;

/// So many bytes may be dead in segments that are mostly dead, whatever lives. It is at most half a segment.
const DEAD_BYTES_MIN: u64 = 16 * 1024 * 1024;

/// How much of a segment is looked through in one step, in bytes: groups wait for it.
const SLICE_BYTES: u64 = 1024 * 1024;

/// So many segments may be short, each by this factor, before what is in them is carried together.
const SHORT_SEGMENTS_MAX: usize = 16;
const SHORT_FACTOR: u64 = 16;

/// How long after a failure the next step is tried.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What is known of the work that waits.
pub(super) struct Upkeep {
    /// How many bytes were written since the last checkpoint.
    written: u64,
    /// Where the carrying stands.
    carrying: Option<Location>,
    /// Segments of which not everything could be carried.
    stuck: HashSet<u32>,
    /// Not before this, after a failure.
    retry_at: Option<Instant>,
}

impl Upkeep {
    pub(super) fn new(written: u64) -> Self {
        Self { written, carrying: None, stuck: HashSet::new(), retry_at: None }
    }

    pub(super) fn wrote(&mut self, bytes: u64) {
        self.written += bytes;
    }
}

impl Journal {
    pub(super) fn next_upkeep(&self) -> Option<Instant> {
        let unsynced = self.writer.unsynced();
        let sync = unsynced.and_then(|unsynced| unsynced.since.checked_add(self.settings.sync_timeout));
        let work = self.has_work().then(Instant::now);
        let next = sync.into_iter().chain(work).min()?;
        Some(self.upkeep.retry_at.map_or(next, |retry_at| next.max(retry_at)))
    }

    pub(super) fn has_work(&self) -> bool {
        !self.writer.owed().is_empty()
            || !self.draft.is_empty()
            || !self.index.heavy.is_empty()
            || self.upkeep.carrying.is_some()
            || self.wants_checkpoint()
            || self.mostly_dead().is_some()
    }

    /// Takes one step of what waits.
    pub(super) fn keep_up(&mut self) -> Result<(), LogError> {
        let outcome = self.step();
        self.upkeep.retry_at = outcome.as_ref().err().map(|_| Instant::now() + RETRY_AFTER);
        if let Err(LogError::Io(error)) = &outcome {
            self.note_failure(error);
        }
        outcome
    }

    fn step(&mut self) -> Result<(), LogError> {
        self.commit()?;
        let unsynced = self.writer.unsynced();
        if unsynced.is_some_and(|unsynced| unsynced.since.elapsed() >= self.settings.sync_timeout) {
            self.writer.sync(&mut self.segments, None)?;
        }
        if let Some(topic) = self.index.heavy.iter().next().copied() {
            let mut draft = Draft::default();
            self.copy_state(topic, &mut draft)?;
            self.index.heavy.remove(&topic);
            self.write(&mut draft, false)?;
        }
        if self.wants_checkpoint() {
            return self.checkpoint();
        }
        if self.upkeep.carrying.is_none() {
            self.upkeep.carrying = self.mostly_dead().map(|segment| Location { segment, offset: 0 });
        }
        if let Some(from) = self.upkeep.carrying {
            self.carry(from)?;
        }
        Ok(())
    }

    fn wants_checkpoint(&self) -> bool {
        let length = checkpoint::estimate(self.index.entries);
        let dead: u64 =
            self.sealed().filter(|(_, usage)| usage.live == 0).map(|(_, usage)| usage.length).sum();
        dead > 0 && dead >= REMOVAL_FACTOR * length
            || self.upkeep.written >= CHECKPOINT_BYTES_MIN.max(CHECKPOINT_FACTOR * length)
    }

    /// The segments that are not written any more.
    fn sealed(&self) -> impl Iterator<Item = (u32, Usage)> + '_ {
        let current = self.writer.current();
        let segments = self.index.segments.iter().map(|(segment, usage)| (*segment, *usage));
        segments.filter(move |(segment, _)| Some(*segment) != current)
    }

    /// Writes the index, and removes the segments in which nothing is alive.
    pub(super) fn checkpoint(&mut self) -> Result<(), LogError> {
        self.writer.sync(&mut self.segments, None)?;
        let Some(location) = self.writer.position() else {
            return Ok(());
        };
        let dead = self.sealed().filter(|(_, usage)| usage.live == 0).map(|(segment, _)| segment);
        let dead: Vec<_> = dead.collect();
        checkpoint::write(&self.files, &self.index, location)?;
        self.upkeep.written = 0;
        for segment in dead {
            self.segments.remove(segment)?;
            self.index.segments.remove(&segment);
            self.upkeep.stuck.remove(&segment);
        }
        Ok(())
    }

    /// The segment whose few survivors are to be carried to the end of the log, if there is any.
    fn mostly_dead(&self) -> Option<u32> {
        let sealed = || self.sealed().filter(|(segment, _)| !self.upkeep.stuck.contains(segment));
        let dying = || sealed().filter(|(_, usage)| usage.live > 0 && usage.live < usage.length / 2);
        let dead: u64 = dying().map(|(_, usage)| usage.length - usage.live).sum();
        let dead_max = DEAD_BYTES_MIN.min(self.settings.segment_bytes / 2).max(self.index.live / 2);
        if dead > dead_max {
            // By how little of it is alive, in thousandths.
            let share = |usage: &Usage| usage.live.saturating_mul(1000) / usage.length;
            return dying().min_by_key(|(_, usage)| share(usage)).map(|(segment, _)| segment);
        }
        let is_short =
            |usage: &Usage| usage.live > 0 && usage.length < self.settings.segment_bytes / SHORT_FACTOR;
        let mut short = sealed().filter(|(_, usage)| is_short(usage)).map(|(segment, _)| segment);
        let first = short.next();
        (short.count() >= SHORT_SEGMENTS_MAX).then_some(first).flatten()
    }

    /// Carries what is alive in a slice of a segment to the end of the log.
    fn carry(&mut self, from: Location) -> Result<(), LogError> {
        let mut draft = Draft::default();
        let slice = from.offset..from.offset + SLICE_BYTES;
        let reached = match self.copy(from.segment, slice, &mut draft, Copied::Living) {
            Ok(reached) => reached,
            Err(error) if crate::store::files::is_missing(&error) => None,
            Err(error) => return Err(error.into()),
        };
        self.write(&mut draft, false)?;
        self.upkeep.carrying = reached.map(|offset| Location { offset, ..from });
        if reached.is_none() && self.index.segments.get(&from.segment).is_some_and(|usage| usage.live > 0) {
            self.upkeep.stuck.insert(from.segment);
        }
        Ok(())
    }

    /// Writes anew what was acknowledged and is perhaps not on the disk.
    pub(super) fn pay_debts(&mut self) -> io::Result<()> {
        if self.writer.owed().is_empty() {
            return Ok(());
        }
        let mut draft = Draft::default();
        for (segment, range) in self.writer.owed().to_vec() {
            self.copy(segment, range, &mut draft, Copied::All)?;
        }
        self.write(&mut draft, true)?;
        self.writer.paid();
        Ok(())
    }

    /// Copies what begins in a part of a segment. Where it went on, or `None` at the segment's end.
    fn copy(
        &mut self,
        segment: u32,
        range: Range<u64>,
        draft: &mut Draft,
        copied: Copied,
    ) -> io::Result<Option<u64>> {
        let mut states = Vec::new();
        let mut scan = Scan::new(self.segments.file(segment)?, segment, range.start..u64::MAX)?;
        let mut reached = None;
        while let Some(found) = scan.next()? {
            let Found::Record { location, header, payload } = found else {
                continue;
            };
            if location.offset >= range.end {
                reached = Some(location.offset);
                break;
            }
            match header.kind {
                Kind::Append if self.is_living_batch(&header, payload, location) => {
                    recovery::changes(&header, payload, |change| draft.note(change));
                    draft.copy(header, payload);
                }
                Kind::Save | Kind::Advance if self.index.is_state_at(header.topic, location) => {
                    states.push(header.topic);
                }
                // The index knows of these.
                Kind::Drops | Kind::Delete if copied == Copied::All => draft.copy(header, payload),
                _ => {}
            }
        }
        // A state is carried as a whole, with the progress since, wherever that is.
        states.sort();
        states.dedup();
        for topic in states {
            self.copy_state(topic, draft)?;
        }
        Ok(reached)
    }

    fn is_living_batch(&self, header: &Header, payload: &[u8], location: Location) -> bool {
        let batch = BatchPayload::parse(payload);
        batch.is_some_and(|batch| self.index.is_batch_at(header.topic, batch.first, location))
    }

    /// Copies a topic's state and what was kept since, as one state. One that cannot be read stays where it is.
    fn copy_state(&mut self, number: TopicNumber, draft: &mut Draft) -> io::Result<()> {
        let Some(topic) = self.index.topics.get(&number) else {
            return Ok(());
        };
        let state = fetch::state(&mut self.segments, number, topic)?;
        let Some(image) = state.image else {
            return Ok(());
        };
        for place in &state.damaged {
            self.keep_aside(*place, 0);
            self.damage.images += 1;
        }
        draft.save(number, image.name, &image::encode(&image))
    }
}

/// What is copied of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copied {
    /// What the index needs.
    Living,
    /// Also what was forgotten, because that is perhaps not on the disk.
    All,
}
