//! What a topic asks of the disk, and what it is told.
//!
//! The broker never waits for a disk. A topic puts [`Request`]s out (`poll_store`), somebody carries them
//! out in the order in which they came, and the outcome comes back as [`Event`]s (`handle_store`).

mod progress;

use std::ops::Range;

use bytes::Bytes;
use nsq::wire::name::{ChannelName, TopicName};

pub use progress::{ChannelProgress, Progress, contains, keep_last, ranges};

/// What the acknowledgement of a publish promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Durability {
    /// The message is in memory, or on its way to the disk where memory is full. It outlives an orderly stop.
    Memory,
    /// The message was handed to the operating system: it outlives the process, however that ends.
    Os,
    /// The message is on the disk: it outlives a loss of power.
    Disk,
}

impl Durability {
    /// The level of that name: `memory`, `os` or `disk`.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Memory, Self::Os, Self::Disk].into_iter().find(|level| level.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Os => "os",
            Self::Disk => "disk",
        }
    }

    /// Whether an acknowledgement waits for the log.
    pub fn is_durable(self) -> bool {
        self != Self::Memory
    }
}

impl std::fmt::Display for Durability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a message stands in its topic's log. Positions only grow; after a crash some may be missing.
pub type Position = u64;

/// A batch as it is stored: message frames exactly as they go out to consumers, back to back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBatch {
    /// The position of the batch's first message; the others follow without a gap.
    pub first: Position,
    /// How many messages the batch holds; never zero.
    pub count: u32,
    /// Whether these are deferred messages: no cursor meets them, each is due at its own time.
    pub aside: bool,
    /// The message frames: `count` times size, type, time stamp, attempts, id, body.
    pub records: Bytes,
}

/// What is known of a stored batch without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSummary {
    /// The position of the batch's first message.
    pub first: Position,
    /// How many messages it holds.
    pub count: u32,
    /// As [`StoredBatch::aside`].
    pub aside: bool,
    /// How long its records are, in bytes.
    pub bytes: u64,
}

/// One thing to be done on the disk for a topic. The requests of a topic are carried out in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Keep this batch. Answered by [`Event::Appended`] once a crash of the process cannot lose it,
    /// or by [`Event::AppendFailed`].
    Append(StoredBatch),
    /// Bring this batch back to memory. Answered by [`Event::Read`], [`Event::Lost`] or [`Event::ReadFailed`].
    Read {
        /// The position of the batch's first message.
        first: Position,
    },
    /// Forget this batch: every channel has finished all its messages. Not answered.
    Drop {
        /// The position of the batch's first message.
        first: Position,
    },
    /// Keep this state instead of the one kept before, and of the progress since. Not answered.
    Save(TopicImage),
    /// Keep this beside the state saved last. Not answered.
    Advance(Progress),
    /// Forget the topic, its batches and its state. The last request of a topic. Not answered.
    Delete,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The batch is on the disk.
    Appended {
        /// The position of the batch's first message.
        first: Position,
    },
    /// The batch is not on the disk; it may be asked for again.
    AppendFailed {
        /// The position of the batch's first message.
        first: Position,
    },
    /// The batch, as it was appended.
    Read(StoredBatch),
    /// The disk could not be read just now; it may be asked for again. This never condemns the data.
    ReadFailed {
        /// The position of the batch's first message.
        first: Position,
    },
    /// The batch is damaged and was set aside; its messages are lost.
    Lost {
        /// The position of the batch's first message.
        first: Position,
    },
}

/// What a topic is besides the messages in its log: enough to go on after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicImage {
    /// The topic's name.
    pub name: TopicName,
    /// What was chosen for this topic; `None`: what the daemon's flags say.
    pub durability: Option<Durability>,
    /// Whether the topic is paused.
    pub paused: bool,
    /// The position behind the newest message.
    pub end: Position,
    /// The position up to which channels may see messages.
    pub released: Position,
    /// The largest message id given so far, as a number.
    pub last_id: u64,
    /// Messages that wait in the topic with a delay that has not begun.
    pub waiting: Vec<WaitingDelay>,
    /// The channels.
    pub channels: Vec<ChannelImage>,
}

impl TopicImage {
    /// Whether the topic held for channels that might come: it is the one reason left for holding that is not saved
    /// itself.
    pub fn expects_channels(&self) -> bool {
        !self.paused && !self.channels.is_empty() && (self.released < self.end || !self.waiting.is_empty())
    }
}

/// A deferred message that no channel has seen yet: its delay begins when it is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingDelay {
    /// Where the message stands.
    pub position: Position,
    /// The delay in nanoseconds.
    pub delay_ns: u64,
}

/// What a channel is: a cursor, and the messages before it that are not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelImage {
    /// The channel's name.
    pub name: ChannelName,
    /// Whether the channel is paused.
    pub paused: bool,
    /// The position of the next message that was never delivered here.
    pub cursor: Position,
    /// Messages before this position are finished unless `unfinished` names them; from here to the cursor only those are
    /// that `finished` names. The cursor itself where the state was saved whole.
    pub finished_below: Position,
    /// What was finished since the state was saved whole, here and aside from the queue: ordered ranges.
    pub finished: Vec<Range<Position>>,
    /// Messages before the cursor, or aside from the queue, that are not finished, by position.
    pub unfinished: Vec<Unfinished>,
}

/// A message that a channel has passed and not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfinished {
    /// Where the message stands.
    pub position: Position,
    /// How often it was delivered on this channel.
    pub attempts: u16,
    /// When it is due, in nanoseconds of Unix time; `None`: it is ready.
    pub due_unix_ns: Option<i64>,
}
