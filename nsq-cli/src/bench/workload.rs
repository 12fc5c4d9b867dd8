//! What can be measured, by name: what each workload is, how much it moves, and what it needs of nsqd.

use std::time::Duration;

use clap::ValueEnum;

use super::burst::Publish;
use super::connection::HEARTBEAT_INTERVAL;
use super::layer::Layer;

/// Something to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Workload {
    /// MPUB, 200 a batch, until 1 M messages wait in memory
    Mpub,
    /// MPUB, 200 a batch, within TLS
    MpubTls,
    /// MPUB, 200 a batch, compressed with Snappy
    MpubSnappy,
    /// MPUB, 200 a batch, compressed with Deflate
    MpubDeflate,
    /// MPUB to a topic with 1 channel, then to one with 8
    MpubChannels,
    /// PUB, 100 on their way on each of 4 connections
    Pub,
    /// PUB, one at a time on 8 connections
    PubEach,
    /// POST /pub, one at a time on 8 connections
    HttpPub,
    /// POST /mpub, 200 a batch, on 8 connections
    HttpMpub,
    /// 2 consumers with RDY 2500 consume a backlog
    Drain,
    /// In and out at once: 2 publishers, 2 consumers
    Pubsub,
    /// In and out at once: 8 channels, a consumer each
    Fanout,
    /// In and out at once: 50 channels, a consumer each
    #[value(name = "fanout-50")]
    Fanout50,
    /// 2,000 messages a second to a client's defaults
    Latency,
    /// 20,000 messages a second to a client's defaults
    LatencyBusy,
    /// Each message is requeued once, then finished
    Requeue,
    /// DPUB with delays of 6 to 9 seconds
    Deferred,
    /// 2 M messages in, then out, with --mem-queue-size=10000
    Spill,
    /// In, then out, with --mem-queue-size=0
    Queue0,
    /// PUB, one at a time on 50 connections, to the disk
    DurableEach,
    /// MPUB, 100 a batch, on 8 connections, to the disk
    DurableMpub,
    /// 10,000 PUB a second on 50 connections, to the disk
    DurablePaced,
    /// A stop and a start with a backlog of 1 M messages
    Restart,
    /// A message to each of 5,000 new topics with a channel
    Topics,
    /// 5,000 consumers wait and answer heartbeats
    IdleConsumers,
    /// Connect, IDENTIFY, PUB, close, on 4 threads
    Churn,
    /// The bytes of mpub over loopback: no nsqd is faster
    Limit,
    /// The bytes of mpub, kept in memory: no nsqd takes less
    LimitKept,
    /// pub-each, only read and answered: no nsqd can do less
    LimitEach,
    /// http-pub, only read and answered: no nsqd can do less
    LimitHttpPub,
    /// http-mpub, only read and answered
    LimitHttpMpub,
    /// latency, only passed on: no nsqd can be faster
    LimitLatency,
    /// latency-busy, only passed on: no nsqd can be faster
    LimitLatencyBusy,
    /// latency-busy, only passed on by tasks as nsqd has them
    LimitTasks,
}

/// What is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Publishers alone.
    Publish(Publishing),
    /// Publishers to a topic with one channel, then to one with more.
    PublishToChannels,
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
    Http(Request),
    Topics,
    IdleConsumers,
    Churn,
    Restart,
    /// The bytes of batches, copied.
    Limit {
        /// Whether they are kept in memory.
        is_kept: bool,
    },
    /// Publishers, whose commands are answered and nothing else.
    LimitEach(Publishing),
    /// Requests, which are answered and nothing else.
    LimitHttp(Request),
    /// A publisher at a pace and a consumer, and what goes on between them is only passing on.
    LimitLatency {
        /// Whether by tasks of a runtime, and not by a thread.
        by_tasks: bool,
    },
}

/// What is asked for over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// `POST /pub`, of one message.
    One,
    /// `POST /mpub`, of a batch.
    Batch,
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
    /// New ones, where the topics are what is measured.
    pub topics: u64,
    /// Of publishers.
    pub connections: usize,
    /// Messages in an MPUB.
    pub batch: usize,
    pub channels: usize,
    /// Of each channel.
    pub consumers: usize,
    /// How many messages may be on their way to a consumer.
    pub ready: u32,
    /// Messages a second, where there is a pace.
    pub rate: u32,
    /// How long nothing happens, where that is what is measured.
    pub idle_time: Duration,
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

