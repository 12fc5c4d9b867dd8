//! A topic: its log, its channels, and what of the log they may see.
//!
//! A topic that is paused, has no channel or expects some *holds* ([`holding`]): what is published waits in the topic's
//! *backlog*, behind the released position, and channels see it when the topic holds no longer.

mod holding;
mod saving;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use slab::Slab;

use nsq::wire::message::MessageId;
use nsq::wire::name::{ChannelName, TopicName};

use crate::batch::Publication;
use crate::channel::{AckError, Channel, ChannelStats, Delivery};
use crate::consumer::{Consumer, ConsumerSettings};
use crate::id::IdGenerator;
use crate::log::{Cursor, Held, Log, MemoryLimits};
use crate::quantile::{Histogram, LatencyWindow};
use crate::storage::{Durability, Event, Position, Request};
use crate::time::Now;

/// Bytes of waiting messages that stay in memory for each message that may, on average; see `MEMORY_BYTES_MIN`.
const MEMORY_BYTES_PER_MESSAGE: u64 = 4 * 1024;

/// Bytes of waiting messages that a topic may keep in memory however few messages it may keep.
const MEMORY_BYTES_MIN: u64 = 1024 * 1024;

/// How long a disk that refused is left alone before it is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The state is saved less often the more there is to save: once an interval for each so many messages.
const UNFINISHED_PER_SAVE_INTERVAL: u64 = 10_000;

/// What a topic is made with.
#[derive(Debug, Clone)]
pub struct TopicSettings {
    /// The topic's name; an ephemeral one never asks for the disk.
    pub name: TopicName,
    /// The node's id, 0 to 1023: part of the message ids.
    pub node_id: u16,
    /// What the acknowledgement of a publish promises. An ephemeral topic has no disk to promise anything by.
    pub durability: Durability,
    /// What of it was chosen for this topic; `None`: what the daemon's flags say. It is kept with the state.
    pub chosen_durability: Option<Durability>,
    /// How many waiting messages stay in memory, where they are not written at once.
    pub memory_messages_max: u64,
    /// How many consumers a channel may have; 0: any number.
    pub channel_consumers_max: u64,
    /// Whether the messages of a consumer that goes are ready for others at once.
    pub requeue_on_disconnect: bool,
    /// Over how long publish-to-finish times are counted; `None`: not at all.
    pub latency_window: Option<Duration>,
    /// How often the state beside the log is saved while it changes.
    pub save_interval: Duration,
}

/// A consumer of a channel of this topic. It stays valid to ask with when the consumer is gone: it names nobody then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConsumerKey {
    pub(crate) channel: u32,
    pub(crate) consumer: u32,
    pub(crate) serial: u64,
}

impl ConsumerKey {
    /// A number no other consumer of this topic has or had.
    pub fn serial(&self) -> u64 {
        self.serial
    }
}

/// A channel of this topic, until it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelKey(u32);

/// Why messages were not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishError {
    /// Memory is full, and the disk refuses what should make room.
    StoreFailing,
}

/// Why a consumer was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscribeError {
    /// The channel has as many consumers as it may have.
    TooManyConsumers {
        /// How many that is.
        limit: u64,
    },
    /// There is no such channel (any more).
    NoChannel,
}

/// What followed when a consumer went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unsubscribed {
    /// The ephemeral channel that lost its last consumer, and went with it.
    pub deleted_channel: Option<ChannelName>,
}

/// A topic's figures (spec nsqd-operation.md, §7). Counters are since start.
#[derive(Debug, Clone)]
pub struct TopicStats {
    /// The topic's name.
    pub name: TopicName,
    /// Messages that wait in the topic and no channel has seen.
    pub depth: u64,
    /// How many of them are on the disk.
    pub backend_depth: u64,
    /// How long ago the oldest of them was published that is not deferred, in milliseconds: 0 exactly when there is
    /// none, `None` when that is not known.
    pub oldest_age_ms: Option<u64>,
    /// Messages accepted.
    pub messages: u64,
    /// Their bodies' bytes.
    pub message_bytes: u64,
    /// Whether the topic is paused.
    pub paused: bool,
    /// The channels, by name.
    pub channels: Vec<ChannelStats>,
    /// Messages lost because what was read from the disk was damaged.
    pub lost: u64,
}

