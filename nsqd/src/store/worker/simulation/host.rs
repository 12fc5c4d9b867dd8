//! A worker without its thread, on a journal on a simulated disk.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use nsqd_broker::storage::{Event, Request};

use super::super::{StoreOptions, Worker};
use crate::store::journal::{Journal, JournalSettings};
use crate::store::simulated_disk::SimulatedDisk;
use crate::store::{Damage, Log, LogError, SavedTopic, TopicNumber};

type Events = VecDeque<(TopicNumber, Vec<Event>)>;

pub(super) struct Host {
    worker: Worker,
    events: Arc<Mutex<Events>>,
    /// How many requests wait.
    waiting: usize,
}

impl Host {
    /// Opens what is on the disk, of which nothing may be damaged.
    pub(super) fn open(
        disk: &SimulatedDisk,
        settings: JournalSettings,
        options: StoreOptions,
    ) -> (Self, Vec<SavedTopic>) {
        let mut journal = Journal::open_on(disk.files(), settings).unwrap();
        let saved = journal.load().unwrap();
        assert_eq!(journal.damage(), Damage::default());
        let events = Arc::<Mutex<Events>>::default();
        let sink = Arc::clone(&events);
        let deliver = move |topic, told| sink.lock().unwrap().push_back((topic, told));
        (
            Self { worker: Worker::new(Box::new(journal), Box::new(deliver), options), events, waiting: 0 },
            saved,
        )
    }

    pub(super) fn submit(&mut self, topic: TopicNumber, request: Request) {
        self.waiting += usize::from(self.worker.shared.queue.push(topic, request));
    }

    pub(super) fn has_room(&self) -> bool {
        self.worker.shared.queue.has_room()
    }

    /// Does what the thread does when it wakes. Returns whether there was anything.
    pub(super) fn take_turn(&mut self) -> bool {
        let Some(work) = self.worker.shared.queue.wait(Some(Instant::now())) else { return false };
        let taken = work.reads.len() + work.group.len();
        self.waiting -= taken;
        self.worker.read_all(work.reads);
        if !work.group.is_empty() {
            // What failed is told to the topics.
            let _ = self.worker.carry_out(work.group);
        }
        taken > 0
    }

    pub(super) fn handle_due(&mut self) {
        if self.worker.log.due().is_some() {
            self.worker.handle_due();
        }
        if self.worker.health.retry_at().is_some() {
            // What failed is told to the topics.
            let _ = self.worker.retry();
        }
    }

    /// Does all that waits, as the thread does when the store is stopped.
    pub(super) fn stop(&mut self) -> Result<(), LogError> {
        self.worker.shared.queue.close();
        self.worker.run()
    }

    pub(super) fn next_event(&mut self) -> Option<(TopicNumber, Vec<Event>)> {
        self.events.lock().unwrap().pop_front()
    }

    /// Whether all that was asked for so far is done and told.
    pub(super) fn is_settled(&self) -> bool {
        self.waiting == 0 && self.worker.unfinished.is_empty() && self.events.lock().unwrap().is_empty()
    }
}
