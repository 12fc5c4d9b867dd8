//! What waits for the disk.
//!
//! Only batches count towards the bound on bytes, and only those who submit them wait for room. States,
//! removals and reads are few: a topic has at most one state, one removal a batch and one read a channel.
//!
//! For states nobody waits. Where nothing else is to be done they are gathered for a moment: a thousand topics that change
//! are written down with one sync then, and not each with its own.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use nsqd_broker::storage::{Position, Request};
use tokio::sync::Notify;

use super::StoreOptions;
use crate::store::TopicNumber;

/// What the worker is to do next. Of both kinds some is taken each time: neither can starve the other.
#[derive(Debug)]
pub(super) struct Work {
    /// Reads that need nothing else that waits.
    pub(super) reads: Vec<(TopicNumber, Position)>,
    /// Requests in the order in which they came. [`Queue::group_done`] is called when they are carried out.
    pub(super) group: Vec<(TopicNumber, Request)>,
}

pub(super) struct Queue {
    // Locked to put something in or take something out, by a topic and by the worker.
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    pending_bytes: AtomicUsize,
    options: StoreOptions,
    made_room: Notify,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<(TopicNumber, Request)>,
    /// How many of the requests are no states.
    pressing: usize,
    /// When states that wait are carried out unless something presses before. Set exactly when there are requests.
    gathered_at: Option<Instant>,
    reads: Vec<(TopicNumber, Position)>,
    /// How often each batch is in `requests` and in the group that is being carried out; never zero. The
    /// reads of these stay in line.
    unwritten: HashMap<(TopicNumber, Position), u32>,
    /// The batches in the group that is being carried out, and their bytes.
    group: Vec<(TopicNumber, Position)>,
    group_bytes: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(options: StoreOptions) -> Self {
        Self {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            pending_bytes: AtomicUsize::new(0),
            options,
            made_room: Notify::new(),
        }
    }

    /// `false`: the queue is closed, and the request is not in it.
    pub(super) fn push(&self, topic: TopicNumber, request: Request) -> bool {
        let mut waiting = self.waiting();
        if waiting.closed {
            return false;
        }
        // States behind the first of them change nothing about when they are taken.
        let mut wakes = true;
        match request {
            Request::Read { first } if !waiting.unwritten.contains_key(&(topic, first)) => {
                waiting.reads.push((topic, first));
            }
            request => {
                wakes = !is_state(&request) || waiting.gathered_at.is_none();
                waiting.pressing += usize::from(!is_state(&request));
                waiting.gathered_at.get_or_insert_with(|| Instant::now() + self.options.gather_for);
                if let Request::Append(batch) = &request {
                    *waiting.unwritten.entry((topic, batch.first)).or_default() += 1;
                    self.pending_bytes.fetch_add(batch.records.len(), Ordering::AcqRel);
                }
                waiting.requests.push_back((topic, request));
            }
        }
        drop(waiting);
        if wakes {
            self.arrived.notify_one();
        }
        true
    }

    pub(super) fn close(&self) {
        self.waiting().closed = true;
        self.arrived.notify_one();
    }

    pub(super) fn pending_bytes(&self) -> usize {
        self.pending_bytes.load(Ordering::Acquire)
    }

    pub(super) fn has_room(&self) -> bool {
        self.pending_bytes() < self.options.pending_bytes_max
    }

    pub(super) async fn room(&self) {
        loop {
            let mut made_room = std::pin::pin!(self.made_room.notified());
            // From here on it is told; room made before is seen by the look that follows.
            made_room.as_mut().enable();
            if self.has_room() {
                return;
            }
            made_room.await;
        }
    }

    /// Blocks until there is something to do, or until `due`: what is to be done may be nothing then. `None` when
    /// nothing waits and nothing will come.
    pub(super) fn wait(&self, due: Option<Instant>) -> Option<Work> {
        let mut waiting = self.waiting();
        while !waiting.is_pressing() {
            let until = due.into_iter().chain(waiting.gathered_at).min();
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            waiting = match left {
                Some(Duration::ZERO) => break,
                Some(left) => self.arrived.wait_timeout(waiting, left).expect(NO_PANIC).0,
                None => self.arrived.wait(waiting).expect(NO_PANIC),
            };
        }
        if waiting.is_empty() && waiting.closed {
            return None;
        }
        let reads = std::mem::take(&mut waiting.reads);
        Some(Work { reads, group: waiting.take_group(self.options.group_bytes_max) })
    }

    /// The reads that came while a group is carried out.
    pub(super) fn urgent(&self) -> Vec<(TopicNumber, Position)> {
        std::mem::take(&mut self.waiting().reads)
    }

    /// The last group is carried out.
    pub(super) fn group_done(&self) {
        let mut waiting = self.waiting();
        for batch in std::mem::take(&mut waiting.group) {
            if let Entry::Occupied(mut times) = waiting.unwritten.entry(batch) {
                *times.get_mut() -= 1;
                if *times.get() == 0 {
                    times.remove();
                }
            }
        }
        let bytes = std::mem::take(&mut waiting.group_bytes);
        drop(waiting);
        self.pending_bytes.fetch_sub(bytes, Ordering::AcqRel);
        if self.has_room() {
            self.made_room.notify_waiters();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect(NO_PANIC)
    }
}

const NO_PANIC: &str = "nothing panics while it holds this lock";

/// How many requests go into a group: they are planned together, and a topic waits for all of them.
const GROUP_REQUESTS_MAX: usize = 16 * 1024;

impl Waiting {
    fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.reads.is_empty()
    }

    /// Whether there is anything that is to be done at once.
    fn is_pressing(&self) -> bool {
        self.closed || self.pressing > 0 || !self.reads.is_empty()
    }

    fn take_group(&mut self, bytes_max: usize) -> Vec<(TopicNumber, Request)> {
        let mut requests = Vec::new();
        while self.group_bytes < bytes_max && requests.len() < GROUP_REQUESTS_MAX {
            let Some((topic, request)) = self.requests.pop_front() else {
                break;
            };
            if let Some((first, bytes)) = appended(&request) {
                self.group.push((topic, first));
                self.group_bytes += bytes;
            }
            self.pressing -= usize::from(!is_state(&request));
            requests.push((topic, request));
        }
        if self.requests.is_empty() {
            self.gathered_at = None;
        }
        requests
    }
}

/// Whether it says what a topic is or has come to, which whoever asked for it does not wait for.
fn is_state(request: &Request) -> bool {
    matches!(request, Request::Save(_) | Request::Advance(_))
}

fn appended(request: &Request) -> Option<(Position, usize)> {
    match request {
        Request::Append(batch) => Some((batch.first, batch.records.len())),
        _ => None,
    }
}
