//! Message timeouts, TOUCH, delays and lost connections: nsqd-tcp.md §7.2 to §7.5.
//!
//! Nothing may fire early; how late it may be is in `differences`.

use std::time::{Duration, Instant};

use nsq_tests::raw::with_body;
use nsq_tests::{Client, Daemon, differences, shared};

/// Asserts that `what` took at least `least` and no more than the allowed lateness.
fn assert_due(what: &str, waited: Duration, least: Duration) {
    assert!(waited >= least, "{what} after {waited:?} is early");
    assert!(waited <= least + differences::lateness_max(), "{what} after {waited:?} is late");
}

/// A consumer whose messages time out after a second.
fn impatient(daemon: &Daemon, topic: &str) -> Client {
    let mut client = daemon.connect();
    client.identify("\"msg_timeout\":1000");
    client.subscribe(topic, "c");
    client
}

#[test]
fn a_message_that_is_not_settled_in_time_comes_again() {
    let daemon = shared();
    let mut client = impatient(&daemon, "timeouts_again");
    client.publish("timeouts_again", b"x");
    let sent = Instant::now();
    client.ready(1);
    let first = client.expect_message();
    let second = client.expect_message();
    assert_due("the second delivery", sent.elapsed(), Duration::from_secs(1));
    assert_eq!((second.id.as_str(), second.attempts), (first.id.as_str(), 2));
    let channel = daemon.channel_stats("timeouts_again", "c");
    assert_eq!((&channel["timeout_count"], &channel["requeue_count"]), (&1.into(), &0.into()));
    assert_eq!((&channel["in_flight_count"], &channel["message_count"]), (&1.into(), &1.into()));
    let record = daemon.client_stats("timeouts_again", "c", &client.address().to_string());
    assert_eq!((&record["in_flight_count"], &record["message_count"]), (&1.into(), &2.into()));
}

#[test]
fn after_its_timeout_a_message_is_no_longer_the_client_s() {
    let daemon = shared();
    let mut client = impatient(&daemon, "timeouts_late");
    client.publish("timeouts_late", b"x");
    client.ready(1);
    let message = client.expect_message();
    client.ready(0);
    daemon.wait_for_channel("timeouts_late", "c", "timeout_count", 1);
    assert_eq!(daemon.channel_stats("timeouts_late", "c")["depth"], 1);
    client.finish(&message);
    client.expect_error(format!("E_FIN_FAILED FIN {} failed ID not in flight", message.id));
    client.requeue(&message, 0);
    client.expect_error(format!("E_REQ_FAILED REQ {} failed ID not in flight", message.id));
    client.send(format!("TOUCH {}\n", message.id));
    client.expect_error(format!("E_TOUCH_FAILED TOUCH {} failed ID not in flight", message.id));
    let record = daemon.client_stats("timeouts_late", "c", &client.address().to_string());
    assert_eq!(record["in_flight_count"], 0);
}

#[test]
fn the_default_timeout_is_an_option() {
    let daemon = Daemon::with(&["--msg-timeout=1s"]);
    let mut client = daemon.subscribe("t", "c");
    client.publish("t", b"x");
    let sent = Instant::now();
    client.ready(1);
    client.expect_message();
    assert_eq!(client.expect_message().attempts, 2);
    assert_due("the second delivery", sent.elapsed(), Duration::from_secs(1));
}

#[test]
fn touch_begins_the_timeout_anew() {
    let daemon = shared();
    let mut client = impatient(&daemon, "timeouts_touch");
    client.publish("timeouts_touch", b"x");
    client.ready(1);
    let message = client.expect_message();
    let delivered = Instant::now();
    let mut touched = delivered;
    while delivered.elapsed() < Duration::from_millis(2_500) {
        touched = Instant::now();
        client.send(format!("TOUCH {}\n", message.id));
        assert!(client.poll_frame(Duration::from_millis(200)).is_none(), "a touched message came again");
    }
    assert_eq!(client.expect_message().attempts, 2);
    assert_due("the second delivery", touched.elapsed(), Duration::from_secs(1));
    assert_eq!(daemon.channel_stats("timeouts_touch", "c")["timeout_count"], 1);
}

