//! A topic lives through years of bad luck: seeded runs with invented time, a slow and faulty disk, consumers that
//! act when they get round to it, restarts and crashes. The same seed is the same run, bit for bit.
//!
//! `SIMULATION_SEEDS=n` sets how many seeds are run, `SIMULATION_SEED=s` runs just one and prints its steps.

mod world;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use fastrand::Rng;
use nsq::wire::name::TopicName;
use nsqd_broker::{ConsumerSettings, Locality, TopicSettings};
use world::{DiskMood, MS, Sessions, World};

/// How many seeds are run unless the environment says otherwise.
const SEEDS: u64 = 3_000;

const CHANNELS: [&str; 4] = ["a", "b", "passing#ephemeral", "c"];

#[test]
fn nothing_is_lost_or_stuck_whatever_happens() {
    if let Some(seed) = number_from_environment("SIMULATION_SEED") {
        Simulation::new(seed, true).run();
        return;
    }
    for seed in 0..number_from_environment("SIMULATION_SEEDS").unwrap_or(SEEDS) {
        Simulation::new(seed, false).run();
    }
}

#[test]
fn a_seed_is_always_the_same_run() {
    for seed in 0..20 {
        assert_eq!(Simulation::new(seed, false).run(), Simulation::new(seed, false).run(), "seed {seed}");
    }
}

fn number_from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value:?}")))
}

#[derive(Debug, Clone, Copy, Hash, PartialEq, Eq)]
enum Step {
    Publish,
    PublishDelayed,
    /// A consumer's turn.
    Session,
    Subscribe,
    Disconnect,
    DiskRead,
    DiskWrite,
    DiskTell,
    DiskMood,
    Time,
    Dawdle,
    CreateChannel,
    DeleteChannel,
    ExpectChannels,
    ChannelsKnown,
    PauseTopic,
    PauseChannel,
    EmptyTopic,
    EmptyChannel,
    Settle,
    Restart,
    Crash,
}

/// How often each step is taken, before a seed makes some more frequent and leaves others out.
const STEPS: [(Step, u32); 22] = [
    (Step::Publish, 60),
    (Step::PublishDelayed, 15),
    (Step::Session, 200),
    (Step::Subscribe, 20),
    (Step::Disconnect, 6),
    (Step::DiskRead, 40),
    (Step::DiskWrite, 40),
    (Step::DiskTell, 60),
    (Step::DiskMood, 10),
    (Step::Time, 40),
    (Step::Dawdle, 20),
    (Step::CreateChannel, 4),
    (Step::DeleteChannel, 2),
    (Step::ExpectChannels, 1),
    (Step::ChannelsKnown, 4),
    (Step::PauseTopic, 4),
    (Step::PauseChannel, 6),
    (Step::EmptyTopic, 1),
    (Step::EmptyChannel, 2),
    (Step::Settle, 15),
    (Step::Restart, 3),
    (Step::Crash, 6),
];

struct Simulation {
    seed: u64,
    verbose: bool,
    rng: Rng,
    world: World,
    weights: Vec<(Step, u32)>,
    channels: &'static [&'static str],
    steps: usize,
    publication_messages_max: usize,
    body_bytes_max: usize,
    delay_ms_max: u64,
    time_ms_max: u64,
    /// One in so many turns of the disk changes its mood for the worse.
    bad_mood_odds: u32,
    /// What happened, to be compared.
    digest: DefaultHasher,
}

impl Simulation {
    fn new(seed: u64, verbose: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let is_ephemeral = one_in(&mut rng, 8);
        let memory_messages_max = pick(&mut rng, &[0, 0, 1, 3, 10, 10, 50, 100, 10_000]);
        let settings = TopicSettings {
            name: TopicName::parse(if is_ephemeral { "topic#ephemeral" } else { "topic" })
                .expect("a good name"),
            requeue_on_disconnect: rng.bool(),
            save_interval: Duration::from_millis(pick(&mut rng, &[0, 1, 200, 2000])),
            ..World::settings(memory_messages_max)
        };
        let factor = |rng: &mut Rng| pick(rng, &[0, 1, 1, 1, 4]);
        let weights = STEPS.map(|(step, weight)| (step, weight * factor(&mut rng))).to_vec();
        Self {
            seed,
            verbose,
            world: World::new(settings, Sessions::Later),
            weights,
            channels: &CHANNELS[rng.usize(0..CHANNELS.len())..],
            steps: rng.usize(20..400),
            publication_messages_max: pick(&mut rng, &[1, 3, 20, 60]),
            body_bytes_max: pick(&mut rng, &[0, 20, 600, 12_000]),
            delay_ms_max: pick(&mut rng, &[2, 100, 10_000]),
            time_ms_max: pick(&mut rng, &[2, 50, 2_000, 90_000]),
            bad_mood_odds: pick(&mut rng, &[2, 5, 1000]),
            rng,
            digest: DefaultHasher::new(),
        }
    }

    /// Returns a digest of everything that happened.
    fn run(mut self) -> u64 {
        let total: u32 = self.weights.iter().map(|(_, weight)| weight).sum();
        for number in 0..self.steps {
            let step = self.choose(total);
            if self.verbose {
                eprintln!("{number}: {step:?} at {} ns, then", self.world.now_ns);
            }
            self.take(step);
            if self.world.is_settled() {
                self.world.check_liveness();
            }
            let stats = format!("{:?}", self.world.topic.stats(self.world.now()));
            if self.verbose {
                eprintln!("    {stats}");
            }
            (number, step, self.world.now_ns, stats).hash(&mut self.digest);
        }
        self.world.drain();
        self.digest.finish()
    }

