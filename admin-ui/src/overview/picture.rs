//! What each node said last, and how fast its counters move. Pure: times come in as milliseconds of some clock.

use std::collections::{BTreeMap, BTreeSet};

use nsq::api::stats::{ChannelStats, Stats, TopicStats};

use super::oldest::Oldest;
use crate::history::{MEASURES, Subject};
use crate::shown::shown;

/// How long a node's rates count without a new answer, in milliseconds; or as long as three answers of it take.
const FRESH_MS: u64 = 10_000;
const FRESH_ANSWERS: u64 = 3;

/// How long before a node's last answer something must have moved on it to count as used, in milliseconds.
const USED_MS: u64 = 60_000;

/// Of what is counted, only the last minute is told.
const MINUTE_S: f64 = 60.0;

/// No node started then.
const UNKNOWN_START: i64 = i64::MIN;

/// All nodes.
#[derive(Debug, Default)]
pub(super) struct Picture {
    nodes: BTreeMap<String, NodeState>,
}

/// A node, as it was when it last answered.
#[derive(Debug, Default)]
pub(super) struct NodeState {
    /// What it calls its host.
    pub(super) hostname: String,
    /// The version of NSQ it behaves as.
    pub(super) version: String,
    /// What it says of itself.
    pub(super) health: String,
    /// When it last answered; `None` if it never did.
    pub(super) answered_ms: Option<u64>,
    /// Since when it does not answer, and why; `None` when it does.
    pub(super) failing: Option<(u64, String)>,
    /// Its topics, by name.
    pub(super) topics: BTreeMap<String, TopicState>,
    started_s: i64,
    /// From the answer before the last to the last, if it did not fail between them.
    between_ms: u64,
}

/// A topic of a node.
#[derive(Debug, Default)]
pub(super) struct TopicState {
    /// Messages that wait for a channel.
    pub(super) depth: i64,
    /// The oldest of them.
    pub(super) oldest: Oldest,
    /// Whether it is paused.
    pub(super) paused: bool,
    /// Messages published, a second.
    pub(super) rate_in: Option<f64>,
    /// Messages handed to the channels, a second.
    pub(super) rate_out: Option<f64>,
    /// Its channels, by name.
    pub(super) channels: BTreeMap<String, ChannelState>,
    message_count: u64,
    /// When messages last came or went.
    moved_ms: Option<u64>,
}

/// A channel of a node.
#[derive(Debug, Default)]
pub(super) struct ChannelState {
    /// Messages that wait.
    pub(super) depth: i64,
    /// The oldest that waits or that consumers have.
    pub(super) oldest: Oldest,
    /// Messages that consumers have.
    pub(super) in_flight: i64,
    /// Messages whose delay has not passed.
    pub(super) deferred: i64,
    /// Messages it got.
    pub(super) message_count: u64,
    /// Messages that consumers put back.
    pub(super) requeue_count: u64,
    /// Messages whose consumer took too long.
    pub(super) timeout_count: u64,
    /// Connections of consumers.
    pub(super) clients: i64,
    /// The ready counts of all of them.
    pub(super) ready: i64,
    /// Whether it is paused.
    pub(super) paused: bool,
    /// Since when messages wait while consumers are connected, all with RDY 0.
    pub(super) unready_ms: Option<u64>,
    /// How fast that moves.
    pub(super) rates: ChannelRates,
    /// When messages last came or went.
    moved_ms: Option<u64>,
    /// Messages of the last minute whose consumer took too long, as far as nobody has taken the number away yet; `None` where
    /// none is known.
    timed_out: Option<f64>,
}

/// What is known of something at a time.
#[derive(Debug)]
pub(super) struct Numbers {
    /// Of what.
    pub(super) subject: Subject,
    /// What the history keeps.
    pub(super) measures: [Option<f64>; MEASURES],
    /// How many messages of a channel timed out since that was last asked; `None` where nothing is known, and of all else.
    pub(super) timed_out: Option<f64>,
}

