//! What a lookup service knows of us, what it should know, and what to tell it. Pure.

use std::collections::BTreeSet;

use nsq::wire::lookup::{Command, Registration};
use nsq::wire::name::TopicName;

use crate::node::Registrations;

/// What to say, in order, to a service that knows `registered` so that it knows `desired`.
///
/// What is gone is told first, a topic's channels before the topic; a topic that was deleted and made again is gone too,
/// for what the service has noted of the old one is not to hold for the new. A channel's registration brings its topic
/// with it, so a topic is told apart only if no channel of it is new (spec nsqd-operation.md, §10: "with channels only
/// ...").
pub(super) fn changes(registered: &Registrations, desired: &Registrations) -> Vec<Command> {
    let missing =
        |there: &Registrations, (entry, number): &(&Registration, &u32)| there.get(entry) != Some(number);
    let gone = registered.iter().rev().filter(|entry| missing(desired, entry));
    let gone = gone.map(|(entry, _)| Command::Unregister(*entry));
    let new: Vec<Registration> =
        desired.iter().filter(|entry| missing(registered, entry)).map(|(entry, _)| *entry).collect();
    let topics_with_new_channels: BTreeSet<TopicName> =
        new.iter().filter(|entry| entry.channel.is_some()).map(|entry| entry.topic).collect();
    let told = new
        .iter()
        .filter(|entry| entry.channel.is_some() || !topics_with_new_channels.contains(&entry.topic))
        .map(|entry| Command::Register(*entry));
    gone.chain(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nsq::wire::name::ChannelName;

    /// `topic`, `topic:channel`; `topic'` is a topic that was made again.
    fn set(entries: &[&str]) -> Registrations {
        let parse = |entry: &&str| {
            let (number, entry) = (entry.matches('\'').count() as u32, entry.replace('\'', ""));
            let (topic, channel) =
                entry.split_once(':').map_or((entry.as_str(), None), |(t, c)| (t, Some(c)));
            let registration = Registration {
                topic: TopicName::parse(topic).unwrap(),
                channel: channel.map(|channel| ChannelName::parse(channel).unwrap()),
            };
            (registration, number)
        };
        entries.iter().map(parse).collect()
    }

    fn said(registered: &[&str], desired: &[&str]) -> String {
        let name = |entry: &Registration| match entry.channel {
            Some(channel) => format!("{}:{channel}", entry.topic),
            None => entry.topic.to_string(),
        };
        let words: Vec<String> = changes(&set(registered), &set(desired))
            .iter()
            .map(|change| match change {
                Command::Register(entry) => format!("+{}", name(entry)),
                Command::Unregister(entry) => format!("-{}", name(entry)),
                other => panic!("{other:?}"),
            })
            .collect();
        words.join(" ")
    }

    #[test]
    fn a_new_service_is_told_topics_without_channels_and_channels() {
        assert_eq!(said(&[], &["a", "b", "b:x", "b:y"]), "+a +b:x +b:y");
    }

    #[test]
    fn only_what_changed_is_told() {
        assert_eq!(said(&["a", "b", "b:x"], &["a", "b", "b:x"]), "");
        assert_eq!(said(&["a"], &["a", "a:x"]), "+a:x");
        assert_eq!(said(&["a", "a:x"], &["a"]), "-a:x");
        assert_eq!(said(&["a", "a:x", "a:y"], &[]), "-a:y -a:x -a");
    }

    #[test]
    fn a_topic_that_was_made_again_is_told_anew() {
        assert_eq!(said(&["a", "a:x", "b"], &["a'", "a:x'", "b"]), "-a:x -a +a:x");
        assert_eq!(said(&["a"], &["a'"]), "-a +a");
    }

    #[test]
    fn telling_everything_makes_both_the_same() {
        let mut random = fastrand::Rng::with_seed(7);
        let all = ["a", "a:x", "a:y", "b", "b:x", "c", "c:z"];
        for _ in 0..200 {
            let mut pick = || -> Vec<&str> { all.iter().copied().filter(|_| random.bool()).collect() };
            // A channel is never announced without its topic.
            let close = |picked: Vec<&str>| {
                let mut entries = set(&picked);
                let topics: Vec<_> =
                    entries.keys().map(|e| (Registration { channel: None, ..*e }, 0)).collect();
                entries.extend(topics);
                entries
            };
            let (mut registered, desired) = (close(pick()), close(pick()));
            for change in changes(&registered, &desired) {
                match change {
                    Command::Register(entry) => {
                        registered.insert(Registration { channel: None, ..entry }, 0);
                        registered.insert(entry, 0);
                    }
                    Command::Unregister(entry) => {
                        registered.remove(&entry);
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(registered, desired);
        }
    }
}
