//! GET /stats as JSON: nsqd-http.md §5, and the counters of nsqd-operation.md §7.

use nsq_tests::stats::mask_numbers;
use nsq_tests::{Client, Daemon, each};
use serde_json::{Value, json};

/// A daemon with a paused channel, a consumer that has settled and holds messages, a paused topic, and
/// a publisher.
fn busy() -> (Daemon, Client, Client) {
    let daemon = Daemon::with(&["--e2e-processing-latency-percentile=1.0,0.99,0.95"]);
    daemon.act("/topic/create?topic=orders");
    daemon.act("/channel/create?topic=orders&channel=audit");
    daemon.act("/channel/pause?topic=orders&channel=audit");
    let mut consumer = daemon.connect();
    consumer.identify("\"client_id\":\"cid\",\"hostname\":\"host\",\"user_agent\":\"ua/1.0\"");
    consumer.subscribe("orders", "billing");
    let mut publisher = daemon.connect();
    publisher.publish_all("orders", &["aa", "bb", "cc", "dd", "ee"]);
    publisher.publish_deferred("orders", 60_000, b"later");
    consumer.ready(2);
    let finished = consumer.expect_message();
    consumer.finish(&finished);
    consumer.expect_message();
    consumer.expect_message();
    daemon.act("/topic/create?topic=other");
    daemon.act("/topic/pause?topic=other");
    daemon.post("/pub?topic=other", "x").expect_ok();
    for channel in ["audit", "billing"] {
        daemon.wait_for_channel("orders", channel, "deferred_count", 1);
        daemon.wait_for_channel("orders", channel, "message_count", 6);
    }
    daemon.wait_for_channel("orders", "billing", "in_flight_count", 2);
    (daemon, consumer, publisher)
}

const PERCENTILES: &str =
    "{\"quantile\":1,\"value\":0},{\"quantile\":0.99,\"value\":0},{\"quantile\":0.95,\"value\":0}";

const CLIENT_TAIL: &str = "\"tls\":false,\"tls_cipher_suite\":\"\",\"tls_version\":\"\",\"tls_negotiated_protocol\":\"\",\
     \"tls_negotiated_protocol_is_mutual\":false";