/// Messages a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct ChannelRates {
    /// That came.
    pub(super) into: Option<f64>,
    /// That went: were finished, or dropped.
    pub(super) out: Option<f64>,
    /// That were put back.
    pub(super) requeued: Option<f64>,
    /// Whose consumer took too long.
    pub(super) timed_out: Option<f64>,
}

impl Picture {
    /// These are the nodes now; others are forgotten. A host or version that is not given is as it was.
    pub(super) fn keep(&mut self, nodes: impl IntoIterator<Item = (String, String, String)>) {
        let mut known = std::mem::take(&mut self.nodes);
        for (address, hostname, version) in nodes {
            let state = known.remove(&address).unwrap_or_default();
            let or_before =
                |now: String, before: &str| if now.is_empty() { before.to_owned() } else { shown(now) };
            let hostname = or_before(hostname, &state.hostname);
            let version = or_before(version, &state.version);
            self.nodes.insert(address, NodeState { hostname, version, ..state });
        }
    }

    /// A node answered. One that is not known any more is not listened to.
    pub(super) fn observe(&mut self, node: &str, now_ms: u64, stats: Stats) {
        let Some(state) = self.nodes.get_mut(node) else { return };
        let is_same_run = state.started_s == stats.start_time;
        let passed = state.answered_ms.filter(|_| is_same_run).map(|before| now_ms.saturating_sub(before));
        // Milliseconds between two answers are exact as a float.
        let seconds = passed.filter(|passed| *passed > 0).map(|passed| passed as f64 / 1000.0);
        let mut before = std::mem::take(&mut state.topics);
        for topic in stats.topics.into_iter().flatten() {
            let name = topic.topic_name.clone();
            let known = before.remove(&name).unwrap_or_default();
            let since =
                Since { now_ms, seconds: seconds.filter(|_| known.message_count <= topic.message_count) };
            state.topics.insert(name, topic_state(known, topic, since));
        }
        state.started_s = stats.start_time;
        state.health = shown(stats.health);
        let answered_ms = state.answered_ms.filter(|_| state.failing.is_none());
        state.between_ms = answered_ms.map_or(0, |before| now_ms.saturating_sub(before));
        state.answered_ms = Some(now_ms);
        state.failing = None;
    }

    /// A node did not answer; whether it had, or never was asked before.
    pub(super) fn failed(&mut self, node: &str, now_ms: u64, reason: String) -> bool {
        let Some(state) = self.nodes.get_mut(node) else { return false };
        let before = state.failing.take();
        let is_new = before.is_none();
        let since = before.map_or(now_ms, |(since, _)| since);
        state.failing = Some((since, reason));
        is_new
    }

    /// The nodes that never answered, and why not.
    pub(super) fn unheard(&self) -> impl Iterator<Item = (&str, &str)> {
        let unheard = self.nodes.iter().filter(|(_, state)| state.answered_ms.is_none());
        unheard.filter_map(|(node, state)| Some((node.as_str(), state.failing.as_ref()?.1.as_str())))
    }

    /// Nobody knows how much time passes until the next answers: they cannot be compared with the last.
    pub(super) fn interrupt(&mut self) {
        self.nodes.values_mut().for_each(|state| state.started_s = UNKNOWN_START);
    }

    /// The nodes, by address.
    pub(super) fn nodes(&self) -> impl ExactSizeIterator<Item = (&String, &NodeState)> {
        self.nodes.iter()
    }

    /// Whether every node has answered or failed since it is known.
    #[must_use]
    pub(super) fn is_complete(&self) -> bool {
        self.nodes.values().all(|state| state.answered_ms.is_some() || state.failing.is_some())
    }

