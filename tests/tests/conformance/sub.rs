//! SUB: nsqd-tcp.md §3.

use nsq_tests::{Daemon, each, shared};

#[test]
fn a_wrong_sub_is_fatal() {
    let daemon = shared();
    each(
        [
            ("no parameter", "SUB\n", "E_INVALID SUB insufficient number of parameters"),
            ("one parameter", "SUB t\n", "E_INVALID SUB insufficient number of parameters"),
            ("bad topic", "SUB t$ c\n", "E_BAD_TOPIC SUB topic name \"t$\" is not valid"),
            ("bad channel", "SUB t c$\n", "E_BAD_CHANNEL SUB channel name \"c$\" is not valid"),
            ("the topic is checked first", "SUB t$ c$\n", "E_BAD_TOPIC SUB topic name \"t$\" is not valid"),
            ("an empty channel", "SUB t \n", "E_BAD_CHANNEL SUB channel name \"\" is not valid"),
        ],
        |(_, line, error)| {
            let mut client = daemon.connect();
            client.send(line);
            client.expect_fatal(error);
        },
    );
}

#[test]
fn a_consumer_subscribes_once() {
    let daemon = shared();
    let mut client = daemon.subscribe("sub_once", "c");
    client.send("SUB sub_once d\n");
    client.expect_fatal("E_INVALID cannot SUB in current state");
}

#[test]
fn the_state_is_checked_before_the_parameters() {
    let daemon = shared();
    let mut client = daemon.subscribe("sub_order", "c");
    client.send("SUB\n");
    client.expect_fatal("E_INVALID cannot SUB in current state");
}

#[test]
fn a_consumer_needs_heartbeats() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.identify("\"heartbeat_interval\":-1");
    client.send("SUB\n");
    client.expect_fatal("E_INVALID cannot SUB with heartbeats disabled");
}

#[test]
fn subscribing_creates_topic_and_channel() {
    let daemon = shared();
    let _client = daemon.subscribe("sub_creates", "c");
    let channel = daemon.channel_stats("sub_creates", "c");
    assert_eq!((&channel["client_count"], &channel["depth"]), (&1.into(), &0.into()));
}

#[test]
fn the_ready_count_begins_at_zero() {
    let daemon = shared();
    daemon.publish("sub_zero", b"x");
    let mut client = daemon.subscribe("sub_zero", "c");
    client.expect_silence();
    assert_eq!(daemon.client_stats("sub_zero", "c", &client.address().to_string())["ready_count"], 0);
    client.ready(1);
    client.expect_body("x");
}

#[test]
fn a_channel_takes_no_more_consumers_than_allowed() {
    let daemon = Daemon::with(&["--max-channel-consumers=1"]);
    let first = daemon.subscribe("t", "c");
    let mut second = daemon.connect();
    second.send("SUB t c\n");
    second.expect_fatal("E_SUB_FAILED SUB failed consumers for t:c exceeds limit of 1");
    // The limit is each channel's own.
    let _other = daemon.subscribe("t", "d");
    drop(first);
    daemon.wait_for_channel("t", "c", "client_count", 0);
    let _third = daemon.subscribe("t", "c");
}

#[test]
fn a_publisher_may_subscribe_and_a_consumer_publish() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.publish("sub_both", b"before");
    client.subscribe("sub_both", "c");
    client.publish("sub_both", b"after");
    client.ready(1);
    let first = client.expect_message();
    client.finish(&first);
    client.expect_message();
}
