//! A topic as it was found: what there is of it, and who still needs which message.
//!
//! It is a plain value. What remains is the broker's decision ([`Remaining`]); here it is only asked and looked up.

use std::collections::{BTreeMap, BTreeSet};

use nsq::api::metadata::TopicMetadata;
use nsq::wire::name::{ChannelName, TopicName};
use nsqd_broker::storage::{BatchSummary, ChannelImage, Durability, Position, TopicImage, Unfinished};
use nsqd_broker::{Remaining, RemainingMessage};

use super::Place;
use crate::store::TopicNumber;

/// A topic that was found.
#[derive(Debug, Clone)]
pub struct Topic {
    pub(super) number: TopicNumber,
    pub(super) image: TopicImage,
    /// By position; without those that turned out damaged.
    pub(super) batches: Vec<BatchSummary>,
    /// The message at this place and those behind it are in queue files of v1.3.0.
    pub(super) imported_from: Position,
    /// Where it is kept.
    pub places: BTreeSet<Place>,
    /// Messages that are lost because their batch is damaged.
    pub lost: u64,
}

/// A channel, and how many messages would be delivered to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel {
    /// Its name.
    pub name: ChannelName,
    /// Whether it is paused.
    pub paused: bool,
    /// Messages that are delivered as soon as somebody asks.
    pub ready: u64,
    /// Messages that wait for their time.
    pub deferred: u64,
}

/// A channel that still needs a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipient {
    /// The channel.
    pub channel: ChannelName,
    /// How often the message was delivered to it.
    pub attempts: u16,
    /// When it is due, in nanoseconds of Unix time; `None`: it is ready.
    pub due_unix_ns: Option<i64>,
}

impl Topic {
    /// The topic's name.
    pub fn name(&self) -> TopicName {
        self.image.name
    }

    /// What was chosen for the topic; `None`: what the daemon's flags say.
    pub fn durability(&self) -> Option<Durability> {
        self.image.durability
    }

    /// Whether the topic is paused.
    pub fn is_paused(&self) -> bool {
        self.image.paused
    }

    /// How many messages are kept, those included that somebody has finished.
    pub fn messages(&self) -> u64 {
        self.batches.iter().map(|batch| u64::from(batch.count)).sum()
    }

    /// How many bytes they take.
    pub fn bytes(&self) -> u64 {
        self.batches.iter().map(|batch| batch.bytes).sum()
    }

    /// How many messages wait in the topic because no channel may see them yet.
    pub fn waiting(&self) -> u64 {
        Remaining::new(&self.image, &self.batches).count_backlog()
    }

    /// The channels, by name, and what would be delivered to each if the daemon started at this time.
    pub fn channels(&self, now_unix_ns: i64) -> Vec<Channel> {
        let remaining = Remaining::new(&self.image, &self.batches);
        let mut channels: Vec<_> = (self.image.channels.iter())
            .map(|channel| {
                let count = remaining.count(channel, now_unix_ns);
                let ChannelImage { name, paused, .. } = *channel;
                Channel { name, paused, ready: count.ready, deferred: count.deferred }
            })
            .collect();
        channels.sort_by_key(|channel| channel.name.to_string());
        channels
    }

    /// Works in the channels that only `nsqd.dat` knows, as a start does.
    pub(super) fn declare(&mut self, declared: &TopicMetadata, now_unix_ns: i64) {
        let known: BTreeSet<_> = self.image.channels.iter().map(|channel| channel.name).collect();
        let new: Vec<(ChannelName, bool)> = (declared.channels.iter().flatten())
            .filter_map(|channel| Some((ChannelName::parse(&channel.name)?, channel.paused)))
            .filter(|(name, _)| !known.contains(name))
            .collect();
        if new.is_empty() {
            return;
        }
        let behind = self.batches.last().map_or(0, |batch| batch.first + Position::from(batch.count));
        let holds = Remaining::new(&self.image, &self.batches).holds();
        let cursor = if holds { self.image.released } else { behind.max(self.image.end) };
        let mut unfinished = Vec::new();
        if self.image.channels.is_empty() && !self.image.paused {
            // It held because it had no channel: now it hands out what waited, and the delays begin.
            self.image.released = behind.max(self.image.end);
            unfinished.extend(self.image.waiting.drain(..).map(|waiting| Unfinished {
                position: waiting.position,
                attempts: 0,
                due_unix_ns: Some(now_unix_ns.saturating_add_unsigned(waiting.delay_ns)),
            }));
        }
        self.image.channels.extend(new.into_iter().map(|(name, paused)| ChannelImage {
            name,
            paused,
            cursor,
            finished_below: cursor,
            finished: Vec::new(),
            unfinished: unfinished.clone(),
        }));
    }

