//! Topics, the worker and the journal together on a simulated disk, under chance: what was acknowledged is never lost.
//!
//! After every end (an orderly stop, a kill at any operation of the disk, a loss of power) a copy of the disk is read
//! to the last message and compared with the model; the run goes on from there.
//!
//! `SIMULATION_SEEDS=n` sets how many seeds are run, `SIMULATION_SEED=s` runs just one and prints its steps.
//!
//! - `host`: the worker without its thread.
//! - `model`: what may come of each message.
//! - `drain`: what a start finds.

mod drain;
mod host;
mod model;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use fastrand::Rng;
use nsq::wire::name::{ChannelName, TopicName};
use nsqd_broker::storage::Durability;
use nsqd_broker::{ConsumerKey, ConsumerSettings, Locality, Now, Publication, Topic, TopicSettings};

use self::drain::Found;
use self::host::Host;
use self::model::{Message, Messages, ModelChannel, ModelTopic, SAVE_INTERVAL_NS, State};
use super::StoreOptions;
use crate::store::TopicNumber;
use crate::store::journal::JournalSettings;
use crate::store::simulated_disk::SimulatedDisk;

/// How many seeds are run unless the environment says otherwise.
const SEEDS: u64 = 400;

const MS: u64 = 1_000_000;

/// When the world began, in nanoseconds of Unix time.
const BEGIN_UNIX_NS: i64 = 1_800_000_000_000_000_000;

const CHANNELS: [&str; 3] = ["a", "b", "c"];

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stopped,
    Killed,
    PowerLost,
}

/// Both clocks of a process that was started at `started_ns`.
fn clock(now_ns: u64, started_ns: u64) -> Now {
    Now { monotonic_ns: now_ns - started_ns + 1000 * MS, unix_ns: BEGIN_UNIX_NS + now_ns as i64 }
}

/// As the node makes them. The daemon's level is `os`.
fn settings_of(name: TopicName, chosen: Option<Durability>, requeue_on_disconnect: bool) -> TopicSettings {
    TopicSettings {
        name,
        node_id: 1,
        durability: chosen.unwrap_or(Durability::Os),
        chosen_durability: chosen,
        memory_messages_max: 10_000,
        channel_consumers_max: 0,
        requeue_on_disconnect,
        latency_window: None,
        save_interval: Duration::from_nanos(SAVE_INTERVAL_NS),
    }
}

struct Life {
    topic: Topic,
    model: ModelTopic,
}

/// A topic that was deleted.
struct Deleted {
    model: ModelTopic,
    settled: bool,
}

struct Simulation {
    verbose: bool,
    random: Rng,
    disk: SimulatedDisk,
    settings: JournalSettings,
    options: StoreOptions,
    requeue_on_disconnect: bool,
    with_faults: bool,
    time_ms_max: u64,
    host: Host,
    now_ns: u64,
    started_ns: u64,
    topics: BTreeMap<TopicNumber, Life>,
    deleted: BTreeMap<TopicNumber, Deleted>,
    next_number: u32,
    next_life: u64,
    messages: Messages,
}

impl Simulation {
    fn new(seed: u64, verbose: bool) -> Self {
        let mut random = Rng::with_seed(seed);
        let settings = JournalSettings {
            default_durability: Durability::Os,
            sync_every: random.u64(1..40),
            sync_timeout: if random.bool() { Duration::ZERO } else { Duration::MAX },
            segment_bytes: random.u64(2_000..20_000),
            prepared_bytes: 1000,
            reserve_bytes: 100,
        };
        let options = StoreOptions {
            pending_bytes_max: 20_000,
            group_bytes_max: [1, 1_000, 6_000][random.usize(0..3)],
            ..StoreOptions::default()
        };
        let disk = SimulatedDisk::new(seed);
        let (host, _) = Host::open(&disk, settings, options);
        Self {
            verbose,
            requeue_on_disconnect: random.bool(),
            with_faults: random.bool(),
            time_ms_max: [2, 50, 300, 3_000][random.usize(0..4)],
            random,
            disk,
            settings,
            options,
            host,
            now_ns: 0,
            started_ns: 0,
            topics: BTreeMap::new(),
            deleted: BTreeMap::new(),
            next_number: 0,
            next_life: 0,
            messages: Messages::new(),
        }
    }

