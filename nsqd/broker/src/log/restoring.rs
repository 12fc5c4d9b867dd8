//! A log from the batches that were found on the disk.

use super::{Batch, Cursor, Disk, Log};
use crate::storage::{BatchSummary, Position};

impl Log {
    /// Takes up a batch that was found on the disk; they come in order of position, before any reader.
    pub(crate) fn restore(&mut self, found: BatchSummary) {
        let BatchSummary { first, count, bytes, aside } = found;
        let batch = Batch {
            first,
            count,
            bytes,
            ordinal: self.end_ordinal,
            unread_by: 0,
            held: 0,
            aside,
            records: None,
            disk: Disk::Stored,
            reading: false,
            lost: false,
            timestamp_ns: None,
        };
        self.batches.insert(first, batch);
        self.end = first + u64::from(count);
        self.on_disk += 1;
        if !aside {
            self.end_ordinal += u64::from(count);
            self.queue.push_back(first);
            self.spill_slot += 1;
        }
    }

    /// The log was at least this long before.
    pub(crate) fn restore_end(&mut self, end: Position) {
        self.end = self.end.max(end);
    }

    /// A reader at the first message of the queue that is at `position` or behind it.
    pub(crate) fn read_from_position(&mut self, position: Position) -> Cursor {
        let slot = self.queue.partition_point(|first| {
            let batch = &self.batches[first];
            batch.first + u64::from(batch.count) <= position
        });
        let index = self.queue.get(slot).map_or(0, |first| position.saturating_sub(*first) as u32);
        self.read_from(Cursor { slot: self.queue_base + slot as u64, index })
    }

    /// Forgets the restored batches that nobody reads or holds.
    pub(crate) fn forget_unneeded(&mut self) {
        self.pop_read();
        let unneeded: Vec<Position> = self
            .batches
            .values()
            .filter(|batch| batch.unread_by == 0 && batch.held == 0)
            .map(|batch| batch.first)
            .collect();
        for first in unneeded {
            self.forget(first);
        }
    }
}
