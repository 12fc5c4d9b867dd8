//! One topic under its lock, and what follows from each change to it.
//!
//! Every access goes through [`TopicHandle::with`]: it locks, lets the caller do its work, collects what the broker
//! asks for afterwards (the disk's work, consumers to wake, the next deadline), unlocks, and only then wakes anybody.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use nsq::wire::name::TopicName;
use nsqd_broker::storage::{Event, Position};
use nsqd_broker::{ConsumerKey, Now, Topic};
use smallvec::SmallVec;
use tokio::sync::Notify;

use super::client::Client;
use super::timers::Timers;
use crate::store::TopicNumber;
use crate::store::places::Places;
use crate::store::worker::Store;
use nsq::daemon::clock::Clock;

/// What every topic of a node uses.
pub(crate) struct Surroundings {
    pub(crate) clock: Clock,
    pub(crate) stores: Places<Store>,
    pub(crate) timers: Timers,
}

impl Surroundings {
    pub(crate) fn now(&self) -> Now {
        let (monotonic_ns, unix_ns) = self.clock.now();
        Now { monotonic_ns, unix_ns }
    }
}

/// A topic of this node.
pub(crate) struct TopicHandle {
    pub(crate) name: TopicName,
    pub(crate) number: TopicNumber,
    /// Locked for the few lines of one command or one batch of commands, never across an await.
    state: Mutex<State>,
    surroundings: Arc<Surroundings>,
    /// The one of the topic's level.
    pub(crate) store: Store,
    /// Whether an acknowledgement waits for the store.
    pub(crate) is_durable: bool,
    /// Something that was given to the disk is there, or is refused.
    stored: Notify,
    /// Itself, for the timer.
    this: Weak<TopicHandle>,
}

struct State {
    topic: Topic,
    /// The clients behind the consumers.
    clients: HashMap<ConsumerKey, Arc<Client>>,
    /// When the timer will call; `u64::MAX` if it will not.
    timer_ns: u64,
    /// Set once: the topic is not of this node any more, and nothing is to be published to it.
    deleted: bool,
}

/// The topic has been deleted meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deleted;

/// A topic under its lock.
pub(crate) struct Locked<'a> {
    pub(crate) topic: &'a mut Topic,
    pub(crate) clients: &'a mut HashMap<ConsumerKey, Arc<Client>>,
    pub(crate) now: Now,
}

impl TopicHandle {
    pub(crate) fn new(topic: Topic, number: TopicNumber, surroundings: Arc<Surroundings>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            name: topic.name(),
            number,
            store: surroundings.stores.of(topic.durability()).clone(),
            is_durable: topic.durability().is_durable(),
            state: Mutex::new(State { topic, clients: HashMap::new(), timer_ns: u64::MAX, deleted: false }),
            surroundings,
            stored: Notify::new(),
            this: this.clone(),
        })
    }

    /// Does `work` under the lock, and what follows from it.
    pub(crate) fn with<R>(&self, work: impl FnOnce(Locked<'_>) -> R) -> Result<R, Deleted> {
        let mut state = self.lock();
        if state.deleted {
            return Err(Deleted);
        }
        let State { topic, clients, .. } = &mut *state;
        let result = work(Locked { topic, clients, now: self.surroundings.now() });
        self.follow_up(state);
        Ok(result)
    }

    /// Tells the topic what became of what it asked of the disk.
    pub(crate) fn handle_store(&self, events: Vec<Event>) {
        // What a deleted topic asked for is nobody's business any more.
        let _ = self.with(|Locked { topic, now, .. }| {
            for event in events {
                topic.handle_store(now, event);
            }
        });
        self.stored.notify_waiters();
    }

    /// Waits until everything before `end` is on the disk. Returns whether it is: the disk may refuse.
    pub(crate) async fn until_stored(&self, end: Position) -> bool {
        loop {
            let mut told = pin!(self.stored.notified());
            told.as_mut().enable();
            let state = self.with(|Locked { topic, .. }| (topic.is_stored(end), topic.is_store_failing()));
            match state {
                Ok((false, false)) => told.await,
                Ok((is_stored, _)) => return is_stored,
                Err(Deleted) => return true,
            }
        }
    }

    /// Time has come to the topic's deadline.
    pub(crate) fn handle_timer(&self) {
        self.lock().timer_ns = u64::MAX;
        // A deleted topic has nothing that could be due.
        let _ = self.with(|locked| locked.topic.handle_timeout(locked.now));
    }

    /// Takes the topic out of use for good. Returns the clients that were subscribed; `None` if somebody
    /// else did it before, or if `only_if` is against it.
    pub(crate) fn delete(&self, only_if: impl FnOnce(&Topic) -> bool) -> Option<Vec<Arc<Client>>> {
        let mut state = self.lock();
        if state.deleted || !only_if(&state.topic) {
            return None;
        }
        state.deleted = true;
        let clients = std::mem::take(&mut state.clients).into_values().collect();
        let timer_ns = std::mem::replace(&mut state.timer_ns, u64::MAX);
        self.surroundings.timers.forget(timer_ns, self.number);
        drop(state);
        // The store's answers do not come here any more.
        self.stored.notify_waiters();
        Some(clients)
    }

    fn follow_up(&self, mut state: MutexGuard<'_, State>) {
        while let Some(request) = state.topic.poll_store() {
            self.store.submit(self.number, request);
        }
        let due_ns = state.topic.poll_timeout().unwrap_or(u64::MAX);
        if due_ns < state.timer_ns {
            self.surroundings.timers.set(state.timer_ns, due_ns, self.number, &self.this);
            state.timer_ns = due_ns;
        }
        let mut woken = SmallVec::<[Arc<Client>; 4]>::new();
        while let Some(key) = state.topic.poll_wake() {
            woken.extend(state.clients.get(&key).cloned());
        }
        drop(state);
        for client in woken {
            client.wake();
        }
    }

    /// After a panic under the lock the topic goes on as it stands: to refuse it from then on would lose all its
    /// messages at the stop.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