    /// All topics, by name, and their channels.
    #[must_use]
    pub(super) fn topics(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut topics: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, topic) in self.nodes.values().flat_map(|state| &state.topics) {
            topics.entry(name).or_default().extend(topic.channels.keys().map(String::as_str));
        }
        topics
    }

    /// The numbers of this moment: of the cluster, nodes, channels, and then of topics, which the history can do without first.
    /// What is counted is taken away.
    #[must_use]
    pub(super) fn take_numbers(&mut self, now_ms: u64) -> Vec<Numbers> {
        let mut cluster = Sum::default();
        let mut topics: BTreeMap<&str, Sum> = BTreeMap::new();
        let mut channels: BTreeMap<(&str, &str), Sum> = BTreeMap::new();
        let mut numbers = Vec::new();
        for (address, state) in &mut self.nodes {
            let is_fresh = state.is_fresh(now_ms);
            let mut of_node = Sum::default();
            for (name, topic) in &mut state.topics {
                let of_topic = topics.entry(name).or_default();
                of_topic.add(is_fresh, topic.depth, 0, [topic.rate_in, topic.rate_out, None, None]);
                of_node.add(is_fresh, topic.depth, 0, [topic.rate_in, None, None, None]);
                for (channel_name, channel) in &mut topic.channels {
                    let ChannelRates { into, out, requeued, timed_out } = channel.rates;
                    let (depth, in_flight) = (channel.depth, channel.in_flight);
                    let of_channel = channels.entry((name, channel_name)).or_default();
                    of_channel.add(is_fresh, depth, in_flight, [into, out, requeued, timed_out]);
                    of_channel.timed_out = added(of_channel.timed_out, channel.timed_out.take());
                    of_topic.add(is_fresh, 0, in_flight, [None, None, requeued, timed_out]);
                    of_node.add(is_fresh, depth, in_flight, [None, out, requeued, timed_out]);
                }
            }
            cluster.join(&of_node);
            let mut own = of_node.numbers(Subject::Node(address.clone()));
            if !is_fresh {
                own.measures = [None; MEASURES];
            }
            numbers.push(own);
        }
        numbers.insert(0, cluster.numbers(Subject::Cluster));
        let channel = |((topic, name), sum): ((&str, &str), Sum)| {
            sum.numbers(Subject::Channel(topic.to_owned(), name.to_owned()))
        };
        numbers.extend(channels.into_iter().map(channel));
        numbers.extend(topics.into_iter().map(|(name, sum)| sum.numbers(Subject::Topic(name.to_owned()))));
        numbers
    }
}

impl NodeState {
    /// Whether what it said last is of now.
    #[must_use]
    pub(super) fn is_fresh(&self, now_ms: u64) -> bool {
        let fresh_ms = FRESH_MS.max(self.between_ms.saturating_mul(FRESH_ANSWERS));
        self.failing.is_none()
            && self.answered_ms.is_some_and(|answered| now_ms.saturating_sub(answered) <= fresh_ms)
    }

    fn was_moving(&self, moved_ms: Option<u64>) -> bool {
        let answered_ms = self.answered_ms.unwrap_or(0);
        moved_ms.is_some_and(|moved_ms| answered_ms.saturating_sub(moved_ms) <= USED_MS)
    }

    /// Whether a topic of it had anything to do when it last answered.
    #[must_use]
    pub(super) fn uses_topic(&self, topic: &TopicState) -> bool {
        topic.depth > 0 || self.was_moving(topic.moved_ms)
    }

    /// Whether a channel of it had anything to do when it last answered.
    #[must_use]
    pub(super) fn uses_channel(&self, channel: &ChannelState) -> bool {
        channel.held() > 0 || self.was_moving(channel.moved_ms)
    }
}

impl ChannelState {
    /// Messages that it has, whatever becomes of them.
    fn held(&self) -> i64 {
        self.depth.saturating_add(self.in_flight).saturating_add(self.deferred)
    }
}

