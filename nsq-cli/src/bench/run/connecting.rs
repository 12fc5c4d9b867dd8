//! Connections, topics and requests: what costs by their number and not by that of messages.

use std::net::SocketAddr;
use std::thread;
use std::time::Instant;

use nsq::wire::encode;
use nsq::wire::name::TopicName;

use super::Run;
use crate::bench::burst::{Burst, Publish};
use crate::bench::connection::Connection;
use crate::bench::figures::{Figures, Meter, memory};
use crate::bench::http_connection::{HttpConnection, post};
use crate::bench::http_publisher::{self, Plan};
use crate::bench::layer::Layer;
use crate::bench::threads::{self, Joined as _};
use crate::bench::workload::Request;
use crate::failure::Failure;

/// How many new topics are published to at once.
const TOPICS_AT_ONCE: usize = 50;

/// What makes so many topics, and a channel in each.
struct Making {
    /// A PUB, which makes the topic.
    publish: Vec<u8>,
    /// The request for the channel, which takes the message.
    create: Vec<u8>,
}

impl Run {
    pub(super) fn http(&self, address: SocketAddr, request: Request) -> Result<Figures, Failure> {
        let Self { target, topic, load, size, .. } = self;
        let mut figures = Figures::default();
        let body = vec![b'm'; *size];
        let (path, messages) = match request {
            Request::One => ("/pub", 1),
            Request::Batch => ("/mpub", load.batch),
        };
        let body = vec![body; messages].join(&b'\n');
        let messages = messages as u64;
        let plan = Plan {
            address,
            request: post(address, &format!("{path}?topic={}", topic.as_str()), &body),
            messages,
            connections: load.connections,
            requests: load.messages.div_ceil(messages * load.connections as u64),
            time_max: self.time_max,
        };
        let meter = Meter::start(target);
        let (published, elapsed, latencies) = http_publisher::publish(&plan, &target.place)?;
        figures.rate("published", published, elapsed);
        figures.quantiles(["answer p50", "answer p99", "answer p99.9", "answer max"], &latencies);
        meter.processor("CPU/message", published, target, &mut figures);
        memory(target, &mut figures);
        target.expect_published(topic, published)?;
        Ok(figures)
    }

    pub(super) fn topics(&self) -> Result<Figures, Failure> {
        let Self { target, topic, load, .. } = self;
        let mut figures = Figures::default();
        let prefix = format!("{}_", topic.as_str());
        let address = target.http_address()?;
        let making = self.making(&prefix, address)?;
        let mut connection = Connection::open(&target.place, Layer::Plain)?;
        let mut http = HttpConnection::open(address, target.place.patience)?;
        let before = target.memory();
        let meter = Meter::start(target);
        let began = Instant::now();
        for making in making.chunks(TOPICS_AT_ONCE) {
            connection.say(making.iter().flat_map(|making| &making.publish).copied().collect())?;
            let mut unanswered = making.len();
            while unanswered > 0 {
                unanswered -= connection.oks()?.min(unanswered);
            }
            for making in making {
                http.ask(&making.create)?;
                target.place.moved.add(1);
            }
        }
        let elapsed = began.elapsed();
        target.expect_topics(&prefix, load.topics)?;
        figures.rate("made", load.topics, elapsed);
        figures.time("time", elapsed);
        meter.processor("CPU/topic", load.topics, target, &mut figures);
        if let (Some(before), Some(now)) = (before, target.memory()) {
            let each = now.resident.saturating_sub(before.resident) / load.topics.max(1);
            figures.bytes("memory/topic", each);
        }
        memory(target, &mut figures);
        let mut nobody = target.idle(Vec::new())?;
        let meter = Meter::start(target);
        target.pass(&mut nobody, load.idle_time)?;
        meter.share("idle CPU", load.idle_time, target, &mut figures);
        Ok(figures)
    }

    fn making(&self, prefix: &str, address: SocketAddr) -> Result<Vec<Making>, Failure> {
        let body = vec![b'm'; self.size];
        let making = |number| {
            let name = format!("{prefix}{number}");
            let topic = TopicName::parse(&name).ok_or_else(|| format!("{name} is no topic"))?;
            let mut publish = Vec::new();
            encode::publish(&mut publish, &topic, &body);
            let create = post(address, &format!("/channel/create?topic={name}&channel=channel"), b"");
            Ok(Making { publish, create })
        };
        (0..self.load.topics).map(making).collect()
    }

    pub(super) fn idle_consumers(&self) -> Result<Figures, Failure> {
        let Self { target, topic, load, .. } = self;
        let mut figures = Figures::default();
        let channels = self.channels()?;
        let (before, count) = (target.memory(), channels.len() * load.consumers);
        let mut sockets = Vec::with_capacity(count);
        for channel in channels.iter().cycle().take(count) {
            let connect = || {
                let mut connection = Connection::open_small(&target.place)?;
                connection.subscribe(topic, channel)?;
                connection.ready(1)?;
                Ok(connection.without_buffer())
            };
            let open = sockets.len();
            let place =
                || format!("after {open} of {count} consumers (nsqd may have a lower limit of open files)");
            sockets.push(connect().map_err(|failure: Failure| failure.within(&place()))?);
            target.place.moved.add(1);
        }
        target.expect_consumers(topic, count as u64)?;
        let mut idle = target.idle(sockets)?;
        target.place.moved.reset();
        let meter = Meter::start(target);
        target.pass(&mut idle, load.idle_time)?;
        meter.processor("CPU/second", load.idle_time.as_secs(), target, &mut figures);
        figures.rate("heartbeats", target.place.moved.count(), load.idle_time);
        if let (Some(before), Some(now)) = (before, target.memory()) {
            figures.bytes("memory/consumer", now.resident.saturating_sub(before.resident) / count as u64);
        }
        memory(target, &mut figures);
        target.expect_consumers(topic, count as u64)?;
        Ok(figures)
    }

    pub(super) fn churn(&self) -> Result<Figures, Failure> {
        let Self { target, topic, load, size, .. } = self;
        let mut figures = Figures::default();
        let each = load.messages.div_ceil(load.connections as u64);
        let total = each * load.connections as u64;
        let burst = Burst::new(topic, Publish::One, 1, *size, 0);
        // The threads need less than a target.
        let (place, burst) = (&target.place, &burst);
        let meter = Meter::start(target);
        let began = Instant::now();
        let outcomes = thread::scope(|scope| {
            let run = move || {
                for _ in 0..each {
                    let mut connection = Connection::open_small(place)?;
                    connection.send(burst.bytes())?;
                    while connection.oks()? == 0 {}
                    place.moved.add(1);
                }
                Ok(())
            };
            let running: Vec<_> = (0..load.connections).map(|_| scope.spawn(run)).collect();
            running.into_iter().map(|running| running.joined()).collect::<Vec<_>>()
        });
        let elapsed = began.elapsed();
        threads::all(outcomes)?;
        figures.rate("connected", total, elapsed);
        meter.processor("CPU/connection", total, target, &mut figures);
        memory(target, &mut figures);
        target.expect_published(topic, total)?;
        Ok(figures)
    }
}
