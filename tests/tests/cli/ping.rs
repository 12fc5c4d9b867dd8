//! `nsq ping`: the exit code says whether a daemon is well.

use std::net::TcpListener;

use nsq_tests::{Daemon, Lookupd};

use super::nsq;

#[test]
fn a_daemon_that_is_well_is_success_and_nothing_is_said() {
    let (daemon, lookupd) = (Daemon::start(), Lookupd::start());
    for address in [daemon.http, lookupd.http] {
        let ended = nsq(&["ping", "--http-address", &address.to_string()]);
        assert_eq!((ended.status.code(), ended.log.len()), (Some(0), 0), "{:?}", ended.log);
        assert_eq!(ended.output, "");
    }
}

#[test]
fn nobody_there_is_a_failure_that_names_the_address() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port is free").local_addr().expect("it is bound");
    let ended = nsq(&["ping", "--http-address", &free.to_string()]);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(ended.log, [format!("nsq: cannot connect to {free}: connection refused")]);
}

#[test]
fn a_daemon_that_does_not_answer_is_a_failure_after_the_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = silent.local_addr().expect("it is bound").to_string();
    let ended = nsq(&["ping", "--http-address", &address, "--timeout", "100ms"]);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(ended.log, ["nsq: no answer within 100ms"]);
}
