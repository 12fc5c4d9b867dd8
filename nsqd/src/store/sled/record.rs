//! The keys and the small values in a database.
//!
//! | tree | key | value |
//! | --- | --- | --- |
//! | `batches` | topic, first position | [`BatchEntry`] |
//! | `topics` | topic | [`TopicEntry`] |
//! | `topics` | topic, chunk number | up to [`PART_BYTES_MAX`] bytes of the topic's state |
//!
//! Numbers are big-endian, so that keys sort like what they name. A batch is there exactly when it has an
//! entry; its records are written before it (`bodies`).

use std::ops::Range;

use nsq::wire::name::TopicName;
use nsqd_broker::storage::{BatchSummary, Position, TopicImage};

use crate::store::segments::record::{HEADER_BYTES, Location};
use crate::store::{TopicNumber, image};

/// The longest value in bytes: sled keeps and writes whole leaves, of many values; see also
/// [`SEGMENT_BYTES`](super::database::SEGMENT_BYTES).
pub(super) const PART_BYTES_MAX: usize = 8 * 1024;

pub(super) fn topic_key(topic: TopicNumber) -> [u8; 4] {
    topic.0.to_be_bytes()
}

pub(super) fn chunk_key(topic: TopicNumber, chunk: u32) -> [u8; 8] {
    join(topic_key(topic), chunk.to_be_bytes())
}

pub(super) fn batch_key(topic: TopicNumber, first: Position) -> [u8; 12] {
    join(topic_key(topic), first.to_be_bytes())
}

pub(super) fn parse_topic_key(key: &[u8]) -> Option<TopicNumber> {
    Some(TopicNumber(u32::from_be_bytes(key.get(..4)?.try_into().ok()?)))
}

pub(super) fn parse_batch_key(key: &[u8]) -> Option<(TopicNumber, Position)> {
    let first = key.get(4..)?.try_into().ok()?;
    Some((parse_topic_key(key)?, Position::from_be_bytes(first)))
}

fn join<const A: usize, const B: usize, const SUM: usize>(a: [u8; A], b: [u8; B]) -> [u8; SUM] {
    const { assert!(A + B == SUM) };
    let mut sum = [0; SUM];
    sum[..A].copy_from_slice(&a);
    sum[A..].copy_from_slice(&b);
    sum
}

/// Cuts `bytes` into parts of about the same size; none is longer than [`PART_BYTES_MAX`].
pub(super) fn cut(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let parts = bytes.len().div_ceil(PART_BYTES_MAX).max(1);
    bytes.chunks(bytes.len().div_ceil(parts).max(1))
}

/// What is known of a batch without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchEntry {
    pub(super) count: u32,
    pub(super) bytes: u64,
    /// Whether the messages are deferred ones.
    pub(super) aside: bool,
    /// Where the records are.
    pub(super) location: Location,
}

impl BatchEntry {
    /// The entry as it is stored under `key`; a checksum over both ends it.
    pub(super) fn encode(&self, key: &[u8]) -> Vec<u8> {
        let mut value = Vec::with_capacity(29);
        value.extend_from_slice(&self.count.to_be_bytes());
        value.extend_from_slice(&self.bytes.to_be_bytes());
        value.extend_from_slice(&self.location.segment.to_be_bytes());
        value.extend_from_slice(&self.location.offset.to_be_bytes());
        value.push(u8::from(self.aside));
        seal(key, value)
    }

    /// `None`: it is damaged.
    pub(super) fn decode(key: &[u8], value: &[u8]) -> Option<Self> {
        let value = unseal(key, value)?;
        let (count, rest) = value.split_first_chunk()?;
        let (bytes, rest) = rest.split_first_chunk()?;
        let (segment, rest) = rest.split_first_chunk()?;
        let (offset, aside) = rest.split_first_chunk()?;
        Some(Self {
            count: u32::from_be_bytes(*count),
            bytes: u64::from_be_bytes(*bytes),
            aside: aside == [1],
            location: Location { segment: u32::from_be_bytes(*segment), offset: u64::from_be_bytes(*offset) },
        })
    }

    /// Where the record is in its file, if the topic has this name.
    pub(super) fn range(&self, name: Option<&TopicName>) -> Range<u64> {
        let before = HEADER_BYTES + size_of::<Position>() + 1 + name.map_or(0, |name| name.as_bytes().len());
        self.location.offset..self.location.offset + before as u64 + self.bytes
    }