impl TopicStats {
    /// The publish-to-finish times of all channels together, if they are measured.
    pub fn latency(&self) -> Option<Histogram> {
        let mut all: Option<Histogram> = None;
        for latency in self.channels.iter().filter_map(|channel| channel.latency.as_ref()) {
            all.get_or_insert_default().merge(latency);
        }
        all
    }
}

/// A topic with its channels. See the crate's documentation for how it is driven.
#[derive(Debug)]
pub struct Topic {
    settings: TopicSettings,
    paused: bool,
    /// Somebody is asking elsewhere for channels that this topic should have.
    expects_channels: bool,
    pub(crate) log: Log,
    /// Where the backlog begins: set exactly while the topic holds.
    backlog: Option<Cursor>,
    /// Deferred messages of the backlog: their delay begins when they are released.
    backlog_deferred: Vec<(Held, u64)>,
    channels: Slab<Channel>,
    by_name: BTreeMap<ChannelName, u32>,
    ids: IdGenerator,
    serial: u64,
    messages: u64,
    message_bytes: u64,
    wakes: VecDeque<ConsumerKey>,
    /// Never later than the first deadline of any channel.
    wake_at_ns: u64,
    save_at_ns: Option<u64>,
    retry_at_ns: Option<u64>,
    /// The store is asked to keep this topic.
    stored: bool,
    /// Where progress is saved apart from the state.
    progress: Option<saving::Unsaved>,
}

impl Topic {
    /// An empty topic.
    pub fn new(settings: TopicSettings) -> Self {
        let stored = !settings.name.is_ephemeral();
        let write_through = stored && settings.durability.is_durable();
        let messages_max = if write_through { 0 } else { settings.memory_messages_max };
        let bytes_max = messages_max.saturating_mul(MEMORY_BYTES_PER_MESSAGE).max(MEMORY_BYTES_MIN);
        let mut log = Log::new(MemoryLimits { messages_max, bytes_max, spills: stored, write_through });
        let backlog = Some(log.read_from_end());
        Self {
            ids: IdGenerator::new(settings.node_id, 0),
            settings,
            paused: false,
            expects_channels: false,
            log,
            backlog,
            backlog_deferred: Vec::new(),
            channels: Slab::new(),
            by_name: BTreeMap::new(),
            serial: 0,
            messages: 0,
            message_bytes: 0,
            wakes: VecDeque::new(),
            wake_at_ns: u64::MAX,
            save_at_ns: None,
            retry_at_ns: None,
            stored,
            progress: write_through.then(saving::Unsaved::default),
        }
    }

    // ---- getters -------------------------------------------------------------------------------------

    /// The topic's name.
    pub fn name(&self) -> TopicName {
        self.settings.name
    }

    /// Whether the topic is paused.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// The channels' names and whether each is paused, by name.
    pub fn channels(&self) -> impl Iterator<Item = (ChannelName, bool)> {
        self.by_name.iter().map(|(name, key)| (*name, self.channels[*key as usize].paused))
    }

    /// The channel of that name.
    pub fn channel(&self, name: &ChannelName) -> Option<ChannelKey> {
        self.by_name.get(name).map(|key| ChannelKey(*key))
    }

    /// Whether memory has no room for these messages unless the disk takes some.
    pub fn needs_disk_for(&self, messages: &Publication) -> bool {
        let (count, bytes) = (messages.count().into(), messages.frame_bytes());
        match messages.is_deferred() {
            true => self.log.needs_disk_for_aside(count, || in_flight(&self.channels)),
            false => self.log.needs_disk_for(count, bytes),
        }
    }

    /// The position behind the newest message.
    pub fn end(&self) -> Position {
        self.log.end()
    }

    /// What the acknowledgement of a publish promises.
    pub fn durability(&self) -> Durability {
        if self.stored { self.settings.durability } else { Durability::Memory }
    }

