//! What a start finds: every topic that is on a disk, emptied to the last message.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nsq::wire::message::{MESSAGE_FRAME_HEADER_BYTES, MessageId};
use nsq::wire::name::{ChannelName, TopicName};
use nsqd_broker::storage::Durability;
use nsqd_broker::{ConsumerKey, ConsumerSettings, Delivery, Locality, Topic};

use super::host::Host;
use super::model::Number;
use super::{clock, settings_of};
use crate::store::journal::JournalSettings;
use crate::store::simulated_disk::SimulatedDisk;
use crate::store::worker::StoreOptions;
use crate::store::{SavedTopic, TopicNumber};

/// How a message came for the first time after a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Came {
    pub(super) attempts: u16,
    pub(super) at_ns: u64,
}

/// A topic, as it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: TopicName,
    pub(super) durability: Durability,
    pub(super) paused: bool,
    pub(super) paused_channels: BTreeSet<ChannelName>,
    pub(super) channels: BTreeMap<ChannelName, BTreeMap<Number, Came>>,
    /// What waited in the topic, and how long after it was let go it came.
    pub(super) backlog: BTreeMap<Number, (Came, u64)>,
}

impl Found {
    pub(super) fn all(&self) -> impl Iterator<Item = (Number, Came)> {
        let channels = self.channels.values().flatten().map(|(number, came)| (*number, *came));
        channels.chain(self.backlog.iter().map(|(number, (came, _))| (*number, *came)))
    }
}

/// Empties everything that is on the disk.
pub(super) fn drain(
    disk: &SimulatedDisk,
    settings: JournalSettings,
    now_ns: u64,
) -> BTreeMap<TopicNumber, Found> {
    let (mut host, saved) = Host::open(disk, settings, StoreOptions::default());
    saved.iter().map(|saved| (saved.number, drain_topic(&mut host, saved, now_ns))).collect()
}

fn drain_topic(host: &mut Host, saved: &SavedTopic, now_ns: u64) -> Found {
    let settings = settings_of(saved.image.name, saved.image.durability, true);
    let durability = settings.durability;
    let topic = Topic::restore(settings, clock(now_ns, now_ns), &saved.image, &saved.batches);
    let mut found = Found {
        name: topic.name(),
        durability,
        paused: topic.is_paused(),
        paused_channels: topic.channels().filter(|(_, paused)| *paused).map(|(name, _)| name).collect(),
        channels: BTreeMap::new(),
        backlog: BTreeMap::new(),
    };
    let mut drain =
        Drain { host, number: saved.number, topic, began_ns: now_ns, now_ns, readers: Vec::new() };
    let names: Vec<ChannelName> = drain.topic.channels().map(|(name, _)| name).collect();
    for name in &names {
        drain.read(*name);
    }
    found.channels = drain.run();
    for name in &names {
        found.channels.entry(*name).or_default();
    }
    // What channels had has come: what comes from now on waited in the topic.
    let released_ns = drain.now_ns;
    let now = drain.now();
    drain.topic.channels_known(now, []);
    drain.topic.pause(now, false);
    if names.is_empty() {
        drain.topic.create_channel(now, ChannelName::parse("reader").unwrap());
        drain.read(ChannelName::parse("reader").unwrap());
    }
    let mut waited = drain.run().into_iter();
    if let Some((_, first)) = waited.next() {
        assert!(waited.all(|(_, other)| other == first), "every channel gets the same of what waited");
        found.backlog = first
            .into_iter()
            .map(|(number, came)| {
                let delay_ns = came.at_ns - released_ns;
                (number, (Came { at_ns: now_ns + delay_ns, ..came }, delay_ns))
            })
            .collect();
    }
    found
}

struct Drain<'a> {
    host: &'a mut Host,
    number: TopicNumber,
    topic: Topic,
    began_ns: u64,
    now_ns: u64,
    readers: Vec<(ChannelName, ConsumerKey)>,
}

impl Drain<'_> {
    fn now(&self) -> nsqd_broker::Now {
        clock(self.now_ns, self.began_ns)
    }

    fn read(&mut self, name: ChannelName) {
        let now = self.now();
        self.topic.pause_channel(now, &name, false);
        let key = self.topic.channel(&name).unwrap();
        let settings = ConsumerSettings {
            msg_timeout: Duration::from_secs(1000),
            locality: Locality::default(),
            sample_rate: 0,
        };
        let consumer = self.topic.subscribe(key, settings).unwrap();
        self.topic.set_ready(consumer, 10_000);
        self.readers.push((name, consumer));
    }

    /// Reads and finishes everything, whenever it is due.
    fn run(&mut self) -> BTreeMap<ChannelName, BTreeMap<Number, Came>> {
        let mut all: BTreeMap<ChannelName, BTreeMap<Number, Came>> = BTreeMap::new();
        let mut ask = true;
        for _ in 0..100_000 {
            let now = self.now();
            self.topic.handle_timeout(now);
            let mut came_any = false;
            for (name, consumer) in self.readers.clone().into_iter().filter(|_| ask) {
                let mut given = Vec::new();
                self.topic.deliver(now, consumer, 1 << 20, |delivery| given.push(parse(delivery)));
                for (number, id, attempts) in given {
                    came_any = true;
                    let came = Came { attempts, at_ns: self.now_ns };
                    let before = all.entry(name).or_default().insert(number, came);
                    assert_eq!(before, None, "message {number} came to {name} twice");
                    self.topic.finish(now, consumer, id).unwrap();
                }
            }
            // As consumers do: they ask again when they are woken, and while there is more.
            ask = came_any | self.follow_up();
            if ask {
                continue;
            }
            let Some(at_ns) = self.topic.poll_timeout() else { return all };
            self.now_ns = self.now_ns.max(at_ns - clock(0, 0).monotonic_ns + self.began_ns);
        }
        panic!("topic {} never ends", self.topic.name());
    }

    /// Carries out what the topic asks for. Returns whether it woke anybody.
    fn follow_up(&mut self) -> bool {
        let now = self.now();
        let mut woke = false;
        loop {
            while let Some(request) = self.topic.poll_store() {
                self.host.submit(self.number, request);
            }
            while self.topic.poll_wake().is_some() {
                woke = true;
            }
            if !self.host.take_turn() {
                return woke;
            }
            while let Some((number, events)) = self.host.next_event() {
                assert_eq!(number, self.number);
                events.into_iter().for_each(|event| self.topic.handle_store(now, event));
            }
        }
    }
}

/// A message's number, id and attempts.
pub(super) fn parse(delivery: Delivery<'_>) -> (Number, MessageId, u16) {
    let mut frame = Vec::new();
    delivery.write_to(&mut frame);
    let id = MessageId(frame[18..34].try_into().unwrap());
    let body = &frame[MESSAGE_FRAME_HEADER_BYTES..];
    (Number::from_be_bytes(body[..8].try_into().unwrap()), id, delivery.attempts)
}
