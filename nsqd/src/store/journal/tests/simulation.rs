//! The journal under chance, against a model that knows what each batch and each state may be: over losses of power,
//! kills and errors of the disk.
//!
//! `SIMULATION_SEEDS` says how many seeds are tried.

use std::collections::BTreeMap;
use std::ops::Range;

use nsq::wire::name::ChannelName;
use nsqd_broker::storage::{ChannelImage, ChannelProgress};

use super::*;
use crate::store::simulated_disk::SimulatedDisk;
use crate::store::suite;

/// What is done in one life of the journal.
const STEPS_MAX: usize = 120;

/// How the journal's life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stopped,
    Killed,
    PowerLost,
}

/// A value that may be one of several after a crash.
#[derive(Debug, Clone)]
struct Cell<T> {
    /// What a loss of power leaves, at least.
    safe: Option<T>,
    /// What was written since, with whether that was acknowledged.
    since: Vec<(Option<T>, bool)>,
}

impl<T: Clone + PartialEq + std::fmt::Debug> Cell<T> {
    fn new() -> Self {
        Self { safe: None, since: Vec::new() }
    }

    /// What is there as long as nothing crashes.
    fn now(&self) -> Option<&T> {
        let acknowledged = self.since.iter().rev().find(|(_, acknowledged)| *acknowledged);
        acknowledged.map_or(self.safe.as_ref(), |(value, _)| value.as_ref())
    }

    fn allows(&self, found: Option<&T>, end: End) -> bool {
        let last = self.since.iter().rposition(|(_, acknowledged)| *acknowledged);
        let from = if end == End::PowerLost { 0 } else { last.unwrap_or(0) };
        let is_safe = (end == End::PowerLost || last.is_none()) && self.safe.as_ref() == found;
        is_safe || self.since[from..].iter().any(|(value, _)| value.as_ref() == found)
    }

    /// Takes what was found as what is there. What failed, or is not safe, may still come back with the power.
    fn settle(&mut self, found: Option<T>) {
        self.since.iter_mut().for_each(|(_, acknowledged)| *acknowledged = false);
        self.since.push((found, true));
    }

    /// Something was put on the disk: what is there now is, and says that what failed is not.
    fn make_safe(&mut self) {
        *self = Self { safe: self.now().cloned(), since: Vec::new() };
    }
}

/// A state: by which save it is, and which steps were kept since.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    save: u64,
    steps: Vec<u64>,
}

#[derive(Debug)]
enum Operation {
    Append(TopicNumber, StoredBatch),
    Drop(TopicNumber, Position),
    Save(TopicNumber, u64),
    Advance(TopicNumber, u64),
    Delete(TopicNumber),
}

/// What may be there.
#[derive(Default)]
struct Model {
    batches: BTreeMap<(TopicNumber, Position), Cell<StoredBatch>>,
    states: BTreeMap<TopicNumber, Cell<State>>,
}

impl Model {
    fn apply(&mut self, operation: &Operation, acknowledged: bool) {
        match operation {
            Operation::Append(topic, batch) => {
                let cell = self.batches.entry((*topic, batch.first)).or_insert_with(Cell::new);
                cell.since.push((Some(batch.clone()), acknowledged));
            }
            Operation::Drop(topic, first) => self.drop_batch(*topic, *first, acknowledged),
            Operation::Save(topic, save) => {
                let state = State { save: *save, steps: Vec::new() };
                self.states.entry(*topic).or_insert_with(Cell::new).since.push((Some(state), acknowledged));
            }
            Operation::Advance(topic, step) => {
                let Some(cell) = self.states.get_mut(topic) else { return };
                // What follows a step that failed may be there with it or without it.
                let last = if acknowledged { cell.now().cloned() } else { newest(cell).cloned() };
                if let Some(mut state) = last {
                    state.steps.push(*step);
                    cell.since.push((Some(state), acknowledged));
                }
            }
            Operation::Delete(topic) => {
                let firsts: Vec<_> = self.firsts(*topic).collect();
                firsts.into_iter().for_each(|first| self.drop_batch(*topic, first, acknowledged));
                if let Some(cell) = self.states.get_mut(topic) {
                    cell.since.push((None, acknowledged));
                }
            }
        }
    }

