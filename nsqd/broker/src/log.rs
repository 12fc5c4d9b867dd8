//! The one log of a topic: batches in memory, on the disk, or on their way.
//!
//! The log knows positions, batches and how many still need each of them; it does not know channels. A batch
//! is needed while a *reader* (a channel's cursor, or the backlog of a topic that holds its messages back) has not
//! passed it, and while a message of it is *held* (in flight, requeued, deferred) by some channel. A batch that
//! nobody needs is gone at that moment, from memory and from the disk.
//!
//! ```text
//!   queue:   [ spilled | spilled | being written ][ in memory | in memory | open ]
//!             ^ front: the slowest reader         ^ spill_slot                  ^ end
//!   behind:  passed by every reader, some messages held
//! ```

mod restoring;
mod spilling;

use std::collections::{BTreeSet, VecDeque};

use rustc_hash::FxHashMap;

use crate::batch::{Records, batch_messages_max};
use crate::storage::{Position, Request};

/// How many batches beyond the one it needs a reader that is behind asks the disk for, as long as they are of ordinary
/// length together.
const READ_AHEAD_BATCHES: usize = 16;
const READ_AHEAD_BYTES: u64 = (READ_AHEAD_BATCHES * crate::BATCH_BYTES_MAX) as u64;

/// What of a log may stay in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryLimits {
    /// Messages that nobody has taken yet; older ones go to the disk.
    pub(crate) messages_max: u64,
    /// Their bytes.
    pub(crate) bytes_max: u64,
    /// Whether there is a disk for this topic; without one nothing is ever spilled.
    pub(crate) spills: bool,
    /// Whether everything goes to the disk, and memory only keeps copies.
    pub(crate) write_through: bool,
}

/// Where a reader stands: a place in the queue, and a message of the batch there. A slot from which the batch
/// is gone stands for the front of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    slot: u64,
    index: u32,
}

/// A message that a channel has passed and not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// The position of its batch's first message.
    pub(crate) batch: Position,
    /// Its number in the batch.
    pub(crate) index: u32,
    /// How often it was delivered.
    pub(crate) attempts: u16,
}

impl Held {
    pub(crate) fn position(&self) -> Position {
        self.batch + Position::from(self.index)
    }
}

