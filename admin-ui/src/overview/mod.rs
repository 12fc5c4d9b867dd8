//! Is anything wrong? One row a channel, of what all nodes said last and of what was before. Pure: the sampler tells it
//! what it heard, and asks it for the picture.

mod oldest;
mod picture;
mod recent;
mod trouble;

use std::collections::BTreeMap;

use nsq::api::admin::{ChannelRow, NodeRow, Overview, Totals, Update};
use nsq::api::stats::Stats;

use self::oldest::{Oldest, has_only_grown};
use self::picture::{ChannelState, NodeState, Numbers, Picture, TopicState};
use self::recent::Recent;
use self::trouble::Signs;
use crate::history::{History, Measure, Subject};

/// How many depths a row can be given for its sparkline.
pub const SPARK_MAX: usize = 300;

/// For how long consumers must have RDY 0 on one of several nodes to count as stuck there, in milliseconds: where there are
/// fewer messages to be had at a time than nodes, a consumer turns from one to the next.
const UNREADY_MS: u64 = 60_000;

/// By how much the date may gain on the clock that is never set, in milliseconds. That stands still while the machine sleeps.
const SLEEP_MS: i64 = 2_000;

/// What the nodes said, and what was.
#[derive(Debug, Default)]
pub struct Recorder {
    picture: Picture,
    /// Of all that the picture has.
    recent: BTreeMap<Subject, Recent>,
    history: History,
    /// When the history was last added to, in Unix seconds.
    ticked_s: i64,
    /// By how much the date was ahead of the clock that is never set, then.
    ahead_ms: Option<i64>,
}

impl Recorder {
    /// Goes on with what was saved.
    #[must_use]
    pub fn new(history: History) -> Self {
        Self { history, ..Self::default() }
    }

    /// These are the nodes now: address, host, version.
    pub fn keep_nodes(&mut self, nodes: impl IntoIterator<Item = (String, String, String)>) {
        self.picture.keep(nodes);
    }

    /// A node answered.
    pub fn observe(&mut self, node: &str, now_ms: u64, stats: Stats) {
        self.picture.observe(node, now_ms, stats);
    }

    /// A node did not answer; whether it had, or never was asked before.
    pub fn failed(&mut self, node: &str, now_ms: u64, reason: String) -> bool {
        self.picture.failed(node, now_ms, reason)
    }

    /// The nodes that never answered, and why not: nothing else tells of them.
    pub fn unheard(&self) -> impl Iterator<Item = (&str, &str)> {
        self.picture.unheard()
    }

