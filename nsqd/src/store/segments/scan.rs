//! Reads a segment from one end to the other, record by record, and past what is no record.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::record::{ALIGNMENT, HEADER_BYTES, Header, Kind, Location, looks_like_record};
use crate::store::files::File;

/// How much is read at a time, in bytes.
const READ_BYTES: usize = 1024 * 1024;

pub(in crate::store) struct Scan {
    file: Arc<dyn File>,
    segment: u32,
    /// Where the scan stands: always where a record can begin.
    at: u64,
    end: u64,
    /// What was read last, and where in the segment it begins.
    window: Vec<u8>,
    window_at: u64,
}

/// What is found next.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) enum Found<'a> {
    Record {
        location: Location,
        header: Header,
        payload: &'a [u8],
    },
    /// Bytes that are no record. At the end of a segment they may be what was to be written.
    Nothing(Range<u64>),
}

impl Scan {
    /// Reads `range` of a segment, as far as the file goes.
    pub(in crate::store) fn new(file: Arc<dyn File>, segment: u32, range: Range<u64>) -> io::Result<Self> {
        let end = file.length()?.min(range.end);
        Ok(Self { file, segment, at: range.start, end, window: Vec::new(), window_at: 0 })
    }

    /// `None` at the end.
    pub(in crate::store) fn next(&mut self) -> io::Result<Option<Found<'_>>> {
        let start = self.at;
        while self.at < self.end {
            if let Some(header) = self.record()? {
                if start < self.at {
                    return Ok(Some(Found::Nothing(start..self.at)));
                }
                let location = Location { segment: self.segment, offset: self.at };
                self.at += header.record_bytes();
                let from = (location.offset - self.window_at) as usize + HEADER_BYTES;
                let payload = &self.window[from..from + header.length as usize];
                return Ok(Some(Found::Record { location, header, payload }));
            }
            self.skip()?;
        }
        Ok((start < self.at).then_some(Found::Nothing(start..self.end)))
    }

    /// The record that begins where the scan does, if one does.
    pub(in crate::store) fn first(&mut self) -> io::Result<Option<(Kind, &[u8])>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let Some(header) = self.record()? else { return Ok(None) };
        let from = (self.at - self.window_at) as usize + HEADER_BYTES;
        Ok(Some((header.kind, &self.window[from..from + header.length as usize])))
    }

    /// The header of the record that begins here, and is in the window as a whole.
    fn record(&mut self) -> io::Result<Option<Header>> {
        let location = Location { segment: self.segment, offset: self.at };
        let Some(header) = Header::parse(self.see(HEADER_BYTES)?, location) else {
            return Ok(None);
        };
        let record = self.see(HEADER_BYTES + header.length as usize)?;
        Ok(header.payload(record, location).is_some().then_some(header))
    }

    /// Goes to the next place that looks like a record.
    fn skip(&mut self) -> io::Result<()> {
        self.at += ALIGNMENT as u64;
        while self.at < self.end {
            let seen = self.see(ALIGNMENT)?;
            let Some(index) = seen.chunks(ALIGNMENT).position(looks_like_record) else {
                self.at += (seen.len() as u64).next_multiple_of(ALIGNMENT as u64);
                continue;
            };
            self.at += (index * ALIGNMENT) as u64;
            break;
        }
        Ok(())
    }

    /// What is in the file from here on: at least `length` bytes, if there are as many.
    fn see(&mut self, length: usize) -> io::Result<&[u8]> {
        let wanted = length.min((self.end - self.at) as usize);
        let inside = self.at.checked_sub(self.window_at).map_or(usize::MAX, |skipped| skipped as usize);
        if inside.saturating_add(wanted) > self.window.len() {
            let there = READ_BYTES.max(wanted).min((self.end - self.at) as usize);
            self.window.resize(there, 0);
            let read = self.file.read_at(&mut self.window, self.at)?;
            self.window.truncate(read);
            self.window_at = self.at;
            if read < wanted {
                // The file ends earlier than it did: so does the scan.
                self.end = self.at + read as u64;
            }
            return Ok(&self.window);
        }
        Ok(&self.window[inside..])
    }
}
