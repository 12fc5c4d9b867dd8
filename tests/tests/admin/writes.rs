//! What is changed in a cluster: nsqadmin.md §4.

use nsq_tests::admin::Watched;
use nsq_tests::{Admin, Daemon, differences, each};
use serde_json::json;

#[test]
fn a_topic_is_made_known_and_its_channel_made() {
    let watched = Watched::start(2, &[]);
    watched.make(0, "t", &[]);
    let admin = watched.admin(&[]);
    admin.act("POST", "/api/topics", r#"{"topic":"t","channel":"c"}"#);
    for lookupd in &watched.lookupds {
        assert!(lookupd.channels("t").contains("c"));
    }
    assert_eq!(watched.nodes[0].channel_stats("t", "c")["depth"], 0);
    assert!(watched.nodes[1].channel_stats("t", "c").is_null());
    admin.act("POST", "/api/topics", r#"{"topic":"new"}"#);
    assert!(watched.lookupds.iter().all(|lookupd| lookupd.topics().contains("new")));
    assert!(watched.nodes.iter().all(|node| node.topic_stats("new").is_null()));
    admin.act("DELETE", "/api/topics/new", "");
    assert!(watched.lookupds.iter().all(|lookupd| !lookupd.topics().contains("new")));
}

#[test]
fn a_topic_is_paused_emptied_and_deleted_everywhere() {
    let watched = Watched::start(2, &[]);
    watched.make(0, "t", &[]);
    watched.make(1, "t", &[]);
    watched.nodes.iter().for_each(|node| node.publish("t", "x"));
    let admin = watched.admin(&[]);
    let paused = || -> Vec<bool> {
        watched.nodes.iter().map(|node| node.topic_stats("t")["paused"] == true).collect()
    };
    admin.act("POST", "/api/topics/t", r#"{"action":"pause"}"#);
    assert_eq!(paused(), [true, true]);
    assert_eq!(admin.told("/api/topics/t")["paused"], true);
    admin.act("POST", "/api/topics/t", r#"{"action":"unpause"}"#);
    assert_eq!(paused(), [false, false]);
    assert_eq!(admin.told("/api/topics/t")["depth"], 2);
    admin.act("POST", "/api/topics/t", r#"{"action":"empty"}"#);
    assert_eq!(admin.told("/api/topics/t")["depth"], 0);
    admin.act("DELETE", "/api/topics/t", "");
    assert!(watched.nodes.iter().all(|node| node.topic_stats("t").is_null()));
    assert_ne!(admin.get("/api/topics/t").status, 200);
}

#[test]
fn a_channel_is_paused_emptied_and_deleted_everywhere() {
    let watched = Watched::start(2, &[]);
    watched.make(0, "t", &["c"]);
    watched.make(1, "t", &["c"]);
    for node in &watched.nodes {
        node.publish("t", "x");
        node.wait_for_channel("t", "c", "depth", 1);
    }
    let admin = watched.admin(&[]);
    let paused = || -> Vec<bool> {
        watched.nodes.iter().map(|node| node.channel_stats("t", "c")["paused"] == true).collect()
    };
    admin.act("POST", "/api/topics/t/c", r#"{"action":"pause"}"#);
    assert_eq!(paused(), [true, true]);
    admin.act("POST", "/api/topics/t/c", r#"{"action":"unpause"} and so on"#);
    assert_eq!(paused(), [false, false]);
    admin.act("POST", "/api/topics/t/c", r#"{"action":"empty"}"#);
    assert_eq!(admin.told("/api/topics/t/c")["depth"], 0);
    admin.act("DELETE", "/api/topics/t/c", "");
    assert!(watched.nodes.iter().all(|node| node.channel_stats("t", "c").is_null()));
    assert!(watched.lookupds.iter().all(|lookupd| !lookupd.channels("t").contains("c")));
}

#[test]
fn a_tombstone_hides_a_node_and_deletes_its_topic() {
    let watched = Watched::start(2, &[]);
    watched.make(0, "t", &[]);
    watched.make(1, "t", &[]);
    let admin = watched.admin(&[]);
    let path = format!("/api/nodes/{}", watched.name(0));
    admin.act("DELETE", &path, r#"{"topic":"t"}"#);
    assert!(watched.nodes[0].topic_stats("t").is_null());
    assert!(!watched.nodes[1].topic_stats("t").is_null());
    for lookupd in &watched.lookupds {
        lookupd.wait_for_producers("t", &[&watched.nodes[1]]);
    }
    let nowhere = admin.send("DELETE", "/api/nodes/127.0.0.1:1", r#"{"topic":"t"}"#);
    if differences::admin_tombstones_known_nodes_only() {
        nowhere.expect_error(404, "NODE_NOT_FOUND");
    } else {
        assert_eq!(nowhere.status, 502);
    }
}

#[test]
fn bad_requests_get_the_codes_of_v1_3_0() {
    let watched = Watched::start(1, &[]);
    watched.make(0, "t", &["c"]);
    let admin = watched.admin(&[]);
    let node = format!("/api/nodes/{}", watched.name(0));
    let rows = [
        ("POST", "/api/topics", "", "EOF"),
        ("POST", "/api/topics", "nope", differences::bad_json_text()),
        ("POST", "/api/topics", "{}", "INVALID_TOPIC"),
        ("POST", "/api/topics", r#"{"topic":null}"#, "INVALID_TOPIC"),
        ("POST", "/api/topics", r#"{"topic":"$"}"#, "INVALID_TOPIC"),
        ("POST", "/api/topics", r#"{"topic":"t","channel":"$"}"#, "INVALID_CHANNEL"),
        ("POST", "/api/topics/t", "", "EOF"),
        ("POST", "/api/topics/t", r#"{"action":"dance"}"#, "INVALID_ACTION"),
        ("POST", "/api/topics/t/c", "{}", "INVALID_ACTION"),
        ("DELETE", node.as_str(), "", "INVALID_BODY"),
        ("DELETE", node.as_str(), "nope", "INVALID_BODY"),
        ("DELETE", node.as_str(), r#"{"topic":"$"}"#, "INVALID_TOPIC"),
    ];
    for (method, path, body, code) in rows {
        admin.send(method, path, body).expect_error(400, code);
    }
}

#[test]
fn what_is_not_there_cannot_be_changed() {
    let watched = Watched::start(1, &[]);
    watched.make(0, "t", &["c"]);
    let admin = watched.admin(&[]);
    let empty = r#"{"action":"empty"}"#;
    let rows = [
        ("POST", "/api/topics/nope", empty, "TOPIC_NOT_FOUND"),
        ("DELETE", "/api/topics/nope", "", "TOPIC_NOT_FOUND"),
        ("POST", "/api/topics/t/nope", empty, "CHANNEL_NOT_FOUND"),
        ("DELETE", "/api/topics/t/nope", "", "CHANNEL_NOT_FOUND"),
    ];
    for (method, path, body, code) in rows {
        let response = admin.send(method, path, body);
        if differences::admin_knows_what_is_not_there() {
            response.expect_error(404, code);
        } else if code == "TOPIC_NOT_FOUND" {
            assert_eq!(response.status, 502);
        } else {
            assert!(response.text().starts_with(r#"{"message":"WARNING: "#), "{response:?}");
        }
    }
}

#[test]
fn in_direct_mode_topics_and_channels_are_made() {
    let nodes = [Daemon::with(&["--broadcast-address=127.0.0.1"])];
    let admin = Admin::direct(&nodes, &[]);
    admin.act("POST", "/api/topics", r#"{"topic":"t"}"#);
    let made = !nodes[0].topic_stats("t").is_null();
    assert_eq!(made, differences::admin_creates_in_direct_mode());
    let response = admin.send("POST", "/api/topics", r#"{"topic":"t","channel":"c"}"#);
    assert_eq!(response.status == 200, differences::admin_creates_in_direct_mode());
}

#[test]
fn each_nodes_outcome_is_told() {
    if !differences::admin_has_extensions() {
        return;
    }
    let watched = Watched::start(1, &[]);
    watched.make(0, "t", &["c"]);
    let admin = watched.admin(&[]);
    let told = admin.send("POST", "/api/topics/t/c", r#"{"action":"pause"}"#).json();
    let outcome = json!({
        "node": watched.name(0), "service": "nsqd", "request": "/channel/pause", "ok": true, "reason": "",
    });
    assert_eq!(told, json!({"outcomes": [outcome], "message": ""}));
}

#[test]
fn messages_are_published_to_try_things_out() {
    if !differences::admin_has_extensions() {
        return;
    }
    let watched = Watched::start(2, &[]);
    watched.make(0, "t", &["messages"]);
    let admin = watched.admin(&[]);
    admin.act("POST", "/api/messages/t", r#"{"body":"hello"}"#);
    admin.act("POST", "/api/messages/t", r#"{"body":"many","count":9}"#);
    watched.nodes[0].wait_for_channel("t", "messages", "depth", 10);
    admin.act("POST", "/api/messages/t", r#"{"body":"later","count":2,"defer":60000}"#);
    watched.nodes[0].wait_for_channel("t", "messages", "deferred_count", 2);
    let on_the_other = format!(r#"{{"body":"x","node":"{}"}}"#, watched.name(1));
    admin.act("POST", "/api/messages/t", &on_the_other);
    watched.nodes[1].wait_for_topic("t", "message_count", 1);
    // A channel may be called as it likes.
    admin.act("POST", "/api/topics/t/messages", r#"{"action":"empty"}"#);
    each(
        [
            (r#"{"body":""}"#, (400, "INVALID_BODY")),
            (r#"{"body":"x","count":0}"#, (400, "INVALID_COUNT")),
            (r#"{"body":"x","count":10001}"#, (400, "INVALID_COUNT")),
            (r#"{"body":"x","node":"127.0.0.1:1"}"#, (404, "NODE_NOT_FOUND")),
        ],
        |(body, (status, code))| admin.send("POST", "/api/messages/t", body).expect_error(*status, code),
    );
    // The first refusal is enough, also where an nsqlookupd failed before.
    let half_blind = watched.admin(&["--lookupd-http-address=127.0.0.1:1"]);
    let too_late = r#"{"body":"x","count":50,"defer":999999999}"#;
    let told = half_blind.send("POST", "/api/messages/t", too_late).json();
    assert_eq!(told["outcomes"].as_array().map(Vec::len), Some(1), "{told}");
    let published = |line: &&String| line.contains("/pub?");
    assert_eq!(half_blind.process().log_lines().iter().filter(published).count(), 1);
    admin.send("POST", "/api/messages/nope", r#"{"body":"x"}"#).expect_error(404, "TOPIC_NOT_FOUND");
    admin.send("POST", "/api/messages/$", r#"{"body":"x"}"#).expect_error(400, "INVALID_TOPIC");
}
