//! Sizes on the wire, what they announce, and how each is refused.
//!
//! A body is an `i32` size and that many bytes. The tables of spec nsqd-tcp.md, §3, word the same four
//! mistakes for each kind of body; [`Part`] holds the differences.

use std::fmt;

use super::error::{ErrorCode, ProtocolError};

/// What a size stands before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    IdentifyBody,
    AuthBody,
    PubMessage,
    DpubMessage,
    MpubBody,
    /// Not a size but a count; it is read and refused like one.
    MpubCount,
    /// The message of this index within an `MPUB`.
    MpubMessage(u32),
}

/// Why a body is not there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The bytes so far are in order; more must come.
    Lacks(Lack),
    /// No further byte can mend these.
    Refused(ProtocolError),
}

/// What must come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    Size(Part),
    Bytes(Part),
}

impl Stop {
    /// The error where nothing more comes.
    pub(super) fn at_end(self) -> ProtocolError {
        match self {
            Self::Lacks(Lack::Size(part)) => part.size_unreadable(),
            Self::Lacks(Lack::Bytes(part)) => part.unreadable(),
            Self::Refused(error) => error,
        }
    }
}

impl From<Lack> for Stop {
    fn from(lack: Lack) -> Self {
        Self::Lacks(lack)
    }
}

impl From<ProtocolError> for Stop {
    fn from(error: ProtocolError) -> Self {
        Self::Refused(error)
    }
}

/// The size at the start of `input`, 1 to `max`.
pub(super) fn read_size(input: &[u8], part: Part, max: usize) -> Result<usize, Stop> {
    let bytes = input.first_chunk().ok_or(Lack::Size(part))?;
    let size = i32::from_be_bytes(*bytes);
    match usize::try_from(size) {
        Err(_) | Ok(0) => Err(part.size_invalid(size).into()),
        Ok(size) if size > max => Err(part.too_big(size, max).into()),
        Ok(size) => Ok(size),
    }
}

/// The body at the start of `input`, 1 to `max` bytes behind their size.
pub(super) fn read_body(input: &[u8], part: Part, max: usize) -> Result<&[u8], Stop> {
    let size = read_size(input, part, max)?;
    input[SIZE_BYTES..].get(..size).ok_or(Stop::Lacks(Lack::Bytes(part)))
}

impl Part {
    fn size_unreadable(self) -> ProtocolError {
        self.error(format!("{} failed to read {}", self.word(), self.measure()))
    }

    fn size_invalid(self, size: impl fmt::Display) -> ProtocolError {
        self.error(format!("{} invalid {} {size}", self.word(), self.measure()))
    }

    /// `size` bytes are more than `max`.
    pub(super) fn too_big(self, size: usize, max: usize) -> ProtocolError {
        let noun = match self {
            Self::MpubCount => return self.size_invalid(size),
            _ if self.is_message() => "message",
            _ => "body",
        };
        self.error(format!("{} {noun} too big {size} > {max}", self.word()))
    }

    fn unreadable(self) -> ProtocolError {
        let noun = if self.is_message() { "message body" } else { "body" };
        self.error(format!("{} failed to read {noun}", self.word()))
    }

    fn error(self, text: String) -> ProtocolError {
        ProtocolError::new(if self.is_message() { ErrorCode::BadMessage } else { ErrorCode::BadBody }, text)
    }

    fn is_message(self) -> bool {
        matches!(self, Self::PubMessage | Self::DpubMessage | Self::MpubMessage(_))
    }

    fn word(self) -> &'static str {
        match self {
            Self::IdentifyBody => "IDENTIFY",
            Self::AuthBody => "AUTH",
            Self::PubMessage => "PUB",
            Self::DpubMessage => "DPUB",
            Self::MpubBody | Self::MpubCount | Self::MpubMessage(_) => "MPUB",
        }
    }

    fn measure(self) -> String {
        match self {
            Self::IdentifyBody | Self::AuthBody | Self::MpubBody => "body size".into(),
            Self::PubMessage | Self::DpubMessage => "message body size".into(),
            Self::MpubCount => "message count".into(),
            Self::MpubMessage(index) => format!("message({index}) body size"),
        }
    }
}

/// Bytes of a size or a count.
pub(super) const SIZE_BYTES: usize = 4;
