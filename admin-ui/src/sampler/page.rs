//! The overview as an answer, made once for all who ask for it until the next tick: as it is, and compressed.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// An answer. Cloning costs nothing.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its JSON.
    pub plain: Bytes,
    /// That, compressed with gzip.
    pub gzipped: Bytes,
}

impl Page {
    /// This JSON as an answer.
    #[must_use]
    pub(super) fn new(json: Vec<u8>) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        // Writing to memory does not fail.
        let gzipped = encoder.write_all(&json).and_then(|()| encoder.finish()).unwrap_or_default();
        Self { plain: json.into(), gzipped: gzipped.into() }
    }
}
