//! Topology-aware consumption: nsqd-tcp.md §8.

use nsq_tests::{Client, Daemon, differences};

fn aware() -> Daemon {
    Daemon::with(&[
        "--enable-experiment=topology-aware-consumption",
        "--topology-zone=zone",
        "--topology-region=region",
    ])
}

fn consumer(daemon: &Daemon, zone: &str, region: &str) -> Client {
    let mut client = daemon.connect();
    client.identify(&format!(
        "\"topology_zone\":\"{zone}\",\"topology_region\":\"{region}\",\"output_buffer_size\":-1"
    ));
    client.subscribe("t", "c");
    client
}

/// Publishes one message after the other, each when the one before is settled and all consumers wait.
fn counts_after(daemon: &Daemon, consumers: &mut [Client], messages: u32) -> Vec<u32> {
    for consumer in consumers.iter_mut() {
        consumer.ready(1);
        consumer.expect_nothing_answered();
    }
    let mut counts = vec![0; consumers.len()];
    for _ in 0..messages {
        daemon.publish("t", b"x");
        daemon.wait_for_channel("t", "c", "in_flight_count", 1);
        let channel = daemon.channel_stats("t", "c");
        let clients = channel["clients"].as_array().expect("clients are listed");
        let owner = clients.iter().find(|client| client["in_flight_count"] == 1).expect("one has it");
        let mine = |client: &Client| owner["remote_address"] == client.address().to_string().as_str();
        let index = consumers.iter().position(mine).expect("it is one of ours");
        let message = consumers[index].expect_message();
        consumers[index].finish(&message);
        daemon.wait_for_channel("t", "c", "in_flight_count", 0);
        counts[index] += 1;
    }
    counts
}

#[test]
fn a_waiting_consumer_of_the_same_zone_is_preferred() {
    let daemon = aware();
    let mut consumers = [
        consumer(&daemon, "elsewhere", "far"),
        consumer(&daemon, "elsewhere", "region"),
        consumer(&daemon, "zone", "region"),
    ];
    let counts = counts_after(&daemon, &mut consumers, 40);
    assert!(counts[2] >= 30, "{counts:?}: not the local consumer");
    let channel = daemon.channel_stats("t", "c");
    assert_eq!(channel["zone_local_msg_count"], counts[2]);
}

#[test]
fn without_one_of_the_zone_one_of_the_region_is_preferred() {
    let daemon = aware();
    let mut consumers = [consumer(&daemon, "elsewhere", "far"), consumer(&daemon, "elsewhere", "region")];
    let counts = counts_after(&daemon, &mut consumers, 40);
    assert!(counts[1] >= 30, "{counts:?}: not the regional consumer");
    let channel = daemon.channel_stats("t", "c");
    assert_eq!(channel["region_local_msg_count"], counts[1]);
}

#[test]
fn without_a_local_one_any_consumer_gets_the_message() {
    let daemon = aware();
    let mut consumers = [consumer(&daemon, "elsewhere", "far")];
    assert_eq!(counts_after(&daemon, &mut consumers, 5), [5]);
    let channel = daemon.channel_stats("t", "c");
    assert_eq!(channel["global_msg_count"], 5);
    assert!(channel["zone_local_msg_count"].is_null() && channel["region_local_msg_count"].is_null());
}

#[test]
fn without_the_experiment_every_delivery_is_global() {
    let daemon = Daemon::with(&["--topology-zone=zone", "--topology-region=region"]);
    let mut consumers = [consumer(&daemon, "zone", "region")];
    assert_eq!(counts_after(&daemon, &mut consumers, 5), [5]);
    let channel = daemon.channel_stats("t", "c");
    assert_eq!(channel["global_msg_count"], 5);
    assert!(channel["zone_local_msg_count"].is_null() && channel["region_local_msg_count"].is_null());
}

#[test]
fn who_does_not_identify_is_global() {
    let daemon = Daemon::with(&["--enable-experiment=topology-aware-consumption"]);
    let mut consumers = [daemon.subscribe("t", "c")];
    assert_eq!(counts_after(&daemon, &mut consumers, 3), [3]);
    assert_eq!(daemon.channel_stats("t", "c")["global_msg_count"], 3);
}

#[test]
fn no_zone_equals_no_zone() {
    let daemon = Daemon::with(&["--enable-experiment=topology-aware-consumption"]);
    let mut consumers = [consumer(&daemon, "", "")];
    assert_eq!(counts_after(&daemon, &mut consumers, 5), [5]);
    let channel = daemon.channel_stats("t", "c");
    let count = |key: &str| channel[key].as_u64().unwrap_or(0);
    let total = count("zone_local_msg_count") + count("region_local_msg_count") + count("global_msg_count");
    assert_eq!(total, 5);
    assert!(count("zone_local_msg_count") >= 3, "{channel}");
}

#[test]
fn redeliveries_count_too() {
    let daemon = Daemon::start();
    let mut client = daemon.subscribe("t", "c");
    client.publish("t", b"x");
    client.ready(1);
    for _ in 0..3 {
        let message = client.expect_message();
        client.requeue(&message, 0);
    }
    client.expect_message();
    assert_eq!(daemon.channel_stats("t", "c")["global_msg_count"], 4);
}

#[test]
fn deliveries_count_wherever_the_messages_were() {
    let daemon = Daemon::with(&["--mem-queue-size=2"]);
    daemon.act("/topic/create?topic=t");
    daemon.act("/channel/create?topic=t&channel=c");
    daemon.connect().publish_all("t", &["x"; 10]);
    daemon.wait_for_channel("t", "c", "depth", 10);
    let mut client = daemon.subscribe("t", "c");
    client.ready(10);
    for _ in 0..10 {
        client.expect_message();
    }
    let count = daemon.channel_stats("t", "c")["global_msg_count"].as_u64().expect("some were delivered");
    assert_eq!(count == 10, differences::deliveries_from_the_disk_count(), "{count}");
}
