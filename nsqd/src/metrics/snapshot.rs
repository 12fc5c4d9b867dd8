//! The state of the daemon at one moment, as plain data. What the numbers mean: spec nsqd-operation.md, §7.

use std::time::Duration;

use nsq::api::stats::DamageStats;
use nsq::wire::name::{ChannelName, TopicName};
use nsqd_broker::storage::Durability;

/// What one walk over the daemon found.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeSnapshot {
    /// The version of NSQ the daemon behaves as.
    pub version: String,
    /// What is wrong, if anything is.
    pub health: Result<(), String>,
    /// What was found damaged on disk.
    pub damage: DamageStats,
    /// When the daemon started, in Unix seconds.
    pub start_time: i64,
    /// The same moment as RFC 3339, in local time, to the second.
    pub start_time_text: String,
    /// Time since then.
    pub uptime: Duration,
    /// When the snapshot was taken, in Unix seconds.
    pub taken_at: i64,
    /// The topics, by name after [`StatsFilter::apply`]; `None` when the one asked for does not exist.
    pub topics: Option<Vec<TopicSnapshot>>,
    /// The live TCP connections that have published, subscribed or not.
    pub producers: Vec<ClientSnapshot>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicSnapshot {
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// The topic's name.
    pub name: TopicName,
    /// Messages that no channel has been given yet.
    pub depth: u64,
    /// The part of `depth` that is on disk.
    pub backend_depth: u64,
    /// How long the oldest of them has waited, in milliseconds: 0 when there is none, `None` when it is not known.
    pub oldest_age_ms: Option<u64>,
    /// Messages accepted since start.
    pub message_count: u64,
    /// Bytes of the bodies of the messages accepted since start.
    pub message_bytes: u64,
    /// Whether channels get no new messages at present.
    pub paused: bool,
    /// The topic's channels, by name after [`StatsFilter::apply`].
    pub channels: Vec<ChannelSnapshot>,
    /// The channels' latencies merged. A topic without channels has no percentiles.
    pub latency: LatencySnapshot,
}

/// A channel.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelSnapshot {
    /// The channel's name.
    pub name: ChannelName,
    /// Messages that wait, those in flight and deferred apart.
    pub depth: u64,
    /// The part of `depth` that is on disk.
    pub backend_depth: u64,
    /// Messages sent and not finished.
    pub in_flight_count: u64,
    /// Messages whose delay has not passed.
    pub deferred_count: u64,
    /// How long ago the oldest message was published that waits or was sent and is not finished, in milliseconds: 0 when
    /// there is none, `None` when it is not known.
    pub oldest_age_ms: Option<u64>,
    /// Messages received from the topic since start.
    pub message_count: u64,
    /// Deliveries to consumers of this daemon's zone.
    pub zone_local_msg_count: u64,
    /// Deliveries to consumers of this daemon's region, in another zone.
    pub region_local_msg_count: u64,
    /// Deliveries to any other consumers.
    pub global_msg_count: u64,
    /// Messages that consumers put back since start.
    pub requeue_count: u64,
    /// Messages whose consumer took too long, since start.
    pub timeout_count: u64,
    /// Consumers that are connected.
    pub client_count: u64,
    /// Those consumers; `None` when not asked for.
    pub clients: Option<Vec<ClientSnapshot>>,
    /// Whether consumers get no messages at present.
    pub paused: bool,
    /// Time from publishing to finishing.
    pub latency: LatencySnapshot,
}

/// A TCP connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientSnapshot {
    /// What the client calls itself.
    pub client_id: String,
    /// What the client calls its host.
    pub hostname: String,
    /// The peer, `ip:port`; `@` on a unix socket.
    pub remote_address: String,
    /// 0 new, 3 subscribed, 4 closing.
    pub state: i32,
    /// The ready count the client asked for last.
    pub ready_count: u64,
    /// Messages sent to the client and not finished.
    pub in_flight_count: u64,
    /// Messages sent to the client, repeats included.
    pub message_count: u64,
    /// Messages the client finished.
    pub finish_count: u64,
    /// Messages the client put back.
    pub requeue_count: u64,
    /// When the client connected, in Unix seconds.
    pub connected_at: i64,
    /// The share of messages the client wants, in percent; 0 for all.
    pub sample_rate: i32,
    /// Whether the connection is compressed by deflate.
    pub deflate: bool,
    /// Whether the connection is compressed by snappy.
    pub snappy: bool,
    /// What program the client says it is.
    pub user_agent: String,
    /// Whether an auth server has authorised the client.
    pub authed: bool,
    /// Whom the auth server takes the client for.
    pub auth_identity: String,
    /// Where to read about that identity.
    pub auth_identity_url: String,
    /// The zone the client says it is in.
    pub topology_zone: String,
    /// The region the client says it is in.
    pub topology_region: String,
    /// How many messages the client published to which topic.
    pub pub_counts: Vec<(TopicName, u64)>,
    /// Set exactly when the connection is encrypted.
    pub tls: Option<TlsSnapshot>,
}

/// What a connection's TLS agreed on, in the words of spec nsqd-http.md, §5.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSnapshot {
    /// `TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA` and the like, or `Unknown` and a number.
    pub cipher_suite: String,
    /// `TLS1.0` to `TLS1.3`.
    pub version: String,
}