impl Kind {
    /// What its figures come to, in two or a few of them: how fast it went, and what that cost.
    pub(super) fn key_figures(&self) -> &'static [&'static str] {
        match self {
            Self::Publish(_) | Self::Http(_) => &["published", "CPU/message"],
            Self::PublishToChannels => &["published, all channels", "CPU/message, all channels"],
            Self::Drain => &["delivered", "CPU/message"],
            Self::Both | Self::Requeue => &["delivered", "CPU/delivery"],
            Self::InAndOut => &["published", "CPU/message in", "delivered", "CPU/message out"],
            Self::PacedOks => &["answer p99", "CPU/message"],
            Self::Latency => &["latency p50", "latency p99", "CPU/message"],
            Self::Deferred => &["late p99", "CPU/message"],
            Self::Restart => &["start, to /ping", "stop"],
            Self::Topics => &["made", "CPU/topic", "memory/topic"],
            Self::IdleConsumers => &["CPU/second", "memory/consumer"],
            Self::Churn => &["connected", "CPU/connection"],
            Self::Limit { .. } | Self::LimitEach(_) | Self::LimitHttp(_) | Self::LimitLatency { .. } => &[],
        }
    }
}

impl Workload {
    /// Those that are carried out where none is named: in memory, each in seconds.
    pub(super) const USUAL: [Self; 6] =
        [Self::Mpub, Self::Pub, Self::PubEach, Self::Drain, Self::Pubsub, Self::Fanout];

    /// All that there are.
    pub(super) fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// Its name on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What it is, in a few words.
    pub(super) fn about(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }

