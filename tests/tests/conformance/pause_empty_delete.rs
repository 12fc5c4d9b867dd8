//! What pausing, emptying and deleting do to clients and messages: nsqd-tcp.md §7.1 and §8.

use nsq_tests::{Daemon, shared};

#[test]
fn a_topic_without_channels_keeps_its_messages_for_the_first() {
    let daemon = shared();
    daemon.connect().publish_all("ped_first", &["a", "b", "c"]);
    let mut first = daemon.subscribe("ped_first", "first");
    daemon.wait_for_topic("ped_first", "depth", 0);
    daemon.wait_for_channel("ped_first", "first", "depth", 3);
    let mut second = daemon.subscribe("ped_first", "second");
    daemon.publish("ped_first", b"d");
    second.ready(10);
    second.expect_body("d");
    first.ready(10);
    for body in ["a", "b", "c", "d"] {
        first.expect_body(body);
    }
}

#[test]
fn a_paused_topic_accepts_and_hands_out_nothing() {
    let daemon = shared();
    let mut client = daemon.subscribe("ped_topic", "c");
    client.ready(10);
    daemon.act("/topic/pause?topic=ped_topic");
    assert_eq!(daemon.topic_stats("ped_topic")["paused"], true);
    daemon.publish("ped_topic", b"x");
    client.expect_silence();
    assert_eq!(daemon.topic_stats("ped_topic")["depth"], 1);
    assert_eq!(daemon.channel_stats("ped_topic", "c")["message_count"], 0);
    daemon.act("/topic/unpause?topic=ped_topic");
    client.expect_body("x");
    assert_eq!(daemon.topic_stats("ped_topic")["paused"], false);
}

#[test]
fn a_paused_channel_takes_in_and_delivers_nothing() {
    let daemon = shared();
    let mut client = daemon.subscribe("ped_channel", "c");
    let mut other = daemon.subscribe("ped_channel", "other");
    client.ready(10);
    other.ready(10);
    daemon.act("/channel/pause?topic=ped_channel&channel=c");
    assert_eq!(daemon.channel_stats("ped_channel", "c")["paused"], true);
    daemon.publish("ped_channel", b"x");
    other.expect_body("x");
    client.expect_silence();
    daemon.wait_for_channel("ped_channel", "c", "depth", 1);
    assert_eq!(daemon.topic_stats("ped_channel")["depth"], 0);
    daemon.act("/channel/unpause?topic=ped_channel&channel=c");
    client.expect_body("x");
}

#[test]
fn what_is_in_flight_on_a_paused_channel_can_be_settled() {
    let daemon = shared();
    let mut client = daemon.subscribe("ped_settle", "c");
    client.publish_all("ped_settle", &["a", "b"]);
    client.ready(2);
    let messages = [client.expect_message(), client.expect_message()];
    daemon.act("/channel/pause?topic=ped_settle&channel=c");
    client.finish(&messages[0]);
    client.requeue(&messages[1], 0);
    client.expect_nothing_answered();
    client.expect_silence();
    let channel = daemon.channel_stats("ped_settle", "c");
    assert_eq!((&channel["in_flight_count"], &channel["depth"]), (&0.into(), &1.into()));
}

#[test]
fn emptying_a_topic_leaves_its_counters_and_channels() {
    let daemon = shared();
    daemon.connect().publish_all("ped_empty_topic", &["a", "bb"]);
    daemon.act("/topic/empty?topic=ped_empty_topic");
    let topic = daemon.topic_stats("ped_empty_topic");
    assert_eq!((&topic["depth"], &topic["backend_depth"]), (&0.into(), &0.into()));
    assert_eq!((&topic["message_count"], &topic["message_bytes"]), (&2.into(), &3.into()));

    let _client = daemon.subscribe("ped_empty_topic", "c");
    daemon.publish("ped_empty_topic", b"c");
    daemon.wait_for_channel("ped_empty_topic", "c", "depth", 1);
    daemon.act("/topic/pause?topic=ped_empty_topic");
    daemon.publish("ped_empty_topic", b"d");
    daemon.act("/topic/empty?topic=ped_empty_topic");
    assert_eq!(daemon.topic_stats("ped_empty_topic")["depth"], 0);
    assert_eq!(daemon.channel_stats("ped_empty_topic", "c")["depth"], 1);
}

