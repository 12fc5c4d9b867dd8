//! What a node says of its topics, and what it is told of them from elsewhere.
//!
//! Other nodes may have channels of a topic that is new here. Whoever can find that out says so
//! ([`Node::expect_channels`]); then a new topic keeps what is published until it is told its channels
//! ([`Node::channels_known`]), so that each of them gets everything. Publishers and consumers do not wait for it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use nsq::wire::lookup::Registration;
use nsq::wire::name::{ChannelName, TopicName};
use nsqd_broker::storage::Durability;
use tokio::sync::watch;

use super::Node;
use super::topic::Locked;

/// What lookup services are told, with the number of the topic: one that is deleted and made again has another.
pub type Registrations = BTreeMap<Registration, u32>;

/// A node's topics and channels at one moment.
#[derive(Debug, Default)]
pub struct Topology {
    /// All of them, ephemeral ones too: what lookup services are told.
    pub registrations: Registrations,
    /// The topics that wait to be told their channels, the oldest first.
    pub expectant: Vec<TopicName>,
}

/// A topic that is to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredTopic {
    /// Its name.
    pub name: TopicName,
    /// What its acknowledgements are to promise; `None`: as it is, and as the flags say if it is new.
    pub durability: Option<Durability>,
    /// Whether it is paused; `None`: as it is, and not if it is new.
    pub paused: Option<bool>,
    /// The channels it is to have. Others stay.
    pub channels: Vec<DeclaredChannel>,
}

/// A channel that is to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredChannel {
    /// Its name.
    pub name: ChannelName,
    /// Whether it is paused; `None`: as it is, and not if it is new.
    pub paused: Option<bool>,
}

impl Node {
    /// A number that changes whenever topics or channels come or go.
    pub fn topology_changes(&self) -> watch::Receiver<u64> {
        self.topology.subscribe()
    }

    /// The topics and channels that there are now.
    pub fn topology(&self) -> Topology {
        let mut handles: Vec<_> = self.read_topics().by_name.values().cloned().collect();
        handles.sort_unstable_by_key(|handle| handle.number);
        let mut topology = Topology::default();
        for handle in handles {
            // One that was deleted at this moment is not announced.
            let _ = handle.with(|Locked { topic, .. }| {
                let name = topic.name();
                let registration = |channel| (Registration { topic: name, channel }, handle.number.0);
                let channels = topic.channels().map(|(channel, _)| Some(channel));
                topology.registrations.extend(std::iter::once(None).chain(channels).map(registration));
                topology.expectant.extend(topic.expects_channels().then_some(name));
            });
        }
        topology
    }

    /// Whether somebody will tell the channels of each topic that is new from now on.
    pub fn expect_channels(&self, expected: bool) {
        self.expects_channels.store(expected, Ordering::Relaxed);
    }

    /// Tells a topic, if it is still there, which channels it has elsewhere, as far as that could be found out.
    pub fn channels_known(&self, topic: &TopicName, channels: impl IntoIterator<Item = ChannelName>) {
        let Some(handle) = self.read_topics().by_name.get(topic).cloned() else { return };
        let has_more = handle.with(|Locked { topic, now, .. }| {
            let before = topic.channels().count();
            topic.channels_known(now, channels);
            topic.channels().count() > before
        });
        if has_more == Ok(true) {
            self.topology_changed();
        }
    }

    /// Makes a topic and channels, where they are not there, and pauses or resumes them as is said.
    pub fn declare(&self, declared: &DeclaredTopic) {
        // The topic may be deleted at this moment: then the next of that name is taken.
        while self
            .topic_or_made(&declared.name, declared.durability)
            .with(|locked| declare(locked, declared))
            .is_err()
        {}
        self.topology_changed();
    }
}

fn declare(Locked { topic, now, .. }: Locked<'_>, declared: &DeclaredTopic) {
    if let Some(durability) = declared.durability
        && !topic.choose_durability(now, durability)
    {
        tracing::warn!(
            topic = %declared.name, declared = %durability, is = %topic.durability(),
            "a topic that is there keeps the durability it has"
        );
    }
    if let Some(paused) = declared.paused.filter(|paused| *paused != topic.is_paused()) {
        topic.pause(now, paused);
    }
    topic.create_channels(now, declared.channels.iter().map(|channel| channel.name));
    for channel in &declared.channels {
        if let Some(paused) = channel.paused {
            topic.pause_channel(now, &channel.name, paused);
        }
    }
}
