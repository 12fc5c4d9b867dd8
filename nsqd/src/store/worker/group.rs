//! What of a group of requests needs doing, and what became of it.
//!
//! After one write has failed the others of the group fail untried: the disk that refused one rarely takes
//! the next, and a topic's batches stay in order.

use std::collections::{BTreeMap, HashMap, HashSet};

use nsqd_broker::storage::{Event, Position, Request, TopicImage};

use crate::store::{Log, LogError, TopicNumber};

/// A request, or what is left of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Do(Request),
    /// A batch that is forgotten in the same group. It is answered as if it had been written.
    Skip {
        first: Position,
    },
    /// Progress that was worked into some before it.
    Nothing,
}

/// Leaves out what the requests behind it undo: batches that are dropped, states that are replaced, all of
/// a topic that is deleted. What a batch needs to be known beside it stays before the batch: the disk may refuse what
/// comes behind.
pub(super) fn plan(requests: Vec<(TopicNumber, Request)>) -> Vec<(TopicNumber, Step)> {
    let mut dropped = HashSet::new();
    let mut saved = HashSet::new();
    let mut deleted = HashSet::new();
    let mut steps = Vec::with_capacity(requests.len());
    for (topic, request) in requests.into_iter().rev() {
        let gone = deleted.contains(&topic);
        let step = match request {
            Request::Append(batch) if gone || dropped.contains(&(topic, batch.first)) => {
                Step::Skip { first: batch.first }
            }
            Request::Drop { .. } if gone => continue,
            Request::Save(_) if gone || !saved.insert(topic) => continue,
            Request::Advance(_) if gone || saved.contains(&topic) => continue,
            request => {
                match &request {
                    Request::Drop { first } => drop(dropped.insert((topic, *first))),
                    // What is read between must have been written.
                    Request::Read { first } => drop(dropped.remove(&(topic, *first))),
                    Request::Delete => drop(deleted.insert(topic)),
                    // What it needs stays before it.
                    Request::Append(_) => drop(saved.remove(&topic)),
                    Request::Save(_) | Request::Advance(_) => {}
                }
                Step::Do(request)
            }
        };
        steps.push((topic, step));
    }
    steps.reverse();
    merge_progress(&mut steps);
    steps
}

/// Works all progress of a topic into the first of it: what the disk refuses for long must not pile up. Whatever
/// was to be written after the first still is.
fn merge_progress(steps: &mut Vec<(TopicNumber, Step)>) {
    let mut first = HashMap::new();
    for index in 0..steps.len() {
        if let (topic, Step::Do(Request::Save(_))) = &steps[index] {
            // What follows a state is not in it.
            first.remove(topic);
        }
        let (before, rest) = steps.split_at_mut(index);
        if let (topic, Step::Do(Request::Advance(later))) = &mut rest[0] {
            match first.get(topic).and_then(|first: &usize| before.get_mut(*first)) {
                Some((_, Step::Do(Request::Advance(earlier)))) => {
                    std::mem::take(later).merge_into(earlier);
                    rest[0].1 = Step::Nothing;
                }
                _ => drop(first.insert(*topic, index)),
            }
        }
    }
    steps.retain(|(_, step)| *step != Step::Nothing);
}

pub(super) fn read(log: &mut dyn Log, topic: TopicNumber, first: Position) -> Event {
    match log.read(topic, first) {
        Ok(batch) => Event::Read(batch),
        Err(LogError::Damaged { .. }) => Event::Lost { first },
        Err(LogError::Io(reason)) => {
            tracing::warn!(topic_number = topic.0, first, %reason, "could not read a batch");
            Event::ReadFailed { first }
        }
    }
}

