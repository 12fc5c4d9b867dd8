//! Messages as consumers get them, flushing and sampling: nsqd-tcp.md §5, §6 and §7.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nsq_tests::{Daemon, differences, each, shared};

fn unix_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(now.as_nanos()).expect("the year is before 2262")
}

#[test]
fn a_message_carries_the_time_of_its_publish() {
    let daemon = shared();
    let before = unix_ns();
    daemon.publish("delivery_time", b"x");
    let after = unix_ns();
    let mut client = daemon.subscribe("delivery_time", "c");
    client.ready(1);
    let message = client.expect_message();
    assert!((before..=after).contains(&message.timestamp_ns), "{before} {message:?} {after}");
}

#[test]
fn an_id_is_made_of_time_node_and_sequence() {
    let daemon = Daemon::with(&["--node-id=5"]);
    let mut client = daemon.subscribe("t", "c");
    client.publish_all("t", &["x"; 3]);
    client.ready(3);
    for _ in 0..3 {
        let message = client.expect_message();
        assert_eq!(message.id, message.id.to_lowercase());
        let id = u64::from_str_radix(&message.id, 16).expect("an id is hexadecimal");
        assert_eq!(id >> 12 & 0x3ff, 5, "the node of {}", message.id);
        let ticks = i64::try_from(id >> 22).expect("42 bits fit") + 1_288_834_974_288;
        let published = message.timestamp_ns >> 20;
        assert!((ticks - published).abs() <= 1_000, "{} is not of its time {published}", message.id);
    }
}

#[test]
fn ids_of_a_topic_grow() {
    let daemon = shared();
    let mut client = daemon.subscribe("delivery_ids", "c");
    client.publish_all("delivery_ids", &vec!["x"; 2_000]);
    client.ready(2_500);
    let ids: Vec<String> = (0..2_000).map(|_| client.expect_message().id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "an id is not above the one before");
}

#[test]
fn attempts_count_each_delivery() {
    let daemon = shared();
    let mut client = daemon.subscribe("delivery_attempts", "c");
    client.publish("delivery_attempts", b"x");
    client.ready(1);
    for attempts in 1..=20 {
        let message = client.expect_message();
        assert_eq!(message.attempts, attempts);
        client.requeue(&message, 0);
    }
}

#[test]
fn attempts_begin_anew_after_65535() {
    let daemon = shared();
    let mut client = daemon.subscribe("delivery_many_attempts", "c");
    client.publish("delivery_many_attempts", b"x");
    client.ready(1);
    let mut seen = 0;
    for expected in (1..=u16::MAX).chain([0, 1]) {
        let message = client.expect_message();
        seen += u32::from(message.attempts == expected);
        client.requeue(&message, 0);
    }
    assert_eq!(seen, 65_537);
}

#[test]
fn every_channel_gets_its_copy_with_attempts_of_its_own() {
    let daemon = shared();
    let mut first = daemon.subscribe("delivery_copies", "a");
    let mut second = daemon.subscribe("delivery_copies", "b");
    daemon.publish("delivery_copies", b"x");
    first.ready(1);
    let message = first.expect_message();
    first.requeue(&message, 0);
    let again = first.expect_message();
    second.ready(1);
    let copy = second.expect_message();
    assert_eq!((again.attempts, copy.attempts), (2, 1));
    assert_eq!((&copy.id, copy.timestamp_ns, &copy.body), (&message.id, message.timestamp_ns, &message.body));
    first.finish(&again);
    first.expect_nothing_answered();
    assert_eq!(daemon.channel_stats("delivery_copies", "b")["in_flight_count"], 1);
}

#[test]
fn consumers_of_a_channel_share_its_messages() {
    let daemon = shared();
    let mut consumers = [daemon.subscribe("delivery_shared", "c"), daemon.subscribe("delivery_shared", "c")];
    daemon.connect().publish_all("delivery_shared", &["x"; 10]);
    let mut ids = Vec::new();
    for consumer in &mut consumers {
        consumer.ready(5);
        ids.extend((0..5).map(|_| consumer.expect_message().id));
        consumer.expect_silence();
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 10);
}

#[test]
fn messages_come_in_publish_order_from_memory() {
    let daemon = shared();
    let mut client = daemon.subscribe("delivery_order", "c");
    for index in 0..50 {
        client.publish("delivery_order", format!("{index}").as_bytes());
    }
    client.ready(1);
    for index in 0..50 {
        let message = client.expect_body(format!("{index}"));
        client.finish(&message);
    }
}

#[test]
fn an_overflow_to_disk_loses_nothing() {
    let daemon = Daemon::with(&["--mem-queue-size=5"]);
    let mut client = daemon.connect();
    for index in 0..30 {
        client.publish("t", format!("{index:02}").as_bytes());
    }
    assert_eq!(daemon.topic_stats("t")["depth"], 30);
    client.subscribe("t", "c");
    client.ready(1);
    let mut bodies = Vec::new();
    for _ in 0..30 {
        let message = client.expect_message();
        client.finish(&message);
        bodies.push(String::from_utf8(message.body).expect("digits were published"));
    }
    if !differences::keeps_publish_order() {
        bodies.sort_unstable();
    }
    assert_eq!(bodies, (0..30).map(|index| format!("{index:02}")).collect::<Vec<_>>());
}

