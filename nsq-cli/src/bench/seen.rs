//! Which messages of a run have come: each once, or the run is no good.
//!
//! Each body begins with the message's number. A bit a message is shared by all who consume; only setting it is atomic.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::failure::Failure;

/// How many bytes of a body are the message's number.
pub(super) const NUMBER_BYTES: usize = 8;

/// The messages 0 to `expected`, and which of them have come.
#[derive(Debug)]
pub(super) struct Seen {
    bits: Vec<AtomicU64>,
    expected: u64,
    come: AtomicU64,
}

impl Seen {
    pub(super) fn new(expected: u64) -> Self {
        let words = usize::try_from(expected.div_ceil(64)).unwrap_or(usize::MAX);
        Self { bits: (0..words).map(|_| AtomicU64::new(0)).collect(), expected, come: AtomicU64::new(0) }
    }

    /// A message has come. It counts only with [`count`](Self::count).
    pub(super) fn note(&self, number: u64) -> Result<(), Failure> {
        if number >= self.expected {
            return Err(Failure::Failed(format!("message {number} came, which was never published")));
        }
        let bit = 1 << (number % 64);
        // Only the bit itself matters: nothing else is passed on with it.
        let before = self.bits[(number / 64) as usize].fetch_or(bit, Ordering::Relaxed);
        if before & bit == 0 { Ok(()) } else { Err(Failure::Failed(format!("message {number} came twice"))) }
    }

    /// So many have been noted and answered. Returns whether those were the last: to one caller only.
    pub(super) fn count(&self, noted: u64) -> bool {
        noted > 0 && self.come.fetch_add(noted, Ordering::AcqRel) + noted == self.expected
    }

    /// How many have been counted.
    pub(super) fn come(&self) -> u64 {
        self.come.load(Ordering::Acquire)
    }

    /// Whether all have come.
    pub(super) fn is_complete(&self) -> bool {
        self.come() == self.expected
    }

    /// What is missing, in words.
    pub(super) fn missing(&self) -> String {
        let first = (0..self.expected).find(|number| {
            self.bits[(number / 64) as usize].load(Ordering::Relaxed) & (1 << (number % 64)) == 0
        });
        let missing = self.expected.saturating_sub(self.come());
        match first {
            Some(first) => {
                format!("{missing} of {} messages never came, the first is {first}", self.expected)
            }
            None => format!("{missing} of {} messages were not answered", self.expected),
        }
    }
}

/// The number that a body begins with.
pub(super) fn number(body: &[u8]) -> Result<u64, Failure> {
    match body.first_chunk::<NUMBER_BYTES>() {
        Some(number) => Ok(u64::from_le_bytes(*number)),
        None => {
            Err(Failure::Failed(format!("a message of {} bytes came, which was never published", body.len())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(outcome: Result<(), Failure>) -> String {
        match outcome {
            Err(Failure::Failed(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_once_is_complete() {
        let seen = Seen::new(130);
        for number in (0..130).rev() {
            seen.note(number).unwrap();
            assert_eq!(seen.count(1), number == 0);
        }
        assert!(seen.is_complete());
    }

    #[test]
    fn what_comes_twice_or_was_never_published_is_told() {
        let seen = Seen::new(65);
        seen.note(64).unwrap();
        assert_eq!(why(seen.note(64)), "message 64 came twice");
        assert_eq!(why(seen.note(65)), "message 65 came, which was never published");
    }

    #[test]
    fn what_is_missing_is_told() {
        let seen = Seen::new(3);
        seen.note(0).unwrap();
        assert!(!seen.count(1));
        assert_eq!(seen.missing(), "2 of 3 messages never came, the first is 1");
    }

    #[test]
    fn a_body_begins_with_its_number() {
        assert_eq!(number(b"\x02\x01\0\0\0\0\0\0rest").unwrap(), 258);
        assert!(number(b"short").is_err());
    }
}
