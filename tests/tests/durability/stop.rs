//! A clean stop (SIGTERM) with messages in every state, in many topics: all are there afterwards, as they were.

use std::time::{Duration, Instant};

use nsq_tests::raw::{batch, with_body};
use nsq_tests::report::report;
use nsq_tests::{Client, Daemon, Level, differences, each};

const TOPICS: usize = 50;
const READY: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const IN_FLIGHT: [&str; 3] = ["held once", "held twice", "held too"];
const DELAY: Duration = Duration::from_secs(4);

/// When what is deferred is due, at the earliest and as far as the test knows at the latest.
struct Due {
    published: (Instant, Instant),
    requeued: (Instant, Instant),
}

#[test]
fn a_stop_keeps_every_message_of_many_topics_as_it_was() {
    each(Level::ALL, |level| {
        let daemon = Daemon::with(level.flags());
        let mut clients = Vec::new();
        let dues: Vec<Due> = (0..TOPICS).map(|topic| fill(&daemon, &name(topic), &mut clients)).collect();
        let stopped = daemon.stop();
        drop(clients);
        let daemon = stopped.start_again();
        for topic in (0..TOPICS).map(name) {
            let stats = daemon.channel_stats(&topic, "c");
            let deferred = stats["deferred_count"].as_u64().expect("it is a count");
            let depth = stats["depth"].as_u64().expect("it is a count");
            assert_eq!(depth + deferred, (READY.len() + IN_FLIGHT.len() + 4) as u64, "{stats}");
        }
        std::thread::scope(|scope| {
            for (topic, due) in dues.iter().enumerate() {
                let daemon = &daemon;
                scope.spawn(move || expect_all(daemon, &name(topic), due));
            }
        });
        for topic in (0..TOPICS).map(name) {
            daemon.wait_for_channel(&topic, "c", "in_flight_count", 0);
            let stats = daemon.channel_stats(&topic, "c");
            assert_eq!((&stats["depth"], &stats["deferred_count"]), (&0.into(), &0.into()), "{stats}");
        }
    });
}

#[test]
fn a_start_says_what_was_kept() {
    if differences::is_original() {
        return;
    }
    let daemon = Daemon::start();
    daemon.connect().publish_all("alone", &["waits for a channel"]);
    daemon.act("/topic/create?topic=t");
    for channel in ["c", "d"] {
        daemon.act(&format!("/channel/create?topic=t&channel={channel}"));
    }
    daemon.connect().publish_all("t", &["a", "b"]);
    daemon.connect().publish_deferred("t", 60_000, b"later");
    daemon.wait_for_channel("t", "d", "deferred_count", 1);
    let daemon = daemon.restart();
    let kept = " INFO: NSQ: loaded 2 topic(s) with 1 message(s) and 2 channel(s) with 4, 2 more deferred";
    let log = daemon.process().log_lines();
    assert!(log.iter().any(|line| line.ends_with(kept)), "{log:?}");
}

#[test]
fn a_stop_keeps_what_is_in_memory_though_the_disk_is_nearly_full() {
    // More than any disk has is to stay free.
    let daemon = Daemon::with(&["--mem-queue-size=10", "--min-free-disk=1000000000000000000"]);
    daemon.act("/topic/create?topic=t");
    daemon.act("/channel/create?topic=t&channel=c");
    for number in 0..10 {
        assert_eq!(daemon.post("/pub?topic=t", number.to_string()).status, 200);
    }
    let daemon = daemon.stop().start_again();
    assert_eq!(daemon.channel_stats("t", "c")["depth"], 10);
}

fn name(topic: usize) -> String {
    format!("topic_{topic}")
}

/// Leaves messages in every state. The consumers stay until the stop: what they hold is in flight.
fn fill(daemon: &Daemon, topic: &str, clients: &mut Vec<Client>) -> Due {
    let mut consumer = daemon.subscribe(topic, "c");
    consumer.publish_all(topic, &["requeued", "requeued, waits"]);
    consumer.ready(2);
    let mut messages = [consumer.expect_message(), consumer.expect_message()];
    messages.sort_by(|one, other| one.body.cmp(&other.body));
    consumer.ready(0);
    consumer.requeue(&messages[0], 0);
    let requeued_at = Instant::now();
    consumer.requeue(&messages[1], DELAY.as_millis() as u64);
    consumer.expect_nothing_answered();
    let requeued = (requeued_at + DELAY, Instant::now() + DELAY);

    let mut holder = daemon.subscribe(topic, "c");
    // What was requeued is taken out of the way, and goes back when the rest is in flight.
    holder.ready(1);
    let first = holder.expect_body("requeued");
    holder.publish_all(topic, &IN_FLIGHT);
    holder.ready(1 + IN_FLIGHT.len() as u32);
    let mut held: Vec<_> = IN_FLIGHT.iter().map(|_| holder.expect_message()).collect();
    let twice = held.iter().position(|message| message.body == b"held twice").expect("it came");
    holder.requeue(&held[twice], 0);
    held[twice] = holder.expect_body("held twice");
    holder.ready(0);
    holder.requeue(&first, 0);
    let published_at = Instant::now();
    let delay_ms = DELAY.as_millis();
    holder.send(with_body(&format!("DPUB {topic} {delay_ms}"), "deferred"));
    holder.send(with_body(&format!("DPUB {topic} 3600000"), "deferred for long"));
    holder.send(with_body(&format!("MPUB {topic}"), batch(&READY)));
    (0..3).for_each(|_| holder.expect_response("OK"));
    clients.extend([consumer, holder]);
    Due { published: (published_at + DELAY, Instant::now() + DELAY), requeued }
}

