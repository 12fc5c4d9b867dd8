//! What may come of each message, and what a start finds compared with it.

use std::collections::{BTreeMap, BTreeSet};

use nsq::wire::message::MessageId;
use nsq::wire::name::{ChannelName, TopicName};
use nsqd_broker::ConsumerKey;
use nsqd_broker::storage::{Durability, Position};

use super::drain::{Came, Found};
use super::{End, MS};

/// A message: the number in its body.
pub(super) type Number = u64;

/// How often progress is saved.
pub(super) const SAVE_INTERVAL_NS: u64 = 200 * MS;

/// Of a message in whatever topic.
pub(super) struct Message {
    /// The life of the topic that it was published to.
    pub(super) life: u64,
    pub(super) acknowledged: bool,
    /// It was published to come no earlier.
    pub(super) not_before_ns: u64,
}

pub(super) type Messages = BTreeMap<Number, Message>;

#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    Ready,
    InFlight { consumer: ConsumerKey, id: MessageId, deadline_ns: u64 },
    Deferred { due_ns: u64, since_ns: u64, settled: bool },
    Finished { at_ns: u64, settled: bool },
}

/// A message on a channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) attempts: u16,
    pub(super) state: State,
}

impl Entry {
    fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished { .. })
    }
}

#[derive(Debug, Default)]
pub(super) struct ModelChannel {
    /// Whether every restart finds it.
    pub(super) settled: bool,
    pub(super) paused: bool,
    pub(super) consumers: Vec<ConsumerKey>,
    pub(super) messages: BTreeMap<Number, Entry>,
}

impl ModelChannel {
    pub(super) fn receive(&mut self, number: Number, delay_ns: u64, now_ns: u64) {
        let state = match delay_ns {
            0 => State::Ready,
            _ => State::Deferred { due_ns: now_ns + delay_ns, since_ns: now_ns, settled: false },
        };
        self.messages.insert(number, Entry { attempts: 0, state });
    }

    /// Those that a consumer has.
    pub(super) fn in_flight(&self, of: ConsumerKey) -> Vec<(Number, MessageId, u64)> {
        let entries = self.messages.iter().filter_map(|(number, entry)| match entry.state {
            State::InFlight { consumer, id, deadline_ns } if consumer == of => {
                Some((*number, id, deadline_ns))
            }
            _ => None,
        });
        entries.collect()
    }

    pub(super) fn set(&mut self, number: Number, state: State) {
        self.messages.get_mut(&number).unwrap().state = state;
    }
}

/// One life of a topic.
#[derive(Debug)]
pub(super) struct ModelTopic {
    pub(super) life: u64,
    pub(super) name: TopicName,
    pub(super) durability: Durability,
    /// Whether every restart finds it.
    pub(super) settled: bool,
    pub(super) paused: bool,
    /// What waits in the topic, with its delays.
    pub(super) backlog: BTreeMap<Number, u64>,
    pub(super) channels: BTreeMap<ChannelName, ModelChannel>,
    /// Channels that were deleted, and that a restart may find all the same.
    pub(super) deleted: BTreeSet<ChannelName>,
    /// Publications that wait for the disk: the end of the log after each, and its messages.
    pub(super) waiting: Vec<(Position, Vec<Number>)>,
}

impl ModelTopic {
    pub(super) fn new(life: u64, name: TopicName, durability: Durability) -> Self {
        Self {
            life,
            name,
            durability,
            settled: false,
            paused: false,
            backlog: BTreeMap::new(),
            channels: BTreeMap::new(),
            deleted: BTreeSet::new(),
            waiting: Vec::new(),
        }
    }

    pub(super) fn publish(&mut self, number: Number, delay_ns: u64, now_ns: u64) {
        self.backlog.insert(number, delay_ns);
        self.release(now_ns);
    }

    /// Channels get what waits, unless the topic holds.
    pub(super) fn release(&mut self, now_ns: u64) {
        if self.paused || self.channels.is_empty() {
            return;
        }
        for (number, delay_ns) in std::mem::take(&mut self.backlog) {
            for channel in self.channels.values_mut() {
                channel.receive(number, delay_ns, now_ns);
            }
        }
    }

    /// All that was asked for is done.
    pub(super) fn settle(&mut self, now_ns: u64) {
        self.settled = true;
        self.deleted.clear();
        for channel in self.channels.values_mut() {
            channel.settled = true;
            for entry in channel.messages.values_mut() {
                match &mut entry.state {
                    State::Finished { at_ns: since_ns, settled }
                    | State::Deferred { since_ns, settled, .. } => {
                        *settled |= *since_ns + SAVE_INTERVAL_NS <= now_ns;
                    }
                    _ => {}
                }
            }
        }
    }

    /// Whether an end leaves all that was acknowledged.
    fn outlives(&self, end: End) -> bool {
        end != End::PowerLost || self.durability == Durability::Disk
    }

