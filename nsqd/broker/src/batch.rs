//! Batches: message frames exactly as they go out to consumers, back to back.
//!
//! One form serves memory, disk and wire. A message is copied once when it is published (into its batch; once more
//! where a small publish joins the batch that is still open) and once when it is delivered (into the consumer's
//! outbox); in between only positions move.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nsq::wire::message::{MESSAGE_FRAME_HEADER_BYTES, MESSAGE_HEADER_BYTES, MessageId};
use smallvec::SmallVec;

/// A batch is closed when the next message would make it longer than this, in bytes. A longer message
/// has a batch of its own. (About 16 KiB is what the spill stores best: docs/decisions.)
pub const BATCH_BYTES_MAX: usize = 16 * 1024;

const FRAME_TYPE_MESSAGE: [u8; 4] = 2_i32.to_be_bytes();
const TIMESTAMP_AT: usize = 8;
const ATTEMPTS_AT: usize = 16;
const ID_AT: usize = 18;

/// Message frames, back to back, and where each ends.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    bytes: Buffer,
    /// Where each frame ends in `bytes`; its length is the number of messages.
    ends: SmallVec<[u32; 4]>,
}

#[derive(Debug, Clone)]
enum Buffer {
    /// Grows at its end.
    Open(BytesMut),
    /// Never changes again, and is shared with whoever writes or sends it.
    Closed(Bytes),
}

/// One message frame of a batch, to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    /// The whole frame, with attempts 1.
    pub(crate) frame: &'a [u8],
}

impl Record<'_> {
    pub(crate) fn id(&self) -> MessageId {
        MessageId(self.frame[ID_AT..ID_AT + 16].try_into().expect("sixteen bytes"))
    }

    /// When the message was published, in nanoseconds of Unix time.
    pub(crate) fn timestamp_ns(&self) -> i64 {
        i64::from_be_bytes(self.frame[TIMESTAMP_AT..TIMESTAMP_AT + 8].try_into().expect("eight bytes"))
    }
}

/// Writes `attempts` into the header of a message frame.
pub(crate) fn set_attempts(frame: &mut [u8], attempts: u16) {
    frame[ATTEMPTS_AT..ATTEMPTS_AT + 2].copy_from_slice(&attempts.to_be_bytes());
}

impl Records {
    fn with_capacity(bytes: usize, messages: usize) -> Self {
        Self { bytes: Buffer::Open(BytesMut::with_capacity(bytes)), ends: SmallVec::with_capacity(messages) }
    }

