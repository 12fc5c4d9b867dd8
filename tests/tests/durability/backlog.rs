//! A start with a large backlog: how long until the daemon answers, and until the first message comes.

use std::time::{Duration, Instant};

use nsq_tests::raw::{batch, with_body};
use nsq_tests::report::report;
use nsq_tests::{Daemon, Level, differences};

const BYTES: usize = 1 << 30;
const BODY: usize = 1_000;
const BATCH: usize = 1_000;

/// Longer than any start or stop should take.
const LONG: Duration = Duration::from_secs(300);

#[test]
#[ignore = "writes two GiB"]
fn a_start_with_a_gibibyte_of_backlog_after_a_kill_and_after_a_stop() {
    let daemon = Daemon::with(Level::Os.flags()).with_patience(LONG);
    daemon.act("/topic/create?topic=t");
    daemon.act("/channel/create?topic=t&channel=c");
    let mut publisher = daemon.connect();
    let count = BYTES / BODY / BATCH;
    let began = Instant::now();
    let bodies: Vec<String> = (0..BATCH).map(|index| format!("{index:04} ").repeat(BODY / 5)).collect();
    let command = with_body("MPUB t", batch(&bodies));
    for _ in 0..count {
        publisher.send(&command);
        publisher.expect_response("OK");
    }
    report(format_args!("backlog: {} messages of {BODY} bytes in {:?}", count * BATCH, began.elapsed()));
    let daemon = start_and_report("kill", || daemon.kill().start_again(), &bodies, count);
    start_and_report("stop", || daemon.stop().start_again(), &bodies, count);
}

fn start_and_report(what: &str, restart: impl FnOnce() -> Daemon, bodies: &[String], count: usize) -> Daemon {
    let before = Instant::now();
    let daemon = restart();
    let listening = before.elapsed();
    let ping = daemon.get("/ping");
    assert_eq!((ping.status, ping.text()), (200, "OK"));
    let answered = before.elapsed();
    let mut consumer = daemon.subscribe("t", "c");
    consumer.ready(1);
    let first = consumer.expect_message_within(LONG);
    let delivered = before.elapsed();
    report(format_args!(
        "backlog: {what}, then start: listens after {listening:?}, /ping {answered:?}, first message {delivered:?}"
    ));
    if differences::survives_kill_without_memory_queue() {
        assert_eq!(first.body, bodies[0].as_bytes());
        assert_eq!(daemon.channel_stats("t", "c")["depth"].as_u64(), Some((count * BATCH - 1) as u64));
    }
    daemon
}
