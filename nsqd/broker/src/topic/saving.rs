//! What of a topic outlives the process.

use super::{Topic, UNFINISHED_PER_SAVE_INTERVAL};
use crate::channel::Channel;
use crate::id::IdGenerator;
use crate::log::Held;
use crate::storage::{Durability, Position, Progress, Request, TopicImage, WaitingDelay};
use crate::time::Now;

/// What it costs to read progress back, in messages: it is a record of its own.
const PROGRESS_COST: u64 = 16;

/// The state is saved whole again when the progress since costs this much more to read than the state, or more than
/// this in all.
const PROGRESS_FACTOR: u64 = 2;
const PROGRESS_COST_MIN: u64 = 512;

/// Where progress is saved apart from the state: what was saved of which.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    /// How many delays of the backlog are saved.
    waiting_saved: usize,
    /// What the progress since the state was saved costs to read.
    cost: u64,
}

impl Topic {
    /// Asks the store to keep the topic as it is now, without its messages in memory.
    pub fn request_save(&mut self, now: Now) {
        if self.stored {
            self.save_at_ns = None;
            if let Some(progress) = &mut self.progress {
                *progress = Unsaved { waiting_saved: self.backlog_deferred.len(), cost: 0 };
                self.channels.iter_mut().for_each(|(_, channel)| channel.forget_progress());
            }
            let image = self.image(now);
            self.log.request(Request::Save(image));
        }
    }

    /// Chooses what acknowledgements promise from now on. Returns whether that can be done: messages that are there cannot
    /// go from a log that is made to forget to one that is made to last, or back.
    pub fn choose_durability(&mut self, now: Now, durability: Durability) -> bool {
        let possible = self.durability().is_durable() == durability.is_durable();
        if possible && self.settings.chosen_durability != Some(durability) {
            self.settings.durability = durability;
            self.settings.chosen_durability = Some(durability);
            self.request_save(now);
        }
        possible
    }

    /// What was chosen; `None` if it is what the daemon's flags say.
    pub fn chosen_durability(&self) -> Option<Durability> {
        self.settings.chosen_durability
    }

    /// Asks the store to keep everything: the daemon is about to stop.
    pub fn request_save_all(&mut self, now: Now) {
        if self.stored {
            // Due times before their batches: the disk may refuse the state behind them.
            self.request_progress();
            self.log.spill_all();
            self.request_save(now);
        }
    }

    /// Asks the store to keep what changed: the state, or what became of messages since it was saved.
    pub(super) fn save_what_changed(&mut self, now: Now) {
        let unfinished = self.unfinished_len();
        match &self.progress {
            Some(progress) if progress.cost <= PROGRESS_COST_MIN.max(unfinished * PROGRESS_FACTOR) => {
                self.request_progress();
            }
            _ => self.request_save(now),
        }
    }

    /// Asks the store to keep what became of messages since this was asked last.
    pub(super) fn request_progress(&mut self) {
        let Some(saved) = &mut self.progress else { return };
        let waiting = self.backlog_deferred.get(saved.waiting_saved..).unwrap_or_default();
        let waiting: Vec<WaitingDelay> = waiting.iter().map(waiting_delay).collect();
        let log = &self.log;
        let channels: Vec<_> =
            self.channels.iter_mut().filter_map(|(_, channel)| channel.take_progress(log)).collect();
        if waiting.is_empty() && channels.is_empty() {
            return;
        }
        saved.waiting_saved = self.backlog_deferred.len();
        let entries = channels.iter().map(|channel| channel.finished.len() + channel.changed.len());
        saved.cost += PROGRESS_COST + (waiting.len() + entries.sum::<usize>()) as u64;
        self.save_at_ns = None;
        let (end, released) = (self.log.end(), self.released_position());
        let progress = Progress { end, released, last_id: self.ids.last(), waiting, channels };
        self.log.request(Request::Advance(progress));
    }

    /// The state beside the log changed: it is saved in a while, if there is anything on the disk that it is about.
    pub(super) fn changed(&mut self, now: Now) {
        if self.save_at_ns.is_none() && self.stored && self.log.uses_disk() {
            let intervals = match &self.progress {
                // Progress is as small as what was done since.
                Some(_) => 1,
                None => 1 + (self.unfinished_len() / UNFINISHED_PER_SAVE_INTERVAL).min(1000) as u32,
            };
            self.save_at_ns = Some(now.after(self.settings.save_interval * intervals));
        }
    }

    fn unfinished_len(&self) -> u64 {
        self.channels.iter().map(|(_, channel)| channel.unfinished_len()).sum()
    }

    fn released_position(&self) -> Position {
        self.backlog.map_or(self.log.end(), |backlog| self.log.position(backlog))
    }

    /// What a restart needs to know beside the log.
    pub(super) fn image(&self, now: Now) -> TopicImage {
        let lasting = self.by_name.iter().filter(|(name, _)| !name.is_ephemeral());
        TopicImage {
            name: self.settings.name,
            durability: self.settings.chosen_durability,
            paused: self.paused,
            end: self.log.end(),
            released: self.released_position(),
            last_id: self.ids.last(),
            waiting: self.backlog_deferred.iter().map(waiting_delay).collect(),
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
        // Progress speaks from a whole state on, and this one may hold what no state named.
        if self.progress.is_some() {
            self.request_save(now);
        }
    }
}

fn waiting_delay((held, delay_ns): &(Held, u64)) -> WaitingDelay {
    WaitingDelay { position: held.position(), delay_ns: *delay_ns }
}
