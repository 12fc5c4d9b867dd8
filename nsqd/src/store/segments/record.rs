//! Records: what a segment is made of.
//!
//! ```text
//!  0  magic               12  length of the payload        20  topic
//!  4  checksum of header  16  kind                         24  synced, in units of 8 bytes
//!  8  checksum of payload 17  whether messages are aside   28  count of messages
//! ```
//!
//! A record begins at a multiple of 8 bytes. Its checksums (CRC-32C) also cover the segment's number and the
//! place in it: what was written for another place, or in another life of the file, is never taken for a record.
//! `synced` says up to where the segment was known to be on the disk when the record was written. Of what
//! a payload means this knows the frame; states and progress are bytes to it.

use nsq::wire::name::TopicName;
use nsqd_broker::storage::{Position, StoredBatch};

use crate::store::TopicNumber;

/// The length of a header.
pub(in crate::store) const HEADER_BYTES: usize = 32;

/// Records begin at multiples of this.
pub(in crate::store) const ALIGNMENT: usize = 8;

/// What a batch's record has before the messages, at most: the position, and the topic's name behind its length.
pub(in crate::store) const BATCH_PREFIX_BYTES_MAX: usize = 8 + 1 + u8::MAX as usize;

/// What the payload of a batch has before the messages, as far as it says itself; it may be damaged.
pub(in crate::store) fn prefix_bytes_of(payload: &[u8]) -> usize {
    let before = size_of::<Position>();
    before + 1 + payload.get(before).map_or(0, |length| usize::from(*length))
}

const MAGIC: [u8; 4] = [0xd7, b'N', b'J', 0x01];

const DROP_BYTES: usize = 12;
const ENDED_BYTES: usize = 20;

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) struct Location {
    pub(in crate::store) segment: u32,
    pub(in crate::store) offset: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    /// The first record of a segment: how those before it ended. Also the last one, for the sake of its header.
    Begin = 1,
    /// A batch.
    Append = 2,
    /// Batches that are forgotten.
    Drops = 3,
    /// A topic's state.
    Save = 4,
    /// What changed since.
    Advance = 5,
    /// A topic that is forgotten.
    Delete = 6,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Header {
    pub(in crate::store) kind: Kind,
    pub(in crate::store) topic: TopicNumber,
    pub(in crate::store) aside: bool,
    pub(in crate::store) count: u32,
    /// The length of the payload.
    pub(in crate::store) length: u32,
    /// Up to where the segment was on the disk.
    pub(in crate::store) synced: u64,
    payload_checksum: u32,
}

impl Header {
    pub(in crate::store) fn new(kind: Kind, topic: TopicNumber) -> Self {
        Self { kind, topic, aside: false, count: 0, length: 0, synced: 0, payload_checksum: 0 }
    }

    /// The header at the beginning of `bytes`; `None` where there is none that was written for this place.
    pub(in crate::store) fn parse(bytes: &[u8], location: Location) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        if bytes[..4] != MAGIC || number(bytes, 4) != header_checksum(bytes, location) {
            return None;
        }
        Some(Self {
            kind: match bytes[16] {
                1 => Kind::Begin,
                2 => Kind::Append,
                3 => Kind::Drops,
                4 => Kind::Save,
                5 => Kind::Advance,
                6 => Kind::Delete,
                _ => return None,
            },
            aside: bytes[17] == 1,
            topic: TopicNumber(number(bytes, 20)),
            count: number(bytes, 28),
            length: number(bytes, 12),
            synced: u64::from(number(bytes, 24)) * ALIGNMENT as u64,
            payload_checksum: number(bytes, 8),
        })
    }

    /// The length of the whole record.
    pub(in crate::store) fn record_bytes(&self) -> u64 {
        padded(HEADER_BYTES as u64 + u64::from(self.length))
    }

    /// The payload that follows the header in `record`; `None` where it is another than was written.
    pub(in crate::store) fn payload<'a>(&self, record: &'a [u8], location: Location) -> Option<&'a [u8]> {
        let payload = record.get(HEADER_BYTES..HEADER_BYTES + self.length as usize)?;
        (payload_checksum(payload, location) == self.payload_checksum).then_some(payload)
    }
}

/// What is said of a record where no checksum speaks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct UncheckedHeader {
    pub(in crate::store) has_magic: bool,
    /// Whether it is said to be a batch.
    pub(in crate::store) is_batch: bool,
    pub(in crate::store) topic: TopicNumber,
}

