//! Signals and the end of a daemon: nsqd-operation.md §4, nsqd-tcp.md §12.

use std::os::unix::process::ExitStatusExt as _;

use nsq_tests::process::Signal;
use nsq_tests::{Daemon, differences, each};

#[test]
fn an_orderly_stop_succeeds_and_says_goodbye() {
    each([("SIGTERM", Signal::TERM), ("SIGINT", Signal::INT)], |(_, signal)| {
        let daemon = Daemon::start();
        daemon.publish("t", b"x");
        let stopped = daemon.end(*signal);
        assert_eq!(stopped.ended.status.code(), Some(0));
        let last = stopped.ended.log.last().expect("it said something");
        assert!(last.ends_with(" INFO: NSQ: bye"), "{last}");
    });
}

#[test]
fn clients_see_a_plain_end() {
    let daemon = Daemon::start();
    let mut silent = daemon.connect();
    silent.send("NOP\n");
    silent.expect_nothing_answered();
    let mut consumer = daemon.subscribe("t", "c");
    consumer.ready(1);
    consumer.publish("t", b"x");
    consumer.expect_body("x");
    let without_magic =
        differences::stops_without_waiting_for_a_magic("nsqd").then(|| daemon.connect_silently());
    daemon.stop();
    for mut client in [silent, consumer].into_iter().chain(without_magic) {
        client.expect_end();
    }
}

#[test]
fn a_stop_waits_for_nobody() {
    let daemon = Daemon::start();
    let mut half_a_line = daemon.connect();
    half_a_line.expect_nothing_answered();
    half_a_line.send("PUB t");
    let mut half_a_body = daemon.connect();
    half_a_body.expect_nothing_answered();
    half_a_body.send(b"PUB t\n\0\0\0\x09x");
    let mut half_a_request = nsq_tests::http::Connection::open(daemon.http);
    half_a_request.send(b"POST /pub?topic=t HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx");
    let stopped = daemon.stop();
    assert_eq!(stopped.ended.status.code(), Some(0));
}

#[test]
fn sigusr1_is_ignored() {
    let daemon = Daemon::start();
    daemon.process().signal(Signal::USR1);
    daemon.publish("t", b"x");
    assert_eq!(daemon.stop().ended.status.code(), Some(0));
}

#[test]
fn sigquit_ends_at_once() {
    let daemon = Daemon::start();
    let ended = daemon.end(Signal::QUIT).ended;
    assert!(ended.status.code() == Some(2) || ended.status.signal() == Some(3), "{}", ended.status);
    assert!(!ended.log.iter().any(|line| line.ends_with("NSQ: bye")));
}

#[test]
fn sighup_reloads_or_kills() {
    let daemon = Daemon::start();
    if differences::survives_hangup("nsqd") {
        daemon.process().signal(Signal::HUP);
        daemon.publish("t", b"x");
        assert_eq!(daemon.stop().ended.status.code(), Some(0));
    } else {
        assert_eq!(daemon.end(Signal::HUP).ended.status.signal(), Some(1));
    }
}
