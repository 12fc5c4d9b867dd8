//! A disk that is slow, refuses, or does only half of what it is told.
//!
//! Requests are carried out in order, except that reads may overtake. What became of them is told later.

use std::collections::{BTreeMap, VecDeque};

use nsqd_broker::storage::{BatchSummary, Event, Position, Request, StoredBatch, TopicImage};

use super::consumers::number_in;
use super::{Number, World};

/// How many bytes of batches may wait for the disk before publishers that need it have to wait.
const PENDING_BYTES_MAX: usize = 64 * 1024;

/// What the disk does with the next requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum DiskMood {
    #[default]
    Works,
    /// Does nothing, and says so.
    Refuses,
    /// Does so many of the requests, then fails, and says that it did none.
    Tears { done: usize },
}

#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) mood: DiskMood,
    /// Whether it has failed since the topic was started.
    pub(crate) has_failed: bool,
    pub(crate) stored: BTreeMap<Position, StoredBatch>,
    /// The state that was saved last, and the step it is of.
    pub(crate) image: Option<(u64, TopicImage)>,
    /// What is to be carried out, each with the step that asked for it.
    queue: VecDeque<(u64, Request)>,
    reads: VecDeque<Position>,
    /// What became of requests, to be told.
    events: VecDeque<Event>,
}

impl Disk {
    /// Takes a request. Returns the messages that it brings to the disk.
    pub(super) fn push(&mut self, step: u64, request: Request) -> Vec<Number> {
        let numbers = match &request {
            Request::Append(batch) => messages(batch).map(|(_, number)| number).collect(),
            _ => Vec::new(),
        };
        match request {
            Request::Read { first } => self.reads.push_back(first),
            request => self.queue.push_back((step, request)),
        }
        numbers
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.reads.is_empty() && self.events.is_empty()
    }

    /// Whether publishers whose topic needs the disk may go on.
    pub(super) fn has_room(&self) -> bool {
        let batches = self.queue.iter().filter_map(|(_, request)| match request {
            Request::Append(batch) => Some(batch.records.len()),
            _ => None,
        });
        batches.sum::<usize>() < PENDING_BYTES_MAX
    }

    /// Carries out up to `count` of the reads that wait.
    pub(crate) fn read(&mut self, count: usize) {
        for _ in 0..count {
            let Some(first) = self.reads.pop_front() else { return };
            let event = match (self.mood, self.stored.get(&first)) {
                (DiskMood::Works, Some(batch)) => Event::Read(batch.clone()),
                // It was dropped meanwhile: nobody needs it any more.
                (DiskMood::Works, None) => Event::Lost { first },
                _ => {
                    self.has_failed = true;
                    Event::ReadFailed { first }
                }
            };
            self.events.push_back(event);
        }
    }

    /// Carries out up to `count` of the other requests, as one group.
    pub(crate) fn write(&mut self, count: usize) {
        let group: Vec<(u64, Request)> = self.queue.drain(..count.min(self.queue.len())).collect();
        let done = match self.mood {
            DiskMood::Works => group.len(),
            DiskMood::Refuses => 0,
            DiskMood::Tears { done } => done,
        };
        let works = self.mood == DiskMood::Works;
        self.has_failed |= !works && !group.is_empty();
        let mut again = VecDeque::new();
        for (n, (step, request)) in group.into_iter().enumerate() {
            if n < done {
                self.carry_out(step, request.clone());
            }
            match request {
                Request::Append(batch) if works => {
                    self.events.push_back(Event::Appended { first: batch.first });
                }
                Request::Append(batch) => self.events.push_back(Event::AppendFailed { first: batch.first }),
                // Nobody is told, so it is done again.
                request if !works => again.push_back((step, request)),
                _ => {}
            }
        }
        again.append(&mut self.queue);
        self.queue = again;
    }

    /// The process dies. What was carried out stays, and the first `prefix` of the requests that waited are
    /// carried out as well; nobody will be told.
    pub(super) fn crash(&mut self, prefix: usize) {
        for (step, request) in std::mem::take(&mut self.queue).into_iter().take(prefix) {
            self.carry_out(step, request);
        }
        self.reads.clear();
        self.events.clear();
        self.has_failed = false;
    }

    pub(crate) fn queue_len(&self) -> usize {
        self.queue.len()
    }

    fn carry_out(&mut self, step: u64, request: Request) {
        match request {
            Request::Append(batch) => {
                let before = self.stored.insert(batch.first, batch.clone());
                assert!(before.is_none_or(|before| before == batch), "a batch never changes");
            }
            // It may not be there: its writing failed.
            Request::Drop { first } => drop(self.stored.remove(&first)),
            Request::Save(image) => self.image = Some((step, image)),
            Request::Advance(progress) => {
                let (saved_at, image) = self.image.as_mut().expect("a topic is saved when it is made");
                *saved_at = step;
                image.advance([progress]);
            }
            Request::Delete => self.stored.clear(),
            Request::Read { .. } => unreachable!("reads wait apart"),
        }
    }

    pub(super) fn summaries(&self) -> Vec<BatchSummary> {
        let summary = |batch: &StoredBatch| BatchSummary {
            first: batch.first,
            count: batch.count,
            aside: batch.aside,
            bytes: batch.records.len() as u64,
        };
        self.stored.values().map(summary).collect()
    }

    /// Every message that is stored, by position, and whether it is aside.
    pub(super) fn messages(&self) -> BTreeMap<Position, (Number, bool)> {
        let batches = self.stored.values();
        batches
            .flat_map(|batch| messages(batch).map(|(position, number)| (position, (number, batch.aside))))
            .collect()
    }
}

fn messages(batch: &StoredBatch) -> impl Iterator<Item = (Position, Number)> {
    let mut rest = &batch.records[..];
    let positions = batch.first..batch.first + u64::from(batch.count);
    positions.map(move |position| {
        let size = u32::from_be_bytes(rest[..4].try_into().expect("four bytes")) as usize;
        let (frame, after) = rest.split_at(4 + size);
        rest = after;
        (position, number_in(frame))
    })
}

impl World {
    /// The disk carries out up to `count` requests of each kind, and tells.
    pub(crate) fn use_disk(&mut self, count: usize) {
        self.disk.read(count);
        self.disk.write(count);
        self.tell(usize::MAX);
    }

    /// Tells the topic what became of up to `count` requests.
    pub(crate) fn tell(&mut self, count: usize) {
        for _ in 0..count {
            let Some(event) = self.disk.events.pop_front() else { return };
            self.topic.handle_store(self.now(), event);
            self.settle();
        }
    }

    /// The disk does and tells everything.
    pub(crate) fn let_disk_finish(&mut self) {
        while !self.disk.is_idle() {
            self.use_disk(1000);
        }
    }
}
