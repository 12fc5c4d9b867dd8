//! An nsqd of the cluster, as it is known before it is asked.

use std::collections::BTreeSet;

use nsq::api::admin::{Node, NodeTopic};
use nsq::api::info::Info;
use nsq::api::lookup;
use nsq::wire::lookup::dialled_address;
use nsq::wire::name::TopicName;

use super::version::Version;

/// An nsqd, as the nsqlookupds or it itself describe it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Producer {
    /// For each nsqlookupd that knows it, in the order of their answers.
    pub remote_addresses: Vec<String>,
    /// Where the first of them sees it.
    pub remote_address: String,
    /// What it calls its host.
    pub hostname: String,
    /// The address to reach it by.
    pub broadcast_address: String,
    /// Where it speaks the protocol.
    pub tcp_port: i64,
    /// Where it speaks HTTP.
    pub http_port: i64,
    /// The version of NSQ it behaves as.
    pub version: String,
    /// Where it runs.
    pub topology_zone: String,
    /// The wider place that is in.
    pub topology_region: String,
    /// Its topics by name, and whether each is tombstoned.
    pub topics: Vec<(String, bool)>,
    /// Where it is asked, `host:port`.
    pub address: String,
    /// The address at which it was asked for its description, where it was; it may call itself by another.
    pub described_at: String,
}

impl AsRef<str> for Producer {
    /// Where it is asked.
    fn as_ref(&self) -> &str {
        &self.address
    }
}

impl Producer {
    /// As it says itself, at the address at which it was asked.
    #[must_use]
    pub fn of_info(described_at: String, info: Info, topics: Vec<String>) -> Self {
        Self {
            described_at,
            hostname: info.hostname,
            address: http_address(&info.broadcast_address, info.http_port.into()),
            broadcast_address: info.broadcast_address,
            tcp_port: info.tcp_port.into(),
            http_port: info.http_port.into(),
            version: info.version,
            topology_zone: info.topology_zone,
            topology_region: info.topology_region,
            topics: topics.into_iter().map(|topic| (topic, false)).collect(),
            ..Self::default()
        }
    }

    /// As that nsqlookupd describes it among its nodes.
    #[must_use]
    pub fn of_node(lookupd: &str, node: lookup::Node) -> Self {
        let tombstoned = node.tombstones.into_iter().chain(std::iter::repeat(false));
        let mut topics: Vec<_> = node.topics.into_iter().zip(tombstoned).collect();
        topics.retain(|(topic, _)| TopicName::parse(topic).is_some());
        topics.sort();
        topics.dedup_by(|another, one| another.0 == one.0);
        Self {
            remote_addresses: vec![format!("{lookupd}/{}", or_not_there(&node.remote_address))],
            address: http_address(&node.broadcast_address, node.http_port),
            remote_address: node.remote_address,
            hostname: node.hostname,
            broadcast_address: node.broadcast_address,
            tcp_port: node.tcp_port,
            http_port: node.http_port,
            version: node.version,
            topology_zone: node.topology_zone,
            topology_region: node.topology_region,
            topics,
            described_at: String::new(),
        }
    }

    /// As that nsqlookupd describes it when it is asked for a topic.
    #[must_use]
    pub fn of_lookup(lookupd: &str, found: lookup::Producer) -> Self {
        Self::of_node(
            lookupd,
            lookup::Node {
                remote_address: found.remote_address,
                hostname: found.hostname,
                broadcast_address: found.broadcast_address,
                tcp_port: found.tcp_port,
                http_port: found.http_port,
                version: found.version,
                topology_zone: found.topology_zone,
                topology_region: found.topology_region,
                ..lookup::Node::default()
            },
        )
    }

    /// As it is told.
    #[must_use]
    pub fn node(self, newest: &Version) -> Node {
        let out_of_date = !self.remote_addresses.is_empty() && Version::parse(&self.version) < *newest;
        let topic = |(topic, tombstoned)| NodeTopic { topic, tombstoned };
        let topics: Vec<NodeTopic> = self.topics.into_iter().map(topic).collect();
        Node {
            remote_addresses: (!self.remote_addresses.is_empty()).then_some(self.remote_addresses),
            remote_address: self.remote_address,
            hostname: self.hostname,
            broadcast_address: self.broadcast_address,
            tcp_port: self.tcp_port,
            http_port: self.http_port,
            version: self.version,
            topology_zone: self.topology_zone,
            topology_region: self.topology_region,
            topics: (!topics.is_empty()).then_some(topics),
            out_of_date,
        }
    }
}

