//! Puts damaged bytes aside for somebody to look at: never more of them than there is room for.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::store::files::Files;
use crate::store::segments::Segments;

/// The most that is kept of one place, in bytes.
const PLACE_BYTES_MAX: u64 = 1024 * 1024;

/// The most that is kept of all together, in bytes.
const BYTES_MAX: u64 = 8 * 1024 * 1024;

pub(super) struct Aside {
    files: Arc<dyn Files>,
    /// How many bytes are there.
    bytes: u64,
}

impl Aside {
    pub(super) fn open(files: Arc<dyn Files>) -> io::Result<Self> {
        let mut bytes = 0;
        for name in files.list()?.iter().filter(|name| name.ends_with(".bad")) {
            bytes += files.open(name)?.length()?;
        }
        Ok(Self { files, bytes })
    }

    /// Copies what is at a place in a segment, as much of it as can be had. The name of the copy, if there is one.
    pub(super) fn keep(
        &mut self,
        segments: &mut Segments,
        segment: u32,
        range: Range<u64>,
    ) -> Option<String> {
        let name = format!("{segment:016x}-{}.bad", range.start);
        match self.copy(segments, segment, range, &name) {
            Ok(is_there) => is_there.then_some(name),
            Err(error) => {
                tracing::warn!(name, %error, "could not copy damaged bytes of the journal");
                None
            }
        }
    }

    /// Whether there is a copy then.
    fn copy(
        &mut self,
        segments: &mut Segments,
        segment: u32,
        range: Range<u64>,
        name: &str,
    ) -> io::Result<bool> {
        if self.files.open(name).is_ok() {
            // An earlier start found the same.
            return Ok(true);
        }
        let length = (range.end - range.start).min(PLACE_BYTES_MAX).min(BYTES_MAX.saturating_sub(self.bytes));
        let mut bytes = vec![0; length as usize];
        let read = segments.file(segment)?.read_at(&mut bytes, range.start)?;
        bytes.truncate(read);
        if bytes.iter().all(|byte| *byte == 0) {
            // From zeros there is nothing to be had.
            return Ok(false);
        }
        self.files.create(name)?.write_at(&bytes, 0)?;
        self.bytes += read as u64;
        Ok(true)
    }
}
