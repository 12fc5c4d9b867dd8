//! Who has which topic, and who of them can be recommended (spec nsqlookupd.md, §6).
//!
//! Pure: no socket, no clock; `now` is the time since any fixed moment, and no method is ever given an earlier one. A
//! [`Registry`] knows topics by name, with their channels, and producers by an id; each points to the other, so that
//! neither a look-up nor a disconnect searches. What is said of one producer for one topic, its tombstone, stands
//! with the producer.
//!
//! Names outlive those who registered them: only an `UNREGISTER` of an ephemeral one, and whoever deletes it by name,
//! makes one go. All lists are in the order of names, or of connecting.

mod key;
#[cfg(test)]
mod model;
mod producer;
mod selection;
mod topic;
mod views;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nsq::wire::lookup::{Identity, Registration};
use nsq::wire::name::{ChannelName, TopicName};

pub use key::{Key, Name};
use producer::Producer;
pub use producer::{Peer, ProducerId};
pub use selection::Selection;
use topic::Topic;
pub use views::{Entry, Found, Node, TopicEntries};

/// How long what is known counts, and how much may be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// After how long without a word a producer is hidden.
    pub inactive_producer_timeout: Duration,
    /// For how long a tombstone hides a producer.
    pub tombstone_lifetime: Duration,
    /// How many topics and channels there may be, together.
    pub names_max: usize,
    /// How many topics and channels one producer may have, together.
    pub registrations_per_producer_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            inactive_producer_timeout: Duration::from_secs(300),
            tombstone_lifetime: Duration::from_secs(45),
            names_max: NAMES_MAX,
            registrations_per_producer_max: REGISTRATIONS_PER_PRODUCER_MAX,
        }
    }
}

/// How many topics and channels there may be, unless it is said otherwise: about 200 MB of names alone. (v1.3.0 has
/// no limit, and keeps what any peer ever registered.)
pub const NAMES_MAX: usize = 1_000_000;

/// How many topics and channels one producer may have, unless it is said otherwise: about 10 MB of memory.
pub const REGISTRATIONS_PER_PRODUCER_MAX: usize = 200_000;

/// There is no room for what was to be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// As many topics and channels are known as may be.
    #[error("too many topics and channels, {max} are the limit")]
    Names {
        /// How many there may be.
        max: usize,
    },
    /// The producer has as many as it may have.
    #[error("too many registrations, {max} are the limit")]
    Registrations {
        /// How many it may have.
        max: usize,
    },
}

/// Everything a lookup daemon knows.
#[derive(Debug)]
pub struct Registry {
    settings: Settings,
    topics: BTreeMap<Name, Topic>,
    producers: BTreeMap<ProducerId, Producer>,
    next_id: ProducerId,
    /// Always the number of listed topics and of channels.
    names: usize,
}

/// What producers do.
impl Registry {
    /// A registry that knows nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let (topics, producers) = (BTreeMap::new(), BTreeMap::new());
        Self { settings, topics, producers, next_id: ProducerId::FIRST, names: 0 }
    }

    /// Takes in a producer that has said who it is.
    pub fn connect(&mut self, now: Duration, remote_address: String, identity: Identity) -> ProducerId {
        let id = self.next_id;
        self.next_id = id.next();
        self.producers.insert(id, Producer::new(now, Peer { remote_address, identity }));
        id
    }

    /// Notes that the producer is alive. Gives the time since it was last known to be.
    pub fn ping(&mut self, now: Duration, id: ProducerId) -> Duration {
        let producer = connected(&mut self.producers, id);
        now.saturating_sub(std::mem::replace(&mut producer.last_update, now))
    }

    /// Notes that the producer has a topic, and a channel of it where one is named. Gives what it did not have before.
    ///
    /// A tombstone stays, and the producer does not count as heard of: as in v1.3.0, only [`ping`](Self::ping) does
    /// that.
    ///
    /// # Errors
    /// If there is no room; nothing has changed then.
    pub fn register(&mut self, id: ProducerId, what: &Registration) -> Result<Vec<Key>, Full> {
        let Registration { topic: topic_name, channel: channel_name } = what;
        let known = self.topics.get(topic_name.as_str());
        let lacks_topic = known.is_none_or(|topic| !topic.producers.contains(&id));
        let lacks_channel = channel_name
            .is_some_and(|channel| known.is_none_or(|topic| !topic.channel_has(channel.as_str(), id)));
        let new = usize::from(lacks_topic) + usize::from(lacks_channel);
        if new == 0 {
            return Ok(Vec::new());
        }
        let max = self.settings.registrations_per_producer_max;
        if connected(&mut self.producers, id).registrations + new > max {
            return Err(Full::Registrations { max });
        }
        self.list(topic_name, channel_name.as_ref())?;

        let (name, topic) = entry(&mut self.topics, topic_name.as_str());
        let mut added = Vec::with_capacity(2);
        if let Some(channel) = channel_name
            && let Some(channel) = topic.add_to_channel(channel.as_str(), id)
        {
            added.push(Key::Channel(Arc::clone(&name), channel));
        }
        if topic.producers.insert(id) {
            connected(&mut self.producers, id).topics.insert(Arc::clone(&name), None);
            added.push(Key::Topic(name));
        }
        connected(&mut self.producers, id).registrations += added.len();
        Ok(added)
    }

    /// Notes that the producer does not have a channel any more, or a topic with all its channels. Gives what it had,
    /// the topic last. An ephemeral name that nobody has then goes with it; of a topic's channels none does.
    pub fn unregister(&mut self, id: ProducerId, what: &Registration) -> Vec<Key> {
        let Some((name, topic)) = self.topics.get_key_value(what.topic.as_str()) else { return Vec::new() };
        let (name, names_before) = (Arc::clone(name), topic.names());
        let topic = self.topics.get_mut(&name).expect("it was found by this name");
        let removed = match &what.channel {
            Some(channel) => topic.remove_from_channel(&name, channel, id),
            None => {
                let mut removed = topic.remove_from_channels(&name, id);
                if topic.producers.remove(&id) {
                    removed.push(Key::Topic(Arc::clone(&name)));
                }
                topic.is_listed &= !(what.topic.is_ephemeral() && topic.producers.is_empty());
                removed
            }
        };
        self.names -= names_before - topic.names();
        if topic.names() == 0 {
            self.topics.remove(&name);
        }
        let producer = connected(&mut self.producers, id);
        producer.registrations -= removed.len();
        if what.channel.is_none() {
            producer.topics.remove(&name);
        }
        removed
    }

    /// Forgets the producer. Gives what it had; the names stay, also the ephemeral ones.
    pub fn disconnect(&mut self, id: ProducerId) -> Vec<Key> {
        let Some(producer) = self.producers.remove(&id) else { return Vec::new() };
        let mut removed = vec![Key::Client];
        for name in producer.topics.into_keys() {
            let topic = self.topics.get_mut(&name).expect("a producer's topics are known");
            removed.extend(topic.remove_from_channels(&name, id));
            topic.producers.remove(&id);
            removed.push(Key::Topic(name));
        }
        removed
    }
}