    pub(super) fn spec(self) -> Spec {
        const MILLION: u64 = 1_000_000;
        let load = Load {
            messages: 2 * MILLION,
            topics: 1,
            connections: 1,
            batch: 200,
            channels: 1,
            consumers: 2,
            ready: READY_MAX,
            rate: 0,
            idle_time: Duration::ZERO,
        };
        let million = Load { messages: MILLION, ..load };
        let mpub = |layer, batch, window| {
            Kind::Publish(Publishing { publish: Publish::Batch(batch), commands: 1, window, layer })
        };
        let each =
            |commands, window| Publishing { publish: Publish::One, commands, window, layer: Layer::Plain };
        let one_at_a_time = Load { messages: MILLION / 5, connections: 8, ..load };
        let requests = Load { messages: MILLION / 10, connections: 8, ..load };
        let batches = Load { connections: 8, ..million };
        let latency = |rate| Load {
            rate,
            messages: PACED_SECONDS * u64::from(rate),
            consumers: 1,
            ready: READY_OF_TOOLS,
            ..load
        };
        let fanout = |channels, messages| Load { messages, channels, consumers: 1, ..load };
        let (kind, load, queue) = match self {
            Self::Mpub => (mpub(Layer::Plain, load.batch, 4), million, Queue::Memory),
            Self::MpubTls => (mpub(Layer::Tls, load.batch, 4), million, Queue::Memory),
            Self::MpubSnappy => (mpub(Layer::Snappy, load.batch, 4), million, Queue::Memory),
            Self::MpubDeflate => (mpub(Layer::Deflate, load.batch, 4), million, Queue::Memory),
            Self::MpubChannels => {
                let load = Load { messages: MILLION / 4, channels: 8, ..load };
                (Kind::PublishToChannels, load, Queue::Memory)
            }
            Self::Pub => (Kind::Publish(each(50, 2)), Load { connections: 4, ..million }, Queue::Memory),
            Self::PubEach => (Kind::Publish(each(1, 1)), one_at_a_time, Queue::Memory),
            Self::HttpPub => (Kind::Http(Request::One), requests, Queue::Memory),
            Self::HttpMpub => (Kind::Http(Request::Batch), batches, Queue::Memory),
            Self::Drain => (Kind::Drain, load, Queue::Memory),
            Self::Pubsub => (Kind::Both, Load { connections: 2, ..load }, Queue::Memory),
            Self::Fanout => (Kind::Both, fanout(8, MILLION / 4), Queue::Memory),
            Self::Fanout50 => (Kind::Both, fanout(50, MILLION / 25), Queue::Memory),
            Self::Latency => (Kind::Latency, latency(2_000), Queue::Memory),
            Self::LatencyBusy => (Kind::Latency, latency(20_000), Queue::Memory),
            Self::Requeue => (Kind::Requeue, Load { messages: MILLION / 2, ..load }, Queue::Memory),
            Self::Deferred => {
                (Kind::Deferred, Load { messages: MILLION / 5, consumers: 1, ..load }, Queue::Memory)
            }
            Self::Spill => (Kind::InAndOut, load, Queue::Size(10_000)),
            Self::Queue0 => (Kind::InAndOut, million, Queue::Size(0)),
            Self::DurableEach => {
                let load = Load { messages: MILLION / 5, connections: 50, ..load };
                (Kind::Publish(each(1, 1)), load, Queue::Durable)
            }
            Self::DurableMpub => {
                let load = Load { connections: 8, batch: 100, ..million };
                (mpub(Layer::Plain, load.batch, 1), load, Queue::Durable)
            }
            Self::DurablePaced => (
                Kind::PacedOks,
                Load { rate: 10_000, connections: 50, messages: 50_000, ..load },
                Queue::Durable,
            ),
            Self::Restart => (Kind::Restart, million, Queue::Memory),
            Self::Topics => {
                let load = Load { topics: 5_000, idle_time: Duration::from_secs(10), ..load };
                (Kind::Topics, load, Queue::Size(10_000))
            }
            Self::IdleConsumers => {
                // In that time each of them has one heartbeat.
                let load = Load { consumers: 5_000, idle_time: HEARTBEAT_INTERVAL, ..load };
                (Kind::IdleConsumers, load, Queue::Memory)
            }
            Self::Churn => (Kind::Churn, Load { messages: 8_000, connections: 4, ..load }, Queue::Memory),
            Self::Limit => (Kind::Limit { is_kept: false }, million, Queue::Memory),
            Self::LimitKept => (Kind::Limit { is_kept: true }, million, Queue::Memory),
            Self::LimitEach => (Kind::LimitEach(each(1, 1)), one_at_a_time, Queue::Memory),
            Self::LimitHttpPub => (Kind::LimitHttp(Request::One), requests, Queue::Memory),
            Self::LimitHttpMpub => (Kind::LimitHttp(Request::Batch), batches, Queue::Memory),
            Self::LimitLatency => (Kind::LimitLatency { by_tasks: false }, latency(2_000), Queue::Memory),
            Self::LimitLatencyBusy => {
                (Kind::LimitLatency { by_tasks: false }, latency(20_000), Queue::Memory)
            }
            Self::LimitTasks => (Kind::LimitLatency { by_tasks: true }, latency(20_000), Queue::Memory),
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

    /// Whether it is what no nsqd can exceed, which is measured without any.
    pub(super) fn is_limit(&self) -> bool {
        use Kind::{Limit, LimitEach, LimitHttp, LimitLatency};
        matches!(self.kind, Limit { .. } | LimitEach(_) | LimitHttp(_) | LimitLatency { .. })
    }

    /// How many sockets the generator has at once, at most.
    pub(super) fn sockets(&self) -> u64 {
        let Load { connections, channels, consumers, .. } = self.load;
        // Of one who consumes there is a second handle, by which it is told to end.
        let each = if self.kind == Kind::IdleConsumers { 1 } else { 2 };
        // Where no nsqd answers the other ends are here, too.
        let ends = if self.is_limit() { 2 } else { 1 };
        (ends * connections + (each + ends - 1) * channels * consumers) as u64
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

/// The most that nsqd allows, unless its flags say something else.
const READY_MAX: u32 = 2500;

/// The `max_in_flight` of NSQ's own programs, which go-nsq makes the ready count where there is one nsqd.
const READY_OF_TOOLS: u32 = 200;

/// How long messages go out at a pace, in seconds.
const PACED_SECONDS: u64 = 10;

/// The least that memory is to hold where it is to hold everything, in messages.
const MEMORY_MIN: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_described_in_a_few_words_of_its_own() {
        for workload in Workload::all() {
            let about = workload.about();
            assert!((10..=54).contains(&about.len()) && !about.contains("same"), "{about}");
        }
    }

    #[test]
    fn a_million_messages_wait_in_memory() {
        let spec = Workload::Mpub.spec();
        assert_eq!((spec.load.messages, spec.load.batch), (1_000_000, 200));
        assert_eq!(spec.flags(), ["--mem-queue-size=2000000"]);
    }

    #[test]
    fn the_limits_of_latency_are_measured_with_the_same_load() {
        for (workload, limit, by_tasks) in [
            (Workload::Latency, Workload::LimitLatency, false),
            (Workload::LatencyBusy, Workload::LimitLatencyBusy, false),
            (Workload::LatencyBusy, Workload::LimitTasks, true),
        ] {
            assert_eq!(limit.spec(), Spec { kind: Kind::LimitLatency { by_tasks }, ..workload.spec() });
            assert!(limit.spec().is_limit() && !workload.spec().is_limit());
        }
    }

    #[test]
    fn the_limits_of_http_are_measured_by_the_same_requests() {
        for (workload, limit, request) in [
            (Workload::HttpPub, Workload::LimitHttpPub, Request::One),
            (Workload::HttpMpub, Workload::LimitHttpMpub, Request::Batch),
        ] {
            assert_eq!(workload.spec().kind, Kind::Http(request));
            assert_eq!(limit.spec(), Spec { kind: Kind::LimitHttp(request), ..workload.spec() });
            assert!(limit.spec().is_limit() && !workload.spec().is_limit());
        }
    }

    #[test]
    fn the_limit_of_one_at_a_time_is_measured_by_the_same_publishers() {
        let (each, limit) = (Workload::PubEach.spec(), Workload::LimitEach.spec());
        let Kind::Publish(publishing) = each.kind else { panic!("{each:?}") };
        assert_eq!(limit, Spec { kind: Kind::LimitEach(publishing), ..each });
        assert!(limit.is_limit() && !each.is_limit());
    }

    #[test]
    fn consumers_have_two_handles_unless_they_only_wait() {
        assert_eq!(Workload::Fanout50.spec().sockets(), 101);
        assert_eq!(Workload::IdleConsumers.spec().sockets(), 5_001);
    }
}