    /// Whether everything before `end` is on the disk.
    pub fn is_stored(&self, end: Position) -> bool {
        self.log.is_stored(end)
    }

    /// Whether the disk refuses what this topic gives it.
    pub fn is_store_failing(&self) -> bool {
        self.log.is_failing()
    }

    /// All figures at once.
    pub fn stats(&self, now: Now) -> TopicStats {
        let released = self.released();
        let backlog = self.waiting();
        let spilled = self.log.spilled_ordinal().saturating_sub(released);
        TopicStats {
            name: self.settings.name,
            depth: backlog,
            backend_depth: spilled,
            oldest_age_ms: self.oldest_age_ms(now),
            messages: self.messages,
            message_bytes: self.message_bytes,
            paused: self.paused,
            channels: self
                .by_name
                .values()
                .map(|key| self.channels[*key as usize].stats(&self.log, released, *key, now))
                .collect(),
            lost: self.log.lost_messages(),
        }
    }

    /// The ordinal up to which channels may see messages.
    fn released(&self) -> u64 {
        self.backlog.map_or(self.log.end_ordinal(), |backlog| self.log.ordinal(backlog))
    }

    /// Messages that wait in the topic and no channel has seen.
    fn waiting(&self) -> u64 {
        self.log.end_ordinal() - self.released() + self.backlog_deferred.len() as u64
    }

    fn channel_of(&mut self, key: ConsumerKey) -> Option<&mut Channel> {
        let channel = self.channels.get_mut(key.channel as usize)?;
        let known = channel.consumers.get(key.consumer as usize).is_some_and(|c| c.serial == key.serial);
        known.then_some(channel)
    }

    // ---- publishing ----------------------------------------------------------------------------------

    /// Takes messages: all of them or, on an error, none.
    pub fn publish(&mut self, now: Now, messages: Publication) -> Result<(), PublishError> {
        if self.log.is_failing() && self.needs_disk_for(&messages) {
            return Err(PublishError::StoreFailing);
        }
        self.messages += u64::from(messages.count());
        self.message_bytes += messages.body_bytes();
        let is_deferred = messages.is_deferred();
        let count = messages.count() as usize;
        let (batches, delays) = messages.into_parts();
        debug_assert!(delays.is_empty() || delays.len() == count, "all are deferred, or none is");
        let mut delays = &delays[..];
        for mut records in batches {
            if self.backlog.is_some() && !self.stored {
                records.truncate(self.backlog_room());
                if records.count() == 0 {
                    break;
                }
            }
            records.stamp(now.unix_ns, || self.ids.next(now.unix_ns));
            if is_deferred {
                // Where a batch was cut it is the last.
                let (its_own, others) = delays.split_at(records.count() as usize);
                self.append_deferred(now, records, its_own);
                delays = others;
            } else {
                let readers = self.channels.len() as u32 + u32::from(self.backlog.is_some());
                self.log.append(records, readers);
            }
        }
        self.after_release();
        // Delays, and what was finished before its batch went to the disk.
        self.changed(now);
        Ok(())
    }

