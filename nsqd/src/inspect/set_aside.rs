//! What was set aside because it was damaged: which files there are, and the messages in them that are whole.

use std::io;
use std::path::Path;

use bytes::Bytes;
use nsq::wire::message::{MessageId, MessageRef};
use nsq::wire::name::TopicName;

use super::frames::{Frames, is_plausible};
use super::spill::{Spill, is_bad, names};
use super::{DEPTH_MAX, DataDirectory, InspectError, bytes_below, log_error, within};
use crate::store::sled::wreck::Wreck;
use crate::store::{JOURNAL_DIRECTORY, SPILL_DIRECTORY};

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

/// Messages back to back, of a topic.
struct Found {
    topic: Option<TopicName>,
    topic_number: u32,
    is_checked: bool,
    records: Bytes,
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

    /// Reads what was set aside, as far as there are whole messages in it, and calls `each` with them. A message comes as
    /// often as it is there. An error of `each`, or of `tick`, which is called while files are copied, ends the reading.
    ///
    /// # Errors
    /// The disk refused.
    pub fn read_set_aside(
        &mut self,
        tick: &mut dyn FnMut() -> io::Result<()>,
        each: &mut dyn FnMut(SetAsideMessage<'_>) -> io::Result<()>,
    ) -> Result<(), InspectError> {
        for SetAside { file, .. } in self.set_aside() {
            let path = self.path.join(&file);
            let failed = |error| InspectError::Disk(path.clone(), error);
            let mut say = |found: Found| found.say(&file, each).map_err(InspectError::Caller);
            match file.split_once('/') {
                Some((JOURNAL_DIRECTORY, name)) => {
                    for (number, topic, batch) in self.journal.set_aside(name).map_err(failed)? {
                        let records = batch.records;
                        say(Found { topic, topic_number: number.0, is_checked: true, records })?;
                    }
                }
                _ if path.is_dir() => {
                    let home = self.path.join(SPILL_DIRECTORY);
                    let mut database = within(&path, tick, |tick| Spill::open_set_aside(&path, &home, tick))?;
                    let disk = |error| failed(log_error(error));
                    let topics = database.topics().map_err(disk)?;
                    if !database.damage().is_empty() {
                        say_wreck(&path, &home, &mut say)?;
                        continue;
                    }
                    for topic in topics {
                        for summary in &topic.batches {
                            let Some(batch) = database.read(topic.number, summary).map_err(disk)? else {
                                continue;
                            };
                            let (number, name) = (topic.number.0, Some(topic.image.name));
                            let records = batch.records;
                            say(Found { topic: name, topic_number: number, is_checked: true, records })?;
                        }
                    }
                }
                Some((_, name)) => {
                    let Some(topic_number) = parse_batch(name) else { continue };
                    let records = std::fs::read(&path).map_err(failed)?.into();
                    let saved = self.saved.iter().find(|saved| saved.number.0 == topic_number);
                    let topic = saved.map(|saved| saved.image.name);
                    say(Found { topic, topic_number, is_checked: false, records })?;
                }
                None => {}
            }
        }
        for file in self.broken_databases() {
            let mut say = |found: Found| found.say(&file, each).map_err(InspectError::Caller);
            say_wreck(&self.path.join(&file), &self.path.join(SPILL_DIRECTORY), &mut say)?;
        }
        Ok(())
    }

    /// The databases that a start sets aside, relative to the data directory.
    fn broken_databases(&self) -> Vec<String> {
        let damaged = self.spill.iter().flat_map(Spill::damage).map(|(name, _)| name);
        damaged.filter(|name| !name.is_empty()).map(|name| format!("{SPILL_DIRECTORY}/{name}")).collect()
    }
}

/// Reads a database that sled cannot open.
fn say_wreck(
    path: &Path,
    home: &Path,
    say: &mut dyn FnMut(Found) -> Result<(), InspectError>,
) -> Result<(), InspectError> {
    let disk = |error| InspectError::Disk(path.to_owned(), error);
    let mut wreck = match Wreck::open(path, home) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        wreck => wreck.map_err(disk)?,
    };
    let mut refused = None;
    let outcome = wreck.read(&mut |number, topic, batch| {
        let records = batch.records;
        let said = say(Found { topic, topic_number: number.0, is_checked: true, records });
        said.map_err(|error| {
            refused = Some(error);
            io::ErrorKind::Other.into()
        })
    });
    refused.map_or_else(|| outcome.map_err(disk), Err)
}

impl Found {
    fn say(self, file: &str, each: &mut dyn FnMut(SetAsideMessage<'_>) -> io::Result<()>) -> io::Result<()> {
        let Self { topic, topic_number, is_checked, records } = self;
        for message in Frames::of(&records).filter(|message| is_checked || is_plausible(message)) {
            let MessageRef { timestamp_ns, id, body, .. } = message;
            each(SetAsideMessage { file, topic, topic_number, is_checked, id, timestamp_ns, body })?;
        }
        Ok(())
    }
}

/// The number of the topic whose batch the spill set aside under this name.
fn parse_batch(name: &str) -> Option<u32> {
    let (topic, first) = name.strip_suffix(".bad")?.strip_prefix("batch-")?.split_once('-')?;
    first.parse::<u64>().ok()?;
    topic.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_of_a_piece_stands_in_its_name() {
        assert_eq!(parse_batch("batch-7-4096.bad"), Some(7));
        for other in ["batch-7.bad", "batch-7-x.bad", "batch--1.bad", "epoch-1.5.bad", "batch-7-1"] {
            assert_eq!(parse_batch(other), None, "{other}");
        }
    }
}