/// When an answer came, and how long after the one before.
#[derive(Clone, Copy)]
struct Since {
    now_ms: u64,
    /// `None` if the two cannot be compared.
    seconds: Option<f64>,
}

impl Since {
    /// How fast a counter moved. Counts are far below what a float holds exactly.
    fn rate(self, before: u64, now: u64) -> Option<f64> {
        Some(now.checked_sub(before)? as f64 / self.seconds?)
    }

    /// How far a counter moved in the last minute: its share of a longer time.
    fn of_last_minute(self, before: u64, now: u64) -> Option<f64> {
        let seconds = self.seconds?;
        Some(now.checked_sub(before)? as f64 * (MINUTE_S / seconds).min(1.0))
    }

    /// How fast what was there went away, when so many came.
    fn rate_out(self, before: i64, came: u64, now: i64) -> Option<f64> {
        let went = before as f64 + came as f64 - now as f64;
        Some(went.max(0.0) / self.seconds?)
    }
}

fn topic_state(before: TopicState, now: TopicStats, since: Since) -> TopicState {
    let came = now.message_count.saturating_sub(before.message_count);
    let has_moved = since.seconds.is_some() && (came > 0 || now.depth != before.depth);
    let mut known = before.channels;
    let channels = now.channels.into_iter().map(|channel| {
        let before = known.remove(&channel.channel_name);
        let name = channel.channel_name.clone();
        (name, channel_state(before, channel, since))
    });
    TopicState {
        channels: channels.collect(),
        depth: now.depth,
        oldest: before.oldest.heard(now.oldest_age_ms, since.now_ms),
        paused: now.paused,
        rate_in: since.rate(before.message_count, now.message_count),
        rate_out: since.rate_out(before.depth, came, now.depth),
        message_count: now.message_count,
        moved_ms: if has_moved { Some(since.now_ms) } else { before.moved_ms },
    }
}

fn channel_state(before: Option<ChannelState>, now: ChannelStats, since: Since) -> ChannelState {
    let clients = now.clients.as_deref().unwrap_or_default();
    // Where consumers are not told of, nothing is said against them.
    let ready = match now.clients {
        Some(_) => clients.iter().fold(0, |sum: i64, client| sum.saturating_add(client.ready_count)),
        None => i64::from(now.client_count > 0),
    };
    // Old nodes do not count them.
    let connected = i64::try_from(clients.len()).unwrap_or(i64::MAX);
    let mut state = ChannelState {
        depth: now.depth,
        oldest: Oldest::default().heard(now.oldest_age_ms, since.now_ms),
        in_flight: now.in_flight_count,
        deferred: now.deferred_count,
        message_count: now.message_count,
        requeue_count: now.requeue_count,
        timeout_count: now.timeout_count,
        clients: now.client_count.max(connected),
        ready,
        paused: now.paused,
        ..ChannelState::default()
    };
    if state.depth > 0 && state.clients > 0 && ready == 0 {
        state.unready_ms = before.as_ref().and_then(|before| before.unready_ms).or(Some(since.now_ms));
    }
    if let Some(before) = before {
        let came = now.message_count.checked_sub(before.message_count);
        state.oldest = before.oldest.heard(now.oldest_age_ms, since.now_ms);
        state.rates = ChannelRates {
            into: since.rate(before.message_count, now.message_count),
            out: came.and_then(|came| since.rate_out(before.held(), came, state.held())),
            requeued: since.rate(before.requeue_count, now.requeue_count),
            timed_out: since.rate(before.timeout_count, now.timeout_count),
        };
        let timed_out = since.of_last_minute(before.timeout_count, now.timeout_count);
        state.timed_out = added(before.timed_out, timed_out);
        let has_moved = came != Some(0) || before.held() != state.held();
        state.moved_ms = if has_moved { Some(since.now_ms) } else { before.moved_ms };
    }
    state
}

/// Numbers of several, added up.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    depth: f64,
    in_flight: f64,
    /// In, out, requeued, timed out.
    rates: [Option<f64>; 4],
    /// Not how fast, but how many.
    timed_out: Option<f64>,
}

