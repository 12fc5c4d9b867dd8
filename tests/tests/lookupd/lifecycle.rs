//! Signals and the end of the daemon: nsqlookupd.md §3.

use std::os::unix::process::ExitStatusExt as _;

use nsq_tests::process::Signal;
use nsq_tests::{Lookupd, differences, each};

#[test]
fn an_orderly_stop_succeeds_and_ends_every_connection() {
    each([("SIGINT", Signal::INT), ("SIGTERM", Signal::TERM)], |(name, signal)| {
        if *name == "SIGTERM" && differences::lookupd_is_original() {
            // It handles SIGINT first, and a signal that comes too soon kills it.
            return;
        }
        let lookupd = Lookupd::start();
        let mut producer = lookupd.producer("a");
        producer.command("REGISTER t");
        let mut unknown = lookupd.connect();
        unknown.command("PING");
        let mut without_magic =
            differences::stops_without_waiting_for_a_magic("nsqlookupd").then(|| lookupd.connect_silently());
        let ended = lookupd.end(*signal);
        assert_eq!(ended.status.code(), Some(0));
        for client in [&mut producer, &mut unknown].into_iter().chain(&mut without_magic) {
            client.expect_end();
        }
    });
}

#[test]
fn a_restart_begins_empty() {
    let lookupd = Lookupd::start();
    lookupd.act("/topic/create?topic=t");
    lookupd.stop();
    assert!(Lookupd::start().topics().is_empty());
}

#[test]
fn sigusr1_is_ignored() {
    let lookupd = Lookupd::start();
    lookupd.process().signal(Signal::USR1);
    lookupd.act("/topic/create?topic=t");
    assert_eq!(lookupd.stop().status.code(), Some(0));
}

#[test]
fn sigquit_ends_at_once() {
    let ended = Lookupd::start().end(Signal::QUIT);
    assert!(ended.status.code() == Some(2) || ended.status.signal() == Some(3), "{}", ended.status);
}

#[test]
fn sighup_reloads_or_kills() {
    let lookupd = Lookupd::start();
    if differences::survives_hangup("nsqlookupd") {
        lookupd.process().signal(Signal::HUP);
        lookupd.process().wait_for_log("the reload", |line| line.contains("SIGHUP received"));
        lookupd.act("/topic/create?topic=t");
        assert_eq!(lookupd.stop().status.code(), Some(0));
    } else {
        assert_eq!(lookupd.end(Signal::HUP).status.signal(), Some(1));
    }
}