/// What became of the steps taken so far.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The batches of each topic, in the order of its requests.
    batches: BTreeMap<TopicNumber, Vec<(Position, Written)>>,
    /// States that are to be written together, before whatever comes behind them.
    states: Vec<(TopicNumber, TopicImage)>,
    /// What was written and nobody is told about.
    unanswered: Vec<(TopicNumber, Request)>,
    /// The same, where it failed.
    unfinished: Vec<(TopicNumber, Request)>,
    /// Whether anything was to be written.
    wrote: bool,
    /// Why a write failed. Set exactly when one did.
    failure: Option<LogError>,
}

#[derive(Debug, Clone, Copy)]
enum Written {
    /// Never asked of the log.
    Skipped,
    /// On the disk after a sync.
    Unsynced,
    Failed,
}

/// What became of a group.
#[derive(Debug)]
pub(super) struct Ended {
    /// For each topic, in the order of its requests.
    pub(super) events: Vec<(TopicNumber, Vec<Event>)>,
    /// What nobody asks for again, and is to be done again.
    pub(super) unfinished: Vec<(TopicNumber, Request)>,
    /// Whether a batch is on the disk that was not before.
    pub(super) took_batch: bool,
    pub(super) result: Result<(), LogError>,
}

impl Outcome {
    /// Takes a step. The answer, where it is a read.
    pub(super) fn take(&mut self, log: &mut dyn Log, topic: TopicNumber, step: Step) -> Option<Event> {
        match step {
            Step::Nothing => {}
            Step::Do(Request::Save(image)) => self.states.push((topic, image)),
            Step::Skip { first } => self.note(topic, first, Written::Skipped),
            // The batch may be missing because its writing just failed: that is not its loss.
            Step::Do(Request::Read { first }) if self.failure.is_some() => {
                return Some(Event::ReadFailed { first });
            }
            Step::Do(Request::Read { first }) => return Some(read(log, topic, first)),
            Step::Do(request) => {
                self.write_states(log);
                self.wrote = true;
                if self.failure.is_none() {
                    self.failure = write(log, topic, &request).err();
                }
                match (request, self.failure.is_some()) {
                    (Request::Append(batch), false) => self.note(topic, batch.first, Written::Unsynced),
                    (Request::Append(batch), true) => self.note(topic, batch.first, Written::Failed),
                    (request, false) => self.unanswered.push((topic, request)),
                    (request, true) => self.unfinished.push((topic, request)),
                }
            }
        }
        None
    }

    fn write_states(&mut self, log: &mut dyn Log) {
        let states = std::mem::take(&mut self.states);
        if states.is_empty() {
            return;
        }
        debug_assert_eq!(
            states.iter().map(|(topic, _)| topic).collect::<HashSet<_>>().len(),
            states.len(),
            "a topic has one state where nothing is between"
        );
        self.wrote = true;
        if self.failure.is_none() {
            self.failure = log.save_all(&states).err();
        }
        let requests = states.into_iter().map(|(topic, image)| (topic, Request::Save(image)));
        match self.failure {
            None => self.unanswered.extend(requests),
            Some(_) => self.unfinished.extend(requests),
        }
    }

    /// Syncs what was written.
    pub(super) fn end(mut self, log: &mut dyn Log) -> Ended {
        self.write_states(log);
        let synced = if self.wrote { log.sync() } else { Ok(()) };
        let on_disk = synced.is_ok();
        let mut batches = self.batches.values().flatten();
        let took_batch = on_disk && batches.any(|(_, written)| matches!(written, Written::Unsynced));
        let event = |(first, written)| match written {
            Written::Unsynced if !on_disk => Event::AppendFailed { first },
            Written::Failed => Event::AppendFailed { first },
            Written::Skipped | Written::Unsynced => Event::Appended { first },
        };
        let events = self.batches.into_iter();
        // What is done again is done in its old order.
        let mut unfinished = if on_disk { Vec::new() } else { self.unanswered };
        unfinished.extend(self.unfinished);
        Ended {
            events: events
                .map(|(topic, batches)| (topic, batches.into_iter().map(event).collect()))
                .collect(),
            unfinished,
            took_batch,
            result: self.failure.map_or(synced, Err),
        }
    }