impl UncheckedHeader {
    /// `None` where there are too few bytes for a header.
    pub(in crate::store) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let is_batch = bytes[16] == Kind::Append as u8 && bytes[17] <= 1 && bytes[18..20] == [0; 2];
        Some(Self { has_magic: looks_like_record(bytes), is_batch, topic: TopicNumber(number(bytes, 20)) })
    }
}

/// Puts a record at the end of `out`, not yet bound to a place. The payload is what `payload` appends.
pub(in crate::store) fn push(out: &mut Vec<u8>, header: Header, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 12]);
    out.extend_from_slice(&[header.kind as u8, u8::from(header.aside), 0, 0]);
    out.extend_from_slice(&header.topic.0.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&header.count.to_le_bytes());
    payload(out);
    let length = (out.len() - start - HEADER_BYTES) as u32;
    out[start + 12..start + 16].copy_from_slice(&length.to_le_bytes());
    out.resize(padded(out.len() as u64) as usize, 0);
}

/// Binds the records in `bytes` to where they will stand, one behind the other from `location` on.
pub(in crate::store) fn bind(bytes: &mut [u8], mut location: Location, synced: u64) {
    let synced = ((synced / ALIGNMENT as u64) as u32).to_le_bytes();
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = number(rest, 12) as usize;
        let whole = padded((HEADER_BYTES + length) as u64) as usize;
        let (record, behind) = rest.split_at_mut(whole);
        let checksum = payload_checksum(&record[HEADER_BYTES..HEADER_BYTES + length], location);
        record[8..12].copy_from_slice(&checksum.to_le_bytes());
        record[24..28].copy_from_slice(&synced);
        let checksum = header_checksum(record, location);
        record[4..8].copy_from_slice(&checksum.to_le_bytes());
        location.offset += whole as u64;
        rest = behind;
    }
}

/// The length rounded up to the next place where a record can begin.
pub(in crate::store) fn padded(length: u64) -> u64 {
    length.next_multiple_of(ALIGNMENT as u64)
}

fn header_checksum(header: &[u8], location: Location) -> u32 {
    crc32c::crc32c_append(location_checksum(location), &header[8..HEADER_BYTES])
}

fn payload_checksum(payload: &[u8], location: Location) -> u32 {
    crc32c::crc32c_append(location_checksum(location), payload)
}

fn location_checksum(location: Location) -> u32 {
    let checksum = crc32c::crc32c(&location.segment.to_le_bytes());
    crc32c::crc32c_append(checksum, &location.offset.to_le_bytes())
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes[at..].first_chunk().expect("a header has 32 bytes, and no field begins behind byte 28");
    u32::from_le_bytes(*bytes)
}

/// Whether a record could begin with these bytes.
pub(in crate::store) fn looks_like_record(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// A batch as its record holds it.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct BatchPayload<'a> {
    pub(in crate::store) first: Position,
    /// Empty where it was not known.
    pub(in crate::store) name: &'a [u8],
    pub(in crate::store) records: &'a [u8],
}

impl<'a> BatchPayload<'a> {
    /// `None` where the bytes are no batch.
    pub(in crate::store) fn parse(payload: &'a [u8]) -> Option<Self> {
        let (first, rest) = payload.split_first_chunk()?;
        let (&length, rest) = rest.split_first()?;
        let (name, records) = rest.split_at_checked(usize::from(length))?;
        Some(Self { first: Position::from_le_bytes(*first), name, records })
    }
}

/// What the record of a batch has before the messages, where its topic has this name.
pub(in crate::store) fn batch_prefix_bytes(name: Option<&TopicName>) -> u64 {
    (size_of::<Position>() + 1 + name.map_or(0, |name| name.as_bytes().len())) as u64
}

pub(in crate::store) fn push_batch(
    out: &mut Vec<u8>,
    topic: TopicNumber,
    name: Option<&TopicName>,
    batch: &StoredBatch,
) {
    let name = name.map_or(&b""[..], TopicName::as_bytes);
    let header = Header { count: batch.count, aside: batch.aside, ..Header::new(Kind::Append, topic) };
    out.reserve(batch.records.len() + HEADER_BYTES + BATCH_PREFIX_BYTES_MAX + ALIGNMENT);
    push(out, header, |out| {
        out.extend_from_slice(&batch.first.to_le_bytes());
        out.push(name.len() as u8);
        out.extend_from_slice(name);
        out.extend_from_slice(&batch.records);
    });
}

pub(in crate::store) fn push_drops(out: &mut Vec<u8>, drops: &[(TopicNumber, Position)]) {
    push(out, Header::new(Kind::Drops, TopicNumber(0)), |out| {
        for (topic, first) in drops {
            out.extend_from_slice(&topic.0.to_le_bytes());
            out.extend_from_slice(&first.to_le_bytes());
        }
    });
}

