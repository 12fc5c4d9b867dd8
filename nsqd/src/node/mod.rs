//! The topics of this daemon, by name.
//!
//! The node is the only place that locks topics: one lock on the list of them, one on each. It connects the pure
//! topics to the store, to the clock and to the clients' sessions, and knows neither TCP nor HTTP.

mod client;
mod discovery;
mod metadata;
mod pace;
mod snapshot;
mod subscription;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod timers;
mod topic;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use nsq::daemon::clock::Clock;
use nsq::wire::name::{ChannelName, TopicName};
use nsqd_broker::storage::{Event, Request, TopicImage};
use nsqd_broker::{Publication, Topic, TopicSettings};
use tokio::sync::watch;

pub use client::{Authorized, Client, Facts, Identity, Tls};
pub use discovery::{DeclaredChannel, DeclaredTopic, Registrations, Topology};
pub use metadata::{MetadataError, read as read_metadata};
pub use nsqd_broker::storage::Durability;
pub use pace::pause_after;
pub use subscription::{Answer, SubscribeFailure, Subscription};

use crate::import::{self, ImportError};
use crate::metrics::snapshot::StatsFilter;
use crate::store::places::Places;
use crate::store::worker::{Store, StoreOptions};
use crate::store::{Log, LogError, TopicNumber};
use timers::Timers;
use topic::{Deleted, Locked, Surroundings, TopicHandle};

/// What a node is made with.
#[derive(Debug, Clone)]
pub struct NodeSettings {
    /// 0 to 1023: part of every message id.
    pub node_id: u16,
    /// Where `nsqd.dat` is kept.
    pub data_path: PathBuf,
    /// What the acknowledgement of a publish promises, unless something else was chosen for the topic.
    pub durability: Durability,
    /// How many waiting messages of a topic stay in memory where that is all that is promised.
    pub mem_queue_size: u64,
    /// How many consumers a channel may have; 0: any number.
    pub channel_consumers_max: u64,
    /// Whether the messages of a consumer that goes are ready for others at once.
    pub requeue_on_disconnect: bool,
    /// The percentiles of publish-to-finish times that are shown, and over how long; empty: none.
    pub latency_percentiles: Vec<f64>,
    /// The window of those times.
    pub latency_window: Duration,
    /// How often the state beside the logs is saved while it changes.
    pub sync_timeout: Duration,
    /// How the store is driven.
    pub store: StoreOptions,
    /// How long a message may be, in bytes. Only queue files of v1.3.0 are judged by it.
    pub message_bytes_max: usize,
}

/// Why messages were not taken. The text goes to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The daemon is stopping.
    #[error("exiting")]
    Exiting,
    /// Memory is full and the disk does not take what should make room.
    #[error("{0}")]
    Store(String),
}

