//! Is anything wrong? One row a channel, of what all nodes said last and of what was before. Pure: the sampler tells it
//! what it heard, and asks it for the picture.

mod oldest;
mod picture;
mod trouble;

use std::collections::BTreeMap;

use nsq::api::admin::{ChannelRow, NodeRow, Overview, Totals, Update};
use nsq::api::stats::Stats;

use self::oldest::{Oldest, has_only_grown};
use self::picture::{NodeState, Picture};
use self::trouble::Signs;
use crate::history::{History, Measure, Series, Subject};

/// Over how many seconds the rates of a row are taken.
const RATE_SECONDS: usize = 10;

/// How many depths a row can be given for its sparkline.
pub const SPARK_MAX: usize = 300;

/// What the nodes said, and what was.
#[derive(Debug, Default)]
pub struct Recorder {
    picture: Picture,
    history: History,
}

impl Recorder {
    /// Goes on with what was saved.
    #[must_use]
    pub fn new(history: History) -> Self {
        Self { picture: Picture::default(), history }
    }

    /// These are the nodes now: address, host, version.
    pub fn keep_nodes(&mut self, nodes: impl IntoIterator<Item = (String, String, String)>) {
        self.picture.keep(nodes);
    }

    /// A node answered.
    pub fn observe(&mut self, node: &str, now_ms: u64, stats: Stats) {
        self.picture.observe(node, now_ms, stats);
    }

    /// A node did not answer.
    pub fn failed(&mut self, node: &str, now_ms: u64, reason: String) {
        self.picture.failed(node, now_ms, reason);
    }

    /// Whether every node has answered or failed since it is known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.picture.is_complete()
    }

    /// Adds what is known now to the history.
    pub fn tick(&mut self, now_ms: u64, unix_s: i64) {
        self.history.push(unix_s, self.picture.numbers(now_ms));
    }

    /// What was.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Everything that is now, each row with so many depths for a sparkline.
    #[must_use]
    pub fn overview(&self, now_ms: u64, unix_ms: i64, spark: usize) -> Overview {
        let mut rows: BTreeMap<(&str, &str), Building<'_>> = BTreeMap::new();
        for (address, state) in self.picture.nodes() {
            let silent = state.silent_since(now_ms).map(|since| (address.as_str(), since / 1000));
            for (topic, of_topic) in &state.topics {
                for (channel, of_channel) in &of_topic.channels {
                    let building = rows.entry((topic, channel)).or_default();
                    building.add_channel(address, of_channel, of_topic, silent);
                }
            }
        }
        let topics = self.picture.topics();
        let (topic_count, channel_count) = (topics.len(), rows.len());
        let bare = topics.iter().filter(|(_, channels)| channels.is_empty()).map(|(topic, _)| *topic);
        for topic in bare {
            let building = rows.entry((topic, "")).or_default();
            for (address, state) in self.picture.nodes() {
                let Some(of_topic) = state.topics.get(topic) else { continue };
                let silent = state.silent_since(now_ms).map(|since| (address.as_str(), since / 1000));
                building.add(of_topic.depth, of_topic.oldest, silent);
                building.add_pauses(false, of_topic);
            }
        }
        let mut message_count = 0_u64;
        let mut channels: Vec<ChannelRow> = Vec::with_capacity(rows.len());
        for ((topic, channel), building) in rows {
            message_count = message_count.saturating_add(building.message_count);
            let oldest_age_ms = building.oldest.age_ms(now_ms);
            let row = self.row(topic, channel, building, spark);
            channels.push(ChannelRow { oldest_age_ms, ..row });
        }
        sort(&mut channels);
        let nodes: Vec<NodeRow> =
            self.picture.nodes().map(|(address, state)| self.node_row(address, state, now_ms)).collect();
        let cluster = self.history.series(&Subject::Cluster);
        let totals = Totals {
            nodes: nodes.len(),
            topics: topic_count,
            channels: channel_count,
            in_trouble: channels.iter().filter(|row| !row.trouble.is_empty()).count(),
            depth: nodes.iter().fold(0, |sum, node| sum.saturating_add(node.depth)),
            rate_in: rate(cluster, Measure::In),
            rate_out: rate(cluster, Measure::Out),
            message_count,
            without_history: self.history.left_out(),
        };
        Overview { at: unix_ms, totals, channels, nodes }
    }

    fn row(&self, topic: &str, channel: &str, building: Building<'_>, spark: usize) -> ChannelRow {
        let is_topic = channel.is_empty();
        let subject = match is_topic {
            true => Subject::Topic(topic.to_owned()),
            false => Subject::Channel(topic.to_owned(), channel.to_owned()),
        };
        let series = self.history.series(&subject);
        let mut row = building.row;
        row.topic = topic.to_owned();
        row.channel = (!is_topic).then(|| channel.to_owned());
        row.rate_in = rate(series, Measure::In);
        row.rate_out = rate(series, Measure::Out);
        let timed_out = series.and_then(|series| series.mean(Measure::TimedOut, 60));
        row.timeouts_per_min = timed_out.map(|rate| tenths(rate * 60.0));
        if let Some(series) = series.filter(|_| spark > 0) {
            let mut newest_first: Vec<_> =
                series.rings()[0].latest(Measure::Depth, spark.min(SPARK_MAX)).collect();
            newest_first.reverse();
            row.spark = newest_first;
        }
        let is_rising = series.is_some_and(Series::is_rising) && row.depth > 0;
        row.trouble = trouble::of(&row, Signs { is_rising, ..building.signs });
        row
    }

    fn node_row(&self, address: &str, state: &NodeState, now_ms: u64) -> NodeRow {
        let series = self.history.series(&Subject::Node(address.to_owned()));
        let silent_ms = state.silent_since(now_ms);
        let mut row = NodeRow {
            node: address.to_owned(),
            hostname: state.hostname.clone(),
            version: state.version.clone(),
            health: state.health.clone(),
            silent_ms: silent_ms.unwrap_or(0),
            reason: state.failing.as_ref().map(|(_, reason)| reason.clone()).unwrap_or_default(),
            topics: state.topics.len(),
            ..NodeRow::default()
        };
        if silent_ms.is_none() {
            row.rate_in = rate(series, Measure::In);
            row.rate_out = rate(series, Measure::Out);
        }
        for topic in state.topics.values() {
            row.depth = row.depth.saturating_add(topic.depth);
            row.channels += topic.channels.len();
            for channel in topic.channels.values() {
                row.depth = row.depth.saturating_add(channel.depth);
                row.clients = row.clients.saturating_add(channel.clients);
            }
        }
        row
    }
}

