//! One topic from v1.3.0's queues into the store.
//!
//! v1.3.0 keeps a copy of each message for every channel, here it is kept once. So the queues of a topic's channels are
//! read side by side, always the oldest message first; the same time stamp and id, size and id are the same message. A
//! queue is never read out of its own order: where the order of one is not that of time, a message may be kept twice,
//! but each channel gets each of its messages once. What no channel had been given comes last, as it would have.

use std::collections::HashSet;
use std::path::Path;

use nsq::wire::name::ChannelName;
use nsqd_broker::storage::{BatchSummary, StoredBatch, TopicImage};

use super::ImportError;
use super::diskqueue::Head;
use super::file_name::Owner;
use super::layout::{Holders, Layout};
use super::plan::QueuePlan;
use super::queue::{QueueReader, Report};
use super::sharing::{Place, Sharing};
use crate::store::{Log, LogError, TopicNumber};

/// How much is written between two syncs, in bytes: what a store may have to keep in memory until then.
const SYNC_BYTES: usize = 32 * 1024 * 1024;

/// The queues of a topic, at their first messages.
pub(super) struct Queues {
    channels: Vec<(ChannelName, QueueReader)>,
    backlog: Option<QueueReader>,
    /// The ids of messages that stand in the backlog, and may also be where a channel was just given them.
    in_backlog: HashSet<u64>,
}

/// Where batches go.
pub(super) struct Target<'a> {
    pub(super) log: &'a mut dyn Log,
    pub(super) number: TopicNumber,
}

/// A topic that is written, but for its state.
pub(super) struct Written {
    pub(super) image: TopicImage,
    pub(super) batches: Vec<BatchSummary>,
    pub(super) reports: Vec<Report>,
}

impl Queues {
    /// Opens the queues of a topic.
    pub(super) fn open<'a>(
        directory: &Path,
        plans: impl IntoIterator<Item = (&'a Owner, &'a QueuePlan)>,
        body_bytes_max: usize,
    ) -> Result<Self, ImportError> {
        let nowhere = HashSet::new();
        let mut queues = Self { channels: Vec::new(), backlog: None, in_backlog: HashSet::new() };
        // The backlog has no name and comes first.
        for (owner, plan) in plans {
            let open =
                |elsewhere: &HashSet<u64>| QueueReader::open(directory, plan, body_bytes_max, elsewhere);
            match owner {
                None => {
                    queues.in_backlog = open(&nowhere)?.first_ids()?;
                    queues.backlog = Some(open(&nowhere)?);
                }
                Some(channel) => queues.channels.push((*channel, open(&queues.in_backlog)?)),
            }
        }
        Ok(queues)
    }

    /// Whether there is no message.
    pub(super) fn are_empty(&self) -> bool {
        let backlog = self.backlog.iter();
        self.channels.iter().map(|(_, queue)| queue).chain(backlog).all(|queue| queue.head().is_none())
    }

    /// The channels that have messages.
    pub(super) fn channels(&self) -> impl Iterator<Item = ChannelName> {
        self.channels.iter().filter(|(_, queue)| queue.head().is_some()).map(|(name, _)| *name)
    }

    /// What became of the files of queues that are empty.
    pub(super) fn into_reports(self) -> Vec<Report> {
        let backlog = self.backlog.into_iter();
        self.channels
            .into_iter()
            .map(|(_, queue)| queue)
            .chain(backlog)
            .flat_map(QueueReader::into_reports)
            .collect()
    }

    /// Reads everything and writes it. It is safe from a crash when this returns.
    pub(super) fn write(mut self, mut layout: Layout, target: Target<'_>) -> Result<Written, ImportError> {
        let mut sink = Sink { target, batches: Vec::new(), unsynced_bytes: 0 };
        self.write_channels(&mut layout, &mut sink)?;
        sink.append(layout.begin_backlog())?;
        let mut body = Vec::new();
        if let Some(backlog) = &mut self.backlog {
            let nowhere = HashSet::new();
            while let Some(head) = backlog.head() {
                backlog.read_body(&mut body)?;
                sink.append(layout.push(&head, &body, Holders::All))?;
                backlog.advance(&nowhere)?;
            }
        }
        let (last, image) = layout.finish();
        for batch in last {
            sink.append(Some(batch))?;
        }
        sink.sync()?;
        Ok(Written { image, batches: sink.batches, reports: self.into_reports() })
    }

    fn write_channels(&mut self, layout: &mut Layout, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let mut queues: Vec<(usize, &mut QueueReader)> = (self.channels.iter_mut())
            .filter_map(|(name, queue)| Some((layout.channel(*name)?, queue)))
            .collect();
        queues.sort_unstable_by_key(|(channel, _)| *channel);
        let mut sharing = Sharing::new(layout.channel_count());
        let mut body = Vec::new();
        loop {
            let heads = queues.iter().filter_map(|(_, queue)| queue.head());
            let Some(oldest) = heads.min_by_key(Head::key) else { return Ok(()) };
            let has_it = |queue: &QueueReader| queue.head().filter(|head| head.key() == oldest.key());
            let holders: Vec<(usize, u16)> = (queues.iter())
                .filter_map(|(channel, queue)| Some((*channel, has_it(queue)?.attempts)))
                .collect();
            let mut is_read = false;
            for (_, queue) in queues.iter_mut().filter(|(_, queue)| has_it(queue).is_some()) {
                if !std::mem::replace(&mut is_read, true) {
                    queue.read_body(&mut body)?;
                }
                queue.advance(&self.in_backlog)?;
            }
            let holders = placed(holders, layout, &mut sharing);
            sink.append(layout.push(&oldest, &body, holders))?;
        }
    }
}

/// How channels have a message that was delivered to each of them so often.
fn placed(holders: Vec<(usize, u16)>, layout: &Layout, sharing: &mut Sharing) -> Holders {
    let was_delivered = holders.iter().any(|(_, attempts)| *attempts > 0);
    if was_delivered || layout.is_beside() {
        return Holders::Aside(holders);
    }
    let channels: Vec<usize> = holders.iter().map(|(channel, _)| *channel).collect();
    match sharing.place(&channels) {
        Place::Aside => Holders::Aside(holders),
        Place::Queue if channels.len() == layout.channel_count() => Holders::All,
        Place::Queue => Holders::Some(channels),
    }
}

/// The store, as batches go there.
struct Sink<'a> {
    target: Target<'a>,
    batches: Vec<BatchSummary>,
    unsynced_bytes: usize,
}

impl Sink<'_> {
    fn append(&mut self, batch: Option<StoredBatch>) -> Result<(), LogError> {
        let Some(batch) = batch else { return Ok(()) };
        self.target.log.append(self.target.number, &batch)?;
        let StoredBatch { first, count, aside, records } = batch;
        self.batches.push(BatchSummary { first, count, aside, bytes: records.len() as u64 });
        self.unsynced_bytes += records.len();
        if self.unsynced_bytes >= SYNC_BYTES {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.unsynced_bytes = 0;
        self.target.log.sync()
    }
}
