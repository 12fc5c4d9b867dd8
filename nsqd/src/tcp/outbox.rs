//! What is to be sent to a client and has not been.

use nsq::wire::error::ProtocolError;
use nsq::wire::frame;

/// A buffer that grew larger than this, in bytes, is given back when it is empty.
const KEPT_BYTES_MAX: usize = 128 * 1024;

/// Frames that wait to be written, in order.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    /// How many of the bytes have been written.
    written: usize,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// The bytes to be written next; empty when there are none.
    pub(super) fn pending(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// `count` bytes were written.
    pub(super) fn advance(&mut self, count: usize) {
        self.written += count;
        if self.written == self.bytes.len() {
            self.written = 0;
            self.bytes.clear();
            if self.bytes.capacity() > KEPT_BYTES_MAX {
                self.bytes = Vec::new();
            }
        }
    }

    /// Gives the empty buffer back: the client will be idle.
    pub(super) fn release(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }

    /// Where whole frames may be appended.
    pub(super) fn frames(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(super) fn respond(&mut self, data: &[u8]) {
        frame::encode_response(&mut self.bytes, data);
    }

    pub(super) fn error(&mut self, error: &ProtocolError) {
        frame::encode_error(&mut self.bytes, error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_not_written_again() {
        let mut outbox = Outbox::default();
        outbox.respond(frame::OK);
        let all = outbox.pending().to_vec();
        outbox.advance(3);
        assert_eq!(outbox.pending(), &all[3..]);
        outbox.respond(frame::HEARTBEAT);
        assert_eq!(outbox.len(), all.len() - 3 + 8 + frame::HEARTBEAT.len());
        outbox.advance(outbox.len());
        assert!(outbox.is_empty() && outbox.pending().is_empty());
    }
}
