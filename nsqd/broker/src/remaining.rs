//! What is still to be delivered of a topic that the disk kept.
//!
//! This is decided here and nowhere else: [`Topic::restore`](crate::Topic::restore) puts it where it belongs, and who only
//! looks into a data directory counts it.

use crate::log::Held;
use crate::storage::{BatchSummary, ChannelImage, Position, TopicImage, contains};

/// What remains of a topic, from its state and the batches that are there.
#[derive(Debug, Clone, Copy)]
pub struct Remaining<'a> {
    image: &'a TopicImage,
    batches: &'a [BatchSummary],
}

/// A message that a channel has, out of the order of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemainingMessage {
    pub(crate) held: Held,
    /// When it is due, in nanoseconds of Unix time; `None`: it is ready.
    pub due_unix_ns: Option<i64>,
}

/// How many messages there are for a channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemainingCount {
    /// Those that are delivered as soon as somebody asks.
    pub ready: u64,
    /// Those that wait for their time.
    pub deferred: u64,
}

impl RemainingMessage {
    /// Where the message stands.
    pub fn position(&self) -> Position {
        self.held.position()
    }

    /// How often it was delivered on the channel.
    pub fn attempts(&self) -> u16 {
        self.held.attempts
    }
}

impl<'a> Remaining<'a> {
    /// What remains of the topic that `image` describes; `batches` are those that are there, by position.
    pub fn new(image: &'a TopicImage, batches: &'a [BatchSummary]) -> Self {
        Self { image, batches }
    }

    /// Whether the topic holds: what no channel has seen waits in it.
    pub fn holds(&self) -> bool {
        self.image.paused || self.image.channels.is_empty() || self.image.expects_channels()
    }

    /// Where in the queue that begins which waits in the topic; `None` where it does not hold.
    pub fn backlog(&self) -> Option<Position> {
        self.holds().then_some(self.image.released)
    }

    /// The deferred messages that wait in the topic: each with its delay in nanoseconds. Where the topic does not hold,
    /// their delays begin with the start.
    pub fn waiting(&self) -> impl Iterator<Item = (Position, u64)> + use<'a> {
        self.held_waiting().map(|(held, delay_ns)| (held.position(), delay_ns))
    }

    pub(crate) fn held_waiting(&self) -> impl Iterator<Item = (Held, u64)> + use<'a> {
        let batches = self.batches;
        let known = self.image.waiting.iter();
        let known =
            known.filter_map(move |waiting| Some((find(batches, waiting.position, 0)?, waiting.delay_ns)));
        let unknown = self.holds().then(|| self.unknown()).into_iter().flatten();
        known.chain(unknown.map(|held| (held, 0)))
    }

    /// Where in the queue the channel goes on: it has everything from there on.
    pub fn cursor(&self, channel: &ChannelImage) -> Position {
        channel.cursor.min(self.image.released)
    }

    /// What the channel has besides that, in the order in which it is delivered.
    pub fn out_of_order(
        &self,
        channel: &'a ChannelImage,
    ) -> impl Iterator<Item = RemainingMessage> + use<'a> {
        let batches = self.batches;
        let message = |held| RemainingMessage { held, due_unix_ns: None };
        let passed = passed_unfinished(channel, batches, self.image.released).map(message);
        let named = channel.unfinished.iter().filter_map(move |message| {
            let held = find(batches, message.position, message.attempts)?;
            Some(RemainingMessage { held, due_unix_ns: message.due_unix_ns })
        });
        let unknown = (!self.holds()).then(|| self.unknown()).into_iter().flatten();
        let unknown = unknown.filter(|held| !contains(&channel.finished, held.position())).map(message);
        passed.chain(named).chain(unknown)
    }

    /// How many messages wait in the topic.
    pub fn count_backlog(&self) -> u64 {
        let Some(backlog) = self.backlog() else { return 0 };
        self.queued(backlog, Position::MAX) + self.waiting().count() as u64
    }

    /// How many messages there are for the channel at this time.
    pub fn count(&self, channel: &ChannelImage, now_unix_ns: i64) -> RemainingCount {
        let behind = self.backlog().unwrap_or(Position::MAX);
        let mut count = RemainingCount { ready: self.queued(self.cursor(channel), behind), deferred: 0 };
        for message in self.out_of_order(channel) {
            match message.due_unix_ns {
                Some(due) if due > now_unix_ns => count.deferred += 1,
                _ => count.ready += 1,
            }
        }
        if !self.holds() {
            for (_, delay_ns) in self.waiting() {
                *(if delay_ns > 0 { &mut count.deferred } else { &mut count.ready }) += 1;
            }
        }
        count
    }

    /// How many messages of the queue stand from one position to another.
    fn queued(&self, from: Position, to: Position) -> u64 {
        let queue = self.batches.iter().filter(|batch| !batch.aside);
        queue.map(|batch| end(batch).min(to).saturating_sub(batch.first.max(from))).sum()
    }

    /// Deferred messages whose delay no image knows: they come at once rather than never.
    fn unknown(&self) -> impl Iterator<Item = Held> + use<'a> {
        let image = self.image;
        self.batches.iter().filter(|batch| batch.aside).flat_map(|batch| behind(batch, image.end))
    }
}

