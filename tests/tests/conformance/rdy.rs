//! RDY: nsqd-tcp.md §3 and §7.1. How counts are parsed: `framing`.

use nsq_tests::{Daemon, each, shared};

#[test]
fn rdy_needs_a_subscription() {
    let daemon = shared();
    each(["RDY\n", "RDY 1\n", "RDY x\n"], |line| {
        let mut client = daemon.connect();
        client.send(line);
        client.expect_fatal("E_INVALID cannot RDY in current state");
    });
}

#[test]
fn a_missing_count_is_one() {
    let daemon = shared();
    let mut client = daemon.subscribe("rdy_missing", "c");
    client.publish("rdy_missing", b"x");
    client.publish("rdy_missing", b"y");
    client.send("RDY\n");
    client.expect_message();
    client.expect_silence();
    assert_eq!(daemon.client_stats("rdy_missing", "c", &client.address().to_string())["ready_count"], 1);
}

#[test]
fn the_limit_is_an_option() {
    let daemon = Daemon::with(&["--max-rdy-count=3"]);
    let mut client = daemon.subscribe("t", "c");
    client.send("RDY 3\n");
    client.expect_nothing_answered();
    client.send("RDY 4\n");
    client.expect_fatal("E_INVALID RDY count 4 out of range 0-3");
}

#[test]
fn a_closing_consumer_s_rdy_is_ignored() {
    let daemon = Daemon::start();
    let mut client = daemon.subscribe("t", "c");
    client.send("CLS\n");
    client.expect_response("CLOSE_WAIT");
    client.send("RDY 1\nRDY x\nRDY 999999\n");
    client.publish("t", b"x");
    client.expect_silence();
    assert_eq!(daemon.client_stats("t", "c", &client.address().to_string())["ready_count"], 0);
}

#[test]
fn the_count_is_a_window_and_not_used_up() {
    let daemon = shared();
    let mut client = daemon.subscribe("rdy_window", "c");
    client.publish_all("rdy_window", &["a", "b", "c", "d"]);
    client.ready(2);
    let first = client.expect_message();
    let second = client.expect_message();
    client.expect_silence();
    let address = client.address().to_string();
    let record = daemon.client_stats("rdy_window", "c", &address);
    assert_eq!((&record["ready_count"], &record["in_flight_count"]), (&2.into(), &2.into()));
    client.finish(&first);
    client.expect_message();
    client.expect_silence();
    client.finish(&second);
    client.expect_message();
}

#[test]
fn a_smaller_count_recalls_nothing() {
    let daemon = shared();
    let mut client = daemon.subscribe("rdy_smaller", "c");
    client.publish_all("rdy_smaller", &["a", "b", "c"]);
    client.ready(2);
    let messages = [client.expect_message(), client.expect_message()];
    client.ready(1);
    client.finish(&messages[0]);
    client.expect_silence();
    client.finish(&messages[1]);
    client.expect_message();
    let channel = daemon.channel_stats("rdy_smaller", "c");
    assert_eq!((&channel["in_flight_count"], &channel["depth"]), (&1.into(), &0.into()));
}

#[test]
fn zero_stops_the_flow() {
    let daemon = shared();
    let mut client = daemon.subscribe("rdy_stop", "c");
    client.ready(5);
    client.ready(0);
    client.expect_nothing_answered();
    daemon.publish("rdy_stop", b"x");
    client.expect_silence();
    client.ready(1);
    client.expect_body("x");
}

#[test]
fn a_requeue_makes_room_for_the_next() {
    let daemon = shared();
    let mut client = daemon.subscribe("rdy_requeue", "c");
    client.publish("rdy_requeue", b"x");
    client.ready(1);
    let message = client.expect_message();
    client.requeue(&message, 0);
    assert_eq!(client.expect_body("x").attempts, 2);
}