#[test]
fn without_a_memory_queue_the_order_is_publish_order() {
    let daemon = Daemon::with(&["--mem-queue-size=0"]);
    let mut client = daemon.connect();
    for index in 0..30 {
        client.publish("t", format!("{index}").as_bytes());
    }
    client.subscribe("t", "c");
    client.ready(1);
    for index in 0..30 {
        let message = client.expect_body(format!("{index}"));
        client.finish(&message);
    }
}

#[test]
fn what_does_not_fit_in_memory_counts_as_backend_depth() {
    let daemon = Daemon::with(&["--mem-queue-size=5"]);
    let mut client = daemon.connect();
    client.publish_all("t", &["x"; 12]);
    let topic = daemon.topic_stats("t");
    assert_eq!((&topic["depth"], &topic["backend_depth"]), (&12.into(), &7.into()));
}

#[test]
fn a_lone_message_is_flushed_at_once_when_it_fills_the_window() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.identify("\"output_buffer_timeout\":30000");
    client.subscribe("delivery_window", "c");
    client.ready(1);
    let started = Instant::now();
    client.publish("delivery_window", b"x");
    client.expect_message();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn a_message_waits_at_most_the_output_buffer_timeout() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.identify("\"output_buffer_timeout\":100");
    client.subscribe("delivery_buffer", "c");
    client.ready(100);
    let started = Instant::now();
    daemon.publish("delivery_buffer", b"x");
    client.expect_message();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn without_a_buffer_messages_go_out_at_once() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.identify("\"output_buffer_size\":-1");
    client.subscribe("delivery_unbuffered", "c");
    client.ready(100);
    let started = Instant::now();
    daemon.publish("delivery_unbuffered", b"x");
    client.expect_message();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn a_timeout_that_is_off_leaves_the_flush_to_the_daemon() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.identify("\"output_buffer_timeout\":-1,\"heartbeat_interval\":2000");
    client.subscribe("delivery_off", "c");
    client.ready(100);
    let started = Instant::now();
    daemon.publish("delivery_off", b"x");
    client.expect_message();
    let waited = started.elapsed();
    let prompt = waited < Duration::from_millis(1_000);
    assert_eq!(prompt, differences::flushes_when_nothing_more_is_ready(), "{waited:?}");
}

#[test]
fn a_response_takes_the_buffered_messages_along() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.identify("\"output_buffer_timeout\":30000");
    client.subscribe("delivery_along", "c");
    client.ready(100);
    daemon.publish("delivery_along", b"x");
    daemon.wait_for_channel("delivery_along", "c", "in_flight_count", 1);
    client.send("CLS\n");
    client.expect_body("x");
    client.expect_response("CLOSE_WAIT");
}

#[test]
fn a_slow_reader_gets_everything_in_the_end() {
    let daemon = shared();
    let body = vec![b'x'; 100_000];
    let mut client = daemon.subscribe("delivery_slow", "c");
    client.ready(200);
    let mut publisher = daemon.connect();
    for _ in 0..200 {
        publisher.publish("delivery_slow", &body);
    }
    for _ in 0..200 {
        let message = client.expect_message();
        assert_eq!(message.body.len(), body.len());
        client.finish(&message);
    }
    daemon.wait_for_channel("delivery_slow", "c", "in_flight_count", 0);
}

#[test]
fn a_sample_rate_keeps_its_part_and_drops_the_rest() {
    let daemon = shared();
    let total = 4_000_u32;
    each([("1 %", 1), ("30 %", 30), ("99 %", 99)], |(_, rate)| {
        let topic = format!("delivery_sample_{rate}");
        let mut publisher = daemon.connect();
        publisher.publish_all(&topic, &vec!["x"; total as usize]);
        let mut client = daemon.connect();
        client.identify(&format!("\"sample_rate\":{rate}"));
        client.subscribe(&topic, "c");
        client.ready(2_500);
        let mut delivered = 0;
        loop {
            if let Some(frame) = client.poll_frame(Duration::from_millis(400)) {
                let message = frame.message();
                client.finish(&message);
                delivered += 1;
            } else if daemon.channel_stats(&topic, "c")["depth"] == 0 {
                break;
            }
            assert!(delivered <= total, "more came than was published");
        }
        let expected = f64::from(total * differences::sampled_percentage(*rate)) / 100.0;
        // Five standard deviations of the binomial distribution.
        let spread = 5.0 * (expected * (1.0 - expected / f64::from(total))).sqrt();
        assert!(
            (f64::from(delivered) - expected).abs() <= spread,
            "{delivered} of {total}, not {expected:.0}"
        );
        daemon.wait_for_channel(&topic, "c", "in_flight_count", 0);
        let channel = daemon.channel_stats(&topic, "c");
        assert_eq!((&channel["depth"], &channel["requeue_count"]), (&0.into(), &0.into()));
        assert_eq!(channel["message_count"], total);
    });
}
