//! The message as it crosses the wire: a frame of type 2 holding time stamp, attempts, id and body.

use std::fmt;

/// Bytes of a message id.
pub const MESSAGE_ID_BYTES: usize = 16;

/// Bytes between the frame's type and the body: `i64` time stamp, `u16` attempts, id.
pub const MESSAGE_HEADER_BYTES: usize = 8 + 2 + MESSAGE_ID_BYTES;

/// Bytes before the body of a whole message frame: `i32` size, `i32` type, message header.
pub const MESSAGE_FRAME_HEADER_BYTES: usize = 4 + 4 + MESSAGE_HEADER_BYTES;

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
    use super::*;

    #[test]
    fn an_id_is_sixteen_lower_case_hexadecimal_digits() {
        assert_eq!(MessageId::from_u64(0x18a5_d57e_4300_5000).to_string(), "18a5d57e43005000");
        assert_eq!(MessageId::from_u64(0).to_string(), "0000000000000000");
    }
}