/// How long messages took from publishing to finishing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LatencySnapshot {
    /// Messages the percentiles are made from.
    pub count: u64,
    /// Quantile in (0, 1] and nanoseconds, in the order configured; `None` when none are configured.
    pub percentiles: Option<Vec<(f64, f64)>>,
}

/// What of the daemon is wanted (the query of `/stats`).
///
/// The walk may use it to look at less: at the one topic (`topic`), without clients (`include_clients`).
/// It need not: [`apply`](StatsFilter::apply) takes away what is not wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsFilter {
    /// Only the topic of this name, and producers' counts for it.
    pub topic: Option<String>,
    /// Only channels of this name, and topics that have one.
    pub channel: Option<String>,
    /// Whether consumers and producers are wanted.
    pub include_clients: bool,
}

impl Default for StatsFilter {
    /// Everything.
    fn default() -> Self {
        Self { topic: None, channel: None, include_clients: true }
    }
}

impl StatsFilter {
    /// Brings a snapshot into the order and form in which it is shown, reduced to what is wanted. Once only.
    pub fn apply(&self, snapshot: &mut NodeSnapshot) {
        let mut topics = snapshot.topics.take().unwrap_or_default();
        if let Some(name) = &self.topic {
            topics.retain(|topic| topic.name.as_str() == name);
        }
        let is_missing = self.topic.is_some() && topics.is_empty();
        for topic in &mut topics {
            self.apply_to_channels(&mut topic.channels);
        }
        if self.channel.is_some() {
            topics.retain(|topic| !topic.channels.is_empty());
        }
        topics.sort_by_key(|topic| topic.name);
        snapshot.topics = (!is_missing).then_some(topics);

        if is_missing || !self.include_clients {
            snapshot.producers.clear();
        }
        for producer in &mut snapshot.producers {
            self.apply_to_pub_counts(producer);
        }
    }

    fn apply_to_channels(&self, channels: &mut Vec<ChannelSnapshot>) {
        if let Some(name) = &self.channel {
            channels.retain(|channel| channel.name.as_str() == name);
        }
        channels.sort_by_key(|channel| channel.name);
        for channel in channels {
            if !self.include_clients {
                channel.clients = None;
            }
            for client in channel.clients.iter_mut().flatten() {
                self.apply_to_pub_counts(client);
            }
        }
    }

    /// Readers expect at most one count: that of the topic asked for, else any.
    fn apply_to_pub_counts(&self, client: &mut ClientSnapshot) {
        if let Some(name) = &self.topic {
            client.pub_counts.retain(|(topic, _)| topic.as_str() == name);
        }
        client.pub_counts.sort_unstable();
        client.pub_counts.truncate(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::sample;

    /// The names that are left, as `topic[channel,...]`, and each producer's counts.
    fn left(
        topic: Option<&str>,
        channel: Option<&str>,
        include_clients: bool,
    ) -> (Option<String>, Vec<String>) {
        let filter = StatsFilter {
            topic: topic.map(str::to_owned),
            channel: channel.map(str::to_owned),
            include_clients,
        };
        let mut snapshot = sample::snapshot();
        filter.apply(&mut snapshot);
        let topics = snapshot.topics.map(|topics| {
            let names: Vec<_> = topics
                .iter()
                .map(|topic| {
                    let channels: Vec<_> =
                        topic.channels.iter().map(|channel| channel.name.as_str()).collect();
                    format!("{}[{}]", topic.name, channels.join(","))
                })
                .collect();
            names.join(" ")
        });
        let producers =
            snapshot.producers.iter().map(|producer| format!("{:?}", producer.pub_counts)).collect();
        (topics, producers)
    }

    #[test]
    fn everything_is_sorted_by_name() {
        let (topics, producers) = left(None, None, true);
        assert_eq!(topics.unwrap(), "orders[audit,billing] other[]");
        assert_eq!(producers, [r#"[("orders", 9)]"#], "one count, of any topic");
    }

    #[test]
    fn a_topic_narrows_the_producers_counts_but_not_the_producers() {
        let (topics, producers) = left(Some("other"), None, true);
        assert_eq!(topics.unwrap(), "other[]");
        assert_eq!(producers, [r#"[("other", 1)]"#]);
    }

    #[test]
    fn a_topic_that_is_missing_leaves_nothing() {
        assert_eq!(left(Some("nope"), None, true), (None, vec![]));
        assert_eq!(left(Some("nope"), Some("audit"), true), (None, vec![]));
    }

    #[test]
    fn a_channel_leaves_the_topics_that_have_it() {
        assert_eq!(left(None, Some("audit"), true).0.unwrap(), "orders[audit]");
        assert_eq!(left(None, Some("nope"), true).0.unwrap(), "");
        assert_eq!(left(Some("other"), Some("audit"), true).0.unwrap(), "", "the topic exists");
    }

    #[test]
    fn without_clients_only_their_number_is_left() {
        let mut snapshot = sample::snapshot();
        StatsFilter { include_clients: false, ..StatsFilter::default() }.apply(&mut snapshot);
        assert!(snapshot.producers.is_empty());
        let topics = snapshot.topics.unwrap();
        let billing = &topics[0].channels[1];
        assert_eq!((billing.client_count, &billing.clients), (1, &None));
    }
}
