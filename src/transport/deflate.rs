//! Raw Deflate (RFC 1951): one stream without head or end in each direction, flushed to a byte.
//!
//! The compression itself is the crate `flate2`'s.

use std::fmt;
use std::io;

use bytes::{Buf, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::compressed::Codec;

/// How much room is made for output at a time, in bytes.
const OUTPUT_BYTES: usize = 16 * 1024;

/// Both directions of a Deflate stream.
pub struct Deflate {
    compress: Compress,
    decompress: Decompress,
    /// Whether the other end has finished its stream: what comes then means nothing.
    is_finished: bool,
}

impl Deflate {
    /// A stream that begins. Its level is 1, the fastest, to 9, the smallest.
    #[must_use]
    pub fn new(level: u32) -> Self {
        Self {
            compress: Compress::new(Compression::new(level.clamp(1, 9)), false),
            decompress: Decompress::new(false),
            is_finished: false,
        }
    }

    fn run(&mut self, mut plain: &[u8], encoded: &mut Vec<u8>, flush: FlushCompress) {
        loop {
            encoded.reserve(OUTPUT_BYTES);
            let before = self.compress.total_in();
            let done = self.compress.compress_vec(plain, encoded, flush);
            debug_assert!(done.is_ok(), "any bytes can be compressed");
            plain = &plain[(self.compress.total_in() - before) as usize..];
            // With room left over, nothing more is to come.
            if plain.is_empty() && encoded.len() < encoded.capacity() {
                return;
            }
        }
    }
}

impl fmt::Debug for Deflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflate").field("is_finished", &self.is_finished).finish_non_exhaustive()
    }
}

impl Codec for Deflate {
    fn encode(&mut self, plain: &[u8], encoded: &mut Vec<u8>) {
        self.run(plain, encoded, FlushCompress::None);
    }

    fn flush(&mut self, encoded: &mut Vec<u8>) {
        self.run(&[], encoded, FlushCompress::Sync);
    }

    fn decode(&mut self, encoded: &mut BytesMut, plain: &mut BytesMut) -> io::Result<()> {
        if self.is_finished {
            encoded.clear();
            return Ok(());
        }
        let before = plain.len();
        plain.resize(before + OUTPUT_BYTES, 0);
        let (taken, given) = (self.decompress.total_in(), self.decompress.total_out());
        let done = self.decompress.decompress(encoded, &mut plain[before..], FlushDecompress::Sync);
        let given = (self.decompress.total_out() - given) as usize;
        plain.truncate(before + given);
        encoded.advance((self.decompress.total_in() - taken) as usize);
        match done {
            Ok(Status::StreamEnd) => self.is_finished = true,
            Ok(Status::Ok | Status::BufError) => {}
            Err(error) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("deflate: {error}")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::compressed::PLAIN_BYTES_MAX;
    use proptest::prelude::*;

    /// Decodes what comes in pieces of this size.
    fn decoded(encoded: &[u8], piece: usize) -> io::Result<Vec<u8>> {
        let (mut deflate, mut input, mut all) = (Deflate::new(6), BytesMut::new(), Vec::new());
        for piece in encoded.chunks(piece) {
            input.extend_from_slice(piece);
            loop {
                let (before, mut plain) = (input.len(), BytesMut::new());
                deflate.decode(&mut input, &mut plain)?;
                assert!(plain.len() <= PLAIN_BYTES_MAX);
                all.extend_from_slice(&plain);
                if plain.is_empty() && input.len() == before {
                    break;
                }
            }
        }
        Ok(all)
    }

    #[test]
    fn everything_is_there_after_a_flush_which_ends_with_an_empty_block() {
        let (mut deflate, mut encoded) = (Deflate::new(6), Vec::new());
        for text in ["first", "second"] {
            deflate.encode(text.as_bytes(), &mut encoded);
            deflate.flush(&mut encoded);
            assert!(encoded.ends_with(b"\x00\x00\xff\xff"));
        }
        assert_eq!(decoded(&encoded, 3).unwrap(), b"firstsecond");
    }

    #[test]
    fn what_expands_a_thousand_times_comes_in_small_steps() {
        let (mut deflate, mut encoded) = (Deflate::new(9), Vec::new());
        for _ in 0..64 {
            deflate.encode(&[0; PLAIN_BYTES_MAX], &mut encoded);
        }
        deflate.flush(&mut encoded);
        assert!(encoded.len() < PLAIN_BYTES_MAX / 10);
        assert_eq!(decoded(&encoded, 1_000).unwrap().len(), 64 * PLAIN_BYTES_MAX);
    }

    #[test]
    fn what_comes_behind_the_end_of_a_stream_means_nothing() {
        // An empty last block of fixed codes.
        assert_eq!(decoded(b"\x03\x00PUB t\n", 1).unwrap(), b"");
    }

    #[test]
    fn what_is_no_deflate_stream_is_refused() {
        let error = decoded(b"\xff\xff\xff\xff", 4).unwrap_err();
        assert!(error.to_string().starts_with("deflate: "), "{error}");
    }

    proptest! {
        #[test]
        fn what_was_encoded_can_be_decoded(
            parts in proptest::collection::vec(proptest::collection::vec(0..4_u8, 0..2_000), 0..5),
            level in 0..12_u32,
            piece in 1..3_000_usize,
        ) {
            let (mut deflate, mut encoded) = (Deflate::new(level), Vec::new());
            for part in &parts {
                deflate.encode(part, &mut encoded);
                deflate.flush(&mut encoded);
            }
            prop_assert_eq!(decoded(&encoded, piece).unwrap(), parts.concat());
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decoded(&bytes, 50);
        }
    }
}
