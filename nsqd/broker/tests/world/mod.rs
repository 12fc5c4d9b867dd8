//! A topic, a disk and a naive model of both, driven step by step.
//!
//! The model keeps, for each channel, plain maps of what is ready, in flight and deferred. After every step the
//! topic's figures must be the model's, and every delivery must be one that the model allows.

#![expect(clippy::unwrap_used, reason = "a test's support panics where a test would")]

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use nsq::wire::message::{MESSAGE_FRAME_HEADER_BYTES, MessageId};
use nsq::wire::name::{ChannelName, TopicName};
use nsqd_broker::storage::{BatchSummary, Event, Position, Request, StoredBatch, TopicImage};
use nsqd_broker::{AckError, ConsumerKey, ConsumerSettings, Now, Publication, Topic, TopicSettings};

pub(crate) const MSG_TIMEOUT: Duration = Duration::from_secs(60);
const MS: u64 = 1_000_000;

/// A message as the model knows it: the number in its body, and how often it was delivered on a channel.
type Number = u64;

#[derive(Debug, Default, Clone)]
pub(crate) struct ModelChannel {
    pub(crate) ready: BTreeMap<Number, u16>,
    pub(crate) in_flight: HashMap<Number, InFlight>,
    pub(crate) deferred: BTreeMap<Number, Deferred>,
    pub(crate) paused: bool,
    /// First deliveries must come in publish order: the newest number that was delivered for the first time.
    newest_first_delivery: Option<Number>,
    pub(crate) consumers: Vec<usize>,
    pub(crate) messages: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct InFlight {
    pub(crate) id: MessageId,
    pub(crate) consumer: usize,
    pub(crate) attempts: u16,
    pub(crate) delivered_ns: u64,
    pub(crate) deadline_ns: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Deferred {
    pub(crate) due_ns: u64,
    pub(crate) attempts: u16,
}

#[derive(Debug)]
pub(crate) struct ModelConsumer {
    pub(crate) key: ConsumerKey,
    pub(crate) channel: String,
    pub(crate) ready: u64,
    /// It asked and got nothing, and waits to be woken.
    pub(crate) waits: bool,
}

/// What the disk does with the next requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskMood {
    Works,
    Refuses,
}

pub(crate) struct World {
    pub(crate) topic: Topic,
    settings: TopicSettings,
    pub(crate) now_ns: u64,
    // the disk
    pub(crate) queue: VecDeque<Request>,
    pub(crate) stored: BTreeMap<Position, StoredBatch>,
    pub(crate) image: Option<TopicImage>,
    pub(crate) mood: DiskMood,
    // the model
    next_number: Number,
    pub(crate) backlog: BTreeMap<Number, Option<u64>>,
    delayed: HashSet<Number>,
    pub(crate) paused: bool,
    pub(crate) channels: BTreeMap<String, ModelChannel>,
    pub(crate) consumers: HashMap<usize, ModelConsumer>,
    next_consumer: usize,
    pub(crate) finished: u64,
}

impl World {
    pub(crate) fn new(memory_messages_max: u64) -> Self {
        let settings = TopicSettings {
            name: TopicName::parse("topic").unwrap(),
            node_id: 7,
            memory_messages_max,
            channel_consumers_max: 0,
            requeue_on_disconnect: true,
            latency_window: None,
            save_interval: Duration::from_secs(2),
        };
        Self {
            topic: Topic::new(settings.clone()),
            settings,
            now_ns: 1_000 * MS,
            queue: VecDeque::new(),
            stored: BTreeMap::new(),
            image: None,
            mood: DiskMood::Works,
            next_number: 0,
            backlog: BTreeMap::new(),
            delayed: HashSet::new(),
            paused: false,
            channels: BTreeMap::new(),
            consumers: HashMap::new(),
            next_consumer: 0,
            finished: 0,
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now { monotonic_ns: self.now_ns, unix_ns: 1_800_000_000_000_000_000 + self.now_ns as i64 }
    }

    // ---- commands ------------------------------------------------------------------------------------

    pub(crate) fn publish(&mut self, count: usize, body_bytes: usize, delay_ms: u64) {
        let mut publication = Publication::new(self.settings.memory_messages_max);
        for number in self.next_number..self.next_number + count as u64 {
            let mut body = number.to_be_bytes().to_vec();
            body.resize(8 + body_bytes, b'x');
            publication.push(&body, 0);
        }
        let accepted = self.topic.publish(self.now(), publication, Duration::from_millis(delay_ms)).is_ok();
        for _ in 0..count {
            let number = self.next_number;
            self.next_number += 1;
            if !accepted {
                continue;
            }
            let delay = (delay_ms > 0).then_some(delay_ms * MS);
            if delay.is_some() {
                self.delayed.insert(number);
            }
            if self.holds() {
                self.backlog.insert(number, delay);
            } else {
                self.receive(number, delay);
            }
        }
        self.settle();
    }

    fn holds(&self) -> bool {
        self.paused || self.channels.is_empty()
    }

    fn receive(&mut self, number: Number, delay_ns: Option<u64>) {
        for channel in self.channels.values_mut() {
            channel.messages += 1;
            match delay_ns {
                None => {
                    channel.ready.insert(number, 0);
                }
                Some(delay) => {
                    let due_ns = self.now_ns + delay;
                    channel.deferred.insert(number, Deferred { due_ns, attempts: 0 });
                }
            }
        }
    }

    fn release_backlog(&mut self) {
        if !self.holds() {
            for (number, delay) in std::mem::take(&mut self.backlog) {
                self.receive(number, delay);
            }
        }
    }

    pub(crate) fn create_channel(&mut self, name: &str) {
        self.topic.create_channel(self.now(), ChannelName::parse(name).unwrap());
        self.channels.entry(name.to_owned()).or_default();
        self.release_backlog();
        self.settle();
    }

    pub(crate) fn delete_channel(&mut self, name: &str) {
        let deleted = self.topic.delete_channel(self.now(), &ChannelName::parse(name).unwrap());
        assert_eq!(deleted.is_some(), self.channels.remove(name).is_some());
        self.consumers.retain(|_, consumer| consumer.channel != name);
        self.settle();
    }

    pub(crate) fn pause_topic(&mut self, paused: bool) {
        self.topic.pause(self.now(), paused);
        self.paused = paused;
        self.release_backlog();
        self.settle();
    }

    pub(crate) fn pause_channel(&mut self, name: &str, paused: bool) {
        let found = self.topic.pause_channel(self.now(), &ChannelName::parse(name).unwrap(), paused);
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
        let found = self.topic.empty_channel(self.now(), &ChannelName::parse(name).unwrap());
        assert_eq!(found, self.channels.contains_key(name));
        if let Some(channel) = self.channels.get_mut(name) {
            channel.ready.clear();
            channel.in_flight.clear();
            channel.deferred.clear();
        }
        self.settle();
    }

    pub(crate) fn subscribe(&mut self, name: &str, ready: u64) -> usize {
        self.create_channel(name);
        let channel = self.topic.channel(&ChannelName::parse(name).unwrap()).unwrap();
        let settings = ConsumerSettings { msg_timeout: MSG_TIMEOUT, sample_rate: 0 };
        let key = self.topic.subscribe(channel, settings).unwrap();
        let consumer = self.next_consumer;
        self.next_consumer += 1;
        self.consumers
            .insert(consumer, ModelConsumer { key, channel: name.to_owned(), ready: 0, waits: false });
        self.channels.get_mut(name).unwrap().consumers.push(consumer);
        self.set_ready(consumer, ready);
        consumer
    }

    pub(crate) fn set_ready(&mut self, consumer: usize, ready: u64) {
        let Some(model) = self.consumers.get_mut(&consumer) else { return };
        model.ready = ready;
        self.topic.set_ready(model.key, ready);
        self.deliver(consumer, usize::MAX);
    }

    pub(crate) fn unsubscribe(&mut self, consumer: usize) {
        let Some(gone) = self.consumers.remove(&consumer) else { return };
        self.topic.unsubscribe(self.now(), gone.key);
        let channel = self.channels.get_mut(&gone.channel).unwrap();
        channel.consumers.retain(|other| *other != consumer);
        let theirs: Vec<Number> = channel
            .in_flight
            .iter()
            .filter(|(_, message)| message.consumer == consumer)
            .map(|(number, _)| *number)
            .collect();
        for number in theirs {
            let message = channel.in_flight.remove(&number).unwrap();
            channel.ready.insert(number, message.attempts);
        }
        self.settle();
    }

    /// Asks for messages until there are none, as a session does.
    pub(crate) fn deliver(&mut self, consumer: usize, bytes_max: usize) -> usize {
        let mut delivered = 0;
        loop {
            let Some(model) = self.consumers.get_mut(&consumer) else { return delivered };
            let (key, name) = (model.key, model.channel.clone());
            let mut frames: Vec<(Vec<u8>, u16)> = Vec::new();
            let now = self.now();
            let again = self.topic.deliver(now, key, bytes_max, |delivery| {
                let mut frame = Vec::new();
                delivery.write_to(&mut frame);
                frames.push((frame, delivery.attempts));
            });
            delivered += frames.len();
            for (frame, attempts) in frames {
                self.check_delivery(consumer, &name, &frame, attempts);
            }
            if !again {
                self.consumers.get_mut(&consumer).unwrap().waits = true;
                self.settle();
                return delivered;
            }
        }
    }

    fn check_delivery(&mut self, consumer: usize, name: &str, frame: &[u8], attempts: u16) {
        let size = u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize;
        assert_eq!(frame.len(), 4 + size);
        assert_eq!(u16::from_be_bytes(frame[16..18].try_into().unwrap()), attempts);
        let id = MessageId(frame[18..34].try_into().unwrap());
        let body = &frame[MESSAGE_FRAME_HEADER_BYTES..];
        let number = Number::from_be_bytes(body[..8].try_into().unwrap());
        assert!(body[8..].iter().all(|byte| *byte == b'x'), "the body is the message's own");
        let channel = self.channels.get_mut(name).unwrap();
        assert!(!channel.paused, "nothing is delivered on a paused channel");
        let before = channel.ready.remove(&number);
        let before = before.unwrap_or_else(|| panic!("message {number} was not ready on {name}"));
        assert_eq!(attempts, before + 1, "attempts of message {number}");
        if before == 0 && !self.delayed.contains(&number) {
            let newest = channel.newest_first_delivery.replace(number);
            assert!(newest < Some(number), "first deliveries come in publish order");
        }
        let ready = self.consumers[&consumer].ready;
        let theirs = channel.in_flight.values().filter(|message| message.consumer == consumer).count();
        assert!((theirs as u64) < ready, "never more in flight than the ready count");
        let deadline_ns = self.now_ns + MSG_TIMEOUT.as_nanos() as u64;
        let message = InFlight { id, consumer, attempts, delivered_ns: self.now_ns, deadline_ns };
        channel.in_flight.insert(number, message);
    }

    /// The consumer's n-th message in flight, in no particular order.
    pub(crate) fn some_in_flight(&self, consumer: usize, n: usize) -> Option<(Number, MessageId)> {
        let model = self.consumers.get(&consumer)?;
        let mut theirs: Vec<_> = self.channels[&model.channel]
            .in_flight
            .iter()
            .filter(|(_, message)| message.consumer == consumer)
            .map(|(number, message)| (*number, message.id))
            .collect();
        theirs.sort();
        let count = theirs.len().max(1);
        theirs.get(n % count).copied()
    }

    pub(crate) fn finish(&mut self, consumer: usize, n: usize) {
        let Some((number, id)) = self.some_in_flight(consumer, n) else { return };
        let key = self.consumers[&consumer].key;
        self.topic.finish(self.now(), key, id).unwrap();
        assert_eq!(self.topic.finish(self.now(), key, id), Err(AckError::NotInFlight));
        let name = self.consumers[&consumer].channel.clone();
        self.channels.get_mut(&name).unwrap().in_flight.remove(&number);
        self.finished += 1;
        self.deliver(consumer, usize::MAX);
    }

    pub(crate) fn finish_all(&mut self, consumer: usize) {
        while self.some_in_flight(consumer, 0).is_some() {
            self.finish(consumer, 0);
        }
    }

    pub(crate) fn requeue(&mut self, consumer: usize, n: usize, delay_ms: u64) {
        let Some((number, id)) = self.some_in_flight(consumer, n) else { return };
        let key = self.consumers[&consumer].key;
        self.topic.requeue(self.now(), key, id, Duration::from_millis(delay_ms)).unwrap();
        let name = self.consumers[&consumer].channel.clone();
        let channel = self.channels.get_mut(&name).unwrap();
        let attempts = channel.in_flight.remove(&number).unwrap().attempts;
        if delay_ms == 0 {
            channel.ready.insert(number, attempts);
        } else {
            channel.deferred.insert(number, Deferred { due_ns: self.now_ns + delay_ms * MS, attempts });
        }
        self.deliver(consumer, usize::MAX);
    }

    pub(crate) fn touch(&mut self, consumer: usize, n: usize) {
        let Some((number, id)) = self.some_in_flight(consumer, n) else { return };
        let key = self.consumers[&consumer].key;
        self.topic.touch(self.now(), key, id, MSG_TIMEOUT, 2 * MSG_TIMEOUT).unwrap();
        let name = self.consumers[&consumer].channel.clone();
        let message = self.channels.get_mut(&name).unwrap().in_flight.get_mut(&number).unwrap();
        let timeout = MSG_TIMEOUT.as_nanos() as u64;
        message.deadline_ns = (self.now_ns + timeout).min(message.delivered_ns + 2 * timeout);
        self.settle();
    }

    // ---- time ----------------------------------------------------------------------------------------

    pub(crate) fn advance(&mut self, ms: u64) {
        let target = self.now_ns + ms * MS;
        while let Some(at) = self.topic.poll_timeout().filter(|at| *at <= target) {
            self.now_ns = self.now_ns.max(at);
            self.tick();
        }
        self.now_ns = target;
        self.tick();
    }

    fn tick(&mut self) {
        self.topic.handle_timeout(self.now());
        // Deadlines are kept in whole milliseconds, never early.
        let reached = |at: u64| at.div_ceil(MS) * MS <= self.now_ns;
        for channel in self.channels.values_mut() {
            let late: Vec<Number> =
                (channel.in_flight.iter()).filter(|(_, m)| reached(m.deadline_ns)).map(|(n, _)| *n).collect();
            for number in late {
                let message = channel.in_flight.remove(&number).unwrap();
                channel.ready.insert(number, message.attempts);
            }
            let due: Vec<Number> =
                channel.deferred.iter().filter(|(_, m)| m.due_ns <= self.now_ns).map(|(n, _)| *n).collect();
            for number in due {
                let message = channel.deferred.remove(&number).unwrap();
                channel.ready.insert(number, message.attempts);
            }
        }
        self.settle();
    }

    // ---- the disk ------------------------------------------------------------------------------------

    /// Carries out up to `count` of the requests that wait.
    pub(crate) fn disk(&mut self, count: usize) {
        for _ in 0..count {
            self.take_requests();
            let Some(request) = self.queue.pop_front() else { return };
            let event = match request {
                Request::Append(batch) if self.mood == DiskMood::Works => {
                    let first = batch.first;
                    assert!(self.stored.insert(first, batch).is_none(), "a batch is stored once");
                    Some(Event::Appended { first })
                }
                Request::Append(batch) => Some(Event::AppendFailed { first: batch.first }),
                Request::Read { first } if self.mood == DiskMood::Works => {
                    self.stored.get(&first).map(|batch| Event::Read(batch.clone()))
                }
                Request::Read { first } => Some(Event::ReadFailed { first }),
                Request::Drop { first } => {
                    // It may not be there: a write that fails can be overtaken by the end of its need.
                    self.stored.remove(&first);
                    None
                }
                Request::Save(image) => {
                    self.image = Some(image);
                    None
                }
                Request::Delete => {
                    self.stored.clear();
                    None
                }
            };
            if let Some(event) = event {
                self.topic.handle_store(self.now(), event);
                self.settle();
            }
        }
    }

    pub(crate) fn disk_idle(&mut self) {
        self.take_requests();
        while !self.queue.is_empty() {
            self.disk(1000);
            self.take_requests();
        }
    }

    fn take_requests(&mut self) {
        while let Some(request) = self.topic.poll_store() {
            self.queue.push_back(request);
        }
    }

    fn restore(&mut self) {
        let image = self.image.clone().expect("a topic is saved when it is made");
        let batches: Vec<BatchSummary> = self
            .stored
            .values()
            .map(|batch| BatchSummary {
                first: batch.first,
                count: batch.count,
                aside: batch.aside,
                bytes: batch.records.len() as u64,
            })
            .collect();
        self.topic = Topic::restore(self.settings.clone(), self.now(), &image, &batches);
    }

    /// A clean stop and a start: nothing is lost, what was in flight is ready again.
    pub(crate) fn restart(&mut self) {
        self.mood = DiskMood::Works;
        self.disk_idle();
        self.advance(5_000);
        self.disk_idle();
        self.topic.request_save_all(self.now());
        self.disk_idle();
        self.consumers.clear();
        for channel in self.channels.values_mut() {
            channel.consumers.clear();
            for (number, message) in std::mem::take(&mut channel.in_flight) {
                channel.ready.insert(number, message.attempts);
            }
        }
        self.restore();
        self.check();
        self.disk_idle();
    }

    // ---- checks --------------------------------------------------------------------------------------

    /// Wakes whom the topic says, and checks that the figures are the model's.
    fn settle(&mut self) {
        self.check();
        while let Some(key) = self.topic.poll_wake() {
            let found = self.consumers.iter().find(|(_, consumer)| consumer.key == key).map(|(id, _)| *id);
            if let Some(consumer) = found {
                self.consumers.get_mut(&consumer).unwrap().waits = false;
                self.deliver(consumer, usize::MAX);
            }
        }
        self.check();
    }

    pub(crate) fn check(&self) {
        let stats = self.topic.stats(self.now());
        assert_eq!(stats.depth, self.backlog.len() as u64, "depth of the topic");
        let names: Vec<&str> = stats.channels.iter().map(|channel| channel.name.as_str()).collect();
        assert_eq!(names, self.channels.keys().collect::<Vec<_>>());
        for channel in &stats.channels {
            let name = channel.name.as_str();
            let model = &self.channels[name];
            assert_eq!(channel.depth, model.ready.len() as u64, "depth of {name}");
            assert_eq!(channel.in_flight, model.in_flight.len() as u64, "in flight on {name}");
            assert_eq!(channel.deferred, model.deferred.len() as u64, "deferred on {name}");
            assert_eq!(channel.paused, model.paused);
            assert!(channel.backend_depth <= channel.depth);
            for (key, consumer) in &channel.consumers {
                let model_consumer = self
                    .consumers
                    .iter()
                    .find(|(_, consumer)| consumer.key == *key)
                    .expect("a known consumer");
                let theirs =
                    model.in_flight.values().filter(|message| message.consumer == *model_consumer.0).count();
                assert_eq!(consumer.in_flight, theirs as u64);
                assert_eq!(consumer.ready_count, model_consumer.1.ready);
            }
        }
    }

    /// Nobody with credit is left without the messages that are ready, once disk and wakes have settled.
    pub(crate) fn check_liveness(&self) {
        for (name, channel) in self.channels.iter().filter(|(_, channel)| !channel.paused) {
            if channel.ready.is_empty() {
                continue;
            }
            for consumer in &channel.consumers {
                let ready = self.consumers[consumer].ready;
                let theirs =
                    channel.in_flight.values().filter(|message| message.consumer == *consumer).count() as u64;
                assert!(
                    theirs >= ready,
                    "consumer {consumer} of {name} has credit and {} wait",
                    channel.ready.len()
                );
            }
        }
    }

    /// Everything can be consumed: each channel gets a consumer that finishes all it is given.
    pub(crate) fn drain(&mut self) {
        self.mood = DiskMood::Works;
        self.pause_topic(false);
        self.disk_idle();
        // A disk that refused is asked again after a second.
        self.advance(1_001);
        let names: Vec<String> = self.channels.keys().cloned().collect();
        for name in names {
            self.pause_channel(&name, false);
            let others = self.channels[&name].consumers.clone();
            for other in others {
                self.unsubscribe(other);
            }
            let consumer = self.subscribe(&name, 50);
            loop {
                self.disk_idle();
                self.check_liveness();
                self.finish_all(consumer);
                self.disk_idle();
                let channel = &self.channels[&name];
                if channel.ready.is_empty() && channel.in_flight.is_empty() {
                    let Some(due) = channel.deferred.values().map(|message| message.due_ns).max() else {
                        break;
                    };
                    self.advance((due - self.now_ns) / MS + 2);
                }
            }
        }
        self.disk_idle();
        if !self.channels.is_empty() {
            assert!(self.stored.is_empty(), "nothing is left on the disk: {:?}", self.stored.keys());
        }
    }
}