#[test]
fn all_keys_are_there_in_their_order() {
    let (daemon, _consumer, _publisher) = busy();
    let response = daemon.get("/stats?format=json");
    let durability = nsq_tests::differences::own_keys_of_topics_in_stats();
    let age = nsq_tests::differences::own_keys_of_channels_in_stats();
    let expected = format!(
        "{{\"version\":\"1.3.0\",\"health\":\"OK\",\"start_time\":1,\"topics\":[\
         {{\"topic_name\":\"orders\",\"channels\":[\
         {{\"channel_name\":\"audit\",\"depth\":5,\"backend_depth\":0,\"in_flight_count\":0,\"deferred_count\":1,\
         \"message_count\":6,\"requeue_count\":0,\"timeout_count\":0,\"client_count\":0,\"clients\":[],\"paused\":true,\
         \"e2e_processing_latency\":{{\"count\":0,\"percentiles\":[{PERCENTILES}]}}{age}}},\
         {{\"channel_name\":\"billing\",\"depth\":2,\"backend_depth\":0,\"in_flight_count\":2,\"deferred_count\":1,\
         \"message_count\":6,\"global_msg_count\":3,\"requeue_count\":0,\"timeout_count\":0,\"client_count\":1,\"clients\":[\
         {{\"client_id\":\"cid\",\"hostname\":\"host\",\"version\":\"V2\",\"remote_address\":\"127.0.0.1:1\",\"state\":3,\
         \"ready_count\":2,\"in_flight_count\":2,\"message_count\":3,\"finish_count\":1,\"requeue_count\":0,\
         \"connect_ts\":1,\"sample_rate\":0,\"deflate\":false,\"snappy\":false,\"user_agent\":\"ua/1.0\",\
         \"topology_zone\":\"\",\"topology_region\":\"\",{CLIENT_TAIL}}}],\"paused\":false,\
         \"e2e_processing_latency\":{{\"count\":1,\"percentiles\":[{PERCENTILES}]}}{age}}}],\
         \"depth\":0,\"backend_depth\":0,\"message_count\":6,\"message_bytes\":15,\"paused\":false,\
         \"e2e_processing_latency\":{{\"count\":1,\"percentiles\":[{PERCENTILES}]}}{durability}}},\
         {{\"topic_name\":\"other\",\"channels\":[],\"depth\":1,\"backend_depth\":0,\"message_count\":1,\"message_bytes\":1,\
         \"paused\":true,\"e2e_processing_latency\":{{\"count\":0,\"percentiles\":null}}{durability}}}],\
         \"memory\":{{\"heap_objects\":1,\"heap_idle_bytes\":1,\"heap_in_use_bytes\":1,\"heap_released_bytes\":1,\
         \"gc_pause_usec_100\":0,\"gc_pause_usec_99\":0,\"gc_pause_usec_95\":0,\"next_gc_bytes\":1,\"gc_total_runs\":0}},\
         \"producers\":[{{\"client_id\":\"127.0.0.1\",\"hostname\":\"127.0.0.1\",\"version\":\"V2\",\
         \"remote_address\":\"127.0.0.1:1\",\"state\":0,\"ready_count\":0,\"in_flight_count\":0,\"message_count\":0,\
         \"finish_count\":0,\"requeue_count\":0,\"connect_ts\":1,\"sample_rate\":0,\"deflate\":false,\"snappy\":false,\
         \"user_agent\":\"\",\"topology_zone\":\"\",\"topology_region\":\"\",\
         \"pub_counts\":[{{\"topic\":\"orders\",\"count\":6}}],{CLIENT_TAIL}}}]}}"
    );
    assert_eq!(mask_numbers(response.expect_json()), mask_numbers(&expected));
}

#[test]
fn the_oldest_message_is_the_one_that_is_not_finished() {
    if nsq_tests::differences::is_original() {
        return;
    }
    let daemon = Daemon::start();
    daemon.act("/topic/create?topic=t");
    let age = || daemon.channel_stats("t", "c")["oldest_age_ms"].as_i64();
    daemon.post("/pub?topic=t", "held back").expect_ok();
    assert!(daemon.topic_stats("t")["oldest_age_ms"].as_i64() > Some(0));
    daemon.act("/channel/create?topic=t&channel=c");
    daemon.post("/pub?topic=t&defer=60000", "later").expect_ok();
    assert!(age() > Some(0));
    assert_eq!(daemon.topic_stats("t")["oldest_age_ms"], 0);
    let mut consumer = daemon.connect();
    consumer.subscribe("t", "c");
    consumer.ready(1);
    let message = consumer.expect_message();
    assert!(age() > Some(0), "it is not finished");
    consumer.finish(&message);
    daemon.wait_for_channel("t", "c", "in_flight_count", 0);
    assert_eq!(age(), Some(0), "what is deferred does not count");
}

#[test]
fn the_counts_are_exact() {
    let (daemon, consumer, publisher) = busy();
    let stats = daemon.stats();
    let orders = &stats["topics"][0];
    assert_counts(orders, &json!({"depth": 0, "backend_depth": 0, "message_count": 6, "message_bytes": 15}));
    assert_counts(
        &orders["channels"][0],
        &json!({"depth": 5, "backend_depth": 0, "in_flight_count": 0, "deferred_count": 1, "message_count": 6,
            "requeue_count": 0, "timeout_count": 0, "client_count": 0}),
    );
    let billing = &orders["channels"][1];
    assert_counts(
        billing,
        &json!({"depth": 2, "backend_depth": 0, "in_flight_count": 2, "deferred_count": 1, "message_count": 6,
            "global_msg_count": 3, "requeue_count": 0, "timeout_count": 0, "client_count": 1}),
    );
    let client = &billing["clients"][0];
    assert_counts(
        client,
        &json!({"state": 3, "ready_count": 2, "in_flight_count": 2, "message_count": 3, "finish_count": 1,
            "requeue_count": 0, "sample_rate": 0}),
    );
    assert_eq!(client["remote_address"], consumer.address().to_string());
    assert_eq!(stats["producers"][0]["remote_address"], publisher.address().to_string());
    assert_eq!(stats["producers"][0]["pub_counts"], json!([{"topic": "orders", "count": 6}]));
    let started = stats["start_time"].as_i64().expect("it is a whole number");
    let connected = client["connect_ts"].as_i64().expect("it is a whole number");
    assert!((started..started + 60).contains(&connected), "connected at {connected}, started at {started}");
}

