//! Deferred messages after SIGKILL: without a memory queue they are there, and come at their time.

use std::time::{Duration, Instant};

use nsq_tests::process::Signal;
use nsq_tests::raw::with_body;
use nsq_tests::{Daemon, Level, differences, each};

const SOON: Duration = Duration::from_secs(4);
const SOON_COUNT: u64 = 20;
const LATE_COUNT: u64 = 10;

#[test]
fn a_kill_keeps_deferred_messages_and_their_time() {
    if !differences::survives_kill_without_memory_queue() {
        return;
    }
    each(Level::DURABLE, |level| {
        let mut daemon = Daemon::with(level.flags());
        daemon.act("/topic/create?topic=t");
        for channel in ["c", "d"] {
            daemon.act(&format!("/channel/create?topic=t&channel={channel}"));
        }
        let mut publisher = daemon.connect();
        let earliest = Instant::now() + SOON;
        for number in 0..LATE_COUNT {
            publisher.publish_deferred("t", 3_600_000, format!("late {number}").as_bytes());
        }
        for number in 0..SOON_COUNT {
            let line = format!("DPUB t {}", SOON.as_millis());
            publisher.send(with_body(&line, format!("soon {number:02}")));
        }
        (0..SOON_COUNT).for_each(|_| publisher.expect_response("OK"));
        let latest = Instant::now() + SOON + differences::lateness_max();
        // The second kill finds what the first start has made of it.
        for _ in 0..2 {
            daemon = daemon.kill().start_again();
            for channel in ["c", "d"] {
                let stats = daemon.channel_stats("t", channel);
                let counts = ["depth", "deferred_count", "in_flight_count"].map(|key| stats[key].as_u64());
                assert_eq!(counts, [Some(0), Some(SOON_COUNT + LATE_COUNT), Some(0)], "{stats}");
            }
        }
        for channel in ["c", "d"] {
            let mut consumer = daemon.subscribe("t", channel);
            consumer.ready(100);
            let mut bodies = Vec::new();
            for _ in 0..SOON_COUNT {
                let message = consumer.expect_message();
                let now = Instant::now();
                assert!(now >= earliest, "{message:?} came {:?} too early", earliest - now);
                // The second channel is looked at when the first is done.
                assert!(channel == "d" || now <= latest, "{message:?} came {:?} too late", now - latest);
                assert_eq!(message.attempts, 1, "{message:?}");
                consumer.finish(&message);
                bodies.push(String::from_utf8(message.body).expect("text was published"));
            }
            bodies.sort_unstable();
            let expected: Vec<String> = (0..SOON_COUNT).map(|number| format!("soon {number:02}")).collect();
            assert_eq!(bodies, expected);
            consumer.expect_silence();
            assert_eq!(daemon.channel_stats("t", channel)["deferred_count"], LATE_COUNT);
        }
    });
}

#[test]
fn a_message_that_waits_for_a_channel_keeps_its_delay_over_a_kill() {
    if !differences::survives_kill_without_memory_queue() {
        return;
    }
    each(Level::DURABLE, |level| {
        let daemon = Daemon::with(level.flags());
        daemon.connect().publish_deferred("t", 1_000, b"x");
        let daemon = daemon.kill().start_again();
        daemon.wait_for_topic("t", "depth", 1);
        // The delay begins when the first channel gets it.
        let began = Instant::now();
        let mut consumer = daemon.subscribe("t", "c");
        consumer.ready(1);
        consumer.expect_body("x");
        let waited = began.elapsed();
        assert!(waited >= Duration::from_secs(1), "{waited:?} is early");
    });
}

#[test]
fn a_due_time_that_passed_while_the_daemon_was_down_is_now() {
    if !differences::survives_kill_without_memory_queue() {
        return;
    }
    each(Level::DURABLE, |level| {
        let daemon = Daemon::with(level.flags());
        daemon.act("/topic/create?topic=t");
        daemon.act("/channel/create?topic=t&channel=c");
        daemon.connect().publish_deferred("t", 300, b"x");
        let due = Instant::now() + Duration::from_millis(300);
        // A daemon that is stopped by the system does nothing until it is killed.
        daemon.process().signal(Signal::STOP);
        while Instant::now() < due {
            std::thread::park_timeout(due - Instant::now());
        }
        let daemon = daemon.kill().start_again();
        let mut consumer = daemon.subscribe("t", "c");
        consumer.ready(1);
        consumer.expect_body("x");
        assert_eq!(daemon.channel_stats("t", "c")["deferred_count"], 0);
    });
}
