//! What a node says it has, by names that are names, each once. All that comes after relies on that: a row, a link and a
//! series are found by their names, and take room for them.

use std::collections::BTreeSet;

use nsq::api::stats::Stats;
use nsq::wire::name::{ChannelName, TopicName};

/// The statistics of an nsqd without what has no valid name, and what has that of another. An nsqd says nothing of that kind.
#[must_use]
pub(super) fn named(mut stats: Stats) -> Stats {
    let mut topics = BTreeSet::new();
    if let Some(of_node) = &mut stats.topics {
        of_node.retain(|topic| TopicName::parse(&topic.topic_name).is_some_and(|name| topics.insert(name)));
        for topic in of_node {
            let mut channels = BTreeSet::new();
            let mut is_new =
                |name: &String| ChannelName::parse(name).is_some_and(|name| channels.insert(name));
            topic.channels.retain(|channel| is_new(&channel.channel_name));
        }
    }
    stats
}

/// Those of these that may be topics.
pub(super) fn topics(names: impl IntoIterator<Item = String>) -> impl Iterator<Item = String> {
    names.into_iter().filter(|name| TopicName::parse(name).is_some())
}

/// Those of these that may be channels.
pub(super) fn channels(names: impl IntoIterator<Item = String>) -> impl Iterator<Item = String> {
    names.into_iter().filter(|name| ChannelName::parse(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nsq::api::stats::{ChannelStats, TopicStats};

    #[test]
    fn what_is_no_name_or_comes_twice_is_dropped() {
        let channel = |name: &str| ChannelStats { channel_name: name.to_owned(), ..ChannelStats::default() };
        let topic = |name: &str, channels: &[&str]| TopicStats {
            topic_name: name.to_owned(),
            channels: channels.iter().copied().map(channel).collect(),
            ..TopicStats::default()
        };
        let long = "x".repeat(65);
        let topics = vec![
            topic("a", &["c", "b/c", "c", "c#ephemeral", ""]),
            topic("a/b", &["c"]),
            topic(&long, &[]),
            topic("a", &["d"]),
            topic("..", &[]),
        ];
        let kept = named(Stats { topics: Some(topics), ..Stats::default() });
        assert_eq!(kept.topics.unwrap(), [topic("a", &["c", "c#ephemeral"]), topic("..", &[])]);
        assert_eq!(named(Stats::default()).topics, None);
    }
}
