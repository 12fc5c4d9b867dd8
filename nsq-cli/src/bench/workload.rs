//! What can be measured, by name: what each workload is, how much it moves, and what it needs of nsqd.

use clap::ValueEnum;

use super::burst::Publish;
use super::layer::Layer;

/// Something to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Workload {
    /// MPUB of 200 messages, four on their way
    Mpub,
    /// The same within TLS
    MpubTls,
    /// The same, compressed with Snappy
    MpubSnappy,
    /// The same, compressed with Deflate
    MpubDeflate,
    /// PUB, 100 on their way on each of 4 connections
    Pub,
    /// PUB, one at a time on each of 8 connections
    PubEach,
    /// A backlog is consumed, by 2 consumers with RDY 2500
    Drain,
    /// Published and consumed at once: 2 publishers, 2 consumers
    Pubsub,
    /// The same to 8 channels, with a consumer each
    Fanout,
    /// In and out with --mem-queue-size=10000, so that most goes to the disk
    Spill,
    /// In and out with --mem-queue-size=0
    Queue0,
    /// PUB on 50 connections, each waits for its OK; --mem-queue-size=0 --sync-every=1
    DurableEach,
    /// MPUB of 100 on 8 connections, each waits for its OK; the same flags
    DurableMpub,
    /// PUB at 10,000 a second on 50 connections, timed from when each was to go; the same flags
    DurablePaced,
    /// PUB at 2,000 a second to one consumer, timed from when each was to go
    Latency,
    /// The same at 20,000 a second
    LatencyBusy,
    /// Each message is requeued once, then finished
    Requeue,
    /// DPUB with delays of 1 to 4 seconds, timed from when each was due
    Deferred,
    /// POST /pub on 4 connections, one at a time on each
    HttpPub,
    /// One message to each of 5,000 new topics
    Topics,
    /// 1,000 consumers wait for 5 seconds
    IdleConsumers,
    /// Connecting, SUB, RDY and closing, on 4 threads
    Churn,
    /// A stop and a start with a backlog, which is consumed then
    Restart,
    /// The bytes of mpub, copied over loopback: what no nsqd can exceed
    Limit,
}

/// What is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Publishers alone.
    Publish(Publishing),
    /// A backlog, then its consumers.
    Drain,
    /// Publishers and consumers at once.
    Both,
    /// Publishers, then consumers: both are measured, and what is on the disk between them.
    InAndOut,
    /// Publishers who wait for their OK, at a pace.
    PacedOks,
    /// A publisher at a pace, and a consumer.
    Latency,
    Requeue,
    Deferred,
    Http,
    Topics,
    IdleConsumers,
    Churn,
    Restart,
    Limit,
}

/// How messages are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Publishing {
    pub publish: Publish,
    /// How many commands are written at once.
    pub commands: usize,
    /// How many such writes may wait for their answers.
    pub window: usize,
    pub layer: Layer,
}

/// How much is moved, where the command line does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    pub messages: u64,
    /// Of publishers.
    pub connections: usize,
    /// Messages in an MPUB.
    pub batch: usize,
    pub channels: usize,
    /// Of each channel.
    pub consumers: usize,
    /// Messages a second, where there is a pace.
    pub rate: u32,
}

/// Where nsqd is to keep what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    /// All of it in memory.
    Memory,
    /// `--mem-queue-size` messages of it in memory.
    Size(u64),
    /// Nothing in memory, and each message is to be on the disk when it is confirmed.
    Durable,
}

/// A workload in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spec {
    pub kind: Kind,
    pub load: Load,
    pub queue: Queue,
}

impl Workload {
    /// Those that are carried out when none is named: in memory, each in seconds.
    pub(super) const USUAL: [Self; 6] =
        [Self::Mpub, Self::Pub, Self::PubEach, Self::Drain, Self::Pubsub, Self::Fanout];

