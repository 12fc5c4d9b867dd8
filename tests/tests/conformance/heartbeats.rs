//! Heartbeats and the deadlines they set: nsqd-tcp.md §6.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use nsq_tests::raw::be;
use nsq_tests::stats::eventually;
use nsq_tests::{Client, Daemon, differences, shared};

const SECOND: Duration = Duration::from_secs(1);

/// How late a heartbeat or a deadline may be on a busy machine.
const SLACK: Duration = Duration::from_millis(1_500);

/// How much earlier a tick may seem to come: its clock starts a moment before the answer is read.
const SKEW: Duration = Duration::from_millis(50);

fn beating(daemon: &Daemon) -> Client {
    let mut client = daemon.connect();
    client.identify("\"heartbeat_interval\":1000");
    client
}

fn assert_about(what: &str, waited: Duration, expected: Duration) {
    assert!(waited + SKEW >= expected, "{what} after {waited:?} is early");
    assert!(waited <= expected + SLACK, "{what} after {waited:?} is late");
}

#[test]
fn a_silent_client_hears_two_heartbeats_and_is_cut_off() {
    let daemon = shared();
    let mut client = beating(&daemon);
    let started = Instant::now();
    client.expect_response("_heartbeat_");
    assert_about("the first", started.elapsed(), SECOND);
    // The second heartbeat and the end are due at the same moment.
    if let Some(frame) = client.poll_frame(Duration::from_secs(10)) {
        assert_eq!(frame.data, b"_heartbeat_");
        client.expect_end();
    }
    assert_about("the end", started.elapsed(), 2 * SECOND);
}

#[test]
fn any_command_keeps_the_connection() {
    let daemon = shared();
    let mut client = beating(&daemon);
    for _ in 0..4 {
        client.expect_response("_heartbeat_");
        client.send("NOP\n");
    }
    client.expect_nothing_answered();
}

#[test]
fn heartbeats_come_to_busy_clients_too() {
    let daemon = shared();
    let mut client = beating(&daemon);
    let started = Instant::now();
    let mut heartbeats = 0;
    while heartbeats < 2 {
        assert!(started.elapsed() < 2 * SECOND + SLACK, "only {heartbeats} heartbeats");
        client.send(b"PUB heartbeats_busy\n\0\0\0\x01x");
        match client.next_frame().data.as_slice() {
            b"OK" => {}
            b"_heartbeat_" => heartbeats += 1,
            other => panic!("{}", other.escape_ascii()),
        }
    }
    assert!(started.elapsed() + SKEW >= 2 * SECOND);
}

#[test]
fn a_trickling_line_does_not_keep_the_connection() {
    let daemon = shared();
    let mut client = beating(&daemon);
    let started = Instant::now();
    let cut_off = loop {
        client.send("N");
        match client.poll_frame(Duration::from_millis(200)) {
            Some(frame) => assert_eq!(frame.data, b"_heartbeat_"),
            None if started.elapsed() > 2 * SECOND + SLACK => break false,
            None if started.elapsed() > 2 * SECOND - SKEW => break true,
            None => {}
        }
    };
    assert!(cut_off, "the connection outlived its deadline");
    client.expect_end();
    assert_about("the end", started.elapsed(), 2 * SECOND);
}

#[test]
fn a_body_that_stays_away_is_an_error_at_the_deadline() {
    let daemon = shared();
    let mut client = beating(&daemon);
    let started = Instant::now();
    client.send([b"PUB heartbeats_body\n".as_slice(), &be(2), b"x"].concat());
    let error = loop {
        let frame = client.next_frame();
        if frame.kind == 1 {
            break frame.data;
        }
        assert_eq!(frame.data, b"_heartbeat_");
    };
    assert_eq!(error, b"E_BAD_MESSAGE PUB failed to read message body");
    client.expect_end();
    assert_about("the end", started.elapsed(), 2 * SECOND);
}

#[test]
fn heartbeats_that_are_off_leave_the_connection_alone() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.identify("\"heartbeat_interval\":-1");
    assert!(client.poll_frame(Duration::from_millis(2_500)).is_none(), "a heartbeat came");
    client.expect_nothing_answered();
}

#[test]
fn the_first_identify_sets_the_heartbeats() {
    let daemon = shared();
    let mut client = beating(&daemon);
    client.identify("\"heartbeat_interval\":60000");
    let started = Instant::now();
    client.expect_response("_heartbeat_");
    assert_about("the heartbeat", started.elapsed(), SECOND);
}

#[test]
fn the_newest_identify_sets_the_deadline_and_whether_sub_is_allowed() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.identify("\"heartbeat_interval\":60000");
    client.identify("\"heartbeat_interval\":-1");
    client.send("SUB heartbeats_newest c\n");
    client.expect_fatal("E_INVALID cannot SUB with heartbeats disabled");

    let mut client = daemon.connect();
    client.identify("\"heartbeat_interval\":60000");
    let started = Instant::now();
    client.identify("\"heartbeat_interval\":1000");
    assert!(client.poll_frame(Duration::from_secs(10)).is_none(), "a heartbeat came");
    client.expect_end();
    assert_about("the end", started.elapsed(), 2 * SECOND);
}

#[test]
fn consumers_hear_heartbeats_after_cls() {
    let daemon = shared();
    let mut client = beating(&daemon);
    client.subscribe("heartbeats_cls", "c");
    client.send("CLS\n");
    client.expect_response("CLOSE_WAIT");
    client.expect_response("_heartbeat_");
}

#[test]
fn a_client_that_takes_nothing_within_a_heartbeat_is_cut_off() {
    let daemon = shared();
    let mut client = beating(&daemon);
    client.subscribe("heartbeats_blocked", "c");
    let mut publisher = daemon.connect();
    // More than the system keeps on its way.
    for _ in 0..64 {
        publisher.publish("heartbeats_blocked", &vec![b'x'; 1 << 20]);
    }
    client.ready(64);
    let (client, started) = (RefCell::new(client), Instant::now());
    let client_count = || {
        // It still says something, so it is not taken for dead.
        client.borrow_mut().send("NOP\n");
        daemon.channel_stats("heartbeats_blocked", "c")["client_count"].clone()
    };
    if differences::parts_from_who_takes_nothing() {
        eventually("the end of the connection", client_count, |count| *count == 0);
        assert!(started.elapsed() + SKEW >= SECOND, "after {:?}", started.elapsed());
    } else {
        while started.elapsed() < 3 * SECOND {
            assert_eq!(client_count(), 1);
        }
    }
}