/// Gets and finishes what `fill` left, but for what is deferred for long.
fn expect_all(daemon: &Daemon, topic: &str, due: &Due) {
    let mut consumer = daemon.subscribe(topic, "c");
    let began = Instant::now();
    consumer.ready(100);
    let count = READY.len() + IN_FLIGHT.len() + if differences::delays_are_kept() { 3 } else { 4 };
    let mut came = Vec::new();
    for _ in 0..count {
        let message = consumer.expect_message();
        let now = Instant::now();
        consumer.finish(&message);
        let body = String::from_utf8(message.body).expect("text was published");
        let due = match body.as_str() {
            "deferred" => Some(due.published),
            "requeued, waits" => Some(due.requeued),
            _ => None,
        };
        if let Some((earliest, latest)) = due.filter(|_| differences::delays_are_kept()) {
            assert!(now >= earliest, "{topic}: {body} came {:?} too early", earliest - now);
            let latest = latest.max(began) + differences::lateness_max();
            assert!(now <= latest, "{topic}: {body} came {:?} too late", now - latest);
        }
        came.push((body, message.attempts));
    }
    consumer.expect_nothing_answered();
    let attempts = |body: &str| came.iter().find(|(came, _)| came == body).map(|(_, attempts)| *attempts);
    let expected = [
        ("held once", 2),
        ("held twice", 3),
        ("held too", 2),
        ("requeued", 3),
        ("requeued, waits", 2),
        ("deferred", 1),
    ];
    for (body, expected) in expected {
        assert_eq!(attempts(body), Some(expected), "{topic}: {body} in {came:?}");
    }
    let ready: Vec<&str> =
        came.iter().map(|(body, _)| body.as_str()).filter(|body| body.len() == 1).collect();
    if differences::keeps_publish_order() {
        assert_eq!(ready, READY, "{topic}");
    }
    assert!(READY.iter().all(|body| attempts(body) == Some(1)), "{topic}: {came:?}");
    if differences::delays_are_kept() {
        let stats = daemon.channel_stats(topic, "c");
        assert_eq!(stats["deferred_count"], 1, "{stats}");
        daemon.act(&format!("/channel/empty?topic={topic}&channel=c"));
    }
}

#[test]
#[ignore = "takes long in a debug build: a million messages"]
fn a_stop_with_a_million_messages_in_memory_keeps_them() {
    const MESSAGES: usize = 1_000_000;
    const BATCH: usize = 1_000;
    let flags = [format!("--mem-queue-size={MESSAGES}")];
    let daemon = Daemon::with(&flags.each_ref().map(String::as_str)).with_patience(Duration::from_secs(120));
    daemon.act("/topic/create?topic=t");
    daemon.act("/channel/create?topic=t&channel=c");
    let bodies = vec!["x".repeat(200); BATCH];
    let mut publisher = daemon.connect();
    let command = with_body("MPUB t", batch(&bodies));
    for _ in 0..MESSAGES / BATCH {
        publisher.send(&command);
        publisher.expect_response("OK");
    }
    daemon.wait_for_channel("t", "c", "depth", MESSAGES as u64);
    let began = Instant::now();
    let stopped = daemon.stop();
    let stopping = began.elapsed();
    let began = Instant::now();
    let daemon = stopped.start_again();
    let starting = began.elapsed();
    report(format_args!(
        "stop with {MESSAGES} messages of 200 bytes: {stopping:?}, start after it: {starting:?}"
    ));
    daemon.wait_for_channel("t", "c", "depth", MESSAGES as u64);
    let mut consumer = daemon.subscribe("t", "c");
    consumer.ready(1);
    assert_eq!(consumer.expect_message().body, bodies[0].as_bytes());
}
