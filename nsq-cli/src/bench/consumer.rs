//! Consumes as fast as nsqd delivers, on several connections, and sees to it that each message comes as it should.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nsq::wire::encode;
use nsq::wire::frame::FrameType;
use nsq::wire::message::MessageRef;
use nsq::wire::name::{ChannelName, TopicName};

use super::connection::{Connection, Received, Waiting, closed, expect};
use super::histogram::Histogram;
use super::layer::Layer;
use super::moved::Moved;
use super::seen::{self, Seen};
use super::target::Target;
use super::threads::{self, Joined};
use crate::failure::Failure;

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Finish,
    /// Put it back, at once.
    Requeue,
}

/// What a message is taken for.
pub(super) struct Judgement {
    /// Which of the expected deliveries it is.
    pub delivery: u64,
    pub answer: Answer,
}

impl Judgement {
    /// It is to come once.
    pub(super) fn finish(number: u64) -> Self {
        Self { delivery: number, answer: Answer::Finish }
    }
}

/// The consumers of a channel, which have subscribed and get nothing yet.
pub(super) struct Consumers {
    connections: Vec<Connection>,
    channel: Channel,
}

/// What the consumers of a channel share.
struct Channel {
    seen: Seen,
    /// Those that are to end with the last message.
    waiting: Vec<Waiting>,
    moved: Arc<Moved>,
}

/// What came of it.
pub(super) struct Consumed {
    /// Until the last message of the last channel was answered.
    pub elapsed: Duration,
    /// What was timed.
    pub latencies: Histogram,
}

impl Consumers {
    /// Subscribes so many consumers, who expect the deliveries 0 to `expected` in all.
    pub(super) fn subscribe(
        target: &Target,
        topic: &TopicName,
        channel: &ChannelName,
        count: usize,
        expected: u64,
    ) -> Result<Self, Failure> {
        let mut connections = Vec::new();
        for _ in 0..count {
            let mut connection = Connection::open(&target.place, Layer::Plain)?;
            connection.subscribe(topic, channel)?;
            connections.push(connection);
        }
        let waiting = connections.iter().map(Connection::waiting).collect::<Result<_, _>>()?;
        let moved = Arc::clone(&target.place.moved);
        Ok(Self { connections, channel: Channel { seen: Seen::new(expected), waiting, moved } })
    }
}

/// Consumes all that these channels expect, each consumer with that ready count. `judge` says what becomes of a message,
/// by its number; it may time it.
pub(super) fn consume<J>(channels: Vec<Consumers>, ready: u32, judge: J) -> Result<Consumed, Failure>
where
    J: Fn(&MessageRef<'_>, u64, &mut Histogram) -> Judgement + Sync,
{
    let (connections, channels): (Vec<_>, Vec<_>) =
        channels.into_iter().map(|consumers| (consumers.connections, consumers.channel)).unzip();
    let has_failed = AtomicBool::new(false);
    let (channels, judge, has_failed) = (&channels, &judge, &has_failed);
    let began = Instant::now();
    let outcomes = thread::scope(|scope| {
        let mut running = Vec::new();
        for (connections, channel) in connections.into_iter().zip(channels) {
            for connection in connections {
                running.push(scope.spawn(move || {
                    let outcome = Worker { connection, channel, judge, has_failed }.run(ready);
                    if outcome.is_err() {
                        has_failed.store(true, Ordering::Release);
                        channels.iter().flat_map(|channel| &channel.waiting).for_each(Waiting::end);
                    }
                    outcome
                }));
            }
        }
        running.into_iter().map(Joined::joined).collect::<Vec<_>>()
    });
    let elapsed = began.elapsed();
    let mut latencies = Histogram::new();
    for each in threads::all(outcomes)? {
        latencies.merge(&each);
    }
    Ok(Consumed { elapsed, latencies })
}

/// One consumer.
struct Worker<'a, J> {
    connection: Connection,
    channel: &'a Channel,
    judge: &'a J,
    /// Whether another one has failed, so that this one need not say why it ends.
    has_failed: &'a AtomicBool,
}

impl<J> Worker<'_, J>
where
    J: Fn(&MessageRef<'_>, u64, &mut Histogram) -> Judgement,
{
    fn run(mut self, ready: u32) -> Result<Histogram, Failure> {
        self.connection.ready(ready)?;
        let mut latencies = Histogram::new();
        let mut answers = Vec::new();
        let mut come_before = 0;
        let Channel { seen, waiting, moved } = self.channel;
        loop {
            answers.clear();
            let mut count = 0;
            let received = self.connection.receive(|frame| {
                let data = expect(frame, FrameType::Message)?;
                let message = MessageRef::parse(data).ok_or_else(|| "nsqd sent half a message".to_owned())?;
                let number = seen::number(message.body)?;
                let judgement = (self.judge)(&message, number, &mut latencies);
                seen.note(judgement.delivery)?;
                match judgement.answer {
                    Answer::Finish => encode::finish(&mut answers, &message.id),
                    Answer::Requeue => encode::requeue(&mut answers, &message.id, Duration::ZERO),
                }
                count += 1;
                Ok(())
            })?;
            match received {
                Received::Frames => {}
                Received::End if seen.is_complete() || self.has_failed.load(Ordering::Acquire) => {
                    return Ok(latencies);
                }
                Received::End => return Err(closed()),
                // Others may have had all that came meanwhile.
                Received::Silence if seen.come() == come_before => {
                    return Err(Failure::Failed(seen.missing()));
                }
                Received::Silence => come_before = seen.come(),
            }
            if !answers.is_empty() {
                self.connection.send(&answers)?;
            }
            moved.add(count);
            if seen.count(count) {
                waiting.iter().for_each(Waiting::end);
            }
        }
    }
}
