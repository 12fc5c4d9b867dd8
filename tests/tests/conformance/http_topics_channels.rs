//! The actions on topics and channels: nsqd-http.md §4.

use nsq_tests::{Daemon, each, shared};

#[test]
fn a_wrong_topic_action_is_refused() {
    let daemon = shared();
    let not_found = "TOPIC_NOT_FOUND";
    // What the action says to an empty and to a bad name, and to one that is not there.
    each(
        [
            ("create", (400, "INVALID_TOPIC"), (200, "")),
            ("delete", (404, not_found), (404, not_found)),
            ("empty", (400, "INVALID_TOPIC"), (404, not_found)),
            ("pause", (404, not_found), (404, not_found)),
            ("unpause", (404, not_found), (404, not_found)),
        ],
        |(action, bad, missing)| {
            daemon.post(&format!("/topic/{action}?topic=%zz"), "").expect_error(400, "INVALID_REQUEST");
            daemon.post(&format!("/topic/{action}"), "").expect_error(400, "MISSING_ARG_TOPIC");
            daemon.post(&format!("/topic/{action}?channel=c"), "").expect_error(400, "MISSING_ARG_TOPIC");
            daemon.post(&format!("/topic/{action}?topic="), "").expect_error(bad.0, bad.1);
            daemon.post(&format!("/topic/{action}?topic=a$"), "").expect_error(bad.0, bad.1);
            let response = daemon.post(&format!("/topic/{action}?topic=http_missing_{action}"), "");
            match missing {
                (200, _) => response.expect_empty(),
                (status, code) => response.expect_error(*status, code),
            }
        },
    );
}

#[test]
fn a_wrong_channel_action_is_refused() {
    let daemon = shared();
    daemon.act("/topic/create?topic=http_channels");
    each(["create", "delete", "empty", "pause", "unpause"], |action| {
        let refused = |query: &str, status: u16, code: &str| {
            daemon.post(&format!("/channel/{action}{query}"), "").expect_error(status, code);
        };
        refused("?topic=%zz", 400, "INVALID_REQUEST");
        refused("", 400, "MISSING_ARG_TOPIC");
        refused("?channel=c", 400, "MISSING_ARG_TOPIC");
        refused("?topic=a$", 400, "INVALID_ARG_TOPIC");
        refused("?topic=&channel=c", 400, "INVALID_ARG_TOPIC");
        refused("?topic=http_channels", 400, "MISSING_ARG_CHANNEL");
        refused("?topic=http_channels&channel=c$", 400, "INVALID_ARG_CHANNEL");
        refused("?topic=http_channels&channel=", 400, "INVALID_ARG_CHANNEL");
        refused("?topic=http_no_topic&channel=c$", 400, "INVALID_ARG_CHANNEL");
        refused("?topic=http_no_topic&channel=c", 404, "TOPIC_NOT_FOUND");
        if *action != "create" {
            refused("?topic=http_channels&channel=missing", 404, "CHANNEL_NOT_FOUND");
        }
    });
    assert!(daemon.topic_stats("http_no_topic").is_null(), "no action on a channel creates its topic");
}

#[test]
fn actions_succeed_with_an_empty_answer() {
    let daemon = Daemon::start();
    each(
        [
            "/topic/create?topic=t",
            "/channel/create?topic=t&channel=c",
            "/channel/pause?topic=t&channel=c",
            "/channel/unpause?topic=t&channel=c",
            "/channel/empty?topic=t&channel=c",
            "/topic/pause?topic=t",
            "/topic/unpause?topic=t",
            "/topic/empty?topic=t",
        ],
        |target| {
            // All of them may be repeated, and a body is read and ignored.
            daemon.act(target);
            daemon.post(target, "ignored".repeat(10_000)).expect_empty();
        },
    );
    daemon.act("/channel/delete?topic=t&channel=c");
    daemon.post("/channel/delete?topic=t&channel=c", "").expect_error(404, "CHANNEL_NOT_FOUND");
    daemon.act("/topic/delete?topic=t");
    daemon.post("/topic/delete?topic=t", "").expect_error(404, "TOPIC_NOT_FOUND");
}

#[test]
fn creating_again_changes_nothing() {
    let daemon = shared();
    daemon.publish("http_again", b"x");
    daemon.act("/topic/create?topic=http_again");
    assert_eq!(daemon.topic_stats("http_again")["depth"], 1);
    daemon.act("/channel/create?topic=http_again&channel=c");
    daemon.wait_for_channel("http_again", "c", "depth", 1);
    daemon.act("/channel/create?topic=http_again&channel=c");
    assert_eq!(daemon.channel_stats("http_again", "c")["depth"], 1);
}

#[test]
fn ephemeral_names_are_escaped() {
    let daemon = shared();
    daemon.act("/topic/create?topic=http_escaped%23ephemeral");
    daemon.act("/channel/create?topic=http_escaped%23ephemeral&channel=c%23ephemeral");
    assert!(daemon.channel_stats("http_escaped#ephemeral", "c#ephemeral").is_object());
    daemon.act("/channel/delete?topic=http_escaped%23ephemeral&channel=c%23ephemeral");
    nsq_tests::stats::eventually(
        "the topic's end",
        || daemon.topic_stats("http_escaped#ephemeral"),
        serde_json::Value::is_null,
    );
}

#[test]
fn a_pause_is_in_the_metadata_before_the_answer() {
    let daemon = Daemon::start();
    daemon.act("/topic/create?topic=t");
    daemon.act("/channel/create?topic=t&channel=c");
    let metadata = || {
        let text = std::fs::read_to_string(daemon.directory().join("nsqd.dat")).expect("the file is there");
        let metadata: serde_json::Value = serde_json::from_str(&text).expect("the file is JSON");
        let topic = &metadata["topics"][0];
        (topic["paused"].as_bool(), topic["channels"][0]["paused"].as_bool())
    };
    daemon.act("/topic/pause?topic=t");
    assert_eq!(metadata(), (Some(true), Some(false)));
    daemon.act("/channel/pause?topic=t&channel=c");
    assert_eq!(metadata(), (Some(true), Some(true)));
    daemon.act("/topic/unpause?topic=t");
    assert_eq!(metadata(), (Some(false), Some(true)));
    daemon.act("/channel/unpause?topic=t&channel=c");
    assert_eq!(metadata(), (Some(false), Some(false)));
}
