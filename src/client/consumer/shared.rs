//! What the driver and the links of a consumer share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::{Notify, mpsc, watch};

use super::ConsumerOptions;
use super::flow::Flow;
use super::mailbox::Mailbox;
use super::message::Message;
use super::ready::Key;
use crate::wire::name::{ChannelName, TopicName};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) topic: TopicName,
    pub(super) channel: ChannelName,
    pub(super) options: ConsumerOptions,
    /// To whoever receives.
    pub(super) messages: mpsc::Sender<Message>,
    pub(super) closing: watch::Receiver<bool>,
    /// How many links are subscribed.
    connections: watch::Sender<usize>,
    /// Locked for a few lines by the links, for each message twice, and by the driver at the flow's timeouts.
    state: Mutex<State>,
    /// The flow's next timeout has become earlier.
    sooner: Notify,
}

#[derive(Debug)]
struct State {
    flow: Flow,
    links: HashMap<Key, Arc<Mailbox>>,
    next_key: Key,
    /// Until when the driver sleeps on the flow's behalf; `None`: for ever.
    scheduled: Option<Instant>,
}

impl Shared {
    pub(super) fn new(
        topic: TopicName,
        channel: ChannelName,
        options: ConsumerOptions,
        messages: mpsc::Sender<Message>,
        closing: watch::Receiver<bool>,
        connections: watch::Sender<usize>,
    ) -> Self {
        let flow = Flow::new(options.max_in_flight, options.backoff);
        let state = Mutex::new(State { flow, links: HashMap::new(), next_key: 0, scheduled: None });
        Self { topic, channel, options, messages, closing, connections, state, sooner: Notify::new() }
    }

    /// A link is subscribed.
    pub(super) fn join(&self, mailbox: Arc<Mailbox>, ready_max: u32) -> Key {
        let key = self.update(|state| {
            let key = state.next_key;
            state.next_key += 1;
            state.links.insert(key, mailbox);
            state.flow.join(key, ready_max, Instant::now());
            key
        });
        self.connections.send_modify(|count| *count += 1);
        key
    }

    /// A link that had joined has ended.
    pub(super) fn leave(&self, key: Key) {
        self.update(|state| {
            state.links.remove(&key);
            state.flow.leave(key, Instant::now());
        });
        self.connections.send_modify(|count| *count -= 1);
    }

    /// The ready count of a link.
    pub(super) fn ready(&self, key: Key) -> u32 {
        self.locked().flow.ready(key)
    }

    /// Tells the flow what happened, and nudges the links that have to do something about it.
    pub(super) fn tell<T>(&self, happened: impl FnOnce(&mut Flow) -> T) -> T {
        self.update(|state| happened(&mut state.flow))
    }

    /// Until when the driver may sleep; it is nudged when that becomes earlier.
    pub(super) fn schedule(&self) -> Option<Instant> {
        let mut state = self.locked();
        state.scheduled = state.flow.poll_timeout();
        state.scheduled
    }

    /// Waits until [`schedule`](Self::schedule) is to be asked again.
    pub(super) async fn is_sooner(&self) {
        self.sooner.notified().await;
    }

    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.locked();
        let outcome = change(&mut state);
        let mut changed = Vec::new();
        while let Some(key) = state.flow.poll_changed() {
            changed.extend(state.links.get(&key).cloned());
        }
        let timeout = state.flow.poll_timeout();
        let is_sooner = timeout.is_some_and(|at| state.scheduled.is_none_or(|scheduled| at < scheduled));
        drop(state);
        for mailbox in changed {
            mailbox.nudge();
        }
        if is_sooner {
            self.sooner.notify_one();
        }
        outcome
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the flow")
    }
}
