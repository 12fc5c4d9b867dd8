//! A snapshot as the JSON of `/stats?format=json`.

use nsq::api::stats::{
    ChannelStats, ClientStats, LatencyStats, MemoryStats, Percentile, PubCount, Stats, TopicStats,
};

use super::snapshot::{ChannelSnapshot, ClientSnapshot, LatencySnapshot, NodeSnapshot, TopicSnapshot};

/// The body of `/stats?format=json`. The snapshot has been through its filter; `memory` is left out when absent.
pub fn stats(snapshot: NodeSnapshot, memory: Option<MemoryStats>) -> Stats {
    let producers = snapshot.producers.into_iter().map(client).collect::<Vec<_>>();
    Stats {
        version: snapshot.version,
        health: health_text(&snapshot.health),
        start_time: snapshot.start_time,
        topics: snapshot.topics.map(|topics| topics.into_iter().map(topic).collect()),
        memory,
        producers: (!producers.is_empty()).then_some(producers),
        damage: snapshot.damage,
    }
}

/// `OK`, or `NOK - ` and the reason, as `/ping` and both forms of `/stats` show it.
pub fn health_text(health: &Result<(), String>) -> String {
    match health {
        Ok(()) => "OK".to_owned(),
        Err(reason) => format!("NOK - {reason}"),
    }
}

fn topic(topic: TopicSnapshot) -> TopicStats {
    TopicStats {
        topic_name: topic.name.to_string(),
        durability: Some(topic.durability.to_string()),
        channels: topic.channels.into_iter().map(channel).collect(),
        depth: signed(topic.depth),
        backend_depth: signed(topic.backend_depth),
        message_count: topic.message_count,
        message_bytes: topic.message_bytes,
        paused: topic.paused,
        e2e_processing_latency: latency(topic.latency),
        oldest_age_ms: topic.oldest_age_ms.map(signed),
    }
}

fn channel(channel: ChannelSnapshot) -> ChannelStats {
    ChannelStats {
        channel_name: channel.name.to_string(),
        depth: signed(channel.depth),
        backend_depth: signed(channel.backend_depth),
        in_flight_count: signed(channel.in_flight_count),
        deferred_count: signed(channel.deferred_count),
        message_count: channel.message_count,
        zone_local_msg_count: channel.zone_local_msg_count,
        region_local_msg_count: channel.region_local_msg_count,
        global_msg_count: channel.global_msg_count,
        requeue_count: channel.requeue_count,
        timeout_count: channel.timeout_count,
        client_count: signed(channel.client_count),
        clients: channel.clients.map(|clients| clients.into_iter().map(client).collect()),
        paused: channel.paused,
        e2e_processing_latency: latency(channel.latency),
        oldest_age_ms: channel.oldest_age_ms.map(signed),
    }
}

fn client(client: ClientSnapshot) -> ClientStats {
    let is_tls = client.tls.is_some();
    let tls = client.tls.unwrap_or_default();
    ClientStats {
        client_id: client.client_id,
        hostname: client.hostname,
        version: PROTOCOL.to_owned(),
        remote_address: client.remote_address,
        state: client.state,
        ready_count: signed(client.ready_count),
        in_flight_count: signed(client.in_flight_count),
        message_count: client.message_count,
        // v1.3.0 has these keys and never fills them for a connection.
        zone_local_msg_count: 0,
        region_local_msg_count: 0,
        global_msg_count: 0,
        finish_count: client.finish_count,
        requeue_count: client.requeue_count,
        connect_ts: client.connected_at,
        sample_rate: client.sample_rate,
        deflate: client.deflate,
        snappy: client.snappy,
        user_agent: client.user_agent,
        authed: client.authed,
        auth_identity: client.auth_identity,
        auth_identity_url: client.auth_identity_url,
        topology_zone: client.topology_zone,
        topology_region: client.topology_region,
        pub_counts: client
            .pub_counts
            .into_iter()
            .map(|(topic, count)| PubCount { topic: topic.to_string(), count })
            .collect(),
        tls: is_tls,
        tls_cipher_suite: tls.cipher_suite,
        tls_version: tls.version,
        tls_negotiated_protocol: String::new(),
        tls_negotiated_protocol_is_mutual: is_tls,
    }
}

fn latency(latency: LatencySnapshot) -> LatencyStats {
    LatencyStats {
        count: signed(latency.count),
        percentiles: latency.percentiles.map(|percentiles| {
            percentiles.into_iter().map(|(quantile, value)| Percentile { quantile, value }).collect()
        }),
    }
}

/// JSON readers take these numbers for signed ones.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The only protocol consumers and producers speak.
pub(super) const PROTOCOL: &str = "V2";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::sample;
    use crate::metrics::snapshot::{StatsFilter, TlsSnapshot};
    use nsq::api::json::to_go_json;

    fn written(snapshot: NodeSnapshot, memory: Option<MemoryStats>) -> String {
        String::from_utf8(to_go_json(&stats(snapshot, memory))).unwrap()
    }

    #[test]
    fn a_snapshot_is_written_as_v1_3_0_writes_it() {
        let mut snapshot = sample::snapshot();
        StatsFilter::default().apply(&mut snapshot);
        // The keys that are not v1.3.0's stand behind its own.
        let text = written(snapshot, Some(sample::MEMORY_IN_JSON))
            .replace(r#","durability":"memory","oldest_age_ms":0}"#, "}")
            .replace(r#","oldest_age_ms":1200}"#, "}");
        assert_eq!(text, sample::STATS_JSON);
    }

    #[test]
    fn what_is_missing_or_not_wanted_is_null() {
        let mut snapshot = sample::snapshot();
        StatsFilter { topic: Some("nope".into()), ..StatsFilter::default() }.apply(&mut snapshot);
        assert_eq!(
            written(snapshot, None),
            r#"{"version":"1.3.0","health":"OK","start_time":START,"topics":null,"producers":null}"#
                .replace("START", &sample::snapshot().start_time.to_string())
        );

        let mut snapshot = sample::snapshot();
        StatsFilter { include_clients: false, ..StatsFilter::default() }.apply(&mut snapshot);
        let text = written(snapshot, None);
        assert!(text.contains(r#""client_count":1,"clients":null,"#), "{text}");
        assert!(text.ends_with(r#""producers":null}"#), "{text}");
    }

    #[test]
    fn keys_of_auth_and_tls_stand_where_v1_3_0_puts_them() {
        let shown = to_go_json(&client(ClientSnapshot {
            user_agent: "<ua>".into(),
            authed: true,
            auth_identity: "me".into(),
            auth_identity_url: "http://me".into(),
            tls: Some(TlsSnapshot { cipher_suite: "Unknown 4865".into(), version: "TLS1.3".into() }),
            ..ClientSnapshot::default()
        }));
        let text = String::from_utf8(shown).unwrap();
        assert!(text.contains(
            r#""user_agent":"\u003cua\u003e","authed":true,"auth_identity":"me","auth_identity_url":"http://me","topology_zone":"","topology_region":"","tls":true,"tls_cipher_suite":"Unknown 4865","tls_version":"TLS1.3","tls_negotiated_protocol":"","tls_negotiated_protocol_is_mutual":true}"#
        ), "{text}");
    }

    #[test]
    fn what_was_written_is_read_back() {
        let read: Stats = serde_json::from_str(sample::STATS_JSON).unwrap();
        assert_eq!(String::from_utf8(to_go_json(&read)).unwrap(), sample::STATS_JSON);
    }
}