    fn drop_batch(&mut self, topic: TopicNumber, first: Position, acknowledged: bool) {
        if let Some(cell) = self.batches.get_mut(&(topic, first)) {
            cell.since.push((None, acknowledged));
        }
    }

    fn firsts(&self, topic: TopicNumber) -> impl Iterator<Item = Position> + '_ {
        self.batches.keys().filter(move |(of, _)| *of == topic).map(|(_, first)| *first)
    }

    fn make_safe(&mut self) {
        self.batches.values_mut().for_each(Cell::make_safe);
        self.states.values_mut().for_each(Cell::make_safe);
    }
}

fn newest<T>(cell: &Cell<T>) -> Option<&T> {
    cell.since.last().map_or(cell.safe.as_ref(), |(value, _)| value.as_ref())
}

/// The topic of an odd number is at the level `Disk`, that of an even one at `Os`.
fn level(topic: TopicNumber) -> Durability {
    if topic.0 % 2 == 1 { Durability::Disk } else { Durability::Os }
}

fn image_of(topic: TopicNumber, save: u64) -> TopicImage {
    let channel = ChannelImage {
        name: ChannelName::parse("c").unwrap(),
        paused: false,
        cursor: save,
        finished_below: save,
        finished: vec![],
        unfinished: vec![],
    };
    // The default is `Disk`.
    let durability = (level(topic) == Durability::Os).then_some(Durability::Os);
    TopicImage { durability, channels: vec![channel], ..suite::image(&format!("topic-{}", topic.0)) }
}

fn progress_of(step: u64) -> Progress {
    let channel = ChannelProgress {
        name: ChannelName::parse("c").unwrap(),
        cursor: 0,
        finished: nsqd_broker::storage::ranges(vec![2 * step]),
        changed: vec![],
    };
    Progress { channels: vec![channel], ..Progress::default() }
}

/// What an image says; `None` where it was only recalled.
fn state_in(image: &TopicImage) -> Option<State> {
    let [channel] = &image.channels[..] else { return None };
    let steps = channel.finished.iter().map(|range: &Range<u64>| range.start / 2);
    Some(State { save: channel.finished_below, steps: steps.collect() })
}

struct Simulation {
    random: fastrand::Rng,
    disk: SimulatedDisk,
    settings: JournalSettings,
    model: Model,
    group: Vec<Operation>,
    serial: u64,
    topics: Vec<TopicNumber>,
    with_faults: bool,
    has_lost_power: bool,
}

