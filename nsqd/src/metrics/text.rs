//! A snapshot as the text of `/stats`: for eyes, and for the scripts that cut it up by column.

use std::fmt::{self, Write};

use nsq::api::stats::{DamageStats, MemoryStats};
use nsq::daemon::go_duration::GoDuration;

use super::json::{PROTOCOL, health_text};
use super::snapshot::{ChannelSnapshot, ClientSnapshot, LatencySnapshot, NodeSnapshot, TopicSnapshot};

/// The body of `/stats`. `banner` is the line `--version` prints. The snapshot has been through its filter;
/// the memory block is left out when `memory` is absent.
pub fn stats(banner: &str, snapshot: &NodeSnapshot, memory: Option<&MemoryStats>) -> String {
    let mut out = String::new();
    write_all(&mut out, banner, snapshot, memory).expect("writing to memory does not fail");
    out
}

fn write_all(
    out: &mut String,
    banner: &str,
    snapshot: &NodeSnapshot,
    memory: Option<&MemoryStats>,
) -> fmt::Result {
    writeln!(out, "{banner}")?;
    writeln!(out, "start_time {}", snapshot.start_time_text)?;
    writeln!(out, "uptime {}", GoDuration::from(snapshot.uptime))?;
    writeln!(out, "\nHealth: {}", health_text(&snapshot.health))?;
    let damage = &snapshot.damage;
    if !damage.is_none() {
        let DamageStats { batches, states, databases, indexes } = damage;
        writeln!(
            out,
            "Damaged on disk: {batches} batches, {states} states, {databases} databases, {indexes} indexes set aside"
        )?;
    }
    if let Some(memory) = memory {
        write_memory(out, memory)?;
    }
    write_topics(out, snapshot)?;
    write_producers(out, snapshot)
}

fn write_memory(out: &mut String, memory: &MemoryStats) -> fmt::Result {
    writeln!(out, "\nMemory:")?;
    for (name, number) in [
        ("heap_objects", memory.heap_objects),
        ("heap_idle_bytes", memory.heap_idle_bytes),
        ("heap_in_use_bytes", memory.heap_in_use_bytes),
        ("heap_released_bytes", memory.heap_released_bytes),
        ("gc_pause_usec_100", memory.gc_pause_usec_100),
        ("gc_pause_usec_99", memory.gc_pause_usec_99),
        ("gc_pause_usec_95", memory.gc_pause_usec_95),
        ("next_gc_bytes", memory.next_gc_bytes),
        ("gc_total_runs", memory.gc_total_runs.into()),
    ] {
        writeln!(out, "   {name:<25}\t{number}")?;
    }
    Ok(())
}

fn write_topics(out: &mut String, snapshot: &NodeSnapshot) -> fmt::Result {
    let topics = snapshot.topics.as_deref().unwrap_or_default();
    if topics.is_empty() {
        return writeln!(out, "\nTopics: None");
    }
    // The line ends with the first topic's, which begins a new one.
    write!(out, "\nTopics:")?;
    for topic in topics {
        write_topic(out, topic)?;
        for channel in &topic.channels {
            write_channel(out, channel)?;
            for client in channel.clients.iter().flatten() {
                write!(out, "        ")?;
                write_client(out, client, snapshot.taken_at)?;
            }
        }
    }
    Ok(())
}

fn write_topic(out: &mut String, topic: &TopicSnapshot) -> fmt::Result {
    write!(out, "\n{}[{:<15}] ", if topic.paused { "*P " } else { "   " }, topic.name.as_str())?;
    write!(out, "depth: {:<5} be-depth: {:<5} ", topic.depth, topic.backend_depth)?;
    write!(out, "msgs: {:<8} ", topic.message_count)?;
    write_latency(out, &topic.latency)
}

fn write_channel(out: &mut String, channel: &ChannelSnapshot) -> fmt::Result {
    write!(out, "{}[{:<25}] ", if channel.paused { "   *P " } else { "      " }, channel.name.as_str())?;
    write!(out, "depth: {:<5} be-depth: {:<5} ", channel.depth, channel.backend_depth)?;
    write!(out, "inflt: {:<4} def: {:<4} ", channel.in_flight_count, channel.deferred_count)?;
    write!(out, "re-q: {:<5} timeout: {:<5} ", channel.requeue_count, channel.timeout_count)?;
    write!(out, "msgs: {:<8} ", channel.message_count)?;
    write_latency(out, &channel.latency)
}

fn write_latency(out: &mut String, latency: &LatencySnapshot) -> fmt::Result {
    let values: Vec<_> = latency.percentiles.iter().flatten().map(|(_, value)| human(*value)).collect();
    writeln!(out, "e2e%: {}", values.join(", "))
}

