//! What files of records still say where they are damaged: which bytes are no record, and what a header says there that no
//! checksum speaks for.
//!
//! What is in the bytes besides, this does not know: whoever reads them looks for messages.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use nsq::wire::name::TopicName;

use super::TopicNumber;
use super::files::{Directory, Unchanged, is_missing};
use super::segments::record::{ALIGNMENT, BatchPayload, HEADER_BYTES, UncheckedHeader};
use super::segments::scan::{Found, Scan};
use super::segments::{self, Segments};

/// The headers of records stand at multiples of this many bytes.
pub const HEADER_ALIGNMENT: usize = ALIGNMENT;

/// Of which topic a batch says to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The topic's number in the store.
    pub topic: TopicNumber,
    /// Its name, where it can be read.
    pub name: Option<TopicName>,
}

impl Claim {
    /// What the record of a batch says that begins with these bytes; `None` where nothing there looks like one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let header = UncheckedHeader::parse(bytes)?;
        let name = Self::name(&bytes[HEADER_BYTES..]);
        // Two of three must be as they were written.
        let votes = [header.has_magic, header.is_batch, name.is_some()];
        (votes.into_iter().filter(|vote| *vote).count() >= 2).then_some(Self { topic: header.topic, name })
    }

    /// The name of the topic in what follows a header.
    fn name(payload: &[u8]) -> Option<TopicName> {
        TopicName::parse(BatchPayload::parse(payload)?.name)
    }

    /// What the payload of a record says, of which it is known whose batch it is and where in the topic.
    pub fn of_payload(topic: TopicNumber, first: u64, payload: &[u8]) -> Self {
        let is_payload = BatchPayload::parse(payload).is_some_and(|batch| batch.first == first);
        Self { topic, name: Self::name(payload).filter(|_| is_payload) }
    }
}

/// Where in the files of records in a directory there is no record: the names of the files, and which bytes. Nothing is there
/// where the directory is missing.
///
/// # Errors
///
/// The disk refused.
pub fn gaps(directory: &Path) -> io::Result<Vec<(String, Range<u64>)>> {
    let mut segments = Segments::new(Arc::new(Unchanged(Directory::at(directory))));
    let numbers = match segments.list() {
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        numbers => numbers?,
    };
    let mut gaps = Vec::new();
    for segment in numbers {
        let mut scan = Scan::new(segments.file(segment)?, segment, 0..u64::MAX)?;
        while let Some(found) = scan.next()? {
            if let Found::Nothing(bytes) = found {
                gaps.push((segments::name(segment), bytes));
            }
        }
    }
    Ok(gaps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::segments::record::{Location, bind, push_batch};
    use crate::store::suite::{ONE, batch};

    fn record(name: Option<&str>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let name = name.and_then(TopicName::parse);
        push_batch(&mut bytes, ONE, name.as_ref(), &batch(9, 3, 100));
        bind(&mut bytes, Location { segment: 1, offset: 0 }, 0);
        bytes
    }

    #[test]
    fn one_damaged_byte_does_not_hide_whose_a_batch_is() {
        let name = TopicName::parse("orders");
        let whole = record(Some("orders"));
        for at in 0..HEADER_BYTES + 9 {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            let claim = Claim::parse(&bytes).unwrap();
            assert!(claim.topic == ONE || (20..24).contains(&at), "byte {at}: {claim:?}");
            assert!(claim.name == name || at == HEADER_BYTES + 8, "byte {at}: {claim:?}");
        }
        assert_eq!(Claim::parse(&record(None)), Some(Claim { topic: ONE, name: None }));
        let payload = &whole[HEADER_BYTES..];
        assert_eq!(Claim::of_payload(ONE, 9, payload).name, name);
        assert_eq!(Claim::of_payload(ONE, 8, payload).name, None);
    }

    #[test]
    fn other_bytes_are_no_batch() {
        let whole = record(Some("orders"));
        for length in 0..whole.len() {
            // It must not panic, whatever is missing.
            let _ = Claim::parse(&whole[..length]);
        }
        assert_eq!(Claim::parse(&[0; 200]), None);
        assert_eq!(Claim::parse(&[b'a'; 200]), None);
    }

    #[test]
    fn what_is_no_record_is_found_between_those_that_are() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(gaps(&directory.path().join("none")).unwrap(), []);
        let mut bytes = record(Some("a"));
        let length = bytes.len();
        bytes.extend_from_slice(&[7; 64]);
        let mut last = Vec::new();
        push_batch(&mut last, ONE, None, &batch(1, 1, 10));
        bind(&mut last, Location { segment: 1, offset: bytes.len() as u64 }, 0);
        bytes.extend_from_slice(&last);
        std::fs::write(directory.path().join(segments::name(1)), bytes).unwrap();
        let found = gaps(directory.path()).unwrap();
        assert_eq!(found, [(segments::name(1), length as u64..length as u64 + 64)]);
    }
}
