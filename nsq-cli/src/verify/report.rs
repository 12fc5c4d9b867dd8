//! What a check found, as text and as JSON.

use std::fmt;
use std::path::Path;

use nsqd::inspect::{Channel, Damaged, DataDirectory, Durability, Place, SetAside, Topic};
use serde_json::{Value, json};

use crate::failure::printable;

/// What was found.
#[derive(Debug)]
pub(super) struct Report {
    data_path: String,
    topics: Vec<TopicReport>,
    queue_files: Vec<(String, u64)>,
    set_aside: Vec<SetAside>,
    damaged: Vec<Damaged>,
    journal_bytes: u64,
    spill_bytes: u64,
    queue_file_bytes: u64,
}

#[derive(Debug, Default)]
struct TopicReport {
    name: String,
    durability: Option<Durability>,
    places: Vec<Place>,
    paused: bool,
    messages: u64,
    bytes: u64,
    lost: u64,
    waiting: u64,
    channels: Vec<Channel>,
}

impl Report {
    pub(super) fn of(directory: &DataDirectory, path: &Path, now_unix_ns: i64) -> Self {
        let empty = directory.empty_topics().into_iter();
        let empty = empty.map(|name| TopicReport { name: name.to_string(), ..TopicReport::default() });
        let topics = directory.topics().iter().map(|topic| TopicReport::of(topic, now_unix_ns));
        let mut topics: Vec<_> = topics.chain(empty).collect();
        topics.sort_by(|one, other| one.name.cmp(&other.name));
        let queue_files = directory.queue_files().iter().map(|file| (file.name.clone(), file.messages));
        Self {
            data_path: path.display().to_string(),
            topics,
            queue_files: queue_files.collect(),
            set_aside: directory.set_aside(),
            damaged: directory.damaged(),
            journal_bytes: directory.bytes_of(Place::Journal),
            spill_bytes: directory.bytes_of(Place::Spill),
            queue_file_bytes: directory.bytes_of(Place::QueueFiles),
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.damaged.is_empty()
    }

    /// How many messages are known to have been in what is damaged, whether the topic is known or not.
    fn lost(&self) -> u64 {
        self.damaged.iter().map(|damaged| damaged.messages).sum()
    }

    pub(super) fn to_json(&self) -> Value {
        let damaged = self.damaged.iter().map(|damaged| {
            let bytes = damaged.bytes.as_ref().map(|bytes| [bytes.start, bytes.end]);
            json!({"file": damaged.file, "bytes": bytes, "what": damaged.what, "messages": damaged.messages})
        });
        let set_aside = self.set_aside.iter().map(|aside| json!({"file": aside.file, "bytes": aside.bytes}));
        let queue_files =
            self.queue_files.iter().map(|(file, messages)| json!({"file": file, "messages": messages}));
        json!({
            "data_path": self.data_path,
            "is_whole": self.is_whole(),
            "lost": self.lost(),
            "topics": self.topics.iter().map(TopicReport::to_json).collect::<Vec<_>>(),
            "damaged": damaged.collect::<Vec<_>>(),
            "set_aside": set_aside.collect::<Vec<_>>(),
            "queue_files": queue_files.collect::<Vec<_>>(),
            "bytes": {
                "journal": self.journal_bytes,
                "spill": self.spill_bytes,
                "queue_files": self.queue_file_bytes,
            },
        })
    }
}

impl TopicReport {
    fn of(topic: &Topic, now_unix_ns: i64) -> Self {
        Self {
            name: topic.name().to_string(),
            durability: topic.durability(),
            places: topic.places.iter().copied().collect(),
            paused: topic.is_paused(),
            messages: topic.messages(),
            bytes: topic.bytes(),
            lost: topic.lost,
            waiting: topic.waiting(),
            channels: topic.channels(now_unix_ns),
        }
    }

    /// Its level. Where none was chosen for it, what its place says of the flags.
    fn level(&self) -> String {
        match self.durability {
            Some(level) => level.to_string(),
            None if self.places.contains(&Place::Journal) => "os or disk, as the flags say".to_owned(),
            None if self.places.contains(&Place::Spill) => "memory, as the flags say".to_owned(),
            None => "as the flags say".to_owned(),
        }
    }

