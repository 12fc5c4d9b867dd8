//! nsqadmin's HTTP bodies (spec nsqadmin.md, §5), and those that v1.3.0 does not have.
//!
//! Keys that v1.3.0 does not have are left out where there is nothing to say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::json::is_default;

/// A body, with what is to be said about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told<T> {
    /// The body.
    #[serde(flatten)]
    pub body: T,
    /// Empty when all is well; else `WARNING: ` and who failed.
    pub message: String,
    /// The same one by one. v1.3.0 has no such key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// One that did not do its part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Warning {
    /// Its `host:port`.
    pub node: String,
    /// `nsqd` or `nsqlookupd`.
    pub service: String,
    /// Why not.
    pub reason: String,
}

/// Nothing but what is to be said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {}

/// The body of `GET /api/topics`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Topics {
    /// By name; `null` when there are none.
    pub topics: Option<Vec<String>>,
}

/// The body of `GET /api/topics?inactive=true`: topics that nobody has, and their channels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InactiveTopics {
    /// Channels by topic; `null` when it has none.
    pub topics: BTreeMap<String, Option<Vec<String>>>,
}

/// A topic, on one node or on all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Topic {
    /// The node's `host:port`; `*` for all.
    pub node: String,
    /// What the node calls its host.
    pub hostname: String,
    /// The name.
    pub topic_name: String,
    /// Messages that no channel has been given yet.
    pub depth: i64,
    /// The part of `depth` that is in memory.
    pub memory_depth: i64,
    /// The part of `depth` that is on disk.
    pub backend_depth: i64,
    /// Messages accepted since the nodes started.
    pub message_count: u64,
    /// Deliveries, of all kinds of nearness together.
    pub delivery_msg_count: u64,
    /// Deliveries within a zone.
    #[serde(skip_serializing_if = "is_default")]
    pub zone_local_msg_count: u64,
    /// Deliveries within a region.
    #[serde(skip_serializing_if = "is_default")]
    pub region_local_msg_count: u64,
    /// All other deliveries.
    #[serde(skip_serializing_if = "is_default")]
    pub global_msg_count: u64,
    /// The topic on each node; `null` on one.
    pub nodes: Option<Vec<Topic>>,
    /// Its channels.
    pub channels: Option<Vec<Channel>>,
    /// Whether it is paused, on any node.
    pub paused: bool,
    /// Time from publishing to finishing.
    pub e2e_processing_latency: Latency,
}

/// A channel, on one node or on all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Channel {
    /// The node's `host:port`; `*` for all.
    pub node: String,
    /// What the node calls its host.
    pub hostname: String,
    /// The topic's name.
    pub topic_name: String,
    /// The name.
    pub channel_name: String,
    /// Messages that wait, those in flight and deferred apart.
    pub depth: i64,
    /// The part of `depth` that is in memory.
    pub memory_depth: i64,
    /// The part of `depth` that is on disk.
    pub backend_depth: i64,
    /// Messages sent and not finished.
    pub in_flight_count: i64,
    /// Messages whose delay has not passed.
    pub deferred_count: i64,
    /// Messages that consumers put back.
    pub requeue_count: u64,
    /// Messages whose consumer took too long.
    pub timeout_count: u64,
    /// Messages received from the topic.
    pub message_count: u64,
    /// Deliveries, of all kinds of nearness together.
    #[serde(skip_serializing_if = "is_default")]
    pub delivery_msg_count: u64,
    /// Deliveries within a zone.
    #[serde(skip_serializing_if = "is_default")]
    pub zone_local_msg_count: u64,
    /// Deliveries within a region.
    #[serde(skip_serializing_if = "is_default")]
    pub region_local_msg_count: u64,
    /// All other deliveries.
    #[serde(skip_serializing_if = "is_default")]
    pub global_msg_count: u64,
    /// Connections of consumers.
    pub client_count: i64,
    /// The channel on each node; `null` on one.
    pub nodes: Option<Vec<Channel>>,
    /// Those connections; `null` where they were not asked for.
    pub clients: Option<Vec<Client>>,
    /// Whether it is paused, on any node.
    pub paused: bool,
    /// Time from publishing to finishing.
    pub e2e_processing_latency: Latency,
}

