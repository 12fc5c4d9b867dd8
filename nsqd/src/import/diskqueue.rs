//! What is in v1.3.0's queue files (spec nsqd-operation.md, §6.2 and §6.3): records, and positions.
//!
//! Records have neither checksum nor mark. What is taken for one must be whole and have an id as v1.3.0 makes them, so
//! that a length out of nowhere costs nothing but the rest of its file.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use nsq::wire::message::{MESSAGE_HEADER_BYTES, MESSAGE_ID_BYTES, MessageId};

/// Bytes of a record before its body: the length, and the message's header.
pub(super) const HEAD_BYTES: usize = 4 + MESSAGE_HEADER_BYTES;

/// The longest body that is taken, in bytes: with it the message's frame is as long as a frame can be.
/// `--max-msg-size` is no limit here, for it may have been another when the message was published.
pub(super) const BODY_BYTES_MAX: usize = i32::MAX as usize - 4 - MESSAGE_HEADER_BYTES;

/// How much is read from a file at once, in bytes.
const READ_BYTES: usize = 32 * 1024;

/// A record without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// When the message was published, in nanoseconds of Unix time.
    pub(super) timestamp_ns: i64,
    /// How often it was delivered.
    pub(super) attempts: u16,
    /// The number that the message's id shows in hexadecimal.
    pub(super) id: u64,
    /// How long the body is.
    pub(super) body_bytes: usize,
}

impl Head {
    /// The record that begins with `bytes`, of which `bytes_left` are in the file; `None` where that makes no sense.
    pub(super) fn parse(bytes: &[u8; HEAD_BYTES], bytes_left: u64) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (timestamp_ns, rest) = rest.split_first_chunk()?;
        let (attempts, rest) = rest.split_first_chunk()?;
        let (id, _) = rest.split_first_chunk()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
        let body_bytes = length.checked_sub(MESSAGE_HEADER_BYTES)?;
        if body_bytes > BODY_BYTES_MAX || 4 + length as u64 > bytes_left {
            return None;
        }
        Some(Self {
            timestamp_ns: i64::from_be_bytes(*timestamp_ns),
            attempts: u16::from_be_bytes(*attempts),
            id: id_number(id)?,
            body_bytes,
        })
    }

    /// The message's id.
    pub(super) fn id(&self) -> MessageId {
        MessageId::from_u64(self.id)
    }

    /// What copies of one message share in the queues of several channels, ordered by time.
    pub(super) fn key(&self) -> (i64, u64, usize) {
        (self.timestamp_ns, self.id, self.body_bytes)
    }

    /// How long the whole record is.
    fn record_bytes(&self) -> u64 {
        (HEAD_BYTES + self.body_bytes) as u64
    }
}

/// The number in an id, which v1.3.0 writes as sixteen lower-case hexadecimal digits.
fn id_number(id: &[u8; MESSAGE_ID_BYTES]) -> Option<u64> {
    id.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(digit))
    })
}

/// Where the next record of a queue is read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: u64,
    pub(super) at: u64,
}

/// What the file beside a queue's data says. Its depth is left out: it is wrong after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Positions {
    pub(super) read: Place,
    pub(super) write: Place,
}

impl Positions {
    /// `None` where the file is not what v1.3.0 writes.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(text).ok()?.lines();
        let _depth: i64 = lines.next()?.parse().ok()?;
        let mut place = || {
            let (file, at) = lines.next()?.split_once(',')?;
            Some(Place { file: file.parse().ok()?, at: at.parse().ok()? })
        };
        Some(Self { read: place()?, write: place()? })
    }
}

/// The records of one file, one after the other.
#[derive(Debug)]
pub(super) struct Records<R> {
    input: BufReader<R>,
    /// Where the record begins that `head` is of, or that is read next.
    at: u64,
    /// How long the file is.
    end: u64,
    /// Where `input` stands. What begins at `at` has been looked at exactly when that is elsewhere.
    input_at: u64,
    /// The record that begins at `at`; `None` if it has not been looked at, or is none.
    head: Option<Head>,
    /// Whether that record is still to come.
    begins_here: bool,
}

