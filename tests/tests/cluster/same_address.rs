//! Two nsqd that say they are at the same address: each connection is one of its own.

use nsq_tests::stats::eventually;
use nsq_tests::{Daemon, Lookupd, cluster};

/// Two nsqd on one host, with ports of their own.
fn neighbours(service: &Lookupd) -> (Daemon, Daemon) {
    let host = cluster::host();
    let (one, other) = (cluster::nsqd_on(host, &[service], &[]), cluster::nsqd_on(host, &[service], &[]));
    for daemon in [&one, &other] {
        daemon.act("/topic/create?topic=t");
    }
    service.wait_for_producers("t", &[&one, &other]);
    (one, other)
}

#[test]
fn both_are_found_and_each_leaves_alone() {
    let service = cluster::lookupd(&[]);
    let (one, other) = neighbours(&service);
    let stopped = one.stop();
    service.wait_for_producers("t", &[&other]);
    let one = stopped.start_in_place();
    service.wait_for_producers("t", &[&one, &other]);
    other.kill();
    service.wait_for_producers("t", &[&one]);
}

#[test]
fn a_tombstone_tells_them_apart_by_the_port() {
    let service = cluster::lookupd(&[]);
    let (one, other) = neighbours(&service);
    service.act(&format!("/topic/tombstone?topic=t&node={}", one.http));
    assert_eq!(service.producers("t"), [other.tcp.to_string()]);
}

/// As behind one name for several: nobody could tell them apart, and nsqlookupd does not try.
#[test]
fn even_with_the_same_ports_they_are_two() {
    let service = cluster::lookupd(&[]);
    let flags = ["--broadcast-address=one.name", "--broadcast-tcp-port=4150", "--broadcast-http-port=4151"];
    let (one, other) = (cluster::nsqd(&[&service], &flags), cluster::nsqd(&[&service], &flags));
    for daemon in [&one, &other] {
        daemon.act("/topic/create?topic=t");
    }
    let found = |count: usize| {
        let wanted = vec!["one.name:4150".to_owned(); count];
        eventually("the name", || service.producers("t"), |producers| *producers == wanted);
    };
    found(2);
    let stopped = one.stop();
    found(1);
    let one = stopped.start_in_place();
    found(2);
    service.act("/topic/tombstone?topic=t&node=one.name:4151");
    found(0);
    drop((one, other));
}
