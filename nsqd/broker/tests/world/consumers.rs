//! What consumers do, and what they are given.

use std::time::Duration;

use nsq::wire::message::{MESSAGE_FRAME_HEADER_BYTES, MessageId};
use nsqd_broker::{AckError, ConsumerKey, ConsumerSettings, Locality};

use super::channel::{Finished, InFlight};
use super::{MS, Number, World, channel_name};

pub(crate) const MSG_TIMEOUT: Duration = Duration::from_secs(60);

/// How near consumers are: whoever gets a message, the rules are the same.
const LOCALITIES: [Locality; 3] = [Locality::Elsewhere, Locality::Zone, Locality::Region];

#[derive(Debug)]
pub(crate) struct ModelConsumer {
    pub(crate) key: ConsumerKey,
    pub(crate) channel: String,
    pub(crate) ready: u64,
    pub(crate) msg_timeout: Duration,
    /// It was woken, did something itself, or was told to ask again.
    pub(crate) should_ask: bool,
    /// Whether it can take messages; one that does not read its connection cannot.
    pub(crate) has_room: bool,
}

impl World {
    pub(crate) fn subscribe(&mut self, name: &str, ready: u64) -> usize {
        let locality = LOCALITIES[self.next_consumer % LOCALITIES.len()];
        let settings = ConsumerSettings { msg_timeout: MSG_TIMEOUT, locality, sample_rate: 0 };
        let consumer = self.subscribe_with(name, settings);
        self.set_ready(consumer, ready);
        consumer
    }

    /// A consumer that samples needs a channel that may drop messages.
    pub(crate) fn subscribe_with(&mut self, name: &str, settings: ConsumerSettings) -> usize {
        self.create_channel(name);
        assert!(settings.sample_rate == 0 || self.channels[name].may_drop);
        let channel = self.topic.channel(&channel_name(name)).unwrap();
        let key = self.topic.subscribe(channel, settings.clone()).unwrap();
        let consumer = self.next_consumer;
        self.next_consumer += 1;
        let ConsumerSettings { msg_timeout, .. } = settings;
        let channel = name.to_owned();
        let model = ModelConsumer { key, channel, ready: 0, msg_timeout, should_ask: false, has_room: true };
        self.consumers.insert(consumer, model);
        self.settle();
        consumer
    }

    pub(crate) fn set_ready(&mut self, consumer: usize, ready: u64) {
        let Some(model) = self.consumers.get_mut(&consumer) else { return };
        model.ready = ready;
        model.should_ask = true;
        self.topic.set_ready(model.key, ready);
        self.settle();
    }

    /// The consumer's connection is stuck, or has room again. It is woken and times out as any other.
    pub(crate) fn set_room(&mut self, consumer: usize, has_room: bool) {
        let Some(model) = self.consumers.get_mut(&consumer) else { return };
        model.has_room = has_room;
        model.should_ask |= has_room;
    }

    pub(crate) fn unsubscribe(&mut self, consumer: usize) {
        let Some(gone) = self.consumers.remove(&consumer) else { return };
        let unsubscribed = self.topic.unsubscribe(self.now(), gone.key);
        let was_last = self.consumers.values().all(|other| other.channel != gone.channel);
        let name = channel_name(&gone.channel);
        let deleted = (was_last && name.is_ephemeral()).then_some(name);
        assert_eq!(unsubscribed.deleted_channel, deleted);
        if deleted.is_some() {
            self.forget_channel(&gone.channel);
        } else if self.settings.requeue_on_disconnect {
            self.channels.get_mut(&gone.channel).unwrap().take_back_from(consumer);
        }
        self.settle();
    }

    // ---- asking --------------------------------------------------------------------------------------

    /// Everybody who should ask does, until nobody should.
    pub(crate) fn let_everybody_ask(&mut self) {
        while let Some(consumer) = self.who_should_ask() {
            self.ask(consumer, usize::MAX);
        }
    }

    pub(crate) fn who_should_ask(&self) -> Option<usize> {
        self.consumers.iter().find(|(_, consumer)| consumer.should_ask).map(|(number, _)| *number)
    }

    /// A consumer asks for messages, once, or says that it has no room.
    pub(crate) fn ask(&mut self, consumer: usize, bytes_max: usize) {
        let now = self.now();
        let Some(model) = self.consumers.get_mut(&consumer) else { return };
        let bytes_max = if model.has_room { bytes_max } else { 0 };
        let mut frames: Vec<(Vec<u8>, u16)> = Vec::new();
        model.should_ask = self.topic.deliver(now, model.key, bytes_max, |delivery| {
            let mut frame = Vec::new();
            delivery.write_to(&mut frame);
            assert_eq!(frame.len(), delivery.frame_bytes());
            frames.push((frame, delivery.attempts));
        });
        let name = model.channel.clone();
        for (frame, attempts) in frames {
            self.check_delivery(consumer, &name, &frame, attempts);
        }
        self.step += 1;
        self.note_outputs();
        self.check();
    }

    fn check_delivery(&mut self, consumer: usize, name: &str, frame: &[u8], attempts: u16) {
        let (number, timestamp_ns, id) = read_frame(frame);
        assert_eq!(u16::from_be_bytes(frame[16..18].try_into().unwrap()), attempts);
        let known = *self.identities.entry(number).or_insert((timestamp_ns, id));
        assert_eq!((timestamp_ns, id), known, "a message keeps its time stamp and id");
        let channel = self.channels.get_mut(name).unwrap();
        assert!(!channel.paused, "nothing is delivered on a paused channel");
        let before = channel.ready.remove(&number);
        let before = before.unwrap_or_else(|| panic!("message {number} was not ready on {name}"));
        assert_eq!(attempts, before + 1, "attempts of message {number}");
        if before == 0 && !self.delayed.contains(&number) {
            let newest = channel.newest_first_delivery.replace(number);
            assert!(newest < Some(number), "first deliveries come in publish order");
        }
        let ConsumerLimits { ready, deadline_ns } = self.limits(consumer);
        let channel = self.channels.get_mut(name).unwrap();
        assert!(channel.in_flight_of(consumer) < ready, "never more in flight than the ready count");
        let message = InFlight { id, consumer, attempts, delivered_ns: self.now_ns, deadline_ns };
        assert!(channel.in_flight.values().all(|other| other.id != id), "ids are unique");
        channel.in_flight.insert(number, message);
    }

