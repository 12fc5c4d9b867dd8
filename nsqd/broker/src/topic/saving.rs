//! What of a topic outlives the process.

use super::{Topic, UNFINISHED_PER_SAVE_INTERVAL};
use crate::channel::Channel;
use crate::id::IdGenerator;
use crate::log::Held;
use crate::storage::{Position, Request, TopicImage, WaitingDelay};
use crate::time::Now;

impl Topic {
    /// Asks the store to keep the topic as it is now, without its messages in memory.
    pub fn request_save(&mut self, now: Now) {
        if self.durable {
            self.save_at_ns = None;
            let image = self.image(now);
            self.log.request(Request::Save(image));
        }
    }

    /// Asks the store to keep everything: the daemon is about to stop.
    pub fn request_save_all(&mut self, now: Now) {
        if self.durable {
            self.log.spill_all();
            self.request_save(now);
        }
    }

    /// The state beside the log changed: it is saved in a while, if there is anything on the disk that it is about.
    pub(super) fn changed(&mut self, now: Now) {
        if self.save_at_ns.is_none() && self.durable && self.log.uses_disk() {
            let unfinished: u64 = self.channels.iter().map(|(_, channel)| channel.unfinished_len()).sum();
            let intervals = 1 + (unfinished / UNFINISHED_PER_SAVE_INTERVAL).min(1000) as u32;
            self.save_at_ns = Some(now.after(self.settings.save_interval * intervals));
        }
    }

    /// What a restart needs to know beside the log.
    pub(super) fn image(&self, now: Now) -> TopicImage {
        let lasting = self.by_name.iter().filter(|(name, _)| !name.is_ephemeral());
        TopicImage {
            name: self.settings.name,
            durability: None,
            paused: self.paused,
            end: self.log.end(),
            released: self.backlog.map_or(self.log.end(), |backlog| self.log.position(backlog)),
            last_id: self.ids.last(),
            waiting: self
                .backlog_deferred
                .iter()
                .map(|(held, delay_ns)| WaitingDelay { position: held.position(), delay_ns: *delay_ns })
                .collect(),
            channels: lasting.map(|(_, key)| self.channels[*key as usize].image(&self.log, now)).collect(),
        }
    }

    // ---- restoring (see `restore`) ---

    pub(crate) fn restore_ids(&mut self, last_id: u64) {
        self.ids = IdGenerator::new(self.settings.node_id, last_id);
    }

    pub(crate) fn restore_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    pub(crate) fn restore_expectation(&mut self, expects_channels: bool) {
        self.expects_channels = expects_channels;
    }

    pub(crate) fn restore_backlog(&mut self, released: Position) {
        // The backlog of a new topic began before any batch was restored, so none counts it.
        self.backlog = Some(self.log.read_from_position(released));
    }

    pub(crate) fn log_ordinal_released(&self) -> u64 {
        self.released()
    }

    pub(crate) fn restore_waiting(&mut self, held: Held, delay_ns: u64) {
        self.backlog_deferred.push((held, delay_ns));
    }

    pub(crate) fn channel_mut(&mut self, key: u32) -> &mut Channel {
        &mut self.channels[key as usize]
    }

    pub(crate) fn restored(&mut self, now: Now) {
        self.wake_at_ns = 0;
        self.handle_timeout(now);
    }
}
