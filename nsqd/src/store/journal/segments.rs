//! The segment files: their names, and the few of them that are kept open.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::store::files::{File, Files};

/// How many segments are open at a time, besides the one that is written.
const OPEN_MAX: usize = 64;

/// The name of a segment's file.
pub(super) fn name(segment: u32) -> String {
    format!("{segment:016x}.log")
}

/// The number of the segment that a file of this name is, if it is one.
pub(super) fn parse_name(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 16)?;
    let number = u64::from_str_radix(digits, 16).ok()?.try_into().ok()?;
    (self::name(number) == name).then_some(number)
}

pub(super) struct Segments {
    files: Arc<dyn Files>,
    /// The one used last is the last.
    open: VecDeque<(u32, Arc<dyn File>)>,
}

impl Segments {
    pub(super) fn new(files: Arc<dyn Files>) -> Self {
        Self { files, open: VecDeque::new() }
    }

    /// The numbers of those that are here, in order.
    pub(super) fn list(&self) -> io::Result<Vec<u32>> {
        let mut numbers: Vec<_> = self.files.list()?.iter().filter_map(|name| parse_name(name)).collect();
        numbers.sort();
        Ok(numbers)
    }

    /// Makes a new one that a restart finds.
    pub(super) fn create(&mut self, segment: u32, beginning: &[u8]) -> io::Result<Arc<dyn File>> {
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
    pub(super) fn file(&mut self, segment: u32) -> io::Result<Arc<dyn File>> {
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

    pub(super) fn remove(&mut self, segment: u32) -> io::Result<()> {
        self.open.retain(|(number, _)| *number != segment);
        match self.files.remove(&name(segment)) {
            Err(error) if crate::store::files::is_missing(&error) => Ok(()),
            outcome => outcome,
        }
    }

    /// Removes one in which nothing is that was acknowledged.
    pub(super) fn remove_new(&mut self, segment: u32) {
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
