//! v1.3.0's own files: it fills a data directory, and the nsqd under test starts on it.

use std::path::PathBuf;

use nsq_tests::process::Signal;
use nsq_tests::{Client, Daemon, differences};

use crate::queue_files::{drain, queue_files, take};
use nsq_tests::daemon::new_directory;

/// The original, on a directory of its own; nothing where no path names it, or where it is under test itself.
fn original(flags: &[&str]) -> Option<Daemon> {
    let program =
        std::env::var_os("NSQD_PEER_PATH").map(PathBuf::from).filter(|_| !differences::is_original())?;
    let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    Some(Daemon::start_program_in(&program, new_directory(), flags))
}

/// The nsqd under test, on what the original leaves when it gets this signal.
fn take_over(original: Daemon, signal: Signal) -> Daemon {
    let stopped = original.end(signal);
    let daemon = stopped.start_with(&[]);
    assert_eq!(queue_files(daemon.directory()), Vec::<String>::new());
    daemon
}

fn bodies(messages: &[nsq_tests::Message]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8_lossy(&message.body).into_owned()).collect()
}

fn numbered(numbers: std::ops::Range<u32>) -> Vec<String> {
    // Some are longer than a file may be.
    let body =
        |number: u32| format!("{number:04}{}", "x".repeat(if number.is_multiple_of(10) { 3000 } else { 5 }));
    numbers.map(body).collect()
}

fn publish(client: &mut Client, topic: &str, bodies: &[String]) {
    for body in bodies {
        client.publish(topic, body.as_bytes());
    }
}

#[test]
fn what_a_stop_leaves_is_taken_over() {
    let Some(old) = original(&["--mem-queue-size=0", "--max-bytes-per-file=2000"]) else { return };
    for channel in ["consumed", "paused", "idle"] {
        old.act("/topic/create?topic=t");
        old.act(&format!("/channel/create?topic=t&channel={channel}"));
    }
    old.act("/channel/pause?topic=t&channel=paused");
    let mut publisher = old.connect();
    publish(&mut publisher, "t", &numbered(0..100));
    for channel in ["consumed", "paused", "idle"] {
        old.wait_for_channel("t", channel, "depth", 100);
    }
    let mut consumer = old.subscribe("t", "consumed");
    take(&mut consumer, 37);
    consumer.ready(1);
    let in_flight = consumer.expect_message();
    publish(&mut publisher, "bare", &numbered(200..205));
    publisher.publish_deferred("bare", 60_000, b"deferred");
    publisher.publish("gone#ephemeral", b"x");
    old.act("/topic/create?topic=held");
    old.act("/channel/create?topic=held&channel=c");
    old.act("/topic/pause?topic=held");
    publish(&mut publisher, "held", &numbered(300..320));
    let daemon = take_over(old, Signal::INT);

    assert_eq!(bodies(&drain(&daemon, "t", "idle", 100)), numbered(0..100));
    daemon.wait_for_channel("t", "paused", "depth", 100);
    daemon.act("/channel/unpause?topic=t&channel=paused");
    assert_eq!(bodies(&drain(&daemon, "t", "paused", 100)), numbered(0..100));
    let mut consumed = drain(&daemon, "t", "consumed", 63);
    let again = consumed.iter().position(|message| message.id == in_flight.id).expect("it was not finished");
    let again = consumed.remove(again);
    assert_eq!((again.timestamp_ns, again.attempts), (in_flight.timestamp_ns, in_flight.attempts + 1));
    assert_eq!(bodies(&consumed), numbered(38..100));
    daemon.act("/channel/create?topic=bare&channel=c");
    let mut bare = bodies(&drain(&daemon, "bare", "c", 6));
    bare.sort_unstable();
    let expected = [numbered(200..205), vec!["deferred".to_owned()]].concat();
    assert_eq!(bare, expected);
    assert_eq!(daemon.topic_stats("held")["depth"], 20);
    daemon.act("/topic/unpause?topic=held");
    assert_eq!(bodies(&drain(&daemon, "held", "c", 20)), numbered(300..320));
    assert!(daemon.topic_stats("gone#ephemeral").is_null());
}

