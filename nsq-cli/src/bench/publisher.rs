//! Publishes as fast as nsqd answers, on several connections, and sees to it that every command was answered `OK`.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nsq::wire::name::TopicName;

use super::burst::{Burst, Publish};
use super::connection::Connection;
use super::histogram::Histogram;
use super::layer::Layer;
use super::moved::Moved;
use super::target::Target;
use super::threads::{self, Joined};
use crate::failure::Failure;

/// How to publish.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub publish: Publish,
    pub connections: usize,
    /// How many commands are written at once.
    pub commands: usize,
    /// How many such writes may wait for their answers. With one, each is timed.
    pub window: usize,
    pub layer: Layer,
    /// The size of a body, in bytes.
    pub size: usize,
    /// At least so many messages in all; the last writes of all connections are whole.
    pub messages: u64,
    /// When to end though there is more; `None` where all must be published.
    pub time_max: Option<Duration>,
}

/// Who is about to publish: all that can be made before is made.
pub(super) struct Publishers {
    workers: Vec<Worker>,
    messages: u64,
    time_max: Option<Duration>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Published {
    /// How many messages were confirmed.
    pub messages: u64,
    pub elapsed: Duration,
    /// From writing to the last answer; empty where several writes were on their way.
    pub latencies: Histogram,
}

struct Worker {
    connection: Connection,
    /// Taken in turn.
    ring: Vec<Burst>,
    /// How many are written, and how many of them may wait for their answers.
    bursts: u64,
    window: usize,
    /// The first message's number.
    first: u64,
    moved: Arc<Moved>,
}

/// How many bursts differ from each other.
const RING: usize = 4;

impl Publishers {
    /// Connects them, with all that they will say.
    pub(super) fn new(target: &Target, topic: &TopicName, plan: &Plan) -> Result<Self, Failure> {
        let per_command = match plan.publish {
            Publish::Batch(messages) => messages,
            Publish::One | Publish::Deferred => 1,
        };
        let per_burst = (per_command * plan.commands) as u64;
        let bursts = plan.messages.div_ceil(per_burst * plan.connections as u64);
        let mut workers = Vec::new();
        for index in 0..plan.connections as u64 {
            let first = index * bursts * per_burst;
            let ring = (0..RING as u64).map(|at| {
                let seed = index * RING as u64 + at;
                let burst = Burst::new(topic, plan.publish, plan.commands, plan.size, seed);
                burst.encoded(plan.layer, first + at * per_burst)
            });
            workers.push(Worker {
                connection: Connection::open(&target.place, plan.layer)?,
                ring: ring.collect(),
                bursts,
                window: plan.window,
                first,
                moved: Arc::clone(&target.place.moved),
            });
        }
        let messages = bursts * per_burst * plan.connections as u64;
        Ok(Self { workers, messages, time_max: plan.time_max })
    }

    /// How many messages they will publish, if there is time.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// Publishes everything.
    pub(super) fn run(self) -> Result<Published, Failure> {
        let began = Instant::now();
        let deadline = self.time_max.map(|time_max| began + time_max);
        let outcomes = thread::scope(|scope| {
            let running: Vec<_> =
                self.workers.into_iter().map(|worker| scope.spawn(move || worker.run(deadline))).collect();
            running.into_iter().map(Joined::joined).collect::<Vec<_>>()
        });
        let elapsed = began.elapsed();
        let mut published = Published { messages: 0, elapsed, latencies: Histogram::new() };
        for (messages, latencies) in threads::all(outcomes)? {
            published.messages += messages;
            published.latencies.merge(&latencies);
        }
        Ok(published)
    }
}

impl Worker {
    /// Publishes, and gives how many messages were confirmed, and how long that took each time.
    fn run(mut self, deadline: Option<Instant>) -> Result<(u64, Histogram), Failure> {
        let mut latencies = Histogram::new();
        let mut number = self.first;
        let mut unanswered = 0;
        for at in 0..self.bursts {
            let ring = self.ring.len() as u64;
            let burst = &mut self.ring[(at % ring) as usize];
            burst.number(number);
            number += burst.messages() as u64;
            let (commands, messages, sent) = (burst.commands(), burst.messages() as u64, Instant::now());
            self.connection.send(burst.bytes())?;
            unanswered += commands;
            while unanswered > (self.window - 1) * commands {
                unanswered = self.answered(unanswered)?;
            }
            let now = Instant::now();
            self.moved.add(messages);
            if self.window == 1 {
                latencies.record(now - sent);
            }
            if deadline.is_some_and(|deadline| now >= deadline) {
                break;
            }
        }
        while unanswered > 0 {
            unanswered = self.answered(unanswered)?;
        }
        Ok((number - self.first, latencies))
    }

    /// Waits for answers; returns how many commands are still without one.
    fn answered(&mut self, unanswered: usize) -> Result<usize, Failure> {
        let answers = self.connection.oks()?;
        let left = unanswered.checked_sub(answers);
        left.ok_or_else(|| Failure::Failed("nsqd answered what was not asked".to_owned()))
    }
}