impl<R: Read + Seek> Records<R> {
    /// The records from the byte `start` on. If none begins or ends there, all of them.
    pub(super) fn open(input: R, start: u64) -> io::Result<Self> {
        let mut records = Self::new(input)?;
        if start >= records.end {
            records.go_to(records.end)?;
            return Ok(records);
        }
        records.go_to(start)?;
        if records.look()?.is_some() {
            return Ok(records);
        }
        records.go_to(0)?;
        while records.at < start && records.step()?.is_some() {}
        if records.at != start {
            records.go_to(0)?;
        }
        Ok(records)
    }

    /// The records from the first on that is `wanted`.
    pub(super) fn open_at(input: R, wanted: impl Fn(&Head) -> bool) -> io::Result<Self> {
        let mut records = Self::new(input)?;
        while records.look()?.is_some_and(|head| !wanted(&head)) {
            records.step()?;
        }
        Ok(records)
    }

    /// Where the next record begins.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    fn go_to(&mut self, at: u64) -> io::Result<()> {
        self.input.seek(SeekFrom::Start(at))?;
        (self.at, self.input_at, self.head) = (at, at, None);
        Ok(())
    }

    fn new(input: R) -> io::Result<Self> {
        let mut input = BufReader::with_capacity(READ_BYTES, input);
        let end = input.seek(SeekFrom::End(0))?;
        input.rewind()?;
        Ok(Self { input, at: 0, end, input_at: 0, head: None, begins_here: true })
    }

    /// Goes on to the next record; `None` at the end of those that make sense.
    pub(super) fn advance(&mut self) -> io::Result<Option<Head>> {
        if !std::mem::take(&mut self.begins_here) {
            self.step()?;
        }
        self.look()
    }

    /// Passes the record that begins here. Returns what it was.
    fn step(&mut self) -> io::Result<Option<Head>> {
        let Some(head) = self.look()? else { return Ok(None) };
        self.at += head.record_bytes();
        self.head = None;
        self.input.seek_relative((self.at - self.input_at) as i64)?;
        self.input_at = self.at;
        Ok(Some(head))
    }

    fn look(&mut self) -> io::Result<Option<Head>> {
        let bytes_left = self.end - self.at;
        if self.head.is_none() && self.input_at == self.at && bytes_left >= HEAD_BYTES as u64 {
            let mut bytes = [0; HEAD_BYTES];
            self.input.read_exact(&mut bytes)?;
            self.input_at += HEAD_BYTES as u64;
            self.head = Head::parse(&bytes, bytes_left);
        }
        Ok(self.head)
    }

    /// Reads the body of the record that `advance` came to, once, in the place of what is in `body`.
    pub(super) fn read_body(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        body.clear();
        let Some(head) = self.head else { return Ok(()) };
        // It is in the file: a length alone makes nobody reserve anything.
        body.resize(head.body_bytes, 0);
        self.input.read_exact(body)?;
        self.input_at += head.body_bytes as u64;
        Ok(())
    }

    /// How long the file is.
    pub(super) fn file_bytes(&self) -> u64 {
        self.end
    }

    /// Bytes behind the last record that makes sense.
    pub(super) fn bytes_left(&self) -> u64 {
        self.end - self.at
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    pub(in crate::import) fn record(timestamp_ns: i64, attempts: u16, id: u64, body: &[u8]) -> Vec<u8> {
        let length = (MESSAGE_HEADER_BYTES + body.len()) as u32;
        let id = MessageId::from_u64(id);
        let parts =
            [&length.to_be_bytes()[..], &timestamp_ns.to_be_bytes(), &attempts.to_be_bytes(), &id.0, body];
        parts.concat()
    }

    /// The ids and bodies of all records from `start` on, and how many bytes are left.
    fn read(bytes: &[u8], start: u64) -> (Vec<(u64, Vec<u8>)>, u64) {
        let mut records = Records::open(Cursor::new(bytes), start).unwrap();
        let mut found = Vec::new();
        while let Some(head) = records.advance().unwrap() {
            let mut body = Vec::new();
            // Some bodies are skipped, as they are where several channels have the message.
            if head.id % 3 != 0 {
                records.read_body(&mut body).unwrap();
            }
            found.push((head.id, body));
        }
        (found, records.bytes_left())
    }

    #[test]
    fn a_record_is_laid_out_as_v1_3_0_writes_it() {
        let bytes = b"\0\0\0\x1b\x18\xea\xbe\x2f\xb5\xcb\xbc\xfd\0\x0218a5d57e43005000y";
        assert_eq!(record(0x18ea_be2f_b5cb_bcfd, 2, 0x18a5_d57e_4300_5000, b"y"), bytes);
        let head = Head::parse(bytes[..HEAD_BYTES].try_into().unwrap(), bytes.len() as u64).unwrap();
        assert_eq!(head.key(), (0x18ea_be2f_b5cb_bcfd, 0x18a5_d57e_4300_5000, 1));
        assert_eq!(
            (head.attempts, head.body_bytes, head.id().to_string().as_str()),
            (2, 1, "18a5d57e43005000")
        );
    }

    #[test]
    fn records_are_read_up_to_the_first_that_is_none() {
        let file = [record(1, 0, 1, b"one"), record(2, 0, 3, b""), record(3, 0, 4, &[7; 100_000])].concat();
        let all = vec![(1, b"one".to_vec()), (3, Vec::new()), (4, vec![7; 100_000])];
        assert_eq!(read(&file, 0), (all.clone(), 0));
        assert_eq!(read(&file, 33), (all[1..].to_vec(), 0));
        let torn = &file[..file.len() - 1];
        assert_eq!(read(torn, 0), (all[..2].to_vec(), 100_029));
        let tail = |tail: &[u8]| read(&[&file, tail].concat(), 0);
        assert_eq!(tail(&[0; 50]), (all.clone(), 50));
        assert_eq!(tail(&[0xff; 50]), (all.clone(), 50));
        assert_eq!(tail(&[0x7f; 29]), (all.clone(), 29));
    }

    #[test]
    fn a_position_within_a_record_is_not_believed() {
        let file = [record(1, 0, 1, b"one"), record(2, 0, 2, b"two")].concat();
        for (position, count) in [(0, 2), (1, 2), (32, 2), (33, 1), (34, 2), (66, 0), (67, 0), (u64::MAX, 0)]
        {
            assert_eq!(read(&file, position).0.len(), count, "{position}");
        }
    }

    #[test]
    fn records_are_passed_up_to_the_first_that_is_wanted() {
        let file = [record(1, 0, 1, b"one"), record(2, 0, 2, b"longer"), record(3, 0, 4, b"x")].concat();
        for (longer_than, position, left) in [(0, 0, 3), (3, 33, 2), (6, 100, 0)] {
            let wanted = |head: &Head| head.body_bytes > longer_than;
            let mut records = Records::open_at(Cursor::new(&file), wanted).unwrap();
            assert_eq!(records.position(), position);
            let mut count = 0;
            while records.advance().unwrap().is_some() {
                count += 1;
            }
            assert_eq!(count, left);
        }
    }

    #[test]
    fn a_position_before_a_torn_record_is_right() {
        let whole = [record(1, 0, 1, b"one"), record(2, 0, 2, b"two")].concat();
        assert_eq!(read(&whole[..50], 33), (Vec::new(), 17));
        let damaged = [&[0; 33], &whole[33..]].concat();
        assert_eq!(read(&damaged, 33).0.len(), 1, "what comes before it does not matter");
    }

    #[test]
    fn positions_are_three_lines() {
        let positions = Positions { read: Place { file: 1, at: 31 }, write: Place { file: 2, at: 312 } };
        assert_eq!(Positions::parse(b"9\n1,31\n2,312\n"), Some(positions));
        assert_eq!(Positions::parse(b"-9\n1,31\n2,312"), Some(positions), "the depth does not matter");
        for bad in ["", "9", "9\n1,31", "9\n1,31\n2", "x\n1,31\n2,312", "9\n-1,31\n2,312", "9\n1,\n2,312"] {
            assert_eq!(Positions::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    fn any_file() -> impl Strategy<Value = Vec<u8>> {
        let record = (any::<i64>(), any::<u16>(), any::<u64>(), prop::collection::vec(any::<u8>(), 0..50))
            .prop_map(|(timestamp_ns, attempts, id, body)| record(timestamp_ns, attempts, id, &body));
        let noise = prop::collection::vec(any::<u8>(), 0..60);
        prop::collection::vec(prop_oneof![4 => record, 1 => noise], 0..8).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_some_end(file in any_file(), start in 0..600_u64) {
            let (found, left) = read(&file, start);
            prop_assert!(left <= file.len() as u64);
            prop_assert!(found.len() <= file.len() / HEAD_BYTES);
        }

        #[test]
        fn any_text_is_positions_or_not(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Positions::parse(&text);
        }
    }
}
