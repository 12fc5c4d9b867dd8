//! A topic as our store keeps it, from the messages that its channels have: batches, and a state beside them.
//!
//! It knows nothing of files or of where the batches go. It keeps one batch of each kind in memory, and of the rest
//! only what the state will say.

use std::ops::Range;

use bytes::Bytes;
use nsq::wire::message::{MESSAGE_FRAME_HEADER_BYTES, write_message_frame};
use nsq::wire::name::{ChannelName, TopicName};
use nsqd_broker::BATCH_BYTES_MAX;
use nsqd_broker::storage::{
    BatchSummary, ChannelImage, Position, StoredBatch, TopicImage, Unfinished, WaitingDelay,
};

use super::diskqueue::Head;

/// Who has a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holders {
    /// All channels; it is in the queue, and nobody was given it.
    All,
    /// These, by their number; it is in the queue, and nobody was given it.
    Some(Vec<usize>),
    /// These, by their number, with how often it was delivered to each; it is kept aside from the queue.
    Aside(Vec<(usize, u16)>),
}

/// A topic that is being filled.
#[derive(Debug)]
pub(super) struct Layout {
    /// The state before; what is in it stays.
    before: TopicImage,
    /// Whether there are messages before: then no cursor moves, and what channels have is kept aside.
    is_beside: bool,
    channels: Vec<Channel>,
    /// Whether what no channel has been given is to stay so.
    holds: bool,
    /// Where that begins, once all that channels have is there.
    backlog: Option<Position>,
    next: Position,
    /// How many messages the queue has.
    queued: u64,
    queue: Open,
    aside: Open,
    last_id: u64,
}

#[derive(Debug)]
struct Channel {
    /// What the topic's state will say of it.
    image: ChannelImage,
    /// Whether its cursor is where it stays.
    is_settled: bool,
    /// What it has at the end of the queue without a gap; positions in between are kept aside.
    run: Vec<Range<Position>>,
    /// How many messages the queue had with the last of the run.
    run_end: u64,
    /// What it has in the queue before that.
    passed: Vec<Range<Position>>,
}

/// A batch that still grows.
#[derive(Debug, Default)]
struct Open {
    records: Vec<u8>,
    holders: Vec<Holders>,
}

impl Layout {
    /// The topic that is there, or is to be there, as `before` with these batches; with it come `channels`, each
    /// paused or not.
    pub(super) fn new(
        mut before: TopicImage,
        batches: &[BatchSummary],
        channels: impl IntoIterator<Item = (ChannelName, bool)>,
    ) -> Self {
        let behind = |batch: &BatchSummary| batch.first + u64::from(batch.count);
        let next = batches.last().map_or(0, behind).max(before.end);
        let is_beside = !batches.is_empty();
        if !is_beside {
            // What it says of messages is about none.
            before.waiting.clear();
            before.released = before.end;
        }
        // As `Topic::create_channel` has it: the backlog is for new channels too.
        let held = before.paused || before.channels.is_empty() || before.expects_channels();
        let new_cursor = is_beside.then_some(if held { before.released } else { next });
        let mut layout = Self {
            channels: before.channels.iter().map(|channel| Channel::from_image(channel, is_beside)).collect(),
            is_beside,
            holds: false,
            backlog: None,
            next,
            queued: 0,
            queue: Open::default(),
            aside: Open::default(),
            last_id: before.last_id,
            before,
        };
        layout.keep_unknown(batches, held);
        for (name, paused) in channels {
            if layout.channels.iter().all(|channel| channel.image.name != name) {
                layout.channels.push(Channel::new(name, paused, new_cursor));
            }
        }
        layout.holds = layout.before.paused || layout.channels.is_empty();
        layout
    }

    /// Deferred messages that the state does not know, because of a crash, are due at once: as they would be if nothing
    /// had come behind them.
    fn keep_unknown(&mut self, batches: &[BatchSummary], held: bool) {
        let known_end = self.before.end;
        for batch in batches.iter().filter(|batch| batch.aside) {
            for position in batch.first.max(known_end)..batch.first + u64::from(batch.count) {
                if held {
                    self.before.waiting.push(WaitingDelay { position, delay_ns: 0 });
                    continue;
                }
                self.channels.iter_mut().for_each(|channel| channel.has_apart(position, 0));
            }
        }
    }

    /// Where the first message will stand.
    pub(super) fn start(&self) -> Position {
        self.next
    }

    /// The number of a channel.
    pub(super) fn channel(&self, name: ChannelName) -> Option<usize> {
        self.channels.iter().position(|channel| channel.image.name == name)
    }

    /// How many channels there are.
    pub(super) fn channel_count(&self) -> usize {
        self.channels.len()
    }

    /// Whether what channels have must be kept aside.
    pub(super) fn is_beside(&self) -> bool {
        self.is_beside
    }