    fn run(&mut self) {
        for _ in 0..self.random.usize(2..6) {
            for _ in 0..self.random.usize(1..150) {
                self.step();
            }
            match self.random.u8(0..3) {
                0 => self.stop(),
                1 => self.crash(End::Killed),
                _ => self.crash(End::PowerLost),
            }
        }
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.verbose {
            eprintln!("{} ms: {}", self.now_ns / MS, what());
        }
    }

    fn now(&self) -> Now {
        clock(self.now_ns, self.started_ns)
    }

    // ---- steps ---------------------------------------------------------------------------------------

    fn step(&mut self) {
        let many = self.random.usize(1..4);
        match self.random.u8(0..100) {
            0..20 => self.publish(),
            20..24 => self.subscribe(),
            24..40 => self.deliver(),
            40..54 => self.answer(),
            54..56 => self.disconnect(),
            56..66 => self.take_time(),
            66..80 => (0..many).for_each(|_| self.take_turn()),
            80..90 => {
                for _ in 0..many {
                    self.tell();
                }
            }
            90..93 => self.create_channel(),
            93 if self.random.bool() => self.delete_channel(),
            94 => self.pause(),
            95 if self.random.u8(0..4) == 0 => self.delete_topic(),
            96 if self.with_faults => self.break_disk(),
            _ => {
                self.say(|| "upkeep".to_owned());
                self.host.handle_due();
            }
        }
        self.settle();
    }

    /// One of the topics; it is made if it is not there.
    fn some_topic(&mut self) -> TopicNumber {
        let (name, chosen) = [("o", None), ("d", Some(Durability::Disk)), ("p", Some(Durability::Os))]
            [self.random.usize(0..3)];
        let name = TopicName::parse(name).unwrap();
        if let Some((number, _)) = self.topics.iter().find(|(_, life)| life.model.name == name) {
            return *number;
        }
        let number = TopicNumber(self.next_number);
        self.say(|| format!("topic {name} is {number:?}"));
        self.next_number += 1;
        self.next_life += 1;
        let settings = settings_of(name, chosen, self.requeue_on_disconnect);
        let model = ModelTopic::new(self.next_life, name, settings.durability);
        let mut topic = Topic::new(settings);
        topic.request_save(self.now());
        self.deleted.remove(&number);
        self.topics.insert(number, Life { topic, model });
        self.follow_up(number);
        number
    }

    fn life(&mut self, number: TopicNumber) -> &mut Life {
        self.topics.get_mut(&number).unwrap()
    }

    fn some_channel(&mut self) -> ChannelName {
        ChannelName::parse(CHANNELS[self.random.usize(0..CHANNELS.len())]).unwrap()
    }

    fn some_consumer(&mut self) -> Option<(TopicNumber, ChannelName, ConsumerKey)> {
        let all: Vec<_> = (self.topics.iter())
            .flat_map(|(number, life)| {
                let channels = life.model.channels.iter();
                channels
                    .flat_map(|(name, channel)| channel.consumers.iter().map(|key| (*number, *name, *key)))
            })
            .collect();
        (!all.is_empty()).then(|| all[self.random.usize(0..all.len())])
    }

    fn publish(&mut self) {
        let number = self.some_topic();
        if !self.host.has_room() {
            return;
        }
        let delay_ms = if self.random.u8(0..3) == 0 { self.random.u64(1..=2 * self.time_ms_max) } else { 0 };
        let bytes_max = [0, 100, 2_000][self.random.usize(0..3)];
        let (now, now_ns, random) = (self.now(), self.now_ns, &mut self.random);
        let life = self.topics.get_mut(&number).unwrap();
        let mut publication = Publication::new(10_000);
        let mut numbers = Vec::new();
        for _ in 0..random.usize(1..5) {
            let message = self.messages.len() as u64;
            let mut body = message.to_be_bytes().to_vec();
            body.resize(8 + random.usize(0..=bytes_max), b'x');
            match delay_ms {
                0 => publication.push(&body, 0),
                _ => publication.push_deferred(&body, 0, Duration::from_millis(delay_ms)),
            }
            numbers.push(message);
            let not_before_ns = now_ns + delay_ms * MS;
            self.messages
                .insert(message, Message { life: life.model.life, acknowledged: false, not_before_ns });
        }
        let outcome = life.topic.publish(now, publication);
        if outcome.is_ok() {
            numbers.iter().for_each(|message| life.model.publish(*message, delay_ms * MS, now_ns));
            life.model.waiting.push((life.topic.end(), numbers.clone()));
        }
        self.say(|| format!("publish {numbers:?} to {number:?}, delay {delay_ms} ms: {outcome:?}"));
        self.follow_up(number);
        self.acknowledge(number);
    }

