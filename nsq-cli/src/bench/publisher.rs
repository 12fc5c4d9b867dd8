//! Publishes as fast as nsqd answers, on several connections, and sees to it that every command was answered `OK`.

use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nsq::wire::name::TopicName;

use super::burst::{Burst, Publish};
use super::connection::Connection;
use super::histogram::Histogram;
use super::layer::Layer;
use super::moved::Moved;
use super::target::{Place, Target};
use super::threads::{self, Joined};
use super::turns::{Caller, take_turns};
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
    place: Place,
    messages: u64,
    time_max: Option<Duration>,
    /// Whether each waits for its answer, and finds all of it in the socket.
    takes_turns: bool,
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
    /// Taken in turn; each has as many commands, and each command as many messages.
    ring: Vec<Burst>,
    commands: usize,
    messages: u64,
    /// How many bursts are to be written yet.
    left: u64,
    /// How many of them may wait for their answers.
    window: usize,
    /// The first message's number, and that of the next.
    first: u64,
    next: u64,
    /// How many commands wait for their answers.
    unanswered: usize,
    sent: Instant,
    latencies: Histogram,
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
                commands: plan.commands,
                messages: per_command as u64,
                left: bursts,
                window: plan.window,
                first,
                next: first,
                unanswered: 0,
                sent: Instant::now(),
                latencies: Histogram::new(),
                moved: Arc::clone(&target.place.moved),
            });
        }
        let messages = bursts * per_burst * plan.connections as u64;
        let takes_turns = plan.window == 1 && plan.layer == Layer::Plain;
        Ok(Self { workers, place: target.place.clone(), messages, time_max: plan.time_max, takes_turns })
    }

    /// How many messages they will publish, if there is time.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// Publishes everything.
    pub(super) fn run(mut self) -> Result<Published, Failure> {
        let began = Instant::now();
        let deadline = self.time_max.map(|time_max| began + time_max);
        if self.takes_turns {
            take_turns(&mut self.workers, &self.place, deadline)?;
        } else {
            let outcomes = thread::scope(|scope| {
                let workers = self.workers.iter_mut();
                let running: Vec<_> =
                    workers.map(|worker| scope.spawn(move || worker.run(deadline))).collect();
                running.into_iter().map(Joined::joined).collect::<Vec<_>>()
            });
            threads::all(outcomes)?;
        }
        let elapsed = began.elapsed();
        let mut published = Published { messages: 0, elapsed, latencies: Histogram::new() };
        for worker in &self.workers {
            published.messages += worker.next - worker.first;
            published.latencies.merge(&worker.latencies);
        }
        Ok(published)
    }
}

impl Worker {
    /// Publishes with several bursts on their way.
    fn run(&mut self, deadline: Option<Instant>) -> Result<(), Failure> {
        while self.send()? {
            while self.unanswered > (self.window - 1) * self.commands {
                self.receive()?;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                break;
            }
        }
        while self.unanswered > 0 {
            self.receive()?;
        }
        Ok(())
    }

    /// Writes the next burst; `false` where none is left.
    fn send(&mut self) -> Result<bool, Failure> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        let at = (self.next - self.first) / (self.messages * self.commands as u64);
        let ring = self.ring.len() as u64;
        let burst = &mut self.ring[(at % ring) as usize];
        burst.number(self.next);
        self.next += burst.messages() as u64;
        self.unanswered += self.commands;
        self.sent = Instant::now();
        self.connection.send(burst.bytes())?;
        Ok(true)
    }

    /// Waits for answers.
    fn receive(&mut self) -> Result<(), Failure> {
        let answers = self.connection.oks()?;
        let left = self.unanswered.checked_sub(answers);
        self.unanswered =
            left.ok_or_else(|| Failure::Failed("nsqd answered what was not asked".to_owned()))?;
        self.moved.add(answers as u64 * self.messages);
        Ok(())
    }
}

impl Caller for Worker {
    fn socket(&self) -> &TcpStream {
        self.connection.socket()
    }

    fn say(&mut self) -> Result<bool, Failure> {
        self.send()
    }

    fn hear(&mut self) -> Result<bool, Failure> {
        self.receive()?;
        let is_answered = self.unanswered == 0;
        if is_answered {
            self.latencies.record(self.sent.elapsed());
        }
        Ok(is_answered)
    }
}
