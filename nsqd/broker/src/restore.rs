//! A topic from what the disk kept of it.

use crate::remaining::Remaining;
use crate::storage::{BatchSummary, TopicImage};
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
        let remaining = Remaining::new(image, batches);
        for (held, delay_ns) in remaining.held_waiting() {
            topic.log.hold(held.batch, 1);
            topic.restore_waiting(held, delay_ns);
        }
        for channel in &image.channels {
            let cursor = topic.log.read_from_position(remaining.cursor(channel));
            let start = topic.log_ordinal_released();
            let key = topic.insert_channel(now, channel.name, cursor, start);
            topic.channel_mut(key).paused = channel.paused;
            for message in remaining.out_of_order(channel) {
                topic.log.hold(message.held.batch, 1);
                topic.channel_mut(key).restore(message.held, message.due_unix_ns, now);
            }
        }
        topic.restore_expectation(image.expects_channels());
        topic.hold_or_release(now);
        topic.log.forget_unneeded();
        topic.restored(now);
        topic
    }
}