    fn note(&mut self, topic: TopicNumber, first: Position, written: Written) {
        self.batches.entry(topic).or_default().push((first, written));
    }
}

fn write(log: &mut dyn Log, topic: TopicNumber, request: &Request) -> Result<(), LogError> {
    match request {
        Request::Append(batch) => log.append(topic, batch),
        Request::Drop { first } => log.drop_batch(topic, *first),
        Request::Advance(progress) => log.advance(topic, progress),
        Request::Delete => log.delete(topic),
        Request::Save(_) | Request::Read { .. } => unreachable!("told apart before this is called"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite::{ONE, TWO, batch, image};
    use nsqd_broker::storage::Progress;

    fn advance(end: Position) -> Request {
        Request::Advance(Progress { end, ..Progress::default() })
    }

    #[test]
    fn progress_of_a_topic_is_kept_once_where_the_first_of_it_stood() {
        let append = Request::Append(batch(0, 1, 10));
        let steps = plan(vec![
            (ONE, advance(1)),
            (TWO, advance(2)),
            (ONE, append.clone()),
            (ONE, advance(3)),
            (ONE, advance(4)),
        ]);
        let expected = [(ONE, advance(4)), (TWO, advance(2)), (ONE, append)];
        assert_eq!(steps, expected.map(|(topic, request)| (topic, Step::Do(request))));
    }

    #[test]
    fn the_removal_of_a_batch_that_is_left_out_is_done() {
        // An earlier write of it that failed may have been done nevertheless.
        let removal = Request::Drop { first: 0 };
        let steps = plan(vec![(ONE, Request::Append(batch(0, 1, 10))), (ONE, removal.clone())]);
        assert_eq!(steps, [(ONE, Step::Skip { first: 0 }), (ONE, Step::Do(removal))]);
    }

    #[test]
    fn a_batch_that_comes_behind_the_removal_of_its_predecessor_is_written() {
        let requests = [Request::Drop { first: 0 }, Request::Append(batch(0, 1, 10))];
        let steps = plan(requests.clone().map(|request| (ONE, request)).into());
        assert_eq!(steps, requests.map(|request| (ONE, Step::Do(request))));
    }

    #[test]
    fn a_batch_that_is_left_out_needs_no_state_before_it() {
        let append = Request::Append(batch(0, 1, 10));
        let (save, removal) = (Request::Save(image("t")), Request::Drop { first: 0 });
        let steps = plan([save.clone(), append, save.clone(), removal.clone()].map(|it| (ONE, it)).into());
        assert_eq!(steps, [Step::Skip { first: 0 }, Step::Do(save), Step::Do(removal)].map(|it| (ONE, it)));
    }

    #[test]
    fn what_a_batch_needs_stays_before_it_where_a_state_follows() {
        let append = Request::Append(batch(0, 1, 10));
        for before in [advance(1), Request::Save(image("t"))] {
            let requests = [before, append.clone(), Request::Save(image("t"))];
            let steps = plan(requests.clone().map(|request| (ONE, request)).into());
            assert_eq!(steps, requests.map(|request| (ONE, Step::Do(request))));
        }
    }

    #[test]
    fn progress_behind_a_state_stays_behind_it_where_there_is_some_before_it_too() {
        let append = Request::Append(batch(0, 1, 10));
        let requests = [advance(1), append, Request::Save(image("t")), advance(2)];
        let steps = plan(requests.clone().map(|request| (ONE, request)).into());
        assert_eq!(steps, requests.map(|request| (ONE, Step::Do(request))));
    }

    #[test]
    fn progress_before_a_state_is_left_out_and_what_follows_it_stays_behind() {
        let save = Request::Save(image("t"));
        let steps = plan(vec![(ONE, advance(1)), (ONE, save.clone()), (ONE, advance(2))]);
        assert_eq!(steps, [(ONE, Step::Do(save)), (ONE, Step::Do(advance(2)))]);
    }
}
