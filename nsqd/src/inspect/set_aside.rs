//! What was set aside because it was damaged, or is damaged where it is: which files there are, and the messages in them that
//! can be read.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;

use nsq::wire::message::{MessageId, MessageRef};
use nsq::wire::name::TopicName;
use nsqd_broker::storage::Position;

use super::frames::Frames;
use super::legible::Legible;
use super::spill::{Spill, is_bad, names};
use super::{DEPTH_MAX, Damaged, DataDirectory, InspectError, bytes_below, log_error, within};
use crate::store::remains::{Claim, gaps};
use crate::store::sled::BODIES_DIRECTORY;
use crate::store::sled::wreck::Wreck;
use crate::store::{JOURNAL_DIRECTORY, SPILL_DIRECTORY, SavedTopic, TopicNumber};

/// A file or directory that was set aside because it was damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Where, relative to the data directory.
    pub file: String,
    /// How long it is; of a directory, all that is in it.
    pub bytes: u64,
}

/// A message in what was set aside. It may have been delivered since, from elsewhere.
#[derive(Debug)]
pub struct SetAsideMessage<'a> {
    /// Where it was found, relative to the data directory.
    pub file: &'a str,
    /// The topic, where that is known.
    pub topic: Option<TopicName>,
    /// The topic's number in the store.
    pub topic_number: u32,
    /// Whether a checksum says that it is what was published.
    pub is_checked: bool,
    /// Its id.
    pub id: MessageId,
    /// When it was published, in nanoseconds of Unix time.
    pub timestamp_ns: i64,
    /// What was published.
    pub body: &'a [u8],
}

impl DataDirectory {
    /// What was set aside, by name.
    pub fn set_aside(&self) -> Vec<SetAside> {
        let mut found = Vec::new();
        for directory in [JOURNAL_DIRECTORY, SPILL_DIRECTORY] {
            let home = self.path.join(directory);
            for name in names(&home).unwrap_or_default().into_iter().filter(|name| is_bad(name)) {
                let bytes = bytes_below(&home.join(&name), DEPTH_MAX);
                found.push(SetAside { file: format!("{directory}/{name}"), bytes });
            }
        }
        found
    }

    /// Reads what was set aside and what is damaged, as far as there are messages in it, and calls `each` with them. What is
    /// damaged is known when everything was [read](Self::read). A message comes as often as it is there. An error of `each`, or
    /// of `tick`, which is called while files are copied, ends the reading.
    ///
    /// # Errors
    /// The disk refused.
    pub fn read_set_aside(
        &mut self,
        tick: &mut dyn FnMut() -> io::Result<()>,
        each: &mut dyn FnMut(SetAsideMessage<'_>) -> io::Result<()>,
    ) -> Result<(), InspectError> {
        let (set_aside, damaged, broken) = (self.set_aside(), self.damaged(), self.broken_databases());
        let home = self.path.join(SPILL_DIRECTORY);
        let pieces: Vec<_> = set_aside.iter().filter_map(place_of_piece).collect();
        let mut teller = Teller { home: &self.path, saved: &self.saved, tick, each };
        for SetAside { file, .. } in set_aside {
            let path = self.path.join(&file);
            let failed = |error| InspectError::Disk(path.clone(), error);
            match file.split_once('/') {
                Some((JOURNAL_DIRECTORY, name)) => {
                    let piece = self.journal.set_aside(name).map_err(failed)?;
                    for (number, topic, batch) in piece.batches {
                        teller.whole(&file, number, topic, &batch.records)?;
                    }
                    for gap in piece.gaps {
                        teller.legible(&file, gap, None)?;
                    }
                }
                _ if path.is_dir() => read_database(&path, &file, &home, &mut teller)?,
                Some((_, name)) => {
                    let Some(batch) = parse_batch(name) else { continue };
                    teller.legible(&file, 0..u64::MAX, Some(batch))?;
                }
                None => {}
            }
        }
        for file in broken {
            read_wreck(&self.path.join(&file), &file, &home, &mut teller)?;
        }
        for Damaged { file, bytes, .. } in damaged {
            let Some(bytes) = bytes.filter(|_| file.ends_with(".log")) else { continue };
            // What was set aside is damaged where it was, too.
            let is_read = |(of, piece): &(String, Range<u64>)| {
                *of == file && piece.start <= bytes.start && bytes.end <= piece.end
            };
            if !pieces.iter().any(is_read) {
                teller.legible(&file, bytes, None)?;
            }
        }
        Ok(())
    }

    /// The databases that a start sets aside, relative to the data directory.
    fn broken_databases(&self) -> Vec<String> {
        let damaged = self.spill.iter().flat_map(Spill::damage).map(|(name, _)| name);
        damaged.filter(|name| !name.is_empty()).map(|name| format!("{SPILL_DIRECTORY}/{name}")).collect()
    }
}

/// Reads a database that was set aside: the directory `path`, which is `file` in the data directory.
fn read_database(path: &Path, file: &str, home: &Path, teller: &mut Teller<'_>) -> Result<(), InspectError> {
    let mut database = within(path, teller.tick, |tick| Spill::open_set_aside(path, home, tick))?;
    let disk = |error| InspectError::Disk(path.to_owned(), log_error(error));
    let topics = database.topics().map_err(disk)?;
    if !database.damage().is_empty() {
        return read_wreck(path, file, home, teller);
    }
    for topic in topics {
        for summary in &topic.batches {
            if let Some(batch) = database.read(topic.number, summary).map_err(disk)? {
                teller.whole(file, topic.number, Some(topic.image.name), &batch.records)?;
            } else if let Some((place, bytes)) = database.place(topic.number, summary).map_err(disk)? {
                let directory = if path.join(&place).exists() { file } else { SPILL_DIRECTORY };
                teller.legible(&format!("{directory}/{place}"), bytes, None)?;
            }
        }
    }
    Ok(())
}

/// Reads a database that sled cannot open.
fn read_wreck(path: &Path, file: &str, home: &Path, teller: &mut Teller<'_>) -> Result<(), InspectError> {
    let disk = |error| InspectError::Disk(path.to_owned(), error);
    let mut wreck = match Wreck::open(path, home) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        wreck => wreck.map_err(disk)?,
    };
    let mut refused = None;
    let outcome = wreck.read(&mut |number, topic, batch| {
        teller.whole(file, number, topic, &batch.records).map_err(|error| {
            refused = Some(error);
            io::ErrorKind::Other.into()
        })
    });
    refused.map_or_else(|| outcome.map_err(disk), Err)?;
    let directory = if path.join(BODIES_DIRECTORY).is_dir() { file } else { SPILL_DIRECTORY };
    let directory = format!("{directory}/{BODIES_DIRECTORY}");
    for (name, bytes) in gaps(&teller.home.join(&directory)).map_err(disk)? {
        teller.legible(&format!("{directory}/{name}"), bytes, None)?;
    }
    Ok(())
}