    /// Compares with what a start finds.
    pub(super) fn check(&self, found: Option<&Found>, messages: &Messages, end: End, now_ns: u64) {
        let guaranteed = self.outlives(end);
        let Some(found) = found else {
            let owes = self.messages().any(|number| messages[&number].acknowledged);
            assert!(!guaranteed || !self.settled && !owes, "topic {} is gone", self.name);
            return;
        };
        assert_eq!(found.name, self.name);
        for (number, came) in found.all() {
            let message = &messages[&number];
            assert_eq!(message.life, self.life, "message {number} was published to another topic");
            let is_early = message.acknowledged && guaranteed && came.at_ns < message.not_before_ns;
            assert!(!is_early, "message {number} comes {} ns early", message.not_before_ns - came.at_ns);
        }
        if !guaranteed {
            return;
        }
        for (name, channel) in &self.channels {
            match found.channels.get(name) {
                Some(_) if self.deleted.contains(name) => {}
                Some(there) => self.check_channel(*name, channel, there, found, messages, now_ns),
                None => assert!(!channel.settled, "channel {name} is gone"),
            }
        }
        for name in found.channels.keys() {
            assert!(
                self.channels.contains_key(name) || self.deleted.contains(name),
                "channel {name} was deleted for good, or never there"
            );
        }
        let never_had_channels =
            self.deleted.is_empty() && self.channels.values().all(|channel| !channel.settled);
        if found.channels.is_empty() && never_had_channels {
            for number in self.messages().filter(|number| messages[number].acknowledged) {
                let is_open = self
                    .channels
                    .values()
                    .all(|channel| channel.messages.get(&number).is_none_or(|entry| !entry.is_finished()));
                assert!(
                    !is_open || found.backlog.contains_key(&number),
                    "message {number} does not wait any more"
                );
            }
        }
        if end == End::Stopped {
            self.check_exactly(found, now_ns);
        }
    }

    fn check_channel(
        &self,
        name: ChannelName,
        channel: &ModelChannel,
        there: &BTreeMap<Number, Came>,
        found: &Found,
        messages: &Messages,
        now_ns: u64,
    ) {
        for (number, entry) in &channel.messages {
            let came = there.get(number);
            match entry.state {
                State::Finished { settled, .. } => {
                    assert!(came.is_none() || !settled, "message {number} was finished on {name} long ago");
                }
                _ => {
                    let is_there = came.is_some() || found.backlog.contains_key(number);
                    assert!(is_there || !messages[number].acknowledged, "message {number} is lost on {name}");
                }
            }
            let Some(came) = came else { continue };
            assert!(
                came.attempts <= entry.attempts + 1,
                "message {number} on {name}: {came:?}, and it was {entry:?}"
            );
            if let State::Deferred { due_ns, settled: true, .. } = entry.state {
                assert!(
                    came.at_ns.abs_diff(due_ns.max(now_ns)) <= MS,
                    "message {number} on {name} forgot its time: {came:?}, and it was {entry:?}"
                );
            }
        }
        for number in there.keys() {
            assert!(
                channel.messages.contains_key(number) || self.backlog.contains_key(number),
                "message {number} was not for {name}"
            );
        }
    }

    /// After an orderly stop everything is as it was.
    fn check_exactly(&self, found: &Found, now_ns: u64) {
        assert!(self.channels.keys().eq(found.channels.keys()), "{:?}", found.channels.keys());
        let backlog: BTreeMap<_, _> =
            found.backlog.iter().map(|(number, (_, delay))| (*number, *delay)).collect();
        assert_eq!(backlog, self.backlog);
        for (name, channel) in &self.channels {
            let open = channel.messages.iter().filter(|(_, entry)| !entry.is_finished());
            let expected: BTreeMap<Number, Came> = open
                .map(|(number, entry)| {
                    let at_ns = match entry.state {
                        State::Deferred { due_ns, .. } => due_ns.max(now_ns),
                        _ => now_ns,
                    };
                    (*number, Came { attempts: entry.attempts + 1, at_ns })
                })
                .collect();
            assert_eq!(found.channels[name], expected, "{name}");
        }
    }

    fn messages(&self) -> impl Iterator<Item = Number> {
        let released = self.channels.values().flat_map(|channel| channel.messages.keys());
        self.backlog.keys().chain(released).copied()
    }

    /// Goes on from what a start finds.
    pub(super) fn adopt(&mut self, found: &Found, messages: &mut Messages, end: End, now_ns: u64) {
        let guaranteed = self.outlives(end);
        for number in self.messages().collect::<Vec<_>>() {
            let message = messages.get_mut(&number).unwrap();
            message.acknowledged &= guaranteed;
        }
        self.settled &= guaranteed;
        self.paused = found.paused;
        self.waiting.clear();
        self.backlog = found.backlog.iter().map(|(number, (_, delay_ns))| (*number, *delay_ns)).collect();
        let mut before = std::mem::take(&mut self.channels);
        for (name, there) in &found.channels {
            let ambiguous = self.deleted.contains(name);
            let old = before.remove(name).filter(|_| !ambiguous).unwrap_or_default();
            let mut channel = ModelChannel {
                settled: old.settled && guaranteed,
                paused: found.paused_channels.contains(name),
                consumers: Vec::new(),
                messages: BTreeMap::new(),
            };
            for (number, entry) in old.messages {
                if let State::Finished { settled, .. } = entry.state {
                    let state = State::Finished { at_ns: now_ns, settled: settled && guaranteed };
                    channel.messages.insert(number, Entry { state, ..entry });
                }
            }
            for (number, came) in there {
                let state = match came.at_ns <= now_ns {
                    true => State::Ready,
                    false => State::Deferred { due_ns: came.at_ns, since_ns: now_ns, settled: false },
                };
                channel.messages.insert(*number, Entry { attempts: came.attempts - 1, state });
            }
            self.channels.insert(*name, channel);
        }
        // What was deleted and is not there may come back with the power.
        self.deleted.retain(|name| !self.channels.contains_key(name));
    }
}