impl Simulation {
    fn new(seed: u64, with_faults: bool) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let settings = JournalSettings {
            default_durability: Durability::Disk,
            sync_every: random.u64(1..40),
            sync_timeout: if random.bool() { Duration::ZERO } else { Duration::MAX },
            segment_bytes: random.u64(2_000..20_000),
            prepared_bytes: 1000,
            reserve_bytes: 100,
        };
        let disk = SimulatedDisk::new(seed);
        let topics = vec![TopicNumber(1), TopicNumber(2)];
        Self {
            random,
            disk,
            settings,
            model: Model::default(),
            group: vec![],
            serial: 0,
            topics,
            with_faults,
            has_lost_power: false,
        }
    }

    fn run(&mut self) {
        let mut end = End::Stopped;
        for _ in 0..self.random.usize(2..6) {
            let mut journal = self.open(end);
            end = self.live(&mut journal);
            match end {
                End::Stopped => drop(journal),
                // Nothing of what the owner does at its end is done.
                End::Killed | End::PowerLost => kill(journal),
            }
            self.group.clear();
            self.disk.recover();
            if end == End::PowerLost {
                self.disk.lose_power();
                self.has_lost_power = true;
            }
        }
        drop(self.open(end));
    }

    /// Opens the journal and compares all of it with the model.
    fn open(&mut self, end: End) -> Journal {
        if self.with_faults && self.random.bool() {
            let at = self.random.u64(0..40);
            self.disk.fail(at..at + 1, io::ErrorKind::Other);
        }
        let open = |disk: &SimulatedDisk| {
            let mut journal = Journal::open_on(disk.files(), self.settings)?;
            let topics = journal.load()?;
            Ok::<_, LogError>((journal, topics))
        };
        let (mut journal, topics) = match open(&self.disk) {
            Ok(opened) => opened,
            Err(LogError::Io(_)) if self.with_faults => {
                self.disk.recover();
                open(&self.disk).unwrap()
            }
            Err(error) => panic!("{error}"),
        };
        self.disk.recover();
        assert_eq!(journal.damage(), Damage::default());
        if !self.with_faults && !self.has_lost_power {
            let is_aside = |name: &String| name.ends_with(".bad");
            assert!(!self.disk.lengths().keys().any(is_aside), "a kill leaves no gap");
        }
        self.compare_states(&topics, end);
        self.compare_batches(&mut journal, &topics, end);
        if self.random.bool() {
            // What was perhaps not on the disk is written anew.
            journal.handle_due().unwrap();
            if !journal.writer.has_doubts() {
                self.model.make_safe();
            }
        }
        journal
    }

    fn compare_states(&mut self, topics: &[SavedTopic], end: End) {
        for topic in topics {
            assert!(self.model.states.contains_key(&topic.number), "{topic:?} was never there");
            assert_eq!(topic.image.name, image_of(topic.number, 0).name);
        }
        for (number, cell) in &mut self.model.states {
            let topic = topics.iter().find(|topic| topic.number == *number);
            let found = topic.and_then(|topic| state_in(&topic.image));
            let is_allowed = |found: Option<&State>| cell.allows(found, end);
            // With the power any of what is not safe may go and what came later stay, steps without their state too.
            let is_part = |found: &State| {
                let values = || cell.since.iter().filter_map(|(value, _)| value.as_ref()).chain(&cell.safe);
                let known: Vec<u64> = values().flat_map(|state| state.steps.iter().copied()).collect();
                let safe = cell.safe.as_ref().filter(|safe| safe.save == found.save);
                values().any(|state| state.save == found.save)
                    && found.steps.iter().all(|step| known.contains(step))
                    && safe.is_none_or(|safe| safe.steps.iter().all(|step| found.steps.contains(step)))
            };
            let is_right = is_allowed(found.as_ref())
                || end == End::PowerLost && found.as_ref().is_some_and(is_part)
                || self.with_faults && found.as_ref().is_some_and(is_part);
            assert!(is_right, "{number:?} after {end:?}: {found:?}, not {cell:?}");
            cell.settle(found);
        }
    }

    fn compare_batches(&mut self, journal: &mut Journal, topics: &[SavedTopic], end: End) {
        let mut found = BTreeMap::new();
        for topic in topics {
            for summary in &topic.batches {
                let batch = journal.read(topic.number, summary.first).unwrap();
                assert_eq!(
                    journal.index.batch(topic.number, batch.first).unwrap().summary(batch.first),
                    *summary
                );
                found.insert((topic.number, summary.first), batch);
            }
        }
        for (key, cell) in &mut self.model.batches {
            let found = found.remove(key);
            assert!(cell.allows(found.as_ref(), end), "{key:?} after {end:?}: {found:?}, not {cell:?}");
            cell.settle(found);
        }
        assert!(found.is_empty(), "{:?} were never appended", found.keys());
    }

    fn live(&mut self, journal: &mut Journal) -> End {
        for _ in 0..self.random.usize(1..STEPS_MAX) {
            if self.with_faults && self.random.u8(0..20) == 0 {
                let at = self.random.u64(0..4);
                let many = self.random.u64(1..6);
                let kind = if self.random.bool() { io::ErrorKind::StorageFull } else { io::ErrorKind::Other };
                self.disk.fail(at..at + many, kind);
            }
            self.step(journal);
        }
        [End::Stopped, End::Killed, End::PowerLost][self.random.usize(0..3)]
    }

    fn step(&mut self, journal: &mut Journal) {
        let index = self.random.usize(0..self.topics.len());
        let topic = self.topics[index];
        self.serial += 1;
        let operation = match self.random.u8(0..20) {
            0..8 => {
                let first = self.random.u64(0..60);
                let bytes = if self.random.u8(0..50) == 0 { 30_000 } else { self.random.usize(0..900) };
                let batch = suite::batch(first, self.serial as u32, bytes);
                Operation::Append(topic, batch)
            }
            8..12 => Operation::Drop(topic, self.random.u64(0..60)),
            12 => Operation::Save(topic, self.serial),
            13..15 => Operation::Advance(topic, self.serial),
            15 if self.random.u8(0..8) == 0 => {
                self.topics[index] = TopicNumber(self.serial as u32 + 2);
                Operation::Delete(topic)
            }
            15..18 => return self.sync(journal),
            18 => return self.read(journal, topic),
            _ => return self.handle_due(journal),
        };
        self.carry_out(journal, operation);
    }

    fn carry_out(&mut self, journal: &mut Journal, operation: Operation) {
        let topic = match operation {
            Operation::Append(topic, _) | Operation::Advance(topic, _) => Some(topic),
            _ => None,
        };
        // A topic is saved first.
        if let Some(topic) = topic.filter(|topic| !journal.known.contains_key(topic)) {
            self.carry_out(journal, Operation::Save(topic, self.serial));
            self.serial += 1;
        }
        let outcome = match &operation {
            Operation::Append(topic, batch) => journal.append(*topic, batch),
            Operation::Drop(topic, first) => journal.drop_batch(*topic, *first),
            Operation::Save(topic, save) => journal.save(*topic, &image_of(*topic, *save)),
            Operation::Advance(topic, step) => journal.advance(*topic, &progress_of(*step)),
            Operation::Delete(topic) => journal.delete(*topic),
        };
        match outcome {
            Ok(()) => self.group.push(operation),
            Err(LogError::Io(_)) if self.with_faults => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn sync(&mut self, journal: &mut Journal) {
        let outcome = journal.sync();
        assert!(outcome.is_ok() || self.with_faults, "{outcome:?}");
        let group = std::mem::take(&mut self.group);
        let demands_disk = group.iter().any(|operation| match operation {
            Operation::Append(topic, _)
            | Operation::Save(topic, _)
            | Operation::Advance(topic, _)
            | Operation::Delete(topic) => level(*topic) == Durability::Disk,
            Operation::Drop(..) => false,
        });
        for operation in &group {
            self.model.apply(operation, outcome.is_ok());
        }
        if demands_disk && outcome.is_ok() {
            self.model.make_safe();
        }
        // What was not written is asked for again, as the worker does: a topic without a state is none.
        if outcome.is_err() {
            for operation in group {
                if matches!(operation, Operation::Save(..) | Operation::Delete(_)) {
                    self.carry_out(journal, operation);
                }
            }
        }
    }

    fn handle_due(&mut self, journal: &mut Journal) {
        let outcome = journal.handle_due();
        assert!(outcome.is_ok() || self.with_faults, "{outcome:?}");
    }

    fn read(&mut self, journal: &mut Journal, topic: TopicNumber) {
        if !self.group.is_empty() {
            self.sync(journal);
        }
        let first = self.random.u64(0..60);
        let found = match journal.read(topic, first) {
            Ok(batch) => Some(batch),
            Err(LogError::Damaged { .. }) => None,
            Err(LogError::Io(_)) if self.with_faults => return,
            Err(error) => panic!("{error}"),
        };
        let expected = self.model.batches.get(&(topic, first)).and_then(Cell::now);
        assert_eq!(found.as_ref(), expected, "{topic:?} {first}");
    }
}

fn seeds(few: u64) -> Range<u64> {
    let seeds = std::env::var("SIMULATION_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    0..seeds.unwrap_or(few)
}

fn simulate(few: u64, with_faults: bool) {
    for seed in seeds(few) {
        let outcome = std::panic::catch_unwind(|| Simulation::new(seed, with_faults).run());
        assert!(outcome.is_ok(), "failed with seed {seed}");
    }
}

#[test]
fn what_was_acknowledged_outlives_losses_of_power_and_kills() {
    simulate(300, false);
}

#[test]
fn what_was_acknowledged_outlives_errors_of_the_disk_too() {
    simulate(300, true);
}