    /// Its name on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub(super) fn spec(self) -> Spec {
        const MILLION: u64 = 1_000_000;
        let load =
            Load { messages: 2 * MILLION, connections: 1, batch: 200, channels: 1, consumers: 2, rate: 0 };
        let mpub = |layer, batch, window| {
            Kind::Publish(Publishing { publish: Publish::Batch(batch), commands: 1, window, layer })
        };
        let each = |commands, window| {
            Kind::Publish(Publishing { publish: Publish::One, commands, window, layer: Layer::Plain })
        };
        let (kind, load, queue) = match self {
            Self::Mpub => (mpub(Layer::Plain, load.batch, 4), load, Queue::Memory),
            Self::MpubTls => (mpub(Layer::Tls, load.batch, 4), load, Queue::Memory),
            Self::MpubSnappy => (mpub(Layer::Snappy, load.batch, 4), load, Queue::Memory),
            Self::MpubDeflate => (mpub(Layer::Deflate, load.batch, 4), load, Queue::Memory),
            Self::Pub => (each(50, 2), Load { messages: MILLION, connections: 4, ..load }, Queue::Memory),
            Self::PubEach => {
                (each(1, 1), Load { messages: MILLION / 5, connections: 8, ..load }, Queue::Memory)
            }
            Self::Drain => (Kind::Drain, load, Queue::Memory),
            Self::Pubsub => (Kind::Both, Load { connections: 2, ..load }, Queue::Memory),
            Self::Fanout => {
                let load = Load { messages: MILLION / 4, channels: 8, consumers: 1, ..load };
                (Kind::Both, load, Queue::Memory)
            }
            Self::Spill => (Kind::InAndOut, load, Queue::Size(10_000)),
            Self::Queue0 => (Kind::InAndOut, Load { messages: MILLION, ..load }, Queue::Size(0)),
            Self::DurableEach => {
                (each(1, 1), Load { messages: MILLION / 5, connections: 50, ..load }, Queue::Durable)
            }
            Self::DurableMpub => {
                let load = Load { messages: MILLION, connections: 8, batch: 100, ..load };
                (mpub(Layer::Plain, load.batch, 1), load, Queue::Durable)
            }
            Self::DurablePaced => (
                Kind::PacedOks,
                Load { rate: 10_000, connections: 50, messages: 50_000, ..load },
                Queue::Durable,
            ),
            Self::Latency => {
                (Kind::Latency, Load { rate: 2_000, messages: 10_000, consumers: 1, ..load }, Queue::Memory)
            }
            Self::LatencyBusy => {
                (Kind::Latency, Load { rate: 20_000, messages: 100_000, consumers: 1, ..load }, Queue::Memory)
            }
            Self::Requeue => (Kind::Requeue, Load { messages: MILLION / 2, ..load }, Queue::Memory),
            Self::Deferred => {
                (Kind::Deferred, Load { messages: MILLION / 5, consumers: 1, ..load }, Queue::Memory)
            }
            Self::HttpPub => (Kind::Http, Load { messages: 40_000, connections: 4, ..load }, Queue::Memory),
            Self::Topics => (Kind::Topics, Load { messages: 5_000, ..load }, Queue::Size(10_000)),
            Self::IdleConsumers => (Kind::IdleConsumers, Load { consumers: 1_000, ..load }, Queue::Memory),
            Self::Churn => (Kind::Churn, Load { messages: 8_000, connections: 4, ..load }, Queue::Memory),
            Self::Restart => (Kind::Restart, load, Queue::Memory),
            Self::Limit => (Kind::Limit, load, Queue::Memory),
        };
        Spec { kind, load, queue }
    }
}

impl Spec {
    /// Whether it can only be measured on a daemon that is started for it.
    pub(super) fn wants_own_daemon(&self) -> bool {
        self.queue != Queue::Memory || self.is_tls() || self.kind == Kind::Restart
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self.kind, Kind::Publish(Publishing { layer: Layer::Tls, .. }))
    }

    /// nsqd's flags.
    pub(super) fn flags(&self) -> Vec<String> {
        match self.queue {
            // The last messages of all publishers are whole batches, which may be more than was asked for.
            Queue::Memory => vec![format!("--mem-queue-size={}", 2 * self.load.messages.max(MEMORY_MIN))],
            Queue::Size(messages) => vec![format!("--mem-queue-size={messages}")],
            Queue::Durable => vec!["--mem-queue-size=0".to_owned(), "--sync-every=1".to_owned()],
        }
    }
}

/// The least that memory is to hold where it is to hold everything, in messages.
const MEMORY_MIN: u64 = 100_000;
