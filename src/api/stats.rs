//! nsqd's `GET /stats?format=json` (spec nsqd-http.md, §5). What is counted: spec nsqd-operation.md, §7.

use serde::{Deserialize, Serialize};

use super::json::{is_default, null_as_default};

/// The body of nsqd's `GET /stats?format=json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// The version of NSQ the daemon behaves as.
    pub version: String,
    /// `OK`, or `NOK - ` and what is wrong.
    pub health: String,
    /// When the daemon started, in Unix seconds.
    pub start_time: i64,
    /// By name. `null` exactly when a topic was asked for that does not exist.
    pub topics: Option<Vec<TopicStats>>,
    /// Left out when not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryStats>,
    /// The live TCP connections that have published. `null` when there are none or when not asked for.
    pub producers: Option<Vec<ClientStats>>,
    /// What was found damaged on disk; left out while nothing was. v1.3.0 has no such key.
    #[serde(skip_serializing_if = "DamageStats::is_none")]
    pub damage: DamageStats,
}

/// What was found damaged on disk and set aside, since the daemon started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DamageStats {
    /// Batches of messages.
    pub batches: u64,
    /// Saved states of topics.
    pub states: u64,
    /// Whole databases.
    pub databases: u64,
    /// Indexes of what is there. They were made anew, and nothing is lost by that.
    pub indexes: u64,
}

impl DamageStats {
    /// Whether nothing was damaged.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// A topic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TopicStats {
    /// The topic's name.
    pub topic_name: String,
    /// By name.
    #[serde(deserialize_with = "null_as_default")]
    pub channels: Vec<ChannelStats>,
    /// Messages that no channel has been given yet.
    pub depth: i64,
    /// The part of `depth` that is on disk.
    pub backend_depth: i64,
    /// Messages accepted since start.
    pub message_count: u64,
    /// Bytes of the bodies of the messages accepted since start.
    pub message_bytes: u64,
    /// Whether channels get no new messages at present.
    pub paused: bool,
    /// Time from publishing to finishing, the topic's channels taken together.
    #[serde(deserialize_with = "null_as_default")]
    pub e2e_processing_latency: LatencyStats,
    /// What an acknowledgement promises: `memory`, `os` or `disk`. v1.3.0 has no such key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durability: Option<String>,
    /// How long ago the oldest message that no channel has been given was published, in milliseconds: 0 when there is
    /// none; left out when it is not known. v1.3.0 has no such key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_age_ms: Option<i64>,
}

/// A channel of a topic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelStats {
    /// The channel's name.
    pub channel_name: String,
    /// Messages that wait, those in flight and deferred apart.
    pub depth: i64,
    /// The part of `depth` that is on disk.
    pub backend_depth: i64,
    /// Messages sent and not finished.
    pub in_flight_count: i64,
    /// Messages whose delay has not passed.
    pub deferred_count: i64,
    /// Messages received from the topic since start.
    pub message_count: u64,
    /// Deliveries to consumers of this daemon's zone.
    #[serde(skip_serializing_if = "is_default")]
    pub zone_local_msg_count: u64,
    /// Deliveries to consumers of this daemon's region, in another zone.
    #[serde(skip_serializing_if = "is_default")]
    pub region_local_msg_count: u64,
    /// Deliveries to any other consumers.
    #[serde(skip_serializing_if = "is_default")]
    pub global_msg_count: u64,
    /// Messages that consumers put back since start.
    pub requeue_count: u64,
    /// Messages whose consumer took too long, since start.
    pub timeout_count: u64,
    /// Consumers that are connected.
    pub client_count: i64,
    /// Those consumers; `null` when not asked for.
    pub clients: Option<Vec<ClientStats>>,
    /// Whether consumers get no messages at present.
    pub paused: bool,
    /// Time from publishing to finishing.
    #[serde(deserialize_with = "null_as_default")]
    pub e2e_processing_latency: LatencyStats,
    /// How long ago the oldest message was published that waits or was sent and is not finished, in milliseconds: 0 when
    /// there is none; left out when it is not known. v1.3.0 has no such key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_age_ms: Option<i64>,
}

