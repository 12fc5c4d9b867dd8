//! The thread that owns the disk.
//!
//! Topics [`submit`](Store::submit) what they want done and go on. The thread takes all that waits as one
//! `group`, carries it out in order, syncs once and tells the topics. Reads do not wait for the group.
//!
//! - `queue`: what waits; the only thing shared with the topics.
//! - `group`: what of a group needs doing, and what became of it.
//!
//! What fails is never tried again here for a batch: the topic still has it and asks again. A state, a
//! removal or a deletion that fails is nobody else's to remember: it goes into the next group, which follows after a
//! second in any case.
//!
//! - `health`: what the attempts tell of the disk.

mod group;
mod health;
mod queue;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nsqd_broker::storage::{Event, Position, Request};

use self::group::{Outcome, Step};
use self::health::Health;
use self::queue::Queue;
use super::watermark::Mark;
use super::{Damage, Log, LogError, TopicNumber};

/// How a [`Store`] is run.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// How many bytes of batches may wait to be written before [`Store::has_room`] says no.
    pub pending_bytes_max: usize,
    /// How many bytes of batches are written between two syncs.
    pub group_bytes_max: usize,
    /// How long states wait for others to be written and synced with them, where nothing else is to be done.
    pub gather_for: Duration,
    /// How long a disk that refused is left alone before what nobody asks for again is tried.
    pub retry_after: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            pending_bytes_max: 32 * 1024 * 1024,
            group_bytes_max: 4 * 1024 * 1024,
            gather_for: Duration::from_millis(20),
            retry_after: Duration::from_secs(1),
        }
    }
}

/// A handle to the thread that owns a [`Log`]. Cloning it is cheap; when the last one is gone the thread
/// does what waits and ends.
#[derive(Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    /// Taken by the one who waits for the thread's end.
    thread: Mutex<Option<JoinHandle<Result<(), LogError>>>>,
}

struct Shared {
    queue: Queue,
    /// What the attempts tell of the disk. Locked to set or to copy it.
    health: Mutex<Result<(), String>>,
    /// Beneath which batches are refused, whether there was an attempt or not.
    mark: Option<Mark>,
    /// What was found damaged. Locked to set or to copy it.
    damage: Mutex<Damage>,
}

impl Store {
    /// Starts the thread, under this name. It calls `deliver` with what became of a topic's requests, in order, and holds no
    /// lock of its own while it does. `log` has been loaded.
    ///
    /// # Errors
    ///
    /// The system gives us no thread.
    pub fn start(
        log: Box<dyn Log>,
        name: &str,
        deliver: impl Fn(TopicNumber, Vec<Event>) + Send + 'static,
        options: StoreOptions,
    ) -> std::io::Result<Self> {
        let mut worker = Worker::new(log, Box::new(deliver), options);
        let shared = worker.shared.clone();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || worker.run())?;
        Ok(Self { handle: Arc::new(Handle { shared, thread: Mutex::new(Some(thread)) }) })
    }

    /// Puts `request` in line. Never blocks; may be called under a topic's lock. The requests of a topic are
    /// carried out in the order in which they came, except that a read may overtake what it does not need.
    ///
    /// After [`stop`](Store::stop) nothing is carried out any more, and nothing is answered.
    pub fn submit(&self, topic: TopicNumber, request: Request) {
        if !self.handle.shared.queue.push(topic, request) {
            tracing::warn!(topic_number = topic.0, "a request came after the store was stopped");
        }
    }

    /// How many bytes of batches wait to be written.
    pub fn pending_bytes(&self) -> usize {
        self.handle.shared.queue.pending_bytes()
    }

    /// Whether another batch may be submitted. Nothing is refused where it is not asked; to ask is what
    /// keeps memory bounded.
    pub fn has_room(&self) -> bool {
        self.handle.shared.queue.has_room()
    }

    /// Waits until [`has_room`](Store::has_room). Not to be called with a lock held. Can be dropped at any time.
    pub async fn room(&self) {
        self.handle.shared.queue.room().await;
    }

    /// Why a batch would be refused now: why the last attempt failed, until one succeeds, or that there is too little
    /// room. Asks the file system, so not to be called with a lock held.
    pub fn health(&self) -> Result<(), String> {
        let shared = &self.handle.shared;
        let attempted = shared.health.lock().expect(NO_PANIC).clone();
        attempted.and_then(|()| shared.mark.as_ref().map_or(Ok(()), Mark::check))
    }

    /// How many batches were damaged and set aside.
    pub fn damaged(&self) -> u64 {
        self.damage().batches
    }

    /// What was found damaged so far.
    pub fn damage(&self) -> Damage {
        *self.handle.shared.damage.lock().expect(NO_PANIC)
    }

    /// Blocks until everything submitted is done and synced, and the thread has ended. Only the first call
    /// waits; later ones find nothing to do.
    ///
    /// # Errors
    ///
    /// The last state that was asked for is not on the disk, or batches are not.
    pub fn stop(&self) -> Result<(), LogError> {
        self.handle.shared.queue.close();
        let thread = self.handle.thread.lock().expect(NO_PANIC).take();
        thread.map_or(Ok(()), |thread| {
            thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the store's thread panicked").into()))
        })
    }
}