    fn to_json(&self) -> Value {
        let channels = self.channels.iter().map(|channel| {
            json!({
                "channel": channel.name.to_string(),
                "paused": channel.paused,
                "ready": channel.ready,
                "deferred": channel.deferred,
            })
        });
        json!({
            "topic": self.name,
            "durability": self.durability.map(|level| level.to_string()),
            "kept_in": self.places.iter().map(|place| place_name(*place)).collect::<Vec<_>>(),
            "paused": self.paused,
            "messages": self.messages,
            "bytes": self.bytes,
            "lost": self.lost,
            "waiting": self.waiting,
            "channels": channels.collect::<Vec<_>>(),
        })
    }
}

fn place_name(place: Place) -> &'static str {
    match place {
        Place::Journal => "journal",
        Place::Spill => "spill",
        Place::QueueFiles => "queue_files",
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for topic in &self.topics {
            topic.fmt(f)?;
        }
        if !self.queue_files.is_empty() {
            writeln!(f, "queue files of v1.3.0, which the next start imports:")?;
            for (file, messages) in &self.queue_files {
                writeln!(f, "  {}: {}", printable(file), count(*messages, "message"))?;
            }
        }
        if !self.set_aside.is_empty() {
            writeln!(f, "set aside before:")?;
            for SetAside { file, bytes } in &self.set_aside {
                writeln!(f, "  {}: {bytes} bytes", printable(file))?;
            }
        }
        if !self.damaged.is_empty() {
            writeln!(f, "damaged:")?;
            for Damaged { file, bytes, what, .. } in &self.damaged {
                let file = printable(file);
                match bytes {
                    Some(bytes) => writeln!(f, "  {file}, bytes {} to {}: {what}", bytes.start, bytes.end)?,
                    None => writeln!(f, "  {file}: {what}")?,
                }
            }
        }
        writeln!(
            f,
            "{} bytes in journal, {} in spill, {} in queue files of v1.3.0",
            self.journal_bytes, self.spill_bytes, self.queue_file_bytes
        )?;
        let messages = self.topics.iter().map(|topic| topic.messages).sum();
        write!(f, "{}, {}: ", count(self.topics.len() as u64, "topic"), count(messages, "whole message"))?;
        match self.damaged.len() as u64 {
            0 => writeln!(f, "nothing is damaged"),
            places => writeln!(
                f,
                "{} damaged, {} known to be lost (`nsq salvage` gets out what can be had)",
                count(places, "place"),
                count(self.lost(), "message")
            ),
        }
    }
}

impl fmt::Display for TopicReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paused = |paused| if paused { ", paused" } else { "" };
        write!(f, "topic {} ({}{}): ", self.name, self.level(), paused(self.paused))?;
        write!(f, "{} kept, {} bytes", count(self.messages, "message"), self.bytes)?;
        if self.lost > 0 {
            write!(f, ", {} lost", count(self.lost, "message"))?;
        }
        writeln!(f)?;
        if self.waiting > 0 {
            writeln!(f, "  waiting for a channel: {}", self.waiting)?;
        }
        for channel in &self.channels {
            let Channel { name, ready, deferred, .. } = channel;
            writeln!(f, "  channel {name}{}: {ready} ready, {deferred} deferred", paused(channel.paused))?;
        }
        Ok(())
    }
}

/// `1 message`, `2 messages`.
fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use nsq::wire::name::ChannelName;

    use super::*;

    fn report() -> Report {
        let channel = |name, paused, ready, deferred| Channel {
            name: ChannelName::parse(name).unwrap(),
            paused,
            ready,
            deferred,
        };
        let orders = TopicReport {
            name: "orders".to_owned(),
            durability: Some(Durability::Disk),
            places: vec![Place::Journal],
            messages: 12,
            bytes: 1200,
            channels: vec![channel("a", false, 10, 1), channel("b", true, 0, 0)],
            ..TopicReport::default()
        };
        let empty = TopicReport { name: "empty".to_owned(), waiting: 1, ..TopicReport::default() };
        Report {
            data_path: "./data".to_owned(),
            topics: vec![empty, orders],
            queue_files: Vec::new(),
            set_aside: vec![SetAside { file: "journal/index.bad".to_owned(), bytes: 20 }],
            damaged: Vec::new(),
            journal_bytes: 4096,
            spill_bytes: 0,
            queue_file_bytes: 0,
        }
    }

    #[test]
    fn the_text_names_topics_channels_and_what_was_set_aside() {
        assert_eq!(
            report().to_string(),
            "topic empty (as the flags say): 0 messages kept, 0 bytes\n  \
             waiting for a channel: 1\n\
             topic orders (disk): 12 messages kept, 1200 bytes\n  \
             channel a: 10 ready, 1 deferred\n  \
             channel b, paused: 0 ready, 0 deferred\n\
             set aside before:\n  \
             journal/index.bad: 20 bytes\n\
             4096 bytes in journal, 0 in spill, 0 in queue files of v1.3.0\n\
             2 topics, 12 whole messages: nothing is damaged\n"
        );
    }

    #[test]
    fn damage_is_named_with_its_place() {
        let mut report = report();
        report.topics[1].lost = 3;
        let place = |start: u64, messages| Damaged {
            file: "journal/1.log".to_owned(),
            bytes: Some(start..64),
            what: "a batch of messages".to_owned(),
            messages,
        };
        // Nobody knows of which topic the second was.
        report.damaged = vec![place(8, 3), place(16, 100)];
        assert!(!report.is_whole());
        let text = report.to_string();
        assert!(text.contains("1200 bytes, 3 messages lost\n"), "{text}");
        assert!(text.contains("damaged:\n  journal/1.log, bytes 8 to 64: a batch of messages\n"), "{text}");
        assert!(text.contains("2 places damaged, 103 messages known to be lost ("), "{text}");
        let json = report.to_json();
        assert_eq!(json["damaged"][0]["bytes"], json!([8, 64]));
        assert_eq!((&json["damaged"][1]["messages"], &json["lost"]), (&json!(100), &json!(103)));
        assert_eq!(json["topics"][1]["channels"][0]["ready"], 10);
        assert_eq!(
            (&json["topics"][1]["durability"], &json["topics"][0]["durability"]),
            (&json!("disk"), &Value::Null)
        );
    }
}
