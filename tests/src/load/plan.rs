//! The topics and channels that a load uses.

use std::fs;

use crate::Daemon;
use crate::ledger::{Channel, Topic};
use crate::stats::eventually;

/// Topics, their channels, and how many consume from each.
#[derive(Debug, Clone)]
pub struct Plan {
    topics: Vec<String>,
    channels: Vec<PlannedChannel>,
}

#[derive(Debug, Clone)]
struct PlannedChannel {
    topic: Topic,
    name: String,
    consumers: usize,
}

impl Plan {
    /// Topics by name, each with so many consumers for each channel.
    pub fn new(topics: &[(&str, &[usize])]) -> Self {
        let channels = topics.iter().enumerate().flat_map(|(topic, (_, consumers))| {
            consumers.iter().enumerate().map(move |(index, consumers)| PlannedChannel {
                topic,
                name: format!("channel_{topic}_{index}"),
                consumers: *consumers,
            })
        });
        Self {
            channels: channels.collect(),
            topics: topics.iter().map(|(name, _)| (*name).to_owned()).collect(),
        }
    }

    /// Makes the topics and channels, and waits until they are kept.
    pub fn make(&self, daemon: &Daemon) {
        for topic in &self.topics {
            daemon.act(&format!("/topic/create?topic={topic}"));
        }
        for channel in self.all() {
            let (topic, name) = self.channel(channel);
            daemon.act(&format!("/channel/create?topic={topic}&channel={name}"));
        }
        let look = || daemon.read_metadata();
        eventually("all channels being kept", look, |text| {
            self.channels.iter().all(|channel| text.contains(&format!("\"{}\"", channel.name)))
        });
    }

    /// The names of the topics.
    pub fn topics(&self) -> Vec<String> {
        self.topics.clone()
    }

    /// All channels.
    pub fn all(&self) -> std::ops::Range<Channel> {
        0..self.channels.len()
    }

    /// A channel's names: its topic's and its own.
    pub fn channel(&self, channel: Channel) -> (&str, &str) {
        let PlannedChannel { topic, name, .. } = &self.channels[channel];
        (&self.topics[*topic], name)
    }

    /// The topic of each channel.
    pub fn channel_topics(&self) -> Vec<Topic> {
        self.channels.iter().map(|channel| channel.topic).collect()
    }

    /// The channel of each consumer.
    pub fn consumers(&self) -> impl Iterator<Item = Channel> {
        let channels = self.channels.iter().enumerate();
        channels.flat_map(|(channel, planned)| std::iter::repeat_n(channel, planned.consumers))
    }
}

impl Daemon {
    fn read_metadata(&self) -> String {
        fs::read_to_string(self.directory().join("nsqd.dat")).unwrap_or_default()
    }
}