const NO_PANIC: &str = "nothing panics while it holds this lock";

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

impl Shared {
    fn note_damage(&self, damage: Damage) {
        *self.damage.lock().expect(NO_PANIC) = damage;
    }

    fn note_health(&self, now: Result<(), String>) {
        let before = std::mem::replace(&mut *self.health.lock().expect(NO_PANIC), now.clone());
        match (before, now) {
            (Ok(()), Err(reason)) => tracing::error!(reason, "the disk refuses writes"),
            (Err(_), Ok(())) => tracing::info!("the disk takes writes again"),
            _ => {}
        }
    }
}

/// Is told what became of a topic's requests.
type Deliver = Box<dyn Fn(TopicNumber, Vec<Event>) + Send>;

struct Worker {
    log: Box<dyn Log>,
    deliver: Deliver,
    shared: Arc<Shared>,
    /// What failed and is not answered: states, removals, deletions. Carried out before what comes next.
    unfinished: Vec<(TopicNumber, Request)>,
    /// Batches that were refused and not asked for again yet: at the end nobody does.
    refused: HashSet<(TopicNumber, Position)>,
    /// Why the last of them was.
    refusal: Option<LogError>,
    health: Health,
}

impl Worker {
    fn new(log: Box<dyn Log>, deliver: Deliver, options: StoreOptions) -> Self {
        let shared = Arc::new(Shared {
            queue: Queue::new(options),
            health: Mutex::new(Ok(())),
            mark: log.mark(),
            damage: Mutex::new(log.damage()),
        });
        Self {
            log,
            deliver,
            shared,
            unfinished: Vec::new(),
            refused: HashSet::new(),
            refusal: None,
            health: Health::new(options.retry_after),
        }
    }

    fn run(&mut self) -> Result<(), LogError> {
        let mut outcome = Ok(());
        while let Some(work) = self.shared.queue.wait(self.next_due()) {
            self.read_all(work.reads);
            if !work.group.is_empty() {
                outcome = self.carry_out(work.group);
            }
            if self.log.due().is_some_and(|due| due <= Instant::now()) {
                self.handle_due();
            }
            if self.health.retry_at().is_some_and(|at| at <= Instant::now()) {
                outcome = self.retry().unwrap_or(outcome);
            }
        }
        if !self.unfinished.is_empty() {
            outcome = self.carry_out(Vec::new());
        }
        self.refusal.take().filter(|_| !self.refused.is_empty()).map_or(outcome, Err)
    }

    /// When something is to be done although nobody asks for anything.
    fn next_due(&self) -> Option<Instant> {
        self.log.due().into_iter().chain(self.health.retry_at()).min()
    }

