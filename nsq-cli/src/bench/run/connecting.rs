//! Connections, topics and requests: what costs by their number and not by that of messages. And the limit of it all.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use nsq::wire::encode;
use nsq::wire::name::TopicName;

use super::Run;
use crate::bench::burst::{Burst, Publish};
use crate::bench::connection::Connection;
use crate::bench::figures::{Figures, Meter, memory};
use crate::bench::http_publisher;
use crate::bench::layer::Layer;
use crate::bench::threads::{self, Joined as _};
use crate::failure::Failure;

/// How long consumers are idle.
const IDLE_TIME: Duration = Duration::from_secs(5);

/// How many new topics are published to at once.
const TOPICS_AT_ONCE: usize = 50;

/// How much the limit is read by at once, in bytes.
const LIMIT_READ_BYTES: usize = 256 * 1024;

impl Run {
    pub(super) fn http(&self) -> Result<Figures, Failure> {
        let Self { target, topic, load, size, .. } = self;
        let mut figures = Figures::default();
        let address = target.http_address()?;
        let each = load.messages.div_ceil(load.connections as u64);
        let messages = each * load.connections as u64;
        let meter = Meter::start(target);
        let (elapsed, latencies) =
            http_publisher::publish(address, topic, load.connections, each, *size, target.place.patience)?;
        figures.rate("published", messages, elapsed);
        figures.quantiles(["answer p50", "answer p99", "answer p99.9", "answer max"], &latencies);
        meter.processor("CPU/message", messages, target, &mut figures);
        target.expect_published(topic, messages)?;
        Ok(figures)
    }

    pub(super) fn topics(&self) -> Result<Figures, Failure> {
        let Self { target, topic, load, size, .. } = self;
        let mut figures = Figures::default();
        let prefix = format!("{}_", topic.as_str());
        let mut commands = Vec::new();
        for number in 0..load.messages {
            let name = format!("{prefix}{number}");
            let name = TopicName::parse(&name).ok_or_else(|| format!("{name} is no topic"))?;
            let mut command = Vec::new();
            encode::publish(&mut command, &name, &vec![b'm'; *size]);
            commands.push(command);
        }
        let mut connection = Connection::open(target.place, Layer::Plain)?;
        let before = target.memory();
        let meter = Meter::start(target);
        let began = Instant::now();
        for commands in commands.chunks(TOPICS_AT_ONCE) {
            connection.say(commands.concat())?;
            let mut unanswered = commands.len();
            while unanswered > 0 {
                unanswered -= connection.oks()?.min(unanswered);
            }
        }
        figures.rate("made", load.messages, began.elapsed());
        meter.processor("CPU/topic", load.messages, target, &mut figures);
        if let (Some(before), Some(now)) = (before, target.memory()) {
            figures
                .bytes("memory/topic", now.resident.saturating_sub(before.resident) / load.messages.max(1));
        }
        memory(target, &mut figures);
        match target.topics(&prefix)? {
            Some(count) if count as u64 != load.messages => {
                Err(Failure::Failed(format!("{} topics were made, and nsqd counts {count}", load.messages)))
            }
            _ => Ok(figures),
        }
    }

    pub(super) fn idle_consumers(&self) -> Result<Figures, Failure> {
        let Self { target, topic, load, .. } = self;
        let mut figures = Figures::default();
        let channels = self.channels()?;
        let before = target.memory();
        let mut connections = Vec::new();
        for channel in channels.iter().cycle().take(load.consumers) {
            // The generator's own memory is of no interest, and still not endless.
            let mut connection = Connection::open(target.place, Layer::Plain)?;
            connection.subscribe(topic, channel)?;
            connection.ready(1)?;
            connections.push(connection.without_buffer());
        }
        let meter = Meter::start(target);
        target.wait(IDLE_TIME);
        meter.processor("CPU/second", IDLE_TIME.as_secs(), target, &mut figures);
        if let (Some(before), Some(now)) = (before, target.memory()) {
            let each = now.resident.saturating_sub(before.resident) / load.consumers as u64;
            figures.bytes("memory/consumer", each);
        }
        memory(target, &mut figures);
        Ok(figures)
    }

    pub(super) fn churn(&self) -> Result<Figures, Failure> {
        let Self { target, topic, load, .. } = self;
        let mut figures = Figures::default();
        let channels = self.channels()?;
        let channel = channels.first().ok_or_else(|| "there is no channel".to_owned())?;
        let each = load.messages.div_ceil(load.connections as u64);
        let total = each * load.connections as u64;
        // The threads need less than a target.
        let place = target.place;
        let meter = Meter::start(target);
        let began = Instant::now();
        let outcomes = thread::scope(|scope| {
            let run = || {
                for _ in 0..each {
                    let mut connection = Connection::open(place, Layer::Plain)?;
                    connection.subscribe(topic, channel)?;
                    connection.ready(1)?;
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
        Ok(figures)
    }

    pub(super) fn limit(&self) -> Result<Figures, Failure> {
        let Self { topic, load, size, .. } = self;
        let mut figures = Figures::default();
        let mut burst = Burst::new(topic, Publish::Batch(load.batch), 1, *size, 0);
        let bursts = load.messages.div_ceil(load.batch as u64);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let began = Instant::now();
        let read = thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let (mut socket, _) = listener.accept()?;
                let mut bytes = vec![0; LIMIT_READ_BYTES];
                let mut sum = 0;
                loop {
                    match socket.read(&mut bytes)? {
                        0 => return Ok::<_, Failure>(sum),
                        count => sum += count as u64,
                    }
                }
            });
            let mut socket = TcpStream::connect(address)?;
            for at in 0..bursts {
                burst.number(at * load.batch as u64);
                socket.write_all(burst.bytes())?;
            }
            drop(socket);
            reading.joined()
        })?;
        let elapsed = began.elapsed();
        if read != bursts * burst.bytes().len() as u64 {
            return Err(Failure::Failed(format!("{read} bytes came, which are not all")));
        }
        figures.rate("copied", bursts * load.batch as u64, elapsed);
        Ok(figures)
    }
}
