//! A topic, a disk and a naive model of both, driven step by step.
//!
//! The model keeps, for each channel, plain maps of what is ready, in flight and deferred. After every step the
//! topic's figures must be the model's, and every delivery must be one that the model allows. Where the topic may
//! drop messages (ephemeral names, samples), what the model has ready is an upper bound.
//!
//! - `channel`: what the model knows of a channel.
//! - `consumers`: what consumers do, and what they are given.
//! - `disk`: requests carried out late, refused, or half done.
//! - `restart`: clean stops, crashes, and what must be there after each.
//! - `checks`: what must hold after every step, and at the end.

#![expect(clippy::unwrap_used, reason = "a test's support panics where a test would")]
#![allow(dead_code, reason = "each test uses its own part of this")]

mod channel;
mod checks;
mod consumers;
mod disk;
mod restart;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nsq::wire::message::MessageId;
use nsq::wire::name::{ChannelName, TopicName};
use nsqd_broker::storage::{Durability, Position};
use nsqd_broker::{Now, Publication, Topic, TopicSettings};

use self::channel::ModelChannel;
use self::consumers::ModelConsumer;
use self::disk::Disk;
pub(crate) use self::disk::DiskMood;

pub(crate) const MS: u64 = 1_000_000;

/// When the world began, in nanoseconds of Unix time.
const BEGIN_UNIX_NS: i64 = 1_800_000_000_000_000_000;

/// A message as the model knows it: the number in its body.
pub(crate) type Number = u64;

/// Who runs a consumer that should ask for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sessions {
    /// It asks at once, until there is nothing more.
    AtOnce,
    /// It asks when the test says so.
    Later,
}

pub(crate) struct World {
    pub(crate) topic: Topic,
    settings: TopicSettings,
    pub(crate) sessions: Sessions,
    pub(crate) disk: Disk,
    /// Nanoseconds since the world began.
    pub(crate) now_ns: u64,
    /// When the process that the topic lives in was started: its monotonic clock begins there.
    started_ns: u64,
    /// Counts what was done, to tell what came before what.
    step: u64,

    // The model.
    next_number: Number,
    /// When each number was published, by number.
    published_ns: Vec<u64>,
    backlog: BTreeMap<Number, Option<u64>>,
    paused: bool,
    expects_channels: bool,
    pub(crate) channels: BTreeMap<String, ModelChannel>,
    pub(crate) consumers: BTreeMap<usize, ModelConsumer>,
    next_consumer: usize,
    /// Messages that were published with a delay: they have no place in the order of first deliveries.
    delayed: BTreeSet<Number>,
    /// The time stamp and id that each message was seen with.
    identities: BTreeMap<Number, (i64, MessageId)>,
    /// Messages whose publisher was told that they are safe, where that means on the disk.
    safe: BTreeSet<Number>,
    /// Publications that wait to be safe: the end of the log after each, and its messages.
    unsafe_yet: Vec<(Position, std::ops::Range<Number>)>,
    /// Messages that the topic has given to the disk since it was started.
    given_to_disk: BTreeSet<Number>,
}

impl World {
    pub(crate) fn new(settings: TopicSettings, sessions: Sessions) -> Self {
        let mut world = Self {
            topic: Topic::new(settings.clone()),
            settings,
            sessions,
            disk: Disk::default(),
            now_ns: 1_000 * MS,
            started_ns: 1_000 * MS,
            step: 0,
            next_number: 0,
            published_ns: Vec::new(),
            backlog: BTreeMap::new(),
            paused: false,
            expects_channels: false,
            channels: BTreeMap::new(),
            consumers: BTreeMap::new(),
            next_consumer: 0,
            delayed: BTreeSet::new(),
            identities: BTreeMap::new(),
            safe: BTreeSet::new(),
            unsafe_yet: Vec::new(),
            given_to_disk: BTreeSet::new(),
        };
        world.topic.request_save(world.now());
        world.settle();
        world
    }

