//! Ephemeral topics and channels: nsqd-tcp.md §8.

use nsq_tests::stats::eventually;
use nsq_tests::{Daemon, differences};

fn wait_until_channel_is_gone(daemon: &Daemon, topic: &str, channel: &str) {
    eventually("the channel's end", || daemon.channel_stats(topic, channel), serde_json::Value::is_null);
}

fn wait_until_topic_is_gone(daemon: &Daemon, topic: &str) {
    eventually("the topic's end", || daemon.topic_stats(topic), serde_json::Value::is_null);
}

#[test]
fn a_channel_ends_with_its_last_client() {
    let daemon = Daemon::start();
    let first = daemon.subscribe("t", "c#ephemeral");
    let second = daemon.subscribe("t", "c#ephemeral");
    drop(first);
    daemon.wait_for_channel("t", "c#ephemeral", "client_count", 1);
    drop(second);
    wait_until_channel_is_gone(&daemon, "t", "c#ephemeral");
    assert!(daemon.topic_stats("t").is_object(), "a topic that lasts outlives it");
}

#[test]
fn a_channel_without_a_client_stays() {
    let daemon = Daemon::start();
    daemon.act("/topic/create?topic=t");
    daemon.act("/channel/create?topic=t&channel=c%23ephemeral");
    daemon.publish("t", b"x");
    daemon.wait_for_channel("t", "c#ephemeral", "depth", 1);
    daemon.act("/channel/empty?topic=t&channel=c%23ephemeral");
    assert_eq!(daemon.channel_stats("t", "c#ephemeral")["depth"], 0);
}

#[test]
fn what_does_not_fit_in_memory_is_dropped_and_counted() {
    let daemon = Daemon::with(&["--mem-queue-size=5"]);
    daemon.act("/topic/create?topic=t");
    daemon.act("/channel/create?topic=t&channel=c%23ephemeral");
    for _ in 0..12 {
        daemon.publish("t", b"x");
    }
    daemon.wait_for_channel("t", "c#ephemeral", "message_count", 12);
    let channel = daemon.channel_stats("t", "c#ephemeral");
    assert_eq!((&channel["depth"], &channel["backend_depth"]), (&5.into(), &0.into()));
}

#[test]
fn a_topic_s_overflow_is_dropped_and_counted() {
    let daemon = Daemon::with(&["--mem-queue-size=5"]);
    for _ in 0..12 {
        daemon.publish("t#ephemeral", b"x");
    }
    let topic = daemon.topic_stats("t#ephemeral");
    assert_eq!((&topic["depth"], &topic["backend_depth"]), (&5.into(), &0.into()));
    assert_eq!(topic["message_count"], 12);
}

#[test]
fn a_topic_ends_with_its_last_channel() {
    let daemon = Daemon::start();
    let client = daemon.subscribe("t#ephemeral", "c#ephemeral");
    drop(client);
    wait_until_topic_is_gone(&daemon, "t#ephemeral");

    daemon.act("/topic/create?topic=t%23ephemeral");
    daemon.act("/channel/create?topic=t%23ephemeral&channel=c");
    daemon.act("/channel/delete?topic=t%23ephemeral&channel=c");
    wait_until_topic_is_gone(&daemon, "t#ephemeral");
}

#[test]
fn a_topic_that_never_had_a_channel_stays() {
    let daemon = Daemon::start();
    daemon.publish("t#ephemeral", b"x");
    assert_eq!(daemon.topic_stats("t#ephemeral")["depth"], 1);
}

#[test]
fn a_lasting_channel_keeps_its_topic() {
    let daemon = Daemon::start();
    let lasting = daemon.subscribe("t#ephemeral", "c");
    let passing = daemon.subscribe("t#ephemeral", "c#ephemeral");
    drop(lasting);
    drop(passing);
    wait_until_channel_is_gone(&daemon, "t#ephemeral", "c#ephemeral");
    assert_eq!(daemon.channel_stats("t#ephemeral", "c")["client_count"], 0);
}

#[test]
fn nothing_ephemeral_outlives_the_daemon() {
    let daemon = Daemon::start();
    daemon.publish("passing#ephemeral", b"x");
    daemon.act("/channel/create?topic=passing%23ephemeral&channel=c");
    daemon.act("/topic/create?topic=t");
    daemon.act("/channel/create?topic=t&channel=c");
    daemon.act("/channel/create?topic=t&channel=d%23ephemeral");
    let daemon = daemon.restart();
    assert!(daemon.topic_stats("passing#ephemeral").is_null());
    assert!(daemon.channel_stats("t", "d#ephemeral").is_null());
    assert!(daemon.channel_stats("t", "c").is_object());
}

#[test]
fn without_a_memory_queue_only_a_waiting_consumer_gets_a_message() {
    let daemon = Daemon::with(&["--mem-queue-size=0"]);
    daemon.act("/topic/create?topic=t");
    daemon.act("/channel/create?topic=t&channel=c%23ephemeral");
    daemon.publish("t", b"dropped");
    daemon.wait_for_channel("t", "c#ephemeral", "message_count", 1);
    assert_eq!(daemon.channel_stats("t", "c#ephemeral")["depth"], 0);
    let mut client = daemon.subscribe("t", "c#ephemeral");
    client.ready(1);
    client.expect_silence();
    daemon.publish("t", b"x");
    client.expect_body("x");
    daemon.publish("t", b"dropped");
    daemon.wait_for_channel("t", "c#ephemeral", "message_count", 3);
    client.ready(2);
    client.expect_silence();
}

#[test]
fn a_lasting_channel_of_an_ephemeral_topic_overflows_to_disk() {
    let daemon = Daemon::with(&["--mem-queue-size=2"]);
    let mut client = daemon.subscribe("t#ephemeral", "c");
    for index in 0..10 {
        client.publish("t#ephemeral", format!("{index}").as_bytes());
        daemon.wait_for_channel("t#ephemeral", "c", "message_count", index + 1);
    }
    let expected = if differences::ephemeral_topics_use_no_disk() { 2 } else { 10 };
    assert_eq!(daemon.channel_stats("t#ephemeral", "c")["depth"], expected);
}
