//! Samples of the bodies that only this server has, and of v1.3.0's as it writes them: what the page's types are checked against.
//! Set `UPDATE_DOCS=1` to write them anew.

use std::path::Path;

use nsq::api::admin::{
    AdminAction, Counter, Done, HistoryBody, InactiveTopics, NodeDetail, Nodes, Outcome, Overview, Session,
    Settings, Told, Topics, Update, Warning,
};
use nsq::api::json::to_go_json;
use nsq::api::stats::{ChannelStats, ClientStats, LatencyStats, Percentile, Stats, TopicStats};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cluster::{Producer, Version, merge};
use crate::overview::{self, Recorder};

/// Checks a sample, and that what is written can be read.
fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, body: &T) {
    let written = to_go_json(body);
    assert_eq!(serde_json::from_slice::<T>(&written).unwrap(), *body, "{name}");
    let value: serde_json::Value = serde_json::from_slice(&written).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/samples").join(format!("{name}.json"));
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &pretty).unwrap();
    }
    let present = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(present == pretty, "web/samples/{name}.json is stale: run the tests with UPDATE_DOCS=1");
}

fn told<T>(body: T) -> Told<T> {
    let warning = Warning {
        node: "127.0.0.1:4251".to_owned(),
        service: "nsqd".to_owned(),
        reason: "connection refused".to_owned(),
    };
    let message = "WARNING: nsqd 127.0.0.1:4251: connection refused".to_owned();
    Told { body, message, warnings: vec![warning] }
}

fn producer() -> Producer {
    Producer {
        address: "127.0.0.1:4151".to_owned(),
        broadcast_address: "127.0.0.1".to_owned(),
        hostname: "a".to_owned(),
        http_port: 4151,
        remote_address: "127.0.0.1:33162".to_owned(),
        remote_addresses: vec!["127.0.0.1:4161/127.0.0.1:33162".to_owned()],
        tcp_port: 4150,
        topics: vec![("orders".to_owned(), false)],
        topology_region: "r1".to_owned(),
        topology_zone: "z1".to_owned(),
        version: "1.3.0".to_owned(),
        described_at: String::new(),
    }
}

fn topic_stats() -> TopicStats {
    let latency =
        || LatencyStats { count: 3, percentiles: Some(vec![Percentile { quantile: 0.99, value: 5e6 }]) };
    let client = ClientStats {
        client_id: "me".to_owned(),
        connect_ts: 1_795_456_317,
        hostname: "h".to_owned(),
        ready_count: 0,
        remote_address: "127.0.0.1:33564".to_owned(),
        topology_region: "r1".to_owned(),
        topology_zone: "z1".to_owned(),
        user_agent: "<script>alert(1)</script>".to_owned(),
        version: "V2".to_owned(),
        ..ClientStats::default()
    };
    let channel = ChannelStats {
        backend_depth: 2,
        channel_name: "arch".to_owned(),
        client_count: 1,
        clients: Some(vec![client]),
        depth: 7,
        e2e_processing_latency: latency(),
        global_msg_count: 4,
        in_flight_count: 1,
        message_count: 11,
        oldest_age_ms: Some(65_000),
        paused: true,
        requeue_count: 2,
        timeout_count: 1,
        ..ChannelStats::default()
    };
    TopicStats {
        channels: vec![channel],
        depth: 1,
        e2e_processing_latency: latency(),
        message_count: 12,
        topic_name: "orders".to_owned(),
        ..TopicStats::default()
    }
}

fn overviews() -> [Overview; 2] {
    let bare = TopicStats { topic_name: "bare".to_owned(), depth: 3, ..TopicStats::default() };
    let mut recorder = Recorder::default();
    recorder.keep_nodes([("127.0.0.1:4151".to_owned(), "a".to_owned(), "1.3.0".to_owned())]);
    let stats = |topics| Stats { health: "OK".to_owned(), topics: Some(topics), ..Stats::default() };
    recorder.observe("127.0.0.1:4151", 0, stats(vec![topic_stats(), bare]));
    recorder.tick(0, 1_795_714_205_000);
    let before = recorder.overview(0, 1_795_714_205_000, 5);
    recorder.observe("127.0.0.1:4151", 1_000, stats(vec![topic_stats()]));
    recorder.tick(1_000, 1_795_714_206_000);
    recorder.failed("127.0.0.1:4151", 2_000, "connection refused".to_owned());
    [before, recorder.overview(3_000, 1_795_714_208_000, 0)]
}

#[test]
fn samples_of_what_is_read_are_up_to_date() {
    let mut on_node = merge::topic_of(&producer(), topic_stats(), 1_795_456_339);
    let detail = NodeDetail {
        node: "127.0.0.1:4151".to_owned(),
        topics: Some(vec![on_node.clone()]),
        total_messages: 12,
        total_clients: 1,
    };
    check("node", &told(detail));
    let channels = on_node.channels.clone().unwrap();
    check("channel", &told(merge::channel("orders", "arch", channels)));
    on_node.channels.iter_mut().flatten().for_each(|channel| channel.clients = None);
    check("topic", &told(merge::topic("orders", vec![on_node])));
    check("topic-empty", &told(merge::topic("orders", Vec::new())));
    let newest = Version::parse("1.3.1");
    check("nodes", &told(Nodes { nodes: Some(vec![producer().node(&newest)]) }));
    check("topics", &told(Topics { topics: Some(vec!["orders".to_owned()]) }));
    check("topics-empty", &Told::<Topics>::default());
    let inactive = [("newt".to_owned(), Some(vec!["newc".to_owned()])), ("newt2".to_owned(), None)];
    check("topics-inactive", &told(InactiveTopics { topics: inactive.into() }));
    check("counter", &told(Counter::default()));
}

#[test]
fn samples_of_what_v1_3_0_does_not_have_are_up_to_date() {
    let [before, now] = overviews();
    let update: Update = overview::update(Some(&before), &now);
    check("overview", &told(before));
    check("update", &told(update));
    let column = || vec![Some(5.0), Some(2.5), None];
    let history = HistoryBody {
        kind: "channel".to_owned(),
        topic: "orders".to_owned(),
        channel: "arch".to_owned(),
        step: 1,
        start: 1_795_714_201,
        depth: column(),
        in_flight: column(),
        rate_in: column(),
        rate_out: column(),
        requeue_rate: column(),
        timeout_rate: column(),
        ..HistoryBody::default()
    };
    check("history", &told(history));
    let outcome = Outcome {
        node: "127.0.0.1:4151".to_owned(),
        service: "nsqd".to_owned(),
        request: "/channel/pause".to_owned(),
        ok: true,
        reason: String::new(),
    };
    check("done", &told(Done { outcomes: vec![outcome] }));
    check("session", &Session { user: "ann".to_owned(), role: "admin".to_owned(), has_login: true });
    let settings = Settings {
        version: "1.3.0".to_owned(),
        base_path: "/".to_owned(),
        nsqlookupd: vec!["127.0.0.1:4161".to_owned()],
        sample_interval_ms: 1000,
        statsd_interval: 60,
        statsd_prefix: "nsq.%s".to_owned(),
        ..Settings::default()
    };
    check("settings", &settings);
    check("action", &AdminAction { action: "create_topic".to_owned(), ..AdminAction::default() });
}
