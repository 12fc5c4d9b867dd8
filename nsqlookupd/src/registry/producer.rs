//! A daemon that is connected, and what is said of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nsq::wire::lookup::Identity;

use super::{Name, Settings};

/// What a producer is known by: a number for each connection, the later the greater. It is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(u64);

impl ProducerId {
    pub(super) const FIRST: Self = Self(0);

    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Who a producer is. It never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where it is connected from, `ip:port`.
    pub remote_address: String,
    /// What it says of itself.
    pub identity: Identity,
}

impl Peer {
    /// What operators name it by: `broadcast_address:http_port`, and nothing more even for IPv6.
    #[must_use]
    pub fn node(&self) -> String {
        format!("{}:{}", self.identity.broadcast_address, self.identity.http_port)
    }
}

#[derive(Debug)]
pub(super) struct Producer {
    pub(super) peer: Arc<Peer>,
    /// When it connected or last pinged.
    pub(super) last_update: Duration,
    /// Its topics, each with the time it was last tombstoned there. Always exactly the topics it is a producer of; it
    /// is a producer of no other topic's channels.
    pub(super) topics: BTreeMap<Name, Option<Duration>>,
    /// Always the number of its topics and channels.
    pub(super) registrations: usize,
}

impl Producer {
    pub(super) fn new(now: Duration, peer: Peer) -> Self {
        Self { peer: Arc::new(peer), last_update: now, topics: BTreeMap::new(), registrations: 0 }
    }

    pub(super) fn is_active(&self, now: Duration, settings: &Settings) -> bool {
        now.saturating_sub(self.last_update) <= settings.inactive_producer_timeout
    }
}

/// Whether a tombstone of that age still hides.
pub(super) fn hides(tombstoned_at: Option<Duration>, now: Duration, settings: &Settings) -> bool {
    tombstoned_at.is_some_and(|at| now.saturating_sub(at) < settings.tombstone_lifetime)
}
