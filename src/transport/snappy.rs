//! Snappy's framing format: chunks of a type, a length and a checksum, after an identifier.
//!
//! Public description: framing_format.txt of Snappy. The compression itself is the crate `snap`'s.

use std::io;

use bytes::{Buf, BytesMut};
use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::compressed::{Codec, PLAIN_BYTES_MAX};

/// The chunk that a stream begins with, and may repeat.
const IDENTIFIER: &[u8] = b"\xff\x06\x00\x00sNaPpY";

const COMPRESSED: u8 = 0x00;
const UNCOMPRESSED: u8 = 0x01;
const IDENTIFIER_TYPE: u8 = 0xff;
/// Types from here on may be skipped by who does not know them; below, they may not.
const SKIPPABLE: u8 = 0x80;

/// Type and length, before each chunk.
const HEADER_BYTES: usize = 4;
const CHECKSUM_BYTES: usize = 4;

/// Both directions of a Snappy stream.
#[derive(Debug)]
pub struct Snappy {
    encoder: Encoder,
    decoder: Decoder,
    /// Whether the identifier was sent, and whether it has come.
    has_begun: bool,
    was_begun: bool,
    /// How many bytes of a chunk that means nothing to us are still to be passed over.
    skip: usize,
}

impl Snappy {
    /// A stream that begins.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a codec is made where a stream begins, not by default")]
    pub fn new() -> Self {
        Self { encoder: Encoder::new(), decoder: Decoder::new(), has_begun: false, was_begun: false, skip: 0 }
    }

    fn decode_data(&mut self, kind: u8, chunk: &[u8], plain: &mut BytesMut) -> io::Result<()> {
        let (checksum, data) =
            chunk.split_first_chunk::<CHECKSUM_BYTES>().ok_or_else(|| bad("a chunk without checksum"))?;
        let before = plain.len();
        if kind == UNCOMPRESSED {
            plain.extend_from_slice(data);
        } else {
            // What the chunk claims is looked at before room is made for it.
            let claimed = decompress_len(data).ok().filter(|claimed| *claimed <= PLAIN_BYTES_MAX);
            let claimed = claimed.ok_or_else(|| bad("a chunk that is too large"))?;
            plain.resize(before + claimed, 0);
            let written = self.decoder.decompress(data, &mut plain[before..]);
            written.map_err(|_| bad("a chunk that is not compressed"))?;
        }
        if masked_checksum(&plain[before..]) != u32::from_le_bytes(*checksum) {
            return Err(bad("a wrong checksum"));
        }
        Ok(())
    }
}

impl Codec for Snappy {
    fn encode(&mut self, plain: &[u8], encoded: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.has_begun, true) {
            encoded.extend_from_slice(IDENTIFIER);
        }
        let start = encoded.len();
        let data = start + HEADER_BYTES + CHECKSUM_BYTES;
        encoded.resize(data + max_compress_len(plain.len()), 0);
        let compressed = self.encoder.compress(plain, &mut encoded[data..]).unwrap_or(usize::MAX);
        // What gains less than an eighth is not worth decompressing.
        let kind = if compressed < plain.len() - plain.len() / 8 {
            encoded.truncate(data + compressed);
            COMPRESSED
        } else {
            encoded.truncate(data);
            encoded.extend_from_slice(plain);
            UNCOMPRESSED
        };
        let length = (encoded.len() - start - HEADER_BYTES) as u32;
        encoded[start] = kind;
        encoded[start + 1..start + HEADER_BYTES].copy_from_slice(&length.to_le_bytes()[..3]);
        encoded[start + HEADER_BYTES..data].copy_from_slice(&masked_checksum(plain).to_le_bytes());
    }

    fn flush(&mut self, _encoded: &mut Vec<u8>) {
        // Each chunk stands alone.
    }

    fn decode(&mut self, encoded: &mut BytesMut, plain: &mut BytesMut) -> io::Result<()> {
        let skipped = self.skip.min(encoded.len());
        encoded.advance(skipped);
        self.skip -= skipped;
        let Some(header) = encoded.first_chunk::<HEADER_BYTES>().filter(|_| self.skip == 0) else {
            return Ok(());
        };
        let kind = header[0];
        let length = u32::from_le_bytes([header[1], header[2], header[3], 0]) as usize;
        if !self.was_begun && kind != IDENTIFIER_TYPE {
            return Err(bad("no identifier"));
        }
        match kind {
            SKIPPABLE..IDENTIFIER_TYPE => {
                encoded.advance(HEADER_BYTES);
                self.skip = length;
                return Ok(());
            }
            COMPRESSED | UNCOMPRESSED | IDENTIFIER_TYPE => {}
            _ => return Err(bad("a chunk of a reserved type")),
        }
        // Judged by its header, so that nothing is kept that cannot be in order.
        let length_max = match kind {
            IDENTIFIER_TYPE => IDENTIFIER.len() - HEADER_BYTES,
            UNCOMPRESSED => CHECKSUM_BYTES + PLAIN_BYTES_MAX,
            _ => CHECKSUM_BYTES + max_compress_len(PLAIN_BYTES_MAX),
        };
        if length > length_max {
            return Err(bad("a chunk that is too large"));
        }
        if encoded.len() < HEADER_BYTES + length {
            return Ok(());
        }
        let chunk = encoded.split_to(HEADER_BYTES + length);
        if kind == IDENTIFIER_TYPE {
            self.was_begun = true;
            return if chunk == IDENTIFIER { Ok(()) } else { Err(bad("a wrong identifier")) };
        }
        self.decode_data(kind, &chunk[HEADER_BYTES..], plain)
    }
}

