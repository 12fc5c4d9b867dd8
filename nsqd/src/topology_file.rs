//! The topology file: topics and channels that are to be there before the first client (docs/discovery.md).
//!
//! ```toml
//! [topics.orders]
//! channels = ["billing", { name = "audit", paused = true }]
//! ```
//!
//! It only adds: what it does not name stays, and so does a pause that it does not speak of.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use nsq::daemon::os_error::os_error_text;
use nsq::wire::name::{ChannelName, TopicName};
use serde::Deserialize;

use crate::node::{DeclaredChannel, DeclaredTopic};

/// The file cannot be used. Nothing of it is.
#[derive(Debug, thiserror::Error)]
pub enum TopologyFileError {
    /// It cannot be read.
    #[error("open {}: {}", .path.display(), os_error_text(.error))]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is not what it should be.
    #[error("{}: {why}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        why: String,
    },
}

/// What the file says; nothing for an empty path.
///
/// # Errors
/// It cannot be read, or makes no sense.
pub fn read(path: &Path) -> Result<Vec<DeclaredTopic>, TopologyFileError> {
    if path.as_os_str().is_empty() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| TopologyFileError::Open { path: path.to_owned(), error })?;
    parse(&text).map_err(|why| TopologyFileError::Invalid { path: path.to_owned(), why })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    topics: BTreeMap<String, Topic>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Topic {
    paused: Option<bool>,
    #[serde(default)]
    channels: Vec<Channel>,
}

/// A channel is its name, or a table where there is more to say.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a channel is a name, or { name = ..., paused = ... }")]
enum Channel {
    Name(String),
    Table(ChannelTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelTable {
    name: String,
    paused: Option<bool>,
}

/// What a name must be like, for who has written another.
const NAME_RULE: &str = "1 to 64 of a-z A-Z 0-9 . _ -, and #ephemeral where that is meant";

fn parse(text: &str) -> Result<Vec<DeclaredTopic>, String> {
    let file: File = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        format!("line {line}: {}", error.message().trim_end().replace('\n', ", "))
    })?;
    file.topics.into_iter().map(|(name, topic)| declared_topic(&name, topic)).collect()
}

fn declared_topic(name: &str, topic: Topic) -> Result<DeclaredTopic, String> {
    let parsed =
        TopicName::parse(name).ok_or_else(|| format!("topic name '{name}' is not valid: {NAME_RULE}"))?;
    let channel = |channel: Channel| {
        let ChannelTable { name: channel, paused } = match channel {
            Channel::Name(name) => ChannelTable { name, paused: None },
            Channel::Table(table) => table,
        };
        let invalid = || format!("channel name '{channel}' of topic '{name}' is not valid: {NAME_RULE}");
        Ok(DeclaredChannel { name: ChannelName::parse(&channel).ok_or_else(invalid)?, paused })
    };
    let channels = topic.channels.into_iter().map(channel).collect::<Result<_, String>>()?;
    Ok(DeclaredTopic { name: parsed, durability: None, paused: topic.paused, channels })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str, paused: Option<bool>) -> DeclaredChannel {
        DeclaredChannel { name: ChannelName::parse(name).unwrap(), paused }
    }

    fn topic(name: &str, paused: Option<bool>, channels: Vec<DeclaredChannel>) -> DeclaredTopic {
        DeclaredTopic { name: TopicName::parse(name).unwrap(), durability: None, paused, channels }
    }

    #[test]
    fn topics_have_channels_and_both_may_be_paused() {
        let text = r##"
            [topics.orders]
            channels = ["billing", { name = "audit", paused = true }]

            [topics."a.b#ephemeral"]
            paused = false
            [[topics."a.b#ephemeral".channels]]
            name = "c"
        "##;
        let expected = [
            topic("a.b#ephemeral", Some(false), vec![channel("c", None)]),
            topic("orders", None, vec![channel("billing", None), channel("audit", Some(true))]),
        ];
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn an_empty_file_declares_nothing() {
        assert_eq!(parse("").unwrap(), []);
        assert_eq!(read(Path::new("")).unwrap(), []);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        for (text, why) in [
            ("[topic.a]", "line 1: unknown field `topic`, expected `topics`"),
            ("[topics.a]\nchanels = []", "line 2: unknown field `chanels`, expected `paused` or `channels`"),
            ("[topics.a]\nchannels = [1]", "line 2: a channel is a name, or { name = ..., paused = ... }"),
            ("[topics.a]\npaused = \"yes\"", "line 2: invalid type: string \"yes\", expected a boolean"),
            (
                "[topics.'$']",
                "topic name '$' is not valid: 1 to 64 of a-z A-Z 0-9 . _ -, and #ephemeral where that is meant",
            ),
            (
                "[topics.a]\nchannels = ['b c']",
                "channel name 'b c' of topic 'a' is not valid: 1 to 64 of a-z A-Z 0-9 . _ -, and #ephemeral where that is \
                 meant",
            ),
            ("[topics.a]\n[topics.a]", "line 2: duplicate key"),
        ] {
            assert_eq!(parse(text).unwrap_err(), why, "{text}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read(Path::new("nowhere/topology.toml")).unwrap_err();
        assert_eq!(error.to_string(), "open nowhere/topology.toml: no such file or directory");
    }
}