    /// Takes away batches that are damaged.
    pub(super) fn lose(&mut self, damaged: &BTreeSet<Position>) {
        let lost = self.batches.extract_if(.., |batch| damaged.contains(&batch.first));
        self.lost += lost.map(|batch| u64::from(batch.count)).sum::<u64>();
    }

    pub(super) fn needs(&self) -> Needs {
        let remaining = Remaining::new(&self.image, &self.batches);
        let apart = |channel| {
            let mut messages: Vec<_> = remaining.out_of_order(channel).collect();
            messages.sort_by_key(RemainingMessage::position);
            ChannelNeeds { name: channel.name, cursor: remaining.cursor(channel), apart: messages }
        };
        Needs {
            backlog: remaining.backlog(),
            waiting: remaining.waiting().collect(),
            channels: self.image.channels.iter().map(apart).collect(),
        }
    }
}

/// Who needs which message.
#[derive(Debug)]
pub(super) struct Needs {
    backlog: Option<Position>,
    /// The delays of messages that wait in the topic.
    waiting: BTreeMap<Position, u64>,
    channels: Vec<ChannelNeeds>,
}

#[derive(Debug)]
struct ChannelNeeds {
    name: ChannelName,
    cursor: Position,
    /// By position.
    apart: Vec<RemainingMessage>,
}

/// What is still to become of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    /// The channels that get it. May be empty where it waits in the topic.
    pub(super) recipients: Vec<Recipient>,
    /// Its delay in nanoseconds, which begins when channels see it.
    pub(super) delay_ns: Option<u64>,
}

impl Needs {
    /// `None` where nobody needs the message any more.
    pub(super) fn of(&self, position: Position, aside: bool) -> Option<Need> {
        let delay_ns = self.waiting.get(&position).copied();
        let recipients: Vec<_> = (self.channels.iter())
            .filter_map(|channel| {
                let is_ahead = delay_ns.is_some() || (!aside && position >= channel.cursor);
                channel.recipient(position, is_ahead)
            })
            .collect();
        let waits = delay_ns.is_some() || (!aside && self.backlog.is_some_and(|backlog| backlog <= position));
        (waits || !recipients.is_empty())
            .then_some(Need { recipients, delay_ns: delay_ns.filter(|delay| *delay > 0) })
    }
}

impl ChannelNeeds {
    fn recipient(&self, position: Position, is_ahead: bool) -> Option<Recipient> {
        let channel = self.name;
        if let Ok(index) = self.apart.binary_search_by_key(&position, RemainingMessage::position) {
            let message = &self.apart[index];
            let due_unix_ns = message.due_unix_ns;
            return Some(Recipient { channel, attempts: message.attempts(), due_unix_ns });
        }
        is_ahead.then_some(Recipient { channel, attempts: 0, due_unix_ns: None })
    }
}

#[cfg(test)]
mod tests {
    use nsq::api::metadata::ChannelMetadata;
    use nsqd_broker::storage::WaitingDelay;

    use super::*;