    /// The frames in `bytes`; `None` if they are not `count` whole message frames.
    pub(crate) fn parse(bytes: Bytes, count: u32) -> Option<Self> {
        let mut ends = SmallVec::with_capacity(count as usize);
        let mut at = 0;
        while at < bytes.len() {
            let size = i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?);
            let size = usize::try_from(size).ok()?;
            let end = at.checked_add(4)?.checked_add(size)?;
            if size < 4 + MESSAGE_HEADER_BYTES || bytes.get(at + 4..at + 8)? != FRAME_TYPE_MESSAGE {
                return None;
            }
            bytes.get(at..end)?;
            ends.push(u32::try_from(end).ok()?);
            at = end;
        }
        (ends.len() == count as usize).then_some(Self { bytes: Buffer::Closed(bytes), ends })
    }

    pub(crate) fn count(&self) -> u32 {
        self.ends.len() as u32
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Buffer::Open(bytes) => bytes,
            Buffer::Closed(bytes) => bytes,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.bytes, Buffer::Closed(_))
    }

    /// Whether `other` may be appended: this is not closed, and the whole is a batch of ordinary length.
    pub(crate) fn has_room_for(&self, other: &Records, messages_max: u32) -> bool {
        !self.is_closed()
            && self.bytes().len() + other.bytes().len() <= BATCH_BYTES_MAX
            && self.ends.len() + other.ends.len() <= messages_max as usize
    }

    /// The message with number `index` in this batch.
    pub(crate) fn record(&self, index: u32) -> Record<'_> {
        let index = index as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        Record { frame: &self.bytes()[start..self.ends[index] as usize] }
    }

    /// When the first message was published.
    pub(crate) fn first_timestamp_ns(&self) -> Option<i64> {
        (!self.ends.is_empty()).then(|| self.record(0).timestamp_ns())
    }

    fn push(&mut self, body: &[u8]) {
        let Buffer::Open(bytes) = &mut self.bytes else { unreachable!("only an open batch grows") };
        bytes.reserve(MESSAGE_FRAME_HEADER_BYTES + body.len());
        let size = (4 + MESSAGE_HEADER_BYTES + body.len()) as i32;
        let mut header = [0; MESSAGE_FRAME_HEADER_BYTES];
        header[..4].copy_from_slice(&size.to_be_bytes());
        header[4..8].copy_from_slice(&FRAME_TYPE_MESSAGE);
        set_attempts(&mut header, 1);
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(body);
        self.ends.push(bytes.len() as u32);
    }

    /// Keeps the first `count` messages, if there are more.
    pub(crate) fn truncate(&mut self, count: u32) {
        let Buffer::Open(bytes) = &mut self.bytes else { unreachable!("only a new batch is cut") };
        self.ends.truncate(count as usize);
        bytes.truncate(self.ends.last().map_or(0, |end| *end as usize));
    }

    /// Gives every message its time stamp and an id from `next_id`.
    pub(crate) fn stamp(&mut self, timestamp_ns: i64, mut next_id: impl FnMut() -> u64) {
        let Buffer::Open(bytes) = &mut self.bytes else { unreachable!("only a new batch is stamped") };
        let mut start = 0;
        for end in &self.ends {
            let frame = &mut bytes[start..*end as usize];
            frame[TIMESTAMP_AT..TIMESTAMP_AT + 8].copy_from_slice(&timestamp_ns.to_be_bytes());
            frame[ID_AT..ID_AT + 16].copy_from_slice(&MessageId::from_u64(next_id()).0);
            start = *end as usize;
        }
    }

    /// Appends the messages of `other`, for which there is room.
    pub(crate) fn extend(&mut self, other: &Records) {
        let Buffer::Open(bytes) = &mut self.bytes else { unreachable!("only an open batch grows") };
        let base = bytes.len() as u32;
        bytes.extend_from_slice(other.bytes());
        self.ends.extend(other.ends.iter().map(|end| base + end));
    }

    /// No message is added any more. What the buffer held in reserve is given back where it is worth it.
    pub(crate) fn close(&mut self) {
        if let Buffer::Open(bytes) = &mut self.bytes {
            let wasteful = bytes.capacity() > bytes.len() + bytes.len() / 4 + 64;
            let closed =
                if wasteful { Bytes::copy_from_slice(bytes) } else { std::mem::take(bytes).freeze() };
            self.bytes = Buffer::Closed(closed);
            self.ends.shrink_to_fit();
        }
    }

    /// The closed batch's bytes, shared.
    pub(crate) fn share(&mut self) -> Bytes {
        self.close();
        match &self.bytes {
            Buffer::Closed(bytes) => bytes.clone(),
            Buffer::Open(_) => unreachable!("it was closed above"),
        }
    }
}

/// The messages of one publish (or of many, gathered), already in the form of batches.
///
/// Made before the topic is locked: under the lock the messages only get their ids and their place.
#[derive(Debug)]
pub struct Publication {
    batches: SmallVec<[Records; 1]>,
    /// How long after channels see it each message is due; empty where none is deferred.
    delays: Vec<Duration>,
    batch_messages_max: u32,
    count: u32,
    body_bytes: u64,
}

/// How many messages a batch may hold in a topic that keeps `memory_messages_max` in memory.
///
/// Whole batches go to the disk, so they are small where memory is. Without memory every batch goes there, and
/// only its bytes count.
pub(crate) fn batch_messages_max(memory_messages_max: u64) -> u32 {
    match memory_messages_max {
        0 => u32::MAX,
        messages => u32::try_from(messages / 8).unwrap_or(u32::MAX).max(1),
    }
}