/// What a reader or a holder finds where it looks.
pub(crate) enum Found<'a> {
    /// The batch is in memory. `from_disk`: it was read back from there.
    Here { records: &'a Records, from_disk: bool },
    /// The batch is on the disk and has been asked for.
    Awaited,
    /// The batch was damaged: its messages are lost.
    Lost,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Size {
    messages: u64,
    bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disk {
    /// Only in memory.
    Absent,
    /// Handed over to be written; the records stay in memory until that is done.
    Writing,
    /// Safe there; the records are in memory only if they were read back.
    Stored,
}

#[derive(Debug)]
struct Batch {
    first: Position,
    count: u32,
    bytes: u64,
    /// How many messages of the queue came before the first of this batch. Differences of ordinals count
    /// messages even where positions are missing.
    ordinal: u64,
    /// Readers that have not passed this batch; zero exactly when it is not in the queue.
    unread_by: u32,
    /// Messages of this batch that are held, counted once for each channel.
    held: u32,
    /// Deferred messages: never in the queue, so that no reader waits for them or meets them again.
    aside: bool,
    records: Option<Records>,
    disk: Disk,
    reading: bool,
    lost: bool,
    /// When the first message was published; `None` exactly when the batch was on the disk at the start and has not been
    /// read since.
    timestamp_ns: Option<i64>,
}

impl Batch {
    fn size(&self) -> Size {
        Size { messages: u64::from(self.count), bytes: self.bytes }
    }

    fn is_open(&self) -> bool {
        self.records.as_ref().is_some_and(|records| !records.is_closed())
    }
}

#[derive(Debug)]
pub(crate) struct Log {
    limits: MemoryLimits,
    batch_messages_max: u32,
    batches: FxHashMap<Position, Batch>,
    /// The batches that some reader has not passed, in order of position.
    queue: VecDeque<Position>,
    /// The slot of the front of the queue.
    queue_base: u64,
    end: Position,
    end_ordinal: u64,
    /// Slots before this one are on the disk or being written; never before `queue_base`.
    spill_slot: u64,
    /// What the queue holds from `spill_slot` on.
    unspilled: Size,
    /// Batches that are not in the queue, have held messages and are only in memory: never any other.
    behind: BTreeSet<Position>,
    /// What `behind` holds.
    behind_unspilled: Size,
    /// The batch that takes the next deferred messages.
    open_aside: Option<Position>,
    /// Batches that are in memory although they are stored, oldest first, and how long each is; some may be gone by now.
    loaded: VecDeque<(Position, u64)>,
    loaded_bytes: u64,
    readers: usize,
    /// Batches whose write failed and is to be repeated.
    failed: BTreeSet<Position>,
    /// The same, and those of them that are being written again.
    refused: BTreeSet<Position>,
    /// Batches that are handed over to be written and are not known to be on the disk.
    writing: BTreeSet<Position>,
    /// How many batches are on the disk or on their way there.
    on_disk: usize,
    requests: VecDeque<Request>,
    lost_messages: u64,
}

impl Log {
    pub(crate) fn new(limits: MemoryLimits) -> Self {
        Self {
            batch_messages_max: batch_messages_max(limits.messages_max),
            limits,
            batches: FxHashMap::default(),
            queue: VecDeque::new(),
            queue_base: 0,
            end: 0,
            end_ordinal: 0,
            spill_slot: 0,
            unspilled: Size::default(),
            behind: BTreeSet::new(),
            behind_unspilled: Size::default(),
            open_aside: None,
            loaded: VecDeque::new(),
            loaded_bytes: 0,
            readers: 0,
            failed: BTreeSet::new(),
            refused: BTreeSet::new(),
            writing: BTreeSet::new(),
            on_disk: 0,
            requests: VecDeque::new(),
            lost_messages: 0,
        }
    }

    // ---- what is where -------------------------------------------------------------------------------

    /// The position behind the newest message.
    pub(crate) fn end(&self) -> Position {
        self.end
    }

    /// How many messages the queue has taken in all.
    pub(crate) fn end_ordinal(&self) -> u64 {
        self.end_ordinal
    }

    /// How many messages the queue took before the one at the cursor.
    pub(crate) fn ordinal(&self, cursor: Cursor) -> u64 {
        let cursor = self.normal(cursor);
        self.batch_at(cursor.slot).map_or(self.end_ordinal, |batch| batch.ordinal + u64::from(cursor.index))
    }

    /// The ordinal up to which the queue has been given to the disk.
    pub(crate) fn spilled_ordinal(&self) -> u64 {
        self.batch_at(self.spill_slot).map_or(self.end_ordinal, |batch| batch.ordinal)
    }

    /// The position of the message at the cursor.
    pub(crate) fn position(&self, cursor: Cursor) -> Position {
        let cursor = self.normal(cursor);
        self.batch_at(cursor.slot).map_or(self.end, |batch| batch.first + Position::from(cursor.index))
    }

    /// The message that a reader comes to next, if it is one of those before `released`: its batch and the number in it.
    pub(crate) fn next_message(&self, cursor: Cursor, released: u64) -> Option<(Position, u32)> {
        let Cursor { slot, index } = self.normal(cursor);
        let batch = self.batch_at(slot)?;
        let (batch, index) = match index < batch.count {
            true => (batch, index),
            false => (self.batch_at(slot + 1)?, 0),
        };
        (batch.ordinal + u64::from(index) < released).then_some((batch.first, index))
    }

    /// When a message was published, as far as memory says: where its batch is only on the disk, when the first of the
    /// batch was.
    pub(crate) fn timestamp_ns(&self, first: Position, index: u32) -> Option<i64> {
        let batch = self.batches.get(&first)?;
        match &batch.records {
            Some(records) => Some(records.record(index).timestamp_ns()),
            None => batch.timestamp_ns,
        }
    }

    /// Messages that were lost because their batch was damaged.
    pub(crate) fn lost_messages(&self) -> u64 {
        self.lost_messages
    }

    /// Whether anything of this log is on the disk or on its way there.
    pub(crate) fn uses_disk(&self) -> bool {
        self.on_disk > 0
    }

    /// Whether the disk is refusing what this log gives it: also while it is asked again, until it has taken everything
    /// that it refused and that is still needed.
    ///
    /// So what memory holds beyond its limits is what waited for the disk when that first refused, and not some more
    /// with each attempt.
    pub(crate) fn is_failing(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Whether nothing before `end` is still to reach the disk.
    pub(crate) fn is_stored(&self, end: Position) -> bool {
        let next = self.batch_at(self.spill_slot).map(|batch| &batch.first);
        let unstored = [self.writing.first(), self.behind.first(), next];
        unstored.into_iter().flatten().all(|first| *first >= end)
    }

    // ---- writing -------------------------------------------------------------------------------------

    /// Appends stamped messages that `readers` readers will want.
    pub(crate) fn append(&mut self, records: Records, readers: u32) {
        let size = Size { messages: u64::from(records.count()), bytes: records.bytes().len() as u64 };
        let first = self.end;
        self.end += size.messages;
        self.end_ordinal += size.messages;
        self.unspilled.add(size);
        if let Some(open) = self.queue.back().and_then(|last| self.batches.get_mut(last)) {
            let target =
                open.records.as_mut().filter(|target| target.has_room_for(&records, self.batch_messages_max));
            // Positions inside a batch are dense, so deferred messages in between end it.
            if let Some(target) = target.filter(|_| open.first + u64::from(open.count) == first) {
                target.extend(&records);
                open.count += records.count();
                open.bytes += size.bytes;
                return;
            }
            if let Some(records) = &mut open.records {
                records.close();
            }
        }
        let mut batch = Batch::new(first, records);
        batch.ordinal = self.end_ordinal - size.messages;
        batch.unread_by = readers;
        self.batches.insert(first, batch);
        self.queue.push_back(first);
    }

    /// Keeps stamped messages aside from the queue, each held `holders` times. Returns the batch and the number in
    /// it of the first of them.
    pub(crate) fn append_aside(&mut self, records: Records, holders: u32) -> (Position, u32) {
        let size = Size { messages: u64::from(records.count()), bytes: records.bytes().len() as u64 };
        let first = self.end;
        self.end += size.messages;
        self.behind_unspilled.add(size);
        if let Some(open) = self.open_aside.and_then(|open| self.batches.get_mut(&open)) {
            let target =
                open.records.as_mut().filter(|target| target.has_room_for(&records, self.batch_messages_max));
            if let Some(target) = target.filter(|_| open.first + u64::from(open.count) == first) {
                target.extend(&records);
                let index = open.count;
                open.count += records.count();
                open.bytes += size.bytes;
                open.held += records.count() * holders;
                return (open.first, index);
            }
            if let Some(records) = &mut open.records {
                records.close();
            }
        }
        let mut batch = Batch::new(first, records);
        batch.held = batch.count * holders;
        batch.aside = true;
        self.batches.insert(first, batch);
        self.behind.insert(first);
        self.open_aside = Some(first);
        (first, 0)
    }

    // ---- reading -------------------------------------------------------------------------------------

    /// A reader that will see what is appended from now on.
    pub(crate) fn read_from_end(&mut self) -> Cursor {
        let end = self.end_slot();
        match self.queue.back().and_then(|last| self.batches.get_mut(last)) {
            Some(open) if open.is_open() => {
                open.unread_by += 1;
                Cursor { slot: end - 1, index: open.count }
            }
            _ => Cursor { slot: end, index: 0 },
        }
    }

    /// One more reader that stands where `cursor` stands.
    pub(crate) fn read_from(&mut self, cursor: Cursor) -> Cursor {
        let cursor = self.normal(cursor);
        for slot in cursor.slot..self.end_slot() {
            self.batch_at_mut(slot).expect("a slot before the end has its batch").unread_by += 1;
        }
        cursor
    }

    /// A reader is gone, and with it its need for what it had not passed.
    pub(crate) fn stop_reading(&mut self, cursor: Cursor) {
        for slot in self.normal(cursor).slot..self.end_slot() {
            self.batch_at_mut(slot).expect("a slot before the end has its batch").unread_by -= 1;
        }
        self.pop_read();
    }

    /// The reader goes to the end of the queue.
    pub(crate) fn skip_to_end(&mut self, cursor: &mut Cursor) {
        self.stop_reading(*cursor);
        *cursor = self.read_from_end();
    }

    /// The reader goes on to the message with this ordinal, if that is ahead.
    pub(crate) fn skip_to_ordinal(&mut self, cursor: &mut Cursor, ordinal: u64) {
        while let Some((_, left)) = self.unread(cursor) {
            let here = self.ordinal(*cursor);
            if here >= ordinal {
                return;
            }
            let step = u64::from(left).min(ordinal - here) as u32;
            self.advance(cursor, step);
        }
    }

    /// The batch the reader is in, and how many messages of it are left to it; `None` at the end of the queue.
    pub(crate) fn unread(&mut self, cursor: &mut Cursor) -> Option<(Position, u32)> {
        *cursor = self.normal(*cursor);
        loop {
            let batch = self.batch_at(cursor.slot)?;
            if cursor.index < batch.count {
                return Some((batch.first, batch.count - cursor.index));
            }
            if batch.is_open() {
                return None;
            }
            self.pass(cursor);
        }
    }

    /// The reader's number in the batch that `unread` named.
    pub(crate) fn index(&self, cursor: Cursor) -> u32 {
        cursor.index
    }

    /// The reader has taken `count` messages of the batch it is in.
    pub(crate) fn advance(&mut self, cursor: &mut Cursor, count: u32) {
        cursor.index += count;
        let batch = self.batch_at(cursor.slot).expect("a reader advances in the batch it is in");
        assert!(cursor.index <= batch.count, "a reader takes no more than the batch has");
        if cursor.index == batch.count && !batch.is_open() {
            self.pass(cursor);
        }
    }

    /// Looks at a batch that is needed; asks the disk for it if it is only there.
    pub(crate) fn find(&mut self, first: Position) -> Found<'_> {
        let batch = self.batches.get_mut(&first).expect("a batch that is needed is one of the log's");
        if batch.lost {
            return Found::Lost;
        }
        if batch.records.is_none() && !batch.reading {
            batch.reading = true;
            self.requests.push_back(Request::Read { first });
        }
        match &batch.records {
            Some(records) => Found::Here { records, from_disk: batch.disk == Disk::Stored },
            None => Found::Awaited,
        }
    }

    /// Asks the disk for the batches that a reader will need after the one it is in.
    pub(crate) fn read_ahead(&mut self, cursor: Cursor) {
        let slots = cursor.slot + 1..(cursor.slot + 1 + READ_AHEAD_BATCHES as u64).min(self.spill_slot);
        let mut bytes_left = READ_AHEAD_BYTES;
        for slot in slots {
            let Some((first, bytes)) = self.batch_at(slot).map(|batch| (batch.first, batch.bytes)) else {
                return;
            };
            let Some(left) = bytes_left.checked_sub(bytes) else { return };
            bytes_left = left;
            self.find(first);
        }
    }

    /// Asks the disk for batches that are needed soon, the first of them at once: the others as far as they are of
    /// ordinary length together.
    pub(crate) fn find_all(&mut self, batches: impl Iterator<Item = Position>) {
        let mut bytes_left = None;
        for first in batches {
            let bytes = self.batches[&first].bytes;
            match bytes_left {
                None => bytes_left = Some(READ_AHEAD_BYTES.saturating_sub(bytes)),
                Some(left) if left < bytes => return,
                Some(left) => bytes_left = Some(left - bytes),
            }
            self.find(first);
        }
    }

    /// How many readers there are, for which the disk may be read ahead.
    pub(crate) fn set_readers(&mut self, readers: usize) {
        self.readers = readers;
    }

    fn pass(&mut self, cursor: &mut Cursor) {
        let batch = self.batch_at_mut(cursor.slot).expect("a reader passes the batch it is in");
        batch.unread_by -= 1;
        let done = batch.unread_by == 0;
        *cursor = Cursor { slot: cursor.slot + 1, index: 0 };
        if done {
            self.pop_read();
        }
    }

    /// Takes from the queue's front what every reader has passed. Readers pass in order, so it is always the front.
    fn pop_read(&mut self) {
        while let Some(first) = self.queue.front().copied() {
            let batch = &self.batches[&first];
            if batch.unread_by > 0 {
                return;
            }
            let (size, held, disk) = (batch.size(), batch.held, batch.disk);
            self.queue.pop_front();
            self.queue_base += 1;
            if self.spill_slot < self.queue_base {
                self.spill_slot = self.queue_base;
                self.unspilled.subtract(size);
            }
            if held == 0 {
                self.forget(first);
            } else if disk == Disk::Absent {
                self.behind.insert(first);
                self.behind_unspilled.add(size);
            }
        }
    }

    // ---- holding -------------------------------------------------------------------------------------

    /// `count` messages of the batch are held from now on.
    pub(crate) fn hold(&mut self, first: Position, count: u32) {
        self.batches.get_mut(&first).expect("a held batch is one of the log's").held += count;
    }

    /// A message of the batch is not held any more.
    pub(crate) fn release(&mut self, first: Position) {
        let batch = self.batches.get_mut(&first).expect("a held batch is one of the log's");
        batch.held -= 1;
        if batch.held == 0 && batch.unread_by == 0 {
            let size = batch.size();
            if self.behind.remove(&first) {
                self.behind_unspilled.subtract(size);
            }
            self.forget(first);
        }
    }

    /// Whether the newest batch stays only for readers: if all of them are at the end it can go.
    pub(crate) fn has_idle_last_batch(&self) -> bool {
        self.queue.back().and_then(|last| self.batches.get(last)).is_some_and(|last| last.held == 0)
    }

    /// Lets the newest batch go, which every reader has read.
    pub(crate) fn retire_last_batch(&mut self) {
        if let Some(last) = self.queue.back().and_then(|last| self.batches.get_mut(last)) {
            last.unread_by = 0;
            if let Some(records) = &mut last.records {
                records.close();
            }
            self.pop_read();
        }
    }

    /// Drops what stands from `cursor` to the end of the queue, whoever wanted to read it. Nobody has.
    pub(crate) fn truncate(&mut self, cursor: Cursor) {
        let cursor = self.normal(cursor);
        self.end_ordinal = self.ordinal(cursor);
        while self.end_slot() > cursor.slot {
            let slot = self.end_slot() - 1;
            let first = self.queue.pop_back().expect("the queue reaches to its end slot");
            if slot >= self.spill_slot {
                let size = self.batches[&first].size();
                self.unspilled.subtract(size);
            }
            self.forget(first);
        }
        self.spill_slot = self.spill_slot.min(cursor.slot);
    }

    /// Closes the open batch, so that what comes after stands in another.
    pub(crate) fn close_open_batch(&mut self) {
        let open = self.queue.back().and_then(|last| self.batches.get_mut(last));
        if let Some(records) = open.and_then(|open| open.records.as_mut()) {
            records.close();
        }
    }

    fn forget(&mut self, first: Position) {
        let batch = self.batches.remove(&first).expect("a batch is forgotten once");
        if batch.disk == Disk::Absent {
            return;
        }
        self.on_disk -= 1;
        self.writing.remove(&first);
        // A write that failed may have been done nevertheless.
        self.failed.remove(&first);
        self.refused.remove(&first);
        self.requests.push_back(Request::Drop { first });
    }

    // ---- helpers -------------------------------------------------------------------------------------

    fn end_slot(&self) -> u64 {
        self.queue_base + self.queue.len() as u64
    }

    fn normal(&self, cursor: Cursor) -> Cursor {
        if cursor.slot < self.queue_base { Cursor { slot: self.queue_base, index: 0 } } else { cursor }
    }

    fn batch_at(&self, slot: u64) -> Option<&Batch> {
        let first = self.queue.get(slot.checked_sub(self.queue_base)? as usize)?;
        self.batches.get(first)
    }

    fn batch_at_mut(&mut self, slot: u64) -> Option<&mut Batch> {
        let first = self.queue.get(slot.checked_sub(self.queue_base)? as usize)?;
        self.batches.get_mut(first)
    }
}

impl Batch {
    fn new(first: Position, mut records: Records) -> Self {
        if records.bytes().len() > crate::BATCH_BYTES_MAX / 2 {
            records.close();
        }
        Self {
            first,
            count: records.count(),
            bytes: records.bytes().len() as u64,
            ordinal: 0,
            unread_by: 0,
            held: 0,
            aside: false,
            timestamp_ns: records.first_timestamp_ns(),
            records: Some(records),
            disk: Disk::Absent,
            reading: false,
            lost: false,
        }
    }
}

impl Size {
    fn add(&mut self, other: Size) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }

    fn subtract(&mut self, other: Size) {
        self.messages -= other.messages;
        self.bytes -= other.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Publication;

    #[test]
    fn what_is_gone_leaves_no_trace() {
        let mut log = Log::new(MemoryLimits {
            messages_max: 100,
            bytes_max: 1 << 20,
            spills: true,
            write_through: false,
        });
        let mut reader = log.read_from_end();
        for _ in 0..100 {
            let mut publication = Publication::new(100);
            publication.push(&[0; 10_000], 0);
            for records in publication.into_parts().0 {
                log.append(records, 1);
            }
            let (first, count) = log.unread(&mut reader).unwrap();
            log.hold(first, count);
            log.advance(&mut reader, count);
            log.release(first);
        }
        assert!(log.batches.is_empty() && log.queue.is_empty() && log.requests.is_empty());
        assert!(log.behind.is_empty(), "{} batches are remembered", log.behind.len());
        assert_eq!((log.unspilled, log.behind_unspilled), (Size::default(), Size::default()));
    }
}
