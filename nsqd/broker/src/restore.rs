//! A topic from what the disk kept of it.

use crate::log::Held;
use crate::storage::{BatchSummary, ChannelImage, Position, TopicImage, contains};
use crate::time::Now;
use crate::topic::{Topic, TopicSettings};

impl Topic {
    /// The topic as it was when `image` was saved, with the batches that are on the disk now.
    ///
    /// After a clean stop they fit. After a crash, batches may be missing (what was only in memory) and batches may be
    /// there that the image does not know: nothing of those is lost, and what they hold may come again.
    pub fn restore(settings: TopicSettings, now: Now, image: &TopicImage, batches: &[BatchSummary]) -> Self {
        let mut topic = Topic::new(settings);
        for batch in batches {
            topic.log.restore(*batch);
        }
        topic.log.restore_end(image.end);
        topic.restore_ids(image.last_id);
        topic.restore_paused(image.paused);
        topic.restore_backlog(image.released);
        for waiting in &image.waiting {
            if let Some(held) = find(batches, waiting.position, 0) {
                topic.log.hold(held.batch, 1);
                topic.restore_waiting(held, waiting.delay_ns);
            }
        }
        // Deferred messages whose delay no image knows: they come at once rather than never.
        let unknown =
            || (batches.iter().filter(|batch| batch.aside)).flat_map(|batch| behind(batch, image.end));
        let holds = image.paused || image.channels.is_empty() || image.expects_channels();
        if holds {
            for held in unknown() {
                topic.log.hold(held.batch, 1);
                topic.restore_waiting(held, 0);
            }
        }
        for channel in &image.channels {
            let cursor = topic.log.read_from_position(channel.cursor.min(image.released));
            let start = topic.log_ordinal_released();
            let key = topic.insert_channel(now, channel.name, cursor, start);
            topic.channel_mut(key).paused = channel.paused;
            for held in passed_unfinished(channel, batches, image.released) {
                topic.log.hold(held.batch, 1);
                topic.channel_mut(key).restore(held, None, now);
            }
            for message in &channel.unfinished {
                if let Some(held) = find(batches, message.position, message.attempts) {
                    topic.log.hold(held.batch, 1);
                    topic.channel_mut(key).restore(held, message.due_unix_ns, now);
                }
            }
            let is_finished = |held: &Held| contains(&channel.finished, held.position());
            for held in unknown().filter(|held| !holds && !is_finished(held)) {
                topic.log.hold(held.batch, 1);
                topic.channel_mut(key).restore(held, None, now);
            }
        }
        topic.restore_expectation(image.expects_channels());
        topic.hold_or_release(now);
        topic.log.forget_unneeded();
        topic.restored(now);
        topic
    }
}

/// The messages of a batch that stand at `end` or behind it.
fn behind(batch: &BatchSummary, end: Position) -> impl Iterator<Item = Held> + use<> {
    let (batch, count) = (batch.first, batch.count);
    let first = u32::try_from(end.saturating_sub(batch)).unwrap_or(u32::MAX);
    (first..count).map(move |index| Held { batch, index, attempts: 0 })
}

/// What the channel's cursor has passed since its state was saved whole, and nothing more is known of: it was delivered
/// once.
fn passed_unfinished(
    channel: &ChannelImage,
    batches: &[BatchSummary],
    released: Position,
) -> impl Iterator<Item = Held> {
    let passed = channel.finished_below.min(released)..channel.cursor.min(released);
    let start = batches.partition_point(|batch| batch.first + Position::from(batch.count) <= passed.start);
    let batches = batches[start..].iter().take_while(move |batch| batch.first < passed.end);
    let range = passed.clone();
    let messages = batches.filter(|batch| !batch.aside).flat_map(move |batch| {
        let (batch, end) = (batch.first, batch.first + Position::from(batch.count));
        let positions = range.start.max(batch)..range.end.min(end);
        positions.map(move |position| Held { batch, index: (position - batch) as u32, attempts: 1 })
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
