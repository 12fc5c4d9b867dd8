//! How long the oldest message of a channel has waited. Nothing is searched for it, and the disk is not asked.

use super::Channel;
use crate::log::Log;
use crate::time::Now;

impl Channel {
    /// How long ago the oldest message was published that is to be delivered or is not finished, in milliseconds: 0
    /// exactly when there is none. What is deferred does not count. `None` where it is not known: its batch is only on
    /// the disk, and was there when the daemon started.
    pub(super) fn oldest_age_ms(&self, log: &Log, released: u64, now: Now) -> Option<u64> {
        let in_flight =
            self.in_flight.oldest().map(|entry| (entry.held.position(), Some(entry.timestamp_ns)));
        let requeued = self.requeued.oldest();
        let requeued = requeued.map(|held| (held.position(), log.timestamp_ns(held.batch, held.index)));
        let unread = log.next_message(self.cursor, released);
        let unread = unread.map(|(batch, index)| (batch + u64::from(index), log.timestamp_ns(batch, index)));
        // Positions only grow, as time does.
        let oldest =
            [in_flight, requeued, unread].into_iter().flatten().min_by_key(|(position, _)| *position);
        match oldest {
            None => Some(0),
            Some((_, published)) => published.map(|published| now.age_ms(published)),
        }
    }
}
