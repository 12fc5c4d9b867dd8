//! What the nodes say of a topic, as one picture. Pure.
//!
//! Each node's numbers stay its own, and the sums are made beside them. (In v1.3.0 the first node's channels are the
//! sums, and the least of the latencies is that of whichever node answered last.)

use std::collections::BTreeMap;

use nsq::api::admin::{Channel, Client, Latency, LatencyPercentile, Topic};
use nsq::api::stats::{ChannelStats, ClientStats, LatencyStats, TopicStats};

use super::producer::Producer;

/// For all nodes together.
const ALL: &str = "*";

/// A node's topic, as it is told. `now_s` is the time in Unix seconds.
#[must_use]
pub fn topic_of(producer: &Producer, stats: TopicStats, now_s: i64) -> Topic {
    let name = stats.topic_name;
    let channels =
        stats.channels.into_iter().map(|channel| channel_of(producer, &name, channel, now_s)).collect();
    Topic {
        node: producer.address.clone(),
        hostname: producer.hostname.clone(),
        depth: stats.depth,
        memory_depth: stats.depth.saturating_sub(stats.backend_depth),
        backend_depth: stats.backend_depth,
        message_count: stats.message_count,
        channels: Some(channels),
        paused: stats.paused,
        e2e_processing_latency: latency_of(stats.e2e_processing_latency),
        topic_name: name,
        ..Topic::default()
    }
}

fn channel_of(producer: &Producer, topic: &str, stats: ChannelStats, now_s: i64) -> Channel {
    let clients = |clients: Vec<ClientStats>| {
        clients.into_iter().map(|client| client_of(producer, client, now_s)).collect()
    };
    Channel {
        node: producer.address.clone(),
        hostname: producer.hostname.clone(),
        topic_name: topic.to_owned(),
        channel_name: stats.channel_name,
        depth: stats.depth,
        memory_depth: stats.depth.saturating_sub(stats.backend_depth),
        backend_depth: stats.backend_depth,
        in_flight_count: stats.in_flight_count,
        deferred_count: stats.deferred_count,
        requeue_count: stats.requeue_count,
        timeout_count: stats.timeout_count,
        message_count: stats.message_count,
        delivery_msg_count: stats
            .zone_local_msg_count
            .saturating_add(stats.region_local_msg_count)
            .saturating_add(stats.global_msg_count),
        zone_local_msg_count: stats.zone_local_msg_count,
        region_local_msg_count: stats.region_local_msg_count,
        global_msg_count: stats.global_msg_count,
        client_count: stats.client_count,
        nodes: None,
        clients: stats.clients.map(clients),
        paused: stats.paused,
        e2e_processing_latency: latency_of(stats.e2e_processing_latency),
    }
}

fn client_of(producer: &Producer, stats: ClientStats, now_s: i64) -> Client {
    Client {
        node: producer.address.clone(),
        remote_address: stats.remote_address,
        version: stats.version,
        client_id: stats.client_id,
        hostname: stats.hostname,
        user_agent: stats.user_agent,
        connect_ts: stats.connect_ts,
        // A node's clock may be ahead of ours.
        connected: now_s.saturating_sub(stats.connect_ts).max(0).saturating_mul(NS_IN_S),
        in_flight_count: stats.in_flight_count,
        ready_count: stats.ready_count,
        finish_count: stats.finish_count,
        requeue_count: stats.requeue_count,
        message_count: stats.message_count,
        sample_rate: stats.sample_rate,
        deflate: stats.deflate,
        snappy: stats.snappy,
        authed: stats.authed,
        auth_identity: stats.auth_identity,
        auth_identity_url: stats.auth_identity_url,
        node_topology_region: producer.topology_region.clone(),
        node_topology_zone: producer.topology_zone.clone(),
        topology_region: stats.topology_region,
        topology_zone: stats.topology_zone,
        tls: stats.tls,
        tls_cipher_suite: stats.tls_cipher_suite,
        tls_version: stats.tls_version,
        tls_negotiated_protocol: stats.tls_negotiated_protocol,
        tls_negotiated_protocol_is_mutual: stats.tls_negotiated_protocol_is_mutual,
    }
}

fn latency_of(stats: LatencyStats) -> Latency {
    // Counts of messages are far below what a float holds exactly.
    let count = stats.count as f64;
    let percentile = |one: nsq::api::stats::Percentile| LatencyPercentile {
        average: one.value,
        count,
        max: one.value,
        min: one.value,
        quantile: one.quantile,
        value: Some(one.value),
    };
    let percentiles = stats.percentiles.map(|all| all.into_iter().map(percentile).collect());
    Latency { count: stats.count, percentiles, ..Latency::default() }
}