/// The batches that a record of the kind [`Drops`](Kind::Drops) names.
pub(in crate::store) fn parse_drops(payload: &[u8]) -> impl Iterator<Item = (TopicNumber, Position)> + '_ {
    payload.chunks_exact(DROP_BYTES).filter_map(|bytes| {
        let (topic, first) = bytes.split_first_chunk()?;
        Some((TopicNumber(u32::from_le_bytes(*topic)), Position::from_le_bytes(*first.first_chunk()?)))
    })
}

/// How a segment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Ended {
    pub(in crate::store) segment: u32,
    /// Where it ends: what is behind was never acknowledged.
    pub(in crate::store) end: u64,
    /// Up to where it was on the disk.
    pub(in crate::store) synced: u64,
}

pub(in crate::store) fn push_begin(out: &mut Vec<u8>, ended: &[Ended]) {
    push(out, Header::new(Kind::Begin, TopicNumber(0)), |out| {
        for ended in ended {
            out.extend_from_slice(&ended.segment.to_le_bytes());
            out.extend_from_slice(&ended.end.to_le_bytes());
            out.extend_from_slice(&ended.synced.to_le_bytes());
        }
    });
}

/// What a record of the kind [`Begin`](Kind::Begin) says of the segments before it.
pub(in crate::store) fn parse_begin(payload: &[u8]) -> impl Iterator<Item = Ended> + '_ {
    payload.chunks_exact(ENDED_BYTES).filter_map(|bytes| {
        let (segment, rest) = bytes.split_first_chunk()?;
        let (end, rest) = rest.split_first_chunk()?;
        Some(Ended {
            segment: u32::from_le_bytes(*segment),
            end: u64::from_le_bytes(*end),
            synced: u64::from_le_bytes(*rest.first_chunk()?),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite::{ONE, TWO, batch};

    const HERE: Location = Location { segment: 7, offset: 4096 };

    fn bound() -> Vec<u8> {
        let mut bytes = Vec::new();
        push_batch(&mut bytes, ONE, TopicName::parse("t").as_ref(), &batch(9, 3, 100));
        push_drops(&mut bytes, &[(ONE, 1), (TWO, u64::MAX)]);
        bind(&mut bytes, HERE, 64);
        bytes
    }

    fn payload(bytes: &[u8], location: Location) -> Option<(Header, &[u8])> {
        let header = Header::parse(bytes, location)?;
        Some((header, header.payload(bytes, location)?))
    }

    #[test]
    fn records_come_back_from_where_they_were_bound_to() {
        let bytes = bound();
        let (header, found) = payload(&bytes, HERE).unwrap();
        let found = BatchPayload::parse(found).unwrap();
        assert_eq!((header.topic, header.count, header.aside, header.synced), (ONE, 3, true, 64));
        assert_eq!((found.first, found.name, found.records), (9, &b"t"[..], &batch(9, 3, 100).records[..]));
        let next = Location { offset: HERE.offset + header.record_bytes(), ..HERE };
        let (header, found) = payload(&bytes[header.record_bytes() as usize..], next).unwrap();
        assert_eq!(header.kind, Kind::Drops);
        assert_eq!(parse_drops(found).collect::<Vec<_>>(), [(ONE, 1), (TWO, u64::MAX)]);
    }

    #[test]
    fn a_record_is_none_at_another_place_or_with_another_bit() {
        let bytes = bound();
        assert!(payload(&bytes, Location { segment: 8, ..HERE }).is_none());
        assert!(payload(&bytes, Location { offset: 4104, ..HERE }).is_none());
        let used = HEADER_BYTES + Header::parse(&bytes, HERE).unwrap().length as usize;
        for bit in 0..used * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(payload(&damaged, HERE).is_none(), "bit {bit}");
        }
        for length in 0..used {
            assert!(payload(&bytes[..length], HERE).is_none(), "{length} bytes");
        }
    }

    #[test]
    fn how_segments_ended_comes_back() {
        let ended = [Ended { segment: 1, end: 2, synced: 3 }, Ended { segment: 4, end: u64::MAX, synced: 0 }];
        let mut bytes = Vec::new();
        push_begin(&mut bytes, &ended);
        bind(&mut bytes, HERE, 0);
        assert_eq!(parse_begin(payload(&bytes, HERE).unwrap().1).collect::<Vec<_>>(), ended);
    }
}