#[test]
fn emptying_a_topic_takes_what_overflowed_to_disk_too() {
    let daemon = Daemon::with(&["--mem-queue-size=2"]);
    daemon.connect().publish_all("t", &["x"; 10]);
    daemon.act("/topic/empty?topic=t");
    let topic = daemon.topic_stats("t");
    assert_eq!((&topic["depth"], &topic["backend_depth"]), (&0.into(), &0.into()));
    daemon.publish("t", b"after");
    let mut client = daemon.subscribe("t", "c");
    client.ready(10);
    client.expect_body("after");
    client.expect_silence();
}

#[test]
fn emptying_a_channel_takes_all_and_keeps_the_clients() {
    let daemon = Daemon::with(&["--mem-queue-size=2"]);
    let mut client = daemon.subscribe("t", "c");
    client.publish_all("t", &["x"; 10]);
    client.ready(2);
    let message = client.expect_message();
    client.expect_message();
    client.publish_deferred("t", 60_000, b"deferred");
    daemon.wait_for_channel("t", "c", "deferred_count", 1);
    client.ready(0);
    daemon.act("/channel/empty?topic=t&channel=c");
    let channel = daemon.channel_stats("t", "c");
    for key in
        ["depth", "backend_depth", "in_flight_count", "deferred_count", "requeue_count", "timeout_count"]
    {
        assert_eq!(channel[key], 0, "{key}");
    }
    assert_eq!((&channel["message_count"], &channel["client_count"]), (&11.into(), &1.into()));
    client.finish(&message);
    client.expect_error(format!("E_FIN_FAILED FIN {} failed ID not in flight", message.id));
    let record = daemon.client_stats("t", "c", &client.address().to_string());
    assert_eq!((&record["in_flight_count"], &record["finish_count"]), (&0.into(), &0.into()));
    client.publish("t", b"after");
    client.ready(10);
    client.expect_body("after");
}

#[test]
fn emptying_a_channel_frees_its_consumers_windows() {
    let daemon = shared();
    let mut client = daemon.subscribe("ped_window", "c");
    client.publish("ped_window", b"x");
    client.ready(1);
    client.expect_body("x");
    daemon.act("/channel/empty?topic=ped_window&channel=c");
    daemon.publish("ped_window", b"y");
    client.expect_body("y");
}

#[test]
fn deleting_a_channel_parts_from_its_consumers() {
    let daemon = shared();
    let mut client = daemon.subscribe("ped_delete_channel", "c");
    let mut other = daemon.subscribe("ped_delete_channel", "other");
    client.publish("ped_delete_channel", b"x");
    daemon.wait_for_channel("ped_delete_channel", "c", "depth", 1);
    daemon.act("/channel/delete?topic=ped_delete_channel&channel=c");
    client.expect_end();
    other.ready(1);
    other.expect_body("x");
    assert!(daemon.channel_stats("ped_delete_channel", "c").is_null());
    let mut again = daemon.subscribe("ped_delete_channel", "c");
    again.ready(1);
    again.expect_silence();
}

#[test]
fn deleting_a_topic_parts_from_all_consumers_and_discards() {
    let daemon = shared();
    let mut consumers = [daemon.subscribe("ped_delete", "a"), daemon.subscribe("ped_delete", "b")];
    let mut publisher = daemon.connect();
    publisher.publish("ped_delete", b"x");
    daemon.act("/topic/delete?topic=ped_delete");
    for consumer in &mut consumers {
        consumer.expect_end();
    }
    assert!(daemon.topic_stats("ped_delete").is_null());
    publisher.publish("ped_delete", b"y");
    let mut client = daemon.subscribe("ped_delete", "a");
    client.ready(10);
    client.expect_body("y");
    client.expect_silence();
    assert_eq!(daemon.topic_stats("ped_delete")["message_count"], 1);
}

#[test]
fn a_deleted_topic_stays_away_after_a_restart() {
    let daemon = Daemon::with(&["--mem-queue-size=0"]);
    daemon.publish("gone", b"x");
    daemon.publish("stays", b"x");
    daemon.act("/topic/delete?topic=gone");
    let daemon = daemon.restart();
    assert!(daemon.topic_stats("gone").is_null());
    assert_eq!(daemon.topic_stats("stays")["depth"], 1);
    daemon.publish("gone", b"new");
    let mut client = daemon.subscribe("gone", "c");
    client.ready(10);
    client.expect_body("new");
    client.expect_silence();
}