/// A connection of a consumer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Client {
    /// The node's `host:port`.
    pub node: String,
    /// The peer, `ip:port`.
    pub remote_address: String,
    /// The protocol.
    pub version: String,
    /// What the client calls itself.
    pub client_id: String,
    /// What the client calls its host.
    pub hostname: String,
    /// What program the client says it is.
    pub user_agent: String,
    /// When it connected, in Unix seconds.
    pub connect_ts: i64,
    /// How long ago that is, in nanoseconds.
    pub connected: i64,
    /// Messages sent to it and not finished.
    pub in_flight_count: i64,
    /// How many it asked for.
    pub ready_count: i64,
    /// Messages it finished.
    pub finish_count: u64,
    /// Messages it put back.
    pub requeue_count: u64,
    /// Messages sent to it.
    pub message_count: u64,
    /// The share of messages it wants, in percent; 0 for all.
    pub sample_rate: i32,
    /// Whether the connection is compressed by deflate.
    pub deflate: bool,
    /// Whether the connection is compressed by snappy.
    pub snappy: bool,
    /// Whether an auth server vouched for it.
    pub authed: bool,
    /// Whom the auth server takes it for.
    pub auth_identity: String,
    /// Where to read about that identity.
    pub auth_identity_url: String,
    /// The region of the node.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node_topology_region: String,
    /// The zone of the node.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node_topology_zone: String,
    /// The region it says it is in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub topology_region: String,
    /// The zone it says it is in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub topology_zone: String,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The name of the cipher suite.
    pub tls_cipher_suite: String,
    /// `TLS1.0` to `TLS1.3`.
    pub tls_version: String,
    /// The protocol agreed on by ALPN.
    pub tls_negotiated_protocol: String,
    /// Always true on TLS.
    pub tls_negotiated_protocol_is_mutual: bool,
}

/// How long messages took from publishing to finishing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// Messages that this is made from.
    pub count: i64,
    /// `null` when none are kept.
    pub percentiles: Option<Vec<LatencyPercentile>>,
    /// For all nodes: the topic.
    pub topic: String,
    /// For all nodes: the channel.
    pub channel: String,
    /// `*` for all nodes, empty for one.
    pub host: String,
}

/// One percentile, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LatencyPercentile {
    /// The nodes' values, each as often as it has messages.
    pub average: f64,
    /// Messages that this is made from.
    pub count: f64,
    /// The greatest of the nodes' values.
    pub max: f64,
    /// The least of the nodes' values.
    pub min: f64,
    /// The share of messages that took at most this.
    pub quantile: f64,
    /// One node's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// The body of `GET /api/nodes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Nodes {
    /// `null` when there are none.
    pub nodes: Option<Vec<Node>>,
}

/// An nsqd.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// For each nsqlookupd that knows it: `<nsqlookupd>/<where it connects from>`; `null` where there is none.
    pub remote_addresses: Option<Vec<String>>,
    /// Where the first nsqlookupd sees it.
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
    #[serde(skip_serializing_if = "String::is_empty")]
    pub topology_zone: String,
    /// The wider place that is in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub topology_region: String,
    /// Its topics, by name; `null` when it has none.
    pub topics: Option<Vec<NodeTopic>>,
    /// Whether another node has a newer version.
    pub out_of_date: bool,
}

/// A topic of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeTopic {
    /// The name.
    pub topic: String,
    /// Whether consumers are told to pass the node over for this topic.
    pub tombstoned: bool,
}

/// The body of `GET /api/nodes/:node`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeDetail {
    /// Its `host:port`.
    pub node: String,
    /// Its topics with their channels and clients; `null` when there are none.
    pub topics: Option<Vec<Topic>>,
    /// Messages accepted, of all topics together.
    pub total_messages: u64,
    /// Connections of consumers.
    pub total_clients: u64,
}

/// The body of `GET /api/counter`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counter {
    /// By `topic:channel:node`.
    pub stats: BTreeMap<String, ChannelCount>,
}

