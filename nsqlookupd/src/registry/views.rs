//! What can be asked of the registry.
//!
//! An answer is a small value of its own, made of shared parts, so that whoever asks can write it out after the
//! registry has been let go. What would be large is given piece by piece, by the place it stands at.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::time::Duration;

use super::producer::{Producer, hides};
use super::{Name, Peer, ProducerId, Registry, Selection, Topic};

/// What a look-up finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The channels; a name repeats where several topics were asked for.
    pub channels: Vec<Name>,
    /// Who has the topic and is to be recommended: alive, and not under a tombstone.
    pub producers: Vec<Arc<Peer>>,
}

/// A producer with all its topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its place.
    pub id: ProducerId,
    /// Who it is.
    pub peer: Arc<Peer>,
    /// Each with whether a tombstone hides it there.
    pub topics: Vec<(Name, bool)>,
}

/// A topic with all that is registered under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicEntries {
    /// The topic's name, which is its place.
    pub name: Name,
    /// Who has the topic.
    pub producers: Vec<Entry>,
    /// Who has which channel of it.
    pub channels: Vec<(Name, Vec<Entry>)>,
}

/// A registration, whether it is shown elsewhere or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose it is.
    pub peer: Arc<Peer>,
    /// When that producer connected or last pinged.
    pub last_update: Duration,
    /// When it was last tombstoned here. Only a topic's registrations ever are.
    pub tombstoned_at: Option<Duration>,
}

impl Registry {
    /// The topics that are known.
    pub fn topics(&self) -> impl Iterator<Item = &Name> {
        self.topics.iter().filter(|(_, topic)| topic.is_listed).map(|(name, _)| name)
    }

    /// The channels of topics, with or without producers.
    pub fn channels(&self, topics: Selection<'_>) -> impl Iterator<Item = &Name> {
        self.selected(topics).flat_map(|(_, topic)| topic.channels.keys())
    }

    /// Who has a topic and is to be recommended; `None` if no such topic is known.
    ///
    /// Of all topics, a producer is found if it is to be recommended for any.
    #[must_use]
    pub fn lookup(&self, now: Duration, topics: Selection<'_>) -> Option<Found> {
        if !self.selected(topics).any(|(_, topic)| topic.is_listed) {
            return None;
        }
        let channels = self.channels(topics).map(Arc::clone).collect();
        let may_be_shown = |producer: &&Producer| producer.is_active(now, &self.settings);
        let producers = match topics {
            Selection::All => {
                let is_shown = |producer: &&Producer| {
                    producer.topics.values().any(|tombstone| !hides(*tombstone, now, &self.settings))
                };
                let shown = self.producers.values().filter(may_be_shown).filter(is_shown);
                shown.map(|producer| Arc::clone(&producer.peer)).collect()
            }
            Selection::Named(name) => {
                let is_shown = |producer: &&Producer| {
                    let tombstone = producer.topics.get(name);
                    tombstone.is_some_and(|tombstone| !hides(*tombstone, now, &self.settings))
                };
                let ids = self.topics.get(name).map(|topic| &topic.producers);
                let having = ids.into_iter().flatten().filter_map(|id| self.producers.get(id));
                let shown = having.filter(may_be_shown).filter(is_shown);
                shown.map(|producer| Arc::clone(&producer.peer)).collect()
            }
        };
        Some(Found { channels, producers })
    }

    /// The first live producer behind that place, or of all. Tombstones do not hide it here.
    #[must_use]
    pub fn node_after(&self, now: Duration, place: Option<ProducerId>) -> Option<Node> {
        let behind = self.producers.range((place.map_or(Unbounded, Excluded), Unbounded));
        let mut live = behind.filter(|(_, producer)| producer.is_active(now, &self.settings));
        live.next().map(|(id, producer)| Node {
            id: *id,
            peer: Arc::clone(&producer.peer),
            topics: producer
                .topics
                .iter()
                .map(|(name, tombstone)| (Arc::clone(name), hides(*tombstone, now, &self.settings)))
                .collect(),
        })
    }

    /// Everybody who is connected.
    #[must_use]
    pub fn clients(&self) -> Vec<Entry> {
        self.producers.values().map(|producer| entry(producer, None)).collect()
    }

    /// The first topic behind that place, or of all, with everything that is registered under it.
    #[must_use]
    pub fn topic_after(&self, place: Option<&str>) -> Option<TopicEntries> {
        let (name, topic) =
            self.topics.range::<str, _>((place.map_or(Unbounded, Excluded), Unbounded)).next()?;
        let of = |ids: &BTreeSet<ProducerId>| -> Vec<Entry> {
            ids.iter().filter_map(|id| self.producers.get(id)).map(|producer| entry(producer, None)).collect()
        };
        let having = topic.producers.iter().filter_map(|id| self.producers.get(id));
        Some(TopicEntries {
            name: Arc::clone(name),
            producers: having
                .map(|producer| entry(producer, producer.topics.get(name).copied().flatten()))
                .collect(),
            channels: topic.channels.iter().map(|(channel, ids)| (Arc::clone(channel), of(ids))).collect(),
        })
    }

    pub(super) fn selected(&self, topics: Selection<'_>) -> impl Iterator<Item = (&Name, &Topic)> {
        let (all, one) = match topics {
            Selection::All => (Some(self.topics.iter()), None),
            Selection::Named(name) => (None, self.topics.get_key_value(name)),
        };
        all.into_iter().flatten().chain(one)
    }
}

fn entry(producer: &Producer, tombstoned_at: Option<Duration>) -> Entry {
    Entry { peer: Arc::clone(&producer.peer), last_update: producer.last_update, tombstoned_at }
}