/// How much is read of one damaged place, in bytes: twice what a file of records mostly has. What is beyond is left out.
const PLACE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Says which messages there are.
struct Teller<'a> {
    /// The data directory.
    home: &'a Path,
    saved: &'a [SavedTopic],
    tick: &'a mut dyn FnMut() -> io::Result<()>,
    each: &'a mut dyn FnMut(SetAsideMessage<'_>) -> io::Result<()>,
}

impl Teller<'_> {
    /// Says those of a batch whose checksum is right.
    fn whole(
        &mut self,
        file: &str,
        number: TopicNumber,
        topic: Option<TopicName>,
        records: &[u8],
    ) -> Result<(), InspectError> {
        for message in Frames::of(records) {
            self.say(file, number, topic, true, &message)?;
        }
        Ok(())
    }

    /// Says those that can be read at a damaged place. Whose they are, the place says; or it is what is left of a `batch`.
    fn legible(
        &mut self,
        file: &str,
        place: Range<u64>,
        batch: Option<(TopicNumber, Position)>,
    ) -> Result<(), InspectError> {
        (self.tick)().map_err(InspectError::Caller)?;
        let path = self.home.join(file);
        let bytes = read(&path, place).map_err(|error| InspectError::Disk(path, error))?;
        let claim = batch.map(|(topic, first)| Claim::of_payload(topic, first, &bytes));
        for (claim, message) in Legible::of(&bytes, claim) {
            let number = claim.map_or(TopicNumber(0), |claim| claim.topic);
            let known = || Some(self.saved.iter().find(|saved| saved.number == number)?.image.name);
            let topic = claim.and_then(|claim| claim.name).or_else(known);
            self.say(file, number, topic, false, &message)?;
        }
        Ok(())
    }

    fn say(
        &mut self,
        file: &str,
        number: TopicNumber,
        topic: Option<TopicName>,
        is_checked: bool,
        message: &MessageRef<'_>,
    ) -> Result<(), InspectError> {
        let (topic_number, MessageRef { timestamp_ns, id, body, .. }) = (number.0, *message);
        (self.each)(SetAsideMessage { file, topic, topic_number, is_checked, id, timestamp_ns, body })
            .map_err(InspectError::Caller)
    }
}

/// What is at a place in a file, as far as there is something.
fn read(path: &Path, place: Range<u64>) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    file.seek(SeekFrom::Start(place.start))?;
    let mut bytes = Vec::new();
    let length = place.end.saturating_sub(place.start).min(PLACE_BYTES_MAX);
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Which bytes of which file the journal set aside under this name.
fn place_of_piece(SetAside { file, bytes }: &SetAside) -> Option<(String, Range<u64>)> {
    let (segment, start) = file.strip_suffix(".bad")?.split_once('-')?;
    let start = start.parse::<u64>().ok()?;
    segment
        .starts_with(JOURNAL_DIRECTORY)
        .then(|| (format!("{segment}.log"), start..start.saturating_add(*bytes)))
}

/// The topic whose batch the spill set aside under this name, and the batch's place in it.
fn parse_batch(name: &str) -> Option<(TopicNumber, Position)> {
    let (topic, first) = name.strip_suffix(".bad")?.strip_prefix("batch-")?.split_once('-')?;
    Some((TopicNumber(topic.parse().ok()?), first.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_of_a_piece_stands_in_its_name() {
        assert_eq!(parse_batch("batch-7-4096.bad"), Some((TopicNumber(7), 4096)));
        for other in ["batch-7.bad", "batch-7-x.bad", "batch--1.bad", "epoch-1.5.bad", "batch-7-1"] {
            assert_eq!(parse_batch(other), None, "{other}");
        }
    }
}