/// How many messages a channel got on a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelCount {
    /// The node's `host:port`.
    pub node: String,
    /// The topic's name.
    pub topic_name: String,
    /// The channel's name.
    pub channel_name: String,
    /// Since the node started.
    pub message_count: u64,
}

/// The body of `GET /api/graphite`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GraphiteRate {
    /// With two decimals, or `N/A`.
    pub rate: String,
}

/// What became of a change: the body of every write's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Done {
    /// What each node said, in the order in which they were asked. v1.3.0 has no such key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<Outcome>,
}

/// What one node said to a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// Its `host:port`.
    pub node: String,
    /// `nsqd` or `nsqlookupd`.
    pub service: String,
    /// What it was asked to do: `/topic/pause`.
    pub request: String,
    /// Whether it did.
    pub ok: bool,
    /// Why not; empty when it did.
    pub reason: String,
}

/// A change, as the notification endpoint is told of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdminAction {
    /// `create_topic`, `pause_channel`, …
    pub action: String,
    /// The topic.
    pub topic: String,
    /// The channel.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub channel: String,
    /// The node, for a tombstone.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// When, in Unix seconds.
    pub timestamp: i64,
    /// Who, as far as it is known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// From where, `ip:port`.
    pub remote_ip: String,
    /// With which program.
    pub user_agent: String,
    /// By which request.
    pub url: String,
    /// Through which nsqadmin: its host.
    pub via: String,
}

/// The body of `GET /api/settings`: what the page must know of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The version of NSQ that this behaves as.
    pub version: String,
    /// What all paths begin with; `/` for nothing.
    pub base_path: String,
    /// Whether there is Graphite.
    pub graph_enabled: bool,
    /// Where it is; empty where its graphs come through this server.
    pub graphite_url: String,
    /// How often nsqd tells statsd its numbers, in seconds.
    pub statsd_interval: u64,
    /// How statsd names a counter.
    pub statsd_counter_format: String,
    /// How statsd names a gauge.
    pub statsd_gauge_format: String,
    /// The prefix of nsqd's keys.
    pub statsd_prefix: String,
    /// The nsqlookupds; empty where nsqd are asked directly.
    pub nsqlookupd: Vec<String>,
    /// Whether one must log in.
    pub has_login: bool,
    /// How often the nodes are asked for their numbers, in milliseconds; 0 for never.
    pub sample_interval_ms: u64,
}

/// The body of `GET` and `POST /api/session`: who one is here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    /// The name; empty where it is not known.
    pub user: String,
    /// `admin`, `operator`, `viewer`, or `none` for one who must log in.
    pub role: String,
    /// Whether there is a login.
    pub has_login: bool,
}

/// The body of `GET /api/overview`, and of the event `overview` of `GET /api/live`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Overview {
    /// When, in Unix milliseconds.
    pub at: i64,
    /// Everything together.
    pub totals: Totals,
    /// A row for each channel, and for each topic without one or in which messages stay; trouble first.
    pub channels: Vec<ChannelRow>,
    /// The nodes, by address.
    pub nodes: Vec<NodeRow>,
}

/// The event `update` of `GET /api/live`: what changed since the event before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Update {
    /// When, in Unix milliseconds.
    pub at: i64,
    /// Everything together.
    pub totals: Totals,
    /// The rows that are new or other than they were, trouble first.
    pub channels: Vec<ChannelRow>,
    /// The rows that are no more: topic, and channel (`null` for the topic itself).
    pub gone: Vec<(String, Option<String>)>,
    /// All nodes.
    pub nodes: Vec<NodeRow>,
}

/// The whole cluster in numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Nodes, silent ones among them.
    pub nodes: usize,
    /// Topics.
    pub topics: usize,
    /// Channels.
    pub channels: usize,
    /// Rows in trouble, those that are only paused apart.
    pub in_trouble: usize,
    /// Messages that wait, in topics and channels.
    pub depth: i64,
    /// Messages published, a second; `null` while it is not known.
    pub rate_in: Option<f64>,
    /// Messages that left channels, a second; `null` while it is not known.
    pub rate_out: Option<f64>,
    /// Messages that channels got since their nodes started: what `GET /api/counter` adds up to.
    pub message_count: u64,
    /// Topics, channels and nodes without a history, because there are too many.
    pub without_history: usize,
}

