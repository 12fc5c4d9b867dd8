//! What an nsqd has, nsqlookupd tells: the two real daemons together.

use nsq_tests::stats::eventually;
use nsq_tests::{Daemon, Lookupd, cluster};
use serde_json::{Value, json};

#[test]
fn an_nsqd_is_shown_as_it_describes_itself() {
    let service = cluster::lookupd(&[]);
    let daemon = cluster::nsqd(&[&service], &["--topology-region=rr", "--topology-zone=zz"]);
    daemon.act("/topic/create?topic=t");
    service.wait_for_producers("t", &[&daemon]);
    let node = only_node(&service);
    assert_eq!(node["broadcast_address"], daemon.tcp.ip().to_string());
    assert_eq!(node["tcp_port"], daemon.tcp.port());
    assert_eq!(node["http_port"], daemon.http.port());
    assert_eq!(node["version"], "1.3.0");
    assert_eq!((&node["topology_region"], &node["topology_zone"]), (&json!("rr"), &json!("zz")));
    assert_eq!((&node["topics"], &node["tombstones"]), (&json!(["t"]), &json!([false])));
    assert!(!node["hostname"].as_str().expect("it is text").is_empty());
    let mut found = service.get("/lookup?topic=t").json()["producers"][0].clone();
    let found = found.as_object_mut().expect("it is an object");
    let mut node = node;
    let shown = node.as_object_mut().expect("it is an object");
    shown.retain(|key, _| key != "topics" && key != "tombstones");
    assert_eq!(found, shown, "both describe it alike");
}

#[test]
fn topics_and_channels_are_known_as_they_come_and_go() {
    let service = cluster::lookupd(&[]);
    let daemon = cluster::nsqd(&[&service], &[]);
    daemon.publish("t", "x");
    service.wait_for_producers("t", &[&daemon]);
    let consumer = daemon.subscribe("t", "c");
    let fleeting = daemon.subscribe("e#ephemeral", "x#ephemeral");
    wait_for_channels(&service, "t", &["c"]);
    wait_for_channels(&service, "e#ephemeral", &["x#ephemeral"]);
    drop(fleeting);
    eventually("no ephemeral topic", || service.topics(), |topics| !topics.contains("e#ephemeral"));
    drop(consumer);
    daemon.act("/channel/delete?topic=t&channel=c");
    eventually("nobody with the channel", || service.debug_count("channel:t:c"), |count| *count == 0);
    service.wait_for_producers("t", &[&daemon]);
    daemon.act("/topic/delete?topic=t");
    service.wait_for_producers("t", &[]);
    assert!(service.topics().contains("t"), "a lasting name stays");
}

#[test]
fn every_service_knows_every_nsqd() {
    let services = [cluster::lookupd(&[]), cluster::lookupd(&[])];
    let [one, other] = &services;
    let daemons: Vec<Daemon> = (0..3).map(|_| cluster::nsqd(&[one, other], &[])).collect();
    for daemon in &daemons {
        daemon.act("/topic/create?topic=t");
    }
    let all: Vec<&Daemon> = daemons.iter().collect();
    for service in &services {
        service.wait_for_producers("t", &all);
        assert_eq!(service.nodes().len(), 3);
    }
}

#[test]
fn what_was_on_the_disk_is_registered_at_the_start() {
    let service = cluster::lookupd(&[]);
    let daemon = cluster::nsqd(&[&service], &[]);
    for target in ["/topic/create?topic=lone", "/topic/create?topic=t", "/channel/create?topic=t&channel=c"] {
        daemon.act(target);
    }
    service.wait_for_producers("lone", &[&daemon]);
    wait_for_channels(&service, "t", &["c"]);
    let stopped = daemon.stop();
    service.wait_for_producers("lone", &[]);
    let daemon = stopped.start_in_place();
    for topic in ["lone", "t"] {
        service.wait_for_producers(topic, &[&daemon]);
    }
    eventually("the channel's owner", || service.debug_count("channel:t:c"), |count| *count == 1);
}

#[test]
fn a_service_that_is_added_later_knows_everything_and_one_that_is_removed_nothing() {
    let (first, second) = (cluster::lookupd(&[]), cluster::lookupd(&[]));
    let daemon = cluster::nsqd(&[&first], &[]);
    daemon.act("/topic/create?topic=t");
    first.wait_for_producers("t", &[&daemon]);
    daemon.put("/config/nsqlookupd_tcp_addresses", format!("[\"{}\"]", second.tcp));
    second.wait_for_producers("t", &[&daemon]);
    first.wait_for_producers("t", &[]);
    assert!(first.nodes().is_empty());
}

#[test]
fn a_service_that_is_not_there_at_the_start_is_found_when_it_comes() {
    let service = cluster::lookupd(&[]);
    let place = service.place();
    let address = format!("--lookupd-tcp-address={}", service.tcp);
    service.stop();
    let daemon = cluster::nsqd(&[], &[&address]);
    daemon.act("/topic/create?topic=t");
    let service = place.start();
    cluster::nudge(&daemon);
    service.wait_for_producers("t", &[&daemon]);
}

fn only_node(service: &Lookupd) -> Value {
    let nodes = service.get("/nodes").json()["producers"].clone();
    assert_eq!(nodes.as_array().map(Vec::len), Some(1), "{nodes}");
    nodes[0].clone()
}

fn wait_for_channels(service: &Lookupd, topic: &str, expected: &[&str]) {
    let expected = expected.iter().map(|channel| (*channel).to_owned()).collect();
    eventually("the channels", || service.channels(topic), |channels| *channels == expected);
}