    /// What the node tells publishers.
    fn acknowledge(&mut self, number: TopicNumber) {
        let mut told = Vec::new();
        let Life { topic, model } = self.topics.get_mut(&number).unwrap();
        let failing = topic.is_store_failing();
        for (end, numbers) in std::mem::take(&mut model.waiting) {
            if topic.is_stored(end) {
                for message in &numbers {
                    self.messages.get_mut(message).unwrap().acknowledged = true;
                }
                told.push(numbers);
            } else if !failing {
                model.waiting.push((end, numbers));
            }
        }
        if !told.is_empty() {
            self.say(|| format!("acknowledged {told:?}"));
        }
    }

    fn create_channel(&mut self) {
        let (number, name, now, now_ns) = (self.some_topic(), self.some_channel(), self.now(), self.now_ns);
        self.say(|| format!("channel {name} of {number:?}"));
        let life = self.life(number);
        life.topic.create_channel(now, name);
        life.model.channels.entry(name).or_default();
        life.model.release(now_ns);
        self.follow_up(number);
    }

    fn delete_channel(&mut self) {
        let (number, name, now) = (self.some_topic(), self.some_channel(), self.now());
        self.say(|| format!("delete channel {name} of {number:?}"));
        let life = self.life(number);
        life.topic.delete_channel(now, &name);
        if life.model.channels.remove(&name).is_some() {
            life.model.deleted.insert(name);
        }
        self.follow_up(number);
    }

    fn delete_topic(&mut self) {
        let number = self.some_topic();
        self.say(|| format!("delete {number:?}"));
        let life = self.topics.remove(&number).unwrap();
        self.host.submit(number, nsqd_broker::storage::Request::Delete);
        self.deleted.insert(number, Deleted { model: life.model, settled: false });
    }

    fn pause(&mut self) {
        let (number, name, paused) = (self.some_topic(), self.some_channel(), self.random.bool());
        let (now, now_ns, whole) = (self.now(), self.now_ns, self.random.bool());
        self.say(|| format!("pause {paused} {number:?} {whole} {name}"));
        let Life { topic, model } = self.life(number);
        if whole {
            topic.pause(now, paused);
            model.paused = paused;
            model.release(now_ns);
        } else if let Some(channel) = model.channels.get_mut(&name) {
            topic.pause_channel(now, &name, paused);
            channel.paused = paused;
        }
        self.follow_up(number);
    }

    fn subscribe(&mut self) {
        let (number, name) = (self.some_topic(), self.some_channel());
        let timeout_ms = [1, 100, 60_000][self.random.usize(0..3)];
        let ready = self.random.u64(1..12);
        let Life { topic, model } = self.topics.get_mut(&number).unwrap();
        let Some(channel) = model.channels.get_mut(&name) else { return };
        let settings = ConsumerSettings {
            msg_timeout: Duration::from_millis(timeout_ms),
            locality: Locality::default(),
            sample_rate: 0,
        };
        let consumer = topic.subscribe(topic.channel(&name).unwrap(), settings).unwrap();
        topic.set_ready(consumer, ready);
        channel.consumers.push(consumer);
        self.say(|| format!("subscribe {consumer:?} to {name} of {number:?}, time-out {timeout_ms} ms"));
    }

    fn disconnect(&mut self) {
        let Some((number, name, consumer)) = self.some_consumer() else { return };
        self.say(|| format!("disconnect {consumer:?}"));
        let (now, requeue) = (self.now(), self.requeue_on_disconnect);
        let Life { topic, model } = self.life(number);
        topic.unsubscribe(now, consumer);
        let channel = model.channels.get_mut(&name).unwrap();
        channel.consumers.retain(|key| *key != consumer);
        if requeue {
            for (message, ..) in channel.in_flight(consumer) {
                channel.set(message, State::Ready);
            }
        }
        self.follow_up(number);
    }

