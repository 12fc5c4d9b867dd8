//! A consumer of a channel: what it may be given, and what it did.

use std::time::Duration;

use crate::chain::Chain;

/// What a consumer asked for when it introduced itself.
#[derive(Debug, Clone)]
pub struct ConsumerSettings {
    /// How long it may keep a message before another gets it.
    pub msg_timeout: Duration,
    /// How near it is: of those that wait, the nearest are woken first.
    pub locality: Locality,
    /// How many per cent of the messages it wants, 1 to 99; the others are dropped for it. 0: all.
    pub sample_rate: u8,
}

/// How near a consumer is to the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Locality {
    /// In the same zone.
    Zone,
    /// In the same region.
    Region,
    /// Somewhere else, or nobody looks.
    #[default]
    Elsewhere,
}

impl Locality {
    /// How many there are. As a number each is below that, the nearer the smaller.
    pub(crate) const COUNT: usize = 3;
}

/// A consumer's counters, since it subscribed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConsumerStats {
    /// How many messages it may have in flight.
    pub ready_count: u64,
    /// How many it has.
    pub in_flight: u64,
    /// Messages sent to it, repeats included.
    pub messages: u64,
    /// Messages it finished.
    pub finished: u64,
    /// Messages it gave back.
    pub requeued: u64,
}

/// Whether a consumer is about to ask for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attention {
    /// It is busy, or may have nothing more.
    Away,
    /// It asked, got nothing, and wants to be woken.
    Waiting,
    /// It was woken and has not asked yet.
    Woken,
}

#[derive(Debug)]
pub(crate) struct Consumer {
    /// Tells it from one that has the same number later.
    pub(crate) serial: u64,
    pub(crate) settings: ConsumerSettings,
    pub(crate) stats: ConsumerStats,
    pub(crate) attention: Attention,
    /// Whether it stands in the channel's line of those that wait; it may have lost interest since.
    pub(crate) in_line: bool,
    /// Its messages in flight.
    pub(crate) owned: Chain,
    lot: u64,
}

impl Consumer {
    pub(crate) fn new(serial: u64, settings: ConsumerSettings) -> Self {
        Self {
            serial,
            settings,
            stats: ConsumerStats::default(),
            attention: Attention::Away,
            in_line: false,
            owned: Chain::default(),
            lot: serial,
        }
    }

    /// How near it is, as a number.
    pub(crate) fn locality(&self) -> usize {
        self.settings.locality as usize
    }

    /// How many messages more it may have.
    pub(crate) fn credit(&self) -> u64 {
        self.stats.ready_count.saturating_sub(self.stats.in_flight)
    }

    /// Draws the lot for one message: whether the consumer is to get it.
    pub(crate) fn wants_next(&mut self) -> bool {
        let rate = u64::from(self.settings.sample_rate);
        rate == 0 || self.draw() % 100 < rate
    }

    /// The next number of a SplitMix64 sequence: even enough for sampling, and the same in every run.
    fn draw(&mut self) -> u64 {
        self.lot = self.lot.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.lot;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_as_large_as_was_asked_for() {
        for rate in [0, 1, 50, 99] {
            let settings = ConsumerSettings {
                msg_timeout: Duration::from_secs(60),
                locality: Locality::Elsewhere,
                sample_rate: rate,
            };
            let mut consumer = Consumer::new(7, settings);
            let wanted = (0..100_000).filter(|_| consumer.wants_next()).count();
            let expected = if rate == 0 { 100_000 } else { usize::from(rate) * 1000 };
            assert!(wanted.abs_diff(expected) <= 500, "{wanted} at {rate} %");
        }
    }
}