#[test]
fn touching_ends_at_the_longest_timeout() {
    let daemon = Daemon::with(&["--max-msg-timeout=2s"]);
    let mut client = impatient(&daemon, "t");
    client.publish("t", b"x");
    let sent = Instant::now();
    client.ready(1);
    let message = client.expect_message();
    let again = loop {
        client.send(format!("TOUCH {}\n", message.id));
        if let Some(frame) = client.poll_frame(Duration::from_millis(300)) {
            break frame;
        }
        assert!(sent.elapsed() < Duration::from_secs(20), "the message never came again");
    };
    assert_eq!(again.kind, 2, "{again:?}");
    assert_due("the second delivery", sent.elapsed(), Duration::from_secs(2));
}

#[test]
fn a_deferred_message_comes_when_its_delay_is_over() {
    let daemon = shared();
    let mut client = daemon.subscribe("timeouts_deferred", "c");
    client.ready(1);
    let published = Instant::now();
    client.publish_deferred("timeouts_deferred", 500, b"x");
    let message = client.expect_body("x");
    assert_due("the message", published.elapsed(), Duration::from_millis(500));
    assert_eq!(message.attempts, 1);
    let channel = daemon.channel_stats("timeouts_deferred", "c");
    assert_eq!((&channel["deferred_count"], &channel["requeue_count"]), (&0.into(), &0.into()));
}

#[test]
fn messages_deferred_in_one_piece_come_each_at_its_time() {
    let daemon = shared();
    let mut client = daemon.subscribe("timeouts_piece", "c");
    let mut publisher = daemon.connect();
    let piece: Vec<u8> = [("400", "late"), ("0", "now"), ("200", "soon")]
        .iter()
        .flat_map(|(delay, body)| with_body(&format!("DPUB timeouts_piece {delay}"), body))
        .collect();
    let sent = Instant::now();
    publisher.send(piece);
    (0..3).for_each(|_| publisher.expect_response("OK"));
    client.ready(3);
    for (delay, body) in [(0, "now"), (200, "soon"), (400, "late")] {
        let message = client.expect_message();
        assert_eq!(message.body, body.as_bytes());
        assert_due(body, sent.elapsed(), Duration::from_millis(delay));
        client.finish(&message);
    }
}

#[test]
fn a_deferred_message_waits_in_every_channel() {
    let daemon = shared();
    let mut consumers = [daemon.subscribe("timeouts_both", "a"), daemon.subscribe("timeouts_both", "b")];
    let published = Instant::now();
    daemon.connect().publish_deferred("timeouts_both", 300, b"x");
    for consumer in &mut consumers {
        consumer.ready(1);
        consumer.expect_body("x");
        assert_due("the message", published.elapsed(), Duration::from_millis(300));
    }
}

#[test]
fn a_delay_begins_when_a_channel_gets_the_message() {
    let daemon = shared();
    daemon.connect().publish_deferred("timeouts_later", 500, b"x");
    let topic = daemon.topic_stats("timeouts_later");
    assert_eq!((&topic["depth"], &topic["message_count"]), (&1.into(), &1.into()));
    let subscribed = Instant::now();
    let mut client = daemon.subscribe("timeouts_later", "c");
    client.ready(1);
    client.expect_body("x");
    assert_due("the message", subscribed.elapsed(), Duration::from_millis(500));
}

#[test]
fn a_paused_topic_does_not_begin_a_delay() {
    let daemon = shared();
    let mut client = daemon.subscribe("timeouts_paused", "c");
    client.ready(1);
    daemon.act("/topic/pause?topic=timeouts_paused");
    daemon.connect().publish_deferred("timeouts_paused", 400, b"x");
    assert!(client.poll_frame(Duration::from_millis(600)).is_none(), "a paused topic released a message");
    let unpaused = Instant::now();
    daemon.act("/topic/unpause?topic=timeouts_paused");
    client.expect_body("x");
    assert_due("the message", unpaused.elapsed(), Duration::from_millis(400));
}

#[test]
fn a_deferred_message_lets_others_pass() {
    let daemon = shared();
    let mut client = daemon.subscribe("timeouts_pass", "c");
    client.ready(1);
    client.publish_deferred("timeouts_pass", 300, b"deferred");
    daemon.wait_for_channel("timeouts_pass", "c", "deferred_count", 1);
    daemon.publish("timeouts_pass", b"at once");
    let message = client.expect_body("at once");
    client.finish(&message);
    client.expect_body("deferred");
}

#[test]
fn http_defers_as_dpub_does() {
    let daemon = shared();
    let mut client = daemon.subscribe("timeouts_http", "c");
    client.ready(1);
    let published = Instant::now();
    daemon.post("/pub?topic=timeouts_http&defer=400", "x").expect_ok();
    client.expect_body("x");
    assert_due("the message", published.elapsed(), Duration::from_millis(400));
}

