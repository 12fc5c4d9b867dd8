//! One walk over the node: everything `/stats` and statsd show.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use nsq::api::stats::DamageStats;
use nsq::wire::identify::Compression;
use nsqd_broker::quantile::Histogram;
use nsqd_broker::{ChannelStats, ConsumerKey, ConsumerStats, TopicStats};

use super::Node;
use super::client::Client;
use super::topic::{Locked, TopicHandle};
use crate::metrics::snapshot::{
    ChannelSnapshot, ClientSnapshot, LatencySnapshot, NodeSnapshot, StatsFilter, TlsSnapshot, TopicSnapshot,
};
use crate::store::worker::Store;

impl Node {
    /// What `filter` asks for, as it is now; each topic as it is at one moment.
    pub fn snapshot(&self, filter: &StatsFilter) -> NodeSnapshot {
        let now = self.surroundings.now();
        let clock = self.clock();
        let wanted =
            |topic: &&Arc<TopicHandle>| filter.topic.as_ref().is_none_or(|name| name == topic.name.as_str());
        let topics: Vec<_> = self.read_topics().by_name.values().filter(wanted).cloned().collect();
        let mut consumers = HashMap::new();
        let topics = topics
            .iter()
            .filter_map(|topic| topic.with(|locked| self.topic_snapshot(&locked, &mut consumers)).ok())
            .collect();
        let mut snapshot = NodeSnapshot {
            version: crate::VERSION.to_owned(),
            health: self.health(),
            damage: self.damage(),
            start_time: clock.start_unix_s(),
            start_time_text: clock.start_time(),
            uptime: Duration::from_nanos(now.monotonic_ns),
            taken_at: now.unix_ns.div_euclid(1_000_000_000),
            topics: Some(topics),
            producers: if filter.include_clients { self.producers(&consumers) } else { Vec::new() },
        };
        filter.apply(&mut snapshot);
        snapshot
    }

    fn damage(&self) -> DamageStats {
        let mut damage = DamageStats::default();
        for found in self.surroundings.stores.all().map(Store::damage) {
            damage.batches += found.batches;
            damage.states += found.images;
            damage.databases += found.databases;
            damage.indexes += found.indexes;
        }
        damage
    }

    /// The clients that have published. `consumers` has the figures of those that consume as well.
    fn producers(&self, consumers: &HashMap<u64, ConsumerStats>) -> Vec<ClientSnapshot> {
        let clients: Vec<_> = self.lock_clients().values().cloned().collect();
        let snapshots = clients.iter().map(|client| {
            client_snapshot(client, consumers.get(&client.number).copied().unwrap_or_default())
        });
        snapshots.filter(|client| !client.pub_counts.is_empty()).collect()
    }

    fn topic_snapshot(
        &self,
        locked: &Locked<'_>,
        consumers: &mut HashMap<u64, ConsumerStats>,
    ) -> TopicSnapshot {
        let stats = locked.topic.stats(locked.now);
        let latency = match stats.channels.is_empty() {
            true => LatencySnapshot::default(),
            false => self.latency(stats.latency().as_ref()),
        };
        let TopicStats {
            name,
            depth,
            backend_depth,
            oldest_age_ms,
            messages,
            message_bytes,
            paused,
            channels,
            ..
        } = stats;
        TopicSnapshot {
            name,
            durability: locked.topic.durability(),
            depth,
            backend_depth,
            oldest_age_ms,
            message_count: messages,
            message_bytes,
            paused,
            channels: (channels.into_iter())
                .map(|channel| self.channel_snapshot(channel, locked.clients, consumers))
                .collect(),
            latency,
        }
    }

    fn channel_snapshot(
        &self,
        stats: ChannelStats,
        clients: &HashMap<ConsumerKey, Arc<Client>>,
        consumers: &mut HashMap<u64, ConsumerStats>,
    ) -> ChannelSnapshot {
        let known = stats.consumers.iter().filter_map(|(key, stats)| Some((clients.get(key)?, *stats)));
        let clients: Vec<ClientSnapshot> = known
            .map(|(client, stats)| {
                consumers.insert(client.number, stats);
                client_snapshot(client, stats)
            })
            .collect();
        let [zone_local_msg_count, region_local_msg_count, global_msg_count] = stats.memory_deliveries;
        ChannelSnapshot {
            name: stats.name,
            depth: stats.depth,
            backend_depth: stats.backend_depth,
            in_flight_count: stats.in_flight,
            deferred_count: stats.deferred,
            oldest_age_ms: stats.oldest_age_ms,
            message_count: stats.messages,
            zone_local_msg_count,
            region_local_msg_count,
            global_msg_count,
            requeue_count: stats.requeued,
            timeout_count: stats.timed_out,
            client_count: stats.consumers.len() as u64,
            clients: Some(clients),
            paused: stats.paused,
            latency: self.latency(stats.latency.as_ref()),
        }
    }

    fn latency(&self, histogram: Option<&Histogram>) -> LatencySnapshot {
        let Some(histogram) = histogram else { return LatencySnapshot::default() };
        let percentiles = self.settings.latency_percentiles.iter();
        LatencySnapshot {
            count: histogram.count(),
            percentiles: Some(
                percentiles.map(|quantile| (*quantile, histogram.quantile(*quantile) as f64)).collect(),
            ),
        }
    }
}

fn client_snapshot(client: &Client, stats: ConsumerStats) -> ClientSnapshot {
    let facts = client.facts();
    let authed = facts.authorized.is_some();
    let authorized = facts.authorized.unwrap_or_default();
    ClientSnapshot {
        client_id: facts.identity.client_id,
        hostname: facts.identity.hostname,
        remote_address: client.remote_address.clone(),
        state: facts.phase.number(),
        ready_count: stats.ready_count,
        in_flight_count: stats.in_flight,
        message_count: stats.messages,
        finish_count: stats.finished,
        requeue_count: stats.requeued,
        connected_at: client.connected_unix_s,
        sample_rate: facts.identity.sample_rate.into(),
        user_agent: facts.identity.user_agent,
        authed,
        auth_identity: authorized.identity,
        auth_identity_url: authorized.identity_url,
        topology_zone: facts.identity.topology_zone,
        topology_region: facts.identity.topology_region,
        pub_counts: facts.published.into_iter().collect(),
        snappy: facts.compression == Some(Compression::Snappy),
        deflate: matches!(facts.compression, Some(Compression::Deflate { .. })),
        tls: facts.tls.map(|tls| TlsSnapshot { cipher_suite: tls.cipher_suite, version: tls.version }),
    }
}
