//! Messages at a pace, and how late each of them is.

use std::thread;
use std::time::Instant;

use nsq::wire::name::ChannelName;

use super::Run;
use crate::bench::consumer::{Judgement, consume};
use crate::bench::figures::{Figures, Meter, memory};
use crate::bench::pace::Pace;
use crate::bench::threads::Joined as _;
use crate::failure::Failure;

impl Run {
    pub(super) fn paced_oks(&self) -> Result<Figures, Failure> {
        let Self { target, topic, load, .. } = self;
        let mut figures = Figures::default();
        let meter = Meter::start(target);
        let began = Instant::now();
        let (confirmed, latencies) = Pace::confirm(&target.place, topic, load, self.size, self.time_max)?;
        // Less than the pace is what could not be kept up.
        figures.rate("published", confirmed, began.elapsed());
        figures.quantiles(["answer p50", "answer p99", "answer p99.9", "answer max"], &latencies);
        meter.processor("CPU/message", confirmed, target, &mut figures);
        memory(target, &mut figures);
        target.expect_published(topic, confirmed)?;
        Ok(figures)
    }

    pub(super) fn latency(&self) -> Result<Figures, Failure> {
        let figures = self.paced(&self.channels()?)?;
        self.target.expect_finished(&self.topic)?;
        Ok(figures)
    }

    /// A publisher at a pace, and the consumers of these channels.
    pub(super) fn paced(&self, channels: &[ChannelName]) -> Result<Figures, Failure> {
        let Self { target, topic, load, .. } = self;
        let mut figures = Figures::default();
        let consumers = self.subscribe(channels, load.messages)?;
        let meter = Meter::start(target);
        let place = &target.place;
        let pace = Pace::new(load.rate);
        let (sent_late, consumed) = thread::scope(|scope| {
            let publishing = scope.spawn(|| pace.publish(place, topic, load.messages, self.size));
            let consumed = consume(consumers, load.ready, |_, number, latencies| {
                latencies.record(pace.late(number, Instant::now()));
                Judgement::finish(number)
            });
            Ok::<_, Failure>((publishing.joined()?, consumed?))
        })?;
        figures
            .quantiles(["latency p50", "latency p99", "latency p99.9", "latency max"], &consumed.latencies);
        for (name, part) in [("of it, sent late p50", 0.5), ("of it, sent late p99", 0.99)] {
            if let Some(late) = sent_late.quantile(part) {
                figures.time(name, late);
            }
        }
        meter.processor("CPU/message", load.messages, target, &mut figures);
        memory(target, &mut figures);
        Ok(figures)
    }
}