#[test]
fn an_overflow_to_disk_keeps_the_delay_or_loses_it() {
    let daemon = Daemon::with(&["--mem-queue-size=1"]);
    let mut client = daemon.connect();
    client.publish("t", b"in memory");
    client.publish_deferred("t", 2_000, b"x");
    client.subscribe("t", "c");
    client.ready(2);
    let started = Instant::now();
    let mut deferred_after = None;
    for _ in 0..2 {
        if client.expect_message().body == b"x" {
            deferred_after = Some(started.elapsed());
        }
    }
    let waited = deferred_after.expect("the deferred message is one of the two");
    if differences::delays_are_kept() {
        assert_due("the message", waited, Duration::from_secs(2));
    } else {
        assert!(waited < Duration::from_millis(1_900), "{waited:?}");
    }
}

#[test]
fn messages_of_a_lost_connection_come_again() {
    let daemon = shared();
    let mut lost = impatient(&daemon, "timeouts_lost");
    lost.publish("timeouts_lost", b"x");
    let sent = Instant::now();
    lost.ready(1);
    let first = lost.expect_message();
    drop(lost);
    daemon.wait_for_channel("timeouts_lost", "c", "client_count", 0);
    let mut client = daemon.subscribe("timeouts_lost", "c");
    client.ready(1);
    let second = client.expect_message();
    let waited = sent.elapsed();
    if differences::lost_connection_requeues_at_once() {
        assert!(waited < Duration::from_millis(900), "{waited:?}");
    } else {
        assert_due("the second delivery", waited, Duration::from_secs(1));
    }
    assert_eq!((second.id, second.attempts), (first.id, 2));
    let channel = daemon.channel_stats("timeouts_lost", "c");
    assert_eq!((&channel["timeout_count"], &channel["requeue_count"]), (&1.into(), &0.into()));
}

#[test]
fn messages_of_a_lost_connection_wait_for_their_timeout_where_they_are_told_to() {
    // The original always lets them wait, and has no such flag.
    let flags: &[&str] = if differences::is_original() { &[] } else { &["--requeue-on-disconnect=false"] };
    let daemon = Daemon::with(flags);
    let mut lost = impatient(&daemon, "t");
    lost.publish("t", b"x");
    lost.ready(1);
    let sent = Instant::now();
    let first = lost.expect_message();
    drop(lost);
    daemon.wait_for_channel("t", "c", "client_count", 0);
    let mut client = daemon.subscribe("t", "c");
    client.ready(1);
    let second = client.expect_message();
    assert_due("the second delivery", sent.elapsed(), Duration::from_secs(1));
    assert_eq!((second.id, second.attempts), (first.id, 2));
}

#[test]
fn a_closed_consumer_s_messages_come_again() {
    let daemon = shared();
    let mut closing = impatient(&daemon, "timeouts_closed");
    closing.publish("timeouts_closed", b"x");
    closing.ready(1);
    closing.expect_message();
    closing.send("CLS\n");
    closing.expect_response("CLOSE_WAIT");
    drop(closing);
    let mut client = daemon.subscribe("timeouts_closed", "c");
    client.ready(1);
    assert_eq!(client.expect_message().attempts, 2);
}

#[test]
fn a_failed_consumer_s_messages_come_again() {
    let daemon = shared();
    let mut failing = impatient(&daemon, "timeouts_failed");
    failing.publish("timeouts_failed", b"x");
    failing.ready(1);
    failing.expect_message();
    failing.send("WRONG\n");
    failing.expect_fatal("E_INVALID invalid command WRONG");
    let mut client = daemon.subscribe("timeouts_failed", "c");
    client.ready(1);
    assert_eq!(client.expect_message().attempts, 2);
}

#[test]
fn a_message_times_out_on_a_paused_channel_too() {
    let daemon = shared();
    let mut client = impatient(&daemon, "timeouts_on_paused");
    client.publish("timeouts_on_paused", b"x");
    client.ready(1);
    client.expect_message();
    daemon.act("/channel/pause?topic=timeouts_on_paused&channel=c");
    daemon.wait_for_channel("timeouts_on_paused", "c", "timeout_count", 1);
    client.expect_silence();
    let channel = daemon.channel_stats("timeouts_on_paused", "c");
    assert_eq!((&channel["depth"], &channel["in_flight_count"]), (&1.into(), &0.into()));
}
