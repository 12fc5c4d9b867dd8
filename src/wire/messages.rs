//! The messages of one `MPUB`: a count, and for each message its size and its bytes.

use std::iter::FusedIterator;

use super::command::Limits;
use super::error::ProtocolError;
use super::sized::{Lack, Part, SIZE_BYTES, Stop, read_size};

/// The bodies of an `MPUB`, borrowed from the input and known to be in order. Iterating costs a few
/// instructions a message; a clone costs nothing and starts where the original stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Messages<'a> {
    /// How many messages are left.
    count: u32,
    /// Always exactly `count` times size and body.
    bytes: &'a [u8],
}

impl<'a> Messages<'a> {
    /// The messages at the start of `body`, which holds all of them; what follows the last is ignored.
    ///
    /// This is the body of `MPUB` without its size, and that of `POST /mpub?binary=true`.
    ///
    /// # Errors
    /// A body that is cut short, and each mistake of rows 8 to 13 of the table of `MPUB` (spec nsqd-tcp.md, §3).
    pub fn parse(body: &'a [u8], limits: &Limits) -> Result<Self, ProtocolError> {
        let mut walk = Walk::default();
        walk.advance(body, limits).map_err(Stop::at_end)?;
        Ok(walk.messages(body))
    }

    /// The bytes of the bodies that are left, sizes not included.
    pub fn body_bytes(&self) -> usize {
        self.bytes.len() - SIZE_BYTES * self.count as usize
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (size, rest) = self.bytes.split_first_chunk()?;
        let (body, rest) = rest.split_at_checked(u32::from_be_bytes(*size) as usize)?;
        self.count -= 1;
        self.bytes = rest;
        Some(body)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count as usize, Some(self.count as usize))
    }
}

impl ExactSizeIterator for Messages<'_> {}

impl FusedIterator for Messages<'_> {}

/// How far the body of an `MPUB` has been checked, so that one that arrives in pieces is walked only once.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// How many messages there are; zero before that is known.
    count: u32,
    /// How many of them have been checked.
    checked: u32,
    /// Where in the body the first unchecked message begins.
    offset: usize,
}

impl Walk {
    /// Goes on through `body`, which begins with the count; it ends well at the last byte of the last message.
    pub(super) fn advance(&mut self, body: &[u8], limits: &Limits) -> Result<(), Stop> {
        if self.count == 0 {
            self.count = read_size(body, Part::MpubCount, count_max(limits))? as u32;
            self.offset = SIZE_BYTES;
        }
        while self.checked < self.count {
            let part = Part::MpubMessage(self.checked);
            let rest = body.get(self.offset..).unwrap_or_default();
            let size = read_size(rest, part, limits.msg_size_max)?;
            let end = self.offset + SIZE_BYTES + size;
            // v1.3.0 looks at what the body claims to be and then reads without end.
            if end > limits.body_size_max {
                return Err(Part::MpubBody.too_big(end, limits.body_size_max).into());
            }
            if end > body.len() {
                return Err(Lack::Bytes(part).into());
            }
            self.offset = end;
            self.checked += 1;
        }
        Ok(())
    }

    /// The messages of `body`, through which this walk has come to the end.
    pub(super) fn messages<'a>(&self, body: &'a [u8]) -> Messages<'a> {
        Messages { count: self.count, bytes: &body[SIZE_BYTES..self.offset] }
    }

    /// How long the walked part of the body is, in bytes.
    pub(super) fn walked_bytes(&self) -> usize {
        self.offset
    }
}

/// As many as fit into the largest body with one byte each.
fn count_max(limits: &Limits) -> usize {
    limits.body_size_max.saturating_sub(SIZE_BYTES) / (SIZE_BYTES + 1)
}