fn assert_counts(record: &Value, expected: &Value) {
    for (key, value) in expected.as_object().expect("counts are an object") {
        assert_eq!(&record[key], value, "{key} of {record}");
    }
}

#[test]
fn an_idle_daemon_has_no_topics_and_no_producers() {
    let daemon = Daemon::start();
    let stats = daemon.stats();
    assert_eq!((&stats["topics"], &stats["producers"]), (&json!([]), &Value::Null));
}

#[test]
fn latencies_are_whole_nanoseconds_from_publish_to_finish() {
    let (daemon, _consumer, _publisher) = busy();
    let billing = daemon.channel_stats("orders", "billing");
    let latency = &billing["e2e_processing_latency"];
    let percentiles = latency["percentiles"].as_array().expect("three were configured");
    for percentile in percentiles {
        let value = percentile["value"].as_f64().expect("a value is a number");
        assert!(value > 1_000.0 && value < 60e9 && value.fract() == 0.0, "{value}");
    }
    assert_eq!(
        daemon.topic_stats("orders")["e2e_processing_latency"],
        *latency,
        "a topic merges its channels"
    );
}

#[test]
fn without_percentiles_there_is_no_latency() {
    let daemon = Daemon::start();
    let _client = daemon.subscribe("t", "c");
    let none = json!({"count": 0, "percentiles": null});
    assert_eq!(daemon.topic_stats("t")["e2e_processing_latency"], none);
    assert_eq!(daemon.channel_stats("t", "c")["e2e_processing_latency"], none);
}