    /// Adds a message. Returns a batch that is full.
    pub(super) fn push(&mut self, head: &Head, body: &[u8], holders: Holders) -> Option<StoredBatch> {
        // The largest ids are not of this century, and would leave none for what comes.
        if head.id >> 63 == 0 {
            self.last_id = self.last_id.max(head.id);
        }
        let is_aside = matches!(holders, Holders::Aside(_));
        let open = if is_aside { &mut self.aside } else { &mut self.queue };
        let is_full = open.records.len() + MESSAGE_FRAME_HEADER_BYTES + body.len() > BATCH_BYTES_MAX;
        let full = if is_full { self.close(is_aside) } else { None };
        let open = if is_aside { &mut self.aside } else { &mut self.queue };
        // The first delivery is what stands in a batch; how often it was comes from elsewhere.
        write_message_frame(&mut open.records, head.timestamp_ns, 1, &head.id(), body);
        open.holders.push(holders);
        full
    }

    /// What channels have is complete; the messages that no channel has been given follow. Returns a batch that is
    /// full.
    pub(super) fn begin_backlog(&mut self) -> Option<StoredBatch> {
        let full = self.close(false);
        self.backlog = Some(self.next);
        if self.holds {
            self.settle_cursors();
        }
        full
    }

    /// The last batches, and the state that belongs to all of them.
    pub(super) fn finish(mut self) -> (impl Iterator<Item = StoredBatch>, TopicImage) {
        let last = [self.close(false), self.close(true)];
        self.settle_cursors();
        let before = self.before;
        let stays_back = self.holds || before.expects_channels();
        let released = match self.backlog {
            Some(backlog) if stays_back && !self.is_beside => backlog,
            _ if stays_back => before.released,
            _ => self.next,
        };
        let image = TopicImage {
            end: self.next,
            released,
            last_id: self.last_id,
            channels: self.channels.into_iter().map(Channel::into_image).collect(),
            ..before
        };
        (last.into_iter().flatten(), image)
    }

    /// Ends the open batch, and notes what its channels have of it.
    fn close(&mut self, is_aside: bool) -> Option<StoredBatch> {
        let Open { records, holders } =
            std::mem::take(if is_aside { &mut self.aside } else { &mut self.queue });
        let first = self.next;
        let count = u32::try_from(holders.len()).ok().filter(|count| *count > 0)?;
        self.next += u64::from(count);
        for (position, holders) in (first..).zip(holders) {
            match holders {
                Holders::Aside(holders) => {
                    for (channel, attempts) in holders {
                        self.channels[channel].has_apart(position, attempts);
                    }
                }
                Holders::Some(channels) => {
                    self.queued += 1;
                    channels.iter().for_each(|channel| self.channels[*channel].has(position, self.queued));
                }
                Holders::All => {
                    self.queued += 1;
                    self.channels.iter_mut().for_each(|channel| channel.has(position, self.queued));
                }
            }
        }
        Some(StoredBatch { first, count, aside: is_aside, records: Bytes::from(records) })
    }

    fn settle_cursors(&mut self) {
        for channel in &mut self.channels {
            channel.settle(self.queued, self.next);
        }
    }
}

impl Channel {
    fn new(name: ChannelName, paused: bool, cursor: Option<Position>) -> Self {
        let is_settled = cursor.is_some();
        let cursor = cursor.unwrap_or_default();
        let image = ChannelImage {
            name,
            paused,
            cursor,
            finished_below: cursor,
            finished: Vec::new(),
            unfinished: Vec::new(),
        };
        Self { image, is_settled, run: Vec::new(), run_end: 0, passed: Vec::new() }
    }

    /// A channel that was there; with messages it stays as it was.
    fn from_image(image: &ChannelImage, is_beside: bool) -> Self {
        let channel = Self::new(image.name, image.paused, is_beside.then_some(image.cursor));
        if is_beside { Self { image: image.clone(), ..channel } } else { channel }
    }

    /// The channel has the queue's message with this number, counted from 1.
    fn has(&mut self, position: Position, number: u64) {
        if self.is_settled {
            return;
        }
        if self.run_end + 1 != number {
            self.passed.append(&mut self.run);
        }
        self.run_end = number;
        match self.run.last_mut().filter(|range| range.end == position) {
            Some(range) => range.end += 1,
            None => self.run.push(position..position + 1),
        }
    }

    /// The channel has a message apart from the queue, delivered so often, or has passed it.
    fn has_apart(&mut self, position: Position, attempts: u16) {
        self.image.unfinished.push(Unfinished { position, attempts, due_unix_ns: None });
    }

    /// The queue has ended, for this channel, with so many messages.
    fn settle(&mut self, queued: u64, end: Position) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        let reaches_the_end = self.run_end == queued && !self.run.is_empty();
        self.image.cursor = if reaches_the_end { self.run[0].start } else { end };
        self.image.finished_below = self.image.cursor;
        if !reaches_the_end {
            self.passed.append(&mut self.run);
        }
        for position in std::mem::take(&mut self.passed).into_iter().flatten() {
            self.has_apart(position, 0);
        }
    }

    fn into_image(mut self) -> ChannelImage {
        self.image.unfinished.sort_unstable_by_key(|message| message.position);
        self.image
    }
}

/// A topic of which nothing is known but its name.
pub(super) fn new_topic(name: TopicName, paused: bool) -> TopicImage {
    TopicImage {
        name,
        durability: None,
        paused,
        end: 0,
        released: 0,
        last_id: 0,
        waiting: Vec::new(),
        channels: Vec::new(),
    }
}
