//! A daemon's state for tests, and what NSQ v1.3.0 showed when it was in that state.
//!
//! `sample/stats.json` and `sample/stats.txt` were answered by v1.3.0 one after the other, so only the memory
//! numbers differ: percentiles 1.0, 0.99, 0.95; `mem-queue-size` 3; one consumer, one producer.

use std::time::Duration;

use nsq::api::stats::MemoryStats;
use nsq::wire::name::{ChannelName, TopicName};
use nsqd_broker::storage::Durability;

use super::snapshot::{ChannelSnapshot, ClientSnapshot, LatencySnapshot, NodeSnapshot, TopicSnapshot};

pub(super) const STATS_JSON: &str = include_str!("sample/stats.json");
pub(super) const STATS_TEXT: &str = include_str!("sample/stats.txt");
pub(super) const BANNER: &str = "nsqd v1.3.0 (built w/go1.26.8)";

pub(super) const MEMORY_IN_JSON: MemoryStats = MemoryStats {
    heap_objects: 2671,
    heap_idle_bytes: 6_414_336,
    heap_in_use_bytes: 1_482_752,
    heap_released_bytes: 6_381_568,
    gc_pause_usec_100: 0,
    gc_pause_usec_99: 0,
    gc_pause_usec_95: 0,
    next_gc_bytes: 4_194_304,
    gc_total_runs: 0,
};

pub(super) const MEMORY_IN_TEXT: MemoryStats = MemoryStats {
    heap_objects: 3428,
    heap_idle_bytes: 6_316_032,
    heap_in_use_bytes: 1_581_056,
    heap_released_bytes: 6_217_728,
    ..MEMORY_IN_JSON
};

/// What a walk in no particular order finds.
pub(super) fn snapshot() -> NodeSnapshot {
    NodeSnapshot {
        version: "1.3.0".to_owned(),
        health: Ok(()),
        damage: Default::default(),
        start_time: 1_795_490_993,
        start_time_text: "2026-11-24T03:29:53Z".to_owned(),
        uptime: Duration::from_nanos(2_720_863_221),
        taken_at: 1_795_490_996,
        topics: Some(vec![other(), orders()]),
        producers: vec![producer()],
    }
}

fn topic_name(name: &str) -> TopicName {
    TopicName::parse(name).expect("the names here are valid")
}

fn latency(count: u64, value: f64) -> LatencySnapshot {
    LatencySnapshot { count, percentiles: Some(vec![(1.0, value), (0.99, value), (0.95, value)]) }
}

fn orders() -> TopicSnapshot {
    TopicSnapshot {
        durability: Durability::Memory,
        name: topic_name("orders"),
        depth: 0,
        backend_depth: 0,
        oldest_age_ms: Some(0),
        message_count: 9,
        message_bytes: 23,
        paused: false,
        channels: vec![billing(), audit()],
        latency: latency(1, 308_332_460.0),
    }
}

fn other() -> TopicSnapshot {
    TopicSnapshot {
        durability: Durability::Memory,
        name: topic_name("other"),
        depth: 1,
        message_count: 1,
        message_bytes: 1,
        paused: true,
        channels: Vec::new(),
        latency: LatencySnapshot::default(),
        ..orders()
    }
}

fn billing() -> ChannelSnapshot {
    ChannelSnapshot {
        name: ChannelName::parse("billing").expect("the names here are valid"),
        depth: 4,
        backend_depth: 2,
        in_flight_count: 2,
        deferred_count: 2,
        oldest_age_ms: Some(1200),
        message_count: 9,
        zone_local_msg_count: 0,
        region_local_msg_count: 0,
        global_msg_count: 1,
        requeue_count: 1,
        timeout_count: 0,
        client_count: 1,
        clients: Some(vec![consumer()]),
        paused: false,
        latency: latency(1, 308_332_460.0),
    }
}

fn audit() -> ChannelSnapshot {
    ChannelSnapshot {
        name: ChannelName::parse("audit").expect("the names here are valid"),
        depth: 8,
        backend_depth: 5,
        in_flight_count: 0,
        deferred_count: 1,
        global_msg_count: 0,
        requeue_count: 0,
        client_count: 0,
        clients: Some(Vec::new()),
        paused: true,
        latency: latency(0, 0.0),
        ..billing()
    }
}

fn consumer() -> ClientSnapshot {
    ClientSnapshot {
        client_id: "cid1".to_owned(),
        hostname: "host1".to_owned(),
        remote_address: "127.0.0.1:59618".to_owned(),
        state: 3,
        ready_count: 2,
        in_flight_count: 2,
        message_count: 4,
        finish_count: 1,
        requeue_count: 1,
        connected_at: 1_795_490_994,
        user_agent: "ua/1.0".to_owned(),
        ..ClientSnapshot::default()
    }
}

fn producer() -> ClientSnapshot {
    ClientSnapshot {
        client_id: "127.0.0.1".to_owned(),
        hostname: "127.0.0.1".to_owned(),
        remote_address: "127.0.0.1:59628".to_owned(),
        connected_at: 1_795_490_994,
        pub_counts: vec![(topic_name("other"), 1), (topic_name("orders"), 9)],
        ..ClientSnapshot::default()
    }
}
