//! A stream of bytes cut into records at a delimiter.
//!
//! Pure. Bytes are bytes: nothing is taken for text. What follows the last delimiter is a record too, whole; empty
//! records are left out, since NSQ has no empty messages.

use bytes::Bytes;

/// Cuts what it is given into records.
#[derive(Debug)]
pub(super) struct Records {
    delimiter: u8,
    /// No record is longer.
    bytes_max: usize,
    /// The beginning of a record whose end has not come yet; never longer than `bytes_max`.
    begun: Vec<u8>,
}

/// A record is longer than allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Records {
    pub(super) fn new(delimiter: u8, bytes_max: usize) -> Self {
        Self { delimiter, bytes_max, begun: Vec::new() }
    }

    /// Takes the next bytes, and gives the records that end in them to `found`. After an error nothing more is to be
    /// taken: the records before the one that is too large have been found.
    pub(super) fn push(&mut self, chunk: &Bytes, mut found: impl FnMut(Bytes)) -> Result<(), TooLarge> {
        let mut from = 0;
        for to in memchr::memchr_iter(self.delimiter, chunk) {
            self.check(to - from)?;
            let piece = chunk.slice(from..to);
            from = to + 1;
            let record = if self.begun.is_empty() {
                piece
            } else {
                self.begun.extend_from_slice(&piece);
                Bytes::from(std::mem::take(&mut self.begun))
            };
            if !record.is_empty() {
                found(record);
            }
        }
        self.check(chunk.len() - from)?;
        self.begun.extend_from_slice(&chunk[from..]);
        Ok(())
    }

    /// What is left when no more bytes come.
    pub(super) fn finish(&mut self) -> Option<Bytes> {
        let last = std::mem::take(&mut self.begun);
        (!last.is_empty()).then(|| Bytes::from(last))
    }

    fn check(&self, more: usize) -> Result<(), TooLarge> {
        if self.begun.len() + more > self.bytes_max { Err(TooLarge) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The records of an input that comes in chunks; an error is shown as a record of its own.
    fn cut(delimiter: u8, bytes_max: usize, chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut records = Records::new(delimiter, bytes_max);
        let mut cut = Vec::new();
        for chunk in chunks {
            let pushed = records.push(&Bytes::copy_from_slice(chunk), |record| cut.push(record.to_vec()));
            if pushed.is_err() {
                cut.push(b"too large".to_vec());
                return cut;
            }
        }
        cut.extend(records.finish().map(|record| record.to_vec()));
        cut
    }

    #[test]
    fn the_last_record_keeps_its_last_byte() {
        for (input, records) in [
            (&b"a\nbb\n\nccc"[..], &[&b"a"[..], b"bb", b"ccc"][..]),
            (b"a\nbb\n\nccc\n", &[b"a", b"bb", b"ccc"]),
            (b"x", &[b"x"]),
            (b"", &[]),
            (b"\n\n\n", &[]),
        ] {
            assert_eq!(cut(b'\n', 100, &[input]), records, "{input:?}");
        }
    }

    #[test]
    fn bytes_are_only_bytes() {
        assert_eq!(cut(0, 100, &[b"\xff\n\r\0\x80\0"]), [&b"\xff\n\r"[..], b"\x80"]);
    }

    #[test]
    fn what_is_too_large_is_noticed_before_it_is_kept() {
        assert_eq!(cut(b'\n', 3, &[b"abc\nabcd\n"]), [&b"abc"[..], b"too large"]);
        assert_eq!(cut(b'\n', 3, &[b"ab", b"c", b"\nab", b"cd"]), [&b"abc"[..], b"too large"]);
        assert_eq!(cut(b'\n', 3, &[b"ab", b"cd\n"]), [b"too large"]);
    }

    proptest! {
        #[test]
        fn where_chunks_end_makes_no_difference(
            input in proptest::collection::vec(0_u8..4, 0..60),
            cuts in proptest::collection::vec(0_usize..60, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(input.len())).collect();
            cuts.extend([0, input.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &input[pair[0]..pair[1]]).collect();
            let expected: Vec<&[u8]> =
                input.split(|byte| *byte == 0).filter(|record| !record.is_empty()).collect();
            prop_assert_eq!(cut(0, 100, &chunks), expected);
        }
    }
}
