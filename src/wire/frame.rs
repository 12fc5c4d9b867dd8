//! Frames, in which everything a server sends is wrapped: `i32` size, `i32` type, data (spec nsqd-tcp.md, §1).

use super::error::ProtocolError;

/// The data of the response to a command that was carried out.
pub const OK: &[u8] = b"OK";

/// The data of the response to `CLS`.
pub const CLOSE_WAIT: &[u8] = b"CLOSE_WAIT";

/// The data of the response that asks whether the client is still there.
pub const HEARTBEAT: &[u8] = b"_heartbeat_";

/// Bytes before a frame's data: its size and its type.
pub const FRAME_HEADER_BYTES: usize = 4 + FRAME_TYPE_BYTES;

/// The part of the header that a frame's size counts.
const FRAME_TYPE_BYTES: usize = 4;

/// What a frame's data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameType {
    /// The answer to a command, or a heartbeat.
    Response = 0,
    /// A code and a text.
    Error = 1,
    /// A message, see [`MessageRef`](super::message::MessageRef).
    Message = 2,
}

/// A frame, borrowed from what was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the data is.
    pub frame_type: FrameType,
    /// What the frame holds.
    pub data: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame at the start of `input` and where the next one begins, or `None` where more bytes are needed.
    /// A frame has at most `data_bytes_max` bytes of data.
    ///
    /// # Errors
    /// What begins here is no frame; nothing that follows can be understood.
    pub fn parse(input: &'a [u8], data_bytes_max: usize) -> Result<Option<(Self, usize)>, FrameError> {
        let Some((size, rest)) = input.split_first_chunk() else { return Ok(None) };
        if size == b"HTTP" {
            return Err(FrameError::Http);
        }
        let size = i32::from_be_bytes(*size);
        let data_bytes = usize::try_from(size)
            .ok()
            .and_then(|size| size.checked_sub(FRAME_TYPE_BYTES))
            .ok_or(FrameError::InvalidSize { size })?;
        if data_bytes > data_bytes_max {
            return Err(FrameError::TooBig { data_bytes, data_bytes_max });
        }
        let Some((frame_type, rest)) = rest.split_first_chunk() else { return Ok(None) };
        let frame_type = match i32::from_be_bytes(*frame_type) {
            0 => FrameType::Response,
            1 => FrameType::Error,
            2 => FrameType::Message,
            frame_type => return Err(FrameError::UnknownType { frame_type }),
        };
        let frame = rest.get(..data_bytes).map(|data| Self { frame_type, data });
        Ok(frame.map(|frame| (frame, FRAME_HEADER_BYTES + data_bytes)))
    }
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The sender speaks HTTP: as a size its first bytes would announce more than a gigabyte.
    #[error("it speaks HTTP, so this is not its TCP port")]
    Http,
    /// The size is negative or does not even count the type.
    #[error("invalid frame size {size}")]
    InvalidSize {
        /// The size as it was sent.
        size: i32,
    },
    /// The frame is larger than the receiver wants to hold.
    #[error("frame of {data_bytes} bytes is larger than {data_bytes_max}")]
    TooBig {
        /// How much data the frame announces.
        data_bytes: usize,
        /// How much the receiver accepts.
        data_bytes_max: usize,
    },
    /// The type is none of [`FrameType`].
    #[error("unknown frame type {frame_type}")]
    UnknownType {
        /// The type as it was sent.
        frame_type: i32,
    },
}

/// Appends a response frame.
pub fn encode_response(out: &mut Vec<u8>, data: &[u8]) {
    out.reserve(FRAME_HEADER_BYTES + data.len());
    write_frame_header(out, FrameType::Response, data.len());
    out.extend_from_slice(data);
}

/// Appends an error frame.
pub fn encode_error(out: &mut Vec<u8>, error: &ProtocolError) {
    let data = error.to_bytes();
    write_frame_header(out, FrameType::Error, data.len());
    out.extend_from_slice(&data);
}

/// Appends the header of a frame whose data has `data_bytes` bytes.
pub(super) fn write_frame_header(out: &mut Vec<u8>, frame_type: FrameType, data_bytes: usize) {
    out.extend_from_slice(&frame_header(frame_type, data_bytes));
}

/// The header of a frame whose data has `data_bytes` bytes.
///
/// What a client can send has an `i32` size itself, so that the size of what answers it, or brings it to
/// others, fits 32 bits; as in v1.3.0 it would wrap around and not fail.
pub(super) fn frame_header(frame_type: FrameType, data_bytes: usize) -> [u8; FRAME_HEADER_BYTES] {
    let size = (FRAME_TYPE_BYTES + data_bytes) as u32;
    let mut header = [0; FRAME_HEADER_BYTES];
    header[..4].copy_from_slice(&size.to_be_bytes());
    header[4..].copy_from_slice(&(frame_type as i32).to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_size_type_and_data() {
        let mut out = Vec::new();
        encode_response(&mut out, OK);
        assert_eq!(out, b"\0\0\0\x06\0\0\0\0OK");
        out.clear();
        encode_response(&mut out, b"");
        assert_eq!(out, b"\0\0\0\x04\0\0\0\0");
        out.clear();
        encode_error(&mut out, &ProtocolError::bad_protocol());
        assert_eq!(out, b"\0\0\0\x12\0\0\0\x01E_BAD_PROTOCOL");
    }

    #[test]
    fn an_answer_of_an_http_server_is_told_as_that() {
        let answer = b"HTTP/1.1 400 Bad Request\r\n";
        assert_eq!(Frame::parse(answer, usize::MAX), Err(FrameError::Http));
    }

    #[test]
    fn frames_are_read_back_one_after_the_other() {
        let mut sent = Vec::new();
        encode_response(&mut sent, HEARTBEAT);
        encode_error(&mut sent, &ProtocolError::pub_failed("exiting"));
        let (first, first_bytes) = Frame::parse(&sent, 100).unwrap().unwrap();
        assert_eq!(first, Frame { frame_type: FrameType::Response, data: HEARTBEAT });
        let (second, second_bytes) = Frame::parse(&sent[first_bytes..], 100).unwrap().unwrap();
        assert_eq!(second, Frame { frame_type: FrameType::Error, data: b"E_PUB_FAILED PUB failed exiting" });
        assert_eq!(first_bytes + second_bytes, sent.len());
        for end in 0..first_bytes {
            assert_eq!(Frame::parse(&sent[..end], 100), Ok(None), "{end} bytes");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused_at_once() {
        for (input, error) in [
            (&b"\0\0\0\x03"[..], FrameError::InvalidSize { size: 3 }),
            (b"\xff\xff\xff\xff", FrameError::InvalidSize { size: -1 }),
            (b"\0\0\0\x0f", FrameError::TooBig { data_bytes: 11, data_bytes_max: 10 }),
            (b"\0\0\0\x0e\0\0\0\x03", FrameError::UnknownType { frame_type: 3 }),
            (b"\0\0\0\x0e\xff\xff\xff\xff", FrameError::UnknownType { frame_type: -1 }),
        ] {
            assert_eq!(Frame::parse(input, 10), Err(error));
        }
        assert_eq!(Frame::parse(b"\0\0\0\x0e", 10), Ok(None), "as much data as is accepted");
    }
}
