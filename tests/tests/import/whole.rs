//! What is in v1.3.0's queues is delivered, and its files are out of the way.

use nsq_tests::{Message, differences};

use crate::queue_files::{
    Directory, PUBLISHED_NS, body, drain, files, fresh, id, ids, ids_of, queue_files, record,
};

#[test]
fn each_channel_gets_what_it_had_left_in_order() {
    if differences::is_original() {
        return;
    }
    let mut old = Directory::new();
    old.declare("orders", false, &[("all", false), ("half", false), ("paused", true), ("done", false)]);
    old.write_queue("orders:all", &fresh(0..100), 7, 0);
    old.write_queue("orders:half", &fresh(0..100), 7, 40);
    let in_flight = [fresh(43..100), vec![(42, 3)]].concat();
    old.write_queue("orders:paused", &in_flight, 7, 0);
    old.write_queue("orders:done", &fresh(0..100), 7, 100);
    old.write_queue("orders", &fresh(100..105), 7, 0);
    let before = queue_files(old.path());
    let daemon = old.start(&[]);
    assert_eq!(queue_files(daemon.directory()), Vec::<String>::new());
    assert_eq!(files(&daemon.directory().join("imported")), before);
    for name in &before {
        let lines = daemon.process().log_lines();
        let about: Vec<&String> =
            lines.iter().filter(|line| line.contains(&format!("IMPORT: {name}: "))).collect();
        assert_eq!(about.len(), 1, "{name}: {about:?}");
    }

    let all = drain(&daemon, "orders", "all", 105);
    assert_eq!(ids(&all), ids_of(0..105));
    let expected =
        Message { timestamp_ns: PUBLISHED_NS + 17 * 1_000_000, attempts: 1, id: id(17), body: body(17) };
    assert_eq!(all[17], expected);
    assert_eq!(ids(&drain(&daemon, "orders", "half", 65)), ids_of(40..105));
    assert_eq!(ids(&drain(&daemon, "orders", "done", 5)), ids_of(100..105));
    assert_eq!(daemon.channel_stats("orders", "paused")["paused"], true);
    daemon.wait_for_channel("orders", "paused", "depth", 63);
    daemon.act("/channel/unpause?topic=orders&channel=paused");
    let mut paused = drain(&daemon, "orders", "paused", 63);
    paused.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(ids(&paused), ids_of(42..105));
    assert_eq!((paused[0].attempts, paused[1].attempts), (4, 1), "those that were given to somebody say so");
}

#[test]
fn a_second_start_imports_nothing_twice() {
    if differences::is_original() {
        return;
    }
    let old = Directory::new();
    old.write_queue("t:c", &fresh(0..50), 10, 5);
    let daemon = old.start(&[]).kill().start_again().restart();
    assert_eq!(ids(&drain(&daemon, "t", "c", 45)), ids_of(5..50));
    let daemon = daemon.restart();
    daemon.wait_for_channel("t", "c", "depth", 0);
}

#[test]
fn what_is_published_then_comes_behind_what_was_there() {
    if differences::is_original() {
        return;
    }
    let old = Directory::new();
    old.write_queue("t:c", &fresh(0..20), 10, 0);
    let daemon = old.start(&["--mem-queue-size=3"]);
    daemon.publish("t", "new");
    let messages = drain(&daemon, "t", "c", 21);
    assert_eq!(messages[20].body, b"new");
    assert!(messages[20].id > messages[19].id, "ids grow");
}

#[test]
fn topics_without_channels_and_paused_ones_keep_their_messages() {
    if differences::is_original() {
        return;
    }
    let mut old = Directory::new();
    old.declare("bare", false, &[]);
    old.declare("paused", true, &[("c", false)]);
    old.write_queue("bare", &fresh(0..10), 4, 0);
    old.write_queue("paused", &fresh(20..30), 4, 0);
    old.write_queue("paused:c", &fresh(10..20), 4, 0);
    old.write_queue("unheard.of", &fresh(0..3), 4, 0);
    let daemon = old.start(&[]);
    for (topic, depth) in [("bare", 10), ("paused", 10), ("unheard.of", 3)] {
        assert_eq!(daemon.topic_stats(topic)["depth"], depth, "{topic}");
    }
    assert_eq!(ids(&drain(&daemon, "paused", "c", 10)), ids_of(10..20));
    daemon.act("/topic/unpause?topic=paused");
    assert_eq!(ids(&drain(&daemon, "paused", "c", 10)), ids_of(20..30));
    daemon.act("/channel/create?topic=bare&channel=first");
    assert_eq!(ids(&drain(&daemon, "bare", "first", 10)), ids_of(0..10));
}

#[test]
fn what_makes_no_sense_is_reported_and_the_rest_is_imported() {
    if differences::is_original() {
        return;
    }
    let old = Directory::new();
    let long = vec![b'x'; 2_000_000];
    let torn = [record(0, 0, b"whole"), record(1, 0, &long), record(2, 0, b"torn")[..31].to_vec()].concat();
    // Killed before its first sync, so there are no positions.
    old.write("t.diskqueue.000000.dat", torn);
    old.write("t.diskqueue.000001.dat", [record(3, 0, b"after"), vec![0xff; 100]].concat());
    old.write("t:c.diskqueue.000000.dat.bad", record(9, 0, b"read by v1.3.0"));
    old.write("no name.diskqueue.000000.dat", record(9, 0, b"x"));
    old.write("t.diskqueue.meta.dat.123.tmp", "1\n");
    let daemon = old.start(&[]);
    let log = daemon.process().log_lines();
    for expected in [
        "WARNING: IMPORT: t.diskqueue.000000.dat: 2 messages imported, the last 31 bytes are no whole message and not imported; moved to imported/t.diskqueue.000000.dat",
        "WARNING: IMPORT: t.diskqueue.000001.dat: 1 message imported, the last 100 bytes are no whole message",
        "INFO: IMPORT: t:c.diskqueue.000000.dat.bad: set aside by v1.3.0, which had read all that is whole; no message imported; moved",
        "WARNING: IMPORT: no name.diskqueue.000000.dat: left alone",
    ] {
        assert!(log.iter().any(|line| line.contains(expected)), "{expected}\n{}", log.join("\n"));
    }
    assert_eq!(queue_files(daemon.directory()), ["no name.diskqueue.000000.dat"]);
    daemon.act("/channel/create?topic=t&channel=c");
    let messages = drain(&daemon, "t", "c", 3);
    assert_eq!(ids(&messages), ids_of([0, 1, 3]));
    assert_eq!(messages[1].body, long, "longer than --max-msg-size is now");
}