/// The checksum of the format: CRC-32C, turned and moved so that data with checksums in it has none of its own.
fn masked_checksum(plain: &[u8]) -> u32 {
    crc32c::crc32c(plain).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("snappy: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(parts: &[&[u8]]) -> Vec<u8> {
        let (mut snappy, mut encoded) = (Snappy::new(), Vec::new());
        parts.iter().for_each(|part| snappy.encode(part, &mut encoded));
        encoded
    }

    /// Decodes what comes in pieces of this size.
    fn decoded(encoded: &[u8], piece: usize) -> io::Result<Vec<u8>> {
        let (mut snappy, mut input, mut all) = (Snappy::new(), BytesMut::new(), Vec::new());
        for piece in encoded.chunks(piece) {
            input.extend_from_slice(piece);
            loop {
                let (before, mut plain) = (input.len(), BytesMut::new());
                snappy.decode(&mut input, &mut plain)?;
                all.extend_from_slice(&plain);
                if plain.is_empty() && input.len() == before {
                    break;
                }
            }
        }
        Ok(all)
    }

    /// A chunk without its checksum in order.
    fn chunk(kind: u8, length: u32, data: &[u8]) -> Vec<u8> {
        [IDENTIFIER, &[kind], &length.to_le_bytes()[..3], data].concat()
    }

    #[test]
    fn the_first_answer_is_that_of_v1_3_0_to_the_byte() {
        let captured =
            b"\xff\x06\x00\x00sNaPpY\x01\x0e\x00\x00\x26\x98\x2b\xcf\x00\x00\x00\x06\x00\x00\x00\x00OK";
        assert_eq!(encoded(&[b"\0\0\0\x06\0\0\0\0OK"]), captured);
        assert_eq!(decoded(captured, 3).unwrap(), b"\0\0\0\x06\0\0\0\0OK");
    }

    #[test]
    fn what_repeats_is_compressed() {
        let plain = vec![b'x'; PLAIN_BYTES_MAX];
        let encoded = encoded(&[&plain, &plain]);
        assert!(encoded.len() < PLAIN_BYTES_MAX / 5);
        assert_eq!(decoded(&encoded, 1000).unwrap(), [plain.clone(), plain].concat());
    }

    #[test]
    fn chunks_that_mean_nothing_are_passed_over() {
        let padding = [&[0xfe, 5, 0, 0][..], b"12345", &[0x80, 0, 0, 0]].concat();
        let stream = [IDENTIFIER, &padding, IDENTIFIER, &encoded(&[b"text"])].concat();
        for piece in 1..stream.len() {
            assert_eq!(decoded(&stream, piece).unwrap(), b"text");
        }
    }

    #[test]
    fn what_is_no_snappy_stream_is_refused() {
        let claims_4_gib = [&[0; 4][..], b"\xff\xff\xff\xff\x0f"].concat();
        let mut wrong_checksum = encoded(&[b"text"]);
        *wrong_checksum.last_mut().unwrap() += 1;
        for (stream, why) in [
            (b"PUB t\n".to_vec(), "snappy: no identifier"),
            (encoded(&[b"text"])[IDENTIFIER.len()..].to_vec(), "snappy: no identifier"),
            (b"\xff\x06\x00\x00sNaPpy".to_vec(), "snappy: a wrong identifier"),
            (b"\xff\x07\x00\x00sNaPpY!".to_vec(), "snappy: a chunk that is too large"),
            (chunk(0x02, 1, b"x"), "snappy: a chunk of a reserved type"),
            (chunk(COMPRESSED, 3, b"xyz"), "snappy: a chunk without checksum"),
            (chunk(COMPRESSED, 9, &claims_4_gib), "snappy: a chunk that is too large"),
            (chunk(COMPRESSED, 6, b"xxxx\x05x"), "snappy: a chunk that is not compressed"),
            (chunk(COMPRESSED, 0xff_ffff, b""), "snappy: a chunk that is too large"),
            (chunk(UNCOMPRESSED, 65_541, b""), "snappy: a chunk that is too large"),
            (wrong_checksum, "snappy: a wrong checksum"),
        ] {
            assert_eq!(decoded(&stream, 4).unwrap_err().to_string(), why, "{}", stream.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_can_be_decoded(
            parts in proptest::collection::vec(proptest::collection::vec(0..4_u8, 0..2_000), 0..5),
            piece in 1..3_000_usize,
        ) {
            let encoded = encoded(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
            prop_assert_eq!(decoded(&encoded, piece).unwrap(), parts.concat());
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decoded(&bytes, 50);
            let _ = decoded(&[IDENTIFIER, &bytes].concat(), 50);
        }
    }
}