/// Why something about a topic or channel was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// There is no such topic.
    #[error("topic not found")]
    TopicNotFound,
    /// There is no such channel on that topic.
    #[error("channel not found")]
    ChannelNotFound,
    /// The topic has another durability, which cannot be changed while it is there.
    #[error("durability conflict")]
    DurabilityConflict,
    /// It was done, but could not be written down.
    #[error("{0}")]
    Internal(String),
}

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `nsqd.dat` is there and cannot be used.
    #[error("failed to load metadata - {0}")]
    Metadata(#[from] MetadataError),
    /// The store cannot be read.
    #[error("failed to open the store - {0}")]
    Store(#[from] LogError),
    /// What is to outlive the process could not be written: messages that were only in memory are lost.
    #[error("failed to keep what was in memory - {0}")]
    Stop(#[source] LogError),
    /// The queue files of v1.3.0 cannot be imported.
    #[error("failed to import the queue files of v1.3.0 - {0}")]
    Import(#[from] ImportError),
}

/// How often what became of messages is saved where an acknowledgement promises that they are kept: what was finished
/// longer ago than twice this does not come again after a crash.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// How many waiting messages stay in memory of a topic for which memory was chosen where the flags say none: as many as
/// without flags.
const CHOSEN_MEMORY_MESSAGES_MAX: u64 = 10_000;

/// The topics of this daemon.
pub struct Node {
    settings: NodeSettings,
    surroundings: Arc<Surroundings>,
    /// Written when topics come and go, else read for a look-up.
    topics: RwLock<Topics>,
    /// The connected clients, by number. Locked for one insertion, removal or copy.
    clients: Mutex<BTreeMap<u64, Arc<Client>>>,
    next_client: AtomicU64,
    metadata: metadata::Writer,
    /// Changes when topics or channels come or go.
    topology: watch::Sender<u64>,
    /// Whether a new topic waits to be told its channels, see [`discovery`].
    expects_channels: AtomicBool,
    exiting: AtomicBool,
}

#[derive(Default)]
struct Topics {
    by_name: HashMap<TopicName, Arc<TopicHandle>>,
    by_number: HashMap<TopicNumber, Arc<TopicHandle>>,
    next_number: u32,
}

impl Node {
    // ---- starting and stopping -----------------------------------------------------------------------

    /// Takes up what `nsqd.dat`, the logs and the queue files of v1.3.0 hold, and starts the threads that own the logs from
    /// then on.
    pub fn start(
        settings: NodeSettings,
        clock: Clock,
        mut logs: Places<Box<dyn Log>>,
    ) -> Result<Arc<Self>, StartError> {
        let saved = logs.load(settings.durability)?;
        let metadata = metadata::read(&settings.data_path)?;
        let (directory, bytes_max) = (&settings.data_path, settings.message_bytes_max);
        let saved =
            import::take_over(directory, bytes_max, &metadata, &mut logs, settings.durability, saved)?;
        // Set before anything is asked of the store, so that no answer misses it.
        let home = Arc::new(OnceLock::<Weak<Self>>::new());
        let deliver = {
            let home = Arc::clone(&home);
            move |number, events| {
                if let Some(node) = home.get().and_then(Weak::upgrade) {
                    node.handle_store(number, events);
                }
            }
        };
        let start = |log, name| Store::start(log, name, deliver.clone(), settings.store);
        let stores = Places {
            spill: start(logs.spill, "nsqd-spill").map_err(LogError::from)?,
            journal: start(logs.journal, "nsqd-journal").map_err(LogError::from)?,
        };
        let node = Arc::new(Self {
            metadata: metadata::Writer::new(&settings.data_path),
            topology: watch::Sender::default(),
            expects_channels: AtomicBool::new(false),
            surroundings: Arc::new(Surroundings { clock, stores, timers: Timers::default() }),
            topics: RwLock::default(),
            clients: Mutex::default(),
            next_client: AtomicU64::new(1),
            exiting: AtomicBool::new(false),
            settings,
        });
        home.get_or_init(|| Arc::downgrade(&node));
        for topic in saved {
            node.restore(topic.number, &topic.image, &topic.batches);
        }
        node.apply_metadata(&metadata);
        node.log_what_was_kept();
        match node.metadata.write(|| node.metadata_body()) {
            // What is there is delivered, which may be what makes room again.
            Err(error) if error.is_disk_full() => tracing::error!("{error}"),
            outcome => outcome?,
        }
        Ok(node)
    }

    /// Calls topics at their deadlines, for ever.
    pub fn run_timers(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let surroundings = Arc::clone(&self.surroundings);
        async move { surroundings.timers.run(&surroundings.clock).await }
    }

    /// Writes `nsqd.dat` when topics or channels came or went, for ever.
    pub fn run_metadata(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let node = Arc::clone(self);
        async move { node.metadata.run(|| node.metadata_body()).await }
    }

    /// Refuses everything from now on, and ends every client's session.
    pub fn begin_exit(&self) {
        self.exiting.store(true, Ordering::Release);
        for client in self.lock_clients().values() {
            client.close();
        }
    }

    /// Writes down everything that is to outlive the process. Blocks until it is on the disk.
    pub fn stop(&self) -> Result<(), StartError> {
        // The messages are kept even where this cannot be written.
        let metadata_written = self.metadata.write(|| self.metadata_body());
        let topics: Vec<_> = self.read_topics().by_name.values().cloned().collect();
        for topic in topics {
            tracing::info!(topic = %topic.name, "TOPIC({}): closing", topic.name);
            let _ = topic.with(|locked| locked.topic.request_save_all(locked.now));
        }
        // Both are stopped, whatever becomes of the first.
        let [spilled, kept] = self.surroundings.stores.all().map(Store::stop);
        spilled.and(kept).map_err(StartError::Stop)?;
        Ok(metadata_written?)
    }

    fn restore(
        &self,
        number: TopicNumber,
        image: &TopicImage,
        batches: &[nsqd_broker::storage::BatchSummary],
    ) {
        let settings = self.topic_settings(image.name, image.durability);
        let topic = Topic::restore(settings, self.surroundings.now(), image, batches);
        let mut topics = self.topics.write().expect(NO_PANIC);
        topics.next_number = topics.next_number.max(number.0 + 1);
        let handle = TopicHandle::new(topic, number, Arc::clone(&self.surroundings));
        // Two lives of one name can only be left by a crash in the middle of a deletion: the newer one counts.
        if let Some(older) = topics.by_name.insert(image.name, Arc::clone(&handle)) {
            topics.by_number.remove(&older.number);
            older.store.submit(older.number, Request::Delete);
        }
        topics.by_number.insert(number, Arc::clone(&handle));
        drop(topics);
        let _ = handle.with(|_| ());
    }

    /// For whoever asks after a restart whether everything is there.
    fn log_what_was_kept(&self) {
        let topics = self.snapshot(&StatsFilter::default()).topics.unwrap_or_default();
        if topics.is_empty() {
            return;
        }
        let channels: Vec<_> = topics.iter().flat_map(|topic| &topic.channels).collect();
        let in_topics: u64 = topics.iter().map(|topic| topic.depth).sum();
        let in_channels: u64 = channels.iter().map(|channel| channel.depth).sum();
        let deferred: u64 = channels.iter().map(|channel| channel.deferred_count).sum();
        tracing::info!(
            "NSQ: loaded {} topic(s) with {in_topics} message(s) and {} channel(s) with {in_channels}, {deferred} more deferred",
            topics.len(),
            channels.len(),
        );
    }

    fn handle_store(&self, number: TopicNumber, events: Vec<Event>) {
        let topic = self.read_topics().by_number.get(&number).cloned();
        if let Some(topic) = topic {
            topic.handle_store(events);
        }
    }

    // ---- publishing ----------------------------------------------------------------------------------

    /// An empty publication, to be filled for any topic.
    pub fn publication(&self) -> Publication {
        Publication::new(self.settings.mem_queue_size)
    }

    /// Takes messages into a topic, which is made if there is none: all of them or, on an error, none.
    ///
    /// In a durable topic it waits until they are in the journal. An error then says that they are not
    /// yet: writing them is tried again, and they may be delivered all the same.
    pub async fn publish_batch(&self, topic: &TopicName, messages: Publication) -> Result<(), PublishError> {
        let mut messages = Some(messages);
        loop {
            let handle = self.topic_or_new(topic);
            let store = &handle.store;
            let outcome = handle.with(|Locked { topic, now, .. }| {
                // Under the lock: what is taken before a topic is written down for the last time is written with it.
                if self.is_exiting() {
                    return Some(Err(PublishError::Exiting));
                }
                let messages =
                    messages.take_if(|messages| store.has_room() || !topic.needs_disk_for(messages))?;
                Some(Ok(topic.publish(now, messages).map(|()| topic.end())))
            });
            match outcome {
                Ok(Some(Ok(Ok(end)))) => {
                    let is_safe = !handle.is_durable || handle.until_stored(end).await;
                    return if is_safe { Ok(()) } else { Err(refused_by(store)) };
                }
                Ok(Some(Ok(Err(nsqd_broker::PublishError::StoreFailing)))) => return Err(refused_by(store)),
                Ok(Some(Err(error))) => return Err(error),
                Ok(None) => store.room().await,
                // It was deleted at this moment: the messages go to the next of that name.
                Err(Deleted) => {}
            }
        }
    }

    /// [`publish_batch`](Self::publish_batch) for bodies that lie apart. Without any it only makes the topic.
    pub async fn publish(
        &self,
        topic: TopicName,
        bodies: &[Bytes],
        delay: Option<Duration>,
    ) -> Result<(), PublishError> {
        let mut messages = self.publication();
        let mut left: usize = bodies.iter().map(Bytes::len).sum();
        for body in bodies {
            left -= body.len();
            match delay {
                Some(delay) if !delay.is_zero() => messages.push_deferred(body, left, delay),
                _ => messages.push(body, left),
            }
        }
        self.publish_batch(&topic, messages).await
    }

    // ---- topics and channels -------------------------------------------------------------------------

    /// Makes a topic, if there is none of that name.
    pub fn create_topic(&self, topic: TopicName) {
        self.topic_or_new(&topic);
    }

    /// Makes a topic whose acknowledgements promise this, or has one that is there promise it. Written down when this
    /// returns.
    pub fn create_topic_with(&self, topic: TopicName, durability: Durability) -> Result<(), AdminError> {
        loop {
            let handle = self.topic_or_made(&topic, Some(durability));
            match handle.with(|Locked { topic, now, .. }| topic.choose_durability(now, durability)) {
                Ok(true) => return self.write_metadata(),
                Ok(false) => return Err(AdminError::DurabilityConflict),
                Err(Deleted) => {}
            }
        }
    }

    /// Forgets a topic, its channels and all messages, and ends the sessions of its consumers.
    pub fn delete_topic(&self, topic: &str) -> Result<(), AdminError> {
        let handle = self.topic(topic)?;
        self.remove_topic(&handle, |_| true);
        Ok(())
    }

    /// Drops what waits in a topic; what its channels have is untouched.
    pub fn empty_topic(&self, topic: &str) -> Result<(), AdminError> {
        self.on_topic(topic, |locked| locked.topic.empty(locked.now))
    }

    /// Stops or resumes handing a topic's messages to its channels. Written down when this returns.
    pub fn pause_topic(&self, topic: &str, paused: bool) -> Result<(), AdminError> {
        self.on_topic(topic, |locked| locked.topic.pause(locked.now, paused))?;
        self.write_metadata()
    }

    /// Makes a channel, if the topic has none of that name.
    pub fn create_channel(&self, topic: &str, channel: ChannelName) -> Result<(), AdminError> {
        self.on_topic(topic, |locked| {
            locked.topic.create_channel(locked.now, channel);
        })?;
        self.topology_changed();
        Ok(())
    }

    /// Forgets a channel with its messages, and ends the sessions of its consumers.
    pub fn delete_channel(&self, topic: &str, channel: &str) -> Result<(), AdminError> {
        let name = ChannelName::parse(channel);
        let handle = self.topic(topic)?;
        let deleted = handle.with(|Locked { topic, clients, now }| {
            let consumers = topic.delete_channel(now, &name?)?;
            let gone: Vec<_> = consumers.iter().filter_map(|key| clients.remove(key)).collect();
            Some((gone, topic.channels().next().is_none()))
        });
        let (gone, was_last) =
            deleted.map_err(|Deleted| AdminError::TopicNotFound)?.ok_or(AdminError::ChannelNotFound)?;
        for client in gone {
            client.close();
        }
        self.channel_deleted(&handle, was_last);
        Ok(())
    }

    /// Drops everything that a channel has or is to get so far.
    pub fn empty_channel(&self, topic: &str, channel: &str) -> Result<(), AdminError> {
        let name = ChannelName::parse(channel);
        let found = self.on_topic(topic, |locked| {
            name.is_some_and(|name| locked.topic.empty_channel(locked.now, &name))
        })?;
        if found { Ok(()) } else { Err(AdminError::ChannelNotFound) }
    }

    /// Stops or resumes delivery on a channel. Written down when this returns.
    pub fn pause_channel(&self, topic: &str, channel: &str, paused: bool) -> Result<(), AdminError> {
        let name = ChannelName::parse(channel);
        let found = self.on_topic(topic, |locked| {
            name.is_some_and(|name| locked.topic.pause_channel(locked.now, &name, paused))
        })?;
        if found { self.write_metadata() } else { Err(AdminError::ChannelNotFound) }
    }

    fn on_topic<R>(&self, topic: &str, work: impl FnOnce(Locked<'_>) -> R) -> Result<R, AdminError> {
        self.topic(topic)?.with(work).map_err(|Deleted| AdminError::TopicNotFound)
    }

    fn topic(&self, name: &str) -> Result<Arc<TopicHandle>, AdminError> {
        let name = TopicName::parse(name).ok_or(AdminError::TopicNotFound)?;
        self.read_topics().by_name.get(&name).cloned().ok_or(AdminError::TopicNotFound)
    }

    pub(crate) fn topic_or_new(&self, name: &TopicName) -> Arc<TopicHandle> {
        self.topic_or_made(name, None)
    }

    /// The topic of that name. If there is none it is made, with the durability that was chosen.
    fn topic_or_made(&self, name: &TopicName, durability: Option<Durability>) -> Arc<TopicHandle> {
        if let Some(topic) = self.read_topics().by_name.get(name) {
            return Arc::clone(topic);
        }
        let mut topics = self.topics.write().expect(NO_PANIC);
        if let Some(topic) = topics.by_name.get(name) {
            return Arc::clone(topic);
        }
        let number = TopicNumber(topics.next_number);
        topics.next_number += 1;
        let topic = Topic::new(self.topic_settings(*name, durability));
        let handle = TopicHandle::new(topic, number, Arc::clone(&self.surroundings));
        // Before anybody can publish to it: the store must know its name before its first batch.
        let _ = handle.with(|Locked { topic, now, .. }| {
            if self.expects_channels.load(Ordering::Relaxed) {
                topic.expect_channels(now);
            }
            topic.request_save(now);
        });
        topics.by_name.insert(*name, Arc::clone(&handle));
        topics.by_number.insert(number, Arc::clone(&handle));
        drop(topics);
        tracing::info!(topic = %name, "TOPIC({name}): created");
        self.topology_changed();
        handle
    }

    fn remove_topic(&self, handle: &Arc<TopicHandle>, only_if: impl FnOnce(&Topic) -> bool) {
        let Some(clients) = handle.delete(only_if) else { return };
        let mut topics = self.topics.write().expect(NO_PANIC);
        topics.by_name.remove(&handle.name);
        topics.by_number.remove(&handle.number);
        drop(topics);
        for client in clients {
            client.close();
        }
        tracing::info!(topic = %handle.name, "TOPIC({}): deleting", handle.name);
        if !handle.name.is_ephemeral() {
            handle.store.submit(handle.number, Request::Delete);
        }
        self.topology_changed();
    }

    /// An ephemeral topic goes with its last channel.
    fn channel_deleted(&self, handle: &Arc<TopicHandle>, was_last: bool) {
        if was_last && handle.name.is_ephemeral() {
            // Somebody may have made a channel meanwhile.
            self.remove_topic(handle, |topic| topic.channels().next().is_none());
        } else {
            self.topology_changed();
        }
    }

    /// Topics or channels came or went: `nsqd.dat` is to be written, and whoever follows the topology to be told.
    fn topology_changed(&self) {
        self.metadata.request();
        self.topology.send_modify(|version| *version += 1);
    }

    fn topic_settings(&self, name: TopicName, chosen_durability: Option<Durability>) -> TopicSettings {
        let measures_latency = !self.settings.latency_percentiles.is_empty();
        let durability = chosen_durability.unwrap_or(self.settings.durability);
        let memory_messages_max = match (self.settings.mem_queue_size, chosen_durability) {
            // The daemon is told to keep nothing in memory, and the topic to keep messages there.
            (0, Some(Durability::Memory)) => CHOSEN_MEMORY_MESSAGES_MAX,
            (messages, _) => messages,
        };
        TopicSettings {
            name,
            durability,
            chosen_durability,
            node_id: self.settings.node_id,
            memory_messages_max,
            channel_consumers_max: self.settings.channel_consumers_max,
            requeue_on_disconnect: self.settings.requeue_on_disconnect,
            latency_window: measures_latency.then_some(self.settings.latency_window),
            save_interval: if durability.is_durable() {
                PROGRESS_INTERVAL
            } else {
                self.settings.sync_timeout
            },
        }
    }

    // ---- clients -------------------------------------------------------------------------------------

    /// A client has connected.
    pub fn add_client(&self, remote_address: String, host: &str) -> Arc<Client> {
        let number = self.next_client.fetch_add(1, Ordering::Relaxed);
        let now_s = self.surroundings.now().unix_ns / 1_000_000_000;
        let client = Arc::new(Client::new(number, remote_address, host, now_s));
        self.lock_clients().insert(number, Arc::clone(&client));
        if self.is_exiting() {
            client.close();
        }
        client
    }

    /// A client has gone.
    pub fn remove_client(&self, client: &Client) {
        self.lock_clients().remove(&client.number);
    }

    fn lock_clients(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        self.clients.lock().expect(NO_PANIC)
    }

    // ---- state ---------------------------------------------------------------------------------------

    /// Why publishes that need the disk would be refused now.
    pub fn health(&self) -> Result<(), String> {
        let [spill, journal] = self.surroundings.stores.all().map(Store::health);
        spill.and(journal)
    }

    /// Whether the daemon is stopping.
    pub fn is_exiting(&self) -> bool {
        self.exiting.load(Ordering::Acquire)
    }

    /// The node's clock.
    pub fn clock(&self) -> &Clock {
        &self.surroundings.clock
    }

    fn read_topics(&self) -> std::sync::RwLockReadGuard<'_, Topics> {
        self.topics.read().expect(NO_PANIC)
    }
}

/// What a publisher is told whose messages the store did not take.
fn refused_by(store: &Store) -> PublishError {
    let cause = store.health().err();
    PublishError::Store(cause.unwrap_or_else(|| "the disk refused a write, which is tried again".to_owned()))
}

const NO_PANIC: &str = "no code panics while it holds a lock of the node";