#[test]
fn filters_choose_topics_and_channels() {
    let (daemon, _consumer, _publisher) = busy();
    let names = |query: &str| {
        let stats = daemon.get(&format!("/stats?format=json&{query}")).json();
        let topics = stats["topics"].as_array().cloned().expect("topics are listed");
        let of = |topic: &Value| {
            let channels = topic["channels"].as_array().expect("channels are listed").clone();
            let channels: Vec<_> = channels.iter().map(|channel| channel["channel_name"].clone()).collect();
            json!([topic["topic_name"], channels])
        };
        topics.iter().map(of).collect::<Vec<_>>()
    };
    each(
        [
            ("a=b", json!([["orders", ["audit", "billing"]], ["other", []]])),
            ("topic=orders", json!([["orders", ["audit", "billing"]]])),
            ("topic=other", json!([["other", []]])),
            ("channel=audit", json!([["orders", ["audit"]]])),
            ("topic=orders&channel=billing", json!([["orders", ["billing"]]])),
            ("topic=other&channel=billing", json!([])),
            ("channel=missing", json!([])),
            ("topic=", json!([["orders", ["audit", "billing"]], ["other", []]])),
        ],
        |(query, expected)| assert_eq!(Value::from(names(query)), *expected),
    );
    let missing = daemon.get("/stats?format=json&topic=missing").json();
    assert_eq!((&missing["topics"], &missing["producers"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_topic_filter_chooses_among_publish_counts() {
    let (daemon, _consumer, _publisher) = busy();
    let producers =
        |topic: &str| daemon.get(&format!("/stats?format=json&topic={topic}")).json()["producers"].clone();
    assert_eq!(producers("orders")[0]["pub_counts"], json!([{"topic": "orders", "count": 6}]));
    let other = producers("other");
    assert_eq!(other.as_array().map(Vec::len), Some(1), "the producer is listed all the same");
    assert_eq!(other[0]["pub_counts"], Value::Null);
}

#[test]
fn clients_and_memory_can_be_left_out() {
    let (daemon, _consumer, _publisher) = busy();
    each(["false", "0"], |no| {
        let stats = daemon.get(&format!("/stats?format=json&include_clients={no}&include_mem={no}")).json();
        let billing = &stats["topics"][0]["channels"][1];
        assert_eq!((&billing["clients"], &billing["client_count"]), (&Value::Null, &1.into()));
        assert!(stats.as_object().expect("it is an object").contains_key("producers"));
        assert_eq!(stats["producers"], Value::Null);
        assert!(!stats.as_object().expect("it is an object").contains_key("memory"));
    });
    each(["true", "1", "no", "False", ""], |yes| {
        let stats = daemon.get(&format!("/stats?format=json&include_clients={yes}&include_mem={yes}")).json();
        assert_eq!(stats["topics"][0]["channels"][1]["clients"].as_array().map(Vec::len), Some(1));
        assert!(stats["memory"].is_object());
    });
}

#[test]
fn topics_and_channels_are_sorted() {
    let daemon = Daemon::start();
    daemon.act("/topic/create?topic=a");
    for name in ["b", "a", "C", "_", "a-b"] {
        daemon.act(&format!("/topic/create?topic={name}"));
        daemon.act(&format!("/channel/create?topic=a&channel={name}"));
    }
    let stats = daemon.stats();
    let list = |records: &Value, key: &str| -> Vec<String> {
        let records = records.as_array().expect("it is a list");
        records.iter().map(|record| record[key].as_str().expect("it is a name").to_owned()).collect()
    };
    let sorted = ["C", "_", "a", "a-b", "b"];
    assert_eq!(list(&stats["topics"], "topic_name"), sorted);
    let a = daemon.topic_stats("a");
    assert_eq!(list(&a["channels"], "channel_name"), sorted);
}

#[test]
fn producers_are_connections_that_published() {
    let daemon = Daemon::start();
    let mut silent = daemon.connect();
    silent.identify("");
    daemon.post("/pub?topic=t", "x").expect_ok();
    assert_eq!(daemon.stats()["producers"], Value::Null);
    let mut both = daemon.connect();
    both.publish("t", b"x");
    both.publish_all("t", &["x", "y"]);
    both.publish_deferred("t", 0, b"x");
    both.subscribe("t", "c");
    let producers = daemon.stats()["producers"].clone();
    assert_eq!(producers.as_array().map(Vec::len), Some(1));
    assert_eq!(producers[0]["pub_counts"], json!([{"topic": "t", "count": 4}]));
    assert_eq!(producers[0]["state"], 3);
    both.publish("other", b"x");
    let producers = daemon.stats()["producers"].clone();
    assert_eq!(producers[0]["pub_counts"].as_array().map(Vec::len), Some(1), "one of the topics is shown");
    let address = both.address().to_string();
    assert_eq!(daemon.client_stats("t", "c", &address)["pub_counts"].as_array().map(Vec::len), Some(1));
    drop(both);
    daemon.wait_for_channel("t", "c", "client_count", 0);
    nsq_tests::stats::eventually("no producer", || daemon.stats()["producers"].clone(), Value::is_null);
}

#[test]
fn text_is_escaped_for_html() {
    let daemon = Daemon::start();
    let mut client = daemon.connect();
    client.identify("\"user_agent\":\"<a&b>\u{2028}\\\"\\n\u{e9}\"");
    client.subscribe("t", "c");
    let response = daemon.get("/stats?format=json");
    let agent = "\"user_agent\":\"\\u003ca\\u0026b\\u003e\\u2028\\\"\\n\u{e9}\"";
    assert!(response.text().contains(agent), "{}", response.text());
}