/// Nanoseconds in the largest unit that leaves more than one of it.
fn human(nanoseconds: f64) -> String {
    let (divisor, unit) = match nanoseconds {
        ns if ns > 1e9 => (1e9, "s"),
        ns if ns > 1e6 => (1e6, "ms"),
        ns if ns > 1e3 => (1e3, "us"),
        _ => (1.0, "ns"),
    };
    format!("{:.1}{unit}", nanoseconds / divisor)
}

fn write_producers(out: &mut String, snapshot: &NodeSnapshot) -> fmt::Result {
    if snapshot.producers.is_empty() {
        return writeln!(out, "\nProducers: None");
    }
    writeln!(out, "\nProducers:")?;
    for producer in &snapshot.producers {
        write!(out, "   ")?;
        write_client(out, producer, snapshot.taken_at)?;
    }
    Ok(())
}

/// A connection that has published is shown as a producer wherever it stands.
fn write_client(out: &mut String, client: &ClientSnapshot, taken_at: i64) -> fmt::Result {
    let port = client.remote_address.rsplit_once(':').map_or("", |(_, port)| port);
    let id = format!("{}:{port} {}", client.hostname, client.user_agent);
    write!(out, "[{PROTOCOL} {id:<21}] ")?;
    if client.pub_counts.is_empty() {
        write!(out, "state: {} inflt: {:<4} ", client.state, client.in_flight_count)?;
        write!(out, "rdy: {:<4} fin: {:<8} ", client.ready_count, client.finish_count)?;
        write!(out, "re-q: {:<8} msgs: {:<8} ", client.requeue_count, client.message_count)?;
    } else {
        let total: u64 = client.pub_counts.iter().map(|(_, count)| count).sum();
        let topics: Vec<_> =
            client.pub_counts.iter().map(|(topic, count)| format!("{topic}={count}")).collect();
        write!(out, "msgs: {total:<8} topics: {} ", topics.join(","))?;
    }
    let seconds = taken_at.saturating_sub(client.connected_at);
    writeln!(out, "connected: {}", GoDuration(seconds.saturating_mul(NANOSECONDS_PER_SECOND)))
}

const NANOSECONDS_PER_SECOND: i64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::sample;
    use crate::metrics::snapshot::StatsFilter;

    #[test]
    fn a_snapshot_is_written_as_v1_3_0_writes_it() {
        let mut snapshot = sample::snapshot();
        StatsFilter::default().apply(&mut snapshot);
        assert_eq!(stats(sample::BANNER, &snapshot, Some(&sample::MEMORY_IN_TEXT)), sample::STATS_TEXT);
    }

    #[test]
    fn damage_is_told_and_only_then() {
        let mut snapshot = sample::snapshot();
        StatsFilter::default().apply(&mut snapshot);
        snapshot.damage = DamageStats { batches: 2, states: 0, databases: 1, indexes: 0 };
        let text = stats(sample::BANNER, &snapshot, None);
        assert!(
            text.contains("\nDamaged on disk: 2 batches, 0 states, 1 databases, 0 indexes set aside\n"),
            "{text}"
        );
        assert_eq!(text.lines().count(), stats_without_damage(snapshot).lines().count() + 1);
    }

    fn stats_without_damage(mut snapshot: NodeSnapshot) -> String {
        snapshot.damage = DamageStats::default();
        stats(sample::BANNER, &snapshot, None)
    }

    #[test]
    fn an_empty_daemon_has_neither_topics_nor_producers() {
        let mut snapshot = sample::snapshot();
        StatsFilter { topic: Some("nope".into()), ..StatsFilter::default() }.apply(&mut snapshot);
        snapshot.health = Err("disk is full".into());
        let text = stats("banner", &snapshot, None);
        let tail = text.split_once("\n\n").unwrap().1;
        assert_eq!(tail, "Health: NOK - disk is full\n\nTopics: None\n\nProducers: None\n");
    }

    #[test]
    fn latencies_are_shown_in_the_unit_that_fits() {
        for (nanoseconds, text) in [
            (0.0, "0.0ns"),
            (1e3, "1000.0ns"),
            (1001.0, "1.0us"),
            (901_171.0, "901.2us"),
            (2_500_000.0, "2.5ms"),
            (61e9, "61.0s"),
        ] {
            assert_eq!(human(nanoseconds), text);
        }
    }

    #[test]
    fn a_peer_without_a_port_leaves_it_empty() {
        let client =
            ClientSnapshot { remote_address: "@".into(), connected_at: 5, ..ClientSnapshot::default() };
        let mut out = String::new();
        write_client(&mut out, &client, 3605).unwrap();
        assert!(out.starts_with("[V2 :                    ] state: 0 "), "{out}");
        assert!(out.ends_with("connected: 1h0m0s\n"), "{out}");
    }
}