    fn channel(name: &str, cursor: Position, unfinished: &[(Position, u16, Option<i64>)]) -> ChannelImage {
        let unfinished = unfinished.iter();
        ChannelImage {
            name: ChannelName::parse(name).unwrap(),
            paused: false,
            cursor,
            finished_below: cursor,
            finished: Vec::new(),
            unfinished: unfinished
                .map(|&(position, attempts, due_unix_ns)| Unfinished { position, attempts, due_unix_ns })
                .collect(),
        }
    }

    /// Ten messages from position 1 on, and two deferred ones behind them.
    fn topic(channels: Vec<ChannelImage>) -> Topic {
        let batch = |first, count, aside| BatchSummary { first, count, aside, bytes: 100 };
        Topic {
            number: TopicNumber(1),
            image: TopicImage {
                name: TopicName::parse("t").unwrap(),
                durability: None,
                paused: false,
                end: 13,
                released: if channels.is_empty() { 1 } else { 13 },
                last_id: 0,
                waiting: Vec::new(),
                channels,
            },
            batches: vec![batch(1, 5, false), batch(6, 5, false), batch(11, 2, true)],
            imported_from: Position::MAX,
            places: BTreeSet::new(),
            lost: 0,
        }
    }

    fn counts(topic: &Topic, now: i64) -> Vec<(String, u64, u64)> {
        let channels = topic.channels(now).into_iter();
        channels.map(|channel| (channel.name.to_string(), channel.ready, channel.deferred)).collect()
    }

    #[test]
    fn what_each_channel_needs_is_what_is_counted() {
        let topic = topic(vec![channel("b", 9, &[(2, 3, None), (11, 0, Some(900))]), channel("a", 11, &[])]);
        assert_eq!(counts(&topic, 0), [("a".to_owned(), 0, 0), ("b".to_owned(), 3, 1)]);
        assert_eq!(counts(&topic, 900), [("a".to_owned(), 0, 0), ("b".to_owned(), 4, 0)]);
        let needs = topic.needs();
        let found: Vec<_> = (1..13)
            .filter_map(|position| {
                let need = needs.of(position, position > 10)?;
                let [recipient] = need.recipients[..] else { panic!("{need:?}") };
                Some((position, recipient.channel.to_string(), recipient.attempts, recipient.due_unix_ns))
            })
            .collect();
        let b = || "b".to_owned();
        assert_eq!(
            found,
            [(2, b(), 3, None), (9, b(), 0, None), (10, b(), 0, None), (11, b(), 0, Some(900))]
        );
    }

    #[test]
    fn without_a_channel_everything_waits_in_the_topic() {
        let mut topic = topic(vec![]);
        topic.image.waiting.push(WaitingDelay { position: 12, delay_ns: 50 });
        assert_eq!((topic.waiting(), topic.messages()), (11, 12));
        let needs = topic.needs();
        assert_eq!(needs.of(1, false), Some(Need { recipients: vec![], delay_ns: None }));
        assert_eq!(needs.of(11, true), None);
        assert_eq!(needs.of(12, true), Some(Need { recipients: vec![], delay_ns: Some(50) }));
    }

    #[test]
    fn a_channel_that_only_the_metadata_knows_gets_what_waited() {
        let mut topic = topic(vec![]);
        topic.image.waiting.push(WaitingDelay { position: 12, delay_ns: 50 });
        let channels = Some(vec![ChannelMetadata { name: "c".to_owned(), paused: true }]);
        let declared = TopicMetadata { channels, ..TopicMetadata::default() };
        topic.declare(&declared, 1_000);
        assert_eq!((topic.waiting(), counts(&topic, 1_000)), (0, vec![("c".to_owned(), 10, 1)]));
        let due = topic.needs().of(12, true).unwrap().recipients[0].due_unix_ns;
        assert_eq!(due, Some(1_050));
    }

    #[test]
    fn what_is_damaged_is_not_delivered_and_is_counted() {
        let mut topic = topic(vec![channel("c", 1, &[])]);
        topic.lose(&[6].into());
        assert_eq!((topic.lost, topic.messages(), counts(&topic, 0)), (5, 7, vec![("c".to_owned(), 5, 0)]));
    }
}
