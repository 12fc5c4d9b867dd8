//! Messages in damaged bytes: what looks like one, wherever it begins.
//!
//! Nothing speaks for them but their form (spec nsqd-tcp.md, §4): a size that fits, the type of a message, a time after 1970
//! and an id such as a daemon gives. Which topic they are of, the record before them says.

use nsq::wire::frame::Frame;
use nsq::wire::message::{MESSAGE_FRAME_HEADER_BYTES, MessageRef};

use crate::store::remains::{Claim, HEADER_ALIGNMENT};

/// Reads messages, and passes over what is none.
#[derive(Debug, Clone)]
pub(super) struct Legible<'a> {
    bytes: &'a [u8],
    at: usize,
    claim: Option<Claim>,
    /// How many bytes may be read again that were part of a message: those who publish can make bytes look like messages
    /// within messages.
    again: usize,
}

impl<'a> Legible<'a> {
    /// Of bytes that begin where a record can. Before the first that says whose it is, messages are of `claim`.
    pub(super) fn of(bytes: &'a [u8], claim: Option<Claim>) -> Self {
        Self { bytes, at: 0, claim, again: bytes.len() }
    }
}

impl<'a> Iterator for Legible<'a> {
    type Item = (Option<Claim>, MessageRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(rest) = self.bytes.get(self.at..).filter(|rest| !rest.is_empty()) {
            if self.at.is_multiple_of(HEADER_ALIGNMENT) {
                self.claim = Claim::parse(rest).or(self.claim);
            }
            let Some((message, length)) = message(rest) else {
                self.at += 1;
                continue;
            };
            let behind = &rest[length..];
            // A size that is damaged may have others taken for the body of this one.
            let is_sure = behind.is_empty() || begins_message(behind);
            if is_sure || self.again < length {
                self.at += length;
            } else {
                self.again -= length;
                self.at += MESSAGE_FRAME_HEADER_BYTES;
            }
            return Some((self.claim, message));
        }
        None
    }
}

/// The message at the beginning of `bytes`, and the length of its frame.
fn message(bytes: &[u8]) -> Option<(MessageRef<'_>, usize)> {
    if !begins_message(bytes) {
        return None;
    }
    let (frame, end) = Frame::parse(bytes, bytes.len()).ok()??;
    Some((MessageRef::parse(frame.data)?, end))
}

/// Whether a message could begin with these bytes.
fn begins_message(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<MESSAGE_FRAME_HEADER_BYTES>() else { return false };
    // The size counts what comes behind it.
    let [size, frame_type] = [0, 4].map(|at| i32::from_be_bytes([0, 1, 2, 3].map(|byte| header[at + byte])));
    frame_type == MESSAGE_FRAME_TYPE
        && size >= (MESSAGE_FRAME_HEADER_BYTES - 4) as i32
        && header[8] < 0x80
        && header[18..].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The frame type of a message.
const MESSAGE_FRAME_TYPE: i32 = 2;

#[cfg(test)]
mod tests {
    use nsq::wire::message::{MessageId, write_message_frame};
    use proptest::prelude::*;

    use super::*;

    /// Messages with these bodies, and where each begins.
    fn frames(bodies: &[&[u8]]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut begins) = (Vec::new(), Vec::new());
        for (number, body) in bodies.iter().enumerate() {
            begins.push(bytes.len());
            write_message_frame(&mut bytes, 5, 1, &MessageId::from_u64(number as u64), body);
        }
        (bytes, begins)
    }

    fn bodies(bytes: &[u8]) -> Vec<&[u8]> {
        Legible::of(bytes, None).map(|(_, message)| message.body).collect()
    }

    #[test]
    fn what_surrounds_messages_is_passed_over() {
        let (messages, _) = frames(&[b"one", b"", b"three"]);
        let bytes = [&b"some\0\0\0\x02bytes"[..], &messages, b"0123456789abcdef0123456789"].concat();
        assert_eq!(bodies(&bytes), [&b"one"[..], b"", b"three"]);
    }

    #[test]
    fn a_damaged_byte_costs_one_message_at_most() {
        let (messages, begins) = frames(&[b"one", b"two", b"three"]);
        for at in 0..messages.len() {
            let mut bytes = messages.clone();
            bytes[at] ^= 0x01;
            let damaged = begins.iter().rposition(|begin| *begin <= at).unwrap();
            let found = bodies(&bytes);
            for (number, body) in [&b"one"[..], b"two", b"three"].into_iter().enumerate() {
                assert!(number == damaged || found.contains(&body), "byte {at}: {found:?}");
            }
        }
    }

    #[test]
    fn messages_within_messages_are_read_once_more_and_no_oftener() {
        // Each claims to reach to the end, and none is followed by another there.
        let mut bytes = Vec::new();
        for left in (0..2_000).rev() {
            let body = vec![b'x'; left * MESSAGE_FRAME_HEADER_BYTES + 1];
            let mut frame = Vec::new();
            write_message_frame(&mut frame, 5, 1, &MessageId::from_u64(1), &body);
            bytes.extend_from_slice(&frame[..MESSAGE_FRAME_HEADER_BYTES]);
        }
        bytes.extend_from_slice(b"xx");
        let read: usize = bodies(&bytes).iter().map(|body| body.len()).sum();
        assert!(read <= 3 * bytes.len(), "{read} bytes of {}", bytes.len());
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_bad(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let read: usize = bodies(&bytes).iter().map(|body| body.len()).sum();
            prop_assert!(read <= 2 * bytes.len());
        }
    }
}
