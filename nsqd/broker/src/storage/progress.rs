//! What became of a topic's messages since its state was saved: written often, so it says only what changed.
//!
//! A state lists what is unfinished; progress lists what was finished, because most of it stays so. Between the place up
//! to which the state spoke ([`ChannelImage::finished_below`]) and the cursor, what is not listed is not finished.

use std::ops::Range;

use nsq::wire::name::ChannelName;

use super::{ChannelImage, Position, TopicImage, Unfinished, WaitingDelay};

/// What changed in a topic since its state, or the progress before this one, was saved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// As [`TopicImage::end`]; no position that is named here lies behind it.
    pub end: Position,
    /// As [`TopicImage::released`].
    pub released: Position,
    /// As [`TopicImage::last_id`].
    pub last_id: u64,
    /// Messages that were published with a delay while the topic held.
    pub waiting: Vec<WaitingDelay>,
    /// The channels where something changed. A channel that the state does not know is ignored.
    pub channels: Vec<ChannelProgress>,
}

/// What changed in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelProgress {
    /// The channel's name.
    pub name: ChannelName,
    /// As [`ChannelImage::cursor`].
    pub cursor: Position,
    /// Messages that are finished, in order, without neighbours that could be one.
    pub finished: Vec<Range<Position>>,
    /// Messages whose attempts or due time are others now, by position, each once.
    pub changed: Vec<Unfinished>,
}

impl Progress {
    /// What `earlier` and this say together, this being the later.
    pub fn merge_into(self, earlier: &mut Progress) {
        earlier.end = earlier.end.max(self.end);
        earlier.released = self.released;
        earlier.last_id = earlier.last_id.max(self.last_id);
        earlier.waiting.extend(self.waiting);
        for later in self.channels {
            match earlier.channels.iter_mut().find(|channel| channel.name == later.name) {
                Some(channel) => {
                    channel.cursor = later.cursor;
                    channel.finished = union(std::mem::take(&mut channel.finished), later.finished);
                    channel.changed.extend(later.changed);
                    keep_last(&mut channel.changed);
                }
                None => earlier.channels.push(later),
            }
        }
    }
}

impl TopicImage {
    /// The state after `progress`, which came one after the other.
    pub fn advance(&mut self, progress: impl IntoIterator<Item = Progress>) {
        let mut channels: Vec<ChannelProgress> = Vec::new();
        for step in progress {
            self.end = self.end.max(step.end);
            self.released = step.released;
            self.last_id = self.last_id.max(step.last_id);
            for waiting in step.waiting {
                // A step that failed is taken again, perhaps onto a state that has it.
                let place = self.waiting.binary_search_by_key(&waiting.position, |known| known.position);
                if let Err(index) = place {
                    self.waiting.insert(index, waiting);
                }
            }
            for change in step.channels {
                match channels.iter_mut().find(|channel| channel.name == change.name) {
                    Some(channel) => {
                        channel.cursor = change.cursor;
                        channel.finished.extend(change.finished);
                        channel.changed.extend(change.changed);
                    }
                    None => channels.push(change),
                }
            }
        }
        // Each list is put in order once: there may be thousands of steps.
        for progress in channels {
            if let Some(channel) = self.channels.iter_mut().find(|channel| channel.name == progress.name) {
                channel.advance(progress);
            }
        }
    }
}

impl ChannelImage {
    fn advance(&mut self, progress: ChannelProgress) {
        self.cursor = progress.cursor;
        self.finished = union(std::mem::take(&mut self.finished), progress.finished);
        self.unfinished.extend(progress.changed);
        keep_last(&mut self.unfinished);
        let finished = &self.finished;
        self.unfinished.retain(|message| !contains(finished, message.position));
    }
}

/// Whether ordered ranges contain `position`.
pub fn contains(ranges: &[Range<Position>], position: Position) -> bool {
    let after = ranges.partition_point(|range| range.start <= position);
    after.checked_sub(1).is_some_and(|index| ranges[index].contains(&position))
}

/// The positions, in any order, as ordered ranges without neighbours that could be one.
pub fn ranges(mut positions: Vec<Position>) -> Vec<Range<Position>> {
    positions.sort();
    let mut ranges: Vec<Range<Position>> = Vec::new();
    for position in positions {
        match ranges.last_mut() {
            Some(last) if position < last.end => {}
            Some(last) if position == last.end => last.end += 1,
            _ => ranges.push(position..position + 1),
        }
    }
    ranges
}

