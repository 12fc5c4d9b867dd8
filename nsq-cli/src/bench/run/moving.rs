//! Messages in and out, as fast as it goes.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{BACKLOG, Run, channel_names};
use nsq::wire::name::TopicName;

use crate::bench::burst::{Publish, delay};
use crate::bench::consumer::{Answer, Consumed, Consumers, Judgement, consume};
use crate::bench::figures::{Figures, Meter, memory};
use crate::bench::layer::Layer;
use crate::bench::publisher::{Published, Publishers};
use crate::bench::threads::Joined as _;
use crate::bench::workload::Publishing;
use crate::failure::Failure;

impl Run {
    pub(super) fn publish(&self, publishing: Publishing) -> Result<Figures, Failure> {
        let Self { target, topic, .. } = self;
        let mut figures = Figures::default();
        let publishers = self.publishers(publishing, Some(self.time_max))?;
        let meter = Meter::start(target);
        let published = publishers.run()?;
        let messages = published.messages;
        figures.rate("published", messages, published.elapsed);
        figures.quantiles(["answer p50", "answer p99", "answer p99.9", "answer max"], &published.latencies);
        meter.processor("CPU/message", messages, target, &mut figures);
        memory(target, &mut figures);
        target.expect_published(topic, messages)?;
        Ok(figures)
    }

    pub(super) fn publish_to_channels(&self) -> Result<Figures, Failure> {
        let Self { target, topic, load, .. } = self;
        let mut figures = Figures::default();
        let names = ["published, 1 channel", "published, all channels"];
        let processor = ["CPU/message, 1 channel", "CPU/message, all channels"];
        let apart = TopicName::parse(format!("{}_1", topic.as_str()));
        let apart = apart.ok_or_else(|| "the topic's name is too long".to_owned())?;
        for (at, topic, channels) in [(0, apart, 1), (1, *topic, load.channels)] {
            let channels = channel_names(channels);
            for channel in &channels {
                target.create_channel(&topic, channel)?;
            }
            let publishers = self.publishers_to(&topic, BACKLOG, None)?;
            let messages = publishers.messages();
            let meter = Meter::start(target);
            let published = publishers.run()?;
            figures.rate(names[at], messages, published.elapsed);
            // A daemon may put messages into channels after it has confirmed them.
            target.expect_waiting(&topic, messages)?;
            meter.processor(processor[at], messages, target, &mut figures);
            target.expect_published(&topic, messages)?;
        }
        memory(target, &mut figures);
        Ok(figures)
    }

    pub(super) fn drain(&self) -> Result<Figures, Failure> {
        let Self { target, .. } = self;
        let mut figures = Figures::default();
        let channels = self.channels()?;
        let publishers = self.publishers(BACKLOG, None)?;
        let messages = publishers.messages();
        publishers.run()?;
        let consumers = self.subscribe(&channels, messages)?;
        let meter = Meter::start(target);
        let consumed = self.consume(consumers)?;
        figures.rate("delivered", messages, consumed.elapsed);
        meter.processor("CPU/message", messages, target, &mut figures);
        memory(target, &mut figures);
        Ok(figures)
    }

    pub(super) fn both(&self) -> Result<Figures, Failure> {
        let Self { target, topic, load, .. } = self;
        let mut figures = Figures::default();
        let channels = self.channels()?;
        let publishers = self.publishers(BACKLOG, None)?;
        let messages = publishers.messages();
        let consumers = self.subscribe(&channels, messages)?;
        let meter = Meter::start(target);
        let began = Instant::now();
        let (published, _) = at_once(publishers, || self.consume(consumers))?;
        let elapsed = began.elapsed();
        let deliveries = messages * load.channels as u64;
        figures.rate("published", messages, published.elapsed);
        figures.rate("delivered", deliveries, elapsed);
        meter.processor("CPU/delivery", deliveries, target, &mut figures);
        memory(target, &mut figures);
        target.expect_published(topic, messages)?;
        Ok(figures)
    }

