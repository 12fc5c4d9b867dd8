//! What a node may call its topics and channels: a name that is none, or that comes twice, is not listened to, so that
//! whoever shows or counts them may take a name for a key.

use std::collections::BTreeSet;

use nsq::api::stats::Stats;
use nsq::wire::name::{ChannelName, TopicName};

/// The answer without what NSQ does not allow.
#[must_use]
pub(super) fn checked(mut stats: Stats) -> Stats {
    let mut names = BTreeSet::new();
    if let Some(topics) = &mut stats.topics {
        topics.retain(|topic| {
            TopicName::parse(&topic.topic_name).is_some() && names.insert(topic.topic_name.clone())
        });
        for topic in topics {
            let mut channels = BTreeSet::new();
            topic.channels.retain(|channel| {
                ChannelName::parse(&channel.channel_name).is_some()
                    && channels.insert(channel.channel_name.clone())
            });
        }
    }
    stats
}

#[cfg(test)]
mod tests {
    use super::*;
    use nsq::api::stats::{ChannelStats, TopicStats};

    #[test]
    fn what_is_no_name_and_what_comes_twice_is_left_out() {
        let long = "x".repeat(65);
        let topic = |name: &str, channels: &[&str]| TopicStats {
            topic_name: name.to_owned(),
            channels: channels
                .iter()
                .map(|name| ChannelStats { channel_name: (*name).to_owned(), ..ChannelStats::default() })
                .collect(),
            ..TopicStats::default()
        };
        let topics = vec![
            topic("a", &["b", "b/c", "b", "e#ephemeral", ""]),
            topic("a/b", &["c"]),
            topic("a", &["other"]),
            topic(&long, &[]),
            topic(".", &[]),
        ];
        let left = checked(Stats { topics: Some(topics), ..Stats::default() }).topics.unwrap();
        assert_eq!(left, [topic("a", &["b", "e#ephemeral"]), topic(".", &[])]);
        assert_eq!(checked(Stats::default()).topics, None);
    }
}