/// The position behind the last message of a batch.
fn end(batch: &BatchSummary) -> Position {
    batch.first.saturating_add(Position::from(batch.count))
}

/// The messages of a batch that stand at `end` or behind it.
fn behind(batch: &BatchSummary, end: Position) -> impl Iterator<Item = Held> + use<> {
    let (batch, count) = (batch.first, batch.count);
    let first = u32::try_from(end.saturating_sub(batch)).unwrap_or(u32::MAX);
    (first..count).map(move |index| Held { batch, index, attempts: 0 })
}

/// What the channel's cursor has passed since its state was saved whole, and nothing more is known of: it was delivered
/// once.
fn passed_unfinished<'a>(
    channel: &'a ChannelImage,
    batches: &'a [BatchSummary],
    released: Position,
) -> impl Iterator<Item = Held> + use<'a> {
    let passed = channel.finished_below.min(released)..channel.cursor.min(released);
    let start = batches.partition_point(|batch| end(batch) <= passed.start);
    let batches = batches[start..].iter().take_while(move |batch| batch.first < passed.end);
    let messages = batches.filter(|batch| !batch.aside).flat_map(move |batch| {
        let positions = passed.start.max(batch.first)..passed.end.min(end(batch));
        let first = batch.first;
        positions.map(move |position| Held { batch: first, index: (position - first) as u32, attempts: 1 })
    });
    messages.filter(|held| {
        let position = held.position();
        let named = channel.unfinished.binary_search_by_key(&position, |message| message.position);
        named.is_err() && !contains(&channel.finished, position)
    })
}