    pub(super) fn in_and_out(&self) -> Result<Figures, Failure> {
        let Self { target, topic, daemon, .. } = self;
        let mut figures = Figures::default();
        let channels = self.channels()?;
        let publishers = self.publishers(BACKLOG, None)?;
        let messages = publishers.messages();
        let meter = Meter::start(target);
        let published = publishers.run()?;
        figures.rate("published", messages, published.elapsed);
        meter.processor("CPU/message in", messages, target, &mut figures);
        target.expect_published(topic, messages)?;
        if let Some(daemon) = daemon {
            figures.bytes("on disk", daemon.disk_bytes());
        }
        let consumers = self.subscribe(&channels, messages)?;
        let meter = Meter::start(target);
        let consumed = self.consume(consumers)?;
        figures.rate("delivered", messages, consumed.elapsed);
        meter.processor("CPU/message out", messages, target, &mut figures);
        memory(target, &mut figures);
        Ok(figures)
    }

    pub(super) fn requeue(&self) -> Result<Figures, Failure> {
        let Self { target, load, .. } = self;
        let mut figures = Figures::default();
        let channels = self.channels()?;
        let publishers = self.publishers(BACKLOG, None)?;
        let messages = publishers.messages();
        publishers.run()?;
        let deliveries = 2 * messages;
        let consumers = self.subscribe(&channels, deliveries)?;
        let meter = Meter::start(target);
        // What comes a third time is beyond what is expected.
        let consumed = consume(consumers, load.ready, |message, number, _| Judgement {
            delivery: number + messages * u64::from(message.attempts.saturating_sub(1)),
            answer: if message.attempts == 1 { Answer::Requeue } else { Answer::Finish },
        })?;
        target.expect_finished(&self.topic)?;
        figures.rate("delivered", deliveries, consumed.elapsed);
        meter.processor("CPU/delivery", deliveries, target, &mut figures);
        memory(target, &mut figures);
        Ok(figures)
    }

    pub(super) fn deferred(&self) -> Result<Figures, Failure> {
        const DPUB: Publishing =
            Publishing { publish: Publish::Deferred, commands: 100, window: 2, layer: Layer::Plain };
        let Self { target, load, .. } = self;
        let mut figures = Figures::default();
        let channels = self.channels()?;
        let publishers = self.publishers(DPUB, None)?;
        let messages = publishers.messages();
        let consumers = self.subscribe(&channels, messages)?;
        let meter = Meter::start(target);
        let (published, consumed) = at_once(publishers, || {
            consume(consumers, load.ready, |message, number, late| {
                // nsqd takes the time on the same clock.
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let published = Duration::from_nanos(u64::try_from(message.timestamp_ns).unwrap_or(0));
                late.record(now.saturating_sub(published + delay(number, DPUB.commands as u64)));
                Judgement::finish(number)
            })
        })?;
        target.expect_finished(&self.topic)?;
        figures.rate("published", messages, published.elapsed);
        figures.quantiles(["late p50", "late p99", "late p99.9", "late max"], &consumed.latencies);
        meter.processor("CPU/message", messages, target, &mut figures);
        memory(target, &mut figures);
        Ok(figures)
    }

    pub(super) fn restart(&mut self) -> Result<Figures, Failure> {
        let mut figures = Figures::default();
        let channels = self.channels()?;
        let publishers = self.publishers(BACKLOG, None)?;
        let messages = publishers.messages();
        publishers.run()?;
        let daemon = self.daemon.as_mut().ok_or_else(|| "only what was started can be stopped".to_owned())?;
        figures.time("stop", daemon.stop()?);
        figures.bytes("on disk", daemon.disk_bytes());
        let began = Instant::now();
        daemon.start_again()?;
        self.target = daemon.target(&self.target.place)?;
        self.target.ping()?;
        figures.time("start, to /ping", began.elapsed());
        memory(&self.target, &mut figures);
        let consumers = self.subscribe(&channels, messages)?;
        let meter = Meter::start(&self.target);
        let consumed = self.consume(consumers)?;
        figures.rate("delivered", messages, consumed.elapsed);
        meter.processor("CPU/message", messages, &self.target, &mut figures);
        Ok(figures)
    }

    /// Consumes as fast as it goes, until nothing is left.
    fn consume(&self, consumers: Vec<Consumers>) -> Result<Consumed, Failure> {
        let consumed = consume(consumers, self.load.ready, |_, number, _| Judgement::finish(number))?;
        self.target.expect_finished(&self.topic)?;
        Ok(consumed)
    }
}

/// Publishes and consumes at once.
fn at_once(
    publishers: Publishers,
    consume: impl FnOnce() -> Result<Consumed, Failure>,
) -> Result<(Published, Consumed), Failure> {
    thread::scope(|scope| {
        let publishing = scope.spawn(|| publishers.run());
        let consumed = consume();
        Ok((publishing.joined()?, consumed?))
    })
}
