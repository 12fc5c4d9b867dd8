//! Data directories as v1.3.0 writes them, and what consumers get of them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use nsq_tests::daemon::new_directory;
use nsq_tests::{Client, Daemon, Message};
use tempfile::TempDir;

/// When the messages were published, in nanoseconds of Unix time; each a millisecond after the one before.
pub(crate) const PUBLISHED_NS: i64 = 1_795_700_563_553_278_064;

/// A message in a queue: its number, which gives time stamp, id and body, and how often it was delivered.
pub(crate) type Queued = (u64, u16);

/// The body of a message.
pub(crate) fn body(number: u64) -> Vec<u8> {
    format!("message {number}").into_bytes()
}

/// The id of a message.
pub(crate) fn id(number: u64) -> String {
    format!("{:016x}", 0x18a9_4d57_8226_9000 + number)
}

/// A record: length, time stamp, attempts, id, body.
pub(crate) fn record(number: u64, attempts: u16, body: &[u8]) -> Vec<u8> {
    let timestamp_ns = PUBLISHED_NS + number as i64 * 1_000_000;
    let length = (26 + body.len()) as u32;
    [
        &length.to_be_bytes()[..],
        &timestamp_ns.to_be_bytes(),
        &attempts.to_be_bytes(),
        id(number).as_bytes(),
        body,
    ]
    .concat()
}

/// The messages of a queue with these numbers, none delivered yet.
pub(crate) fn fresh(numbers: impl IntoIterator<Item = u64>) -> Vec<Queued> {
    numbers.into_iter().map(|number| (number, 0)).collect()
}

/// A data directory of v1.3.0.
pub(crate) struct Directory {
    pub(crate) directory: TempDir,
    topics: Vec<String>,
}

impl Directory {
    pub(crate) fn new() -> Self {
        Self { directory: new_directory(), topics: Vec::new() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), bytes).expect("the directory is writable");
    }

    /// Puts a topic into `nsqd.dat`, with channels of which each is paused or not.
    pub(crate) fn declare(&mut self, topic: &str, paused: bool, channels: &[(&str, bool)]) {
        let channels: Vec<String> = channels
            .iter()
            .map(|(name, paused)| format!(r#"{{"name":"{name}","paused":{paused}}}"#))
            .collect();
        let channels = if channels.is_empty() { "null".into() } else { format!("[{}]", channels.join(",")) };
        self.topics.push(format!(r#"{{"name":"{topic}","paused":{paused},"channels":{channels}}}"#));
        self.write("nsqd.dat", format!(r#"{{"topics":[{}],"version":"1.3.0"}}"#, self.topics.join(",")));
    }

    /// A queue as an orderly stop leaves it, a file for each `per_file` messages, of which `read` were read.
    pub(crate) fn write_queue(&self, queue: &str, messages: &[Queued], per_file: usize, read: usize) {
        let mut positions = format!("{}\n", messages.len() - read);
        let mut place = (0, 0);
        for (number, messages) in messages.chunks(per_file).enumerate() {
            let records =
                messages.iter().map(|(number, attempts)| record(*number, *attempts, &body(*number)));
            let records: Vec<Vec<u8>> = records.collect();
            if read / per_file == number {
                let at: usize = records[..read % per_file].iter().map(Vec::len).sum();
                let _ = writeln!(positions, "{number},{at}");
            }
            place = (number, records.iter().map(Vec::len).sum());
            // What was read through is removed.
            if number >= read / per_file {
                self.write(&format!("{queue}.diskqueue.{number:06}.dat"), records.concat());
            }
        }
        if read == messages.len() && read.is_multiple_of(per_file) {
            let _ = writeln!(positions, "{},{}", place.0, place.1);
        }
        let _ = writeln!(positions, "{},{}", place.0, place.1);
        self.write(&format!("{queue}.diskqueue.meta.dat"), positions);
    }

    pub(crate) fn start(self, flags: &[&str]) -> Daemon {
        Daemon::start_in(self.directory, flags.iter().map(|flag| (*flag).to_owned()).collect())
    }
}

/// The names of the files in a directory, sorted; none if there is no directory.
pub(crate) fn files(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten().filter(|entry| entry.path().is_file());
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// The queue files in a data directory.
pub(crate) fn queue_files(path: &Path) -> Vec<String> {
    files(path).into_iter().filter(|name| name.contains(".diskqueue.")).collect()
}

/// Takes all messages of a channel, of which there must be so many, one after the other.
pub(crate) fn drain(daemon: &Daemon, topic: &str, channel: &str, count: usize) -> Vec<Message> {
    daemon.wait_for_channel(topic, channel, "depth", count as u64);
    let mut consumer = daemon.subscribe(topic, channel);
    let messages = take(&mut consumer, count);
    daemon.wait_for_channel(topic, channel, "depth", 0);
    consumer.expect_silence();
    messages
}

/// Takes and finishes so many messages, one after the other.
pub(crate) fn take(consumer: &mut Client, count: usize) -> Vec<Message> {
    consumer.ready(u32::from(count > 0));
    let message = |index| {
        let message = consumer.expect_message();
        if index == count {
            consumer.ready(0);
        }
        consumer.finish(&message);
        message
    };
    (1..=count).map(message).collect()
}

/// The ids of the messages.
pub(crate) fn ids(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.id.as_str()).collect()
}

/// The ids of the messages with these numbers.
pub(crate) fn ids_of(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(id).collect()
}
