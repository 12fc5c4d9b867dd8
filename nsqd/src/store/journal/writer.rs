//! Writes drafts to the end of the log: which segment is the last, what of it is on the disk, and how the ones
//! before it ended.
//!
//! ```text
//!            full: cut, synced               a write or a sync failed
//!   writing ───────────────────▶ sealed       writing ───────────────▶ abandoned
//!      ▲                                                                   │ what was acknowledged and is
//!      └─ a new one, with the next draft                                   ▼ perhaps not on the disk is owed
//! ```
//!
//! A segment in which anything failed is never written again, and its sync never tried again: the system may have
//! forgotten what it could not write. It knows nothing of the index, and of a draft only how long it is.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::JournalSettings;
use super::draft::Draft;
use super::recovery::Recovered;
use crate::store::files::File;
use crate::store::segments::Segments;
use crate::store::segments::record::{Ended, Location, bind, push_begin};

pub(super) struct Writer {
    segment_bytes: u64,
    prepared_bytes: usize,
    /// The number of the next segment. Numbers are never used again.
    next: u32,
    current: Option<Current>,
    /// How segments ended, where no later one says so on the disk.
    ended: Vec<Ended>,
    /// What was acknowledged, and must be written anew because it is perhaps not on the disk.
    owed: Vec<(u32, Range<u64>)>,
    /// Set exactly while something written is not synced.
    unsynced: Option<Unsynced>,
}

struct Current {
    segment: u32,
    file: Arc<dyn File>,
    /// Where its first draft stands.
    begins: u64,
    end: u64,
    synced: u64,
    /// Up to where the disk has given room and size.
    prepared: u64,
}

/// What is written and not synced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unsynced {
    pub(super) since: Instant,
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

/// Drafts up to this length are written with zeros behind them, in bytes: a sync is much faster where the file has its
/// room and size already.
const SMALL_BYTES: usize = 64 * 1024;

/// Of how many segments is said how they ended. Where there are more, one after another could not even be begun.
const ENDED_MAX: usize = 1000;

impl Writer {
    /// A writer that goes on where a log ended.
    pub(super) fn new(settings: &JournalSettings, recovered: Recovered) -> Self {
        let Recovered { next, mut ended, owed, .. } = recovered;
        ended.drain(..ended.len().saturating_sub(ENDED_MAX));
        Self {
            segment_bytes: settings.segment_bytes,
            prepared_bytes: settings.prepared_bytes,
            next,
            current: None,
            ended,
            owed,
            unsynced: None,
        }
    }