    fn choose(&mut self, total: u32) -> Step {
        let mut lot = self.rng.u32(0..total.max(1));
        for (step, weight) in &self.weights {
            match lot.checked_sub(*weight) {
                Some(rest) => lot = rest,
                None => return *step,
            }
        }
        Step::Settle
    }

    fn take(&mut self, step: Step) {
        let (channel, consumer) = (self.some_channel(), self.some_consumer());
        let (ns, flag, count) = (self.some_time(), self.rng.bool(), self.rng.usize(1..12));
        let world = &mut self.world;
        match step {
            Step::Publish => self.publish(0),
            Step::PublishDelayed => {
                let delay_ms = self.rng.u64(1..=self.delay_ms_max);
                self.publish(delay_ms);
            }
            Step::Session => consumer.into_iter().for_each(|consumer| self.session(consumer)),
            Step::Subscribe => self.subscribe(channel),
            Step::Disconnect => consumer.into_iter().for_each(|consumer| world.unsubscribe(consumer)),
            Step::DiskRead => world.disk.read(count),
            Step::DiskWrite => world.disk.write(count),
            Step::DiskTell => world.tell(count),
            Step::DiskMood => self.world.disk.mood = self.mood(),
            Step::Time => world.advance(ns),
            Step::Dawdle => world.dawdle(ns),
            Step::CreateChannel => world.create_channel(channel),
            Step::DeleteChannel => world.delete_channel(channel),
            Step::ExpectChannels => world.expect_channels(),
            Step::ChannelsKnown => world.channels_known(&self.channels[..count % (self.channels.len() + 1)]),
            Step::PauseTopic => world.pause_topic(flag),
            Step::PauseChannel => world.pause_channel(channel, flag),
            Step::EmptyTopic => world.empty_topic(),
            Step::EmptyChannel => world.empty_channel(channel),
            Step::Settle => world.let_everything_settle(),
            Step::Restart => world.restart(),
            Step::Crash => {
                let prefix = self.rng.usize(0..=world.disk.queue_len());
                world.crash(prefix);
            }
        }
    }

    fn publish(&mut self, delay_ms: u64) {
        let count = self.rng.usize(1..=self.publication_messages_max);
        let body_bytes = self.rng.usize(0..=self.body_bytes_max);
        self.world.publish(count, body_bytes, delay_ms);
    }

    fn subscribe(&mut self, name: &str) {
        let may_drop = self.world.is_ephemeral() || name.ends_with("#ephemeral");
        let sample_rate = if may_drop && one_in(&mut self.rng, 4) { 30 } else { 0 };
        let msg_timeout = Duration::from_millis(pick(&mut self.rng, &[1, 1_000, 60_000]));
        let locality = pick(&mut self.rng, &[Locality::Elsewhere, Locality::Zone, Locality::Region]);
        let settings = ConsumerSettings { msg_timeout, locality, sample_rate };
        let consumer = self.world.subscribe_with(name, settings);
        let ready = self.some_ready_count();
        self.world.set_ready(consumer, ready);
    }

    /// What a session does in one turn: some answers, then it asks if it has a reason to. Some get round to nothing.
    fn session(&mut self, consumer: usize) {
        let world = &mut self.world;
        let rng = &mut self.rng;
        for _ in 0..pick(rng, &[0, 0, 1, 3, 30]) {
            let n = rng.usize(0..100);
            match rng.u32(0..20) {
                0..=12 => world.finish(consumer, n),
                13..=14 => world.requeue(consumer, n, 0),
                15..=16 => world.requeue(consumer, n, rng.u64(1..=self.delay_ms_max)),
                17..=18 => world.touch(consumer, n),
                _ => world.finish_of_another(consumer),
            }
        }
        if one_in(rng, 6) {
            let ready = self.some_ready_count();
            self.world.set_ready(consumer, ready);
        }
        if one_in(&mut self.rng, 10) {
            let has_room = self.rng.bool();
            self.world.set_room(consumer, has_room);
        }
        let is_slow = consumer.is_multiple_of(3);
        let asks = self.world.consumers[&consumer].should_ask && !(is_slow && one_in(&mut self.rng, 2));
        if asks {
            let bytes_max = pick(&mut self.rng, &[1, 500, 64 * 1024]);
            self.world.ask(consumer, bytes_max);
        }
    }

    fn mood(&mut self) -> DiskMood {
        if !self.rng.u32(0..1000).is_multiple_of(self.bad_mood_odds) {
            return DiskMood::Works;
        }
        match self.rng.bool() {
            true => DiskMood::Refuses,
            false => DiskMood::Tears { done: self.rng.usize(0..4) },
        }
    }

    fn some_time(&mut self) -> u64 {
        self.rng.u64(0..=self.time_ms_max * MS)
    }

    fn some_channel(&mut self) -> &'static str {
        pick(&mut self.rng, self.channels)
    }

    fn some_ready_count(&mut self) -> u64 {
        pick(&mut self.rng, &[0, 0, 1, 1, 2, 10, 100])
    }

    fn some_consumer(&mut self) -> Option<usize> {
        let count = self.world.consumers.len();
        let n = self.rng.usize(0..count.max(1));
        self.world.consumers.keys().nth(n).copied()
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.seed;
            eprintln!(
                "seed {seed} failed; run just it: SIMULATION_SEED={seed} cargo test -p nsqd-broker --test simulation \
                 nothing -- --nocapture"
            );
        }
    }
}

fn pick<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(0..choices.len())]
}

fn one_in(rng: &mut Rng, odds: u32) -> bool {
    rng.u32(0..odds) == 0
}
