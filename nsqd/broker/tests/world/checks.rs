//! What must hold after every step, and at the end.

use std::collections::BTreeSet;

use nsqd_broker::ChannelStats;

use super::{DiskMood, MS, Number, Sessions, World, channel_name};

/// Longer than a disk that refused is left alone.
const RETRY_NS: u64 = 1_001 * MS;

impl World {
    /// The topic's figures are the model's.
    pub(super) fn check(&mut self) {
        let stats = self.topic.stats(self.now());
        assert_eq!(stats.depth, self.backlog.len() as u64, "depth of the topic");
        assert!(stats.backend_depth <= stats.depth);
        assert_eq!(stats.lost, 0);
        assert_eq!(stats.paused, self.paused);
        let oldest = self.backlog.iter().find(|(_, delay_ns)| delay_ns.is_none()).map(|(number, _)| *number);
        self.check_oldest(stats.oldest_age_ms, oldest.filter(|_| self.holds()));
        let names: Vec<&str> = stats.channels.iter().map(|channel| channel.name.as_str()).collect();
        assert_eq!(names, self.channels.keys().collect::<Vec<_>>());
        for channel in &stats.channels {
            self.check_channel(channel);
        }
    }

    fn check_channel(&mut self, stats: &ChannelStats) {
        let name = stats.name.as_str();
        let model = self.channels.get_mut(name).unwrap();
        let ready = model.ready.len() as u64;
        if !model.may_drop {
            assert_eq!(stats.depth, ready, "depth of {name}");
        }
        assert!(stats.depth <= ready, "depth of {name}: {} of {ready} are there", stats.depth);
        if stats.depth == 0 {
            model.ready.clear();
        }
        assert_eq!(stats.in_flight, model.in_flight.len() as u64, "in flight on {name}");
        assert_eq!(stats.deferred, model.deferred.len() as u64, "deferred on {name}");
        assert_eq!(stats.paused, model.paused);
        assert!(stats.backend_depth <= stats.depth);
        if !model.may_drop {
            let oldest = model.ready.keys().chain(model.in_flight.keys()).min().copied();
            self.check_oldest(stats.oldest_age_ms, oldest);
        }
        let model = &self.channels[name];
        for (key, consumer) in &stats.consumers {
            let known = self.consumers.iter().find(|(_, consumer)| consumer.key == *key);
            let (number, known) = known.expect("a known consumer");
            assert_eq!(consumer.in_flight, model.in_flight_of(*number));
            assert_eq!(consumer.ready_count, known.ready);
        }
    }

    /// The age is that of the oldest message; where it is on the disk only, it may be that of an older one that was
    /// published together with it, and where it was there when the daemon started, nobody need know.
    fn check_oldest(&self, age_ms: Option<u64>, oldest: Option<Number>) {
        let Some(oldest) = oldest else { return assert_eq!(age_ms, Some(0), "nothing waits") };
        let published_ns = self.published_ns[oldest as usize];
        let expected_ms = ((self.now_ns - published_ns) / MS).max(1);
        match age_ms {
            None => assert!(published_ns <= self.started_ns, "the age of {oldest} is not known"),
            Some(age_ms) if self.given_to_disk.contains(&oldest) || published_ns <= self.started_ns => {
                assert!(age_ms >= expected_ms, "{oldest} is {expected_ms} ms old, not {age_ms}");
            }
            Some(age_ms) => assert_eq!(age_ms, expected_ms, "the age of {oldest}"),
        }
    }

    fn memory_messages_max(&self) -> u64 {
        self.settings.memory_messages_max
    }

