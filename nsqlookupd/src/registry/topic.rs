//! A topic: who has it, and who has each of its channels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nsq::wire::name::ChannelName;

use super::{Key, Name, ProducerId};

#[derive(Debug, Default)]
pub(super) struct Topic {
    /// Whether the topic itself is known. An ephemeral topic that its last producer gave up is not, while its channels
    /// still are.
    pub(super) is_listed: bool,
    /// Empty where the topic is not listed.
    pub(super) producers: BTreeSet<ProducerId>,
    /// Each with a part of `producers`.
    pub(super) channels: BTreeMap<Name, BTreeSet<ProducerId>>,
}

impl Topic {
    /// How many names this is. A topic that is none is not kept.
    pub(super) fn names(&self) -> usize {
        usize::from(self.is_listed) + self.channels.len()
    }

    pub(super) fn channel_has(&self, channel: &str, id: ProducerId) -> bool {
        self.channels.get(channel).is_some_and(|ids| ids.contains(&id))
    }

    /// Adds a producer to a channel that is known. Gives the channel's name if it was not there before.
    pub(super) fn add_to_channel(&mut self, channel: &str, id: ProducerId) -> Option<Name> {
        let name = Arc::clone(self.channels.get_key_value(channel)?.0);
        self.channels.get_mut(channel)?.insert(id).then_some(name)
    }

    pub(super) fn remove_from_channel(
        &mut self,
        topic: &Name,
        channel: &ChannelName,
        id: ProducerId,
    ) -> Vec<Key> {
        let Some((name, _)) = self.channels.get_key_value(channel.as_str()) else { return Vec::new() };
        let name = Arc::clone(name);
        let ids = self.channels.get_mut(&name).expect("it was found by this name");
        let was_there = ids.remove(&id);
        if channel.is_ephemeral() && ids.is_empty() {
            self.channels.remove(&name);
        }
        if was_there { vec![Key::Channel(Arc::clone(topic), name)] } else { Vec::new() }
    }

    /// Removes a producer from every channel; the channels stay.
    pub(super) fn remove_from_channels(&mut self, topic: &Name, id: ProducerId) -> Vec<Key> {
        let had = self.channels.iter_mut().filter_map(|(name, ids)| ids.remove(&id).then_some(name));
        had.map(|name| Key::Channel(Arc::clone(topic), Arc::clone(name))).collect()
    }
}