    /// Whether every node has answered or failed since it is known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.picture.is_complete()
    }

    /// Adds what is known now to what was.
    pub fn tick(&mut self, now_ms: u64, unix_ms: i64) {
        let ahead_ms = unix_ms.saturating_sub(i64::try_from(now_ms).unwrap_or(i64::MAX));
        if self.ahead_ms.is_some_and(|before| ahead_ms.saturating_sub(before) > SLEEP_MS) {
            self.picture.interrupt();
        }
        self.ahead_ms = Some(ahead_ms);
        let unix_s = unix_ms.div_euclid(1000);
        let numbers = self.picture.take_numbers(now_ms);
        for Numbers { subject, measures, timed_out } in &numbers {
            match self.recent.get_mut(subject) {
                Some(recent) => recent.push(now_ms, measures, *timed_out),
                None => {
                    let mut recent = Recent::new(now_ms);
                    recent.push(now_ms, measures, *timed_out);
                    self.recent.insert(subject.clone(), recent);
                }
            }
        }
        self.recent.retain(|_, recent| recent.newest_ms() == now_ms);
        self.history.push(unix_s, numbers.into_iter().map(|numbers| (numbers.subject, numbers.measures)));
        self.ticked_s = unix_s;
    }

    /// What was.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Everything that is now, each row with so many depths for a sparkline.
    #[must_use]
    pub fn overview(&self, now_ms: u64, unix_ms: i64, spark: usize) -> Overview {
        let topics = self.picture.topics();
        let mut rows = self.rows_of_channels(now_ms);
        let channel_count = rows.len();
        for (topic, channels) in &topics {
            let row = self.row_of_topic(topic, now_ms);
            // What waits in a topic that has channels on its node goes to them at once, unless it is paused.
            if channels.is_empty() || !row.signs.bare.is_empty() || row.row.topic_paused && row.row.depth > 0
            {
                rows.insert((topic, ""), row);
            }
        }
        let mut message_count = 0_u64;
        let mut channels: Vec<ChannelRow> = Vec::with_capacity(rows.len());
        for ((topic, channel), building) in rows {
            message_count = message_count.saturating_add(building.message_count);
            channels.push(self.row(topic, channel, building, now_ms));
        }
        sort(&mut channels);
        let nodes: Vec<NodeRow> =
            self.picture.nodes().map(|(address, state)| self.node_row(address, state, now_ms)).collect();
        let cluster = self.recent.get(&Subject::Cluster);
        let totals = Totals {
            nodes: nodes.len(),
            topics: topics.len(),
            channels: channel_count,
            in_trouble: channels.iter().filter(|row| trouble::is_loud(&row.trouble)).count(),
            depth: nodes.iter().fold(0, |sum, node| sum.saturating_add(node.depth)),
            rate_in: cluster.and_then(Recent::rate_in),
            rate_out: cluster.and_then(Recent::rate_out),
            message_count,
            without_history: self.history.left_out(),
        };
        let mut overview = Overview { at: unix_ms, totals, channels, nodes };
        self.add_sparks(&mut overview, spark);
        overview
    }

    /// Gives each row so many depths for a sparkline.
    pub fn add_sparks(&self, overview: &mut Overview, count: usize) {
        for row in overview.channels.iter_mut().filter(|_| count > 0) {
            let series =
                self.history.series(&subject(&row.topic, row.channel.as_deref().unwrap_or_default()));
            let Some(series) = series else { continue };
            let ring = &series.rings()[0];
            row.spark = ring.latest(Measure::Depth, count.min(SPARK_MAX), self.ticked_s).collect();
            row.spark.reverse();
        }
    }

    fn rows_of_channels(&self, now_ms: u64) -> BTreeMap<(&str, &str), Building<'_>> {
        let mut rows: BTreeMap<(&str, &str), Building<'_>> = BTreeMap::new();
        for (address, state) in self.picture.nodes() {
            let silent_s = state.silent_since(now_ms).map(|since| since / 1000);
            let heard_ms = state.answered_ms.unwrap_or(0);
            for (topic, of_topic) in &state.topics {
                for (channel, of_channel) in &of_topic.channels {
                    let building = rows.entry((topic, channel)).or_default();
                    building.add_channel(address, of_channel, of_topic.paused, heard_ms);
                    if state.uses_channel(of_channel) {
                        building.add_silence(address, silent_s);
                    }
                }
            }
        }
        rows
    }

    fn row_of_topic(&self, topic: &str, now_ms: u64) -> Building<'_> {
        let mut building = Building::default();
        for (address, state) in self.picture.nodes() {
            let Some(of_topic) = state.topics.get(topic) else { continue };
            building.add_topic(address, of_topic);
            if state.uses_topic(of_topic) {
                building.add_silence(address, state.silent_since(now_ms).map(|since| since / 1000));
            }
        }
        building
    }

    fn row(&self, topic: &str, channel: &str, building: Building<'_>, now_ms: u64) -> ChannelRow {
        let recent = self.recent.get(&subject(topic, channel));
        let Building { mut row, oldest, mut signs, .. } = building;
        row.topic = topic.to_owned();
        row.channel = (!channel.is_empty()).then(|| channel.to_owned());
        row.oldest_age_ms = oldest.unwrap_or_default().age_ms(now_ms);
        row.rate_in = recent.and_then(Recent::rate_in);
        row.rate_out = recent.and_then(Recent::rate_out);
        row.timeouts_per_min = recent.and_then(Recent::timeouts_per_min);
        signs.is_rising = recent.is_some_and(Recent::is_rising) && row.depth > 0;
        row.trouble = trouble::of(&row, signs);
        row
    }

    fn node_row(&self, address: &str, state: &NodeState, now_ms: u64) -> NodeRow {
        let recent = self.recent.get(&Subject::Node(address.to_owned()));
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
            row.rate_in = recent.and_then(Recent::rate_in);
            row.rate_out = recent.and_then(Recent::rate_out);
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

/// What a row is about; its channel is empty where there is none.
fn subject(topic: &str, channel: &str) -> Subject {
    match channel.is_empty() {
        true => Subject::Topic(topic.to_owned()),
        false => Subject::Channel(topic.to_owned(), channel.to_owned()),
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
    /// Of the nodes so far; `None` before the first.
    oldest: Option<Oldest>,
    message_count: u64,
    signs: Signs<'a>,
}

impl<'a> Building<'a> {
    fn add_channel(&mut self, node: &'a str, channel: &ChannelState, topic_paused: bool, heard_ms: u64) {
        self.add(channel.depth, channel.oldest, topic_paused);
        let row = &mut self.row;
        row.in_flight = row.in_flight.saturating_add(channel.in_flight);
        row.deferred = row.deferred.saturating_add(channel.deferred);
        row.requeued = row.requeued.saturating_add(channel.requeue_count);
        row.timed_out = row.timed_out.saturating_add(channel.timeout_count);
        row.clients = row.clients.saturating_add(channel.clients);
        row.ready = row.ready.saturating_add(channel.ready);
        row.paused |= channel.paused;
        self.message_count = self.message_count.saturating_add(channel.message_count);
        self.signs.paused_on += usize::from(channel.paused);
        if channel.depth > 0 && channel.clients == 0 {
            self.signs.left.add(node, channel.depth);
        }
        if channel.unready_ms.is_some_and(|since| heard_ms.saturating_sub(since) >= UNREADY_MS) {
            self.signs.unready.add(node, channel.depth);
        }
    }

    fn add_topic(&mut self, node: &'a str, topic: &TopicState) {
        self.add(topic.depth, topic.oldest, topic.paused);
        self.signs.has_channels |= !topic.channels.is_empty();
        if topic.depth > 0 && topic.channels.is_empty() && !topic.paused {
            self.signs.bare.add(node, topic.depth);
        }
    }

    fn add(&mut self, depth: i64, oldest: Oldest, topic_paused: bool) {
        self.oldest = Some(self.oldest.map_or(oldest, |before| before.or(oldest)));
        self.row.depth = self.row.depth.saturating_add(depth);
        self.row.topic_paused |= topic_paused;
        self.row.nodes += 1;
        self.signs.topic_paused_on += usize::from(topic_paused);
    }

    /// The node that has been silent longest is told.
    fn add_silence(&mut self, node: &'a str, seconds: Option<u64>) {
        if seconds > self.signs.silent.map(|(_, since)| since) {
            self.signs.silent = seconds.map(|seconds| (node, seconds));
        }
    }
}

impl NodeState {
    /// For how long it has not answered, in milliseconds, 1 at least; `None` when it does.
    fn silent_since(&self, now_ms: u64) -> Option<u64> {
        // The first failure counts from the last answer.
        let (failing_since, _) = self.failing.as_ref()?;
        Some(now_ms.saturating_sub(self.answered_ms.unwrap_or(*failing_since)).max(1))
    }
}

fn sort(rows: &mut [ChannelRow]) {
    rows.sort_by(|a, b| {
        let by_trouble = trouble::rank(&a.trouble).cmp(&trouble::rank(&b.trouble));
        let by_name = || (&a.topic, &a.channel).cmp(&(&b.topic, &b.channel));
        by_trouble.then(b.depth.cmp(&a.depth)).then_with(by_name)
    });
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
        recorder.tick(1_000, 1_000_000_000);
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

    fn reasons(overview: &Overview) -> Vec<String> {
        let told = |row: &ChannelRow| {
            let trouble = row.trouble.iter().map(|trouble| trouble.reason.as_str()).collect::<Vec<_>>();
            format!("{}: {}", row.channel.as_deref().unwrap_or("-"), trouble.join("; "))
        };
        overview.channels.iter().map(told).collect()
    }

    #[test]
    fn what_waits_on_a_node_without_a_consumer_is_told_though_another_has_one() {
        let of_node = |depth, ready| vec![topic("t", 0, vec![channel("c", depth, ready)])];
        let found = recorder(vec![("a:1", of_node(5, None)), ("b:1", of_node(0, Some(1)))]);
        let overview = found.overview(1_000, 0, 0);
        assert_eq!(overview.channels[0].trouble[0].code, "no_consumers");
        assert_eq!(reasons(&overview), ["c: 5 messages wait on a:1, where no consumer is connected"]);
        assert_eq!(overview.totals.in_trouble, 1);

        // A consumer that turns from node to node is not stuck, until it stays away.
        let mut turning = recorder(vec![("a:1", of_node(5, Some(0))), ("b:1", of_node(0, Some(1)))]);
        // For how long it has been so is known up to the last answer.
        assert_eq!(reasons(&turning.overview(90_000, 0, 0)), ["c: "]);
        let again = Stats { topics: Some(of_node(5, Some(0))), ..Stats::default() };
        turning.observe("a:1", 61_000, again);
        let expected = "c: 5 messages wait on a:1, where all consumers have had RDY 0 for a minute";
        assert_eq!(reasons(&turning.overview(61_000, 0, 0)), [expected]);
        let ready = Stats { topics: Some(of_node(5, Some(1))), ..Stats::default() };
        turning.observe("a:1", 62_000, ready);
        assert_eq!(reasons(&turning.overview(62_000, 0, 0)), ["c: "]);
    }

    #[test]
    fn what_waits_on_a_node_without_a_channel_is_told_though_another_has_one() {
        let has = || topic("t", 0, vec![channel("c", 0, Some(1))]);
        let found = |bare| {
            recorder(vec![("a:1", vec![has()]), ("b:1", vec![bare]), ("c:1", vec![])]).overview(1_000, 0, 3)
        };
        let overview = found(topic("t", 1_000_000, vec![]));
        let expected = "-: 1,000,000 messages wait on b:1, where the topic has no channel";
        assert_eq!(reasons(&overview), [expected, "c: "]);
        let (row, totals) = (&overview.channels[0], &overview.totals);
        assert_eq!((row.trouble[0].code.as_str(), row.depth, row.nodes), ("no_channels", 1_000_000, 2));
        assert_eq!((totals.channels, totals.in_trouble), (1, 1));
        assert_eq!(reasons(&found(topic("t", 0, vec![]))), ["c: "]);
        let paused = TopicStats { paused: true, ..topic("t", 3, vec![]) };
        let expected = "-: 3 messages wait in the topic, which is paused on 1 of 2 nodes";
        assert_eq!(reasons(&found(paused))[0], expected);
    }

    #[test]
    fn what_waits_in_a_paused_topic_has_a_row() {
        let paused = |depth| {
            let topic = TopicStats { paused: true, ..topic("t", depth, vec![channel("c", 0, Some(1))]) };
            recorder(vec![("a:1", vec![topic]), ("b:1", vec![])]).overview(1_000, 0, 3)
        };
        let overview = paused(281);
        assert_eq!(
            reasons(&overview),
            ["-: 281 messages wait in the topic, which is paused", "c: the topic is paused"]
        );
        assert_eq!(overview.channels[0].spark, [Some(281.0)]);
        assert_eq!((overview.totals.channels, overview.totals.in_trouble), (1, 0));
        assert_eq!(reasons(&paused(0)), ["c: the topic is paused"]);
    }

    #[test]
    fn a_silent_node_is_named_where_it_matters() {
        let channels =
            vec![channel("c", 1, Some(1)), channel("idle", 0, Some(1)), channel("moved", 0, Some(1))];
        let mut recorder = recorder(vec![("a:1", vec![topic("t", 0, channels.clone())])]);
        let mut moved = topic("t", 0, channels);
        moved.channels[2].message_count += 1;
        recorder.observe("a:1", 2_000, Stats { topics: Some(vec![moved.clone()]), ..Stats::default() });
        recorder.observe("a:1", 3_000, Stats { topics: Some(vec![moved]), ..Stats::default() });
        recorder.failed("a:1", 4_000, "connection refused".to_owned());
        let overview = recorder.overview(10_000, 0, 0);
        let reason = "a:1 has not answered for 7 s; its last numbers are shown";
        assert_eq!(
            reasons(&overview),
            [format!("c: {reason}"), format!("moved: {reason}"), "idle: ".to_owned()]
        );
        assert_eq!(overview.totals.in_trouble, 2);
        assert_eq!(
            (overview.nodes[0].silent_ms, overview.nodes[0].reason.as_str()),
            (7_000, "connection refused")
        );
    }

    #[test]
    fn what_came_while_the_machine_slept_did_not_come_in_a_second() {
        let mut recorder = Recorder::default();
        recorder.keep_nodes([("a:1".to_owned(), String::new(), String::new())]);
        let mut rate_in = |now_ms: u64, unix_ms: i64, message_count| {
            recorder.tick(now_ms, unix_ms);
            let topic = TopicStats { message_count, ..topic("t", 0, vec![]) };
            recorder.observe("a:1", now_ms, Stats { topics: Some(vec![topic]), ..Stats::default() });
            recorder.tick(now_ms, unix_ms);
            recorder.overview(now_ms, 0, 0).totals.rate_in
        };
        assert_eq!(rate_in(0, 50_000, 0), None);
        assert_eq!(rate_in(1_000, 51_000, 10), Some(10.0));
        // For an hour.
        assert_eq!(rate_in(2_000, 3_652_000, 36_010), Some(10.0));
        assert_eq!(rate_in(3_000, 3_653_000, 36_020), Some(10.0));
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
        // Whether there is any is not known while one does not say.
        recorder.observe("a:1", 4_000, aged(Some(0)));
        assert_eq!(recorder.overview(4_000, 4_000, 0).channels[0].oldest_age_ms, None);
        recorder.observe("old:1", 4_000, aged(Some(0)));
        assert_eq!(recorder.overview(4_000, 4_000, 0).channels[0].oldest_age_ms, Some(0));
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