    /// What a durable topic is made with, unless a test wants something else.
    pub(crate) fn settings(memory_messages_max: u64) -> TopicSettings {
        TopicSettings {
            name: TopicName::parse("topic").unwrap(),
            node_id: 7,
            durability: if memory_messages_max == 0 { Durability::Os } else { Durability::Memory },
            chosen_durability: None,
            memory_messages_max,
            channel_consumers_max: 0,
            requeue_on_disconnect: true,
            latency_window: None,
            save_interval: Duration::from_secs(2),
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now { monotonic_ns: self.now_ns - self.started_ns, unix_ns: BEGIN_UNIX_NS + self.now_ns as i64 }
    }

    pub(crate) fn is_ephemeral(&self) -> bool {
        self.settings.name.is_ephemeral()
    }

    // ---- publishing ----------------------------------------------------------------------------------

    /// Publishes, unless the daemon would make the publisher wait for the disk. With a delay, each message has a
    /// millisecond more than the one before it.
    pub(crate) fn publish(&mut self, count: usize, body_bytes: usize, delay_ms: u64) {
        let numbers = self.next_number..self.next_number + count as u64;
        let first = self.next_number;
        let delay_ns = |number: u64| (delay_ms > 0).then_some((delay_ms + number - first) * MS);
        let mut publication = Publication::new(self.settings.memory_messages_max);
        for number in numbers.clone() {
            let mut body = number.to_be_bytes().to_vec();
            body.resize(8 + body_bytes, b'x');
            match delay_ns(number) {
                Some(delay_ns) => publication.push_deferred(&body, 0, Duration::from_nanos(delay_ns)),
                None => publication.push(&body, 0),
            }
        }
        if !self.disk.has_room() && self.topic.needs_disk_for(&publication) {
            return;
        }
        self.next_number = numbers.end;
        self.published_ns.resize(numbers.end as usize, self.now_ns);
        let published = self.topic.publish(self.now(), publication);
        let accepted = published.is_ok();
        if accepted {
            // An ephemeral topic that holds its messages drops what is too much.
            let room = match self.is_ephemeral() && self.holds() {
                true => (self.settings.memory_messages_max as usize).saturating_sub(self.backlog.len()),
                false => usize::MAX,
            };
            for number in numbers.clone().take(room) {
                let delay_ns = delay_ns(number);
                self.delayed.extend(delay_ns.map(|_| number));
                if self.holds() {
                    self.backlog.insert(number, delay_ns);
                } else {
                    self.receive(number, delay_ns);
                }
            }
            if self.settings.memory_messages_max == 0 && !self.is_ephemeral() {
                self.unsafe_yet.push((self.topic.end(), numbers));
            }
        } else {
            assert!(self.disk.has_failed, "only a failing disk is a reason to refuse");
        }
        self.note_outputs();
        if accepted {
            self.check_kept_in_memory();
        }
        self.settle();
    }

    pub(super) fn holds(&self) -> bool {
        self.paused || self.expects_channels || self.channels.is_empty()
    }

    fn receive(&mut self, number: Number, delay_ns: Option<u64>) {
        for channel in self.channels.values_mut() {
            channel.finished.remove(&number);
            match delay_ns {
                None => drop(channel.ready.insert(number, 0)),
                Some(delay_ns) => channel.defer(number, self.now_ns, self.now_ns + delay_ns, 0),
            }
        }
    }

    fn release_backlog(&mut self) {
        if !self.holds() {
            for (number, delay_ns) in std::mem::take(&mut self.backlog) {
                self.receive(number, delay_ns);
            }
        }
    }

    // ---- topic and channels --------------------------------------------------------------------------

    pub(crate) fn create_channel(&mut self, name: &str) {
        self.topic.create_channel(self.now(), channel_name(name));
        self.note_channel(name);
        self.release_backlog();
        self.settle();
    }

    fn note_channel(&mut self, name: &str) {
        let may_drop = self.is_ephemeral() || channel_name(name).is_ephemeral();
        self.channels.entry(name.to_owned()).or_insert_with(|| ModelChannel::new(may_drop));
    }

    pub(crate) fn expect_channels(&mut self) {
        self.topic.expect_channels(self.now());
        self.expects_channels = true;
        self.settle();
    }

    pub(crate) fn channels_known(&mut self, names: &[&str]) {
        self.topic.channels_known(self.now(), names.iter().map(|name| channel_name(name)));
        names.iter().for_each(|name| self.note_channel(name));
        self.expects_channels = false;
        self.release_backlog();
        self.settle();
    }

    pub(crate) fn delete_channel(&mut self, name: &str) {
        let deleted = self.topic.delete_channel(self.now(), &channel_name(name));
        let theirs = self.consumers.values().filter(|consumer| consumer.channel == name).count();
        assert_eq!(deleted.map(|consumers| consumers.len()), self.channels.get(name).map(|_| theirs));
        self.forget_channel(name);
        self.settle();
    }

    fn forget_channel(&mut self, name: &str) {
        self.channels.remove(name);
        self.consumers.retain(|_, consumer| consumer.channel != name);
    }

    pub(crate) fn pause_topic(&mut self, paused: bool) {
        self.topic.pause(self.now(), paused);
        self.paused = paused;
        self.release_backlog();
        self.settle();
    }

    pub(crate) fn pause_channel(&mut self, name: &str, paused: bool) {
        let found = self.topic.pause_channel(self.now(), &channel_name(name), paused);
        assert_eq!(found, self.channels.contains_key(name));
        if let Some(channel) = self.channels.get_mut(name) {
            channel.paused = paused;
        }
        self.settle();
    }

    pub(crate) fn empty_topic(&mut self) {
        self.topic.empty(self.now());
        self.backlog.clear();
        self.settle();
    }

    pub(crate) fn empty_channel(&mut self, name: &str) {
        let found = self.topic.empty_channel(self.now(), &channel_name(name));
        assert_eq!(found, self.channels.contains_key(name));
        if let Some(channel) = self.channels.get_mut(name) {
            channel.empty(self.step, self.now_ns);
        }
        self.settle();
    }

    // ---- time ----------------------------------------------------------------------------------------

    /// Time passes, and the timer rings whenever the topic asked for it.
    pub(crate) fn advance(&mut self, ns: u64) {
        let target = self.now_ns + ns;
        let monotonic_target = target - self.started_ns;
        while let Some(at) = self.topic.poll_timeout().filter(|at| *at <= monotonic_target) {
            self.now_ns = self.now_ns.max(self.started_ns + at);
            self.tick();
        }
        self.now_ns = target;
        self.tick();
    }

    /// Time passes, and the timer has yet to ring.
    pub(crate) fn dawdle(&mut self, ns: u64) {
        self.now_ns += ns;
    }

    fn tick(&mut self) {
        self.topic.handle_timeout(self.now());
        let monotonic_ns = self.now().monotonic_ns;
        let started_ns = self.started_ns;
        // Time-outs are kept in whole milliseconds, never early.
        let reached = |at: u64| at.saturating_sub(started_ns).div_ceil(MS) * MS <= monotonic_ns;
        for channel in self.channels.values_mut() {
            channel.time_out(reached);
            channel.undefer(self.now_ns);
        }
        self.settle();
    }

    // ---- what follows from each step -----------------------------------------------------------------

    /// Takes what the topic asks for, and checks that its figures are the model's.
    fn settle(&mut self) {
        self.step += 1;
        self.note_outputs();
        self.check();
        if self.sessions == Sessions::AtOnce {
            self.let_everybody_ask();
        }
    }

    fn note_outputs(&mut self) {
        while let Some(request) = self.topic.poll_store() {
            assert!(!self.is_ephemeral(), "an ephemeral topic asks nothing of the disk: {request:?}");
            self.given_to_disk.extend(self.disk.push(self.step, request));
        }
        while let Some(key) = self.topic.poll_wake() {
            let woken = self.consumers.values_mut().find(|consumer| consumer.key == key);
            if let Some(consumer) = woken {
                consumer.should_ask = true;
            }
        }
        let Self { topic, safe, unsafe_yet, .. } = self;
        unsafe_yet.retain(|(end, numbers)| {
            let is_stored = topic.is_stored(*end);
            if is_stored {
                safe.extend(numbers.clone());
            }
            // The publisher is told of a failure and waits no longer.
            !is_stored && !topic.is_store_failing()
        });
    }
}

fn channel_name(name: &str) -> ChannelName {
    ChannelName::parse(name).unwrap()
}
