//! An nsqd that ends is found no more: at once where its connection ends with it, else when it was silent for long.

use std::time::Duration;

use nsq_tests::process::Signal;
use nsq_tests::stats::{eventually, eventually_within};
use nsq_tests::{Daemon, Lookupd, cluster, each};

/// A service and two nsqd that have the topic `t`.
fn pair(flags: &[&str]) -> (Lookupd, Daemon, Daemon) {
    let service = cluster::lookupd(flags);
    let daemons = [cluster::nsqd(&[&service], &[]), cluster::nsqd(&[&service], &[])];
    for daemon in &daemons {
        daemon.act("/topic/create?topic=t");
        daemon.act("/channel/create?topic=t&channel=c");
    }
    let [one, other] = daemons;
    (service, one, other)
}

#[test]
fn one_that_is_stopped_leaves_and_comes_back() {
    let (service, one, other) = pair(&[]);
    service.wait_for_producers("t", &[&one, &other]);
    let stopped = one.stop();
    service.wait_for_producers("t", &[&other]);
    assert_eq!(service.nodes(), [other.tcp.ip().to_string()].into());
    assert_eq!(service.channels("t"), ["c".to_owned()].into(), "the channel stays known");
    let one = stopped.start_in_place();
    service.wait_for_producers("t", &[&one, &other]);
}

#[test]
fn one_that_is_killed_leaves_and_comes_back_once() {
    let (service, one, other) = pair(&[]);
    service.wait_for_producers("t", &[&one, &other]);
    let stopped = one.kill();
    service.wait_for_producers("t", &[&other]);
    eventually("one node", || service.debug_count("client::"), |count| *count == 1);
    let one = stopped.start_in_place();
    service.wait_for_producers("t", &[&one, &other]);
    assert_eq!(service.debug_count("client::"), 2);
}

#[test]
fn the_last_one_leaves_its_names_behind() {
    each([("stopped", Signal::INT), ("killed", Signal::KILL)], |(_, signal)| {
        let service = cluster::lookupd(&[]);
        let daemon = cluster::nsqd(&[&service], &[]);
        daemon.act("/topic/create?topic=t");
        daemon.act("/channel/create?topic=t&channel=c");
        service.wait_for_producers("t", &[&daemon]);
        eventually("the channel", || service.channels("t"), |channels| channels.contains("c"));
        daemon.end(*signal);
        eventually("nobody", || service.get("/debug").text().to_owned(), |text| text == "{}");
        assert!(service.producers("t").is_empty() && service.nodes().is_empty());
        assert_eq!(service.topics(), ["t".to_owned()].into());
        assert_eq!(service.channels("t"), ["c".to_owned()].into());
    });
}

/// The connection of one that is frozen stands: nobody hears of it but by its silence.
#[test]
fn one_that_is_frozen_is_found_no_more_after_the_inactive_timeout() {
    let (service, one, other) = pair(&["--inactive-producer-timeout=1s"]);
    eventually("both registered", || service.debug_count("topic:t:"), |count| *count == 2);
    one.process().signal(Signal::STOP);
    let hidden = |found: &Vec<String>| !found.contains(&one.tcp.to_string());
    eventually("one less", || service.producers("t"), hidden);
    assert_eq!(service.debug_count("topic:t:"), 2, "it is hidden, not removed");
    assert_eq!(service.debug_count("client::"), 2);
    assert!(service.topics().contains("t"));
    drop(other);
}

#[test]
#[ignore = "takes a minute: nsqd pings every 15 s"]
fn one_that_lives_is_found_for_ever_and_one_that_is_frozen_until_it_lives_again() {
    let (service, one, other) = pair(&["--inactive-producer-timeout=20s"]);
    service.wait_for_producers("t", &[&one, &other]);
    let pings = || service.process().log_lines().iter().filter(|line| line.contains(": pinged (")).count();
    // Two rounds take longer than the timeout: without pings both would be hidden by now.
    eventually_within(Duration::from_secs(40), "two rounds of pings", pings, |count| *count >= 4);
    service.wait_for_producers("t", &[&one, &other]);
    one.process().signal(Signal::STOP);
    service.wait_long_for_producers(Duration::from_secs(40), "t", &[&other]);
    assert_eq!(service.debug_count("client::"), 2);
    one.process().signal(Signal::CONT);
    service.wait_long_for_producers(Duration::from_secs(40), "t", &[&one, &other]);
}
