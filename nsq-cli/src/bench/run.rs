//! One run of one workload on one nsqd: what is moved is checked, and what it took is told.

mod connecting;
mod limits;
mod moving;
mod pacing;

use std::time::Duration;

use nsq::wire::name::{ChannelName, TopicName};

use super::burst::Publish;
use super::consumer::Consumers;
use super::daemon::Daemon;
use super::figures::Figures;
use super::layer::Layer;
use super::publisher::{Plan, Publishers};
use super::target::Target;
use super::workload::{Kind, Load, Publishing, Spec};
use crate::failure::Failure;

/// How messages come in where that is not what is measured.
const BACKLOG: Publishing =
    Publishing { publish: Publish::Batch(200), commands: 1, window: 4, layer: Layer::Plain };

/// What a run is given.
pub(super) struct Run {
    pub target: Target,
    /// The daemon, where it was started for this run.
    pub daemon: Option<Daemon>,
    /// A topic that nobody else uses.
    pub topic: TopicName,
    pub load: Load,
    /// The size of a body, in bytes.
    pub size: usize,
    /// How long it is published where nobody waits for all of it.
    pub time_max: Duration,
}

impl Run {
    /// Carries it out.
    pub(super) fn measure(&mut self, spec: &Spec) -> Result<Figures, Failure> {
        match spec.kind {
            Kind::Publish(publishing) => self.publish(publishing),
            Kind::PublishToChannels => self.publish_to_channels(),
            Kind::Drain => self.drain(),
            Kind::Both => self.both(),
            Kind::InAndOut => self.in_and_out(),
            Kind::PacedOks => self.paced_oks(),
            Kind::Latency => self.latency(),
            Kind::Requeue => self.requeue(),
            Kind::Deferred => self.deferred(),
            Kind::Http(request) => self.http(self.target.http_address()?, request),
            Kind::Topics => self.topics(),
            Kind::IdleConsumers => self.idle_consumers(),
            Kind::Churn => self.churn(),
            Kind::Restart => self.restart(),
            Kind::Limit { is_kept } => self.limit(is_kept),
            Kind::LimitEach(publishing) => self.limit_each(publishing),
            Kind::LimitHttp(request) => self.limit_http(request),
            Kind::LimitLatency { by_tasks } => self.limit_latency(by_tasks),
        }
    }

    fn publishers(&self, publishing: Publishing, time_max: Option<Duration>) -> Result<Publishers, Failure> {
        self.publishers_to(&self.topic, publishing, time_max)
    }

    fn publishers_to(
        &self,
        topic: &TopicName,
        publishing: Publishing,
        time_max: Option<Duration>,
    ) -> Result<Publishers, Failure> {
        let Publishing { publish, commands, window, layer } = publishing;
        let publish = match publish {
            Publish::Batch(_) => Publish::Batch(self.load.batch),
            other => other,
        };
        let Load { connections, messages, .. } = self.load;
        let plan =
            Plan { publish, connections, commands, window, layer, size: self.size, messages, time_max };
        Publishers::new(&self.target, topic, &plan)
    }

    /// Makes the channels, so that each of them sees all.
    fn channels(&self) -> Result<Vec<ChannelName>, Failure> {
        let names = channel_names(self.load.channels);
        for name in &names {
            self.target.create_channel(&self.topic, name)?;
        }
        Ok(names)
    }

    fn subscribe(&self, channels: &[ChannelName], expected: u64) -> Result<Vec<Consumers>, Failure> {
        let Self { target, topic, load, .. } = self;
        let subscribe = |channel| Consumers::subscribe(target, topic, channel, load.consumers, expected);
        channels.iter().map(subscribe).collect()
    }
}

fn channel_names(count: usize) -> Vec<ChannelName> {
    (0..count).filter_map(|number| ChannelName::parse(format!("channel{number}"))).collect()
}