/// The topic of that name on all nodes, of what it is on each.
#[must_use]
pub fn topic(name: &str, mut nodes: Vec<Topic>) -> Topic {
    nodes.sort_by(|a, b| (&a.hostname, &a.node).cmp(&(&b.hostname, &b.node)));
    let mut sum = Topic { node: ALL.to_owned(), topic_name: name.to_owned(), ..Topic::default() };
    let mut channels: BTreeMap<&str, Vec<Channel>> = BTreeMap::new();
    for node in &nodes {
        sum.depth = sum.depth.saturating_add(node.depth);
        sum.memory_depth = sum.memory_depth.saturating_add(node.memory_depth);
        sum.backend_depth = sum.backend_depth.saturating_add(node.backend_depth);
        sum.message_count = sum.message_count.saturating_add(node.message_count);
        sum.paused |= node.paused;
        for channel in node.channels.iter().flatten() {
            channels.entry(&channel.channel_name).or_default().push(channel.clone());
        }
    }
    let channels: Vec<Channel> =
        channels.into_iter().map(|(channel_name, nodes)| channel(name, channel_name, nodes)).collect();
    sum.e2e_processing_latency = latency(name, "", nodes.iter().map(|node| &node.e2e_processing_latency));
    sum.channels = (!channels.is_empty()).then_some(channels);
    sum.nodes = (!nodes.is_empty()).then_some(nodes);
    sum
}

/// The channel of that name on all nodes, of what it is on each.
#[must_use]
pub fn channel(topic: &str, name: &str, mut nodes: Vec<Channel>) -> Channel {
    nodes.sort_by(|a, b| (&a.hostname, &a.node).cmp(&(&b.hostname, &b.node)));
    let mut sum = Channel {
        node: ALL.to_owned(),
        topic_name: topic.to_owned(),
        channel_name: name.to_owned(),
        ..Channel::default()
    };
    let mut clients = Vec::new();
    for node in &nodes {
        sum.depth = sum.depth.saturating_add(node.depth);
        sum.memory_depth = sum.memory_depth.saturating_add(node.memory_depth);
        sum.backend_depth = sum.backend_depth.saturating_add(node.backend_depth);
        sum.in_flight_count = sum.in_flight_count.saturating_add(node.in_flight_count);
        sum.deferred_count = sum.deferred_count.saturating_add(node.deferred_count);
        sum.requeue_count = sum.requeue_count.saturating_add(node.requeue_count);
        sum.timeout_count = sum.timeout_count.saturating_add(node.timeout_count);
        sum.message_count = sum.message_count.saturating_add(node.message_count);
        sum.delivery_msg_count = sum.delivery_msg_count.saturating_add(node.delivery_msg_count);
        sum.zone_local_msg_count = sum.zone_local_msg_count.saturating_add(node.zone_local_msg_count);
        sum.region_local_msg_count = sum.region_local_msg_count.saturating_add(node.region_local_msg_count);
        sum.global_msg_count = sum.global_msg_count.saturating_add(node.global_msg_count);
        sum.client_count = sum.client_count.saturating_add(node.client_count);
        sum.paused |= node.paused;
        clients.extend(node.clients.iter().flatten().cloned());
    }
    clients.sort_by(|a, b| {
        (&a.node, distance(a), &a.remote_address).cmp(&(&b.node, distance(b), &b.remote_address))
    });
    sum.e2e_processing_latency = latency(topic, name, nodes.iter().map(|node| &node.e2e_processing_latency));
    sum.clients = (!clients.is_empty()).then_some(clients);
    sum.nodes = (!nodes.is_empty()).then_some(nodes);
    sum
}

/// How far a consumer is from its node: in its zone, in its region, elsewhere.
fn distance(client: &Client) -> u8 {
    let is_same_region = client.topology_region == client.node_topology_region;
    match is_same_region && client.topology_zone == client.node_topology_zone {
        true => 0,
        false => 2 - u8::from(is_same_region),
    }
}

/// The latencies of several nodes as one: each percentile with its extremes and its mean, in which a node counts as often
/// as it has messages.
fn latency<'a>(topic: &str, channel: &str, nodes: impl Iterator<Item = &'a Latency>) -> Latency {
    let mut sum = Latency {
        topic: topic.to_owned(),
        channel: channel.to_owned(),
        host: ALL.to_owned(),
        ..Latency::default()
    };
    for node in nodes {
        sum.count = sum.count.saturating_add(node.count);
        let Some(percentiles) = &node.percentiles else { continue };
        let merged = sum.percentiles.get_or_insert_default();
        for one in percentiles {
            match merged.iter_mut().find(|known| known.quantile == one.quantile) {
                Some(known) => add(known, one),
                None => merged.push(LatencyPercentile { value: None, ..*one }),
            }
        }
    }
    sum
}

fn add(sum: &mut LatencyPercentile, one: &LatencyPercentile) {
    // A node without messages has no latencies, and 0 would be the least of all.
    if one.count == 0.0 {
        return;
    }
    if sum.count == 0.0 {
        *sum = LatencyPercentile { value: None, ..*one };
        return;
    }
    let count = sum.count + one.count;
    sum.average = (sum.average * sum.count + one.average * one.count) / count;
    sum.count = count;
    sum.max = sum.max.max(one.max);
    sum.min = sum.min.min(one.min);
}