impl Publication {
    /// No message yet, for a topic that keeps `memory_messages_max` waiting messages in memory.
    pub fn new(memory_messages_max: u64) -> Self {
        Self {
            batches: SmallVec::new(),
            delays: Vec::new(),
            batch_messages_max: batch_messages_max(memory_messages_max),
            count: 0,
            body_bytes: 0,
        }
    }

    /// Adds a message. `more_bytes` is a guess of what is still to come after it, in bytes of bodies; it
    /// saves growing step by step and may be 0.
    pub fn push(&mut self, body: &[u8], more_bytes: usize) {
        let frame_bytes = MESSAGE_FRAME_HEADER_BYTES + body.len();
        let fits = self.batches.last().is_some_and(|batch| {
            batch.bytes().len() + frame_bytes <= BATCH_BYTES_MAX && batch.count() < self.batch_messages_max
        });
        if !fits {
            let guess = (frame_bytes + more_bytes + more_bytes / 4).min(BATCH_BYTES_MAX).max(frame_bytes);
            // As many as are like this one.
            let messages = (guess / frame_bytes).min(self.batch_messages_max as usize);
            self.batches.push(Records::with_capacity(guess, messages));
        }
        self.batches.last_mut().expect("one was pushed if there was none with room").push(body);
        self.count += 1;
        self.body_bytes += body.len() as u64;
    }

    /// Adds a message that is due after `delay`, which is not zero. All messages of a publication are deferred, or none is.
    pub fn push_deferred(&mut self, body: &[u8], more_bytes: usize, delay: Duration) {
        debug_assert!(!delay.is_zero() && self.delays.len() == self.count as usize);
        self.push(body, more_bytes);
        self.delays.push(delay);
    }

    /// Whether its messages are deferred.
    pub fn is_deferred(&self) -> bool {
        !self.delays.is_empty()
    }

    /// How many messages it holds.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether it holds no message.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How long the bodies are in all, in bytes.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// How long the message frames are in all, in bytes.
    pub(crate) fn frame_bytes(&self) -> u64 {
        self.body_bytes + u64::from(self.count) * MESSAGE_FRAME_HEADER_BYTES as u64
    }

    /// The batches, and the delays of all their messages if these are deferred.
    pub(crate) fn into_parts(self) -> (SmallVec<[Records; 1]>, Vec<Duration>) {
        (self.batches, self.delays)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_is_cut_into_batches_and_comes_back_from_its_bytes() {
        let bodies: Vec<Vec<u8>> = (0..300_usize).map(|n| vec![n as u8; n * 3 + 1]).collect();
        let mut publication = Publication::new(u64::MAX);
        for body in &bodies {
            publication.push(body, 0);
        }
        publication.push(&[7; BATCH_BYTES_MAX], 0);
        assert_eq!(publication.count(), 301);
        let mut found = Vec::new();
        for mut batch in publication.into_parts().0 {
            let mut id = 0;
            batch.stamp(17, || {
                id += 1;
                id
            });
            assert!(batch.count() == 1 || batch.bytes().len() <= BATCH_BYTES_MAX);
            let count = batch.count();
            let again = Records::parse(batch.share(), count).unwrap();
            for index in 0..count {
                let record = again.record(index);
                assert_eq!(record.timestamp_ns(), 17);
                assert_eq!(record.id(), MessageId::from_u64(u64::from(index) + 1));
                found.push(record.frame[MESSAGE_FRAME_HEADER_BYTES..].to_vec());
            }
        }
        assert_eq!(found[..300], bodies[..]);
        assert_eq!(found[300].len(), BATCH_BYTES_MAX);
    }

    #[test]
    fn what_is_not_a_batch_is_refused() {
        let mut publication = Publication::new(u64::MAX);
        publication.push(b"one", 0);
        publication.push(b"two", 0);
        let good = publication.into_parts().0.remove(0).share();
        assert!(Records::parse(good.clone(), 2).is_some());
        assert!(Records::parse(good.clone(), 1).is_none());
        assert!(Records::parse(good.slice(..good.len() - 1), 2).is_none());
        for at in [0, 3, 7] {
            let mut bad = good.to_vec();
            bad[at] ^= 0x41;
            assert!(Records::parse(bad.into(), 2).is_none(), "byte {at}");
        }
    }
}
