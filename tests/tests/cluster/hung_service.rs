//! A lookup service that accepts connections and never answers, or stops answering: publishers do not notice.

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nsq_tests::process::Signal;
use nsq_tests::raw::{batch, with_body};
use nsq_tests::{Daemon, cluster};

/// How many messages are published, each waiting for the answer to the one before.
const PUBLISHES: usize = 5_000;

#[test]
fn publishes_are_answered_while_a_service_never_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let silent = format!("--lookupd-tcp-address={}", listener.local_addr().expect("it is bound"));
    let accepted = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&accepted);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::Relaxed);
            // Reads what is said, until the daemon gives up; says nothing.
            let mut stream = stream.expect("a daemon connects");
            std::thread::spawn(move || while stream.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {});
        }
    });
    let service = cluster::lookupd(&[]);
    let daemon = cluster::nsqd(&[], &[&silent, &format!("--lookupd-tcp-address={}", service.tcp)]);
    publish_in_every_way(&daemon);
    assert!(accepted.load(Ordering::Relaxed) > 0, "the silent service was asked");
    service.wait_for_producers("t", &[&daemon]);
    service.wait_for_producers("u", &[&daemon]);
}

#[test]
fn publishes_are_answered_while_a_service_is_frozen_and_it_hears_of_them_later() {
    let (service, other) = (cluster::lookupd(&[]), cluster::lookupd(&[]));
    let daemon = cluster::nsqd(&[&service, &other], &[]);
    daemon.act("/topic/create?topic=old");
    service.wait_for_producers("old", &[&daemon]);
    other.wait_for_producers("old", &[&daemon]);
    service.process().signal(Signal::STOP);
    publish_in_every_way(&daemon);
    other.wait_for_producers("t", &[&daemon]);
    other.wait_for_producers("u", &[&daemon]);
    service.process().signal(Signal::CONT);
    cluster::nudge(&daemon);
    for topic in ["old", "t", "u"] {
        service.wait_for_producers(topic, &[&daemon]);
    }
}

/// Into new topics and one that is there, over TCP and HTTP: all must be answered.
fn publish_in_every_way(daemon: &Daemon) {
    let mut client = daemon.connect();
    for number in 0..PUBLISHES {
        client.publish("t", number.to_string().as_bytes());
    }
    let pipelined: Vec<u8> = (0..PUBLISHES).flat_map(|_| with_body("PUB t", "x")).collect();
    client.send(pipelined);
    (0..PUBLISHES).for_each(|_| client.expect_response("OK"));
    client.send(with_body("MPUB t", batch(&["x"; PUBLISHES])));
    client.expect_response("OK");
    for _ in 0..100 {
        daemon.post("/pub?topic=u", "x").expect_ok();
    }
    assert_eq!(daemon.topic_stats("t")["message_count"], 3 * PUBLISHES);
    assert_eq!(daemon.topic_stats("u")["message_count"], 100);
}
