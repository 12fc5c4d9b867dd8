//! A topic that holds: what is published waits in its backlog until channels may see it.
//!
//! Why it holds stands in one place, [`Topic::hold_or_release`]: it is paused, it has no channel, or it expects some.

use nsq::wire::name::ChannelName;

use super::Topic;
use crate::time::Now;

impl Topic {
    /// Holds from now on until [`channels_known`](Self::channels_known): other daemons may have channels of this topic,
    /// and a channel that comes later would miss what those before it were given.
    pub fn expect_channels(&mut self, now: Now) {
        self.expects_channels = true;
        self.hold_or_release(now);
    }

    /// Whether the topic holds for channels that may come.
    pub fn expects_channels(&self) -> bool {
        self.expects_channels
    }

    /// The expected channels are these: makes those that are not there, and holds no longer for them.
    pub fn channels_known(&mut self, now: Now, names: impl IntoIterator<Item = ChannelName>) {
        self.expects_channels = false;
        self.create_channels(now, names);
    }

    /// Makes several channels, where there are none of their names. All of them see what waited.
    pub fn create_channels(&mut self, now: Now, names: impl IntoIterator<Item = ChannelName>) {
        // Else the first of them would get everything before the next is there.
        let expects_others = std::mem::replace(&mut self.expects_channels, true);
        for name in names {
            self.create_channel(now, name);
        }
        self.expects_channels = expects_others;
        self.hold_or_release(now);
        // What was saved with each of them says that the topic holds.
        self.request_save(now);
    }

    /// Stops or resumes handing messages to channels.
    pub fn pause(&mut self, now: Now, paused: bool) {
        self.paused = paused;
        self.hold_or_release(now);
        self.request_save(now);
    }

    /// Drops what waits in the topic; what channels have is untouched.
    pub fn empty(&mut self, now: Now) {
        if let Some(backlog) = self.backlog {
            self.log.truncate(backlog);
            for (held, _) in std::mem::take(&mut self.backlog_deferred) {
                self.log.release(held.batch);
            }
        }
        self.request_save(now);
    }

    /// How long the oldest message of the backlog has waited.
    pub(super) fn oldest_age_ms(&self, now: Now) -> Option<u64> {
        let oldest = self.backlog.and_then(|backlog| self.log.next_message(backlog, self.log.end_ordinal()));
        oldest.map_or(Some(0), |(batch, index)| {
            self.log.timestamp_ns(batch, index).map(|published| now.age_ms(published))
        })
    }

    /// Brings the backlog in line with whether the topic should hold.
    pub(crate) fn hold_or_release(&mut self, now: Now) {
        let should_hold = self.paused || self.expects_channels || self.channels.is_empty();
        match self.backlog {
            None if should_hold => {
                self.log.close_open_batch();
                for (_, channel) in &mut self.channels {
                    channel.pass_read_batch(&mut self.log);
                }
                self.backlog = Some(self.log.read_from_end());
            }
            Some(backlog) if !should_hold => {
                self.backlog = None;
                self.log.stop_reading(backlog);
                self.release_deferred(now);
                self.after_release();
            }
            _ => {}
        }
    }

    fn release_deferred(&mut self, now: Now) {
        for (held, delay_ns) in std::mem::take(&mut self.backlog_deferred) {
            let due_ns = now.monotonic_ns.saturating_add(delay_ns);
            self.log.hold(held.batch, self.channels.len() as u32);
            for (_, channel) in &mut self.channels {
                channel.defer(due_ns, held, now);
            }
            self.log.release(held.batch);
            self.wake_at_ns = self.wake_at_ns.min(due_ns);
        }
    }

    /// How many messages more wait in a topic that holds and has no disk. The rest is dropped, the newest first: what
    /// waits stands behind the released position, and must not be moved before it.
    pub(super) fn backlog_room(&self) -> u32 {
        let room = self.settings.memory_messages_max.saturating_sub(self.waiting());
        u32::try_from(room).unwrap_or(u32::MAX)
    }
}
