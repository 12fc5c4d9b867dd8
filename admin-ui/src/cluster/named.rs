//! What a node says it has, by names that are names, each once. All that comes after relies on that: a row, a link and a
//! series are found by their names, and take room for them.

use std::collections::BTreeSet;

use nsq::api::stats::Stats;
use nsq::wire::name::{ChannelName, TopicName};

/// How many topics and channels of an nsqd are looked at: each takes one and a half kilobytes here for as long as the nsqd
/// has it, and is told to each viewer.
const ROWS_MAX: usize = 20_000;

/// The statistics of an nsqd without what has no valid name, what has that of another, and what is too much. An nsqd says nothing
/// of the first two kinds, and its health is said not to be well if it says something of the last.
#[must_use]
pub(super) fn named(mut stats: Stats) -> Stats {
    let mut topics = BTreeSet::new();
    let (mut room, mut left_out) = (ROWS_MAX, 0_usize);
    if let Some(of_node) = &mut stats.topics {
        of_node.retain(|topic| TopicName::parse(&topic.topic_name).is_some_and(|name| topics.insert(name)));
        let mut kept = 0;
        for topic in of_node.iter_mut() {
            let mut channels = BTreeSet::new();
            let mut is_new =
                |name: &String| ChannelName::parse(name).is_some_and(|name| channels.insert(name));
            topic.channels.retain(|channel| is_new(&channel.channel_name));
            if room == 0 {
                left_out += 1 + topic.channels.len();
                continue;
            }
            kept += 1;
            room -= 1;
            left_out += topic.channels.len().saturating_sub(room);
            topic.channels.truncate(room);
            room -= topic.channels.len();
        }
        of_node.truncate(kept);
        if left_out > 0 {
            of_node.iter_mut().for_each(|topic| topic.channels.shrink_to_fit());
            of_node.shrink_to_fit();
        }
    }
    if left_out > 0 {
        stats.health =
            format!("NOK - it has {left_out} topics and channels more than the {ROWS_MAX} looked at");
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

    #[test]
    fn what_is_too_much_is_left_out_and_said() {
        let channel =
            |number: usize| ChannelStats { channel_name: number.to_string(), ..ChannelStats::default() };
        let topic = |name: &str, channels: usize| TopicStats {
            topic_name: name.to_owned(),
            channels: (0..channels).map(channel).collect(),
            ..TopicStats::default()
        };
        let of = |topics: Vec<TopicStats>| {
            let stats = Stats { health: "OK".to_owned(), topics: Some(topics), ..Stats::default() };
            let kept = named(stats);
            let counts = kept.topics.unwrap().iter().map(|topic| topic.channels.len()).collect::<Vec<_>>();
            (counts, kept.health)
        };
        assert_eq!(
            of(vec![topic("a", ROWS_MAX - 2), topic("b", 0)]),
            (vec![ROWS_MAX - 2, 0], "OK".to_owned())
        );
        let said = "NOK - it has 6 topics and channels more than the 20000 looked at".to_owned();
        assert_eq!(
            of(vec![topic("a", 9), topic("b", ROWS_MAX - 10), topic("c", 4)]),
            (vec![9, ROWS_MAX - 11], said)
        );
    }
}