/// A TCP connection, as consumer of a channel or as producer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientStats {
    /// What the client calls itself.
    pub client_id: String,
    /// What the client calls its host.
    pub hostname: String,
    /// The protocol: always `V2`.
    pub version: String,
    /// The peer, `ip:port`; `@` on a unix socket.
    pub remote_address: String,
    /// 0 new, 3 subscribed, 4 closing.
    pub state: i32,
    /// The ready count the client asked for last.
    pub ready_count: i64,
    /// Messages sent to the client and not finished.
    pub in_flight_count: i64,
    /// Messages sent to the client, repeats included.
    pub message_count: u64,
    /// As in [`ChannelStats`].
    #[serde(skip_serializing_if = "is_default")]
    pub zone_local_msg_count: u64,
    /// As in [`ChannelStats`].
    #[serde(skip_serializing_if = "is_default")]
    pub region_local_msg_count: u64,
    /// As in [`ChannelStats`].
    #[serde(skip_serializing_if = "is_default")]
    pub global_msg_count: u64,
    /// Messages the client finished.
    pub finish_count: u64,
    /// Messages the client put back.
    pub requeue_count: u64,
    /// When the client connected, in Unix seconds.
    pub connect_ts: i64,
    /// The share of messages the client wants, in percent; 0 for all.
    pub sample_rate: i32,
    /// Whether the connection is compressed by deflate.
    pub deflate: bool,
    /// Whether the connection is compressed by snappy.
    pub snappy: bool,
    /// What program the client says it is.
    pub user_agent: String,
    /// Whether the client has been authorised by an auth server; left out when not.
    #[serde(skip_serializing_if = "is_default")]
    pub authed: bool,
    /// Whom the auth server takes the client for.
    #[serde(skip_serializing_if = "is_default")]
    pub auth_identity: String,
    /// Where to read about that identity.
    #[serde(skip_serializing_if = "is_default")]
    pub auth_identity_url: String,
    /// The zone the client says it is in.
    pub topology_zone: String,
    /// The region the client says it is in.
    pub topology_region: String,
    /// What the client published; left out when empty.
    #[serde(skip_serializing_if = "is_default", deserialize_with = "null_as_default")]
    pub pub_counts: Vec<PubCount>,
    /// Whether the connection is encrypted. The keys that follow are empty when not.
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

/// How much a connection published to a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PubCount {
    /// The topic's name.
    pub topic: String,
    /// Messages published.
    pub count: u64,
}

/// How long messages took from publishing to finishing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LatencyStats {
    /// Messages the percentiles are made from.
    pub count: i64,
    /// In the order they were configured; `null` when none are.
    pub percentiles: Option<Vec<Percentile>>,
}

/// One percentile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Percentile {
    /// The share of messages that took at most `value`, in (0, 1].
    pub quantile: f64,
    /// Nanoseconds; 0 without a sample.
    pub value: f64,
}

/// The process's memory, under the names Go's runtime gave it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryStats {
    /// Objects on the heap.
    pub heap_objects: u64,
    /// Bytes reserved and not in use.
    pub heap_idle_bytes: u64,
    /// Bytes in use.
    pub heap_in_use_bytes: u64,
    /// Bytes given back to the operating system.
    pub heap_released_bytes: u64,
    /// The longest pause of the garbage collector, in microseconds.
    pub gc_pause_usec_100: u64,
    /// The 99th percentile of the pauses.
    pub gc_pause_usec_99: u64,
    /// The 95th percentile of the pauses.
    pub gc_pause_usec_95: u64,
    /// The heap size at which the garbage collector runs next.
    pub next_gc_bytes: u64,
    /// How often the garbage collector ran.
    pub gc_total_runs: u32,
}
