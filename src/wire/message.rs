//! The message as it crosses the wire: a frame of type 2 holding time stamp, attempts, id and body.

use std::fmt;

use super::frame::{FrameType, frame_header};

/// Bytes of a message id.
pub const MESSAGE_ID_BYTES: usize = 16;

/// Bytes between the frame's type and the body: `i64` time stamp, `u16` attempts, id.
pub const MESSAGE_HEADER_BYTES: usize = 8 + 2 + MESSAGE_ID_BYTES;

/// Bytes before the body of a whole message frame: `i32` size, `i32` type, message header.
pub const MESSAGE_FRAME_HEADER_BYTES: usize = 4 + 4 + MESSAGE_HEADER_BYTES;

/// Where in a whole message frame the attempts stand: they change with each delivery, nothing else does.
pub const MESSAGE_FRAME_ATTEMPTS_OFFSET: usize = 4 + 4 + 8;

/// Appends a message frame.
///
/// `timestamp_ns` is the Unix time of the publish; `attempts` counts this delivery.
pub fn write_message_frame(out: &mut Vec<u8>, timestamp_ns: i64, attempts: u16, id: &MessageId, body: &[u8]) {
    let mut header = [0; MESSAGE_FRAME_HEADER_BYTES];
    header[..8].copy_from_slice(&frame_header(FrameType::Message, MESSAGE_HEADER_BYTES + body.len()));
    header[8..16].copy_from_slice(&timestamp_ns.to_be_bytes());
    header[16..18].copy_from_slice(&attempts.to_be_bytes());
    header[18..].copy_from_slice(&id.0);
    out.reserve(header.len() + body.len());
    out.extend_from_slice(&header);
    out.extend_from_slice(body);
}

/// The data of a message frame, borrowed from what was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRef<'a> {
    /// When the message was published, in nanoseconds of Unix time.
    pub timestamp_ns: i64,
    /// How often the message was sent on its channel, this time included.
    pub attempts: u16,
    /// What `FIN`, `REQ` and `TOUCH` name it by.
    pub id: MessageId,
    /// What was published.
    pub body: &'a [u8],
}

impl<'a> MessageRef<'a> {
    /// The message in a frame's data; `None` where the data is too short to be one.
    pub fn parse(data: &'a [u8]) -> Option<Self> {
        let (timestamp_ns, rest) = data.split_first_chunk()?;
        let (attempts, rest) = rest.split_first_chunk()?;
        let (id, body) = rest.split_first_chunk()?;
        Some(Self {
            timestamp_ns: i64::from_be_bytes(*timestamp_ns),
            attempts: u16::from_be_bytes(*attempts),
            id: MessageId(*id),
            body,
        })
    }
}

/// A message's id: sixteen bytes that a client returns as it got them (spec nsqd-tcp.md, §5).
///
/// Those we make are lower-case hexadecimal; those a client sends may be any bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub [u8; MESSAGE_ID_BYTES]);

impl MessageId {
    /// The id that shows `value` as sixteen lower-case hexadecimal digits.
    pub fn from_u64(value: u64) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut bytes = [0; MESSAGE_ID_BYTES];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = DIGITS[(value >> (60 - 4 * index)) as usize & 0xf];
        }
        Self(bytes)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::Frame;
    use super::*;

    #[test]
    fn a_message_frame_is_laid_out_as_the_protocol_says() {
        let mut out = Vec::new();
        write_message_frame(
            &mut out,
            0x0102_0304_0506_0708,
            0xfffe,
            &MessageId(*b"0123456789abcdef"),
            b"body",
        );
        assert_eq!(out, b"\0\0\0\x22\0\0\0\x02\x01\x02\x03\x04\x05\x06\x07\x08\xff\xfe0123456789abcdefbody");
        assert_eq!(out.len(), MESSAGE_FRAME_HEADER_BYTES + 4);
        assert_eq!(out[MESSAGE_FRAME_ATTEMPTS_OFFSET..][..2], [0xff, 0xfe]);
    }

    #[test]
    fn a_message_frame_is_read_back() {
        let id = MessageId::from_u64(7);
        let mut out = Vec::new();
        write_message_frame(&mut out, -1, 1, &id, b"");
        let (frame, _) = Frame::parse(&out, 100).unwrap().unwrap();
        assert_eq!(frame.frame_type, FrameType::Message);
        let message = MessageRef { timestamp_ns: -1, attempts: 1, id, body: b"" };
        assert_eq!(MessageRef::parse(frame.data), Some(message));
        assert_eq!(MessageRef::parse(&frame.data[1..]), None, "one byte short");
    }

    #[test]
    fn an_id_is_sixteen_lower_case_hexadecimal_digits() {
        assert_eq!(MessageId::from_u64(0x18a5_d57e_4300_5000).to_string(), "18a5d57e43005000");
        assert_eq!(MessageId::from_u64(0).to_string(), "0000000000000000");
    }
}