/// What changed from one overview to the next. That the oldest message grows older is no change.
#[must_use]
pub fn update(before: Option<&Overview>, now: &Overview) -> Update {
    let key = |row: &ChannelRow| (row.topic.clone(), row.channel.clone());
    let mut known: BTreeMap<_, &ChannelRow> =
        before.into_iter().flat_map(|before| &before.channels).map(|row| (key(row), row)).collect();
    let passed_ms = before.map_or(0, |before| now.at - before.at);
    let mut channels = Vec::new();
    for row in &now.channels {
        if known.remove(&key(row)).is_none_or(|before| !is_same(before, row, passed_ms)) {
            channels.push(row.clone());
        }
    }
    let gone = known.into_keys().collect();
    Update { at: now.at, totals: now.totals.clone(), channels, gone, nodes: now.nodes.clone() }
}

/// Whether a row says nothing new, `passed_ms` later.
fn is_same(before: &ChannelRow, now: &ChannelRow, passed_ms: i64) -> bool {
    let (was, is) = (before.oldest_age_ms, now.oldest_age_ms);
    has_only_grown(was, is, passed_ms)
        && if was == is { before == now } else { *before == ChannelRow { oldest_age_ms: was, ..now.clone() } }
}

/// A row while nodes are added to it.
#[derive(Debug, Default)]
struct Building<'a> {
    row: ChannelRow,
    oldest: Oldest,
    message_count: u64,
    /// All but whether it rises, which the history knows. Of the nodes that are silent, the one that is so longest.
    signs: Signs<'a>,
}