    /// Lets the log do what it does between groups.
    fn handle_due(&mut self) {
        let outcome = self.log.handle_due().map_err(|error| error.to_string());
        self.shared.note_damage(self.log.damage());
        self.health.kept_up(outcome);
        self.shared.note_health(self.health.outcome());
    }

    /// Tries again what nobody else does; gives what became of a group, if there was one. Batches are asked for again by their topics; where none is left, nothing but
    /// this tells that the disk takes some again.
    fn retry(&mut self) -> Option<Result<(), LogError>> {
        let outcome = (!self.unfinished.is_empty()).then(|| self.carry_out(Vec::new()));
        if self.unfinished.is_empty() && self.refused.is_empty() && self.health.outcome().is_err() {
            match self.log.probe() {
                Ok(()) => {
                    self.health.taken();
                    if self.log.due().is_none() {
                        self.health.kept_up(Ok(()));
                    }
                }
                Err(error) => self.health.refused(error.to_string()),
            }
            self.shared.note_damage(self.log.damage());
            self.shared.note_health(self.health.outcome());
        }
        self.health.tried();
        outcome
    }

    fn carry_out(&mut self, new: Vec<(TopicNumber, Request)>) -> Result<(), LogError> {
        let mut requests = std::mem::take(&mut self.unfinished);
        requests.extend(new);
        let mut outcome = Outcome::default();
        for (topic, step) in group::plan(requests) {
            self.note_forgotten(topic, &step);
            if let Some(answer) = outcome.take(&mut *self.log, topic, step) {
                self.answer(topic, answer);
            }
            let urgent = self.shared.queue.urgent();
            self.read_all(urgent);
        }
        let ended = outcome.end(&mut *self.log);
        self.unfinished = ended.unfinished;
        match &ended.result {
            Err(error) => self.health.refused(error.to_string()),
            Ok(()) if ended.took_batch => self.health.taken(),
            Ok(()) => {}
        }
        self.shared.note_health(self.health.outcome());
        self.shared.note_damage(self.log.damage());
        // Room is made before the topics are told, so that those who are told find it.
        self.shared.queue.group_done();
        let mut failed = false;
        for (topic, events) in ended.events {
            for event in &events {
                match event {
                    Event::AppendFailed { first } => {
                        failed = true;
                        self.refused.insert((topic, *first));
                    }
                    Event::Appended { first } => drop(self.refused.remove(&(topic, *first))),
                    _ => {}
                }
            }
            self.deliver(topic, events);
        }
        match ended.result {
            // Whether that was the end of it turns out later: a topic asks again, if there is time.
            Err(error) if failed => {
                self.refusal = Some(error);
                Ok(())
            }
            result => result,
        }
    }

    /// What nobody needs any more is no loss if it was refused.
    fn note_forgotten(&mut self, topic: TopicNumber, step: &Step) {
        match step {
            Step::Do(Request::Drop { first }) => drop(self.refused.remove(&(topic, *first))),
            Step::Do(Request::Delete) => self.refused.retain(|(refused, _)| *refused != topic),
            _ => {}
        }
    }

    fn read_all(&mut self, reads: Vec<(TopicNumber, Position)>) {
        for (topic, first) in reads {
            let answer = group::read(&mut *self.log, topic, first);
            self.answer(topic, answer);
        }
    }

    fn answer(&self, topic: TopicNumber, answer: Event) {
        if matches!(answer, Event::Lost { .. }) {
            self.shared.note_damage(self.log.damage());
        }
        self.deliver(topic, vec![answer]);
    }

    /// A topic that panics is that topic's loss, not that of all the others who need the disk.
    fn deliver(&self, topic: TopicNumber, events: Vec<Event>) {
        if catch_unwind(AssertUnwindSafe(|| (self.deliver)(topic, events))).is_err() {
            tracing::error!(topic_number = topic.0, "a topic panicked over what the store told it");
        }
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
