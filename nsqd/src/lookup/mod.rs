//! What the lookup services are told of this daemon, and what they are asked (spec nsqd-operation.md, §10).
//!
//! There is one desired state, the set of topics and channels of the node. Each service has a task of its own
//! ([`peer`]), which brings what its service knows in line with it ([`diff`]); one that hangs delays neither the
//! others nor a publisher. Over HTTP they are asked ([`inquiry`]) for the channels of a topic that is new here, and,
//! if that is wanted, for topics of other nodes ([`sync`]).

mod diff;
mod inquiry;
mod peer;
mod sync;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use nsq::wire::lookup::{Identity, dialled_address};
use nsq::wire::name::{ChannelName, TopicName};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::node::{Node, Registrations, pause_after};
use inquiry::{Inquiry, Patience};
use peer::{Peer, Reach};

/// How many topics are asked for at the same time. A service is asked once for each of them.
const FINDING_MAX: usize = 32;

/// How long a stop waits until the services have been told. One that is slow finds out by itself.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// What every lookup service is dealt with by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What this daemon says of itself.
    pub identity: Identity,
    /// The longest answer that is read, in bytes.
    pub answer_bytes_max: usize,
    /// How long connecting over HTTP may take.
    pub http_connect_timeout: Duration,
    /// How long an answer over HTTP may take.
    pub http_request_timeout: Duration,
    /// Whether topics of other nodes are made here too.
    pub sync_topics: bool,
}

/// Keeps the lookup services informed, of which there may be more or fewer at any time.
pub struct Lookups {
    settings: Arc<Settings>,
    node: Arc<Node>,
    /// `host:port` of their TCP listeners.
    addresses: watch::Receiver<Option<Vec<String>>>,
    desired: watch::Sender<Arc<Registrations>>,
    stopping: watch::Sender<bool>,
    peers: BTreeMap<String, (JoinHandle<()>, watch::Receiver<Reach>)>,
    inquiry: watch::Sender<Inquiry>,
    finding: Finding,
}

/// The topics whose channels are to be found, each in `topics` until it has been told.
#[derive(Default)]
struct Finding {
    /// Those that nobody has been asked for yet, the oldest first, and until when each may hold.
    waiting: VecDeque<(TopicName, Instant)>,
    tasks: JoinSet<BTreeSet<ChannelName>>,
    asked: HashMap<Id, TopicName>,
    topics: BTreeSet<TopicName>,
}

