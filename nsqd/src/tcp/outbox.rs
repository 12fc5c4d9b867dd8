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
    /// Bytes of answers that were appended behind `mark`, and before it. They tell who asks much and reads little
    /// from who is sent much.
    answers: usize,
    answers_before: usize,
    /// A place in `bytes`; when everything before it has been written it moves to the end.
    mark: usize,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// How many of the bytes that wait are answers, at most: some may have been written already.
    pub(super) fn answers_len(&self) -> usize {
        self.answers + self.answers_before
    }

    /// The bytes to be written next; empty when there are none.
    pub(super) fn pending(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// `count` bytes were written.
    pub(super) fn advance(&mut self, count: usize) {
        self.written += count;
        if self.written >= self.mark {
            self.answers_before = std::mem::take(&mut self.answers);
            self.mark = self.bytes.len();
        }
        if self.written == self.bytes.len() {
            self.bytes.clear();
            (self.written, self.mark, self.answers_before) = (0, 0, 0);
            if self.bytes.capacity() > KEPT_BYTES_MAX {
                self.bytes = Vec::new();
            }
        } else if self.written > self.len() {
            // Moving less than was written costs little, and a client that is always behind needs no more room.
            self.bytes.drain(..self.written);
            self.mark -= self.written;
            self.written = 0;
        }
    }

    /// Gives the empty buffer back if it is larger than `kept_bytes`: the client will be idle.
    pub(super) fn release(&mut self, kept_bytes: usize) {
        if self.bytes.is_empty() && self.bytes.capacity() > kept_bytes {
            self.bytes = Vec::new();
        }
    }

    /// Where whole frames may be appended. Say of answers how long they are.
    pub(super) fn frames(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// So many of the bytes appended to `frames` were answers.
    pub(super) fn answered(&mut self, bytes: usize) {
        self.answers += bytes;
    }

    pub(super) fn respond(&mut self, data: &[u8]) {
        let before = self.bytes.len();
        frame::encode_response(&mut self.bytes, data);
        self.answered(self.bytes.len() - before);
    }

    pub(super) fn error(&mut self, error: &ProtocolError) {
        let before = self.bytes.len();
        frame::encode_error(&mut self.bytes, error);
        self.answered(self.bytes.len() - before);
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

    #[test]
    fn answers_are_counted_until_they_are_written() {
        let mut outbox = Outbox::default();
        outbox.respond(frame::OK);
        let answer = outbox.answers_len();
        assert_eq!(answer, outbox.len());
        for _ in 0..10 {
            outbox.frames().extend_from_slice(&[0; 100]);
            outbox.advance(60);
            outbox.respond(frame::OK);
            assert!(outbox.answers_len() >= answer);
        }
        let mut left = outbox.answers_len();
        assert!(left <= 10 * answer, "some were written");
        while !outbox.is_empty() {
            outbox.advance(10.min(outbox.len()));
            assert!(outbox.answers_len() <= left);
            left = outbox.answers_len();
        }
        assert_eq!(left, 0);
    }

    #[test]
    fn only_an_empty_buffer_that_is_small_is_kept() {
        let mut outbox = Outbox::default();
        outbox.respond(frame::OK);
        outbox.release(0);
        assert!(!outbox.is_empty());
        outbox.advance(outbox.len());
        outbox.release(64);
        assert!(outbox.bytes.capacity() > 0);
        outbox.release(0);
        assert_eq!(outbox.bytes.capacity(), 0);
    }

    #[test]
    fn a_client_that_is_always_behind_does_not_make_it_grow() {
        let mut outbox = Outbox::default();
        let mut sent = 0_u32;
        let mut expected = 0_u32;
        for _ in 0..1_000 {
            while outbox.len() < 64 * 1024 {
                outbox.frames().extend_from_slice(&sent.to_be_bytes());
                sent += 1;
            }
            for word in outbox.pending()[..40_000].chunks(4) {
                assert_eq!(word, expected.to_be_bytes());
                expected += 1;
            }
            outbox.advance(40_000);
        }
        assert!(outbox.bytes.capacity() < 512 * 1024, "{} bytes", outbox.bytes.capacity());
    }
}
