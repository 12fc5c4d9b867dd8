//! What all nsqd count together, and how fast it changes.
//!
//! Pure. Rates are made node by node, from the times of its own answers, so that one that is silent for a while, or
//! began anew, makes no nonsense of the sums.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use nsq::api::stats::{ChannelStats, Stats, TopicStats};

use super::source::Sample;

/// For how long a node that is silent is remembered.
const REMEMBERED: Duration = Duration::from_secs(120);

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) topic: String,
    /// `None` for what no channel has been given yet.
    pub(super) channel: Option<String>,
}

/// How much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) depth: i64,
    /// The part of `depth` that is on disk.
    pub(super) disk: i64,
    pub(super) in_flight: i64,
    pub(super) deferred: i64,
    pub(super) requeued: i64,
    pub(super) timed_out: i64,
    pub(super) messages: i64,
    pub(super) clients: i64,
    /// How many nsqd have it.
    pub(super) nodes: i64,
    /// On how many of them it is paused.
    pub(super) paused: i64,
}

/// Messages a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) ingress: f64,
    pub(super) egress: f64,
}

/// A line of any table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) counts: Counts,
    /// `None` until an nsqd that has it was asked twice.
    pub(super) rates: Option<Rates>,
}

/// Remembers what was counted before.
#[derive(Debug, Default)]
pub(super) struct Memory {
    nodes: HashMap<String, Before>,
}

#[derive(Debug)]
struct Before {
    at: Instant,
    start_time: i64,
    counts: BTreeMap<Key, Counts>,
    /// Topics' own queues in which nothing waits, nor could: remembered, and not shown.
    quiet: BTreeSet<Key>,
}

impl Memory {
    /// Adds up what the nsqd say, sorted by name.
    pub(super) fn handle_samples(&mut self, samples: Vec<Sample>) -> Vec<Row> {
        let mut rows: BTreeMap<Key, (Counts, Option<Rates>)> = BTreeMap::new();
        for Sample { address, at, stats } in samples {
            let (counts, quiet) = counts_of(&stats);
            let now = Before { at, start_time: stats.start_time, counts, quiet };
            let before = self.nodes.get(&address).filter(|before| before.start_time == now.start_time);
            for (key, counts) in now.counts.iter().filter(|(key, _)| !now.quiet.contains(*key)) {
                let row = rows.entry(key.clone()).or_default();
                row.0.add(counts);
                if let Some(before) = before {
                    let rates = rates(before.counts.get(key), counts, at.duration_since(before.at));
                    row.1.get_or_insert_default().add(rates);
                }
            }
            self.nodes.insert(address, now);
        }
        if let Some(latest) = self.nodes.values().map(|node| node.at).max() {
            self.nodes.retain(|_, node| latest.duration_since(node.at) < REMEMBERED);
        }
        rows.into_iter().map(|(key, (counts, rates))| Row { key, counts, rates }).collect()
    }
}

fn rates(before: Option<&Counts>, now: &Counts, elapsed: Duration) -> Rates {
    let before = before.copied().unwrap_or_default();
    let arrived = now.messages - before.messages;
    let left = arrived - (now.depth - before.depth);
    // A queue that was emptied or made anew has counted backwards; nothing less than nothing leaves it.
    let a_second = |count: i64| count.max(0) as f64 / elapsed.as_secs_f64().max(SHORTEST_S);
    Rates { ingress: a_second(arrived), egress: a_second(left) }
}

/// What two answers are taken to be apart at least, in seconds.
const SHORTEST_S: f64 = 0.001;

impl Counts {
    fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.depth, other.depth),
            (&mut self.disk, other.disk),
            (&mut self.in_flight, other.in_flight),
            (&mut self.deferred, other.deferred),
            (&mut self.requeued, other.requeued),
            (&mut self.timed_out, other.timed_out),
            (&mut self.messages, other.messages),
            (&mut self.clients, other.clients),
            (&mut self.nodes, other.nodes),
            (&mut self.paused, other.paused),
        ] {
            // What servers say can be anything.
            *sum = sum.saturating_add(more);
        }
    }
}

impl Rates {
    fn add(&mut self, other: Self) {
        self.ingress += other.ingress;
        self.egress += other.egress;
    }
}

fn counts_of(stats: &Stats) -> (BTreeMap<Key, Counts>, BTreeSet<Key>) {
    let (mut counts, mut quiet) = (BTreeMap::new(), BTreeSet::new());
    for topic in stats.topics.iter().flatten() {
        let key = |channel: Option<&str>| Key {
            topic: topic.topic_name.clone(),
            channel: channel.map(str::to_owned),
        };
        for channel in &topic.channels {
            counts.insert(key(Some(&channel.channel_name)), of_channel(channel));
        }
        // The topic's own queue is of interest where something waits, or could.
        if !topic.channels.is_empty() && topic.depth <= 0 && !topic.paused {
            quiet.insert(key(None));
        }
        counts.insert(key(None), of_topic(topic));
    }
    (counts, quiet)
}

fn of_topic(topic: &TopicStats) -> Counts {
    Counts {
        depth: bounded(topic.depth),
        disk: bounded(topic.backend_depth),
        messages: signed(topic.message_count),
        nodes: 1,
        paused: topic.paused.into(),
        ..Counts::default()
    }
}

fn of_channel(channel: &ChannelStats) -> Counts {
    Counts {
        depth: bounded(channel.depth),
        disk: bounded(channel.backend_depth),
        in_flight: bounded(channel.in_flight_count),
        deferred: bounded(channel.deferred_count),
        requeued: signed(channel.requeue_count),
        timed_out: signed(channel.timeout_count),
        messages: signed(channel.message_count),
        clients: bounded(channel.client_count),
        nodes: 1,
        paused: channel.paused.into(),
    }
}