/// Where the message at `position` is, if its batch is there.
fn find(batches: &[BatchSummary], position: Position, attempts: u16) -> Option<Held> {
    let after = batches.partition_point(|batch| batch.first <= position);
    let batch = batches.get(after.checked_sub(1)?)?;
    let index = u32::try_from(position - batch.first).ok().filter(|index| *index < batch.count)?;
    Some(Held { batch: batch.first, index, attempts })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nsq::wire::name::{ChannelName, TopicName};
    use proptest::prelude::*;

    use super::*;
    use crate::storage::{Durability, Unfinished, WaitingDelay, ranges};
    use crate::{Now, Topic, TopicSettings};

    const NOW: Now = Now { monotonic_ns: 1_000, unix_ns: 5_000 };

    fn settings() -> TopicSettings {
        TopicSettings {
            name: TopicName::parse("t").unwrap(),
            node_id: 7,
            durability: Durability::Os,
            chosen_durability: None,
            memory_messages_max: 0,
            channel_consumers_max: 0,
            requeue_on_disconnect: true,
            latency_window: None,
            save_interval: Duration::from_secs(2),
        }
    }

    /// Batches with gaps between them, some aside.
    fn any_batches() -> impl Strategy<Value = Vec<BatchSummary>> {
        prop::collection::vec((0..4u64, 1..6u32, any::<bool>()), 0..8).prop_map(|steps| {
            let mut next = 1;
            let step = |(gap, count, aside): (u64, u32, bool)| {
                let first = next + gap;
                next = first + u64::from(count);
                BatchSummary { first, count, aside, bytes: 100 }
            };
            steps.into_iter().map(step).collect()
        })
    }

    /// A channel's cursor, what is finished below, what was finished, and what is not, with its due time.
    type AnyChannel = (u64, u64, Vec<u64>, Vec<(u64, Option<i64>)>);

    fn any_channel() -> impl Strategy<Value = AnyChannel> {
        let due = proptest::option::of(0..10_000i64);
        (
            0..50u64,
            0..50u64,
            prop::collection::vec(0..50u64, 0..10),
            prop::collection::vec((0..50u64, due), 0..10),
        )
    }

    /// A state that could have been saved: what a channel has in the queue stands before its cursor, and what waits in
    /// the topic is aside.
    fn image(
        batches: &[BatchSummary],
        (end, released, paused): (u64, u64, bool),
        waiting: Vec<u64>,
        channels: Vec<AnyChannel>,
    ) -> TopicImage {
        let is_aside = |position: u64| {
            let is_here = |batch: &BatchSummary| batch.first <= position && position < super::end(batch);
            batches.iter().any(|batch| batch.aside && is_here(batch))
        };
        let released = released.min(end);
        let waiting: Vec<u64> =
            ranges(waiting).into_iter().flatten().filter(|at| *at < end && is_aside(*at)).collect();
        let channel =
            |(number, (cursor, below, finished, unfinished)): (usize, (u64, u64, Vec<_>, Vec<_>))| {
                let cursor = cursor.min(released);
                let finished = ranges(finished);
                let mut unfinished: Vec<Unfinished> = unfinished
                    .into_iter()
                    .filter(
                        |(at, _)| {
                            if is_aside(*at) { *at < end && !waiting.contains(at) } else { *at < cursor }
                        },
                    )
                    .filter(|(at, _)| !contains(&finished, *at))
                    .map(|(position, due_unix_ns)| Unfinished { position, attempts: 2, due_unix_ns })
                    .collect();
                crate::storage::keep_last(&mut unfinished);
                let name = ChannelName::parse(format!("c{number}")).unwrap();
                ChannelImage {
                    name,
                    paused: false,
                    cursor,
                    finished_below: below.min(cursor),
                    finished,
                    unfinished,
                }
            };
        TopicImage {
            name: TopicName::parse("t").unwrap(),
            durability: None,
            paused,
            end,
            released,
            last_id: 0,
            channels: channels.into_iter().enumerate().map(channel).collect(),
            waiting: waiting
                .iter()
                .map(|at| WaitingDelay { position: *at, delay_ns: at % 3 * 1_000 })
                .collect(),
        }
    }

    proptest! {
        #[test]
        fn what_is_counted_is_what_a_restored_topic_has(
            batches in any_batches(),
            state in (0..50u64, 0..50u64, any::<bool>()),
            waiting in prop::collection::vec(0..50u64, 0..5),
            channels in prop::collection::vec(any_channel(), 0..3),
        ) {
            let image = image(&batches, state, waiting, channels);
            let remaining = Remaining::new(&image, &batches);
            let stats = Topic::restore(settings(), NOW, &image, &batches).stats(NOW);
            prop_assert_eq!(remaining.count_backlog(), stats.depth);
            for (channel, stats) in image.channels.iter().zip(&stats.channels) {
                prop_assert_eq!(channel.name, stats.name);
                let found = RemainingCount { ready: stats.depth, deferred: stats.deferred };
                prop_assert_eq!(remaining.count(channel, NOW.unix_ns), found);
            }
        }
    }

    #[test]
    fn what_is_finished_does_not_remain() {
        let batches = [BatchSummary { first: 1, count: 10, aside: false, bytes: 100 }];
        let channel = (6, 1, vec![1, 2], vec![(3, Some(9_000)), (4, None)]);
        let image = image(&batches, (11, 11, false), vec![], vec![channel]);
        let remaining = Remaining::new(&image, &batches);
        let channel = &image.channels[0];
        let found: Vec<_> = remaining
            .out_of_order(channel)
            .map(|message| (message.position(), message.attempts(), message.due_unix_ns))
            .collect();
        assert_eq!(found, [(5, 1, None), (3, 2, Some(9_000)), (4, 2, None)]);
        assert_eq!(remaining.cursor(channel), 6);
        assert_eq!(remaining.count(channel, 8_999), RemainingCount { ready: 7, deferred: 1 });
        assert_eq!(remaining.count(channel, 9_000), RemainingCount { ready: 8, deferred: 0 });
    }
}