impl<'a> Building<'a> {
    fn add_channel(
        &mut self,
        node: &'a str,
        channel: &picture::ChannelState,
        topic: &picture::TopicState,
        silent: Option<(&'a str, u64)>,
    ) {
        self.add(channel.depth, channel.oldest, silent);
        self.add_pauses(channel.paused, topic);
        if topic.paused {
            self.signs.held = self.signs.held.saturating_add(topic.depth);
        }
        if channel.clients == 0 && channel.depth > self.signs.deserted.map_or(0, |(_, depth)| depth) {
            self.signs.deserted = Some((node, channel.depth));
        }
        let row = &mut self.row;
        row.in_flight = row.in_flight.saturating_add(channel.in_flight);
        row.deferred = row.deferred.saturating_add(channel.deferred);
        row.requeued = row.requeued.saturating_add(channel.requeue_count);
        row.timed_out = row.timed_out.saturating_add(channel.timeout_count);
        row.clients = row.clients.saturating_add(channel.clients);
        row.ready = row.ready.saturating_add(channel.ready);
        self.message_count = self.message_count.saturating_add(channel.message_count);
    }

    fn add(&mut self, depth: i64, oldest: Oldest, silent: Option<(&'a str, u64)>) {
        self.oldest = self.oldest.or(oldest);
        self.row.depth = self.row.depth.saturating_add(depth);
        self.row.nodes += 1;
        if silent.map(|(_, since)| since) > self.signs.silent.map(|(_, since)| since) {
            self.signs.silent = silent;
        }
    }

    fn add_pauses(&mut self, is_paused: bool, topic: &picture::TopicState) {
        self.row.paused |= is_paused;
        self.row.topic_paused |= topic.paused;
        self.signs.paused_on += usize::from(is_paused || topic.paused);
    }
}

impl NodeState {
    /// For how long it has not answered, in milliseconds; `None` when it does.
    fn silent_since(&self, now_ms: u64) -> Option<u64> {
        // The first failure counts from the last answer.
        let (failing_since, _) = self.failing.as_ref()?;
        Some(now_ms.saturating_sub(self.answered_ms.unwrap_or(*failing_since)))
    }
}

fn sort(rows: &mut [ChannelRow]) {
    rows.sort_by(|a, b| {
        let by_trouble = trouble::rank(&a.trouble).cmp(&trouble::rank(&b.trouble));
        let by_name = || (&a.topic, &a.channel).cmp(&(&b.topic, &b.channel));
        by_trouble.then(b.depth.cmp(&a.depth)).then_with(by_name)
    });
}

fn rate(series: Option<&Series>, measure: Measure) -> Option<f64> {
    series?.mean(measure, RATE_SECONDS).map(tenths)
}

/// To a tenth: more is noise, and would make each row another one each second.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use nsq::api::stats::{ChannelStats, ClientStats, TopicStats};

    fn channel(name: &str, depth: i64, ready: Option<i64>) -> ChannelStats {
        let client = |ready_count| ClientStats { ready_count, ..ClientStats::default() };
        let clients: Vec<ClientStats> = ready.into_iter().map(client).collect();
        ChannelStats {
            channel_name: name.to_owned(),
            depth,
            client_count: clients.len() as i64,
            clients: Some(clients),
            message_count: 10,
            ..ChannelStats::default()
        }
    }

    fn topic(name: &str, depth: i64, channels: Vec<ChannelStats>) -> TopicStats {
        TopicStats { topic_name: name.to_owned(), depth, channels, ..TopicStats::default() }
    }

    fn recorder(answers: Vec<(&str, Vec<TopicStats>)>) -> Recorder {
        let mut recorder = Recorder::default();
        let nodes = answers.iter().map(|(node, _)| ((*node).to_owned(), "h".to_owned(), String::new()));
        recorder.keep_nodes(nodes.collect::<Vec<_>>());
        assert!(!recorder.is_complete());
        for (node, topics) in answers {
            recorder.observe(node, 1_000, Stats { topics: Some(topics), ..Stats::default() });
        }
        assert!(recorder.is_complete());
        recorder.tick(1_000, 1_000_000);
        recorder
    }

    #[test]
    fn trouble_stands_first_and_nodes_are_added_up() {
        let quiet = || channel("quiet", 9_000, Some(1));
        let recorder = recorder(vec![
            ("a:1", vec![topic("t", 0, vec![quiet(), channel("left", 3, None)]), topic("bare", 2, vec![])]),
            ("b:1", vec![topic("t", 0, vec![quiet(), channel("stuck", 1, Some(0))])]),
        ]);
        let overview = recorder.overview(1_000, 5, 3);
        let rows: Vec<_> = overview
            .channels
            .iter()
            .map(|row| {
                let code = row.trouble.first().map_or("", |trouble| trouble.code.as_str());
                (row.topic.as_str(), row.channel.as_deref(), row.depth, row.nodes, code)
            })
            .collect();
        assert_eq!(
            rows,
            [
                ("bare", None, 2, 1, "no_channels"),
                ("t", Some("left"), 3, 1, "no_consumers"),
                ("t", Some("stuck"), 1, 1, "ready_zero"),
                ("t", Some("quiet"), 18_000, 2, ""),
            ]
        );
        assert_eq!(overview.channels[3].spark, [Some(18_000.0)]);
        let totals = &overview.totals;
        assert_eq!((totals.nodes, totals.topics, totals.channels, totals.in_trouble), (2, 2, 3, 3));
        assert_eq!((totals.depth, totals.message_count), (18_006, 40));
        assert_eq!(overview.nodes[0].depth, 9_005);
    }

    #[test]
    fn messages_that_wait_where_no_consumer_is_connected_are_trouble_though_another_node_has_one() {
        let recorder = recorder(vec![
            ("a:1", vec![topic("t", 0, vec![channel("c", 0, Some(1)), channel("d", 5, Some(1))])]),
            ("b:1", vec![topic("t", 0, vec![channel("c", 500, None), channel("d", 0, None)])]),
        ]);
        let overview = recorder.overview(1_000, 0, 0);
        let said =
            overview.channels.iter().map(|row| row.trouble.iter().map(|one| one.reason.as_str()).collect());
        let said: Vec<Vec<&str>> = said.collect();
        let expected = "500 messages wait on b:1, where no consumer is connected";
        assert_eq!(said, [vec![expected], vec![]]);
    }

    #[test]
    fn what_waits_in_a_paused_topic_is_said_of_its_channels() {
        let paused = TopicStats { paused: true, ..topic("t", 281, vec![channel("c", 0, Some(1))]) };
        let recorder = recorder(vec![
            ("a:1", vec![paused]),
            ("b:1", vec![topic("t", 0, vec![channel("c", 0, Some(1))])]),
        ]);
        let reason = recorder.overview(1_000, 0, 0).channels[0].trouble[0].reason.clone();
        assert_eq!(reason, "the topic is paused on 1 of 2 nodes; 281 messages wait in the topic");
    }

    #[test]
    fn a_silent_node_is_named() {
        let mut recorder = recorder(vec![("a:1", vec![topic("t", 0, vec![channel("c", 0, Some(1))])])]);
        recorder.failed("a:1", 4_000, "connection refused".to_owned());
        let overview = recorder.overview(8_000, 0, 0);
        let reason = &overview.channels[0].trouble[0].reason;
        assert_eq!(reason, "a:1 has not answered for 7 s; its last numbers are shown");
        assert_eq!(
            (overview.nodes[0].silent_ms, overview.nodes[0].reason.as_str()),
            (7_000, "connection refused")
        );
    }

    #[test]
    fn the_oldest_message_of_all_nodes_grows_older_and_that_is_no_change() {
        let aged = |oldest_age_ms| {
            let channel = ChannelStats { oldest_age_ms, ..channel("c", 1, Some(1)) };
            Stats { topics: Some(vec![topic("t", 0, vec![channel])]), ..Stats::default() }
        };
        let mut recorder = Recorder::default();
        recorder
            .keep_nodes(["a:1", "b:1", "old:1"].map(|node| (node.to_owned(), String::new(), String::new())));
        recorder.observe("a:1", 1_000, aged(Some(400)));
        recorder.observe("b:1", 1_000, aged(Some(90_000)));
        recorder.observe("old:1", 1_000, aged(None));
        let first = recorder.overview(1_000, 1_000, 0);
        assert_eq!(first.channels[0].oldest_age_ms, Some(90_000));
        recorder.observe("b:1", 2_000, aged(Some(91_020)));
        let second = recorder.overview(2_000, 2_000, 0);
        assert_eq!(second.channels[0].oldest_age_ms, Some(91_000));
        assert_eq!(update(Some(&first), &second).channels, []);
        // That one was finished: the other node's is the oldest now.
        recorder.observe("b:1", 3_000, aged(Some(0)));
        let third = recorder.overview(3_000, 3_000, 0);
        assert_eq!(third.channels[0].oldest_age_ms, Some(2_400));
        assert_eq!(update(Some(&second), &third).channels, third.channels);
    }

    #[test]
    fn an_update_holds_what_changed() {
        let one = |depth| {
            let channels = vec![channel("a", depth, Some(1)), channel("b", 0, Some(1))];
            recorder(vec![("n:1", vec![topic("t", 0, channels)])]).overview(1_000, 0, 0)
        };
        let names = |update: &Update| -> Vec<String> {
            update.channels.iter().filter_map(|row| row.channel.clone()).collect()
        };
        assert_eq!(names(&update(None, &one(0))), ["a", "b"]);
        assert_eq!(names(&update(Some(&one(0)), &one(0))), Vec::<String>::new());
        assert_eq!(names(&update(Some(&one(0)), &one(7))), ["a"]);
        let gone = update(Some(&one(0)), &Overview::default()).gone;
        assert_eq!(gone.len(), 2);
        assert_eq!(gone[0], ("t".to_owned(), Some("a".to_owned())));
    }
}