    fn deliver(&mut self) {
        let Some((number, name, consumer)) = self.some_consumer() else { return };
        let (now, now_ns) = (self.now(), self.now_ns);
        let Life { topic, model } = self.topics.get_mut(&number).unwrap();
        let mut given = Vec::new();
        topic.deliver(now, consumer, 1 << 16, |delivery| given.push(drain::parse(delivery)));
        let channel = model.channels.get_mut(&name).unwrap();
        assert!(given.is_empty() || !channel.paused, "{name} is paused");
        for (message, id, attempts) in &given {
            let entry = channel.messages.get_mut(message);
            let entry = entry.unwrap_or_else(|| panic!("message {message} is not for {name}"));
            let may_come = match entry.state {
                State::Ready => true,
                State::InFlight { deadline_ns, .. } => deadline_ns <= now_ns,
                State::Deferred { due_ns, .. } => due_ns <= now_ns,
                State::Finished { .. } => false,
            };
            assert!(may_come, "message {message} came to {name}, and it is {entry:?}");
            entry.attempts += 1;
            assert_eq!(*attempts, entry.attempts, "message {message} on {name}");
            // The shortest that a consumer has.
            let state = State::InFlight { consumer, id: *id, deadline_ns: now_ns + MS };
            entry.state = state;
            let known = &self.messages[message];
            assert!(!known.acknowledged || known.not_before_ns <= now_ns, "message {message} came early");
        }
        self.say(|| format!("{name} of {number:?} gets {given:?}"));
        self.follow_up(number);
    }

    fn answer(&mut self) {
        let Some((number, name, consumer)) = self.some_consumer() else { return };
        let (now, now_ns) = (self.now(), self.now_ns);
        let Life { topic, model } = self.topics.get_mut(&number).unwrap();
        let channel: &mut ModelChannel = model.channels.get_mut(&name).unwrap();
        let mut said = Vec::new();
        for (message, id, deadline_ns) in channel.in_flight(consumer) {
            let delay_ms = self.random.u64(1..=2 * self.time_ms_max);
            let (outcome, state) = match self.random.u8(0..8) {
                0..4 => (topic.finish(now, consumer, id), State::Finished { at_ns: now_ns, settled: false }),
                4 => (topic.requeue(now, consumer, id, Duration::ZERO), State::Ready),
                5 => (
                    topic.requeue(now, consumer, id, Duration::from_millis(delay_ms)),
                    State::Deferred { due_ns: now_ns + delay_ms * MS, since_ns: now_ns, settled: false },
                ),
                _ => continue,
            };
            said.push((message, state));
            match outcome {
                Ok(()) => channel.set(message, state),
                Err(error) => {
                    assert!(deadline_ns <= now_ns, "message {message} of {name}: {error}");
                    channel.set(message, State::Ready);
                }
            }
        }
        self.say(|| format!("{name} of {number:?} answers {said:?}"));
        self.follow_up(number);
    }

    fn take_time(&mut self) {
        self.now_ns += self.random.u64(0..=self.time_ms_max * MS);
        self.say(|| "time".to_owned());
        let now = self.now();
        for number in self.topics.keys().copied().collect::<Vec<_>>() {
            self.life(number).topic.handle_timeout(now);
            self.follow_up(number);
        }
    }

    fn break_disk(&mut self) {
        if self.random.u8(0..4) == 0 {
            return self.disk.recover();
        }
        let (at, many) = (self.random.u64(0..6), self.random.u64(1..8));
        let kind = if self.random.bool() { io::ErrorKind::StorageFull } else { io::ErrorKind::Other };
        self.say(|| format!("the disk fails {many} times, {kind}"));
        self.disk.fail(at..at + many, kind);
    }

    fn take_turn(&mut self) {
        if self.host.take_turn() {
            self.say(|| "a group".to_owned());
        }
    }

    /// Tells a topic what became of its requests. Returns whether there was anything to tell.
    fn tell(&mut self) -> bool {
        let Some((number, events)) = self.host.next_event() else { return false };
        self.say(|| format!("{number:?} is told of {} requests", events.len()));
        let now = self.now();
        if let Some(life) = self.topics.get_mut(&number) {
            events.into_iter().for_each(|event| life.topic.handle_store(now, event));
            self.follow_up(number);
            self.acknowledge(number);
        }
        true
    }

    fn follow_up(&mut self, number: TopicNumber) {
        let life = self.topics.get_mut(&number).unwrap();
        while let Some(request) = life.topic.poll_store() {
            self.host.submit(number, request);
        }
        while life.topic.poll_wake().is_some() {}
    }

    fn settle(&mut self) {
        if self.host.is_settled() {
            self.topics.values_mut().for_each(|life| life.model.settle(self.now_ns));
            self.deleted.values_mut().for_each(|deleted| deleted.settled = true);
        }
    }

    // ---- ends ----------------------------------------------------------------------------------------