const NS_IN_S: i64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use nsq::api::json::to_go_json;
    use nsq::api::stats::Percentile;

    fn producer(port: i64) -> Producer {
        Producer {
            address: format!("127.0.0.1:{port}"),
            hostname: "vm".to_owned(),
            topology_region: "r1".to_owned(),
            topology_zone: "z1".to_owned(),
            ..Producer::default()
        }
    }

    fn latencies(count: i64, value: f64) -> LatencyStats {
        LatencyStats { count, percentiles: Some(vec![Percentile { quantile: 1.0, value }]) }
    }

    fn stats(depth: i64, channels: &[(&str, i64)]) -> TopicStats {
        let channel = |(name, depth): &(&str, i64)| ChannelStats {
            channel_name: (*name).to_owned(),
            depth: *depth,
            backend_depth: 1,
            global_msg_count: 7,
            message_count: 11,
            client_count: 1,
            e2e_processing_latency: latencies(1, *depth as f64),
            ..ChannelStats::default()
        };
        TopicStats {
            topic_name: "orders".to_owned(),
            depth,
            message_count: 8,
            channels: channels.iter().map(channel).collect(),
            e2e_processing_latency: latencies(depth, depth as f64),
            ..TopicStats::default()
        }
    }

    #[test]
    fn nodes_keep_their_own_numbers_beside_the_sums() {
        let nodes = vec![
            topic_of(&producer(2), stats(3, &[("a", 5), ("b", 1)]), 0),
            topic_of(&producer(1), stats(1, &[("a", 2)]), 0),
        ];
        let topic = topic("orders", nodes);
        assert_eq!((topic.depth, topic.message_count, topic.node.as_str()), (4, 16, "*"));
        let channels = topic.channels.as_ref().unwrap();
        assert_eq!(channels.iter().map(|channel| channel.depth).collect::<Vec<_>>(), [7, 1]);
        assert_eq!((channels[0].memory_depth, channels[0].client_count), (5, 2));
        let nodes = topic.nodes.as_ref().unwrap();
        assert_eq!(
            nodes.iter().map(|node| node.node.as_str()).collect::<Vec<_>>(),
            ["127.0.0.1:1", "127.0.0.1:2"]
        );
        let own = &nodes[1].channels.as_ref().unwrap()[0];
        assert_eq!((own.node.as_str(), own.depth, &own.nodes), ("127.0.0.1:2", 5, &None));
        let of_channel: Vec<i64> =
            channels[0].nodes.as_ref().unwrap().iter().map(|node| node.depth).collect();
        assert_eq!(of_channel, [2, 5]);
    }

    #[test]
    fn percentiles_are_merged_by_the_number_of_messages() {
        let nodes =
            [(3, 30.0), (0, 0.0), (1, 10.0)].map(|(count, value)| latency_of(latencies(count, value)));
        let merged = latency("t", "c", nodes.iter());
        let one = merged.percentiles.unwrap()[0];
        assert_eq!((merged.count, one.count, one.min, one.max, one.average), (4, 4.0, 10.0, 30.0, 25.0));
        assert_eq!(one.value, None);
    }

    #[test]
    fn bodies_have_the_keys_of_v1_3_0() {
        let one = topic_of(&producer(1), stats(3, &[]), 0);
        let whole = String::from_utf8(to_go_json(&topic("orders", vec![one]))).unwrap();
        assert_eq!(
            whole,
            r#"{"node":"*","hostname":"","topic_name":"orders","depth":3,"memory_depth":3,"backend_depth":0,"message_count":8,"delivery_msg_count":0,"nodes":[{"node":"127.0.0.1:1","hostname":"vm","topic_name":"orders","depth":3,"memory_depth":3,"backend_depth":0,"message_count":8,"delivery_msg_count":0,"nodes":null,"channels":[],"paused":false,"e2e_processing_latency":{"count":3,"percentiles":[{"average":3,"count":3,"max":3,"min":3,"quantile":1,"value":3}],"topic":"","channel":"","host":""}}],"channels":null,"paused":false,"e2e_processing_latency":{"count":3,"percentiles":[{"average":3,"count":3,"max":3,"min":3,"quantile":1}],"topic":"orders","channel":"","host":"*"}}"#
        );
    }

    #[test]
    fn clients_stand_by_their_distance_from_the_node() {
        let client = |zone: &str, region: &str| ClientStats {
            topology_zone: zone.to_owned(),
            topology_region: region.to_owned(),
            connect_ts: if zone == "z9" { 103 } else { 90 },
            ..ClientStats::default()
        };
        let stats = ChannelStats {
            channel_name: "c".to_owned(),
            clients: Some(vec![client("z9", "r9"), client("z2", "r1"), client("z1", "r1")]),
            ..ChannelStats::default()
        };
        let channel = channel("t", "c", vec![channel_of(&producer(1), "t", stats, 100)]);
        let clients = channel.clients.unwrap();
        let zones: Vec<&str> = clients.iter().map(|client| client.topology_zone.as_str()).collect();
        assert_eq!(zones, ["z1", "z2", "z9"]);
        let connected: Vec<i64> = clients.iter().map(|client| client.connected).collect();
        assert_eq!(connected, [10_000_000_000, 10_000_000_000, 0]);
    }
}