    /// Writes the draft, and says where. It is on the disk after the next [`sync`](Self::sync); `prepare` says that
    /// this follows at once.
    ///
    /// After an error nothing of it counts as written, and the segment is given up.
    pub(super) fn write(
        &mut self,
        segments: &mut Segments,
        draft: &mut Draft,
        prepare: bool,
    ) -> io::Result<Location> {
        let length = draft.length();
        if self.current.as_ref().is_some_and(|current| current.end + length > self.segment_bytes) {
            self.seal(segments)?;
        }
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.begin(segments)?,
        };
        let location = current.location();
        let outcome = current
            .append(draft.bound_to(location, current.synced), if prepare { self.prepared_bytes } else { 0 });
        self.current = Some(current);
        if let Err(error) = outcome {
            // What was written before it may still reach the disk.
            if self.unsynced.is_none() || self.sync(segments, None).is_ok() {
                self.give_up(segments);
            }
            return Err(error);
        }
        let unsynced = self.unsynced.get_or_insert_with(Unsynced::now);
        unsynced.messages += draft.messages();
        unsynced.bytes += length;
        Ok(location)
    }

    /// Puts everything that was written on the disk.
    ///
    /// After an error the segment is given up, and what was written from `last` on counts as not written.
    pub(super) fn sync(&mut self, segments: &mut Segments, last: Option<Location>) -> io::Result<()> {
        let Some(current) = self.current.as_mut().filter(|_| self.unsynced.is_some()) else {
            return Ok(());
        };
        let outcome = current.file.sync_data();
        match &outcome {
            Ok(()) => {
                current.synced = current.end;
                self.unsynced = None;
                self.ended.clear();
            }
            Err(_) => {
                current.end = last.map_or(current.end, |last| last.offset);
                self.give_up(segments);
            }
        }
        outcome
    }

    /// Makes sure that there is a segment to write to, and that the disk takes it.
    pub(super) fn probe(&mut self, segments: &mut Segments) -> io::Result<()> {
        self.sync(segments, None)?;
        let current = match self.current.take() {
            Some(current) => current,
            None => self.begin(segments)?,
        };
        let outcome = current.file.sync_data();
        self.current = Some(current);
        if outcome.is_err() {
            self.give_up(segments);
        }
        outcome
    }

    /// Where the next record would stand, and that everything before it is on the disk.
    pub(super) fn position(&self) -> Option<Location> {
        if self.unsynced.is_some() || !self.owed.is_empty() {
            return None;
        }
        Some(self.current.as_ref().map_or(Location { segment: self.next, offset: 0 }, Current::location))
    }

    /// Whether something may be in the log that counts as not written.
    pub(super) fn has_doubts(&self) -> bool {
        !self.ended.is_empty()
    }

    /// What must be written anew.
    pub(super) fn owed(&self) -> &[(u32, Range<u64>)] {
        &self.owed
    }

    /// What was owed is written anew, and on the disk.
    pub(super) fn paid(&mut self) {
        self.owed.clear();
    }

    /// What is written and not synced.
    pub(super) fn unsynced(&self) -> Option<Unsynced> {
        self.unsynced
    }

    /// The segment that is written.
    pub(super) fn current(&self) -> Option<u32> {
        self.current.as_ref().map(|current| current.segment)
    }

    /// Ends the segment that is written. A new one is begun when something is to be written.
    pub(super) fn seal(&mut self, segments: &mut Segments) -> io::Result<()> {
        self.sync(segments, None)?;
        if let Some(mut current) = self.current.take() {
            // That all of it is on the disk is worth to be known, and harmless where it is not.
            let mut end = Vec::new();
            push_begin(&mut end, &[]);
            bind(&mut end, current.location(), current.synced);
            let synced = current.synced;
            let _ = current.append(&mut end, 0).and_then(|()| current.file.set_len(current.end));
            self.ended.push(Ended { segment: current.segment, end: current.end, synced });
        }
        Ok(())
    }

    fn begin(&mut self, segments: &mut Segments) -> io::Result<Current> {
        let segment = self.next;
        self.next += 1;
        let mut beginning = Vec::new();
        push_begin(&mut beginning, &self.ended);
        bind(&mut beginning, Location { segment, offset: 0 }, 0);
        let file = segments.create(segment, &beginning)?;
        let end = beginning.len() as u64;
        Ok(Current { segment, file, begins: end, end, synced: 0, prepared: end })
    }

    /// Gives the segment up. What of it is not on the disk is owed.
    fn give_up(&mut self, segments: &mut Segments) {
        self.unsynced = None;
        let Some(Current { segment, file, begins, end, synced, .. }) = self.current.take() else {
            return;
        };
        // Where the rest is not cut off, or the file not removed, only what is said of it here keeps what failed from
        // being read at a start.
        self.ended.push(Ended { segment, end, synced });
        if self.ended.len() > ENDED_MAX {
            self.ended.remove(0);
        }
        if end == begins {
            segments.remove_new(segment);
            return;
        }
        tracing::warn!(segment, end, synced, "gave up a segment of the journal that could not be written");
        let _ = file.set_len(end);
        if synced < end {
            self.owed.push((segment, synced.max(begins)..end));
        }
    }
}

impl Unsynced {
    fn now() -> Self {
        Self { since: Instant::now(), messages: 0, bytes: 0 }
    }
}

impl Current {
    fn location(&self) -> Location {
        Location { segment: self.segment, offset: self.end }
    }

    /// Writes `bytes`, where they are few with so many zeros behind them.
    fn append(&mut self, bytes: &mut Vec<u8>, prepared_bytes: usize) -> io::Result<()> {
        let length = bytes.len();
        let end = self.end + length as u64;
        let more = prepared_bytes > 0 && end > self.prepared && length <= SMALL_BYTES;
        if more {
            bytes.resize(length + prepared_bytes, 0);
        }
        let outcome = self.file.write_at(bytes, self.end);
        if more {
            self.prepared = self.end + bytes.len() as u64;
            bytes.truncate(length);
        }
        outcome?;
        self.end = end;
        Ok(())
    }
}
