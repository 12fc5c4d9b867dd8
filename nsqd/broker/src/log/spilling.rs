//! The log and the disk: what goes there, what comes back, and what became of it.

use super::{Disk, Log, READ_AHEAD_BATCHES, READ_AHEAD_BYTES, Size};
use crate::batch::Records;
use crate::storage::{Position, Request, StoredBatch};

/// While the disk is busy with a log, this many bytes of it are gathered to be written together next; more than that
/// does not wait.
const GATHER_BYTES_MAX: u64 = 64 * 1024;

impl Log {
    /// Gives the disk what is more than memory may hold; what is in flight may stay, and is only counted if need be.
    pub(crate) fn spill(&mut self, in_flight: impl FnOnce() -> u64) {
        if !self.limits.spills {
            return;
        }
        if self.limits.write_through {
            return self.write_through();
        }
        while self.over_limits(self.unspilled) && self.spill_slot < self.end_slot() {
            self.spill_next();
        }
        if self.behind_unspilled.messages <= self.limits.messages_max {
            return;
        }
        let messages_max = self.behind_messages_max(in_flight);
        while self.behind_unspilled.messages > messages_max {
            let Some(first) = self.behind.pop_first() else { break };
            self.spill_behind(first);
        }
    }

    /// Gives the disk all that it does not have. While it is busy with this log, small batches grow instead: those who
    /// publish one message at a time would have a batch for each.
    fn write_through(&mut self) {
        if self.is_to_be_written() {
            self.spill_unwritten();
        }
    }

    /// Whether [`spill`](Self::spill) would write messages that are kept aside.
    pub(crate) fn is_to_write_aside(&self) -> bool {
        self.limits.write_through && !self.behind.is_empty() && self.is_to_be_written()
    }

    fn is_to_be_written(&self) -> bool {
        self.writing.is_empty() || self.unspilled.bytes + self.behind_unspilled.bytes >= GATHER_BYTES_MAX
    }

    /// Whether messages for the queue would push others, or themselves, out of memory.
    pub(crate) fn needs_disk_for(&self, messages: u64, bytes: u64) -> bool {
        let mut size = Size { messages, bytes };
        size.add(self.unspilled);
        self.limits.spills && self.over_limits(size)
    }

    /// The same of messages that are kept aside from the queue.
    pub(crate) fn needs_disk_for_aside(&self, messages: u64, in_flight: impl FnOnce() -> u64) -> bool {
        let messages = self.behind_unspilled.messages + messages;
        self.limits.spills
            && messages > self.limits.messages_max
            && messages > self.behind_messages_max(in_flight)
    }

    /// How many messages beside the queue stay in memory: without memory everything is on the disk, in flight or not.
    fn behind_messages_max(&self, in_flight: impl FnOnce() -> u64) -> u64 {
        match self.limits.messages_max {
            0 => 0,
            messages => messages + in_flight(),
        }
    }

    /// Gives the disk everything that is still needed: the daemon is about to stop.
    pub(crate) fn spill_all(&mut self) {
        self.retry_failed();
        self.spill_unwritten();
    }

    fn spill_unwritten(&mut self) {
        while self.spill_slot < self.end_slot() {
            self.spill_next();
        }
        while let Some(first) = self.behind.pop_first() {
            self.spill_behind(first);
        }
    }

    fn spill_next(&mut self) {
        let first = self.queue[(self.spill_slot - self.queue_base) as usize];
        self.spill_slot += 1;
        let size = self.write(first);
        self.unspilled.subtract(size);
    }

    fn spill_behind(&mut self, first: Position) {
        let size = self.write(first);
        self.behind_unspilled.subtract(size);
    }

    pub(super) fn write(&mut self, first: Position) -> Size {
        let batch = self.batches.get_mut(&first).expect("a batch to be written is one of the log's");
        let records = batch.records.as_mut().expect("a batch that is not on the disk is in memory").share();
        if batch.disk == Disk::Absent {
            self.on_disk += 1;
        }
        batch.disk = Disk::Writing;
        self.writing.insert(first);
        let stored = StoredBatch { first, count: batch.count, aside: batch.aside, records };
        self.requests.push_back(Request::Append(stored));
        batch.size()
    }

    pub(super) fn over_limits(&self, size: Size) -> bool {
        size.messages > self.limits.messages_max || size.bytes > self.limits.bytes_max
    }

    pub(crate) fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    pub(crate) fn request(&mut self, request: Request) {
        self.requests.push_back(request);
    }

    pub(crate) fn handle_appended(&mut self, first: Position) {
        self.writing.remove(&first);
        self.refused.remove(&first);
        let is_next = self.limits.write_through && self.queue.len() < READ_AHEAD_BATCHES;
        let Some(batch) = self.batches.get_mut(&first) else { return };
        batch.disk = Disk::Stored;
        // What a reader is about to need is not read back at once.
        if is_next && batch.unread_by > 0 {
            self.keep_loaded(first);
        } else {
            batch.records = None;
        }
    }

    pub(crate) fn handle_append_failed(&mut self, first: Position) {
        if self.batches.contains_key(&first) {
            self.failed.insert(first);
            self.refused.insert(first);
        }
    }

    /// Asks again for every write that failed.
    pub(crate) fn retry_failed(&mut self) {
        for first in std::mem::take(&mut self.failed) {
            self.write(first);
        }
    }

    /// Takes a batch that was read back. One that is not needed any more is ignored.
    pub(crate) fn handle_read(&mut self, stored: StoredBatch) {
        let first = stored.first;
        let Some(batch) = self.batches.get_mut(&first) else { return };
        batch.reading = false;
        match Records::parse(stored.records, batch.count) {
            Some(records) => {
                batch.timestamp_ns = records.first_timestamp_ns();
                batch.records = Some(records);
            }
            None => return self.handle_lost(first),
        }
        self.keep_loaded(first);
    }

    /// A stored batch stays in memory as well, until enough others do.
    fn keep_loaded(&mut self, first: Position) {
        let bytes = self.batches.get(&first).map_or(0, |batch| batch.bytes);
        self.loaded.push_back((first, bytes));
        self.loaded_bytes += bytes;
        let shares = self.readers + 1;
        let most = shares * (READ_AHEAD_BATCHES + 1);
        // Each reader needs one, and one for what was requeued, however long it is, or it would never go on.
        let least = 2 * shares;
        while self.loaded.len() > most
            || (self.loaded.len() > least && self.loaded_bytes > READ_AHEAD_BYTES * shares as u64)
        {
            let Some((oldest, bytes)) = self.loaded.pop_front() else { return };
            self.loaded_bytes -= bytes;
            if let Some(oldest) = self.batches.get_mut(&oldest).filter(|batch| batch.disk == Disk::Stored) {
                oldest.records = None;
            }
        }
    }

    pub(crate) fn handle_read_failed(&mut self, first: Position) {
        if let Some(batch) = self.batches.get_mut(&first) {
            batch.reading = false;
        }
    }

    pub(crate) fn handle_lost(&mut self, first: Position) {
        if let Some(batch) = self.batches.get_mut(&first) {
            batch.reading = false;
            batch.lost = true;
            self.lost_messages += u64::from(batch.count);
        }
    }
}