impl Sum {
    fn add(&mut self, is_fresh: bool, depth: i64, in_flight: i64, rates: [Option<f64>; 4]) {
        self.depth += depth as f64;
        self.in_flight += in_flight as f64;
        if is_fresh {
            self.add_rates(rates);
        }
    }

    fn join(&mut self, other: &Self) {
        self.depth += other.depth;
        self.in_flight += other.in_flight;
        self.add_rates(other.rates);
    }

    fn add_rates(&mut self, rates: [Option<f64>; 4]) {
        for (sum, rate) in self.rates.iter_mut().zip(rates) {
            *sum = added(*sum, rate);
        }
    }

    fn numbers(&self, subject: Subject) -> Numbers {
        let [into, out, requeued, timed_out] = self.rates;
        let measures = [Some(self.depth), Some(self.in_flight), into, out, requeued, timed_out];
        Numbers { subject, measures, timed_out: self.timed_out }
    }
}

/// Both together, as far as they are known.
fn added(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Measure;

    fn stats(start_time: i64, published: u64, channel: ChannelStats) -> Stats {
        let topic = TopicStats {
            topic_name: "t".to_owned(),
            message_count: published,
            channels: vec![ChannelStats { channel_name: "c".to_owned(), ..channel }],
            ..TopicStats::default()
        };
        Stats { start_time, topics: Some(vec![topic]), ..Stats::default() }
    }

    fn channel(message_count: u64, depth: i64, in_flight_count: i64) -> ChannelStats {
        ChannelStats { message_count, depth, in_flight_count, ..ChannelStats::default() }
    }

    fn picture(nodes: &[&str]) -> Picture {
        let mut picture = Picture::default();
        picture.keep(nodes.iter().map(|node| ((*node).to_owned(), String::new(), String::new())));
        picture
    }

    fn number(picture: &mut Picture, now_ms: u64, subject: &Subject, measure: Measure) -> Option<f64> {
        let numbers = picture.take_numbers(now_ms);
        numbers.iter().find(|one| one.subject == *subject).unwrap().measures[measure as usize]
    }

    fn of_channel() -> Subject {
        Subject::Channel("t".to_owned(), "c".to_owned())
    }

    #[test]
    fn rates_come_of_two_answers_of_one_run() {
        let mut picture = picture(&["n:1"]);
        picture.observe("n:1", 1_000, stats(1, 100, channel(100, 50, 5)));
        assert_eq!(number(&mut picture, 1_000, &of_channel(), Measure::In), None);
        assert_eq!(number(&mut picture, 1_000, &of_channel(), Measure::Depth), Some(50.0));
        // In two seconds 40 came, and 60 went: 55 + 40 - 35.
        picture.observe("n:1", 3_000, stats(1, 140, channel(140, 30, 5)));
        assert_eq!(number(&mut picture, 3_000, &of_channel(), Measure::In), Some(20.0));
        assert_eq!(number(&mut picture, 3_000, &of_channel(), Measure::Out), Some(30.0));
        assert_eq!(number(&mut picture, 3_000, &Subject::Topic("t".to_owned()), Measure::In), Some(20.0));
        assert_eq!(number(&mut picture, 3_000, &Subject::Cluster, Measure::Out), Some(30.0));
        // Another run counts from 0.
        picture.observe("n:1", 4_000, stats(2, 10, channel(10, 1, 0)));
        assert_eq!(number(&mut picture, 4_000, &of_channel(), Measure::In), None);
        picture.observe("n:1", 5_000, stats(2, 11, channel(11, 1, 0)));
        assert_eq!(number(&mut picture, 5_000, &of_channel(), Measure::In), Some(1.0));
        // So does one whose counters went back, whatever it says.
        picture.observe("n:1", 6_000, stats(2, 3, channel(3, 0, 0)));
        assert_eq!(number(&mut picture, 6_000, &of_channel(), Measure::In), None);
    }

    #[test]
    fn rates_of_a_node_that_is_asked_seldom_count_as_long() {
        let mut picture = picture(&["n:1"]);
        for (now_ms, count) in [(0, 0), (15_000, 150)] {
            picture.observe("n:1", now_ms, stats(1, count, channel(count, 0, 0)));
        }
        assert_eq!(number(&mut picture, 30_001, &of_channel(), Measure::In), Some(10.0));
        assert_eq!(number(&mut picture, 60_001, &of_channel(), Measure::In), None);
    }

    #[test]
    fn what_timed_out_is_counted_and_not_reckoned() {
        let mut picture = picture(&["n:1"]);
        let observe = |picture: &mut Picture, now_ms, timeout_count| {
            picture.observe("n:1", now_ms, stats(1, 0, ChannelStats { timeout_count, ..channel(0, 0, 0) }));
        };
        let taken = |picture: &mut Picture, now_ms| {
            let numbers = picture.take_numbers(now_ms);
            numbers.iter().find(|one| one.subject == of_channel()).unwrap().timed_out
        };
        observe(&mut picture, 1_000, 100);
        assert_eq!(taken(&mut picture, 1_000), None);
        observe(&mut picture, 2_000, 110);
        assert_eq!(taken(&mut picture, 2_500), Some(10.0));
        // Ticks without an answer between them count nothing twice.
        assert_eq!(taken(&mut picture, 3_500), None);
        // Two answers between two ticks count both, and what came while the node was away counts whole.
        observe(&mut picture, 11_000, 113);
        picture.failed("n:1", 12_000, "gone".to_owned());
        observe(&mut picture, 41_000, 125);
        assert_eq!(taken(&mut picture, 41_500), Some(15.0));
        // Of five minutes one is the last.
        observe(&mut picture, 341_000, 135);
        assert_eq!(taken(&mut picture, 341_500), Some(2.0));
    }

    #[test]
    fn channels_have_room_in_the_history_before_topics() {
        let mut picture = picture(&["n:1"]);
        picture.observe("n:1", 0, stats(1, 0, channel(0, 0, 0)));
        let subjects: Vec<Subject> =
            picture.take_numbers(0).into_iter().map(|numbers| numbers.subject).collect();
        let topic = Subject::Topic("t".to_owned());
        assert_eq!(subjects, [Subject::Cluster, Subject::Node("n:1".to_owned()), of_channel(), topic]);
    }

    #[test]
    fn a_silent_node_keeps_its_depth_and_loses_its_rates() {
        let mut picture = picture(&["a:1", "b:1"]);
        for (node, now_ms) in [("a:1", 1_000), ("b:1", 1_000), ("a:1", 2_000), ("b:1", 2_000)] {
            let count = now_ms / 100;
            picture.observe(node, now_ms, stats(1, count, channel(count, 5, 0)));
        }
        assert_eq!(number(&mut picture, 2_000, &of_channel(), Measure::In), Some(20.0));
        picture.failed("b:1", 3_000, "gone".to_owned());
        picture.failed("b:1", 4_000, "gone".to_owned());
        assert_eq!(number(&mut picture, 4_000, &of_channel(), Measure::In), Some(10.0));
        assert_eq!(number(&mut picture, 4_000, &of_channel(), Measure::Depth), Some(10.0));
        assert_eq!(number(&mut picture, 4_000, &Subject::Node("b:1".to_owned()), Measure::Depth), None);
        let failing = picture.nodes().last().unwrap().1.failing.clone();
        assert_eq!(failing, Some((3_000, "gone".to_owned())));
        picture.keep([("a:1".to_owned(), String::new(), String::new())]);
        assert_eq!(number(&mut picture, 4_000, &of_channel(), Measure::Depth), Some(5.0));
    }
}
