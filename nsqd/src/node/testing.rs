//! A node for tests: its disk is memory.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nsq::daemon::clock::Clock;
use nsqd_broker::storage::Durability;

use super::{Node, NodeSettings};
use crate::store::Log;
use crate::store::memory::MemoryLog;
use crate::store::places::Places;
use crate::store::worker::StoreOptions;

impl Node {
    /// A new node; `nsqd.dat` is kept in `data_path`.
    pub(crate) fn in_memory(data_path: &Path) -> Arc<Self> {
        Self::on(MemoryLog::default(), 100, data_path)
    }

    /// A node on `log` that keeps so many waiting messages of a topic in memory; without any it is durable.
    pub(crate) fn on(log: impl Log + 'static, mem_queue_size: u64, data_path: &Path) -> Arc<Self> {
        let settings = NodeSettings {
            node_id: 1,
            data_path: data_path.to_owned(),
            durability: if mem_queue_size == 0 { Durability::Os } else { Durability::Memory },
            mem_queue_size,
            channel_consumers_max: 0,
            requeue_on_disconnect: true,
            latency_percentiles: Vec::new(),
            latency_window: Duration::from_secs(600),
            sync_timeout: Duration::from_secs(2),
            store: StoreOptions::default(),
            message_bytes_max: 1024 * 1024,
        };
        let (log, unused) = (Box::new(log) as Box<dyn Log>, Box::new(MemoryLog::default()) as Box<dyn Log>);
        let logs = match settings.durability {
            Durability::Memory => Places { spill: log, journal: unused },
            Durability::Os | Durability::Disk => Places { spill: unused, journal: log },
        };
        Node::start(settings, Clock::new(), logs).unwrap()
    }
}