#[test]
fn what_memory_held_at_a_stop_is_taken_over_in_both_parts() {
    let Some(old) = original(&["--mem-queue-size=20", "--max-bytes-per-file=2000"]) else { return };
    old.act("/topic/create?topic=t");
    for channel in ["a", "b"] {
        old.act(&format!("/channel/create?topic=t&channel={channel}"));
    }
    publish(&mut old.connect(), "t", &numbered(0..100));
    for channel in ["a", "b"] {
        old.wait_for_channel("t", channel, "depth", 100);
    }
    // From memory and disk at random.
    let taken = bodies(&take(&mut old.subscribe("t", "b"), 30));
    let daemon = take_over(old, Signal::INT);
    let mut all = bodies(&drain(&daemon, "t", "a", 100));
    all.sort_unstable();
    assert_eq!(all, numbered(0..100));
    let mut both = [taken, bodies(&drain(&daemon, "t", "b", 70))].concat();
    both.sort_unstable();
    assert_eq!(both, numbered(0..100));
}

#[test]
fn what_a_kill_leaves_is_taken_over_without_doubles() {
    for sync_every in ["1000000", "7"] {
        let sync = format!("--sync-every={sync_every}");
        let flags = ["--mem-queue-size=0", "--sync-timeout=1h", "--max-bytes-per-file=2000", &sync];
        let Some(old) = original(&flags) else { return };
        old.act("/topic/create?topic=t");
        for channel in ["a", "b"] {
            old.act(&format!("/channel/create?topic=t&channel={channel}"));
        }
        let mut publisher = old.connect();
        publish(&mut publisher, "t", &numbered(0..60));
        for channel in ["a", "b"] {
            old.wait_for_channel("t", channel, "depth", 60);
        }
        let taken = take(&mut old.subscribe("t", "b"), 25);
        old.wait_for_channel("t", "b", "in_flight_count", 0);
        let daemon = take_over(old, Signal::KILL);
        let mut all = bodies(&drain(&daemon, "t", "a", 60));
        all.sort_unstable();
        assert_eq!(all, numbered(0..60), "each once, though the topic's own file has some of them too");
        // Those that were finished since the last sync come again, as they do in v1.3.0.
        let depth = daemon.channel_stats("t", "b")["depth"].as_u64().expect("a number");
        assert!((35..=60).contains(&depth), "{depth}");
        let rest = bodies(&drain(&daemon, "t", "b", depth as usize));
        let mut both: Vec<String> = [bodies(&taken), rest].concat();
        both.sort_unstable();
        both.dedup();
        assert_eq!(both, numbered(0..60));
    }
}

#[test]
fn what_a_lowered_limit_set_aside_is_taken_over() {
    let flags = ["--mem-queue-size=0", "--max-bytes-per-file=8000"];
    let Some(old) = original(&flags) else { return };
    old.act("/topic/create?topic=t");
    old.act("/channel/create?topic=t&channel=c");
    publish(&mut old.connect(), "t", &numbered(5..15));
    old.wait_for_channel("t", "c", "depth", 10);
    let stopped = old.end(Signal::INT);
    let program = PathBuf::from(std::env::var_os("NSQD_PEER_PATH").expect("it was started"));
    let lowered = ["--mem-queue-size=0", "--max-msg-size=1000"];
    let old = Daemon::start_program_in(&program, stopped.directory, lowered.map(str::to_owned).to_vec());
    assert_eq!(bodies(&take(&mut old.subscribe("t", "c"), 5)), numbered(5..10));
    // It cannot read on, and throws away 4 messages because of one.
    old.wait_for_channel("t", "c", "depth", 0);
    let daemon = old.end(Signal::INT).start_with(&["--max-msg-size=1000"]);
    assert_eq!(bodies(&drain(&daemon, "t", "c", 5)), numbered(10..15));
}