impl Lookups {
    /// Begins to inform the services at `addresses` of what `node` has. From now on new topics wait for what the
    /// services, if there are any, know of their channels.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(
        settings: Settings,
        node: Arc<Node>,
        addresses: watch::Receiver<Option<Vec<String>>>,
    ) -> Self {
        let patience = Patience {
            connect: settings.http_connect_timeout,
            request: settings.http_request_timeout,
            answer_bytes_max: settings.answer_bytes_max,
        };
        let ourselves = dialled_address(&settings.identity.broadcast_address, settings.identity.tcp_port);
        let mut lookups = Self {
            settings: Arc::new(settings),
            node,
            addresses,
            desired: watch::Sender::default(),
            stopping: watch::Sender::new(false),
            peers: BTreeMap::new(),
            inquiry: watch::Sender::new(Inquiry::new(patience, ourselves)),
            finding: Finding::default(),
        };
        lookups.follow_addresses();
        lookups
    }

    /// Keeps them informed until `stop` is ready. What was announced is then taken back.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut topology = self.node.topology_changes();
        let syncing = self.settings.sync_topics.then(|| {
            let (node, stopping) = (Arc::clone(&self.node), self.stopping.subscribe());
            tokio::spawn(sync::run(node, self.inquiry.subscribe(), self.desired.subscribe(), stopping))
        });
        // A node that has topics from its last life has not changed, but is to be looked at.
        topology.mark_changed();
        let (mut has_changed, mut look_at) = (false, Instant::now());
        loop {
            let (give_up_at, some_wait) = (self.finding.next_due(), !self.finding.waiting.is_empty());
            tokio::select! {
                // Neither sender ends before the daemon does.
                _ = topology.changed() => has_changed = true,
                () = sleep_until(look_at), if has_changed => {
                    let begun = Instant::now();
                    self.follow_topology();
                    (has_changed, look_at) = (false, Instant::now() + pause_after(begun.elapsed()));
                }
                _ = self.addresses.changed() => self.follow_addresses(),
                Some(found) = self.finding.tasks.join_next_with_id() => self.found(found),
                () = sleep_until(give_up_at), if some_wait => self.give_up(),
                () = &mut stop => break,
            }
        }
        self.stopping.send_replace(true);
        let mut tasks: Vec<_> = std::mem::take(&mut self.peers).into_values().map(|(peer, _)| peer).collect();
        tasks.extend(syncing);
        let goodbyes = async {
            for task in &mut tasks {
                // One that panicked has said so.
                let _ = task.await;
            }
        };
        if timeout(GOODBYE_TIMEOUT, goodbyes).await.is_err() {
            tasks.iter().for_each(JoinHandle::abort);
        }
    }

    fn follow_topology(&mut self) {
        let topology = self.node.topology();
        self.desired.send_replace(Arc::new(topology.registrations));
        let due = Instant::now() + self.settings.http_connect_timeout + self.settings.http_request_timeout;
        for topic in topology.expectant {
            if self.finding.topics.insert(topic) {
                self.finding.waiting.push_back((topic, due));
            }
        }
        self.find_channels();
    }

    /// Lets go of services that are not wanted any more, and takes up new ones.
    fn follow_addresses(&mut self) {
        let wanted: BTreeSet<String> = self.addresses.borrow_and_update().iter().flatten().cloned().collect();
        self.peers.retain(|address, (peer, _)| {
            let stays = wanted.contains(address);
            if !stays {
                tracing::info!("LOOKUP: removing peer {address}");
                peer.abort();
            }
            stays
        });
        for address in &wanted {
            if !self.peers.contains_key(address) {
                tracing::info!("LOOKUP: adding peer {address}");
                let (reach, reached) = watch::channel(Reach::Untried);
                let peer = Peer {
                    address: address.clone(),
                    settings: Arc::clone(&self.settings),
                    desired: self.desired.subscribe(),
                    reach,
                    stopping: self.stopping.subscribe(),
                };
                self.peers.insert(address.clone(), (tokio::spawn(peer.run()), reached));
            }
        }
        let services = self.peers.values().map(|(_, reached)| reached.clone()).collect();
        self.inquiry.send_modify(|inquiry| inquiry.services = services);
        self.node.expect_channels(!wanted.is_empty());
    }

    fn find_channels(&mut self) {
        while self.finding.tasks.len() < FINDING_MAX {
            let Some((topic, _)) = self.finding.waiting.pop_front() else { return };
            let inquiry = self.inquiry.borrow().clone();
            let task = self.finding.tasks.spawn(async move { inquiry.channels(&topic).await });
            self.finding.asked.insert(task.id(), topic);
        }
    }

    fn found(&mut self, found: Result<(Id, BTreeSet<ChannelName>), JoinError>) {
        let (id, channels) = match found {
            Ok(found) => found,
            // It panicked and has said so; its topic must not wait for ever.
            Err(error) => (error.id(), BTreeSet::new()),
        };
        if let Some(topic) = self.finding.asked.remove(&id) {
            self.tell(topic, channels);
        }
        self.find_channels();
    }

    /// Topics that have waited for their turn as long as they may do without an answer.
    fn give_up(&mut self) {
        let now = Instant::now();
        while self.finding.next_due() <= now
            && let Some((topic, _)) = self.finding.waiting.pop_front()
        {
            tracing::warn!(topic = %topic, "LOOKUP: topic {topic} goes on without channels of other nodes");
            self.tell(topic, BTreeSet::new());
        }
    }

    fn tell(&mut self, topic: TopicName, channels: BTreeSet<ChannelName>) {
        self.finding.topics.remove(&topic);
        self.node.channels_known(&topic, channels);
    }
}

impl Finding {
    /// When the first of those that wait has waited long enough.
    fn next_due(&self) -> Instant {
        self.waiting.front().map_or_else(Instant::now, |(_, due)| *due)
    }
}

impl Drop for Lookups {
    fn drop(&mut self) {
        // After a panic nobody would tell topics anything any more: they are not to wait for it.
        if std::thread::panicking() {
            self.node.expect_channels(false);
            for topic in self.node.topology().expectant {
                self.node.channels_known(&topic, []);
            }
        }
    }
}