/// No count is larger than this: differences and sums of two stay numbers.
const COUNT_MAX: i64 = i64::MAX / 4;

fn bounded(count: i64) -> i64 {
    count.clamp(0, COUNT_MAX)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(COUNT_MAX).min(COUNT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(address: &str, at: Instant, start_time: i64, messages: u64, depth: i64) -> Sample {
        let channel = ChannelStats {
            channel_name: "c".to_owned(),
            depth,
            backend_depth: 1,
            message_count: messages,
            client_count: 2,
            ..ChannelStats::default()
        };
        let topic =
            TopicStats { topic_name: "t".to_owned(), channels: vec![channel], ..TopicStats::default() };
        let stats = Stats { start_time, topics: Some(vec![topic]), ..Stats::default() };
        Sample { address: address.to_owned(), at, stats }
    }

    fn rates(rows: &[Row]) -> Option<(f64, f64)> {
        rows[0].rates.map(|rates| (rates.ingress, rates.egress))
    }

    #[test]
    fn nsqd_are_added_up() {
        let now = Instant::now();
        let rows =
            Memory::default().handle_samples(vec![sample("a", now, 1, 10, 3), sample("b", now, 1, 5, 4)]);
        let counts = rows[0].counts;
        assert_eq!(
            (counts.messages, counts.depth, counts.disk, counts.clients, counts.nodes),
            (15, 7, 2, 4, 2)
        );
        assert_eq!(rates(&rows), None, "nothing is known of the time before");
    }

    #[test]
    fn rates_are_of_the_time_that_passed() {
        let start = Instant::now();
        let mut memory = Memory::default();
        memory.handle_samples(vec![sample("a", start, 1, 10, 3)]);
        let later = start + Duration::from_millis(2500);
        let rows = memory.handle_samples(vec![sample("a", later, 1, 35, 8)]);
        assert_eq!(rates(&rows), Some((10.0, 8.0)));
    }

    #[test]
    fn one_that_was_silent_is_measured_over_the_whole_time() {
        let start = Instant::now();
        let second = |count| start + Duration::from_secs(count);
        let mut memory = Memory::default();
        memory.handle_samples(vec![sample("a", start, 1, 0, 0), sample("b", start, 1, 0, 0)]);
        let rows = memory.handle_samples(vec![sample("a", second(1), 1, 10, 0)]);
        assert_eq!(rates(&rows), Some((10.0, 10.0)), "the silent one makes no rate negative");
        let rows = memory.handle_samples(vec![sample("b", second(4), 1, 8, 0)]);
        assert_eq!(rates(&rows), Some((2.0, 2.0)));
    }

    #[test]
    fn one_that_began_anew_has_no_rate_at_first() {
        let start = Instant::now();
        let mut memory = Memory::default();
        memory.handle_samples(vec![sample("a", start, 1, 1000, 0)]);
        let second = |count| start + Duration::from_secs(count);
        assert_eq!(rates(&memory.handle_samples(vec![sample("a", second(1), 2, 5, 0)])), None);
        assert_eq!(rates(&memory.handle_samples(vec![sample("a", second(2), 2, 8, 0)])), Some((3.0, 3.0)));
    }

    #[test]
    fn no_rate_is_negative() {
        let start = Instant::now();
        let mut memory = Memory::default();
        memory.handle_samples(vec![sample("a", start, 1, 10, 0)]);
        let later = start + Duration::from_secs(1);
        assert_eq!(rates(&memory.handle_samples(vec![sample("a", later, 1, 10, 6)])), Some((0.0, 0.0)));
    }

    #[test]
    fn the_topics_own_queue_has_a_row_where_something_waits_there() {
        let topic = |depth, paused, channels: &[&str]| {
            let channel =
                |name: &&str| ChannelStats { channel_name: (*name).to_owned(), ..ChannelStats::default() };
            let channels = channels.iter().map(channel).collect();
            let topic =
                TopicStats { topic_name: "t".to_owned(), channels, depth, paused, ..TopicStats::default() };
            let stats = Stats { topics: Some(vec![topic]), ..Stats::default() };
            let (counts, quiet) = counts_of(&stats);
            let shown = counts.into_keys().filter(|key| !quiet.contains(key));
            shown.map(|key| key.channel).collect::<Vec<_>>()
        };
        let own = None;
        let c = Some("c".to_owned());
        assert_eq!(topic(0, false, &[]), std::slice::from_ref(&own));
        assert_eq!(topic(0, false, &["c"]), std::slice::from_ref(&c));
        assert_eq!(topic(1, false, &["c"]), [own.clone(), c.clone()]);
        assert_eq!(topic(0, true, &["c"]), [own, c]);
    }

    #[test]
    fn a_topic_that_begins_to_hold_was_not_published_to_just_now() {
        let at = Instant::now();
        let topic = |depth| {
            let channel = ChannelStats { channel_name: "c".to_owned(), ..ChannelStats::default() };
            let topic = TopicStats {
                topic_name: "t".to_owned(),
                channels: vec![channel],
                depth,
                message_count: 50_000,
                ..TopicStats::default()
            };
            Stats { start_time: 1, topics: Some(vec![topic]), ..Stats::default() }
        };
        let sample = |at, depth| Sample { address: "a:1".to_owned(), at, stats: topic(depth) };
        let mut memory = Memory::default();
        assert_eq!(memory.handle_samples(vec![sample(at, 0)]).len(), 1, "the channel's row alone");
        let rows = memory.handle_samples(vec![sample(at + Duration::from_secs(1), 1)]);
        let own = rows.iter().find(|row| row.key.channel.is_none()).unwrap();
        assert_eq!(own.rates.unwrap().ingress, 0.0);
    }
}