    fn stop(&mut self) {
        // A topic that does not know what failed does not ask for it again.
        while self.tell() {}
        let now = self.now();
        for number in self.topics.keys().copied().collect::<Vec<_>>() {
            self.life(number).topic.request_save_all(now);
            self.follow_up(number);
        }
        let outcome = self.host.stop();
        self.say(|| format!("stop: {outcome:?}"));
        // Publishers that wait are told until the last.
        while let Some((number, events)) = self.host.next_event() {
            if let Some(life) = self.topics.get_mut(&number) {
                events.into_iter().for_each(|event| life.topic.handle_store(now, event));
                self.acknowledge(number);
            }
        }
        self.disk.recover();
        // The journal ends before the next begins.
        self.host = Host::open(&SimulatedDisk::new(0), self.settings, self.options).0;
        self.restart(if outcome.is_ok() { End::Stopped } else { End::Killed });
    }

    fn crash(&mut self, end: End) {
        if self.random.bool() {
            // Right after somebody was told.
            self.publish();
            self.take_turn();
            self.tell();
        }
        if self.random.bool() {
            // In the middle of a group; nobody is told.
            self.disk.copy_before(self.random.u64(0..12));
            self.host.take_turn();
        }
        let disk = self.disk.take_copy(self.random.u64(..));
        if end == End::PowerLost {
            disk.lose_power();
        }
        self.disk = disk;
        self.restart(end);
    }

    fn restart(&mut self, end: End) {
        self.now_ns += 5 * MS;
        self.say(|| format!("{end:?}"));
        let copy = self.disk.copy(self.random.u64(..));
        let found = drain::drain(&copy, self.settings, self.now_ns);
        self.say(|| format!("found {found:?}"));
        for (number, life) in &self.topics {
            life.model.check(found.get(number), &self.messages, end, self.now_ns);
        }
        self.go_on(&found, end);
    }

    /// As the node starts.
    fn go_on(&mut self, found: &BTreeMap<TopicNumber, Found>, end: End) {
        self.started_ns = self.now_ns;
        let (host, saved) = Host::open(&self.disk, self.settings, self.options);
        self.host = host;
        self.next_number = 0;
        let mut before: BTreeMap<_, _> =
            std::mem::take(&mut self.topics).into_iter().map(|(number, life)| (number, life.model)).collect();
        for saved in saved {
            let number = saved.number;
            let found = &found[&number];
            let mut model = before.remove(&number).unwrap_or_else(|| {
                let deleted = self.deleted.remove(&number);
                let deleted = deleted.unwrap_or_else(|| panic!("{number:?} was never there"));
                let is_os = end == End::PowerLost && found.durability == Durability::Os;
                assert!(!deleted.settled || is_os, "{number:?} was deleted for good");
                // Part of it may be gone.
                let model = deleted.model;
                for message in self.messages.values_mut().filter(|message| message.life == model.life) {
                    message.acknowledged = false;
                }
                model
            });
            model.adopt(found, &mut self.messages, end, self.now_ns);
            let settings = settings_of(saved.image.name, saved.image.durability, self.requeue_on_disconnect);
            let now = self.now();
            let mut topic = Topic::restore(settings, now, &saved.image, &saved.batches);
            if topic.expects_channels() {
                topic.channels_known(now, []);
            }
            model.release(self.now_ns);
            self.next_number = self.next_number.max(number.0 + 1);
            let older = self.topics.iter().find(|(_, life)| life.model.name == model.name);
            if let Some(older) = older.map(|(number, _)| *number) {
                let life = self.topics.remove(&older).unwrap();
                self.host.submit(older, nsqd_broker::storage::Request::Delete);
                self.deleted.insert(older, Deleted { model: life.model, settled: false });
            }
            self.topics.insert(number, Life { topic, model });
            self.follow_up(number);
        }
        // What is gone, and was not deleted, was never promised.
        for (number, model) in before {
            self.deleted.insert(number, Deleted { model, settled: false });
        }
    }
}

fn number_from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value:?}")))
}

#[test]
fn what_was_acknowledged_is_never_lost() {
    if let Some(seed) = number_from_environment("SIMULATION_SEED") {
        return Simulation::new(seed, true).run();
    }
    for seed in 0..number_from_environment("SIMULATION_SEEDS").unwrap_or(SEEDS) {
        let run = || Simulation::new(seed, false).run();
        let outcome = std::panic::catch_unwind(run);
        assert!(
            outcome.is_ok(),
            "seed {seed} failed; SIMULATION_SEED={seed} runs just that and prints its steps"
        );
    }
}
