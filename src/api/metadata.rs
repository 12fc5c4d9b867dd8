//! `nsqd.dat`: which topics and channels there are and which of them are paused (spec nsqd-operation.md, §6.1).

use serde::{Deserialize, Serialize};

use super::json::null_as_default;

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// The topics; `null` when there are none.
    pub topics: Option<Vec<TopicMetadata>>,
    /// The version of the program that wrote the file. Readers ignore it.
    #[serde(deserialize_with = "null_as_default")]
    pub version: String,
}

/// A topic in the file. The name is as it was read: it may be invalid.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TopicMetadata {
    /// The topic's name.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// Whether the topic is paused.
    #[serde(deserialize_with = "null_as_default")]
    pub paused: bool,
    /// What was chosen for the topic: `memory`, `os` or `disk`. v1.3.0 has no such key, and ignores it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durability: Option<String>,
    /// The topic's channels; `null` when there are none.
    pub channels: Option<Vec<ChannelMetadata>>,
}

/// A channel in the file. The name is as it was read: it may be invalid.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelMetadata {
    /// The channel's name.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// Whether the channel is paused.
    #[serde(deserialize_with = "null_as_default")]
    pub paused: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::json::to_go_json;

    #[test]
    fn files_of_v1_3_0_are_written_back_byte_for_byte() {
        for file in [
            r#"{"topics":null,"version":"1.3.0"}"#,
            r#"{"topics":[{"name":"orders","paused":false,"channels":[{"name":"billing","paused":false},{"name":"audit","paused":true}]},{"name":"other","paused":true,"channels":null}],"version":"1.3.0"}"#,
        ] {
            let metadata: Metadata = serde_json::from_str(file).unwrap();
            assert_eq!(String::from_utf8(to_go_json(&metadata)).unwrap(), file);
        }
    }

    #[test]
    fn missing_and_unknown_keys_are_no_error() {
        let metadata: Metadata =
            serde_json::from_str(r#"{"topics":[{"name":"a","extra":[1],"paused":null}],"more":{}}"#).unwrap();
        let topic = TopicMetadata { name: "a".into(), ..TopicMetadata::default() };
        assert_eq!(metadata, Metadata { topics: Some(vec![topic]), version: String::new() });
        assert!(serde_json::from_str::<Metadata>("").is_err(), "an empty file is damaged, not a fresh start");
    }
}
