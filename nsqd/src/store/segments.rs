//! Files of records that are only appended to: their names, and the few of them that are kept open.
//!
//! - `record`: the bytes of one record; `scan`: from one record to the next, and past what is none.
//!
//! The journal keeps everything in such files, the spill its batches.

pub(in crate::store) mod record;
pub(in crate::store) mod scan;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use self::record::{HEADER_BYTES, Header, Location};
use crate::store::files::{File, Files, is_missing};

/// How many segments are open at a time, besides the one that is written.
const OPEN_MAX: usize = 64;

/// The name of a segment's file.
pub(in crate::store) fn name(segment: u32) -> String {
    format!("{segment:016x}.log")
}

/// The number of the segment that a file of this name is, if it is one.
pub(in crate::store) fn parse_name(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 16)?;
    let number = u64::from_str_radix(digits, 16).ok()?.try_into().ok()?;
    (self::name(number) == name).then_some(number)
}

pub(in crate::store) struct Segments {
    files: Arc<dyn Files>,
    /// The one used last is the last.
    open: VecDeque<(u32, Arc<dyn File>)>,
}

impl Segments {
    pub(in crate::store) fn new(files: Arc<dyn Files>) -> Self {
        Self { files, open: VecDeque::new() }
    }

    /// The numbers of those that are here, in order.
    pub(in crate::store) fn list(&self) -> io::Result<Vec<u32>> {
        let mut numbers: Vec<_> = self.files.list()?.iter().filter_map(|name| parse_name(name)).collect();
        numbers.sort();
        Ok(numbers)
    }

    /// Makes a new one that a restart finds.
    pub(in crate::store) fn create(&mut self, segment: u32, beginning: &[u8]) -> io::Result<Arc<dyn File>> {
        let name = name(segment);
        let file = self.files.create(&name)?;
        let written = file.write_at(beginning, 0).and_then(|()| self.files.sync_directory());
        if let Err(error) = written {
            self.remove_new(segment);
            return Err(error);
        }
        self.keep(segment, file.clone());
        Ok(file)
    }

    /// The segment, opened if need be.
    pub(in crate::store) fn file(&mut self, segment: u32) -> io::Result<Arc<dyn File>> {
        let index = self.open.iter().position(|(number, _)| *number == segment);
        if let Some(entry) = index.and_then(|index| self.open.remove(index)) {
            let file = entry.1.clone();
            self.open.push_back(entry);
            return Ok(file);
        }
        let file = self.files.open(&name(segment))?;
        self.keep(segment, file.clone());
        Ok(file)
    }

    /// The record that was written at a place, whose payload is no longer than `payload_bytes_max`. `None`: what is there is not
    /// what was written, or nothing is. An error is the disk's, and condemns nothing.
    pub(in crate::store) fn read(
        &mut self,
        location: Location,
        payload_bytes_max: usize,
    ) -> io::Result<Option<(Header, Bytes)>> {
        let file = match self.file(location.segment) {
            // The segment is gone, and with it what was in it.
            Err(error) if is_missing(&error) => return Ok(None),
            file => file?,
        };
        let mut bytes = vec![0; HEADER_BYTES + payload_bytes_max];
        let read = file.read_at(&mut bytes, location.offset)?;
        bytes.truncate(read);
        let header = Header::parse(&bytes, location);
        let whole = header.filter(|header| header.payload(&bytes, location).is_some());
        Ok(whole.map(|header| {
            let payload = Bytes::from(bytes).slice(HEADER_BYTES..HEADER_BYTES + header.length as usize);
            (header, payload)
        }))
    }

    pub(in crate::store) fn remove(&mut self, segment: u32) -> io::Result<()> {
        self.open.retain(|(number, _)| *number != segment);
        match self.files.remove(&name(segment)) {
            Err(error) if is_missing(&error) => Ok(()),
            outcome => outcome,
        }
    }

    /// Removes one in which nothing is that was acknowledged.
    pub(in crate::store) fn remove_new(&mut self, segment: u32) {
        if let Err(error) = self.remove(segment) {
            tracing::warn!(segment, %error, "could not remove a segment that was not begun; the next start does");
        }
    }

    fn keep(&mut self, segment: u32, file: Arc<dyn File>) {
        self.open.push_back((segment, file));
        if self.open.len() > OPEN_MAX {
            self.open.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_given_here_are_those_of_segments() {
        assert_eq!(parse_name(&name(0x1f)), Some(0x1f));
        assert_eq!(name(0x1f), "000000000000001f.log");
        for other in
            ["index", "1f.log", "000000000000001F.log", "0000000f0000001f.log", "000000000000001f.bad"]
        {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }
}
