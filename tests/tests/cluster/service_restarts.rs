//! An nsqlookupd forgets everything when it ends; every nsqd tells it again when it is back.

use nsq_tests::process::Signal;
use nsq_tests::stats::eventually;
use nsq_tests::{Daemon, cluster, differences, each};

#[test]
fn every_nsqd_is_back_after_a_restart() {
    each([("killed", Signal::KILL), ("in order", differences::stop_signal("nsqlookupd"))], |(_, signal)| {
        let service = cluster::lookupd(&[]);
        let daemons: Vec<Daemon> = (0..3).map(|_| cluster::nsqd(&[&service], &[])).collect();
        let all: Vec<&Daemon> = daemons.iter().collect();
        for daemon in &daemons {
            daemon.act("/topic/create?topic=lone");
            daemon.act("/topic/create?topic=t");
            daemon.act("/channel/create?topic=t&channel=c");
        }
        service.wait_for_producers("lone", &all);
        let place = service.place();
        service.end(*signal);
        let service = place.start();
        daemons.iter().for_each(cluster::nudge);
        service.wait_for_producers("lone", &all);
        service.wait_for_producers("t", &all);
        eventually("the channel's owners", || service.debug_count("channel:t:c"), |count| *count == 3);
        assert_eq!(service.debug_count("client::"), 3, "each of them once");
    });
}

#[test]
fn what_changes_while_it_is_away_is_known_afterwards() {
    let service = cluster::lookupd(&[]);
    let daemon = cluster::nsqd(&[&service], &[]);
    for topic in ["stays", "goes"] {
        daemon.act(&format!("/topic/create?topic={topic}"));
        service.wait_for_producers(topic, &[&daemon]);
    }
    let place = service.place();
    service.stop();
    daemon.publish("comes", "x");
    daemon.act("/topic/delete?topic=goes");
    let service = place.start();
    cluster::nudge(&daemon);
    for topic in ["stays", "comes"] {
        service.wait_for_producers(topic, &[&daemon]);
    }
    assert!(!service.topics().contains("goes"));
}

/// How often the service is restarted in a row.
const RESTARTS: usize = 8;

#[test]
fn registrations_are_exact_after_several_restarts() {
    let mut service = cluster::lookupd(&[]);
    let daemons: Vec<Daemon> = (0..2).map(|_| cluster::nsqd(&[&service], &[])).collect();
    let all: Vec<&Daemon> = daemons.iter().collect();
    for daemon in &daemons {
        daemon.act("/topic/create?topic=t");
        daemon.act("/channel/create?topic=t&channel=c");
    }
    for _ in 0..RESTARTS {
        let place = service.place();
        service.end(Signal::KILL);
        service = place.start();
        daemons.iter().for_each(cluster::nudge);
        service.wait_for_producers("t", &all);
    }
    eventually("the channel's owners", || service.debug_count("channel:t:c"), |count| *count == 2);
    assert_eq!(service.debug_count("client::"), 2);
}