/// What is in either, as ordered ranges without neighbours that could be one.
fn union(mut all: Vec<Range<Position>>, others: Vec<Range<Position>>) -> Vec<Range<Position>> {
    all.extend(others);
    all.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<Position>> = Vec::with_capacity(all.len());
    for range in all {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Orders the list by position; of several for one position the last counts.
pub fn keep_last(messages: &mut Vec<Unfinished>) {
    // The sort is stable: those for one position stay in the order in which they came.
    messages.sort_by_key(|message| message.position);
    messages.reverse();
    messages.dedup_by_key(|message| message.position);
    messages.reverse();
}

#[cfg(test)]
mod tests {
    use super::*;
    use nsq::wire::name::TopicName;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn name() -> ChannelName {
        ChannelName::parse("c").unwrap()
    }

    fn message(position: Position, attempts: u16) -> Unfinished {
        Unfinished { position, attempts, due_unix_ns: None }
    }

    fn image(cursor: Position, unfinished: Vec<Unfinished>) -> TopicImage {
        TopicImage {
            name: TopicName::parse("t").unwrap(),
            durability: None,
            paused: false,
            end: 0,
            released: 0,
            last_id: 0,
            waiting: Vec::new(),
            channels: vec![ChannelImage {
                name: name(),
                paused: false,
                cursor,
                finished_below: cursor,
                finished: Vec::new(),
                unfinished,
            }],
        }
    }

    fn step(finished: Vec<Position>, changed: Vec<Unfinished>) -> Progress {
        let mut changed = changed;
        keep_last(&mut changed);
        let channels =
            vec![ChannelProgress { name: name(), cursor: 50, finished: ranges(finished), changed }];
        Progress { end: 100, released: 100, last_id: 7, waiting: Vec::new(), channels }
    }

    #[test]
    fn what_was_finished_is_unfinished_no_more() {
        let mut state = image(10, vec![message(3, 1), message(5, 1)]);
        state.advance([step(vec![3, 12, 11], vec![message(5, 2), message(14, 1)])]);
        assert_eq!(state.channels[0].unfinished, [message(5, 2), message(14, 1)]);
        assert_eq!(state.channels[0].finished, [3..4, 11..13]);
        assert_eq!((state.end, state.released, state.last_id), (100, 100, 7));
        assert_eq!((state.channels[0].finished_below, state.channels[0].cursor), (10, 50));
    }

    #[test]
    fn a_message_finished_in_the_same_step_stays_finished() {
        let mut state = image(0, vec![]);
        state.advance([step(vec![3], vec![message(3, 2)])]);
        assert_eq!(state.channels[0].unfinished, []);
    }

    #[test]
    fn a_channel_that_was_deleted_meanwhile_is_not_brought_back() {
        let mut state = image(0, vec![]);
        state.channels.clear();
        state.advance([step(vec![3], vec![])]);
        assert_eq!(state.channels, []);
    }

    #[test]
    fn a_step_that_is_taken_again_brings_no_delay_twice() {
        let delay = |position| WaitingDelay { position, delay_ns: 1 };
        let again = Progress { waiting: vec![delay(4), delay(6)], ..step(vec![], vec![]) };
        let mut state = TopicImage { waiting: vec![delay(2), delay(6), delay(8)], ..image(0, vec![]) };
        state.advance([again]);
        assert_eq!(state.waiting, [2, 4, 6, 8].map(delay));
    }

    type Steps = Vec<(Vec<Position>, Vec<(Position, u16)>)>;

    fn any_steps() -> impl Strategy<Value = Steps> {
        let positions = prop::collection::vec(0..40u64, 0..12);
        let changed = prop::collection::vec((0..40u64, 1..9u16), 0..12);
        prop::collection::vec((positions, changed), 0..6)
    }

    proptest! {
        #[test]
        fn steps_come_to_the_same_merged_or_one_by_one(steps in any_steps()) {
            let steps: Vec<Progress> = (steps.iter())
                .map(|(finished, changed)| {
                    step(finished.clone(), changed.iter().map(|(at, attempts)| message(*at, *attempts)).collect())
                })
                .collect();
            let mut finished = BTreeSet::new();
            let mut changed = BTreeMap::new();
            for step in &steps {
                let channel = &step.channels[0];
                changed.extend(channel.changed.iter().map(|message| (message.position, *message)));
                finished.extend(channel.finished.iter().cloned().flatten());
            }
            changed.retain(|position, _| !finished.contains(position));

            let mut at_once = image(20, vec![]);
            at_once.advance(steps.clone());
            let mut one_by_one = image(20, vec![]);
            for step in &steps {
                one_by_one.advance([step.clone()]);
            }
            let mut merged = image(20, vec![]);
            merged.advance(steps.into_iter().reduce(|mut all, step| {
                step.merge_into(&mut all);
                all
            }));
            for state in [&at_once, &one_by_one, &merged] {
                let channel = &state.channels[0];
                prop_assert_eq!(&channel.unfinished, &changed.values().copied().collect::<Vec<_>>());
                prop_assert_eq!(&channel.finished, &ranges(finished.iter().copied().collect()));
                for position in 0..50 {
                    prop_assert_eq!(contains(&channel.finished, position), finished.contains(&position));
                }
            }
        }
    }
}