    /// Each message has its delay.
    fn append_deferred(&mut self, now: Now, records: crate::batch::Records, delays: &[Duration]) {
        let holds = self.backlog.is_some();
        let holders = if holds { 1 } else { self.channels.len() as u32 };
        let (batch, first) = self.log.append_aside(records, holders);
        for (index, delay) in (first..).zip(delays) {
            let held = Held { batch, index, attempts: 0 };
            if holds {
                self.backlog_deferred.push((held, u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)));
                continue;
            }
            let due_ns = now.after(*delay);
            for (_, channel) in &mut self.channels {
                channel.defer(due_ns, held, now);
            }
            self.wake_at_ns = self.wake_at_ns.min(due_ns);
        }
    }

    /// New messages may be seen: lets go what is too much, and lets those who wait know.
    fn after_release(&mut self) {
        let released = self.released();
        let mut trimmed = false;
        for (key, channel) in &mut self.channels {
            if !self.stored || channel.is_ephemeral() {
                trimmed = true;
                channel.trim(&mut self.log, released, self.settings.memory_messages_max);
            }
            if channel.has_line() {
                let ready = channel.depth(&self.log, released);
                channel.wake(ready, |consumer, serial| {
                    self.wakes.push_back(ConsumerKey { channel: key as u32, consumer, serial });
                });
            }
        }
        if trimmed {
            self.retire_last_batch();
        }
        self.spill();
    }

    /// Gives the disk what is due to it.
    fn spill(&mut self) {
        // Deferred messages are not there before the moment they are due is.
        if self.log.is_to_write_aside() {
            self.request_progress();
        }
        let channels = &self.channels;
        self.log.spill(|| in_flight(channels));
    }

    fn wake(&mut self, key: u32) {
        let released = self.released();
        let channel = &mut self.channels[key as usize];
        let ready = channel.depth(&self.log, released);
        channel.wake(ready, |consumer, serial| {
            self.wakes.push_back(ConsumerKey { channel: key, consumer, serial });
        });
        self.wake_at_ns = self.wake_at_ns.min(channel.next_ns().unwrap_or(u64::MAX));
    }

    // ---- channels ------------------------------------------------------------------------------------

    /// The channel of that name, made if there is none. The topic's first gets everything that waits.
    pub fn create_channel(&mut self, now: Now, name: ChannelName) -> ChannelKey {
        if let Some(key) = self.by_name.get(&name) {
            return ChannelKey(*key);
        }
        let released = self.released();
        let cursor = match self.backlog {
            Some(backlog) => self.log.read_from(backlog),
            None => self.log.read_from_end(),
        };
        let key = self.insert_channel(now, name, cursor, released);
        self.hold_or_release(now);
        self.request_save(now);
        ChannelKey(key)
    }

    pub(crate) fn insert_channel(
        &mut self,
        now: Now,
        name: ChannelName,
        cursor: Cursor,
        start_ordinal: u64,
    ) -> u32 {
        let latency = self.settings.latency_window.map(|window| LatencyWindow::new(window, now.monotonic_ns));
        let notes_progress = self.progress.is_some() && !name.is_ephemeral();
        let channel = Channel::new(name, cursor, start_ordinal, latency, notes_progress);
        let key = self.channels.insert(channel) as u32;
        self.by_name.insert(name, key);
        self.log.set_readers(self.channels.len());
        key
    }

    /// Forgets a channel with its messages. Returns its consumers, `None` if there is no such channel.
    pub fn delete_channel(&mut self, now: Now, name: &ChannelName) -> Option<Vec<ConsumerKey>> {
        let key = *self.by_name.get(name)?;
        let released = self.backlog;
        let channel = &mut self.channels[key as usize];
        channel.empty(&mut self.log, released);
        self.log.stop_reading(channel.cursor);
        let consumers = channel
            .consumers
            .iter()
            .map(|(consumer, Consumer { serial, .. })| ConsumerKey {
                channel: key,
                consumer: consumer as u32,
                serial: *serial,
            })
            .collect();
        self.channels.remove(key as usize);
        self.by_name.remove(name);
        self.log.set_readers(self.channels.len());
        self.hold_or_release(now);
        self.retire_last_batch();
        self.request_save(now);
        Some(consumers)
    }

    /// Drops everything that the channel has or is to get so far. Returns whether there is such a channel.
    pub fn empty_channel(&mut self, now: Now, name: &ChannelName) -> bool {
        let Some(key) = self.by_name.get(name) else { return false };
        self.channels[*key as usize].empty(&mut self.log, self.backlog);
        self.retire_last_batch();
        self.request_save(now);
        true
    }

    /// Stops or resumes delivery on a channel. Returns whether there is such a channel.
    pub fn pause_channel(&mut self, now: Now, name: &ChannelName, paused: bool) -> bool {
        let Some(key) = self.by_name.get(name).copied() else { return false };
        self.channels[key as usize].paused = paused;
        self.wake(key);
        self.request_save(now);
        true
    }

    // ---- consumers -----------------------------------------------------------------------------------

    /// Adds a consumer; it gets nothing before `set_ready`.
    pub fn subscribe(
        &mut self,
        channel: ChannelKey,
        settings: ConsumerSettings,
    ) -> Result<ConsumerKey, SubscribeError> {
        let limit = self.settings.channel_consumers_max;
        let key = channel.0;
        let channel = self.channels.get_mut(key as usize).ok_or(SubscribeError::NoChannel)?;
        if limit > 0 && channel.consumers.len() as u64 >= limit {
            return Err(SubscribeError::TooManyConsumers { limit });
        }
        self.serial += 1;
        let consumer = channel.add_consumer(self.serial, settings);
        Ok(ConsumerKey { channel: key, consumer, serial: self.serial })
    }

    /// Removes a consumer. What it had in flight is ready for others, or waits for its time-out.
    pub fn unsubscribe(&mut self, now: Now, consumer: ConsumerKey) -> Unsubscribed {
        let requeue = self.settings.requeue_on_disconnect;
        let Some(channel) = self.channel_of(consumer) else { return Unsubscribed::default() };
        channel.remove_consumer(consumer.consumer, requeue);
        if channel.is_ephemeral() && channel.consumers.is_empty() {
            let name = channel.name;
            self.delete_channel(now, &name);
            return Unsubscribed { deleted_channel: Some(name) };
        }
        self.wake(consumer.channel);
        self.changed(now);
        Unsubscribed::default()
    }

    /// Sets how many messages the consumer may have in flight; ask with `deliver` afterwards.
    pub fn set_ready(&mut self, consumer: ConsumerKey, count: u64) {
        if let Some(channel) = self.channel_of(consumer) {
            channel.set_ready(consumer.consumer, count);
        }
    }

    /// Gives the consumer its share of what is ready, about `bytes_max` bytes at most, message by message through
    /// `sink`. Returns whether to ask again at once; if not, `poll_wake` will name the consumer when there is more.
    ///
    /// With `bytes_max` 0 the consumer says that it has no room now: others are woken in its place, and it asks again
    /// when it has.
    pub fn deliver(
        &mut self,
        now: Now,
        consumer: ConsumerKey,
        bytes_max: usize,
        mut sink: impl FnMut(Delivery<'_>),
    ) -> bool {
        let released = self.released();
        if self.channel_of(consumer).is_none() {
            return false;
        }
        let channel = &mut self.channels[consumer.channel as usize];
        let number = consumer.consumer;
        if channel.attend(number) == 0 || bytes_max == 0 {
            // It may have been woken for messages that another has to take now.
            self.wake(consumer.channel);
            return false;
        }
        let again = channel.deliver(&mut self.log, released, now, number, bytes_max, &mut sink);
        self.wake_at_ns = self.wake_at_ns.min(channel.next_ns().unwrap_or(u64::MAX));
        // Nothing of it is held if the consumer wanted none of what it was offered.
        self.retire_last_batch();
        self.changed(now);
        again
    }

    /// The consumer is done with a message.
    pub fn finish(&mut self, now: Now, consumer: ConsumerKey, id: MessageId) -> Result<(), AckError> {
        let channel = self.channel_of(consumer).ok_or(AckError::NotInFlight)?;
        let held = channel.finish(consumer.consumer, id, now)?;
        self.log.release(held.batch);
        self.retire_last_batch();
        self.changed(now);
        Ok(())
    }

    /// The consumer gives a message back, to be delivered again after `delay`.
    pub fn requeue(
        &mut self,
        now: Now,
        consumer: ConsumerKey,
        id: MessageId,
        delay: Duration,
    ) -> Result<(), AckError> {
        let channel = self.channel_of(consumer).ok_or(AckError::NotInFlight)?;
        channel.requeue(consumer.consumer, id, delay, now)?;
        self.wake(consumer.channel);
        self.changed(now);
        Ok(())
    }

    /// The consumer needs `timeout` more for a message, at most `timeout_max` in all since its delivery.
    pub fn touch(
        &mut self,
        now: Now,
        consumer: ConsumerKey,
        id: MessageId,
        timeout: Duration,
        timeout_max: Duration,
    ) -> Result<(), AckError> {
        let channel = self.channel_of(consumer).ok_or(AckError::NotInFlight)?;
        channel.touch(consumer.consumer, id, timeout, timeout_max, now)?;
        self.wake_at_ns = self.wake_at_ns.min(channel_next(&self.channels, consumer));
        Ok(())
    }

    /// Lets the newest batch go if everybody has read it and nobody holds it: else it would stay until the next came.
    fn retire_last_batch(&mut self) {
        if self.log.has_idle_last_batch() && self.is_all_read() {
            self.log.retire_last_batch();
        }
    }

    fn is_all_read(&self) -> bool {
        self.backlog.is_none() && self.channels.iter().all(|(_, channel)| channel.is_at_end(&self.log))
    }

    // ---- inputs --------------------------------------------------------------------------------------

    /// Time has come to `now`: moves what is due. Call it when `poll_timeout` said, or at any other time.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.retry_at_ns.is_some_and(|at| at <= now.monotonic_ns) {
            self.retry_at_ns = None;
            self.log.retry_failed();
            self.wake_all();
        }
        if self.save_at_ns.is_some_and(|at| at <= now.monotonic_ns) {
            self.save_at_ns = None;
            self.save_what_changed(now);
        }
        if self.wake_at_ns > now.monotonic_ns {
            return;
        }
        self.wake_at_ns = u64::MAX;
        let keys: Vec<u32> = self.by_name.values().copied().collect();
        for key in keys {
            if self.channels[key as usize].expire(now) {
                self.changed(now);
            }
            self.wake(key);
        }
    }

    /// The disk has done, or not done, something that `poll_store` asked for.
    pub fn handle_store(&mut self, now: Now, event: Event) {
        match event {
            Event::Appended { first } => {
                self.log.handle_appended(first);
                // What was gathered while the disk was busy; the rest goes when memory is full.
                if self.progress.is_some() {
                    self.spill();
                }
            }
            Event::AppendFailed { first } => {
                self.log.handle_append_failed(first);
                self.retry_at_ns.get_or_insert(now.after(RETRY_AFTER));
                // What was gathered meanwhile has nothing to wait for if nobody needs that batch any more.
                if self.progress.is_some() {
                    self.spill();
                }
            }
            Event::Read(batch) => {
                self.log.handle_read(batch);
                self.wake_all();
            }
            Event::ReadFailed { first } => {
                self.log.handle_read_failed(first);
                self.retry_at_ns.get_or_insert(now.after(RETRY_AFTER));
            }
            Event::Lost { first } => {
                self.log.handle_lost(first);
                self.wake_all();
            }
        }
    }

    fn wake_all(&mut self) {
        let keys: Vec<u32> = self.by_name.values().copied().collect();
        for key in keys {
            self.wake(key);
        }
    }

    // ---- outputs -------------------------------------------------------------------------------------

    /// A consumer that should call `deliver`.
    pub fn poll_wake(&mut self) -> Option<ConsumerKey> {
        self.wakes.pop_front()
    }

    /// The monotonic moment at which `handle_timeout` is to be called; it may find nothing to do.
    pub fn poll_timeout(&self) -> Option<u64> {
        let times = [Some(self.wake_at_ns), self.save_at_ns, self.retry_at_ns];
        times.into_iter().flatten().min().filter(|at| *at != u64::MAX)
    }

    /// The next thing for the disk to do.
    pub fn poll_store(&mut self) -> Option<Request> {
        self.log.poll_request()
    }
}

fn in_flight(channels: &Slab<Channel>) -> u64 {
    channels.iter().map(|(_, channel)| channel.in_flight_len()).sum()
}

fn channel_next(channels: &Slab<Channel>, consumer: ConsumerKey) -> u64 {
    channels.get(consumer.channel as usize).and_then(Channel::next_ns).unwrap_or(u64::MAX)
}