/// Several descriptions as one of each nsqd: the first one counts, all nsqlookupds are named. In the order of hosts, and
/// of addresses where hosts are the same.
#[must_use]
pub fn merged(described: impl IntoIterator<Item = Producer>) -> Vec<Producer> {
    let mut merged: Vec<Producer> = Vec::new();
    for producer in described {
        let is_same = |known: &&mut Producer| {
            known.broadcast_address == producer.broadcast_address && known.tcp_port == producer.tcp_port
        };
        match merged.iter_mut().find(is_same) {
            Some(known) => known.remote_addresses.extend(producer.remote_addresses),
            None => merged.push(producer),
        }
    }
    merged.sort_by(|a, b| (&a.hostname, &a.address).cmp(&(&b.hostname, &b.address)));
    merged
}

/// One of each address, where several describe themselves by the same one: an nsqd that was started again with another
/// port for TCP is two nsqds to an nsqlookupd for a while. Whoever asked both would count what it has twice.
#[must_use]
pub fn each_once(mut producers: Vec<Producer>) -> Vec<Producer> {
    let mut known = BTreeSet::new();
    producers.retain(|producer| known.insert(producer.address.clone()));
    producers
}

/// What cannot be dialled is shown as it was said, and fails when it is asked.
pub(super) fn http_address(host: &str, port: i64) -> String {
    dialled_address(host, port).unwrap_or_else(|| format!("{host}:{port}"))
}

fn or_not_there(address: &str) -> &str {
    if address.is_empty() { "N/A" } else { address }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str, port: i64, remote: &str) -> lookup::Node {
        lookup::Node {
            broadcast_address: host.to_owned(),
            hostname: host.to_owned(),
            tcp_port: port,
            http_port: port + 1,
            remote_address: remote.to_owned(),
            topics: vec!["b".to_owned(), "a".to_owned()],
            tombstones: vec![true, false],
            version: "1.3.0".to_owned(),
            ..lookup::Node::default()
        }
    }

    #[test]
    fn an_nsqd_that_several_know_is_one() {
        let merged = merged([
            Producer::of_node("l:1", node("z", 1, "r:1")),
            Producer::of_node("l:1", node("h", 1, "r:2")),
            Producer::of_node("m:1", node("z", 1, "r:3")),
            Producer::of_node("m:1", node("z", 3, "")),
        ]);
        let shown: Vec<_> =
            merged.iter().map(|one| (one.address.as_str(), one.remote_addresses.join(" "))).collect();
        assert_eq!(
            shown,
            [
                ("h:2", "l:1/r:2".to_owned()),
                ("z:2", "l:1/r:1 m:1/r:3".to_owned()),
                ("z:4", "m:1/N/A".to_owned())
            ]
        );
        assert_eq!(merged[0].topics, [("a".to_owned(), false), ("b".to_owned(), true)]);
    }

    #[test]
    fn an_nsqd_that_two_descriptions_lead_to_is_asked_once() {
        let restarted = lookup::Node { tcp_port: 9, ..node("z", 1, "r") };
        let known =
            merged([Producer::of_node("l:1", node("z", 1, "r")), Producer::of_node("l:1", restarted)]);
        assert_eq!((known.len(), each_once(known).len()), (2, 1));
        let odd = lookup::Node { topics: ["a/b", "a", "a"].map(str::to_owned).to_vec(), ..node("z", 1, "r") };
        let topics = Producer::of_node("l:1", odd).topics;
        assert_eq!(topics.iter().map(|(topic, _)| topic.as_str()).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn an_older_one_is_out_of_date() {
        let old = Producer::of_node("l:1", node("h", 1, "r"));
        assert!(old.clone().node(&Version::parse("1.3.1")).out_of_date);
        assert!(!old.node(&Version::parse("1.3.0")).out_of_date);
        let old = Info { version: "1.0.0".to_owned(), ..Info::default() };
        let direct = Producer::of_info("h:1".to_owned(), old, Vec::new());
        assert!(!direct.node(&Version::parse("1.3.0")).out_of_date);
    }
}
