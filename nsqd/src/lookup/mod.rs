//! What the lookup services are told of this daemon (spec nsqd-operation.md, §10).
//!
//! There is one desired state, the set of topics and channels of the node. Each service has a task of its own
//! ([`peer`]), which brings what its service knows in line with it ([`diff`]); one that hangs delays neither the
//! others nor a publisher.

mod diff;
mod peer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nsq::wire::lookup::{Identity, Registration};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::node::Node;
use peer::Peer;

/// What every lookup service is dealt with by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What this daemon says of itself.
    pub identity: Identity,
    /// The longest answer that is read, in bytes.
    pub answer_bytes_max: usize,
}

/// Keeps the lookup services informed, of which there may be more or fewer at any time.
pub struct Lookups {
    settings: Arc<Settings>,
    desired: watch::Sender<Arc<BTreeSet<Registration>>>,
    stopping: watch::Sender<bool>,
    peers: BTreeMap<String, JoinHandle<()>>,
}

impl Lookups {
    /// Nobody is informed yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings: Arc::new(settings),
            desired: watch::Sender::default(),
            stopping: watch::Sender::new(false),
            peers: BTreeMap::new(),
        }
    }

    /// Informs the services at `addresses` (`host:port` of their TCP listeners) of what `node` has, until `stop` is
    /// ready. What was announced is then taken back.
    pub async fn run(
        mut self,
        node: Arc<Node>,
        mut addresses: watch::Receiver<Option<Vec<String>>>,
        stop: impl Future<Output = ()>,
    ) {
        let mut topology = node.topology();
        let mut stop = std::pin::pin!(stop);
        loop {
            let wanted: BTreeSet<String> = addresses.borrow_and_update().iter().flatten().cloned().collect();
            self.keep_only(&wanted);
            topology.borrow_and_update();
            self.desired.send_replace(Arc::new(node.registrations()));
            // Neither sender ends before the daemon does.
            tokio::select! {
                _ = topology.changed() => {}
                _ = addresses.changed() => {}
                () = &mut stop => break,
            }
        }
        self.stopping.send_replace(true);
        for (_, peer) in self.peers {
            // One that panicked has said so.
            let _ = peer.await;
        }
    }

    /// Lets go of services that are not wanted any more, and takes up new ones.
    fn keep_only(&mut self, wanted: &BTreeSet<String>) {
        self.peers.retain(|address, peer| {
            let stays = wanted.contains(address);
            if !stays {
                tracing::info!("LOOKUP: removing peer {address}");
                peer.abort();
            }
            stays
        });
        for address in wanted {
            if !self.peers.contains_key(address) {
                tracing::info!("LOOKUP: adding peer {address}");
                let peer = Peer {
                    address: address.clone(),
                    settings: Arc::clone(&self.settings),
                    desired: self.desired.subscribe(),
                    http_address: watch::Sender::default(),
                    stopping: self.stopping.subscribe(),
                };
                self.peers.insert(address.clone(), tokio::spawn(peer.run()));
            }
        }
    }
}