    fn limits(&self, consumer: usize) -> ConsumerLimits {
        let model = &self.consumers[&consumer];
        let deadline_ns = self.now_ns + model.msg_timeout.as_nanos() as u64;
        ConsumerLimits { ready: model.ready, deadline_ns }
    }

    // ---- answering -----------------------------------------------------------------------------------

    /// The consumer's messages in flight, oldest first.
    fn in_flight(&self, consumer: usize) -> Vec<(Number, MessageId)> {
        let Some(model) = self.consumers.get(&consumer) else { return Vec::new() };
        let in_flight = self.channels[&model.channel].in_flight.iter();
        let theirs = in_flight.filter(|(_, message)| message.consumer == consumer);
        theirs.map(|(number, message)| (*number, message.id)).collect()
    }

    /// The consumer's n-th message in flight.
    fn some_in_flight(&self, consumer: usize, n: usize) -> Option<(Number, MessageId)> {
        let theirs = self.in_flight(consumer);
        let count = theirs.len().max(1);
        theirs.get(n % count).copied()
    }

    pub(crate) fn finish(&mut self, consumer: usize, n: usize) {
        let Some((number, id)) = self.some_in_flight(consumer, n) else { return };
        self.finish_one(consumer, number, id);
        self.settle();
    }

    pub(crate) fn finish_all(&mut self, consumer: usize) {
        for (number, id) in self.in_flight(consumer) {
            self.finish_one(consumer, number, id);
        }
        self.settle();
    }

    fn finish_one(&mut self, consumer: usize, number: Number, id: MessageId) {
        let key = self.answers(consumer);
        self.topic.finish(self.now(), key, id).unwrap();
        assert_eq!(self.topic.finish(self.now(), key, id), Err(AckError::NotInFlight));
        let channel = self.channels.get_mut(&self.consumers[&consumer].channel).unwrap();
        channel.in_flight.remove(&number);
        channel.finished.insert(number, Finished { step: self.step, at_ns: self.now_ns });
    }

    pub(crate) fn requeue(&mut self, consumer: usize, n: usize, delay_ms: u64) {
        let Some((number, id)) = self.some_in_flight(consumer, n) else { return };
        let key = self.answers(consumer);
        self.topic.requeue(self.now(), key, id, Duration::from_millis(delay_ms)).unwrap();
        let channel = self.channels.get_mut(&self.consumers[&consumer].channel).unwrap();
        let attempts = channel.in_flight.remove(&number).unwrap().attempts;
        match delay_ms {
            0 => drop(channel.ready.insert(number, attempts)),
            _ => channel.defer(number, self.now_ns, self.now_ns + delay_ms * MS, attempts),
        }
        self.settle();
    }

    pub(crate) fn touch(&mut self, consumer: usize, n: usize) {
        let Some((number, id)) = self.some_in_flight(consumer, n) else { return };
        let key = self.answers(consumer);
        let ModelConsumer { msg_timeout, channel, .. } = &self.consumers[&consumer];
        let (timeout, timeout_max) = (*msg_timeout, *msg_timeout * 2);
        self.topic.touch(self.now(), key, id, timeout, timeout_max).unwrap();
        let message = self.channels.get_mut(channel).unwrap().in_flight.get_mut(&number).unwrap();
        let latest = message.delivered_ns + timeout_max.as_nanos() as u64;
        message.deadline_ns = (self.now_ns + timeout.as_nanos() as u64).min(latest);
        self.settle();
    }

    /// Somebody answers for a message that another consumer has.
    pub(crate) fn finish_of_another(&mut self, consumer: usize) {
        let Some(model) = self.consumers.get(&consumer) else { return };
        let others = self.channels[&model.channel].in_flight.values();
        if let Some(message) = others.into_iter().find(|message| message.consumer != consumer) {
            let refused = self.topic.finish(self.now(), model.key, message.id);
            assert_eq!(refused, Err(AckError::NotOwner));
        }
    }

    fn answers(&mut self, consumer: usize) -> ConsumerKey {
        let model = self.consumers.get_mut(&consumer).unwrap();
        model.should_ask = true;
        model.key
    }
}

struct ConsumerLimits {
    ready: u64,
    deadline_ns: u64,
}

/// The number, time stamp and id of the message whose frame this is; the frame is checked to be whole.
fn read_frame(frame: &[u8]) -> (Number, i64, MessageId) {
    let size = u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize;
    assert_eq!(frame.len(), 4 + size);
    let timestamp_ns = i64::from_be_bytes(frame[8..16].try_into().unwrap());
    let id = MessageId(frame[18..34].try_into().unwrap());
    let filler = &frame[MESSAGE_FRAME_HEADER_BYTES + 8..];
    assert_eq!(filler.iter().fold(0, |bits, byte| bits | (byte ^ b'x')), 0, "the body is the message's own");
    (number_in(frame), timestamp_ns, id)
}

/// The number of the message whose frame this is.
pub(super) fn number_in(frame: &[u8]) -> Number {
    let body = &frame[MESSAGE_FRAME_HEADER_BYTES..];
    Number::from_be_bytes(body[..8].try_into().unwrap())
}
