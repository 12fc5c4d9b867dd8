//! A server-sent event, made once for all who are told it: as it is, and as a part of a compressed stream.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::DeflateEncoder;

/// What a stream of gzip begins with. Its end, with a checksum, never comes.
pub const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// An event. Cloning costs nothing.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its text.
    pub plain: Bytes,
    /// That in blocks of deflate which end at a whole byte and look back at nothing before them: those of any events make a
    /// stream in any order, so a viewer's stream is compressed by nobody.
    pub deflated: Bytes,
}

impl Event {
    /// An event of that name. JSON as Go writes it has no line breaks.
    #[must_use]
    pub fn new(name: &str, json: &[u8]) -> Self {
        let plain = [b"event: ", name.as_bytes(), b"\ndata: ", json, b"\n\n"].concat();
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        // Writing to memory does not fail.
        let _ = encoder.write_all(&plain).and_then(|()| encoder.flush());
        let deflated = std::mem::take(encoder.get_mut());
        Self { plain: plain.into(), deflated: deflated.into() }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn compressed_events_in_any_order_are_a_stream() {
        let long = "1234567890".repeat(20_000);
        let [one, two] = ["[1]", &long].map(|json| Event::new("update", json.as_bytes()));
        assert!(two.deflated.len() < two.plain.len() / 50);
        let sent = [&GZIP_HEAD[..], &one.deflated, &two.deflated, &two.deflated, &one.deflated].concat();
        let expected = [one.plain.clone(), two.plain.clone(), two.plain, one.plain].concat();
        let mut heard = vec![0; expected.len()];
        GzDecoder::new(&*sent).read_exact(&mut heard).unwrap();
        assert!(heard == expected);
    }
}