/// A channel, or a topic itself: one without channels, or in which messages stay, because it is paused or has no channel on
/// their node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelRow {
    /// The topic.
    pub topic: String,
    /// The channel; `null` for the topic itself, whether it has channels or not.
    pub channel: Option<String>,
    /// Messages that wait.
    pub depth: i64,
    /// How long ago the oldest message was published that waits or that consumers have, in milliseconds: 0 when there is
    /// none; `null` where no node says so.
    pub oldest_age_ms: Option<i64>,
    /// Messages that came, a second, over the last 10; `null` while it is not known.
    pub rate_in: Option<f64>,
    /// Messages that went, a second, over the last 10; `null` while it is not known.
    pub rate_out: Option<f64>,
    /// Messages that consumers have.
    pub in_flight: i64,
    /// Messages whose delay has not passed.
    pub deferred: i64,
    /// Messages that consumers put back, since the nodes started.
    pub requeued: u64,
    /// Messages whose consumer took too long, since the nodes started.
    pub timed_out: u64,
    /// The same in the last minute; `null` while it is not known.
    pub timeouts_per_min: Option<f64>,
    /// Connections of consumers.
    pub clients: i64,
    /// The ready counts of all of them together.
    pub ready: i64,
    /// Whether the channel is paused on any node.
    pub paused: bool,
    /// Whether the topic is paused on any node.
    pub topic_paused: bool,
    /// The nodes that have it.
    pub nodes: usize,
    /// What is wrong, the worst first.
    pub trouble: Vec<Trouble>,
    /// The newest depths, oldest first, `null` where one is not known; left out unless asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spark: Vec<Option<f64>>,
}

/// What is wrong with a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trouble {
    /// `no_consumers`, `no_channels`, `rising`, `ready_zero`, `timeouts`, `node_silent` or `paused`.
    pub code: String,
    /// The same in plain words.
    pub reason: String,
}

/// An nsqd, as it is doing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeRow {
    /// Its `host:port`.
    pub node: String,
    /// What it calls its host.
    pub hostname: String,
    /// The version of NSQ it behaves as.
    pub version: String,
    /// `OK`, or `NOK - ` and what is wrong, as it says itself, or because it has too much; empty while it has not answered.
    pub health: String,
    /// For how long it has not answered, in milliseconds; 0 when it does.
    pub silent_ms: u64,
    /// Why not; empty when it does.
    pub reason: String,
    /// Messages that wait there.
    pub depth: i64,
    /// Messages published there, a second; `null` while it is not known.
    pub rate_in: Option<f64>,
    /// Messages that left channels there, a second; `null` while it is not known.
    pub rate_out: Option<f64>,
    /// Connections of consumers.
    pub clients: i64,
    /// Topics.
    pub topics: usize,
    /// Channels.
    pub channels: usize,
}

/// The body of `GET /api/history`: numbers at even distances, oldest first, `null` where one is not known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryBody {
    /// `cluster`, `node`, `topic` or `channel`.
    pub kind: String,
    /// The node, for one.
    pub node: String,
    /// The topic, for one or its channel.
    pub topic: String,
    /// The channel, for one.
    pub channel: String,
    /// The seconds from one number to the next.
    pub step: i64,
    /// The time of the first number, in Unix seconds.
    pub start: i64,
    /// Messages that wait; of a long step, the most.
    pub depth: Vec<Option<f64>>,
    /// Messages that consumers have; of a long step, the most.
    pub in_flight: Vec<Option<f64>>,
    /// Messages that came, a second.
    pub rate_in: Vec<Option<f64>>,
    /// Messages that went, a second.
    pub rate_out: Vec<Option<f64>>,
    /// Messages that were put back, a second.
    pub requeue_rate: Vec<Option<f64>>,
    /// Messages whose consumer took too long, a second.
    pub timeout_rate: Vec<Option<f64>>,
}