    /// After a publication: what is only in memory is within its limits.
    pub(super) fn check_kept_in_memory(&self) {
        let limit = self.memory_messages_max();
        for stats in self.topic.stats(self.now()).channels {
            let model = &self.channels[stats.name.as_str()];
            if self.is_ephemeral() || stats.name.is_ephemeral() {
                let ours = self.consumers.iter().filter(|(_, other)| other.channel == stats.name.as_str());
                let credit =
                    ours.map(|(number, consumer)| consumer.ready.saturating_sub(model.in_flight_of(*number)));
                let keep = limit.max(credit.sum());
                assert!(stats.depth <= keep, "{} of {keep} kept on {}", stats.depth, stats.name.as_str());
            }
        }
        if self.is_ephemeral() {
            return;
        }
        let lasting = self.channels.values().filter(|channel| !channel.may_drop);
        let in_flight: usize = self.channels.values().map(|channel| channel.in_flight.len()).sum();
        let unfinished: BTreeSet<Number> = lasting
            .flat_map(|channel| channel.unfinished().map(|(number, _)| number))
            .chain(self.backlog.keys().copied())
            .filter(|number| !self.given_to_disk.contains(number))
            .collect();
        // Those that somebody has yet to read and those that everybody has passed have a share each; what is in
        // flight stays in memory as long as there is any.
        // Without memory a copy may be there, and what waits for the disk to be done with what it is doing.
        if limit == 0 && !self.disk.is_idle() {
            return;
        }
        let most = if limit == 0 { 0 } else { 2 * limit as usize + in_flight };
        assert!(unfinished.len() <= most, "{} messages in memory only, at most {most}", unfinished.len());
    }

    /// Whether nothing happens any more until somebody does something or time passes.
    pub(crate) fn is_settled(&self) -> bool {
        self.disk.is_idle() && !self.disk.has_failed && self.who_should_ask().is_none()
    }

    /// Nobody with credit is left while messages are ready, once everything has settled.
    pub(crate) fn check_liveness(&self) {
        assert!(self.is_settled());
        for stats in self.topic.stats(self.now()).channels {
            let name = stats.name.as_str();
            if stats.paused || stats.depth == 0 {
                continue;
            }
            for (number, consumer) in self.consumers.iter().filter(|(_, other)| other.channel == name) {
                if !consumer.has_room {
                    continue;
                }
                let theirs = self.channels[name].in_flight_of(*number);
                let waiting = stats.depth;
                assert!(
                    theirs >= consumer.ready,
                    "consumer {number} of {name} has credit, {waiting} messages wait"
                );
            }
        }
    }

    /// The disk works, everybody who was woken asks, until nothing more happens.
    pub(crate) fn let_everything_settle(&mut self) {
        self.disk.mood = DiskMood::Works;
        if std::mem::take(&mut self.disk.has_failed) {
            self.let_disk_finish();
            self.advance(RETRY_NS);
        }
        while !self.disk.is_idle() || self.who_should_ask().is_some() {
            self.let_disk_finish();
            self.let_everybody_ask();
        }
        self.check_liveness();
    }

    /// Everything can be consumed: each channel gets a consumer that finishes all it is given. Nothing stays.
    pub(crate) fn drain(&mut self) {
        self.sessions = Sessions::AtOnce;
        self.pause_topic(false);
        self.channels_known(&[]);
        if self.channels.is_empty() {
            self.create_channel("last");
        }
        self.let_everything_settle();
        let others: Vec<usize> = self.consumers.keys().copied().collect();
        let names: Vec<String> = self.channels.keys().cloned().collect();
        let drains: Vec<(String, usize)> =
            names.into_iter().map(|name| (name.clone(), self.subscribe(&name, 0))).collect();
        for other in others {
            self.unsubscribe(other);
        }
        for (name, consumer) in drains {
            self.drain_channel(&name, consumer);
        }
        self.let_everything_settle();
        assert!(self.disk.stored.is_empty(), "nothing is left on the disk: {:?}", self.disk.stored.keys());
    }

    fn drain_channel(&mut self, name: &str, consumer: usize) {
        self.pause_channel(name, false);
        self.set_ready(consumer, 50);
        loop {
            self.let_everything_settle();
            self.finish_all(consumer);
            self.let_everything_settle();
            let channel = &self.channels[name];
            if !channel.ready.is_empty() || channel.in_flight_of(consumer) > 0 {
                continue;
            }
            let deadlines = channel.in_flight.values().map(|message| message.deadline_ns);
            let dues = channel.deferred.values().map(|message| message.due_ns);
            let Some(due_ns) = deadlines.chain(dues).max() else { break };
            self.advance(due_ns.saturating_sub(self.now_ns) + 2 * MS);
        }
        let stats = self.topic.stats(self.now());
        let left = stats.channels.iter().find(|channel| channel.name == channel_name(name)).unwrap();
        assert_eq!((left.depth, left.in_flight, left.deferred), (0, 0, 0));
    }
}
