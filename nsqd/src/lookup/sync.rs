//! Topics of other nodes, made here too (`--sync-topics`): consumers that find them connect before the first message.
//!
//! What is decided is in [`Syncing`], which is pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use nsq::wire::name::{ChannelName, TopicName};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::inquiry::Inquiry;
use crate::node::{DeclaredChannel, DeclaredTopic, Node, Registrations};

/// How often the lookup services are asked for topics.
const INTERVAL: Duration = Duration::from_secs(2);

/// How long a topic that was deleted here is not made again: longer than nsqlookupd by default knows of a node that has
/// vanished without a word (5 minutes).
const DELETED_FOR: Duration = Duration::from_secs(360);

/// How many topics are looked up in a round; those left over have their turn in the next.
const LOOKED_UP_MAX: usize = 200;

/// A node with so many topics and channels makes no more of others.
const REGISTRATIONS_MAX: usize = 100_000;

/// Makes topics that others have, with their channels, until the daemon stops.
pub(super) async fn run(
    node: Arc<Node>,
    inquiry: watch::Receiver<Inquiry>,
    mut ours: watch::Receiver<Arc<Registrations>>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut syncing = Syncing::default();
    let mut rounds = interval(INTERVAL);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let work = async {
        loop {
            tokio::select! {
                // Its sender lives as long as the daemon.
                _ = ours.changed() => syncing.note(&ours.borrow_and_update(), Instant::now()),
                _ = rounds.tick() => {
                    let inquiry = inquiry.borrow().clone();
                    let elsewhere = inquiry.topics().await;
                    // What was deleted meanwhile is not to come back.
                    syncing.note(&ours.borrow_and_update(), Instant::now());
                    for topic in syncing.candidates(&elsewhere) {
                        let channels = inquiry.channels_if_alive(&topic).await;
                        // Topics are made and deleted while that is asked.
                        syncing.note(&ours.borrow_and_update(), Instant::now());
                        if let Some(channels) = channels.filter(|_| syncing.is_new(&topic)) {
                            take_over(&node, topic, channels);
                            syncing.ours.insert(topic);
                        }
                    }
                }
            }
        }
    };
    tokio::select! {
        () = work => {}
        // Were the sender gone, that would mean the same.
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
}

fn take_over(node: &Node, topic: TopicName, channels: BTreeSet<ChannelName>) {
    tracing::info!(topic = %topic, "LOOKUP: topic {topic} is on other nodes, making it here");
    let channels = channels.into_iter().map(|name| DeclaredChannel { name, paused: None }).collect();
    node.declare(&DeclaredTopic { name: topic, durability: None, paused: None, channels });
}

/// Which topics to make.
#[derive(Debug, Default)]
struct Syncing {
    ours: BTreeSet<TopicName>,
    /// How many topics and channels there are here.
    registrations: usize,
    /// When topics were deleted here, not longer ago than [`DELETED_FOR`].
    deleted: BTreeMap<TopicName, Instant>,
    /// Where the next round goes on.
    next: Option<TopicName>,
}

impl Syncing {
    /// The node has these topics now.
    fn note(&mut self, ours: &Registrations, now: Instant) {
        self.registrations = ours.len();
        let ours: BTreeSet<TopicName> = ours.keys().map(|registration| registration.topic).collect();
        self.deleted.retain(|_, at| now.duration_since(*at) < DELETED_FOR);
        self.deleted.extend(self.ours.difference(&ours).map(|topic| (*topic, now)));
        self.ours = ours;
    }

    /// Whether the topic is not here, and was not a while ago.
    fn is_new(&self, topic: &TopicName) -> bool {
        !self.ours.contains(topic) && !self.deleted.contains_key(topic)
    }

    /// The topics to look up, of those that are known elsewhere.
    fn candidates(&mut self, elsewhere: &BTreeSet<TopicName>) -> Vec<TopicName> {
        let room = REGISTRATIONS_MAX.saturating_sub(self.registrations).min(LOOKED_UP_MAX);
        let mut candidates: Vec<TopicName> =
            elsewhere.iter().filter(|topic| self.is_new(topic)).copied().collect();
        let turn = self.next.map_or(0, |next| candidates.partition_point(|topic| *topic < next));
        candidates.rotate_left(turn);
        self.next = candidates.get(room).copied();
        candidates.truncate(room);
        candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nsq::wire::lookup::Registration;

    fn topics(names: &[&str]) -> BTreeSet<TopicName> {
        names.iter().map(|name| TopicName::parse(name).unwrap()).collect()
    }

    fn registrations(names: &[&str]) -> Registrations {
        topics(names).into_iter().map(|topic| (Registration { topic, channel: None }, 1)).collect()
    }

    #[test]
    fn only_what_is_not_here_is_looked_up() {
        let mut syncing = Syncing::default();
        syncing.note(&registrations(&["a"]), Instant::now());
        assert_eq!(syncing.candidates(&topics(&["a", "b"])), Vec::from_iter(topics(&["b"])));
    }

    #[test]
    fn what_was_deleted_here_does_not_come_back_for_a_while() {
        let mut syncing = Syncing::default();
        let begin = Instant::now();
        syncing.note(&registrations(&["a", "b"]), begin);
        syncing.note(&registrations(&["b"]), begin);
        assert!(syncing.candidates(&topics(&["a", "b"])).is_empty());
        syncing.note(&registrations(&["b"]), begin + DELETED_FOR);
        assert_eq!(syncing.candidates(&topics(&["a", "b"])), Vec::from_iter(topics(&["a"])));
    }

    #[test]
    fn every_topic_has_its_turn() {
        let names: Vec<String> = (0..LOOKED_UP_MAX + 5).map(|number| format!("t{number:04}")).collect();
        let elsewhere = topics(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let mut syncing = Syncing::default();
        let mut seen: BTreeSet<TopicName> = syncing.candidates(&elsewhere).into_iter().collect();
        assert_eq!(seen.len(), LOOKED_UP_MAX);
        let second = syncing.candidates(&elsewhere);
        assert_eq!(second.len(), LOOKED_UP_MAX);
        seen.extend(second);
        assert_eq!(seen, elsewhere);
    }

    #[test]
    fn a_node_makes_no_more_topics_than_it_should() {
        let names: Vec<String> = (0..REGISTRATIONS_MAX).map(|number| format!("t{number:05}")).collect();
        let mut syncing = Syncing::default();
        syncing.note(&registrations(&names.iter().map(String::as_str).collect::<Vec<_>>()), Instant::now());
        assert!(syncing.candidates(&topics(&["another"])).is_empty());
    }
}