/// What operators do.
impl Registry {
    /// Makes a topic known, and a channel of it where one is named.
    ///
    /// # Errors
    /// If there is no room; nothing has changed then.
    pub fn list(&mut self, topic: &TopicName, channel: Option<&ChannelName>) -> Result<(), Full> {
        let max = self.settings.names_max;
        let known = self.topics.get(topic.as_str());
        let is_new_topic = known.is_none_or(|topic| !topic.is_listed);
        let new_channel = channel
            .filter(|channel| known.is_none_or(|topic| !topic.channels.contains_key(channel.as_str())));
        let new = usize::from(is_new_topic) + usize::from(new_channel.is_some());
        if new > 0 && self.names + new > max {
            return Err(Full::Names { max });
        }
        self.names += new;
        let (_, topic) = entry(&mut self.topics, topic.as_str());
        topic.is_listed = true;
        if let Some(channel) = new_channel {
            topic.channels.insert(channel.as_str().into(), Default::default());
        }
        Ok(())
    }

    /// Forgets topics with their channels, whoever has them. Gives what was known, the channels of each topic first.
    pub fn delete_topics(&mut self, topics: Selection<'_>) -> Vec<Key> {
        let names: Vec<Name> = self.selected(topics).map(|(name, _)| Arc::clone(name)).collect();
        let mut deleted = Vec::new();
        for name in names {
            let topic = self.topics.remove(&name).expect("it was selected under the same lock");
            self.names -= topic.names();
            for id in &topic.producers {
                let producer = connected(&mut self.producers, *id);
                producer.topics.remove(&name);
                producer.registrations -= 1;
            }
            for (channel, ids) in topic.channels {
                ids.into_iter().for_each(|id| connected(&mut self.producers, id).registrations -= 1);
                deleted.push(Key::Channel(Arc::clone(&name), channel));
            }
            if topic.is_listed {
                deleted.push(Key::Topic(name));
            }
        }
        deleted
    }

    /// Forgets a channel, whoever has it. Gives whether it was known.
    pub fn delete_channel(&mut self, topic: &TopicName, channel: &ChannelName) -> bool {
        let Some(known) = self.topics.get_mut(topic.as_str()) else { return false };
        let Some(ids) = known.channels.remove(channel.as_str()) else { return false };
        ids.into_iter().for_each(|id| connected(&mut self.producers, id).registrations -= 1);
        self.names -= 1;
        if known.names() == 0 {
            self.topics.remove(topic.as_str());
        }
        true
    }

    /// Hides producers from the look-ups of topics they have, for the lifetime of a tombstone. `node` is a producer's
    /// `broadcast_address:http_port`; several may have the same.
    ///
    /// Of all topics it is all that the producer has; v1.3.0 takes an arbitrary one of them.
    pub fn tombstone(&mut self, now: Duration, topics: Selection<'_>, node: &str) {
        for producer in self.producers.values_mut().filter(|producer| producer.peer.node() == node) {
            match topics {
                Selection::All => producer.topics.values_mut().for_each(|tombstone| *tombstone = Some(now)),
                Selection::Named(name) => {
                    producer.topics.get_mut(name).into_iter().for_each(|tombstone| *tombstone = Some(now));
                }
            }
        }
    }
}

/// The topic of that name, made when it is not there: then unlisted, and to be listed or removed by the caller.
fn entry<'a>(topics: &'a mut BTreeMap<Name, Topic>, name: &str) -> (Name, &'a mut Topic) {
    let known = topics.get_key_value(name).map(|(name, _)| Arc::clone(name));
    let name = known.unwrap_or_else(|| name.into());
    let topic = topics.entry(Arc::clone(&name)).or_default();
    (name, topic)
}

fn connected(producers: &mut BTreeMap<ProducerId, Producer>, id: ProducerId) -> &mut Producer {
    producers.get_mut(&id).expect("whoever registers is connected, and whoever is registered too")
}