    pub(super) fn summary(&self, first: Position) -> BatchSummary {
        BatchSummary { first, count: self.count, aside: self.aside, bytes: self.bytes }
    }
}

/// What a topic must not lose when its state cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TopicEntry {
    pub(super) name: TopicName,
    pub(super) end: Position,
    pub(super) last_id: u64,
}

impl TopicEntry {
    /// The topic's state, as far as this entry and the topic's batches tell.
    pub(super) fn recall(&self, batches: &[BatchSummary]) -> TopicImage {
        image::recall(self.name, self.end, self.last_id, batches)
    }

    pub(super) fn encode(&self, key: &[u8]) -> Vec<u8> {
        let mut value = Vec::with_capacity(20 + self.name.as_bytes().len());
        value.extend_from_slice(&self.end.to_be_bytes());
        value.extend_from_slice(&self.last_id.to_be_bytes());
        value.extend_from_slice(self.name.as_bytes());
        seal(key, value)
    }

    /// `None`: it is damaged.
    pub(super) fn decode(key: &[u8], value: &[u8]) -> Option<Self> {
        let value = unseal(key, value)?;
        let (end, rest) = value.split_first_chunk()?;
        let (last_id, name) = rest.split_first_chunk()?;
        Some(Self {
            name: TopicName::parse(name)?,
            end: Position::from_be_bytes(*end),
            last_id: u64::from_be_bytes(*last_id),
        })
    }
}

/// Appends the CRC-32 of key and value.
pub(super) fn seal(key: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    let checksum = checksum(key, &value);
    value.extend_from_slice(&checksum.to_be_bytes());
    value
}

/// What [`seal`] was given; `None` where the checksum is another.
pub(super) fn unseal<'a>(key: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let (value, found) = value.split_last_chunk()?;
    (u32::from_be_bytes(*found) == checksum(key, value)).then_some(value)
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_like_what_they_name() {
        let key = |topic, first| batch_key(TopicNumber(topic), first);
        let sorted = [key(0, 0), key(0, 255), key(0, 256), key(1, 0), key(256, 0)];
        assert!(sorted.is_sorted());
        assert_eq!(parse_batch_key(&batch_key(TopicNumber(7), 9)), Some((TopicNumber(7), 9)));
        assert_eq!(parse_batch_key(b"short"), None);
    }

    #[test]
    fn parts_are_even_and_never_too_long() {
        for (bytes, parts) in
            [(0, 0), (1, 1), (8_192, 1), (8_193, 2), (16_384, 2), (100_000, 13), (1 << 20, 128)]
        {
            let all = vec![7; bytes];
            let lengths: Vec<usize> = cut(&all).map(<[u8]>::len).collect();
            assert_eq!((lengths.len(), lengths.iter().sum::<usize>()), (parts, bytes));
            assert!(lengths.iter().all(|&length| length <= PART_BYTES_MAX), "{lengths:?}");
            assert!(parts < 2 || lengths.iter().all(|&length| length >= PART_BYTES_MAX / 2), "{lengths:?}");
        }
    }

    #[test]
    fn an_entry_with_any_other_byte_or_under_another_key_is_damaged() {
        let batch = BatchEntry {
            count: 3,
            bytes: 20_000,
            aside: true,
            location: Location { segment: 2, offset: 99 },
        };
        let topic = TopicEntry { name: TopicName::parse("t").unwrap(), end: 5, last_id: 6 };
        assert_eq!(BatchEntry::decode(b"key", &batch.encode(b"key")), Some(batch));
        assert_eq!(TopicEntry::decode(b"key", &topic.encode(b"key")), Some(topic));
        assert_eq!(BatchEntry::decode(b"kex", &batch.encode(b"key")), None);
        for sealed in [batch.encode(b"key"), topic.encode(b"key")] {
            for index in 0..sealed.len() {
                let mut damaged = sealed.clone();
                damaged[index] ^= 1;
                assert_eq!(BatchEntry::decode(b"key", &damaged), None);
                assert_eq!(TopicEntry::decode(b"key", &damaged), None);
                assert_eq!(BatchEntry::decode(b"key", &sealed[..index]), None);
                assert_eq!(TopicEntry::decode(b"key", &sealed[..index]), None);
            }
        }
    }
}
